//! What a server calls beside `on_request`: connections, expectations, requests behind the last, refused
//! connections, client errors with their bytes.

mod common;

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use common::{Ending, Log, Peer, World, get, post};
use onloop::http::ServerOptions;
use onloop::{Address, Error, ErrorKind, Limit};

const EXPECTS: &str =
    "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn a_connection_is_told_once_before_its_first_request() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        notes.note(format!("request {}", req.url()));
        assert!(req.connection() == res.connection() && req.connection().is_open());
        res.end("x");
    });
    let notes = log.clone();
    server.on_connection(move |connection| {
        let remote = connection.remote_address().and_then(|address| address.port());
        assert!(remote.is_some_and(|port| port != 0));
        let local = connection.local_address().and_then(|address| address.port());
        notes.note(format!("connection to us {}", local == Some(server.port())));
    });
    let mut peer = world.send(&server, get("/1", "") + &get("/2", ""));
    world.answer(&mut peer);
    world.answer(&mut peer);
    assert_eq!(log.all(), ["connection to us true", "request /1", "request /2"]);
    // One that says nothing is told as well.
    let _silent = world.connect(&server);
    world.until("the silent connection", || log.len() == 4);
    server.off_connection();
    assert_eq!(world.ask(&server, get("/3", "")).status, 200);
    assert_eq!(log.len(), 5, "only the request");
}

#[test]
fn a_connection_may_be_destroyed_when_it_is_told() {
    let mut world = World::new();
    let log = Log::new();
    let server = world.serve({
        let log = log.clone();
        move |_req, _res| log.note("request")
    });
    server.on_connection(|connection| {
        connection.destroy();
        assert!(!connection.is_open() && connection.remote_address().is_none());
        connection.destroy();
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert_eq!((peer.text().as_str(), log.len()), ("", 0));
    assert_eq!(server.connections(), 0);
}

#[test]
fn an_error_out_of_on_connection_closes_the_connection() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    server.on_connection(|_connection| -> onloop::Result<()> { Err(Error::other("not today")) });
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "");
    server.on_connection(|_connection| Ok(()));
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
}

#[test]
fn a_connection_names_the_connection_and_not_the_exchange() {
    let mut world = World::new();
    let kept = Rc::new(Cell::new(None));
    let server = world.serve({
        let kept = Rc::clone(&kept);
        move |req, res| {
            kept.set(Some(req.connection()));
            res.end("x");
        }
    });
    let mut peer = world.send(&server, get("/", ""));
    world.answer(&mut peer);
    let connection = kept.get().expect("a request came");
    assert!(connection.is_open(), "also between two requests");
    connection.set_no_delay(false);
    connection.set_keep_alive(Some(std::time::Duration::from_secs(60)));
    connection.unref();
    connection.ref_();
    connection.destroy();
    world.until_end(&mut peer);
    // Whoever is in its place now is a stranger.
    let mut next = world.send(&server, "GET / HT");
    world.until("the next connection", || server.connections() == 1);
    connection.destroy();
    next.send("TP/1.0\r\n\r\n");
    assert_eq!(world.answer(&mut next).text(), "x");
}

#[test]
fn destroying_the_connection_ends_the_exchange_on_it() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        res.on_finish(notes.noting("finish"));
        res.on_close(notes.noting("close"));
        res.write("begun");
        req.connection().destroy();
        assert!(!res.write("more"), "it is over");
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["close"]);
}

#[test]
fn a_connection_may_be_reset() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        res.on_close(notes.noting("close"));
        let connection = req.connection();
        connection.reset_and_destroy().expect("it is open");
        let closed = connection.reset_and_destroy().expect_err("it is closed");
        notes.note(closed.code());
        res.end("never");
    });
    let mut peer = world.send(&server, get("/", ""));
    assert_eq!(world.until_end(&mut peer), Ending::Reset);
    world.until("the last call", || log.has("close"));
    assert_eq!(log.all(), ["ERR_SOCKET_CLOSED", "close"]);
    assert_eq!(server.connections(), 0);
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let notes = log.clone();
    server.on_connection(move |connection| {
        notes.note(connection.reset_and_destroy().expect_err("a Unix socket").code());
    });
    server.serve_connection(ours).expect("it is a stream");
    world.until("the answer", || log.has("ERR_INVALID_HANDLE_TYPE"));
}

