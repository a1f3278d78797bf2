//! Byte streams: connections after an upgrade, and those given to `on_client_error`.

use crate::engine::Core;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::Content;
use crate::engine::slot::{Flags, Kind};

impl Core {
    /// Turns a connection into a byte stream of the user's.
    pub(crate) fn become_raw(&mut self, key: u32) {
        let slot = self.slot(key);
        slot.kind = Kind::Raw;
        slot.deadline = 0;
        if let Some(active) = slot.active.as_deref_mut() {
            active.start_raw();
            active.timeout_ticks = 0;
            active.inactivity = Default::default();
        }
    }

    /// The next thing to do for a byte stream.
    pub(crate) fn raw_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        loop {
            let slot = self.slot(key);
            let flags = slot.flags;
            if flags.has(Flags::LINGERING) {
                if flags.has(Flags::EXPIRED) {
                    return self.drop_connection(key, None);
                }
                return self.linger_next(key, input);
            }
            if flags.has(Flags::DESTROYED) {
                return self.drop_connection(key, None);
            }
            if slot.active.as_deref().is_none_or(|active| active.failure.is_some()) {
                return self.drop_connection(key, None);
            }
            if flags.has(Flags::EXPIRED) {
                if let Some(event) = self.inactive(key) {
                    return event;
                }
            }
            match self.incoming_next(key, input) {
                Content::Event(event) => return event,
                Content::Idle => {}
                Content::CutOff | Content::Broken | Content::Violation(_) => {
                    return self.drop_connection(key, Some(Core::aborted()));
                }
                Content::DiscardedTooMuch => return self.drop_connection(key, None),
            }
            if flags.has(Flags::BROKEN) {
                return self.drop_connection(key, Some(Core::aborted()));
            }
            match self.raw_rest(key, input) {
                Event::Continue => {}
                event => return event,
            }
        }
    }

    fn raw_rest(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        if !input.is_empty() || input.kept.is_some() {
            self.keep_input(key, input);
        }
        self.flush(key);
        if self.slots[key as usize].flags.has(Flags::BROKEN) {
            return Event::Continue;
        }
        if let Some(event) = self.drain_event(key) {
            return event;
        }
        let active = self.active(key);
        let sent = active.is_request_sent();
        let received = active.incoming.complete;
        let waits_for_end = active.callbacks.as_deref().is_some_and(|c| c.end.is_some());
        let told = waits_for_end || active.incoming.ended;
        if received && !active.outgoing.is_ended() && !told && !active.incoming.paused_by_user {
            // The peer ended and nobody wants to know: end too, as Node does without `allowHalfOpen`.
            active.outgoing.abandon();
            return Event::Continue;
        }
        if sent && received {
            let mut event = self.drop_connection(key, None);
            if let Event::Final(finale) = &mut event {
                finale.finish = true;
            }
            return event;
        }
        let slot = self.slot(key);
        if sent && !slot.flags.has(Flags::SHUT) {
            slot.flags.set(Flags::SHUT);
            let Core { slots, net, .. } = self;
            let slot = &mut slots[key as usize];
            if net.shutdown_write(&mut slot.source).is_err() {
                slot.flags.set(Flags::BROKEN);
                return Event::Continue;
            }
            // What nobody reads must not keep the connection open.
            let id = self.id(key);
            self.discard_if_unclaimed(id);
            return Event::Continue;
        }
        self.arm_inactivity(key);
        Event::Done
    }
}
