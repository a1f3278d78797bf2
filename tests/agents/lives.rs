//! An agent's own life, its names, and what it is asked.

use std::net::IpAddr;

use onloop::EventLoop;
use onloop::http::{self, Agent, AgentOptions, Family, RequestOptions};

use crate::common::{Log, Peer, World, raw_server};
use crate::{FINE, agent, answer, counts, nobody_else, of, send, until_counts};

#[test]
fn destroy_closes_what_there_is_and_whoever_waits_gets_a_fresh_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(2));
    let (listener, url) = raw_server();
    let (other_listener, other_url) = raw_server();
    let kept = send(&world, of(agent, &other_url));
    let mut free = world.accept(&other_listener);
    answer(&mut world, &mut free, FINE);
    kept.succeeds(&mut world);
    let asked: Vec<_> =
        (0..4).map(|index| send(&world, of(agent, &format!("{url}{index}")))).collect();
    let mut peers: Vec<Peer> = (0..2).map(|_| world.accept(&listener)).collect();
    world.expect(&mut peers[0], "\r\n\r\n");
    assert_eq!(counts(agent), [2, 1, 2]);
    agent.destroy();
    for asked in &asked[..2] {
        assert!(asked.request.is_destroyed(), "the handle is dead at once");
        assert_eq!(asked.done(&mut world), ["error ECONNRESET", "closed"]);
    }
    peers.iter_mut().for_each(|peer| _ = world.until_end(peer));
    world.until_end(&mut free);
    let mut peers: Vec<Peer> = (0..2).map(|_| world.accept(&listener)).collect();
    let paths: Vec<_> = peers.iter_mut().map(|peer| answer(&mut world, peer, FINE)).collect();
    assert!(paths.contains(&"/2".to_owned()) && paths.contains(&"/3".to_owned()), "{paths:?}");
    asked[2].succeeds(&mut world);
    asked[3].succeeds(&mut world);
    // It goes on.
    assert!(agent.is_open());
    let next = send(&world, of(agent, &url));
    assert!(next.request.is_reused());
    agent.destroy();
    agent.destroy();
    assert_eq!(next.done(&mut world), ["error ECONNRESET", "closed"]);
    until_counts(&mut world, agent, [0, 0, 0]);
    world.until_over();
}

#[test]
fn a_request_that_is_not_connected_yet_is_destroyed_with_its_agent() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (_listener, url) = raw_server();
    let log = Log::new();
    let request = http::request_with(world.lp, of(agent, &url)).unwrap();
    let notes = log.clone();
    request.on_error(move |error| {
        notes.note(error.code());
        assert_eq!(error.sent(), Some(onloop::Sent::NothingSent));
    });
    request.on_socket(|_| panic!("it has none"));
    request.on_close(log.noting("closed"));
    request.end("");
    agent.destroy();
    world.until("the end", || log.has("closed"));
    assert_eq!((log.all(), counts(agent)), (vec!["ECONNRESET".into(), "closed".into()], [0, 0, 0]));
}

#[test]
fn a_closed_agent_fails_who_waits_and_takes_no_more() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> = (0..2).map(|_| send(&world, of(agent, &url))).collect();
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    agent.close();
    assert!(!agent.is_open());
    let error = http::request_with(world.lp, of(agent, &url)).unwrap_err();
    assert_eq!(error.code(), "ERR_AGENT_CLOSED");
    let error = http::set_global_agent(world.lp, agent).unwrap_err();
    assert_eq!(error.code(), "ERR_AGENT_CLOSED");
    assert_eq!(asked[0].done(&mut world), ["error ECONNRESET", "closed"]);
    assert_eq!(asked[1].done(&mut world), ["error ERR_AGENT_CLOSED", "closed"]);
    world.until_end(&mut peer);
    // Everything may still be called, and does nothing.
    agent.close();
    agent.destroy();
    agent.set_max_sockets(7);
    agent.set_max_total_sockets(7).unwrap();
    agent.set_max_free_sockets(7);
    assert_eq!(counts(agent), [0, 0, 0]);
    assert_eq!((agent.max_sockets(), agent.max_total_sockets()), (0, 0));
    assert_eq!((agent.max_free_sockets(), agent.keep_alive()), (0, false));
    nobody_else(&mut world, &listener);
    world.until_over();
}

