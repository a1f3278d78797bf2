//! What Node's own tests make of a server's clocks, on a simulated clock: which clock runs when several could,
//! and which of several connections it ends.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::clocked::{Clocked, assert_about, seconds};
use common::{Log, get};
use onloop::http::{ServerOptions, Socket};
use onloop::sim::SimPeer;

/// A connection, and what came on it.
struct Client {
    peer: SimPeer,
    received: String,
}

impl Client {
    fn new(clocked: &Clocked, bytes: &str) -> Client {
        Client { peer: clocked.send(bytes), received: String::new() }
    }

    fn write(&self, bytes: &str) {
        assert_eq!(self.peer.write(bytes.as_bytes()), bytes.len());
    }

    /// Waits for the end of the connection; when it came.
    #[track_caller]
    fn end(&mut self, clocked: &mut Clocked) -> Duration {
        let (_, text) = clocked.until_end(&self.peer);
        self.received.push_str(&text);
        clocked.net.now()
    }

    /// The statuses of what was received.
    fn statuses(&mut self) -> Vec<&str> {
        self.received.push_str(&String::from_utf8_lossy(&self.peer.read()));
        self.received.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect()
    }
}

/// Notes with the second in which it is called.
fn noting(clocked: &Clocked, log: &Log, line: &'static str) -> impl Fn() + 'static {
    let (log, net) = (log.clone(), clocked.net.clone());
    move || log.note(format!("{line} {}", net.now().as_secs()))
}

#[test]
fn requests_without_answer_are_under_the_inactivity_timeout_and_not_under_the_idle_one() {
    let log = Log::new();
    let mut clocked = Clocked::new();
    let options = ServerOptions::new()
        .timeout(seconds(50))
        .keep_alive_timeout(seconds(5))
        .keep_alive_timeout_buffer(Duration::ZERO);
    let server = clocked.serve(options, |req, res| {
        if req.url() == "/answered" {
            res.end("x");
        }
    });
    let told = noting(&clocked, &log, "timeout");
    server.on_timeout(move |connection| {
        told();
        connection.destroy();
    });
    let mut client =
        Client::new(&clocked, &(get("/answered", "") + &get("/never", "") + &get("/answered", "")));
    assert_about(client.end(&mut clocked), seconds(50));
    assert_eq!((client.statuses(), log.all()), (vec!["200"], vec!["timeout 50".to_owned()]));
    let mut idle = Client::new(&clocked, &get("/answered", ""));
    let begin = clocked.net.now();
    assert_about(idle.end(&mut clocked) - begin, seconds(5));
    assert_eq!(log.len(), 1);
}

#[test]
fn a_head_that_pauses_is_on_its_own_clock_and_not_idle() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new()
        .keep_alive_timeout(seconds(1))
        .keep_alive_timeout_buffer(Duration::ZERO);
    clocked.serve(options, |_req, res| res.end("x"));
    let mut client = Client::new(&clocked, &get("/", ""));
    for _ in 0..2 {
        client.write("GET / HTTP/1.1\r\n");
        clocked.pass(seconds(30));
        client.write("Host: h\r\n\r\n");
        clocked.pass(Duration::from_millis(500));
    }
    assert_eq!(client.statuses(), ["200"; 3]);
    let begin = clocked.net.now();
    assert!(client.end(&mut clocked) - begin <= seconds(1), "now nothing was begun");
    assert_eq!(client.statuses(), ["200"; 3]);
}

#[test]
fn the_time_between_two_requests_is_neither_ones() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(10)).request_timeout(seconds(20));
    clocked.serve(options, |_req, res| res.end("x"));
    let mut client = Client::new(&clocked, &get("/", ""));
    for _ in 0..2 {
        clocked.pass(seconds(60));
        client.write(&get("/", ""));
    }
    clocked.pass(seconds(60));
    assert_eq!(client.statuses(), ["200"; 3]);
    client.write("GET / HTTP/1.1\r\n");
    let begin = clocked.net.now();
    assert_about(client.end(&mut clocked) - begin, seconds(10));
    assert_eq!(client.statuses(), ["200", "200", "200", "408"]);
}

#[test]
fn a_pipelined_request_that_stays_in_part_is_408_behind_the_answer_before_it() {
    for part in
        ["POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n1234", "GET / HTTP/1.1\r\n"]
    {
        let mut clocked = Clocked::new();
        let options = ServerOptions::new().request_timeout(seconds(10));
        clocked.serve(options, |req, res| {
            req.resume();
            req.on_end(move || res.end("x"));
        });
        let mut client = Client::new(&clocked, &(get("/", "") + part));
        assert_about(client.end(&mut clocked), seconds(10));
        assert_eq!(client.statuses(), ["200", "408"], "{part}");
        assert!(client.received.contains("408 Request Timeout\r\n"), "{}", client.received);
        assert!(client.received.contains("Connection: close\r\n"), "{}", client.received);
    }
}

