//! What the simulated network does to the bytes.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The faults of a simulated network. The default is a network without any.
///
/// Chances are in 1/1000: 0 never, 1000 always.
///
/// ```
/// # #[cfg(feature = "sim")] {
/// use std::time::Duration;
/// use onloop::sim::{SimNet, SimOptions};
///
/// let options = SimOptions::default()
///     .delay(Duration::from_millis(1)..=Duration::from_millis(30))
///     .fragments(200, 16)
///     .short_writes(100);
/// let net = SimNet::with_options(42, options);
/// # let _ = net;
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SimOptions {
    pub(super) capacity: usize,
    pub(super) delay: (u64, u64),
    pub(super) connect_delay: (u64, u64),
    pub(super) fragment: u16,
    pub(super) fragment_bytes_max: usize,
    pub(super) short_write: u16,
    pub(super) would_block: u16,
    pub(super) reset: u16,
    pub(super) reset_discards: bool,
    pub(super) truncate: u16,
    pub(super) silence: u16,
    pub(super) refuse: u16,
    pub(super) connect_silence: u16,
    pub(super) accept_error: u16,
    pub(super) accept_codes: Vec<i32>,
    pub(super) clock_jump: u16,
    pub(super) clock_jump_max: u64,
    pub(super) separate_filters: bool,
    pub(super) events_per_poll: usize,
}

impl Default for SimOptions {
    fn default() -> Self {
        SimOptions {
            capacity: 64 * 1024,
            delay: (50, 50),
            connect_delay: (50, 50),
            fragment: 0,
            fragment_bytes_max: 1,
            short_write: 0,
            would_block: 0,
            reset: 0,
            reset_discards: false,
            truncate: 0,
            silence: 0,
            refuse: 0,
            connect_silence: 0,
            accept_error: 0,
            accept_codes: Vec::new(),
            clock_jump: 0,
            clock_jump_max: 0,
            separate_filters: false,
            events_per_poll: 1024,
        }
    }
}

impl SimOptions {
    /// A rough network on which everything still arrives: delays from 0 to 5 ms that reorder
    /// connections, fragments, short writes and refused writes. Answers must not change.
    pub fn rough() -> SimOptions {
        SimOptions::default()
            .delay(Duration::ZERO..=Duration::from_millis(5))
            .connect_delay(Duration::ZERO..=Duration::from_millis(5))
            .fragments(300, 97)
            .short_writes(200)
            .would_block(100)
            .accept_errors(50)
    }

    /// `rough`, and connections break: resets, truncation, silence, refusals, clock jumps.
    pub fn hostile() -> SimOptions {
        SimOptions::rough()
            .resets(10)
            .truncation(5)
            .silence(5)
            .refusals(20)
            .connect_silence(10)
            .clock_jumps(10, Duration::from_secs(3))
    }

