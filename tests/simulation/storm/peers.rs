//! Raw connections: clients of the loops' servers, and servers for the loops' clients. Each has a script: bytes, waits,
//! and an end of some kind. A server's goes on with each request that comes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use onloop::Address;
use onloop::sim::{SimNet, SimPeer};

use super::world::World;

#[derive(Debug)]
enum Step {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// Nothing more is said.
    HalfClose,
    Close,
    Reset,
}

/// How what comes is read.
#[derive(Debug, Clone, Copy)]
enum Reads {
    All,
    /// So many bytes at a time.
    Some(usize),
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Conversation {
    /// Until it is closed or reset.
    peer: Option<SimPeer>,
    script: VecDeque<Step>,
    until: Duration,
    reads: Reads,
    is_server: bool,
    /// Of a server: what has come of a request.
    received: Vec<u8>,
}

impl Conversation {
    /// A client of the loops' server at this port.
    pub(crate) fn client(net: &SimNet, w: &World, port: u16) -> Conversation {
        let peer = net.connect(&Address::from(SocketAddr::from(([127, 0, 0, 1], port))));
        let mut script = VecDeque::new();
        if w.one_in(3) {
            script.push_back(Step::Wait(w.millis(500)));
        }
        say(w, requests(w), &mut script);
        finish(w, &mut script);
        Conversation::new(peer, script, w, false)
    }

    /// A server of a loop's client.
    pub(crate) fn server(peer: SimPeer, w: &World) -> Conversation {
        let mut script = VecDeque::new();
        match w.below(12) {
            // It speaks before it is spoken to, or goes.
            0 => say(w, answer(w), &mut script),
            1 => finish(w, &mut script),
            _ => {}
        }
        Conversation::new(peer, script, w, true)
    }

    fn new(peer: SimPeer, script: VecDeque<Step>, w: &World, is_server: bool) -> Conversation {
        let reads = match w.below(6) {
            0 => Reads::Nothing,
            1 => Reads::Some(1 + w.below(3000)),
            _ => Reads::All,
        };
        // A server that does not read never answers.
        let reads = if is_server && w.below(4) > 0 { Reads::All } else { reads };
        let until = Duration::ZERO;
        Conversation { peer: Some(peer), script, until, reads, is_server, received: Vec::new() }
    }

    /// False when it is over.
    pub(crate) fn go_on(&mut self, w: &World, now: Duration) -> bool {
        let Some(peer) = &self.peer else {
            return false;
        };
        let bytes = match self.reads {
            Reads::All => peer.read(),
            Reads::Some(count) => peer.read_up_to(count),
            Reads::Nothing => Vec::new(),
        };
        if peer.is_reset() {
            return false;
        }
        if self.is_server {
            self.received.extend(bytes);
            while let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                self.received.drain(..end + 4);
                if w.one_in(3) {
                    self.script.push_back(Step::Wait(w.millis(2000)));
                }
                say(w, answer(w), &mut self.script);
                if w.one_in(6) {
                    finish(w, &mut self.script);
                }
            }
        }
        while now >= self.until {
            let Some(step) = self.script.pop_front() else {
                // Whoever has heard the end has nothing to wait for.
                return !self.peer.as_ref().is_some_and(SimPeer::is_eof);
            };
            self.take(step, now);
            if self.peer.is_none() {
                return false;
            }
        }
        true
    }

    fn take(&mut self, step: Step, now: Duration) {
        match (step, &self.peer) {
            (Step::Bytes(bytes), Some(peer)) => {
                let taken = peer.write(&bytes);
                if taken < bytes.len() && !peer.is_reset() {
                    self.script.push_front(Step::Bytes(bytes[taken..].into()));
                    self.until = now + Duration::from_millis(5);
                }
            }
            (Step::Wait(time), _) => self.until = now + time,
            (Step::HalfClose, Some(peer)) => peer.shutdown_write(),
            (Step::Close, _) => drop(self.peer.take()),
            (Step::Reset, _) => {
                if let Some(peer) = self.peer.take() {
                    peer.reset();
                }
            }
            (_, None) => {}
        }
    }
}

