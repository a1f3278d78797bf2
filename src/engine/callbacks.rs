//! What users have registered on one exchange, and the calls that are due when it is over.

use crate::engine::fields::gone;
use crate::engine::over::Over;
use crate::engine::written::WrittenQueue;
use crate::error::{Error, ErrorKind, Limit, Result};
use crate::h1::CONTENT_TOO_LARGE;
use crate::http::{Connection, IncomingResponse, Information, Socket};

pub(crate) type DataFn = Box<dyn FnMut(&[u8]) -> Result<()>>;
pub(crate) type HookMut = Box<dyn FnMut() -> Result<()>>;
pub(crate) type Hook = Box<dyn FnOnce() -> Result<()>>;
pub(crate) type ErrorFn = Box<dyn FnOnce(Error) -> Result<()>>;
pub(crate) type CollectFn = Box<dyn FnOnce(Result<Vec<u8>>) -> Result<()>>;
pub(crate) type ResponseFn = Box<dyn FnOnce(IncomingResponse) -> Result<()>>;
pub(crate) type InformationFn = Box<dyn FnMut(Information) -> Result<()>>;
pub(crate) type WrittenFn = Box<dyn FnOnce(Result<()>) -> Result<()>>;
pub(crate) type SocketFn = Box<dyn FnMut(Connection) -> Result<()>>;
pub(crate) type UpgradeFn = Box<dyn FnOnce(IncomingResponse, Socket, &[u8]) -> Result<()>>;

/// A callback that runs more than once. It is taken out while it runs, so that it can replace or remove
/// itself: what it leaves behind wins over putting it back.
#[derive(Default)]
pub(crate) enum Listener<T> {
    #[default]
    Empty,
    Set(T),
    Running,
}

impl<T> Listener<T> {
    #[inline]
    pub(crate) fn is_set(&self) -> bool {
        !matches!(self, Listener::Empty)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_set()
    }

    /// Takes the callback out for a run.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        match std::mem::replace(self, Listener::Running) {
            Listener::Set(callback) => Some(callback),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Puts a callback back after its run; returns it where it was replaced or removed meanwhile.
    #[inline]
    #[must_use = "it may hold user values, which must be dropped outside of every borrow"]
    pub(crate) fn put_back(&mut self, callback: T) -> Option<T> {
        match self {
            Listener::Running => {
                *self = Listener::Set(callback);
                None
            }
            _ => Some(callback),
        }
    }

    /// Registers a callback, or removes it with `None`; returns what was there.
    #[must_use = "it may hold user values, which must be dropped outside of every borrow"]
    pub(crate) fn replace(&mut self, callback: Option<T>) -> Option<T> {
        let new = callback.map_or(Listener::Empty, Listener::Set);
        match std::mem::replace(self, new) {
            Listener::Set(old) => Some(old),
            _ => None,
        }
    }
}

/// The content of a message that is wanted whole, and who wants it.
pub(crate) struct Collect {
    bytes: Vec<u8>,
    bytes_max: usize,
    /// A pipe takes the content, or some of it, or it is dropped.
    pub(crate) goes_elsewhere: bool,
    pub(crate) callback: CollectFn,
}

impl Collect {
    pub(crate) fn new(bytes_max: usize, callback: CollectFn) -> Self {
        Collect { bytes: Vec::new(), bytes_max, goes_elsewhere: false, callback }
    }

    /// What the callback is called with when nothing more comes: the content, where it is `complete`.
    pub(crate) fn finish(self, complete: bool) -> (CollectFn, Result<Vec<u8>>) {
        let result = match complete && !self.goes_elsewhere {
            true => Ok(self.bytes),
            false => {
                let message =
                    "the content was not read to its end: it was dropped or went elsewhere";
                Err(Error::new(ErrorKind::Aborted, "ERR_STREAM_PREMATURE_CLOSE", message))
            }
        };
        (self.callback, result)
    }

    /// Takes a piece of content; false where that would be more than was asked for.
    pub(crate) fn take(&mut self, piece: &[u8]) -> bool {
        let fits = piece.len() <= self.bytes_max.saturating_sub(self.bytes.len());
        if fits {
            self.bytes.extend_from_slice(piece);
        }
        fits
    }

