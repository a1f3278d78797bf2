//! A server that shows every side of the library to those who test it: `testbed PORT [--idle SECONDS]`, on
//! 127.0.0.1. What answers what is in [`route`].
//!
//! The handlers check no header and have no clock of their own: whatever is refused is refused by the
//! library.

mod shutdown;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use onloop::http::{self, Request, Response, ServerOptions, Socket};
use onloop::{EventLoop, LoopHandle, Result};
use serde::Serialize;

const ALLOW: &str = "GET, HEAD, POST, OPTIONS";

/// More than this of a request's content is not collected.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One piece of `/stream`, borrowed and so copied; of `/bytes`, shared and never copied.
static BLOCK: [u8; 256 * 1024] = [b'x'; 256 * 1024];
const STREAM_BLOCK_BYTES: usize = 16 * 1024;

#[derive(Serialize)]
struct Greeting {
    message: &'static str,
}

fn main() -> Result<()> {
    env_logger::init();
    let Some((port, idle)) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: testbed PORT [--idle SECONDS]");
        std::process::exit(2);
    };
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();
    let options = ServerOptions::new()
        .headers_timeout(Duration::from_secs(5))
        .request_timeout(Duration::from_secs(10))
        .keep_alive_timeout(idle)
        .keep_alive_timeout_buffer(Duration::ZERO)
        .max_header_size(32 * 1024)
        .backlog(4096);
    let server = http::Server::new(lp, options)?;
    server.on_request(move |req, res| route(lp, req, res));
    server.should_upgrade(|req| {
        let asked = req.header("upgrade").is_some_and(|name| name.eq_ignore_ascii_case("raw-echo"));
        asked && path_and_query(req.url()).0 == "/upgrade"
    });
    server.on_upgrade(raw_echo);
    server.on_connect(refuse_tunnel);
    server.listen(("127.0.0.1", port))?;
    shutdown::on_signals(&event_loop, server)?;
    println!("listening on http://127.0.0.1:{}", server.port());
    event_loop.run()
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<(u16, Duration)> {
    let port = arguments.next()?.parse().ok()?;
    let mut idle = Duration::from_secs(5);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--idle" => idle = Duration::try_from_secs_f64(arguments.next()?.parse().ok()?).ok()?,
            _ => return None,
        }
    }
    Some((port, idle))
}

fn route(lp: LoopHandle, req: Request, res: Response) -> Result<()> {
    let (path, query) = path_and_query(req.url());
    let is_read = matches!(req.method(), "GET" | "HEAD");
    match (req.method(), path) {
        ("OPTIONS", _) => allow(res, 204),
        ("DELETE", _) => allow(res, 405),
        (_, "/cookie") => cookies(&req, res),
        (_, "/204") => bare(res, 204),
        (_, "/304") => bare(res, 304),
        ("GET" | "HEAD" | "POST", "/echo") => echo_head(&req, res),
        ("POST", "/pipe") => {
            res.set_header("Content-Type", "text/plain")?;
            req.pipe(res);
            Ok(())
        }
        ("POST", "/trailers") => trailers(&req, res),
        ("GET" | "HEAD", "/plaintext") => text(res, "Hello, World!"),
        ("GET" | "HEAD", "/json") => {
            let greeting = Greeting { message: "Hello, World!" };
            text(res, serde_json::to_vec(&greeting).map_err(std::io::Error::from)?)
        }
        ("GET" | "HEAD", "/inject") => inject(query, res),
        _ if !is_read => whole_body(&req, res),
        _ => match numbered(path) {
            Some(("stream", size)) => stream(&req, res, size),
            Some(("bytes", size)) => shared_bytes(&req, res, size),
            Some(("slow", delay)) => slow(lp, res, Duration::from_millis(delay)),
            _ => text(res, "OK"),
        },
    }
}

/// The path and query of a target in any of its forms (RFC 9112 §3.2).
fn path_and_query(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            rest.find(['/', '?']).map_or("/", |start| &rest[start..])
        }
        _ => target,
    };
    target.split_once('?').unwrap_or((target, ""))
}

/// `/NAME/NUMBER`.
fn numbered(path: &str) -> Option<(&str, u64)> {
    let (name, number) = path.strip_prefix('/')?.split_once('/')?;
    Some((name, number.parse().ok()?))
}

fn text<'a>(res: Response, content: impl Into<http::Chunk<'a>>) -> Result<()> {
    res.set_header("Content-Type", "text/plain")?;
    res.end(content);
    Ok(())
}

fn bare(res: Response, status: u16) -> Result<()> {
    res.set_status(status);
    res.end("");
    Ok(())
}

