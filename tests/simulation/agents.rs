//! Random requests through an agent with random limits, to servers with several addresses that answer, close, die
//! and keep silent as they like. After every turn: no limit is exceeded, nobody waits where there is a place,
//! the counters are what there is; in the end every request has ended once and nothing is left.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Agent, AgentOptions, RequestOptions, Scheduling};
use onloop::sim::{Route, SimListener, SimNet, SimOptions, SimPeer, stats};
use onloop::{EventLoop, LoopHandle, LoopOptions};

use crate::budgets::{self, Harshness};
use crate::random::Random;

const NAMES: usize = 4;

/// Requests that are not over, at most.
const PARALLEL: usize = 30;

/// After so long a request is given up.
const PATIENCE: Duration = Duration::from_secs(5);

const STEP: Duration = Duration::from_millis(5);

/// How the server answers. The path of the request says so.
const BEHAVIOURS: [&str; 14] = [
    "fine", "fine", "fine", "fine", "slow", "close", "farewell", "die", "reset", "part", "extra",
    "short", "none", "switch",
];

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answered: usize,
    pub(crate) failed: usize,
    pub(crate) destroyed: usize,
    pub(crate) reused: usize,
    pub(crate) repeated: u64,
    pub(crate) accepted: usize,
    pub(crate) trace: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Outcome) {
        self.answered += other.answered;
        self.failed += other.failed;
        self.destroyed += other.destroyed;
        self.reused += other.reused;
        self.repeated += other.repeated;
        self.accepted += other.accepted;
        self.trace ^= other.trace;
    }
}

/// A connection as the server has it.
struct Connection {
    peer: SimPeer,
    name: usize,
    received: Vec<u8>,
    /// The request that is being answered: its number, how, and when.
    asked: Option<(usize, String, Duration)>,
}

/// What is known of one request.
#[derive(Default)]
struct Ask {
    closes: u32,
    errors: u32,
    answers: u32,
    destroyed: bool,
    reused: bool,
}

struct Sweep {
    net: SimNet,
    event_loop: EventLoop,
    lp: LoopHandle,
    agent: Agent,
    random: Random,
    listeners: Vec<(usize, SimListener)>,
    /// Open sockets where nothing goes on.
    idle: usize,
    connections: Vec<Connection>,
    asks: Rc<RefCell<Vec<Ask>>>,
    requests: Vec<http::ClientRequest>,
    open: Rc<Cell<usize>>,
    /// By name: the last request that came to the server.
    last: [usize; NAMES],
    /// Nothing breaks, and nothing is done that takes connections out of the agent's sight.
    is_plain: bool,
    /// All the while one connection serves an origin.
    is_single: bool,
    /// As they were after the turn before.
    before: (usize, Vec<(String, usize)>),
    /// Connections there were not long ago.
    recent: Vec<(Duration, usize)>,
    outcome: Outcome,
}

pub(crate) fn sweep(seed: u64, count: usize) -> Outcome {
    let mut random = Random::new(seed ^ 0xa9e7);
    let options = match seed % 4 {
        0 => SimOptions::hostile(),
        1 => SimOptions::rough(),
        _ => SimOptions::default(),
    };
    let net = SimNet::with_options(seed, options.separate_filters(seed % 8 >= 4));
    let is_plain = seed % 4 >= 2 && seed % 3 != 0;
    let listeners = addresses(&net, &mut random, is_plain);
    let idle = net.open_sockets();
    let mut drawn = Random::new(seed ^ 0xb0d6);
    let how = Harshness::draw(&mut drawn);
    let limits = budgets::budgets(&mut drawn, how, &[200, 1000, 20_000]);
    let event_loop = net.event_loop(LoopOptions::new().limits(limits));
    let lp = event_loop.handle();
    let agent = Agent::new(lp, agent_options(&mut random)).expect("an agent");
    let mut sweep = Sweep {
        net,
        event_loop,
        lp,
        agent,
        random,
        listeners,
        idle,
        connections: Vec::new(),
        asks: Rc::default(),
        requests: Vec::new(),
        open: Rc::default(),
        last: [0; NAMES],
        is_plain,
        is_single: is_plain && agent.max_sockets() == 1,
        before: (0, Vec::new()),
        recent: Vec::new(),
        outcome: Outcome::default(),
    };
    sweep.all(count);
    sweep.outcome
}

