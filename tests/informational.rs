//! Informational responses: sent at once and before the final one, never where they would be misread.

mod common;

use std::time::Duration;

use common::{Log, World, get, raw_server};
use onloop::http::{self, ServerOptions};

#[track_caller]
fn code<T: std::fmt::Debug>(result: onloop::Result<T>) -> &'static str {
    result.expect_err("it is refused").code()
}

#[test]
fn informational_responses_leave_at_once_and_in_order() {
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(move |_req, res| {
        res.write_processing()?;
        res.write_processing()?;
        res.write_information(102, [("X-Progress", "50%"), ("x-progress", "60%")])?;
        res.write_information(199, [("X-Odd", 1)])?;
        res.write_early_hints([("Link", "</a.css>; rel=preload")])?;
        assert!(!res.headers_sent());
        res.set_status(404);
        lp.set_timeout(Duration::from_millis(5), move || res.end("final"));
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    let before = world.expect(&mut peer, "HTTP/1.1 404 Not Found\r\n");
    let expected = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
                    HTTP/1.1 102 Processing\r\nX-Progress: 50%\r\nx-progress: 60%\r\n\r\n\
                    HTTP/1.1 199 unknown\r\nX-Odd: 1\r\n\r\n\
                    HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                    HTTP/1.1 404 Not Found\r\n";
    assert_eq!(before, expected);
    world.expect(&mut peer, "\r\n\r\nfinal");
}

#[test]
fn nothing_informational_is_sent_to_http_1_0() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write_continue()?;
        res.write_processing()?;
        res.write_information(150, [("X-A", "1")])?;
        res.write_early_hints([("Link", "</a>")])?;
        res.end("x");
        Ok(())
    });
    let mut peer = world.send(&server, "GET / HTTP/1.0\r\n\r\n");
    world.until_end(&mut peer);
    assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\n"), "{}", peer.text());
}

#[test]
fn what_is_no_informational_response_is_refused_and_the_final_one_is_unharmed() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        for (status, name, value, expected) in [
            (101, "X-A", "1", "ERR_HTTP_INVALID_STATUS_CODE"),
            (99, "X-A", "1", "ERR_OUT_OF_RANGE"),
            (200, "X-A", "1", "ERR_OUT_OF_RANGE"),
            (0, "X-A", "1", "ERR_OUT_OF_RANGE"),
            (u16::MAX, "X-A", "1", "ERR_OUT_OF_RANGE"),
            (102, "X A", "1", "ERR_INVALID_HTTP_TOKEN"),
            (102, "X-A", "1\r\nX-B: 2", "ERR_INVALID_CHAR"),
            (102, "Content-Length", "5", "ERR_HTTP_INVALID_HEADER_VALUE"),
            (102, "Transfer-Encoding", "chunked", "ERR_HTTP_INVALID_HEADER_VALUE"),
        ] {
            assert_eq!(code(res.write_information(status, [(name, value)])), expected);
        }
        res.end("x");
        for refused in [
            res.write_continue(),
            res.write_processing(),
            res.write_information(102, [("X-A", "1")]),
            res.write_early_hints([("Link", "</a>")]),
        ] {
            assert_eq!(code(refused), "ERR_HTTP_HEADERS_SENT");
        }
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    world.until_end(&mut peer);
    assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\nDate"), "{}", peer.text());
    assert_eq!(peer.text().matches("HTTP/1.1").count(), 1);
}

#[test]
fn links_of_early_hints_are_one_line_and_the_first() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write_early_hints([
            ("X-Hint", "1"),
            ("link", "</a.css>; rel=preload; as=style"),
            ("Link", ""),
            ("Link", "</b.js>; rel=preload; as=script; crossorigin"),
            ("x-trace", "2"),
        ])?;
        res.end("x");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    let hints = world.expect(&mut peer, "\r\n\r\n");
    let expected = "HTTP/1.1 103 Early Hints\r\n\
                    Link: </a.css>; rel=preload; as=style, </b.js>; rel=preload; as=script; crossorigin\r\n\
                    X-Hint: 1\r\nx-trace: 2\r\n\r\n";
    assert_eq!(hints, expected);
    assert_eq!(world.answer(&mut peer).text(), "x");
}

