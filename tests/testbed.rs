//! Every endpoint of `examples/testbed.rs` does what those who test by it count on.

mod program;

use program::Program;

fn testbed() -> Program {
    Program::start("testbed", &["0"])
}

const TEXT: Option<&str> = Some("text/plain");
const ALLOW: Option<&str> = Some("GET, HEAD, POST, OPTIONS");

#[test]
fn fixed_answers() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for (target, body) in [
        ("/plaintext", "Hello, World!"),
        ("/plaintext?query", "Hello, World!"),
        ("/json", "{\"message\":\"Hello, World!\"}"),
        ("/slow/1", "slow"),
        ("/", "OK"),
        ("/any/other/path", "OK"),
        ("/stream/x", "OK"),
        ("http://elsewhere/plaintext", "Hello, World!"),
        ("http://elsewhere", "OK"),
        ("/?url=http://elsewhere/plaintext", "OK"),
    ] {
        let answer = wire.ask(&format!("GET {target}"));
        assert_eq!((answer.status, answer.text()), (200, body), "{target}");
        assert_eq!(answer.field("content-type"), TEXT, "{target}");
        let length = body.len().to_string();
        assert_eq!(
            answer.field("content-length"),
            Some(length.as_str()),
            "{target}"
        );
        let head = wire.ask(&format!("HEAD {target}"));
        assert_eq!(head.status, 200, "{target}");
        assert_eq!(
            head.field("content-length"),
            Some(length.as_str()),
            "{target}"
        );
    }
}

#[test]
fn methods_that_are_not_served() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for target in ["/", "*", "/plaintext", "/echo"] {
        let answer = wire.ask(&format!("OPTIONS {target}"));
        assert_eq!(
            (answer.status, answer.field("allow")),
            (204, ALLOW),
            "{target}"
        );
        assert_eq!(answer.field("content-length"), None);
        assert_eq!(answer.field("transfer-encoding"), None);
    }
    for target in ["/", "/plaintext"] {
        let answer = wire.ask(&format!("DELETE {target}"));
        assert_eq!(
            (answer.status, answer.field("allow")),
            (405, ALLOW),
            "{target}"
        );
    }
    wire.send("CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\nnot HTTP");
    let answer = wire.answer(false);
    assert_eq!((answer.status, answer.field("allow")), (405, ALLOW));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(wire.rest(), b"");
}

#[test]
fn statuses_without_content() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for (line, status) in [("GET /204", 204), ("GET /304", 304), ("POST /204", 204)] {
        let answer = wire.ask(line);
        assert_eq!(answer.status, status);
        for name in ["content-type", "content-length", "transfer-encoding"] {
            assert_eq!(answer.field(name), None, "{line}");
        }
    }
}

#[test]
fn what_was_received_is_told() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for method in ["GET", "POST"] {
        let answer = wire.ask_with(
            &format!("{method} /echo"),
            "X-A: 1\r\nx-a:  2 \r\nB:\r\n",
            "",
        );
        assert_eq!(answer.text(), "Host: test\nX-A: 1\nx-a: 2\nB: \n");
        assert_eq!(answer.field("content-type"), TEXT);
    }
    let head = wire.ask("HEAD /echo");
    assert_eq!(
        (head.status, head.field("content-length")),
        (200, Some("11"))
    );

    let fields = "Cookie: a=1;  b=2=3;;c;=d; e=\r\nCookie: f=6\r\n";
    for method in ["GET", "POST"] {
        let answer = wire.ask_with(&format!("{method} /cookie"), fields, "");
        assert_eq!(answer.text(), "a=1\nb=2=3\ne=\nf=6\n");
    }

    wire.send("POST /trailers HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("3\r\nabc\r\n0\r\nX-Sum: 6\r\nx-sum: 7\r\n\r\n");
    assert_eq!(wire.answer(false).text(), "X-Sum: 6\nx-sum: 7\n");
}

#[test]
fn content_comes_back_whole() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for line in [
        "POST /body",
        "POST /",
        "PUT /plaintext",
        "PATCH /204x",
        "QUERY /body",
    ] {
        let answer = wire.ask_with(line, "", "some content");
        assert_eq!(
            (answer.status, answer.text()),
            (200, "some content"),
            "{line}"
        );
        assert_eq!(answer.field("content-type"), TEXT);
        assert_eq!(answer.field("content-length"), Some("12"));
    }
    wire.send("POST /body HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("5\r\nsome \r\n7\r\ncontent\r\n0\r\n\r\n");
    let answer = wire.answer(false);
    assert_eq!(
        (answer.text(), answer.field("content-length")),
        ("some content", Some("12"))
    );
}