#[test]
fn the_loops_own_agent_can_be_another_one() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let first = http::global_agent(world.lp);
    // It cannot be closed, only destroyed.
    first.close();
    assert!(first.is_open() && first.max_free_sockets() == 256);
    let second = agent(&world, AgentOptions::new().max_sockets(1));
    assert_ne!(first, second);
    http::set_global_agent(world.lp, second).unwrap();
    assert_eq!(http::global_agent(world.lp), second);
    let asked: Vec<_> = (0..2).map(|_| send(&world, RequestOptions::new("GET", &url))).collect();
    assert_eq!((counts(first), counts(second)), ([0, 0, 0], [1, 0, 1]));
    assert_eq!(asked[0].request.agent(), Some(second));
    second.close();
    assert!(second.is_open());
    assert_eq!(asked[0].done(&mut world), ["error ECONNRESET", "closed"]);
    let mut peer = world.accept(&listener);
    world.wait("a request", || {
        peer.pump();
        if peer.ending.is_some() {
            peer = Peer::of_tcp(listener.accept().ok()?.0);
        }
        peer.received.ends_with(b"\r\n\r\n").then_some(())
    });
    peer.send(FINE);
    asked[1].succeeds(&mut world);
    // The former one is an agent like others now.
    first.close();
    assert!(!first.is_open());
}

#[test]
fn an_agent_of_another_loop_is_refused() {
    let world = World::new();
    let other = World::new();
    let stranger = agent(&other, AgentOptions::new());
    let error = http::request_with(world.lp, of(stranger, "http://localhost/")).unwrap_err();
    assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    let error = http::set_global_agent(world.lp, stranger).unwrap_err();
    assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    assert_ne!(http::global_agent(world.lp), http::global_agent(other.lp));
    assert_eq!(counts(stranger), [0, 0, 0]);
}

#[test]
fn an_agent_of_a_loop_that_is_gone_does_nothing() {
    let event_loop = EventLoop::new().expect("a loop");
    let lp = event_loop.handle();
    let agent = Agent::new(lp, AgentOptions::new()).expect("an agent");
    drop(event_loop);
    assert!(!agent.is_open());
    assert_eq!(counts(agent), [0, 0, 0]);
    agent.destroy();
    agent.close();
    agent.set_max_sockets(3);
    assert!(Agent::new(lp, AgentOptions::new()).is_err());
    assert!(http::request_with(lp, of(agent, "http://localhost/")).is_err());
    // Nor does it mean one of the next loop in its place.
    let next = EventLoop::new().expect("a loop");
    let other = Agent::new(next.handle(), AgentOptions::new()).expect("an agent");
    agent.close();
    assert!(other.is_open() && !agent.is_open() && other != agent);
}

#[test]
fn seventy_thousand_agents_are_made_and_closed() {
    let mut world = World::new();
    let mut last = None;
    for _ in 0..70_000 {
        let agent = agent(&world, AgentOptions::new());
        assert!(Some(agent) != last && agent.is_open());
        agent.close();
        last = Some(agent);
    }
    // So many at a time are refused, and one that goes makes room.
    let mut agents: Vec<Agent> = Vec::new();
    let error = loop {
        match Agent::new(world.lp, AgentOptions::new()) {
            Ok(agent) => agents.push(agent),
            Err(error) => break error,
        }
    };
    assert_eq!((agents.len(), error.code()), (65_534, "ERR_OUT_OF_RANGE"));
    agents.pop().expect("many").close();
    let (listener, url) = raw_server();
    let fresh = agent(&world, AgentOptions::new());
    let asked = send(&world, of(fresh, &url));
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    asked.succeeds(&mut world);
    assert_eq!(counts(fresh), [0, 1, 0]);
    assert_eq!(counts(agents[0]), [0, 0, 0]);
}

