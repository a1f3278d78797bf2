//! Which callback runs when, and what calls in the wrong order do.

use super::*;
use onloop::Error;

/// Promise 1: A callback runs only from the loop's turn, never inside a call that the user makes.
#[test]
fn a_callback_runs_only_from_the_loops_turn_never_inside_a_call_that_the_user_makes() {
    let mut bench = Bench::new();
    let lp = bench.lp;
    // Each callback borrows it for as long as it runs: one inside another would panic.
    let state = Rc::new(RefCell::new(0));
    let calls = state.clone();
    let enter = move || {
        let state = state.clone();
        move |act: &dyn Fn()| {
            let mut calls = state.borrow_mut();
            *calls += 1;
            act();
        }
    };
    let entered = enter();
    let server = bench.serve(move |req, res| {
        let (data, end, close, finish, drain) = (enter(), enter(), enter(), enter(), enter());
        entered(&|| {
            let body = req.body();
            res.flush_headers();
            res.write("part");
            body.resume();
            body.pause();
            body.resume();
        });
        let body = req.body();
        req.on_data(move |_| {
            data(&|| {
                res.write(&[b'x'; 100_000]);
                body.pause();
                body.resume();
            });
        });
        req.on_end(move || {
            end(&|| {
                lp.set_timeout(Duration::ZERO, || {});
                lp.set_immediate(|| {}).clear();
            });
        });
        res.on_drain(move || drain(&|| res.end("end")));
        res.on_finish(move || finish(&|| res.destroy()));
        res.on_close(move || {
            close(&|| {
                let request = http::get(lp, "http://127.0.0.1/", |_| {}).unwrap();
                request.destroy();
                request.destroy_with(Error::other("twice"));
            });
        });
    });
    let closed = Log::default();
    server.on_close(closed.hook("close"));
    let peer = bench.send(POST);
    for _ in 0..20 {
        peer.read();
        bench.settle();
    }
    server.close();
    assert!(closed.all().is_empty(), "on_close inside close");
    drop(peer);
    bench.settle();
    assert_eq!(closed.all(), ["close"]);
    assert!(*calls.borrow() >= 6, "not all kinds of callback were called: {}", calls.borrow());
}

/// Promise 4: Within one message: `on_request`/`on_response` first, then `on_data`, then trailers are readable,
/// `on_end` once, `on_close` once and last.
#[test]
fn within_one_message_the_head_comes_first_then_data_trailers_end_and_close_once_and_last() {
    let mut bench = Bench::new();
    let server_log = Log::default();
    let log = server_log.clone();
    bench.serve(move |req, res| {
        log.add(format!("request {}", req.method()));
        let (body, data, end) = (req.body(), log.clone(), log.clone());
        req.on_close(log.hook("body close"));
        res.on_close(log.hook("close"));
        res.on_finish(log.hook("finish"));
        req.on_end(move || {
            end.add(format!("end {:?}", body.trailers().len()));
            res.set_header("Trailer", "X-Sum").unwrap();
            res.write("answer");
            res.add_trailer("X-Sum", "1").unwrap();
            res.end("");
        });
        req.on_data(move |chunk| {
            assert!(body.trailers().is_empty());
            data.add(format!("data {}", chunk.len()));
        });
    });
    let client_log = Log::default();
    let request = http::request(bench.lp, "POST", "http://127.0.0.1/").unwrap();
    request.set_header("Trailer", "X-End").unwrap();
    let log = client_log.clone();
    request.on_close(log.hook("close"));
    request.on_finish(log.hook("finish"));
    request.on_response(move |response| {
        log.add(format!("response {}", response.status()));
        let (body, data, end) = (response.body(), log.clone(), log.clone());
        response.on_close(log.hook("body close"));
        response.on_end(move || end.add(format!("end {}", body.trailers().len())));
        response.on_data(move |chunk| data.add(format!("data {}", chunk.len())));
    });
    request.write("abc");
    bench.settle();
    request.write("defgh");
    bench.settle();
    request.add_trailer("X-End", "yes").unwrap();
    request.end("");
    bench.settle();
    let expected = ["request POST", "data 3", "data 5", "end 1", "finish", "body close", "close"];
    assert_eq!(server_log.all(), expected);
    let expected = ["finish", "response 200", "data 6", "end 1", "body close", "close"];
    assert_eq!(client_log.all(), expected);
}

