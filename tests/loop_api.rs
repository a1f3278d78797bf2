//! The loop itself: when it ends, the order within a turn, timers, posts from other threads, driving it from
//! a foreign loop, and what is left when it is gone.

mod common;

use std::cell::Cell;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use common::{Log, World, get, url_of};
use onloop::http::{self, Response, ServerOptions};
use onloop::sim::SimNet;
use onloop::{EventLoop, LoopOptions, PanicPolicy};

const SOON: Duration = Duration::from_millis(1);

fn simulated() -> (SimNet, EventLoop) {
    let net = SimNet::new(1);
    let event_loop = net.event_loop(LoopOptions::default());
    (net, event_loop)
}

#[test]
fn a_loop_with_nothing_to_wait_for_ends() {
    let mut event_loop = EventLoop::new().unwrap();
    assert!(!event_loop.is_alive());
    assert_eq!(event_loop.next_timeout(), None);
    event_loop.run().unwrap();
    // And again.
    let log = Log::new();
    event_loop.handle().set_timeout(SOON, log.noting("timer"));
    assert!(event_loop.is_alive());
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["timer"]);
}

#[test]
fn the_scene_ends_by_itself() {
    let mut event_loop = EventLoop::new().unwrap();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let server = http::create_server(lp, move |req, res| {
        notes.note(format!("{} {}", req.method(), req.url()));
        let data = notes.clone();
        req.on_data(move |chunk| data.note(String::from_utf8_lossy(chunk)));
        res.end("Hello from HTTP Server");
    });
    server.listen("127.0.0.1:0").unwrap();
    server.on_close(log.noting("closed"));
    let request = http::request(lp, "POST", url_of(&server)).unwrap();
    request.write("Hi i am client");
    let notes = log.clone();
    request.on_response(move |response| {
        let data = notes.clone();
        response.on_data(move |chunk| data.note(String::from_utf8_lossy(chunk)));
        response.on_end(move || server.close());
    });
    request.on_error(log.noting_error("error"));
    request.end("");
    event_loop.run().unwrap();
    let lines = log.all();
    assert_eq!(lines, ["POST /", "Hi i am client", "Hello from HTTP Server", "closed"]);
}

#[test]
fn timers_come_in_the_order_of_their_time() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    for (delay, name) in [(30, "c"), (10, "a"), (20, "b"), (10, "a again"), (0, "at once")] {
        lp.set_timeout(Duration::from_millis(delay), log.noting(name));
    }
    let cleared = lp.set_timeout(Duration::from_millis(15), log.noting("never"));
    cleared.clear();
    lp.clear(cleared);
    assert_eq!(event_loop.next_timeout(), Some(SOON), "no delay is shorter than a millisecond");
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["at once", "a", "a again", "b", "c"]);
    assert_eq!(net.now().as_millis(), 30);
}

#[test]
fn an_interval_runs_until_it_is_cleared_also_by_itself() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let own = Rc::new(Cell::new(None));
    let handle = Rc::clone(&own);
    let interval = lp.set_interval(Duration::from_millis(10), move || {
        notes.note("interval");
        if notes.len() == 5 {
            lp.clear(handle.get().expect("set below"));
        }
    });
    own.set(Some(interval));
    event_loop.run().unwrap();
    assert_eq!((log.len(), net.now().as_millis()), (5, 50));
}

#[test]
fn refresh_begins_a_delay_anew() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let timer = lp.set_timeout(Duration::from_millis(100), || {});
    lp.set_timeout(Duration::from_millis(60), move || assert!(timer.refresh()));
    event_loop.run().unwrap();
    assert_eq!(net.now().as_millis(), 160);
    assert!(!timer.refresh() && !timer.has_ref());
}

