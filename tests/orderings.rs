//! In which order the callbacks of an exchange come, whatever the handler does and whatever its client and the
//! network do: every handler below meets every client below on simulated networks that are smooth, rough and
//! hostile, and what was called is held against the rules of [`judge`].

mod common;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use common::get;
use onloop::http::{Request, Response, Server, ServerOptions};
use onloop::sim::{SimNet, SimOptions, SimPeer, stats};
use onloop::{Error, EventLoop, Limits, LoopHandle, LoopOptions};

/// What was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Data,
    End,
    Collected { whole: bool },
    Aborted,
    RequestTimeout,
    RequestError,
    RequestClose,
    Drain,
    Written { number: u32, taken: bool },
    Finish,
    ResponseTimeout,
    ResponseError,
    ResponseClose,
}

type Calls = Rc<RefCell<Vec<Call>>>;

/// All exchanges of a run.
#[derive(Clone, Default)]
struct Account {
    exchanges: Rc<RefCell<Vec<Calls>>>,
}

impl Account {
    /// Listens to everything that an exchange can tell; the content is the handler's.
    fn open(&self, req: &Request, res: Response) -> Calls {
        let calls = Calls::default();
        self.exchanges.borrow_mut().push(calls.clone());
        let note = |call: Call| {
            let calls = calls.clone();
            move || calls.borrow_mut().push(call)
        };
        req.on_aborted(note(Call::Aborted));
        req.on_timeout(note(Call::RequestTimeout));
        req.on_close(note(Call::RequestClose));
        res.on_finish(note(Call::Finish));
        let told = note(Call::ResponseTimeout);
        res.on_timeout(move || {
            told();
            res.destroy();
        });
        res.on_close(note(Call::ResponseClose));
        let (of_request, of_response) = (note(Call::RequestError), note(Call::ResponseError));
        req.on_error(move |_| of_request());
        res.on_error(move |_| of_response());
        calls
    }
}

fn noting(calls: &Calls, call: Call) -> impl Fn() + 'static {
    let calls = calls.clone();
    move || calls.borrow_mut().push(call)
}

const HANDLERS: [&str; 14] = [
    "at-once",
    "at-the-end",
    "collect",
    "pipe",
    "stream",
    "late",
    "never",
    "destroy",
    "destroy-late",
    "error",
    "pause",
    "short",
    "corked",
    "breaks",
];

fn handle(lp: LoopHandle, account: &Account, req: Request, res: Response) -> onloop::Result<()> {
    let calls = account.open(&req, res);
    res.set_timeout(Duration::from_secs(8));
    let body = req.body();
    let reads = || {
        let noted = noting(&calls, Call::Data);
        body.on_data(move |_| noted());
        body.on_end(noting(&calls, Call::End));
    };
    match &req.url()[1..] {
        "at-once" => res.end("x"),
        "at-the-end" => {
            let (noted, ended) = (noting(&calls, Call::Data), noting(&calls, Call::End));
            req.on_data(move |_| noted());
            req.on_end(move || {
                ended();
                res.end("x");
            });
        }
        "collect" => {
            let calls = calls.clone();
            req.collect(1_000_000, move |content| {
                calls.borrow_mut().push(Call::Collected { whole: content.is_ok() });
                res.end(content?);
                Ok(())
            });
        }
        "pipe" => {
            body.on_end(noting(&calls, Call::End));
            req.pipe(res);
        }
        "stream" => {
            reads();
            let sent = Rc::new(Cell::new(0));
            stream(&calls, res, &sent);
            let (drained, calls) = (noting(&calls, Call::Drain), calls.clone());
            res.on_drain(move || {
                drained();
                stream(&calls, res, &sent);
            });
        }
        "late" => {
            reads();
            lp.set_timeout(Duration::from_millis(200), move || res.end("late"));
        }
        "never" => reads(),
        "destroy" => {
            reads();
            res.destroy();
        }
        "destroy-late" => {
            reads();
            lp.set_timeout(Duration::from_millis(30), move || body.destroy());
        }
        "error" => return Err(Error::other("as it should")),
        "pause" => {
            reads();
            body.pause();
            lp.set_timeout(Duration::from_millis(300), move || body.resume());
            lp.set_timeout(Duration::from_millis(600), move || res.end("x"));
        }
        "short" => {
            reads();
            res.set_header("Content-Length", 1000)?;
            res.end("too little");
        }
        "corked" => {
            reads();
            res.cork();
            written(&calls, res, 0);
            lp.set_timeout(Duration::from_millis(50), move || res.end("corked"));
        }
        "breaks" => {
            reads();
            res.write("a part");
            lp.set_timeout(Duration::from_millis(50), move || res.destroy());
        }
        other => panic!("no handler {other}"),
    }
    Ok(())
}

