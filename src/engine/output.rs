//! What waits to be written to one connection: a buffer for heads and small content, and behind it
//! pieces that are large enough to go out from where they are.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::content::Chunk;
use crate::h1::push_chunk_size;

/// From this size on, content that is given away is not copied behind the head. Below it one `write` of
/// one buffer is cheaper: `writev` of a head and 13 bytes costs 13 to 20 % more.
pub(crate) const PIECE_BYTES_MIN: usize = 16 * 1024;

/// Most bytes given to one `writev`. 64 KiB a call costs 1.7 times the CPU of a long body, 1 MiB 1.4 times.
const WRITE_BYTES_MAX: usize = 448 * 1024;

/// Written bytes in front of the buffer are cut off once they are so many and more than half of it: a
/// reader that is always a little behind would otherwise make it grow without end.
const COMPACT_BYTES_MIN: usize = 64 * 1024;

/// A buffer that is so long is not made longer, but another one begun behind it: one that doubles would take, with
/// its copy, up to three times what waits.
const BUFFER_BYTES_MAX: usize = 256 * 1024;

/// What stands around a chunk: its size and the ends of lines, and perhaps the last chunk. Were there no room for them, a
/// long buffer would double for two bytes.
const FRAMING_BYTES: usize = 32;

/// From here on a buffer grows by a quarter at a time.
const LONG_BUFFER_BYTES: usize = 32 * 1024;

/// Most slices given to one `writev`.
const WRITE_SLICES_MAX: usize = 32;

/// Content that stands behind the buffer.
#[derive(Debug)]
enum Piece {
    /// Small writes that came after a large piece.
    Copied(Vec<u8>),
    Owned(Vec<u8>),
    #[cfg(feature = "bytes")]
    Shared(bytes::Bytes),
}

impl Piece {
    fn truncate(&mut self, length: usize) {
        match self {
            Piece::Copied(bytes) | Piece::Owned(bytes) => bytes.truncate(length),
            #[cfg(feature = "bytes")]
            Piece::Shared(bytes) => bytes.truncate(length),
        }
    }

    fn as_slice(&self) -> &[u8] {
        match self {
            Piece::Copied(bytes) | Piece::Owned(bytes) => bytes,
            #[cfg(feature = "bytes")]
            Piece::Shared(bytes) => bytes,
        }
    }
}

/// The unsent bytes of one connection, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// Bytes of `buffer`, or of the first piece once the buffer is out, that are written already.
    position: usize,
    pieces: VecDeque<Piece>,
    /// Bytes in `pieces`.
    pieces_bytes: usize,
    /// Bytes that the system has taken, ever: the state may have served other connections before.
    taken: u64,
    /// Bytes were thrown away since writing failed.
    lost: bool,
    /// What is written stays here, so that it can be written again, as long as it is not more than that.
    kept: bool,
    kept_max: u32,
}

