//! `create_connection`: answers at once, later, twice, too late and not at all.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{
    self, Agent, AgentOptions, ConnectTarget, Connector, Family, Outcome, RequestOptions,
};
use onloop::{Error, ErrorKind as Kind, LoopHandle, LoopOptions, PanicPolicy, Sent, sim};

use crate::common::{Log, Peer, World, raw_server};
use crate::{FINE, ask, ends};

fn connecting<R: Outcome>(
    world: &World,
    hook: impl FnMut(&ConnectTarget, Connector) -> R + 'static,
) -> Agent {
    connecting_with(world, AgentOptions::new(), hook)
}

fn connecting_with<R: Outcome>(
    world: &World,
    options: AgentOptions,
    hook: impl FnMut(&ConnectTarget, Connector) -> R + 'static,
) -> Agent {
    Agent::new(world.lp, options.create_connection(hook)).expect("an agent")
}

/// Both ends of as many connections as are wanted: the hook's, and the test's.
#[derive(Clone, Default)]
struct Pairs(Rc<RefCell<Vec<Peer>>>);

impl Pairs {
    fn ours(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        self.0.borrow_mut().push(Peer::of_unix(theirs));
        ours
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn take(&self, index: usize) -> Peer {
        self.0.borrow_mut().remove(index)
    }
}

/// The other end has been closed.
fn is_closed(mut stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    match stream.read(&mut [0; 8]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn an_answer_may_come_later() {
    let mut world = World::new();
    let lp = world.lp;
    let pairs = Pairs::default();
    let makes = pairs.clone();
    let agent = connecting(&world, move |_, connector| {
        let makes = makes.clone();
        lp.set_timeout(Duration::from_millis(5), move || connector.connected(makes.ours()));
    });
    let (request, log) = ask(&world, agent);
    // It has a place meanwhile, and keeps the loop running.
    world.turn();
    assert!(request.connection().is_none() && agent.total_socket_count() == 1);
    world.until("the connection", || pairs.len() == 1);
    let mut peer = pairs.take(0);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    assert_eq!(agent.free_sockets()[0].1, 1);
}

#[test]
fn an_answer_may_come_from_another_thread() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    thread_local! {
        static WAITS: Cell<Option<Connector>> = const { Cell::new(None) };
    }
    let remote = world.event_loop.remote();
    let agent = connecting(&world, move |_, connector| {
        WAITS.set(Some(connector));
        let (remote, address) = (remote.clone(), address.clone());
        std::thread::spawn(move || {
            let stream = TcpStream::connect(address).expect("it listens");
            let connect = move |_: LoopHandle| {
                WAITS.take().expect("asked").connected(stream).expect("it waits");
            };
            remote.post(connect).expect("the loop is there");
        });
    });
    let (_, log) = ask(&world, agent);
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
}

#[test]
fn of_two_answers_the_first_counts() {
    let mut world = World::new();
    let pairs = Pairs::default();
    let makes = pairs.clone();
    let spare = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&spare);
    let agent = connecting(&world, move |_, connector| {
        connector.connected(makes.ours())?;
        let (ours, theirs) = UnixStream::pair()?;
        *keeps.borrow_mut() = Some(theirs);
        assert_eq!(connector.connected(ours).unwrap_err().code(), "ERR_SOCKET_CLOSED");
        assert_eq!(connector.failed(Error::other("x")).unwrap_err().code(), "ERR_SOCKET_CLOSED");
        Ok(())
    });
    let (_, log) = ask(&world, agent);
    world.until("the connection", || pairs.len() == 1);
    assert!(is_closed(spare.borrow().as_ref().expect("made")), "the second is closed");
    let mut peer = pairs.take(0);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
}

#[test]
fn an_answer_to_what_is_over_is_refused_and_closed() {
    let mut world = World::new();
    let asked: Rc<Cell<Option<Connector>>> = Rc::default();
    let keeps = Rc::clone(&asked);
    let agent = connecting(&world, move |_, connector| keeps.set(Some(connector)));
    for turns in [false, true] {
        let (request, log) = ask(&world, agent);
        world.until("to be asked", || asked.get().is_some());
        request.destroy();
        if turns {
            assert_eq!(ends(&mut world, &log), ["error ECONNRESET", "closed"]);
        }
        let connector = asked.take().expect("asked");
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        assert_eq!(connector.connected(ours).unwrap_err().code(), "ERR_SOCKET_CLOSED");
        assert!(is_closed(&theirs));
        assert_eq!(connector.failed(Error::other("x")).unwrap_err().code(), "ERR_SOCKET_CLOSED");
        assert_eq!(ends(&mut world, &log), ["error ECONNRESET", "closed"]);
        assert_eq!(agent.total_socket_count(), 0);
        // Nor does it reach the request that comes next in the same place.
        let (next, log) = ask(&world, agent);
        world.until("to be asked", || asked.get().is_some());
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        assert!(connector.connected(ours).is_err() && is_closed(&theirs));
        assert!(next.connection().is_none());
        next.destroy();
        ends(&mut world, &log);
        asked.take();
    }
    world.until_over();
}

#[test]
fn an_answer_after_the_loop_is_refused_and_closed() {
    let mut world = World::new();
    let asked: Rc<Cell<Option<Connector>>> = Rc::default();
    let keeps = Rc::clone(&asked);
    let agent = connecting(&world, move |_, connector| keeps.set(Some(connector)));
    ask(&world, agent);
    world.until("to be asked", || asked.get().is_some());
    drop(world);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    assert!(asked.get().expect("asked").connected(ours).is_err());
    assert!(is_closed(&theirs));
    assert_eq!(Rc::strong_count(&asked), 1, "the hook went with the loop");
}

#[test]
fn what_a_hook_returns_or_says_fails_its_request_only() {
    let mut world = World::new();
    let pairs = Pairs::default();
    let makes = pairs.clone();
    let mut calls = 0;
    let agent = connecting(&world, move |_, connector| {
        calls += 1;
        match calls {
            1 => connector.failed(Error::other("now")),
            2 => Err(Error::other("returned")),
            3 => {
                // Connected, and given up all the same.
                connector.connected(makes.ours())?;
                Err(Error::other("both"))
            }
            4 => Err(std::io::Error::from(ErrorKind::ConnectionRefused).into()),
            _ => connector.connected(makes.ours()),
        }
    });
    for expected in ["ERR_USER", "ERR_USER", "ERR_USER", "ECONNREFUSED"] {
        let options = RequestOptions::new("GET", "http://nowhere.test/").agent(agent);
        let request = http::request_with(world.lp, options).expect("a request");
        let log = Log::new();
        let notes = log.clone();
        request.on_socket(|_| panic!("nothing is sent on it"));
        request.on_error(move |error| {
            assert_eq!(error.sent(), Some(Sent::NothingSent), "{error}");
            notes.note(error.code());
        });
        request.on_close(log.noting("closed"));
        request.end("");
        assert_eq!(ends(&mut world, &log), [expected, "closed"]);
        assert_eq!(agent.total_socket_count(), 0);
    }
    let mut both = pairs.take(0);
    world.until_end(&mut both);
    assert!(both.received.is_empty());
    let (_, log) = ask(&world, agent);
    world.until("the connection", || pairs.len() == 1);
    let mut peer = pairs.take(0);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
}

#[test]
fn a_panic_in_a_hook_fails_its_request_and_the_hook_goes_on() {
    for policy in [PanicPolicy::Propagate, PanicPolicy::Contain] {
        let mut world = World::with(LoopOptions::new().panic_policy(policy));
        let pairs = Pairs::default();
        let makes = pairs.clone();
        let mut calls = 0;
        let agent = connecting_with(&world, AgentOptions::new().max_sockets(1), move |_, it| {
            calls += 1;
            if calls == 1 {
                resume_unwind(Box::new("on purpose"));
            }
            it.connected(makes.ours())
        });
        let (_, failed) = ask(&world, agent);
        let (_, log) = ask(&world, agent);
        let mut panics = 0;
        while !failed.has("closed") {
            let turned = catch_unwind(AssertUnwindSafe(|| world.turn()));
            panics += usize::from(turned.is_err());
        }
        assert_eq!(panics, usize::from(policy == PanicPolicy::Propagate));
        assert_eq!(failed.all(), ["error ERR_CALLBACK_PANICKED", "closed"]);
        world.until("the connection of the next", || pairs.len() == 1);
        let mut peer = pairs.take(0);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    }
}

/// Uses its agent when it is dropped, which must not be while the loop is in use by itself.
struct Witness {
    agent: Rc<Cell<Option<Agent>>>,
    lp: LoopHandle,
    seen: Rc<Cell<u32>>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        assert!(self.lp.is_open(), "dropped inside of a call");
        if let Some(agent) = self.agent.get() {
            assert!(!agent.is_open());
            agent.set_max_sockets(1);
            agent.close();
        }
        self.seen.set(self.seen.get() + 1);
    }
}

