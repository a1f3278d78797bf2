//! Sending: what the handles' `write` and `end` do, and the one place that writes to sockets.

use std::io::{self, IoSlice};

use crate::content::Chunk;
use crate::engine::event::Event;
use crate::engine::output::PIECE_BYTES_MIN;
use crate::engine::slot::{Active, ExchangeId, Flags, Kind, Slot, Stage};
use crate::engine::{Core, ServerEntry};
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::h1::{
    Automatic, Delimiter, FieldError, Frame, LengthMismatch, Outgoing, Plan, StartLine, decimal,
    has_list_token, push_chunk_size, push_status_line,
};

/// Default `high_water_mark`: from so many unsent bytes on `write` returns false.
pub(crate) const HIGH_WATER_MARK: usize = 64 * 1024;

/// Default `max_buffered`: a message that leaves more unsent is ended.
pub(crate) const BUFFERED_BYTES_MAX: usize = 16 * 1024 * 1024;

impl Core {
    pub(crate) fn marks(&self, slot_kind: Kind, owner: u16) -> (usize, usize) {
        match slot_kind {
            Kind::Server => self
                .servers
                .get(owner as usize)
                .map_or((HIGH_WATER_MARK, BUFFERED_BYTES_MAX), |server| {
                    (server.options.high_water_mark, server.options.max_buffered)
                }),
            _ => (HIGH_WATER_MARK, BUFFERED_BYTES_MAX),
        }
    }

    /// Adds content to a message; false when the high-water mark is reached or nothing was taken.
    pub(crate) fn write(&mut self, id: ExchangeId, chunk: Chunk<'_>) -> bool {
        self.write_content(id, chunk, false)
    }

    /// The same; `through` has large content go to the system at once, where it would only be copied to be
    /// written when the drive is over.
    pub(crate) fn write_content(
        &mut self,
        id: ExchangeId,
        chunk: Chunk<'_>,
        through: bool,
    ) -> bool {
        if !self.is_writable(id) {
            log::debug!(target: "onloop::http", "a write after the end was dropped");
            self.trash.discard(chunk);
            return false;
        }
        let slot = &self.slots[id.key as usize];
        let (high_water_mark, buffered_max) = self.marks(slot.kind, slot.owner);
        let active = self.active(id.key);
        if active.output.len() > buffered_max {
            active.failure = Some(Core::limit_error(
                Limit::Buffered,
                "ERR_BUFFER_OUT_OF_BOUNDS",
                "more was written than `max_buffered` allows to wait: stop when `write` returns false \
                 and go on in `on_drain`",
            ));
            self.trash.discard(chunk);
            self.mark_dirty(id.key);
            return false;
        }
        if !active.outgoing.head_is_sent() {
            self.send_head(id.key, Plan::Pieces);
        }
        if !(through && self.write_through(id.key, chunk.as_slice())) {
            self.push_content(id.key, chunk);
        }
        self.mark_dirty(id.key);
        let active = self.active(id.key);
        let wants_more = active.output.len() < high_water_mark;
        active.need_drain |= !wants_more;
        wants_more
    }

