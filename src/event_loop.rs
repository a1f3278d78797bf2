//! The loop: its turns, its timers, posts from other threads, and when it ends.

mod handle;

use std::fmt;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use crate::dispatch::{drive, invoke, raise, run_finale};
use crate::engine::options::{LoopOptions, PanicPolicy};
use crate::engine::{Core, HookMut, TimerTask, log_failure, untoken};
use crate::error::{Error, Result};
use crate::net::timers::TimerKey;
use crate::net::{Net, Readiness, Ready, Time};
use crate::posts::Remote;
use crate::shell::LoopShell;

pub use handle::{LoopHandle, Timer};

/// The loop and all that lives on it: servers, connections, requests, timers.
///
/// It belongs to one thread. [`EventLoop::run`] turns it until nothing is left to wait for; a foreign event
/// loop can drive it by [`AsRawFd`], [`EventLoop::next_timeout`] and [`EventLoop::turn`]. Dropping it
/// closes everything; handles that are left do nothing from then on.
///
/// ```
/// use onloop::EventLoop;
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let lp = event_loop.handle();
/// lp.set_timeout(Duration::from_millis(1), || println!("once, and the loop ends"));
/// event_loop.run()?;
/// # Ok::<(), onloop::Error>(())
/// ```
pub struct EventLoop {
    shell: &'static LoopShell,
    /// The window that all connections are read into. It is outside of the core so that callbacks can look
    /// into it while the core is free.
    buffer: Vec<u8>,
    batch: Vec<Ready>,
    /// How much of `batch` is dispatched: a panic may leave a rest for the next turn, and an edge is not
    /// reported twice.
    dispatched: usize,
    dirty: Vec<(u32, u32)>,
    /// Posts may be left in the inbox: their wake-up was seen.
    posts_left: bool,
    policy: PanicPolicy,
    posts_per_turn: usize,
    leaving_per_turn: usize,
    handle: LoopHandle,
}

impl EventLoop {
    /// A loop with default options.
    ///
    /// # Errors
    /// The system has no descriptor left for the poller.
    pub fn new() -> Result<EventLoop> {
        EventLoop::with_options(LoopOptions::default())
    }

    /// A loop with options.
    ///
    /// # Errors
    /// As [`EventLoop::new`].
    pub fn with_options(options: LoopOptions) -> Result<EventLoop> {
        let events = options.limits.events_per_turn;
        let net = Net::system(events).map_err(|error| Error::io(&error, "poll"))?;
        Ok(EventLoop::on(net, options))
    }

    /// A loop on a given network.
    pub(crate) fn on(net: Net, options: LoopOptions) -> EventLoop {
        let shell = LoopShell::acquire();
        let options = Rc::new(options);
        let core = Core::new(net, options.clone(), shell.next_slot_generation());
        shell.install(Box::new(core));
        EventLoop {
            shell,
            buffer: vec![0; options.limits.read_buffer],
            batch: Vec::new(),
            dispatched: 0,
            dirty: Vec::new(),
            posts_left: false,
            policy: options.panic_policy,
            posts_per_turn: options.limits.posts_per_turn,
            leaving_per_turn: options.limits.accepts_per_turn.saturating_mul(2),
            handle: LoopHandle { shell, generation: shell.generation() },
        }
    }

    /// Looks at the loop's state from outside.
    #[cfg(feature = "sim")]
    pub(crate) fn with_core<R>(&self, work: impl FnOnce(&mut Core) -> R) -> Option<R> {
        self.shell.with(work)
    }

