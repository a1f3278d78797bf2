//! What the slab holds: one entry per listener, server connection and client request or connection.
//! An idle connection is a [`Slot`] and nothing else; what is in flight lives in [`Active`].

use crate::engine::callbacks::Callbacks;
use crate::engine::client_side::ClientState;
use crate::engine::cork::Corked;
use crate::engine::files::FileContent;
use crate::engine::output::Output;
use crate::engine::server_clock::Pace;
use crate::error::Error;
use crate::h1::{BodyDecoder, Head, HeadProgress, Outgoing};
use crate::net::{Readiness, Source, Time};

/// Names one exchange on one connection. The generation changes with the slot's owner, the sequence with
/// the exchange, so a stale name never reaches a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ExchangeId {
    pub(crate) key: u32,
    pub(crate) generation: u32,
    pub(crate) sequence: u32,
}

impl ExchangeId {
    /// The name of nothing.
    pub(crate) const NONE: ExchangeId =
        ExchangeId { key: u32::MAX, generation: u32::MAX, sequence: u32::MAX };
}

/// What a slot is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Listener,
    Server,
    Client,
    /// An address that is tried beside another one, for a client request whose key is in `sequence`.
    Attempt,
    /// After an upgrade: bytes without HTTP.
    Raw,
}

/// One bit per fact about a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(u16);

impl Flags {
    /// An edge said so and no read has emptied the socket since.
    pub(crate) const READABLE: Flags = Flags(1);
    /// The last write was short: wait for an edge.
    pub(crate) const WRITE_BLOCKED: Flags = Flags(1 << 1);
    /// The peer's end of stream is on its way: a short read proves nothing.
    pub(crate) const HANGUP: Flags = Flags(1 << 2);
    /// The connection is broken both ways.
    pub(crate) const BROKEN: Flags = Flags(1 << 3);
    /// The peer's end of stream was read.
    pub(crate) const END_OF_INPUT: Flags = Flags(1 << 4);
    /// Is on the dirty list, or on that of those who leave.
    pub(crate) const DIRTY: Flags = Flags(1 << 5);
    /// The user asked for the end; no handle reaches it any more.
    pub(crate) const DESTROYED: Flags = Flags(1 << 6);
    /// Our side is shut down; what still comes is dropped until the peer's end (RFC 9112 §9.6).
    pub(crate) const LINGERING: Flags = Flags(1 << 7);
    /// Does not keep the loop alive.
    pub(crate) const UNREFERENCED: Flags = Flags(1 << 8);
    /// Close as soon as the output is flushed.
    pub(crate) const CLOSING: Flags = Flags(1 << 9);
    /// Nothing more can be written, but answers may still be read.
    pub(crate) const WRITE_DEAD: Flags = Flags(1 << 10);
    /// Was used for an exchange before: a client connection from the pool.
    pub(crate) const REUSED: Flags = Flags(1 << 11);
    /// A deadline has passed; the next drive deals with it.
    pub(crate) const EXPIRED: Flags = Flags(1 << 12);
    /// Our side of the stream is shut down.
    pub(crate) const SHUT: Flags = Flags(1 << 13);
    /// Was accepted and not yet told to `on_connection`.
    pub(crate) const UNANNOUNCED: Flags = Flags(1 << 14);
    /// The socket was made elsewhere: others may have descriptors of it, and the path of a listener is theirs.
    pub(crate) const ADOPTED: Flags = Flags(1 << 15);

    /// Facts about the socket, which go along where it moves to another slot.
    pub(crate) const OF_THE_SOCKET: Flags =
        Flags::HANGUP.and(Flags::BROKEN).and(Flags::WRITE_BLOCKED).and(Flags::ADOPTED);

