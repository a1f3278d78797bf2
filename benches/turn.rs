//! Whole turns over the simulated network: everything but the kernel. One exchange is the client's bytes on their
//! way, the turns of the loop with the user's callbacks, and the response's bytes back.
//!
//! The figures hold the cost of the simulation too, which is a part of each that does not change; they are for
//! comparison with themselves. Without it: `benches/instructions.rs`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use onloop::sim::{SimNet, SimPeer};
use onloop::{Address, EventLoop, LoopOptions};

mod messages;
mod server;
use messages::{BROWSER_REQUEST, CHUNKED_REQUEST, ECHO_REQUEST, PIECES_REQUEST, SMALL_REQUEST};

/// A server on a simulated network, and one connection to it.
struct Bench {
    event_loop: EventLoop,
    peer: SimPeer,
}

impl Bench {
    fn new() -> Bench {
        let net = SimNet::new(1);
        let mut event_loop = net.event_loop(LoopOptions::default());
        let server = server::start(&event_loop, "10.0.0.1:80").expect("the address is free");
        let address = server.address().expect("it listens");
        let Address::Ip(_) = address else { unreachable!("an IP address was given") };
        let peer = net.connect(&address);
        while !peer.is_connected() {
            event_loop.turn(None).expect("a simulated poll does not fail");
        }
        Bench { event_loop, peer }
    }

    /// Sends `requests` and turns the loop until an answer of `length` bytes is there.
    fn exchange(&mut self, requests: &[u8], length: usize) -> usize {
        assert_eq!(self.peer.write(requests), requests.len());
        while self.peer.available() < length {
            self.event_loop.turn(None).expect("a simulated poll does not fail");
        }
        black_box(self.peer.read()).len()
    }

    /// How long the answer to `requests` is: that of as many turns as bring something.
    fn answer(&mut self, requests: &[u8]) -> Vec<u8> {
        assert_eq!(self.peer.write(requests), requests.len());
        let mut answer = Vec::new();
        for _ in 0..100 {
            self.event_loop
                .turn(Some(Duration::from_millis(1)))
                .expect("a simulated poll does not fail");
            answer.extend(self.peer.read());
        }
        answer
    }
}

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    let pipelined = SMALL_REQUEST.repeat(16);
    let cases = [
        ("get", SMALL_REQUEST, 1),
        ("get_browser", BROWSER_REQUEST, 1),
        ("post_echo", ECHO_REQUEST, 1),
        ("post_echo_chunked", CHUNKED_REQUEST, 1),
        ("response_in_4_chunks", PIECES_REQUEST, 1),
        ("pipelined_16", pipelined.as_str(), 16),
    ];
    for (name, requests, count) in cases {
        let mut bench = Bench::new();
        let answer = bench.answer(requests.as_bytes());
        server::check(&answer, count);
        let length = answer.len();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |b| b.iter(|| bench.exchange(requests.as_bytes(), length)));
    }
    group.finish();
}

fn main() {
    // Short: the whole of `cargo bench` is meant to be waited for.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(30)
        .configure_from_args();
    turns(&mut criterion);
    criterion.final_summary();
}
