//! A message's content piped into its own answer, and a byte stream into itself.

use std::time::Duration;

use onloop::sim::{SimListener, SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, LoopOptions, http};

/// Turns the loop until `is_done`, or until nothing can happen any more.
fn turn_until(event_loop: &mut EventLoop, net: &SimNet, mut is_done: impl FnMut() -> bool) {
    while !is_done() && !net.stalled() {
        event_loop.turn(Some(Duration::from_secs(1))).expect("a simulated poll does not fail");
        assert!(net.now() < Duration::from_secs(600), "the answer never came");
    }
}

fn connect(server: &http::Server, net: &SimNet) -> SimPeer {
    net.connect(&server.address().expect("it listens"))
}

fn echo_server(event_loop: &EventLoop) -> http::Server {
    let server = http::create_server(event_loop.handle(), |req, res| req.pipe(res));
    server.listen("10.0.0.1:80").expect("the address is free");
    server
}

fn answer_to(request: &[u8], until: &str) -> String {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = echo_server(&event_loop);
    let peer = connect(&server, &net);
    assert_eq!(peer.write(request), request.len());
    let mut answer = String::new();
    turn_until(&mut event_loop, &net, || {
        answer += &String::from_utf8_lossy(&peer.read());
        answer.ends_with(until)
    });
    answer
}

#[test]
fn a_request_piped_into_its_own_response_is_echoed() {
    let request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd";
    let answer = answer_to(request, "\r\n0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    assert!(answer.ends_with("4\r\nabcd\r\n0\r\n\r\n"), "{answer:?}");
}

#[test]
fn a_request_without_content_piped_into_its_response_ends_it() {
    let answer = answer_to(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
}

#[test]
fn a_request_piped_into_its_own_response_goes_on_once_there_is_room_again() {
    // All of it fits into the connection, so that no event of the network moves it on: only the room that
    // the flush has made in our own buffer does.
    let options = SimOptions::default().capacity(1024 * 1024);
    let net = SimNet::with_options(1, options);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = echo_server(&event_loop);
    let peer = connect(&server, &net);
    const LENGTH: usize = 600_000;
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LENGTH}\r\n\r\n").into_bytes();
    request.resize(request.len() + LENGTH, b'x');
    assert_eq!(peer.write(&request), request.len());
    let mut answer = Vec::new();
    turn_until(&mut event_loop, &net, || {
        answer.extend(peer.read());
        answer.ends_with(b"\r\n0\r\n\r\n")
    });
    assert_eq!(answer.iter().filter(|byte| **byte == b'x').count(), LENGTH);
}

#[test]
fn a_byte_stream_piped_into_itself_is_echoed_to_its_end() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = echo_server(&event_loop);
    server.on_upgrade(|_req, socket, head| {
        socket.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        socket.write(head);
        socket.pipe(socket);
    });
    let peer = connect(&server, &net);
    peer.write(
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nwith the head, ",
    );
    peer.write(b"and after it");
    let mut answer = String::new();
    turn_until(&mut event_loop, &net, || {
        answer += &String::from_utf8_lossy(&peer.read());
        answer.ends_with("after it")
    });
    assert!(answer.ends_with("\r\n\r\nwith the head, and after it"), "{answer:?}");
    peer.shutdown_write();
    turn_until(&mut event_loop, &net, || peer.is_eof());
    assert!(peer.is_eof(), "the echo ends with what it echoes");
}

#[test]
fn the_end_of_piped_content_is_told() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let ended = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = ended.clone();
    let server = http::create_server(event_loop.handle(), move |req, res| {
        let count = count.clone();
        req.on_end(move || count.set(count.get() + 1));
        req.pipe(res);
    });
    server.listen("10.0.0.1:80").expect("the address is free");
    let peer = connect(&server, &net);
    peer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd");
    let mut answer = Vec::new();
    turn_until(&mut event_loop, &net, || {
        answer.extend(peer.read());
        answer.ends_with(b"\r\n0\r\n\r\n")
    });
    assert_eq!(ended.get(), 1);
}

/// A raw server at `10.0.0.2:80`.
fn upstream(net: &SimNet) -> SimListener {
    let address: std::net::SocketAddr = ([10, 0, 0, 2], 80).into();
    net.listen(&address.into()).expect("the address is free")
}

/// A server whose handler pipes each request on to `10.0.0.2:80` and answers at once, a raw server there, and a client
/// that has sent `request`.
fn answered_while_piped(request: &[u8]) -> (SimNet, EventLoop, SimPeer, SimPeer) {
    let net = SimNet::with_options(1, SimOptions::default().capacity(50_000));
    let upstream = upstream(&net);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let server = http::create_server(lp, move |req, res| {
        let up = http::request(lp, req.method(), "http://10.0.0.2/")?;
        up.on_error(|_| {});
        req.pipe(up);
        res.end("answered");
        Ok(())
    });
    server.listen("10.0.0.1:80").expect("the address is free");
    let peer = connect(&server, &net);
    assert_eq!(peer.write(request), request.len());
    let mut accepted = None;
    turn_until(&mut event_loop, &net, || {
        accepted = accepted.take().or_else(|| upstream.accept());
        accepted.is_some()
    });
    (net, event_loop, peer, accepted.expect("the request is piped on"))
}

