//! Framing: a row per rule of RFC 9112 §6.3 and per violation, for both roles.

use super::*;

const LENGTH: &str = "Content-Length: 5\r\n";
const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

type ResponseRow<'a> = (Asked, &'a str, u16, &'a str, Result<Framing, Violation>);

fn request_framing(method: &str, version: &str, lines: &str) -> Result<Framing, Violation> {
    let target = if method == "CONNECT" { "h:1" } else { "/" };
    let text = format!("{method} {target} HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
    request(text.as_bytes()).map(|seen| seen.expect("complete").meaning.framing)
}

fn response_framing(
    asked: Asked,
    version: &str,
    status: u16,
    lines: &str,
) -> Result<Framing, Violation> {
    let text = format!("HTTP/{version} {status} x\r\n{lines}\r\n");
    response(text.as_bytes(), asked).map(|seen| seen.expect("complete").meaning.framing)
}

#[test]
fn requests() {
    use Violation as V;
    let both = format!("{LENGTH}{CHUNKED}");
    let twice = format!("{LENGTH}{LENGTH}");
    #[rustfmt::skip]
    let rows: &[(&str, &str, &str, Result<Framing, Violation>)] = &[
        ("GET", "1.1", "", Ok(Framing::None)),
        ("POST", "1.1", "", Ok(Framing::None)),
        ("GET", "1.1", LENGTH, Ok(Framing::Length(5))),
        ("HEAD", "1.0", LENGTH, Ok(Framing::Length(5))),
        ("POST", "1.1", "Content-Length: 0\r\n", Ok(Framing::Length(0))),
        ("POST", "1.1", "Content-Length: 00000000000000000007\r\n", Ok(Framing::Length(7))),
        ("POST", "1.1", "Content-Length: 000000000000000000007\r\n", Err(V::ContentLength)),
        ("POST", "1.1", "Content-Length: 18446744073709551615\r\n", Ok(Framing::Length(u64::MAX))),
        ("POST", "1.1", "Content-Length: 18446744073709551616\r\n", Err(V::ContentLength)),
        ("POST", "1.1", "Content-Length: 99999999999999999999\r\n", Err(V::ContentLength)),
        ("POST", "1.1", "Content-Length: -0\r\n", Err(V::ContentLength)),
        ("POST", "1.1", "Content-Length: 5.0\r\n", Err(V::ContentLength)),
        ("POST", "1.1", "Content-Length: 5,\r\n", Err(V::ContentLengthRepeated)),
        ("POST", "1.1", &twice, Err(V::ContentLengthRepeated)),
        ("POST", "1.1", &both, Err(V::LengthAndEncoding)),
        ("DELETE", "1.1", CHUNKED, Ok(Framing::Chunked)),
        ("POST", "1.9", CHUNKED, Ok(Framing::Chunked)),
        ("POST", "1.0", CHUNKED, Err(V::EncodingInOldVersion)),
        ("POST", "1.0", "Transfer-Encoding: x\r\n", Err(V::EncodingInOldVersion)),
        ("POST", "1.1", "Transfer-Encoding:\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: identity\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: gzip\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunkedchunked\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: xchunked\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: \"chunked\"\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunked;q=1\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunked,\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: ,chunked\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunked, chunked\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunked, gzip\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: gzip , Chunked\r\n", Err(V::TransferCodingUnknown)),
        ("POST", "1.1", "Transfer-Encoding: identity, chunked\r\n", Err(V::TransferCodingUnknown)),
        ("POST", "1.1", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(V::TransferCodingUnknown)),
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(V::TransferEncoding)),
        ("POST", "1.1", "Content_Length: 5\r\n", Err(V::LookAlike)),
        ("POST", "1.1", "Content.Length: 5\r\n", Err(V::LookAlike)),
        ("POST", "1.1", "TRANSFER_ENCODING: x\r\n", Err(V::LookAlike)),
        ("POST", "1.1", "Content-Lengths: 5\r\nXTransfer-Encoding: x\r\n", Ok(Framing::None)),
        ("CONNECT", "1.1", "", Ok(Framing::None)),
        ("CONNECT", "1.1", LENGTH, Err(V::ConnectContent)),
        ("CONNECT", "1.1", CHUNKED, Err(V::ConnectContent)),
    ];
    for (method, version, lines, expected) in rows {
        let found = request_framing(method, version, lines);
        assert_eq!(found, *expected, "{method} {version} {lines:?}");
    }
}

#[test]
fn responses() {
    use Asked::{Connect, Head, Other};
    use Violation as V;
    let both = format!("{LENGTH}{CHUNKED}");
    let twice = format!("{LENGTH}{LENGTH}");
    #[rustfmt::skip]
    let rows: &[ResponseRow<'_>] = &[
        // Rule 1, whatever the fields say.
        (Head, "1.1", 200, LENGTH, Ok(Framing::None)),
        (Head, "1.1", 404, &both, Ok(Framing::None)),
        (Other, "1.1", 100, LENGTH, Ok(Framing::None)),
        (Other, "1.1", 101, CHUNKED, Ok(Framing::None)),
        (Other, "1.1", 199, "", Ok(Framing::None)),
        (Other, "1.1", 204, LENGTH, Ok(Framing::None)),
        (Other, "1.1", 304, "Content-Length: x\r\n", Ok(Framing::None)),
        // Rule 2.
        (Connect, "1.1", 200, &both, Ok(Framing::None)),
        (Connect, "1.1", 299, LENGTH, Ok(Framing::None)),
        (Connect, "1.1", 407, LENGTH, Ok(Framing::Length(5))),
        // Rule 3.
        (Other, "1.1", 200, &both, Err(V::LengthAndEncoding)),
        // Rule 4.
        (Other, "1.1", 200, CHUNKED, Ok(Framing::Chunked)),
        (Other, "1.1", 200, "Transfer-Encoding: gzip, chunked\r\n", Ok(Framing::Chunked)),
        (Other, "1.1", 200, "Transfer-Encoding: gzip\r\n", Ok(Framing::UntilClose)),
        (Other, "1.1", 200, "Transfer-Encoding: chunked, gzip\r\n", Ok(Framing::UntilClose)),
        (Other, "1.1", 200, "Transfer-Encoding: chunked, chunked\r\n", Err(V::TransferEncoding)),
        (Other, "1.1", 200, "Transfer-Encoding: chunked;a\r\n", Err(V::TransferEncoding)),
        (Other, "1.1", 200, "Transfer-Encoding:\r\n", Err(V::TransferEncoding)),
        (Other, "1.0", 200, CHUNKED, Err(V::EncodingInOldVersion)),
        // Rules 5 and 6.
        (Other, "1.1", 200, LENGTH, Ok(Framing::Length(5))),
        (Other, "1.0", 500, LENGTH, Ok(Framing::Length(5))),
        (Other, "1.1", 205, LENGTH, Ok(Framing::Length(5))),
        (Other, "1.1", 200, "Content-Length: 5x\r\n", Err(V::ContentLength)),
        (Other, "1.1", 200, &twice, Err(V::ContentLengthRepeated)),
        (Other, "1.1", 200, "Content-Length: 5, 6\r\n", Err(V::ContentLengthRepeated)),
        // Rule 8.
        (Other, "1.1", 200, "", Ok(Framing::UntilClose)),
        (Other, "1.0", 404, "", Ok(Framing::UntilClose)),
    ];
    for (asked, version, status, lines, expected) in rows {
        let found = response_framing(*asked, version, *status, lines);
        assert_eq!(found, *expected, "{asked:?} {version} {status} {lines:?}");
    }
}
