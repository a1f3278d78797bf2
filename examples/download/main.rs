//! Downloads a file: `download URL FILE [RETRIES]`, with a progress bar, and goes on where it stopped.
//!
//! What has come is in `FILE.part` until all of it is there. When the connection dies, the rest is asked for, up
//! to `RETRIES` times (5 by default); when the program does, the next one goes on. The rest is only taken if the
//! server says that the file is still the same: by `If-Range`, from a strong `ETag` or a `Last-Modified` that is
//! old enough. Without either the file is downloaded again from its beginning.
//!
//! At the end it prints the SHA-256 of the file, as `sha256sum` does. It exits with 1 and the reason where it
//! fails; what has come by then is kept.

mod offer;
mod part;

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use offer::Offer;
use onloop::http::{self, ClientRequest, IncomingResponse, RequestOptions};
use onloop::{Error, EventLoop, LoopHandle, Result};
use part::Part;

const RETRIES: u32 = 5;

/// Before the first retry; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// A connection on which nothing comes for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);

struct Download {
    lp: LoopHandle,
    url: String,
    part: Part,
    /// Of the whole file, where the server has said it.
    size: Option<u64>,
    /// A server has answered, so it is worth to try again.
    began: bool,
    retries: u32,
    retries_left: u32,
    bar: ProgressBar,
    outcome: Option<Result<(), String>>,
}

/// What became of a request.
enum Verdict {
    /// The file is complete.
    Complete,
    /// There is more to ask for, at once.
    More,
    /// The connection died, or what came is of no use: another try may do better.
    Retry(String),
    Failed(String),
}

