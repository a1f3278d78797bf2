//! The clocks of a server and of a client, on a simulated clock: hours take no time, and when a connection
//! ends is exact but for the sweep's tick.

mod common;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use common::clocked::{Clocked, LATE, assert_about, seconds};
use common::{Log, get};
use onloop::http::{self, RequestOptions, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions};
use onloop::{Clock, ErrorKind, EventLoop, LoopOptions};

#[test]
fn a_connection_that_says_nothing_is_closed_without_a_word() {
    for opening in ["", "\r\n", "\r"] {
        let mut clocked = Clocked::new();
        clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
        let peer = clocked.send(opening);
        let (took, text) = clocked.until_end(&peer);
        assert_about(took, seconds(60));
        assert_eq!(text, "", "{opening:?}");
    }
}

#[test]
fn a_head_that_drips_is_408_and_bytes_extend_nothing() {
    for first in ["", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"] {
        let mut clocked = Clocked::new();
        let options = ServerOptions::new().headers_timeout(seconds(10));
        let server = clocked.serve(options, |_req, res| res.end("x"));
        let codes = Log::new();
        if first.is_empty() {
            server.on_client_error({
                let codes = codes.clone();
                move |error, socket| {
                    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Headers));
                    assert!(error.is_timeout() && error.status_hint() == Some(408));
                    codes.note(error.code());
                    socket.write("HTTP/1.1 408 Mine\r\n\r\n");
                }
            });
        }
        let peer = clocked.send(first);
        clocked.pass(seconds(4));
        // The clock of a later request begins with its first byte, of the first with the connection.
        let waited = if first.is_empty() { seconds(4) } else { Duration::ZERO };
        let begin = clocked.net.now();
        peer.write(b"GET / HTTP/1.1\r\nX: ");
        for _ in 0..5 {
            clocked.pass(seconds(1));
            assert_eq!(peer.write(b"x"), 1);
        }
        peer.read();
        let (_, text) = clocked.until_end(&peer);
        assert_about(clocked.net.now() - begin, seconds(10) - waited);
        assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
        assert_eq!(codes.all(), ["ERR_HTTP_REQUEST_TIMEOUT"][..usize::from(first.is_empty())]);
    }
}

#[test]
fn a_request_whose_content_drips_is_408() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let notes = log.clone();
    clocked.serve(ServerOptions::new().min_body_rate(0), move |req, res| {
        req.resume();
        req.on_end(notes.noting("end"));
        req.on_aborted(notes.noting("aborted"));
        req.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("closed"));
    });
    let peer = clocked.send(&get("/", "Content-Length: 1000\r\n"));
    for _ in 0..290 {
        clocked.pass(seconds(1));
        peer.write(b"x");
    }
    assert_eq!(log.len(), 0);
    let (_, text) = clocked.until_end(&peer);
    assert_about(clocked.net.now(), seconds(300));
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{text}");
    assert!(text.contains("Connection: close\r\n"));
    assert_eq!(log.all(), ["aborted", "error ERR_HTTP_REQUEST_TIMEOUT", "closed"]);
}

#[test]
fn no_408_where_the_answer_has_begun() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new().min_body_rate(0), |req, res| {
        req.resume();
        res.write("begun");
    });
    let peer = clocked.send(&get("/", "Content-Length: 1000\r\n"));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(300));
    assert!(text.ends_with("\r\n\r\n5\r\nbegun\r\n"), "{text}");
}

#[test]
fn a_handler_has_all_the_time_it_wants() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new(), move |req, res| {
        req.resume();
        lp.set_timeout(seconds(7200), move || res.end("two hours later"));
    });
    let peer = clocked.send("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx");
    let (took, text) = clocked.until_end(&peer);
    assert!(took >= seconds(7200) && text.ends_with("two hours later"), "{took:?} {text}");
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| res.end("x"));
    let peer = clocked.send(&get("/", ""));
    // A second request begins the time anew; empty lines are no request.
    clocked.pass(seconds(60));
    peer.write(get("/", "").as_bytes());
    let begin = clocked.net.now();
    clocked.pass(seconds(1));
    let received = peer.read();
    assert_eq!(received.windows(5).filter(|part| part == b"\r\n\r\nx").count(), 2);
    let (_, text) = clocked.until_end(&peer);
    assert_about(clocked.net.now() - begin, seconds(66));
    assert_eq!(text, "");
}

