//! The request that a client sends.

use std::borrow::Cow;
use std::fmt;
use std::mem::replace;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::LoopHandle;
use crate::engine::callbacks::{InformationFn, ResponseFn, UpgradeFn};
use crate::engine::endpoint::Endpoint;
use crate::engine::server::fields_max;
use crate::engine::{ClientState, ExchangeId};
use crate::error::{Error, Result};
use crate::h1::{HeadLimits, METHODS, is_token};
use crate::http::outgoing::outgoing_methods;
use crate::http::url::{Url, UrlError};
use crate::http::value::Outcome;
use crate::http::writable::{io_write, writable_methods};
use crate::http::{IncomingResponse, Information, Socket};
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

/// Starts a request with options.
///
/// # Errors
/// As [`request`].
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
pub fn request_with(lp: LoopHandle, options: RequestOptions) -> Result<ClientRequest> {
    let RequestOptions { method, endpoint, timeout, .. } = &options;
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint.clone(),
        Err(error) => return Err(error.clone()),
    };
    if !is_token(method.as_bytes()) {
        let message = format!("the method must be a token such as GET (got {method:?})");
        return Err(Error::local("ERR_INVALID_HTTP_TOKEN", message));
    }
    if method == "CONNECT" {
        let message = "CONNECT opens a tunnel, which has no URL: it is not a request of this kind";
        return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
    }
    let expects_content = !matches!(&**method, "GET" | "HEAD" | "DELETE" | "OPTIONS" | "TRACE");
    let made = lp.with(|core| {
        let fill = |client: &mut ClientState| options.fill(endpoint.clone(), client);
        let id = core.start_client_request(fill, expects_content)?;
        if let Some(timeout) = timeout {
            core.set_exchange_timeout(id, *timeout);
        }
        Ok(id)
    });
    let id = made.unwrap_or_else(|| Err(crate::engine::gone()))?;
    let request = ClientRequest { shell: lp.shell(), id };
    if let Some(authorization) = &endpoint.authorization {
        request.set_header("Authorization", authorization)?;
    }
    Ok(request)
}

/// Reads a URL.
fn endpoint(url: &str) -> Result<Arc<Endpoint>> {
    let refused =
        |error: UrlError| Error::local(error.code(), format!("{}: {url:?}", error.message()));
    let Url { host, port, authority, target, userinfo, secure } =
        Url::parse(url).map_err(refused)?;
    if secure {
        let message =
            "https is not supported in this build: use an http URL, or a TLS proxy in front";
        return Err(Error::local("ERR_INVALID_PROTOCOL", message));
    }
    let authorization = userinfo.map(|(user, password)| basic(&user, &password));
    Ok(Arc::new(Endpoint { host, port, authority, target, authorization, ..Endpoint::default() }))
}

/// `Basic` credentials (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let plain = format!("{user}:{password}");
    let mut text = String::from("Basic ");
    for group in plain.as_bytes().chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// What a client request is made from.
#[derive(Debug, Clone)]
pub struct RequestOptions {
    method: Cow<'static, str>,
    /// The URL, read; shared by clones.
    endpoint: Result<Arc<Endpoint>>,
    timeout: Option<Duration>,
    keep_alive: bool,
    max_header_size: Option<usize>,
    max_headers_count: Option<usize>,
    join_duplicate_headers: bool,
}

impl RequestOptions {
    /// A request of this method to this URL. What is wrong with them is told by [`request_with`].
    ///
    /// The URL is read here and once: where many requests go to the same one, clone the options.
    pub fn new(method: impl AsRef<str>, url: impl AsRef<str>) -> Self {
        let method = method.as_ref();
        RequestOptions {
            method: match METHODS.binary_search(&method) {
                Ok(known) => Cow::Borrowed(METHODS[known]),
                Err(_) => Cow::Owned(method.into()),
            },
            endpoint: endpoint(url.as_ref()),
            timeout: None,
            keep_alive: true,
            max_header_size: None,
            max_headers_count: None,
            join_duplicate_headers: false,
        }
    }

