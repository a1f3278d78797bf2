//! Receiving the content of a message, the same for requests, responses and raw streams.

use std::io;

use crate::engine::callbacks::Collect;
use crate::engine::event::{Event, Input};
use crate::engine::slot::{Active, Flags, Kind, Slot};
use crate::engine::{Core, ExchangeId};
use crate::error::Error;
use crate::h1::{Decoded, Violation};

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// Bytes, in the window.
    Some,
    /// None now; the system will tell when there are.
    Nothing,
    /// The peer's end of stream.
    End,
    /// The connection is broken.
    Broken,
}

/// What receiving content led to.
pub(crate) enum Content {
    Event(Event),
    /// Nothing to do before something else happens.
    Idle,
    /// The bytes are not what the framing promised.
    Violation(Violation),
    /// The peer's end of stream came before the content's.
    CutOff,
    Broken,
    /// More was dropped than is worth it.
    DiscardedTooMuch,
}

impl Core {
    /// Reads once into an empty window.
    pub(crate) fn read(&mut self, key: u32, input: &mut Input<'_>) -> Read {
        debug_assert!(input.is_empty());
        let slot = &mut self.slots[key as usize];
        if let Some(mut kept) = input.kept.take() {
            // Its memory is for the next partial message of this connection.
            kept.clear();
            if let Some(active) = slot.active.as_deref_mut() {
                active.input = kept;
                active.input_from = 0;
            }
            input.filled(0);
        }
        if !slot.flags.has(Flags::READABLE) {
            return Read::Nothing;
        }
        if self.reads_left == 0 {
            self.mark_dirty_later(key);
            return Read::Nothing;
        }
        self.reads_left -= 1;
        match self.net.read(&mut slot.source, input.buffer) {
            Ok(0) => {
                slot.flags.unset(Flags::READABLE);
                slot.flags.set(Flags::END_OF_INPUT);
                Read::End
            }
            Ok(count) => {
                // The kernel's buffer is empty after a short read, unless an end of stream hides behind
                // the bytes: data and FIN may have come in one event.
                if count < input.buffer.len()
                    && !slot.flags.has(Flags::HANGUP)
                    && self.net.short_read_drains()
                {
                    slot.flags.unset(Flags::READABLE);
                }
                self.activity = true;
                input.filled(count);
                Read::Some
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.flags.unset(Flags::READABLE);
                Read::Nothing
            }
            Err(error) => {
                log::debug!(target: "onloop::connection", "connection {key}: read: {error}");
                slot.flags.unset(Flags::READABLE);
                slot.flags.set(Flags::BROKEN);
                self.io_failure = Some(((key, slot.generation), Error::io(&error, "read")));
                Read::Broken
            }
        }
    }

    /// Makes the window non-empty: from what was kept, else from the socket.
    #[inline]
    pub(crate) fn fill(&mut self, key: u32, input: &mut Input<'_>) -> Read {
        let slot = &mut self.slots[key as usize];
        if let Some(active) = slot.active.as_deref_mut().filter(|active| !active.input.is_empty()) {
            active.give_input(input);
            return Read::Some;
        }
        if slot.flags.has(Flags::END_OF_INPUT) {
            return Read::End;
        }
        self.read(key, input)
    }