fn written(calls: &Calls, res: Response, number: u32) {
    res.write(vec![b'x'; 5_000]);
    let noted = calls.clone();
    let result = res.on_written(move |result| {
        noted.borrow_mut().push(Call::Written { number, taken: result.is_ok() });
    });
    assert!(result.is_ok() || !res.is_open(), "it is refused only where nothing can be written");
}

/// More than fits into any buffer, until it is out.
fn stream(calls: &Calls, res: Response, sent: &Cell<u32>) {
    while sent.get() < 60 && res.is_open() {
        sent.set(sent.get() + 1);
        written(calls, res, sent.get());
        if res.writable_need_drain() {
            return;
        }
    }
    res.end("");
}

const CLIENTS: [&str; 10] = [
    "whole",
    "bytes",
    "half-close",
    "leaves",
    "resets",
    "stalls",
    "nonsense",
    "slow-reader",
    "no-content",
    "keeps",
];

/// What a client sends: content in two chunks, or none.
fn request(path: &str, client: &str) -> Vec<u8> {
    let fields = match client {
        "keeps" => "Transfer-Encoding: chunked\r\n",
        _ => "Connection: close\r\nTransfer-Encoding: chunked\r\n",
    };
    let second = if client == "nonsense" { "zz\r\n" } else { "3\r\nefg\r\n0\r\n\r\n" };
    match client {
        "no-content" => get(path, "Connection: close\r\n").into_bytes(),
        _ => format!("POST {}4\r\nabcd\r\n{second}", &get(path, fields)[4..]).into_bytes(),
    }
}

struct Client {
    kind: &'static str,
    peer: Option<SimPeer>,
    unsent: Vec<u8>,
    turns: u32,
}

impl Client {
    fn act(&mut self) {
        self.turns += 1;
        let Some(peer) = &self.peer else { return };
        let held = match self.kind {
            // The rest never comes, or after what the client does instead.
            "stalls" | "leaves" | "resets" => self.unsent.len().min(14),
            _ => 0,
        };
        let step = if self.kind == "bytes" { 1 } else { usize::MAX };
        let count = peer.write(&self.unsent[..(self.unsent.len() - held).min(step)]);
        self.unsent.drain(..count);
        match self.kind {
            "slow-reader" => drop(peer.read_up_to(500)),
            _ => drop(peer.read()),
        }
        match self.kind {
            "half-close" if self.unsent.is_empty() => peer.shutdown_write(),
            "leaves" if self.turns == 10 => self.peer = None,
            "resets" if self.turns == 10 => {
                self.peer.take().into_iter().for_each(SimPeer::reset);
            }
            _ => {}
        }
    }
}

/// The order is the same where a turn may do next to nothing.
fn limits(seed: u64) -> Limits {
    match seed % 2 {
        0 => Limits::new(),
        _ => Limits::new()
            .reads_per_turn(1)
            .requests_per_turn(1)
            .write_bytes_per_turn(1000)
            .read_buffer(1024)
            .high_water_mark(1),
    }
}

/// One exchange; the order of its calls.
fn run(
    seed: u64,
    options: SimOptions,
    handler: &'static str,
    client: &'static str,
) -> Vec<Vec<Call>> {
    let net = SimNet::with_options(seed, options);
    let mut event_loop: EventLoop = net.event_loop(LoopOptions::new().limits(limits(seed)));
    let lp = event_loop.handle();
    let account = Account::default();
    let options = ServerOptions::new()
        .request_timeout(Duration::from_secs(5))
        .write_timeout(Duration::from_secs(6))
        .keep_alive_timeout(Duration::from_secs(4));
    let server = Server::new(lp, options).expect("a server");
    let noted = account.clone();
    server.on_request(move |req, res| handle(lp, &noted, req, res));
    server.listen("127.0.0.1:80").expect("it listens");
    let peer = net.connect(&server.address().expect("it listens"));
    let mut client = Client {
        kind: client,
        peer: Some(peer),
        unsent: request(&format!("/{handler}"), client),
        turns: 0,
    };
    // Long enough for every clock.
    while net.now() < Duration::from_secs(40) {
        client.act();
        event_loop.turn(Some(Duration::from_millis(10))).expect("a turn");
        if client.turns > 20 && stats(&event_loop).exchanges == 0 && client.turns > 600 {
            break;
        }
        if net.stalled() {
            net.advance(Duration::from_millis(10));
        }
    }
    drop(client.peer.take());
    server.close();
    let patience = net.now() + Duration::from_secs(60);
    while net.now() < patience && event_loop.is_alive() {
        event_loop.turn(Some(Duration::from_millis(100))).expect("a turn");
        if net.stalled() {
            net.advance(Duration::from_millis(100));
        }
    }
    let exchanges = account.exchanges.borrow();
    exchanges.iter().map(|calls| calls.borrow().clone()).collect()
}

