//! Seeded mutants of valid streams against the model: no malformed message is accepted, no valid one refused,
//! every answer to a valid request before a flaw arrives whole and in order, none comes after the close, and
//! nothing is left behind.
//!
//! `ONLOOP_MUTANTS=100000` plays so many of each kind, `ONLOOP_MUTANTS_FROM=7000000` begins elsewhere, and
//! `ONLOOP_MUTANT=42` plays one alone and shows it. Long runs are for
//! `ONLOOP_MUTANTS=100000 cargo test --profile checked --test mutations`.

#[path = "../judged/mod.rs"]
mod judged;
mod mutate;
mod streams;

use judged::{Random, client, cut, server, shown};

/// How many there are in a plain `cargo test`.
const FEW: u64 = 3_000;

/// Mutants are played to the same server or client for so long, then it must have nothing left.
const BATCH: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds of this run.
fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = number("ONLOOP_MUTANT") {
        return seed..seed + 1;
    }
    let first = number("ONLOOP_MUTANTS_FROM").unwrap_or(0);
    first..first + number("ONLOOP_MUTANTS").unwrap_or(FEW)
}

/// A valid stream, mutated; some are left as they are.
fn mutant(random: &mut Random, valid: fn(&mut Random) -> Vec<u8>) -> Vec<u8> {
    let stream = valid(random);
    if random.once_in(20) {
        return stream;
    }
    let other = valid(random);
    mutate::mutate(stream, &other, random)
}

fn failed(seed: u64, test: &str, stream: &[u8], error: &str) -> ! {
    let name = "cargo test --test mutations";
    panic!(
        "mutant {seed}: {error}\nstream: {}\nreplay: ONLOOP_MUTANT={seed} {name} {test}",
        shown(stream)
    );
}

/// Shows what is played where one mutant is replayed.
fn show(pieces: &[&[u8]], at_once: bool) {
    if number("ONLOOP_MUTANT").is_some() {
        let pieces: Vec<String> = pieces.iter().map(|piece| shown(piece)).collect();
        println!("ended at once: {at_once}, {pieces:#?}");
    }
}

#[test]
fn a_server_takes_what_is_valid_and_refuses_what_is_not() {
    let mut judge = server::Judge::new();
    for seed in seeds() {
        let mut random = Random::new(seed);
        let stream = mutant(&mut random, streams::requests);
        let pieces = cut(&stream, &mut random);
        let at_once = random.once_in(3);
        show(&pieces, at_once);
        let mut verdict = judge.play(&pieces, at_once);
        if verdict.is_ok() && seed % BATCH == 0 {
            verdict = std::mem::replace(&mut judge, server::Judge::new()).finish();
        }
        if let Err(error) = verdict {
            failed(seed, "a_server", &stream, &error);
        }
    }
    judge.finish().expect("nothing is left");
}

#[test]
fn a_client_takes_what_is_valid_and_refuses_what_is_not() {
    let mut judge = client::Judge::new();
    for seed in seeds() {
        let mut random = Random::new(seed);
        let stream = mutant(&mut random, streams::response);
        let pieces = cut(&stream, &mut random);
        let at_once = random.once_in(3);
        let method = random.pick(&["GET", "GET", "GET", "HEAD", "DELETE"]);
        // A request whose connection ends before any byte of a reply is made again.
        if stream.is_empty() {
            continue;
        }
        show(&pieces, at_once);
        let mut verdict = judge.play(method, &pieces, at_once);
        if verdict.is_ok() && seed % BATCH == 0 {
            verdict = std::mem::replace(&mut judge, client::Judge::new()).finish();
        }
        if let Err(error) = verdict {
            failed(seed, "a_client", &stream, &error);
        }
    }
    judge.finish().expect("nothing is left");
}
