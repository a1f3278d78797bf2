//! `send_file`: a part of a file as the end of a response. One slice at a time goes out, and only when the
//! former one is with the system, so that a file of any size takes the memory of a slice at the most.
//!
//! Where the system can (`Net::sends_files`) it sends a slice from its page cache to the socket; content in
//! chunks, and whatever it will not send so, is read and written. What is not in memory is read by a thread
//! first (`net::file`), and the connection rests meanwhile: the loop does not wait for a disk.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use crate::content::Chunk;
use crate::engine::Core;
use crate::engine::output::PIECE_BYTES_MIN;
use crate::engine::server_side::Step;
use crate::engine::slot::{ExchangeId, Flags};
use crate::error::{Error, ErrorKind, Result};
use crate::h1::{Delimiter, Plan};
use crate::net::Net;
use crate::net::file::{FileReader, Job};

/// Most bytes that the system is told to send at a time: what is asked of the page cache, and of the thread,
/// in one go.
const SENT_BYTES_MAX: usize = 256 * 1024;

/// Most bytes that are read at a time where they are copied: what a slow client costs of memory at the most.
const COPIED_BYTES_MAX: usize = 64 * 1024;

/// Up to this length, content that is in memory is copied behind the head at once: one read and one write are
/// less work than a write, a look into the page cache, and a `sendfile`.
const SMALL_BYTES_MAX: u64 = 32 * 1024;

/// Slices that one connection may have in one drive, before others are looked at.
const SLICES_PER_DRIVE: usize = 8;

/// A part of a file that is being sent.
#[derive(Debug)]
pub(crate) struct FileContent {
    file: Arc<File>,
    /// What is left of it.
    left: Range<u64>,
    /// Up to here it is in memory.
    cached_to: u64,
    /// It is read and written; else the system is told to send it.
    copied: bool,
    slice: Slice,
}

/// What has become of the slice that the thread was asked for.
#[derive(Debug, Default)]
enum Slice {
    #[default]
    None,
    Asked,
    /// Its bytes where they are copied, else nothing but the word that it is in memory.
    Here(io::Result<Vec<u8>>),
}

/// What a step of sending led to.
enum Progress {
    More,
    /// For the disk or for the client.
    Waiting,
    Over(Step),
}

/// What the loop has to do with files.
#[derive(Debug)]
pub(super) struct Files {
    reader: FileReader<ExchangeId>,
    /// Who waits for a slice, in order. Some may be over.
    waiting: VecDeque<ExchangeId>,
    /// What is read without a thread is read into this, whoever it is for: it stays in the processor's cache.
    /// Empty until it is used.
    buffer: Vec<u8>,
}

impl Files {
    pub(super) fn new(net: &Net, reads_max: usize) -> Files {
        Files {
            reader: FileReader::new(net, reads_max),
            waiting: VecDeque::new(),
            buffer: Vec::new(),
        }
    }
}

impl FileContent {
    /// The length of the next slice, which is not empty.
    fn slice_length(&self) -> usize {
        let most = if self.copied { COPIED_BYTES_MAX } else { SENT_BYTES_MAX };
        (self.left.end - self.left.start).min(most as u64) as usize
    }

    /// It goes on when the thread has read.
    pub(super) fn awaits_disk(&self) -> bool {
        matches!(self.slice, Slice::Asked)
    }

    /// A slice is here that was asked for.
    #[cfg(feature = "sim")]
    pub(super) fn is_here(&self) -> bool {
        matches!(self.slice, Slice::Here(_))
    }

    fn advance(&mut self, count: usize) {
        self.left.start = self.left.end.min(self.left.start.saturating_add(count as u64));
    }

    fn job(&self) -> Job {
        Job {
            file: Arc::clone(&self.file),
            offset: self.left.start,
            length: self.slice_length(),
            keep: self.copied,
        }
    }
}

