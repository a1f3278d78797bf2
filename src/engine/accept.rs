//! Listening sockets: accepting within a budget, and living through a lack of descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::engine::deadlines::ticks;
use crate::engine::event::Event;
use crate::engine::server_side::Step;
use crate::engine::slot::{Flags, Kind, Slot};
use crate::engine::{Core, ServerEntry};
use crate::error::{Error, Limit, Result};
use crate::http::DropInfo;
use crate::net::{Address, ListenOptions, Source};

/// How long a listener that cannot accept waits where no connection closes meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

impl Core {
    /// Binds and listens; the listener's slot key.
    pub(crate) fn listen(
        &mut self,
        server_key: u32,
        generation: u32,
        address: &Address,
    ) -> Result<()> {
        let server = self.running_server(server_key, generation)?;
        let options = ListenOptions {
            backlog: server.limits.backlog,
            reuse_port: server.options.reuse_port,
            ipv6_only: server.options.ipv6_only,
        };
        let source = self.net.listen(address, &options).map_err(|error| {
            let mut described = Error::io(&error, "listen");
            described.add_context(&listen_advice(&error, address));
            described
        })?;
        self.add_listener(server_key, source, Flags::default())
    }

    /// Listens on a socket that was bound, and perhaps listened on, elsewhere.
    pub(crate) fn listen_on(
        &mut self,
        server_key: u32,
        generation: u32,
        listener: OwnedFd,
    ) -> Result<()> {
        let backlog = self.running_server(server_key, generation)?.limits.backlog;
        let source = self.net.adopt_listener(listener, backlog);
        let source = source.map_err(|error| Error::io(&error, "listen"))?;
        self.add_listener(server_key, source, Flags::ADOPTED)
    }

    /// The server of a handle, where it is not closed.
    fn running_server(&self, key: u32, generation: u32) -> Result<&ServerEntry> {
        match self.servers.get(key as usize) {
            Some(server) if server.generation == generation && !server.closing => Ok(server),
            _ => Err(not_running()),
        }
    }

    fn add_listener(&mut self, server_key: u32, source: Source, origin: Flags) -> Result<()> {
        let key = self
            .insert_slot(source, Kind::Listener, server_key as u16)
            .map_err(|error| Error::io(&error, "listen"))?;
        self.slot(key).flags.set(origin);
        let server = &mut self.servers[server_key as usize];
        server.listeners.push(key);
        let unreferenced = server.unreferenced;
        self.set_slot_referenced(key, !unreferenced);
        if let Some(local) = self.net.local_address(&self.slots[key as usize].source) {
            log::info!(target: "onloop::server", "listening on {local}");
        }
        Ok(())
    }

