//! What becomes of responses that are well formed.

use crate::case::{
    Case, Step, answer, answer_to, ask, get, last_answer, pieces, program, rows, send,
};

/// Where they end.
pub(crate) fn framing() -> Vec<Case> {
    let mut cases = vec![
        answer("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        answer("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        answer("HTTP/1.1 200 OK\ncontent-length:5\n\nhello"),
        answer("HTTP/1.1 200 OK\nContent-Length: 005 \n\nhello"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhe\n3\nllo\n0\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"),
        answer("HTTP/1.1 200 OK\ntransfer-encoding: CHUNKED\n\nA\nhellohello\n0\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n05\nhello\n000\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;a\nhello\n0;b=c\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;a=\"b;c\"\nhello\n0\n\n"),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n5\nhello\n0\n\n"),
        answer("HTTP/1.1 204 No Content\n\n"),
        answer("HTTP/1.1 204 No Content\nContent-Length: 5\n\n"),
        answer("HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n\n"),
        answer("HTTP/1.1 304 Not Modified\n\n"),
        answer("HTTP/1.1 304 Not Modified\nContent-Length: 5\n\n"),
        answer("HTTP/1.1 304 Not Modified\nTransfer-Encoding: chunked\n\n"),
        answer("HTTP/1.1 205 Reset Content\nContent-Length: 0\n\n"),
        answer_to("HEAD", "HTTP/1.1 200 OK\nContent-Length: 5\n\n"),
        answer_to("HEAD", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"),
        answer_to("HEAD", "HTTP/1.1 200 OK\n\n").sends(
            rows::HEAD,
            "HEAD / HTTP/1.1\n{kept}\n[closed]",
            "HEAD / HTTP/1.1\n{kept}\n[kept]",
        ),
        answer_to("HEAD", "HTTP/1.1 404 Not Found\nContent-Length: 0\n\n"),
        answer_to("POST", "HTTP/1.1 201 Created\nContent-Length: 5\n\nhello"),
        answer_to("DELETE", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        answer_to("PURGE", "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        last_answer("HTTP/1.1 200 OK\n\nhello"),
        last_answer("HTTP/1.1 200 OK\n\n"),
        last_answer("HTTP/1.1 200 OK\nConnection: keep-alive\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nConnection: close\n\nhello"),
        last_answer("HTTP/1.0 200 OK\n\nhello"),
        last_answer("HTTP/1.0 200 OK\nContent-Length: 5\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nTransfer-Encoding: identity\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked, gzip\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
        last_answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n\n"),
        last_answer("HTTP/1.1 204 No Content\n\n"),
        last_answer("HTTP/1.1 304 Not Modified\n\n"),
        last_answer("\n\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello").tells(
            rows::BLANK,
            "response 200, data hello, end",
            "req error HPE_INVALID_CONSTANT",
        ),
    ];
    // Pieces change nothing.
    for text in [
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\nX-A: 1\n\n",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    ] {
        cases.push(get("end").on([Step::Request, pieces(text)]));
    }
    cases
}

/// What is told of status lines.
pub(crate) fn status_lines() -> Vec<Case> {
    let seen = |line: &str| {
        get("end & wait response & status & reason & version")
            .on([Step::Request, send(&format!("{line}\nContent-Length: 2\n\nok"))])
    };
    [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1 404 Not Found",
        "HTTP/1.1 999 x",
        "HTTP/1.1 299 Some  more words",
        "HTTP/1.1 200 a\tb",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 500 Oh, no: !",
        "HTTP/1.1 418 ok  ",
        "HTTP/1.1 600 x",
        "HTTP/1.1 250 200",
    ]
    .iter()
    .map(|line| seen(line))
    .chain([seen("HTTP/1.1 200 \u{e9}").tells(
        70,
        "response 200, status 200, reason \"\u{e9}\", version 1.1, data ok, end",
        "response 200, status 200, reason \"\u{ef}\u{bf}\u{bd}\", version 1.1, data ok, end",
    )])
    .collect()
}

/// What is told of fields.
pub(crate) fn fields() -> Vec<Case> {
    const ONCE: [&str; 17] = [
        "Age",
        "Authorization",
        "Content-Type",
        "ETag",
        "Expires",
        "From",
        "If-Modified-Since",
        "If-Unmodified-Since",
        "Last-Modified",
        "Location",
        "Max-Forwards",
        "Proxy-Authorization",
        "Referer",
        "Retry-After",
        "Server",
        "User-Agent",
        "Host",
    ];
    let view = "end & wait response & raw & joined & distinct";
    let head = |fields: &str| send(&format!("HTTP/1.1 200 OK\n{fields}Content-Length: 2\n\nok"));
    let seen = |fields: &str| get(view).on([Step::Request, head(fields)]);
    let mut cases: Vec<Case> = [
        "",
        "X-A: 1\n",
        "x-a: 1\nX-A: 2\n",
        "X-A:1\n",
        "X-A:   1   \n",
        "X-A:\t1\t\n",
        "X-A:\n",
        "X-A: \nX-A: 1\n",
        "X-A: a, b\nX-A: c\n",
        "Set-Cookie: a=1\n",
        "Set-Cookie: a=1\nSet-Cookie: b=2\n",
        "Cookie: a=1\nCookie: b=2\n",
        "Connection: x\nConnection: keep-alive\n",
        "Date: a\nDate: b\n",
        "Vary: a\nVary: b\n",
        "Accept: a\nAccept: b\n",
        "WWW-Authenticate: a\nWWW-Authenticate: b\n",
        "X-A: \u{e9}\u{80}\u{ff}\n",
        "X-A: a\tb  c\n",
        "!#$%&'*+-.^_`|~: 1\n",
        "1: 2\n",
        "X-A: \"a, b\"\n",
        "Keep-Alive: timeout=5\nKeep-Alive: max=3\n",
        "X-B: 1\nX-A: 2\nX-B: 3\n",
        "Trailer: X-A\n",
    ]
    .iter()
    .map(|fields| seen(fields))
    .collect();
    // Node 24 cannot tell this one by its values.
    cases.push(
        get("end & wait response & raw & joined").on([Step::Request, head("constructor: 1\n")]),
    );
    for name in ONCE {
        cases.push(seen(&format!("{name}: a\n{}: b\n", name.to_lowercase())));
    }
    for fields in [
        "Age: 1\nAge: 2\n",
        "Set-Cookie: a\nSet-Cookie: b\n",
        "Cookie: a\nCookie: b\n",
        "X-A: 1\nX-A: 2\n",
    ] {
        let case = program(&format!("ask GET|/|join & {view}"));
        cases.push(case.on([Step::Request, head(fields)]));
    }
    for trailers in [
        "",
        "X-A: 1\n",
        "X-A: 1\nx-a: 2\nX-B: 3\n",
        "ETag: a\nETag: b\n",
        "Set-Cookie: a\n",
        "X-A:\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n{trailers}\n");
        let view = "end & wait end & raw-trailers & joined-trailers & distinct-trailers & complete";
        cases.push(get(view).on([Step::Request, send(&text)]));
    }
    cases
}

/// What comes before the answer.
pub(crate) fn informational() -> Vec<Case> {
    const OK: &str = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
    let mut cases: Vec<Case> = [
        "HTTP/1.1 100 Continue\n\n",
        "HTTP/1.1 102 Processing\n\n",
        "HTTP/1.1 103 Early Hints\nLink: </a>\nLink: </b>\n\n",
        "HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: </a>\n\n",
        "HTTP/1.1 103 Early Hints\n\nHTTP/1.1 103 Early Hints\nX-A: 1\n\n",
        "HTTP/1.1 199 x\n\n",
        "HTTP/1.1 150\n\n",
        "HTTP/1.1 102 Processing\nContent-Length: 5\n\n",
        "HTTP/1.1 103 Early Hints\nTransfer-Encoding: chunked\n\n",
    ]
    .iter()
    .map(|text| answer(&format!("{text}{OK}")))
    .collect();
    let answered = "response 200, data ok, end";
    cases.extend([
        answer(&format!("HTTP/1.1 100 Continue\n\nHTTP/1.1 100 Continue\n\n{OK}")).tells(
            rows::CONTINUE,
            &format!("continue, information 100 Continue [], continue, information 100 Continue [], {answered}"),
            &format!("continue, information 100 Continue [], information 100 Continue [], {answered}"),
        ),
        last_answer(&format!("HTTP/1.1 102 Processing\nConnection: close\n\n{OK}")).tells(
            rows::NOT_LAST,
            "information 102 Processing [\"Connection\",\"close\"], req error HPE_CLOSED_CONNECTION",
            &format!("information 102 Processing [\"Connection\",\"close\"], {answered}"),
        ),
        last_answer(&format!("HTTP/1.0 100 Continue\n\n{OK}")).tells(
            rows::NOT_LAST,
            "continue, information 100 Continue [], req error HPE_CLOSED_CONNECTION",
            &format!("continue, information 100 Continue [], {answered}"),
        ),
        get("end").on([Step::Request, send("HTTP/1.1 103 Early Hints\nX-A: 1\n\n"), Step::Close]),
        get("end").on([Step::Request, send("HTTP/1.1 100 Continue\n\n"), Step::Reset]),
        ask("HEAD", "end").on([Step::Request, send("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 200 OK\nContent-Length: 2\n\n")]),
    ]);
    cases
}
