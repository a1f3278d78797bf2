//! How much of everything: the whole attack, or a quick look that all of it holds.

use std::time::Duration;

/// The clocks of the server under attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// For a head, and between two requests.
    pub(crate) head: Duration,
    /// For a whole request.
    pub(crate) request: Duration,
    /// For a client that takes nothing, or next to nothing, of its answer.
    pub(crate) write: Duration,
}

/// The size of an attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) clocks: Clocks,
    /// Connections of an attack by their number.
    pub(crate) many: usize,
    /// Connections that each cost the server something by their nature.
    pub(crate) some: usize,
    /// Connections that send as fast as they can.
    pub(crate) few: usize,
    pub(crate) pipelined: usize,
    pub(crate) chunks: usize,
    /// What an endless message has sent when it gives up.
    pub(crate) endless_bytes: u64,
    /// What a client asks for that reads slowly.
    pub(crate) download_bytes: u64,
    pub(crate) upload_bytes: u64,
    /// How long something is looked at that has no end of its own.
    pub(crate) look: Duration,
    /// How late a clock may be: a server of many connections looks at them once a second.
    pub(crate) sweep: Duration,
    /// Attacks at the same time, each with a server of its own.
    pub(crate) at_once: usize,
    /// An attack that is over sooner is made again.
    pub(crate) least: Duration,
}

impl Scale {
    pub(crate) const fn whole() -> Scale {
        Scale {
            clocks: Clocks {
                head: Duration::from_secs(4),
                request: Duration::from_secs(7),
                write: Duration::from_secs(3),
            },
            many: 2000,
            some: 50,
            few: 4,
            pipelined: 10_000,
            chunks: 100_000,
            endless_bytes: 64 << 20,
            download_bytes: 200_000_000,
            upload_bytes: 64 << 20,
            look: Duration::from_millis(1500),
            least: Duration::from_millis(1000),
            sweep: Duration::from_millis(1200),
            at_once: 1,
        }
    }

    /// For debug builds, too.
    pub(crate) const fn quick() -> Scale {
        Scale {
            clocks: Clocks {
                head: Duration::from_millis(1000),
                request: Duration::from_millis(1500),
                write: Duration::from_secs(1),
            },
            many: 200,
            some: 20,
            few: 2,
            pipelined: 2000,
            chunks: 10_000,
            endless_bytes: 16 << 20,
            download_bytes: 20_000_000,
            upload_bytes: 16 << 20,
            look: Duration::from_millis(200),
            least: Duration::ZERO,
            sweep: Duration::from_millis(200),
            at_once: 6,
        }
    }
}
