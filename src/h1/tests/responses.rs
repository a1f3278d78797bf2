//! Response heads: a row per rule.

use super::*;

#[test]
fn good_responses_are_taken() {
    for (bytes, minor, status, reason) in [
        (&b"HTTP/1.1 200 OK\r\n\r\n"[..], 1, 200, &b"OK"[..]),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", 1, 200, b"OK"),
        (b"HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n", 0, 404, b"Not Found"),
        (b"HTTP/1.1 200\r\n\r\n", 1, 200, b""),
        (b"HTTP/1.1 200\r\nA: b\r\n\r\n", 1, 200, b""),
        (b"HTTP/1.1 200 \r\n\r\n", 1, 200, b""),
        (b"HTTP/1.1 200  \t\r\n\r\n", 1, 200, b" \t"),
        (b"HTTP/1.1 999 \xe9t\xe9\r\nA: b\r\n\r\n", 1, 999, b"\xe9t\xe9"),
        (b"HTTP/1.3 100 x\r\n\r\n", 1, 100, b"x"),
        (b"HTTP/1.1 599 a:b\r\n\r\n", 1, 599, b"a:b"),
    ] {
        let seen = good(response(bytes, Asked::Other));
        assert_eq!((seen.minor, seen.status, seen.reason.as_slice()), (minor, status, reason));
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("", ""));
        assert_eq!(seen.fields.len(), bytes.windows(4).filter(|part| part == b"A: b").count());
    }
}

#[rustfmt::skip]
const BAD: &[(u8, &[u8], Violation)] = &[
    (87, b"HTTP/2.0 200 OK\r\n\r\n", Violation::VersionUnsupported),
    (87, b"HTTP/2 200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"HTTP/1.1\r\n\r\n", Violation::StatusLine),
    (87, b"HTTP/1.1  200 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1\t200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"HTTP/1.1 20 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 2000 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 099 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 000\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 -20 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 +20 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 2x0 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 OK\r\n\r\n", Violation::Status),
    (87, b"HTTP/1.1 200\tOK\r\n\r\n", Violation::Status),
    (87, b"http/1.1 200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"HTTP/11.1 200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"hello\r\n\r\n", Violation::StatusLine),
    (87, b"\r\nHTTP/1.1 200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"\nHTTP/1.1 200 OK\r\n\r\n", Violation::StatusLine),
    (87, b"<html>", Violation::StatusLine),
    (2, b"HTTP/1.1 200 OK\n\r\n", Violation::BareLf),
    (2, b"HTTP/1.1 200\n\n", Violation::BareLf),
    (2, b"HTTP/1.1 200 OK\r\nA: b\n\r\n", Violation::BareLf),
    (2, b"HTTP/1.1 200 OK\r\nA: b\r\n\n", Violation::BareLf),
    (3, b"HTTP/1.1 200 O\rK\r\n\r\n", Violation::BareCr),
    (3, b"HTTP/1.1 200\rOK\r\n\r\n", Violation::BareCr),
    (4, b"HTTP/1.1 200 O\0K\r\n\r\n", Violation::Reason),
    (4, b"HTTP/1.1 200 OK\x7f\r\n\r\n", Violation::Reason),
    (7, b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Violation::SpaceBeforeFields),
    (25, b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", Violation::SpaceBeforeColon),
    (26, b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Violation::Fold),
    (28, b"HTTP/1.1 200 OK\r\nA\r\n\r\n", Violation::ColonMissing),
    (91, b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", Violation::ContentLength),
];

#[test]
fn bad_responses_are_refused() {
    for (rule, bytes, violation) in BAD {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(response(bytes, Asked::Other), Err(*violation), "rule {rule}: {text:?}");
    }
}

#[test]
fn names_that_only_look_like_framing_do_not_frame() {
    let seen = good(response(b"HTTP/1.1 200 OK\r\nContent_Length: 5\r\n\r\n", Asked::Other));
    assert_eq!(seen.meaning.framing, Framing::UntilClose);
}

#[test]
fn persistence() {
    let read = |text: &str| good(response(text.as_bytes(), Asked::Other)).meaning;
    let length = "Content-Length: 1\r\n\r\n";
    assert!(read(&format!("HTTP/1.1 200 OK\r\n{length}")).persistent);
    assert!(!read(&format!("HTTP/1.1 200 OK\r\nConnection: x, close\r\n{length}")).persistent);
    assert!(!read(&format!("HTTP/1.0 200 OK\r\n{length}")).persistent);
    assert!(read(&format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{length}")).persistent);
    assert!(!read("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n").persistent, "until close");
    let upgrade = read("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n");
    assert!(upgrade.upgrade && upgrade.framing == Framing::None);
}

#[test]
fn keep_alive_timeouts() {
    for (value, expected) in [
        ("timeout=5, max=100", Some(5)),
        ("max=100,timeout=65", Some(65)),
        ("Timeout=0", Some(0)),
        ("timeout=99999999999", Some(u32::MAX)),
        ("timeout=-1", None),
        ("timeout=5s", None),
        ("timeout=", None),
        ("xtimeout=5", None),
        ("", None),
    ] {
        let text = format!("HTTP/1.1 204 x\r\nKeep-Alive: {value}\r\n\r\n");
        let found = good(response(text.as_bytes(), Asked::Other)).meaning.keep_alive_timeout;
        assert_eq!(found, expected, "{value:?}");
    }
}

#[test]
fn mutations_get_one_answer() {
    let mut random = fastrand::Rng::with_seed(0x2545_f491_4f6c_dd1d);
    let good: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\nA:\r\n\r\nhello";
    let corpus: Vec<&[u8]> = BAD.iter().map(|row| row.1).chain([good; 20]).collect();
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..4000 {
        let input = mutate(corpus[random.usize(..corpus.len())], &mut random);
        match response(&input, Asked::Other) {
            Ok(Some(_)) => taken += 1,
            Ok(None) => {}
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 200 && refused > 1000, "{taken} {refused}");
}
