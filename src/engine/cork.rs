//! `cork`: what a message writes is held together until `uncork`, and leaves as one piece.

use crate::content::Chunk;
use crate::engine::Core;
use crate::engine::output::{Output, Trash};
use crate::engine::slot::{Active, ExchangeId};
use crate::h1::{Delimiter, Frame, push_chunk_size};

/// What a corked message holds back.
#[derive(Debug, Default)]
pub(crate) struct Corked {
    /// How often `cork` was called more than `uncork`.
    count: u32,
    /// The head, where it was rendered meanwhile.
    pub(super) head: Vec<u8>,
    /// Content without its framing: it becomes one chunk.
    content: Output,
}

impl Corked {
    /// Bytes that are held.
    fn len(&self) -> usize {
        self.head.len() + self.content.len()
    }

    /// Takes content that `frame` says how to send.
    pub(super) fn push(&mut self, frame: Frame, chunk: Chunk<'_>, trash: &mut Trash) {
        match frame {
            Frame::Drop => trash.discard(chunk),
            Frame::Plain | Frame::Chunk => self.content.push(chunk, trash),
        }
    }

    /// Forgets everything: the owner of shared content is dropped later, outside of the borrow.
    pub(super) fn discard(mut self, trash: &mut Trash) {
        self.content.clear(trash);
    }
}

impl Active {
    /// Bytes of messages that the system has not taken, those that are corked included.
    #[inline]
    pub(crate) fn unsent_bytes(&self) -> usize {
        let corked = self.corked.as_deref().map_or(0, Corked::len);
        self.output.len() + corked
    }

    /// The head is rendered and may be on its way: nothing else can be said instead.
    pub(crate) fn head_has_left(&self) -> bool {
        let is_held = self.corked.as_deref().is_some_and(|corked| !corked.head.is_empty());
        self.outgoing.head_is_sent() && !is_held
    }

    /// What was held back joins the output.
    #[inline]
    pub(super) fn release_cork(&mut self) {
        if let Some(corked) = self.corked.take() {
            self.release(*corked);
        }
    }

    #[cold]
    fn release(&mut self, corked: Corked) {
        if !corked.head.is_empty() {
            self.message_start = self.output.end();
        }
        self.output.tail().bytes.extend_from_slice(&corked.head);
        let length = corked.content.len();
        if length > 0 {
            let is_chunked = self.outgoing.delimiter() == Delimiter::Chunked;
            if is_chunked {
                push_chunk_size(self.output.tail().bytes, length);
            }
            self.output.append(corked.content);
            if is_chunked {
                self.output.tail().bytes.extend_from_slice(b"\r\n");
            }
        }
        self.place_held_written();
    }
}

impl Core {
    /// `cork`.
    pub(crate) fn cork(&mut self, id: ExchangeId) {
        if !self.is_writable(id) {
            return;
        }
        let active = self.active(id.key);
        active.outgoing.mark_special();
        let corked = active.corked.get_or_insert_default();
        corked.count = corked.count.saturating_add(1);
    }

    /// `uncork`: the one that balances the first `cork` lets go.
    pub(crate) fn uncork(&mut self, id: ExchangeId) {
        let Some(active) = self.exchange(id) else {
            return;
        };
        let Some(corked) = active.corked.as_deref_mut() else {
            return;
        };
        corked.count -= 1;
        if corked.count == 0 {
            active.release_cork();
            self.mark_dirty(id.key);
        }
    }

    /// How often `uncork` must be called for what was written to be sent.
    pub(crate) fn corked_count(&mut self, id: ExchangeId) -> u32 {
        let corked = self.exchange(id).and_then(|active| active.corked.as_deref());
        corked.map_or(0, |corked| corked.count)
    }

    /// A corked message ends without being sent.
    #[inline]
    pub(super) fn discard_corked(&mut self, key: u32) {
        if let Some(corked) = self.active(key).corked.take() {
            corked.discard(&mut self.trash);
        }
    }
}