/// Names with one to three addresses, by routes of all kinds, and who listens there.
fn addresses(net: &SimNet, random: &mut Random, is_plain: bool) -> Vec<(usize, SimListener)> {
    let mut listeners = Vec::new();
    for name in 0..NAMES {
        let mut all: Vec<IpAddr> = Vec::new();
        for number in 0..1 + random.below(3) {
            let address: IpAddr = match (number + name) % 2 {
                0 => format!("192.0.2.{}", 10 * name + number).parse().expect("an address"),
                _ => format!("2001:db8::{name}:{number}").parse().expect("an address"),
            };
            let route = match random.below(if is_plain && all.is_empty() { 1 } else { 12 }) {
                0..=7 => Route::Open,
                8 => Route::Delayed(Duration::from_millis(1 + random.below(600) as u64)),
                9 => Route::Refused,
                10 => Route::Silent,
                _ => Route::Unreachable,
            };
            net.set_route(address, route);
            all.push(address);
            let listener = net.listen(&SocketAddr::new(address, 80).into());
            listeners.push((name, listener.expect("it is free")));
        }
        net.add_host(&format!("n{name}.test"), all);
    }
    listeners
}

fn agent_options(random: &mut Random) -> AgentOptions {
    let limit = |random: &mut Random| [1, 1, 2, 3, 5, usize::MAX][random.below(6)];
    let time = |random: &mut Random| [0, 20, 500, 5000][random.below(4)];
    AgentOptions::new()
        .keep_alive(random.below(8) > 0)
        .max_sockets(limit(random))
        .max_total_sockets(limit(random))
        .max_free_sockets([0, 1, 2, 256][random.below(4)])
        .scheduling([Scheduling::Lifo, Scheduling::Fifo][random.below(2)])
        .free_timeout(Duration::from_millis(time(random)))
        .connection_attempt_delay(Duration::from_millis([10, 250][random.below(2)]))
}

impl Sweep {
    fn all(&mut self, count: usize) {
        while self.asks.borrow().len() < count || self.open.get() > 0 {
            while self.asks.borrow().len() < count && self.open.get() < PARALLEL {
                self.ask();
                if self.random.below(4) == 0 {
                    break;
                }
            }
            self.interfere();
            self.serve();
            self.turn();
            self.check();
        }
        self.finish();
    }

    fn ask(&mut self) {
        let number = self.asks.borrow().len();
        self.asks.borrow_mut().push(Ask::default());
        let kinds = if self.is_plain { 12 } else { BEHAVIOURS.len() };
        let behaviour = BEHAVIOURS[self.random.below(kinds)];
        let name = self.random.below(NAMES);
        let method = ["GET", "GET", "POST", "HEAD"][self.random.below(4)];
        let url = format!("http://n{name}.test/{number}/{behaviour}");
        let options = RequestOptions::new(method, url)
            .agent(self.agent)
            .keep_alive(self.random.below(10) > 0);
        let request = http::request_with(self.lp, options).expect("it is well-formed");
        self.requests.push(request);
        self.open.set(self.open.get() + 1);
        let (asks, open) = (Rc::clone(&self.asks), Rc::clone(&self.open));
        let timer = self.lp.set_timeout(PATIENCE, move || request.destroy());
        request.on_close(move || {
            asks.borrow_mut()[number].closes += 1;
            open.set(open.get() - 1);
            timer.clear();
        });
        let asks = Rc::clone(&self.asks);
        request.on_error(move |_| asks.borrow_mut()[number].errors += 1);
        let asks = Rc::clone(&self.asks);
        let aborts = self.random.below(20) == 0;
        request.on_response(move |response| {
            let mut asks = asks.borrow_mut();
            asks[number].answers += 1;
            asks[number].reused = request.is_reused();
            response.resume();
            if aborts {
                request.destroy();
            }
        });
        if !self.is_plain && self.random.below(30) == 0 {
            request.on_socket(move |connection| connection.remove_from_agent());
        }
        if behaviour == "switch" {
            request.set_header("Connection", "upgrade").expect("a name");
            request.set_header("Upgrade", "raw").expect("a name");
            request.on_upgrade(|_, socket, _| socket.end(""));
        }
        let content = if method == "POST" { "content" } else { "" };
        if self.random.below(10) == 0 {
            self.lp.set_timeout(STEP, move || request.end(content));
        } else {
            request.end(content);
        }
    }

