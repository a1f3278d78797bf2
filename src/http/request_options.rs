//! What a client request is made from.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::agent::push_origin_name;
use crate::engine::endpoint::Endpoint;
use crate::engine::journey::JourneyOptions;
use crate::engine::server::fields_max;
use crate::engine::{ClientState, Place, set_field};
use crate::error::{Error, Result};
use crate::h1::{FieldList, HeadLimits, METHODS, Url, UrlError, is_token};
use crate::http::credentials::basic;
use crate::http::proxy::AgentProxy;
use crate::http::recent::endpoint_of;
use crate::http::{Agent, Family, HeaderValue, Retries};

/// What a client request is made from: method and URL, and what overrides the URL's parts.
///
/// What cannot be is told by [`request_with`](crate::http::request_with), once and by its first fault.
///
/// ```
/// use onloop::http::RequestOptions;
/// let options = RequestOptions::new("GET", "http://localhost/")
///     .port(8080)
///     .path("/search?q=loop")
///     .header("Accept", "text/plain");
/// # drop(options);
/// ```
#[derive(Debug, Clone)]
pub struct RequestOptions {
    pub(super) method: Cow<'static, str>,
    /// The URL, read; shared by clones. Or what is wrong.
    pub(super) endpoint: Result<Arc<Endpoint>>,
    pub(super) timeout: Option<Duration>,
    pub(super) agent: Option<Agent>,
    pub(super) fields: FieldList,
    keep_alive: bool,
    max_header_size: Option<usize>,
    max_headers_count: Option<usize>,
    join_duplicate_headers: bool,
    /// Boxed, since few have any of it, and options are cloned.
    pub(super) journey: Option<Box<JourneyOptions>>,
}

impl RequestOptions {
    /// A request of this method to this URL.
    ///
    /// The URL is read here and once; the few that were read last are remembered. Where many requests go to the same
    /// one, they can be made from the same options.
    pub fn new(method: impl AsRef<str>, url: impl AsRef<str>) -> Self {
        let method = method.as_ref();
        RequestOptions {
            method: match METHODS.binary_search(&method) {
                Ok(known) => Cow::Borrowed(METHODS[known]),
                Err(_) => Cow::Owned(method.into()),
            },
            endpoint: endpoint_of(url.as_ref(), endpoint),
            timeout: None,
            agent: None,
            fields: FieldList::default(),
            keep_alive: true,
            max_header_size: None,
            max_headers_count: None,
            join_duplicate_headers: false,
            journey: None,
        }
    }

    /// Connects to this host instead of the URL's, which also `Host` says: a name, or an address, IPv6 with or
    /// without brackets. (Node: `hostname`)
    pub fn host(self, host: impl AsRef<str>) -> Self {
        let host = host.as_ref();
        self.change(|endpoint| {
            let shown = match host.parse::<Ipv6Addr>() {
                Ok(_) => Cow::Owned(format!("[{host}]")),
                Err(_) => Cow::Borrowed(host),
            };
            let url = read_url(&format!("http://{shown}:1/"))
                .ok()
                .filter(|_| !shown.contains(['/', '?', '#', '@']));
            let Some(url) = url else {
                let host = self::shown(host);
                let message = format!("the host must be a name or an address (got {host:?})");
                return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
            };
            endpoint.host = url.host;
            endpoint.authority = authority(&endpoint.host, endpoint.port);
            Ok(())
        })
    }

    /// Connects to this port instead of the URL's, which also `Host` says. (Node: `port`)
    pub fn port(self, port: u16) -> Self {
        self.change(|endpoint| {
            if port == 0 {
                let message = "the port must be from 1 to 65535 (got 0)";
                return Err(Error::local("ERR_SOCKET_BAD_PORT", message));
            }
            endpoint.port = port;
            endpoint.authority = authority(&endpoint.host, port);
            Ok(())
        })
    }

    /// Sends this request target instead of the URL's path and query: one that begins with `/`, an absolute URL
    /// (to a proxy), `*` for OPTIONS, host and port for CONNECT. It is sent as it stands; `#` and everything but
    /// visible ASCII are refused. (Node: `path`)
    pub fn path(self, target: impl AsRef<str>) -> Self {
        let (method, target) = (self.method.clone(), target.as_ref());
        self.change(|endpoint| {
            check_target(&method, target)?;
            endpoint.target = target.into();
            endpoint.has_path = true;
            Ok(())
        })
    }

