//! Random requests, handlers, operations and peers on a simulated network that fragments, delays, cuts short, blocks
//! and breaks. Whatever it does: every exchange ends exactly once, what was received whole is what was sent, nothing
//! leaks, everything ends in bounded time, the engine is in order after every turn (`sim::check`), and the same seed
//! does the same again.
//!
//! - `run`, with `server`, `client`, `plan`, `mixed` and `peers`: requests of many kinds whose answers are known.
//! - `agents`: requests through agents with random limits, whose order and limits are known.
//! - `budgets`: what all three draw of limits and clocks, from the usual to the least.
//! - `storm`: anything is done to any handle at any time, and it is known only that it has to end.
//!
//! ```text
//! cargo test --test simulation                                                 a few seconds
//! ONLOOP_SEEDS=10000 cargo test --profile checked --test simulation            what CI runs: so many seeds of each kind
//! ONLOOP_SEED=7 cargo test --test simulation whatever_is_done                  one seed of one kind, as the line of a failure says
//! ONLOOP_SOAK=3600 cargo test --profile checked --test simulation -- whatever_is_done --nocapture
//!                                                                              fresh seeds for an hour, with its progress
//! ONLOOP_SOAK=60 ONLOOP_SEED_FROM=1000000 cargo test ...                       the same from a seed on
//! ```
//!
//! A seed that fails prints one line that runs it again: `replay: ONLOOP_SEED=7 cargo test ...`. The seeds are shared by
//! all processors. `ONLOOP_REQUESTS` sets how many requests a run of `every_exchange` has.

mod agents;
mod budgets;
mod client;
mod mixed;
mod peers;
mod plan;
#[path = "../random/mod.rs"]
mod random;
mod run;
mod server;
mod storm;

use std::sync::Mutex;

use onloop::sim;
use run::Traffic;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Requests of one run: few, so that there are many seeds, and now and then many.
fn requests_of(seed: u64) -> usize {
    let usual = if seed % 50 == 0 { 1_000 } else { 60 };
    number("ONLOOP_REQUESTS").map_or(usual, |requests| requests as usize)
}

/// Runs one seed after the other and gives what all of them came to; nothing where only one was asked for.
fn sum_up<T: Default + Send>(
    count: u64,
    name: &str,
    test: impl Fn(u64) -> T + Sync,
    add: impl Fn(&mut T, &T) + Sync,
) -> Option<T> {
    let all = Mutex::new(T::default());
    let command = format!("cargo test --test simulation {name}");
    sim::for_each_seed(count, &command, |seed| {
        let outcome = test(seed);
        add(&mut all.lock().expect("nothing fails while it is held"), &outcome);
    });
    number("ONLOOP_SEED").is_none().then(|| all.into_inner().expect("as above"))
}

#[test]
fn every_exchange_ends_once_and_nothing_leaks_whatever_the_network_does() {
    let test = |seed| run::run(seed, requests_of(seed));
    let Some(all) = sum_up(60, "every_exchange", test, run::Outcome::add) else {
        return;
    };
    println!("{all:?}");
    // A harness that never gets through, or whose network never breaks, would prove nothing.
    assert!(all.succeeded > all.failed, "{all:?}");
    assert!(all.failed > 0 && all.peers_answered > 0, "{all:?}");
}

#[test]
fn agents_keep_their_limits_and_their_order_whatever_happens() {
    let test = |seed| agents::sweep(seed, if seed % 50 == 0 { 400 } else { 60 });
    let Some(all) = sum_up(60, "agents_keep", test, agents::Outcome::add) else {
        return;
    };
    println!("{all:?}");
    assert!(all.answered > all.failed && all.failed > 0, "{all:?}");
    assert!(all.reused > 0 && all.repeated > 0 && all.destroyed > 0, "{all:?}");
}

#[test]
fn whatever_is_done_to_whatever_everything_ends_once_and_nothing_is_left() {
    let Some(all) = sum_up(120, "whatever_is_done", storm::run, storm::Outcome::add) else {
        return;
    };
    println!("{all:?}");
    assert!(all.finished > 0 && all.failed > 0 && all.panics > 0 && all.acts > 0, "{all:?}");
}

#[test]
fn ten_thousand_requests_in_one_run() {
    let outcome = run::run(0, 10_000);
    let ended = outcome.succeeded + outcome.failed + outcome.expected_failures;
    assert_eq!(ended, 10_000 - outcome.peers, "{outcome:?}");
}

#[test]
fn on_a_rough_network_that_breaks_nothing_every_request_succeeds() {
    for seed in 0..5 {
        let outcome = run::run_on(seed, 500, Traffic::Rough);
        assert_eq!(outcome.failed, 0, "SEED={seed} {outcome:?}");
    }
}

#[test]
fn the_same_seed_does_the_same_again_byte_by_byte() {
    for seed in [0, 1, 2, 3, 5, 8, 13, 21] {
        let first = run::run(seed, 300);
        assert_eq!(first, run::run(seed, 300), "SEED={seed}");
        let other = run::run(seed + 100, 300);
        assert_ne!(first.trace, other.trace, "SEED={seed}: the seed has no effect");
        assert_eq!(agents::sweep(seed, 100), agents::sweep(seed, 100), "SEED={seed}");
        assert_eq!(storm::run(seed), storm::run(seed), "SEED={seed}");
        assert_ne!(storm::run(seed).trace, storm::run(seed + 100).trace, "SEED={seed}");
    }
}
