//! A simulated network and clock, deterministic from a seed.
//!
//! Event loops and hand-driven peers on one thread share a [`SimNet`]. Time stands still while code
//! runs and jumps to the next delivery, or to the next timeout, when a loop polls: an hour of idling
//! takes no time. Readiness is raised as an edge-triggered epoll raises it: on new bytes, an end of
//! stream, a reset, and on space after a write that was refused or cut short, never as a reminder. A
//! code path that forgets to read on loses the wake-up here too, in every run of the same seed.
//!
//! What goes wrong is chosen by [`SimOptions`] and the seed: fragments, short writes, delays, resets,
//! truncation, silence, refused connections, full descriptor tables, clock jumps. The same seed and
//! the same calls give the same deliveries, byte by byte: [`SimNet::trace_hash`].
//!
//! Deliberately not here: datagrams, packet loss below the byte stream (a delay is what TCP makes of
//! it), and threads. A thread that posts into a simulated loop is served, but cannot be replayed.
//!
//! # Names and addresses
//! A simulated name has the addresses that [`SimNet::add_host`] gives it, in that order, and any address can be
//! listened on. [`SimNet::set_route`] says what becomes of connections to one of them: how long they take, whether
//! they are refused, or whether nobody ever answers. So a test of a client with several addresses is a table:
//! names, routes, listeners, and the address that [`SimPeer::remote_address`] or the server's side tells.
//!
//! Read `state` next for what happens to a connection, `stream` for its calls, `driver` for time.

mod driver;
mod listener;
mod options;
mod peer;
mod random;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

pub(crate) use driver::SimLoop;
pub use options::{Route, SimOptions};
pub use peer::{SimListener, SimPeer, SimTap};
use state::State;

use super::Address;

/// The name of one simulated socket, valid until it is closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SocketId(u32);

/// A simulated network with its own clock. Clones are the same network.
#[derive(Clone)]
pub struct SimNet {
    state: Rc<RefCell<State>>,
}

impl SimNet {
    /// A network without faults: every byte takes 50 microseconds.
    pub fn new(seed: u64) -> SimNet {
        SimNet::with_options(seed, SimOptions::default())
    }

    /// A network with the faults of `options`, drawn from `seed`.
    pub fn with_options(seed: u64, options: SimOptions) -> SimNet {
        SimNet { state: Rc::new(RefCell::new(State::new(seed, options))) }
    }

    /// Other faults from now on. What is on its way arrives as it was sent.
    pub fn set_options(&self, options: SimOptions) {
        self.state.borrow_mut().options = options;
    }

    /// The time since the network began.
    pub fn now(&self) -> Duration {
        Duration::from_micros(self.state.borrow().now.0)
    }

    /// Lets `duration` pass: everything that becomes due on the way is delivered.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.borrow_mut();
        let target = state.now.after(duration);
        state.advance_to(target);
    }

    /// Moves the time of day, as an operator or NTP does; timers must not notice.
    pub fn set_wall_clock_offset(&self, micros: i64) {
        self.state.borrow_mut().wall_offset = micros;
    }

    /// The answer to name lookups of `name`. An empty list, like a name that is not in the table, is
    /// a name that is not found.
    pub fn add_host(&self, name: &str, addresses: Vec<IpAddr>) {
        let mut state = self.state.borrow_mut();
        state.hosts.insert(name.to_ascii_lowercase(), addresses);
    }

    /// What becomes of connections to `address` from now on, on every port. Those that are made or on their way
    /// stay as they are.
    ///
    /// ```
    /// use std::{cell::Cell, net::IpAddr, rc::Rc, time::Duration};
    /// use onloop::{LoopOptions, http, sim::{Route, SimNet}};
    ///
    /// let net = SimNet::new(1);
    /// let (hole, works): (IpAddr, IpAddr) = ("2001:db8::1".parse()?, "192.0.2.1".parse()?);
    /// net.add_host("two.test", vec![hole, works]);
    /// net.set_route(hole, Route::Silent);
    /// net.set_route(works, Route::Delayed(Duration::from_millis(30)));
    ///
    /// let mut event_loop = net.event_loop(LoopOptions::default());
    /// let lp = event_loop.handle();
    /// let server = http::create_server(lp, |_req, res| res.end("hello"));
    /// server.listen("[::]:80")?;
    ///
    /// let status = Rc::new(Cell::new(0));
    /// let seen = Rc::clone(&status);
    /// http::get(lp, "http://two.test/", move |response| {
    ///     seen.set(response.status());
    ///     response.on_end(move || server.close());
    /// })?;
    /// event_loop.run()?;
    /// assert_eq!(status.get(), 200);
    /// assert!(net.now() < Duration::from_secs(1), "the hole was waited for");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_route(&self, address: IpAddr, route: Route) {
        self.state.borrow_mut().routes.insert(address, route);
    }

    /// Begins a connection from outside of any event loop. It is made when time has passed, but can
    /// be written to at once. Where the route is [`Route::Unreachable`] it is closed from the start.
    pub fn connect(&self, address: &Address) -> SimPeer {
        let id = self.state.borrow_mut().connect(address, None, None).ok();
        SimPeer::new(self.clone(), id)
    }

    /// A listener outside of any event loop; `None` when the address is taken. Port 0 picks one.
    pub fn listen(&self, address: &Address) -> Option<SimListener> {
        let id = self.state.borrow_mut().listen(address, u32::MAX, None).ok()?;
        Some(SimListener::new(self.clone(), id))
    }

    /// How many sockets the event loops hold, listeners included: the check for leaks.
    pub fn open_sockets(&self) -> usize {
        self.state.borrow().open_sockets()
    }

    /// Whether the last poll had nothing to wait for, ever: a real loop would now sleep for good.
    pub fn stalled(&self) -> bool {
        self.state.borrow().stalled
    }

    /// A hash over every delivery so far: its time, its socket, its bytes.
    pub fn trace_hash(&self) -> u64 {
        self.state.borrow().trace.value()
    }

    /// How many deliveries there were so far.
    pub fn deliveries(&self) -> u64 {
        self.state.borrow().deliveries
    }

    pub(super) fn attach(&self) -> SimLoop {
        SimLoop::new(Rc::clone(&self.state))
    }
}

impl fmt::Debug for SimNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNet").field("now", &self.now()).finish_non_exhaustive()
    }
}
