//! The decoder of a message's content: bytes in, ranges out.
//!
//! Content is never copied or looked at; the only thing that is kept is a trailer section, within
//! its limit. How much content a message may have is the engine's matter.

use super::chunked::ChunkLine;
use super::framing::Framing;
use super::head::Head;
use super::meaning::resembles_framing;
use super::scan::{FieldScanner, Refusal};
use super::token::is_name;
use super::violation::Violation;

/// What the framing of a chunked body may cost us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of extensions of one chunk; below 65535.
    pub(crate) extension_bytes_per_chunk: usize,
    /// Bytes of extensions of all chunks together; below 65535.
    pub(crate) extension_bytes: usize,
    /// Bytes of the trailer section.
    pub(crate) trailer_bytes: usize,
    /// Fields of the trailer section.
    pub(crate) trailer_fields: usize,
    /// Bytes of content that comes in chunks. Where a length announces it, the head is refused.
    pub(crate) content_bytes: u64,
    /// For the merged view of trailers: see [`Head::joined_fields`].
    pub(crate) join_duplicates: bool,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            extension_bytes_per_chunk: 4096,
            extension_bytes: 16384,
            trailer_bytes: 16384,
            trailer_fields: 128,
            content_bytes: u64::MAX,
            join_duplicates: false,
        }
    }
}

/// What the decoder found at the beginning of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// So many bytes were consumed, all of them framing: give more input.
    More(usize),
    /// Content is `input[skip..skip + len]`; `skip + len` bytes are consumed.
    Data {
        /// Bytes of framing before the content.
        skip: usize,
        /// Bytes of content.
        len: usize,
    },
    /// The message ended; so many bytes were consumed.
    End(usize),
}

/// Decoder of the content of one message; the default has no content and is done.
///
/// After an error it must not be used again: there is no way to find the next message.
#[derive(Debug, Default)]
pub(crate) struct BodyDecoder {
    /// Bytes left of the content, or of the data of the current chunk; after a refusal, where it was.
    remaining: u64,
    /// Bytes of all chunks that have begun.
    announced: u64,
    line: ChunkLine,
    trailers: Option<Box<Head>>,
    fields: FieldScanner,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Done,
    /// The chunked body has ended.
    DoneChunked,
    Length,
    UntilClose,
    ChunkLine,
    ChunkData,
    ChunkDataCr,
    ChunkDataLf,
    Trailers,
}

impl BodyDecoder {
    /// A decoder for content that ends in this way.
    pub(crate) fn new(framing: Framing) -> Self {
        let (state, remaining) = match framing {
            Framing::None | Framing::Length(0) => (State::Done, 0),
            Framing::Length(length) => (State::Length, length),
            Framing::Chunked => (State::ChunkLine, 0),
            Framing::UntilClose => (State::UntilClose, 0),
        };
        BodyDecoder { remaining, state, ..BodyDecoder::default() }
    }

    /// Whether the message is complete: no further byte belongs to it.
    pub(crate) fn is_done(&self) -> bool {
        match self.state {
            State::Done | State::DoneChunked => true,
            State::Length => self.remaining == 0,
            _ => false,
        }
    }

    /// Whether the content came or comes in chunks.
    #[cfg(test)]
    pub(crate) fn is_chunked(&self) -> bool {
        !matches!(self.state, State::Done | State::Length | State::UntilClose)
    }

