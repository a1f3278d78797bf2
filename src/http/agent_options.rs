//! What can be set on an agent.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::LoopOptions;
use crate::engine::agent::CONNECTION_ATTEMPT_DELAY;
use crate::engine::connector::{ConnectFn, LookupFn};
use crate::error::{Error, Result};
use crate::http::proxy::AgentProxy;
use crate::http::{
    BlockList, ConnectTarget, Connector, Family, LookupAnswer, Outcome, ProxyOptions,
};
use crate::limits::Limits;

/// Which of several free connections a request is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Scheduling {
    /// The one that was used last: the others get the chance to be closed for want of use.
    #[default]
    Lifo,
    /// The one that is free for the longest time: all stay in use.
    Fifo,
}

/// Options of an [`Agent`](crate::http::Agent).
///
/// ```
/// use onloop::http::{AgentOptions, Scheduling};
/// use std::time::Duration;
/// let options = AgentOptions::new()
///     .max_sockets(8)
///     .scheduling(Scheduling::Fifo)
///     .free_timeout(Duration::from_secs(30));
/// ```
pub struct AgentOptions {
    pub(crate) keep_alive: bool,
    pub(crate) tcp_keep_alive: Option<Duration>,
    // What is not set is as the loop's. `None` in it is "no limit".
    max_sockets: Option<Option<usize>>,
    max_total_sockets: Option<usize>,
    max_free_sockets: Option<usize>,
    max_queued_requests: Option<usize>,
    pub(crate) scheduling: Scheduling,
    pub(crate) free_timeout: Duration,
    pub(crate) timeout: Option<Duration>,
    pub(crate) keep_alive_timeout_buffer: Duration,
    pub(crate) connection_attempt_delay: Duration,
    pub(crate) family: Option<Family>,
    pub(crate) local_address: Option<IpAddr>,
    pub(crate) block_list: Option<BlockList>,
    pub(crate) proxy: Option<AgentProxy>,
    pub(crate) lookup: Option<LookupFn>,
    pub(crate) create_connection: Option<ConnectFn>,
}

/// The limits of one agent, with what it has from its loop.
#[derive(Debug, Clone)]
pub(crate) struct AgentLimits {
    pub(crate) max_sockets: usize,
    pub(crate) max_total_sockets: usize,
    pub(crate) max_free_sockets: usize,
    pub(crate) max_queued_requests: usize,
}

impl Default for AgentOptions {
    fn default() -> Self {
        AgentOptions {
            keep_alive: true,
            tcp_keep_alive: Some(Duration::from_secs(1)),
            max_sockets: None,
            max_total_sockets: None,
            max_free_sockets: None,
            max_queued_requests: None,
            scheduling: Scheduling::Lifo,
            free_timeout: Duration::from_secs(5),
            timeout: None,
            keep_alive_timeout_buffer: Duration::from_secs(1),
            connection_attempt_delay: CONNECTION_ATTEMPT_DELAY,
            family: None,
            local_address: None,
            block_list: None,
            proxy: None,
            lookup: None,
            create_connection: None,
        }
    }
}

impl AgentOptions {
    /// The defaults.
    pub fn new() -> Self {
        AgentOptions::default()
    }

    /// The loop's own agent.
    pub(crate) fn of_loop(options: &LoopOptions) -> Self {
        AgentOptions { free_timeout: options.free_timeout, ..AgentOptions::default() }
    }

    /// The limits of an agent of a loop that has these.
    pub(crate) fn limits(&self, of_loop: &Limits) -> AgentLimits {
        let per_origin = self.max_sockets.unwrap_or(of_loop.max_sockets);
        let total = self.max_total_sockets.or(of_loop.max_total_sockets);
        AgentLimits {
            max_sockets: per_origin.unwrap_or(usize::MAX),
            max_total_sockets: total.unwrap_or(usize::MAX),
            max_free_sockets: self.max_free_sockets.unwrap_or(of_loop.free_connections_per_origin),
            max_queued_requests: self.max_queued_requests.unwrap_or(of_loop.max_queued_requests),
        }
    }