#[test]
fn names_tell_everything_that_makes_connections_different() {
    let world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let get = |url: &str| RequestOptions::new("GET", url);
    let here: IpAddr = "127.0.0.1".parse().unwrap();
    for (options, name) in [
        (get("http://localhost/"), "localhost:80:"),
        (get("http://localhost/any/path?and=query"), "localhost:80:"),
        (get("http://LOCALHOST:8080"), "localhost:8080:"),
        (get("http://user:word@localhost:81/"), "localhost:81:"),
        (get("http://[::1]:81/"), "::1:81:"),
        (get("http://localhost/").local_address(here), "localhost:80:127.0.0.1"),
        (get("http://localhost/").local_port(7), "localhost:80:0.0.0.0:7"),
        (get("http://localhost/").local_port(7).local_address(here), "localhost:80:127.0.0.1:7"),
        (get("http://localhost/").family(Family::V4), "localhost:80::4"),
        (get("http://localhost/").family(Family::V6), "localhost:80::6"),
        (
            get("http://localhost/").local_address(here).family(Family::V4),
            "localhost:80:127.0.0.1:4",
        ),
        (get("http://localhost/").unix_socket("/tmp/foo"), "localhost:80::/tmp/foo"),
        (get("http://a/").host("b").port(9).path("/x"), "b:9:"),
        (RequestOptions::new("POST", "http://localhost/").header("Host", "x"), "localhost:80:"),
    ] {
        assert_eq!(agent.name(&options).unwrap(), name);
    }
    assert_eq!(agent.name(&get("http:///")).unwrap_err().code(), "ERR_INVALID_URL");
}

#[test]
fn counts_are_told_by_name_and_right_at_every_step() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let name = |url: &str| agent.name(&RequestOptions::new("GET", url)).unwrap();
    let names = [name(&first_url), name(&second_url)];
    let one = |index: usize| vec![(names[index].clone(), 1)];
    assert!(agent.sockets().is_empty() && agent.requests().is_empty());
    let a = send(&world, of(agent, &first_url));
    assert_eq!((agent.sockets(), agent.total_socket_count()), (one(0), 1));
    let b = send(&world, of(agent, &first_url));
    assert_eq!((agent.sockets(), agent.requests()), (one(0), one(0)));
    let c = send(&world, of(agent, &second_url));
    let mut both = vec![(names[0].clone(), 1), (names[1].clone(), 1)];
    both.sort();
    assert_eq!((agent.sockets(), agent.total_socket_count()), (both.clone(), 2));
    let (mut to_first, mut to_second) = (world.accept(&first), world.accept(&second));
    answer(&mut world, &mut to_second, FINE);
    c.succeeds(&mut world);
    assert_eq!((agent.sockets(), agent.free_sockets()), (one(0), one(1)));
    answer(&mut world, &mut to_first, FINE);
    a.succeeds(&mut world);
    assert_eq!((agent.sockets(), agent.requests()), (one(0), vec![]));
    answer(&mut world, &mut to_first, FINE);
    b.succeeds(&mut world);
    assert_eq!((agent.sockets(), agent.free_sockets()), (vec![], both));
    assert_eq!(agent.total_socket_count(), 2);
    to_first.end();
    to_second.end();
    until_counts(&mut world, agent, [0, 0, 0]);
    assert!(agent.free_sockets().is_empty() && agent.total_socket_count() == 0);
}

#[test]
fn while_on_end_runs_the_connection_is_free_already_and_in_the_callbacks_before_in_use() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let log = Log::new();
    let request = http::request_with(world.lp, of(agent, &url)).unwrap();
    let note = move |log: &Log, what: &str| log.note(format!("{what} {:?}", counts(agent)));
    let notes = log.clone();
    request.on_response(move |response| {
        note(&notes, "response");
        let data = notes.clone();
        response.on_data(move |_| note(&data, "data"));
        response.on_end(move || note(&notes, "end"));
    });
    let notes = log.clone();
    request.on_close(move || note(&notes, "close"));
    request.end("");
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    world.until("the end", || log.len() == 4);
    assert_eq!(
        log.all(),
        ["response [1, 0, 0]", "data [1, 0, 0]", "end [0, 1, 0]", "close [0, 1, 0]"]
    );
}
