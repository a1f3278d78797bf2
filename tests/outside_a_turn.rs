//! What is asked of the loop between two turns, when the time it read last may be old: by a host that drives
//! the loop, or before the first turn.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use onloop::sim::SimNet;
use onloop::{Address, EventLoop, LoopOptions, http};

const SECOND: Duration = Duration::from_secs(1);

fn event_loop(net: &SimNet) -> EventLoop {
    net.event_loop(LoopOptions::default())
}

#[test]
fn a_timer_set_long_after_the_last_turn_is_not_late() {
    let net = SimNet::new(1);
    let mut event_loop = event_loop(&net);
    event_loop.turn(Some(Duration::ZERO)).expect("a simulated poll does not fail");
    net.advance(10 * SECOND);
    let fired_at = Rc::new(Cell::new(None));
    let (clock, fired) = (net.clone(), fired_at.clone());
    event_loop.handle().set_timeout(SECOND, move || fired.set(Some(clock.now())));
    event_loop.run().expect("a simulated poll does not fail");
    assert_eq!(fired_at.get(), Some(11 * SECOND));
}

#[test]
fn a_timer_is_not_late_by_the_time_that_a_host_spends_between_turns() {
    let net = SimNet::new(1);
    let mut event_loop = event_loop(&net);
    let fired_at = Rc::new(Cell::new(None));
    let (clock, fired) = (net.clone(), fired_at.clone());
    event_loop.handle().set_timeout(10 * SECOND, move || fired.set(Some(clock.now())));
    event_loop.turn(Some(Duration::ZERO)).expect("a simulated poll does not fail");
    net.advance(7 * SECOND);
    event_loop.run().expect("a simulated poll does not fail");
    assert_eq!(fired_at.get(), Some(10 * SECOND));
}

#[test]
fn a_request_made_between_turns_does_not_take_a_connection_that_was_closed_meanwhile() {
    let net = SimNet::new(1);
    let mut event_loop = event_loop(&net);
    let lp = event_loop.handle();
    let address = Address::Ip("10.0.0.1:80".parse().expect("an address"));
    let listener = net.listen(&address).expect("the address is free");
    let answered = Rc::new(Cell::new(false));
    let told = answered.clone();
    let first = http::get(lp, "http://10.0.0.1/", move |response| {
        response.on_end(move || told.set(true));
    });
    assert!(first.is_ok());
    let mut peer = None;
    while !answered.get() {
        event_loop.turn(Some(SECOND)).expect("a simulated poll does not fail");
        peer = peer.or_else(|| listener.accept());
        if let Some(peer) = peer.as_ref().filter(|peer| !peer.read().is_empty()) {
            peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }
    drop(peer);
    net.advance(SECOND);
    let second = http::request(lp, "GET", "http://10.0.0.1/").expect("the URL is good");
    assert!(!second.is_reused());
}

#[test]
fn the_timeout_of_a_request_made_between_turns_begins_when_it_is_made() {
    let net = SimNet::new(1);
    let mut event_loop = event_loop(&net);
    let lp = event_loop.handle();
    let server = http::create_server(lp, |req, res| {
        if req.url() == "/at-once" {
            res.end("");
        }
    });
    server.listen("10.0.0.1:80").expect("the address is free");

    let answered = Rc::new(Cell::new(false));
    let told = answered.clone();
    let first = http::get(lp, "http://10.0.0.1/at-once", move |response| {
        response.on_end(move || told.set(true));
    });
    assert!(first.is_ok());
    while !answered.get() {
        event_loop.turn(Some(SECOND)).expect("a simulated poll does not fail");
    }
    // Less than the pool keeps the connection for.
    net.advance(4 * SECOND);

    let options = http::RequestOptions::new("GET", "http://10.0.0.1/never").timeout(2 * SECOND);
    let made_at = net.now();
    let request = http::request_with(lp, options).expect("the URL is good");
    assert!(request.is_reused());
    let timed_out_at = Rc::new(Cell::new(None));
    let (clock, noted) = (net.clone(), timed_out_at.clone());
    request.on_timeout(move || {
        noted.set(Some(clock.now()));
        request.destroy();
    });
    request.end("");
    while timed_out_at.get().is_none() {
        event_loop.turn(Some(SECOND)).expect("a simulated poll does not fail");
    }
    let waited = timed_out_at.get().map(|at| at - made_at);
    assert!(waited >= Some(2 * SECOND), "{waited:?}");
}
