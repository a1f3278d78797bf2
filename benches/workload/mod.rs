//! What `benches/instructions.rs` counts: exchanges in which nothing waits for anybody.

use std::cell::Cell;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, RequestOptions};
use onloop::{EventLoop, LoopHandle};

use crate::messages::{
    BROWSER_REQUEST, CHUNKED_REQUEST, ECHO_REQUEST, GREETING, PIECES_REQUEST, SMALL_REQUEST,
};
use crate::server;

/// One kind of exchange.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) requests_per_exchange: u64,
    /// Makes so many exchanges.
    pub(crate) run: fn(u64),
}

pub(crate) const WORKLOADS: &[Workload] = &[
    Workload { name: "get", requests_per_exchange: 1, run: |count| serve(SMALL_REQUEST, 1, count) },
    Workload {
        name: "pipelined16",
        requests_per_exchange: 16,
        run: |count| serve(&SMALL_REQUEST.repeat(16), 16, count),
    },
    Workload {
        name: "browser",
        requests_per_exchange: 1,
        run: |count| serve(BROWSER_REQUEST, 1, count),
    },
    Workload { name: "echo", requests_per_exchange: 1, run: |count| serve(ECHO_REQUEST, 1, count) },
    Workload {
        name: "echo_chunked",
        requests_per_exchange: 1,
        run: |count| serve(CHUNKED_REQUEST, 1, count),
    },
    Workload {
        name: "response_in_chunks",
        requests_per_exchange: 1,
        run: |count| serve(PIECES_REQUEST, 1, count),
    },
    Workload { name: "client_get", requests_per_exchange: 1, run: request },
];

/// Turns are not waited in: whatever an exchange needs is there already. More than so many, and something is wrong.
const TURNS_MAX: usize = 64;

fn socket_path() -> PathBuf {
    env::temp_dir().join(format!("onloop-instructions-{}.sock", process::id()))
}

fn turn(event_loop: &mut EventLoop) {
    event_loop.turn(Some(Duration::ZERO)).expect("the poller works");
}

/// A server of ours, a peer that sends the same bytes again and again.
fn serve(requests: &str, responses: usize, count: u64) {
    let path = socket_path();
    let mut event_loop = EventLoop::new().expect("a poller");
    let server = server::start(&event_loop, path.as_path()).expect("nobody else has this path");
    let mut stream = UnixStream::connect(&path).expect("the server listens");
    stream.set_nonblocking(true).expect("it is a socket");
    let length = first_answer(&mut event_loop, &mut stream, requests, responses);
    let mut buffer = vec![0; length];
    for _ in 0..count {
        stream.write_all(requests.as_bytes()).expect("an empty socket takes it");
        turn(&mut event_loop);
        stream.read_exact(&mut buffer).expect("one turn answers");
    }
    server.close();
}

/// The length of the answer: what comes until nothing more does.
fn first_answer(
    event_loop: &mut EventLoop,
    stream: &mut UnixStream,
    requests: &str,
    responses: usize,
) -> usize {
    stream.write_all(requests.as_bytes()).expect("an empty socket takes it");
    let mut answer = Vec::new();
    for _ in 0..TURNS_MAX {
        turn(event_loop);
        // The end is `WouldBlock`.
        let _ = stream.read_to_end(&mut answer);
    }
    server::check(&answer, responses);
    answer.len()
}

/// A client of ours that makes each request when the last one ended, a peer that gives the same answer to all.
fn request(count: u64) {
    let path = socket_path();
    let listener = UnixListener::bind(&path).expect("nobody else has this path");
    let mut event_loop = EventLoop::new().expect("a poller");
    let ended = Rc::new(Cell::new(0));
    get(event_loop.handle(), path.clone(), ended.clone());
    turn(&mut event_loop);
    let (mut peer, _) = listener.accept().expect("the client has connected");
    peer.set_nonblocking(true).expect("it is a socket");
    fs::remove_file(&path).expect("it is ours");
    let mut received = vec![0; 4096];
    for made in 1..=count {
        let mut turns = 0;
        while !has_request(&mut peer, &mut received) {
            turn(&mut event_loop);
            turns += 1;
            assert!(turns < TURNS_MAX, "the request does not come");
        }
        answer(&mut peer);
        turn(&mut event_loop);
        assert_eq!(ended.get(), made, "one turn takes the answer");
    }
}

fn get(lp: LoopHandle, path: PathBuf, ended: Rc<Cell<u64>>) {
    let options = RequestOptions::new("GET", "http://localhost/plaintext").unix_socket(&path);
    let request = http::request_with(lp, options).expect("the URL is good");
    request.on_response(move |response| {
        assert_eq!(response.status(), 200);
        response.on_data(|chunk| assert_eq!(chunk, GREETING.as_bytes()));
        response.on_end(move || {
            ended.set(ended.get() + 1);
            get(lp, path, ended);
        });
    });
    request.end("");
}

fn has_request(peer: &mut UnixStream, received: &mut [u8]) -> bool {
    match peer.read(received) {
        Ok(count) => {
            assert!(received[..count].ends_with(b"\r\n\r\n"), "a request is one write");
            true
        }
        Err(_) => false,
    }
}

fn answer(peer: &mut UnixStream) {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n\
                          Content-Length: 13\r\nConnection: keep-alive\r\nKeep-Alive: timeout=65\r\n\r\nHello, World!";
    peer.write_all(ANSWER.as_bytes()).expect("an empty socket takes it");
}
