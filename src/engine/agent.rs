//! Agents and their origins: which client connections there are, which of them are free, and which requests
//! wait for one. Who gets what is decided in `places`.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slab::Slab;

use crate::engine::connector::AgentHooks;
use crate::engine::endpoint::Endpoint;
use crate::engine::server::{body_limits, head_limits};
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::h1::{BodyLimits, HeadLimits};
use crate::http::{AgentLimits, AgentOptions, Scheduling};
use crate::limits::Limits;
use crate::net::resolve::LookupKey;
use crate::net::{Family, Time};

/// No origin: the connection belongs to no agent.
pub(crate) const NO_ORIGIN: u16 = u16::MAX;

/// The delay that RFC 8305 §5 recommends between two addresses.
pub(crate) const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// A connection that waits for its next request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Free {
    pub(super) key: u32,
    pub(super) since: Time,
}

/// Names an agent of one loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AgentId {
    pub(crate) key: u16,
    pub(crate) generation: u32,
}

/// Names an origin for ever: neither a later one in its place nor another loop's matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OriginName {
    /// How many origins the process had made; never 0. 48 bits last for longer than any process.
    count: u64,
    key: u16,
}

impl OriginName {
    pub(crate) fn pack(self) -> u64 {
        self.count << 16 | u64::from(self.key)
    }

    pub(crate) fn unpack(packed: u64) -> Self {
        OriginName { count: packed >> 16, key: packed as u16 }
    }
}

/// Origins are numbered across all loops, so that a hint of another one's is told apart.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Where connections of one agent go: they can stand in for one another.
#[derive(Debug)]
pub(super) struct Origin {
    /// As `by_name` has it: with the agent's key before it, and what tells it from others of its name behind it.
    name: Box<str>,
    pub(super) count: u64,
    pub(super) agent: u16,
    /// The one that is free for the longest time first.
    pub(super) free: VecDeque<Free>,
    /// Connections that belong to it: free, in use, or being made.
    pub(super) connections: u32,
    /// Requests that wait for a connection, the first one first, with some that are gone.
    pub(super) queue: VecDeque<(u32, u32)>,
    /// How many of them are not gone.
    pub(super) waiting: u32,
    /// It is on its agent's list of those that wait for room in all of the agent.
    pub(super) is_starved: bool,
}

/// One agent.
#[derive(Debug)]
pub(crate) struct AgentEntry {
    pub(crate) generation: u32,
    pub(crate) options: AgentOptions,
    pub(crate) limits: AgentLimits,
    pub(crate) hooks: AgentHooks,
    /// No more requests are taken.
    pub(crate) is_closed: bool,
    /// Connections of all its origins.
    pub(crate) connections: usize,
    /// Of these: the ones that are free.
    pub(super) free: usize,
    /// The origin of the one that became free last.
    pub(super) freed_last: u16,
    /// Requests that wait, at all its origins.
    pub(crate) waiting: usize,
    /// Origins where requests wait since there are too many connections in all, each once; by key and number,
    /// with some that are gone.
    pub(super) starved: VecDeque<(u16, u64)>,
    /// How often a place was given to who waits at its own origin while others were starved.
    pub(super) passed_over: u32,
    /// Places are being given away: what becomes free meanwhile is given away by the same.
    pub(super) is_serving: bool,
}

impl AgentEntry {
    /// There are as many connections as may be in all.
    pub(super) fn is_full(&self) -> bool {
        self.connections >= self.limits.max_total_sockets
    }
}

/// The agents of a loop.
#[derive(Debug)]
pub(crate) struct Agents {
    entries: Slab<Box<AgentEntry>>,
    pub(super) origins: Slab<Origin>,
    by_name: HashMap<Box<str>, u16>,
    name: String,
    /// Whose requests name no agent.
    pub(crate) global: AgentId,
    /// Those of responses, where the request says nothing else.
    pub(crate) head_limits: HeadLimits,
    pub(crate) body_limits: BodyLimits,
    /// Requests that wait for a name.
    pub(crate) lookups: Vec<(LookupKey, u32, u32)>,
    /// When there are so many of them, those that are gone are taken out.
    pub(super) lookups_max: usize,
    /// Requests that were made again by themselves.
    pub(crate) repeated: u64,
}

