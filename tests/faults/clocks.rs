//! Clocks that jump: a machine that sleeps, a process that was stopped, a callback that takes an hour. What is promised
//! is in SECURITY.md: what became due meanwhile happens once, bytes that came meanwhile count before clocks do,
//! and the time of day decides nothing.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use onloop::LoopOptions;
use onloop::http::{self, ServerOptions};
use onloop::sim::{SimNet, SimOptions, SimPeer, stats};

use crate::common::Log;
use crate::common::clocked::{Clocked, seconds};

const HOURS: Duration = Duration::from_secs(5 * 3600);

/// A few turns, in which no time passes that anybody waits for.
fn settle(clocked: &mut Clocked, peers: &[&SimPeer]) -> Vec<String> {
    let mut received = vec![Vec::new(); peers.len()];
    for _ in 0..20 {
        clocked.pass(Duration::from_millis(10));
        for (peer, received) in peers.iter().zip(&mut received) {
            received.extend(peer.read());
        }
    }
    received.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
}

const HEAD: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";

/// A server that answers with what it was sent, and the peers: nothing sent, half a head, half the content, idle.
fn peers_in_all_states(clocked: &mut Clocked) -> (http::Server, Log, [SimPeer; 4]) {
    let log = Log::new();
    let noted = log.clone();
    let server = clocked.serve(ServerOptions::new(), move |req, res| {
        res.on_close(noted.noting("close"));
        req.on_aborted(noted.noting("aborted"));
        req.collect(100, move |content| match content {
            Ok(content) => res.end(content),
            Err(_) => res.destroy(),
        });
    });
    let idle = format!("{HEAD}idle");
    let peers = [
        clocked.send(""),
        clocked.send(&HEAD[..20]),
        clocked.send(&format!("{HEAD}ha")),
        clocked.send(&idle),
    ];
    let received = settle(clocked, &[&peers[0], &peers[1], &peers[2], &peers[3]]);
    assert!(received[3].ends_with("idle"), "{received:?}");
    assert_eq!(clocked.connections(), 4);
    log.clear();
    (server, log, peers)
}

#[test]
fn what_became_due_in_a_jump_happens_once_and_at_once() {
    let mut clocked = Clocked::new();
    let (_server, log, peers) = peers_in_all_states(&mut clocked);
    let (fired, ticked) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (timer, interval) = (Rc::clone(&fired), Rc::clone(&ticked));
    let lp = clocked.event_loop.handle();
    lp.set_timeout(seconds(1), move || timer.set(timer.get() + 1));
    let every = lp.set_interval(seconds(10), move || interval.set(interval.get() + 1));
    clocked.net.advance(HOURS);
    let before = clocked.net.now();
    let received = settle(&mut clocked, &[&peers[0], &peers[1], &peers[2], &peers[3]]);
    assert!(clocked.net.now() - before < seconds(1));
    assert_eq!(clocked.connections() - stats(&clocked.event_loop).lingering, 0);
    // 408 where something had come, and a plain close where nothing had.
    let status = |text: &String| text.get(9..12).unwrap_or_default().to_owned();
    assert_eq!(received.iter().map(status).collect::<Vec<_>>(), ["", "408", "408", ""]);
    assert_eq!((log.count("aborted"), log.count("close")), (1, 1));
    // Not as often as it would have been due.
    assert_eq!((fired.get(), ticked.get()), (1, 1));
    every.clear();
}

#[test]
fn bytes_that_came_within_a_jump_count_before_its_clocks() {
    let mut clocked = Clocked::new();
    let (_server, log, peers) = peers_in_all_states(&mut clocked);
    // All but the first second of the jump is behind these.
    peers[0].write(format!("{HEAD}new!").as_bytes());
    peers[1].write(format!("{}late", &HEAD[20..]).as_bytes());
    peers[2].write(b"lf");
    peers[3].write(format!("{HEAD}more").as_bytes());
    clocked.net.advance(HOURS);
    let received = settle(&mut clocked, &[&peers[0], &peers[1], &peers[2], &peers[3]]);
    for (text, content) in received.iter().zip(["new!", "late", "half", "more"]) {
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with(content), "{text}");
    }
    assert_eq!((log.count("aborted"), log.count("close")), (0, 4));
    assert_eq!(clocked.connections(), 4);
}

