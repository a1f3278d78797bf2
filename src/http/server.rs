//! The server: where it listens and what it calls.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use crate::LoopHandle;
use crate::engine::callbacks::Listener;
use crate::engine::server::ServerCallbacks;
use crate::engine::{Core, ServerEntry, not_running};
use crate::error::Result;
use crate::http::{ListenAddress, ServerOptions};
use crate::net::Address;
use crate::shell::LoopShell;

/// A handle to a server (Node's `http.Server`). `Copy`; it does nothing once the server is closed.
///
/// ```no_run
/// use onloop::{http, EventLoop};
///
/// let mut event_loop = EventLoop::new()?;
/// let lp = event_loop.handle();
/// let server = http::create_server(lp, |_req, res| res.end("Hello, World!"));
/// server.listen("127.0.0.1:8080")?;
/// event_loop.run()
/// # ; Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Server {
    shell: &'static LoopShell,
    key: u32,
    generation: u32,
}

impl Server {
    /// A server that does not listen yet. What it needs comes by `on_request` and its like; a request that
    /// finds no `on_request` is answered 404.
    ///
    /// # Errors
    /// Options that contradict each other (`ERR_OUT_OF_RANGE`), a loop that is gone, more than 65,534
    /// servers on one loop.
    pub fn new(lp: LoopHandle, options: ServerOptions) -> Result<Server> {
        options.check()?;
        let shell = lp.shell();
        let made = lp.with(|core| core.add_server(options)).unwrap_or_else(|| Err(not_running()));
        made.map(|(key, generation)| Server { shell, key, generation })
    }

    /// The handle of no server.
    pub(super) fn dead(lp: LoopHandle) -> Server {
        Server { shell: lp.shell(), key: u32::MAX, generation: u32::MAX }
    }

