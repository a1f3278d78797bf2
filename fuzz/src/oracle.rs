//! A second reader of HTTP/1.1, written from RFC 9112 and slow on purpose: one byte after the other, everything
//! copied. It shares no code with the crate, so where both agree on every input, neither is alone in its error. Nor does
//! it share any with `tests/model`, a third reader, which judges conversations as a whole: they are two on purpose, since
//! what one of them has misread the other has not, and `connections` holds the crate against both. Keep them apart.
//!
//! What the RFC leaves to us is decided here as the crate's documentation says: no bare LF, no folding, at most four
//! empty lines before a request, methods of at most 32 bytes, chunk sizes of at most 16 digits behind at most 16
//! zeros, lengths of at most 20 digits, `[` and `]` allowed in targets.

use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Deref;

use onloop::internals::{ContentEnd, Question, TrialLimits};

/// Why there is nothing to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Everything so far may be the beginning of something valid.
    Incomplete,
    /// Whatever follows.
    Wrong,
}

/// What was read, and how many bytes it took.
pub type Reading<T> = Result<(T, usize), Stop>;

pub type Fields = Vec<(Text, Text)>;

/// Bytes that are shown as text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Text(pub Vec<u8>);

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(bytes.into())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        text.as_bytes().into()
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Text {
        Text(bytes)
    }
}

impl PartialEq<[u8]> for Text {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Method and target, or status and reason.
    pub method: Text,
    pub target: Text,
    pub status: u16,
    pub reason: Text,
    pub minor: u8,
    pub fields: Fields,
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.bytes.get(self.at).copied().ok_or(Stop::Incomplete)
    }

    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Stop> {
        if self.next()? == wanted { Ok(()) } else { Err(Stop::Wrong) }
    }

    fn digit(&mut self) -> Result<u8, Stop> {
        let byte = self.next()?;
        if byte.is_ascii_digit() { Ok(byte - b'0') } else { Err(Stop::Wrong) }
    }

    fn run(&mut self, allowed: impl Fn(u8) -> bool, max: usize) -> Result<Text, Stop> {
        let mut run = Vec::new();
        loop {
            let Ok(byte) = self.peek() else {
                return Err(Stop::Incomplete);
            };
            if !allowed(byte) {
                return Ok(run.into());
            }
            run.push(byte);
            self.at += 1;
            if run.len() > max {
                return Err(Stop::Wrong);
            }
        }
    }
}

fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    matches!(byte, b'\t' | 0x20..=0x7e | 0x80..=0xff)
}

/// A byte of a target, where the crate chooses it.
pub fn is_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

fn demand(holds: bool) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Wrong) }
}

/// RFC 9112 §3, with the crate's default limits of methods and empty lines.
pub fn request(bytes: &[u8]) -> Reading<Head> {
    const LIMITS: TrialLimits = TrialLimits {
        head_bytes: usize::MAX,
        target_bytes: usize::MAX,
        fields: usize::MAX,
        method_bytes: 32,
        empty_lines: 4,
    };
    request_within(bytes, &LIMITS)
}

/// The same with others.
pub fn request_within(bytes: &[u8], limits: &TrialLimits) -> Reading<Head> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut empty_lines = 0u8;
    while cursor.peek()? == b'\r' {
        cursor.next()?;
        cursor.expect(b'\n')?;
        empty_lines = empty_lines.saturating_add(1);
        demand(empty_lines <= limits.empty_lines)?;
    }
    let method = cursor.run(is_tchar, limits.method_bytes.into())?;
    demand(!method.is_empty())?;
    cursor.expect(b' ')?;
    let target = cursor.run(is_target, usize::MAX)?;
    demand(!target.is_empty())?;
    cursor.expect(b' ')?;
    let (major, minor) = version(&mut cursor)?;
    cursor.expect(b'\r')?;
    demand(major == 1)?;
    cursor.expect(b'\n')?;
    demand(target_fits(&method, &target))?;
    let fields = fields(&mut cursor)?;
    let head = Head { method, target, minor: minor.min(1), fields, ..Head::default() };
    demand(!head.fields.iter().any(|(name, _)| looks_like_framing(name)))?;
    let hosts: Vec<_> = values(&head.fields, "host").collect();
    demand(hosts.len() <= 1 && (head.minor == 0 || hosts.len() == 1))?;
    demand(hosts.iter().all(|host| authority(host).is_some()))?;
    Ok((head, cursor.at))
}

