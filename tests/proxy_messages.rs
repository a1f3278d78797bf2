//! `examples/proxy.rs` between a client and an upstream that are both plain sockets: which messages it passes
//! on, and how.

mod program;

use std::io::{ErrorKind, Write};

use program::rig::{Rig, head_of};
use program::{Answer, Wire};

fn names(answer: &Answer) -> Vec<&str> {
    answer.fields.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn fields_of_one_connection_are_not_passed_on() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send(
        "GET /path?query HTTP/1.1\r\nHost: example.test\r\nConnection: x-one, X-Two\r\nConnection: x-three\r\n\
         X-One: 1\r\nx-two: 2\r\nX-Three: 3\r\nKeep-Alive: timeout=9\r\nTE: trailers\r\n\
         Upgrade: other\r\nProxy-Connection: keep-alive\r\nX-Kept: a\r\nx-kept: b\r\n\
         X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n\r\n",
    );
    let mut upstream = rig.accept();
    let mut head = head_of(&mut upstream);
    assert_eq!(head.remove(0), "GET /path?query HTTP/1.1");
    head.retain(|line| line != "Connection: keep-alive");
    let expected = [
        "Host: example.test",
        "X-Kept: a",
        "x-kept: b",
        "Via: 1.1 onloop",
        "X-Forwarded-For: 127.0.0.1",
    ];
    assert_eq!(head, expected);
    upstream.send(
        "HTTP/1.1 299 Whatever\r\nConnection: x-one\r\nX-One: 1\r\nKeep-Alive: timeout=9\r\n\
         Content-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nok",
    );
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (299, "ok"));
    assert_eq!(answer.field("keep-alive"), Some("timeout=65"));
    let mut names = names(&answer);
    names.sort_unstable();
    let expected =
        ["connection", "content-length", "date", "keep-alive", "set-cookie", "set-cookie"];
    assert_eq!(names, expected);
}

#[test]
fn targets_go_upstream_as_they_came() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    let mut upstream = None;
    for (target, expected) in [
        ("/", "/"),
        ("/a%2Fb/../c?d=[e]&f=/?://", "/a%2Fb/../c?d=[e]&f=/?://"),
        ("http://example.test/a?b", "/a?b"),
        ("http://example.test", "/"),
    ] {
        // Beside a target that names the host this one does not count.
        let host = if target.starts_with('/') { "example.test" } else { "elsewhere.test" };
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let upstream = upstream.get_or_insert_with(|| rig.accept());
        let head = head_of(upstream);
        assert_eq!(head[0], format!("GET {expected} HTTP/1.1"));
        assert!(head.contains(&"Host: example.test".to_string()), "{head:?}");
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client.answer(false).status, 204);
    }
}

#[test]
fn one_upstream_connection_serves_many_requests() {
    let rig = Rig::new();
    let mut upstream = None;
    for number in 0..5 {
        // Each from a client of its own.
        let mut client = rig.proxy.connect();
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let upstream = upstream.get_or_insert_with(|| rig.accept());
        assert_eq!(head_of(upstream)[0], format!("GET /{number} HTTP/1.1"));
        upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}"));
        assert_eq!(client.answer(false).text(), number.to_string());
    }
}

#[test]
fn heads_do_not_wait_for_content() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
    let mut upstream = rig.accept();
    assert!(head_of(&mut upstream).contains(&"Content-Length: 4".to_string()));
    client.send("done");
    assert_eq!(upstream.bytes(4), b"done");
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.head().field("transfer-encoding"), Some("chunked"));
    upstream.send("0\r\n\r\n");
    assert_eq!((client.chunk(), client.line()), (Vec::new(), String::new()));
}

#[test]
fn content_keeps_its_framing_in_both_directions() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = rig.accept();
    let head = head_of(&mut upstream);
    assert!(head.contains(&"Content-Length: 10".to_string()), "{head:?}");
    assert!(!head.iter().any(|line| line.starts_with("Transfer-Encoding")), "{head:?}");
    assert_eq!(upstream.bytes(5), b"first");
    client.send("later");
    assert_eq!(upstream.bytes(5), b"later");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
    assert_eq!(client.head().field("content-length"), Some("10"));
    assert_eq!(client.bytes(5), b"first");
    upstream.send("later");
    assert_eq!(client.bytes(5), b"later");

    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    let head = head_of(&mut upstream);
    assert!(head.contains(&"Transfer-Encoding: chunked".to_string()), "{head:?}");
    assert!(!head.iter().any(|line| line.starts_with("Content-Length")), "{head:?}");
    assert_eq!(upstream.chunk(), b"first");
    client.send("5\r\nlater\r\n0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(upstream.chunk(), b"later");
    assert_eq!(upstream.chunk(), b"");
    assert_eq!((upstream.line(), upstream.line()), ("X-Sum: 1".to_string(), String::new()));
    upstream.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
    let head = client.head();
    assert_eq!(
        (head.field("transfer-encoding"), head.field("content-length")),
        (Some("chunked"), None)
    );
    assert_eq!(client.chunk(), b"first");
    upstream.send("0\r\nX-Sum: 2\r\n\r\n");
    assert_eq!(client.chunk(), b"");
    assert_eq!((client.line(), client.line()), ("X-Sum: 2".to_string(), String::new()));

    // Without content there is no framing to invent, but a POST says that there is none.
    for (method, framing) in [("GET", None), ("DELETE", None), ("POST", Some("Content-Length: 0"))]
    {
        client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        let head = head_of(&mut upstream);
        let found =
            head.iter().find(|line| line.starts_with("Content-Length") || line.starts_with("Tr"));
        assert_eq!(found.map(String::as_str), framing, "{head:?}");
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client.answer(false).status, 204);
    }
}