    /// What the user does besides.
    fn interfere(&mut self) {
        match self.random.below(200) {
            0..4 => {
                // Any of the last ones: under way, waiting, or over.
                let count = self.requests.len();
                let back = self.random.below(PARALLEL).min(count - 1);
                let request = &self.requests[count - 1 - back];
                if !request.is_destroyed() {
                    self.asks.borrow_mut()[count - 1 - back].destroyed = true;
                    request.destroy();
                }
            }
            4 if !self.is_single => {
                self.check();
                self.agent.set_max_sockets([1, 2, 3, 0][self.random.below(4)]);
            }
            5 => {
                self.check();
                let limit = [1, 2, 5, usize::MAX][self.random.below(4)];
                self.agent.set_max_total_sockets(limit).expect("not zero");
            }
            6 => self.agent.set_max_free_sockets(self.random.below(4)),
            7 if self.random.below(5) == 0 => self.agent.destroy(),
            _ => {}
        }
    }

    fn serve(&mut self) {
        let now = self.net.now();
        for (name, listener) in &self.listeners {
            while let Some(peer) = listener.accept() {
                self.outcome.accepted += 1;
                let name = *name;
                self.connections.push(Connection { peer, name, received: Vec::new(), asked: None });
            }
        }
        let mut connections = std::mem::take(&mut self.connections);
        connections.retain_mut(|connection| self.drive(connection, now));
        self.connections = connections;
        let asked = self.connections.iter().filter(|connection| connection.asked.is_some()).count();
        // Of one that was closed a moment ago the server has not heard.
        self.recent.retain(|(time, _)| *time + STEP / 10 >= now);
        let recent = self.recent.iter().map(|(_, total)| *total);
        let most = recent.chain([self.agent.max_total_sockets(), self.before.0]).max().unwrap_or(0);
        assert!(asked <= most || !self.is_plain, "the server answers {asked}, of {most}");
    }

    /// One connection of the server; false when it is over.
    fn drive(&mut self, connection: &mut Connection, now: Duration) -> bool {
        connection.received.extend(connection.peer.read());
        if connection.asked.is_none() {
            if let Some((number, behaviour)) = take_request(&mut connection.received) {
                self.arrived(connection.name, number);
                let wait = match behaviour.as_str() {
                    "slow" => 1 + self.random.below(300),
                    _ => self.random.below(3),
                };
                let when = now + Duration::from_millis(wait as u64);
                connection.asked = Some((number, behaviour, when));
            }
        }
        if connection.peer.is_eof() || connection.peer.is_reset() {
            return false;
        }
        match connection.asked.take_if(|(_, _, when)| *when <= now) {
            Some((_, behaviour, _)) => answer(connection, &behaviour),
            None => true,
        }
    }

    /// Where one connection serves an origin the order is that of the calls.
    fn arrived(&mut self, name: usize, number: usize) {
        if self.is_single {
            assert!(number >= self.last[name], "{number} after {}", self.last[name]);
        }
        self.last[name] = self.last[name].max(number);
    }

    fn turn(&mut self) {
        let before = self.net.now();
        self.event_loop.turn(Some(STEP)).expect("the poller works");
        if self.net.now() == before && self.net.stalled() {
            self.net.advance(STEP);
        }
    }

