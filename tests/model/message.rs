//! RFC 9112 §2 to §5: start lines, field lines, and what they say of the connection; RFC 9110 §7.2 and §4.2
//! for hosts and targets.

use std::net::Ipv6Addr;

use super::Limits;
use super::grammar::{
    Read, Stop, decimal, exactly, is_field_byte, is_tchar, one, run, token, trimmed, whole_run,
    within, wrong,
};

/// A name as it was spelt and a value without the white space around it.
pub(crate) type Field = (Vec<u8>, Vec<u8>);

/// A start line and its fields; what a request has not is empty in a response, and the other way round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) minor: u8,
    pub(crate) fields: Vec<Field>,
}

/// §3: `method SP request-target SP HTTP-version CRLF`, then the fields.
pub(crate) fn request_head<'a>(bytes: &'a [u8], limits: &Limits) -> Read<'a, Head> {
    within(bytes, limits.head_bytes, 431, |bytes| {
        let bytes = skip_empty_lines(bytes, limits.empty_lines)?;
        let (method, bytes) = method(bytes, limits.method_bytes)?;
        let (target, bytes) = target(bytes, limits.target_bytes)?;
        let ((major, minor), bytes) = version(bytes)?;
        let line_feed = exactly(b"\r", bytes)?;
        if major != 1 {
            // RFC 9110 §15.6.6.
            return wrong(505);
        }
        let bytes = exactly(b"\n", line_feed)?;
        if !target_is_valid(method, target) {
            return wrong(400);
        }
        let (fields, bytes) = field_section(bytes, limits.fields)?;
        let (method, target) = (method.to_vec(), target.to_vec());
        Ok((Head { method, target, minor, fields, ..Head::default() }, bytes))
    })
}

/// §4: `HTTP-version SP status-code SP [ reason-phrase ] CRLF`. Without a reason the second space may be
/// missing, too: many servers leave it out.
pub(crate) fn response_head<'a>(bytes: &'a [u8], limits: &Limits) -> Read<'a, Head> {
    within(bytes, limits.head_bytes, 431, |bytes| {
        let ((major, minor), bytes) = version(bytes)?;
        let bytes = exactly(b" ", bytes)?;
        if major != 1 {
            return wrong(505);
        }
        let (status, bytes) = status_code(bytes)?;
        let (reason, bytes) = match bytes {
            [b' ', bytes @ ..] => whole_run(bytes, is_field_byte)?,
            _ => (&[][..], bytes),
        };
        let bytes = exactly(b"\r\n", bytes)?;
        let (fields, bytes) = field_section(bytes, limits.fields)?;
        Ok((Head { status, reason: reason.to_vec(), minor, fields, ..Head::default() }, bytes))
    })
}

/// §2.2: a server "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
fn skip_empty_lines(bytes: &[u8], most: usize) -> Result<&[u8], Stop> {
    let mut rest = bytes;
    let mut lines = 0;
    while rest.first() == Some(&b'\r') {
        rest = exactly(b"\r\n", rest)?;
        lines += 1;
        if lines > most {
            return wrong(400);
        }
    }
    Ok(rest)
}

/// What is left of a stream when it ends between two requests.
pub(crate) fn only_empty_lines(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// §3.1: a token, and the space behind it.
fn method(bytes: &[u8], most: usize) -> Read<'_, &[u8]> {
    if run(bytes, is_tchar).0.len() > most {
        return wrong(400);
    }
    let (method, rest) = token(bytes)?;
    Ok((method, exactly(b" ", rest)?))
}

/// §3.2: the bytes that RFC 3986 allows, and the space behind them. `[` and `]` are let through everywhere.
fn target(bytes: &[u8], most: usize) -> Read<'_, &[u8]> {
    if run(bytes, is_target_byte).0.len() > most {
        return wrong(414);
    }
    one(bytes, is_target_byte)?;
    let (target, rest) = whole_run(bytes, is_target_byte)?;
    Ok((target, exactly(b" ", rest)?))
}

/// §2.3: `HTTP/` and two single digits.
fn version(bytes: &[u8]) -> Read<'_, (u8, u8)> {
    let bytes = exactly(b"HTTP/", bytes)?;
    let (major, bytes) = one(bytes, |byte| byte.is_ascii_digit())?;
    let bytes = exactly(b".", bytes)?;
    let (minor, bytes) = one(bytes, |byte| byte.is_ascii_digit())?;
    Ok(((major - b'0', (minor - b'0').min(1)), bytes))
}

/// Three digits; RFC 9110 §15 begins with 100.
fn status_code(bytes: &[u8]) -> Read<'_, u16> {
    let (a, bytes) = one(bytes, |byte| matches!(byte, b'1'..=b'9'))?;
    let (b, bytes) = one(bytes, |byte| byte.is_ascii_digit())?;
    let (c, bytes) = one(bytes, |byte| byte.is_ascii_digit())?;
    let digit = |byte: u8| u16::from(byte - b'0');
    Ok((digit(a) * 100 + digit(b) * 10 + digit(c), bytes))
}

