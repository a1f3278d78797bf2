//! Requests that are refused: what is answered by itself, and what `'clientError'` is told.

use crate::case::{Case, Step, bytes, get_with, raw, send, steps, until};

/// What a server without `'clientError'` answers: Node, and this crate.
const NODE: &str = "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]";
const OURS: &str = "{400}";

/// To a server without and to one with `'clientError'`. The parser of Node 18 lets more pass.
fn both(text: &str) -> (Case, Case) {
    let case = bytes(text, text.as_bytes()).since(20);
    (case.clone(), case.to("telling"))
}

/// Refused by both, by the same code.
fn refused(text: &str) -> Vec<Case> {
    let (plain, telling) = both(text);
    vec![plain.differs(20, NODE, OURS), telling]
}

/// Refused by both, by another code.
fn coded(row: u32, text: &str, node: &str, ours: &str) -> Vec<Case> {
    let (plain, telling) = both(text);
    let code = |code: &str| format!("code {code}[closed]");
    vec![plain.differs(20, NODE, OURS), telling.differs(row, &code(node), &code(ours))]
}

/// Served by Node, and refused by us with this answer and code.
fn served(row: u32, text: &str, node: &str, ours: &str, code: &str) -> Vec<Case> {
    let (plain, telling) = both(text);
    let told = format!("code {code}[closed]");
    vec![plain.differs(row, node, ours), telling.differs(row, node, &told)]
}

/// Served by us, and refused by Node with this code.
fn taken(row: u32, text: &str, code: &str, ours: &str) -> Vec<Case> {
    let (plain, telling) = both(text);
    let told = format!("code {code}[closed]");
    vec![plain.differs(row, NODE, ours), telling.differs(row, &told, ours)]
}

