//! The clocks of a server's connection: which of them runs, and what follows when it has run out.
//!
//! A slot has one deadline, the soonest of the clocks that run. When it has passed, each is looked at again. Single
//! bytes extend none of those that guard the server: the clocks of messages are absolute, those of slow content and slow
//! readers ask for a [`Pace`]. Only `timeout`, Node's inactivity, is what its name says, and is off by default.

use std::time::Duration;

use crate::engine::deadlines::ticks;
use crate::engine::event::Event;
use crate::engine::server_failure::timeout_error;
use crate::engine::server_side::Step;
use crate::engine::slot::{Active, Flags, Inactivity, Stage};
use crate::engine::{Core, ServerEntry, tick_at, ticks_or_never};
use crate::error::{Clock, Error, ErrorKind};

/// Defaults of `write_timeout` and `min_write_rate`.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const MIN_WRITE_RATE: u32 = 240;

/// For how long a request's content may come more slowly than `min_body_rate`.
pub(crate) const BODY_RATE_SPAN: Duration = Duration::from_secs(30);

/// A span of time within which a peer has to move a quota of bytes; then the next one begins. So neither single bytes
/// nor what was moved long ago buys a peer time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    /// The tick in which the span began; 0 is none.
    since: u32,
    /// How many bytes had been moved then.
    moved: u64,
}

impl Pace {
    /// The tick in which a span of so many ends; 0 is none.
    #[inline]
    pub(super) fn end(self, ticks: u32) -> u32 {
        match (self.since, ticks) {
            (0, _) | (_, 0) => 0,
            (since, ticks) => since.saturating_add(ticks),
        }
    }

    /// Takes note of how many bytes have been moved so far, at `tick`; where none is awaited no time passes.
    #[inline]
    pub(super) fn note(&mut self, awaited: bool, moved: u64, quota: u64, tick: u32) {
        if !awaited {
            self.since = 0;
        } else if self.since == 0 || moved.saturating_sub(self.moved) >= quota {
            *self = Pace { since: tick, moved };
        }
    }
}

/// How many bytes have to move in this time at this rate; one at least.
pub(crate) fn quota(span: Duration, bytes_per_second: u32) -> u64 {
    span.as_secs().saturating_mul(u64::from(bytes_per_second)).max(1)
}

/// A clock that runs, and the tick in which it runs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    /// `write_timeout`: the client takes nothing of what waits for it.
    Write,
    Headers,
    Request,
    /// `min_body_rate`: the content comes too slowly.
    BodyRate,
    /// `timeout`, of the server or set on the exchange.
    Inactivity,
}

/// The clocks that run for a connection with state.
fn clocks(active: &Active, server: &ServerEntry, is_head_awaited: bool) -> [(Running, u32); 4] {
    let since = |begin: u32, ticks: u32| match ticks {
        0 => 0,
        ticks => begin.saturating_add(ticks),
    };
    let since_start = |limit: Duration| since(tick_at(active.started), ticks_or_never(limit));
    let write = active.write_pace.end(ticks_or_never(server.options.write_timeout));
    let body = active.incoming.pace.end(ticks(BODY_RATE_SPAN));
    let message = match active.stage {
        Stage::Head if !is_head_awaited => (Running::Headers, 0),
        Stage::Head => (Running::Headers, since_start(server.options.headers_limit())),
        _ if active.incoming.complete => (Running::Request, 0),
        _ => (Running::Request, since_start(server.options.request_timeout)),
    };
    let inactivity = match active.inactivity {
        Inactivity::Told => 0,
        _ => since(active.moved, active.timeout_ticks),
    };
    [(Running::Write, write), message, (Running::BodyRate, body), (Running::Inactivity, inactivity)]
}

