//! `collect`: the whole content of a message in one callback, or one error; never both, never twice.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Ending, Log, World, get, post, raw_server, url_of};
use onloop::http::{self, Body, ServerOptions};
use onloop::{Error, ErrorKind, Limit};

/// A callback for `collect` that notes what it was given.
fn noting(log: &Log) -> impl FnOnce(onloop::Result<Vec<u8>>) + 'static {
    let log = log.clone();
    move |content| log.note(line(&content))
}

fn line(content: &onloop::Result<Vec<u8>>) -> String {
    match content {
        Ok(content) => format!("content {:?}", String::from_utf8_lossy(content)),
        Err(error) => format!("error {}", error.code()),
    }
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn content_is_collected_whole_however_it_comes() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let notes = notes.clone();
        req.on_end(notes.noting("end"));
        req.on_data(|_| panic!("on_data is not called meanwhile"));
        req.collect(11, move |content| {
            notes.note(line(&content));
            res.end(content?);
            Ok(())
        });
    });
    let requests = [
        (post("/", "hello world"), "hello world"),
        (get("/", CHUNKED) + "5\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n", "hello world"),
        (post("/", ""), ""),
        (get("/", ""), ""),
    ];
    let mut peer = world.connect(&server);
    for (request, content) in &requests {
        peer.send(request);
        assert_eq!(world.answer(&mut peer).text(), *content);
        assert_eq!(log.all(), [format!("content {content:?}"), "end".to_owned()]);
        let (head, rest) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
        peer.send(head);
        for byte in rest.as_bytes() {
            world.turn();
            peer.send([*byte]);
        }
        assert_eq!(world.answer(&mut peer).text(), *content, "byte by byte");
        log.clear();
    }
    let pipelined: String = requests.iter().map(|(request, _)| request.as_str()).collect();
    peer.send(pipelined);
    for (_, content) in &requests {
        assert_eq!(world.answer(&mut peer).text(), *content);
    }
}

#[test]
fn content_that_is_too_long_is_told_once_and_can_be_answered() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let notes = notes.clone();
        req.on_end(notes.noting("end"));
        req.on_data(|_| panic!("what is too much is dropped"));
        req.collect(10, move |content| {
            let error = content.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Limit(Limit::Body));
            assert_eq!(error.status_hint(), Some(413));
            notes.note(error.code());
            res.set_status(413);
            res.end("no more than ten");
        });
    });
    let one_more = get("/", CHUNKED) + "a\r\n0123456789\r\n1\r\nx\r\n1\r\nx\r\n0\r\n\r\n";
    for request in [post("/", "0123456789x"), one_more, post("/", &"x".repeat(200_000))] {
        let mut peer = world.send(&server, request);
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.text().as_str()), (413, "no more than ten"));
        // The rest was dropped: the connection serves on.
        peer.send(post("/", "0123456789x"));
        assert_eq!(world.answer(&mut peer).status, 413);
        let lines = log.clone();
        world.until("the end of the content", || lines.count("end") == 2);
        assert_eq!(log.count("ERR_HTTP_CONTENT_TOO_LARGE"), 2);
        log.clear();
    }
}

#[test]
fn an_answer_to_content_that_is_too_long_may_come_later() {
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(move |req, res| {
        req.collect(1, move |content| {
            assert!(content.is_err());
            lp.set_timeout(std::time::Duration::from_millis(5), move || res.end("later"));
        });
    });
    let mut peer = world.send(&server, post("/", "xyz"));
    assert_eq!(world.answer(&mut peer).text(), "later");
    // More than is worth reading: the answer is the last.
    let mut peer = world.send(&server, post("/", &"x".repeat(3_000_000)));
    // Whether it says so depends on how much came before it.
    assert_eq!(world.answer(&mut peer).text(), "later");
    world.until_end(&mut peer);
}

#[test]
fn an_error_that_comes_back_from_the_callback_is_413() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        req.collect(5, move |content| {
            res.end(content?);
            Ok(())
        });
    });
    assert_eq!(world.ask(&server, post("/", "12345")).text(), "12345");
    let mut peer = world.send(&server, post("/", "123456"));
    assert_eq!(world.answer(&mut peer).status, 413);
    assert_eq!(world.until_end(&mut peer), Ending::End);
}

