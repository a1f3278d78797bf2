//! How connections and servers end: politely, so that the last answer is not destroyed by a reset.

use std::time::Duration;

use crate::engine::Core;
use crate::engine::callbacks::{Callbacks, Finale, Told};
use crate::engine::cork::Corked;
use crate::engine::deadlines::ticks;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::Read;
use crate::engine::output::Trash;
use crate::engine::over::Over;
use crate::engine::slot::{Active, ExchangeId, Flags, Kind, Stage};
use crate::error::{Error, ErrorKind};
use crate::h1::Delimiter;

/// How long a closed connection is read and dropped while the peer has not closed its side (RFC 9112 §9.6). There is no
/// bound in bytes: a client that sends everything before it reads would lose the answer to each longer upload.
const LINGER: Duration = Duration::from_secs(2);

/// What an exchange that ends early leaves to be dealt with.
pub(super) struct Remains {
    pipe_to: Option<ExchangeId>,
    piped_from: Option<ExchangeId>,
    callbacks: Option<Box<Callbacks>>,
    failure: Option<Error>,
    /// Its incoming message was cut off.
    aborted: bool,
    corked: Option<Box<Corked>>,
    /// The outgoing message is a response, not a request or a stream.
    is_response: bool,
    over: Over,
}

impl Active {
    /// No byte of a message is here, and none is to be sent.
    fn is_idle(&self) -> bool {
        self.stage == Stage::Head
            && self.progress.is_blank()
            && self.input.is_empty()
            && self.output.is_empty()
    }

    /// What waits of a message that is not ended is not sent: its end would not come. Answers before it are.
    pub(super) fn drop_unended(&mut self, trash: &mut Trash) {
        if self.outgoing.head_is_sent() && !self.outgoing.is_ended() {
            self.output.cut_at(self.message_start, trash);
        }
    }

    /// A response whose end is told by that of the connection, and which is not ended, or not out.
    pub(super) fn would_look_whole(&self) -> bool {
        let is_out = self.outgoing.is_ended() && self.output.is_empty() && self.file.is_none();
        self.outgoing.head_is_sent() && !is_out && self.outgoing.delimiter() == Delimiter::Close
    }

    /// Ends the exchange wherever it stands: nothing of it may go along to the next one that this state
    /// serves.
    pub(super) fn end_early(&mut self, id: ExchangeId, kind: Kind) -> Remains {
        let over = self.progress_of(id);
        // Only now: with its file the message counted as unsent.
        self.file = None;
        // Nor is it what the next connection that this state serves has not ended.
        self.outgoing.abandon();
        self.incoming.decoder.forget_trailers();
        Remains {
            over,
            corked: self.corked.take(),
            is_response: kind == Kind::Server,
            aborted: self.stage == Stage::Exchange && !self.incoming.complete,
            pipe_to: self.incoming.pipe_to.take(),
            piped_from: self.piped_from.take(),
            failure: self.failure.take(),
            callbacks: self.end_exchange(),
        }
    }
}

impl Core {
    /// Removes a slot; the calls that are owed to its exchange, if any.
    pub(crate) fn drop_connection(&mut self, key: u32, error: Option<Error>) -> Event {
        let Some(slot) = self.slots.get(key as usize) else {
            return Event::Done;
        };
        let (kind, id) = (slot.kind, self.id(key));
        if kind == Kind::Server {
            let Core { slots, trash, .. } = self;
            if let Some(active) = slots[key as usize].active.as_deref_mut() {
                active.drop_unended(trash);
            }
            // Answers that were ended before are on their way: those to earlier requests, and `end`, then
            // `destroy`, which refuses an upload with a reason. What the system does not take at once is given
            // up.
            self.flush_at_last(key);
        }
        if matches!(kind, Kind::Server | Kind::Raw) {
            self.reset_what_would_look_whole(key);
        }
        let Some(mut active) = self.remove_slot(key) else {
            return Event::Done;
        };
        let remains = active.end_early(id, kind);
        if let Some(client) = active.client.take() {
            self.client_over(client);
        }
        active.output.recycle(&mut self.trash);
        self.pool.recycle_active(active);
        self.finale_of(remains, error).map_or(Event::Done, Event::Final)
    }

