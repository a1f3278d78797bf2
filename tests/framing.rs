//! What a response says about itself: framing by what the handler did, the fields that are added, and the
//! fields that are refused.

mod common;

use std::io::Write as _;

use common::{Answer, Ending, World, get, post};
use onloop::http::{Response, ServerOptions};

type Handler = fn(Response) -> onloop::Result<()>;

/// What the wire must say: version, handler, status, Content-Length, chunked, content, and whether the
/// connection persists.
type Row = (
    &'static str,
    Handler,
    u16,
    Option<&'static str>,
    bool,
    &'static str,
    bool,
);

fn answers(method: &str, rows: &[(&str, Row)]) {
    for (name, (version, handler, status, length, chunked, content, persistent)) in rows {
        let mut world = World::new();
        let handler = *handler;
        let server = world.serve(move |_req, res| handler(res));
        let asks = match *version {
            "1.0+" => format!("{method} / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
            version => format!("{method} / HTTP/{version}\r\nHost: h\r\n\r\n"),
        };
        let mut peer = world.send(&server, &asks);
        let answer = |world: &mut World, peer: &mut common::Peer| match method {
            "HEAD" => world.answer_to_head(peer),
            _ => world.answer(peer),
        };
        let first = answer(&mut world, &mut peer);
        assert_eq!(first.status, *status, "{name}: {first:?}");
        assert_eq!(first.field("Content-Length"), *length, "{name}: {first:?}");
        assert_eq!(
            first.field("Transfer-Encoding"),
            chunked.then_some("chunked"),
            "{name}"
        );
        assert_eq!(first.text(), *content, "{name}");
        if *persistent {
            assert_ne!(first.field("Connection"), Some("close"), "{name}");
            // Not one byte more or less than framed: the next answer begins where this one ends.
            peer.send(&asks);
            assert_eq!(answer(&mut world, &mut peer).fields, first.fields, "{name}");
        } else {
            assert_eq!(world.until_end(&mut peer), Ending::End, "{name}");
            assert_eq!(peer.text(), "", "{name}");
        }
    }
}

fn pieces(res: Response) -> onloop::Result<()> {
    res.write("he");
    res.write("llo");
    res.end("");
    Ok(())
}

fn whole(res: Response) -> onloop::Result<()> {
    res.end("hello");
    Ok(())
}

#[test]
fn framing_follows_what_the_handler_does() {
    answers(
        "GET",
        &[
            (
                "end only",
                ("1.1", whole, 200, Some("5"), false, "hello", true),
            ),
            (
                "end without content",
                (
                    "1.1",
                    |res| {
                        res.end("");
                        Ok(())
                    },
                    200,
                    Some("0"),
                    false,
                    "",
                    true,
                ),
            ),
            (
                "write, then end",
                ("1.1", pieces, 200, None, true, "hello", true),
            ),
            (
                "an empty write is not the last chunk",
                (
                    "1.1",
                    |res| {
                        res.write("");
                        res.write("hello");
                        res.write("");
                        res.end("");
                        Ok(())
                    },
                    200,
                    None,
                    true,
                    "hello",
                    true,
                ),
            ),
            (
                "Content-Length set",
                (
                    "1.1",
                    |res| {
                        res.set_header("Content-Length", 5)?;
                        pieces(res)
                    },
                    200,
                    Some("5"),
                    false,
                    "hello",
                    true,
                ),
            ),
            (
                "flush_headers, then end",
                (
                    "1.1",
                    |res| {
                        res.flush_headers();
                        whole(res)
                    },
                    200,
                    None,
                    true,
                    "hello",
                    true,
                ),
            ),
            (
                "write_head, then end",
                (
                    "1.1",
                    |res| {
                        res.write_head(201, [("X-A", "1")])?;
                        whole(res)
                    },
                    201,
                    Some("5"),
                    false,
                    "hello",
                    true,
                ),
            ),
            (
                "chunked by the user",
                (
                    "1.1",
                    |res| {
                        res.set_header("Transfer-Encoding", "chunked")?;
                        whole(res)
                    },
                    200,
                    None,
                    true,
                    "hello",
                    true,
                ),
            ),
            (
                "both by the user: chunked tells the truth by itself",
                (
                    "1.1",
                    |res| {
                        res.set_header("Content-Length", 77)?;
                        res.set_header("Transfer-Encoding", "chunked")?;
                        whole(res)
                    },
                    200,
                    None,
                    true,
                    "hello",
                    true,
                ),
            ),
            (
                "Content-Length removed",
                (
                    "1.1",
                    |res| {
                        res.remove_header("content-length")?;
                        whole(res)
                    },
                    200,
                    None,
                    true,
                    "hello",
                    true,
                ),
            ),
            (
                "both removed: until the end of the connection",
                (
                    "1.1",
                    |res| {
                        res.remove_header("Content-Length")?;
                        res.remove_header("Transfer-Encoding")?;
                        whole(res)
                    },
                    200,
                    None,
                    false,
                    "hello",
                    false,
                ),
            ),
            (
                "Connection: close by the user",
                (
                    "1.1",
                    |res| {
                        res.set_header("Connection", "close")?;
                        whole(res)
                    },
                    200,
                    Some("5"),
                    false,
                    "hello",
                    false,
                ),
            ),
        ],
    );
}

#[test]
fn http_1_0_gets_no_chunks() {
    answers(
        "GET",
        &[
            (
                "whole",
                ("1.0", whole, 200, Some("5"), false, "hello", false),
            ),
            (
                "whole, kept alive",
                ("1.0+", whole, 200, Some("5"), false, "hello", true),
            ),
            ("pieces", ("1.0", pieces, 200, None, false, "hello", false)),
            (
                "pieces, kept alive",
                ("1.0+", pieces, 200, None, false, "hello", false),
            ),
            (
                "chunked by the user",
                (
                    "1.0",
                    |res| {
                        res.set_header("Transfer-Encoding", "chunked")?;
                        pieces(res)
                    },
                    200,
                    None,
                    false,
                    "hello",
                    false,
                ),
            ),
            (
                "a length by the user",
                (
                    "1.0+",
                    |res| {
                        res.set_header("Content-Length", "5")?;
                        pieces(res)
                    },
                    200,
                    Some("5"),
                    false,
                    "hello",
                    true,
                ),
            ),
        ],
    );
}

#[test]
fn some_responses_have_no_content_whatever_is_written() {
    fn with_status(res: Response, status: u16) -> onloop::Result<()> {
        res.set_status(status);
        whole(res)
    }
    answers(
        "GET",
        &[
            (
                "204",
                (
                    "1.1",
                    |res| with_status(res, 204),
                    204,
                    None,
                    false,
                    "",
                    true,
                ),
            ),
            (
                "304",
                (
                    "1.1",
                    |res| with_status(res, 304),
                    304,
                    None,
                    false,
                    "",
                    true,
                ),
            ),
            (
                "204 in pieces, with fields of framing",
                (
                    "1.1",
                    |res| {
                        res.set_status(204);
                        res.set_header("Content-Length", 5)?;
                        res.set_header("Transfer-Encoding", "chunked")?;
                        pieces(res)
                    },
                    204,
                    None,
                    false,
                    "",
                    true,
                ),
            ),
            (
                "304 may tell the length of the 200",
                (
                    "1.1",
                    |res| {
                        res.set_header("Content-Length", 5)?;
                        with_status(res, 304)
                    },
                    304,
                    Some("5"),
                    false,
                    "",
                    true,
                ),
            ),
        ],
    );
    answers(
        "HEAD",
        &[
            ("whole", ("1.1", whole, 200, Some("5"), false, "", true)),
            ("pieces", ("1.1", pieces, 200, None, false, "", true)),
            (
                "a length by the user",
                (
                    "1.1",
                    |res| {
                        res.set_header("Content-Length", 12)?;
                        res.end("");
                        Ok(())
                    },
                    200,
                    Some("12"),
                    false,
                    "",
                    true,
                ),
            ),
            ("1.0", ("1.0+", whole, 200, Some("5"), false, "", true)),
        ],
    );
}

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
    assert_eq!(
        answer.names(),
        ["Date", "Connection", "Keep-Alive", "Content-Length"]
    );
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
    assert_eq!(
        world.answer(&mut peer).names(),
        ["Connection", "Keep-Alive", "Content-Length"]
    );
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
        assert_eq!(
            res.header("X-first").as_deref(),
            Some(&[b'2', 0xe9, b'\t', b'3'][..])
        );
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
    let expected =
        b"HTTP/1.1 200 OK\r\nx-FIRST: 2\xe9\t3\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nX-Empty: ";
    assert!(
        head.starts_with(expected),
        "{}",
        String::from_utf8_lossy(&head)
    );
}

