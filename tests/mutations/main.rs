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

use judged::server::Judge;
use judged::{Random, Verdict, cut, shown};

/// How many there are in a plain `cargo test`.
const FEW: u64 = 3_000;

/// Connections are judged by the same server for so long, then it must have nothing left.
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

/// The bytes of a mutant of requests.
fn mutant(random: &mut Random) -> Vec<u8> {
    let valid = streams::requests(random);
    // Some are left as they are.
    if random.once_in(20) {
        return valid;
    }
    let other = streams::requests(random);
    mutate::mutate(valid, &other, random)
}

fn failed(seed: u64, test: &str, stream: &[u8], error: &str) -> ! {
    panic!(
        "mutant {seed}: {error}\nstream: {}\nreplay: ONLOOP_MUTANT={seed} cargo test --test mutations {test}",
        shown(stream)
    );
}

fn judge(judge: &mut Judge, seed: u64) -> (Vec<u8>, Verdict) {
    let mut random = Random::new(seed);
    let stream = mutant(&mut random);
    let pieces = cut(&stream, &mut random);
    let at_once = random.once_in(3);
    if number("ONLOOP_MUTANT").is_some() {
        let pieces: Vec<String> = pieces.iter().map(|piece| shown(piece)).collect();
        println!("at once: {at_once}, {pieces:#?}");
    }
    let verdict = judge.play(&pieces, at_once);
    (stream, verdict)
}

#[test]
fn a_server_takes_what_is_valid_and_refuses_what_is_not() {
    let mut server = Judge::new();
    for seed in seeds() {
        let (stream, verdict) = judge(&mut server, seed);
        let verdict = match verdict {
            Ok(()) if seed % BATCH == 0 => std::mem::replace(&mut server, Judge::new()).finish(),
            verdict => verdict,
        };
        if let Err(error) = verdict {
            failed(seed, "a_server", &stream, &error);
        }
    }
    if let Err(error) = server.finish() {
        panic!("{error}");
    }
}
