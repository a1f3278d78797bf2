//! The other client: small requests at a steady pace, while somebody else attacks.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::server::NOTHING;
use crate::wire;

/// Between two requests.
const PACE: Duration = Duration::from_millis(5);

/// What it waits for an answer before it says that there is none.
const PATIENCE: Duration = Duration::from_secs(20);

const KEPT: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Latencies in microseconds of requests that alternate between one connection that is kept and new ones,
/// until it is told to stop or a number of requests is made.
pub(crate) fn ask(port: u16, requests: usize, stop: &AtomicBool) -> io::Result<Histogram<u64>> {
    let mut latencies = Histogram::new_with_bounds(1, 60_000_000, 3).map_err(io::Error::other)?;
    let mut kept = connect(port)?;
    for number in 0..requests {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let start = Instant::now();
        if number % 2 == 0 {
            ask_kept(&mut kept, port)?;
        } else {
            exchange(&mut connect(port)?, LAST)?;
        }
        let _ = latencies.record(start.elapsed().as_micros() as u64);
        thread::sleep(PACE);
    }
    Ok(latencies)
}

/// One mistake, so that the code for mistakes is in memory: it is not what an attacker takes.
pub(crate) fn err(port: u16) -> io::Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(b"no HTTP\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}

/// Waits until the server has nothing left of an attack that is over; else says what it has.
pub(crate) fn await_rest(port: u16) -> io::Result<()> {
    let request = b"GET /left HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = connect(port)?;
    let began = Instant::now();
    loop {
        stream.write_all(request)?;
        let (head, _) = wire::read_head(&mut stream)?;
        let left = head.lines().find_map(|line| line.strip_prefix("X-Left: ")).unwrap_or_default();
        if left == NOTHING {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other(left.to_owned()));
        }
        thread::sleep(PACE);
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// On the connection that is kept. Where the server has closed it meanwhile, because nothing came for too long on a
/// machine that is too busy, a new one takes its place, as with any client.
fn ask_kept(kept: &mut TcpStream, port: u16) -> io::Result<()> {
    match exchange(kept, KEPT) {
        Err(error) if !wire::is_timeout(&error) && error.kind() != ErrorKind::Other => {
            *kept = connect(port)?;
            exchange(kept, KEPT)
        }
        result => result,
    }
}

/// One request and its whole answer, which must be the right one.
fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    stream.write_all(request)?;
    let (mut answer, mut length) = ([0; 1024], 0);
    while !answer[..length].ends_with(b"\r\n\r\nHello, World!") {
        match stream.read(&mut answer[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    match answer.starts_with(b"HTTP/1.1 200 OK\r\n") {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&answer[..length]).into_owned())),
    }
}
