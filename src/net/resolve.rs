//! Names to addresses, off the loop.
//!
//! One helper thread, started by the first name that needs it, asks the system's resolver; equal
//! questions share one job and a short cache answers repetitions. In simulation the network's host
//! table answers, without a thread, after a virtual delay. Deliberately not here: which of the
//! addresses is tried first (RFC 8305), and who waits for a lookup.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use super::remote::Waker;
use super::{Net, Time};

/// What asks in place of the system's resolver, on the helper thread.
pub(crate) type LookupFn = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The limits of name resolution.
#[derive(Clone)]
pub(crate) struct ResolverOptions {
    /// How long a found address may be used again. `getaddrinfo` tells no time to live.
    pub(crate) cache_ttl: Duration,
    /// Most names in the cache.
    pub(crate) cache_entries_max: usize,
    /// Most lookups under way.
    pub(crate) pending_max: usize,
    /// Asked in place of `getaddrinfo`.
    pub(crate) lookup: Option<LookupFn>,
}

impl Default for ResolverOptions {
    fn default() -> Self {
        ResolverOptions {
            cache_ttl: Duration::from_secs(10),
            cache_entries_max: 256,
            pending_max: 1024,
            lookup: None,
        }
    }
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
    pub(crate) message: String,
}

pub(crate) type Answer = Result<Vec<SocketAddr>, LookupError>;

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
    Thread {
        waker: Waker,
        running: Option<Helper>,
    },
    #[cfg(feature = "sim")]
    Sim {
        net: super::sim::SimLoop,
        due: VecDeque<(Time, Box<str>)>,
    },
}

/// The channels of the helper thread, which ends when the first of them is dropped.
struct Helper {
    jobs: SyncSender<Box<str>>,
    answers: Receiver<(Box<str>, Answer)>,
}

impl Resolver {
    /// A resolver for the loop of `net`. No thread yet.
    pub(crate) fn new(net: &Net, options: ResolverOptions) -> Resolver {
        let backend = match net {
            Net::System(reactor) => Backend::Thread { waker: reactor.remote(), running: None },
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
            Backend::Thread { waker, running } => {
                if running.is_none() {
                    let lookup = self.options.lookup.clone();
                    match Helper::start(waker.clone(), lookup, self.options.pending_max) {
                        Ok(helper) => *running = Some(helper),
                        Err(error) => {
                            log::error!(target: "onloop::loop", "no thread for name lookups: {error}")
                        }
                    }
                }
                let sent = running.as_ref().is_some_and(|h| h.jobs.try_send(name.clone()).is_ok());
                if !sent {
                    // A thread that did not start or has died is tried anew by the next lookup.
                    *running = None;
                    let waker = waker.clone();
                    let answer = Err(again(&name, "the lookup thread is not running"));
                    self.finish(&name, &answer, now);
                    waker.wake();
                }
            }
            #[cfg(feature = "sim")]
            Backend::Sim { net, due } => due.push_back((net.schedule_lookup(), name)),
        }
    }

    fn next_answer(&mut self, now: Time) -> Option<(Box<str>, Answer)> {
        let _ = now;
        match &mut self.backend {
            Backend::Thread { running, .. } => running.as_ref()?.answers.try_recv().ok(),
            #[cfg(feature = "sim")]
            Backend::Sim { net, due } => {
                if due.front()?.0 > now {
                    return None;
                }
                let (_, name) = due.pop_front()?;
                let answer = match net.host(&name) {
                    Some(addresses) => Ok(without_port(addresses)),
                    None => Err(not_found(&name, "no such host in the simulation")),
                };
                Some((name, answer))
            }
        }
    }

    fn finish(&mut self, name: &str, answer: &Answer, now: Time) {
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

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("pending", &self.pending).finish_non_exhaustive()
    }
}

impl Helper {
    fn start(waker: Waker, lookup: Option<LookupFn>, jobs_max: usize) -> io::Result<Helper> {
        let (jobs, jobs_in) = sync_channel::<Box<str>>(jobs_max.max(1));
        let (answers_out, answers) = channel();
        // Detached on purpose: a `getaddrinfo` under way can take half a minute, and no program
        // should wait for it in order to end.
        thread::Builder::new()
            .name("onloop-resolver".into())
            .spawn(move || answer_jobs(&jobs_in, &answers_out, &waker, lookup.as_ref()))?;
        Ok(Helper { jobs, answers })
    }
}

fn answer_jobs(
    jobs: &Receiver<Box<str>>,
    answers: &Sender<(Box<str>, Answer)>,
    waker: &Waker,
    lookup: Option<&LookupFn>,
) {
    while let Ok(name) = jobs.recv() {
        // A lookup of the user's that panics must fail its name, not silence all names to come.
        let answer = catch_unwind(AssertUnwindSafe(|| ask(&name, lookup)))
            .unwrap_or_else(|_| Err(again(&name, "the lookup function panicked")));
        if answers.send((name, answer)).is_err() {
            return;
        }
        waker.wake();
    }
}

fn ask(name: &str, lookup: Option<&LookupFn>) -> Answer {
    let found = match lookup {
        Some(lookup) => lookup(name).map(without_port),
        None => (name, 0).to_socket_addrs().map(Iterator::collect),
    };
    match found {
        Ok(addresses) if addresses.is_empty() => Err(not_found(name, "no addresses")),
        Ok(addresses) => Ok(addresses),
        // std keeps getaddrinfo's number to itself; its text (glibc's and BSD's, musl's) is all
        // there is to tell "no such name" from "ask again".
        Err(error) => {
            let text = error.to_string();
            let is_temporary = text.contains("emporary failure") || text.contains("ry again");
            Err(if is_temporary { again(name, &text) } else { not_found(name, &text) })
        }
    }
}

fn again(name: &str, reason: &str) -> LookupError {
    LookupError { code: "EAI_AGAIN", message: format!("getaddrinfo EAI_AGAIN {name}: {reason}") }
}

fn not_found(name: &str, reason: &str) -> LookupError {
    LookupError { code: "ENOTFOUND", message: format!("getaddrinfo ENOTFOUND {name}: {reason}") }
}

fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

fn without_port(addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
    addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect()
}

/// Keeps what else an IPv6 address carries: its scope.
fn with_port(addresses: &[SocketAddr], port: u16) -> Vec<SocketAddr> {
    let mut addresses = addresses.to_vec();
    addresses.iter_mut().for_each(|address| address.set_port(port));
    addresses
}
