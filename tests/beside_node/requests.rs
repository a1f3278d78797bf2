//! Requests as handlers see them, content of all kinds, expectations.

use crate::case::{Case, Step, get, get_with, raw, send, steps, until};

pub(crate) fn heads() -> Vec<Case> {
    vec![
        get("method & url & version & report"),
        raw("GET {version & report} HTTP/1.0\n\n").differs(
            60,
            "{ok, close}\n1.0,1,0[closed]",
            "{ok, close}Content-Length: 7\n\n1.0,1,0[closed]",
        ),
        raw("OPTIONS * HTTP/1.1\nHost: h\n\n"),
        raw("GET http://h/a?b=c HTTP/1.1\nHost: h\n\n"),
        raw("GET /a?b=c&d=%20%2f HTTP/1.1\nHost: h\n\n"),
        raw("GET //a/../b HTTP/1.1\nHost: h\n\n"),
        raw("GET ? HTTP/1.1\nHost: h\n\n").differs(
            20,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{400}",
        ),
        raw("GET /a#b HTTP/1.1\nHost: h\n\n").differs(
            42,
            "{ok}Content-Length: 8\n\nGET /a#b[kept]",
            "{400}",
        ),
        raw("GET /a|b HTTP/1.1\nHost: h\n\n").differs(
            42,
            "{ok}Content-Length: 8\n\nGET /a|b[kept]",
            "{400}",
        ),
        raw("M-SEARCH /a HTTP/1.1\nHost: h\n\n"),
        raw("PROPFIND /a HTTP/1.1\nHost: h\n\n"),
        raw("BREW /a HTTP/1.1\nHost: h\n\n").differs(
            23,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{ok}Content-Length: 7\n\nBREW /a[kept]",
        ),
        raw("get /a HTTP/1.1\nHost: h\n\n").differs(
            23,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{ok}Content-Length: 6\n\nget /a[kept]",
        ),
        raw("\n\nGET /a HTTP/1.1\nHost: h\n\n"),
        get_with("raw & report", "X-A:1\nx-b:   two words \t \nEmpty:\nX-A: \u{e9}\n"),
        get_with("joined & report", "X-A:1\nx-b:   two words \t \nEmpty:\nX-A: \u{e9}\n"),
        get_with("distinct & report", "X-A:1\nx-b:   two words \t \nEmpty:\nX-A: \u{e9}\n"),
        get_with("joined & report", "constructor: 1\ntoString: 3\n"),
        get_with("joined & report", "Connection: keep-alive\nConnection: x\n"),
        get("complete & report").differs(
            110,
            "{ok}Content-Length: 5\n\nfalse[kept]",
            "{ok}Content-Length: 4\n\ntrue[kept]",
        ),
        get("tick & complete & report"),
        raw("GET {raw & report} HTTP/1.1\n\n").to("hostless"),
        raw("GET {raw & report} HTTP/1.1\n\n").since(20).differs(
            41,
            "HTTP/1.1 400 Bad Request\nConnection: close\nDate: D\nTransfer-Encoding: chunked\n\n0\n\n[closed]",
            "{400}",
        ),
        raw("GET {raw & report} HTTP/1.0\n\n").differs(
            60,
            "{ok, close}\n[][closed]",
            "{ok, close}Content-Length: 2\n\n[][closed]",
        ),
        raw("GET {raw & report} HTTP/1.1\nHost:\n\n").differs(
            41,
            "{ok}Content-Length: 11\n\n[\"Host\",\"\"][kept]",
            "{400}",
        ),
        raw("GET {joined & report} HTTP/1.1\nHost: a\nHost: b\n\n").differs(
            41,
            "{ok}Content-Length: 12\n\n{\"host\":\"a\"}[kept]",
            "{400}",
        ),
    ]
}

