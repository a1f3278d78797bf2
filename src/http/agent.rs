//! Agents: which connections the client's requests share, and how many there may be.

use std::fmt;

use crate::LoopHandle;
use crate::engine::AgentId;
use crate::engine::Core;
use crate::error::{Error, Result};
use crate::http::agent_options::out_of_range;
use crate::http::{AgentLimits, AgentOptions, RequestOptions, Scheduling};
use crate::shell::LoopShell;

/// A handle to a set of client connections that requests share (Node's `http.Agent`). `Copy`; it lives until
/// [`Agent::close`], or as long as its loop.
///
/// A request is given a free connection to its origin, else a new one where there may be one more, else it waits
/// in order. Requests that name no agent share the loop's own: [`global_agent`].
///
/// ```
/// use onloop::{http, EventLoop};
/// use onloop::http::{Agent, AgentOptions, RequestOptions};
///
/// let mut event_loop = EventLoop::new()?;
/// let lp = event_loop.handle();
/// let server = http::create_server(lp, |_req, res| res.end("ok"));
/// server.listen("127.0.0.1:0")?;
/// let url = format!("http://{}/", server.address().unwrap());
///
/// let agent = Agent::new(lp, AgentOptions::new().max_sockets(2))?;
/// for number in 0..10 {
///     let request = http::request_with(lp, RequestOptions::new("GET", &url).agent(agent))?;
///     request.on_close(move || {
///         assert!(agent.total_socket_count() <= 2);
///         if number == 9 {
///             server.close();
///         }
///     });
///     request.end("");
/// }
/// assert_eq!(agent.requests()[0].1, 8);
/// event_loop.run()?;
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Agent {
    shell: &'static LoopShell,
    id: AgentId,
}

/// The agent of requests that name none. (Node: `http.globalAgent`)
pub fn global_agent(lp: LoopHandle) -> Agent {
    const NONE: AgentId = AgentId { key: u16::MAX, generation: u32::MAX };
    Agent { shell: lp.shell(), id: lp.with(|core| core.agents.global).unwrap_or(NONE) }
}

/// Makes another agent that of requests that name none, from now on. (Node: setting `http.globalAgent`)
///
/// # Errors
/// `ERR_AGENT_CLOSED`, `ERR_INVALID_ARG_VALUE` for an agent of another loop.
pub fn set_global_agent(lp: LoopHandle, agent: Agent) -> Result<()> {
    let id = agent.on(lp)?;
    let done = lp.with(|core| {
        core.agents.open(id)?;
        core.agents.global = id;
        Ok(())
    });
    done.unwrap_or_else(|| Err(crate::engine::gone()))
}

impl Agent {
    /// A new agent, without any connection yet. (Node: `new http.Agent`)
    ///
    /// # Errors
    /// `ERR_OUT_OF_RANGE` for `max_total_sockets(0)`, and where the loop has 65,535 agents;
    /// `ERR_INVALID_ARG_VALUE` for both [`AgentOptions::proxy`] and [`AgentOptions::create_connection`].
    pub fn new(lp: LoopHandle, options: AgentOptions) -> Result<Agent> {
        options.check()?;
        let mut options = Some(options);
        let made = lp.with(|core| core.add_agent(&mut options));
        let id = made.unwrap_or_else(|| Err(crate::engine::gone()))?;
        Ok(Agent { shell: lp.shell(), id })
    }

    /// The id, where the agent is of this loop.
    pub(super) fn on(&self, lp: LoopHandle) -> Result<AgentId> {
        match std::ptr::eq(self.shell, lp.shell()) {
            true => Ok(self.id),
            false => {
                let message = "the agent is of another loop";
                Err(Error::local("ERR_INVALID_ARG_VALUE", message))
            }
        }
    }

    pub(super) fn of(shell: &'static LoopShell, id: AgentId) -> Agent {
        Agent { shell, id }
    }

    fn with<T: Default>(&self, work: impl FnOnce(&mut Core) -> Option<T>) -> T {
        self.shell.with(work).flatten().unwrap_or_default()
    }

    fn option<T>(&self, read: impl FnOnce(&AgentOptions) -> T) -> Option<T> {
        self.shell.with(|core| core.agents.get(self.id).map(|entry| read(&entry.options))).flatten()
    }

    fn limit(&self, read: impl FnOnce(&AgentLimits) -> usize) -> usize {
        self.with(|core| core.agents.get(self.id).map(|entry| read(&entry.limits)))
    }

