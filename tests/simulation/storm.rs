//! Short runs in which everything is drawn: the network, the options of loops, servers and agents, what peers send and
//! when they go, what handlers do and when, and what is done to any handle from any callback or between two turns.
//! After every turn the engine is looked into, and in the end everything has ended once and nothing is left.
//!
//! `world` is what the callbacks know, `acts` is what they do, `serve` and `ask` are the two sides, `peers` are raw
//! connections on either side, here is a run.

mod acts;
mod ask;
mod peers;
mod serve;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use onloop::sim::{self, SimListener, SimNet, SimOptions, stats};
use onloop::{EventLoop, LoopOptions, PanicPolicy};

use crate::budgets::{self, Harshness};
use crate::random::Random;
use peers::Conversation;
use world::{Intended, RAW, World};

/// What became of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) turns: u64,
    /// Messages on either side whose callbacks were followed.
    pub(crate) messages: u64,
    pub(crate) calls: u64,
    pub(crate) acts: u64,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    pub(crate) panics: u64,
    /// Virtual milliseconds until nothing was left.
    pub(crate) settled: u64,
    pub(crate) trace: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Outcome) {
        self.turns += other.turns;
        self.messages += other.messages;
        self.calls += other.calls;
        self.acts += other.acts;
        self.finished += other.finished;
        self.failed += other.failed;
        self.panics += other.panics;
        self.settled = self.settled.max(other.settled);
        self.trace ^= other.trace;
    }
}

/// Everything ends in this time once nobody begins anything: the longest clock is the system's own for a connection
/// that nobody answers.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Turns in which no time passes, until a loop is said to spin; and so many more as it takes to write this.
const TURNS_AT_ONCE_MAX: usize = 5_000;
const BYTES_AT_ONCE_MAX: usize = 2_000_000;

struct Storm {
    net: SimNet,
    loops: Vec<EventLoop>,
    world: World,
    listeners: Vec<SimListener>,
    conversations: Vec<Conversation>,
    turns: u64,
    panics: u64,
    /// The time of the last turn, and how many turns it has stood still.
    still: (Duration, usize),
    turns_at_once_max: usize,
}

pub(crate) fn run(seed: u64) -> Outcome {
    let mut random = Random::new(seed ^ 0x5704);
    let net = SimNet::with_options(seed, network(&mut random));
    for (name, address) in
        [("sim.test", "127.0.0.1"), ("raw.test", RAW), ("dead.test", "127.0.0.9")]
    {
        net.add_host(name, vec![address.parse().expect("an address")]);
    }
    net.add_host("both.test", ["127.0.0.9", RAW].map(|a| a.parse().expect("an address")).into());
    let policy = [PanicPolicy::Propagate, PanicPolicy::Contain][random.below(2)];
    let how = Harshness::draw(&mut random);
    let writes = random.pick(&[100_000, 5000, 300, 1]);
    let count = 1 + random.below(2);
    let loops: Vec<_> = (0..count)
        .map(|_| net.event_loop(loop_options(&mut random, how, writes).panic_policy(policy)))
        .collect();
    let handles = loops.iter().map(EventLoop::handle).collect();
    // What is written byte by byte has to be little.
    let world = world::new(random, how, handles, writes * 1000);
    serve::begin(&world);
    let raw = [80, 81].map(|port| net.listen(&world::raw_address(port)).expect("it is free"));
    let mut storm = Storm {
        net,
        loops,
        world,
        listeners: raw.into(),
        conversations: Vec::new(),
        turns: 0,
        panics: 0,
        still: (Duration::ZERO, 0),
        turns_at_once_max: TURNS_AT_ONCE_MAX + BYTES_AT_ONCE_MAX / writes,
    };
    storm.rage();
    storm.settle()
}

fn network(random: &mut Random) -> SimOptions {
    let options = match random.below(4) {
        0 => SimOptions::default(),
        1 => SimOptions::rough(),
        _ => SimOptions::hostile(),
    };
    let options = match random.below(4) {
        0 => options.capacity([1, 100, 2000, 20_000][random.below(4)]),
        _ => options,
    };
    options
        .separate_filters(random.below(3) == 0)
        .reset_discards(random.below(2) == 0)
        .events_per_poll([1, 3, 1024][random.below(3)])
}

