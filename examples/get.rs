//! One GET: `get [-i] [--proxy URL] URL`. The content goes to standard output as it comes, the status line to
//! standard error; with `-i` both go to standard output, with the header fields between them. Only `http:`.
//!
//! It goes through the proxy that is named, or through what `http_proxy`, `all_proxy` and `no_proxy` in the
//! environment say; `--proxy ''` goes through none.
//!
//! It exits with 0 when a whole answer came, whatever its status, and with 1 and the reason otherwise.

use std::cell::RefCell;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use onloop::http::{self, Agent, AgentOptions, IncomingResponse, ProxyOptions, RequestOptions};
use onloop::{EventLoop, Result};

struct Arguments {
    url: String,
    /// With the head.
    head: bool,
    proxy: Option<String>,
}

fn main() -> ExitCode {
    env_logger::init();
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("usage: get [-i] [--proxy URL] URL");
        return ExitCode::from(2);
    };
    match get(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("get: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Arguments> {
    let (mut url, mut head, mut proxy) = (None, false, None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-i" => head = true,
            "--proxy" => proxy = Some(arguments.next()?),
            _ if url.is_none() => url = Some(argument),
            _ => return None,
        }
    }
    Some(Arguments { url: url?, head, proxy })
}

fn get(arguments: &Arguments) -> Result<()> {
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();
    let proxies = match arguments.proxy.as_deref() {
        Some("") => ProxyOptions::default(),
        Some(url) => ProxyOptions::new(url)?,
        None => ProxyOptions::from_env()?,
    };
    let agent = Agent::new(lp, AgentOptions::new().proxy(proxies))?;
    let options = RequestOptions::new("GET", &arguments.url)
        .header("Accept", "*/*")
        .header("User-Agent", "onloop-get")
        .agent(agent);
    let request = http::request_with(lp, options)?;

    let failure = Rc::new(RefCell::new(None));
    let with_head = arguments.head;
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
