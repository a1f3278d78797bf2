//! Writing and ending: what is taken, what is refused and why, and who is told when the system has it.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, World, get, post, raw_server, url_of};
use onloop::http::{self, Response, ServerOptions};

#[track_caller]
fn code<T: std::fmt::Debug>(result: onloop::Result<T>) -> &'static str {
    result.expect_err("it is refused").code()
}

#[test]
fn a_write_or_an_end_after_the_end_is_refused_with_its_reason() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        assert!(res.try_write("one ")?);
        res.try_end("two")?;
        assert!(!res.write("three"));
        res.end("four");
        assert_eq!(code(res.try_write("five")), "ERR_STREAM_WRITE_AFTER_END");
        assert_eq!(code(res.try_write("")), "ERR_STREAM_WRITE_AFTER_END");
        assert_eq!(code(res.try_end("six")), "ERR_STREAM_WRITE_AFTER_END");
        assert_eq!(code(res.try_end("")), "ERR_STREAM_ALREADY_FINISHED");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "") + &get("/", ""));
    for _ in 0..2 {
        assert_eq!(world.answer(&mut peer).text(), "one two");
    }
}

#[test]
fn a_response_that_is_over_or_destroyed_says_so() {
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/over" => {
            keeps.set(Some(res));
            res.end("over");
            assert!(!res.is_destroyed() && res.writable_ended());
        }
        _ => {
            res.destroy();
            assert_eq!(code(res.try_write("x")), "ERR_STREAM_DESTROYED");
            assert_eq!(code(res.try_end("")), "ERR_STREAM_DESTROYED");
            assert!(res.is_destroyed());
        }
    });
    assert_eq!(world.ask(&server, get("/over", "")).text(), "over");
    let res = kept.take().expect("a response");
    assert_eq!(code(res.try_write("x")), "ERR_STREAM_DESTROYED");
    assert_eq!(code(res.try_end("x")), "ERR_STREAM_DESTROYED");
    assert_eq!(
        (res.writable_ended(), res.writable_finished(), res.is_destroyed()),
        (true, false, true)
    );
    assert_eq!((res.writable_length(), res.writable_high_water_mark()), (0, 0));
    assert!(!res.writable_need_drain() && !res.req().is_complete());
    let mut peer = world.send(&server, get("/destroyed", ""));
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "");
}

#[test]
fn strict_content_length_refuses_too_much_and_the_message_goes_on() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_strict_content_length(true);
        res.set_header("Content-Length", 5)?;
        if req.url() == "/first" {
            assert_eq!(code(res.try_write("123456")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
            assert!(!res.headers_sent(), "nothing was taken, so nothing is sent");
        }
        assert!(res.try_write("12345")?);
        assert_eq!(code(res.try_write("6")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
        assert!(!res.write("6"));
        assert_eq!(code(res.try_end("6")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
        assert!(res.try_write("")?);
        res.try_end("")
    });
    let mut peer = world.send(&server, get("/first", "") + &get("/", ""));
    for _ in 0..2 {
        let answer = world.answer(&mut peer);
        assert_eq!((answer.field("Content-Length"), answer.text().as_str()), (Some("5"), "12345"));
    }
}

#[test]
fn strict_content_length_refuses_an_end_with_too_little_and_a_later_one_works() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_strict_content_length(true);
        res.set_header("Content-Length", "5")?;
        if req.url() == "/written" {
            res.write("1");
            assert_eq!(code(res.try_end("234")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
            res.end("");
            assert!(res.is_open() && !res.writable_ended());
            return res.try_end("2345");
        }
        assert_eq!(code(res.try_end("1234")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
        assert!(!res.headers_sent());
        res.try_end("12345")
    });
    let mut peer = world.send(&server, get("/written", "") + &get("/", ""));
    for _ in 0..2 {
        assert_eq!(world.answer(&mut peer).text(), "12345");
    }
}

#[test]
fn strict_content_length_asks_nothing_of_other_framings() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_strict_content_length(true);
        match req.url() {
            "/chunked" => {
                res.set_headers([("Content-Length", "1"), ("Transfer-Encoding", "chunked")])?;
                assert!(res.try_write("he")?);
            }
            "/pieces" => assert!(res.try_write("he")?),
            "/304" => {
                res.set_status(304);
                res.set_header("Content-Length", 99)?;
            }
            _ => {}
        }
        res.try_end("llo")
    });
    for (path, text) in [("/chunked", "hello"), ("/pieces", "hello"), ("/", "llo"), ("/304", "")] {
        assert_eq!(world.ask(&server, get(path, "")).text(), text);
    }
}

#[test]
fn strict_content_length_ends_with_the_message() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_header("Content-Length", 1)?;
        if req.url() == "/strict" {
            res.set_strict_content_length(true);
            return res.try_end("x");
        }
        res.write("x");
        assert!(res.try_write("y").is_ok(), "the next message of the connection has its own");
        res.try_end("z")
    });
    let mut peer = world.send(&server, get("/strict", "") + &get("/", ""));
    for _ in 0..2 {
        assert_eq!(world.answer(&mut peer).text(), "x");
    }
}

