//! The fields of a response: those that are added, their order, those that are refused; the status line,
//! trailers, early hints.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{World, get};
use onloop::http::{self, RequestOptions, Response};

#[test]
fn fields_are_added_where_the_user_has_not_said_otherwise() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        match req.url() {
            "/own" => {
                res.set_header("Date", "yesterday")?;
                res.set_header("Keep-Alive", "timeout=7")?;
            }
            "/none" => {
                for name in ["date", "connection", "keep-alive", "x-not-there"] {
                    res.remove_header(name)?;
                }
            }
            "/undated" => res.set_send_date(false),
            _ => {}
        }
        res.end("x");
        Ok(())
    });
    let answer = world.ask(&server, get("/", ""));
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    assert_eq!(answer.names(), ["Connection", "Content-Length", "Date", "Keep-Alive"]);
    let date = answer.field("Date").unwrap();
    assert_eq!((date.len(), &date[3..5], &date[25..]), (29, ", ", " GMT"));
    assert_eq!(answer.field("Keep-Alive"), Some("timeout=65"));
    let answer = world.ask(&server, get("/own", ""));
    assert_eq!(answer.field("Date"), Some("yesterday"));
    assert_eq!(answer.field("Keep-Alive"), Some("timeout=7"));
    let mut peer = world.send(&server, get("/none", ""));
    assert_eq!(world.answer(&mut peer).names(), ["Content-Length"]);
    // Without the field, HTTP/1.1 persists.
    peer.send(get("/undated", ""));
    assert_eq!(world.answer(&mut peer).names(), ["Connection", "Content-Length", "Keep-Alive"]);
}

#[test]
fn fields_keep_their_order_and_the_last_spelling() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("X-First", "1")?;
        res.append_header("Set-Cookie", "a=1")?;
        res.append_header("set-cookie", "b=2")?;
        res.set_header("x-FIRST", vec![b'2', 0xe9, b'\t', b'3'])?;
        res.set_header("X-Empty", "")?;
        assert_eq!(res.header("X-first").as_deref(), Some(&[b'2', 0xe9, b'\t', b'3'][..]));
        assert!(res.has_header("SET-COOKIE") && !res.has_header("X-Gone"));
        res.remove_header("x-gone")?;
        res.end("");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    let mut head = Vec::new();
    world.wait("the head", || {
        peer.pump();
        head.clone_from(&peer.received);
        head.windows(4).any(|end| end == b"\r\n\r\n").then_some(())
    });
    let expected = b"\r\nx-FIRST: 2\xe9\t3\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty: \r\n";
    let stands = head.windows(expected.len()).any(|part| part == expected);
    assert!(stands, "{}", String::from_utf8_lossy(&head));
}

/// What CGI and its heirs, or whoever is careless with hyphens, can take for what frames a message.
const LOOK_ALIKES: [&str; 4] =
    ["Content_Length", "content.length", "Transfer_Encoding", "transfer~encoding"];

#[test]
fn what_a_request_could_be_framed_by_elsewhere_is_refused() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        assert!(req.headers().all(|(name, _)| !http::is_hop_by_hop(name) || name == "Connection"));
        assert_eq!(req.header("content_lengths"), Some("1"));
        res.end("");
    });
    let url = format!("http://{}/", server.address().unwrap());
    for name in LOOK_ALIKES {
        let options = RequestOptions::new("GET", &url).header(name, "0");
        let refused = http::request_with(world.lp, &options).unwrap_err();
        assert_eq!(refused.code(), "ERR_INVALID_HTTP_TOKEN", "{name}");
    }
    let request = http::request(world.lp, "GET", &url).unwrap();
    for name in LOOK_ALIKES {
        assert_eq!(request.set_header(name, "0").unwrap_err().code(), "ERR_INVALID_HTTP_TOKEN");
        assert_eq!(request.append_header(name, "0").unwrap_err().code(), "ERR_INVALID_HTTP_TOKEN");
    }
    request.set_header("Content_Lengths", "1").unwrap();
    request.end("");
    let status = Rc::new(Cell::new(0));
    let seen = Rc::clone(&status);
    request.on_response(move |response| seen.set(response.status()));
    world.until("the answer", || status.get() != 0);
    assert_eq!(status.get(), 200);
}

