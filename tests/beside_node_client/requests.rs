//! What requests look like on the wire.

use crate::case::{Case, ask, get, post, program, until, Step};

const CONTENTLESS: [&str; 5] = ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"];
const WITH_CONTENT: [&str; 6] = ["POST", "PUT", "PATCH", "PROPFIND", "QUERY", "PURGE"];

/// How content is framed that was not announced.
pub(crate) fn by_the_calls() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in CONTENTLESS {
        let head = format!("{method} / HTTP/1.1\n{{kept}}");
        cases.push(ask(method, "end"));
        for (steps, content) in [
            ("flush & end", ""),
            ("write & end", ""),
        ] {
            cases.push(ask(method, steps).sends(
                17,
                &format!("{head}\n{content}[kept]"),
                &format!("{head}Transfer-Encoding: chunked\n\n0\n\n[kept]"),
            ));
        }
        cases.push(ask(method, "end hello").sends(
            17,
            &format!("{head}\nhello[kept]"),
            &format!("{head}Content-Length: 5\n\nhello[kept]"),
        ));
        cases.push(ask(method, "write hello & end").sends(
            17,
            &format!("{head}\nhello[kept]"),
            &format!("{head}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[kept]"),
        ));
        // Content that is announced is content.
        cases.push(ask(method, "set Content-Length|5 & end hello"));
        cases.push(ask(method, "set Transfer-Encoding|chunked & write hello & end"));
        cases.push(ask(method, "set Content-Length|0 & end"));
    }
    for method in WITH_CONTENT {
        for steps in [
            "end",
            "end hello",
            "flush & end",
            "flush & end hello",
            "write & end",
            "write hello & end",
            "write he & write llo & end",
            "write hello & end more",
            "write & end hello",
            "write hello & tick & end",
            "cork & write he & write llo & uncork & end",
            "cork & write he & write llo & end",
        ] {
            cases.push(ask(method, steps));
        }
    }
    cases
}

/// How content is framed by the fields that are set.
pub(crate) fn by_the_fields() -> Vec<Case> {
    vec![
        post("set Content-Length|5 & end hello"),
        post("set Content-Length|5 & write hello & end"),
        post("set Content-Length|5 & write hel & end lo"),
        post("set content-length|5 & write hello & end"),
        post("set Content-Length|0 & end"),
        post("set Content-Length|5 & flush & end hello"),
        post("set Content-Length|5 & remove Content-Length & end hello"),
        post("set Content-Length|5 & remove Content-Length & write hello & end"),
        post("remove Content-Length & end hello"),
        post("remove Content-Length & end"),
        post("remove Content-Length & write hello & end"),
        post("remove Transfer-Encoding & end hello"),
        post("remove Transfer-Encoding & end"),
        post("remove Transfer-Encoding & write hello & end").on([until("hello")]),
        post("remove Content-Length & remove Transfer-Encoding & end hello").on([until("hello")]),
        post("remove Content-Length & remove Transfer-Encoding & end"),
        post("set Transfer-Encoding|chunked & end hello"),
        post("set Transfer-Encoding|chunked & end"),
        post("set Transfer-Encoding|chunked & write hello & end"),
        post("set transfer-encoding|Chunked & write hello & end"),
        post("set Transfer-Encoding|gzip, chunked & write hello & end"),
        post("set Transfer-Encoding|chunked & set Content-Length|5 & end hello"),
        post("set Content-Length|5 & set Transfer-Encoding|chunked & write hello & end"),
        post("set Transfer-Encoding|gzip & end hello").on([until("hello")]),
        post("set Transfer-Encoding|identity & end hello").on([until("hello")]),
        post("set Content-Length|five & end hello").on([until("hello")]),
        post("set Content-Length|-5 & end hello").on([until("hello")]),
        post("set Content-Length|5 & end hello world").on([until("hello")]),
        post("set Content-Length|5 & write hello & write world & end").on([until("hello")]),
        post("set Content-Length|5 & end hell").on([until("hell")]),
        post("set Content-Length|5 & write hell & end").on([until("hell")]),
        post("set-all Content-Length|5|5 & end hello").on([until("hello")]),
        get("remove Content-Length & end"),
        get("remove Transfer-Encoding & end"),
        get("remove Transfer-Encoding & write hello & end").on([until("hello")]),
        get("set Transfer-Encoding|chunked & end"),
        get("remove Connection & end"),
        post("strict & set Content-Length|5 & end hello"),
        post("strict & set Content-Length|5 & write hello & end"),
        post("strict & set Content-Length|5 & end hello world & end hello"),
        post("strict & set Content-Length|5 & write hello world & write hello & end"),
        post("strict & set Content-Length|5 & end hell & end hello"),
        post("strict & end hello"),
        post("strict & write hello & end"),
    ]
}

