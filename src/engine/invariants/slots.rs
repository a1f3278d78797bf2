//! One slot: who it belongs to, what its kind may hold, and whether whatever it has to do will be done.

use super::{Verdict, hold};
use crate::engine::Core;
use crate::engine::agent::NO_ORIGIN;
use crate::engine::callbacks::Callbacks;
use crate::engine::connector::Asked;
use crate::engine::slot::{Active, ExchangeId, Flags, Kind, Slot, Stage};

/// Writing is of no use now, or not possible.
const NOT_WRITABLE: Flags = Flags::WRITE_BLOCKED.and(Flags::WRITE_DEAD).and(Flags::BROKEN);

impl Core {
    pub(super) fn check_slot(&self, key: u32, slot: &Slot, is_dirty: bool) -> Verdict {
        self.check_owner(slot)?;
        check_kind(slot)?;
        if let Some(active) = slot.active.as_deref() {
            self.check_active(key, slot, active)?;
        }
        self.check_deadline_is_found(slot)?;
        if is_dirty {
            // It is driven in the next turn, which does not wait.
            return match self.is_left(key, slot) {
                true => self.check_clock(key, slot),
                false => Ok(()),
            };
        }
        check_flags(slot)?;
        match slot.kind {
            Kind::Listener => {
                hold!(
                    !slot.flags.has(Flags::READABLE),
                    "connections wait, and nobody accepts them"
                );
                Ok(())
            }
            Kind::Attempt => {
                hold!(slot.flags.has(Flags::WRITE_BLOCKED), "it is connected, and nobody looks");
                Ok(())
            }
            Kind::Server => self.check_server(slot),
            Kind::Client => self.check_client(slot),
            Kind::Raw => self.check_raw(slot),
        }?;
        self.check_clock(key, slot)
    }

    fn check_owner(&self, slot: &Slot) -> Verdict {
        let owner = usize::from(slot.owner);
        match slot.kind {
            Kind::Listener | Kind::Server => {
                hold!(self.servers.contains(owner), "its server is gone");
            }
            Kind::Raw => {
                let is_its = slot.owner == NO_ORIGIN || self.servers.contains(owner);
                hold!(is_its, "its server is gone");
            }
            Kind::Client => {
                let is_its = slot.owner == NO_ORIGIN || self.agents.has_origin(slot.owner);
                hold!(is_its, "its origin is gone");
            }
            Kind::Attempt => hold!(slot.owner == NO_ORIGIN, "an attempt has a place of an agent"),
        }
        Ok(())
    }

    /// What a state may hold, and what it names.
    fn check_active(&self, key: u32, slot: &Slot, active: &Active) -> Verdict {
        hold!(
            active.client.is_some() == (slot.kind == Kind::Client),
            "the state of a client's request is with the wrong kind of slot"
        );
        active.output.check()?;
        let head_max = match slot.kind {
            Kind::Server => self
                .servers
                .get(slot.owner as usize)
                .map_or(0, |server| server.head_limits.head_bytes),
            _ => {
                active
                    .client
                    .as_deref()
                    .and_then(|client| client.head_limits)
                    .unwrap_or(self.agents.head_limits)
                    .head_bytes
            }
        };
        // Limits may be lowered while a head is partly here.
        let head_max = head_max.max(self.agents.head_limits.head_bytes);
        let window = self.options.limits.read_buffer;
        hold!(
            active.input.len() <= head_max + 2 * window,
            "{} bytes are kept that nobody has understood",
            active.input.len()
        );
        let from = active.input_from as usize;
        hold!(
            from == 0 || (2 * from <= active.input.len() && !active.partial),
            "{from} of {} bytes that are kept were understood",
            active.input.len()
        );
        let written = active.callbacks.as_deref().and_then(|c| c.written.as_deref());
        hold!(
            written
                .is_none_or(|written| written.len() <= self.options.limits.max_written_callbacks),
            "more callbacks of writes wait than may"
        );
        self.check_pipe(key, slot, active)
    }

