//! HTTP/1.1 without I/O: bytes in, events out; no socket, no clock, no callback.
//!
//! Here is what a peer's bytes mean and what our own look like. [`head`] reads a start line and its
//! fields into an owned [`Head`] and says what they mean to the connection ([`meaning`]);
//! [`framing`] is the one place that decides where content ends; [`body`] cuts content out of the
//! stream. [`merge`] brings repeated names together for those who ask. [`fields`] holds the fields of a message that we send. Whatever breaks a rule is a
//! [`Violation`], which knows its status and code. [`url`] takes URLs apart, [`reference`] those that are told
//! relative to another one.
//!
//! Deliberately not here: who answers what and when (the engine), limits of content (the engine),
//! decoding of content, HTTP/2. Read `head` first, then `framing`, then `body`.

// Bytes of a peer cannot reach a panic here.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod body;
mod chunked;
mod fields;
mod framing;
mod head;
mod link;
mod meaning;
mod merge;
mod outgoing;
mod read;
mod reference;
mod scan;
mod status;
mod target;
mod token;
mod url;
mod violation;

pub(crate) use body::{BodyDecoder, BodyLimits, Decoded};
pub(crate) use fields::{FieldError, FieldList, Known};
pub(crate) use framing::Framing;
pub(crate) use head::Head;
pub(crate) use link::is_link_list;
pub(crate) use meaning::{Asked, Expect, is_switch, resembles_framing};
pub(crate) use outgoing::{
    Automatic, Delimiter, Frame, LengthMismatch, Outgoing, Plan, StartLine, push_chunk_size,
    push_status_line,
};
pub use read::MAX_HEADER_SIZE;
pub(crate) use read::{HeadLimits, parse_request, parse_response};
pub(crate) use reference::{effective_url, resolve};
pub(crate) use scan::HeadProgress;
pub(crate) use status::reason_phrase;
pub use status::{METHODS, STATUS_CODES};
pub(crate) use target::is_host;
pub(crate) use token::{AnyCase, decimal, is_field_value, is_token, names_equal};
pub(crate) use url::{Url, UrlError};
pub(crate) use violation::{CONTENT_TOO_LARGE, LimitName, Violation};

#[cfg(test)]
use meaning::Meaning;

#[cfg(test)]
mod tests;