#[test]
fn content_is_piped_back_as_it_comes() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    assert_eq!(
        wire.ask_with("POST /pipe", "", "all at once").text(),
        "all at once"
    );

    wire.send("POST /pipe HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");
    let head = wire.head();
    assert_eq!(head.field("content-type"), TEXT);
    assert_eq!(head.field("transfer-encoding"), Some("chunked"));
    assert_eq!(wire.chunk(), b"first");
    wire.send("later");
    assert_eq!(wire.chunk(), b"later");
    assert_eq!(wire.chunk(), b"");
    assert_eq!(wire.line(), "");

    // More than all buffers on the way hold: it flows only if nobody waits for the other for ever.
    let size = 32 * 1024 * 1024;
    let content: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
    let mut other = wire.second();
    let sent = content.clone();
    let sender = std::thread::spawn(move || {
        other.send(format!(
            "POST /pipe HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n"
        ));
        other.send(sent);
    });
    assert!(wire.answer(false).body == content, "it came back changed");
    sender.join().expect("all was sent");
}

#[test]
fn long_bodies_are_streamed() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    for size in [0, 1, 16 * 1024, 20_000_000] {
        let answer = wire.ask(&format!("GET /stream/{size}"));
        assert_eq!((answer.status, answer.body.len()), (200, size));
        assert_eq!(answer.field("content-type"), TEXT);
        if size > 0 {
            assert_eq!(answer.field("content-length"), None);
        }
        let answer = wire.ask(&format!("GET /bytes/{size}"));
        assert_eq!((answer.status, answer.body.len()), (200, size));
        assert_eq!(
            answer.field("content-length"),
            Some(size.to_string().as_str())
        );
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }
    assert_eq!(wire.ask("HEAD /stream/18446744073709551615").status, 200);
    let head = wire.ask("HEAD /bytes/18446744073709551615");
    assert_eq!(head.field("content-length"), Some("18446744073709551615"));

    wire.send("GET /stream/100000 HTTP/1.0\r\n\r\n");
    let answer = wire.answer(false);
    assert_eq!(
        (
            answer.field("transfer-encoding"),
            answer.field("content-length")
        ),
        (None, None)
    );
    assert_eq!(answer.body.len(), 100_000);
}

#[test]
fn an_injected_field_is_set_or_refused() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    let answer = wire.ask("GET /inject?v=a%20%C3%a9!");
    assert_eq!(
        (answer.status, answer.field("x-inject")),
        (200, Some("a \u{c3}\u{a9}!"))
    );
    let answer = wire.ask("GET /inject?v=a%01b");
    assert_eq!((answer.status, answer.field("x-inject")), (500, None));
    for value in ["a%0d%0aX-Evil:%201", "a%0aX-Evil:%201", "a%00"] {
        let answer = wire.ask(&format!("GET /inject?v={value}"));
        assert_eq!((answer.status, answer.field("x-evil")), (500, None), "{value}");
        assert_eq!(answer.field("x-inject"), None, "{value}");
    }
}

#[test]
fn an_upgraded_connection_echoes_bytes() {
    let testbed = testbed();
    let mut wire = testbed.connect();
    let answer = wire.ask_with(
        "GET /upgrade",
        "Connection: upgrade\r\nUpgrade: other\r\n",
        "",
    );
    assert_eq!((answer.status, answer.text()), (200, "OK"));
    let answer = wire.ask_with("GET /", "Connection: upgrade\r\nUpgrade: raw-echo\r\n", "");
    assert_eq!((answer.status, answer.text()), (200, "OK"));
    wire.send("GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: raw-echo\r\n\r\nearly");
    let answer = wire.head();
    assert_eq!(
        (answer.status, answer.field("upgrade")),
        (101, Some("raw-echo"))
    );
    assert_eq!(answer.field("connection"), Some("upgrade"));
    assert_eq!(wire.bytes(5), b"early");
    wire.send("GET / HTTP/1.1\r\n\0");
    assert_eq!(wire.bytes(17), b"GET / HTTP/1.1\r\n\0");
    wire.end();
    assert_eq!(wire.rest(), b"");
}

#[test]
fn an_idle_connection_is_closed_after_the_time_that_was_asked_for() {
    let testbed = Program::start("testbed", &["0", "--idle", "1"]);
    let mut wire = testbed.connect();
    assert_eq!(wire.ask("GET /").field("keep-alive"), Some("timeout=1"));
    assert_eq!(wire.rest(), b"");
}

#[test]
fn a_signal_lets_exchanges_end_and_then_the_program() {
    for signal in ["TERM", "INT"] {
        let mut testbed = testbed();
        let (mut idle, mut busy) = (testbed.connect(), testbed.connect());
        assert_eq!(idle.ask("GET /").status, 200);
        busy.send("POST /pipe HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");
        assert_eq!(busy.head().status, 200);
        assert_eq!(busy.chunk(), b"first");
        testbed.signal(signal);
        // The idle connection is closed at once, and by that we know that the signal was taken.
        assert_eq!(idle.rest(), b"");
        busy.send("later");
        assert_eq!(busy.chunk(), b"later");
        assert_eq!(busy.rest(), b"0\r\n\r\n");
        assert_eq!(testbed.wait().code(), Some(0));
    }
}
