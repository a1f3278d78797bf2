//! What a response says about itself: framing by what the handler did, content that does not fit it, and how
//! much of it leaves at a time.

mod common;

use std::io::Write as _;

use common::{Answer, Ending, Peer, World, get, post};
use onloop::http::{Response, Server, ServerOptions};

/// What handlers do, by path.
fn handler(path: &str, res: Response) -> onloop::Result<()> {
    let pieces = || {
        res.write("he");
        res.write("llo");
        res.end("");
    };
    match path {
        "/whole" => res.end("hello"),
        "/nothing" => res.end(""),
        "/pieces" => pieces(),
        "/empty-pieces" => {
            res.write("");
            res.write("hello");
            res.write("");
            res.end("");
        }
        "/length" => {
            res.set_header("Content-Length", 5)?;
            pieces();
        }
        "/flushed" => {
            res.flush_headers();
            res.end("hello");
        }
        "/write_head" => {
            res.write_head(201, [("X-A", "1")])?;
            res.end("hello");
        }
        "/chunked" => {
            res.set_header("Transfer-Encoding", "chunked")?;
            res.end("hello");
        }
        "/both" => {
            res.set_header("Content-Length", 77)?;
            res.set_header("Transfer-Encoding", "chunked")?;
            res.end("hello");
        }
        "/no-length" => {
            res.remove_header("content-length")?;
            res.end("hello");
        }
        "/no-framing" => {
            res.remove_header("Content-Length")?;
            res.remove_header("Transfer-Encoding")?;
            res.end("hello");
        }
        "/close" => {
            res.set_header("Connection", "close")?;
            res.end("hello");
        }
        "/204" | "/304" | "/205" => {
            res.set_status(path[1..].parse().expect("a number"));
            res.end(if path == "/205" { "" } else { "hello" });
        }
        "/204-framed" => {
            res.set_status(204);
            res.set_header("Content-Length", 5)?;
            res.set_header("Transfer-Encoding", "chunked")?;
            pieces();
        }
        "/304-length" => {
            res.set_status(304);
            res.set_header("Content-Length", 5)?;
            res.end("hello");
        }
        "/length-only" => {
            res.set_header("Content-Length", 12)?;
            res.end("");
        }
        _ => panic!("no such path"),
    }
    Ok(())
}

