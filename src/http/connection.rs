//! The connection that requests come on, apart from any one of them.

use std::fmt;
use std::time::Duration;

use crate::engine::ExchangeId;
use crate::engine::raw::socket_closed;
use crate::error::Result;
use crate::net::Address;
use crate::shell::LoopShell;

/// A handle to a connection of HTTP messages (the `socket` of Node's messages). `Copy`; it names the
/// connection and not the exchange on it, so it is good for as long as the connection lives, and does nothing
/// afterwards. A client's connection that goes from one request straight to another that waited for it has a new
/// one.
///
/// Bytes are not read from it or written to it: that is the messages' part. For a byte stream of one's own
/// see [`Socket`](crate::http::Socket).
///
/// ```
/// # let mut event_loop = onloop::EventLoop::new()?;
/// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
/// server.on_connection(|connection| {
///     let client = connection.remote_address().and_then(|address| address.ip());
///     if client.is_some_and(|ip| ip.is_multicast()) {
///         connection.destroy(); // not one byte of it has been read
///     }
/// });
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Connection {
    shell: &'static LoopShell,
    key: u32,
    generation: u32,
}

impl Connection {
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId) -> Self {
        Connection { shell, key: id.key, generation: id.generation }
    }

    /// It is not closed.
    pub fn is_open(&self) -> bool {
        self.shell
            .with(|core| core.connection(self.key, self.generation).is_some())
            .unwrap_or(false)
    }

    /// The peer's address, where it has one. (Node: `remoteAddress`, `remotePort`, `remoteFamily`)
    pub fn remote_address(&self) -> Option<Address> {
        self.shell
            .with(|core| {
                core.connection(self.key, self.generation)?;
                core.net.peer_address(&core.slots[self.key as usize].source)
            })
            .flatten()
    }

    /// The address of our side. (Node: `localAddress`, `localPort`, `localFamily`)
    pub fn local_address(&self) -> Option<Address> {
        self.shell
            .with(|core| {
                core.connection(self.key, self.generation)?;
                core.net.local_address(&core.slots[self.key as usize].source)
            })
            .flatten()
    }

    /// Closes it at once, whatever goes on on it: what waits to be sent is dropped, an exchange ends with
    /// `on_close`. (Node: `socket.destroy`)
    pub fn destroy(&self) {
        self.shell.with(|core| core.destroy_connection(self.key, self.generation));
    }

    /// The same with a reset, so that the peer sees a failure and the system forgets the connection at once.
    /// (Node: `socket.resetAndDestroy`)
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` where it is closed, `ERR_INVALID_HANDLE_TYPE` for a Unix socket, which has no
    /// resets.
    pub fn reset_and_destroy(&self) -> Result<()> {
        self.shell
            .with(|core| core.reset_connection(self.key, self.generation))
            .unwrap_or_else(|| Err(socket_closed()))
    }

    /// After so long without a byte in either direction `on_timeout` of the request, of the response and of
    /// the server are called; where none of them is set the connection is closed. It holds for the exchange
    /// that is going on, or, before the first request, to the end of the first exchange; zero turns it off.
    /// Between two exchanges it does nothing: `keep_alive_timeout` runs then. (Node: `socket.setTimeout`)
    pub fn set_timeout(&self, timeout: Duration) {
        self.shell.with(|core| core.set_connection_timeout(self.key, self.generation, timeout));
    }

    /// The timeout of the exchange that is going on; zero where there is none, or none is set. To a tick of
    /// 50 ms. (Node: `socket.timeout`)
    pub fn timeout(&self) -> Duration {
        let timeout =
            self.shell.with(|core| core.connection_timeout(self.key, self.generation)).flatten();
        timeout.unwrap_or_default()
    }

    /// Whether small packets are sent at once (`TCP_NODELAY`). (Node: `socket.setNoDelay`)
    pub fn set_no_delay(&self, no_delay: bool) {
        self.shell.with(|core| {
            core.with_source(self.key, self.generation, |net, source| {
                net.set_nodelay(source, no_delay)
            })
        });
    }

    /// Has the system probe the connection once it is silent for so long (`SO_KEEPALIVE`), or not.
    /// (Node: `socket.setKeepAlive`)
    pub fn set_keep_alive(&self, initial_delay: Option<Duration>) {
        self.shell.with(|core| {
            core.with_source(self.key, self.generation, |net, source| {
                net.set_keepalive(source, initial_delay)
            })
        });
    }

    /// Takes a client's connection out of its agent, for good: the agent's limits do not count it any more, and it
    /// ends with the exchange that is going on on it; a free one ends at once. Does nothing to a server's.
    /// (Node: the event `'agentRemove'`)
    pub fn remove_from_agent(&self) {
        self.shell.with(|core| core.remove_from_agent(self.key, self.generation));
    }

    /// The connection does not keep the loop running. (Node: `socket.unref`)
    pub fn unref(&self) {
        self.shell.with(|core| core.set_connection_referenced(self.key, self.generation, false));
    }

    /// The connection keeps the loop running again: the default. (Node: `socket.ref`)
    pub fn ref_(&self) {
        self.shell.with(|core| core.set_connection_referenced(self.key, self.generation, true));
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.shell, other.shell)
            && (self.key, self.generation) == (other.key, other.generation)
    }
}

impl Eq for Connection {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("connection", &self.key).finish_non_exhaustive()
    }
}

/// A connection that was refused because there are too many: what `on_drop` is called with.
#[derive(Debug, Clone)]
pub struct DropInfo {
    local: Option<Address>,
    remote: Option<Address>,
}

impl DropInfo {
    pub(crate) fn new(local: Option<Address>, remote: Option<Address>) -> Self {
        DropInfo { local, remote }
    }

    /// The address that was connected to.
    pub fn local_address(&self) -> Option<&Address> {
        self.local.as_ref()
    }

    /// The address that it came from, where it has one.
    pub fn remote_address(&self) -> Option<&Address> {
        self.remote.as_ref()
    }
}
