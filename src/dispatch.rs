//! The one place that calls user code. It asks the engine for the next event, lets go of the engine, calls,
//! and takes it up again. Nothing of the user's runs, and nothing of the user's is dropped, while the engine
//! is borrowed.

mod server_events;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::engine::callbacks::{Callbacks, FinalCall, Finale, MoreCallbacks};
use crate::engine::event::{Event, Input};
use crate::engine::options::PanicPolicy;
use crate::engine::{Core, ExchangeId, log_failure};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{
    Connection, Connector, IncomingResponse, Information, LookupAnswer, Request, Response, Socket,
};
use crate::net::Readiness;
use crate::shell::{LoopShell, Payload};

/// Drives one connection until nothing more can be done for it.
#[inline]
pub(crate) fn drive(
    shell: &'static LoopShell,
    policy: PanicPolicy,
    buffer: &mut [u8],
    (key, generation): (u32, u32),
    readiness: Readiness,
) {
    let mut drive = Drive { shell, policy, input: Input::new(buffer) };
    let first = shell.with(|core| match core.begin(key, generation, readiness) {
        true => core.next(&mut drive.input),
        false => Event::Done,
    });
    let mut event = or_done(first);
    loop {
        event = match event {
            // Nothing is in it, and its destructor would be asked all the same.
            Event::Done => return std::mem::forget(event),
            Event::Request { handler, server, id, head } => {
                drive.request(handler, server, id, head)
            }
            event => drive.handle(event),
        };
    }
}

/// Nothing more where the loop is gone. `unwrap_or` would cost the destructor of an event that never was.
#[inline(always)]
fn or_done(event: Option<Event>) -> Event {
    match event {
        Some(event) => event,
        None => Event::Done,
    }
}

/// One connection being driven.
struct Drive<'b> {
    shell: &'static LoopShell,
    policy: PanicPolicy,
    input: Input<'b>,
}