/// RFC 9112 §4.
pub fn response(bytes: &[u8]) -> Reading<Head> {
    let mut cursor = Cursor { bytes, at: 0 };
    let (major, minor) = version(&mut cursor)?;
    cursor.expect(b' ')?;
    demand(major == 1)?;
    let mut status = 0;
    for at in 0..3 {
        let digit = cursor.digit()?;
        demand(at > 0 || digit > 0)?;
        status = status * 10 + u16::from(digit);
    }
    let mut reason = Text::default();
    match cursor.next()? {
        b' ' => {
            reason = cursor.run(is_value, usize::MAX)?;
            cursor.expect(b'\r')?;
        }
        b'\r' => {}
        _ => return Err(Stop::Wrong),
    }
    cursor.expect(b'\n')?;
    let fields = fields(&mut cursor)?;
    Ok((Head { status, reason, minor: minor.min(1), fields, ..Head::default() }, cursor.at))
}

fn version(cursor: &mut Cursor<'_>) -> Result<(u8, u8), Stop> {
    for &byte in b"HTTP/" {
        cursor.expect(byte)?;
    }
    let major = cursor.digit()?;
    cursor.expect(b'.')?;
    Ok((major, cursor.digit()?))
}

/// Field lines and the empty line: RFC 9112 §5.
fn fields(cursor: &mut Cursor<'_>) -> Result<Fields, Stop> {
    let mut fields = Fields::new();
    while cursor.peek()? != b'\r' {
        let name = cursor.run(is_tchar, usize::MAX)?;
        demand(!name.is_empty())?;
        cursor.expect(b':')?;
        let value = cursor.run(is_value, usize::MAX)?;
        cursor.expect(b'\r')?;
        cursor.expect(b'\n')?;
        fields.push((name, trim(&value).into()));
    }
    cursor.next()?;
    cursor.expect(b'\n')?;
    Ok(fields)
}

pub fn trim(value: &[u8]) -> &[u8] {
    let inside = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(start) = value.iter().position(inside) else {
        return &[];
    };
    let end = value.iter().rposition(inside).unwrap_or(start);
    &value[start..=end]
}

pub fn values<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let named = fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
    named.map(|(_, value)| &**value)
}

/// The elements of all lines of a list field.
fn elements<'a>(fields: &'a Fields, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    values(fields, name).flat_map(|value| value.split(|&byte| byte == b',')).map(trim)
}

pub fn has_element(fields: &Fields, name: &str, wanted: &str) -> bool {
    elements(fields, name).any(|element| element.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// RFC 9110 §7.8: the field, the option and the version.
pub fn offers_upgrade(head: &Head) -> bool {
    head.minor == 1
        && values(&head.fields, "upgrade").next().is_some()
        && has_element(&head.fields, "connection", "upgrade")
}

/// The same for a 101: to this protocol, and to no other.
pub fn is_switch_to(head: &Head, protocol: &str) -> bool {
    let mut named = elements(&head.fields, "upgrade").filter(|element| !element.is_empty());
    offers_upgrade(head)
        && has_element(&head.fields, "upgrade", protocol)
        && named.all(|element| element.eq_ignore_ascii_case(protocol.as_bytes()))
}

/// `content_length` and `transfer.encoding`, as CGI would fold them.
fn looks_like_framing(name: &[u8]) -> bool {
    ["content-length", "transfer-encoding"].iter().any(|framing| {
        let same = |(a, b): (&u8, &u8)| *b == b'-' || a.eq_ignore_ascii_case(b);
        name.len() == framing.len()
            && name.iter().zip(framing.as_bytes()).all(same)
            && !name.eq_ignore_ascii_case(framing.as_bytes())
    })
}

/// RFC 9112 §3.2.
fn target_fits(method: &[u8], target: &[u8]) -> bool {
    if method == b"CONNECT" {
        return matches!(authority(target), Some(Some(port)) if !port.is_empty());
    }
    let (path, query) = match target.iter().position(|&byte| byte == b'?') {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, &[][..]),
    };
    if !percents(path, false) || !percents(query, true) {
        return false;
    }
    if target.starts_with(b"/") || (target == b"*" && method == b"OPTIONS") {
        return true;
    }
    let lower = target.to_ascii_lowercase();
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|scheme| lower.starts_with(scheme.as_bytes()).then(|| &target[scheme.len()..]));
    let Some(rest) = rest else { return false };
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    authority(&rest[..end]).is_some()
}

