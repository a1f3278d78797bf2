//! How many connections there may be, by origin, in all, and free.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;

use onloop::http::{self, Agent, AgentOptions, RequestOptions};

use crate::common::{Log, Peer, World, dead_port, raw_server, url_of};
use crate::{FINE, LAST, agent, answer, counts, nobody_else, of, send, until_counts};

/// Accepts what comes and answers everything, until so many requests are answered. Checks the limits at the
/// server and by the agent in each turn.
struct Counted {
    listener: TcpListener,
    peers: Vec<Peer>,
    accepted: usize,
    answered: usize,
}

impl Counted {
    fn new() -> (Counted, String) {
        let (listener, url) = raw_server();
        (Counted { listener, peers: Vec::new(), accepted: 0, answered: 0 }, url)
    }

    /// One step: takes connections, answers what is asked, forgets what is closed.
    fn step(&mut self, world: &mut World) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.accepted += 1;
            self.peers.push(Peer::of_tcp(stream));
        }
        for peer in &mut self.peers {
            peer.pump();
            if peer.received.ends_with(b"\r\n\r\n") {
                peer.received.clear();
                peer.send(FINE);
                self.answered += 1;
            }
        }
        self.peers.retain(|peer| peer.ending.is_none());
        world.turn();
    }
}

#[test]
fn no_more_connections_than_max_sockets_are_made_and_all_requests_are_answered() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(10));
    let (mut server, url) = Counted::new();
    let asked: Vec<_> = (0..20).map(|_| send(&world, of(agent, &url))).collect();
    assert_eq!(counts(agent), [10, 0, 10]);
    while server.answered < 20 {
        server.step(&mut world);
        let [in_use, free, waiting] = counts(agent);
        assert!(in_use + free <= 10 && waiting <= 10 && server.peers.len() <= 10);
        assert!(free == 0 || waiting == 0, "one is free, and somebody waits");
    }
    for asked in &asked {
        asked.succeeds(&mut world);
    }
    assert_eq!((server.accepted, counts(agent)), (10, [0, 10, 0]));
    agent.destroy();
    until_counts(&mut world, agent, [0, 0, 0]);
    assert!(agent.sockets().is_empty() && agent.free_sockets().is_empty());
}

#[test]
fn five_connections_of_which_two_stay_free_then_three_new_ones() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(5).max_free_sockets(2));
    let (mut server, url) = Counted::new();
    for (round, made) in [(1, 5), (2, 5 + 3)] {
        let asked: Vec<_> = (0..10).map(|_| send(&world, of(agent, &url))).collect();
        assert_eq!(counts(agent), [5, 0, 5]);
        while server.answered < 10 * round {
            server.step(&mut world);
            assert!(counts(agent)[0] <= 5 && counts(agent)[1] <= 2);
        }
        for asked in &asked {
            asked.succeeds(&mut world);
        }
        assert_eq!((server.accepted, counts(agent)), (made, [0, 2, 0]));
    }
}

#[test]
fn two_origins_share_a_total() {
    for (per_origin, total) in [(2, 2), (2, 3), (3, 2), (3, 3)] {
        let mut world = World::new();
        let options = AgentOptions::new().max_sockets(per_origin).max_total_sockets(total);
        let agent = agent(&world, options);
        let (mut first, first_url) = Counted::new();
        let (mut second, second_url) = Counted::new();
        let asked: Vec<_> = (0..12)
            .map(|index| send(&world, of(agent, if index < 6 { &first_url } else { &second_url })))
            .collect();
        while first.answered + second.answered < 12 {
            first.step(&mut world);
            second.step(&mut world);
            assert!(agent.total_socket_count() <= total);
            assert!(agent.sockets().iter().all(|(_, count)| *count <= per_origin));
            counts(agent);
        }
        for asked in &asked {
            asked.succeeds(&mut world);
        }
        assert!(agent.requests().is_empty());
        assert!(agent.total_socket_count() <= total);
    }
}

