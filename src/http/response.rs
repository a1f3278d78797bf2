//! The response that a server sends.

use std::fmt;
use std::fs::File;
use std::ops::{Bound, Range, RangeBounds};

use crate::engine::ExchangeId;
use crate::error::{Error, Result};
use crate::h1::FieldList;
use crate::http::outgoing::{gather, outgoing_methods};
use crate::http::writable::{io_write, writable_methods};
use crate::http::{Body, Connection, HeaderValue, Outcome};
use crate::net::Address;
use crate::net::file::regular_length;
use crate::shell::LoopShell;

/// A handle to the response to one request (Node's `ServerResponse`).
///
/// It is `Copy`: captured by any number of closures, used now or later. When the exchange is over it does
/// nothing: `write` returns false, `end` is ignored, `is_open` says so.
///
/// Status 200, `Date`, `Connection` and the framing are set by themselves. It implements
/// [`std::io::Write`], so `write!` and serializers work on it.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// # use onloop::{http, EventLoop};
/// # let mut event_loop = EventLoop::new()?;
/// # let lp = event_loop.handle();
/// let server = http::create_server(lp, move |req, mut res| {
///     if req.url() == "/late" {
///         lp.set_timeout(Duration::from_millis(100), move || res.end("late"));
///         return Ok(());
///     }
///     res.set_status(404);
///     res.set_header("Content-Type", "text/plain")?;
///     write!(res, "no such page: {}", req.url())?;
///     res.end("");
///     Ok(())
/// });
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Response {
    pub(super) shell: &'static LoopShell,
    pub(super) id: ExchangeId,
}

