//! Uploads of any size into files: `upload [ADDRESS [DIRECTORY [BYTES_MAX]]]`, by default on `127.0.0.1:8080`, into
//! a directory among the temporary ones, and 1 GiB at most.
//!
//! Content goes to the disk as it comes, and however fast the client and slow the disk, only a few pieces of an
//! upload are in memory: after these, nothing is read from the client before one of them is written. The answer
//! has the size and the SHA-256 of what was stored, and the latter is the name of the file. An upload that breaks
//! off leaves no file.
//!
//! ```text
//! curl -T large.iso http://127.0.0.1:8080/
//! ```

mod disk;
#[path = "../shutdown/mod.rs"]
mod shutdown;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use disk::{Disk, Done, Job};
use onloop::http::{self, Body, Request, Response, ServerOptions};
use onloop::{EventLoop, Result};

/// How many pieces of one upload wait to be written, of 64 KiB each at most ([`onloop::LoopOptions::read_buffer`]).
const PIECES_IN_FLIGHT_MAX: usize = 4;

/// With so many connections no more posts can wait for the loop than it takes
/// ([`onloop::LoopOptions::posts_max`]).
const CONNECTIONS_MAX: usize = 1000;

/// An upload of which the loop waits to hear.
struct Upload {
    body: Body,
    res: Response,
    jobs: Sender<Job>,
    received: u64,
    in_flight: usize,
}

thread_local! {
    /// By their numbers. What the disk's thread posts runs on the loop's thread and finds them here: handles
    /// cannot go to another thread and back.
    static UPLOADS: RefCell<HashMap<u64, Upload>> = RefCell::new(HashMap::new());
}

struct Settings {
    address: String,
    directory: PathBuf,
    bytes_max: u64,
}

fn main() -> Result<()> {
    env_logger::init();
    let Some(Settings { address, directory, bytes_max }) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: upload [ADDRESS [DIRECTORY [BYTES_MAX]]]");
        std::process::exit(2);
    };
    std::fs::create_dir_all(&directory)?;
    let mut event_loop = EventLoop::new()?;
    let disk = Disk::start(directory.clone(), event_loop.remote(), told);

    // An hour for a large file over a slow line; what stalls the disk only stalls its own client.
    let options = ServerOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .request_timeout(Duration::from_secs(3600));
    let server = http::Server::new(event_loop.handle(), options)?;
    let (jobs, mut number) = (disk.jobs(), 0);
    server.on_request(move |req, res| {
        number += 1;
        receive(&req, res, number, jobs.clone(), bytes_max)
    });
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
        println!("files go to {}", directory.display());
    }

    event_loop.run()?;
    // Where the loop was stopped with uploads under way, their files are removed as well.
    drop(event_loop);
    UPLOADS.take();
    disk.finish();
    Ok(())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Settings> {
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let directory =
        arguments.next().map_or_else(|| std::env::temp_dir().join("onloop-uploads"), PathBuf::from);
    let bytes_max = arguments.next().map_or(Ok(1 << 30), |bytes| bytes.parse()).ok()?;
    Some(Settings { address, directory, bytes_max })
}

fn receive(
    req: &Request,
    res: Response,
    number: u64,
    jobs: Sender<Job>,
    bytes_max: u64,
) -> Result<()> {
    if !matches!(req.method(), "POST" | "PUT") {
        res.set_header("Allow", "POST, PUT")?;
        return answer(res, 405, &serde_json::json!({ "error": "files come by POST or PUT" }));
    }
    let declared = req.header("content-length").and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| length > bytes_max) {
        return too_large(res, bytes_max);
    }
    let body = req.body();
    let upload = Upload { body, res, jobs, received: 0, in_flight: 0 };
    UPLOADS.with_borrow_mut(|uploads| uploads.insert(number, upload));

    req.on_data(move |chunk| {
        let is_taken = UPLOADS.with_borrow_mut(|uploads| {
            uploads.get_mut(&number).is_none_or(|upload| upload.take(number, chunk, bytes_max))
        });
        if is_taken {
            return Ok(());
        }
        give_up(number);
        too_large(res, bytes_max)
    });
    req.on_end(move || {
        UPLOADS.with_borrow(|uploads| {
            if let Some(upload) = uploads.get(&number) {
                let _ = upload.jobs.send(Job::Keep(number));
            }
        });
    });
    // Whatever ends the exchange before the file is there: a client that leaves, a clock, a broken request.
    res.on_close(move || drop(give_up(number)));
    Ok(())
}

impl Upload {
    /// Gives a piece to the disk; false when that makes it more than is allowed.
    fn take(&mut self, number: u64, chunk: &[u8], bytes_max: u64) -> bool {
        self.received += chunk.len() as u64;
        if self.received > bytes_max {
            return false;
        }
        if self.jobs.send(Job::Write(number, chunk.to_vec())).is_err() {
            // The thread has died, and the file with it.
            self.body.destroy();
        }
        self.in_flight += 1;
        if self.in_flight == PIECES_IN_FLIGHT_MAX {
            self.body.pause();
        }
        true
    }
}

/// What the disk's thread has done.
fn told(number: u64, done: Done) {
    // An upload that was given up meanwhile is not here any more.
    match done {
        Done::Written => UPLOADS.with_borrow_mut(|uploads| {
            if let Some(upload) = uploads.get_mut(&number) {
                upload.in_flight -= 1;
                upload.body.resume();
            }
        }),
        Done::Kept(summary) => {
            if let Some(upload) = UPLOADS.with_borrow_mut(|uploads| uploads.remove(&number)) {
                let summary = serde_json::json!({ "size": summary.size, "sha256": summary.sha256 });
                log_failure(answer(upload.res, 201, &summary));
            }
        }
        Done::Failed(error) => {
            log::error!("upload {number}: {error}");
            // A full disk is the one reason that a client may do something about: come back later.
            let (status, reason) = match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                    (507, "there is no room for it")
                }
                _ => (500, "it could not be stored"),
            };
            if let Some(upload) = give_up(number) {
                log_failure(answer(upload.res, status, &serde_json::json!({ "error": reason })));
            }
        }
    }
}

/// Forgets an upload that came to nothing, and so does the disk.
fn give_up(number: u64) -> Option<Upload> {
    let upload = UPLOADS.with_borrow_mut(|uploads| uploads.remove(&number))?;
    // What still comes is dropped.
    upload.body.off_data();
    upload.body.resume();
    let _ = upload.jobs.send(Job::Discard(number));
    Some(upload)
}

fn too_large(res: Response, bytes_max: u64) -> Result<()> {
    let reason = format!("a file has {bytes_max} bytes at most");
    answer(res, 413, &serde_json::json!({ "error": reason }))
}

fn answer(res: Response, status: u16, content: &serde_json::Value) -> Result<()> {
    res.set_status(status);
    res.set_header("Content-Type", "application/json")?;
    res.end(content.to_string());
    Ok(())
}

fn log_failure(result: Result<()>) {
    if let Err(error) = result {
        log::error!("{error}");
    }
}
