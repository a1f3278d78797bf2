//! Hostile clients.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::list::{Attack, Bound};
use crate::scale::Scale;
use crate::server::{HEAD_BYTES_MAX, STREAM_BLOCK_BYTES};
use crate::wire::{
    Outcome, Target, count_of, drain, fate, is_timeout, pour, read_head, repeated, reset, sip,
    status,
};

/// Between two bytes of one connection that drips.
const DRIP: Duration = Duration::from_millis(50);

/// A drip's connections take turns, so many groups of them, as those of real clients would.
const DRIP_GROUPS: usize = 10;

const HEAD: &str = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\n";
const GET: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// From its greeting on no answer to [`GET`] is like it.
const GREETING: &[u8] = b"\r\n\r\nHello, World!";

pub(crate) const ATTACKS: &[Attack] = &[
    Attack::new("(none)", nothing, &["nothing"]),
    Attack::new("slow heads, a byte per 50 ms", slow_heads, &["408"]),
    Attack::new("slow bodies, a byte per 50 ms", slow_bodies, &["408"]),
    Attack::new("silent connections", silent, &["closed"]),
    Attack::new("content announced, 9 EB, and never sent", announced, &["408"]),
    Attack::new("partial heads of 15 KB", partial_heads, &["408"]).bound(heads_bound),
    Attack::new("our side ended in the middle of a head", half_open, &["400"]),
    Attack::new("slow readers, shared content", slow_readers_shared, &["200, then dropped"]),
    Attack::new("slow readers, copied content", slow_readers, &["200, then dropped"])
        .bound(readers_bound),
    Attack::new("a reader in sips, shared content", sips_shared, &["all of it"]),
    Attack::new("a reader in sips, copied content", sips, &["all of it"]),
    Attack::new("endless method", endless_method, &["400"]),
    Attack::new("endless target", endless_target, &["414"]),
    Attack::new("endless field", endless_field, &["431"]),
    Attack::new("endless fields", endless_fields, &["431"]),
    Attack::new("endless blank lines", endless_lines, &["400"]),
    Attack::new("endless chunk size", endless_size, &["400"]),
    Attack::new("endless chunk extension", endless_extension, &["413"]),
    Attack::new("endless small chunk extensions", endless_extensions, &["413"]),
    Attack::new("endless trailers", endless_trailers, &["431"]),
    Attack::new("chunks of one byte", tiny_chunks, &["all counted"]),
    Attack::new("pipelined requests, unread at first", pipelined, &["every answer"]),
    Attack::new("the same for 16 KB each", pipelined_large, &["every answer"]),
    Attack::new("a flood of pipelined requests", flood, &["every answer"]),
    Attack::new("connect and reset", resets, &["nothing"]),
    Attack::new("upload that is answered unread", upload_ignored, &["200"]),
    Attack::new("upload that is never read", upload_held, &["408"]),
    Attack::new("upload echoed, the echo unread", upload_echoed, &["held back"]),
];

/// What the machine does to the figures by itself.
fn nothing(target: &Target) -> io::Result<Outcome> {
    thread::sleep(target.scale.look * 2);
    let mut outcome = Outcome::default();
    outcome.add("nothing");
    Ok(outcome)
}

/// Each sends at once: the clock of its head runs.
fn connect_and_send(target: &Target, count: usize, bytes: &[u8]) -> io::Result<Vec<TcpStream>> {
    let connect = |_| {
        let mut stream = target.connect()?;
        stream.write_all(bytes)?;
        Ok(stream)
    };
    (0..count).map(connect).collect()
}

/// Sends `first` on every connection, then byte after byte of `rest` over and over, until `time` is over.
fn drip(
    target: &Target,
    count: usize,
    first: &[u8],
    rest: &[u8],
    time: Duration,
) -> io::Result<Outcome> {
    let mut streams = connect_and_send(target, count, first)?;
    let sent = (count * first.len()) as u64;
    let mut outcome = Outcome { connections: count, sent, ..Outcome::default() };
    let (began, mut tick) = (Instant::now(), 0);
    while began.elapsed() < time {
        let byte = rest[tick / DRIP_GROUPS % rest.len()];
        for stream in streams.iter_mut().skip(tick % DRIP_GROUPS).step_by(DRIP_GROUPS) {
            // Those that were refused meanwhile are looked at below.
            outcome.sent += stream.write(&[byte]).unwrap_or(0) as u64;
        }
        tick += 1;
        let next = DRIP * tick as u32 / DRIP_GROUPS as u32;
        thread::sleep(next.saturating_sub(began.elapsed()));
    }
    streams.iter_mut().for_each(|stream| outcome.add(fate(stream)));
    Ok(outcome)
}

