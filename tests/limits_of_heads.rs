//! What request heads that do not come whole may take of a loop, all together: `max_partial_heads`. It is counted
//! exactly, whatever becomes of such a head.

mod common;

use std::time::Duration;

use common::{Ending, Log, Peer, World, get};
use onloop::http::{Server, ServerOptions};
use onloop::sim;
use onloop::{ErrorKind, Limit, Limits, LoopOptions};

/// A loop whose partial heads may take so many bytes.
fn world(bytes: usize) -> World {
    World::with(LoopOptions::new().limits(Limits::new().max_partial_heads(bytes)))
}

/// Turns the loop until partial heads take so many bytes.
#[track_caller]
fn until_partial(world: &mut World, bytes: usize) {
    for _ in 0..10_000 {
        if sim::stats(&world.event_loop).partial_head_bytes == bytes {
            sim::check(&world.event_loop).expect("the shares make the whole");
            return;
        }
        world.turn();
    }
    let found = sim::stats(&world.event_loop).partial_head_bytes;
    panic!("partial heads take {found} bytes instead of {bytes}");
}

/// The beginning of a head of this length.
fn part(length: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
    format!("{start}{}", "x".repeat(length - start.len()))
}

/// What makes a request of it.
const REST: &str = "\r\n\r\n";

#[track_caller]
fn served(world: &mut World, server: &Server) {
    assert_eq!(world.ask(server, get("/", "")).text(), "x");
}

#[track_caller]
fn refused(world: &mut World, peer: &mut Peer) {
    let answer = world.answer(peer);
    assert_eq!((answer.status, answer.field("Connection")), (503, Some("close")));
    assert_eq!((world.until_end(peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn a_partial_head_that_does_not_fit_is_answered_503() {
    let mut world = world(100);
    let server = world.serve(|_req, res| res.end("x"));
    let mut first = world.send(&server, part(60));
    until_partial(&mut world, 60);
    let mut second = world.send(&server, part(41));
    refused(&mut world, &mut second);
    // A head that comes whole is not counted, and one that fits is kept.
    served(&mut world, &server);
    let mut third = world.send(&server, part(40));
    until_partial(&mut world, 100);
    first.send(REST);
    assert_eq!(world.answer(&mut first).text(), "x");
    until_partial(&mut world, 40);
    let mut fourth = world.send(&server, part(60));
    until_partial(&mut world, 100);
    for peer in [&mut third, &mut fourth] {
        peer.send(REST);
        assert_eq!(world.answer(peer).text(), "x");
    }
    until_partial(&mut world, 0);
}

#[test]
fn a_partial_head_that_grows_beyond_is_refused_and_the_others_stay() {
    let mut world = world(100);
    let server = world.serve(|_req, res| res.end("x"));
    let mut first = world.send(&server, part(50));
    until_partial(&mut world, 50);
    let mut second = world.send(&server, part(30));
    until_partial(&mut world, 80);
    for length in 81..=100 {
        second.send("x");
        until_partial(&mut world, length);
    }
    second.send("x");
    refused(&mut world, &mut second);
    until_partial(&mut world, 50);
    first.send(REST);
    assert_eq!(world.answer(&mut first).text(), "x");
}

#[test]
fn a_refused_head_is_told_to_on_client_error_which_may_answer() {
    let mut world = world(50);
    let server = world.serve(|_req, res| res.end("x"));
    let log = Log::new();
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        assert_eq!(error.kind(), ErrorKind::Limit(Limit::PartialHeads));
        assert_eq!((error.status_hint(), error.raw_packet()), (Some(503), None));
        notes.note(error.code());
        socket.end("HTTP/1.1 503 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nfull");
    });
    let mut peer = world.send(&server, part(51));
    assert_eq!(world.answer(&mut peer).text(), "full");
    assert_eq!(log.all(), ["ERR_TOO_MANY_PARTIAL_HEADS"]);
    served(&mut world, &server);
    until_partial(&mut world, 0);
}

#[test]
fn all_servers_of_a_loop_share_it() {
    let mut world = world(100);
    let one = world.serve(|_req, res| res.end("x"));
    let two = world.serve(|_req, res| res.end("x"));
    let _first = world.send(&one, part(90));
    until_partial(&mut world, 90);
    let mut second = world.send(&two, part(40));
    refused(&mut world, &mut second);
    served(&mut world, &one);
    served(&mut world, &two);
}

#[test]
fn at_zero_heads_have_to_come_whole() {
    let mut world = world(0);
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, "G");
    refused(&mut world, &mut peer);
    let mut peer = world.send(&server, get("/", "").repeat(3));
    for _ in 0..3 {
        assert_eq!(world.answer(&mut peer).text(), "x");
    }
}

#[test]
fn a_part_behind_a_whole_request_counts_when_it_is_looked_at() {
    let mut world = world(1000);
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, get("/", "") + &part(70));
    assert_eq!(world.answer(&mut peer).text(), "x");
    until_partial(&mut world, 70);
    peer.send(REST.to_owned() + &part(80));
    assert_eq!(world.answer(&mut peer).text(), "x");
    until_partial(&mut world, 80);
    peer.end();
    world.until_end(&mut peer);
    until_partial(&mut world, 0);
}

