//! What requests are made from: methods, URLs, options, fields.

use crate::case::{Case, ask, get, post, program, rows};

/// What becomes of the connection, as the request says.
pub(crate) fn connections() -> Vec<Case> {
    // The server says nothing of it.
    let closing = |steps: &str, lines: &str| {
        let head = format!("GET / HTTP/1.1\nHost: 127.0.0.1:P\n{lines}\n\n");
        let (node, ours) = (format!("{head}[kept]"), format!("{head}[closed]"));
        get(&format!("{steps} & end")).sends(rows::CLOSE, &node, &ours)
    };
    vec![
        get("end"),
        program("ask GET|/|off & end"),
        program("ask POST|/|off & end hello"),
        program("agent no-keep & ask GET|/ & end"),
        program("agent no-keep & ask POST|/ & write hello & end"),
        closing("set Connection|close", "Connection: close"),
        closing("set Connection|Close", "Connection: Close"),
        closing("set connection|close", "connection: close"),
        closing("set Connection|x, close", "Connection: x, close"),
        closing("set-all Connection|x|close", "Connection: x\nConnection: close"),
        get("set Connection|keep-alive & end"),
        get("set Connection|Keep-Alive & end"),
        get("set Connection|x & end"),
        get("set Connection|keep-alive, x & end"),
        get("set Connection|Upgrade & set Upgrade|x & end"),
        get("set Connection|closed & end"),
        get("remove Connection & end"),
        get("set Keep-Alive|timeout=5 & end"),
        program("ask GET|/|off & remove Connection & end"),
        program("ask GET|/|off & set Connection|close & end"),
        program("ask GET|/|off & set Connection|keep-alive & end").sends(
            rows::KEEP,
            "GET / HTTP/1.1\nHost: 127.0.0.1:P\nConnection: keep-alive\n\n[closed]",
            "GET / HTTP/1.1\nHost: 127.0.0.1:P\nConnection: keep-alive\nConnection: close\n\n[closed]",
        ),
        program("agent no-keep & ask GET|/ & set Connection|keep-alive & end").sends(
            rows::KEEP,
            "GET / HTTP/1.1\nHost: 127.0.0.1:P\nConnection: keep-alive\n\n[closed]",
            "GET / HTTP/1.1\nHost: 127.0.0.1:P\nConnection: keep-alive\nConnection: close\n\n[closed]",
        ),
    ]
}

/// Out of the URL.
pub(crate) fn targets() -> Vec<Case> {
    [
        "/",
        "/a/b",
        "/a?b=c&d",
        "/?a",
        "//a",
        "/a//b",
        "/%7e%20%c3%a9",
        "/a#b",
        "/#",
        "/a?b#c",
        "/a;b",
        "/a:b@c",
        "/!$'()*+,;=",
        "/a%00b",
        "/a%0d%0ab",
        "/[a]",
        "/?a[]=b",
        "/~a",
        "/a?b?c",
        "/a?b=/c/../d",
        "/constructor",
        "http://127.0.0.1:PORT",
        "http://127.0.0.1:PORT?a",
        "http://127.0.0.1:PORT#a",
        "HTTP://127.0.0.1:PORT/A",
        "http://localhost:PORT/",
        "http://LocalHost:PORT/a",
        "http://@127.0.0.1:PORT/",
        "ftp://127.0.0.1:PORT/",
        "https://127.0.0.1:PORT/",
        "127.0.0.1:PORT",
        "localhost:PORT",
        "http:",
        "http://",
        "http://:PORT/",
        "http://127.0.0.1:65536/",
        "http://127.0.0.1:x/",
        "http://[::1",
        "http://[::g]/",
        "http://%/",
        "http://256.0.0.1:PORT/",
        "http://1.2.3.4.5/",
    ]
    .iter()
    .map(|path| program(&format!("ask GET|{path} & end")))
    .collect()
}

