//! What Node promises of an incoming message and is tested nowhere else: names that are ordinary, the size of
//! pieces, what is known when a message is cut off, and the byte stream behind an upgrade.

mod common;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;

use common::{Ending, Log, World, collect, get, post, url_of};
use onloop::http::{self, Response, ServerOptions, Socket};
use onloop::{Address, LoopOptions};

#[test]
fn no_name_of_a_field_is_special() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        for name in ["constructor", "__proto__", "toString", "hasOwnProperty"] {
            assert_eq!(req.header(name), Some("1"), "{name}");
        }
        assert_eq!(req.header("valueOf"), None);
        assert_eq!(req.header("x-empty"), Some(""));
        res.end("fine");
    });
    let fields =
        "Constructor: 1\r\n__proto__: 1\r\ntoString: 1\r\nHASOWNPROPERTY: 1\r\nX-Empty:\r\n";
    assert_eq!(world.ask(&server, get("/", fields)).text(), "fine");
}

#[test]
fn no_piece_of_content_is_larger_than_the_read_buffer() {
    for (options, most) in
        [(LoopOptions::new(), 65_536), (LoopOptions::new().read_buffer(4096), 4096)]
    {
        let mut world = World::with(options);
        let server = world.serve(move |req, res| {
            let total = Rc::new(Cell::new(0));
            let counts = Rc::clone(&total);
            req.on_data(move |chunk| {
                assert!(!chunk.is_empty() && chunk.len() <= most, "{}", chunk.len());
                counts.set(counts.get() + chunk.len());
            });
            req.on_end(move || res.end(total.get().to_string()));
        });
        let content = "x".repeat(1_000_000);
        assert_eq!(world.ask(&server, post("/", &content)).text(), "1000000");
    }
}

#[test]
fn a_pause_in_the_middle_loses_nothing_and_the_end_comes_once() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(move |req, res| {
        let body = req.body();
        let total = Rc::new(Cell::new(0));
        let counts = Rc::clone(&total);
        req.on_data(move |chunk| {
            counts.set(counts.get() + chunk.len());
            body.pause();
            lp.set_immediate(move || body.resume());
        });
        let ends = notes.clone();
        req.on_end(move || {
            ends.note("end");
            res.end(total.get().to_string());
        });
    });
    let content = "x".repeat(1_000_000);
    assert_eq!(world.ask(&server, post("/", &content)).text(), "1000000");
    assert_eq!(log.all(), ["end"]);
}

#[test]
fn a_listener_of_data_may_be_removed_and_the_rest_is_dropped() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::with(LoopOptions::new().read_buffer(1024));
    let server = world.serve(move |req, res| {
        let body = req.body();
        let data = notes.clone();
        req.on_data(move |_| {
            data.note("data");
            body.off_data();
        });
        req.on_end(move || res.end("end"));
    });
    let content = "x".repeat(100_000);
    assert_eq!(world.ask(&server, post("/", &content)).text(), "end");
    assert_eq!(log.all(), ["data"]);
}

#[test]
fn content_that_stays_paused_when_the_answer_ends_is_dropped() {
    let mut world = World::with(LoopOptions::new().read_buffer(1024));
    let server = world.serve(|req, res| {
        let body = req.body();
        req.on_data(move |_| {
            body.pause();
            res.end("enough");
        });
    });
    let requests = post("/", &"x".repeat(50_000)) + &post("/", "next");
    let mut peer = world.send(&server, requests);
    assert_eq!(world.answer(&mut peer).text(), "enough");
    assert_eq!(world.answer(&mut peer).text(), "enough");
}