#[test]
fn what_is_not_referenced_does_not_keep_the_loop() {
    let (net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let forgotten = lp.set_interval(Duration::from_millis(10), log.noting("tick")).unref();
    assert!(!forgotten.has_ref() && !event_loop.is_alive());
    event_loop.run().unwrap();
    assert_eq!(log.len(), 0);
    // It runs while something else keeps the loop.
    lp.set_timeout(Duration::from_millis(35), log.noting("end"));
    event_loop.run().unwrap();
    assert_eq!(log.all(), ["tick", "tick", "tick", "end"]);
    assert!(forgotten.ref_().has_ref() && event_loop.is_alive());
    forgotten.clear();
    let server = http::create_server(lp, |_req, res| res.end(""));
    server.listen("127.0.0.1:80").unwrap();
    assert!(event_loop.is_alive());
    server.unref();
    assert!(!event_loop.is_alive());
    server.ref_();
    assert!(event_loop.is_alive());
    drop(net);
}

#[test]
fn the_order_within_a_turn_is_timers_then_immediates() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    lp.set_immediate(move || {
        notes.note("immediate 1");
        let later = notes.clone();
        // From an immediate: the next turn.
        lp.set_immediate(move || later.note("immediate 3"));
    });
    lp.set_immediate(log.noting("never")).clear();
    lp.set_immediate(log.noting("immediate 2"));
    assert_eq!(event_loop.next_timeout(), Some(Duration::ZERO));
    event_loop.turn(None).unwrap();
    assert_eq!(log.all(), ["immediate 1", "immediate 2"]);
    event_loop.run().unwrap();
    assert_eq!(log.len(), 3);
    let notes = log.clone();
    lp.set_timeout(SOON, move || {
        notes.note("timer");
        let later = notes.clone();
        // From a timer: still in this turn.
        lp.set_immediate(move || later.note("immediate 4"));
    });
    event_loop.turn(None).unwrap();
    assert_eq!(log.all()[3..], ["timer", "immediate 4"]);
}

#[test]
fn posts_from_other_threads_run_on_the_loop() {
    let mut event_loop = EventLoop::new().unwrap();
    let (tell, told) = mpsc::channel();
    let home = std::thread::current().id();
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let (remote, tell) = (event_loop.remote(), tell.clone());
            std::thread::spawn(move || {
                for at in 0..100 {
                    let tell = tell.clone();
                    let posted = remote.post(move |lp| {
                        assert!(lp.is_open());
                        let _ = tell.send((number, at, std::thread::current().id()));
                    });
                    posted.expect("there is room");
                }
            })
        })
        .collect();
    drop(tell);
    // The loop goes on while a remote lives, and ends when the last is gone and all posts have run.
    event_loop.run().unwrap();
    for thread in threads {
        thread.join().expect("posted");
    }
    let all: Vec<_> = told.iter().collect();
    assert_eq!(all.len(), 400);
    assert!(all.iter().all(|(_, _, thread)| *thread == home));
    for number in 0..4 {
        let order: Vec<_> = all.iter().filter(|post| post.0 == number).map(|post| post.1).collect();
        assert!(order.is_sorted(), "the posts of one thread keep their order");
    }
}

#[test]
fn a_post_wakes_a_loop_that_sleeps() {
    let mut event_loop = EventLoop::new().unwrap();
    let lp = event_loop.handle();
    // Without the wake-up it would sleep for an hour.
    lp.set_timeout(Duration::from_secs(3600), || {});
    let remote = event_loop.remote();
    let thread = std::thread::spawn(move || remote.post(|lp| lp.stop()).expect("there is room"));
    event_loop.run().unwrap();
    thread.join().expect("posted");
}

#[test]
fn stop_ends_a_run_and_the_loop_can_run_again() {
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    lp.set_interval(SOON, move || {
        notes.note("tick");
        lp.stop();
    });
    event_loop.run().unwrap();
    assert_eq!(log.len(), 1);
    event_loop.run().unwrap();
    assert_eq!(log.len(), 2);
}

