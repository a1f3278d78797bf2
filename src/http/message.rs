//! Heads as users read them, and the content of incoming messages.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use crate::engine::ExchangeId;
use crate::engine::callbacks::{Collect, CollectFn};
use crate::error::{Error, Result};
use crate::h1::Head;
use crate::http::value::Outcome;
use crate::http::{ClientRequest, Connection, Response, Socket};
use crate::net::Address;
use crate::shell::LoopShell;

/// An owned head. Its memory goes back to the loop when it is dropped.
struct OwnedHead {
    shell: &'static LoopShell,
    head: Option<Box<Head>>,
}

impl OwnedHead {
    #[inline]
    fn head(&self) -> &Head {
        self.head.as_deref().expect("a head is taken only by `into_head`, which consumes its owner")
    }
}

impl Drop for OwnedHead {
    #[inline]
    fn drop(&mut self) {
        if let Some(head) = self.head.take() {
            self.shell.with(|core| core.pool.recycle_head(head));
        }
    }
}

macro_rules! head_methods {
    () => {
        /// The value of the first field of this name, whatever its case; `None` where there is none or it
        /// is not UTF-8. See [`Self::header_bytes`] for those.
        #[inline]
        pub fn header(&self, name: &str) -> Option<&str> {
            std::str::from_utf8(self.header_bytes(name)?).ok()
        }

        /// The same as bytes: field values may be any of them but control characters (RFC 9110 §5.5).
        pub fn header_bytes(&self, name: &str) -> Option<&[u8]> {
            self.head.head().find(name)
        }

        /// The values of all fields of this name, in order.
        pub fn header_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
            self.head.head().find_all(name)
        }

        /// All fields in the order and spelling in which they came (Node's `rawHeaders`).
        pub fn headers(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
            self.head.head().fields()
        }

        /// The value of this name, whatever its case, with repeated fields brought together as Node does in
        /// `headers`: `Cookie` is joined with `; `; of `Set-Cookie` it is the first, see [`Self::header_all`]
        /// for the others; of `Age`, `Authorization`, `Content-Length`, `Content-Type`, `ETag`, `Expires`,
        /// `From`, `Host`, `If-Modified-Since`, `If-Unmodified-Since`, `Last-Modified`, `Location`,
        /// `Max-Forwards`, `Proxy-Authorization`, `Referer`, `Retry-After`, `Server` and `User-Agent` it is the
        /// first, unless `join_duplicate_headers` is set; all others are joined with `, `.
        /// (Node: `headers[name]`)
        pub fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            self.head.head().joined(name)
        }

        /// All names in lower case, each once and in the order in which they first came, with the values
        /// that [`Self::header_joined`] gives; only `set-cookie` stands once for each of its lines.
        /// (Node: `headers`)
        pub fn headers_joined(&self) -> Vec<(String, Vec<u8>)> {
            self.head.head().joined_fields()
        }

        /// All names in lower case, each once and in the order in which they first came, with all their
        /// values. (Node: `headersDistinct`)
        pub fn headers_distinct(&self) -> Vec<(String, Vec<Vec<u8>>)> {
            self.head.head().distinct_fields()
        }

        /// `"1.1"` or `"1.0"` (Node's `httpVersion`).
        pub fn http_version(&self) -> &'static str {
            match self.head.head().version_minor() {
                0 => "1.0",
                _ => "1.1",
            }
        }

        /// The first digit of the version: always 1 (Node's `httpVersionMajor`).
        pub fn http_version_major(&self) -> u8 {
            1
        }

        /// The second digit of the version: 1 or 0. A peer that says more is treated as one of 1.1
        /// (RFC 9110 §2.5; Node's `httpVersionMinor`).
        pub fn http_version_minor(&self) -> u8 {
            self.head.head().version_minor()
        }
    };
}

/// Of messages that can come together with their connection.
macro_rules! upgrade_methods {
    () => {
        /// The message was given to `on_upgrade` or `on_connect`, together with its connection. (Node:
        /// `upgrade`)
        pub fn is_upgrade(&self) -> bool {
            self.head.head().meaning().handed_over
        }
    };
}

/// A request that a server received (Node's `IncomingMessage` on the server): its head, and by dereference
/// the handle of its content.
///
/// It owns the head and may be moved into later callbacks. The content is not read before `on_data`,
/// `pipe` or `resume` asks for it.
pub struct Request {
    head: OwnedHead,
    body: Body,
}