    /// What cannot be.
    pub(crate) fn check(&self) -> Result<()> {
        if self.max_total_sockets == Some(0) {
            return Err(out_of_range("max_total_sockets"));
        }
        if self.proxy.is_some() && self.create_connection.is_some() {
            let message = "`proxy` and `create_connection` exclude each other: who makes the \
                           connections decides where they lead";
            return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
        }
        Ok(())
    }

    /// Whether connections are kept for later requests; without, each request says `Connection: close`.
    /// Default: true, unlike Node's for agents of one's own. (Node: `keepAlive`)
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// From when on the system probes a connection that is kept (`SO_KEEPALIVE`), or that it does not. Whole
    /// seconds; less leaves the system's time. Default: after 1 s. (Node: `keepAliveMsecs`)
    pub fn tcp_keep_alive(mut self, initial_delay: Option<Duration>) -> Self {
        self.tcp_keep_alive = initial_delay;
        self
    }

    /// Most connections to one origin, free ones and those that are being made included; further requests wait
    /// for one, in their order. Zero is no limit. Default: the loop's, [`Limits::max_sockets`], none.
    /// (Node: `maxSockets`)
    pub fn max_sockets(mut self, count: usize) -> Self {
        self.max_sockets = Some((count > 0).then_some(count));
        self
    }

    /// Most connections in all. A request to an origin that has none makes a free one to another origin give
    /// way; without any, it waits. A connection that becomes free is for the next request to the same origin, but after
    /// 64 times it is the turn of another origin where requests wait. Zero is refused by
    /// [`Agent::new`](crate::http::Agent::new). Default: the loop's, [`Limits::max_total_sockets`], none.
    /// (Node: `maxTotalSockets`)
    pub fn max_total_sockets(mut self, count: usize) -> Self {
        self.max_total_sockets = Some(count);
        self
    }

    /// Most free connections to one origin; 0 keeps none. Default: the loop's,
    /// [`Limits::free_connections_per_origin`], 256. (Node: `maxFreeSockets`)
    pub fn max_free_sockets(mut self, count: usize) -> Self {
        self.max_free_sockets = Some(count);
        self
    }

    /// Most requests that wait for a connection; one more is refused at the call with `ERR_AGENT_QUEUE_FULL`.
    /// Default: the loop's, [`Limits::max_queued_requests`], 65,536.
    pub fn max_queued_requests(mut self, count: usize) -> Self {
        self.max_queued_requests = Some(count);
        self
    }

    /// Which of several free connections a request is given. Default: [`Scheduling::Lifo`].
    /// (Node: `scheduling`)
    pub fn scheduling(mut self, scheduling: Scheduling) -> Self {
        self.scheduling = scheduling;
        self
    }

    /// How long a free connection is kept, where the server's `Keep-Alive: timeout` does not say less. Default:
    /// 5 s; zero keeps none.
    pub fn free_timeout(mut self, timeout: Duration) -> Self {
        self.free_timeout = timeout;
        self
    }