#[test]
fn an_empty_line_does_not_keep_a_connection() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| res.end("x"));
    let peer = clocked.send(&(get("/", "") + "\r\n"));
    let (took, text) = clocked.until_end(&peer);
    assert!(took <= seconds(66) + LATE && text.ends_with("\r\n\r\nx"), "{took:?} {text}");
}

#[test]
fn clocks_of_zero_are_off() {
    let mut clocked = Clocked::new();
    let off = Duration::ZERO;
    let options = ServerOptions::new()
        .headers_timeout(off)
        .request_timeout(off)
        .min_body_rate(0)
        .write_timeout(off)
        .keep_alive_timeout(off);
    clocked.serve(options, |req, res| {
        req.resume();
        req.on_end(move || res.end("x"));
    });
    let silent = clocked.send("");
    let head = clocked.send("GET / HT");
    let content = clocked.send(&get("/", "Content-Length: 2\r\nConnection: close\r\n"));
    let idle = clocked.send(&get("/", ""));
    clocked.pass(seconds(100_000));
    assert!(idle.read().ends_with(b"\r\n\r\nx"));
    for (peer, rest) in [
        (idle, "GET / HTTP/1.0\r\n\r\n"),
        (silent, "GET / HTTP/1.0\r\n\r\n"),
        (head, "TP/1.0\r\n\r\n"),
        (content, "xx"),
    ] {
        peer.write(rest.as_bytes());
        let (_, text) = clocked.until_end(&peer);
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    }
}

#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let notes = log.clone();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        res.on_error(notes.noting_error("error"));
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("closed"));
        res.end(vec![b'x'; 1_000_000]);
    });
    let peer = clocked.send(&get("/", ""));
    clocked.pass(seconds(30));
    // What is read begins the time anew.
    assert!(!peer.read_up_to(50_000).is_empty());
    clocked.pass(seconds(59));
    assert_eq!(log.len(), 0);
    clocked.pass(seconds(2));
    assert_eq!(log.all(), ["error ETIMEDOUT", "closed"]);
    assert_eq!(sim::stats(&clocked.event_loop).server_connections, 0);
}

#[test]
fn set_timeout_of_a_response_tells_and_ends_where_nobody_listens() {
    for listens in [true, false] {
        let mut clocked = Clocked::new();
        let log = Log::new();
        let notes = log.clone();
        clocked.serve(ServerOptions::new(), move |_req, res| {
            res.set_timeout(seconds(7));
            if listens {
                let notes = notes.clone();
                res.on_timeout(move || {
                    notes.note("timeout");
                    if notes.count("timeout") == 3 {
                        res.end("late");
                    }
                    // It tells once, unless it is set again.
                    res.set_timeout(seconds(7));
                });
            }
            res.on_close(notes.noting("closed"));
        });
        let peer = clocked.send("GET / HTTP/1.0\r\n\r\n");
        let (took, text) = clocked.until_end(&peer);
        if listens {
            assert!(took >= seconds(21) && text.ends_with("late"), "{took:?} {text}");
            assert_eq!(log.all(), ["timeout", "timeout", "timeout", "closed"]);
        } else {
            assert_about(took, seconds(7));
            assert_eq!((text.as_str(), log.all()), ("", vec!["closed".to_owned()]));
        }
    }
}

