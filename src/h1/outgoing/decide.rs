//! What is decided when a head is rendered: how the content ends, and whether the connection goes on behind
//! it. By what the user set, then by what the peer understands.

use super::super::fields::Known;
use super::super::token::{decimal, has_list_token};
use super::{Delimiter, Outgoing, Plan};

impl Outgoing {
    /// Chooses the delimiter by what the user set, then by what the peer understands
    /// (RFC 9112 §6.1 to §6.3). In answer to HEAD: the length to tell, which GET would have had.
    pub(super) fn decide(&mut self, is_response: bool, plan: Plan) -> Option<u64> {
        let known = self.fields.known();
        if is_response && (self.status == 204 || self.status == 304 || self.status < 200) {
            self.delimiter = Delimiter::None;
            // RFC 9112 §6.1: these carry neither; a 304 may tell the length that a 200 would have.
            self.fields.remove_quietly(b"transfer-encoding");
            if self.status != 304 {
                self.fields.remove_quietly(b"content-length");
            }
            return None;
        }
        if is_response && self.status == 205 {
            // RFC 9110 §15.3.6: no content, and a length of 0 says so whatever was set.
            self.delimiter = Delimiter::None;
            self.fields.remove_quietly(b"transfer-encoding");
            self.fields.remove_quietly(b"content-length");
            return None;
        }
        if known.contains(Known::TRANSFER_ENCODING) && self.minor == 0 {
            // A peer of HTTP/1.0 cannot read chunks.
            self.fields.remove_quietly(b"transfer-encoding");
        }
        let known = self.fields.known();
        if known.contains(Known::TRANSFER_ENCODING) {
            // Both would be a smuggling vector; chunked is the one that tells the truth by itself.
            self.fields.remove_quietly(b"content-length");
            self.delimiter = Delimiter::Chunked;
        } else if let Some(length) = self.fields.first(b"content-length").and_then(decimal) {
            self.delimiter = Delimiter::Length(length);
        } else {
            self.delimiter = self.automatic_delimiter(is_response, plan);
        }
        if !is_response || !self.contentless {
            return None;
        }
        match std::mem::replace(&mut self.delimiter, Delimiter::None) {
            // Nothing at hand may as well mean that it was not made for HEAD (RFC 9110 §8.6).
            Delimiter::Length(length) if length > 0 => Some(length),
            _ => None,
        }
    }

    fn automatic_delimiter(&self, is_response: bool, plan: Plan) -> Delimiter {
        let removed = self.fields.removed();
        let no_length = removed.contains(Known::CONTENT_LENGTH);
        let no_chunks = removed.contains(Known::TRANSFER_ENCODING) || self.minor == 0;
        match plan {
            Plan::Whole(0) if !is_response && (self.contentless || (no_length && no_chunks)) => {
                Delimiter::None
            }
            // Trailers can only follow chunks.
            Plan::Whole(length)
                if !no_length && (no_chunks || !self.fields.known().contains(Known::TRAILER)) =>
            {
                Delimiter::Length(length)
            }
            _ if !no_chunks => Delimiter::Chunked,
            _ if is_response => Delimiter::Close,
            // RFC 9112 §6.3: the content of a request without either field would be read as the next request,
            // so what was removed is sent all the same.
            Plan::Whole(length) => Delimiter::Length(length),
            Plan::Pieces => Delimiter::Chunked,
        }
    }

    /// The user's own `Connection` does not say `close`, but the connection will: RFC 9112 §9.6 wants it
    /// said, so it is said on a line of its own.
    pub(super) fn announce_close(&self, out: &mut Vec<u8>) {
        let said = self.fields.all(b"connection").any(|value| has_list_token(value, "close"));
        let upgrade = self.fields.all(b"connection").any(|value| has_list_token(value, "upgrade"));
        if !said && !upgrade {
            out.extend_from_slice(b"Connection: close\r\n");
        }
    }

    pub(super) fn decide_persistence(&mut self, is_response: bool, closing: bool) {
        if closing || (self.delimiter == Delimiter::Close && is_response) {
            self.persistent = false;
        }
        if is_response && self.minor == 0 && !self.keep_alive_is_said() {
            // RFC 9112 §9.3: a client of HTTP/1.0 keeps the connection only where it is told so.
            self.persistent = false;
        }
        if self.fields.known().contains(Known::CONNECTION)
            && self.fields.all(b"connection").any(|value| has_list_token(value, "close"))
        {
            self.persistent = false;
        }
    }

    /// `Connection: keep-alive` is in the head, or will be added.
    fn keep_alive_is_said(&self) -> bool {
        match self.fields.known().contains(Known::CONNECTION) {
            true => self.fields.all(b"connection").any(|value| has_list_token(value, "keep-alive")),
            false => !self.fields.removed().contains(Known::CONNECTION),
        }
    }
}
