//! What `create_connection` and `lookup` of an agent are called with.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use crate::engine::connector::Asked;
use crate::engine::endpoint::Endpoint;
use crate::engine::{ExchangeId, gone};
use crate::error::{Error, Result};
use crate::http::Family;
use crate::shell::LoopShell;

/// Where a request wants to be connected to.
#[derive(Debug, Clone)]
pub struct ConnectTarget {
    endpoint: Arc<Endpoint>,
}

impl ConnectTarget {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        ConnectTarget { endpoint }
    }

    /// The name or address, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.endpoint.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.endpoint.port
    }

    /// The Unix socket to connect to instead.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.endpoint.unix.as_deref()
    }

    /// The address to connect from, where the request names one.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.endpoint.local
    }

    /// The family of addresses that the request wants.
    pub fn family(&self) -> Option<Family> {
        self.endpoint.family
    }
}

/// Takes the connection that `create_connection` was asked for, now or later. `Copy`; the first answer counts. Where
/// a redirect or a retry has the request ask again, that question has a `Connector` of its own.
///
/// A request that is never answered waits until it is destroyed: give it a
/// [`timeout`](crate::http::RequestOptions::timeout).
#[derive(Clone, Copy)]
pub struct Connector {
    shell: &'static LoopShell,
    id: ExchangeId,
    question: u32,
}

impl Connector {
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId, question: u32) -> Self {
        Connector { shell, id, question }
    }

    /// The connection: a stream of TCP or a Unix socket, connected. It is the loop's from now on.
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` where the request is over or was answered; the connection is closed then. What the
    /// system says where it is no connected stream; the request fails with the same.
    pub fn connected(&self, stream: impl Into<OwnedFd>) -> Result<()> {
        let stream = stream.into();
        self.shell
            .with(|core| core.connection_made(self.id, self.question, stream))
            .unwrap_or_else(|| Err(gone()))
    }

    /// There is none: the request fails with this error, and nothing was sent of it.
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` where the request is over or was answered.
    pub fn failed(&self, error: impl Into<Error>) -> Result<()> {
        let error = error.into();
        self.shell
            .with(|core| core.user_failed(self.id, self.question, Asked::Connection, error))
            .unwrap_or_else(|| Err(gone()))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Connector", self.id, f)
    }
}

/// Takes the addresses that `lookup` was asked for, now or later. `Copy`; the first answer counts.
#[derive(Clone, Copy)]
pub struct LookupAnswer {
    shell: &'static LoopShell,
    id: ExchangeId,
    question: u32,
}

impl LookupAnswer {
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId, question: u32) -> Self {
        LookupAnswer { shell, id, question }
    }

    /// The addresses of the name, the best first. None at all is `ENOTFOUND`.
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` where the request is over or was answered.
    pub fn found(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Result<()> {
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        self.shell
            .with(|core| core.addresses_found(self.id, self.question, &addresses))
            .unwrap_or_else(|| Err(gone()))
    }

    /// The name was not found: the request fails with this error.
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` where the request is over or was answered.
    pub fn failed(&self, error: impl Into<Error>) -> Result<()> {
        let error = error.into();
        self.shell
            .with(|core| core.user_failed(self.id, self.question, Asked::Addresses, error))
            .unwrap_or_else(|| Err(gone()))
    }
}

impl fmt::Debug for LookupAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("LookupAnswer", self.id, f)
    }
}
