//! The process that is attacked: a server written as a user would, and a client inside it that asks whom it is
//! told to. Nothing here defends anything.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use onloop::http::{self, IncomingResponse, Request, RequestOptions, Response, ServerOptions};
use onloop::sim::{self, LoopStats};
use onloop::{EventLoop, LoopHandle};

use crate::scale::Clocks;

/// One piece of `/stream`, borrowed and so copied; of `/bytes`, shared and never copied.
static BLOCK: [u8; 256 * 1024] = [b'x'; 256 * 1024];
pub(crate) const STREAM_BLOCK_BYTES: usize = 16 * 1024;

/// Most bytes of a head.
pub(crate) const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Runs until it is killed. The first line that it prints ends with its port.
pub(crate) fn run(clocks: Clocks) -> Result<(), Box<dyn Error>> {
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();
    // As in the example `testbed`, with shorter clocks.
    let options = ServerOptions::new()
        .headers_timeout(clocks.head)
        .request_timeout(clocks.request)
        .write_timeout(clocks.write)
        .keep_alive_timeout(clocks.head)
        .keep_alive_timeout_buffer(Duration::ZERO)
        .max_header_size(HEAD_BYTES_MAX)
        .backlog(4096);
    let server = http::Server::new(lp, options)?;
    let left = Rc::new(Left::default());
    let told = Rc::clone(&left);
    server.on_request(move |req, res| match req.url() {
        "/left" => {
            told.is_asked.set(true);
            res.set_header("X-Left", told.answer.borrow().as_str())?;
            res.end("");
            Ok(())
        }
        _ => route(lp, clocks, &req, res),
    });
    server.listen("127.0.0.1:0")?;
    println!("listening on http://127.0.0.1:{}", server.port());
    while event_loop.is_alive() {
        event_loop.turn(None)?;
        if left.is_asked.take() {
            *left.answer.borrow_mut() = left_of(&event_loop);
        }
    }
    Ok(())
}

/// What is left of an attack: looked at behind the turn in which that is asked, and told to who asks next.
#[derive(Default)]
struct Left {
    is_asked: Cell<bool>,
    answer: RefCell<String>,
}

/// What is left beside the connection of who asks.
pub(crate) const NOTHING: &str = "nothing";

fn left_of(event_loop: &EventLoop) -> String {
    if let Err(why) = sim::check(event_loop) {
        return why;
    }
    let stats = sim::stats(event_loop);
    // The listener, the server and its connection are there; free connections and repetitions are no rest.
    let mut who_asks = LoopStats::default();
    (who_asks.listeners, who_asks.servers, who_asks.server_connections) = (1, 1, 1);
    who_asks.free_connections = stats.free_connections;
    who_asks.repeated_requests = stats.repeated_requests;
    if stats == who_asks { NOTHING.to_owned() } else { format!("{stats:?}") }
}

fn route(lp: LoopHandle, clocks: Clocks, req: &Request, res: Response) -> onloop::Result<()> {
    let mut words = req.url().split('/').skip(1);
    let (name, number) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let number = number.parse().unwrap_or_default();
    match (req.method(), name) {
        ("GET", "plaintext") => res.end("Hello, World!"),
        ("GET", "stream") => {
            pump(res, number, STREAM_BLOCK_BYTES, move |part| res.write(&BLOCK[..part]));
        }
        ("GET", "bytes") => {
            res.set_header("Content-Length", number)?;
            let write = move |part| res.write(Bytes::from_static(&BLOCK[..part]));
            pump(res, number, BLOCK.len(), write);
        }
        ("GET", "fetch") => fetch(lp, clocks, number, res)?,
        ("GET", "relay") => relay(lp, number, res)?,
        ("POST", "count") => count(req, res),
        ("POST", "pipe") => req.pipe(res),
        // It answers and leaves the content where it is.
        ("POST", "ignore") => res.end("no, thanks"),
        // It neither reads nor answers.
        ("POST", "hold") => {}
        _ => {
            res.set_status(404);
            res.end("");
        }
    }
    Ok(())
}

/// Writes `size` bytes by `write`, so many at a time and as fast as the client reads.
fn pump(res: Response, size: u64, block: usize, write: impl Fn(usize) -> bool + 'static) {
    let mut left = size;
    let mut pump = move || {
        while left > 0 {
            let part = left.min(block as u64);
            left -= part;
            if !write(part as usize) && left > 0 {
                return;
            }
        }
        res.end("");
    };
    pump();
    res.on_drain(pump);
}

/// Answers with the number of bytes of content.
fn count(req: &Request, res: Response) {
    let counted = Rc::new(Cell::new(0));
    let counting = counted.clone();
    req.on_data(move |chunk| counting.set(counting.get() + chunk.len()));
    req.on_end(move || res.end(counted.get().to_string()));
}

/// Asks the server on this port of this machine, and answers with what came of it.
fn fetch(lp: LoopHandle, clocks: Clocks, port: u64, res: Response) -> onloop::Result<()> {
    let options =
        RequestOptions::new("GET", format!("http://127.0.0.1:{port}/")).deadline(clocks.head);
    let request = http::request_with(lp, options)?;
    request.on_response(move |response| tell(&response, res));
    request.on_error(move |error| res.end(error.code()));
    request.end("");
    Ok(())
}

/// The answer of the server on this port, as it comes and as fast as the client reads.
fn relay(lp: LoopHandle, port: u64, res: Response) -> onloop::Result<()> {
    let request = http::get(lp, format!("http://127.0.0.1:{port}/"), move |up| up.pipe(res))?;
    request.on_error(move |_| res.destroy());
    Ok(())
}

/// The status, the length of the content, or what went wrong.
fn tell(response: &IncomingResponse, res: Response) {
    let status = response.status();
    let counted = Rc::new(Cell::new(0));
    let counting = counted.clone();
    response.on_data(move |chunk| counting.set(counting.get() + chunk.len()));
    response.on_end(move || res.end(format!("{status} with {} bytes", counted.get())));
    response.on_error(move |error| res.end(error.code()));
}
