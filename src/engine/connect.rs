//! From a request to a connection: a free one from the pool, or a name looked up and its addresses tried.

use std::time::Duration;

use crate::engine::agent::NO_ORIGIN;
use crate::engine::client_side::ClientState;
use crate::engine::deadlines::{duration_of, ticks};
use crate::engine::event::Event;
use crate::engine::slot::{ExchangeId, Flags, Kind, Stage};
use crate::engine::{Core, token};
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::net::resolve::{Answer, Lookup, LookupKey};
use crate::net::{Address, Source};

/// How long one of several addresses is tried before the next one has its turn (Node's
/// `autoSelectFamilyAttemptTimeout`).
const ATTEMPT: Duration = Duration::from_millis(500);

impl Core {
    /// A new client request, on a free connection where there is one. Nothing is sent yet.
    pub(crate) fn start_client_request(
        &mut self,
        fill: impl FnOnce(&mut ClientState),
        expects_content: bool,
    ) -> Result<ExchangeId> {
        self.catch_up();
        let mut client = self.pool.client();
        fill(&mut client);
        let origin =
            client.endpoint.as_deref().map_or(NO_ORIGIN, |endpoint| self.agent.origin(endpoint));
        let keep_alive = client.keep_alive;
        let reused = if keep_alive { self.take_free(origin) } else { None };
        let key = match reused {
            Some(key) => key,
            None => {
                let made = self.insert_slot(Source::None, Kind::Client, origin);
                let key = made.map_err(|error| Error::io(&error, "connect"))?;
                self.agent.joined(origin);
                key
            }
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
        self.mark_dirty(key);
        Ok(self.id(key))
    }

    /// The request has no connection yet. `None` is rest.
    pub(crate) fn client_connect(&mut self, key: u32) -> Option<Event> {
        if self.slots[key as usize].flags.has(Flags::EXPIRED) {
            return self.connecting_expired(key);
        }
        let flags = self.slots[key as usize].flags;
        if self.client(key).looking_up {
            return None;
        }
        if !self.slots[key as usize].source.is_none() {
            if flags.has(Flags::WRITE_BLOCKED) && !flags.has(Flags::BROKEN.and(Flags::HANGUP)) {
                return None;
            }
            return self.client_connected(key);
        }
        if self.client(key).addresses.is_empty() {
            match self.look_up(key) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(self.connect_failed(key, error)),
            }
        }
        self.try_next_address(key)
    }

