//! Signals hit the loop's thread all the time, and every system call of it may be cut short: nothing fails, nothing is
//! lost, and nothing is told twice.
//!
//! In a test program of its own: signals belong to the whole process.

#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use common::{Log, World, get, url_of};
use onloop::LoopOptions;
use onloop::http;

/// Sends SIGUSR1 to one thread as fast as it can, for a bounded time, until it is dropped.
struct Flood(Child);

impl Flood {
    /// To the calling thread.
    fn start() -> Flood {
        // Handled, so that it interrupts; what it does is of no interest.
        signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::new(AtomicBool::new(false)))
            .expect("it can be handled");
        let thread = std::fs::read_link("/proc/thread-self").expect("linux tells");
        let number =
            thread.file_name().and_then(|name| name.to_str()).expect("a number").to_owned();
        let script =
            format!("i=0; while [ $i -lt 3000000 ] && kill -USR1 {number}; do i=$((i+1)); done");
        let child = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).spawn();
        Flood(child.expect("a shell"))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child");
    }
}

/// Turns until the flood is felt: a wait that ends early with nothing to do.
fn feel(world: &mut World) {
    let patience = Instant::now() + Duration::from_secs(20);
    for _ in 0..100 {
        loop {
            let begin = Instant::now();
            let handled = world.event_loop.turn(Some(Duration::from_secs(5))).expect("a turn");
            if handled == 0 && begin.elapsed() < Duration::from_secs(5) {
                break;
            }
            assert!(begin < patience, "no signal comes");
        }
    }
}

#[test]
fn thousands_of_exchanges_go_on_under_a_flood_of_signals() {
    let mut world = World::with(LoopOptions::new().lookup_cache(Duration::ZERO));
    let lp = world.lp;
    let log = Log::new();
    let server = world.serve(|req, res| req.pipe(res));
    // Looked up each time anew.
    let url = url_of(&server).replace("127.0.0.1", "localhost");
    let _flood = Flood::start();
    feel(&mut world);
    for round in 0..20 {
        for at in 0..100 {
            let length = if at == 0 { 1_000_000 } else { at };
            let request = http::request(lp, "POST", &url).expect("a request");
            let (answered, failed) = (log.clone(), log.clone());
            request.on_response(move |response| {
                response.collect(2_000_000, move |content| match content {
                    Ok(content) if content.len() == length => answered.note("whole"),
                    other => {
                        answered.note(format!("broken: {:?}", other.map(|content| content.len())))
                    }
                });
            });
            request.on_error(move |error| failed.note(error.to_string()));
            request.end(vec![b'x'; length]);
        }
        let expected = (round + 1) * 100;
        world.until("a hundred answers", || log.len() >= expected);
    }
    assert_eq!(log.count("whole"), 2_000, "{:?}", log.all().iter().find(|line| *line != "whole"));
}

#[test]
fn files_and_slow_readers_go_on_under_a_flood_of_signals() {
    const LENGTH: usize = 20_000_000;
    let path = std::env::temp_dir().join(format!("onloop-interrupted-{}", std::process::id()));
    let content: Vec<u8> = (0..251).cycle().take(LENGTH).collect();
    std::fs::write(&path, &content).expect("a place for a file");
    let file = Rc::new(File::open(&path).expect("it was written"));
    std::fs::remove_file(&path).expect("it was written");
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        // What is not in memory is read by a thread, which may be interrupted as well.
        let _ = rustix::fs::fadvise(&*file, 0, None, rustix::fs::Advice::DontNeed);
        if req.url() == "/chunked" {
            res.write("x");
        }
        res.send_file(file.try_clone()?, ..)
    });
    let _flood = Flood::start();
    feel(&mut world);
    for _ in 0..3 {
        assert!(world.ask(&server, get("/", "")).content == content);
        let answer = world.ask(&server, get("/chunked", ""));
        assert!(answer.content[1..] == content[..]);
    }
}

#[test]
fn timers_are_not_early_under_a_flood_of_signals() {
    let mut world = World::new();
    let log = Log::new();
    let begin = Instant::now();
    let _flood = Flood::start();
    for at in 1..20u64 {
        let noted = log.clone();
        world.lp.set_timeout(Duration::from_millis(10 * at), move || {
            assert!(begin.elapsed() >= Duration::from_millis(10 * at));
            noted.note(at.to_string());
        });
    }
    world.until("all timers", || log.len() == 19);
    let in_order: Vec<String> = (1..20).map(|at| at.to_string()).collect();
    assert_eq!(log.all(), in_order);
}
