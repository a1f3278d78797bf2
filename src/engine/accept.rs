//! Listening sockets: accepting within a budget, and living through a lack of descriptors.

use std::io;

use crate::engine::Core;
use crate::engine::deadlines::ticks;
use crate::engine::slot::{Flags, Kind};
use crate::error::{Error, Result};
use crate::net::{Address, ListenOptions};

impl Core {
    /// Binds and listens; the listener's slot key.
    pub(crate) fn listen(
        &mut self,
        server_key: u32,
        generation: u32,
        address: &Address,
    ) -> Result<()> {
        let Some(server) = self.servers.get(server_key as usize) else {
            return Err(not_running());
        };
        if server.generation != generation || server.closing {
            return Err(not_running());
        }
        let options = ListenOptions {
            backlog: server.options.backlog,
            reuse_port: server.options.reuse_port,
            ipv6_only: server.options.ipv6_only,
        };
        let source = self.net.listen(address, &options).map_err(|error| {
            let mut described = Error::io(&error, "listen");
            described.add_context(&listen_advice(&error, address));
            described
        })?;
        let key = self
            .insert_slot(source, Kind::Listener, server_key as u16)
            .map_err(|error| Error::io(&error, "listen"))?;
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
    pub(crate) fn accept_next(&mut self, key: u32) {
        for _ in 0..self.options.accepts_per_turn {
            let slot = &mut self.slots[key as usize];
            if !slot.flags.has(Flags::READABLE) {
                return;
            }
            match self.net.accept(&mut slot.source) {
                Ok(source) => {
                    let owner = slot.owner;
                    self.accepted(source, owner);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    slot.flags.unset(Flags::READABLE);
                    return;
                }
                Err(error) if is_out_of_descriptors(&error) => {
                    // Edge-triggered polling will not remind us of those that wait: the next close does.
                    log::warn!(target: "onloop::server", "cannot accept: {error}; waiting for a connection to close");
                    slot.flags.unset(Flags::READABLE);
                    let listener = (key, slot.generation);
                    if !self.blocked_listeners.contains(&listener) {
                        self.blocked_listeners.push(listener);
                    }
                    // Descriptors may also be given back elsewhere in the process.
                    self.arm(key, ticks(std::time::Duration::from_secs(1)));
                    return;
                }
                Err(error) => {
                    // The connection was gone before it was accepted; others may wait behind it.
                    log::debug!(target: "onloop::server", "accept: {error}");
                }
            }
        }
        self.mark_dirty_later(key);
    }

    fn accepted(&mut self, mut source: crate::net::Source, owner: u16) {
        let Some(server) = self.servers.get_mut(owner as usize) else {
            self.net.close(source);
            return;
        };
        let limit = server.options.max_connections;
        if limit.is_some_and(|limit| server.connections >= limit) {
            log::warn!(target: "onloop::server", "connection refused: max_connections is reached");
            self.net.close(source);
            return;
        }
        if server.options.no_delay {
            // A socket that is gone already will say so when it is read.
            let _ = self.net.set_nodelay(&mut source, true);
        }
        if let Some(delay) = server.options.tcp_keep_alive {
            let _ = self.net.set_keepalive(&mut source, Some(delay));
        }
        server.connections += 1;
        let patience = super::ticks_or_never(server.options.headers_timeout);
        match self.insert_slot(source, Kind::Server, owner) {
            Ok(key) => {
                log::debug!(target: "onloop::server", "connection {key} accepted");
                self.arm(key, patience);
            }
            Err(error) => {
                log::warn!(target: "onloop::server", "connection dropped: {error}");
                self.server_lost_connection(owner);
            }
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
        for (_, slot) in slots.iter_mut().filter(|(_, slot)| slot.kind == Kind::Listener) {
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

fn is_out_of_descriptors(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
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
