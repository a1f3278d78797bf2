//! The other end in a test's hand: raw bytes, no protocol.

use std::cell::RefCell;
use std::fmt;
use std::io::{ErrorKind, IoSlice};
use std::rc::Rc;

use super::super::Address;
use super::state::Segment;
use super::{SimNet, SocketId};

/// One end of a simulated connection, outside of any event loop.
///
/// What it does arrives at the other end when time has passed: turn the loop there, or
/// [`SimNet::advance`]. Dropping it closes it.
pub struct SimPeer {
    net: SimNet,
    id: Option<SocketId>,
}

impl SimPeer {
    pub(super) fn new(net: SimNet, id: Option<SocketId>) -> SimPeer {
        SimPeer { net, id }
    }

    /// Sends as much of `bytes` as the connection holds, and says how much that was: 0 when it is
    /// full, closed or broken.
    pub fn write(&self, bytes: &[u8]) -> usize {
        let Some(id) = self.id else { return 0 };
        let mut state = self.net.state.borrow_mut();
        state.write(id, &[IoSlice::new(bytes)], false).unwrap_or(0)
    }

    /// Takes everything that has arrived.
    pub fn read(&self) -> Vec<u8> {
        let count = self.available();
        self.read_up_to(count)
    }

    /// Takes at most `count` of the bytes that have arrived: a slow reader.
    pub fn read_up_to(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count.min(self.available())];
        let Some(id) = self.id.filter(|_| !bytes.is_empty()) else {
            return Vec::new();
        };
        let read = self.net.state.borrow_mut().read(id, &mut bytes).unwrap_or(0);
        bytes.truncate(read);
        bytes
    }

    /// How many bytes have arrived and were not read.
    pub fn available(&self) -> usize {
        self.look(|end| end.inbox.len()).unwrap_or(0)
    }

    /// Whether the connection is made.
    pub fn is_connected(&self) -> bool {
        let Some(id) = self.id else { return false };
        let mut state = self.net.state.borrow_mut();
        state.pair(id).is_some_and(|(pair, side)| !pair.connecting && !pair.ends[side].broken)
    }

    /// Whether the other side has sent its end of stream and everything before it was read.
    pub fn is_eof(&self) -> bool {
        self.look(|end| end.fin && end.inbox.is_empty()).unwrap_or(false)
    }

    /// Whether the connection was reset or refused.
    pub fn is_reset(&self) -> bool {
        self.look(|end| end.broken).unwrap_or(false)
    }

    /// Why it was reset: `ConnectionReset` or `ConnectionRefused`.
    pub fn error(&self) -> Option<ErrorKind> {
        self.look(|end| end.error).flatten()
    }

    /// Keeps what the network takes from the other side from now on, behind what has come and was not read.
    /// A second tap takes the place of the first.
    ///
    /// ```
    /// # #[cfg(feature = "sim")] {
    /// use onloop::sim::SimNet;
    ///
    /// let net = SimNet::new(1);
    /// let listener = net.listen(&"127.0.0.1:80".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    /// let near = net.connect(&listener.address());
    /// net.advance(std::time::Duration::from_millis(1));
    /// let far = listener.accept().unwrap();
    /// let tap = far.tap();
    /// near.write(b"never read");
    /// far.reset();
    /// assert_eq!(tap.bytes(), b"never read");
    /// # }
    /// ```
    pub fn tap(&self) -> SimTap {
        let tap = SimTap::default();
        let Some(id) = self.id else { return tap };
        let mut state = self.net.state.borrow_mut();
        if let Some(end) = state.end(id) {
            let (front, back) = end.inbox.as_slices();
            tap.keep(front);
            tap.keep(back);
            for (_, segment) in &end.wire {
                if let Segment::Data(bytes) = segment {
                    tap.keep(bytes);
                }
            }
            end.tap = Some(tap.clone());
        }
        tap
    }

    /// Sends the end of stream and goes on reading.
    pub fn shutdown_write(&self) {
        if let Some(id) = self.id {
            self.net.state.borrow_mut().send_fin(id);
        }
    }

    /// Closes. As in a kernel, unread bytes make it a reset.
    pub fn close(mut self) {
        self.close_now();
    }

    /// Closes with a reset.
    pub fn reset(mut self) {
        if let Some(id) = self.id.take() {
            self.net.state.borrow_mut().reset(id);
        }
    }

    /// The port of this side; `None` on a Unix socket.
    pub fn local_port(&self) -> Option<u16> {
        self.look(|end| end.local.as_ref().and_then(Address::port)).flatten()
    }

    /// The address of the other side; `None` on a Unix socket, and when this peer is closed.
    pub fn remote_address(&self) -> Option<Address> {
        self.net.state.borrow_mut().end(self.id?.other())?.local.clone()
    }

    fn look<T>(&self, at: impl FnOnce(&super::state::End) -> T) -> Option<T> {
        let mut state = self.net.state.borrow_mut();
        state.end(self.id?).map(|end| at(end))
    }

    fn close_now(&mut self) {
        if let Some(id) = self.id.take() {
            self.net.state.borrow_mut().close(id);
        }
    }
}

impl Drop for SimPeer {
    fn drop(&mut self) {
        self.close_now();
    }
}

impl fmt::Debug for SimPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPeer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What the network took from one side of a connection, whether it arrived or not: [`SimPeer::tap`]. It
/// outlives the connection; clones are the same tap.
#[derive(Clone, Default)]
pub struct SimTap {
    bytes: Rc<RefCell<Vec<u8>>>,
}

impl SimTap {
    pub(super) fn keep(&self, bytes: &[u8]) {
        self.bytes.borrow_mut().extend_from_slice(bytes);
    }

    /// All of it so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.borrow().clone()
    }

    /// How many bytes that are.
    pub fn len(&self) -> usize {
        self.bytes.borrow().len()
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty()
    }
}

impl fmt::Debug for SimTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimTap").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// A simulated listener, outside of any event loop. Dropping it closes it.
pub struct SimListener {
    net: SimNet,
    id: SocketId,
}

impl SimListener {
    pub(super) fn new(net: SimNet, id: SocketId) -> SimListener {
        SimListener { net, id }
    }

    /// The next connection that was made to it.
    pub fn accept(&self) -> Option<SimPeer> {
        let id = self.net.state.borrow_mut().accept(self.id, None).ok()?;
        Some(SimPeer::new(self.net.clone(), Some(id)))
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> Address {
        let state = self.net.state.borrow();
        let listener = self.id.as_listener().and_then(|key| state.listeners.get(key));
        listener.map_or_else(|| Address::Unix("closed".into()), |found| found.address.clone())
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.net.state.borrow_mut().close(self.id);
    }
}

impl fmt::Debug for SimListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimListener").field("address", &self.address()).finish_non_exhaustive()
    }
}
