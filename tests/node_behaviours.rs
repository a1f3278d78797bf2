//! What Node's own tests make of a server: pipelines that are destroyed in the middle, options that wait for a
//! reader, tables of what is kept. Raw bytes on the other end, and no order of events taken for granted.

mod common;

use std::cell::RefCell;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, get, post, raw_server, url_of};
use onloop::http::{self, Body, Request, Response, Server, ServerOptions};
use onloop::{Error, LoopHandle};

#[test]
fn each_of_several_posts_that_come_at_once_keeps_the_connection() {
    let mut world = World::new();
    let server = world.serve(common::echo);
    let mut peer = world.send(&server, post("/", "content").repeat(4));
    for _ in 0..4 {
        let answer = world.answer(&mut peer);
        assert_eq!(answer.text(), "content");
        assert_eq!(answer.field("Connection"), Some("keep-alive"));
        assert_eq!(answer.field("Keep-Alive"), Some("timeout=65"), "no number of requests");
    }
}

#[test]
fn ten_requests_in_one_packet_are_answered_in_order_after_any_delay() {
    let mut world = World::new();
    let lp = world.lp;
    let delays = [7, 0, 3, 9, 1, 5, 2, 8, 4, 6];
    let server = world.serve(move |req, res| {
        let number: usize = req.url()[1..].parse().expect("a number");
        let delay = Duration::from_millis(delays[number]);
        lp.set_timeout(delay, move || res.end(number.to_string()));
    });
    let requests: String = (0..10).map(|number| get(&format!("/{number}"), "")).collect();
    let mut peer = world.send(&server, requests);
    for number in 0..10 {
        assert_eq!(world.answer(&mut peer).text(), number.to_string());
    }
}

#[test]
fn what_stands_behind_a_request_whose_handler_closes_the_connection_is_not_served() {
    for path in ["/now", "/finish"] {
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let server = world.serve(move |req, res| {
            notes.note(req.url());
            let connection = req.connection();
            match req.url() {
                "/now" => {
                    res.end("x");
                    connection.destroy();
                }
                "/finish" => {
                    res.on_finish(move || connection.destroy());
                    res.end("x");
                }
                _ => res.end("served"),
            }
        });
        let mut peer = world.send(&server, get(path, "") + &get("/behind", "").repeat(19));
        world.until_end(&mut peer);
        // An answer that was ended goes out, also where its connection is destroyed right after.
        assert!(peer.text().ends_with("\r\n\r\nx"), "{path}: {}", peer.text());
        assert_eq!(world.ask(&server, get("/other", "")).text(), "served");
        assert_eq!(log.all(), [path, "/other"]);
    }
}

/// Ways to end an exchange from the inside, and when.
fn break_off(lp: LoopHandle, way: usize, req: &Request, res: Response) {
    let (body, connection) = (req.body(), req.connection());
    match way {
        0 => body.destroy(),
        1 => res.destroy(),
        2 => connection.destroy(),
        3 => drop(lp.set_immediate(move || body.destroy())),
        4 => drop(lp.set_immediate(move || res.destroy())),
        5 => drop(lp.set_timeout(Duration::from_millis(1), move || connection.destroy())),
        6 => body.on_end(move || body.destroy()),
        7 => {
            res.on_finish(move || body.destroy());
            res.end("x");
        }
        8 => {
            res.end("x");
            body.destroy();
        }
        9 => {
            res.write("x");
            res.destroy_with(Error::other("enough"));
        }
        10 => {
            res.on_close(move || connection.destroy());
            res.end("x");
        }
        11 => {
            body.on_close(move || res.destroy());
            body.resume();
            res.end("x");
        }
        _ => {
            let _ = connection.reset_and_destroy();
        }
    }
}

#[test]
fn a_pipeline_may_be_destroyed_anywhere_and_no_request_is_served_twice() {
    const WAYS: usize = 13;
    let mut world = World::new();
    let lp = world.lp;
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        match req.url()[1..].split_once('-').map(|(way, at)| (way.parse(), at)) {
            Some((Ok(way), "6")) => break_off(lp, way, &req, res),
            _ => res.end("served"),
        }
    });
    for way in 0..WAYS {
        log.clear();
        let requests: String = (0..13).map(|at| get(&format!("/{way}-{at}"), "")).collect();
        let mut peer = world.send(&server, requests + &get("/last", "Connection: close\r\n"));
        world.until_end(&mut peer);
        let served = log.all();
        // All before it, it, and where only a closed exchange was destroyed, the others.
        let until = if log.has("/last") { 13 } else { 7 };
        for at in 0..until {
            assert_eq!(log.count(&format!("/{way}-{at}")), 1, "{way}: {served:?}");
        }
        assert_eq!(log.len(), until + usize::from(log.has("/last")), "{way}: {served:?}");
        assert_eq!(world.ask(&server, get("/other", "")).text(), "served");
    }
    world.until("the last connection to be gone", || server.connections() == 0);
}

