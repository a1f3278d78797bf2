//! What can be set on a loop: its limits and its policies. Server options are in `http::options`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits::Limits;
use crate::net::resolve::LookupFn;

/// What happens when a callback panics. A destructor of the program's that panics while the loop drops what it was
/// given, as a callback that is not needed any more or shared content that was sent, ends no exchange: all of the turn is
/// done first, then the panic leaves it, or is logged.
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
    pub(crate) limits: Limits,
    pub(crate) panic_policy: PanicPolicy,
    pub(crate) lookup_cache: Duration,
    pub(crate) lookup: Option<LookupFn>,
    pub(crate) reserve: usize,
    pub(crate) free_timeout: Duration,
}

impl Default for LoopOptions {
    fn default() -> Self {
        LoopOptions {
            limits: Limits::default(),
            panic_policy: PanicPolicy::Propagate,
            lookup_cache: Duration::from_secs(10),
            lookup: None,
            reserve: 0,
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

    /// All limits of the loop and of what lives on it: replaces those that were set before. The methods below of the
    /// same names as methods of [`Limits`] set a single one.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`Limits::events_per_turn`].
    pub fn events_per_turn(mut self, count: usize) -> Self {
        self.limits = self.limits.events_per_turn(count);
        self
    }

    /// Sets [`Limits::accepts_per_turn`].
    pub fn accepts_per_turn(mut self, count: usize) -> Self {
        self.limits = self.limits.accepts_per_turn(count);
        self
    }

    /// Sets [`Limits::reads_per_turn`].
    pub fn reads_per_turn(mut self, count: usize) -> Self {
        self.limits = self.limits.reads_per_turn(count);
        self
    }

    /// Sets [`Limits::requests_per_turn`].
    pub fn requests_per_turn(mut self, count: usize) -> Self {
        self.limits = self.limits.requests_per_turn(count);
        self
    }

    /// Sets [`Limits::posts_max`].
    pub fn posts_max(mut self, count: usize) -> Self {
        self.limits = self.limits.posts_max(count);
        self
    }

    /// Sets [`Limits::posts_per_turn`].
    pub fn posts_per_turn(mut self, count: usize) -> Self {
        self.limits = self.limits.posts_per_turn(count);
        self
    }

    /// Sets [`Limits::lookups_max`].
    pub fn lookups_max(mut self, count: usize) -> Self {
        self.limits = self.limits.lookups_max(count);
        self
    }

    /// Asked for the addresses of a name in place of the system's resolver. (Node: `lookup` of a request)
    ///
    /// It runs on a thread of the loop's, where it may take its time, with the name in lower case; never for a
    /// literal address, for a name that is being asked for already, or for one that is remembered
    /// ([`LoopOptions::lookup_cache`]). It returns the addresses in the order of preference, of which the first
    /// [`Limits::addresses_per_name`] are used.
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

    /// Sets [`Limits::lookup_threads`].
    pub fn lookup_threads(mut self, count: usize) -> Self {
        self.limits = self.limits.lookup_threads(count);
        self
    }

    /// How long the addresses of a name are used again before it is asked for anew; 0 asks each time. The
    /// system does not tell how long they are good. Names that were not found are not remembered, and no more
    /// than [`Limits::cached_names_max`] that were. Default: 10 s. (Node: none)
    pub fn lookup_cache(mut self, time: Duration) -> Self {
        self.lookup_cache = time;
        self
    }

    /// Sets [`Limits::read_buffer`].
    pub fn read_buffer(mut self, bytes: usize) -> Self {
        self.limits = self.limits.read_buffer(bytes);
        self
    }

    /// Room for so many connections from the start, so that the table never has to grow while they come.
    /// Default: 0.
    pub fn reserve(mut self, connections: usize) -> Self {
        self.reserve = connections;
        self
    }

    /// Sets [`Limits::free_connections_per_origin`].
    pub fn free_connections_per_origin(mut self, count: usize) -> Self {
        self.limits = self.limits.free_connections_per_origin(count);
        self
    }

    /// How long an idle client connection is kept, where the server's `Keep-Alive` does not say less
    /// (Node's agent `timeout`). Default: 5 s.
    pub fn free_connection_timeout(mut self, timeout: Duration) -> Self {
        self.free_timeout = timeout;
        self
    }
}
