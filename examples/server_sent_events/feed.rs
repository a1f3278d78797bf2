//! One feed of events and any number of readers, each as fast as it can.
//!
//! Events have numbers, the last few are kept, and each reader has a place among them. That one number per
//! reader is all it takes: a reader that comes back goes on where it was, and one that is slow is sent
//! nothing before it has room again, when it goes on with what is still kept. What is gone by then it
//! skips. So neither can make us hold more than the events that are kept once, for all.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use onloop::Result;
use onloop::http::Response;

/// How many events a reader may miss and still be sent.
pub(crate) const EVENTS_KEPT: usize = 100;

#[derive(Clone, Default)]
pub(crate) struct Feed(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// The event in front has the number `next_event - events.len()`.
    events: VecDeque<String>,
    next_event: u64,
    readers: BTreeMap<u64, Reader>,
    next_reader: u64,
}

struct Reader {
    res: Response,
    /// The number of the event that it is sent next.
    next: u64,
    /// Enough waits to be sent to it.
    is_full: bool,
}

impl Feed {
    pub(crate) fn readers(&self) -> usize {
        self.0.borrow().readers.len()
    }

    /// A new event, for all readers.
    pub(crate) fn publish(&self, data: &str) {
        let state = &mut *self.0.borrow_mut();
        // The reader's browser sends this number back as `Last-Event-ID` when it had to connect again.
        let mut event = format!("id: {}\n", state.next_event);
        for line in data.lines() {
            event += &format!("data: {line}\n");
        }
        event += "\n";
        state.next_event += 1;
        state.events.push_back(event);
        if state.events.len() > EVENTS_KEPT {
            state.events.pop_front();
        }
        for reader in state.readers.values_mut().filter(|reader| !reader.is_full) {
            reader.send(&state.events, state.next_event);
        }
    }

    /// Answers with the events behind `last`; without it, with those to come.
    pub(crate) fn join(&self, res: Response, last: Option<u64>) -> Result<()> {
        res.set_header("Content-Type", "text/event-stream")?;
        res.set_header("Cache-Control", "no-store")?;
        // The browser is to know that it is connected before there is any event.
        res.flush_headers();
        // Milliseconds after which it connects again when the connection was lost.
        res.write("retry: 2000\n\n");

        let state = &mut *self.0.borrow_mut();
        // A number that we have not given yet is from before we were started: all ours are new then.
        let next = match last {
            Some(last) if last < state.next_event => last + 1,
            Some(_) => 0,
            None => state.next_event,
        };
        let mut reader = Reader { res, next, is_full: false };
        reader.send(&state.events, state.next_event);
        let key = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(key, reader);

        let feed = self.clone();
        res.on_drain(move || feed.go_on(key));
        // A reader that leaves in whatever way leaves nothing behind. One that stays and reads nothing is
        // dropped by the server (`ServerOptions::write_timeout`) and comes here, too.
        let feed = self.clone();
        res.on_close(move || {
            feed.0.borrow_mut().readers.remove(&key);
        });
        Ok(())
    }

    /// A reader has room again.
    fn go_on(&self, key: u64) {
        let state = &mut *self.0.borrow_mut();
        if let Some(reader) = state.readers.get_mut(&key) {
            reader.is_full = false;
            reader.send(&state.events, state.next_event);
        }
    }

    /// Ends all answers, which would go on for ever.
    pub(crate) fn end(&self) {
        for reader in self.0.borrow().readers.values() {
            reader.res.end("");
        }
    }
}

impl Reader {
    /// Sends it what it has not seen, as far as there is room.
    fn send(&mut self, events: &VecDeque<String>, next_event: u64) {
        let oldest = next_event - events.len() as u64;
        self.next = self.next.max(oldest);
        for event in events.range((self.next - oldest) as usize..) {
            self.next += 1;
            // False says that it was taken and is enough. `next` counts it as sent.
            if !self.res.write(event) {
                self.is_full = true;
                return;
            }
        }
    }
}
