//! Time: who may let it pass, and what a poll reports.
//!
//! Several loops share the clock on one thread, each turned by its driver in some order. A loop may
//! let time pass only when no other has something to do at this moment; else its poll returns with
//! nothing, so that the driver comes to the other one. It gives way once per turn of the other: a
//! loop that is never turned again does not stop the world.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::remote::Waker;
use super::super::{Address, Readiness, Ready, Time};
use super::SocketId;
use super::state::{Action, State, Target};

/// The wall clock's reading at virtual time zero: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// What the network keeps of one event loop.
#[derive(Debug)]
pub(super) struct LoopState {
    /// Sockets with edges that were not reported yet.
    pub(super) ready: Vec<Target>,
    waker: Waker,
    posted: bool,
    /// When the loop wants to go on; `None` while it waits for the network alone.
    deadline: Option<Time>,
    /// It has run since, and may have timers that it has not told of.
    is_running: bool,
    /// Another loop's poll gave way to it since its own last one.
    was_offered: bool,
}

/// One event loop's place in a simulated network. When the last clone goes, its sockets are closed.
#[derive(Clone)]
pub(crate) struct SimLoop {
    place: Rc<Place>,
}

struct Place {
    state: Rc<RefCell<State>>,
    number: usize,
}

impl SimLoop {
    pub(super) fn new(state: Rc<RefCell<State>>) -> SimLoop {
        let number = {
            let mut state = state.borrow_mut();
            state.loops.push(LoopState {
                ready: Vec::new(),
                waker: Waker::simulated(),
                posted: false,
                deadline: None,
                // What it wants is not known before its first poll.
                is_running: true,
                was_offered: false,
            });
            state.loops.len() - 1
        };
        SimLoop { place: Rc::new(Place { state, number }) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State, usize) -> T) -> T {
        act(&mut self.place.state.borrow_mut(), self.place.number)
    }

    pub(in super::super) fn poll(&self, timeout: Option<Duration>, batch: &mut Vec<Ready>) {
        self.with(|state, number| state.poll(number, timeout, batch));
    }

    pub(in super::super) fn take_posted(&self) -> bool {
        self.with(|state, number| std::mem::take(&mut state.loops[number].posted))
    }

    pub(in super::super) fn has_posted(&self) -> bool {
        self.with(|state, number| state.loops[number].posted)
    }

    pub(in super::super) fn now(&self) -> Time {
        self.with(|state, _| state.now)
    }

    pub(in super::super) fn is_stalled(&self) -> bool {
        self.with(|state, _| state.stalled)
    }

    pub(in super::super) fn wall_clock(&self) -> SystemTime {
        let (now, offset) = self.with(|state, _| (state.now.0, state.wall_offset));
        let micros = (EPOCH_SECONDS * 1_000_000).saturating_add(now).saturating_add_signed(offset);
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    pub(in super::super) fn random(&self) -> u64 {
        self.with(|state, _| state.random.next())
    }

    pub(in super::super) fn register(&self, id: SocketId, token: usize) -> io::Result<()> {
        self.with(|state, number| state.register(id, number, token))
    }

    pub(in super::super) fn listen(&self, at: &Address, backlog: u32) -> io::Result<SocketId> {
        self.with(|state, number| state.listen(at, backlog, Some(number)))
    }

    pub(in super::super) fn accept(&self, id: SocketId) -> io::Result<SocketId> {
        self.with(|state, number| state.accept(id, Some(number)))
    }

    pub(in super::super) fn connect(
        &self,
        address: &Address,
        local: Option<SocketAddr>,
    ) -> io::Result<SocketId> {
        self.with(|state, number| state.connect(address, local, Some(number)))
    }

    pub(in super::super) fn connect_result(&self, id: SocketId) -> io::Result<bool> {
        self.with(|state, _| state.connect_result(id))
    }

    pub(in super::super) fn read(&self, id: SocketId, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state, _| state.read(id, buffer))
    }

    pub(in super::super) fn write(
        &self,
        id: SocketId,
        slices: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.with(|state, _| state.write(id, slices, true))
    }

    pub(in super::super) fn shutdown_write(&self, id: SocketId) -> io::Result<()> {
        self.with(|state, _| state.shutdown_write(id))
    }

    pub(in super::super) fn close(&self, id: SocketId) {
        self.with(|state, _| state.close(id));
    }

    pub(in super::super) fn reset(&self, id: SocketId) {
        self.with(|state, _| state.reset(id));
    }

    pub(in super::super) fn local_address(&self, id: SocketId) -> Option<Address> {
        self.with(|state, _| match id.as_listener() {
            Some(key) => state.listeners.get(key).map(|listener| listener.address.clone()),
            None => state.end(id)?.local.clone(),
        })
    }

    pub(in super::super) fn peer_address(&self, id: SocketId) -> Option<Address> {
        id.as_stream()?;
        self.with(|state, _| state.end(id.other())?.local.clone())
    }

    pub(in super::super) fn remote(&self) -> Waker {
        self.with(|state, number| state.loops[number].waker.clone())
    }

    /// A name lookup begins: the time at which this loop will be woken for its answer.
    pub(in super::super) fn schedule_lookup(&self) -> Time {
        self.with(|state, number| {
            let at = Time(state.now.0.saturating_add(state.draw_delay()));
            state.schedule(at, Action::Wake(number));
            at
        })
    }