impl Core {
    /// Ends a response with a part of a file, which the caller has found to be there.
    pub(crate) fn send_file(&mut self, id: ExchangeId, file: File, part: Range<u64>) -> Result<()> {
        let length = part.end.saturating_sub(part.start);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if let Some(refusal) = self.refusal(id, bytes, true) {
            return Err(refusal.into());
        }
        let outgoing = &mut self.active(id.key).outgoing;
        let left = if outgoing.has_no_content() { None } else { outgoing.length_left() };
        if let Some(left) = left.filter(|left| *left != length) {
            let message = format!(
                "this part of the file is {length} bytes, but {left} are left of the Content-Length"
            );
            return Err(Error::local("ERR_HTTP_CONTENT_LENGTH_MISMATCH", message));
        }
        if length == 0 {
            outgoing.tell_empty();
            self.end(id, Chunk::Borrowed(b""));
            return Ok(());
        }
        if length <= SMALL_BYTES_MAX {
            let mut content = vec![0; bytes];
            let read = self.net.read_file(&file, part.start, &mut content);
            if matches!(read, Some(Ok(count)) if count == content.len()) {
                self.end(id, Chunk::Owned(content));
                return Ok(());
            }
        }
        if !self.active(id.key).outgoing.head_is_sent() {
            self.send_head(id.key, Plan::Whole(length));
        }
        let sent_by_system = self.net.sends_files();
        let active = self.active(id.key);
        active.release_cork();
        active.outgoing.end_later();
        let delimiter = active.outgoing.delimiter();
        // HEAD, 204, 304: the head is all.
        if delimiter != Delimiter::None {
            active.file = Some(Box::new(FileContent {
                file: Arc::new(file),
                cached_to: part.start,
                left: part,
                copied: !sent_by_system || delimiter == Delimiter::Chunked,
                slice: Slice::None,
            }));
        }
        self.mark_dirty(id.key);
        Ok(())
    }

    /// Sends on; `None` where the disk or the client has to be waited for.
    pub(super) fn file_next(&mut self, key: u32) -> Option<Step> {
        for _ in 0..SLICES_PER_DRIVE {
            match self.file_slice(key) {
                Progress::More => {}
                Progress::Waiting => return None,
                Progress::Over(step) => return Some(step),
            }
        }
        self.mark_dirty_later(key);
        None
    }

    fn file_slice(&mut self, key: u32) -> Progress {
        let Core { slots, activity, .. } = self;
        let Some(active) = slots[key as usize].active.as_deref_mut() else {
            return Progress::Waiting;
        };
        let Some(content) = active.file.as_deref_mut() else {
            return Progress::Over(Step::Again);
        };
        // The client's clocks do not run while the disk is awaited.
        *activity |= matches!(content.slice, Slice::Here(_));
        match std::mem::take(&mut content.slice) {
            Slice::None => {}
            Slice::Asked => {
                content.slice = Slice::Asked;
                return Progress::Waiting;
            }
            Slice::Here(Err(error)) => return self.file_failed(key, Error::io(&error, "read")),
            Slice::Here(Ok(bytes)) if content.copied => {
                return self.push_slice(key, Chunk::Owned(bytes));
            }
            Slice::Here(Ok(_)) => {
                content.cached_to = content.left.start.saturating_add(content.slice_length() as u64)
            }
        }
        if content.left.is_empty() {
            active.file = None;
            let tail = active.output.tail();
            // It is as long as was promised: `send_file` has seen to that.
            let _ = active.outgoing.finish(tail.bytes);
            drop(tail);
            active.place_held_written();
            return Progress::Over(Step::Again);
        }
        match content.copied {
            true => self.copy_slice(key),
            false => self.send_slice(key),
        }
    }

    /// Has the system send what is in memory.
    fn send_slice(&mut self, key: u32) -> Progress {
        self.flush(key);
        let Core { slots, net, activity, .. } = self;
        let slot = &mut slots[key as usize];
        if slot.flags.has(Flags::BROKEN) {
            return Progress::Over(Step::Again);
        }
        let Some(active) = slot.active.as_deref_mut() else {
            return Progress::Waiting;
        };
        let Some(content) = active.file.as_deref_mut() else {
            return Progress::Waiting;
        };
        if !active.output.is_empty() || slot.flags.has(Flags::WRITE_BLOCKED) {
            return Progress::Waiting;
        }
        let from = content.left.start;
        if content.cached_to <= from {
            let length = content.slice_length();
            if !net.is_file_cached(&content.file, from, length) {
                return self.ask_for_slice(key);
            }
            content.cached_to = from.saturating_add(length as u64);
        }
        let count = content.slice_length().min((content.cached_to - from) as usize);
        match net.send_file(&mut slot.source, &content.file, from, count) {
            Ok(0) => return self.file_too_short(key),
            Ok(count) => {
                *activity = true;
                content.advance(count);
                active.output.pass(count);
                let framed = active.outgoing.frame(count as u64);
                debug_assert!(framed.is_ok(), "the length was checked by `send_file`");
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                slot.flags.set(Flags::WRITE_BLOCKED);
                return Progress::Waiting;
            }
            Err(error) => {
                // Of the file, of the socket, or of the two together: reading and writing will tell.
                log::debug!(target: "onloop::connection", "connection {key}: sendfile: {error}");
                content.copied = true;
            }
        }
        Progress::More
    }

