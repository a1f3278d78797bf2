//! When a server's exchange does not go as it should: malformed or slow requests, errors out of handlers,
//! connections that break, clocks that run out.

use crate::engine::Core;
use crate::engine::callbacks::{Finale, Told};
use crate::engine::event::{Event, Input};
use crate::engine::server::ClientErrorFn;
use crate::engine::server_side::Step;
use crate::engine::slot::{Active, ExchangeId, Flags, Stage};
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
            return Step::Event(self.cut_off(key, Some(error)));
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
        let active = self.active(key);
        let understood = match active.stage {
            Stage::Head => active.progress.position(),
            _ => active.incoming.decoder.refused_at(),
        };
        let understood = input.consumed().saturating_add(understood);
        let mut error = violation_error(violation).with_bytes_parsed(understood as u64);
        let owner = self.slots[key as usize].owner;
        let server = self.servers.get(owner as usize);
        if server.is_some_and(|server| server.callbacks.client_error.is_set()) {
            // A head that ended too early is kept already.
            error = match violation {
                Violation::Incomplete => error.with_packet(&self.active(key).input),
                _ => error.with_packet(input.window()),
            };
        }
        log::debug!(target: "onloop::server", "connection {key}: refused: {error}");
        self.server_client_error(key, violation.status(), error)
    }

    /// What the client did, or did not do, ends the connection: `on_client_error` is told of it and may answer,
    /// where no byte of a response was sent; else the default answer is sent.
    pub(super) fn server_client_error(&mut self, key: u32, status: u16, error: Error) -> Step {
        // The packet is for the listener of client errors alone.
        let told = error.clone().without_packet();
        self.server_tells_client_error(key, status, error, told)
    }

    /// The client ended its side in the middle of a request's content: for the server a malformed message,
    /// for the exchange a client that went away.
    pub(super) fn server_cut_off(&mut self, key: u32) -> Step {
        let violation = Violation::Incomplete;
        let error = violation_error(violation);
        self.server_tells_client_error(key, violation.status(), error, Core::aborted())
    }

    /// `told` is for the exchange.
    fn server_tells_client_error(
        &mut self,
        key: u32,
        status: u16,
        error: Error,
        told: Error,
    ) -> Step {
        let server = u32::from(self.slots[key as usize].owner);
        let active = self.active(key);
        let answerable = active.stage != Stage::Exchange || !active.head_has_left();
        let callbacks = self.servers.get_mut(server as usize).map(|server| &mut server.callbacks);
        let handler = callbacks.and_then(|callbacks| callbacks.client_error.take());
        let Some(handler) = handler else {
            if !answerable {
                return Step::Event(self.break_off(key, told));
            }
            if let Some(finale) = self.take_finale(key, Some(told)) {
                self.finales.push_back(finale);
            }
            self.queue_error_reply(key, status);
            return Step::Again;
        };
        if !answerable {
            return self.server_broken(key, Some((handler, error)), told);
        }
        if let Some(finale) = self.take_finale(key, Some(told)) {
            self.finales.push_back(finale);
        }
        self.become_raw(key, 0);
        self.slot(key).sequence = self.slots[key as usize].sequence.wrapping_add(1);
        let id = self.id(key);
        Step::Event(Event::ClientError { handler, server, id, error })
    }

    /// `on_client_error` has failed. The connection ends as it does without that: behind the answers to earlier requests,
    /// which have nothing to do with it.
    pub(crate) fn client_error_failed(&mut self, id: ExchangeId, error: Error) {
        log::error!(target: "onloop::server", "connection {}: on_client_error: {error}", id.key);
        self.destroy_soon(id);
    }

    /// The exchange breaks off, and its connection ends. An answer that is whole still goes out; one that is not
    /// must not look so.
    pub(super) fn break_off(&mut self, key: u32, error: Error) -> Event {
        let is_answered =
            |active: &Active| active.stage == Stage::Exchange && active.outgoing.is_ended();
        if !self.slots[key as usize].active.as_deref().is_some_and(is_answered) {
            return self.cut_off(key, Some(error));
        }
        // What the system takes now was finished, and what breaks the request is no error of the response then.
        self.flush_at_last(key);
        if self.slots[key as usize].flags.has(Flags::BROKEN) {
            return self.drop_connection(key, Some(error));
        }
        if self.active(key).file.is_some() {
            return self.break_request_off(key, error);
        }
        let finale = self.take_finale(key, Some(error));
        self.slot(key).flags.set(Flags::CLOSING);
        finale.map_or(Event::Continue, Event::Final)
    }

    /// The response is a file that is under way, and goes on; the request is over, and whoever reads it is told.
    #[cold]
    fn break_request_off(&mut self, key: u32, error: Error) -> Event {
        self.server_stop_discarding(key);
        let id = self.id(key);
        let mut told = self.pool.callbacks();
        let active = self.active(key);
        let over = active.progress_of(id);
        if let Some(callbacks) = active.callbacks.as_deref_mut() {
            told.collect = callbacks.collect.take();
            told.incoming_error = callbacks.incoming_error.take();
            told.incoming_close = callbacks.incoming_close.take();
            if let Some(aborted) = callbacks.more().and_then(|more| more.aborted.take()) {
                told.more_mut().aborted = Some(aborted);
            }
        }
        let mut finale = Finale::quiet(told, over);
        (finale.finish, finale.aborted) = (false, true);
        (finale.error, finale.told) = (Some(error), Told::IncomingAlone);
        Event::Final(finale)
    }

    /// The response is cut off, and its connection ends. Closing with unread input would reset the connection, and
    /// take along the answers to earlier requests that are under way (RFC 9112 §9.6): where there are any, it ends
    /// as behind the last answer.
    pub(super) fn cut_off(&mut self, key: u32, error: Option<Error>) -> Event {
        let Core { slots, trash, .. } = self;
        let slot = &mut slots[key as usize];
        let Some(active) = slot.active.as_deref_mut().filter(|_| slot.sequence > 1) else {
            return self.drop_connection(key, error);
        };
        active.drop_unended(trash);
        self.flush_at_last(key);
        let slot = &self.slots[key as usize];
        let would_look_whole = slot.active.as_deref().is_some_and(Active::would_look_whole);
        if would_look_whole || slot.flags.has(Flags::BROKEN) {
            return self.drop_connection(key, error);
        }
        let finale = self.take_finale(key, error);
        self.slot(key).flags.set(Flags::CLOSING);
        finale.map_or(Event::Continue, Event::Final)
    }

    /// The connection ends without an answer. Whoever listens to client errors is told, with a socket that
    /// is over.
    fn server_broken(
        &mut self,
        key: u32,
        listener: Option<(ClientErrorFn, Error)>,
        error: Error,
    ) -> Step {
        let server = u32::from(self.slots[key as usize].owner);
        let id = self.id(key);
        let last = self.break_off(key, error);
        // Where a file goes on, it is none of theirs.
        let id = if self.exchange(id).is_some() { ExchangeId::NONE } else { id };
        match (listener, last) {
            (None, last) => Step::Event(last),
            (Some((handler, error)), last) => {
                if let Event::Final(finale) = last {
                    self.finales.push_back(finale);
                }
                Step::Event(Event::ClientError { handler, server, id, error })
            }
        }
    }

    /// The connection broke: what the system said of it, where somebody listens.
    fn server_reset(&mut self, key: u32) -> Step {
        let slot = &mut self.slots[key as usize];
        let server = usize::from(slot.owner);
        let handler =
            self.servers.get_mut(server).and_then(|server| server.callbacks.client_error.take());
        let listener = handler.map(|handler| {
            let named = (key, slot.generation);
            let known = self.io_failure.take().filter(|(failed, _)| *failed == named);
            let error = match known {
                Some((_, error)) => error,
                None => match self.net.take_error(&slot.source) {
                    Some(error) => Error::io(&error, "read"),
                    None => Core::aborted(),
                },
            };
            (handler, error)
        });
        self.server_broken(key, listener, Core::aborted())
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
            return match flags.has(Flags::CLOSING) && self.closed_as_idle(key, input) {
                true => Step::Again,
                false => Step::Event(self.drop_connection(key, None)),
            };
        }
        if flags.has(Flags::BROKEN) {
            return self.server_reset(key);
        }
        if flags.has(Flags::UNANNOUNCED) {
            return self.announce_connection(key);
        }
        if flags.has(Flags::EXPIRED) {
            return self.server_expired(key);
        }
        if flags.has(Flags::LINGERING) {
            return Step::Event(self.linger_next(key, input));
        }
        // Closing: as soon as the output is out. First, so that nothing that follows takes it along.
        self.flush(key);
        if self.slot(key).flags.has(Flags::BROKEN) {
            return Step::Again;
        }
        if let Some(event) = self.dropped_request(key, input) {
            return Step::Event(event);
        }
        let left = input.to - input.from;
        input.consume(left);
        let slot = self.slot(key);
        if slot.flags.has(Flags::BROKEN) {
            return Step::Again;
        }
        match slot.active.as_deref() {
            Some(active) if !active.output.is_empty() => Step::Rest,
            _ => Step::Event(self.begin_linger(key)),
        }
    }
}

