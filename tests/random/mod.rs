//! What tests draw from a seed, which is all that is needed to do it again.

// Each program that includes it uses a part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(fastrand::Rng::with_seed(seed))
    }

    /// From 0 to `bound`, which is not among them; 0 where there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.usize(..bound.max(1))
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.u8(..)
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// The same for callbacks: clones draw from one sequence.
#[derive(Debug, Clone)]
pub(crate) struct Chance(Rc<RefCell<Random>>);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(Rc::new(RefCell::new(Random::new(seed))))
    }

    /// From 0 to `bound`, which is not among them; 0 where there is none.
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.0.borrow_mut().below(bound)
    }

    /// Once in so many times.
    pub(crate) fn once_in(&self, times: usize) -> bool {
        self.0.borrow_mut().once_in(times)
    }

    pub(crate) fn pick<T: Copy>(&self, of: &[T]) -> T {
        self.0.borrow_mut().pick(of)
    }

    /// Less than so many milliseconds.
    pub(crate) fn millis(&self, bound: usize) -> Duration {
        Duration::from_millis(self.below(bound) as u64)
    }
}
