//! `max_body_size`: content that is announced or comes beyond it is refused, before anybody is bothered with it
//! where that can be known.

mod common;

use std::rc::Rc;

use common::{Ending, Log, Peer, World, get, post};
use onloop::http::{Request, Response, Server, ServerOptions};
use onloop::{ErrorKind, Limit};

/// A server that takes ten bytes, and notes what it is told.
fn ten(world: &World, log: &Log, on_request: impl Fn(&Log, Request, Response) + 'static) -> Server {
    let notes = log.clone();
    world.serve_with(ServerOptions::new().max_body_size(10), move |req, res| {
        let data = notes.clone();
        req.on_data(move |chunk| data.note(format!("data {}", chunk.len())));
        req.on_end(notes.noting("end"));
        req.on_error(notes.noting_error("error"));
        on_request(&notes, req, res);
    })
}

fn answers_at_the_end(_log: &Log, req: Request, res: Response) {
    req.on_end(move || res.end("fine"));
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[track_caller]
fn refused(world: &mut World, peer: &mut Peer) {
    let answer = world.answer(peer);
    assert_eq!(answer.status_line, "HTTP/1.1 413 Payload Too Large");
    assert_eq!(answer.field("Connection"), Some("close"));
    assert_eq!((world.until_end(peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn content_up_to_the_limit_is_taken() {
    let log = Log::new();
    let mut world = World::new();
    let server = ten(&world, &log, answers_at_the_end);
    let chunks =
        get("/", CHUNKED) + "9\r\n012345678\r\n1\r\nx\r\n0\r\nX: a long trailer field\r\n\r\n";
    for request in [post("/", "0123456789"), chunks, post("/", ""), get("/", "")] {
        assert_eq!(world.ask(&server, request).text(), "fine");
    }
}

#[test]
fn a_length_beyond_it_is_413_before_the_request_is_told() {
    let log = Log::new();
    let mut world = World::new();
    let server = ten(&world, &log, |_, _, _| panic!("nobody is to be told"));
    let head = |length: &str| get("/", &format!("Content-Length: {length}\r\n"));
    for request in [post("/", "0123456789x"), head("11"), head("18446744073709551615")] {
        let mut peer = world.send(&server, request);
        refused(&mut world, &mut peer);
    }
    // What is malformed is called that.
    for length in ["18446744073709551616", "11, 11", "+11"] {
        assert_eq!(world.ask(&server, head(length)).status, 400, "{length}");
    }
}

#[test]
fn a_client_that_waits_for_100_gets_413_instead() {
    let log = Log::new();
    let mut world = World::new();
    let server = ten(&world, &log, answers_at_the_end);
    let head =
        |length: usize| get("/", &format!("Expect: 100-continue\r\nContent-Length: {length}\r\n"));
    let mut peer = world.send(&server, head(11));
    refused(&mut world, &mut peer);
    let mut peer = world.send(&server, head(10));
    assert_eq!(world.answer(&mut peer).status, 100);
    peer.send("0123456789");
    assert_eq!(world.answer(&mut peer).text(), "fine");
}

#[test]
fn chunks_beyond_it_are_413_where_nothing_was_answered() {
    let log = Log::new();
    let mut world = World::new();
    let server = ten(&world, &log, answers_at_the_end);
    for chunks in ["9\r\n012345678\r\n2\r\n", "9\r\n012345678\r\n2\r\nxx\r\n0\r\n\r\n"] {
        let mut peer = world.send(&server, get("/", CHUNKED) + chunks);
        refused(&mut world, &mut peer);
        // What came before was delivered; the chunk that is too much is not even begun.
        assert_eq!(log.all(), ["data 9", "error ERR_HTTP_CONTENT_TOO_LARGE"]);
        log.clear();
    }
    for chunks in ["b\r\n", "ffffffffffffffff\r\n"] {
        let mut peer = world.send(&server, get("/", CHUNKED) + chunks);
        refused(&mut world, &mut peer);
        assert_eq!(log.all(), ["error ERR_HTTP_CONTENT_TOO_LARGE"]);
        log.clear();
    }
}

#[test]
fn chunks_beyond_it_end_the_connection_where_the_answer_has_begun() {
    let log = Log::new();
    let mut world = World::new();
    let server = ten(&world, &log, |notes, _req, res| {
        res.on_close(notes.noting("close"));
        res.write("begun");
    });
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        assert!(!socket.is_open(), "nothing can be answered");
        notes.note(format!("told {}", error.code()));
    });
    let mut peer = world.send(&server, get("/", CHUNKED) + "1\r\nx\r\n");
    world.expect(&mut peer, "begun\r\n");
    peer.send("a\r\n0123456789\r\n0\r\n\r\n");
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "", "no end that would make it look complete");
    let code = "ERR_HTTP_CONTENT_TOO_LARGE";
    let told = ["data 1".into(), format!("told {code}"), format!("error {code}"), "close".into()];
    assert_eq!(log.all(), told);
}

#[test]
fn content_that_nobody_reads_counts_too() {
    let mut world = World::new();
    let options = ServerOptions::new().max_body_size(10);
    let server = world.serve_with(options, |_req, res| res.end("unread"));
    let mut peer =
        world.send(&server, get("/", CHUNKED) + "b\r\n0123456789x\r\n0\r\n\r\n" + &get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "unread");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "", "what follows is not served");
}

#[test]
fn on_client_error_answers_in_the_place_of_413() {
    let log = Log::new();
    let told = Rc::new(log.clone());
    let mut world = World::new();
    let server = ten(&world, &log, answers_at_the_end);
    server.on_client_error(move |error, socket| {
        assert_eq!(error.kind(), ErrorKind::Limit(Limit::Body));
        assert_eq!(error.status_hint(), Some(413));
        assert!(error.to_string().contains("max_body_size"), "{error}");
        told.note(format!("told {} {:?}", error.code(), error.bytes_parsed()));
        socket.end("HTTP/1.1 413 Mine\r\nContent-Length: 0\r\n\r\n");
    });
    let request = post("/", "0123456789x");
    let mut peer = world.send(&server, &request);
    assert_eq!(world.answer(&mut peer).status_line, "HTTP/1.1 413 Mine");
    let head = request.len() - 11;
    assert_eq!(log.all(), [format!("told ERR_HTTP_CONTENT_TOO_LARGE Some({head})")]);
}

#[test]
fn an_upgraded_connection_has_no_such_limit() {
    let mut world = World::new();
    let log = Log::new();
    let server = ten(&world, &log, answers_at_the_end);
    server.on_upgrade(|_req, socket, _head| {
        socket.write("HTTP/1.1 101 x\r\n\r\n");
        socket.pipe(socket);
    });
    let mut peer = world.send(&server, get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    world.expect(&mut peer, "\r\n\r\n");
    peer.send("x".repeat(100) + "end");
    world.expect(&mut peer, "end");
}