impl Active {
    /// Takes note of what the client has taken of the response and sent of the content.
    #[inline]
    fn note_pace(&mut self, server: &ServerEntry, tick: u32) {
        let is_unread = self.is_unread();
        self.write_pace.note(is_unread, self.output.taken(), server.write_quota, tick);
        let is_awaited = self.is_content_timed(server);
        let incoming = &mut self.incoming;
        incoming.pace.note(is_awaited, incoming.received_bytes, server.body_quota, tick);
    }

    /// Something waits for the client to take it.
    #[inline]
    fn is_unread(&self) -> bool {
        // A file's content that the disk has not given yet is not the client's to answer for.
        let is_file_unread = self.file.as_deref().is_some_and(|file| !file.awaits_disk());
        !self.output.is_empty() || is_file_unread
    }

    /// The client has content to send, and at a rate.
    #[inline]
    fn is_content_timed(&self, server: &ServerEntry) -> bool {
        let incoming = &self.incoming;
        self.stage != Stage::Head
            && !incoming.complete
            && (!incoming.paused || incoming.discarding)
            && server.body_quota != 0
    }

    /// The spans of the client's rates have begun where they have to.
    #[cfg(feature = "sim")]
    pub(super) fn paces_run(&self, server: &ServerEntry) -> bool {
        let (writes, reads) = (self.write_pace, self.incoming.pace);
        (writes.since != 0 || !self.is_unread())
            && (reads.since != 0 || !self.is_content_timed(server))
    }
}

/// A head has a clock from its first byte on, the first one of a connection from accept on. Where a former
/// response is not out yet a head may be here and not looked at, which is not the client's to answer for.
fn is_head_awaited(active: &Active, flags: Flags, sequence: u32) -> bool {
    (active.partial || sequence == 0) && !flags.has(Flags::CLOSING)
}

/// The client takes nothing.
pub(super) fn write_timeout_error() -> Error {
    let message = "the client does not read the response";
    Error::new(ErrorKind::Timeout(Clock::Write), "ETIMEDOUT", message)
}

