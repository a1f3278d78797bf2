//! Plays the scripts of responses in `tests/wire/` against a client: rules 87 to 93. As in `wire.rs`, each is
//! played whole, byte by byte and at every cut, and must come out the same.
//!
//! `>` is what the server sends, `!` its end, `! reset` its reset. The first word of a case's name is the method, `GET` or `HEAD`.
//! What comes out is
//!
//! ```text
//! < 200 "content" kept            a response, whole; `kept` where the connection went to the pool
//! < 200 "part" error ECONNRESET   a response that broke off after a part of its content
//! < error HPE_INVALID_CONSTANT    no response
//! < 103 204 "" kept               what was told on the way
//! ```

mod common;

use std::net::SocketAddr;

use common::Log;
use common::clocked::settle;
use common::script::{Case, Step, play};
use onloop::http;
use onloop::sim::{self, SimNet};
use onloop::{EventLoop, LoopOptions};

#[test]
fn responses() {
    play("responses.txt", play_case);
}

fn play_case(case: &Case) -> Result<(), String> {
    let Some(Step::Expect(expected)) = case.steps.last() else {
        return Err("nothing is expected".into());
    };
    let total: usize = case.steps.iter().map(sent).sum();
    let stride = 1 + total / 2000 * 20;
    let cuts = (1..total).step_by(stride).map(Cut::At);
    for cut in [Cut::Nowhere, Cut::Everywhere].into_iter().chain(cuts) {
        let outcome = outcome(case, cut);
        if outcome != *expected {
            return Err(format!("{cut:?}: {outcome}\n  instead of {expected}"));
        }
    }
    Ok(())
}

/// Where the server's bytes are cut into pieces.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Nowhere,
    Everywhere,
    At(usize),
}

impl Cut {
    fn is_at(self, position: usize) -> bool {
        match self {
            Cut::Nowhere => false,
            Cut::Everywhere => true,
            Cut::At(cut) => cut == position,
        }
    }
}

fn sent(step: &Step) -> usize {
    match step {
        Step::Send(bytes) => bytes.len(),
        _ => 0,
    }
}

/// What comes out of one request whose server sends this.
fn outcome(case: &Case, cut: Cut) -> String {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new().read_buffer(4096));
    let address = SocketAddr::from(([10, 0, 0, 1], 80));
    let listener = net.listen(&address.into()).expect("a free address");
    let log = Log::new();
    let method = if case.name.contains(" HEAD") { "HEAD" } else { "GET" };
    ask(&event_loop, method, &log);
    let mut peer = None;
    for _ in 0..10 {
        settle(&net, &mut event_loop);
        peer = peer.or_else(|| listener.accept());
    }
    let peer = peer.expect("a connection");
    let mut position = 0;
    for step in &case.steps {
        match step {
            Step::Send(bytes) => {
                let mut from = 0;
                for to in 1..=bytes.len() {
                    if to == bytes.len() || cut.is_at(position + to) {
                        peer.write(&bytes[from..to]);
                        settle(&net, &mut event_loop);
                        from = to;
                    }
                }
                position += bytes.len();
            }
            Step::End => peer.shutdown_write(),
            Step::Reset => {
                peer.reset();
                settle(&net, &mut event_loop);
                // Nothing can follow.
                break;
            }
            _ => {}
        }
        settle(&net, &mut event_loop);
    }
    if sim::stats(&event_loop).free_connections > 0 {
        log.note("kept");
    }
    said(&log)
}

/// One request, and the notes of what becomes of it.
fn ask(event_loop: &EventLoop, method: &str, log: &Log) {
    let request =
        http::request(event_loop.handle(), method, "http://10.0.0.1/").expect("a request");
    let notes = log.clone();
    request.on_information(move |information| notes.note(information.status().to_string()));
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(response.status().to_string());
        let data = notes.clone();
        response.on_data(move |chunk| data.note(format!("+{}", String::from_utf8_lossy(chunk))));
        response.on_end(notes.noting("\""));
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
}

/// The notes in short: the pieces of content are one, since cuts make many of it.
fn said(log: &Log) -> String {
    let lines = log.all();
    let content: String = lines.iter().filter_map(|line| line.strip_prefix('+')).collect();
    let mut words = Vec::new();
    let mut closed = 0;
    for line in &lines {
        match line.as_str() {
            "\"" => {}
            "closed" => closed += 1,
            line if line.starts_with('+') => {}
            line => words.push(line.to_owned()),
        }
        let is_final = line.len() == 3 && line.as_str() >= "200" && line.as_str() < "999";
        if is_final {
            words.push(format!("{content:?}"));
        }
    }
    let ended = lines.iter().filter(|line| *line == "\"").count();
    let failed = lines.iter().filter(|line| line.starts_with("error")).count();
    match (closed, ended + failed) {
        (1, 1) => {}
        (0, 0) => words.push("waits".into()),
        _ => words.push(format!("closed {closed} times, ended {ended}, failed {failed}")),
    }
    words.join(" ")
}
