//! Operations of the public API in any order, in callbacks and outside.
//!
//! Generated: a tape of operations on whatever handles there are (server, responses, bodies, client requests, sockets,
//! connections, an agent, timers, raw peers on both sides), the network's faults, the loop's options. Each callback that
//! is called takes the next operations from the tape, and so does the program between two turns; where the tape ends,
//! everything is destroyed. Asserted: nothing of ours panics; no callback runs inside a call; every exchange is closed
//! once and told of at most one error before, and of nothing after; the engine is in order after every turn
//! (`sim::check`); in the end the loop ends and nothing is left.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use onloop::http::{
    self, Agent, AgentOptions, Body, ClientRequest, Connection, RequestOptions, Response, Retries,
    Server, ServerOptions, Socket,
};
use onloop::sim::{self, SimListener, SimNet, SimOptions, SimPeer, stats};
use onloop::{Address, Error, EventLoop, LoopHandle, LoopOptions, PanicPolicy, Timer};

use crate::perform::perform;

/// Operations choose among so many handles of a kind.
const HANDLES_MAX: usize = 8;
const TURNS_MAX: usize = 150;

/// What is done next, and to which of the handles.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    pub kind: u8,
    pub target: u8,
    pub amount: u8,
}

#[derive(Debug, Arbitrary)]
struct Settings {
    faults: u8,
    seed: u8,
    options: u8,
    contains_panics: bool,
    /// The loop goes first, its handles later.
    drops_loop: bool,
}

/// One exchange, as one side is told of it.
#[derive(Debug, Default, Clone)]
pub struct Account {
    what: &'static str,
    errors: u8,
    closes: u8,
    ends: u8,
}

/// What all callbacks know.
pub struct World {
    pub lp: LoopHandle,
    pub net: SimNet,
    pub server: Cell<Server>,
    pub agent: Cell<Agent>,
    tape: RefCell<std::vec::IntoIter<Operation>>,
    pub responses: RefCell<Vec<Response>>,
    pub bodies: RefCell<Vec<Body>>,
    pub requests: RefCell<Vec<ClientRequest>>,
    pub sockets: RefCell<Vec<Socket>>,
    pub connections: RefCell<Vec<Connection>>,
    pub timers: RefCell<Vec<Timer>>,
    pub peers: RefCell<Vec<SimPeer>>,
    /// A server of raw bytes.
    pub listener: SimListener,
    pub accounts: RefCell<Vec<Account>>,
    /// A call of the user's is under way.
    is_busy: Cell<bool>,
}

pub type Shared = Rc<World>;

/// What an intended panic carries. It passes no panic hook, so what does is ours.
pub struct Intended;

/// All are kept, for all are ended in the end.
pub fn keep<T>(list: &RefCell<Vec<T>>, item: T) {
    list.borrow_mut().push(item);
}

/// One of the newest handles.
pub fn pick<T: Copy>(list: &RefCell<Vec<T>>, target: u8) -> Option<T> {
    let list = list.borrow();
    let newest = &list[list.len().saturating_sub(HANDLES_MAX)..];
    (!newest.is_empty()).then(|| newest[usize::from(target) % newest.len()])
}

impl World {
    /// Takes from the tape: how many operations, then these.
    pub fn act(self: &Rc<World>) -> onloop::Result<()> {
        assert!(!self.is_busy.replace(true), "a callback runs inside a call");
        let first = self.tape.borrow_mut().next();
        let result = match first {
            None => Ok(()),
            Some(first) => {
                let more = usize::from(first.target) % 3;
                let mut result = perform(self, first);
                for _ in 0..more {
                    let next = self.tape.borrow_mut().next();
                    if let Some(next) = next {
                        result = result.and(perform(self, next));
                    }
                }
                result
            }
        };
        self.is_busy.set(false);
        result
    }

    /// The callbacks that the operation has reason to panic in are not in a call any more.
    pub fn panic(&self) -> ! {
        self.is_busy.set(false);
        resume_unwind(Box::new(Intended))
    }

