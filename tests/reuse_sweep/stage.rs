//! One conversation after the other on one loop, and the judgement of each: by what the network took and what
//! the server sent, never by what the client says of itself.

use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Agent, AgentOptions, ClientRequest, RequestOptions};
use onloop::sim::{SimNet, SimOptions, stats};
use onloop::{Error, EventLoop, LoopHandle, LoopOptions, Sent};

use crate::server::{Attempt, CAPACITY, Fault, HOP, How, Server, When};
use crate::shape::{Arrival, Shape, path};

/// Requests of a conversation.
pub(crate) const REQUESTS: usize = 3;

/// Requests at the same time.
pub(crate) const CROWD: usize = 8;

/// A request that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the client was told of a request.
#[derive(Debug, Default)]
pub(crate) struct Told {
    id: u32,
    statuses: Vec<u16>,
    content: Vec<u8>,
    ends: usize,
    errors: Vec<(String, Option<Sent>)>,
    closes: usize,
}

impl Told {
    pub(crate) fn is_fine(&self) -> bool {
        self.ends == 1
    }
}

/// How the client begins the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// After the turn in which the one before was over.
    Later,
    /// In `on_close` of the one before.
    InOnClose,
    /// In `on_end` of the response before.
    InOnEnd,
}

/// A conversation: what is asked, and where the server goes.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) shape: Shape,
    pub(crate) faults: Vec<Fault>,
    /// A reset throws away what was not read.
    pub(crate) discards: bool,
    /// The server goes while it is idle behind this answer; so many microseconds later, or earlier where it is
    /// less than nothing, the client begins the next request.
    pub(crate) idle: Option<(usize, How, i64)>,
    /// The client's loop turns between the two.
    pub(crate) turns: bool,
    pub(crate) next: Next,
    /// How many connections there are at first.
    pub(crate) olds: usize,
    /// Nobody listens any more once the first connection was made.
    pub(crate) refuses: bool,
    /// The server has a name, which is lost together with its listener.
    pub(crate) named: bool,
}

impl Script {
    pub(crate) fn new(shape: Shape) -> Script {
        Script {
            shape,
            faults: Vec::new(),
            discards: false,
            idle: None,
            turns: true,
            next: Next::Later,
            olds: 1,
            refuses: false,
            named: false,
        }
    }

    pub(crate) fn fault(mut self, at: (usize, usize), when: When, how: How) -> Script {
        let capacity = CAPACITY;
        self.faults.push(Fault { connection: at.0, request: at.1, when, how, capacity });
        self
    }

    /// The network holds no more than this while the last fault is awaited.
    pub(crate) fn narrow(mut self, capacity: usize) -> Script {
        self.faults.last_mut().expect("a fault").capacity = capacity;
        self
    }
}

/// What became of a conversation.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) fine: usize,
    pub(crate) repeated: usize,
    /// The same by the loop's own count, which has also what came to nothing.
    pub(crate) repetitions: u64,
    pub(crate) told: Vec<(bool, Option<Sent>)>,
    pub(crate) connections: usize,
    /// The bytes of each request where it was sent first.
    pub(crate) lengths: Vec<usize>,
}

