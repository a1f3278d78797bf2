//! What a request does with the connection that it is given.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Agent, AgentOptions, Connection, RequestOptions};
use onloop::{Error, PanicPolicy, Sent};

use crate::common::{Log, World, dead_port, raw_server, url_of};
use crate::{FINE, LAST, agent, answer, counts, nobody_else, of, send};

#[test]
fn on_socket_is_told_of_a_new_connection_and_of_a_used_one_before_anything_is_sent() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let mut seen: Vec<Connection> = Vec::new();
    let mut peer = None;
    for reused in [false, true, true] {
        let log = Log::new();
        let request = http::request_with(world.lp, of(agent, &url)).unwrap();
        // There is one from the start where it was used before.
        assert_eq!((request.is_reused(), request.connection().is_some()), (reused, reused));
        let told = Rc::new(Cell::new(None));
        let (notes, tells) = (log.clone(), Rc::clone(&told));
        request.on_socket(move |connection| {
            assert!(connection.is_open() && connection.remote_address().is_some());
            assert_eq!(request.connection(), Some(connection));
            tells.set(Some(connection));
            notes.note("socket");
        });
        request.on_response(log.noting_response());
        request.on_finish(log.noting("finish"));
        request.on_close(log.noting("closed"));
        request.end("");
        assert!(told.get().is_none(), "nothing is called inside a call");
        let mut at = peer.take().unwrap_or_else(|| world.accept(&listener));
        answer(&mut world, &mut at, FINE);
        let lines = log.clone();
        world.until("the end", || lines.has("closed"));
        assert_eq!(log.all(), ["socket", "finish", "200", "closed"]);
        assert!(request.connection().is_none());
        seen.push(told.get().expect("told"));
        peer = Some(at);
    }
    // A handle names the connection, whatever request is on it.
    assert!(seen.iter().all(|connection| *connection == seen[0] && connection.is_open()));
    seen[0].destroy();
    assert!(!seen[2].is_open());
    world.until_end(&mut peer.expect("a connection"));
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn on_socket_is_told_again_where_the_request_is_made_again() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    answer(&mut world, &mut peer, FINE);
    first.succeeds(&mut world);
    let log = Log::new();
    let again = http::request_with(world.lp, of(agent, &url)).unwrap();
    let notes = log.clone();
    again.on_socket(move |connection| {
        notes.note(format!("socket, reused {}", again.is_reused()));
        assert!(connection.is_open());
    });
    again.on_response(log.noting_response());
    again.on_error(log.noting_error("error"));
    again.on_close(log.noting("closed"));
    again.end("");
    world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(counts(agent), [1, 0, 0]);
    peer.end();
    let mut fresh = world.accept(&listener);
    assert_eq!(counts(agent), [1, 0, 0]);
    answer(&mut world, &mut fresh, FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["socket, reused true", "socket, reused false", "200", "closed"]);
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn a_connection_that_on_socket_refuses_carries_no_byte() {
    for how in ["destroy the request", "destroy the connection", "an error", "reset", "panic"] {
        for reused in [false, true] {
            let options = onloop::LoopOptions::new().panic_policy(PanicPolicy::Contain);
            let mut world = World::with(options);
            let agent = agent(&world, AgentOptions::new());
            let (listener, url) = raw_server();
            let mut peer = None;
            if reused {
                let first = send(&world, of(agent, &url));
                let mut at = world.accept(&listener);
                answer(&mut world, &mut at, FINE);
                first.succeeds(&mut world);
                peer = Some(at);
            }
            let log = Log::new();
            let request = http::request_with(world.lp, of(agent, &url)).unwrap();
            request.on_socket(move |connection| {
                match how {
                    "destroy the request" => request.destroy(),
                    "destroy the connection" => connection.destroy(),
                    "reset" => connection.reset_and_destroy()?,
                    "panic" => std::panic::resume_unwind(Box::new("on purpose")),
                    _ => return Err(Error::other("not this one")),
                }
                Ok(())
            });
            let notes = log.clone();
            request.on_error(move |error| {
                assert_eq!(error.sent(), Some(Sent::NothingSent), "{how}: {error}");
                notes.note(error.code());
            });
            request.on_close(log.noting("closed"));
            request.end("");
            let mut peer = match peer {
                Some(peer) => peer,
                None => world.accept(&listener),
            };
            world.until("the end", || log.has("closed"));
            world.until_end(&mut peer);
            assert!(peer.received.is_empty(), "{how}: {:?}", peer.text());
            let code = match how {
                "an error" => "ERR_USER",
                "panic" => "ERR_CALLBACK_PANICKED",
                _ => "ECONNRESET",
            };
            assert_eq!((log.all(), counts(agent)), (vec![code.into(), "closed".into()], [0, 0, 0]));
        }
    }
}

