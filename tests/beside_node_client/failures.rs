//! Servers that say what they must not, or go too early.

use crate::case::{Case, OK, Step, answer, answer_to, ask, get, last_answer, post, program, send, until};

/// What does not begin as a response does.
pub(crate) fn of_status_lines() -> Vec<Case> {
    [
        "hello\n\n", "<html>\n\n", "HTTP/2.0 200 OK\n\n", "HTTP/0.9 200 OK\n\n", "HTTP/1.2 200 OK\n\n", "HTTP/1 200 OK\n\n", "HTTP/11 200 OK\n\n", "http/1.1 200 OK\n\n", "HTTP/1.1  200 OK\n\n", "HTTP/1.1 20 OK\n\n", "HTTP/1.1 2000 OK\n\n", "HTTP/1.1 099 x\n\n",
        "HTTP/1.1 2x0 OK\n\n", "HTTP/1.1 OK\n\n", "HTTP/1.1\n\n", "HTTP/1.1 +20 OK\n\n", " HTTP/1.1 200 OK\n\n", "ICY 200 OK\n\n", "GET / HTTP/1.1\n\n", "\u{16}\u{3}\u{1}\n\n", "HTTP/1.1 200 a\0b\n\n", "HTTP/1.1 200 a\rb\n\n", "HTTP/1.1\t200 OK\n\n", "SSH-2.0-x\n\n",
        "220 ready\n\n", "RTSP/1.0 200 OK\n\n", "HTTPS/1.1 200 OK\n\n",
    ]
    .iter()
    .map(|text| answer(text))
    .collect()
}

pub(crate) fn of_fields() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        "X A: 1", "X-A : 1", ": 1", "X-A", "X-\u{e9}: 1", "X-A: a\0b", "X-A: a\u{1}b", "X-A: a\u{7f}b", "X-A: a\rb", " X-A: 1", "\tX-A: 1", "X-A: 1\n b: 2", "X-A: 1\n\tb", "X(A): 1", "X-A\t: 1", "Content_Length: 3",
    ]
    .iter()
    .map(|line| answer(&format!("HTTP/1.1 200 OK\n{line}\nContent-Length: 0\n\n")))
    .collect();
    // Line feeds alone.
    for text in [&b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", b"HTTP/1.1 200 OK\n\n"] {
        cases.push(get("end").on([Step::Request, Step::Send(text.to_vec())]));
    }
    cases
}

pub(crate) fn of_framing() -> Vec<Case> {
    let answers = [
        "Content-Length: x\n\n", "Content-Length: -1\n\n", "Content-Length: +1\n\n", "Content-Length: \n\n", "Content-Length: 1 1\n\n", "Content-Length: 0x1\n\n", "Content-Length: 1.0\n\n",
        "Content-Length: 99999999999999999999\n\n", "Content-Length: 2, 2\n\nok", "Content-Length: 2\nContent-Length: 2\n\nok", "Content-Length: 2\nContent-Length: 3\n\nok",
        "Content-Length: 2\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", "Transfer-Encoding: chunked\nContent-Length: 2\n\n2\nok\n0\n\n", "Transfer-Encoding: chunked, chunked\n\n2\nok\n0\n\n",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", "Transfer-Encoding: chunked, gzip\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", "Transfer-Encoding: \n\n",
    ];
    let mut cases: Vec<Case> =
        answers.iter().map(|text| answer(&format!("HTTP/1.1 200 OK\n{text}"))).collect();
    cases.push(answer("HTTP/1.0 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n"));
    cases.push(answer_to("HEAD", "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n"));
    cases.push(answer("HTTP/1.1 204 No Content\nContent-Length: x\n\n"));
    cases.push(answer("HTTP/1.1 304 Not Modified\nContent-Length: 1\nContent-Length: 2\n\n"));
    cases
}

