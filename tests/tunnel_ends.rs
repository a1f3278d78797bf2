//! A byte stream that has ended goes out whole, whatever its peer still sends and nobody reads.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Socket};
use onloop::sim::{self, SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, Limits, LoopOptions};

const LENGTH: usize = 30_000;

fn pass(net: &SimNet, event_loop: &mut EventLoop) {
    let end = net.now() + Duration::from_millis(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        sim::check(event_loop).unwrap();
    }
}

fn connect(net: &SimNet, server: &http::Server) -> SimPeer {
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    peer
}

/// A server that makes a tunnel of the first two connections.
fn tunnel(event_loop: &EventLoop) -> http::Server {
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    let first: Rc<Cell<Option<Socket>>> = Rc::default();
    server.on_connect(move |_req, socket, _early| match first.take() {
        None => first.set(Some(socket)),
        Some(other) => {
            socket.pipe(other);
            other.pipe(socket);
        }
    });
    server.listen("127.0.0.1:80").expect("a free address");
    server
}

#[test]
fn what_breaks_off_on_one_side_of_a_tunnel_does_not_look_whole_on_the_other() {
    for is_client in [false, true] {
        let net = SimNet::new(1);
        let mut event_loop = net.event_loop(LoopOptions::new());
        let server = tunnel(&event_loop);
        let client = connect(&net, &server);
        pass(&net, &mut event_loop);
        let upstream = connect(&net, &server);
        pass(&net, &mut event_loop);
        let (breaks, other) = if is_client { (client, upstream) } else { (upstream, client) };
        breaks.write(b"a part of wh");
        pass(&net, &mut event_loop);
        assert_eq!(other.read(), b"a part of wh");
        breaks.reset();
        pass(&net, &mut event_loop);
        assert!(other.is_reset() && !other.is_eof());
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn what_one_side_of_a_tunnel_has_said_reaches_the_other_that_still_speaks() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let mut event_loop =
        net.event_loop(LoopOptions::new().limits(Limits::new().max_discarded(2_000)));
    let server = tunnel(&event_loop);
    let client = connect(&net, &server);
    pass(&net, &mut event_loop);
    let upstream = connect(&net, &server);
    pass(&net, &mut event_loop);
    let mut sent = 0;
    while sent < LENGTH {
        let count = upstream.write(&vec![b'x'; LENGTH - sent]);
        sent += count;
        pass(&net, &mut event_loop);
    }
    upstream.shutdown_write();
    let mut received = 0;
    for _ in 0..1_000 {
        client.write(&[b'y'; 1_000]);
        pass(&net, &mut event_loop);
        upstream.read();
        received += client.read().len();
        if client.is_eof() || client.is_reset() {
            break;
        }
    }
    assert_eq!((received, client.is_reset()), (LENGTH, false));
    drop(client);
    pass(&net, &mut event_loop);
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_stream_of_which_a_part_is_given_up_does_not_look_whole() {
    for (ends, soon) in [(false, false), (true, false), (true, true)] {
        let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
        let mut event_loop = net.event_loop(LoopOptions::new());
        let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
        server.on_connect(move |_req, socket, _early| {
            socket.write(vec![b'x'; LENGTH]);
            if ends {
                socket.end("");
            }
            match soon {
                true => socket.destroy_soon(),
                false => socket.destroy(),
            }
        });
        server.listen("127.0.0.1:80").expect("a free address");
        let client = connect(&net, &server);
        // Longer than `write_timeout`.
        let end = net.now() + Duration::from_secs(70);
        while net.now() < end {
            event_loop.turn(Some(end - net.now())).expect("a turn");
        }
        assert_eq!(server.connections(), 0);
        while !client.is_eof() && !client.is_reset() {
            client.read();
            pass(&net, &mut event_loop);
        }
        assert!(client.is_reset(), "ended: {ends}, soon: {soon}");
    }
}

#[test]
fn a_stream_that_is_destroyed_when_all_is_out_is_not_reset() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    server.on_connect(|_req, socket, _early| {
        socket.write("HTTP/1.1 403 No\r\n\r\n");
        socket.destroy();
    });
    server.listen("127.0.0.1:80").expect("a free address");
    let client = connect(&net, &server);
    pass(&net, &mut event_loop);
    assert_eq!(client.read(), b"HTTP/1.1 403 No\r\n\r\n");
    assert!(client.is_eof() && !client.is_reset());
}
