//! Our client beside Node's: the same programs are carried out by both, each against a raw server of its own that
//! follows a script, and two things are compared: the bytes that the servers receive (but for the port in `Host`)
//! and the events, values and codes of errors that the programs are told. Whether a connection is kept is told by
//! one more request.
//!
//! `beside_node_client/client.js` carries the programs out with Node's `http`, `beside_node_client/ours.rs` with
//! this crate. Where the two differ on purpose a case names the row of the table of differences in
//! `docs/node-parity.md` and has both outcomes, so that a change on either side is seen. Written for Node with
//! llhttp 9.3 and later: the last of 20, and 22 to 26.

#[path = "beside_node_client/case.rs"]
mod case;
#[path = "beside_node_client/exchanges.rs"]
mod exchanges;
#[path = "beside_node_client/failures.rs"]
mod failures;
#[path = "beside_node_client/framing.rs"]
mod framing;
#[path = "beside_node_client/handover.rs"]
mod handover;
#[path = "beside_node_client/ours.rs"]
mod ours;
mod program;
#[path = "beside_node_client/requests.rs"]
mod requests;
#[path = "beside_node_client/responses.rs"]
mod responses;
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

use case::{Case, Expected};
use program::others::has;
use server::Server;

/// Node's parser, from this version on: earlier ones were lenient, each in its own way.
const LLHTTP: (u32, u32) = (9, 3);

/// Node's client, which waits for programs.
struct Node {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    version: String,
    /// The version of its parser.
    parser: (u32, u32),
}

impl Node {
    fn start() -> Node {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beside_node_client/client.js");
        let mut command = Command::new("node");
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut node = Node { child, stdin, stdout, version: String::new(), parser: (0, 0) };
        let greeting = node.line();
        let (version, parser) = greeting.trim().split_once(' ').expect("two versions");
        node.version = version.to_owned();
        let mut numbers = parser.split('.').map(|number| number.parse().expect("a number"));
        node.parser = (numbers.next().expect("major"), numbers.next().expect("minor"));
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
        let (port, log) = (server.port, node.carry_out(server.port, case));
        Seen { wire: server.finish(), log }.told(case, port)
    }

    fn by_ours(case: &Case) -> Seen {
        let server = Server::start(&case.scripts);
        let mut event_loop = EventLoop::new().expect("a loop");
        let log = ours::carry_out(&mut event_loop, server.port, &case.program, case.is_probed());
        // Before the loop closes what it has kept.
        let port = server.port;
        Seen { wire: server.finish(), log }.told(case, port)
    }

    /// Without what the case does not ask for, and without the port.
    fn told(mut self, case: &Case, port: u16) -> Seen {
        const LATER: [&str; 4] = ["finish", "drain", "req close", "res close"];
        let is_later = |line: &String| LATER.iter().any(|later| line.ends_with(later));
        self.log.retain(|line| case.full || !is_later(line));
        let number = format!(":{port}");
        self.log.iter_mut().for_each(|line| *line = line.replace(&number, ":P"));
        self
    }
}

/// The end of each request behind that of its response, row 83.
fn closed_last(log: &mut Vec<String>) {
    // Lines of all exchanges but the first begin with a number.
    for number in 1..=4 {
        let name = |what| if number == 1 { String::from(what) } else { format!("{number} {what}") };
        let places = ["req close", "res close"].map(|what| {
            let line = name(what);
            log.iter().position(|noted| *noted == line)
        });
        if let [Some(request), Some(response)] = places {
            if request < response {
                let line = log.remove(request);
                log.insert(response, line);
            }
        }
    }
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
            (!fine).then(|| format!("  difference {row} should be {node:?}\n  and {expected:?}"))
        }
    }
}

fn compare(cases: Vec<Case>) {
    if !has("node") {
        return;
    }
    let mut node = Node::start();
    if node.parser < LLHTTP {
        // Past the harness, which shows only what failing tests print.
        let line = format!("skipped: Node {} is too old\n", node.version);
        let _ = std::io::stderr().write_all(line.as_bytes());
        return;
    }
    let mut wrong = Vec::new();
    for case in &cases {
        let (mut theirs, ours) = (Seen::by_node(&mut node, case), Seen::by_ours(case));
        if !case.ordered {
            closed_last(&mut theirs.log);
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
    let count = cases.len();
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
    requests_are_framed_by_what_programs_call: framing::by_the_calls;
    requests_are_framed_by_the_fields_that_are_set: framing::by_the_fields;
    requests_are_framed_though_programs_mislead: framing::that_misleads;
    trailers_follow_content: framing::trailers;
    requests_say_what_becomes_of_the_connection: requests::connections;
    targets_come_out_of_urls: requests::targets;
    urls_are_not_repaired: requests::repaired_targets;
    options_come_before_urls: requests::options;
    methods_are_sent_as_they_are: requests::methods;
    credentials_come_out_of_urls: requests::credentials;
    fields_are_sent_and_told_back: requests::fields;
    misuse_of_requests_has_a_code: requests::misuse;
    responses_end_where_they_say: responses::framing;
    status_lines_are_told: responses::status_lines;
    repeated_fields_are_brought_together: responses::fields;
    informational_responses_come_first: responses::informational;
    malformed_status_lines_are_errors: failures::of_status_lines;
    malformed_fields_are_errors: failures::of_fields;
    ambiguous_framing_is_an_error: failures::of_framing;
    malformed_content_is_an_error: failures::of_content;
    responses_that_are_too_large_are_errors: failures::of_sizes;
    connections_that_end_too_early_are_errors: failures::of_connections;
    nobody_is_told_more_than_was_asked_for: failures::of_surplus;
    events_come_in_order: exchanges::events;
    events_tell_of_servers_that_break_off: exchanges::broken_events;
    events_tell_of_programs_that_break_off: exchanges::destroyed;
    content_waits_where_it_is_told_to: exchanges::expectations;
    connections_serve_again_or_end: exchanges::persistence;
    agents_keep_to_their_limits: exchanges::agents;
    silence_is_told_and_ends_nothing: exchanges::timeouts;
    connections_are_handed_over: handover::upgrades;
    tunnels_are_made_or_refused: handover::tunnels;
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
            if !rows.contains(row) || *node == [ours.clone()] {
                wrong.push(format!("{row}: {:?}", case.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "no such row, or no difference:\n{}", wrong.join("\n"));
}
