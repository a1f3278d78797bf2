//! From a request to a connection: a free one, a place in the queue, or a name looked up and its addresses
//! tried.

use std::io;
use std::net::SocketAddr;

use crate::engine::agent::{AgentId, NO_ORIGIN};
use crate::engine::agent_calls::agent_closed;
use crate::engine::client_side::ClientState;
use crate::engine::connector::Asked;
use crate::engine::deadlines::{duration_of, ticks};
use crate::engine::event::{Event, Input};
use crate::engine::journey::Journey;
use crate::engine::places::STALE_MAX;
use crate::engine::slot::{ExchangeId, Flags, Kind, Stage};
use crate::engine::{Core, token};
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::net::resolve::{Answer, Lookup, LookupKey, interleave, of_family};
use crate::net::{Address, Source};

impl Core {
    /// A new client request, on a free connection where there is one. Nothing is sent yet.
    #[inline]
    pub(crate) fn start_client_request(
        &mut self,
        agent: Option<AgentId>,
        fill: impl FnOnce(&mut ClientState),
        expects_content: bool,
    ) -> Result<ExchangeId> {
        self.catch_up();
        let mut client = self.pool.client();
        fill(&mut client);
        let (origin, keep_alive) = match self.origin_of(agent, &client) {
            Ok(found) => found,
            Err(error) => {
                self.pool.recycle_client(client);
                return Err(error);
            }
        };
        client.keep_alive = keep_alive;
        let reused = if keep_alive { self.take_free(origin) } else { None };
        let waits = reused.is_none() && !self.has_place(origin);
        let key = match reused {
            Some(key) => key,
            None => match self.new_client_slot(origin, waits) {
                Ok(key) => key,
                Err(error) => {
                    self.pool.recycle_client(client);
                    return Err(error);
                }
            },
        };
        let now = self.now;
        let mut active = self.pool.active();
        active.stage = if reused.is_some() { Stage::Head } else { Stage::Unconnected };
        active.partial = false;
        active.progress = Default::default();
        active.started = now;
        active.incoming = Default::default();
        active.outgoing.start_request(expects_content, keep_alive);
        active.client = Some(client);
        let slot = self.slot(key);
        slot.sequence = slot.sequence.wrapping_add(1);
        slot.deadline = 0;
        slot.active = Some(active);
        self.set_slot_referenced(key, true);
        if reused.is_some() {
            self.begin_sending(key);
        } else if waits {
            self.enqueue(key, origin);
        }
        self.mark_dirty(key);
        Ok(self.id(key))
    }

    /// The origin of a request, and whether its connection is to be kept.
    #[inline]
    pub(super) fn origin_of(
        &mut self,
        agent: Option<AgentId>,
        client: &ClientState,
    ) -> Result<(u16, bool)> {
        if agent.is_none() && !client.keep_alive {
            // Node's `agent: false`: a connection of its own, which nobody counts.
            return Ok((NO_ORIGIN, false));
        }
        let agent = agent.unwrap_or(self.agents.global);
        let keep_alive = match self.agents.get(agent) {
            Some(entry) if !entry.is_closed => {
                // One that keeps nothing, but may have to serve who waits, keeps a connection that long.
                let is_kept = entry.options.keep_alive || entry.limits.max_sockets != usize::MAX;
                is_kept && client.keep_alive
            }
            _ => return Err(agent_closed()),
        };
        let endpoint = client.endpoint.as_deref();
        let origin = match endpoint {
            Some(endpoint) => self.agents.origin(agent.key, endpoint)?,
            None => NO_ORIGIN,
        };
        Ok((origin, keep_alive))
    }

    fn new_client_slot(&mut self, origin: u16, waits: bool) -> Result<u32> {
        let made = match waits {
            true => self.check_queue(origin),
            false => Ok(()),
        };
        let made = made.and_then(|()| {
            let made = self.insert_slot(Source::None, Kind::Client, origin);
            made.map_err(|error| Error::io(&error, "connect"))
        });
        match made {
            Ok(_) if !waits => self.agents.joined(origin),
            Ok(_) => {}
            Err(_) => self.agents.forget_if_unused(origin),
        }
        made
    }

