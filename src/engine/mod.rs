//! The state of one loop: connections in one slab, pools of what they use while busy, deadlines, the dirty
//! list. It decides what happens next and never calls user code; `dispatch` does that.
//!
//! Start with [`slot`] for what is kept, then [`server_side`] and [`client_side`] for what is done.

pub(crate) mod accept;
pub(crate) mod agent;
mod agent_calls;
pub(crate) mod callbacks;
pub(crate) mod client_side;
mod client_stream;
pub(crate) mod closing;
mod connect;
mod connection;
pub(crate) mod connector;
mod cork;
mod date;
mod deadlines;
mod dirty;
pub(crate) mod endpoint;
pub(crate) mod event;
mod fields;
mod files;
pub(crate) mod immediates;
mod incoming;
mod informational;
#[cfg(feature = "sim")]
mod invariants;
pub(crate) mod journey;
mod leaving;
pub(crate) mod options;
mod outgoing;
pub(crate) mod output;
mod over;
mod partial_heads;
mod pipe;
mod places;
pub(crate) mod pool;
mod racing;
pub(crate) mod raw;
mod redirects;
mod refusal;
mod repetition;
mod retries;
pub(crate) mod server;
pub(crate) mod server_clock;
mod server_failure;
pub(crate) mod server_side;
mod server_stream;
pub(crate) mod slot;
#[cfg(feature = "sim")]
pub(crate) mod stats;
mod tunnel;
mod written;

use std::collections::VecDeque;
use std::rc::Rc;

use slab::Slab;

use crate::error::{Error, ErrorKind, Limit, Result};
use crate::http::AgentOptions;
use crate::net::resolve::{Resolver, ResolverOptions};
use crate::net::timers::Timers;
use crate::net::{Address, Net, Readiness, Source, Time};
use crate::posts::Posts;

pub(crate) use accept::not_running;
pub(crate) use agent::AgentId;
use agent::Agents;
use callbacks::{Callbacks, Finale};
pub(crate) use callbacks::{Hook, HookMut};
pub(crate) use client_side::ClientState;
use date::DateCache;
use deadlines::{Sweep, tick_at, ticks};
use event::{Event, Input};
pub(crate) use fields::{Place, field_error, gone, set_field};
use files::Files;
use immediates::Immediates;
use options::LoopOptions;
use output::Trash;
pub(crate) use over::Over;
use pool::Pool;
pub(crate) use raw::socket_closed;
pub(crate) use server::ServerEntry;
pub(crate) use slot::ExchangeId;
use slot::{Active, Flags, Kind, Slot, Stage};

/// What a timer runs.
pub(crate) enum TimerTask {
    Once(Hook),
    Every(HookMut),
    /// Of a client request: its deadline, or the end of a pause.
    Exchange(ExchangeId),
}

/// 31 bits: the top one is free in tokens, so that none is the waker's.
const GENERATION_MASK: u32 = 0x7fff_ffff;

/// No slot is being driven.
const NONE: u32 = u32::MAX;

