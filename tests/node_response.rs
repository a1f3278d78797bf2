//! What Node promises of a response and is tested nowhere else: what is told of pressure, of fields that go
//! and come, of what was sent, of a connection that the handler wants to keep or to end.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, World, get, post};
use onloop::http::{Response, ServerOptions};

/// The responses that handlers have kept.
type Kept = Rc<Cell<Option<Response>>>;

#[test]
fn content_that_is_swallowed_presses_nobody() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        if let Ok(status) = req.url()[1..].parse() {
            res.set_status(status);
        }
        for _ in 0..10 {
            assert!(res.write(vec![b'x'; 100_000]), "{} {}", req.method(), req.url());
        }
        assert!(res.writable_length() < 1000);
        res.end("the end");
    });
    for (request, status) in
        [("HEAD /200", 200), ("GET /204", 204), ("GET /304", 304), ("HEAD /404", 404)]
    {
        let mut peer = world.send(&server, format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let answer = world.answer_to_head(&mut peer);
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("keep-alive")));
        // Nothing stands between the two.
        peer.send("HEAD /200 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(world.answer_to_head(&mut peer).status, 200);
    }
}

#[test]
fn an_empty_write_sends_the_head_and_no_chunk() {
    let kept: Kept = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        assert!(!res.headers_sent());
        assert!(res.write(""));
        assert!(res.headers_sent());
        keeps.set(Some(res));
    });
    let mut peer = world.send(&server, get("/", ""));
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(peer.text(), "");
    kept.take().expect("a request").end("x");
    world.expect(&mut peer, "1\r\nx\r\n0\r\n\r\n");
}

#[test]
fn the_head_can_be_sent_ahead_and_once() {
    let kept: Kept = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        res.set_header("X-Early", "1")?;
        res.flush_headers();
        res.flush_headers();
        keeps.set(Some(res));
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    assert!(world.expect(&mut peer, "\r\n\r\n").contains("\r\nX-Early: 1\r\n"));
    let res = kept.take().expect("a request");
    res.end("late");
    res.flush_headers();
    world.expect(&mut peer, "4\r\nlate\r\n0\r\n\r\n");
    peer.send(get("/", ""));
    world.expect(&mut peer, "HTTP/1.1 200 OK\r\n");
}

#[test]
fn nothing_drains_after_the_end() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve_with(ServerOptions::new().high_water_mark(1000), move |_req, res| {
        res.on_drain(notes.noting("drain"));
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("closed"));
        assert!(!res.write(vec![b'x'; 5_000_000]));
        res.end("");
    });
    let mut peer = world.send(&server, get("/", ""));
    assert_eq!(world.answer(&mut peer).content.len(), 5_000_000);
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    assert_eq!(log.all(), ["finish", "closed"]);
}

#[test]
fn a_listener_of_drain_may_be_removed() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve_with(ServerOptions::new().high_water_mark(1000), move |_req, res| {
        res.on_drain(notes.noting("removed"));
        res.off_drain();
        assert!(!res.write(vec![b'x'; 5000]));
        res.on_drain({
            let notes = notes.clone();
            move || {
                notes.note("drain");
                res.end("");
            }
        });
    });
    assert_eq!(world.ask(&server, get("/", "")).content.len(), 5000);
    assert_eq!(log.all(), ["drain"]);
}

#[test]
fn a_response_that_was_destroyed_takes_nothing() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        res.on_finish(notes.noting("finish"));
        res.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("closed"));
        res.destroy();
        assert!(!res.write("x") && !res.is_open());
        assert_eq!(res.set_header("X", "1").unwrap_err().code(), "ERR_STREAM_DESTROYED");
        res.end("x");
        res.destroy();
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    assert_eq!((log.all(), peer.text().as_str()), (vec!["closed".to_owned()], ""));
}

#[test]
fn a_removed_field_may_be_set_again() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        for name in ["X-A", "Date", "Connection"] {
            res.set_header(name, "first")?;
            res.remove_header(name)?;
            assert!(!res.has_header(name) && res.header(name).is_none());
        }
        res.set_header("x-a", "second")?;
        res.set_header("date", "today")?;
        res.set_header("connection", "close")?;
        res.end("");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    let answer = world.answer(&mut peer);
    let said = ["x-a", "date", "connection"].map(|name| answer.field(name));
    assert_eq!(said, [Some("second"), Some("today"), Some("close")]);
    assert_eq!(world.until_end(&mut peer), Ending::End);
}

#[test]
fn what_was_sent_can_be_asked_for_afterwards() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        assert_eq!(res.status(), 200);
        res.set_header("X-A", "1")?;
        res.set_status(404);
        res.write("x");
        assert!(!res.set_status(500));
        assert_eq!((res.status(), res.headers_sent()), (404, true));
        assert_eq!(res.header("x-a").as_deref(), Some(&b"1"[..]));
        res.end("");
        Ok(())
    });
    assert_eq!(world.ask(&server, get("/", "")).status, 404);
}

