//! The calls on one end of a connection.
//!
//! Every call takes effect at once on this side and travels to the other as a segment. An end that is
//! not there (any more) answers as a closed descriptor would, never with a panic.

use std::io::{self, IoSlice};

use super::super::{Readiness, Time};
use super::SocketId;
use super::state::{Action, Flow, Segment, State};

impl State {
    /// Whether epoll would call the end writable: as in Linux, not before a third of it is free.
    pub(super) fn has_space(&self, id: SocketId) -> bool {
        let Some((key, side)) = id.as_stream() else {
            return false;
        };
        let Some(pair) = self.pairs.get(key) else {
            return false;
        };
        let used = pair.ends[1 - side].inbox.len() + pair.ends[1 - side].wire_bytes;
        let free = self.options.capacity.saturating_sub(used);
        free.saturating_mul(3) >= self.options.capacity && pair.ends[side].blocked_until <= self.now
    }

    pub(super) fn read(&mut self, id: SocketId, buffer: &mut [u8]) -> io::Result<usize> {
        let (pair, side) = self.pair(id).ok_or(io::ErrorKind::NotConnected)?;
        if pair.connecting {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let end = &mut pair.ends[side];
        if end.inbox.is_empty() || buffer.is_empty() {
            return match end.error.take() {
                Some(kind) => Err(kind.into()),
                None if end.fin || end.broken || buffer.is_empty() => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        // A deque is two slices, and a read of half of what is there would look like a drained one.
        let mut taken = 0;
        let (front, back) = end.inbox.as_slices();
        for part in [front, back] {
            let count = part.len().min(buffer.len() - taken);
            buffer[taken..taken + count].copy_from_slice(&part[..count]);
            taken += count;
        }
        end.inbox.drain(..taken);
        self.space_freed(id.other());
        Ok(taken)
    }

    /// `with_faults`: an event loop's write, which may be refused or cut short by chance.
    pub(super) fn write(
        &mut self,
        id: SocketId,
        slices: &[IoSlice<'_>],
        with_faults: bool,
    ) -> io::Result<usize> {
        let (capacity, now) = (self.options.capacity, self.now);
        let (pair, side) = self.pair(id).ok_or(io::ErrorKind::NotConnected)?;
        if pair.connecting && with_faults {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let used = pair.ends[1 - side].inbox.len() + pair.ends[1 - side].wire_bytes;
        let flow = pair.ends[1 - side].flow;
        let end = &mut pair.ends[side];
        if let Some(kind) = end.error.take() {
            return Err(kind.into());
        }
        if end.fin_sent || end.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if total == 0 {
            return Ok(0);
        }
        if now < end.blocked_until || used >= capacity {
            end.wants_space = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut accepted = total.min(capacity - used);
        end.wants_space |= accepted < total;
        if with_faults {
            accepted = self.write_fault(id, accepted).ok_or(io::ErrorKind::WouldBlock)?;
        }
        let bytes = gather(slices, accepted);
        if let Some(tap) = self.end(id.other()).and_then(|end| end.tap.as_ref()) {
            tap.keep(&bytes);
        }
        if flow != Flow::Truncated {
            self.transmit(id, bytes);
        }
        Ok(accepted)
    }

    /// How many of `bytes` a write takes when chance has its say; `None` to refuse it.
    fn write_fault(&mut self, id: SocketId, bytes: usize) -> Option<usize> {
        let is_refused = self.random.chance(self.options.would_block);
        let is_short = bytes > 1 && self.random.chance(self.options.short_write);
        if !is_refused && !is_short {
            return Some(bytes);
        }
        let until = Time(self.now.0.saturating_add(self.draw_delay().max(1)));
        let taken = self.random.between(1, bytes as u64 - 1) as usize;
        let target = self.target(id)?;
        let end = self.end(id)?;
        end.blocked_until = until;
        end.wants_space = true;
        end.space_scheduled = true;
        self.schedule(until, Action::Space(target));
        (!is_refused).then_some(taken)
    }

    /// Puts bytes on the wire, in one piece or in many, with whatever befalls them.
    fn transmit(&mut self, id: SocketId, mut bytes: Vec<u8>) {
        if self.random.chance(self.options.silence) {
            self.set_flow(id.other(), Flow::Silent);
        }
        if self.random.chance(self.options.truncate) {
            let kept = self.random.below(bytes.len() as u64) as usize;
            bytes.truncate(kept);
            self.send_data(id, bytes);
            self.send(id, Segment::Fin);
            self.set_flow(id.other(), Flow::Truncated);
            return;
        }
        self.send_data(id, bytes);
        if self.random.chance(self.options.reset) {
            self.send(id, Segment::Reset);
            self.send(id.other(), Segment::Reset);
        }
    }

    fn send_data(&mut self, id: SocketId, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if !self.random.chance(self.options.fragment) {
            self.send(id, Segment::Data(bytes));
            return;
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let size = self.random.between(1, self.options.fragment_bytes_max as u64) as usize;
            let (piece, after) = rest.split_at(size.min(rest.len()));
            self.send(id, Segment::Data(piece.to_vec()));
            rest = after;
            // A time of its own, or the pieces would come together again in one delivery.
            if let Some(end) = self.end(id.other()) {
                end.last_arrival = Time(end.last_arrival.0.saturating_add(1));
            }
        }
    }

    /// Puts one segment from this end on the other's wire, behind what is there.
    pub(super) fn send(&mut self, id: SocketId, segment: Segment) {
        let to = id.other();
        let arrival = Time(self.now.0.saturating_add(self.draw_delay()));
        let Some(target) = self.target(to) else {
            return;
        };
        let Some(end) = self.end(to) else { return };
        if let Segment::Data(bytes) = &segment {
            end.wire_bytes += bytes.len();
        }
        if end.flow != Flow::Open {
            return;
        }
        let at = arrival.max(end.last_arrival);
        end.last_arrival = at;
        end.wire.push_back((at, segment));
        self.schedule(at, Action::Deliver(target));
    }

    pub(super) fn shutdown_write(&mut self, id: SocketId) -> io::Result<()> {
        let (pair, side) = self.pair(id).ok_or(io::ErrorKind::NotConnected)?;
        if pair.connecting || pair.ends[side].broken {
            return Err(io::ErrorKind::NotConnected.into());
        }
        self.send_fin(id);
        Ok(())
    }

    pub(super) fn send_fin(&mut self, id: SocketId) {
        let Some(end) = self.end(id).filter(|end| !end.fin_sent) else {
            return;
        };
        end.fin_sent = true;
        self.send(id, Segment::Fin);
    }

    /// What became of `connect`.
    pub(super) fn connect_result(&mut self, id: SocketId) -> io::Result<bool> {
        let (pair, side) = self.pair(id).ok_or(io::ErrorKind::NotConnected)?;
        match pair.ends[side].error.take() {
            Some(kind) => Err(kind.into()),
            None => Ok(!pair.connecting && !pair.ends[side].broken),
        }
    }

    /// Closes a stream or a listener.
    pub(super) fn close(&mut self, id: SocketId) {
        if let Some(key) = id.as_listener() {
            self.close_listener(key);
            return;
        }
        let Some(end) = self.end(id).filter(|end| end.held) else {
            return;
        };
        if !end.broken {
            if end.inbox.is_empty() {
                self.send_fin(id);
            } else {
                // Unread bytes turn FIN into a reset (RFC 2525 §2.17), which is why a server that
                // refuses a body has to linger.
                self.send(id, Segment::Reset);
            }
        }
        self.release(id);
    }

    /// Closes a stream with a reset.
    pub(super) fn reset(&mut self, id: SocketId) {
        if id.as_listener().is_some() {
            self.close(id);
            return;
        }
        let Some(end) = self.end(id).filter(|end| end.held) else {
            return;
        };
        if !end.broken {
            self.send(id, Segment::Reset);
        }
        self.release(id);
    }

    /// Gives an end back; the pair goes when nobody holds either.
    fn release(&mut self, id: SocketId) {
        let Some((pair, side)) = self.pair(id) else {
            return;
        };
        let end = &mut pair.ends[side];
        end.held = false;
        end.owner = None;
        end.watch.registration = None;
        end.inbox.clear();
        if pair.ends.iter().all(|end| !end.held) {
            if let Some((key, _)) = id.as_stream() {
                self.pairs.remove(key);
            }
        }
    }

    /// Bytes that `writer` had sent were read: is there space to tell it of?
    fn space_freed(&mut self, writer: SocketId) {
        let delay = self.options.delay.0;
        let Some(target) = self.target(writer) else {
            return;
        };
        let has_space = self.has_space(writer);
        let Some(end) = self.end(writer) else { return };
        if end.wants_space && has_space && !end.space_scheduled {
            end.space_scheduled = true;
            let at = Time(self.now.0.saturating_add(delay));
            self.schedule(at, Action::Space(target));
        }
    }

    fn set_flow(&mut self, id: SocketId, flow: Flow) {
        if let Some(end) = self.end(id) {
            end.flow = flow;
        }
    }

    pub(super) fn draw_delay(&mut self) -> u64 {
        let (low, high) = self.options.delay;
        self.random.between(low, high)
    }

    /// Watches a socket, or watches it under another token; both report what is true now.
    pub(super) fn register(&mut self, id: SocketId, number: usize, token: usize) -> io::Result<()> {
        let target = self.target(id).ok_or(io::ErrorKind::NotConnected)?;
        let watch = match id.as_listener() {
            Some(key) => self.listeners.get_mut(key).map(|listener| &mut listener.watch),
            None => self.end(id).map(|end| &mut end.watch),
        };
        watch.ok_or(io::ErrorKind::NotConnected)?.registration = Some((number, token));
        let edges = Readiness::READABLE.union(Readiness::WRITABLE);
        let ready = self.readiness(id).intersection(edges);
        if !ready.is_empty() {
            self.raise(target, ready);
        }
        Ok(())
    }
}

fn gather(slices: &[IoSlice<'_>], count: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(count);
    for slice in slices {
        let wanted = (count - bytes.len()).min(slice.len());
        bytes.extend_from_slice(&slice[..wanted]);
    }
    bytes
}
