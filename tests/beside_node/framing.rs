//! How answers are framed where the handler does not say (section 5 of `docs/node-parity.md`).

use crate::case::{Case, get, get_with, raw};

/// What the handler calls decides.
pub(crate) fn by_the_calls() -> Vec<Case> {
    vec![
        get("end hello"),
        get("end"),
        get("write hello & end"),
        get("write hello & tick & end world"),
        get("write hello & write world & end").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n5\nhello\n5\nworld\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\na\nhelloworld\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n5\nworld\n0\n\n[kept]",
        ),
        get("write hello & end world").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n5\nhello\n5\nworld\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\na\nhelloworld\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n5\nworld\n0\n\n[kept]",
        ),
        get("write & end"),
        get("write & end hello"),
        get("flush & end hello"),
        get("head 200 & end hello").differs(
            13,
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            "{ok}Content-Length: 5\n\nhello[kept]",
        ),
        get("head 200 & end").differs(
            13,
            "{ok}Transfer-Encoding: chunked\n\n0\n\n[kept]",
            "{ok}Content-Length: 0\n\n[kept]",
        ),
        get("head 200 & write hello & end"),
        get("head 404||X-A=1 & tick & end hello").differs(
            13,
            "HTTP/1.1 404 Not Found\nX-A: 1\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 404 Not Found\nX-A: 1\n{kept}Content-Length: 5\n\nhello[kept]",
        ),
        get("tick & end soon"),
        get("write one & tick & write two & tick & end three"),
        get("write one & tick & end"),
        get("cork & write one & write two & uncork & end").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n3\none\n3\ntwo\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
        ),
        get("flush & cork & write one & write two & uncork & end").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n3\none\n3\ntwo\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
        ),
        get("flush & cork & write one & tick & write two & end three").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n3\none\n3\ntwo\n5\nthree\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\n0\n\nb\nonetwothree\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\nb\nonetwothree\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\nb\nonetwothree\n0\n\n[kept]",
        ),
        get("flush & cork & cork & corked & write one & uncork & corked & write two & end").varies(
            103,
            &[
                "{ok}Transfer-Encoding: chunked\n\n3\none\n3\ntwo\n0\n\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\n0\n\n6\nonetwo\n[kept]",
                "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
            ],
            "{ok}Transfer-Encoding: chunked\n\n6\nonetwo\n0\n\n[kept]",
        ),
        get("undated & end hello"),
    ]
}

