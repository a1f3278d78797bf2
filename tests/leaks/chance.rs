//! What is drawn from the seed.

use std::cell::Cell;
use std::rc::Rc;

/// A generator; clones draw from the same sequence.
#[derive(Clone)]
pub(crate) struct Chance(Rc<Cell<u64>>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(Rc::new(Cell::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)))
    }

    /// Less than `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        // xorshift64*
        let mut value = self.0.get();
        value ^= value >> 12;
        value ^= value << 25;
        value ^= value >> 27;
        self.0.set(value);
        (value.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }

    /// One of so many.
    pub(crate) fn one_in(&self, count: u64) -> bool {
        self.below(count) == 0
    }
}