/// Out of URLs that Node repairs, and we send as they stand or refuse.
pub(crate) fn repaired_targets() -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, repaired) in
        [("/?", "/"), ("/a/../b", "/b"), ("/a/./b", "/a/b"), ("/..", "/"), ("/%2e/a", "/a")]
    {
        let sent = |path: &str| format!("GET {path} HTTP/1.1\n{{kept}}\n[kept]");
        let case = program(&format!("ask GET|{path} & end"));
        cases.push(case.sends(rows::URLS, &sent(repaired), &sent(path)));
    }
    const UNESCAPED: &str = "ERR_UNESCAPED_CHARACTERS";
    const INVALID: &str = "ERR_INVALID_URL";
    for (path, repaired, code) in [
        ("/%zz", "/%zz", INVALID),
        ("/%", "/%", INVALID),
        ("/a b", "/a%20b", UNESCAPED),
        ("/{a}", "/%7Ba%7D", UNESCAPED),
        ("/\u{e9}", "/%C3%A9", UNESCAPED),
        ("/\u{20ac}", "/%E2%82%AC", UNESCAPED),
        ("/\\a", "//a", INVALID),
        ("/\"", "/%22", UNESCAPED),
        ("/<a>", "/%3Ca%3E", UNESCAPED),
        ("/`a", "/%60a", UNESCAPED),
        ("/a\tb", "/ab", UNESCAPED),
        ("/a\r\nb", "/ab", UNESCAPED),
        ("http://127.1:PORT/", "/", INVALID),
        ("http://2130706433:PORT/", "/", INVALID),
        ("http://0x7f000001:PORT/", "/", INVALID),
        ("http://0177.0.0.1:PORT/", "/", INVALID),
        ("http:/127.0.0.1:PORT/", "/", INVALID),
        ("http:127.0.0.1:PORT/", "/", INVALID),
        ("http:\\\\127.0.0.1:PORT\\a", "/a", INVALID),
        (" http://127.0.0.1:PORT/ ", "/", UNESCAPED),
        ("http://127.0.0.1:0PORT/", "/", INVALID),
    ] {
        let sent = format!("GET {repaired} HTTP/1.1\n{{kept}}\n[kept]");
        cases.push(program(&format!("ask GET|{path} & end")).sends(rows::URLS, &sent, "").tells(
            rows::URLS,
            "response 200, data ok, end",
            &format!("ask {code}"),
        ));
    }
    cases.extend([
        program("ask GET|http://a b/ & end").tells(
            rows::URLS,
            "ask ERR_INVALID_URL",
            "ask ERR_UNESCAPED_CHARACTERS",
        ),
        // Node 24 is the first to encode it.
        program("ask GET|/a^b & end")
            .sends_one_of(
                rows::URLS,
                &["GET /a^b HTTP/1.1\n{kept}\n[kept]", "GET /a%5Eb HTTP/1.1\n{kept}\n[kept]"],
                "",
            )
            .tells(rows::URLS, "response 200, data ok, end", "ask ERR_UNESCAPED_CHARACTERS"),
        program("ask GET|http://127.0.0.1:0/ & end").tells(
            rows::URLS,
            "req error ECONNREFUSED",
            "ask ERR_INVALID_URL",
        ),
    ]);
    cases
}