impl Agents {
    /// One agent, the global one. The generation tells it from those of former loops.
    pub(crate) fn new(options: AgentOptions, limits: &Limits, generation: u32) -> Self {
        let mut agents = Agents {
            entries: Slab::new(),
            origins: Slab::new(),
            by_name: HashMap::new(),
            name: String::new(),
            global: AgentId { key: 0, generation },
            head_limits: head_limits(limits),
            body_limits: body_limits(limits),
            lookups: Vec::new(),
            lookups_max: 0,
            repeated: 0,
        };
        agents.add(options, limits, generation);
        agents
    }

    /// One more agent.
    pub(super) fn add(
        &mut self,
        mut options: AgentOptions,
        limits: &Limits,
        generation: u32,
    ) -> AgentId {
        let mut hooks = AgentHooks::default();
        // Nothing of the user's is displaced: there was none.
        let _ = hooks.create_connection.replace(options.create_connection.take());
        let _ = hooks.lookup.replace(options.lookup.take());
        let entry = AgentEntry {
            generation,
            limits: options.limits(limits),
            options,
            hooks,
            is_closed: false,
            connections: 0,
            free: 0,
            freed_last: NO_ORIGIN,
            waiting: 0,
            starved: VecDeque::new(),
            passed_over: 0,
            is_serving: false,
        };
        let key = self.entries.insert(Box::new(entry)) as u16;
        AgentId { key, generation }
    }

    pub(super) fn check_room(&self) -> Result<()> {
        if self.entries.len() >= usize::from(NO_ORIGIN) {
            let message = "this loop has 65,535 agents: close one";
            return Err(Error::local("ERR_OUT_OF_RANGE", message));
        }
        Ok(())
    }

    /// An agent, also one that was closed and is not gone.
    pub(crate) fn get(&self, id: AgentId) -> Option<&AgentEntry> {
        let entry = self.entries.get(usize::from(id.key))?;
        (entry.generation == id.generation).then_some(entry)
    }

    pub(crate) fn get_mut(&mut self, id: AgentId) -> Option<&mut AgentEntry> {
        let entry = self.entries.get_mut(usize::from(id.key))?;
        (entry.generation == id.generation).then_some(entry)
    }

    /// The agent of an origin.
    #[inline]
    pub(super) fn agent_of(&self, origin: u16) -> Option<&AgentEntry> {
        let agent = self.origins.get(usize::from(origin))?.agent;
        self.entries.get(usize::from(agent)).map(|entry| &**entry)
    }

    /// The agent that says how a connection is made. One that belongs to no agent is made as the global one says:
    /// what it blocks is not to be reached by leaving it out.
    pub(super) fn maker_of(&self, origin: u16) -> AgentId {
        self.id_of(origin).unwrap_or(self.global)
    }

    pub(crate) fn id_of(&self, origin: u16) -> Option<AgentId> {
        let key = self.origins.get(usize::from(origin))?.agent;
        let entry = self.entries.get(usize::from(key))?;
        Some(AgentId { key, generation: entry.generation })
    }

    /// An origin and its agent.
    pub(super) fn both(&mut self, origin: u16) -> Option<(&mut Origin, &mut AgentEntry)> {
        let origin = self.origins.get_mut(usize::from(origin))?;
        let entry = self.entries.get_mut(usize::from(origin.agent))?;
        Some((origin, entry))
    }

