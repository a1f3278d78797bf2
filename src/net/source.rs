//! One socket of whatever kind, in eight bytes, and what can be done with it without the reactor.
//!
//! The match in each function is the whole cost of having several kinds. Deliberately not here: what
//! the caller does about `WouldBlock`.

use std::io::{self, IoSlice, Read};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::Address;
#[cfg(feature = "sim")]
use super::sim::SocketId;

/// `MSG_NOSIGNAL`: a write to a connection that is gone is an error and nothing more. `writev`, and on a Unix
/// socket `write`, would raise SIGPIPE, which ends a program that does not ignore it. Apple's systems have a setting of
/// the socket in its place (`SO_NOSIGPIPE`), which is made with it.
const QUIETLY: i32 = if cfg!(any(target_os = "linux", target_os = "android")) {
    0x4000
} else if cfg!(target_os = "freebsd") {
    0x2_0000
} else if cfg!(any(target_os = "dragonfly", target_os = "netbsd", target_os = "openbsd")) {
    0x400
} else {
    0
};

/// A socket, or none. Dropping it closes it.
///
/// A simulated socket is only a name: `Net::close` closes it, dropping does not.
#[derive(Debug, Default)]
pub(crate) enum Source {
    #[default]
    None,
    Tcp(TcpStream),
    Unix(UnixStream),
    TcpListener(TcpListener),
    UnixListener(UnixListener),
    #[cfg(feature = "sim")]
    Sim(SocketId),
}

impl Source {
    /// Leaves `None` behind: for a close while the slot stays.
    #[inline]
    pub(crate) fn take(&mut self) -> Source {
        std::mem::take(self)
    }

    #[inline]
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Source::None)
    }

    #[cfg(feature = "sim")]
    pub(super) fn sim_id(&self) -> io::Result<SocketId> {
        match self {
            Source::Sim(id) => Ok(*id),
            _ => Err(not_a_stream()),
        }
    }

    pub(super) fn as_event_source(&mut self) -> io::Result<&mut dyn mio::event::Source> {
        match self {
            Source::Tcp(stream) => Ok(stream),
            Source::Unix(stream) => Ok(stream),
            Source::TcpListener(listener) => Ok(listener),
            Source::UnixListener(listener) => Ok(listener),
            _ => Err(not_a_stream()),
        }
    }

    pub(super) fn is_listener(&self) -> bool {
        matches!(self, Source::TcpListener(_) | Source::UnixListener(_))
    }

    pub(super) fn accept(&self) -> io::Result<Source> {
        match self {
            Source::TcpListener(listener) => {
                uninterrupted(|| listener.accept()).map(|(stream, _)| Source::Tcp(stream))
            }
            Source::UnixListener(listener) => {
                uninterrupted(|| listener.accept()).map(|(stream, _)| Source::Unix(stream))
            }
            _ => Err(not_a_stream()),
        }
    }

    pub(super) fn connect_result(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Source::Tcp(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            Source::Unix(stream) => (stream.take_error()?, stream.peer_addr().map(drop)),
            _ => return Err(not_a_stream()),
        };
        if let Some(error) = error {
            return Err(error);
        }
        match peer {
            Ok(()) => Ok(true),
            // A writable event may be spurious; the connection is made when it has a peer.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Tcp(stream) => uninterrupted(|| stream.read(buffer)),
            Source::Unix(stream) => uninterrupted(|| stream.read(buffer)),
            _ => Err(not_a_stream()),
        }
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Source::Tcp(stream) => uninterrupted(|| {
                stream.try_io(|| SockRef::from(&*stream).send_with_flags(bytes, QUIETLY))
            }),
            Source::Unix(stream) => uninterrupted(|| {
                stream.try_io(|| SockRef::from(&*stream).send_with_flags(bytes, QUIETLY))
            }),
            _ => Err(not_a_stream()),
        }
    }

    #[inline]
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Source::Tcp(stream) => uninterrupted(|| {
                stream.try_io(|| SockRef::from(&*stream).send_vectored_with_flags(slices, QUIETLY))
            }),
            Source::Unix(stream) => uninterrupted(|| {
                stream.try_io(|| SockRef::from(&*stream).send_vectored_with_flags(slices, QUIETLY))
            }),
            _ => Err(not_a_stream()),
        }
    }

    #[cfg(target_os = "linux")]
    pub(super) fn send_file(
        &self,
        file: &std::fs::File,
        mut offset: u64,
        count: usize,
    ) -> io::Result<usize> {
        use rustix::fs::sendfile;

        // By `try_io`, so that mio's `poll(2)` back end hears of a `WouldBlock` and asks for the next edge.
        uninterrupted(|| match self {
            Source::Tcp(stream) => {
                stream.try_io(|| Ok(sendfile(stream, file, Some(&mut offset), count)?))
            }
            Source::Unix(stream) => {
                stream.try_io(|| Ok(sendfile(stream, file, Some(&mut offset), count)?))
            }
            _ => Err(not_a_stream()),
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn send_file(&self, _: &std::fs::File, _: u64, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Source::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Source::Unix(stream) => stream.shutdown(Shutdown::Write),
            _ => Err(not_a_stream()),
        }
    }

    pub(super) fn close(self) {
        if !matches!(self, Source::UnixListener(_)) {
            return;
        }
        let Some(Address::Unix(path)) = self.local_address() else {
            return;
        };
        if let Err(error) = std::fs::remove_file(&path) {
            log::debug!(target: "onloop::connection", "unix socket {} stays behind: {error}", path.display());
        }
    }

    pub(super) fn reset(self) {
        let Source::Tcp(stream) = &self else { return };
        // A failure leaves an ordinary close, which is no worse than what the peer has to expect.
        if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
            log::debug!(target: "onloop::connection", "reset becomes a close: {error}");
        }
    }

    pub(super) fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match self {
            Source::Tcp(stream) => stream.set_nodelay(on),
            _ => Ok(()),
        }
    }

    pub(super) fn set_keepalive(&self, idle: Option<Duration>) -> io::Result<()> {
        let Source::Tcp(stream) = self else {
            return Ok(());
        };
        let socket = SockRef::from(stream);
        match idle {
            // The system counts whole seconds and takes no zero.
            Some(idle) if idle.as_secs() == 0 => socket.set_keepalive(true),
            Some(idle) => socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle)),
            None => socket.set_keepalive(false),
        }
    }

    pub(super) fn unbound_unsent(&self) {
        if let Source::Tcp(stream) = self {
            super::reactor::bound_unsent(&SockRef::from(stream), None);
        }
    }

    pub(super) fn take_error(&self) -> Option<io::Error> {
        match self {
            Source::Tcp(stream) => stream.take_error().ok().flatten(),
            Source::Unix(stream) => stream.take_error().ok().flatten(),
            _ => None,
        }
    }

    pub(super) fn local_address(&self) -> Option<Address> {
        match self {
            Source::Tcp(stream) => stream.local_addr().ok().map(Address::Ip),
            Source::TcpListener(listener) => listener.local_addr().ok().map(Address::Ip),
            Source::Unix(stream) => stream.local_addr().ok().and_then(|a| unix_path(&a)),
            Source::UnixListener(listener) => {
                listener.local_addr().ok().and_then(|a| unix_path(&a))
            }
            _ => None,
        }
    }

    pub(super) fn peer_address(&self) -> Option<Address> {
        match self {
            Source::Tcp(stream) => stream.peer_addr().ok().map(Address::Ip),
            Source::Unix(stream) => stream.peer_addr().ok().and_then(|a| unix_path(&a)),
            _ => None,
        }
    }
}