impl Request {
    #[inline]
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId, head: Box<Head>) -> Self {
        Request { head: OwnedHead { shell, head: Some(head) }, body: Body { shell, id } }
    }

    pub(crate) fn into_head(mut self) -> Option<Box<Head>> {
        self.head.head.take()
    }

    /// The method, as received: `"GET"`.
    #[inline]
    pub fn method(&self) -> &str {
        self.head.head().method()
    }

    /// The request target as received: usually path and query, but also an absolute URL or `*`
    /// (RFC 9112 §3.2; Node's `url`).
    #[inline]
    pub fn url(&self) -> &str {
        self.head.head().target()
    }

    head_methods!();
    upgrade_methods!();

    /// The handle of the content: `Copy`, for other callbacks.
    #[inline]
    pub fn body(&self) -> Body {
        self.body
    }
}

impl Deref for Request {
    type Target = Body;

    #[inline]
    fn deref(&self) -> &Body {
        &self.body
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method())
            .field("url", &self.url())
            .finish_non_exhaustive()
    }
}

/// A response that a client received (Node's `IncomingMessage` on the client): its head, and by
/// dereference the handle of its content.
///
/// Content that nobody has asked for when this value is dropped, by `on_data`, `pipe`, `resume` or `pause`,
/// is read and thrown away up to [`Limits::max_discarded`](crate::Limits::max_discarded), 256 KiB; with more the
/// connection is closed.
pub struct IncomingResponse {
    head: OwnedHead,
    body: Body,
}

impl IncomingResponse {
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId, head: Box<Head>) -> Self {
        IncomingResponse { head: OwnedHead { shell, head: Some(head) }, body: Body { shell, id } }
    }

    /// The status code (Node's `statusCode`).
    pub fn status(&self) -> u16 {
        self.head.head().status()
    }

    /// The URL that the response came from, without credentials and fragment: where redirects were
    /// [followed](crate::http::RequestOptions::redirects), the last one. Empty once the exchange is over, so ask in
    /// `on_response`.
    pub fn url(&self) -> String {
        self.body.shell.with(|core| core.url(self.body.id)).flatten().unwrap_or_default()
    }

    /// How many [redirects](crate::http::RequestOptions::redirects) were followed to come to this response. Zero
    /// once the exchange is over.
    pub fn redirects(&self) -> u32 {
        self.body.shell.with(|core| core.redirects(self.body.id)).unwrap_or(0)
    }

    /// The reason phrase, which may be empty (Node's `statusMessage`). Bytes that are not UTF-8 are
    /// replaced.
    pub fn status_message(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.head.head().reason())
    }

    head_methods!();
    upgrade_methods!();

    /// The handle of the content: `Copy`, for other callbacks.
    pub fn body(&self) -> Body {
        self.body
    }
}

impl Deref for IncomingResponse {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.body
    }
}

impl Drop for IncomingResponse {
    fn drop(&mut self) {
        let id = self.body.id;
        self.body.shell.with(|core| core.discard_if_unclaimed(id));
    }
}

impl fmt::Debug for IncomingResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingResponse").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// An informational response (1xx), before the final one.
pub struct Information {
    head: OwnedHead,
}

impl Information {
    pub(crate) fn new(shell: &'static LoopShell, head: Box<Head>) -> Self {
        Information { head: OwnedHead { shell, head: Some(head) } }
    }

    /// The status code: 100 to 199, never 101.
    pub fn status(&self) -> u16 {
        self.head.head().status()
    }

    /// The reason phrase.
    pub fn status_message(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.head.head().reason())
    }

    head_methods!();
}

impl fmt::Debug for Information {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Information").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// A handle to the content of an incoming message: of a request on a server, of a response on a client.
///
/// Content flows once somebody asks for it: by [`Body::on_data`], [`Body::pipe`] or [`Body::resume`].
/// A handle whose message is over does nothing.
#[derive(Clone, Copy)]
pub struct Body {
    pub(super) shell: &'static LoopShell,
    pub(super) id: ExchangeId,
}

impl Body {
    /// Sets what is called with each piece of content, and lets it flow. The bytes are the loop's and gone
    /// when the callback returns. Replaces the callback that was set before. (Node: `'data'`)
    pub fn on_data<R: Outcome>(&self, mut callback: impl FnMut(&[u8]) -> R + 'static) {
        let mut callback: Option<crate::engine::callbacks::DataFn> =
            Some(Box::new(move |chunk| callback(chunk).into_result()));
        let displaced = self.shell.with(|core| {
            let displaced = core.callbacks(self.id)?.data.replace(callback.take());
            if core.exchange(self.id).is_some_and(|active| !active.incoming.paused_by_user) {
                core.set_paused(self.id, false);
            }
            displaced
        });
        drop(displaced);
    }