/// Options beside the URL.
pub(crate) fn options() -> Vec<Case> {
    let (host, keep) = ("Host: 127.0.0.1:P\n", "Connection: keep-alive\n");
    let unfit = |path: &str, code: &str| {
        program(&format!("ask GET|/|path={path} & end"))
            .sends(rows::PATHS, &format!("GET {path} HTTP/1.1\n{host}{keep}\n[kept]"), "")
            .tells(rows::PATHS, "response 200, data ok, end", &format!("ask {code}"))
    };
    // Node sends them before `Host`.
    let fields =
        |method: &str, words: &str, steps: &str, lines: &str, more: &str, content: &str| {
            program(&format!("ask {method}|/|{words} & {steps}")).sends(
                rows::HOST,
                &format!("{method} / HTTP/1.1\n{lines}{host}{more}{keep}\n{content}[kept]"),
                &format!("{method} / HTTP/1.1\n{host}{lines}{more}{keep}\n{content}[kept]"),
            )
        };
    vec![
        program("ask GET|http://nobody.invalid:1/a|host=127.0.0.1|port=PORT & end"),
        program("ask GET|http://127.0.0.1:1/a|port=PORT & end"),
        program("ask GET|http://nobody.invalid:PORT/|host=localhost & end"),
        program("ask GET|/a|path=/b & end"),
        program("ask GET|/a|path=/b?c & end"),
        program("ask GET|/|path=http://example.com/a & end"),
        program("ask OPTIONS|/|path=* & end"),
        program("ask GET|/|path=/a b & end"),
        program("ask GET|/|path=/a\nb & end"),
        program("ask GET|/|path=/a\0b & end"),
        program("ask GET|/|path=/%zz & end"),
        unfit("/a#b", "ERR_UNESCAPED_CHARACTERS"),
        unfit("/\u{e9}", "ERR_UNESCAPED_CHARACTERS"),
        unfit("*", "ERR_INVALID_ARG_VALUE"),
        unfit("a", "ERR_INVALID_ARG_VALUE"),
        unfit("?a", "ERR_INVALID_ARG_VALUE"),
        program("ask GET|/|auth=a:b & end"),
        program("ask GET|/|userinfo=c:d|auth=a:b & end"),
        program("ask GET|/|auth=a%3a:b & end"),
        program("ask GET|/|auth=a & end").sends(
            rows::COLON,
            &format!("GET / HTTP/1.1\n{host}Authorization: Basic YQ==\n{keep}\n[kept]"),
            &format!("GET / HTTP/1.1\n{host}Authorization: Basic YTo=\n{keep}\n[kept]"),
        ),
        fields("GET", "header=X-A: 1|header=X-B: 2", "end", "X-A: 1\nX-B: 2\n", "", ""),
        fields("GET", "header=X-A: 1|header=X-A: 2", "end", "X-A: 1\nX-A: 2\n", "", ""),
        fields("GET", "header=X-A: 1", "set X-A|2 & set X-B|3 & end", "X-A: 2\n", "X-B: 3\n", ""),
        fields("GET", "header=Cookie: a=1|header=Cookie: b=2", "end", "Cookie: a=1; b=2\n", "", ""),
        fields("POST", "header=Content-Length: 5", "end hello", "Content-Length: 5\n", "", "hello"),
        fields(
            "POST",
            "header=Transfer-Encoding: chunked",
            "end hello",
            "Transfer-Encoding: chunked\n",
            "",
            "5\nhello\n0\n\n",
        ),
        program("ask GET|/|header=Host: example.com & end"),
        program("ask GET|/|header=X-A: 1|header=Host: example.com & end"),
        program("ask GET|/|header=Connection: close & end").sends(
            rows::CLOSE,
            &format!("GET / HTTP/1.1\nConnection: close\n{host}\n[kept]"),
            &format!("GET / HTTP/1.1\n{host}Connection: close\n\n[closed]"),
        ),
        program("ask GET|/|header=Bad Name: 1 & end"),
        program("ask GET|/|header=X-A: a\nb & end"),
        program("ask GET|/|header=X-A: 1 & get X-A & has X-A & remove X-A & end"),
        program("ask GET|/a?b & req-method & req-path & req-host & req-protocol & end"),
        program("ask GET|http://LOCALHOST:PORT/a & req-method & req-path & req-host & end"),
    ]
}

pub(crate) fn methods() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [
        "M-SEARCH",
        "X",
        "A!#$%&'*+-.^_`~1",
        "BAD METHOD",
        "GET/",
        "G\u{e9}T",
        "GET\r\nX: 1",
        "(",
        "LINK",
        "ACL",
        "SOURCE",
    ] {
        cases.push(ask(method, "end"));
    }
    for (method, upper) in
        [("get", "GET"), ("head", "HEAD"), ("delete", "DELETE"), ("Post", "POST"), ("x", "X")]
    {
        let length = match upper {
            "POST" | "X" => "Content-Length: 0\n",
            _ => "",
        };
        let case = ask(method, "end").sends(
            rows::METHODS,
            &format!("{upper} / HTTP/1.1\n{{kept}}{length}\n[kept]"),
            &format!("{method} / HTTP/1.1\n{{kept}}Content-Length: 0\n\n[kept]"),
        );
        cases.push(match method {
            "head" => case.tells(rows::METHODS, "response 200, end", "response 200, data ok, end"),
            _ => case,
        });
    }
    cases.push(ask("", "end").sends(rows::METHODS, "{get}\n[kept]", "").tells(
        rows::METHODS,
        "response 200, data ok, end",
        "ask ERR_INVALID_HTTP_TOKEN",
    ));
    cases
}