    /// Sends these credentials, `user:password`, instead of the URL's (RFC 7617). An `Authorization` field that is
    /// set wins over both. Control characters are refused with `ERR_INVALID_CHAR`. (Node: `auth`)
    pub fn auth(self, credentials: impl AsRef<str>) -> Self {
        let credentials = credentials.as_ref();
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let authorization = basic(user, password);
        self.change(|endpoint| {
            if credentials.contains(char::is_control) {
                // RFC 7617 §2.
                let message = "user and password may not have control characters";
                return Err(Error::local("ERR_INVALID_CHAR", message));
            }
            endpoint.authorization = Some(authorization);
            Ok(())
        })
    }

    /// The credentials that are sent where no field says otherwise.
    pub(super) fn authorization(&self) -> Option<&str> {
        let authorization = self.endpoint.as_ref().ok()?.authorization.as_deref();
        authorization.filter(|_| !self.fields.has(b"authorization"))
    }

    /// Sets a field; again of the same name, adds a line, for `Cookie` to the same line. (Node: `headers`)
    pub fn header(mut self, name: impl AsRef<str>, value: impl HeaderValue) -> Self {
        let name = name.as_ref();
        let is_more = self.fields.has(name.as_bytes());
        let place = match is_more && name.eq_ignore_ascii_case("cookie") {
            true => Place::Joined,
            false => Place::Behind,
        };
        let set = value.with_bytes(|value| set_field(&mut self.fields, name, value, place));
        self.fail(set)
    }

    /// The connections that the request uses. Default: those of
    /// [`global_agent`](crate::http::global_agent). (Node: `agent`)
    pub fn agent(mut self, agent: Agent) -> Self {
        self.agent = Some(agent);
        self
    }

    /// Connects from this address of the machine; one that it does not have is an error of the request.
    /// (Node: `localAddress`)
    pub fn local_address(self, address: IpAddr) -> Self {
        self.change(|endpoint| {
            let port = endpoint.local.map_or(0, |local| local.port());
            endpoint.local = Some(SocketAddr::new(address, port));
            Ok(())
        })
    }

