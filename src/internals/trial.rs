//! Heads and content in whatever pieces a fuzzer cuts them into, with all that was understood of them.

use crate::h1::{
    Asked, BodyDecoder, BodyLimits, Decoded, Expect, Framing, Head, HeadLimits, HeadProgress,
    Violation, parse_request, parse_response,
};

/// Why a message was refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the error that a user sees.
    pub code: &'static str,
    /// The status of a server's answer.
    pub status: u16,
    /// The text of the error; no two rules have the same.
    pub message: &'static str,
    /// How many bytes came before the wrong one: of the message for heads, of the last input for content.
    pub at: usize,
    /// The message was not wrong but too big.
    pub is_limit: bool,
}

impl Refusal {
    fn new(violation: Violation, at: usize) -> Refusal {
        Refusal {
            code: violation.code(),
            status: violation.status(),
            message: violation.message(),
            at,
            is_limit: violation.is_limit().is_some(),
        }
    }
}

/// How the content of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentEnd {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// With the last chunk and the trailers.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// What a response answers, as far as it matters to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// HEAD.
    Head,
    /// CONNECT.
    Connect,
    /// Any other method.
    Other,
}

/// What a head means to the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Understood {
    /// How the content ends.
    pub end: ContentEnd,
    /// The peer keeps the connection.
    pub persistent: bool,
    /// It offers another protocol.
    pub upgrade: bool,
    /// `Expect: 100-continue`, and nothing else is expected.
    pub expects_continue: bool,
    /// Something else is expected.
    pub expects_other: bool,
    /// Seconds of `Keep-Alive: timeout=`.
    pub keep_alive_timeout: Option<u32>,
}

/// What a head may cost.
#[derive(Debug, Clone, Copy)]
pub struct TrialLimits {
    /// Bytes in all.
    pub head_bytes: usize,
    /// Bytes of the target.
    pub target_bytes: usize,
    /// Field lines; of trailers as well.
    pub fields: usize,
    /// Bytes of the method.
    pub method_bytes: u8,
    /// Empty lines before a request.
    pub empty_lines: u8,
}

/// Reads one head after the other, each in growing prefixes.
#[derive(Debug, Default)]
pub struct HeadTrial {
    progress: HeadProgress,
    head: Head,
}

impl HeadTrial {
    /// Forgets the head that was being read. Its memory stays, as in the engine's pool.
    pub fn begin(&mut self) {
        self.progress = HeadProgress::default();
    }

    /// Reads a request from everything that has come of it; its length once its end is there.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn request(
        &mut self,
        input: &[u8],
        limits: &TrialLimits,
    ) -> Result<Option<usize>, Refusal> {
        let read = parse_request(input, &head_limits(limits), &mut self.progress, &mut self.head);
        read.map_err(|violation| Refusal::new(violation, self.progress.position()))
    }

    /// The same for a response.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn response(
        &mut self,
        input: &[u8],
        question: Question,
        limits: &TrialLimits,
    ) -> Result<Option<usize>, Refusal> {
        let asked = match question {
            Question::Head => Asked::Head,
            Question::Connect => Asked::Connect,
            Question::Other => Asked::Other,
        };
        let limits = head_limits(limits);
        let read = parse_response(input, &limits, &mut self.progress, asked, &mut self.head);
        read.map_err(|violation| Refusal::new(violation, self.progress.position()))
    }

    /// Bytes that have been looked at.
    pub fn position(&self) -> usize {
        self.progress.position()
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.head.method()
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// 0 or 1.
    pub fn version_minor(&self) -> u8 {
        self.head.version_minor()
    }

    /// The status of a response.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The reason of a response.
    pub fn reason(&self) -> &[u8] {
        self.head.reason()
    }

    /// Names and values in order.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.head.fields()
    }

    /// What it means.
    pub fn understood(&self) -> Understood {
        let meaning = self.head.meaning();
        Understood {
            end: match meaning.framing {
                Framing::None => ContentEnd::None,
                Framing::Length(length) => ContentEnd::Length(length),
                Framing::Chunked => ContentEnd::Chunked,
                Framing::UntilClose => ContentEnd::UntilClose,
            },
            persistent: meaning.persistent,
            upgrade: meaning.upgrade,
            expects_continue: meaning.expect == Expect::Continue,
            expects_other: meaning.expect == Expect::Unknown,
            keep_alive_timeout: meaning.keep_alive_timeout,
        }
    }
}

fn head_limits(limits: &TrialLimits) -> HeadLimits {
    HeadLimits {
        head_bytes: limits.head_bytes,
        target_bytes: limits.target_bytes,
        fields: limits.fields,
        method_bytes: limits.method_bytes,
        empty_lines: limits.empty_lines,
        ..HeadLimits::default()
    }
}

/// What was found at the beginning of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes of framing.
    More(usize),
    /// So many bytes of framing, then so many of content.
    Data(usize, usize),
    /// So many bytes of framing, and the message is over.
    End(usize),
}

/// Takes the content out of one message.
#[derive(Debug)]
pub struct ContentTrial {
    decoder: BodyDecoder,
    limits: BodyLimits,
}

impl ContentTrial {
    /// For content that ends like this, with the limits of trailers and of the extensions of all chunks.
    pub fn new(end: ContentEnd, limits: &TrialLimits) -> ContentTrial {
        let framing = match end {
            ContentEnd::None => Framing::None,
            ContentEnd::Length(length) => Framing::Length(length),
            ContentEnd::Chunked => Framing::Chunked,
            ContentEnd::UntilClose => Framing::UntilClose,
        };
        let limits = BodyLimits {
            extension_bytes: limits.target_bytes,
            trailer_bytes: limits.head_bytes,
            trailer_fields: limits.fields,
            ..BodyLimits::default()
        };
        ContentTrial { decoder: BodyDecoder::new(framing), limits }
    }

    /// Reads on.
    ///
    /// # Errors
    /// What is wrong.
    pub fn decode(&mut self, input: &[u8]) -> Result<Piece, Refusal> {
        match self.decoder.decode(input, &self.limits) {
            Ok(Decoded::More(count)) => Ok(Piece::More(count)),
            Ok(Decoded::Data { skip, len }) => Ok(Piece::Data(skip, len)),
            Ok(Decoded::End(count)) => Ok(Piece::End(count)),
            Err(violation) => Err(Refusal::new(violation, self.decoder.refused_at())),
        }
    }

    /// Whether no further byte belongs to the message.
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether the message may end where the stream does.
    pub fn end_of_input(&mut self) -> bool {
        self.decoder.end_of_input().is_ok()
    }

    /// The trailer fields of a message that is over.
    pub fn take_trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        let trailers = self.decoder.take_trailers();
        let fields = trailers.iter().flat_map(|head| head.fields());
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}