#[test]
fn a_free_connection_elsewhere_gives_way() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_total_sockets(1));
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let asked = send(&world, of(agent, &first_url));
    let mut peer = world.accept(&first);
    answer(&mut world, &mut peer, FINE);
    asked.succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
    let asked = send(&world, of(agent, &second_url));
    assert_eq!(counts(agent), [1, 0, 0]);
    let mut other = world.accept(&second);
    answer(&mut world, &mut other, FINE);
    asked.succeeds(&mut world);
    world.until_end(&mut peer);
    assert_eq!(counts(agent), [0, 1, 0]);
    // The other way round, with a request that has to wait first.
    let waits = [send(&world, of(agent, &second_url)), send(&world, of(agent, &first_url))];
    assert_eq!(counts(agent), [1, 0, 1]);
    answer(&mut world, &mut other, FINE);
    waits[0].succeeds(&mut world);
    world.until_end(&mut other);
    let mut peer = world.accept(&first);
    answer(&mut world, &mut peer, FINE);
    waits[1].succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn a_request_that_wants_a_connection_of_its_own_makes_a_free_one_give_way() {
    for options in [AgentOptions::new().max_sockets(1), AgentOptions::new().max_total_sockets(1)] {
        let mut world = World::new();
        let agent = agent(&world, options);
        let (listener, url) = raw_server();
        let asked = send(&world, of(agent, &url));
        let mut kept = world.accept(&listener);
        answer(&mut world, &mut kept, FINE);
        asked.succeeds(&mut world);
        assert_eq!(counts(agent), [0, 1, 0]);
        // It does not use the free one, and cannot wait for it, either: nobody would ever free its place.
        let asked = send(&world, of(agent, &url).keep_alive(false));
        assert_eq!(counts(agent), [1, 0, 0]);
        let mut peer = world.accept(&listener);
        answer(&mut world, &mut peer, FINE);
        asked.succeeds(&mut world);
        world.until_end(&mut kept);
        until_counts(&mut world, agent, [0, 0, 0]);
    }
}

#[test]
fn limits_that_are_raised_let_requests_go_at_once() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1).max_total_sockets(1));
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let asked: Vec<_> = [&first_url, &first_url, &first_url, &second_url, &second_url]
        .map(|url| send(&world, of(agent, url)))
        .into();
    assert_eq!(counts(agent), [1, 0, 4]);
    agent.set_max_sockets(2);
    assert_eq!((agent.max_sockets(), counts(agent)), (2, [1, 0, 4]));
    agent.set_max_total_sockets(3).unwrap();
    assert_eq!((agent.max_total_sockets(), counts(agent)), (3, [3, 0, 2]));
    agent.set_max_total_sockets(usize::MAX).unwrap();
    assert_eq!(counts(agent), [4, 0, 1]);
    agent.set_max_sockets(0);
    assert_eq!((agent.max_sockets(), counts(agent)), (usize::MAX, [5, 0, 0]));
    let mut peers: Vec<Peer> = (0..3).map(|_| world.accept(&first)).collect();
    peers.extend((0..2).map(|_| world.accept(&second)));
    for peer in &mut peers {
        answer(&mut world, peer, FINE);
    }
    for asked in &asked {
        asked.succeeds(&mut world);
    }
    let error = agent.set_max_total_sockets(0).unwrap_err();
    assert_eq!(error.code(), "ERR_OUT_OF_RANGE");
    let error = Agent::new(world.lp, AgentOptions::new().max_total_sockets(0)).unwrap_err();
    assert_eq!(error.code(), "ERR_OUT_OF_RANGE");
    assert_eq!(agent.max_total_sockets(), usize::MAX);
}

#[test]
fn a_limit_that_is_lowered_holds_as_soon_as_connections_are_done() {
    for waits in [false, true] {
        let mut world = World::new();
        let agent = agent(&world, AgentOptions::new().max_sockets(3));
        let (listener, url) = raw_server();
        let mut asked: Vec<_> = (0..3).map(|_| send(&world, of(agent, &url))).collect();
        let mut peers: Vec<Peer> = (0..3).map(|_| world.accept(&listener)).collect();
        if waits {
            asked.extend((0..2).map(|_| send(&world, of(agent, &url))));
        }
        agent.set_max_sockets(1);
        answer(&mut world, &mut peers[0], FINE);
        world.until_end(&mut peers[0]);
        answer(&mut world, &mut peers[1], FINE);
        world.until_end(&mut peers[1]);
        answer(&mut world, &mut peers[2], FINE);
        if waits {
            // One after the other on the connection that is left.
            assert_eq!(counts(agent)[0], 1);
            answer(&mut world, &mut peers[2], FINE);
            answer(&mut world, &mut peers[2], FINE);
        }
        for asked in &asked {
            asked.succeeds(&mut world);
        }
        assert_eq!(counts(agent), [0, 1, 0]);
        nobody_else(&mut world, &listener);
    }
}

