//! Every byte in every place of a message, both roles: what the grammar allows is taken, all else is refused, and
//! at once where the byte itself cannot be right.

mod common;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use common::clocked::settle;
use onloop::LoopOptions;
use onloop::http::{self, Server, ServerOptions};
use onloop::sim::SimNet;

/// A place of a message.
struct Place {
    name: &'static str,
    before: &'static str,
    after: &'static str,
    /// Which bytes may stand there.
    allowed: fn(u8) -> bool,
    /// Bytes that are told to be wrong by what follows them only.
    late: &'static [u8],
}

const CR: u8 = b'\r';
const ALL: &[u8] = &{
    let mut all = [0; 256];
    let mut at = 0;
    while at < 256 {
        all[at] = at as u8;
        at += 1;
    }
    all
};

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_value(byte: u8) -> bool {
    byte == b'\t' || (b' '..=b'~').contains(&byte) || byte >= 0x80
}

/// Without `%`, which needs two digits behind it.
fn is_target(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?[]".contains(&byte)
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn place(
    name: &'static str,
    before: &'static str,
    after: &'static str,
    allowed: fn(u8) -> bool,
    late: &'static [u8],
) -> Place {
    Place { name, before, after, allowed, late }
}

fn places_of_requests() -> Vec<Place> {
    const LINE: &str = "GET / HTTP/1.1\r\n";
    const REST: &str = " HTTP/1.1\r\nHost: h\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    const LAST: &str = "\r\nx\r\n0\r\n\r\n";
    let of_line = [
        place("before", "", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", is_token, &[CR]),
        place("method", "G", "T / HTTP/1.1\r\nHost: h\r\n\r\n", is_token, b" "),
        place("method's end", "GET", "/ HTTP/1.1\r\nHost: h\r\n\r\n", |b| b == b' ', ALL),
        place("target's first", "GET ", "/a HTTP/1.1\r\nHost: h\r\n\r\n", |b| b == b'/', ALL),
        place("path", "GET /a", "z HTTP/1.1\r\nHost: h\r\n\r\n", is_target, b" %"),
        place("query", "GET /?a", "z HTTP/1.1\r\nHost: h\r\n\r\n", is_target, b" %"),
        place("escape", "GET /%2", REST, |b| b.is_ascii_hexdigit(), ALL),
        place("slash of the version", "GET / HTTP", "1.1\r\nHost: h\r\n\r\n", |b| b == b'/', &[]),
        place("minor version", "GET / HTTP/1.", "\r\nHost: h\r\n\r\n", |b| b.is_ascii_digit(), &[]),
        place("major version", "GET / HTTP/", ".1\r\nHost: h\r\n\r\n", |b| b == b'1', b"023456789"),
        place("behind the version", "GET / HTTP/1.1", "\r\nHost: h\r\n\r\n", |_| false, &[CR]),
        place("line end", "GET / HTTP/1.1\r", "Host: h\r\n\r\n", |b| b == b'\n', &[]),
    ];
    let of_fields = [
        place("name's first", "GET / HTTP/1.1\r\nHost: h\r\n", "Y: 1\r\n\r\n", is_token, &[CR]),
        place(
            "name",
            "GET / HTTP/1.1\r\nHost: h\r\nX",
            "Y: 1\r\n\r\n",
            |b| is_token(b) || b == b':',
            &[],
        ),
        place("value", "GET / HTTP/1.1\r\nHost: h\r\nX: a", "b\r\n\r\n", is_value, &[CR]),
        place("value's first", "GET / HTTP/1.1\r\nHost: h\r\nX:", "b\r\n\r\n", is_value, &[CR]),
        place("value's last", "GET / HTTP/1.1\r\nHost: h\r\nX: a", "\r\n\r\n", is_value, &[CR]),
        place("value's line end", "GET / HTTP/1.1\r\nHost: h\r", "\r\n", |b| b == b'\n', &[]),
        place("head's end", "GET / HTTP/1.1\r\nHost: h\r\n\r", "", |b| b == b'\n', &[]),
        place("host", "GET / HTTP/1.1\r\nHost: h", "z\r\n\r\n", is_host, ALL),
        place(
            "port",
            "GET / HTTP/1.1\r\nHost: h:8",
            "\r\n\r\n",
            |b| b.is_ascii_digit() || is_blank(b),
            ALL,
        ),
        place(
            "name of the length",
            "POST / HTTP/1.1\r\nHost: h\r\nContent",
            "Length: 0\r\n\r\n",
            |b| b == b'-' || b == b':',
            ALL,
        ),
        place(
            "name of the coding",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer",
            "Encoding: chunked\r\n\r\n",
            |b| b == b'-' || b == b':',
            ALL,
        ),
        place(
            "length",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1",
            "\r\n\r\nx",
            |b| b.is_ascii_digit() || is_blank(b),
            ALL,
        ),
        place(
            "before the length",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:",
            "1\r\n\r\nx",
            |b| b.is_ascii_digit() || is_blank(b),
            ALL,
        ),
        place(
            "behind the coding",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked",
            "\r\n\r\n",
            is_blank,
            ALL,
        ),
        place(
            "before the coding",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:",
            "chunked\r\n\r\n",
            is_blank,
            ALL,
        ),
    ];
    let of_chunks = [
        place("size's first", CHUNKED, "\r\nx", |b| b.is_ascii_hexdigit(), &[]),
        place("size", "1", "\r\nx", |b| b.is_ascii_hexdigit(), b"; \t\r"),
        place("line end of the size", "1\r", "x\r\n", |b| b == b'\n', &[]),
        place("extension", "1;a", "c", |b| is_token(b) || b == b'=' || b == b';', b" \t\r"),
        place("extension's first", "1;", "c", |b| is_token(b) || is_blank(b), &[]),
        place("extension's value", "1;a=b", "c", |b| is_token(b) || b == b';', b" \t\r"),
        place(
            "quotation",
            "1;a=\"",
            "\"",
            |b| b == b'\t' || (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\',
            b"\"\\",
        ),
        place(
            "escape in a quotation",
            "1;a=\"\\",
            "\"",
            |b| b == b'\t' || (b' '..=b'~').contains(&b),
            &[],
        ),
        place("behind a quotation", "1;a=\"\"", "b", |b| b == b';', b" \t\r"),
        place("behind the data", "1\r\nx", "\n0\r\n\r\n", |b| b == CR, &[]),
        place("second behind the data", "1\r\nx\r", "0\r\n\r\n", |b| b == b'\n', &[]),
        place("trailer's first", "0\r\n", "Y: 1\r\n\r\n", is_token, &[CR]),
        place("trailer's name", "0\r\nX", "Y: 1\r\n\r\n", |b| is_token(b) || b == b':', &[]),
        place("trailer's value", "0\r\nX: a", "b\r\n\r\n", is_value, &[CR]),
        place("last line end", "0\r\n\r", "", |b| b == b'\n', &[]),
    ];
    let lead = |mut place: Place| {
        if place.before != CHUNKED {
            place.before = String::leak(format!("{CHUNKED}{}", place.before));
        }
        if place.name.contains("exten") || place.name.contains("quotation") {
            place.after = String::leak(format!("{}{LAST}", place.after));
        }
        place
    };
    assert!(of_fields[0].before.starts_with(LINE));
    of_line.into_iter().chain(of_fields).chain(of_chunks.into_iter().map(lead)).collect()
}

fn places_of_responses() -> Vec<Place> {
    const REST: &str = "\r\nContent-Length: 0\r\n\r\n";
    vec![
        place("before", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", |_| false, b"H"),
        place(
            "slash of the version",
            "HTTP",
            "1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            |b| b == b'/',
            &[],
        ),
        place(
            "major version",
            "HTTP/",
            ".1 200 OK\r\nContent-Length: 0\r\n\r\n",
            |b| b == b'1',
            b"023456789",
        ),
        place(
            "minor version",
            "HTTP/1.",
            " 200 OK\r\nContent-Length: 0\r\n\r\n",
            |b| b.is_ascii_digit(),
            &[],
        ),
        place(
            "behind the version",
            "HTTP/1.1",
            "200 OK\r\nContent-Length: 0\r\n\r\n",
            |b| b == b' ',
            &[],
        ),
        // 1xx is information, and no end of anything.
        place(
            "status",
            "HTTP/1.1 ",
            "00 OK\r\nContent-Length: 0\r\n\r\n",
            |b| (b'1'..=b'9').contains(&b),
            &[],
        ),
        place(
            "status's last",
            "HTTP/1.1 20",
            " OK\r\nContent-Length: 0\r\n\r\n",
            |b| b.is_ascii_digit(),
            &[],
        ),
        place(
            "behind the status",
            "HTTP/1.1 200",
            "OK\r\nContent-Length: 0\r\n\r\n",
            |b| b == b' ',
            &[CR],
        ),
        place("reason", "HTTP/1.1 200 O", "K\r\nContent-Length: 0\r\n\r\n", is_value, &[CR]),
        place("reason's end", "HTTP/1.1 200 OK", REST, is_value, &[CR]),
        place(
            "name's first",
            "HTTP/1.1 200 OK\r\n",
            "Y: 1\r\nContent-Length: 0\r\n\r\n",
            is_token,
            &[CR],
        ),
        place(
            "name",
            "HTTP/1.1 200 OK\r\nX",
            "Y: 1\r\nContent-Length: 0\r\n\r\n",
            |b| is_token(b) || b == b':',
            &[],
        ),
        place(
            "value",
            "HTTP/1.1 200 OK\r\nX: a",
            "b\r\nContent-Length: 0\r\n\r\n",
            is_value,
            &[CR],
        ),
        place(
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 0",
            "\r\n\r\n",
            |b| b.is_ascii_digit() || is_blank(b),
            ALL,
        ),
        place(
            "behind the coding",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
            "\r\n\r\n0\r\n\r\n",
            |b| is_token(b) || is_blank(b),
            ALL,
        ),
        place(
            "size",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
            "\r\nx",
            |b| b.is_ascii_hexdigit(),
            b"; \t\r",
        ),
        place(
            "behind the data",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx",
            "\n0\r\n\r\n",
            |b| b == CR,
            &[],
        ),
        place(
            "trailer",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: a",
            "b\r\n\r\n",
            is_value,
            &[CR],
        ),
    ]
}

/// Plays each byte in each place; `refused` tells of the bytes of one message.
fn play(places: Vec<Place>, refused: &mut dyn FnMut(&[u8]) -> bool) {
    let mut wrong = Vec::new();
    for place in places {
        for byte in 0..=255 {
            let start = [place.before.as_bytes(), &[byte]].concat();
            let whole = [&start[..], place.after.as_bytes()].concat();
            let allowed = (place.allowed)(byte);
            if refused(&whole) == allowed {
                let said = if allowed { "is refused" } else { "is taken" };
                wrong.push(format!("{}: byte {byte:#04x} {said}", place.name));
            }
            let at_once = !allowed && !place.late.contains(&byte);
            if at_once && !refused(&start) {
                wrong.push(format!("{}: byte {byte:#04x} waits for more", place.name));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn in_a_request() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = Server::new(event_loop.handle(), ServerOptions::new()).expect("a server");
    server.on_request(|req, res| {
        req.body().on_end(move || res.end("taken"));
        req.resume();
    });
    server.listen("127.0.0.1:80").expect("a free port");
    let address = SocketAddr::from(([127, 0, 0, 1], 80));
    play(places_of_requests(), &mut |bytes| {
        let peer = net.connect(&address.into());
        peer.write(bytes);
        settle(&net, &mut event_loop);
        let received = peer.read();
        let answer = String::from_utf8_lossy(&received).into_owned();
        peer.reset();
        settle(&net, &mut event_loop);
        match answer.get(..12) {
            None | Some("HTTP/1.1 200") => false,
            Some("HTTP/1.1 400" | "HTTP/1.1 505") => true,
            Some(_) => panic!("{:?} is answered {answer:?}", String::from_utf8_lossy(bytes)),
        }
    });
}

#[test]
fn in_a_response() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let listener = net.listen(&address.into()).expect("a free address");
    play(places_of_responses(), &mut |bytes| {
        let failed = Rc::new(Cell::new(false));
        let notes = Rc::clone(&failed);
        let request = http::request(event_loop.handle(), "GET", "http://10.0.0.1/").expect("one");
        request.on_error(move |_| notes.set(true));
        request.end("");
        let mut peer = None;
        while peer.is_none() {
            settle(&net, &mut event_loop);
            peer = listener.accept();
        }
        let peer = peer.expect("a connection");
        peer.write(bytes);
        settle(&net, &mut event_loop);
        let refused = failed.get();
        // No connection is used for two of them.
        peer.reset();
        settle(&net, &mut event_loop);
        refused
    });
}
