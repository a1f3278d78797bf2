//! What a server sends behind a complete answer never spoils that answer, and is never taken for the next one:
//! RFC 9112 §6.3.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, Peer, World, raw_server};
use onloop::http::{self, Agent, AgentOptions, RequestOptions, Retries};

const LARGE: usize = 1024 * 1024;

/// Answers, with the method that asks for them and the content that they have.
fn answers() -> Vec<(&'static str, &'static str, Vec<u8>, Vec<u8>)> {
    let large = vec![b'x'; LARGE];
    let of_length = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes();
    let in_chunks = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{LARGE:x}\r\n");
    let small = |head: &str| format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    let closing = small("200 OK\r\nConnection: close\r\nContent-Length: 5");
    vec![
        (
            "length",
            "GET",
            [small("200 OK\r\nContent-Length: 5"), b"whole".into()].concat(),
            b"whole".into(),
        ),
        ("closing", "GET", [closing, b"whole".into()].concat(), b"whole".into()),
        ("no content", "GET", small("200 OK\r\nContent-Length: 0"), Vec::new()),
        ("HEAD", "HEAD", small("200 OK\r\nContent-Length: 5"), Vec::new()),
        ("204", "GET", small("204 No Content"), Vec::new()),
        ("304", "GET", small("304 Not Modified\r\nContent-Length: 5"), Vec::new()),
        (
            "chunks",
            "GET",
            [small("200 OK\r\nTransfer-Encoding: chunked"), b"5\r\nwhole\r\n0\r\n\r\n".into()]
                .concat(),
            b"whole".into(),
        ),
        (
            "trailers",
            "GET",
            [
                small("200 OK\r\nTransfer-Encoding: chunked"),
                b"5\r\nwhole\r\n0\r\nX: 1\r\n\r\n".into(),
            ]
            .concat(),
            b"whole".into(),
        ),
        (
            "information first",
            "GET",
            [small("103 Early"), small("200 OK\r\nContent-Length: 5"), b"whole".into()].concat(),
            b"whole".into(),
        ),
        ("large", "GET", [of_length, large.clone()].concat(), large.clone()),
        (
            "large chunk",
            "GET",
            [in_chunks.into_bytes(), large.clone(), b"\r\n0\r\n\r\n".into()].concat(),
            large,
        ),
    ]
}

/// What comes behind them, and whether a reset follows.
fn surpluses() -> Vec<(&'static str, Vec<u8>, End)> {
    let evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil".to_vec();
    vec![
        ("another answer", evil.clone(), End::None),
        ("another answer and the end", evil.clone(), End::Stream),
        ("half an answer", evil[..20].to_vec(), End::None),
        ("half an answer and the end", evil[..20].to_vec(), End::Stream),
        ("NUL", vec![0], End::None),
        ("an empty line", b"\r\n".to_vec(), End::None),
        ("a last chunk", b"0\r\n\r\n".to_vec(), End::None),
        ("a megabyte", vec![1; LARGE], End::None),
        ("a megabyte and the end", vec![1; LARGE], End::Stream),
        ("the end", Vec::new(), End::Stream),
        ("a reset", Vec::new(), End::Reset),
        ("another answer and a reset", evil, End::Reset),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    None,
    Stream,
    Reset,
}

/// How the client reads: a paused one finds the surplus before it has read the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    AtOnce,
    Later,
}

