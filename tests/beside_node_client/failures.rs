//! Servers that say what they must not, or go too early.

use crate::case::{
    Case, OK, Step, answer, ask, get, last_answer, post, program, rows, send, until,
};

/// What Node and we tell differently of an answer, which the server's end follows.
fn told(row: u32, text: &str, node: &str, ours: &str) -> Case {
    last_answer(text).tells(row, node, ours)
}

/// What breaks a response off: Node tells the request why and the response that it is so.
fn broken(text: &str, data: &str, node: &str, ours: &str) -> Case {
    let data = if data.is_empty() { String::new() } else { format!("data {data}, ") };
    last_answer(text).tells(
        rows::ONCE,
        &format!("response 200, req error {node}, {data}aborted, res error ECONNRESET"),
        &format!("response 200, {data}aborted, res error {ours}"),
    )
}

/// What does not begin as a response does.
pub(crate) fn of_status_lines() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "hello\n\n",
        "<html>\n\n",
        "http/1.1 200 OK\n\n",
        "HTTP/1.1  200 OK\n\n",
        "HTTP/1.1 20 OK\n\n",
        "HTTP/1.1 2000 OK\n\n",
        "HTTP/1.1 2x0 OK\n\n",
        "HTTP/1.1 OK\n\n",
        "HTTP/1.1 +20 OK\n\n",
        " HTTP/1.1 200 OK\n\n",
        "ICY 200 OK\n\n",
        "GET / HTTP/1.1\n\n",
        "\u{16}\u{3}\u{1}\n\n",
        "SSH-2.0-x\n\n",
        "220 ready\n\n",
        "HTTPS/1.1 200 OK\n\n",
    ]
    .iter()
    .map(|text| answer(text))
    .collect();
    let read = "response 200, end";
    let version = "req error HPE_INVALID_VERSION";
    let constant = "req error HPE_INVALID_CONSTANT";
    cases.extend([
        told(45, "HTTP/2.0 200 OK\n\n", read, version),
        told(45, "HTTP/0.9 200 OK\n\n", read, version),
        told(45, "HTTP/1.2 200 OK\n\n", version, read),
        told(51, "HTTP/1 200 OK\n\n", version, constant),
        told(51, "HTTP/11 200 OK\n\n", version, constant),
        told(51, "HTTP/1.1\n\n", version, constant),
        told(51, "HTTP/1.1\t200 OK\n\n", version, constant),
        told(51, "HTTP/1.1 200 a\rb\n\n", "req error HPE_STRICT", "req error HPE_LF_EXPECTED"),
        told(
            rows::STATUS,
            "HTTP/1.1 099 x\n\n",
            "response 99, end",
            "req error HPE_INVALID_STATUS",
        ),
        told(rows::STATUS, "HTTP/1.1 200 a\0b\n\n", read, "req error HPE_INVALID_HEADER_TOKEN"),
        told(rows::STATUS, "RTSP/1.0 200 OK\n\n", read, constant),
    ]);
    cases
}

