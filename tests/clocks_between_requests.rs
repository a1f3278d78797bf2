//! Clocks where one exchange goes over into the next, or into the end of its connection: each runs for what its
//! name says, and for nothing else.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::clocked::{Clocked, LATE, assert_about, seconds};
use common::{Log, get};
use onloop::http::{ServerOptions, Socket};

const LARGE: usize = 1_000_000;

/// How many responses are in these bytes.
fn answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
}

#[test]
fn the_clock_of_a_head_does_not_run_while_a_long_answer_is_read() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5));
    clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
    let peer = clocked.send(&get("/1", "").repeat(2));
    let received = clocked.read_slowly(&peer, 100_000, 2 * LARGE);
    assert_eq!(answers(&received), 2, "the second was lost");
    // And the connection goes on.
    clocked.pass(seconds(1));
    peer.read();
    assert!(peer.write(get("/3", "").as_bytes()) > 0);
    clocked.pass(seconds(1));
    assert_eq!(answers(&peer.read()), 1);
}

#[test]
fn a_clock_that_has_run_out_for_nobody_does_not_turn_the_loop() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5));
    clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
    let _peer = clocked.send(&get("/", "Connection: close\r\n"));
    clocked.pass(seconds(50));
    assert!(clocked.turns < 100, "{} turns for one connection", clocked.turns);
}

#[test]
fn the_clock_of_a_head_begins_with_its_own_first_byte() {
    // It comes together with the end of an upload that took longer than a head may.
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5)).request_timeout(seconds(60));
    clocked.serve(options, |req, res| {
        req.resume();
        req.on_end(move || res.end("x"));
    });
    let peer = clocked.send(&get("/", "Content-Length: 10\r\n"));
    for _ in 0..9 {
        clocked.pass(seconds(1));
        peer.write(b"x");
    }
    clocked.pass(seconds(1));
    peer.write(b"xGET / HT");
    clocked.pass(seconds(4));
    assert_eq!(answers(&peer.read()), 1);
    peer.write(b"TP/1.1\r\nHost: h\r\n\r\n");
    clocked.pass(seconds(1));
    let answer = peer.read();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    // One that goes on to drip has its own time and no more.
    peer.write(b"GET / HT");
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(5));
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
}

#[test]
fn the_clock_of_a_request_begins_with_its_own_first_byte() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5)).request_timeout(seconds(10));
    clocked.serve(options, |req, res| {
        req.resume();
        req.on_end(move || res.end("x"));
    });
    let head = get("/", "Content-Length: 10\r\n");
    let peer = clocked.send(&head);
    for _ in 0..9 {
        clocked.pass(seconds(1));
        peer.write(b"x");
    }
    peer.write(format!("x{head}x").as_bytes());
    for _ in 0..8 {
        clocked.pass(seconds(1));
        peer.write(b"x");
    }
    peer.write(b"x");
    clocked.pass(seconds(1));
    let text = String::from_utf8_lossy(&peer.read()).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), 2, "{text}");
}

#[test]
fn requests_behind_the_last_one_are_no_sign_that_its_answer_is_read() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let options = ServerOptions::new().max_requests_per_socket(1).write_timeout(seconds(10));
    let server = clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
    let notes = log.clone();
    server.on_drop_request(move |_req, _connection| notes.note("dropped"));
    let peer = clocked.send(&get("/", ""));
    for _ in 0..30 {
        clocked.pass(seconds(1));
        peer.write(get("/", "").as_bytes());
    }
    assert!(log.len() > 5, "{}", log.len());
    assert_eq!(clocked.connections(), 0, "it is held for ever");
}

#[test]
fn a_connection_that_is_refused_does_not_wait_for_its_peer_for_ever() {
    // With and without a listener; the peer neither closes nor, the second time, reads.
    for listens in [false, true] {
        for reads in [true, false] {
            let mut clocked = Clocked::new();
            let options = ServerOptions::new().write_timeout(seconds(10));
            let server = clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
            let log = Log::new();
            if listens {
                let notes = log.clone();
                server.on_client_error(move |_error, socket| {
                    socket.on_close(notes.noting("closed"));
                    socket.write("HTTP/1.1 400 Mine\r\nConnection: close\r\n\r\n");
                });
            }
            let first = if reads { String::new() } else { get("/", "") };
            let peer = clocked.send(&(first + "NONSENSE\r\n\r\n"));
            if reads {
                clocked.pass(seconds(1));
                assert!(peer.read().starts_with(b"HTTP/1.1 400 "));
            } else {
                // As much as lets the second request be looked at, and no more.
                clocked.read_slowly(&peer, 100_000, LARGE - 100_000);
            }
            clocked.pass(seconds(20));
            assert_eq!(clocked.connections(), 0, "listens: {listens}, reads: {reads}");
            assert_eq!(log.len(), usize::from(listens), "reads: {reads}");
        }
    }
}

#[test]
fn a_socket_that_is_to_be_destroyed_soon_does_not_wait_for_ever() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().write_timeout(seconds(10));
    let server = clocked.serve(options, |_req, res| res.end(""));
    server.on_upgrade(|_req, socket, _head| {
        socket.write(vec![b'x'; LARGE]);
        socket.destroy_soon();
    });
    let peer = clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    // As long as it reads, it is waited for.
    let received = clocked.read_slowly(&peer, 10_000, 500_000);
    assert!(received.len() >= 500_000);
    clocked.pass(seconds(11) + LATE);
    assert_eq!(clocked.connections(), 0);
}

#[test]
fn the_last_words_of_a_socket_are_sent_although_its_timeout_has_passed() {
    let mut clocked = Clocked::new();
    let sockets: Rc<RefCell<Vec<Socket>>> = Rc::default();
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    let kept = Rc::clone(&sockets);
    server.on_upgrade(move |_req, socket, _head| kept.borrow_mut().push(socket));
    let peers: [_; 2] = std::array::from_fn(|_| {
        let peer = clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
        clocked.pass(seconds(1));
        peer
    });
    let (first, second) = (sockets.borrow()[0], sockets.borrow()[1]);
    // Both have passed when the first of them is told.
    first.set_timeout(seconds(5));
    second.set_timeout(seconds(5));
    first.on_timeout(move || {
        second.write("last words");
        second.destroy_soon();
    });
    clocked.pass(seconds(6));
    assert_eq!(String::from_utf8_lossy(&peers[1].read()), "last words");
    assert!(peers[1].is_eof() && !peers[0].is_eof());
}