#[test]
fn a_paused_upload_stays_with_the_client() {
    const LENGTH: usize = 64 << 20;
    let kept: Rc<Cell<Option<http::Body>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        if req.method() == "GET" {
            return res.end("");
        }
        let total = Rc::new(Cell::new(0));
        let counts = Rc::clone(&total);
        req.on_data(move |chunk| counts.set(counts.get() + chunk.len()));
        req.on_end(move || res.end(total.get().to_string()));
        req.pause();
        keeps.set(Some(req.body()));
    });
    let Some(Address::Ip(address)) = server.address() else { panic!("no address") };
    let mut client = TcpStream::connect(address).expect("a connection");
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("it fits");
    client.set_nonblocking(true).expect("non-blocking");
    let block = vec![b'x'; 1 << 20];
    let mut sent = 0;
    let mut send = |most: usize| {
        let before = sent;
        while sent < LENGTH && sent - before < most {
            match client.write(&block[..block.len().min(LENGTH - sent)]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        (sent - before, sent)
    };
    // The systems of both sides hold some; it stops when whole exchanges elsewhere bring no more of it.
    loop {
        let (now, _) = send(LENGTH);
        for _ in 0..3 {
            world.ask(&server, get("/", ""));
        }
        if now == 0 {
            break;
        }
    }
    let (_, taken) = send(0);
    assert!(taken < LENGTH / 2, "{taken} bytes of a paused upload were taken");
    kept.take().expect("a request").resume();
    world.until("the rest", || send(LENGTH).1 == LENGTH);
    let mut answer = Vec::new();
    world.until("the answer", || {
        let mut buffer = [0; 1000];
        let count = client.read(&mut buffer).unwrap_or(0);
        answer.extend_from_slice(&buffer[..count]);
        answer.ends_with(LENGTH.to_string().as_bytes())
    });
}

#[test]
fn a_message_that_was_cut_off_is_not_complete() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let body = req.body();
        assert!(!req.is_complete());
        req.on_data(|_| {});
        let end = notes.clone();
        req.on_end(move || {
            end.note(format!("end {}", body.is_complete()));
            res.end("x");
        });
        let aborted = notes.clone();
        req.on_aborted(move || aborted.note(format!("aborted {}", body.is_complete())));
        req.on_close(notes.noting("closed"));
    });
    world.ask(&server, post("/", "content"));
    let lines = log.clone();
    world.until("the first", || lines.has("closed"));
    assert_eq!(log.all(), ["end true", "closed"]);
    let mut peer = world.send(&server, &post("/", "content")[..50]);
    peer.end();
    world.until("the second", || lines.count("closed") == 2);
    assert_eq!(log.all()[2..], ["aborted false", "closed"]);
}

/// What is told of an exchange whose client leaves while its response goes out, behind the end of the request.
fn told_of_a_client_that_leaves(response_has_on_error: bool) -> Vec<String> {
    let log = Log::new();
    let notes = log.clone();
    let waiting: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.resume();
        req.on_end(notes.noting("end"));
        req.on_aborted(notes.noting("aborted"));
        req.on_error(notes.noting_error("error"));
        req.on_close(notes.noting("request closed"));
        res.on_finish(notes.noting("finish"));
        if response_has_on_error {
            res.on_error(notes.noting_error("response error"));
        }
        res.on_close(notes.noting("response closed"));
        keeps.set(Some(res));
    });
    let mut peer = world.send(&server, post("/", "content"));
    let lines = log.clone();
    world.until("the request", || lines.has("end"));
    peer.stop_reading();
    waiting.take().expect("a request").end(vec![b'x'; 50_000_000]);
    world.turn();
    // With unread bytes: the system resets the connection.
    drop(peer);
    world.until("the end", || lines.has("response closed"));
    log.all()
}

#[test]
fn a_client_that_leaves_after_its_request_is_no_error_of_the_request() {
    assert_eq!(
        told_of_a_client_that_leaves(true),
        ["end", "response error ECONNRESET", "request closed", "response closed"]
    );
}

#[test]
fn what_breaks_a_response_off_is_told_to_its_request_where_nobody_else_listens() {
    assert_eq!(
        told_of_a_client_that_leaves(false),
        ["end", "error ECONNRESET", "request closed", "response closed"]
    );
}

#[test]
fn an_answer_is_given_as_it_came() {
    // Nobody follows it, unpacks it or keeps its cookies.
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|req, res| {
        assert!(req.url() == "/" && req.header("cookie").is_none());
        res.set_status(302);
        res.set_header("Location", "/elsewhere")?;
        res.set_header("Content-Encoding", "gzip")?;
        res.set_header("Set-Cookie", "a=1")?;
        res.end("not unpacked");
        Ok(())
    });
    for asked in 1..=2 {
        let notes = notes.clone();
        http::get(world.lp, url_of(&server), move |response| {
            assert_eq!(response.header("location"), Some("/elsewhere"));
            collect(response, move |status, content| {
                notes.note(format!("{status} {}", String::from_utf8_lossy(&content)));
            });
        })
        .unwrap();
        let lines = log.clone();
        world.until("the answer", || lines.len() == asked);
    }
    assert_eq!(log.all(), ["302 not unpacked"; 2]);
}

/// A server whose upgraded sockets are kept by the test.
fn upgrading(world: &World, options: ServerOptions) -> (http::Server, Rc<Cell<Option<Socket>>>) {
    let kept: Rc<Cell<Option<Socket>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let server = world.serve_with(options, |_req, res| res.end("ordinary"));
    server.on_upgrade(move |_req, socket, _head| {
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        keeps.set(Some(socket));
    });
    (server, kept)
}

