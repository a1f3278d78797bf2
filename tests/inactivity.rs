//! The inactivity timeout on its three levels, on a simulated clock: whom it tells, in which order, and when.

mod common;

use std::time::Duration;

use common::clocked::{Clocked, assert_about, seconds};
use common::{Log, get};
use onloop::http::{self, ServerOptions};

/// Notes with the second in which it is called.
fn noting(log: &Log, clocked: &Clocked, line: &'static str) -> impl Fn() + 'static {
    let (log, net) = (log.clone(), clocked.net.clone());
    move || log.note(format!("{line} {}", net.now().as_secs()))
}

#[test]
fn request_response_and_server_are_told_in_this_order_and_once() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let (req_told, res_told) =
        (noting(&log, &clocked, "request"), noting(&log, &clocked, "response"));
    let server_told = noting(&log, &clocked, "server");
    let mut tellers = Some((req_told, res_told));
    let server = clocked.serve(ServerOptions::new().timeout(seconds(5)), move |req, res| {
        let (req_told, res_told) = tellers.take().expect("one request");
        req.resume();
        req.on_timeout(req_told);
        res.on_timeout(res_told);
        req.on_end(move || res.end("late"));
    });
    server.on_timeout(move |connection| {
        assert!(connection.is_open() && connection.timeout() == seconds(5));
        server_told();
    });
    let peer = clocked.send(&get("/", "Content-Length: 2\r\n"));
    clocked.pass(seconds(20));
    assert_eq!(log.all(), ["request 5", "response 5", "server 5"], "once, not every 5 s");
    // Something moves: it can be told anew, and the message is complete then.
    peer.write(b"x");
    clocked.pass(seconds(7));
    assert_eq!(log.all()[3..], ["request 25", "response 25", "server 25"]);
    peer.write(b"x");
    clocked.pass(seconds(1));
    assert!(String::from_utf8_lossy(&peer.read()).ends_with("late"));
}

#[test]
fn a_complete_request_is_not_told() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let (req_told, res_told) =
        (noting(&log, &clocked, "request"), noting(&log, &clocked, "response"));
    let mut tellers = Some((req_told, res_told));
    clocked.serve(ServerOptions::new(), move |req, res| {
        let (req_told, res_told) = tellers.take().expect("one request");
        req.set_timeout(seconds(3));
        req.on_timeout(req_told);
        res.on_timeout(move || {
            res_told();
            res.end("late");
        });
    });
    let peer = clocked.send(&get("/", "Connection: close\r\n"));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(3));
    assert!(text.ends_with("late"), "{text}");
    assert_eq!(log.all(), ["response 3"]);
}

#[test]
fn where_nobody_listens_the_connection_ends() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let closed = noting(&log, &clocked, "close");
    let mut closed = Some(closed);
    clocked.serve(ServerOptions::new().timeout(seconds(4)), move |_req, res| {
        res.on_close(closed.take().expect("one request"));
    });
    let peer = clocked.send(&get("/", ""));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(4));
    assert_eq!((text.as_str(), log.all()), ("", vec!["close 4".to_owned()]));
}

#[test]
fn a_connection_that_says_nothing_is_inactive_from_accept_on() {
    for listens in [true, false] {
        let mut clocked = Clocked::new();
        let log = Log::new();
        let told = noting(&log, &clocked, "server");
        let server =
            clocked.serve(ServerOptions::new().timeout(seconds(4)), |_req, res| res.end(""));
        if listens {
            server.on_timeout(move |_connection| told());
        }
        let peer = clocked.send("");
        let (took, _) = clocked.until_end(&peer);
        // Told or not, the clock of the head runs, too.
        assert_about(took, seconds(if listens { 60 } else { 4 }));
        assert_eq!(log.len(), usize::from(listens));
    }
}

#[test]
fn the_timeout_is_not_that_of_an_idle_connection() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let told = noting(&log, &clocked, "server");
    let server = clocked.serve(ServerOptions::new().timeout(seconds(4)), |_req, res| res.end("x"));
    server.on_timeout(move |_connection| told());
    let peer = clocked.send(&get("/", ""));
    let (took, _) = clocked.until_end(&peer);
    assert_about(took, seconds(66));
    assert_eq!(log.len(), 0);
}

