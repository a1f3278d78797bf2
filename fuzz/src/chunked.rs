//! Chunked content, and content of the other framings.
//!
//! Generated: bytes, cuts, limits, how the content ends. Asserted: whole and in pieces the same content, trailers and
//! outcome; the oracle says the same of every chunked input; content is never longer than the input and lies within
//! it, trailers keep within their limits, nothing is read past the end.

use onloop::internals::{ContentEnd, ContentTrial, Piece, Refusal, TrialLimits};

use crate::input::{Random, choices, cuts};
use crate::oracle::{self, Fields, Stop, Text};

const LIMITS: [TrialLimits; 3] =
    [limits(16 * 1024, 16 * 1024, 128), limits(24, 8, 2), limits(200, 40, 6)];

const fn limits(trailer_bytes: usize, extension_bytes: usize, fields: usize) -> TrialLimits {
    TrialLimits {
        head_bytes: trailer_bytes,
        target_bytes: extension_bytes,
        fields,
        method_bytes: 32,
        empty_lines: 4,
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    content: Text,
    trailers: Fields,
    /// Where the message ended.
    end: Option<usize>,
    /// And where the wrong byte is in the whole input.
    refusal: Option<Refusal>,
}

/// The body of the target.
pub fn check(data: &[u8]) {
    let Some(([end, limits, pieces, seed], bytes)) = choices(data) else { return };
    let limits = LIMITS[limits % LIMITS.len()];
    let end = match end {
        0..12 => ContentEnd::Chunked,
        12 => ContentEnd::None,
        13 => ContentEnd::UntilClose,
        _ => ContentEnd::Length(seed as u64 * 7),
    };
    let whole = play(end, &limits, bytes, &[bytes.len()]);
    let cuts = cuts(pieces, bytes.len(), &mut Random::new(seed, bytes));
    assert_eq!(whole, play(end, &limits, bytes, &cuts), "in pieces that end at {cuts:?}");
    match end {
        ContentEnd::Chunked => judge(&limits, bytes, &whole),
        ContentEnd::None => assert_eq!((whole.end, whole.content.len()), (Some(0), 0)),
        ContentEnd::UntilClose => assert_eq!((whole.end, &*whole.content), (None, bytes)),
        ContentEnd::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            assert_eq!(*whole.content, bytes[..length.min(bytes.len())]);
            assert_eq!(whole.end, (bytes.len() >= length).then_some(length));
        }
    }
}

/// Gives the decoder one piece after the other, each until it asks for more.
fn play(end: ContentEnd, limits: &TrialLimits, bytes: &[u8], cuts: &[usize]) -> Seen {
    let mut trial = ContentTrial::new(end, limits);
    let mut seen = Seen::default();
    let mut at = 0;
    for &cut in cuts {
        while !trial.is_done() {
            let input = &bytes[at..cut];
            match trial.decode(input) {
                Ok(Piece::More(count)) => {
                    assert_eq!(count, input.len(), "more was asked for while there was some");
                    at += count;
                    break;
                }
                Ok(Piece::Data(skip, length)) => {
                    assert!(length > 0, "content of no bytes");
                    seen.content.0.extend_from_slice(&input[skip..skip + length]);
                    at += skip + length;
                }
                Ok(Piece::End(count)) => {
                    assert!(trial.is_done() && count <= input.len());
                    at += count;
                }
                Err(refusal) => {
                    assert!(refusal.at <= input.len(), "the wrong byte had not come");
                    assert!(!trial.is_done() && !trial.end_of_input());
                    seen.refusal = Some(Refusal { at: at + refusal.at, ..refusal });
                    return seen;
                }
            }
        }
    }
    if trial.is_done() {
        seen.end = Some(at);
        let trailers = trial.take_trailers().into_iter();
        seen.trailers =
            trailers.map(|(name, value)| (name.as_str().into(), value.into())).collect();
        assert_eq!(trial.decode(&bytes[at..]), Ok(Piece::End(0)), "it reads on behind the end");
    }
    assert_eq!(trial.end_of_input(), seen.end.is_some() || end == ContentEnd::UntilClose);
    seen
}

fn judge(limits: &TrialLimits, bytes: &[u8], seen: &Seen) {
    assert!(seen.content.len() <= bytes.len());
    match (seen, oracle::chunked(bytes)) {
        (Seen { end: Some(end), .. }, Ok((chunked, length))) => {
            assert_eq!(*end, length);
            assert_eq!((&seen.content, &seen.trailers), (&chunked.content, &chunked.trailers));
            assert!(chunked.trailer_bytes <= limits.head_bytes);
            assert!(seen.trailers.len() <= limits.fields);
        }
        (Seen { end: None, refusal: None, .. }, Err(Stop::Incomplete)) => {}
        (Seen { refusal: Some(refusal), .. }, _) if refusal.is_limit => {
            let smallest = limits.head_bytes.min(limits.target_bytes).min(4096);
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            assert!(bytes.len() > smallest || lines > limits.fields, "{refusal:?} within limits");
        }
        (Seen { refusal: Some(_), .. }, Err(Stop::Wrong)) => {}
        (seen, judged) => panic!("{seen:?}, but the oracle says {judged:?}"),
    }
}
