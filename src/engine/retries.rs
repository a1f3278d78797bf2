//! Requests that are made again after a failure, where the user wants that: which failures, and after what pause.
//! What is made again without asking, since only a kept connection had died, is in `repetition`.

use std::time::{Duration, SystemTime};

use crate::engine::Core;
use crate::engine::event::{Event, Input};
use crate::error::{Error, ErrorKind};
use crate::h1::{Head, decimal};

impl Core {
    /// No connection could be made, so nothing was sent: any request may be made again.
    #[cold]
    pub(super) fn retry_connecting(&mut self, key: u32, error: &Error) -> Option<Event> {
        if error.kind() != ErrorKind::Io {
            // The next attempt would come to the same.
            return None;
        }
        let pause = self.next_pause(key, None)?;
        Some(self.retry_after(key, pause, error.code()))
    }

    /// The connection ended before a byte of an answer came: an idempotent request is made again where its bytes
    /// are at hand, any other where none of them was sent.
    #[cold]
    pub(super) fn retry_lost(&mut self, key: u32, input: &Input<'_>) -> Option<Event> {
        if !self.can_be_sent_again(key, input) {
            return None;
        }
        let pause = self.next_pause(key, None)?;
        self.note_sent(key);
        Some(self.retry_after(key, pause, "ECONNRESET"))
    }

    fn retry_after(&mut self, key: u32, pause: Duration, why: &str) -> Event {
        log::debug!(target: "onloop::client", "request {key}: {why}, made again in {pause:?}");
        self.part(key, false);
        self.pause_journey(key, pause)
    }

    /// The pause before the next attempt where an answer asks for one.
    pub(super) fn retry_by(&mut self, key: u32, head: &Head) -> Option<Duration> {
        let is_at_hand = self.active(key).output.is_kept();
        let wall_clock = self.net.wall_clock();
        let client = self.client(key);
        let retries = client.journey.as_deref()?.options.retries.as_ref()?;
        let asks = matches!(head.status(), 429 | 502 | 503 | 504);
        if !retries.on_status || !asks || !is_at_hand || !client.is_idempotent() {
            return None;
        }
        let asked_for = head.find("retry-after").and_then(|value| told_pause(value, wall_clock));
        self.next_pause(key, asked_for)
    }

    /// How long is waited before the next attempt: what the server asks for, else a random part of a time that
    /// doubles. `None` where there is none, or where the server wants more patience than there is.
    fn next_pause(&mut self, key: u32, asked_for: Option<Duration>) -> Option<Duration> {
        let journey = self.journey(key)?;
        let retries = journey.options.retries?;
        let made = journey.retries;
        if made >= retries.attempts || asked_for.is_some_and(|asked| asked > retries.max_delay) {
            return None;
        }
        let longest = retries.delay.saturating_mul(1 << made.min(30)).min(retries.max_delay);
        journey.retries += 1;
        if asked_for.is_some() {
            return asked_for;
        }
        // Full jitter: those that failed together do not come back together.
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Some(Duration::from_micros(self.net.random() % micros.saturating_add(1)))
    }
}

/// `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
fn told_pause(value: &[u8], now: SystemTime) -> Option<Duration> {
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        // What is too long to be counted is too long to be waited for.
        return Some(Duration::from_secs(decimal(value).unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_told_in_seconds_or_as_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(told_pause(value.as_bytes(), now), expected, "{value:?}");
        }
    }
}
