//! What a server gives to its callbacks and what it makes of what they do: the head, the content, the order
//! of calls, errors, the end of the server.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, echo, get, post};
use onloop::http::{self, Body, Response, Server, ServerOptions};
use onloop::{Address, Error, ErrorKind};

#[test]
fn a_request_is_given_as_it_was_sent() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let fields: Vec<String> = req
            .headers()
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(req.header("x-a"), Some("1"));
        assert_eq!(req.header("X-NOT-UTF-8"), None);
        let not_utf_8 = (req.http_version() == "1.1").then_some(&b"\xe9"[..]);
        assert_eq!(req.header_bytes("x-not-utf-8"), not_utf_8);
        assert_eq!(req.header_all("x-a").collect::<Vec<_>>(), [&b"1"[..], b"2"]);
        assert_eq!(req.header("x-none"), None);
        assert!(req.is_open() && req.is_complete());
        assert_eq!(
            req.remote_address().map(|from| from.to_string().contains("127.0.0.1:")),
            Some(true)
        );
        assert_eq!(res.remote_address(), req.remote_address());
        let head =
            format!("{} {} {} {}", req.method(), req.url(), req.http_version(), fields.join(","));
        res.end(head);
    });
    let answer = world.ask(
        &server,
        b"M-SEARCH /a%20b?c=d&e HTTP/1.1\r\nHost:h\r\nX-a: \t1 \r\nX-A:2\r\nX-Empty:\r\n\
          X-not-UTF-8: \xe9\r\n\r\n",
    );
    assert_eq!(
        answer.text(),
        "M-SEARCH /a%20b?c=d&e 1.1 Host=h,X-a=1,X-A=2,X-Empty=,X-not-UTF-8=\u{fffd}"
    );
    let answer = world.ask(&server, "OPTIONS * HTTP/1.0\r\nx-a: 1\r\nx-a: 2\r\n\r\n");
    assert_eq!(answer.text(), "OPTIONS * 1.0 x-a=1,x-a=2");
}

#[test]
fn the_address_of_a_listener_is_known() {
    let world = World::new();
    let server = world.serve(|_req, res| res.end(""));
    let Some(Address::Ip(address)) = server.address() else { panic!("no address") };
    assert!(address.ip().is_loopback() && address.port() != 0);
    let unbound = Server::new(world.lp, ServerOptions::default()).unwrap();
    assert_eq!(unbound.address(), None);
}

#[test]
fn callbacks_come_in_their_order() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note("request");
        let data = notes.clone();
        req.on_data(move |chunk| data.note(format!("data {}", chunk.len())));
        let end = notes.clone();
        req.on_end(move || {
            end.note("end");
            res.end("x");
        });
        req.on_aborted(notes.noting("aborted"));
        req.on_error(notes.noting_error("error"));
        req.on_close(notes.noting("request closed"));
        res.on_finish(notes.noting("finish"));
        res.on_error(notes.noting_error("response error"));
        res.on_close(notes.noting("response closed"));
    });
    let mut peer = world.send(&server, post("/", "hello"));
    world.answer(&mut peer);
    let lines = log.clone();
    world.until("the last call", || lines.has("response closed"));
    assert_eq!(
        log.all(),
        ["request", "data 5", "end", "finish", "request closed", "response closed"]
    );
}

#[test]
fn content_comes_in_order_and_on_end_once() {
    for framing in ["length", "chunked"] {
        let mut world = World::new();
        let server = world.serve(echo);
        let content: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let mut request = b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec();
        if framing == "length" {
            request.extend_from_slice(b"Content-Length: 300000\r\n\r\n");
            request.extend_from_slice(&content);
        } else {
            request.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in content.chunks(7001) {
                request.extend_from_slice(format!("{:X};x=\"y\"\r\n", chunk.len()).as_bytes());
                request.extend_from_slice(chunk);
                request.extend_from_slice(b"\r\n");
            }
            request.extend_from_slice(b"0\r\n\r\n");
        }
        let mut peer = world.send(&server, request);
        assert!(world.answer(&mut peer).content == content, "{framing}");
    }
}

#[test]
fn a_request_without_content_ends_at_once() {
    let mut world = World::new();
    let server = world.serve(|req, res| req.on_end(move || res.end("end")));
    assert_eq!(world.ask(&server, get("/", "")).text(), "end");
    assert_eq!(world.ask(&server, get("/", "Content-Length: 0\r\n")).text(), "end");
}