#[test]
fn a_long_answer_to_a_slow_reader_is_no_silence() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let notes = log.clone();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        res.set_timeout(seconds(7));
        res.on_timeout(notes.noting("timeout"));
        res.on_finish(notes.noting("finish"));
        res.end(vec![b'x'; 2_000_000]);
    });
    let peer = clocked.send("GET / HTTP/1.0\r\n\r\n");
    let mut received = 0;
    for _ in 0..30 {
        clocked.pass(seconds(5));
        received += peer.read_up_to(60_000).len();
    }
    assert!(received < 2_000_000 && log.len() == 0, "{received} {:?}", log.all());
    clocked.pass(seconds(15));
    assert!(log.count("timeout") > 0, "now nothing moves");
}

#[test]
fn no_clock_of_the_server_runs_on_an_upgraded_connection() {
    let mut clocked = Clocked::new();
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    server.on_upgrade(|_req, socket, _head| {
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        socket.set_timeout(seconds(4000));
        socket.on_timeout(move || socket.end("idle"));
    });
    let peer = clocked.send(&get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(4000));
    assert!(text.ends_with("\r\n\r\nidle"), "{text}");
}

#[test]
fn a_closed_connection_does_not_wait_for_its_peer_for_ever() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| res.end("x"));
    let peer = clocked.send("GET / HTTP/1.0\r\n\r\n");
    clocked.until_end(&peer);
    assert_eq!(sim::stats(&clocked.event_loop).lingering, 1);
    clocked.pass(seconds(3));
    assert_eq!(sim::stats(&clocked.event_loop).server_connections, 0);
}

#[test]
fn a_client_is_told_of_silence_and_decides() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    let log = Log::new();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        lp.set_timeout(seconds(3), move || {
            res.write("something");
        });
    });
    let options = RequestOptions::new("GET", "http://127.0.0.1/").timeout(seconds(5));
    let request = http::request_with(lp, options).unwrap();
    let (notes, net) = (log.clone(), clocked.net.clone());
    request.on_timeout(move || {
        notes.note(format!("timeout at {}", net.now().as_secs()));
    });
    lp.set_timeout(seconds(50), move || request.destroy());
    request.on_response(|response| response.resume());
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    clocked.pass(seconds(60));
    // Three seconds of silence, bytes, then five. It only tells, and once, until something moves again.
    assert_eq!(log.all(), ["timeout at 8", "error ECONNRESET", "closed"]);
}

