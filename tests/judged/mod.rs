//! Bytes are played to a server or a client of ours, and what comes of them must be what the model says of
//! the same bytes: what the program is told, what goes back, how it ends, whatever the cuts.

// Each program that includes it uses a part of it.
#![allow(dead_code)]

pub(crate) mod client;
pub(crate) mod server;

#[path = "../model/mod.rs"]
pub(crate) mod model;
#[path = "../random/mod.rs"]
mod random;

use std::time::Duration;

use model::Limits;
use onloop::sim::{SimNet, SimOptions, SimPeer};
use onloop::{EventLoop, LoopOptions};
pub(crate) use random::Random;

/// What went wrong, in words.
pub(crate) type Verdict = Result<(), String>;

/// Pieces of a stream: all at once, byte by byte, or cut at random places.
pub(crate) fn cut<'a>(bytes: &'a [u8], random: &mut Random) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = match random.below(8) {
        0 | 1 => Vec::new(),
        2 if bytes.len() < 300 => (1..bytes.len()).collect(),
        _ => (0..1 + random.below(5)).map(|_| random.below(bytes.len().max(1))).collect(),
    };
    places.retain(|place| *place > 0 && *place < bytes.len());
    places.sort_unstable();
    places.dedup();
    let ends = places.iter().copied().chain([bytes.len()]);
    let starts = [0].into_iter().chain(places.iter().copied());
    starts.zip(ends).map(|(from, to)| &bytes[from..to]).collect()
}

/// Lets so much time pass on a simulated network.
pub(crate) fn pass(net: &SimNet, event_loop: &mut EventLoop, time: Duration) {
    let end = net.now() + time;
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        if net.now() < end && net.stalled() {
            net.advance(end - net.now());
        }
    }
}

/// A network that holds little, and on which writes are cut short or have to be tried again.
pub(crate) fn narrow() -> SimOptions {
    SimOptions::default().capacity(700).short_writes(200).would_block(100)
}

/// Sends a piece, reading what comes meanwhile; what finds the connection over is not sent.
pub(crate) fn send(
    net: &SimNet,
    event_loop: &mut EventLoop,
    peer: &SimPeer,
    piece: &[u8],
    received: &mut Vec<u8>,
) {
    let mut rest = piece;
    let mut tries = 0;
    loop {
        rest = &rest[peer.write(rest)..];
        pass(net, event_loop, TRAVEL);
        received.extend(peer.read());
        tries += 1;
        if rest.is_empty() || peer.is_reset() || peer.is_eof() {
            return;
        }
        assert!(tries < 10_000, "it is not taken");
    }
}

/// Lets everything happen that is under way.
pub(crate) fn rest(
    net: &SimNet,
    event_loop: &mut EventLoop,
    peer: &SimPeer,
    received: &mut Vec<u8>,
) {
    loop {
        pass(net, event_loop, REST);
        let more = peer.read();
        if more.is_empty() {
            return;
        }
        received.extend(more);
    }
}

/// A piece on its way takes less.
pub(crate) const TRAVEL: Duration = Duration::from_micros(120);

/// Whatever was going to happen has happened.
pub(crate) const REST: Duration = Duration::from_millis(30);

/// How long a late answer takes; timers go by milliseconds.
pub(crate) const LATE: Duration = Duration::from_millis(1);

/// Bytes as a string with escapes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = bytes.escape_ascii().to_string();
    if text.len() <= 3000 {
        return text;
    }
    format!("{} ... {} bytes ... {}", &text[..1500], bytes.len(), &text[text.len() - 1000..])
}

pub(crate) fn ensure(good: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if good { Ok(()) } else { Err(otherwise()) }
}

/// Limits that short messages run into.
pub(crate) fn small_limits() -> Limits {
    Limits {
        head_bytes: 220,
        method_bytes: 7,
        target_bytes: 24,
        fields: 5,
        empty_lines: 2,
        extension_bytes: 6,
        extension_bytes_in_all: 12,
        trailer_bytes: 220,
        trailer_fields: 5,
        content_bytes: Some(40),
        informational: 1,
    }
}

/// A loop with these limits, and a buffer that long messages do not fit in.
pub(crate) fn options(limits: &Limits) -> LoopOptions {
    let all = onloop::Limits::new()
        .read_buffer(4096)
        .max_header_size(limits.head_bytes)
        .max_method_size(limits.method_bytes)
        .max_target_size(limits.target_bytes)
        .max_headers_count(limits.fields)
        .max_empty_lines(limits.empty_lines)
        .max_extensions_per_chunk(limits.extension_bytes)
        .max_extensions_per_message(limits.extension_bytes_in_all)
        .max_informational(limits.informational as u16);
    // A trailer section has the limits of a head.
    assert!(limits.trailer_bytes == limits.head_bytes && limits.trailer_fields == limits.fields);
    LoopOptions::new().limits(match limits.content_bytes {
        Some(bytes) => all.max_body_size(bytes),
        None => all,
    })
}
