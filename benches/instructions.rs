//! Instructions in user space per request, by callgrind, held against `benches/instructions.txt`.
//!
//! `cargo bench --bench instructions` runs every workload below under callgrind, twice, with different numbers of
//! requests: the difference is free of start-up. More than 2 % over the baseline fails; fewer is fine.
//! `cargo bench --bench instructions -- --update` writes the baseline anew: commit it with the change that moved it.
//!
//! Sockets are Unix ones, and the peer is on the same thread, so every read finds what was just written: no count
//! depends on the scheduler. The peer's own two calls per exchange are a constant part of each figure. What the
//! kernel does is not counted. Figures of another compiler or processor family are shown and not judged.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

mod messages;
mod server;
mod workload;
use workload::WORKLOADS;

/// How much more than the baseline is taken for noise, in percent.
const TOLERANCE: f64 = 2.0;

/// The numbers of exchanges whose difference is counted.
const FEW: u64 = 200;
const MANY: u64 = 1200;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let outcome = match arguments.first().map(String::as_str) {
        Some("run") => run(&arguments[1..]),
        _ if has("--update") => update(),
        // `cargo test` passes nothing, and `cargo bench -- --test` wants to know only whether it works.
        _ if has("--test") || !has("--bench") => smoke(),
        _ => compare(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `run WORKLOAD COUNT`: what callgrind watches.
fn run(arguments: &[String]) -> Result<ExitCode> {
    let [name, count] = arguments else {
        return Err("usage: run WORKLOAD COUNT".into());
    };
    let found = WORKLOADS.iter().find(|workload| workload.name == name);
    let workload = found.ok_or_else(|| format!("no workload is called {name}"))?;
    (workload.run)(count.parse()?);
    Ok(ExitCode::SUCCESS)
}

fn smoke() -> Result<ExitCode> {
    for workload in WORKLOADS {
        (workload.run)(8);
        println!("{}: works", workload.name);
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures, and fails where a figure is worse than the baseline's.
fn compare() -> Result<ExitCode> {
    if !has_valgrind() {
        println!("skipped: valgrind is not installed");
        let is_required = env::var_os("ONLOOP_REQUIRE_INTEROP").is_some_and(|value| value == "1");
        return Ok(if is_required { ExitCode::FAILURE } else { ExitCode::SUCCESS });
    }
    let baseline = fs::read_to_string(baseline_path()).map_err(|error| {
        format!("{}: {error}: write it with --update", baseline_path().display())
    })?;
    let is_comparable = baseline.lines().any(|line| line.strip_prefix("# ") == Some(&build()));
    let mut worse = Vec::new();
    println!("{:<20} {:>9} {:>9} {:>8}", "instructions", "baseline", "now", "change");
    for workload in WORKLOADS {
        let now = measure(workload)?;
        let before = baseline_of(&baseline, workload.name).ok_or_else(|| {
            format!("{} is not in the baseline: write it with --update", workload.name)
        })?;
        let change = (now as f64 / before as f64 - 1.0) * 100.0;
        println!("{:<20} {before:>9} {now:>9} {change:>+7.1}%", workload.name);
        if change > TOLERANCE {
            worse.push(workload.name);
        }
    }
    if !is_comparable {
        println!("not judged: the baseline is not of {}", build());
        return Ok(ExitCode::SUCCESS);
    }
    if worse.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "more than {TOLERANCE} % worse: {}. If it has to be: cargo bench --bench instructions -- --update",
        worse.join(", ")
    );
    Ok(ExitCode::FAILURE)
}

fn update() -> Result<ExitCode> {
    let mut text = String::from(
        "# Instructions in user space per request; what they are: benches/instructions.rs.\n\
         # Written by: cargo bench --bench instructions -- --update\n",
    );
    text += &format!("# {}\n", build());
    for workload in WORKLOADS {
        let line = format!("{:<20} {:>7}\n", workload.name, measure(workload)?);
        print!("{line}");
        text += &line;
    }
    fs::write(baseline_path(), text)?;
    Ok(ExitCode::SUCCESS)
}

fn baseline_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt")
}

fn baseline_of(baseline: &str, name: &str) -> Option<u64> {
    baseline.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name)).then(|| words.next()?.parse().ok())?
    })
}

/// Instructions per request of one workload.
fn measure(workload: &workload::Workload) -> Result<u64> {
    let (few, many) = (count(workload.name, FEW)?, count(workload.name, MANY)?);
    let requests = (MANY - FEW) * workload.requests_per_exchange;
    let difference = many.checked_sub(few).ok_or("fewer instructions for more requests")?;
    Ok((difference + requests / 2) / requests)
}

/// Instructions of a whole run, as callgrind counts them.
fn count(name: &str, exchanges: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["run", name, &exchanges.to_string()])
        .env_remove("RUST_LOG")
        .output()?;
    let report = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} failed under callgrind:\n{report}").into());
    }
    let collected =
        report.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    collected.ok_or_else(|| format!("callgrind reported no count:\n{report}").into())
}

fn has_valgrind() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// What the figures belong to: the compiler, its target, and whether the processor has the vectors that
/// `memcpy` and the parser choose by.
fn build() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let word = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown").to_owned()
    };
    #[cfg(target_arch = "x86_64")]
    let vectors = if is_x86_feature_detected!("avx2") { " avx2" } else { "" };
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = "";
    format!("rustc {} {}{vectors}", word("release: "), word("host: "))
}