/// Asks for `line`, and says what stood on the wire: status, framing, content, persistence.
fn answered(world: &mut World, server: &Server, line: &str) -> String {
    let request = match line.strip_suffix('+') {
        Some(line) => format!("{line}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        None => format!("{line}\r\nHost: h\r\n\r\n"),
    };
    let mut peer = world.send(server, &request);
    let next = |world: &mut World, peer: &mut Peer| match line.starts_with("HEAD") {
        true => world.answer_to_head(peer),
        false => world.answer(peer),
    };
    let answer = next(world, &mut peer);
    let framing = match (answer.field("Content-Length"), answer.field("Transfer-Encoding")) {
        (Some(length), None) => length,
        (None, Some("chunked")) => "chunked",
        (None, None) => "none",
        both => panic!("{line}: {both:?}"),
    };
    let persists = answer.field("Connection") != Some("close");
    if persists {
        // Not one byte more or less than framed: the next answer begins where this one ends.
        peer.send(&request);
        assert_eq!(next(world, &mut peer).fields, answer.fields, "{line}");
    } else {
        assert_eq!(world.until_end(&mut peer), Ending::End, "{line}");
        assert_eq!(peer.text(), "", "{line}");
    }
    let persists = if persists { "keep-alive" } else { "close" };
    format!("{} {framing} {:?} {persists}", answer.status, answer.text())
}

fn check(table: &[(&str, &str)]) {
    let mut world = World::new();
    let server = world.serve(|req, res| handler(req.url(), res));
    for (line, expected) in table {
        assert_eq!(answered(&mut world, &server, line), *expected, "{line}");
    }
}

#[test]
fn framing_follows_what_the_handler_does() {
    check(&[
        ("GET /whole HTTP/1.1", "200 5 \"hello\" keep-alive"),
        ("GET /nothing HTTP/1.1", "200 0 \"\" keep-alive"),
        ("GET /pieces HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        // An empty write is not the last chunk.
        ("GET /empty-pieces HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        ("GET /length HTTP/1.1", "200 5 \"hello\" keep-alive"),
        ("GET /flushed HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        ("GET /write_head HTTP/1.1", "201 5 \"hello\" keep-alive"),
        ("GET /chunked HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        // Never both: chunked is the one that tells the truth by itself.
        ("GET /both HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        ("GET /no-length HTTP/1.1", "200 chunked \"hello\" keep-alive"),
        ("GET /no-framing HTTP/1.1", "200 none \"hello\" close"),
        ("GET /close HTTP/1.1", "200 5 \"hello\" close"),
        ("GET /205 HTTP/1.1", "205 0 \"\" keep-alive"),
        ("POST /whole HTTP/1.1", "200 5 \"hello\" keep-alive"),
        ("GET /whole HTTP/1.2", "200 5 \"hello\" keep-alive"),
    ]);
}

#[test]
fn http_1_0_gets_no_chunks() {
    check(&[
        ("GET /whole HTTP/1.0", "200 5 \"hello\" close"),
        ("GET /whole HTTP/1.0+", "200 5 \"hello\" keep-alive"),
        ("GET /pieces HTTP/1.0", "200 none \"hello\" close"),
        ("GET /pieces HTTP/1.0+", "200 none \"hello\" close"),
        ("GET /chunked HTTP/1.0+", "200 5 \"hello\" keep-alive"),
        ("GET /length HTTP/1.0+", "200 5 \"hello\" keep-alive"),
        ("GET /no-length HTTP/1.0+", "200 none \"hello\" close"),
    ]);
}

#[test]
fn some_responses_have_no_content_whatever_is_written() {
    check(&[
        ("GET /204 HTTP/1.1", "204 none \"\" keep-alive"),
        ("GET /304 HTTP/1.1", "304 none \"\" keep-alive"),
        ("GET /204-framed HTTP/1.1", "204 none \"\" keep-alive"),
        // It may tell the length of the 200.
        ("GET /304-length HTTP/1.1", "304 5 \"\" keep-alive"),
        ("HEAD /whole HTTP/1.1", "200 5 \"\" keep-alive"),
        ("HEAD /pieces HTTP/1.1", "200 none \"\" keep-alive"),
        ("HEAD /length-only HTTP/1.1", "200 12 \"\" keep-alive"),
        ("HEAD /whole HTTP/1.0+", "200 5 \"\" keep-alive"),
        ("HEAD /204-framed HTTP/1.1", "204 none \"\" keep-alive"),
    ]);
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
    assert!(text.contains("Content-Length: 10\r\n") && text.ends_with("\r\n\r\nshort"), "{text}");
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
fn a_piece_that_does_not_fit_leaves_no_hole_in_the_content() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.set_header("Content-Length", 5)?;
        res.write("ab");
        match req.url() {
            "/written" => drop(res.write("too much")),
            "/corked" => {
                res.cork();
                res.write("too much");
            }
            _ => res.set_strict_content_length(true),
        }
        assert_eq!(res.try_write("too much").is_err(), req.url() == "/strict");
        // It would fit, and the message would look whole.
        res.end("cde");
        Ok(())
    });
    for (path, expected) in [("/written", "ab"), ("/corked", "ab"), ("/strict", "abcde")] {
        let mut peer = world.send(&server, get(path, "Connection: close\r\n"));
        world.until_end(&mut peer);
        let text = peer.text();
        assert_eq!(text.split_once("\r\n\r\n").map(|(_, content)| content), Some(expected));
    }
}

#[test]
fn a_response_is_a_writer() {
    let mut world = World::new();
    let server = world.serve(|req, mut res| {
        write!(res, "{} ", req.method())?;
        serde_json::to_writer(&res, &[1, 2]).expect("a writer that takes everything");
        res.end("");
        let refused = write!(res, "more").unwrap_err();
        assert!(refused.get_ref().is_some_and(|error| error.is::<onloop::Error>()));
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
    assert!(text == whole, "{} bytes instead of {}", text.len(), whole.len());
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
    assert_eq!(answer.map(|(answer, _)| answer.text()), Some("abc".to_owned()));
}

#[test]
fn a_post_is_answered_without_reading_it() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("done"));
    let mut peer = world.send(&server, post("/", "content") + &post("/", "more"));
    assert_eq!(world.answer(&mut peer).text(), "done");
    assert_eq!(world.answer(&mut peer).text(), "done");
}
