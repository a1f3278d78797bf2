//! Who waits for a connection, and who is next.

use onloop::Sent;
use onloop::http::{self, AgentOptions, RequestOptions};

use crate::common::{Log, Peer, World, dead_port, raw_server};
use crate::{FINE, LAST, agent, answer, counts, nobody_else, of, send};

#[test]
fn requests_are_served_in_their_order_on_one_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> =
        (0..4).map(|index| send(&world, of(agent, &format!("{url}{index}")))).collect();
    let mut peer = world.accept(&listener);
    for (index, asked) in asked.iter().enumerate() {
        assert_eq!(counts(agent), [1, 0, 3 - index]);
        assert_eq!(asked.request.is_reused(), index > 0);
        assert_eq!(answer(&mut world, &mut peer, FINE), format!("/{index}"));
        asked.succeeds(&mut world);
    }
    nobody_else(&mut world, &listener);
}

#[test]
fn the_middle_one_of_three_is_destroyed_and_the_third_runs_on_the_one_connection() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> =
        (0..3).map(|index| send(&world, of(agent, &format!("{url}{index}")))).collect();
    asked[1].request.destroy();
    let mut peer = world.accept(&listener);
    assert_eq!(answer(&mut world, &mut peer, FINE), "/0");
    assert_eq!(answer(&mut world, &mut peer, FINE), "/2");
    asked[0].succeeds(&mut world);
    asked[2].succeeds(&mut world);
    assert_eq!(asked[1].log.all(), ["error ECONNRESET", "closed"]);
    nobody_else(&mut world, &listener);
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn all_that_wait_are_destroyed_in_the_moment_the_connection_is_free() {
    let mut world = World::new();
    let lp = world.lp;
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let log = Log::new();
    let first = http::request_with(lp, of(agent, &url)).unwrap();
    let mut peer = world.accept(&listener);
    let waiting: Vec<_> = (0..3).map(|_| send(&world, of(agent, &url))).collect();
    let requests: Vec<_> = waiting.iter().map(|asked| asked.request).collect();
    first.on_response(move |response| {
        response.resume();
        response.on_end(move || requests.iter().for_each(http::ClientRequest::destroy));
    });
    first.on_close(log.noting("closed"));
    first.end("");
    answer(&mut world, &mut peer, FINE);
    world.until("the first", || log.has("closed"));
    for asked in &waiting {
        assert_eq!(asked.done(&mut world), ["error ECONNRESET", "closed"]);
    }
    // Whatever became of the connection: the agent goes on.
    let next = send(&world, of(agent, &url));
    let mut peer = match next.request.is_reused() {
        true => peer,
        false => world.accept(&listener),
    };
    answer(&mut world, &mut peer, FINE);
    next.succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn a_connection_that_is_closed_is_not_handed_over() {
    // By the head, by an end of stream behind the answer, by bytes that nobody asked for.
    for (text, ends) in [(LAST, false), (FINE, true), ("", false)] {
        let mut world = World::new();
        let agent = agent(&world, AgentOptions::new().max_sockets(1));
        let (listener, url) = raw_server();
        let asked: Vec<_> =
            (0..3).map(|index| send(&world, of(agent, &format!("{url}{index}")))).collect();
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        match text {
            "" => peer.send(format!("{FINE}{FINE}")),
            text => peer.send(text),
        }
        if ends {
            peer.end();
        }
        asked[0].succeeds(&mut world);
        let mut fresh = world.accept(&listener);
        assert!(!asked[1].request.is_reused());
        for (index, asked) in asked.iter().enumerate().skip(1) {
            assert_eq!(answer(&mut world, &mut fresh, FINE), format!("/{index}"));
            asked.succeeds(&mut world);
        }
        assert_eq!(counts(agent), [0, 1, 0]);
    }
}

#[test]
fn a_connection_that_is_destroyed_by_the_first_response_is_not_the_next_ones() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let first = http::request_with(world.lp, of(agent, &url)).unwrap();
    first.on_response(move |response| {
        let connection = first.connection().expect("it is there");
        response.on_data(move |_| connection.destroy());
    });
    first.end("");
    let next = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    world.until_end(&mut peer);
    let mut fresh = world.accept(&listener);
    assert!(!next.request.is_reused());
    answer(&mut world, &mut fresh, FINE);
    next.succeeds(&mut world);
}

