//! Who gets a connection: a free one, a new one where there may be one more, or a place in the queue.

use std::time::Duration;

use crate::engine::agent::{AgentId, Free, NO_ORIGIN};
use crate::engine::deadlines::ticks;
use crate::engine::event::Input;
use crate::engine::incoming::Read;
use crate::engine::slot::{Active, Flags, Kind, Stage};
use crate::engine::{Core, token};
use crate::error::{Limit, Result};
use crate::http::Scheduling;
use crate::net::Source;

/// So many entries of requests that are gone are left in a list before it is looked through.
pub(super) const STALE_MAX: usize = 64;

/// So often a connection is given on at its origin while requests to other origins wait for room in all of the
/// agent; then it is their turn. Less often would cost them all more new connections.
const PASSED_OVER_MAX: u32 = 64;

/// What came of giving a connection to a request that waits.
enum HandOver {
    Done,
    NobodyWaits,
    /// The peer has closed it, or said something that nobody asked for.
    Spoiled,
}

impl Core {
    /// The free connection whose turn it is and that is still good.
    pub(super) fn take_free(&mut self, origin: u16) -> Option<u32> {
        loop {
            let scheduling = self.agents.agent_of(origin)?.options.scheduling;
            let next = self.agents.pop_free(origin, scheduling)?;
            if self.is_reusable(next) {
                return Some(next.key);
            }
            self.drop_free(next, origin);
        }
    }

    /// Closes a connection that was free and whose place is about to be taken.
    #[cold]
    fn drop_free(&mut self, free: Free, origin: u16) {
        // The origin must outlive its last connection, and nobody else be given its place.
        self.agents.joined(origin);
        let Some((_, entry)) = self.agents.both(origin) else {
            return;
        };
        let was_serving = std::mem::replace(&mut entry.is_serving, true);
        self.drop_connection(free.key, None);
        if let Some((here, entry)) = self.agents.both(origin) {
            here.connections -= 1;
            entry.connections -= 1;
            entry.is_serving = was_serving;
        }
    }

    /// The peer has not closed it, and has not sent what nobody asked for.
    fn is_reusable(&mut self, free: Free) -> bool {
        let now = self.now;
        let slot = &mut self.slots[free.key as usize];
        const SPOILED: Flags = Flags::BROKEN
            .and(Flags::HANGUP)
            .and(Flags::END_OF_INPUT)
            .and(Flags::EXPIRED)
            .and(Flags::DESTROYED);
        if slot.flags.has(SPOILED) {
            return false;
        }
        if self.in_turn && free.since == now && !slot.flags.has(Flags::READABLE) {
            // It was in use a moment ago in this very turn.
            return true;
        }
        // An end of stream may be waiting that no event has told us of yet.
        slot.flags.set(Flags::READABLE);
        let budget = std::mem::replace(&mut self.reads_left, 1);
        let mut byte = [0u8; 1];
        let mut input = Input::new(&mut byte);
        let read = self.read(free.key, &mut input);
        self.reads_left = budget;
        read == Read::Nothing
    }

    /// Whether one more connection to this origin may be made. One that is free gives way: elsewhere, and here
    /// where a connection is wanted that nobody has used.
    pub(super) fn has_place(&mut self, origin: u16) -> bool {
        let Some((here, entry)) = self.agents.both(origin) else {
            return true;
        };
        if (here.connections as usize) < entry.limits.max_sockets && !entry.is_full() {
            return true;
        }
        entry.free > 0 && self.make_room(origin)
    }

    /// Closes free connections until there is a place for one more to this origin; false where there is none.
    #[cold]
    fn make_room(&mut self, origin: u16) -> bool {
        loop {
            let Some((here, entry)) = self.agents.both(origin) else {
                return true;
            };
            let (agent, is_full) = (here.agent, entry.is_full());
            let is_full_here = here.connections as usize >= entry.limits.max_sockets;
            let made = match (is_full_here, is_full) {
                (false, false) => return true,
                (true, _) => self.drop_oldest_free(origin),
                (false, true) => {
                    self.drop_free_elsewhere(agent, origin) || self.drop_oldest_free(origin)
                }
            };
            if !made {
                return false;
            }
        }
    }

