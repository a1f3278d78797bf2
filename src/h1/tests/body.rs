//! Content: chunked, by length, until close; whole and cut at every place.

use super::*;

/// What came out: content, trailers if any, unread bytes.
type Played = Result<(Vec<u8>, Option<Vec<(String, Vec<u8>)>>, usize), Violation>;

/// Plays `input` in pieces ending at `cuts`, then the end of the stream if nothing ended it.
fn play(framing: Framing, input: &[u8], limits: &BodyLimits, cuts: &[usize]) -> Played {
    play_to(framing, input, limits, cuts).0
}

/// The same, with the place of a refusal.
fn play_to(framing: Framing, input: &[u8], limits: &BodyLimits, cuts: &[usize]) -> (Played, usize) {
    let mut place = 0;
    (play_noting(framing, input, limits, cuts, &mut place), place)
}

fn play_noting(
    framing: Framing,
    input: &[u8],
    limits: &BodyLimits,
    cuts: &[usize],
    place: &mut usize,
) -> Played {
    let mut decoder = BodyDecoder::new(framing);
    let mut content = Vec::new();
    let (mut at, mut total) = (0, 0);
    for end in cuts.iter().copied().chain([input.len()]) {
        // A caller may come with nothing at any time.
        if at == end && !decoder.is_done() {
            assert_eq!(decoder.decode(&[], limits), Ok(Decoded::More(0)));
        }
        while at <= end {
            let decoded = decoder.decode(&input[at..end], limits);
            let decoded = decoded.inspect_err(|_| {
                *place = at + decoder.refused_at();
                assert!(*place <= end);
            });
            match decoded? {
                Decoded::More(used) => {
                    assert_eq!(used, end - at, "all of it is framing");
                    at += used;
                    break;
                }
                Decoded::Data { skip, len } => {
                    assert!(len > 0);
                    content.extend_from_slice(&input[at + skip..at + skip + len]);
                    at += skip + len;
                    total += skip + len;
                }
                Decoded::End(used) => {
                    at += used;
                    assert!(decoder.is_done() && total <= at);
                    assert_eq!(decoder.decode(b"more", limits), Ok(Decoded::End(0)));
                    assert_eq!(decoder.end_of_input(), Ok(()));
                    return Ok((content, trailers(&mut decoder), input.len() - at));
                }
            }
        }
    }
    decoder.end_of_input()?;
    Ok((content, trailers(&mut decoder), input.len() - at))
}

fn trailers(decoder: &mut BodyDecoder) -> Option<Vec<(String, Vec<u8>)>> {
    let head = decoder.take_trailers()?;
    assert!(decoder.take_trailers().is_none());
    assert_eq!((head.method(), head.target(), head.status()), ("", "", 0));
    Some(head.fields().map(|(name, value)| (name.to_string(), value.to_vec())).collect())
}

fn play_all(framing: Framing, input: &[u8], limits: &BodyLimits) -> Played {
    let whole = play_to(framing, input, limits, &[]);
    let text = String::from_utf8_lossy(input);
    let every: Vec<_> = (0..input.len()).collect();
    assert_eq!(whole, play_to(framing, input, limits, &every), "byte by byte: {text:?}");
    if input.len() < 2000 {
        for cut in 0..input.len() {
            assert_eq!(whole, play_to(framing, input, limits, &[cut]), "cut at {cut}: {text:?}");
        }
    }
    whole.0
}

fn chunked(input: &[u8]) -> Played {
    play_all(Framing::Chunked, input, &BodyLimits::default())
}