#[test]
fn a_turn_of_zero_does_not_wait() {
    let mut event_loop = EventLoop::new().unwrap();
    let log = Log::new();
    event_loop.handle().set_timeout(Duration::from_secs(3600), log.noting("never"));
    // Each of them would last an hour.
    for _ in 0..3 {
        assert_eq!(event_loop.turn(Some(Duration::ZERO)).unwrap(), 0);
    }
    assert_eq!(log.len(), 0);
    let left = event_loop.next_timeout().expect("a timer");
    assert!(left > Duration::from_secs(3000) && left <= Duration::from_secs(3600));
}

#[test]
fn the_descriptor_tells_a_foreign_loop_when_to_turn() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let descriptor = world.event_loop.as_raw_fd();
    if descriptor < 0 {
        // mio's poll(2) back end has none.
        return;
    }
    while world.event_loop.turn(Some(Duration::ZERO)).unwrap() > 0 {}
    let mut foreign = mio::Poll::new().unwrap();
    let mut source = mio::unix::SourceFd(&descriptor);
    foreign.registry().register(&mut source, mio::Token(1), mio::Interest::READABLE).unwrap();
    let mut events = mio::Events::with_capacity(8);
    let mut peer = world.send(&server, get("/", ""));
    // Turned only when the descriptor says so; the answer comes all the same.
    while peer.received.is_empty() {
        foreign.poll(&mut events, Some(Duration::from_secs(20))).unwrap();
        assert!(!events.is_empty(), "the descriptor says nothing");
        while world.event_loop.turn(Some(Duration::ZERO)).unwrap() > 0 {}
        peer.pump();
    }
    assert!(peer.text().starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn handles_that_outlive_their_loop_do_nothing() {
    let mut world = World::new();
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let lp = world.lp;
    let server = world.serve(move |_req, res| keeps.set(Some(res)));
    let request = http::request(lp, "POST", url_of(&server)).unwrap();
    let timer = lp.set_timeout(SOON, || {});
    let remote = world.event_loop.remote();
    let mut peer = world.send(&server, get("/", ""));
    let responses = Rc::clone(&kept);
    let res = world.wait("a request", || responses.take());
    drop(world);
    // Another loop on the same thread takes up the same place.
    let mut other = World::new();
    let other_server = other.serve(|_req, res| res.end("other"));
    assert!(!lp.is_open() && !res.is_open() && !request.is_open() && !timer.has_ref());
    assert!(!res.write("x") && res.set_header("A", "b").is_err() && !request.write("x"));
    res.end("x");
    res.destroy();
    request.end("x");
    request.destroy();
    timer.clear();
    assert!(!timer.refresh());
    server.close();
    server.close_all_connections();
    assert_eq!(server.address(), None);
    assert_eq!(server.listen("127.0.0.1:0").unwrap_err().code(), "ERR_SERVER_NOT_RUNNING");
    assert!(http::request(lp, "GET", "http://127.0.0.1:1/").is_err());
    assert!(remote.post(|_| ()).is_err());
    lp.set_timeout(SOON, || panic!("on a loop that is gone"));
    lp.set_immediate(|| panic!("on a loop that is gone"));
    let dead = http::create_server(lp, |_req, res| res.end(""));
    assert!(dead.listen("127.0.0.1:0").is_err());
    peer.pump();
    assert_eq!(other.ask(&other_server, get("/", "")).text(), "other");
}

#[test]
fn dropping_a_loop_closes_everything_and_drops_closures_outside_of_it() {
    struct Calls(Response, Log);
    impl Drop for Calls {
        fn drop(&mut self) {
            self.0.end("from a destructor");
            self.1.note("dropped");
        }
    }
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |_req, res| {
        let calls = Calls(res, notes.clone());
        res.on_close(move || calls.1.note("closed"));
        notes.note("request");
    });
    let mut peer = world.send(&server, get("/", ""));
    let lines = log.clone();
    world.until("the request", || lines.has("request"));
    drop(world);
    assert_eq!(log.all(), ["request", "dropped"]);
    while peer.ending.is_none() {
        peer.pump();
    }
    assert_eq!(peer.text(), "");
}

