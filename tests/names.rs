//! Names of servers: who is asked for their addresses, how often, and what becomes of a request when nobody
//! knows them.

mod common;

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Log, World, dead_port, raw_server};
use onloop::http::{self, ClientRequest, RequestOptions};
use onloop::{Error, ErrorKind, Limit, LoopHandle, LoopOptions, Sent};

const LOCAL: &str = "127.0.0.1";

/// The names that a lookup function was asked for, in order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    fn note(&self, name: &str) {
        self.0.lock().expect("not poisoned").push(name.to_owned());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().expect("not poisoned").clone()
    }
}

fn addresses(list: &[&str]) -> io::Result<Vec<IpAddr>> {
    Ok(list.iter().map(|text| text.parse().expect("an address")).collect())
}

/// Every name is this machine's.
fn all_local() -> (LoopOptions, Asked) {
    let asked = Asked::default();
    let noting = asked.clone();
    let options = LoopOptions::new().lookup(move |name| {
        noting.note(name);
        addresses(&[LOCAL])
    });
    (options, asked)
}

/// Names that begin with `slow` are answered when the sender says so; the receiver has every name asked for.
fn gated() -> (LoopOptions, Sender<()>, Receiver<String>) {
    let (release, gate) = channel();
    let (notes, asked) = channel();
    let gate = Mutex::new(gate);
    let options = LoopOptions::new().lookup(move |name| {
        // The test may be over.
        let _ = notes.send(name.to_owned());
        if name.starts_with("slow") {
            let _ = gate.lock().expect("not poisoned").recv();
        }
        addresses(&[LOCAL])
    });
    (options, release, asked)
}

/// Makes a request on a connection of its own and notes `NAME STATUS`, or `NAME CODE`, then `NAME closed`.
fn ask(lp: LoopHandle, name: &str, port: u16, log: &Log) -> ClientRequest {
    let options = RequestOptions::new("GET", format!("http://{name}:{port}/")).keep_alive(false);
    let request = http::request_with(lp, options).expect("a request");
    let note = |what: &str| format!("{name} {what}");
    let (to, closed) = (log.clone(), note("closed"));
    request.on_close(move || to.note(closed));
    let (to, prefix) = (log.clone(), note(""));
    request.on_response(move |response| to.note(format!("{prefix}{}", response.status())));
    let (to, prefix) = (log.clone(), note(""));
    request.on_error(move |error| to.note(format!("{prefix}{}", error.code())));
    request.end("");
    request
}

fn port(server: &http::Server) -> u16 {
    server.address().and_then(|address| address.port()).expect("it listens")
}

/// The outcome of one request after the other: the status or the code of each.
#[track_caller]
fn outcomes(world: &mut World, names: &[&str], port: u16) -> Vec<String> {
    let mut outcome = |name: &&str| {
        let log = Log::new();
        ask(world.lp, name, port, &log);
        world.until(name, || log.has(&format!("{name} closed")));
        let all = log.all();
        assert_eq!(all.len(), 2, "{all:?}");
        all[0].strip_prefix(*name).expect("its name").trim().to_owned()
    };
    names.iter().map(&mut outcome).collect()
}

/// The error of a request for a name.
#[track_caller]
fn failure(world: &mut World, name: &str) -> Error {
    let request = http::request(world.lp, "GET", format!("http://{name}/")).expect("a request");
    let found = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&found);
    request.on_error(move |error| *keeps.borrow_mut() = Some(error));
    request.end("");
    assert!(found.borrow().is_none(), "an error never comes inside a call");
    world.wait("the failure", || found.borrow_mut().take())
}

#[test]
fn a_name_that_only_the_lookup_function_knows_reaches_a_local_server() {
    let (options, asked) = all_local();
    let mut world = World::with(options);
    let (listener, url) = raw_server();
    let port = url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let log = Log::new();
    let request = http::request(world.lp, "GET", format!("http://Only.Here:{port}/x")).unwrap();
    request.on_response(log.noting_response());
    request.end("");
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "\r\n\r\n").to_ascii_lowercase();
    // The server is told the name, not what it stands for.
    assert!(head.contains(&format!("\r\nhost: only.here:{port}\r\n")), "{head}");
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    world.until("the response", || log.has("204"));
    assert_eq!(asked.all(), ["only.here"]);
}

#[test]
fn a_literal_address_is_nobodys_question() {
    let (options, asked) = all_local();
    let mut world = World::with(options);
    let server = world.serve(|_req, res| res.end(""));
    assert_eq!(outcomes(&mut world, &[LOCAL], port(&server)), ["200"]);
    let (_held, dead) = dead_port();
    let log = Log::new();
    ask(world.lp, "[::1]", dead, &log);
    world.until("the end", || log.has("[::1] closed"));
    assert_eq!(asked.all().len(), 0);
}

