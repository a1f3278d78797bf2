//! The decoder of a message's content: bytes in, ranges out.

use super::framing::Framing;
use super::head::Head;
use super::violation::Violation;

/// What the framing of a chunked body may cost us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// Bytes of extensions of one chunk.
    pub(crate) extension_bytes_per_chunk: usize,
    /// Bytes of extensions of all chunks together.
    pub(crate) extension_bytes: usize,
    /// Bytes of the trailer section.
    pub(crate) trailer_bytes: usize,
    /// Fields of the trailer section.
    pub(crate) trailer_fields: usize,
}

impl Default for BodyLimits {
    fn default() -> Self {
        BodyLimits {
            extension_bytes_per_chunk: 4096,
            extension_bytes: 16384,
            trailer_bytes: 16384,
            trailer_fields: 128,
        }
    }
}

/// What the decoder found at the beginning of the input.
#[derive(Debug, PartialEq, Eq)]
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
#[derive(Debug, Default)]
pub(crate) struct BodyDecoder {
    remaining: u64,
}

impl BodyDecoder {
    pub(crate) fn new(_framing: Framing) -> Self {
        unimplemented!()
    }
    pub(crate) fn is_done(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn is_chunked(&self) -> bool {
        unimplemented!()
    }
    pub(crate) fn decode(
        &mut self,
        _input: &[u8],
        _limits: &BodyLimits,
    ) -> Result<Decoded, Violation> {
        unimplemented!()
    }
    pub(crate) fn end_of_input(&mut self) -> Result<(), Violation> {
        unimplemented!()
    }
    pub(crate) fn take_trailers(&mut self) -> Option<Box<Head>> {
        unimplemented!()
    }
    pub(crate) fn remaining_hint(&self) -> Option<u64> {
        unimplemented!()
    }
}
