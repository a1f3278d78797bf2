//! What a handler does wrong: it gets to see the code, nothing of it is on the wire, and the exchange goes on.

use crate::case::{Case, get, raw};

pub(crate) fn of_fields() -> Vec<Case> {
    vec![
        get("set Bad Name|1 & report"),
        get("set |1 & report"),
        get("set X-A:|1 & report"),
        get("set X-\u{e9}|1 & report"),
        get("set X-A|a\rb & report"),
        get("set X-A|a\nb & report"),
        get("set X-A|a\0b & report"),
        get("set X-A|\u{7f} & report"),
        get("set X-A|\u{1} & report"),
        get("set-all X-A|1|a\rb & has X-A & report"),
        get("append X-A|1 & append X-A|a\nb & append Bad Name|1 & get X-A & report"),
        get("set-many Bad Name=2 & report"),
        get("set-many X-A=1|Bad Name=2 & report").differs(
            105,
            "HTTP/1.1 200 OK\nX-A: 1\n{kept}Content-Length: 22\n\nERR_INVALID_HTTP_TOKEN[kept]",
            "{ok}Content-Length: 22\n\nERR_INVALID_HTTP_TOKEN[kept]",
        ),
        get("set Content-Length|five & write x & report").until("x").differs(
            16,
            "HTTP/1.1 200 OK\nContent-Length: five\n{kept}\nxok true[kept]",
            "{ok}Transfer-Encoding: chunked\n\n1\nx\n22\nERR_HTTP_INVALID_HEADER_VALUE true\n0\n\n[kept]",
        ),
        get("set Content-Length|-5 & write x & report").until("x").differs(
            16,
            "HTTP/1.1 200 OK\nContent-Length: -5\n{kept}\nxok true[kept]",
            "{ok}Transfer-Encoding: chunked\n\n1\nx\n22\nERR_HTTP_INVALID_HEADER_VALUE true\n0\n\n[kept]",
        ),
        get("set Transfer-Encoding|gzip & write x & report").until("x").differs(
            16,
            "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n{kept}\nxok true[kept]",
            "{ok}Transfer-Encoding: chunked\n\n1\nx\n22\nERR_HTTP_INVALID_HEADER_VALUE true\n0\n\n[kept]",
        ),
        get("flush & set X-A|1 & append X-A|1 & remove X-A & report"),
        get("flush & set-many X-A=1 & report"),
        get("flush & flush & sent & get X-A & has Date & report"),
        get("write & set X-A|1 & sent & report"),
        get("set X-A|1 & flush & get X-A & names & report"),
        get("end hello & set X-A|1 & remove X-A & note f1").log("f1"),
    ]
}

