//! The loop's clock reading: one number, the same on a real and on a simulated clock.

use std::time::Duration;

/// Microseconds since the loop began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Time(pub(crate) u64);

impl Time {
    /// This time plus `delay`; a delay beyond the clock's range stays at its end.
    #[inline]
    pub(crate) fn after(self, delay: Duration) -> Time {
        Time(self.0.saturating_add(micros(delay)))
    }

    /// How long ago `earlier` was; zero when it is in the future.
    #[inline]
    pub(crate) fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Whole microseconds, rounded up: a timer may be late but never early.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_and_rounds_up() {
        assert_eq!(Time(5).after(Duration::from_nanos(1)), Time(6));
        assert_eq!(Time(5).after(Duration::MAX), Time(u64::MAX));
        assert_eq!(Time(5).since(Time(9)), Duration::ZERO);
        assert_eq!(Time(9).since(Time(5)), Duration::from_micros(4));
    }
}
