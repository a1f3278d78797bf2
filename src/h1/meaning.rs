//! What the fields of a head mean to the connection: framing, persistence, expectations, upgrade.
//!
//! One pass over the fields takes note of the few names that matter; the judgement comes at the end
//! of the head, in a fixed order, so that it cannot depend on how the bytes arrived.

use std::collections::HashSet;

use super::fields::FieldList;
use super::framing::{Framing, FramingFields, request_framing, response_framing};
use super::head::Head;
use super::read::HeadLimits;
use super::target::check_host;
use super::token::{AnyCase, has_list_token, is_name, list_elements};
use super::violation::Violation;

/// The method of the request that a response answers, as far as framing depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Asked {
    /// The response has no content, whatever its fields say.
    Head,
    /// A 2xx response turns the connection into a tunnel.
    Connect,
    /// Any other method.
    Other,
}

/// What the client waits for before it sends content: RFC 9110 §10.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Expect {
    /// Nothing.
    #[default]
    None,
    /// `100-continue`.
    Continue,
    /// Anything else: 417 is the clear answer.
    Unknown,
}

/// What a head means to the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// How the content ends.
    pub(crate) framing: Framing,
    /// Whether the peer keeps the connection after this message: RFC 9112 §9.3. Never true for
    /// content that ends with the connection.
    pub(crate) persistent: bool,
    /// `close` was among the options of any `Connection` line.
    pub(crate) close: bool,
    /// `keep-alive` was among the options of any `Connection` line.
    pub(crate) keep_alive: bool,
    /// The expectation of a request, also of one without content; none in HTTP/1.0, where it is to
    /// be ignored.
    pub(crate) expect: Expect,
    /// An `Upgrade` field and the option `upgrade` in `Connection`; never in HTTP/1.0, where it is
    /// to be ignored (RFC 9110 §7.8).
    pub(crate) upgrade: bool,
    /// The request's method is HEAD.
    pub(crate) head: bool,
    /// The request's method is CONNECT.
    pub(crate) connect: bool,
    /// Not said by the message: it was handed over together with its connection, by an upgrade or CONNECT.
    pub(crate) handed_over: bool,
    /// Seconds of a `Keep-Alive: timeout=N`.
    pub(crate) keep_alive_timeout: Option<u32>,
}

/// What the fields say, collected line by line.
#[derive(Debug, Default)]
pub(super) struct Notes<'a> {
    framing: FramingFields<'a>,
    host: Option<&'a [u8]>,
    host_repeated: bool,
    look_alike: bool,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade_field: bool,
    expect: Expect,
    keep_alive_timeout: Option<u32>,
}

impl<'a> Notes<'a> {
    /// Takes note of one field. The length of the name comes first: it rules out most names at the
    /// cost of one jump.
    #[inline(always)]
    pub(super) fn field(&mut self, name: &[u8], value: &'a [u8]) {
        match name.len() {
            4 if is_name(name, b"host") => {
                self.host_repeated |= self.host.is_some();
                self.host = Some(value);
            }
            6 if is_name(name, b"expect") => self.expectation(value),
            7 if is_name(name, b"upgrade") => self.upgrade_field = true,
            10 if is_name(name, b"connection") => self.connection(value),
            10 if is_name(name, b"keep-alive") => self.keep_alive_field(value),
            14 if is_name(name, b"content-length") => self.framing.content_length(value),
            14 => self.look_alike |= resembles_framing(name),
            17 if is_name(name, b"transfer-encoding") => self.framing.transfer_encoding(value),
            17 => self.look_alike |= resembles_framing(name),
            _ => {}
        }
    }

    fn expectation(&mut self, value: &[u8]) {
        let continues = is_name(value, b"100-continue");
        self.expect = match self.expect {
            Expect::None | Expect::Continue if continues => Expect::Continue,
            _ => Expect::Unknown,
        };
    }