/// Out of the URL.
pub(crate) fn credentials() -> Vec<Case> {
    let words = [
        "user:pass",
        "user",
        "user:",
        ":pass",
        ":",
        "u%40x:p%3a",
        "a:b:c",
        "%c3%a9:x",
        "a:b%20c",
        "",
        "a%20:",
    ];
    let mut cases: Vec<Case> = words
        .iter()
        .map(|userinfo| program(&format!("ask GET|/|userinfo={userinfo} & end")))
        .collect();
    // The field counts.
    let own = |word: &str, name: &str| {
        let (line, host) = (format!("{name}: Bearer x\n"), "Host: 127.0.0.1:P\n");
        let end = "Connection: keep-alive\n\n[kept]";
        program(&format!("ask GET|/|{word}|header={name}: Bearer x & end")).sends(
            rows::HOST,
            &format!("GET / HTTP/1.1\n{line}{host}{end}"),
            &format!("GET / HTTP/1.1\n{host}{line}{end}"),
        )
    };
    cases.extend([
        program("ask GET|/|userinfo=a:b & set Authorization|Bearer x & end"),
        program("ask GET|/|userinfo=a:b & set authorization|Bearer x & end"),
        program("ask GET|/|userinfo=a:b & remove Authorization & end"),
        program("ask GET|/|userinfo=a:b & append Authorization|c & end"),
        own("userinfo=a:b", "Authorization"),
        own("auth=a:b", "authorization"),
        program("ask GET|/|auth=a:b & set Authorization|Bearer x & end"),
        program("ask GET|/|userinfo=a:b & get Authorization & has authorization & end"),
        program("ask GET|http://user@host@127.0.0.1:PORT/ & end")
            .sends(
                rows::URLS,
                "GET / HTTP/1.1\nHost: 127.0.0.1:P\nAuthorization: Basic dXNlckBob3N0Og==\nConnection: keep-alive\n\n[kept]",
                "",
            )
            .tells(rows::URLS, "response 200, data ok, end", "ask ERR_INVALID_URL"),
    ]);
    cases
}

pub(crate) fn fields() -> Vec<Case> {
    let host = "GET / HTTP/1.1\nHost: 127.0.0.1:P\n";
    let end = "Connection: keep-alive\n\n[kept]";
    let no_host = |value: &str| {
        get(&format!("set Host|{value} & end"))
            .sends(
                rows::HOST_TWICE,
                &format!("GET / HTTP/1.1\nHost: {value}\n{end}"),
                &format!("{host}{end}"),
            )
            .tells(
                rows::HOST_TWICE,
                "response 200, data ok, end",
                "set ERR_HTTP_INVALID_HEADER_VALUE, response 200, data ok, end",
            )
    };
    vec![
        get("set X-A|1 & set X-B|2 & end"),
        get("set X-A|1 & set X-B|2 & set x-a|3 & end"),
        get("set X-A|1 & append X-A|2 & end"),
        get("append X-A|1 & append x-a|2 & append X-A|3 & end").sends(
            108,
            &format!("{host}X-A: 1\nX-A: 2\nX-A: 3\n{end}"),
            &format!("{host}X-A: 1\nx-a: 2\nX-A: 3\n{end}"),
        ),
        get("set-all X-A|1|2 & end"),
        get("set-all X-A & end"),
        get("set-all X-A|1|2 & append X-A|3 & end"),
        get("set-all X-A|1|2 & set X-A|3 & end"),
        get("set-all Cookie|a=1|b=2 & end"),
        get("set-all cookie|a=1|b=2 & end"),
        get("append Cookie|a=1 & append Cookie|b=2 & end"),
        get("append cookie|a=1 & append Cookie|b=2 & end"),
        get("append Host|a & append Host|b & end")
            .sends(
                rows::HOST_TWICE,
                &format!("{host}Host: a\nHost: b\n{end}"),
                &format!("GET / HTTP/1.1\nHost: a\n{end}"),
            )
            .tells(
                rows::HOST_TWICE,
                "response 200, data ok, end",
                "append ERR_HTTP_INVALID_HEADER_VALUE, response 200, data ok, end",
            ),
        get("set-all Set-Cookie|a=1|b=2 & end"),
        get("set-many X-A=1|X-B=2 & end"),
        get("set X-A|1 & set-many X-A=2|X-B=3 & end"),
        get("set X-A| & end"),
        get("set X-A|  padded  & end"),
        get("set X-A|a\tb & end"),
        get("set X-A|\u{e9}\u{ff} & end").sends(
            70,
            &format!("{host}X-A: \u{e9}\u{ff}\n{end}"),
            &format!("{host}X-A: \u{c3}\u{a9}\u{c3}\u{bf}\n{end}"),
        ),
        get("set X-A|1 & remove X-A & end"),
        get("set X-A|1 & remove x-a & set X-B|2 & end"),
        get("remove X-A & end"),
        get("set X-A|1 & get X-A & get x-a & has X-A & has X-B & get X-B & end"),
        get("set-all X-A|1|2 & get X-A & end"),
        get("append X-A|1 & append X-A|2 & get X-A & end"),
        get("set X-A|1 & set x-b|2 & names & raw-names & end").tells(
            rows::HOST,
            "names host,x-a,x-b, raw-names Host,X-A,x-b, response 200, data ok, end",
            "names x-a,x-b, raw-names X-A,x-b, response 200, data ok, end",
        ),
        get("get Host & has Host & end").tells(
            rows::HOST,
            "get 127.0.0.1:P, has true, response 200, data ok, end",
            "get none, has false, response 200, data ok, end",
        ),
        get("set Host|example.com & get Host & end"),
        get("set host|example.com & end"),
        get("set Host|example.com & remove Host & end"),
        get("remove Host & end"),
        get("remove Host & set X-A|1 & end"),
        no_host(""),
        no_host("a b"),
        no_host("a,b"),
        no_host("a/b"),
        no_host("u@a"),
        no_host("a:b"),
        get("set X-A|1 & set Host|example.com & set X-B|2 & end").sends(
            rows::HOST,
            &format!("GET / HTTP/1.1\nHost: example.com\nX-A: 1\nX-B: 2\n{end}"),
            &format!("GET / HTTP/1.1\nX-A: 1\nHost: example.com\nX-B: 2\n{end}"),
        ),
        get("append Host|b & end").sends(
            rows::HOST_TWICE,
            &format!("{host}Host: b\n{end}"),
            &format!("GET / HTTP/1.1\nHost: b\n{end}"),
        ),
        get("set Date|now & end"),
        get("set User-Agent|x & set Accept|*/* & set Accept-Encoding|gzip & end"),
        get("set TE|trailers & end"),
        get("set constructor|1 & set __proto__|2 & set toString|3 & end"),
        get("set Content-Type|text/plain & get Connection & end"),
        get("sent & end & sent & ended"),
        post("sent & flush & sent & ended & end & sent & ended"),
        post("set Content-Type|text/plain & end hello"),
    ]
}