    /// Connects from this port; without [`RequestOptions::local_address`] it is one of IPv4. (Node:
    /// `localPort`)
    pub fn local_port(self, port: u16) -> Self {
        self.change(|endpoint| {
            let ip = endpoint.local.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |local| local.ip());
            endpoint.local = Some(SocketAddr::new(ip, port));
            Ok(())
        })
    }

    /// Connects to addresses of this family only. Default: both, in turn. (Node: `family`)
    pub fn family(self, family: Family) -> Self {
        self.change(|endpoint| {
            endpoint.family = Some(family);
            Ok(())
        })
    }

    /// Changes where the request goes.
    fn change(mut self, change: impl FnOnce(&mut Endpoint) -> Result<()>) -> Self {
        let changed = match &mut self.endpoint {
            Ok(endpoint) => {
                let endpoint = Arc::make_mut(endpoint);
                // A request that was made from these options may have left something here.
                endpoint.forget_findings();
                change(endpoint)
            }
            Err(_) => Ok(()),
        };
        self.fail(changed)
    }

    /// Remembers what is wrong.
    fn fail(mut self, result: Result<()>) -> Self {
        if let (Err(error), Ok(_)) = (result, &self.endpoint) {
            self.endpoint = Err(error);
        }
        self
    }

    /// What cannot be asked for.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        let endpoint = match &self.endpoint {
            Ok(endpoint) => endpoint,
            Err(error) => return Err(error.clone()),
        };
        if let Cow::Borrowed(_) = self.method {
            if self.method != "CONNECT" || endpoint.has_path {
                return Ok(());
            }
            let message = "CONNECT needs the host and port to connect to: give them to `path`";
            return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
        }
        if !is_token(self.method.as_bytes()) {
            let message = format!("the method must be a token such as GET (got {:?})", self.method);
            return Err(Error::local("ERR_INVALID_HTTP_TOKEN", message));
        }
        Ok(())
    }

    pub(super) fn expects_content(&self) -> bool {
        !matches!(&*self.method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE" | "CONNECT")
    }

    /// Of the connections that it can use, by this agent's proxy where there is one.
    pub(super) fn origin_name(&self, proxy: Option<&AgentProxy>) -> Result<String> {
        let endpoint = self.endpoint.as_ref().map_err(Clone::clone)?;
        let detour = proxy.and_then(|proxy| self.detour(proxy, endpoint));
        let mut name = String::new();
        push_origin_name(&mut name, detour.as_deref().unwrap_or(endpoint));
        Ok(name)
    }

    /// The way of the request through this proxy, where it takes one.
    #[cold]
    pub(super) fn way_through(&self, proxy: &AgentProxy) -> Result<Option<Arc<Endpoint>>> {
        let Some(detour) = self.endpoint.as_ref().ok().and_then(|to| self.detour(proxy, to)) else {
            return Ok(None);
        };
        if detour.tunnel.is_some() && self.fields.has(b"proxy-authorization") {
            let message = "Proxy-Authorization would go through the tunnel to the server: give the \
                           proxy's user and password to its URL";
            return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
        }
        Ok(Some(detour))
    }

    /// The way through a proxy.
    fn detour(&self, proxy: &AgentProxy, endpoint: &Arc<Endpoint>) -> Option<Arc<Endpoint>> {
        // What the user says to a proxy is said to that one.
        let is_meant = self.method != "CONNECT" && endpoint.unix.is_none();
        is_meant.then(|| proxy.detour(endpoint, self.fields.has(b"upgrade"))).flatten()
    }

    /// After so long without a byte in either direction `on_timeout` is called; connecting counts, too. It
    /// ends nothing by itself. Default: never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// All of the request must be done in this time, from the call to the last byte of the response: waiting for a
    /// connection, name lookup, connecting, [redirects](RequestOptions::redirects) and
    /// [retries](RequestOptions::retries) with their pauses included. Then it ends with `ETIMEDOUT`, an
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) of [`Clock::Deadline`](crate::Clock::Deadline): by
    /// `on_error` of the request, with what [was sent](crate::Error::sent); or, where the response has begun, by
    /// `on_aborted` and `on_error` of that. Neither bytes that move nor `pause` hold it up, and it does not keep the
    /// loop running. An upgraded connection has none. Default: none.
    ///
    /// ```
    /// use onloop::{http, Clock, ErrorKind, EventLoop};
    /// use onloop::http::RequestOptions;
    /// use std::time::Duration;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let lp = event_loop.handle();
    /// let server = http::create_server(lp, |_req, _res| {}); // which never answers
    /// server.listen("127.0.0.1:0")?;
    /// let url = format!("http://{}/", server.address().unwrap());
    ///
    /// let options = RequestOptions::new("GET", url).deadline(Duration::from_millis(50));
    /// let request = http::request_with(lp, options)?;
    /// request.on_error(move |error| {
    ///     assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Deadline));
    ///     server.close();
    ///     server.close_all_connections();
    /// });
    /// request.end("");
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.journey.get_or_insert_default().deadline = Some(deadline);
        self
    }

    /// Follows up to so many redirects: responses of status 301, 302, 303, 307 and 308 with a `Location` (RFC 9110
    /// §15.4). Zero follows none, and all of them are ordinary responses. Default: 0, as in Node.
    ///
    /// - POST that meets 301 or 302, and every method but GET and HEAD that meets 303, goes on as GET, without its
    ///   content and what its fields say of that (`Content-*`, `Expect` and the like). What is still written is
    ///   dropped. All else goes on as it is; of a request's bytes
    ///   [`max_kept_for_repetition`](crate::Limits::max_kept_for_repetition) are kept for that, 64 KiB, and where
    ///   more was sent the error is `ERR_REDIRECT_CONTENT`.
    /// - To another origin (host or port) `Authorization`, `Cookie` and a `Host` that was set are not sent, nor is
    ///   `Proxy-Authorization`, unless both steps are told to the agent's
    ///   [proxy](crate::http::AgentOptions::proxy). They do not come back on the way.
    /// - One more is `ERR_TOO_MANY_REDIRECTS` ([`Limit::Redirects`](crate::Limit::Redirects)). A location that is no
    ///   URL, or has user and password, is `ERR_INVALID_URL`; one that is not `http:` is `ERR_INVALID_PROTOCOL`.
    ///   What browsers would percent-encode in it is encoded, and a fragment is dropped.
    /// - Each step uses the agent as a request of its own: its limits, its queue, its free connections. `on_socket`,
    ///   `on_information` and `on_continue` are of each step, `on_response` is of the last one. The content of a
    ///   redirect is dropped; where it is longer than 256 KiB its connection is closed.
    ///
    /// Not followed are CONNECT, requests with an `Upgrade` field, and those whose [`path`](RequestOptions::path) is
    /// no path. [`ClientRequest::url`](crate::http::ClientRequest::url) tells where the request is.
    ///
    /// ```
    /// use onloop::{http, EventLoop};
    /// use onloop::http::RequestOptions;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let lp = event_loop.handle();
    /// let server = http::create_server(lp, |req, res| {
    ///     if req.url() == "/old" {
    ///         res.set_status(301);
    ///         res.set_header("Location", "new")?;
    ///     }
    ///     res.end("");
    ///     Ok(())
    /// });
    /// server.listen("127.0.0.1:0")?;
    /// let url = format!("http://{}/old", server.address().unwrap());
    ///
    /// let request = http::request_with(lp, RequestOptions::new("GET", url).redirects(5))?;
    /// request.on_response(move |response| {
    ///     assert_eq!((response.status(), response.redirects()), (200, 1));
    ///     assert!(response.url().ends_with("/new"));
    ///     server.close();
    /// });
    /// request.end("");
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn redirects(mut self, max: u32) -> Self {
        self.journey.get_or_insert_default().redirects_max = max;
        self
    }

    /// Makes the request again where it fails: see [`Retries`]. Default: never, as in Node.
    ///
    /// ```
    /// use onloop::{http, EventLoop};
    /// use onloop::http::{RequestOptions, Retries};
    /// use std::cell::Cell;
    /// use std::time::Duration;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let lp = event_loop.handle();
    /// let calls = Cell::new(0);
    /// let server = http::create_server(lp, move |_req, res| {
    ///     calls.set(calls.get() + 1);
    ///     res.set_status(if calls.get() < 3 { 503 } else { 200 });
    ///     res.end("");
    /// });
    /// server.listen("127.0.0.1:0")?;
    /// let url = format!("http://{}/", server.address().unwrap());
    ///
    /// let retries = Retries::new(3).delay(Duration::from_millis(10)).on_status(true);
    /// let request = http::request_with(lp, RequestOptions::new("GET", url).retries(retries))?;
    /// request.on_response(move |response| {
    ///     assert_eq!(response.status(), 200);
    ///     server.close();
    /// });
    /// request.end("");
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn retries(mut self, retries: Retries) -> Self {
        let retries = (retries.attempts > 0).then_some(retries);
        self.journey.get_or_insert_default().retries = retries;
        self
    }

    /// Whether a free connection may be used and this one kept for later requests. False sends
    /// `Connection: close`; without an [`agent`](RequestOptions::agent) the request has a connection of its own,
    /// which no limit counts, made as the global agent says (Node's `agent: false`). Default: true.
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Connects to this Unix socket instead of to the URL's host, which only makes the `Host` field
    /// (Node's `socketPath`).
    pub fn unix_socket(self, path: impl Into<PathBuf>) -> Self {
        self.change(|endpoint| {
            endpoint.unix = Some(path.into());
            Ok(())
        })
    }

    /// Most bytes of a response's head, and of its trailer section; more is an error. At most 65,535. Default: the
    /// loop's, [`Limits::max_header_size`](crate::Limits::max_header_size), 16,384.
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.max_header_size = Some(bytes.min(65_535));
        self
    }

    /// Most fields of a response's head, and of its trailer section; more is an error. Zero: no limit but that of the
    /// size. Default: the loop's, [`Limits::max_headers_count`](crate::Limits::max_headers_count), 1,000.
    /// (Node: `maxHeadersCount`)
    pub fn max_headers_count(mut self, count: usize) -> Self {
        self.max_headers_count = Some(count);
        self
    }

    /// The same as [`ServerOptions::join_duplicate_headers`](crate::http::ServerOptions::join_duplicate_headers),
    /// for the response. Default: false. (Node: `joinDuplicateHeaders`)
    pub fn join_duplicate_headers(mut self, join: bool) -> Self {
        self.join_duplicate_headers = join;
        self
    }

    /// `detour` is the way that it goes instead of its own; `of_loop` holds where nothing else is set.
    pub(super) fn fill(
        &self,
        client: &mut ClientState,
        detour: Option<Arc<Endpoint>>,
        of_loop: &HeadLimits,
    ) {
        client.method = self.method.clone();
        client.endpoint = detour.or_else(|| self.endpoint.as_ref().ok().cloned());
        client.keep_alive = self.keep_alive;
        let has_limits = self.max_header_size.is_some() || self.max_headers_count.is_some();
        if has_limits || self.join_duplicate_headers {
            client.head_limits = Some(HeadLimits {
                head_bytes: self.max_header_size.unwrap_or(of_loop.head_bytes),
                fields: self.max_headers_count.map_or(of_loop.fields, fields_max),
                join_duplicates: self.join_duplicate_headers,
                ..*of_loop
            });
        }
    }
}

