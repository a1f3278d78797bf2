//! The byte stream that is left of a connection after an upgrade.

use std::fmt;
use std::time::Duration;

use crate::engine::{ExchangeId, Over};
use crate::error::{Error, Result};
use crate::http::writable::{io_write, writable_methods};
use crate::http::{Body, Outcome};
use crate::net::Address;
use crate::shell::LoopShell;

/// A connection without HTTP: what `on_upgrade` hands over, and what `on_client_error` may answer on.
/// Both directions, with backpressure and half-close. (Node's `net.Socket`)
///
/// When the peer has ended and no `on_end` is set, our side ends too. Bytes that nobody reads come before that end, and
/// keep the stream open.
#[derive(Clone, Copy)]
pub struct Socket {
    pub(super) shell: &'static LoopShell,
    pub(super) id: ExchangeId,
}

impl Socket {
    pub(crate) fn new(shell: &'static LoopShell, id: ExchangeId) -> Self {
        Socket { shell, id }
    }

    fn body(&self) -> Body {
        Body { shell: self.shell, id: self.id }
    }

    /// Sets what is called with received bytes, and lets them flow. See [`Body::on_data`].
    pub fn on_data<R: Outcome>(&self, callback: impl FnMut(&[u8]) -> R + 'static) {
        self.body().on_data(callback);
    }

    /// Removes the callback of [`Socket::on_data`].
    pub fn off_data(&self) {
        self.body().off_data();
    }

    /// Sets what is called once when the peer has ended its side.
    pub fn on_end<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        self.body().on_end(callback);
    }

    /// Sets what is called when the connection breaks, before `on_close`.
    pub fn on_error<R: Outcome>(&self, callback: impl FnOnce(Error) -> R + 'static) {
        self.body().on_error(callback);
    }

    /// After so long without a byte in either direction `on_timeout` is called; zero turns it off.
    pub fn set_timeout(&self, timeout: Duration) {
        self.body().set_timeout(timeout);
    }

    /// Sets what is called once and last.
    pub fn on_close<R: Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
        super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.close, callback);
    }

    /// Stops reading.
    pub fn pause(&self) {
        self.body().pause();
    }

    /// Reads on.
    pub fn resume(&self) {
        self.body().resume();
    }

    /// Sends what is received on to another message or socket. See [`Body::pipe`].
    pub fn pipe(&self, target: impl crate::http::PipeTarget) {
        self.body().pipe(target);
    }

    /// The peer's address, where it has one.
    pub fn remote_address(&self) -> Option<Address> {
        super::remote_address(self.shell, self.id)
    }

    /// The address of our side.
    pub fn local_address(&self) -> Option<Address> {
        super::local_address(self.shell, self.id)
    }

    /// The inactivity after which `on_timeout` is called, as [`Socket::set_timeout`] has set it, rounded up to
    /// the clock's 50 ms; zero where there is none. (Node: `timeout`)
    pub fn timeout(&self) -> Duration {
        self.shell.with(|core| core.exchange_timeout(self.id)).unwrap_or_default()
    }

    /// Ends our side and closes both once everything that was written is out, whether or not the peer ends its
    /// own. A server's socket whose peer takes nothing for the server's `write_timeout` is closed then.
    /// (Node: `destroySoon`)
    pub fn destroy_soon(&self) {
        self.shell.with(|core| core.destroy_soon(self.id));
    }

    /// Closes with a reset: what waits is dropped, and the peer sees an error instead of an end.
    /// (Node: `resetAndDestroy`)
    ///
    /// # Errors
    /// `ERR_SOCKET_CLOSED` when it is over, `ERR_INVALID_HANDLE_TYPE` for a Unix socket, which has no resets.
    pub fn reset_and_destroy(&self) -> Result<()> {
        let result = self.shell.with(|core| core.reset_and_destroy(self.id));
        result.unwrap_or_else(|| Err(crate::engine::socket_closed()))
    }

    /// Whether small packets are sent at once (`TCP_NODELAY`). (Node: `setNoDelay`)
    pub fn set_no_delay(&self, no_delay: bool) {
        self.shell.with(|core| core.set_no_delay(self.id, no_delay));
    }

    /// Has the system probe the connection once it was silent for so long, in whole seconds; `None` turns that
    /// off. Less than a second leaves the system's own delay. (Node: `setKeepAlive`)
    pub fn set_keep_alive(&self, initial_delay: Option<Duration>) {
        self.shell.with(|core| core.set_keep_alive(self.id, initial_delay));
    }

    /// Which directions are open. (Node: `readyState`)
    pub fn ready_state(&self) -> ReadyState {
        match self.over().map(|over| (over.complete, over.ended)) {
            _ if self.is_destroyed() => ReadyState::Closed,
            Some((false, false)) => ReadyState::Open,
            Some((false, true)) => ReadyState::ReadOnly,
            Some((true, false)) => ReadyState::WriteOnly,
            Some((true, true)) | None => ReadyState::Closed,
        }
    }

    /// Bytes received since the stream began, those included that came with the head. It can be asked up to
    /// and inside of `on_close`; afterwards it is 0. (Node: `bytesRead`)
    pub fn bytes_read(&self) -> u64 {
        self.over().map_or(0, |over| over.bytes_read)
    }

    /// Bytes written since the stream began, those included that wait. It can be asked up to and inside of
    /// `on_close`; afterwards it is 0. (Node: `bytesWritten`)
    pub fn bytes_written(&self) -> u64 {
        self.over().map_or(0, |over| over.bytes_written)
    }

    /// Does not keep the loop running. (Node: `unref`)
    pub fn unref(&self) {
        self.shell.with(|core| core.set_exchange_referenced(self.id, false));
    }

    /// Keeps the loop running again: the default. (Node: `ref`)
    pub fn ref_(&self) {
        self.shell.with(|core| core.set_exchange_referenced(self.id, true));
    }

    fn over(&self) -> Option<Over> {
        self.shell.with(|core| core.progress_of(self.id)).flatten()
    }

    writable_methods!();
}

/// Which directions of a [`Socket`] are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadyState {
    /// Both.
    Open,
    /// Our side was ended; the peer may still send.
    ReadOnly,
    /// The peer has ended; we may still send.
    WriteOnly,
    /// None.
    Closed,
}

io_write!(Socket);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Socket", self.id, f)
    }
}
