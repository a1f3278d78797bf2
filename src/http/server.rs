//! The server: where it listens and what it calls.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::LoopHandle;
use crate::engine::callbacks::Listener;
use crate::engine::{Core, Hook, ServerEntry, not_running};
use crate::error::{Error, Result};
use crate::http::value::Outcome;
use crate::http::{Request, Response, ServerOptions, Socket};
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

    /// Sets what is called for each request, when its head is complete and before any content is read.
    /// Replaces the callback that was set before. (Node: `'request'`)
    pub fn on_request<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Response) -> R + 'static,
    ) {
        let callback: crate::engine::server::RequestFn =
            Box::new(move |req, res| callback(req, res).into_result());
        self.replace(|entry| &mut entry.on_request, Some(callback));
    }

    /// Removes the callback of [`Server::on_request`]. (Node: `off('request')`)
    pub fn off_request(&self) {
        self.replace(|entry| &mut entry.on_request, None);
    }

    /// Sets what is called when a client asks to switch protocols (RFC 9110 §7.8): with the request, the
    /// connection as a byte stream, and the bytes that came behind the head. The callback writes the 101
    /// itself. Without it such requests are ordinary ones; so are those with content. (Node: `'upgrade'`)
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// server.on_upgrade(|req, socket, head| {
    ///     socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    ///     socket.write(head);
    ///     socket.pipe(socket); // what comes goes back
    /// });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_upgrade<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Socket, &[u8]) -> R + 'static,
    ) {
        let callback: crate::engine::server::ServerUpgradeFn =
            Box::new(move |req, socket, head| callback(req, socket, head).into_result());
        self.replace(|entry| &mut entry.on_upgrade, Some(callback));
    }

    /// Sets what is called for CONNECT (RFC 9110 §9.3.6): with the request, the connection as a byte stream,
    /// and the bytes that came behind the head. The callback writes the response itself: a 2xx makes the
    /// connection a tunnel, after anything else it should [`end`](Socket::end) the socket. Without it CONNECT
    /// is answered 405. (Node: `'connect'`)
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// server.on_connect(|req, socket, _head| {
    ///     println!("a tunnel to {}?", req.url()); // `example.com:443`
    ///     socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    /// });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_connect<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Socket, &[u8]) -> R + 'static,
    ) {
        let callback: crate::engine::server::ServerUpgradeFn =
            Box::new(move |req, socket, head| callback(req, socket, head).into_result());
        self.replace(|entry| &mut entry.on_connect, Some(callback));
    }

    /// Decides per request whether an upgrade is accepted; false makes it an ordinary request. Default:
    /// accepted when `on_upgrade` is set. (Node: `shouldUpgradeCallback`)
    pub fn should_upgrade(&self, callback: impl FnMut(&Request) -> bool + 'static) {
        let callback: crate::engine::server::ShouldUpgradeFn = Box::new(callback);
        self.replace(|entry| &mut entry.should_upgrade, Some(callback));
    }

    /// Sets what is called for a request that cannot be served: malformed, too large, too slow. The callback
    /// may answer on the socket, which is closed when it returns; without a callback the default answer is
    /// sent ([`Error::status_hint`]). (Node: `'clientError'`)
    pub fn on_client_error<R: Outcome>(
        &self,
        mut callback: impl FnMut(Error, Socket) -> R + 'static,
    ) {
        let callback: crate::engine::server::ClientErrorFn =
            Box::new(move |error, socket| callback(error, socket).into_result());
        self.replace(|entry| &mut entry.on_client_error, Some(callback));
    }

    /// Sets what is called once when the server is closed and its last connection is gone. (Node: `'close'`)
    pub fn on_close<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        let mut callback: Option<Hook> = Some(Box::new(move || callback().into_result()));
        let displaced = self.with(|entry| std::mem::replace(&mut entry.on_close, callback.take()));
        drop(displaced);
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

    /// Stops accepting. Idle connections are closed; busy ones finish their exchange, whose response says
    /// `Connection: close`. Then `on_close` is called and the handle is dead. (Node: `close`)
    pub fn close(&self) {
        self.shell.with(|core| core.close_server(self.key, self.generation));
    }

    /// Closes connections without an exchange. (Node: `closeIdleConnections`)
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

    fn with<R>(&self, work: impl FnOnce(&mut ServerEntry) -> Option<R>) -> Option<R> {
        self.shell.with(|core| core.server(self.key, self.generation).and_then(work)).flatten()
    }

    fn replace<T>(
        &self,
        place: impl FnOnce(&mut ServerEntry) -> &mut Listener<T>,
        mut callback: Option<T>,
    ) {
        let displaced = self.with(|entry| place(entry).replace(callback.take()));
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

/// Where a server can listen: see [`Server::listen`].
pub trait ListenAddress {
    /// The address in full.
    ///
    /// # Errors
    /// `ERR_INVALID_ADDRESS` where the text is no address, `ERR_SOCKET_BAD_PORT` where its port is beyond 65535.
    /// Names other than `localhost` are not looked up.
    fn to_address(&self) -> Result<Address>;
}

impl ListenAddress for str {
    fn to_address(&self) -> Result<Address> {
        if let Some(path) = self.strip_prefix("unix:") {
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(Address::Ip(address));
        }
        let invalid = || {
            let message = format!(
                "cannot listen on {self:?}: give an IP address and a port, such as \"127.0.0.1:8080\""
            );
            Error::local("ERR_INVALID_ADDRESS", message)
        };
        let (host, port) = self.rsplit_once(':').ok_or_else(invalid)?;
        let digits = port.strip_prefix('-').unwrap_or(port);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let port: u16 = port.parse().map_err(|_| {
            let message = format!("the port must be from 0 to 65535 (got {port})");
            Error::local("ERR_SOCKET_BAD_PORT", message)
        })?;
        match host {
            "" => port.to_address(),
            "localhost" => Ok(Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            _ => Err(invalid()),
        }
    }
}

impl ListenAddress for String {
    fn to_address(&self) -> Result<Address> {
        self.as_str().to_address()
    }
}

impl ListenAddress for u16 {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(SocketAddr::from((Ipv6Addr::UNSPECIFIED, *self))))
    }
}

impl ListenAddress for SocketAddr {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(*self))
    }
}

impl ListenAddress for Address {
    fn to_address(&self) -> Result<Address> {
        Ok(self.clone())
    }
}

impl ListenAddress for (IpAddr, u16) {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(SocketAddr::from(*self)))
    }
}

impl ListenAddress for (&str, u16) {
    fn to_address(&self) -> Result<Address> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(Address::Ip(SocketAddr::from((ip, self.1)))),
            Err(_) => format!("{}:{}", self.0, self.1).to_address(),
        }
    }
}

impl ListenAddress for Path {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.to_path_buf()))
    }
}

impl ListenAddress for PathBuf {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.clone()))
    }
}

impl<T: ListenAddress + ?Sized> ListenAddress for &T {
    fn to_address(&self) -> Result<Address> {
        (**self).to_address()
    }
}
