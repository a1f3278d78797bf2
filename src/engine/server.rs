//! What the engine keeps per server: its options in the form the hot path wants, its listeners' callbacks,
//! its counts.

use crate::error::{Error, Result};
use crate::h1::{BodyLimits, HeadLimits};
use crate::http::{Request, Response, ServerOptions, Socket};

use super::Core;
use super::callbacks::{Hook, Listener};
use super::date::DateCache;
use super::slot::Kind;

pub(crate) type RequestFn = Box<dyn FnMut(Request, Response) -> Result<()>>;
pub(crate) type ServerUpgradeFn = Box<dyn FnMut(Request, Socket, &[u8]) -> Result<()>>;
pub(crate) type ClientErrorFn = Box<dyn FnMut(Error, Socket) -> Result<()>>;
pub(crate) type ShouldUpgradeFn = Box<dyn FnMut(&Request) -> bool>;

/// One server.
pub(crate) struct ServerEntry {
    pub(crate) generation: u32,
    pub(crate) options: ServerOptions,
    pub(crate) head_limits: HeadLimits,
    pub(crate) body_limits: BodyLimits,
    /// The idle deadline in ticks of the deadline clock, with the unadvertised buffer.
    pub(crate) keep_alive_ticks: u32,
    pub(crate) on_request: Listener<RequestFn>,
    pub(crate) on_upgrade: Listener<ServerUpgradeFn>,
    pub(crate) on_connect: Listener<ServerUpgradeFn>,
    pub(crate) should_upgrade: Listener<ShouldUpgradeFn>,
    pub(crate) on_client_error: Listener<ClientErrorFn>,
    pub(crate) on_close: Option<Hook>,
    /// Slots of the listening sockets.
    pub(crate) listeners: Vec<u32>,
    pub(crate) connections: usize,
    /// `close` was called: no connection outlives its exchange.
    pub(crate) closing: bool,
    pub(crate) unreferenced: bool,
    keep_alive_line: Vec<u8>,
    persistent_block: Vec<u8>,
    block_second: u64,
}

impl ServerEntry {
    pub(crate) fn new(generation: u32, options: ServerOptions) -> Self {
        let seconds = options.keep_alive_timeout.as_secs();
        let keep_alive_line = match options.keep_alive_timeout.is_zero() {
            true => Vec::new(),
            false => format!("Keep-Alive: timeout={seconds}\r\n").into_bytes(),
        };
        let idle = options.keep_alive_timeout + options.keep_alive_timeout_buffer;
        ServerEntry {
            generation,
            head_limits: head_limits(&options),
            body_limits: body_limits(&options),
            keep_alive_ticks: match options.keep_alive_timeout.is_zero() {
                true => 0,
                false => super::deadlines::ticks(idle),
            },
            options,
            on_request: Listener::Empty,
            on_upgrade: Listener::Empty,
            on_connect: Listener::Empty,
            should_upgrade: Listener::Empty,
            on_client_error: Listener::Empty,
            on_close: None,
            listeners: Vec::new(),
            connections: 0,
            closing: false,
            unreferenced: false,
            keep_alive_line,
            persistent_block: Vec::new(),
            block_second: u64::MAX,
        }
    }

    /// Who is handed a connection that ceases to be one of HTTP: by CONNECT, else by an upgrade.
    pub(crate) fn stream_listener(&mut self, is_connect: bool) -> &mut Listener<ServerUpgradeFn> {
        match is_connect {
            true => &mut self.on_connect,
            false => &mut self.on_upgrade,
        }
    }

    /// The fields added to responses, made anew once a second.
    #[inline]
    pub(crate) fn automatic<'a>(&'a mut self, date: &'a DateCache) -> crate::h1::Automatic<'a> {
        if self.block_second != date.second() {
            self.block_second = date.second();
            self.persistent_block.clear();
            self.persistent_block.extend_from_slice(date.line());
            self.persistent_block.extend_from_slice(b"Connection: keep-alive\r\n");
            self.persistent_block.extend_from_slice(&self.keep_alive_line);
        }
        crate::h1::Automatic {
            date: date.line(),
            keep_alive: &self.keep_alive_line,
            persistent_block: &self.persistent_block,
            closing: self.closing,
        }
    }
}

impl Core {
    /// The content limits that hold for this connection.
    pub(crate) fn body_limits(&self, key: u32) -> BodyLimits {
        let slot = &self.slots[key as usize];
        match slot.kind {
            Kind::Server => self
                .servers
                .get(slot.owner as usize)
                .map_or_else(BodyLimits::default, |server| server.body_limits),
            _ => self.response_limits(key),
        }
    }

    fn response_limits(&self, key: u32) -> BodyLimits {
        let active = self.slots[key as usize].active.as_deref();
        let limits = active.and_then(|active| active.client.as_deref()?.head_limits.as_ref());
        BodyLimits {
            join_duplicates: limits.is_some_and(|limits| limits.join_duplicates),
            ..BodyLimits::default()
        }
    }

    /// How much unread content is dropped to keep the connection.
    pub(crate) fn discarded_bytes_max(&self, key: u32) -> usize {
        let slot = &self.slots[key as usize];
        match slot.kind {
            Kind::Server => self
                .servers
                .get(slot.owner as usize)
                .map_or(DISCARDED_BYTES_MAX, |server| server.options.max_discarded),
            _ => DISCARDED_BYTES_MAX,
        }
    }
}

/// Default of `max_discarded`, and the bound for responses that nobody reads.
pub(crate) const DISCARDED_BYTES_MAX: usize = 256 * 1024;

fn head_limits(options: &ServerOptions) -> HeadLimits {
    HeadLimits {
        head_bytes: options.max_header_size,
        target_bytes: options.max_target_size,
        fields: fields_max(options.max_headers_count),
        content_bytes: options.max_body_size.unwrap_or(u64::MAX),
        host_optional: !options.require_host_header,
        join_duplicates: options.join_duplicate_headers,
    }
}

fn body_limits(options: &ServerOptions) -> BodyLimits {
    BodyLimits {
        trailer_bytes: options.max_header_size,
        trailer_fields: fields_max(options.max_headers_count),
        content_bytes: options.max_body_size.unwrap_or(u64::MAX),
        join_duplicates: options.join_duplicate_headers,
        ..BodyLimits::default()
    }
}

/// `max_headers_count` as a limit: zero is none. The size of the section bounds the number then.
pub(crate) fn fields_max(count: usize) -> usize {
    match count {
        0 => usize::MAX,
        count => count,
    }
}
