//! What every callback of a run knows: the handles there are, what may still be done, and the account of each message.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{Agent, Body, ClientRequest, Connection, Response, Server, Socket};
use onloop::{Address, Error, LoopHandle};

use super::{Outcome, acts};
use crate::budgets::{BUFFERED_MAX, Harshness};
use crate::random::Random;

/// What an intended panic carries.
pub(crate) struct Intended;

/// Where raw servers are.
pub(crate) const RAW: &str = "127.0.0.2";

pub(crate) fn raw_address(port: u16) -> Address {
    Address::from(SocketAddr::new(RAW.parse().expect("an address"), port))
}

/// The most that is written at a time.
pub(crate) const PIECE_MAX: usize = 100_000;

/// What a callback is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Incoming,
    Response,
    Request,
    Socket,
}

/// A call of a user's callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Data,
    Collected,
    End,
    Drain,
    Written,
    Finish,
    Aborted,
    Error,
    Close,
    Timeout,
    HalfClose,
    Connected,
    Information,
    Continue,
    /// A response, or a stream in its place.
    Answer,
}

/// What one message has been told.
#[derive(Debug)]
struct Account {
    role: Role,
    calls: Vec<Call>,
}

impl Account {
    fn count(&self, call: Call) -> usize {
        self.calls.iter().filter(|other| **other == call).count()
    }

    /// The order within a message.
    fn check(&self, call: Call) {
        use Call::*;
        let had = |other: Call| self.calls.contains(&other);
        assert!(!had(Close), "{call:?} behind on_close: {self:?}");
        let once =
            matches!(call, End | Finish | Aborted | Error | Close | Answer | HalfClose | Continue);
        assert!(!once || !had(call), "{call:?} for the second time: {self:?}");
        match call {
            Data => {
                let over = had(End) || had(Aborted) || had(Error);
                assert!(!over, "content behind the end: {self:?}");
            }
            End => assert!(!had(Aborted) && !had(Error), "an end of what was cut off: {self:?}"),
            Aborted => assert!(!had(End), "cut off behind its end: {self:?}"),
            Drain => assert!(!had(Error), "room behind an error: {self:?}"),
            Finish => assert!(!had(Error), "finished behind an error: {self:?}"),
            Answer if self.role == Role::Request => {
                assert!(!had(Error), "an answer behind an error: {self:?}")
            }
            Information | Continue => assert!(!had(Answer), "1xx behind an answer: {self:?}"),
            _ => {}
        }
    }
}

/// Shared by all callbacks of a run.
pub(crate) struct Shared {
    random: RefCell<Random>,
    pub(crate) how: Harshness,
    /// The most that is written at a time in this run.
    pub(crate) piece_max: usize,
    pub(crate) lps: Vec<LoopHandle>,
    /// With their limits of connections.
    pub(crate) servers: RefCell<Vec<(Server, Option<usize>)>>,
    /// Of these: clients may be waited for without an end.
    pub(crate) endless: RefCell<Vec<Server>>,
    /// With their limits of connections, and the number of the loop.
    pub(crate) agents: RefCell<Vec<(Agent, usize, usize)>>,
    pub(crate) responses: RefCell<Vec<Response>>,
    pub(crate) requests: RefCell<Vec<ClientRequest>>,
    pub(crate) bodies: RefCell<Vec<Body>>,
    pub(crate) sockets: RefCell<Vec<Socket>>,
    pub(crate) connections: RefCell<Vec<Connection>>,
    accounts: RefCell<Vec<Account>>,
    open: Cell<usize>,
    acts_left: Cell<usize>,
    acts: Cell<u64>,
    calls: Cell<u64>,
    is_calm: Cell<bool>,
    trace: Cell<u64>,
}

/// `Rc`, so that a run leaves nothing in memory.
#[derive(Clone)]
pub(crate) struct World(Rc<Shared>);

impl std::ops::Deref for World {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub(crate) fn new(
    mut random: Random,
    how: Harshness,
    lps: Vec<LoopHandle>,
    piece_max: usize,
) -> World {
    let acts_left = random.below(300);
    World(Rc::new(Shared {
        random: RefCell::new(random),
        how,
        piece_max: piece_max.min(PIECE_MAX),
        lps,
        servers: RefCell::default(),
        endless: RefCell::default(),
        agents: RefCell::default(),
        responses: RefCell::default(),
        requests: RefCell::default(),
        bodies: RefCell::default(),
        sockets: RefCell::default(),
        connections: RefCell::default(),
        accounts: RefCell::default(),
        open: Cell::new(0),
        acts_left: Cell::new(acts_left),
        acts: Cell::new(0),
        calls: Cell::new(0),
        is_calm: Cell::new(false),
        trace: Cell::new(0),
    }))
}

impl World {
    pub(crate) fn below(&self, bound: usize) -> usize {
        self.random.borrow_mut().below(bound)
    }

    /// What is drawn elsewhere.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Random) -> T) -> T {
        draw(&mut self.random.borrow_mut())
    }

    pub(crate) fn one_in(&self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn millis(&self, bound: usize) -> Duration {
        Duration::from_millis(self.below(bound) as u64)
    }

    /// A short time, a long one, or none.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis([0, 1, 60, 500, 5000][self.below(5)])
    }