    /// Bytes that one direction of a connection holds, on the way and unread. Default 64 KiB.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes.max(1);
        self
    }

    /// How long a segment is on its way, drawn for each. Order within a connection is kept.
    pub fn delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.delay = micros(&range);
        self
    }

    /// How long it takes until a connection is made or refused.
    pub fn connect_delay(mut self, range: RangeInclusive<Duration>) -> Self {
        self.connect_delay = micros(&range);
        self
    }

    /// The chance that what is written at once arrives in pieces of 1 to `bytes_max` bytes, one after
    /// the other in time.
    pub fn fragments(mut self, per_mille: u16, bytes_max: usize) -> Self {
        self.fragment = per_mille;
        self.fragment_bytes_max = bytes_max.max(1);
        self
    }

    /// The chance that a write takes only a part although there is space.
    pub fn short_writes(mut self, per_mille: u16) -> Self {
        self.short_write = per_mille;
        self
    }

    /// The chance that a write is refused with `WouldBlock` although there is space.
    pub fn would_block(mut self, per_mille: u16) -> Self {
        self.would_block = per_mille;
        self
    }

    /// The chance, per write, that the connection breaks for both sides.
    pub fn resets(mut self, per_mille: u16) -> Self {
        self.reset = per_mille;
        self
    }

    /// Whether a reset throws away what had arrived but was not read. Linux keeps it readable; other
    /// systems do not, and middleboxes decide for themselves.
    pub fn reset_discards(mut self, discards: bool) -> Self {
        self.reset_discards = discards;
        self
    }

    /// The chance, per write, that the other side reads a part, then an end of stream, and never the
    /// rest, while the opposite direction goes on.
    pub fn truncation(mut self, per_mille: u16) -> Self {
        self.truncate = per_mille;
        self
    }

    /// The chance, per write, that this direction falls silent for good: nothing arrives any more,
    /// not even an end of stream.
    pub fn silence(mut self, per_mille: u16) -> Self {
        self.silence = per_mille;
        self
    }

    /// The chance that a connection is refused.
    pub fn refusals(mut self, per_mille: u16) -> Self {
        self.refuse = per_mille;
        self
    }

    /// The chance that a connection is neither made nor refused.
    pub fn connect_silence(mut self, per_mille: u16) -> Self {
        self.connect_silence = per_mille;
        self
    }

    /// The chance that `accept` fails with EMFILE, or with what [`SimOptions::accept_error_codes`] says. As with
    /// epoll, no edge follows.
    pub fn accept_errors(mut self, per_mille: u16) -> Self {
        self.accept_error = per_mille;
        self
    }

    /// What `accept` fails with, as the host's numbers of errors; one of them is drawn each time. Default: EMFILE
    /// alone, which is also what an empty list means. With ECONNABORTED, EPROTO and EPERM the connection is gone,
    /// as it is on systems that say so; with all others it waits on.
    ///
    /// ```
    /// # #[cfg(feature = "sim")] {
    /// use onloop::sim::SimOptions;
    ///
    /// const ECONNABORTED: i32 = 103; // Linux
    /// let options = SimOptions::default().accept_errors(500).accept_error_codes([ECONNABORTED]);
    /// # let _ = options;
    /// # }
    /// ```
    pub fn accept_error_codes(mut self, codes: impl IntoIterator<Item = i32>) -> Self {
        self.accept_codes = codes.into_iter().collect();
        self
    }

    /// The chance, per poll, that up to `max` passes before it looks: a callback that took long, a
    /// suspended machine.
    pub fn clock_jumps(mut self, per_mille: u16, max: Duration) -> Self {
        self.clock_jump = per_mille;
        self.clock_jump_max = to_micros(max);
        self
    }

    /// Report readable and writable as two events and only what changed, as kqueue does. The default
    /// is epoll's way: one event with all that is true at the moment.
    pub fn separate_filters(mut self, separate: bool) -> Self {
        self.separate_filters = separate;
        self
    }

    /// Most events that one poll reports.
    pub fn events_per_poll(mut self, events: usize) -> Self {
        self.events_per_poll = events.max(1);
        self
    }
}

/// What a simulated network does with connections to one IP address: [`SimNet::set_route`](super::SimNet::set_route).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Route {
    /// They are made where somebody listens and refused where nobody does, after the delay of
    /// [`SimOptions::connect_delay`].
    #[default]
    Open,
    /// The same after this time.
    Delayed(Duration),
    /// They are refused, whoever listens (`ECONNREFUSED`).
    Refused,
    /// Nobody answers: a black hole. They fail after 127 s, when Linux has sent its last SYN in vain
    /// (`ETIMEDOUT`).
    Silent,
    /// There is no way there, and the call itself fails (`ENETUNREACH`): IPv6 on a machine that has none.
    Unreachable,
}

fn micros(range: &RangeInclusive<Duration>) -> (u64, u64) {
    (to_micros(*range.start()), to_micros(*range.end()))
}

fn to_micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
