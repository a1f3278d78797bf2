//! Fields of messages that we send: what may be set when, on how many lines, and what would break the framing.

use crate::engine::Core;
use crate::engine::slot::{ExchangeId, Kind};
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::h1::{
    FieldError, FieldList, Known, Outgoing, decimal, is_host, is_token, resembles_framing,
};

/// What becomes of the lines of a name when one is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The new line replaces them.
    Only,
    /// The new line comes behind them.
    Behind,
    /// The new value goes onto the first one, behind `; `.
    Joined,
}

/// Status and reason phrase of a head that is set as a whole.
pub(crate) type StatusLine = (u16, Option<Box<str>>);

impl Core {
    /// Gives access to a message whose head can still be changed.
    #[inline]
    pub(crate) fn head_mut(&mut self, id: ExchangeId, doing: &str) -> Result<&mut Outgoing> {
        let Some(active) = self.exchange(id) else {
            return Err(gone());
        };
        if active.outgoing.head_is_sealed() {
            return Err(headers_sent(doing));
        }
        Ok(&mut active.outgoing)
    }

    /// `append_header`.
    pub(crate) fn append_field(&mut self, id: ExchangeId, name: &str, value: &[u8]) -> Result<()> {
        let place = self.place_behind(id, name);
        let outgoing = self.head_mut(id, name)?;
        set_field(&mut outgoing.fields, name, value, place)
    }

    /// `add_trailer`.
    pub(crate) fn add_trailer(&mut self, id: ExchangeId, name: &str, value: &[u8]) -> Result<()> {
        let place = self.place_behind(id, name);
        let Some(active) = self.exchange(id) else {
            return Err(gone());
        };
        if active.outgoing.is_ended() {
            return Err(headers_sent("trailers"));
        }
        check_trailer(name)?;
        set_field(active.outgoing.trailers(), name, value, place)
    }

    /// `add_trailers`.
    pub(crate) fn add_trailers(&mut self, id: ExchangeId, list: FieldList) -> Result<()> {
        let mut result = list.iter().try_for_each(|(name, _)| check_trailer(as_name(name)));
        if result.is_ok() {
            let trailers = self.exchange(id).map(|active| &*active.outgoing.trailers());
            let before = trailers.filter(|trailers| !trailers.has_room_for(&list)).cloned();
            let mut lines = list.iter();
            result = lines.try_for_each(|(name, value)| self.add_trailer(id, as_name(name), value));
            if let (Err(_), Some(before)) = (&result, before) {
                *self.active(id.key).outgoing.trailers() = before;
            }
        }
        self.pool.recycle_fields(list);
        result
    }

    /// Sets many fields at once: the first of a name replaces what was set, further ones come behind it. With a
    /// status line the head is final afterwards. `list` is valid by itself.
    pub(crate) fn set_fields(
        &mut self,
        id: ExchangeId,
        list: FieldList,
        status_line: Option<StatusLine>,
    ) -> Result<()> {
        let result = self.merge_fields(id, &list);
        self.pool.recycle_fields(list);
        if let (Ok(()), Some((status, reason))) = (&result, status_line) {
            let outgoing = &mut self.active(id.key).outgoing;
            outgoing.set_status(status);
            if reason.is_some() {
                outgoing.set_reason(reason);
            }
            outgoing.seal();
        }
        result
    }

    fn merge_fields(&mut self, id: ExchangeId, list: &FieldList) -> Result<()> {
        let outgoing = self.head_mut(id, "the head")?;
        let mut known = outgoing.fields.known();
        if known.and(list.known()).contains(Known::CONTENT_LENGTH.and(Known::TRAILER)) {
            // As if they were set one by one.
            for (name, _) in list.iter() {
                known.insert(Known::of(name));
                check_trailer_framing(known)?;
            }
        }
        let mut fields = std::mem::take(&mut outgoing.fields);
        let is_one_line = |name: &[u8]| self.place_behind(id, as_name(name)) == Place::Joined;
        // Nothing else can be refused: the list is valid by itself.
        let result = fields.set_all(list, is_one_line);
        self.active(id.key).outgoing.fields = fields;
        result.map_err(|error| field_error(error, ""))
    }

    /// Where a further line of a name goes: cookies that a client sends back (RFC 6265 §5.4) and what
    /// `unique_headers` names are one line.
    fn place_behind(&self, id: ExchangeId, name: &str) -> Place {
        let slot = self.slots.get(id.key as usize);
        let server = slot
            .filter(|slot| slot.kind == Kind::Server)
            .and_then(|slot| self.servers.get(slot.owner as usize));
        let unique = server.map_or(&[][..], |server| &server.options.unique_headers);
        let is_unique = unique.iter().any(|unique| unique.eq_ignore_ascii_case(name));
        match is_unique || name.eq_ignore_ascii_case("cookie") {
            true => Place::Joined,
            false => Place::Behind,
        }
    }
}

