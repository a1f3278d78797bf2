//! The `Date` field (RFC 9110 §6.6.1), rendered once a second.

use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::net::Time;

/// The last second of the year 9999.
const LAST: Duration = Duration::from_secs(253_402_300_799);

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
        // What is formatted has four digits for the year and no sign; a clock that is set wrong is no reason to stop.
        let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).min(LAST);
        self.second = since_epoch.as_secs();
        let into_second = Duration::from_nanos(u64::from(since_epoch.subsec_nanos()));
        self.valid_until = now.after(Duration::from_secs(1).saturating_sub(into_second));
        let told = UNIX_EPOCH + Duration::from_secs(self.second);
        // In place, without a `String`: the text always has the line's length.
        let _ = write!(&mut self.line[..], "Date: {}\r\n", httpdate::HttpDate::from(told));
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
