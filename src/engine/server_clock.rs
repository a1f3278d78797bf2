//! Which clock runs for a server's connection that nothing can be done for now.

use std::time::Duration;

use crate::engine::slot::{Flags, Stage};
use crate::engine::{Core, ticks, ticks_or_never};

impl Core {
    /// Gives back the state of an idle connection; arms the clock of the others.
    pub(super) fn server_deadline(&mut self, key: u32) {
        let slot = &mut self.slots[key as usize];
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), self.servers.get(slot.owner as usize))
        else {
            return;
        };
        // A file's content that the disk has not given yet is not the client's to answer for.
        let is_unread = active.file.is_some() && slot.flags.has(Flags::WRITE_BLOCKED);
        if !active.output.is_empty() || is_unread {
            if self.activity || slot.deadline == 0 {
                let ticks = ticks_or_never(server.options.write_timeout);
                self.arm(key, ticks);
            }
            return;
        }
        match active.stage {
            Stage::Head if active.input.is_empty() && !slot.flags.has(Flags::CLOSING) => {
                let ticks = server.keep_alive_ticks;
                if let Some(active) = slot.active.take() {
                    self.pool.recycle_active(active);
                }
                self.arm(key, ticks);
            }
            Stage::Head => {
                let limit = server.options.headers_timeout;
                self.arm_since_start(key, limit);
            }
            _ if !active.incoming.complete => {
                let limit = server.options.request_timeout;
                self.arm_since_start(key, limit);
            }
            _ => {
                let ticks = active.timeout_ticks;
                if self.activity || slot.deadline == 0 || ticks == 0 {
                    self.arm(key, ticks);
                }
            }
        }
    }

    /// A clock that runs from the message's start and is not reset by bytes.
    pub(super) fn arm_since_start(&mut self, key: u32, limit: Duration) {
        if limit.is_zero() {
            self.arm(key, 0);
            return;
        }
        let started = self.active(key).started;
        let left = limit.saturating_sub(self.now.since(started));
        self.arm(key, ticks(left));
    }
}
