//! A panic in any callback of a server, under both policies: it is told or contained, the callback is there the
//! next time, nothing hangs, and other connections are none the worse.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use common::clocked::seconds;
use common::{Log, get, post};
use onloop::http::{Request, Response, Server, ServerOptions};
use onloop::sim::{SimNet, SimPeer, stats};
use onloop::{Address, EventLoop, LoopOptions, PanicPolicy};

/// What is panicked in, and what a client sends to get there.
fn cases() -> Vec<(&'static str, String)> {
    let plain = get("/", "");
    let upgrade = get("/", "Connection: upgrade\r\nUpgrade: x\r\n");
    let expecting = get("/", "Expect: 100-continue\r\nContent-Length: 3\r\n") + "abc";
    let expecting_more = get("/", "Expect: more\r\n");
    let incomplete = get("/", "Content-Length: 3\r\n");
    vec![
        ("connection", plain.clone()),
        ("request", plain.clone()),
        ("timeout of the server", plain.clone()),
        ("timeout of the server, silent", String::new()),
        ("timeout of the request", incomplete.clone()),
        ("timeout of the response", plain.clone()),
        ("drop", plain.clone()),
        ("drop_request", plain.repeat(2)),
        ("check_continue", expecting.clone()),
        ("check_expectation", expecting_more.clone()),
        ("upgrade", upgrade.clone()),
        ("should_upgrade", upgrade.clone()),
        ("connect", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into()),
        ("client_error", "NONSENSE\r\n\r\n".into()),
        ("client_error, begun", get("/begin", "Transfer-Encoding: chunked\r\n") + "z"),
        ("client_error, answered", get("/answer", "Transfer-Encoding: chunked\r\n") + "z"),
        ("written", plain.clone()),
        ("written at the end", plain.clone()),
        ("collect", post("/", "content")),
        ("collect, too long", post("/", &"content".repeat(100))),
        ("collect, cut off", incomplete.clone()),
        ("half_close", plain.clone()),
        ("drain", plain.clone()),
        ("finish", plain.clone()),
        ("finish before the request", incomplete),
        ("close", plain.clone()),
        ("end", plain),
    ]
}

struct Bench {
    net: SimNet,
    event_loop: EventLoop,
    panics: usize,
}

impl Bench {
    fn turn(&mut self) {
        let turned = catch_unwind(AssertUnwindSafe(|| self.event_loop.turn(Some(seconds(1)))));
        match turned {
            Ok(result) => drop(result.expect("a turn")),
            Err(_) => self.panics += 1,
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            self.turn();
            if self.net.stalled() {
                self.net.advance(end - self.net.now());
            }
        }
    }

    fn send(&self, bytes: &str) -> SimPeer {
        let address: std::net::SocketAddr = "127.0.0.1:80".parse().expect("an address");
        let peer = self.net.connect(&Address::from(address));
        peer.write(bytes.as_bytes());
        peer
    }
}

/// Passes the panic hook by, so that the output is not full of them.
fn panicking<T>(log: &Log) -> impl Fn() -> T + Clone + 'static {
    let log = log.clone();
    move || {
        log.note("called");
        resume_unwind(Box::new("intended"))
    }
}

/// Callbacks of one exchange.
fn handle(case: &str, log: &Log, req: &Request, res: Response) {
    let panics = panicking::<()>(log);
    match case {
        "timeout of the request" => req.on_timeout(panics),
        "timeout of the response" => res.on_timeout(panics),
        "written" => {
            res.write("x");
            res.on_written(move |_| panics()).expect("it goes on");
        }
        "written at the end" => {
            res.end("x");
            res.on_written(move |_| panics()).expect("it goes on");
        }
        "collect" | "collect, too long" | "collect, cut off" => {
            req.collect(100, move |_| panics());
        }
        "half_close" => res.on_half_close(panics),
        "drain" => {
            res.on_drain(panics);
            assert!(!res.write(vec![b'x'; 100_000]));
        }
        "finish" => {
            res.on_finish(panics);
            res.end("x");
        }
        "finish before the request" => {
            req.resume();
            res.on_finish(panics);
            res.end("x");
        }
        "close" => {
            res.on_close(panics);
            res.end("x");
        }
        "end" => {
            req.on_end(panics);
            req.resume();
        }
        "client_error, begun" => {
            req.resume();
            res.write("x");
        }
        "client_error, answered" => {
            req.resume();
            res.end("x");
        }
        "timeout of the server" => {}
        _ => res.end("x"),
    }
}