pub(crate) fn of_heads() -> Vec<Case> {
    vec![
        get("head 200||X-A=a\rb & end hello & note h1").log("h1"),
        get("head 404||X-A=a\rb & head 201||X-B=1 & write hello & end").differs(
            105,
            "HTTP/1.1 201 Not Found\nX-B: 1\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 201 Created\nX-B: 1\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
        ),
        get("head 200|a\nb & end hello & note h2 & destroy").log("h2").differs(
            105,
            "[closed]\nERR_INVALID_CHAR ERR_INVALID_CHAR",
            "{ok}Content-Length: 5\n\nhello[closed]\nERR_INVALID_CHAR ok",
        ),
        get("head 99 & head 1000 & head 0 & report"),
        get("head 100 & note h3 & destroy").log("h3").differs(
            55,
            "[closed]\nok",
            "[closed]\nERR_HTTP_INVALID_STATUS_CODE",
        ),
        get("status 99 & end hello & note h4 & destroy").log("h4").differs(
            55,
            "[closed]\nok ERR_HTTP_INVALID_STATUS_CODE",
            "HTTP/1.1 500 Internal Server Error\n{kept}Content-Length: 5\n\nhello[closed]\nok ok",
        ),
        get("status 1000 & end hello & note h5 & destroy").log("h5").differs(
            55,
            "[closed]\nok ERR_HTTP_INVALID_STATUS_CODE",
            "HTTP/1.1 500 Internal Server Error\n{kept}Content-Length: 5\n\nhello[closed]\nok ok",
        ),
        get("reason a\rb & end hello & note h6 & destroy").log("h6").differs(
            65,
            "[closed]\nok ERR_INVALID_CHAR",
            "{ok}Content-Length: 5\n\nhello[closed]\nERR_INVALID_CHAR ok",
        ),
        get("head 200 & head 200 & get-status & write hello & tick & report").since(20),
        get("flush & head 404 & report").since(20),
        get("flush & status 404 & get-status & report").differs(
            106,
            "{ok}Transfer-Encoding: chunked\n\n9\nok ok 404\n0\n\n[kept]",
            "{ok}Transfer-Encoding: chunked\n\n9\nok ok 200\n0\n\n[kept]",
        ),
        get("flush & processing & note h7 & end").log("h7").until("\n0\n\n").changed(
            26,
            "{ok}Transfer-Encoding: chunked\n\nHTTP/1.1 102 Processing\n\n0\n\n[kept]\nok ok",
            "{ok}Transfer-Encoding: chunked\n\n0\n\n[kept]\nok ERR_HTTP_HEADERS_SENT",
        ),
    ]
}

pub(crate) fn of_content() -> Vec<Case> {
    vec![
        get("end hello & end & end world & end"),
        get("end hello & write world & note c1").log("c1"),
        get("end hello & flush & note c2").log("c2"),
        get("end hello & trailers X-A=1 & note c3").log("c3").differs(
            65,
            "{ok}Content-Length: 5\n\nhello[kept]\nok ok",
            "{ok}Content-Length: 5\n\nhello[kept]\nok ERR_HTTP_HEADERS_SENT",
        ),
        get("write hello & end & write more & end more & note c4").log("c4"),
        get("ended & end hello & ended & note c5").log("c5"),
        get("end hello & destroy"),
        get("end hello & destroy-request"),
        get("write hello & end & destroy"),
        get("write hello & destroy"),
        get("flush & tick & write hello & destroy"),
        get("set Content-Length|5 & strict & write hell & write oworld & note c6 & end o")
            .log("c6")
            .since(20),
        get("set Content-Length|5 & strict & write hell & end oworld & note c7 & destroy")
            .log("c7")
            .since(20),
        get("set Content-Length|5 & strict & write hell & end & end o").since(20),
        get("set Content-Length|5 & strict & end hello").since(20),
        get("strict & write hello & tick & end world"),
        get("strict & end hello"),
        get("set Content-Length|5 & end hello world").until("hello world").differs(
            15,
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhello world[kept]",
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\n[closed]",
        ),
        get("set Content-Length|5 & write hello & write world & end").until("hello").differs(
            15,
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhelloworld[kept]",
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhello[kept]",
        ),
        get("set Content-Length|5 & end hell").until("hell").differs(
            15,
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhell[kept]",
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhell[closed]",
        ),
        get("set Content-Length|5 & write hell & end").until("hell").differs(
            15,
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhell[kept]",
            "HTTP/1.1 200 OK\nContent-Length: 5\n{kept}\nhell[closed]",
        ),
        get("status 204 & write hello & note c8 & end").log("c8").to("rejecting"),
        get("status 304 & end hello & note c9 & end").log("c9").to("rejecting"),
        get("status 204 & end").to("rejecting"),
        raw("HEAD {write hello & note c10 & end} HTTP/1.1\nHost: h\n\n").log("c10").to("rejecting"),
        raw("HEAD {end hello & note c11 & end} HTTP/1.1\nHost: h\n\n").log("c11").to("rejecting"),
        raw("HEAD {end} HTTP/1.1\nHost: h\n\n").to("rejecting"),
    ]
}