    /// Reads a slice, where it is in memory, and puts it behind what waits.
    fn copy_slice(&mut self, key: u32) -> Progress {
        // A head alone goes out together with the first slice.
        if self.active(key).output.len() >= PIECE_BYTES_MIN {
            self.flush(key);
            if self.slots[key as usize].flags.has(Flags::BROKEN) {
                return Progress::Over(Step::Again);
            }
            if self.active(key).output.len() >= PIECE_BYTES_MIN {
                return Progress::Waiting;
            }
        }
        let mut buffer = std::mem::take(&mut self.files.buffer);
        buffer.resize(COPIED_BYTES_MAX, 0);
        let progress = self.copy_slice_by(key, &mut buffer);
        self.files.buffer = buffer;
        progress
    }

    fn copy_slice_by(&mut self, key: u32, buffer: &mut [u8]) -> Progress {
        let Core { slots, net, .. } = self;
        let active = slots[key as usize].active.as_deref_mut();
        let Some(content) = active.and_then(|active| active.file.as_deref_mut()) else {
            return Progress::Waiting;
        };
        let slice = &mut buffer[..content.slice_length()];
        match net.read_file(&content.file, content.left.start, slice) {
            None => self.ask_for_slice(key),
            Some(Err(error)) => self.file_failed(key, Error::io(&error, "read")),
            Some(Ok(count)) => self.push_slice(key, Chunk::Borrowed(&slice[..count])),
        }
    }

    fn push_slice(&mut self, key: u32, bytes: Chunk<'_>) -> Progress {
        if bytes.is_empty() {
            return self.file_too_short(key);
        }
        if let Some(content) = self.active(key).file.as_deref_mut() {
            content.advance(bytes.len());
        }
        // What the system takes at once is copied by nobody else.
        if !self.write_through(key, bytes.as_slice()) {
            self.push_content(key, bytes);
        }
        Progress::More
    }

    fn file_too_short(&mut self, key: u32) -> Progress {
        let left = self
            .active(key)
            .file
            .as_deref()
            .map_or(0, |content| content.left.end - content.left.start);
        let message = format!(
            "the file became shorter while it was sent: {left} bytes of the response are missing"
        );
        let error = Error::new(ErrorKind::Io, "ERR_STREAM_PREMATURE_CLOSE", message);
        self.file_failed(key, error.with_io_kind(io::ErrorKind::UnexpectedEof))
    }

    /// The rest of the content cannot be had: the connection ends, so that the client sees the truncation.
    fn file_failed(&mut self, key: u32, error: Error) -> Progress {
        log::error!(target: "onloop::http", "connection {key}: a file could not be sent: {error}");
        // What came before is good, and so may be the answers to earlier requests among it.
        self.flush_at_last(key);
        self.active(key).failure = Some(error);
        Progress::Over(Step::Again)
    }

    // ---- the thread

    fn ask_for_slice(&mut self, key: u32) -> Progress {
        if let Some(content) = self.active(key).file.as_deref_mut() {
            content.slice = Slice::Asked;
        }
        let id = self.id(key);
        // Each connection waits for one slice, but those that are gone do not leave the queue by themselves.
        if self.files.waiting.len() > 2 * self.slots.len() + 64 {
            let mut waiting = std::mem::take(&mut self.files.waiting);
            waiting.retain(|id| self.exchange(*id).is_some());
            self.files.waiting = waiting;
        }
        self.files.waiting.push_back(id);
        self.start_reading();
        Progress::Waiting
    }

    fn start_reading(&mut self) {
        while self.files.reader.has_room() {
            let Some(id) = self.files.waiting.pop_front() else {
                return;
            };
            let content = self.exchange(id).and_then(|active| active.file.as_deref());
            if let Some(job) = content.map(FileContent::job) {
                self.files.reader.start(id, job);
            }
        }
    }

    /// Hands out what the thread has read. Returns how many slices that were.
    pub(crate) fn take_file_slices(&mut self) -> usize {
        let mut taken = 0;
        while let Some((id, result)) = self.files.reader.take() {
            taken += 1;
            if let Some(content) = self.exchange(id).and_then(|active| active.file.as_deref_mut()) {
                content.slice = Slice::Here(result);
                self.mark_dirty(id.key);
            }
        }
        if taken > 0 {
            self.start_reading();
        }
        taken
    }
}