    /// The origin of a request, made where it is new.
    #[inline]
    pub(crate) fn origin(&mut self, agent: u16, endpoint: &Endpoint) -> Result<u16> {
        let hint = endpoint.hint();
        let origin = self.origins.get(usize::from(hint.key));
        if origin.is_some_and(|origin| origin.count == hint.count && origin.agent == agent) {
            return Ok(hint.key);
        }
        self.find_or_make(agent, endpoint)
    }

    #[inline(never)]
    fn find_or_make(&mut self, agent: u16, endpoint: &Endpoint) -> Result<u16> {
        self.name.clear();
        self.name.push_str(itoa::Buffer::new().format(agent));
        self.name.push('|');
        push_origin_name(&mut self.name, endpoint);
        push_difference(&mut self.name, endpoint);
        let key = match self.by_name.get(self.name.as_str()) {
            Some(key) => *key,
            None if self.origins.len() >= usize::from(NO_ORIGIN) => return Err(too_many_origins()),
            None => self.make(agent),
        };
        if let Some(origin) = self.origins.get(usize::from(key)) {
            endpoint.set_hint(OriginName { count: origin.count, key });
        }
        Ok(key)
    }

    fn make(&mut self, agent: u16) -> u16 {
        let name: Box<str> = self.name.as_str().into();
        let origin = Origin {
            name: name.clone(),
            count: COUNT.fetch_add(1, Ordering::Relaxed) + 1,
            agent,
            free: VecDeque::new(),
            connections: 0,
            queue: VecDeque::new(),
            waiting: 0,
            is_starved: false,
        };
        let key = self.origins.insert(origin) as u16;
        self.by_name.insert(name, key);
        key
    }

    /// A slot belongs to this origin from now on.
    pub(super) fn joined(&mut self, origin: u16) {
        if let Some((origin, entry)) = self.both(origin) {
            origin.connections += 1;
            entry.connections += 1;
        }
    }

    /// Takes a free connection off its list.
    pub(super) fn pop_free(&mut self, origin: u16, scheduling: Scheduling) -> Option<Free> {
        let (origin, entry) = self.both(origin)?;
        let free = match scheduling {
            Scheduling::Lifo => origin.free.pop_back(),
            Scheduling::Fifo => origin.free.pop_front(),
        }?;
        entry.free -= 1;
        Some(free)
    }

    /// The origin of the only free connection of an agent, where that is known. While requests wait for room in
    /// all of the agent there is no other, and looking for it among many origins would cost more than it is worth.
    pub(super) fn only_free(&self, agent: u16) -> Option<u16> {
        let entry = self.entries.get(usize::from(agent)).filter(|entry| entry.free == 1)?;
        let origin = self.origins.get(usize::from(entry.freed_last))?;
        (origin.agent == agent && !origin.free.is_empty()).then_some(entry.freed_last)
    }

    /// A connection is gone that may have been free.
    pub(super) fn not_free(&mut self, key: u32, origin: u16) {
        let Some((origin, entry)) = self.both(origin) else {
            return;
        };
        // Where time was up it stands in front.
        if let Some(place) = origin.free.iter().position(|free| free.key == key) {
            origin.free.remove(place);
            entry.free -= 1;
        }
    }

    /// An origin without connections and requests is forgotten.
    pub(super) fn forget_if_unused(&mut self, key: u16) {
        let Some(origin) = self.origins.get(usize::from(key)) else {
            return;
        };
        if origin.connections == 0 && origin.waiting == 0 {
            let origin = self.origins.remove(usize::from(key));
            self.by_name.remove(&origin.name);
            self.forget_if_closed(origin.agent);
        }
    }

