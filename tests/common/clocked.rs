//! A loop on a simulated clock, and raw peers: hours take no time.

use std::net::SocketAddr;
use std::time::Duration;

use onloop::http::{Outcome, Request, Response, Server, ServerOptions};
use onloop::sim::{SimNet, SimPeer, stats};
use onloop::{EventLoop, LoopOptions};

/// A deadline may be late by the sweep and what the network takes.
pub(crate) const LATE: Duration = Duration::from_millis(200);

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) struct Clocked {
    pub(crate) net: SimNet,
    pub(crate) event_loop: EventLoop,
    /// Turns so far: a clock that has nothing to do wakes nobody.
    pub(crate) turns: usize,
}

impl Clocked {
    pub(crate) fn new() -> Clocked {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::default());
        Clocked { net, event_loop, turns: 0 }
    }

    pub(crate) fn serve<R: Outcome>(
        &self,
        options: ServerOptions,
        on_request: impl FnMut(Request, Response) -> R + 'static,
    ) -> Server {
        let server = Server::new(self.event_loop.handle(), options).expect("a server");
        server.on_request(on_request);
        server.listen("127.0.0.1:80").expect("a free port");
        server
    }

    pub(crate) fn send(&self, bytes: &str) -> SimPeer {
        let peer = self.net.connect(&SocketAddr::from(([127, 0, 0, 1], 80)).into());
        assert_eq!(peer.write(bytes.as_bytes()), bytes.len());
        peer
    }

    /// Connections that the server has, those that only wait for their peer's end included.
    pub(crate) fn connections(&self) -> usize {
        let stats = stats(&self.event_loop);
        stats.server_connections + stats.upgraded
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            let left = end - self.net.now();
            self.event_loop.turn(Some(left)).expect("a turn");
            self.turns += 1;
            if self.net.now() < end && self.net.stalled() {
                self.net.advance(end - self.net.now());
            }
        }
    }

    /// Reads so many bytes a second, until `count` have come or the connection has ended.
    pub(crate) fn read_slowly(&mut self, peer: &SimPeer, rate: usize, count: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < count && !peer.is_eof() && !peer.is_reset() {
            received.extend(peer.read_up_to(rate));
            self.pass(seconds(1));
        }
        received
    }

    /// What the peer received until its connection ended, and how long that took.
    #[track_caller]
    pub(crate) fn until_end(&mut self, peer: &SimPeer) -> (Duration, String) {
        let begin = self.net.now();
        let mut received = Vec::new();
        while !peer.is_eof() && !peer.is_reset() {
            received.extend(peer.read());
            self.event_loop.turn(Some(LATE / 10)).expect("a turn");
            let passed = self.net.now() - begin;
            let text = String::from_utf8_lossy(&received);
            assert!(passed < seconds(10_000), "it never ends: {text}");
        }
        received.extend(peer.read());
        (self.net.now() - begin, String::from_utf8_lossy(&received).into_owned())
    }
}

/// Lets everything arrive that is under way.
pub(crate) fn settle(net: &SimNet, event_loop: &mut EventLoop) {
    let end = net.now() + Duration::from_millis(1);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        if net.now() < end && net.stalled() {
            net.advance(end - net.now());
        }
    }
}

#[track_caller]
pub(crate) fn assert_about(took: Duration, expected: Duration) {
    assert!(took >= expected, "{took:?} is earlier than {expected:?}");
    assert!(took <= expected + LATE, "{took:?} is later than {expected:?}");
}
