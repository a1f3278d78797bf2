//! What is wrong with a message, as the program is told: the code, the status that goes with it, and how far the
//! message was understood. On the server by `on_client_error`, on the client by `on_error` of the request.

mod common;

use common::{Ending, Log, World, get, raw_server};
use onloop::http::{self, ServerOptions};
use onloop::{Error, ErrorKind};

/// A request in two parts, before and from the byte on that it breaks at; the code, the status.
type Row = (&'static str, &'static str, &'static str, u16);

const METHOD: &str = "HPE_INVALID_METHOD";
const URL: &str = "HPE_INVALID_URL";
const VERSION: &str = "HPE_INVALID_VERSION";
const HEADER: &str = "HPE_INVALID_HEADER_TOKEN";
const SPACE: &str = "HPE_UNEXPECTED_SPACE";
const NO_CR: &str = "HPE_CR_EXPECTED";
const NO_LF: &str = "HPE_LF_EXPECTED";
const LENGTH: &str = "HPE_INVALID_CONTENT_LENGTH";
const LENGTHS: &str = "HPE_UNEXPECTED_CONTENT_LENGTH";
const ENCODING: &str = "HPE_INVALID_TRANSFER_ENCODING";
const CHUNK: &str = "HPE_INVALID_CHUNK_SIZE";
const STRICT: &str = "HPE_STRICT";

/// Broken heads. Where the lines are well-formed and their meaning is not, all of the head was understood.
#[rustfmt::skip]
const HEADS: &[Row] = &[
    ("", "\x16\x03\x01\x02", METHOD, 400),
    ("", " GET / HTTP/1.1\r\n", METHOD, 400),
    ("GE", "\x01T / HTTP/1.1\r\n", METHOD, 400),
    ("GET", "\r\n", METHOD, 400),
    ("GET", "\t/ HTTP/1.1\r\n", METHOD, 400),
    ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "A / HTTP/1.1\r\n", METHOD, 400),
    ("\r\n\r\n\r\n\r\n\r", "\nGET / HTTP/1.1\r\n", METHOD, 400),
    ("\r\n", "\x7fGET / HTTP/1.1\r\n", METHOD, 400),
    ("GET ", " / HTTP/1.1\r\n", URL, 400),
    ("GET /a", "\x7fb HTTP/1.1\r\n", URL, 400),
    ("GET /a", "\u{e9} HTTP/1.1\r\n", URL, 400),
    ("GET /a", "#b HTTP/1.1\r\n", URL, 400),
    ("GET a HTTP/1.1\r", "\n", URL, 400),
    ("GET * HTTP/1.1\r", "\n", URL, 400),
    ("CONNECT /a HTTP/1.1\r", "\n", URL, 400),
    ("GET /%0", "\u{1}", URL, 400),
    ("GET /%00 HTTP/1.1\r", "\n", URL, 400),
    ("GET /", "\r\n", VERSION, 400),
    ("GET / ", "FTP/1.1\r\n", VERSION, 400),
    ("GET / ", " HTTP/1.1\r\n", VERSION, 400),
    ("GET / HTTP/1.", "x\r\n", VERSION, 400),
    ("GET / HTTP/1.1", " \r\n", VERSION, 400),
    ("GET / HTTP/2.0", "\r\n", VERSION, 505),
    ("PRI * HTTP/2.0", "\r\n\r\nSM\r\n\r\n", VERSION, 505),
    ("GET / HTTP/0.9", "\r\n", VERSION, 505),
    ("GET / HTTP/1.1", "\nHost: h\r\n\r\n", NO_CR, 400),
    ("GET / HTTP/1.1\r", "Host: h\r\n\r\n", NO_LF, 400),
    ("", "\nGET / HTTP/1.1\r\n", NO_CR, 400),
    ("\r", "GET / HTTP/1.1\r\n", NO_LF, 400),
    ("GET / HTTP/1.1\r\n", " Host: h\r\n\r\n", SPACE, 400),
    ("GET / HTTP/1.1\r\n", "\tHost: h\r\n\r\n", SPACE, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\n", " folded\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost", " : h\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost", "\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHo", "\u{e9}st: h\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\n", ": h\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a", "\0b\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a", "\x08b\r\n\r\n", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a", "\nY: b\r\n\r\n", NO_CR, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nX: a\r", "Y: b\r\n\r\n", NO_LF, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\n", "\n", NO_CR, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\n\r", "X", NO_LF, 400),
    ("GET / HTTP/1.1\r\n\r\n", "", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent_Length: 1\r\n\r\n", "x", HEADER, 400),
    ("CONNECT h:1 HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n", "x", HEADER, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", "", LENGTH, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", "", LENGTH, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", "", LENGTH, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "x", LENGTHS, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n", "x", LENGTHS, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", ENCODING, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "0\r\n\r\n", ENCODING, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", "", ENCODING, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunkedchunked\r\n\r\n", "", ENCODING, 400),
    ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "", ENCODING, 501),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", ENCODING, 400),
];

/// Broken chunks, behind a head that is in order.
#[rustfmt::skip]
const CHUNKS: &[Row] = &[
    ("", "x\r\n", CHUNK, 400),
    ("", " 1\r\nx\r\n", CHUNK, 400),
    ("", "\r\n", CHUNK, 400),
    ("", "-1\r\n", CHUNK, 400),
    ("0", "x1\r\n", CHUNK, 400),
    ("ffffffffffffffff", "f\r\n", CHUNK, 400),
    ("1", "\nx\r\n", NO_CR, 400),
    ("1\r", "\r\nx\r\n", NO_LF, 400),
    ("1 ", "\r\nx\r\n", CHUNK, 400),
    ("1;", "\r\nx\r\n", CHUNK, 400),
    ("1;a=\"b", "\r\nx\r\n", CHUNK, 400),
    ("1\r\nx", "y\r\n", STRICT, 400),
    ("1\r\nx\r", "0\r\n\r\n", STRICT, 400),
    ("1\r\nx", "\n0\r\n\r\n", STRICT, 400),
    ("1\r\nx\r\n0\r\n", " X: y\r\n\r\n", SPACE, 400),
    ("1\r\nx\r\n0\r\nX", " : y\r\n\r\n", HEADER, 400),
    ("1\r\nx\r\n0\r\nX: a", "\0b\r\n\r\n", HEADER, 400),
    ("1\r\nx\r\n0\r\nX: y\r\nContent-Length: 1\r\n\r\n", "", HEADER, 400),
    ("1\r\nx\r\n0\r\nX: y\r", "\r\n", NO_LF, 400),
];

fn told(error: &Error) -> String {
    let status = error.status_hint().map_or(0, |status| status);
    format!("{} {} at {:?}", error.code(), status, error.bytes_parsed())
}

/// What a server of these options tells of a connection that receives these bytes, and perhaps their end.
fn client_error(options: ServerOptions, bytes: &[u8], ends: bool) -> Vec<String> {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve_with(options, move |req, _res| req.resume());
    server.on_client_error(move |error, socket| {
        // What is wrong is found in the packet by its place.
        let packet = error.raw_packet().unwrap();
        let place = usize::try_from(error.bytes_parsed().unwrap()).unwrap();
        notes.note(format!("{} {:?}", told(&error), String::from_utf8_lossy(&packet[place..])));
        socket.end(format!("HTTP/1.1 {} x\r\n\r\n", error.status_hint().unwrap()));
    });
    let mut peer = world.send(&server, bytes);
    if ends {
        peer.end();
    }
    world.until_end(&mut peer);
    log.all()
}

#[test]
fn a_broken_head_is_told_by_its_code_and_place() {
    for (good, bad, code, status) in HEADS {
        let bytes = format!("{good}{bad}");
        let expected = [format!("{code} {status} at Some({}) {bad:?}", good.len())];
        assert_eq!(
            client_error(ServerOptions::new(), bytes.as_bytes(), false),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn broken_chunks_are_told_by_their_code_and_place() {
    let head = get("/", "Transfer-Encoding: chunked\r\n");
    for (good, bad, code, status) in CHUNKS {
        let bytes = format!("{head}{good}{bad}");
        let expected = [format!("{code} {status} at Some({}) {bad:?}", head.len() + good.len())];
        assert_eq!(
            client_error(ServerOptions::new(), bytes.as_bytes(), false),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn limits_are_told_by_their_code_and_place() {
    let options = || {
        ServerOptions::new()
            .max_header_size(200)
            .max_target_size(20)
            .max_headers_count(3)
            .max_body_size(5)
    };
    let chunked = get("/", "Transfer-Encoding: chunked\r\n");
    let overflow = "HPE_HEADER_OVERFLOW";
    let head = "GET / HTTP/1.1\r\nHost: h\r\n";
    let rows: [(String, String, &str, u16); 8] = [
        (format!("GET /{}", "x".repeat(19)), "x HTTP/1.1\r\n".into(), overflow, 414),
        (format!("{head}{}", "x".repeat(200 - head.len())), "x".into(), overflow, 431),
        (format!("{head}X: 1\r\nX: 2\r\n"), "X: 3\r\n\r\n".into(), overflow, 431),
        (format!("{head}Content-Length: 6\r\n\r\n"), "".into(), "ERR_HTTP_CONTENT_TOO_LARGE", 413),
        (format!("{chunked}6\r\n"), "".into(), "ERR_HTTP_CONTENT_TOO_LARGE", 413),
        (
            format!("{chunked}1;{}", "x".repeat(4095)),
            "x\r\n".into(),
            "HPE_CHUNK_EXTENSIONS_OVERFLOW",
            413,
        ),
        (format!("{chunked}0\r\nX: 1\r\nX: 2\r\nX: 3\r\n"), "X: 4\r\n\r\n".into(), overflow, 431),
        (format!("{chunked}0\r\nX: {}", "x".repeat(199)), "x\r\n\r\n".into(), overflow, 431),
    ];
    for (good, bad, code, status) in rows {
        let bytes = format!("{good}{bad}");
        let expected = [format!("{code} {status} at Some({}) {bad:?}", good.len())];
        assert_eq!(client_error(options(), bytes.as_bytes(), false), expected, "{bytes:?}");
    }
}

#[test]
fn the_place_does_not_depend_on_how_a_head_arrives() {
    for (good, bad, code, status) in HEADS {
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let server = world.serve(|_req, _res| panic!("no request"));
        server.on_client_error(move |error, socket| {
            notes.note(told(&error));
            socket.end("");
        });
        let mut peer = world.connect(&server);
        for byte in format!("{good}{bad}").as_bytes() {
            peer.send([*byte]);
            world.turn();
        }
        world.until_end(&mut peer);
        let expected = [format!("{code} {status} at Some({})", good.len())];
        assert_eq!(log.all(), expected, "{good:?}{bad:?}");
    }
}

#[test]
fn an_end_within_a_head_is_told_and_one_before_it_is_not() {
    for head in ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r"] {
        let expected = [format!("HPE_INVALID_EOF_STATE 400 at Some({}) \"\"", head.len())];
        assert_eq!(client_error(ServerOptions::new(), head.as_bytes(), true), expected, "{head:?}");
    }
    for nothing in ["", "\r\n\r\n"] {
        let told = client_error(ServerOptions::new(), nothing.as_bytes(), true);
        assert_eq!(told, [""; 0], "{nothing:?}");
    }
}

#[test]
fn the_default_answer_has_the_status_of_the_error() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        req.resume();
        req.on_end(move || res.end("fine"));
    });
    let chunked = get("/", "Transfer-Encoding: chunked\r\n");
    let chunks = CHUNKS.iter().map(|row| (chunked.as_str(), row));
    for (head, (good, bad, code, status)) in HEADS.iter().map(|row| ("", row)).chain(chunks) {
        let mut peer = world.send(&server, format!("{head}{good}{bad}"));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.status, *status, "{code} {good:?}{bad:?}");
        assert_eq!(answer.names(), ["Connection", "Content-Length", "Date"]);
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    }
}

#[test]
fn a_malformed_request_behind_others_is_told_after_their_answers() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("fine"));
    server.on_client_error(move |error, socket| {
        notes.note(error.code());
        assert_eq!(error.kind(), ErrorKind::Peer);
        socket.end("HTTP/1.1 400 Mine\r\nContent-Length: 0\r\n\r\n");
    });
    let mut peer =
        world.send(&server, get("/", "").repeat(2) + "stray text\r\n\r\n" + &get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "fine");
    assert_eq!(world.answer(&mut peer).text(), "fine");
    assert_eq!(world.answer(&mut peer).status_line, "HTTP/1.1 400 Mine");
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    assert_eq!(log.all(), [VERSION]);
}

/// Broken responses, cut at the byte that they break at; the code.
#[rustfmt::skip]
const RESPONSES: &[(&str, &str, &str)] = &[
    ("", "garbage\r\n\r\n", "HPE_INVALID_CONSTANT"),
    ("HTTP/1.1", "\t200 OK\r\n\r\n", "HPE_INVALID_CONSTANT"),
    ("HTTP/2.0", " 200 OK\r\n\r\n", VERSION),
    ("HTTP/1.1 2", "x0 OK\r\n\r\n", "HPE_INVALID_STATUS"),
    ("HTTP/1.1 ", "099 OK\r\n\r\n", "HPE_INVALID_STATUS"),
    ("HTTP/1.1 200", "0 OK\r\n\r\n", "HPE_INVALID_STATUS"),
    ("HTTP/1.1 200 O", "\0K\r\n\r\n", HEADER),
    ("HTTP/1.1 200 OK", "\n\r\n", NO_CR),
    ("HTTP/1.1 200 OK\r", "X", NO_LF),
    ("HTTP/1.1 200 OK\r\n", " X: y\r\n\r\n", SPACE),
    ("HTTP/1.1 200 OK\r\nX", " : y\r\n\r\n", HEADER),
    ("HTTP/1.1 200 OK\r\nX: a", "\x08\r\n\r\n", HEADER),
    ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "", LENGTH),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "", LENGTHS),
    ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", ENCODING),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n", ENCODING),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx", "y\r\n", STRICT),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0", "x\r\n", CHUNK),
];

#[test]
fn a_broken_response_is_told_by_its_code_and_place() {
    for (good, bad, code) in RESPONSES {
        let (listener, url) = raw_server();
        let log = Log::new();
        let mut world = World::new();
        let request = http::request(world.lp, "GET", &url).unwrap();
        request.on_response(|response| response.resume());
        let notes = log.clone();
        request.on_error(move |error| {
            notes.note(format!("{} at {:?}", error.code(), error.bytes_parsed()));
        });
        request.on_close(log.noting("close"));
        request.end("");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(format!("{good}{bad}"));
        world.until_over();
        let expected = [format!("{code} at Some({})", good.len()), "close".to_owned()];
        assert_eq!(log.all(), expected, "{good:?}{bad:?}");
    }
}
