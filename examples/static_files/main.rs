//! Serves the files below a directory: `static_files [DIR] [ADDR]`, by default `.` on `127.0.0.1:8080`.
//!
//! `GET` and `HEAD`, conditions, single ranges, `index.html` for directories. Names that begin with a dot are
//! not served, nor is anything outside of the directory, however it is spelled or linked.
//!
//! What may wait for a disk is done off the loop: finding and opening by the thread in `store`, reading by
//! [`Response::send_file`] itself.

#[path = "../shutdown/mod.rs"]
mod shutdown;

mod conditions;
mod store;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;

use conditions::{Decision, State};
use onloop::http::{self, Request, Response};
use onloop::{EventLoop, Result};
use store::{Found, Opened, Store};

thread_local! {
    /// Requests whose files are being looked for. Handles belong to the loop's thread: what goes to the other
    /// one and comes back is a number.
    static WAITING: RefCell<HashMap<u64, (Request, Response)>> = RefCell::default();
}

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().unwrap_or_else(|| ".".to_string());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_string());

    let mut event_loop = EventLoop::new()?;
    let store = Store::open(Path::new(&directory), event_loop.remote(), found)?;
    let last = Cell::new(0_u64);
    let server = http::create_server(event_loop.handle(), move |req, res| {
        last.set(last.get() + 1);
        serve(&store, last.get(), req, res)
    });
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }
    event_loop.run()
}

/// A request has come: has its file looked for.
fn serve(store: &Store, number: u64, req: Request, res: Response) -> Result<()> {
    if !matches!(req.method(), "GET" | "HEAD") {
        res.set_header("Allow", "GET, HEAD")?;
        return text(res, 405, "files can be read, and that is all");
    }
    let Some(path) = store::path_of(req.url()) else {
        return text(res, 404, "no such file");
    };
    if store.find(number, path).is_err() {
        res.set_header("Retry-After", 1)?;
        return text(res, 503, "the disk has more to do than it can");
    }
    WAITING.with_borrow_mut(|waiting| waiting.insert(number, (req, res)));
    Ok(())
}

/// The file was looked for. Called on the loop's thread.
fn found(number: u64, found: Found) {
    let Some((req, res)) = WAITING.with_borrow_mut(|waiting| waiting.remove(&number)) else {
        return;
    };
    let answered = match found {
        Found::File(opened) => send(&req, res, opened),
        Found::Directory => redirect(&req, res),
        Found::Missing => text(res, 404, "no such file"),
        Found::Forbidden => text(res, 403, "this file is not for everybody"),
        Found::Failed(error) => {
            log::error!("{}: {error}", req.url());
            text(res, 500, "the file cannot be read")
        }
    };
    if let Err(error) = answered {
        // A client that has left meanwhile is no news.
        log::debug!("{}: {error}", req.url());
        res.destroy();
    }
}

/// Answers with the file, a part of it, or the word that the client has it already.
fn send(req: &Request, res: Response, opened: Opened) -> Result<()> {
    let state = State::of(&opened);
    res.set_header("ETag", &state.etag)?;
    res.set_header("Last-Modified", &state.last_modified)?;
    res.set_header("Accept-Ranges", "bytes")?;
    let length = opened.length;
    let part = match conditions::decide(req, &state) {
        Decision::Whole => 0..length,
        Decision::Part(part) => {
            res.set_status(206);
            let (first, last) = (part.start, part.end - 1);
            res.set_header("Content-Range", format!("bytes {first}-{last}/{length}"))?;
            part
        }
        Decision::NotModified => {
            res.set_status(304);
            res.end("");
            return Ok(());
        }
        Decision::Failed => return text(res, 412, "the file is another one by now"),
        Decision::Unsatisfiable => {
            res.set_header("Content-Range", format!("bytes */{length}"))?;
            return text(res, 416, "the file does not reach that far");
        }
    };
    res.set_header("Content-Type", opened.content_type)?;
    // What is served as text must not be taken for a script because it looks like one.
    res.set_header("X-Content-Type-Options", "nosniff")?;
    res.send_file(opened.file, part)
}

/// Links in a directory's page are relative to its slash.
fn redirect(req: &Request, res: Response) -> Result<()> {
    let (path, query) = store::split(req.url());
    let location = match query {
        "" => format!("{path}/"),
        query => format!("{path}/?{query}"),
    };
    res.set_header("Location", &location)?;
    text(res, 301, "this is a directory")
}

fn text(res: Response, status: u16, message: &str) -> Result<()> {
    res.set_status(status);
    res.set_header("Content-Type", "text/plain; charset=utf-8")?;
    res.end(format!("{message}\n"));
    Ok(())
}
