//! What a response offers of a file.

use std::time::Duration;

use onloop::http::IncomingResponse;

pub(crate) enum Offer {
    /// All of it, whatever was asked for.
    Whole {
        size: Option<u64>,
        validator: Option<String>,
    },
    /// The bytes from one to another, both included, of a file that is known by one of these.
    Rest {
        from: u64,
        to: u64,
        size: Option<u64>,
        validators: Validators,
    },
    /// The file ends before what was asked for.
    Nothing {
        size: Option<u64>,
    },
    Unusable(String),
}

/// What tells one state of a file from another.
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl Offer {
    pub(crate) fn of(response: &IncomingResponse) -> Offer {
        let range = response.header("content-range").and_then(content_range);
        match (response.status(), range) {
            (200, _) => Offer::Whole {
                size: response.header("content-length").and_then(number),
                validator: strong_validator(response),
            },
            (206, Some((Some((from, to)), size))) => {
                Offer::Rest { from, to, size, validators: Validators::of(response) }
            }
            (206, _) => Offer::Unusable("the server sent a part and did not say which".to_string()),
            (416, range) => Offer::Nothing { size: range.and_then(|(_, size)| size) },
            (status, _) => {
                let message = response.status_message();
                Offer::Unusable(format!("the server answered {status} {message}"))
            }
        }
    }
}

impl Validators {
    fn of(response: &IncomingResponse) -> Validators {
        let field = |name| response.header(name).map(str::to_string);
        Validators { etag: field("etag"), last_modified: field("last-modified") }
    }
}

/// The first and the last byte.
type Span = (u64, u64);

/// Bytes and size of a `Content-Range` (RFC 9110 §14.4); a star is nothing.
fn content_range(value: &str) -> Option<(Option<Span>, Option<u64>)> {
    let (unit, rest) = value.split_once(' ')?;
    let (range, size) = rest.trim().split_once('/')?;
    let size = if size == "*" { None } else { Some(number(size)?) };
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    if range == "*" {
        return Some((None, size));
    }
    let (from, to) = range.split_once('-')?;
    let (from, to) = (number(from)?, number(to)?);
    // The last number of all has no successor.
    let fits = from <= to && to < size.unwrap_or(u64::MAX);
    fits.then_some((Some((from, to)), size))
}

fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// What `If-Range` can be asked with (RFC 9110 §13.1.5): a state that differs by a single byte must differ in it.
fn strong_validator(response: &IncomingResponse) -> Option<String> {
    let etag = response.header("etag").filter(|etag| etag.starts_with('"'));
    let validator = etag.or_else(|| {
        // A file that was modified twice within a second has one date: only what is older is sure
        // (RFC 9110 §8.8.2.2).
        let modified = response.header("last-modified")?;
        let now = httpdate::parse_http_date(response.header("date")?).ok()?;
        let age = now.duration_since(httpdate::parse_http_date(modified).ok()?).ok()?;
        (age >= Duration::from_secs(1)).then_some(modified)
    });
    validator.map(str::to_string)
}