    fn connection(&mut self, value: &[u8]) {
        // Nearly every line has one option; a list is the exception.
        if is_name(value, b"keep-alive") {
            self.keep_alive = true;
        } else if is_name(value, b"close") {
            self.close = true;
        } else {
            self.close |= has_list_token(value, "close");
            self.keep_alive |= has_list_token(value, "keep-alive");
            self.upgrade_option |= has_list_token(value, "upgrade");
        }
    }

    fn keep_alive_field(&mut self, value: &[u8]) {
        for element in list_elements(value) {
            let Some((b"timeout=" | b"Timeout=", number)) = element.split_at_checked(8) else {
                continue;
            };
            if let Some(seconds) = super::token::decimal(number) {
                self.keep_alive_timeout = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
            }
        }
    }

    /// Judges a request: RFC 9112 §3.2 (Host), §6.3, §9.3.
    #[inline(always)]
    pub(super) fn of_request(
        &self,
        minor: u8,
        connect: bool,
        limits: &HeadLimits,
    ) -> Result<Meaning, Violation> {
        if self.look_alike {
            return Err(Violation::LookAlike);
        }
        if self.host_repeated {
            return Err(Violation::HostRepeated);
        }
        match self.host {
            Some(value) => check_host(value)?,
            None if minor == 0 || limits.host_optional => {}
            None => return Err(Violation::HostMissing),
        }
        let framing = request_framing(&self.framing, minor, connect, limits.content_bytes)?;
        Ok(self.meaning(framing, minor))
    }

    /// Judges a response: RFC 9112 §6.3, §9.3.
    #[inline(always)]
    pub(super) fn of_response(
        &self,
        minor: u8,
        asked: Asked,
        status: u16,
    ) -> Result<Meaning, Violation> {
        let framing = response_framing(&self.framing, minor, asked, status)?;
        Ok(self.meaning(framing, minor))
    }

    #[inline(always)]
    fn meaning(&self, framing: Framing, minor: u8) -> Meaning {
        let current = minor != 0;
        Meaning {
            framing,
            persistent: !self.close
                && (current || self.keep_alive)
                && framing != Framing::UntilClose,
            close: self.close,
            keep_alive: self.keep_alive,
            expect: if current { self.expect } else { Expect::None },
            upgrade: self.upgrade_field && self.upgrade_option && current,
            keep_alive_timeout: self.keep_alive_timeout,
            head: false,
            connect: false,
            handed_over: false,
        }
    }
}

impl Meaning {
    /// The request asks for more than an answer: an expectation, another protocol, a tunnel.
    #[inline]
    pub(crate) fn is_unusual(&self) -> bool {
        self.upgrade || self.connect || self.expect != Expect::None
    }
}

/// Whether a 101 names one of the protocols that its request has asked for in these fields, and no other: RFC 9110 §7.8.
pub(crate) fn is_switch(head: &Head, asked: &FieldList) -> bool {
    let is_named = |protocol: &&[u8]| !protocol.is_empty();
    let mut named = head.find_all("upgrade").flat_map(list_elements).filter(is_named).peekable();
    // Both lists may be long, and of strangers: where a proxy passes the fields of its client on.
    let asked: HashSet<AnyCase<'_>> =
        asked.all(b"upgrade").flat_map(list_elements).map(AnyCase).collect();
    named.peek().is_some() && named.all(|protocol| asked.contains(&AnyCase(protocol)))
}

/// Whether a name is `Content-Length` or `Transfer-Encoding` but for the character in the hyphen's
/// place. CGI and its heirs write both with an underscore and would take the stranger for the field.
pub(crate) fn resembles_framing(name: &[u8]) -> bool {
    match (name.split_at_checked(7), name.split_at_checked(8)) {
        (Some((content, [_, length @ ..])), _)
            if is_name(content, b"content") && is_name(length, b"length") =>
        {
            true
        }
        (_, Some((transfer, [_, encoding @ ..]))) => {
            is_name(transfer, b"transfer") && is_name(encoding, b"encoding")
        }
        _ => false,
    }
}
