//! Requests that may take more than one attempt, or go to more than one place: with a deadline, with redirects,
//! with retries. One slot and one name are theirs all the way, so the user's handle stays good.
//!
//! Here is how such a request leaves one connection and is given the next. What makes it go on is in `redirects`
//! and `retries`. A request without any of it has no [`Journey`], and none of this is on its way.

use std::time::Duration;

use crate::engine::agent::{AgentId, NO_ORIGIN};
use crate::engine::client_side::ClientState;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::Content;
use crate::engine::output::Trash;
use crate::engine::redirects::Redirect;
use crate::engine::slot::{Active, ExchangeId, Flags, Inactivity, Kind, Slot, Stage};
use crate::engine::{Core, TimerTask, token};
use crate::error::{Clock, Error, ErrorKind, Result};
use crate::h1::{BodyDecoder, Framing, Head, Plan};
use crate::http::Retries;
use crate::net::Source;
use crate::net::timers::TimerKey;

/// What a request was asked for with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct JourneyOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) redirects_max: u32,
    pub(crate) retries: Option<Retries>,
}

/// How far a request has come.
#[derive(Debug)]
pub(crate) struct Journey {
    pub(super) options: JourneyOptions,
    /// Whose connections it uses; `None` where it has connections of its own.
    pub(super) agent: Option<AgentId>,
    pub(super) deadline: Option<TimerKey>,
    /// It waits before its next attempt.
    pub(super) pause: Option<TimerKey>,
    pub(super) redirects: u32,
    /// How often it was made again after a failure.
    pub(super) retries: u32,
    /// How its head was rendered last, and how long that is; nothing before it was.
    pub(super) head: Option<(Plan, usize)>,
    /// A redirect has taken its content away: what is still written is dropped.
    pub(super) without_content: bool,
    /// What it does once it has left its connection.
    onward: Option<Onward>,
}

/// What comes after an answer that is not the user's.
#[derive(Debug)]
pub(super) enum Onward {
    Redirect(Redirect),
    /// The same again, after a pause.
    Retry(Duration),
}

impl Journey {
    /// Its next attempt is not due yet.
    pub(super) fn is_pausing(&self) -> bool {
        self.pause.is_some()
    }
}

impl Active {
    /// What was sent is not needed any more, and nothing more of it where the connection takes no more.
    #[inline]
    pub(super) fn forget_sent(&mut self, is_dead: bool, trash: &mut Trash) {
        self.output.release(trash);
        if is_dead {
            self.output.lose(trash);
        }
    }

    /// Nothing of the request is to come any more, whether or not the user ends it.
    pub(super) fn has_no_end(&self) -> bool {
        let journey = self.client.as_deref().and_then(|client| client.journey.as_deref());
        journey.is_some_and(|journey| journey.without_content) && self.output.is_empty()
    }
}

impl JourneyOptions {
    /// What is sent may have to be sent once more.
    fn may_send_again(&self) -> bool {
        self.redirects_max > 0 || self.retries.is_some()
    }
}

impl Core {
    /// Gives a request that was just made its deadline and the rest.
    pub(crate) fn begin_journey(&mut self, id: ExchangeId, options: JourneyOptions) {
        if self.exchange(id).is_none() {
            return;
        }
        let deadline = options.deadline.map(|after| self.wake_exchange(id, after));
        let agent = self.agents.id_of(self.slots[id.key as usize].owner);
        let most = self.options.limits.max_kept_for_repetition;
        let active = self.active(id.key);
        if options.may_send_again() {
            active.output.keep(most);
        }
        if let Some(client) = active.client.as_deref_mut() {
            client.journey = Some(Box::new(Journey {
                options,
                agent,
                deadline,
                pause: None,
                redirects: 0,
                retries: 0,
                head: None,
                without_content: false,
                onward: None,
            }));
        }
    }

    /// The client's part of an exchange is over.
    #[inline(always)]
    pub(super) fn client_over(&mut self, client: Box<ClientState>) {
        if let Some(journey) = client.journey.as_deref() {
            self.journey_over(journey);
        }
        self.pool.recycle_client(client);
    }

    #[cold]
    fn journey_over(&mut self, journey: &Journey) {
        for timer in [journey.deadline, journey.pause].into_iter().flatten() {
            self.timers.cancel(timer);
        }
    }

