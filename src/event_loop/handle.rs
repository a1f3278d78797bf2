//! What a program holds of a loop: its handle, and timers.

use std::fmt;
use std::time::Duration;

use crate::engine::{Core, Hook, HookMut, TimerTask};
use crate::error::{Error, Result};
use crate::http::Outcome;
use crate::net::timers::TimerKey;
use crate::posts::Remote;
use crate::shell::LoopShell;

/// A handle to an [`EventLoop`](crate::EventLoop): small, `Copy`, for this thread only. It does nothing once the loop is
/// gone.
#[derive(Clone, Copy)]
pub struct LoopHandle {
    pub(super) shell: &'static LoopShell,
    pub(super) generation: u32,
}

impl LoopHandle {
    pub(crate) fn shell(&self) -> &'static LoopShell {
        self.shell
    }

    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Core) -> R) -> Option<R> {
        if self.shell.generation() != self.generation {
            return None;
        }
        self.shell.with(work)
    }

    /// Calls back once, after at least this delay, counted from the time the turn began.
    /// (Node: `setTimeout`)
    pub fn set_timeout<R: Outcome>(
        self,
        delay: Duration,
        callback: impl FnOnce() -> R + 'static,
    ) -> Timer {
        let task: Hook = Box::new(move || callback().into_result());
        self.add_timer(delay, None, TimerTask::Once(task))
    }

    /// Calls back again and again, `period` after each run's start. (Node: `setInterval`)
    pub fn set_interval<R: Outcome>(
        self,
        period: Duration,
        mut callback: impl FnMut() -> R + 'static,
    ) -> Timer {
        let period = period.max(Duration::from_millis(1));
        let task: HookMut = Box::new(move || callback().into_result());
        self.add_timer(period, Some(period), TimerTask::Every(task))
    }

    fn add_timer(self, delay: Duration, every: Option<Duration>, task: TimerTask) -> Timer {
        let delay = delay.max(Duration::from_millis(1));
        let mut task = Some(task);
        let key = self.with(|core| {
            // Outside of a turn the cached time may be old.
            let now = if core.in_turn { core.now } else { core.net.now() };
            task.take().map(|task| core.timers.insert(now, delay, every, task))
        });
        Timer { lp: self, kind: key.flatten().map_or(TimerKind::Dead, TimerKind::Timer) }
    }

    /// Calls back in this turn after I/O and timers, or in the next one when called from an immediate.
    /// (Node: `setImmediate`)
    pub fn set_immediate<R: Outcome>(self, callback: impl FnOnce() -> R + 'static) -> Timer {
        let mut task: Option<Hook> = Some(Box::new(move || callback().into_result()));
        let id = self.with(|core| task.take().map(|task| core.immediates.push(task)));
        Timer { lp: self, kind: id.flatten().map_or(TimerKind::Dead, TimerKind::Immediate) }
    }

    /// Cancels a timer or immediate; one that is over already is ignored. (Node: `clearTimeout`,
    /// `clearInterval`, `clearImmediate`)
    pub fn clear(self, timer: Timer) {
        match timer.kind {
            TimerKind::Timer(key) => drop(timer.lp.with(|core| core.timers.cancel(key))),
            TimerKind::Immediate(id) => drop(timer.lp.with(|core| core.immediates.clear(id))),
            TimerKind::Dead => {}
        }
    }

    /// A means for other threads to have something run on the loop. See [`EventLoop::remote`](crate::EventLoop::remote).
    ///
    /// # Errors
    /// `ERR_LOOP_CLOSED` when the loop is gone.
    pub fn remote(self) -> Result<Remote> {
        self.with(Core::remote).ok_or_else(|| {
            Error::local("ERR_LOOP_CLOSED", "the loop is gone: nothing can run on it any more")
        })
    }

    /// Has [`EventLoop::run`](crate::EventLoop::run) return after the present turn; it can be run again.
    pub fn stop(self) {
        self.with(|core| core.stopped = true);
    }

    /// The loop is still there.
    pub fn is_open(self) -> bool {
        self.with(|_| ()).is_some()
    }
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle").finish_non_exhaustive()
    }
}

/// A timer or an immediate. `Copy`; dropping it does not cancel.
#[derive(Clone, Copy)]
pub struct Timer {
    lp: LoopHandle,
    kind: TimerKind,
}

#[derive(Debug, Clone, Copy)]
enum TimerKind {
    Timer(TimerKey),
    Immediate(u32),
    Dead,
}

impl Timer {
    /// Cancels it. See [`LoopHandle::clear`].
    pub fn clear(self) {
        self.lp.clear(self);
    }

    /// Starts its delay again, also from inside its own callback. False when it is over, and for immediates.
    /// (Node: `timeout.refresh`)
    pub fn refresh(self) -> bool {
        match self.kind {
            TimerKind::Timer(key) => {
                self.lp.with(|core| core.timers.refresh(key, core.now)).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// It does not keep the loop running. (Node: `unref`)
    pub fn unref(self) -> Timer {
        self.set_referenced(false)
    }

    /// It keeps the loop running again: the default. (Node: `ref`)
    pub fn ref_(self) -> Timer {
        self.set_referenced(true)
    }

    /// It keeps the loop running. (Node: `hasRef`)
    pub fn has_ref(self) -> bool {
        let referenced = match self.kind {
            TimerKind::Timer(key) => self.lp.with(|core| core.timers.is_referenced(key)),
            TimerKind::Immediate(id) => self.lp.with(|core| core.immediates.is_referenced(id)),
            TimerKind::Dead => None,
        };
        referenced.flatten().unwrap_or(false)
    }

    fn set_referenced(self, referenced: bool) -> Timer {
        match self.kind {
            TimerKind::Timer(key) => {
                self.lp.with(|core| core.timers.set_referenced(key, referenced));
            }
            TimerKind::Immediate(id) => {
                self.lp.with(|core| core.immediates.set_referenced(id, referenced));
            }
            TimerKind::Dead => {}
        }
        self
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("kind", &self.kind).finish_non_exhaustive()
    }
}
