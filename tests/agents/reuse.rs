//! Which free connection a request is given, how long one is kept, and which are never used again.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Agent, AgentOptions, RequestOptions, Scheduling};
use onloop::sim::{SimListener, SimPeer};

use crate::common::clocked::{Clocked, assert_about, seconds};
use crate::common::{Log, Peer, World, raw_server};
use crate::{FINE, agent, answer, counts, nobody_else, of, send, until_counts};

/// Five connections, freed in the order in which they were made.
fn five(world: &mut World, agent: Agent, listener: &std::net::TcpListener, url: &str) -> Vec<Peer> {
    let asked: Vec<_> = (0..5).map(|_| send(world, of(agent, url))).collect();
    let mut peers: Vec<Peer> = (0..5).map(|_| world.accept(listener)).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        answer(world, peer, FINE);
        until_counts(world, agent, [4 - index, index + 1, 0]);
    }
    asked.iter().for_each(|asked| asked.succeeds(world));
    peers
}

/// Which of these is asked by the next request; it is answered.
fn next(world: &mut World, agent: Agent, peers: &mut [Peer], url: &str) -> usize {
    let asked = send(world, of(agent, url));
    assert!(asked.request.is_reused());
    let chosen = world.wait("a request", || {
        peers.iter_mut().position(|peer| {
            peer.pump();
            !peer.received.is_empty()
        })
    });
    answer(world, &mut peers[chosen], FINE);
    asked.succeeds(world);
    chosen
}

#[test]
fn after_five_at_a_time_single_ones_use_the_last_or_walk_along() {
    for (scheduling, expected) in [
        (None, [4, 4, 4, 4, 4, 4]),
        (Some(Scheduling::Lifo), [4, 4, 4, 4, 4, 4]),
        (Some(Scheduling::Fifo), [0, 1, 2, 3, 4, 0]),
    ] {
        let mut world = World::new();
        let options = match scheduling {
            Some(scheduling) => AgentOptions::new().scheduling(scheduling),
            None => AgentOptions::new(),
        };
        let agent = agent(&world, options);
        assert_eq!(agent.scheduling(), scheduling.unwrap_or_default());
        let (listener, url) = raw_server();
        let mut peers = five(&mut world, agent, &listener, &url);
        for expected in expected {
            assert_eq!(next(&mut world, agent, &mut peers, &url), expected, "{scheduling:?}");
        }
        nobody_else(&mut world, &listener);
    }
}

#[test]
fn those_that_died_are_skipped() {
    for (scheduling, dead, expected) in
        [(Scheduling::Lifo, [4, 3], 2), (Scheduling::Fifo, [0, 1], 2)]
    {
        let mut world = World::new();
        let agent = agent(&world, AgentOptions::new().scheduling(scheduling));
        let (listener, url) = raw_server();
        let mut peers = five(&mut world, agent, &listener, &url);
        // No event has told of it when the request is made.
        peers[dead[0]].end();
        peers[dead[1]].send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        let asked = send(&world, of(agent, &url));
        assert!(asked.request.is_reused());
        assert_eq!(counts(agent), [1, 2, 0]);
        answer(&mut world, &mut peers[expected], FINE);
        asked.succeeds(&mut world);
        // And one of which the loop has heard.
        peers[expected].end();
        until_counts(&mut world, agent, [0, 2, 0]);
    }
}

#[test]
fn a_free_connection_that_closes_or_breaks_is_nobodys_error() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    for resets in [false, true] {
        let asked = send(&world, of(agent, &url));
        let mut peer = world.accept(&listener);
        answer(&mut world, &mut peer, FINE);
        asked.succeeds(&mut world);
        until_counts(&mut world, agent, [0, 1, 0]);
        match resets {
            true => peer.reset(),
            false => peer.end(),
        }
        until_counts(&mut world, agent, [0, 0, 0]);
        assert_eq!(asked.log.len(), 2);
    }
}