    /// Closes the connection of this origin that is free for the longest time. The origin stays.
    fn drop_oldest_free(&mut self, origin: u16) -> bool {
        let oldest = self.agents.pop_free(origin, Scheduling::Fifo);
        if let Some(free) = oldest {
            self.drop_free(free, origin);
        }
        oldest.is_some()
    }

    fn drop_free_elsewhere(&mut self, agent: u16, origin: u16) -> bool {
        if let Some(only) = self.agents.only_free(agent).filter(|only| *only != origin) {
            self.drop_oldest_free(only);
            self.agents.forget_if_unused(only);
            return true;
        }
        for key in 0..self.agents.origins.capacity() {
            let other = self.agents.origins.get(key);
            let has_some =
                other.is_some_and(|other| other.agent == agent && !other.free.is_empty());
            let key = key as u16;
            if key != origin && has_some && self.drop_oldest_free(key) {
                self.agents.forget_if_unused(key);
                return true;
            }
        }
        false
    }

    /// Closes free connections that limits which were lowered have no place for.
    pub(super) fn drop_excess(&mut self, agent: AgentId) {
        for key in 0..self.agents.origins.capacity() {
            let key = key as u16;
            while self.has_excess(agent, key) && self.drop_oldest_free(key) {}
            self.agents.forget_if_unused(key);
        }
        // Each origin is looked at once: there may be many.
        for key in 0..self.agents.origins.capacity() {
            let key = key as u16;
            while self.has_excess_in_all(agent, key) && self.drop_oldest_free(key) {}
            self.agents.forget_if_unused(key);
        }
    }

    /// There are more connections in all than may be, and this origin is one that can give some.
    fn has_excess_in_all(&self, agent: AgentId, origin: u16) -> bool {
        let entry = self.agents.get(agent);
        self.agents.id_of(origin) == Some(agent)
            && entry.is_some_and(|entry| entry.connections > entry.limits.max_total_sockets)
    }

    fn has_excess(&mut self, agent: AgentId, origin: u16) -> bool {
        if self.agents.id_of(origin) != Some(agent) {
            return false;
        }
        self.agents.both(origin).is_some_and(|(here, entry)| {
            here.connections as usize > entry.limits.max_sockets
                || here.free.len() > entry.limits.max_free_sockets
        })
    }

    /// One more request can be made to wait at an origin.
    pub(super) fn check_queue(&self, origin: u16) -> Result<()> {
        let Some(entry) = self.agents.agent_of(origin) else {
            return Ok(());
        };
        if entry.waiting < entry.limits.max_queued_requests {
            return Ok(());
        }
        let message = "too many requests wait for a connection of this agent: raise \
                       `max_queued_requests` or `max_sockets`, or make fewer requests at a time";
        Err(Core::limit_error(Limit::Requests, "ERR_AGENT_QUEUE_FULL", message))
    }

    /// Has a request wait for a connection of its origin.
    pub(super) fn enqueue(&mut self, key: u32, origin: u16) {
        let generation = self.slots[key as usize].generation;
        let Some((here, entry)) = self.agents.both(origin) else {
            return;
        };
        log::debug!(target: "onloop::client", "request {key}: waits for a connection");
        if here.queue.len() > 2 * here.waiting as usize + STALE_MAX {
            // Most of those that wait were destroyed.
            let slots = &self.slots;
            here.queue.retain(|(key, generation)| {
                slots.get(*key as usize).is_some_and(|slot| slot.generation == *generation)
            });
        }
        here.queue.push_back((key, generation));
        here.waiting += 1;
        entry.waiting += 1;
        self.client(key).queued = true;
        self.note_starved(origin);
    }

