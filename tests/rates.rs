//! How slow a client may be: the least rates of content and of reading, on a simulated clock.

mod common;

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use common::clocked::{Clocked, assert_about, seconds};
use common::{Log, get};
use onloop::http::{self, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions};
use onloop::{Clock, ErrorKind, Limits, LoopOptions};

/// The span over which the rate of content is taken.
const SPAN: Duration = Duration::from_secs(30);

/// A request whose content has this length.
fn post(length: usize) -> String {
    get("/", &format!("Content-Length: {length}\r\n"))
}

#[test]
fn content_that_drips_is_408_though_something_comes_all_the_time() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let notes = log.clone();
    let server =
        clocked.serve(ServerOptions::new().request_timeout(Duration::ZERO), move |req, res| {
            req.resume();
            req.on_error(notes.noting_error("error"));
            res.on_close(notes.noting("closed"));
        });
    server.on_client_error({
        let log = log.clone();
        move |error, socket| {
            assert_eq!(error.kind(), ErrorKind::Timeout(Clock::BodyRate));
            assert!(error.to_string().contains("min_body_rate"), "{error}");
            log.note("client error");
            socket.end("HTTP/1.1 408 Too Slow\r\nConnection: close\r\n\r\n");
        }
    });
    let peer = clocked.send(&post(100_000));
    for _ in 0..29 {
        clocked.pass(seconds(1));
        peer.write(&[b'x'; 239]);
    }
    assert_eq!(log.all(), [""; 0]);
    let (_, text) = clocked.until_end(&peer);
    assert_about(clocked.net.now(), SPAN);
    assert!(text.starts_with("HTTP/1.1 408 Too Slow\r\n"), "{text}");
    assert_eq!(log.all(), ["client error", "error ERR_HTTP_REQUEST_TIMEOUT", "closed"]);
    drop(peer);
    clocked.pass(seconds(1));
    assert_eq!(clocked.connections(), 0);
}

#[test]
fn content_at_the_least_rate_takes_as_long_as_it_takes() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new().request_timeout(Duration::ZERO), |req, res| {
        let body = req.body();
        body.collect(usize::MAX, move |content| {
            res.end(content.map_or(0, |c| c.len()).to_string())
        });
    });
    // In one go at the beginning of each span is as good as evenly.
    let peer = clocked.send(&post(40 * 7_200));
    for _ in 0..40 {
        peer.write(&[b'x'; 7_200]);
        clocked.pass(SPAN - Duration::from_millis(100));
    }
    let text = String::from_utf8_lossy(&peer.read()).into_owned();
    assert!(text.ends_with("\r\n\r\n288000"), "{text}");
}

#[test]
fn a_fast_beginning_buys_no_time() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new().request_timeout(Duration::ZERO), |req, _res| req.resume());
    let peer = clocked.send(&post(10_000_000));
    for _ in 0..100 {
        peer.write(&[b'x'; 50_000]);
        clocked.pass(Duration::from_millis(10));
    }
    let (took, text) = clocked.until_end(&peer);
    assert!(took <= SPAN + seconds(1), "{took:?}");
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
}

#[test]
fn no_time_passes_while_the_handler_does_not_read() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new().request_timeout(Duration::ZERO), move |req, res| {
        let body = req.body();
        req.on_data(move |_| {
            body.pause();
            lp.set_timeout(seconds(100), move || body.resume());
        });
        req.on_end(move || res.end("all"));
    });
    let peer = clocked.send(&(post(3) + "a"));
    clocked.pass(seconds(110));
    assert_eq!(peer.read(), b"");
    peer.write(b"b");
    clocked.pass(seconds(110));
    peer.write(b"c");
    clocked.pass(seconds(110));
    assert!(String::from_utf8_lossy(&peer.read()).ends_with("\r\n\r\nall"));
}

#[test]
fn no_time_passes_after_a_pause_that_was_made_elsewhere() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new().request_timeout(Duration::ZERO), move |req, res| {
        let body = req.body();
        body.on_data(|_| {});
        body.on_end(move || res.end("all"));
        // Nothing comes on the connection then.
        lp.set_timeout(seconds(5), move || body.pause());
        lp.set_timeout(seconds(100), move || body.resume());
    });
    let peer = clocked.send(&(post(2) + "a"));
    clocked.pass(seconds(110));
    assert_eq!(String::from_utf8_lossy(&peer.read()), "");
    peer.write(b"b");
    clocked.pass(seconds(1));
    assert!(String::from_utf8_lossy(&peer.read()).ends_with("\r\n\r\nall"));
}