#[test]
fn a_server_that_says_how_long_it_waits_does_not_keep_requests_from_their_turn() {
    // One second less the buffer is no time to be free in. Whoever waits needs none.
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> = (0..3).map(|_| send(&world, of(agent, &url))).collect();
    let mut peer = world.accept(&listener);
    let short = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok";
    for asked in &asked {
        answer(&mut world, &mut peer, short);
        asked.succeeds(&mut world);
    }
    world.until_end(&mut peer);
    nobody_else(&mut world, &listener);
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn a_server_that_waits_for_nothing_is_not_asked_again() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> = (0..2).map(|_| send(&world, of(agent, &url))).collect();
    for asked in &asked {
        let mut peer = world.accept(&listener);
        let none = "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok";
        answer(&mut world, &mut peer, none);
        asked.succeeds(&mut world);
        world.until_end(&mut peer);
    }
}

#[test]
fn one_that_cannot_connect_does_not_keep_the_others() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_total_sockets(1));
    let (listener, url) = raw_server();
    let (_held, port) = dead_port();
    let dead_url = format!("http://127.0.0.1:{port}/");
    let asked = [&url, &dead_url, &url, &dead_url, &url].map(|url| send(&world, of(agent, url)));
    assert_eq!(counts(agent), [1, 0, 4]);
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    while asked.iter().any(|asked| !asked.log.has("closed")) {
        peer.pump();
        if peer.received.ends_with(b"\r\n\r\n") {
            peer.received.clear();
            peer.send(FINE);
        }
        if let Ok((stream, _)) = listener.accept() {
            peer = Peer::of_tcp(stream);
        }
        assert!(agent.total_socket_count() <= 1);
        world.turn();
    }
    for index in [1, 3] {
        assert_eq!(asked[index].log.all(), ["error ECONNREFUSED", "closed"]);
    }
    for index in [0, 2, 4] {
        assert_eq!(asked[index].log.all(), ["200", "closed"]);
    }
    assert_eq!(agent.requests(), []);
}

#[test]
fn a_connection_that_dies_makes_room_for_the_next_one() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let asked: Vec<_> =
        (0..3).map(|index| send(&world, of(agent, &format!("{url}{index}")))).collect();
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.reset();
    assert_eq!(asked[0].done(&mut world), ["error ECONNRESET", "closed"]);
    let mut fresh = world.accept(&listener);
    assert_eq!(answer(&mut world, &mut fresh, FINE), "/1");
    assert_eq!(answer(&mut world, &mut fresh, FINE), "/2");
    asked[1].succeeds(&mut world);
    asked[2].succeeds(&mut world);
}

#[test]
fn what_is_switched_or_tunnelled_or_taken_out_gives_its_place_back() {
    for how in ["upgrade", "connect", "remove"] {
        let mut world = World::new();
        let agent = agent(&world, AgentOptions::new().max_sockets(1).max_total_sockets(1));
        let (listener, url) = raw_server();
        let log = Log::new();
        let options = match how {
            "connect" => RequestOptions::new("CONNECT", &url).path("a.test:1").agent(agent),
            _ => of(agent, &url),
        };
        let request = http::request_with(world.lp, options).unwrap();
        if how == "upgrade" {
            request.set_header("Connection", "upgrade").unwrap();
            request.set_header("Upgrade", "raw").unwrap();
        }
        let notes = log.clone();
        request.on_upgrade(move |_, socket, _| {
            notes.note("upgraded");
            socket.write("raw");
        });
        let notes = log.clone();
        request.on_connect(move |_, socket, _| {
            notes.note("connected");
            socket.write("raw");
        });
        request.on_response(|response| response.resume());
        request.on_close(log.noting("closed"));
        request.end("");
        let next = send(&world, of(agent, &url));
        assert_eq!(counts(agent), [1, 0, 1]);
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        match how {
            "upgrade" => peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
            ),
            "connect" => peer.send("HTTP/1.1 200 OK\r\n\r\n"),
            _ => {
                let connection = request.connection().expect("connected");
                connection.remove_from_agent();
                connection.remove_from_agent();
                assert_eq!(request.agent(), None);
            }
        }
        // The one that waited is on a connection of its own.
        let mut fresh = world.accept(&listener);
        answer(&mut world, &mut fresh, FINE);
        next.succeeds(&mut world);
        assert_eq!(counts(agent), [0, 1, 0], "{how}");
        if how == "remove" {
            // It serves the exchange that is going on on it, and then nobody.
            peer.send(FINE);
            world.until("the end", || log.has("closed"));
        } else {
            world.expect(&mut peer, "raw");
            peer.end();
        }
        world.until_end(&mut peer);
        assert_eq!(counts(agent), [0, 1, 0], "{how}");
    }
}