    /// Checks that the loop's state is in order.
    #[cfg(feature = "sim")]
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        self.shell.with(|core| core.check(&self.dirty)).unwrap_or(Ok(()))
    }

    /// The handle by which everything on the loop is made. `Copy`.
    pub fn handle(&self) -> LoopHandle {
        self.handle
    }

    /// A means for other threads to have something run on the loop. While a clone lives that was not
    /// [`unref`](Remote::unref)'d, `run` goes on.
    pub fn remote(&self) -> Remote {
        self.shell.with(Core::remote).expect("the core lives as long as its loop")
    }

    /// Turns the loop until nothing is left to wait for: no listening server, no connection at work, no
    /// referenced timer or immediate, no lookup, no [`Remote`]. Idle client connections do not count. As a
    /// Node program exits by itself, this returns.
    ///
    /// # Errors
    /// The poller fails, which a correct program does not see.
    ///
    /// # Panics
    /// With a callback's panic, under [`PanicPolicy::Propagate`]; the loop may be run again.
    pub fn run(&mut self) -> Result<()> {
        loop {
            if self.take_stopped() || !self.is_alive() {
                return Ok(());
            }
            self.turn(None)?;
            if self.shell.with(|core| core.net.is_stalled() && !core.has_pending()).unwrap_or(true)
            {
                // Only in simulation: a real loop would sleep for ever.
                return Ok(());
            }
        }
    }

    /// True while something is left that [`EventLoop::run`] would go on for.
    pub fn is_alive(&mut self) -> bool {
        // In this order: a post comes before its poster's end.
        self.shell.with(|core| core.has_live_remote()).unwrap_or(false)
            || self.batch.len() > self.dispatched
            || self.posts_left
            || !self.dirty.is_empty()
            || self.shell.with(|core| core.is_referenced()).unwrap_or(false)
            || self.run_posts() > 0
    }

    fn take_stopped(&mut self) -> bool {
        self.shell.with(|core| std::mem::take(&mut core.stopped)).unwrap_or(true)
    }

    /// How long the system may be left waiting before [`EventLoop::turn`] must be called although the
    /// descriptor is not readable. `None`: for ever. Zero: something is pending.
    pub fn next_timeout(&mut self) -> Option<Duration> {
        if self.has_leftovers() {
            return Some(Duration::ZERO);
        }
        self.shell
            .with(|core| {
                core.now = core.net.now();
                core.next_timeout()
            })
            .flatten()
    }

    fn has_leftovers(&self) -> bool {
        self.posts_left || self.is_cut_short()
    }

    /// A panic has ended the last turn before everything that it had begun with was done.
    fn is_cut_short(&self) -> bool {
        self.batch.len() > self.dispatched || !self.dirty.is_empty()
    }

    /// One turn: waits for readiness until the next deadline, at most for `max` (`None`: no bound; zero: do
    /// not wait), and runs all callbacks that are due. Returns how many events were handled.
    ///
    /// The order within a turn: I/O, names that were found, files that were read, posts, timers, immediates,
    /// then everything that was done to connections meanwhile is flushed.
    ///
    /// # Errors
    /// The poller fails.
    ///
    /// # Panics
    /// As [`EventLoop::run`].
    pub fn turn(&mut self, max: Option<Duration>) -> Result<usize> {
        // Also where a panic ends it: what is called afterwards must not take the turn's time for the present.
        let _turn = Turn { shell: self.shell };
        if self.is_cut_short() {
            self.shell.with(Core::refresh_time);
        } else {
            // Posts that are left over do not keep the loop from its sockets: one may post the next.
            let max = if self.posts_left { Some(Duration::ZERO) } else { max };
            self.poll(max)?;
        }
        let mut handled = self.run_batch();
        // One look tells that a turn of plain I/O is over.
        let posted = self.posts_left || !self.dirty.is_empty();
        if posted || self.shell.with(Core::has_due).unwrap_or(false) {
            handled += self.run_due();
        }
        if let Some(payload) = self.shell.take_panic() {
            raise(self.policy, payload);
        }
        Ok(handled)
    }

    /// What comes after I/O.
    fn run_due(&mut self) -> usize {
        let mut handled = self.run_looked_up();
        handled += self.shell.with(Core::take_file_slices).unwrap_or(0);
        handled += self.run_posts();
        handled += self.run_timers();
        handled += self.run_immediates();
        self.shell.with(Core::sweep_if_due);
        handled += self.run_dirty();
        handled += self.run_leaving();
        handled += self.run_last_calls();
        handled
    }

    fn poll(&mut self, max: Option<Duration>) -> Result<()> {
        self.batch.clear();
        self.dispatched = 0;
        let batch = &mut self.batch;
        let polled = self.shell.with(|core| {
            if !core.timers.is_empty() {
                // A timer must not be late by what the host, or the last turn's callbacks, took.
                core.catch_up();
            }
            let timeout = match (core.next_timeout(), max) {
                (Some(next), Some(max)) => Some(next.min(max)),
                (next, max) => next.or(max),
            };
            let polled = core.net.poll(timeout, batch);
            core.refresh_time();
            polled
        });
        match polled {
            Some(Err(error)) => Err(Error::io(&error, "poll")),
            _ => Ok(()),
        }
    }

    fn run_batch(&mut self) -> usize {
        let mut handled = 0;
        let is_large = self.batch.len() > self.leaving_per_turn;
        while let Some(ready) = self.batch.get(self.dispatched) {
            self.dispatched += 1;
            handled += 1;
            let (target, readiness) = (untoken(ready.token), ready.readiness);
            if is_large && readiness.is_closing() && self.put_off(target, readiness) {
                continue;
            }
            drive(self.shell, self.policy, &mut self.buffer, target, readiness);
        }
        handled
    }

    /// Among so many events those of connections that end wait for the others.
    #[cold]
    fn put_off(&self, (key, generation): (u32, u32), readiness: Readiness) -> bool {
        self.shell.with(|core| core.put_off(key, generation, readiness)).unwrap_or(false)
    }

    fn run_looked_up(&mut self) -> usize {
        let mut handled = 0;
        while let Some((lookup, answer)) =
            self.shell.with(|core| core.resolver.take_results(core.now)).flatten()
        {
            self.shell.with(|core| core.looked_up(lookup, &answer));
            handled += 1;
        }
        handled
    }

    fn run_posts(&mut self) -> usize {
        self.shell.with(|core| core.net.take_posted());
        self.posts_left = true;
        for handled in 0..self.posts_per_turn {
            let Some(post) = self.shell.with(Core::take_post).flatten() else {
                self.posts_left = false;
                return handled;
            };
            let handle = self.handle;
            let result = invoke(self.policy, || {
                post(handle);
                Ok(())
            });
            log_failure(result, "a post");
        }
        self.posts_per_turn
    }

    fn run_timers(&mut self) -> usize {
        let mut handled = 0;
        let Some((now, mark)) = self.shell.with(|core| (core.now, core.timers.mark())) else {
            return 0;
        };
        while let Some((key, task)) =
            self.shell.with(|core| core.timers.expired(now, mark)).flatten()
        {
            handled += 1;
            match task {
                TimerTask::Once(callback) => {
                    self.shell.with(|core| core.timers.finish(key));
                    log_failure(invoke(self.policy, callback), "a timer");
                }
                TimerTask::Every(callback) => self.run_interval(key, callback, now),
                TimerTask::Exchange(id) => {
                    self.shell.with(|core| core.exchange_timer(key, id));
                }
            }
        }
        handled
    }

    fn run_interval(&mut self, key: TimerKey, callback: HookMut, now: Time) {
        let mut running = Interval { shell: self.shell, key, now, callback: Some(callback) };
        if let Some(callback) = running.callback.as_mut() {
            log_failure(invoke(self.policy, callback), "an interval");
        }
    }

    fn run_immediates(&mut self) -> usize {
        // Those queued meanwhile wait for the next turn.
        let count = self.shell.with(|core| core.immediates.len()).unwrap_or(0);
        for _ in 0..count {
            let Some(run) = self.shell.with(|core| core.immediates.pop()).flatten() else {
                break;
            };
            if let Some(callback) = run {
                log_failure(invoke(self.policy, callback), "an immediate");
            }
        }
        count
    }

    /// One pass: what becomes dirty in it is left for the next turn, which does not wait then.
    fn run_dirty(&mut self) -> usize {
        if self.dirty.is_empty() {
            let dirty = &mut self.dirty;
            self.shell.with(|core| core.swap_dirty(dirty));
            // Worked off from the end.
            self.dirty.reverse();
        }
        let mut handled = 0;
        while let Some(target) = self.dirty.pop() {
            handled += 1;
            drive(self.shell, self.policy, &mut self.buffer, target, Readiness::default());
        }
        handled
    }

    /// The rest is for the next turn, which does not wait then.
    fn run_leaving(&mut self) -> usize {
        let next = || self.shell.with(Core::next_leaving).flatten();
        let leaving = std::iter::from_fn(next).take(self.leaving_per_turn);
        leaving.fold(0, |handled, target| {
            drive(self.shell, self.policy, &mut self.buffer, target, Readiness::default());
            handled + 1
        })
    }

    fn run_last_calls(&mut self) -> usize {
        let mut handled = 0;
        while let Some(finale) = self.shell.with(|core| core.finales.pop_front()).flatten() {
            handled += 1;
            run_finale(self.shell, self.policy, finale);
        }
        while let Some(mut server) =
            self.shell.with(|core| core.closed_servers.pop_front()).flatten()
        {
            handled += 1;
            if let Some(on_close) = server.callbacks.close.take() {
                log_failure(invoke(self.policy, on_close), "on_close of a server");
            }
            self.shell.discard(server);
        }
        handled
    }
}

