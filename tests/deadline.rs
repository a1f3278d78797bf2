//! The deadline of a client request: from the call to the last byte of the response, whatever happens meanwhile.

mod common;

use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::asked::Asked;
use common::clocked::{Clocked, LATE, assert_about, seconds};
use common::{Log, World, raw_server};
use onloop::http::{self, Agent, AgentOptions, RequestOptions, Retries, ServerOptions};
use onloop::sim::{self, Route};
use onloop::{Clock, ErrorKind, LoopHandle};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn begin(lp: LoopHandle, options: RequestOptions) -> Asked {
    let request = http::request_with(lp, options).expect("a request");
    let log = Log::new();
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(response.status().to_string());
        response.resume();
        response.on_end(notes.noting("end"));
        response.on_aborted(notes.noting("aborted"));
        response.on_error(told("response", &notes));
        response.on_close(notes.noting("response closed"));
    });
    request.on_error(told("request", &log));
    request.on_close(log.noting("closed"));
    Asked { request, log }
}

fn told(whose: &'static str, log: &Log) -> impl FnOnce(onloop::Error) + 'static {
    let log = log.clone();
    move |error| {
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Deadline), "{error}");
        assert!(error.is_timeout());
        log.note(format!("{whose} {} {:?}", error.code(), error.sent()));
    }
}

fn ask(lp: LoopHandle, options: RequestOptions) -> Asked {
    let asked = begin(lp, options);
    asked.request.end("");
    asked
}

fn options(deadline: u64) -> RequestOptions {
    RequestOptions::new("GET", "http://127.0.0.1/").deadline(seconds(deadline))
}

#[test]
fn a_response_that_does_not_come_in_time_is_an_error() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, _res| {});
    let asked = ask(clocked.event_loop.handle(), options(30));
    let (took, log) = asked.done_in(&mut clocked);
    assert_about(took, seconds(30));
    assert_eq!(log, ["request ETIMEDOUT Some(SentNoReply)", "closed"]);
    assert_eq!(sim::stats(&clocked.event_loop).client_requests, 0);
}

#[test]
fn a_response_that_breaks_off_at_the_deadline_is_told_so() {
    for paused in [false, true] {
        let mut clocked = Clocked::new();
        let lp = clocked.event_loop.handle();
        clocked.serve(ServerOptions::new(), move |_req, res| {
            res.write("begun");
            // Bytes that move do not hold it up.
            lp.set_interval(seconds(1), move || {
                res.write("more");
            })
            .unref();
        });
        let asked = begin(lp, options(30));
        if paused {
            let notes = asked.log.clone();
            asked.request.on_response(move |response| {
                response.pause();
                response.on_aborted(notes.noting("aborted"));
                response.on_error(told("response", &notes));
            });
        }
        asked.request.end("");
        let (took, log) = asked.done_in(&mut clocked);
        assert_about(took, seconds(30));
        match paused {
            true => assert_eq!(log, ["aborted", "response ETIMEDOUT None", "closed"]),
            false => assert_eq!(
                log,
                ["200", "aborted", "response ETIMEDOUT None", "response closed", "closed"]
            ),
        }
    }
}

#[test]
fn connecting_and_waiting_in_the_queue_count() {
    let mut clocked = Clocked::new();
    clocked.net.set_route(HERE, Route::Silent);
    let lp = clocked.event_loop.handle();
    let agent = Agent::new(lp, AgentOptions::new().max_sockets(1)).unwrap();
    let connecting = ask(lp, options(20).agent(agent));
    let queued = ask(lp, options(10).agent(agent));
    let also_queued = ask(lp, options(60).agent(agent));
    clocked.pass(seconds(1));
    let (took, log) = queued.done_in(&mut clocked);
    assert_about(took, seconds(9));
    assert_eq!(log, ["request ETIMEDOUT Some(NothingSent)", "closed"]);
    assert_eq!((agent.requests()[0].1, connecting.log.len()), (1, 0));
    clocked.net.set_route(HERE, Route::Open);
    clocked.serve(ServerOptions::new(), |_req, res| res.end(""));
    let (took, log) = connecting.done_in(&mut clocked);
    assert_about(took, seconds(10));
    assert_eq!(log, ["request ETIMEDOUT Some(NothingSent)", "closed"]);
    // Its place is the next one's.
    let (_, log) = also_queued.done_in(&mut clocked);
    assert_eq!(log, ["200", "end", "response closed", "closed"]);
}

#[test]
fn what_is_sent_in_part_is_told_so() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let options = RequestOptions::new("POST", &url).deadline(Duration::from_millis(50));
    let asked = begin(world.lp, options);
    asked.request.end(vec![b'x'; 8 << 20]);
    let mut peer = world.accept(&listener);
    peer.stop_reading();
    let log = asked.log.clone();
    world.until("the deadline", || log.has("closed"));
    assert_eq!(asked.log.all(), ["request ETIMEDOUT Some(PartlySent)", "closed"]);
}