    pub(super) fn journey(&mut self, key: u32) -> Option<&mut Journey> {
        self.client(key).journey.as_deref_mut()
    }

    // ---- clocks

    /// Has [`Core::exchange_timer`] called later. The request keeps the loop running by itself.
    fn wake_exchange(&mut self, id: ExchangeId, after: Duration) -> TimerKey {
        let timer = self.timers.insert(self.now, after, None, TimerTask::Exchange(id));
        self.timers.set_referenced(timer, false);
        timer
    }

    /// A request's deadline has passed, or its pause is over.
    pub(crate) fn exchange_timer(&mut self, timer: TimerKey, id: ExchangeId) {
        self.timers.finish(timer);
        let is_its =
            |slot: &&mut Slot| slot.generation == id.generation && slot.sequence == id.sequence;
        let Some(slot) = self.slots.get_mut(id.key as usize).filter(is_its) else {
            return;
        };
        let is_destroyed = slot.flags.has(Flags::DESTROYED);
        let Some(client) =
            slot.active.as_deref_mut().and_then(|active| active.client.as_deref_mut())
        else {
            return;
        };
        let answered = client.answered;
        let Some(journey) = client.journey.as_deref_mut() else {
            return;
        };
        let is_pause = journey.pause.take_if(|pause| *pause == timer).is_some();
        let is_deadline = journey.deadline.take_if(|deadline| *deadline == timer).is_some();
        if is_destroyed || !(is_pause || is_deadline) {
            return;
        }
        if is_pause {
            return self.resume_journey(id.key);
        }
        let message = "the deadline of the request has passed: give it more time, or ask for less";
        let mut error = Error::new(ErrorKind::Timeout(Clock::Deadline), "ETIMEDOUT", message);
        if !answered {
            error = error.with_sent(self.sent(id.key));
        }
        self.fail_exchange(id, error);
    }

    /// Lets a request that has left its connection wait before its next attempt.
    pub(super) fn pause_journey(&mut self, key: u32, pause: Duration) -> Event {
        let id = self.id(key);
        let timer = self.wake_exchange(id, pause);
        if let Some(journey) = self.journey(key) {
            journey.pause = Some(timer);
        }
        Event::Continue
    }

    fn resume_journey(&mut self, key: u32) {
        if let Err(error) = self.find_connection(key) {
            let error = error.with_sent(self.sent(key));
            self.fail_exchange(self.id(key), error);
        }
    }

    // ---- answers that are not the user's

    /// The request is not made again. What could not be sent of it is not needed.
    pub(super) fn keep_no_more(&mut self, key: u32) {
        let Core { slots, trash, .. } = self;
        let slot = &mut slots[key as usize];
        if let Some(active) = slot.active.as_deref_mut() {
            active.forget_sent(slot.flags.has(Flags::WRITE_DEAD), trash);
        }
    }

    /// A final answer came: `None` where it is for the user. Else what is left of it is dropped, and the request
    /// goes on from there; or it fails.
    #[cold]
    pub(super) fn divert(&mut self, key: u32, head: &Head) -> Option<Event> {
        let onward = match self.redirect_by(key, head) {
            Ok(Some(redirect)) => Some(Onward::Redirect(redirect)),
            Ok(None) => self.retry_by(key, head).map(Onward::Retry),
            Err(error) => return Some(self.drop_connection(key, Some(error))),
        };
        let Some(onward) = onward else {
            self.keep_no_more(key);
            return None;
        };
        let meaning = head.meaning();
        let dropped_max = self.discarded_bytes_max(key) as u64;
        let active = self.active(key);
        active.stage = Stage::Leaving;
        active.incoming.start(BodyDecoder::new(meaning.framing));
        active.incoming.discarding = true;
        let is_long = match meaning.framing {
            Framing::Length(length) => length > dropped_max,
            Framing::UntilClose => true,
            Framing::None | Framing::Chunked => false,
        };
        let is_worth_it = !is_long && meaning.persistent && active.is_request_sent();
        // Nothing is waited for where the connection is closed in any case.
        active.incoming.complete |= !is_worth_it;
        let client = self.client(key);
        client.persistent = is_worth_it;
        client.keep_alive_hint = meaning.keep_alive_timeout;
        if let Some(journey) = client.journey.as_deref_mut() {
            journey.onward = Some(onward);
        }
        Some(Event::Continue)
    }