#[test]
fn refused_fields_are_errors_and_never_on_the_wire() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let code = |result: onloop::Result<()>| result.unwrap_err().code();
        for name in ["", "a b", "a:", "a\r\nb", "é", "a\0", "(x)"] {
            assert_eq!(code(res.set_header(name, "v")), "ERR_INVALID_HTTP_TOKEN", "{name:?}");
            assert_eq!(code(res.append_header(name, "v")), "ERR_INVALID_HTTP_TOKEN", "{name:?}");
        }
        for value in ["a\r\nInjected: 1", "a\n", "\r", "\0", "\x7f", "a\x01b", "\x0b"] {
            assert_eq!(code(res.set_header("X-Bad", value)), "ERR_INVALID_CHAR", "{value:?}");
            assert_eq!(code(res.append_header("X-Bad", value)), "ERR_INVALID_CHAR", "{value:?}");
        }
        for (name, value) in [
            ("Content-Length", "five"),
            ("content-length", "+5"),
            ("Content-Length", "5, 5"),
            ("Content-Length", "18446744073709551616"),
            ("Transfer-Encoding", "gzip"),
            ("transfer-encoding", "chunked, gzip"),
            ("Transfer-Encoding", ", chunked"),
            ("Transfer-Encoding", "gzip,, chunked"),
            ("Transfer-Encoding", "gzip x, chunked"),
            ("Transfer-Encoding", "\"gzip\", chunked"),
            ("Transfer-Encoding", "chunked, chunked"),
        ] {
            let refused = res.set_header(name, value);
            assert_eq!(code(refused), "ERR_HTTP_INVALID_HEADER_VALUE", "{name}: {value}");
        }
        for name in LOOK_ALIKES {
            assert_eq!(code(res.set_header(name, "0")), "ERR_INVALID_HTTP_TOKEN", "{name}");
            assert_eq!(code(res.append_header(name, "0")), "ERR_INVALID_HTTP_TOKEN", "{name}");
            assert_eq!(code(res.set_headers([(name, "0")])), "ERR_INVALID_HTTP_TOKEN", "{name}");
        }
        res.append_header("Content-Length", 2)?;
        let twice = res.append_header("content-length", 2);
        assert_eq!(code(twice), "ERR_HTTP_INVALID_HEADER_VALUE");
        assert_eq!(code(res.set_status_message("O\r\nK")), "ERR_INVALID_CHAR");
        assert_eq!(code(res.set_status_message("\u{20ac}")), "ERR_INVALID_CHAR");
        res.set_status_message("Fähig")?;
        res.write("o");
        assert!(res.headers_sent());
        for late in [
            res.set_header("X-Bad", "1"),
            res.append_header("X-Bad", "1"),
            res.remove_header("Date"),
            res.write_head(201, [("X-Bad", "1")]),
            res.set_status_message("Late"),
            res.write_early_hints([("Link", "</a>")]),
        ] {
            assert_eq!(code(late), "ERR_HTTP_HEADERS_SENT");
        }
        assert!(!res.set_status(404));
        res.end("k");
        Ok(())
    });
    let answer = world.ask(&server, get("/", ""));
    assert_eq!(answer.names(), ["Connection", "Content-Length", "Date", "Keep-Alive"]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn a_status_that_no_response_has_becomes_500() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let status: u16 = req.url()[1..].parse().expect("a number");
        let is_final = (200..=999).contains(&status);
        assert!(!is_final || res.set_status(status));
        let refused = res.write_head(status, [("X-Set", "1")]).err();
        match is_final {
            true => assert!(refused.is_none() && res.status() == status),
            false => {
                let code = refused.map(|error| error.code());
                assert_eq!(code, Some("ERR_HTTP_INVALID_STATUS_CODE"));
                assert!(!res.has_header("X-Set") && !res.set_status(status));
            }
        }
        res.end("");
    });
    for (asked, sent) in [
        (0, "500 Internal Server Error"),
        (99, "500 Internal Server Error"),
        (100, "500 Internal Server Error"),
        (101, "500 Internal Server Error"),
        (199, "500 Internal Server Error"),
        (200, "200 OK"),
        (404, "404 Not Found"),
        (418, "418 I'm a Teapot"),
        (799, "799 unknown"),
        (999, "999 unknown"),
        (1000, "500 Internal Server Error"),
        (65535, "500 Internal Server Error"),
    ] {
        let answer = world.ask(&server, get(&format!("/{asked}"), ""));
        assert_eq!(answer.status_line, format!("HTTP/1.1 {sent}"));
    }
}

