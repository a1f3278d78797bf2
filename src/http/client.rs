//! The request that a client sends.

use std::borrow::Borrow;
use std::fmt;
use std::mem::replace;
use std::time::Duration;

use crate::LoopHandle;
use crate::engine::callbacks::{InformationFn, ResponseFn, SocketFn, UpgradeFn};
use crate::engine::endpoint::Endpoint;
use crate::engine::{ClientState, ExchangeId, Place, set_field};
use crate::error::Result;
use crate::http::outgoing::outgoing_methods;
use crate::http::value::Outcome;
use crate::http::writable::{io_write, writable_methods};
use crate::http::{Agent, Connection, IncomingResponse, Information, RequestOptions, Socket};
use crate::shell::LoopShell;

/// Starts a request; nothing is sent before `write`, `end` or `flush_headers`. (Node: `http.request`)
///
/// A free keep-alive connection to the origin is used where there is one. Names are looked up off the loop;
/// failures to look up, to connect or to get a response come to `on_error`.
///
/// # Errors
/// `ERR_INVALID_URL`, `ERR_INVALID_PROTOCOL` (only `http:`), `ERR_UNESCAPED_CHARACTERS` (a space or a control
/// character in the URL), `ERR_INVALID_HTTP_TOKEN` for the method.
///
/// ```no_run
/// use onloop::{http, EventLoop};
///
/// let mut event_loop = EventLoop::new()?;
/// let request = http::request(event_loop.handle(), "POST", "http://localhost:8080/")?;
/// request.set_header("Content-Type", "text/plain")?;
/// request.on_response(|response| {
///     println!("{}", response.status());
///     response.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
/// });
/// request.on_error(|error| eprintln!("{error}"));
/// request.end("Hi i am client");
/// event_loop.run()
/// # ; Ok::<(), onloop::Error>(())
/// ```
pub fn request(
    lp: LoopHandle,
    method: impl AsRef<str>,
    url: impl AsRef<str>,
) -> Result<ClientRequest> {
    request_with(lp, RequestOptions::new(method.as_ref(), url.as_ref()))
}

/// A GET request, ended at once. (Node: `http.get`)
///
/// # Errors
/// As [`request`].
pub fn get(
    lp: LoopHandle,
    url: impl AsRef<str>,
    on_response: impl FnOnce(IncomingResponse) + 'static,
) -> Result<ClientRequest> {
    let request = request(lp, "GET", url)?;
    request.on_response(on_response);
    request.end("");
    Ok(request)
}

/// Starts a request with options, which are taken or only looked at: many requests can be made from the same.
///
/// # Errors
/// As [`request`]; what is wrong with the options, and `ERR_AGENT_CLOSED`, `ERR_AGENT_QUEUE_FULL`.
///
/// ```no_run
/// use onloop::{http, EventLoop};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let options = http::RequestOptions::new("GET", "http://localhost/containers/json")
///     .unix_socket("/run/docker.sock")
///     .timeout(Duration::from_secs(10));
/// let request = http::request_with(event_loop.handle(), options)?;
/// request.on_timeout(move || request.destroy());
/// request.end("");
/// event_loop.run()
/// # ; Ok::<(), onloop::Error>(())
/// ```
pub fn request_with(lp: LoopHandle, options: impl Borrow<RequestOptions>) -> Result<ClientRequest> {
    let options = options.borrow();
    options.check()?;
    let agent = match options.agent {
        Some(agent) => Some(agent.on(lp)?),
        None => None,
    };
    let made = lp.with(|core| {
        let defaults = core.agents.options_of(agent);
        let timeout = options.timeout.or(defaults.and_then(|defaults| defaults.timeout));
        let detour = match defaults.and_then(|defaults| defaults.proxy.as_ref()) {
            Some(proxy) => options.way_through(proxy)?,
            None => None,
        };
        let is_proxied = detour.is_some();
        let of_loop = core.agents.head_limits;
        let fill = |client: &mut ClientState| options.fill(client, detour, &of_loop);
        let id = core.start_client_request(agent, fill, options.expects_content())?;
        if let Some(timeout) = timeout {
            core.set_exchange_timeout(id, timeout);
        }
        if let Some(active) = core.exchange(id).filter(|_| !options.fields.is_empty()) {
            active.outgoing.fields.copy_from(&options.fields);
        }
        if let Some(authorization) = options.authorization() {
            let set = core.head_mut(id, "Authorization").and_then(|head| {
                set_field(&mut head.fields, "Authorization", authorization.as_bytes(), Place::Only)
            });
            if let Err(error) = set {
                // Nobody gets a handle to it, so nobody else would end it.
                core.destroy(id, None);
                return Err(error);
            }
        }
        if is_proxied {
            core.add_proxy_credentials(id.key);
        }
        if let Some(journey) = &options.journey {
            core.begin_journey(id, **journey);
        }
        Ok(id)
    });
    let id = made.unwrap_or_else(|| Err(crate::engine::gone()))?;
    Ok(ClientRequest { shell: lp.shell(), id })
}

