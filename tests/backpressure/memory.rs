//! 50 MB through a pipe, with a count of what is allocated meanwhile.

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
