//! The requests of a conversation: what they are, how the client makes them, and what they are on the wire.

use std::fmt;

use onloop::http::ClientRequest;

/// What is kept of a request for its repetition.
const KEPT_MAX: usize = 64 * 1024;

/// How a request's content is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    None,
    /// With `end`.
    Whole(usize),
    /// In two pieces, its length said before.
    Declared(usize),
    /// In pieces, at once.
    Chunked(usize),
    /// In pieces, each some time after the one before.
    Streamed(usize),
    /// When the server has said that it wants it.
    Expected(usize),
    /// With `end`, some time after the request was made: until then nothing of it is sent.
    Late(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) method: &'static str,
    pub(crate) content: Content,
}

pub(crate) const fn shape(method: &'static str, content: Content) -> Shape {
    Shape { method, content }
}

/// What is small enough for a fault at every byte.
pub(crate) const SMALL: [Shape; 18] = [
    shape("GET", Content::None),
    shape("HEAD", Content::None),
    shape("OPTIONS", Content::None),
    shape("DELETE", Content::None),
    shape("DELETE", Content::Whole(5)),
    shape("PUT", Content::None),
    shape("PUT", Content::Whole(9)),
    shape("PUT", Content::Declared(9)),
    shape("PUT", Content::Chunked(9)),
    shape("PUT", Content::Streamed(9)),
    shape("PUT", Content::Expected(9)),
    shape("PUT", Content::Late(9)),
    shape("POST", Content::None),
    shape("POST", Content::Whole(9)),
    shape("POST", Content::Streamed(9)),
    shape("POST", Content::Expected(9)),
    shape("POST", Content::Late(9)),
    shape("PATCH", Content::Chunked(9)),
];

/// Up to what is kept, and more than that.
pub(crate) const LARGE: [Shape; 6] = [
    shape("PUT", Content::Whole(60_000)),
    shape("PUT", Content::Streamed(60_000)),
    shape("PUT", Content::Whole(150_000)),
    shape("PUT", Content::Chunked(150_000)),
    shape("PUT", Content::Streamed(150_000)),
    shape("POST", Content::Whole(150_000)),
];

impl Shape {
    /// RFC 9110 §9.2.2.
    pub(crate) fn is_idempotent(&self) -> bool {
        !matches!(self.method, "POST" | "PATCH")
    }

    /// Its bytes are at hand when it has to be sent again.
    pub(crate) fn is_kept(&self) -> bool {
        self.length() + 1_000 < KEPT_MAX
    }

    pub(crate) fn length(&self) -> usize {
        match self.content {
            Content::None => 0,
            Content::Whole(length)
            | Content::Declared(length)
            | Content::Chunked(length)
            | Content::Streamed(length)
            | Content::Expected(length)
            | Content::Late(length) => length,
        }
    }

    /// The content of the request of this number.
    pub(crate) fn bytes(&self, id: u32) -> Vec<u8> {
        let (start, length) = (id as usize % 23, self.length());
        let mut bytes = b"abcdefghijklmnopqrstuvw".repeat(length / 23 + 2);
        bytes.truncate(start + length);
        bytes.split_off(start)
    }

    /// Does the `step`th thing to a new request; true while there is more to come.
    pub(crate) fn give(&self, request: ClientRequest, id: u32, step: usize) -> bool {
        let bytes = self.bytes(id);
        let (first, rest) = bytes.split_at(bytes.len() / 3);
        match (self.content, step) {
            (Content::None, _) => request.end(""),
            // Longer than it takes to connect, and to hear of an end.
            (Content::Late(_), 0..=4) => return true,
            (Content::Whole(_) | Content::Late(_), _) => request.end(bytes),
            (Content::Declared(length), _) => {
                request.set_header("Content-Length", length).expect("nothing is sent yet");
                request.write(first);
                request.end(rest);
            }
            (Content::Chunked(_), _) => {
                request.write(first);
                request.write(rest);
                request.end("");
            }
            (Content::Streamed(_), 0) => {
                request.write(first);
                return true;
            }
            (Content::Streamed(_), 1) => {
                request.write(rest);
                return true;
            }
            (Content::Streamed(_), _) => request.end(""),
            (Content::Expected(_), _) => {
                request.set_header("Expect", "100-continue").expect("nothing is sent yet");
                request.flush_headers();
                request.on_continue(move || request.end(bytes));
            }
        }
        false
    }

    /// What the server says when it has the head.
    pub(crate) fn interim(&self) -> &'static [u8] {
        match self.content {
            Content::Expected(_) => b"HTTP/1.1 100 Continue\r\n\r\n",
            _ => b"",
        }
    }

    /// What every answer to it is, after that.
    pub(crate) fn answer(&self, id: u32) -> Vec<u8> {
        let content = if self.method == "HEAD" { String::new() } else { format!("{id:08}") };
        format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{content}").into_bytes()
    }
}

/// The path of the request of this number, always of one length.
pub(crate) fn path(id: u32) -> String {
    format!("/r{id:08}")
}

/// A request as it stood on the wire, whole or in part.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// `None` where it was cut before the end of its path.
    pub(crate) id: Option<u32>,
    pub(crate) head: Vec<u8>,
    pub(crate) content: Vec<u8>,
    pub(crate) is_whole: bool,
    pub(crate) length: usize,
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arrival { id, head, content, is_whole, length } = self;
        let head = String::from_utf8_lossy(head);
        let (content, whole) = (content.len(), if *is_whole { "whole" } else { "cut" });
        write!(f, "{whole} {id:?} of {length} bytes: {head:?} and {content} bytes of content")
    }
}

/// The first request in `bytes`, as far as it is there; `None` where nothing is.
pub(crate) fn arrival(bytes: &[u8]) -> Option<Arrival> {
    if bytes.is_empty() {
        return None;
    }
    let id = find(bytes, b"/r").and_then(|at| bytes.get(at + 2..at + 10)).map(|digits| {
        let digits = std::str::from_utf8(digits).expect("a number");
        digits.parse().expect("a number")
    });
    let cut = |head: &[u8], content| {
        let (head, length) = (head.to_vec(), bytes.len());
        Some(Arrival { id, head, content, is_whole: false, length })
    };
    let Some(end) = find(bytes, b"\r\n\r\n") else { return cut(bytes, Vec::new()) };
    let (head, rest) = bytes.split_at(end + 4);
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let declared = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let (content, used) = if text.contains("transfer-encoding: chunked") {
        assert_eq!(declared, None, "both framings at once");
        chunks(rest)
    } else {
        let length: usize = declared.map_or(0, |digits| digits.parse().expect("a length"));
        (rest[..length.min(rest.len())].to_vec(), (rest.len() >= length).then_some(length))
    };
    let Some(used) = used else { return cut(head, content) };
    let length = head.len() + used;
    Some(Arrival { id, head: head.to_vec(), content, is_whole: true, length })
}

/// The chunks that are there, and how many bytes they took where the last one is.
fn chunks(bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    let mut content = Vec::new();
    let mut at = 0;
    loop {
        let Some(line) = find(&bytes[at..], b"\r\n") else { return (content, None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).expect("a chunk size");
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        at += line + 2;
        if size == 0 {
            return (content, (bytes.len() >= at + 2).then_some(at + 2));
        }
        content.extend_from_slice(&bytes[at..bytes.len().min(at + size)]);
        if bytes.len() < at + size + 2 {
            return (content, None);
        }
        at += size + 2;
    }
}

pub(crate) fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, part)
}
