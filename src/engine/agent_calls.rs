//! What the handle to an agent does, and what a request tells of its connection.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Core;
use crate::engine::agent::{AgentId, Agents};
use crate::engine::connector::AgentHooks;
use crate::engine::endpoint::Endpoint;
use crate::engine::slot::{ExchangeId, Flags, Kind, Slot, Stage};
use crate::error::{Error, Result};
use crate::http::AgentOptions;

impl Agents {
    /// An agent that takes requests.
    pub(crate) fn open(&self, id: AgentId) -> Result<()> {
        match self.get(id) {
            Some(entry) if !entry.is_closed => Ok(()),
            _ => Err(agent_closed()),
        }
    }

    /// What an agent says of requests that do not say it themselves.
    #[inline]
    pub(crate) fn options_of(&self, id: Option<AgentId>) -> Option<&AgentOptions> {
        Some(&self.get(id.unwrap_or(self.global))?.options)
    }

    /// The way to an endpoint that an agent's requests take: the endpoint itself, or one through a proxy.
    pub(super) fn way_to(&self, id: Option<AgentId>, to: Arc<Endpoint>) -> Arc<Endpoint> {
        let proxy = self.options_of(id).and_then(|options| options.proxy.as_ref());
        let is_meant = to.unix.is_none();
        let detour = proxy.filter(|_| is_meant).and_then(|proxy| proxy.detour(&to, false));
        detour.unwrap_or(to)
    }
}

/// A slot that is a connection, or is about to be one, and not a request that waits.
fn is_connection(slot: &Slot) -> bool {
    let client = slot.active.as_deref().and_then(|active| active.client.as_deref());
    slot.kind == Kind::Client && !client.is_some_and(|client| client.queued)
}

impl Core {
    /// A new agent. The options are taken where there is one.
    pub(crate) fn add_agent(&mut self, options: &mut Option<AgentOptions>) -> Result<AgentId> {
        self.agents.check_room()?;
        let generation = self.new_generation();
        Ok(self.agents.add(options.take().unwrap_or_default(), &self.options.limits, generation))
    }

    /// Options have changed: requests that wait may be next.
    pub(crate) fn serve_agent(&mut self, id: AgentId) {
        self.drop_excess(id);
        let waiting: Vec<u16> = self
            .agents
            .origins_of(id.key)
            .filter(|(_, origin)| origin.waiting > 0)
            .map(|(key, _)| key)
            .collect();
        for origin in waiting {
            self.serve_waiting(origin);
        }
    }

    /// Connections by origin: the free ones, or the others.
    pub(crate) fn count_sockets(&self, id: AgentId, free: bool) -> Vec<(String, usize)> {
        let mut counts = vec![0; self.agents.origins.capacity()];
        for (_, slot) in &self.slots {
            let is_meant = is_connection(slot) && slot.active.is_none() == free;
            if let Some(count) = counts.get_mut(usize::from(slot.owner)).filter(|_| is_meant) {
                *count += 1;
            }
        }
        self.by_name(id, |key, _| counts.get(usize::from(key)).copied().unwrap_or(0))
    }

    /// Requests that wait, by origin.
    pub(crate) fn count_waiting(&self, id: AgentId) -> Vec<(String, usize)> {
        self.by_name(id, |_, waiting| waiting)
    }

    fn by_name(&self, id: AgentId, count: impl Fn(u16, usize) -> usize) -> Vec<(String, usize)> {
        if self.agents.get(id).is_none() {
            return Vec::new();
        }
        let counted = self.agents.origins_of(id.key).filter_map(|(key, origin)| {
            let count = count(key, origin.waiting as usize);
            (count > 0).then(|| (self.agents.name_of(key).unwrap_or_default().into(), count))
        });
        let mut counted: Vec<(String, usize)> = counted.collect();
        counted.sort();
        counted
    }

    /// Closes all connections of an agent. Requests that wait are given new ones.
    pub(crate) fn destroy_agent(&mut self, agent: AgentId) {
        self.end_agent_slots(agent, None);
    }

    /// The same for good; what it held of the user's goes to the caller.
    pub(crate) fn close_agent(&mut self, id: AgentId) -> Option<AgentHooks> {
        if id == self.agents.global {
            self.destroy_agent(id);
            return None;
        }
        let entry = self.agents.get_mut(id).filter(|entry| !entry.is_closed)?;
        entry.is_closed = true;
        let hooks = std::mem::take(&mut entry.hooks);
        self.end_agent_slots(id, Some(agent_closed()));
        self.agents.forget_if_closed(id.key);
        Some(hooks)
    }

    /// Ends what belongs to an agent; requests that wait only with an error of their own.
    fn end_agent_slots(&mut self, agent: AgentId, waiting: Option<Error>) {
        if self.agents.get(agent).is_none() {
            return;
        }
        for key in 0..self.slots.capacity() {
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            if slot.kind != Kind::Client || self.agents.id_of(slot.owner) != Some(agent) {
                continue;
            }
            if !is_connection(slot) {
                let Some(error) = waiting.clone() else {
                    continue;
                };
                if let Some(active) = slot.active.as_deref_mut() {
                    active.failure = Some(error);
                }
            }
            slot.flags.set(Flags::DESTROYED);
            self.mark_dirty(key as u32);
        }
    }

    // ---- what a request tells

    pub(crate) fn agent_of(&mut self, id: ExchangeId) -> Option<AgentId> {
        let client = self.exchange(id)?.client.as_deref()?;
        let journey = client.journey.as_deref();
        let agent = journey.and_then(|journey| journey.agent);
        agent.or_else(|| self.agents.id_of(self.slots[id.key as usize].owner))
    }

    pub(crate) fn is_connected(&mut self, id: ExchangeId) -> bool {
        self.exchange(id).is_some_and(|active| active.stage != Stage::Unconnected)
    }

    pub(crate) fn should_keep_alive(&mut self, id: ExchangeId) -> bool {
        let over = self.over;
        let Some(active) = self.exchange(id) else {
            return over.is_some_and(|over| over.id == id && over.is_persistent);
        };
        let client = active.client.as_deref();
        active.outgoing.is_persistent()
            && client
                .is_some_and(|client| client.keep_alive && (!client.answered || client.persistent))
    }

    pub(crate) fn set_client_no_delay(&mut self, id: ExchangeId, no_delay: bool) {
        if let Some(client) = self.exchange(id).and_then(|a| a.client.as_deref_mut()) {
            client.no_delay = Some(no_delay);
        }
        if self.is_connected(id) {
            self.set_no_delay(id, no_delay);
        }
    }

    pub(crate) fn set_client_keep_alive(&mut self, id: ExchangeId, delay: Option<Duration>) {
        if let Some(client) = self.exchange(id).and_then(|a| a.client.as_deref_mut()) {
            client.probes = Some(delay);
        }
        if self.is_connected(id) {
            self.set_keep_alive(id, delay);
        }
    }

    /// A connection that is the request's now gets what was set before, on none or on one that is gone.
    #[cold]
    pub(super) fn apply_socket_settings(&mut self, key: u32) {
        let client = self.client(key);
        let (no_delay, probes) = (client.no_delay, client.probes);
        let id = self.id(key);
        if let Some(no_delay) = no_delay {
            self.set_no_delay(id, no_delay);
        }
        if let Some(delay) = probes {
            self.set_keep_alive(id, delay);
        }
    }
}

#[cold]
pub(super) fn agent_closed() -> Error {
    Error::local("ERR_AGENT_CLOSED", "the agent was closed: make another one, or leave it out")
}
