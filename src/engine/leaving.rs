//! Connections that are about to end wait for those that go on. Thousands may end at the same moment, since their
//! peers say so together or since one clock stands for all of them, and each is a reply, a few system calls, or both:
//! they are worked off in the order in which they came, so many in a turn, behind everything else.

use crate::engine::Core;
use crate::engine::slot::{Flags, Kind};
use crate::net::Readiness;

impl Core {
    /// So many connections end in a turn before others have to wait: as many as a turn can accept, so that they do not
    /// come faster than they go.
    pub(crate) fn leaving_per_turn(&self) -> usize {
        self.options.limits.accepts_per_turn.saturating_mul(2)
    }

    /// The peer of a server's connection ends it, among many others: what the event says is taken note of, and the
    /// rest is for [`Core::next_leaving`]. False for other slots, and where the event is of a former owner.
    #[cold]
    pub(crate) fn put_off(&mut self, key: u32, generation: u32, readiness: Readiness) -> bool {
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return false;
        };
        if slot.generation != generation || slot.kind != Kind::Server {
            return false;
        }
        slot.take_note(readiness);
        self.leaves(key);
        true
    }

    /// The deadline of a slot has passed.
    pub(super) fn expires(&mut self, key: u32) {
        match self.slots[key as usize].kind {
            Kind::Server if self.dirty.len() >= self.leaving_per_turn() => self.leaves(key),
            _ => self.mark_dirty(key),
        }
    }

    fn leaves(&mut self, key: u32) {
        let slot = &mut self.slots[key as usize];
        if !slot.flags.has(Flags::DIRTY) {
            slot.flags.set(Flags::DIRTY);
            self.leaving.push_back((key, slot.generation));
        }
    }

    /// The connection that has waited longest.
    pub(crate) fn next_leaving(&mut self) -> Option<(u32, u32)> {
        let next = self.leaving.pop_front();
        if self.leaving.is_empty() && self.leaving.capacity() > LEAVING_KEPT {
            self.leaving = Default::default();
        }
        next
    }
}

/// Entries of the list whose memory is kept for the next time.
const LEAVING_KEPT: usize = 1024;
