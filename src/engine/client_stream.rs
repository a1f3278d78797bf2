//! Where a client's request ends and a byte stream begins: 101, and 2xx to CONNECT.

use crate::engine::Core;
use crate::engine::agent::NO_ORIGIN;
use crate::engine::callbacks::{Finale, UpgradeFn};
use crate::engine::event::{Event, Input};
use crate::engine::slot::{ExchangeId, Kind};
use crate::error::{Error, ErrorKind};
use crate::h1::{Head, is_switch};

impl Core {
    /// 101: the connection is the user's, or an error where nobody asked for it.
    pub(super) fn client_upgraded(
        &mut self,
        key: u32,
        head: Box<Head>,
        input: &mut Input<'_>,
    ) -> Event {
        if !head.meaning().upgrade {
            // RFC 9110 §15.2.2: the server must say to what; §7.8: and that the field is for its neighbor.
            let message = match head.find("upgrade") {
                None => "the server switched protocols and does not say to which",
                Some(_) => "the server switched protocols without `Connection: upgrade`",
            };
            return self.refuse_switch(key, head, message);
        }
        let active = self.active(key);
        if !is_switch(&head, &active.outgoing.fields) {
            let message = "the server switched to a protocol that it was not asked for";
            return self.refuse_switch(key, head, message);
        }
        if !active.outgoing.is_whole() {
            // RFC 9110 §7.8: no other protocol in the middle of a message. What is missing of it would be read as that.
            let message = "the server switched protocols before the request was complete";
            return self.refuse_switch(key, head, message);
        }
        let callbacks = active.callbacks.as_deref_mut();
        let Some(callback) = callbacks.and_then(|callbacks| callbacks.more()?.upgrade.take())
        else {
            let message = "the server switched protocols and on_upgrade is not set";
            return self.refuse_switch(key, head, message);
        };
        log::debug!(target: "onloop::client", "request {key}: upgraded");
        self.give_stream(key, callback, head, input)
    }

    #[cold]
    fn refuse_switch(&mut self, key: u32, head: Box<Head>, message: &str) -> Event {
        self.pool.recycle_head(head);
        let error = Error::new(ErrorKind::Peer, "HPE_INVALID_STATUS", message);
        self.drop_connection(key, Some(error))
    }

    /// 2xx to CONNECT: the same.
    pub(super) fn client_tunneled(
        &mut self,
        key: u32,
        head: Box<Head>,
        input: &mut Input<'_>,
    ) -> Event {
        let callbacks = self.active(key).callbacks.as_deref_mut();
        let Some(callback) = callbacks.and_then(|callbacks| callbacks.more()?.connect.take())
        else {
            self.pool.recycle_head(head);
            let error = self.hang_up(key, "a tunnel was made and on_connect is not set");
            return self.drop_connection(key, Some(error));
        };
        log::debug!(target: "onloop::client", "request {key}: connected through");
        self.give_stream(key, callback, head, input)
    }

    /// The connection is the user's from now on, as a stream.
    fn give_stream(
        &mut self,
        key: u32,
        callback: UpgradeFn,
        mut head: Box<Head>,
        input: &mut Input<'_>,
    ) -> Event {
        let request = self.id(key);
        self.keep_no_more(key);
        self.close_before_stream(key);
        if let Some(client) = self.active(key).client.take() {
            self.client_over(client);
        }
        self.leave_origin(key);
        head.hand_over();
        let rest = input.from..input.to;
        self.become_raw(key, rest.len());
        input.consume(rest.len());
        Event::ClientUpgrade { callback, request, id: self.id(key), head, rest }
    }

    /// The byte stream that a request has become, which its handle still destroys, as it does in Node.
    pub(super) fn stream_of(&self, request: ExchangeId) -> Option<ExchangeId> {
        let slot = self.slots.get(request.key as usize)?;
        let is_its = slot.kind == Kind::Raw
            && slot.owner == NO_ORIGIN
            && slot.generation == request.generation
            && slot.sequence == request.sequence.wrapping_add(1);
        is_its.then(|| self.id(request.key))
    }

    /// The request is over where a stream begins: what waits for its end must not wait for the stream's, and
    /// nothing of its own is called after that. Nor does its handle write into the stream.
    fn close_before_stream(&mut self, key: u32) {
        let id = self.id(key);
        let active = self.active(key);
        let over = active.progress_of(id);
        let source = active.piped_from.take();
        if let Some(callbacks) = active.callbacks.take() {
            self.finales.push_back(Finale::quiet(callbacks, over));
        }
        if let Some(source) = source {
            self.pipe_target_gone(source);
        }
        let slot = self.slot(key);
        slot.sequence = slot.sequence.wrapping_add(1);
    }
}
