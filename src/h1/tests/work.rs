//! Work must grow with the bytes, not with the reads.

use std::time::{Duration, Instant};

use super::*;
use crate::h1::token::COMPARED;

/// A trickled head is looked at once. Quadratic, the 16 KiB of this one would mean 134 million
/// bytes, and each of the 400 rounds more than the time that all of them have.
#[test]
fn a_trickled_head_is_not_read_again_and_again() {
    let value = "x".repeat(100);
    let mut text = String::from("GET / HTTP/1.1\r\nHost: h\r\n");
    while text.len() < 16_000 {
        text += &format!("Name: {value}\r\n");
    }
    text += "\r\n";
    let limits = HeadLimits { fields: 1000, ..LIMITS };
    let start = Instant::now();
    for _ in 0..40 {
        let answer = play(text.as_bytes(), 0..text.len(), |input, progress, head| {
            parse_request(input, &limits, progress, head)
        });
        assert_eq!(good(answer).consumed, text.len());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_trickled_trailer_section_is_not_read_again_and_again() {
    let text = format!("0\r\n{}\r\n", format!("Name: {}\r\n", "x".repeat(200)).repeat(70));
    let limits = BodyLimits::default();
    let start = Instant::now();
    for _ in 0..40 {
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        for byte in text.as_bytes().chunks(1) {
            decoder.decode(byte, &limits).unwrap();
        }
        assert_eq!(decoder.take_trailers().unwrap().field_count(), 70);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn many_fields_are_set_together_with_few_looks_at_each() {
    let mut list = FieldList::default();
    for number in 0..8_000 {
        list.append(format!("{number:04}").as_bytes(), b"").unwrap();
    }
    let mut cookies = FieldList::default();
    for _ in 0..4_000 {
        cookies.append(b"Cookie", b"abcd").unwrap();
    }
    let mut fields = FieldList::default();
    let before = COMPARED.get();
    fields.set_all(&list, |_| false).unwrap();
    fields.set_all(&list, |_| false).unwrap();
    assert_eq!(fields.wire(), list.wire());
    fields.clear();
    fields.set_all(&cookies, |_| true).unwrap();
    // Each with each would be tens of millions.
    let compared = COMPARED.get() - before;
    assert!(compared < 10 * (2 * 8_000 + 4_000), "{compared} pairs of names were compared");
    assert_eq!(fields.first(b"cookie").map(<[u8]>::len), Some(6 * 4_000 - 2));
}

#[test]
fn a_switch_is_told_with_few_looks_at_both_lists() {
    let mut asked = FieldList::default();
    asked.append(b"Upgrade", format!("{}b", "a,".repeat(20_000)).as_bytes()).unwrap();
    let named = "b,".repeat(20_000);
    let text = format!("HTTP/1.1 101 \r\nConnection: upgrade\r\nUpgrade: {named}\r\n\r\n");
    let limits = HeadLimits { head_bytes: 65_535, ..LIMITS };
    let (mut progress, mut head) = (HeadProgress::default(), Head::default());
    let input = text.as_bytes();
    parse_response(input, &limits, &mut progress, Asked::Other, &mut head).unwrap();
    let before = COMPARED.get();
    assert!(is_switch(&head, &asked));
    // Each with each would be hundreds of millions.
    let compared = COMPARED.get() - before;
    assert!(compared < 10 * 2 * 20_000, "{compared} pairs of names were compared");
}