    #[inline]
    pub(crate) const fn has(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(crate) fn set(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    #[inline]
    pub(crate) fn unset(&mut self, other: Flags) {
        self.0 &= !other.0;
    }

    pub(crate) const fn and(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// Those of both.
    pub(crate) const fn only(self, other: Flags) -> Flags {
        Flags(self.0 & other.0)
    }
}

/// An entry of the slab. Its size is what an idle connection costs, so a test holds it to 40 bytes.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) source: Source,
    pub(crate) generation: u32,
    pub(crate) sequence: u32,
    /// In ticks of the loop's deadline clock; 0 is none. What it means follows from the state.
    pub(crate) deadline: u32,
    /// The server's key, or the origin's.
    pub(crate) owner: u16,
    pub(crate) flags: Flags,
    pub(crate) kind: Kind,
    pub(crate) active: Option<Box<Active>>,
}

impl Slot {
    /// What an event says of the socket.
    #[inline(always)]
    pub(super) fn take_note(&mut self, readiness: Readiness) {
        let flags = &mut self.flags;
        if readiness.contains(Readiness::READABLE) {
            flags.set(Flags::READABLE);
        }
        if readiness.contains(Readiness::WRITABLE) {
            flags.unset(Flags::WRITE_BLOCKED);
        }
        if readiness.is_closing() {
            flags.set(Flags::HANGUP.and(Flags::READABLE));
            if readiness.contains(Readiness::ERROR) && self.kind != Kind::Listener {
                flags.set(Flags::BROKEN);
            }
        }
    }

    /// The connection is broken, and nothing is left of what came before: a read that found nothing since its budget was
    /// used up proves nothing.
    pub(super) fn is_broken_and_read(&self) -> bool {
        self.flags.has(Flags::BROKEN) && !self.flags.has(Flags::READABLE)
    }
}

/// Where an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The head of the incoming message is awaited or partly here.
    #[default]
    Head,
    /// The head was given to the user.
    Exchange,
    /// Client only: no connection yet.
    Unconnected,
    /// Client only: the answer is not the user's, the request goes on elsewhere.
    Leaving,
}

/// What is in flight on one connection. Pooled: everything that owns memory keeps it across exchanges.
#[derive(Default)]
pub(crate) struct Active {
    pub(crate) stage: Stage,
    /// Received; what is before `input_from` was understood, what is behind it was not yet. Empty where nothing is.
    pub(crate) input: Vec<u8>,
    pub(crate) input_from: u32,
    pub(crate) progress: HeadProgress,
    /// `input` is a head that was parsed as far as it is here: more bytes are needed, not another look.
    pub(crate) partial: bool,
    /// Its share in what partial heads take of the loop: see `partial_heads`.
    pub(crate) partial_bytes: u32,
    /// When the message that is being received began.
    pub(crate) started: Time,
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) output: Output,
    /// The place in the output where the head begins that was rendered last, where its content may follow.
    pub(crate) message_start: u64,
    /// What is held back between `cork` and `uncork`.
    pub(crate) corked: Option<Box<Corked>>,
    /// Where the output was when it became a byte stream.
    pub(crate) stream_start: u64,
    /// What goes out behind `output` and ends the message, which nothing can be added to any more.
    pub(crate) file: Option<Box<FileContent>>,
    pub(crate) callbacks: Option<Box<Callbacks>>,
    pub(crate) client: Option<Box<ClientState>>,
    /// What ends this exchange: set by an error out of a handler, by `destroy`, by the hard cap of `write`.
    /// Nothing can be written from then on.
    pub(crate) failure: Option<Error>,
    /// `write` has returned false; `on_drain` is owed.
    pub(crate) need_drain: bool,
    /// The message that is piped into our outgoing one: resumed when there is room again.
    pub(crate) piped_from: Option<ExchangeId>,
    /// Inactivity after which `on_timeout` is due, in ticks; 0 is never.
    pub(crate) timeout_ticks: u32,
    /// The tick in which a byte moved last, as far as a clock needs it; 0 is unknown.
    pub(crate) moved: u32,
    pub(crate) inactivity: Inactivity,
    /// How fast the client takes what we send; only on a server's connection.
    pub(crate) write_pace: Pace,
}

/// Who has been told that nothing moves. Each is told once, until something moves again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Inactivity {
    #[default]
    None,
    /// The clock ran out; the request is to be told next. The flag: somebody listened.
    Request(bool),
    Response(bool),
    Server(bool),
    /// All have been told.
    Told,
}

/// The message being received.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) decoder: BodyDecoder,
    /// `pause` was called, or nobody has asked for the content yet.
    pub(crate) paused: bool,
    /// The user called `pause` (as opposed to nobody listening).
    pub(crate) paused_by_user: bool,
    /// The content's last byte was delivered or dropped.
    pub(crate) complete: bool,
    /// `on_end` was delivered, or is not owed any more.
    pub(crate) ended: bool,
    /// What was there to be collected was given away; whoever asks for it again gets nothing, many times.
    pub(crate) collected: bool,
    /// Content is read and dropped: nobody wants it.
    pub(crate) discarding: bool,
    pub(crate) discarded_bytes: usize,
    /// Bytes of content that came.
    pub(crate) received_bytes: u64,
    /// How fast they come; only on a server's connection.
    pub(crate) pace: Pace,
    /// Another exchange's outgoing message takes the content.
    pub(crate) pipe_to: Option<ExchangeId>,
    pub(crate) trailers: Option<Box<Head>>,
    /// Of the request: needed for the framing of the response, and for 1xx.
    pub(crate) minor: u8,
    /// A `100 Continue` is expected by the client and was not sent.
    pub(crate) continue_owed: bool,
}

impl Incoming {
    /// Ready for a new message with this decoder.
    pub(crate) fn start(&mut self, decoder: BodyDecoder) {
        let complete = decoder.is_done();
        *self = Incoming { decoder, paused: true, complete, minor: 1, ..Incoming::default() };
    }

    /// A trailer section is here, or a part of one.
    #[cfg(feature = "sim")]
    pub(crate) fn has_trailers(&self) -> bool {
        self.trailers.is_some() || self.decoder.has_trailers()
    }
}

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Active").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl Active {
    pub(crate) fn callbacks_mut(&mut self) -> &mut Callbacks {
        self.callbacks.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape of the slab's entries.
    #[expect(dead_code, reason = "only its size is asked for")]
    enum Entry {
        Vacant(usize),
        Occupied(Slot),
    }

    #[test]
    fn an_idle_connection_is_40_bytes() {
        // A source is eight bytes as it is shipped; with debug assertions mio's sockets know their poller.
        assert!(size_of::<Slot>() <= 32 + size_of::<Source>(), "{}", size_of::<Slot>());
        #[cfg(all(not(debug_assertions), not(mio_unsupported_force_poll_poll)))]
        assert!(size_of::<Slot>() <= 40, "{}", size_of::<Slot>());
        // A free entry is told by a value that no slot has: it costs nothing.
        assert_eq!(size_of::<Entry>(), size_of::<Slot>());
    }

    #[test]
    fn what_is_boxed_is_small_where_it_is_kept() {
        assert_eq!(size_of::<Option<Box<Active>>>(), size_of::<usize>());
        assert!(size_of::<ExchangeId>() <= 12);
    }

    /// Thousands of slow requests may be in flight, each with both.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn state_in_flight_is_small() {
        assert!(size_of::<Active>() <= 472, "{}", size_of::<Active>());
        assert!(size_of::<Callbacks>() <= 200, "{}", size_of::<Callbacks>());
    }
}
