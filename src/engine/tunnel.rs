//! Through a proxy to where a request wants to go: CONNECT, and its answer, before the request's own first byte
//! (RFC 9110 §9.3.6).

use std::io;

use crate::engine::event::{Event, Input};
use crate::engine::incoming::Read;
use crate::engine::server_failure::violation_error;
use crate::engine::slot::{Flags, Stage};
use crate::engine::{Core, Place, set_field};
use crate::error::{Error, ErrorKind, Limit};
use crate::h1::{Asked, HeadProgress, parse_response};

/// A tunnel that is being asked for.
#[derive(Debug, Default)]
pub(crate) struct Tunnel {
    /// What is left of the request to the proxy.
    pub(super) out: Vec<u8>,
    /// What came of its answer.
    answer: Vec<u8>,
    progress: HeadProgress,
    informational: u16,
}

impl Core {
    /// What a proxy that gets the request itself wants to know, unless the user has said it already.
    #[cold]
    pub(crate) fn add_proxy_credentials(&mut self, key: u32) {
        let Some(active) = self.slots.get_mut(key as usize).and_then(|s| s.active.as_deref_mut())
        else {
            return;
        };
        let endpoint = active.client.as_deref().and_then(|client| client.endpoint.as_deref());
        let proxied = endpoint.and_then(|endpoint| endpoint.proxied.as_ref());
        let Some(credentials) = proxied.and_then(|proxied| proxied.authorization.as_deref()) else {
            return;
        };
        let fields = &mut active.outgoing.fields;
        const NAME: &str = "Proxy-Authorization";
        if fields.has(NAME.as_bytes()) {
            return;
        }
        if let Err(error) = set_field(fields, NAME, credentials.as_bytes(), Place::Behind) {
            // There is no room for it: the user's own are so many.
            let sent = self.sent(key);
            self.active(key).failure = Some(error.with_sent(sent));
        }
    }

    /// A connection is there: to a proxy, where the request needs a tunnel. True where it is the request's own
    /// already.
    pub(super) fn begin_tunnel(&mut self, key: u32) -> bool {
        let client = self.client(key);
        let route = client.endpoint.as_deref().and_then(|endpoint| endpoint.tunnel.as_ref());
        let Some(route) = route else {
            return true;
        };
        let authority = &route.authority;
        let mut text = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = &route.authorization {
            text.push_str("Proxy-Authorization: ");
            text.push_str(authorization);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        client.tunnel = Some(Box::new(Tunnel { out: text.into_bytes(), ..Tunnel::default() }));
        // Asking is a part of connecting, which `timeout` goes on for.
        self.arm_connecting(key);
        self.mark_dirty_later(key);
        false
    }

    /// Asks the proxy for a tunnel, and waits for its answer. `None` is rest.
    pub(super) fn tunnel_next(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        if let Err(error) = self.send_to_proxy(key) {
            return Some(self.tunnel_lost(key, input, Error::io(&error, "write")));
        }
        loop {
            match self.read(key, input) {
                Read::Nothing if !self.slots[key as usize].is_broken_and_read() => return None,
                Read::Some => {}
                Read::Nothing | Read::End | Read::Broken => {
                    let why = "the proxy closed the connection before it answered CONNECT";
                    return Some(self.tunnel_lost(key, input, tunnel_error(why)));
                }
            }
            let count = input.bytes().len();
            self.client(key).tunnel.as_deref_mut()?.answer.extend_from_slice(input.bytes());
            input.consume(count);
            if let Some(event) = self.read_answer(key) {
                return Some(event);
            }
        }
    }

    /// Looks at what came of the proxy's answer. `None` where there is more to come.
    fn read_answer(&mut self, key: u32) -> Option<Event> {
        loop {
            let limits = self.agents.head_limits;
            let mut head = self.pool.head();
            let Some(tunnel) = self.client(key).tunnel.as_deref_mut() else {
                self.pool.recycle_head(head);
                return None;
            };
            let (bytes, progress) = (&tunnel.answer, &mut tunnel.progress);
            let parsed = parse_response(bytes, &limits, progress, Asked::Connect, &mut head);
            let status = head.status();
            self.pool.recycle_head(head);
            match parsed {
                Ok(None) => return None,
                Ok(Some(consumed)) => {
                    if let Some(event) = self.proxy_answered(key, status, consumed) {
                        return Some(event);
                    }
                }
                Err(violation) => {
                    let cause = violation_error(violation);
                    let message = format!("the proxy's answer to CONNECT: {cause}");
                    let error = Error::new(cause.kind(), "ERR_PROXY_TUNNEL", message);
                    return Some(self.tunnel_failed(key, error));
                }
            }
        }
    }

    /// A response of the proxy is complete; `None` where another one is to come.
    fn proxy_answered(&mut self, key: u32, status: u16, consumed: usize) -> Option<Event> {
        let most = self.options.limits.max_informational;
        let tunnel = self.client(key).tunnel.as_deref_mut()?;
        tunnel.answer.drain(..consumed);
        tunnel.progress = HeadProgress::default();
        if (100..200).contains(&status) && status != 101 {
            tunnel.informational = tunnel.informational.saturating_add(1);
            if tunnel.informational <= most {
                return None;
            }
            let message = "the proxy sent more informational responses than `max_informational`";
            let error = Core::limit_error(Limit::Informational, "ERR_PROXY_TUNNEL", message);
            return Some(self.tunnel_failed(key, error));
        }
        let is_clean = tunnel.answer.is_empty();
        if !(200..300).contains(&status) {
            let error = tunnel_error(format!("the proxy answered CONNECT with {status}"));
            return Some(self.tunnel_failed(key, error.with_status(status)));
        }
        if !is_clean {
            // Whoever is behind the tunnel has not been asked anything yet.
            let error = tunnel_error("bytes came through the tunnel before the request was sent");
            return Some(self.tunnel_failed(key, error));
        }
        log::debug!(target: "onloop::client", "request {key}: the tunnel is there");
        self.client(key).tunnel = None;
        self.slot(key).deadline = 0;
        self.active(key).stage = Stage::Head;
        Some(Event::Continue)
    }

    fn send_to_proxy(&mut self, key: u32) -> io::Result<()> {
        let Core { slots, net, .. } = self;
        let slot = &mut slots[key as usize];
        let client = slot.active.as_deref_mut().and_then(|active| active.client.as_deref_mut());
        let Some(tunnel) = client.and_then(|client| client.tunnel.as_deref_mut()) else {
            return Ok(());
        };
        while !tunnel.out.is_empty() && !slot.flags.has(Flags::WRITE_BLOCKED) {
            match net.write(&mut slot.source, &tunnel.out) {
                Ok(written) => drop(tunnel.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    slot.flags.set(Flags::WRITE_BLOCKED);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The connection to the proxy ended: that is as good as no connection.
    fn tunnel_lost(&mut self, key: u32, input: &Input<'_>, error: Error) -> Event {
        match self.retry_lost(key, input) {
            Some(event) => event,
            None => self.tunnel_failed(key, error),
        }
    }

    fn tunnel_failed(&mut self, key: u32, error: Error) -> Event {
        // Something of it was, where it is made again.
        let sent = self.sent(key);
        self.drop_connection(key, Some(error.with_sent(sent)))
    }
}

#[cold]
fn tunnel_error(message: impl Into<Box<str>>) -> Error {
    Error::new(ErrorKind::Peer, "ERR_PROXY_TUNNEL", message)
}