    pub(in super::super) fn host(&self, name: &str) -> Option<Vec<std::net::IpAddr>> {
        self.with(|state, _| state.hosts.get(name).filter(|found| !found.is_empty()).cloned())
    }
}

impl fmt::Debug for SimLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLoop").field("number", &self.place.number).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A real loop's sockets are closed by their own drop; a simulated one is only a name.
        let mut state = self.state.borrow_mut();
        state.close_all(self.number);
    }
}

impl State {
    fn poll(&mut self, number: usize, timeout: Option<Duration>, batch: &mut Vec<Ready>) {
        self.stalled = false;
        let deadline = timeout.map(|timeout| self.now.after(timeout));
        let own = &mut self.loops[number];
        own.was_offered = false;
        own.deadline = deadline;
        own.is_running = true;
        if self.random.chance(self.options.clock_jump) {
            let jump = self.random.below(self.options.clock_jump_max.saturating_add(1));
            self.advance_to(Time(self.now.0.saturating_add(jump)));
        }
        self.deliver_due();
        loop {
            let woken = self.loops[number].waker.acknowledge();
            self.loops[number].posted |= woken;
            let found = self.report(number, batch);
            let is_late = deadline.is_some_and(|deadline| deadline <= self.now);
            if found || is_late || self.loops[number].posted {
                return;
            }
            if self.offer_to_others(number) {
                break;
            }
            let deadlines = self.loops.iter().filter_map(|other| other.deadline);
            let Some(next) = deadlines.chain(self.next_time()).min() else {
                self.stalled = true;
                break;
            };
            self.now = self.now.max(next);
            self.deliver_due();
        }
        // It found nothing to do: others may let time pass until its deadline.
        self.loops[number].is_running = false;
    }

    /// Appends what is ready to `batch`, in an order of chance; false when that is nothing.
    fn report(&mut self, number: usize, batch: &mut Vec<Ready>) -> bool {
        let before = batch.len();
        let mut ready = std::mem::take(&mut self.loops[number].ready);
        for last in (1..ready.len()).rev() {
            let other = self.random.below(last as u64 + 1) as usize;
            ready.swap(last, other);
        }
        while batch.len() - before < self.options.events_per_poll {
            let Some(target) = ready.pop() else { break };
            self.report_one(target, batch);
        }
        // Nothing can have been raised meanwhile: reporting has no effects on the network.
        self.loops[number].ready = ready;
        batch.len() > before
    }

    fn report_one(&mut self, target: Target, batch: &mut Vec<Ready>) {
        if !self.is_current(target) {
            return;
        }
        let truth = self.readiness(target.id);
        let watch = match target.id.as_listener() {
            Some(key) => self.listeners.get_mut(key).map(|listener| &mut listener.watch),
            None => self.end(target.id).map(|end| &mut end.watch),
        };
        let Some(watch) = watch else { return };
        watch.is_queued = false;
        let edges = std::mem::take(&mut watch.edges);
        let Some((_, token)) = watch.registration else {
            return;
        };
        if !self.options.separate_filters {
            // As epoll: the edge brings the socket up, and the report says all that is true of it.
            if !truth.is_empty() {
                batch.push(Ready { token, readiness: truth });
            }
            return;
        }
        let read_side = Readiness::READABLE.union(Readiness::READ_CLOSED).union(Readiness::ERROR);
        let write_side = Readiness::WRITABLE.union(Readiness::WRITE_CLOSED).union(Readiness::ERROR);
        for (edge, side) in [(Readiness::WRITABLE, write_side), (Readiness::READABLE, read_side)] {
            if edges.contains(edge) && truth.contains(edge) {
                batch.push(Ready { token, readiness: truth.intersection(side) });
            }
        }
    }

    /// True when another loop has something to do now and was not asked before.
    fn offer_to_others(&mut self, number: usize) -> bool {
        let now = self.now;
        let mut offered = false;
        for (index, other) in self.loops.iter_mut().enumerate() {
            if index == number {
                continue;
            }
            let is_due = other.deadline.is_some_and(|deadline| deadline <= now);
            let is_woken = other.posted || other.waker.is_pending();
            if is_due || is_woken || other.is_running || !other.ready.is_empty() {
                offered |= !std::mem::replace(&mut other.was_offered, true);
                if is_due {
                    // Once is enough, or a deadline that nobody keeps would hold the clock.
                    other.deadline = None;
                }
            }
        }
        offered
    }

    pub(super) fn wake(&mut self, number: usize) {
        if let Some(own) = self.loops.get_mut(number) {
            own.posted = true;
        }
    }

    fn close_all(&mut self, number: usize) {
        let listeners = self.listeners.iter().filter(|(_, l)| l.owner == Some(number));
        let mut open: Vec<_> = listeners.map(|(key, _)| SocketId::listener(key)).collect();
        for (key, pair) in &self.pairs {
            let owned = |side: &usize| pair.ends[*side].owner == Some(number);
            open.extend((0..2).filter(owned).map(|side| SocketId::stream(key, side)));
        }
        for id in open {
            self.close(id);
        }
        let own = &mut self.loops[number];
        own.ready.clear();
        own.deadline = None;
        own.is_running = false;
        own.posted = false;
    }
}