#[test]
fn a_request_without_content_that_is_piped_on_and_answered_ends_what_it_is_piped_into() {
    let (net, mut event_loop, _peer, upstream) =
        answered_while_piped(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
    let mut request = Vec::new();
    turn_until(&mut event_loop, &net, || {
        request.extend(upstream.read());
        request.ends_with(b"\r\n0\r\n\r\n") || request.ends_with(b"Content-Length: 0\r\n\r\n")
    });
    let request = String::from_utf8_lossy(&request);
    assert!(request.ends_with("0\r\n\r\n"), "it has no end: {request:?}");
}

#[test]
fn what_is_piped_on_goes_on_to_its_end_behind_an_early_answer() {
    const LENGTH: usize = 40_000;
    let mut request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 400000\r\n\r\n".to_vec();
    request.resize(request.len() + LENGTH, b'x');
    let (net, mut event_loop, peer, upstream) = answered_while_piped(&request);
    let (mut sent, mut received) = (LENGTH, Vec::new());
    let mut reads_from = 0;
    turn_until(&mut event_loop, &net, || {
        sent += peer.write(&vec![b'x'; 400_000 - sent]);
        // The upstream server takes nothing for a while, so that the pipe has to wait.
        reads_from += 1;
        if reads_from > 50 {
            received.extend(upstream.read());
        }
        received.ends_with(b"\r\n0\r\n\r\n")
    });
    assert_eq!(received.iter().filter(|byte| **byte == b'x').count(), 400_000);
}

#[test]
fn a_request_that_was_dropped_in_part_does_not_look_whole_where_it_is_piped_later() {
    let net = SimNet::new(1);
    let upstream = upstream(&net);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let server = http::create_server(lp, move |req, res| {
        res.end("answered");
        let up = http::request(lp, "POST", "http://10.0.0.2/")?;
        up.on_error(|_| {});
        up.write("first");
        let body = req.body();
        lp.set_timeout(Duration::from_millis(10), move || body.pipe(up));
        Ok(())
    });
    server.listen("10.0.0.1:80").expect("the address is free");
    let peer = connect(&server, &net);
    peer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabcde");
    let (mut accepted, mut received) = (None, Vec::new());
    turn_until(&mut event_loop, &net, || {
        accepted = accepted.take().or_else(|| upstream.accept());
        if net.now() > Duration::from_millis(20) {
            peer.write(b"fghij");
        }
        let Some(upstream) = &accepted else {
            return false;
        };
        received.extend(upstream.read());
        upstream.is_eof() || upstream.is_reset() || received.ends_with(b"0\r\n\r\n")
    });
    assert!(!received.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&received));
}

#[test]
fn what_is_paused_behind_its_last_byte_is_whole_where_it_is_piped() {
    let net = SimNet::new(1);
    let upstream = upstream(&net);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let server = http::create_server(lp, move |req, res| {
        let up = http::request(lp, "POST", "http://10.0.0.2/")?;
        req.pipe(up);
        req.pause();
        res.on_close(|| {});
        res.end("answered");
        Ok(())
    });
    server.listen("10.0.0.1:80").expect("the address is free");
    let peer = connect(&server, &net);
    peer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let (mut accepted, mut received) = (None, Vec::new());
    turn_until(&mut event_loop, &net, || {
        accepted = accepted.take().or_else(|| upstream.accept());
        received.extend(accepted.as_ref().map(SimPeer::read).unwrap_or_default());
        received.ends_with(b"0\r\n\r\n")
    });
    assert!(received.ends_with(b"0\r\n\r\n"), "{:?}", String::from_utf8_lossy(&received));
}

#[test]
fn what_is_piped_into_a_request_for_a_tunnel_fails_it() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let failed = std::rc::Rc::new(std::cell::Cell::new(None));
    let code = failed.clone();
    let server = http::create_server(lp, move |req, _res| {
        let options =
            http::RequestOptions::new("CONNECT", "http://10.0.0.2/").path("tunnel.test:443");
        let up = http::request_with(lp, options)?;
        let code = code.clone();
        up.on_error(move |error| code.set(Some(error.code())));
        req.pipe(up);
        Ok(())
    });
    let silent = net.listen(&"10.0.0.2:80".parse::<std::net::SocketAddr>().expect("one").into());
    server.listen("10.0.0.1:80").expect("the address is free");
    let peer = connect(&server, &net);
    peer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd");
    turn_until(&mut event_loop, &net, || failed.get().is_some() || net.now().as_secs() > 5);
    assert_eq!(failed.get(), Some("ERR_HTTP_BODY_NOT_ALLOWED"));
    drop(silent);
}

#[test]
fn a_response_that_is_piped_into_its_own_request_ends_both() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let upstream = upstream(&net);
    let closed = std::rc::Rc::new(std::cell::Cell::new(false));
    let request = http::request(lp, "POST", "http://10.0.0.2/").expect("a request");
    let own = closed.clone();
    request.on_close(move || own.set(true));
    request.on_response(move |response| {
        let body = response.body();
        lp.set_timeout(Duration::from_millis(10), move || body.pipe(request));
    });
    request.write("begun");
    let (mut accepted, mut is_answered) = (None, false);
    turn_until(&mut event_loop, &net, || {
        accepted = accepted.take().or_else(|| upstream.accept());
        let asked = accepted.as_ref().filter(|upstream| !upstream.read().is_empty());
        if let Some(upstream) = asked.filter(|_| !std::mem::replace(&mut is_answered, true)) {
            upstream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
        closed.get() || net.now().as_secs() > 5
    });
    assert!(closed.get(), "the exchange is over, and nobody was told");
}
