//! Our client beside Node's: the same programs are carried out by both, each against a raw server of its own that
//! follows a script, and two things are compared: the bytes that the servers receive (but for the port in `Host`)
//! and the events, values and codes of errors that the programs are told. Whether a connection is kept is told by
//! one more request.
//!
//! `beside_node_client/client.js` carries the programs out with Node's `http`, `beside_node_client/ours.rs` with
//! this crate. Where the two differ on purpose a case names the row of the table of differences in
//! `docs/node-parity.md` and has both outcomes, so that a change on either side is seen.

#[path = "beside_node_client/case.rs"]
mod case;
#[path = "beside_node_client/ours.rs"]
mod ours;
mod program;
#[path = "beside_node_client/requests.rs"]
mod requests;
#[path = "beside_node_client/server.rs"]
mod server;
#[path = "beside_node/views.rs"]
mod views;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use onloop::EventLoop;
use serde_json::json;

use case::{Case, Expected, Row};
use program::others::has;
use server::Server;

/// Node's client, which waits for programs.
struct Node {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    version: String,
    major: u32,
}

impl Node {
    fn start() -> Node {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beside_node_client/client.js");
        let mut command = Command::new("node");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut node = Node { child, stdin, stdout, version: String::new(), major: 0 };
        let greeting = node.line();
        node.version = greeting.trim().strip_prefix("node=").expect("its version").to_owned();
        let major = node.version.split('.').next().and_then(|major| major.parse().ok());
        node.major = major.expect("a number");
        node
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("its output can be read");
        line
    }

    fn carry_out(&mut self, port: u16, case: &Case) -> Vec<String> {
        let probe = case.is_probed();
        let command = json!({ "port": port, "program": case.program, "probe": probe });
        writeln!(self.stdin, "{command}").expect("it listens");
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server received, and what the user was told.
#[derive(Debug, PartialEq)]
struct Seen {
    wire: String,
    log: Vec<String>,
}

impl Seen {
    fn by_node(node: &mut Node, case: &Case) -> Seen {
        let server = Server::start(&case.scripts);
        let log = node.carry_out(server.port, case);
        Seen { wire: server.finish(), log }.told(case)
    }

    fn by_ours(case: &Case) -> Seen {
        let server = Server::start(&case.scripts);
        let mut event_loop = EventLoop::new().expect("a loop");
        let log = ours::carry_out(&mut event_loop, server.port, &case.program, case.is_probed());
        // Before the loop closes what it has kept.
        Seen { wire: server.finish(), log }.told(case)
    }

    /// Without what the case does not ask for.
    fn told(mut self, case: &Case) -> Seen {
        const LATER: [&str; 4] = ["finish", "drain", "req close", "res close"];
        let is_later = |line: &String| LATER.iter().any(|later| line.ends_with(later));
        self.log.retain(|line| case.full || !is_later(line));
        self
    }
}

/// Node's order of closing as ours, row 83.
fn closed_last(mut log: Vec<String>) -> Vec<String> {
    if let Some(at) = log.iter().position(|line| line == "req close") {
        let line = log.remove(at);
        let behind = log.iter().rposition(|line| !line.starts_with(|c: char| c.is_ascii_digit()));
        log.insert(behind.map_or(0, |at| at + 1), line);
    }
    log
}

/// What is wrong with one of the sides, if anything.
fn judge(expected: &Expected, theirs: &str, ours: &str) -> Option<String> {
    // A program that hangs was waited for in vain.
    let silent = theirs.contains("[silent]") || ours.contains("[silent]");
    match expected {
        Expected::Same if theirs == ours && !silent => None,
        Expected::Same => Some("  which should be the same".to_owned()),
        Expected::Differs { row, node, ours: expected } => {
            let fine = node.iter().any(|text| text == theirs) && ours == expected;
            (!fine).then(|| format!("  difference {row:?} should be {node:?}\n  and {expected:?}"))
        }
    }
}

fn compare(cases: Vec<Case>) {
    if !has("node") {
        return;
    }
    let mut node = Node::start();
    let mut wrong = Vec::new();
    let mut skipped = Vec::new();
    for case in &cases {
        if node.major < case.since {
            skipped.push(format!("{:?}", case.program));
            continue;
        }
        let (mut theirs, ours) = (Seen::by_node(&mut node, case), Seen::by_ours(case));
        if case.closes_first {
            let reordered = closed_last(theirs.log.clone());
            if reordered == theirs.log {
                wrong.push(format!("{:?}\n  Node has our order {:?}", case.name(), theirs.log));
            }
            theirs.log = reordered;
        }
        let logs = [&theirs, &ours].map(|seen| seen.log.join(", "));
        for (expected, theirs, ours) in
            [(&case.wire, &theirs.wire, &ours.wire), (&case.log, &logs[0], &logs[1])]
        {
            if let Some(problem) = judge(expected, theirs, ours) {
                let name = case.name();
                wrong.push(format!("{name:?}\n  Node {theirs:?}\n  onloop {ours:?}\n{problem}"));
            }
        }
    }
    if !skipped.is_empty() {
        // Past the harness, which shows only what failing tests print.
        let (count, names) = (skipped.len(), skipped.join(", "));
        let line = format!("skipped: Node {} is too old for {count}: {names}\n", node.version);
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
    let count = cases.len() - skipped.len();
    let text = wrong.join("\n\n");
    assert!(wrong.is_empty(), "Node {}, {} of {count}:\n{text}", node.version, wrong.len());
}

/// A test for each table, and all of them together.
macro_rules! tables {
    ($($test:ident: $table:path;)*) => {
        $(
            #[test]
            fn $test() {
                compare($table());
            }
        )*

        fn all() -> Vec<Case> {
            [$($table()),*].concat()
        }
    };
}

tables! {
    requests_are_framed_by_what_programs_call: requests::by_the_calls;
    requests_are_framed_by_the_fields_that_are_set: requests::by_the_fields;
    requests_say_what_becomes_of_the_connection: requests::connections;
    targets_come_out_of_urls: requests::targets;
    methods_are_sent_as_they_are: requests::methods;
    credentials_come_out_of_urls: requests::credentials;
    fields_are_sent_and_told_back: requests::fields;
    misuse_of_requests_has_a_code: requests::misuse;
    trailers_follow_content: requests::trailers;
}

#[test]
fn every_difference_is_in_the_table() {
    let page = include_str!("../docs/node-parity.md");
    let (_, table) = page.split_once("## Differences").expect("the table of differences");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let rows: BTreeSet<u32> = rows.filter_map(|number| number.parse().ok()).collect();
    let mut wrong = Vec::new();
    for case in all() {
        for expected in [&case.wire, &case.log] {
            let Expected::Differs { row, node, ours } = expected else { continue };
            let is_known = !matches!(row, Row::Number(number) if !rows.contains(number));
            if !is_known || *node == [ours.clone()] {
                wrong.push(format!("{row:?}: {:?}", case.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "no such row, or no difference:\n{}", wrong.join("\n"));
}
