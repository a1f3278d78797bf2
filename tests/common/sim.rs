//! A loop to test on, over simulated or real sockets: the same test body runs on both.

#![allow(dead_code)] // each test file uses its part

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use onloop::sim::{SimNet, SimOptions, SimPeer};
use onloop::{Address, EventLoop, LoopOptions};

/// Where the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Simulated,
    Loopback,
}

pub(crate) const WIRES: [Wire; 2] = [Wire::Simulated, Wire::Loopback];

/// How long a turn may wait. On the simulated network it costs nothing.
const TURN: Duration = Duration::from_millis(5);

/// A condition that does not come in this time never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// A network, and how to make loops on it.
pub(crate) struct Bench {
    pub(crate) wire: Wire,
    pub(crate) net: SimNet,
    options: LoopOptions,
}

impl Bench {
    pub(crate) fn new(wire: Wire, options: LoopOptions) -> Bench {
        Bench {
            wire,
            net: SimNet::with_options(1, SimOptions::default()),
            options,
        }
    }

    pub(crate) fn event_loop(&self) -> EventLoop {
        match self.wire {
            Wire::Simulated => self.net.event_loop(self.options.clone()),
            Wire::Loopback => EventLoop::with_options(self.options.clone()).expect("a poller"),
        }
    }

    pub(crate) fn turn(&self, event_loop: &mut EventLoop) {
        self.turn_for(event_loop, TURN);
    }

    pub(crate) fn turn_for(&self, event_loop: &mut EventLoop, max: Duration) {
        event_loop.turn(Some(max)).expect("the poller works");
    }

    /// Turns until `done` says so; false when it has not in all patience.
    pub(crate) fn turn_until(
        &self,
        event_loop: &mut EventLoop,
        mut done: impl FnMut(&EventLoop) -> bool,
    ) -> bool {
        let (began, began_real) = (self.net.now(), Instant::now());
        loop {
            if done(event_loop) {
                return true;
            }
            let passed = match self.wire {
                Wire::Simulated => self.net.now() - began,
                Wire::Loopback => began_real.elapsed(),
            };
            // The second bound is for a loop that is always busy and lets no time pass.
            if passed > PATIENCE || began_real.elapsed() > 2 * PATIENCE {
                return false;
            }
            self.turn(event_loop);
        }
    }

    /// A connection with nothing but bytes on this end.
    pub(crate) fn connect(&self, address: &Address) -> Peer {
        match self.wire {
            Wire::Simulated => Peer::Simulated(self.net.connect(address)),
            Wire::Loopback => {
                let port = address.port().expect("an IP address");
                let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
                stream
                    .set_nonblocking(true)
                    .expect("a socket can be non-blocking");
                Peer::Loopback(stream)
            }
        }
    }
}

/// The other side in the test's hand.
pub(crate) enum Peer {
    Simulated(SimPeer),
    Loopback(TcpStream),
}

impl Peer {
    /// Sends all of a small message.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self {
            Peer::Simulated(peer) => assert_eq!(peer.write(bytes), bytes.len(), "it is small"),
            Peer::Loopback(stream) => stream.write_all(bytes).expect("it is small"),
        }
    }

    /// What is here, and whether the other side has ended.
    pub(crate) fn read(&mut self) -> (Vec<u8>, bool) {
        match self {
            Peer::Simulated(peer) => {
                let bytes = peer.read();
                (bytes, peer.is_eof() || peer.is_reset())
            }
            Peer::Loopback(stream) => {
                let mut bytes = Vec::new();
                match stream.read_to_end(&mut bytes) {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => (bytes, false),
                    _ => (bytes, true),
                }
            }
        }
    }
}