#[test]
fn an_upgraded_connection_is_the_same_connection() {
    let mut world = World::new();
    let kept = Rc::new(Cell::new(None));
    let server = world.serve(|_req, res| res.end("x"));
    server.on_upgrade({
        let kept = Rc::clone(&kept);
        move |req, socket, _head| {
            kept.set(Some(req.connection()));
            socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        }
    });
    let mut peer = world.send(&server, get("/", "Connection: upgrade\r\nUpgrade: x\r\n"));
    world.expect(&mut peer, "\r\n\r\n");
    kept.get().expect("it was upgraded").destroy();
    world.until_end(&mut peer);
}

#[test]
fn on_check_continue_takes_the_place_of_on_request() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        notes.note("request");
        req.resume();
        req.on_end(move || res.end("r"));
    });
    let notes = log.clone();
    server.on_check_continue(move |req, res| {
        notes.note(req.header("expect").unwrap_or("nothing").to_owned());
        res.write_continue()?;
        req.on_data(move |chunk| _ = res.write(chunk));
        req.on_end(move || res.end(""));
        Ok(())
    });
    let mut peer = world.send(&server, EXPECTS);
    assert_eq!(world.expect(&mut peer, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    assert_eq!(world.answer(&mut peer).text(), "hello");
    assert_eq!(log.all(), ["100-continue"]);
    // Without the expectation, and in HTTP/1.0, which knows none, a request is a request.
    assert_eq!(world.ask(&server, post("/", "hello")).text(), "r");
    let old = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(world.ask(&server, old).text(), "r");
    // Nothing is awaited where there is no content: the listener is asked all the same.
    let bare = get("/", "Expect: 100-Continue\r\n");
    let mut peer = world.send(&server, bare);
    assert_eq!(world.answer(&mut peer).text(), "");
    assert_eq!(log.all()[1..], ["request", "request", "100-Continue"]);
    server.off_check_continue();
    let mut peer = world.send(&server, EXPECTS);
    world.expect(&mut peer, "100 Continue\r\n\r\n");
    peer.send("hello");
    assert_eq!(world.answer(&mut peer).text(), "r");
}

#[test]
fn on_check_continue_may_refuse_and_the_connection_ends() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("never"));
    server.on_check_continue(|_req, res| {
        res.set_status(413);
        res.end("no");
    });
    let mut peer = world.send(&server, EXPECTS);
    let answer = world.answer(&mut peer);
    assert_eq!((answer.status, answer.field("Connection")), (413, Some("close")));
    // Sent all the same, it is no request.
    peer.send("hello");
    peer.send(get("/", ""));
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "");
}

#[test]
fn on_check_expectation_decides_on_other_expectations() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("request"));
    let asked = get("/", "Expect: meoww\r\n");
    let answer = world.ask(&server, &asked);
    assert_eq!((answer.status, answer.text().as_str()), (417, ""));
    assert_eq!(answer.status_line, "HTTP/1.1 417 Expectation Failed");
    server.on_check_expectation(|req, res| {
        assert_eq!(req.header("expect"), Some("meoww"));
        res.end("expected");
    });
    let mut peer = world.send(&server, asked.clone() + &get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "expected");
    assert_eq!(world.answer(&mut peer).text(), "request");
    server.off_check_expectation();
    assert_eq!(world.ask(&server, &asked).status, 417);
}