#[test]
fn redirects_and_retries_have_one_deadline_together() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        lp.set_timeout(seconds(4), move || {
            res.set_status(302);
            res.set_header("Location", "/")?;
            res.end("");
            Ok(())
        });
    });
    let asked = ask(lp, options(30).redirects(100));
    clocked.pass(seconds(29));
    assert_eq!(asked.request.redirects(), 7);
    let (took, log) = asked.done_in(&mut clocked);
    assert_about(took, seconds(1));
    assert_eq!(log, ["request ETIMEDOUT Some(SentNoReply)", "closed"]);
    clocked.net.set_route(HERE, Route::Refused);
    let retries = Retries::new(u32::MAX).max_delay(seconds(1));
    let asked = ask(lp, options(30).keep_alive(false).retries(retries));
    let (took, log) = asked.done_in(&mut clocked);
    assert_about(took, seconds(30));
    assert_eq!(log, ["request ETIMEDOUT Some(NothingSent)", "closed"]);
}

#[test]
fn one_that_is_kept_leaves_nothing_behind() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    let server = clocked.serve(ServerOptions::new(), |_req, res| res.end("x"));
    for _ in 0..500 {
        let asked = ask(lp, options(3600).keep_alive(false));
        let (_, log) = asked.done_in(&mut clocked);
        assert_eq!(log, ["200", "end", "response closed", "closed"]);
    }
    let destroyed = ask(lp, options(3600).keep_alive(false));
    destroyed.request.on_error(destroyed.log.noting_error("error"));
    destroyed.request.destroy();
    server.close();
    // It returns at once, and no timer is left that anybody would have to wait for.
    clocked.event_loop.run().unwrap();
    assert!(destroyed.log.has("closed") && clocked.net.now() < seconds(600));
    clocked.pass(seconds(60));
    assert_eq!(clocked.event_loop.next_timeout(), None, "a timer is left");
    assert!(sim::stats(&clocked.event_loop).is_empty());
}

#[test]
fn an_upgraded_connection_has_none() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let options = RequestOptions::new("GET", &url)
        .header("Connection", "upgrade")
        .header("Upgrade", "raw")
        .retries(Retries::new(3))
        .deadline(seconds(3600));
    let asked = begin(world.lp, options);
    let notes = asked.log.clone();
    asked.request.on_upgrade(move |_response, socket, _head| {
        notes.note("upgraded");
        socket.write("hello");
        let notes = notes.clone();
        socket.on_data(move |chunk| {
            notes.note(String::from_utf8_lossy(chunk));
            socket.end("");
        });
    });
    asked.request.end("");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
    // What was kept of the request is not sent again on it.
    assert_eq!(world.expect(&mut peer, "hello"), "hello");
    assert!(world.event_loop.next_timeout().is_none_or(|next| next < seconds(60)), "it runs on");
    peer.send("hi");
    peer.end();
    let log = asked.log.clone();
    world.until("the bytes", || log.has("hi"));
    assert_eq!(
        asked.log.all(),
        ["upgraded", "closed", "hi"],
        "the request is over, the stream is not"
    );
}

#[test]
fn no_time_at_all_ends_it_in_the_next_turn() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| res.end("x"));
    let asked = ask(clocked.event_loop.handle(), options(0));
    assert_eq!(asked.log.len(), 0, "errors never come inside a call");
    let (took, log) = asked.done_in(&mut clocked);
    assert!(took < LATE && log.len() == 2, "{log:?}");
    assert!(log[0].starts_with("request ETIMEDOUT"), "{log:?}");
}

#[test]
fn a_deadline_alone_changes_nothing_else() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, res| {
        res.set_status(302);
        res.set_header("Location", "/").unwrap();
        res.end("x");
    });
    let lp = clocked.event_loop.handle();
    let asked = ask(lp, options(60));
    assert_eq!(asked.done_in(&mut clocked).1, ["302", "end", "response closed", "closed"]);
    clocked.net.set_route(HERE, Route::Refused);
    let asked = begin(lp, options(60).keep_alive(false));
    asked.request.on_error(asked.log.noting_error("error"));
    asked.request.end("");
    assert_eq!(asked.done_in(&mut clocked).1, ["error ECONNREFUSED", "closed"]);
}

#[test]
fn a_deadline_that_passes_for_a_request_that_is_on_its_way_out_is_counted_no_more() {
    let mut clocked = Clocked::new();
    clocked.serve(ServerOptions::new(), |_req, _res| {});
    let lp = clocked.event_loop.handle();
    let log = Log::new();
    let request = http::request_with(lp, options(30)).expect("a request");
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    lp.set_timeout(seconds(29), move || request.destroy());
    // The turn goes no further, and the request is still there in the next one.
    lp.set_timeout(seconds(31), || panic!("of the program's own"));
    clocked.net.advance(seconds(32));
    let turned = catch_unwind(AssertUnwindSafe(|| clocked.event_loop.turn(Some(seconds(0)))));
    turned.expect_err("the panic");
    sim::check(&clocked.event_loop).expect("a timer that has gone off is none");
    assert!(clocked.event_loop.turn(Some(seconds(0))).is_ok());
    sim::check(&clocked.event_loop).expect("and it is over");
    assert_eq!(log.all(), ["error ECONNRESET", "closed"]);
}
