//! What a server calls.

use crate::engine::Hook;
use crate::engine::server as engine;
use crate::error::Error;
use crate::http::{Connection, DropInfo, Outcome, Request, Response, Server, Socket};

/// What the server calls, each set anew replaces what was set before.
impl Server {
    /// Sets what is called for each connection that was accepted, before a byte of it is read.
    /// (Node: `'connection'`)
    pub fn on_connection<R: Outcome>(&self, mut callback: impl FnMut(Connection) -> R + 'static) {
        let callback: engine::ConnectionFn =
            Box::new(move |connection| callback(connection).into_result());
        self.replace(|callbacks| &mut callbacks.connection, Some(callback));
    }

    /// Removes the callback of [`Server::on_connection`]. (Node: `off('connection')`)
    pub fn off_connection(&self) {
        self.replace(|callbacks| &mut callbacks.connection, None);
    }

    /// Sets what is called for each request, when its head is complete and before any content is read.
    /// Replaces the callback that was set before. (Node: `'request'`)
    pub fn on_request<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Response) -> R + 'static,
    ) {
        let callback: engine::RequestFn =
            Box::new(move |req, res| callback(req, res).into_result());
        self.replace(|callbacks| &mut callbacks.request, Some(callback));
    }

    /// Removes the callback of [`Server::on_request`]. (Node: `off('request')`)
    pub fn off_request(&self) {
        self.replace(|callbacks| &mut callbacks.request, None);
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
        let callback: engine::ServerUpgradeFn =
            Box::new(move |req, socket, head| callback(req, socket, head).into_result());
        self.replace(|callbacks| &mut callbacks.upgrade, Some(callback));
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
        let callback: engine::ServerUpgradeFn =
            Box::new(move |req, socket, head| callback(req, socket, head).into_result());
        self.replace(|callbacks| &mut callbacks.connect, Some(callback));
    }

    /// Decides per request whether an upgrade is accepted; false makes it an ordinary request. Default:
    /// accepted when `on_upgrade` is set. True without `on_upgrade` closes the connection. Not asked for CONNECT.
    /// (Node: `shouldUpgradeCallback`)
    pub fn should_upgrade(&self, callback: impl FnMut(&Request) -> bool + 'static) {
        let callback: engine::ShouldUpgradeFn = Box::new(callback);
        self.replace(|callbacks| &mut callbacks.should_upgrade, Some(callback));
    }

    /// Sets what is called for a request that cannot be served: malformed ([`Error::raw_packet`] has the
    /// bytes), too large, too slow; and for a connection that broke, as by a reset. The callback may answer on
    /// the socket, which is closed when it returns; where a response had begun or the connection broke the
    /// socket is over already. Without a callback the default answer is sent ([`Error::status_hint`]). An error
    /// out of the callback is logged; answers to earlier requests come whole all the same.
    /// The exchange's own `on_error` and `on_close` follow. (Node: `'clientError'`)
    pub fn on_client_error<R: Outcome>(
        &self,
        mut callback: impl FnMut(Error, Socket) -> R + 'static,
    ) {
        let callback: engine::ClientErrorFn =
            Box::new(move |error, socket| callback(error, socket).into_result());
        self.replace(|callbacks| &mut callbacks.client_error, Some(callback));
    }

    /// Sets what is called once when the server is closed and its last connection is gone. (Node: `'close'`)
    pub fn on_close<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        let mut callback: Option<Hook> = Some(Box::new(move || callback().into_result()));
        let displaced =
            self.with(|entry| std::mem::replace(&mut entry.callbacks.close, callback.take()));
        drop(displaced);
    }

    /// Sets what is called in place of `on_request` for a request that says `Expect: 100-continue`
    /// (RFC 9110 §10.1.1). The callback decides: it asks for the content, which sends `100 Continue`, or says
    /// so with [`Response::write_continue`], or gives a final answer instead, which closes the connection
    /// behind it. Without it such requests are ordinary ones. CONNECT and what is upgraded do not come here.
    /// (Node: `'checkContinue'`)
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// server.on_check_continue(|req, res| {
    ///     let length = req.header("content-length").and_then(|length| length.parse::<u64>().ok());
    ///     if length.is_none_or(|length| length > 1_000_000) {
    ///         res.set_status(413);
    ///         res.end("too much");
    ///         return;
    ///     }
    ///     req.pipe(res); // `100 Continue` first, since content is asked for
    /// });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_check_continue<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Response) -> R + 'static,
    ) {
        let callback: engine::RequestFn =
            Box::new(move |req, res| callback(req, res).into_result());
        self.replace(|callbacks| &mut callbacks.check_continue, Some(callback));
    }

    /// Removes the callback of [`Server::on_check_continue`]. (Node: `off('checkContinue')`)
    pub fn off_check_continue(&self) {
        self.replace(|callbacks| &mut callbacks.check_continue, None);
    }

    /// Sets what is called in place of `on_request` for a request with an expectation that is not
    /// `100-continue`. Without it the answer is 417. CONNECT and what is upgraded do not come here.
    /// (Node: `'checkExpectation'`)
    pub fn on_check_expectation<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Response) -> R + 'static,
    ) {
        let callback: engine::RequestFn =
            Box::new(move |req, res| callback(req, res).into_result());
        self.replace(|callbacks| &mut callbacks.check_expectation, Some(callback));
    }

    /// Removes the callback of [`Server::on_check_expectation`]. (Node: `off('checkExpectation')`)
    pub fn off_check_expectation(&self) {
        self.replace(|callbacks| &mut callbacks.check_expectation, None);
    }

    /// Sets what is called for a request that came behind the last one of its connection
    /// ([`max_requests_per_socket`](crate::http::ServerOptions::max_requests_per_socket)). It is not served and
    /// not answered: the response before it has said `Connection: close`, and RFC 9112 §9.6 allows nothing
    /// behind that. An error out of the callback is logged. (Node: `'dropRequest'`, with a 503)
    pub fn on_drop_request<R: Outcome>(
        &self,
        mut callback: impl FnMut(Request, Connection) -> R + 'static,
    ) {
        let callback: engine::DropRequestFn =
            Box::new(move |req, connection| callback(req, connection).into_result());
        self.replace(|callbacks| &mut callbacks.drop_request, Some(callback));
    }

    /// Removes the callback of [`Server::on_drop_request`]. (Node: `off('dropRequest')`)
    pub fn off_drop_request(&self) {
        self.replace(|callbacks| &mut callbacks.drop_request, None);
    }

    /// Sets what is called when nothing has moved on a connection for as long as its timeout says, after
    /// `on_timeout` of the request and of the response: once, until something moves again. Where none of the
    /// three is set the connection is closed. Connections that are idle between two requests are closed
    /// without it. (Node: `'timeout'`)
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end(""));
    /// server.set_timeout(std::time::Duration::from_secs(30));
    /// server.on_timeout(|connection| {
    ///     eprintln!("nothing moves from {:?}", connection.remote_address());
    ///     connection.destroy();
    /// });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_timeout<R: Outcome>(&self, mut callback: impl FnMut(Connection) -> R + 'static) {
        let callback: engine::ConnectionFn =
            Box::new(move |connection| callback(connection).into_result());
        self.replace(|callbacks| &mut callbacks.timeout, Some(callback));
    }

    /// Removes the callback of [`Server::on_timeout`]. (Node: `off('timeout')`)
    pub fn off_timeout(&self) {
        self.replace(|callbacks| &mut callbacks.timeout, None);
    }

    /// Sets what is called for a connection that was closed at once because there are too many
    /// ([`max_connections`](crate::http::ServerOptions::max_connections),
    /// [`max_connections_per_address`](crate::http::ServerOptions::max_connections_per_address)).
    /// (Node: `'drop'`)
    pub fn on_drop<R: Outcome>(&self, mut callback: impl FnMut(DropInfo) -> R + 'static) {
        let callback: engine::DropFn = Box::new(move |info| callback(info).into_result());
        self.replace(|callbacks| &mut callbacks.drop, Some(callback));
    }

    /// Removes the callback of [`Server::on_drop`]. (Node: `off('drop')`)
    pub fn off_drop(&self) {
        self.replace(|callbacks| &mut callbacks.drop, None);
    }

    /// Removes the callback of [`Server::on_upgrade`]. (Node: `off('upgrade')`)
    pub fn off_upgrade(&self) {
        self.replace(|callbacks| &mut callbacks.upgrade, None);
    }

    /// Removes the callback of [`Server::on_connect`]. (Node: `off('connect')`)
    pub fn off_connect(&self) {
        self.replace(|callbacks| &mut callbacks.connect, None);
    }

    /// Removes the callback of [`Server::on_client_error`]. (Node: `off('clientError')`)
    pub fn off_client_error(&self) {
        self.replace(|callbacks| &mut callbacks.client_error, None);
    }
}