    /// Bytes of content that are still to come, where the message told.
    #[cfg(test)]
    pub(crate) fn remaining_hint(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.remaining),
            State::Done | State::DoneChunked => Some(0),
            _ => None,
        }
    }

    /// After a refusal, how many bytes of the last input came before the one that is wrong or too much.
    pub(crate) fn refused_at(&self) -> usize {
        usize::try_from(self.remaining).unwrap_or(usize::MAX)
    }

    /// The trailer section of a complete message, a head with fields only, if it has any field.
    pub(crate) fn take_trailers(&mut self) -> Option<Box<Head>> {
        if self.state == State::DoneChunked { self.trailers.take() } else { None }
    }

    /// The message is given up: nobody will take what came of its trailer section.
    pub(crate) fn forget_trailers(&mut self) {
        self.trailers = None;
    }

    /// A trailer section, or a part of one, that nobody has taken.
    #[cfg(feature = "sim")]
    pub(crate) fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Finds the next piece of content in `input`, whose bytes follow those consumed before.
    ///
    /// # Errors
    /// The violation of the first byte that cannot be right, or the limit that was reached.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        limits: &BodyLimits,
    ) -> Result<Decoded, Violation> {
        match self.state {
            State::Done | State::DoneChunked => Ok(Decoded::End(0)),
            State::UntilClose if input.is_empty() => Ok(Decoded::More(0)),
            State::UntilClose => Ok(Decoded::Data { skip: 0, len: input.len() }),
            State::Length => Ok(self.decode_length(input)),
            _ => self.decode_chunked(input, limits).map_err(|refusal| {
                self.remaining = refusal.at as u64;
                refusal.violation
            }),
        }
    }

    /// Takes note that the peer sends nothing more.
    ///
    /// # Errors
    /// `Incomplete` if the message is not: RFC 9112 §8.
    pub(crate) fn end_of_input(&mut self) -> Result<(), Violation> {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        if self.is_done() { Ok(()) } else { Err(Violation::Incomplete) }
    }

    fn decode_length(&mut self, input: &[u8]) -> Decoded {
        if self.remaining == 0 {
            self.state = State::Done;
            return Decoded::End(0);
        }
        match self.take_data(input) {
            0 => Decoded::More(0),
            len => Decoded::Data { skip: 0, len },
        }
    }

    /// As much of `input` as belongs to the content.
    fn take_data(&mut self, input: &[u8]) -> usize {
        let len = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(input.len());
        self.remaining = self.remaining.saturating_sub(len as u64);
        len
    }

    fn decode_chunked(&mut self, input: &[u8], limits: &BodyLimits) -> Result<Decoded, Refusal> {
        let mut at = 0usize;
        let behind =
            |at: usize, refusal: Refusal| Refusal { at: at.saturating_add(refusal.at), ..refusal };
        while let Some(rest @ [byte, ..]) = input.get(at..) {
            match self.state {
                State::ChunkLine => {
                    let scanned = self.line.scan(rest, limits);
                    let (used, size) = scanned.map_err(|refusal| behind(at, refusal))?;
                    at = at.saturating_add(used);
                    match size {
                        None => break,
                        // RFC 9112 §7.1: the last chunk has no data and no line end after it.
                        Some(0) => self.state = State::Trailers,
                        Some(size) => {
                            self.announced = self.announced.saturating_add(size);
                            if self.announced > limits.content_bytes {
                                let violation = Violation::ContentTooLarge;
                                return Err(Refusal { violation, at });
                            }
                            self.remaining = size;
                            self.state = State::ChunkData;
                        }
                    }
                }
                State::ChunkData => {
                    let len = self.take_data(rest);
                    if self.remaining == 0 {
                        self.state = State::ChunkDataCr;
                    }
                    return Ok(Decoded::Data { skip: at, len });
                }
                State::ChunkDataCr | State::ChunkDataLf => {
                    self.state = match (self.state, byte) {
                        (State::ChunkDataCr, b'\r') => State::ChunkDataLf,
                        (State::ChunkDataLf, b'\n') => State::ChunkLine,
                        _ => return Err(Refusal { violation: Violation::ChunkEnd, at }),
                    };
                    at = at.saturating_add(1);
                }
                State::Trailers => {
                    let received = self.receive_trailers(rest, limits);
                    let (used, ended) = received.map_err(|refusal| behind(at, refusal))?;
                    at = at.saturating_add(used);
                    if ended {
                        self.state = State::DoneChunked;
                        return Ok(Decoded::End(at));
                    }
                }
                State::Done | State::DoneChunked | State::Length | State::UntilClose => break,
            }
        }
        Ok(Decoded::More(at))
    }

    /// Gives how many bytes of `rest` belong to the trailer section and whether it has ended.
    fn receive_trailers(
        &mut self,
        rest: &[u8],
        limits: &BodyLimits,
    ) -> Result<(usize, bool), Refusal> {
        let received = self.trailers.as_ref().map_or(0, |trailers| trailers.received());
        // The empty line at the end is not counted.
        let room = limits.trailer_bytes.saturating_add(2).saturating_sub(received);
        let window = rest.get(..room).unwrap_or(rest);
        let scanned = self.fields.scan(window, limits.trailer_fields);
        let (used, ended) = scanned.map_err(|refusal| match refusal.violation {
            Violation::TooManyFields => {
                Refusal { violation: Violation::TrailersTooLarge, ..refusal }
            }
            _ => refusal,
        })?;
        // Nearly every section is empty, and nothing is kept for those.
        if self.fields.count() != 0 {
            let trailers = self.trailers.get_or_insert_default();
            trailers.join_duplicates = limits.join_duplicates;
            trailers.receive(window.get(..used).unwrap_or_default());
            if ended {
                trailers.index_section();
                check_trailers(trailers).map_err(|violation| Refusal { violation, at: used })?;
            }
        }
        if !ended && window.len() == room {
            return Err(Refusal { violation: Violation::TrailersTooLarge, at: window.len() });
        }
        Ok((used, ended))
    }
}

/// Refuses what a trailer section may not say: RFC 9110 §6.5.1. The fields are kept apart from
/// those of the head in any case; a peer that sends these wants somebody behind us to merge them.
fn check_trailers(trailers: &Head) -> Result<(), Violation> {
    for (name, _) in trailers.fields() {
        let name = name.as_bytes();
        let forbidden = match name.len() {
            4 => is_name(name, b"host"),
            13 => is_name(name, b"authorization"),
            // The hyphen itself resembles the hyphen.
            14 | 17 => resembles_framing(name),
            19 => is_name(name, b"proxy-authorization"),
            _ => false,
        };
        if forbidden {
            return Err(Violation::TrailerField);
        }
    }
    Ok(())
}
