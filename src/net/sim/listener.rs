//! Listening, asking for a connection, accepting one.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::{Address, Readiness, Time};
use super::SocketId;
use super::state::{Action, End, Pair, State, Watch};

/// `EMFILE`, the same number on every Unix.
const EMFILE: i32 = 24;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) serial: u64,
    pub(super) owner: Option<usize>,
    pub(super) watch: Watch,
    pub(super) address: Address,
    pub(super) backlog: usize,
    pub(super) queue: VecDeque<SocketId>,
}

impl Listener {
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= self.backlog.max(1)
    }
}

impl State {
    pub(super) fn listen(
        &mut self,
        address: &Address,
        backlog: u32,
        owner: Option<usize>,
    ) -> io::Result<SocketId> {
        let mut address = address.clone();
        if let Address::Ip(ip) = &mut address {
            if ip.port() == 0 {
                ip.set_port(self.free_port());
            }
        }
        if self.listeners.iter().any(|(_, listener)| listener.address == address) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        let (serial, watch, queue) = (self.serial(), Watch::default(), VecDeque::new());
        let listener = Listener { serial, owner, watch, address, backlog, queue };
        Ok(SocketId::listener(self.listeners.insert(listener)))
    }

    /// The listener for `address`: an exact one before one that is bound to all addresses.
    pub(super) fn find_listener(&self, address: &Address) -> Option<usize> {
        let exact = self.listeners.iter().find(|(_, listener)| listener.address == *address);
        let any = || {
            let port = address.port()?;
            self.listeners.iter().find(|(_, listener)| {
                let bound = listener.address.ip().filter(IpAddr::is_unspecified);
                let to_any = address.ip().is_some_and(|ip| ip.is_unspecified());
                listener.address.port() == Some(port) && (bound.is_some() || to_any)
            })
        };
        exact.or_else(any).map(|(key, _)| key)
    }

    /// `AddrInUse` where `local` has a port that another connection was made from.
    pub(super) fn connect(
        &mut self,
        address: &Address,
        local: Option<SocketAddr>,
        owner: Option<usize>,
    ) -> io::Result<SocketId> {
        let local = match address {
            Address::Ip(remote) => Some(Address::Ip(self.local_end(*remote, local)?)),
            Address::Unix(_) => None,
        };
        let near = End { held: true, owner, local, ..End::default() };
        let far = End { local: Some(address.clone()), ..End::default() };
        let serial = self.serial();
        let target = address.clone();
        let key = self.pairs.insert(Pair { serial, connecting: true, target, ends: [near, far] });
        let id = SocketId::stream(key, 0);
        if !self.random.chance(self.options.connect_silence) {
            let (low, high) = self.options.connect_delay;
            let delay = self.random.between(low, high);
            let at = Time(self.now.0.saturating_add(delay));
            if let Some(target) = self.target(id) {
                self.schedule(at, Action::Connect(target));
            }
        }
        Ok(id)
    }

    /// The address of the near end, as a bound socket's or as the routing table would choose it.
    fn local_end(
        &mut self,
        remote: SocketAddr,
        asked: Option<SocketAddr>,
    ) -> io::Result<SocketAddr> {
        let loopback = match remote {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let ip = asked.map(|asked| asked.ip()).filter(|ip| !ip.is_unspecified());
        let mut local = SocketAddr::new(ip.unwrap_or(loopback), 0);
        match asked.map_or(0, |asked| asked.port()) {
            0 => local.set_port(self.free_port()),
            port => {
                local.set_port(port);
                let taken = Some(Address::Ip(local));
                if self.pairs.iter().any(|(_, p)| p.ends[0].held && p.ends[0].local == taken) {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
            }
        }
        Ok(local)
    }

    /// A made connection waits to be accepted.
    pub(super) fn enqueue(&mut self, key: usize, id: SocketId) {
        if let Some(listener) = self.listeners.get_mut(key) {
            listener.queue.push_back(id);
        }
        if let Some(target) = self.target(SocketId::listener(key)) {
            self.raise(target, Readiness::READABLE);
        }
    }

    pub(super) fn accept(&mut self, id: SocketId, owner: Option<usize>) -> io::Result<SocketId> {
        let listener = id.as_listener().and_then(|key| self.listeners.get_mut(key));
        let listener = listener.ok_or(io::ErrorKind::InvalidInput)?;
        if listener.queue.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // A hand-driven listener has no descriptor table that could be full.
        if owner.is_some() && self.random.chance(self.options.accept_error) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let accepted = listener.queue.pop_front().ok_or(io::ErrorKind::WouldBlock)?;
        if let Some(end) = self.end(accepted) {
            end.owner = owner;
        }
        Ok(accepted)
    }

    pub(super) fn close_listener(&mut self, key: usize) {
        let Some(listener) = self.listeners.try_remove(key) else {
            return;
        };
        // Connections that nobody accepted are reset, as the kernel does.
        for id in listener.queue {
            self.reset(id);
        }
    }

    fn free_port(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(49152);
        port
    }
}
