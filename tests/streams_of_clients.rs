//! Where a client's request ends and a byte stream begins, the one must not be taken for the other.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Log, Peer, World, raw_server};
use onloop::http::{self, ClientRequest, RequestOptions, Socket};
use onloop::sim;

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

/// A request that asks for another protocol, or for a tunnel, and the stream that it comes to.
struct Asked {
    request: ClientRequest,
    stream: Rc<RefCell<Option<Socket>>>,
    log: Log,
}

impl Asked {
    fn new(world: &World, method: &str, url: &str) -> Asked {
        let options = RequestOptions::new(method, url);
        let options = match method {
            "CONNECT" => options.path("elsewhere.test:1"),
            _ => options.header("Connection", "upgrade").header("Upgrade", "x"),
        };
        let request = http::request_with(world.lp, options).expect("a request");
        let (stream, log) = (Rc::new(RefCell::new(None)), Log::new());
        for is_connect in [false, true] {
            let (stream, notes) = (stream.clone(), log.clone());
            let keep = move |_response, socket: Socket, _head: &[u8]| {
                notes.note("stream");
                socket.on_close(notes.noting("stream closed"));
                *stream.borrow_mut() = Some(socket);
            };
            match is_connect {
                false => request.on_upgrade(keep),
                true => request.on_connect(keep),
            }
        }
        request.on_error(log.noting_error("error"));
        request.on_close(log.noting("closed"));
        Asked { request, stream, log }
    }

    fn stream(&self) -> Socket {
        self.stream.borrow().expect("a stream")
    }
}

/// The stream of a request without content, and its other end.
fn switched(world: &mut World, method: &str) -> (Asked, Peer) {
    let (listener, url) = raw_server();
    let asked = Asked::new(world, method, &url);
    match method {
        // It has no content: it is complete without an end.
        "CONNECT" => asked.request.flush_headers(),
        _ => asked.request.end(""),
    }
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(if method == "CONNECT" { "HTTP/1.1 200 OK\r\n\r\n" } else { SWITCHED });
    world.until("a stream", || asked.log.all() == ["stream", "closed"]);
    (asked, peer)
}

#[test]
fn the_handle_of_a_request_does_not_write_into_the_stream_that_it_became() {
    for method in ["GET", "OPTIONS", "CONNECT"] {
        let mut world = World::new();
        let (asked, mut peer) = switched(&mut world, method);
        assert!(!asked.request.write("not for the stream"));
        assert!(asked.request.try_write("not for the stream").is_err());
        asked.request.end("nor is this");
        asked.stream().write("for the stream");
        world.expect(&mut peer, "for the stream");
        assert_eq!(peer.text(), "");
        sim::check(&world.event_loop).expect("all in order");
        asked.stream().end("");
        assert_eq!(world.until_end(&mut peer), common::Ending::End);
        peer.end();
        world.until("the end", || asked.log.has("stream closed"));
        assert_eq!(asked.log.all(), ["stream", "closed", "stream closed"], "{method}");
    }
}

#[test]
fn a_request_that_became_a_stream_is_still_destroyed_by_its_handle() {
    for method in ["GET", "CONNECT"] {
        let mut world = World::new();
        let (asked, mut peer) = switched(&mut world, method);
        asked.request.destroy();
        assert!(!asked.stream().write("late"));
        world.until("the end", || asked.log.has("stream closed"));
        assert_eq!(asked.log.all(), ["stream", "closed", "stream closed"], "{method}");
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "");
    }
}

#[test]
fn a_stream_that_is_only_written_to_ends_with_its_peer_and_one_with_unread_bytes_does_not() {
    for method in ["GET", "CONNECT"] {
        for early in ["", "early"] {
            let mut world = World::new();
            let (asked, mut peer) = switched(&mut world, method);
            asked.stream().write("ours");
            world.expect(&mut peer, "ours");
            peer.send(early);
            peer.end();
            if !early.is_empty() {
                for _ in 0..5 {
                    world.turn();
                }
                assert!(!asked.log.has("stream closed"), "{method}");
                let received = Log::new();
                let notes = received.clone();
                asked.stream().on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
                world.until("what was unread", || received.all().concat() == early);
            }
            world.until_end(&mut peer);
            world.until("the end", || asked.log.has("stream closed"));
        }
    }
}

#[test]
fn what_comes_before_somebody_reads_a_stream_is_kept() {
    for method in ["GET", "CONNECT"] {
        let mut world = World::new();
        let (asked, mut peer) = switched(&mut world, method);
        peer.send("early, ");
        for _ in 0..5 {
            world.turn();
        }
        let received = Log::new();
        let notes = received.clone();
        asked.stream().on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
        peer.send("late");
        world.until("all of it", || received.all().concat() == "early, late");
    }
}

#[test]
fn protocols_are_not_switched_in_the_middle_of_a_request() {
    // Begun and not ended, in chunks and of a length; ended too early.
    let begun: [fn(&ClientRequest); 4] = [
        |request| assert!(request.write("a part")),
        |request| {
            request.set_header("Content-Length", 100).expect("a header");
            assert!(request.write("a part"));
        },
        |request| {
            request.set_header("Content-Length", 100).expect("a header");
            request.end("a part");
        },
        |request| request.flush_headers(),
    ];
    for (case, begin) in begun.into_iter().enumerate() {
        let mut world = World::new();
        let (listener, url) = raw_server();
        let asked = Asked::new(&world, "POST", &url);
        begin(&asked.request);
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(SWITCHED);
        world.until("the end", || asked.log.has("closed"));
        assert_eq!(asked.log.all(), ["error HPE_INVALID_STATUS", "closed"], "{case}");
        world.until_end(&mut peer);
        sim::check(&world.event_loop).expect("all in order");
    }
}

#[test]
fn protocols_are_switched_where_the_end_of_the_request_is_still_on_its_way() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let asked = Asked::new(&world, "POST", &url);
    let content = "c".repeat(30_000_000);
    asked.request.end(content.clone());
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.stop_reading();
    peer.send(SWITCHED);
    world.until("a stream", || asked.log.has("stream"));
    asked.stream().end("behind it");
    peer.read_on();
    world.until_end(&mut peer);
    let taken = peer.text();
    let (content_taken, behind) = taken.split_at(taken.len() - "behind it".len());
    assert!(content.ends_with(content_taken) && behind == "behind it");
}
