//! One run: two loops and raw peers on one network, from a seed.

use std::time::Duration;

use onloop::sim::{self, SimNet, SimOptions, stats};
use onloop::{EventLoop, LoopOptions};

use crate::budgets::{self, Harshness};
use crate::client::{self, ClientSite};
use crate::peers::Peer;
use crate::plan::Ask;
use crate::random::Random;
use crate::server;

/// Requests under way at a time.
const PARALLEL: usize = 40;

/// What a server connection may hold unsent: the high-water mark and a chunk.
const UNSENT_MAX: usize = 64 * 1024 + 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traffic {
    Smooth,
    Rough,
    Hostile,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) succeeded: usize,
    pub(crate) failed: usize,
    /// Requests whose handler ends them, so that they have to fail.
    pub(crate) expected_failures: usize,
    pub(crate) peers: usize,
    pub(crate) peers_answered: usize,
    pub(crate) turns: usize,
    pub(crate) deliveries: u64,
    pub(crate) trace: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Outcome) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.expected_failures += other.expected_failures;
        self.peers += other.peers;
        self.peers_answered += other.peers_answered;
        self.turns += other.turns;
        self.deliveries += other.deliveries;
        self.trace ^= other.trace;
    }
}

pub(crate) fn run(seed: u64, requests: usize) -> Outcome {
    let traffic = match seed % 4 {
        0 | 1 => Traffic::Hostile,
        2 => Traffic::Rough,
        _ => Traffic::Smooth,
    };
    run_on(seed, requests, traffic)
}

pub(crate) fn run_on(seed: u64, requests: usize, traffic: Traffic) -> Outcome {
    let options = match traffic {
        Traffic::Smooth => SimOptions::default(),
        Traffic::Rough => SimOptions::rough(),
        Traffic::Hostile => SimOptions::hostile(),
    };
    let options = options.separate_filters(seed % 8 >= 4).reset_discards(seed % 3 == 0);
    let net = SimNet::with_options(seed, options);
    net.add_host("sim.test", vec!["127.0.0.1".parse().expect("an address")]);
    // Whatever the budgets are, every answer comes.
    let mut drawn = Random::new(seed ^ 0xb0d6);
    let how = Harshness::draw(&mut drawn);
    let mut event_loop = || {
        let limits = budgets::budgets(&mut drawn, how, &[200, 1000, 20_000]);
        net.event_loop(LoopOptions::new().limits(limits))
    };
    let mut loops = vec![event_loop()];
    if seed % 3 != 1 {
        loops.push(event_loop());
    }
    let mut run = Run { net, loops, random: Random::new(seed), outcome: Outcome::default() };
    run.all(requests, traffic != Traffic::Hostile);
    run.outcome
}

struct Run {
    net: SimNet,
    /// The server's first; the client's last, which may be the same.
    loops: Vec<EventLoop>,
    random: Random,
    outcome: Outcome,
}

impl Run {
    fn all(&mut self, requests: usize, is_reliable: bool) {
        let (server, site) = server::serve(self.loops[0].handle()).expect("it listens");
        let last = self.loops.len() - 1;
        let client = ClientSite::new(self.loops[last].handle(), is_reliable);
        let mut peers: Vec<Peer> = Vec::new();
        let mut started = 0;
        while started < requests || client.open.get() > 0 || !peers.is_empty() {
            while started < requests && client.open.get() + peers.len() < PARALLEL {
                started += 1;
                if self.random.below(50) == 0 {
                    self.outcome.peers += 1;
                    peers.push(Peer::draw(&self.net, &mut self.random));
                } else {
                    let ask = Ask::draw(&mut self.random);
                    client::start(client, ask, &mut self.random).expect("a request");
                }
            }
            self.turn();
            let now = self.net.now();
            let outcome = &mut self.outcome;
            peers.retain_mut(|peer| {
                let done = peer.is_done(now);
                if done {
                    outcome.peers_answered += usize::from(peer.count() > 0);
                    assert!(!is_reliable || peer.has_all(), "{peer:?}");
                }
                !done
            });
        }
        let (succeeded, failed, expected) = client.check();
        server.close();
        // What a silent network has taken a part of goes on at `min_write_rate`, where writes are small.
        let patience = self.net.now() + Duration::from_secs(1200);
        while self.net.now() < patience && !self.is_empty() {
            self.turn();
        }
        assert!(self.is_empty(), "leaked: {:?}", self.loops.iter().map(stats).collect::<Vec<_>>());
        assert_eq!(site.open(), 0, "server exchanges without on_close");
        site.check();
        for event_loop in &mut self.loops {
            event_loop.run().expect("the poller works");
        }
        let outcome = &mut self.outcome;
        (outcome.succeeded, outcome.failed, outcome.expected_failures) =
            (succeeded, failed, expected);
        outcome.trace = self.net.trace_hash();
        outcome.deliveries = self.net.deliveries();
    }

    /// Nothing is left, free connections and lingering ones included.
    fn is_empty(&self) -> bool {
        self.net.open_sockets() == 0
            && self.loops.iter().map(stats).all(|stats| {
                stats.is_empty() && stats.free_connections == 0 && stats.lingering == 0
            })
    }

    fn turn(&mut self) {
        for event_loop in &mut self.loops {
            event_loop.turn(Some(Duration::from_secs(1))).expect("the poller works");
            if let Err(why) = sim::check(event_loop) {
                panic!("after turn {} at {:?}: {why}", self.outcome.turns, self.net.now());
            }
        }
        self.outcome.turns += 1;
        if self.outcome.turns % 16 == 0 || cfg!(debug_assertions) {
            self.check_limits();
        }
    }

    fn check_limits(&self) {
        for stats in self.loops.iter().map(stats) {
            // The server side of an exchange may live a little longer than the client's.
            let exchanges = stats.server_connections + stats.client_requests + stats.upgraded;
            assert!(exchanges <= 20 * PARALLEL, "{stats:?}");
            assert!(stats.exchanges <= exchanges, "{stats:?}");
            assert!(stats.bytes_unsent <= (exchanges + 1) * UNSENT_MAX, "{stats:?}");
            assert!(stats.bytes_received <= (exchanges + 1) * 2 * 64 * 1024, "{stats:?}");
        }
    }
}