#[test]
fn what_follows_the_last_request_is_dropped_and_told() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let lp = world.lp;
    let options = ServerOptions::new().max_requests_per_socket(2);
    let server = world.serve_with(options, move |req, res| {
        notes.note(format!("served {}", req.url()));
        match req.url() {
            "/2" => drop(lp.set_immediate(move || res.end("later"))),
            _ => res.end("x"),
        }
    });
    let notes = log.clone();
    server.on_drop_request(move |req, connection| {
        assert!(connection.is_open() && !req.is_open());
        req.on_data(|_chunk| panic!("its content is not read"));
        notes.note(format!("dropped {} {}", req.method(), req.url()));
    });
    let pipelined =
        get("/1", "") + &get("/2", "") + &get("/3", "") + &post("/4", "content") + "GET /5";
    let mut peer = world.send(&server, pipelined);
    let first = world.answer(&mut peer);
    assert_eq!(first.field("Keep-Alive"), Some("timeout=65, max=2"));
    let last = world.answer(&mut peer);
    assert_eq!((last.field("Connection"), last.field("Keep-Alive")), (Some("close"), None));
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    assert_eq!(log.all(), ["served /1", "served /2", "dropped GET /3", "dropped POST /4"]);
}

#[test]
fn a_connection_too_many_is_closed_and_told() {
    let mut world = World::new();
    let log = Log::new();
    let options = ServerOptions::new().max_connections(1);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let notes = log.clone();
    let ours = server.address();
    server.on_drop(move |info| {
        assert_eq!(info.local_address(), ours.as_ref());
        assert!(info.remote_address().and_then(Address::port).is_some());
        notes.note("dropped");
    });
    let mut first = world.send(&server, get("/", ""));
    world.answer(&mut first);
    let mut second = world.send(&server, get("/", ""));
    world.until_end(&mut second);
    assert_eq!((second.text().as_str(), log.all()), ("", vec!["dropped".to_owned()]));
    // The one that is there is none the worse, and its place is free when it goes.
    first.send(get("/", "Connection: close\r\n"));
    world.answer(&mut first);
    world.until_end(&mut first);
    world.until("the place to be free", || server.connections() == 0);
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
    // Zero refuses everybody; a flood of them is told of, all in a few turns.
    server.set_max_connections(Some(0));
    let mut peers: Vec<Peer> = (0..50).map(|_| world.connect(&server)).collect();
    for peer in &mut peers {
        world.until_end(peer);
    }
    assert_eq!(log.count("dropped"), 51);
}

#[test]
fn connections_are_limited_by_address() {
    let mut world = World::new();
    let log = Log::new();
    let options = ServerOptions::new().max_connections_per_address(2);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    server.on_drop({
        let log = log.clone();
        move |_info| log.note("dropped")
    });
    let mut peers: Vec<Peer> = (0..2).map(|_| world.send(&server, get("/", ""))).collect();
    for peer in &mut peers {
        world.answer(peer);
    }
    let mut third = world.connect(&server);
    world.until_end(&mut third);
    assert_eq!(log.len(), 1);
    // A place is given back however the connection ends: by its end, by its reset.
    drop(peers);
    world.until("the places to be free", || server.connections() == 0);
    for _ in 0..3 {
        assert_eq!(world.ask(&server, get("/", "Connection: close\r\n")).text(), "x");
    }
    server.set_max_connections_per_address(None);
    let mut many: Vec<Peer> = (0..5).map(|_| world.send(&server, get("/", ""))).collect();
    for peer in &mut many {
        world.answer(peer);
    }
    assert_eq!(log.len(), 1);
}

