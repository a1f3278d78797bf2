//! Listeners of what follows a valid request on its connection fail, by an error or a panic: the answers before it
//! come whole all the same.

use std::time::Duration;

use onloop::http::{Server, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions, SimPeer};
use onloop::{Error, EventLoop, LoopOptions, PanicPolicy};

const LENGTH: usize = 50_000;
const FIRST: &str = "GET /first HTTP/1.1\r\nHost: h\r\n\r\n";

/// How a listener fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Error,
    Panic,
}

impl Failure {
    fn happen(self) -> onloop::Result<()> {
        match self {
            Failure::Error => Err(Error::other("as it should")),
            Failure::Panic => panic!("as it should"),
        }
    }
}

/// A client that takes little at a time, a server with a large answer, and what follows the request of it.
fn answer_before(failure: Failure, follows: &str, behind: &[u8]) -> (Vec<u8>, SimPeer) {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let options = LoopOptions::new().panic_policy(PanicPolicy::Contain);
    let mut event_loop = net.event_loop(options);
    let mut options = ServerOptions::new();
    if follows.starts_with("GET /behind") {
        options = options.max_requests_per_socket(1);
    }
    let server = Server::new(event_loop.handle(), options).expect("a server");
    server.on_request(|req, res| {
        req.resume();
        res.end(vec![b'x'; LENGTH]);
    });
    server.on_client_error(move |_error, _socket| failure.happen());
    server.on_drop_request(move |_req, _connection| failure.happen());
    server.on_connect(move |_req, socket, _head| {
        socket.on_data(|_| {});
        socket.write("words of a tunnel");
        failure.happen()
    });
    // Nobody takes what is accepted.
    server.should_upgrade(|_req| true);
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    assert_eq!(peer.write(follows.as_bytes()), follows.len());
    pass(&net, &mut event_loop);
    let mut received = Vec::new();
    for _ in 0..1_000 {
        peer.write(behind);
        received.extend(peer.read());
        if peer.is_eof() || peer.is_reset() {
            break;
        }
        pass(&net, &mut event_loop);
    }
    (received, peer)
}

fn pass(net: &SimNet, event_loop: &mut EventLoop) {
    let end = net.now() + Duration::from_millis(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        sim::check(event_loop).unwrap();
    }
}

#[test]
fn an_answer_comes_whole_although_the_listener_of_what_follows_it_fails() {
    for failure in [Failure::Error, Failure::Panic] {
        for follows in [
            FIRST.to_owned() + "G@T",
            "POST /first HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nz".to_owned(),
            "GET /behind HTTP/1.1\r\nHost: h\r\n\r\n".repeat(2),
            FIRST.to_owned() + "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            FIRST.to_owned()
                + "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: u\r\n\r\n",
        ] {
            for behind in [&b""[..], b"more"] {
                let (received, peer) = answer_before(failure, &follows, behind);
                let content = received.iter().filter(|&&byte| byte == b'x').count();
                let context = format!("{failure:?} behind {follows:?}");
                assert_eq!(content, LENGTH, "{context}");
                assert!(received.ends_with(b"x"), "{context}: nothing follows it");
                assert!(peer.is_eof() && !peer.is_reset(), "{context}");
            }
        }
    }
}

#[test]
fn an_answer_comes_whole_although_nobody_waits_for_the_next_behind_a_half_close() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let options = ServerOptions::new().allow_half_open(false);
    let server = Server::new(event_loop.handle(), options).expect("a server");
    server.on_request(|req, res| {
        if req.url() == "/first" {
            res.end(vec![b'x'; LENGTH]);
        }
    });
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(FIRST.as_bytes());
    peer.write(b"GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    peer.shutdown_write();
    let mut received = Vec::new();
    for _ in 0..1_000 {
        pass(&net, &mut event_loop);
        received.extend(peer.read());
        if peer.is_eof() || peer.is_reset() {
            break;
        }
    }
    let content = received.iter().filter(|&&byte| byte == b'x').count();
    assert_eq!((content, peer.is_reset()), (LENGTH, false));
    assert_eq!(server.connections(), 0);
}