/// Every `%` has two digits; in a path, NUL, CR and LF are never encoded.
fn percents(text: &[u8], lines_allowed: bool) -> bool {
    let places = text.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    places.map(|(at, _)| text.get(at + 1..at + 3)).all(|digits| {
        let Some(&[high, low]) = digits else { return false };
        let line = high == b'0' && matches!(low, b'0' | b'a' | b'A' | b'd' | b'D');
        high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && (lines_allowed || !line)
    })
}

/// `uri-host [":" port]`: RFC 3986 §3.2.2. Gives the port.
fn authority(text: &[u8]) -> Option<Option<&[u8]>> {
    let host_end = match text.strip_prefix(b"[") {
        Some(rest) => {
            let end = rest.iter().position(|&byte| byte == b']')?;
            let literal = std::str::from_utf8(&rest[..end]).ok()?;
            literal.parse::<Ipv6Addr>().ok()?;
            end + 2
        }
        None => {
            let end = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
            let allowed =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte);
            if end == 0 || !text[..end].iter().all(allowed) || !percents(&text[..end], false) {
                return None;
            }
            end
        }
    };
    match &text[host_end..] {
        [] => Some(None),
        [b':', port @ ..] if port.len() <= 5 && port.iter().all(u8::is_ascii_digit) => {
            let number = port.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
            (number <= 65535).then_some(Some(port))
        }
        _ => None,
    }
}

/// RFC 9112 §6.3 for requests.
pub fn request_end(head: &Head) -> Result<ContentEnd, Stop> {
    let lengths: Vec<_> = values(&head.fields, "content-length").collect();
    let coded = values(&head.fields, "transfer-encoding").next().is_some();
    demand(*head.method != *b"CONNECT" || (lengths.is_empty() && !coded))?;
    if coded {
        demand(lengths.is_empty() && head.minor == 1)?;
        let codings: Vec<_> = elements(&head.fields, "transfer-encoding").collect();
        demand(codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked"))?;
        return Ok(ContentEnd::Chunked);
    }
    Ok(match one_length(&lengths)? {
        Some(length) => ContentEnd::Length(length),
        None => ContentEnd::None,
    })
}

/// The same for a reader that knows every coding below the chunks.
pub fn coded_end(head: &Head) -> Result<ContentEnd, Stop> {
    let coded = values(&head.fields, "transfer-encoding").next().is_some();
    if coded && ends_in_chunks(&head.fields)? {
        demand(head.minor == 1 && values(&head.fields, "content-length").next().is_none())?;
        return Ok(ContentEnd::Chunked);
    }
    request_end(head)
}

/// `chunked` is the last of the codings; it may not be another one.
fn ends_in_chunks(fields: &Fields) -> Result<bool, Stop> {
    let codings: Vec<_> = elements(fields, "transfer-encoding").collect();
    let is_token = |coding: &&[u8]| !coding.is_empty() && coding.iter().all(|&b| is_tchar(b));
    demand(codings.iter().all(is_token))?;
    let chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    demand(codings.iter().filter(|coding| chunked(coding)).count() <= 1)?;
    Ok(codings.last().is_some_and(chunked))
}

/// RFC 9112 §6.3 for responses.
pub fn response_end(head: &Head, question: Question) -> Result<ContentEnd, Stop> {
    let tunnel = question == Question::Connect && (200..300).contains(&head.status);
    if question == Question::Head || tunnel || matches!(head.status, 100..200 | 204 | 304) {
        return Ok(ContentEnd::None);
    }
    let lengths: Vec<_> = values(&head.fields, "content-length").collect();
    if values(&head.fields, "transfer-encoding").next().is_some() {
        demand(lengths.is_empty() && head.minor == 1)?;
        return Ok(match ends_in_chunks(&head.fields)? {
            true => ContentEnd::Chunked,
            false => ContentEnd::UntilClose,
        });
    }
    Ok(match one_length(&lengths)? {
        Some(length) => ContentEnd::Length(length),
        None => ContentEnd::UntilClose,
    })
}

fn one_length(lengths: &[&[u8]]) -> Result<Option<u64>, Stop> {
    match lengths {
        [] => Ok(None),
        [one] => {
            demand((1..=20).contains(&one.len()) && one.iter().all(u8::is_ascii_digit))?;
            let text = std::str::from_utf8(one).map_err(|_| Stop::Wrong)?;
            text.parse().map(Some).map_err(|_| Stop::Wrong)
        }
        _ => Err(Stop::Wrong),
    }
}

/// What chunks carry.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Chunked {
    pub content: Text,
    pub trailers: Fields,
    /// Bytes of the trailer section, without the empty line.
    pub trailer_bytes: usize,
    /// The size of each chunk.
    pub sizes: Vec<usize>,
}

