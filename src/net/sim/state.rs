//! What the network holds, and what a delivery does.
//!
//! A connection is a pair of ends. What one end writes lies on the other end's `wire` until its time
//! comes; then it is in the `inbox` and an edge is raised. Each segment has an entry in the queue of
//! things to come, whose ties are broken by chance: equal times are delivered in any order between
//! connections, and in the order of writing within one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::io::ErrorKind;
use std::net::IpAddr;

use slab::Slab;

use super::super::{Address, Readiness, Time};
use super::driver::LoopState;
use super::listener::Listener;
use super::peer::SimTap;
use super::random::{Random, Trace};
use super::{Route, SimOptions, SocketId};

/// The top bit of a `SocketId` says listener; the lowest bit of a stream's says which end.
const LISTENER: u32 = 1 << 31;

/// What a full listener's kernel does: the SYN goes unanswered and comes again after this long.
const SYN_RETRY_MICROS: u64 = 1_000_000;

impl SocketId {
    pub(super) fn stream(pair: usize, side: usize) -> SocketId {
        SocketId((pair as u32) << 1 | side as u32)
    }

    pub(super) fn listener(key: usize) -> SocketId {
        SocketId(LISTENER | key as u32)
    }

    pub(super) fn as_listener(self) -> Option<usize> {
        (self.0 & LISTENER != 0).then_some((self.0 & !LISTENER) as usize)
    }

    pub(super) fn as_stream(self) -> Option<(usize, usize)> {
        (self.0 & LISTENER == 0).then_some(((self.0 >> 1) as usize, (self.0 & 1) as usize))
    }

    pub(super) fn other(self) -> SocketId {
        SocketId(self.0 ^ 1)
    }
}

/// A socket at a moment: the serial number tells it from the slot's next owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) id: SocketId,
    pub(super) serial: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// The first segment on this end's wire arrives.
    Deliver(Target),
    /// This end may have space again.
    Space(Target),
    /// The connection that this end asked for is made, refused, or tried again.
    Connect(Target),
    /// Loop number so-and-so has something to look at that is not a socket.
    Wake(usize),
}

#[derive(Debug)]
struct Scheduled {
    at: Time,
    chance: u64,
    sequence: u64,
    action: Action,
}

