//! Requests that are made again by themselves: a connection that was kept for them may be closed by the server
//! in the moment in which it is used, or say what nobody has asked for, and nobody has to know (RFC 9112 §9.2, §9.3.1).

use crate::engine::Core;
use crate::engine::agent::NO_ORIGIN;
use crate::engine::event::{Event, Input};
use crate::engine::slot::{Flags, Stage};

impl Core {
    /// A request has a connection: what is sent on one that served others before is kept, where it may have to be
    /// sent again.
    #[inline]
    pub(super) fn begin_sending(&mut self, key: u32) {
        let slot = &mut self.slots[key as usize];
        if !slot.flags.has(Flags::REUSED) {
            return;
        }
        if let Some(active) = slot.active.as_deref_mut() {
            if active.client.as_deref().is_some_and(|client| client.is_idempotent()) {
                active.output.keep(self.options.limits.max_kept_for_repetition);
            }
        }
    }

    /// A kept connection has something to say, and nothing was sent on it: that is not said of this request.
    #[inline]
    pub(super) fn looks_before_sending(&mut self, key: u32) -> bool {
        let flags = self.slots[key as usize].flags;
        flags.has(Flags::REUSED) && flags.has(Flags::READABLE) && !self.client(key).sent_any
    }

    /// The connection ended before a response's head.
    pub(super) fn client_lost(&mut self, key: u32, input: &Input<'_>) -> Event {
        let reused = self.slots[key as usize].flags.has(Flags::REUSED);
        let why = match reused {
            true => "the server closed the kept-alive connection before it answered",
            false => "the server closed the connection before it answered",
        };
        self.lost_before_answer(key, input, why)
    }

    /// The request is made again on another connection where that is safe, else it fails.
    fn lost_before_answer(&mut self, key: u32, input: &Input<'_>, why: &str) -> Event {
        if self.may_repeat(key, input) {
            self.repeat(key);
            return Event::Continue;
        }
        if let Some(event) = self.retry_lost(key, input) {
            return event;
        }
        let error = self.hang_up(key, why);
        self.drop_connection(key, Some(error))
    }

    /// Bytes came before anything of the request was sent: they are no answer to it (RFC 9112 §9.2), and the connection
    /// is of no use any more.
    #[cold]
    pub(super) fn client_unasked(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        let left = input.to - input.from;
        input.consume(left);
        self.lost_before_answer(key, input, "the server sent bytes before the request was sent")
    }

    /// Whether a request whose connection died is made again: once, on a connection that was used before, where
    /// not a byte of a reply came, nothing of it was sent or it is idempotent (RFC 9110 §9.2.2), and all of it
    /// is at hand.
    pub(super) fn may_repeat(&mut self, key: u32, input: &Input<'_>) -> bool {
        let slot = &self.slots[key as usize];
        // One that was taken out of its agent has nobody to ask for another connection.
        slot.flags.has(Flags::REUSED)
            && slot.owner != NO_ORIGIN
            && !self.client(key).repeated
            && self.can_be_sent_again(key, input)
    }

    /// The same without a look at the connection and at how often.
    pub(super) fn can_be_sent_again(&self, key: u32, input: &Input<'_>) -> bool {
        let Some(active) = self.slots[key as usize].active.as_deref() else {
            return false;
        };
        let Some(client) = active.client.as_deref() else {
            return false;
        };
        !client.has_heard()
            && !active.partial
            && active.input.is_empty()
            && input.is_empty()
            && active.failure.is_none()
            && !active.output.is_lost()
            && (!client.sent_any || (client.is_idempotent() && active.output.is_kept()))
    }

    /// Makes a request again, on a connection of its own.
    pub(super) fn repeat(&mut self, key: u32) {
        log::debug!(
            target: "onloop::client",
            "request {key}: made again, the kept-alive connection was closed before it was answered"
        );
        self.agents.repeated += 1;
        self.note_sent(key);
        self.disconnect(key);
        self.client(key).repeated = true;
        // Its name may have to be looked up again, which must not take for ever either.
        let now = self.now;
        self.active(key).started = now;
        self.arm_connecting(key);
    }

    /// Remembers how much of a request was sent before it is sent anew.
    pub(super) fn note_sent(&mut self, key: u32) {
        let sent = self.sent(key);
        self.client(key).sent_before = Some(sent);
    }

    /// Takes the connection from a request, which is to be sent anew from its first byte on.
    pub(super) fn disconnect(&mut self, key: u32) {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        let source = slot.source.take();
        match slot.flags.has(Flags::ADOPTED) {
            true => net.release(source),
            false => net.close(source),
        }
        slot.deadline = 0;
        slot.flags.unset(
            Flags::READABLE
                .and(Flags::WRITE_BLOCKED)
                .and(Flags::HANGUP)
                .and(Flags::BROKEN)
                .and(Flags::END_OF_INPUT)
                .and(Flags::WRITE_DEAD)
                .and(Flags::REUSED)
                .and(Flags::EXPIRED)
                .and(Flags::ADOPTED),
        );
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        active.output.rewind();
        active.stage = Stage::Unconnected;
        if let Some(client) = active.client.as_deref_mut() {
            client.sent_any = false;
            client.announced = false;
            client.tunnel = None;
            client.addresses.clear();
            client.connect_error = None;
            client.attempt_until = None;
        }
        self.io_failure = None;
        self.retry_blocked_listeners();
    }
}
