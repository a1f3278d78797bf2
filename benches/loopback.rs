//! Real sockets on the loopback interface: one keep-alive connection, 16 requests pipelined on one, 64 connections.
//! Client and server share the thread, so a figure is the CPU of both ends and of the kernel between them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use onloop::EventLoop;

mod messages;
mod server;
use messages::{GREETING, SMALL_REQUEST};

/// A server on a free port, and connections to it.
struct Bench {
    event_loop: EventLoop,
    streams: Vec<TcpStream>,
    /// Bytes of one response.
    length: usize,
    buffer: Vec<u8>,
}

impl Bench {
    fn new(connections: usize) -> Bench {
        let event_loop = EventLoop::new().expect("a poller");
        let server = server::start(&event_loop, "127.0.0.1:0").expect("a free port");
        let connect = |_| {
            let stream =
                TcpStream::connect(("127.0.0.1", server.port())).expect("the server listens");
            stream.set_nodelay(true).expect("a TCP socket");
            stream.set_nonblocking(true).expect("a TCP socket");
            stream
        };
        let streams = (0..connections).map(connect).collect();
        let mut bench = Bench { event_loop, streams, length: 0, buffer: vec![0; 64 * 1024] };
        bench.length = bench.first_response();
        bench
    }

    /// The length of a response, learnt from one.
    fn first_response(&mut self) -> usize {
        self.streams[0].write_all(SMALL_REQUEST.as_bytes()).expect("an empty socket takes it");
        let mut length = 0;
        while !self.buffer[..length].ends_with(GREETING.as_bytes()) {
            length += self.read_some(0, length..64 * 1024);
        }
        server::check(&self.buffer[..length], 1);
        length
    }

    /// Reads from one connection; turns the loop while there is nothing.
    fn read_some(&mut self, index: usize, range: Range<usize>) -> usize {
        loop {
            match self.streams[index].read(&mut self.buffer[range.clone()]) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(count) => return count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
            // Not for ever: the answer may be written already and still be on its way through the kernel.
            self.event_loop.turn(Some(Duration::from_millis(1))).expect("the poller works");
        }
    }

    /// Sends `requests` on every connection and reads all answers.
    fn round(&mut self, requests: &[u8], count: usize) -> usize {
        for stream in &mut self.streams {
            stream.write_all(requests).expect("an empty socket takes it");
        }
        let wanted = count * self.length;
        for index in 0..self.streams.len() {
            let mut have = 0;
            while have < wanted {
                have += self.read_some(index, have..wanted);
            }
        }
        wanted
    }
}

fn loopback(c: &mut Criterion) {
    let mut group = c.benchmark_group("loopback");
    let pipelined = SMALL_REQUEST.repeat(16);
    let cases = [
        ("1_connection", 1, SMALL_REQUEST, 1),
        ("1_connection_pipelined_16", 1, pipelined.as_str(), 16),
        ("64_connections", 64, SMALL_REQUEST, 1),
    ];
    for (name, connections, requests, count) in cases {
        let mut bench = Bench::new(connections);
        group.throughput(Throughput::Elements((connections * count) as u64));
        group.bench_function(name, |b| b.iter(|| bench.round(requests.as_bytes(), count)));
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
    loopback(&mut criterion);
    criterion.final_summary();
}