impl Core {
    /// Gives back the state of an idle connection; arms the clock of the others.
    pub(super) fn server_deadline(&mut self, key: u32) {
        let slot = &mut self.slots[key as usize];
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), self.servers.get(slot.owner as usize))
        else {
            return;
        };
        let idle = active.stage == Stage::Head
            && active.output.is_empty()
            && active.input.is_empty()
            && !slot.flags.has(Flags::CLOSING);
        // Before its first request a connection has a state only for the sake of its timeout, and a clock that
        // began when it was accepted.
        if idle && slot.sequence != 0 {
            let ticks = server.keep_alive_ticks;
            if let Some(mut active) = slot.active.take() {
                active.timeout_ticks = 0;
                active.inactivity = Inactivity::None;
                self.pool.recycle_active(active);
            }
            self.arm(key, ticks);
            return;
        }
        if self.activity || active.moved == 0 {
            active.moved = self.tick;
            active.inactivity = Inactivity::None;
        }
        active.note_pace(server, self.tick);
        let awaited = is_head_awaited(active, slot.flags, slot.sequence);
        let soonest =
            clocks(active, server, awaited).into_iter().map(|(_, tick)| tick).filter(|&t| t != 0);
        slot.deadline = soonest.min().unwrap_or(0);
        if slot.deadline != 0 {
            self.sweep.note(slot.deadline);
        }
    }

    /// The deadline that the state of a connection calls for.
    #[cfg(feature = "sim")]
    pub(super) fn server_clock_due(&self, key: u32) -> u32 {
        let slot = &self.slots[key as usize];
        let server = self.servers.get(slot.owner as usize);
        let Some((active, server)) = slot.active.as_deref().zip(server) else {
            return 0;
        };
        let awaited = is_head_awaited(active, slot.flags, slot.sequence);
        let clocks = clocks(active, server, awaited).into_iter().map(|(_, tick)| tick);
        clocks.filter(|&tick| tick != 0).min().unwrap_or(0)
    }

    /// A deadline has passed; which one follows from the state.
    pub(super) fn server_expired(&mut self, key: u32) -> Step {
        let now = self.tick.saturating_sub(1);
        let slot = &mut self.slots[key as usize];
        if slot.flags.has(Flags::LINGERING) {
            return Step::Event(self.drop_connection(key, None));
        }
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), self.servers.get(slot.owner as usize))
        else {
            log::debug!(target: "onloop::server", "connection {key}: idle for too long");
            slot.flags.unset(Flags::EXPIRED);
            slot.flags.set(Flags::CLOSING);
            return Step::Again;
        };
        if !matches!(active.inactivity, Inactivity::None | Inactivity::Told) {
            return self.server_inactive(key);
        }
        // What was done from elsewhere, as a pause is, has not been noted.
        active.note_pace(server, self.tick);
        let awaited = is_head_awaited(active, slot.flags, slot.sequence);
        let expired =
            clocks(active, server, awaited).into_iter().find(|&(_, at)| at != 0 && at <= now);
        let Some((clock, _)) = expired else {
            // It was moved on since.
            slot.flags.unset(Flags::EXPIRED);
            return Step::Again;
        };
        if clock == Running::Inactivity {
            return self.server_inactive(key);
        }
        slot.flags.unset(Flags::EXPIRED);
        match clock {
            Running::Write => Step::Event(self.drop_connection(key, Some(write_timeout_error()))),
            Running::Headers if active.progress.is_blank() => {
                slot.flags.set(Flags::CLOSING);
                Step::Again
            }
            Running::Headers => self.server_client_error(key, 408, timeout_error(Clock::Headers)),
            Running::BodyRate => self.server_client_error(key, 408, timeout_error(Clock::BodyRate)),
            _ => self.server_client_error(key, 408, timeout_error(Clock::Request)),
        }
    }

    /// Nothing has moved for the time that was set: the request is told, where it is not complete, then the
    /// response, then the server. Where nobody listens the connection ends.
    fn server_inactive(&mut self, key: u32) -> Step {
        let id = self.id(key);
        let slot = &mut self.slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return Step::Again;
        };
        let callbacks = active.callbacks.as_deref_mut();
        match active.inactivity {
            Inactivity::None | Inactivity::Told => {
                let callback = callbacks
                    .filter(|_| !active.incoming.complete)
                    .and_then(|callbacks| callbacks.more()?.incoming_timeout.take());
                active.inactivity = Inactivity::Request(callback.is_some());
                callback.map_or(Step::Again, |callback| {
                    Step::Event(Event::IncomingTimeout { callback, id })
                })
            }
            Inactivity::Request(told) => {
                let callback = callbacks.and_then(|callbacks| callbacks.more()?.timeout.take());
                active.inactivity = Inactivity::Response(told || callback.is_some());
                callback
                    .map_or(Step::Again, |callback| Step::Event(Event::Timeout { callback, id }))
            }
            Inactivity::Response(told) => {
                let server = u32::from(slot.owner);
                let handler = self
                    .servers
                    .get_mut(server as usize)
                    .and_then(|server| server.callbacks.timeout.take());
                active.inactivity = Inactivity::Server(told || handler.is_some());
                handler.map_or(Step::Again, |handler| {
                    Step::Event(Event::ServerTimeout { handler, server, id })
                })
            }
            Inactivity::Server(true) => {
                active.inactivity = Inactivity::Told;
                slot.flags.unset(Flags::EXPIRED);
                Step::Again
            }
            Inactivity::Server(false) => {
                log::debug!(target: "onloop::server", "connection {key}: nothing moves, closed");
                Step::Event(self.drop_connection(key, None))
            }
        }
    }

    /// Gives a connection that was just accepted a state, which keeps its timeout until its first request.
    pub(super) fn keep_first_timeout(&mut self, key: u32, ticks: u32) {
        let (started, now) = (self.accepted_at(key), self.tick);
        let active = self.await_head(key, started);
        active.timeout_ticks = ticks;
        active.moved = now;
        self.server_deadline(key);
    }
}