#[test]
fn a_client_that_reads_within_a_jump_keeps_its_answer() {
    const LENGTH: usize = 300_000;
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| res.end(vec![b'x'; LENGTH]));
    let peer = clocked.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    clocked.pass(seconds(1));
    let mut received = 0;
    // An hour passes between any two turns, and the client reads each time what is here.
    while received < LENGTH {
        let bytes = peer.read().len();
        assert!(bytes > 0 && !peer.is_reset(), "{received} bytes came");
        received += bytes;
        clocked.net.advance(Duration::from_secs(3600));
        for _ in 0..3 {
            clocked.event_loop.turn(Some(Duration::ZERO)).expect("a turn");
        }
        clocked.net.advance(Duration::from_millis(1));
    }
}

#[test]
fn a_callback_that_takes_an_hour_ends_nobody_who_was_waiting_for_it() {
    let mut clocked = Clocked::new();
    let net = clocked.net.clone();
    clocked.serve(ServerOptions::new(), move |req, res| {
        if req.url() == "/slow" {
            net.advance(Duration::from_secs(3600));
        }
        res.end("fine");
    });
    let waiting: Vec<_> =
        (0..5).map(|_| clocked.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let slow = clocked.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
    let late: Vec<_> = (0..5).map(|_| clocked.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")).collect();
    let all: Vec<_> = waiting.iter().chain([&slow]).chain(&late).collect();
    for text in settle(&mut clocked, &all) {
        assert!(text.ends_with("fine"), "{text:?}");
    }
}

#[test]
fn requests_end_once_on_a_clock_that_jumps_all_the_time() {
    for seed in 0..50 {
        let options = SimOptions::default()
            .delay(Duration::ZERO..=Duration::from_millis(300))
            .fragments(300, 50)
            .clock_jumps(100, HOURS);
        let net = SimNet::with_options(seed, options);
        let mut event_loop = net.event_loop(LoopOptions::new());
        let lp = event_loop.handle();
        let server = http::create_server(lp, |req, res| req.pipe(res));
        server.listen("127.0.0.1:80").expect("a free port");
        let log = Log::new();
        for _ in 0..20 {
            let request = http::request(lp, "POST", "http://127.0.0.1/").expect("a request");
            let (answered, failed) = (log.clone(), log.clone());
            request.on_response(move |response| {
                response.collect(100_000, move |content| match content {
                    Ok(content) => {
                        assert_eq!(content.len(), 10_000);
                        answered.note("whole");
                    }
                    Err(_) => answered.note("broken"),
                });
            });
            request.on_error(move |_| failed.note("failed"));
            request.on_close(log.noting("close"));
            request.end(vec![b'x'; 10_000]);
        }
        let mut turns = 0;
        while log.count("close") < 20 {
            event_loop.turn(Some(seconds(10))).expect("a turn");
            turns += 1;
            assert!(turns < 100_000, "seed {seed} hangs: {:?}", log.all());
        }
        let outcomes = log.count("whole") + log.count("broken") + log.count("failed");
        assert_eq!((outcomes, log.count("close")), (20, 20), "seed {seed}");
        server.close();
        event_loop.run().expect("it ends");
        assert!(stats(&event_loop).is_empty(), "seed {seed}");
    }
}

#[test]
fn the_time_of_day_decides_nothing() {
    let mut clocked = Clocked::new();
    let (_server, log, peers) = peers_in_all_states(&mut clocked);
    let fired = Rc::new(Cell::new(false));
    let timer = Rc::clone(&fired);
    clocked.event_loop.handle().set_timeout(seconds(30), move || timer.set(true));
    // Years forth and back, as a battery that was empty makes it; and beyond what `Date` can say.
    for years in [10, -20, -100, 20_000, 30] {
        clocked.net.set_wall_clock_offset(years * 365 * 86_400 * 1_000_000);
        settle(&mut clocked, &[]);
        assert_eq!((clocked.connections(), log.len(), fired.get()), (4, 0, false));
    }
    peers[3].write(format!("{HEAD}date").as_bytes());
    let received = settle(&mut clocked, &[&peers[3]]);
    assert!(received[0].ends_with("date") && received[0].contains("20"), "{received:?}");
    clocked.pass(seconds(31));
    assert!(fired.get());
}