#[test]
fn a_name_that_is_not_found_fails_its_request_and_says_which() {
    let mut world = World::with(LoopOptions::new().lookup(|name| match name {
        "empty.test" => Ok(Vec::new()),
        "later.test" => Err(io::ErrorKind::TimedOut.into()),
        _ => Err(io::Error::other("no such entry")),
    }));
    for (name, code, reason) in [
        ("nowhere.test", "ENOTFOUND", "no such entry"),
        ("empty.test", "ENOTFOUND", "no address"),
        ("later.test", "EAI_AGAIN", "timed out"),
    ] {
        let error = failure(&mut world, name);
        let facts = (error.code(), error.kind(), error.sent());
        assert_eq!(facts, (code, ErrorKind::Io, Some(Sent::NothingSent)));
        let text = error.to_string();
        assert_eq!(text.matches(name).count(), 1, "{text}");
        assert!(text.contains(code) && text.contains(reason), "{text}");
    }
    world.until_over();
}

#[test]
fn a_name_that_was_found_is_not_asked_for_again_within_the_time_of_the_cache() {
    let (options, asked) = all_local();
    let mut world = World::with(options.lookup_cache(Duration::from_secs(3600)));
    let server = world.serve(|_req, res| res.end(""));
    let names = ["a.test", "A.TEST", "b.test", "a.test"];
    assert_eq!(outcomes(&mut world, &names, port(&server)), ["200"; 4]);
    assert_eq!(asked.all(), ["a.test", "b.test"]);
}

#[test]
fn without_a_cache_each_request_asks() {
    let (options, asked) = all_local();
    let mut world = World::with(options.lookup_cache(Duration::ZERO));
    let server = world.serve(|_req, res| res.end(""));
    assert_eq!(outcomes(&mut world, &["a.test"; 3], port(&server)), ["200"; 3]);
    assert_eq!(asked.all(), ["a.test"; 3]);
}

#[test]
fn a_name_that_was_not_found_is_asked_for_again() {
    let asked = Asked::default();
    let noting = asked.clone();
    let mut world = World::with(LoopOptions::new().lookup(move |name| {
        noting.note(name);
        match noting.all().len() {
            1 => Err(io::Error::other("not yet")),
            _ => addresses(&[LOCAL]),
        }
    }));
    let server = world.serve(|_req, res| res.end(""));
    let found = outcomes(&mut world, &["new.test"; 3], port(&server));
    assert_eq!(found, ["ENOTFOUND", "200", "200"]);
    assert_eq!(asked.all().len(), 2);
}

#[test]
fn requests_for_one_name_at_a_time_are_one_question() {
    let (options, release, asked) = gated();
    let mut world = World::with(options.lookup_cache(Duration::ZERO));
    let server = world.serve(|_req, res| res.end(""));
    let other = world.serve(|_req, res| res.end(""));
    let log = Log::new();
    for port in [port(&server), port(&server), port(&other)] {
        ask(world.lp, "slow.test", port, &log);
        world.turn();
    }
    assert_eq!(asked.recv().unwrap(), "slow.test");
    release.send(()).unwrap();
    world.until("all three", || log.count("slow.test closed") == 3);
    assert_eq!(log.count("slow.test 200"), 3);
    assert!(asked.try_recv().is_err(), "it was asked for again");
}

#[test]
fn a_slow_name_does_not_hold_up_the_others() {
    let (options, release, _asked) = gated();
    let mut world = World::with(options);
    let server = world.serve(|_req, res| res.end(""));
    let log = Log::new();
    for name in ["slow-1.test", "slow-2.test", "slow-3.test"] {
        ask(world.lp, name, port(&server), &log);
        world.turn();
    }
    assert_eq!(outcomes(&mut world, &["a.test", "b.test", "c.test"], port(&server)), ["200"; 3]);
    assert_eq!(log.len(), 0);
    for _ in 0..3 {
        release.send(()).unwrap();
    }
    world.until("the slow ones", || log.len() == 6);
}

#[test]
fn with_one_thread_names_are_asked_for_in_order() {
    let (options, release, asked) = gated();
    // 0 is 1.
    let mut world = World::with(options.lookup_threads(0));
    let server = world.serve(|_req, res| res.end(""));
    let log = Log::new();
    for name in ["slow.test", "a.test", "b.test"] {
        ask(world.lp, name, port(&server), &log);
        world.turn();
    }
    assert_eq!(asked.recv().unwrap(), "slow.test");
    assert!(asked.try_recv().is_err() && log.len() == 0);
    release.send(()).unwrap();
    world.until("all three", || log.len() == 6);
    assert_eq!(asked.try_iter().collect::<Vec<_>>(), ["a.test", "b.test"]);
}

#[test]
fn a_panic_of_the_lookup_function_fails_that_name_only() {
    let options = LoopOptions::new().lookup_threads(1).lookup(|name| match name {
        "panic.test" => panic!("this panic is part of the test"),
        _ => addresses(&[LOCAL]),
    });
    let mut world = World::with(options);
    let server = world.serve(|_req, res| res.end(""));
    let names = ["a.test", "panic.test", "b.test", "panic.test"];
    let found = outcomes(&mut world, &names, port(&server));
    assert_eq!(found, ["200", "EAI_AGAIN", "200", "EAI_AGAIN"]);
}

