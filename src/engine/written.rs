//! After a flush: who waits to hear of it. `on_drain` where there is room again, `on_written` for what the
//! system has taken, `on_finish` for the whole message.

use std::collections::VecDeque;

use crate::engine::Core;
use crate::engine::callbacks::{HookMut, WrittenFn};
use crate::engine::event::Event;
use crate::engine::fields::gone;
use crate::engine::slot::{Active, ExchangeId, Flags};
use crate::error::{Error, Limit, Result};

/// The callbacks of `on_written` that wait, in order. Each has the place in the connection's output up to which
/// everything must be taken.
pub(crate) type WrittenQueue = VecDeque<(u64, WrittenFn)>;

/// A place that is not known before what is corked joins the output, or a file is out.
const HELD: u64 = u64::MAX;

impl Active {
    /// What was held back, or was in a file, has a place now: whoever waits for them gets to know it.
    pub(super) fn place_held_written(&mut self) {
        let end = self.output.end();
        let callbacks = self.callbacks.as_deref_mut();
        let Some(written) = callbacks.and_then(|callbacks| callbacks.written.as_deref_mut()) else {
            return;
        };
        for (place, _) in written.iter_mut().rev().take_while(|(place, _)| *place == HELD) {
            *place = end;
        }
    }
}

impl Active {
    /// A message begins with so many bytes now, and not with as many as before: what stands behind them moves.
    pub(super) fn move_written(&mut self, before: usize, now: usize) {
        let end = self.output.end();
        let callbacks = self.callbacks.as_deref_mut();
        let Some(written) = callbacks.and_then(|callbacks| callbacks.written.as_deref_mut()) else {
            return;
        };
        for (place, _) in written.iter_mut().filter(|(place, _)| *place != HELD) {
            *place = (*place + now as u64).saturating_sub(before as u64).min(end);
        }
    }
}

impl Core {
    /// `on_written`. The callback is taken out of its option where it will be called.
    pub(crate) fn on_written(
        &mut self,
        id: ExchangeId,
        callback: &mut Option<WrittenFn>,
    ) -> Result<()> {
        if self.exchange(id).is_none() || self.slots[id.key as usize].flags.has(Flags::WRITE_DEAD) {
            return Err(gone());
        }
        let active = self.active(id.key);
        let is_held = active.corked.is_some() || active.file.is_some();
        let place = if is_held { HELD } else { active.output.end() };
        let most = self.options.limits.max_written_callbacks;
        let callbacks = self.callbacks(id).ok_or_else(gone)?;
        let written = callbacks.written.get_or_insert_default();
        if written.len() >= most {
            return Err(written_limit());
        }
        written.extend(callback.take().map(|callback| (place, callback)));
        self.mark_dirty(id.key);
        Ok(())
    }

    /// After a flush: the next call that is due to whoever waits for room or for the system to have taken
    /// something; in the next turn where the budget of this one is used up.
    #[inline]
    pub(crate) fn outgoing_event(&mut self, key: u32) -> Option<Event> {
        let active = self.active(key);
        let is_awaited = active.callbacks.as_deref().is_some_and(|callbacks| {
            callbacks.written.is_some() || (callbacks.awaits_finish() && active.is_request_sent())
        });
        if !active.need_drain && !is_awaited {
            return None;
        }
        self.flushed_event(key)
    }

    #[inline(never)]
    fn flushed_event(&mut self, key: u32) -> Option<Event> {
        if self.active(key).need_drain {
            if let Some(event) = self.drain_event(key) {
                return Some(event);
            }
        }
        let id = self.id(key);
        let (budget, budget_for_more) = (self.requests_left, self.callbacks_for_room_left());
        let active = self.active(key);
        let is_sent = active.is_request_sent();
        let taken = active.output.taken();
        let callbacks = active.callbacks.as_deref_mut()?;
        if let Some(written) = callbacks.written.as_deref_mut() {
            match written.front() {
                Some((place, _)) if *place > taken => return None,
                Some(_) if budget_for_more == 0 => {
                    self.share_is_used_up(key);
                    return Some(Event::Done);
                }
                Some(_) => {
                    let (_, callback) = written.pop_front()?;
                    self.requests_left -= 1;
                    return Some(Event::Written { callback, id });
                }
                None => callbacks.written = None,
            }
        }
        // A client's whole request, or a response while its request still comes in.
        let finish = callbacks.more().map(|more| &mut more.finish);
        let callback = finish.and_then(|finish| finish.take_if(|_| is_sent && budget > 0));
        let Some(callback) = callback else {
            // One may ask for the next.
            if is_sent && callbacks.awaits_finish() {
                self.mark_dirty_later(key);
                return Some(Event::Done);
            }
            return None;
        };
        self.requests_left -= 1;
        Some(Event::Finish { callback, id })
    }

    /// How often the program may still be told in this drive that there is room, or that something is out. It writes
    /// more then: to a client that takes everything at once it would go on for as long as there is content.
    fn callbacks_for_room_left(&self) -> usize {
        if self.writes_left == 0 { 0 } else { self.requests_left }
    }

    fn drain_event(&mut self, key: u32) -> Option<Event> {
        let callback = self.drained(key)?;
        if self.callbacks_for_room_left() > 0 {
            self.requests_left -= 1;
            return Some(Event::Drain { callback, id: self.id(key) });
        }
        let active = self.active(key);
        active.need_drain = true;
        let displaced = active.callbacks_mut().drain.put_back(callback);
        debug_assert!(displaced.is_none(), "nothing ran since it was taken out");
        self.share_is_used_up(key);
        Some(Event::Done)
    }

    /// Whoever waits for room is told. Returns the callback of `on_drain` if it is due.
    fn drained(&mut self, key: u32) -> Option<HookMut> {
        let slot = &self.slots[key as usize];
        let (high_water_mark, _) = self.marks(slot.kind, slot.owner);
        let active = self.active(key);
        if !active.need_drain || active.unsent_bytes() >= high_water_mark {
            return None;
        }
        active.need_drain = false;
        let piped_from = active.piped_from;
        let is_open = !active.outgoing.is_ended();
        let callback = active
            .callbacks
            .as_deref_mut()
            .filter(|_| is_open)
            .and_then(|callbacks| callbacks.drain.take());
        if let Some(source) = piped_from {
            self.resume_piped(source);
        }
        callback
    }
}

#[cold]
fn written_limit() -> Error {
    Core::limit_error(
        Limit::WriteCallbacks,
        "ERR_OUT_OF_RANGE",
        "`max_written_callbacks` wait on this message already: write more between two of them",
    )
}