    /// Where requests wait although their origin has room, they wait for room in all of the agent.
    fn note_starved(&mut self, origin: u16) {
        let Some((here, entry)) = self.agents.both(origin) else {
            return;
        };
        let has_room = (here.connections as usize) < entry.limits.max_sockets;
        if has_room && here.waiting > 0 && !std::mem::replace(&mut here.is_starved, true) {
            entry.starved.push_back((origin, here.count));
            if entry.starved.len() > 2 * entry.waiting + STALE_MAX {
                self.forget_gone_origins(origin);
            }
        }
    }

    /// Most origins that waited for room have come and gone while there was none.
    #[cold]
    fn forget_gone_origins(&mut self, origin: u16) {
        let Some((_, entry)) = self.agents.both(origin) else {
            return;
        };
        let mut starved = std::mem::take(&mut entry.starved);
        let origins = &self.agents.origins;
        starved.retain(|(key, count)| {
            origins.get(usize::from(*key)).is_some_and(|origin| origin.count == *count)
        });
        if let Some((_, entry)) = self.agents.both(origin) {
            entry.starved = starved;
        }
    }

    /// A request that waits is gone.
    pub(super) fn left_queue(&mut self, origin: u16) {
        if let Some((here, entry)) = self.agents.both(origin) {
            here.waiting -= 1;
            entry.waiting -= 1;
            if here.waiting == 0 {
                here.queue.clear();
            }
            self.agents.forget_if_unused(origin);
        }
    }

    /// The request that is to be served next at an origin; it waits no more.
    fn take_waiting(&mut self, origin: u16) -> Option<u32> {
        let Core { agents, slots, .. } = self;
        let (here, entry) = agents.both(origin)?;
        while let Some((key, generation)) = here.queue.pop_front() {
            let Some(slot) = slots.get_mut(key as usize) else {
                continue;
            };
            if slot.generation != generation || slot.flags.has(Flags::DESTROYED) {
                continue;
            }
            let client = slot.active.as_deref_mut().and_then(|active| active.client.as_deref_mut());
            if let Some(client) = client.filter(|client| client.queued) {
                client.queued = false;
                here.waiting -= 1;
                entry.waiting -= 1;
                return Some(key);
            }
        }
        None
    }

    /// A client's slot is gone, with what it had of its agent.
    pub(super) fn client_left(&mut self, key: u32, origin: u16, active: Option<&mut Active>) {
        if active.is_none() {
            self.agents.not_free(key, origin);
        }
        let client = active.and_then(|active| active.client.as_deref_mut());
        let Some(client) = client else {
            return self.left_origin(origin);
        };
        let attempts = std::mem::take(&mut client.attempts);
        match std::mem::take(&mut client.queued) {
            true => self.left_queue(origin),
            false => self.left_origin(origin),
        }
        self.drop_attempts(attempts);
    }

    /// A connection is gone: its origin's place is free.
    pub(super) fn left_origin(&mut self, origin: u16) {
        let Some((here, entry)) = self.agents.both(origin) else {
            return;
        };
        here.connections -= 1;
        entry.connections -= 1;
        if entry.waiting > 0 {
            self.serve_waiting(origin);
        }
        self.agents.forget_if_unused(origin);
    }

    /// Gives what places there are to requests that wait: at this origin first, then at others of its agent,
    /// one after the other.
    pub(super) fn serve_waiting(&mut self, origin: u16) {
        let Some((here, entry)) = self.agents.both(origin) else {
            return;
        };
        if std::mem::replace(&mut entry.is_serving, true) {
            return;
        }
        let agent = AgentId { key: here.agent, generation: entry.generation };
        if self.is_others_turn(origin) {
            self.serve_starved(agent);
        }
        self.serve_origin(origin);
        self.note_passed_over(origin);
        self.serve_starved(agent);
        if let Some(entry) = self.agents.get_mut(agent) {
            entry.is_serving = false;
        }
    }

    /// A place was given to who waits at its own origin.
    fn note_passed_over(&mut self, origin: u16) {
        if let Some((_, entry)) = self.agents.both(origin) {
            match entry.starved.is_empty() {
                true => entry.passed_over = 0,
                false => entry.passed_over = entry.passed_over.saturating_add(1),
            }
        }
    }