    pub(crate) fn too_large() -> Error {
        let message = "the content is longer than `collect` was to take";
        Error::new(ErrorKind::Limit(Limit::Body), CONTENT_TOO_LARGE, message).with_status(413)
    }
}

/// Everything a user can register on one exchange. It is boxed and pooled: an exchange without callbacks
/// has none.
#[derive(Default)]
pub(crate) struct Callbacks {
    // Of the incoming message, or of a socket after an upgrade.
    pub(crate) data: Listener<DataFn>,
    /// Goes before `data`.
    pub(crate) collect: Option<Box<Collect>>,
    pub(crate) end: Option<Hook>,
    pub(crate) incoming_error: Option<ErrorFn>,
    pub(crate) incoming_close: Option<Hook>,
    // Of the outgoing message.
    pub(crate) drain: Listener<HookMut>,
    pub(crate) written: Option<Box<WrittenQueue>>,
    pub(crate) outgoing_error: Option<ErrorFn>,
    pub(crate) close: Option<Hook>,
    /// What most exchanges of servers do without. So many of them may be in flight that each byte counts.
    more: Option<Box<MoreCallbacks>>,
    /// What can still be asked about the exchange while its last calls are made. It is here and not in
    /// [`Finale`] to keep events small, which all are moved about.
    pub(crate) over: Option<Over>,
}

/// The other callbacks of an exchange. Boxed by themselves, and kept with the box of the others.
#[derive(Default)]
pub(crate) struct MoreCallbacks {
    // Of a client request.
    pub(crate) socket: Listener<SocketFn>,
    pub(crate) response: Option<ResponseFn>,
    pub(crate) information: Listener<InformationFn>,
    pub(crate) proceed: Option<Hook>,
    pub(crate) upgrade: Option<UpgradeFn>,
    pub(crate) connect: Option<UpgradeFn>,
    // Of both roles.
    pub(crate) timeout: Listener<HookMut>,
    pub(crate) incoming_timeout: Listener<HookMut>,
    pub(crate) half_close: Option<Hook>,
    pub(crate) aborted: Option<Hook>,
    pub(crate) finish: Option<Hook>,
}

impl Callbacks {
    /// The other ones, where there are any.
    #[inline]
    pub(crate) fn more(&mut self) -> Option<&mut MoreCallbacks> {
        self.more.as_deref_mut()
    }

    /// The other ones, to register one.
    pub(crate) fn more_mut(&mut self) -> &mut MoreCallbacks {
        self.more.get_or_insert_default()
    }

    #[inline]
    pub(crate) fn awaits_finish(&self) -> bool {
        self.more.as_deref().is_some_and(|more| more.finish.is_some())
    }

    /// Drops all of them, which is user code; their memory stays.
    pub(crate) fn clear(&mut self) {
        let mut more = self.more.take();
        if let Some(more) = more.as_deref_mut() {
            *more = MoreCallbacks::default();
        }
        *self = Callbacks { more, ..Callbacks::default() };
    }
}

#[cfg(feature = "sim")]
impl Callbacks {
    /// Nothing is registered.
    pub(crate) fn is_blank(&self) -> bool {
        let incoming = self.data.is_empty()
            && self.collect.is_none()
            && self.end.is_none()
            && self.incoming_error.is_none()
            && self.incoming_close.is_none();
        let outgoing = self.drain.is_empty()
            && self.written.is_none()
            && self.outgoing_error.is_none()
            && self.close.is_none();
        let more = self.more.as_deref().is_none_or(MoreCallbacks::is_blank);
        incoming && outgoing && more && self.over.is_none()
    }

    /// Whether somebody waits for the client to end its side.
    pub(crate) fn awaits_half_close(&self) -> bool {
        self.more.as_deref().is_some_and(|more| more.half_close.is_some())
    }
}

#[cfg(feature = "sim")]
impl MoreCallbacks {
    fn is_blank(&self) -> bool {
        let of_client = self.socket.is_empty()
            && self.response.is_none()
            && self.information.is_empty()
            && self.proceed.is_none()
            && self.upgrade.is_none()
            && self.connect.is_none();
        of_client
            && self.timeout.is_empty()
            && self.incoming_timeout.is_empty()
            && self.half_close.is_none()
            && self.aborted.is_none()
            && self.finish.is_none()
    }
}