/// HEAD, and statuses that have no content.
pub(crate) fn without_content() -> Vec<Case> {
    vec![
        raw("HEAD {end} HTTP/1.1\nHost: h\n\n"),
        raw("HEAD {end hello} HTTP/1.1\nHost: h\n\n").differs(
            59,
            "{ok}\n[kept]",
            "{ok}Content-Length: 5\n\n[kept]",
        ),
        raw("HEAD {write hello & end} HTTP/1.1\nHost: h\n\n"),
        raw("HEAD {flush & end} HTTP/1.1\nHost: h\n\n"),
        raw("HEAD {set Content-Length|5 & end hello} HTTP/1.1\nHost: h\n\n"),
        raw("HEAD {set Content-Length|7 & end} HTTP/1.1\nHost: h\n\n"),
        raw("HEAD {set Transfer-Encoding|chunked & write hello & end} HTTP/1.1\nHost: h\n\n"),
        get("status 204 & end"),
        get("status 204 & end hello"),
        get("status 204 & write hello & end"),
        get("status 204 & set Content-Length|5 & end").differs(
            57,
            "HTTP/1.1 204 No Content\nContent-Length: 5\n{kept}\n[kept]",
            "HTTP/1.1 204 No Content\n{kept}\n[kept]",
        ),
        get("status 204 & set Content-Length|5 & end hello").differs(
            57,
            "HTTP/1.1 204 No Content\nContent-Length: 5\n{kept}\n[kept]",
            "HTTP/1.1 204 No Content\n{kept}\n[kept]",
        ),
        get("status 204 & set Transfer-Encoding|chunked & end hello").differs(
            57,
            "HTTP/1.1 204 No Content\nTransfer-Encoding: chunked\n{last}\n[closed]",
            "HTTP/1.1 204 No Content\n{kept}\n[kept]",
        ),
        get("status 205 & end"),
        get("status 205 & end hello").differs(
            58,
            "HTTP/1.1 205 Reset Content\n{kept}Content-Length: 5\n\nhello[kept]",
            "HTTP/1.1 205 Reset Content\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("status 205 & write hello & end").differs(
            58,
            "HTTP/1.1 205 Reset Content\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 205 Reset Content\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("status 205 & set Content-Length|5 & end hello").differs(
            58,
            "HTTP/1.1 205 Reset Content\nContent-Length: 5\n{kept}\nhello[kept]",
            "HTTP/1.1 205 Reset Content\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("status 205 & set Transfer-Encoding|chunked & end hello").differs(
            58,
            "HTTP/1.1 205 Reset Content\nTransfer-Encoding: chunked\n{kept}\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 205 Reset Content\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("status 304 & end"),
        get("status 304 & end hello"),
        get("status 304 & write hello & end"),
        get("status 304 & set Content-Length|5 & end"),
        get("status 304 & set Content-Length|5 & end hello"),
        get("status 304 & set Transfer-Encoding|chunked & end hello").differs(
            57,
            "HTTP/1.1 304 Not Modified\nTransfer-Encoding: chunked\n{last}\n[closed]",
            "HTTP/1.1 304 Not Modified\n{kept}\n[kept]",
        ),
    ]
}

/// What the handler sets or removes decides.
pub(crate) fn by_the_fields() -> Vec<Case> {
    vec![
        get("set Content-Length|5 & end hello"),
        get("set Content-Length|5 & write hel & end lo"),
        get("set content-length|5 & end hello"),
        get("head 200||Content-Length=5 & end hello"),
        get("head 200||Content-Length=5 & write hello & end"),
        get("set Transfer-Encoding|chunked & end hello"),
        get("set Transfer-Encoding|chunked & end"),
        get("set transfer-encoding|CHUNKED & end hello"),
        get("set Content-Length|5 & set Transfer-Encoding|chunked & end hello").differs(
            14,
            "HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked\n{kept}\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n{kept}\n5\nhello\n0\n\n[kept]",
        ),
        get("remove Content-Length & end hello"),
        get("remove Transfer-Encoding & write hello & end").differs(
            101,
            "{ok}\nhello[closed]",
            "{ok, close}\nhello[closed]",
        ),
        get("remove Content-Length & remove Transfer-Encoding & end hello").differs(
            101,
            "{ok}\nhello[closed]",
            "{ok, close}\nhello[closed]",
        ),
        get("remove Content-Length & remove Transfer-Encoding & write hello & end").differs(
            101,
            "{ok}\nhello[closed]",
            "{ok, close}\nhello[closed]",
        ),
        get("remove Connection & end hello").since(20),
        get("remove Date & end hello"),
        get("remove Connection & remove Date & end hello").since(20),
        get("set Trailer|X-Sum & end hello"),
        get("set Connection|close & end hello"),
        get("set Connection|CLOSE & end hello"),
        get("set Connection|keep-alive & end hello"),
        get("set connection|x-thing & end hello"),
        get("set Connection|upgrade, keep-alive & end hello"),
        get("set Connection|x,close & end hello"),
        get("set-all Connection|close|x-thing & end hello"),
        get("set Keep-Alive|timeout=99 & end hello"),
        get("set Date|yesterday & end hello"),
        get_with("end hello", "Connection: close\n"),
        get_with("end hello", "Connection: Close, x\n"),
        get_with("end hello", "Connection: keep-alive\n"),
        get_with("remove Connection & end hello", "Connection: close\n"),
        get_with("set Connection|keep-alive & end hello", "Connection: close\n").since(20).differs(
            102,
            "HTTP/1.1 200 OK\nConnection: keep-alive\nDate: D\nContent-Length: 5\n\nhelloHTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "HTTP/1.1 200 OK\nConnection: keep-alive\n{last}Content-Length: 5\n\nhello[closed]",
        ),
        get("end hello").to("hasty"),
        get("write hello & end").to("hasty"),
    ]
}

pub(crate) fn to_http_1_0() -> Vec<Case> {
    vec![
        raw("GET {end} HTTP/1.0\n\n").differs(
            60,
            "{ok, close}\n[closed]",
            "{ok, close}Content-Length: 0\n\n[closed]",
        ),
        raw("GET {end} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "{ok, close}\n[closed]",
            "{ok}Content-Length: 0\n\n[kept]",
        ),
        raw("GET {end hello} HTTP/1.0\n\n").differs(
            60,
            "{ok, close}\nhello[closed]",
            "{ok, close}Content-Length: 5\n\nhello[closed]",
        ),
        raw("GET {end hello} HTTP/1.0\nConnection: close\n\n").differs(
            60,
            "{ok, close}\nhello[closed]",
            "{ok, close}Content-Length: 5\n\nhello[closed]",
        ),
        raw("GET {end hello} HTTP/1.0\nHost: h\nConnection: Keep-Alive\n\n").differs(
            60,
            "{ok, close}\nhello[closed]",
            "{ok}Content-Length: 5\n\nhello[kept]",
        ),
        raw("GET {end hello} HTTP/1.0\nTE: chunked\n\n"),
        raw("GET {write hello & end world} HTTP/1.0\n\n"),
        raw("GET {write hello & end world} HTTP/1.0\nConnection: keep-alive\n\n"),
        raw("GET {write hello & tick & end world} HTTP/1.0\nTE: chunked\n\n").differs(
            60,
            "{ok, close}Transfer-Encoding: chunked\n\n5\nhello\n5\nworld\n0\n\n[closed]",
            "{ok, close}\nhelloworld[closed]",
        ),
        raw("GET {flush & tick & end hello} HTTP/1.0\n\n"),
        raw("GET {set Content-Length|5 & end hello} HTTP/1.0\n\n"),
        raw("GET {set Content-Length|5 & end hello} HTTP/1.0\nConnection: keep-alive\n\n"),
        raw("GET {set Content-Length|5 & write hello & end} HTTP/1.0\nConnection: keep-alive\n\n"),
        raw("GET {set Content-Length|5 & set Connection|close & end hello} HTTP/1.0\nConnection: keep-alive\n\n"),
        raw("GET {set Transfer-Encoding|chunked & end hello} HTTP/1.0\n\n").differs(
            60,
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n{last}\n5\nhello\n0\n\n[closed]",
            "{ok, close}Content-Length: 5\n\nhello[closed]",
        ),
        raw("GET {set Transfer-Encoding|chunked & end hello} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n{last}\n5\nhello\n0\n\n[closed]",
            "{ok}Content-Length: 5\n\nhello[kept]",
        ),
        raw("GET {head 200 & end hello} HTTP/1.0\n\n").differs(
            60,
            "{ok, close}\nhello[closed]",
            "{ok, close}Content-Length: 5\n\nhello[closed]",
        ),
        raw("GET {status 204 & end} HTTP/1.0\n\n"),
        raw("GET {status 204 & end} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "HTTP/1.1 204 No Content\n{last}\n[closed]",
            "HTTP/1.1 204 No Content\n{kept}\n[kept]",
        ),
        raw("GET {status 304 & end} HTTP/1.0\n\n"),
        raw("GET {status 304 & end} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "HTTP/1.1 304 Not Modified\n{last}\n[closed]",
            "HTTP/1.1 304 Not Modified\n{kept}\n[kept]",
        ),
        raw("GET {remove Connection & end hello} HTTP/1.0\n\n").differs(
            60,
            "HTTP/1.1 200 OK\nDate: D\n\nhello[closed]",
            "HTTP/1.1 200 OK\nDate: D\nContent-Length: 5\n\nhello[closed]",
        ),
        raw("GET {remove Connection & end hello} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "HTTP/1.1 200 OK\nDate: D\n\nhello[closed]",
            "HTTP/1.1 200 OK\nDate: D\nContent-Length: 5\n\nhello[closed]",
        ),
        raw("GET {set Connection|keep-alive & end hello} HTTP/1.0\n\n").differs(
            102,
            "HTTP/1.1 200 OK\nConnection: keep-alive\nDate: D\n\nhello[closed]",
            "HTTP/1.1 200 OK\nConnection: keep-alive\n{last}Content-Length: 5\n\nhello[closed]",
        ),
        raw("GET {set Connection|keep-alive & end hello} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "HTTP/1.1 200 OK\nConnection: keep-alive\nDate: D\n\nhello[closed]",
            "HTTP/1.1 200 OK\nConnection: keep-alive\nDate: D\nContent-Length: 5\n\nhello[kept]",
        ),
        raw("GET {trailers X-A=1 & write hello & end} HTTP/1.0\n\n"),
        raw("HEAD {end hello} HTTP/1.0\n\n").differs(
            59,
            "{ok, close}\n[closed]",
            "{ok, close}Content-Length: 5\n\n[closed]",
        ),
        raw("HEAD {end} HTTP/1.0\nConnection: keep-alive\n\n").differs(
            60,
            "{ok, close}\n[closed]",
            "{ok}\n[kept]",
        ),
        raw("POST {read & content & report} HTTP/1.0\nContent-Length: 3\n\nabc").differs(
            60,
            "{ok, close}\nabc[closed]",
            "{ok, close}Content-Length: 3\n\nabc[closed]",
        ),
    ]
}