    /// Both ends of a pipe know of each other, and who stopped for want of room will be told of room.
    fn check_pipe(&self, key: u32, slot: &Slot, active: &Active) -> Verdict {
        let Some(target) = active.incoming.pipe_to.filter(|_| !slot.flags.has(Flags::DESTROYED))
        else {
            return Ok(());
        };
        let own = ExchangeId { key, generation: slot.generation, sequence: slot.sequence };
        let other = self.slots.get(target.key as usize).filter(|other| {
            other.generation == target.generation && other.sequence == target.sequence
        });
        let state = other.and_then(|other| other.active.as_deref());
        let Some((other, state)) = other.zip(state) else {
            return Err("it is piped into an exchange that is gone".into());
        };
        hold!(
            state.piped_from == Some(own),
            "it is piped into slot {}, which is piped from {:?}",
            target.key,
            state.piped_from
        );
        let incoming = &active.incoming;
        hold!(!incoming.discarding, "it is piped and dropped: what is piped cannot become whole");
        let waits = incoming.paused && !incoming.paused_by_user && !incoming.complete;
        hold!(
            !waits || state.need_drain || other.flags.has(Flags::DIRTY.and(Flags::DESTROYED)),
            "its pipe waits for room in slot {}, which owes no word of it",
            target.key
        );
        Ok(())
    }

    fn check_deadline_is_found(&self, slot: &Slot) -> Verdict {
        hold!(
            slot.deadline == 0 || self.sweep.finds(slot.deadline),
            "no sweep will find its deadline: the next is at {:?}",
            self.sweep.next()
        );
        Ok(())
    }

    /// A connection of a server that waits for an event or for its clock.
    fn check_server(&self, slot: &Slot) -> Verdict {
        let flags = slot.flags;
        hold!(!flags.has(Flags::BROKEN), "it is broken, and nobody ends it");
        if flags.has(Flags::LINGERING) {
            return check_lingering(slot);
        }
        let Some(server) = self.servers.get(slot.owner as usize) else {
            return Err("its server is gone".into());
        };
        let Some(active) = slot.active.as_deref() else {
            hold!(!flags.has(Flags::READABLE), "bytes wait, and nobody reads them");
            hold!(!flags.has(Flags::CLOSING), "it is to be closed, and nobody closes it");
            hold!(!server.closing, "it is idle, its server is closed, and nobody closes it");
            return Ok(());
        };
        hold!(active.failure.is_none(), "it has failed, and nobody ends it");
        self.check_output(slot, active)?;
        if flags.has(Flags::CLOSING) {
            hold!(!active.output.is_empty(), "it is to be closed when all is out, which it is");
        } else if active.stage == Stage::Head {
            self.check_server_head(slot, active)?;
        } else {
            self.check_server_exchange(slot, active)?;
        }
        Ok(())
    }

    fn check_server_head(&self, slot: &Slot, active: &Active) -> Verdict {
        let (mark, _) = self.marks(slot.kind, slot.owner);
        let is_congested = active.output.len() >= mark;
        let is_idle = active.output.is_empty() && active.input.is_empty() && slot.sequence != 0;
        hold!(!is_idle, "it is idle and has a state");
        let waits = active.partial || is_congested;
        hold!(waits || active.input.is_empty(), "a head is here, and nobody looks at it");
        hold!(
            is_congested || !slot.flags.has(Flags::READABLE.and(Flags::END_OF_INPUT)),
            "there is something to read of a head, and nobody reads it"
        );
        hold!(active.callbacks.is_none(), "callbacks are left of an exchange that is over");
        hold!(active.piped_from.is_none(), "something is piped into an exchange that is over");
        Ok(())
    }

    fn check_server_exchange(&self, slot: &Slot, active: &Active) -> Verdict {
        check_content(slot, active)?;
        let ended = active.outgoing.is_ended();
        let complete = active.incoming.complete;
        if ended && complete && active.file.is_none() {
            hold!(!active.output.is_empty(), "the exchange is over, and nobody ends it");
        }
        let is_left = ended && !complete && active.incoming.paused && !active.incoming.discarding;
        hold!(
            !is_left || active.incoming.pipe_to.is_some(),
            "the response is ended, and nobody drops what is left of the request"
        );
        let server = self.servers.get(slot.owner as usize);
        let forbids = server.is_some_and(|s| !s.options.allow_half_open && !s.is_changed);
        let is_over = slot.flags.has(Flags::HANGUP) && complete && !ended;
        hold!(
            !is_over || !forbids,
            "its client has ended its side, half-open connections are not allowed, and nobody ends it"
        );
        let waits = active.callbacks.as_deref().is_some_and(Callbacks::awaits_half_close);
        hold!(!(is_over && waits), "its client has ended its side, and nobody was told");
        Ok(())
    }

