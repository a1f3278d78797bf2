//! One GET: `get [-i] URL`. The content goes to standard output as it comes, the status line to standard error;
//! with `-i` both go to standard output, with the header fields between them. Only `http:`.
//!
//! It exits with 0 when a whole answer came, whatever its status, and with 1 and the reason otherwise.

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use onloop::http::{self, IncomingResponse};
use onloop::{EventLoop, Result};

fn main() -> ExitCode {
    env_logger::init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_head = arguments.first().is_some_and(|first| first == "-i");
    if with_head {
        arguments.remove(0);
    }
    let [url] = &arguments[..] else {
        eprintln!("usage: get [-i] URL");
        return ExitCode::from(2);
    };
    match get(url, with_head) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("get: {error}");
            ExitCode::FAILURE
        }
    }
}

fn get(url: &str, with_head: bool) -> Result<()> {
    let mut event_loop = EventLoop::new()?;
    let request = http::request(event_loop.handle(), "GET", url)?;
    request.set_header("Accept", "*/*")?;
    request.set_header("User-Agent", "onloop-get")?;

    let failure = Rc::new(RefCell::new(None));
    request.on_response(move |response| {
        print_head(&response, with_head)?;
        // Printing may make the whole loop wait. Here nothing else is to be done meanwhile, and a server that
        // is not read from waits, too. What goes wrong with it ends the request, and `on_error` tells it.
        response.on_data(|chunk| Ok(std::io::stdout().write_all(chunk)?));
        Ok(())
    });
    let failed = failure.clone();
    request.on_error(move |error| *failed.borrow_mut() = Some(error));
    request.end("");

    event_loop.run()?; // returns when nothing is left to wait for, as Node exits
    std::io::stdout().flush()?;
    failure.take().map_or(Ok(()), Err)
}

fn print_head(response: &IncomingResponse, with_head: bool) -> std::io::Result<()> {
    let (version, status) = (response.http_version(), response.status());
    let status_line = format!("HTTP/{version} {status} {}", response.status_message());
    if !with_head {
        eprintln!("{}", status_line.trim_end());
        return Ok(());
    }
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", status_line.trim_end())?;
    for (name, value) in response.headers() {
        // Field values are bytes (RFC 9110 §5.5).
        writeln!(output, "{name}: {}", String::from_utf8_lossy(value))?;
    }
    writeln!(output)
}
