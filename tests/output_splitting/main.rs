//! Whatever text a program gives to a call, the peer reads one message, with what was meant and nothing else;
//! or the call fails and nothing of it is on the wire. Every call that takes text which reaches the wire is in
//! one of two tables (`responses`, `requests`); the texts are all bytes and what attacks are made of. The peer
//! is the model.

#[path = "../judged/mod.rs"]
mod judged;
mod requests;
mod responses;

/// What is put into a call: bytes where it takes them, else text.
#[derive(Clone, Copy)]
pub(crate) enum Takes<B, S> {
    Bytes(B),
    Str(S),
}

/// A field line more would be this one.
const INJECTED: &str = "X-Injected";

/// Sequences that would begin another line or another message, where they are let through.
const SEQUENCES: [&str; 14] = [
    "\r\n",
    "\n",
    "\r",
    "\0",
    "",
    " ",
    "\t",
    "\r\n ",
    "a\r\nX-Injected: 1",
    "a\nX-Injected: 1",
    "a\rX-Injected: 1",
    "a\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: 1\r\n\r\n",
    "a HTTP/1.1\r\nHost: h\r\nX-Injected: 1\r\n\r\nGET /b",
    "0\r\nX-Injected: 1\r\n\r\n",
];

/// Characters whose lowest byte is CR, LF, NUL, SP, a colon: cut to one byte they would be those.
const WIDE: [&str; 8] = [
    "a\u{10d}\u{10a}X-Injected: 1",
    "\u{560d}\u{560a}",
    "\u{d0a}",
    "\u{100}",
    "\u{2020}",
    "\u{13a}",
    "\u{1f60a}",
    "a\u{2028}b\u{85}c",
];

/// All texts: each byte (as a character, where text is taken) between two letters, the bytes that mean something
/// at both ends and alone, and the sequences.
pub(crate) fn texts(as_text: bool) -> Vec<Vec<u8>> {
    let one = |byte: u8| match as_text {
        true => char::from(byte).to_string().into_bytes(),
        false => vec![byte],
    };
    let mut all: Vec<Vec<u8>> =
        (0..=255).map(|byte| [b"a", &one(byte)[..], b"z"].concat()).collect();
    for byte in *b"\r\n\0\t \x7f:;,\"/" {
        all.extend([one(byte), [&one(byte)[..], b"z"].concat(), [b"a", &one(byte)[..]].concat()]);
    }
    all.extend(SEQUENCES.map(|text| text.as_bytes().to_vec()));
    if as_text {
        all.extend(WIDE.map(|text| text.as_bytes().to_vec()));
    }
    all
}

/// A text for a call that takes text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("texts for text are text")
}

/// One byte for each character, as a reason phrase is sent.
pub(crate) fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// No CR, LF or NUL: what every call has to hold, whatever else it takes.
pub(crate) fn is_harmless(bytes: &[u8]) -> bool {
    !bytes.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}
