//! The sending side of one message: which framing it gets, what its head says, what may still be
//! written. Bytes go into a buffer of the caller's; nothing is sent from here.
//!
//! The framing is decided once, when the head is rendered, by [`Outgoing::decide`] (in `decide`); what follows is held
//! to it. Read `framing.rs` for the receiving side's mirror image of these rules.

mod decide;
#[cfg(test)]
mod tests;

use super::fields::{FieldList, Known};
use super::status::reason_phrase;
use super::token::decimal;

/// Fields that have a say in how a response is framed or what is added to it.
const STEERING: Known = Known::CONTENT_LENGTH
    .and(Known::TRANSFER_ENCODING)
    .and(Known::CONNECTION)
    .and(Known::KEEP_ALIVE)
    .and(Known::DATE)
    .and(Known::TRAILER);

/// How far a message that we send has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Default)]
pub(crate) enum Phase {
    /// The head can still be changed.
    #[default]
    Head,
    /// The head is final but not rendered: how the content is framed is not known yet.
    Sealed,
    /// The head is rendered; content may follow.
    Content,
    /// Nothing more can be added.
    Ended,
}

/// How the end of the content is made known to the peer (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Delimiter {
    /// There is no content: HEAD, 204, 205, 304 and their like. What is written is dropped.
    #[default]
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// They cannot come any more: a piece did not fit. What is written is dropped, so that what was sent remains a
    /// beginning of what was meant, and the end is that of the connection.
    Spoiled,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// The connection's end is the content's end.
    Close,
}

/// What is known of the content when the head is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// All of it is at hand.
    Whole(u64),
    /// It comes in pieces of unknown total.
    Pieces,
}

/// The start line that a head is rendered with, and what it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StartLine<'a> {
    /// Of a response.
    Status,
    /// Of a request: method, target, and the value of `Host`.
    Request { method: &'a str, target: &'a str, authority: &'a str },
}

/// Fields that are added where the user has not said otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Automatic<'a> {
    /// `Date: …\r\n`, empty for requests.
    pub(crate) date: &'a [u8],
    /// `Keep-Alive: …\r\n`, empty to leave it out.
    pub(crate) keep_alive: &'a [u8],
    /// `date`, `Connection: keep-alive` and `keep_alive` in one piece: the common case is one copy.
    pub(crate) persistent_block: &'a [u8],
    /// This must be the connection's last message, whatever the peer would like.
    pub(crate) closing: bool,
}

/// Why content was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LengthMismatch {
    /// More than `Content-Length` announced.
    TooMuch,
    /// The message was ended with less than announced.
    TooLittle,
}

/// One message being sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) fields: FieldList,
    /// Few messages have any.
    trailers: Option<Box<FieldList>>,
    reason: Option<Box<str>>,
    status: u16,
    phase: Phase,
    delimiter: Delimiter,
    minor: u8,
    /// The peer lets the connection persist, and so far so do we.
    persistent: bool,
    /// The request was HEAD, or for requests of our own: the method expects no content.
    contentless: bool,
    send_date: bool,
    /// Something was set that the plain path of [`Outgoing::respond_whole`] does not know.
    special: bool,
    /// What does not fit `Content-Length` is refused instead of dropped.
    strict: bool,
}

impl Outgoing {
    /// Begins the response to a request of HTTP/1.`minor`.
    pub(crate) fn start_response(&mut self, minor: u8, to_head: bool, persistent: bool) {
        self.reset(minor, to_head, persistent);
    }

    /// Begins a request; `expects_content` is false for the methods that usually have none.
    pub(crate) fn start_request(&mut self, expects_content: bool, persistent: bool) {
        self.reset(1, !expects_content, persistent);
    }

    /// Begins a byte stream without any head: what follows an upgrade.
    pub(crate) fn start_raw(&mut self) {
        self.reset(1, false, false);
        self.phase = Phase::Content;
        self.delimiter = Delimiter::Close;
    }