pub(crate) struct Stage {
    pub(crate) net: SimNet,
    pub(crate) event_loop: EventLoop,
    pub(crate) server: Server,
    next_id: u32,
    /// Looks the server's name up, and finds it while that is so.
    agent: Agent,
    is_known: Rc<Cell<bool>>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::default());
        let server = Server::new(&net);
        let is_known = Rc::new(Cell::new(true));
        let knows = Rc::clone(&is_known);
        let options = AgentOptions::new().lookup(move |_name, answer| match knows.get() {
            true => answer.found([IpAddr::from([127, 0, 0, 1])]),
            false => answer.failed(Error::other("the name is lost")),
        });
        let agent = Agent::new(event_loop.handle(), options).expect("an agent");
        Stage { net, event_loop, server, next_id: 1, agent, is_known }
    }

    /// Plays a conversation and judges it.
    pub(crate) fn play(&mut self, script: &Script) -> Outcome {
        let named = Named(script);
        let before = stats(&self.event_loop).repeated_requests;
        let options = SimOptions::default().reset_discards(script.discards);
        self.server.begin(&script.faults, options);
        self.is_known.set(true);
        let told = self.told(REQUESTS);
        if script.next == Next::Later {
            for number in 0..REQUESTS {
                self.begin(script, number, &told[number]);
                self.until_closed(script, &told[number..=number]);
                if script.refuses {
                    self.is_known.set(false);
                    self.server.listener = None;
                }
            }
        } else {
            self.chain(script, &told, 0);
            self.until_closed(script, &told);
        }
        let mut outcome = self.judge(script, 0, &told);
        outcome.repetitions = stats(&self.event_loop).repeated_requests - before;
        assert!(outcome.repetitions >= outcome.repeated as u64, "{outcome:?}");
        self.clear();
        std::mem::forget(named);
        outcome
    }

    /// Has many connections go at the same time, that much before or after `newcomers` requests begin.
    pub(crate) fn crowd(
        &mut self,
        shape: Shape,
        newcomers: usize,
        how: How,
        delay: i64,
    ) -> Outcome {
        let mut script = Script::new(shape);
        (script.idle, script.turns, script.olds) = (Some((0, how, delay)), false, CROWD);
        let named = Named(&script);
        let before = stats(&self.event_loop).repeated_requests;
        self.server.begin(&[], SimOptions::default());
        let first = self.told(CROWD);
        first.iter().for_each(|told| self.ask(&script, told));
        self.until_closed(&script, &first);
        assert_eq!(stats(&self.event_loop).free_connections, CROWD);
        let second = self.told(newcomers);
        // All but the last are begun before anything is sent or closed.
        let (last, others) = second.split_last().expect("at least one");
        others.iter().for_each(|told| self.ask(&script, told));
        self.begin(&script, 1, last);
        self.until_closed(&script, &second);
        let mut outcome = self.judge(&script, 1, &second);
        outcome.repetitions = stats(&self.event_loop).repeated_requests - before;
        self.clear();
        std::mem::forget(named);
        outcome
    }

    /// New requests, numbered, of which nothing is told yet.
    fn told(&mut self, count: usize) -> Vec<Rc<RefCell<Told>>> {
        let ids = self.next_id..self.next_id + count as u32;
        self.next_id = ids.end;
        ids.map(|id| Rc::new(RefCell::new(Told { id, ..Told::default() }))).collect()
    }

    /// Begins a request, with the server's going at its time around it.
    fn begin(&mut self, script: &Script, number: usize, told: &Rc<RefCell<Told>>) {
        let going = script.idle.filter(|(behind, ..)| behind + 1 == number);
        let Some((_, how, delay)) = going else {
            self.ask(script, told);
            return;
        };
        let pause = Duration::from_micros(delay.unsigned_abs());
        if delay < 0 {
            self.ask(script, told);
            // It is sent in this turn, and is on its way for the rest of the time.
            self.event_loop.turn(Some(Duration::ZERO)).expect("a turn");
            self.net.advance(pause);
            self.server.go_all(how);
            return;
        }
        self.server.go_all(how);
        if script.turns && !pause.is_zero() {
            let until = self.net.now() + pause;
            while self.net.now() < until {
                self.event_loop.turn(Some(until - self.net.now())).expect("a turn");
            }
        } else {
            self.net.advance(pause);
        }
        self.ask(script, told);
    }

    /// Makes a request and gives all of it, with a pause of the length of a hop between the pieces.
    fn ask(&mut self, script: &Script, told: &Rc<RefCell<Told>>) {
        let (shape, lp) = (script.shape, self.event_loop.handle());
        let agent = script.named.then_some(self.agent);
        let request = make(lp, shape, told, agent);
        give(lp, shape, request, told.borrow().id, 0);
    }

    /// Makes a request whose end makes the next one.
    fn chain(&mut self, script: &Script, told: &[Rc<RefCell<Told>>], number: usize) {
        link(self.event_loop.handle(), script.clone(), told.to_vec(), number);
    }

    fn until_closed(&mut self, script: &Script, told: &[Rc<RefCell<Told>>]) {
        let until = self.net.now() + PATIENCE;
        while told.iter().any(|told| told.borrow().closes == 0) {
            assert!(self.net.now() < until, "a request hangs: {told:?}");
            self.event_loop.turn(Some(HOP)).expect("a turn");
            let current = told.iter().find(|told| told.borrow().closes == 0);
            let current = current.or(told.last()).map_or(0, |told| told.borrow().id);
            self.server.step(script.shape, current);
        }
    }

    /// Nothing is left of a conversation.
    fn clear(&mut self) {
        self.server.hang_up();
        for _ in 0..4 {
            self.event_loop.turn(Some(HOP)).expect("a turn");
        }
        let left = stats(&self.event_loop);
        assert!(left.is_empty() && left.free_connections == 0, "left: {left:?}");
        assert_eq!(self.net.open_sockets(), 0);
    }

    /// All attempts at a request, in order: the connection and what became of it there.
    fn attempts(&self, id: u32) -> Vec<(usize, Attempt)> {
        let mut found = Vec::new();
        for number in 0..self.server.conns.len() {
            let here = self.server.attempts(number);
            found.extend(here.into_iter().map(|attempt| (number, attempt)));
        }
        found.retain(|(_, attempt)| attempt.arrival.id == Some(id));
        found
    }

    /// `from` is the place of the first of them in their conversation.
    fn judge(&self, script: &Script, from: usize, told: &[Rc<RefCell<Told>>]) -> Outcome {
        let mut outcome = Outcome { connections: self.server.conns.len(), ..Outcome::default() };
        for (number, told) in told.iter().enumerate() {
            let told = told.borrow();
            let attempts = self.attempts(told.id);
            // Those of a crowd all have the same place.
            let number = if script.olds > 1 { from } else { number };
            judge_one(script, number, &told, &attempts);
            outcome.fine += usize::from(told.is_fine());
            outcome.repeated += attempts.len().saturating_sub(1);
            outcome.told.push((told.is_fine(), told.errors.first().and_then(|error| error.1)));
            let length = attempts.first().map_or(0, |(_, attempt)| attempt.arrival.length);
            outcome.lengths.push(length);
        }
        outcome
    }
}