impl Response {
    #[inline]
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId) -> Self {
        Response { shell, id }
    }

    /// Sets the status code (Node's `statusCode`). False, and nothing is changed, when the head was sent
    /// or the exchange is over; a code outside 200 to 999 makes the response a 500 and is logged, since
    /// no such response can be sent. Informational responses have methods of their own.
    pub fn set_status(&self, status: u16) -> bool {
        self.head_mut("the status", |outgoing| {
            if !(200..=999).contains(&status) {
                log::error!(target: "onloop::http", "{status} is not the status of a final response: 500 is sent");
                outgoing.set_status(500);
                return Err(invalid_status(status));
            }
            outgoing.set_status(status);
            Ok(())
        })
        .is_ok()
    }

    /// The status code that is or will be sent; 0 when the exchange is over.
    pub fn status(&self) -> u16 {
        let status =
            self.shell.with(|core| core.exchange(self.id).map(|active| active.outgoing.status()));
        status.flatten().unwrap_or(0)
    }

    /// Sets the reason phrase (Node's `statusMessage`).
    ///
    /// # Errors
    /// `ERR_INVALID_CHAR` for control characters or what Latin-1 does not have, `ERR_HTTP_HEADERS_SENT`
    /// after the head was sent.
    pub fn set_status_message(&self, reason: &str) -> Result<()> {
        let reason = check_reason(reason)?;
        self.head_mut("the reason phrase", |outgoing| {
            outgoing.set_reason(Some(reason));
            Ok(())
        })
    }

    /// The reason phrase that is or will be sent: the one that was set, else the usual one of the status,
    /// `unknown` where there is none; empty when the exchange is over. (Node: `statusMessage`)
    pub fn status_message(&self) -> String {
        let reason = self
            .shell
            .with(|core| core.exchange(self.id).map(|active| active.outgoing.reason().to_owned()));
        reason.flatten().unwrap_or_default()
    }

    /// Sets the status and further fields, and makes the head final: nothing of it can be changed afterwards.
    /// The first field of a name replaces what was set before, further ones of the same name are added. It goes
    /// out with the first content, with `end` or with `flush_headers`, and only then it is decided how the
    /// content is framed: `end(data)` still gets a `Content-Length`. (Node: `writeHead`)
    ///
    /// # Errors
    /// `ERR_HTTP_INVALID_STATUS_CODE` outside 200 to 999, `ERR_HTTP_HEADERS_SENT` the second time, else as
    /// [`Response::set_header`]. Nothing is changed then.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
    /// res.write_head(404, [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])?;
    /// assert_eq!(res.set_header("X-Late", 1).unwrap_err().code(), "ERR_HTTP_HEADERS_SENT");
    /// res.end("no such page");
    /// # Ok(())
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn write_head<N: AsRef<str>, V: HeaderValue>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        self.seal_head(status, None, fields)
    }

    /// The same with a reason phrase. (Node: `writeHead` with three arguments)
    ///
    /// # Errors
    /// As [`Response::write_head`] and [`Response::set_status_message`].
    pub fn write_head_with_reason<N: AsRef<str>, V: HeaderValue>(
        &self,
        status: u16,
        reason: &str,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        let reason = check_reason(reason)?;
        self.seal_head(status, Some(reason), fields)
    }

    fn seal_head<N: AsRef<str>, V: HeaderValue>(
        &self,
        status: u16,
        reason: Option<Box<str>>,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        self.check_final_status(status)?;
        let list = gather(self.shell, fields)?;
        let head = Some((status, reason));
        let result = self.shell.with(|core| core.set_fields(self.id, list, head));
        result.unwrap_or_else(|| Err(crate::engine::gone()))
    }

    pub(super) fn check_final_status(&self, status: u16) -> Result<()> {
        if (200..=999).contains(&status) { Ok(()) } else { Err(invalid_status(status)) }
    }

    /// Sends `100 Continue` now, if the client waits for it and it was not sent. Asking for the content
    /// does so by itself. (Node: `writeContinue`)
    ///
    /// # Errors
    /// `ERR_HTTP_HEADERS_SENT` after the head was sent, `ERR_STREAM_DESTROYED` when the exchange is over,
    /// `ERR_BUFFER_OUT_OF_BOUNDS` where more than `max_buffered` waits for the client.
    pub fn write_continue(&self) -> Result<()> {
        self.information(100, FieldList::default())
    }

    /// Sends `102 Processing` now: the final response takes a while. May be repeated; not to HTTP/1.0.
    /// (Node: `writeProcessing`)
    ///
    /// # Errors
    /// As [`Response::write_continue`].
    pub fn write_processing(&self) -> Result<()> {
        self.information(102, FieldList::default())
    }

    /// Sends `103 Early Hints` now (RFC 8297): the values of `Link` on one line, which comes first, and the
    /// other fields. Without a link nothing is sent, nor to HTTP/1.0. (Node: `writeEarlyHints`)
    ///
    /// # Errors
    /// `ERR_INVALID_ARG_VALUE` for a link that is not `<uri>` with `;` parameters behind it; as
    /// [`Response::write_information`] for the rest. Nothing is sent then.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
    /// res.write_early_hints([
    ///     ("Link", "</style.css>; rel=preload; as=style"),
    ///     ("Link", "</script.js>; rel=preload; as=script"),
    /// ])?;
    /// res.end("<!doctype html>");
    /// # Ok(())
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn write_early_hints<N: AsRef<str>, V: HeaderValue>(
        &self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        let list = gather(self.shell, fields)?;
        let result = self.shell.with(|core| core.write_early_hints(self.id, list));
        result.unwrap_or_else(|| Err(crate::engine::gone()))
    }

    /// Sends an informational response now, before the final one (RFC 9110 §15.2). 100 is sent as by
    /// [`Response::write_continue`]: once, and only to a client that waits for it. To HTTP/1.0 nothing is sent.
    /// (Node: `writeInformation`)
    ///
    /// # Errors
    /// `ERR_HTTP_INVALID_STATUS_CODE` for 101, which only an upgrade can say, `ERR_OUT_OF_RANGE` outside 100 to
    /// 199, `ERR_INVALID_HTTP_TOKEN`, `ERR_INVALID_CHAR` or `ERR_HTTP_INVALID_HEADER_VALUE` for a field, also
    /// one that steers framing, which such a response cannot have; else as [`Response::write_continue`].
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
    /// res.write_information(102, [("X-Progress", "10%")])?;
    /// res.end("done");
    /// # Ok(())
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn write_information<N: AsRef<str>, V: HeaderValue>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        let list = gather(self.shell, fields)?;
        self.information(status, list)
    }

    fn information(&self, status: u16, list: FieldList) -> Result<()> {
        let result = self.shell.with(|core| core.write_information(self.id, status, list));
        result.unwrap_or_else(|| Err(crate::engine::gone()))
    }

    /// Ends the response with a part of a file: `..` for all of it, `10..20` for bytes 10 to 19. (Node:
    /// `createReadStream(path, { start, end }).pipe(res)`)
    ///
    /// Without content before it, and where neither `Content-Length` nor `Transfer-Encoding` is set, it gets a
    /// `Content-Length`; behind what was written it is content like any other. HEAD gets the head alone. The
    /// status, and `Content-Range` of a 206, are the caller's. The file is the response's from now on and is
    /// closed when it is out, or when the exchange ends otherwise; its own position has no say and is not
    /// moved.
    ///
    /// Of a large file one slice of at most 256 KiB is under way at a time, as fast as the client reads. Linux
    /// sends it from its page cache to the socket; elsewhere, and as chunks, it is copied, 64 KiB at a time. What
    /// is not in memory is read by a thread that all files of the loop share. A file that is changed meanwhile
    /// is sent as it is found. [`Response::writable_length`] does not count what is still in the file.
    ///
    /// When the file turns out to be shorter than it was at the call (`ERR_STREAM_PREMATURE_CLOSE`), or cannot
    /// be read, the connection is closed, so that the client sees the truncation, and `on_error` is called.
    /// What becomes of the rest of the request's own content meanwhile does not touch the file.
    ///
    /// `sendfile` to a client that is gone raises SIGPIPE. Every Rust program ignores it from its start; a
    /// program with a `main` in another language has to do so itself.
    ///
    /// # Errors
    /// Nothing is sent then, and the exchange goes on. `ERR_INVALID_ARG_VALUE` for what is not a regular file,
    /// `ERR_OUT_OF_RANGE` for a range that is not within the file, `ERR_HTTP_CONTENT_LENGTH_MISMATCH` where
    /// `Content-Length` says something else, `ERR_STREAM_WRITE_AFTER_END` when the response was ended,
    /// `ERR_STREAM_DESTROYED` when the exchange is over; the system's error where the file has no length to
    /// tell.
    ///
    /// ```
    /// use onloop::{EventLoop, http};
    /// use std::fs::File;
    ///
    /// # let mut event_loop = EventLoop::new()?;
    /// # let lp = event_loop.handle();
    /// let server = http::create_server(lp, |_req, res| {
    ///     res.set_header("Content-Type", "text/plain")?;
    ///     // Opening may wait for a disk: a server of many files does that on a thread of its own.
    ///     res.send_file(File::open("Cargo.toml")?, 0..9)
    /// });
    /// server.listen("127.0.0.1:0")?;
    ///
    /// let url = format!("http://127.0.0.1:{}/", server.port());
    /// let request = http::get(lp, url, move |response| {
    ///     assert_eq!(response.header("content-length"), Some("9"));
    ///     response.on_data(|chunk| assert_eq!(chunk, b"[package]"));
    ///     response.on_end(move || server.close());
    /// })?;
    /// # request.on_error(|error| panic!("{error}"));
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn send_file(&self, file: File, range: impl RangeBounds<u64>) -> Result<()> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let part = part_of(&file, range)?;
        let sent = self.shell.with(|core| core.send_file(self.id, file, part));
        sent.unwrap_or_else(|| Err(crate::engine::gone()))
    }

    /// The request that this answers, as the handle of its content. (Node: `req`)
    pub fn req(&self) -> Body {
        Body { shell: self.shell, id: self.id }
    }

    /// Whether `Date` is added where it was neither set nor removed. (Node: `sendDate`)
    pub fn send_date(&self) -> bool {
        self.ask(|active| active.outgoing.send_date())
    }

    /// Whether `Date` is added where it was neither set nor removed. Default: true. (Node: `sendDate`)
    pub fn set_send_date(&self, send: bool) {
        let _ = self.head_mut("the date", |outgoing| {
            outgoing.set_send_date(send);
            Ok(())
        });
    }

    /// Sets what is called once when the client has ended its side of the connection while its response is not
    /// ended. It may be gone, or only have nothing more to say and wait: an end of stream does not tell the two
    /// apart, so nothing else happens. Work that is not worth doing for a client that is gone can be given up
    /// by [`Response::destroy`]. Not called where
    /// [`allow_half_open`](crate::http::ServerOptions::allow_half_open) is false: the exchange ends then.
    /// (Node: `'end'` of the socket)
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let lp = event_loop.handle();
    /// # let server = onloop::http::create_server(lp, move |_req, res| {
    /// let work = lp.set_timeout(std::time::Duration::from_secs(60), move || res.end("at last"));
    /// res.on_half_close(move || {
    ///     work.clear();
    ///     res.destroy();
    /// });
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn on_half_close<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(
            self.shell,
            self.id,
            |callbacks| &mut callbacks.more_mut().half_close,
            callback,
        );
    }

    /// The connection that the response goes to. (Node: `socket`)
    pub fn connection(&self) -> Connection {
        Connection::new(self.shell, self.id)
    }

    /// The client's address, where it has one.
    pub fn remote_address(&self) -> Option<Address> {
        super::remote_address(self.shell, self.id)
    }

    outgoing_methods!();
    writable_methods!();
}