/// The rules. `Err` names the one that was broken.
fn judge(calls: &[Call]) -> Result<(), &'static str> {
    use Call::*;
    let count = |wanted: Call| calls.iter().filter(|call| **call == wanted).count();
    let place = |wanted: Call| calls.iter().position(|call| *call == wanted);
    let before = |first: Call, then: Call| match (place(first), place(then)) {
        (Some(first), Some(then)) => first < then,
        _ => true,
    };
    for once in [RequestClose, ResponseClose] {
        if count(once) != 1 {
            return Err("each message closes once");
        }
    }
    for call in [End, Aborted, Finish, RequestError, ResponseError] {
        if count(call) > 1 {
            return Err("it comes once");
        }
    }
    let closes = place(RequestClose).min(place(ResponseClose)).unwrap_or(0);
    if calls[closes..].iter().any(|call| !matches!(call, RequestClose | ResponseClose)) {
        return Err("nothing comes after a close but the other close");
    }
    if calls.iter().rev().take_while(|call| **call != End).any(|call| *call == Data)
        && count(End) == 1
    {
        return Err("no content after its end");
    }
    if count(End) + count(Aborted) > 1 {
        return Err("a message ends or is aborted");
    }
    if count(RequestError) + count(ResponseError) > 1 {
        return Err("an exchange has one error");
    }
    if count(Finish) == 1 && count(ResponseError) == 1 {
        return Err("a response is finished or fails");
    }
    if !before(Aborted, RequestError) || !before(Aborted, ResponseError) {
        return Err("aborted comes before the error");
    }
    judge_written(calls)?;
    let read = place(End).zip(place(Finish)).is_some_and(|(end, finish)| end < finish);
    if read && !before(RequestClose, ResponseClose) {
        return Err("a request that was read closes before its response");
    }
    if count(Finish) == 1
        && count(End) + count(Aborted) == 0
        && !before(ResponseClose, RequestClose)
    {
        return Err("a request that nobody was told of closes behind its response");
    }
    Ok(())
}

/// Writes are told in their order: first those that were taken, then those that never will be; and taken ones
/// before the whole response is.
fn judge_written(calls: &[Call]) -> Result<(), &'static str> {
    let written: Vec<(u32, bool)> = calls
        .iter()
        .filter_map(|call| match call {
            Call::Written { number, taken } => Some((*number, *taken)),
            _ => None,
        })
        .collect();
    if written.windows(2).any(|pair| pair[0].0 >= pair[1].0 || (!pair[0].1 && pair[1].1)) {
        return Err("writes are told in their order");
    }
    let finish = calls.iter().position(|call| *call == Call::Finish).unwrap_or(calls.len());
    if calls[finish..].iter().any(|call| matches!(call, Call::Written { .. } | Call::Drain)) {
        return Err("no write is told after on_finish");
    }
    Ok(())
}

fn all(traffic: fn() -> SimOptions, seeds: u64) {
    let mut seen = BTreeSet::new();
    for handler in HANDLERS {
        for client in CLIENTS {
            for seed in 0..seeds {
                for calls in run(seed, traffic(), handler, client) {
                    if let Err(rule) = judge(&calls) {
                        panic!("{handler} and {client}, seed {seed}: {rule}: {calls:?}");
                    }
                    seen.extend(calls.iter().map(|call| match call {
                        Call::Written { taken, .. } => Call::Written { number: 0, taken: *taken },
                        call => *call,
                    }));
                }
            }
        }
    }
    // A harness in which something never happens proves nothing of it.
    assert!(seen.len() >= 13, "only these were called: {seen:?}");
}

#[test]
fn on_a_smooth_network() {
    all(SimOptions::default, 2);
}

#[test]
fn on_a_rough_network() {
    all(SimOptions::rough, 4);
}

#[test]
fn on_a_hostile_network() {
    all(SimOptions::hostile, 6);
}

#[test]
fn the_rules_find_what_breaks_them() {
    use Call::*;
    let good = [Data, End, Written { number: 1, taken: true }, Finish, RequestClose, ResponseClose];
    assert_eq!(judge(&good), Ok(()));
    assert_eq!(judge(&[Aborted, RequestError, RequestClose, ResponseClose]), Ok(()));
    for bad in [
        vec![End, Finish, RequestClose],
        vec![End, Finish, ResponseClose, RequestClose],
        vec![Finish, RequestClose, ResponseClose],
        vec![End, Data, Finish, RequestClose, ResponseClose],
        vec![RequestClose, Finish, ResponseClose],
        vec![End, Aborted, RequestClose, ResponseClose],
        vec![RequestError, Aborted, RequestClose, ResponseClose],
        vec![Aborted, RequestError, ResponseError, RequestClose, ResponseClose],
        vec![Finish, ResponseError, ResponseClose, RequestClose],
        vec![End, End, RequestClose, ResponseClose],
        vec![Finish, Written { number: 1, taken: true }, ResponseClose, RequestClose],
        vec![
            Written { number: 2, taken: true },
            Written { number: 1, taken: true },
            ResponseClose,
            RequestClose,
        ],
    ] {
        assert!(judge(&bad).is_err(), "{bad:?}");
    }
}