    /// Ends a message, with its last or only content.
    #[inline]
    pub(crate) fn end(&mut self, id: ExchangeId, chunk: Chunk<'_>) {
        let Some(chunk) = self.respond_whole(id, chunk) else {
            return;
        };
        let is_open = self
            .exchange(id)
            .is_some_and(|active| !active.outgoing.is_ended() && active.failure.is_none());
        if !is_open {
            log::trace!(target: "onloop::http", "an end after the end was ignored");
            self.trash.discard(chunk);
            return;
        }
        let key = id.key;
        if !self.active(key).outgoing.head_is_sent() {
            self.send_head(key, Plan::Whole(chunk.len() as u64));
        }
        if !chunk.is_empty() {
            self.push_content(key, chunk);
        }
        let active = self.active(key);
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
            || active.outgoing.head_is_sent()
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
    #[inline]
    pub(super) fn push_content(&mut self, key: u32, chunk: Chunk<'_>) {
        let Core { slots, trash, .. } = self;
        let Some(active) = slots[key as usize].active.as_deref_mut() else {
            return;
        };
        let length = chunk.len();
        match active.outgoing.frame(length as u64) {
            Ok(Frame::Plain) => active.output.push(chunk, trash),
            Ok(Frame::Chunk) if length > 0 => {
                push_chunk_size(active.output.tail().bytes, length);
                active.output.push(chunk, trash);
                active.output.tail().bytes.extend_from_slice(b"\r\n");
            }
            Ok(Frame::Chunk | Frame::Drop) => trash.discard(chunk),
            Err(_) => {
                log_excess();
                trash.discard(chunk);
            }
        }
    }

    /// Writes content behind what waits, without copying what the system takes. False where it is not worth
    /// it or not possible; nothing is done then.
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
                output.clear(trash);
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
        let tail = active.output.tail();
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
            active.outgoing.send_head(StartLine::Status, &automatic, plan, tail.bytes);
        } else if let Some(client) = active.client.as_deref() {
            let automatic =
                Automatic { date: b"", keep_alive: b"", persistent_block: b"", closing: false };
            active.outgoing.send_head(client.start_line(), &automatic, plan, tail.bytes);
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

    /// An informational response (RFC 9110 §15.2), as long as the final one has not begun.
    pub(crate) fn write_information(
        &mut self,
        id: ExchangeId,
        status: u16,
        fields: &[u8],
    ) -> Result<()> {
        let Some(active) = self.exchange(id) else {
            return Err(gone());
        };
        if active.outgoing.head_is_sent() {
            return Err(headers_sent("an informational response"));
        }
        if active.incoming.minor == 0 {
            // RFC 9110 §15.2: never to a client of HTTP/1.0, which would take it for the answer.
            return Ok(());
        }
        if status == 100 && !std::mem::take(&mut active.incoming.continue_owed) {
            return Ok(());
        }
        let tail = active.output.tail();
        push_status_line(tail.bytes, status, crate::h1::reason_phrase(status));
        tail.bytes.extend_from_slice(fields);
        tail.bytes.extend_from_slice(b"\r\n");
        drop(tail);
        self.mark_dirty(id.key);
        Ok(())
    }

    /// Gives access to a message whose head can still be changed.
    #[inline]
    pub(crate) fn head_mut(&mut self, id: ExchangeId, doing: &str) -> Result<&mut Outgoing> {
        let Some(active) = self.exchange(id) else {
            return Err(gone());
        };
        if active.outgoing.head_is_sent() {
            return Err(headers_sent(doing));
        }
        Ok(&mut active.outgoing)
    }

    /// Writes what waits until the system takes no more.
    pub(crate) fn flush(&mut self, key: u32) {
        let Core { slots, net, trash, activity, .. } = self;
        let slot = &mut slots[key as usize];
        let Slot { source, flags, active: Some(active), kind, .. } = slot else {
            return;
        };
        let output = &mut active.output;
        while !output.is_empty() && !flags.has(WRITES_STOPPED) {
            let (asked, result) = match output.single() {
                Some(bytes) => (bytes.len(), net.write(source, bytes)),
                None => output.with_slices(|slices| {
                    let asked = slices.iter().map(|slice| slice.len()).sum();
                    (asked, net.write_vectored(source, slices))
                }),
            };
            match result {
                Ok(written) => {
                    *activity = true;
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
                    output.clear(trash);
                    flags.set(broken_by_write(*kind));
                }
            }
        }
    }

    /// After a flush: `on_drain` where it is due; in the next turn where the budget of this one is used up.
    #[inline]
    pub(crate) fn drain_event(&mut self, key: u32) -> Option<Event> {
        if !self.active(key).need_drain {
            return None;
        }
        let callback = self.drained(key)?;
        if self.requests_left > 0 {
            self.requests_left -= 1;
            return Some(Event::Drain { callback, id: self.id(key) });
        }
        let active = self.active(key);
        active.need_drain = true;
        let displaced = active.callbacks_mut().drain.put_back(callback);
        debug_assert!(displaced.is_none(), "nothing ran since it was taken out");
        self.mark_dirty_later(key);
        Some(Event::Done)
    }

    /// After a flush: whoever waits for room is told. Returns the callback of `on_drain` if it is due.
    fn drained(&mut self, key: u32) -> Option<crate::engine::callbacks::HookMut> {
        let slot = &self.slots[key as usize];
        let (high_water_mark, _) = self.marks(slot.kind, slot.owner);
        let active = self.active(key);
        if !active.need_drain || active.output.len() >= high_water_mark {
            return None;
        }
        active.need_drain = false;
        let piped_from = active.piped_from;
        let is_open = !active.outgoing.is_ended();
        let callback = active
            .callbacks
            .as_deref_mut()
            .filter(|_| is_open)
            .and_then(|callbacks| callbacks.drain.take());
        if let Some(source) = piped_from {
            self.resume_piped(source);
        }
        callback
    }
}

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

#[cold]
fn log_excess() {
    log::error!(target: "onloop::http", "content beyond the message's Content-Length was dropped");
}

/// Sets, appends or removes a field, with the checks that keep the framing ours.
// Inlined with the call: a name that is a constant, as nearly all are, is checked by the compiler then.
#[inline(always)]
pub(crate) fn set_field(
    outgoing: &mut Outgoing,
    name: &str,
    value: &[u8],
    append: bool,
) -> Result<()> {
    let fields = &mut outgoing.fields;
    // Only names of these lengths steer framing; the check is on every `set_header`.
    if matches!(name.len(), 14 | 17) {
        check_framing_field(name, value)?;
        if append && fields.has(name.as_bytes()) && steers_framing(name) {
            let message = format!("{name} is set already and may stand only once");
            return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
        }
    }
    let result = match append {
        true => fields.append(name.as_bytes(), value),
        false => fields.set(name.as_bytes(), value),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(field_error(error, name)),
    }
}

/// RFC 9110 §6.5.1: what steers framing, routing or authentication has no place behind the content.
pub(crate) fn check_trailer(name: &str) -> Result<()> {
    const FORBIDDEN: [&str; 6] =
        ["content-length", "transfer-encoding", "host", "trailer", "connection", "authorization"];
    if FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
        let message = format!("{name} is not allowed as a trailer");
        return Err(Error::local("ERR_HTTP_TRAILER_INVALID", message));
    }
    Ok(())
}