    /// Accepts what waits, within the turn's budget.
    pub(crate) fn accept_next(&mut self, key: u32) -> Event {
        // Whether the last attempt failed in a way that may be lasting.
        let mut failing = false;
        while self.accepts_left > 0 {
            self.accepts_left -= 1;
            let slot = &mut self.slots[key as usize];
            if !slot.flags.has(Flags::READABLE) {
                return Event::Done;
            }
            match self.net.accept(&mut slot.source) {
                Ok(source) => {
                    let owner = slot.owner;
                    if let Some(event) = self.accepted(source, owner, Flags::default()) {
                        return event;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    slot.flags.unset(Flags::READABLE);
                    return Event::Done;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    // It listens no more: somebody has shut it down by another descriptor.
                    log::error!(target: "onloop::server", "a listener is shut down: {error}");
                    slot.flags.unset(Flags::READABLE);
                    return Event::Done;
                }
                Err(error) if is_out_of_resources(&error) => {
                    log::warn!(target: "onloop::server", "cannot accept: {error}; waiting for a connection to close");
                    return self.wait_to_accept(key);
                }
                Err(error) => {
                    // Most often that connection was gone before it was accepted; others may wait behind it.
                    log::debug!(target: "onloop::server", "accept: {error}");
                    failing = error.kind() != io::ErrorKind::ConnectionAborted;
                    continue;
                }
            }
            failing = false;
        }
        if failing {
            // Nothing tells that it will be over soon, and trying without a pause would be all that the loop does.
            log::warn!(target: "onloop::server", "cannot accept, and nothing says why: trying again in a second");
            return self.wait_to_accept(key);
        }
        self.mark_dirty_later(key);
        Event::Done
    }

    /// Accepts no more until a connection closes, or for a second: what is missing may also be given back
    /// elsewhere in the process, or the machine. Edge-triggered polling will not remind of those that wait.
    #[cold]
    fn wait_to_accept(&mut self, key: u32) -> Event {
        let slot = self.slot(key);
        slot.flags.unset(Flags::READABLE);
        let listener = (key, slot.generation);
        if !self.blocked_listeners.contains(&listener) {
            self.blocked_listeners.push(listener);
        }
        self.arm(key, ticks(ACCEPT_PAUSE));
        Event::Done
    }

    /// A connection is here: it becomes a slot with these flags, or is closed where there are too many.
    fn accepted(&mut self, mut source: Source, owner: u16, flags: Flags) -> Option<Event> {
        let Some(server) = self.servers.get_mut(owner as usize) else {
            self.net.close(source);
            return None;
        };
        let (options, limits) = (&server.options, &server.limits);
        // Asked for only where it counts: it is a system call.
        let limited = limits.max_connections_per_address.zip(server.addresses.as_deref());
        let address = limited
            .is_some()
            .then(|| self.net.peer_address(&source).and_then(|address| address.ip()))
            .flatten();
        let of_address = match (limited, address) {
            (Some((limit, counts)), Some(address)) => counts.count(address) >= limit,
            _ => false,
        };
        if of_address || limits.max_connections.is_some_and(|limit| server.connections >= limit) {
            return self.refuse_connection(source, owner, of_address);
        }
        if options.no_delay {
            // A socket that is gone already will say so when it is read.
            let _ = self.net.set_nodelay(&mut source, true);
        }
        if let Some(delay) = options.tcp_keep_alive {
            let _ = self.net.set_keepalive(&mut source, Some(delay));
        }
        server.connections += 1;
        let patience = super::ticks_or_never(options.headers_limit());
        let (timeout, announced) = (server.timeout_ticks, server.callbacks.connection.is_set());
        let key = match self.insert_slot(source, Kind::Server, owner) {
            Ok(key) => key,
            Err(error) => {
                log::warn!(target: "onloop::server", "connection dropped: {error}");
                self.server_lost_connection(owner, u32::MAX);
                return None;
            }
        };
        log::debug!(target: "onloop::server", "connection {key} accepted");
        self.slot(key).flags = flags;
        if let (Some(counts), Some(address)) =
            (self.servers[owner as usize].addresses.as_deref_mut(), address)
        {
            counts.add(key, address);
        }
        self.arm(key, patience);
        if timeout != 0 {
            self.keep_first_timeout(key, timeout);
        }
        if announced {
            self.slot(key).flags.set(Flags::UNANNOUNCED);
            self.mark_dirty_later(key);
        }
        None
    }

    /// One connection too many: closed before a byte of it is read.
    #[cold]
    fn refuse_connection(&mut self, source: Source, owner: u16, of_address: bool) -> Option<Event> {
        let limit = if of_address { "max_connections_per_address" } else { "max_connections" };
        log::warn!(target: "onloop::server", "connection refused: {limit} is reached");
        let server = u32::from(owner);
        let handler = self.servers[server as usize].callbacks.drop.take();
        let info = handler.is_some().then(|| {
            let (local, remote) = (self.net.local_address(&source), self.net.peer_address(&source));
            Box::new(DropInfo::new(local, remote))
        });
        self.net.close(source);
        let (handler, info) = handler.zip(info)?;
        Some(Event::Drop { handler, server, info })
    }

    /// Takes a connection that was made elsewhere.
    pub(crate) fn serve_connection(
        &mut self,
        server_key: u32,
        generation: u32,
        stream: OwnedFd,
    ) -> Result<()> {
        let before = self.running_server(server_key, generation)?.connections;
        let source = self.net.adopt_stream(stream).map_err(|error| Error::io(&error, "adopt"))?;
        self.catch_up();
        let event = self.accepted(source, server_key as u16, Flags::ADOPTED);
        if let Some(Event::Drop { handler, .. }) = event {
            // The call itself tells.
            let displaced = self.servers[server_key as usize].callbacks.drop.put_back(handler);
            debug_assert!(displaced.is_none(), "nothing ran since it was taken out");
        }
        match self.servers[server_key as usize].connections > before {
            true => Ok(()),
            false => Err(Core::limit_error(
                Limit::Connections,
                "ERR_TOO_MANY_CONNECTIONS",
                "the server's limit of connections is reached: the connection was closed",
            )),
        }
    }

    /// A connection is told of before anything of it is read.
    pub(super) fn announce_connection(&mut self, key: u32) -> Step {
        let id = self.id(key);
        let slot = self.slot(key);
        slot.flags.unset(Flags::UNANNOUNCED);
        let server = u32::from(slot.owner);
        match self.servers[server as usize].callbacks.connection.take() {
            Some(handler) => Step::Event(Event::Connection { handler, server, id }),
            None => Step::Again,
        }
    }

    /// A descriptor was given back: listeners that wait for one try again.
    pub(crate) fn retry_blocked_listeners(&mut self) {
        while let Some((key, generation)) = self.blocked_listeners.pop() {
            let Some(slot) = self.slots.get_mut(key as usize) else {
                continue;
            };
            if slot.generation == generation {
                slot.flags.set(Flags::READABLE);
                slot.deadline = 0;
                self.mark_dirty(key);
            }
        }
    }

    /// A listener's deadline is the second after which it tries again by itself.
    pub(crate) fn listener_expired(&mut self, key: u32) {
        let slot = self.slot(key);
        slot.flags.unset(Flags::EXPIRED);
        slot.flags.set(Flags::READABLE);
        let listener = (key, slot.generation);
        self.blocked_listeners.retain(|blocked| *blocked != listener);
    }

    /// The loop is about to go. The files of Unix sockets would stay behind if their descriptors were only
    /// dropped.
    pub(crate) fn close_all_listeners(&mut self) {
        let Core { slots, net, .. } = self;
        let is_ours = |slot: &Slot| slot.kind == Kind::Listener && !slot.flags.has(Flags::ADOPTED);
        for (_, slot) in slots.iter_mut().filter(|(_, slot)| is_ours(slot)) {
            net.close(slot.source.take());
        }
    }

    /// Stops listening.
    pub(crate) fn close_listeners(&mut self, server_key: u32) {
        let listeners = std::mem::take(&mut self.servers[server_key as usize].listeners);
        for key in listeners {
            self.remove_slot(key);
        }
    }
}

pub(crate) fn not_running() -> Error {
    Error::local("ERR_SERVER_NOT_RUNNING", "the server is closed: create a new one")
}

/// Descriptors, of the process or of the system, or memory for the socket: the connection waits on.
fn is_out_of_resources(error: &io::Error) -> bool {
    // The first two are the same on every Unix.
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = if cfg!(target_os = "linux") { 105 } else { 55 };
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS))
        || matches!(error.kind(), io::ErrorKind::OutOfMemory)
}

fn listen_advice(error: &io::Error, address: &Address) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "{address} is in use by another listener: stop that one or choose another port (0 picks a free one)"
            )
        }
        io::ErrorKind::PermissionDenied => format!("no permission to listen on {address}"),
        io::ErrorKind::AddrNotAvailable => format!("{address} is not an address of this machine"),
        _ => format!("on {address}"),
    }
}
