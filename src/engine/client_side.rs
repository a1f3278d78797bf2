//! What a client request does next: connect, send, receive, and back to the pool.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::Core;
use crate::engine::callbacks::Finale;
use crate::engine::connector;
use crate::engine::endpoint::Endpoint;
use crate::engine::event::{Event, Input};
use crate::engine::incoming::{Content, Read};
use crate::engine::journey::Journey;
use crate::engine::over::Over;
use crate::engine::racing::Attempt;
use crate::engine::server_failure::violation_error;
use crate::engine::slot::{ExchangeId, Flags, Inactivity, Kind, Stage};
use crate::engine::tunnel::Tunnel;
use crate::error::{Error, ErrorKind, Limit, Sent};
use crate::h1::{
    Asked, BodyDecoder, Framing, Head, HeadLimits, HeadProgress, StartLine, parse_response,
};
use crate::net::{Address, Family, Time};

/// The client's part of an exchange.
#[derive(Debug, Default)]
pub(crate) struct ClientState {
    pub(crate) method: Cow<'static, str>,
    /// Set for as long as the request lives.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
    /// The connection may go to the pool afterwards.
    pub(crate) keep_alive: bool,
    pub(crate) head_limits: Option<HeadLimits>,
    /// Addresses to try, the next one last.
    pub(crate) addresses: Vec<Address>,
    pub(crate) looking_up: bool,
    /// It waits for one of its agent's connections.
    pub(crate) queued: bool,
    /// What it was asked the user for.
    pub(super) waits_for: connector::Asked,
    /// How often the user was asked: only the last question may still be answered.
    pub(super) questions: u32,
    /// It is connected to a proxy, which is being asked for a tunnel.
    pub(super) tunnel: Option<Box<Tunnel>>,
    /// The address that is being tried in the request's own slot.
    pub(crate) address: Option<Address>,
    /// The others that are being tried.
    pub(super) attempts: Vec<Attempt>,
    /// When the next address is tried beside them; only where there is one.
    pub(crate) attempt_until: Option<Time>,
    /// `on_timeout` has told that connecting takes long.
    pub(crate) timeout_told: bool,
    /// Why the first address could not be connected to, with what was found of the others.
    pub(crate) connect_error: Option<Error>,
    /// `on_socket` was told of the connection.
    pub(crate) announced: bool,
    /// What is to be set on the socket when there is one.
    pub(crate) no_delay: Option<bool>,
    pub(crate) probes: Option<Option<Duration>>,
    /// It was made again by itself.
    pub(crate) repeated: bool,
    /// How much of it was sent before that.
    pub(super) sent_before: Option<Sent>,
    /// A byte of the request was taken by the system.
    pub(crate) sent_any: bool,
    /// The final response's head was received.
    pub(crate) answered: bool,
    /// What the response says of persistence.
    pub(crate) persistent: bool,
    pub(crate) keep_alive_hint: Option<u32>,
    informational: u16,
    /// One of them said that the connection ends: RFC 9112 §9.6.
    informed_last: bool,
    pending_information: Option<Box<Head>>,
    /// Where it may take more than one attempt, or has a deadline.
    pub(super) journey: Option<Box<Journey>>,
}