    fn check_client(&self, slot: &Slot) -> Verdict {
        let Some(active) = slot.active.as_deref() else {
            hold!(!slot.flags.has(Flags::BROKEN), "it is free and broken, and nobody ends it");
            return Ok(());
        };
        hold!(active.failure.is_none(), "it has failed, and nobody ends it");
        if active.stage == Stage::Unconnected {
            return self.check_unconnected(slot, active);
        }
        self.check_output(slot, active)?;
        const ENDED: Flags = Flags::END_OF_INPUT.and(Flags::BROKEN);
        match active.stage {
            Stage::Head => {
                hold!(!slot.flags.has(Flags::READABLE), "an answer waits, and nobody reads it");
                hold!(!slot.flags.has(ENDED), "no answer comes any more, and nobody ends it");
                hold!(
                    active.partial || active.input.is_empty(),
                    "an answer is here, and nobody looks"
                );
            }
            Stage::Leaving => {
                hold!(!active.incoming.complete, "it can leave its connection, and does not");
                check_content(slot, active)?;
            }
            _ => {
                check_content(slot, active)?;
                let incoming = &active.incoming;
                let held = incoming.paused_by_user && !incoming.ended && !incoming.discarding;
                let is_over = incoming.complete && !held && active.is_request_sent();
                hold!(!is_over, "the exchange is over, and nobody ends it");
            }
        }
        Ok(())
    }

    /// A request without a connection waits for one, or for something on the way to it.
    fn check_unconnected(&self, slot: &Slot, active: &Active) -> Verdict {
        let Some(client) = active.client.as_deref() else {
            return Err("it is no request".into());
        };
        let journey = client.journey.as_deref();
        let pauses = journey.is_some_and(|journey| journey.is_pausing());
        if client.queued || client.looking_up || client.waits_for != Asked::Nothing || pauses {
            hold!(slot.source.is_none(), "it waits for a connection, and has one");
            return Ok(());
        }
        if let Some(tunnel) = client.tunnel.as_deref() {
            const TOLD: Flags = Flags::READABLE.and(Flags::BROKEN).and(Flags::END_OF_INPUT);
            hold!(!slot.flags.has(TOLD), "its proxy says something, and nobody looks");
            let is_asked = tunnel.out.is_empty() || slot.flags.has(Flags::WRITE_BLOCKED);
            hold!(is_asked, "its proxy was not asked for a tunnel");
            return Ok(());
        }
        let is_tried = !slot.source.is_none();
        hold!(is_tried || !client.attempts.is_empty(), "it waits for nothing");
        let told = Flags::BROKEN.and(Flags::HANGUP);
        hold!(
            !is_tried || (slot.flags.has(Flags::WRITE_BLOCKED) && !slot.flags.has(told)),
            "it is connected, or will never be, and nobody looks"
        );
        hold!(
            client.attempt_until.is_none() || client.addresses.is_empty() || slot.deadline != 0,
            "another address is to be tried, and no clock runs"
        );
        Ok(())
    }

    fn check_raw(&self, slot: &Slot) -> Verdict {
        if slot.flags.has(Flags::LINGERING) {
            return check_lingering(slot);
        }
        hold!(!slot.flags.has(Flags::BROKEN), "it is broken, and nobody ends it");
        let Some(active) = slot.active.as_deref() else {
            return Err("a byte stream has no state".into());
        };
        hold!(active.failure.is_none(), "it has failed, and nobody ends it");
        self.check_output(slot, active)?;
        check_content(slot, active)?;
        let sent = active.is_request_sent();
        hold!(!(sent && active.incoming.complete), "the stream is over, and nobody ends it");
        hold!(!sent || slot.flags.has(Flags::SHUT), "it has sent its last byte, and says no end");
        if slot.flags.has(Flags::CLOSING) {
            hold!(!sent, "it is to be closed when all is out, which it is");
        }
        Ok(())
    }