#[test]
fn responses_without_content_may_tell_its_length() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    let mut upstream = None;
    for (method, status) in [("HEAD", 200), ("GET", 304)] {
        client.send(format!("{method} / HTTP/1.1\r\nHost: h\r\n\r\n"));
        let upstream = upstream.get_or_insert_with(|| rig.accept());
        head_of(upstream);
        upstream.send(format!("HTTP/1.1 {status} Fine\r\nContent-Length: 1234\r\n\r\n"));
        let answer = client.answer(true);
        assert_eq!((answer.status, answer.field("content-length")), (status, Some("1234")));
        assert_eq!(answer.field("connection"), Some("keep-alive"));
    }
}

#[test]
fn a_content_that_ends_with_the_upstream_connection_is_passed_on() {
    let rig = Rig::new();
    for (version, framing) in [("1.1", Some("chunked")), ("1.0", None)] {
        let mut client = rig.proxy.connect();
        client.send(format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
        let mut upstream = rig.accept();
        let head = head_of(&mut upstream);
        assert!(head.contains(&format!("Via: {version} onloop")), "{head:?}");
        upstream.send("HTTP/1.0 200 OK\r\n\r\nuntil the end");
        drop(upstream);
        let answer = client.answer(false);
        assert_eq!(answer.field("transfer-encoding"), framing);
        assert_eq!(answer.text(), "until the end");
    }
}

#[test]
fn early_hints_are_passed_on() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let hints = client.head();
    assert_eq!((hints.status, hints.field("link")), (103, Some("</a>")));
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer(false).status, 200);
}

#[test]
fn an_upstream_that_fails_is_a_bad_gateway() {
    let rig = Rig::new();
    for (bytes, reason) in [
        ("", "the upstream closed the connection"),
        ("HTTP/1.1 200 OK\n\n", "the upstream's answer makes no sense"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "the upstream's answer makes no sense",
        ),
    ] {
        let mut client = rig.proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut upstream = rig.accept();
        head_of(&mut upstream);
        upstream.send(bytes);
        drop(upstream);
        let answer = client.answer(false);
        assert_eq!((answer.status, answer.text()), (502, reason), "{bytes:?}");
    }
    let Rig { proxy, upstream } = rig;
    drop(upstream);
    let mut client = proxy.connect();
    // More content than anybody waits for, and the connection goes on after it.
    assert_eq!(client.ask_with("POST /", "", &"x".repeat(100_000)).status, 502);
    let answer = client.ask("GET /");
    assert_eq!((answer.status, answer.text()), (502, "the upstream refuses connections"));
}

#[test]
fn a_response_that_is_cut_off_stays_cut_off() {
    let rig = Rig::new();
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = rig.proxy.connect();
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        let mut upstream = rig.accept();
        head_of(&mut upstream);
        upstream.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nab"));
        assert_eq!(client.head().status, 200);
        drop(upstream);
        let rest = String::from_utf8(client.rest_or_reset()).expect("it is text");
        assert!(!rest.contains("0\r\n\r\n") && rest.len() < 10, "{framing}: {rest:?}");
    }
}

#[test]
fn a_client_that_leaves_takes_the_upstream_request_along() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    assert_eq!(upstream.bytes(5), b"first");
    drop(client);
    assert_eq!(upstream.rest_or_reset(), b"");
}

#[test]
fn a_client_that_resets_is_not_waited_for_by_the_upstream() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    client.reset();
    assert_eq!(upstream.rest_or_reset(), b"");
}

#[test]
fn a_client_that_stops_reading_for_good_ends_the_upstream_response() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (mut upstream, _) = rig.upstream.accept().expect("the proxy connects");
    let mut head = Wire::over(upstream.try_clone().expect("a descriptor is left"));
    head_of(&mut head);
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
    upstream.write_all(head).expect("it is connected");
    assert_eq!(client.head().status, 200);
    drop(client);
    let block = [b'x'; 64 * 1024];
    let error = loop {
        if let Err(error) = upstream.write(&block) {
            break error;
        }
    };
    let expected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(expected.contains(&error.kind()), "{error}");
}

#[test]
fn a_signal_ends_it() {
    let mut rig = Rig::new();
    let (mut idle, mut busy) = (rig.proxy.connect(), rig.proxy.connect());
    busy.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    rig.proxy.signal("TERM");
    assert_eq!(idle.rest(), b"");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let answer = busy.answer(false);
    assert_eq!((answer.text(), answer.field("connection")), ("ok", Some("close")));
    drop(busy);
    assert_eq!(rig.proxy.wait().code(), Some(0));
}