/// A name that was checked to be a token, which is ASCII.
fn as_name(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// Sets, appends or removes a field, with the checks that keep the framing ours.
// Inlined with the call: a name that is a constant, as nearly all are, is checked by the compiler then.
#[inline(always)]
pub(crate) fn set_field(
    fields: &mut FieldList,
    name: &str,
    value: &[u8],
    place: Place,
) -> Result<()> {
    // Only names of these lengths steer framing; the check is on every `set_header`.
    if matches!(name.len(), 7 | 14 | 17) {
        check_framing_field(fields, name, value, place)?;
    }
    if name.eq_ignore_ascii_case("host") {
        // RFC 9112 §3.2: with two of them, or with one that names no host, nobody knows whom a request is for.
        if place != Place::Only && fields.has(b"host") {
            return Err(stands_once(name));
        }
        if !is_host(value) {
            return Err(no_host());
        }
    }
    let result = match place {
        Place::Only => fields.set(name.as_bytes(), value),
        Place::Behind => fields.append(name.as_bytes(), value),
        Place::Joined => fields.join(name.as_bytes(), value),
    };
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(field_error(error, name)),
    }
}

/// RFC 9110 §6.5.1: what steers framing, routing or authentication has no place behind the content. What we refuse
/// when we receive it is never sent.
pub(crate) fn check_trailer(name: &str) -> Result<()> {
    const FORBIDDEN: [&str; 5] =
        ["host", "trailer", "connection", "authorization", "proxy-authorization"];
    let mut forbidden = FORBIDDEN.iter();
    if forbidden.any(|forbidden| forbidden.eq_ignore_ascii_case(name))
        // The hyphen itself resembles the hyphen.
        || resembles_framing(name.as_bytes())
    {
        let message = format!("{name} is not allowed as a trailer");
        return Err(Error::local("ERR_HTTP_TRAILER_INVALID", message));
    }
    Ok(())
}

fn steers_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

#[cold]
fn check_framing_field(fields: &FieldList, name: &str, value: &[u8], place: Place) -> Result<()> {
    if resembles_framing(name.as_bytes()) && !steers_framing(name) {
        // CGI and its heirs write both with an underscore, and the next reader may: a server of ours refuses it.
        let message = format!("{name} can be taken for a Content-Length or Transfer-Encoding");
        return Err(Error::local("ERR_INVALID_HTTP_TOKEN", message));
    }
    let is_length = name.eq_ignore_ascii_case("content-length");
    if is_length && decimal(value).is_none() {
        let message = "a Content-Length is a decimal number of bytes";
        return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
    }
    if name.eq_ignore_ascii_case("transfer-encoding") && !ends_in_chunked(value) {
        let message = "a Transfer-Encoding must be a list of codings that ends in `chunked`";
        return Err(Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message));
    }
    if place != Place::Only && steers_framing(name) && fields.has(name.as_bytes()) {
        return Err(stands_once(name));
    }
    let mut known = fields.known();
    if is_length {
        known.insert(Known::CONTENT_LENGTH);
    } else if name.eq_ignore_ascii_case("trailer") {
        known.insert(Known::TRAILER);
    }
    check_trailer_framing(known)
}

#[cold]
fn no_host() -> Error {
    let message = "a Host is a name or an address, with a port or without";
    Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message)
}

#[cold]
fn stands_once(name: &str) -> Error {
    let message = format!("{name} is set already and may stand only once");
    Error::local("ERR_HTTP_INVALID_HEADER_VALUE", message)
}

/// Trailers follow chunks, and a length means that there are none (RFC 9112 §7.1.2).
fn check_trailer_framing(known: Known) -> Result<()> {
    let chunked = known.contains(Known::TRANSFER_ENCODING);
    if known.contains(Known::CONTENT_LENGTH.and(Known::TRAILER)) && !chunked {
        let message =
            "Trailer and Content-Length exclude each other: trailers follow chunked content only";
        return Err(Error::local("ERR_HTTP_TRAILER_INVALID", message));
    }
    Ok(())
}

/// A list of tokens of which `chunked` is the last and the only one of that name (RFC 9112 §6.1): what is less
/// plain, such as an empty element, one reader takes and another one refuses.
fn ends_in_chunked(value: &[u8]) -> bool {
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    codings.clone().all(is_token)
        && codings.next_back().is_some_and(is_chunked)
        && !codings.any(is_chunked)
}

/// The public error of a refused field.
#[cold]
pub(crate) fn field_error(error: FieldError, name: &str) -> Error {
    match error {
        FieldError::Name => Error::local(
            "ERR_INVALID_HTTP_TOKEN",
            format!(
                "header name must be a token of letters, digits and !#$%&'*+-.^_`|~ (got {name:?})"
            ),
        ),
        FieldError::Value => Error::local(
            "ERR_INVALID_CHAR",
            format!(
                "invalid character in the value of header {name:?}: control characters are not allowed"
            ),
        ),
        FieldError::TooLarge => Error::new(
            ErrorKind::Limit(Limit::HeaderSize),
            "ERR_HTTP_HEADERS_TOO_LARGE",
            "the header section would be larger than 64 KiB",
        ),
    }
}

#[cold]
pub(crate) fn headers_sent(doing: &str) -> Error {
    Error::local(
        "ERR_HTTP_HEADERS_SENT",
        format!(
            "too late for {doing}: the head was sent; do it before `write`, `end` or `flush_headers`"
        ),
    )
}

/// The handle's exchange is over.
#[cold]
pub(crate) fn gone() -> Error {
    Error::new(
        ErrorKind::Aborted,
        "ERR_STREAM_DESTROYED",
        "the message is over: nothing can be added to it",
    )
}
