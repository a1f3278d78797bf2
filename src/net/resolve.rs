//! Names to addresses, off the loop.
//!
//! Threads of its own, started by the names that need them, ask the system's resolver; equal questions share
//! one job and a short cache answers repetitions. In simulation the network's host table answers, without a
//! thread, after a virtual delay. Deliberately not here: when which of the addresses is tried (RFC 8305), and
//! who waits for a lookup.

mod order;
#[cfg(test)]
mod tests;
mod threads;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::remote::Waker;
use super::{Net, Time};
pub use order::Family;
pub(crate) use order::{interleave, of_family};
use threads::Threads;

/// What asks in place of the system's resolver, on a thread of its own.
#[derive(Clone)]
pub(crate) struct LookupFn(Arc<LookupDyn>);

type LookupDyn = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

impl LookupFn {
    pub(crate) fn new(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> LookupFn {
        LookupFn(Arc::new(lookup))
    }
}

impl fmt::Debug for LookupFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookupFn")
    }
}

/// The limits of name resolution.
#[derive(Debug, Clone)]
pub(crate) struct ResolverOptions {
    /// How long a found address may be used again. `getaddrinfo` tells no time to live.
    pub(crate) cache_ttl: Duration,
    /// Most names in the cache.
    pub(crate) cache_entries_max: usize,
    /// Most addresses of one name. There are answers with thousands, and nobody comes to try the last of them.
    pub(crate) addresses_max: usize,
    /// Most lookups under way.
    pub(crate) pending_max: usize,
    /// Most threads.
    pub(crate) threads_max: usize,
    /// Asked in place of `getaddrinfo`.
    pub(crate) lookup: Option<LookupFn>,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions {
            cache_ttl: Duration::from_secs(10),
            cache_entries_max: 256,
            addresses_max: 64,
            pending_max: 1024,
            // As many as libuv has.
            threads_max: 4,
            lookup: None,
        }
    }
}

impl ResolverOptions {
    fn means(&self) -> Means {
        Means { lookup: self.lookup.clone(), addresses_max: self.addresses_max }
    }
}

/// How a name is asked for, on whatever thread.
#[derive(Clone)]
struct Means {
    lookup: Option<LookupFn>,
    addresses_max: usize,
}

/// Names a lookup under way, until `take_results` has returned it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct LookupKey(pub(crate) u32);

/// The answer to `lookup`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Lookup {
    /// A literal address, or one from the cache.
    Ready(Vec<SocketAddr>),
    /// `take_results` will have it; equal lookups get an equal key.
    Pending(LookupKey),
}

/// There are `pending_max` lookups under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

/// Why a name has no address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LookupError {
    /// Node's name: `ENOTFOUND`, or `EAI_AGAIN` where the resolver itself was out of reach.
    pub(crate) code: &'static str,
    /// What the resolver said, without the name and the code.
    pub(crate) message: String,
}

/// What a lookup came to, with the port that was asked for.
pub(crate) type Answer = Result<Vec<SocketAddr>, LookupError>;

/// The same with port 0.
type Found = Answer;

/// The lookups of one loop.
pub(crate) struct Resolver {
    options: ResolverOptions,
    backend: Backend,
    /// By name, with port 0. Ordered, so that a simulation can be replayed.
    cache: BTreeMap<Box<str>, Cached>,
    jobs: BTreeMap<Box<str>, Vec<Waiting>>,
    pending: usize,
    finished: VecDeque<(LookupKey, Answer)>,
    next_key: u32,
}

struct Cached {
    addresses: Vec<SocketAddr>,
    expires: Time,
}

#[derive(Clone, Copy)]
struct Waiting {
    key: LookupKey,
    port: u16,
}

enum Backend {
    Threads {
        waker: Waker,
        threads: Threads,
    },
    #[cfg(feature = "sim")]
    Sim {
        net: super::sim::SimLoop,
        due: VecDeque<(Time, Box<str>)>,
    },
}

