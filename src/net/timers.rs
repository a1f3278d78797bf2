//! The user's timers: a binary heap of deadlines over a slab of what they carry.
//!
//! Cancelling is lazy: the slab forgets the timer at once, the heap's entry stays until it comes to
//! the top or until stale entries are the majority. The payload is taken out while its callback runs
//! and put back afterwards, and the timer can be cancelled or refreshed all the while. Deliberately
//! not here: callbacks, and the deadlines of connections, which a sweep of the slab serves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use slab::Slab;

use super::Time;

/// Stale entries that are always tolerated: a rebuild of a small heap is not worth its visit.
const STALE_TOLERATED: usize = 64;

/// Names one timer; a stale key finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TimerKey {
    pub(crate) key: u32,
    pub(crate) generation: u32,
}

/// The point in the order of creation at which a batch of expirations began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TimerMark(u64);

#[derive(Debug)]
struct Timer<T> {
    generation: u32,
    /// The arming that the heap's entry must name to be the current one.
    armed: Option<u64>,
    delay: Duration,
    every: Option<Duration>,
    referenced: bool,
    /// `None` while the callback runs.
    payload: Option<T>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    deadline: Time,
    /// Counts armings, so that equal deadlines fire in the order in which they were set.
    arming: u64,
    key: u32,
}

/// All timers of one loop.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    slots: Slab<Timer<T>>,
    heap: BinaryHeap<Reverse<Entry>>,
    /// Due, but set during the batch that is being run: they return to the heap for the next one.
    deferred: Vec<Entry>,
    stale: usize,
    referenced: usize,
    next_arming: u64,
    next_generation: u32,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Timers {
            slots: Slab::new(),
            heap: BinaryHeap::new(),
            deferred: Vec::new(),
            stale: 0,
            referenced: 0,
            next_arming: 0,
            next_generation: 0,
        }
    }
}

impl<T> Timers<T> {
    /// A timer that fires `delay` after `now`, and then, with `every`, again and again. Referenced.
    pub(crate) fn insert(
        &mut self,
        now: Time,
        delay: Duration,
        every: Option<Duration>,
        payload: T,
    ) -> TimerKey {
        let generation = self.next_generation;
        self.next_generation = self.next_generation.wrapping_add(1);
        let timer = Timer {
            generation,
            armed: None,
            delay,
            every,
            referenced: true,
            payload: Some(payload),
        };
        let key = u32::try_from(self.slots.insert(timer)).unwrap_or(u32::MAX);
        self.referenced += 1;
        self.arm(key, now.after(delay));
        TimerKey { key, generation }
    }