#[test]
fn on_socket_is_not_told_where_there_is_none() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (_held, port) = dead_port();
    let log = Log::new();
    let url = format!("http://127.0.0.1:{port}/");
    for destroys in [false, true, true] {
        let request = http::request_with(world.lp, of(agent, &url)).unwrap();
        let notes = log.clone();
        request.on_socket(move |_| notes.note("socket"));
        request.on_close(log.noting("closed"));
        assert!(request.connection().is_none());
        request.end("");
        if destroys {
            request.destroy();
        }
    }
    world.until("the end", || log.count("closed") == 3);
    assert_eq!(log.len(), 3);
}

#[test]
fn content_that_is_piped_into_a_used_connection_waits_for_on_socket() {
    let mut world = World::new();
    let lp = world.lp;
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let mut up = world.accept(&listener);
    answer(&mut world, &mut up, FINE);
    first.succeeds(&mut world);
    let server = world.serve(move |req, res| {
        let options = RequestOptions::new("POST", &url).agent(agent);
        let request = http::request_with(lp, options)?;
        assert!(request.is_reused());
        request.on_socket(move |connection| connection.destroy());
        request.on_error(move |error| {
            assert_eq!(error.sent(), Some(Sent::NothingSent));
            res.end("refused");
        });
        req.pipe(request);
        Ok(())
    });
    let content = "x".repeat(60_000);
    let answer = world.ask(&server, crate::common::post("/", &content));
    assert_eq!(answer.text(), "refused");
    world.until_end(&mut up);
    assert!(up.received.is_empty(), "{} bytes were sent", up.received.len());
}

/// An agent whose sockets the test can look at.
fn watched(world: &World, url: &str) -> (Agent, Rc<RefCell<Vec<TcpStream>>>) {
    let sockets: Rc<RefCell<Vec<TcpStream>>> = Rc::default();
    let keeps = Rc::clone(&sockets);
    let place = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let options =
        AgentOptions::new().tcp_keep_alive(None).create_connection(move |_, connector| {
            let stream = TcpStream::connect(&place)?;
            keeps.borrow_mut().push(stream.try_clone()?);
            connector.connected(stream)
        });
    (agent(world, options), sockets)
}

#[test]
fn socket_options_are_set_before_connecting_and_after() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let (agent, sockets) = watched(&world, &url);
    let read = |index: usize| {
        let sockets = sockets.borrow();
        let socket = socket2::SockRef::from(&sockets[index]);
        let time = socket.tcp_keepalive_time().expect("an option").as_secs();
        let probes = socket.keepalive().expect("an option");
        (socket.tcp_nodelay().expect("an option"), probes.then_some(time))
    };
    // Before there is a connection.
    let request = http::request_with(world.lp, of(agent, &url)).unwrap();
    request.set_no_delay(true);
    request.set_socket_keep_alive(Some(Duration::from_secs(77)));
    let mut peer = world.accept(&listener);
    request.flush_headers();
    world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(read(0), (true, Some(77)));
    // And when there is.
    request.set_no_delay(false);
    request.set_socket_keep_alive(None);
    assert_eq!(read(0), (false, None));
    let connection = request.connection().expect("connected");
    connection.set_no_delay(true);
    connection.set_keep_alive(Some(Duration::from_secs(88)));
    assert_eq!(read(0), (true, Some(88)));
    request.end("");
    peer.send(FINE);
    world.until("the end", || request.is_destroyed());
    // What is set on one that is used before, and dies, is set on the next one, too.
    let again = http::request_with(world.lp, of(agent, &url)).unwrap();
    assert!(again.is_reused());
    again.set_no_delay(false);
    again.set_socket_keep_alive(Some(Duration::from_secs(99)));
    assert_eq!(read(0), (false, Some(99)));
    again.end("");
    world.expect(&mut peer, "\r\n\r\n");
    peer.end();
    let mut fresh = world.accept(&listener);
    world.expect(&mut fresh, "\r\n\r\n");
    assert!(!again.is_reused());
    assert_eq!(read(1), (false, Some(99)));
    // In `on_socket`.
    let other = http::request_with(world.lp, of(agent, &url)).unwrap();
    other.on_socket(move |connection| {
        connection.set_keep_alive(Some(Duration::from_secs(55)));
        other.set_no_delay(true);
    });
    other.end("");
    let mut third = world.accept(&listener);
    world.expect(&mut third, "\r\n\r\n");
    assert_eq!(read(2), (true, Some(55)));
    // On what is over they do nothing.
    request.set_no_delay(false);
    request.set_socket_keep_alive(None);
}