pub(crate) fn of_request_lines() -> Vec<Case> {
    const GET: &str = "{ok}Content-Length: 5\n\nGET /[kept]";
    const OLD: &str = "{ok, close}\nGET /[closed]";
    const VERSION: &str =
        "HTTP/1.1 505 HTTP Version Not Supported\n{last}Content-Length: 0\n\n[closed]";
    const H2: &str = "code HPE_PAUSED_H2_UPGRADE[closed]";
    let (preface, told) = both("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    [
        refused("nonsense\r\n\r\n"),
        refused(" GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        refused("GET a HTTP/1.1\r\nHost: h\r\n\r\n"),
        refused("GET /\x01 HTTP/1.1\r\nHost: h\r\n\r\n"),
        refused("GET / HTTP/11\r\nHost: h\r\n\r\n"),
        coded(51, "GET / HTTP/1.1\nHost: h\n\n", "HPE_INVALID_VERSION", "HPE_CR_EXPECTED"),
        coded(
            51,
            "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
            "HPE_INVALID_CONSTANT",
            "HPE_INVALID_VERSION",
        ),
        coded(
            51,
            "GET / HTTX/1.1\r\nHost: h\r\n\r\n",
            "HPE_INVALID_CONSTANT",
            "HPE_INVALID_VERSION",
        ),
        served(43, "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", GET, OURS, "HPE_INVALID_VERSION"),
        served(43, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", GET, OURS, "HPE_INVALID_URL"),
        served(45, "GET / HTTP/2.0\r\nHost: h\r\n\r\n", OLD, VERSION, "HPE_INVALID_VERSION"),
        served(45, "GET / HTTP/0.9\r\nHost: h\r\n\r\n", OLD, VERSION, "HPE_INVALID_VERSION"),
        served(45, "GET /\r\n\r\n", OLD, OURS, "HPE_INVALID_VERSION"),
        taken(45, "GET / HTTP/1.2\r\nHost: h\r\n\r\n", "HPE_INVALID_VERSION", GET),
        vec![
            preface.differs(45, NODE, VERSION),
            told.differs(45, H2, "code HPE_INVALID_VERSION[closed]"),
        ],
    ]
    .concat()
}

pub(crate) fn of_fields() -> Vec<Case> {
    const GET: &str = "{ok}Content-Length: 5\n\nGET /[kept]";
    const POST: &str = "{ok}Content-Length: 6\n\nPOST /[kept]";
    const TOKEN: &str = "HPE_INVALID_HEADER_TOKEN";
    [
        refused("GET / HTTP/1.1\r\nHost: h\r\nBad Name: 1\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A : 1\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\n: 1\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A: a\x01b\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A: a\r\n b\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\r\nX-A: a\rb\r\n\r\n"),
        refused("GET / HTTP/1.1\r\nHost: h\nX-A: 1\r\n\r\n"),
        served(41, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", GET, OURS, TOKEN),
        served(41, "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", GET, OURS, TOKEN),
        served(47, "POST / HTTP/1.1\r\nHost: h\r\nContent_Length: 1\r\n\r\n", POST, OURS, TOKEN),
        served(
            41,
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\nConnection: close\nDate: D\nTransfer-Encoding: chunked\n\n0\n\n[closed]",
            OURS,
            TOKEN,
        ),
    ]
    .concat()
}

pub(crate) fn of_framing() -> Vec<Case> {
    const POST: &str = "{ok}Content-Length: 6\n\nPOST /[kept]";
    const LENGTH: &str = "HPE_INVALID_CONTENT_LENGTH";
    const CODING: &str = "HPE_INVALID_TRANSFER_ENCODING";
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    let mut cases = [
        refused(&post("Content-Length: x\r\n")),
        refused(&post("Content-Length: -1\r\n")),
        refused(&post("Content-Length: +1\r\n")),
        refused(&post("Content-Length:\r\n")),
        refused(&post("Content-Length: 1 2\r\n")),
        refused(&post("Content-Length: 1\r\nContent-Length: 1\r\n")),
        refused(&post("Content-Length: 1\r\nContent-Length: 2\r\n")),
        refused(&post("Content-Length: 99999999999999999999\r\n")),
        coded(51, &post("Content-Length: 1, 1\r\n"), LENGTH, "HPE_UNEXPECTED_CONTENT_LENGTH"),
        refused(&post("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")),
        coded(51, &post("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), LENGTH, CODING),
        refused(&post("Transfer-Encoding: chunked, gzip\r\n")),
        served(
            46,
            &(post("Transfer-Encoding: gzip, chunked\r\n") + "0\r\n\r\n"),
            POST,
            "HTTP/1.1 501 Not Implemented\n{last}Content-Length: 0\n\n[closed]",
            CODING,
        ),
        served(
            46,
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "{ok, close}\nPOST /[closed]",
            OURS,
            CODING,
        ),
    ]
    .concat();
    // Node hands these to the handler, and refuses them behind its answer.
    for value in ["gzip", "xchunked"] {
        let (plain, telling) = both(&post(&format!("Transfer-Encoding: {value}\r\n")));
        let node = "{ok}Content-Length: 6\n\nPOST /";
        let told = format!("code {CODING}[closed]");
        cases.push(plain.differs(46, &format!("{node}[closed]"), OURS));
        cases.push(telling.differs(46, &format!("{node}{told}"), &told));
    }
    cases
}

/// Content that is malformed, while the handler reads it.
pub(crate) fn of_content() -> Vec<Case> {
    const HELLO: &str = "{ok}Content-Length: 5\n\nhello[kept]";
    let post = |chunks: &str| {
        let Step::Send(mut request) = send(
            "POST {read & content & report} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n",
        ) else {
            unreachable!("send sends")
        };
        request.extend_from_slice(chunks.as_bytes());
        String::from_utf8(request).expect("text")
    };
    let mut cases = [
        refused(&post("x\r\nhello\r\n0\r\n\r\n")),
        refused(&post("5\r\nhelloX\r\n0\r\n\r\n")),
        refused(&post("5\nhello\r\n0\r\n\r\n")),
        refused(&post("-5\r\nhello\r\n0\r\n\r\n")),
        refused(&post("fffffffffffffffff\r\n")),
        refused(&post("5 \r\nhello\r\n0\r\n\r\n")),
        refused(&post(" 5\r\nhello\r\n0\r\n\r\n")),
        refused(&post("0x5\r\nhello\r\n0\r\n\r\n")),
        refused(&post("\r\nhello")),
        refused(&post("0\r\nBad Name: 1\r\n\r\n")),
        refused(&post("0\r\nX-A: a\x01\r\n\r\n")),
        taken(38, &post("5; a\r\nhello\r\n0\r\n\r\n"), "HPE_STRICT", HELLO),
    ]
    .concat();
    // The answer has begun: nothing is said any more.
    cases.push(steps(
        "nonsense in content behind a begun answer",
        vec![
            send("POST {write a & read & end b} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n"),
            until("1\na\n"),
            send("x\n"),
            Step::Answers(1),
        ],
    ));
    cases
}

pub(crate) fn of_sizes() -> Vec<Case> {
    const NODE: &str =
        "HTTP/1.1 431 Request Header Fields Too Large\nConnection: close\n\n[closed]";
    const OURS: &str =
        "HTTP/1.1 431 Request Header Fields Too Large\n{last}Content-Length: 0\n\n[closed]";
    const TARGET: &str = "HTTP/1.1 414 URI Too Long\n{last}Content-Length: 0\n\n[closed]";
    let field = |length: usize| get_with("end hello", &format!("X-A: {}\n", "a".repeat(length)));
    let target = |length: usize| raw(&format!("GET /{} HTTP/1.1\nHost: h\n\n", "a".repeat(length)));
    vec![
        field(500).to("small"),
        field(2000).to("small").differs(20, NODE, OURS),
        field(2000).to("telling"),
        target(2000).to("small").differs(20, NODE, OURS),
        field(15_000),
        field(17_000).differs(20, NODE, OURS),
        field(17_000).to("telling"),
        target(7000),
        target(20_000).differs(22, NODE, TARGET),
    ]
}

/// Malformed requests behind good ones.
pub(crate) fn of_later_requests() -> Vec<Case> {
    let behind = |program: &str| {
        let request = send(&format!("GET {{{program}}} HTTP/1.1\nHost: h\n\n"));
        steps(program, vec![request, Step::Answers(1), send("nonsense\n\n")])
    };
    let first = "{ok}Content-Length: 5\n\nhello";
    vec![
        behind("end hello").differs(20, &format!("{first}{NODE}"), &format!("{first}{OURS}")),
        behind("end hello").to("telling"),
        raw("GET {tick & end hello} HTTP/1.1\nHost: h\n\nnonsense\n\n").differs(
            52,
            NODE,
            &format!("{first}{OURS}"),
        ),
        raw("GET {end hello} HTTP/1.1\nHost: h\nConnection: close\n\nnonsense\n\n"),
    ]
}