    fn check(&mut self) {
        if let Err(why) = onloop::sim::check(&self.event_loop) {
            panic!("at {:?}: {why}", self.net.now());
        }
        let (agent, stats) = (self.agent, stats(&self.event_loop));
        let (in_use, free, waiting) = (agent.sockets(), agent.free_sockets(), agent.requests());
        let sum = |list: &[(String, usize)]| list.iter().map(|(_, count)| count).sum::<usize>();
        let total = agent.total_socket_count();
        // The counters are what the slab holds.
        assert_eq!(total, sum(&in_use) + sum(&free));
        assert_eq!((stats.free_connections, stats.waiting_requests), (sum(&free), sum(&waiting)));
        if self.is_plain {
            assert_eq!(stats.client_requests, sum(&in_use) + sum(&waiting), "{stats:?}");
        }
        let of = |list: &[(String, usize)], name: &str| {
            list.iter().find(|(other, _)| other == name).map_or(0, |(_, count)| *count)
        };
        let (limit, total_limit) = (agent.max_sockets(), agent.max_total_sockets());
        // Where a limit was lowered, what is above it only shrinks.
        assert!(total <= total_limit.max(self.before.0), "{total} of {total_limit}");
        let mut here = Vec::new();
        for name in (0..NAMES).map(|name| format!("n{name}.test:80:")) {
            let count = of(&in_use, &name) + of(&free, &name);
            assert!(count <= limit.max(of(&self.before.1, &name)), "{name}: {count} of {limit}");
            assert!(of(&free, &name) <= agent.max_free_sockets(), "{name}: {free:?}");
            let has_room = count < limit && total < total_limit;
            assert!(of(&waiting, &name) == 0 || !has_room, "{name} waits, and there is room");
            let gives_way = count < limit && !free.is_empty();
            assert!(of(&waiting, &name) == 0 || !gives_way, "{name} waits, and others are free");
            here.push((name, count));
        }
        self.recent.push((self.net.now(), total));
        self.before = (total, here);
    }

    fn finish(&mut self) {
        for (number, ask) in self.asks.borrow().iter().enumerate() {
            assert_eq!(ask.closes, 1, "{number}: on_close");
            assert!(ask.errors <= 1 && ask.answers <= 1, "{number}: {} errors", ask.errors);
            assert!(
                ask.errors + ask.answers >= 1 || !self.is_plain,
                "{number}: nothing came of it"
            );
            self.outcome.answered += ask.answers as usize;
            self.outcome.failed += ask.errors as usize;
            self.outcome.destroyed += usize::from(ask.destroyed);
            self.outcome.reused += usize::from(ask.reused);
        }
        self.outcome.repeated = stats(&self.event_loop).repeated_requests;
        assert!(self.agent.requests().is_empty() && self.agent.sockets().is_empty());
        self.agent.close();
        let patience = self.net.now() + Duration::from_secs(600);
        // Some that were destroyed were to be ended a little later, or waited for a name that is still looked up.
        while self.net.open_sockets() > self.idle
            || self.event_loop.is_alive()
            || stats(&self.event_loop).lookups > 0
        {
            assert!(self.net.now() < patience, "{:?}", stats(&self.event_loop));
            self.serve();
            self.turn();
        }
        let stats = stats(&self.event_loop);
        assert!(stats.is_empty() && stats.free_connections == 0, "{stats:?}");
        assert_eq!(self.agent.total_socket_count(), 0);
        self.outcome.trace = self.net.trace_hash();
    }
}

/// The number and the behaviour of the request that has come whole.
fn take_request(received: &mut Vec<u8>) -> Option<(usize, String)> {
    let end = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let length = match head.split("Content-Length: ").nth(1) {
        Some(rest) => rest.split("\r\n").next()?.parse().expect("a length"),
        None => 0,
    };
    if received.len() < end + length {
        return None;
    }
    received.drain(..end + length);
    let mut parts = head.split(' ').nth(1)?.split('/').skip(1);
    let number = parts.next()?.parse().expect("a number");
    Some((
        number,
        format!("{}{}", parts.next()?, if head.starts_with("HEAD") { " HEAD" } else { "" }),
    ))
}

/// Sends an answer; false when the connection goes with it.
fn answer(connection: &mut Connection, behaviour: &str) -> bool {
    let (behaviour, is_head) = match behaviour.split_once(' ') {
        Some((behaviour, _)) => (behaviour, true),
        None => (behaviour, false),
    };
    let content = if is_head { "" } else { "answer" };
    let fine =
        |field: &str| format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 6\r\n\r\n{content}");
    let (text, stays) = match behaviour {
        "close" => (fine("Connection: close\r\n"), false),
        // It closes without having said so.
        "farewell" => (fine(""), false),
        "die" => (String::new(), false),
        "part" => ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart".into(), false),
        "extra" => (format!("{}HTTP/1.1 200 OK\r\n\r\n", fine("")), true),
        "short" => (fine("Keep-Alive: timeout=1\r\n"), true),
        "none" => return true,
        "switch" => (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n"
                .into(),
            true,
        ),
        "reset" => (String::new(), true),
        _ => (fine(""), true),
    };
    connection.peer.write(text.as_bytes());
    if behaviour == "switch" {
        connection.peer.shutdown_write();
    }
    stays && behaviour != "reset"
}