impl Resolver {
    /// A resolver for the loop of `net`. No thread yet.
    pub(crate) fn new(net: &Net, options: ResolverOptions) -> Resolver {
        let backend = match net {
            Net::System(reactor) => {
                let waker = reactor.remote();
                let threads = Threads::new(waker.clone(), options.means(), options.threads_max);
                Backend::Threads { waker, threads }
            }
            #[cfg(feature = "sim")]
            Net::Sim(sim) => Backend::Sim { net: sim.clone(), due: VecDeque::new() },
        };
        Resolver {
            options,
            backend,
            cache: BTreeMap::new(),
            jobs: BTreeMap::new(),
            pending: 0,
            finished: VecDeque::new(),
            next_key: 0,
        }
    }

    /// The addresses of `host`, with `port`: at once for literals (IPv6 with or without brackets) and
    /// cached names, later for others. `localhost` is a name as any other.
    pub(crate) fn lookup(&mut self, host: &str, port: u16, now: Time) -> Result<Lookup, Full> {
        if let Some(address) = literal(host) {
            return Ok(Lookup::Ready(vec![SocketAddr::new(address, port)]));
        }
        let name: Box<str> = host.to_ascii_lowercase().into();
        if let Some(cached) = self.cache.get(&name).filter(|cached| cached.expires > now) {
            return Ok(Lookup::Ready(with_port(&cached.addresses, port)));
        }
        let waiting = self.jobs.get(&name).and_then(|job| job.iter().find(|w| w.port == port));
        if let Some(waiting) = waiting {
            return Ok(Lookup::Pending(waiting.key));
        }
        if self.pending >= self.options.pending_max {
            return Err(Full);
        }
        let key = LookupKey(self.next_key);
        self.next_key = self.next_key.wrapping_add(1);
        self.pending += 1;
        let job = self.jobs.entry(name.clone()).or_default();
        job.push(Waiting { key, port });
        if job.len() == 1 {
            self.start(name, now);
        }
        Ok(Lookup::Pending(key))
    }

    /// The next lookup that is over. To be called until `None` whenever the loop was woken.
    pub(crate) fn take_results(&mut self, now: Time) -> Option<(LookupKey, Answer)> {
        while self.finished.is_empty() {
            let (name, answer) = self.next_answer(now)?;
            self.finish(&name, &answer, now);
        }
        self.finished.pop_front()
    }

    /// How many keys `take_results` has still to return.
    pub(crate) fn pending_count(&self) -> usize {
        self.pending + self.finished.len()
    }

    fn start(&mut self, name: Box<str>, now: Time) {
        match &mut self.backend {
            Backend::Threads { waker, threads } => {
                if let Err(error) = threads.ask(name.clone()) {
                    log::error!(target: "onloop::loop", "no thread for name lookups: {error}");
                    // The next lookup tries anew. Nothing else would wake the loop for this one.
                    waker.wake();
                    self.finish(&name, &Err(again("no thread could be started")), now);
                }
            }
            #[cfg(feature = "sim")]
            Backend::Sim { net, due } => due.push_back((net.schedule_lookup(), name)),
        }
    }

    fn next_answer(&mut self, now: Time) -> Option<(Box<str>, Found)> {
        let _ = now;
        match &mut self.backend {
            Backend::Threads { threads, .. } => threads.take_answer(),
            #[cfg(feature = "sim")]
            Backend::Sim { net, due } => {
                if due.front()?.0 > now {
                    return None;
                }
                let (_, name) = due.pop_front()?;
                let means = self.options.means();
                let found = match (&means.lookup, net.host(&name)) {
                    (Some(_), _) => ask_aside(&name, &means),
                    (None, Some(addresses)) => Ok(without_port(addresses, means.addresses_max)),
                    (None, None) => Err(not_found("no such host in the simulation")),
                };
                Some((name, found))
            }
        }
    }

