//! Requests that want more than an answer: an expectation, another protocol, a tunnel.

use crate::engine::event::{Event, Input};
use crate::engine::server_side::Step;
use crate::engine::{Core, ExchangeId};
use crate::h1::{Expect, Head};

impl Core {
    /// Requests that want more than an answer.
    #[cold]
    pub(super) fn server_dispatch_unusual(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        head: Box<Head>,
        id: ExchangeId,
    ) -> Step {
        let server_key = u32::from(self.slots[key as usize].owner);
        let meaning = *head.meaning();
        if meaning.expect == Expect::Unknown {
            let active = self.active(key);
            if !active.incoming.complete {
                // The client may take this for a no and not send its content; then its next request would be
                // taken for it.
                active.outgoing.forbid_persistence();
            }
            return self.server_answer(key, head, 417, "");
        }
        if meaning.connect {
            if self.servers[server_key as usize].on_connect.is_set() {
                return Step::Event(self.become_stream(id, head, true, input));
            }
            // RFC 9110 §9.3.6: a 2xx would turn the connection into a tunnel, which nobody here asked for.
            self.active(key).outgoing.forbid_persistence();
            return self.server_answer(key, head, 405, "Allow: \r\n");
        }
        let is_set = self.servers[server_key as usize].on_upgrade.is_set();
        if meaning.upgrade && is_set && self.active(key).incoming.complete {
            return Step::Event(self.server_upgrade(key, input, head, id));
        }
        Step::Event(self.request_event(key, server_key, id, head))
    }

    /// `on_request`, or 404 where nobody listens.
    pub(super) fn request_event(
        &mut self,
        key: u32,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
    ) -> Event {
        match self.servers[server as usize].on_request.take() {
            Some(handler) => Event::Request { handler, server, id, head },
            None => {
                self.server_answer(key, head, 404, "");
                Event::Continue
            }
        }
    }

    /// Asks `should_upgrade` where it is set, else upgrades.
    pub(super) fn server_upgrade(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        head: Box<Head>,
        id: ExchangeId,
    ) -> Event {
        let server = u32::from(self.slots[key as usize].owner);
        match self.servers[server as usize].should_upgrade.take() {
            Some(handler) => Event::ShouldUpgrade { handler, server, id, head },
            None => self.upgrade_decided(id, head, true, input),
        }
    }

    /// What follows from the answer of `should_upgrade`.
    pub(crate) fn upgrade_decided(
        &mut self,
        id: ExchangeId,
        head: Box<Head>,
        wanted: bool,
        input: &mut Input<'_>,
    ) -> Event {
        if self.exchange(id).is_none() {
            self.pool.recycle_head(head);
            return Event::Continue;
        }
        if wanted {
            return self.become_stream(id, head, false, input);
        }
        let server = u32::from(self.slots[id.key as usize].owner);
        self.request_event(id.key, server, id, head)
    }

    /// Hands the connection over to `on_upgrade` or `on_connect`.
    pub(super) fn become_stream(
        &mut self,
        id: ExchangeId,
        head: Box<Head>,
        is_connect: bool,
        input: &mut Input<'_>,
    ) -> Event {
        let server = u32::from(self.slots[id.key as usize].owner);
        let Some(entry) = self.servers.get_mut(server as usize) else {
            return Event::Continue;
        };
        let Some(handler) = entry.stream_listener(is_connect).take() else {
            return self.request_event(id.key, server, id, head);
        };
        log::debug!(target: "onloop::server", "connection {}: a byte stream from now on", id.key);
        let rest = input.from..input.to;
        self.become_raw(id.key, rest.len());
        input.consume(rest.len());
        Event::ServerUpgrade { handler, is_connect, server, id, head, rest }
    }

    /// Answers without asking anybody.
    pub(super) fn server_answer(
        &mut self,
        key: u32,
        head: Box<Head>,
        status: u16,
        fields: &str,
    ) -> Step {
        self.pool.recycle_head(head);
        let active = self.active(key);
        active.outgoing.set_status(status);
        if let Some((name, value)) = fields.trim_end().split_once(':') {
            // A constant of ours: it is valid.
            let _ = active.outgoing.fields.set(name.as_bytes(), value.trim().as_bytes());
        }
        let id = self.id(key);
        self.end(id, "".into());
        Step::Again
    }
}
