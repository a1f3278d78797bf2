//! Raw servers, of which few behave.

use std::time::Duration;

use crate::random::Chance;
use crate::wires::{End, Listener, Wires};

/// What was not read of a request's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Length(usize),
    Chunked,
}

/// How a connection goes on behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// With the next request.
    Stay,
    Close,
    HalfClose,
    Reset,
}

struct Conn {
    end: Option<End>,
    input: Vec<u8>,
    content: Option<Content>,
    unsent: Vec<u8>,
    after: After,
    /// Nothing is sent before.
    not_before: Duration,
    /// It is given up then, whatever it does.
    until: Duration,
    is_silent: bool,
}

/// Servers on several ports.
pub(crate) struct Servers {
    wires: Wires,
    chance: Chance,
    listeners: Vec<Listener>,
    conns: Vec<Conn>,
    pub(crate) ports: Vec<u16>,
    pub(crate) accepted: usize,
    large: Vec<u8>,
}

impl Servers {
    pub(crate) fn new(wires: &Wires, chance: &Chance) -> Servers {
        let listeners: Vec<Listener> = (0..4).map(|_| wires.listen()).collect();
        let mut ports: Vec<u16> = listeners.iter().map(Listener::port).collect();
        // One where nobody listens.
        ports.push(1);
        Servers {
            wires: wires.clone(),
            chance: chance.clone(),
            listeners,
            conns: Vec::new(),
            ports,
            accepted: 0,
            large: vec![b'x'; 150_000],
        }
    }

    pub(crate) fn open(&self) -> usize {
        self.conns.len()
    }

    /// Does all that can be done at this moment.
    pub(crate) fn step(&mut self) {
        let now = self.wires.now();
        for at in 0..self.listeners.len() {
            while let Some(end) = self.listeners[at].accept() {
                self.accepted += 1;
                let conn = self.welcome(end, now);
                self.conns.extend(conn);
            }
        }
        for at in (0..self.conns.len()).rev() {
            self.serve(at, now);
            if self.conns[at].end.is_none() {
                drop(self.conns.swap_remove(at));
            }
        }
    }

    /// A new connection; some are not wanted.
    fn welcome(&self, mut end: End, now: Duration) -> Option<Conn> {
        let mut after = After::Stay;
        match self.chance.below(60) {
            0 => return None,
            1 => {
                end.reset();
                return None;
            }
            2 => {
                end.shutdown();
                after = After::HalfClose;
            }
            _ => {}
        }
        // An idle timeout of its own, which may be shorter than what the client takes.
        let until = now + Duration::from_millis(20) + self.chance.millis(1_500);
        Some(Conn {
            end: Some(end),
            input: Vec::new(),
            content: None,
            unsent: Vec::new(),
            after,
            not_before: now,
            until,
            is_silent: false,
        })
    }

    fn serve(&mut self, at: usize, now: Duration) {
        let conn = &mut self.conns[at];
        let Some(end) = conn.end.as_mut() else { return };
        let is_over = end.read(&mut conn.input);
        if now >= conn.until || (is_over && conn.unsent.is_empty()) {
            conn.end = None;
            return;
        }
        if now < conn.not_before {
            return;
        }
        while !conn.unsent.is_empty() {
            let Some(end) = conn.end.as_mut() else { return };
            let count = end.write(&conn.unsent);
            conn.unsent.drain(..count);
            if count == 0 {
                if is_over {
                    conn.end = None;
                }
                return;
            }
        }
        match conn.after {
            After::Stay => {}
            After::Close => conn.end = None,
            After::Reset => drop(conn.end.take().map(End::reset)),
            After::HalfClose => {
                conn.end.as_mut().map(End::shutdown);
                conn.is_silent = true;
            }
        }
        let conn = &mut self.conns[at];
        if conn.is_silent {
            conn.input.clear();
        } else if take_request(conn) {
            self.answer(at, now);
        }
    }

    /// Draws an answer, and what comes behind it.
    fn answer(&mut self, at: usize, now: Duration) {
        let chance = self.chance.clone();
        let mut bytes = self.draw_bytes();
        let conn = &mut self.conns[at];
        conn.after = match chance.below(12) {
            0 => After::Close,
            1 => After::Reset,
            2 => After::HalfClose,
            _ => After::Stay,
        };
        if conn.after != After::Stay && chance.once_in(2) {
            bytes.truncate(chance.below(bytes.len() + 1));
        }
        if chance.once_in(30) {
            conn.is_silent = true;
            bytes.clear();
        }
        if chance.once_in(8) {
            conn.not_before = now + chance.millis(150);
        }
        conn.unsent = bytes;
    }

    fn draw_bytes(&self) -> Vec<u8> {
        let fine = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        match self.chance.below(40) {
            0 => b"\x16\x03\x01 this is no answer\r\n\r\n".to_vec(),
            1 => [b"HTTP/1.1 200 OK\r\nX: ", &self.large[..20_000], b"\r\n\r\n"].concat(),
            2 => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello".to_vec(),
            3 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZ\r\n".to_vec(),
            4 => b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello".to_vec(),
            5 => b"HTTP/1.1 100 Continue\r\n\r\n".repeat(70),
            6 => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw".to_vec(),
            // What nobody asked for stands behind it.
            7 => [&fine[..], b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"].concat(),
            8 => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nup to the end".to_vec(),
            9 => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            10 | 11 => [b"HTTP/1.1 200 OK\r\nContent-Length: 150000\r\n\r\n", &self.large[..]].concat(),
            12 | 13 => [b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", &fine[..]].concat(),
            14..=18 => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n".to_vec()
            }
            _ => fine.to_vec(),
        }
    }
}

/// Takes a request's head where it is there; some are answered before their content has come.
fn take_request(conn: &mut Conn) -> bool {
    match conn.content {
        Some(Content::Length(left)) => {
            let taken = left.min(conn.input.len());
            conn.input.drain(..taken);
            conn.content = (taken < left).then_some(Content::Length(left - taken));
        }
        Some(Content::Chunked) => match find(&conn.input, b"0\r\n\r\n") {
            Some(at) => {
                conn.input.drain(..at + 5);
                conn.content = None;
            }
            None => {
                let kept = conn.input.len().saturating_sub(4);
                conn.input.drain(..kept);
            }
        },
        None => {}
    }
    if conn.content.is_some() {
        return false;
    }
    let Some(end) = find(&conn.input, b"\r\n\r\n") else {
        // What comes through a tunnel is not kept.
        if conn.input.len() > 4_096 {
            conn.input.clear();
        }
        return false;
    };
    let head = String::from_utf8_lossy(&conn.input[..end + 4]).to_ascii_lowercase();
    conn.input.drain(..end + 4);
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    conn.content = match length.and_then(|length| length.parse().ok()) {
        Some(length) => Some(Content::Length(length)),
        None if head.contains("transfer-encoding") => Some(Content::Chunked),
        None => None,
    };
    true
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, part)
}