    /// Requests to other origins were passed over for so long that the next place is theirs: an origin where
    /// requests always wait would have all of them for ever.
    fn is_others_turn(&mut self, origin: u16) -> bool {
        let Some((_, entry)) = self.agents.both(origin) else {
            return false;
        };
        if entry.passed_over < PASSED_OVER_MAX {
            return false;
        }
        // It is looked through once in so many times.
        let starved = std::mem::take(&mut entry.starved);
        let origins = &self.agents.origins;
        let is_waiting = |(key, count): &(u16, u64)| {
            let other = origins.get(usize::from(*key)).filter(|other| other.count == *count);
            *key != origin && other.is_some_and(|other| other.waiting > 0)
        };
        let found = starved.iter().any(is_waiting);
        if let Some((_, entry)) = self.agents.both(origin) {
            entry.starved = starved;
            if !found {
                entry.passed_over = 0;
            }
        }
        found
    }

    /// Lets requests that wait at an origin connect, as long as there are places.
    fn serve_origin(&mut self, origin: u16) {
        while let Some(key) = self.take_waiting(origin) {
            if !self.has_place(origin) {
                self.return_to_queue(key, origin);
                return self.note_starved(origin);
            }
            self.agents.joined(origin);
            self.mark_dirty(key);
        }
    }

    /// The same for origins that wait for room in all of the agent.
    fn serve_starved(&mut self, agent: AgentId) {
        let count = self.agents.get(agent).map_or(0, |entry| entry.starved.len());
        for _ in 0..count {
            let Some(entry) = self.agents.get_mut(agent) else {
                return;
            };
            if entry.is_full() && entry.free == 0 {
                return;
            }
            let Some((key, number)) = entry.starved.pop_front() else {
                return;
            };
            let origin = self.agents.origins.get_mut(usize::from(key));
            if let Some(origin) = origin.filter(|origin| origin.count == number) {
                origin.is_starved = false;
                if let Some(entry) = self.agents.get_mut(agent) {
                    entry.passed_over = 0;
                }
                self.serve_origin(key);
            }
        }
    }

    /// A connection that is done with its exchange: for the request that waits longest, else for the pool.
    /// False when it has no place there.
    pub(crate) fn keep_connection(&mut self, key: u32, hint: Option<u32>) -> bool {
        let (now, origin) = (self.now, self.slots[key as usize].owner);
        let Some((here, entry)) = self.agents.both(origin) else {
            return false;
        };
        let (options, limits) = (&entry.options, &entry.limits);
        let mut idle = options.free_timeout.min(options.timeout.unwrap_or(Duration::MAX));
        if let Some(seconds) = hint {
            let hinted = Duration::from_secs(u64::from(seconds));
            idle = idle.min(hinted.saturating_sub(options.keep_alive_timeout_buffer));
        }
        let (is_wanted, free_max) = (entry.waiting > 0, limits.max_free_sockets);
        let tcp_keep_alive = options.tcp_keep_alive;
        // The limits may have been lowered meanwhile.
        let is_beyond = entry.connections > limits.max_total_sockets
            || here.connections as usize > limits.max_sockets;
        let keeps = options.keep_alive;
        if is_beyond || hint == Some(0) {
            return false;
        }
        if is_wanted && self.is_others_turn(origin) {
            return false;
        }
        if is_wanted {
            match self.hand_over(key, origin) {
                HandOver::Done => return true,
                HandOver::Spoiled => return false,
                HandOver::NobodyWaits => {}
            }
        }
        let Core { slots, agents, .. } = self;
        let Some((here, entry)) = agents.both(origin) else {
            return false;
        };
        if !keeps || idle.is_zero() || here.free.len() >= free_max {
            return false;
        }
        entry.free += 1;
        entry.freed_last = origin;
        let slot = &mut slots[key as usize];
        here.free.push_back(Free { key, since: now });
        let is_first = !slot.flags.has(Flags::REUSED);
        slot.flags.set(Flags::REUSED);
        if let Some(active) = slot.active.take() {
            self.pool.recycle_active(active);
        }
        if let Some(delay) = tcp_keep_alive.filter(|_| is_first) {
            // Whether the peer is still there is worth knowing only while nothing is said.
            let _ = self.net.set_keepalive(&mut self.slots[key as usize].source, Some(delay));
        }
        self.set_slot_referenced(key, false);
        self.arm(key, ticks(idle));
        if is_wanted {
            // Requests wait elsewhere, for whom this one may give way.
            self.serve_waiting(origin);
        }
        true
    }