    /// What can be written was written, and whoever waits for that was told.
    fn check_output(&self, slot: &Slot, active: &Active) -> Verdict {
        let is_writable = !slot.flags.has(NOT_WRITABLE);
        hold!(active.output.is_empty() || !is_writable, "bytes wait, and nobody writes them");
        if let Some(file) = active.file.as_deref() {
            hold!(active.outgoing.head_is_sent(), "a file is sent before its head");
            hold!(!file.is_here(), "a slice of its file was read, and nobody sends it");
            hold!(file.awaits_disk() || !is_writable, "a file waits, and nobody sends it");
        }
        let (mark, _) = self.marks(slot.kind, slot.owner);
        let has_room = active.unsent_bytes() < mark;
        let is_owed = active.need_drain && !active.outgoing.is_ended();
        hold!(
            !(is_owed && has_room) || slot.flags.has(Flags::WRITE_DEAD),
            "there is room again, and who waits for it was not told"
        );
        let callbacks = active.callbacks.as_deref();
        let written = callbacks.and_then(|callbacks| callbacks.written.as_deref());
        let first = written.and_then(|written| written.front()).map(|(place, _)| *place);
        hold!(
            first.is_none_or(|place| place > active.output.taken()),
            "what was written is out, and who waits for that was not told"
        );
        let waits = callbacks.is_some_and(Callbacks::awaits_finish);
        let is_stream = slot.kind != Kind::Server || !active.incoming.complete;
        hold!(
            !(waits && is_stream && active.is_request_sent()),
            "the message is out, and who waits for that was not told"
        );
        Ok(())
    }
}

/// What the kind alone says.
fn check_kind(slot: &Slot) -> Verdict {
    let flags = slot.flags;
    let is_idle_kind = matches!(slot.kind, Kind::Listener | Kind::Attempt);
    hold!(!(is_idle_kind && slot.active.is_some()), "it has a state, and its kind has none");
    let is_open = !slot.source.is_none() || flags.has(Flags::DESTROYED);
    let needs_socket = match slot.active.as_deref() {
        Some(active) => active.stage != Stage::Unconnected,
        None => true,
    };
    hold!(!needs_socket || is_open, "it has no socket");
    if flags.has(Flags::LINGERING) {
        hold!(matches!(slot.kind, Kind::Server | Kind::Raw), "it lingers, and is a client's");
        hold!(flags.has(Flags::SHUT), "it lingers, and our side is not shut down");
        hold!(slot.active.is_none(), "it lingers and has a state");
    }
    let stage = slot.active.as_deref().map(|active| active.stage);
    let is_clients = matches!(stage, Some(Stage::Unconnected | Stage::Leaving));
    hold!(!is_clients || slot.kind == Kind::Client, "it is at a stage of a client");
    Ok(())
}

/// Flags that always ask for a drive.
fn check_flags(slot: &Slot) -> Verdict {
    hold!(!slot.flags.has(Flags::DESTROYED), "it was destroyed, and nobody ends it");
    hold!(!slot.flags.has(Flags::EXPIRED), "its clock has run out, and nobody looks");
    hold!(!slot.flags.has(Flags::UNANNOUNCED), "nobody was told of it");
    Ok(())
}

fn check_lingering(slot: &Slot) -> Verdict {
    hold!(!slot.flags.has(Flags::READABLE), "it lingers, bytes wait, and nobody drops them");
    hold!(!slot.flags.has(Flags::END_OF_INPUT), "it lingers for an end that has come");
    Ok(())
}

/// Content that is wanted is read, and its end was told.
fn check_content(slot: &Slot, active: &Active) -> Verdict {
    let incoming = &active.incoming;
    let callbacks = active.callbacks.as_deref();
    if !incoming.complete {
        let wanted = !incoming.paused || incoming.discarding;
        const THERE: Flags = Flags::READABLE.and(Flags::END_OF_INPUT).and(Flags::BROKEN);
        hold!(!(wanted && slot.flags.has(THERE)), "content waits, and nobody reads it");
        hold!(!wanted || active.input.is_empty(), "content is here, and nobody is told");
        return Ok(());
    }
    hold!(
        incoming.discarding || active.input.is_empty() || slot.kind != Kind::Raw,
        "bytes are kept behind the end of a stream"
    );
    // Of a client these come when its connection has gone to the pool.
    let comes_later =
        slot.kind == Kind::Client && active.is_request_sent() && incoming.trailers.is_none();
    if comes_later || (incoming.paused_by_user && !incoming.discarding) {
        return Ok(());
    }
    let collects = callbacks.is_some_and(|callbacks| callbacks.collect.is_some());
    hold!(!collects, "all content is here, and who collects it was not told");
    let waits = callbacks.is_some_and(|callbacks| callbacks.end.is_some()) && !incoming.ended;
    hold!(!waits, "all content is here, and who waits for its end was not told");
    hold!(
        incoming.ended || incoming.pipe_to.is_none(),
        "all content is here, and its pipe is open"
    );
    Ok(())
}
