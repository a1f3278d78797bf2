//! Our server beside Node's: the same bytes are sent to both, the same handlers answer, and what comes back is
//! compared byte by byte. Only the value of `Date` is left out, and whether a connection is closed by an end or by a
//! reset. Whether it is kept is told by one more request, the probe.
//!
//! The handlers are small programs that stand in the path of a request: `beside_node/server.js` carries them out
//! with Node's `http`, `beside_node/ours.rs` with this crate. Where the two differ on purpose a case names the row
//! of the table of differences in `docs/node-parity.md` and has both answers, so that a change on either side is
//! seen. Written for Node 18 and later.

#[path = "beside_node/case.rs"]
mod case;
#[path = "beside_node/client.rs"]
mod client;
#[path = "beside_node/connections.rs"]
mod connections;
#[path = "beside_node/events.rs"]
mod events;
#[path = "beside_node/fields.rs"]
mod fields;
#[path = "beside_node/framing.rs"]
mod framing;
#[path = "beside_node/misuse.rs"]
mod misuse;
#[path = "beside_node/ours.rs"]
mod ours;
mod program;
#[path = "beside_node/refusals.rs"]
mod refusals;
#[path = "beside_node/requests.rs"]
mod requests;
#[path = "beside_node/views.rs"]
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use case::{Case, Expected, get};
use program::Program;
use program::others::has;

/// Node's servers, on ports of their own.
struct Node {
    _program: Program,
    ports: BTreeMap<String, u16>,
    version: String,
    major: u32,
    missing: Vec<String>,
}

impl Node {
    fn start() -> Node {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/beside_node/server.js");
        let program = Program::spawn(Command::new("node").arg(script));
        let mut node = Node {
            ports: BTreeMap::new(),
            version: String::new(),
            major: 0,
            missing: Vec::new(),
            _program: program,
        };
        for word in node._program.greeting.split_whitespace() {
            match word.split_once('=').expect("name=value") {
                ("node", version) => {
                    let major = version.split('.').next().and_then(|major| major.parse().ok());
                    node.major = major.expect("a number");
                    node.version = version.to_owned();
                }
                ("missing", method) => node.missing.push(method.to_owned()),
                (name, port) => {
                    node.ports.insert(name.to_owned(), port.parse().expect("a port"));
                }
            }
        }
        node
    }
}

/// What comes back, and the log where one is asked for.
fn answer(ports: &BTreeMap<String, u16>, case: &Case) -> String {
    let port = ports[case.server];
    let mut text = client::converse(port, &case.steps);
    if let Some(key) = &case.log {
        let log = client::converse(port, &get(&format!("show {key}")).steps);
        let lines = log.rsplit("\r\n").next().unwrap_or_default();
        text.push_str(&format!("\r\n{}", lines.trim_end_matches("[kept]")));
    }
    text
}

/// What is wrong with an answer of each, if anything.
fn judge(case: &Case, major: u32, theirs: &str, ours: &str) -> Option<String> {
    // A server that says nothing and does not close was waited for in vain.
    let silent = theirs.contains("[silent]") || ours.contains("[silent]");
    let expected = match &case.expected {
        Expected::Same if theirs == ours && !silent => return None,
        Expected::Same => "  which should be the same".to_owned(),
        Expected::SameSince { version, earlier, ours: expected } => {
            let fine = theirs == expected || (major < *version && theirs == earlier);
            if fine && ours == expected {
                return None;
            }
            format!("  should be {expected:?}\n  or, Node before {version}, {earlier:?}")
        }
        Expected::Differs { row, node, ours: expected } => {
            let fine = node.iter().any(|text| text == theirs) && ours == expected;
            if fine && !silent {
                return None;
            }
            format!("  difference {row} should be {node:?}\n  and {expected:?}")
        }
    };
    let name = format!("{} to {}", case.name, case.server);
    Some(format!("{name:?}\n  Node {theirs:?}\n  onloop {ours:?}\n{expected}"))
}

