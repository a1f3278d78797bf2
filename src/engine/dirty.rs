//! The dirty list: slots that are driven without an event, because something was done to them from elsewhere or because
//! they stopped short of what is there.

use crate::engine::Core;
use crate::engine::slot::Flags;

impl Core {
    /// Has the slot driven once more in this turn, unless it is being driven now.
    #[inline]
    pub(crate) fn mark_dirty(&mut self, key: u32) {
        if key == self.current {
            return;
        }
        self.mark_dirty_later(key);
    }

    /// The same, also for the slot that is being driven.
    pub(super) fn mark_dirty_later(&mut self, key: u32) {
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return;
        };
        #[cfg(feature = "sim")]
        match key == self.current {
            true => self.left.push((key, slot.generation)),
            // What is done to it from now on its next drive looks at.
            false => self.left.retain(|(other, _)| *other != key),
        }
        if !slot.flags.has(Flags::DIRTY) {
            slot.flags.set(Flags::DIRTY);
            self.dirty.push((key, slot.generation));
        }
    }

    /// Gives the list away to be worked off, in exchange for an empty one.
    pub(crate) fn swap_dirty(&mut self, empty: &mut Vec<(u32, u32)>) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut self.dirty, empty);
        #[cfg(feature = "sim")]
        self.left.clear();
    }
}