impl Drive<'_> {
    #[inline(always)]
    fn request(
        &mut self,
        handler: crate::engine::server::RequestFn,
        server: u32,
        id: ExchangeId,
        head: Box<crate::h1::Head>,
    ) -> Event {
        let shell = self.shell;
        let request = Request::new(shell, id, head);
        self.run(
            id,
            handler,
            |handler, _| handler(request, Response::new(shell, id)),
            |core, handler| match core.servers.get_mut(server as usize) {
                Some(entry) => entry.callbacks.request.put_back(handler),
                None => Some(handler),
            },
        )
    }

    #[inline(never)]
    fn handle(&mut self, event: Event) -> Event {
        let shell = self.shell;
        match event {
            Event::Data { callback, id, range } => self.run(
                id,
                callback,
                |callback, input| callback(input.slice(range)),
                |core, callback| {
                    put_back(core, id, callback, |callbacks, c| callbacks.data.put_back(c))
                },
            ),
            Event::Drain { callback, id } => self.run(
                id,
                callback,
                |callback, _| callback(),
                |core, callback| {
                    put_back(core, id, callback, |callbacks, c| callbacks.drain.put_back(c))
                },
            ),
            Event::End { callback, id }
            | Event::Proceed { callback, id }
            | Event::HalfClose { callback, id }
            | Event::Finish { callback, id } => self.run_once(id, |_| callback()),
            Event::Collected { callback, id, result } => self.run_once(id, |_| callback(result)),
            Event::Response { callback, id, head } => {
                let response = IncomingResponse::new(shell, id, head);
                self.run_once(id, |_| callback(response))
            }
            Event::Written { callback, id } => self.run_once(id, |_| callback(Ok(()))),
            Event::Final(finale) => {
                let guard = Interrupt { drive: self };
                run_finale(shell, guard.drive.policy, finale);
                std::mem::forget(guard);
                self.next()
            }
            Event::Request { handler, server, id, head } => self.request(handler, server, id, head),
            Event::Continue | Event::Done => self.next(),
            rare => self.handle_rare(rare),
        }
    }

    /// Events that are no part of an ordinary exchange.
    #[cold]
    fn handle_rare(&mut self, event: Event) -> Event {
        let shell = self.shell;
        match event {
            Event::IncomingTimeout { callback, id } => self.run(
                id,
                callback,
                |callback, _| callback(),
                |core, callback| {
                    put_more_back(core, id, callback, |more, c| more.incoming_timeout.put_back(c))
                },
            ),
            Event::Timeout { callback, id } => self.run(
                id,
                callback,
                |callback, _| callback(),
                |core, callback| {
                    put_more_back(core, id, callback, |more, c| more.timeout.put_back(c))
                },
            ),
            Event::Information { callback, id, head } => {
                let information = Information::new(shell, head);
                self.run(
                    id,
                    callback,
                    |callback, _| callback(information),
                    |core, callback| {
                        put_more_back(core, id, callback, |more, c| more.information.put_back(c))
                    },
                )
            }
            Event::Socket { callback, id } => self.run(
                id,
                callback,
                |callback, _| callback(Connection::new(shell, id)),
                |core, callback| {
                    put_more_back(core, id, callback, |more, c| more.socket.put_back(c))
                },
            ),
            Event::ClientUpgrade { callback, request, id, head, rest } => {
                let response = IncomingResponse::new(shell, request, head);
                self.run_once(id, |input| {
                    callback(response, Socket::new(shell, id), input.slice(rest))
                })
            }
            event => self.handle_agents(event),
        }
    }

    /// What an agent asks the program for.
    #[cold]
    fn handle_agents(&mut self, event: Event) -> Event {
        let shell = self.shell;
        match event {
            Event::CreateConnection { handler, agent, id, question, target } => self.run(
                id,
                handler,
                |handler, _| handler(&target, Connector::new(shell, id, question)),
                |core, handler| {
                    core.put_hook_back(agent, handler, |hooks, h| {
                        hooks.create_connection.put_back(h)
                    })
                },
            ),
            Event::Lookup { handler, agent, id, question, endpoint } => self.run(
                id,
                handler,
                |handler, _| handler(&endpoint.host, LookupAnswer::new(shell, id, question)),
                |core, handler| {
                    core.put_hook_back(agent, handler, |hooks, h| hooks.lookup.put_back(h))
                },
            ),
            event => self.handle_server(event),
        }
    }

    fn next(&mut self) -> Event {
        or_done(self.shell.with(|core| core.next(&mut self.input)))
    }

    /// Calls a callback that may run again: it goes back to its place afterwards, also when it panics,
    /// unless it has replaced or removed itself.
    #[inline]
    fn run<T>(
        &mut self,
        id: ExchangeId,
        callback: T,
        call: impl FnOnce(&mut T, &Input<'_>) -> Result<()>,
        restore: impl FnOnce(&mut Core, T) -> Option<T>,
    ) -> Event {
        self.run_and(id, callback, call, restore, Core::fail_exchange)
    }

    /// The same where `fail` says what follows from an error or a panic.
    #[inline]
    fn run_and<T>(
        &mut self,
        id: ExchangeId,
        callback: T,
        call: impl FnOnce(&mut T, &Input<'_>) -> Result<()>,
        restore: impl FnOnce(&mut Core, T) -> Option<T>,
        fail: impl FnOnce(&mut Core, ExchangeId, Error) + Copy,
    ) -> Event {
        let mut running = Running { drive: self, id, callback: Some((callback, restore)), fail };
        let result = running.call(call);
        let Some((callback, restore)) = running.callback.take() else {
            return Event::Done;
        };
        std::mem::forget(running);
        let mut displaced = None;
        let next = self.shell.with(|core| {
            displaced = restore(core, callback);
            if let Err(error) = result {
                fail(core, id, error);
            }
            core.next(&mut self.input)
        });
        if displaced.is_some() {
            // Outside of the borrow, and the next event is not lost where that panics.
            self.shell.discard(displaced);
        }
        or_done(next)
    }

    /// Calls a callback that runs once.
    #[inline]
    fn run_once(&mut self, id: ExchangeId, call: impl FnOnce(&Input<'_>) -> Result<()>) -> Event {
        self.run(id, (), |_, input| call(input), |_, ()| None)
    }
}

/// Puts a callback back into the exchange it belongs to, if that is still going on.
fn put_back<T>(
    core: &mut Core,
    id: ExchangeId,
    callback: T,
    place: impl FnOnce(&mut Callbacks, T) -> Option<T>,
) -> Option<T> {
    match core.exchange(id).and_then(|active| active.callbacks.as_deref_mut()) {
        Some(callbacks) => place(callbacks, callback),
        None => Some(callback),
    }
}

/// The same for one of the other callbacks.
fn put_more_back<T>(
    core: &mut Core,
    id: ExchangeId,
    callback: T,
    place: impl FnOnce(&mut MoreCallbacks, T) -> Option<T>,
) -> Option<T> {
    let callbacks = core.exchange(id).and_then(|active| active.callbacks.as_deref_mut());
    match callbacks.and_then(Callbacks::more) {
        Some(more) => place(more, callback),
        None => Some(callback),
    }
}

/// A callback while it runs. Dropped by a panic, it leaves the engine consistent: the callback is put back,
/// its exchange fails, the connection is driven again by the next turn.
struct Running<'d, 'b, T, R, F>
where
    R: FnOnce(&mut Core, T) -> Option<T>,
    F: FnOnce(&mut Core, ExchangeId, Error) + Copy,
{
    drive: &'d mut Drive<'b>,
    id: ExchangeId,
    callback: Option<(T, R)>,
    /// What follows from a failure: nearly always [`Core::fail_exchange`].
    fail: F,
}

impl<T, R, F> Running<'_, '_, T, R, F>
where
    R: FnOnce(&mut Core, T) -> Option<T>,
    F: FnOnce(&mut Core, ExchangeId, Error) + Copy,
{
    #[inline]
    fn call(&mut self, call: impl FnOnce(&mut T, &Input<'_>) -> Result<()>) -> Result<()> {
        let Some((callback, _)) = &mut self.callback else {
            return Ok(());
        };
        let input = &self.drive.input;
        invoke(self.drive.policy, || call(callback, input))
    }
}

impl<T, R, F> Drop for Running<'_, '_, T, R, F>
where
    R: FnOnce(&mut Core, T) -> Option<T>,
    F: FnOnce(&mut Core, ExchangeId, Error) + Copy,
{
    fn drop(&mut self) {
        let (id, taken, fail) = (self.id, self.callback.take(), self.fail);
        let shell = self.drive.shell;
        let displaced = shell.with(|core| {
            let displaced = taken.and_then(|(callback, restore)| restore(core, callback));
            fail(core, id, panicked());
            core.interrupt_drive(&mut self.drive.input);
            displaced
        });
        shell.discard(displaced);
    }
}

/// Keeps the connection consistent when a callback panics that belongs to no exchange any more.
struct Interrupt<'d, 'b> {
    drive: &'d mut Drive<'b>,
}

impl Drop for Interrupt<'_, '_> {
    fn drop(&mut self) {
        let input = &mut self.drive.input;
        self.drive.shell.with(|core| core.interrupt_drive(input));
    }
}

/// Calls user code under the loop's panic policy.
#[inline]
pub(crate) fn invoke(policy: PanicPolicy, call: impl FnOnce() -> Result<()>) -> Result<()> {
    match policy {
        PanicPolicy::Propagate => call(),
        PanicPolicy::Contain => match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => result,
            Err(payload) => {
                log::error!(target: "onloop::loop", "a callback panicked: {}", panic_text(&*payload));
                Err(panicked())
            }
        },
    }
}

/// A destructor of the user's has panicked in this turn, and everything else was brought to its end.
#[cold]
pub(crate) fn raise(policy: PanicPolicy, payload: Payload) {
    match policy {
        PanicPolicy::Propagate => resume_unwind(payload),
        PanicPolicy::Contain => {
            log::error!(target: "onloop::loop", "a destructor panicked: {}", panic_text(&*payload));
            std::mem::forget(payload);
        }
    }
}

fn panicked() -> Error {
    Error::new(ErrorKind::Aborted, "ERR_CALLBACK_PANICKED", "a callback panicked")
}

fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Makes the last calls of an exchange. Those that a panic leaves over are made in the next turn.
pub(crate) fn run_finale(shell: &'static LoopShell, policy: PanicPolicy, finale: Finale) {
    shell.with(|core| core.over = finale.callbacks.over);
    let mut rest = Rest { shell, finale: Some(finale) };
    while let Some(call) = rest.finale.as_mut().and_then(Finale::next_call) {
        let result = match call {
            FinalCall::Plain(hook) => invoke(policy, hook),
            FinalCall::Error(listener, error) => invoke(policy, || listener(error)),
            FinalCall::Written(callback, result) => invoke(policy, || callback(result)),
            FinalCall::Collected(callback, content) => {
                let failed = content.is_err();
                let result = invoke(policy, || callback(content));
                // A `?` on what it was given, most likely, which is how it is meant to be used.
                if failed { Ok(()) } else { result }
            }
        };
        log_failure(result, "a last callback of an exchange");
    }
    if let Some(mut finale) = rest.finale.take() {
        // What was never called is dropped here, where nothing is borrowed.
        let is_blank = shell.shield(|| finale.callbacks.clear());
        let left = shell.with(|core| {
            core.over = None;
            match is_blank {
                true => core.pool.recycle_callbacks(finale.callbacks),
                // A destructor has panicked, and some may be left.
                false => return Some(finale.callbacks),
            }
            None
        });
        if let Some(left) = left.flatten() {
            shell.discard(left);
        }
    }
}

struct Rest {
    shell: &'static LoopShell,
    finale: Option<Finale>,
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(finale) = self.finale.take() {
            self.shell.with(|core| {
                core.over = None;
                core.finales.push_back(finale);
            });
        }
    }
}
