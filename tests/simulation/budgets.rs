//! Limits of loops and servers, drawn: as they usually are, small, or the least there is.

use std::time::Duration;

use onloop::http::ServerOptions;
use onloop::{Limits, LoopOptions};

use crate::random::Random;

/// The most that a message lets wait, of what is drawn.
pub(crate) const BUFFERED_MAX: usize = 1024 * 1024;

/// How much of what is drawn is other than usual.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Harshness(usize);

impl Harshness {
    /// Of three runs one has no limit of its own, one some, and one has most.
    pub(crate) fn draw(random: &mut Random) -> Harshness {
        Harshness(random.below(3))
    }

    /// The usual one, or one of the others.
    fn of<T: Copy>(self, random: &mut Random, usual: T, others: &[T]) -> T {
        let is_other = match self.0 {
            0 => false,
            1 => random.below(4) == 0,
            _ => random.below(4) > 0,
        };
        if is_other { random.pick(others) } else { usual }
    }
}

/// Budgets: nothing is refused on their account, and everything takes more turns.
pub(crate) fn budgets(random: &mut Random, how: Harshness, writes: &[usize]) -> Limits {
    const USUAL_WRITES: usize = 512 * 1024;
    Limits::new()
        .accepts_per_turn(how.of(random, 64, &[1, 2]))
        .reads_per_turn(how.of(random, 8, &[1, 2]))
        .requests_per_turn(how.of(random, 64, &[1, 2]))
        .write_bytes_per_turn(how.of(random, USUAL_WRITES, writes))
        .read_buffer(how.of(random, 64 * 1024, &[1024, 5000]))
        .high_water_mark(how.of(random, 64 * 1024, &[1, 2000]))
        .posts_per_turn(how.of(random, 1024, &[1]))
        .file_reads_max(how.of(random, 16, &[1]))
        .lookup_threads(how.of(random, 4, &[1]))
        .cached_names_max(how.of(random, 256, &[0, 1]))
        .connection_attempts_max(how.of(random, 8, &[1]))
        .free_connections_per_origin(how.of(random, 256, &[0, 1]))
}

/// The same, and limits that refuse.
pub(crate) fn limits(random: &mut Random, how: Harshness, writes: &[usize]) -> Limits {
    let limits = budgets(random, how, writes)
        .max_header_size(how.of(random, 16 * 1024, &[1, 40, 300]))
        .max_headers_count(how.of(random, 1000, &[1, 3]))
        .max_target_size(how.of(random, 8 * 1024, &[0, 1, 20]))
        .max_method_size(how.of(random, 32, &[0]))
        .max_empty_lines(how.of(random, 4, &[0, 1]))
        .max_partial_heads(how.of(random, 64 << 20, &[0, 60, 3000]))
        .max_extensions_per_chunk(how.of(random, 4096, &[0, 5]))
        .max_extensions_per_message(how.of(random, 16 * 1024, &[0, 20]))
        .max_discarded(how.of(random, 256 * 1024, &[0, 1000]))
        .max_informational(how.of(random, 64, &[0, 1]))
        .max_buffered(how.of(random, BUFFERED_MAX, &[0, 1, 50_000]))
        .max_written_callbacks(how.of(random, 1024, &[0, 1]))
        .max_kept_for_repetition(how.of(random, 64 * 1024, &[0, 100]))
        .max_queued_requests(how.of(random, 65_536, &[0, 1]))
        .max_sockets(how.of(random, 0, &[1, 2]))
        .max_total_sockets(how.of(random, 0, &[1, 3]))
        .addresses_per_name(how.of(random, 64, &[1]))
        .lookups_max(how.of(random, 1024, &[1]))
        .posts_max(how.of(random, 16_384, &[1]))
        .max_requests_per_socket(how.of(random, 0, &[1, 2]));
    match how.of(random, 0, &[1, 2, 3]) {
        1 => limits.max_body_size(random.pick(&[0, 1, 3000])),
        2 => limits.max_connections_per_address(random.pick(&[1, 4])),
        _ => limits,
    }
}

/// A loop with these, of which some are set one by one.
pub(crate) fn loop_options(random: &mut Random, how: Harshness, limits: Limits) -> LoopOptions {
    let cache = how.of(random, 10_000, &[0, 1]);
    LoopOptions::new()
        .limits(limits)
        .lookup_cache(Duration::from_millis(cache))
        .free_connection_timeout(Duration::from_millis(how.of(random, 5000, &[1, 60])))
        .reserve(random.pick(&[0, 0, 100]))
}

/// Clocks from the shortest to none, rates from those that nobody keeps to none. And whether a client that takes nothing,
/// or sends nothing, is waited for without an end.
pub(crate) fn clocks(random: &mut Random, how: Harshness) -> (ServerOptions, bool) {
    let mut clock =
        |usual: u64, others: &[u64]| Duration::from_millis(how.of(random, usual, others));
    let options = ServerOptions::new()
        .request_timeout(clock(10_000, &[5000]))
        .headers_timeout(clock(5000, &[1, 60, 400]))
        .write_timeout(clock(5000, &[1, 60, 1000]))
        .keep_alive_timeout(clock(3000, &[0, 1, 60]))
        .keep_alive_timeout_buffer(clock(1000, &[0]))
        .timeout(clock(2000, &[0, 0, 1, 60]))
        .min_body_rate(how.of(random, 240, &[0, 100_000]))
        .min_write_rate(how.of(random, 240, &[0, 100_000]));
    match how.of(random, 0, &[1, 2]) {
        // Of these none may be longer than the other.
        1 => {
            let shortest = Duration::from_millis(1);
            (options.request_timeout(shortest).headers_timeout(shortest), false)
        }
        2 => {
            let none = Duration::ZERO;
            (options.request_timeout(none).headers_timeout(none).write_timeout(none), true)
        }
        _ => (options, false),
    }
}
