//! Closures from other threads: the queue into the loop and its public end.

use std::fmt;

use crate::LoopHandle;
use crate::engine::Core;
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::net::remote::{Inbox, Poster, Waker, channel};

pub(crate) type Post = Box<dyn FnOnce(LoopHandle) + Send>;

/// Both ends of the queue, as the loop keeps them.
pub(crate) struct Posts {
    poster: Poster<Post>,
    inbox: Inbox<Post>,
}

impl Posts {
    pub(crate) fn new(waker: Waker, capacity: usize) -> Self {
        let (poster, inbox) = channel(waker, capacity);
        // The loop's own one must not keep it running.
        poster.unref();
        Posts { poster, inbox }
    }

    pub(crate) fn remote(&self) -> Remote {
        let poster = self.poster.clone();
        poster.ref_();
        Remote { poster }
    }

    pub(crate) fn has_live_remote(&self) -> bool {
        self.inbox.has_live_poster()
    }

    pub(crate) fn try_take(&mut self) -> Option<Post> {
        self.inbox.try_take()
    }
}

impl Core {
    /// The queue is made when it is first asked for: it has all its room from the start.
    pub(crate) fn remote(&mut self) -> Remote {
        let (waker, capacity) = (self.net.remote(), self.options.limits.posts_max);
        self.posts.get_or_insert_with(|| Posts::new(waker, capacity)).remote()
    }

    pub(crate) fn has_live_remote(&self) -> bool {
        self.posts.as_ref().is_some_and(Posts::has_live_remote)
    }

    pub(crate) fn take_post(&mut self) -> Option<Post> {
        self.posts.as_mut()?.try_take()
    }
}

/// Has something run on the loop from any thread.
///
/// ```
/// use onloop::EventLoop;
///
/// let mut event_loop = EventLoop::new()?;
/// let remote = event_loop.remote();
/// std::thread::spawn(move || {
///     let answer = 6 * 7; // long work, off the loop
///     let _ = remote.post(move |lp| {
///         println!("{answer}");
///         lp.stop();
///     });
/// });
/// event_loop.run()?;
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    poster: Poster<Post>,
}

impl Remote {
    /// Queues `callback` for the loop's thread and wakes it. Never waits.
    ///
    /// # Errors
    /// `ERR_POST_FAILED` when `posts_max` of them wait already or the loop is gone; the callback is dropped on
    /// this thread.
    pub fn post(&self, callback: impl FnOnce(LoopHandle) + Send + 'static) -> Result<()> {
        self.poster.post(Box::new(callback)).map_err(|_| {
            let message = "the post was not taken: too many wait for the loop, or it is gone";
            Error::new(ErrorKind::Limit(Limit::Posts), "ERR_POST_FAILED", message)
        })
    }

    /// This clone does not keep the loop running.
    pub fn unref(&self) {
        self.poster.unref();
    }

    /// This clone keeps the loop running again: the default.
    pub fn ref_(&self) {
        self.poster.ref_();
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}
