//! The promises of the loop, by their numbers and in their words.
//!
//! 1, 4 and 5 are in `order`, 2 in `destructors`, 3 and 9 in `panics`, 6 and 7 in `writing`, 8 in `running`.

mod destructors;
mod order;
mod panicking_destructors;
mod panics;
mod running;
mod writing;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Request, Response, Server};
use onloop::sim::{SimNet, SimPeer};
use onloop::{Address, EventLoop, LoopHandle, LoopOptions, PanicPolicy};

/// A loop on a network without faults, with a server on port 80.
struct Bench {
    net: SimNet,
    event_loop: EventLoop,
    lp: LoopHandle,
}

impl Bench {
    fn new() -> Bench {
        Bench::with_policy(PanicPolicy::Propagate)
    }

    fn with_policy(policy: PanicPolicy) -> Bench {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::new().panic_policy(policy));
        let lp = event_loop.handle();
        Bench { net, event_loop, lp }
    }

    fn serve<R: http::Outcome>(
        &self,
        on_request: impl FnMut(Request, Response) -> R + 'static,
    ) -> Server {
        let server = http::create_server(self.lp, on_request);
        server.listen("127.0.0.1:80").unwrap();
        server
    }

    fn connect(&self) -> SimPeer {
        self.net.connect(&Address::from(SocketAddr::from(([127, 0, 0, 1], 80))))
    }

    /// A peer that has sent `bytes`, after everything that follows from them has happened.
    fn send(&mut self, bytes: &str) -> SimPeer {
        let peer = self.connect();
        assert_eq!(peer.write(bytes.as_bytes()), bytes.len());
        self.settle();
        peer
    }

    fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::from_millis(10))).unwrap();
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.turn();
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\ncontent";

/// Everything that has arrived, as text.
fn text(peer: &SimPeer) -> String {
    String::from_utf8(peer.read()).unwrap()
}

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// A callback that only says that it was called.
    fn hook(&self, what: &'static str) -> impl Fn() + 'static {
        let log = self.clone();
        move || log.add(what)
    }

    fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}