/// At once, in two parts, or byte by byte; not always as it should be, and not always whole.
fn say(w: &World, mut bytes: Vec<u8>, script: &mut VecDeque<Step>) {
    if w.one_in(6) {
        for _ in 0..1 + w.below(3) {
            spoil(w, &mut bytes);
        }
    }
    if w.one_in(10) {
        bytes.truncate(w.below(bytes.len() + 1));
    }
    match w.below(6) {
        0 => {
            let rest = bytes.split_off(w.below(bytes.len() + 1));
            script.push_back(Step::Bytes(bytes));
            script.push_back(Step::Wait(w.millis(3000)));
            script.push_back(Step::Bytes(rest));
        }
        1 => {
            let size = 1 + w.below(30);
            for piece in bytes.chunks(size.max(bytes.len() / 200)) {
                script.push_back(Step::Bytes(piece.into()));
                script.push_back(Step::Wait(w.millis(50)));
            }
        }
        _ => script.push_back(Step::Bytes(bytes)),
    }
}

/// Some bytes are others, are missing, or are there twice.
fn spoil(w: &World, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let place = w.below(bytes.len());
    match w.below(4) {
        0 => bytes[place] = w.below(256) as u8,
        1 => _ = bytes.remove(place),
        2 => bytes.insert(place, b"\r\n\0 :;,0f"[w.below(9)]),
        _ => {
            let end = (place + w.below(20)).min(bytes.len());
            let again = bytes[place..end].to_vec();
            bytes.splice(place..place, again);
        }
    }
}

/// How a connection ends, where it does by itself.
fn finish(w: &World, script: &mut VecDeque<Step>) {
    if w.one_in(2) {
        script.push_back(Step::Wait(w.millis([10, 2000, 60_000][w.below(3)])));
    }
    match w.below(8) {
        0..=1 => script.push_back(Step::HalfClose),
        2..=3 => script.push_back(Step::Close),
        4 => script.push_back(Step::Reset),
        // It stays, and is silent.
        _ => {}
    }
}

/// One request or many.
fn requests(w: &World) -> Vec<u8> {
    let count = match w.below(6) {
        0 => 2 + w.below(30),
        1 => 2,
        _ => 1,
    };
    (0..count).flat_map(|_| request(w)).collect()
}

fn request(w: &World) -> Vec<u8> {
    let content = "x".repeat(w.below([10, 300, 8000][w.below(3)]));
    let length = content.len();
    let text = match w.below(16) {
        0..=3 => "GET /a HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        4 => "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        5 => "GET /a HTTP/1.0\r\n\r\n".into(),
        6 => "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".into(),
        7..=8 => {
            format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{content}")
        }
        9 => format!(
            "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            chunks(w, &content)
        ),
        10 => format!(
            "PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n{content}"
        ),
        11 => "GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\nraw bytes"
            .into(),
        12 => "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nraw bytes".into(),
        13 => format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "long".repeat(w.below(6000))),
        14 => {
            format!("GET /a HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Many: 1\r\n".repeat(w.below(3000)))
        }
        _ => format!("{}GET /a HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n".repeat(w.below(200))),
    };
    text.into_bytes()
}

fn chunks(w: &World, content: &str) -> String {
    let mut text = String::new();
    let size = 1 + w.below(1000);
    for piece in content.as_bytes().chunks(size) {
        let extension = if w.one_in(8) { ";name=value" } else { "" };
        text.push_str(&format!("{:x}{extension}\r\n", piece.len()));
        text.push_str(&"y".repeat(piece.len()));
        text.push_str("\r\n");
    }
    text.push_str("0\r\n");
    if w.one_in(3) {
        text.push_str("X-Trailer: 1\r\n");
    }
    text.push_str("\r\n");
    text
}

/// What a raw server says to a request.
fn answer(w: &World) -> Vec<u8> {
    let content = "z".repeat(w.below([10, 300, 8000][w.below(3)]));
    let length = content.len();
    let text = match w.below(18) {
        0..=4 => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}"),
        5 => format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunks(w, &content)),
        6 => format!("HTTP/1.1 200 OK\r\n\r\n{content}"),
        7 => format!("HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n{content}"),
        8 => format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{content}"),
        9 => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        10 => format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}"),
        11 => format!("{}HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(w.below(80))),
        12 => "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\nraw".into(),
        13 => "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 3\r\n\r\nabc".into(),
        14 => "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://sim.test:81/c\r\nContent-Length: 0\r\n\r\n".into(),
        15 => "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy".into(),
        16 => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1\r\n\r\nok and more".into(),
        _ => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{content}", length + 10),
    };
    text.into_bytes()
}