fn ask(
    world: &World,
    method: &str,
    url: &str,
    reading: Reading,
    log: &Log,
) -> Rc<RefCell<Vec<u8>>> {
    let content: Rc<RefCell<Vec<u8>>> = Rc::default();
    let collected = Rc::clone(&content);
    let (lp, notes) = (world.lp, log.clone());
    let request = http::request(world.lp, method, url).expect("a request");
    request.on_response(move |response| {
        notes.note("response");
        let body = response.body();
        body.on_data(move |chunk| collected.borrow_mut().extend_from_slice(chunk));
        body.on_end(notes.noting("end"));
        if reading == Reading::Later {
            body.pause();
            lp.set_timeout(Duration::from_millis(5), move || body.resume());
        }
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("close"));
    request.end("");
    content
}

fn send(peer: &mut Peer, answer: &[u8], surplus: &[u8], end: End) {
    peer.send([answer, surplus].concat());
    match end {
        End::None => {}
        End::Stream => peer.end(),
        End::Reset => peer.reset(),
    }
}

#[test]
fn what_follows_an_answer_does_not_spoil_it_and_is_not_the_next_one() {
    for (answer_name, method, answer, content) in answers() {
        for (surplus_name, surplus, end) in surpluses() {
            if end == End::Reset && answer.len() > LARGE {
                // What the client's system has not received is lost by the reset.
                continue;
            }
            for reading in [Reading::AtOnce, Reading::Later] {
                let context = format!("{answer_name}, then {surplus_name}, read {reading:?}");
                let (listener, url) = raw_server();
                let log = Log::new();
                let mut world = World::new();
                let found = ask(&world, method, &url, reading, &log);
                let mut peer = world.accept(&listener);
                world.expect(&mut peer, "\r\n\r\n");
                send(&mut peer, &answer, &surplus, end);
                let lines = log.clone();
                world.until(&context, || {
                    peer.pump();
                    lines.has("close")
                });
                assert_eq!(log.all(), ["response", "end", "close"], "{context}");
                assert!(*found.borrow() == content, "{context}: {} bytes", found.borrow().len());
                // The next request has its own answer, on a connection of its own.
                log.clear();
                let found = ask(&world, "GET", &url, Reading::AtOnce, &log);
                let mut peer = world.accept(&listener);
                world.expect(&mut peer, "\r\n\r\n");
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
                let lines = log.clone();
                world.until(&context, || lines.has("close"));
                assert_eq!(log.all(), ["response", "end", "close"], "{context}");
                assert_eq!(*found.borrow(), b"own", "{context}");
            }
        }
    }
}

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
const OWN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown";

/// The content of the answer that a request gets after all.
fn ask_with(options: RequestOptions, world: &World, log: &Log) {
    let notes = log.clone();
    let request = http::request_with(world.lp, options).expect("a request");
    request.on_response(move |response| {
        common::collect(response, move |status, content| {
            notes.note(format!("{status} {}", String::from_utf8_lossy(&content)));
        });
    });
    request.on_error(log.noting_error("error"));
    request.end("");
}

/// Answers that send a request on its way again, and what makes it go.
fn diversions() -> Vec<(&'static str, RequestOptions)> {
    let ask = || RequestOptions::new("GET", "http://set.below/");
    vec![
        ("302 Found\r\nLocation: /next\r\nContent-Length: 0", ask().redirects(3)),
        ("302 Found\r\nLocation: /next\r\nContent-Length: 5", ask().redirects(3)),
        ("302 Found\r\nLocation: /next\r\nTransfer-Encoding: chunked", ask().redirects(3)),
        (
            "503 Busy\r\nContent-Length: 0",
            ask().retries(Retries::new(1).delay(Duration::ZERO).on_status(true)),
        ),
    ]
}

#[test]
fn what_follows_a_redirect_or_a_failure_is_not_the_next_answer() {
    for (head, options) in diversions() {
        let (listener, url) = raw_server();
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let (host, port) = address.split_once(':').expect("a port");
        let options = options.host(host).port(port.parse().expect("a number"));
        let log = Log::new();
        let mut world = World::new();
        ask_with(options, &world, &log);
        let mut first = world.accept(&listener);
        world.expect(&mut first, "\r\n\r\n");
        let content = match head {
            head if head.ends_with("chunked") => "2\r\nxx\r\n0\r\n\r\n",
            head if head.ends_with('5') => "12345",
            _ => "",
        };
        first.send(format!("HTTP/1.1 {head}\r\n\r\n{content}{EVIL}"));
        let mut second = world.accept(&listener);
        world.expect(&mut second, "\r\n\r\n");
        second.send(OWN);
        let lines = log.clone();
        world.until(head, || lines.len() > 0);
        assert_eq!(log.all(), ["200 own"], "{head}");
    }
}

#[test]
fn what_follows_an_answer_is_not_that_of_the_request_that_waits_for_its_connection() {
    for surplus in [EVIL, &EVIL[..20], "\r\n", "\0"] {
        let (listener, url) = raw_server();
        let log = Log::new();
        let mut world = World::new();
        let agent = Agent::new(world.lp, AgentOptions::new().max_sockets(1)).expect("an agent");
        for _ in 0..2 {
            ask_with(RequestOptions::new("GET", &url).agent(agent), &world, &log);
        }
        let mut first = world.accept(&listener);
        world.expect(&mut first, "\r\n\r\n");
        first.send(format!("{OWN}{surplus}"));
        let mut second = world.accept(&listener);
        world.expect(&mut second, "\r\n\r\n");
        second.send(OWN);
        let lines = log.clone();
        world.until("both answers", || lines.len() == 2);
        assert_eq!(log.all(), ["200 own", "200 own"], "{surplus:?}");
    }
}
