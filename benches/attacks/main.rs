//! Hostile peers over real sockets against a process of its own: `cargo bench --bench attacks [-- WORD...]`, where
//! words choose attacks by their names. Prints a table.
//!
//! Each attack meets a fresh server, and each time another client makes small requests all along. It fails where the
//! process grows by more than is stated, where an attacker gets what it must not get, where the other client is not
//! served, or where something is left of the attack when it is over. How soon that one is served is only told: it depends on what else the machine does.
//!
//! As a test (`cargo test --benches`) it does the same with fewer connections and shorter clocks.

mod honest;
mod list;
mod on_client;
mod on_server;
mod process;
mod scale;
mod server;
mod wire;

use std::env;
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use list::{Attack, Bound};
use process::Process;
use scale::Scale;
use wire::{Outcome, Target};

/// What the other clients are to be served in.
const LATENCY_GOAL_US: u64 = 20_000;

/// Requests that a server has answered before it is attacked.
const WARM_UP: usize = 50;

/// Descriptors that one side needs: its connections, and what else it has open.
const DESCRIPTORS: u64 = 4096;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("attacks: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything held.
fn run() -> Result<bool, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_whole = arguments.iter().any(|word| word == "--bench")
        && !arguments.iter().any(|word| word == "--test");
    if let [role, size] = &arguments[..] {
        if role == "serve" {
            let scale = if size == "whole" { Scale::whole() } else { Scale::quick() };
            server::run(scale.clocks)?;
            return Ok(true);
        }
    }
    raise_descriptor_limit()?;
    let scale = if is_whole { Scale::whole() } else { Scale::quick() };
    let size = if is_whole { "whole" } else { "quick" };
    let words: Vec<&String> = arguments.iter().filter(|word| !word.starts_with('-')).collect();
    let chosen: Vec<&Attack> = on_server::ATTACKS
        .iter()
        .chain(on_client::ATTACKS)
        .filter(|attack| {
            words.is_empty() || words.iter().any(|word| attack.name.contains(word.as_str()))
        })
        .collect();
    println!(
        "| attack | connections | bytes sent | growth | CPU | others: median | p99 | worst | the attackers got |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut failures = Vec::new();
    for group in chosen.chunks(scale.at_once) {
        let reports: Vec<_> = thread::scope(|scope| {
            let assault = |attack| scope.spawn(move || assault(attack, scale, size));
            let running: Vec<_> = group.iter().map(|attack| assault(*attack)).collect();
            running.into_iter().map(ScopedJoinHandle::join).collect()
        });
        for (attack, report) in group.iter().zip(reports) {
            let report = report.map_err(|_| "an attack panicked")?;
            let report = report.map_err(|error| format!("{}: {error}", attack.name))?;
            println!("{}", report.row(attack, &scale));
            failures.extend(report.failures(attack, &scale));
        }
    }
    println!("\n{}", machine());
    for failure in &failures {
        eprintln!("FAILED: {failure}");
    }
    Ok(failures.is_empty())
}

/// Why an attack could not be made.
type Failure = Box<dyn Error + Send + Sync>;

/// What one attack did to the process and to the others.
struct Report {
    outcome: Outcome,
    /// The most anonymous memory that was seen, or the peak of all memory, less what there was before: whichever is more.
    growth: usize,
    cpu: Duration,
    time: Duration,
    others: io::Result<Histogram<u64>>,
    /// The error says what is left when it is over.
    rest: io::Result<()>,
    survived: bool,
}

fn assault(attack: &Attack, scale: Scale, size: &str) -> Result<Report, Failure> {
    let mut process = Process::start(&["serve", size])?;
    let target = Target { port: process.port, scale };
    let over = AtomicBool::new(false);
    honest::ask(target.port, WARM_UP, &over)?;
    honest::err(target.port)?;
    process.forget_peak();
    let (anonymous, peak, cpu) =
        (process.anonymous_bytes(), process.peak_bytes(), process.cpu_time());
    let began = Instant::now();
    let watched = &process;
    let (outcome, most, others) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watched.watch(&over));
        let others = scope.spawn(|| honest::ask(target.port, usize::MAX, &over));
        let attacker = scope.spawn(|| {
            give_way();
            repeat(attack, &target)
        });
        let outcome = attacker.join();
        over.store(true, Ordering::Relaxed);
        (outcome, watcher.join(), others.join())
    });
    let panicked = |_| "a thread panicked";
    let grown = most.map_err(panicked)?.saturating_sub(anonymous);
    let growth = grown.max(process.peak_bytes().saturating_sub(peak));
    Ok(Report {
        outcome: outcome.map_err(panicked)??,
        growth,
        cpu: process.cpu_time().saturating_sub(cpu),
        time: began.elapsed(),
        others: others.map_err(panicked)?,
        rest: honest::await_rest(target.port),
        survived: process.is_running(),
    })
}

