//! Reading a head: the fast way through httparse, and the slow one through the scanner.
//!
//! A head that has arrived whole, which nearly all do, is read by httparse; its first line by our own
//! pass, which is strict from the start. httparse is lenient with the lines of fields, so their exact
//! structure is verified by offsets in the pass that builds the index. Whatever does not
//! come out plainly right there (partial, wrong, too much, unusual) is left to the scanner in
//! `scan`, whose word is final. A test plays every message both ways.
//!
//! Content is not read here: see `body`. What the fields mean: see `meaning`.

use httparse::Status;
use memchr::memchr;

use super::head::{Head, crlf_at};
use super::meaning::{Asked, Meaning, Notes};
use super::scan::{HeadProgress, Role, split_request_line};
use super::target::check_target_of;
use super::token::{NOT_TARGET, TOKEN, classes_of, decimal, run_of};
use super::violation::Violation;

/// Fields that the fast way has room for.
const FAST_FIELDS: usize = 64;

/// Fields that are tried first: browsers send about fifteen.
const FEW_FIELDS: usize = 16;

/// `HTTP/1.x` at the end of a request line.
const VERSION_BYTES: usize = 8;

/// What a head may cost us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the whole head, skipped empty lines included; at most 65535.
    pub(crate) head_bytes: usize,
    /// Bytes of the request target.
    pub(crate) target_bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
    /// Bytes of content that a `Content-Length` may announce; requests only.
    pub(crate) content_bytes: u64,
    /// Bytes of the method; at least 4, which the fast way does not look for.
    pub(crate) method_bytes: u8,
    /// Empty lines that are skipped before a request line; below 255. RFC 9112 §2.2 asks for one; old clients send
    /// one after the content of a POST.
    pub(crate) empty_lines: u8,
    /// An HTTP/1.1 request may lack `Host`.
    pub(crate) host_optional: bool,
    /// Not a limit, but it goes the same way: see [`Head::joined_fields`].
    pub(crate) join_duplicates: bool,
}

/// Most bytes of a head, unless an option says otherwise.
pub const MAX_HEADER_SIZE: usize = 16 * 1024;

impl Default for HeadLimits {
    fn default() -> Self {
        HeadLimits {
            head_bytes: MAX_HEADER_SIZE,
            target_bytes: 8 * 1024,
            fields: 1000,
            content_bytes: u64::MAX,
            method_bytes: 32,
            empty_lines: 4,
            host_optional: false,
            join_duplicates: false,
        }
    }
}

impl HeadLimits {
    /// The index has 16 bits for every offset.
    #[inline]
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes.min(usize::from(u16::MAX))
    }
}

/// Reads the head of a request from `input`, which is everything from the start of the message.
///
/// `None` asks for more bytes; else so many bytes are consumed, skipped empty lines included.
///
/// # Errors
/// The first violation in the order of the bytes; those of meaning come last.
#[inline]
pub(crate) fn parse_request(
    input: &[u8],
    limits: &HeadLimits,
    progress: &mut HeadProgress,
    head: &mut Head,
) -> Result<Option<usize>, Violation> {
    if progress.is_fresh() {
        if let Some(consumed) = fast_request(input, limits, head) {
            return Ok(Some(consumed));
        }
    }
    slow_request(input, limits, progress, head)
}

/// Reads the head of a response: as [`parse_request`], with what was asked.
///
/// # Errors
/// As [`parse_request`].
#[inline]
pub(crate) fn parse_response(
    input: &[u8],
    limits: &HeadLimits,
    progress: &mut HeadProgress,
    asked: Asked,
    head: &mut Head,
) -> Result<Option<usize>, Violation> {
    if progress.is_fresh() {
        if let Some(consumed) = fast_response(input, limits, asked, head) {
            return Ok(Some(consumed));
        }
    }
    slow_response(input, limits, progress, asked, head)
}

/// Reads a request that is all there and plainly right; nothing if that cannot be said.
fn fast_request(input: &[u8], limits: &HeadLimits, head: &mut Head) -> Option<usize> {
    let window = input.get(..limits.head_bytes()).unwrap_or(input);
    let line = RequestLine::of(window, limits)?;
    if line.target.len() > limits.target_bytes {
        return None;
    }
    line.check().ok()?;
    let section = window.get(line.end.wrapping_add(2)..)?;
    // Filling the array costs more than reading a short head, so it is small at first.
    let mut few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(section, &mut few) {
        Ok(Status::Complete((bytes, fields))) => {
            finish_request(window, &line, bytes, fields, limits, head)
        }
        Err(httparse::Error::TooManyHeaders) => many_fields(window, &line, section, limits, head),
        _ => None,
    }
}

