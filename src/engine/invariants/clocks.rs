//! Whether a clock runs for a slot where its state and the options ask for one. That is so of every slot that waits, and
//! of one that a drive has left for the next turn as well: were it left in each turn, nothing else would ever end it.

use super::{Verdict, hold};
use crate::engine::Core;
use crate::engine::slot::{Active, Flags, Inactivity, Kind, Slot, Stage};

/// Its next drive looks at no clock, or arms others.
const BOUND_TO_END: Flags = Flags::DESTROYED.and(Flags::EXPIRED).and(Flags::BROKEN);

impl Core {
    /// A slot that is driven again in the next turn, and was touched by nobody since its last drive.
    pub(super) fn is_left(&self, key: u32, slot: &Slot) -> bool {
        self.left.contains(&(key, slot.generation)) && !slot.flags.has(BOUND_TO_END)
    }

    pub(super) fn check_clock(&self, key: u32, slot: &Slot) -> Verdict {
        if slot.flags.has(Flags::LINGERING) {
            hold!(slot.deadline != 0, "it lingers, and no clock runs");
            return Ok(());
        }
        match (slot.kind, slot.active.as_deref()) {
            (Kind::Listener | Kind::Attempt, _) => Ok(()),
            (Kind::Server, None) => self.check_idle_clock(slot),
            (Kind::Server, Some(active)) => self.check_server_clock(key, slot, active),
            (Kind::Client, None) => {
                hold!(slot.deadline != 0, "it is free, and no clock runs");
                Ok(())
            }
            (Kind::Client, Some(active)) if active.stage == Stage::Unconnected => {
                check_connecting_clock(slot, active)
            }
            (Kind::Raw, Some(_)) if slot.flags.has(Flags::CLOSING) => {
                self.check_closing_clock(slot)
            }
            (Kind::Client | Kind::Raw, Some(active)) => {
                let has_clock = slot.deadline != 0 || active.inactivity != Inactivity::None;
                hold!(
                    active.timeout_ticks == 0 || has_clock,
                    "it has a timeout, and no clock runs"
                );
                Ok(())
            }
            (Kind::Raw, None) => Err("a byte stream has no state".into()),
        }
    }

    fn check_idle_clock(&self, slot: &Slot) -> Verdict {
        let Some(server) = self.servers.get(slot.owner as usize) else {
            return Err("its server is gone".into());
        };
        let limit = match slot.sequence {
            0 => crate::engine::ticks_or_never(server.options.headers_limit()),
            _ => server.keep_alive_ticks,
        };
        let has_clock = slot.deadline != 0 || limit == 0 || server.is_changed;
        hold!(has_clock, "it is idle, and no clock runs");
        Ok(())
    }

    fn check_server_clock(&self, key: u32, slot: &Slot, active: &Active) -> Verdict {
        let Some(server) = self.servers.get(slot.owner as usize) else {
            return Err("its server is gone".into());
        };
        if server.is_changed || active.failure.is_some() {
            return Ok(());
        }
        hold!(active.paces_run(server), "its client is timed, and the time has not begun");
        let due = self.server_clock_due(key);
        hold!(slot.deadline == due, "its clock is set to {} in place of {due}", slot.deadline);
        Ok(())
    }

    /// A stream that is to be closed when all is out.
    fn check_closing_clock(&self, slot: &Slot) -> Verdict {
        let limit = self
            .servers
            .get(slot.owner as usize)
            .is_some_and(|server| !server.options.write_timeout.is_zero() && !server.is_changed);
        let own = slot.active.as_deref().is_some_and(|active| active.timeout_ticks != 0);
        hold!(!(limit || own) || slot.deadline != 0, "it is to be closed, and no clock runs");
        Ok(())
    }
}

/// A request that has no connection yet.
fn check_connecting_clock(slot: &Slot, active: &Active) -> Verdict {
    let Some(client) = active.client.as_deref() else {
        return Err("it is no request".into());
    };
    let pauses = client.journey.as_deref().is_some_and(|journey| journey.is_pausing());
    let has_clock = slot.deadline != 0 || client.timeout_told || pauses;
    hold!(active.timeout_ticks == 0 || has_clock, "it has a timeout, and no clock runs");
    Ok(())
}