/// Begins a connection without waiting for it, from `local` where that is given.
pub(super) fn connect(address: &Address, local: Option<SocketAddr>) -> io::Result<Source> {
    match (address, local) {
        (Address::Ip(address), None) => TcpStream::connect(*address).map(Source::Tcp),
        (Address::Ip(address), Some(local)) => connect_from(*address, local),
        (Address::Unix(path), _) => UnixStream::connect(path).map(Source::Unix),
    }
}

/// Without `SO_REUSEADDR`, with which two connections could be given one local port and the second fail in a
/// way that tells nothing. The price is that a port in TIME_WAIT cannot be asked for.
fn connect_from(address: SocketAddr, local: SocketAddr) -> io::Result<Source> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::from(local))?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(Source::Tcp(TcpStream::from_std(socket.into()))),
    }
}

/// `EINPROGRESS`, for which the standard library has no stable name; an interrupted `connect` goes on, too.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error();
    // macOS and the BSDs agree on it.
    #[cfg(not(target_os = "linux"))]
    let in_progress = 36;
    error.kind() == io::ErrorKind::Interrupted || error.raw_os_error() == Some(in_progress)
}

pub(super) fn adopt_stream(socket: OwnedFd) -> io::Result<Source> {
    let socket = stream_socket(socket)?;
    // Fails where it is no connection.
    socket.peer_addr()?;
    socket.set_nonblocking(true)?;
    // An accepted socket has the family of its own end; its peer may be unnamed.
    if socket.local_addr()?.is_unix() {
        return Ok(Source::Unix(UnixStream::from_std(OwnedFd::from(socket).into())));
    }
    Ok(Source::Tcp(TcpStream::from_std(OwnedFd::from(socket).into())))
}

/// Datagrams and packets have borders, and reading them as a stream loses what does not fit.
fn stream_socket(socket: OwnedFd) -> io::Result<Socket> {
    let socket = Socket::from(socket);
    match socket.r#type()? {
        Type::STREAM => Ok(socket),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub(super) fn adopt_listener(socket: OwnedFd, backlog: u32) -> io::Result<Source> {
    let socket = stream_socket(socket)?;
    if socket.local_addr()?.as_socket().is_some_and(|local| local.port() == 0) {
        // It is not bound. The system would choose a port, and open it to everybody.
        return Err(io::ErrorKind::InvalidInput.into());
    }
    socket.set_nonblocking(true)?;
    // Of one that listens already it sets the backlog.
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    super::reactor::bound_unsent(&socket, Some(super::reactor::UNSENT_BYTES_MAX));
    if socket.local_addr()?.is_unix() {
        return Ok(Source::UnixListener(UnixListener::from_std(OwnedFd::from(socket).into())));
    }
    Ok(Source::TcpListener(TcpListener::from_std(OwnedFd::from(socket).into())))
}

/// The answer to a call that this kind of source, or a simulated one elsewhere, cannot carry out.
pub(super) fn not_a_stream() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

fn unix_path(address: &std::os::unix::net::SocketAddr) -> Option<Address> {
    address.as_pathname().map(|path| Address::Unix(PathBuf::from(path)))
}

#[inline]
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