/// Promise 4: `on_error` comes before `on_close`. Errors are never delivered synchronously.
#[test]
fn on_error_comes_before_on_close_and_never_synchronously() {
    let mut bench = Bench::new();
    let log = Log::default();
    let server = log.clone();
    bench.serve(move |req, res| {
        let error = server.clone();
        req.on_data(|_| {});
        req.on_end(server.hook("never: end"));
        req.on_aborted(server.hook("aborted"));
        req.on_error(move |err| error.add(format!("error {}", err.code())));
        req.on_close(server.hook("body close"));
        res.on_close(server.hook("close"));
        res.on_finish(server.hook("never: finish"));
    });
    let peer = bench.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\npart");
    peer.close();
    bench.settle();
    assert_eq!(log.all(), ["aborted", "error ECONNRESET", "body close", "close"]);

    let log = Log::default();
    let request = http::request(bench.lp, "GET", "http://127.0.0.1:81/").unwrap();
    let error = log.clone();
    request.on_error(move |err| error.add(err.code()));
    request.on_close(log.hook("close"));
    request.end("");
    assert!(log.all().is_empty());
    bench.settle();
    assert_eq!(log.all(), ["ECONNREFUSED", "close"]);

    let log = Log::default();
    let request = http::request(bench.lp, "GET", "http://127.0.0.1/").unwrap();
    let error = log.clone();
    request.on_error(move |err| error.add(err.to_string()));
    request.on_close(log.hook("close"));
    request.destroy_with(Error::other("changed my mind"));
    assert!(log.all().is_empty(), "an error inside destroy");
    bench.settle();
    assert_eq!(log.all(), ["changed my mind", "close"]);
}

/// Promise 5: `end` twice, `write` after `end`, anything on a dead handle: no effect on any other exchange.
#[test]
fn end_twice_write_after_end_and_anything_on_a_dead_handle_have_no_effect_on_any_other_exchange() {
    let mut bench = Bench::new();
    let handles: Rc<RefCell<Vec<(http::Body, Response)>>> = Rc::default();
    let all = handles.clone();
    bench.serve(move |req, res| {
        for (body, former) in all.borrow().iter() {
            // Of the same connection: the slot is the same, the exchange is another one.
            assert!(!former.write("dead") && !former.is_open() && !body.is_open());
            former.end("dead");
            former.destroy();
            body.pause();
            body.destroy_with(Error::other("dead"));
            body.pipe(res);
            assert!(former.set_header("X-Dead", "1").is_err() && !former.set_status(500));
            former.on_close(dead);
            body.on_data(|_| dead());
        }
        all.borrow_mut().push((req.body(), res));
        res.end("one");
        res.end("two");
        assert!(!res.write("three"), "a write after the end");
    });
    let peer = bench.send(&GET.repeat(3));
    assert_eq!(handles.borrow().len(), 3);
    let answers = text(&peer);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
    assert_eq!(answers.matches("\r\n\r\none").count(), 3);
    assert!(!answers.contains("two") && !answers.contains("three") && !answers.contains("ead"));
    // The next owner of the slot.
    drop(peer);
    bench.settle();
    let peer = bench.send(POST);
    assert!(text(&peer).ends_with("\r\n\r\none"));
}

/// Promise 5: `write_head`/`set_header` after the head is sent, invalid names and values, CR/LF/NUL: an `Err`,
/// nothing on the wire.
#[test]
fn fields_after_the_head_and_invalid_fields_are_an_err_and_nothing_on_the_wire() {
    let mut bench = Bench::new();
    bench.serve(|_, res| {
        for name in ["", "a b", "a:", "X-\r\nInjected", "X\0", "ü"] {
            assert_eq!(
                res.set_header(name, "v").unwrap_err().code(),
                "ERR_INVALID_HTTP_TOKEN",
                "{name:?}"
            );
            assert!(res.append_header(name, "v").is_err() && res.add_trailer(name, "v").is_err());
        }
        for value in ["a\r\nInjected: 1", "a\n", "\r", "a\0b", "\u{7f}"] {
            assert_eq!(
                res.set_header("X-A", value).unwrap_err().code(),
                "ERR_INVALID_CHAR",
                "{value:?}"
            );
            assert!(
                res.append_header("X-A", value).is_err() && res.add_trailer("X-A", value).is_err()
            );
            assert!(res.set_status_message(value).is_err());
            assert!(res.write_early_hints([("Link", value)]).is_err());
        }
        assert!(res.write_head(99, [("X-A", "1")]).is_err());
        assert!(res.set_header("Content-Length", "5, 5").is_err());
        res.write("content");
        for error in [
            res.write_head(404, [("X-A", "1")]).unwrap_err(),
            res.set_header("X-A", "1").unwrap_err(),
            res.remove_header("Date").unwrap_err(),
            res.set_status_message("fine").unwrap_err(),
        ] {
            assert_eq!(error.code(), "ERR_HTTP_HEADERS_SENT");
        }
        res.end("");
    });
    let peer = bench.send(GET);
    let answer = text(&peer);
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n")
            && answer.ends_with("\r\n7\r\ncontent\r\n0\r\n\r\n")
    );
    assert!(!answer.contains("Injected") && !answer.contains("X-") && !answer.contains("Link"));
    for url in ["http://a b/", "http://127.0.0.1/\r\nX: 1", "ftp://a/", "http:///", "nonsense"] {
        assert!(http::request(bench.lp, "GET", url).is_err(), "{url:?}");
    }
    assert!(http::request(bench.lp, "GET / HTTP/1.1\r\n", "http://127.0.0.1/").is_err());
}

fn dead() {
    panic!("a callback of a dead handle");
}