/// The same with more fields than usual.
#[cold]
#[inline(never)]
fn many_fields<'a>(
    window: &'a [u8],
    line: &RequestLine<'a>,
    section: &'a [u8],
    limits: &HeadLimits,
    head: &mut Head,
) -> Option<usize> {
    let mut many = [httparse::EMPTY_HEADER; FAST_FIELDS];
    match httparse::parse_headers(section, &mut many) {
        Ok(Status::Complete((bytes, fields))) => {
            finish_request(window, line, bytes, fields, limits, head)
        }
        _ => None,
    }
}

/// Line and fields are there: index and meaning.
#[inline(always)]
fn finish_request<'a>(
    window: &'a [u8],
    line: &RequestLine<'a>,
    section_bytes: usize,
    fields: &[httparse::Header<'a>],
    limits: &HeadLimits,
    head: &mut Head,
) -> Option<usize> {
    if fields.len() > limits.fields {
        return None;
    }
    let consumed = line.end.wrapping_add(2).wrapping_add(section_bytes);
    head.begin(window, consumed);
    head.take_request_line(line.method, line.target, line.minor);
    let mut notes = Notes::default();
    head.take_index(window, line.end, consumed, fields, &mut notes)?;
    let connect = line.method == b"CONNECT";
    let meaning = notes.of_request(line.minor, connect, limits).ok()?;
    head.meaning = Meaning { head: line.method == b"HEAD", connect, ..meaning };
    head.join_duplicates = limits.join_duplicates;
    Some(consumed)
}

/// A request line that is exactly `method SP target SP HTTP/1.x CRLF`.
struct RequestLine<'a> {
    method: &'a [u8],
    target: &'a [u8],
    /// The classes of the target's bytes.
    classes: u8,
    minor: u8,
    /// Where its CRLF is.
    end: usize,
}