    /// After so long without a byte in either direction `on_timeout` is called; connecting counts, too. It
    /// ends nothing by itself. Default: never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether a free connection may be used and this one kept for later requests; false sends
    /// `Connection: close` (Node's `agent: false`). Default: true.
    pub fn keep_alive(mut self, keep_alive: bool) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// Connects to this Unix socket instead of to the URL's host, which only makes the `Host` field
    /// (Node's `socketPath`).
    pub fn unix_socket(mut self, path: impl Into<PathBuf>) -> Self {
        if let Ok(endpoint) = &mut self.endpoint {
            Arc::make_mut(endpoint).unix = Some(path.into());
        }
        self
    }

    /// Most bytes of a response head; more is an error. Default: 16,384; at most 65,535.
    pub fn max_header_size(mut self, bytes: usize) -> Self {
        self.max_header_size = Some(bytes.min(65_535));
        self
    }

    /// Most fields of a response head; more is an error. Zero: no limit but that of the size.
    /// Default: 1,000. (Node: `maxHeadersCount`)
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

    fn fill(&self, endpoint: Arc<Endpoint>, client: &mut ClientState) {
        client.method = self.method.clone();
        client.endpoint = Some(endpoint);
        client.keep_alive = self.keep_alive;
        let has_limits = self.max_header_size.is_some() || self.max_headers_count.is_some();
        if has_limits || self.join_duplicate_headers {
            let limits = HeadLimits::default();
            client.head_limits = Some(HeadLimits {
                head_bytes: self.max_header_size.unwrap_or(limits.head_bytes),
                fields: self.max_headers_count.map_or(limits.fields, fields_max),
                join_duplicates: self.join_duplicate_headers,
                ..limits
            });
        }
    }
}

/// A handle to a request that a client makes (Node's `ClientRequest`). `Copy`; it does nothing once the
/// exchange is over.
///
/// `Host`, `Connection` and the framing are set by themselves. It implements [`std::io::Write`].
///
/// The order of calls: `on_response` (after any `on_continue` and `on_information`), the response's `on_data`,
/// `on_end`, then `on_close`. When it fails: `on_error`, then `on_close`.
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
        let displaced = self
            .shell
            .with(|core| replace(&mut core.callbacks(self.id)?.response, callback.take()));
        drop(displaced);
    }

    /// Sets what is called for each informational response but 101. (Node: `'information'`)
    pub fn on_information<R: Outcome>(&self, mut callback: impl FnMut(Information) -> R + 'static) {
        let mut callback: Option<InformationFn> =
            Some(Box::new(move |information| callback(information).into_result()));
        let displaced =
            self.shell.with(|core| core.callbacks(self.id)?.information.replace(callback.take()));
        drop(displaced);
    }

    /// Sets what is called when the server says `100 Continue`, before `on_information`: time to send the
    /// content of a request with `Expect: 100-continue`. (Node: `'continue'`)
    pub fn on_continue<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.proceed, callback);
    }

    /// Sets what is called when the server switches protocols: with the response, the connection as a byte
    /// stream, and the bytes that came behind the head. Without it a 101 is an error. (Node: `'upgrade'`)
    pub fn on_upgrade<R: Outcome>(
        &self,
        callback: impl FnOnce(IncomingResponse, Socket, &[u8]) -> R + 'static,
    ) {
        let mut callback: Option<UpgradeFn> = Some(Box::new(move |response, socket, head| {
            callback(response, socket, head).into_result()
        }));
        let displaced =
            self.shell.with(|core| replace(&mut core.callbacks(self.id)?.upgrade, callback.take()));
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

#[cfg(test)]
mod tests {
    use super::basic;

    #[test]
    fn credentials_are_base64() {
        assert_eq!(basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("a", "b"), "Basic YTpi");
        assert_eq!(basic("", ""), "Basic Og==");
        assert_eq!(basic("ab", "c"), "Basic YWI6Yw==");
    }
}