/// The public error for a message that broke a rule.
pub(crate) fn violation_error(violation: Violation) -> Error {
    let kind = match violation.is_limit() {
        None => ErrorKind::Peer,
        Some(LimitName::HeaderSize) => ErrorKind::Limit(Limit::HeaderSize),
        Some(LimitName::HeadersCount) => ErrorKind::Limit(Limit::HeadersCount),
        Some(LimitName::Method) => ErrorKind::Limit(Limit::Method),
        Some(LimitName::EmptyLines) => ErrorKind::Limit(Limit::EmptyLines),
        Some(LimitName::Target) => ErrorKind::Limit(Limit::Target),
        Some(LimitName::Chunked) => ErrorKind::Limit(Limit::Chunked),
        Some(LimitName::Body) => ErrorKind::Limit(Limit::Body),
    };
    let message = match kind {
        ErrorKind::Limit(Limit::Body) => violation.message().to_owned(),
        _ => format!("Parse Error: {}", violation.message()),
    };
    Error::new(kind, violation.code(), message).with_status(violation.status())
}

pub(super) fn timeout_error(clock: Clock) -> Error {
    let message = match clock {
        Clock::Headers => "the request's head did not come in time (headers_timeout)",
        Clock::BodyRate => "the request's content comes too slowly (min_body_rate)",
        _ => "the request did not come in time (request_timeout)",
    };
    Error::new(ErrorKind::Timeout(clock), "ERR_HTTP_REQUEST_TIMEOUT", message).with_status(408)
}
