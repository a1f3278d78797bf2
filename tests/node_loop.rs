//! What Node promises of its event loop and is tested nowhere else: timers of one batch, what comes first
//! within a turn, callbacks that fail, fairness.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, World, get};
use onloop::sim::SimNet;
use onloop::{Error, EventLoop, LoopOptions, Timer};

fn simulated() -> (SimNet, EventLoop) {
    let net = SimNet::new(1);
    let event_loop = net.event_loop(LoopOptions::default());
    (net, event_loop)
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn a_timer_that_another_one_of_the_same_batch_clears_does_not_fire() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let second: Rc<Cell<Option<Timer>>> = Rc::default();
    let clears = Rc::clone(&second);
    let notes = log.clone();
    lp.set_timeout(milliseconds(10), move || {
        notes.note("first");
        clears.get().expect("set below").clear();
    });
    second.set(Some(lp.set_timeout(milliseconds(10), log.noting("second"))));
    lp.set_timeout(milliseconds(10), log.noting("third"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["first", "third"]);
}

#[test]
fn an_immediate_that_another_one_of_the_same_batch_clears_does_not_run() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let second: Rc<Cell<Option<Timer>>> = Rc::default();
    let clears = Rc::clone(&second);
    lp.set_immediate(move || clears.get().expect("set below").clear());
    second.set(Some(lp.set_immediate(log.noting("second"))));
    lp.set_immediate(log.noting("third"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["third"]);
}

#[test]
fn in_a_callback_of_io_an_immediate_comes_before_a_timer_of_nothing() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let server = onloop::http::create_server(lp, move |_req, res| {
        lp.set_timeout(Duration::ZERO, notes.noting("timer"));
        lp.set_immediate(notes.noting("immediate"));
        notes.note("request");
        res.end("");
    });
    server.listen("127.0.0.1:80").unwrap();
    let peer = net.connect(&server.address().unwrap());
    peer.write(b"GET / HTTP/1.0\r\n\r\n");
    while log.len() < 3 {
        event_loop.turn(Some(milliseconds(1))).unwrap();
    }
    assert_eq!(log.all(), ["request", "immediate", "timer"]);
}

#[test]
fn a_callback_that_fails_stops_neither_its_interval_nor_the_loop() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let own: Rc<Cell<Option<Timer>>> = Rc::default();
    let handle = Rc::clone(&own);
    own.set(Some(lp.set_interval(milliseconds(10), move || {
        notes.note("tick");
        if notes.count("tick") == 3 {
            handle.get().expect("set above").clear();
        }
        Err(Error::other("as the test wants"))
    })));
    lp.set_immediate(|| Err(Error::other("as the test wants")));
    lp.set_timeout(milliseconds(25), || Err(Error::other("as the test wants")));
    lp.set_timeout(milliseconds(50), log.noting("last"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["tick", "tick", "tick", "last"]);
}

#[test]
fn an_interval_counts_from_the_start_of_each_run() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let (notes, clock) = (log.clone(), net.clone());
    let interval = lp.set_interval(milliseconds(10), move || {
        notes.note(clock.now().as_millis().to_string());
        if notes.len() == 1 {
            // A long run: the next one is due already when it ends, and comes in the next turn.
            clock.advance(milliseconds(25));
        }
    });
    lp.set_timeout(milliseconds(60), move || interval.clear());
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["10", "35", "45", "55"]);
}

#[test]
fn a_timer_restarts_itself_from_inside() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let own: Rc<Cell<Option<Timer>>> = Rc::default();
    let handle = Rc::clone(&own);
    let (again, first) = (log.clone(), Rc::clone(&own));
    let timer = lp.set_timeout(milliseconds(10), move || notes.note("fired"));
    own.set(Some(timer));
    lp.set_timeout(milliseconds(10), move || {
        // It has fired in this batch: it is over, and another one has to be made.
        assert!(!first.get().expect("set above").refresh());
        again.note("over");
    });
    event_loop.run().unwrap();
    assert!(!handle.get().expect("set above").refresh());
    assert_eq!((log.all(), net.now()), (vec!["fired".into(), "over".into()], milliseconds(10)));
}

#[test]
fn what_is_not_referenced_runs_while_the_loop_lives() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    lp.set_immediate(log.noting("immediate")).unref();
    lp.set_interval(milliseconds(10), log.noting("tick")).unref();
    lp.set_timeout(milliseconds(25), log.noting("last"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["immediate", "tick", "tick", "last"]);
    lp.set_immediate(log.noting("skipped")).unref();
    event_loop.run().unwrap();
    assert_eq!(log.len(), 4);
}

#[test]
fn a_long_callback_shows_no_new_time_to_the_timers_of_its_turn() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let (notes, clock) = (log.clone(), net.clone());
    lp.set_timeout(milliseconds(10), move || {
        clock.advance(milliseconds(100));
        // Due long ago by the clock on the wall; set in this turn, it waits for a later one.
        lp.set_timeout(milliseconds(1), notes.noting("set inside"));
        notes.note("long");
    });
    lp.set_timeout(milliseconds(10), log.noting("same batch"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["long", "same batch", "set inside"]);
}

#[test]
fn a_timer_of_months_is_waited_for() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    // More milliseconds than 31 bits hold.
    let months = Duration::from_secs(60 * 24 * 3600);
    lp.set_timeout(months, log.noting("months later"));
    let never = lp.set_timeout(Duration::MAX, log.noting("never"));
    lp.set_timeout(milliseconds(1), log.noting("at once"));
    lp.set_timeout(months + milliseconds(1), move || never.clear());
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["at once", "months later"]);
    assert_eq!(net.now(), months + milliseconds(1));
}

#[test]
fn a_client_that_floods_content_does_not_starve_the_others() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::with(LoopOptions::new().reads_per_turn(2).read_buffer(4096));
    let server = world.serve(move |req, res| {
        if req.method() == "GET" {
            notes.note("other");
            return res.end("x");
        }
        let data = notes.clone();
        req.on_data(move |_| data.note("data"));
    });
    let mut flood = world.connect(&server);
    flood.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
    let lines = log.clone();
    // More than a megabyte waits to be read when the other one asks.
    flood.send(vec![b'x'; 4_000_000]);
    world.until("the flood", || lines.has("data"));
    let before = log.count("data");
    let mut other = world.send(&server, get("/", ""));
    world.answer(&mut other);
    let asked = log.all().iter().position(|line| line == "other").expect("a request");
    assert!(asked < before + 20, "{asked} pieces of the flood came first");
}
