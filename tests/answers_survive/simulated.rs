//! The same on a simulated network that takes very little at a time, so that every byte of an answer waits in the
//! server while the next request is looked at.

use std::time::Duration;

use onloop::LoopOptions;
use onloop::http::{Server, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions};

use crate::common::{Answer, get};

/// What follows, and the status of the refusal behind the answers, where there must be one.
fn followers() -> Vec<(&'static str, Vec<u8>, Option<u16>)> {
    let begun = get("/begun", "Transfer-Encoding: chunked\r\n") + "1\r\nx\r\nzz\r\n";
    vec![
        ("nothing", Vec::new(), None),
        ("malformed", b"G@T ".into(), Some(400)),
        ("too large", get(&format!("/{}", "x".repeat(9000)), "").into(), Some(414)),
        ("half a request", b"GET / HT".into(), Some(400)),
        (
            "malformed chunks",
            (get("/", "Transfer-Encoding: chunked\r\n") + "zz\r\n").into(),
            Some(400),
        ),
        ("failing", get("/fails", "").into(), Some(500)),
        ("begun and malformed", begun.clone().into(), None),
        ("begun and malformed and more", [begun.into_bytes(), vec![1; 50_000]].concat(), None),
        ("garbage", vec![1; 50_000], Some(400)),
    ]
}

fn play(capacity: usize, length: usize, name: &str, follower: &[u8], refusal: Option<u16>) {
    let context = format!("{name} behind {length} bytes, {capacity} at a time");
    let net =
        SimNet::with_options(1, SimOptions::default().capacity(capacity).reset_discards(true));
    let mut event_loop = net.event_loop(LoopOptions::new().read_buffer(4096));
    let server = Server::new(event_loop.handle(), ServerOptions::new()).expect("a server");
    server.on_request(move |req, res| {
        match req.url() {
            "/fails" => return Err(onloop::Error::other("as it should")),
            "/begun" => {
                res.write("begun");
                req.on_data(|_| {});
            }
            _ => {
                req.body().on_end(move || res.end(vec![b'x'; length]));
                req.resume();
            }
        }
        Ok(())
    });
    server.listen("127.0.0.1:80").expect("a free port");
    let peer = net.connect(&server.address().expect("it listens"));
    let sent = [get("/", "").as_bytes(), get("/", "").as_bytes(), follower].concat();
    let (mut unsent, mut received) = (&sent[..], Vec::new());
    let mut turns = 0;
    let end = net.now() + Duration::from_secs(30);
    while net.now() < end && !peer.is_eof() {
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        assert!(!peer.is_reset(), "{context}: a reset behind {} bytes", received.len());
        unsent = &unsent[peer.write(unsent)..];
        if unsent.is_empty() {
            peer.shutdown_write();
        }
        // It reads less often than the server is driven.
        turns += 1;
        if turns % 3 == 0 {
            received.extend(peer.read());
        }
        if net.stalled() {
            net.advance(Duration::from_millis(1));
        }
    }
    received.extend(peer.read());
    let mut rest = &received[..];
    for _ in 0..2 {
        let found = Answer::parse(rest, false, true);
        let Some((answer, taken)) = found else { panic!("{context}: {} bytes", received.len()) };
        assert_eq!((answer.status, answer.content.len()), (200, length), "{context}");
        rest = &rest[taken..];
    }
    match refusal {
        Some(status) => {
            let (answer, taken) = Answer::parse(rest, false, true).expect("a refusal");
            assert_eq!((answer.status, taken), (status, rest.len()), "{context}");
        }
        None => assert!(!rest.ends_with(b"0\r\n\r\n"), "{context}: no whole answer"),
    }
    server.close();
    let end = net.now() + Duration::from_secs(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        if net.stalled() {
            net.advance(end - net.now());
        }
    }
    let stats = sim::stats(&event_loop);
    assert!(stats.is_empty(), "{context}: {stats:?}");
}

#[test]
fn where_little_goes_out_at_a_time() {
    for (name, follower, refusal) in followers() {
        for capacity in [100, 1000, 20_000] {
            for length in [5, 1500, 30_000] {
                play(capacity, length, name, &follower, refusal);
            }
        }
    }
}