#[test]
fn a_request_that_is_destroyed_with_an_error_that_nobody_hears_is_a_hang_up() {
    let mut world = World::new();
    let server = world.serve(|req, _res| req.destroy_with(Error::other("unheard")));
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "");
    let log = Log::new();
    let request = http::get(world.lp, url_of(&server), |_| panic!("no response")).unwrap();
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("close"));
    let lines = log.clone();
    world.until("the end", || lines.has("close"));
    assert_eq!(log.all(), ["error ECONNRESET", "close"]);
}

#[test]
fn close_leaves_a_head_that_is_half_sent_until_it_is_whole_or_forced() {
    for forced in [true, false] {
        let log = Log::new();
        let mut world = World::new();
        let server = world.serve(|_req, res| res.end("x"));
        server.on_close(log.noting("closed"));
        let mut idle = world.send(&server, get("/", ""));
        world.answer(&mut idle);
        let mut half = world.send(&server, get("/", "") + "GET / HTTP/1.1\r\n");
        world.answer(&mut half);
        // A whole exchange later the beginning was read.
        idle.send(get("/", ""));
        world.answer(&mut idle);
        server.close();
        assert_eq!((world.until_end(&mut idle), idle.text().as_str()), (Ending::End, ""));
        half.pump();
        assert_eq!((half.ending, log.len()), (None, 0));
        if forced {
            server.close_all_connections();
        } else {
            half.send("Host: h\r\n\r\n");
            let answer = world.answer(&mut half);
            assert_eq!((answer.field("Connection"), answer.status), (Some("close"), 200));
        }
        world.until_end(&mut half);
        assert_eq!(half.text(), "");
        drop((idle, half));
        world.until_over();
        assert_eq!(log.all(), ["closed"]);
    }
}

#[test]
fn a_chunk_extension_that_comes_in_parts_reaches_the_same_limit() {
    let mut world = World::new();
    let server = world.serve(common::echo);
    let extension = "1;".to_owned() + &"e".repeat(17_000) + "\r\nx\r\n0\r\n\r\n";
    for cut in [1, 2, 3_000, 4_097, 4_099, 16_500] {
        let mut peer = world.send(&server, get("/", "Transfer-Encoding: chunked\r\n"));
        peer.send(&extension[..cut]);
        world.until_sent(&mut peer);
        for _ in 0..3 {
            world.turn();
        }
        peer.send(&extension[cut..]);
        let answer = world.answer(&mut peer);
        assert_eq!(answer.status_line, "HTTP/1.1 413 Payload Too Large");
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""), "{cut}");
    }
}

#[test]
fn a_large_answer_drains_on_a_connection_that_has_served_before() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let options = ServerOptions::new().high_water_mark(100_000);
    let server = world.serve_with(options, move |req, res| {
        if req.url() == "/small" {
            return res.end("small");
        }
        assert_eq!(res.writable_high_water_mark(), 100_000);
        assert!(!res.write(vec![b'x'; 6_000_000]) && res.writable_need_drain());
        let drained = notes.clone();
        res.on_drain(move || {
            assert!(res.writable_length() < 100_000);
            drained.note("drain");
            res.end(vec![b'x'; 6_000_000]);
        });
        res.on_finish(notes.noting("finish"));
    });
    let mut peer = world.connect(&server);
    for path in ["/small", "/large", "/large"] {
        peer.send(get(path, ""));
        let length = world.answer(&mut peer).content.len();
        assert_eq!(length, if path == "/small" { 5 } else { 12_000_000 });
    }
    let lines = log.clone();
    world.until("the last call", || lines.len() == 4);
    assert_eq!(log.all(), ["drain", "finish", "drain", "finish"]);
}