#[test]
fn a_panic_leaves_the_loop_fit_to_go_on() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.end("answered");
        assert!(req.url() != "/panic", "as the test wants");
    });
    let mut peer = world.send(&server, get("/panic", ""));
    let mut patience = 0;
    while catch_unwind(AssertUnwindSafe(|| world.turn())).is_ok() {
        patience += 1;
        assert!(patience < 20_000, "no panic");
    }
    world.until_end(&mut peer);
    assert_eq!(world.ask(&server, get("/", "")).text(), "answered");
}

#[test]
fn contained_panics_are_500_and_nobody_else_notices() {
    let mut world = World::with(LoopOptions::new().panic_policy(PanicPolicy::Contain));
    let server = world.serve(|req, res| match req.url() {
        "/panic" => panic!("as the test wants"),
        "/late-panic" => {
            res.write("part");
            panic!("as the test wants");
        }
        _ => res.end("fine"),
    });
    let mut other = world.send(&server, get("/", ""));
    world.answer(&mut other);
    assert_eq!(world.ask(&server, get("/panic", "")).status, 500);
    let mut broken = world.send(&server, get("/late-panic", ""));
    world.until_end(&mut broken);
    assert!(!broken.text().contains("0\r\n\r\n"), "{}", broken.text());
    other.send(get("/", ""));
    assert_eq!(world.answer(&mut other).text(), "fine");
}

#[test]
fn a_server_can_be_given_room_in_advance() {
    let mut world =
        World::with(LoopOptions::new().reserve(100).accepts_per_turn(1).reads_per_turn(1));
    let server = world.serve_with(ServerOptions::new(), |_req, res| res.end("x"));
    let mut peers: Vec<_> = (0..30).map(|_| world.send(&server, get("/", ""))).collect();
    for peer in &mut peers {
        assert_eq!(world.answer(peer).text(), "x");
    }
}

#[test]
fn a_path_is_free_again_when_its_loop_is_gone() {
    let path = std::env::temp_dir().join(format!("onloop-loop-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    for _ in 0..2 {
        let world = World::new();
        let server = http::create_server(world.lp, |_req, res| res.end(""));
        server.listen(&path).unwrap();
    }
    assert!(!path.exists());
}

#[test]
fn a_callback_may_never_return() {
    // Closures of type `!`, as edition 2024 has them: they must be taken where callbacks are.
    let (_net, mut event_loop) = simulated();
    let lp = event_loop.handle();
    let server = http::create_server(lp, |_req, _res| unreachable!("nobody asks"));
    server.on_close(|| ());
    lp.set_timeout(SOON, || panic!("as the test wants"));
    assert!(catch_unwind(AssertUnwindSafe(|| event_loop.run())).is_err());
}

#[test]
fn a_remote_can_be_had_from_a_handle() {
    let mut event_loop = EventLoop::new().unwrap();
    let lp = event_loop.handle();
    let log = Log::new();
    let notes = log.clone();
    let (sender, receiver) = std::sync::mpsc::channel();
    lp.set_immediate(move || sender.send(lp.remote().unwrap()).unwrap());
    let thread = std::thread::spawn(move || {
        let remote: onloop::Remote = receiver.recv().unwrap();
        remote.post(|lp| lp.stop()).unwrap();
        remote
    });
    event_loop.run().unwrap();
    notes.note("stopped");
    let remote = thread.join().unwrap();
    drop(event_loop);
    assert_eq!(lp.remote().unwrap_err().code(), "ERR_LOOP_CLOSED");
    assert_eq!(remote.post(|_| ()).unwrap_err().code(), "ERR_POST_FAILED");
    assert_eq!(log.len(), 1);
}
