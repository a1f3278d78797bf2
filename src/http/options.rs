//! What can be set on a server: its clocks, and what is other than the loop's limits.

use std::time::Duration;

use crate::engine::server_clock::{MIN_WRITE_RATE, WRITE_TIMEOUT};
use crate::error::{Error, Result};
use crate::limits::Limits;

/// Options of a [`Server`](crate::http::Server): its clocks, and the limits that are not to be those of the loop
/// ([`Limits`]).
///
/// Durations and rates of zero turn a clock off. The sweep that enforces them makes deadlines late by up to 50 ms, and
/// by up to a second once there are more than 1,000 connections; never early.
///
/// ```
/// use onloop::http::ServerOptions;
/// use std::time::Duration;
/// let options = ServerOptions::new()
///     .keep_alive_timeout(Duration::from_secs(10))
///     .max_header_size(32 * 1024);
/// ```
#[derive(Debug, Clone)]
pub struct ServerOptions {
    headers_timeout: Option<Duration>,
    pub(crate) request_timeout: Duration,
    pub(crate) keep_alive_timeout: Duration,
    pub(crate) keep_alive_timeout_buffer: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) min_body_rate: u32,
    pub(crate) min_write_rate: u32,
    pub(crate) timeout: Duration,
    pub(crate) allow_half_open: bool,
    pub(crate) limits: ServerLimits,
    pub(crate) no_delay: bool,
    pub(crate) tcp_keep_alive: Option<Duration>,
    pub(crate) reuse_port: bool,
    pub(crate) ipv6_only: bool,
    pub(crate) require_host_header: bool,
    pub(crate) join_duplicate_headers: bool,
    pub(crate) unique_headers: Vec<Box<str>>,
    pub(crate) reject_non_standard_body_writes: bool,
}

/// The limits that are set for one server. What is not set is as the loop's.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerLimits {
    max_header_size: Option<usize>,
    max_target_size: Option<usize>,
    max_headers_count: Option<usize>,
    max_discarded: Option<usize>,
    max_buffered: Option<usize>,
    high_water_mark: Option<usize>,
    backlog: Option<u32>,
    // `None` in them is "no limit".
    max_body_size: Option<Option<u64>>,
    pub(crate) max_requests_per_socket: Option<Option<u32>>,
    pub(crate) max_connections: Option<Option<usize>>,
    pub(crate) max_connections_per_address: Option<Option<usize>>,
}

impl ServerLimits {
    /// All limits of a server on this loop.
    pub(crate) fn over(&self, of_loop: &Limits) -> Limits {
        fn set<T>(limits: Limits, value: Option<T>, set: fn(Limits, T) -> Limits) -> Limits {
            match value {
                Some(value) => set(limits, value),
                None => limits,
            }
        }
        let mut limits = of_loop.clone();
        limits = set(limits, self.max_header_size, Limits::max_header_size);
        limits = set(limits, self.max_target_size, Limits::max_target_size);
        limits = set(limits, self.max_headers_count, Limits::max_headers_count);
        limits = set(limits, self.max_discarded, Limits::max_discarded);
        limits = set(limits, self.max_buffered, Limits::max_buffered);
        limits = set(limits, self.high_water_mark, Limits::high_water_mark);
        limits = set(limits, self.backlog, Limits::backlog);
        let requests = self.max_requests_per_socket.unwrap_or(limits.max_requests_per_socket);
        let of_address = limits.max_connections_per_address;
        Limits {
            high_water_mark: limits.mark(),
            max_body_size: self.max_body_size.unwrap_or(limits.max_body_size),
            max_requests_per_socket: requests,
            max_connections: self.max_connections.unwrap_or(limits.max_connections),
            max_connections_per_address: self.max_connections_per_address.unwrap_or(of_address),
            ..limits
        }
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            headers_timeout: None,
            request_timeout: Duration::from_secs(300),
            keep_alive_timeout: Duration::from_secs(65),
            keep_alive_timeout_buffer: Duration::from_secs(1),
            write_timeout: WRITE_TIMEOUT,
            min_body_rate: 240,
            min_write_rate: MIN_WRITE_RATE,
            timeout: Duration::ZERO,
            allow_half_open: true,
            limits: ServerLimits::default(),
            no_delay: true,
            tcp_keep_alive: None,
            reuse_port: false,
            ipv6_only: false,
            require_host_header: true,
            join_duplicate_headers: false,
            unique_headers: Vec::new(),
            reject_non_standard_body_writes: false,
        }
    }
}