#[test]
fn an_address_that_does_not_answer_gives_way_to_the_next() {
    let options = SimOptions::default().connect_silence(1000);
    let net = SimNet::with_options(1, options);
    net.add_host("two.test", vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let listener =
        net.listen(&"10.0.0.2:80".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let status = Rc::new(RefCell::new(None));
    let found = Rc::clone(&status);
    http::get(event_loop.handle(), "http://two.test/", move |response| {
        *found.borrow_mut() = Some(response.status());
    })
    .unwrap();
    let turn = |event_loop: &mut EventLoop| {
        event_loop.turn(Some(Duration::from_millis(10))).expect("a turn")
    };
    while net.now() < Duration::from_millis(100) {
        turn(&mut event_loop);
    }
    net.set_options(SimOptions::default());
    let mut accepted = None;
    while status.borrow().is_none() {
        turn(&mut event_loop);
        assert!(net.now() < seconds(60), "no answer");
        if accepted.is_none() {
            accepted = listener.accept();
            if let Some(peer) = &accepted {
                peer.write(b"HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
    }
    assert_eq!(*status.borrow(), Some(204));
}

#[test]
fn connecting_counts_as_silence() {
    let net = SimNet::with_options(1, SimOptions::default().connect_silence(1000));
    let mut event_loop = net.event_loop(LoopOptions::default());
    let options = http::RequestOptions::new("GET", "http://10.0.0.9/").timeout(seconds(3));
    let request = http::request_with(event_loop.handle(), options).unwrap();
    let told = Rc::new(RefCell::new(Vec::new()));
    let (times, clock) = (Rc::clone(&told), net.clone());
    request.on_timeout(move || times.borrow_mut().push(clock.now()));
    let ended = Rc::new(RefCell::new(None));
    let error = Rc::clone(&ended);
    request.on_error(move |failure| *error.borrow_mut() = Some(failure.code()));
    request.end("");
    while net.now() < seconds(20) {
        event_loop.turn(Some(Duration::from_millis(100))).expect("a turn");
    }
    assert_eq!(told.borrow().len(), 1, "told once: {:?}", told.borrow());
    assert_about(told.borrow()[0], seconds(3));
    assert_eq!(*ended.borrow(), None, "it only tells");
    request.destroy();
    event_loop.turn(Some(Duration::ZERO)).expect("a turn");
    assert_eq!(*ended.borrow(), Some("ECONNRESET"));
}

#[test]
fn a_timeout_of_zero_is_off_again() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        res.set_timeout(seconds(1));
        res.set_timeout(Duration::ZERO);
        lp.set_timeout(seconds(30), move || res.end("late"));
    });
    let options = RequestOptions::new("GET", "http://127.0.0.1/").timeout(seconds(5));
    let request = http::request_with(lp, options).unwrap();
    let log = Log::new();
    request.on_timeout(log.noting("timeout"));
    request.on_response(log.noting_response());
    request.set_timeout(Duration::ZERO);
    request.end("");
    clocked.pass(seconds(31));
    assert_eq!(log.all(), ["200"]);
}

#[test]
fn a_free_connection_is_kept_for_its_time() {
    // By our own option, or by what the server says, less a second.
    for (hint, kept) in
        [("", 5), ("Keep-Alive: timeout=4\r\n", 3), ("Keep-Alive: timeout=60\r\n", 5)]
    {
        let net = SimNet::new(1);
        let mut event_loop = net.event_loop(LoopOptions::default());
        let address = "10.0.0.1:80".parse::<std::net::SocketAddr>().unwrap();
        let listener = net.listen(&address.into()).unwrap();
        http::get(event_loop.handle(), "http://10.0.0.1/", |response| response.resume()).unwrap();
        let mut accepted = None;
        while sim::stats(&event_loop).free_connections == 0 {
            event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
            assert!(net.now() < seconds(60), "it is not kept");
            if accepted.is_none() {
                accepted = listener.accept();
                if let Some(peer) = &accepted {
                    peer.write(
                        format!("HTTP/1.1 200 OK\r\n{hint}Content-Length: 0\r\n\r\n").as_bytes(),
                    );
                }
            }
        }
        let begin = net.now();
        while sim::stats(&event_loop).free_connections > 0 {
            event_loop.turn(Some(seconds(1))).expect("a turn");
            assert!(net.now() < begin + seconds(100), "it is kept for ever");
        }
        assert_about(net.now() - begin, seconds(kept));
    }
}

#[test]
fn a_stream_that_is_to_be_closed_does_not_wait_for_ever_for_a_peer_that_does_not_read() {
    // On a server its clock is the server's, whatever the stream's own is set to.
    let net = SimNet::with_options(1, SimOptions::default().capacity(100));
    let mut event_loop = net.event_loop(LoopOptions::default());
    let options = ServerOptions::new().write_timeout(seconds(5));
    let server = http::Server::new(event_loop.handle(), options).unwrap();
    server.on_upgrade(|_req, socket, _head| {
        socket.write([b'x'; 10_000].as_slice());
        socket.destroy_soon();
        socket.set_timeout(Duration::ZERO);
    });
    server.listen("10.0.0.1:80").unwrap();
    let peer = net.connect(&server.address().unwrap());
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
    while sim::stats(&event_loop).upgraded > 0 || net.now() < seconds(1) {
        event_loop.turn(Some(seconds(1))).unwrap();
        assert!(net.now() < seconds(20), "{:?}", sim::stats(&event_loop));
    }
    // A client's has its own.
    let upstream = net.listen(&"10.0.0.2:80".parse::<std::net::SocketAddr>().unwrap().into());
    let upstream = upstream.unwrap();
    let request = http::request(event_loop.handle(), "GET", "http://10.0.0.2/").unwrap();
    request.set_header("Connection", "upgrade").unwrap();
    request.set_header("Upgrade", "raw").unwrap();
    request.on_upgrade(|_response, socket, _head| {
        socket.set_timeout(seconds(5));
        socket.write([b'x'; 10_000].as_slice());
        socket.destroy_soon();
    });
    request.end("");
    let (began, mut accepted) = (net.now(), None);
    loop {
        event_loop.turn(Some(seconds(1))).unwrap();
        accepted = accepted.take().or_else(|| upstream.accept());
        let stats = sim::stats(&event_loop);
        if let Some(accepted) = accepted.as_ref().filter(|_| stats.upgraded == 0) {
            if stats.client_requests == 0 {
                break;
            }
            accepted.read();
            accepted.write(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
            );
        }
        assert!(net.now() - began < seconds(60), "{stats:?}");
    }
}

#[test]
fn a_request_that_is_made_again_has_its_timeout_also_while_its_name_is_looked_up() {
    // The kept connection breaks, and the name, which was found before, is not found any more for long.
    let net = SimNet::new(1);
    net.add_host("again.test", vec!["10.0.0.2".parse().unwrap()]);
    let mut event_loop = net.event_loop(LoopOptions::new().lookup_cache(Duration::ZERO));
    let lp = event_loop.handle();
    let upstream = net.listen(&"10.0.0.2:80".parse::<std::net::SocketAddr>().unwrap().into());
    let upstream = upstream.unwrap();
    let told = Log::new();
    let ask = |told: Log| {
        let options = RequestOptions::new("GET", "http://again.test/").timeout(seconds(3));
        let request = http::request_with(lp, options).unwrap();
        let (answers, timeouts, errors) = (told.clone(), told.clone(), told);
        request.on_response(move |response| {
            response.resume();
            answers.note("answer");
        });
        request.on_timeout(move || {
            timeouts.note("timeout");
            request.destroy();
        });
        request.on_error(move |_| errors.note("error"));
        request.end("");
    };
    ask(told.clone());
    let mut accepted = None;
    while told.all().is_empty() {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        accepted = accepted.take().or_else(|| upstream.accept());
        if let Some(peer) = accepted.as_ref().filter(|peer| peer.available() > 0) {
            peer.read();
            peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    }
    while sim::stats(&event_loop).free_connections == 0 {
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }
    ask(told.clone());
    drop(accepted);
    // The end of the connection is on its way. Lookups take ten minutes from now on, as everything does.
    net.set_options(SimOptions::default().delay(seconds(600)..=seconds(600)));
    let began = net.now();
    while told.all().len() < 3 {
        event_loop.turn(Some(seconds(1))).unwrap();
        sim::check(&event_loop).unwrap();
        assert!(net.now() - began < seconds(3000), "{:?}", told.all());
    }
    assert_eq!(told.all(), ["answer", "timeout", "error"]);
}

#[test]
fn a_clock_that_is_set_while_many_connections_are_looked_through_is_not_forgotten() {
    // So many slots are looked through in two parts, with a pause between them.
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new().reserve(150_000));
    let options = ServerOptions::new()
        .keep_alive_timeout(seconds(3))
        .keep_alive_timeout_buffer(Duration::ZERO)
        .timeout(seconds(1));
    let server = http::Server::new(event_loop.handle(), options).unwrap();
    server.on_request(|_req, res| res.end("answered"));
    server.listen("10.0.0.1:80").unwrap();
    // The first one's clock begins the pass, the second one is answered while it lasts.
    let _silent = net.connect(&server.address().unwrap());
    let peer = net.connect(&server.address().unwrap());
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let pass = |event_loop: &mut EventLoop, until: Duration| {
        while net.now() < until {
            event_loop.turn(Some(Duration::from_millis(10))).unwrap();
            sim::check(event_loop).unwrap();
        }
    };
    pass(&mut event_loop, Duration::from_millis(1070));
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    pass(&mut event_loop, seconds(6));
    assert_eq!(peer.read().windows(8).filter(|window| window == b"answered").count(), 2);
    assert!(peer.is_eof(), "it is idle, and its time is up");
}