const GOOD: &[(&[u8], &[u8], usize)] = &[
    (b"0\r\n\r\n", b"", 0),
    (b"0\r\n\r\nGET /", b"", 5),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"1\r\na\r\n2\r\nbc\r\n000\r\n\r\n\r\n", b"abc", 2),
    (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789", 0),
    (b"00000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"3\r\n\r\n0\r\n0\r\n\r\n", b"\r\n0", 0),
    (b"1;a\r\nx\r\n0;b=c\r\n\r\n", b"x", 0),
    (b"1;a=b;c;d=\"e;\\\"\\\\ f\"\r\nx\r\n0\r\n\r\n", b"x", 0),
    (b"1 ;\t a = b ; c\t=\t\"d\" ;e\r\nx\r\n0\r\n\r\n", b"x", 0),
    (b"1;a=\"\"\r\nx\r\n0\r\n\r\n", b"x", 0),
];

#[test]
fn good_chunks() {
    for (input, content, rest) in GOOD {
        let expected = Ok((content.to_vec(), None, *rest));
        assert_eq!(chunked(input), expected, "{:?}", String::from_utf8_lossy(input));
        // Every proper prefix is incomplete.
        for end in 0..input.len() - rest {
            let found = play(Framing::Chunked, &input[..end], &BodyLimits::default(), &[]);
            assert_eq!(found, Err(Violation::Incomplete));
        }
    }
}

#[rustfmt::skip]
const BAD: &[(u8, &[u8], Violation)] = &[
    (2, b"5\nhello\r\n0\r\n\r\n", Violation::BareLf),
    (2, b"5;a\nhello\r\n0\r\n\r\n", Violation::BareLf),
    (2, b"5;a=\"\nhello", Violation::BareLf),
    (2, b"5\r\nhello\n0\r\n\r\n", Violation::ChunkEnd),
    (2, b"0\r\n\n", Violation::BareLf),
    (3, b"5\rhello", Violation::BareCr),
    (3, b"5;a\rb\r\n", Violation::BareCr),
    (3, b"0\r\n\r\r\n", Violation::BareCr),
    (42, b"\r\n", Violation::ChunkSize),
    (42, b"\n", Violation::ChunkSize),
    (42, b" 5\r\nhello", Violation::ChunkSize),
    (42, b"5 \r\nhello", Violation::ChunkExtension),
    (42, b"5\t\r\nhello", Violation::ChunkExtension),
    (42, b"+5\r\nhello", Violation::ChunkSize),
    (42, b"-5\r\nhello", Violation::ChunkSize),
    (42, b"0x5\r\nhello", Violation::ChunkSize),
    (42, b"1_0\r\n", Violation::ChunkSize),
    (42, b"g\r\n", Violation::ChunkSize),
    (42, b";a\r\n", Violation::ChunkSize),
    (42, b"5,5\r\n", Violation::ChunkSize),
    (43, b"10000000000000000\r\n", Violation::ChunkSize),
    (43, b"00000000000000000\r\n\r\n", Violation::ChunkSize),
    (44, b"5;\r\nhello", Violation::ChunkExtension),
    (44, b"5;;a\r\nhello", Violation::ChunkExtension),
    (44, b"5;=a\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\r\nhello", Violation::ChunkExtension),
    (44, b"5;a==b\r\nhello", Violation::ChunkExtension),
    (44, b"5;a b\r\nhello", Violation::ChunkExtension),
    (44, b"5;a \r\nhello", Violation::ChunkExtension),
    (44, b"5;a=b c\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=b \r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\"b\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\"b\\\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\"b\"c\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\"b\0\"\r\nhello", Violation::ChunkExtension),
    (44, b"5;a=\"\xe9\"\r\nhello", Violation::ChunkExtension),
    (44, b"5;\xe9\r\nhello", Violation::ChunkExtension),
    (44, b"5 a\r\nhello", Violation::ChunkExtension),
    (46, b"5\r\nhello0\r\n\r\n", Violation::ChunkEnd),
    (46, b"5\r\nhelloo\r\n0\r\n\r\n", Violation::ChunkEnd),
    (46, b"5\r\nhell\r\n0\r\n\r\n", Violation::ChunkEnd),
    (46, b"5\r\nhello\rx", Violation::ChunkEnd),
    (46, b"5\r\nhello\r\n\r\n", Violation::ChunkSize),
    (47, b"5\r\nhello\r\n", Violation::Incomplete),
    (47, b"5\r\nhel", Violation::Incomplete),
    (47, b"0\r\n", Violation::Incomplete),
    (47, b"0\r\n\r", Violation::Incomplete),
    (47, b"0\r\nA: b\r\n", Violation::Incomplete),
    (47, b"", Violation::Incomplete),
    (48, b"0\r\nContent-Length: 5\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nA: b\r\ntransfer-encoding: chunked\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nHOST: h\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nAuthorization: x\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nProxy-Authorization: x\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nContent_Length: 5\r\n\r\n", Violation::TrailerField),
    (48, b"0\r\nA : b\r\n\r\n", Violation::SpaceBeforeColon),
    (48, b"0\r\n A: b\r\n\r\n", Violation::SpaceBeforeFields),
    (48, b"0\r\nA: b\r\n c\r\n\r\n", Violation::Fold),
    (48, b"0\r\nA: b\0\r\n\r\n", Violation::FieldValue),
    (48, b"0\r\nA\r\n\r\n", Violation::ColonMissing),
    (48, b"0\r\nA: b\n\r\n", Violation::BareLf),
];

#[test]
fn bad_chunks() {
    for (rule, input, violation) in BAD {
        let text = String::from_utf8_lossy(input);
        assert_eq!(chunked(input), Err(*violation), "rule {rule}: {text:?}");
        assert_eq!(violation.status(), 400);
    }
}

#[test]
fn trailer_sections() {
    let input = b"1\r\nx\r\n0;a\r\nDigest:  abc \r\nB:\r\ndigest: \xe9\r\n\r\nrest";
    let expected: [(&str, &[u8]); 3] = [("Digest", b"abc"), ("B", b""), ("digest", b"\xe9")];
    let expected = expected.map(|(name, value)| (name.to_string(), value.to_vec())).to_vec();
    assert_eq!(chunked(input), Ok((b"x".to_vec(), Some(expected), 4)));
}

#[test]
fn limits_are_exact() {
    let limits = BodyLimits {
        extension_bytes_per_chunk: 8,
        extension_bytes: 20,
        trailer_bytes: 12,
        trailer_fields: 2,
        ..BodyLimits::default()
    };
    let play = |input: &str| play_all(Framing::Chunked, input.as_bytes(), &limits).map(|_| ());
    assert_eq!(play("1;2345678\r\nx\r\n0\r\n\r\n"), Ok(()));
    assert_eq!(play("1;23456789\r\nx\r\n0\r\n\r\n"), Err(Violation::ExtensionTooLarge));
    assert_eq!(play("1;2345678\r\nx\r\n1;2345678\r\nx\r\n0;aaa\r\n\r\n"), Ok(()));
    let over = play("1;2345678\r\nx\r\n1;2345678\r\nx\r\n0;aaaa\r\n\r\n");
    assert_eq!(over, Err(Violation::ExtensionTooLarge));
    assert_eq!(play("0\r\nA: b\r\nC: d\r\n\r\n"), Ok(()));
    assert_eq!(play("0\r\nA: b\r\nC: dd\r\n\r\n"), Err(Violation::TrailersTooLarge));
    assert_eq!(play("0\r\nA: bbbbbbbbbbbb"), Err(Violation::TrailersTooLarge));
    assert_eq!(play("0\r\nA:\r\nB:\r\n\r\n"), Ok(()));
    assert_eq!(play("0\r\nA:\r\nB:\r\nC:\r\n\r\n"), Err(Violation::TrailersTooLarge));
    assert_eq!(Violation::TrailersTooLarge.status(), 431);
    let some = BodyLimits { content_bytes: 17, ..limits };
    let play = |input: &[u8]| play_all(Framing::Chunked, input, &some).map(|played| played.0.len());
    assert_eq!(play(b"10\r\n0123456789abcdef\r\n1\r\nx\r\n0\r\n\r\n"), Ok(17));
    let over = Err(Violation::ContentTooLarge);
    assert_eq!(play(b"10\r\n0123456789abcdef\r\n2\r\n"), over, "before the data");
    assert_eq!(play(b"ffffffffffffffff\r\n"), over);
    assert_eq!(play(b"1\r\nx\r\nffffffffffffffff\r\n"), over, "a sum that would wrap");
    let none = BodyLimits { trailer_bytes: 0, trailer_fields: 0, ..limits };
    assert!(play_all(Framing::Chunked, b"0\r\n\r\n", &none).is_ok());
}

#[test]
fn content_by_length() {
    let limits = BodyLimits::default();
    let play = |length, input| play_all(Framing::Length(length), input, &limits);
    assert_eq!(play(5, b"hello"), Ok((b"hello".to_vec(), None, 0)));
    assert_eq!(play(5, b"helloGET"), Ok((b"hello".to_vec(), None, 3)));
    assert_eq!(play(5, b"hell"), Err(Violation::Incomplete));
    assert_eq!(play(0, b"x"), Ok((Vec::new(), None, 1)));
    let mut decoder = BodyDecoder::new(Framing::Length(2));
    assert!(!decoder.is_done() && !decoder.is_chunked());
    assert_eq!(decoder.decode(b"ab", &limits), Ok(Decoded::Data { skip: 0, len: 2 }));
    assert!(decoder.is_done());
    assert_eq!(decoder.decode(b"", &limits), Ok(Decoded::End(0)));
    let mut decoder = BodyDecoder::new(Framing::Length(u64::MAX));
    decoder.decode(b"ab", &limits).unwrap();
    assert_eq!(decoder.remaining_hint(), Some(u64::MAX - 2));
}

#[test]
fn content_until_close() {
    let limits = BodyLimits::default();
    let played = play_all(Framing::UntilClose, b"0\r\n\r\n", &limits);
    assert_eq!(played, Ok((b"0\r\n\r\n".to_vec(), None, 0)));
    let mut decoder = BodyDecoder::new(Framing::UntilClose);
    assert!(!decoder.is_done() && decoder.remaining_hint().is_none());
    decoder.end_of_input().unwrap();
    assert_eq!(decoder.decode(b"", &limits), Ok(Decoded::End(0)));
}

#[test]
fn no_content() {
    let mut decoder = BodyDecoder::default();
    assert!(decoder.is_done() && decoder.take_trailers().is_none());
    assert_eq!(decoder.decode(b"GET", &BodyLimits::default()), Ok(Decoded::End(0)));
    assert!(size_of::<BodyDecoder>() <= 48);
    assert!(size_of::<HeadProgress>() <= 16);
}

#[test]
fn a_chunk_of_the_largest_size_does_not_wrap() {
    let limits = BodyLimits::default();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    let input = b"ffffffffffffffff\r\nabc";
    assert_eq!(decoder.decode(input, &limits), Ok(Decoded::Data { skip: 18, len: 3 }));
    assert_eq!(decoder.decode(b"\r\n0\r\n", &limits), Ok(Decoded::Data { skip: 0, len: 5 }));
    assert_eq!(decoder.end_of_input(), Err(Violation::Incomplete));
}

#[test]
fn mutations_get_one_answer() {
    let mut random = fastrand::Rng::with_seed(0xd1b5_4a32_d192_ed03);
    let tight = BodyLimits {
        extension_bytes_per_chunk: 4,
        extension_bytes: 6,
        trailer_bytes: 9,
        trailer_fields: 1,
        content_bytes: 40,
        ..BodyLimits::default()
    };
    let trailers: &[u8] = b"2;a=\"b\"\r\nxy\r\n0\r\nDigest: abc\r\nE:\r\n\r\n";
    let corpus: Vec<&[u8]> = GOOD.iter().map(|row| row.0).chain([trailers; 10]).collect();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..4000 {
        let input = mutate(corpus[random.usize(..corpus.len())], &mut random);
        let limits = if round % 3 == 0 { tight } else { BodyLimits::default() };
        match play_all(Framing::Chunked, &input, &limits) {
            Ok(_) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 200 && refused > 1000, "{taken} {refused}");
}