    /// Removes the callback of [`Body::on_data`]; what still comes is dropped. (Node: `off('data')`)
    pub fn off_data(&self) {
        let displaced = self.shell.with(|core| core.callbacks(self.id)?.data.replace(None));
        drop(displaced);
    }

    /// Collects what is left of the content and calls `callback` once: with all of it, when it is complete; or
    /// with the error, when it is longer than `max_bytes`, when the exchange fails, or when the content goes
    /// elsewhere. Before `on_end`; `on_data` is not called meanwhile. A second `collect` takes over from the
    /// first, whose callback is dropped. (Node: `buffer` of `stream/consumers`)
    ///
    /// Content that is too long is [`Limit::Body`](crate::Limit::Body) (`ERR_HTTP_CONTENT_TOO_LARGE`): the
    /// exchange goes on, so that it can be answered, and the rest of the content is dropped as content is that
    /// nobody reads. An error that comes back from the callback by `?` answers for itself: 413.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |req, res| {
    /// req.collect(64 * 1024, move |content| {
    ///     let content = content?;
    ///     let text = std::str::from_utf8(&content)?; // such as {"name": "onloop"}
    ///     res.set_header("Content-Type", "application/json")?;
    ///     res.end(format!("{{\"received\": {text}}}"));
    ///     Ok(())
    /// });
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn collect<R: Outcome>(
        &self,
        max_bytes: usize,
        callback: impl FnOnce(Result<Vec<u8>>) -> R + 'static,
    ) {
        let callback: CollectFn = Box::new(move |content| callback(content).into_result());
        let mut collect = Some(Box::new(Collect::new(max_bytes, callback)));
        let displaced = self.shell.with(|core| core.start_collecting(self.id, &mut collect));
        drop(displaced);
    }

