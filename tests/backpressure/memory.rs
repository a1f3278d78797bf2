//! 50 MB through a pipe, and requests whose answers nobody reads, with a count of what is allocated meanwhile.

use super::*;
use crate::counting::{LIVE, PEAK};

#[test]
fn fifty_megabytes_through_a_proxy_take_no_more_memory_than_one() {
    const LENGTH: usize = 50_000_000;
    const MB: isize = 1_000_000;
    let net = SimNet::with_options(1, SimOptions::default().capacity(64 * 1024));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let lp = event_loop.handle();
    let upstream = http::create_server(lp, |req, res| req.pipe(res));
    upstream.listen("127.0.0.1:8000").unwrap();
    let proxy = http::create_server(lp, move |req, res| {
        let up = http::request(lp, req.method(), "http://127.0.0.1:8000/")?;
        up.on_response(move |response| response.pipe(res));
        req.pipe(up);
        Ok(())
    });
    proxy.listen("127.0.0.1:80").unwrap();

    let client = net.connect(&port(80));
    client.write(format!("POST / HTTP/1.0\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes());
    let block: Vec<u8> = (0..251).cycle().take(251 * 256).collect();
    let (mut sent, mut received, mut head) = (0, 0, Vec::new());
    let before = LIVE.get();
    let mut after_one = 0;
    PEAK.set(before);
    while received < LENGTH {
        while sent < LENGTH {
            let from = sent % block.len();
            let part = &block[from..block.len().min(from + LENGTH - sent)];
            let taken = client.write(part);
            sent += taken;
            if taken < part.len() {
                break;
            }
        }
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        // A slow reader: it lets a part lie.
        let mut bytes = client.read_up_to(50_000);
        if head.is_empty() && !bytes.is_empty() {
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            head = bytes.drain(..end).collect();
        }
        for (place, byte) in (received..).zip(&bytes) {
            assert_eq!(*byte, block[place % block.len()], "at {place}");
        }
        received += bytes.len();
        if received > 1_000_000 && after_one == 0 {
            after_one = PEAK.get() - before;
        }
        assert!(!client.is_reset());
    }
    let peak = PEAK.get() - before;
    assert!(head.starts_with(b"HTTP/1.1 200"));
    assert!(peak < 4 * MB, "{peak} bytes at the most");
    assert!(peak < after_one + MB, "it grew from {after_one} to {peak}");
}

#[test]
fn ten_thousand_pipelined_requests_with_unread_answers_take_next_to_no_memory() {
    const REQUESTS: usize = 10_000;
    const ANSWER: &[u8] = b"an answer of some length";
    let requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
    let net = SimNet::with_options(1, SimOptions::default().capacity(CAPACITY));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(ANSWER));
    server.listen("127.0.0.1:80").unwrap();
    let peer = net.connect(&port(80));
    let before = LIVE.get();
    PEAK.set(before);
    let mut sent = 0;
    let mut turn_and_send = || {
        sent += peer.write(&requests[sent..]);
        event_loop.turn(Some(Duration::from_millis(1))).unwrap();
        sent
    };
    let unread = (0..1000).map(|_| turn_and_send()).max();
    let peak = PEAK.get() - before;
    assert!(unread.is_some_and(|sent| sent < requests.len()), "all requests were taken");
    assert!(peak < 300_000, "{peak} bytes at the most");

    let mut answers = Vec::new();
    while !answers.ends_with(ANSWER) || turn_and_send() < requests.len() || peer.available() > 0 {
        turn_and_send();
        answers.extend(peer.read());
        assert!(net.now() < Duration::from_secs(30), "{} bytes of answers", answers.len());
    }
    let count = answers.windows(ANSWER.len()).filter(|window| *window == ANSWER).count();
    assert_eq!(count, REQUESTS);
}
