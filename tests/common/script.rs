//! Scripts of bytes: how they are written, and reading them. `tests/wire.rs` tells what they mean.

use std::path::Path;
use std::time::Duration;

/// One thing that a script does or demands.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    End,
    Reset,
    Expect(String),
    ExpectBytes(Vec<u8>),
    ExpectEnd,
}

#[derive(Debug)]
pub(crate) struct Case {
    /// File, line and name.
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
}

/// The cases of one script of `tests/wire/`, those whose names contain the environment's `ONLOOP_WIRE`.
pub(crate) fn cases(script: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(script);
    let text = std::fs::read_to_string(&path).expect("the script is there");
    let mut cases = Vec::new();
    for (at, line) in text.lines().enumerate() {
        parse_line(&format!("{script}:{}", at + 1), line, &mut cases);
    }
    let only = std::env::var("ONLOOP_WIRE").unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    cases
}

/// Has `play` judge each case of a script.
#[track_caller]
pub(crate) fn play(script: &str, play: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = cases(script)
        .iter()
        .filter_map(|case| play(case).err().map(|failure| format!("{}: {failure}", case.name)))
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn parse_line(place: &str, line: &str, cases: &mut Vec<Case>) {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    if let Some(name) = line.strip_prefix("== ") {
        cases.push(Case { name: format!("{place} {name}"), steps: Vec::new() });
        return;
    }
    let step = match line.split_once(' ').unwrap_or((line, "")) {
        (">", text) => Step::Send(unescape(text)),
        ("~", time) => Step::Wait(parse_time(time).unwrap_or_else(|| panic!("{place}: no time"))),
        ("!", "") => Step::End,
        ("!", "reset") => Step::Reset,
        ("<", "end") => Step::ExpectEnd,
        ("<", answer) if answer.ends_with(" end") => {
            parse_line(place, &format!("< {}", &answer[..answer.len() - 4]), cases);
            Step::ExpectEnd
        }
        ("<", answer) => Step::Expect(answer.to_owned()),
        ("<\"", text) => Step::ExpectBytes(unescape(text)),
        _ => panic!("{place}: no step: {line}"),
    };
    let case = cases.last_mut().unwrap_or_else(|| panic!("{place}: no case has begun"));
    match (&mut case.steps.last_mut(), step) {
        // Lines of one direction are one piece.
        (Some(Step::Send(bytes)), Step::Send(more)) => bytes.extend(more),
        (Some(Step::ExpectBytes(bytes)), Step::ExpectBytes(more)) => bytes.extend(more),
        (_, step) => case.steps.push(step),
    }
}

fn parse_time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(count) => Some(Duration::from_millis(count.parse().ok()?)),
        None => Some(Duration::from_secs(text.strip_suffix('s')?.parse().ok()?)),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if let Some(digits) = rest.strip_prefix("\\x") {
            let digits = digits.get(..2).unwrap_or_default();
            bytes
                .push(u8::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("no byte: {text}")));
            4
        } else if first == '\\' {
            let escapes =
                [("\\r", b'\r'), ("\\n", b'\n'), ("\\t", b'\t'), ("\\0", 0), ("\\s", b' ')];
            let found = escapes
                .into_iter()
                .chain([("\\\\", b'\\')])
                .find(|(escape, _)| rest.starts_with(escape));
            bytes.push(found.unwrap_or_else(|| panic!("no escape: {text}")).1);
            2
        } else if let Some(repeat) = rest.strip_prefix("{x") {
            let (count, _) = repeat.split_once('}').unwrap_or_else(|| panic!("no count: {text}"));
            let times: usize = count.parse().unwrap_or_else(|_| panic!("no count: {text}"));
            let last = *bytes.last().expect("a byte to repeat");
            bytes.resize(bytes.len() + times - 1, last);
            count.len() + 3
        } else {
            bytes.push(u8::try_from(u32::from(first)).expect("other bytes are escaped"));
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    bytes
}
