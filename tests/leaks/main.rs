//! 100,000 requests that fail in every way: refused and unknown addresses, resets, ends and rubbish anywhere in the
//! answers, timeouts, limits of agents, users who lose interest at any moment. Each has its last callback once,
//! nothing is left behind, and as much memory is held after the last as after the first thousands.
//!
//! `ONLOOP_REQUESTS=1000000` sets how many there are, `ONLOOP_SEED=7` draws others.

mod client;
#[path = "../counting/mod.rs"]
mod counting;
#[path = "../random/mod.rs"]
mod random;
mod servers;
mod wires;

use std::time::{Duration, Instant};

use client::Client;
use onloop::EventLoop;
use onloop::sim::{LoopStats, SimOptions, stats};
use random::Chance;
use servers::Servers;
use wires::Wires;

/// Stretches of a run, after each of which everything comes to rest.
const STRETCHES: usize = 10;

/// Requests under way at a time.
const PARALLEL: usize = 60;

/// What pools and tables may still grow by after half of the run.
const GROWTH_MAX: isize = 64 * 1024;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

struct Run {
    wires: Wires,
    event_loop: EventLoop,
    servers: Servers,
    client: Client,
}

impl Run {
    fn new(wires: Wires, seed: u64) -> Run {
        let chance = Chance::new(seed);
        let event_loop = wires.event_loop();
        let servers = Servers::new(&wires, &chance);
        let client = Client::new(event_loop.handle(), &wires, &chance, &servers.ports);
        Run { wires, event_loop, servers, client }
    }

    fn turn(&mut self) {
        let max = match self.wires {
            Wires::Simulated(_) => Duration::from_millis(2),
            Wires::Loopback(_) => Duration::from_millis(1),
        };
        self.event_loop.turn(Some(max)).expect("a turn");
        self.servers.step();
    }

    /// So many requests more, and then rest.
    fn stretch(&mut self, requests: usize) {
        let counts = std::rc::Rc::clone(&self.client.counts);
        let began = counts.begun.get();
        while counts.begun.get() - began < requests {
            for _ in 0..4 {
                if counts.open() < PARALLEL && counts.begun.get() - began < requests {
                    self.client.begin();
                }
            }
            self.turn();
        }
        self.client.renew_agents();
        let until = self.wires.now() + Duration::from_secs(30);
        while !self.is_at_rest() {
            let left = stats(&self.event_loop);
            assert!(self.wires.now() < until, "left: {left:?}, {counts:?}");
            self.turn();
        }
        assert_eq!(counts.open(), 0, "on_close once each: {counts:?}");
    }

    /// Nothing is left, in any counter.
    fn is_at_rest(&self) -> bool {
        let held = stats(&self.event_loop);
        let mut nothing = LoopStats::default();
        nothing.repeated_requests = held.repeated_requests;
        let sockets = match &self.wires {
            Wires::Simulated(net) => net.open_sockets(),
            Wires::Loopback(_) => 0,
        };
        held == nothing && sockets == 0 && self.servers.open() == 0
    }

    /// Every way to end was taken.
    fn check(&self, requests: usize) {
        let counts = &self.client.counts;
        let repeated = stats(&self.event_loop).repeated_requests;
        println!("{counts:?}, {repeated} repeated, {} connections", self.servers.accepted);
        assert_eq!(counts.closed.get(), requests, "{counts:?}");
        for count in [&counts.answered, &counts.failed] {
            assert!(count.get() > requests / 10, "{counts:?}");
        }
        assert!(counts.refused.get() > 0, "{counts:?}");
    }
}

#[test]
fn a_hundred_thousand_requests_with_random_failures_leave_nothing() {
    let requests = number("ONLOOP_REQUESTS").unwrap_or(100_000) as usize;
    let wires = Wires::simulated();
    let Wires::Simulated(net) = &wires else { unreachable!("as made") };
    let net = net.clone();
    let mut run = Run::new(wires, number("ONLOOP_SEED").unwrap_or(1));
    let mut held = Vec::new();
    for stretch in 0..STRETCHES {
        let options = match stretch % 3 {
            0 => SimOptions::default(),
            1 => SimOptions::rough().fragments(300, 997),
            _ => SimOptions::hostile().fragments(300, 997),
        };
        net.set_options(options.reset_discards(stretch % 2 == 0));
        run.stretch(requests / STRETCHES);
        // The network remembers for as long that nobody answers somewhere.
        net.advance(Duration::from_secs(130));
        held.push(counting::LIVE.get());
    }
    println!("held after each stretch: {held:?}");
    run.check(requests / STRETCHES * STRETCHES);
    assert!(stats(&run.event_loop).repeated_requests > 0);
    // A table that doubles does so once; what leaks does so in every stretch.
    let half = &held[STRETCHES / 2 - 1..];
    let steps = half.windows(2).map(|pair| pair[1] - pair[0]);
    let growth = half[half.len() - 1] - half[0] - steps.max().expect("some");
    assert!(growth < GROWTH_MAX, "{growth} bytes more: {held:?}");
    run.client.close_agents();
    run.event_loop.run().expect("nothing is left to wait for");
}

#[test]
fn thousands_of_requests_over_real_sockets_leave_nothing() {
    let requests = number("ONLOOP_REQUESTS").unwrap_or(100_000) as usize / 20;
    let mut run = Run::new(Wires::Loopback(Instant::now()), number("ONLOOP_SEED").unwrap_or(1));
    let before = open_files();
    for _ in 0..STRETCHES {
        run.stretch(requests / STRETCHES);
        assert_eq!(open_files(), before, "descriptors");
    }
    run.check(requests / STRETCHES * STRETCHES);
}

/// Descriptors of this process, where the system tells. The other test here has none.
fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}