fn loop_options(random: &mut Random, how: Harshness, writes: usize) -> LoopOptions {
    let limits = budgets::limits(random, how, &[writes]);
    budgets::loop_options(random, how, limits)
}

impl Storm {
    /// Things happen.
    fn rage(&mut self) {
        let steps = 10 + self.world.below(120);
        for _ in 0..steps {
            for _ in 0..self.world.below(3) {
                self.happen();
            }
            self.talk();
            let wait = [0, 1, 10, 100, 1000][self.world.below(5)];
            self.turn(Duration::from_millis(wait));
        }
    }

    /// One thing more.
    fn happen(&mut self) {
        match self.world.below(10) {
            0..=2 => ask::begin(&self.world),
            3..=5 => {
                let port = self.world.port();
                self.conversations.push(Conversation::client(&self.net, &self.world, port));
            }
            6..=8 => self.world.act(),
            _ if self.world.below(4) == 0 => {
                let gone = self.world.below(self.conversations.len());
                if gone < self.conversations.len() {
                    self.conversations.swap_remove(gone);
                }
            }
            _ => {}
        }
    }

    /// The raw peers have their turn.
    fn talk(&mut self) {
        for listener in &self.listeners {
            while let Some(peer) = listener.accept() {
                self.conversations.push(Conversation::server(peer, &self.world));
            }
        }
        let (world, now) = (&self.world, self.net.now());
        self.conversations.retain_mut(|conversation| conversation.go_on(world, now));
    }

    fn turn(&mut self, max: Duration) {
        for event_loop in &mut self.loops {
            let turned = catch_unwind(AssertUnwindSafe(|| event_loop.turn(Some(max))));
            match turned {
                Ok(handled) => drop(handled.expect("the poller works")),
                Err(panic) if panic.is::<Intended>() => self.panics += 1,
                Err(panic) => resume_unwind(panic),
            }
            if let Err(why) = sim::check(event_loop) {
                panic!("after turn {} at {:?}: {why}", self.turns, self.net.now());
            }
        }
        self.turns += 1;
        self.world.check_limits();
        let now = self.net.now();
        self.still = match self.still {
            (then, turns) if then == now => (now, turns + 1),
            _ => (now, 0),
        };
        // Of a loop that has nothing to wait for.
        if self.still.1 > 20 && self.net.stalled() {
            self.net.advance(Duration::from_millis(100));
        }
        assert!(self.still.1 < self.turns_at_once_max, "time stands still: {:?}", self.left());
    }

    /// Nobody begins anything any more, peers go, and what is open is left to its clocks, where it has some.
    fn settle(mut self) -> Outcome {
        let began = self.net.now();
        self.world.calm_down();
        self.listeners.clear();
        self.conversations.clear();
        let patience = began + PATIENCE;
        while !self.is_empty() {
            assert!(self.net.now() < patience, "it does not end: {:?}", self.left());
            self.turn(Duration::from_secs(1));
        }
        for event_loop in &mut self.loops {
            event_loop.run().expect("the poller works");
            assert!(
                !event_loop.is_alive(),
                "nothing is left, and it is alive: {:?}",
                stats(event_loop)
            );
        }
        let mut outcome = self.world.outcome();
        outcome.settled = (self.net.now() - began).as_millis() as u64;
        outcome.turns = self.turns;
        outcome.panics = self.panics;
        outcome.trace ^= self.net.trace_hash();
        outcome
    }

    fn is_empty(&self) -> bool {
        let of_loops =
            self.loops.iter().map(stats).all(|stats| {
                stats.is_empty() && stats.free_connections == 0 && stats.lingering == 0
            });
        of_loops && self.net.open_sockets() == 0 && self.world.open() == 0
    }

    fn left(&self) -> String {
        let loops: Vec<_> = self.loops.iter().map(stats).collect();
        format!("{loops:?}, {} sockets, {}", self.net.open_sockets(), self.world.describe_open())
    }
}
