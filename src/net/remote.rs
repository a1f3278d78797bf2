//! Posts from other threads: a bounded channel, and one waker that ends the loop's wait.
//!
//! A post is sent first and the loop is woken after, and wake-ups coalesce: whoever finds the flag
//! set knows that a wake-up is on its way which the loop has not answered yet. The loop clears the
//! flag before it drains, so that a post that misses the draining makes a wake-up of its own.
//! Deliberately not here: what a post is, and when it is run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// What ends the `poll` of one loop from any thread; clones are the same waker.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    shared: Arc<WakerShared>,
}

#[derive(Debug)]
struct WakerShared {
    pending: AtomicBool,
    /// `None` in simulation, where nothing sleeps and `poll` looks at the flag.
    system: Option<mio::Waker>,
}

impl Waker {
    pub(super) fn new(system: mio::Waker) -> Waker {
        Waker {
            shared: Arc::new(WakerShared {
                pending: AtomicBool::new(false),
                system: Some(system),
            }),
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated() -> Waker {
        Waker {
            shared: Arc::new(WakerShared {
                pending: AtomicBool::new(false),
                system: None,
            }),
        }
    }

    /// Makes the loop's current or next `poll` return. What the loop shall find has to be in place.
    pub(crate) fn wake(&self) {
        // Release publishes the post to the loop's acquire in `acknowledge`, also through the swaps
        // of others in between.
        if self.shared.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(system) = &self.shared.system else {
            return;
        };
        if let Err(error) = system.wake() {
            // The flag must not promise a wake-up that nobody makes.
            self.shared.pending.store(false, Ordering::Release);
            log::error!("the event loop could not be woken: {error}");
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn is_pending(&self) -> bool {
        self.shared.pending.load(Ordering::Acquire)
    }

    /// The loop has seen the wake-up and is about to drain: true when there was one.
    pub(super) fn acknowledge(&self) -> bool {
        self.shared.pending.swap(false, Ordering::AcqRel)
    }
}

/// A bounded channel into the loop that `waker` wakes. At least one post fits.
pub(crate) fn channel<P: Send>(waker: Waker, capacity: usize) -> (Poster<P>, Inbox<P>) {
    let (sender, receiver) = sync_channel(capacity.max(1));
    let live = Arc::new(AtomicUsize::new(1));
    let poster = Poster {
        sender,
        waker,
        live: Arc::clone(&live),
        referenced: AtomicBool::new(true),
    };
    (poster, Inbox { receiver, live })
}

/// The sending side, for any thread.
///
/// While a clone that was not `unref`ed lives, the loop has something to wait for.
pub(crate) struct Poster<P: Send> {
    sender: SyncSender<P>,
    waker: Waker,
    live: Arc<AtomicUsize>,
    referenced: AtomicBool,
}

impl<P: Send> Poster<P> {
    /// Hands `post` to the loop and wakes it. Never waits.
    ///
    /// # Errors
    /// The post itself comes back when the channel is full or the loop is gone.
    pub(crate) fn post(&self, post: P) -> Result<(), P> {
        match self.sender.try_send(post) {
            Ok(()) => {
                self.waker.wake();
                Ok(())
            }
            Err(TrySendError::Full(post) | TrySendError::Disconnected(post)) => Err(post),
        }
    }

    /// This clone no longer keeps the loop running.
    pub(crate) fn unref(&self) {
        if self.referenced.swap(false, Ordering::AcqRel) {
            self.release();
        }
    }

    /// This clone keeps the loop running again.
    pub(crate) fn ref_(&self) {
        if !self.referenced.swap(true, Ordering::AcqRel) {
            self.live.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn is_referenced(&self) -> bool {
        self.referenced.load(Ordering::Acquire)
    }

    fn release(&self) {
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            // The loop may be asleep with nothing else to wait for.
            self.waker.wake();
        }
    }
}

impl<P: Send> Clone for Poster<P> {
    fn clone(&self) -> Self {
        let referenced = self.is_referenced();
        if referenced {
            self.live.fetch_add(1, Ordering::AcqRel);
        }
        Poster {
            sender: self.sender.clone(),
            waker: self.waker.clone(),
            live: Arc::clone(&self.live),
            referenced: AtomicBool::new(referenced),
        }
    }
}

impl<P: Send> Drop for Poster<P> {
    fn drop(&mut self) {
        if *self.referenced.get_mut() {
            self.release();
        }
    }
}

impl<P: Send> fmt::Debug for Poster<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster")
            .field("referenced", &self.is_referenced())
            .finish_non_exhaustive()
    }
}

/// The loop's side. Dropping it makes every later `post` fail.
pub(crate) struct Inbox<P> {
    receiver: Receiver<P>,
    live: Arc<AtomicUsize>,
}

impl<P> Inbox<P> {
    /// The next post. A loop that stops before `None` has to come back by itself: the wake-up for
    /// what is left was already seen.
    pub(crate) fn try_take(&mut self) -> Option<P> {
        self.receiver.try_recv().ok()
    }

    /// Whether somebody may still post and counts. Ask before the last `try_take` of a decision to
    /// end: a post comes before its poster's end, so false followed by an empty inbox is final.
    pub(crate) fn has_live_poster(&self) -> bool {
        self.live.load(Ordering::Acquire) != 0
    }
}

impl<P> fmt::Debug for Inbox<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("live", &self.live)
            .finish_non_exhaustive()
    }
}
