//! What can be set on a server while it runs: the plain properties of Node's servers.

use std::time::Duration;

use crate::error::Result;
use crate::http::{Server, ServerOptions};

/// Settings that can be changed while the server runs. A clock that runs already keeps its end where nothing
/// else is said; on a server that is closed nothing happens.
///
/// ```
/// use std::time::Duration;
/// # let mut event_loop = onloop::EventLoop::new()?;
/// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
/// server.set_keep_alive_timeout(Duration::from_secs(5)); // from the next response on
/// server.set_max_connections(Some(10_000));
/// assert_eq!(server.keep_alive_timeout(), Duration::from_secs(5));
/// # Ok::<(), onloop::Error>(())
/// ```
impl Server {
    /// Sets [`timeout`](ServerOptions::timeout) for what begins from now on. (Node: `setTimeout`, `timeout`)
    ///
    /// It holds for connections that are accepted, and for exchanges on later requests that begin, from now on.
    pub fn set_timeout(&self, timeout: Duration) {
        self.change(|options| options.timeout(timeout));
    }

    /// What [`timeout`](ServerOptions::timeout) is; zero when the server is closed.
    pub fn timeout(&self) -> Duration {
        self.with(|entry| Some(entry.options.timeout)).unwrap_or_default()
    }

    /// Sets [`headers_timeout`](ServerOptions::headers_timeout) for what begins from now on. (Node: `headersTimeout`)
    ///
    /// # Errors
    /// `ERR_OUT_OF_RANGE` where `headers_timeout` would be longer than `request_timeout`; nothing is changed
    /// then.
    pub fn set_headers_timeout(&self, timeout: Duration) -> Result<()> {
        self.try_change(|options| options.headers_timeout(timeout))
    }

    /// What [`headers_timeout`](ServerOptions::headers_timeout) is; zero when the server is closed.
    pub fn headers_timeout(&self) -> Duration {
        self.with(|entry| Some(entry.options.headers_limit())).unwrap_or_default()
    }

    /// Sets [`request_timeout`](ServerOptions::request_timeout) for what begins from now on. (Node: `requestTimeout`)
    ///
    /// # Errors
    /// `ERR_OUT_OF_RANGE` where `headers_timeout` would be longer than `request_timeout`; nothing is changed
    /// then.
    pub fn set_request_timeout(&self, timeout: Duration) -> Result<()> {
        self.try_change(|options| options.request_timeout(timeout))
    }

    /// What [`request_timeout`](ServerOptions::request_timeout) is; zero when the server is closed.
    pub fn request_timeout(&self) -> Duration {
        self.with(|entry| Some(entry.options.request_timeout)).unwrap_or_default()
    }

    /// Sets [`keep_alive_timeout`](ServerOptions::keep_alive_timeout) for what begins from now on. (Node: `keepAliveTimeout`)
    pub fn set_keep_alive_timeout(&self, timeout: Duration) {
        self.change(|options| options.keep_alive_timeout(timeout));
    }

    /// What [`keep_alive_timeout`](ServerOptions::keep_alive_timeout) is; zero when the server is closed.
    pub fn keep_alive_timeout(&self) -> Duration {
        self.with(|entry| Some(entry.options.keep_alive_timeout)).unwrap_or_default()
    }

    /// Sets [`keep_alive_timeout_buffer`](ServerOptions::keep_alive_timeout_buffer) for what begins from now on. (Node: `keepAliveTimeoutBuffer`)
    pub fn set_keep_alive_timeout_buffer(&self, timeout: Duration) {
        self.change(|options| options.keep_alive_timeout_buffer(timeout));
    }

    /// What [`keep_alive_timeout_buffer`](ServerOptions::keep_alive_timeout_buffer) is; zero when the server is closed.
    pub fn keep_alive_timeout_buffer(&self) -> Duration {
        self.with(|entry| Some(entry.options.keep_alive_timeout_buffer)).unwrap_or_default()
    }

    /// Sets [`allow_half_open`](ServerOptions::allow_half_open), also of the connections there are.
    /// (Node: `httpAllowHalfOpen`)
    pub fn set_allow_half_open(&self, allow: bool) {
        self.change(|options| options.allow_half_open(allow));
    }

    /// What [`allow_half_open`](ServerOptions::allow_half_open) is; false when the server is closed.
    pub fn allow_half_open(&self) -> bool {
        self.with(|entry| Some(entry.options.allow_half_open)).unwrap_or_default()
    }

    /// Sets [`max_headers_count`](ServerOptions::max_headers_count). (Node: `maxHeadersCount`)
    pub fn set_max_headers_count(&self, count: usize) {
        self.change(|options| options.max_headers_count(count));
    }

    /// What [`max_headers_count`](ServerOptions::max_headers_count) is; 0 when the server is closed.
    pub fn max_headers_count(&self) -> usize {
        self.with(|entry| Some(entry.limits.max_headers_count)).unwrap_or_default()
    }

    /// Sets [`max_requests_per_socket`](ServerOptions::max_requests_per_socket), also of the connections there are; `None` is no limit. (Node: `maxRequestsPerSocket`)
    pub fn set_max_requests_per_socket(&self, count: Option<u32>) {
        self.change(|mut options| {
            options.limits.max_requests_per_socket = Some(count.filter(|count| *count > 0));
            options
        });
    }

    /// What [`max_requests_per_socket`](ServerOptions::max_requests_per_socket) is; `None` also when the server is closed.
    pub fn max_requests_per_socket(&self) -> Option<u32> {
        self.with(|entry| entry.limits.max_requests_per_socket)
    }

    /// Sets [`max_connections`](ServerOptions::max_connections): more that there are already stay; `None` is no limit. (Node: `maxConnections`)
    pub fn set_max_connections(&self, count: Option<usize>) {
        self.change(|mut options| {
            options.limits.max_connections = Some(count);
            options
        });
    }

    /// What [`max_connections`](ServerOptions::max_connections) is; `None` also when the server is closed.
    pub fn max_connections(&self) -> Option<usize> {
        self.with(|entry| entry.limits.max_connections)
    }

    /// Sets [`max_connections_per_address`](ServerOptions::max_connections_per_address): connections from before the first limit are not counted; `None` is no limit.
    pub fn set_max_connections_per_address(&self, count: Option<usize>) {
        self.change(|mut options| {
            options.limits.max_connections_per_address = Some(count);
            options
        });
    }

    /// What [`max_connections_per_address`](ServerOptions::max_connections_per_address) is; `None` also when the server is closed.
    pub fn max_connections_per_address(&self) -> Option<usize> {
        self.with(|entry| entry.limits.max_connections_per_address)
    }

    fn change(&self, change: impl FnOnce(ServerOptions) -> ServerOptions) {
        self.with(|entry| {
            entry.options = change(entry.options.clone());
            entry.apply_options();
            Some(())
        });
    }

    fn try_change(&self, change: impl FnOnce(ServerOptions) -> ServerOptions) -> Result<()> {
        let changed = self.with(|entry| {
            let changed = change(entry.options.clone());
            Some(changed.check().map(|()| {
                entry.options = changed;
                entry.apply_options();
            }))
        });
        changed.unwrap_or(Ok(()))
    }
}
