//! `pipe`: the content of one message becomes the content of another without passing through user code.
//! Data, backpressure, the end, trailers and failures go along.

use crate::content::Chunk;
use crate::engine::Core;
use crate::engine::refusal::Refusal;
use crate::engine::slot::{ExchangeId, Flags};
use crate::error::{Error, ErrorKind};

impl Core {
    /// Starts piping. False when one of the two is over already. The two may be of one exchange: a request
    /// into its response, a socket into itself. What was piped from or to elsewhere is so no longer.
    pub(crate) fn pipe(&mut self, source: ExchangeId, target: ExchangeId) -> bool {
        if self.exchange(target).is_none() {
            return false;
        }
        let Some(active) = self.exchange(source) else {
            return false;
        };
        let incoming = &active.incoming;
        let is_whole = incoming.complete && incoming.decoder.is_done();
        if is_whole && incoming.ended && incoming.discarded_bytes == 0 {
            // Its end was told before: there is nothing but that.
            self.pipe_end(source.key, target);
            return true;
        }
        if incoming.discarding || (incoming.complete && incoming.ended) {
            // Content was dropped, or is about to be.
            self.break_pipe(target);
            return false;
        }
        let former_target = active.incoming.pipe_to.replace(target);
        active.incoming.paused = false;
        active.incoming.paused_by_user = false;
        let callbacks = active.callbacks.as_deref_mut();
        if let Some(collect) = callbacks.and_then(|callbacks| callbacks.collect.as_deref_mut()) {
            collect.goes_elsewhere = true;
        }
        self.mark_dirty(source.key);
        if let Some(former) = former_target.and_then(|former| self.exchange(former)) {
            former.piped_from = None;
        }
        let former_source =
            self.exchange(target).and_then(|active| active.piped_from.replace(source));
        if let Some(former) = former_source.filter(|former| *former != source) {
            self.pipe_target_gone(former);
        }
        true
    }

    /// Hands content on; stops reading while the other side has enough.
    pub(crate) fn pipe_content(&mut self, key: u32, target: ExchangeId, content: &[u8]) {
        match self.write_content(target, Chunk::Borrowed(content), true) {
            Ok(true) => return,
            Ok(false) => {}
            Err(refusal) => self.pipe_refused(target, refusal),
        }
        let is_open = self.is_writable(target);
        let incoming = &mut self.active(key).incoming;
        if is_open {
            incoming.paused = true;
        } else {
            // The other side is over: what still comes has nowhere to go.
            incoming.pipe_to = None;
            incoming.discarding = true;
        }
    }

    /// The content came to its end.
    #[inline]
    pub(crate) fn pipe_end(&mut self, key: u32, target: ExchangeId) {
        if self.active(key).incoming.trailers.is_some() {
            self.pipe_trailers(key, target);
        }
        if let Err(refusal) = self.try_end(target, Chunk::Borrowed(b"")) {
            self.pipe_refused(target, refusal);
        }
    }

    #[cold]
    fn pipe_trailers(&mut self, key: u32, target: ExchangeId) {
        let Some(trailers) = self.active(key).incoming.trailers.take() else {
            return;
        };
        if let Some(active) = self.exchange(target) {
            for (name, value) in trailers.fields() {
                // They were valid when they came in.
                let _ = active.outgoing.trailers().append(name.as_bytes(), value);
            }
        }
        self.active(key).incoming.trailers = Some(trailers);
    }

    /// Piped content does not fit. Nobody is there to be told, and it cannot be had again: the message cannot
    /// become whole.
    #[cold]
    fn pipe_refused(&mut self, target: ExchangeId, refusal: Refusal) {
        if !matches!(refusal, Refusal::Ended | Refusal::EndedTwice | Refusal::Destroyed) {
            self.fail_exchange(target, refusal.into());
            // It may be the very exchange that is being driven, which has looked for failures already.
            self.mark_dirty_later(target.key);
        }
    }

    /// The output of `key` has room again: whoever is piped into it may go on.
    pub(crate) fn resume_piped(&mut self, source: ExchangeId) {
        let Some(active) = self.exchange(source) else {
            return;
        };
        if active.incoming.pipe_to.is_some() && !active.incoming.paused_by_user {
            active.incoming.paused = false;
            // The source may be the very connection that is being driven, and its turn at reading is over.
            self.mark_dirty_later(source.key);
        }
    }

    /// The incoming message of an exchange was cut off: the one it is piped into must not look complete.
    pub(crate) fn break_pipe(&mut self, target: ExchangeId) {
        let Some(active) = self.exchange(target) else {
            return;
        };
        if !active.outgoing.is_ended() {
            let message = "the message that was piped in was cut off";
            // Where no byte of a response was sent yet, its client gets to know whose fault it was.
            let error = Error::new(ErrorKind::Peer, "ERR_STREAM_PREMATURE_CLOSE", message);
            active.failure = Some(error.with_status(502));
            self.mark_dirty(target.key);
        }
    }

    /// The outgoing message that something is piped into is over.
    pub(crate) fn pipe_target_gone(&mut self, source: ExchangeId) {
        let Some(active) = self.exchange(source) else {
            return;
        };
        if active.incoming.pipe_to.take().is_some() {
            active.incoming.discarding = true;
            self.mark_dirty(source.key);
        }
    }

    /// Content can still be written to this exchange.
    pub(crate) fn is_writable(&mut self, id: ExchangeId) -> bool {
        self.exchange(id)
            .is_some_and(|active| !active.outgoing.is_ended() && active.failure.is_none())
            && !self.slots[id.key as usize].flags.has(Flags::WRITE_DEAD)
    }
}
