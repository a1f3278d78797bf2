//! Clocks where one exchange goes over into the next, or into the end of its connection: each runs for what its
//! name says, and for nothing else.

mod common;

use common::clocked::{Clocked, seconds};
use common::get;
use onloop::http::ServerOptions;

const LARGE: usize = 1_000_000;

/// How many responses are in these bytes.
fn answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
}

#[test]
fn the_clock_of_a_head_does_not_run_while_a_long_answer_is_read() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5));
    clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
    let peer = clocked.send(&get("/1", "").repeat(2));
    let received = clocked.read_slowly(&peer, 100_000, 2 * LARGE);
    assert_eq!(answers(&received), 2, "the second was lost");
    // And the connection goes on.
    clocked.pass(seconds(1));
    peer.read();
    assert!(peer.write(get("/3", "").as_bytes()) > 0);
    clocked.pass(seconds(1));
    assert_eq!(answers(&peer.read()), 1);
}

#[test]
fn a_clock_that_has_run_out_for_nobody_does_not_turn_the_loop() {
    let mut clocked = Clocked::new();
    let options = ServerOptions::new().headers_timeout(seconds(5));
    clocked.serve(options, |_req, res| res.end(vec![b'x'; LARGE]));
    let _peer = clocked.send(&get("/", "Connection: close\r\n"));
    clocked.pass(seconds(50));
    assert!(clocked.turns < 100, "{} turns for one connection", clocked.turns);
}