#[test]
fn refused_fields_are_errors_and_never_on_the_wire() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let code = |result: onloop::Result<()>| result.unwrap_err().code();
        for name in ["", "a b", "a:", "a\r\nb", "é", "a\0", "(x)"] {
            assert_eq!(
                code(res.set_header(name, "v")),
                "ERR_INVALID_HTTP_TOKEN",
                "{name:?}"
            );
            assert_eq!(
                code(res.append_header(name, "v")),
                "ERR_INVALID_HTTP_TOKEN",
                "{name:?}"
            );
        }
        for value in [
            "a\r\nInjected: 1",
            "a\n",
            "\r",
            "\0",
            "\x7f",
            "a\x01b",
            "\x0b",
        ] {
            assert_eq!(
                code(res.set_header("X-Bad", value)),
                "ERR_INVALID_CHAR",
                "{value:?}"
            );
            assert_eq!(
                code(res.append_header("X-Bad", value)),
                "ERR_INVALID_CHAR",
                "{value:?}"
            );
        }
        for (name, value) in [
            ("Content-Length", "five"),
            ("content-length", "+5"),
            ("Content-Length", "5, 5"),
            ("Content-Length", "18446744073709551616"),
            ("Transfer-Encoding", "gzip"),
            ("transfer-encoding", "chunked, gzip"),
            ("Transfer-Encoding", "chunked, chunked"),
        ] {
            let refused = res.set_header(name, value);
            assert_eq!(
                code(refused),
                "ERR_HTTP_INVALID_HEADER_VALUE",
                "{name}: {value}"
            );
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
    assert_eq!(
        answer.names(),
        ["Content-Length", "Date", "Connection", "Keep-Alive"]
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[test]
fn a_status_that_no_response_has_becomes_500() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let status: u16 = req.url()[1..].parse().expect("a number");
        let refused = res.write_head(status, [("X-Set", "1")]).err();
        match (200..=999).contains(&status) {
            true => assert!(refused.is_none() && res.set_status(status)),
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
fn a_response_with_less_than_announced_ends_the_connection() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("Content-Length", 10)?;
        res.end("short");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "") + &get("/", ""));
    world.until_end(&mut peer);
    let text = peer.text();
    assert!(
        text.contains("Content-Length: 10\r\n") && text.ends_with("\r\n\r\nshort"),
        "{text}"
    );
}

