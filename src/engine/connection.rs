//! What a handle to a connection does, whatever exchange is going on on it.

use std::io;
use std::time::Duration;

use crate::engine::Core;
use crate::engine::deadlines::duration_of;
use crate::engine::raw::socket_closed;
use crate::engine::slot::{Flags, Inactivity, Kind, Slot, Stage};
use crate::error::{Error, Result};
use crate::net::{Net, Source};

impl Core {
    /// The slot of a connection that lives.
    pub(crate) fn connection(&mut self, key: u32, generation: u32) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key as usize)?;
        let lives = slot.generation == generation
            && slot.kind != Kind::Listener
            && !slot.flags.has(Flags::DESTROYED);
        lives.then_some(slot)
    }

    pub(crate) fn destroy_connection(&mut self, key: u32, generation: u32) {
        if let Some(slot) = self.connection(key, generation) {
            slot.flags.set(Flags::DESTROYED);
            self.mark_dirty(key);
        }
    }

    /// Closes the socket at once with a reset; the last calls follow with the next drive.
    pub(crate) fn reset_connection(&mut self, key: u32, generation: u32) -> Result<()> {
        let Some(slot) = self.connection(key, generation) else {
            return Err(socket_closed());
        };
        if matches!(slot.source, Source::Unix(_)) {
            let message = "a Unix socket has no resets: use `destroy`";
            return Err(Error::local("ERR_INVALID_HANDLE_TYPE", message));
        }
        slot.flags.set(Flags::DESTROYED);
        let source = slot.source.take();
        self.net.reset(source);
        self.retry_blocked_listeners();
        self.mark_dirty(key);
        Ok(())
    }

    pub(crate) fn set_connection_timeout(&mut self, key: u32, generation: u32, timeout: Duration) {
        self.catch_up();
        let now = self.tick;
        let Some(slot) = self.connection(key, generation) else {
            return;
        };
        let in_exchange = slot.active.as_deref().is_some_and(|active| active.stage != Stage::Head);
        if in_exchange || slot.kind != Kind::Server {
            let id = self.id(key);
            return self.set_exchange_timeout(id, timeout);
        }
        if slot.sequence != 0 || slot.flags.has(Flags::LINGERING.and(Flags::CLOSING)) {
            // Idle, at the head of a later request, or at its end: other clocks run.
            return;
        }
        let ticks = super::ticks_or_never(timeout);
        match slot.active.as_deref_mut() {
            Some(active) => {
                active.timeout_ticks = ticks;
                active.inactivity = Inactivity::None;
                active.moved = now;
                self.server_deadline(key);
            }
            None if ticks == 0 => {}
            None => self.keep_first_timeout(key, ticks),
        }
    }

    pub(crate) fn connection_timeout(&mut self, key: u32, generation: u32) -> Option<Duration> {
        let active = self.connection(key, generation)?.active.as_deref()?;
        Some(duration_of(active.timeout_ticks))
    }

    /// Sets something on the socket. One that is gone already will say so when it is read.
    pub(crate) fn with_source(
        &mut self,
        key: u32,
        generation: u32,
        work: impl FnOnce(&mut Net, &mut Source) -> io::Result<()>,
    ) {
        if self.connection(key, generation).is_none() {
            return;
        }
        let Core { net, slots, .. } = self;
        if let Err(error) = work(net, &mut slots[key as usize].source) {
            log::debug!(target: "onloop::connection", "connection {key}: socket option: {error}");
        }
    }

    pub(crate) fn set_connection_referenced(
        &mut self,
        key: u32,
        generation: u32,
        referenced: bool,
    ) {
        if self.connection(key, generation).is_some() {
            self.set_slot_referenced(key, referenced);
        }
    }
}
