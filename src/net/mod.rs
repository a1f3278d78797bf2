//! Sockets, readiness, timers, names and wake-ups: everything that touches the operating system, or
//! the simulated network that stands in for it.
//!
//! [`Net`] is the one seam: the engine above it makes the same calls on a real reactor and on
//! `sim`, and cannot tell which it has. Deliberately not here: HTTP, callbacks, and what a token
//! means. Read `reactor` next, then `timers`, `resolve`, `file` and `remote`.

mod address;
mod block_list;
pub(crate) mod file;
mod reactor;
mod readiness;
pub(crate) mod remote;
pub(crate) mod resolve;
#[cfg(feature = "sim")]
pub(crate) mod sim;
mod source;
#[cfg(test)]
mod tests;
mod time;
pub(crate) mod timers;

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::time::{Duration, SystemTime};

pub use address::Address;
pub use block_list::BlockList;
pub(crate) use reactor::Reactor;
pub(crate) use readiness::{Readiness, Ready};
pub use resolve::Family;
pub(crate) use source::Source;
pub(crate) use time::Time;

/// The token of the loop's own waker: `register` must not be given it.
pub(crate) const WAKE: usize = usize::MAX;

/// What `listen` sets on a socket before it is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenOptions {
    /// Connections that the kernel completes and holds for `accept`.
    pub(crate) backlog: u32,
    /// `SO_REUSEPORT`: several processes share one port and the kernel spreads connections.
    pub(crate) reuse_port: bool,
    /// Keep IPv4 peers out of a socket bound to `::`.
    pub(crate) ipv6_only: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        // Node's backlog.
        ListenOptions { backlog: 511, reuse_port: false, ipv6_only: false }
    }
}

/// The network and the clock of one event loop.
#[derive(Debug)]
pub(crate) enum Net {
    /// The operating system's, through mio.
    System(Reactor),
    /// The simulated one: one loop's place in a shared `SimNet`.
    #[cfg(feature = "sim")]
    Sim(sim::SimLoop),
}

impl Net {
    /// A reactor that reports at most `events_capacity` events in one `poll`.
    pub(crate) fn system(events_capacity: usize) -> io::Result<Net> {
        Ok(Net::System(Reactor::new(events_capacity)?))
    }

    /// A place for one more event loop in a simulated network.
    #[cfg(feature = "sim")]
    pub(crate) fn simulated(net: &sim::SimNet) -> Net {
        Net::Sim(net.attach())
    }

    /// Waits for readiness, at most for `timeout` (`None`: for ever), and appends it to `batch`.
    ///
    /// A wake-up from `remote` ends the wait and shows in `take_posted`, not in the batch. An
    /// interrupted wait (EINTR) returns with nothing: the caller's clock decides what is next.
    /// Nothing in the batch is a legal answer at any time.
    pub(crate) fn poll(
        &mut self,
        timeout: Option<Duration>,
        batch: &mut Vec<Ready>,
    ) -> io::Result<()> {
        match self {
            Net::System(reactor) => reactor.poll(timeout, batch),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => {
                sim.poll(timeout, batch);
                Ok(())
            }
        }
    }

