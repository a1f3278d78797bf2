//! Deadlines of connections: one `u32` in the slot, found by a pass over the slab. A pass over 1,000,000
//! slots takes 1.6 ms, so a wheel would buy nothing; above 100,000 the pass is taken in slices.

use std::time::Duration;

use crate::engine::Core;
use crate::engine::event::Event;
use crate::engine::slot::{Flags, Inactivity};
use crate::net::Time;

/// One tick of the deadline clock. A `u32` of them lasts 6.8 years.
const TICK: Duration = Duration::from_millis(50);

/// The pass is made at most this often while connections are few, so that short timeouts are on time.
const SWEEP_INTERVAL_FEW: Duration = Duration::from_millis(50);

/// The same above [`FEW`] connections.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
const FEW: usize = 1_000;

/// Slots per slice, and the pause between two slices.
const SLICE: usize = 100_000;
const SLICE_INTERVAL: Duration = Duration::from_millis(62);

/// A duration in ticks, rounded up and never 0.
pub(crate) fn ticks(duration: Duration) -> u32 {
    let ticks = duration.as_millis().div_ceil(TICK.as_millis());
    u32::try_from(ticks).unwrap_or(u32::MAX).max(1)
}

/// What so many ticks are.
pub(crate) fn duration_of(ticks: u32) -> Duration {
    TICK * ticks
}

/// When a deadline was set that is `duration` later, to a tick.
pub(crate) fn armed_at(deadline: u32, duration: Duration) -> Time {
    let tick = deadline.saturating_sub(ticks(duration));
    Time(u64::from(tick) * TICK.as_micros() as u64)
}

/// The first tick that begins after `time`, so that a deadline is never early.
#[inline]
pub(crate) fn tick_at(time: Time) -> u32 {
    (time.0 / TICK.as_micros() as u64) as u32 + 1
}

/// When the pass over the slab is due next.
#[derive(Debug)]
pub(crate) struct Sweep {
    next: Option<Time>,
    last: Time,
    cursor: usize,
    /// The earliest deadline seen in the pass so far.
    earliest: u32,
}

impl Sweep {
    pub(crate) fn new() -> Self {
        Sweep { next: None, last: Time::default(), cursor: 0, earliest: u32::MAX }
    }

    pub(crate) fn next(&self) -> Option<Time> {
        self.next
    }

    /// A pass will be made in time for this deadline.
    #[cfg(feature = "sim")]
    pub(super) fn finds(&self, deadline: u32) -> bool {
        let due = Time(u64::from(deadline) * TICK.as_micros() as u64);
        let latest = due.max(self.last.after(SWEEP_INTERVAL));
        self.next.is_some_and(|next| next <= latest)
    }

    /// Takes note of a deadline, so that a pass is made when it is due.
    #[inline]
    pub(crate) fn note(&mut self, deadline: u32) {
        let due = Time(u64::from(deadline) * TICK.as_micros() as u64);
        if self.next.is_none_or(|next| due < next) {
            let earliest = self.last.after(SWEEP_INTERVAL_FEW);
            self.next = Some(if due < earliest { earliest } else { due });
        }
    }
}

impl Core {
    /// Marks connections whose deadline has passed, and the listeners that could not accept.
    pub(crate) fn sweep_if_due(&mut self) {
        if self.sweep.next.is_none_or(|next| self.now < next) {
            return;
        }
        let now_tick = (self.now.0 / TICK.as_micros() as u64) as u32;
        let from = self.sweep.cursor;
        let to = (from + SLICE).min(self.slots.capacity());
        for key in from..to {
            let Some(slot) = self.slots.get_mut(key) else {
                continue;
            };
            if slot.deadline == 0 {
                continue;
            }
            if slot.deadline <= now_tick {
                slot.deadline = 0;
                slot.flags.set(Flags::EXPIRED);
                self.expires(key as u32);
            } else {
                self.sweep.earliest = self.sweep.earliest.min(slot.deadline);
            }
        }
        self.sweep.last = self.now;
        if to < self.slots.capacity() {
            self.sweep.cursor = to;
            self.sweep.next = Some(self.now.after(SLICE_INTERVAL));
            return;
        }
        self.sweep.cursor = 0;
        let earliest = std::mem::replace(&mut self.sweep.earliest, u32::MAX);
        self.sweep.next = None;
        if earliest != u32::MAX {
            let interval = match self.slots.len() {
                0..FEW => SWEEP_INTERVAL_FEW,
                _ => SWEEP_INTERVAL,
            };
            let soonest = self.now.after(interval);
            let due = Time(u64::from(earliest) * TICK.as_micros() as u64);
            self.sweep.next = Some(due.max(soonest));
        }
        if from > 0 && !self.slots.is_empty() {
            // A pass in slices does not see what was set behind it while it lasted: the next one follows soon.
            let latest = self.now.after(SWEEP_INTERVAL);
            self.sweep.next = Some(self.sweep.next.map_or(latest, |next| next.min(latest)));
        }
    }

    /// Sets the deadline of a slot to `ticks` from now; 0 takes it away.
    #[inline]
    pub(crate) fn arm(&mut self, key: u32, ticks: u32) {
        let deadline = match ticks {
            0 => 0,
            _ => self.tick.saturating_add(ticks),
        };
        if let Some(slot) = self.slots.get_mut(key as usize) {
            slot.deadline = deadline;
        }
        if deadline != 0 {
            self.sweep.note(deadline);
        }
    }

    /// Arms the one clock of a client's exchange or of a byte stream: inactivity. Once it has run out and that
    /// was told, it rests until something moves.
    pub(crate) fn arm_inactivity(&mut self, key: u32) {
        let activity = self.activity;
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return;
        };
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        if activity {
            active.inactivity = Inactivity::None;
        }
        let ticks = active.timeout_ticks;
        let rests = slot.deadline == 0 && active.inactivity == Inactivity::None;
        if ticks == 0 || activity || rests {
            self.arm(key, ticks);
        }
    }

    /// The clock of a client's exchange or of a byte stream has run out: whom to tell next.
    pub(crate) fn inactive(&mut self, key: u32) -> Option<Event> {
        let id = self.id(key);
        let slot = &mut self.slots[key as usize];
        let active = slot.active.as_deref_mut()?;
        let complete = active.incoming.complete;
        let mut callbacks = active.callbacks.as_deref_mut();
        if active.inactivity == Inactivity::None {
            active.inactivity = Inactivity::Request(false);
            let incoming = callbacks.as_deref_mut().filter(|_| !complete);
            if let Some(callback) =
                incoming.and_then(|callbacks| callbacks.more()?.incoming_timeout.take())
            {
                return Some(Event::IncomingTimeout { callback, id });
            }
        }
        active.inactivity = Inactivity::Told;
        slot.flags.unset(Flags::EXPIRED);
        let callback = callbacks.and_then(|callbacks| callbacks.more()?.timeout.take())?;
        Some(Event::Timeout { callback, id })
    }
}
