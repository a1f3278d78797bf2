//! `examples/proxy.rs` where an exchange is more than a request and a response: upgrades, expectations, answers
//! that come early or never, clients that leave.

mod program;

use std::net::TcpListener;

use program::rig::{Rig, head_of};
use program::{Program, Wire};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: chat\r\nX-Kept: 1\r\n";

fn asks_for(protocol: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, X-One\r\nX-One: 1\r\nUpgrade: {protocol}\r\n\
         Sec-WebSocket-Key: k\r\n\r\n"
    )
}

/// A client and an upstream between which bytes pass.
fn switched(rig: &Rig) -> (Wire, Wire) {
    let mut client = rig.proxy.connect();
    client.send(asks_for("chat") + "early");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    upstream.send(format!("{SWITCHED}\r\nhello"));
    assert_eq!(upstream.bytes(5), b"early");
    assert_eq!(client.head().status, 101);
    assert_eq!(client.bytes(5), b"hello");
    (client, upstream)
}

#[test]
fn an_upgrade_is_passed_on_and_then_bytes_both_ways() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send(asks_for("chat"));
    let mut upstream = rig.accept();
    let head = head_of(&mut upstream);
    assert_eq!(head[0], "GET /chat HTTP/1.1");
    for field in ["Connection: Upgrade", "Upgrade: chat", "Sec-WebSocket-Key: k", "Via: 1.1 onloop"]
    {
        assert!(head.contains(&field.to_string()), "{field}: {head:?}");
    }
    assert!(!head.iter().any(|line| line.starts_with("X-One")), "{head:?}");
    upstream.send(format!("{SWITCHED}\r\n"));
    let answer = client.head();
    assert_eq!((answer.status, answer.field("x-kept")), (101, Some("1")));
    assert_eq!(answer.field("connection"), Some("Upgrade"));
    assert_eq!(answer.field("upgrade"), Some("chat"));
    assert_eq!(answer.fields.len(), 3, "{answer:?}");
    let bytes: Vec<u8> = (0..300_000).map(|place| (place % 251) as u8).collect();
    let (from_client, from_upstream) = (client.second(), upstream.second());
    for (mut sender, to) in [(from_client, &mut upstream), (from_upstream, &mut client)] {
        let sent = bytes.clone();
        let sending = std::thread::spawn(move || sender.send(sent));
        assert!(to.bytes(bytes.len()) == bytes);
        sending.join().expect("all is sent");
    }
}

#[test]
fn an_upgraded_connection_ends_on_one_side_and_then_on_the_other() {
    let rig = Rig::new();
    let (mut client, mut upstream) = switched(&rig);
    client.end();
    assert_eq!(upstream.rest(), b"");
    upstream.send("the last word");
    drop(upstream);
    assert_eq!(client.rest(), b"the last word");
    let (mut client, mut upstream) = switched(&rig);
    upstream.end();
    assert_eq!(client.rest(), b"");
    client.send("the last word");
    drop(client);
    assert_eq!(upstream.rest(), b"the last word");
}

#[test]
fn an_upgraded_connection_that_breaks_takes_the_other_one_along() {
    let rig = Rig::new();
    let (client, mut upstream) = switched(&rig);
    client.reset();
    assert_eq!(upstream.rest_or_reset(), b"");
    let (mut client, upstream) = switched(&rig);
    upstream.reset();
    assert_eq!(client.rest_or_reset(), b"");
    // A client that leaves before the answer.
    let mut client = rig.proxy.connect();
    client.send(asks_for("chat"));
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    client.reset();
    assert_eq!(upstream.rest_or_reset(), b"");
}

#[test]
fn an_upgrade_that_is_refused_is_an_answer_and_the_end() {
    let rig = Rig::new();
    for (framing, content) in [
        ("Content-Length: 2\r\n\r\nno", "no"),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "no"),
        ("Content-Length: 0\r\n\r\n", ""),
    ] {
        let mut client = rig.proxy.connect();
        client.send(asks_for("chat"));
        let mut upstream = rig.accept();
        head_of(&mut upstream);
        upstream.send(format!("HTTP/1.1 403 Forbidden\r\nX-Kept: 1\r\n{framing}"));
        let mut answer = client.head();
        assert_eq!((answer.status, answer.field("x-kept")), (403, Some("1")));
        assert_eq!(answer.field("connection"), Some("close"));
        assert_eq!(answer.field("transfer-encoding"), None);
        answer.body = client.rest();
        assert_eq!(answer.text(), content);
    }
    let mut client = rig.proxy.connect();
    client.send(asks_for("chat"));
    drop(rig.accept());
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (502, "the upstream closed the connection"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn http2_is_not_asked_for() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    for (number, protocol) in ["h2c", "chat, H2C"].into_iter().enumerate() {
        client.send(asks_for(protocol));
        // The connection to the upstream is the same.
        let mut upstream = rig.accept();
        let head = head_of(&mut upstream);
        assert!(!head.iter().any(|line| line.contains("Upgrade")), "{head:?}");
        upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1");
        assert_eq!(client.answer(false).text(), "1", "{number}");
    }
}

#[test]
fn the_upstream_decides_whether_a_client_goes_on() {
    const HEAD: &str =
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send(HEAD);
    let mut upstream = rig.accept();
    let head = head_of(&mut upstream);
    assert!(head.contains(&"Expect: 100-continue".to_string()), "{head:?}");
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(upstream.bytes(4), b"body");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.answer(false).text(), "ok");

    // It does not want the content: the client is told that first.
    client.send(HEAD);
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (413, "no"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(upstream.rest_or_reset(), b"");

    // It does not know of such things: the content is asked for after a while.
    let mut client = rig.proxy.connect();
    client.send(HEAD);
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    assert_eq!(client.head().status, 100);
    client.send("body");
    assert_eq!(upstream.bytes(4), b"body");
}

#[test]
fn informational_responses_are_passed_on_without_what_is_of_one_connection() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    upstream.send("HTTP/1.1 102 Processing\r\nConnection: x-one\r\nX-One: 1\r\nX-Kept: 1\r\n\r\n");
    upstream.send("HTTP/1.1 103 Early Hints\r\nX-Kept: 2\r\n\r\n");
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n");
    for (status, kept) in [(102, "1"), (103, "2")] {
        let head = client.head();
        assert_eq!((head.status, head.field("x-kept"), head.fields.len()), (status, Some(kept), 1));
    }
    assert_eq!(client.answer(false).status, 204);
}

/// A proxy whose patience with upstreams is short.
fn impatient() -> Rig {
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = upstream.local_addr().expect("it is bound").to_string();
    let mut command = program::command("proxy");
    command.args(["0", &address]).env("UPSTREAM_TIMEOUT", "0.2");
    Rig { proxy: Program::spawn(&mut command), upstream }
}

#[test]
fn an_upstream_that_does_not_answer_is_given_up() {
    let rig = impatient();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (504, "the upstream does not answer"));
    assert_eq!(upstream.rest_or_reset(), b"");

    client.send(asks_for("chat"));
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (504, "the upstream does not answer"));
    assert_eq!(upstream.rest_or_reset(), b"");
}

#[test]
fn an_upstream_that_falls_silent_breaks_the_response_off() {
    let rig = impatient();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    assert_eq!(client.head().status, 200);
    assert_eq!(client.rest_or_reset(), b"half");
    assert_eq!(upstream.rest_or_reset(), b"");
}

#[test]
fn a_client_that_ends_its_side_has_left() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    client.end();
    assert_eq!(upstream.rest_or_reset(), b"");
}