#[test]
fn a_hook_may_close_its_agent_and_is_dropped_when_it_returns() {
    for inside in [true, false] {
        let mut world = World::new();
        let lp = world.lp;
        let place: Rc<Cell<Option<Agent>>> = Rc::default();
        let seen = Rc::new(Cell::new(0));
        let witness = Witness { agent: Rc::clone(&place), lp, seen: Rc::clone(&seen) };
        let agent = connecting(&world, move |_, connector| {
            let agent = witness.agent.get().expect("made");
            if inside {
                agent.close();
                assert_eq!(witness.seen.get(), 0, "it still runs");
                let (ours, theirs) = UnixStream::pair()?;
                assert!(connector.connected(ours).is_err() && is_closed(&theirs));
            }
            Ok(())
        });
        place.set(Some(agent));
        let (_, log) = ask(&world, agent);
        world.turn();
        if !inside {
            agent.close();
        }
        assert_eq!(seen.get(), 1);
        assert_eq!(ends(&mut world, &log), ["error ECONNRESET", "closed"]);
        assert_eq!(agent.total_socket_count(), 0);
        world.until_over();
    }
}

#[test]
fn a_hook_may_do_anything_to_its_agent_and_request() {
    for what in ["request", "destroy", "lower", "destroy the request", "destroy and connect"] {
        let mut world = World::new();
        let lp = world.lp;
        let place: Rc<Cell<Option<(Agent, http::ClientRequest)>>> = Rc::default();
        let of_hook = Rc::clone(&place);
        let pairs = Pairs::default();
        let makes = pairs.clone();
        let others = Log::new();
        let notes = others.clone();
        let agent = connecting(&world, move |_, connector| {
            if let Some((agent, request)) = of_hook.take() {
                match what {
                    "request" => {
                        let options = RequestOptions::new("GET", "http://nowhere.test/");
                        let other = http::request_with(lp, options.agent(agent))?;
                        crate::noted(&notes, other);
                        assert_eq!(agent.total_socket_count(), 2);
                    }
                    "destroy" => agent.destroy(),
                    "lower" => agent.set_max_sockets(1),
                    "destroy the request" => {
                        request.destroy();
                        return Ok(());
                    }
                    _ => request.destroy(),
                }
            }
            match connector.connected(makes.ours()) {
                Err(_) if what.starts_with("destroy") => Ok(()),
                result => result,
            }
        });
        let (request, log) = ask(&world, agent);
        place.set(Some((agent, request)));
        while !log.has("closed") || (what == "request" && !others.has("closed")) {
            world.turn();
            for peer in pairs.0.borrow_mut().iter_mut() {
                peer.pump();
                if peer.received.ends_with(b"\r\n\r\n") {
                    peer.received.clear();
                    peer.send(FINE);
                }
            }
        }
        match what {
            "request" | "lower" => assert_eq!(log.all(), ["200", "closed"]),
            _ => assert_eq!(log.all(), ["error ECONNRESET", "closed"], "{what}"),
        }
        assert!(sim::stats(&world.event_loop).is_empty());
    }
}