impl ClientState {
    /// Ready for another request; keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.addresses.clear();
        let addresses = std::mem::take(&mut self.addresses);
        debug_assert!(self.attempts.is_empty());
        *self = ClientState { addresses, ..Default::default() };
    }

    pub(crate) fn start_line(&self) -> StartLine<'_> {
        let (target, authority) = match &self.endpoint {
            // RFC 9112 §3.2.3: the host of a tunnel is what it leads to.
            Some(endpoint) if self.asked() == Asked::Connect => {
                (endpoint.target.as_str(), endpoint.target.as_str())
            }
            Some(endpoint) => (endpoint.target.as_str(), endpoint.authority.as_str()),
            None => ("/", ""),
        };
        StartLine::Request { method: &self.method, target, authority }
    }

    /// Made twice it is as made once (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        const IDEMPOTENT: [&str; 10] = [
            "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND", "REPORT", "SEARCH",
            "QUERY",
        ];
        IDEMPOTENT.contains(&&*self.method)
    }

    /// It asks for a tunnel.
    pub(super) fn is_connect(&self) -> bool {
        self.method == "CONNECT"
    }

    /// Something of a reply came.
    pub(super) fn has_heard(&self) -> bool {
        self.answered || self.informational > 0
    }

    /// Informational responses are of one attempt; one may be left that was not told.
    pub(super) fn forget_informational(&mut self) -> Option<Box<Head>> {
        self.informational = 0;
        self.informed_last = false;
        self.pending_information.take()
    }

    /// Which addresses are wanted.
    pub(super) fn family(&self) -> Option<Family> {
        self.endpoint.as_deref().and_then(|endpoint| endpoint.family)
    }

    fn asked(&self) -> Asked {
        match &*self.method {
            "HEAD" => Asked::Head,
            "CONNECT" => Asked::Connect,
            _ => Asked::Other,
        }
    }
}