    /// What is left of an answer that is not the user's is dropped, within the bound of content that nobody
    /// reads; then the request leaves.
    pub(super) fn client_leaving(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        let whole = match self.incoming_next(key, input) {
            Content::Event(event) => return Some(event),
            Content::Idle if !self.active(key).incoming.complete => return None,
            Content::Idle => true,
            Content::Violation(_)
            | Content::CutOff
            | Content::Broken
            | Content::DiscardedTooMuch => false,
        };
        let reusable = whole && self.can_be_kept(key, input);
        let left = input.to - input.from;
        input.consume(left);
        let active = self.active(key);
        active.input.clear();
        active.input_from = 0;
        match self.journey(key)?.onward.take()? {
            Onward::Redirect(redirect) => Some(self.follow(key, redirect, reusable)),
            Onward::Retry(pause) => {
                self.note_sent(key);
                self.part(key, reusable);
                Some(self.pause_journey(key, pause))
            }
        }
    }

    // ---- from one connection to the next

    /// Takes the connection, and its place, from a request that is to be sent anew. Where it is `reusable` it is
    /// for the next request, in a slot of its own.
    pub(super) fn part(&mut self, key: u32, reusable: bool) {
        if reusable {
            self.put_aside(key);
        }
        self.disconnect(key);
        self.leave_origin(key);
        let active = self.active(key);
        active.incoming = Default::default();
        active.inactivity = Inactivity::None;
        let client = self.client(key);
        client.repeated = false;
        client.persistent = false;
        client.keep_alive_hint = None;
        client.timeout_told = false;
        if let Some(head) = client.forget_informational() {
            self.pool.recycle_head(head);
        }
    }

    /// The reverse of `move_in`: the connection of a request goes to the pool by itself.
    fn put_aside(&mut self, key: u32) {
        let (origin, hint) = (self.slots[key as usize].owner, self.client(key).keep_alive_hint);
        let Ok(aside) = self.insert_slot(Source::None, Kind::Client, origin) else {
            return;
        };
        let slot = self.slot(key);
        let mut source = slot.source.take();
        let flags = slot.flags;
        slot.flags.unset(Flags::OF_THE_SOCKET);
        // The place goes along with the socket.
        slot.owner = NO_ORIGIN;
        let name = token(aside, self.slots[aside as usize].generation);
        let moved = self.net.reregister(&mut source, name);
        let slot = self.slot(aside);
        slot.source = source;
        slot.flags.set(flags.only(Flags::OF_THE_SOCKET.and(Flags::REUSED)).and(Flags::READABLE));
        if moved.is_err() || !self.keep_connection(aside, hint) {
            self.drop_connection(aside, None);
        }
    }

    /// Gives a request that has left its connection another one, or a place in the queue, as a new one is.
    pub(super) fn find_connection(&mut self, key: u32) -> Result<()> {
        let agent = self.journey(key).and_then(|journey| journey.agent);
        let now = self.now;
        let active = self.active(key);
        active.started = now;
        let Some(client) = active.client.take() else {
            return Ok(());
        };
        let found = self.origin_of(agent, &client);
        self.active(key).client = Some(client);
        let (origin, keep_alive) = found?;
        let free = if keep_alive { self.take_free(origin) } else { None };
        if let Some(free) = free {
            let slot = self.slot(free);
            let source = slot.source.take();
            let flags = slot.flags;
            slot.owner = NO_ORIGIN;
            self.remove_slot(free);
            self.slot(key).owner = origin;
            self.move_in(key, source, flags, true);
            return Ok(());
        }
        if self.has_place(origin) {
            self.agents.joined(origin);
            self.slot(key).owner = origin;
        } else {
            if let Err(error) = self.check_queue(origin) {
                self.agents.forget_if_unused(origin);
                return Err(error);
            }
            self.slot(key).owner = origin;
            self.enqueue(key, origin);
        }
        self.arm_connecting(key);
        self.mark_dirty(key);
        Ok(())
    }
}