    fn has_more(&self) -> bool {
        !self.tape.borrow().as_slice().is_empty()
    }

    fn open(&self, what: &'static str) -> usize {
        let mut accounts = self.accounts.borrow_mut();
        accounts.push(Account { what, ..Account::default() });
        accounts.len() - 1
    }

    /// Something is told of an exchange that must still be open.
    fn told(&self, number: usize) {
        let account = &self.accounts.borrow()[number];
        assert_eq!(account.closes, 0, "a {} is told of something after its end", account.what);
    }

    fn failed(&self, number: usize) {
        self.told(number);
        let account = &mut self.accounts.borrow_mut()[number];
        account.errors += 1;
        assert_eq!(account.errors, 1, "two errors of a {}", account.what);
    }

    fn ended(&self, number: usize) {
        self.told(number);
        let account = &mut self.accounts.borrow_mut()[number];
        account.ends += 1;
        assert_eq!(account.ends, 1, "two ends of a {}", account.what);
    }

    fn closed(&self, number: usize) {
        self.told(number);
        self.accounts.borrow_mut()[number].closes += 1;
    }
}

/// A callback that acts, after `note`.
macro_rules! acting {
    ($world:expr, $number:expr, $note:ident) => {{
        let world = Rc::clone($world);
        let number = $number;
        move || {
            world.$note(number);
            world.act()
        }
    }};
}

/// The same with an argument that does not matter.
macro_rules! acting_on {
    ($world:expr, $number:expr, $note:ident) => {{
        let world = Rc::clone($world);
        let number = $number;
        move |_| {
            world.$note(number);
            world.act()
        }
    }};
}

pub fn track_response(world: &Shared, res: Response) {
    let number = world.open("response");
    keep(&world.responses, res);
    keep(&world.connections, res.connection());
    res.on_error(acting_on!(world, number, failed));
    res.on_close(acting!(world, number, closed));
    res.on_drain(acting!(world, number, told));
    res.on_finish(acting!(world, number, told));
    res.on_timeout(acting!(world, number, told));
    res.on_half_close(acting!(world, number, told));
}

pub fn track_body(world: &Shared, body: Body) {
    let number = world.open("body");
    keep(&world.bodies, body);
    body.on_end(acting!(world, number, ended));
    body.on_error(acting_on!(world, number, failed));
    body.on_aborted(acting!(world, number, told));
    body.on_close(acting!(world, number, closed));
    body.on_timeout(acting!(world, number, told));
}

pub fn track_data(world: &Shared, body: Body) {
    let world = Rc::clone(world);
    body.on_data(move |_| world.act());
}

pub fn track_socket(world: &Shared, socket: Socket) {
    let number = world.open("socket");
    keep(&world.sockets, socket);
    socket.on_end(acting!(world, number, ended));
    socket.on_error(acting_on!(world, number, failed));
    socket.on_close(acting!(world, number, closed));
    socket.on_drain(acting!(world, number, told));
    socket.on_finish(acting!(world, number, told));
    socket.on_timeout(acting!(world, number, told));
    let data = Rc::clone(world);
    socket.on_data(move |_| {
        data.told(number);
        data.act()
    });
}

pub fn track_request(world: &Shared, request: ClientRequest) {
    let number = world.open("request");
    keep(&world.requests, request);
    request.on_error(acting_on!(world, number, failed));
    request.on_close(acting!(world, number, closed));
    request.on_drain(acting!(world, number, told));
    request.on_finish(acting!(world, number, told));
    request.on_timeout(acting!(world, number, told));
    request.on_continue(acting!(world, number, told));
    request.on_information(acting_on!(world, number, told));
    let sockets = Rc::clone(world);
    request.on_socket(move |connection| {
        keep(&sockets.connections, connection);
        sockets.told(number);
        sockets.act()
    });
    let responses = Rc::clone(world);
    request.on_response(move |response| {
        responses.told(number);
        track_body(&responses, response.body());
        responses.act()
    });
    for is_connect in [false, true] {
        let raw = Rc::clone(world);
        let take = move |_, socket, _: &[u8]| {
            track_socket(&raw, socket);
            raw.act()
        };
        match is_connect {
            true => request.on_connect(take),
            false => request.on_upgrade(take),
        }
    }
}

