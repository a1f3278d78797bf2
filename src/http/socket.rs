//! The byte stream that is left of a connection after an upgrade.

use std::fmt;
use std::time::Duration;

use crate::engine::{ExchangeId, HookMut};
use crate::error::Error;
use crate::http::outgoing::io_write;
use crate::http::{Body, Chunk, Outcome};
use crate::net::Address;
use crate::shell::LoopShell;

/// A connection without HTTP: what `on_upgrade` hands over, and what `on_client_error` may answer on.
/// Both directions, with backpressure and half-close. (Node's `net.Socket`)
///
/// When the peer has ended and no `on_end` is set, our side ends too.
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

    /// Sends bytes. False: enough waits to be sent, or the socket is over; go on in `on_drain`.
    pub fn write<'a>(&self, bytes: impl Into<Chunk<'a>>) -> bool {
        let bytes = bytes.into();
        self.shell.with(|core| core.write(self.id, bytes)).unwrap_or(false)
    }

    /// Sends the last bytes, then the end of the stream; the peer may go on sending.
    pub fn end<'a>(&self, bytes: impl Into<Chunk<'a>>) {
        let bytes = bytes.into();
        self.shell.with(|core| core.end(self.id, bytes));
    }

    /// Closes at once; what waits is dropped.
    pub fn destroy(&self) {
        self.shell.with(|core| core.destroy(self.id, None));
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

    /// Sets what is called each time that there is room again after `write` has returned false.
    pub fn on_drain<R: Outcome>(&self, mut callback: impl FnMut() -> R + 'static) {
        let mut callback: Option<HookMut> = Some(Box::new(move || callback().into_result()));
        let displaced =
            self.shell.with(|core| core.callbacks(self.id)?.drain.replace(callback.take()));
        drop(displaced);
    }

    /// Sets what is called when the connection breaks, before `on_close`.
    pub fn on_error<R: Outcome>(&self, callback: impl FnOnce(Error) -> R + 'static) {
        self.body().on_error(callback);
    }

    /// Sets what is called when nothing has moved for as long as [`Socket::set_timeout`] says.
    pub fn on_timeout<R: Outcome>(&self, mut callback: impl FnMut() -> R + 'static) {
        let mut callback: Option<HookMut> = Some(Box::new(move || callback().into_result()));
        let displaced =
            self.shell.with(|core| core.callbacks(self.id)?.timeout.replace(callback.take()));
        drop(displaced);
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

    /// Our side can still be written to.
    pub fn is_open(&self) -> bool {
        self.shell.with(|core| core.is_writable(self.id)).unwrap_or(false)
    }

    /// The peer's address, where it has one.
    pub fn remote_address(&self) -> Option<Address> {
        super::remote_address(self.shell, self.id)
    }

    /// The address of our side.
    pub fn local_address(&self) -> Option<Address> {
        super::local_address(self.shell, self.id)
    }
}

io_write!(Socket);

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::debug_handle("Socket", self.id, f)
    }
}
