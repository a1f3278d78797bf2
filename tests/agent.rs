//! Free connections of the client: which request goes on which connection, and which connections are never
//! used again.

mod common;

use std::cell::RefCell;
use std::net::TcpListener;
use std::rc::Rc;

use common::asked::Asked;
use common::{Log, Peer, World, get, raw_server, url_of};
use onloop::http::{self, RequestOptions};
use onloop::{LoopOptions, Sent, sim};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn ask(world: &World, url: &str) -> Asked {
    ask_with(world, RequestOptions::new("GET", url))
}

fn ask_with(world: &World, options: RequestOptions) -> Asked {
    Asked::send(world.lp, options)
}

/// Serves one request on this connection.
fn serve(world: &mut World, peer: &mut Peer, asked: &Asked, answer: &str) {
    world.expect(peer, "\r\n\r\n");
    peer.send(answer);
    assert_eq!(asked.done(world), ["200", "closed"]);
}

/// A connection that was used once and is free.
fn used(world: &mut World, listener: &TcpListener, url: &str, answer: &str) -> Peer {
    let asked = ask(world, url);
    let mut peer = world.accept(listener);
    serve(world, &mut peer, &asked, answer);
    peer
}

fn free(world: &World) -> usize {
    sim::stats(&world.event_loop).free_connections
}

#[test]
fn a_connection_is_used_again() {
    let ports = Rc::new(RefCell::new(Vec::new()));
    let keeps = Rc::clone(&ports);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        keeps.borrow_mut().push(req.remote_address().and_then(|from| from.port()));
        res.end("x");
    });
    for reused in [false, true, true] {
        let asked = ask(&world, &url_of(&server));
        assert_eq!(asked.request.is_reused(), reused);
        assert_eq!(asked.done(&mut world), ["200", "closed"]);
        assert_eq!(free(&world), 1);
    }
    let ports = ports.borrow();
    assert!(ports[0].is_some() && ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    // Idle connections do not keep the loop running.
    server.close();
    world.until_over();
}

#[test]
fn a_request_made_in_on_end_finds_the_connection() {
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(|_req, res| res.end("x"));
    let url = url_of(&server);
    let log = Log::new();
    let notes = log.clone();
    http::get(lp, url.clone(), move |response| {
        response.resume();
        response.on_end(move || {
            let next = http::get(lp, &url, |response| response.resume())?;
            notes.note(format!("reused {}", next.is_reused()));
            next.on_close(notes.noting("closed"));
            Ok(())
        });
    })
    .unwrap();
    let lines = log.clone();
    world.until("the second", || lines.has("closed"));
    assert_eq!(log.all(), ["reused true", "closed"]);
}

#[test]
fn requests_at_the_same_time_have_connections_of_their_own_and_the_last_freed_is_next() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked: Vec<Asked> = (0..3).map(|_| ask(&world, &url)).collect();
    let mut peers: Vec<Peer> = (0..3).map(|_| world.accept(&listener)).collect();
    for (peer, which) in peers.iter_mut().zip(0..) {
        world.expect(peer, "\r\n\r\n");
        peer.send(FINE);
        let free_before = which;
        world.wait("one more free connection", || Some(()));
        while free(&world) == free_before {
            world.turn();
        }
    }
    for asked in &asked {
        assert_eq!(asked.done(&mut world), ["200", "closed"]);
    }
    // Most recently used first.
    let next = ask(&world, &url);
    serve(&mut world, &mut peers[2], &next, FINE);
    assert!(listener.accept().is_err(), "no fourth connection");
}

#[test]
fn some_answers_do_not_leave_a_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // Bytes that nobody asked for: they are never an answer to the next request.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let mut first = used(&mut world, &listener, &url, answer);
        assert_eq!(free(&world), 0, "{answer}");
        world.until_end(&mut first);
        let next = ask(&world, &url);
        assert!(!next.request.is_reused(), "{answer}");
        let mut second = world.accept(&listener);
        serve(&mut world, &mut second, &next, FINE);
    }
}

#[test]
fn without_keep_alive_a_connection_serves_once() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let mut kept = used(&mut world, &listener, &url, FINE);
    let once = ask_with(&world, RequestOptions::new("GET", &url).keep_alive(false));
    assert!(!once.request.is_reused());
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    peer.send(FINE);
    assert_eq!(once.done(&mut world), ["200", "closed"]);
    world.until_end(&mut peer);
    // The free one was left alone.
    let next = ask(&world, &url);
    serve(&mut world, &mut kept, &next, FINE);
}

#[test]
fn a_connection_that_the_server_closed_is_not_used() {
    for late in [false, true] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let mut first = used(&mut world, &listener, &url, FINE);
        first.end();
        if late {
            while free(&world) > 0 {
                world.turn();
            }
        }
        // Else no event has told of the end yet: it is looked for.
        let next = ask(&world, &url);
        assert!(!next.request.is_reused());
        let mut second = world.accept(&listener);
        serve(&mut world, &mut second, &next, FINE);
    }
}

