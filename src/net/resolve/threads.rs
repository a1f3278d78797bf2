//! The threads that ask for addresses: started one by one, as many as there are slow names.
//!
//! Deliberately not here: which lookups are equal, what is remembered, and how many may wait.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::super::remote::Waker;
use super::{Found, Means, again, ask};

/// A name and what is known of it.
pub(super) type Answered = (Box<str>, Found);

/// The threads of one loop. When it goes, they end as soon as their lookup is over.
pub(super) struct Threads {
    shared: Arc<Shared>,
    answers: Receiver<Answered>,
    answers_in: Sender<Answered>,
    waker: Waker,
    means: Means,
    threads_max: usize,
    started: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    names: VecDeque<Box<str>>,
    /// Threads that wait for a name, or are about to.
    idle: usize,
    is_closed: bool,
}

impl Shared {
    /// Nothing can panic while the lock is held, and the queue is whole at any time.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next name for a thread that counts as idle; `None` when it shall end.
    fn next(&self) -> Option<Box<str>> {
        let mut queue = self.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(name) = queue.names.pop_front() {
                queue.idle -= 1;
                return Some(name);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Threads {
    /// No thread yet.
    pub(super) fn new(waker: Waker, means: Means, threads_max: usize) -> Threads {
        let (answers_in, answers) = channel();
        let shared = Shared { queue: Mutex::default(), changed: Condvar::new() };
        let (shared, threads_max) = (Arc::new(shared), threads_max.max(1));
        Threads { shared, answers, answers_in, waker, means, threads_max, started: 0 }
    }

    /// How many threads there are.
    #[cfg(test)]
    pub(super) fn started(&self) -> usize {
        self.started
    }

    /// The next name that was answered.
    pub(super) fn take_answer(&self) -> Option<Answered> {
        self.answers.try_recv().ok()
    }

    /// Has a thread ask for `name`: a new one where all others are busy.
    ///
    /// # Errors
    /// There is no thread, and none could be started.
    pub(super) fn ask(&mut self, name: Box<str>) -> io::Result<()> {
        let mut queue = self.shared.lock();
        if queue.names.len() >= queue.idle && self.started < self.threads_max {
            match self.start() {
                Ok(()) => {
                    self.started += 1;
                    queue.idle += 1;
                }
                Err(error) if self.started == 0 => return Err(error),
                // The others will come to it.
                Err(error) => {
                    log::warn!(target: "onloop::loop", "no further thread for name lookups: {error}");
                }
            }
        }
        queue.names.push_back(name);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Detached on purpose: a `getaddrinfo` under way can take half a minute, and no program should wait for it
    /// in order to end.
    fn start(&self) -> io::Result<()> {
        let (shared, answers) = (Arc::clone(&self.shared), self.answers_in.clone());
        let (waker, means) = (self.waker.clone(), self.means.clone());
        thread::Builder::new()
            .name("onloop-resolver".into())
            .spawn(move || answer_names(&shared, &answers, &waker, &means))?;
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.is_closed = true;
        queue.names.clear();
        self.shared.changed.notify_all();
    }
}

fn answer_names(shared: &Shared, answers: &Sender<Answered>, waker: &Waker, means: &Means) {
    while let Some(name) = shared.next() {
        let found = ask_contained(&name, means);
        // Before the answer is seen, or the lookup that it leads to would start a thread for nothing.
        shared.lock().idle += 1;
        if answers.send((name, found)).is_err() {
            return;
        }
        waker.wake();
    }
}

/// A lookup of the user's that panics fails its name, and does not silence all names to come.
pub(super) fn ask_contained(name: &str, means: &Means) -> Found {
    catch_unwind(AssertUnwindSafe(|| ask(name, means))).unwrap_or_else(|payload| {
        // What was thrown may panic once more as it goes; what that throws is left alone.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Err(again("the lookup function panicked"))
    })
}