impl Output {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() + self.pieces_bytes - self.position
    }

    /// The place up to which the system has taken everything.
    #[inline]
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// The place behind everything that waits.
    pub(crate) fn end(&self) -> u64 {
        self.taken + self.len() as u64
    }

    /// Bytes went to the system without having been here.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// Where bytes that go out next in order are to be appended.
    #[inline]
    pub(crate) fn tail(&mut self) -> Tail<'_> {
        if self.pieces.is_empty() && self.buffer.len() < BUFFER_BYTES_MAX {
            return Tail { bytes: &mut self.buffer, before: 0, pieces_bytes: None };
        }
        match self.pieces.back() {
            Some(Piece::Copied(bytes)) if bytes.len() < BUFFER_BYTES_MAX => {}
            // It goes on as the one before it, which was filled.
            Some(Piece::Copied(_)) | None => {
                self.pieces.push_back(Piece::Copied(Vec::with_capacity(BUFFER_BYTES_MAX + 1024)));
            }
            Some(_) => self.pieces.push_back(Piece::Copied(Vec::new())),
        }
        match self.pieces.back_mut() {
            Some(Piece::Copied(bytes)) => {
                let before = bytes.len();
                Tail { bytes, before, pieces_bytes: Some(&mut self.pieces_bytes) }
            }
            _ => unreachable!("a piece of this kind was pushed just above"),
        }
    }

    /// The buffer, where nothing stands behind it.
    #[inline]
    pub(crate) fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        self.pieces.is_empty().then_some(&mut self.buffer)
    }

    /// Appends content: copied when small or borrowed, else kept as it is. What was copied from shared bytes
    /// goes to `trash`, for the same reason as in [`Output::advance`].
    pub(crate) fn push(&mut self, chunk: Chunk<'_>, trash: &mut Trash) {
        match chunk {
            Chunk::Owned(bytes) if bytes.len() >= PIECE_BYTES_MIN => {
                self.pieces_bytes += bytes.len();
                self.pieces.push_back(Piece::Owned(bytes));
            }
            #[cfg(feature = "bytes")]
            Chunk::Shared(bytes) if bytes.len() >= PIECE_BYTES_MIN => {
                self.pieces_bytes += bytes.len();
                self.pieces.push_back(Piece::Shared(bytes));
            }
            small => {
                if self.pieces.is_empty() && self.buffer.len() < BUFFER_BYTES_MAX {
                    self.make_room(small.len() + FRAMING_BYTES);
                }
                let tail = self.tail();
                if tail.bytes.len() + small.len() > BUFFER_BYTES_MAX {
                    tail.bytes.reserve_exact(small.len());
                }
                tail.bytes.extend_from_slice(small.as_slice());
                drop(tail);
                trash.discard(small);
            }
        }
    }

    /// Makes room for so many bytes in the buffer.
    #[inline(always)]
    fn make_room(&mut self, bytes: usize) {
        if self.buffer.capacity() - self.buffer.len() < bytes {
            self.grow(bytes);
        }
    }

    /// What is written makes room first: for a reader that is always a little behind the buffer would be twice what
    /// waits. A long buffer does not double: thousands of them may wait at the high-water mark.
    #[cold]
    fn grow(&mut self, bytes: usize) {
        if !self.kept && self.position > 0 {
            self.buffer.drain(..self.position);
            self.position = 0;
        }
        let length = self.buffer.len();
        match length + bytes < LONG_BUFFER_BYTES {
            true => self.buffer.reserve(bytes),
            false => self.buffer.reserve_exact(bytes.max(length / 4)),
        }
    }

    /// Appends content as a chunk.
    #[inline]
    pub(crate) fn push_chunk(&mut self, chunk: Chunk<'_>, trash: &mut Trash) {
        let length = chunk.len();
        // The usual case in one piece.
        let is_usual = self.pieces.is_empty() && self.buffer.len() < BUFFER_BYTES_MAX;
        if is_usual && length < PIECE_BYTES_MIN {
            self.make_room(length + FRAMING_BYTES);
            push_chunk_size(&mut self.buffer, length);
            self.buffer.extend_from_slice(chunk.as_slice());
            self.buffer.extend_from_slice(b"\r\n");
            trash.discard(chunk);
            return;
        }
        push_chunk_size(self.tail().bytes, length);
        self.push(chunk, trash);
        self.tail().bytes.extend_from_slice(b"\r\n");
    }

    /// Appends all of another output, of which nothing was written.
    pub(crate) fn append(&mut self, other: Output) {
        debug_assert_eq!(other.position, 0);
        let first = std::iter::once(Piece::Copied(other.buffer));
        for piece in first.chain(other.pieces) {
            match piece {
                Piece::Copied(bytes) if bytes.len() < PIECE_BYTES_MIN => {
                    self.tail().bytes.extend_from_slice(&bytes);
                }
                Piece::Copied(bytes) => {
                    self.pieces_bytes += bytes.len();
                    self.pieces.push_back(Piece::Owned(bytes));
                }
                piece => {
                    self.pieces_bytes += piece.as_slice().len();
                    self.pieces.push_back(piece);
                }
            }
        }
    }

    /// What one write call should be given: a single slice, or `None` to use [`Output::slices`].
    #[inline]
    pub(crate) fn single(&self) -> Option<&[u8]> {
        self.pieces.is_empty().then(|| &self.buffer[self.position..])
    }

    /// Runs `write` with the first slices that wait, up to the size one call is best given, and to `most` bytes.
    pub(crate) fn with_slices<R>(&self, most: usize, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
        let (mut count, mut room) = (0, WRITE_BYTES_MAX.min(most));
        let whole =
            std::iter::once(&self.buffer[..]).chain(self.pieces.iter().map(Piece::as_slice));
        let mut skip = self.position;
        for bytes in whole {
            if bytes.len() <= skip {
                skip -= bytes.len();
                continue;
            }
            let rest = &bytes[skip..];
            skip = 0;
            let part = &rest[..rest.len().min(room)];
            slices[count] = IoSlice::new(part);
            count += 1;
            room -= part.len();
            if room == 0 || count == WRITE_SLICES_MAX {
                break;
            }
        }
        write(&slices[..count])
    }

    /// Takes note that `written` bytes are out. Pieces that are done go to `trash`: the owner of shared
    /// bytes may be user code, which must not run here.
    #[inline]
    pub(crate) fn advance(&mut self, written: usize, trash: &mut Trash) {
        self.position += written;
        self.taken += written as u64;
        if self.kept {
            if self.position > self.kept_max as usize {
                self.release(trash);
            }
            return;
        }
        self.drop_written(trash);
    }

    /// Forgets what is written.
    #[inline(always)]
    fn drop_written(&mut self, trash: &mut Trash) {
        if self.pieces.is_empty() {
            if self.position == self.buffer.len() {
                self.buffer.clear();
                self.position = 0;
            } else if self.position >= COMPACT_BYTES_MIN && self.position * 2 > self.buffer.len() {
                self.buffer.drain(..self.position);
                self.position = 0;
            }
            return;
        }
        self.advance_pieces(trash);
    }

    fn advance_pieces(&mut self, trash: &mut Trash) {
        if self.position < self.buffer.len() {
            return;
        }
        self.position -= self.buffer.len();
        self.buffer.clear();
        // A copied piece that is the last becomes the buffer, which is compacted as it drains.
        while let Some(first) = self.pieces.front() {
            let length = first.as_slice().len();
            if self.position < length {
                return;
            }
            self.position -= length;
            self.pieces_bytes -= length;
            if let Some(piece) = self.pieces.pop_front() {
                trash.push(piece);
            }
            if self.pieces.len() == 1 && matches!(self.pieces.front(), Some(Piece::Copied(_))) {
                if let Some(Piece::Copied(bytes)) = self.pieces.pop_front() {
                    self.pieces_bytes = 0;
                    self.buffer = bytes;
                }
                if self.position == self.buffer.len() {
                    self.buffer.clear();
                    self.position = 0;
                }
            }
        }
    }

    /// From now on what is written stays here, until it is more or [`Output::release`].
    pub(crate) fn keep(&mut self, most: usize) {
        debug_assert_eq!(self.position, 0, "what went before cannot be written again");
        self.kept = true;
        self.kept_max = u32::try_from(most).unwrap_or(u32::MAX);
    }

    /// Everything that was written since [`Output::keep`] is still here.
    #[inline]
    pub(crate) fn is_kept(&self) -> bool {
        self.kept
    }

    /// What is written is not needed any more.
    #[inline]
    pub(crate) fn release(&mut self, trash: &mut Trash) {
        if std::mem::take(&mut self.kept) {
            self.drop_written(trash);
        }
    }

    /// Has what was written since [`Output::keep`] written again.
    pub(crate) fn rewind(&mut self) {
        debug_assert!(!self.lost && (self.kept || self.position == 0));
        self.taken -= self.position as u64;
        self.position = 0;
    }

    /// Has other bytes stand for the first ones of those that were kept since [`Output::keep`].
    pub(crate) fn replace_first(&mut self, count: usize, bytes: &[u8]) {
        debug_assert!(self.position == 0 && count <= self.buffer.len());
        self.buffer.splice(..count.min(self.buffer.len()), bytes.iter().copied());
    }

    /// Forgets what waits from this place on.
    pub(crate) fn cut_at(&mut self, place: u64, trash: &mut Trash) {
        let keep = place.saturating_sub(self.taken) as usize;
        let mut excess = self.len().saturating_sub(keep);
        while let Some(last) = self.pieces.back_mut().filter(|_| excess > 0) {
            let length = last.as_slice().len();
            // Of the first piece a part may be written already, which is no excess.
            let is_first = self.buffer.is_empty() && self.pieces_bytes == length;
            let waiting = if is_first { length - self.position } else { length };
            if excess < waiting {
                last.truncate(length - excess);
                self.pieces_bytes -= excess;
                return;
            }
            excess -= waiting;
            self.pieces_bytes -= length;
            if is_first {
                self.position = 0;
            }
            if let Some(piece) = self.pieces.pop_back() {
                trash.push(piece);
            }
        }
        if excess == 0 {
            return;
        }
        self.buffer.truncate(self.buffer.len() - excess);
        if self.position == self.buffer.len() {
            self.buffer.clear();
            self.position = 0;
        }
    }

    /// Forgets everything, since the connection takes no more.
    pub(crate) fn lose(&mut self, trash: &mut Trash) {
        self.lost = true;
        self.clear(trash);
    }

    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Forgets everything, ready for another connection.
    pub(crate) fn recycle(&mut self, trash: &mut Trash) {
        self.lost = false;
        self.clear(trash);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self, trash: &mut Trash) {
        self.kept = false;
        self.buffer.clear();
        self.position = 0;
        self.pieces_bytes = 0;
        while let Some(piece) = self.pieces.pop_front() {
            trash.push(piece);
        }
    }

    /// What is counted is what there is.
    #[cfg(feature = "sim")]
    pub(crate) fn check(&self) -> Result<(), String> {
        let pieces: usize = self.pieces.iter().map(|piece| piece.as_slice().len()).sum();
        let written_max = match self.pieces.front().filter(|_| self.buffer.is_empty()) {
            Some(first) => first.as_slice().len(),
            None => self.buffer.len(),
        };
        match pieces == self.pieces_bytes && (self.kept || self.position <= written_max) {
            true => Ok(()),
            false => {
                Err(format!("output: {pieces} bytes in pieces, {} counted", self.pieces_bytes))
            }
        }
    }

    /// Nothing of a former connection is left.
    #[cfg(feature = "sim")]
    pub(crate) fn is_blank(&self) -> bool {
        self.is_empty() && self.position == 0 && self.pieces.is_empty() && !self.lost && !self.kept
    }

    /// Gives back buffers that have grown beyond `keep` bytes.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.buffer.capacity() > keep {
            self.buffer = Vec::new();
        }
        if self.pieces.capacity() > 16 {
            self.pieces = VecDeque::new();
        }
    }
}

