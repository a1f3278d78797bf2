//! What the fields of a head mean to the connection: framing, persistence, expectations, upgrade.

use super::framing::Framing;

/// The method of the request that a response answers, as far as framing depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// The response has no content, whatever its fields say.
    Head,
    /// A 2xx response turns the connection into a tunnel.
    Connect,
    /// Any other method.
    Other,
}

/// What the client waits for before it sends content: RFC 9110 §10.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Expect {
    /// Nothing.
    #[default]
    None,
    /// `100-continue`.
    Continue,
    /// Anything else: 417 is the clear answer.
    Unknown,
}

/// What a head means to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// How the content ends.
    pub(crate) framing: Framing,
    /// Whether the peer keeps the connection after this message: RFC 9112 §9.3.
    pub(crate) persistent: bool,
    /// `close` was among the options of any `Connection` line.
    pub(crate) close: bool,
    /// `keep-alive` was among the options of any `Connection` line.
    pub(crate) keep_alive: bool,
    /// The expectation; none in HTTP/1.0 requests, where it is to be ignored.
    pub(crate) expect: Expect,
    /// An `Upgrade` field and the option `upgrade` in `Connection`; never in HTTP/1.0.
    pub(crate) upgrade: bool,
    /// Seconds of a response's `Keep-Alive: timeout=N`.
    pub(crate) keep_alive_timeout: Option<u32>,
}