/// What becomes of the connection, as the request says.
pub(crate) fn connections() -> Vec<Case> {
    vec![
        get("end"),
        program("ask GET|/|off & end"),
        program("ask POST|/|off & end hello"),
        get("set Connection|close & end"),
        get("set Connection|Close & end"),
        get("set connection|close & end"),
        get("set Connection|keep-alive & end"),
        get("set Connection|Keep-Alive & end"),
        get("set Connection|x & end"),
        get("set Connection|keep-alive, x & end"),
        get("set Connection|x, close & end"),
        get("set-all Connection|x|close & end"),
        get("set Connection|Upgrade & set Upgrade|x & end"),
        get("set Connection|closed & end"),
        get("remove Connection & end"),
        program("ask GET|/|off & set Connection|keep-alive & end"),
        program("ask GET|/|off & remove Connection & end"),
        get("set Keep-Alive|timeout=5 & end"),
        post("set Connection|close & write hello & end"),
    ]
}

pub(crate) fn targets() -> Vec<Case> {
    [
        "/", "/a/b", "/a?b=c&d", "/?", "/?a", "//a", "/a//b", "/a/../b", "/a/./b", "/..", "/%7e%20%c3%a9",
        "/a#b", "/#", "/a?b#c", "/a;b", "/a:b@c", "/!$&'()*+,;=", "/a%00b", "/a%0d%0ab", "/%zz", "/%", "/a b",
        "/a|b".split('|').next().unwrap(), "/[a]", "/?a[]=b", "/{a}", "/\u{e9}", "/\\a", "/a^b", "/\"", "/<a>", "/~a", "/`a",
        "http://127.0.0.1:PORT", "http://127.0.0.1:PORT?a", "http://127.0.0.1:PORT#a", "HTTP://127.0.0.1:PORT/A",
        "http://localhost:PORT/", "http://LocalHost:PORT/", "http://127.1:PORT/", "http://2130706433:PORT/", "http://0x7f000001:PORT/",
        "ftp://127.0.0.1:PORT/", "https://127.0.0.1:PORT/", "127.0.0.1:PORT", "http:", "http://", "http://:PORT/", "http://a b/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:x/", "http://[::1", "http://%/", "http://a..b:PORT/",
        "http:/127.0.0.1:PORT/", "http:127.0.0.1:PORT/", "http:\\\\127.0.0.1:PORT\\a", " http://127.0.0.1:PORT/ ", "http://127.0.0.1:PORT/\ta", "http://user@127.0.0.1:PORT/", "http://user@host@127.0.0.1:PORT/",
        "http://256.0.0.1:PORT/",
    ]
    .iter()
    .map(|path| program(&format!("ask GET|{path} & end")))
    .collect()
}

pub(crate) fn methods() -> Vec<Case> {
    ["get", "Post", "head", "M-SEARCH", "X", "a!#$%&'*+-.^_`~1", "", "BAD METHOD", "GET/", "G\u{e9}T", "GET\r\nX: 1", "(", "LINK", "ACL"]
        .iter()
        .map(|method| ask(method, "end"))
        .collect()
}

pub(crate) fn credentials() -> Vec<Case> {
    ["user:pass", "user", "user:", ":pass", ":", "u%40x:p%3a", "a:b:c", "%c3%a9:x", "Aladdin:open%20sesame"]
        .iter()
        .map(|auth| program(&format!("ask GET|/|auth={auth} & end")))
        .chain([
            program("ask GET|/|auth=a:b & set Authorization|Bearer x & end"),
            program("ask GET|/|auth=a:b & set authorization|Bearer x & end"),
            program("ask GET|/|auth=a:b & remove Authorization & end"),
            program("ask GET|/|auth=a:b & get Authorization & names & end"),
            program("ask GET|/|auth=a:b & append Authorization|c & end"),
        ])
        .collect()
}