fn main() -> ExitCode {
    env_logger::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (url, file, retries) = match &arguments[..] {
        [url, file] => (url, file, Some(RETRIES)),
        [url, file, retries] => (url, file, retries.parse().ok()),
        _ => return usage(),
    };
    let Some(retries) = retries else { return usage() };
    match run(url, Path::new(file), retries) {
        Ok(sha256) => {
            println!("{sha256}  {file}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("download: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: download URL FILE [RETRIES]");
    ExitCode::from(2)
}

fn run(url: &str, file: &Path, retries: u32) -> Result<String, String> {
    let mut event_loop = EventLoop::new().map_err(text)?;
    let part = Part::open(file, url).map_err(text)?;
    let download = Rc::new(RefCell::new(Download {
        lp: event_loop.handle(),
        url: url.to_string(),
        part,
        size: None,
        began: false,
        retries,
        retries_left: retries,
        bar: bar(),
        outcome: None,
    }));
    let ran = match ask(&download) {
        Ok(()) => event_loop.run(), // returns when nothing is left to wait for
        Err(error) => Err(error),
    };
    let mut download = download.borrow_mut();
    download.bar.finish_and_clear();
    let outcome = download.outcome.take().unwrap_or(Err("it came to no end".to_string()));
    let done = ran.map_err(text).and(outcome);
    match done {
        Ok(()) => download.part.finish().map_err(text),
        Err(reason) => {
            download.part.tidy_up();
            Err(reason)
        }
    }
}

/// The first verdict counts: what follows is what destroying the request brings about.
fn conclude(verdict: &Cell<Option<Verdict>>, new: Verdict) {
    verdict.set(Some(verdict.take().unwrap_or(new)));
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Drawn to standard error, where that is a terminal.
fn bar() -> ProgressBar {
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template);
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Asks for the file, or for what is missing of it.
fn ask(download: &Rc<RefCell<Download>>) -> Result<()> {
    let (lp, url, rest) = {
        let known = download.borrow();
        let rest = known.part.rest().map(|(from, validator)| (from, validator.to_string()));
        (known.lp, known.url.clone(), rest)
    };
    let options = RequestOptions::new("GET", url).timeout(SILENCE_MAX);
    let request = http::request_with(lp, options)?;
    // A part of a compressed file is no part of the file.
    request.set_header("Accept-Encoding", "identity")?;
    if let Some((from, validator)) = rest {
        request.set_header("Range", format!("bytes={from}-"))?;
        request.set_header("If-Range", validator)?;
    }

    let verdict = Rc::new(Cell::new(None));
    let (receiving, received) = (download.clone(), verdict.clone());
    request.on_response(move |response| receive(&receiving, request, &response, &received));
    request.on_timeout(move || request.destroy_with(Error::other("nothing came for 30 s")));
    let failed = verdict.clone();
    request.on_error(move |error| conclude(&failed, Verdict::Retry(error.to_string())));
    let download = download.clone();
    request.on_close(move || {
        let lost = Verdict::Retry("the connection was closed".to_string());
        go_on(&download, verdict.take().unwrap_or(lost));
    });
    request.end("");
    Ok(())
}

/// A response has come: its content goes to the file, where it is what the file lacks.
fn receive(
    download: &Rc<RefCell<Download>>,
    request: ClientRequest,
    response: &IncomingResponse,
    verdict: &Rc<Cell<Option<Verdict>>>,
) {
    let accepted = download.borrow_mut().accept(&Offer::of(response));
    let end = match accepted {
        Ok(end) => end,
        Err(instead) => {
            conclude(verdict, instead);
            return request.destroy(); // its content is of no use
        }
    };
    // Files block, and this loop has nothing else to do meanwhile: while the disk is busy nothing is read, so
    // the server waits. Where others share the loop, a thread writes, and the content is paused until it has:
    // see `upload`.
    let (writing, failed) = (download.clone(), verdict.clone());
    response.on_data(move |chunk| {
        if let Err(reason) = writing.borrow_mut().keep(chunk, end) {
            conclude(&failed, Verdict::Failed(reason));
            request.destroy();
        }
    });
    let (ending, ended) = (download.clone(), verdict.clone());
    response.on_end(move || conclude(&ended, ending.borrow().at_end(end)));
}

impl Download {
    /// Where the content of this response ends in the file, as far as that is known; or what is to be done
    /// instead of reading it.
    fn accept(&mut self, offer: &Offer) -> Result<Option<u64>, Verdict> {
        self.began = true;
        let failed = |error: std::io::Error| Verdict::Failed(error.to_string());
        let received = self.part.received();
        let (end, size) = match offer {
            Offer::Whole { size, validator } => {
                self.part.start_over(validator.clone()).map_err(failed)?;
                (*size, *size)
            }
            Offer::Rest { from, to, size, validators } => {
                if *from != received || received == 0 {
                    return Err(Verdict::Failed(
                        "the server sent a part not asked for".to_string(),
                    ));
                }
                if !self.part.is_of(validators) {
                    self.part.start_over(None).map_err(failed)?;
                    return Err(Verdict::Retry("the file has changed".to_string()));
                }
                (Some(to + 1), *size)
            }
            // There is nothing behind what has come.
            Offer::Nothing { size } if *size == Some(received) => return Err(Verdict::Complete),
            Offer::Nothing { .. } if received == 0 => {
                return Err(Verdict::Failed("the server answered 416 to no range".to_string()));
            }
            Offer::Nothing { .. } => {
                self.part.start_over(None).map_err(failed)?;
                return Err(Verdict::Retry("the file has another size now".to_string()));
            }
            Offer::Unusable(reason) => return Err(Verdict::Failed(reason.clone())),
        };
        self.size = size;
        if let Some(size) = size {
            self.bar.set_length(size);
        }
        self.bar.set_position(self.part.received());
        self.bar.reset_eta();
        Ok(end)
    }

    fn keep(&mut self, chunk: &[u8], end: Option<u64>) -> Result<(), String> {
        let after = self.part.received() + chunk.len() as u64;
        if end.is_some_and(|end| after > end) {
            return Err("the server sent more than it said".to_string());
        }
        self.part.write(chunk).map_err(text)?;
        self.bar.set_position(after);
        Ok(())
    }

    fn at_end(&self, end: Option<u64>) -> Verdict {
        let received = self.part.received();
        if end.is_some_and(|end| received < end) {
            return Verdict::Failed("the server sent less than it said".to_string());
        }
        match self.size {
            // It may answer with less than what is asked for (RFC 9110 §15.3.7).
            Some(size) if received < size => Verdict::More,
            _ => Verdict::Complete,
        }
    }
}

/// A request is over, one way or another.
fn go_on(download: &Rc<RefCell<Download>>, verdict: Verdict) {
    let mut known = download.borrow_mut();
    let pause = match verdict {
        Verdict::Complete => return known.outcome = Some(Ok(())),
        Verdict::Failed(reason) => return known.outcome = Some(Err(reason)),
        Verdict::Retry(reason) if !known.began || known.retries_left == 0 => {
            return known.outcome = Some(Err(reason));
        }
        Verdict::Retry(reason) => {
            let doubled = 2_u32.saturating_pow(known.retries - known.retries_left);
            let pause = PAUSE.saturating_mul(doubled).min(PAUSE_MAX);
            known.retries_left -= 1;
            let received = known.part.received();
            known.bar.suspend(|| eprintln!("{reason}: going on at byte {received} in {pause:?}"));
            pause
        }
        Verdict::More => Duration::ZERO,
    };
    let again = download.clone();
    known.lp.set_timeout(pause, move || {
        if let Err(error) = ask(&again) {
            again.borrow_mut().outcome = Some(Err(error.to_string()));
        }
    });
}