#[test]
fn what_is_given_is_a_stream_of_some_kind_or_refused() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let keeps_paths =
        std::env::temp_dir().join(format!("onloop-connectors-{}", std::process::id()));
    let path = keeps_paths.clone();
    let wrong: Vec<(&str, OwnedFd)> = vec![
        ("a file", std::fs::File::open("/proc/self/exe").unwrap().into()),
        ("a datagram socket", UdpSocket::bind("127.0.0.1:0").unwrap().into()),
        ("a listener", TcpListener::bind("127.0.0.1:0").unwrap().into()),
        ("a unix listener", UnixListener::bind(&path).unwrap().into()),
        (
            "not connected",
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                .unwrap()
                .into(),
        ),
    ];
    for (what, wrong) in wrong {
        let mut given = Some(wrong);
        let agent = connecting(&world, move |_, connector| {
            let refused = connector.connected(given.take().expect("asked once"));
            assert!(refused.is_err(), "{what}");
        });
        let options = RequestOptions::new("GET", "http://nowhere.test/").agent(agent);
        let request = http::request_with(world.lp, options).expect("a request");
        let log = Log::new();
        let notes = log.clone();
        request.on_error(move |error| {
            assert!(matches!(error.kind(), Kind::Io), "{what}: {error}");
            assert_eq!(error.sent(), Some(Sent::NothingSent));
            notes.note("error");
        });
        request.on_close(log.noting("closed"));
        request.end("");
        assert_eq!(ends(&mut world, &log), ["error", "closed"], "{what}");
    }
    std::fs::remove_file(keeps_paths).unwrap();
    let agent = connecting(&world, move |_, connector| {
        let stream = TcpStream::connect(&address)?;
        connector.connected(stream)
    });
    let (request, log) = ask(&world, agent);
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    let connection = request.connection().expect("connected");
    assert_eq!(
        connection.remote_address().and_then(|it| it.port()),
        listener.local_addr().ok().map(|it| it.port())
    );
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
}