/// Fields that stand twice, each seen in all ways, on a server that joins them and on one that does not.
pub(crate) fn repeated_fields() -> Vec<Case> {
    const NAMES: [&str; 33] = [
        "Accept",
        "Accept-Encoding",
        "Age",
        "Authorization",
        "Cache-Control",
        "Content-Type",
        "Cookie",
        "Date",
        "ETag",
        "Expires",
        "From",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Unmodified-Since",
        "Last-Modified",
        "Location",
        "Max-Forwards",
        "Origin",
        "Proxy-Authorization",
        "Range",
        "Referer",
        "Retry-After",
        "Server",
        "Set-Cookie",
        "TE",
        "Trailer",
        "User-Agent",
        "Vary",
        "Via",
        "WWW-Authenticate",
        "X-Forwarded-For",
        "X-A",
    ];
    let twice = |name: &&str| format!("{name}: a\nX-Between: 1\n{}: b\n", name.to_lowercase());
    let see = |fields: String| get_with("joined & distinct & raw & report", &fields);
    let apart = NAMES.iter().map(twice).map(see);
    apart.chain(NAMES.iter().map(twice).map(|fields| see(fields).to("joined"))).collect()
}

pub(crate) fn content() -> Vec<Case> {
    const CHUNKED: &str = "Host: h\nTransfer-Encoding: chunked\n\n";
    let chunks = |program: &str, chunks: &str| {
        raw(&format!("POST {{{program}}} HTTP/1.1\n{CHUNKED}{chunks}"))
    };
    vec![
        raw(
            "POST {read & content & complete & report} HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello",
        ),
        raw("POST {read & content & report} HTTP/1.1\nHost: h\nContent-Length: 0\n\n"),
        raw("POST {read & content & report} HTTP/1.1\nHost: h\n\n"),
        raw("GET {read & content & report} HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello"),
        raw("DELETE {read & content & report} HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello"),
        raw("HEAD {read & content & end} HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello"),
        chunks("read & content & report", "5\nhello\n0\n\n"),
        chunks("read & content & report", "5\nhello\nA\n0123456789\n00\n\n"),
        chunks("read & content & report", "5;a=b\nhello\n0;c\n\n"),
        chunks("read & content & report", "0\n\n"),
        raw(
            "POST {read & content & report} HTTP/1.1\nHost: h\ntransfer-encoding: CHUNKED\n\n1\na\n0\n\n",
        ),
        chunks(
            "raw-trailers & read & raw-trailers & joined-trailers & report",
            "5\nhello\n0\nX-A: 1\nx-a:2\nX-B:\n\n",
        ),
        chunks(
            "read & distinct-trailers & raw & report",
            "0\nX-A: 1\nx-a:2\nCookie: a\nCookie: b\n\n",
        ),
        chunks("read & complete & report", "1\na\n0\n\n"),
        // Content that nobody reads, and a request behind it.
        raw("POST {end hello} HTTP/1.1\nHost: h\nContent-Length: 5\n\nhello"),
        chunks("end hello", "5\nhello\n0\n\n"),
        chunks("tick & end hello", "5\nhello\n0\n\nGET /next HTTP/1.1\nHost: h\n\n"),
        raw(
            "POST {write hello & read & content & end} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc",
        ),
        steps(
            "content that comes late",
            vec![
                send("POST {read & content & report} HTTP/1.1\nHost: h\nContent-Length: 6\n\nabc"),
                send("def"),
                Step::Answers(1),
            ],
        ),
        steps(
            "an answer before the content",
            vec![
                send("POST {end early} HTTP/1.1\nHost: h\nContent-Length: 3\n\n"),
                until("early"),
                send("abcGET /next HTTP/1.1\nHost: h\n\n"),
                Step::Answers(2),
            ],
        ),
        steps(
            "an answer that begins before the content",
            vec![
                send(
                    "POST {write early & read & end late} HTTP/1.1\nHost: h\nContent-Length: 3\n\n",
                ),
                until("early"),
                send("abc"),
                Step::Answers(1),
            ],
        ),
        steps(
            "trailers that come late",
            vec![
                send(&format!(
                    "POST {{flush & read & raw-trailers & report}} HTTP/1.1\n{CHUNKED}1\na\n0\n"
                )),
                until("\n\n"),
                send("X-A: 1\n\n"),
                Step::Answers(1),
            ],
        ),
    ]
}

