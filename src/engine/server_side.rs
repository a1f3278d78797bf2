//! What a server's connection does next: idle, head, exchange, and around again. One exchange at a time, in
//! order; bytes that follow wait.
//!
//! Here is the usual course. What else a request may want is in `server_stream`, what can go wrong in
//! `server_failure`, which clock runs meanwhile in `server_clock`.

use crate::engine::Core;
use crate::engine::callbacks::Finale;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::{Content, Read};
use crate::engine::slot::{Active, ExchangeId, Flags, Inactivity, Stage};
use crate::h1::{BodyDecoder, Expect, Framing, Head, HeadProgress, Violation, parse_request};
use crate::net::Time;

/// What a step led to.
pub(super) enum Step {
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
            let Some(slot) = self.slots.get_mut(key as usize) else {
                return Event::Done;
            };
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
                        active.stage = Stage::Head;
                        if !active.outgoing.is_persistent() || slot.flags.has(Flags::END_OF_INPUT) {
                            slot.flags.set(Flags::CLOSING);
                            continue;
                        }
                        if input.is_unused() && !slot.flags.has(Flags::READABLE) {
                            match self.settle(key) {
                                true => return Event::Done,
                                false => continue,
                            }
                        }
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
    pub(super) fn settle(&mut self, key: u32) -> bool {
        let Core { slots, servers, net, pool, trash, sweep, tick, .. } = self;
        let Some(slot) = slots.get_mut(key as usize) else {
            return false;
        };
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), servers.get(slot.owner as usize))
        else {
            return false;
        };
        let Some(bytes) = active.output.single() else {
            return false;
        };
        if server.closing || slot.flags.has(Flags::WRITE_BLOCKED) || !active.input.is_empty() {
            return false;
        }
        let waiting = bytes.len();
        // A file has taken everything along.
        if waiting > 0 {
            let Ok(written) = net.write(&mut slot.source, bytes) else {
                return false;
            };
            active.output.advance(written, trash);
            if written < waiting {
                return false;
            }
        }
        slot.deadline = match server.keep_alive_ticks {
            0 => 0,
            ticks => tick.saturating_add(ticks),
        };
        if slot.deadline != 0 {
            sweep.note(slot.deadline);
        }
        if let Some(active) = slot.active.take() {
            pool.recycle_active(active);
        }
        true
    }

    /// An idle connection was touched.
    pub(super) fn server_wake(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        match self.read(key, input) {
            Read::Some => {
                let started = match self.slots[key as usize].sequence {
                    0 => self.accepted_at(key),
                    _ => self.now,
                };
                self.await_head(key, started);
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

    /// Gives a connection a state, in which a head is awaited that began then.
    #[inline(always)]
    pub(super) fn await_head(&mut self, key: u32, started: Time) -> &mut Active {
        let mut active = self.pool.active();
        active.stage = Stage::Head;
        active.progress = HeadProgress::default();
        active.partial = false;
        active.started = started;
        self.slots[key as usize].active.insert(active)
    }

    /// When the connection was accepted, as the clock of its first head tells, which has run since then: a
    /// client must not get twice the time by saying nothing first.
    pub(super) fn accepted_at(&self, key: u32) -> Time {
        let slot = &self.slots[key as usize];
        let limit =
            self.servers.get(slot.owner as usize).map(|server| server.options.headers_limit());
        match limit {
            Some(limit) if slot.deadline != 0 => {
                super::deadlines::armed_at(slot.deadline, limit).min(self.now)
            }
            _ => self.now,
        }
    }

    pub(super) fn is_server_closing(&self, key: u32) -> bool {
        let owner = self.slots[key as usize].owner;
        self.servers.get(owner as usize).is_none_or(|server| server.closing)
    }

    /// Between two requests: the next head.
    #[inline(always)]
    pub(super) fn server_head(&mut self, key: u32, input: &mut Input<'_>) -> Step {
        if self.requests_left == 0 {
            self.mark_dirty_later(key);
            return Step::Rest;
        }
        if input.is_empty() {
            if self.is_congested(key) {
                return self.server_congested(key);
            }
            if let Some(step) = self.server_read_head(key, input) {
                return step;
            }
        }
        let Core { slots, servers, pool, now, .. } = self;
        let Some(slot) = slots.get_mut(key as usize) else {
            return Step::Rest;
        };
        let (Some(active), Some(server)) =
            (slot.active.as_deref_mut(), servers.get(slot.owner as usize))
        else {
            return Step::Rest;
        };
        if active.output.len() >= server.limits.high_water_mark {
            return self.server_relieve(key);
        }
        let mut head = pool.head();
        match parse_request(input.bytes(), &server.head_limits, &mut active.progress, &mut head) {
            Ok(Some(consumed)) => {
                input.consume(consumed);
                self.server_dispatch(key, input, head)
            }
            Ok(None) => {
                if !active.partial && slot.sequence != 0 {
                    active.started = *now;
                }
                active.partial = true;
                self.pool.recycle_head(head);
                self.keep_partial_head(key, input)
            }
            Err(violation) => {
                self.pool.recycle_head(head);
                self.server_refuse(key, input, violation)
            }
        }
    }

    /// Brings bytes of a head into the window; a step where there are none.
    pub(super) fn server_read_head(&mut self, key: u32, input: &mut Input<'_>) -> Option<Step> {
        if self.active(key).partial {
            return match self.read_behind_partial(key, input) {
                Read::Some => None,
                Read::Nothing => Some(Step::Rest),
                // Empty lines are no beginning of a request.
                Read::End if self.active(key).progress.is_blank() => Some(self.server_over(key)),
                Read::End => Some(self.server_refuse(key, input, Violation::Incomplete)),
                Read::Broken => Some(Step::Again),
            };
        }
        match self.fill(key, input) {
            Read::Some => None,
            Read::Nothing => Some(self.server_pause(key)),
            Read::End | Read::Broken => Some(self.server_over(key)),
        }
    }

    /// Answers that the client does not read must not pile up here: the next request waits until they are
    /// out.
    #[cold]
    fn server_relieve(&mut self, key: u32) -> Step {
        match self.is_congested(key) {
            true => self.server_congested(key),
            false => Step::Again,
        }
    }

    #[cold]
    fn server_congested(&mut self, key: u32) -> Step {
        match self.slots[key as usize].flags.has(Flags::BROKEN) {
            true => Step::Again,
            false => Step::Rest,
        }
    }

    /// More than the high-water mark waits although it was tried to write it: an edge will tell of room.
    pub(super) fn is_congested(&mut self, key: u32) -> bool {
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
    pub(super) fn server_pause(&mut self, key: u32) -> Step {
        // Where the budget of reads is used up there may be one all the same, which the next drive looks for.
        let is_known = !self.slots[key as usize].flags.has(Flags::READABLE);
        if is_known && self.is_server_closing(key) && self.active(key).input.is_empty() {
            self.slot(key).flags.set(Flags::CLOSING);
            return Step::Again;
        }
        Step::Rest
    }

    /// The peer closed between two requests.
    pub(super) fn server_over(&mut self, key: u32) -> Step {
        self.slot(key).flags.set(Flags::CLOSING);
        Step::Again
    }

    /// Reads more of a head that is partly here; all of it is in the window then.
    pub(crate) fn read_behind_partial(&mut self, key: u32, input: &mut Input<'_>) -> Read {
        debug_assert!(input.is_empty());
        if self.slots[key as usize].flags.has(Flags::END_OF_INPUT) {
            return Read::End;
        }
        debug_assert_eq!(self.active(key).input_from, 0, "a part of a head is moved to the front");
        let mut kept = std::mem::take(&mut self.active(key).input);
        let read = self.read(key, input);
        if read == Read::Some {
            self.release_partial_head(key);
            kept.extend_from_slice(input.bytes());
            input.filled(0);
            input.load(kept, 0);
        } else {
            self.active(key).input = kept;
        }
        read
    }

    /// A request's head is complete: sets up the exchange and says whom to tell.
    #[inline(always)]
    pub(super) fn server_dispatch(
        &mut self,
        key: u32,
        input: &mut Input<'_>,
        head: Box<Head>,
    ) -> Step {
        self.requests_left -= 1;
        let Core { slots, servers, now, .. } = self;
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
        let last = server.limits.max_requests_per_socket;
        let persistent =
            meaning.persistent && !server.closing && last.is_none_or(|last| slot.sequence < last);
        let is_whole = !active.partial;
        active.begin_exchange(&head, persistent);
        if slot.sequence != 1 {
            // Of the first exchange both were set when the connection was accepted.
            active.timeout_ticks = server.timeout_ticks;
            if is_whole {
                active.started = *now;
            }
        }
        active.incoming.continue_owed =
            meaning.expect == Expect::Continue && !active.incoming.complete && input.is_empty();
        log::debug!(target: "onloop::server", "connection {key}: {} {}", head.method(), head.target());
        if meaning.is_unusual() {
            return self.server_dispatch_unusual(key, input, head, id);
        }
        match server.callbacks.request.take() {
            Some(handler) => Step::Event(Event::Request { handler, server: server_key, id, head }),
            None => self.server_answer(key, head, 404, ""),
        }
    }

    /// A request is with the user.
    #[inline(never)]
    pub(super) fn server_exchange(&mut self, key: u32, input: &mut Input<'_>) -> Step {
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
                Content::CutOff => return self.server_cut_off(key),
                Content::Broken => return Step::Again,
                Content::DiscardedTooMuch => {
                    log::debug!(target: "onloop::server", "connection {key}: closed, its request content was not read");
                    return self.server_stop_discarding(key);
                }
            }
        }
        let active = self.active(key);
        if !active.outgoing.is_ended() {
            let slot = &self.slots[key as usize];
            if slot.flags.has(Flags::HANGUP) {
                return self.server_half_closed(key);
            }
            return Step::Rest;
        }
        if active.file.is_some() {
            return self.server_file(key);
        }
        if active.incoming.complete {
            return self.server_complete(key);
        }
        self.server_discard(key)
    }

    /// The response is not out as long as its file is not.
    #[cold]
    fn server_file(&mut self, key: u32) -> Step {
        if let Some(step) = self.file_next(key) {
            return step;
        }
        match self.active(key).incoming.complete {
            true => Step::Rest,
            false => self.server_discard(key),
        }
    }

    /// The response was ended, and content of the request is left.
    #[inline(always)]
    fn server_discard(&mut self, key: u32) -> Step {
        let active = self.active(key);
        if active.incoming.continue_owed {
            // The client was not asked for its content and may send it or not: RFC 9110 §10.1.1.
            return self.server_stop_discarding(key);
        }
        let incoming = &mut active.incoming;
        if !incoming.paused || incoming.discarding {
            return Step::Rest;
        }
        if incoming.pipe_to.is_some() && !incoming.paused_by_user {
            // What it is piped into takes it when there is room.
            return Step::Rest;
        }
        incoming.discarding = true;
        let piped_into = incoming.pipe_to.take();
        if let Some(target) = piped_into {
            self.break_pipe(target);
        }
        Step::Again
    }

    /// The client has ended its side, and the response is not ended: its handler is told. Where half-open
    /// connections are not allowed, nobody waits for it.
    #[cold]
    fn server_half_closed(&mut self, key: u32) -> Step {
        let (id, budget) = (self.id(key), self.requests_left);
        let owner = self.slots[key as usize].owner;
        let allowed =
            self.servers.get(owner as usize).is_none_or(|server| server.options.allow_half_open);
        let active = self.active(key);
        let incoming = &active.incoming;
        if !incoming.complete && !incoming.paused {
            // What is being read tells whether the request is whole.
            return Step::Rest;
        }
        match (allowed, incoming.complete) {
            (true, _) => {}
            (false, true) => return Step::Event(self.cut_off(key, None)),
            // Its end will be read, and the exchange ends then.
            (false, false) => return Step::Rest,
        }
        let callbacks = active.callbacks.as_deref_mut().and_then(|callbacks| callbacks.more());
        let Some(callbacks) = callbacks.filter(|callbacks| callbacks.half_close.is_some()) else {
            return Step::Rest;
        };
        // It may ask for itself again.
        match callbacks.half_close.take_if(|_| budget > 0) {
            Some(callback) => {
                self.requests_left -= 1;
                Step::Event(Event::HalfClose { callback, id })
            }
            None => {
                self.mark_dirty_later(key);
                Step::Rest
            }
        }
    }

    /// The rest of the request's content is not worth reading: the connection ends with this answer.
    pub(super) fn server_stop_discarding(&mut self, key: u32) -> Step {
        let active = self.active(key);
        active.outgoing.forbid_persistence();
        active.incoming.complete = true;
        active.incoming.ended = true;
        // Whoever asks for it now gets to know that it is not whole.
        active.incoming.discarding = true;
        let piped_into = active.incoming.pipe_to.take();
        if let Some(target) = piped_into {
            self.break_pipe(target);
        }
        Step::Again
    }

    /// Request read, response ended.
    #[inline]
    pub(super) fn server_complete(&mut self, key: u32) -> Step {
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
        if let Some(target) = self.active(key).incoming.pipe_to.take() {
            // It was paused behind its last byte: all of it has been piped, and only the end is owed.
            self.pipe_end(key, target);
        }
        let slot = &mut self.slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return Step::Rest;
        };
        let persistent = active.outgoing.is_persistent() && !slot.flags.has(Flags::END_OF_INPUT);
        let id = ExchangeId { key, generation: slot.generation, sequence: slot.sequence };
        let over = active.callbacks.is_some().then(|| active.progress_of(id));
        let told = active.incoming.ended;
        let callbacks = active.end_exchange();
        if !persistent {
            slot.flags.set(Flags::CLOSING);
        }
        if let Some(source) = active.piped_from.take() {
            self.pipe_target_gone(source);
        }
        match callbacks.zip(over) {
            None => Step::Again,
            Some((callbacks, over)) => {
                let mut finale = Finale::quiet(callbacks, over);
                finale.request_closes_last = !told;
                Step::Event(Event::Final(finale))
            }
        }
    }

    /// Everything that can be done is done: flush, and set the deadline that the state calls for.
    #[inline]
    pub(super) fn server_rest(&mut self, key: u32, input: &mut Input<'_>) -> Event {
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
            if self.slots[key as usize].flags.has(Flags::BROKEN) {
                // Its state is not one that another connection could go on with.
                return Event::Done;
            }
        }
        match self.outgoing_event(key) {
            // What is left for the next turn is no reason to let the clocks stand.
            None | Some(Event::Done) => {}
            Some(event) => return event,
        }
        self.server_deadline(key);
        Event::Done
    }
}