impl ServerOptions {
    /// The defaults.
    pub fn new() -> Self {
        ServerOptions::default()
    }

    /// From accept, or from the first byte of a later request, to the end of the head; bytes do not extend
    /// it. When it runs out: 408 and close, or a plain close where nothing came. Default: 60 s, or
    /// `request_timeout` where that is shorter. (Node: `headersTimeout`)
    pub fn headers_timeout(mut self, timeout: Duration) -> Self {
        self.headers_timeout = Some(timeout);
        self
    }

    /// From the start of a request to the last byte of its content; bytes do not extend it. When it runs
    /// out: 408 and close where no byte of the response was sent, else close. Default: 300 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long a connection may be idle between two requests, told to clients in `Keep-Alive`. Zero: as
    /// long as it likes, and `Keep-Alive` is left out. For one request per connection see
    /// [`ServerOptions::max_requests_per_socket`]. Default: 65 s. (Node: `keepAliveTimeout`)
    pub fn keep_alive_timeout(mut self, timeout: Duration) -> Self {
        self.keep_alive_timeout = timeout;
        self
    }

    /// Added to `keep_alive_timeout` and not told to clients, so that they are the first to close.
    /// Default: 1 s.
    pub fn keep_alive_timeout_buffer(mut self, buffer: Duration) -> Self {
        self.keep_alive_timeout_buffer = buffer;
        self
    }

    /// Least bytes per second with which a request's content has to come, averaged over 30 s: within so long, from the
    /// moment that content is awaited, there have to be 30 times as many; then the next 30 s begin. Time in which the
    /// handler does not read does not count. Too slow: 408 and close where no byte of the response was sent, else close;
    /// [`Clock::BodyRate`](crate::Clock::BodyRate). Zero: off. Default: 240. (Node: none)
    ///
    /// ```
    /// // Long requests are welcome, idle ones are not.
    /// let options = onloop::http::ServerOptions::new()
    ///     .request_timeout(std::time::Duration::from_secs(3600))
    ///     .min_body_rate(10_000);
    /// ```
    pub fn min_body_rate(mut self, bytes_per_second: u32) -> Self {
        self.min_body_rate = bytes_per_second;
        self
    }

    /// Least bytes per second that a client has to take of what waits for it, averaged over
    /// [`write_timeout`](ServerOptions::write_timeout). Zero: any byte will do. Default: 240. (Node: none)
    pub fn min_write_rate(mut self, bytes_per_second: u32) -> Self {
        self.min_write_rate = bytes_per_second;
        self
    }

    /// How long a client may take nothing, or less than [`min_write_rate`](ServerOptions::min_write_rate) asks for, of
    /// what waits for it; then the connection is dropped. It is taken when the system has room for it, which may be a
    /// moment after the client has read. Default: 60 s.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// How long nothing may move in either direction, from accept to the end of the first exchange and in
    /// every later exchange: then `on_timeout` of the request, of the response and of the server are called,
    /// and where none of them is set the connection is closed. Between two exchanges `keep_alive_timeout`
    /// runs instead. Each exchange can set its own ([`Response::set_timeout`](crate::http::Response::set_timeout)).
    /// Default: zero, off. (Node: `timeout`)
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether a client that has sent its request and then ended its side of the connection still gets its
    /// answer. False: the exchange ends at once, and `on_close` tells the handler that nobody waits any more.
    /// Default: true. (Node: `httpAllowHalfOpen`, false there)
    pub fn allow_half_open(mut self, allow: bool) -> Self {
        self.allow_half_open = allow;
        self
    }

