//! One request, told as one line of JSON: `fetch URL [METHOD]`. No content is sent, no redirect followed,
//! no content coding undone, and all of it takes five seconds at most. It exits with 0 also when the
//! request failed: `error` says why then.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, IncomingResponse};
use onloop::{Error, EventLoop, LoopHandle, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

const TIME_LIMIT: Duration = Duration::from_secs(5);

type Fields = Vec<(String, String)>;

/// What is printed. Without a response `status` is null.
#[derive(Default, Serialize)]
struct Report {
    status: Option<u16>,
    headers: Fields,
    body_len: u64,
    body_sha256: String,
    trailers: Fields,
    error: Option<String>,
}

#[derive(Default)]
struct Progress {
    report: Report,
    hash: Sha256,
}

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: fetch URL [METHOD]");
        std::process::exit(2);
    };
    let method = arguments.next().unwrap_or_else(|| "GET".to_string());

    let mut event_loop = EventLoop::new()?;
    let progress = Rc::new(RefCell::new(Progress::default()));
    if let Err(error) = fetch(event_loop.handle(), &method, &url, &progress) {
        progress.borrow_mut().report.error = Some(error.to_string());
    }
    event_loop.run()?;

    let Progress { mut report, hash } = progress.take();
    report.body_sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{}", serde_json::to_string(&report).map_err(std::io::Error::from)?);
    Ok(())
}

fn fetch(lp: LoopHandle, method: &str, url: &str, progress: &Rc<RefCell<Progress>>) -> Result<()> {
    let request = http::request(lp, method, url)?;
    let limit = lp.set_timeout(TIME_LIMIT, move || {
        request.destroy_with(Error::other("timed out: it took longer than 5 s"));
    });
    let receiving = progress.clone();
    request.on_response(move |response| receive(&response, &receiving));
    let failing = progress.clone();
    request.on_error(move |error| failing.borrow_mut().report.error = Some(error.to_string()));
    request.on_close(move || {
        limit.clear();
        // A name that is still being looked up is of no interest any more.
        lp.stop();
    });
    request.end("");
    Ok(())
}

fn receive(response: &IncomingResponse, progress: &Rc<RefCell<Progress>>) {
    let mut known = progress.borrow_mut();
    known.report.status = Some(response.status());
    known.report.headers =
        response.headers().map(|(name, value)| (name.to_string(), text(value))).collect();
    let receiving = progress.clone();
    response.on_data(move |chunk| {
        let mut progress = receiving.borrow_mut();
        progress.report.body_len += chunk.len() as u64;
        progress.hash.update(chunk);
    });
    let (ending, body) = (progress.clone(), response.body());
    response.on_end(move || {
        let trailers = body.trailers();
        ending.borrow_mut().report.trailers =
            trailers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    });
}

/// Field values are bytes (RFC 9110 §5.5): UTF-8 where they are that, else Latin-1, which loses nothing.
fn text(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_string(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}