#[test]
fn the_user_has_the_last_word_on_the_reason_phrase() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_status(404);
        res.set_status_message("Nobody Home")?;
        res.end("");
        Ok(())
    });
    let answer = world.ask(&server, get("/", ""));
    assert_eq!(answer.status_line, "HTTP/1.1 404 Nobody Home");
}

#[test]
fn trailers_follow_chunked_content() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_header("Trailer", "X-Sum")?;
        res.add_trailer("X-Sum", 42)?;
        res.add_trailer("X-Sum", "b")?;
        for (name, value, code) in [
            ("Content-Length", "1", "ERR_HTTP_TRAILER_INVALID"),
            ("transfer-encoding", "chunked", "ERR_HTTP_TRAILER_INVALID"),
            ("Host", "h", "ERR_HTTP_TRAILER_INVALID"),
            ("Proxy-Authorization", "x", "ERR_HTTP_TRAILER_INVALID"),
            ("a b", "1", "ERR_INVALID_HTTP_TOKEN"),
            ("X-Bad", "1\r\n", "ERR_INVALID_CHAR"),
        ] {
            assert_eq!(res.add_trailer(name, value).unwrap_err().code(), code);
        }
        match req.url() {
            "/pieces" => res.end_in_pieces(),
            "/length" => {
                res.remove_header("Trailer")?;
                res.set_header("Content-Length", 5)?;
                res.end("hello");
            }
            _ => res.end("hello"),
        }
        assert_eq!(res.add_trailer("X-Late", "1").unwrap_err().code(), "ERR_HTTP_HEADERS_SENT");
        Ok(())
    });
    let trailers = [("X-Sum".to_owned(), "42".to_owned()), ("X-Sum".to_owned(), "b".to_owned())];
    for path in ["/pieces", "/announced"] {
        let answer = world.ask(&server, get(path, ""));
        assert_eq!((answer.text().as_str(), &answer.trailers[..]), ("hello", &trailers[..]));
    }
    let mut peer = world.send(&server, get("/length", "") + "GET /pieces HTTP/1.0\r\n\r\n");
    let answer = world.answer(&mut peer);
    assert_eq!((answer.field("Content-Length"), answer.trailers.len()), (Some("5"), 0));
    world.until_end(&mut peer);
    assert!(peer.text().ends_with("\r\n\r\nhello"), "{}", peer.text());
}

trait InPieces {
    fn end_in_pieces(&self);
}

impl InPieces for Response {
    fn end_in_pieces(&self) {
        self.write("hel");
        self.end("lo");
    }
}

#[test]
fn early_hints_come_first_and_not_to_http_1_0() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write_early_hints([("Link", "</a.css>; rel=preload"), ("X-Hint", "1")])?;
        let refused = res.write_early_hints([("Link", "a\r\nb")]).unwrap_err();
        assert_eq!(refused.code(), "ERR_INVALID_CHAR");
        res.end("x");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    let hints = world.answer(&mut peer);
    assert_eq!(hints.status_line, "HTTP/1.1 103 Early Hints");
    assert_eq!(hints.names(), ["Link", "X-Hint"]);
    assert_eq!(world.answer(&mut peer).text(), "x");
    let answer = world.ask(&server, "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(answer.status, 200);
}
