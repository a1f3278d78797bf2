//! How the content of requests is framed, and the trailers behind it.

use crate::case::{Case, OK, Step, ask, get, post, send, until};

/// What is not announced.
pub(crate) fn by_the_calls() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"] {
        let head = format!("{method} / HTTP/1.1\n{{kept}}");
        let unframed = |steps: &str, node: &str, ours: &str| {
            ask(method, steps).sends(
                17,
                &format!("{head}\n{node}[kept]"),
                &format!("{head}{ours}[kept]"),
            )
        };
        const CHUNKS: &str = "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n";
        const NOTHING: &str = "Transfer-Encoding: chunked\n\n0\n\n";
        cases.extend([
            ask(method, "end"),
            // Whether content follows is not known when the head is sent.
            unframed("flush & end", "", NOTHING),
            unframed("flush & end hello", "hello", CHUNKS),
            unframed("write & end", "", NOTHING),
            unframed("end hello", "hello", "Content-Length: 5\n\nhello"),
            unframed("write hello & end", "hello", CHUNKS),
            ask(method, "set Content-Length|5 & end hello"),
            ask(method, "set Transfer-Encoding|chunked & write hello & end"),
            ask(method, "set Transfer-Encoding|chunked & end"),
            ask(method, "set Content-Length|0 & end"),
        ]);
    }
    for method in ["POST", "PUT", "PATCH", "PROPFIND", "QUERY", "PURGE"] {
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
            "much 100000 & end",
        ] {
            cases.push(ask(method, steps));
        }
    }
    cases.extend(corked());
    cases
}

/// What is written while it is corked is one chunk, with Node only since version 26.
fn corked() -> Vec<Case> {
    const HEAD: &str = "{post}Transfer-Encoding: chunked\n\n";
    const PIECES: &str = "2\nhe\n3\nllo\n0\n\n";
    const WHOLE: &str = "5\nhello\n0\n\n";
    let case = |steps: &str, first: &str, node: &[&str]| {
        let node: Vec<String> = node.iter().map(|text| format!("{HEAD}{first}{text}")).collect();
        let node: Vec<&str> = node.iter().map(String::as_str).collect();
        post(steps).sends_one_of(103, &node, &format!("{HEAD}{first}{WHOLE}[kept]"))
    };
    let (pieces, whole) = (format!("{PIECES}[kept]"), format!("{WHOLE}[kept]"));
    // Node 22 to 25 send what was corked last behind the end.
    let torn = "2\nhe\n0\n\n3\nllo\nGET /probe HTTP/1.1\n{kept}\n[open]";
    vec![
        case("cork & write he & write llo & uncork & end", "", &[&pieces, &whole]),
        case("cork & write he & write llo & end", "", &[&pieces, torn, &whole]),
        case(
            "write-told hi & wait written & cork & write he & write llo & uncork & end",
            "2\nhi\n",
            &[&pieces, &whole],
        ),
    ]
}

/// What the fields say that are set.
pub(crate) fn by_the_fields() -> Vec<Case> {
    const BOTH: &str =
        "Transfer-Encoding: chunked\nConnection: keep-alive\n\n5\nhello\n0\n\n[kept]";
    let host = "POST / HTTP/1.1\nHost: 127.0.0.1:P\n";
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
        post("remove Content-Length & remove Transfer-Encoding & end"),
        post("set Transfer-Encoding|chunked & end hello"),
        post("set Transfer-Encoding|chunked & end"),
        post("set Transfer-Encoding|chunked & write hello & end"),
        post("set transfer-encoding|Chunked & write hello & end"),
        post("set Transfer-Encoding|gzip, chunked & write hello & end"),
        post("set Transfer-Encoding|chunked & set Content-Length|5 & end hello").sends(
            14,
            &format!("{host}Transfer-Encoding: chunked\nContent-Length: 5\nConnection: keep-alive\n\n5\nhello\n0\n\n[kept]"),
            &format!("{host}{BOTH}"),
        ),
        post("set Content-Length|5 & set Transfer-Encoding|chunked & write hello & end").sends(
            14,
            &format!("{host}Content-Length: 5\n{BOTH}"),
            &format!("{host}{BOTH}"),
        ),
        get("remove Content-Length & end"),
        get("remove Transfer-Encoding & end"),
        get("remove Content-Length & remove Transfer-Encoding & end"),
        post("strict & set Content-Length|5 & end hello"),
        post("strict & set Content-Length|5 & write hello & end"),
        post("strict & end hello"),
        post("strict & write hello & end"),
    ]
}

