//! A client in the test's hand that reads at once, in sips, or late, and is told how its connection ends.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::common::{Answer, World};

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    AtOnce,
    /// A little in each turn, out of a small buffer.
    InSips,
    /// Nothing for some turns, out of a small buffer.
    Late,
}

/// The receive buffer of clients that are not quick, and what one of them takes in a turn.
const SIP: usize = 64 * 1024;
/// How long a client waits for bytes that must be there.
const PATIENCE: Duration = Duration::from_secs(20);
/// Turns before a late client reads.
const LATE_TURNS: usize = 30;

pub(crate) struct SlowPeer {
    stream: TcpStream,
    pace: Pace,
    unsent: Vec<u8>,
    ends: bool,
    turns: usize,
    received: Vec<u8>,
}

impl SlowPeer {
    pub(crate) fn connect(port: u16, pace: Pace) -> SlowPeer {
        let room = (pace != Pace::AtOnce).then_some(SIP);
        SlowPeer::of(port, room, pace)
    }

    /// With a buffer that takes a whole answer while nobody reads.
    pub(crate) fn connect_with_room(port: u16) -> SlowPeer {
        SlowPeer::of(port, Some(4 * 1024 * 1024), Pace::Late)
    }

    fn of(port: u16, room: Option<usize>, pace: Pace) -> SlowPeer {
        let kind = (socket2::Domain::IPV4, socket2::Type::STREAM);
        let socket = socket2::Socket::new(kind.0, kind.1, None).expect("a socket");
        if let Some(bytes) = room {
            socket.set_recv_buffer_size(bytes).expect("a buffer of that size");
        }
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        socket.connect(&address.into()).expect("a connection");
        socket.set_nonblocking(true).expect("non-blocking");
        let (unsent, received) = (Vec::new(), Vec::new());
        SlowPeer { stream: socket.into(), pace, unsent, ends: false, turns: 0, received }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.write();
    }

    /// Ends the stream behind what was sent.
    pub(crate) fn end(&mut self) {
        self.ends = true;
        self.write();
    }

    fn write(&mut self) {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.unsent.clear(),
            }
        }
        if self.ends && self.unsent.is_empty() {
            self.ends = false;
            // The connection may be gone.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// Turns the loop until the system has taken everything that this client sends.
    pub(crate) fn send_all(&mut self, world: &mut World) {
        world.until("the client's bytes to be sent", || {
            self.write();
            self.unsent.is_empty()
        });
    }

    /// Moves what can be moved; true at the end of the stream.
    fn step(&mut self, context: &str) -> bool {
        self.turns += 1;
        self.write();
        if self.pace == Pace::Late && self.turns < LATE_TURNS {
            return false;
        }
        let mut buffer = [0; SIP];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => {
                    let count = self.received.len();
                    panic!("{context}: {error} behind {count} bytes")
                }
            }
            if self.pace == Pace::InSips {
                return false;
            }
        }
    }

    /// The first answer, and what comes behind it until the end of the stream.
    #[track_caller]
    pub(crate) fn first_answer(&mut self, world: &mut World, context: &str) -> (Answer, Vec<u8>) {
        let peer = RefCell::new(self);
        world.until(context, || peer.borrow_mut().step(context));
        let received = std::mem::take(&mut peer.borrow_mut().received);
        let Some((answer, length)) = Answer::parse(&received, false, true) else {
            panic!("{context}: only {} bytes came", received.len());
        };
        (answer, received[length..].to_vec())
    }

    /// Everything that is in the buffers of the system: nobody sends any more.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        self.stream.set_nonblocking(false).expect("blocking");
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut received = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut received) {
            panic!("{error} behind {} bytes", received.len());
        }
        received
    }
}
