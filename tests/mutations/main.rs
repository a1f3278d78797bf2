//! Seeded mutants of valid streams against the model: no malformed message is accepted, no valid one refused,
//! every answer to a valid request before a flaw arrives whole and in order, none comes after the close, and
//! nothing is left behind.
//!
//! `ONLOOP_MUTANTS=100000` plays so many of each kind, `ONLOOP_MUTANTS_FROM=7000000` begins elsewhere, and
//! `ONLOOP_MUTANT=42` plays one alone and shows it (one that fails only behind others of its batch is found with
//! `ONLOOP_MUTANTS_FROM`, and `ONLOOP_MUTANTS` small). Long runs are for
//! `ONLOOP_MUTANTS=100000 cargo test --profile checked --test mutations`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../judged/mod.rs"]
mod judged;
mod loopback;
mod mutate;
mod streams;

use std::collections::BTreeMap;
use std::ops::Range;

use judged::model::Limits;
use judged::{Random, Verdict, client, cut, server, shown, small_limits};

/// How many there are in a plain `cargo test`.
const FEW: u64 = 2_000;

/// Most of those that are played over real sockets.
const REAL: u64 = 400;

/// Mutants are played to the same server or client for so long, then it must have nothing left.
const BATCH: u64 = 500;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds of this run.
fn seeds() -> Range<u64> {
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

/// What is being played. Where that ends in a panic, ours or the library's, the line that does it again is said.
struct Replay<'a> {
    seed: u64,
    test: &'a str,
    stream: &'a [u8],
}

impl Drop for Replay<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Replay { seed, test, stream } = self;
            eprintln!("stream: {}", shown(stream));
            eprintln!("replay: ONLOOP_MUTANT={seed} cargo test --test mutations {test}");
        }
    }
}

/// Shows what is played where one mutant is replayed.
fn show(pieces: &[&[u8]], at_once: bool) {
    if number("ONLOOP_MUTANT").is_some() {
        let pieces: Vec<String> = pieces.iter().map(|piece| shown(piece)).collect();
        println!("ended at once: {at_once}, {pieces:#?}");
    }
}

/// Plays the mutants of a run to judges that `make` makes; all of these endings must have been met.
fn play_all<J: Judge>(
    test: &str,
    make: fn() -> J,
    valid: fn(&mut Random) -> Vec<u8>,
    seeds: Range<u64>,
    endings: &[&str],
) {
    let mut judge = make();
    let mut tally = BTreeMap::new();
    let many = seeds.end - seeds.start >= FEW;
    for seed in seeds {
        let mut random = Random::new(seed);
        let stream = mutant(&mut random, valid);
        let pieces = cut(&stream, &mut random);
        let at_once = random.once_in(3);
        let _replay = Replay { seed, test, stream: &stream };
        show(&pieces, at_once);
        let mut verdict = judge.play(&pieces, at_once, &mut random);
        if verdict.is_ok() && seed % BATCH == 0 {
            verdict = std::mem::replace(&mut judge, make()).finish(&mut tally);
        }
        assert!(verdict.is_ok(), "mutant {seed}: {}", verdict.unwrap_err());
    }
    judge.finish(&mut tally).expect("nothing is left");
    println!("{test}: {tally:?}");
    // A runner that never meets one of them proves nothing of it.
    assert!(!many || endings.iter().all(|ending| tally.contains_key(ending)), "{tally:?}");
}

type Tally = BTreeMap<&'static str, u32>;

trait Judge {
    fn play(&mut self, pieces: &[&[u8]], at_once: bool, random: &mut Random) -> Verdict;
    fn finish(self, tally: &mut Tally) -> Verdict;
}

fn add(tally: &mut Tally, more: &Tally) {
    for (ending, count) in more {
        *tally.entry(ending).or_default() += count;
    }
}

impl Judge for server::Judge {
    fn play(&mut self, pieces: &[&[u8]], at_once: bool, _: &mut Random) -> Verdict {
        self.play(pieces, at_once)
    }

    fn finish(self, tally: &mut Tally) -> Verdict {
        add(tally, &self.tally);
        self.finish()
    }
}

impl Judge for client::Judge {
    fn play(&mut self, pieces: &[&[u8]], at_once: bool, random: &mut Random) -> Verdict {
        let method = random.pick(&["GET", "GET", "GET", "HEAD", "DELETE"]);
        // A request whose connection ends before any byte of a reply is made again.
        if pieces.concat().is_empty() { Ok(()) } else { self.play(method, pieces, at_once) }
    }

    fn finish(self, tally: &mut Tally) -> Verdict {
        add(tally, &self.tally);
        self.finish()
    }
}

impl Judge for loopback::Judge {
    fn play(&mut self, pieces: &[&[u8]], at_once: bool, _: &mut Random) -> Verdict {
        self.play(pieces, at_once)
    }

    fn finish(self, _: &mut Tally) -> Verdict {
        self.finish();
        Ok(())
    }
}

const OF_SERVERS: [&str; 4] = ["ends", "cut", "refused", "closes"];
const OF_CLIENTS: [&str; 4] = ["kept", "complete", "cut", "refused"];

#[test]
fn a_server_takes_what_is_valid_and_refuses_what_is_not() {
    let make = || server::Judge::new(Limits::default());
    play_all("a_server_takes", make, streams::requests, seeds(), &OF_SERVERS);
}

#[test]
fn a_server_with_small_limits_refuses_what_is_too_much() {
    let make = || server::Judge::new(small_limits()).on_narrow_network();
    play_all("a_server_with", make, streams::requests, seeds(), &OF_SERVERS);
}

#[test]
fn a_client_takes_what_is_valid_and_refuses_what_is_not() {
    let make = || client::Judge::new(Limits::default());
    play_all("a_client_takes", make, streams::response, seeds(), &OF_CLIENTS);
}

#[test]
fn a_client_with_small_limits_refuses_what_is_too_much() {
    let make = || client::Judge::new(small_limits()).on_narrow_network();
    play_all("a_client_with", make, streams::response, seeds(), &OF_CLIENTS);
}

#[test]
fn over_real_sockets_it_is_the_same() {
    let all = seeds();
    let some = all.start..all.end.min(all.start + REAL);
    play_all("over_real", loopback::Judge::new, streams::requests, some, &[]);
}
