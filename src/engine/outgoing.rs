//! Sending: what the handles' `write` and `end` do, and the one place that writes to sockets.

use std::io::{self, IoSlice};

use crate::content::Chunk;
use crate::engine::output::PIECE_BYTES_MIN;
use crate::engine::refusal::Refusal;
use crate::engine::slot::{Active, ExchangeId, Flags, Kind, Slot, Stage};
use crate::engine::{Core, ServerEntry};
use crate::h1::{
    Automatic, Delimiter, Frame, LengthMismatch, Outgoing, Plan, StartLine, push_chunk_size,
};

impl Core {
    /// `high_water_mark` and `max_buffered` of a connection: those of its server, also when it has become a byte
    /// stream; on the side of the client those of the loop.
    pub(crate) fn marks(&self, slot_kind: Kind, owner: u16) -> (usize, usize) {
        let server = match slot_kind {
            Kind::Server | Kind::Raw => self.servers.get(owner as usize),
            _ => None,
        };
        match server {
            Some(server) => (server.limits.high_water_mark, server.limits.max_buffered),
            None => (self.options.limits.mark(), self.options.limits.max_buffered),
        }
    }

    /// From how many unsent bytes on `write` returns false.
    pub(crate) fn high_water_mark(&mut self, id: ExchangeId) -> usize {
        match self.exchange(id) {
            Some(_) => {
                let slot = &self.slots[id.key as usize];
                self.marks(slot.kind, slot.owner).0
            }
            None => 0,
        }
    }

    /// `write`: adds content to a message; false when the high-water mark is reached or nothing was taken.
    pub(crate) fn write(&mut self, id: ExchangeId, chunk: Chunk<'_>) -> bool {
        self.write_content(id, chunk, false).unwrap_or_else(|refusal| {
            refusal.log("a write");
            false
        })
    }

    /// `try_write`, and the work of `write`. `through` has large content go to the system at once, where it
    /// would only be copied to be written when the drive is over.
    pub(crate) fn write_content(
        &mut self,
        id: ExchangeId,
        chunk: Chunk<'_>,
        through: bool,
    ) -> Result<bool, Refusal> {
        if let Some(refusal) = self.refusal(id, chunk.len(), false) {
            self.trash.discard(chunk);
            return Err(refusal);
        }
        let slot = &self.slots[id.key as usize];
        let (high_water_mark, buffered_max) = self.marks(slot.kind, slot.owner);
        let active = self.active(id.key);
        if active.unsent_bytes() > buffered_max {
            return Err(self.refuse_more(id.key, chunk));
        }
        if !active.outgoing.head_is_sent() {
            self.send_head(id.key, Plan::Pieces);
        }
        if !(through && self.write_through(id.key, chunk.as_slice())) {
            self.push_content(id.key, chunk);
        }
        self.mark_dirty(id.key);
        let active = self.active(id.key);
        let wants_more = active.unsent_bytes() < high_water_mark;
        active.need_drain |= !wants_more;
        Ok(wants_more)
    }

    /// More waits than `max_buffered` allows: the exchange ends.
    #[cold]
    fn refuse_more(&mut self, key: u32, chunk: Chunk<'_>) -> Refusal {
        self.active(key).failure = Some(Refusal::Buffered.into());
        self.trash.discard(chunk);
        self.mark_dirty(key);
        Refusal::Buffered
    }

    /// `end`: ends a message, with its last or only content.
    #[inline]
    pub(crate) fn end(&mut self, id: ExchangeId, chunk: Chunk<'_>) {
        if let Some(chunk) = self.respond_whole(id, chunk) {
            if let Err(refusal) = self.end_unusual(id, chunk) {
                refusal.log("an end");
            }
        }
    }

    /// `try_end`: the same, and says why not.
    pub(crate) fn try_end(&mut self, id: ExchangeId, chunk: Chunk<'_>) -> Result<(), Refusal> {
        match self.respond_whole(id, chunk) {
            None => Ok(()),
            Some(chunk) => self.end_unusual(id, chunk),
        }
    }