#[test]
fn an_exchange_that_breaks_off_is_told_once() {
    let log = Log::new();
    let kept: Rc<RefCell<Vec<Body>>> = Rc::default();
    let (notes, keeps) = (log.clone(), Rc::clone(&kept));
    let mut world = World::new();
    let server = world.serve(move |req, _res| {
        req.on_error(notes.noting_error("on_error"));
        req.on_aborted(notes.noting("on_aborted"));
        req.on_close(notes.noting("on_close"));
        req.collect(100, noting(&notes));
        keeps.borrow_mut().push(req.body());
    });
    let partial = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel";
    let begun = |world: &mut World| {
        let peer = world.send(&server, partial);
        let body = world.wait("the request", || kept.borrow_mut().pop());
        (peer, body)
    };
    // The client goes away.
    let (peer, _) = begun(&mut world);
    drop(peer);
    let lines = log.clone();
    world.until("the end", || lines.has("on_close"));
    assert_eq!(log.all(), ["error ECONNRESET", "on_aborted", "on_error ECONNRESET", "on_close"]);
    log.clear();
    // The program ends it, without an error and with one.
    let (mut peer, body) = begun(&mut world);
    body.destroy();
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE", "on_aborted", "on_close"]);
    log.clear();
    let (mut peer, body) = begun(&mut world);
    body.destroy_with(Error::other("enough"));
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["error ERR_USER", "on_aborted", "on_error ERR_USER", "on_close"]);
    log.clear();
    // The content is malformed.
    let mut peer = world.send(&server, get("/", CHUNKED) + "3\r\nabc\r\nx\r\n");
    assert_eq!(world.answer(&mut peer).status, 400);
    let lines = log.clone();
    world.until("the end", || lines.has("on_close"));
    assert_eq!(log.all()[0], "error HPE_INVALID_CHUNK_SIZE");
    assert_eq!(log.len(), 4);
}

#[test]
fn a_handle_whose_message_is_over_collects_nothing() {
    let dropped = Rc::new(());
    let kept: Rc<RefCell<Option<Body>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        *keeps.borrow_mut() = Some(req.body());
        res.end("");
    });
    world.ask(&server, get("/", ""));
    let body = kept.take().unwrap();
    let held = Rc::clone(&dropped);
    body.collect(1, move |_| {
        let _held = held;
        panic!("nobody calls this");
    });
    assert_eq!(Rc::strong_count(&dropped), 1, "the callback is gone");
    world.turn();
}

#[test]
fn a_second_collect_takes_over() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.collect(100, |_| panic!("displaced"));
        req.collect(100, noting(&notes));
        req.on_end(move || res.end(""));
    });
    world.ask(&server, post("/", "x"));
    assert_eq!(log.all(), ["content \"x\""]);
}

#[test]
fn what_a_pipe_takes_is_not_collected() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        match req.url() {
            "/before" => {
                req.collect(100, noting(&notes));
                req.pipe(res);
            }
            _ => {
                req.pipe(res);
                req.collect(100, noting(&notes));
            }
        };
    });
    for path in ["/before", "/behind"] {
        assert_eq!(world.ask(&server, post(path, "content")).text(), "content");
        assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE"]);
        log.clear();
    }
}

#[test]
fn what_was_dropped_because_the_answer_ended_is_not_taken_for_all() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.collect(100, noting(&notes));
        req.pause();
        res.end("early");
    });
    let mut peer = world.send(&server, post("/", "content"));
    assert_eq!(world.answer(&mut peer).text(), "early");
    let lines = log.clone();
    world.until("the content to be dropped", || lines.len() == 1);
    assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE"]);
}

#[test]
fn an_answer_that_ends_first_does_not_cut_what_is_collected() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.collect(100, noting(&notes));
        res.end("early");
    });
    let mut peer = world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 7\r\n\r\nco");
    assert_eq!(world.answer(&mut peer).text(), "early");
    assert_eq!(log.len(), 0);
    peer.send("ntent");
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "early");
    assert_eq!(log.all(), ["content \"content\"", "content \"\""]);
}