/// Reads a URL.
fn endpoint(url: &str) -> Result<Arc<Endpoint>> {
    let Url { host, port, authority, target, userinfo, .. } = read_url(url)?;
    let authorization = userinfo.map(|(user, password)| basic(&user, &password));
    Ok(Arc::new(Endpoint { host, port, authority, target, authorization, ..Endpoint::default() }))
}

/// A URL that is refused, without what may be user and password: errors end up in logs.
fn shown(text: &str) -> Cow<'_, str> {
    let start = text.find("://").map_or(0, |place| place + 3);
    let hidden = text.rfind('@').filter(|end| *end > start);
    match hidden.and_then(|end| Some((text.get(..start)?, text.get(end..)?))) {
        Some((before, behind)) => Cow::Owned(format!("{before}***{behind}")),
        None => Cow::Borrowed(text),
    }
}

fn read_url(text: &str) -> Result<Url> {
    let refused = |error: UrlError| {
        Error::local(error.code(), format!("{}: {:?}", error.message(), shown(text)))
    };
    let url = Url::parse(text).map_err(refused)?;
    if url.secure {
        let message =
            "https is not supported in this build: use an http URL, or a TLS proxy in front";
        return Err(Error::local("ERR_INVALID_PROTOCOL", message));
    }
    Ok(url)
}

