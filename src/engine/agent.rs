//! The pool of client connections: free ones per origin, most recently used first.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use slab::Slab;

use crate::engine::Core;
use crate::engine::deadlines::ticks;
use crate::engine::endpoint::Endpoint;
use crate::engine::event::Input;
use crate::engine::incoming::Read;
use crate::engine::slot::{Flags, Kind};
use crate::h1::HeadLimits;
use crate::net::Time;
use crate::net::resolve::LookupKey;

/// No origin: the connection belongs to no pool.
pub(crate) const NO_ORIGIN: u16 = u16::MAX;

/// The server's hint is cut by this much, so that our close comes before the server's (Node's
/// `agentKeepAliveTimeoutBuffer`).
const HINT_BUFFER: Duration = Duration::from_secs(1);

/// A connection that waits for its next request.
#[derive(Debug, Clone, Copy)]
struct Free {
    key: u32,
    generation: u32,
    since: Time,
}

/// Names an origin of one agent for ever: neither a later origin in its place nor another agent's matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginName {
    /// Of the agent: 24 bits, never 0.
    agent: u32,
    /// How many origins the agent had made: 24 bits.
    count: u32,
    key: u16,
}

impl OriginName {
    const MASK: u64 = 0xff_ffff;

    pub(crate) fn pack(self) -> u64 {
        u64::from(self.agent) << 40 | u64::from(self.count) << 16 | u64::from(self.key)
    }

    pub(crate) fn unpack(packed: u64) -> Self {
        OriginName {
            agent: (packed >> 40) as u32,
            count: (packed >> 16 & Self::MASK) as u32,
            key: packed as u16,
        }
    }
}

/// Agents are numbered, so that a hint of another loop's is told apart.
static AGENTS: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
struct Origin {
    name: Box<str>,
    count: u32,
    free: Vec<Free>,
    /// Slots that belong to it, free or not.
    connections: u32,
}

/// The loop's client connections by origin.
#[derive(Debug)]
pub(crate) struct Agent {
    origins: Slab<Origin>,
    by_name: HashMap<Box<str>, u16>,
    name: String,
    /// Which agent of the process this is, and how many origins it has made.
    number: u32,
    count: u32,
    pub(crate) head_limits: HeadLimits,
    /// Requests that wait for a name.
    pub(crate) waiters: Vec<(LookupKey, u32, u32)>,
}

impl Default for Agent {
    fn default() -> Self {
        Agent {
            origins: Slab::new(),
            by_name: HashMap::new(),
            name: String::new(),
            number: AGENTS.fetch_add(1, Ordering::Relaxed) % 0xff_ffff + 1,
            count: 0,
            head_limits: HeadLimits::default(),
            waiters: Vec::new(),
        }
    }
}

impl Agent {
    /// The origin of a request, made where it is new.
    pub(crate) fn origin(&mut self, endpoint: &Endpoint) -> u16 {
        let hint = endpoint.hint();
        if hint.agent == self.number {
            let origin = self.origins.get(hint.key as usize);
            if origin.is_some_and(|origin| origin.count == hint.count) {
                return hint.key;
            }
        }
        let key = self.find_or_make(endpoint);
        if let Some(origin) = self.origins.get(key as usize) {
            endpoint.set_hint(OriginName { agent: self.number, count: origin.count, key });
        }
        key
    }

    fn find_or_make(&mut self, endpoint: &Endpoint) -> u16 {
        self.name.clear();
        // Writing to a `String` cannot fail.
        let _ = match &endpoint.unix {
            Some(path) => write!(self.name, "unix:{}", path.display()),
            None => write!(self.name, "{}:{}", endpoint.host, endpoint.port),
        };
        if let Some(origin) = self.by_name.get(self.name.as_str()) {
            return *origin;
        }
        if self.origins.len() >= usize::from(NO_ORIGIN) {
            return NO_ORIGIN;
        }
        let name: Box<str> = self.name.as_str().into();
        self.count = (self.count + 1) & OriginName::MASK as u32;
        let count = self.count;
        let origin = Origin { name: name.clone(), count, free: Vec::new(), connections: 0 };
        let key = self.origins.insert(origin) as u16;
        self.by_name.insert(name, key);
        key
    }

    /// A slot belongs to this origin from now on.
    pub(crate) fn joined(&mut self, origin: u16) {
        if let Some(origin) = self.origins.get_mut(origin as usize) {
            origin.connections += 1;
        }
    }

    /// A slot is gone; an origin without any is forgotten.
    pub(crate) fn left(&mut self, key: u16) {
        let Some(origin) = self.origins.get_mut(key as usize) else {
            return;
        };
        origin.connections -= 1;
        if origin.connections == 0 {
            let origin = self.origins.remove(key as usize);
            self.by_name.remove(&origin.name);
        }
    }
}

impl Core {
    /// The most recently used free connection that is still good.
    pub(crate) fn take_free(&mut self, origin: u16) -> Option<u32> {
        loop {
            let free = self.agent.origins.get_mut(origin as usize)?.free.pop()?;
            if self.is_reusable(free) {
                return Some(free.key);
            }
            let Some(slot) = self.slots.get(free.key as usize) else {
                continue;
            };
            if slot.generation == free.generation && slot.active.is_none() {
                // `joined` must come before the last connection leaves, or the origin would be forgotten.
                self.agent.joined(origin);
                self.drop_connection(free.key, None);
                if let Some(origin) = self.agent.origins.get_mut(origin as usize) {
                    origin.connections -= 1;
                }
            }
        }
    }

    /// The peer has not closed it, and has not sent what nobody asked for.
    fn is_reusable(&mut self, free: Free) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(free.key as usize) else {
            return false;
        };
        const SPOILED: Flags = Flags::BROKEN
            .and(Flags::HANGUP)
            .and(Flags::END_OF_INPUT)
            .and(Flags::EXPIRED)
            .and(Flags::DESTROYED);
        if slot.generation != free.generation
            || slot.kind != Kind::Client
            || slot.active.is_some()
            || slot.flags.has(SPOILED)
        {
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

    /// Puts a connection into the pool; false when it has no place there.
    pub(crate) fn pool_connection(&mut self, key: u32, hint: Option<u32>) -> bool {
        let mut idle = self.options.free_timeout;
        if let Some(seconds) = hint {
            let hinted = Duration::from_secs(u64::from(seconds)).saturating_sub(HINT_BUFFER);
            idle = idle.min(hinted);
        }
        if idle.is_zero() {
            return false;
        }
        let free_max = self.options.connections_per_origin_free;
        let (now, owner) = (self.now, self.slots[key as usize].owner);
        let Core { slots, agent, .. } = self;
        let Some(origin) = agent.origins.get_mut(owner as usize) else {
            return false;
        };
        if origin.free.len() >= free_max {
            origin.free.retain(|free| {
                slots.get(free.key as usize).is_some_and(|slot| slot.generation == free.generation)
            });
            if origin.free.len() >= free_max {
                return false;
            }
        }
        let slot = &mut slots[key as usize];
        origin.free.push(Free { key, generation: slot.generation, since: now });
        slot.flags.set(Flags::REUSED);
        if let Some(active) = slot.active.take() {
            self.pool.recycle_active(active);
        }
        self.set_slot_referenced(key, false);
        self.arm(key, ticks(idle));
        true
    }

    /// The connection belongs to the user from now on: it was upgraded.
    pub(crate) fn leave_origin(&mut self, key: u32) {
        let origin = std::mem::replace(&mut self.slot(key).owner, NO_ORIGIN);
        self.agent.left(origin);
    }
}