#[test]
fn a_request_tells_what_it_is() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let server = world.serve(|_req, res| res.end(""));
    let url = url_of(&server);
    let options = RequestOptions::new("REPORT", format!("{url}a/b?c=d#e")).agent(agent);
    let request = http::request_with(world.lp, options).unwrap();
    let tell = move || {
        let Some(port) = server.address().and_then(|address| address.port()) else {
            return [String::new(), String::new(), String::new(), String::new()];
        };
        let host = request.host();
        assert!(host.is_empty() || port > 0);
        [request.method(), request.path(), host, request.protocol().to_owned()]
    };
    assert_eq!(tell(), ["REPORT", "/a/b?c=d", "127.0.0.1", "http:"]);
    assert_eq!(request.agent(), Some(agent));
    let log = Log::new();
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(format!("{:?}", tell()));
        response.resume();
    });
    request.on_close(log.noting("closed"));
    request.end("");
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all()[0], r#"["REPORT", "/a/b?c=d", "127.0.0.1", "http:"]"#);
    assert_eq!(tell(), ["", "", "", "http:"]);
    assert_eq!((request.agent(), request.connection()), (None, None));
}

#[test]
fn should_keep_alive_is_what_both_sides_have_said() {
    for (own, text, expected) in [
        ("", FINE, true),
        ("", LAST, false),
        ("", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false),
        ("", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", true),
        // Without a length the end of the connection tells that of the content.
        ("", "HTTP/1.1 200 OK\r\n\r\nok", false),
        ("close", FINE, false),
    ] {
        let mut world = World::new();
        let agent = agent(&world, AgentOptions::new());
        let (listener, url) = raw_server();
        let request = http::request_with(world.lp, of(agent, &url)).unwrap();
        if !own.is_empty() {
            request.set_header("Connection", own).unwrap();
        }
        let said = Rc::new(Cell::new(None));
        let says = Rc::clone(&said);
        request.on_response(move |response| {
            says.set(Some(request.should_keep_alive()));
            response.resume();
        });
        request.end("");
        assert_eq!(request.should_keep_alive(), own.is_empty());
        let mut peer = world.accept(&listener);
        answer(&mut world, &mut peer, text);
        if text.ends_with("OK\r\n\r\nok") {
            peer.end();
        }
        world.until("the end", || request.is_destroyed());
        assert_eq!(said.get(), Some(expected), "{text:?}");
        assert_eq!(counts(agent), [0, usize::from(expected), 0], "{text:?}");
        assert!(!request.should_keep_alive());
    }
}

#[test]
fn a_timeout_is_turned_off_and_on_again() {
    let mut clocked = crate::common::clocked::Clocked::new();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80)).into();
    let listener = clocked.net.listen(&address).expect("it is free");
    let lp = clocked.event_loop.handle();
    let agent = Agent::new(lp, AgentOptions::new().max_sockets(1)).expect("an agent");
    let second = Duration::from_secs(1);
    for waits in [false, true] {
        // One in use that is silent, and one that waits behind it.
        let options = RequestOptions::new("GET", "http://127.0.0.1/").agent(agent);
        let request = http::request_with(lp, options.timeout(second)).unwrap();
        let log = Log::new();
        request.on_timeout(log.noting("timeout"));
        request.end("");
        assert_eq!(counts(agent), [1, 0, usize::from(waits)]);
        request.clear_timeout();
        clocked.pass(10 * second);
        assert_eq!(log.len(), 0);
        request.set_timeout(2 * second);
        clocked.pass(second);
        assert_eq!(log.len(), 0, "it counts from when it is set, waits: {waits}");
        clocked.pass(5 * second);
        assert_eq!(log.all(), ["timeout"], "waits: {waits}");
        // Set again, it is told again.
        request.set_timeout(second);
        clocked.pass(5 * second);
        assert_eq!(log.all(), ["timeout", "timeout"], "waits: {waits}");
        request.clear_timeout();
    }
    drop(listener);
}

#[test]
fn a_connection_handle_of_a_server_leaves_no_agent() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let server = world.serve(|req, res| {
        req.connection().remove_from_agent();
        res.end("fine");
    });
    for _ in 0..2 {
        let asked = send(&world, of(agent, &url_of(&server)));
        asked.succeeds(&mut world);
    }
    assert_eq!(counts(agent), [0, 1, 0]);
}

#[test]
fn a_connection_that_is_handed_on_is_another_handles() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new().max_sockets(1));
    let (listener, url) = raw_server();
    let first = send(&world, of(agent, &url));
    let second = send(&world, of(agent, &url));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    let before = first.request.connection().expect("connected");
    peer.send(FINE);
    first.succeeds(&mut world);
    // Nothing that is done with the former handle reaches the next request.
    before.destroy();
    before.remove_from_agent();
    assert!(!before.is_open());
    answer(&mut world, &mut peer, FINE);
    second.succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
    nobody_else(&mut world, &listener);
}
