//! The callbacks of a server, but for `on_request`, which is on the way of every request.

use crate::dispatch::{Drive, Running};
use crate::engine::event::Event;
use crate::engine::server::{ServerCallbacks, ShouldUpgradeFn};
use crate::engine::{Core, ExchangeId, log_failure};
use crate::http::{Connection, Request, Response, Socket};

/// Puts a callback back into the server it belongs to, if that still exists.
fn put_back<T>(
    core: &mut Core,
    server: u32,
    handler: T,
    place: impl FnOnce(&mut ServerCallbacks, T) -> Option<T>,
) -> Option<T> {
    match core.servers.get_mut(server as usize) {
        Some(entry) => place(&mut entry.callbacks, handler),
        None => Some(handler),
    }
}

impl Drive<'_> {
    /// Events of a server.
    pub(super) fn handle_server(&mut self, event: Event) -> Event {
        let shell = self.shell;
        match event {
            Event::Expectation { handler, which, server, id, head } => {
                let request = Request::new(shell, id, head);
                self.run(
                    id,
                    handler,
                    |handler, _| handler(request, Response::new(shell, id)),
                    |core, handler| {
                        put_back(core, server, handler, |callbacks, h| {
                            callbacks.request_listener(which).put_back(h)
                        })
                    },
                )
            }
            Event::ServerUpgrade { handler, is_connect, server, id, head, rest } => {
                let request = Request::new(shell, id, head);
                self.run(
                    id,
                    handler,
                    |handler, input| handler(request, Socket::new(shell, id), input.slice(rest)),
                    |core, handler| {
                        put_back(core, server, handler, |callbacks, h| {
                            callbacks.stream_listener(is_connect).put_back(h)
                        })
                    },
                )
            }
            Event::ShouldUpgrade { handler, server, id, head } => {
                self.ask_for_upgrade(handler, server, id, head)
            }
            Event::ClientError { handler, server, id, error } => {
                let socket = Socket::new(shell, id);
                self.run_and(
                    id,
                    handler,
                    |handler, _| {
                        let result = handler(error, socket);
                        // Nothing can follow on a connection that has lost its framing: it ends with the
                        // answer, whatever the peer does.
                        socket.destroy_soon();
                        result
                    },
                    |core, handler| {
                        put_back(core, server, handler, |callbacks, h| {
                            callbacks.client_error.put_back(h)
                        })
                    },
                    Core::client_error_failed,
                )
            }
            event => self.handle_connection(event),
        }
    }

    /// Events of a server's connections, outside of every exchange.
    #[cold]
    fn handle_connection(&mut self, event: Event) -> Event {
        let shell = self.shell;
        match event {
            Event::Connection { handler, server, id } => self.run(
                id,
                handler,
                |handler, _| handler(Connection::new(shell, id)),
                |core, handler| {
                    put_back(core, server, handler, |callbacks, h| callbacks.connection.put_back(h))
                },
            ),
            Event::ServerTimeout { handler, server, id } => self.run(
                id,
                handler,
                |handler, _| handler(Connection::new(shell, id)),
                |core, handler| {
                    put_back(core, server, handler, |callbacks, h| callbacks.timeout.put_back(h))
                },
            ),
            Event::DropRequest { handler, server, id, head } => {
                let request = Request::new(shell, id, head);
                self.run_and(
                    id,
                    handler,
                    |handler, _| handler(request, Connection::new(shell, id)),
                    |core, handler| {
                        put_back(core, server, handler, |callbacks, h| {
                            callbacks.drop_request.put_back(h)
                        })
                    },
                    // The connection ends anyway, behind the answers that are under way.
                    |_, _, error| log_failure(Err(error), "on_drop_request"),
                )
            }
            Event::Drop { handler, server, info } => self.run(
                ExchangeId::NONE,
                handler,
                |handler, _| {
                    // There is no connection any more that could end for it.
                    log_failure(handler(*info), "on_drop");
                    Ok(())
                },
                |core, handler| {
                    put_back(core, server, handler, |callbacks, h| callbacks.drop.put_back(h))
                },
            ),
            _ => self.next(),
        }
    }

    fn ask_for_upgrade(
        &mut self,
        handler: ShouldUpgradeFn,
        server: u32,
        id: ExchangeId,
        head: Box<crate::h1::Head>,
    ) -> Event {
        let request = Request::new(self.shell, id, head);
        let mut wanted = false;
        let restore = |core: &mut Core, handler| {
            put_back(core, server, handler, |callbacks, h| callbacks.should_upgrade.put_back(h))
        };
        let fail = Core::fail_exchange;
        let mut running = Running { drive: self, id, callback: Some((handler, restore)), fail };
        let result = running.call(|handler, _| {
            wanted = handler(&request);
            Ok(())
        });
        let Some((handler, restore)) = running.callback.take() else {
            return Event::Done;
        };
        std::mem::forget(running);
        let head = request.into_head();
        let after = self.shell.with(|core| {
            let displaced = restore(core, handler);
            let event = match (result, head) {
                (Ok(()), Some(head)) => core.upgrade_decided(id, head, wanted, &mut self.input),
                (Err(error), _) => {
                    core.fail_exchange(id, error);
                    Event::Continue
                }
                (Ok(()), None) => Event::Continue,
            };
            (event, displaced)
        });
        match after {
            Some((event, displaced)) => {
                self.shell.discard(displaced);
                event
            }
            None => Event::Done,
        }
    }
}