#[test]
fn a_connection_made_elsewhere_is_served() {
    let mut world = World::new();
    let log = Log::new();
    let server = world.serve(|req, res| {
        assert_eq!(req.remote_address(), None, "it has no name");
        res.end("x");
    });
    server.on_connection({
        let log = log.clone();
        move |_connection| log.note("connection")
    });
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    server.serve_connection(ours).expect("it is a stream");
    let mut peer = Peer::of_unix(theirs);
    peer.send(get("/1", "") + &get("/2", ""));
    assert_eq!(world.answer(&mut peer).field("Connection"), Some("keep-alive"));
    world.answer(&mut peer);
    peer.send("no http\r\n\r\n");
    assert_eq!(world.answer(&mut peer).status, 400);
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["connection"]);

    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    server.set_max_connections(Some(0));
    server.on_drop(|_info| panic!("the call itself tells"));
    let refused = server.serve_connection(ours).expect_err("no place is left");
    assert_eq!(refused.kind(), ErrorKind::Limit(Limit::Connections));
    let no_stream = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    server.set_max_connections(None);
    assert!(server.serve_connection(no_stream).is_err());
    server.close();
    let (ours, _theirs) = UnixStream::pair().expect("a pair");
    let closed = server.serve_connection(ours).expect_err("the server is closed");
    assert_eq!(closed.code(), "ERR_SERVER_NOT_RUNNING");
}

#[test]
fn a_listener_made_elsewhere_is_listened_on() {
    let mut world = World::new();
    let server = onloop::http::create_server(world.lp, |_req, res| res.end("x"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    server.listen_on(listener).expect("it listens");
    assert_eq!((server.port(), server.is_listening()), (port, true));
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
    let no_listener = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert!(server.listen_on(no_listener).is_err());
}

#[test]
fn a_client_error_has_the_bytes_it_was_found_in() {
    let mut world = World::new();
    let packets = Log::new();
    let server = world.serve(|_req, res| res.end("x"));
    let notes = packets.clone();
    server.on_client_error(move |error, socket| {
        let packet = error.raw_packet().map(String::from_utf8_lossy).unwrap_or_default();
        notes.note(format!("{} {packet:?} {:?}", error.code(), error.bytes_parsed()));
        socket.end("HTTP/1.1 418 Mine\r\nConnection: close\r\n\r\n");
    });
    let mut peer = world.send(&server, "FOO BAR\r\n\r\n");
    world.expect(&mut peer, "418 Mine\r\nConnection: close\r\n\r\n");
    world.until_end(&mut peer);
    // A head that came in pieces is all there.
    let mut peer = world.send(&server, "GET / HTTP/1.1\r\nA");
    world.until("the first piece to be read", || server.connections() == 1);
    world.turn();
    peer.send(" : b\r\n\r\n");
    world.expect(&mut peer, "418 Mine");
    let lines = packets.all();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].contains("\"FOO BAR\\r\\n\\r\\n\""), "{lines:?}");
    assert!(lines[1].contains("GET / HTTP/1.1\\r\\nA : b"), "{lines:?}");
}

#[test]
fn a_client_error_behind_a_begun_response_is_told_and_not_answered() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        req.resume();
        req.on_error(notes.noting_error("request"));
        res.on_close(notes.noting("close"));
        res.write("begun");
    });
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        assert!(!socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), "it is over");
        notes.note(format!("client error {}", error.code()));
    });
    let mut peer =
        world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    world.expect(&mut peer, "begun\r\n");
    peer.send("nonsense\r\n");
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "", "nothing behind what was sent");
    world.until("the last call", || log.has("close"));
    let code = "HPE_INVALID_CHUNK_SIZE";
    assert_eq!(
        log.all(),
        [format!("client error {code}"), format!("request {code}"), "close".into()]
    );
}

#[test]
fn a_reset_is_a_client_error_with_the_systems_word() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |_req, res| {
        res.on_close(notes.noting("close"));
        notes.note("request");
    });
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        assert!(!socket.is_open() && error.raw_packet().is_none());
        notes.note(error.code());
    });
    let mut peer = world.send(&server, get("/", ""));
    world.until("the request", || log.has("request"));
    peer.reset();
    world.until("the reset to be told", || log.len() == 3);
    assert_eq!(log.all(), ["request", "ECONNRESET", "close"]);
}

