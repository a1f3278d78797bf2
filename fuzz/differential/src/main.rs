//! What onloop makes of byte streams: the third beside `read_h11.py` and `read_llhttp.js`.
//!
//! Through the public API, on the simulated network, so that it is the product that is compared: a server whose
//! handler notes what it is given, a client that notes what it is answered. Every stream is played twice, whole and
//! cut in two; where the views differ, that is told as `broken`, as is a request without its answer.
//!
//! In: streams, each a length (four bytes, little-endian), who reads it (one byte, see [`Role`]), its bytes.
//! Out: one line of JSON for each, see [`View::line`].

mod client;
mod server;
mod view;

use std::io::{self, BufWriter, Read, Write};
use std::time::Duration;

use onloop::EventLoop;
use onloop::sim::{SimNet, SimPeer};

use client::Client;
use server::Server;
use view::View;

/// Who reads a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    /// A client that has made a request with this method.
    Client(&'static str),
}

impl Role {
    fn of(byte: u8) -> Option<Role> {
        match byte {
            b'S' => Some(Role::Server),
            b'G' => Some(Role::Client("GET")),
            b'H' => Some(Role::Client("HEAD")),
            b'C' => Some(Role::Client("CONNECT")),
            _ => None,
        }
    }
}

/// How far a turn may let time go on. Everything on the way arrives sooner.
const QUIET: Duration = Duration::from_millis(1);

/// Turns that one stream may keep the loop busy.
const TURNS_MAX: usize = 10_000;

/// Turns the loop until nothing happens any more.
pub(crate) fn settle(net: &SimNet, event_loop: &mut EventLoop) {
    for _ in 0..TURNS_MAX {
        let before = net.now();
        event_loop.turn(Some(QUIET)).expect("a simulated network does not fail");
        if net.now() - before >= QUIET {
            return;
        }
    }
    panic!("the loop does not come to rest");
}

/// Sends `bytes` in two pieces, or in one where `cut` is at an end.
pub(crate) fn send(
    net: &SimNet,
    event_loop: &mut EventLoop,
    peer: &SimPeer,
    bytes: &[u8],
    cut: usize,
) {
    let (first, second) = bytes.split_at(cut);
    for piece in [first, second] {
        if !piece.is_empty() {
            let written = peer.write(piece);
            // Whoever has closed takes nothing more.
            assert!(written == piece.len() || written == 0, "streams fit into the network");
            settle(net, event_loop);
        }
    }
}

/// Somewhere within the stream; the same place for the same stream.
fn cut_of(bytes: &[u8]) -> usize {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 16) as usize % bytes.len().max(1)
}

fn next_stream(input: &mut impl Read) -> io::Result<Option<(Role, Vec<u8>)>> {
    let mut prefix = [0; 5];
    match input.read_exact(&mut prefix) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let [a, b, c, d, role] = prefix;
    let role = Role::of(role).ok_or(io::ErrorKind::InvalidInput)?;
    let mut bytes = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
    input.read_exact(&mut bytes)?;
    Ok(Some((role, bytes)))
}

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut server = Server::new().map_err(io::Error::other)?;
    let mut client = Client::new();
    while let Some((role, bytes)) = next_stream(&mut input)? {
        let mut play = |cut| match role {
            Role::Server => server.play(&bytes, cut),
            Role::Client(method) => client.play(method, &bytes, cut),
        };
        let mut view: View = play(0);
        let cut = cut_of(&bytes);
        let other = play(cut);
        if view.broken.is_none() && !view.is_same(&other) {
            view.broken = Some(format!("cut at {cut}: {}", other.line()));
        }
        writeln!(output, "{}", view.line())?;
    }
    output.flush()
}
