//! The one error type: whose fault, a stable code, and a line that says what to do next.

use std::fmt;
use std::io;

/// What went wrong in a call, on a connection or in an exchange.
///
/// What the caller does wrong is returned by the call; what the peer or the network does arrives in
/// `on_error` or `on_client_error`, never inside a call.
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: Box<str>,
    status: u16,
    bytes_parsed: Option<u64>,
    sent: Option<Sent>,
    io: Option<io::ErrorKind>,
    packet: Option<Box<[u8]>>,
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call cannot be carried out as made: a bad argument, a wrong order.
    Local,
    /// The peer broke the protocol or gave up in the middle of a message.
    Peer,
    /// The operating system refused: [`Error::io_kind`] has its word.
    Io,
    /// A clock ran out.
    Timeout(Clock),
    /// A named limit was reached.
    Limit(Limit),
    /// The program asked for the end: `destroy`, a closed loop.
    Aborted,
}

/// The clocks that can end an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clock {
    /// `headers_timeout`: from accept or first byte to the end of the head.
    Headers,
    /// `request_timeout`: the whole request with its content.
    Request,
    /// `min_body_rate`: the content of a request comes too slowly.
    BodyRate,
    /// `write_timeout`: the peer reads nothing, or next to nothing, of what waits for it.
    Write,
    /// `deadline` of a client request: all of it, up to the last byte of the response.
    Deadline,
}

/// The limits that can end an exchange or refuse a call. [`Limits`](crate::Limits) is the table of all, with their
/// defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// `max_method_size`: bytes of a request's method.
    Method,
    /// `max_empty_lines`: empty lines before a request.
    EmptyLines,
    /// `max_header_size`: bytes of one head that was received. And of what is sent: 65,535 bytes of fields.
    HeaderSize,
    /// `max_headers_count`: fields of one head.
    HeadersCount,
    /// `max_target_size`: bytes of a request's target.
    Target,
    /// `max_partial_heads`: bytes of request heads of which only a part is here, on all connections.
    PartialHeads,
    /// `max_extensions_per_chunk`, `max_extensions_per_message`: bytes of chunk extensions. And `max_header_size`,
    /// `max_headers_count`: bytes and fields of a trailer section.
    Chunked,
    /// `max_body_size` of a server, or what [`Body::collect`](crate::http::Body::collect) was to take at
    /// most: bytes of content.
    Body,
    /// `max_buffered`: what one message may leave unsent.
    Buffered,
    /// `max_written_callbacks`: callbacks of `on_written` that wait on one message.
    WriteCallbacks,
    /// `max_informational`: informational responses to one request.
    Informational,
    /// `max_connections` or `max_connections_per_address` of a server.
    Connections,
    /// `posts_max`: posts waiting for the loop.
    Posts,
    /// `lookups_max`: name lookups under way.
    Lookups,
    /// `max_queued_requests` of an agent: requests waiting for a connection. And 65,535 origins of a loop.
    Requests,
    /// `redirects` of a client request: how many are followed.
    Redirects,
}

