//! Requests that want more than an answer: an expectation, another protocol, a tunnel.

use crate::engine::event::{Event, Input};
use crate::engine::incoming::Read;
use crate::engine::server::RequestListener;
use crate::engine::server_side::Step;
use crate::engine::slot::Active;
use crate::engine::{Core, ExchangeId};
use crate::h1::{Expect, Framing, Head, HeadProgress, parse_request};

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
        let callbacks = &self.servers[server_key as usize].callbacks;
        if meaning.connect {
            if callbacks.connect.is_set() {
                return Step::Event(self.become_stream(id, head, true, input));
            }
            // RFC 9110 §9.3.6: a 2xx would turn the connection into a tunnel, which nobody here asked for.
            self.active(key).outgoing.forbid_persistence();
            return self.server_answer(key, head, 405, "Allow: \r\n");
        }
        let is_asked = callbacks.upgrade.is_set() || callbacks.should_upgrade.is_set();
        if meaning.upgrade && is_asked && self.active(key).incoming.complete {
            return Step::Event(self.server_upgrade(key, input, head, id));
        }
        Step::Event(self.request_of_expectation(id, head))
    }

    /// A request that keeps to HTTP, with an expectation or without.
    fn request_of_expectation(&mut self, id: ExchangeId, head: Box<Head>) -> Event {
        let server = u32::from(self.slots[id.key as usize].owner);
        let callbacks = &self.servers[server as usize].callbacks;
        let which = match head.meaning().expect {
            Expect::Continue if callbacks.check_continue.is_set() => RequestListener::CheckContinue,
            Expect::Unknown => {
                let listens = callbacks.check_expectation.is_set();
                let active = self.active(id.key);
                if !active.incoming.complete {
                    // The client may take the answer for a no and not send its content; then its next
                    // request would be taken for it.
                    active.outgoing.forbid_persistence();
                }
                if !listens {
                    let is_whole = active.incoming.complete;
                    self.server_answer(id.key, head, 417, "");
                    if !is_whole {
                        // Nor is the content awaited: the connection ends with this answer.
                        self.server_stop_discarding(id.key);
                    }
                    return Event::Continue;
                }
                RequestListener::CheckExpectation
            }
            _ => RequestListener::Request,
        };
        self.request_event(id, head, which)
    }

    /// `on_request` or another that is called with a request; 404 where nobody listens.
    fn request_event(&mut self, id: ExchangeId, head: Box<Head>, which: RequestListener) -> Event {
        let server = u32::from(self.slots[id.key as usize].owner);
        match self.servers[server as usize].callbacks.request_listener(which).take() {
            Some(handler) if which == RequestListener::Request => {
                Event::Request { handler, server, id, head }
            }
            Some(handler) => Event::Expectation { handler, which, server, id, head },
            None => {
                self.server_answer(id.key, head, 404, "");
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
        match self.servers[server as usize].callbacks.should_upgrade.take() {
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
        self.request_of_expectation(id, head)
    }

    /// Hands the connection over to `on_upgrade` or `on_connect`.
    pub(super) fn become_stream(
        &mut self,
        id: ExchangeId,
        mut head: Box<Head>,
        is_connect: bool,
        input: &mut Input<'_>,
    ) -> Event {
        let server = u32::from(self.slots[id.key as usize].owner);
        let Some(entry) = self.servers.get_mut(server as usize) else {
            return Event::Continue;
        };
        let Some(handler) = entry.callbacks.stream_listener(is_connect).take() else {
            // `should_upgrade` has said yes, and there is nobody to take the connection.
            log::error!(target: "onloop::server", "an upgrade was accepted without `on_upgrade`: closed");
            self.pool.recycle_head(head);
            return match self.cut_off(id.key, None) {
                // The drive is over when it is asked for more, and not before.
                Event::Done => Event::Continue,
                event => event,
            };
        };
        log::debug!(target: "onloop::server", "connection {}: a byte stream from now on", id.key);
        head.hand_over();
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

    /// The connection has had its last request. One that came behind it all the same is told to
    /// `on_drop_request`, and not served: the response before it has said `Connection: close`.
    pub(super) fn dropped_request(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        let slot = &self.slots[key as usize];
        let server_key = u32::from(slot.owner);
        let server = self.servers.get(server_key as usize)?;
        let last = server.limits.max_requests_per_socket?;
        // Where the content of that last request was not read to its end, what follows is content.
        let is_read = |active: &Active| active.incoming.decoder.is_done();
        if slot.sequence < last
            || server.callbacks.drop_request.is_empty()
            || !slot.active.as_deref().is_some_and(is_read)
        {
            return None;
        }
        let limits = server.head_limits;
        self.release_partial_head(key);
        // What is dropped does not show that the client reads what waits for it.
        let activity = self.activity;
        let filled = if input.is_empty() { self.fill(key, input) } else { Read::Some };
        self.activity = activity;
        if filled != Read::Some {
            return None;
        }
        let mut head = self.pool.head();
        let parsed = parse_request(input.bytes(), &limits, &mut HeadProgress::default(), &mut head);
        let Ok(Some(consumed)) = parsed else {
            self.pool.recycle_head(head);
            return None;
        };
        input.consume(consumed);
        if head.meaning().framing != Framing::None {
            // What follows is its content: where the next request begins is not found out.
            let rest = input.to - input.from;
            input.consume(rest);
        }
        let handler = self.servers[server_key as usize].callbacks.drop_request.take()?;
        // The name of no exchange.
        let id = self.id(key);
        Some(Event::DropRequest { handler, server: server_key, id, head })
    }
}
