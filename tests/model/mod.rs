//! HTTP/1.1 as RFC 9112 and RFC 9110 say it, executable: a whole stream of bytes in, what it means out. It is
//! the other opinion that tests, mutants and fuzzers hold the crate against, so it shares no code with it and
//! cares for nothing but being read: recursive descent over slices, copies everywhere, no speed. Only `std`. Nor
//! does it share any with `fuzz/src/oracle.rs`, which reads single messages byte by byte: there are two readers on
//! purpose, and where a rule changes it has to be thought of twice.
//!
//! Entry points:
//! - [`read_connection`]: what a server is asked by a client's bytes, and how the conversation ends.
//! - [`read_response`]: what a client is answered by a server's bytes.
//!
//! Both take everything that has come since the beginning and whether the peer has ended its side. Called with
//! longer and longer parts of one stream they say what has to be known by then: a message is refused at the
//! first byte that no valid message has there, and not before.
//!
//! Where the RFCs leave a choice, the crate's documented one is taken, and the comment says so. The files:
//! `framing` is RFC 9112 §6, `chunked` is §7.1, `message` is §2 to §5 and what RFC 9110 says of hosts and
//! targets, `response` is what a client reads, `grammar` is what they are all written with.

// Each program that includes it uses a part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod grammar;
pub(crate) mod message;
mod response;
pub(crate) mod shown;

use framing::Framing;
use grammar::Stop;
pub(crate) use message::Field;
use message::{Head, list_has, only_empty_lines, values};
pub(crate) use response::{Reply, ReplyEnding, Response, read_response};

/// What a message may cost; the defaults are the crate's.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Bytes of a head, the empty lines before it included.
    pub(crate) head_bytes: usize,
    pub(crate) method_bytes: usize,
    pub(crate) target_bytes: usize,
    pub(crate) fields: usize,
    /// Empty lines before a request line.
    pub(crate) empty_lines: usize,
    /// Bytes of one chunk's extensions, from the first byte behind the size.
    pub(crate) extension_bytes: usize,
    /// Bytes of the extensions of all chunks of a message.
    pub(crate) extension_bytes_in_all: usize,
    /// Bytes of a trailer section, without the empty line at its end.
    pub(crate) trailer_bytes: usize,
    pub(crate) trailer_fields: usize,
    pub(crate) content_bytes: Option<u64>,
    /// Informational responses before a final one.
    pub(crate) informational: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: 16 * 1024,
            method_bytes: 32,
            target_bytes: 8 * 1024,
            fields: 1000,
            empty_lines: 4,
            extension_bytes: 4096,
            extension_bytes_in_all: 16 * 1024,
            trailer_bytes: 16 * 1024,
            trailer_fields: 1000,
            content_bytes: None,
            informational: 64,
        }
    }
}

/// Who deals with a request, on a server that listens to requests and to nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handling {
    /// The program.
    Dispatched,
    /// The library answers by itself with this status.
    Answered(u16),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    /// 0 or 1: higher minor versions are served as 1 (RFC 9110 §2.5).
    pub(crate) minor: u8,
    pub(crate) fields: Vec<Field>,
    pub(crate) framing: Framing,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) handling: Handling,
    /// A `100 (Continue)` may come before the answer.
    pub(crate) expects_continue: bool,
    /// Another request may follow.
    pub(crate) keeps_alive: bool,
}

/// How far a conversation has come with the bytes that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The connection is open: between two requests, or in one that can still become valid.
    Waits,
    /// The client has ended its side between two requests.
    Ends,
    /// The client has ended its side inside of a request: 400 or nothing, then close (RFC 9112 §8).
    Cut,
    /// What comes next is no request, or too much of one: any of these statuses, then close.
    Refused(Vec<u16>),
    /// The last request was the last: answered, then close, and what follows is not looked at (§9.6).
    ClosesAfterLast,
}