/// A handle to a request that a client makes (Node's `ClientRequest`). `Copy`; it does nothing once the
/// exchange is over.
///
/// `Host`, `Connection` and the framing are set by themselves. It implements [`std::io::Write`].
///
/// The order of calls: `on_response` (after any `on_continue` and `on_information`), the response's `on_data`,
/// `on_end`, then `on_close`. When it fails: `on_error`, then `on_close`.
///
/// Where it becomes a byte stream (`on_upgrade`, `on_connect`) the request is over: what is written goes to the
/// [`Socket`] alone. Only `destroy` reaches that from here, too.
#[derive(Clone, Copy)]
pub struct ClientRequest {
    pub(super) shell: &'static LoopShell,
    pub(super) id: ExchangeId,
}

impl ClientRequest {
    /// Sets what is called once with the response, when its head is complete. Without it the content is
    /// read and dropped. (Node: `'response'`)
    pub fn on_response<R: Outcome>(&self, callback: impl FnOnce(IncomingResponse) -> R + 'static) {
        let mut callback: Option<ResponseFn> =
            Some(Box::new(move |response| callback(response).into_result()));
        let displaced = self.shell.with(|core| {
            replace(&mut core.callbacks(self.id)?.more_mut().response, callback.take())
        });
        drop(displaced);
    }

    /// Sets what is called for each informational response but 101. (Node: `'information'`)
    pub fn on_information<R: Outcome>(&self, mut callback: impl FnMut(Information) -> R + 'static) {
        let mut callback: Option<InformationFn> =
            Some(Box::new(move |information| callback(information).into_result()));
        let displaced = self
            .shell
            .with(|core| core.callbacks(self.id)?.more_mut().information.replace(callback.take()));
        drop(displaced);
    }