    /// Changes a limit, and lets requests go that waited for it.
    fn set(&self, change: impl FnOnce(&mut AgentLimits)) {
        self.with(|core| {
            change(&mut core.agents.get_mut(self.id)?.limits);
            core.serve_agent(self.id);
            Some(())
        });
    }

    /// How connections for such a request are called: host, port and local address, and what else makes
    /// connections different. Requests of equal names share connections. (Node: `getName`)
    ///
    /// # Errors
    /// What is wrong with the options, as [`request_with`](crate::http::request_with) tells it.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # use onloop::http::{self, RequestOptions};
    /// let agent = http::global_agent(event_loop.handle());
    /// assert_eq!(agent.name(&RequestOptions::new("GET", "http://localhost/x"))?, "localhost:80:");
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn name(&self, options: &RequestOptions) -> Result<String> {
        let name = self.option(|of_agent| options.origin_name(of_agent.proxy.as_ref()));
        name.unwrap_or_else(|| options.origin_name(None))
    }

    /// Connections of all origins: in use, free, and those that are being made. (Node: `totalSocketCount`)
    pub fn total_socket_count(&self) -> usize {
        self.with(|core| core.agents.get(self.id).map(|entry| entry.connections))
    }

    /// How many connections are in use or being made, by name. (Node: `sockets`)
    pub fn sockets(&self) -> Vec<(String, usize)> {
        self.with(|core| Some(core.count_sockets(self.id, false)))
    }

    /// How many connections are free, by name. (Node: `freeSockets`)
    pub fn free_sockets(&self) -> Vec<(String, usize)> {
        self.with(|core| Some(core.count_sockets(self.id, true)))
    }

    /// How many requests wait for a connection, by name. (Node: `requests`)
    pub fn requests(&self) -> Vec<(String, usize)> {
        self.with(|core| Some(core.count_waiting(self.id)))
    }

    /// Closes all connections, the ones in use included: their requests fail with `ECONNRESET`. Requests that
    /// wait are given new ones, and the agent goes on. (Node: `destroy`)
    pub fn destroy(&self) {
        self.shell.with(|core| core.destroy_agent(self.id));
    }

    /// Closes all connections, fails the requests that wait, and takes no more: they are refused with
    /// `ERR_AGENT_CLOSED`. The loop's own agent is only destroyed. For agents that are made in numbers; Node
    /// leaves this to its garbage collector.
    pub fn close(&self) {
        let leftover = self.shell.with(|core| core.close_agent(self.id));
        drop(leftover);
    }

    /// It was not closed.
    pub fn is_open(&self) -> bool {
        self.with(|core| Some(core.agents.open(self.id).is_ok()))
    }

    /// Whether connections are kept.
    pub fn keep_alive(&self) -> bool {
        self.option(|options| options.keep_alive).unwrap_or(false)
    }

    /// Which free connection a request is given.
    pub fn scheduling(&self) -> Scheduling {
        self.option(|options| options.scheduling).unwrap_or_default()
    }

    /// Most connections to one origin; `usize::MAX` is no limit.
    pub fn max_sockets(&self) -> usize {
        self.limit(|limits| limits.max_sockets)
    }

    /// See [`AgentOptions::max_sockets`]. Where it is lowered, connections beyond go when they are free.
    pub fn set_max_sockets(&self, count: usize) {
        self.set(|limits| limits.max_sockets = if count == 0 { usize::MAX } else { count });
    }

    /// Most connections in all; `usize::MAX` is no limit.
    pub fn max_total_sockets(&self) -> usize {
        self.limit(|limits| limits.max_total_sockets)
    }

    /// See [`AgentOptions::max_total_sockets`].
    ///
    /// # Errors
    /// `ERR_OUT_OF_RANGE` for zero.
    pub fn set_max_total_sockets(&self, count: usize) -> Result<()> {
        if count == 0 {
            return Err(out_of_range("max_total_sockets"));
        }
        self.set(|limits| limits.max_total_sockets = count);
        Ok(())
    }

    /// Most free connections to one origin.
    pub fn max_free_sockets(&self) -> usize {
        self.limit(|limits| limits.max_free_sockets)
    }

    /// See [`AgentOptions::max_free_sockets`].
    pub fn set_max_free_sockets(&self, count: usize) {
        self.set(|limits| limits.max_free_sockets = count);
    }
}

impl PartialEq for Agent {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.shell, other.shell) && self.id == other.id
    }
}

impl Eq for Agent {}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agent").field("agent", &self.id.key).finish_non_exhaustive()
    }
}
