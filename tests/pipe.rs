//! A message's content piped into its own answer, and a byte stream into itself.

use std::time::Duration;

use onloop::sim::{SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, LoopOptions, http};

/// Turns the loop until `is_done`, or until nothing can happen any more.
fn turn_until(event_loop: &mut EventLoop, net: &SimNet, mut is_done: impl FnMut() -> bool) {
    while !is_done() && !net.stalled() {
        event_loop
            .turn(Some(Duration::from_secs(1)))
            .expect("a simulated poll does not fail");
        assert!(
            net.now() < Duration::from_secs(600),
            "the answer never came"
        );
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
    assert!(
        answer.ends_with("\r\n\r\nwith the head, and after it"),
        "{answer:?}"
    );
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
