//! The other side resets its connection, in every state that an exchange can be in, as a server and as a client:
//! who was promised a word gets it once, nothing is kept, and the loop goes on.
//!
//! One test at a time, in a program of their own: they count the descriptors of the whole process.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod server;

use std::sync::{Mutex, MutexGuard};

use common::World;
use onloop::sim::stats;

static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How many descriptors this process has.
#[cfg(target_os = "linux")]
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("linux tells").count()
}

#[cfg(not(target_os = "linux"))]
fn descriptors() -> usize {
    0
}

/// What the loop still holds, as far as it matters here.
fn held(world: &World) -> (usize, usize, usize) {
    let stats = stats(&world.event_loop);
    (stats.server_connections + stats.upgraded, stats.exchanges, stats.bytes_unsent)
}
