//! Content that is not taken, and why: what Node tells by `ERR_STREAM_*` and `ERR_HTTP_*`.

use crate::engine::Core;
use crate::engine::fields::gone;
use crate::engine::slot::{ExchangeId, Flags, Kind};
use crate::error::{Error, Limit};

/// Why a `write` or an `end` was refused. Nothing of it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The message was ended before.
    Ended,
    /// A second `end` without content.
    EndedTwice,
    /// The exchange is over, or bound to end.
    Destroyed,
    /// `Content-Length` says otherwise, and the message is strict about it.
    Mismatch,
    /// The message has no content, and the server is strict about it.
    NoContent,
    /// CONNECT has none: bytes before the tunnel is there would be the next request to a proxy that makes none.
    Connect,
    /// `max_buffered` is exceeded. This one ends the exchange.
    Buffered,
}

impl Refusal {
    /// What happens where nobody asked for the reason.
    #[cold]
    pub(super) fn log(self, what: &str) {
        match self {
            Refusal::Mismatch | Refusal::NoContent | Refusal::Connect | Refusal::Buffered => {
                log::error!(target: "onloop::http", "{what} was refused: {}", Error::from(self));
            }
            _ => log::debug!(target: "onloop::http", "{what} after the end was dropped"),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        let (code, message) = match refusal {
            Refusal::Ended => ("ERR_STREAM_WRITE_AFTER_END", "write after end: nothing was taken"),
            Refusal::EndedTwice => ("ERR_STREAM_ALREADY_FINISHED", "the message was ended already"),
            Refusal::Destroyed => return gone(),
            Refusal::Mismatch => (
                "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
                "the content does not have the length that Content-Length announces: nothing was taken, \
                 the message can still be ended with what is missing",
            ),
            Refusal::NoContent => (
                "ERR_HTTP_BODY_NOT_ALLOWED",
                "a response to HEAD, or of status 204, 205 or 304, has no content: nothing was taken",
            ),
            Refusal::Connect => (
                "ERR_HTTP_BODY_NOT_ALLOWED",
                "CONNECT has no content: write to the socket that `on_connect` is given",
            ),
            Refusal::Buffered => {
                return Core::limit_error(
                    Limit::Buffered,
                    "ERR_BUFFER_OUT_OF_BOUNDS",
                    "more was written than `max_buffered` allows to wait: stop when `write` returns false \
                     and go on in `on_drain`",
                );
            }
        };
        Error::local(code, message)
    }
}

impl Core {
    /// Whether content of this length can be added to a message; `last` is for `end`.
    #[inline]
    pub(super) fn refusal(&mut self, id: ExchangeId, length: usize, last: bool) -> Option<Refusal> {
        let Some(active) = self.exchange(id) else {
            return Some(Refusal::Destroyed);
        };
        let outgoing = &active.outgoing;
        let is_strict = outgoing.is_strict();
        let is_choosy = is_strict || (outgoing.is_special() && outgoing.has_no_content());
        let is_open = !outgoing.is_ended() && active.failure.is_none();
        let is_lost = active.output.is_lost();
        let slot = &self.slots[id.key as usize];
        // An end must get through where nothing can be written any more, and all of what may be sent again.
        let is_dead = !last && slot.flags.has(Flags::WRITE_DEAD) && is_lost;
        let is_lenient = !is_choosy || (length == 0 && slot.kind != Kind::Server && !is_strict);
        if is_open && !is_dead && is_lenient {
            return None;
        }
        self.special_refusal(id.key, length as u64, last, is_dead)
    }

    /// The same for what is not the usual case. The exchange goes on.
    #[inline(never)]
    fn special_refusal(&self, key: u32, length: u64, last: bool, is_dead: bool) -> Option<Refusal> {
        let slot = &self.slots[key as usize];
        let active = slot.active.as_deref()?;
        let outgoing = &active.outgoing;
        if outgoing.is_ended() {
            return Some(if last && length == 0 { Refusal::EndedTwice } else { Refusal::Ended });
        }
        if is_dead || active.failure.is_some() {
            return Some(Refusal::Destroyed);
        }
        if slot.kind == Kind::Server && outgoing.has_no_content() {
            let options = &self.servers.get(slot.owner as usize)?.options;
            let refused = length > 0 && options.reject_non_standard_body_writes;
            return refused.then_some(Refusal::NoContent);
        }
        let client = active.client.as_deref();
        if length > 0 && client.is_some_and(|client| client.is_connect()) {
            return Some(Refusal::Connect);
        }
        if !outgoing.is_strict() {
            return None;
        }
        let left = outgoing.length_left()?;
        (length > left || (last && length < left)).then_some(Refusal::Mismatch)
    }
}