io_write!(Response);

/// The bytes that are meant, which must be there.
fn part_of(file: &File, (from, to): (Bound<u64>, Bound<u64>)) -> Result<Range<u64>> {
    let length = regular_length(file).map_err(|error| Error::io(&error, "fstat"))?;
    let Some(length) = length else {
        let message = "only a regular file can be sent: this is a directory, a pipe or a device";
        return Err(Error::local("ERR_INVALID_ARG_VALUE", message));
    };
    let start = match from {
        Bound::Included(first) => Some(first),
        Bound::Excluded(before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match to {
        Bound::Included(last) => last.checked_add(1),
        Bound::Excluded(behind) => Some(behind),
        Bound::Unbounded => Some(length),
    };
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= length => Ok(start..end),
        _ => {
            let message = format!("the range is not within the file, which has {length} bytes");
            Err(Error::local("ERR_OUT_OF_RANGE", message))
        }
    }
}

/// A reason phrase is one line of Latin-1.
fn check_reason(reason: &str) -> Result<Box<str>> {
    let allowed =
        |c: char| c == '\t' || (' '..='~').contains(&c) || ('\u{80}'..='\u{ff}').contains(&c);
    match reason.chars().all(allowed) {
        true => Ok(reason.into()),
        false => {
            let message = "invalid character in the reason phrase: it is one line of Latin-1 text";
            Err(Error::local("ERR_INVALID_CHAR", message))
        }
    }
}

fn invalid_status(status: u16) -> Error {
    let message = format!("invalid status code {status}: a final response has 200 to 999");
    Error::local("ERR_HTTP_INVALID_STATUS_CODE", message)
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Response", self.id, f)
    }
}