    /// Whether a waker was used since the last call: drain the inboxes and the resolver then.
    #[inline]
    pub(crate) fn take_posted(&mut self) -> bool {
        match self {
            Net::System(reactor) => reactor.take_posted(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.take_posted(),
        }
    }

    /// Whether a waker was used since the last `take_posted`.
    #[inline]
    pub(crate) fn has_posted(&self) -> bool {
        match self {
            Net::System(reactor) => reactor.has_posted(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.has_posted(),
        }
    }

    /// Whether the last `poll` found that nothing can ever happen: never on a real network, which
    /// would sleep for good in its place.
    pub(crate) fn is_stalled(&self) -> bool {
        match self {
            Net::System(_) => false,
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.is_stalled(),
        }
    }

    /// The time since the loop began. One `clock_gettime`: to be called once per turn.
    #[inline]
    pub(crate) fn now(&mut self) -> Time {
        match self {
            Net::System(reactor) => reactor.now(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.now(),
        }
    }

    /// The time of day, for `Date`.
    pub(crate) fn wall_clock(&self) -> SystemTime {
        match self {
            Net::System(_) => SystemTime::now(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.wall_clock(),
        }
    }

    /// A number that nobody can foresee, and for nothing that is secret. In simulation it follows from the seed.
    pub(crate) fn random(&self) -> u64 {
        match self {
            // The standard library's hashers are keyed by the system's randomness, each differently.
            Net::System(_) => RandomState::new().build_hasher().finish(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.random(),
        }
    }

    /// Watches `source` under `token`, once and for all: both directions of a stream, the queue of a
    /// listener, edge-triggered. What is true already is reported by the next `poll`.
    pub(crate) fn register(&mut self, source: &mut Source, token: usize) -> io::Result<()> {
        debug_assert_ne!(token, WAKE, "the waker's token");
        match self {
            Net::System(reactor) => reactor.register(source, token),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.register(source.sim_id()?, token),
        }
    }

    /// Changes the token of a registered source: a connection moves to another slot. What is true at
    /// this moment is reported again, under the new token.
    pub(crate) fn reregister(&mut self, source: &mut Source, token: usize) -> io::Result<()> {
        debug_assert_ne!(token, WAKE, "the waker's token");
        match self {
            Net::System(reactor) => reactor.reregister(source, token),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.register(source.sim_id()?, token),
        }
    }

    /// A listening socket, not registered yet. An IP port of 0 picks a free one: `local_address`.
    pub(crate) fn listen(
        &mut self,
        address: &Address,
        options: &ListenOptions,
    ) -> io::Result<Source> {
        match self {
            Net::System(_) => reactor::listen(address, options),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.listen(address, options.backlog).map(Source::Sim),
        }
    }

    /// The next connection of a listener's queue, not registered yet.
    ///
    /// # Errors
    /// `WouldBlock` when the queue is empty, and only then is a new edge owed. After EMFILE or
    /// ENFILE none comes: the caller has to try again by itself.
    pub(crate) fn accept(&mut self, listener: &mut Source) -> io::Result<Source> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *listener {
            return self.sim()?.accept(id).map(Source::Sim);
        }
        listener.accept()
    }

    /// Begins a connection. A writable edge says that it is made or has failed: `connect_result`.
    ///
    /// `local` is what this side's address shall be; port 0 picks a free port. A Unix socket has no such
    /// address, and nothing is made of `local` there.
    ///
    /// # Errors
    /// Those of the system. `AddrNotAvailable` also where `local` is of the other family: a connection between
    /// the two cannot be.
    pub(crate) fn connect(
        &mut self,
        address: &Address,
        local: Option<SocketAddr>,
    ) -> io::Result<Source> {
        if let (Address::Ip(remote), Some(local)) = (address, local) {
            if remote.is_ipv4() != local.is_ipv4() {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
        }
        match self {
            Net::System(_) => source::connect(address, local),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.connect(address, local).map(Source::Sim),
        }
    }

    /// What became of `connect`: `Ok(true)` made, `Ok(false)` still under way.
    pub(crate) fn connect_result(&mut self, source: &mut Source) -> io::Result<bool> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *source {
            return self.sim()?.connect_result(id);
        }
        source.connect_result()
    }

    /// Reads once; an interrupted call is repeated. `Ok(0)` is the end of the stream.
    #[inline]
    pub(crate) fn read(&mut self, source: &mut Source, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *source {
            return self.sim()?.read(id, buffer);
        }
        source.read(buffer)
    }

    /// Writes once; an interrupted call is repeated.
    #[inline]
    pub(crate) fn write(&mut self, source: &mut Source, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *source {
            return self.sim()?.write(id, &[IoSlice::new(bytes)]);
        }
        source.write(bytes)
    }

    /// Writes several slices with one call; an interrupted call is repeated.
    #[inline]
    pub(crate) fn write_vectored(
        &mut self,
        source: &mut Source,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *source {
            return self.sim()?.write(id, slices);
        }
        source.write_vectored(slices)
    }

    /// Whether [`Net::send_file`] is worth a try.
    pub(crate) fn sends_files(&self) -> bool {
        cfg!(target_os = "linux") && matches!(self, Net::System(_))
    }

    /// Has the system write a part of a file, which never comes into our memory. Waits for the disk where
    /// the file is not in memory: [`Net::is_file_cached`]. `Ok(0)` is the end of the file.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes no more, and only then is a new edge owed: a short count may be the
    /// file's. Other errors may be the socket's, the file's, or say that this file cannot be sent so.
    pub(crate) fn send_file(
        &mut self,
        source: &mut Source,
        file: &File,
        offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        source.send_file(file, offset, count)
    }

    /// Whether a part of a file can be had without waiting for a disk, as far as the system can tell.
    pub(crate) fn is_file_cached(&self, file: &File, offset: u64, length: usize) -> bool {
        match self {
            Net::System(_) => file::is_cached(file, offset, length),
            #[cfg(feature = "sim")]
            Net::Sim(_) => true,
        }
    }

    /// Reads from a file as far as that needs no waiting: 0 is its end, `None` that a thread has to do it.
    pub(crate) fn read_file(
        &self,
        file: &File,
        offset: u64,
        buffer: &mut [u8],
    ) -> Option<io::Result<usize>> {
        match self {
            Net::System(_) => file::read_cached(file, offset, buffer),
            // Virtual time stands still meanwhile: a thread's answer would come at a random moment of it.
            #[cfg(feature = "sim")]
            Net::Sim(_) => Some(file::read(file, offset, buffer)),
        }
    }

    /// Sends FIN: this side says nothing more and goes on reading.
    pub(crate) fn shutdown_write(&mut self, source: &mut Source) -> io::Result<()> {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = *source {
            return self.sim()?.shutdown_write(id);
        }
        source.shutdown_write()
    }

    /// Closes. Bytes that were read by nobody make the kernel send a reset in place of FIN, and that
    /// can overtake what was written last: linger before, where it matters.
    ///
    /// No deregistration is needed with any back end: epoll and kqueue forget a closed descriptor that
    /// has no copy ([`Net::release`]), and mio's `poll(2)` sources deregister in their own `Drop`. The path of a Unix listener is
    /// removed, as libuv does.
    pub(crate) fn close(&mut self, source: Source) {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = source {
            if let Ok(sim) = self.sim() {
                sim.close(id);
            }
            return;
        }
        source.close();
    }

    /// Closes what was made elsewhere. It lives on where there are other descriptors of it, here or in another
    /// process, so the poller does not forget it by itself; and the path of a Unix listener is not ours.
    pub(crate) fn release(&mut self, mut source: Source) {
        match self {
            Net::System(reactor) => reactor.deregister(&mut source),
            #[cfg(feature = "sim")]
            Net::Sim(_) => self.close(source),
        }
    }

    /// Closes with a reset: what is unsent is thrown away and no TIME_WAIT stays behind.
    pub(crate) fn reset(&mut self, source: Source) {
        #[cfg(feature = "sim")]
        if let Source::Sim(id) = source {
            if let Ok(sim) = self.sim() {
                sim.reset(id);
            }
            return;
        }
        source.reset();
    }

    /// `TCP_NODELAY`; nothing to do on a Unix socket.
    pub(crate) fn set_nodelay(&mut self, source: &mut Source, on: bool) -> io::Result<()> {
        source.set_nodelay(on)
    }

    /// Keep-alive probes after `idle`, or none; nothing to do on a Unix socket.
    pub(crate) fn set_keepalive(
        &mut self,
        source: &mut Source,
        idle: Option<Duration>,
    ) -> io::Result<()> {
        source.set_keepalive(idle)
    }

    /// A connection that was made elsewhere, not registered yet.
    ///
    /// # Errors
    /// It is no stream socket, or the network is a simulated one.
    pub(crate) fn adopt_stream(&self, socket: OwnedFd) -> io::Result<Source> {
        match self {
            Net::System(_) => source::adopt_stream(socket),
            #[cfg(feature = "sim")]
            Net::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// A listening socket that was bound elsewhere, not registered yet.
    ///
    /// # Errors
    /// It is no bound stream socket, or the network is a simulated one.
    pub(crate) fn adopt_listener(&self, socket: OwnedFd, backlog: u32) -> io::Result<Source> {
        match self {
            Net::System(_) => source::adopt_listener(socket, backlog),
            #[cfg(feature = "sim")]
            Net::Sim(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The system may hold as much of this connection's output as it likes: the program is about to end, and what the
    /// system has goes out without it.
    pub(crate) fn unbound_unsent(&self, source: &Source) {
        source.unbound_unsent();
    }

    /// The error that waits on a broken socket, if the system still knows it.
    pub(crate) fn take_error(&self, source: &Source) -> Option<io::Error> {
        source.take_error()
    }

    /// The address of this side, where the socket has one.
    pub(crate) fn local_address(&self, source: &Source) -> Option<Address> {
        #[cfg(feature = "sim")]
        if let (Source::Sim(id), Net::Sim(sim)) = (source, self) {
            return sim.local_address(*id);
        }
        source.local_address()
    }

    /// The address of the other side. A Unix peer is usually unnamed: `None`.
    pub(crate) fn peer_address(&self, source: &Source) -> Option<Address> {
        #[cfg(feature = "sim")]
        if let (Source::Sim(id), Net::Sim(sim)) = (source, self) {
            return sim.peer_address(*id);
        }
        source.peer_address()
    }

    /// The descriptor that becomes readable when `poll` has something; `None` where the back end has
    /// none (`poll(2)`, simulation).
    pub(crate) fn as_raw_fd(&self) -> Option<RawFd> {
        match self {
            Net::System(reactor) => reactor.as_raw_fd(),
            #[cfg(feature = "sim")]
            Net::Sim(_) => None,
        }
    }

    /// What other threads use to end a `poll`: for `remote::channel` and `Resolver::new`.
    pub(crate) fn remote(&self) -> remote::Waker {
        match self {
            Net::System(reactor) => reactor.remote(),
            #[cfg(feature = "sim")]
            Net::Sim(sim) => sim.remote(),
        }
    }

    /// Whether a read that fills less than its buffer, or a write that takes less than it was given,
    /// means that a new edge will come. Where it is false, only `WouldBlock` does.
    ///
    /// True for epoll and kqueue, although mio promises it for neither; even there, an event that
    /// says read-closed or error has to be read to the end, because data and FIN in one event raise
    /// no second edge.
    #[inline]
    pub(crate) const fn short_read_drains(&self) -> bool {
        match self {
            Net::System(_) => !cfg!(windows) && !cfg!(mio_unsupported_force_poll_poll),
            #[cfg(feature = "sim")]
            Net::Sim(_) => true,
        }
    }

    #[cfg(feature = "sim")]
    fn sim(&self) -> io::Result<&sim::SimLoop> {
        match self {
            Net::Sim(sim) => Ok(sim),
            Net::System(_) => Err(source::not_a_stream()),
        }
    }
}