/// Ways for a partial head to end, each of which gives back what it took. The client sees a status, or nothing.
#[test]
fn whatever_becomes_of_a_partial_head_gives_back_its_bytes() {
    type End = fn(&mut World, &Server, &mut Peer);
    let ways: [(&str, End, Option<u16>); 10] = [
        ("it is completed", |_, _, peer| peer.send(REST), Some(200)),
        ("its rest is malformed", |_, _, peer| peer.send("\n"), Some(400)),
        ("it becomes too large", |_, _, peer| peer.send("x".repeat(20_000)), Some(431)),
        ("it has too many fields", |_, _, peer| peer.send("\r\nA: b".repeat(1001)), Some(431)),
        ("the client ends its side", |_, _, peer| peer.end(), Some(400)),
        ("the client resets", |_, _, peer| peer.reset(), None),
        ("all are closed", |_, server, _| server.close_all_connections(), None),
        (
            "the server closes and then all",
            |_, server, _| {
                server.close();
                server.close_all_connections();
            },
            None,
        ),
        // The clock that runs already has a short time: see below.
        ("its time is up", |_, _, _| {}, Some(408)),
        (
            "the head ends and the connection ends behind it",
            |_, _, peer| {
                peer.send("\r\nConnection: close\r\n\r\n");
                peer.end();
            },
            Some(200),
        ),
    ];
    for listens in [false, true] {
        for (way, end, status) in &ways {
            let mut world = world(1000);
            let time = match *way {
                "its time is up" => Duration::from_millis(100),
                _ => Duration::from_secs(60),
            };
            let options = ServerOptions::new().headers_timeout(time);
            let server = world.serve_with(options, |_req, res| res.end("x"));
            if listens {
                server.on_client_error(|error, socket| match error.status_hint() {
                    Some(status) => {
                        let head = format!("HTTP/1.1 {status} No\r\nConnection: close\r\n");
                        socket.end(head + "Content-Length: 0\r\n\r\n");
                    }
                    None => socket.destroy(),
                });
            }
            let mut other = world.send(&server, part(55));
            let mut peer = world.send(&server, part(45));
            until_partial(&mut world, 100);
            end(&mut world, &server, &mut peer);
            if let Some(status) = status {
                assert_eq!(world.answer(&mut peer).status, *status, "{way}, {listens}");
            }
            // The other one keeps its share, unless the same became of it.
            let left = if status.is_none() && *way != "the client resets" { 0 } else { 55 };
            let left = if *way == "its time is up" { 0 } else { left };
            until_partial(&mut world, left);
            if left > 0 {
                other.send(REST);
                assert_eq!(world.answer(&mut other).text(), "x", "{way}, {listens}");
            }
            if *way != "the server closes and then all" {
                served(&mut world, &server);
            }
            until_partial(&mut world, 0);
        }
    }
}

#[test]
fn empty_lines_and_an_end_give_back_their_bytes_too() {
    let mut world = world(100);
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, "\r\n\r");
    until_partial(&mut world, 3);
    peer.end();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    until_partial(&mut world, 0);
}

#[test]
fn what_is_looked_at_for_a_request_to_be_dropped_is_given_back_while_the_answer_waits() {
    let mut world = world(100);
    let options = ServerOptions::new().high_water_mark(usize::MAX).max_buffered(usize::MAX);
    let server = world.serve_with(options, |_req, res| res.end(vec![b'x'; 20_000_000]));
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/", "") + "\r\n");
    until_partial(&mut world, 2);
    // The last request was had meanwhile.
    server.on_drop_request(|_req, _connection| panic!("there is none"));
    server.set_max_requests_per_socket(Some(1));
    peer.end();
    until_partial(&mut world, 0);
    assert!(sim::stats(&world.event_loop).bytes_unsent > 0);
    peer.read_on();
    assert_eq!(world.answer(&mut peer).content.len(), 20_000_000);
}

#[test]
fn an_answer_to_a_client_error_that_nobody_reads_keeps_no_share() {
    let mut world = world(100);
    let options = ServerOptions::new().headers_timeout(Duration::from_millis(100));
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let log = Log::new();
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        notes.note(error.code());
        socket.end(vec![b'x'; 20_000_000]);
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(part(60));
    until_partial(&mut world, 60);
    let told = log.clone();
    world.until("the clock", || told.has("ERR_HTTP_REQUEST_TIMEOUT"));
    until_partial(&mut world, 0);
    assert!(sim::stats(&world.event_loop).bytes_unsent > 0);
    let mut other = world.send(&server, part(100));
    until_partial(&mut world, 100);
    other.send(REST);
    assert_eq!(world.answer(&mut other).text(), "x");
}
