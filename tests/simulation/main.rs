//! Thousands of requests per seed between clients, servers and raw peers on a simulated network that
//! fragments, delays, cuts short, blocks and breaks. Whatever it does: every exchange ends exactly once, what
//! was received whole is what was sent, nothing leaks, and the same seed does the same again.
//!
//! `ONLOOP_SEEDS=1000` sets how many seeds there are, `ONLOOP_SEED=7` runs one of them alone.

mod agents;
mod client;
mod mixed;
mod peers;
mod plan;
mod run;
mod server;
mod storm;

use run::{Outcome, Traffic};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs a seed; says which one it was when it fails.
fn run_seed(seed: u64, requests: usize) -> Outcome {
    let replay = Replay { seed, requests };
    let outcome = run::run(seed, requests);
    std::mem::forget(replay);
    outcome
}

/// Dropped by a panic: how to get there again.
struct Replay {
    seed: u64,
    requests: usize,
}

impl Drop for Replay {
    fn drop(&mut self) {
        let Replay { seed, requests } = self;
        eprintln!("SEED={seed} REQUESTS={requests}");
        eprintln!(
            "replay: ONLOOP_SEED={seed} ONLOOP_REQUESTS={requests} cargo test --test simulation every_exchange"
        );
    }
}

#[test]
fn every_exchange_ends_once_and_nothing_leaks_whatever_the_network_does() {
    let requests = number("ONLOOP_REQUESTS").unwrap_or(1_000) as usize;
    if let Some(seed) = number("ONLOOP_SEED") {
        println!("{:?}", run_seed(seed, requests));
        return;
    }
    let seeds = number("ONLOOP_SEEDS").unwrap_or(20);
    let mut all = Outcome::default();
    for seed in 0..seeds {
        // CI's many seeds are long runs.
        let requests = if number("ONLOOP_SEEDS").is_some() { 10_000 } else { requests };
        all.add(&run_seed(seed, requests));
    }
    println!("{all:?}");
    // A harness that never gets through, or whose network never breaks, would prove nothing.
    assert!(all.succeeded > all.failed, "{all:?}");
    assert!(all.failed > 0 && all.peers_answered > 0, "{all:?}");
}

#[test]
fn ten_thousand_requests_in_one_run() {
    let outcome = run_seed(0, 10_000);
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
        let (first, second) = (run_seed(seed, 500), run_seed(seed, 500));
        assert_eq!(first, second, "SEED={seed}");
        assert_ne!(
            first.trace,
            run_seed(seed + 100, 500).trace,
            "SEED={seed}: the seed has no effect"
        );
    }
}

#[test]
fn agents_keep_their_limits_and_their_order_whatever_happens() {
    if let Some(seed) = number("ONLOOP_SEED") {
        println!("{:?}", agents::sweep(seed, 400));
        return;
    }
    let mut all = agents::Outcome::default();
    for seed in 0..number("ONLOOP_SEEDS").unwrap_or(40) {
        let replay = format!("ONLOOP_SEED={seed} cargo test --test simulation agents");
        let outcome =
            std::panic::catch_unwind(|| agents::sweep(seed, 400)).unwrap_or_else(|panic| {
                eprintln!("replay: {replay}");
                std::panic::resume_unwind(panic)
            });
        all.answered += outcome.answered;
        all.failed += outcome.failed;
        all.destroyed += outcome.destroyed;
        all.reused += outcome.reused;
        all.repeated += outcome.repeated;
        all.accepted += outcome.accepted;
    }
    println!("{all:?}");
    assert!(all.answered > all.failed && all.failed > 0, "{all:?}");
    assert!(all.reused > 0 && all.repeated > 0 && all.destroyed > 0, "{all:?}");
    for seed in [2, 5, 8] {
        assert_eq!(agents::sweep(seed, 100), agents::sweep(seed, 100));
    }
}

#[test]
fn whatever_is_done_to_whatever_everything_ends_once_and_nothing_is_left() {
    let all = std::sync::Mutex::new(storm::Outcome::default());
    let command = "cargo test --test simulation whatever_is_done";
    onloop::sim::for_each_seed(200, command, |seed| {
        let outcome = storm::run(seed);
        all.lock().expect("no test fails while it holds it").add(&outcome);
    });
    println!("{:?}", all.into_inner());
}
