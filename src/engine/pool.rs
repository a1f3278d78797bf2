//! Free lists: what exchanges use while they run and give back when they are over. All are capped, and
//! nothing large is kept.

use crate::engine::callbacks::Callbacks;
use crate::engine::client_side::ClientState;
use crate::engine::slot::{Active, Inactivity};
use crate::h1::{FieldList, Head};

/// Most items one list keeps: enough for the exchanges that overlap in practice, and a burst of 10,000
/// does not stay for ever.
const KEPT_MAX: usize = 256;

/// A buffer larger than this is not kept.
pub(crate) const KEPT_BYTES_MAX: usize = 16 * 1024;

/// The free lists of one loop.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "what is kept is the boxes: they move in and out of slots as they are"
)]
pub(crate) struct Pool {
    actives: Vec<Box<Active>>,
    heads: Vec<Box<Head>>,
    callbacks: Vec<Box<Callbacks>>,
    clients: Vec<Box<ClientState>>,
    /// The list in which fields that come together are gathered.
    fields: FieldList,
}

impl Pool {
    #[inline]
    pub(crate) fn active(&mut self) -> Box<Active> {
        self.actives.pop().unwrap_or_default()
    }

    /// Takes back state whose callbacks and client part were taken out before.
    pub(crate) fn recycle_active(&mut self, mut active: Box<Active>) {
        debug_assert!(active.callbacks.is_none() && active.client.is_none());
        debug_assert!(active.output.is_empty() && !active.output.is_lost());
        debug_assert!(active.file.is_none());
        debug_assert!(active.failure.is_none() && active.piped_from.is_none());
        debug_assert!(active.incoming.pipe_to.is_none());
        debug_assert!(!active.need_drain && active.timeout_ticks == 0);
        debug_assert!(active.inactivity == Inactivity::None);
        debug_assert!(active.corked.is_none() && active.partial_bytes == 0);
        if self.actives.len() >= KEPT_MAX {
            return;
        }
        // What the next connection does not take is not this one's doing.
        active.write_pace = Default::default();
        if active.incoming.trailers.is_some() {
            active.incoming.trailers = None;
        }
        active.input.clear();
        active.input_from = 0;
        if active.input.capacity() > KEPT_BYTES_MAX {
            active.input = Vec::new();
        }
        active.output.shrink(KEPT_BYTES_MAX);
        if active.outgoing.fields.byte_capacity() > KEPT_BYTES_MAX {
            active.outgoing.fields = Default::default();
        }
        self.actives.push(active);
    }

    #[inline]
    pub(crate) fn head(&mut self) -> Box<Head> {
        self.heads.pop().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn recycle_head(&mut self, head: Box<Head>) {
        if self.heads.len() < KEPT_MAX && head.byte_capacity() <= KEPT_BYTES_MAX {
            self.heads.push(head);
        }
    }

    pub(crate) fn callbacks(&mut self) -> Box<Callbacks> {
        self.callbacks.pop().unwrap_or_default()
    }

    /// Takes back a box that holds no callbacks any more.
    pub(crate) fn recycle_callbacks(&mut self, callbacks: Box<Callbacks>) {
        if self.callbacks.len() < KEPT_MAX {
            self.callbacks.push(callbacks);
        }
    }

    /// What is kept is little, and blank: nothing of one exchange may be found by the next.
    #[cfg(feature = "sim")]
    pub(crate) fn check(&self) -> Result<(), String> {
        let most = [self.actives.len(), self.heads.len(), self.callbacks.len(), self.clients.len()];
        if most.iter().any(|kept| *kept > KEPT_MAX) {
            return Err(format!("the pools keep too much: {most:?}"));
        }
        let is_blank = |active: &Active| {
            active.callbacks.is_none()
                && active.client.is_none()
                && active.output.is_blank()
                && active.input.is_empty()
                && active.input_from == 0
                && active.input.capacity() <= KEPT_BYTES_MAX
                && active.file.is_none()
                && active.failure.is_none()
                && active.piped_from.is_none()
                && active.incoming.pipe_to.is_none()
                && !active.incoming.has_trailers()
                && active.corked.is_none()
                && active.partial_bytes == 0
                && !active.need_drain
                && active.timeout_ticks == 0
                && active.inactivity == Inactivity::None
                && active.outgoing.fields.byte_capacity() <= KEPT_BYTES_MAX
        };
        if let Some(active) = self.actives.iter().find(|active| !is_blank(active)) {
            return Err(format!("a state in the pool is not blank: {active:?}"));
        }
        if self.heads.iter().any(|head| head.byte_capacity() > KEPT_BYTES_MAX) {
            return Err("a head in the pool is large".into());
        }
        if !self.callbacks.iter().all(|callbacks| callbacks.is_blank()) {
            return Err("callbacks in the pool are registered".into());
        }
        let is_blank = |client: &ClientState| {
            client.endpoint.is_none()
                && client.addresses.is_empty()
                && client.attempts.is_empty()
                && client.journey.is_none()
                && client.tunnel.is_none()
                && client.connect_error.is_none()
                && !(client.queued || client.looking_up || client.answered || client.sent_any)
        };
        match self.clients.iter().all(|client| is_blank(client)) {
            true => Ok(()),
            false => Err("the state of a client's request in the pool is not blank".into()),
        }
    }

    /// An empty list, which the caller gives back.
    pub(crate) fn fields(&mut self) -> FieldList {
        std::mem::take(&mut self.fields)
    }

    pub(crate) fn recycle_fields(&mut self, mut fields: FieldList) {
        if fields.byte_capacity() <= KEPT_BYTES_MAX {
            fields.clear();
            self.fields = fields;
        }
    }

    pub(crate) fn client(&mut self) -> Box<ClientState> {
        self.clients.pop().unwrap_or_default()
    }

    pub(crate) fn recycle_client(&mut self, mut client: Box<ClientState>) {
        if self.clients.len() < KEPT_MAX {
            client.clear();
            self.clients.push(client);
        }
    }
}