#[test]
fn bytes_in_either_direction_are_activity() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new().timeout(seconds(4)), move |req, res| {
        req.resume();
        req.on_end(move || {
            for second in 1..=5 {
                lp.set_timeout(seconds(second * 3), move || {
                    res.write("x");
                });
            }
            lp.set_timeout(seconds(18), move || res.end("end"));
        });
    });
    let peer = clocked.send(&get("/", "Connection: close\r\nContent-Length: 5\r\n"));
    for _ in 0..5 {
        clocked.pass(seconds(3));
        peer.write(b"x");
    }
    let (_, text) = clocked.until_end(&peer);
    assert!(text.ends_with("3\r\nend\r\n0\r\n\r\n"), "{text}");
}

#[test]
fn a_connection_sets_its_own_timeout_until_its_first_response() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    let told = noting(&log, &clocked, "server");
    let server = clocked.serve(ServerOptions::new(), |req, res| match req.url() {
        "/slow" => {}
        _ => res.end("x"),
    });
    server.on_connection(|connection| {
        connection.set_timeout(seconds(2));
        assert_eq!(connection.timeout(), seconds(2));
    });
    server.on_timeout(move |connection| {
        told();
        connection.destroy();
    });
    for opening in ["", "GET / HT", &get("/slow", "")] {
        let peer = clocked.send(opening);
        let (took, text) = clocked.until_end(&peer);
        assert_about(took, seconds(2));
        assert_eq!(text, "", "{opening:?}");
    }
    assert_eq!(log.len(), 3);
    // After the first response the idle clock runs, and a later exchange has the server's timeout: none.
    let peer = clocked.send(&get("/", ""));
    clocked.pass(seconds(30));
    peer.write(get("/slow", "").as_bytes());
    clocked.pass(seconds(1000));
    assert!(!peer.is_eof() && !peer.is_reset());
    assert_eq!(log.len(), 3);
}

#[test]
fn handlers_may_do_anything_when_it_is_told() {
    let mut clocked = Clocked::new();
    let server = clocked.serve(ServerOptions::new().timeout(seconds(2)), move |req, res| {
        let body = req.body();
        match req.url() {
            "/destroy" => req.on_timeout(move || body.destroy()),
            "/end" => req.on_timeout(move || res.end("ended")),
            "/error" => {
                req.on_timeout(|| -> onloop::Result<()> { Err(onloop::Error::other("enough")) });
            }
            _ => res.on_timeout(move || {
                res.off_timeout();
                res.destroy();
            }),
        }
    });
    server.on_timeout(move |_connection| server.off_timeout());
    for (path, status) in [("/destroy", ""), ("/end", "200"), ("/error", "500"), ("/off", "")] {
        let peer = clocked.send(&get(path, "Content-Length: 1\r\n"));
        let (_, text) = clocked.until_end(&peer);
        assert_eq!(text.get(9..12).unwrap_or(""), status, "{path}: {text}");
    }
}

#[test]
fn a_slow_request_is_408_whatever_its_timeout_tells() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().request_timeout(seconds(10)).timeout(seconds(4));
    let server = clocked.serve(options, |req, _res| req.resume());
    assert_eq!(server.headers_timeout(), seconds(10), "not longer than that of the request");
    server.on_timeout(|_connection| {});
    let peer = clocked.send(&get("/", "Content-Length: 1\r\n"));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(10));
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
}