/// The state of one loop.
pub(crate) struct Core {
    pub(crate) net: Net,
    pub(crate) slots: Slab<Slot>,
    pub(crate) servers: Slab<Box<ServerEntry>>,
    pub(crate) agents: Agents,
    pub(crate) pool: Pool,
    pub(crate) timers: Timers<TimerTask>,
    pub(crate) immediates: Immediates,
    pub(crate) resolver: Resolver,
    files: Files,
    pub(crate) posts: Option<Posts>,
    pub(crate) options: Rc<LoopOptions>,
    /// Connections that something was done to from elsewhere, or that stopped short of what is there.
    pub(crate) dirty: Vec<(u32, u32)>,
    /// Those on it that are as their last drive has left them: see `invariants`.
    #[cfg(feature = "sim")]
    left: Vec<(u32, u32)>,
    /// Connections that end, among many: they wait for the others.
    pub(crate) leaving: VecDeque<(u32, u32)>,
    /// Last calls that an unwinding callback left over.
    pub(crate) finales: VecDeque<Finale>,
    /// Servers that are over: `on_close` is owed, then they are dropped, outside of every borrow.
    pub(crate) closed_servers: VecDeque<Box<ServerEntry>>,
    pub(crate) trash: Trash,
    /// The exchange whose last calls are being made.
    pub(crate) over: Option<Over>,
    pub(crate) now: Time,
    tick: u32,
    sweep: Sweep,
    date: DateCache,
    /// The slot being driven.
    current: u32,
    current_generation: u32,
    /// Bytes were read or written in this drive.
    activity: bool,
    reads_left: usize,
    requests_left: usize,
    accepts_left: usize,
    /// Bytes of request heads of which a part is here.
    partial_heads: usize,
    /// Bytes that this drive may write before whoever waits for room has to wait for the next turn.
    writes_left: usize,
    /// What a drive that begins may write.
    writes_share: usize,
    /// Drives of this turn that have written all of it.
    shares_used: usize,
    /// What the system said when a connection broke, for whoever asks in the same drive.
    io_failure: Option<((u32, u32), Error)>,
    next_generation: u32,
    /// Slots that keep the loop alive.
    referenced: usize,
    /// Listeners that could not accept for want of descriptors.
    blocked_listeners: Vec<(u32, u32)>,
    pub(crate) stopped: bool,
    /// A turn is under way: the cached time is fresh.
    pub(crate) in_turn: bool,
}

impl Core {
    pub(crate) fn new(mut net: Net, options: Rc<LoopOptions>, first_generation: u32) -> Self {
        let now = net.now();
        let resolver_options = ResolverOptions {
            pending_max: options.limits.lookups_max,
            threads_max: options.limits.lookup_threads,
            cache_ttl: options.lookup_cache,
            cache_entries_max: options.limits.cached_names_max,
            addresses_max: options.limits.addresses_per_name,
            lookup: options.lookup.clone(),
        };
        let resolver = Resolver::new(&net, resolver_options);
        let files = Files::new(&net, options.limits.file_reads_max);
        let mut date = DateCache::new();
        date.refresh(now, || net.wall_clock());
        let global = first_generation & GENERATION_MASK;
        Core {
            slots: Slab::with_capacity(options.reserve),
            servers: Slab::new(),
            agents: Agents::new(AgentOptions::of_loop(&options), &options.limits, global),
            pool: Pool::default(),
            timers: Timers::default(),
            immediates: Immediates::default(),
            resolver,
            files,
            posts: None,
            dirty: Vec::new(),
            #[cfg(feature = "sim")]
            left: Vec::new(),
            leaving: VecDeque::new(),
            finales: VecDeque::new(),
            closed_servers: VecDeque::new(),
            trash: Trash::default(),
            over: None,
            now,
            tick: tick_at(now),
            sweep: Sweep::new(),
            date,
            current: NONE,
            current_generation: 0,
            activity: false,
            reads_left: 0,
            requests_left: 0,
            accepts_left: 0,
            partial_heads: 0,
            writes_left: 0,
            writes_share: options.limits.write_bytes_per_turn,
            shares_used: 0,
            io_failure: None,
            next_generation: global.wrapping_add(1),
            referenced: 0,
            blocked_listeners: Vec::new(),
            stopped: false,
            in_turn: false,
            net,
            options,
        }
    }

    /// Where the next loop on this shell must go on counting, so that old handles never match.
    pub(crate) fn next_generation(&self) -> u32 {
        self.next_generation
    }

    fn new_generation(&mut self) -> u32 {
        let generation = self.next_generation & GENERATION_MASK;
        self.next_generation = generation.wrapping_add(1);
        generation
    }