    /// The clock of a request that is not connected: the attempt's or `timeout`'s, whichever is first.
    pub(crate) fn arm_connecting(&mut self, key: u32) {
        let now = self.now;
        let active = self.active(key);
        let (timeout, started) = (active.timeout_ticks, active.started);
        let Some(client) = active.client.as_deref() else { return };
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
    /// that does not answer gives way to the next.
    fn connecting_expired(&mut self, key: u32) -> Option<Event> {
        self.slot(key).flags.unset(Flags::EXPIRED);
        let (now, id) = (self.now, self.id(key));
        let active = self.active(key);
        let (timeout, started) = (active.timeout_ticks, active.started);
        let client = active.client.as_deref_mut()?;
        if client.attempt_until.is_some_and(|until| until <= now) {
            client.attempt_until = None;
            let message = "the address did not answer in time";
            return self.attempt_failed(key, Error::new(ErrorKind::Io, "ETIMEDOUT", message));
        }
        let is_long = timeout != 0 && now.since(started) >= duration_of(timeout);
        let tell = is_long && !std::mem::replace(&mut client.timeout_told, is_long);
        self.arm_connecting(key);
        let callbacks = self.active(key).callbacks.as_deref_mut();
        match callbacks.filter(|_| tell).and_then(|callbacks| callbacks.timeout.take()) {
            Some(callback) => Some(Event::Timeout { callback, id }),
            None => Some(Event::Continue),
        }
    }

    /// Finds the addresses; false when that takes a while.
    fn look_up(&mut self, key: u32) -> Result<bool> {
        let Core { slots, resolver, now, agent, .. } = self;
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
                client.addresses.extend(addresses.iter().rev().map(|a| Address::Ip(*a)));
                Ok(true)
            }
            Ok(Lookup::Pending(lookup)) => {
                log::debug!(target: "onloop::client", "request {key}: looking up {}", endpoint.host);
                client.looking_up = true;
                agent.waiters.push((lookup, key, generation));
                Ok(false)
            }
            Err(_) => Err(Core::limit_error(
                Limit::Lookups,
                "EAI_AGAIN",
                "too many names are being looked up: raise `lookups_max` or make fewer requests at a time",
            )),
        }
    }

    /// A name was found, or not.
    pub(crate) fn looked_up(&mut self, lookup: LookupKey, answer: &Answer) {
        let mut index = 0;
        while index < self.agent.waiters.len() {
            let (waits_for, key, generation) = self.agent.waiters[index];
            if waits_for != lookup {
                index += 1;
                continue;
            }
            self.agent.waiters.swap_remove(index);
            let Some(slot) = self.slots.get_mut(key as usize) else {
                continue;
            };
            if slot.generation != generation {
                continue;
            }
            let Some(active) = slot.active.as_deref_mut() else {
                continue;
            };
            let Some(client) = active.client.as_deref_mut() else {
                continue;
            };
            client.looking_up = false;
            let Some(endpoint) = client.endpoint.clone() else {
                continue;
            };
            match answer {
                Ok(addresses) => {
                    let port = endpoint.port;
                    client.addresses.extend(addresses.iter().rev().map(|address| {
                        let mut address = *address;
                        address.set_port(port);
                        Address::Ip(address)
                    }));
                }
                Err(error) => {
                    let message =
                        format!("getaddrinfo {} {}: {}", error.code, endpoint.host, error.message);
                    active.failure = Some(
                        Error::new(ErrorKind::Io, error.code, message)
                            .with_sent(crate::error::Sent::NothingSent),
                    );
                }
            }
            self.mark_dirty(key);
        }
    }

    /// Starts to connect to the next address.
    fn try_next_address(&mut self, key: u32) -> Option<Event> {
        loop {
            let Some(address) = self.client(key).addresses.pop() else {
                let error = self.client(key).connect_error.take().unwrap_or_else(|| {
                    Error::new(ErrorKind::Io, "ENOTFOUND", "the name has no address")
                });
                return Some(self.connect_failed(key, error));
            };
            let more = !self.client(key).addresses.is_empty();
            log::debug!(target: "onloop::client", "request {key}: connecting to {address}");
            let generation = self.slots[key as usize].generation;
            let result = self.net.connect(&address, None).and_then(|mut source| {
                match self.net.register(&mut source, token(key, generation)) {
                    Ok(()) => Ok(source),
                    Err(error) => {
                        self.net.close(source);
                        Err(error)
                    }
                }
            });
            match result {
                Ok(source) => {
                    let slot = self.slot(key);
                    slot.source = source;
                    slot.flags.unset(Flags::READABLE.and(Flags::HANGUP).and(Flags::BROKEN));
                    slot.flags.set(Flags::WRITE_BLOCKED);
                    self.client(key).connect_error = Some(refused_template(&address));
                    let until = more.then(|| self.now.after(ATTEMPT));
                    self.client(key).attempt_until = until;
                    self.arm_connecting(key);
                    return None;
                }
                Err(error) => {
                    let mut described = Error::io(&error, "connect");
                    described.add_context(&address.to_string());
                    self.client(key).connect_error = Some(described);
                }
            }
        }
    }

    /// The socket became writable or failed.
    fn client_connected(&mut self, key: u32) -> Option<Event> {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        match net.connect_result(&mut slot.source) {
            Ok(true) => {
                log::debug!(target: "onloop::client", "request {key}: connected");
                // Node's agent sockets have it off too; a failure will show when writing.
                let _ = net.set_nodelay(&mut slot.source, true);
                slot.flags.unset(Flags::BROKEN);
                slot.deadline = 0;
                let active = self.active(key);
                active.stage = Stage::Head;
                Some(Event::Continue)
            }
            Ok(false) => {
                slot.flags.set(Flags::WRITE_BLOCKED);
                None
            }
            Err(error) => {
                let mut described = Error::io(&error, "connect");
                if let Some(tried) = self.client(key).connect_error.take() {
                    described.add_context(&tried.to_string());
                }
                self.attempt_failed(key, described)
            }
        }
    }

    /// One address did not work: the next one, or the request fails.
    fn attempt_failed(&mut self, key: u32, error: Error) -> Option<Event> {
        log::debug!(target: "onloop::client", "request {key}: {error}");
        let slot = self.slot(key);
        let source = slot.source.take();
        slot.flags.unset(Flags::BROKEN.and(Flags::HANGUP).and(Flags::READABLE));
        self.net.close(source);
        self.client(key).connect_error = Some(error);
        self.try_next_address(key)
    }

    fn connect_failed(&mut self, key: u32, error: Error) -> Event {
        let error = error.with_sent(crate::error::Sent::NothingSent);
        self.drop_connection(key, Some(error))
    }
}

/// Carries the address that is being tried until the outcome is known.
fn refused_template(address: &Address) -> Error {
    Error::new(ErrorKind::Io, "ECONNREFUSED", address.to_string())
}
