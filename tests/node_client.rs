//! What Node's own tests make of a client and its agents, where nothing else here says it.

mod common;

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use common::clocked::{Clocked, seconds};
use common::{Log, World, raw_server, url_of};
use onloop::http::{self, Agent, AgentOptions, RequestOptions, ServerOptions, Socket};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Second looks at the sockets of an agent, the last one last.
type Windows = Rc<RefCell<Vec<TcpStream>>>;

/// What the system has for the last one: no Nagle, probes, the seconds until the first of them.
fn options_of(windows: &Windows) -> (bool, bool, u64) {
    let windows = windows.borrow();
    let window = windows.last().expect("a connection");
    let socket = socket2::SockRef::from(window);
    let after = socket.tcp_keepalive_time().expect("an option").as_secs();
    (window.nodelay().expect("an option"), socket.keepalive().expect("an option"), after)
}

/// Options of an agent that connects to this address whatever it is asked for.
fn connecting(options: AgentOptions, address: &str) -> (AgentOptions, Windows) {
    let windows = Windows::default();
    let (keeps, address) = (Rc::clone(&windows), address.to_owned());
    let options = options.create_connection(move |_, connector| {
        let stream = TcpStream::connect(&address)?;
        keeps.borrow_mut().push(stream.try_clone()?);
        connector.connected(stream)
    });
    (options, windows)
}

#[test]
fn connections_are_probed_as_the_agent_says_and_left_as_they_are_given_otherwise() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let systems = {
        let stream = TcpStream::connect(address).expect("it listens");
        drop(world.accept(&listener));
        socket2::SockRef::from(&stream).tcp_keepalive_time().expect("an option").as_secs()
    };
    let new = AgentOptions::new;
    for (options, expected) in [
        (new(), (true, 1)),
        (new().tcp_keep_alive(None), (false, systems)),
        (new().tcp_keep_alive(Some(Duration::from_millis(7_999))), (true, 7)),
        // Less than a second leaves the system's own time.
        (new().tcp_keep_alive(Some(Duration::from_millis(999))), (true, systems)),
    ] {
        let description = format!("{:?}", options);
        let (options, windows) = connecting(options, address);
        let agent = Agent::new(world.lp, options).expect("an agent");
        let request = RequestOptions::new("GET", &url).agent(agent);
        let request = http::request_with(world.lp, request).expect("a request");
        request.end("");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        world.until("the end", || request.is_destroyed());
        assert_eq!(agent.free_sockets()[0].1, 1);
        let (no_delay, probes, after) = options_of(&windows);
        assert_eq!((probes, after), expected, "{description}");
        // Whoever makes connections decides on their small packets.
        assert!(!no_delay);
        windows.borrow_mut().clear();
        agent.close();
        world.until_end(&mut peer);
    }
}

#[test]
fn nothing_is_sent_before_content_is_written_flushed_or_ended() {
    for how in ["write", "flush", "end"] {
        let mut world = World::new();
        let (listener, url) = raw_server();
        let request = http::request(world.lp, "POST", &url).expect("a request");
        let log = Log::new();
        request.on_socket({
            let log = log.clone();
            move |_| log.note("socket")
        });
        let mut peer = world.accept(&listener);
        world.until("the connection", || log.has("socket"));
        // Unlike in Node, not even by this field.
        request.set_header("Expect", "100-continue").expect("a field");
        for _ in 0..20 {
            world.turn();
            peer.pump();
        }
        assert_eq!(peer.received, b"", "{how}");
        match how {
            "write" => drop(request.write("")),
            "flush" => request.flush_headers(),
            _ => request.end(""),
        }
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.contains("Expect"), "{head}");
        request.destroy();
    }
}

#[test]
fn another_global_agent_is_that_of_later_requests_only() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let first = http::global_agent(world.lp);
    let second = Agent::new(world.lp, AgentOptions::new()).expect("an agent");
    let before = http::request(world.lp, "GET", &url).expect("a request");
    http::set_global_agent(world.lp, second).expect("it is open");
    let after = http::request(world.lp, "GET", &url).expect("a request");
    assert_eq!((before.agent(), after.agent()), (Some(first), Some(second)));
    for request in [before, after] {
        request.end("");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        world.until("the end", || request.is_destroyed());
        std::mem::forget(peer);
    }
    // Each has gone back to where it was from.
    assert_eq!((first.free_sockets()[0].1, second.free_sockets()[0].1), (1, 1));
}

