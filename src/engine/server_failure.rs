//! When a server's exchange does not go as it should: malformed or slow requests, errors out of handlers,
//! connections that break, clocks that run out.

use crate::engine::Core;
use crate::engine::callbacks::Finale;
use crate::engine::event::{Event, Input};
use crate::engine::server_side::Step;
use crate::engine::slot::{Flags, Stage};
use crate::error::{Clock, Error, ErrorKind, Limit};
use crate::h1::{LimitName, Violation, push_status_line, reason_phrase};

impl Core {
    /// The exchange failed by a handler's error, a limit or a broken pipe: 500 where no byte was sent.
    pub(super) fn server_failure(&mut self, key: u32) -> Step {
        let active = self.active(key);
        let Some(error) = active.failure.take() else {
            return Step::Again;
        };
        if active.head_has_left() {
            log::debug!(target: "onloop::server", "connection {key}: dropped: {error}");
            return Step::Event(self.drop_connection(key, Some(error)));
        }
        let status = error.status_hint().unwrap_or(500);
        let finale = self.take_finale(key, Some(error));
        self.queue_error_reply(key, status);
        finale.map_or(Step::Again, |finale| Step::Event(Event::Final(finale)))
    }

    /// The request is malformed, too large or too slow.
    pub(super) fn server_refuse(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        violation: Violation,
    ) -> Step {
        let error = violation_error(violation).with_bytes_parsed(input.from as u64);
        log::debug!(target: "onloop::server", "connection {key}: refused: {error}");
        self.server_client_error(key, violation.status(), error)
    }

    pub(super) fn server_client_error(&mut self, key: u32, status: u16, error: Error) -> Step {
        let server = u32::from(self.slots[key as usize].owner);
        let head_sent = {
            let active = self.active(key);
            active.stage == Stage::Exchange && active.head_has_left()
        };
        if head_sent {
            return Step::Event(self.drop_connection(key, Some(error)));
        }
        if let Some(finale) = self.take_finale(key, Some(error.clone())) {
            self.finales.push_back(finale);
        }
        let handler =
            self.servers.get_mut(server as usize).and_then(|server| server.on_client_error.take());
        match handler {
            Some(handler) => {
                self.become_raw(key, 0);
                self.slot(key).sequence = self.slots[key as usize].sequence.wrapping_add(1);
                let id = self.id(key);
                Step::Event(Event::ClientError { handler, server, id, error })
            }
            None => {
                self.queue_error_reply(key, status);
                Step::Again
            }
        }
    }

    /// Takes what is owed to the exchange that fails here; the connection itself goes on to its end.
    pub(super) fn take_finale(&mut self, key: u32, error: Option<Error>) -> Option<Finale> {
        let (kind, id) = (self.slots[key as usize].kind, self.id(key));
        let remains = self.active(key).end_early(id, kind);
        self.finale_of(remains, error)
    }

    /// A short answer behind whatever is still to be sent, then the end of the connection.
    pub(super) fn queue_error_reply(&mut self, key: u32, status: u16) {
        let Core { slots, date, .. } = self;
        let slot = &mut slots[key as usize];
        slot.flags.set(Flags::CLOSING);
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        let tail = active.output.tail();
        push_status_line(tail.bytes, status, reason_phrase(status));
        tail.bytes.extend_from_slice(date.line());
        tail.bytes.extend_from_slice(b"Connection: close\r\nContent-Length: 0\r\n\r\n");
    }

    /// Deals with what a flag says. `Again` may leave the slot removed.
    pub(super) fn server_exception(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        let slot = self.slot(key);
        let flags = slot.flags;
        if flags.has(Flags::DESTROYED) {
            return Step::Event(self.drop_connection(key, None));
        }
        if flags.has(Flags::BROKEN) {
            return Step::Event(self.drop_connection(key, Some(Core::aborted())));
        }
        if flags.has(Flags::EXPIRED) {
            slot.flags.unset(Flags::EXPIRED);
            return self.server_expired(key);
        }
        if flags.has(Flags::LINGERING) {
            return Step::Event(self.linger_next(key, input));
        }
        // Closing: as soon as the output is out.
        let left = input.to - input.from;
        input.consume(left);
        self.flush(key);
        let slot = self.slot(key);
        if slot.flags.has(Flags::BROKEN) {
            return Step::Again;
        }
        match slot.active.as_deref() {
            Some(active) if !active.output.is_empty() => Step::Rest,
            _ => Step::Event(self.begin_linger(key)),
        }
    }

    /// A deadline has passed; which one follows from the state.
    pub(super) fn server_expired(&mut self, key: u32) -> Step {
        let slot = &self.slots[key as usize];
        if slot.flags.has(Flags::LINGERING) {
            return Step::Event(self.drop_connection(key, None));
        }
        let Some(active) = slot.active.as_deref() else {
            log::debug!(target: "onloop::server", "connection {key}: idle for too long");
            self.slot(key).flags.set(Flags::CLOSING);
            return Step::Again;
        };
        if !active.output.is_empty() && slot.flags.has(Flags::WRITE_BLOCKED) {
            let message = "the client does not read the response";
            let error = Error::new(ErrorKind::Timeout(Clock::Write), "ETIMEDOUT", message);
            return Step::Event(self.drop_connection(key, Some(error)));
        }
        match active.stage {
            Stage::Head if active.progress.is_blank() => {
                self.slot(key).flags.set(Flags::CLOSING);
                Step::Again
            }
            Stage::Head => self.server_client_error(key, 408, timeout_error(Clock::Headers)),
            _ if !active.incoming.complete => {
                self.server_client_error(key, 408, timeout_error(Clock::Request))
            }
            _ => self.server_timeout(key),
        }
    }

    /// `res.set_timeout` ran out: `on_timeout` decides, else the connection ends.
    pub(super) fn server_timeout(&mut self, key: u32) -> Step {
        let id = self.id(key);
        let active = self.active(key);
        match active.callbacks.as_deref_mut().and_then(|callbacks| callbacks.timeout.take()) {
            Some(callback) => Step::Event(Event::Timeout { callback, id }),
            None => Step::Event(self.drop_connection(key, None)),
        }
    }
}

/// The public error for a message that broke a rule.
pub(crate) fn violation_error(violation: Violation) -> Error {
    let kind = match violation.is_limit() {
        None => ErrorKind::Peer,
        Some(LimitName::HeaderSize) => ErrorKind::Limit(Limit::HeaderSize),
        Some(LimitName::HeadersCount) => ErrorKind::Limit(Limit::HeadersCount),
        Some(LimitName::Target) => ErrorKind::Limit(Limit::Target),
        Some(LimitName::Chunked) => ErrorKind::Limit(Limit::Chunked),
    };
    Error::new(kind, violation.code(), format!("Parse Error: {}", violation.message()))
        .with_status(violation.status())
}

fn timeout_error(clock: Clock) -> Error {
    let message = match clock {
        Clock::Headers => "the request's head did not come in time (headers_timeout)",
        _ => "the request did not come in time (request_timeout)",
    };
    Error::new(ErrorKind::Timeout(clock), "ERR_HTTP_REQUEST_TIMEOUT", message).with_status(408)
}
