//! Heads of requests and responses.
//!
//! Generated: bytes, cuts, small and large limits, what a response answers. Asserted: whole and in pieces there is
//! one outcome, the place of a refusal included; the oracle says the same of every input; what was accepted keeps
//! within the limits, and written out plainly it reads as the same head.

use std::cell::RefCell;

use onloop::internals::{HeadTrial, Question, Refusal, TrialLimits, Understood};

use crate::input::{Random, choices, cuts};
use crate::oracle::{self, Head, Stop};

const LIMITS: [TrialLimits; 4] = [
    limits(16 * 1024, 8 * 1024, 1000, 32, 4),
    limits(64, 16, 3, 4, 0),
    limits(256, 40, 8, 8, 1),
    // More than the reader can have: it has 65,535.
    limits(100_000, 300, 70, 200, 9),
];

const fn limits(
    head_bytes: usize,
    target_bytes: usize,
    fields: usize,
    method_bytes: u8,
    empty_lines: u8,
) -> TrialLimits {
    TrialLimits { head_bytes, target_bytes, fields, method_bytes, empty_lines }
}

/// All that is known of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    head: Head,
    understood: Understood,
    bytes: usize,
}

type Outcome = Result<Option<Seen>, Refusal>;

#[derive(Debug, Clone, Copy)]
struct Case {
    /// `None` for a request.
    question: Option<Question>,
    limits: TrialLimits,
}

/// The body of the target.
pub fn check(data: &[u8]) {
    thread_local! {
        static TRIAL: RefCell<HeadTrial> = RefCell::default();
    }
    let Some(([role, limits, pieces, seed], bytes)) = choices(data) else { return };
    let question = match role {
        0..8 => None,
        8 => Some(Question::Head),
        9 => Some(Question::Connect),
        _ => Some(Question::Other),
    };
    let case = Case { question, limits: LIMITS[limits % LIMITS.len()] };
    TRIAL.with_borrow_mut(|trial| {
        let whole = play(trial, case, bytes, &[bytes.len()]);
        let cuts = cuts(pieces, bytes.len(), &mut Random::new(seed, bytes));
        assert_eq!(whole, play(trial, case, bytes, &cuts), "in pieces that end at {cuts:?}");
        judge(case, bytes, &whole);
        if let Ok(Some(seen)) = whole {
            write_and_read(trial, case, seen);
        }
    });
}

/// Gives the reader growing prefixes.
fn play(trial: &mut HeadTrial, case: Case, bytes: &[u8], cuts: &[usize]) -> Outcome {
    trial.begin();
    for &cut in cuts {
        let input = &bytes[..cut];
        let read = match case.question {
            None => trial.request(input, &case.limits),
            Some(question) => trial.response(input, question, &case.limits),
        };
        match read {
            Ok(None) => assert_eq!(trial.position(), cut, "bytes were left unread"),
            Ok(Some(length)) => {
                assert!(length <= cut, "bytes were taken that had not come");
                return Ok(Some(seen(trial, length)));
            }
            Err(refusal) => {
                assert!(refusal.at <= cut, "the wrong byte had not come");
                return Err(refusal);
            }
        }
    }
    Ok(None)
}

fn seen(trial: &HeadTrial, bytes: usize) -> Seen {
    let fields = trial.fields().map(|(name, value)| (name.into(), value.into()));
    let head = Head {
        method: trial.method().into(),
        target: trial.target().into(),
        status: trial.status(),
        reason: trial.reason().into(),
        minor: trial.version_minor(),
        fields: fields.collect(),
    };
    Seen { head, understood: trial.understood(), bytes }
}

/// What the oracle says must be so.
fn judge(case: Case, bytes: &[u8], outcome: &Outcome) {
    let read = match case.question {
        None => oracle::request_within(bytes, &case.limits),
        Some(_) => oracle::response(bytes),
    };
    let judged = read.and_then(|(head, length)| {
        let end = match case.question {
            None => oracle::request_end(&head),
            Some(question) => oracle::response_end(&head, question),
        };
        end.map(|end| (head, length, end))
    });
    match (outcome, judged) {
        (Ok(Some(seen)), Ok((head, length, end))) => {
            assert_eq!((&seen.head, seen.bytes), (&head, length));
            // A length of 0 and none are the same content.
            let mut understood = seen.understood;
            understood.keep_alive_timeout = None;
            assert_eq!(understood, meaning(&head, end));
            assert!(length <= case.limits.head_bytes && head.fields.len() <= case.limits.fields);
            assert!(head.target.len() <= case.limits.target_bytes);
            assert!(head.method.len() <= usize::from(case.limits.method_bytes));
        }
        (Ok(None), Err(Stop::Incomplete)) => assert!(bytes.len() < case.limits.head_bytes),
        (Err(refusal), _) if refusal.is_limit => check_limit(case, bytes, refusal),
        (Err(_), Err(Stop::Wrong)) => {}
        (outcome, judged) => panic!("{outcome:?}, but the oracle says {judged:?}"),
    }
}

fn meaning(head: &Head, end: onloop::internals::ContentEnd) -> Understood {
    let option = |name| oracle::has_element(&head.fields, "connection", name);
    let expected: Vec<_> = oracle::values(&head.fields, "expect").collect();
    let continues = expected.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue"));
    let current = head.minor == 1;
    let until_close = end == onloop::internals::ContentEnd::UntilClose;
    Understood {
        end,
        persistent: !option("close") && (current || option("keep-alive")) && !until_close,
        upgrade: oracle::offers_upgrade(head),
        expects_continue: current && !expected.is_empty() && continues,
        expects_other: current && !expected.is_empty() && !continues,
        keep_alive_timeout: None,
    }
}

/// A limit was reached only if there was so much.
fn check_limit(case: Case, bytes: &[u8], refusal: &Refusal) {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let longest = bytes.split(|byte| *byte == b' ').map(<[u8]>::len).max().unwrap_or(0);
    let word = case.limits.target_bytes.min(usize::from(case.limits.method_bytes));
    assert!(
        bytes.len() >= case.limits.head_bytes.min(65_535)
            || lines >= case.limits.fields.min(usize::from(case.limits.empty_lines))
            || longest > word,
        "{refusal:?} within the limits"
    );
}

/// Written out plainly, the head is the same one.
fn write_and_read(trial: &mut HeadTrial, case: Case, mut seen: Seen) {
    let head = &seen.head;
    let mut bytes = Vec::new();
    match case.question {
        None => {
            bytes.extend([&head.method, &b" "[..], &head.target, b" HTTP/1."].concat());
            bytes.extend(format!("{}\r\n", head.minor).bytes());
        }
        Some(_) => {
            bytes.extend(format!("HTTP/1.{} {} ", head.minor, head.status).bytes());
            bytes.extend([&head.reason, &b"\r\n"[..]].concat());
        }
    }
    for (name, value) in &head.fields {
        bytes.extend([name, &b":"[..], value, b"\r\n"].concat());
    }
    bytes.extend(b"\r\n");
    // The reason may be absent with its space.
    if bytes.len() > case.limits.head_bytes {
        return;
    }
    seen.bytes = bytes.len();
    assert_eq!(play(trial, case, &bytes, &[bytes.len()]), Ok(Some(seen)));
}
