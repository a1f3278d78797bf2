//! What a connection used goes to the next one: nothing of the former's exchange may go along.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, LoopOptions};

fn turn_for(event_loop: &mut EventLoop, net: &SimNet, time: Duration) {
    let end = net.now() + time;
    while net.now() < end {
        event_loop.turn(Some(Duration::from_millis(50))).expect("a simulated poll does not fail");
    }
}

fn send(server: &http::Server, net: &SimNet, path: &str) -> SimPeer {
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
    peer
}

#[test]
fn an_exchange_cut_short_leaves_nothing_to_the_next_connection() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let options = ServerOptions::new().max_buffered(1000).high_water_mark(100);
    let server = http::Server::new(lp, options).unwrap();
    let notes = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&notes);
    server.on_request(move |req, res| match req.url() {
        // Beyond the cap, with a timeout set and a drain owed: the connection is dropped.
        "/drop" => {
            res.set_timeout(Duration::from_secs(1));
            while res.write([b'x'; 600].as_slice()) || res.writable_length() <= 1000 {}
            res.write("one more");
        }
        _ => {
            let (drains, timeouts) = (Rc::clone(&log), Rc::clone(&log));
            res.on_drain(move || drains.borrow_mut().push("drain"));
            res.on_timeout(move || timeouts.borrow_mut().push("timeout"));
            lp.set_timeout(Duration::from_secs(5), move || {
                res.write("late ");
                res.end("answer");
            });
        }
    });
    server.listen("10.0.0.1:80").unwrap();
    let dropped = send(&server, &net, "/drop");
    turn_for(&mut event_loop, &net, Duration::from_secs(1));
    // What the system took is cut off.
    assert!(!dropped.read().ends_with(b"0\r\n\r\n"));
    assert!(dropped.is_eof() || dropped.is_reset(), "it is dropped");

    let peer = send(&server, &net, "/");
    turn_for(&mut event_loop, &net, Duration::from_secs(8));
    let answer = String::from_utf8(peer.read()).unwrap();
    assert!(answer.ends_with("5\r\nlate \r\n6\r\nanswer\r\n0\r\n\r\n"), "{answer:?}");
    assert_eq!(*notes.borrow(), Vec::<&str>::new(), "called for what was never asked");
}

/// A connection may break in the very write with which it would come to rest, before any event has told of that.
#[test]
fn a_connection_that_breaks_as_it_comes_to_rest_leaves_nothing_to_the_next() {
    // One event per poll: of the other connections nobody has heard when they are answered.
    let net = SimNet::with_options(1, SimOptions::default().events_per_poll(1));
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let finished = Rc::new(RefCell::new(0));
    let count = Rc::clone(&finished);
    let server = http::create_server(lp, move |req, res| match req.url() {
        "/late" => drop(lp.set_timeout(Duration::from_millis(10), move || res.end("late"))),
        _ => {
            let count = Rc::clone(&count);
            res.on_finish(move || *count.borrow_mut() += 1);
            res.end("whole");
        }
    });
    server.listen("10.0.0.1:80").unwrap();
    let peers: Vec<_> = (0..4).map(|_| send(&server, &net, "/late")).collect();
    while net.now() < Duration::from_millis(5) {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }
    peers.into_iter().for_each(SimPeer::reset);
    // The resets have arrived, and it is time to answer.
    net.advance(Duration::from_millis(20));
    turn_for(&mut event_loop, &net, Duration::from_secs(1));
    sim::check(&event_loop).unwrap();
    let peers: Vec<_> = (0..4).map(|_| send(&server, &net, "/")).collect();
    turn_for(&mut event_loop, &net, Duration::from_secs(1));
    assert!(peers.iter().all(|peer| peer.read().ends_with(b"whole")));
    assert_eq!(*finished.borrow(), 4, "answers that were sent as a whole");
}

#[test]
fn trailers_are_not_kept_for_the_next_connection() {
    for trailers in ["A: b\r\n\r\n", "A: b\r\nnot all of th"] {
        let net = SimNet::new(1);
        let mut event_loop = net.event_loop(LoopOptions::default());
        let server = http::create_server(event_loop.handle(), |req, res| {
            req.resume();
            let body = req.body();
            body.on_end(move || res.end(body.trailers().len().to_string()));
        });
        server.listen("10.0.0.1:80").unwrap();
        let peer = net.connect(&server.address().expect("it listens"));
        peer.write(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n");
        peer.write(trailers.as_bytes());
        turn_for(&mut event_loop, &net, Duration::from_secs(1));
        assert_eq!(peer.read().ends_with(b"1"), trailers.ends_with("\r\n"));
        drop(peer);
        turn_for(&mut event_loop, &net, Duration::from_secs(1));
        assert_eq!(sim::stats(&event_loop).server_connections, 0);
        // It looks into the pools, too.
        sim::check(&event_loop).unwrap();
    }
}
