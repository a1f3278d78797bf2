//! Fields, status and reason, trailers, informational responses: what handlers set and what is told to them.

use crate::case::{Case, get, get_with, raw};

pub(crate) fn fields() -> Vec<Case> {
    vec![
        get("set X-A|1 & end"),
        get("set x-a|1 & set X-B|2 & set X-A|3 & end"),
        get("set X-A|1 & remove x-a & set X-B|2 & set X-A|3 & end"),
        get("set X-A|  padded  & end"),
        get("set X-A| & get X-A & report"),
        get("set X-A|a\tb & end"),
        get("set X-A|\u{e9} & end").differs(
            70,
            "HTTP/1.1 200 OK\nX-A: \u{e9}\n{kept}Content-Length: 0\n\n[kept]",
            "HTTP/1.1 200 OK\nX-A: \u{c3}\u{a9}\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("set-all X-A|1|2|3 & get x-a & report"),
        get("set-all X-A|1 & append X-A|2 & get x-a & report"),
        get("set-all Set-Cookie|a=1|b=2 & end"),
        get("set-all Cookie|a=1|b=2 & end"),
        get("append X-A|1 & append X-A|2 & append X-B|3 & end"),
        get("append X-A|1 & append x-a|2 & append X-B|3 & end").differs(
            108,
            "HTTP/1.1 200 OK\nX-A: 1\nX-A: 2\nX-B: 3\n{kept}Content-Length: 0\n\n[kept]",
            "HTTP/1.1 200 OK\nX-A: 1\nx-a: 2\nX-B: 3\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("append-all X-A|1|2 & append-all X-A|3|4 & end"),
        get("set X-A|1 & append-all X-A|2|3 & get X-A & report"),
        get("append-all Set-Cookie|a=1|b=2 & append Set-Cookie|c=3 & end"),
        get("set Vary|a & append Vary|b & set vary|c & get Vary & report"),
        get("set-many X-A=1|X-B=2 & set X-A|3 & end"),
        get("set X-A|0 & set-many x-a=1|X-B=2 & get X-A & report"),
        get(
            "names & raw-names & set X-A|1 & set x-B|2 & append x-B|3 & names & raw-names & report",
        ),
        get("has x-a & set X-A|1 & has x-a & get x-a & remove X-a & has x-a & get x-a & report"),
        get("has Date & has Content-Length & get Connection & report"),
        get("get X-A & set X-A|1 & get x-A & get X-a & report"),
        get("remove X-A & report"),
        get("set Content-Length|9 & remove content-length & end hello"),
        get("set Date|now & remove date & end hello"),
        get("remove Date & set Date|now & end hello"),
        get("remove Connection & set Connection|close & end hello"),
        get("remove Transfer-Encoding & set Transfer-Encoding|chunked & end hello"),
        get("set Server|x & set Content-Type|text/plain; charset=utf-8 & end hello"),
        get("set Keep-Alive|timeout=1 & write hello & end"),
        get("set Connection|close & set Keep-Alive|timeout=1 & end"),
        get("set-all X-List|a|b & append X-List|c & end").to("unique"),
        get("set-all Set-Cookie|a=1|b=2 & end").to("unique"),
        get("append X-List|a & append X-List|b & end").to("unique"),
        get("append X-List|a & append X-List|b & get X-List & report").to("unique").differs(
            109,
            "HTTP/1.1 200 OK\nX-List: a; b\n{kept}Content-Length: 9\n\nok ok a,b[kept]",
            "HTTP/1.1 200 OK\nX-List: a; b\n{kept}Content-Length: 10\n\nok ok a; b[kept]",
        ),
        get("set-all X-Other|a|b & end").to("unique"),
    ]
}

pub(crate) fn heads() -> Vec<Case> {
    vec![
        get("head 201||Content-Length=0 & end"),
        get("head 201 & write & end"),
        get("head 201||X-A=1|X-B=2 & write hello & end"),
        get("head 201|Made & write hello & end"),
        get("head 201|Made|X-A=1 & write hello & end"),
        get("head 201|Made|X-A=1 & end").differs(
            13,
            "HTTP/1.1 201 Made\nX-A: 1\n{kept}Transfer-Encoding: chunked\n\n0\n\n[kept]",
            "HTTP/1.1 201 Made\nX-A: 1\n{kept}Content-Length: 0\n\n[kept]",
        ),
        get("set X-A|1 & set X-B|2 & head 200||x-a=3 & write hello & end"),
        get("set X-A|1 & head-flat 200|X-B=2|X-A=3 & write hello & end").varies(
            108,
            &[
                "HTTP/1.1 200 OK\nX-A: 3\nX-B: 2\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
                "HTTP/1.1 200 OK\nX-B: 2\nX-A: 3\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            ],
            "HTTP/1.1 200 OK\nX-A: 3\nX-B: 2\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
        ),
        get("set X-A|1 & head-flat 200|X-A=2|X-A=3|X-B=4 & write hello & end").changed(
            22,
            "HTTP/1.1 200 OK\nX-A: 3\nX-B: 4\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
            "HTTP/1.1 200 OK\nX-A: 2\nX-A: 3\nX-B: 4\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]",
        ),
        get("head-flat 200|X-A=2|X-A=3|X-B=4 & write hello & end"),
        get("head-flat 200|Set-Cookie=a=1|Set-Cookie=b=2 & write hello & end"),
        get("head-pairs 200|X-A=2|X-B=3 & write hello & end"),
        get("set Content-Type|a & head 200||Content-Type=b & flush & sent & end"),
        get("head 200||Content-Length=2|Connection=close & end ok"),
        get("head 200||Content-Length=2|Date=now & end ok"),
        get("head 200||Transfer-Encoding=chunked & end ok"),
        get("head 200||Content-Length=5|Content-Type=text/plain & write he & tick & end llo"),
        get("status 201 & head 202 & get-status & get-reason & report").differs(
            13,
            "HTTP/1.1 202 Accepted\n{kept}Transfer-Encoding: chunked\n\n12\nok ok 202 Accepted\n0\n\n[kept]",
            "HTTP/1.1 202 Accepted\n{kept}Content-Length: 18\n\nok ok 202 Accepted[kept]",
        ),
        get("reason Mine & head 202 & write hello & end"),
        get("reason Mine & head 202|Yours & write hello & end"),
        get("head 304||ETag=a & end"),
        get("head 204||X-A=1 & end"),
        get("status 404 & get-status & report"),
        get("status 404 & reason Nope & get-reason & report"),
        get("status 299 & end"),
        get("status 299 & reason Fine & end"),
        get("status 418 & end"),
        get("status 451 & end"),
        get("status 500 & end"),
        get("status 600 & end"),
        get("status 999 & end"),
        get("reason Very good & end"),
        get("reason \u{e9}t\u{e9} & end"),
        get("sent & head 200||Content-Length=2 & sent & write ok & sent & end"),
        get("undated & set Date|now & end"),
    ]
}

pub(crate) fn trailers() -> Vec<Case> {
    vec![
        get("set Trailer|X-Sum & write hello & trailers X-Sum=5 & end"),
        get("write hello & trailers X-Sum=5 & end"),
        get("write hello & trailers X-Sum=5|X-Other=a b & end"),
        get("write hello & trailers X-Sum=5 & trailers X-Other=6 & end").differs(
            107,
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\nX-Other: 6\n\n[kept]",
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\nX-Sum: 5\nX-Other: 6\n\n[kept]",
        ),
        get("trailers X-Sum=5 & end hello"),
        get("trailers X-Sum=5 & write hello & end"),
        get("set Trailer|X-Sum & end hello"),
        get("set Trailer|X-Sum & trailers X-Sum=5 & end hello"),
        get("set Trailer|X-Sum & trailers X-Sum=5 & end"),
        get("set Content-Length|5 & trailers X-Sum=5 & end hello"),
        get("set Transfer-Encoding|chunked & trailers X-Sum=5 & end hello"),
        get("write hello & trailers Bad Name=5 & trailers X-Sum=5 & note t7 & end").log("t7"),
        get("write hello & trailers X-Sum=a\rb & note t8 & end").log("t8"),
        get("write hello & trailers Content-Length=5 & note t6 & end").log("t6").differs(
            50,
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\nContent-Length: 5\n\n[kept]\ntrue ok",
            "{ok}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]\ntrue ERR_HTTP_TRAILER_INVALID",
        ),
        get("set Trailer|X-Sum & set Content-Length|5 & end hello & note t1 & destroy").log("t1").differs(
            50,
            "[closed]\nok ok ERR_HTTP_TRAILER_INVALID",
            "HTTP/1.1 200 OK\nTrailer: X-Sum\n{kept}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[closed]\nok ERR_HTTP_TRAILER_INVALID ok",
        ),
        get("set Trailer|X-Sum & remove Transfer-Encoding & end & note t2 & destroy").log("t2").differs(
            50,
            "[closed]\nok ok ERR_HTTP_TRAILER_INVALID",
            "{ok}Content-Length: 0\n\n[closed]\nok ok ok",
        ),
        get("status 204 & set Trailer|X-Sum & end & note t3 & destroy").log("t3").differs(
            50,
            "[closed]\nok ok ERR_HTTP_TRAILER_INVALID",
            "HTTP/1.1 204 No Content\n{kept}\n[closed]\nok ok ok",
        ),
        get("status 304 & trailers X-Sum=5 & end"),
        raw("HEAD {set Trailer|X-Sum & end hello & note t4 & destroy} HTTP/1.1\nHost: h\n\n").log("t4").differs(
            50,
            "[closed]\nok ERR_HTTP_TRAILER_INVALID",
            "{ok}\n[closed]\nok ok",
        ),
        raw("GET {set Trailer|X-Sum & write hello & end & note t5 & destroy} HTTP/1.0\n\n").log("t5").differs(
            50,
            "[closed]\nok ERR_HTTP_TRAILER_INVALID ERR_HTTP_TRAILER_INVALID",
            "{ok, close}\nhello[closed]\nok true ok",
        ),
        raw("GET {write hello & trailers X-Sum=5 & end} HTTP/1.0\n\n"),
        get("write hello & trailers X-List=a|X-Sum=5 & end").to("unique"),
    ]
}

pub(crate) fn informational() -> Vec<Case> {
    vec![
        get("processing & end hello"),
        get("processing & processing & tick & processing & end hello"),
        get("processing & head 200||Content-Length=2 & write ok & end"),
        get("hints link=</a.css>; rel=preload & end hello"),
        get("hints link=</a>; rel=preload|link=</b>; rel=preload|X-A=1 & end hello"),
        get("hints X-A=1|link=</a>; rel=preload; as=style & end hello"),
        get("hints X-A=1 & report"),
        get("hints link=nonsense & report"),
        get("hints link=</a>; rel=\"preload\"; crossorigin & end hello"),
        get("hints link=<https://example.com/>; rel=preconnect & end hello"),
        get("hints link=</a>; rel=preload|Bad Name=1 & report").changed(
            26,
            "HTTP/1.1 103 Early Hints\nLink: </a>; rel=preload\nBad Name: 1\n\n{ok}Content-Length: 2\n\nok[kept]",
            "{ok}Content-Length: 22\n\nERR_INVALID_HTTP_TOKEN[kept]",
        ),
        get("hints link=</a>; rel=preload|X-A=a\rb & report").changed(
            26,
            "HTTP/1.1 103 Early Hints\nLink: </a>; rel=preload\nX-A: a\rb\n\n{ok}Content-Length: 2\n\nok[kept]",
            "{ok}Content-Length: 16\n\nERR_INVALID_CHAR[kept]",
        ),
        get("status 404 & set X-A|1 & hints link=</a>; rel=preload & end hello"),
        get("continue & end hello").differs(
            56,
            "HTTP/1.1 100 Continue\n\n{ok}Content-Length: 5\n\nhello[kept]",
            "{ok}Content-Length: 5\n\nhello[kept]",
        ),
        get("flush & processing & report").until("\n0\n\n").changed(
            26,
            "{ok}Transfer-Encoding: chunked\n\nHTTP/1.1 102 Processing\n\n5\nok ok\n0\n\n[kept]",
            "{ok}Transfer-Encoding: chunked\n\n18\nok ERR_HTTP_HEADERS_SENT\n0\n\n[kept]",
        ),
        get("flush & continue & report").until("\n0\n\n").changed(
            26,
            "{ok}Transfer-Encoding: chunked\n\nHTTP/1.1 100 Continue\n\n5\nok ok\n0\n\n[kept]",
            "{ok}Transfer-Encoding: chunked\n\n18\nok ERR_HTTP_HEADERS_SENT\n0\n\n[kept]",
        ),
        get("flush & hints link=</a>; rel=preload & report").until("\n0\n\n").changed(
            26,
            "{ok}Transfer-Encoding: chunked\n\nHTTP/1.1 103 Early Hints\nLink: </a>; rel=preload\n\n5\nok ok\n0\n\n[kept]",
            "{ok}Transfer-Encoding: chunked\n\n18\nok ERR_HTTP_HEADERS_SENT\n0\n\n[kept]",
        ),
        get("information 102 & end hello").needs("writeInformation"),
        get("information 103|Link=</a>; rel=preload|X-A=1 & end hello").needs("writeInformation"),
        get("information 101 & information 99 & information 200 & report").needs("writeInformation"),
        get("information 102|Bad Name=1 & report").needs("writeInformation"),
        get("information 110|X-A=1|X-A=2 & end hello").needs("writeInformation"),
        get("information 199 & end hello").needs("writeInformation"),
        raw("GET {processing & write hello & end} HTTP/1.0\n\n").differs(
            56,
            "HTTP/1.1 102 Processing\n\n{ok, close}\nhello[closed]",
            "{ok, close}\nhello[closed]",
        ),
        raw("HEAD {hints link=</a>; rel=preload & end} HTTP/1.1\nHost: h\n\n"),
        get_with("processing & end hello", "Connection: close\n"),
    ]
}