#[test]
fn the_rate_of_content_can_be_set_and_turned_off() {
    for (rate, expected) in [(0, None), (1, Some(SPAN * 2)), (100_000, Some(SPAN))] {
        let mut clocked = Clocked::new();
        let options = ServerOptions::new().request_timeout(Duration::ZERO).min_body_rate(rate);
        clocked.serve(options, |req, _res| req.resume());
        let peer = clocked.send(&post(1_000_000));
        // Thirty bytes at the end of each of the first two spans.
        for _ in 0..2 {
            clocked.pass(SPAN - seconds(1));
            peer.write(&[b'x'; 30]);
        }
        let Some(expected) = expected else {
            clocked.pass(seconds(10_000));
            assert_eq!(peer.read(), b"");
            assert!(!peer.is_eof(), "rate 0 is off");
            continue;
        };
        let (_, text) = clocked.until_end(&peer);
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
        assert!(clocked.net.now() <= expected + SPAN - seconds(1), "{:?}", clocked.net.now());
    }
}

#[test]
fn content_that_nobody_wants_has_to_come_as_fast() {
    let mut clocked = Clocked::new();
    clocked
        .serve(ServerOptions::new().request_timeout(Duration::ZERO), |_req, res| res.end("early"));
    let peer = clocked.send(&post(100_000));
    let (took, text) = clocked.until_end(&peer);
    assert!(took <= SPAN + seconds(3), "{took:?}");
    assert!(text.ends_with("\r\n\r\nearly"), "{text}");
    drop(peer);
    clocked.pass(seconds(1));
    assert_eq!(clocked.connections(), 0);
}

/// A server that answers with 10 MB, on a network whose buffers hold next to nothing.
fn big_answer(options: ServerOptions) -> (Clocked, sim::SimPeer) {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let event_loop = net.event_loop(LoopOptions::default());
    let clocked = Clocked { net, event_loop, turns: 0 };
    clocked.serve(options, |_req, res| res.end(vec![b'x'; 10_000_000]));
    let peer = clocked.send(&get("/", ""));
    (clocked, peer)
}

#[test]
fn a_client_that_reads_in_sips_is_dropped() {
    let (mut clocked, peer) = big_answer(ServerOptions::new());
    let received = clocked.read_slowly(&peer, 200, usize::MAX);
    assert!(peer.is_reset() || peer.is_eof());
    assert!(clocked.net.now() <= seconds(70), "{:?}", clocked.net.now());
    assert!(received.len() >= 200 * 59, "{}", received.len());
    assert_eq!(clocked.connections(), 0);
}

#[test]
fn a_client_that_reads_at_the_least_rate_is_served() {
    let (mut clocked, peer) = big_answer(ServerOptions::new());
    let received = clocked.read_slowly(&peer, 300, 300_000);
    assert_eq!(received.len(), 300_000);
    assert!(clocked.net.now() >= seconds(1_000) && clocked.connections() == 1);
}

#[test]
fn the_rate_of_reading_can_be_set_and_turned_off() {
    let (mut clocked, peer) = big_answer(ServerOptions::new().min_write_rate(0));
    let received = clocked.read_slowly(&peer, 1, 1_000);
    assert_eq!(received.len(), 1_000);
    let (mut clocked, peer) = big_answer(ServerOptions::new().min_write_rate(2_000));
    clocked.read_slowly(&peer, 1_000, usize::MAX);
    assert!(clocked.net.now() <= seconds(65), "{:?}", clocked.net.now());
}

#[test]
fn the_rate_of_one_connection_is_not_that_of_the_next() {
    // A state that was used by a slow connection serves another one.
    let (mut clocked, peer) = big_answer(ServerOptions::new());
    clocked.pass(seconds(55));
    drop(peer);
    clocked.pass(seconds(1));
    assert_eq!(clocked.connections(), 0);
    let peer = clocked.send(&get("/", ""));
    clocked.pass(seconds(20));
    assert_eq!(clocked.connections(), 1);
    let received = clocked.read_slowly(&peer, 1_000, 50_000);
    assert_eq!(received.len(), 50_000);
}

#[test]
fn a_byte_stream_that_is_to_end_is_not_held_open_by_single_bytes() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let event_loop = net.event_loop(LoopOptions::default());
    let mut clocked = Clocked { net, event_loop, turns: 0 };
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    server.on_upgrade(|_req, socket, _head| {
        socket
            .write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        socket.write(vec![b'x'; 100_000]);
        socket.destroy_soon();
    });
    let peer = clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    clocked.pass(seconds(1));
    for _ in 0..65 {
        peer.read_up_to(10);
        peer.write(b"y");
        clocked.pass(seconds(1));
    }
    assert_eq!(clocked.connections(), 0);
}

