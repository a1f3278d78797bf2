//! The response that a server sends.

use std::fmt;

use crate::engine::ExchangeId;
use crate::error::{Error, Result};
use crate::http::outgoing::{io_write, outgoing_methods};
use crate::http::{Connection, HeaderValue};
use crate::net::Address;
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
        let allowed =
            |c: char| c == '\t' || (' '..='~').contains(&c) || ('\u{80}'..='\u{ff}').contains(&c);
        if !reason.chars().all(allowed) {
            let message = "invalid character in the reason phrase: it is one line of Latin-1 text";
            return Err(Error::local("ERR_INVALID_CHAR", message));
        }
        self.head_mut("the reason phrase", |outgoing| {
            outgoing.set_reason(Some(reason.into()));
            Ok(())
        })
    }

    /// Sets the status and several fields at once (Node's `writeHead`). The head goes out with the first
    /// content, with `end` or with `flush_headers`.
    ///
    /// # Errors
    /// `ERR_HTTP_INVALID_STATUS_CODE` outside 200 to 999, else as [`Response::set_header`]; fields before the
    /// refused one are set.
    pub fn write_head<N: AsRef<str>, V: HeaderValue>(
        &self,
        status: u16,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        if !(200..=999).contains(&status) {
            return Err(invalid_status(status));
        }
        self.head_mut("the head", |outgoing| {
            outgoing.set_status(status);
            Ok(())
        })?;
        for (name, value) in fields {
            self.set_header(name, value)?;
        }
        Ok(())
    }

    /// Sends `100 Continue` now, if the client waits for it and it was not sent. Asking for the content
    /// does so by itself. (Node: `writeContinue`)
    ///
    /// # Errors
    /// `ERR_HTTP_HEADERS_SENT` after the head was sent, `ERR_STREAM_DESTROYED` when the exchange is over.
    pub fn write_continue(&self) -> Result<()> {
        self.information(100, &[])
    }

    /// Sends `103 Early Hints` with these fields, usually `Link` (RFC 8297). Not to HTTP/1.0.
    /// (Node: `writeEarlyHints`)
    ///
    /// # Errors
    /// As [`Response::write_continue`], and as [`Response::set_header`] for the fields.
    pub fn write_early_hints<N: AsRef<str>, V: HeaderValue>(
        &self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<()> {
        let mut list = crate::h1::FieldList::default();
        for (name, value) in fields {
            let name = name.as_ref();
            value
                .with_bytes(|value| list.append(name.as_bytes(), value))
                .map_err(|error| crate::engine::field_error(error, name))?;
        }
        self.information(103, list.wire())
    }

    fn information(&self, status: u16, fields: &[u8]) -> Result<()> {
        let result = self.shell.with(|core| core.write_information(self.id, status, fields));
        result.unwrap_or_else(|| Err(crate::engine::gone()))
    }

    /// Whether `Date` is added. Default: true. (Node: `sendDate`)
    pub fn set_send_date(&self, send: bool) {
        let _ = self.head_mut("the date", |outgoing| {
            outgoing.set_send_date(send);
            Ok(())
        });
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
}

io_write!(Response);

fn invalid_status(status: u16) -> Error {
    let message = format!("invalid status code {status}: a final response has 200 to 999");
    Error::local("ERR_HTTP_INVALID_STATUS_CODE", message)
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Response", self.id, f)
    }
}