    fn end_unusual(&mut self, id: ExchangeId, chunk: Chunk<'_>) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(id, chunk.len(), true) {
            self.trash.discard(chunk);
            return Err(refusal);
        }
        let key = id.key;
        if !self.active(key).outgoing.head_is_sent() {
            self.send_head(key, Plan::Whole(chunk.len() as u64));
        }
        if !chunk.is_empty() {
            self.push_content(key, chunk);
        }
        let active = self.active(key);
        active.release_cork();
        let tail = active.output.tail();
        let finished = active.outgoing.finish(tail.bytes);
        drop(tail);
        if finished == Err(LengthMismatch::TooLittle) {
            log::error!(
                target: "onloop::http",
                "a message ended before its Content-Length: the connection is closed so that the peer \
                 sees the truncation"
            );
        }
        self.mark_dirty(key);
        Ok(())
    }

    /// The plain response: head and small content in one go. Otherwise gives the content back.
    #[inline]
    fn respond_whole<'a>(&mut self, id: ExchangeId, chunk: Chunk<'a>) -> Option<Chunk<'a>> {
        let Core { slots, servers, date, .. } = self;
        let Some(slot) = slots.get_mut(id.key as usize) else {
            return Some(chunk);
        };
        let Some(active) = slot.active.as_deref_mut() else {
            return Some(chunk);
        };
        if slot.generation != id.generation
            || slot.sequence != id.sequence
            || slot.kind != Kind::Server
            || slot.flags.has(Flags::DESTROYED)
            || active.stage != Stage::Exchange
            || active.outgoing.head_is_sealed()
            || active.incoming.continue_owed
            || active.failure.is_some()
        {
            return Some(chunk);
        }
        let content = chunk.as_slice();
        if content.len() >= PIECE_BYTES_MIN {
            return Some(chunk);
        }
        let (Some(out), Some(server)) =
            (active.output.buffer_mut(), servers.get_mut(slot.owner as usize))
        else {
            return Some(chunk);
        };
        let automatic = ServerEntry::automatic(server, date);
        if !active.outgoing.respond_whole(&automatic, content, out) {
            return Some(chunk);
        }
        self.trash.discard(chunk);
        self.mark_dirty(id.key);
        None
    }

    /// Frames content and appends it to the output.
    #[inline(always)]
    pub(super) fn push_content(&mut self, key: u32, chunk: Chunk<'_>) {
        let Core { slots, trash, .. } = self;
        let Some(active) = slots[key as usize].active.as_deref_mut() else {
            return;
        };
        let length = chunk.len();
        let frame = match active.outgoing.frame(length as u64) {
            Ok(frame) => frame,
            Err(_) => {
                log_excess();
                Frame::Drop
            }
        };
        if let Some(corked) = active.corked.as_deref_mut() {
            corked.push(frame, chunk, trash);
            return;
        }
        match frame {
            Frame::Plain => active.output.push(chunk, trash),
            Frame::Chunk if length > 0 => active.output.push_chunk(chunk, trash),
            Frame::Chunk | Frame::Drop => trash.discard(chunk),
        }
    }

    /// Writes content behind what waits, without copying what the system takes. False where it is not worth
    /// it or not possible; nothing is done then.
    #[inline(always)]
    pub(super) fn write_through(&mut self, key: u32, content: &[u8]) -> bool {
        let Core { slots, net, trash, activity, .. } = self;
        let Slot { source, flags, active: Some(active), kind, .. } = &mut slots[key as usize]
        else {
            return false;
        };
        if content.len() < PIECE_BYTES_MIN
            || flags.has(WRITES_STOPPED)
            || active.stage == Stage::Unconnected
            || active.output.single().is_none()
            || active.output.is_kept()
            || active.corked.is_some()
            || active.client.as_deref().is_some_and(|client| !client.announced)
        {
            return false;
        }
        let end: &[u8] = match active.outgoing.frame(content.len() as u64) {
            Ok(Frame::Plain) => b"",
            Ok(Frame::Chunk) => {
                push_chunk_size(active.output.tail().bytes, content.len());
                b"\r\n"
            }
            Ok(Frame::Drop) => return true,
            Err(_) => {
                log_excess();
                return true;
            }
        };
        let output = &mut active.output;
        let waiting = output.single().unwrap_or_default();
        let first = waiting.len();
        let asked = first + content.len() + end.len();
        let slices = [IoSlice::new(waiting), IoSlice::new(content), IoSlice::new(end)];
        let written = match net.write_vectored(source, &slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                log::debug!(target: "onloop::connection", "connection {key}: write: {error}");
                // What may be sent again goes another way.
                output.lose(trash);
                flags.set(broken_by_write(*kind));
                return true;
            }
        };
        *activity |= written > 0;
        if let Some(client) = active.client.as_deref_mut() {
            client.sent_any |= written > 0;
        }
        if written == 0 || (written < asked && net.short_read_drains()) {
            flags.set(Flags::WRITE_BLOCKED);
        }
        output.advance(written.min(first), trash);
        let written = written.saturating_sub(first);
        output.pass(written);
        output.push(Chunk::Borrowed(&content[written.min(content.len())..]), trash);
        let written = written.saturating_sub(content.len());
        output.tail().bytes.extend_from_slice(&end[written..]);
        true
    }

    /// Renders the head of the outgoing message.
    pub(crate) fn send_head(&mut self, key: u32, plan: Plan) {
        let Core { slots, servers, date, .. } = self;
        let slot = &mut slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        active.message_start = active.output.end();
        let tail;
        let out = match active.corked.as_deref_mut() {
            Some(corked) => &mut corked.head,
            None => {
                tail = active.output.tail();
                &mut *tail.bytes
            }
        };
        if slot.kind == Kind::Server {
            if active.incoming.continue_owed {
                // The client waits for a word on whether to send its content. This is the word; what it
                // sends all the same must not be taken for a request (RFC 9110 §10.1.1).
                active.outgoing.forbid_persistence();
            }
            let Some(server) = servers.get_mut(slot.owner as usize) else {
                return;
            };
            let automatic = ServerEntry::automatic(server, date);
            active.outgoing.send_head(StartLine::Status, &automatic, plan, out);
        } else if let Some(client) = active.client.as_deref_mut() {
            let automatic =
                Automatic { date: b"", keep_alive: b"", persistent_block: b"", closing: false };
            let before = out.len();
            let plan = match client.is_connect() {
                true => without_content(&mut active.outgoing),
                false => plan,
            };
            active.outgoing.send_head(client.start_line(), &automatic, plan, out);
            if let Some(journey) = client.journey.as_deref_mut() {
                journey.head = Some((plan, out.len() - before));
            }
        }
    }

    /// `flush_headers`: the head goes out now.
    pub(crate) fn flush_headers(&mut self, id: ExchangeId) {
        let Some(active) = self.exchange(id) else {
            return;
        };
        if !active.outgoing.head_is_sent() {
            self.send_head(id.key, Plan::Pieces);
            self.mark_dirty(id.key);
        }
    }

    /// What is left is for the next turn, most often since the drive has written its share. Where many have, all get
    /// less.
    #[cold]
    pub(super) fn share_is_used_up(&mut self, key: u32) {
        self.shares_used += usize::from(self.writes_left == 0);
        if self.shares_used >= SHARES {
            self.writes_share = self.writes_share.min(SHARE_BYTES_MIN);
        }
        self.mark_dirty_later(key);
    }

    /// Writes what waits until the system takes no more, for the last time: the connection ends.
    pub(crate) fn flush_at_last(&mut self, key: u32) {
        self.writes_left = usize::MAX;
        self.flush(key);
    }

    /// Writes what waits until the system takes no more, or the drive has written its share: the rest is for the next
    /// turn then.
    pub(crate) fn flush(&mut self, key: u32) {
        let Core { slots, net, trash, activity, writes_left, .. } = self;
        let slot = &mut slots[key as usize];
        let Slot { source, flags, active: Some(active), kind, .. } = slot else {
            return;
        };
        let output = &mut active.output;
        while !output.is_empty() && !flags.has(WRITES_STOPPED) {
            let (asked, result) = match output.single() {
                Some(bytes) if bytes.len() <= *writes_left => {
                    (bytes.len(), net.write(source, bytes))
                }
                // To a client that takes everything at once it would go on for as long as there is content.
                _ if *writes_left == 0 => return self.share_is_used_up(key),
                _ => output.with_slices(*writes_left, |slices| {
                    let asked = slices.iter().map(|slice| slice.len()).sum();
                    (asked, net.write_vectored(source, slices))
                }),
            };
            match result {
                Ok(written) => {
                    *activity = true;
                    *writes_left = writes_left.saturating_sub(written);
                    output.advance(written, trash);
                    if let Some(client) = active.client.as_deref_mut() {
                        client.sent_any |= written > 0;
                    }
                    if written < asked && net.short_read_drains() {
                        flags.set(Flags::WRITE_BLOCKED);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    flags.set(Flags::WRITE_BLOCKED);
                }
                Err(error) => {
                    log::debug!(target: "onloop::connection", "connection {key}: write: {error}");
                    let sent_any = active.client.as_deref().is_none_or(|client| client.sent_any);
                    if sent_any && !output.is_kept() {
                        output.lose(trash);
                    }
                    flags.set(broken_by_write(*kind));
                }
            }
        }
    }
}

