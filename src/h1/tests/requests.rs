//! Request heads: a row per rule.

use super::*;

#[test]
fn a_plain_request() {
    let input = b"GET /a?b HTTP/1.1\r\nHost: h\r\nX:  y z \t\r\nEmpty:\r\nBlank: \t \r\nO: \xe9\r\n\r\nrest";
    let seen = good(request(input));
    let fields: Vec<_> = seen.fields.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
    let expected: [(&str, &[u8]); 5] =
        [("Host", b"h"), ("X", b"y z"), ("Empty", b""), ("Blank", b""), ("O", b"\xe9")];
    assert_eq!(fields, expected);
    assert_eq!((seen.method.as_str(), seen.target.as_str(), seen.minor), ("GET", "/a?b", 1));
    assert_eq!(seen.consumed, input.len() - 4);
    assert_eq!(seen.meaning, Meaning { persistent: true, ..Meaning::default() });
    assert_eq!((seen.status, seen.reason.as_slice()), (0, &b""[..]));
}

/// Valid requests, with what is special about them left to other tests.
pub(super) const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nUser-Agent: x/1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.9\r\nHost: h\r\nA:b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nhost:h\r\ncontent-length:\t0005 \t\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nTRANSFER-ENCODING:  Chunked\t\r\n\r\n",
    "PUT http://a:80/b?c HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "M!#$%&'*+-.^_`|~9 / HTTP/1.1\r\nHost: h\r\n!#$%&'*+-.^_`|~9: v\r\n\r\n",
    "GET /form?text=one%0D%0Atwo%00&x=? HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET /%7e?a[]=b&c='(*)!$;:@,d HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA: a:b;c\"d\\e\u{e9}\r\n\r\nGET / HTTP/1.1\r\n",
];

#[test]
fn good_requests_are_taken() {
    for text in GOOD {
        let seen = good(request(text.as_bytes()));
        let end = text.find("\r\n\r\n").unwrap() + 4;
        assert!(seen.consumed >= end, "{text:?}");
        assert!(seen.minor <= 1 && seen.status == 0);
        // Every proper prefix of the head waits.
        assert_eq!(request(&text.as_bytes()[..seen.consumed - 1]), Ok(None), "{text:?}");
    }
}