    /// A response whose end is told by that of the connection, or a stream, which is not ended or not out, is cut off by
    /// a reset: an end of stream would make it look whole (RFC 9112 §8).
    fn reset_what_would_look_whole(&mut self, key: u32) {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        // A stream that the user destroys ends as it is, if nothing of it is given up: that is how upgrades are declined.
        let is_meant = slot.kind == Kind::Raw && slot.flags.has(Flags::DESTROYED);
        let would_look_whole =
            |active: &Active| active.would_look_whole() && !(is_meant && active.output.is_empty());
        if slot.active.as_deref().is_some_and(would_look_whole) {
            net.reset(slot.source.take());
            self.retry_blocked_listeners();
        }
    }

    /// The calls that are owed to an exchange that ended early; tells those it was piped with.
    pub(super) fn finale_of(&mut self, remains: Remains, error: Option<Error>) -> Option<Finale> {
        if let Some(target) = remains.pipe_to {
            self.break_pipe(target);
        }
        if let Some(source) = remains.piped_from {
            self.pipe_target_gone(source);
        }
        if let Some(corked) = remains.corked {
            corked.discard(&mut self.trash);
        }
        let mut finale = Finale::quiet(remains.callbacks?, remains.over);
        finale.aborted = remains.aborted;
        let is_sent = remains.is_response && remains.over.finished && remains.failure.is_none();
        finale.told = match (is_sent, remains.aborted) {
            (true, _) => Told::IncomingAlone,
            (false, true) => Told::Incoming,
            (false, false) => Told::Outgoing,
        };
        finale.error = remains.failure.or(error);
        Some(finale)
    }

    /// The output is out: our side of the connection is shut down. What the peer still sends is dropped for
    /// a while, since closing with unread input would reset the connection and with it the answer.
    pub(crate) fn begin_linger(&mut self, key: u32) -> Event {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        slot.flags.unset(Flags::CLOSING);
        if slot.flags.has(Flags::END_OF_INPUT) {
            return self.drop_connection(key, None);
        }
        if net.shutdown_write(&mut slot.source).is_err() {
            return self.drop_connection(key, None);
        }
        slot.flags.set(Flags::LINGERING.and(Flags::SHUT));
        if let Some(mut active) = slot.active.take() {
            debug_assert!(active.callbacks.is_none() && active.client.is_none());
            // A connection may end before its first request, with a timeout of its own.
            active.end_exchange();
            active.release_partial_head(&mut self.partial_heads);
            self.pool.recycle_active(active);
        }
        self.arm(key, ticks(LINGER));
        // The peer's end may be here already, of which nobody will tell a second time.
        match self.slots[key as usize].flags.has(Flags::READABLE) {
            true => Event::Continue,
            false => Event::Done,
        }
    }