    /// Forgets the timer. The payload is returned for the caller to drop outside its borrow; a timer
    /// whose callback is running has none, and its `put_back` returns it.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.find(key)?;
        let timer = self.remove(key.key);
        self.purge();
        timer.payload
    }

    /// When `expired` will have something next.
    pub(crate) fn next_deadline(&mut self) -> Option<Time> {
        self.undefer();
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.is_current(entry) {
                return Some(entry.deadline);
            }
            self.heap.pop();
            self.stale -= 1;
        }
        None
    }

    /// Begins a batch: timers set from now on do not fire in it.
    pub(crate) fn mark(&mut self) -> TimerMark {
        self.undefer();
        TimerMark(self.next_arming)
    }

    /// The next timer of the batch whose deadline has come, with its payload. `put_back` or
    /// `finish` has to follow.
    pub(crate) fn expired(&mut self, now: Time, batch: TimerMark) -> Option<(TimerKey, T)> {
        loop {
            let entry = self.heap.peek()?.0;
            if entry.deadline > now {
                return None;
            }
            self.heap.pop();
            if !self.is_current(&entry) {
                self.stale -= 1;
                continue;
            }
            if entry.arming >= batch.0 {
                self.deferred.push(entry);
                continue;
            }
            let timer = self.slots.get_mut(entry.key as usize)?;
            timer.armed = None;
            let key = TimerKey { key: entry.key, generation: timer.generation };
            // One that was refreshed while it ran has none until it is put back.
            if let Some(payload) = timer.payload.take() {
                return Some((key, payload));
            }
        }
    }

    /// After the callback: an interval is armed again, `every` from `now` (the run's start, as Node
    /// has it), and so is a one-shot timer that was refreshed meanwhile.
    ///
    /// # Errors
    /// The payload of a timer that is over, or was cancelled meanwhile, to be dropped outside.
    pub(crate) fn put_back(&mut self, key: TimerKey, payload: T, now: Time) -> Result<(), T> {
        let Some(timer) = self.find(key) else {
            return Err(payload);
        };
        timer.payload = Some(payload);
        if timer.armed.is_some() {
            return Ok(());
        }
        match timer.every {
            Some(every) => {
                self.arm(key.key, now.after(every));
                Ok(())
            }
            None => self.remove(key.key).payload.map_or(Ok(()), Err),
        }
    }

    /// After a callback that used its payload up.
    pub(crate) fn finish(&mut self, key: TimerKey) {
        let payload = self.cancel(key);
        debug_assert!(payload.is_none(), "a timer was finished that had not expired");
    }

    /// Starts the timer's delay again from `now`; an interval's is its period. False when it is over.
    pub(crate) fn refresh(&mut self, key: TimerKey, now: Time) -> bool {
        let Some(timer) = self.find(key) else {
            return false;
        };
        let deadline = now.after(timer.every.unwrap_or(timer.delay));
        if timer.armed.is_some() {
            self.stale += 1;
        }
        self.arm(key.key, deadline);
        self.purge();
        true
    }

    /// Whether the timer keeps the loop running. False when it is over.
    pub(crate) fn set_referenced(&mut self, key: TimerKey, referenced: bool) -> bool {
        let Some(timer) = self.find(key) else {
            return false;
        };
        let before = std::mem::replace(&mut timer.referenced, referenced);
        self.referenced = self.referenced + usize::from(referenced) - usize::from(before);
        true
    }

    pub(crate) fn is_referenced(&self, key: TimerKey) -> Option<bool> {
        let timer = self.slots.get(key.key as usize)?;
        (timer.generation == key.generation).then_some(timer.referenced)
    }

    /// How many timers keep the loop running, a running one included.
    pub(crate) fn referenced_count(&self) -> usize {
        self.referenced
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Forgets every timer and returns what they carried, to be dropped outside.
    #[cfg(test)]
    pub(crate) fn drain_all(&mut self) -> Vec<T> {
        self.heap.clear();
        self.deferred.clear();
        self.stale = 0;
        self.referenced = 0;
        self.slots.drain().filter_map(|timer| timer.payload).collect()
    }

    /// What the timers carry that are not running.
    #[cfg(feature = "sim")]
    pub(crate) fn payloads(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, timer)| timer.payload.as_ref())
    }

    /// Every timer that is armed will be found, and the counts are what there is.
    #[cfg(feature = "sim")]
    pub(crate) fn check(&self) -> Result<(), String> {
        let entries = self.heap.iter().map(|Reverse(entry)| entry).chain(&self.deferred);
        let (mut current, mut stale) = (0, 0);
        for entry in entries {
            match self.is_current(entry) {
                true => current += 1,
                false => stale += 1,
            }
        }
        let armed = self.slots.iter().filter(|(_, timer)| timer.armed.is_some()).count();
        let referenced = self.slots.iter().filter(|(_, timer)| timer.referenced).count();
        match (current, stale, referenced) == (armed, self.stale, self.referenced) {
            true => Ok(()),
            false => Err(format!(
                "timers: {armed} are armed and {current} will be found; {stale} entries are stale and {} are \
                 counted; {referenced} keep the loop alive and {} are counted",
                self.stale, self.referenced
            )),
        }
    }

    fn find(&mut self, key: TimerKey) -> Option<&mut Timer<T>> {
        self.slots.get_mut(key.key as usize).filter(|timer| timer.generation == key.generation)
    }

    fn remove(&mut self, key: u32) -> Timer<T> {
        let timer = self.slots.remove(key as usize);
        self.referenced -= usize::from(timer.referenced);
        self.stale += usize::from(timer.armed.is_some());
        timer
    }

    fn arm(&mut self, key: u32, deadline: Time) {
        let arming = self.next_arming;
        self.next_arming += 1;
        if let Some(timer) = self.slots.get_mut(key as usize) {
            timer.armed = Some(arming);
            self.heap.push(Reverse(Entry { deadline, arming, key }));
        }
    }

    fn is_current(&self, entry: &Entry) -> bool {
        self.slots.get(entry.key as usize).is_some_and(|t| t.armed == Some(entry.arming))
    }

    fn undefer(&mut self) {
        self.heap.extend(self.deferred.drain(..).map(Reverse));
    }

    /// Without it, a program that sets and cancels a long timer per request would grow the heap by an
    /// entry per request.
    fn purge(&mut self) {
        if self.stale <= STALE_TOLERATED || self.stale * 2 <= self.heap.len() + self.deferred.len()
        {
            return;
        }
        let slots = &self.slots;
        let current = |entry: &Entry| {
            slots.get(entry.key as usize).is_some_and(|t| t.armed == Some(entry.arming))
        };
        self.heap.retain(|Reverse(entry)| current(entry));
        self.deferred.retain(current);
        self.stale = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn run(timers: &mut Timers<u32>, now: Time) -> Vec<u32> {
        let mark = timers.mark();
        let mut fired = Vec::new();
        while let Some((key, payload)) = timers.expired(now, mark) {
            fired.push(payload);
            let _ = timers.put_back(key, payload, now);
        }
        fired
    }

    #[test]
    fn deadlines_first_then_order_of_creation() {
        let mut timers = Timers::default();
        for (delay, payload) in [(3, 1), (1, 2), (3, 3), (2, 4), (1, 5)] {
            timers.insert(Time(0), delay * MS, None, payload);
        }
        assert_eq!(timers.next_deadline(), Some(Time(1000)));
        assert!(run(&mut timers, Time(999)).is_empty());
        assert_eq!(run(&mut timers, Time(2000)), [2, 5, 4]);
        assert_eq!(run(&mut timers, Time(9000)), [1, 3]);
        assert_eq!((timers.len(), timers.referenced_count()), (0, 0));
        assert_eq!(timers.next_deadline(), None);
    }

    #[test]
    fn a_timer_cancelled_in_the_batch_does_not_fire() {
        let mut timers = Timers::default();
        timers.insert(Time(0), MS, None, 1);
        let second = timers.insert(Time(0), MS, None, 2);
        let mark = timers.mark();
        let (first, payload) = timers.expired(Time(1000), mark).unwrap();
        assert_eq!(timers.cancel(second), Some(2));
        assert_eq!(timers.put_back(first, payload, Time(1000)), Err(1));
        assert!(timers.expired(Time(1000), mark).is_none());
        assert_eq!(timers.cancel(second), None);
    }

    #[test]
    fn a_timer_set_in_the_batch_waits_for_the_next() {
        let mut timers = Timers::default();
        timers.insert(Time(500), MS, None, 1);
        timers.insert(Time(500), MS, None, 2);
        let mark = timers.mark();
        let (key, _) = timers.expired(Time(9000), mark).unwrap();
        timers.finish(key);
        // Its deadline is before that of the second: it must not hide it either.
        timers.insert(Time(0), Duration::ZERO, None, 3);
        assert_eq!(timers.expired(Time(9000), mark).unwrap().1, 2);
        assert!(timers.expired(Time(9000), mark).is_none());
        assert_eq!(timers.next_deadline(), Some(Time(0)));
        assert_eq!(run(&mut timers, Time(9000)), [3]);
    }

    #[test]
    fn an_interval_runs_from_each_run_until_cancelled_inside() {
        let mut timers = Timers::default();
        let key = timers.insert(Time(0), MS, Some(2 * MS), 7);
        assert_eq!(run(&mut timers, Time(1500)), [7]);
        assert_eq!(timers.next_deadline(), Some(Time(3500)));
        let mark = timers.mark();
        let (running, payload) = timers.expired(Time(4000), mark).unwrap();
        assert_eq!((running, timers.referenced_count()), (key, 1));
        assert_eq!(timers.cancel(key), None);
        assert_eq!(timers.put_back(key, payload, Time(4000)), Err(7));
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn an_interval_of_zero_does_not_starve_the_loop() {
        let mut timers = Timers::default();
        timers.insert(Time(0), Duration::ZERO, Some(Duration::ZERO), 1);
        assert_eq!(run(&mut timers, Time(5)), [1]);
        assert_eq!(run(&mut timers, Time(5)), [1]);
    }

    #[test]
    fn refresh_moves_the_deadline_and_revives_a_running_one_shot() {
        let mut timers = Timers::default();
        let key = timers.insert(Time(0), MS, None, 1);
        assert!(timers.refresh(key, Time(800)));
        assert!(run(&mut timers, Time(1700)).is_empty());
        let mark = timers.mark();
        let (running, payload) = timers.expired(Time(1800), mark).unwrap();
        assert!(timers.refresh(running, Time(1800)) && timers.refresh(running, Time(1900)));
        assert_eq!(timers.put_back(running, payload, Time(1800)), Ok(()));
        assert_eq!(timers.next_deadline(), Some(Time(2900)));
        assert_eq!(run(&mut timers, Time(2900)), [1]);
        assert!(!timers.refresh(key, Time(3000)));
    }

    #[test]
    fn references_are_counted() {
        let mut timers = Timers::default();
        let key = timers.insert(Time(0), MS, None, 1);
        assert!(timers.set_referenced(key, false) && timers.set_referenced(key, false));
        assert_eq!((timers.is_referenced(key), timers.referenced_count()), (Some(false), 0));
        assert!(timers.set_referenced(key, true));
        assert_eq!(timers.referenced_count(), 1);
        assert_eq!(timers.cancel(key), Some(1));
        assert_eq!((timers.is_referenced(key), timers.referenced_count()), (None, 0));
        assert!(!timers.set_referenced(key, true));
    }

    #[test]
    fn setting_and_cancelling_stays_bounded() {
        let mut timers = Timers::default();
        let keep = timers.insert(Time(0), 50 * MS, None, 0);
        for turn in 0..100_000 {
            let key = timers.insert(Time(turn), 1000 * MS, None, 1);
            timers.refresh(keep, Time(turn));
            timers.cancel(key);
        }
        assert!(timers.heap.len() <= 2 * STALE_TOLERATED + 4, "{}", timers.heap.len());
        assert_eq!(timers.drain_all(), [0]);
        assert_eq!((timers.len(), timers.next_deadline()), (0, None));
    }

    #[test]
    fn a_key_does_not_reach_the_slots_next_owner() {
        let mut timers = Timers::default();
        let old = timers.insert(Time(0), MS, None, 1);
        timers.cancel(old);
        let new = timers.insert(Time(0), MS, None, 2);
        assert_eq!(old.key, new.key);
        assert_eq!(timers.cancel(old), None);
        assert!(!timers.refresh(old, Time(0)));
        assert_eq!(timers.cancel(new), Some(2));
    }
}