/// What nothing frames, or what does not fit.
pub(crate) fn that_misleads() -> Vec<Case> {
    let host = "POST / HTTP/1.1\nHost: 127.0.0.1:P\n";
    let unframed = |steps: &str, ours: &str| {
        post(steps).on([until("hello"), send(OK), Step::Close]).sends(
            17,
            "{post}\nhello[ended]",
            &format!("{{post}}{ours}[ended]"),
        )
    };
    let refused = |name: &str, value: &str| {
        let steps = format!("set {name}|{value} & end hello");
        post(&steps)
            .on([until("hello"), send(OK)])
            .sends(
                16,
                &format!("{host}{name}: {value}\nConnection: keep-alive\n\nhello[kept]"),
                "{post}Content-Length: 5\n\nhello[kept]",
            )
            .tells(
                16,
                "response 200, data ok, end",
                "set ERR_HTTP_INVALID_HEADER_VALUE, response 200, data ok, end",
            )
    };
    let misfit = |steps: &str, node: &str, ours: &str| {
        let head = format!("{host}Content-Length: 5\nConnection: keep-alive\n\n");
        post(&format!("set Content-Length|5 & {steps}")).on([until("\n\n"), send(OK)]).sends(
            15,
            &format!("{head}{node}"),
            &format!("{head}{ours}"),
        )
    };
    let strict = |steps: &str, theirs: [&str; 2], refused: &str, node: &str, ours: &str| {
        let head = format!("{host}Content-Length: 5\nConnection: keep-alive\n\n");
        const MISMATCH: &str = "ERR_HTTP_CONTENT_LENGTH_MISMATCH";
        let answered = "response 200, data ok, end";
        let [first, second] = theirs;
        post(&format!("set Content-Length|5 & strict & {steps}"))
            .on([until("\n\nhell"), send(OK), Step::Close])
            .sends(105, &format!("{head}{node}[ended]"), &format!("{head}{ours}[ended]"))
            .tells(
                105,
                &format!("{first} {MISMATCH}, {second} {MISMATCH}, {answered}"),
                &format!("{refused} {MISMATCH}, {answered}"),
            )
    };
    vec![
        unframed(
            "remove Transfer-Encoding & write hello & end",
            "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n",
        ),
        unframed(
            "remove Content-Length & remove Transfer-Encoding & end hello",
            "Content-Length: 5\n\nhello",
        ),
        unframed(
            "remove Content-Length & remove Transfer-Encoding & write hello & end",
            "Transfer-Encoding: chunked\n\n5\nhello\n0\n\n",
        ),
        refused("Transfer-Encoding", "gzip"),
        refused("Transfer-Encoding", "identity"),
        refused("Content-Length", "five"),
        refused("Content-Length", "-5"),
        refused("Content-Length", "5, 5"),
        refused("Content-Length", "0x5"),
        misfit("end hello world", "hello world[kept]", "[closed]"),
        misfit("write hello & write world & end", "helloworld[kept]", "hello[kept]"),
        misfit("end hell", "hell[kept]", "hell[closed]"),
        misfit("write hell & end", "hell[kept]", "hell[closed]"),
        strict("end hello world & end hello", ["end", "end"], "end", "hello world", "hello"),
        strict(
            "write hello world & write hello & end",
            ["write", "end"],
            "write",
            "hello world",
            "hello",
        ),
        strict("end hell & end hello", ["end", "end"], "end", "hell", "hello"),
    ]
}

pub(crate) fn trailers() -> Vec<Case> {
    let chunks = "{post}Transfer-Encoding: chunked\n\n5\nhello\n0\n";
    let refused = |name: &str, value: &str| {
        post(&format!("write hello & trailers {name}={value} & end"))
            .sends(50, &format!("{chunks}{name}: {value}\n\n[kept]"), &format!("{chunks}\n[kept]"))
            .tells(
                50,
                "response 200, data ok, end",
                "trailers ERR_HTTP_TRAILER_INVALID, response 200, data ok, end",
            )
    };
    vec![
        post("write hello & trailers X-A=1 & end"),
        post("set Trailer|X-A & write hello & trailers X-A=1 & end"),
        post("set Trailer|X-A & write hello & trailers X-A=1|X-B=2 & end"),
        post("set Trailer|X-A & trailers X-A=1 & end hello"),
        post("set Trailer|X-A & end hello"),
        post("trailers X-A=1 & write hello & end"),
        post("trailers X-A=1 & end hello"),
        post("trailers X-A=1 & end"),
        post("flush & trailers X-A=1 & end"),
        post("set Content-Length|5 & write hello & trailers X-A=1 & end"),
        get("trailers X-A=1 & end"),
        get("set Transfer-Encoding|chunked & trailers X-A=1 & end"),
        post("set Transfer-Encoding|chunked & trailers X-A=1 & end"),
        post("write hello & trailers X-A=1 & trailers X-B=2 & end").sends(
            107,
            &format!("{chunks}X-B: 2\n\n[kept]"),
            &format!("{chunks}X-A: 1\nX-B: 2\n\n[kept]"),
        ),
        post("write hello & trailers X-A=\u{e9} & end").sends(
            70,
            &format!("{chunks}X-A: \u{e9}\n\n[kept]"),
            &format!("{chunks}X-A: \u{c3}\u{a9}\n\n[kept]"),
        ),
        refused("Content-Length", "1"),
        refused("Transfer-Encoding", "chunked"),
        refused("Host", "a"),
        refused("Authorization", "a"),
        post("write hello & trailers Bad Name=1 & end"),
        post("write hello & trailers X-A=a\nb & end"),
        post("end hello & trailers X-A=1").tells(
            65,
            "response 200, data ok, end",
            "trailers ERR_HTTP_HEADERS_SENT, response 200, data ok, end",
        ),
    ]
}
