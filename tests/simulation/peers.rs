//! Raw peers among the clients: pipelining, nonsense, half a request, an early end of stream.

use std::net::SocketAddr;
use std::time::Duration;

use onloop::Address;
use onloop::sim::{SimNet, SimPeer};

use crate::plan::Random;

pub(crate) struct Peer {
    peer: SimPeer,
    received: Vec<u8>,
    /// Responses to be had before it closes by itself.
    wanted: usize,
    until: Duration,
}

impl Peer {
    pub(crate) fn draw(net: &SimNet, random: &mut Random) -> Peer {
        let peer = net.connect(&Address::from(SocketAddr::from(([127, 0, 0, 1], 80))));
        let get = "GET /hello HTTP/1.1\r\nHost: sim.test\r\n\r\n";
        let (bytes, wanted) = match random.below(5) {
            0 => (get.repeat(1 + random.below(20)), usize::MAX),
            1 => ("POST /pipe HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nshort".into(), usize::MAX),
            2 => (format!("{get}{get}NONSENSE\r\n\r\n{get}"), usize::MAX),
            3 => (get[..random.below(get.len())].to_owned(), usize::MAX),
            _ => (get.repeat(3), 3),
        };
        peer.write(bytes.as_bytes());
        if random.below(2) == 0 {
            peer.shutdown_write();
        }
        let until = net.now() + Duration::from_secs(20);
        Peer { peer, received: Vec::new(), wanted, until }
    }

    /// True when it is done.
    pub(crate) fn is_done(&mut self, now: Duration) -> bool {
        if self.peer.available() > 0 {
            self.received.extend(self.peer.read());
        }
        now > self.until
            || self.peer.is_reset()
            || self.peer.is_eof()
            || self.wanted != usize::MAX && self.answers() >= self.wanted
    }

    /// How many responses came.
    pub(crate) fn answers(&self) -> usize {
        self.received.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
    }
}