/// So many connections may use up their `write_bytes_per_turn` in one turn, and then all have to do with less.
const SHARES: usize = 16;

/// As much as that.
const SHARE_BYTES_MIN: usize = 256 * 1024;

/// Writing is of no use now.
const WRITES_STOPPED: Flags = Flags::WRITE_BLOCKED.and(Flags::WRITE_DEAD).and(Flags::BROKEN);

/// What a failed write says of a connection. A client may still find the answer that the server gave before
/// it hung up.
fn broken_by_write(kind: Kind) -> Flags {
    match kind {
        Kind::Client => Flags::WRITE_DEAD,
        _ => Flags::BROKEN,
    }
}

/// A head that announces no content, whatever its fields say (RFC 9110 §9.3.6).
#[cold]
fn without_content(outgoing: &mut Outgoing) -> Plan {
    for name in [&b"content-length"[..], b"transfer-encoding", b"trailer"] {
        outgoing.fields.remove_quietly(name);
    }
    Plan::Whole(0)
}

#[cold]
fn log_excess() {
    log::error!(target: "onloop::http", "content beyond the message's Content-Length was dropped");
}

impl Active {
    /// Bytes were announced that will not come: the peer must see the end of the connection.
    pub(crate) fn is_truncated(&self) -> bool {
        self.outgoing.is_ended()
            && matches!(self.outgoing.delimiter(), Delimiter::Length(1..) | Delimiter::Spoiled)
    }
}