#[test]
fn content_that_a_response_cannot_have_is_dropped_or_refused() {
    for reject in [false, true] {
        let mut world = World::new();
        let options = ServerOptions::new().reject_non_standard_body_writes(reject);
        let server = world.serve_with(options, move |req, res| {
            if let Ok(status) = req.url()[1..].parse() {
                res.set_status(status);
            }
            match reject {
                false => {
                    assert!(res.write("dropped") && res.try_write("dropped")?);
                    res.try_end("dropped")
                }
                true => {
                    assert_eq!(code(res.try_write("x")), "ERR_HTTP_BODY_NOT_ALLOWED");
                    assert_eq!(code(res.try_end("x")), "ERR_HTTP_BODY_NOT_ALLOWED");
                    assert!(!res.write("x") && res.is_open());
                    assert!(!res.headers_sent());
                    assert!(res.try_write("")?);
                    res.try_end("")
                }
            }
        });
        for status in [204, 205, 304] {
            let mut peer = world.send(&server, get(&format!("/{status}"), "") + &get("/204", ""));
            let answer = world.answer(&mut peer);
            assert_eq!((answer.status, answer.text().as_str()), (status, ""));
            assert_eq!(world.answer(&mut peer).status, 204, "nothing stands between them");
        }
        let mut peer = world.send(&server, get("/200", "").replace("GET", "HEAD"));
        peer.send(get("/204", ""));
        assert_eq!(world.answer_to_head(&mut peer).status, 200);
        assert_eq!(world.answer(&mut peer).status, 204);
    }
}

#[test]
fn write_callbacks_come_in_order_once_the_system_has_the_bytes() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let noting = |line: &'static str| {
            let notes = notes.clone();
            move |result: onloop::Result<()>| notes.note(format!("{line} {}", result.is_ok()))
        };
        res.write_continue()?;
        res.on_written(noting("100"))?;
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("close"));
        let (one, two, end) = (noting("one"), noting("two"), noting("end"));
        req.on_data(|_| {});
        let body = req.body();
        let (one, two, end) = (Cell::new(Some(one)), Cell::new(Some(two)), Cell::new(Some(end)));
        body.on_end(move || {
            res.write("1");
            res.on_written(one.take().expect("one end"))?;
            res.write("2");
            res.on_written(two.take().expect("one end"))?;
            res.end("3");
            res.on_written(end.take().expect("one end"))
        });
        Ok(())
    });
    let head = "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let mut peer = world.send(&server, head);
    world.expect(&mut peer, "HTTP/1.1 100 Continue\r\n\r\n");
    let lines = log.clone();
    world.until("the callback of 100", || lines.len() > 0);
    assert_eq!(log.all(), ["100 true"], "long before the answer");
    peer.send("x");
    assert_eq!(world.answer(&mut peer).text(), "123");
    world.until("on_close", || lines.has("close"));
    let expected = ["100 true", "one true", "two true", "end true", "finish", "close"];
    assert_eq!(log.all(), expected);
}

#[test]
fn a_write_callback_waits_for_a_peer_that_does_not_read() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        res.write("small");
        let small = notes.clone();
        res.on_written(move |result| small.note(format!("small {}", result.is_ok())))?;
        res.write(vec![b'x'; 8 << 20]);
        let large = notes.clone();
        res.on_written(move |result| {
            large.note(format!("large {}", result.is_ok()));
            res.end("");
        })?;
        let drain = notes.clone();
        res.on_drain(move || drain.note("drain"));
        assert!(res.writable_need_drain());
        assert_eq!(res.writable_high_water_mark(), 64 * 1024);
        assert!(res.writable_length() > 8 << 20);
        Ok(())
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/", ""));
    let lines = log.clone();
    world.until("the first callback", || lines.len() > 0);
    for _ in 0..20 {
        world.turn();
    }
    assert_eq!(log.all(), ["small true"]);
    peer.read_on();
    assert_eq!(world.answer(&mut peer).content.len(), 5 + (8 << 20));
    assert_eq!(log.all(), ["small true", "drain", "large true"]);
}

#[test]
fn write_callbacks_hear_of_a_connection_that_ends_before() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(move |_req, res| {
        res.write(vec![b'x'; 8 << 20]);
        for _ in 0..2 {
            let notes = notes.clone();
            res.on_written(move |result| {
                notes.note(result.map_or_else(|error| error.code(), |()| "written"));
            })?;
        }
        res.on_error(notes.noting_error("error"));
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("close"));
        lp.set_timeout(Duration::from_millis(5), move || res.destroy());
        Ok(())
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/", ""));
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["ERR_STREAM_DESTROYED", "ERR_STREAM_DESTROYED", "close"]);
}