fn allow(res: Response, status: u16) -> Result<()> {
    res.set_header("Allow", ALLOW)?;
    bare(res, status)
}

/// Every field as it was received.
fn echo_head(req: &Request, res: Response) -> Result<()> {
    text(res, lines(req.headers()))
}

fn lines<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in fields {
        for part in [name.as_bytes(), b": ", value, b"\n"] {
            lines.extend_from_slice(part);
        }
    }
    lines
}

fn cookies(req: &Request, res: Response) -> Result<()> {
    let mut pairs = Vec::new();
    for pair in req.header_all("cookie").flat_map(|value| value.split(|byte| *byte == b';')) {
        let leading = pair.iter().take_while(|byte| **byte == b' ').count();
        let pair = &pair[leading..];
        // What stands before the first `=` is the name.
        if pair.iter().position(|byte| *byte == b'=').is_some_and(|length| length > 0) {
            pairs.extend_from_slice(pair);
            pairs.push(b'\n');
        }
    }
    text(res, pairs)
}

/// Answers with the request's whole content once it is there.
fn whole_body(req: &Request, res: Response) -> Result<()> {
    let collected = Rc::new(RefCell::new(Vec::new()));
    let (collecting, body) = (collected.clone(), req.body());
    req.on_data(move |chunk| {
        let mut collected = collecting.borrow_mut();
        if collected.len() + chunk.len() > BODY_BYTES_MAX {
            body.off_data();
            return bare(res, 413);
        }
        collected.extend_from_slice(chunk);
        Ok(())
    });
    req.on_end(move || if res.is_open() { text(res, collected.take()) } else { Ok(()) });
    Ok(())
}

fn trailers(req: &Request, res: Response) -> Result<()> {
    let body = req.body();
    req.on_data(|_| {});
    req.on_end(move || {
        let trailers = body.trailers();
        text(res, lines(trailers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))))
    });
    Ok(())
}

/// Writes `size` bytes by `write`, so many at a time and as fast as the client reads.
fn pump(
    req: &Request,
    res: Response,
    size: u64,
    block: usize,
    write: impl Fn(usize) -> bool + 'static,
) {
    if req.method() == "HEAD" {
        // There is no content, and so nothing that would ever have to wait.
        res.flush_headers();
        res.end("");
        return;
    }
    let mut left = size;
    let mut pump = move || {
        while left > 0 {
            let part = left.min(block as u64) as usize;
            left -= part as u64;
            if !write(part) && left > 0 {
                return;
            }
        }
        res.end("");
    };
    pump();
    res.on_drain(pump);
}

fn stream(req: &Request, res: Response, size: u64) -> Result<()> {
    res.set_header("Content-Type", "text/plain")?;
    pump(req, res, size, STREAM_BLOCK_BYTES, move |part| res.write(&BLOCK[..part]));
    Ok(())
}

fn shared_bytes(req: &Request, res: Response, size: u64) -> Result<()> {
    res.set_header("Content-Type", "text/plain")?;
    res.set_header("Content-Length", size)?;
    pump(req, res, size, BLOCK.len(), move |part| res.write(Bytes::from_static(&BLOCK[..part])));
    Ok(())
}

fn slow(lp: LoopHandle, res: Response, delay: Duration) -> Result<()> {
    // The connection keeps the loop running; a timer whose client is gone need not.
    lp.set_timeout(delay, move || text(res, "slow")).unref();
    Ok(())
}

/// Sets a response field from the percent-decoded `v`, if the library lets us.
fn inject(query: &str, res: Response) -> Result<()> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("v=")).unwrap_or("");
    match res.set_header("X-Inject", percent_decoded(value)) {
        Ok(()) => text(res, "OK"),
        Err(error) => {
            res.set_status(500);
            text(res, error.to_string())
        }
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (mut decoded, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if let (b'%', [high, low, tail @ ..]) = (first, tail) {
            if let (Some(high), Some(low)) = (digit(high), digit(low)) {
                decoded.push(high << 4 | low);
                rest = tail;
                continue;
            }
        }
        decoded.push(*first);
    }
    decoded
}

/// From here on the connection has no HTTP: what comes goes back.
fn raw_echo(_req: Request, socket: Socket, head: &[u8]) {
    socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw-echo\r\n\r\n",
    );
    socket.write(head);
    socket.pipe(socket);
}

/// This is no proxy.
fn refuse_tunnel(_req: Request, socket: Socket, _head: &[u8]) {
    let date = httpdate::fmt_http_date(SystemTime::now());
    socket.end(format!(
        "HTTP/1.1 405 Method Not Allowed\r\nDate: {date}\r\nAllow: {ALLOW}\r\nConnection: close\r\n\
         Content-Length: 0\r\n\r\n"
    ));
}