#[test]
fn an_upgrade_that_should_be_and_has_no_listener_ends() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("request"));
    let wanted = Rc::new(Cell::new(true));
    server.should_upgrade({
        let wanted = Rc::clone(&wanted);
        move |_req| wanted.get()
    });
    let upgrade = get("/", "Connection: upgrade\r\nUpgrade: x\r\n");
    let mut peer = world.send(&server, &upgrade);
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "");
    wanted.set(false);
    assert_eq!(world.ask(&server, &upgrade).text(), "request");
}

#[test]
fn half_open_connections_can_be_refused() {
    for allowed in [true, false] {
        let mut world = World::new();
        let log = Log::new();
        // Set when it is made, or while it runs: it is the same.
        let options = ServerOptions::new().allow_half_open(!allowed);
        let (lp, notes) = (world.lp, log.clone());
        let server = world.serve_with(options, move |req, res| {
            res.on_close(notes.noting("close"));
            match req.url() {
                "/now" => res.end("now"),
                _ => drop(lp.set_timeout(std::time::Duration::from_millis(50), move || {
                    res.end("late");
                })),
            }
        });
        assert_eq!(server.allow_half_open(), !allowed);
        server.set_allow_half_open(allowed);
        let mut peer = world.send(&server, get("/now", ""));
        peer.end();
        assert_eq!(world.answer(&mut peer).text(), "now", "what is answered at once is answered");
        world.until_end(&mut peer);
        let mut peer = world.send(&server, get("/late", ""));
        peer.end();
        world.until_end(&mut peer);
        assert_eq!(peer.text().ends_with("late"), allowed);
        world.until("both to be closed", || log.count("close") == 2);
    }
}

#[test]
fn a_response_is_told_that_its_client_has_ended_its_side() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let lp = world.lp;
    let server = world.serve(move |req, res| {
        let told = notes.noting("half close");
        let url = req.url().to_owned();
        let body = req.body();
        let listen = move || {
            res.on_half_close(move || {
                told();
                match &*url {
                    "/destroyed" => body.destroy(),
                    _ => res.end("still wanted"),
                }
            });
        };
        match req.url() {
            // Told of what has happened already, too.
            "/late" => drop(lp.set_timeout(std::time::Duration::from_millis(50), listen)),
            "/now" => {
                listen();
                res.end("now");
            }
            "/reads" => {
                listen();
                req.resume();
            }
            _ => listen(),
        }
        res.on_close(notes.noting("close"));
    });
    for (path, answer) in
        [("/waits", "still wanted"), ("/late", "still wanted"), ("/destroyed", ""), ("/now", "now")]
    {
        let mut peer = world.send(&server, get(path, ""));
        peer.end();
        world.until_end(&mut peer);
        assert!(peer.text().ends_with(answer), "{path}: {}", peer.text());
    }
    // What is not read cannot be known to be cut off; what is read is, and then that is told.
    for (path, told) in [("/waits", 4), ("/reads", 4)] {
        let mut peer = world.send(&server, get(path, "Content-Length: 5\r\n") + "x");
        peer.end();
        world.until_end(&mut peer);
        assert_eq!(log.count("half close"), told, "{path}");
    }
    assert_eq!(log.count("close"), 6);
}

#[test]
fn a_half_close_that_is_refused_is_not_told() {
    let mut world = World::new();
    let log = Log::new();
    let (lp, notes) = (world.lp, log.clone());
    let server = world.serve_with(ServerOptions::new().allow_half_open(false), move |req, res| {
        res.on_half_close(notes.noting("half close"));
        res.on_close(notes.noting("close"));
        // Its content is here, and so is the end behind it, but neither was looked at.
        let body = req.body();
        let notes = notes.clone();
        lp.set_timeout(std::time::Duration::from_millis(20), move || {
            notes.note("resumed");
            body.resume();
        });
    });
    let mut peer = world.send(&server, post("/", "content"));
    peer.end();
    world.until_end(&mut peer);
    assert_eq!(log.all(), ["resumed", "close"]);
}
