//! What is sent where the handler leaves it to us: every byte of the head, in its order, and whether the
//! connection goes on.

mod common;

use common::{Ending, World, get, raw_server};
use onloop::http::{self, Response, Server, ServerOptions};

/// What handlers do, by path.
fn handler(path: &str, res: Response) -> onloop::Result<()> {
    match path {
        "/end" => res.end("end"),
        "/whole" => res.end("hi"),
        "/nothing" => res.end(""),
        "/pieces" => {
            res.write("h");
            res.end("i");
        }
        "/write-head" => {
            res.write_head(200, [("X-A", "1")])?;
            res.end("hi");
        }
        "/write-head-pieces" => {
            res.write_head(200, [("X-A", "1")])?;
            return handler("/pieces", res);
        }
        "/fields" => {
            res.set_header("X-First", "1")?;
            res.set_header("content-TYPE", "text/plain")?;
            res.append_header("x-first", "2")?;
            res.end("hi");
        }
        "/look-alikes" => {
            res.set_headers([("X-Date", "1"), ("X-Connection", "2"), ("X-Content-Length", "3")])?;
            res.end("");
        }
        "/length" => {
            res.set_header("Content-Length", "2")?;
            return handler("/pieces", res);
        }
        "/chunked" => {
            res.set_header("Transfer-Encoding", "chunked")?;
            res.end("hi");
        }
        "/both" => {
            res.set_headers([("Content-Length", "9"), ("Transfer-Encoding", "chunked")])?;
            res.end("hi");
        }
        "/no-length" => {
            res.remove_header("Content-Length")?;
            res.end("hi");
        }
        "/no-framing" => {
            for name in ["connection", "transfer-encoding", "content-length", "date"] {
                res.remove_header(name)?;
            }
            res.set_header("Date", "D")?;
            res.end("hi");
        }
        "/no-connection" => {
            res.remove_header("Connection")?;
            res.end("hi");
        }
        "/no-date" => {
            res.remove_header("Date")?;
            res.end("hi");
        }
        "/send-date" => {
            assert!(res.send_date());
            res.set_send_date(false);
            assert!(!res.send_date());
            res.end("hi");
        }
        "/close" => {
            res.set_header("Connection", "x, Close")?;
            res.end("hi");
        }
        "/upgrade" => {
            res.set_header("Connection", "upgrade, keep-alive")?;
            res.end("hi");
        }
        "/keep-alive" => {
            res.set_header("Connection", "keep-alive")?;
            return handler("/pieces", res);
        }
        "/own-keep-alive" => {
            res.set_header("Keep-Alive", "timeout=1")?;
            res.end("hi");
        }
        "/204" | "/205" | "/304" => {
            res.set_status(path[1..].parse().expect("a number"));
            assert!(res.write("h"), "content that is dropped never makes anybody wait");
            res.end("i");
        }
        "/204-framed" | "/205-framed" | "/304-framed" => {
            res.set_headers([("Content-Length", "9"), ("Transfer-Encoding", "chunked")])?;
            return handler(&path[..4], res);
        }
        "/304-length" => {
            res.set_header("Content-Length", "9")?;
            return handler("/304", res);
        }
        "/trailer" => {
            res.set_header("Trailer", "X-T")?;
            res.add_trailer("X-T", "t")?;
            res.end("hi");
        }
        _ => panic!("no such path: {path}"),
    }
    Ok(())
}

const AUTOMATIC: &str = "Date: D\r\nConnection: keep-alive\r\nKeep-Alive: timeout=65\r\n";
const CLOSING: &str = "Date: D\r\nConnection: close\r\n";

