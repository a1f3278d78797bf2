//! When a connection serves another request and when it ends: by version and Connection, by content that
//! nobody read, by half-close, by the polite close of the server.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, World, get, post};
use onloop::http::{Response, Server, ServerOptions};

#[test]
fn version_and_connection_decide() {
    for (version, fields, persists, said) in [
        ("1.1", "", true, "keep-alive"),
        ("1.1", "Connection: close\r\n", false, "close"),
        ("1.1", "Connection: CLOSE\r\n", false, "close"),
        ("1.1", "Connection: foo, Close , bar\r\n", false, "close"),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", false, "close"),
        ("1.1", "Connection: keep-alive, close\r\n", false, "close"),
        ("1.1", "Connection: closed\r\n", true, "keep-alive"),
        ("1.1", "Connection: \"close\"\r\n", true, "keep-alive"),
        ("1.1", "X-Connection: close\r\n", true, "keep-alive"),
        ("1.0", "", false, "close"),
        ("1.0", "Connection: keep-alive\r\n", true, "keep-alive"),
        ("1.0", "Connection: x, Keep-Alive\r\n", true, "keep-alive"),
        ("1.0", "Connection: keep-alive, close\r\n", false, "close"),
        ("1.0", "Keep-Alive: timeout=5\r\n", false, "close"),
        ("1.9", "", true, "keep-alive"),
        // An ordinary field, whatever proxies of old meant by it.
        ("1.1", "Proxy-Connection: close\r\n", true, "keep-alive"),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false, "close"),
    ] {
        let mut world = World::new();
        let server = world.serve(|_req, res| res.end("x"));
        let request = format!("GET / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        let mut peer = world.send(&server, request.repeat(2));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.field("Connection"), Some(said), "{request}");
        assert_eq!(answer.field("Keep-Alive"), persists.then_some("timeout=65"), "{request}");
        if persists {
            assert_eq!(world.answer(&mut peer), answer, "{request}");
        } else {
            // What stands behind the last request is ignored (RFC 9112 §9.6).
            assert_eq!(world.until_end(&mut peer), Ending::End, "{request}");
            assert_eq!(peer.text(), "", "{request}");
        }
    }
}

#[test]
fn a_keep_alive_timeout_of_zero_is_not_told() {
    let mut world = World::new();
    let options = ServerOptions::new().keep_alive_timeout(Duration::ZERO);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let mut peer = world.connect(&server);
    for _ in 0..2 {
        peer.send(get("/", ""));
        let answer = world.answer(&mut peer);
        let fields = (answer.field("Connection"), answer.field("Keep-Alive"));
        assert_eq!(fields, (Some("keep-alive"), None));
    }
}

#[test]
fn the_last_request_of_a_connection_says_so() {
    let mut world = World::new();
    let options = ServerOptions::new().max_requests_per_socket(3);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    for pipelined in [true, false] {
        let mut peer = world.connect(&server);
        let mut said = Vec::new();
        if pipelined {
            peer.send(get("/", "").repeat(5));
        }
        for _ in 0..3 {
            if !pipelined {
                peer.send(get("/", ""));
            }
            said.push(world.answer(&mut peer).field("Connection").map(str::to_owned));
        }
        let said: Vec<&str> = said.iter().flatten().map(String::as_str).collect();
        assert_eq!(said, ["keep-alive", "keep-alive", "close"]);
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    }
}

/// A server that answers without reading, and a request with `length` bytes of content.
fn unread(length: usize) -> (World, Server, Vec<u8>) {
    let world = World::new();
    let server = world.serve(|_req, res| res.end("unread"));
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    request.resize(request.len() + length, b'G');
    (world, server, request)
}

#[test]
fn content_that_nobody_read_is_dropped_within_a_bound() {
    for length in [1, 70_000, 256 * 1024] {
        let (mut world, server, mut request) = unread(length);
        request.extend_from_slice(get("/next", "").as_bytes());
        let mut peer = world.send(&server, request);
        assert_eq!(world.answer(&mut peer).field("Connection"), Some("keep-alive"), "{length}");
        assert_eq!(world.answer(&mut peer).text(), "unread", "{length}");
    }
}

#[test]
fn more_unread_content_ends_the_connection_behind_the_answer() {
    for chunked in [false, true] {
        let (mut world, server, mut request) = unread(8 * 1024 * 1024);
        if chunked {
            request = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for _ in 0..2000 {
                request.extend_from_slice(b"1000\r\n");
                request.resize(request.len() + 4096, b'x');
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        }
        request.extend_from_slice(get("/smuggled", "").as_bytes());
        let mut peer = world.send(&server, request);
        assert_eq!(world.answer(&mut peer).text(), "unread");
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "", "nothing of the content is taken for a request");
    }
}