    /// The [`timeout`](crate::http::RequestOptions::timeout) of requests that have none of their own. A free
    /// connection is not kept longer, either. Default: none. (Node: `timeout`)
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = (!timeout.is_zero()).then_some(timeout);
        self
    }

    /// How much earlier than the server says a free connection is closed, so that a request does not meet its
    /// end. Default: 1 s. (Node: `agentKeepAliveTimeoutBuffer`)
    pub fn keep_alive_timeout_buffer(mut self, buffer: Duration) -> Self {
        self.keep_alive_timeout_buffer = buffer;
        self
    }

    /// Where a name has several addresses: how long one is waited for before the next is tried beside it
    /// (RFC 8305 §5). One that fails makes room at once. Default: 250 ms; at least 10 ms. (Node:
    /// `autoSelectFamilyAttemptTimeout`)
    pub fn connection_attempt_delay(mut self, delay: Duration) -> Self {
        self.connection_attempt_delay = delay.max(Duration::from_millis(10));
        self
    }

    /// Connects to addresses of this family only, whatever the requests say. Default: both, in turn.
    /// (Node: `family`)
    pub fn family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// Connects from this address of the machine, whatever the requests say. (Node: `localAddress`)
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// Addresses that are not connected to, whatever name they were found by; where a request has no other
    /// address it fails with `ERR_IP_BLOCKED`. (Node: `blockList`)
    ///
    /// ```
    /// use onloop::http::{AgentOptions, BlockList};
    /// let mut private = BlockList::new();
    /// private.add_subnet("10.0.0.0".parse()?, 8)?;
    /// let options = AgentOptions::new().block_list(private);
    /// # drop(options);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn block_list(mut self, list: BlockList) -> Self {
        self.block_list = Some(list);
        self
    }

    /// Sends requests through proxies. A request that goes through one has the proxy's connections: they are
    /// shared by all origins, and limits, names to look up, `family` and [`AgentOptions::block_list`] are about the
    /// proxy. A tunnel serves one origin only. Requests with an `Upgrade` field in their options are given a
    /// tunnel, too; a user's own CONNECT and Unix sockets take no proxy. Not beside
    /// [`AgentOptions::create_connection`]. Default: none. (Node: `proxyEnv`)
    ///
    /// A tunnel that is not made is `ERR_PROXY_TUNNEL`, with the proxy's status in
    /// [`Error::status_hint`](crate::Error::status_hint). Whatever a proxy answers to a request without a tunnel,
    /// as 407 or 502, is an ordinary response.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let lp = event_loop.handle();
    /// use onloop::http::{Agent, AgentOptions, ProxyOptions, set_global_agent};
    /// // For all requests that name no agent: what the environment says. (Node: `setGlobalProxyFromEnv`)
    /// let options = AgentOptions::new().proxy(ProxyOptions::from_env()?);
    /// set_global_agent(lp, Agent::new(lp, options)?)?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn proxy(mut self, proxy: ProxyOptions) -> Self {
        self.proxy = AgentProxy::new(proxy);
        self
    }

    /// Finds the addresses of names in place of the system's resolver. It is called from the loop, so it must not
    /// wait: the answer may come later, from another thread by
    /// [`LoopHandle::remote`](crate::LoopHandle::remote). What it returns as an error, or panics with, fails the
    /// request. Nothing is remembered, and literal addresses are not asked for. To look names up on threads of
    /// their own see [`LoopOptions::lookup`](crate::LoopOptions::lookup). (Node: `lookup`)
    ///
    /// ```
    /// use onloop::http::AgentOptions;
    /// let options = AgentOptions::new().lookup(|name, answer| match name {
    ///     "db.internal" => answer.found(["127.0.0.1".parse().unwrap()]),
    ///     _ => answer.failed(onloop::Error::other("names outside are not asked for")),
    /// });
    /// # drop(options);
    /// ```
    pub fn lookup<R: Outcome>(
        mut self,
        mut lookup: impl FnMut(&str, LookupAnswer) -> R + 'static,
    ) -> Self {
        self.lookup = Some(Box::new(move |name, answer| lookup(name, answer).into_result()));
        self
    }

    /// Makes the connections in place of the loop: to something that only the program knows, or in a way that
    /// this crate does not offer. It is called from the loop, so it must not wait: the connection may come later.
    /// What it returns as an error, or panics with, fails the request. The agent's limits hold, and its
    /// connections are kept as others are. (Node: `createConnection`)
    ///
    /// ```
    /// use onloop::http::AgentOptions;
    /// use std::os::unix::net::UnixStream;
    /// let options = AgentOptions::new().create_connection(|target, connector| {
    ///     assert_eq!(target.port(), 80);
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     std::thread::spawn(move || serve_it_here(theirs));
    ///     connector.connected(ours)
    /// });
    /// # fn serve_it_here(_: UnixStream) {}
    /// # drop(options);
    /// ```
    pub fn create_connection<R: Outcome>(
        mut self,
        mut connect: impl FnMut(&ConnectTarget, Connector) -> R + 'static,
    ) -> Self {
        self.create_connection =
            Some(Box::new(move |target, connector| connect(target, connector).into_result()));
        self
    }
}

/// The error of a limit that would let nothing through.
pub(crate) fn out_of_range(what: &str) -> Error {
    Error::local("ERR_OUT_OF_RANGE", format!("`{what}` must be at least 1 (got 0)"))
}

impl fmt::Debug for AgentOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentOptions")
            .field("keep_alive", &self.keep_alive)
            .field("max_sockets", &self.max_sockets)
            .field("max_total_sockets", &self.max_total_sockets)
            .field("max_free_sockets", &self.max_free_sockets)
            .field("scheduling", &self.scheduling)
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