#[test]
fn collecting_pauses_and_goes_on_like_any_reading() {
    let log = Log::new();
    let kept: Rc<RefCell<Option<Body>>> = Rc::default();
    let (notes, keeps) = (log.clone(), Rc::clone(&kept));
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.collect(100, noting(&notes));
        req.pause();
        req.on_end(move || res.end("fine"));
        *keeps.borrow_mut() = Some(req.body());
    });
    let mut peer = world.send(&server, post("/", "content"));
    let body = world.wait("the request", || kept.take());
    for _ in 0..5 {
        world.turn();
    }
    assert_eq!(log.len(), 0);
    body.resume();
    assert_eq!(world.answer(&mut peer).text(), "fine");
    assert_eq!(log.all(), ["content \"content\""]);
}

#[test]
fn collecting_asks_for_the_content_of_a_client_that_waits() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        req.collect(100, move |content| res.end(content.unwrap_or_default()));
    });
    let fields = "Expect: 100-continue\r\nContent-Length: 2\r\n";
    let mut peer = world.send(&server, get("/", fields));
    assert_eq!(world.answer(&mut peer).status, 100);
    peer.send("hi");
    assert_eq!(world.answer(&mut peer).text(), "hi");
}

#[test]
fn responses_are_collected_and_their_connection_is_free_by_then() {
    let log = Log::new();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("content"));
    let url = url_of(&server);
    let (lp, notes) = (world.lp, log.clone());
    let request = http::request(lp, "GET", &url).unwrap();
    request.on_response(move |response| {
        response.collect(7, move |content| {
            notes.note(line(&content));
            let second = http::request(lp, "GET", &url).unwrap();
            second.on_response(move |response| {
                notes.note(format!("reused {}", second.is_reused()));
                response.collect(6, move |content| {
                    notes.note(line(&content));
                    server.close();
                });
            });
            second.end("");
        });
    });
    request.end("");
    world.until_over();
    assert_eq!(
        log.all(),
        ["content \"content\"", "reused true", "error ERR_HTTP_CONTENT_TOO_LARGE"]
    );
}

#[test]
fn a_response_that_breaks_off_is_told_once() {
    let answers = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "error ECONNRESET"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz", "error HPE_INVALID_CHUNK_SIZE"),
        ("HTTP/1.1 200 OK\r\n\r\nhello", "content \"hello\""),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: y\r\n\r\n",
            "content \"x\"",
        ),
    ];
    for (bytes, expected) in answers {
        let (listener, url) = raw_server();
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let request = http::request(world.lp, "GET", &url).unwrap();
        request.on_response(move |response| response.collect(100, noting(&notes)));
        request.end("");
        let mut peer = world.accept(&listener);
        peer.send(bytes);
        peer.end();
        world.until_over();
        assert_eq!(log.all(), [expected], "{bytes:?}");
    }
}

#[test]
fn a_panic_in_the_callback_leaves_the_loop_fit_to_go_on() {
    let mut world =
        World::with(onloop::LoopOptions::new().panic_policy(onloop::PanicPolicy::Contain));
    let options = ServerOptions::new();
    let server = world.serve_with(options, |req, res| {
        req.collect(100, move |content| {
            assert!(content.unwrap().is_empty(), "contained");
            res.end("fine");
        });
    });
    assert_eq!(world.ask(&server, post("/", "x")).status, 500);
    assert_eq!(world.ask(&server, post("/", "")).text(), "fine");
}

#[test]
fn what_is_dropped_of_a_response_already_is_not_taken_for_all() {
    let (listener, url) = raw_server();
    let log = Log::new();
    let mut world = World::new();
    let lp = world.lp;
    let request = http::request(lp, "GET", &url).unwrap();
    let notes = log.clone();
    request.on_response(move |response| {
        let body = response.body();
        // Nobody has asked for it: it is dropped from now on.
        drop(response);
        lp.set_immediate(move || {
            body.collect(100, noting(&notes));
            notes.note("asked");
        });
    });
    request.end("");
    let mut peer = world.accept(&listener);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    world.until("the late call", || log.has("asked"));
    peer.send("later");
    world.until("the end", || log.len() == 2);
    assert_eq!(log.all(), ["asked", "error ERR_STREAM_PREMATURE_CLOSE"]);
}
