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
            shared: Arc::new(WakerShared { pending: AtomicBool::new(false), system: Some(system) }),
        }
    }

    #[cfg(feature = "sim")]
    pub(super) fn simulated() -> Waker {
        Waker { shared: Arc::new(WakerShared { pending: AtomicBool::new(false), system: None }) }
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
            log::error!(target: "onloop::loop", "the event loop could not be woken: {error}");
        }
    }

    /// A wake-up was made that the loop has not answered yet.
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
    let poster =
        Poster { sender, waker, live: Arc::clone(&live), referenced: AtomicBool::new(true) };
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
        f.debug_struct("Poster").field("referenced", &self.is_referenced()).finish_non_exhaustive()
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
        f.debug_struct("Inbox").field("live", &self.live).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::Net;

    fn wait_for_post(net: &mut Net) {
        let began = Instant::now();
        while !net.take_posted() {
            assert!(began.elapsed() < Duration::from_secs(10), "the wake-up was lost");
            net.poll(Some(Duration::from_secs(10)), &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_post_ends_the_wait_and_is_not_an_event() {
        let mut net = Net::system(8).unwrap();
        let (poster, mut inbox) = channel(net.remote(), 4);
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            poster.post(42).unwrap();
        });
        let (mut batch, began) = (Vec::new(), Instant::now());
        net.poll(Some(Duration::from_secs(10)), &mut batch).unwrap();
        assert!(batch.is_empty() && began.elapsed() < Duration::from_secs(5));
        assert!(net.take_posted() && !net.take_posted());
        assert_eq!(inbox.try_take(), Some(42));
        thread.join().unwrap();
    }

    #[test]
    fn no_wake_up_is_lost_between_threads() {
        const POSTS: usize = 2000;
        let mut net = Net::system(8).unwrap();
        let (poster, mut inbox) = channel(net.remote(), 16);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let poster = poster.clone();
                thread::spawn(move || {
                    for mut post in 0..POSTS {
                        while let Err(back) = poster.post(post) {
                            post = back;
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(poster);
        let mut taken = 0;
        while inbox.has_live_poster() || taken < 3 * POSTS {
            wait_for_post(&mut net);
            while inbox.try_take().is_some() {
                taken += 1;
            }
        }
        assert_eq!(taken, 3 * POSTS);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn a_full_or_closed_inbox_returns_the_post() {
        let net = Net::system(8).unwrap();
        let (poster, inbox) = channel(net.remote(), 2);
        assert_eq!((poster.post(1), poster.post(2), poster.post(3)), (Ok(()), Ok(()), Err(3)));
        drop(inbox);
        drop(net);
        assert_eq!(poster.post(4), Err(4));
    }

    #[test]
    fn the_last_referenced_poster_wakes_the_loop() {
        let mut net = Net::system(8).unwrap();
        let (poster, inbox) = channel::<u8>(net.remote(), 2);
        let second = poster.clone();
        drop(poster);
        assert!(inbox.has_live_poster());
        second.unref();
        second.unref();
        assert!(!inbox.has_live_poster());
        wait_for_post(&mut net);
        let third = second.clone();
        assert!(!third.is_referenced() && !inbox.has_live_poster());
        third.ref_();
        assert!(inbox.has_live_poster());
        drop(third);
        wait_for_post(&mut net);
        assert!(!inbox.has_live_poster());
        assert!(second.post(1).is_ok());
    }
}