fn slow_heads(target: &Target) -> io::Result<Outcome> {
    let head = format!("{HEAD}X-Slow: {}", "x".repeat(1000));
    let time = target.scale.clocks.head + target.scale.sweep;
    let (first, rest) = head.as_bytes().split_at(1);
    drip(target, target.scale.many, first, rest, time)
}

fn slow_bodies(target: &Target) -> io::Result<Outcome> {
    let head = b"POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n";
    drip(target, target.scale.many, head, b"x", target.scale.clocks.request + target.scale.sweep)
}

/// Connections that send this, and then nothing.
fn held(target: &Target, count: usize, bytes: &[u8]) -> io::Result<Outcome> {
    drip(target, count, bytes, b"x", Duration::ZERO)
}

fn silent(target: &Target) -> io::Result<Outcome> {
    held(target, target.scale.many, b"")
}

fn announced(target: &Target) -> io::Result<Outcome> {
    let length = i64::MAX;
    let head = format!("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    held(target, target.scale.many, head.as_bytes())
}

const PARTIAL_HEAD_BYTES: usize = 15_000;

fn partial_heads(target: &Target) -> io::Result<Outcome> {
    let padding = "x".repeat(PARTIAL_HEAD_BYTES - HEAD.len() - 8);
    held(target, target.scale.many / 2, format!("{HEAD}X-Long: {padding}").as_bytes())
}

/// A head that may become one has to be kept.
fn heads_bound(scale: &Scale) -> Bound {
    let heads = scale.many / 2;
    const { assert!(PARTIAL_HEAD_BYTES < HEAD_BYTES_MAX) };
    Bound {
        bytes: Bound::PLAIN.bytes + heads * PARTIAL_HEAD_BYTES,
        reason: "what every head has sent",
    }
}

fn half_open(target: &Target) -> io::Result<Outcome> {
    let count = target.scale.many;
    let mut streams = connect_and_send(target, count, HEAD.as_bytes())?;
    let sent = (count * HEAD.len()) as u64;
    let mut outcome = Outcome { connections: count, sent, ..Outcome::default() };
    for stream in &streams {
        stream.shutdown(Shutdown::Write)?;
    }
    // All of them are here before the first one looks at what it got.
    streams.iter_mut().for_each(|stream| outcome.add(fate(stream)));
    Ok(outcome)
}

/// Connections that ask for much and read four bytes every now and then.
fn read_slowly(target: &Target, path: &str) -> io::Result<Outcome> {
    let Scale { some, download_bytes, clocks, sweep, .. } = target.scale;
    let request = format!("GET {path}/{download_bytes} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let connect = |_| {
        let mut stream = target.connect_narrow()?;
        stream.write_all(request.as_bytes())?;
        stream.set_nonblocking(true).map(|()| stream)
    };
    let mut streams: Vec<TcpStream> = (0..some).map(connect).collect::<io::Result<_>>()?;
    let sent = (some * request.len()) as u64;
    let mut outcome = Outcome { connections: some, sent, ..Outcome::default() };
    let began = Instant::now();
    let mut starts = vec![Vec::new(); some];
    while began.elapsed() < clocks.write * 2 + sweep {
        for (stream, start) in streams.iter_mut().zip(&mut starts) {
            let mut sip = [0; 4];
            let count = stream.read(&mut sip).unwrap_or(0);
            start.extend_from_slice(&sip[..count]);
        }
        thread::sleep(DRIP);
    }
    for (stream, start) in streams.iter_mut().zip(&starts) {
        stream.set_nonblocking(false)?;
        let end = match drain(stream) {
            Err(error) if is_timeout(&error) => "then left open",
            Ok(length) if length >= download_bytes => "then all of it",
            _ => "then dropped",
        };
        outcome.add(format!("{}, {end}", status(start).unwrap_or("nothing")));
    }
    Ok(outcome)
}

fn slow_readers(target: &Target) -> io::Result<Outcome> {
    read_slowly(target, "/stream")
}

fn slow_readers_shared(target: &Target) -> io::Result<Outcome> {
    read_slowly(target, "/bytes")
}

/// What a handler copies is kept up to the high-water mark and the piece that goes beyond, in a buffer that grows by a
/// quarter.
fn readers_bound(scale: &Scale) -> Bound {
    const HIGH_WATER_MARK: usize = 64 * 1024;
    Bound {
        bytes: Bound::PLAIN.bytes + scale.some * (HIGH_WATER_MARK * 5 / 4 + STREAM_BLOCK_BYTES),
        reason: "the high-water mark, a quarter of it and a piece for each",
    }
}

/// One that reads everything, but in small pieces.
fn read_in_sips(target: &Target, path: &str) -> io::Result<Outcome> {
    let mut stream = target.connect_narrow()?;
    let wanted = target.scale.download_bytes;
    let request = format!("GET {path}/{wanted} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut outcome = Outcome { connections: 1, sent: request.len() as u64, ..Outcome::default() };
    match sip(&mut stream, 4096) {
        Ok(count) if count == wanted => outcome.add("all of it"),
        Ok(count) => outcome.add(format!("{count} bytes")),
        Err(error) => outcome.add(error.to_string()),
    }
    Ok(outcome)
}

fn sips(target: &Target) -> io::Result<Outcome> {
    read_in_sips(target, "/stream")
}

fn sips_shared(target: &Target) -> io::Result<Outcome> {
    read_in_sips(target, "/bytes")
}

/// Runs one attacker per connection, each on a thread of its own.
fn each(
    target: &Target,
    count: usize,
    attacker: impl Fn(&mut TcpStream) -> io::Result<(u64, String)> + Sync,
) -> io::Result<Outcome> {
    let run = || -> io::Result<(u64, String)> { attacker(&mut target.connect()?) };
    thread::scope(|scope| {
        let attackers: Vec<_> = (0..count).map(|_| scope.spawn(run)).collect();
        let mut outcome = Outcome { connections: count, ..Outcome::default() };
        for attacker in attackers {
            let (sent, fate) =
                attacker.join().map_err(|_| io::Error::other("an attacker panicked"))??;
            outcome.sent += sent;
            outcome.add(fate);
        }
        Ok(outcome)
    })
}

/// Sends `first` and then `unit` over and over, whatever comes back, until the connection breaks.
fn endless(target: &Target, first: &str, unit: &str) -> io::Result<Outcome> {
    let (block, limit) = (repeated(unit, 64 * 1024), target.scale.endless_bytes);
    each(target, target.scale.few, |stream| {
        stream.write_all(first.as_bytes())?;
        let sent = pour(stream, &block, limit);
        Ok((first.len() as u64 + sent, fate(stream)))
    })
}

const CHUNKED: &str =
    "POST /count HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

fn endless_method(target: &Target) -> io::Result<Outcome> {
    endless(target, "", "G")
}

fn endless_target(target: &Target) -> io::Result<Outcome> {
    endless(target, "GET /", "x")
}

fn endless_field(target: &Target) -> io::Result<Outcome> {
    endless(target, &format!("{HEAD}X-Endless: "), "x")
}

fn endless_fields(target: &Target) -> io::Result<Outcome> {
    endless(target, HEAD, "X-Endless: endless\r\n")
}

fn endless_lines(target: &Target) -> io::Result<Outcome> {
    endless(target, "", "\r\n")
}

fn endless_size(target: &Target) -> io::Result<Outcome> {
    endless(target, CHUNKED, "0")
}

fn endless_extension(target: &Target) -> io::Result<Outcome> {
    endless(target, &format!("{CHUNKED}1;"), "x")
}

fn endless_extensions(target: &Target) -> io::Result<Outcome> {
    endless(target, CHUNKED, "1;name=value\r\nx\r\n")
}

fn endless_trailers(target: &Target) -> io::Result<Outcome> {
    endless(target, &format!("{CHUNKED}1\r\nx\r\n0\r\n"), "X-Endless: endless\r\n")
}

fn tiny_chunks(target: &Target) -> io::Result<Outcome> {
    let count = target.scale.chunks;
    let body = [b"1\r\nx\r\n".repeat(count), b"0\r\n\r\n".to_vec()].concat();
    each(target, target.scale.few, |stream| {
        stream.write_all(CHUNKED.as_bytes())?;
        stream.write_all(&body)?;
        let (head, _) = read_head(stream)?;
        let counted = head.contains(&format!("Content-Length: {}\r\n", count.to_string().len()));
        let fate = if counted { "all counted" } else { head.as_str() };
        Ok(((CHUNKED.len() + body.len()) as u64, fate.to_owned()))
    })
}

/// Sends all requests, looks away for a while, and then reads.
fn pipeline(target: &Target, request: &[u8], end: &[u8]) -> io::Result<Outcome> {
    let Scale { pipelined, look, .. } = target.scale;
    each(target, 1, |stream| {
        let mut sending = stream.try_clone()?;
        let requests = request.repeat(pipelined);
        let found = thread::scope(|scope| {
            let sender = scope.spawn(|| sending.write_all(&requests));
            thread::sleep(look);
            let found = count_of(stream, end, pipelined)?;
            sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
            Ok::<_, io::Error>(found)
        })?;
        let every = found == pipelined;
        let fate = if every { "every answer".into() } else { format!("{found} answers") };
        Ok((requests.len() as u64, fate))
    })
}

fn pipelined(target: &Target) -> io::Result<Outcome> {
    pipeline(target, GET, GREETING)
}

fn pipelined_large(target: &Target) -> io::Result<Outcome> {
    let request = b"GET /stream/16384 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    pipeline(target, request, b"HTTP/1.1 200 OK\r\n")
}

/// As many requests as the server takes, with every answer read.
fn flood(target: &Target) -> io::Result<Outcome> {
    each(target, 1, |stream| {
        let mut sending = stream.try_clone()?;
        let batch = GET.repeat(100);
        let (began, look) = (Instant::now(), target.scale.look);
        thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut requests = 0;
                while began.elapsed() < look {
                    sending.write_all(&batch)?;
                    requests += 100;
                }
                sending.shutdown(Shutdown::Write).map(|()| requests)
            });
            let found = count_of(stream, GREETING, usize::MAX)?;
            let requests = sender.join().map_err(|_| io::Error::other("the sender panicked"))??;
            let every = found == requests;
            let fate = if every { "every answer".into() } else { format!("{found} of {requests}") };
            Ok(((requests * GET.len()) as u64, fate))
        })
    })
}