impl Ending {
    /// For counting them.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Ending::Waits => "waits",
            Ending::Ends => "ends",
            Ending::Cut => "cut",
            Ending::Refused(_) => "refused",
            Ending::ClosesAfterLast => "closes",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conversation {
    /// Those that are whole.
    pub(crate) requests: Vec<Request>,
    /// One whose head is whole and whose content is not, as far as it has come: the program knows of it.
    pub(crate) unfinished: Option<Request>,
    /// The client of the unfinished one waits for `100 (Continue)`: no byte of its content has come.
    pub(crate) awaits_continue: bool,
    pub(crate) ending: Ending,
    /// Bytes of the whole requests.
    pub(crate) used: usize,
}

/// What the bytes of a client ask of a server.
pub(crate) fn read_connection(bytes: &[u8], ended: bool, limits: &Limits) -> Conversation {
    let mut conversation = Conversation {
        requests: Vec::new(),
        unfinished: None,
        awaits_continue: false,
        ending: Ending::Waits,
        used: 0,
    };
    let mut rest = bytes;
    conversation.ending = loop {
        let (head, content) = match message::request_head(rest, limits) {
            Ok(read) => read,
            Err(Stop::Wrong(statuses)) => break Ending::Refused(statuses),
            Err(Stop::More) if !ended => break Ending::Waits,
            // Empty lines are no beginning of a request.
            Err(Stop::More) if only_empty_lines(rest) => break Ending::Ends,
            Err(Stop::More) => break Ending::Cut,
        };
        let mut request = match request_of(head, limits) {
            Ok(request) => request,
            Err(statuses) => break Ending::Refused(statuses),
        };
        if let Handling::Answered(_) = request.handling {
            if !request.keeps_alive {
                conversation.requests.push(request);
                break Ending::ClosesAfterLast;
            }
        }
        let framing = request.framing;
        let read = framing::content(framing, content, ended, limits, &mut request.content);
        let stop = match read {
            Ok((trailers, behind)) => {
                request.trailers = trailers;
                rest = behind;
                conversation.used = bytes.len() - rest.len();
                let keeps_alive = request.keeps_alive;
                conversation.requests.push(request);
                if keeps_alive {
                    continue;
                }
                break Ending::ClosesAfterLast;
            }
            Err(stop) => stop,
        };
        conversation.awaits_continue = request.expects_continue && content.is_empty();
        conversation.unfinished = Some(request);
        break match stop {
            Stop::Wrong(statuses) => Ending::Refused(statuses),
            Stop::More if ended => Ending::Cut,
            Stop::More => Ending::Waits,
        };
    };
    conversation
}

/// What a head means; the content is still to be read.
fn request_of(head: Head, limits: &Limits) -> Result<Request, Vec<u16>> {
    let Head { method, target, minor, fields, .. } = head;
    let mut faults = message::host_faults(minor, &fields);
    let framing = framing::of_request(&method, minor, &fields).unwrap_or_else(|statuses| {
        faults.extend(statuses);
        Framing::Nothing
    });
    if matches!((framing, limits.content_bytes), (Framing::Length(length), Some(most)) if length > most)
    {
        faults.push(413);
    }
    if !faults.is_empty() {
        // Which of several is told is nobody's business.
        return Err(faults);
    }
    let is_empty = matches!(framing, Framing::Nothing | Framing::Length(0));
    let expectation = message::expectation(minor, &fields);
    let mut keeps_alive = message::persists(minor, &fields);
    let handling = match expectation {
        // RFC 9110 §9.3.6: nobody here makes tunnels, and what follows is none of a request's business.
        _ if method == b"CONNECT" => {
            keeps_alive = false;
            Handling::Answered(405)
        }
        // RFC 9110 §10.1.1. The client may or may not send content after that answer: nothing is parsed.
        message::Expectation::Other => {
            keeps_alive &= is_empty;
            Handling::Answered(417)
        }
        _ => Handling::Dispatched,
    };
    Ok(Request {
        expects_continue: expectation == message::Expectation::Continue && !is_empty,
        content: Vec::new(),
        trailers: Vec::new(),
        method,
        target,
        minor,
        fields,
        framing,
        handling,
        keeps_alive,
    })
}

/// Whether `Connection` lists an option, in a head's fields.
pub(crate) fn connection_says(fields: &[Field], option: &str) -> bool {
    values(fields, "connection").into_iter().any(|value| list_has(value, option))
}
