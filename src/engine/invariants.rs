//! What has to hold for the state of a loop between two turns, checked as a whole: every slot belongs to somebody,
//! every count is what there is, whatever has something to do is on the dirty list or waits for something that
//! will come, and what lies in the pools is blank. For tests: it is a pass over everything there is.
//!
//! `slots` is about one slot, `clocks` about its deadline, `agents` about origins and who waits at them; here is the rest.

mod agents;
mod clocks;
mod slots;

use std::collections::{HashMap, HashSet};

use crate::engine::slot::{Flags, Kind, Slot};
use crate::engine::{Core, NONE, TimerTask};

/// Why not.
type Verdict = Result<(), String>;

/// Returns with this message where the condition does not hold.
macro_rules! hold {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(super) use hold;

/// What one pass over the slab has counted.
#[derive(Default)]
struct Tally {
    referenced: usize,
    /// By server.
    connections: HashMap<u16, usize>,
    listeners: HashMap<u16, usize>,
    /// By origin: connections that are there or being made.
    places: HashMap<u16, u32>,
    free: HashMap<u16, usize>,
    queued: HashMap<u16, u32>,
    /// Of these: they can still be served.
    patient: HashMap<u16, u32>,
    attempts: usize,
    /// Attempts that requests know of.
    named_attempts: usize,
    /// Timers that belong to requests.
    timers: usize,
    /// Shares in what parts of request heads take.
    partial_heads: usize,
}

impl Tally {
    fn take(&mut self, slot: &Slot) {
        self.referenced += usize::from(!slot.flags.has(Flags::UNREFERENCED));
        let owner = slot.owner;
        self.partial_heads +=
            slot.active.as_deref().map_or(0, |active| active.partial_bytes as usize);
        match slot.kind {
            Kind::Listener => *self.listeners.entry(owner).or_default() += 1,
            Kind::Server | Kind::Raw => *self.connections.entry(owner).or_default() += 1,
            Kind::Attempt => self.attempts += 1,
            Kind::Client => self.take_client(slot),
        }
    }

    fn take_client(&mut self, slot: &Slot) {
        let Some(active) = slot.active.as_deref() else {
            *self.free.entry(slot.owner).or_default() += 1;
            *self.places.entry(slot.owner).or_default() += 1;
            return;
        };
        let Some(client) = active.client.as_deref() else {
            return;
        };
        self.named_attempts += client.attempts.len();
        if let Some(journey) = client.journey.as_deref() {
            self.timers += usize::from(journey.deadline.is_some());
            self.timers += usize::from(journey.pause.is_some());
        }
        if !client.queued {
            *self.places.entry(slot.owner).or_default() += 1;
            return;
        }
        *self.queued.entry(slot.owner).or_default() += 1;
        if !slot.flags.has(Flags::DESTROYED) {
            *self.patient.entry(slot.owner).or_default() += 1;
        }
    }
}

impl Core {
    /// Checks everything. `left_over` is what is left of a dirty list that a panic cut short.
    pub(crate) fn check(&self, left_over: &[(u32, u32)]) -> Verdict {
        self.check_rest()?;
        let mut tally = Tally::default();
        let dirty = self.check_dirty(left_over)?;
        for (key, slot) in &self.slots {
            let key = key as u32;
            tally.take(slot);
            self.check_slot(key, slot, dirty.contains_key(&key)).map_err(|why| {
                let owner = slot.owner;
                format!("slot {key}, {:?} of {owner}: {why}; {}", slot.kind, describe(slot))
            })?;
        }
        hold!(
            self.referenced == tally.referenced,
            "{} slots are counted that keep the loop alive, and there are {}",
            self.referenced,
            tally.referenced
        );
        hold!(
            tally.attempts == tally.named_attempts,
            "{} addresses are tried beside others, and requests know of {}",
            tally.attempts,
            tally.named_attempts
        );
        self.check_partial_heads(&tally)?;
        self.check_lookups()?;
        self.check_servers(&tally)?;
        self.check_agents(&tally)?;
        self.check_timers(&tally)?;
        self.pool.check()
    }

    /// Between two turns nothing is under way.
    fn check_rest(&self) -> Verdict {
        hold!(
            !self.in_turn,
            "the last turn has not ended: its time is still taken for the present"
        );
        hold!(self.current == NONE, "slot {} is still being driven", self.current);
        hold!(self.over.is_none(), "the last calls of an exchange are still being made");
        hold!(self.trash.is_empty(), "shared content that is done with was not dropped");
        for (key, generation) in &self.blocked_listeners {
            let slot = self.slots.get(*key as usize).filter(|slot| slot.generation == *generation);
            hold!(
                slot.is_none_or(|slot| slot.deadline != 0 || slot.flags.has(Flags::DIRTY)),
                "listener {key} waits for a descriptor and for nothing else"
            );
        }
        Ok(())
    }

    /// Slots that will be driven without an event, and how often each stands on the lists.
    fn check_dirty(&self, left_over: &[(u32, u32)]) -> Result<HashMap<u32, usize>, String> {
        let mut listed = HashMap::new();
        for (key, generation) in self.dirty.iter().chain(&self.leaving).chain(left_over) {
            let slot = self.slots.get(*key as usize);
            if slot.is_some_and(|slot| slot.generation == *generation) {
                *listed.entry(*key).or_insert(0) += 1;
            }
        }
        let mut dirty = HashMap::new();
        for (key, slot) in self.slots.iter().filter(|(_, slot)| slot.flags.has(Flags::DIRTY)) {
            let key = key as u32;
            let times = listed.get(&key).copied().unwrap_or(0);
            hold!(times > 0, "slot {key} is marked dirty and not on the list: {}", describe(slot));
            dirty.insert(key, times);
        }
        Ok(dirty)
    }

    /// What parts of request heads take is the sum of the shares, and within its limit.
    fn check_partial_heads(&self, tally: &Tally) -> Verdict {
        let (all, most) = (self.partial_heads, self.options.limits.max_partial_heads);
        hold!(
            all == tally.partial_heads && all <= most,
            "parts of heads take {all} bytes of {most}, and the shares are {}",
            tally.partial_heads
        );
        for (key, slot) in &self.slots {
            let Some(active) = slot.active.as_deref().filter(|active| active.partial_bytes > 0)
            else {
                continue;
            };
            hold!(
                slot.kind == Kind::Server && active.partial_bytes as usize == active.input.len(),
                "slot {key} has a share of {} in partial heads: {}",
                active.partial_bytes,
                describe(slot)
            );
        }
        Ok(())
    }

    /// Whoever waits for a name will be told of it.
    fn check_lookups(&self) -> Verdict {
        let lookups = self.agents.lookups.iter();
        let known: HashSet<_> = lookups.map(|(_, key, generation)| (*key, *generation)).collect();
        for (key, slot) in &self.slots {
            let client = slot.active.as_deref().and_then(|active| active.client.as_deref());
            let waits = client.is_some_and(|client| client.looking_up);
            hold!(
                !waits || known.contains(&(key as u32, slot.generation)),
                "slot {key} waits for a name that nobody looks up: {}",
                describe(slot)
            );
        }
        Ok(())
    }

    fn check_servers(&self, tally: &Tally) -> Verdict {
        for (key, server) in &self.servers {
            let owner = key as u16;
            let connections = tally.connections.get(&owner).copied().unwrap_or(0);
            hold!(
                server.connections == connections,
                "server {key} counts {} connections, and there are {connections}",
                server.connections
            );
            hold!(
                !server.closing || connections > 0,
                "server {key} is closed, has no connection, and is still here"
            );
            let listeners = tally.listeners.get(&owner).copied().unwrap_or(0);
            hold!(
                server.listeners.len() == listeners,
                "server {key} knows {} listeners, and there are {listeners}",
                server.listeners.len()
            );
            for listener in &server.listeners {
                let slot = self.slots.get(*listener as usize);
                let is_its = slot.is_some_and(|s| s.kind == Kind::Listener && s.owner == owner);
                hold!(is_its, "server {key} names slot {listener}, which is no listener of it");
            }
            if let Some(addresses) = server.addresses.as_deref() {
                let is_its = |key: u32| {
                    let slot = self.slots.get(key as usize);
                    slot.is_some_and(|slot| {
                        matches!(slot.kind, Kind::Server | Kind::Raw) && slot.owner == owner
                    })
                };
                addresses.check(is_its).map_err(|why| format!("server {key}: {why}"))?;
            }
        }
        Ok(())
    }

    fn check_timers(&self, tally: &Tally) -> Verdict {
        self.timers.check()?;
        let of_requests =
            self.timers.payloads().filter(|task| matches!(task, TimerTask::Exchange(_)));
        let there = of_requests.count();
        hold!(
            there == tally.timers,
            "requests have {} timers, and there are {there} for them",
            tally.timers
        );
        Ok(())
    }
}

/// What is to be seen of a slot, for messages.
fn describe(slot: &Slot) -> String {
    const NAMES: [(Flags, &str); 16] = [
        (Flags::READABLE, "readable"),
        (Flags::WRITE_BLOCKED, "write blocked"),
        (Flags::HANGUP, "hangup"),
        (Flags::BROKEN, "broken"),
        (Flags::END_OF_INPUT, "end of input"),
        (Flags::DIRTY, "dirty"),
        (Flags::DESTROYED, "destroyed"),
        (Flags::LINGERING, "lingering"),
        (Flags::UNREFERENCED, "unreferenced"),
        (Flags::CLOSING, "closing"),
        (Flags::WRITE_DEAD, "write dead"),
        (Flags::REUSED, "reused"),
        (Flags::EXPIRED, "expired"),
        (Flags::SHUT, "shut"),
        (Flags::UNANNOUNCED, "unannounced"),
        (Flags::ADOPTED, "adopted"),
    ];
    let flags = NAMES.iter().filter(|(flag, _)| slot.flags.has(*flag)).map(|(_, name)| *name);
    let flags = flags.collect::<Vec<_>>().join(", ");
    let mut text = format!("sequence {}, deadline {}, [{flags}]", slot.sequence, slot.deadline);
    if let Some(active) = slot.active.as_deref() {
        let incoming = &active.incoming;
        text.push_str(&format!(
            ", {:?}: in {} bytes (paused {}, complete {}, ended {}, discarding {}), out {} bytes (head {}, ended {}), \
             timeout {} {:?}",
            active.stage,
            active.input.len() - active.input_from as usize,
            incoming.paused,
            incoming.complete,
            incoming.ended,
            incoming.discarding,
            active.unsent_bytes(),
            active.outgoing.head_is_sent(),
            active.outgoing.is_ended(),
            active.timeout_ticks,
            active.inactivity,
        ));
    }
    text
}
