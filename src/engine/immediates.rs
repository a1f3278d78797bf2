//! What `set_immediate` has queued: run after the turn's I/O, in order; what is queued meanwhile waits for
//! the next turn.

use std::collections::VecDeque;

use crate::engine::callbacks::Hook;

struct Immediate {
    id: u32,
    /// `None` once it is cleared.
    run: Option<Hook>,
    referenced: bool,
}

/// The queue of immediates.
#[derive(Default)]
pub(crate) struct Immediates {
    queue: VecDeque<Immediate>,
    next_id: u32,
    referenced: usize,
}

impl Immediates {
    pub(crate) fn push(&mut self, run: Hook) -> u32 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        self.queue.push_back(Immediate { id, run: Some(run), referenced: true });
        self.referenced += 1;
        id
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn has_referenced(&self) -> bool {
        self.referenced > 0
    }

    /// The first one; `Some(None)` where it was cleared.
    pub(crate) fn pop(&mut self) -> Option<Option<Hook>> {
        let first = self.queue.pop_front()?;
        if first.referenced {
            self.referenced -= 1;
        }
        Some(first.run)
    }

    /// Clears one; its closure is for the caller to drop.
    #[must_use = "it may hold user values, which must be dropped outside of every borrow"]
    pub(crate) fn clear(&mut self, id: u32) -> Option<Hook> {
        self.set_referenced(id, false);
        self.find(id)?.run.take()
    }

    pub(crate) fn set_referenced(&mut self, id: u32, referenced: bool) -> bool {
        let Some(immediate) = self.find(id).filter(|found| found.run.is_some()) else {
            return false;
        };
        let was = std::mem::replace(&mut immediate.referenced, referenced);
        match (was, referenced) {
            (true, false) => self.referenced -= 1,
            (false, true) => self.referenced += 1,
            _ => {}
        }
        true
    }

    pub(crate) fn is_referenced(&mut self, id: u32) -> Option<bool> {
        self.find(id).filter(|found| found.run.is_some()).map(|found| found.referenced)
    }

    /// Ids are consecutive, so the place follows from the first one's.
    fn find(&mut self, id: u32) -> Option<&mut Immediate> {
        let first = self.queue.front()?.id;
        self.queue.get_mut(id.wrapping_sub(first) as usize)
    }
}
