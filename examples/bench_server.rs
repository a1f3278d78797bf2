//! The server that the benchmarks measure: `bench_server PORT`, on 127.0.0.1.
//!
//! `GET /plaintext`, `GET /json` (serialised per request), `POST /echo` (streamed back),
//! `GET /stream/N` (N bytes with Content-Length and backpressure); anything else is 404.

use bytes::Bytes;
use onloop::http::{self, Request, Response, ServerOptions};
use onloop::{EventLoop, Result};
use serde::Serialize;

/// One piece of a streamed body. Shared: it is never copied.
static BLOCK: [u8; 256 * 1024] = [b'x'; 256 * 1024];

#[derive(Serialize)]
struct Greeting {
    message: &'static str,
}

fn main() -> Result<()> {
    env_logger::init();
    let port = std::env::args().nth(1).and_then(|port| port.parse::<u16>().ok());
    let Some(port) = port else {
        eprintln!("usage: bench_server PORT");
        std::process::exit(2);
    };
    let mut event_loop = EventLoop::new()?;
    let options = ServerOptions::new().backlog(4096);
    let server = http::Server::new(event_loop.handle(), options)?;
    server.on_request(serve);
    server.listen(("127.0.0.1", port))?;
    event_loop.run()
}

fn serve(req: Request, mut res: Response) -> Result<()> {
    match (req.method(), req.url()) {
        ("GET", "/plaintext") => {
            res.set_header("Content-Type", "text/plain")?;
            res.end("Hello, World!");
        }
        ("GET", "/json") => {
            res.set_header("Content-Type", "application/json")?;
            let greeting = Greeting { message: "Hello, World!" };
            res.end(serde_json::to_vec(&greeting).map_err(std::io::Error::from)?);
        }
        ("POST", "/echo") => {
            if let Some(length) = req.header_bytes("content-length") {
                res.set_header("Content-Length", length)?;
            }
            req.pipe(res);
        }
        ("GET", url) => match url.strip_prefix("/stream/").and_then(|n| n.parse().ok()) {
            Some(length) => stream(res, length)?,
            None => not_found(&mut res)?,
        },
        _ => not_found(&mut res)?,
    }
    Ok(())
}

fn not_found(res: &mut Response) -> Result<()> {
    res.set_status(404);
    res.end("");
    Ok(())
}

/// Writes until there is enough, and goes on when there is room.
fn stream(res: Response, length: u64) -> Result<()> {
    res.set_header("Content-Length", length)?;
    let mut left = length;
    let mut pump = move || {
        while left > 0 {
            let size = left.min(BLOCK.len() as u64) as usize;
            left -= size as u64;
            if !res.write(Bytes::from_static(&BLOCK[..size])) && left > 0 {
                return;
            }
        }
        res.end("");
    };
    pump();
    res.on_drain(pump);
    Ok(())
}
