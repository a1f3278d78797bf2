//! Hostile servers: the process is told to ask them.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::Attack;
use crate::scale::Scale;
use crate::wire::{Outcome, Target, pour, read_head, repeated};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("a server's endless reason", endless_reason, &["HPE_HEADER_OVERFLOW"]),
    Attack::new("a server's endless fields", endless_fields, &["HPE_HEADER_OVERFLOW"]),
    Attack::new("a server's endless 1xx", endless_1xx, &["ERR_HTTP_TOO_MANY_INFORMATIONAL"]),
    Attack::new("a server's endless chunk size", endless_size, &["HPE_INVALID_CHUNK_SIZE"]),
    Attack::new(
        "a server's endless extension",
        endless_extension,
        &["HPE_CHUNK_EXTENSIONS_OVERFLOW"],
    ),
    Attack::new("a server's endless trailers", endless_trailers, &["HPE_HEADER_OVERFLOW"]),
    Attack::new("a server's slow head", slow_head, &["ETIMEDOUT"]),
    Attack::new("a server's slow body", slow_body, &["ETIMEDOUT"]),
    Attack::new("a silent server", silent, &["ETIMEDOUT"]),
    Attack::new("a response behind the response", response_behind, &["200 with 4 bytes"]),
    Attack::new("200 MB for a slow reader, through a proxy", relayed, &["held back"]),
];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Between two bytes of an answer that drips.
const DRIP: Duration = Duration::from_millis(50);

/// Serves with `serve` on a port of its own, and has `ask` do something with that port meanwhile. What `serve` got rid
/// of is counted.
fn hostile(
    serve: impl Fn(&mut TcpStream) -> io::Result<u64> + Sync,
    ask: impl FnOnce(u16) -> io::Result<Outcome>,
) -> io::Result<Outcome> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let answer = |mut stream: TcpStream| {
        // That the other side ends it is what is hoped for.
        let _ = read_head(&mut stream);
        sent.fetch_add(serve(&mut stream).unwrap_or(0), Ordering::Relaxed);
    };
    let outcome = thread::scope(|scope| {
        let (answer, over, listener) = (&answer, &over, &listener);
        scope.spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                scope.spawn(move || answer(stream));
            }
        });
        let outcome = ask(address.port());
        over.store(true, Ordering::Relaxed);
        // So that the listener looks.
        TcpStream::connect(address)?;
        outcome
    });
    outcome.map(|outcome| Outcome { sent: sent.into_inner(), ..outcome })
}

/// Has the process ask that port, so many times at once, and so many times one after the other.
fn fetch(target: &Target, port: u16, at_once: usize, rounds: usize) -> io::Result<Outcome> {
    let mut outcome = Outcome { connections: at_once, ..Outcome::default() };
    for _ in 0..rounds {
        let mut streams = target.connect_many(at_once)?;
        for stream in &mut streams {
            stream.write_all(format!("GET /fetch/{port} HTTP/1.0\r\n\r\n").as_bytes())?;
        }
        for stream in &mut streams {
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            let body = answer.split_once("\r\n\r\n").map_or(answer.as_str(), |(_, body)| body);
            outcome.add(body);
        }
    }
    Ok(outcome)
}

/// Sends `first` and then `unit` over and over.
fn endless(target: &Target, first: &[u8], unit: &str) -> io::Result<Outcome> {
    let block = repeated(unit, 64 * 1024);
    let serve = |stream: &mut TcpStream| {
        stream.write_all(first)?;
        Ok(first.len() as u64 + pour(stream, &block, target.scale.endless_bytes))
    };
    hostile(serve, |port| fetch(target, port, target.scale.few, 1))
}

fn endless_reason(target: &Target) -> io::Result<Outcome> {
    endless(target, b"HTTP/1.1 200 O", "K")
}

fn endless_fields(target: &Target) -> io::Result<Outcome> {
    endless(target, OK, "X-Endless: endless\r\n")
}

fn endless_1xx(target: &Target) -> io::Result<Outcome> {
    endless(target, b"", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
}

fn endless_size(target: &Target) -> io::Result<Outcome> {
    endless(target, CHUNKED, "0")
}

fn endless_extension(target: &Target) -> io::Result<Outcome> {
    endless(target, &[CHUNKED, b"1;"].concat(), "x")
}

fn endless_trailers(target: &Target) -> io::Result<Outcome> {
    endless(target, &[CHUNKED, b"1\r\nx\r\n0\r\n"].concat(), "X-Endless: endless\r\n")
}

/// Sends `first`, and then a byte every now and then until the client goes away.
fn drip(target: &Target, first: &[u8]) -> io::Result<Outcome> {
    let serve = |stream: &mut TcpStream| {
        stream.write_all(first)?;
        let mut sent = first.len() as u64;
        while stream.write_all(b"x").is_ok() {
            sent += 1;
            thread::sleep(DRIP);
        }
        Ok(sent)
    };
    hostile(serve, |port| fetch(target, port, target.scale.some, 1))
}

fn slow_head(target: &Target) -> io::Result<Outcome> {
    drip(target, &[OK, b"X-Slow: "].concat())
}

fn slow_body(target: &Target) -> io::Result<Outcome> {
    drip(target, &[OK, b"Content-Length: 1000000\r\n\r\n"].concat())
}

fn silent(target: &Target) -> io::Result<Outcome> {
    let serve = |stream: &mut TcpStream| stream.read(&mut [0]).map(|_| 0);
    hostile(serve, |port| fetch(target, port, target.scale.some, 1))
}

/// Each answer has another one behind it, which must not become that of the next request.
fn response_behind(target: &Target) -> io::Result<Outcome> {
    const BOTH: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood\
        HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nevil!";
    let serve = |stream: &mut TcpStream| {
        let mut sent = 0;
        loop {
            stream.write_all(BOTH)?;
            sent += BOTH.len() as u64;
            if read_head(stream).is_err() {
                return Ok(sent);
            }
        }
    };
    hostile(serve, |port| fetch(target, port, target.scale.few, 50))
}

/// A download that nobody reads, with the process between both ends.
fn relayed(target: &Target) -> io::Result<Outcome> {
    let Scale { few, look, download_bytes, .. } = target.scale;
    let full = AtomicU64::new(0);
    let serve = |stream: &mut TcpStream| {
        stream.set_write_timeout(Some(look))?;
        stream.write_all(OK)?;
        stream.write_all(format!("Content-Length: {download_bytes}\r\n\r\n").as_bytes())?;
        let sent = pour(stream, &[b'x'; 64 * 1024], download_bytes);
        full.fetch_add(u64::from(sent >= download_bytes), Ordering::Relaxed);
        Ok(sent)
    };
    hostile(serve, |port| {
        let mut outcome = Outcome { connections: few, ..Outcome::default() };
        let mut streams =
            (0..few).map(|_| target.connect_narrow()).collect::<io::Result<Vec<_>>>()?;
        for stream in &mut streams {
            stream
                .write_all(format!("GET /relay/{port} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
        }
        let began = Instant::now();
        for stream in &mut streams {
            read_head(stream)?;
        }
        thread::sleep((look * 2).saturating_sub(began.elapsed()));
        let through = full.load(Ordering::Relaxed);
        for _ in 0..few {
            outcome.add(if through == 0 { "held back" } else { "taken without end" });
        }
        Ok(outcome)
    })
}