#[test]
fn the_user_decides_whether_the_connection_goes_on() {
    for (value, persists) in [
        ("close", false),
        ("Close", false),
        ("x, CLOSE", false),
        ("upgrade, keep-alive", true),
        ("closed", true),
        ("keep-alive", true),
        ("x", true),
    ] {
        let mut world = World::new();
        let server = world.serve(move |_req, res| {
            res.set_header("Connection", value)?;
            res.end("x");
            Ok(())
        });
        let mut peer = world.send(&server, get("/", "").repeat(2));
        assert_eq!(world.answer(&mut peer).field("Connection"), Some(value));
        match persists {
            true => assert_eq!(world.answer(&mut peer).text(), "x", "{value}"),
            false => assert_eq!(world.until_end(&mut peer), Ending::End, "{value}"),
        }
        assert_eq!(peer.text(), "", "{value}");
    }
}

#[test]
fn the_idle_time_is_told_in_whole_seconds() {
    for (timeout, said) in [(7999, "timeout=7"), (1000, "timeout=1"), (100, "timeout=0")] {
        let mut world = World::new();
        let options = ServerOptions::new().keep_alive_timeout(Duration::from_millis(timeout));
        let server = world.serve_with(options, |_req, res| res.end("x"));
        let mut peer = world.send(&server, get("/", "").repeat(2));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.field("Keep-Alive"), Some(said));
        assert_eq!(world.answer(&mut peer).text(), "x", "it is kept all the same");
    }
}

#[test]
fn information_comes_before_the_head_or_is_an_error() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write("x");
        let late = [res.write_continue(), res.write_early_hints([("Link", "</a>")])];
        assert!(late.into_iter().all(|late| late.unwrap_err().code() == "ERR_HTTP_HEADERS_SENT"));
        res.end("");
        req.resume();
    });
    let expects = get("/", "Expect: 100-continue\r\nContent-Length: 1\r\n");
    for request in [get("/", ""), expects] {
        let mut peer = world.send(&server, request);
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    }
}

#[test]
fn text_of_a_field_is_sent_as_its_own_bytes() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("X-Text", "é")?;
        res.set_header("X-Latin-1", &b"\xe9"[..])?;
        res.end("é");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until("the answer", || {
        peer.pump();
        peer.received.ends_with(b"\r\n\r\n\xc3\xa9")
    });
    for line in [&b"\r\nX-Text: \xc3\xa9\r\n"[..], b"\r\nX-Latin-1: \xe9\r\n"] {
        assert!(peer.received.windows(line.len()).any(|part| part == line));
    }
}

#[test]
fn an_answer_is_finished_before_it_is_closed_and_its_handle_is_dead_then() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let (finish, close) = (notes.clone(), notes.clone());
        res.on_finish(move || {
            finish.note(format!("finish {} {}", res.is_open(), res.writable_length()));
        });
        res.on_close(move || close.note(format!("close {} {}", res.is_open(), res.status())));
        req.resume();
        res.end("x");
    });
    let mut peer = world.send(&server, post("/", "content"));
    world.answer(&mut peer);
    let lines = log.clone();
    world.until("the end", || lines.len() == 2);
    assert_eq!(log.all(), ["finish false 0", "close false 0"]);
}

#[test]
fn small_writes_leave_together_with_the_head() {
    let kept: Rc<RefCell<Vec<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        res.write("a");
        // Nothing was given to the system yet: it all waits, framing included.
        let waiting = res.writable_length();
        res.write("asd");
        assert_eq!(res.writable_length(), waiting + "3\r\nasd\r\n".len());
        keeps.borrow_mut().push(res);
    });
    let mut peer = world.send(&server, get("/", ""));
    world.expect(&mut peer, "1\r\na\r\n3\r\nasd\r\n");
    assert_eq!(kept.borrow()[0].writable_length(), 0);
}

#[test]
fn finish_comes_first_and_a_request_that_nobody_read_closes_last() {
    for (request, reads, order) in [
        (get("/", ""), false, ["finish", "response closed", "request closed"].as_slice()),
        (post("/", "content"), false, &["finish", "response closed", "request closed"]),
        (post("/", "content"), true, &["end", "finish", "request closed", "response closed"]),
    ] {
        let mut world = World::new();
        let log = Log::new();
        let notes = log.clone();
        let server = world.serve(move |req, res| {
            res.on_finish(notes.noting("finish"));
            res.on_close(notes.noting("response closed"));
            req.on_close(notes.noting("request closed"));
            if !reads {
                return res.end("x");
            }
            req.resume();
            let notes = notes.clone();
            req.on_end(move || {
                notes.note("end");
                res.end("x");
            });
        });
        world.ask(&server, request);
        world.until("the last call", || log.len() == order.len());
        assert_eq!(log.all(), order);
    }
}
