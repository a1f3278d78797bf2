//! How the content of a message ends: RFC 9112 §6.3, rules in the RFC's order.
//!
//! The one place that decides it, for both roles. Every difference between two readers of the same
//! bytes is a way to smuggle a request, so whatever is ambiguous is refused, also where the RFC
//! would let us guess.

use super::meaning::Asked;
use super::token::{decimal, is_name, is_token, list_elements};
use super::violation::Violation;

/// How the content of a message ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Framing {
    /// There is no content: the message ends with its head.
    #[default]
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunks, then a trailer section.
    Chunked,
    /// Everything until the peer closes; responses only.
    UntilClose,
}

/// What the fields of a head say about framing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FramingFields<'a> {
    content_length: Option<&'a [u8]>,
    length_repeated: bool,
    codings: Codings,
}

/// The combined list of all `Transfer-Encoding` lines.
#[derive(Clone, Copy, Debug, Default)]
struct Codings {
    present: bool,
    /// No list of tokens, or `chunked` twice.
    malformed: bool,
    /// There is another coding than `chunked`.
    unknown: bool,
    chunked: bool,
    chunked_last: bool,
}

impl<'a> FramingFields<'a> {
    /// Takes note of a `Content-Length` line.
    pub(super) fn content_length(&mut self, value: &'a [u8]) {
        self.length_repeated |= self.content_length.is_some();
        self.content_length = Some(value);
    }

    /// Takes note of a `Transfer-Encoding` line.
    pub(super) fn transfer_encoding(&mut self, value: &[u8]) {
        let codings = &mut self.codings;
        codings.present = true;
        for element in list_elements(value) {
            let chunked = is_name(element, b"chunked");
            codings.malformed |= !is_token(element) || (chunked && codings.chunked);
            codings.unknown |= !chunked;
            codings.chunked |= chunked;
            codings.chunked_last = chunked;
        }
    }

    /// The length, refused unless it is one decimal number on one line. Equal values on several
    /// lines or in a list could be merged; honest peers do not send them.
    fn length(&self) -> Result<Option<u64>, Violation> {
        let Some(value) = self.content_length else {
            return Ok(None);
        };
        if self.length_repeated || value.contains(&b',') {
            return Err(Violation::ContentLengthRepeated);
        }
        decimal(value).map(Some).ok_or(Violation::ContentLength)
    }
}

/// How the content of a request ends.
///
/// # Errors
/// Whatever would let another reader find another end: both fields, a repeated or malformed length,
/// codings that do not end in one `chunked`, any coding in HTTP/1.0, either field on `CONNECT`. And more
/// content than is taken, as far as the length tells: chunks are counted as they come.
pub(crate) fn request_framing(
    fields: &FramingFields<'_>,
    minor: u8,
    connect: bool,
    content_bytes_max: u64,
) -> Result<Framing, Violation> {
    let codings = &fields.codings;
    if !codings.present && fields.content_length.is_none() {
        // RFC 9112 §6.3 rule 7: no framing field, no content.
        return Ok(Framing::None);
    }
    if connect {
        // RFC 9110 §9.3.6: content of CONNECT has no meaning, and a tunnel follows the head.
        return Err(Violation::ConnectContent);
    }
    if codings.present {
        if fields.content_length.is_some() {
            // Rule 3: "ought to be handled as an error".
            return Err(Violation::LengthAndEncoding);
        }
        if minor == 0 {
            // RFC 9112 §6.1: faulty framing in HTTP/1.0, whatever it says.
            return Err(Violation::EncodingInOldVersion);
        }
        if codings.malformed || !codings.chunked_last {
            // Rule 4, third case: the length of a request cannot be found any other way.
            return Err(Violation::TransferEncoding);
        }
        if codings.unknown {
            // RFC 9112 §6.1: a coding that the server does not understand is answered with 501.
            return Err(Violation::TransferCodingUnknown);
        }
        // Rule 4, first case.
        return Ok(Framing::Chunked);
    }
    // Rules 5 and 6.
    match fields.length()? {
        Some(length) if length > content_bytes_max => Err(Violation::ContentTooLarge),
        length => Ok(length.map_or(Framing::None, Framing::Length)),
    }
}

/// How the content of a response ends.
///
/// # Errors
/// Where a response may have content: both fields, a repeated or malformed length, a malformed list
/// of codings, any coding in HTTP/1.0.
pub(crate) fn response_framing(
    fields: &FramingFields<'_>,
    minor: u8,
    asked: Asked,
    status: u16,
) -> Result<Framing, Violation> {
    // Rule 1: no content, whatever the fields say. 101 ends HTTP on this connection.
    if asked == Asked::Head || matches!(status, 100..200 | 204 | 304) {
        return Ok(Framing::None);
    }
    // Rule 2: a tunnel begins after the head, and both fields are ignored.
    if asked == Asked::Connect && matches!(status, 200..300) {
        return Ok(Framing::None);
    }
    let codings = &fields.codings;
    if codings.present {
        if fields.content_length.is_some() {
            // Rule 3. The RFC lets a client prefer the coding; a proxy on the way that preferred
            // the length would have cut the answers differently.
            return Err(Violation::LengthAndEncoding);
        }
        if minor == 0 {
            return Err(Violation::EncodingInOldVersion);
        }
        if codings.malformed {
            return Err(Violation::TransferEncoding);
        }
        if codings.chunked_last {
            // Rule 4, first case. Codings below the chunks are the receiver's to decode.
            return Ok(Framing::Chunked);
        }
        // Rule 4, second case.
        return Ok(Framing::UntilClose);
    }
    // Rules 5 and 6, else rule 8.
    Ok(fields.length()?.map_or(Framing::UntilClose, Framing::Length))
}