fn compare(cases: Vec<Case>) {
    if !has("node") {
        return;
    }
    let (node, ports) = (Node::start(), ours::start());
    let mut wrong = Vec::new();
    let mut skipped = Vec::new();
    for case in &cases {
        let missing = |method: &str| node.missing.iter().any(|missing| missing == method);
        if node.major < case.since || case.needs.is_some_and(missing) {
            skipped.push(format!("{:?}", case.name));
            continue;
        }
        let (theirs, ours) = (answer(&node.ports, case), answer(&ports, case));
        wrong.extend(judge(case, node.major, &theirs, &ours));
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

#[test]
fn answers_are_framed_by_what_handlers_call() {
    compare(framing::by_the_calls());
}

#[test]
fn some_answers_have_no_content() {
    compare(framing::without_content());
}

#[test]
fn answers_are_framed_by_the_fields_that_handlers_set() {
    compare(framing::by_the_fields());
}

#[test]
fn clients_of_http_1_0_are_answered_as_they_understand() {
    compare(framing::to_http_1_0());
}

#[test]
fn fields_are_sent_and_told_back() {
    compare(fields::fields());
}

#[test]
fn heads_are_made_in_all_forms() {
    compare(fields::heads());
}

#[test]
fn trailers_follow_content() {
    compare(fields::trailers());
}

#[test]
fn informational_responses_come_first() {
    compare(fields::informational());
}

#[test]
fn misuse_of_fields_has_a_code() {
    compare(misuse::of_fields());
}

#[test]
fn misuse_of_heads_has_a_code() {
    compare(misuse::of_heads());
}

#[test]
fn misuse_of_content_has_a_code() {
    compare(misuse::of_content());
}

#[test]
fn handlers_see_heads_of_requests() {
    compare(requests::heads());
}

#[test]
fn repeated_fields_are_brought_together() {
    compare(requests::repeated_fields());
}

#[test]
fn handlers_read_content() {
    compare(requests::content());
}

#[test]
fn expectations_are_met_or_refused() {
    compare(requests::expectations());
}

#[test]
fn connections_go_on_or_end() {
    compare(connections::persistence());
}

#[test]
fn connections_are_handed_over() {
    compare(connections::handover());
}

#[test]
fn malformed_request_lines_are_refused() {
    compare(refusals::of_request_lines());
}

#[test]
fn malformed_fields_are_refused() {
    compare(refusals::of_fields());
}

#[test]
fn ambiguous_framing_is_refused() {
    compare(refusals::of_framing());
}

#[test]
fn malformed_content_is_refused() {
    compare(refusals::of_content());
}

#[test]
fn heads_that_are_too_large_are_refused() {
    compare(refusals::of_sizes());
}

#[test]
fn malformed_requests_behind_good_ones_are_refused() {
    compare(refusals::of_later_requests());
}

#[test]
fn events_come_in_order() {
    compare(events::of_whole_exchanges());
}

#[test]
fn events_tell_of_exchanges_that_break_off() {
    compare(events::of_broken_exchanges());
}

/// Each of them by its theme.
fn all() -> Vec<Case> {
    [
        framing::by_the_calls(),
        framing::without_content(),
        framing::by_the_fields(),
        framing::to_http_1_0(),
        fields::fields(),
        fields::heads(),
        fields::trailers(),
        fields::informational(),
        misuse::of_fields(),
        misuse::of_heads(),
        misuse::of_content(),
        requests::heads(),
        requests::repeated_fields(),
        requests::content(),
        requests::expectations(),
        connections::persistence(),
        connections::handover(),
        refusals::of_request_lines(),
        refusals::of_fields(),
        refusals::of_framing(),
        refusals::of_content(),
        refusals::of_sizes(),
        refusals::of_later_requests(),
        events::of_whole_exchanges(),
        events::of_broken_exchanges(),
    ]
    .concat()
}

#[test]
fn every_difference_is_in_the_table() {
    let page = include_str!("../docs/node-parity.md");
    let (_, table) = page.split_once("## Differences").expect("the table of differences");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let rows: BTreeSet<u32> = rows.filter_map(|number| number.parse().ok()).collect();
    let unknown: Vec<String> = all()
        .iter()
        .filter_map(|case| match &case.expected {
            Expected::Differs { row, node, ours }
                if !rows.contains(row) || *node == [ours.clone()] =>
            {
                Some(format!("{row}: {:?}", case.name))
            }
            _ => None,
        })
        .collect();
    assert!(unknown.is_empty(), "no such row, or no difference:\n{}", unknown.join("\n"));
}

#[test]
fn no_two_cases_share_a_log() {
    let mut seen = BTreeSet::new();
    for case in all() {
        let Some(key) = case.log else { continue };
        assert!(seen.insert(key.clone()), "{key} is told by two cases");
    }
}