fn server(case: &'static str, log: &Log, bench: &Bench) -> Server {
    let mut options = ServerOptions::new().timeout(seconds(2));
    if case == "drop_request" {
        options = options.max_requests_per_socket(1);
    }
    let server = Server::new(bench.event_loop.handle(), options).expect("a server");
    let (panics, notes) = (panicking::<()>(log), log.clone());
    let refuses = panicking::<bool>(log);
    server.on_request(move |req, res| match req.url() {
        "/fine" => res.end("fine"),
        _ if case == "request" => panics(),
        _ => handle(case, &notes, &req, res),
    });
    let panics = panicking::<()>(log);
    match case {
        "connection" => server.on_connection(move |_| panics()),
        "timeout of the server" | "timeout of the server, silent" => {
            server.on_timeout(move |_| panics());
        }
        "drop" => server.on_drop(move |_| panics()),
        "drop_request" => server.on_drop_request(move |_, _| panics()),
        "check_continue" => server.on_check_continue(move |_, _| panics()),
        "check_expectation" => server.on_check_expectation(move |_, _| panics()),
        "upgrade" => server.on_upgrade(move |_, _, _| panics()),
        "should_upgrade" => server.should_upgrade(move |_| refuses()),
        "connect" => server.on_connect(move |_, _, _| panics()),
        _ if case.starts_with("client_error") => server.on_client_error(move |_, _| panics()),
        _ => {}
    }
    server.listen("127.0.0.1:80").expect("a free port");
    server
}

#[test]
fn a_panic_in_any_callback_of_a_server_harms_nobody_else() {
    for policy in [PanicPolicy::Propagate, PanicPolicy::Contain] {
        for (case, request) in cases() {
            let net = SimNet::new(1);
            let event_loop = net.event_loop(LoopOptions::new().panic_policy(policy));
            let mut bench = Bench { net, event_loop, panics: 0 };
            let log = Log::new();
            let server = server(case, &log, &bench);
            for round in 1..=2 {
                let limit = if case == "drop" { Some(0) } else { None };
                server.set_max_connections(limit);
                let peer = bench.send(&request);
                if matches!(case, "half_close" | "collect, cut off") {
                    peer.shutdown_write();
                }
                bench.pass(seconds(1));
                peer.read();
                bench.pass(seconds(10));
                drop(peer);
                bench.pass(seconds(10));
                assert_eq!(log.len(), round, "{policy:?} {case}: called");
                let expected = if policy == PanicPolicy::Contain { 0 } else { round };
                assert_eq!(bench.panics, expected, "{policy:?} {case}: panics");
                let left = stats(&bench.event_loop);
                assert_eq!(left.server_connections + left.upgraded, 0, "{policy:?} {case}");
                assert_eq!(server.connections(), 0, "{policy:?} {case}");
            }
            server.set_max_connections(None);
            server.off_connection();
            let peer = bench.send(&get("/fine", ""));
            bench.pass(seconds(1));
            let answer = String::from_utf8(peer.read()).expect("text");
            assert!(answer.ends_with("fine"), "{policy:?} {case}: {answer}");
            drop(peer);
            server.close();
            bench.pass(seconds(5));
            assert!(!bench.event_loop.is_alive(), "{policy:?} {case}");
        }
    }
}