pub(crate) fn expectations() -> Vec<Case> {
    let waits = |program: &str| {
        steps(
            program,
            vec![
                send(&format!(
                    "POST {{{program}}} HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 3\n\n"
                )),
                until("100 Continue\n\n"),
                send("abc"),
                Step::Answers(1),
            ],
        )
    };
    let post = |program: &str, fields: &str| {
        raw(&format!("POST {{{program}}} HTTP/1.1\nHost: h\n{fields}Content-Length: 3\n\nabc"))
    };
    vec![
        waits("read & content & report"),
        waits("tick & read & content & report"),
        waits("continue & read & content & report").differs(
            56,
            "HTTP/1.1 100 Continue\n\nHTTP/1.1 100 Continue\n\n{ok}Content-Length: 6\n\nok abc[kept]",
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 6\n\nok abc[kept]",
        ),
        waits("continue & read & content & report").to("listening"),
        post("read & content & report", "Expect: 100-continue\n").differs(
            3,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 3\n\nabc[kept]",
            "{ok}Content-Length: 3\n\nabc[kept]",
        ),
        post("read & content & report", "Expect: 100-Continue\n").differs(
            3,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 3\n\nabc[kept]",
            "{ok}Content-Length: 3\n\nabc[kept]",
        ),
        post("read & content & report", "Expect: 100-continue\n").to("listening").differs(
            3,
            "{ok, close}Content-Length: 17\n\ncheckContinue abc[closed]",
            "{ok}Content-Length: 17\n\ncheckContinue abc[kept]",
        ),
        post("continue & read & content & report", "").differs(
            56,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 6\n\nok abc[kept]",
            "{ok}Content-Length: 6\n\nok abc[kept]",
        ),
        get_with("continue & report", "Expect: 100-continue\n").to("listening").differs(
            56,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 16\n\ncheckContinue ok[kept]",
            "{ok}Content-Length: 16\n\ncheckContinue ok[kept]",
        ),
        get_with("end hello", "Expect: 100-continue\n").differs(
            3,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 5\n\nhello[kept]",
            "{ok}Content-Length: 5\n\nhello[kept]",
        ),
        raw("POST {status 413 & end no} HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 3\n\n").differs(
            3,
            "HTTP/1.1 100 Continue\n\nHTTP/1.1 413 Payload Too Large\n{kept}Content-Length: 2\n\nnoHTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "HTTP/1.1 413 Payload Too Large\n{last}Content-Length: 2\n\nno[closed]",
        ),
        raw("POST {status 413 & report} HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 3\n\n").to("listening"),
        raw("POST {read & write got & end} HTTP/1.0\nExpect: 100-continue\nContent-Length: 3\n\nabc"),
        get_with("end hello", "Expect: something\n").differs(
            4,
            "HTTP/1.1 417 Expectation Failed\n{kept}Transfer-Encoding: chunked\n\n0\n\n[kept]",
            "HTTP/1.1 417 Expectation Failed\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get_with("end hello", "Expect:\n").differs(
            4,
            "HTTP/1.1 417 Expectation Failed\n{kept}Transfer-Encoding: chunked\n\n0\n\n[kept]",
            "HTTP/1.1 417 Expectation Failed\n{kept}Content-Length: 0\n\n[kept]",
        ),
        post("read & content & report", "Expect: something\n").differs(
            4,
            "HTTP/1.1 417 Expectation Failed\n{kept}Transfer-Encoding: chunked\n\n0\n\n[kept]",
            "HTTP/1.1 417 Expectation Failed\n{last}Content-Length: 0\n\n[closed]",
        ),
        get_with("report", "Expect: something\n").to("listening"),
        get_with("report", "Expect: 100-continue, something\n").to("listening").differs(
            4,
            "{ok, close}Content-Length: 13\n\ncheckContinue[closed]",
            "{ok}Content-Length: 16\n\ncheckExpectation[kept]",
        ),
        raw("GET {write hello & end} HTTP/1.0\nExpect: something\n\n"),
    ]
}