#[test]
fn write_callbacks_are_bounded_and_what_was_written_already_needs_no_waiting() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        for _ in 0..1024 {
            let notes = notes.clone();
            // Nothing was written: everything is out.
            res.on_written(move |result| notes.note(format!("{}", result.is_ok())))?;
        }
        assert_eq!(code(res.on_written(|_| ())), "ERR_OUT_OF_RANGE");
        let last = notes.clone();
        res.on_finish(move || last.note("finish"));
        res.end("x");
        Ok(())
    });
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
    let lines = log.clone();
    world.until("on_finish", || lines.has("finish"));
    assert_eq!((log.count("true"), log.len()), (1024, 1025));
}

#[test]
fn a_write_callback_that_writes_on_and_on_leaves_time_to_others() {
    let mut world = World::new();
    let server = world.serve(|req, res| match req.url() {
        "/endless" => more(res),
        _ => {
            res.end("served");
            Ok(())
        }
    });
    let mut flooded = world.send(&server, get("/endless", ""));
    world.expect(&mut flooded, "1\r\nx\r\n1\r\nx\r\n");
    assert_eq!(world.ask(&server, get("/", "")).text(), "served");
    drop(flooded);
}

fn more(res: Response) -> onloop::Result<()> {
    res.write("x");
    res.on_written(move |result| match result {
        Ok(()) => more(res),
        Err(_) => Ok(()),
    })
}

#[test]
fn an_error_out_of_a_write_callback_ends_its_exchange() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        res.on_error(notes.noting_error("error"));
        res.write("x");
        res.on_written(|_| Err(onloop::Error::other("as it should")))
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert!(peer.text().ends_with("1\r\nx\r\n"), "{}", peer.text());
    let lines = log.clone();
    world.until("on_error", || lines.has("error ERR_USER"));
}

#[test]
fn the_last_calls_tell_a_message_that_was_sent_from_one_that_was_not() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let body = req.body();
        let state = move || {
            let ended = res.writable_ended();
            format!("{ended} {} {}", res.writable_finished(), body.is_complete())
        };
        let (finish, close, incoming) = (notes.clone(), notes.clone(), notes.clone());
        res.on_finish(move || finish.note(format!("finish {}", state())));
        body.on_close(move || incoming.note(format!("req close {}", state())));
        res.on_close(move || {
            close.note(format!("res close {}", state()));
            assert!(res.is_destroyed() && !res.is_open());
        });
        notes.note(format!("request {}", state()));
        req.on_data(|_| {});
        match req.url() {
            "/sent" => res.end("x"),
            "/never-ended" => drop(res.write("x")),
            // More than sockets hold, for a peer that reads nothing.
            "/not-taken" => res.end(vec![b'x'; 64 << 20]),
            _ => {}
        }
    });
    let mut peer = world.send(&server, get("/sent", ""));
    assert_eq!(world.answer(&mut peer).text(), "x");
    let lines = log.clone();
    world.until("on_close", || lines.len() == 4);
    let expected = [
        "request false false true",
        "finish true true true",
        "res close true true true",
        "req close true true true",
    ];
    assert_eq!(log.all(), expected);
    drop(peer);
    for (request, path, expected) in [
        (get("/never-ended", ""), "1\r\nx\r\n", "res close false false true"),
        (get("/not-taken", ""), "", "res close true false true"),
        (post("/unread", "content").replace("content", ""), "", "res close false false false"),
    ] {
        let before = log.len();
        let mut peer = world.connect(&server);
        if path.is_empty() {
            peer.stop_reading();
        }
        peer.send(&request);
        world.until("the request", || lines.len() > before);
        world.expect(&mut peer, path);
        peer.read_on();
        server.close_all_connections();
        world.until("on_close", || lines.len() > before + 2);
        assert_eq!(log.all()[before + 2..], [expected], "{request}");
    }
}

#[test]
fn on_finish_does_not_wait_for_a_request_that_still_comes_in() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.on_data(|_| {});
        req.on_error(notes.noting_error("request"));
        res.on_error(notes.noting_error("response"));
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("close"));
        res.end("early");
    });
    let mut peer = world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx");
    assert_eq!(world.answer(&mut peer).text(), "early");
    let lines = log.clone();
    world.until("on_finish", || lines.len() > 0);
    assert_eq!(log.all(), ["finish"]);
    drop(peer);
    world.until("on_close", || lines.has("close"));
    // The response has nothing to do with what went wrong then.
    assert_eq!(log.all(), ["finish", "request ECONNRESET", "close"]);
}