#[test]
fn bytes_on_a_free_connection_spoil_it() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let mut first = used(&mut world, &listener, &url, FINE);
    first.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    let next = ask(&world, &url);
    assert!(!next.request.is_reused());
    let mut second = world.accept(&listener);
    serve(&mut world, &mut second, &next, FINE);
    world.until_end(&mut first);
}

#[test]
fn a_reused_connection_that_dies_says_so() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let mut first = used(&mut world, &listener, &url, FINE);
    let options = RequestOptions::new("POST", &url);
    let log = Log::new();
    let notes = log.clone();
    let request = http::request_with(world.lp, options).unwrap();
    assert!(request.is_reused());
    request.on_error(move |error| {
        notes.note(error.code());
        assert_eq!(error.sent(), Some(Sent::SentNoReply));
        assert!(error.to_string().contains("kept-alive"), "{error}");
    });
    request.on_close(log.noting("closed"));
    request.end("content");
    world.expect(&mut first, "content");
    first.end();
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    assert_eq!(log.all(), ["ECONNRESET", "closed"]);
}

#[test]
fn origins_are_kept_apart() {
    let (listener_a, url_a) = raw_server();
    let (listener_b, url_b) = raw_server();
    let mut world = World::new();
    let mut to_a = used(&mut world, &listener_a, &url_a, FINE);
    let to_b = used(&mut world, &listener_b, &url_b, FINE);
    assert_eq!(free(&world), 2);
    let next = ask(&world, &format!("{url_a}other/path"));
    assert!(next.request.is_reused());
    serve(&mut world, &mut to_a, &next, FINE);
    // Another name of the same host is another origin.
    let named = ask(&world, &url_a.replace("127.0.0.1", "localhost"));
    assert!(!named.request.is_reused());
    named.request.destroy();
    drop(to_b);
}

#[test]
fn so_many_free_connections_are_kept_and_no_more() {
    let mut world = World::with(LoopOptions::new().free_connections_per_origin(2));
    let (listener, url) = raw_server();
    let asked: Vec<Asked> = (0..5).map(|_| ask(&world, &url)).collect();
    let mut peers: Vec<Peer> = (0..5).map(|_| world.accept(&listener)).collect();
    for peer in &mut peers {
        world.expect(peer, "\r\n\r\n");
        peer.send(FINE);
    }
    for asked in &asked {
        assert_eq!(asked.done(&mut world), ["200", "closed"]);
    }
    assert_eq!(free(&world), 2);
    let mut none = World::with(LoopOptions::new().free_connections_per_origin(0));
    used(&mut none, &listener, &url, FINE);
    assert_eq!(free(&none), 0);
}

#[test]
fn destroying_a_finished_exchange_spares_the_connection() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = ask(&world, &url);
    let mut peer = world.accept(&listener);
    serve(&mut world, &mut peer, &asked, FINE);
    asked.request.destroy();
    asked.request.end("stale");
    asked.request.set_timeout(std::time::Duration::from_millis(1));
    let next = ask(&world, &url);
    assert!(next.request.is_reused());
    asked.request.destroy();
    serve(&mut world, &mut peer, &next, FINE);
}

#[test]
fn an_early_answer_waits_for_the_request_to_be_written() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let log = Log::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.on_response(log.noting_response());
    request.on_close(log.noting("closed"));
    request.write("some");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "some");
    peer.send(FINE);
    let lines = log.clone();
    world.until("the response", || lines.has("200"));
    assert_eq!((log.all(), free(&world)), (vec!["200".to_owned()], 0));
    let other = ask(&world, &url);
    assert!(!other.request.is_reused(), "the request still writes");
    request.end("rest");
    world.until("the end", || lines.has("closed"));
    world.expect(&mut peer, "rest\r\n0\r\n\r\n");
    assert_eq!(free(&world), 1);
    other.request.destroy();
}

#[test]
fn a_server_of_ours_and_a_client_of_ours_make_many_exchanges() {
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(|_req, res| res.end("x"));
    let url = url_of(&server);
    let log = Log::new();
    // Twenty chains of fifty requests, each made when the one before is over.
    fn chain(lp: onloop::LoopHandle, url: Rc<str>, left: usize, log: Log) -> onloop::Result<()> {
        if left == 0 {
            log.note("done");
            return Ok(());
        }
        let (next, notes) = (Rc::clone(&url), log.clone());
        let request = http::get(lp, &*url, |response| response.resume())?;
        request.on_error(log.noting_error("error"));
        request.on_close(move || chain(lp, next, left - 1, notes));
        Ok(())
    }
    for _ in 0..20 {
        chain(lp, url.as_str().into(), 50, log.clone()).unwrap();
    }
    let lines = log.clone();
    world.until("all chains", || lines.len() == 20);
    assert_eq!(log.count("done"), 20, "{:?}", log.all());
    assert!(free(&world) <= 20);
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
}