    /// Reads and drops until the peer's end.
    pub(crate) fn linger_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        loop {
            let left = input.to - input.from;
            input.consume(left);
            match self.read(key, input) {
                Read::Some => {}
                Read::Nothing => return Event::Done,
                Read::End | Read::Broken => return self.drop_connection(key, None),
            }
        }
    }

    /// `destroy`: the connection ends with the next drive, the handle is dead at once.
    pub(crate) fn destroy(&mut self, id: super::ExchangeId, error: Option<Error>) {
        let id = self.stream_of(id).unwrap_or(id);
        let Some(active) = self.exchange(id) else {
            return;
        };
        if let Some(error) = error {
            active.failure = Some(error);
        }
        self.slot(id.key).flags.set(Flags::DESTROYED);
        self.mark_dirty(id.key);
    }

    /// `close`: no new connections; idle ones are closed, busy ones after their exchange.
    pub(crate) fn close_server(&mut self, server_key: u32, generation: u32) {
        if !self.is_server(server_key, generation) || self.servers[server_key as usize].closing {
            return;
        }
        log::info!(target: "onloop::server", "closing: no new connections");
        self.servers[server_key as usize].closing = true;
        self.close_listeners(server_key);
        self.for_each_connection(server_key, |core, key| {
            let slot = core.slot(key);
            if slot.kind == Kind::Server {
                // A request may have arrived that no event has told us of: it is looked for, and answered.
                slot.flags.set(Flags::READABLE);
                core.net.unbound_unsent(&core.slots[key as usize].source);
                core.mark_dirty(key);
            }
        });
        self.finish_server_if_over(server_key);
    }

    /// `close_idle_connections`.
    pub(crate) fn close_idle_connections(&mut self, server_key: u32, generation: u32) {
        if !self.is_server(server_key, generation) {
            return;
        }
        self.for_each_connection(server_key, |core, key| {
            let slot = core.slot(key);
            // One whose last answer is under way is over soon by itself.
            let is_candidate = slot.kind == Kind::Server && !slot.flags.has(Flags::LINGERING);
            if is_candidate && slot.active.as_deref().is_none_or(Active::is_idle) {
                // Both, and not known to be without bytes: see `closed_as_idle`.
                slot.flags.set(Flags::DESTROYED.and(Flags::CLOSING).and(Flags::READABLE));
                core.mark_dirty(key);
            }
        });
    }

    /// A connection was closed as an idle one. Where something has come on it meanwhile, closing it would be a reset,
    /// and destroy the answer before, which may be under way: it ends as behind an answer then.
    pub(super) fn closed_as_idle(&mut self, key: u32, input: &mut Input<'_>) -> bool {
        let idle = self.slots[key as usize].active.as_deref().is_none_or(Active::is_idle);
        // One look, also in a drive that has read all that it may.
        self.reads_left = self.reads_left.max(1);
        let has_bytes = idle && (!input.is_empty() || self.read(key, input) == Read::Some);
        if has_bytes {
            self.slot(key).flags.unset(Flags::DESTROYED);
        }
        has_bytes
    }

    /// `close_all_connections`.
    pub(crate) fn close_all_connections(&mut self, server_key: u32, generation: u32) {
        if !self.is_server(server_key, generation) {
            return;
        }
        self.for_each_connection(server_key, |core, key| {
            let slot = core.slot(key);
            if slot.kind == Kind::Server {
                slot.flags.set(Flags::DESTROYED);
                core.mark_dirty(key);
            }
        });
    }

    fn for_each_connection(&mut self, server_key: u32, mut act: impl FnMut(&mut Core, u32)) {
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get(key) else {
                continue;
            };
            if slot.owner == server_key as u16 && matches!(slot.kind, Kind::Server | Kind::Raw) {
                act(self, key as u32);
            }
        }
    }

    pub(crate) fn is_server(&self, key: u32, generation: u32) -> bool {
        self.servers.get(key as usize).is_some_and(|server| server.generation == generation)
    }

    /// One connection of a server is gone.
    pub(crate) fn server_lost_connection(&mut self, owner: u16, key: u32) {
        if let Some(server) = self.servers.get_mut(owner as usize) {
            server.connections -= 1;
            if let Some(addresses) = server.addresses.as_deref_mut() {
                addresses.remove(key);
            }
            self.finish_server_if_over(u32::from(owner));
        }
    }

    /// A closed server whose last connection is gone emits `on_close` and is forgotten.
    fn finish_server_if_over(&mut self, server_key: u32) {
        let server = &self.servers[server_key as usize];
        if !server.closing || server.connections > 0 {
            return;
        }
        log::info!(target: "onloop::server", "closed");
        let server = self.servers.remove(server_key as usize);
        self.closed_servers.push_back(server);
    }

    /// The error of an exchange whose peer went away.
    pub(crate) fn aborted() -> Error {
        Error::new(
            ErrorKind::Peer,
            "ECONNRESET",
            "aborted: the peer went away in the middle of the message",
        )
    }
}