/// The value of `Host`.
fn authority(host: &str, port: u16) -> String {
    let shown = if host.contains(':') { format!("[{host}]") } else { host.into() };
    if port == 80 { shown } else { format!("{shown}:{port}") }
}

/// RFC 9112 §3.2: the four forms of a request target.
fn check_target(method: &str, target: &str) -> Result<()> {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        let message = format!("the path has a character that must be percent-encoded: {target:?}");
        return Err(Error::local("ERR_UNESCAPED_CHARACTERS", message));
    }
    let fits = match method {
        "CONNECT" => {
            // The port must be there: nobody can guess it.
            let has_port = target.rsplit_once(':').is_some_and(|(_, port)| {
                !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            });
            has_port
                && !target.contains(['/', '?', '@'])
                && Url::parse(&format!("http://{target}/")).is_ok()
        }
        _ if target == "*" => method == "OPTIONS",
        _ => target.starts_with('/') || Url::parse(target).is_ok(),
    };
    if fits {
        return Ok(());
    }
    let message = match method {
        "CONNECT" => format!("the path of CONNECT must be a host and a port (got {target:?})"),
        _ => format!("the path must begin with a slash, or be an absolute URL (got {target:?})"),
    };
    Err(Error::local("ERR_INVALID_ARG_VALUE", message))
}