    pub(crate) fn lp(&self) -> LoopHandle {
        self.lps[self.below(self.lps.len())]
    }

    /// A port of one of the loops' servers.
    pub(crate) fn port(&self) -> u16 {
        80 + self.below(3) as u16
    }

    /// One of the last few of these.
    pub(crate) fn pick<T: Copy>(&self, all: &RefCell<Vec<T>>) -> Option<T> {
        let back = self.below([2, 5, 30][self.below(3)]);
        let all = all.borrow();
        all.len().checked_sub(back + 1).and_then(|place| all.get(place)).copied()
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.get()
    }

    /// Does something to something, while there is anything left to be done.
    pub(crate) fn act(&self) {
        let left = self.acts_left.get();
        if left > 0 && !self.is_calm() {
            self.acts_left.set(left - 1);
            self.acts.set(self.acts.get() + 1);
            acts::act(self);
        }
    }

    /// Begins to follow the calls of a message.
    pub(crate) fn follow(&self, role: Role) -> usize {
        let mut accounts = self.accounts.borrow_mut();
        accounts.push(Account { role, calls: Vec::new() });
        self.open.set(self.open.get() + 1);
        accounts.len() - 1
    }

    /// A callback is called: whether it may be, and then something may happen in it.
    pub(crate) fn called(&self, number: usize, call: Call) -> onloop::Result<()> {
        {
            let mut accounts = self.accounts.borrow_mut();
            let account = &mut accounts[number];
            account.check(call);
            let again = matches!(call, Call::Data | Call::Written | Call::Drain | Call::Timeout);
            if !again || account.calls.last() != Some(&call) {
                account.calls.push(call);
            }
            if call == Call::Close {
                self.open.set(self.open.get() - 1);
            }
        }
        self.calls.set(self.calls.get() + 1);
        let told = (number as u64) << 8 | call as u64;
        self.trace.set((self.trace.get() ^ told).wrapping_mul(0x0100_0000_01b3).rotate_left(5));
        if self.is_calm() {
            return Ok(());
        }
        match self.below(40) {
            0..=7 => self.act(),
            8 if self.one_in(4) => return Err(Error::other("the storm")),
            9 if self.one_in(4) => std::panic::resume_unwind(Box::new(Intended)),
            _ => {}
        }
        Ok(())
    }

    /// After a turn: no handle has more waiting than its limit and a piece, no server more connections than it may.
    pub(crate) fn check_limits(&self) {
        for res in self.responses.borrow().iter().rev().take(30) {
            let waits = res.writable_length();
            assert!(waits <= BUFFERED_MAX + 2 * PIECE_MAX, "{waits} bytes wait");
        }
        for (server, limit) in self.servers.borrow().iter() {
            let count = server.connections();
            assert!(limit.is_none_or(|limit| count <= limit), "{count} connections, of {limit:?}");
        }
        for (agent, limit, _) in self.agents.borrow().iter() {
            let count = agent.total_socket_count();
            assert!(count <= *limit, "{count} connections of an agent, of {limit}");
        }
    }

    /// Nothing is begun any more, and what nobody would end is ended.
    pub(crate) fn calm_down(&self) {
        self.is_calm.set(true);
        let patience = Duration::from_secs(5);
        for (server, _) in self.servers.borrow().iter() {
            server.close();
            if server.keep_alive_timeout().is_zero() || server.headers_timeout().is_zero() {
                server.close_all_connections();
            }
        }
        self.endless.borrow().iter().for_each(Server::close_all_connections);
        for body in self.bodies.borrow().iter() {
            body.resume();
        }
        for (number, res) in self.responses.borrow().iter().enumerate() {
            res.set_timeout(patience);
            if number % 2 == 0 {
                res.end("");
            }
            // An end may be refused: less was written than was promised.
            if res.is_open() {
                res.destroy();
            }
        }
        for &request in self.requests.borrow().iter() {
            request.set_timeout(patience);
            request.on_timeout(move || request.destroy());
            request.end("");
            if request.is_open() {
                request.destroy();
            }
        }
        for &socket in self.sockets.borrow().iter() {
            socket.resume();
            socket.set_timeout(patience);
            socket.on_timeout(move || socket.destroy());
            socket.end("");
        }
    }

    /// Messages whose `on_close` is owed.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    pub(crate) fn describe_open(&self) -> String {
        let accounts = self.accounts.borrow();
        let open = accounts.iter().filter(|account| account.count(Call::Close) == 0);
        format!("{:?}", open.collect::<Vec<_>>())
    }

    pub(crate) fn outcome(&self) -> Outcome {
        let mut outcome = Outcome {
            acts: self.acts.get(),
            calls: self.calls.get(),
            trace: self.trace.get(),
            ..Outcome::default()
        };
        for account in self.accounts.borrow().iter() {
            assert_eq!(account.count(Call::Close), 1, "on_close: {account:?}");
            outcome.messages += 1;
            outcome.finished += account.count(Call::Finish).min(1) as u64;
            outcome.failed += account.count(Call::Error) as u64;
        }
        outcome
    }
}
