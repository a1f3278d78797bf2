//! What users have registered on one exchange, and the calls that are due when it is over.

use crate::error::{Error, Result};
use crate::http::{IncomingResponse, Information, Socket};

pub(crate) type DataFn = Box<dyn FnMut(&[u8]) -> Result<()>>;
pub(crate) type HookMut = Box<dyn FnMut() -> Result<()>>;
pub(crate) type Hook = Box<dyn FnOnce() -> Result<()>>;
pub(crate) type ErrorFn = Box<dyn FnOnce(Error) -> Result<()>>;
pub(crate) type ResponseFn = Box<dyn FnOnce(IncomingResponse) -> Result<()>>;
pub(crate) type InformationFn = Box<dyn FnMut(Information) -> Result<()>>;
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

/// Everything a user can register on one exchange. It is boxed and pooled: an exchange without callbacks
/// has none.
#[derive(Default)]
pub(crate) struct Callbacks {
    // Of the incoming message, or of a socket after an upgrade.
    pub(crate) data: Listener<DataFn>,
    pub(crate) end: Option<Hook>,
    pub(crate) aborted: Option<Hook>,
    pub(crate) incoming_error: Option<ErrorFn>,
    pub(crate) incoming_close: Option<Hook>,
    pub(crate) incoming_timeout: Listener<HookMut>,
    // Of the outgoing message.
    pub(crate) drain: Listener<HookMut>,
    pub(crate) finish: Option<Hook>,
    pub(crate) outgoing_error: Option<ErrorFn>,
    pub(crate) close: Option<Hook>,
    // Of a client request.
    pub(crate) response: Option<ResponseFn>,
    pub(crate) information: Listener<InformationFn>,
    pub(crate) proceed: Option<Hook>,
    pub(crate) upgrade: Option<UpgradeFn>,
    pub(crate) timeout: Listener<HookMut>,
}

/// The last calls of an exchange, in the order in which they are made. The exchange itself is gone from
/// the engine by then, so nothing that these calls do can reach it.
pub(crate) struct Finale {
    pub(crate) callbacks: Box<Callbacks>,
    /// The content came to its end and `on_end` is still owed.
    pub(crate) end: bool,
    /// All bytes of our message were handed to the system.
    pub(crate) finish: bool,
    /// What broke the incoming message; delivered to it, else to the outgoing one.
    pub(crate) error: Option<Error>,
    /// The incoming message was cut off: `on_aborted` is owed.
    pub(crate) aborted: bool,
}

/// One call of a [`Finale`], ready to be made.
pub(crate) enum FinalCall {
    Plain(Hook),
    Error(ErrorFn, Error),
}

impl Finale {
    pub(crate) fn quiet(callbacks: Box<Callbacks>) -> Self {
        Finale { callbacks, end: false, finish: false, error: None, aborted: false }
    }

    /// The next call that is due; `None` when all are made. The order is Node's: end, finish, aborted,
    /// error, then close, once and last.
    pub(crate) fn next_call(&mut self) -> Option<FinalCall> {
        let callbacks = &mut *self.callbacks;
        if std::mem::take(&mut self.end) {
            if let Some(end) = callbacks.end.take() {
                return Some(FinalCall::Plain(end));
            }
        }
        if std::mem::take(&mut self.finish) {
            if let Some(finish) = callbacks.finish.take() {
                return Some(FinalCall::Plain(finish));
            }
        }
        if std::mem::take(&mut self.aborted) {
            if let Some(aborted) = callbacks.aborted.take() {
                return Some(FinalCall::Plain(aborted));
            }
        }
        if let Some(error) = self.error.take() {
            let listener =
                callbacks.incoming_error.take().or_else(|| callbacks.outgoing_error.take());
            match listener {
                Some(listener) => return Some(FinalCall::Error(listener, error)),
                None => log::debug!(target: "onloop::http", "no on_error was set for: {error}"),
            }
        }
        callbacks.incoming_close.take().or_else(|| callbacks.close.take()).map(FinalCall::Plain)
    }
}