/// Connections that are reset, every other one in the middle of a request.
fn resets(target: &Target) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let began = Instant::now();
    while began.elapsed() < target.scale.look && outcome.connections < 100_000 {
        let mut stream = target.connect()?;
        if outcome.connections % 2 == 0 {
            outcome.sent += stream.write(HEAD.as_bytes())? as u64;
        }
        outcome.connections += 1;
        reset(&stream);
    }
    outcome.add("nothing");
    Ok(outcome)
}

/// Sends a long content to this path; for so long, if it is not taken.
fn upload(
    target: &Target,
    path: &str,
    patience: Duration,
    end: impl Fn(&mut TcpStream, u64) -> String + Sync,
) -> io::Result<Outcome> {
    let size = target.scale.upload_bytes;
    let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    let block = repeated("x", 64 * 1024);
    each(target, target.scale.few, |stream| {
        stream.set_write_timeout(Some(patience))?;
        stream.write_all(head.as_bytes())?;
        let sent = pour(stream, &block, size);
        Ok((head.len() as u64 + sent, end(stream, sent)))
    })
}

fn upload_ignored(target: &Target) -> io::Result<Outcome> {
    upload(target, "/ignore", target.scale.look, |stream, _| fate(stream))
}

fn upload_held(target: &Target) -> io::Result<Outcome> {
    upload(target, "/hold", target.scale.look, |stream, _| fate(stream))
}

fn upload_echoed(target: &Target) -> io::Result<Outcome> {
    let size = target.scale.upload_bytes;
    upload(target, "/pipe", target.scale.look, |_, sent| {
        let fate = if sent < size { "held back" } else { "taken without end" };
        fate.to_owned()
    })
}
