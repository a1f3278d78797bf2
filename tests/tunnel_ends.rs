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

#[test]
fn what_one_side_of_a_tunnel_has_said_reaches_the_other_that_still_speaks() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1_000));
    let mut event_loop =
        net.event_loop(LoopOptions::new().limits(Limits::new().max_discarded(2_000)));
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
