//! Several addresses of one name: tried one after the other with a delay that is short, without giving up those
//! that were begun before; the first that answers has the request (RFC 8305).

use crate::engine::Core;
use crate::engine::agent::NO_ORIGIN;
use crate::engine::connect::connect_error;
use crate::engine::event::Event;
use crate::engine::slot::{Flags, Kind};
use crate::error::Result;
use crate::net::{Address, Source};

/// An address that is tried in a slot of its own.
#[derive(Debug)]
pub(crate) struct Attempt {
    key: u32,
    generation: u32,
    address: Address,
}

impl Core {
    /// Tries the next address beside those that are being tried.
    pub(super) fn try_beside(&mut self, key: u32) {
        self.client(key).attempt_until = None;
        if self.client(key).attempts.len() + 1 >= self.options.limits.connection_attempts_max {
            // One of them has to fail first.
            return;
        }
        while let Some(address) = self.client(key).addresses.pop() {
            log::debug!(target: "onloop::client", "request {key}: connecting to {address}, too");
            match self.begin_attempt(key, &address) {
                Ok(attempt) => {
                    self.client(key).attempts.push(attempt);
                    return self.time_attempt(key);
                }
                Err(error) => self.note_connect_error(key, error),
            }
        }
    }

    /// When the next address has its turn, where there is one.
    pub(super) fn time_attempt(&mut self, key: u32) {
        let origin = self.slots[key as usize].owner;
        let delay = self.agents.attempt_delay(origin);
        let until = self.now.after(delay);
        let client = self.client(key);
        client.attempt_until = (!client.addresses.is_empty()).then_some(until);
    }

    fn begin_attempt(&mut self, parent: u32, address: &Address) -> Result<Attempt> {
        let source = self.connect_to(parent, address)?;
        let made = self.insert_slot(source, Kind::Attempt, NO_ORIGIN);
        let key = made.map_err(|error| connect_error(&error, address))?;
        // The request keeps the loop running.
        self.set_slot_referenced(key, false);
        let slot = self.slot(key);
        slot.sequence = parent;
        slot.flags.set(Flags::WRITE_BLOCKED);
        Ok(Attempt { key, generation: slot.generation, address: address.clone() })
    }

    /// Takes an attempt off its request's list: the request, and what was tried.
    fn take_attempt(&mut self, key: u32) -> Option<(u32, Attempt)> {
        let slot = self.slots.get(key as usize)?;
        let (parent, generation) = (slot.sequence, slot.generation);
        let active = self.slots.get_mut(parent as usize)?.active.as_deref_mut()?;
        let attempts = &mut active.client.as_deref_mut()?.attempts;
        let is_it = |attempt: &Attempt| (attempt.key, attempt.generation) == (key, generation);
        let place = attempts.iter().position(is_it)?;
        Some((parent, attempts.remove(place)))
    }

    /// Something happened to an address that is tried beside another one.
    pub(super) fn attempt_next(&mut self, key: u32) -> Event {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        let is_told = slot.flags.has(Flags::BROKEN.and(Flags::HANGUP).and(Flags::DESTROYED));
        if slot.flags.has(Flags::WRITE_BLOCKED) && !is_told {
            return Event::Done;
        }
        let result = net.connect_result(&mut slot.source);
        if let Ok(false) = result {
            slot.flags.set(Flags::WRITE_BLOCKED);
            return Event::Done;
        }
        if let Some((parent, attempt)) = self.take_attempt(key) {
            match result {
                Ok(_) => {
                    log::debug!(target: "onloop::client", "request {parent}: {} was faster", attempt.address);
                    let mut source = self.slot(key).source.take();
                    let _ = self.net.set_nodelay(&mut source, true);
                    self.win(parent, source);
                }
                Err(error) => {
                    let now = self.now;
                    self.note_connect_error(parent, connect_error(&error, &attempt.address));
                    // The next address need not wait for its time.
                    self.client(parent).attempt_until = Some(now);
                }
            }
            self.mark_dirty(parent);
        }
        self.drop_connection(key, None)
    }

    /// The first address that answers has the request.
    fn win(&mut self, key: u32, source: Source) {
        let own = self.slot(key).source.take();
        self.net.close(own);
        self.connected(key);
        self.move_in(key, source, Flags::default(), false);
    }

    /// The addresses that are still being tried are given up.
    pub(super) fn drop_attempts(&mut self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            let slot = self.slots.get(attempt.key as usize);
            if slot.is_some_and(|slot| slot.generation == attempt.generation) {
                self.remove_slot(attempt.key);
            }
        }
    }
}