/// How much of a failed request left this machine: whether a repetition is safe. Of one that was repeated by
/// itself, the most of all attempts. Of one that was redirected, what went to the last place; where a redirect made
/// a GET of it, the first place has acted: `SentNoReply`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sent {
    /// Not one byte: the request can be made again, whatever it is.
    NothingSent,
    /// A part: the server cannot have acted on all of it.
    PartlySent,
    /// All of it, and no response came, or only the beginning of one: the server may have acted.
    SentNoReply,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, code: &'static str, message: impl Into<Box<str>>) -> Self {
        let message = message.into();
        let inner = Inner {
            kind,
            code,
            message,
            status: 0,
            bytes_parsed: None,
            sent: None,
            io: None,
            packet: None,
        };
        Error { inner: Box::new(inner) }
    }

    pub(crate) fn local(code: &'static str, message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::Local, code, message)
    }

    /// A system error; `doing` names the call as Node's `syscall` does (`connect`, `read`, `listen`).
    pub(crate) fn io(error: &io::Error, doing: &str) -> Self {
        let code = system_code(error);
        let mut made = Error::new(ErrorKind::Io, code, format!("{doing} {code}: {error}"));
        made.inner.io = Some(error.kind());
        made
    }

    /// Adds what the user can do about it.
    pub(crate) fn add_context(&mut self, context: &str) {
        self.inner.message = format!("{}: {context}", self.inner.message).into();
    }

    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.inner.status = status;
        self
    }

    pub(crate) fn with_io_kind(mut self, kind: io::ErrorKind) -> Self {
        self.inner.io = Some(kind);
        self
    }

    pub(crate) fn with_bytes_parsed(mut self, bytes: u64) -> Self {
        self.inner.bytes_parsed = Some(bytes);
        self
    }

    pub(crate) fn with_sent(mut self, sent: Sent) -> Self {
        self.inner.sent = Some(sent);
        self
    }

    pub(crate) fn with_packet(mut self, packet: &[u8]) -> Self {
        self.inner.packet = Some(packet.into());
        self
    }

    pub(crate) fn without_packet(mut self) -> Self {
        self.inner.packet = None;
        self
    }

    /// An error of the user's own, for `?` and `destroy_with` in handlers.
    ///
    /// ```
    /// let err = onloop::Error::other("the upstream is asleep");
    /// assert_eq!(err.to_string(), "the upstream is asleep");
    /// ```
    pub fn other(message: impl Into<Box<str>>) -> Self {
        Error::new(ErrorKind::Aborted, "ERR_USER", message)
    }

    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// A stable name: Node's where Node has one (`ECONNRESET`, `ERR_HTTP_HEADERS_SENT`,
    /// `HPE_INVALID_HEADER_TOKEN`).
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// The status a server answers this with, where there is one.
    pub fn status_hint(&self) -> Option<u16> {
        (self.inner.status != 0).then_some(self.inner.status)
    }

    /// How many bytes had been understood when the message broke: of what was read last, with the parts of
    /// the head before it where that came in parts. The next byte is the one that is wrong or too much; after
    /// a whole head, something that the fields say together. (Node: `bytesParsed`)
    pub fn bytes_parsed(&self) -> Option<u64> {
        self.inner.bytes_parsed
    }

    /// In `on_client_error`, for a request that could not be understood: the bytes that it was found in, which
    /// are what was read last, and before that what was kept of a head that came in pieces. At most one read
    /// of the loop behind one head. (Node: `rawPacket`)
    pub fn raw_packet(&self) -> Option<&[u8]> {
        self.inner.packet.as_deref()
    }

    /// For a failed client request: how much of it was sent.
    pub fn sent(&self) -> Option<Sent> {
        self.inner.sent
    }

    /// The operating system's kind of error, for [`ErrorKind::Io`].
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        self.inner.io
    }

    /// True for [`ErrorKind::Timeout`].
    pub fn is_timeout(&self) -> bool {
        matches!(self.inner.kind, ErrorKind::Timeout(_))
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        Error { inner: self.inner.clone() }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("code", &self.inner.code)
            .field("message", &self.inner.message)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::io(&error, "io")
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.inner.io.unwrap_or(io::ErrorKind::Other), error)
    }
}

impl From<std::str::Utf8Error> for Error {
    fn from(error: std::str::Utf8Error) -> Self {
        Error::local("ERR_ENCODING_INVALID_ENCODED_DATA", error.to_string())
    }
}

impl From<std::fmt::Error> for Error {
    fn from(_: std::fmt::Error) -> Self {
        Error::other("a formatter failed")
    }
}

/// Node's name of a system error.
fn system_code(error: &io::Error) -> &'static str {
    use io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused => "ECONNREFUSED",
        ConnectionReset => "ECONNRESET",
        ConnectionAborted => "ECONNABORTED",
        NotConnected => "ENOTCONN",
        AddrInUse => "EADDRINUSE",
        AddrNotAvailable => "EADDRNOTAVAIL",
        BrokenPipe => "EPIPE",
        TimedOut => "ETIMEDOUT",
        HostUnreachable => "EHOSTUNREACH",
        NetworkUnreachable => "ENETUNREACH",
        PermissionDenied => "EACCES",
        NotFound => "ENOENT",
        OutOfMemory => "ENOMEM",
        InvalidInput => "EINVAL",
        _ => match error.raw_os_error() {
            Some(23) => "ENFILE",
            Some(24) => "EMFILE",
            _ => "EIO",
        },
    }
}
