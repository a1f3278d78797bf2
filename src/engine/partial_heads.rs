//! Request heads of which a part is here: what they take is bounded for all connections of a loop together, since
//! a client can begin many and end none.
//!
//! Counted is what lies in `Active::input` of a server's connection while its head is incomplete. Each connection
//! knows its share, so that it is given back exactly wherever those bytes go; while they are in the window, to be
//! looked at together with what follows, nobody counts them. A head that comes whole never gets here.

use crate::engine::Core;
use crate::engine::event::Input;
use crate::engine::server_side::Step;
use crate::engine::slot::Active;
use crate::error::{Error, Limit};

impl Core {
    /// Keeps the part of a head that is in the window until there is more of it; refuses it where all of them
    /// together would be too much.
    #[cold]
    pub(super) fn keep_partial_head(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        let bytes = input.bytes().len();
        let all = self.partial_heads.saturating_add(bytes);
        if all > self.options.limits.max_partial_heads {
            log::debug!(target: "onloop::server", "connection {key}: refused: max_partial_heads is reached");
            return self.server_client_error(key, 503, too_many());
        }
        self.partial_heads = all;
        self.keep_input(key, input);
        // A head has less than 64 KiB, whatever the limits are: more of it would have been refused.
        self.active(key).partial_bytes = bytes as u32;
        Step::Again
    }

    /// The part of a head that a connection keeps, if any, is not kept any more.
    #[inline]
    pub(super) fn release_partial_head(&mut self, key: u32) {
        if let Some(active) = self.slots[key as usize].active.as_deref_mut() {
            active.release_partial_head(&mut self.partial_heads);
        }
    }
}

impl Active {
    /// Takes this connection's share from all.
    #[inline]
    pub(super) fn release_partial_head(&mut self, all: &mut usize) {
        let share = std::mem::take(&mut self.partial_bytes) as usize;
        debug_assert!(share <= *all, "a share is part of the whole");
        *all = all.saturating_sub(share);
    }
}

fn too_many() -> Error {
    let message =
        "the parts of request heads that are here take as much as `max_partial_heads` allows";
    Core::limit_error(Limit::PartialHeads, "ERR_TOO_MANY_PARTIAL_HEADS", message).with_status(503)
}