pub(crate) fn of_fields() -> Vec<Case> {
    let with = |line: &str| format!("HTTP/1.1 200 OK\n{line}\nContent-Length: 0\n\n");
    let mut cases: Vec<Case> = [
        "X A: 1",
        "X-A : 1",
        ": 1",
        "X-A",
        "X-\u{e9}: 1",
        "X-A: a\0b",
        "X-A: a\u{1}b",
        "X-A: a\u{7f}b",
        "X-A: a\rb",
        " X-A: 1",
        "X-A: 1\n b: 2",
        "X-A: 1\n\tb",
        "X(A): 1",
        "X-A\t: 1",
        "Content_Length: 3",
    ]
    .iter()
    .map(|line| answer(&with(line)))
    .collect();
    // Line feeds alone.
    let raw = |text: &str| get("end").on([Step::Request, Step::Send(text.as_bytes().to_vec())]);
    cases.extend([
        raw("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
        raw("HTTP/1.1 200 OK\n\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n").tells(
            51,
            "req error HPE_INVALID_HEADER_TOKEN",
            "req error HPE_CR_EXPECTED",
        ),
        told(
            51,
            &with("\tX-A: 1"),
            "req error HPE_INVALID_HEADER_TOKEN",
            "req error HPE_UNEXPECTED_SPACE",
        ),
    ]);
    cases
}

pub(crate) fn of_framing() -> Vec<Case> {
    let with = |text: &str| format!("HTTP/1.1 200 OK\n{text}");
    let mut cases: Vec<Case> = [
        "Content-Length: x\n\n",
        "Content-Length: -1\n\n",
        "Content-Length: +1\n\n",
        "Content-Length: \n\n",
        "Content-Length: 1 1\n\n",
        "Content-Length: 0x1\n\n",
        "Content-Length: 1.0\n\n",
        "Content-Length: 99999999999999999999\n\n",
        "Content-Length: 2\nContent-Length: 2\n\nok",
        "Content-Length: 2\nContent-Length: 3\n\nok",
        "Content-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
    ]
    .iter()
    .map(|text| answer(&with(text)))
    .collect();
    let coding = "req error HPE_INVALID_TRANSFER_ENCODING";
    let (read, empty) = ("response 200, data ok, end", "response 200, end");
    let chunks = "2\nok\n0\n\n";
    let codings =
        |fields: &str| told(rows::CODINGS, &with(&format!("{fields}\n\n{chunks}")), read, coding);
    cases.extend([
        told(
            51,
            &with("Content-Length: 2, 2\n\nok"),
            "req error HPE_INVALID_CONTENT_LENGTH",
            "req error HPE_UNEXPECTED_CONTENT_LENGTH",
        ),
        told(
            51,
            &with(&format!("Transfer-Encoding: chunked\nContent-Length: 2\n\n{chunks}")),
            "req error HPE_INVALID_CONTENT_LENGTH",
            coding,
        ),
        codings("Transfer-Encoding: chunked, chunked"),
        codings("Transfer-Encoding: chunked\nTransfer-Encoding: chunked"),
        codings("Transfer-Encoding: chunked, gzip\nTransfer-Encoding: chunked"),
        last_answer(&with("Transfer-Encoding: \n\n")).tells_one_of(
            rows::CODINGS,
            &[empty, coding],
            coding,
        ),
        told(46, &format!("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n{chunks}"), read, coding),
        ask("HEAD", "end")
            .on([
                Step::Request,
                send(&with("Content-Length: 2\nTransfer-Encoding: chunked\n\n")),
                Step::Close,
            ])
            .tells(rows::EMPTY, coding, empty),
        told(
            rows::EMPTY,
            "HTTP/1.1 204 No Content\nContent-Length: x\n\n",
            "req error HPE_INVALID_CONTENT_LENGTH",
            "response 204, end",
        ),
        told(
            rows::EMPTY,
            "HTTP/1.1 304 Not Modified\nContent-Length: 1\nContent-Length: 2\n\n",
            "req error HPE_UNEXPECTED_CONTENT_LENGTH",
            "response 304, end",
        ),
    ]);
    cases
}

pub(crate) fn of_content() -> Vec<Case> {
    const SIZE: &str = "HPE_INVALID_CHUNK_SIZE";
    const TOKEN: &str = "HPE_INVALID_HEADER_TOKEN";
    let chunked = |text: &str| format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{text}");
    let mut cases: Vec<Case> = [
        ("x\nhello\n", "", SIZE, SIZE),
        ("5 \nhello\n0\n\n", "", SIZE, SIZE),
        (" 5\nhello\n0\n\n", "", SIZE, SIZE),
        ("-5\nhello\n", "", SIZE, SIZE),
        ("0x5\nhello\n", "", SIZE, SIZE),
        ("\nhello\n", "", SIZE, SIZE),
        ("fffffffffffffffff\n", "", SIZE, SIZE),
        ("5;\nhello\n0\n\n", "", "HPE_STRICT", SIZE),
        ("5;a b\nhello\n0\n\n", "", "HPE_STRICT", SIZE),
        ("5\nhelloo\n", "hello", "HPE_STRICT", "HPE_STRICT"),
        ("5\nhell\n0\n\n", "hell\r", "HPE_CR_EXPECTED", "HPE_STRICT"),
        ("5\nhello\nx\n\n", "hello", SIZE, SIZE),
        ("5\nhello\n0\nX A: 1\n\n", "hello", TOKEN, TOKEN),
        ("5\nhello\n0\nX-A\n\n", "hello", TOKEN, TOKEN),
        ("5\nhello\n0\n X-A: 1\n\n", "hello", TOKEN, "HPE_UNEXPECTED_SPACE"),
        ("5\nhello\n0\nContent-Length: 1\n\n", "hello", "HPE_INVALID_CONTENT_LENGTH", TOKEN),
    ]
    .iter()
    .map(|(text, data, node, ours)| broken(&chunked(text), data, node, ours))
    .collect();
    for name in ["Transfer-Encoding: chunked", "Host: a", "Authorization: a"] {
        let text = chunked(&format!("5\nhello\n0\n{name}\n\n"));
        let ours = format!("response 200, data hello, aborted, res error {TOKEN}");
        cases.push(told(50, &text, "response 200, data hello, end", &ours));
    }
    cases.push(told(
        38,
        &chunked("5; a\nhello\n0\n\n"),
        "response 200, req error HPE_STRICT, aborted, res error ECONNRESET",
        "response 200, data hello, end",
    ));
    cases
}

pub(crate) fn of_sizes() -> Vec<Case> {
    let long = |length: usize| "a".repeat(length);
    let asked = |words: &str, fields: String| {
        program(&format!("ask GET|/|{words} & end")).on([
            Step::Request,
            send(&format!("HTTP/1.1 200 OK\n{fields}Content-Length: 2\n\nok")),
            Step::Close,
        ])
    };
    const CHUNKED: &str = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2";
    const OVERFLOW: &str = "HPE_HEADER_OVERFLOW";
    const EXTENSIONS: &str = "HPE_CHUNK_EXTENSIONS_OVERFLOW";
    vec![
        asked("", format!("X-A: {}\n", long(15_000))),
        asked("", format!("X-A: {}\n", long(17_000))),
        asked("header-size=1024", format!("X-A: {}\n", long(900))),
        asked("header-size=1024", format!("X-A: {}\n", long(1_100))),
        asked("header-size=30000", format!("X-A: {}\n", long(20_000))),
        asked("", "X-A: 1\n".repeat(900)),
        asked("fields=10", "X-A: 1\n".repeat(8)),
        asked("fields=10", "X-A: 1\n".repeat(20)).tells(
            40,
            "response 200, data ok, end",
            &format!("req error {OVERFLOW}"),
        ),
        last_answer(&format!("HTTP/1.1 200 {}\nContent-Length: 2\n\nok", long(17_000))),
        broken(&format!("{CHUNKED}\nok\n0\nX-A: {}\n\n", long(17_000)), "ok", OVERFLOW, OVERFLOW),
        broken(&format!("{CHUNKED};a={}\nok\n0\n\n", long(17_000)), "", EXTENSIONS, EXTENSIONS),
    ]
}

/// Servers that go.
pub(crate) fn of_connections() -> Vec<Case> {
    let mut cases = Vec::new();
    for end in [Step::Close, Step::Reset, Step::Shut] {
        for method in ["GET", "POST", "HEAD"] {
            cases.push(ask(method, "end").on([Step::Request, end.clone()]));
        }
        for text in
            ["H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\nContent-Length: 5\n"]
        {
            cases.push(get("end").on([Step::Request, send(text), end.clone()]));
        }
    }
    for text in [
        "Content-Length: 5\n\n",
        "Content-Length: 5\n\nhel",
        "Transfer-Encoding: chunked\n\n",
        "Transfer-Encoding: chunked\n\n5\nhel",
        "Transfer-Encoding: chunked\n\n5\nhello\n",
        "Transfer-Encoding: chunked\n\n5\nhello\n0\n",
        "Transfer-Encoding: chunked\n\n5\nhello\n0\nX-A: 1\n",
    ] {
        for end in [Step::Close, Step::Shut] {
            let script = [Step::Request, send(&format!("HTTP/1.1 200 OK\n{text}")), end];
            cases.push(get("end & wait res close & complete").on(script));
        }
    }
    cases.extend([
        get("end").on([Step::Close]),
        get("end").on([Step::Reset]),
        post("flush").on([until("\n\n"), Step::Close]),
        post("write hello").on([until("hello"), Step::Close]),
        program("ask GET|http://127.0.0.1:1/ & end"),
        program("ask POST|http://127.0.0.1:1/ & write hello"),
        program("ask GET|/|off & end").on([Step::Request, Step::Close]),
    ]);
    cases
}

/// More than was asked for.
pub(crate) fn of_surplus() -> Vec<Case> {
    let told_of = |text: &str, status: &str, code: &str| {
        let data = if text.contains("ok") { "data ok, " } else { "" };
        let row = if code == "HPE_CLOSED_CONNECTION" { 48 } else { 81 };
        let node = format!("response {status}, req error {code}, {data}end");
        told(row, text, &node, &format!("response {status}, {data}end"))
    };
    const CONSTANT: &str = "HPE_INVALID_CONSTANT";
    vec![
        last_answer(&format!("{OK}{OK}")),
        last_answer(&format!("{OK}\n\n")),
        answer(&format!("{OK}{OK}")),
        told_of(&format!("{OK}more"), "200", CONSTANT),
        told_of("HTTP/1.1 204 No Content\n\nmore", "204", CONSTANT),
        told_of("HTTP/1.1 304 Not Modified\n\nmore", "304", CONSTANT),
        told_of("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\nmore", "200", CONSTANT),
        told_of(
            "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nokmore",
            "200",
            "HPE_CLOSED_CONNECTION",
        ),
        answer(&format!("{OK}more")).tells(
            81,
            "response 200, req error HPE_INVALID_CONSTANT, data ok, end",
            "response 200, data ok, end",
        ),
        ask("HEAD", "end").on([Step::Request, send(OK), Step::Close]).tells(
            81,
            "response 200, req error HPE_INVALID_CONSTANT, end",
            "response 200, end",
        ),
        // An answer before the request.
        get("end").on([send(OK), Step::Request]),
    ]
}
