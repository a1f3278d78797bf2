//! Counts of what a loop holds, for tests that look for leaks. It is a pass over the slab: not for hot paths.

use crate::engine::Core;
use crate::engine::slot::{Flags, Kind, Stage};

/// What an event loop holds: see [`sim::stats`](crate::sim::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoopStats {
    /// Listening sockets.
    pub listeners: usize,
    /// Servers that are not closed, or not quite.
    pub servers: usize,
    /// Connections that servers have accepted, idle and busy; upgraded ones are among `upgraded`.
    pub server_connections: usize,
    /// Of these: our side is shut down and the peer's end is awaited, for two seconds at most.
    pub lingering: usize,
    /// Client requests under way.
    pub client_requests: usize,
    /// Idle client connections, kept for later requests.
    pub free_connections: usize,
    /// Connections without HTTP, of servers and clients, and those given to `on_client_error`.
    pub upgraded: usize,
    /// Exchanges under way, on both sides: a request and its response, or an upgraded connection.
    pub exchanges: usize,
    /// Bytes that were received and wait to be understood or delivered.
    pub bytes_received: usize,
    /// Of these: parts of request heads that are not whole, which `Limits::max_partial_heads` bounds.
    pub partial_head_bytes: usize,
    /// Bytes that were written and wait to be sent.
    pub bytes_unsent: usize,
    /// Names being looked up.
    pub lookups: usize,
    /// Of the client requests: those that wait for a connection of their agent.
    pub waiting_requests: usize,
    /// Addresses that are tried beside another one of the same request.
    pub connecting_beside: usize,
    /// Requests that were made again by themselves, ever: see [`Error::sent`](crate::Error::sent).
    pub repeated_requests: u64,
}

impl LoopStats {
    /// Nothing is left but free client connections and those that linger, which go by themselves.
    pub fn is_empty(&self) -> bool {
        let passing = LoopStats {
            free_connections: self.free_connections,
            lingering: self.lingering,
            server_connections: self.lingering,
            servers: if self.lingering > 0 { self.servers } else { 0 },
            repeated_requests: self.repeated_requests,
            ..LoopStats::default()
        };
        *self == passing
    }
}

impl Core {
    /// Counts.
    pub(crate) fn stats(&self) -> LoopStats {
        let mut stats = LoopStats {
            servers: self.servers.len(),
            lookups: self.agents.lookups.len(),
            repeated_requests: self.agents.repeated,
            partial_head_bytes: self.partial_heads,
            ..LoopStats::default()
        };
        let mut partial_heads = 0;
        for (_, slot) in &self.slots {
            match slot.kind {
                Kind::Listener => stats.listeners += 1,
                Kind::Raw => stats.upgraded += 1,
                Kind::Server => stats.server_connections += 1,
                Kind::Attempt => stats.connecting_beside += 1,
                Kind::Client if slot.active.is_some() => stats.client_requests += 1,
                Kind::Client => stats.free_connections += 1,
            }
            if slot.flags.has(Flags::LINGERING) {
                stats.lingering += 1;
            }
            let Some(active) = slot.active.as_deref() else {
                continue;
            };
            let client = active.client.as_deref();
            stats.waiting_requests += usize::from(client.is_some_and(|client| client.queued));
            debug_assert!(
                active.partial_bytes == 0 || active.partial_bytes as usize == active.input.len()
            );
            partial_heads += active.partial_bytes as usize;
            stats.bytes_received += active.input.len() - active.input_from as usize;
            stats.bytes_unsent += active.output.len();
            if slot.kind != Kind::Server || active.stage == Stage::Exchange {
                stats.exchanges += 1;
            }
        }
        debug_assert_eq!(partial_heads, self.partial_heads, "the shares make the whole");
        stats
    }
}