#[test]
fn early_hints_without_a_link_are_not_sent_and_with_a_bad_one_refused() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write_early_hints([("X-Hint", "1")])?;
        res.write_early_hints([("Link", "")])?;
        res.write_early_hints([("", ""); 0])?;
        for (name, value, expected) in [
            ("Link", "/style.css", "ERR_INVALID_ARG_VALUE"),
            ("Link", "bad </style.css>; rel=preload", "ERR_INVALID_ARG_VALUE"),
            ("Link", "</style.css>; rel=\"preload", "ERR_INVALID_ARG_VALUE"),
            ("Link", "</style.css> rel=preload", "ERR_INVALID_ARG_VALUE"),
            ("Link", "</a>\r\nX: 1", "ERR_INVALID_CHAR"),
            ("X-Hint", "1\r\n", "ERR_INVALID_CHAR"),
            ("X-Hint\r\n", "1", "ERR_INVALID_HTTP_TOKEN"),
        ] {
            let hints = [("Link", "</fine.css>"), (name, value)];
            assert_eq!(code(res.write_early_hints(hints)), expected, "{name}: {value}");
        }
        res.end("x");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    world.until_end(&mut peer);
    assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\n"), "{}", peer.text());
    assert_eq!(peer.text().matches("HTTP/1.1").count(), 1);
}

#[test]
fn a_hundred_by_any_call_is_sent_once_and_only_where_it_is_awaited() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write_information(100, [("X-A", "1")])?;
        res.write_continue()?;
        res.write_information(100, [("X-A", "2")])?;
        req.on_data(|_| {});
        req.on_end(move || res.end("x"));
        Ok(())
    });
    let awaiting =
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    let mut peer = world.send(&server, awaiting);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(head, "HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n");
    peer.send("x");
    assert_eq!(world.answer(&mut peer).status, 200);
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 200, "nobody waits for it");
}

#[test]
fn informational_responses_to_a_client_that_reads_nothing_are_bounded() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let options = ServerOptions::new().max_buffered(100_000);
    let server = world.serve_with(options, move |_req, res| {
        let value = "x".repeat(30_000);
        let refused = (0..10_000)
            .find_map(|_| res.write_information(102, [("X-Large", &value)]).err())
            .expect("a bound");
        notes.note(refused.code());
        // The exchange goes on.
        res.end("x");
    });
    let mut peer = world.send(&server, get("/", ""));
    let answers = world.expect(&mut peer, "HTTP/1.1 200 OK");
    assert_eq!(answers.matches("HTTP/1.1 102").count(), 4);
    assert_eq!(log.all(), ["ERR_BUFFER_OUT_OF_BOUNDS"]);
}

#[test]
fn a_client_hears_of_each_of_them() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write_processing()?;
        res.write_processing()?;
        res.write_early_hints([("Link", "</a>"), ("Link", "</b>")])?;
        res.end("x");
        Ok(())
    });
    let log = Log::new();
    let request = http::get(world.lp, common::url_of(&server), |_| {}).unwrap();
    let notes = log.clone();
    request.on_information(move |information| {
        let link = information.header("link").unwrap_or("none").to_owned();
        notes.note(format!("{} {link}", information.status()));
    });
    request.on_close(log.noting("close"));
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["102 none", "102 none", "103 </a>, </b>", "close"]);
}

#[test]
fn a_list_of_links_from_elsewhere_is_handed_on() {
    // What a proxy gets may be a list already (RFC 8288 §3).
    let (listener, url) = raw_server();
    let mut world = World::new();
    let lp = world.lp;
    let proxy = world.serve(move |_req, res| {
        let up = http::get(lp, &url, move |response| response.pipe(res))?;
        up.on_information(move |information| res.write_early_hints(information.headers()));
        Ok(())
    });
    let mut peer = world.send(&proxy, get("/", ""));
    let mut upstream = world.accept(&listener);
    upstream.send(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload, </b>; rel=preload\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    );
    let hints = world.expect(&mut peer, "\r\n\r\n");
    assert!(hints.contains("\r\nLink: </a>; rel=preload, </b>; rel=preload\r\n"), "{hints}");
    assert_eq!(world.answer(&mut peer).text(), "hi");
}