/// The growing end of an [`Output`]; counts what was appended when it is dropped.
pub(crate) struct Tail<'a> {
    pub(crate) bytes: &'a mut Vec<u8>,
    before: usize,
    pieces_bytes: Option<&'a mut usize>,
}

impl Drop for Tail<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(total) = &mut self.pieces_bytes {
            **total += self.bytes.len() - self.before;
        }
    }
}

/// Shared content that is done with, until it can be dropped outside of every borrow.
#[derive(Debug, Default)]
pub(crate) struct Trash {
    #[cfg(feature = "bytes")]
    shared: Vec<bytes::Bytes>,
}

impl Trash {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        #[cfg(feature = "bytes")]
        return self.shared.is_empty();
        #[cfg(not(feature = "bytes"))]
        return true;
    }

    fn push(&mut self, piece: Piece) {
        #[cfg(feature = "bytes")]
        if let Piece::Shared(bytes) = piece {
            self.shared.push(bytes);
        }
        #[cfg(not(feature = "bytes"))]
        drop(piece);
    }

    /// Content that was not taken.
    pub(crate) fn discard(&mut self, chunk: Chunk<'_>) {
        #[cfg(feature = "bytes")]
        if let Chunk::Shared(bytes) = chunk {
            self.shared.push(bytes);
        }
        #[cfg(not(feature = "bytes"))]
        drop(chunk);
    }

    /// Everything, for the caller to drop.
    pub(crate) fn take(&mut self) -> Trash {
        std::mem::take(self)
    }

    /// One by one: each may have a destructor of the user's.
    pub(crate) fn into_pieces(self) -> impl Iterator<Item = impl Sized> {
        #[cfg(feature = "bytes")]
        return self.shared.into_iter();
        #[cfg(not(feature = "bytes"))]
        return std::iter::empty::<()>();
    }
}

#[cfg(test)]
mod tests;