#[test]
fn of_several_connections_each_is_on_its_own_clock() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(10)).request_timeout(seconds(20));
    clocked.serve(options, |req, res| {
        req.resume();
        req.on_end(move || res.end("x"));
    });
    let post = "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 10\r\n\r\n";
    let mut slow_head = Client::new(&clocked, "");
    let mut slow_body = Client::new(&clocked, post);
    let mut late_head = Client::new(&clocked, "");
    let mut late_body = Client::new(&clocked, post);
    let mut whole = Client::new(&clocked, "GET / HTTP/1.1\r\n");
    clocked.pass(seconds(4));
    for client in [&mut slow_head, &mut late_head] {
        client.write("GET / HTTP/1.1\r\n");
    }
    slow_body.write("12345");
    whole.write("Host: h\r\nConnection: close\r\n\r\n");
    clocked.pass(seconds(4));
    slow_head.write("X: y\r\n");
    late_head.write("Host: h\r\nConnection: close\r\n\r\n");
    late_body.write("1234567890");
    assert!(whole.end(&mut clocked) <= seconds(9));
    late_head.end(&mut clocked);
    assert!(late_body.end(&mut clocked) <= seconds(9));
    assert_about(slow_head.end(&mut clocked), seconds(10));
    assert_about(slow_body.end(&mut clocked), seconds(20));
    for (client, status) in [
        (&mut whole, "200"),
        (&mut late_head, "200"),
        (&mut late_body, "200"),
        (&mut slow_head, "408"),
        (&mut slow_body, "408"),
    ] {
        assert_eq!(client.statuses(), [status]);
    }
}

#[test]
fn a_change_of_the_timeout_does_not_touch_an_exchange_that_goes_on() {
    let mut clocked = Clocked::new();
    let server = clocked.serve(ServerOptions::new().timeout(seconds(20)), |_req, _res| ());
    let mut before = Client::new(&clocked, &get("/", ""));
    clocked.pass(seconds(1));
    server.set_timeout(seconds(5));
    let mut after = Client::new(&clocked, &get("/", ""));
    assert_about(after.end(&mut clocked), seconds(6));
    assert_about(before.end(&mut clocked), seconds(20));
}

#[test]
fn silence_behind_a_complete_request_is_told_to_the_response_and_the_server() {
    let log = Log::new();
    let mut clocked = Clocked::new();
    let (told, body) = (noting(&clocked, &log, "response"), log.clone());
    let mut told = Some(told);
    let server = clocked.serve(ServerOptions::new(), move |req, res| {
        req.set_timeout(seconds(3));
        req.on_timeout(body.noting("request"));
        res.on_timeout(told.take().expect("one request"));
    });
    let (told, destroys) = (noting(&clocked, &log, "server"), server);
    server.on_timeout(move |_connection| {
        told();
        destroys.close_all_connections();
    });
    let mut client = Client::new(&clocked, &get("/", ""));
    assert_about(client.end(&mut clocked), seconds(3));
    assert_eq!(log.all(), ["response 3", "server 3"]);
}

#[test]
fn the_timeout_of_a_socket_tells_of_silence_in_both_directions_and_ends_nothing() {
    let log = Log::new();
    let mut clocked = Clocked::new();
    let kept: Rc<Cell<Option<Socket>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    let told = noting(&clocked, &log, "silence");
    let mut told = Some(told);
    server.on_upgrade(move |_req, socket, _head| {
        socket.write("HTTP/1.1 101 x\r\n\r\n");
        socket.on_data(|_| {});
        socket.set_timeout(seconds(4));
        socket.on_timeout(told.take().expect("one upgrade"));
        keeps.set(Some(socket));
    });
    let client = Client::new(&clocked, &get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    clocked.pass(seconds(3));
    let socket = kept.take().expect("an upgrade");
    // Received bytes begin the time anew, and so do written ones.
    client.write("x");
    clocked.pass(seconds(3));
    socket.write("y");
    clocked.pass(seconds(3));
    assert_eq!(log.len(), 0);
    clocked.pass(seconds(20));
    assert_eq!(log.all(), ["silence 10"], "once for each silence");
    assert!(!client.peer.is_eof() && !client.peer.is_reset() && socket.is_open());
    client.write("x");
    clocked.pass(seconds(5));
    assert_eq!(log.all()[1..], ["silence 33"]);
    // A long piece that a slow reader takes bit by bit is no silence.
    socket.write(vec![b'z'; 1_000_000]);
    for _ in 0..10 {
        clocked.pass(seconds(3));
        assert!(!client.peer.read_up_to(60_000).is_empty());
    }
    assert_eq!(log.len(), 2, "{:?}", log.all());
    socket.set_timeout(Duration::ZERO);
    clocked.pass(seconds(40));
    assert_eq!((log.len(), socket.is_open()), (2, true));
}