#[test]
fn both_sides_may_pause_and_nothing_is_lost() {
    let bodies: Rc<RefCell<Vec<Body>>> = Rc::default();
    let keeps = Rc::clone(&bodies);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let body = req.body();
        req.on_data(move |chunk| {
            if !res.write(chunk) {
                body.pause();
            }
        });
        res.on_drain(move || body.resume());
        req.on_end(move || res.end(""));
        req.pause();
        keeps.borrow_mut().push(body);
    });
    let content: Vec<u8> = (0..5_000_000u32).map(|at| (at % 249) as u8).collect();
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", content.len()));
    peer.send(&content);
    let body = world.wait("the request", || bodies.borrow_mut().pop());
    for _ in 0..20 {
        peer.pump();
        world.turn();
    }
    body.resume();
    for _ in 0..20 {
        peer.pump();
        world.turn();
    }
    peer.read_on();
    assert!(world.answer(&mut peer).content == content);
}

#[test]
fn whether_to_upgrade_is_not_asked_of_connect() {
    let log = Log::new();
    let (asked, connected) = (log.clone(), log.clone());
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("ordinary"));
    server.should_upgrade(move |req| {
        asked.note(format!("asked {}", req.method()));
        false
    });
    server.on_upgrade(|_req, _socket, _head| panic!("nothing is upgraded"));
    server.on_connect(move |req, socket, _head| {
        connected.note(req.url());
        socket.end("HTTP/1.1 200 x\r\n\r\n");
    });
    let upgrade = "Connection: upgrade\r\nUpgrade: x\r\n";
    for fields in ["", upgrade] {
        let tunnel = format!("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n{fields}\r\n");
        let mut peer = world.send(&server, tunnel);
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "HTTP/1.1 200 x\r\n\r\n");
    }
    assert_eq!(world.ask(&server, get("/", upgrade)).text(), "ordinary");
    assert_eq!(log.all(), ["h:1", "h:1", "asked GET"]);
}

#[test]
fn who_waits_for_content_that_is_dropped_or_empty_is_told_all_the_same() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        if let Ok(status) = req.url()[1..].parse() {
            res.set_status(status);
        }
        assert!(res.write(if req.method() == "GET" && req.url() == "/200" { "" } else { "x" }));
        let notes = notes.clone();
        res.on_written(move |result| {
            notes.note(format!("written {}", result.is_ok()));
            res.end("");
        })
    });
    for (method, path) in
        [("HEAD", "/200"), ("GET", "/204"), ("GET", "/205"), ("GET", "/304"), ("GET", "/200")]
    {
        let mut peer = world.send(&server, get(path, "").replace("GET", method));
        let answer = match method {
            "HEAD" => world.answer_to_head(&mut peer),
            _ => world.answer(&mut peer),
        };
        assert_eq!((format!("/{}", answer.status).as_str(), answer.content.len()), (path, 0));
    }
    assert_eq!(log.count("written true"), 5);
    assert_eq!(log.len(), 5);
}

#[test]
fn each_request_of_a_connection_counts_whatever_its_version() {
    let mut world = World::new();
    let options = ServerOptions::new().max_requests_per_socket(2);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let old = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut peer = world.send(&server, old.repeat(3));
    let first = world.answer(&mut peer);
    assert_eq!(first.field("Keep-Alive"), Some("timeout=65, max=2"));
    assert_eq!(world.answer(&mut peer).field("Connection"), Some("close"));
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    // The count is the connection's and not the server's.
    let mut peer = world.send(&server, get("/", ""));
    assert_eq!(world.answer(&mut peer).field("Connection"), Some("keep-alive"));
}

#[test]
fn a_request_is_open_when_it_ends_and_not_when_it_closes() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let body = req.body();
        let (end, close) = (notes.clone(), notes.clone());
        req.resume();
        req.on_end(move || {
            end.note(format!("end {} {}", body.is_open(), body.is_complete()));
            res.end("x");
        });
        req.on_close(move || {
            close.note(format!("close {} {}", body.is_open(), body.is_complete()));
        });
    });
    world.ask(&server, post("/", "content"));
    let lines = log.clone();
    world.until("the last call", || lines.len() == 2);
    assert_eq!(log.all(), ["end true true", "close false true"]);
}

#[test]
fn an_error_names_what_was_refused() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let refused = res.set_header("X Bad", "1").unwrap_err().to_string();
        assert!(refused.contains("X Bad"), "{refused}");
        let refused = res.set_header("X-Named", "\n").unwrap_err().to_string();
        assert!(refused.contains("X-Named"), "{refused}");
        res.end("");
        let late = res.set_header("X-Late", "1").unwrap_err().to_string();
        assert!(late.contains("X-Late"), "{late}");
        let late = res.write_processing().unwrap_err().to_string();
        assert!(late.contains("informational"), "{late}");
    });
    assert_eq!(world.ask(&server, get("/", "")).status, 200);
}