#[test]
fn trailers_of_a_request_are_apart_from_its_headers() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let body = req.body();
        assert!(body.trailers().is_empty() && req.header("X-Sum").is_none());
        req.resume();
        req.on_end(move || {
            let trailers = body.trailers();
            res.end(format!("{trailers:?}"));
        });
    });
    let answer = world.ask(
        &server,
        get("/", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n",
    );
    assert_eq!(answer.text(), r#"[("X-Sum", [49]), ("x-sum", [50])]"#);
}

#[test]
fn paused_content_waits() {
    let log = Log::new();
    let notes = log.clone();
    let kept: Rc<Cell<Option<Body>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        if req.method() == "POST" {
            let data = notes.clone();
            req.on_data(move |chunk| data.note(String::from_utf8_lossy(chunk)));
            req.on_end(move || res.end("read"));
            req.pause();
            keeps.set(Some(req.body()));
        } else {
            res.end("sentinel");
        }
    });
    let mut peer = world.send(&server, post("/", "hello"));
    // Whole exchanges on another connection: the paused one has had its chance to be read.
    let mut other = world.connect(&server);
    for _ in 0..3 {
        other.send(get("/", ""));
        world.answer(&mut other);
    }
    assert_eq!(log.len(), 0);
    let body = kept.get().expect("a request");
    assert!(body.is_paused());
    body.resume();
    assert_eq!(log.len(), 0, "nothing is called inside a call");
    assert_eq!(world.answer(&mut peer).text(), "read");
    assert_eq!(log.all(), ["hello"]);
}

#[test]
fn end_twice_and_write_after_end_are_nothing() {
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        if let Some(former) = keeps.replace(Some(res)) {
            // The handle of an exchange that is over, while the next one runs on its connection.
            assert!(!former.is_open() && !former.write("stale") && former.status() == 0);
            assert_eq!(
                former.set_header("X-Stale", "1").unwrap_err().code(),
                "ERR_STREAM_DESTROYED"
            );
            former.set_status(500);
            former.end("stale");
            former.destroy();
        }
        assert!(res.is_open() && res.write("a"));
        res.end("b");
        assert!(!res.is_open() && !res.write("late"));
        res.end("again");
        res.end("");
    });
    let mut peer = world.send(&server, get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "ab");
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "ab");
    assert!(!kept.get().expect("the second").write("after the end"));
    peer.send(get("/", "Connection: close\r\n"));
    assert_eq!(world.answer(&mut peer).text(), "ab");
    assert_eq!(world.until_end(&mut peer), Ending::End);
}

#[test]
fn an_error_out_of_a_handler_is_500_where_nothing_was_sent() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        res.set_header("X-Set", "1")?;
        res.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("closed"));
        if req.url() == "/later" {
            req.on_end(|| Err(Error::other("no")));
            return Ok(());
        }
        if req.url() == "/sent" {
            res.write("part");
        }
        Err(Error::other("no"))
    });
    for path in ["/now", "/later"] {
        let mut peer = world.send(&server, get(path, ""));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.status_line, "HTTP/1.1 500 Internal Server Error");
        assert_eq!(answer.names(), ["Connection", "Content-Length", "Date"]);
        assert_eq!(world.until_end(&mut peer), Ending::End);
    }
    let mut peer = world.send(&server, get("/sent", ""));
    world.until_end(&mut peer);
    assert!(!peer.text().contains("0\r\n\r\n"), "the peer sees the truncation: {}", peer.text());
    assert_eq!(log.all(), ["error ERR_USER", "closed"].repeat(3));
}

#[test]
fn destroy_breaks_off() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        res.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("closed"));
        match req.url() {
            "/res" => res.destroy(),
            "/req" => req.destroy(),
            "/with" => res.destroy_with(Error::other("enough")),
            _ => {
                res.write("part");
                res.destroy();
            }
        }
        assert!(!res.is_open() && !req.is_open());
        res.end("never sent");
    });
    for path in ["/res", "/req", "/with", "/part"] {
        let mut peer = world.send(&server, get(path, ""));
        world.until_end(&mut peer);
        assert!(!peer.text().contains("never") && !peer.text().contains("0\r\n\r\n"));
    }
    assert_eq!(log.all(), ["closed", "closed", "error ERR_USER", "closed", "closed"]);
}

#[test]
fn destroy_does_not_recall_an_answer_that_was_ended() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("close"));
        res.set_status(413);
        res.end("too much");
        match req.url() {
            "/res" => res.destroy(),
            _ => req.destroy(),
        }
    });
    for path in ["/res", "/req"] {
        let mut peer = world.send(&server, get(path, ""));
        assert_eq!(world.until_end(&mut peer), Ending::End);
        assert!(peer.text().ends_with("\r\n\r\ntoo much"), "{}", peer.text());
    }
    assert_eq!(log.all(), ["finish", "close", "finish", "close"]);
}

#[test]
fn a_client_that_goes_away_aborts_the_exchange() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.on_data(|_| {});
        req.on_end(notes.noting("end"));
        req.on_aborted(notes.noting("aborted"));
        req.on_error(notes.noting_error("error"));
        req.on_close(notes.noting("request closed"));
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("response closed"));
        notes.note("request");
    });
    let mut peer =
        world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
    let lines = log.clone();
    world.until("the request", || lines.has("request"));
    peer.end();
    world.until("the end", || lines.has("response closed"));
    assert_eq!(
        log.all(),
        ["request", "aborted", "error ECONNRESET", "request closed", "response closed"]
    );
    world.until_end(&mut peer);
}