#[test]
fn silence_is_told_to_the_response_and_to_the_request_while_the_answer_is_not_whole() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    clocked.serve(ServerOptions::new(), move |_req, res| {
        res.write("first");
        lp.set_timeout(seconds(10), move || res.end("last"));
    });
    let log = Log::new();
    let options = RequestOptions::new("GET", "http://127.0.0.1/").timeout(seconds(5));
    let request = http::request_with(lp, options).expect("a request");
    request.on_timeout(log.noting("request timeout"));
    let notes = log.clone();
    request.on_response(move |response| {
        response.on_timeout(notes.noting("response timeout"));
        response.on_end(notes.noting("end"));
        response.resume();
    });
    request.on_close(log.noting("closed"));
    request.end("");
    clocked.pass(seconds(60));
    // It ends nothing.
    assert_eq!(log.all(), ["response timeout", "request timeout", "end", "closed"]);
}

/// Linux has the whole of 127/8.
#[cfg(target_os = "linux")]
#[test]
fn the_address_of_an_agent_counts_more_than_that_of_a_request() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let [of_agent, of_request]: [std::net::IpAddr; 2] =
        ["127.0.0.8", "127.0.0.9"].map(|text| text.parse().expect("an address"));
    let with = Agent::new(world.lp, AgentOptions::new().local_address(of_agent)).expect("an agent");
    let without = Agent::new(world.lp, AgentOptions::new()).expect("an agent");
    for (agent, expected) in [(with, of_agent), (without, of_request)] {
        let options = RequestOptions::new("GET", &url).local_address(of_request).agent(agent);
        let request = http::request_with(world.lp, options).expect("a request");
        request.end("");
        let (_stream, from) = world.wait("a connection", || listener.accept().ok());
        assert_eq!(from.ip(), expected);
        request.destroy();
    }
}

#[test]
fn the_default_port_is_not_told() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let (options, _windows) = connecting(AgentOptions::new(), &address);
    let agent = Agent::new(world.lp, options).expect("an agent");
    for (url, host) in [
        ("http://a.test/", "a.test"),
        ("http://a.test:80/", "a.test"),
        ("http://a.test:8080/", "a.test:8080"),
        ("http://[2001:db8::1]/", "[2001:db8::1]"),
        ("http://[2001:db8::1]:81/", "[2001:db8::1]:81"),
    ] {
        let request = RequestOptions::new("GET", url).agent(agent);
        let request = http::request_with(world.lp, request).expect("a request");
        request.end("");
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.contains(&format!("\r\nHost: {host}\r\n")), "{url}: {head}");
        request.destroy();
    }
}

#[test]
fn a_connection_that_became_a_stream_is_not_its_agents() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("ok"));
    server.on_upgrade(|_req, socket, _head| {
        socket.write("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
        socket.on_data(move |bytes| {
            socket.write(bytes);
        });
    });
    let agent = Agent::new(world.lp, AgentOptions::new().max_sockets(1)).expect("an agent");
    let upgrade = RequestOptions::new("GET", url_of(&server)).agent(agent);
    let upgrade = upgrade.header("Connection", "upgrade").header("Upgrade", "x");
    let request = http::request_with(world.lp, upgrade).expect("a request");
    let log = Log::new();
    let notes = log.clone();
    let kept: Rc<Cell<Option<Socket>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    request.on_upgrade(move |_, socket, _| {
        keeps.set(Some(socket));
        socket.on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
    });
    request.end("");
    world.until("the stream", || kept.get().is_some());
    assert_eq!(agent.total_socket_count(), 0);
    // The agent's one place is free for others, and what becomes of the agent is nothing to the stream.
    let next = RequestOptions::new("GET", url_of(&server)).agent(agent);
    let next = http::request_with(world.lp, next).expect("a request");
    next.end("");
    world.until("the answer", || next.is_destroyed());
    agent.close();
    let socket = kept.get().expect("a stream");
    socket.write("still there");
    world.until("the echo", || log.has("still there"));
    socket.destroy();
}