/// Dropped by a panic: which conversation it was.
struct Named<'a, T: Debug>(&'a T);

impl<T: Debug> Drop for Named<'_, T> {
    fn drop(&mut self) {
        eprintln!("in {:?}", self.0);
    }
}

/// The request of a shape, with all callbacks; through `agent` to the server's name.
fn make(
    lp: LoopHandle,
    shape: Shape,
    told: &Rc<RefCell<Told>>,
    agent: Option<Agent>,
) -> ClientRequest {
    let url = format!("http://127.0.0.1{}", path(told.borrow().id));
    let mut options = RequestOptions::new(shape.method, url);
    if let Some(agent) = agent {
        options = options.host("server.test").agent(agent);
    }
    let request = http::request_with(lp, options).expect("a request");
    let tells = Rc::clone(told);
    request.on_response(move |response| {
        tells.borrow_mut().statuses.push(response.status());
        let content = Rc::clone(&tells);
        response.on_data(move |chunk| content.borrow_mut().content.extend_from_slice(chunk));
        response.on_end(move || tells.borrow_mut().ends += 1);
    });
    let tells = Rc::clone(told);
    request.on_error(move |error: Error| {
        let mut told = tells.borrow_mut();
        assert_eq!(told.closes, 0, "an error behind on_close");
        told.errors.push((error.to_string(), error.sent()));
    });
    let tells = Rc::clone(told);
    request.on_close(move || tells.borrow_mut().closes += 1);
    request
}

fn give(lp: LoopHandle, shape: Shape, request: ClientRequest, id: u32, step: usize) {
    if shape.give(request, id, step) {
        lp.set_timeout(HOP, move || give(lp, shape, request, id, step + 1));
    }
}

/// Makes a request, and the next one when it is over.
fn link(lp: LoopHandle, script: Script, told: Vec<Rc<RefCell<Told>>>, number: usize) {
    let Some(own) = told.get(number).cloned() else { return };
    let (shape, next) = (script.shape, script.next);
    let request = make(lp, shape, &own, None);
    let ends = Rc::clone(&own);
    let (on_end, on_close) = ((script.clone(), told.clone()), (script, told));
    if next == Next::InOnEnd {
        let tells = Rc::clone(&own);
        request.on_response(move |response| {
            tells.borrow_mut().statuses.push(response.status());
            let content = Rc::clone(&tells);
            response.on_data(move |chunk| content.borrow_mut().content.extend_from_slice(chunk));
            response.on_end(move || {
                tells.borrow_mut().ends += 1;
                link(lp, on_end.0, on_end.1, number + 1);
            });
        });
    }
    request.on_close(move || {
        ends.borrow_mut().closes += 1;
        // A request that failed has no end.
        let goes_on = next == Next::InOnClose || ends.borrow().ends == 0;
        if goes_on {
            link(lp, on_close.0, on_close.1, number + 1);
        }
    });
    give(lp, shape, request, own.borrow().id, 0);
}

