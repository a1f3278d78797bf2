//! What is done to a valid stream.

use crate::judged::Random;

/// Bytes that mean something to somebody.
const SPECIAL: &[u8] = b"\r\n \t\0\x0b\x0c\x7f\x80\xa0\xff:;,=\"\\%/?#@[]_-+.0159aAfFgx{}<>^`|";

/// Text that attacks are made of.
const PARTS: [&str; 42] = [
    "\r\n",
    "\n",
    "\r",
    "\n\n",
    "\r\n\r\n",
    "\r\n ",
    "\r\n\t",
    " ",
    "\t",
    "\0",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: +3\r\n",
    "Content-Length: 3, 3\r\n",
    "Content-Length : 3\r\n",
    "Content_Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding: xchunked\r\n",
    "Transfer-Encoding:\x0bchunked\r\n",
    "Transfer-Encoding: chunked;q=1\r\n",
    "Transfer-Encoding\t: chunked\r\n",
    "transfer_encoding: chunked\r\n",
    "Host: h\r\n",
    "Host: u@h\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Expect: something\r\n",
    "Upgrade: websocket\r\nConnection: Upgrade\r\n",
    "0\r\n\r\n",
    "1\r\nZ\r\n",
    "0x",
    "10000000000000000",
    "00000000000000000",
    ";a=\"",
    "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "%00",
];

const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "00",
    "-1",
    "+1",
    "0x1",
    "1e1",
    "1 1",
    "1,1",
    "",
    "18446744073709551615",
    "18446744073709551616",
    "00000000000000000001",
    "000000000000000000001",
    "ffffffffffffffff",
    "10000000000000000",
];

/// The stream with one to four changes. `other` is a valid stream, too, for splices.
pub(crate) fn mutate(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    for _ in 0..[1, 1, 1, 2, 3, 4][random.below(6)] {
        change(&mut bytes, other, random);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let length = bytes.len();
    let at = random.below(length);
    let most = [2, 8, 60][random.below(3)];
    let to = (at + 1 + random.below(most)).min(length);
    if length == 0 {
        return bytes.push(random.byte());
    }
    match random.below(17) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = SPECIAL[random.below(SPECIAL.len())],
        2 => bytes[at] = 0x80 | random.byte(),
        3 => bytes.insert(at, SPECIAL[random.below(SPECIAL.len())]),
        4 => drop(bytes.remove(at)),
        5 => drop(bytes.drain(at..to)),
        6 => {
            let copy = bytes[at..to].to_vec();
            let place = random.below(length);
            bytes.splice(place..place, copy);
        }
        7 => swap_separator(bytes, random),
        8 | 9 => number(bytes, random),
        10 => move_line(bytes, random, true),
        11 => move_line(bytes, random, false),
        12 => {
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        13 if random.once_in(2) => bytes.truncate(at),
        // Behind the head of a message, where its content is awaited.
        13 => {
            let end = bytes[at..].windows(4).position(|four| four == b"\r\n\r\n");
            bytes.truncate(end.map_or(at, |end| at + end + 4));
        }
        14 => {
            for byte in &mut bytes[at..to] {
                if byte.is_ascii_alphabetic() {
                    *byte ^= 0x20;
                }
            }
        }
        15 => {
            let part = random.pick(&PARTS).as_bytes();
            // Fields are most interesting where fields are.
            let place = if random.once_in(3) { at } else { line_start(bytes, at) };
            bytes.splice(place..place, part.iter().copied());
        }
        _ => {
            let part = random.pick(&PARTS).as_bytes();
            bytes.splice(at..to.min(at + part.len()), part.iter().copied());
        }
    }
}

/// One of CR, LF, SP, HTAB or colon becomes something else, is doubled or goes.
fn swap_separator(bytes: &mut Vec<u8>, random: &mut Random) {
    let is_separator = |byte: &u8| matches!(byte, b'\r' | b'\n' | b' ' | b'\t' | b':' | b';');
    let places: Vec<usize> = (0..bytes.len()).filter(|at| is_separator(&bytes[*at])).collect();
    if places.is_empty() {
        return;
    }
    let at = places[random.below(places.len())];
    match random.below(4) {
        0 => bytes.insert(at, bytes[at]),
        1 => drop(bytes.remove(at)),
        _ => bytes[at] = b"\r\n \t\0:\x0b,"[random.below(8)],
    }
}

/// A run of digits becomes another number or none.
fn number(bytes: &mut Vec<u8>, random: &mut Random) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[random.below(starts.len())];
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = String::from_utf8_lossy(&bytes[start..start + digits]).into_owned();
    let value: u64 = text.parse().unwrap_or(0);
    let new = match random.below(6) {
        0 => value.wrapping_add(1).to_string(),
        1 => value.saturating_sub(1).to_string(),
        2 => format!("0{text}"),
        3 => format!("{}", random.below(40)),
        4 => format!("{text}{}", random.pick(&["_", " ", "\t", ".0", "a", "\x0b", ","])),
        _ => random.pick(&NUMBERS).to_owned(),
    };
    bytes.splice(start..start + digits, new.into_bytes());
}

/// A line goes elsewhere, or a copy of it.
fn move_line(bytes: &mut Vec<u8>, random: &mut Random, keep: bool) {
    let start = line_start(bytes, random.below(bytes.len()));
    let end = bytes[start..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |at| start + at + 1);
    let line = bytes[start..end].to_vec();
    if !keep {
        bytes.drain(start..end);
    }
    let to = line_start(bytes, random.below(bytes.len()));
    bytes.splice(to..to, line);
}

/// The first byte of the line that a place is in.
fn line_start(bytes: &[u8], at: usize) -> usize {
    let before = &bytes[..at.min(bytes.len())];
    before.iter().rposition(|byte| *byte == b'\n').map_or(0, |line_feed| line_feed + 1)
}
