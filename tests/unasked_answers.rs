//! Answers that nobody has asked for: what a server says before anything of a request was sent is no answer to it
//! (RFC 9112 §9.2), or a server that knows when its client comes back could answer in another one's place.

mod common;

use std::net::TcpListener;

use common::{Log, Peer, World, raw_server};
use onloop::http::{self, AgentOptions, ClientRequest, RequestOptions};
use onloop::sim;

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// What a server may say although nobody has asked.
const UNASKED: [&str; 5] = [
    EVIL,
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "H",
];

/// A request whose head is not sent, and what becomes of it.
fn begin(world: &World, options: RequestOptions) -> (ClientRequest, Log) {
    let log = Log::new();
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_response(move |response| {
        let notes = notes.clone();
        response.collect(100, move |content| {
            notes.note(String::from_utf8_lossy(&content?).into_owned());
            Ok(())
        });
        Ok(())
    });
    request.on_continue(log.noting("continue"));
    let notes = log.clone();
    request.on_error(move |error| notes.note(format!("{} {:?}", error.code(), error.sent())));
    request.on_close(log.noting("closed"));
    (request, log)
}

/// A connection that has served a request and was kept.
fn kept(world: &mut World, listener: &TcpListener, url: &str) -> Peer {
    let (request, log) = begin(world, RequestOptions::new("GET", url));
    request.end("");
    let mut peer = world.accept(listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    world.until("the end", || log.has("closed"));
    peer
}

#[test]
fn a_kept_connection_that_answers_before_it_is_asked_is_given_up_for_another() {
    for unasked in UNASKED {
        for method in ["GET", "POST"] {
            let mut world = World::new();
            let (listener, url) = raw_server();
            let mut evil = kept(&mut world, &listener, &url);
            let (request, log) = begin(&world, RequestOptions::new(method, &url));
            assert!(request.is_reused());
            evil.send(unasked);
            world.until_end(&mut evil);
            assert_eq!(evil.text(), "");
            request.end("");
            let mut second = world.accept(&listener);
            world.expect(&mut second, "\r\n\r\n");
            second.send(FINE);
            world.until("the end", || log.has("closed"));
            assert_eq!(log.all(), ["ok", "closed"], "{method} {unasked:?}");
            sim::check(&world.event_loop).expect("all in order");
        }
    }
}

#[test]
fn what_a_kept_connection_says_in_the_turn_in_which_a_request_is_sent_is_no_answer() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let mut evil = kept(&mut world, &listener, &url);
    let (request, log) = begin(&world, RequestOptions::new("POST", &url));
    // Both are due when the loop looks: what is to be sent, and what was said before.
    evil.send(EVIL);
    request.end("");
    let mut second = world.accept(&listener);
    world.expect(&mut second, "\r\n\r\n");
    second.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["ok", "closed"]);
    world.until_end(&mut evil);
    assert_eq!(evil.text(), "");
}

#[test]
fn a_new_connection_that_answers_before_it_is_asked_is_no_answer_and_nothing_was_sent() {
    for unasked in UNASKED {
        let mut world = World::new();
        let (listener, url) = raw_server();
        let (request, log) = begin(&world, RequestOptions::new("POST", &url));
        let mut evil = world.accept(&listener);
        evil.send(unasked);
        world.until("the end", || log.has("closed"));
        assert_eq!(log.all(), ["ECONNRESET Some(NothingSent)", "closed"], "{unasked:?}");
        world.until_end(&mut evil);
        assert!(!request.write("late"));
        sim::check(&world.event_loop).expect("all in order");
    }
}

#[test]
fn a_refusal_that_comes_with_the_connection_is_the_answer_of_a_request_that_was_ready() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let (request, log) = begin(&world, RequestOptions::new("GET", &url));
    request.end("");
    let mut busy = world.accept(&listener);
    busy.send("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\nbusy");
    busy.end();
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["busy", "closed"]);
}

#[test]
fn a_request_that_waited_is_not_answered_by_what_its_connection_had_said_before() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let options = AgentOptions::new().max_sockets(1);
    let agent = http::Agent::new(world.lp, options).expect("an agent");
    let (first, first_log) = begin(&world, RequestOptions::new("GET", &url).agent(agent));
    let (waiting, log) = begin(&world, RequestOptions::new("GET", &url).agent(agent));
    first.end("");
    let mut evil = world.accept(&listener);
    world.expect(&mut evil, "\r\n\r\n");
    evil.send(FINE);
    world.until("the end", || first_log.has("closed"));
    evil.send(EVIL);
    world.until_end(&mut evil);
    waiting.end("");
    let mut second = world.accept(&listener);
    world.expect(&mut second, "\r\n\r\n");
    second.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["ok", "closed"]);
}