    /// Sets what is called when the server says `100 Continue`, before `on_information`: time to send the
    /// content of a request with `Expect: 100-continue`, whose head [`ClientRequest::flush_headers`] has sent.
    /// (Node: `'continue'`)
    pub fn on_continue<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(
            self.shell,
            self.id,
            |callbacks| &mut callbacks.more_mut().proceed,
            callback,
        );
    }

    /// Sets what is called when the server switches protocols: with the response, the connection as a byte
    /// stream, and the bytes that came behind the head. Without it a 101 is an error, and so is one without
    /// `Connection: upgrade`, or whose `Upgrade` names what the request's does not (RFC 9110 §7.8). (Node: `'upgrade'`)
    pub fn on_upgrade<R: Outcome>(
        &self,
        callback: impl FnOnce(IncomingResponse, Socket, &[u8]) -> R + 'static,
    ) {
        let mut callback: Option<UpgradeFn> = Some(Box::new(move |response, socket, head| {
            callback(response, socket, head).into_result()
        }));
        let displaced = self.shell.with(|core| {
            replace(&mut core.callbacks(self.id)?.more_mut().upgrade, callback.take())
        });
        drop(displaced);
    }

    /// Sets what is called with the connection that the request is given, new or used before, when it is made and
    /// before anything is sent on it; a second time where the request is made again on another one. Set it
    /// before the loop turns. (Node: `'socket'`)
    pub fn on_socket<R: Outcome>(&self, mut callback: impl FnMut(Connection) -> R + 'static) {
        let mut callback: Option<SocketFn> =
            Some(Box::new(move |connection| callback(connection).into_result()));
        let displaced = self
            .shell
            .with(|core| core.callbacks(self.id)?.more_mut().socket.replace(callback.take()));
        drop(displaced);
    }

    /// The connection, once there is one. (Node: `socket`)
    pub fn connection(&self) -> Option<Connection> {
        let connected = self.shell.with(|core| core.is_connected(self.id)).unwrap_or(false);
        connected.then(|| Connection::new(self.shell, self.id))
    }

    /// The method. Empty once the exchange is over. (Node: `method`)
    pub fn method(&self) -> String {
        self.told(|client| client.method.to_string())
    }

    /// The request target: path and query, or what [`RequestOptions::path`] has set; through a proxy, too, which is
    /// told the whole URL. Empty once the exchange is over. (Node: `path`)
    pub fn path(&self) -> String {
        self.told(|client| {
            client.endpoint.as_deref().map_or("", Endpoint::target_asked_for).to_string()
        })
    }

    /// The host that the request goes to, without port. Empty once the exchange is over. (Node: `host`)
    pub fn host(&self) -> String {
        self.told(|client| {
            client.endpoint.as_deref().map_or("", Endpoint::host_asked_for).to_string()
        })
    }

    /// The URL that the request goes to, without credentials and fragment: where redirects are
    /// [followed](RequestOptions::redirects), the one that it was sent to last. Empty once the exchange is over.
    pub fn url(&self) -> String {
        self.shell.with(|core| core.url(self.id)).flatten().unwrap_or_default()
    }

    /// How many [redirects](RequestOptions::redirects) were followed so far. Zero once the exchange is over.
    pub fn redirects(&self) -> u32 {
        self.shell.with(|core| core.redirects(self.id)).unwrap_or(0)
    }

    /// `http:`. (Node: `protocol`)
    pub fn protocol(&self) -> &'static str {
        "http:"
    }

    fn told(&self, read: impl FnOnce(&ClientState) -> String) -> String {
        let client =
            self.shell.with(|core| core.exchange(self.id)?.client.as_deref().map(read)).flatten();
        client.unwrap_or_default()
    }

    /// The agent whose connections it uses; `None` for one that has a connection of its own, and once the
    /// exchange is over. (Node: `agent`)
    pub fn agent(&self) -> Option<Agent> {
        let id = self.shell.with(|core| core.agent_of(self.id)).flatten()?;
        Some(Agent::of(self.shell, id))
    }

    /// Whether the connection is to be kept, as far as both sides have said. (Node: `shouldKeepAlive`)
    pub fn should_keep_alive(&self) -> bool {
        self.shell.with(|core| core.should_keep_alive(self.id)).unwrap_or(false)
    }

    /// Whether small packets are sent at once (`TCP_NODELAY`), on the connection that the request has or will
    /// have. Default: true, but for connections that `create_connection` brings, which are left as they are.
    /// (Node: `setNoDelay`)
    pub fn set_no_delay(&self, no_delay: bool) {
        self.shell.with(|core| core.set_client_no_delay(self.id, no_delay));
    }

    /// Has the system probe the connection that the request has or will have once it is silent for so long
    /// (`SO_KEEPALIVE`), or not. (Node: `setSocketKeepAlive`)
    pub fn set_socket_keep_alive(&self, initial_delay: Option<Duration>) {
        self.shell.with(|core| core.set_client_keep_alive(self.id, initial_delay));
    }

    /// Turns the timeout off: `set_timeout` with zero. (Node: `clearTimeout`)
    pub fn clear_timeout(&self) {
        self.set_timeout(Duration::ZERO);
    }

    /// Sets what is called when a proxy, asked by CONNECT, has made the tunnel: with its response, the connection
    /// as a byte stream, and the bytes that came behind the head. Any answer but a 2xx comes to `on_response`. A
    /// tunnel that nobody waits for is closed, and an error. CONNECT has no content: `write` refuses it, and what is
    /// written belongs to the socket. (Node: `'connect'`)
    ///
    /// ```no_run
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let lp = event_loop.handle();
    /// use onloop::http::{self, RequestOptions};
    /// let options = RequestOptions::new("CONNECT", "http://localhost:3128/").path("example.com:25");
    /// let request = http::request_with(lp, options)?;
    /// request.on_connect(|_response, socket, _head| {
    ///     socket.on_data(|bytes| print!("{}", String::from_utf8_lossy(bytes)));
    ///     socket.write("QUIT\r\n");
    /// });
    /// request.on_response(|response| eprintln!("no tunnel: {}", response.status()));
    /// request.end("");
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_connect<R: Outcome>(
        &self,
        callback: impl FnOnce(IncomingResponse, Socket, &[u8]) -> R + 'static,
    ) {
        let mut callback: Option<UpgradeFn> = Some(Box::new(move |response, socket, head| {
            callback(response, socket, head).into_result()
        }));
        let displaced = self.shell.with(|core| {
            replace(&mut core.callbacks(self.id)?.more_mut().connect, callback.take())
        });
        drop(displaced);
    }

    /// The request is sent on a connection that served another one before. (Node: `reusedSocket`)
    pub fn is_reused(&self) -> bool {
        self.shell.with(|core| core.is_reused(self.id)).unwrap_or(false)
    }

    outgoing_methods!();
    writable_methods!();
}

io_write!(ClientRequest);

impl fmt::Debug for ClientRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("ClientRequest", self.id, f)
    }
}