    /// Goes on with the content of the incoming message until there is something to tell.
    pub(crate) fn incoming_next(&mut self, key: u32, input: &mut Input<'_>) -> Content {
        loop {
            let active = self.active(key);
            let incoming = &mut active.incoming;
            if incoming.complete {
                return self.incoming_complete(key);
            }
            if incoming.paused && !incoming.discarding {
                return Content::Idle;
            }
            if incoming.continue_owed && !incoming.discarding {
                incoming.continue_owed = false;
                if !active.outgoing.head_is_sent() {
                    active.output.tail().bytes.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            if input.is_empty() {
                match self.fill(key, input) {
                    Read::Some => {}
                    Read::Nothing => return Content::Idle,
                    Read::Broken => return Content::Broken,
                    Read::End => {
                        let incoming = &mut self.active(key).incoming;
                        if incoming.decoder.end_of_input().is_err() {
                            return Content::CutOff;
                        }
                        incoming.complete = true;
                        continue;
                    }
                }
            }
            if let Some(content) = self.decode(key, input) {
                return content;
            }
        }
    }

    /// One step of the decoder; `None` to go on.
    fn decode(&mut self, key: u32, input: &mut Input<'_>) -> Option<Content> {
        let discarded_max = self.discarded_bytes_max(key);
        let limits = self.body_limits(key);
        let active = self.slots[key as usize].active.as_deref_mut()?;
        let incoming = &mut active.incoming;
        let (skip, length) = match incoming.decoder.decode(input.bytes(), &limits) {
            Ok(Decoded::More(count)) => {
                input.consume(count);
                return None;
            }
            Ok(Decoded::End(count)) => {
                input.consume(count);
                incoming.complete = true;
                incoming.trailers = incoming.decoder.take_trailers();
                return None;
            }
            Ok(Decoded::Data { skip, len }) => (skip, len),
            Err(violation) => return Some(Content::Violation(violation)),
        };
        if incoming.decoder.is_done() {
            // No more bytes will come to say so.
            incoming.complete = true;
        }
        input.consume(skip);
        let range = input.from..input.from + length;
        input.consume(length);
        incoming.received_bytes += length as u64;
        if incoming.discarding {
            incoming.discarded_bytes += length;
            return (incoming.discarded_bytes > discarded_max).then_some(Content::DiscardedTooMuch);
        }
        if let Some(target) = incoming.pipe_to {
            self.pipe_content(key, target, input.slice(range));
            return None;
        }
        let callbacks = active.callbacks.as_deref_mut()?;
        if callbacks.collect.is_some() {
            return self.collect(key, input.slice(range));
        }
        let callback = callbacks.data.take()?;
        let id = self.id(key);
        Some(Content::Event(Event::Data { callback, id, range }))
    }

    /// Keeps a piece of content for `collect`. Where it is too much, what follows is dropped as content is
    /// that nobody reads.
    fn collect(&mut self, key: u32, piece: &[u8]) -> Option<Content> {
        let id = self.id(key);
        let active = self.active(key);
        let callbacks = active.callbacks.as_deref_mut()?;
        if callbacks.collect.as_deref_mut()?.take(piece) {
            return None;
        }
        active.incoming.discarding = true;
        let callback = callbacks.collect.take()?.callback;
        Some(Content::Event(Event::Collected { callback, id, result: Err(Collect::too_large()) }))
    }

    /// All content is delivered: what is owed for that.
    fn incoming_complete(&mut self, key: u32) -> Content {
        let slot = &mut self.slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return Content::Idle;
        };
        // What is owed to a client is delivered after the connection went back to the pool, so that a request
        // made in it finds the connection there. Only trailers must still be readable in it.
        let waits_for_pool = slot.kind == Kind::Client
            && active.is_request_sent()
            && active.incoming.trailers.is_none();
        let id = ExchangeId { key, generation: slot.generation, sequence: slot.sequence };
        let incoming = &mut active.incoming;
        if let Some(callbacks) = active.callbacks.as_deref_mut().filter(|_| !waits_for_pool) {
            if incoming.collected && callbacks.collect.is_some() {
                if self.requests_left == 0 {
                    self.mark_dirty_later(key);
                    return Content::Idle;
                }
                self.requests_left -= 1;
            }
            if let Some(collect) = callbacks.collect.take() {
                incoming.collected = true;
                let (callback, result) = collect.finish(!incoming.discarding);
                return Content::Event(Event::Collected { callback, id, result });
            }
        }
        if incoming.ended || (incoming.paused_by_user && !incoming.discarding) {
            return Content::Idle;
        }
        if let Some(target) = incoming.pipe_to.take() {
            self.pipe_end(key, target);
            // `on_end` is owed for piped content, too.
            return self.incoming_complete(key);
        }
        if waits_for_pool {
            return Content::Idle;
        }
        match active.callbacks.as_deref_mut().and_then(|callbacks| callbacks.end.take()) {
            Some(callback) => {
                active.incoming.ended = true;
                Content::Event(Event::End { callback, id })
            }
            None => Content::Idle,
        }
    }

    /// `resume`, `on_data` and `pipe` make content flow; `pause` stops it.
    pub(crate) fn set_paused(&mut self, id: ExchangeId, paused: bool) {
        let Some(active) = self.exchange(id) else {
            return;
        };
        active.incoming.paused = paused;
        active.incoming.paused_by_user = paused;
        // What is left of a request that was answered is dropped, whoever has stopped reading it.
        let is_answered = active.outgoing.is_ended();
        if !paused || is_answered {
            self.mark_dirty(id.key);
        }
    }

    /// `collect`: takes what is given where the exchange goes on; gives back what was there before.
    pub(crate) fn start_collecting(
        &mut self,
        id: ExchangeId,
        collect: &mut Option<Box<Collect>>,
    ) -> Option<Box<Collect>> {
        let incoming = &self.exchange(id)?.incoming;
        let goes_elsewhere = incoming.pipe_to.is_some() || incoming.discarding;
        let callbacks = self.callbacks(id)?;
        if let Some(collect) = collect.as_deref_mut() {
            collect.goes_elsewhere = goes_elsewhere;
        }
        let displaced = std::mem::replace(&mut callbacks.collect, collect.take());
        self.set_paused(id, false);
        displaced
    }

    /// Nobody will read the content of this message: it is dropped, within the bound.
    pub(crate) fn discard_if_unclaimed(&mut self, id: ExchangeId) {
        let Some(active) = self.exchange(id) else {
            return;
        };
        if is_unclaimed(active) {
            active.incoming.discarding = true;
            self.mark_dirty(id.key);
        }
    }
}

/// No listener, no pipe, no explicit pause.
pub(super) fn is_unclaimed(active: &Active) -> bool {
    let incoming = &active.incoming;
    let has_listener = active.callbacks.as_deref().is_some_and(|c| c.data.is_set());
    incoming.paused && !incoming.paused_by_user && incoming.pipe_to.is_none() && !has_listener
}

impl Active {
    /// What was kept is worked on again. Out of line: most messages come in one piece.
    #[inline(never)]
    fn give_input(&mut self, input: &mut Input<'_>) {
        let from = std::mem::take(&mut self.input_from) as usize;
        input.load(std::mem::take(&mut self.input), from);
    }

    /// Our whole message was handed to the system.
    pub(crate) fn is_request_sent(&self) -> bool {
        self.outgoing.is_ended()
            && self.output.is_empty()
            && !self.output.is_lost()
            && self.file.is_none()
    }
}

impl Slot {
    /// Something other than the usual course is due.
    #[inline]
    pub(crate) fn has_exception(&self) -> bool {
        const EXCEPTIONS: Flags = Flags::DESTROYED
            .and(Flags::BROKEN)
            .and(Flags::EXPIRED)
            .and(Flags::LINGERING)
            .and(Flags::CLOSING)
            .and(Flags::UNANNOUNCED);
        self.flags.has(EXCEPTIONS)
    }
}
