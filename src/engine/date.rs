//! The `Date` field (RFC 9110 §6.6.1), rendered once a second.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::net::Time;

/// `Date: …` in IMF-fixdate, and until when it is right.
#[derive(Debug)]
pub(crate) struct DateCache {
    line: [u8; 37],
    second: u64,
    valid_until: Time,
}

impl DateCache {
    pub(crate) fn new() -> Self {
        DateCache { line: [b' '; 37], second: 0, valid_until: Time::default() }
    }

    /// Brings the line up to date; cheap when the second has not changed.
    #[inline]
    pub(crate) fn refresh(&mut self, now: Time, wall_clock: impl FnOnce() -> SystemTime) {
        if now >= self.valid_until {
            self.render(now, wall_clock());
        }
    }

    fn render(&mut self, now: Time, wall: SystemTime) {
        let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.second = since_epoch.as_secs();
        let into_second = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        self.valid_until = now.after(Duration::from_secs(1).saturating_sub(into_second));
        // In place, without a `String`: the text always has the line's length.
        let _ = write!(&mut self.line[..], "Date: {}\r\n", httpdate::HttpDate::from(wall));
    }

    /// The field line with its CRLF.
    #[inline]
    pub(crate) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The second that the line tells, for caches built on it.
    #[inline]
    pub(crate) fn second(&self) -> u64 {
        self.second
    }
}
