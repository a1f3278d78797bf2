//! What the engine keeps per server: its options in the form the hot path wants, its listeners' callbacks,
//! its counts.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::h1::{BodyLimits, HeadLimits};
use crate::http::{Connection, DropInfo, Request, Response, ServerOptions, Socket};
use crate::limits::Limits;

use super::Core;
use super::callbacks::{Hook, Listener};
use super::date::DateCache;
use super::options::LoopOptions;
use super::server_clock::{BODY_RATE_SPAN, quota};
use super::slot::Kind;

pub(crate) type RequestFn = Box<dyn FnMut(Request, Response) -> Result<()>>;
pub(crate) type ServerUpgradeFn = Box<dyn FnMut(Request, Socket, &[u8]) -> Result<()>>;
pub(crate) type ClientErrorFn = Box<dyn FnMut(Error, Socket) -> Result<()>>;
pub(crate) type ShouldUpgradeFn = Box<dyn FnMut(&Request) -> bool>;
pub(crate) type ConnectionFn = Box<dyn FnMut(Connection) -> Result<()>>;
pub(crate) type DropRequestFn = Box<dyn FnMut(Request, Connection) -> Result<()>>;
pub(crate) type DropFn = Box<dyn FnMut(DropInfo) -> Result<()>>;

/// What users have registered on one server.
#[derive(Default)]
pub(crate) struct ServerCallbacks {
    pub(crate) request: Listener<RequestFn>,
    pub(crate) check_continue: Listener<RequestFn>,
    pub(crate) check_expectation: Listener<RequestFn>,
    pub(crate) upgrade: Listener<ServerUpgradeFn>,
    pub(crate) connect: Listener<ServerUpgradeFn>,
    pub(crate) should_upgrade: Listener<ShouldUpgradeFn>,
    pub(crate) client_error: Listener<ClientErrorFn>,
    pub(crate) connection: Listener<ConnectionFn>,
    pub(crate) timeout: Listener<ConnectionFn>,
    pub(crate) drop_request: Listener<DropRequestFn>,
    pub(crate) drop: Listener<DropFn>,
    pub(crate) close: Option<Hook>,
}

impl ServerCallbacks {
    pub(crate) fn request_listener(&mut self, which: RequestListener) -> &mut Listener<RequestFn> {
        match which {
            RequestListener::Request => &mut self.request,
            RequestListener::CheckContinue => &mut self.check_continue,
            RequestListener::CheckExpectation => &mut self.check_expectation,
        }
    }

    /// Who is handed a connection that ceases to be one of HTTP: by CONNECT, else by an upgrade.
    pub(crate) fn stream_listener(&mut self, is_connect: bool) -> &mut Listener<ServerUpgradeFn> {
        match is_connect {
            true => &mut self.connect,
            false => &mut self.upgrade,
        }
    }
}

/// Who is called for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestListener {
    Request,
    CheckContinue,
    CheckExpectation,
}

/// One server.
pub(crate) struct ServerEntry {
    pub(crate) generation: u32,
    pub(crate) options: ServerOptions,
    /// Those of the loop, with what the options say.
    pub(crate) limits: Limits,
    of_loop: Rc<LoopOptions>,
    pub(crate) head_limits: HeadLimits,
    pub(crate) body_limits: BodyLimits,
    /// The idle deadline in ticks of the deadline clock, with the unadvertised buffer; 0 is none.
    pub(crate) keep_alive_ticks: u32,
    /// The inactivity timeout of an exchange; 0 is none.
    pub(crate) timeout_ticks: u32,
    /// Bytes that a client has to take within `write_timeout`.
    pub(crate) write_quota: u64,
    /// Bytes of content that have to come within the span of `min_body_rate`; 0 is any.
    pub(crate) body_quota: u64,
    pub(crate) callbacks: ServerCallbacks,
    /// Slots of the listening sockets.
    pub(crate) listeners: Vec<u32>,
    pub(crate) connections: usize,
    /// Only where connections are limited by address.
    pub(crate) addresses: Option<Box<AddressCounts>>,
    /// `close` was called: no connection outlives its exchange.
    pub(crate) closing: bool,
    pub(crate) unreferenced: bool,
    /// Settings were changed since it was made: clocks that run may be of former ones.
    #[cfg(feature = "sim")]
    pub(crate) is_changed: bool,
    keep_alive_line: Vec<u8>,
    persistent_block: Vec<u8>,
    block_second: u64,
}