const UPGRADE: &str = "Connection: upgrade\r\nUpgrade: x\r\n";

#[test]
fn a_socket_tells_of_pressure_and_of_room() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let (server, kept) = upgrading(&world, ServerOptions::new());
    let mut peer = world.send(&server, get("/", UPGRADE));
    world.expect(&mut peer, "\r\n\r\n");
    let socket = kept.take().expect("an upgrade");
    socket.on_drain(move || {
        notes.note("drain");
        socket.end("the end");
    });
    assert!(socket.write("small"));
    assert!(!socket.write(vec![b'x'; 10_000_000]));
    assert_eq!(log.len(), 0, "nothing is called inside a call");
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["drain"]);
    assert!(peer.received.len() == "small".len() + 10_000_000 + "the end".len());
    assert!(peer.text().ends_with("xthe end"));
}

#[test]
fn a_socket_that_was_ended_can_still_be_read() {
    let log = Log::new();
    let mut world = World::new();
    let (server, kept) = upgrading(&world, ServerOptions::new());
    let mut peer = world.send(&server, get("/", UPGRADE));
    world.expect(&mut peer, "\r\n\r\n");
    let socket = kept.take().expect("an upgrade");
    let data = log.clone();
    socket.on_data(move |bytes| data.note(String::from_utf8_lossy(bytes)));
    socket.on_end(log.noting("end"));
    socket.on_close(log.noting("closed"));
    socket.end("last");
    assert!(!socket.is_open() && !socket.write("more"));
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "last");
    peer.send("still");
    let lines = log.clone();
    world.until("what still comes", || lines.has("still"));
    peer.end();
    world.until("the end", || lines.has("closed"));
    assert_eq!(log.all(), ["still", "end", "closed"]);
}

#[test]
fn a_destroyed_socket_drops_what_waits_and_closes_once() {
    let log = Log::new();
    let mut world = World::new();
    let (server, kept) = upgrading(&world, ServerOptions::new());
    let mut peer = world.send(&server, get("/", UPGRADE));
    world.expect(&mut peer, "\r\n\r\n");
    let socket = kept.take().expect("an upgrade");
    socket.on_error(log.noting_error("error"));
    socket.on_end(log.noting("end"));
    socket.on_close(log.noting("closed"));
    peer.stop_reading();
    socket.write(vec![b'x'; 50_000_000]);
    socket.destroy();
    socket.destroy();
    assert!(!socket.is_open() && log.len() == 0);
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    peer.read_on();
    world.until_end(&mut peer);
    assert!(peer.received.len() < 50_000_000);
    assert_eq!(log.all(), ["closed"]);
}

#[test]
fn a_paused_socket_is_not_read() {
    let log = Log::new();
    let mut world = World::new();
    let (server, kept) = upgrading(&world, ServerOptions::new());
    let mut peer = world.send(&server, get("/", UPGRADE));
    world.expect(&mut peer, "\r\n\r\n");
    let socket = kept.take().expect("an upgrade");
    let data = log.clone();
    socket.on_data(move |_| data.note("data"));
    socket.on_end(log.noting("end"));
    socket.pause();
    peer.send("bytes");
    peer.end();
    // Whole exchanges on another connection: it has had its chance to be read.
    for _ in 0..3 {
        world.ask(&server, get("/", ""));
    }
    assert_eq!(log.len(), 0, "not even the end is told while bytes wait");
    socket.resume();
    let lines = log.clone();
    world.until("the end", || lines.has("end"));
    assert_eq!(log.all(), ["data", "end"]);
}

#[test]
fn content_that_was_never_read_to_its_end_is_not_complete() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let options = ServerOptions::new().max_discarded(10);
    let server = world.serve_with(options, move |req, res| {
        let (body, notes) = (req.body(), notes.clone());
        res.on_close(move || notes.note(format!("complete: {}", body.is_complete())));
        res.end("x");
    });
    let unread = get("/", "Content-Length: 100000\r\n") + &"x".repeat(50_000);
    let unasked = get("/", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    for request in [unread, unasked] {
        let mut peer = world.send(&server, request);
        assert_eq!(world.answer(&mut peer).text(), "x");
        world.until_end(&mut peer);
        assert_eq!(log.all(), ["complete: false"]);
        log.clear();
    }
    world.ask(&server, post("/", "small"));
    world.until("the end", || log.len() == 1);
    assert_eq!(log.all(), ["complete: true"]);
}
