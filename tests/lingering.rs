//! A connection that the server ends lingers until the client's end, and not longer.

use std::time::Duration;

use onloop::sim::{self, SimNet};
use onloop::{LoopOptions, http};

#[test]
fn the_end_that_comes_with_a_refused_request_ends_the_lingering() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    server.listen("127.0.0.1:80").expect("a free address");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(b"not http\n");
    peer.shutdown_write();
    let end = net.now() + Duration::from_millis(10);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
    }
    assert!(peer.read().starts_with(b"HTTP/1.1 400 "));
    assert!(peer.is_eof());
    let stats = sim::stats(&event_loop);
    assert_eq!((stats.server_connections, stats.lingering), (0, 0));
}