    /// A closed agent goes with its last origin. What was the user's of it went before.
    pub(super) fn forget_if_closed(&mut self, agent: u16) {
        let entry = self.entries.get(usize::from(agent));
        let is_over = entry
            .is_some_and(|entry| entry.is_closed && entry.connections == 0 && entry.waiting == 0);
        if is_over {
            self.entries.remove(usize::from(agent));
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn has_origin(&self, key: u16) -> bool {
        self.origins.contains(usize::from(key))
    }

    #[cfg(feature = "sim")]
    pub(super) fn entries(&self) -> impl Iterator<Item = (u16, &AgentEntry)> {
        self.entries.iter().map(|(key, entry)| (key as u16, &**entry))
    }

    /// Each origin is found by its name, and nothing else is.
    #[cfg(feature = "sim")]
    pub(super) fn check_names(&self) -> std::result::Result<(), String> {
        for (key, origin) in &self.origins {
            if self.by_name.get(&origin.name).copied() != Some(key as u16) {
                return Err(format!("origin {key} is not found by its name, {:?}", origin.name));
            }
        }
        match self.by_name.len() == self.origins.len() {
            true => Ok(()),
            false => Err("names are kept of origins that are gone".into()),
        }
    }

    /// How long an address is waited for before the next one is tried beside it.
    pub(super) fn attempt_delay(&self, origin: u16) -> Duration {
        self.get(self.maker_of(origin))
            .map_or(CONNECTION_ATTEMPT_DELAY, |entry| entry.options.connection_attempt_delay)
    }

    /// The name of an origin as Node's `getName` has it.
    pub(crate) fn name_of(&self, origin: u16) -> Option<&str> {
        let name = &self.origins.get(usize::from(origin))?.name;
        let (_, name) = name.split_once('|')?;
        Some(name.split_once('\0').map_or(name, |(name, _)| name))
    }

    /// The origins of an agent.
    pub(super) fn origins_of(&self, agent: u16) -> impl Iterator<Item = (u16, &Origin)> {
        let all = self.origins.iter();
        all.filter(move |(_, origin)| origin.agent == agent)
            .map(|(key, origin)| (key as u16, origin))
    }
}

/// Writes an endpoint as Node's `getName` tells it: everything that makes connections different.
pub(crate) fn push_origin_name(name: &mut String, endpoint: &Endpoint) {
    let mut digits = itoa::Buffer::new();
    name.push_str(&endpoint.host);
    name.push(':');
    name.push_str(digits.format(endpoint.port));
    name.push(':');
    if let Some(local) = endpoint.local {
        // Writing to a `String` cannot fail.
        let _ = match local.port() {
            0 => write!(name, "{}", local.ip()),
            _ => write!(name, "{local}"),
        };
    }
    match endpoint.family {
        Some(Family::V4) => name.push_str(":4"),
        Some(Family::V6) => name.push_str(":6"),
        None => {}
    }
    if let Some(tunnel) = &endpoint.tunnel {
        name.push(':');
        name.push_str(&tunnel.authority);
    }
    if let Some(path) = &endpoint.unix {
        name.push(':');
        let _ = match path.to_str() {
            Some(path) => name.write_str(path),
            None => write!(name, "{}", path.display()),
        };
    }
}

/// Writes what different origins of one name differ in, where there may be such: a path is shown as well as it can
/// be, and may look like something else.
fn push_difference(name: &mut String, endpoint: &Endpoint) {
    if let Some(local) = endpoint.local {
        // A family or a port behind an address may read like a part of it: `::1` and `:6` like `::1:6`.
        let _ = write!(name, "\0l{local:?}{:?}", endpoint.family);
    }
    if let Some(path) = &endpoint.unix {
        name.push_str(if endpoint.tunnel.is_some() { "\0t" } else { "\0d" });
        // No path has a zero byte; one that is no text is told apart from those that are.
        let _ = match path.to_str() {
            Some(path) => name.write_str(path),
            None => write!(name, "\0{path:?}"),
        };
    }
}

#[cold]
fn too_many_origins() -> Error {
    let message = "65,535 origins of this loop have connections or requests that wait: make fewer requests \
                   at a time";
    Error::new(ErrorKind::Limit(Limit::Requests), "ERR_AGENT_QUEUE_FULL", message)
}