#[test]
fn an_early_answer_to_an_upload_that_still_goes_out_leaves_no_free_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let post = RequestOptions::new("POST", &url).agent(agent);
    let upload = http::request_with(world.lp, post).unwrap();
    let log = Log::new();
    upload.on_response(log.noting_response());
    upload.on_close(log.noting("closed"));
    let mut first = world.accept(&listener);
    first.stop_reading();
    upload.end(vec![b'x'; 64 << 20]);
    first.send(FINE);
    world.until("the early answer", || log.has("200"));
    assert_eq!(counts(agent), [1, 0, 0]);
    let second = send(&world, of(agent, &url));
    assert!(!second.request.is_reused());
    let mut other = world.accept(&listener);
    answer(&mut world, &mut other, FINE);
    second.succeeds(&mut world);
    let third = send(&world, of(agent, &url));
    assert!(third.request.is_reused());
    answer(&mut world, &mut other, FINE);
    third.succeeds(&mut world);
    // Once all of it is out the first is free, too.
    first.read_on();
    world.until("the end of the upload", || {
        first.pump();
        log.has("closed")
    });
    assert_eq!(counts(agent), [0, 2, 0]);
}

#[test]
fn an_exchange_that_is_destroyed_when_it_is_over_spares_its_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let body = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&body);
    let first = http::request_with(world.lp, of(agent, &url)).unwrap();
    let log = Log::new();
    first.on_response(move |response| {
        response.resume();
        *keeps.borrow_mut() = Some(response.body());
    });
    first.on_close(log.noting("closed"));
    first.end("");
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    world.until("the end", || log.has("closed"));
    body.borrow().expect("a response").destroy();
    first.destroy();
    assert_eq!(counts(agent), [0, 1, 0]);
    let next = send(&world, of(agent, &url));
    assert!(next.request.is_reused());
    first.destroy();
    body.borrow().expect("a response").destroy();
    answer(&mut world, &mut peer, FINE);
    next.succeeds(&mut world);
}

#[test]
fn free_connections_keep_no_loop_running_and_waiting_requests_do() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let second = send(&world, of(agent, &url));
    // What waits keeps it running by itself, also where the one in use does not.
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    first.request.connection().expect("connected").unref();
    assert!(world.event_loop.is_alive());
    peer.send(FINE);
    first.succeeds(&mut world);
    assert!(world.event_loop.is_alive());
    answer(&mut world, &mut peer, FINE);
    second.succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
    world.turn();
    assert!(!world.event_loop.is_alive());
    // It does again once it is used.
    let third = send(&world, of(agent, &url));
    assert!(world.event_loop.is_alive() && third.request.is_reused());
    answer(&mut world, &mut peer, FINE);
    third.succeeds(&mut world);
    assert!(!world.event_loop.is_alive());
}

/// A simulated server that answers every request with the same.
struct Timed {
    clocked: Clocked,
    listener: SimListener,
    agent: Agent,
}

impl Timed {
    fn new(options: AgentOptions) -> Timed {
        let clocked = Clocked::new();
        let address = SocketAddr::from(([127, 0, 0, 1], 80)).into();
        let listener = clocked.net.listen(&address).expect("it is free");
        let agent = Agent::new(clocked.event_loop.handle(), options).expect("an agent");
        Timed { clocked, listener, agent }
    }

    /// Makes a connection that is free, of a request that was answered with this field.
    fn free(&mut self, field: &str) -> SimPeer {
        let options = RequestOptions::new("GET", "http://127.0.0.1/").agent(self.agent);
        let request = http::request_with(self.clocked.event_loop.handle(), options).unwrap();
        request.end("");
        let mut peer = None;
        while !request.is_destroyed() {
            self.clocked.event_loop.turn(Some(Duration::from_millis(1))).unwrap();
            peer = peer.or_else(|| self.listener.accept());
            if let Some(peer) = peer.as_ref().filter(|peer| peer.available() > 0) {
                peer.read();
                let text = format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n");
                peer.write(text.as_bytes());
            }
        }
        peer.expect("a connection")
    }

    /// How long the connection stays free.
    fn stays(&mut self, field: &str) -> Duration {
        let peer = self.free(field);
        if counts(self.agent)[1] == 0 {
            return Duration::ZERO;
        }
        self.clocked.until_end(&peer).0
    }
}