fn serve(world: &Shared) {
    let server = world.server.get();
    on_request(world);
    let (upgrades, connects, connections) = (Rc::clone(world), Rc::clone(world), Rc::clone(world));
    server.should_upgrade(|req| req.url().len() % 2 == 0);
    server.on_upgrade(move |_, socket, _| {
        track_socket(&upgrades, socket);
        upgrades.act()
    });
    server.on_connect(move |_, socket, _| {
        track_socket(&connects, socket);
        connects.act()
    });
    server.on_connection(move |connection| {
        keep(&connections.connections, connection);
        connections.act()
    });
    let closes = Rc::clone(world);
    server.on_close(move || closes.act());
    let drops = Rc::clone(world);
    server.on_drop(move |_| drops.act());
    let dropped = Rc::clone(world);
    server.on_drop_request(move |_, _| dropped.act());
}

pub fn on_request(world: &Shared) {
    let requests = Rc::clone(world);
    world.server.get().on_request(move |req, res| {
        track_response(&requests, res);
        track_body(&requests, req.body());
        requests.act()
    });
}

fn options(choice: u8) -> ServerOptions {
    let options = ServerOptions::new().request_timeout(Duration::from_secs(20));
    match choice % 4 {
        0 => options,
        1 => options.max_buffered(50_000).high_water_mark(1000).max_discarded(10),
        2 => options.allow_half_open(false).max_requests_per_socket(2).max_body_size(100),
        _ => options.keep_alive_timeout(Duration::from_millis(5)).max_connections(3),
    }
}

/// The body of the target.
pub fn check(data: &[u8]) {
    let mut unstructured = Unstructured::new(data);
    let Ok(settings) = Settings::arbitrary(&mut unstructured) else { return };
    let bytes = unstructured.take_rest();
    let operations = bytes.chunks_exact(3);
    let tape: Vec<_> = operations
        .map(|three| Operation { kind: three[0], target: three[1], amount: three[2] })
        .collect();
    let faults = match settings.faults % 3 {
        0 => SimOptions::default(),
        1 => SimOptions::rough(),
        _ => SimOptions::hostile(),
    };
    let net = SimNet::with_options(u64::from(settings.seed), faults);
    let policy = match settings.contains_panics {
        true => PanicPolicy::Contain,
        false => PanicPolicy::Propagate,
    };
    let mut event_loop = net.event_loop(LoopOptions::default().panic_policy(policy));
    let lp = event_loop.handle();
    let raw: std::net::SocketAddr = ([127, 0, 0, 1], 81).into();
    let world = Rc::new(World {
        lp,
        net: net.clone(),
        server: Cell::new(made(Server::new(lp, options(settings.options)))),
        agent: Cell::new(made(Agent::new(lp, AgentOptions::new().max_sockets(2)))),
        tape: RefCell::new(tape.into_iter()),
        responses: RefCell::default(),
        bodies: RefCell::default(),
        requests: RefCell::default(),
        sockets: RefCell::default(),
        connections: RefCell::default(),
        timers: RefCell::default(),
        peers: RefCell::default(),
        listener: net.listen(&Address::Ip(raw)).unwrap_or_else(|| panic!("the port is free")),
        accounts: RefCell::default(),
        is_busy: Cell::new(false),
    });
    serve(&world);
    let address: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
    made(world.server.get().listen(address));
    let mut turns = 0;
    while world.has_more() && turns < TURNS_MAX {
        // An intended panic outside of the loop is the program's own.
        let acted = catch_unwind(AssertUnwindSafe(|| world.act()));
        intended(acted.map(drop));
        turn(&mut event_loop, Duration::from_millis(20));
        turns += 1;
    }
    if settings.drops_loop {
        drop(event_loop);
        end_all(&world);
        return;
    }
    finish(&world, event_loop);
}