#[test]
fn content_beyond_the_announced_length_is_dropped() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("Content-Length", 2)?;
        res.write("ok");
        res.write("HTTP/1.1 200 OK");
        res.end("more");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "") + &get("/", ""));
    for _ in 0..2 {
        assert_eq!(world.answer(&mut peer).text(), "ok");
    }
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
            ("a b", "1", "ERR_INVALID_HTTP_TOKEN"),
            ("X-Bad", "1\r\n", "ERR_INVALID_CHAR"),
        ] {
            assert_eq!(res.add_trailer(name, value).unwrap_err().code(), code);
        }
        match req.url() {
            "/pieces" => res.end_in_pieces(),
            "/length" => {
                res.set_header("Content-Length", 5)?;
                res.end("hello");
            }
            _ => res.end("hello"),
        }
        assert_eq!(
            res.add_trailer("X-Late", "1").unwrap_err().code(),
            "ERR_HTTP_HEADERS_SENT"
        );
        Ok(())
    });
    let trailers = [
        ("X-Sum".to_owned(), "42".to_owned()),
        ("X-Sum".to_owned(), "b".to_owned()),
    ];
    for path in ["/pieces", "/announced"] {
        let answer = world.ask(&server, get(path, ""));
        assert_eq!(
            (answer.text().as_str(), &answer.trailers[..]),
            ("hello", &trailers[..])
        );
    }
    let mut peer = world.send(&server, get("/length", "") + "GET /pieces HTTP/1.0\r\n\r\n");
    let answer = world.answer(&mut peer);
    assert_eq!(
        (answer.field("Content-Length"), answer.trailers.len()),
        (Some("5"), 0)
    );
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

#[test]
fn a_response_is_a_writer() {
    let mut world = World::new();
    let server = world.serve(|req, mut res| {
        write!(res, "{} ", req.method())?;
        serde_json::to_writer(&res, &[1, 2]).expect("a writer that takes everything");
        res.end("");
        let refused = write!(res, "more").unwrap_err();
        assert!(
            refused
                .get_ref()
                .is_some_and(|error| error.is::<onloop::Error>())
        );
        Ok(())
    });
    assert_eq!(world.ask(&server, get("/", "")).text(), "GET [1,2]");
}

#[test]
fn content_is_taken_in_every_form_and_size() {
    let large: String = "0123456789abcdef".repeat(8192);
    let expected = large.clone();
    let mut world = World::new();
    let server = world.serve_with(ServerOptions::new(), move |_req, res| {
        res.write("str");
        res.write(String::from("string"));
        res.write(&b"slice"[..]);
        res.write(b"array");
        res.write(vec![b'v'; 3]);
        res.write(bytes::Bytes::from_static(b"shared"));
        res.write(large.as_str());
        res.write(large.clone());
        res.write("between");
        res.write(bytes::Bytes::from(large.clone()));
        res.end(large.clone().into_bytes());
    });
    let answer = world.ask(&server, get("/", ""));
    let text = answer.text();
    let large = expected;
    let whole = format!("strstringslicearrayvvvshared{large}{large}between{large}{large}");
    assert!(
        text == whole,
        "{} bytes instead of {}",
        text.len(),
        whole.len()
    );
}

#[test]
fn bytes_are_written_once_per_callback() {
    // One chunked answer of three writes: it arrives as one piece if it left as one.
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.write("a");
        res.write("b");
        res.end("c");
    });
    let mut peer = world.connect(&server);
    peer.send(get("/", ""));
    let answer = world.wait("the first bytes", || {
        peer.pump();
        (!peer.received.is_empty()).then(|| Answer::parse(&peer.received, false, false))
    });
    assert_eq!(
        answer.map(|(answer, _)| answer.text()),
        Some("abc".to_owned())
    );
}

#[test]
fn a_post_is_answered_without_reading_it() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("done"));
    let mut peer = world.send(&server, post("/", "content") + &post("/", "more"));
    assert_eq!(world.answer(&mut peer).text(), "done");
    assert_eq!(world.answer(&mut peer).text(), "done");
}
