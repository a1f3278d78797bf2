//! What can be set on a loop: budgets, limits, policies. Server options are in `http::options`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::net::resolve::LookupFn;

/// What happens when a callback panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PanicPolicy {
    /// The panic leaves [`EventLoop::turn`](crate::EventLoop::turn) or `run`. The loop is consistent and
    /// may be turned again; the exchange whose callback panicked is answered 500 or closed then.
    #[default]
    Propagate,
    /// The panic is logged, the exchange is answered 500 where no byte was sent and closed otherwise, and
    /// the loop goes on.
    Contain,
}

/// Options of an [`EventLoop`](crate::EventLoop), with its limits.
///
/// ```
/// use onloop::{EventLoop, LoopOptions, PanicPolicy};
/// let options = LoopOptions::new().panic_policy(PanicPolicy::Contain).reserve(10_000);
/// let event_loop = EventLoop::with_options(options)?;
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LoopOptions {
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) events_per_turn: usize,
    pub(crate) accepts_per_turn: usize,
    pub(crate) reads_per_turn: usize,
    pub(crate) requests_per_turn: usize,
    pub(crate) posts_max: usize,
    pub(crate) posts_per_turn: usize,
    pub(crate) lookups_max: usize,
    pub(crate) lookup_threads: usize,
    pub(crate) lookup_cache: Duration,
    pub(crate) lookup: Option<LookupFn>,
    pub(crate) read_buffer: usize,
    pub(crate) reserve: usize,
    pub(crate) connections_per_origin_free: usize,
    pub(crate) free_timeout: Duration,
}

impl Default for LoopOptions {
    fn default() -> Self {
        LoopOptions {
            panic_policy: PanicPolicy::Propagate,
            events_per_turn: 1024,
            accepts_per_turn: 256,
            reads_per_turn: 8,
            requests_per_turn: 64,
            posts_max: 16_384,
            posts_per_turn: 1024,
            lookups_max: 1024,
            lookup_threads: 4,
            lookup_cache: Duration::from_secs(10),
            lookup: None,
            read_buffer: 64 * 1024,
            reserve: 0,
            connections_per_origin_free: 256,
            free_timeout: Duration::from_secs(5),
        }
    }
}

impl LoopOptions {
    /// The defaults.
    pub fn new() -> Self {
        LoopOptions::default()
    }

    /// What happens when a callback panics. Default: [`PanicPolicy::Propagate`].
    pub fn panic_policy(mut self, policy: PanicPolicy) -> Self {
        self.panic_policy = policy;
        self
    }

    /// Most readiness events taken from the system in one turn. Default: 1,024; at least 1.
    pub fn events_per_turn(mut self, count: usize) -> Self {
        self.events_per_turn = count.max(1);
        self
    }

    /// Most connections one listener accepts in one turn, so that a flood of new ones does not starve the
    /// others. Default: 256; at least 1.
    pub fn accepts_per_turn(mut self, count: usize) -> Self {
        self.accepts_per_turn = count.max(1);
        self
    }

    /// Most reads from one connection in one turn. Default: 8, of up to 64 KiB each; at least 1.
    pub fn reads_per_turn(mut self, count: usize) -> Self {
        self.reads_per_turn = count.max(1);
        self
    }

    /// Most pipelined requests of one connection that are dispatched in one turn. Default: 64; at least 1.
    pub fn requests_per_turn(mut self, count: usize) -> Self {
        self.requests_per_turn = count.max(1);
        self
    }

    /// Most posts that wait for the loop; one more is refused. Default: 16,384; at least 1.
    pub fn posts_max(mut self, count: usize) -> Self {
        self.posts_max = count.max(1);
        self
    }

    /// Most posts that run in one turn. Default: 1,024; at least 1.
    pub fn posts_per_turn(mut self, count: usize) -> Self {
        self.posts_per_turn = count.max(1);
        self
    }

    /// Most names looked up at a time; a request that needs one more fails. Default: 1,024; at least 1.
    pub fn lookups_max(mut self, count: usize) -> Self {
        self.lookups_max = count.max(1);
        self
    }

    /// Asked for the addresses of a name in place of the system's resolver. (Node: `lookup` of a request)
    ///
    /// It runs on a thread of the loop's, where it may take its time, with the name in lower case; never for a
    /// literal address, for a name that is being asked for already, or for one that is remembered
    /// ([`LoopOptions::lookup_cache`]). It returns the addresses in the order of preference, of which the first
    /// 64 are used.
    ///
    /// An `Err` or an empty list fails the requests that wait for the name: `ENOTFOUND`, or `EAI_AGAIN` where
    /// the error says that it may be otherwise soon (`TimedOut`, `WouldBlock`, `Interrupted`, an error of the
    /// system other than `NotFound`). So does a panic, with `EAI_AGAIN`; names to come are asked for as before.
    ///
    /// On a simulated network it stands in for the table of hosts, and virtual time waits for it. Default: the
    /// system's `getaddrinfo`.
    ///
    /// ```
    /// use onloop::{EventLoop, LoopOptions, http};
    ///
    /// let options = LoopOptions::new().lookup(|name| match name {
    ///     "api.internal" => Ok(vec!["127.0.0.1".parse().expect("a literal")]),
    ///     _ => Err(std::io::Error::other("not in this table")),
    /// });
    /// let mut event_loop = EventLoop::with_options(options)?;
    /// let lp = event_loop.handle();
    /// let server = http::create_server(lp, |req, res| res.end(req.header("host").unwrap_or_default()));
    /// server.listen("127.0.0.1:0")?;
    /// let port = server.address().and_then(|address| address.port()).unwrap_or_default();
    ///
    /// http::get(lp, format!("http://api.internal:{port}/"), move |response| {
    ///     response.on_data(move |chunk| assert_eq!(chunk, format!("api.internal:{port}").as_bytes()));
    ///     response.on_end(move || server.close());
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn lookup(
        mut self,
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        self.lookup = Some(LookupFn::new(lookup));
        self
    }

    /// Most threads that ask for names at a time. They are started one by one, each when all others are busy,
    /// so that a slow name holds up others only when so many are slow; then they stay for as long as the loop.
    /// Default: 4, as Node has; at least 1.
    pub fn lookup_threads(mut self, count: usize) -> Self {
        self.lookup_threads = count.max(1);
        self
    }

    /// How long the addresses of a name are used again before it is asked for anew; 0 asks each time. The
    /// system does not tell how long they are good. Names that were not found are not remembered, and no more
    /// than 256 that were. Default: 10 s. (Node: none)
    pub fn lookup_cache(mut self, time: Duration) -> Self {
        self.lookup_cache = time;
        self
    }

    /// Bytes of the one buffer that all connections are read into, which is also the largest chunk
    /// `on_data` is given. Default: 65,536; at least 1,024.
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.read_buffer = bytes.max(1024);
        self
    }

    /// Room for so many connections from the start, so that the table never has to grow while they come.
    /// Default: 0.
    pub fn reserve(mut self, connections: usize) -> Self {
        self.reserve = connections;
        self
    }

    /// Most idle client connections kept for one origin (Node's `maxFreeSockets`). Default: 256; 0 keeps
    /// none.
    pub fn free_connections_per_origin(mut self, count: usize) -> Self {
        self.connections_per_origin_free = count;
        self
    }

    /// How long an idle client connection is kept, where the server's `Keep-Alive` does not say less
    /// (Node's agent `timeout`). Default: 5 s.
    pub fn free_connection_timeout(mut self, timeout: Duration) -> Self {
        self.free_timeout = timeout;
        self
    }
}