#[test]
fn requests_tell_what_the_system_has_taken_too() {
    let (listener, url) = raw_server();
    let log = Log::new();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.set_strict_content_length(true);
    request.set_header("Content-Length", 5).unwrap();
    assert_eq!(code(request.try_write("123456")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
    assert!(request.try_write("1").unwrap());
    for line in ["first", "end"] {
        let notes = log.clone();
        request.on_written(move |result| notes.note(format!("{line} {}", result.is_ok()))).unwrap();
        if line == "first" {
            assert_eq!(code(request.try_end("2")), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
            request.try_end("2345").unwrap();
        }
    }
    request.on_finish(log.noting("finish"));
    assert_eq!(code(request.try_end("")), "ERR_STREAM_ALREADY_FINISHED");
    let finished = Rc::new(RefCell::new(Vec::new()));
    let states = Rc::clone(&finished);
    request.on_close(move || states.borrow_mut().push(request.writable_finished()));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n12345");
    let lines = log.clone();
    world.until("on_finish", || lines.has("finish"));
    assert_eq!(log.all(), ["first true", "end true", "finish"]);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    world.until("on_close", || !finished.borrow().is_empty());
    assert_eq!(*finished.borrow(), [true]);
    assert!(!request.writable_finished(), "only up to on_close");
}

#[test]
fn a_request_that_finds_no_server_tells_its_write_callbacks() {
    let (_held, port) = common::dead_port();
    let log = Log::new();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", format!("http://127.0.0.1:{port}/")).unwrap();
    request.on_error(log.noting_error("error"));
    request.on_finish(log.noting("finish"));
    let finished = log.clone();
    request.on_close(move || finished.note(format!("close {}", request.writable_finished())));
    request.end("content");
    let notes = log.clone();
    request.on_written(move |result| notes.note(result.unwrap_err().code())).unwrap();
    world.until_over();
    assert_eq!(log.all(), ["ECONNREFUSED", "error ECONNREFUSED", "close false"]);
}

#[test]
fn a_response_knows_its_request() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let body = res.req();
        let log = Log::new();
        let notes = log.clone();
        body.on_data(move |chunk| notes.note(String::from_utf8_lossy(chunk)));
        body.on_end(move || res.end(log.all().concat()));
    });
    assert_eq!(world.ask(&server, post("/", "content")).text(), "content");
}

#[test]
fn a_response_may_be_done_twice_by_those_who_do_not_talk() {
    // The promise of `end`: whatever a second party does, the peer gets one answer.
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        for text in ["first", "second"] {
            let _ = res.write_head(200, [("X-By", text)]);
            res.write(text);
            res.cork();
            res.end("");
            res.uncork();
        }
    });
    let log = Log::new();
    let request = http::get(world.lp, url_of(&server), {
        let notes = log.clone();
        move |response| {
            notes.note(response.header("X-By").unwrap_or("nobody"));
            common::collect(response, move |_, content| {
                notes.note(String::from_utf8_lossy(&content));
            });
        }
    });
    request.expect("a request").on_close(log.noting("close"));
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["first", "first", "close"]);
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text().matches("HTTP/1.1").count(), 1);
}

#[test]
fn what_waits_is_counted_with_its_framing() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        assert_eq!(res.writable_length(), 0);
        res.flush_headers();
        let head = res.writable_length();
        assert!(head > 0);
        res.write("asd");
        assert_eq!(res.writable_length(), head + "3\r\nasd\r\n".len());
        res.write("");
        assert_eq!(res.writable_length(), head + 8);
        res.end("");
        assert_eq!(res.writable_length(), head + 8 + "0\r\n\r\n".len());
    });
    assert_eq!(world.ask(&server, get("/", "")).text(), "asd");
}

#[test]
fn a_pipe_into_a_strict_message_of_another_length_breaks_it_off() {
    for (length, head_is_sent) in [(3, true), (3, false), (9, true), (9, false)] {
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let server = world.serve(move |req, res| {
            res.set_strict_content_length(true);
            res.set_header("Content-Length", length)?;
            if head_is_sent {
                res.flush_headers();
            }
            res.on_error(notes.noting_error("error"));
            res.on_close(notes.noting("close"));
            req.pipe(res);
            Ok(())
        });
        let mut peer = world.send(&server, post("/", "hello"));
        assert_eq!(world.until_end(&mut peer), Ending::End);
        let lines = log.clone();
        world.until("on_close", || lines.has("close"));
        assert_eq!(log.all(), ["error ERR_HTTP_CONTENT_LENGTH_MISMATCH", "close"], "{length}");
        // Where nothing was said yet, an error can be.
        let is_error = peer.text().starts_with("HTTP/1.1 500");
        assert_eq!(is_error, length == 3 && !head_is_sent, "{}", peer.text());
    }
}