/// The last calls of an exchange, in the order in which they are made. The exchange itself is gone from
/// the engine by then, so nothing that these calls do can reach it.
pub(crate) struct Finale {
    pub(crate) callbacks: Box<Callbacks>,
    /// The content came to its end and `on_end` is still owed.
    pub(crate) end: bool,
    /// All bytes of our message were handed to the system.
    pub(crate) finish: bool,
    /// What broke the exchange, told once.
    pub(crate) error: Option<Error>,
    pub(crate) told: Told,
    /// The incoming message was cut off: `on_aborted` is owed.
    pub(crate) aborted: bool,
    /// Nobody was told of the end of the request: it closes behind its response.
    pub(crate) request_closes_last: bool,
}

/// Whose `on_error` is told what broke an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// The outgoing message's, else the incoming one's.
    Outgoing,
    /// The incoming message's, which was cut off, else the outgoing one's.
    Incoming,
    /// The incoming message's and no other: the outgoing one has nothing to do with the error.
    IncomingAlone,
}

/// One call of a [`Finale`], ready to be made.
pub(crate) enum FinalCall {
    Plain(Hook),
    Error(ErrorFn, Error),
    Collected(CollectFn, Result<Vec<u8>>),
    Written(WrittenFn, Result<()>),
}

impl Finale {
    pub(crate) fn quiet(mut callbacks: Box<Callbacks>, over: Over) -> Self {
        callbacks.over = Some(over);
        Finale {
            callbacks,
            end: false,
            finish: over.finished,
            error: None,
            told: Told::Outgoing,
            aborted: false,
            request_closes_last: false,
        }
    }

    /// The next call that is due; `None` when all are made. The order is Node's: end, what waits for bytes to
    /// be written, finish, aborted, error, then close, once and last. Content that was to be collected comes
    /// before them.
    pub(crate) fn next_call(&mut self) -> Option<FinalCall> {
        let callbacks = &mut *self.callbacks;
        if let Some(collect) = callbacks.collect.take() {
            let (callback, mut result) = collect.finish(self.end);
            if let Some(error) = &self.error {
                result = Err(error.clone());
            }
            return Some(FinalCall::Collected(callback, result));
        }
        if std::mem::take(&mut self.end) {
            if let Some(end) = callbacks.end.take() {
                return Some(FinalCall::Plain(end));
            }
        }
        if let Some((place, callback)) = callbacks.written.as_mut().and_then(|w| w.pop_front()) {
            let is_taken = callbacks.over.is_some_and(|over| place <= over.taken);
            let result = match is_taken {
                true => Ok(()),
                false => Err(self.error.clone().unwrap_or_else(gone)),
            };
            return Some(FinalCall::Written(callback, result));
        }
        if std::mem::take(&mut self.finish) {
            if let Some(finish) = callbacks.more().and_then(|more| more.finish.take()) {
                return Some(FinalCall::Plain(finish));
            }
        }
        if std::mem::take(&mut self.aborted) {
            if let Some(aborted) = callbacks.more().and_then(|more| more.aborted.take()) {
                return Some(FinalCall::Plain(aborted));
            }
        }
        if let Some(error) = self.error.take() {
            let (incoming, outgoing) =
                (&mut callbacks.incoming_error, &mut callbacks.outgoing_error);
            let listener = match self.told {
                Told::IncomingAlone => incoming.take(),
                Told::Incoming => incoming.take().or_else(|| outgoing.take()),
                Told::Outgoing => outgoing.take().or_else(|| incoming.take()),
            };
            match listener {
                Some(listener) => return Some(FinalCall::Error(listener, error)),
                None => log::debug!(target: "onloop::http", "no on_error was set for: {error}"),
            }
        }
        let (incoming, outgoing) = (&mut callbacks.incoming_close, &mut callbacks.close);
        let (first, last) = match self.request_closes_last {
            true => (outgoing, incoming),
            false => (incoming, outgoing),
        };
        first.take().or_else(|| last.take()).map(FinalCall::Plain)
    }
}