impl Active {
    /// A request's head is here.
    #[inline]
    pub(super) fn begin_exchange(&mut self, head: &Head, persistent: bool) {
        let meaning = head.meaning();
        self.stage = Stage::Exchange;
        self.partial = false;
        self.incoming.start(BodyDecoder::new(meaning.framing));
        self.incoming.minor = head.version_minor();
        self.moved = 0;
        self.outgoing.start_response(head.version_minor(), meaning.head, persistent);
    }

    /// The exchange is over and has left nothing behind.
    #[inline]
    pub(super) fn is_plainly_over(&self) -> bool {
        self.stage == Stage::Exchange
            && self.outgoing.is_ended()
            && self.incoming.complete
            && self.callbacks.is_none()
            && self.failure.is_none()
            && self.piped_from.is_none()
            && self.incoming.pipe_to.is_none()
            && !self.need_drain
            && self.timeout_ticks == 0
            && self.file.is_none()
    }

    /// The exchange is over; ready for the next head. Callbacks go to the caller.
    #[inline]
    pub(crate) fn end_exchange(&mut self) -> Option<Box<super::callbacks::Callbacks>> {
        self.stage = Stage::Head;
        self.partial = false;
        self.progress = HeadProgress::default();
        self.need_drain = false;
        self.timeout_ticks = 0;
        self.inactivity = Inactivity::None;
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