pub(crate) fn misuse() -> Vec<Case> {
    let answered = "response 200, data ok, end";
    vec![
        get("set Bad Name|1 & end"),
        get("set |1 & end"),
        get("set X-A:|1 & end"),
        get("set X-\u{e9}|1 & end"),
        get("set X-A|a\rb & set X-B|a\nb & set X-C|a\0b & set X-D|\u{7f} & set X-E|\u{1} & end"),
        get("set-all X-A|1|a\rb & has X-A & end"),
        get("append X-A|1 & append X-A|a\nb & append Bad Name|1 & get X-A & end"),
        get("set-many Bad Name=2 & end"),
        get("set X-A|\u{100} & end")
            .sends(
                70,
                "{get}\n[kept]",
                "GET / HTTP/1.1\nHost: 127.0.0.1:P\nX-A: \u{c4}\u{80}\nConnection: keep-alive\n\n[kept]",
            )
            .tells(70, &format!("set ERR_INVALID_CHAR, {answered}"), answered),
        post("flush & set X-A|1 & append X-A|1 & remove X-A & end"),
        post("flush & set-many X-A=1 & end"),
        post("flush & flush & end"),
        post("set X-A|1 & flush & get X-A & has X-A & get X-B & end"),
        post("write hello & set X-A|1 & end"),
        get("end & set X-A|1 & remove X-A"),
        get("end & flush"),
        get("end & end"),
        post("end hello & end & end"),
        post("end hello & end & end more").tells(
            65,
            &format!("req error ERR_STREAM_WRITE_AFTER_END, {answered}"),
            answered,
        ),
        post("end hello & write more").tells(
            65,
            &format!("write false, req error ERR_STREAM_WRITE_AFTER_END, {answered}"),
            &format!("write false, {answered}"),
        ),
        post("end & wait over & write more & end more & flush"),
        post("end & wait over & set X-A|1").tells(
            66,
            &format!("{answered}, set ERR_HTTP_HEADERS_SENT"),
            &format!("{answered}, set ERR_STREAM_DESTROYED"),
        ),
        post("ended & finished & end hello & ended & wait over & ended"),
        post("end hello & wait finish & finished"),
        post("end hello & wait over & finished").tells(
            66,
            &format!("{answered}, finished true"),
            &format!("{answered}, finished false"),
        ),
        post("destroyed & end hello & destroyed & wait over & destroyed"),
        get("corked & cork & corked & cork & corked & uncork & corked & end & corked"),
        post("cork & write hello & end & corked"),
        get("uncork & end"),
        post("write-told he & write-told llo & end-told !"),
        post("end-told hello"),
        post("write-told hello & wait written & end"),
    ]
}