impl Scheduled {
    fn order(&self) -> (Time, u64, u64) {
        (self.at, self.chance, self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

#[derive(Debug)]
pub(super) enum Segment {
    Data(Vec<u8>),
    Fin,
    Reset,
}

/// What becomes of the bytes in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Flow {
    #[default]
    Open,
    /// An end of stream was made up; the rest vanishes.
    Truncated,
    /// Nothing arrives, and what is written is never acknowledged.
    Silent,
}

/// Where and under what name a socket is watched, and the edges that were raised since.
#[derive(Default, Debug)]
pub(super) struct Watch {
    pub(super) registration: Option<(usize, usize)>,
    pub(super) edges: Readiness,
    pub(super) is_queued: bool,
}

/// One side of a connection: what has come to it, and how far its own writing is.
#[derive(Default, Debug)]
pub(super) struct End {
    /// Some source, peer or accept queue has it.
    pub(super) held: bool,
    pub(super) owner: Option<usize>,
    pub(super) watch: Watch,
    pub(super) local: Option<Address>,
    pub(super) inbox: VecDeque<u8>,
    pub(super) wire: VecDeque<(Time, Segment)>,
    /// Bytes towards this end that are not in the inbox yet, or never will be.
    pub(super) wire_bytes: usize,
    pub(super) last_arrival: Time,
    pub(super) flow: Flow,
    pub(super) fin: bool,
    pub(super) broken: bool,
    pub(super) error: Option<ErrorKind>,
    pub(super) fin_sent: bool,
    pub(super) wants_space: bool,
    pub(super) space_scheduled: bool,
    pub(super) blocked_until: Time,
    /// Keeps what the network takes for this end.
    pub(super) tap: Option<SimTap>,
}

#[derive(Debug)]
pub(super) struct Pair {
    pub(super) serial: u64,
    pub(super) connecting: bool,
    /// What the connection comes to in place of the listener's answer.
    pub(super) fails: Option<ErrorKind>,
    pub(super) target: Address,
    pub(super) ends: [End; 2],
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: SimOptions,
    pub(super) random: Random,
    pub(super) now: Time,
    pub(super) wall_offset: i64,
    pub(super) pairs: Slab<Pair>,
    pub(super) listeners: Slab<Listener>,
    pub(super) loops: Vec<LoopState>,
    pub(super) hosts: BTreeMap<String, Vec<IpAddr>>,
    pub(super) routes: BTreeMap<IpAddr, Route>,
    pub(super) trace: Trace,
    pub(super) deliveries: u64,
    pub(super) stalled: bool,
    pub(super) next_port: u16,
    queue: BinaryHeap<Reverse<Scheduled>>,
    next_sequence: u64,
    next_serial: u64,
}

impl State {
    pub(super) fn new(seed: u64, options: SimOptions) -> State {
        State {
            options,
            random: Random::new(seed),
            now: Time(0),
            wall_offset: 0,
            pairs: Slab::new(),
            listeners: Slab::new(),
            loops: Vec::new(),
            hosts: BTreeMap::new(),
            routes: BTreeMap::new(),
            trace: Trace::new(),
            deliveries: 0,
            stalled: false,
            next_port: 49152,
            queue: BinaryHeap::new(),
            next_sequence: 0,
            next_serial: 0,
        }
    }

    pub(super) fn serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    pub(super) fn schedule(&mut self, at: Time, action: Action) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let chance = self.random.next();
        self.queue.push(Reverse(Scheduled { at, chance, sequence, action }));
        self.stalled = false;
    }

    /// The time of the next thing to come.
    pub(super) fn next_time(&self) -> Option<Time> {
        self.queue.peek().map(|Reverse(next)| next.at)
    }

    /// Delivers everything up to `target`, each at its time, and leaves the clock there.
    pub(super) fn advance_to(&mut self, target: Time) {
        while let Some(at) = self.next_time().filter(|at| *at <= target) {
            self.now = self.now.max(at);
            self.deliver_due();
        }
        self.now = self.now.max(target);
    }

    pub(super) fn deliver_due(&mut self) {
        while self.next_time().is_some_and(|at| at <= self.now) {
            let Some(Reverse(next)) = self.queue.pop() else {
                return;
            };
            match next.action {
                Action::Deliver(target) => self.deliver(target),
                Action::Space(target) => self.space(target),
                Action::Connect(target) => self.connect_arrives(target),
                Action::Wake(number) => self.wake(number),
            }
        }
    }

    pub(super) fn pair(&mut self, id: SocketId) -> Option<(&mut Pair, usize)> {
        let (key, side) = id.as_stream()?;
        Some((self.pairs.get_mut(key)?, side))
    }

    pub(super) fn end(&mut self, id: SocketId) -> Option<&mut End> {
        self.pair(id).map(|(pair, side)| &mut pair.ends[side])
    }

    pub(super) fn target(&self, id: SocketId) -> Option<Target> {
        let serial = match id.as_listener() {
            Some(key) => self.listeners.get(key)?.serial,
            None => self.pairs.get(id.as_stream()?.0)?.serial,
        };
        Some(Target { id, serial })
    }

    pub(super) fn is_current(&self, target: Target) -> bool {
        self.target(target.id) == Some(target)
    }

    pub(super) fn record(&mut self, target: Target, kind: u64) {
        self.deliveries += 1;
        self.trace.number(self.now.0);
        self.trace.number(target.serial);
        self.trace.number(u64::from(target.id.0 & 1) << 8 | kind);
    }

    fn deliver(&mut self, target: Target) {
        if !self.is_current(target) {
            return;
        }
        let now = self.now;
        let Some((pair, side)) = self.pair(target.id) else {
            return;
        };
        let connecting = pair.connecting;
        let end = &mut pair.ends[side];
        // The wire may have been cleared since: then this entry's segment is gone.
        if end.wire.front().is_none_or(|(at, _)| *at > now) {
            return;
        }
        let Some((_, segment)) = end.wire.pop_front() else {
            return;
        };
        let mut edges = Readiness::READABLE;
        let mut answer_with_reset = false;
        match &segment {
            Segment::Data(bytes) => {
                end.wire_bytes -= bytes.len();
                // Nobody is there to take it, and a kernel says so (RFC 9293 §3.10.7.1).
                answer_with_reset = !end.held && !connecting;
                if !end.broken && !answer_with_reset {
                    end.inbox.extend(bytes);
                }
            }
            Segment::Fin => end.fin = true,
            // Each segment that came too late is answered with one; the first has done it all.
            Segment::Reset if end.broken => return,
            Segment::Reset => {
                end.broken = true;
                end.error = Some(ErrorKind::ConnectionReset);
                edges.insert(Readiness::WRITABLE);
            }
        }
        match segment {
            Segment::Data(bytes) => {
                self.record(target, 1);
                self.trace.bytes(&bytes);
            }
            Segment::Fin => self.record(target, 2),
            Segment::Reset => {
                self.record(target, 3);
                let discards = self.options.reset_discards;
                if let Some(end) = self.end(target.id).filter(|_| discards) {
                    end.inbox.clear();
                }
            }
        }
        if answer_with_reset {
            self.send(target.id, Segment::Reset);
        } else {
            self.raise(target, edges);
        }
    }

    fn space(&mut self, target: Target) {
        if !self.is_current(target) {
            return;
        }
        let is_writable = self.has_space(target.id);
        let Some(end) = self.end(target.id) else {
            return;
        };
        end.space_scheduled = false;
        if end.wants_space && is_writable {
            end.wants_space = false;
            self.record(target, 4);
            self.raise(target, Readiness::WRITABLE);
        }
    }

    fn connect_arrives(&mut self, target: Target) {
        if !self.is_current(target) {
            return;
        }
        let Some((pair, side)) = self.pair(target.id) else {
            return;
        };
        let (address, fails) = (pair.target.clone(), pair.fails);
        let listener = self.find_listener(&address).filter(|_| fails.is_none());
        if listener.is_some_and(|key| self.listeners[key].is_full()) {
            let at = Time(self.now.0.saturating_add(SYN_RETRY_MICROS));
            self.schedule(at, Action::Connect(target));
            return;
        }
        let refused = listener.is_none() || self.random.chance(self.options.refuse);
        let Some((pair, _)) = self.pair(target.id) else {
            return;
        };
        pair.connecting = false;
        if refused {
            pair.ends[side].broken = true;
            pair.ends[side].error = Some(fails.unwrap_or(ErrorKind::ConnectionRefused));
            self.record(target, 5);
        } else {
            pair.ends[1 - side].held = true;
            self.record(target, 6);
        }
        self.raise(target, Readiness::READABLE.union(Readiness::WRITABLE));
        if let Some(key) = listener.filter(|_| !refused) {
            self.enqueue(key, target.id.other());
        }
    }

    /// Raises an edge: the socket is put on its loop's list, once.
    pub(super) fn raise(&mut self, target: Target, edges: Readiness) {
        let watch = match target.id.as_listener() {
            Some(key) => self.listeners.get_mut(key).map(|listener| &mut listener.watch),
            None => self.end(target.id).map(|end| &mut end.watch),
        };
        let Some(watch) = watch else { return };
        let Some((number, _)) = watch.registration else {
            return;
        };
        watch.edges.insert(edges);
        if !std::mem::replace(&mut watch.is_queued, true) {
            self.loops[number].ready.push(target);
        }
    }

    /// All that is true of a socket at this moment, in epoll's terms.
    pub(super) fn readiness(&self, id: SocketId) -> Readiness {
        let mut ready = Readiness::EMPTY;
        if let Some(key) = id.as_listener() {
            if self.listeners.get(key).is_some_and(|listener| !listener.queue.is_empty()) {
                ready.insert(Readiness::READABLE);
            }
            return ready;
        }
        let Some((key, side)) = id.as_stream() else {
            return ready;
        };
        let Some(pair) = self.pairs.get(key).filter(|pair| !pair.connecting) else {
            return ready;
        };
        let end = &pair.ends[side];
        if !end.inbox.is_empty() || end.fin || end.broken {
            ready.insert(Readiness::READABLE);
        }
        if end.fin || end.broken {
            ready.insert(Readiness::READ_CLOSED);
        }
        if end.broken || (end.fin && end.fin_sent) {
            ready.insert(Readiness::WRITE_CLOSED);
        }
        if end.error.is_some() {
            ready.insert(Readiness::ERROR);
        }
        if end.broken || end.fin_sent || self.has_space(id) {
            ready.insert(Readiness::WRITABLE);
        }
        ready
    }

    pub(super) fn open_sockets(&self) -> usize {
        let ends = self.pairs.iter().flat_map(|(_, pair)| &pair.ends);
        ends.filter(|end| end.held && end.owner.is_some()).count()
            + self.listeners.iter().filter(|(_, listener)| listener.owner.is_some()).count()
    }
}
