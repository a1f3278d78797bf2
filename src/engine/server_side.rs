//! What a server's connection does next: idle, head, exchange, and around again. One exchange at a time, in
//! order; bytes that follow wait.

use crate::engine::callbacks::Finale;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::{Content, Read};
use crate::engine::slot::{Active, ExchangeId, Flags, Kind, Stage};
use crate::engine::{Core, ticks_or_never};
use crate::error::{Clock, Error, ErrorKind, Limit};
use crate::h1::{
    BodyDecoder, BodyLimits, Expect, Framing, Head, HeadProgress, LimitName, Violation,
    parse_request, push_status_line, reason_phrase,
};
use crate::net::Time;

/// What a step led to.
enum Step {
    Event(Event),
    /// The state changed: look again.
    Again,
    /// Nothing more can be done now.
    Rest,
}

impl Core {
    /// The next thing to do for a server's connection.
    #[inline]
    pub(crate) fn server_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        loop {
            let Some(slot) = self.slots.get_mut(key as usize) else { return Event::Done };
            if slot.has_exception() {
                match self.server_exception(key, input) {
                    Step::Event(event) => return event,
                    Step::Again => continue,
                    Step::Rest => return self.server_rest(key, input),
                }
            }
            let step = match slot.active.as_deref_mut() {
                None => self.server_wake(key, input),
                Some(active) => {
                    if active.is_plainly_over() {
                        // Answered at once, all read, nobody to tell: the next head may follow.
                        if !active.outgoing.is_persistent() || slot.flags.has(Flags::END_OF_INPUT) {
                            slot.flags.set(Flags::CLOSING);
                        }
                        active.stage = Stage::Head;
                        if slot.flags.has(Flags::CLOSING) {
                            continue;
                        }
                        if input.is_unused() && !slot.flags.has(Flags::READABLE) && self.settle(key) {
                            return Event::Done;
                        }
                        continue;
                    }
                    match active.stage {
                        Stage::Head => self.server_head(key, input),
                        _ => self.server_exchange(key, input),
                    }
                }
            };
            match step {
                Step::Event(event) => return event,
                Step::Again => {}
                Step::Rest => {
                    let event = self.server_rest(key, input);
                    // The flush may have found the connection broken.
                    let broken = |slot: &super::Slot| slot.flags.has(Flags::BROKEN);
                    match event {
                        Event::Done if self.slots.get(key as usize).is_some_and(broken) => {}
                        event => return event,
                    }
                }
            }
        }
    }

    /// The usual end of a drive: one write takes all that waits, and the connection is idle. False where it
    /// is not that simple; nothing is lost then.
    #[inline]
    fn settle(&mut self, key: u32) -> bool {
        let Core { slots, servers, net, pool, trash, sweep, tick, .. } = self;
        let Some(slot) = slots.get_mut(key as usize) else { return false };
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), servers.get(slot.owner as usize))
        else {
            return false;
        };
        let Some(bytes) = active.output.single() else { return false };
        if server.closing || slot.flags.has(Flags::WRITE_BLOCKED) || !active.input.is_empty() {
            return false;
        }
        let waiting = bytes.len();
        let Ok(written) = net.write(&mut slot.source, bytes) else { return false };
        active.output.advance(written, trash);
        if written < waiting {
            return false;
        }
        slot.deadline = tick.saturating_add(server.keep_alive_ticks);
        sweep.note(slot.deadline);
        if let Some(active) = slot.active.take() {
            pool.recycle_active(active);
        }
        true
    }

    /// An idle connection was touched.
    fn server_wake(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        match self.read(key, input) {
            Read::Some => {
                let mut active = self.pool.active();
                active.stage = Stage::Head;
                active.progress = HeadProgress::default();
                active.partial = false;
                active.started = match self.slots[key as usize].sequence {
                    0 => self.accepted_at(key),
                    _ => self.now,
                };
                self.slots[key as usize].active = Some(active);
                Step::Again
            }
            Read::Nothing => {
                if self.is_server_closing(key) && self.slots[key as usize].active.is_none() {
                    // Nothing has raced with the close.
                    self.slot(key).flags.set(Flags::CLOSING);
                    return Step::Again;
                }
                Step::Rest
            }
            Read::End | Read::Broken => Step::Event(self.drop_connection(key, None)),
        }
    }

    /// When the connection was accepted, as the clock of its first head tells, which has run since then: a
    /// client must not get twice the time by saying nothing first.
    fn accepted_at(&self, key: u32) -> Time {
        let slot = &self.slots[key as usize];
        let limit = self.servers.get(slot.owner as usize).map(|server| server.options.headers_timeout);
        match limit {
            Some(limit) if slot.deadline != 0 => super::deadlines::armed_at(slot.deadline, limit).min(self.now),
            _ => self.now,
        }
    }

    fn is_server_closing(&self, key: u32) -> bool {
        let owner = self.slots[key as usize].owner;
        self.servers.get(owner as usize).is_none_or(|server| server.closing)
    }

    /// Between two requests: the next head.
    #[inline(always)]
    fn server_head(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        if self.requests_left == 0 {
            self.mark_dirty_later(key);
            return Step::Rest;
        }
        if !self.active(key).output.is_empty() && self.is_congested(key) {
            // Answers that the client does not read must not pile up here: the next request waits in the
            // socket until they are out.
            return match self.slots[key as usize].flags.has(Flags::BROKEN) {
                true => Step::Again,
                false => Step::Rest,
            };
        }
        if input.is_empty() {
            if let Some(step) = self.server_read_head(key, input) {
                return step;
            }
        }
        let Core { slots, servers, pool, .. } = self;
        let Some(slot) = slots.get_mut(key as usize) else { return Step::Rest };
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), servers.get(slot.owner as usize))
        else {
            return Step::Rest;
        };
        let mut head = pool.head();
        match parse_request(input.bytes(), &server.head_limits, &mut active.progress, &mut head) {
            Ok(Some(consumed)) => {
                input.consume(consumed);
                self.server_dispatch(key, input, head)
            }
            Ok(None) => {
                active.partial = true;
                self.pool.recycle_head(head);
                self.keep_input(key, input);
                Step::Again
            }
            Err(violation) => {
                self.pool.recycle_head(head);
                self.server_refuse(key, input, violation)
            }
        }
    }

    /// Brings bytes of a head into the window; a step where there are none.
    fn server_read_head(&mut self, key: u32, input: &mut Input<'_>) -> Option<Step> {
        if self.active(key).partial {
            return match self.read_behind_partial(key, input) {
                Read::Some => None,
                Read::Nothing => Some(Step::Rest),
                Read::End => Some(self.server_refuse(key, input, Violation::Incomplete)),
                Read::Broken => Some(Step::Again),
            };
        }
        match self.fill(key, input) {
            Read::Some => {
                self.active(key).started = self.now;
                None
            }
            Read::Nothing => Some(self.server_pause(key)),
            Read::End | Read::Broken => Some(self.server_over(key)),
        }
    }

    /// More than the high-water mark waits although it was tried to write it: an edge will tell of room.
    fn is_congested(&mut self, key: u32) -> bool {
        let slot = &self.slots[key as usize];
        let (high_water_mark, _) = self.marks(slot.kind, slot.owner);
        if self.active(key).output.len() < high_water_mark {
            return false;
        }
        self.flush(key);
        let broken = self.slots[key as usize].flags.has(Flags::BROKEN);
        broken || self.active(key).output.len() >= high_water_mark
    }

    /// No byte of a next request is here.
    fn server_pause(&mut self, key: u32) -> Step {
        if self.is_server_closing(key) && self.active(key).input.is_empty() {
            self.slot(key).flags.set(Flags::CLOSING);
            return Step::Again;
        }
        Step::Rest
    }

    /// The peer closed between two requests.
    fn server_over(&mut self, key: u32) -> Step {
        self.slot(key).flags.set(Flags::CLOSING);
        Step::Again
    }

    /// Reads more of a head that is partly here; all of it is in the window then.
    pub(crate) fn read_behind_partial(&mut self, key: u32, input: &mut Input<'_>) -> Read {
        debug_assert!(input.is_empty());
        if self.slots[key as usize].flags.has(Flags::END_OF_INPUT) {
            return Read::End;
        }
        let mut kept = std::mem::take(&mut self.active(key).input);
        let read = self.read(key, input);
        if read == Read::Some {
            kept.extend_from_slice(input.bytes());
            input.filled(0);
            input.load(kept);
        } else {
            self.active(key).input = kept;
        }
        read
    }

    /// A request's head is complete: sets up the exchange and says whom to tell.
    #[inline(always)]
    fn server_dispatch(&mut self, key: u32, input: &mut Input<'_>, head: Box<Head>) -> Step {
        self.requests_left -= 1;
        let Core { slots, servers, .. } = self;
        let slot = &mut slots[key as usize];
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), servers.get_mut(slot.owner as usize))
        else {
            return Step::Rest;
        };
        slot.sequence = slot.sequence.wrapping_add(1);
        let id = ExchangeId { key, generation: slot.generation, sequence: slot.sequence };
        let server_key = u32::from(slot.owner);
        let meaning = *head.meaning();
        let last = server.options.max_requests_per_socket;
        let persistent = meaning.persistent
            && !server.closing
            && last.is_none_or(|last| slot.sequence < last)
            && server.keep_alive_ticks != 0;
        active.begin_exchange(&head, persistent);
        active.incoming.continue_owed =
            meaning.expect == Expect::Continue && !active.incoming.complete && input.is_empty();
        log::debug!(target: "onloop::server", "connection {key}: {} {}", head.method(), head.target());
        if meaning.is_unusual() {
            return self.server_dispatch_unusual(key, input, head, id);
        }
        match server.on_request.take() {
            Some(handler) => Step::Event(Event::Request { handler, server: server_key, id, head }),
            None => self.server_answer(key, head, 404, ""),
        }
    }

    /// Requests that want more than an answer.
    #[cold]
    fn server_dispatch_unusual(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        head: Box<Head>,
        id: ExchangeId,
    ) -> Step {
        let server_key = u32::from(self.slots[key as usize].owner);
        let meaning = *head.meaning();
        if meaning.expect == Expect::Unknown {
            return self.server_answer(key, head, 417, "");
        }
        if meaning.connect {
            if self.servers[server_key as usize].on_connect.is_set() {
                return Step::Event(self.become_stream(id, head, true, input));
            }
            // RFC 9110 §9.3.6: a 2xx would turn the connection into a tunnel, which nobody here asked for.
            self.active(key).outgoing.forbid_persistence();
            return self.server_answer(key, head, 405, "Allow: \r\n");
        }
        let is_set = self.servers[server_key as usize].on_upgrade.is_set();
        if meaning.upgrade && is_set && self.active(key).incoming.complete {
            return Step::Event(self.server_upgrade(key, input, head, id));
        }
        Step::Event(self.request_event(key, server_key, id, head))
    }

    /// `on_request`, or 404 where nobody listens.
    fn request_event(&mut self, key: u32, server: u32, id: ExchangeId, head: Box<Head>) -> Event {
        match self.servers[server as usize].on_request.take() {
            Some(handler) => Event::Request { handler, server, id, head },
            None => {
                self.server_answer(key, head, 404, "");
                Event::Continue
            }
        }
    }

    /// Asks `should_upgrade` where it is set, else upgrades.
    fn server_upgrade(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        head: Box<Head>,
        id: ExchangeId,
    ) -> Event {
        let server = u32::from(self.slots[key as usize].owner);
        match self.servers[server as usize].should_upgrade.take() {
            Some(handler) => Event::ShouldUpgrade { handler, server, id, head },
            None => self.upgrade_decided(id, head, true, input),
        }
    }

    /// What follows from the answer of `should_upgrade`.
    pub(crate) fn upgrade_decided(
        &mut self,
        id: ExchangeId,
        head: Box<Head>,
        wanted: bool,
        input: &mut Input<'_>,
    ) -> Event {
        if self.exchange(id).is_none() {
            self.pool.recycle_head(head);
            return Event::Continue;
        }
        if wanted {
            return self.become_stream(id, head, false, input);
        }
        let server = u32::from(self.slots[id.key as usize].owner);
        self.request_event(id.key, server, id, head)
    }

    /// Hands the connection over to `on_upgrade` or `on_connect`.
    fn become_stream(
        &mut self,
        id: ExchangeId,
        head: Box<Head>,
        is_connect: bool,
        input: &mut Input<'_>,
    ) -> Event {
        let server = u32::from(self.slots[id.key as usize].owner);
        let Some(entry) = self.servers.get_mut(server as usize) else { return Event::Continue };
        let Some(handler) = entry.stream_listener(is_connect).take() else {
            return self.request_event(id.key, server, id, head);
        };
        log::debug!(target: "onloop::server", "connection {}: a byte stream from now on", id.key);
        self.become_raw(id.key);
        let rest = input.from..input.to;
        input.consume(rest.len());
        Event::ServerUpgrade { handler, is_connect, server, id, head, rest }
    }

    /// Answers without asking anybody.
    fn server_answer(&mut self, key: u32, head: Box<Head>, status: u16, fields: &str) -> Step {
        self.pool.recycle_head(head);
        let active = self.active(key);
        active.outgoing.set_status(status);
        if let Some((name, value)) = fields.trim_end().split_once(':') {
            // A constant of ours: it is valid.
            let _ = active.outgoing.fields.set(name.as_bytes(), value.trim().as_bytes());
        }
        let id = self.id(key);
        self.end(id, "".into());
        Step::Again
    }

    /// A request is with the user.
    #[inline(never)]
    fn server_exchange(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        let active = self.active(key);
        if active.failure.is_some() {
            return self.server_failure(key);
        }
        let owes_nothing = active.callbacks.is_none() && active.incoming.pipe_to.is_none();
        if !(active.incoming.complete && owes_nothing) {
            match self.incoming_next(key, input) {
                Content::Event(event) => return Step::Event(event),
                Content::Idle => {}
                Content::Violation(violation) => return self.server_refuse(key, input, violation),
                Content::CutOff => {
                    return Step::Event(self.drop_connection(key, Some(Core::aborted())));
                }
                Content::Broken => return Step::Again,
                Content::DiscardedTooMuch => {
                    log::debug!(target: "onloop::server", "connection {key}: closed, its request content was not read");
                    return self.server_stop_discarding(key);
                }
            }
        }
        let active = self.active(key);
        if !active.outgoing.is_ended() {
            return Step::Rest;
        }
        if active.incoming.complete {
            return self.server_complete(key);
        }
        if active.incoming.continue_owed {
            // The client was not asked for its content and may send it or not: RFC 9110 §10.1.1.
            return self.server_stop_discarding(key);
        }
        if active.incoming.paused && !active.incoming.discarding {
            active.incoming.discarding = true;
            return Step::Again;
        }
        Step::Rest
    }

    /// The rest of the request's content is not worth reading: the connection ends with this answer.
    fn server_stop_discarding(&mut self, key: u32) -> Step {
        let active = self.active(key);
        active.outgoing.forbid_persistence();
        active.incoming.complete = true;
        active.incoming.ended = true;
        Step::Again
    }

    /// Request read, response ended.
    #[inline]
    fn server_complete(&mut self, key: u32) -> Step {
        if self.active(key).callbacks.is_some() {
            // `on_finish` and `on_close` are owed: they come when the system has the last byte.
            self.flush(key);
            let slot = &self.slots[key as usize];
            if slot.flags.has(Flags::BROKEN) {
                return Step::Again;
            }
            if !self.active(key).output.is_empty() {
                return Step::Rest;
            }
        }
        let slot = &mut self.slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else { return Step::Rest };
        let persistent = active.outgoing.is_persistent() && !slot.flags.has(Flags::END_OF_INPUT);
        let callbacks = active.end_exchange();
        if !persistent {
            slot.flags.set(Flags::CLOSING);
        }
        if let Some(source) = active.piped_from.take() {
            self.pipe_target_gone(source);
        }
        match callbacks {
            None => Step::Again,
            Some(callbacks) => {
                let mut finale = Finale::quiet(callbacks);
                finale.finish = true;
                Step::Event(Event::Final(finale))
            }
        }
    }

    /// The exchange failed by a handler's error, a limit or a broken pipe: 500 where no byte was sent.
    fn server_failure(&mut self, key: u32) -> Step {
        let active = self.active(key);
        let Some(error) = active.failure.take() else { return Step::Again };
        if active.outgoing.head_is_sent() {
            log::debug!(target: "onloop::server", "connection {key}: dropped: {error}");
            return Step::Event(self.drop_connection(key, Some(error)));
        }
        let status = error.status_hint().unwrap_or(500);
        let finale = self.take_finale(key, Some(error));
        self.queue_error_reply(key, status);
        finale.map_or(Step::Again, |finale| Step::Event(Event::Final(finale)))
    }

    /// The request is malformed, too large or too slow.
    fn server_refuse(&mut self, key: u32, input: &mut Input<'_>, violation: Violation) -> Step {
        let error = violation_error(violation).with_bytes_parsed(input.from as u64);
        log::debug!(target: "onloop::server", "connection {key}: refused: {error}");
        self.server_client_error(key, violation.status(), error)
    }

    fn server_client_error(&mut self, key: u32, status: u16, error: Error) -> Step {
        let server = u32::from(self.slots[key as usize].owner);
        let head_sent = {
            let active = self.active(key);
            active.stage == Stage::Exchange && active.outgoing.head_is_sent()
        };
        if head_sent {
            return Step::Event(self.drop_connection(key, Some(error)));
        }
        if let Some(finale) = self.take_finale(key, Some(error.clone())) {
            self.finales.push_back(finale);
        }
        let handler = self
            .servers
            .get_mut(server as usize)
            .and_then(|server| server.on_client_error.take());
        match handler {
            Some(handler) => {
                self.become_raw(key);
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
    fn take_finale(&mut self, key: u32, error: Option<Error>) -> Option<Finale> {
        let active = self.active(key);
        let was_exchange = active.stage == Stage::Exchange;
        let cut_off = !active.incoming.complete;
        let target = active.incoming.pipe_to.take();
        let source = active.piped_from.take();
        let callbacks = active.end_exchange();
        if let Some(target) = target {
            self.break_pipe(target);
        }
        if let Some(source) = source {
            self.pipe_target_gone(source);
        }
        let mut finale = Finale::quiet(callbacks?);
        finale.error = error;
        finale.aborted = was_exchange && cut_off;
        Some(finale)
    }

    /// A short answer behind whatever is still to be sent, then the end of the connection.
    fn queue_error_reply(&mut self, key: u32, status: u16) {
        let Core { slots, date, .. } = self;
        let slot = &mut slots[key as usize];
        slot.flags.set(Flags::CLOSING);
        let Some(active) = slot.active.as_deref_mut() else { return };
        let tail = active.output.tail();
        push_status_line(tail.bytes, status, reason_phrase(status));
        tail.bytes.extend_from_slice(date.line());
        tail.bytes.extend_from_slice(b"Connection: close\r\nContent-Length: 0\r\n\r\n");
    }

    /// Deals with what a flag says. `Again` may leave the slot removed.
    fn server_exception(&mut self, key: u32, input: &mut Input<'_>) -> Step {
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
    fn server_expired(&mut self, key: u32) -> Step {
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
    fn server_timeout(&mut self, key: u32) -> Step {
        let id = self.id(key);
        let active = self.active(key);
        match active.callbacks.as_deref_mut().and_then(|callbacks| callbacks.timeout.take()) {
            Some(callback) => Step::Event(Event::Timeout { callback, id }),
            None => Step::Event(self.drop_connection(key, None)),
        }
    }

    /// Everything that can be done is done: flush, and set the deadline that the state calls for.
    #[inline]
    fn server_rest(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        if !input.is_empty() || input.kept.is_some() {
            self.keep_input(key, input);
        }
        let slot = &self.slots[key as usize];
        let Some(active) = slot.active.as_deref() else {
            // Idle already: its deadline stands.
            return Event::Done;
        };
        if !active.output.is_empty() {
            self.flush(key);
        }
        let active = self.active(key);
        if active.need_drain {
            if let Some(callback) = self.drained(key) {
                if self.requests_left > 0 {
                    self.requests_left -= 1;
                    return Event::Drain { callback, id: self.id(key) };
                }
                self.put_back_drain(key, callback);
                self.mark_dirty_later(key);
                return Event::Done;
            }
        }
        self.server_deadline(key);
        Event::Done
    }

    /// Gives back the state of an idle connection; arms the clock of the others.
    fn server_deadline(&mut self, key: u32) {
        let slot = &mut self.slots[key as usize];
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), self.servers.get(slot.owner as usize))
        else {
            return;
        };
        if !active.output.is_empty() {
            if self.activity || slot.deadline == 0 {
                let ticks = ticks_or_never(server.options.write_timeout);
                self.arm(key, ticks);
            }
            return;
        }
        match active.stage {
            Stage::Head if active.input.is_empty() && !slot.flags.has(Flags::CLOSING) => {
                let ticks = server.keep_alive_ticks;
                if let Some(active) = slot.active.take() {
                    self.pool.recycle_active(active);
                }
                self.arm(key, ticks);
            }
            Stage::Head => {
                let limit = server.options.headers_timeout;
                self.arm_since_start(key, limit);
            }
            _ if !active.incoming.complete => {
                let limit = server.options.request_timeout;
                self.arm_since_start(key, limit);
            }
            _ => {
                let ticks = active.timeout_ticks;
                if self.activity || slot.deadline == 0 || ticks == 0 {
                    self.arm(key, ticks);
                }
            }
        }
    }

    /// A clock that runs from the message's start and is not reset by bytes.
    fn arm_since_start(&mut self, key: u32, limit: std::time::Duration) {
        if limit.is_zero() {
            self.arm(key, 0);
            return;
        }
        let started = self.active(key).started;
        let left = limit.saturating_sub(self.now.since(started));
        self.arm(key, super::ticks(left));
    }

    /// The content limits that hold for this connection.
    pub(crate) fn body_limits(&self, key: u32) -> BodyLimits {
        let slot = &self.slots[key as usize];
        match slot.kind {
            Kind::Server => self
                .servers
                .get(slot.owner as usize)
                .map_or_else(BodyLimits::default, |server| server.body_limits),
            _ => BodyLimits::default(),
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

impl Active {
    /// A request's head is here.
    #[inline]
    fn begin_exchange(&mut self, head: &Head, persistent: bool) {
        let meaning = head.meaning();
        self.stage = Stage::Exchange;
        self.partial = false;
        self.incoming.start(BodyDecoder::new(meaning.framing));
        self.incoming.minor = head.version_minor();
        self.outgoing.start_response(head.version_minor(), meaning.head, persistent);
    }

    /// The exchange is over and has left nothing behind.
    #[inline]
    fn is_plainly_over(&self) -> bool {
        self.stage == Stage::Exchange
            && self.outgoing.is_ended()
            && self.incoming.complete
            && self.callbacks.is_none()
            && self.failure.is_none()
            && self.piped_from.is_none()
            && !self.need_drain
            && self.timeout_ticks == 0
    }

    /// The exchange is over; ready for the next head. Callbacks go to the caller.
    #[inline]
    pub(crate) fn end_exchange(&mut self) -> Option<Box<super::callbacks::Callbacks>> {
        self.stage = Stage::Head;
        self.partial = false;
        self.progress = HeadProgress::default();
        self.need_drain = false;
        self.over_limit = false;
        self.timeout_ticks = 0;
        self.failure = None;
        self.callbacks.take()
    }

    /// Ready to be a byte stream.
    pub(crate) fn start_raw(&mut self) {
        self.stage = Stage::Exchange;
        self.incoming.start(BodyDecoder::new(Framing::UntilClose));
        self.outgoing.start_raw();
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