/// Until it has lasted long enough for the others to notice.
fn repeat(attack: &Attack, target: &Target) -> io::Result<Outcome> {
    let began = Instant::now();
    let mut outcome = (attack.run)(target)?;
    while began.elapsed() < target.scale.least {
        outcome.merge((attack.run)(target)?);
    }
    Ok(outcome)
}

impl Report {
    fn row(&self, attack: &Attack, scale: &Scale) -> String {
        let mut growth = format!("{} KB", self.growth / 1000);
        let bound = (attack.bound)(scale);
        if !bound.reason.is_empty() {
            growth += &format!(" of {} KB ({})", bound.bytes / 1000, bound.reason);
        }
        let share = self.cpu.as_secs_f64() / self.time.as_secs_f64() * 100.0;
        let others = match &self.others {
            Ok(latencies) => [
                latencies.value_at_quantile(0.5),
                latencies.value_at_quantile(0.99),
                latencies.max(),
            ]
            .map(milliseconds)
            .join(" | "),
            Err(error) => format!("{error} | | "),
        };
        format!(
            "| {} | {} | {} | {growth} | {:.2} s, {share:.0} % | {others} | {} |",
            attack.name,
            self.outcome.connections,
            self.outcome.sent,
            self.cpu.as_secs_f64(),
            self.outcome,
        )
    }

    fn failures(&self, attack: &Attack, scale: &Scale) -> Vec<String> {
        let mut failures = Vec::new();
        let Bound { bytes, reason } = (attack.bound)(scale);
        if self.growth > bytes {
            let bound = format!("{bytes} bytes are allowed {reason}");
            failures.push(format!("{}: it grew by {}; {bound}", attack.name, self.growth));
        }
        for (fate, count) in &self.outcome.got {
            if !attack.expected.contains(&fate.as_str()) {
                failures.push(format!("{}: {count} attackers got: {fate}", attack.name));
            }
        }
        if let Err(error) = &self.others {
            failures.push(format!("{}: another client was not served: {error}", attack.name));
        }
        if let Err(error) = &self.rest {
            failures.push(format!("{}: when it was over, this was left: {error}", attack.name));
        }
        if !self.survived {
            failures.push(format!("{}: the server's process is gone", attack.name));
        }
        failures
    }
}

fn milliseconds(microseconds: u64) -> String {
    let missed = if microseconds > LATENCY_GOAL_US { " (missed)" } else { "" };
    format!("{:.2} ms{missed}", microseconds as f64 / 1000.0)
}

/// This thread, and all that it starts, are an attacker's, whose machine would be another one: they take no time that
/// others need.
fn give_way() {
    let _ = nice(10);
}

/// For this process and the ones that it starts.
fn raise_descriptor_limit() -> Result<(), Box<dyn Error>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..limit })
            .map_err(|error| format!("{DESCRIPTORS} descriptors are needed: {error}"))?;
    }
    Ok(())
}

/// What the figures belong to.
fn machine() -> String {
    let first_line = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).to_owned()
    };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let processor = first_line("/proc/cpuinfo", "model name");
    let kernel = first_line("/proc/sys/kernel/osrelease", "");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{processor}, {cores} cores, Linux {kernel}; {build} build.")
}
