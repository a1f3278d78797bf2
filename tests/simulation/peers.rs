//! Raw peers among the clients: pipelining, nonsense, half a request, an early end of stream.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use onloop::Address;
use onloop::sim::{SimNet, SimPeer};

use crate::random::Random;

#[derive(Debug)]
pub(crate) struct Peer {
    peer: SimPeer,
    received: Vec<u8>,
    /// It closes by itself when it has so many responses.
    leaves_after: Option<usize>,
    /// The responses that it gets where the network loses nothing.
    answers: RangeInclusive<usize>,
    until: Duration,
}

impl Peer {
    pub(crate) fn draw(net: &SimNet, random: &mut Random) -> Peer {
        let peer = net.connect(&Address::from(SocketAddr::from(([127, 0, 0, 1], 80))));
        let get = "GET /hello HTTP/1.1\r\nHost: sim.test\r\n\r\n";
        let post = "POST /pipe HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nshort";
        let pipelined = 1 + random.below(20);
        let (bytes, answers, leaves_after) = match random.below(5) {
            0 => (get.repeat(pipelined), pipelined..=pipelined, None),
            // It is cut off, or it is too slow; the answer may have begun.
            1 => (post.into(), 0..=1, None),
            2 => (format!("{get}{get}NONSENSE\r\n\r\n{get}"), 3..=3, None),
            3 => (get[..1 + random.below(get.len() - 1)].to_owned(), 1..=1, None),
            _ => (get.repeat(3), 3..=3, Some(3)),
        };
        peer.write(bytes.as_bytes());
        if random.below(2) == 0 {
            peer.shutdown_write();
        }
        let until = net.now() + Duration::from_secs(20);
        Peer { peer, received: Vec::new(), leaves_after, answers, until }
    }

    /// True when it is done.
    pub(crate) fn is_done(&mut self, now: Duration) -> bool {
        if self.peer.available() > 0 {
            self.received.extend(self.peer.read());
        }
        now > self.until
            || self.peer.is_reset()
            || self.peer.is_eof()
            || self.leaves_after.is_some_and(|count| self.count() >= count)
    }

    /// Every response that is due has come, and no other.
    pub(crate) fn has_all(&self) -> bool {
        self.answers.contains(&self.count())
    }

    /// How many responses came.
    pub(crate) fn count(&self) -> usize {
        self.received.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
    }
}