impl Core {
    /// The next thing to do for a client request or a pooled client connection.
    pub(crate) fn client_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        loop {
            let Some(slot) = self.slots.get_mut(key as usize) else {
                return Event::Done;
            };
            let flags = slot.flags;
            let Some(active) = slot.active.as_deref_mut() else {
                return self.pooled_next(key, input);
            };
            if flags.has(Flags::DESTROYED) || active.failure.is_some() {
                return self.client_destroyed(key);
            }
            if flags.has(Flags::EXPIRED) && active.stage != Stage::Unconnected {
                if let Some(event) = self.inactive(key) {
                    return event;
                }
            }
            let step = match self.active(key).stage {
                Stage::Unconnected => self.client_connect(key, input),
                Stage::Head => self.client_head(key, input),
                Stage::Exchange => self.client_exchange(key, input),
                Stage::Leaving => self.client_leaving(key, input),
            };
            match step {
                None => return self.client_rest(key, input),
                Some(Event::Continue) => {}
                Some(event) => return event,
            }
        }
    }

    /// A connection in the pool: whatever comes, it is of no use any more.
    fn pooled_next(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        let left = input.to - input.from;
        input.consume(left);
        let flags = self.slots[key as usize].flags;
        if flags.has(Flags::EXPIRED) || flags.has(Flags::BROKEN) || flags.has(Flags::DESTROYED) {
            return self.drop_connection(key, None);
        }
        match self.read(key, input) {
            Read::Nothing => Event::Done,
            // RFC 9112 §6.3: bytes that nobody asked for are never an answer to the next request.
            Read::Some | Read::End | Read::Broken => {
                let left = input.to - input.from;
                input.consume(left);
                log::debug!(target: "onloop::client", "connection {key}: closed by the server while free");
                self.drop_connection(key, None)
            }
        }
    }

    fn client_destroyed(&mut self, key: u32) -> Event {
        let answered = self.client(key).answered;
        if answered && self.active(key).incoming.complete {
            // The response is whole: what was given up is the rest of the request.
            return self.drop_connection(key, None);
        }
        let error = match answered {
            true => Core::aborted(),
            false => self.hang_up(key, "the request was destroyed"),
        };
        if !answered {
            self.add_verdict(key);
        }
        self.drop_connection(key, Some(error))
    }

    /// The user's own error tells how much was sent, too.
    fn add_verdict(&mut self, key: u32) {
        let sent = self.sent(key);
        let failure = &mut self.active(key).failure;
        if failure.as_ref().is_some_and(|failure| failure.sent().is_none()) {
            *failure = failure.take().map(|failure| failure.with_sent(sent));
        }
    }

    pub(crate) fn client(&mut self, key: u32) -> &mut super::ClientState {
        self.active(key).client.as_deref_mut().expect("client requests have client state")
    }

    /// "socket hang up", with the verdict on what was sent.
    pub(super) fn hang_up(&mut self, key: u32, why: &str) -> Error {
        let sent = self.sent(key);
        Error::new(ErrorKind::Peer, "ECONNRESET", format!("socket hang up: {why}")).with_sent(sent)
    }

    /// How much of the request left this machine: the most of any connection that it was sent on.
    pub(crate) fn sent(&mut self, key: u32) -> Sent {
        let active = self.active(key);
        let all = active.is_request_sent();
        let Some(client) = active.client.as_deref() else {
            return Sent::NothingSent;
        };
        match client.sent_before {
            Some(Sent::SentNoReply) => Sent::SentNoReply,
            _ if client.sent_any && all => Sent::SentNoReply,
            Some(Sent::PartlySent) => Sent::PartlySent,
            _ if client.sent_any => Sent::PartlySent,
            _ => Sent::NothingSent,
        }
    }

    /// The request is on its way; a response's head is awaited. `None` is rest.
    fn client_head(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        if let Some(event) = self.before_sending(key) {
            return Some(event);
        }
        if !self.looks_before_sending(key) {
            self.flush(key);
        }
        if input.is_empty() {
            let read = match self.active(key).partial {
                true => self.read_behind_partial(key, input),
                false => self.fill(key, input),
            };
            match read {
                Read::Some => {}
                Read::Nothing if self.slots[key as usize].is_broken_and_read() => {
                    return Some(self.client_lost(key, input));
                }
                Read::Nothing => return None,
                Read::End | Read::Broken => return Some(self.client_lost(key, input)),
            }
        }
        let mut head = self.pool.head();
        let default_limits = self.agents.head_limits;
        let active = self.active(key);
        let client = active.client.as_deref_mut()?;
        if !client.sent_any {
            self.pool.recycle_head(head);
            return Some(self.client_unasked(key, input));
        }
        let limits = client.head_limits.unwrap_or(default_limits);
        let parsed =
            parse_response(input.bytes(), &limits, &mut active.progress, client.asked(), &mut head);
        match parsed {
            Ok(Some(consumed)) => {
                input.consume(consumed);
                active.partial = false;
                active.progress = HeadProgress::default();
                self.heard(key);
                self.client_answered(key, head, input)
            }
            Ok(None) => {
                active.partial = true;
                self.pool.recycle_head(head);
                self.keep_input(key, input);
                Some(Event::Continue)
            }
            Err(violation) => {
                let understood = input.consumed().saturating_add(active.progress.position());
                self.pool.recycle_head(head);
                let error = violation_error(violation).with_bytes_parsed(understood as u64);
                Some(self.drop_connection(key, Some(error)))
            }
        }
    }

    /// What is to be told before more of the request is sent.
    #[inline]
    fn before_sending(&mut self, key: u32) -> Option<Event> {
        let id = self.id(key);
        let active = self.active(key);
        let client = active.client.as_deref_mut()?;
        if !std::mem::replace(&mut client.announced, true) {
            if client.no_delay.is_some() || client.probes.is_some() {
                self.apply_socket_settings(key);
            }
            let active = self.active(key);
            let callbacks = active.callbacks.as_deref_mut();
            if let Some(callback) = callbacks.and_then(|callbacks| callbacks.more()?.socket.take())
            {
                return Some(Event::Socket { callback, id });
            }
        }
        let client = self.client(key);
        let head = client.pending_information.take()?;
        Some(self.information_event(key, head))
    }

    /// A byte of a reply came: the request is not made again, unless the reply says so.
    #[inline]
    fn heard(&mut self, key: u32) {
        let Core { slots, trash, .. } = self;
        let slot = &mut slots[key as usize];
        let Some(active) = slot.active.as_deref_mut() else {
            return;
        };
        if active.client.as_deref().is_none_or(|client| client.journey.is_none()) {
            active.forget_sent(slot.flags.has(Flags::WRITE_DEAD), trash);
        }
    }

    /// A response's head is complete.
    fn client_answered(
        &mut self,
        key: u32,
        head: Box<Head>,
        input: &mut Input<'_>,
    ) -> Option<Event> {
        let id = self.id(key);
        let status = head.status();
        if status == 101 {
            return Some(self.client_upgraded(key, head, input));
        }
        if status < 200 {
            return Some(self.client_informed(key, head));
        }
        if status < 300 && self.client(key).asked() == Asked::Connect {
            return Some(self.client_tunneled(key, head, input));
        }
        log::debug!(target: "onloop::client", "request {key}: answered {status}");
        if self.client(key).journey.is_some() {
            if let Some(event) = self.divert(key, &head) {
                self.pool.recycle_head(head);
                return Some(event);
            }
        }
        let meaning = *head.meaning();
        let active = self.active(key);
        active.stage = Stage::Exchange;
        active.incoming.start(BodyDecoder::new(meaning.framing));
        if let Some(client) = active.client.as_deref_mut() {
            client.answered = true;
            client.persistent = meaning.persistent && meaning.framing != Framing::UntilClose;
            client.keep_alive_hint = meaning.keep_alive_timeout;
        }
        match active
            .callbacks
            .as_deref_mut()
            .and_then(|callbacks| callbacks.more()?.response.take())
        {
            Some(callback) => Some(Event::Response { callback, id, head }),
            None => {
                active.incoming.discarding = true;
                self.pool.recycle_head(head);
                Some(Event::Continue)
            }
        }
    }

    /// A 1xx: `on_continue` for 100, then `on_information`.
    fn client_informed(&mut self, key: u32, head: Box<Head>) -> Event {
        let id = self.id(key);
        let most = self.options.limits.max_informational;
        let client = self.client(key);
        client.informational = client.informational.saturating_add(1);
        client.informed_last |= !head.meaning().persistent;
        if client.informational > most {
            self.pool.recycle_head(head);
            let error = Core::limit_error(
                Limit::Informational,
                "ERR_HTTP_TOO_MANY_INFORMATIONAL",
                "the server sent more informational responses than `max_informational`",
            );
            return self.drop_connection(key, Some(error));
        }
        if head.status() == 100 {
            let callbacks = self.active(key).callbacks.as_deref_mut();
            if let Some(callback) = callbacks.and_then(|callbacks| callbacks.more()?.proceed.take())
            {
                self.client(key).pending_information = Some(head);
                return Event::Proceed { callback, id };
            }
        }
        self.information_event(key, head)
    }

    fn information_event(&mut self, key: u32, head: Box<Head>) -> Event {
        let id = self.id(key);
        let callbacks = self.active(key).callbacks.as_deref_mut();
        match callbacks.and_then(|callbacks| callbacks.more()?.information.take()) {
            Some(callback) => Event::Information { callback, id, head },
            None => {
                self.pool.recycle_head(head);
                Event::Continue
            }
        }
    }

    /// A response's content is being received.
    fn client_exchange(&mut self, key: u32, input: &mut Input<'_>) -> Option<Event> {
        self.flush(key);
        match self.incoming_next(key, input) {
            Content::Event(event) => return Some(event),
            Content::Idle => {}
            Content::Violation(violation) => {
                let understood = self.active(key).incoming.decoder.refused_at();
                let understood = input.consumed().saturating_add(understood);
                let error = violation_error(violation).with_bytes_parsed(understood as u64);
                return Some(self.drop_connection(key, Some(error)));
            }
            Content::CutOff | Content::Broken => {
                return Some(self.drop_connection(key, Some(Core::aborted())));
            }
            Content::DiscardedTooMuch => {
                log::debug!(target: "onloop::client", "connection {key}: closed, its response was not read");
                return Some(self.drop_connection(key, None));
            }
        }
        const HUNG_UP: Flags =
            Flags::WRITE_DEAD.and(Flags::HANGUP).and(Flags::END_OF_INPUT).and(Flags::BROKEN);
        let hung_up = self.slots[key as usize].flags.has(HUNG_UP);
        let active = self.active(key);
        let incoming = &active.incoming;
        let paused = incoming.paused_by_user && !incoming.ended && !incoming.discarding;
        if !incoming.complete || paused {
            return None;
        }
        if active.outgoing.is_ended() && !active.output.is_empty() {
            // A response that is piped into its own request has just ended it.
            self.flush(key);
        }
        let active = self.active(key);
        // An early answer to a request that is still being written: wait for its end, if anybody wants it.
        if active.is_request_sent() || hung_up || active.has_no_end() {
            return Some(self.client_complete(key, input));
        }
        None
    }

    /// Response received, request sent: the connection goes to the pool, then the last calls are made.
    fn client_complete(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        let id = self.id(key);
        self.discard_corked(key);
        let reusable = self.can_be_kept(key, input);
        let is_reused = self.slots[key as usize].flags.has(Flags::REUSED);
        let active = self.active(key);
        let over = active.callbacks.is_some().then(|| active.progress_of(id));
        let over = over.map(|over| Over { is_reused, is_persistent: reusable, ..over });
        let hint = active.client.as_deref().and_then(|client| client.keep_alive_hint);
        let source = active.piped_from.take();
        let client = active.client.take();
        let ended = active.incoming.ended;
        let callbacks = active.end_exchange();
        if let Some(client) = client {
            self.client_over(client);
        }
        if let Some(source) = source {
            self.pipe_target_gone(source);
        }
        let left = input.to - input.from;
        input.consume(left);
        if !reusable || !self.keep_connection(key, hint) {
            log::debug!(target: "onloop::client", "connection {key}: done, not kept");
            self.drop_connection(key, None);
        }
        let Some((callbacks, over)) = callbacks.zip(over) else {
            return Event::Continue;
        };
        let mut finale = Finale::quiet(callbacks, over);
        finale.end = !ended;
        Event::Final(finale)
    }

    /// What was said on a connection leaves it good for another request.
    #[inline]
    pub(super) fn can_be_kept(&mut self, key: u32, input: &Input<'_>) -> bool {
        const SPOILED: Flags =
            Flags::END_OF_INPUT.and(Flags::WRITE_DEAD).and(Flags::BROKEN).and(Flags::HANGUP);
        let flags = self.slots[key as usize].flags;
        let active = self.active(key);
        let client = active.client.as_deref();
        client.is_some_and(|client| client.persistent && !client.informed_last && client.keep_alive)
            && active.outgoing.is_persistent()
            && !active.is_truncated()
            && input.is_empty()
            && active.input.is_empty()
            && !flags.has(SPOILED)
    }

    /// Everything that can be done is done: flush, tell who waits for room, set the clock.
    fn client_rest(&mut self, key: u32, input: &mut Input<'_>) -> Event {
        if !input.is_empty() || input.kept.is_some() {
            self.keep_input(key, input);
        }
        if self.active(key).stage == Stage::Unconnected {
            return Event::Done;
        }
        self.flush(key);
        match self.outgoing_event(key) {
            // What is left for the next turn is no reason to let the clocks stand.
            None | Some(Event::Done) => {}
            Some(event) => return event,
        }
        self.arm_inactivity(key);
        Event::Done
    }

    /// Sets the inactivity timeout of an exchange.
    pub(crate) fn set_exchange_timeout(&mut self, id: ExchangeId, timeout: std::time::Duration) {
        self.catch_up();
        let (now, time) = (self.tick, self.now);
        let Some(active) = self.exchange(id) else {
            return;
        };
        let ticks = super::ticks_or_never(timeout);
        active.timeout_ticks = ticks;
        active.inactivity = Inactivity::None;
        active.moved = now;
        let stage = active.stage;
        if let Some(client) = active.client.as_deref_mut().filter(|_| stage == Stage::Unconnected) {
            client.timeout_told = false;
            active.started = time;
        }
        let slot = &self.slots[id.key as usize];
        match slot.kind {
            // Its last bytes have a clock of their own, which is not the user's to stop.
            Kind::Raw if slot.flags.has(Flags::CLOSING) => {
                self.slot(id.key).deadline = 0;
                self.arm_closing(id.key);
            }
            Kind::Server => self.server_deadline(id.key),
            _ if stage == Stage::Unconnected => self.arm_connecting(id.key),
            _ => {
                // The former one may have run out, and just be told of.
                self.slot(id.key).flags.unset(Flags::EXPIRED);
                self.arm(id.key, ticks);
            }
        }
    }
}
