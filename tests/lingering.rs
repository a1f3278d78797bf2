//! The end of a connection whose last answer is out: the server waits for the client's end, and not longer.

use std::time::Duration;

use onloop::sim::{self, SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, Limits, LoopOptions, http};

#[test]
fn a_clients_end_that_came_with_its_last_request_is_not_waited_for() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end("the last"));
    server.listen("10.0.0.1:80").unwrap();
    let peer = net.connect(&server.address().unwrap());
    // The end arrives in the same moment as the request, and is told by the same event.
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    peer.shutdown_write();
    let mut answer = Vec::new();
    while !peer.is_eof() {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        answer.extend(peer.read());
    }
    assert!(answer.ends_with(b"the last"));
    assert_eq!(sim::stats(&event_loop).server_connections, 0, "it lingers for what has come");
    assert!(net.now() < Duration::from_millis(100), "{:?}", net.now());
}

#[test]
fn a_connection_that_is_answered_and_paused_afterwards_serves_the_next_request() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let server = http::create_server(lp, move |req, res| {
        let body = req.body();
        body.on_data(|_| {});
        res.end("answered");
        // The rest of the request is on its way, and its reader has lost interest.
        lp.set_timeout(Duration::from_millis(10), move || body.pause());
    });
    server.listen("10.0.0.1:80").unwrap();
    let peer = net.connect(&server.address().unwrap());
    peer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabcde");
    let mut answers = Vec::new();
    let mut is_sent = false;
    while answers.windows(8).filter(|window| window == b"answered").count() < 2 {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        answers.extend(peer.read());
        if !is_sent && net.now() > Duration::from_millis(20) {
            is_sent = true;
            peer.write(b"fghijGET / HTTP/1.1\r\nHost: h\r\n\r\n");
        }
        sim::check(&event_loop).unwrap();
        assert!(net.now() < Duration::from_secs(1), "{:?}", String::from_utf8_lossy(&answers));
    }
}

#[test]
fn the_end_that_comes_with_a_refused_request_ends_the_lingering() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(b"not http\n");
    peer.shutdown_write();
    let end = net.now() + Duration::from_millis(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
    }
    assert!(peer.read().starts_with(b"HTTP/1.1 400 "));
    assert!(peer.is_eof());
    let stats = sim::stats(&event_loop);
    assert_eq!((stats.server_connections, stats.lingering), (0, 0));
}

#[test]
fn an_answer_that_is_under_way_is_not_destroyed_by_closing_idle_connections() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end("the last"));
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    pass(&net, &mut event_loop);
    assert_eq!(sim::stats(&event_loop).lingering, 1);
    server.close_idle_connections();
    pass(&net, &mut event_loop);
    // Something that was sent before the answer was read.
    peer.write(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    pass(&net, &mut event_loop);
    assert!(!peer.is_reset());
    assert!(peer.read().ends_with(b"the last"));
    drop(peer);
    pass(&net, &mut event_loop);
    assert_eq!(sim::stats(&event_loop).lingering, 0);
}

#[test]
fn an_answer_of_which_a_part_is_given_up_does_not_look_whole() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| {
        // To a client of HTTP/1.0 the end of the connection is the end of this.
        res.write(vec![b'x'; 50_000]);
        res.end("");
    });
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(b"GET / HTTP/1.0\r\n\r\n");
    pass(&net, &mut event_loop);
    server.close_all_connections();
    pass(&net, &mut event_loop);
    let mut received = 0;
    while !peer.is_eof() && !peer.is_reset() {
        received += peer.read().len();
        pass(&net, &mut event_loop);
    }
    assert!(received < 50_000 && peer.is_reset(), "{received}");
}

#[test]
fn a_refusal_is_not_reset_for_what_another_connection_has_not_ended() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| {
        res.write("a part");
    });
    server.listen("127.0.0.1:80").expect("a free address");
    let address = server.address().expect("it listens");
    let former = net.connect(&address);
    former.write(b"GET / HTTP/1.0\r\n\r\n");
    pass(&net, &mut event_loop);
    server.close_all_connections();
    pass(&net, &mut event_loop);
    assert!(former.is_reset());
    let peer = net.connect(&address);
    peer.write(b"GET / HT");
    peer.shutdown_write();
    pass(&net, &mut event_loop);
    assert!(!peer.is_reset());
    assert!(peer.read().starts_with(b"HTTP/1.1 400 "));
}

/// What one connection may read in a turn.
const READS: usize = 4;
const BUFFER: usize = 64 * 1024;

/// A server that refuses uploads unread, and a client that has begun one of `length` bytes.
fn refused_upload(length: usize) -> (SimNet, EventLoop, SimPeer) {
    // A reset destroys what was not read yet, as it does on real networks.
    let options = SimOptions::default().capacity(8_000_000).reset_discards(true);
    let net = SimNet::with_options(1, options);
    let limits = Limits::new().reads_per_turn(READS).read_buffer(BUFFER);
    let mut event_loop = net.event_loop(LoopOptions::new().limits(limits));
    let server = http::create_server(event_loop.handle(), |_req, res| {
        res.set_status(413);
        res.end("the answer");
    });
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
    );
    pass(&net, &mut event_loop);
    (net, event_loop, peer)
}

/// Most clients read when they have sent everything.
#[test]
fn a_long_upload_that_is_refused_unread_is_told_so_and_read_in_small_steps() {
    let (net, mut event_loop, peer) = refused_upload(100_000_000);
    let block = vec![b'x'; 8_000_000];
    // The network is full first, so that what is taken next is what was read.
    let mut left = 100_000_000 - peer.write(&block);
    let mut most = 0;
    while left > 0 {
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        sim::check(&event_loop).unwrap();
        let taken = peer.write(&block[..left.min(block.len())]);
        (left, most) = (left - taken, most.max(taken));
        assert!(!peer.is_reset(), "{left} bytes were left to be sent");
        assert!(net.now() < Duration::from_secs(1), "{left} bytes were left to be sent");
    }
    // For an event, and once more among what is left to do.
    assert!(most <= 2 * READS * BUFFER, "{most} bytes were read in one turn");
    peer.shutdown_write();
    pass(&net, &mut event_loop);
    let answer = String::from_utf8(peer.read()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("the answer"), "{answer}");
    assert!(peer.is_eof());
}

#[test]
fn a_client_that_never_stops_sending_is_not_waited_for_longer() {
    let (net, mut event_loop, peer) = refused_upload(usize::MAX >> 1);
    let began = net.now();
    while !peer.is_reset() {
        peer.write(&[b'x'; 100_000]);
        pass(&net, &mut event_loop);
        assert!(net.now() - began < Duration::from_millis(2_200), "bytes bought it time");
    }
    assert!(net.now() - began > Duration::from_millis(1_900), "{:?}", net.now() - began);
    assert_eq!(sim::stats(&event_loop).server_connections, 0);
}

fn pass(net: &SimNet, event_loop: &mut EventLoop) {
    let end = net.now() + Duration::from_millis(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        sim::check(event_loop).unwrap();
    }
}
