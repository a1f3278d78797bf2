//! The real network: one `mio::Poll`, its waker, and a monotonic clock.
//!
//! Every source is registered once, for both directions, edge-triggered, and never again: the kernel
//! keeps no list for us to maintain. Deliberately not here: what the tokens mean.

use std::io;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockAddr, Socket, Type};

use super::remote::Waker;
use super::{Address, ListenOptions, Readiness, Ready, Source, Time, WAKE};

/// What a socket is given beyond what is on its way to the peer. Less would cut responses of a megabyte into many
/// writes: with 512 KiB they cost half as much again.
pub(super) const UNSENT_BYTES_MAX: u32 = 1024 * 1024;

/// The operating system's side of one event loop.
#[derive(Debug)]
pub(crate) struct Reactor {
    poll: Poll,
    events: Events,
    began: Instant,
    waker: Waker,
    posted: bool,
}

impl Reactor {
    pub(super) fn new(events_capacity: usize) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        // mio leaves a second waker on one `Poll` unspecified: this is the only one, and clones of
        // its handle go wherever a wake-up can come from.
        let waker = Waker::new(mio::Waker::new(poll.registry(), Token(WAKE))?);
        Ok(Reactor {
            poll,
            events: Events::with_capacity(events_capacity.max(1)),
            began: Instant::now(),
            waker,
            posted: false,
        })
    }

    pub(super) fn poll(
        &mut self,
        timeout: Option<Duration>,
        batch: &mut Vec<Ready>,
    ) -> io::Result<()> {
        // mio's `poll(2)` back end has one eventfd for wake-ups and for registrations, and the latter reset
        // it: a wake-up that came before is not reported any more, and ours coalesce into that one.
        let is_swallowed = cfg!(mio_unsupported_force_poll_poll) && self.waker.is_pending();
        let timeout = if is_swallowed { Some(Duration::ZERO) } else { timeout };
        self.posted |= is_swallowed && self.waker.acknowledge();
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        for event in &self.events {
            let token = event.token().0;
            if token == WAKE {
                // Cleared before anything is drained: a post that comes from now on wakes again.
                self.waker.acknowledge();
                self.posted = true;
            } else {
                batch.push(Ready { token, readiness: readiness(event) });
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn has_posted(&self) -> bool {
        self.posted
    }

    #[inline]
    pub(super) fn take_posted(&mut self) -> bool {
        std::mem::take(&mut self.posted)
    }

    #[inline]
    pub(super) fn now(&self) -> Time {
        let elapsed = self.began.elapsed();
        Time(elapsed.as_secs().saturating_mul(1_000_000) + u64::from(elapsed.subsec_micros()))
    }

    pub(super) fn register(&self, source: &mut Source, token: usize) -> io::Result<()> {
        let interest = interest(source);
        let (source, registry) = (source.as_event_source()?, self.poll.registry());
        match source.register(registry, Token(token), interest) {
            // A closed connection is remembered where it has another descriptor. This is such a one, under the
            // number that the closed one had.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                source.reregister(registry, Token(token), interest)
            }
            result => result,
        }
    }

    /// Watches a source no more. Closing it is enough where it has no other descriptor.
    pub(super) fn deregister(&self, source: &mut Source) {
        let result = source.as_event_source().and_then(|s| s.deregister(self.poll.registry()));
        if let Err(error) = result {
            log::debug!(target: "onloop::connection", "a socket is watched still: {error}");
        }
    }

    pub(super) fn reregister(&self, source: &mut Source, token: usize) -> io::Result<()> {
        let interest = interest(source);
        source.as_event_source()?.reregister(self.poll.registry(), Token(token), interest)
    }

    pub(super) fn remote(&self) -> Waker {
        self.waker.clone()
    }

    #[cfg(not(mio_unsupported_force_poll_poll))]
    pub(super) fn as_raw_fd(&self) -> Option<RawFd> {
        Some(std::os::fd::AsRawFd::as_raw_fd(&self.poll))
    }

    #[cfg(mio_unsupported_force_poll_poll)]
    pub(super) fn as_raw_fd(&self) -> Option<RawFd> {
        None
    }
}

fn interest(source: &Source) -> Interest {
    if source.is_listener() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE }
}

#[inline]
fn readiness(event: &mio::event::Event) -> Readiness {
    let mut readiness = Readiness::EMPTY;
    if event.is_readable() {
        readiness.insert(Readiness::READABLE);
    }
    if event.is_writable() {
        readiness.insert(Readiness::WRITABLE);
    }
    if event.is_read_closed() {
        readiness.insert(Readiness::READ_CLOSED);
    }
    if event.is_write_closed() {
        readiness.insert(Readiness::WRITE_CLOSED);
    }
    if event.is_error() {
        readiness.insert(Readiness::ERROR);
    }
    readiness
}

/// A bound, listening, non-blocking socket that a child process does not inherit.
pub(super) fn listen(address: &Address, options: &ListenOptions) -> io::Result<Source> {
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    match address {
        Address::Ip(ip) => {
            let socket = Socket::new(Domain::for_address(*ip), Type::STREAM, None)?;
            // Without it a restarted server finds its port in TIME_WAIT for a minute.
            socket.set_reuse_address(true)?;
            if options.reuse_port {
                socket.set_reuse_port(true)?;
            }
            if ip.is_ipv6() {
                // Said in both cases: the system's default differs between kernels and settings.
                socket.set_only_v6(options.ipv6_only)?;
            }
            bound_unsent(&socket, Some(UNSENT_BYTES_MAX));
            bind_and_listen(&socket, &SockAddr::from(*ip), backlog)?;
            Ok(Source::TcpListener(mio::net::TcpListener::from_std(socket.into())))
        }
        Address::Unix(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            bind_and_listen(&socket, &SockAddr::unix(path)?, backlog)?;
            Ok(Source::UnixListener(mio::net::UnixListener::from_std(socket.into())))
        }
    }
}

/// What the system may hold of a connection's output beyond what is on its way. By itself it takes some 4 MB for each
/// client that does not read, and a client that reads in sips has it send them one by one within a single call.
/// Connections have it from their listener, so it costs them no call of their own. `None`: as much as it likes.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn bound_unsent(socket: &Socket, bytes: Option<u32>) {
    // Where it fails, as with Unix sockets, the system holds more, and everything else is the same.
    let _ = socket.set_tcp_notsent_lowat(bytes.unwrap_or(u32::MAX));
}

/// Elsewhere the system's own limits stand.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn bound_unsent(_: &Socket, _: Option<u32>) {}

fn bind_and_listen(socket: &Socket, address: &SockAddr, backlog: i32) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}
