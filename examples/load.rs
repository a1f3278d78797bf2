//! A load generator: `load URL CONNECTIONS SECONDS [--post BYTES] [--fresh]`. It keeps so many connections
//! busy with one request at a time each, the next one sent when the answer is in (a closed loop), and prints
//! one line of JSON.
//!
//! `--post` sends so many bytes with each request, `--fresh` opens a connection for each. An error is a request
//! that failed or was answered 400 or higher.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use onloop::http::{self, RequestOptions};
use onloop::{EventLoop, LoopHandle, LoopOptions, Result};
use serde::Serialize;

const USAGE: &str = "usage: load URL CONNECTIONS SECONDS [--post BYTES] [--fresh]";

/// Latencies above are counted as this.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// How long a connection pauses after a failed request: a server that is down is not asked in a busy loop.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Serialize)]
struct Report {
    requests: u64,
    seconds: f64,
    rps: f64,
    errors: u64,
    bytes: u64,
    p50_us: u64,
    p99_us: u64,
}

struct Arguments {
    connections: usize,
    time: Duration,
    request: RequestOptions,
    body: Bytes,
}

/// What all connections share.
struct Load {
    lp: LoopHandle,
    request: RequestOptions,
    body: Bytes,
    counts: RefCell<Counts>,
}

struct Counts {
    requests: u64,
    errors: u64,
    bytes: u64,
    /// In microseconds.
    latencies: Histogram<u64>,
}

fn main() -> Result<()> {
    env_logger::init();
    let Some(arguments) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    let connections = arguments.connections;
    let options = LoopOptions::new().reserve(connections).free_connections_per_origin(connections);
    let mut event_loop = EventLoop::with_options(options)?;
    let lp = event_loop.handle();
    let highest = LATENCY_MAX.as_micros() as u64;
    let latencies = Histogram::new_with_bounds(1, highest, 3).expect("the bounds are constants");
    let load = Rc::new(Load {
        lp,
        request: arguments.request,
        body: arguments.body,
        counts: RefCell::new(Counts { requests: 0, errors: 0, bytes: 0, latencies }),
    });
    let started = Instant::now();
    for _ in 0..connections {
        next(&load, started)?;
    }
    lp.set_timeout(arguments.time, move || lp.stop());
    event_loop.run()?;

    let seconds = started.elapsed().as_secs_f64();
    let counts = load.counts.borrow();
    let report = Report {
        requests: counts.requests,
        seconds,
        rps: counts.requests as f64 / seconds,
        errors: counts.errors,
        bytes: counts.bytes,
        p50_us: counts.latencies.value_at_quantile(0.5),
        p99_us: counts.latencies.value_at_quantile(0.99),
    };
    println!("{}", serde_json::to_string(&report).map_err(std::io::Error::from)?);
    Ok(())
}

/// Makes the next request of a connection. The previous one has ended just before, so its connection is
/// the free one that is taken.
fn next(load: &Rc<Load>, started: Instant) -> Result<()> {
    let request = http::request_with(load.lp, &load.request)?;
    let receiving = load.clone();
    request.on_response(move |response| {
        let failed = response.status() >= 400;
        let counting = receiving.clone();
        response.on_data(move |chunk| counting.counts.borrow_mut().bytes += chunk.len() as u64);
        response.on_end(move || {
            let now = Instant::now();
            receiving.counts.borrow_mut().completed(now - started, failed);
            next(&receiving, now)
        });
    });
    let failing = load.clone();
    request.on_error(move |error| {
        log::warn!("{error}");
        failing.counts.borrow_mut().errors += 1;
        let lp = failing.lp;
        lp.set_timeout(PAUSE, move || next(&failing, Instant::now()));
    });
    request.end(&load.body);
    Ok(())
}

impl Counts {
    fn completed(&mut self, latency: Duration, failed: bool) {
        self.requests += 1;
        self.errors += u64::from(failed);
        self.latencies.saturating_record(latency.as_micros() as u64);
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Arguments> {
    let url = arguments.next()?;
    let connections = arguments.next()?.parse().ok().filter(|count| *count > 0)?;
    let time = Duration::try_from_secs_f64(arguments.next()?.parse().ok()?).ok()?;
    let (mut body, mut fresh) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--post" => body = Some(arguments.next()?.parse::<usize>().ok()?),
            "--fresh" => fresh = true,
            _ => return None,
        }
    }
    let method = if body.is_some() { "POST" } else { "GET" };
    Some(Arguments {
        connections,
        time,
        request: RequestOptions::new(method, url).keep_alive(!fresh),
        body: Bytes::from(vec![b'x'; body.unwrap_or(0)]),
    })
}
