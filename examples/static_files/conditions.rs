//! Whether a client needs the file, and which part of it (RFC 9110 §13 and §14).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onloop::http::Request;

use crate::store::Opened;

/// What a client can compare with what it has.
pub(crate) struct State {
    pub(crate) etag: String,
    pub(crate) last_modified: String,
    /// The same, in whole seconds.
    modified: SystemTime,
    /// That second is over: nothing can change any more and bear the same date.
    is_settled: bool,
    length: u64,
}

impl State {
    /// Size and time to the nanosecond make a strong tag on every file system that keeps such times: two
    /// versions would have to be of one length and be written within one tick of its clock. Whoever has files
    /// that change so makes a tag of their content.
    pub(crate) fn of(opened: &Opened) -> State {
        let since = opened.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = SystemTime::now();
        // A date in the future would have to be taken for the present one (RFC 9110 §8.8.2.1).
        let modified = UNIX_EPOCH + Duration::from_secs(since.as_secs());
        let shown = modified.min(now);
        State {
            etag: format!("\"{:x}-{:x}\"", opened.length, since.as_nanos()),
            last_modified: httpdate::fmt_http_date(shown),
            modified,
            is_settled: now.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(2)),
            length: opened.length,
        }
    }
}

/// What to answer.
pub(crate) enum Decision {
    Whole,
    Part(Range<u64>),
    /// 304: the client has it.
    NotModified,
    /// 412: it is not the one that the client means.
    Failed,
    /// 416.
    Unsatisfiable,
}

/// The order is that of RFC 9110 §13.2.2.
pub(crate) fn decide(req: &Request, state: &State) -> Decision {
    if let Some(tags) = list(req, "if-match") {
        if !is_listed(&tags, |tag| tag == state.etag) {
            return Decision::Failed;
        }
    } else if date(req, "if-unmodified-since").is_some_and(|date| state.modified > date) {
        return Decision::Failed;
    }
    if let Some(tags) = list(req, "if-none-match") {
        // Weak tags, too: equal enough not to be sent again.
        if is_listed(&tags, |tag| tag.strip_prefix("W/").unwrap_or(tag) == state.etag) {
            return Decision::NotModified;
        }
    } else if date(req, "if-modified-since").is_some_and(|date| state.modified <= date) {
        return Decision::NotModified;
    }
    // RFC 9110 §14.2: ranges are of GET only.
    match req.header("range") {
        Some(range) if req.method() == "GET" && is_still_that(req, state) => {
            part(range, state.length)
        }
        _ => Decision::Whole,
    }
}

/// `If-Range`: a part is only of use to whoever has the rest of the same file.
fn is_still_that(req: &Request, state: &State) -> bool {
    match req.header("if-range").map(str::trim) {
        None => true,
        Some(tag) if tag.ends_with('"') => tag == state.etag,
        Some(date) => state.is_settled && date == state.last_modified,
    }
}

/// `bytes=FIRST-LAST`, `bytes=FIRST-`, `bytes=-COUNT`. What is no such range, or is several, gets the whole
/// file, as RFC 9110 §14.2 allows.
fn part(range: &str, length: u64) -> Decision {
    let Some((unit, set)) = range.split_once('=') else {
        return Decision::Whole;
    };
    let Some((first, last)) = set.trim().split_once('-') else {
        return Decision::Whole;
    };
    if !unit.eq_ignore_ascii_case("bytes") {
        return Decision::Whole;
    }
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => return Decision::Whole,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(count)) if first.is_empty() => length - count.min(length)..length,
        _ => return Decision::Whole,
    };
    match part.is_empty() {
        true => Decision::Unsatisfiable,
        false => Decision::Part(part),
    }
}

/// Digits only; what is beyond all files stays so.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The lines of a field that is a list, in one.
fn list(req: &Request, name: &str) -> Option<String> {
    let lines: Vec<_> = req.header_all(name).map(String::from_utf8_lossy).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

fn date(req: &Request, name: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(req.header(name)?.trim()).ok()
}

/// `*`, which every file is, or one of the tags. They may have commas in them.
fn is_listed(tags: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut rest = tags.trim();
    if rest == "*" {
        return true;
    }
    while let Some(open) = rest.find('"') {
        let Some(length) = rest[open + 1..].find('"') else {
            return false;
        };
        let end = open + 1 + length + 1;
        // With what stands before the quotes: `W/`.
        if is_meant(rest[..end].trim_start_matches([',', ' ', '\t'])) {
            return true;
        }
        rest = &rest[end..];
    }
    false
}
