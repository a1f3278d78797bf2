//! RFC 9112 §6: where the content of a message ends. The rules stand in the RFC's order and under its
//! numbers; `content` then reads as they say.

use super::grammar::{Read, Stop, decimal, is_token, trimmed};
use super::message::{Field, values};
use super::{Limits, chunked};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Nothing,
    Length(u64),
    Chunked,
    /// Responses only.
    UntilClose,
}

/// What is wrong, as the statuses that say so.
type Faults = Vec<u16>;

/// §6.3, for requests.
pub(crate) fn of_request(method: &[u8], minor: u8, fields: &[Field]) -> Result<Framing, Faults> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    let mut faults = Vec::new();

    // Not of the RFC: names that others behind us take for these two.
    if fields.iter().any(|(name, _)| looks_like_framing(name)) {
        faults.push(400);
    }
    // RFC 9110 §9.3.6: content of CONNECT has no meaning. The choice is to refuse its announcement.
    if method == b"CONNECT" && !(lengths.is_empty() && codings.is_empty()) {
        faults.push(400);
    }
    // Rules 1 and 2 are about responses.
    // Rule 3, §6.1: both fields "ought to be handled as an error".
    if !lengths.is_empty() && !codings.is_empty() {
        faults.push(400);
    }
    let framing = if !codings.is_empty() {
        // §6.1: a client must not send it in HTTP/1.0; "faulty framing".
        if minor == 0 {
            faults.push(400);
        }
        // Rule 4.
        match Codings::of(&codings) {
            Codings::ChunkedAlone => {}
            // §6.1: "A server that receives a request message with a transfer coding it does not understand".
            Codings::ChunkedLast => faults.push(501),
            // "If a Transfer-Encoding header field is present in a request and the chunked transfer coding is
            // not the final encoding, the message body length cannot be determined reliably".
            Codings::ChunkedNotLast | Codings::NoList => faults.push(400),
        }
        Framing::Chunked
    } else {
        match length(&lengths) {
            // Rule 7: "If this is a request message and none of the above are true, then [it] is zero".
            Ok(None) => Framing::Nothing,
            // Rule 6.
            Ok(Some(length)) => Framing::Length(length),
            // Rule 5: "an unrecoverable error".
            Err(fault) => {
                faults.push(fault);
                Framing::Nothing
            }
        }
    };
    if faults.is_empty() { Ok(framing) } else { Err(faults) }
}

/// §6.3, for responses. Errors have no status: there is nobody to tell it.
pub(crate) fn of_response(
    asked: &[u8],
    status: u16,
    minor: u8,
    fields: &[Field],
) -> Result<Framing, Faults> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");

    // Rule 1: "regardless of the header fields present in the message".
    if asked == b"HEAD" || (100..200).contains(&status) || status == 204 || status == 304 {
        return Ok(Framing::Nothing);
    }
    // Rule 2: "A client MUST ignore any Content-Length or Transfer-Encoding".
    if asked == b"CONNECT" && (200..300).contains(&status) {
        return Ok(Framing::Nothing);
    }
    // Rule 3. The RFC lets a client go by the coding; the choice is an error.
    if !lengths.is_empty() && !codings.is_empty() {
        return Err(Vec::new());
    }
    if !codings.is_empty() {
        // §6.1, as for requests.
        if minor == 0 {
            return Err(Vec::new());
        }
        // Rule 4.
        return match Codings::of(&codings) {
            Codings::ChunkedAlone | Codings::ChunkedLast => Ok(Framing::Chunked),
            Codings::ChunkedNotLast => Ok(Framing::UntilClose),
            Codings::NoList => Err(Vec::new()),
        };
    }
    // Rules 5 and 6, else rule 8.
    match length(&lengths) {
        Ok(length) => Ok(length.map_or(Framing::UntilClose, Framing::Length)),
        Err(_) => Err(Vec::new()),
    }
}

/// `Content-Length = 1*DIGIT` (§6.2). Equal values could be merged, in a list or on several lines; the choice
/// is to refuse them. So is one of more digits than 64 bits have.
fn length(lines: &[&[u8]]) -> Result<Option<u64>, u16> {
    let [value] = lines else {
        return if lines.is_empty() { Ok(None) } else { Err(400) };
    };
    match decimal(value).map(u64::try_from) {
        Some(Ok(length)) if value.len() <= 20 => Ok(Some(length)),
        _ => Err(400),
    }
}

/// What the list of transfer codings comes to (§6.1, §7).
enum Codings {
    ChunkedAlone,
    /// Others come before it.
    ChunkedLast,
    /// It is not last, or not there.
    ChunkedNotLast,
    /// Empty elements, parameters, bytes that no coding has, or `chunked` twice ("A sender MUST NOT apply the
    /// chunked transfer coding more than once").
    NoList,
}

impl Codings {
    /// All lines together are one list (RFC 9110 §5.3).
    fn of(lines: &[&[u8]]) -> Codings {
        let all = lines.join(&b","[..]).to_ascii_lowercase();
        let elements: Vec<&[u8]> = all.split(|byte| *byte == b',').map(trimmed).collect();
        let chunked = elements.iter().filter(|element| **element == b"chunked").count();
        if !elements.iter().all(|element| is_token(element)) || chunked > 1 {
            return Codings::NoList;
        }
        match elements.as_slice() {
            [b"chunked"] => Codings::ChunkedAlone,
            [.., b"chunked"] => Codings::ChunkedLast,
            _ => Codings::ChunkedNotLast,
        }
    }
}

/// `Content-Length` or `Transfer-Encoding` with another character for the hyphen.
fn looks_like_framing(name: &[u8]) -> bool {
    ["content-length", "transfer-encoding"].into_iter().any(|known| {
        let hyphen = known.find('-').expect("there is one");
        let mut same = name.to_ascii_lowercase();
        if same.len() != known.len() || same[hyphen] == b'-' {
            return false;
        }
        same[hyphen] = b'-';
        same == known.as_bytes()
    })
}

/// RFC 9110 §6.5.1: a trailer section must not say what framing, routing or authentication need. The choice
/// is to refuse the names that somebody behind us might merge.
pub(crate) fn forbidden_in_trailers(name: &[u8]) -> bool {
    let forbidden =
        ["content-length", "transfer-encoding", "host", "authorization", "proxy-authorization"];
    looks_like_framing(name)
        || forbidden.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Reads content into `content`, as far as it goes; gives the trailer fields.
pub(crate) fn content<'a>(
    framing: Framing,
    bytes: &'a [u8],
    ended: bool,
    limits: &Limits,
    content: &mut Vec<u8>,
) -> Read<'a, Vec<Field>> {
    match framing {
        Framing::Nothing => Ok((Vec::new(), bytes)),
        Framing::Length(length) => {
            let here = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            content.extend_from_slice(&bytes[..here]);
            if here as u64 == length { Ok((Vec::new(), &bytes[here..])) } else { Err(Stop::More) }
        }
        Framing::Chunked => chunked::read(bytes, limits, content),
        Framing::UntilClose => {
            content.extend_from_slice(bytes);
            if ended { Ok((Vec::new(), &[])) } else { Err(Stop::More) }
        }
    }
}