/// All bytes that answer `request` but for the value of `Date`, and whether the next request was answered.
fn answered(world: &mut World, server: &Server, request: &str) -> (String, bool) {
    let request = match request.strip_suffix('+') {
        Some(line) => format!("{line}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        None => format!("{request}\r\nHost: h\r\n\r\n"),
    };
    let mut peer = world.send(server, request + &get("/end", "Connection: close\r\n"));
    assert_eq!(world.until_end(&mut peer), Ending::End);
    let text = peer.text();
    let lines = text.split_inclusive("\r\n").map(|line| match line.starts_with("Date: ") {
        true => "Date: D\r\n",
        false => line,
    });
    let text: String = lines.collect();
    let last = format!("HTTP/1.1 200 OK\r\n{CLOSING}Content-Length: 3\r\n\r\nend");
    match text.strip_suffix(&last) {
        Some(text) => (text.to_owned(), true),
        None => (text, false),
    }
}

/// Each row: the request, the head between status line and empty line, the content, whether it goes on.
fn check(table: &[(&str, &str, String, &str, bool)]) {
    let mut world = World::new();
    let server = world.serve(|req, res| handler(req.url(), res));
    for (request, status, fields, content, kept) in table {
        let expected = (format!("HTTP/1.1 {status}\r\n{fields}\r\n{content}"), *kept);
        assert_eq!(answered(&mut world, &server, request), expected, "{request}");
    }
}

#[test]
fn a_response_is_framed_by_what_the_handler_does() {
    let with = |fields: &str| format!("{AUTOMATIC}{fields}\r\n");
    check(&[
        ("GET /whole HTTP/1.1", "200 OK", with("Content-Length: 2"), "hi", true),
        ("GET /nothing HTTP/1.1", "200 OK", with("Content-Length: 0"), "", true),
        (
            "GET /pieces HTTP/1.1",
            "200 OK",
            with("Transfer-Encoding: chunked"),
            "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            true,
        ),
        (
            "GET /write-head HTTP/1.1",
            "200 OK",
            format!("X-A: 1\r\n{AUTOMATIC}Content-Length: 2\r\n"),
            "hi",
            true,
        ),
        (
            "GET /write-head-pieces HTTP/1.1",
            "200 OK",
            format!("X-A: 1\r\n{AUTOMATIC}Transfer-Encoding: chunked\r\n"),
            "1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
            true,
        ),
        ("GET /length HTTP/1.1", "200 OK", format!("Content-Length: 2\r\n{AUTOMATIC}"), "hi", true),
        (
            "GET /both HTTP/1.1",
            "200 OK",
            format!("Transfer-Encoding: chunked\r\n{AUTOMATIC}"),
            "2\r\nhi\r\n0\r\n\r\n",
            true,
        ),
        (
            "GET /no-length HTTP/1.1",
            "200 OK",
            with("Transfer-Encoding: chunked"),
            "2\r\nhi\r\n0\r\n\r\n",
            true,
        ),
        ("GET /no-framing HTTP/1.1", "200 OK", "Date: D\r\n".to_owned(), "hi", false),
        (
            "GET /trailer HTTP/1.1",
            "200 OK",
            format!("Trailer: X-T\r\n{}", with("Transfer-Encoding: chunked")),
            "2\r\nhi\r\n0\r\nX-T: t\r\n\r\n",
            true,
        ),
    ]);
}

#[test]
fn fields_stand_in_the_order_and_spelling_in_which_they_were_set_before_those_that_are_added() {
    check(&[
        (
            "GET /fields HTTP/1.1",
            "200 OK",
            format!(
                "X-First: 1\r\ncontent-TYPE: text/plain\r\nx-first: 2\r\n{AUTOMATIC}\
                 Content-Length: 2\r\n"
            ),
            "hi",
            true,
        ),
        (
            "GET /look-alikes HTTP/1.1",
            "200 OK",
            format!(
                "X-Date: 1\r\nX-Connection: 2\r\nX-Content-Length: 3\r\n{AUTOMATIC}\
                 Content-Length: 0\r\n"
            ),
            "",
            true,
        ),
        (
            "GET /no-date HTTP/1.1",
            "200 OK",
            "Connection: keep-alive\r\nKeep-Alive: timeout=65\r\nContent-Length: 2\r\n".to_owned(),
            "hi",
            true,
        ),
        (
            "GET /send-date HTTP/1.1",
            "200 OK",
            "Connection: keep-alive\r\nKeep-Alive: timeout=65\r\nContent-Length: 2\r\n".to_owned(),
            "hi",
            true,
        ),
    ]);
}

#[test]
fn the_connection_goes_on_as_both_sides_say() {
    let length = "Content-Length: 2\r\n";
    check(&[
        (
            "GET /close HTTP/1.1",
            "200 OK",
            format!("Connection: x, Close\r\nDate: D\r\n{length}"),
            "hi",
            false,
        ),
        (
            "GET /upgrade HTTP/1.1",
            "200 OK",
            format!("Connection: upgrade, keep-alive\r\nDate: D\r\n{length}"),
            "hi",
            true,
        ),
        (
            "GET /own-keep-alive HTTP/1.1",
            "200 OK",
            format!("Keep-Alive: timeout=1\r\nDate: D\r\nConnection: keep-alive\r\n{length}"),
            "hi",
            true,
        ),
        ("GET /no-connection HTTP/1.1", "200 OK", format!("Date: D\r\n{length}"), "hi", true),
        (
            "GET /whole HTTP/1.1\r\nConnection: close",
            "200 OK",
            format!("{CLOSING}{length}"),
            "hi",
            false,
        ),
    ]);
}

#[test]
fn a_client_of_http_1_0_gets_what_it_can_read() {
    let length = "Content-Length: 2\r\n";
    check(&[
        ("GET /whole HTTP/1.0", "200 OK", format!("{CLOSING}{length}"), "hi", false),
        ("GET /pieces HTTP/1.0", "200 OK", CLOSING.to_owned(), "hi", false),
        ("GET /whole HTTP/1.0+", "200 OK", format!("{AUTOMATIC}{length}"), "hi", true),
        ("GET /length HTTP/1.0+", "200 OK", format!("{length}{AUTOMATIC}"), "hi", true),
        ("GET /pieces HTTP/1.0+", "200 OK", CLOSING.to_owned(), "hi", false),
        // Chunks are for those that speak 1.1, whatever is set or asked for (RFC 9112 §6.1).
        ("GET /chunked HTTP/1.0+", "200 OK", format!("{AUTOMATIC}{length}"), "hi", true),
        ("GET /pieces HTTP/1.0\r\nTE: chunked", "200 OK", CLOSING.to_owned(), "hi", false),
        ("GET /trailer HTTP/1.0+", "200 OK", format!("{AUTOMATIC}{length}"), "hi", true),
        // The end of the content is the end of the connection, whatever was said of it.
        (
            "GET /keep-alive HTTP/1.0+",
            "200 OK",
            "Connection: keep-alive\r\nDate: D\r\nConnection: close\r\n".to_owned(),
            "hi",
            false,
        ),
        // Without a word on it the client would close while we wait.
        ("GET /no-connection HTTP/1.0+", "200 OK", format!("Date: D\r\n{length}"), "hi", false),
        (
            "GET /upgrade HTTP/1.0+",
            "200 OK",
            format!("Connection: upgrade, keep-alive\r\nDate: D\r\n{length}"),
            "hi",
            true,
        ),
    ]);
}

#[test]
fn responses_without_content_say_nothing_of_it() {
    let plain = || AUTOMATIC.to_owned();
    check(&[
        ("GET /204 HTTP/1.1", "204 No Content", plain(), "", true),
        ("GET /304 HTTP/1.1", "304 Not Modified", plain(), "", true),
        ("GET /204-framed HTTP/1.1", "204 No Content", plain(), "", true),
        (
            "GET /304-framed HTTP/1.1",
            "304 Not Modified",
            format!("Content-Length: 9\r\n{AUTOMATIC}"),
            "",
            true,
        ),
        (
            "GET /304-length HTTP/1.1",
            "304 Not Modified",
            format!("Content-Length: 9\r\n{AUTOMATIC}"),
            "",
            true,
        ),
        (
            "GET /205 HTTP/1.1",
            "205 Reset Content",
            format!("{AUTOMATIC}Content-Length: 0\r\n"),
            "",
            true,
        ),
        (
            "GET /205-framed HTTP/1.1",
            "205 Reset Content",
            format!("{AUTOMATIC}Content-Length: 0\r\n"),
            "",
            true,
        ),
        (
            "GET /205 HTTP/1.0",
            "205 Reset Content",
            format!("{CLOSING}Content-Length: 0\r\n"),
            "",
            false,
        ),
        // The length that GET would have had, where it is known.
        ("HEAD /whole HTTP/1.1", "200 OK", format!("{AUTOMATIC}Content-Length: 2\r\n"), "", true),
        ("HEAD /nothing HTTP/1.1", "200 OK", plain(), "", true),
        ("HEAD /pieces HTTP/1.1", "200 OK", plain(), "", true),
        ("HEAD /length HTTP/1.1", "200 OK", format!("Content-Length: 2\r\n{AUTOMATIC}"), "", true),
        (
            "HEAD /chunked HTTP/1.1",
            "200 OK",
            format!("Transfer-Encoding: chunked\r\n{AUTOMATIC}"),
            "",
            true,
        ),
        (
            "HEAD /both HTTP/1.1",
            "200 OK",
            format!("Transfer-Encoding: chunked\r\n{AUTOMATIC}"),
            "",
            true,
        ),
        ("HEAD /trailer HTTP/1.1", "200 OK", plain(), "", true),
        ("HEAD /no-length HTTP/1.1", "200 OK", plain(), "", true),
    ]);
}

#[test]
fn a_server_that_keeps_no_connections_says_so() {
    let mut world = World::new();
    let options = ServerOptions::new().max_requests_per_socket(1);
    let server = world.serve_with(options, |req, res| handler(req.url(), res));
    let (text, kept) = answered(&mut world, &server, "GET /whole HTTP/1.1");
    assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{CLOSING}Content-Length: 2\r\n\r\nhi"));
    assert!(!kept);
}

#[test]
fn requests_are_framed_by_method_and_content() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    for (method, content, framing) in [
        ("GET", "", ""),
        ("HEAD", "", ""),
        ("DELETE", "", ""),
        ("OPTIONS", "", ""),
        ("TRACE", "", ""),
        ("POST", "", "Content-Length: 0\r\n"),
        ("PUT", "", "Content-Length: 0\r\n"),
        // Node sends it unframed, and the server reads it as the next request.
        ("GET", "hi", "Content-Length: 2\r\n"),
        ("POST", "hi", "Content-Length: 2\r\n"),
    ] {
        let request =
            http::request_with(world.lp, http::RequestOptions::new(method, &url).keep_alive(false));
        request.expect("a request").end(content);
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        let host = url.trim_start_matches("http://").trim_end_matches('/');
        let expected =
            format!("{method} / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{framing}\r\n");
        assert_eq!(head, expected);
        assert_eq!(world.expect(&mut peer, content), content);
    }
}

#[test]
fn content_that_ends_with_the_connection_is_cut_off_by_a_reset() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write("a part");
        match req.url() {
            "/whole" => res.end(""),
            _ => res.on_written(move |_| res.destroy()).expect("it is open"),
        }
    });
    for (path, ending) in [("/whole", Ending::End), ("/part", Ending::Reset)] {
        let mut peer = world.send(&server, format!("GET {path} HTTP/1.0\r\n\r\n"));
        assert_eq!(world.until_end(&mut peer), ending, "{path}");
        // A reset may overtake what came before it.
        assert!(peer.text().is_empty() || peer.text().ends_with("\r\n\r\na part"), "{path}");
    }
}
