//! Byte streams: connections after an upgrade, and those given to `on_client_error`.

use std::time::Duration;

use crate::content::Chunk;
use crate::engine::agent::NO_ORIGIN;
use crate::engine::deadlines::duration_of;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::{Content, Read, is_unclaimed};
use crate::engine::server_clock::{MIN_WRITE_RATE, WRITE_TIMEOUT, quota, write_timeout_error};
use crate::engine::slot::{Active, ExchangeId, Flags, Kind};
use crate::engine::{Core, ticks_or_never};
use crate::error::{Error, Result};

impl Core {
    /// Turns a connection into a byte stream of the user's, who is given its first `head` bytes at once.
    pub(crate) fn become_raw(&mut self, key: u32, head: usize) {
        self.release_partial_head(key);
        let slot = self.slot(key);
        slot.kind = Kind::Raw;
        slot.deadline = 0;
        if let Some(active) = slot.active.as_deref_mut() {
            active.release_cork();
            active.start_raw();
            active.stream_start = active.output.end();
            active.incoming.received_bytes = head as u64;
            active.timeout_ticks = 0;
            active.inactivity = Default::default();
        }
    }

    /// The next thing to do for a byte stream.
    pub(crate) fn raw_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        loop {
            let slot = self.slot(key);
            let flags = slot.flags;
            if flags.has(Flags::DESTROYED) {
                // What was written before is on its way: a refusal, then `destroy`, is how upgrades are
                // declined. What the system does not take at once is given up.
                self.flush_at_last(key);
                return self.drop_connection(key, None);
            }
            if flags.has(Flags::LINGERING) {
                if flags.has(Flags::EXPIRED) {
                    return self.drop_connection(key, None);
                }
                return self.linger_next(key, input);
            }
            if slot.active.as_deref().is_none_or(|active| active.failure.is_some()) {
                return self.raw_failed(key);
            }
            if flags.has(Flags::EXPIRED) {
                if flags.has(Flags::CLOSING) {
                    return self.drop_connection(key, Some(write_timeout_error()));
                }
                if let Some(event) = self.inactive(key) {
                    return event;
                }
            }
            match self.incoming_next(key, input) {
                Content::Event(event) => return event,
                Content::Idle if self.finds_unread_end(key, input) => continue,
                Content::Idle => {}
                Content::CutOff | Content::Broken | Content::Violation(_) => {
                    return self.drop_connection(key, Some(Core::aborted()));
                }
                Content::DiscardedTooMuch if self.has_last_words(key) => self.stop_reading(key),
                Content::DiscardedTooMuch => return self.drop_connection(key, None),
            }
            if flags.has(Flags::BROKEN) {
                return self.drop_connection(key, Some(Core::aborted()));
            }
            match self.raw_rest(key, input) {
                Event::Continue => {}
                event => return event,
            }
        }
    }

    /// Nobody reads the stream, and the peer says that it is over: it is looked at once. Where nothing comes before its
    /// end, nothing is lost by taking note of that, and a stream that is only written to does not stay for ever.
    fn finds_unread_end(&mut self, key: u32, input: &mut Input<'_>) -> bool {
        let slot = self.slot(key);
        let is_told = slot.flags.has(Flags::HANGUP) && slot.flags.has(Flags::READABLE);
        let is_blank = input.is_empty() && input.kept.is_none();
        let is_unread = |active: &Active| is_unclaimed(active) && active.input.is_empty();
        if !is_told || !is_blank || !slot.active.as_deref().is_some_and(is_unread) {
            return false;
        }
        // Bytes stay in the window, and are kept.
        let has_ended = self.read(key, input) == Read::End;
        self.active(key).incoming.complete |= has_ended;
        has_ended
    }

    /// Our side has ended, and is not out.
    fn has_last_words(&mut self, key: u32) -> bool {
        let active = self.active(key);
        active.outgoing.is_ended() && !active.is_request_sent()
    }

    /// What the peer still sends is not read any more: the stream ends once everything is out.
    fn stop_reading(&mut self, key: u32) {
        let incoming = &mut self.active(key).incoming;
        (incoming.paused, incoming.discarding) = (true, false);
        let id = self.id(key);
        self.destroy_soon(id);
    }

    /// The stream ends, by an error out of a callback. Answers to the requests before it come whole all the same, where
    /// it was handed over behind some that are not out.
    fn raw_failed(&mut self, key: u32) -> Event {
        let Core { slots, trash, .. } = self;
        let slot = &mut slots[key as usize];
        let is_behind = |active: &&mut Active| active.output.taken() < active.stream_start;
        let owner = slot.owner;
        let Some(active) =
            slot.active.as_deref_mut().filter(|_| owner != NO_ORIGIN).filter(is_behind)
        else {
            return self.drop_connection(key, None);
        };
        active.output.cut_at(active.stream_start, trash);
        let finale = self.take_finale(key, None);
        // No handle reaches it any more.
        let slot = self.slot(key);
        slot.sequence = slot.sequence.wrapping_add(1);
        self.stop_reading(key);
        finale.map_or(Event::Continue, Event::Final)
    }

    fn raw_rest(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        if !input.is_empty() || input.kept.is_some() {
            self.keep_input(key, input);
        }
        self.flush(key);
        if self.slots[key as usize].flags.has(Flags::BROKEN) {
            return Event::Continue;
        }
        match self.outgoing_event(key) {
            None => {}
            Some(Event::Done) => return self.raw_waits(key),
            Some(event) => return event,
        }
        let active = self.active(key);
        let sent = active.is_request_sent();
        let received = active.incoming.complete;
        let waits_for_end = active.callbacks.as_deref().is_some_and(|c| c.end.is_some());
        let told = waits_for_end || active.incoming.ended;
        if received && !active.outgoing.is_ended() && !told && !active.incoming.paused_by_user {
            // The peer ended and nobody wants to know: end too, as Node does without `allowHalfOpen`.
            active.release_cork();
            active.outgoing.abandon();
            return Event::Continue;
        }
        if sent && self.slots[key as usize].flags.has(Flags::CLOSING) {
            // `destroy_soon`: what was written must not be lost to a reset, so the peer's bytes are awaited and
            // dropped for a while, but nobody is told of them.
            let finale = self.take_finale(key, None);
            let lingering = self.begin_linger(key);
            return finale.map_or(lingering, Event::Final);
        }
        if sent && received {
            return self.drop_connection(key, None);
        }
        let slot = self.slot(key);
        if sent && !slot.flags.has(Flags::SHUT) {
            slot.flags.set(Flags::SHUT);
            let Core { slots, net, .. } = self;
            let slot = &mut slots[key as usize];
            if net.shutdown_write(&mut slot.source).is_err() {
                slot.flags.set(Flags::BROKEN);
                return Event::Continue;
            }
            // What nobody reads must not keep the connection open.
            let id = self.id(key);
            self.discard_if_unclaimed(id);
            return Event::Continue;
        }
        self.raw_waits(key)
    }

    /// Nothing more can be done now: the clock that the state calls for runs.
    fn raw_waits(&mut self, key: u32) -> Event {
        match self.slots[key as usize].flags.has(Flags::CLOSING) {
            true => self.arm_closing(key),
            false => self.arm_inactivity(key),
        }
        Event::Done
    }

    /// A stream that ends once everything is out waits for its peer as long as a response does: the server's
    /// `write_timeout` and `min_write_rate`, and on the side of the client the defaults of both. Its own timeout, in which
    /// nothing moves at all, runs as well.
    pub(super) fn arm_closing(&mut self, key: u32) {
        let (tick, activity) = (self.tick, self.activity);
        let slot = &mut self.slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        if activity {
            active.moved = tick;
        }
        let (limit, quota) = match self.servers.get(slot.owner as usize) {
            Some(server) => (ticks_or_never(server.options.write_timeout), server.write_quota),
            None => (ticks_or_never(WRITE_TIMEOUT), quota(WRITE_TIMEOUT, MIN_WRITE_RATE)),
        };
        active.write_pace.note(true, active.output.taken(), quota, tick);
        let silence = match active.timeout_ticks {
            0 => 0,
            ticks => active.moved.saturating_add(ticks),
        };
        let ends = [active.write_pace.end(limit), silence];
        slot.deadline = ends.into_iter().filter(|&tick| tick != 0).min().unwrap_or(0);
        if slot.deadline != 0 {
            self.sweep.note(slot.deadline);
        }
    }

    /// `destroy_soon`: the stream ends once everything is out.
    pub(crate) fn destroy_soon(&mut self, id: ExchangeId) {
        let Some(active) = self.exchange(id) else {
            return;
        };
        if !active.outgoing.is_ended() {
            self.end(id, Chunk::Borrowed(b""));
        }
        self.catch_up();
        let tick = self.tick;
        let slot = self.slot(id.key);
        if !slot.flags.has(Flags::CLOSING) {
            slot.flags.set(Flags::CLOSING);
            // Other clocks run from now on, and one that has run out is of no consequence any more.
            slot.flags.unset(Flags::EXPIRED);
            slot.deadline = 0;
            if let Some(active) = slot.active.as_deref_mut() {
                active.write_pace = Default::default();
                active.moved = tick;
            }
        }
        self.mark_dirty(id.key);
    }

    /// `reset_and_destroy`: the socket goes at once, the last calls follow with the next drive.
    pub(crate) fn reset_and_destroy(&mut self, id: ExchangeId) -> Result<()> {
        match self.exchange(id) {
            Some(_) => self.reset_connection(id.key, id.generation),
            None => Err(socket_closed()),
        }
    }

    pub(crate) fn set_no_delay(&mut self, id: ExchangeId, no_delay: bool) {
        if self.exchange(id).is_some() {
            self.with_source(id.key, id.generation, |net, source| {
                net.set_nodelay(source, no_delay)
            });
        }
    }

    pub(crate) fn set_keep_alive(&mut self, id: ExchangeId, delay: Option<Duration>) {
        if self.exchange(id).is_some() {
            self.with_source(id.key, id.generation, |net, source| net.set_keepalive(source, delay));
        }
    }

    /// What `set_timeout` has set.
    pub(crate) fn exchange_timeout(&mut self, id: ExchangeId) -> Duration {
        self.exchange(id).map_or(Duration::ZERO, |active| duration_of(active.timeout_ticks))
    }

    /// Whether the connection of an exchange keeps the loop alive.
    pub(crate) fn set_exchange_referenced(&mut self, id: ExchangeId, referenced: bool) {
        if self.exchange(id).is_some() {
            self.set_slot_referenced(id.key, referenced);
        }
    }
}

/// The socket of a handle is closed.
#[cold]
pub(crate) fn socket_closed() -> Error {
    Error::local("ERR_SOCKET_CLOSED", "the socket is closed")
}