impl ServerEntry {
    pub(crate) fn new(generation: u32, options: ServerOptions, of_loop: Rc<LoopOptions>) -> Self {
        let mut entry = ServerEntry {
            generation,
            limits: Limits::default(),
            head_limits: HeadLimits::default(),
            body_limits: BodyLimits::default(),
            options,
            of_loop,
            keep_alive_ticks: 0,
            timeout_ticks: 0,
            write_quota: 1,
            body_quota: 0,
            callbacks: ServerCallbacks::default(),
            listeners: Vec::new(),
            connections: 0,
            addresses: None,
            closing: false,
            unreferenced: false,
            #[cfg(feature = "sim")]
            is_changed: false,
            keep_alive_line: Vec::new(),
            persistent_block: Vec::new(),
            block_second: u64::MAX,
        };
        entry.apply_options();
        #[cfg(feature = "sim")]
        {
            entry.is_changed = false;
        }
        entry
    }

    /// Brings what is derived from the options up to date with them.
    pub(crate) fn apply_options(&mut self) {
        #[cfg(feature = "sim")]
        {
            self.is_changed = true;
        }
        let options = &self.options;
        self.limits = options.limits.over(&self.of_loop.limits);
        self.head_limits = HeadLimits {
            host_optional: !options.require_host_header,
            join_duplicates: options.join_duplicate_headers,
            ..head_limits(&self.limits)
        };
        self.body_limits = BodyLimits {
            join_duplicates: options.join_duplicate_headers,
            content_bytes: self.head_limits.content_bytes,
            ..body_limits(&self.limits)
        };
        let idle = options.keep_alive_timeout;
        self.keep_alive_ticks = match idle.is_zero() {
            true => 0,
            false => {
                super::deadlines::ticks(idle.saturating_add(options.keep_alive_timeout_buffer))
            }
        };
        self.timeout_ticks = super::ticks_or_never(options.timeout);
        self.write_quota = quota(options.write_timeout, options.min_write_rate);
        self.body_quota = match options.min_body_rate {
            0 => 0,
            rate => quota(BODY_RATE_SPAN, rate),
        };
        self.keep_alive_line = match (idle.is_zero(), self.limits.max_requests_per_socket) {
            (true, _) => String::new(),
            (false, None) => format!("Keep-Alive: timeout={}\r\n", idle.as_secs()),
            (false, Some(max)) => format!("Keep-Alive: timeout={}, max={max}\r\n", idle.as_secs()),
        }
        .into_bytes();
        self.block_second = u64::MAX;
        if self.limits.max_connections_per_address.is_some() {
            self.addresses.get_or_insert_default();
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
    pub(crate) fn add_server(&mut self, options: ServerOptions) -> Result<(u32, u32)> {
        if self.servers.len() >= usize::from(super::agent::NO_ORIGIN) {
            let message = "this loop has 65,535 servers: close one";
            return Err(Error::local("ERR_OUT_OF_RANGE", message));
        }
        let generation = self.new_generation();
        let key = self.servers.insert(Box::new(ServerEntry::new(
            generation,
            options,
            self.options.clone(),
        )));
        Ok((key as u32, generation))
    }

    pub(crate) fn set_server_referenced(&mut self, key: u32, generation: u32, referenced: bool) {
        if !self.is_server(key, generation) {
            return;
        }
        let server = &mut self.servers[key as usize];
        server.unreferenced = !referenced;
        for listener in server.listeners.clone() {
            self.set_slot_referenced(listener, referenced);
        }
    }

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
        match limits {
            None => self.agents.body_limits,
            Some(limits) => BodyLimits {
                trailer_bytes: limits.head_bytes,
                trailer_fields: limits.fields,
                join_duplicates: limits.join_duplicates,
                ..self.agents.body_limits
            },
        }
    }

    /// How much unread content is dropped to keep the connection.
    pub(crate) fn discarded_bytes_max(&self, key: u32) -> usize {
        self.limits_of(key).max_discarded
    }

    /// The limits that hold for a connection.
    pub(super) fn limits_of(&self, key: u32) -> &Limits {
        let slot = &self.slots[key as usize];
        let server = match slot.kind {
            Kind::Server => self.servers.get(slot.owner as usize),
            _ => None,
        };
        server.map_or(&self.options.limits, |server| &server.limits)
    }
}

/// What a head may cost that is received.
pub(super) fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        head_bytes: limits.max_header_size,
        target_bytes: limits.max_target_size,
        fields: fields_max(limits.max_headers_count),
        content_bytes: limits.max_body_size.unwrap_or(u64::MAX),
        // The options see to it that they fit.
        method_bytes: u8::try_from(limits.max_method_size).unwrap_or(u8::MAX),
        empty_lines: u8::try_from(limits.max_empty_lines).unwrap_or(u8::MAX),
        host_optional: false,
        join_duplicates: false,
    }
}