#[test]
fn a_free_connection_that_is_taken_out_is_closed() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let request = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    let connection = request.request.connection().expect("connected");
    peer.send(FINE);
    request.succeeds(&mut world);
    assert!(connection.is_open() && counts(agent) == [0, 1, 0]);
    connection.remove_from_agent();
    assert!(!connection.is_open());
    let next = send(&world, of(agent, &url));
    assert!(!next.request.is_reused());
    world.until_end(&mut peer);
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    next.succeeds(&mut world);
    connection.remove_from_agent();
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn a_request_that_was_taken_out_of_its_agent_is_not_made_again_without_it() {
    // Made again it would connect as if there were no agent: without its limits, its hooks, its block list.
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    first.succeeds(&mut world);
    let log = Log::new();
    let next = http::request_with(world.lp, of(agent, &url)).unwrap();
    assert!(next.is_reused());
    next.connection().expect("a free one").remove_from_agent();
    let notes = log.clone();
    next.on_error(move |error| {
        assert_eq!(error.sent(), Some(Sent::SentNoReply));
        notes.note(error.code());
    });
    next.on_close(log.noting("closed"));
    next.end("");
    world.expect(&mut peer, "\r\n\r\n");
    peer.end();
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["ECONNRESET", "closed"]);
    nobody_else(&mut world, &listener);
}

#[test]
fn a_request_that_waits_has_a_timeout_and_keeps_it_afterwards() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let log = Log::new();
    let timeout = std::time::Duration::from_millis(50);
    let waits = http::request_with(world.lp, of(agent, &url).timeout(timeout)).unwrap();
    waits.on_timeout(log.noting("timeout"));
    waits.on_close(log.noting("closed"));
    waits.end("");
    world.until("the timeout", || log.has("timeout"));
    assert_eq!(counts(agent), [1, 0, 1]);
    // It is told, and ends nothing.
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    first.succeeds(&mut world);
    world.expect(&mut peer, "\r\n\r\n");
    world.until("the silence of the server", || log.count("timeout") == 2);
    peer.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["timeout", "timeout", "closed"]);
}

#[test]
fn a_request_that_is_written_while_it_waits_is_sent_whole() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let log = Log::new();
    let post = RequestOptions::new("POST", &url).agent(agent);
    let waits = http::request_with(world.lp, post).unwrap();
    waits.on_response(log.noting_response());
    waits.on_close(log.noting("closed"));
    waits.write("one ");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    waits.write(vec![b'x'; 100_000]);
    assert_eq!(peer.received, b"");
    peer.send(FINE);
    first.succeeds(&mut world);
    let head = world.expect(&mut peer, "one \r\n");
    assert!(head.starts_with("POST / HTTP/1.1\r\n"), "{head}");
    waits.end("two");
    world.expect(&mut peer, "\r\n3\r\ntwo\r\n0\r\n\r\n");
    peer.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["200", "closed"]);
    nobody_else(&mut world, &listener);
}

#[test]
fn a_request_that_waits_once_more_says_what_was_sent_before() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let retries = http::Retries::new(3).delay(std::time::Duration::ZERO);
    let request = http::request_with(world.lp, of(agent, &url).retries(retries)).unwrap();
    let log = Log::new();
    let notes = log.clone();
    request.on_error(move |error| notes.note(format!("{} {:?}", error.code(), error.sent())));
    request.on_close(log.noting("closed"));
    request.end("");
    let other = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(counts(agent), [1, 0, 1]);
    peer.end();
    // The other one has the place now, and this one stands behind it.
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    world.until("the second attempt to wait", || counts(agent) == [1, 0, 1]);
    agent.close();
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["ERR_AGENT_CLOSED Some(SentNoReply)", "closed"]);
    assert_eq!(other.done(&mut world), ["error ECONNRESET", "closed"]);
}
