//! The HTTP/1.1 core by itself, for `benches/core.rs` and for fuzzing: it has no face of its own otherwise, and
//! through a connection its cost drowns in that of the turn.
//!
//! Only with feature `sim`, hidden, and no part of any promise. Deliberately nothing else is here: whatever can be
//! reached through the public API is measured there.

mod trial;

pub use trial::{
    ContentEnd, ContentTrial, HeadTrial, Piece, Question, Refusal, TrialLimits, Understood,
};

use crate::h1::{
    Asked, Automatic, BodyDecoder, BodyLimits, Decoded, Framing, Head, HeadLimits, HeadProgress,
    Outgoing, Plan, StartLine, parse_request, parse_response,
};

/// Reads heads into memory that is used again and again, as the engine's pool does.
#[derive(Debug, Default)]
pub struct HeadReader {
    limits: HeadLimits,
    head: Head,
}

impl HeadReader {
    /// The length of the request head that `input` begins with; `None` where it is refused or not all there.
    pub fn request(&mut self, input: &[u8]) -> Option<usize> {
        let mut progress = HeadProgress::default();
        parse_request(input, &self.limits, &mut progress, &mut self.head).ok().flatten()
    }

    /// The same for a response to GET.
    pub fn response(&mut self, input: &[u8]) -> Option<usize> {
        let mut progress = HeadProgress::default();
        parse_response(input, &self.limits, &mut progress, Asked::Other, &mut self.head)
            .ok()
            .flatten()
    }

    /// How many fields the last head has.
    pub fn field_count(&self) -> usize {
        self.head.field_count()
    }
}

/// How much content the chunked message in `input` carries; `None` where it is refused or not all there.
pub fn read_chunked(input: &[u8]) -> Option<usize> {
    let limits = BodyLimits::default();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let (mut from, mut content) = (0, 0);
    while from < input.len() && !decoder.is_done() {
        match decoder.decode(&input[from..], &limits).ok()? {
            Decoded::More(count) | Decoded::End(count) => from += count,
            Decoded::Data { skip, len } => {
                from += skip + len;
                content += len;
            }
        }
    }
    decoder.is_done().then_some(content)
}

/// Renders response heads into memory that is used again and again.
#[derive(Debug, Default)]
pub struct HeadWriter {
    outgoing: Outgoing,
}

impl HeadWriter {
    /// Appends the head of a response with these fields to `out`; `length` is that of its content, `None` makes it
    /// chunked.
    pub fn response(
        &mut self,
        status: u16,
        fields: &[(&str, &str)],
        length: Option<u64>,
        out: &mut Vec<u8>,
    ) {
        const DATE: &[u8] = b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
        const KEEP_ALIVE: &[u8] = b"Keep-Alive: timeout=65\r\n";
        const BLOCK: &[u8] = b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: keep-alive\r\n\
                               Keep-Alive: timeout=65\r\n";
        self.outgoing.start_response(1, false, true);
        self.outgoing.set_status(status);
        for (name, value) in fields {
            let set = self.outgoing.fields.set(name.as_bytes(), value.as_bytes());
            debug_assert!(set.is_ok(), "{name}: {value}");
        }
        let automatic = Automatic {
            date: DATE,
            keep_alive: KEEP_ALIVE,
            persistent_block: BLOCK,
            closing: false,
        };
        let plan = length.map_or(Plan::Pieces, Plan::Whole);
        self.outgoing.send_head(StartLine::Status, &automatic, plan, out);
    }
}