/// What the framing of content may cost that is received. Its trailers are held to what holds for the head.
pub(super) fn body_limits(limits: &Limits) -> BodyLimits {
    BodyLimits {
        extension_bytes_per_chunk: limits.max_extensions_per_chunk,
        extension_bytes: limits.max_extensions_per_message,
        trailer_bytes: limits.max_header_size,
        trailer_fields: fields_max(limits.max_headers_count),
        content_bytes: u64::MAX,
        join_duplicates: false,
    }
}

/// `max_headers_count` as a limit: zero is none. The size of the section bounds the number then.
pub(crate) fn fields_max(count: usize) -> usize {
    match count {
        0 => usize::MAX,
        count => count,
    }
}

/// How many connections there are from each address, and from which address each is: a connection that is
/// reset has forgotten it by the time that it is closed.
#[derive(Debug, Default)]
pub(crate) struct AddressCounts {
    counts: HashMap<IpAddr, usize>,
    addresses: HashMap<u32, IpAddr>,
}

impl AddressCounts {
    pub(crate) fn count(&self, address: IpAddr) -> usize {
        self.counts.get(&network(address)).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, key: u32, address: IpAddr) {
        let network = network(address);
        *self.counts.entry(network).or_default() += 1;
        self.addresses.insert(key, network);
    }

    /// Each count is the number of connections from there, and these are the server's own.
    #[cfg(feature = "sim")]
    pub(crate) fn check(&self, is_its: impl Fn(u32) -> bool) -> std::result::Result<(), String> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (key, network) in &self.addresses {
            *counts.entry(*network).or_default() += 1;
            if !is_its(*key) {
                return Err(format!("slot {key} is counted by its address, and is gone"));
            }
        }
        match counts == self.counts {
            true => Ok(()),
            false => {
                Err(format!("it counts {:?} by address, and there are {counts:?}", self.counts))
            }
        }
    }

    pub(crate) fn remove(&mut self, key: u32) {
        let Some(network) = self.addresses.remove(&key) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&network);
            }
        }
    }
}

/// What stands for one client: an IPv4 address, or the first half of an IPv6 address, since the second half
/// is the client's to choose.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_network() {
        let mut counts = AddressCounts::default();
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        counts.add(1, parse("10.0.0.1"));
        counts.add(2, parse("::ffff:10.0.0.1"));
        counts.add(3, parse("2001:db8::1"));
        counts.add(4, parse("2001:db8::ffff:1"));
        counts.add(5, parse("2001:db8:0:1::1"));
        assert_eq!(counts.count(parse("10.0.0.1")), 2);
        assert_eq!(counts.count(parse("2001:db8::2")), 2);
        assert_eq!(counts.count(parse("2001:db8:0:1::9")), 1);
        for key in [1, 2, 3, 4, 5, 6, 1] {
            counts.remove(key);
        }
        assert!(counts.counts.is_empty() && counts.addresses.is_empty());
    }
}
