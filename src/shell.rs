//! What every handle points to: a cell that holds the loop's state while the loop lives.
//!
//! A shell is leaked once per loop, so that handles can be `Copy`, and used again by a later loop on the
//! same thread. The owner takes the state out when it is dropped: a handle that outlives its loop finds
//! nothing and does nothing. Generations go on counting across the loops of a shell, so an old handle never
//! matches a later loop's connection.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::Core;
use crate::engine::output::Trash;

/// What a panic was raised with.
pub(crate) type Payload = Box<dyn Any + Send>;

pub(crate) struct LoopShell {
    core: RefCell<Option<Box<Core>>>,
    /// Which of the loops that used this shell is the present one.
    generation: Cell<u32>,
    /// Where the generations of slots and servers go on.
    next_slot_generation: Cell<u32>,
    /// What the first destructor that panicked in this turn did so with: see `discard`.
    panic: Cell<Option<Payload>>,
}

thread_local! {
    static FREE_SHELLS: RefCell<Vec<&'static LoopShell>> = const { RefCell::new(Vec::new()) };
}

impl LoopShell {
    /// A shell without a core.
    pub(crate) fn acquire() -> &'static LoopShell {
        let free = FREE_SHELLS.with(|shells| shells.borrow_mut().pop());
        free.unwrap_or_else(|| {
            Box::leak(Box::new(LoopShell {
                core: RefCell::new(None),
                generation: Cell::new(0),
                next_slot_generation: Cell::new(0),
                panic: Cell::new(None),
            }))
        })
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.get()
    }

    pub(crate) fn next_slot_generation(&self) -> u32 {
        self.next_slot_generation.get()
    }

    pub(crate) fn install(&self, core: Box<Core>) {
        *self.core.borrow_mut() = Some(core);
    }

    /// Takes the core out for ever. It is returned so that the user's closures in it are dropped while
    /// nothing is borrowed.
    pub(crate) fn retire(&'static self) -> Option<Box<Core>> {
        let core = self.core.borrow_mut().take();
        self.generation.set(self.generation.get().wrapping_add(1));
        std::mem::forget(self.panic.take());
        if let Some(core) = &core {
            self.next_slot_generation.set(core.next_generation());
        }
        core
    }

    /// Offers the shell to a later loop. During thread exit it simply stays leaked.
    pub(crate) fn release(&'static self) {
        let _ = FREE_SHELLS.try_with(|shells| shells.borrow_mut().push(self));
    }

    /// Works on the core. `None` when the loop is gone, or, which does not happen while no user code runs
    /// under a borrow, when it is in use: a handle then does nothing rather than panic.
    #[inline]
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Core) -> R) -> Option<R> {
        let mut guard = self.core.try_borrow_mut().ok()?;
        let core = guard.as_deref_mut()?;
        let result = work(core);
        if !core.trash.is_empty() {
            let trash = core.trash.take();
            drop(guard);
            self.throw_away(trash);
        }
        Some(result)
    }

    /// Shared content may be owned by a user's type: its destructor runs here, outside the borrow.
    #[cold]
    #[inline(never)]
    fn throw_away(&self, trash: Trash) {
        trash.into_pieces().for_each(|piece| {
            self.discard(piece);
        });
    }

    /// Drops what is a user's, also in the middle of something that has to be brought to its end: where its
    /// destructor panics, that is told at the end of the turn. False then.
    pub(crate) fn discard<T>(&self, value: T) -> bool {
        self.shield(|| drop(value))
    }

    /// The same for what drops values of a user's.
    pub(crate) fn shield(&self, work: impl FnOnce()) -> bool {
        let Err(payload) = catch_unwind(AssertUnwindSafe(work)) else {
            return true;
        };
        match self.panic.take() {
            None => self.panic.set(Some(payload)),
            first => {
                self.panic.set(first);
                // Its own destructor might be the next one.
                std::mem::forget(payload);
            }
        }
        false
    }

    /// What a destructor has panicked with since this was asked last.
    #[inline]
    pub(crate) fn take_panic(&self) -> Option<Payload> {
        self.panic.take()
    }
}
