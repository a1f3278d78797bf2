//! The messages that all benches work on, in one place so that their figures can be compared.
#![allow(dead_code)] // each bench uses its own part

use std::fmt::Write;

/// What load generators send.
pub(crate) const SMALL_REQUEST: &str = "GET /plaintext HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

/// What a browser sends for a page: 16 fields, most of them long.
pub(crate) const BROWSER_REQUEST: &str = "GET /plaintext HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-US,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=yes; visits=42\r\n\
    \r\n";

/// The content of `/plaintext`.
pub(crate) const GREETING: &str = "Hello, World!";

/// A POST of 64 bytes.
pub(crate) const ECHO_REQUEST: &str = "POST /echo HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 64\r\n\r\n\
    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A POST of the same 64 bytes in four chunks.
pub(crate) const CHUNKED_REQUEST: &str = "POST /echo HTTP/1.1\r\nHost: localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n\
     10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n\
     10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";

/// A GET whose answer comes in chunks.
pub(crate) const PIECES_REQUEST: &str = "GET /pieces HTTP/1.1\r\nHost: localhost:8080\r\n\r\n";

/// A request head with so many fields.
pub(crate) fn request_of_fields(count: usize) -> String {
    let mut text = String::from("GET /plaintext HTTP/1.1\r\nHost: localhost:8080\r\n");
    push_fields(&mut text, count - 1);
    text
}

/// A response head with so many fields.
pub(crate) fn response_of_fields(count: usize) -> String {
    let mut text = String::from(
        "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 13\r\n",
    );
    push_fields(&mut text, count - 2);
    text
}

fn push_fields(text: &mut String, count: usize) {
    for index in 0..count {
        write!(text, "X-Field-Number-{index}: the value of field {index}\r\n")
            .expect("a String takes all");
    }
    text.push_str("\r\n");
}

/// Content of `count` chunks of `size` bytes, with its end.
pub(crate) fn chunked_content(count: usize, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..count {
        out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
        out.resize(out.len() + size, b'x');
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