/// A connection that `server` serves, a second look at its options, and the other end.
fn watched(server: &Server) -> (TcpStream, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer = Peer::tcp(listener.local_addr().expect("bound"));
    let (ours, _) = listener.accept().expect("a connection");
    let window = ours.try_clone().expect("a second descriptor of the same connection");
    server.serve_connection(ours).expect("it is a stream");
    (window, peer)
}

/// What the system has for a connection: no Nagle, probes, the seconds until the first of them.
fn options_of(window: &TcpStream) -> (bool, bool, u64) {
    let socket = socket2::SockRef::from(window);
    let after = socket.tcp_keepalive_time().expect("an option").as_secs();
    (window.nodelay().expect("an option"), socket.keepalive().expect("an option"), after)
}

#[test]
fn options_of_connections_and_sockets_are_the_systems() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        let connection = req.connection();
        connection.set_no_delay(req.url() != "/off");
        connection.set_keep_alive((req.url() != "/off").then_some(Duration::from_millis(77_900)));
        res.end("x");
    });
    server.on_upgrade(|_req, socket, _head| {
        socket.write("HTTP/1.1 101 x\r\n\r\n");
        socket.on_data(move |bytes| {
            socket.set_no_delay(bytes == b"on");
            // Less than a second leaves the system's own delay.
            let delay = if bytes == b"on" { 88_900 } else { 900 };
            socket.set_keep_alive((bytes != b"off").then_some(Duration::from_millis(delay)));
            socket.write("done");
        });
    });
    let (window, mut peer) = watched(&server);
    let (_, _, systems) = options_of(&window);
    for (path, expected) in [("/on", (true, true, 77)), ("/off", (false, false, 77))] {
        peer.send(get(path, ""));
        world.answer(&mut peer);
        assert_eq!(options_of(&window), expected, "{path}");
    }
    let (window, mut peer) = watched(&server);
    peer.send(get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    world.expect(&mut peer, "\r\n\r\n");
    for (bytes, expected) in
        [("less", (false, true, systems)), ("on", (true, true, 88)), ("off", (false, false, 88))]
    {
        peer.send(bytes);
        world.expect(&mut peer, "done");
        assert_eq!(options_of(&window), expected, "{bytes}");
    }
}

#[test]
fn a_client_keeps_a_connection_as_version_and_connection_say() {
    let length = "Content-Length: 0\r\n";
    for (version, field, kept) in [
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let log = Log::new();
        let mut peers = Vec::new();
        for round in 1..=3 {
            let request = http::get(world.lp, &url, |response| response.resume()).unwrap();
            request.on_close(log.noting("close"));
            if round == 1 || !kept {
                peers.push(world.accept(&listener));
            }
            let peer = peers.last_mut().expect("a connection");
            world.expect(peer, "\r\n\r\n");
            peer.send(format!("HTTP/{version} 200 OK\r\n{field}{length}\r\n"));
            let lines = log.clone();
            world.until("the end of the request", || lines.len() == round);
            if !kept {
                world.until_end(peer);
            }
        }
        assert_eq!(peers.len(), if kept { 1 } else { 3 }, "{version} {field:?}");
        assert!(listener.accept().is_err(), "no more connections than that");
    }
}

#[test]
fn a_server_may_be_asked_for_what_it_was_made_with() {
    let world = World::new();
    let second = Duration::from_secs(1);
    let made = |options: ServerOptions| Server::new(world.lp, options).expect("a server");
    // The head has as long as the request, and never longer than a minute by itself.
    let plain = made(ServerOptions::new());
    assert_eq!((plain.headers_timeout(), plain.request_timeout()), (second * 60, second * 300));
    let short = made(ServerOptions::new().request_timeout(second * 20));
    assert_eq!((short.headers_timeout(), short.request_timeout()), (second * 20, second * 20));
    let long = made(ServerOptions::new().request_timeout(second * 100));
    assert_eq!((long.headers_timeout(), long.request_timeout()), (second * 60, second * 100));
    let defaults = (plain.keep_alive_timeout(), plain.keep_alive_timeout_buffer());
    assert_eq!(defaults, (second * 65, second));
    assert_eq!((plain.timeout(), plain.max_headers_count()), (Duration::ZERO, 1000));
    assert_eq!((plain.max_requests_per_socket(), plain.max_connections()), (None, None));
    plain.set_max_requests_per_socket(Some(3));
    plain.set_max_requests_per_socket(None);
    assert_eq!(plain.max_requests_per_socket(), None);
}