#[test]
fn the_side_of_the_client_does_not_wait_for_ever_either() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let event_loop = net.event_loop(LoopOptions::default());
    let mut clocked = Clocked { net, event_loop, turns: 0 };
    let lp = clocked.event_loop.handle();
    let address = SocketAddr::from(([127, 0, 0, 1], 81));
    let listener = clocked.net.listen(&address.into()).expect("a port");
    let request = http::request(lp, "GET", "http://127.0.0.1:81/").expect("a request");
    request.set_header("Connection", "upgrade").expect("a header");
    request.set_header("Upgrade", "x").expect("a header");
    request.on_upgrade(|_response, socket, _head| {
        socket.write(vec![b'x'; 100_000]);
        socket.destroy_soon();
    });
    request.end("");
    clocked.pass(seconds(1));
    let peer = listener.accept().expect("a connection");
    clocked.pass(seconds(1));
    peer.read();
    peer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    clocked.pass(seconds(2));
    assert_eq!(clocked.connections(), 1);
    for _ in 0..65 {
        peer.read_up_to(10);
        clocked.pass(seconds(1));
    }
    assert_eq!(clocked.connections(), 0);
}

#[test]
fn a_byte_stream_that_is_to_end_may_be_slow_where_its_own_timeout_is_short() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let event_loop = net.event_loop(LoopOptions::default());
    let mut clocked = Clocked { net, event_loop, turns: 0 };
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    server.on_upgrade(|_req, socket, _head| {
        socket.set_timeout(seconds(2));
        socket.write(vec![b'x'; 100_000]);
        socket.destroy_soon();
    });
    let peer = clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    // Far more than the least rate, and never nothing for two seconds.
    assert_eq!(clocked.read_slowly(&peer, 1_000, 30_000).len(), 30_000);
    // Then nothing.
    clocked.pass(seconds(3));
    assert_eq!(clocked.connections(), 0);
}

/// Writes whenever there is room, which there always is, so often.
macro_rules! write_on {
    ($target:expr, $count:expr, $log:expr) => {{
        let (target, left) = ($target, Cell::new($count));
        target.set_timeout(seconds(1));
        target.on_timeout($log.noting("timeout"));
        target.on_drain(move || {
            left.set(left.get() - 1);
            match left.get() {
                0 => target.end("the end"),
                _ => {
                    target.write("x");
                }
            }
        });
        target.write("x");
    }};
}

/// More than are called in 30 turns, which are three seconds here.
const CALLS: usize = 30 * 64;

#[test]
fn bytes_that_always_find_room_are_no_silence() {
    for role in ["response", "socket", "request"] {
        let net = SimNet::new(1);
        let limits = Limits::new().high_water_mark(1);
        let event_loop = net.event_loop(LoopOptions::new().limits(limits));
        let mut clocked = Clocked { net, event_loop, turns: 0 };
        let log = Log::new();
        let (notes, upgraded) = (log.clone(), log.clone());
        let server = clocked.serve(ServerOptions::new(), move |_req, res| {
            write_on!(res, CALLS, notes);
        });
        server.on_upgrade(move |_req, socket, _head| write_on!(socket, CALLS, upgraded));
        let address = SocketAddr::from(([127, 0, 0, 1], 81));
        let listener = clocked.net.listen(&address.into()).expect("a port");
        let peer = match role {
            "response" => clocked.send(&get("/", "")),
            "socket" => clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n")),
            _ => {
                let lp = clocked.event_loop.handle();
                let request = http::request(lp, "PUT", "http://127.0.0.1:81/").expect("a request");
                write_on!(request, CALLS, log);
                loop {
                    clocked.event_loop.turn(Some(Duration::ZERO)).expect("a turn");
                    clocked.net.advance(Duration::from_millis(1));
                    if let Some(peer) = listener.accept() {
                        break peer;
                    }
                }
            }
        };
        let mut received = Vec::new();
        for _ in 0..100 {
            clocked.event_loop.turn(Some(Duration::ZERO)).expect("a turn");
            sim::check(&clocked.event_loop).expect("it is in order");
            received.extend(peer.read());
            if received.windows(7).any(|window| window == b"the end") {
                break;
            }
            clocked.net.advance(Duration::from_millis(100));
        }
        let text = String::from_utf8_lossy(&received);
        assert!(text.contains("the end"), "{role}: {} bytes", received.len());
        assert!(clocked.net.now() >= seconds(2), "{role}: it is too short to tell");
        assert_eq!(log.all(), [""; 0], "{role}");
    }
}
