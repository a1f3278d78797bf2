//! What can be asked about an exchange beyond its end: inside of its last calls, where handlers want to know
//! how it went, it is gone from the engine already.

use crate::engine::Core;
use crate::engine::slot::{Active, ExchangeId};

/// How far an exchange has come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Over {
    pub(crate) id: ExchangeId,
    /// The outgoing message was ended.
    pub(crate) ended: bool,
    /// The system has taken all of it.
    pub(crate) finished: bool,
    /// The incoming message was received as a whole.
    pub(crate) complete: bool,
    /// Of a client's exchange: its connection served another one before, and may serve another one.
    pub(crate) is_reused: bool,
    pub(crate) is_persistent: bool,
    /// The place in the output up to which the system has taken everything.
    pub(crate) taken: u64,
    /// Of a byte stream: bytes in each direction since it began.
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
}

impl Active {
    /// How far the exchange of this state has come.
    #[inline]
    pub(crate) fn progress_of(&self, id: ExchangeId) -> Over {
        let unsent = self.unsent_bytes() as u64;
        let taken = self.output.taken();
        Over {
            id,
            ended: self.outgoing.is_ended(),
            finished: self.is_request_sent(),
            // Of content that is not worth reading the rest is given up.
            complete: self.incoming.complete && self.incoming.decoder.is_done(),
            is_reused: false,
            is_persistent: false,
            taken,
            bytes_read: self.incoming.received_bytes,
            bytes_written: taken.saturating_add(unsent).saturating_sub(self.stream_start),
        }
    }
}

impl Core {
    /// How far an exchange has come that is going on, or whose last calls are being made.
    pub(crate) fn progress_of(&mut self, id: ExchangeId) -> Option<Over> {
        match self.exchange(id) {
            Some(active) => Some(active.progress_of(id)),
            None => self.over.filter(|over| over.id == id),
        }
    }

    /// Nothing can be done any more: the exchange is over, or bound to end.
    pub(crate) fn is_destroyed(&mut self, id: ExchangeId) -> bool {
        self.exchange(id).is_none_or(|active| active.failure.is_some())
    }
}