    /// Listens; connections are accepted from the next turn on. May be called again for further addresses.
    ///
    /// An address is `"127.0.0.1:8080"`, `"[::1]:8080"`, `"localhost:8080"` (127.0.0.1), `":8080"` or `8080` (all
    /// interfaces), a `SocketAddr`, `"unix:/path"` or a `Path`. Port 0 picks a free one: see
    /// [`Server::address`]. (Node: `listen`)
    ///
    /// # Errors
    /// `EADDRINUSE`, `EACCES` and their like from the system, `ERR_INVALID_ADDRESS` for text that is no address,
    /// `ERR_SOCKET_BAD_PORT` for a port beyond 65535, `ERR_SERVER_NOT_RUNNING` once the server is closed.
    pub fn listen(&self, address: impl ListenAddress) -> Result<()> {
        let address = address.to_address()?;
        let result =
            self.shell.with(|core| match core.listen(self.key, self.generation, &address) {
                // A machine without IPv6 has no `::`.
                Err(error) if is_any_v6(&address) && error.code() != "EADDRINUSE" => {
                    let port = address.port().unwrap_or(0);
                    let v4 = Address::Ip(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
                    core.listen(self.key, self.generation, &v4)
                }
                result => result,
            });
        result.unwrap_or_else(|| Err(not_running()))
    }

    /// Listens on a socket that was bound elsewhere, and perhaps listens already: one inherited from a
    /// supervisor or another process, or bound with options that [`ServerOptions`] does not have.
    /// The path of a Unix socket is left where it is when the server closes. (Node: `listen` with a handle or
    /// `fd`)
    ///
    /// # Errors
    /// The socket is not a bound stream socket (`EINVAL` and its like), `ERR_SERVER_NOT_RUNNING` once the
    /// server is closed.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// let inherited = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// server.listen_on(inherited)?;
    /// assert!(server.is_listening());
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn listen_on(&self, listener: impl Into<OwnedFd>) -> Result<()> {
        let listener = listener.into();
        self.shell
            .with(|core| core.listen_on(self.key, self.generation, listener))
            .unwrap_or_else(|| Err(not_running()))
    }

    /// Serves a connection that was made elsewhere: an accepted `TcpStream`, one end of a
    /// `UnixStream::pair`. It counts as one of the server's; `on_connection` is called for it in the next
    /// turn. (Node: `server.emit('connection', socket)`)
    ///
    /// # Errors
    /// The socket is not a connected stream, the server's limit of connections is reached
    /// (`ERR_TOO_MANY_CONNECTIONS`), `ERR_SERVER_NOT_RUNNING` once the server is closed. The socket is closed
    /// then.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// let (ours, _theirs) = std::os::unix::net::UnixStream::pair()?;
    /// server.serve_connection(ours)?;
    /// assert_eq!(server.connections(), 1);
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn serve_connection(&self, stream: impl Into<OwnedFd>) -> Result<()> {
        let stream = stream.into();
        self.shell
            .with(|core| core.serve_connection(self.key, self.generation, stream))
            .unwrap_or_else(|| Err(not_running()))
    }

    /// The address of the first listener. (Node: `address`)
    pub fn address(&self) -> Option<Address> {
        self.shell
            .with(|core| {
                let entry = core.server(self.key, self.generation)?;
                let key = *entry.listeners.first()?;
                core.net.local_address(&core.slots.get(key as usize)?.source)
            })
            .flatten()
    }

    /// The port of the first listener; 0 where there is none.
    pub fn port(&self) -> u16 {
        self.address().and_then(|address| address.port()).unwrap_or(0)
    }

    /// It accepts connections. (Node: `listening`)
    pub fn is_listening(&self) -> bool {
        self.with(|entry| Some(!entry.listeners.is_empty())).unwrap_or(false)
    }

    /// How many connections there are. (Node: `getConnections`)
    pub fn connections(&self) -> usize {
        self.with(|entry| Some(entry.connections)).unwrap_or(0)
    }

    /// Stops accepting. Idle connections are closed, where a request has come already it is answered first; busy ones
    /// finish their exchange. Each of these responses says `Connection: close`. Then `on_close` is called and the handle
    /// is dead. (Node: `close`)
    pub fn close(&self) {
        self.shell.with(|core| core.close_server(self.key, self.generation));
    }

    /// Closes connections without an exchange. Where a next request has come that was not read yet, only our side is
    /// closed at once, and all of it when the client has closed its own or after 2 s, so that an answer which is
    /// still under way is not lost. (Node: `closeIdleConnections`)
    pub fn close_idle_connections(&self) {
        self.shell.with(|core| core.close_idle_connections(self.key, self.generation));
    }

    /// Closes all HTTP connections, busy or not; upgraded ones are left. (Node: `closeAllConnections`)
    pub fn close_all_connections(&self) {
        self.shell.with(|core| core.close_all_connections(self.key, self.generation));
    }

    /// Listening does not keep the loop running. (Node: `unref`)
    pub fn unref(&self) {
        self.shell.with(|core| core.set_server_referenced(self.key, self.generation, false));
    }

    /// Listening keeps the loop running again: the default. (Node: `ref`)
    pub fn ref_(&self) {
        self.shell.with(|core| core.set_server_referenced(self.key, self.generation, true));
    }

    pub(super) fn with<R>(&self, work: impl FnOnce(&mut ServerEntry) -> Option<R>) -> Option<R> {
        self.shell.with(|core| core.server(self.key, self.generation).and_then(work)).flatten()
    }

    pub(super) fn replace<T>(
        &self,
        place: impl FnOnce(&mut ServerCallbacks) -> &mut Listener<T>,
        mut callback: Option<T>,
    ) {
        let displaced = self.with(|entry| place(&mut entry.callbacks).replace(callback.take()));
        drop(displaced);
    }
}

fn is_any_v6(address: &Address) -> bool {
    address.ip() == Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
}

impl Core {
    fn server(&mut self, key: u32, generation: u32) -> Option<&mut ServerEntry> {
        let entry = self.servers.get_mut(key as usize)?;
        (entry.generation == generation).then_some(&mut **entry)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("key", &self.key).finish_non_exhaustive()
    }
}
