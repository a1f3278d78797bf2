//! Listening, asking for a connection, accepting one.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::super::{Address, Readiness, Time};
use super::state::{Action, End, Pair, State, Watch};
use super::{Route, SocketId};

/// When Linux gives up a connection that nobody answers: after six more SYNs, 1, 2, 4 … 64 s apart.
const SYN_PATIENCE: Duration = Duration::from_secs(127);

/// `EMFILE`, the same number on every Unix.
const EMFILE: i32 = 24;

/// The connection broke a rule of its protocol before it was accepted.
const EPROTO: i32 = if cfg!(target_os = "linux") { 71 } else { 100 };

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
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog = usize::try_from(backlog).unwrap_or(usize::MAX);
        let (serial, watch, queue) = (self.serial(), Watch::default(), VecDeque::new());
        let listener = Listener { serial, owner, watch, address, backlog, queue };
        Ok(SocketId::listener(self.listeners.insert(listener)))
    }

    /// The listener for `address`: an exact one before one that is bound to all addresses, of which `::` takes
    /// IPv4 as well.
    pub(super) fn find_listener(&self, address: &Address) -> Option<usize> {
        let exact = self.listeners.iter().find(|(_, listener)| listener.address == *address);
        let any = || {
            let (port, ip) = (address.port()?, address.ip()?);
            self.listeners.iter().find(|(_, listener)| {
                let Some(bound) = listener.address.ip() else { return false };
                let to_any = ip.is_unspecified() && bound.is_ipv4() == ip.is_ipv4();
                let takes = bound.is_unspecified() && (bound.is_ipv6() || ip.is_ipv4());
                listener.address.port() == Some(port) && (takes || to_any)
            })
        };
        exact.or_else(any).map(|(key, _)| key)
    }

    /// # Errors
    /// `AddrInUse` where `local` has a port that another connection was made from, `NetworkUnreachable` where
    /// the route says so.
    pub(super) fn connect(
        &mut self,
        address: &Address,
        local: Option<SocketAddr>,
        owner: Option<usize>,
    ) -> io::Result<SocketId> {
        let route = address.ip().and_then(|ip| self.routes.get(&ip).copied()).unwrap_or_default();
        if route == Route::Unreachable {
            return Err(ErrorKind::NetworkUnreachable.into());
        }
        let local = match address {
            Address::Ip(remote) => Some(Address::Ip(self.local_end(*remote, local)?)),
            Address::Unix(_) => None,
        };
        let near = End { held: true, owner, local, ..End::default() };
        let far = End { local: Some(address.clone()), ..End::default() };
        let (serial, target) = (self.serial(), address.clone());
        let fails = match route {
            Route::Refused => Some(ErrorKind::ConnectionRefused),
            Route::Silent => Some(ErrorKind::TimedOut),
            _ => None,
        };
        let pair = Pair { serial, connecting: true, fails, target, ends: [near, far] };
        let id = SocketId::stream(self.pairs.insert(pair), 0);
        if !self.random.chance(self.options.connect_silence) {
            let (low, high) = self.options.connect_delay;
            let drawn = self.random.between(low, high);
            let at = match route {
                Route::Delayed(delay) => self.now.after(delay),
                Route::Silent => self.now.after(SYN_PATIENCE),
                _ => Time(self.now.0.saturating_add(drawn)),
            };
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
                    return Err(ErrorKind::AddrInUse.into());
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
        let listener = listener.ok_or(ErrorKind::InvalidInput)?;
        if listener.queue.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A hand-driven listener has no descriptor table that could be full.
        if owner.is_some() && self.random.chance(self.options.accept_error) {
            return Err(self.refuse_accept(id));
        }
        let accepted = listener.queue.pop_front().ok_or(ErrorKind::WouldBlock)?;
        if let Some(end) = self.end(accepted) {
            end.owner = owner;
        }
        Ok(accepted)
    }

    /// An error of those that were asked for. What its connection was lost with, goes.
    fn refuse_accept(&mut self, id: SocketId) -> io::Error {
        let codes = self.options.accept_codes.len();
        let code = match codes {
            0 => EMFILE,
            _ => self.options.accept_codes[self.random.below(codes as u64) as usize],
        };
        let error = io::Error::from_raw_os_error(code);
        let is_lost =
            matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::PermissionDenied)
                || code == EPROTO;
        if is_lost {
            let listener = id.as_listener().and_then(|key| self.listeners.get_mut(key));
            if let Some(lost) = listener.and_then(|listener| listener.queue.pop_front()) {
                self.reset(lost);
            }
        }
        error
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
