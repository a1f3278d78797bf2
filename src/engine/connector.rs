//! Connections and addresses that come from the user: `create_connection` and `lookup` of an agent.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use crate::engine::agent::AgentId;
use crate::engine::callbacks::Listener;
use crate::engine::client_side::ClientState;
use crate::engine::event::Event;
use crate::engine::slot::{ExchangeId, Flags, Stage};
use crate::engine::{Core, token};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{ConnectTarget, Connector, LookupAnswer};
use crate::net::resolve::literal;

pub(crate) type ConnectFn = Box<dyn FnMut(&ConnectTarget, Connector) -> Result<()>>;
pub(crate) type LookupFn = Box<dyn FnMut(&str, LookupAnswer) -> Result<()>>;

/// What an agent's user has taken over.
#[derive(Default)]
pub(crate) struct AgentHooks {
    pub(crate) create_connection: Listener<ConnectFn>,
    pub(crate) lookup: Listener<LookupFn>,
}

impl std::fmt::Debug for AgentHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentHooks")
            .field("create_connection", &self.create_connection.is_set())
            .field("lookup", &self.lookup.is_set())
            .finish()
    }
}

/// What a request waits for that its agent's user is to bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Asked {
    #[default]
    Nothing,
    Connection,
    Addresses,
}

impl Core {
    /// Asks the agent's user for a connection, or for the addresses of a name; `None` where the loop finds them
    /// itself.
    pub(super) fn ask_user(&mut self, key: u32) -> Option<Event> {
        let id = self.id(key);
        let agent = self.agents.maker_of(self.slots[key as usize].owner);
        let hooks = &mut self.agents.get_mut(agent)?.hooks;
        let endpoint = self.slots[key as usize].active.as_deref()?.client.as_deref()?;
        let endpoint = endpoint.endpoint.clone()?;
        if let Some(handler) = hooks.create_connection.take() {
            let question = self.ask(key, Asked::Connection);
            let target = ConnectTarget::new(endpoint);
            return Some(Event::CreateConnection { handler, agent, id, question, target });
        }
        if endpoint.unix.is_some() || literal(&endpoint.host).is_some() {
            return None;
        }
        let handler = hooks.lookup.take()?;
        let question = self.ask(key, Asked::Addresses);
        Some(Event::Lookup { handler, agent, id, question, endpoint })
    }

    /// The request waits for this of the user's from now on; the number of the question.
    fn ask(&mut self, key: u32, asked: Asked) -> u32 {
        let client = self.client(key);
        client.waits_for = asked;
        client.questions = client.questions.wrapping_add(1);
        client.questions
    }

    /// The request waits for the answer to this question; it does not any more. A late answer to an earlier one,
    /// asked before a redirect, would lead elsewhere.
    fn take_asked(&mut self, id: ExchangeId, question: u32, asked: Asked) -> bool {
        let client = self.exchange(id).and_then(|active| active.client.as_deref_mut());
        let is_it =
            |client: &ClientState| client.waits_for == asked && client.questions == question;
        let Some(client) = client.filter(|client| is_it(client)) else {
            return false;
        };
        client.waits_for = Asked::Nothing;
        self.mark_dirty(id.key);
        true
    }

    /// `Connector::connected`: the request's connection is there. False where nobody waits for it; it is closed
    /// then.
    pub(crate) fn connection_made(
        &mut self,
        id: ExchangeId,
        question: u32,
        socket: OwnedFd,
    ) -> Result<()> {
        if !self.take_asked(id, question, Asked::Connection) {
            return Err(nobody_waits());
        }
        let (key, generation) = (id.key, id.generation);
        let adopted = self.net.adopt_stream(socket).and_then(|mut source| {
            match self.net.register(&mut source, token(key, generation)) {
                Ok(()) => Ok(source),
                Err(error) => {
                    self.net.release(source);
                    Err(error)
                }
            }
        });
        match adopted {
            Ok(source) => {
                let slot = self.slot(key);
                slot.source = source;
                slot.deadline = 0;
                // The poller must not remember what others may hold descriptors of.
                slot.flags.set(Flags::READABLE.and(Flags::ADOPTED));
                slot.flags.unset(Flags::WRITE_BLOCKED);
                self.connected(key);
                self.active(key).stage = Stage::Head;
                Ok(())
            }
            Err(error) => {
                let error = Error::io(&error, "connect");
                self.fail_unsent(id, error.clone());
                Err(error)
            }
        }
    }

    /// `LookupAnswer::found`.
    pub(crate) fn addresses_found(
        &mut self,
        id: ExchangeId,
        question: u32,
        found: &[IpAddr],
    ) -> Result<()> {
        if !self.take_asked(id, question, Asked::Addresses) {
            return Err(nobody_waits());
        }
        let client = self.client(id.key);
        let (host, port) = client
            .endpoint
            .as_deref()
            .map_or((String::new(), 0), |endpoint| (endpoint.host.clone(), endpoint.port));
        if found.is_empty() {
            let message = format!("lookup ENOTFOUND {host}: no addresses");
            self.fail_unsent(id, Error::new(ErrorKind::Io, "ENOTFOUND", message));
            return Ok(());
        }
        let found = found.iter().take(self.options.limits.addresses_per_name);
        let found: Vec<SocketAddr> = found.map(|ip| SocketAddr::new(*ip, port)).collect();
        self.take_addresses(id.key, &found);
        Ok(())
    }

    /// `failed` of both.
    pub(crate) fn user_failed(
        &mut self,
        id: ExchangeId,
        question: u32,
        asked: Asked,
        error: Error,
    ) -> Result<()> {
        if !self.take_asked(id, question, asked) {
            return Err(nobody_waits());
        }
        self.fail_unsent(id, error);
        Ok(())
    }

    /// What the request waited for does not come: as a connection that cannot be made.
    fn fail_unsent(&mut self, id: ExchangeId, error: Error) {
        if let Some(client) = self.exchange(id).and_then(|active| active.client.as_deref_mut()) {
            client.connect_error = Some(error);
        }
    }

    /// Puts a hook back after its run.
    pub(crate) fn put_hook_back<T>(
        &mut self,
        agent: AgentId,
        hook: T,
        place: impl FnOnce(&mut AgentHooks, T) -> Option<T>,
    ) -> Option<T> {
        match self.agents.get_mut(agent) {
            Some(entry) if !entry.is_closed => place(&mut entry.hooks, hook),
            _ => Some(hook),
        }
    }
}

#[cold]
fn nobody_waits() -> Error {
    let message = "the request does not wait for it: it is over, or was given an answer before";
    Error::local("ERR_SOCKET_CLOSED", message)
}