#[test]
fn clocks_can_be_changed_while_the_server_runs() {
    let mut clocked = Clocked::new();
    let server = clocked.serve(ServerOptions::new(), |req, res| match req.url() {
        "/slow" => {}
        _ => res.end("x"),
    });
    server.set_timeout(seconds(3));
    server.set_keep_alive_timeout(seconds(7));
    server.set_keep_alive_timeout_buffer(seconds(2));
    let refused = server.set_headers_timeout(seconds(301)).expect_err("longer than the request's");
    assert_eq!((refused.code(), server.headers_timeout()), ("ERR_OUT_OF_RANGE", seconds(60)));
    server.set_headers_timeout(seconds(11)).expect("shorter");
    server.set_request_timeout(seconds(12)).expect("longer than the head's");
    assert_eq!(server.set_request_timeout(seconds(5)).unwrap_err().code(), "ERR_OUT_OF_RANGE");
    assert_eq!((server.timeout(), server.request_timeout()), (seconds(3), seconds(12)));
    assert_eq!(server.keep_alive_timeout_buffer(), seconds(2));
    let peer = clocked.send(&get("/slow", ""));
    assert_about(clocked.until_end(&peer).0, seconds(3));
    let peer = clocked.send(&get("/", ""));
    let (took, text) = clocked.until_end(&peer);
    assert_about(took, seconds(9));
    assert!(text.contains("Keep-Alive: timeout=7\r\n"), "{text}");
    server.set_timeout(Duration::ZERO);
    let peer = clocked.send("GET / HT");
    assert_about(clocked.until_end(&peer).0, seconds(11));
    let peer = clocked.send(&get("/", "Content-Length: 1\r\n").replace("/ ", "/slow "));
    assert_about(clocked.until_end(&peer).0, seconds(12));
    server.set_max_requests_per_socket(Some(1));
    server.set_max_headers_count(1);
    assert_eq!((server.max_requests_per_socket(), server.max_headers_count()), (Some(1), 1));
    let peer = clocked.send(&get("/", ""));
    assert!(clocked.until_end(&peer).1.contains("Connection: close\r\n"));
    let peer = clocked.send(&get("/", "A: b\r\n"));
    assert!(clocked.until_end(&peer).1.starts_with("HTTP/1.1 431 "));
    server.close();
    clocked.pass(seconds(100));
    server.set_timeout(seconds(1));
    assert_eq!((server.timeout(), server.max_connections()), (Duration::ZERO, None));
}

#[test]
fn a_silent_connection_whose_timeout_is_turned_off_has_its_other_clocks_and_no_less_time() {
    for when in ["at once", "when it is told"] {
        let mut clocked = Clocked::new();
        let log = Log::new();
        let options = ServerOptions::new().timeout(seconds(2)).headers_timeout(seconds(10));
        // Without this clock nothing would end it.
        let options = options.keep_alive_timeout(Duration::ZERO);
        let server = clocked.serve(options, |_req, res| res.end("x"));
        server.on_connection(move |connection| {
            if when == "at once" {
                connection.set_timeout(Duration::ZERO);
            }
        });
        let told = noting(&log, &clocked, "told");
        server.on_timeout(move |connection| {
            told();
            connection.set_timeout(Duration::ZERO);
        });
        let silent = clocked.send("");
        let (took, text) = clocked.until_end(&silent);
        assert_about(took, seconds(10));
        assert_eq!((text.as_str(), log.len()), ("", usize::from(when != "at once")));
        let late = clocked.send("");
        clocked.pass(seconds(5));
        late.write(get("/", "").as_bytes());
        clocked.pass(seconds(1));
        assert!(late.read().starts_with(b"HTTP/1.1 200 "), "{when}");
        // The silent one is idle from now on, and may be so for ever.
        clocked.pass(seconds(1000));
        assert!(!late.is_eof() && !late.is_reset(), "{when}");
    }
}

#[test]
fn a_connection_that_is_closing_has_no_timeout_to_be_set() {
    let mut clocked = Clocked::new();
    let kept = std::rc::Rc::new(std::cell::Cell::new(None));
    let server = clocked
        .serve(ServerOptions::new().headers_timeout(Duration::ZERO), |_req, _res| {
            panic!("no request comes")
        });
    server.on_connection({
        let kept = std::rc::Rc::clone(&kept);
        move |connection| kept.set(Some(connection))
    });
    let peer = clocked.send("NONSENSE\r\n\r\n");
    let (_, text) = clocked.until_end(&peer);
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    let connection = kept.take().expect("it was told");
    connection.set_timeout(seconds(1000));
    clocked.pass(seconds(5));
    assert!(!connection.is_open(), "it waits for its peer for ever");
    server.close();
}

#[test]
fn a_clients_timeout_that_is_set_anew_when_it_has_passed_passes_anew() {
    let mut clocked = Clocked::new();
    let log = Log::new();
    clocked.serve(ServerOptions::new(), |_req, res| {
        res.write("a part");
    });
    let request = http::request(clocked.event_loop.handle(), "GET", "http://127.0.0.1/");
    let request = request.expect("a request");
    let told = noting(&log, &clocked, "told");
    let notes = log.clone();
    request.on_response(move |response| {
        response.resume();
        request.set_timeout(seconds(5));
        response.on_timeout(move || {
            told();
            // A test that fails shall end.
            if notes.len() < 10 {
                request.set_timeout(seconds(5));
            }
        });
    });
    request.end("");
    clocked.pass(seconds(17));
    assert_eq!(log.all(), ["told 5", "told 10", "told 15"]);
}