pub fn made<T>(result: onloop::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

fn intended(result: Result<(), Box<dyn std::any::Any + Send>>) {
    if let Err(payload) = result {
        if !payload.is::<Intended>() {
            resume_unwind(payload);
        }
    }
}

fn turn(event_loop: &mut EventLoop, max: Duration) {
    let turned = catch_unwind(AssertUnwindSafe(|| made(event_loop.turn(Some(max)))));
    intended(turned.map(drop));
    if let Err(why) = sim::check(event_loop) {
        panic!("after a turn: {why}");
    }
}

/// Ends what can be ended.
fn end_all(world: &Shared) {
    world.requests.borrow().iter().for_each(ClientRequest::destroy);
    world.responses.borrow().iter().for_each(Response::destroy);
    world.bodies.borrow().iter().for_each(Body::destroy);
    world.sockets.borrow().iter().for_each(Socket::destroy);
    world.timers.borrow().iter().for_each(|timer| timer.clear());
    let server = world.server.get();
    server.close();
    server.close_all_connections();
    world.agent.get().destroy();
    http::global_agent(world.lp).destroy();
    world.peers.borrow_mut().clear();
}

fn finish(world: &Shared, mut event_loop: EventLoop) {
    // What the tape had not come to is not done any more.
    *world.tape.borrow_mut() = Vec::new().into_iter();
    let mut turns = 0;
    // Also what does not keep the loop alive has to be over.
    while event_loop.is_alive() || !stats(&event_loop).is_empty() || turns < 3 {
        end_all(world);
        turn(&mut event_loop, Duration::from_secs(5));
        turns += 1;
        // A network that delivers byte by byte has a turn for each.
        assert!(turns < 5_000, "the loop does not end: {:?}", stats(&event_loop));
        drop(world.listener.accept());
    }
    let left = stats(&event_loop);
    assert!(left.is_empty() && left.lingering == 0 && left.free_connections == 0, "{left:?}");
    assert_eq!(world.net.open_sockets(), 0);
    for account in world.accounts.borrow().iter() {
        assert_eq!(account.closes, 1, "on_close of {account:?}");
    }
}

/// A client request; each has a deadline, so that nothing is for ever.
pub fn ask(world: &Shared, target: u8, amount: u8) -> onloop::Result<()> {
    let method = ["GET", "POST", "HEAD", "PUT", "CONNECT", "GET"][usize::from(target % 6)];
    let port = [80, 80, 81, 82][usize::from(target / 6) % 4];
    let url = format!("http://127.0.0.1:{port}/{}", "x".repeat(usize::from(amount % 4)));
    let mut options = RequestOptions::new(method, url).deadline(Duration::from_secs(3));
    if method == "CONNECT" {
        options = options.path("h:1");
    }
    if amount & 4 != 0 {
        options = options.agent(world.agent.get());
    }
    if amount & 8 != 0 {
        options = options.header("Connection", "upgrade").header("Upgrade", "x");
    }
    if amount & 16 != 0 {
        options = options.header("Expect", "100-continue");
    }
    if amount & 32 != 0 {
        let retries = Retries::new(2).delay(Duration::from_millis(2)).on_status(true);
        options = options.redirects(2).retries(retries);
    }
    if amount & 64 != 0 {
        options = options.timeout(Duration::from_millis(50));
    }
    let request = http::request_with(world.lp, options)?;
    track_request(world, request);
    if amount & 128 != 0 {
        request.end("content");
    }
    Ok(())
}

/// What an operation gives back to the loop.
pub fn failure() -> Error {
    Error::other("as it should")
}
