//! Many connections that end at the same moment do not keep those waiting that go on.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::get;
use onloop::http::{Server, ServerOptions};
use onloop::sim::{SimNet, SimPeer};
use onloop::{EventLoop, Limits, LoopOptions};

const ACCEPTS: usize = 2;
/// In a turn with few events such a number may end at once, and as many of those that have waited.
const AT_ONCE: usize = 4 * ACCEPTS;

const MANY: usize = 40;

/// Part of a head.
const PART: &[u8] = b"GET / HTTP/1.1\r\nHost: ";

struct Crowd {
    net: SimNet,
    event_loop: EventLoop,
    /// Has been served once, and has another request under way.
    honest: SimPeer,
    crowd: Vec<SimPeer>,
    /// Of the crowd so many have been refused.
    refused: Rc<Cell<usize>>,
    served: Rc<Cell<usize>>,
}

/// Many connections of which each has sent a part of a head.
fn crowd(options: ServerOptions) -> Crowd {
    let net = SimNet::new(1);
    let limits = Limits::new().accepts_per_turn(ACCEPTS);
    let event_loop = net.event_loop(LoopOptions::new().limits(limits));
    let server = Server::new(event_loop.handle(), options).expect("a server");
    let (refused, served) = (Rc::default(), Rc::new(Cell::new(0)));
    let (refusals, requests) = (Rc::<Cell<usize>>::clone(&refused), Rc::clone(&served));
    let (held, lp) = (Rc::new(Cell::new(None)), event_loop.handle());
    let holds = Rc::clone(&held);
    server.on_request(move |req, res| {
        if req.url() == "/held" {
            let requests = Rc::clone(&requests);
            res.on_finish(move || requests.set(requests.get() + 1));
            holds.set(Some(res));
            return;
        }
        requests.set(requests.get() + 1);
        res.end("x");
    });
    server.on_client_error(move |_error, socket| {
        refusals.set(refusals.get() + 1);
        if let Some(held) = held.take() {
            lp.set_immediate(move || held.end("x"));
        }
        socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    server.listen("127.0.0.1:80").expect("a free port");
    let address = server.address().expect("it listens");
    let crowd: Vec<SimPeer> = (0..MANY).map(|_| net.connect(&address)).collect();
    for peer in &crowd {
        assert_eq!(peer.write(PART), PART.len());
    }
    let honest = net.connect(&address);
    honest.write(get("/", "").as_bytes());
    let mut crowd = Crowd { net, event_loop, honest, crowd, refused, served };
    while crowd.honest.available() == 0 {
        crowd.turn();
    }
    assert_eq!((crowd.refused.get(), crowd.served.get()), (0, 1));
    crowd.honest.write(get("/held", "").as_bytes());
    crowd
}

impl Crowd {
    fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        self.event_loop_is_in_order();
    }

    fn event_loop_is_in_order(&self) {
        onloop::sim::check(&self.event_loop).expect("every count is what there is");
    }

    /// The one that goes on is served before all that leave, of which none is forgotten.
    /// It has its answer from its handler when the first of them is refused.
    fn ends_with_the_honest_first(&mut self) {
        let (mut refused, mut before_it) = (0, None);
        for _ in 0..1000 {
            self.turn();
            let now = self.refused.get();
            assert!(now - refused <= AT_ONCE, "{} in a turn", now - refused);
            refused = now;
            if self.served.get() == 2 {
                before_it.get_or_insert(now);
            }
        }
        let before_it = before_it.expect("it is served");
        assert!(before_it < MANY / 2, "{before_it} were before it");
        assert_eq!(refused, MANY);
        assert!(self.net.now() < Duration::from_secs(60));
    }
}

#[test]
fn peers_that_go_away_together_wait_for_one_that_goes_on() {
    let mut crowd = crowd(ServerOptions::new());
    crowd.crowd.iter().for_each(SimPeer::shutdown_write);
    crowd.ends_with_the_honest_first();
    assert!(crowd.crowd.iter().all(|peer| peer.read().starts_with(b"HTTP/1.1 400 ")));
    assert!(crowd.crowd.iter().all(SimPeer::is_eof));
}

#[test]
fn peers_whose_time_is_over_together_wait_for_one_that_goes_on() {
    let clock = Duration::from_millis(500);
    let mut crowd = crowd(ServerOptions::new().headers_timeout(clock));
    crowd.ends_with_the_honest_first();
    assert!(crowd.crowd.iter().all(|peer| peer.read().starts_with(b"HTTP/1.1 400 ")));
}

#[test]
fn a_request_whose_client_ends_its_side_is_served_among_them() {
    let mut crowd = crowd(ServerOptions::new());
    let begun = crowd.served.get();
    for peer in &crowd.crowd {
        peer.write(b"h\r\n\r\n");
        peer.shutdown_write();
    }
    for _ in 0..1000 {
        crowd.turn();
    }
    assert_eq!((crowd.served.get() - begun, crowd.refused.get()), (MANY, 0));
    assert!(crowd.crowd.iter().all(|peer| peer.read().ends_with(b"\r\n\r\nx")));
}