#[test]
fn a_request_is_not_forgotten_where_the_total_is_lowered_while_it_waits() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let asked = [&first_url, &second_url, &first_url].map(|url| send(&world, of(agent, url)));
    let (mut to_first, mut to_second) = (world.accept(&first), world.accept(&second));
    assert_eq!(counts(agent), [2, 0, 1]);
    agent.set_max_total_sockets(1).unwrap();
    // The first one's place may not be filled again; the second one's may, by whoever waits.
    answer(&mut world, &mut to_first, LAST);
    asked[0].succeeds(&mut world);
    until_counts(&mut world, agent, [1, 0, 1]);
    answer(&mut world, &mut to_second, LAST);
    asked[1].succeeds(&mut world);
    let mut to_first = world.accept(&first);
    answer(&mut world, &mut to_first, FINE);
    asked[2].succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn an_agent_that_keeps_nothing_serves_who_waits_on_the_same_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().keep_alive(false).max_sockets(1));
    assert!(!agent.keep_alive());
    let (listener, url) = raw_server();
    let asked: Vec<_> = (0..3).map(|_| send(&world, of(agent, &url))).collect();
    let mut peer = world.accept(&listener);
    for (index, asked) in asked.iter().enumerate() {
        assert_eq!(counts(agent), [1, 0, 2 - index]);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.contains("\r\nConnection: keep-alive\r\n"), "{head}");
        peer.send(FINE);
        asked.succeeds(&mut world);
    }
    world.until_end(&mut peer);
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn a_queue_that_is_full_refuses_at_the_call() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1).max_queued_requests(2));
    let (listener, url) = raw_server();
    let asked: Vec<_> = (0..3).map(|_| send(&world, of(agent, &url))).collect();
    let error = http::request_with(world.lp, of(agent, &url)).unwrap_err();
    assert_eq!(error.code(), "ERR_AGENT_QUEUE_FULL");
    assert_eq!(counts(agent), [1, 0, 2]);
    // All origins together are counted; another agent's are not.
    let (elsewhere, other_url) = raw_server();
    let free = send(&world, of(agent, &other_url));
    let error = http::request_with(world.lp, of(agent, &other_url)).unwrap_err();
    assert_eq!(error.code(), "ERR_AGENT_QUEUE_FULL");
    let mut peer = world.accept(&elsewhere);
    answer(&mut world, &mut peer, FINE);
    free.succeeds(&mut world);
    asked[1].request.destroy();
    world.until("the place of the one that is gone", || counts(agent)[2] == 1);
    let last = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    for asked in [&asked[0], &asked[2], &last] {
        answer(&mut world, &mut peer, FINE);
        asked.succeeds(&mut world);
    }
    assert_eq!(asked[1].log.all(), ["error ECONNRESET", "closed"]);
}