    /// Gives a connection that is done to a request that waits for one. The request keeps its slot, so that its
    /// handles stay good; the socket moves there.
    fn hand_over(&mut self, from: u32, origin: u16) -> HandOver {
        let Some(to) = self.take_waiting(origin) else {
            return HandOver::NobodyWaits;
        };
        if !self.is_reusable(Free { key: from, since: self.now }) {
            // The request is the next to connect, since this one's place is about to be free.
            self.return_to_queue(to, origin);
            return HandOver::Spoiled;
        }
        let slot = self.slot(from);
        let source = slot.source.take();
        let flags = slot.flags;
        // The place goes along with the socket.
        slot.owner = NO_ORIGIN;
        if let Some(active) = self.remove_slot(from) {
            self.pool.recycle_active(active);
        }
        log::debug!(target: "onloop::client", "request {to}: is given connection {from}");
        self.move_in(to, source, flags, true);
        self.note_passed_over(origin);
        HandOver::Done
    }

    fn return_to_queue(&mut self, key: u32, origin: u16) {
        let generation = self.slots[key as usize].generation;
        self.client(key).queued = true;
        if let Some((here, entry)) = self.agents.both(origin) {
            here.queue.push_front((key, generation));
            here.waiting += 1;
            entry.waiting += 1;
        }
    }

    /// A socket that is connected becomes that of a request. Where that fails the request connects by itself.
    pub(super) fn move_in(&mut self, to: u32, mut source: Source, flags: Flags, reused: bool) {
        let generation = self.slots[to as usize].generation;
        if let Err(error) = self.net.reregister(&mut source, token(to, generation)) {
            log::debug!(target: "onloop::client", "request {to}: {error}");
            match flags.has(Flags::ADOPTED) {
                true => self.net.release(source),
                false => self.net.close(source),
            }
            return self.mark_dirty(to);
        }
        let slot = self.slot(to);
        slot.source = source;
        slot.deadline = 0;
        // A clock that ran out meanwhile was that of waiting.
        slot.flags.unset(Flags::OF_THE_SOCKET.and(Flags::EXPIRED));
        // What is true already is told again, but only in the next turn.
        slot.flags.set(flags.only(Flags::OF_THE_SOCKET).and(Flags::READABLE));
        if reused {
            slot.flags.set(Flags::REUSED);
        }
        if reused || self.begin_tunnel(to) {
            self.active(to).stage = Stage::Head;
            self.begin_sending(to);
        }
        self.mark_dirty(to);
    }

    /// Takes a connection out of its agent for good: it ends with the exchange that is going on on it.
    pub(crate) fn remove_from_agent(&mut self, key: u32, generation: u32) {
        let Some(slot) = self.connection(key, generation).filter(|slot| slot.kind == Kind::Client)
        else {
            return;
        };
        match slot.active.as_deref() {
            None => {
                slot.flags.set(Flags::DESTROYED);
                self.mark_dirty(key);
            }
            // It was given up: the request is on its way to another one.
            Some(active) if active.stage == Stage::Unconnected => {}
            Some(_) => self.leave_origin(key),
        }
    }

    /// The connection leaves its agent: it is the user's from now on.
    pub(crate) fn leave_origin(&mut self, key: u32) {
        let origin = std::mem::replace(&mut self.slot(key).owner, NO_ORIGIN);
        self.left_origin(origin);
    }
}
