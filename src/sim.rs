//! A simulated network and clock under the unchanged engine: your own handlers, tested without a socket, in
//! no time, and replayed exactly. Feature `sim`; outside the semver promise.
//!
//! A [`SimNet`] stands for the network and for time. [`SimNet::event_loop`] puts an
//! [`EventLoop`] on it, and everything on that loop is what it would be in production: the same
//! `create_server`, the same `request`, the same callbacks. Time stands still while code runs and jumps to
//! whatever comes next, so an hour of timeouts costs nothing. [`SimOptions`] chooses what goes wrong;
//! the same seed and the same calls give the same run, byte by byte ([`SimNet::trace_hash`]).
//!
//! What is on the other side is either another [`EventLoop`] on the same network or a
//! [`SimPeer`], which sends and receives raw bytes.
//!
//! Names have the addresses that [`SimNet::add_host`] gives them, and [`SimNet::set_route`] says what becomes of
//! connections to each: a client that has to choose among slow, dead and silent addresses is tested in no time.
//!
//! # A handler under test
//! A test has four parts: a network from a seed, the handler on a loop, peers that talk to it, and what must hold,
//! whatever happens. [`for_each_seed`] runs it for many seeds; one that fails prints the line that runs it
//! again. [`stats`] tells in the end whether something was left behind, and [`check`] after any turn whether the loop
//! itself is in order.
//!
//! ```
//! use onloop::http::{Request, Response};
//! use onloop::sim::{self, SimNet, SimOptions};
//! use onloop::{http, LoopOptions};
//! use std::time::Duration;
//!
//! // What is to be tested, as it runs in production.
//! fn greet(req: Request, res: Response) -> onloop::Result<()> {
//!     let body = req.body();
//!     req.on_data(move |chunk| if !res.write(chunk) { body.pause() });
//!     res.on_drain(move || body.resume());
//!     req.on_end(move || res.end("!"));
//!     Ok(())
//! }
//!
//! // One run. The answer must not depend on how the bytes arrive, nor when.
//! fn the_answer_is_whole(seed: u64) -> onloop::Result<()> {
//!     let net = SimNet::with_options(seed, SimOptions::rough());
//!     let mut event_loop = net.event_loop(LoopOptions::default());
//!     let server = http::create_server(event_loop.handle(), greet);
//!     server.listen("127.0.0.1:80")?;
//!
//!     let peer = net.connect(&server.address().unwrap());
//!     peer.write(b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello");
//!     let mut answer = Vec::new();
//!     while !peer.is_eof() {
//!         event_loop.turn(Some(Duration::from_secs(1)))?;
//!         sim::check(&event_loop).unwrap();
//!         answer.extend(peer.read());
//!     }
//!     assert!(answer.ends_with(b"\r\n\r\nhello!"));
//!     drop(peer);
//!
//!     server.close();
//!     event_loop.run()?;
//!     assert!(sim::stats(&event_loop).is_empty(), "something was left behind");
//!     Ok(())
//! }
//!
//! // `ONLOOP_SEED=7` runs this seed alone, `ONLOOP_SEEDS=10000` more of them, `ONLOOP_SOAK=3600` for an hour.
//! sim::for_each_seed(20, "cargo test the_answer_is_whole", |seed| {
//!     the_answer_is_whole(seed).unwrap();
//! });
//! ```
//!
//! With [`SimOptions::hostile`] connections break, and peers are not always answered; what must hold then is what your
//! handler promises in spite of it: that nobody is given half of a page for a whole one, that a timer is cleared, that
//! what was begun is ended. `examples/simulate.rs` has a handler with an upstream server, a time limit and a cache, a
//! mistake in it, and the seed that finds it.
//!
//! # What makes a seed fail again
//! Everything that is random comes from the seed: the network's own chance does, and what the test draws besides should.
//! Loops of one network run on one thread, and are turned in the same order each time; `std::time` and threads are not
//! simulated, and what a handler takes from them is not the same the next time. Files are read as they are.

mod seeds;

use crate::engine::options::LoopOptions;
pub use crate::engine::stats::LoopStats;
use crate::event_loop::EventLoop;
use crate::net::Net;
pub use crate::net::sim::{Route, SimListener, SimNet, SimOptions, SimPeer, SimTap};
pub use seeds::for_each_seed;

impl SimNet {
    /// An event loop on this network. Several loops may share one; turn them in any order, each gives way to
    /// the others before it lets time pass.
    ///
    /// ```
    /// use onloop::{http, sim::SimNet, LoopOptions};
    ///
    /// let net = SimNet::new(1);
    /// net.add_host("hello.test", vec!["127.0.0.1".parse().unwrap()]);
    /// let mut event_loop = net.event_loop(LoopOptions::default());
    /// let lp = event_loop.handle();
    /// let server = http::create_server(lp, |_req, res| res.end("hello"));
    /// server.listen("127.0.0.1:80")?;
    /// http::get(lp, "http://hello.test/", move |response| {
    ///     response.on_data(|chunk| assert_eq!(chunk, b"hello"));
    ///     response.on_end(move || server.close());
    /// })?;
    /// event_loop.run()?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn event_loop(&self, options: LoopOptions) -> EventLoop {
        EventLoop::on(Net::simulated(self), options)
    }
}

/// What a loop holds at this moment: the check for leaks. It works on every loop, simulated or not.
pub fn stats(event_loop: &EventLoop) -> LoopStats {
    event_loop.with_core(|core| core.stats()).unwrap_or_default()
}

/// Whether the state of a loop is in order, as deep as it can be looked into: every connection belongs to a server
/// or an agent that is there, every count is what there is, whatever has something to do will do it or waits for
/// something that will come, clocks run where the options ask for them, and nothing of a finished exchange is left in
/// what is used again. It works on every loop, simulated or not, between two turns.
///
/// What it finds is a mistake of this crate and not of its user; a test of a handler that calls it after every
/// turn is a test of the crate as well. It is a pass over everything that the loop holds.
///
/// # Errors
/// What is not in order, for people to read.
///
/// ```
/// use onloop::{http, sim, sim::SimNet, LoopOptions};
/// use std::time::Duration;
///
/// let net = SimNet::new(1);
/// let mut event_loop = net.event_loop(LoopOptions::default());
/// let server = http::create_server(event_loop.handle(), |_req, res| res.end("hello"));
/// server.listen("127.0.0.1:80")?;
/// let peer = net.connect(&server.address().unwrap());
/// peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
/// while peer.available() == 0 {
///     event_loop.turn(Some(Duration::from_secs(1)))?;
///     sim::check(&event_loop).unwrap();
/// }
/// # Ok::<(), onloop::Error>(())
/// ```
pub fn check(event_loop: &EventLoop) -> Result<(), String> {
    event_loop.check()
}