#[test]
fn a_free_connection_is_kept_as_long_as_the_agent_and_the_server_say() {
    let never = AgentOptions::new;
    for (options, field, expected) in [
        (never(), "", 5),
        (never(), "Keep-Alive: timeout=3\r\n", 2),
        (never(), "Keep-Alive: timeout=60, max=100\r\n", 5),
        (never(), "Keep-Alive: timeout=1\r\n", 0),
        (never(), "Keep-Alive: timeout=0\r\n", 0),
        // What makes no sense is no hint.
        (never(), "Keep-Alive: timeout=-1\r\n", 5),
        (never(), "Keep-Alive: max=7\r\n", 5),
        (never().free_timeout(seconds(30)), "", 30),
        (never().free_timeout(seconds(30)), "Keep-Alive: timeout=20\r\n", 19),
        (never().free_timeout(seconds(30)), "Keep-Alive: timeout=99999999999\r\n", 30),
        (never().keep_alive_timeout_buffer(seconds(3)), "Keep-Alive: timeout=4\r\n", 1),
        (never().keep_alive_timeout_buffer(Duration::ZERO), "Keep-Alive: timeout=2\r\n", 2),
        (never().keep_alive_timeout_buffer(seconds(9)), "Keep-Alive: timeout=4\r\n", 0),
        (never().free_timeout(Duration::ZERO), "", 0),
        (never().timeout(seconds(2)), "", 2),
        // In whatever order.
        (never().free_timeout(seconds(30)).timeout(seconds(2)), "", 2),
        (never().timeout(seconds(2)).free_timeout(seconds(30)), "", 2),
        (never().timeout(seconds(60)).free_timeout(seconds(3)), "", 3),
    ] {
        let description = format!("{options:?} {field:?}");
        let stayed = Timed::new(options).stays(field);
        match expected {
            0 => assert_eq!(stayed, Duration::ZERO, "{description}"),
            _ => {
                println!("{description}");
                assert_about(stayed, seconds(expected));
            }
        }
    }
}

#[test]
fn a_connection_whose_time_is_up_is_not_used() {
    let mut timed = Timed::new(AgentOptions::new().free_timeout(Duration::from_millis(50)));
    for _ in 0..3 {
        let peer = timed.free("");
        assert_eq!(counts(timed.agent), [0, 1, 0]);
        timed.clocked.pass(seconds(1));
        assert_eq!(counts(timed.agent), [0, 0, 0]);
        assert!(peer.is_eof());
    }
    // Being used begins it anew.
    let mut timed = Timed::new(AgentOptions::new().free_timeout(seconds(2)));
    let peer = timed.free("");
    for _ in 0..5 {
        timed.clocked.pass(Duration::from_millis(1500));
        let options = RequestOptions::new("GET", "http://127.0.0.1/").agent(timed.agent);
        let request =
            http::request_with(timed.clocked.event_loop.handle(), options).expect("a request");
        assert!(request.is_reused());
        request.end("");
        // While it is in use no such clock runs.
        timed.clocked.pass(seconds(10));
        assert!(!request.is_destroyed() && !peer.is_eof());
        peer.read();
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        timed.clocked.pass(Duration::from_millis(10));
        assert!(request.is_destroyed());
    }
}

#[test]
fn the_agents_timeout_is_that_of_requests_without_one() {
    for (own, expected) in [(None, 2), (Some(seconds(5)), 5)] {
        let timed = Timed::new(AgentOptions::new().timeout(seconds(2)));
        let Timed { mut clocked, agent, listener } = timed;
        let options = RequestOptions::new("GET", "http://127.0.0.1/").agent(agent);
        let options = match own {
            Some(own) => options.timeout(own),
            None => options,
        };
        let request = http::request_with(clocked.event_loop.handle(), options).unwrap();
        let (log, net) = (Log::new(), clocked.net.clone());
        let notes = log.clone();
        request.on_timeout(move || notes.note(format!("{}", net.now().as_secs())));
        request.end("");
        clocked.pass(seconds(20));
        // It tells, once, and ends nothing.
        assert_eq!(log.all(), [expected.to_string()]);
        assert!(!request.is_destroyed());
        request.clear_timeout();
        drop(listener);
    }
}