/// Number of the rule, message, violation, status.
#[rustfmt::skip]
const BAD: &[(u8, &[u8], Violation, u16)] = &[
    (2, b"GET / HTTP/1.1\nHost: h\r\n\r\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.1\r\nHost: h\n\r\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.1\r\nHost: h \n\r\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.1\r\nHost: h\r\n\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.1\r\nHost: h\r\nA:\n\r\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.1\n\n", Violation::BareLf, 400),
    (2, b"GET / HTTP/1.0\r\n\n", Violation::BareLf, 400),
    (2, b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::BareLf, 400),
    (2, b"GET /\nHost: h\r\n\r\n", Violation::BareLf, 400),
    (3, b"GET / HTTP/1.1\rHost: h\r\n\r\n", Violation::BareCr, 400),
    (3, b"GET / HTTP/1.1\r\nHost: h\rA: b\r\n\r\n", Violation::BareCr, 400),
    (3, b"GET / HTTP/1.1\r\nHost: h\r\n\rA: b\r\n\r\n", Violation::BareCr, 400),
    (3, b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", Violation::BareCr, 400),
    (3, b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::BareCr, 400),
    (4, b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", Violation::FieldValue, 400),
    (4, b"GET / HTTP/1.1\r\nHost: h\r\nA: b\x7f\r\n\r\n", Violation::FieldValue, 400),
    (4, b"GET / HTTP/1.1\r\nHost: h\r\nA:\x0bb\r\n\r\n", Violation::FieldValue, 400),
    (4, b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (5, b"GE\xc3\xa9 / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Method, 400),
    (5, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (5, b"GET / HTTP/1.1\r\nHost: h\r\nN\xc3\xa9: b\r\n\r\n", Violation::FieldName, 400),
    (6, b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::EmptyLines, 400),
    (7, b"GET / HTTP/1.1\r\n Host: h\r\n\r\n", Violation::SpaceBeforeFields, 400),
    (7, b"GET / HTTP/1.1\r\n\tA: b\r\nHost: h\r\n\r\n", Violation::SpaceBeforeFields, 400),
    (9, b"\x80\x01", Violation::Method, 400),
    (9, b"\x16\x03\x01\x02\x00\x01", Violation::TlsHandshake, 400),
    (9, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Violation::VersionUnsupported, 505),
    (10, b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (10, b"GET /  HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (10, b"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", Violation::Version, 400),
    (10, b" GET / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Method, 400),
    (10, b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Method, 400),
    (10, b"GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (10, b"GET\r\nHost: h\r\n\r\n", Violation::Method, 400),
    (11, b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Method, 400),
    (11, b"HTTP/1.1 200 OK\r\n\r\n", Violation::Method, 400),
    (12, b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", Violation::MethodTooLong, 400),
    (12, b"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::MethodTooLong, 400),
    (14, b"GET /a\"b HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a\\b HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a{ HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /% HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a%0d%0aX:y HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a?b=%0 HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (14, b"GET /a?%20%zz HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (15, b"GET a HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (15, b"GET \\ HTTP/1.1\r\nHost: h\r\n\r\n", Violation::Target, 400),
    (16, b"GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (16, b"GET http://u:p@h/ HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (16, b"GET http://a/ HTTP/1.1\r\n\r\n", Violation::HostMissing, 400),
    (17, b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (17, b"CONNECT h HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (17, b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (18, b"GET * HTTP/1.1\r\nHost: h\r\n\r\n", Violation::TargetForm, 400),
    (19, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", Violation::VersionUnsupported, 505),
    (19, b"GET / HTTP/0.9\r\nHost: h\r\n\r\n", Violation::VersionUnsupported, 505),
    (19, b"GET / HTTP/3.0\n\r\n\r\n", Violation::BareLf, 400),
    (19, b"GET / http/1.1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / HTTP/1.10\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / HTTP/11.1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / HTTP/1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / HTTP/1.x\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / HTTP/ 1.1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET / XTTP/1.1\r\nHost: h\r\n\r\n", Violation::Version, 400),
    (19, b"GET /\r\n", Violation::Version, 400),
    (21, b"GET / HTTP/1.1\r\n\r\n", Violation::HostMissing, 400),
    (21, b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", Violation::HostRepeated, 400),
    (21, b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nhOST: g\r\n\r\n", Violation::HostRepeated, 400),
    (22, b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Violation::Host, 400),
    (22, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Violation::Host, 400),
    (22, b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Violation::Host, 400),
    (22, b"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", Violation::Host, 400),
    (22, b"GET / HTTP/1.1\r\nHost: h/\r\n\r\n", Violation::Host, 400),
    (22, b"GET / HTTP/1.1\r\nHost: h:a\r\n\r\n", Violation::Host, 400),
    (23, b"GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", Violation::HostRepeated, 400),
    (23, b"GET / HTTP/1.0\r\nHost: h?\r\n\r\n", Violation::Host, 400),
    (24, b"GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", Violation::FieldName, 400),
    (24, b"GET / HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", Violation::SpaceBeforeColon, 400),
    (24, b"GET / HTTP/1.1\r\nHost: h\r\n(A): c\r\n\r\n", Violation::FieldName, 400),
    (25, b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", Violation::SpaceBeforeColon, 400),
    (25, b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 1\r\n\r\n", Violation::SpaceBeforeColon, 400),
    (26, b"GET / HTTP/1.1\r\nHost: h\r\n A: b\r\n\r\n", Violation::Fold, 400),
    (26, b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n", Violation::Fold, 400),
    (26, b"GET / HTTP/1.1\r\nHost: h\r\n\t\r\n\r\n", Violation::Fold, 400),
    (27, b"GET / HTTP/1.1\r\nHost: h\x0c\r\n\r\n", Violation::FieldValue, 400),
    (28, b"GET / HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", Violation::ColonMissing, 400),
    (28, b"GET / HTTP/1.1\r\nHost\r\n\r\n", Violation::ColonMissing, 400),
    (33, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", Violation::ContentLength, 400),
    (33, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", Violation::ContentLength, 400),
    (33, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n", Violation::ContentLength, 400),
    (33, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 2\r\n\r\n", Violation::ContentLength, 400),
    (33, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\xa0\r\n\r\n", Violation::ContentLength, 400),
    (34, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n", Violation::ContentLength, 400),
    (35, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", Violation::ContentLengthRepeated, 400),
    (35, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", Violation::ContentLengthRepeated, 400),
    (36, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::LengthAndEncoding, 400),
    (36, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\nContent-Length: 0\r\n\r\n", Violation::LengthAndEncoding, 400),
    (37, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Violation::TransferCodingUnknown, 501),
    (37, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Violation::TransferEncoding, 400),
    (38, b"POST / HTTP/1.1\r\nHost: h\r\nContent_Length: 5\r\n\r\n", Violation::LookAlike, 400),
    (38, b"POST / HTTP/1.1\r\nHost: h\r\ntransfer_encoding: chunked\r\n\r\n", Violation::LookAlike, 400),
    (39, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::EncodingInOldVersion, 400),
    (53, b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\n\r\n", Violation::ConnectContent, 400),
    (53, b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n", Violation::ConnectContent, 400),
];

#[test]
fn bad_requests_are_refused() {
    for (rule, bytes, violation, status) in BAD {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(request(bytes), Err(*violation), "rule {rule}: {text:?}");
        assert_eq!(violation.status(), *status, "rule {rule}: {text:?}");
    }
}

#[test]
fn refusals_come_with_the_first_wrong_byte() {
    for (bytes, at) in [
        (&b"GET / HTTP/1.1\nHost"[..], 15),
        (b"GET /a b HTTP/1.1\r\n", 8),
        (b"GE(", 3),
        (b"\x16", 1),
        (b"GET / HTTP/1.1\r\nA b", 18),
        (b"GET / HTTP/1.1\r\nA: \0", 20),
        (b"GET / HTTP/1.1\r\nA: b\r\n c", 23),
        (b"GET / HTTP/2.0\r", 15),
        (b"GET * HTTP/1.1\r\n", 16),
    ] {
        assert_eq!(request(&bytes[..at - 1]), Ok(None), "{at} of {bytes:?}");
        assert!(request(&bytes[..at]).is_err(), "{at} of {bytes:?}");
    }
}

fn with_target(bytes: usize) -> Vec<u8> {
    format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(bytes - 1)).into_bytes()
}

#[test]
fn limits_are_exact() {
    let limits =
        HeadLimits { head_bytes: 300, target_bytes: 20, fields: 3, ..HeadLimits::default() };
    assert!(matches!(request_with(&with_target(20), &limits), Ok(Some(_))));
    assert_eq!(request_with(&with_target(21), &limits), Err(Violation::TargetTooLong));
    assert_eq!(Violation::TargetTooLong.status(), 414);
    let method =
        |bytes: usize| format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "M".repeat(bytes)).into_bytes();
    for most in [7, 32, 100] {
        let limits = HeadLimits { method_bytes: most, ..limits };
        let most = usize::from(most);
        assert!(matches!(request_with(&method(most), &limits), Ok(Some(_))));
        assert_eq!(request_with(&method(most + 1), &limits), Err(Violation::MethodTooLong));
    }
    let behind = |lines: usize| [b"\r\n".repeat(lines), with_target(5)].concat();
    for most in [0, 4, 100] {
        let limits = HeadLimits { empty_lines: most, ..limits };
        let most = usize::from(most);
        assert!(matches!(request_with(&behind(most), &limits), Ok(Some(_))));
        assert_eq!(request_with(&behind(most + 1), &limits), Err(Violation::EmptyLines));
    }
    let fields = |count: usize| {
        format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count - 1)).into_bytes()
    };
    assert!(matches!(request_with(&fields(3), &limits), Ok(Some(_))));
    assert_eq!(request_with(&fields(4), &limits), Err(Violation::TooManyFields));
    assert_eq!(Violation::TooManyFields.status(), 431);
    let sized = |bytes: usize| {
        let fixed = "GET / HTTP/1.1\r\nHost: h\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "x".repeat(bytes - fixed))
            .into_bytes()
    };
    assert!(matches!(request_with(&sized(300), &limits), Ok(Some(_))));
    for bytes in 301..305 {
        assert_eq!(request_with(&sized(bytes), &limits), Err(Violation::HeadTooLarge), "{bytes}");
    }
    // At the limit without an end, one byte more is certain.
    assert_eq!(request_with(&sized(400)[..300], &limits), Err(Violation::HeadTooLarge));
    assert_eq!(request_with(&sized(400)[..299], &limits), Ok(None));
    // What is wrong before the limit counts first, what is wrong after it does not count.
    let mut both = sized(400);
    both[298] = 0;
    assert_eq!(request_with(&both, &limits), Err(Violation::FieldValue));
    (both[298], both[301]) = (b'x', 0);
    assert_eq!(request_with(&both, &limits), Err(Violation::HeadTooLarge));
    // The empty lines are part of the head.
    let mut skipped = b"\r\n".to_vec();
    skipped.extend(sized(299));
    assert_eq!(request_with(&skipped, &limits), Err(Violation::HeadTooLarge));
}

#[test]
fn the_longest_method_has_32_bytes_however_it_arrives() {
    let head = |bytes: usize| format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "M".repeat(bytes));
    assert_eq!(good(request(head(32).as_bytes())).method.len(), 32);
    for bytes in [33, 34, 300] {
        assert_eq!(request(head(bytes).as_bytes()), Err(Violation::MethodTooLong), "{bytes}");
    }
}

#[test]
fn more_fields_than_the_fast_way_has_room_for() {
    for count in [63, 64, 65, 100] {
        let mut text = String::from("GET / HTTP/1.1\r\nHost: h\r\n");
        for at in 1..count {
            text += &format!("N{at}: \tv{at} \r\n");
        }
        let seen = good(play(format!("{text}\r\n").as_bytes(), [], |input, progress, head| {
            parse_request(input, &LIMITS, progress, head)
        }));
        assert_eq!(seen.fields.len(), count);
        assert_eq!(
            seen.fields[count - 1],
            (format!("N{}", count - 1), format!("v{}", count - 1).into())
        );
    }
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A:b\r\n".repeat(100));
    assert_eq!(request(text.as_bytes()), Err(Violation::TooManyFields));
}

#[test]
fn a_head_of_the_largest_size() {
    let limits = HeadLimits {
        head_bytes: usize::MAX,
        target_bytes: usize::MAX,
        fields: 70_000,
        ..HeadLimits::default()
    };
    let fixed = "GET / HTTP/1.1\r\nHost: h\r\n\r\n\r\nA: ".len();
    let mut text = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "x".repeat(65535 - fixed));
    let read = |text: &str| {
        play(text.as_bytes(), [], |input, progress, head| {
            parse_request(input, &limits, progress, head)
        })
    };
    assert_eq!(good(read(&text)).fields[1].1.len(), 65535 - fixed);
    text.insert(30, 'x');
    assert_eq!(read(&text), Err(Violation::HeadTooLarge));
    // The smallest lines there are.
    let text = format!("GET / HTTP/1.0\r\n{}\r\n", "a:\r\n".repeat(16379));
    assert_eq!(good(read(&text)).fields.len(), 16379);
}

#[test]
fn only_empty_lines_are_no_message() {
    let (mut progress, mut head) = (HeadProgress::default(), Head::default());
    for input in [&b""[..], b"\r", b"\r\n"] {
        assert_eq!(parse_request(input, &LIMITS, &mut progress, &mut head), Ok(None));
        assert!(progress.is_blank());
    }
    assert_eq!(parse_request(b"\r\nG", &LIMITS, &mut progress, &mut head), Ok(None));
    assert!(!progress.is_blank());
}

#[test]
fn fields_are_found() {
    let mut head = Head::default();
    let input = b"GET / HTTP/1.1\r\nHost: h\r\nSet: a\r\nAccept-Encoding: x\r\nsET: b\r\n\r\n";
    parse_request(input, &LIMITS, &mut HeadProgress::default(), &mut head).unwrap();
    assert_eq!(head.find("HOST"), Some(&b"h"[..]));
    assert_eq!(head.find("accept-encoding"), Some(&b"x"[..]));
    assert_eq!(head.find("accept-encodinG "), None);
    assert_eq!(head.find_all("set").collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(head.byte_capacity() >= input.len());
    head.clear();
    assert_eq!((head.method(), head.target(), head.field_count()), ("", "", 0));
    assert!(head.byte_capacity() >= input.len());
}

fn meaning(version: &str, lines: &str) -> Meaning {
    let text = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
    good(request(text.as_bytes())).meaning
}

#[test]
fn persistence() {
    for (version, lines, persistent, close, keep_alive) in [
        ("1.1", "", true, false, false),
        ("1.1", "Connection: close\r\n", false, true, false),
        ("1.1", "Connection: CLOSE\r\n", false, true, false),
        ("1.1", "Connection: x , Close\r\n", false, true, false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, true, true),
        ("1.1", "Connection: keep-alive\r\n", true, false, true),
        ("1.1", "Connection: closed\r\n", true, false, false),
        ("1.0", "", false, false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false, true),
        ("1.0", "Connection: x\r\nConnection: y, keep-alive\r\n", true, false, true),
        ("1.0", "Connection: keep-alive, close\r\n", false, true, true),
        ("1.5", "", true, false, false),
    ] {
        let meaning = meaning(version, lines);
        let found = (meaning.persistent, meaning.close, meaning.keep_alive);
        assert_eq!(found, (persistent, close, keep_alive), "{version} {lines:?}");
    }
}

#[test]
fn upgrades_and_expectations() {
    for (version, lines, upgrade) in [
        ("1.1", "Upgrade: a\r\nConnection: Upgrade\r\n", true),
        ("1.1", "Connection: keep-alive, upgrade\r\nUpgrade: a\r\n", true),
        ("1.1", "Upgrade: a\r\n", false),
        ("1.1", "Connection: upgrade\r\n", false),
        ("1.0", "Upgrade: a\r\nConnection: Upgrade\r\n", false),
    ] {
        assert_eq!(meaning(version, lines).upgrade, upgrade, "{version} {lines:?}");
    }
    for (version, lines, expect) in [
        ("1.1", "", Expect::None),
        ("1.1", "Expect: 100-Continue\r\n", Expect::Continue),
        ("1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n", Expect::Continue),
        ("1.1", "Expect: 100-continue, x\r\n", Expect::Unknown),
        ("1.1", "Expect: x\r\nExpect: 100-continue\r\n", Expect::Unknown),
        ("1.1", "Expect:\r\n", Expect::Unknown),
        ("1.0", "Expect: 100-continue\r\n", Expect::None),
    ] {
        assert_eq!(meaning(version, lines).expect, expect, "{version} {lines:?}");
    }
}

#[test]
fn mutations_get_one_answer() {
    let mut random = fastrand::Rng::with_seed(0x9e37_79b9_7f4a_7c15);
    let corpus: Vec<&[u8]> = [GOOD; 6]
        .concat()
        .into_iter()
        .map(str::as_bytes)
        .chain(BAD.iter().map(|row| row.1))
        .collect();
    let limits =
        HeadLimits { head_bytes: 90, target_bytes: 12, fields: 2, ..HeadLimits::default() };
    let (mut taken, mut refused) = (0, 0);
    for round in 0..4000 {
        let input = mutate(corpus[random.usize(..corpus.len())], &mut random);
        let limits = if round % 3 == 0 { &limits } else { &LIMITS };
        match request_with(&input, limits) {
            Ok(Some(seen)) => {
                taken += 1;
                assert!(seen.consumed <= input.len() && seen.consumed <= limits.head_bytes);
            }
            Ok(None) => {}
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 200 && refused > 1000, "{taken} {refused}");
}

/// A head of these field lines, with first-wins names joined or not.
fn merging(lines: &str, join_duplicates: bool) -> Head {
    let limits = HeadLimits { join_duplicates, ..LIMITS };
    let mut head = Head::default();
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    parse_request(text.as_bytes(), &limits, &mut HeadProgress::default(), &mut head).unwrap();
    head
}

#[test]
fn the_joined_value_of_a_name_is_that_of_all_names() {
    let lines = "A: 1\r\nCookie: a\r\nSet-Cookie: x\r\nAGE: 1\r\na:\r\nset-cookie: y\r\ncOOKIE: b\r\n\
                 Age: 2\r\nA: \u{e9}\r\n";
    for (join, age) in [(false, "1"), (true, "1, 2")] {
        let head = merging(lines, join);
        let expected = [
            ("host", "h"),
            ("a", "1, , \u{e9}"),
            ("cookie", "a; b"),
            ("set-cookie", "x"),
            ("age", age),
            ("set-cookie", "y"),
        ];
        let expected =
            expected.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
        assert_eq!(head.joined_fields(), expected);
        for (name, value) in &expected[..5] {
            let upper = name.to_ascii_uppercase();
            assert_eq!(head.joined(&upper).as_deref(), Some(&value[..]), "{name}");
        }
        assert!(matches!(head.joined("host"), Some(std::borrow::Cow::Borrowed(b"h"))));
        assert_eq!(head.joined("b"), None);
        let (name, values) = &head.distinct_fields()[3];
        assert_eq!(
            (name.as_str(), &values[..]),
            ("set-cookie", &[b"x".to_vec(), b"y".to_vec()][..])
        );
    }
}