/// A turn while it lasts.
struct Turn {
    shell: &'static LoopShell,
}

impl Drop for Turn {
    #[inline]
    fn drop(&mut self) {
        self.shell.with(|core| core.in_turn = false);
    }
}

/// An interval while it runs; goes back to its place also when it panics.
struct Interval {
    shell: &'static LoopShell,
    key: TimerKey,
    now: Time,
    callback: Option<HookMut>,
}

impl Drop for Interval {
    fn drop(&mut self) {
        let Some(callback) = self.callback.take() else {
            return;
        };
        let (key, now) = (self.key, self.now);
        let displaced = self
            .shell
            .with(|core| core.timers.put_back(key, TimerTask::Every(callback), now).err());
        self.shell.discard(displaced);
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        let mut core = self.shell.retire();
        if let Some(core) = core.as_deref_mut() {
            core.close_all_listeners();
        }
        // Closures of the user's are dropped here. Their handles find no loop any more.
        drop(core);
        self.shell.release();
    }
}

impl AsRawFd for EventLoop {
    /// The descriptor that becomes readable when [`EventLoop::turn`] has something to do. A foreign loop that
    /// watches it edge-triggered must turn until nothing was handled. -1 where there is none: in simulation,
    /// or with mio's `poll(2)` back end.
    fn as_raw_fd(&self) -> RawFd {
        self.shell.with(|core| core.net.as_raw_fd()).flatten().unwrap_or(-1)
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop").finish_non_exhaustive()
    }
}