/// §5: `*( field-name ":" OWS field-value OWS CRLF ) CRLF`. White space before the first name (§2.2), before a
/// colon (§5.1) and at the beginning of any line (§5.2) are errors because no name begins or ends with it.
pub(crate) fn field_section(bytes: &[u8], most: usize) -> Read<'_, Vec<Field>> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while rest.first() != Some(&b'\r') {
        one(rest, is_tchar)?;
        if fields.len() == most {
            return wrong(431);
        }
        let (name, behind) = token(rest)?;
        let (value, behind) = whole_run(exactly(b":", behind)?, is_field_byte)?;
        rest = exactly(b"\r\n", behind)?;
        fields.push((name.to_vec(), trimmed(value).to_vec()));
    }
    Ok((fields, exactly(b"\r\n", rest)?))
}

/// All values of a name, in order.
pub(crate) fn values<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    let same = |field: &&Field| field.0.eq_ignore_ascii_case(name.as_bytes());
    fields.iter().filter(same).map(|field| &field.1[..]).collect()
}

/// Whether a comma-separated list has an element, in any case.
pub(crate) fn list_has(list: &[u8], element: &str) -> bool {
    list.split(|byte| *byte == b',')
        .any(|part| trimmed(part).eq_ignore_ascii_case(element.as_bytes()))
}

/// §9.3: whether the connection persists by what the message says.
pub(crate) fn persists(minor: u8, fields: &[Field]) -> bool {
    let has = |option| super::connection_says(fields, option);
    !has("close") && (minor >= 1 || has("keep-alive"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expectation {
    None,
    Continue,
    Other,
}

/// RFC 9110 §10.1.1: "A server MUST ignore" it in HTTP/1.0.
pub(crate) fn expectation(minor: u8, fields: &[Field]) -> Expectation {
    let lines = values(fields, "expect");
    match lines.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        _ if minor == 0 || lines.is_empty() => Expectation::None,
        true => Expectation::Continue,
        false => Expectation::Other,
    }
}

/// §3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that
/// lacks a Host header field and to any request message that contains more than one Host header field line or
/// a Host header field with an invalid field value."
pub(crate) fn host_faults(minor: u8, fields: &[Field]) -> Vec<u16> {
    let good = match values(fields, "host").as_slice() {
        [] => minor == 0,
        // An http target always has an authority, so an empty value is none (RFC 9110 §7.2).
        [value] => authority(value).is_some(),
        _ => false,
    };
    if good { Vec::new() } else { vec![400] }
}

/// RFC 3986 §2: unreserved, reserved and `%`, but for `#`, which no target has.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%[]".contains(&byte)
}

/// §3.2: the four forms, and which method has which.
fn target_is_valid(method: &[u8], target: &[u8]) -> bool {
    // Not of the RFC: an encoded NUL, CR or LF is refused in a path, where it can only do harm. A query is a
    // form's text and may have line ends.
    let (path, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(at) => target.split_at(at),
        None => (target, &[][..]),
    };
    if !percent_is_valid(path, true) || !percent_is_valid(query, false) {
        return false;
    }
    if method == b"CONNECT" {
        // §3.2.3, the port required.
        return matches!(authority(target), Some(Some(_)));
    }
    target.starts_with(b"/")
        || (target == b"*" && method == b"OPTIONS")
        || absolute_form_is_valid(target)
}

/// §3.2.2, for the schemes that an origin server of http knows.
fn absolute_form_is_valid(target: &[u8]) -> bool {
    let lower = target.to_ascii_lowercase();
    let Some(rest) =
        ["http://", "https://"].iter().find_map(|scheme| lower.strip_prefix(scheme.as_bytes()))
    else {
        return false;
    };
    // RFC 9110 §4.2.1 and §4.2.4: no empty host, no userinfo.
    authority(run(rest, |byte| byte != b'/' && byte != b'?').0).is_some()
}

/// RFC 3986 §2.1: two digits behind each `%`.
fn percent_is_valid(text: &[u8], is_strict: bool) -> bool {
    text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        let digits = text.get(at + 1..at + 3).unwrap_or_default().to_ascii_lowercase();
        let encodes_line_end = matches!(&digits[..], b"00" | b"0d" | b"0a");
        digits.len() == 2
            && digits.iter().all(u8::is_ascii_hexdigit)
            && !(is_strict && encodes_line_end)
    })
}

/// `uri-host [ ":" port ]`: whether it is one, and then the port, if it is not empty. Hosts are names, IPv4
/// addresses and IPv6 addresses in brackets; the comma, which RFC 3986 lets a name have, is refused.
fn authority(text: &[u8]) -> Option<Option<u16>> {
    let is_name_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(&byte);
    let behind = if let Some(bracketed) = text.strip_prefix(b"[") {
        let (address, behind) = run(bracketed, |byte| byte != b']');
        std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
        behind.strip_prefix(b"]")?
    } else {
        let (name, behind) = run(text, is_name_byte);
        if name.is_empty() || !percent_is_valid(name, true) {
            return None;
        }
        behind
    };
    let Some(port) = behind.strip_prefix(b":") else {
        return behind.is_empty().then_some(None);
    };
    if port.is_empty() {
        return Some(None);
    }
    // Five digits are enough for every port.
    let number = decimal(port).filter(|_| port.len() <= 5)?;
    u16::try_from(number).ok().map(Some)
}