    /// Sets what is called once when all content was delivered; at once in the next turn where there is
    /// none. Never after an error. (Node: `'end'`)
    pub fn on_end<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.end, callback);
    }

    /// Sets what is called when the message breaks off: the peer went away, its bytes are malformed, a
    /// clock ran out. Comes before `on_close`. It is told of what breaks off the outgoing message of the
    /// exchange as well, behind `on_end` too, where that has no `on_error` of its own: an error is told once,
    /// and to somebody. (Node: `'error'` of an incoming message)
    pub fn on_error<R: Outcome>(&self, callback: impl FnOnce(Error) -> R + 'static) {
        super::set_error_hook(
            self.shell,
            self.id,
            |callbacks| &mut callbacks.incoming_error,
            callback,
        );
    }

    /// Sets what is called when the message breaks off before its end, before `on_error`.
    /// (Node: `'aborted'`)
    pub fn on_aborted<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(
            self.shell,
            self.id,
            |callbacks| &mut callbacks.more_mut().aborted,
            callback,
        );
    }

    /// Sets what is called once and last, when the exchange is over. (Node: `'close'`)
    pub fn on_close<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.incoming_close, callback);
    }

    /// Stops the flow: nothing is read from the peer before [`Body::resume`], so it feels the pressure.
    ///
    /// A response that is paused keeps its connection, and its place at the agent, for as long. Where it may be
    /// forgotten give the request a [`timeout`](crate::http::RequestOptions::timeout), which tells, or a
    /// [`deadline`](crate::http::RequestOptions::deadline), which ends it. One that nobody listens to is not
    /// paused: it is read and dropped, and its connection closed where that is more than
    /// [`Limits::max_discarded`](crate::Limits::max_discarded), 256 KiB.
    pub fn pause(&self) {
        self.shell.with(|core| core.set_paused(self.id, true));
    }

    /// Lets content flow; without `on_data` it is dropped.
    pub fn resume(&self) {
        self.shell.with(|core| core.set_paused(self.id, false));
    }

    /// True after [`Body::pause`].
    pub fn is_paused(&self) -> bool {
        self.ask(|active| active.incoming.paused_by_user)
    }

    /// Sends the content on as the content of another message: with backpressure, its end, its trailers;
    /// and if it breaks off, the other message is broken off too, so that it does not look complete.
    /// (Node: `pipe`, with the error handling of `pipeline`)
    ///
    /// No user code runs for it: `on_data` is not called, `on_end` is.
    pub fn pipe(&self, target: impl PipeTarget) {
        let (shell, id) = target.exchange();
        if std::ptr::eq(shell, self.shell) {
            self.shell.with(|core| core.pipe(self.id, id));
        }
    }

    /// The trailer fields in the order and spelling in which they came; empty before `on_end`. They are never
    /// merged into the headers (RFC 9110 §6.5). (Node: `rawTrailers`)
    pub fn trailers(&self) -> Vec<(String, Vec<u8>)> {
        self.of_trailers(|trailers| {
            trailers.fields().map(|(name, value)| (name.into(), value.into())).collect()
        })
    }

    /// The trailer fields brought together by name, as [`Request::headers_joined`] does with the headers;
    /// empty before `on_end`. (Node: `trailers`)
    pub fn trailers_joined(&self) -> Vec<(String, Vec<u8>)> {
        self.of_trailers(Head::joined_fields)
    }

    /// The names of the trailer fields in lower case, each once, with all their values; empty before
    /// `on_end`. (Node: `trailersDistinct`)
    pub fn trailers_distinct(&self) -> Vec<(String, Vec<Vec<u8>>)> {
        self.of_trailers(Head::distinct_fields)
    }

    fn of_trailers<T: Default>(&self, view: impl FnOnce(&Head) -> T) -> T {
        let viewed =
            self.shell.with(|core| core.exchange(self.id)?.incoming.trailers.as_deref().map(view));
        viewed.flatten().unwrap_or_default()
    }

    /// All of the message was received. It can be asked up to and inside of `on_close`; afterwards it is
    /// false. (Node: `complete`)
    pub fn is_complete(&self) -> bool {
        let over = self.shell.with(|core| core.progress_of(self.id)).flatten();
        over.is_some_and(|over| over.complete)
    }

    /// The exchange is still going on.
    pub fn is_open(&self) -> bool {
        self.ask(|_| true)
    }

    /// Ends the exchange by closing its connection. The peer sees a message that broke off.
    pub fn destroy(&self) {
        self.shell.with(|core| core.destroy(self.id, None));
    }

    /// The same; `on_error` is called with `error`.
    pub fn destroy_with(&self, error: Error) {
        self.shell.with(|core| core.destroy(self.id, Some(error)));
    }

    /// The peer's address, where it has one. (Node: `socket.remoteAddress`)
    pub fn remote_address(&self) -> Option<Address> {
        super::remote_address(self.shell, self.id)
    }

    /// The address of our side. (Node: `socket.localAddress`)
    pub fn local_address(&self) -> Option<Address> {
        super::local_address(self.shell, self.id)
    }

    /// The connection that the message came on. (Node: `socket`)
    pub fn connection(&self) -> Connection {
        Connection::new(self.shell, self.id)
    }

    /// Sets what is called when nothing has moved for as long as `set_timeout` says and the message is not
    /// complete: once, until something moves again. On a server `on_timeout` of the response and of the server
    /// follow; where none of the three is set the connection is closed. (Node: `'timeout'`)
    pub fn on_timeout<R: Outcome>(&self, mut callback: impl FnMut() -> R + 'static) {
        let mut callback: Option<crate::engine::HookMut> =
            Some(Box::new(move || callback().into_result()));
        let displaced = self.shell.with(|core| {
            core.callbacks(self.id)?.more_mut().incoming_timeout.replace(callback.take())
        });
        drop(displaced);
    }

    /// Removes the callback of [`Body::on_timeout`]. (Node: `off('timeout')`)
    pub fn off_timeout(&self) {
        let displaced = self
            .shell
            .with(|core| core.callbacks(self.id)?.more_mut().incoming_timeout.replace(None));
        drop(displaced);
    }

    /// After so long without a byte in either direction `on_timeout` is called, which may decide to
    /// destroy; zero turns it off. (Node: `setTimeout`)
    pub fn set_timeout(&self, timeout: Duration) {
        self.shell.with(|core| core.set_exchange_timeout(self.id, timeout));
    }

    fn ask(&self, question: impl FnOnce(&mut crate::engine::slot::Active) -> bool) -> bool {
        self.shell.with(|core| core.exchange(self.id).is_some_and(question)).unwrap_or(false)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Body", self.id, f)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::http::Response {}
    impl Sealed for crate::http::ClientRequest {}
    impl Sealed for crate::http::Socket {}
}

/// What content can be piped into.
pub trait PipeTarget: sealed::Sealed {
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn exchange(&self) -> (&'static LoopShell, ExchangeId);
}

macro_rules! pipe_targets {
    ($($type:ty),*) => {$(
        impl PipeTarget for $type {
            #[allow(private_interfaces)]
            fn exchange(&self) -> (&'static LoopShell, ExchangeId) {
                (self.shell, self.id)
            }
        }
    )*};
}

pipe_targets!(Response, ClientRequest, Socket);