impl<'a> RequestLine<'a> {
    /// One pass over the bytes; httparse is as strict with the fields, but neither with the spaces nor with
    /// the target.
    #[inline(always)]
    fn of(window: &'a [u8], limits: &HeadLimits) -> Option<RequestLine<'a>> {
        let method_bytes = match window {
            [b'G', b'E', b'T', b' ', ..] => 3,
            [b'P', b'O', b'S', b'T', b' ', ..] => 4,
            // A longer one has no space behind what is looked at here.
            _ => {
                let most = usize::from(limits.method_bytes);
                run_of(window.get(..most).unwrap_or(window), TOKEN)
            }
        };
        let (method, rest) = window.split_at_checked(method_bytes)?;
        let [b' ', rest @ ..] = rest else { return None };
        let (target, rest) = rest.split_at_checked(memchr(b' ', rest)?)?;
        let classes = classes_of(target);
        if classes & NOT_TARGET != 0 {
            return None;
        }
        let minor = match rest.first_chunk::<11>()? {
            b" HTTP/1.1\r\n" => 1,
            b" HTTP/1.0\r\n" => 0,
            _ => return None,
        };
        if method.is_empty() || target.is_empty() {
            return None;
        }
        let end = method_bytes.wrapping_add(target.len()).wrapping_add(VERSION_BYTES + 2);
        Some(RequestLine { method, target, classes, minor, end })
    }

    #[inline(always)]
    fn check(&self) -> Result<(), Violation> {
        check_target_of(self.method, self.target, self.classes)
    }
}

/// `fast_request` for a response.
fn fast_response(
    input: &[u8],
    limits: &HeadLimits,
    asked: Asked,
    head: &mut Head,
) -> Option<usize> {
    let window = input.get(..limits.head_bytes()).unwrap_or(input);
    let line = StatusLine::of(window)?;
    let section = window.get(line.end.wrapping_add(2)..)?;
    let mut few = [httparse::EMPTY_HEADER; FEW_FIELDS];
    match httparse::parse_headers(section, &mut few) {
        Ok(Status::Complete((bytes, fields))) => {
            finish_response(window, &line, bytes, fields, limits, asked, head)
        }
        Err(httparse::Error::TooManyHeaders) => {
            let mut many = [httparse::EMPTY_HEADER; FAST_FIELDS];
            match httparse::parse_headers(section, &mut many) {
                Ok(Status::Complete((bytes, fields))) => {
                    finish_response(window, &line, bytes, fields, limits, asked, head)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Line and fields are there: index and meaning.
#[inline]
fn finish_response<'a>(
    window: &'a [u8],
    line: &StatusLine,
    section_bytes: usize,
    fields: &[httparse::Header<'a>],
    limits: &HeadLimits,
    asked: Asked,
    head: &mut Head,
) -> Option<usize> {
    if fields.len() > limits.fields {
        return None;
    }
    let consumed = line.end.wrapping_add(2).wrapping_add(section_bytes);
    head.begin(window, consumed);
    head.take_status_line(line.minor, line.status, line.end);
    let mut notes = Notes::default();
    head.take_index(window, line.end, consumed, fields, &mut notes)?;
    head.meaning = notes.of_response(line.minor, asked, line.status).ok()?;
    head.join_duplicates = limits.join_duplicates;
    Some(consumed)
}

/// A status line that is exactly `HTTP/1.x SP status SP reason CRLF`, the reason of visible ASCII.
struct StatusLine {
    minor: u8,
    status: u16,
    /// Where its CRLF is.
    end: usize,
}

impl StatusLine {
    #[inline(always)]
    fn of(window: &[u8]) -> Option<StatusLine> {
        let (start, rest) = window.split_first_chunk::<13>()?;
        let [version @ .., a, b, c, b' '] = start else { return None };
        let minor = match version {
            b"HTTP/1.1 " => 1,
            b"HTTP/1.0 " => 0,
            _ => return None,
        };
        let status = match (a, b, c) {
            (b'1'..=b'9', b'0'..=b'9', b'0'..=b'9') => {
                let digit = |byte: &u8| u16::from(byte.wrapping_sub(b'0'));
                digit(a)
                    .wrapping_mul(100)
                    .wrapping_add(digit(b).wrapping_mul(10))
                    .wrapping_add(digit(c))
            }
            _ => return None,
        };
        let reason = rest.iter().position(|byte| !matches!(byte, b' '..=b'~'))?;
        let end = start.len().wrapping_add(reason);
        crlf_at(window, end)?;
        Some(StatusLine { minor, status, end })
    }
}

#[cold]
fn slow_request(
    input: &[u8],
    limits: &HeadLimits,
    progress: &mut HeadProgress,
    head: &mut Head,
) -> Result<Option<usize>, Violation> {
    let Some(consumed) = progress.scan(input, limits, Role::Request)? else {
        return Ok(None);
    };
    let lines = input.get(progress.skipped()..consumed).unwrap_or_default();
    *progress = HeadProgress::default();
    let line_end = head.begin_scanned(lines);
    let line = lines.get(..line_end).unwrap_or_default();
    let Some((method, target)) = split_request_line(line) else {
        return Err(Violation::Method);
    };
    let minor = minor_version(line.last());
    head.take_request_line(method, target, minor);
    let connect = method == b"CONNECT";
    head.join_duplicates = limits.join_duplicates;
    let judged = head.scanned_notes(lines).of_request(minor, connect, limits);
    let meaning = judged.inspect_err(|_| progress.note_position(consumed))?;
    head.meaning = Meaning { head: method == b"HEAD", connect, ..meaning };
    Ok(Some(consumed))
}

#[cold]
fn slow_response(
    input: &[u8],
    limits: &HeadLimits,
    progress: &mut HeadProgress,
    asked: Asked,
    head: &mut Head,
) -> Result<Option<usize>, Violation> {
    let Some(consumed) = progress.scan(input, limits, Role::Response)? else {
        return Ok(None);
    };
    *progress = HeadProgress::default();
    let lines = input.get(..consumed).unwrap_or_default();
    let line_end = head.begin_scanned(lines);
    let digits = lines.get(9..12).and_then(decimal);
    let status = digits.and_then(|status| u16::try_from(status).ok()).ok_or(Violation::Status)?;
    let minor = minor_version(lines.get(7));
    head.take_status_line(minor, status, line_end);
    head.join_duplicates = limits.join_duplicates;
    let judged = head.scanned_notes(lines).of_response(minor, asked, status);
    head.meaning = judged.inspect_err(|_| progress.note_position(consumed))?;
    Ok(Some(consumed))
}

/// The minor version of a digit: RFC 9110 §2.5 has higher ones served as the highest that we know.
fn minor_version(digit: Option<&u8>) -> u8 {
    u8::from(digit != Some(&b'0'))
}