    /// Most bytes of a request head, and of a trailer section: 431 beyond; at most 65,535. Default: the loop's,
    /// [`Limits::max_header_size`], 16,384.
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.limits.max_header_size = Some(bytes);
        self
    }

    /// Most bytes of a request target: 414 beyond; at most 65,535. Default: the loop's,
    /// [`Limits::max_target_size`], 8,192.
    pub fn max_target_size(mut self, bytes: usize) -> Self {
        self.limits.max_target_size = Some(bytes);
        self
    }

    /// Most fields of a request head, and of a trailer section: 431 beyond. Zero: no limit but that of the
    /// size. Default: the loop's, [`Limits::max_headers_count`], 1,000. (Node: `maxHeadersCount`)
    pub fn max_headers_count(mut self, count: usize) -> Self {
        self.limits.max_headers_count = Some(count);
        self
    }

    /// How many requests one connection may make: `Keep-Alive` tells the number, the last response says
    /// `Connection: close`, and what follows is told to `on_drop_request` and not served. Zero: no limit. Default:
    /// the loop's, [`Limits::max_requests_per_socket`], none. (Node: `maxRequestsPerSocket`)
    pub fn max_requests_per_socket(mut self, count: u32) -> Self {
        self.limits.max_requests_per_socket = Some((count > 0).then_some(count));
        self
    }

    /// Most connections at a time; one more is closed at once and told to `on_drop`. Default: the loop's,
    /// [`Limits::max_connections`], none (the process's descriptors). (Node: `maxConnections`)
    pub fn max_connections(mut self, count: usize) -> Self {
        self.limits.max_connections = Some(Some(count));
        self
    }

    /// Most connections at a time from one address, so that no single client takes all of them; one more is
    /// closed at once and told to `on_drop`. IPv6 addresses are counted by their first 64 bits, which is what
    /// one client is usually given; connections over Unix sockets are not counted. Default: the loop's,
    /// [`Limits::max_connections_per_address`], none.
    pub fn max_connections_per_address(mut self, count: usize) -> Self {
        self.limits.max_connections_per_address = Some(Some(count));
        self
    }

    /// How much of a request's content is read and dropped when the response ended without it, to keep the
    /// connection; with more the connection closes. Default: the loop's, [`Limits::max_discarded`], 256 KiB.
    pub fn max_discarded(mut self, bytes: usize) -> Self {
        self.limits.max_discarded = Some(bytes);
        self
    }

    /// The hard cap of what one response, or a connection after an upgrade or CONNECT, may leave unsent. A `write`
    /// beyond it ends the exchange with `ERR_BUFFER_OUT_OF_BOUNDS`; one piece of any size is always taken. Default: the
    /// loop's, [`Limits::max_buffered`], 16 MiB.
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.limits.max_buffered = Some(bytes);
        self
    }

    /// From so many unsent bytes on, `write` of a response, or of a connection after an upgrade or CONNECT, returns
    /// false, and `on_drain` comes when there are fewer. At least 1, and never more than `max_buffered`. Default: the
    /// loop's, [`Limits::high_water_mark`], 64 KiB.
    pub fn high_water_mark(mut self, bytes: usize) -> Self {
        self.limits.high_water_mark = Some(bytes);
        self
    }

    /// How many connections the system holds that were not accepted yet; it may allow fewer
    /// (`net.core.somaxconn`). Default: the loop's, [`Limits::backlog`], 1,024.
    pub fn backlog(mut self, count: u32) -> Self {
        self.limits.backlog = Some(count);
        self
    }

    /// Whether small packets are sent at once (`TCP_NODELAY`). Default: true.
    pub fn no_delay(mut self, no_delay: bool) -> Self {
        self.no_delay = no_delay;
        self
    }

    /// Has the system probe connections that are silent for so long, and drop those whose peer is gone
    /// (`SO_KEEPALIVE`; Node's `keepAlive` and `keepAliveInitialDelay`). In whole seconds. Default: off.
    pub fn tcp_keep_alive(mut self, initial_delay: Duration) -> Self {
        self.tcp_keep_alive = Some(initial_delay);
        self
    }

    /// Whether several processes may listen on the same address (`SO_REUSEPORT`). Default: false.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether a listener on an IPv6 wildcard leaves IPv4 alone. Default: false.
    pub fn ipv6_only(mut self, only: bool) -> Self {
        self.ipv6_only = only;
        self
    }

    /// Whether an HTTP/1.1 request without `Host` is answered 400 (RFC 9112 §3.2). One with more than one
    /// `Host`, or with one that is no host, always is. Default: true. (Node: `requireHostHeader`)
    pub fn require_host_header(mut self, require: bool) -> Self {
        self.require_host_header = require;
        self
    }

    /// Whether [`Request::headers_joined`](crate::http::Request::headers_joined) and its like join repeated
    /// fields with `, ` also where the first would win otherwise, such as `Authorization`. `Cookie` is joined
    /// with `; ` and `Set-Cookie` never, whatever is set here. Default: false.
    /// (Node: `joinDuplicateHeaders`)
    pub fn join_duplicate_headers(mut self, join: bool) -> Self {
        self.join_duplicate_headers = join;
        self
    }

    /// Most bytes of content of a request. One whose `Content-Length` says more is answered 413 before
    /// `on_request` and before any `100 Continue`; one that comes in chunks, when a chunk goes beyond: 413
    /// where no byte of the response was sent, else the connection is closed. Both are told to
    /// `on_client_error`, as `ERR_HTTP_CONTENT_TOO_LARGE`. For a limit of one handler see
    /// [`Body::collect`](crate::http::Body::collect). Default: the loop's, [`Limits::max_body_size`], none.
    ///
    /// ```
    /// let options = onloop::http::ServerOptions::new().max_body_size(10 * 1024 * 1024);
    /// ```
    pub fn max_body_size(mut self, bytes: u64) -> Self {
        self.limits.max_body_size = Some(Some(bytes));
        self
    }

    /// Response fields that stand on one line: further values are joined behind `; ` by `append_header`,
    /// `set_header_all`, `write_head` and `add_trailer`, whatever the case of the name. Default: none, besides
    /// `Cookie`. (Node: `uniqueHeaders`)
    ///
    /// ```
    /// # use onloop::http::{Server, ServerOptions};
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// let options = ServerOptions::new().unique_headers(["X-Policy"]);
    /// let server = Server::new(event_loop.handle(), options)?;
    /// server.on_request(|_req, res| {
    ///     res.set_header_all("x-policy", ["default-src 'self'", "img-src *"])?;
    ///     assert_eq!(res.header("X-Policy").unwrap(), b"default-src 'self'; img-src *");
    ///     res.end("");
    ///     Ok(())
    /// });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn unique_headers<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.unique_headers = names.into_iter().map(|name| name.as_ref().into()).collect();
        self
    }

    /// Whether content of a response that has none (to HEAD, or of status 204, 205 or 304) is an error:
    /// `try_write` and `try_end` say `ERR_HTTP_BODY_NOT_ALLOWED`, `write` and `end` log it, and nothing is taken,
    /// so the response still has to be ended. Default: false, such content is dropped.
    /// (Node: `rejectNonStandardBodyWrites`)
    pub fn reject_non_standard_body_writes(mut self, reject: bool) -> Self {
        self.reject_non_standard_body_writes = reject;
        self
    }

    /// The clock of the head: what was set, else the default.
    pub(crate) fn headers_limit(&self) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(60);
        match self.headers_timeout {
            Some(timeout) => timeout,
            None if self.request_timeout.is_zero() => DEFAULT,
            None => DEFAULT.min(self.request_timeout),
        }
    }

    /// What cannot be meant.
    pub(crate) fn check(&self) -> Result<()> {
        let (headers, request) = (self.headers_limit(), self.request_timeout);
        if !headers.is_zero() && !request.is_zero() && headers > request {
            let message =
                "headers_timeout is longer than request_timeout, so it could never run out";
            return Err(Error::local("ERR_OUT_OF_RANGE", message));
        }
        Ok(())
    }
}