fn steers_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

#[cold]
fn check_framing_field(name: &str, value: &[u8]) -> Result<()> {
    if name.eq_ignore_ascii_case("content-length") && decimal(value).is_none() {
        let message = "a Content-Length is a decimal number of bytes";
        return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
    }
    if name.eq_ignore_ascii_case("transfer-encoding") && !ends_in_chunked(value) {
        let message = "a Transfer-Encoding must end in `chunked`, which is how onloop frames it";
        return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
    }
    Ok(())
}

/// `chunked` is the last coding and the only one of that name (RFC 9112 §6.1).
fn ends_in_chunked(value: &[u8]) -> bool {
    let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
    let before = value.len() - last.len();
    last.trim_ascii().eq_ignore_ascii_case(b"chunked")
        && !has_list_token(&value[..before], "chunked")
}

/// The public error of a refused field.
#[cold]
pub(crate) fn field_error(error: FieldError, name: &str) -> Error {
    match error {
        FieldError::Name => Error::local(
            "ERR_INVALID_HTTP_TOKEN",
            format!(
                "header name must be a token of letters, digits and !#$%&'*+-.^_`|~ (got {name:?})"
            ),
        ),
        FieldError::Value => Error::local(
            "ERR_INVALID_CHAR",
            format!(
                "invalid character in the value of header {name:?}: control characters are not allowed"
            ),
        ),
        FieldError::TooLarge => Error::new(
            ErrorKind::Limit(Limit::HeaderSize),
            "ERR_HTTP_HEADERS_TOO_LARGE",
            "the header section would be larger than 64 KiB",
        ),
    }
}

#[cold]
pub(crate) fn headers_sent(doing: &str) -> Error {
    Error::local(
        "ERR_HTTP_HEADERS_SENT",
        format!(
            "cannot change {doing} after the head was sent: do it before `write`, `end` or `flush_headers`"
        ),
    )
}

/// The handle's exchange is over.
#[cold]
pub(crate) fn gone() -> Error {
    Error::new(
        ErrorKind::Aborted,
        "ERR_STREAM_DESTROYED",
        "the message is over: nothing can be added to it",
    )
}

impl Active {
    /// Bytes were announced that will not come: the peer must see the end of the connection.
    pub(crate) fn is_truncated(&self) -> bool {
        self.outgoing.is_ended()
            && matches!(self.outgoing.delimiter(), Delimiter::Length(left) if left > 0)
    }
}