    /// Brings the cached time up to date: once per turn.
    pub(crate) fn refresh_time(&mut self) {
        self.in_turn = true;
        self.now = self.net.now();
        self.tick = tick_at(self.now);
        if self.shares_used > 0 {
            self.shares_used = 0;
            self.writes_share = self.options.limits.write_bytes_per_turn;
        }
        let net = &self.net;
        self.date.refresh(self.now, || net.wall_clock());
    }

    /// Between turns the cached time may be old: for what is begun there.
    pub(crate) fn catch_up(&mut self) {
        if !self.in_turn {
            self.now = self.net.now();
            self.tick = tick_at(self.now);
        }
    }

    /// When the loop must be turned at the latest, whatever the sockets do.
    pub(crate) fn next_deadline(&mut self) -> Option<Time> {
        let timer = if self.timers.is_empty() { None } else { self.timers.next_deadline() };
        match (timer, self.sweep.next()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// How long the loop may sleep, by the time that was read last.
    pub(crate) fn next_timeout(&mut self) -> Option<std::time::Duration> {
        if self.has_pending() {
            return Some(std::time::Duration::ZERO);
        }
        let next = self.next_deadline()?;
        Some(if next <= self.now { std::time::Duration::ZERO } else { next.since(self.now) })
    }

    /// Something is due besides I/O.
    pub(crate) fn has_due(&mut self) -> bool {
        self.has_pending()
            || self.net.has_posted()
            || self.resolver.pending_count() > 0
            || self.next_deadline().is_some_and(|deadline| deadline <= self.now)
    }

    /// There is something to do that no event will announce.
    pub(crate) fn has_pending(&self) -> bool {
        // What is hardly ever there is asked for at once.
        let rare = self.leaving.len() | self.finales.len() | self.closed_servers.len();
        !self.dirty.is_empty() || !self.immediates.is_empty() || rare > 0
    }

    /// Something is left that the loop should go on for.
    pub(crate) fn is_referenced(&self) -> bool {
        self.referenced > 0
            || self.timers.referenced_count() > 0
            || self.immediates.has_referenced()
            || !self.finales.is_empty()
            || !self.closed_servers.is_empty()
    }

    // ---- slots

    /// Adds a slot; the source is registered with its token.
    fn insert_slot(&mut self, mut source: Source, kind: Kind, owner: u16) -> std::io::Result<u32> {
        let generation = self.new_generation();
        let entry = self.slots.vacant_entry();
        let key = entry.key() as u32;
        if !matches!(source, Source::None) {
            if let Err(error) = self.net.register(&mut source, token(key, generation)) {
                self.net.release(source);
                return Err(error);
            }
        }
        entry.insert(Slot {
            source,
            generation,
            sequence: 0,
            deadline: 0,
            owner,
            flags: Flags::default(),
            kind,
            active: None,
        });
        self.referenced += 1;
        Ok(key)
    }

    /// Takes a slot out of the slab and closes its socket. What it still holds goes to the caller.
    fn remove_slot(&mut self, key: u32) -> Option<Box<Active>> {
        let mut slot = self.slots.try_remove(key as usize)?;
        if !slot.flags.has(Flags::UNREFERENCED) {
            self.referenced -= 1;
        }
        let source = slot.source.take();
        let (kind, owner) = (slot.kind, slot.owner);
        if !matches!(source, Source::None) {
            match slot.flags.has(Flags::ADOPTED) {
                true => self.net.release(source),
                false => self.net.close(source),
            }
            self.retry_blocked_listeners();
        }
        let mut active = slot.active.take();
        if let Some(active) = active.as_deref_mut() {
            active.release_partial_head(&mut self.partial_heads);
        }
        match kind {
            Kind::Server | Kind::Raw => self.server_lost_connection(owner, key),
            Kind::Client => self.client_left(key, owner, active.as_deref_mut()),
            Kind::Listener | Kind::Attempt => {}
        }
        active
    }

    /// Whether a slot keeps the loop alive.
    fn set_slot_referenced(&mut self, key: u32, referenced: bool) {
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return;
        };
        let was = !slot.flags.has(Flags::UNREFERENCED);
        if was == referenced {
            return;
        }
        if referenced {
            slot.flags.unset(Flags::UNREFERENCED);
            self.referenced += 1;
        } else {
            slot.flags.set(Flags::UNREFERENCED);
            self.referenced -= 1;
        }
    }

    #[inline]
    fn slot(&mut self, key: u32) -> &mut Slot {
        &mut self.slots[key as usize]
    }

    /// The state of a slot that is known to be active.
    #[inline]
    fn active(&mut self, key: u32) -> &mut Active {
        self.slots[key as usize].active.as_deref_mut().expect("callers check that it is active")
    }

    fn id(&self, key: u32) -> ExchangeId {
        let slot = &self.slots[key as usize];
        ExchangeId { key, generation: slot.generation, sequence: slot.sequence }
    }

    /// The exchange that a handle names, if it is still going on.
    #[inline]
    pub(crate) fn exchange(&mut self, id: ExchangeId) -> Option<&mut Active> {
        let slot = self.slots.get_mut(id.key as usize)?;
        if slot.generation != id.generation
            || slot.sequence != id.sequence
            || slot.flags.has(Flags::DESTROYED)
        {
            return None;
        }
        let kind = slot.kind;
        // Between two requests a server connection has state but no exchange.
        slot.active
            .as_deref_mut()
            .filter(|active| kind != Kind::Server || active.stage == Stage::Exchange)
    }

    /// The callbacks of an exchange that is going on.
    pub(crate) fn callbacks(&mut self, id: ExchangeId) -> Option<&mut Callbacks> {
        if self.exchange(id)?.callbacks.is_none() {
            let callbacks = self.pool.callbacks();
            self.active(id.key).callbacks = Some(callbacks);
        }
        self.active(id.key).callbacks.as_deref_mut()
    }

    pub(crate) fn peer_address(&mut self, id: ExchangeId) -> Option<Address> {
        self.exchange(id)?;
        self.net.peer_address(&self.slots[id.key as usize].source)
    }

    pub(crate) fn local_address(&mut self, id: ExchangeId) -> Option<Address> {
        self.exchange(id)?;
        self.net.local_address(&self.slots[id.key as usize].source)
    }

    pub(crate) fn is_reused(&mut self, id: ExchangeId) -> bool {
        match self.exchange(id) {
            Some(_) => self.slots[id.key as usize].flags.has(Flags::REUSED),
            None => self.over.is_some_and(|over| over.id == id && over.is_reused),
        }
    }

    // ---- driving

    /// Begins to drive the slot that `token` names: takes in what the system says of it. False when the
    /// token is of a former owner.
    #[inline]
    pub(crate) fn begin(&mut self, key: u32, generation: u32, readiness: Readiness) -> bool {
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return false;
        };
        if slot.generation != generation {
            return false;
        }
        slot.flags.unset(Flags::DIRTY);
        slot.take_note(readiness);
        self.current = key;
        self.current_generation = generation;
        self.activity = false;
        self.reads_left = self.options.limits.reads_per_turn;
        self.requests_left = self.options.limits.requests_per_turn;
        if slot.kind == Kind::Listener {
            self.accepts_left = self.options.limits.accepts_per_turn;
        }
        self.writes_left = self.writes_share;
        true
    }

