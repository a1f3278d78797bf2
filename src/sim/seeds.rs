//! Running a test for many seeds: which ones, on how many threads, and what is said of one that fails.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How often a long run says how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Runs `test` once for each seed, on as many threads as there are processors, and returns how many seeds that were.
///
/// These are the seeds from 0 on, `count` of them. The environment asks for others, without a change to the test:
///
/// | variable | what is run |
/// |---|---|
/// | `ONLOOP_SEED=7` | this seed alone, on the calling thread |
/// | `ONLOOP_SEEDS=10000` | so many in place of `count` |
/// | `ONLOOP_SEED_FROM=500` | those from this one on |
/// | `ONLOOP_SOAK=3600` | one after the other for so many seconds, from `ONLOOP_SEED_FROM` on, else from a seed that nobody has run before; how far it is goes to the error output (`-- --nocapture` shows it at once) |
///
/// Each call of `test` makes its own [`SimNet`](super::SimNet) from its seed and takes whatever else is random from
/// there, or from a generator made of the seed; then a seed that fails fails again.
///
/// # Panics
/// With the first panic of `test`, behind one line on the error output that runs its seed again: the seed, and
/// `command`, which is how the test is run.
///
/// ```
/// use onloop::sim::{self, SimNet, SimOptions};
///
/// sim::for_each_seed(10, "cargo test the_answer_is_whole", |seed| {
///     let net = SimNet::with_options(seed, SimOptions::rough());
///     // ... a loop on the network, the handler, a peer, and what must hold
/// #   let _ = net;
/// });
/// ```
pub fn for_each_seed(count: u64, command: &str, test: impl Fn(u64) + Sync) -> u64 {
    let run_one = |seed: u64| {
        let result = catch_unwind(AssertUnwindSafe(|| test(seed)));
        if result.is_err() {
            eprintln!("replay: ONLOOP_SEED={seed} {command}");
        }
        result
    };
    if let Some(seed) = number("ONLOOP_SEED") {
        return match run_one(seed) {
            Ok(()) => 1,
            Err(panic) => resume_unwind(panic),
        };
    }
    let seeds = Seeds::new(Chosen::of_environment(count));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| seeds.work(&run_one));
        }
        seeds.work(&run_one);
    });
    let failure = seeds.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(panic) => resume_unwind(panic),
        None => seeds.done.into_inner(),
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

/// Which seeds are run.
struct Chosen {
    from: u64,
    count: u64,
    soak: Option<Duration>,
}

impl Chosen {
    fn of_environment(count: u64) -> Chosen {
        let from = number("ONLOOP_SEED_FROM");
        match number("ONLOOP_SOAK") {
            Some(seconds) => Chosen {
                from: from.unwrap_or_else(fresh),
                count: u64::MAX,
                soak: Some(Duration::from_secs(seconds)),
            },
            None => Chosen {
                from: from.unwrap_or(0),
                count: number("ONLOOP_SEEDS").unwrap_or(count),
                soak: None,
            },
        }
    }
}

/// A seed that nobody has run before, as far as that can be had.
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}

/// The seeds as the threads take them.
struct Seeds {
    chosen: Chosen,
    began: Instant,
    taken: AtomicU64,
    done: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<Box<dyn Any + Send>>>,
    told: Mutex<Instant>,
}

impl Seeds {
    fn new(chosen: Chosen) -> Seeds {
        let now = Instant::now();
        if let Some(soak) = chosen.soak {
            eprintln!("soak: for {} s from seed {} on", soak.as_secs(), chosen.from);
        }
        Seeds {
            chosen,
            began: now,
            taken: AtomicU64::new(0),
            done: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
            told: Mutex::new(now),
        }
    }

    /// Takes seeds and runs them until there are no more.
    fn work(&self, run_one: &impl Fn(u64) -> std::thread::Result<()>) {
        while !self.is_over() {
            let taken = self.taken.fetch_add(1, Ordering::Relaxed);
            if taken >= self.chosen.count {
                return;
            }
            if let Err(panic) = run_one(self.chosen.from.wrapping_add(taken)) {
                self.stopped.store(true, Ordering::Relaxed);
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(panic);
                return;
            }
            self.done.fetch_add(1, Ordering::Relaxed);
            self.tell();
        }
    }

    fn is_over(&self) -> bool {
        let has_time = self.chosen.soak.is_none_or(|soak| self.began.elapsed() < soak);
        !has_time || self.stopped.load(Ordering::Relaxed)
    }

    fn tell(&self) {
        if self.chosen.soak.is_none() {
            return;
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= PROGRESS {
            *told = Instant::now();
            let (done, seconds) =
                (self.done.load(Ordering::Relaxed), self.began.elapsed().as_secs());
            eprintln!("soak: {done} seeds in {seconds} s");
        }
    }
}