#[test]
fn the_bound_can_be_set() {
    let mut world = World::new();
    let options = ServerOptions::new().max_discarded(10);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let mut peer = world.send(&server, post("/", "0123456789") + &post("/", "0123456789a"));
    world.answer(&mut peer);
    assert_eq!(world.answer(&mut peer).text(), "x");
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn a_client_that_closes_its_side_still_gets_its_answers() {
    let waiting: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/late" => keeps.set(Some(res)),
        _ => res.end("now"),
    });
    let mut peer = world.send(&server, get("/", "") + &get("/late", "") + &get("/", ""));
    peer.end();
    assert_eq!(world.answer(&mut peer).text(), "now");
    let waits = Rc::clone(&waiting);
    let late = world.wait("the late request", || waits.take());
    // The end of stream has had its chance to be seen.
    world.ask(&server, get("/", ""));
    assert!(late.is_open());
    late.end("late");
    assert_eq!(world.answer(&mut peer).text(), "late");
    assert_eq!(world.answer(&mut peer).text(), "now");
    assert_eq!(world.until_end(&mut peer), Ending::End);
}

#[test]
fn a_large_answer_reaches_a_client_that_closed_its_side() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end(vec![b'x'; 5_000_000]));
    let mut peer = world.send(&server, get("/", ""));
    peer.end();
    assert_eq!(world.answer(&mut peer).content.len(), 5_000_000);
    assert_eq!(world.until_end(&mut peer), Ending::End);
}

#[test]
fn an_end_inside_a_request_is_no_request() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        req.resume();
        req.on_end(move || res.end("complete"));
    });
    for cut in [
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: h\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1234",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n",
    ] {
        let mut peer = world.send(&server, cut);
        peer.end();
        world.until_end(&mut peer);
        let text = peer.text();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{cut:?}: {text}");
    }
    // Between two requests it is the ordinary end.
    let mut peer = world.connect(&server);
    peer.end();
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn close_ends_idle_connections_and_lets_busy_ones_finish() {
    let waiting: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/late" => keeps.set(Some(res)),
        _ => res.end("now"),
    });
    server.on_close(notes.noting("closed"));
    let mut idle = world.send(&server, get("/", ""));
    world.answer(&mut idle);
    let mut fresh = world.connect(&server);
    let mut busy = world.send(&server, get("/late", ""));
    let waits = Rc::clone(&waiting);
    let late = world.wait("the late request", || waits.take());
    let mut racing = world.send(&server, get("/", ""));
    world.answer(&mut racing);
    // It is on its way when the server closes, and no event has told of it.
    racing.send(get("/", ""));
    server.close();
    let answer = world.answer(&mut racing);
    assert_eq!((answer.text().as_str(), answer.field("Connection")), ("now", Some("close")));
    for peer in [&mut idle, &mut fresh, &mut racing] {
        assert_eq!((world.until_end(peer), peer.text().as_str()), (Ending::End, ""));
    }
    assert_eq!(log.len(), 0, "one connection is left");
    late.end("late");
    let answer = world.answer(&mut busy);
    assert_eq!((answer.text().as_str(), answer.field("Connection")), ("late", Some("close")));
    assert_eq!(world.until_end(&mut busy), Ending::End);
    drop((idle, fresh, busy, racing));
    world.until_over();
    assert_eq!(log.all(), ["closed"]);
    assert_eq!(server.address(), None);
}

#[test]
fn close_during_a_response_ends_its_connection() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let own: Rc<Cell<Option<Server>>> = Rc::default();
    let handle = Rc::clone(&own);
    let server = world.serve(move |_req, res| {
        // The head says keep-alive already.
        res.write("part");
        if let Some(server) = handle.take() {
            server.close();
            server.close();
        }
        res.end(" rest");
    });
    own.set(Some(server));
    server.on_close(notes.noting("closed"));
    let mut peer = world.send(&server, get("/", "") + &get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "part rest");
    let second = world.answer(&mut peer);
    assert_eq!(second.field("Connection"), Some("close"));
    assert_eq!(world.until_end(&mut peer), Ending::End);
    drop(peer);
    world.until_over();
    assert_eq!(log.all(), ["closed"]);
}

#[test]
fn close_idle_connections_leaves_busy_ones() {
    let waiting: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/late" => keeps.set(Some(res)),
        _ => res.end("now"),
    });
    let mut idle = world.send(&server, get("/", ""));
    world.answer(&mut idle);
    let mut busy = world.send(&server, get("/late", ""));
    let waits = Rc::clone(&waiting);
    let late = world.wait("the late request", || waits.take());
    server.close_idle_connections();
    world.until_end(&mut idle);
    late.end("late");
    assert_eq!(world.answer(&mut busy).field("Connection"), Some("keep-alive"));
    busy.send(get("/", ""));
    assert_eq!(world.answer(&mut busy).text(), "now");
    // New ones are still accepted.
    assert_eq!(world.ask(&server, get("/", "")).text(), "now");
}

#[test]
fn close_all_connections_breaks_off() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        notes.note("request");
        res.on_close(notes.noting("closed"));
    });
    let mut busy = world.send(&server, get("/", ""));
    let lines = log.clone();
    world.until("the request", || lines.has("request"));
    server.close_all_connections();
    server.close();
    world.until_end(&mut busy);
    world.until_over();
    assert_eq!(log.all(), ["request", "closed"]);
}

#[test]
fn an_answer_is_not_destroyed_by_what_the_client_still_sends() {
    // Closing with unread input would reset the connection, and with it the answer in the client's buffer.
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    peer.send(vec![b'x'; 3_000_000]);
    world.until_sent(&mut peer);
    peer.end();
    assert_eq!(world.answer(&mut peer).text(), "x");
    assert_eq!(world.until_end(&mut peer), Ending::End);
}