    /// What is to be done next for the slot being driven. After [`Event::Done`] none is.
    #[inline]
    pub(crate) fn next(&mut self, input: &mut Input<'_>) -> Event {
        let key = self.current;
        let event = match self.slots.get(key as usize) {
            None => Event::Done,
            Some(slot)
                if slot.generation == self.current_generation && slot.kind == Kind::Server =>
            {
                self.server_next(key, input)
            }
            Some(_) => self.next_of_other(key, input),
        };
        if let Event::Done = event {
            self.current = NONE;
        }
        event
    }

    #[inline(never)]
    fn next_of_other(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        let slot = &self.slots[key as usize];
        if slot.generation != self.current_generation {
            // The connection ended and a callback has begun another one in its place: the window is of the
            // former.
            self.current_generation = slot.generation;
            input.forget();
        }
        match slot.kind {
            Kind::Server => self.server_next(key, input),
            Kind::Client => self.client_next(key, input),
            Kind::Attempt => self.attempt_next(key),
            Kind::Raw => self.raw_next(key, input),
            Kind::Listener => {
                if slot.flags.has(Flags::EXPIRED) {
                    self.listener_expired(key);
                }
                self.accept_next(key)
            }
        }
    }

    /// The drive was cut short by a panic: what was read and not consumed is kept, the slot is driven again.
    pub(crate) fn interrupt_drive(&mut self, input: &mut Input<'_>) {
        let key = std::mem::replace(&mut self.current, NONE);
        // The connection may have ended, and a callback have begun another one in its place: that one's
        // first drive is due, but the window is not its own.
        if self
            .slots
            .get(key as usize)
            .is_some_and(|slot| slot.generation == self.current_generation)
        {
            self.keep_input(key, input);
        }
        self.mark_dirty_later(key);
    }