#[test]
fn connections_of_a_hook_are_used_again_and_made_anew_where_they_died() {
    let mut world = World::new();
    let pairs = Pairs::default();
    let makes = pairs.clone();
    let agent = connecting(&world, move |_, connector| connector.connected(makes.ours()));
    let (_, log) = ask(&world, agent);
    world.until("the connection", || pairs.len() == 1);
    let mut first = pairs.take(0);
    world.expect(&mut first, "\r\n\r\n");
    first.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    let (request, log) = ask(&world, agent);
    assert!(request.is_reused());
    world.expect(&mut first, "\r\n\r\n");
    assert_eq!(pairs.len(), 0);
    // It dies unanswered: the hook is asked for another one, and nobody hears of it.
    first.end();
    world.until("another connection", || pairs.len() == 1);
    let mut second = pairs.take(0);
    world.expect(&mut second, "\r\n\r\n");
    assert!(!request.is_reused());
    second.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    assert_eq!(sim::stats(&world.event_loop).repeated_requests, 1);
    // One that is free and dies is forgotten.
    second.end();
    world.until("no connection", || agent.total_socket_count() == 0);
}

#[test]
fn the_limit_holds_for_what_hooks_are_asked_for() {
    let mut world = World::new();
    let lp = world.lp;
    let (pairs, asked) = (Pairs::default(), Rc::new(Cell::new(0)));
    let (makes, counts) = (pairs.clone(), Rc::clone(&asked));
    let agent = connecting_with(&world, AgentOptions::new().max_sockets(2), move |_, connector| {
        counts.set(counts.get() + 1);
        let (makes, is_third) = (makes.clone(), counts.get() == 3);
        lp.set_timeout(Duration::from_millis(1), move || match is_third {
            true => connector.failed(Error::other("not this one")),
            false => connector.connected(makes.ours()),
        });
    });
    let logs: Vec<Log> = (0..10).map(|_| ask(&world, agent).1).collect();
    world.turn();
    assert_eq!((asked.get(), agent.total_socket_count()), (2, 2));
    while logs.iter().any(|log| !log.has("closed")) {
        world.turn();
        assert!(agent.total_socket_count() <= 2);
        for peer in pairs.0.borrow_mut().iter_mut() {
            peer.pump();
            if peer.received.ends_with(b"\r\n\r\n") {
                peer.received.clear();
                // Each serves twice.
                let closing = peer.text().is_empty() && asked.get() < 3;
                peer.send(match closing {
                    true => "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                    false => FINE,
                });
            }
        }
    }
    let failed = logs.iter().filter(|log| log.has("error ERR_USER")).count();
    assert_eq!((failed, agent.requests().len()), (1, 0));
    assert!(agent.total_socket_count() <= 2);
}

#[test]
fn one_that_never_answers_is_told_by_the_timeout_and_ends_by_destroy() {
    let mut world = World::new();
    let agent = connecting(&world, |_, _| {});
    let options = RequestOptions::new("GET", "http://nowhere.test/").agent(agent);
    let options = options.timeout(Duration::from_millis(50));
    let request = http::request_with(world.lp, options).expect("a request");
    let log = Log::new();
    let notes = log.clone();
    request.on_timeout(move || {
        notes.note("timeout");
        request.destroy();
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    assert_eq!(ends(&mut world, &log), ["timeout", "error ECONNRESET", "closed"]);
    assert_eq!(agent.total_socket_count(), 0);
}

#[test]
fn a_target_tells_where_to() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let agent = connecting(&world, move |target, connector| {
        notes.note(format!(
            "{} {} {:?} {:?} {:?}",
            target.host(),
            target.port(),
            target.unix_socket(),
            target.local_address(),
            target.family()
        ));
        connector.failed(Error::other("no"))
    });
    let url = "http://[2001:db8::1]:8080/";
    let here = "127.0.0.1".parse().unwrap();
    for options in [
        RequestOptions::new("GET", "http://a.test/"),
        RequestOptions::new("GET", url).family(Family::V6).local_address(here).local_port(7),
        RequestOptions::new("GET", "http://a.test/").unix_socket("/tmp/x"),
    ] {
        let request = http::request_with(world.lp, options.agent(agent)).expect("a request");
        let ended = Log::new();
        request.on_close(ended.noting("closed"));
        request.end("");
        ends(&mut world, &ended);
    }
    assert_eq!(
        log.all(),
        [
            "a.test 80 None None None",
            "2001:db8::1 8080 None Some(127.0.0.1:7) Some(V6)",
            "a.test 80 Some(\"/tmp/x\") None None",
        ]
    );
}
