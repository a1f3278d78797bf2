//! What one event says, in one byte, the same from epoll, kqueue, `poll(2)` and the simulation.

use std::fmt;

/// What a source may be ready for. Hints: any of them may turn out to be untrue by now.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    /// There are bytes, an end of stream or an error to read, or a connection to accept.
    pub(crate) const READABLE: Readiness = Readiness(1);
    /// There is space to write, a connection is made, or an error waits.
    pub(crate) const WRITABLE: Readiness = Readiness(2);
    /// The peer's FIN or a reset is in: read on until `Ok(0)` or an error, no other edge will come.
    pub(crate) const READ_CLOSED: Readiness = Readiness(4);
    /// Both directions are over, or the peer cannot be written to.
    pub(crate) const WRITE_CLOSED: Readiness = Readiness(8);
    /// An error waits on the socket; the next read or write has it.
    pub(crate) const ERROR: Readiness = Readiness(16);

    pub(crate) const EMPTY: Readiness = Readiness(0);

    #[inline]
    pub(crate) const fn contains(self, other: Readiness) -> bool {
        self.0 & other.0 == other.0
    }

    #[inline]
    pub(crate) const fn intersects(self, other: Readiness) -> bool {
        self.0 & other.0 != 0
    }

    #[inline]
    pub(crate) fn insert(&mut self, other: Readiness) {
        self.0 |= other.0;
    }

    #[cfg(any(test, feature = "sim"))]
    #[inline]
    pub(crate) const fn union(self, other: Readiness) -> Readiness {
        Readiness(self.0 | other.0)
    }

    #[cfg(any(test, feature = "sim"))]
    #[inline]
    pub(crate) const fn intersection(self, other: Readiness) -> Readiness {
        Readiness(self.0 & other.0)
    }

    #[cfg(any(test, feature = "sim"))]
    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when reading has to go on to the end whatever a short read says.
    #[inline]
    pub(crate) const fn is_closing(self) -> bool {
        self.intersects(Readiness(
            Readiness::READ_CLOSED.0 | Readiness::WRITE_CLOSED.0 | Readiness::ERROR.0,
        ))
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = ["READABLE", "WRITABLE", "READ_CLOSED", "WRITE_CLOSED", "ERROR"];
        let set = names.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        f.debug_set().entries(set.map(|(_, name)| format_args!("{name}").to_string())).finish()
    }
}

/// One event: whose, and what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ready {
    /// What `register` was given.
    pub(crate) token: usize,
    pub(crate) readiness: Readiness,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_behave_as_sets() {
        let mut set = Readiness::default();
        assert!(set.is_empty());
        set.insert(Readiness::READABLE);
        set.insert(Readiness::ERROR);
        assert!(set.contains(Readiness::READABLE) && !set.contains(Readiness::WRITABLE));
        assert!(set.intersects(Readiness::READABLE.union(Readiness::WRITABLE)));
        assert!(set.is_closing());
        assert!(!Readiness::READABLE.is_closing());
        assert_eq!(set.intersection(Readiness::READABLE), Readiness::READABLE);
        assert_eq!(std::mem::size_of::<Readiness>(), 1);
    }
}