    /// The request has no connection yet. `None` is rest.
    pub(crate) fn client_connect(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        let flags = self.slots[key as usize].flags;
        if flags.has(Flags::EXPIRED) {
            return self.connecting_expired(key);
        }
        let client = self.client(key);
        let is_pausing = client.journey.as_deref().is_some_and(Journey::is_pausing);
        let is_asked = client.waits_for != Asked::Nothing;
        if client.queued || client.looking_up || is_asked || is_pausing {
            return None;
        }
        if client.tunnel.is_some() {
            return self.tunnel_next(key, input);
        }
        if !self.slots[key as usize].source.is_none() {
            if !flags.has(Flags::WRITE_BLOCKED) || flags.has(Flags::BROKEN.and(Flags::HANGUP)) {
                return self.client_connected(key);
            }
            let now = self.now;
            if self.client(key).attempt_until.is_some_and(|until| until <= now) {
                // An address that was tried beside this one has failed.
                self.try_beside(key);
                self.arm_connecting(key);
            }
            return None;
        }
        if self.client(key).addresses.is_empty() {
            let client = self.client(key);
            if !client.attempts.is_empty() {
                return None;
            }
            if let Some(error) = client.connect_error.take() {
                return Some(self.connect_failed(key, error));
            }
            if let Some(event) = self.ask_user(key) {
                return Some(event);
            }
            match self.look_up(key) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(self.connect_failed(key, error)),
            }
        }
        self.try_next_address(key)
    }

    /// The clock of a request that is not connected: the next address's or `timeout`'s, whichever is first.
    pub(crate) fn arm_connecting(&mut self, key: u32) {
        let now = self.now;
        let active = self.active(key);
        let (timeout, started) = (active.timeout_ticks, active.started);
        let Some(client) = active.client.as_deref() else { return };
        if client.journey.as_deref().is_some_and(Journey::is_pausing) {
            // Only what an attempt takes counts.
            return self.arm(key, 0);
        }
        let attempt = client.attempt_until.map(|until| until.since(now));
        let told = client.timeout_told || timeout == 0;
        let patience = (!told).then(|| duration_of(timeout).saturating_sub(now.since(started)));
        let next = match (attempt, patience) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.arm(key, next.map_or(0, ticks));
    }

    /// The clock of a request that is not connected ran out: `on_timeout` is told once, and an address
    /// that does not answer is joined by the next.
    fn connecting_expired(&mut self, key: u32) -> Option<Event> {
        self.slot(key).flags.unset(Flags::EXPIRED);
        let now = self.now;
        if self.client(key).attempt_until.is_some_and(|until| until <= now) {
            self.try_beside(key);
        }
        let id = self.id(key);
        let active = self.active(key);
        let (timeout, started) = (active.timeout_ticks, active.started);
        let client = active.client.as_deref_mut()?;
        let is_long = timeout != 0 && now.since(started) >= duration_of(timeout);
        let tell = is_long && !std::mem::replace(&mut client.timeout_told, is_long);
        self.arm_connecting(key);
        let callbacks = self.active(key).callbacks.as_deref_mut();
        match callbacks.filter(|_| tell).and_then(|callbacks| callbacks.more()?.timeout.take()) {
            Some(callback) => Some(Event::Timeout { callback, id }),
            None => Some(Event::Continue),
        }
    }

    /// Finds the addresses; false when that takes a while.
    fn look_up(&mut self, key: u32) -> Result<bool> {
        let Core { slots, resolver, now, agents, .. } = self;
        let slot = &mut slots[key as usize];
        let generation = slot.generation;
        let client = slot.active.as_deref_mut().and_then(|active| active.client.as_deref_mut());
        let Some((client, endpoint)) =
            client.and_then(|client| client.endpoint.clone().map(|endpoint| (client, endpoint)))
        else {
            return Ok(false);
        };
        if let Some(path) = &endpoint.unix {
            client.addresses.push(Address::Unix(path.clone()));
            return Ok(true);
        }
        match resolver.lookup(&endpoint.host, endpoint.port, *now) {
            Ok(Lookup::Ready(addresses)) => {
                self.take_addresses(key, &addresses);
                Ok(true)
            }
            Ok(Lookup::Pending(lookup)) => {
                log::debug!(target: "onloop::client", "request {key}: looking up {}", endpoint.host);
                client.looking_up = true;
                agents.lookups.push((lookup, key, generation));
                self.forget_gone_lookups();
                Ok(false)
            }
            Err(_) => Err(Core::limit_error(
                Limit::Lookups,
                "EAI_AGAIN",
                "too many names are being looked up: raise `lookups_max` or make fewer requests at a time",
            )),
        }
    }

    /// A name may take long, and requests that want it come and go meanwhile: those that are gone wait no more.
    fn forget_gone_lookups(&mut self) {
        let Core { slots, agents, .. } = self;
        if agents.lookups.len() < agents.lookups_max {
            return;
        }
        agents.lookups.retain(|(_, key, generation)| {
            let slot = slots.get(*key as usize).filter(|slot| slot.generation == *generation);
            slot.is_some_and(|slot| slot.active.is_some())
        });
        agents.lookups_max = (2 * agents.lookups.len()).max(STALE_MAX);
    }

    /// A name was found, or not.
    pub(crate) fn looked_up(&mut self, lookup: LookupKey, answer: &Answer) {
        let mut lookups = std::mem::take(&mut self.agents.lookups);
        lookups.retain(|&(waits_for, key, generation)| {
            let is_it = waits_for == lookup;
            if is_it {
                self.take_answer(key, generation, answer);
            }
            !is_it
        });
        self.agents.lookups = lookups;
    }

    /// The addresses of a request's name are there.
    fn take_answer(&mut self, key: u32, generation: u32, answer: &Answer) {
        let slot = self.slots.get_mut(key as usize).filter(|slot| slot.generation == generation);
        let Some(active) = slot.and_then(|slot| slot.active.as_deref_mut()) else {
            return;
        };
        let Some(client) = active.client.as_deref_mut().filter(|client| client.looking_up) else {
            return;
        };
        client.looking_up = false;
        match answer {
            Ok(addresses) => self.take_addresses(key, addresses),
            Err(error) => {
                let host = client.endpoint.as_deref().map_or("", |endpoint| &endpoint.host);
                let message = format!("getaddrinfo {} {host}: {}", error.code, error.message);
                client.connect_error = Some(Error::new(ErrorKind::Io, error.code, message));
            }
        }
        self.mark_dirty(key);
    }

    /// Starts to connect to the next address.
    fn try_next_address(&mut self, key: u32) -> Option<Event> {
        while let Some(address) = self.client(key).addresses.pop() {
            log::debug!(target: "onloop::client", "request {key}: connecting to {address}");
            let generation = self.slots[key as usize].generation;
            let result = self.connect_to(key, &address).and_then(|mut source| {
                match self.net.register(&mut source, token(key, generation)) {
                    Ok(()) => Ok(source),
                    Err(error) => {
                        self.net.close(source);
                        Err(connect_error(&error, &address))
                    }
                }
            });
            match result {
                Ok(source) => {
                    let slot = self.slot(key);
                    slot.source = source;
                    slot.flags.unset(Flags::READABLE.and(Flags::HANGUP).and(Flags::BROKEN));
                    slot.flags.set(Flags::WRITE_BLOCKED);
                    self.client(key).address = Some(address);
                    self.time_attempt(key);
                    self.arm_connecting(key);
                    return None;
                }
                Err(error) => self.note_connect_error(key, error),
            }
        }
        if !self.client(key).attempts.is_empty() {
            return None;
        }
        let error =
            self.client(key).connect_error.take().unwrap_or_else(|| {
                Error::new(ErrorKind::Io, "ENOTFOUND", "the name has no address")
            });
        Some(self.connect_failed(key, error))
    }

    /// Begins a connection, from where the agent or the request wants it to come from.
    pub(super) fn connect_to(&mut self, key: u32, address: &Address) -> Result<Source> {
        let maker = self.agents.maker_of(self.slots[key as usize].owner);
        let options = self.agents.get(maker).map(|entry| &entry.options);
        let is_blocked = options
            .and_then(|options| options.block_list.as_ref())
            .zip(address.ip())
            .is_some_and(|(list, ip)| list.check(&ip));
        if is_blocked {
            let message =
                format!("connect ERR_IP_BLOCKED: {address}: the agent's block list has it");
            return Err(Error::new(ErrorKind::Local, "ERR_IP_BLOCKED", message));
        }
        let agents = options.and_then(|options| options.local_address);
        let local = self.client(key).endpoint.as_deref().and_then(|endpoint| endpoint.local);
        let local = match agents {
            Some(ip) => Some(SocketAddr::new(ip, local.map_or(0, |local| local.port()))),
            None => local,
        };
        self.net.connect(address, local).map_err(|error| connect_error(&error, address))
    }

    /// The addresses of a name that may be tried, in the order of RFC 8305 §4.
    pub(super) fn take_addresses(&mut self, key: u32, found: &[SocketAddr]) {
        let owner = self.slots[key as usize].owner;
        let maker = self.agents.get(self.agents.maker_of(owner));
        let of_agent = maker.and_then(|entry| entry.options.family);
        let client = self.client(key);
        if let [address] = found {
            // Nearly always, and then there is no order.
            if of_agent.is_none() && client.family().is_none() {
                return client.addresses.push(Address::Ip(*address));
            }
        }
        let usable = of_family(found.to_vec(), of_agent.or(client.family()));
        if usable.is_empty() {
            let message = "the name has no address of the family that was asked for";
            client.connect_error = Some(Error::new(ErrorKind::Io, "ENOTFOUND", message));
        }
        client.addresses.extend(interleave(usable).into_iter().rev().map(Address::Ip));
    }

    /// The socket became writable or failed.
    fn client_connected(&mut self, key: u32) -> Option<Event> {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        match net.connect_result(&mut slot.source) {
            Ok(true) => {
                // Node's agent sockets have it off too; a failure will show when writing.
                let _ = net.set_nodelay(&mut slot.source, true);
                // A hangup stays: the server's end may have come in the same event.
                slot.flags.unset(Flags::BROKEN);
                slot.deadline = 0;
                self.connected(key);
                if self.begin_tunnel(key) {
                    self.active(key).stage = Stage::Head;
                }
                Some(Event::Continue)
            }
            Ok(false) => {
                // What was said is of the address before it, whose socket had the same name.
                slot.flags.unset(Flags::BROKEN.and(Flags::HANGUP).and(Flags::READABLE));
                slot.flags.set(Flags::WRITE_BLOCKED);
                None
            }
            Err(error) => {
                let source = slot.source.take();
                slot.flags.unset(Flags::BROKEN.and(Flags::HANGUP).and(Flags::READABLE));
                self.net.close(source);
                if let Some(address) = self.client(key).address.take() {
                    self.note_connect_error(key, connect_error(&error, &address));
                }
                self.try_next_address(key)
            }
        }
    }

    /// One address has answered: the others are given up.
    pub(super) fn connected(&mut self, key: u32) {
        log::debug!(target: "onloop::client", "request {key}: connected");
        let client = self.client(key);
        client.attempt_until = None;
        client.address = None;
        client.connect_error = None;
        client.addresses.clear();
        let attempts = std::mem::take(&mut client.attempts);
        self.drop_attempts(attempts);
    }

    /// One address did not work. Where all of them fail the first error is told, with all addresses.
    pub(super) fn note_connect_error(&mut self, key: u32, error: Error) {
        log::debug!(target: "onloop::client", "request {key}: {error}");
        let noted = &mut self.client(key).connect_error;
        match noted {
            Some(first) => first.add_context(&error.to_string()),
            None => *noted = Some(error),
        }
    }

    fn connect_failed(&mut self, key: u32, error: Error) -> Event {
        if let Some(event) = self.retry_connecting(key, &error) {
            return event;
        }
        let error = error.with_sent(self.sent(key));
        self.drop_connection(key, Some(error))
    }
}

/// Why an address could not be connected to.
pub(super) fn connect_error(error: &io::Error, address: &Address) -> Error {
    let mut described = Error::io(error, "connect");
    described.add_context(&address.to_string());
    described
}
