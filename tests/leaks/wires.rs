//! The network of a run: simulated, or this machine's own.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use onloop::sim::{Route, SimListener, SimNet, SimPeer};
use onloop::{EventLoop, LoopOptions};

use crate::random::Chance;

#[derive(Clone)]
pub(crate) enum Wires {
    Simulated(SimNet),
    Loopback(Instant),
}

pub(crate) enum Listener {
    Simulated(SimListener),
    Loopback(TcpListener),
}

/// The server's end of a connection.
pub(crate) enum End {
    Simulated(SimPeer),
    Loopback(TcpStream),
}

impl Wires {
    /// With names whose addresses all answer, answer late, refuse, or do not answer, and one that is unknown.
    pub(crate) fn simulated() -> Wires {
        let net = SimNet::new(1);
        let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
        let [hole, other_hole, closed, far] =
            [1, 2, 3, 4].map(|last| IpAddr::from([192, 0, 2, last]));
        net.set_route(hole, Route::Silent);
        net.set_route(other_hole, Route::Silent);
        net.set_route(closed, Route::Refused);
        net.set_route(far, Route::Delayed(Duration::from_millis(60)));
        net.add_host("both.test", vec![v6, v4]);
        net.add_host("halfway.test", vec![hole, v4]);
        net.add_host("closed.test", vec![closed, closed]);
        net.add_host("hole.test", vec![hole, other_hole]);
        net.add_host("far.test", vec![hole, closed, far, v4]);
        Wires::Simulated(net)
    }

    pub(crate) fn event_loop(&self) -> EventLoop {
        let options = LoopOptions::default().free_connection_timeout(Duration::from_millis(400));
        match self {
            Wires::Simulated(net) => net.event_loop(options),
            Wires::Loopback(_) => EventLoop::with_options(options).expect("a loop"),
        }
    }

    pub(crate) fn listen(&self) -> Listener {
        match self {
            Wires::Simulated(net) => {
                let address = SocketAddr::from(([0, 0, 0, 0], 0));
                Listener::Simulated(net.listen(&address.into()).expect("a free port"))
            }
            Wires::Loopback(_) => {
                let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
                listener.set_nonblocking(true).expect("non-blocking");
                Listener::Loopback(listener)
            }
        }
    }

    pub(crate) fn now(&self) -> Duration {
        match self {
            Wires::Simulated(net) => net.now(),
            Wires::Loopback(began) => began.elapsed(),
        }
    }

    /// The host of a request's URL: most have somebody there.
    pub(crate) fn host(&self, chance: &Chance) -> &'static str {
        match (self, chance.below(20)) {
            (Wires::Simulated(_), 0) => "unknown.test",
            (Wires::Simulated(_), 1) => "closed.test",
            (Wires::Simulated(_), 2) => "hole.test",
            (Wires::Simulated(_), 3) => "halfway.test",
            (Wires::Simulated(_), 4) => "far.test",
            (Wires::Simulated(_), 5..=8) => "both.test",
            (Wires::Loopback(_), 0) => "localhost",
            _ => "127.0.0.1",
        }
    }
}

impl Listener {
    pub(crate) fn accept(&self) -> Option<End> {
        match self {
            Listener::Simulated(listener) => listener.accept().map(End::Simulated),
            Listener::Loopback(listener) => {
                let (stream, _) = listener.accept().ok()?;
                stream.set_nonblocking(true).expect("non-blocking");
                Some(End::Loopback(stream))
            }
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Listener::Simulated(listener) => listener.address().port().expect("an IP address"),
            Listener::Loopback(listener) => listener.local_addr().expect("it is bound").port(),
        }
    }
}

impl End {
    /// Appends what is here; true at the end of the connection.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>) -> bool {
        match self {
            End::Simulated(peer) => {
                into.extend(peer.read());
                peer.is_eof() || peer.is_reset()
            }
            End::Loopback(stream) => match stream.read_to_end(into) {
                Ok(_) => true,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            },
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> usize {
        match self {
            End::Simulated(peer) => peer.write(bytes),
            End::Loopback(stream) => stream.write(bytes).unwrap_or(0),
        }
    }

    pub(crate) fn shutdown(&mut self) {
        match self {
            End::Simulated(peer) => peer.shutdown_write(),
            // It may be gone already.
            End::Loopback(stream) => drop(stream.shutdown(Shutdown::Write)),
        }
    }

    pub(crate) fn reset(self) {
        match self {
            End::Simulated(peer) => peer.reset(),
            End::Loopback(stream) => {
                let no_time = Some(Duration::ZERO);
                socket2::SockRef::from(&stream).set_linger(no_time).expect("a live socket");
            }
        }
    }
}
