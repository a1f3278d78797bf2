//! What handlers are told, in which order: the log of an exchange follows what came back.

use crate::case::{Case, Step, get, get_with, raw, send, steps, until};

/// Exchanges that end well.
pub(crate) fn of_whole_exchanges() -> Vec<Case> {
    vec![
        get("log a1 & end hello").varies(
            75,
            &[
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,res close,req end,req close",
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,req end,res close,req close",
            ],
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a2 & tick & end hello").varies(
            75,
            &[
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,res close,req end,req close",
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,req end,res close,req close",
            ],
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a3 & write hello & tick & end").varies(
            75,
            &[
                "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]\nres finish,res close,req end,req close",
                "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]\nres finish,req end,res close,req close",
            ],
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a4 & read & end hello").changed(
            26,
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,res close,req close",
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a5 & read & tick & end hello").differs(
            7,
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,req close,res finish,res close",
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a6 & end hello & end & end").varies(
            75,
            &[
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,res close,req end,req close",
                "{ok}Content-Length: 5\n\nhello[kept]\nres finish,req end,res close,req close",
            ],
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a7 & read & end hello & write more").varies(
            65,
            &[
                "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,res ERR_STREAM_WRITE_AFTER_END,res close,req close",
                "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,res ERR_STREAM_WRITE_AFTER_END,req close,res close",
            ],
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        get("log a8 & read & end hello & destroy").changed(
            26,
            "{ok}Content-Length: 5\n\nhello[closed]\nreq end,res finish,res close,req close",
            "{ok}Content-Length: 5\n\nhello[closed]\nreq end,res finish,req close,res close",
        ),
        get_with("log a9 & read & end hello", "Connection: close\n").changed(
            26,
            "{ok, close}Content-Length: 5\n\nhello[closed]\nreq end,res finish,res close,req close",
            "{ok, close}Content-Length: 5\n\nhello[closed]\nreq end,res finish,req close,res close",
        ),
        raw("POST {log a10 & read & end hello} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc").changed(
            26,
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,res close,req close",
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        raw("POST {log a11 & read & tick & tick & end hello} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc").differs(
            7,
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,req close,res finish,res close",
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        raw("POST {log a12 & end hello} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc").differs(
            112,
            "{ok}Content-Length: 5\n\nhello[kept]\nres finish,res close,req end,req close",
            "{ok}Content-Length: 5\n\nhello[kept]\nreq end,res finish,req close,res close",
        ),
        raw("POST {log a13 & write a & read & end b} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n").changed(
            26,
            "{ok}Transfer-Encoding: chunked\n\n1\na\n1\nb\n0\n\n[kept]\nreq end,res finish,res close,req close",
            "{ok}Transfer-Encoding: chunked\n\n1\na\n1\nb\n0\n\n[kept]\nreq end,res finish,req close,res close",
        ),
        raw("HEAD {log a14 & read & end} HTTP/1.1\nHost: h\n\n").changed(
            26,
            "{ok}\n[kept]\nreq end,res finish,res close,req close",
            "{ok}\n[kept]\nreq end,res finish,req close,res close",
        ),
        raw("GET {log a15 & read & write hello & end} HTTP/1.0\n\n").changed(
            26,
            "{ok, close}\nhello[closed]\nreq end,res finish,res close,req close",
            "{ok, close}\nhello[closed]\nreq end,res finish,req close,res close",
        ),
    ]
}

/// Exchanges that break off.
pub(crate) fn of_broken_exchanges() -> Vec<Case> {
    let begun = |text: &str, step: Step| {
        let key = text.split(' ').nth(2).expect("log KEY");
        steps(text, vec![send(text), until("102 Processing\n\n"), step]).log(key)
    };
    vec![
        get("log b1 & destroy").differs(
            111,
            "[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "[closed]\nreq close,res close",
        ),
        get("log b2 & write hello & tick & destroy").differs(
            111,
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n[closed]\nreq end,req close,res close",
        ),
        get("log b3 & destroy-request").differs(
            111,
            "[closed]\nreq aborted,req close,res close",
            "[closed]\nreq close,res close",
        ),
        get("log b4 & read & tick & destroy"),
        raw("POST {log b5 & destroy} HTTP/1.1\nHost: h\nContent-Length: 3\n\n").differs(
            111,
            "[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "[closed]\nreq aborted,req close,res close",
        ),
        raw("POST {log b6 & read & tick & destroy} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabc"),
        begun("POST {log b7 & processing & read & end hello} HTTP/1.1\nHost: h\nContent-Length: 5\n\nabc", Step::Reset).differs(
            7,
            "HTTP/1.1 102 Processing\n\n[reset]\nreq aborted,res close,req ECONNRESET,req close",
            "HTTP/1.1 102 Processing\n\n[reset]\nreq aborted,req ECONNRESET,req close,res close",
        ),
        begun("GET {log b8 & processing} HTTP/1.1\nHost: h\n\n", Step::Reset).differs(
            111,
            "HTTP/1.1 102 Processing\n\n[reset]\nreq aborted,res close,req ECONNRESET,req close",
            "HTTP/1.1 102 Processing\n\n[reset]\nreq end,res ECONNRESET,req close,res close",
        ),
        begun("GET {log b9 & processing & read} HTTP/1.1\nHost: h\n\n", Step::Reset).differs(
            9,
            "HTTP/1.1 102 Processing\n\n[reset]\nreq end,req close,res close",
            "HTTP/1.1 102 Processing\n\n[reset]\nreq end,res ECONNRESET,req close,res close",
        ),
        begun("POST {log b10 & processing & read & end hello} HTTP/1.1\nHost: h\nContent-Length: 5\n\nabc", Step::Shut).differs(
            20,
            "HTTP/1.1 102 Processing\n\nHTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "HTTP/1.1 102 Processing\n\n{400}\nreq aborted,req ECONNRESET,req close,res close",
        ),
        begun("GET {log b11 & processing & left & end hello} HTTP/1.1\nHost: h\n\n", Step::Shut).differs(
            6,
            "HTTP/1.1 102 Processing\n\n[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "HTTP/1.1 102 Processing\n\n{ok}Content-Length: 5\n\nhello[closed]\nreq end,res finish,req close,res close",
        ),
        begun("GET {log b12 & processing & read & left & end hello} HTTP/1.1\nHost: h\n\n", Step::Shut).to("halfopen").differs(
            7,
            "HTTP/1.1 102 Processing\n\n{ok}Content-Length: 5\n\nhello[closed]\nreq end,req close,res finish,res close",
            "HTTP/1.1 102 Processing\n\n{ok}Content-Length: 5\n\nhello[closed]\nreq end,res finish,req close,res close",
        ),
        steps("a client whose chunks are malformed", vec![
            send("POST {log b13 & processing & read & end hello} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n"),
            until("102 Processing\n\n"),
            send("x\n"),
            Step::Answers(1),
        ]).log("b13").differs(
            113,
            "HTTP/1.1 102 Processing\n\nHTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]\nreq aborted,res close,req ECONNRESET,req close",
            "HTTP/1.1 102 Processing\n\n{400}\nreq aborted,req HPE_INVALID_CHUNK_SIZE,req close,res close",
        ),
    ]
}
