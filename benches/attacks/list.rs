//! What an attack is, and what it may not come to.

use std::io;

use crate::scale::Scale;
use crate::wire::{Outcome, Target};

/// One way to go against a process.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Target) -> io::Result<Outcome>,
    /// What an attacker may get; anything else is a failure.
    pub(crate) expected: &'static [&'static str],
    pub(crate) bound: fn(&Scale) -> Bound,
}

impl Attack {
    pub(crate) const fn new(
        name: &'static str,
        run: fn(&Target) -> io::Result<Outcome>,
        expected: &'static [&'static str],
    ) -> Attack {
        Attack { name, run, expected, bound: |_| Bound::PLAIN }
    }

    /// Another bound than [`Bound::PLAIN`].
    pub(crate) const fn bound(mut self, bound: fn(&Scale) -> Bound) -> Attack {
        self.bound = bound;
        self
    }
}

/// How much the process may grow.
pub(crate) struct Bound {
    pub(crate) bytes: usize,
    /// Why it is more than usual.
    pub(crate) reason: &'static str,
}

impl Bound {
    pub(crate) const PLAIN: Bound = Bound { bytes: 2_000_000, reason: "" };
}
