//! Whether a client request that failed is made again.

use std::time::Duration;

/// How often and when a failed request is made again, for
/// [`RequestOptions::retries`](crate::http::RequestOptions::retries). The user's handle stays the same, and hears of
/// the last attempt only.
///
/// What is made again:
/// - any request, where no connection could be made, or none of its bytes was sent; a proxy that closes before it
///   has answered CONNECT is as good as no connection, one that refuses is an error;
/// - GET, HEAD, OPTIONS, TRACE, PUT, DELETE, PROPFIND, REPORT, SEARCH and QUERY (they are idempotent, RFC 9110
///   §9.2.2), where the connection ended before a byte of the response came;
/// - the same methods, where the response is a 429, 502, 503 or 504 and [`Retries::on_status`] is set.
///
/// What was sent must still be at hand: [`Limits::max_kept_for_repetition`](crate::Limits::max_kept_for_repetition),
/// 64 KiB of a request, are kept. Nothing is made again once the response was given to `on_response`, after
/// `destroy`, or after the [deadline](crate::http::RequestOptions::deadline).
///
/// Between two attempts there is a pause: a random part of 100 ms, of 200 ms, of 400 ms and so on. The request has
/// no place among the connections of its agent meanwhile, its `timeout` does not run, and the loop goes on.
///
/// A kept connection that turns out to be dead is no failure: that request is made again at once, with or without
/// retries.
///
/// ```
/// use onloop::http::Retries;
/// use std::time::Duration;
///
/// let retries = Retries::new(3).delay(Duration::from_millis(200)).on_status(true);
/// # drop(retries);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    pub(crate) attempts: u32,
    pub(crate) delay: Duration,
    pub(crate) max_delay: Duration,
    pub(crate) on_status: bool,
}

impl Retries {
    /// Makes a request again up to so many times, beside the first. Zero: never.
    pub fn new(attempts: u32) -> Retries {
        Retries {
            attempts,
            delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            on_status: false,
        }
    }

    /// The longest that the first pause can be; each further one is up to twice as long. Default: 100 ms. Zero: no
    /// pauses.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The longest that any pause can be. Default: 10 s.
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = max_delay;
        self
    }

    /// Whether the statuses 429, 502, 503 and 504 are failures, too. A `Retry-After` is the pause then (RFC 9110
    /// §10.2.3); where it is longer than [`Retries::max_delay`] the response is given to the user, as it is after
    /// the last attempt. Default: false.
    pub fn on_status(mut self, on_status: bool) -> Self {
        self.on_status = on_status;
        self
    }
}