pub(crate) fn of_content() -> Vec<Case> {
    [
        "x\nhello\n", "5 \nhello\n0\n\n", " 5\nhello\n0\n\n", "-5\nhello\n", "0x5\nhello\n", "5\nhelloo\n", "5\nhell\n0\n\n", "\nhello\n", "5;\nhello\n0\n\n", "5; a\nhello\n0\n\n", "5;a b\nhello\n0\n\n", "fffffffffffffffff\n",
        "5\nhello\n0\nX A: 1\n\n", "5\nhello\n0\nContent-Length: 1\n\n", "5\nhello\n0\nTransfer-Encoding: chunked\n\n", "5\nhello\n0\nHost: a\n\n", "5\nhello\n0\n X-A: 1\n\n", "5\nhello\nx\n\n", "5\nhello\n0\nX-A\n\n",
    ]
    .iter()
    .map(|text| answer(&format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n{text}")))
    .collect()
}

pub(crate) fn of_sizes() -> Vec<Case> {
    let long = |length: usize| "a".repeat(length);
    let ask = |words: &str, fields: String| {
        program(&format!("ask GET|/|{words} & end"))
            .on([Step::Request, send(&format!("HTTP/1.1 200 OK\n{fields}Content-Length: 2\n\nok"))])
    };
    vec![
        ask("", format!("X-A: {}\n", long(15_000))),
        ask("", format!("X-A: {}\n", long(17_000))),
        ask("header-size=1024", format!("X-A: {}\n", long(900))),
        ask("header-size=1024", format!("X-A: {}\n", long(1_100))),
        ask("header-size=30000", format!("X-A: {}\n", long(20_000))),
        ask("", "X-A: 1\n".repeat(900)),
        ask("fields=10", "X-A: 1\n".repeat(8)),
        ask("fields=10", "X-A: 1\n".repeat(20)),
        get("end").on([Step::Request, send(&format!("HTTP/1.1 200 {}\nContent-Length: 2\n\nok", long(17_000)))]),
        get("end").on([Step::Request, send(&format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\nX-A: {}\n\n", long(17_000)))]),
        get("end").on([Step::Request, send(&format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2;a={}\nok\n0\n\n", long(17_000)))]),
    ]
}

/// Servers that go.
pub(crate) fn of_connections() -> Vec<Case> {
    let mut cases = Vec::new();
    for end in [Step::Close, Step::Reset, Step::Shut] {
        for method in ["GET", "POST", "HEAD"] {
            cases.push(ask(method, "end").on([Step::Request, end.clone()]));
        }
        for text in ["H", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\n", "HTTP/1.1 200 OK\nContent-Length: 5\n"] {
            cases.push(get("end").on([Step::Request, send(text), end.clone()]));
        }
        for text in ["Content-Length: 5\n\n", "Content-Length: 5\n\nhel", "Transfer-Encoding: chunked\n\n", "Transfer-Encoding: chunked\n\n5\nhel", "Transfer-Encoding: chunked\n\n5\nhello\n", "Transfer-Encoding: chunked\n\n5\nhello\n0\n", "Transfer-Encoding: chunked\n\n5\nhello\n0\nX-A: 1\n"] {
            cases.push(
                get("end & wait res close & complete").on([Step::Request, send(&format!("HTTP/1.1 200 OK\n{text}")), end.clone()]),
            );
        }
    }
    cases.extend([
        get("end").on([Step::Close]),
        get("end").on([Step::Reset]),
        get("flush").on([Step::Request, Step::Close]),
        post("write hello").on([until("hello"), Step::Close]),
        post("write hello & wait response & write more & end").on([until("hello"), send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]),
        program("ask GET|http://127.0.0.1:1/ & end"),
        program("ask POST|http://127.0.0.1:1/ & write hello"),
        program("ask GET|http://nobody.invalid/ & end"),
    ]);
    cases
}

/// More than was asked for.
pub(crate) fn of_surplus() -> Vec<Case> {
    vec![
        last_answer(&format!("{OK}more")),
        last_answer(&format!("{OK}{OK}")),
        last_answer(&format!("{OK}\n\n")),
        last_answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nokmore"),
        last_answer("HTTP/1.1 204 No Content\n\nmore"),
        last_answer("HTTP/1.1 304 Not Modified\n\nmore"),
        last_answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\nmore"),
        ask("HEAD", "end").on([Step::Request, send(OK), Step::Close]),
        answer(&format!("{OK}more")),
        answer(&format!("{OK}{OK}")),
        get("end").on([send(OK), Step::Request]),
        get("tick & tick & end").on([send(OK), Step::Request]),
    ]
}