    #[inline]
    fn reset(&mut self, minor: u8, contentless: bool, persistent: bool) {
        self.fields.clear();
        if self.trailers.is_some() {
            self.trailers = None;
        }
        if self.reason.is_some() {
            self.reason = None;
        }
        self.status = 200;
        self.phase = Phase::Head;
        self.delimiter = Delimiter::None;
        self.minor = minor;
        self.persistent = persistent;
        self.contentless = contentless;
        self.send_date = true;
        self.special = contentless || minor == 0 || !persistent;
        self.strict = false;
    }

    #[inline]
    pub(crate) fn is_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The head is rendered.
    #[inline]
    pub(crate) fn head_is_sent(&self) -> bool {
        self.phase >= Phase::Content
    }

    /// The head cannot be changed any more.
    #[inline]
    pub(crate) fn head_is_sealed(&self) -> bool {
        self.phase != Phase::Head
    }

    /// Makes the head final. It is rendered with the first content or the end, when it is known how the
    /// content is to be framed.
    pub(crate) fn seal(&mut self) {
        debug_assert_eq!(self.phase, Phase::Head);
        self.phase = Phase::Sealed;
    }

    /// Keeps the message off the plain path.
    pub(crate) fn mark_special(&mut self) {
        self.special = true;
    }

    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        self.special
    }

    pub(crate) fn set_strict(&mut self, strict: bool) {
        self.strict = strict;
        self.special = true;
    }

    #[inline]
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// For a response: whatever is written, no content is sent.
    #[inline]
    pub(crate) fn has_no_content(&self) -> bool {
        self.contentless || matches!(self.status, 204 | 205 | 304)
    }

    /// How many bytes of content are still to come by `Content-Length`; `None` where it does not frame the
    /// message.
    pub(crate) fn length_left(&self) -> Option<u64> {
        if self.head_is_sent() {
            return match self.delimiter {
                Delimiter::Length(left) => Some(left),
                Delimiter::Spoiled => Some(0),
                _ => None,
            };
        }
        if self.fields.known().contains(Known::TRANSFER_ENCODING) && self.minor != 0 {
            return None;
        }
        self.fields.first(b"content-length").and_then(decimal)
    }

    #[inline]
    pub(crate) fn is_persistent(&self) -> bool {
        self.persistent
    }

    pub(crate) fn forbid_persistence(&mut self) {
        self.persistent = false;
        self.special = true;
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn set_status(&mut self, status: u16) {
        self.status = status;
        self.special |= status != 200;
    }

    pub(crate) fn send_date(&self) -> bool {
        self.send_date
    }

    pub(crate) fn set_send_date(&mut self, send_date: bool) {
        self.send_date = send_date;
        self.special = true;
    }

    pub(crate) fn set_reason(&mut self, reason: Option<Box<str>>) {
        self.reason = reason;
        self.special = true;
    }

    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| reason_phrase(self.status))
    }

    #[inline]
    pub(crate) fn delimiter(&self) -> Delimiter {
        self.delimiter
    }

    /// Nothing of the content that was announced is to come any more.
    pub(crate) fn is_whole(&self) -> bool {
        match self.delimiter {
            Delimiter::None | Delimiter::Length(0) => true,
            Delimiter::Chunked | Delimiter::Close => self.is_ended(),
            Delimiter::Length(_) | Delimiter::Spoiled => false,
        }
    }

    /// A response without content, and with nothing that says so but what is set here: to HEAD it tells that
    /// GET would have none either.
    pub(crate) fn tell_empty(&mut self) {
        const SAID: Known = Known::CONTENT_LENGTH.and(Known::TRANSFER_ENCODING).and(Known::TRAILER);
        let said = self.fields.known().intersects(SAID);
        let unwanted = self.fields.removed().contains(Known::CONTENT_LENGTH);
        if self.contentless && !matches!(self.status, 204 | 205 | 304) && !said && !unwanted {
            // The name and the value are good, and a full head goes without.
            let _ = self.fields.set(b"Content-Length", b"0");
        }
    }

    /// Nothing more can be added; what was promised is still to come, then [`Outgoing::finish`].
    pub(crate) fn end_later(&mut self) {
        debug_assert_eq!(self.phase, Phase::Content);
        self.phase = Phase::Ended;
    }

    /// Ends the message at once, whatever was announced: the connection cannot be used again.
    pub(crate) fn abandon(&mut self) {
        self.phase = Phase::Ended;
        self.persistent = false;
    }

    /// Renders the head into `out`. Content must be given to [`Outgoing::frame`] afterwards.
    pub(crate) fn send_head(
        &mut self,
        line: StartLine<'_>,
        automatic: &Automatic<'_>,
        plan: Plan,
        out: &mut Vec<u8>,
    ) {
        debug_assert!(!self.head_is_sent());
        self.phase = Phase::Content;
        self.render(line, automatic, plan, out);
    }

    /// Renders the head of a request anew, which goes elsewhere. How its content is framed stays as it was.
    pub(crate) fn send_head_again(
        &mut self,
        line: StartLine<'_>,
        automatic: &Automatic<'_>,
        plan: Plan,
        out: &mut Vec<u8>,
    ) {
        debug_assert!(self.head_is_sent());
        let delimiter = self.delimiter;
        self.render(line, automatic, plan, out);
        self.delimiter = delimiter;
    }

    /// The fields behind the content.
    pub(crate) fn trailers(&mut self) -> &mut FieldList {
        self.trailers.get_or_insert_default()
    }

    /// The message has no content any more, whatever is still written.
    pub(crate) fn drop_content(&mut self) {
        self.contentless = true;
        self.delimiter = Delimiter::None;
        self.trailers = None;
    }

    /// Head and content of a response at once, where nothing steers framing or persistence: 200, content
    /// at hand, a persistent connection. False, and nothing is done, in every other case.
    #[inline]
    pub(crate) fn respond_whole(
        &mut self,
        automatic: &Automatic<'_>,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        if self.special
            || automatic.closing
            || self.fields.known().intersects(STEERING)
            || !self.fields.removed().is_empty()
        {
            return false;
        }
        self.phase = Phase::Ended;
        self.delimiter = Delimiter::Length(0);
        let fields = self.fields.wire();
        let mut digits = itoa::Buffer::new();
        let length = digits.format(content.len()).as_bytes();
        let block = automatic.persistent_block;
        const STATUS_LINE: &[u8] = b"HTTP/1.1 200 OK\r\n";
        // The status line and the last line with 20 digits.
        const FIXED_BYTES: usize = 64;
        let parts = [fields.len(), block.len(), content.len(), FIXED_BYTES];
        out.reserve(parts.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes)));
        out.extend_from_slice(STATUS_LINE);
        out.extend_from_slice(fields);
        out.extend_from_slice(block);
        out.extend_from_slice(b"Content-Length: ");
        out.extend_from_slice(length);
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(content);
        true
    }

    fn render(
        &mut self,
        line: StartLine<'_>,
        automatic: &Automatic<'_>,
        plan: Plan,
        out: &mut Vec<u8>,
    ) {
        let is_response = matches!(line, StartLine::Status);
        let length_of_get = self.decide(is_response, plan);
        if self.delimiter != Delimiter::Chunked && self.fields.known().contains(Known::TRAILER) {
            // It would announce what cannot come.
            self.fields.remove_quietly(b"trailer");
        }
        self.decide_persistence(is_response, automatic.closing);
        let known = self.fields.known();
        let removed = self.fields.removed();
        let wanted = |flag: Known| !known.contains(flag) && !removed.contains(flag);
        match line {
            StartLine::Status => push_status_line(out, self.status, self.reason()),
            StartLine::Request { method, target, authority } => {
                out.extend_from_slice(method.as_bytes());
                out.push(b' ');
                out.extend_from_slice(target.as_bytes());
                out.extend_from_slice(b" HTTP/1.1\r\n");
                // RFC 9110 §7.2: Host should be the first field.
                if wanted(Known::HOST) {
                    out.extend_from_slice(b"Host: ");
                    out.extend_from_slice(authority.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
        out.extend_from_slice(self.fields.wire());
        if self.send_date && wanted(Known::DATE) {
            out.extend_from_slice(automatic.date);
        }
        if wanted(Known::CONNECTION) {
            if !self.persistent {
                out.extend_from_slice(b"Connection: close\r\n");
            } else {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
                if wanted(Known::KEEP_ALIVE) {
                    out.extend_from_slice(automatic.keep_alive);
                }
            }
        } else if !self.persistent && known.contains(Known::CONNECTION) {
            self.announce_close(out);
        }
        match self.delimiter {
            Delimiter::Length(length) if !known.contains(Known::CONTENT_LENGTH) => {
                push_length(out, length);
            }
            Delimiter::Chunked if !known.contains(Known::TRANSFER_ENCODING) => {
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            Delimiter::None if is_response && self.status == 205 => push_length(out, 0),
            Delimiter::None if !known.contains(Known::CONTENT_LENGTH) => {
                if let Some(length) = length_of_get {
                    push_length(out, length);
                }
            }
            _ => {}
        }
        out.extend_from_slice(b"\r\n");
    }

    /// How `length` bytes of content are to be written: what goes before them and after them.
    ///
    /// # Errors
    /// The bytes are more than was announced; none of them may be sent, and none of what follows.
    #[inline]
    pub(crate) fn frame(&mut self, length: u64) -> Result<Frame, LengthMismatch> {
        match &mut self.delimiter {
            Delimiter::None => Ok(Frame::Drop),
            Delimiter::Close => Ok(Frame::Plain),
            Delimiter::Chunked => Ok(Frame::Chunk),
            Delimiter::Length(left) => {
                if let Some(rest) = left.checked_sub(length) {
                    *left = rest;
                    return Ok(Frame::Plain);
                }
                if *left > 0 {
                    self.delimiter = Delimiter::Spoiled;
                }
                Err(LengthMismatch::TooMuch)
            }
            Delimiter::Spoiled => Err(LengthMismatch::TooMuch),
        }
    }

    /// Ends the message; a last chunk and the trailers go to `out`.
    ///
    /// # Errors
    /// Less was written than announced: the message is ended all the same, the connection is not to be
    /// used again.
    #[inline]
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), LengthMismatch> {
        self.phase = Phase::Ended;
        match self.delimiter {
            Delimiter::Chunked => {
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = &self.trailers {
                    out.extend_from_slice(trailers.wire());
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Delimiter::Length(0) | Delimiter::None | Delimiter::Close => Ok(()),
            Delimiter::Length(_) | Delimiter::Spoiled => {
                self.persistent = false;
                Err(LengthMismatch::TooLittle)
            }
        }
    }
}

/// How a piece of content goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// As it is.
    Plain,
    /// Between a chunk-size line and CRLF.
    Chunk,
    /// Not at all.
    Drop,
}

/// `HTTP/1.1 status reason`. RFC 9112 §4: always our own version, whatever the peer's.
pub(crate) fn push_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    // A reason is Latin-1 on the wire; `set_reason`'s callers refuse what does not fit.
    out.extend(reason.chars().map(|c| c as u32 as u8));
    out.extend_from_slice(b"\r\n");
}

fn push_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The chunk-size line of a chunk of `length` bytes.
pub(crate) fn push_chunk_size(out: &mut Vec<u8>, length: usize) {
    let nibbles = (usize::BITS.wrapping_sub((length | 1).leading_zeros())).div_ceil(4);
    for place in (0..nibbles).rev() {
        let nibble = (length >> place.wrapping_mul(4)) & 15;
        let digit = char::from_digit(nibble as u32, 16).unwrap_or('0');
        out.push(digit as u8);
    }
    out.extend_from_slice(b"\r\n");
}
