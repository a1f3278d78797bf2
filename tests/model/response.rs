//! What a client reads: informational responses, then a final one.

use super::Limits;
use super::framing::{self, Framing};
use super::grammar::Stop;
use super::message::{self, Field, Head};

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) minor: u8,
    pub(crate) fields: Vec<Field>,
    pub(crate) framing: Framing,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// The response allows another request on its connection.
    pub(crate) keeps_alive: bool,
}

/// How far a response has come with the bytes that are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplyEnding {
    /// It can still become a valid one.
    Waits,
    /// The final response is whole and this many bytes long, informational ones included. What follows is
    /// nobody's answer (RFC 9112 §6.3), and the connection is of no use then.
    Complete { used: usize },
    /// What comes is no response, or too much of one.
    Refused,
    /// The server has ended its side before the end: never a normal end (RFC 9112 §8).
    Cut,
    /// 2xx to CONNECT: a tunnel begins after so many bytes (RFC 9110 §9.3.6).
    Tunnel { used: usize },
}

impl ReplyEnding {
    /// For counting them.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ReplyEnding::Waits => "waits",
            ReplyEnding::Complete { .. } => "complete",
            ReplyEnding::Refused => "refused",
            ReplyEnding::Cut => "cut",
            ReplyEnding::Tunnel { .. } => "tunnel",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    /// 1xx, heads only.
    pub(crate) informational: Vec<Response>,
    /// The final one: complete, or as far as it has come once its head is whole.
    pub(crate) response: Option<Response>,
    pub(crate) ending: ReplyEnding,
}

/// What the bytes of a server answer to a client that asked with this method and for no other protocol.
pub(crate) fn read_response(bytes: &[u8], asked: &[u8], ended: bool, limits: &Limits) -> Reply {
    let mut reply = Reply { informational: Vec::new(), response: None, ending: ReplyEnding::Waits };
    let mut rest = bytes;
    let stopped = |stop: Stop| match stop {
        Stop::Wrong(_) => ReplyEnding::Refused,
        Stop::More if ended => ReplyEnding::Cut,
        Stop::More => ReplyEnding::Waits,
    };
    loop {
        let (head, content) = match message::response_head(rest, limits) {
            Ok(read) => read,
            Err(stop) => {
                reply.ending = stopped(stop);
                return reply;
            }
        };
        rest = content;
        let Ok(mut response) = response_of(head, asked) else {
            reply.ending = ReplyEnding::Refused;
            return reply;
        };
        // RFC 9112 §9.6: whichever response says `close`, no request is sent behind it. So does one of HTTP/1.0.
        response.keeps_alive &= reply.informational.iter().all(|before| before.keeps_alive);
        match response.status {
            // RFC 9110 §15.2.2: nobody asked for another protocol.
            101 => reply.ending = ReplyEnding::Refused,
            100..200 if reply.informational.len() == limits.informational => {
                reply.ending = ReplyEnding::Refused;
            }
            100..200 => {
                reply.informational.push(response);
                continue;
            }
            200..300 if asked == b"CONNECT" => {
                reply.ending = ReplyEnding::Tunnel { used: bytes.len() - rest.len() };
                reply.response = Some(response);
            }
            _ => {
                let framing = response.framing;
                let read = framing::content(framing, rest, ended, limits, &mut response.content);
                reply.ending = match read {
                    Ok((trailers, behind)) => {
                        response.trailers = trailers;
                        ReplyEnding::Complete { used: bytes.len() - behind.len() }
                    }
                    Err(stop) => stopped(stop),
                };
                reply.response = Some(response);
            }
        }
        return reply;
    }
}

fn response_of(head: Head, asked: &[u8]) -> Result<Response, Vec<u16>> {
    let Head { status, reason, minor, fields, .. } = head;
    let framing = framing::of_response(asked, status, minor, &fields)?;
    Ok(Response {
        keeps_alive: message::persists(minor, &fields) && framing != Framing::UntilClose,
        content: Vec::new(),
        trailers: Vec::new(),
        status,
        reason,
        minor,
        fields,
        framing,
    })
}
