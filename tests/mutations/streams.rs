//! Valid streams, to be mutated: pipelined requests in every framing, and responses.

use crate::judged::Random;

const METHODS: [&str; 9] =
    ["GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "M-SEARCH"];

const TARGETS: [&str; 12] = [
    "/",
    "/a",
    "/b?c=d",
    "/%41/%7e?x=%0d%0a",
    "/[1]",
    "http://h/",
    "HTTP://example.com:80/b?c",
    "https://[::1]:8443?q",
    "/./..//;p=1",
    "/abc!$&'()*+,;=:@",
    "/f",
    "/g",
];

const HOSTS: [&str; 8] =
    ["h", "example.com", "h:80", "[::1]", "[::1]:8080", "127.0.0.1:1", "a%20b", "h:"];

const FIELDS: [&str; 14] = [
    "Accept: */*",
    "User-Agent: tests/1 (a; b)",
    "Cookie: a=b; c=d",
    "X-Empty:",
    "x-spaced: \t a  b \t",
    "X-Bytes: \u{e9}\u{ff}",
    "Upgrade: h2c",
    "Trailer: X-T",
    "TE: trailers",
    "Date: Mon, 23 Nov 2026 10:00:00 GMT",
    "Content-Type: text/plain; charset=utf-8",
    "Keep-Alive: max=5",
    "Content-Lengths: 5",
    "X-Transfer-Encoding: chunked",
];

const CLOSES: [&str; 5] = ["close", "Close", "foo, CLOSE", "close\t,foo", "keep-alive, close"];

const EXTENSIONS: [&str; 6] = [";a", ";a=b", " ; a = \"q;\\\"\"", ";a;b;c=d", "\t;\ta", ";a=\"\""];

const TRAILERS: [&str; 4] = ["X-T: 1", "Expires: 0", "x-sum:\tabc ", "Content-MD5: \u{80}"];

/// The fields are Latin-1 here; what goes out is one byte for each character.
fn push(out: &mut Vec<u8>, text: &str) {
    out.extend(text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')));
}

fn content(random: &mut Random, most: usize) -> Vec<u8> {
    let length = random.below(most);
    match random.below(3) {
        // Content that looks like what may stand around it must not be taken for it.
        0 => b"0\r\n\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3)[..length.min(90)].to_vec(),
        1 => (0..length).map(|_| random.byte()).collect(),
        _ => (0..length).map(|place| b'a' + (place % 26) as u8).collect(),
    }
}

/// One or more requests, the last of which may be the last.
pub(crate) fn requests(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..1 + random.below(4) {
        if random.once_in(6) {
            push(&mut out, &"\r\n".repeat(1 + random.below(4)));
        }
        request(random, &mut out);
    }
    out
}

fn request(random: &mut Random, out: &mut Vec<u8>) {
    let old = random.once_in(8);
    let is_head = random.once_in(12);
    let method = if is_head { "HEAD" } else { random.pick(&METHODS) };
    let target = match method {
        "OPTIONS" if random.once_in(2) => "*",
        _ => random.pick(&TARGETS),
    };
    if random.once_in(40) {
        push(out, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
        return;
    }
    let version = match random.below(12) {
        _ if old => "HTTP/1.0",
        0 => "HTTP/1.9",
        _ => "HTTP/1.1",
    };
    push(out, &format!("{method} {target} {version}\r\n"));
    let mut lines: Vec<String> = Vec::new();
    if !old || random.once_in(2) {
        lines.push(format!("Host: {}", random.pick(&HOSTS)));
    }
    for _ in 0..random.below(4) {
        lines.push((*random.pick(&FIELDS)).to_owned());
    }
    match random.below(12) {
        0 => lines.push(format!("Connection: {}", random.pick(&CLOSES))),
        1 => lines.push("connection: Keep-Alive, foo".into()),
        2 if !old => lines.push("Expect: 100-continue".into()),
        3 => lines.push("Connection: Upgrade".into()),
        _ => {}
    }
    if random.once_in(60) {
        // Close to the limits of a head.
        let length = [8100, 15_900, 16_200, 16_300][random.below(4)] + random.below(100);
        lines.push(format!("X-Long: {}", "v".repeat(length)));
    }
    framed(random, out, lines, old);
}

/// Field lines in random order, with a framing, then the content.
fn framed(random: &mut Random, out: &mut Vec<u8>, mut lines: Vec<String>, old: bool) {
    let most = if random.once_in(20) { 6000 } else { 60 };
    let content = content(random, most);
    let kind = random.below(4);
    let chunked = kind == 0 && !old;
    match kind {
        _ if chunked => lines.push(
            (*random.pick(&["Transfer-Encoding: chunked", "transfer-encoding:\tChunked "])).into(),
        ),
        1 | 2 => lines.push(match random.below(6) {
            0 => format!("content-length:{:06}", content.len()),
            _ => format!("Content-Length: {}", content.len()),
        }),
        _ => {}
    }
    while !lines.is_empty() {
        let line = lines.swap_remove(random.below(lines.len()));
        push(out, &line);
        push(out, "\r\n");
    }
    push(out, "\r\n");
    match kind {
        _ if chunked => chunks(random, out, &content),
        1 | 2 => out.extend_from_slice(&content),
        _ => {}
    }
}

fn chunks(random: &mut Random, out: &mut Vec<u8>, content: &[u8]) {
    let mut rest = content;
    while !rest.is_empty() {
        let size = 1 + random.below(rest.len());
        let zeros = if random.once_in(5) { "00" } else { "" };
        let hex = if random.once_in(2) { format!("{size:x}") } else { format!("{size:X}") };
        push(out, &format!("{zeros}{hex}"));
        extension(random, out);
        push(out, "\r\n");
        out.extend_from_slice(&rest[..size]);
        push(out, "\r\n");
        rest = &rest[size..];
    }
    push(out, random.pick(&["0", "0", "000"]));
    extension(random, out);
    push(out, "\r\n");
    for _ in 0..random.below(3) {
        push(out, random.pick(&TRAILERS));
        push(out, "\r\n");
    }
    push(out, "\r\n");
}

fn extension(random: &mut Random, out: &mut Vec<u8>) {
    match random.below(100) {
        0..20 => push(out, random.pick(&EXTENSIONS)),
        20 => push(out, &format!(";a={}", "b".repeat(4080 + random.below(20)))),
        _ => {}
    }
}

/// One response to a request of this method, perhaps behind informational ones.
pub(crate) fn response(random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    while random.once_in(6) {
        let status = random.pick(&["100 Continue", "102 Processing", "103 Early Hints", "199"]);
        push(&mut out, &format!("HTTP/1.1 {status}\r\n"));
        if random.once_in(2) {
            push(&mut out, "Link: </a>; rel=preload\r\n");
        }
        push(&mut out, "\r\n");
    }
    let old = random.once_in(6);
    let version = match random.below(10) {
        _ if old => "HTTP/1.0",
        0 => "HTTP/1.7",
        _ => "HTTP/1.1",
    };
    let status = random.pick(&[
        "200 OK",
        "200 OK",
        "200",
        "200 ",
        "201 \u{e9}t\t\u{e9}",
        "404 Not Found",
        "999 x",
        "204 No Content",
        "304 Not Modified",
        "500 a b c",
    ]);
    push(&mut out, &format!("{version} {status}\r\n"));
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..random.below(4) {
        lines.push((*random.pick(&FIELDS)).to_owned());
    }
    match random.below(8) {
        0 => lines.push(format!("Connection: {}", random.pick(&CLOSES))),
        1 | 2 => lines.push("connection: Keep-Alive, foo".into()),
        _ => {}
    }
    framed(random, &mut out, lines, old);
    if random.once_in(10) {
        let length = random.below(9);
        out.extend(content(random, 40).into_iter().take(length));
    }
    out
}