/// What the network took of a request, wherever it was sent.
fn truth(attempts: &[(usize, Attempt)]) -> Sent {
    if attempts.iter().any(|(_, attempt)| attempt.arrival.is_whole) {
        return Sent::SentNoReply;
    }
    if attempts.is_empty() { Sent::NothingSent } else { Sent::PartlySent }
}

fn judge_one(script: &Script, number: usize, told: &Told, attempts: &[(usize, Attempt)]) {
    let shape = script.shape;
    let shown = format!("request {number}: {told:?}, attempts {attempts:?}");
    assert_eq!(told.closes, 1, "on_close once: {shown}");
    assert_eq!(told.ends + told.errors.len(), 1, "one end: {shown}");
    assert!(attempts.len() <= 2, "repeated more than once: {shown}");
    assert!(shape.is_idempotent() || attempts.len() <= 1, "not to be repeated: {shown}");
    if let [(_, first), (_, second)] = attempts {
        let (first, second) = (&first.arrival, &second.arrival);
        let is_heard = attempts[0].1.replied > 0 && !script.discards;
        assert!(!is_heard, "made again although something of a reply came: {shown}");
        assert!(attempts[1].0 >= script.olds, "made again on an old connection: {shown}");
        assert!(is_beginning(first, second) || is_beginning(second, first), "altered: {shown}");
    }
    for (_, attempt) in attempts {
        check_whole(shape, told.id, &attempt.arrival, &shown);
    }
    let answer = shape.answer(told.id);
    let (last, replied) = attempts.last().map_or((0, 0), |(at, attempt)| (*at, attempt.replied));
    if told.is_fine() {
        assert_eq!(told.statuses, [200], "{shown}");
        assert_eq!(
            replied,
            shape.interim().len() + answer.len(),
            "an answer that was not sent: {shown}"
        );
        let content =
            if shape.method == "HEAD" { String::new() } else { format!("{:08}", told.id) };
        assert_eq!(told.content, content.as_bytes(), "{shown}");
        return;
    }
    let expected = truth(attempts);
    let verdict = told.errors[0].1;
    if replied == 0 {
        assert_eq!(verdict, Some(expected), "the verdict: {shown}");
    } else {
        // Something of a reply came, unless it was thrown away: what is said may be nothing, but not wrong.
        assert!(verdict.is_none_or(|verdict| verdict == expected), "the verdict: {shown}");
    }
    // The server goes twice, or nobody listens: nothing could be done.
    let is_hopeless = script.faults.iter().any(|fault| fault.connection > 0) || script.refuses;
    let was_reused = number > 0 && last < script.olds;
    let may_be_repeated = shape.is_idempotent() && shape.is_kept() || attempts.is_empty();
    let is_spared = was_reused && replied == 0 && may_be_repeated && !is_hopeless;
    assert!(!is_spared, "it could have been repeated: {shown}");
    let is_struck = script.faults.iter().any(|fault| fault.request == number)
        || script.idle.is_some_and(|(behind, ..)| behind + 1 == number);
    assert!(is_struck || is_hopeless, "nothing has happened to it: {shown}");
}

/// Whether the one is the other, as far as it is there.
fn is_beginning(short: &Arrival, long: &Arrival) -> bool {
    long.head.starts_with(&short.head) && long.content.starts_with(&short.content)
}

fn check_whole(shape: Shape, id: u32, arrival: &Arrival, shown: &str) {
    let content = shape.bytes(id);
    assert!(content.starts_with(&arrival.content), "wrong content: {shown}");
    if arrival.is_whole {
        assert_eq!(arrival.content.len(), content.len(), "wrong content: {shown}");
    }
    let line = format!("{} {} HTTP/1.1\r\n", shape.method, path(id));
    let (line, head) = (line.as_bytes(), &arrival.head);
    assert!(head.starts_with(line) || line.starts_with(head), "wrong head: {shown}");
}
