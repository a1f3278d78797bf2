//! `pipe` under pressure from the far end.

use super::*;

/// The default mark, a piece of what was read, and the framing of both.
const PIPED_MAX: usize = 64 * 1024 + READ_BUFFER + 100;

/// Sends a chunked request whose content goes on for ever, as far as it is taken.
fn pour(peer: &SimPeer, sent: &mut usize) {
    if *sent == 0 {
        *sent += peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    // Chunks of 1,000 bytes; a part of one that was taken is completed first.
    const HEAD: usize = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".len();
    let chunk = [b"3e8\r\n".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
    loop {
        let rest = &chunk[(*sent - HEAD) % chunk.len()..];
        let taken = peer.write(rest);
        *sent += taken;
        if taken < rest.len() {
            return;
        }
    }
}

#[test]
fn an_echo_holds_no_more_than_the_mark_and_a_chunk() {
    let mut bench = Bench::new();
    let response: Shared<Response> = Rc::default();
    let handle = response.clone();
    bench.serve(ServerOptions::new(), move |req, res| {
        handle.set(Some(res));
        req.pipe(res);
    });
    let peer = bench.connect();
    let (mut sent, mut read, mut longest) = (0, 0, 0);
    for turn in 0..3000 {
        pour(&peer, &mut sent);
        bench.turn();
        let held = response.get().map_or(0, |res| res.writable_length());
        longest = longest.max(held);
        assert!(held <= PIPED_MAX, "turn {turn}: {held} bytes wait");
        if turn == 1000 {
            // Nobody has read: it stands still.
            assert!(
                sent <= PIPED_MAX + 2 * CAPACITY + 3 * READ_BUFFER,
                "{sent} bytes were taken"
            );
            assert!(held >= 64 * 1024, "it should have reached the mark: {held}");
        }
        if turn > 1000 {
            read += peer.read_up_to(3000).len();
        }
    }
    assert!(read > 1_000_000, "it went on when somebody read: {read}");
}

#[test]
fn a_proxy_holds_no_more_than_the_mark_and_a_chunk_in_each_direction() {
    let mut bench = Bench::new();
    let lp = bench.event_loop.handle();
    let upstream = bench.net.listen(&port(8000)).unwrap();
    let handles: Shared<(Response, http::ClientRequest)> = Rc::default();
    let both = handles.clone();
    bench.serve(ServerOptions::new(), move |req, res| {
        let up = http::request(lp, req.method(), "http://127.0.0.1:8000/")?;
        both.set(Some((res, up)));
        up.on_response(move |response| response.pipe(res));
        req.pipe(up);
        Ok(())
    });
    let client = bench.connect();
    let (mut sent, mut answered) = (0, 0);
    let mut server: Option<SimPeer> = None;
    for turn in 0..4000 {
        pour(&client, &mut sent);
        bench.turn();
        server = server.take().or_else(|| upstream.accept());
        let Some((res, up)) = handles.get() else {
            continue;
        };
        assert!(
            up.writable_length() <= PIPED_MAX,
            "turn {turn}: up {}",
            up.writable_length()
        );
        assert!(
            res.writable_length() <= PIPED_MAX,
            "turn {turn}: down {}",
            res.writable_length()
        );
        let Some(server) = &server else { continue };
        // First neither end reads, then the server answers without end, at last both read.
        if turn == 1000 {
            server.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            assert!(
                up.writable_length() >= 64 * 1024,
                "{}",
                up.writable_length()
            );
        }
        if turn > 1000 {
            answered += server.write(&[b'y'; 5000]);
        }
        if turn == 2000 {
            assert!(
                res.writable_length() >= 64 * 1024,
                "{}",
                res.writable_length()
            );
            assert!(
                answered <= PIPED_MAX + 2 * CAPACITY + 2 * READ_BUFFER,
                "{answered}"
            );
        }
        if turn > 2000 {
            server.read_up_to(3000);
            client.read_up_to(3000);
        }
    }
    assert!(
        sent > 1_000_000 && answered > 1_000_000,
        "both went on: {sent} {answered}"
    );
}

#[test]
fn a_pipe_whose_target_goes_away_lets_the_source_end() {
    let mut bench = Bench::new();
    let lp = bench.event_loop.handle();
    let upstream = bench.net.listen(&port(8000)).unwrap();
    bench.serve(ServerOptions::new(), move |req, res| {
        let up = http::request(lp, "POST", "http://127.0.0.1:8000/")?;
        up.on_error(move |_| res.end("bad gateway"));
        req.pipe(up);
        Ok(())
    });
    let client = bench.connect();
    let mut sent = 0;
    let mut answer = Vec::new();
    for _ in 0..200 {
        pour(&client, &mut sent);
        bench.turn();
        if let Some(server) = upstream.accept() {
            server.reset();
        }
        answer.extend(client.read());
    }
    assert!(
        answer.ends_with(b"bad gateway"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[test]
fn the_later_of_two_pipes_wins() {
    let mut bench = Bench::new();
    let first: Shared<Response> = Rc::default();
    bench.serve(ServerOptions::new(), move |req, res| match first.take() {
        None => first.set(Some(res)),
        Some(former) => {
            // Into the other connection's response, then into its own.
            req.pipe(former);
            req.pipe(res);
            former.end("former");
        }
    });
    let (one, two) = (bench.connect(), bench.connect());
    get(&one);
    bench.settle();
    two.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\ncontent");
    bench.settle();
    assert!(one.read().ends_with(b"former"));
    let answer = String::from_utf8(two.read()).unwrap();
    assert!(
        answer.ends_with("\r\n7\r\ncontent\r\n0\r\n\r\n"),
        "{answer}"
    );
}

/// All of the request has been read when the response has room again: no edge will say so.
#[test]
fn an_echo_goes_on_by_itself_when_there_is_room_again() {
    let mut bench = Bench::new();
    bench.serve(ServerOptions::new().high_water_mark(1000), |req, res| {
        req.pipe(res)
    });
    let peer = bench.connect();
    let chunk = [b"5dc\r\n".as_slice(), &[b'x'; 1500], b"\r\n"].concat();
    let head =
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    peer.write(&[head.as_slice(), chunk.repeat(2).as_slice(), b"0\r\n\r\n"].concat());
    bench.settle();
    let answer = peer.read();
    assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), 3000);
    assert!(answer.ends_with(b"\r\n0\r\n\r\n") && peer.is_eof());
}
