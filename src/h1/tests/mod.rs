//! Every message of the corpus, good and bad, is played whole, byte by byte and cut in two at every
//! place; the answer must be the same.

mod body;
mod framing;
mod requests;
mod responses;
mod work;

use super::*;

pub(super) const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 16 * 1024,
    target_bytes: 8 * 1024,
    fields: 100,
    content_bytes: u64::MAX,
    method_bytes: 32,
    empty_lines: 4,
    host_optional: false,
    join_duplicates: false,
};

/// All that can be known of a head.
#[derive(Debug, PartialEq, Eq, Clone, Default)]
pub(super) struct Seen {
    consumed: usize,
    method: String,
    target: String,
    minor: u8,
    status: u16,
    reason: Vec<u8>,
    fields: Vec<(String, Vec<u8>)>,
    meaning: Meaning,
}

pub(super) type Answer = Result<Option<Seen>, Violation>;

fn seen(head: &Head, consumed: usize) -> Seen {
    assert_eq!(head.fields().len(), head.field_count());
    Seen {
        consumed,
        method: head.method().into(),
        target: head.target().into(),
        minor: head.version_minor(),
        status: head.status(),
        reason: head.reason().into(),
        fields: head.fields().map(|(name, value)| (name.into(), value.into())).collect(),
        meaning: *head.meaning(),
    }
}

/// Feeds growing prefixes of `input`, ending at each of `cuts` and at its end.
fn play(
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    read: impl FnMut(&[u8], &mut HeadProgress, &mut Head) -> Result<Option<usize>, Violation>,
) -> Answer {
    play_to(input, cuts, read).0
}

/// The same, with the place of a refusal.
fn play_to(
    input: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    mut read: impl FnMut(&[u8], &mut HeadProgress, &mut Head) -> Result<Option<usize>, Violation>,
) -> (Answer, usize) {
    let mut progress = HeadProgress::default();
    let mut head = Head::default();
    for end in cuts.into_iter().chain([input.len()]) {
        match read(&input[..end], &mut progress, &mut head) {
            Ok(None) => assert_eq!(progress.position(), end),
            Ok(Some(consumed)) => {
                assert!(consumed <= end);
                return (Ok(Some(seen(&head, consumed))), 0);
            }
            Err(violation) => {
                assert!(progress.position() <= end);
                return (Err(violation), progress.position());
            }
        }
    }
    (Ok(None), 0)
}

/// Plays a head in all ways and gives the one answer.
fn play_all(
    input: &[u8],
    mut read: impl FnMut(&[u8], &mut HeadProgress, &mut Head) -> Result<Option<usize>, Violation>,
) -> Answer {
    let whole = play_to(input, [], &mut read);
    let single = play_to(input, 0..input.len(), &mut read);
    let text = String::from_utf8_lossy(input);
    assert_eq!(whole, single, "byte by byte: {text:?}");
    if input.len() < 2000 {
        for cut in 0..input.len() {
            assert_eq!(whole, play_to(input, [cut], &mut read), "cut at {cut}: {text:?}");
        }
    }
    whole.0
}

pub(super) fn request_with(input: &[u8], limits: &HeadLimits) -> Answer {
    play_all(input, |input, progress, head| parse_request(input, limits, progress, head))
}

pub(super) fn request(input: &[u8]) -> Answer {
    request_with(input, &LIMITS)
}

pub(super) fn response(input: &[u8], asked: Asked) -> Answer {
    play_all(input, |input, progress, head| parse_response(input, &LIMITS, progress, asked, head))
}

/// The head that must be there.
pub(super) fn good(answer: Answer) -> Seen {
    answer.expect("valid").expect("complete")
}

/// Changes, inserts, removes or repeats a few bytes; most of what it picks has a meaning.
pub(super) fn mutate(input: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    const BYTES: &[u8] = b"\r\n\t :;,=\"\\0123456789abcfHPT/.%*?#-_\0\x0b\x7f\x80\xff";
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(..3) + 1 {
        let at = random.usize(..bytes.len());
        let byte = BYTES[random.usize(..BYTES.len())];
        match random.usize(..5) {
            0 | 1 => bytes[at] = byte,
            2 => bytes.insert(at, byte),
            3 if bytes.len() > 1 => drop(bytes.remove(at)),
            _ => {
                let end = (at + random.usize(..20)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}