#[test]
fn more_names_at_a_time_than_allowed_are_refused_and_the_others_go_on() {
    let (options, release, _asked) = gated();
    let mut world = World::with(options.lookups_max(2));
    let server = world.serve(|_req, res| res.end(""));
    let log = Log::new();
    for name in ["slow-1.test", "slow-2.test"] {
        ask(world.lp, name, port(&server), &log);
        world.turn();
    }
    let error = failure(&mut world, "third.test");
    assert_eq!((error.code(), error.kind()), ("EAI_AGAIN", ErrorKind::Limit(Limit::Lookups)));
    for _ in 0..2 {
        release.send(()).unwrap();
    }
    world.until("the others", || log.len() == 4);
    assert_eq!((log.count("slow-1.test 200"), log.count("slow-2.test 200")), (1, 1));
}

#[test]
fn a_lookup_keeps_the_loop_alive_and_a_request_given_up_does_not_mind_its_answer() {
    let (options, release, asked) = gated();
    let mut world = World::with(options);
    let log = Log::new();
    let (_held, dead) = dead_port();
    let request = ask(world.lp, "slow.test", dead, &log);
    world.turn();
    assert!(world.event_loop.is_alive());
    asked.recv().unwrap();
    request.destroy();
    world.until("the end", || log.has("slow.test closed"));
    release.send(()).unwrap();
    world.until_over();
    // Nobody connected anywhere: that would have been refused.
    assert!(!log.has("slow.test ECONNREFUSED"), "{:?}", log.all());
}

#[test]
fn a_loop_ends_while_a_lookup_is_under_way() {
    let (options, release, asked) = gated();
    let mut world = World::with(options);
    ask(world.lp, "slow.test", 1, &Log::new());
    world.turn();
    assert_eq!(asked.recv().unwrap(), "slow.test");
    // It does not wait for the thread, which goes when its lookup is over, and the function with it.
    drop(world);
    release.send(()).unwrap();
    assert!(asked.recv().is_err());
}

#[test]
fn one_function_serves_several_loops_and_shows_in_their_options() {
    let (options, asked) = all_local();
    assert!(format!("{options:?}").contains("lookup: Some"));
    assert!(format!("{:?}", LoopOptions::new()).contains("lookup: None"));
    for _ in 0..2 {
        let mut world = World::with(options.clone());
        let server = world.serve(|_req, res| res.end(""));
        assert_eq!(outcomes(&mut world, &["a.test"], port(&server)), ["200"]);
    }
    // What was found belongs to a loop.
    assert_eq!(asked.all(), ["a.test"; 2]);
}

/// One port of both loopback addresses; `None` on a machine without IPv6.
fn both_families() -> Option<(socket2::Socket, socket2::Socket, u16)> {
    let bound = |address: SocketAddr| {
        let kind = socket2::Type::STREAM;
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, None)?;
        socket.bind(&address.into()).map(|()| socket)
    };
    bound("[::1]:0".parse().expect("an address")).ok()?;
    loop {
        let v4 = bound("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let port = v4.local_addr().expect("bound").as_socket().expect("an address").port();
        if let Ok(v6) = bound(format!("[::1]:{port}").parse().expect("an address")) {
            return Some((v4, v6, port));
        }
    }
}

#[test]
fn of_two_families_the_one_that_listens_is_reached_and_the_first_where_both_do() {
    let Some((v4, v6, port)) = both_families() else { return };
    let options = LoopOptions::new().lookup(|_| addresses(&["::1", LOCAL]));
    let mut world = World::with(options);
    let reached = |world: &mut World| {
        let log = Log::new();
        let url = format!("http://both.test:{port}/");
        let options = RequestOptions::new("GET", url).keep_alive(false);
        let request = http::request_with(world.lp, options).expect("a request");
        let to = log.clone();
        request.on_response(move |response| {
            to.note(response.remote_address().expect("connected").ip().expect("TCP").to_string());
        });
        let to = log.clone();
        request.on_error(move |error| to.note(error.to_string()));
        request.end("");
        world.until("an end", || log.len() > 0);
        log.all()
    };
    // Nobody listens on either: one error, which tells of an address.
    let neither = reached(&mut world);
    assert_eq!(neither.len(), 1);
    assert!(neither[0].contains("ECONNREFUSED"), "{neither:?}");

    let listen = |world: &World, socket: socket2::Socket| {
        let server = http::create_server(world.lp, |_req, res| res.end(""));
        server.listen_on(socket).expect("a listener");
    };
    listen(&world, v4);
    assert_eq!(reached(&mut world), [LOCAL]);
    listen(&world, v6);
    assert_eq!(reached(&mut world), ["::1"]);
}

#[test]
fn an_error_of_a_name_known_already_comes_after_the_call_too() {
    let (options, _asked) = all_local();
    let mut world = World::with(options);
    let (_held, dead) = dead_port();
    // The second one's addresses are at hand when it is made.
    for _ in 0..2 {
        assert_eq!(outcomes(&mut world, &["a.test"], dead), ["ECONNREFUSED"]);
    }
}