#[test]
fn a_request_that_nobody_takes_is_404() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 200);
    server.off_request();
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 404);
    server.on_request(|_req, res| res.end("y"));
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "y");
}

#[test]
fn on_client_error_has_the_answer_in_its_hand() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    server.on_client_error(move |error, socket| {
        assert_eq!(error.kind(), ErrorKind::Peer);
        assert_eq!(error.status_hint(), Some(400));
        assert!(error.bytes_parsed().is_some() && socket.is_open());
        notes.note(error.code());
        socket.write("HTTP/1.1 400 Mine\r\nConnection: close\r\n\r\n");
    });
    let mut peer = world.send(&server, get("/", "") + "GET / HTTP/1.1\r\nHost h\r\n\r\n");
    assert_eq!(world.answer(&mut peer).text(), "x");
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "HTTP/1.1 400 Mine\r\nConnection: close\r\n\r\n");
    assert_eq!(log.all(), ["HPE_INVALID_HEADER_TOKEN"]);
    // One that says nothing closes without a word.
    server.on_client_error(|_error, _socket| {});
    let mut peer = world.send(&server, "\0");
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn unix_sockets_serve() {
    let path = std::env::temp_dir().join(format!("onloop-server-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut world = World::new();
    let server = http::create_server(world.lp, |req, res| {
        assert_eq!(req.remote_address().and_then(|from| from.port()), None);
        echo(req, res);
    });
    server.listen(&path).unwrap();
    assert_eq!(server.address(), Some(Address::Unix(path.clone())));
    let mut peer = Peer::unix(&path);
    peer.send(post("/", "over a path"));
    assert_eq!(world.answer(&mut peer).text(), "over a path");
    server.close();
    world.until_end(&mut peer);
    assert!(!path.exists(), "a closed listener leaves no file behind");
}

#[test]
fn addresses_that_cannot_be_listened_on_are_errors() {
    let world = World::new();
    let server = world.serve(|_req, res| res.end(""));
    let other = Server::new(world.lp, ServerOptions::default()).unwrap();
    let busy = other.listen(server.address().unwrap()).unwrap_err();
    assert_eq!((busy.code(), busy.kind()), ("EADDRINUSE", ErrorKind::Io));
    assert!(busy.to_string().contains("in use"), "{busy}");
    for address in
        ["", "localhost", "nowhere:80", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:-", "1.2.3:80"]
    {
        let refused = other.listen(address).unwrap_err();
        assert_eq!(refused.code(), "ERR_INVALID_ADDRESS", "{address:?}");
    }
    for address in ["127.0.0.1:65536", "[::1]:99999999999", "localhost:-1", ":70000"] {
        let refused = other.listen(address).unwrap_err();
        assert_eq!((refused.code(), refused.kind()), ("ERR_SOCKET_BAD_PORT", ErrorKind::Local));
    }
    let foreign = other.listen("192.0.2.1:0").unwrap_err();
    assert_eq!(foreign.code(), "EADDRNOTAVAIL");
    let missing = other.listen("unix:/nonexistent/directory/socket").unwrap_err();
    assert_eq!(missing.code(), "ENOENT");
    other.close();
    assert_eq!(other.listen("127.0.0.1:0").unwrap_err().code(), "ERR_SERVER_NOT_RUNNING");
}

#[test]
fn options_that_contradict_each_other_are_errors() {
    let world = World::new();
    let options = ServerOptions::new()
        .headers_timeout(Duration::from_secs(10))
        .request_timeout(Duration::from_secs(1));
    assert_eq!(Server::new(world.lp, options).unwrap_err().code(), "ERR_OUT_OF_RANGE");
}

#[test]
fn one_server_listens_on_several_addresses() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let port = req.local_address().and_then(|to| to.port());
        res.end(format!("{port:?}"));
    });
    let first = server.address().unwrap();
    server.listen(("127.0.0.1", 0)).unwrap();
    assert_eq!(server.address(), Some(first.clone()));
    assert_eq!(world.ask(&server, get("/", "")).text(), format!("{:?}", first.port()));
}

#[test]
fn a_handler_may_replace_and_remove_itself() {
    let served = Rc::new(RefCell::new(Vec::new()));
    let mut world = World::new();
    let slot: Rc<Cell<Option<Server>>> = Rc::default();
    let (own, log) = (Rc::clone(&slot), Rc::clone(&served));
    let server = world.serve(move |_req, res| {
        let server = own.get().expect("set below");
        let log_next = Rc::clone(&log);
        server.on_request(move |_req, res| {
            log_next.borrow_mut().push("second");
            server.off_request();
            res.end("2");
        });
        log.borrow_mut().push("first");
        res.end("1");
    });
    slot.set(Some(server));
    let mut peer = world.send(&server, get("/", "").repeat(3));
    let statuses = [(); 3].map(|()| world.answer(&mut peer).status);
    assert_eq!(statuses, [200, 200, 404]);
    assert_eq!(*served.borrow(), ["first", "second"]);
}