    /// Keeps what is left of the window for the next drive.
    fn keep_input(&mut self, key: u32, input: &mut Input<'_>) {
        let Some(active) = self.slots.get_mut(key as usize).and_then(|s| s.active.as_deref_mut())
        else {
            return;
        };
        // More is appended to a part of a head.
        match input.take_kept(active.partial) {
            Some((kept, from)) => {
                debug_assert!(active.input.is_empty());
                active.input = kept;
                active.input_from = from as u32;
            }
            None if input.from < input.to => {
                debug_assert!(active.input.is_empty());
                active.input.extend_from_slice(&input.buffer[input.from..input.to]);
            }
            None => {}
        }
        input.filled(0);
    }

    /// An error came out of a handler of this exchange: it ends.
    pub(crate) fn fail_exchange(&mut self, id: ExchangeId, error: Error) {
        if let Some(active) = self.exchange(id) {
            active.failure = Some(error);
            self.mark_dirty(id.key);
            return;
        }
        // Between two exchanges there is none to fail: the connection itself ends.
        let Some(slot) = self.slots.get_mut(id.key as usize) else {
            return;
        };
        let is_between = slot.kind == Kind::Server
            && slot.generation == id.generation
            && slot.sequence == id.sequence;
        if is_between && !slot.flags.has(Flags::DESTROYED) {
            log::error!(target: "onloop::server", "connection {}: closed: {error}", id.key);
            slot.flags.set(Flags::DESTROYED);
            self.mark_dirty(id.key);
        }
    }

    pub(crate) fn limit_error(limit: Limit, code: &'static str, message: &str) -> Error {
        Error::new(ErrorKind::Limit(limit), code, message)
    }
}

/// Names a slot to the system: with the generation, so that a stale event of the same batch misses.
#[inline]
pub(crate) fn token(key: u32, generation: u32) -> usize {
    (generation as usize) << 32 | key as usize
}

/// Takes a token apart.
#[inline]
pub(crate) fn untoken(token: usize) -> (u32, u32) {
    (token as u32, (token >> 32) as u32)
}

/// A duration as ticks of the deadline clock; zero stays zero and means never.
pub(crate) fn ticks_or_never(duration: std::time::Duration) -> u32 {
    match duration.is_zero() {
        true => 0,
        false => ticks(duration),
    }
}

/// Logs the result of a callback that is nobody's exchange any more.
pub(crate) fn log_failure(result: Result<()>, what: &str) {
    if let Err(error) = result {
        log::error!(target: "onloop::loop", "{what} failed: {error}");
    }
}