/// RFC 9112 §7.1.
pub fn chunked(bytes: &[u8]) -> Reading<Chunked> {
    let mut cursor = Cursor { bytes, at: 0 };
    let mut found = Chunked::default();
    loop {
        let size = chunk_line(&mut cursor)?;
        if size == 0 {
            break;
        }
        for _ in 0..size {
            found.content.0.push(cursor.next()?);
        }
        found.sizes.push(found.content.len());
        cursor.expect(b'\r')?;
        cursor.expect(b'\n')?;
    }
    let start = cursor.at;
    found.trailers = fields(&mut cursor)?;
    found.trailer_bytes = cursor.at - 2 - start;
    let forbidden = |name: &[u8]| {
        let names =
            ["host", "authorization", "proxy-authorization", "content-length", "transfer-encoding"];
        names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()))
            || looks_like_framing(name)
    };
    demand(!found.trailers.iter().any(|(name, _)| forbidden(name)))?;
    Ok((found, cursor.at))
}

fn chunk_line(cursor: &mut Cursor<'_>) -> Result<u64, Stop> {
    let (mut zeros, mut digits, mut size) = (0, 0, 0u64);
    while let Some(digit) = (cursor.peek()? as char).to_digit(16) {
        cursor.next()?;
        match (digit, digits) {
            (0, 0) => zeros += 1,
            _ => digits += 1,
        }
        demand(zeros <= 16 && digits <= 16)?;
        size = size * 16 + u64::from(digit);
    }
    demand(zeros + digits > 0)?;
    loop {
        let spaces = white_space(cursor)?;
        match cursor.next()? {
            b';' => extension(cursor)?,
            b'\r' if spaces == 0 => break,
            _ => return Err(Stop::Wrong),
        }
    }
    cursor.expect(b'\n')?;
    Ok(size)
}

fn white_space(cursor: &mut Cursor<'_>) -> Result<usize, Stop> {
    cursor.run(|byte| matches!(byte, b' ' | b'\t'), usize::MAX).map(|run| run.len())
}

/// What follows `;`, up to where white space may follow.
fn extension(cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    white_space(cursor)?;
    demand(!cursor.run(is_tchar, usize::MAX)?.is_empty())?;
    let behind_name = cursor.at;
    white_space(cursor)?;
    if cursor.peek()? != b'=' {
        cursor.at = behind_name;
        return Ok(());
    }
    cursor.next()?;
    white_space(cursor)?;
    if cursor.peek()? != b'"' {
        return demand(!cursor.run(is_tchar, usize::MAX)?.is_empty());
    }
    cursor.next()?;
    loop {
        let quotable = |byte| matches!(byte, b'\t' | b' '..=b'~');
        match cursor.next()? {
            b'"' => return Ok(()),
            b'\\' => demand(quotable(cursor.next()?))?,
            byte => demand(quotable(byte))?,
        }
    }
}