#[test]
fn aborting_inside_on_response_never_makes_too_many() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(2));
    let (open, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (opened, top) = (Rc::clone(&open), Rc::clone(&most));
    let server = world.serve(|_req, res| {
        res.write("some");
    });
    server.on_connection(move |_connection| {
        opened.set(opened.get() + 1);
        top.set(top.get().max(opened.get()));
    });
    let log = Log::new();
    for _ in 0..20 {
        let request = http::request_with(world.lp, of(agent, &url_of(&server))).unwrap();
        let open = Rc::clone(&open);
        request.on_response(move |_response| {
            // The server learns of it later; what counts is what is open here.
            open.set(open.get() - 1);
            request.destroy();
            assert!(agent.total_socket_count() <= 2);
        });
        request.on_close(log.noting("closed"));
        request.end("");
    }
    let lines = log.clone();
    world.until("all of them", || {
        assert!(counts(agent)[0] <= 2);
        lines.len() == 20
    });
    assert!(most.get() <= 2, "{} at the same time", most.get());
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn a_request_of_its_own_counts_nowhere() {
    let mut world = World::new();
    let global = http::global_agent(world.lp);
    let (listener, url) = raw_server();
    let alone = send(&world, RequestOptions::new("GET", &url).keep_alive(false));
    assert_eq!((counts(global), alone.request.agent()), ([0, 0, 0], None));
    let shared = send(&world, RequestOptions::new("GET", &url));
    assert_eq!((counts(global), shared.request.agent()), ([1, 0, 0], Some(global)));
    for asked in [&alone, &shared] {
        let mut peer = world.accept(&listener);
        answer(&mut world, &mut peer, FINE);
        asked.succeeds(&mut world);
    }
    assert_eq!((counts(global), shared.request.agent()), ([0, 1, 0], None));
}

#[test]
fn connections_that_cannot_be_made_leave_their_places() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(2).max_total_sockets(2));
    let (_held, port) = dead_port();
    let errors = Rc::new(RefCell::new(0));
    for _ in 0..10 {
        let url = format!("http://127.0.0.1:{port}/");
        let request = http::request_with(world.lp, of(agent, &url)).unwrap();
        let errors = Rc::clone(&errors);
        request.on_error(move |error| {
            assert_eq!(error.code(), "ECONNREFUSED");
            *errors.borrow_mut() += 1;
        });
        request.end("");
    }
    world.until("ten failures", || {
        assert!(agent.total_socket_count() <= 2);
        *errors.borrow() == 10
    });
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn more_origins_than_can_be_told_apart_are_refused_and_do_not_go_without_their_agent() {
    let mut world = World::new();
    let many = usize::from(u16::MAX);
    let options = AgentOptions::new().max_total_sockets(1).max_queued_requests(2 * many);
    let agent = agent(&world, options);
    let (_listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    for number in 1..many {
        let options = of(agent, &format!("http://origin-{number}.test/"));
        http::request_with(world.lp, options).expect("one of many");
    }
    // Beyond, no limit and no block list would be anybody's.
    let lp = world.lp;
    let beyond = move || http::request_with(lp, of(agent, "http://beyond.test/"));
    assert_eq!(beyond().unwrap_err().code(), "ERR_AGENT_QUEUE_FULL");
    let same = http::request_with(world.lp, of(agent, "http://origin-7.test/")).expect("known");
    assert_eq!(agent.total_socket_count(), 1);
    // One place at a time goes round, whoever has it fails, and nobody looks through all of the others.
    first.request.destroy();
    world.until("the first to be gone", || first.log.has("closed"));
    same.destroy();
    assert_eq!(agent.total_socket_count(), 1);
    beyond().expect("one origin was forgotten");
    agent.close();
    world.turn();
    assert_eq!(counts(agent), [0, 0, 0]);
    world.until_over();
}

#[test]
fn many_origins_share_few_connections() {
    let mut world = World::new();
    let open = Rc::new(Cell::new(0));
    let server = world.serve(|_req, res| res.end("fine"));
    let options = AgentOptions::new()
        .max_total_sockets(3)
        .lookup(|_, answer| answer.found(["127.0.0.1".parse().expect("an address")]));
    let agent = agent(&world, options);
    let port = server.port();
    let log = Log::new();
    for number in 0..3_000 {
        let url = format!("http://origin-{}.test:{port}/", number % 1_500);
        let request = http::request_with(world.lp, of(agent, &url)).expect("a request");
        request.on_response(log.noting_response());
        request.on_error(log.noting_error("error"));
        let closes = Rc::clone(&open);
        request.on_close(move || closes.set(closes.get() + 1));
        request.end("");
    }
    assert_eq!(counts(agent), [3, 0, 2_997]);
    while open.get() < 3_000 {
        world.turn();
        assert!(agent.total_socket_count() <= 3);
    }
    assert_eq!(log.count("200"), 3_000);
    assert!(agent.requests().is_empty());
}