pub(crate) fn fields() -> Vec<Case> {
    vec![
        get("set X-A|1 & set X-B|2 & end"),
        get("set X-A|1 & set X-B|2 & set x-a|3 & end"),
        get("set X-A|1 & append X-A|2 & end"),
        get("append X-A|1 & append x-a|2 & append X-A|3 & end"),
        get("set-all X-A|1|2 & end"),
        get("set-all X-A & end"),
        get("set-all X-A|1|2 & append X-A|3 & end"),
        get("set-all Cookie|a=1|b=2 & end"),
        get("set-all cookie|a=1|b=2 & end"),
        get("append Cookie|a=1 & append Cookie|b=2 & end"),
        get("set Cookie|a=1 & append cookie|b=2 & end"),
        get("set-all Set-Cookie|a=1|b=2 & end"),
        get("set-many X-A=1|X-B=2 & end"),
        get("set-many X-A=1|x-a=2 & end"),
        get("set X-A|1 & set-many X-A=2|X-B=3 & end"),
        get("set X-A| & end"),
        get("set X-A|  padded  & end"),
        get("set X-A|\u{e9}\u{ff} & end"),
        get("set X-A|a\tb & end"),
        get("set X-A|1 & remove X-A & end"),
        get("set X-A|1 & remove x-a & set X-B|2 & end"),
        get("remove X-A & end"),
        get("set X-A|1 & get X-A & get x-a & has X-A & has X-B & get X-B & end"),
        get("set X-A|1 & set x-b|2 & names & raw-names & end"),
        get("set-all X-A|1|2 & get X-A & end"),
        get("append X-A|1 & append X-A|2 & get X-A & end"),
        get("set Host|example.com & end"),
        get("set host|example.com & end"),
        get("set Host|example.com & remove Host & end"),
        get("remove Host & end"),
        get("remove Host & set X-A|1 & end"),
        get("get Host & has Host & names & end"),
        get("set X-A|1 & set Host|example.com & set X-B|2 & end"),
        get("set Host| & end"),
        get("set-all Host|a|b & end"),
        get("append Host|b & end"),
        get("set Date|now & end"),
        get("set User-Agent|x & set Accept|*/* & set Accept-Encoding|gzip & end"),
        get("set TE|trailers & end"),
        get("set constructor|1 & set __proto__|2 & set toString|3 & end"),
        post("set Content-Type|text/plain & end hello"),
        post("set Trailer|X-A & end hello"),
        post("set Trailer|X-A & set Content-Length|5 & end hello"),
        get("set Trailer|X-A & end"),
        get("sent & flush & sent & end & sent & ended"),
        get("set Content-Type|text/plain & get Connection & end"),
    ]
}

pub(crate) fn misuse() -> Vec<Case> {
    vec![
        get("set Bad Name|1 & end"),
        get("set |1 & end"),
        get("set X-A:|1 & end"),
        get("set X-\u{e9}|1 & end"),
        get("set X-A|a\rb & set X-B|a\nb & set X-C|a\0b & set X-D|\u{7f} & set X-E|\u{1} & end"),
        get("set-all X-A|1|a\rb & has X-A & end"),
        get("append X-A|1 & append X-A|a\nb & append Bad Name|1 & get X-A & end"),
        get("set-many Bad Name=2 & end"),
        get("set X-A|\u{100} & end"),
        get("flush & set X-A|1 & append X-A|1 & remove X-A & end"),
        get("flush & set-many X-A=1 & end"),
        get("flush & flush & end"),
        get("flush & get Host & has Host & get X-A & names & end"),
        get("end & set X-A|1 & remove X-A"),
        get("end & flush"),
        get("end & end"),
        post("write hello & set X-A|1 & end"),
        post("end hello & end & end more"),
        post("end hello & write more"),
        post("end hello & write more & write more"),
        post("end & wait over & write more & end more & set X-A|1 & flush"),
        post("write hello & wait finish & end"),
        post("trailers Bad Name=1 & end"),
        post("trailers X-A=a\nb & end"),
        post("write hello & trailers Content-Length=1 & end"),
        post("write hello & trailers Transfer-Encoding=chunked & end"),
        post("write hello & trailers Host=a & end"),
        post("write hello & trailers Authorization=a & end"),
        post("end hello & trailers X-A=1"),
        post("ended & end hello & ended"),
        get("corked & cork & corked & cork & corked & uncork & corked & end & corked"),
        post("cork & write hello & end & corked"),
        get("uncork & end"),
    ]
}

pub(crate) fn trailers() -> Vec<Case> {
    vec![
        post("write hello & trailers X-A=1 & end"),
        post("set Trailer|X-A & write hello & trailers X-A=1 & end"),
        post("set Trailer|X-A & write hello & trailers X-A=1|X-B=2 & end"),
        post("set Trailer|X-A & trailers X-A=1 & end hello"),
        post("trailers X-A=1 & write hello & end"),
        post("trailers X-A=1 & end hello"),
        post("trailers X-A=1 & end"),
        post("write hello & trailers X-A=1 & trailers X-B=2 & end"),
        post("set Content-Length|5 & write hello & trailers X-A=1 & end"),
        get("trailers X-A=1 & end"),
        post("set Transfer-Encoding|chunked & trailers X-A=1 & end"),
        post("write hello & trailers X-A=\u{e9} & end"),
        post("flush & trailers X-A=1 & end"),
    ]
}