    fn finish(&mut self, name: &str, answer: &Found, now: Time) {
        let waiting = self.jobs.remove(name).unwrap_or_default();
        self.pending -= waiting.len();
        for Waiting { key, port } in waiting {
            let answer = answer.as_ref().map(|a| with_port(a, port)).map_err(Clone::clone);
            self.finished.push_back((key, answer));
        }
        if let Ok(addresses) = answer {
            self.remember(name, addresses, now);
        }
    }

    fn remember(&mut self, name: &str, addresses: &[SocketAddr], now: Time) {
        if self.options.cache_ttl.is_zero() || self.options.cache_entries_max == 0 {
            return;
        }
        if self.cache.len() >= self.options.cache_entries_max && !self.cache.contains_key(name) {
            self.cache.retain(|_, cached| cached.expires > now);
            if self.cache.len() >= self.options.cache_entries_max {
                let oldest = self.cache.iter().min_by_key(|(_, cached)| cached.expires);
                if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                    self.cache.remove(&oldest);
                }
            }
        }
        let expires = now.after(self.options.cache_ttl);
        self.cache.insert(name.into(), Cached { addresses: addresses.to_vec(), expires });
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("pending", &self.pending).finish_non_exhaustive()
    }
}

fn ask(name: &str, means: &Means) -> Found {
    let most = means.addresses_max;
    let found = match &means.lookup {
        Some(lookup) => (lookup.0)(name).map(|found| without_port(found, most)),
        None => (name, 0).to_socket_addrs().map(|found| distinct(found, most)),
    };
    match found {
        Ok(addresses) if addresses.is_empty() => Err(not_found("it has no address")),
        Ok(addresses) => Ok(addresses),
        Err(error) if is_temporary(&error) => Err(again(&error.to_string())),
        Err(error) => Err(not_found(&error.to_string())),
    }
}

/// As `ask` on a thread, which is waited for: virtual time stands still, and the user's code runs where it does
/// on a real network, never while the loop's state is borrowed.
#[cfg(feature = "sim")]
fn ask_aside(name: &str, means: &Means) -> Found {
    let ask = || threads::ask_contained(name, means);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("onloop-resolver".into());
        match thread.spawn_scoped(scope, ask) {
            Ok(asking) => asking.join().unwrap_or_else(|_| Err(again("the lookup thread died"))),
            Err(error) => Err(again(&format!("no thread could be started: {error}"))),
        }
    })
}

/// Whether it was the resolver that failed and not the name. std keeps `getaddrinfo`'s number to itself; its
/// text (glibc's and BSD's, musl's) is all there is to tell "no such name" from "ask again".
fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotFound, TimedOut, WouldBlock};
    let text = error.to_string();
    match error.kind() {
        NotFound => false,
        Interrupted | TimedOut | WouldBlock => true,
        // An error of the system (`EAI_SYSTEM`, no descriptor left) says nothing of the name.
        _ if error.raw_os_error().is_some() => true,
        _ => text.contains("emporary failure") || text.contains("ry again"),
    }
}

fn again(reason: &str) -> LookupError {
    LookupError { code: "EAI_AGAIN", message: reason.into() }
}

fn not_found(reason: &str) -> LookupError {
    LookupError { code: "ENOTFOUND", message: reason.into() }
}

/// The address that a host is, where it is no name.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

fn without_port(addresses: Vec<IpAddr>, most: usize) -> Vec<SocketAddr> {
    distinct(addresses.into_iter().map(|address| SocketAddr::new(address, 0)), most)
}

/// Each address once, in the order of their first places: a hosts file may say one twice, and trying it twice
/// would only take time.
fn distinct(addresses: impl Iterator<Item = SocketAddr>, most: usize) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if kept.len() >= most {
            break;
        }
        if !kept.contains(&address) {
            kept.push(address);
        }
    }
    kept
}

/// Keeps what else an IPv6 address carries: its scope.
fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    let mut addresses = addresses.to_vec();
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}
