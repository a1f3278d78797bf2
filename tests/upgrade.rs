//! Switching protocols, on the server's side and on the client's, and the byte stream that is left.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Ending, Log, World, get, post, raw_server, url_of};
use onloop::http::{self, Server};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw-echo\r\n\r\n";

/// Answers upgrades by echoing bytes, and anything else plainly.
fn echoing(world: &World) -> Server {
    let server =
        world.serve(|req, res| res.end(req.header("Upgrade").unwrap_or("plain").to_owned()));
    server.on_upgrade(|req, socket, head| {
        assert_eq!(req.header("upgrade"), Some("raw-echo"));
        socket.write(SWITCHED);
        socket.write(head);
        socket.on_data(move |bytes| {
            socket.write(bytes);
        });
        socket.on_end(move || socket.end("bye"));
    });
    server
}

fn asks() -> String {
    get("/", "Connection: x, Upgrade\r\nUpgrade: raw-echo\r\n")
}

#[test]
fn an_upgraded_connection_is_a_byte_stream() {
    let mut world = World::new();
    let server = echoing(&world);
    let mut peer = world.send(&server, get("/", "") + &asks() + "GET /not-http");
    assert_eq!(world.answer(&mut peer).text(), "plain");
    world.expect(&mut peer, &format!("{SWITCHED}GET /not-http"));
    peer.send("\0\r\n\r\nmore");
    world.expect(&mut peer, "\0\r\n\r\nmore");
    peer.end();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "bye");
}

#[test]
fn a_stream_that_is_only_written_to_ends_with_its_client_and_one_with_unread_bytes_does_not() {
    for early in ["", "early"] {
        let mut world = World::new();
        let server = world.serve(|_req, res| res.end("plain"));
        let log = Log::new();
        let notes = log.clone();
        let stream = Rc::new(Cell::new(None));
        let keeps = Rc::clone(&stream);
        server.on_upgrade(move |_req, socket, _head| {
            socket.on_close(notes.noting("closed"));
            socket.write(format!("{SWITCHED}feed"));
            keeps.set(Some(socket));
        });
        let mut peer = world.send(&server, asks());
        world.expect(&mut peer, &format!("{SWITCHED}feed"));
        peer.send(early);
        peer.end();
        if !early.is_empty() {
            for _ in 0..5 {
                world.turn();
            }
            assert!(!log.has("closed"));
            let notes = log.clone();
            let stream = stream.get().expect("an upgrade");
            stream.on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
        }
        assert_eq!(world.until_end(&mut peer), Ending::End);
        let lines = log.clone();
        world.until("the end", || lines.has("closed"));
        assert_eq!(log.all().concat(), format!("{early}closed"));
    }
}

#[test]
fn without_both_fields_or_a_listener_a_request_is_ordinary() {
    let mut world = World::new();
    let server = echoing(&world);
    for (request, answer) in [
        (get("/", "Upgrade: raw-echo\r\n"), "raw-echo"),
        (get("/", "Connection: upgrade\r\n"), "plain"),
        (get("/", "Connection: upgraded\r\nUpgrade: raw-echo\r\n"), "raw-echo"),
        (
            "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: raw-echo\r\n\r\n".to_owned(),
            "raw-echo",
        ),
        (
            get("/", "Connection: upgrade\r\nUpgrade: raw-echo\r\nContent-Length: 1\r\n") + "x",
            "raw-echo",
        ),
    ] {
        assert_eq!(world.ask(&server, &request).text(), answer, "{request}");
    }
    let deaf = world.serve(|_req, res| res.end("ordinary"));
    assert_eq!(world.ask(&deaf, asks()).text(), "ordinary");
}

#[test]
fn should_upgrade_decides() {
    let mut world = World::new();
    let server = echoing(&world);
    server.should_upgrade(|req| req.url() == "/yes");
    let yes = asks().replace("GET / ", "GET /yes ");
    let mut peer = world.send(&server, asks() + &yes);
    assert_eq!(world.answer(&mut peer).text(), "raw-echo");
    world.expect(&mut peer, SWITCHED);
}

#[test]
fn a_socket_pipes_into_itself_and_ends_with_its_peer() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end(""));
    server.on_upgrade(move |_req, socket, head| {
        socket.write(SWITCHED);
        socket.write(head);
        socket.on_close(notes.noting("closed"));
        socket.pipe(socket);
    });
    let mut peer = world.send(&server, asks());
    world.expect(&mut peer, SWITCHED);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 253) as u8).collect();
    peer.send(&bytes);
    peer.end();
    world.until_end(&mut peer);
    assert!(peer.received == bytes, "{} of {} bytes", peer.received.len(), bytes.len());
    let lines = log.clone();
    world.until("on_close", || lines.has("closed"));
}

#[test]
fn a_closed_server_waits_for_upgraded_connections() {
    let log = Log::new();
    let mut world = World::new();
    let server = echoing(&world);
    server.on_close(log.noting("closed"));
    let mut peer = world.send(&server, asks());
    world.expect(&mut peer, SWITCHED);
    server.close();
    server.close_all_connections();
    peer.send("still there");
    world.expect(&mut peer, "still there");
    assert_eq!(log.len(), 0);
    peer.end();
    world.until_end(&mut peer);
    drop(peer);
    world.until_over();
    assert_eq!(log.all(), ["closed"]);
}

#[test]
fn connect_is_refused() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("a tunnel to nowhere"));
    let mut peer = world.send(
        &server,
        "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n\x16\x03\x01",
    );
    let answer = world.answer(&mut peer);
    assert_eq!((answer.status, answer.field("Connection")), (405, Some("close")));
    assert!(answer.field("Allow").is_some());
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
}

#[test]
fn a_client_upgrades() {
    let (listener, url) = raw_server();
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", &url).unwrap();
    request.set_header("Connection", "upgrade").unwrap();
    request.set_header("Upgrade", "raw-echo").unwrap();
    let sockets = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&sockets);
    request.on_upgrade(move |response, socket, head| {
        notes.note(format!("{} {}", response.status(), String::from_utf8_lossy(head)));
        let data = notes.clone();
        socket.on_data(move |bytes| data.note(String::from_utf8_lossy(bytes)));
        socket.on_end(notes.noting("end"));
        socket.on_close(notes.noting("socket closed"));
        socket.write("hello");
        *keeps.borrow_mut() = Some(socket);
    });
    request.on_error(log.noting_error("error"));
    request.end("");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(format!("{SWITCHED}first"));
    world.expect(&mut peer, "hello");
    peer.send("second");
    let lines = log.clone();
    world.until("the second", || lines.has("second"));
    peer.end();
    world.until("the end", || lines.has("end"));
    let socket = sockets.borrow_mut().take().expect("an upgrade");
    assert!(socket.is_open(), "the other direction is still open");
    socket.end("bye");
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "bye");
    world.until_over();
    assert_eq!(log.all(), ["101 first", "second", "end", "socket closed"]);
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error() {
    let (listener, url) = raw_server();
    let log = Log::new();
    let mut world = World::new();
    let request = http::get(world.lp, &url, |_| panic!("no response")).unwrap();
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    let mut peer = world.accept(&listener);
    peer.send(SWITCHED);
    world.until_end(&mut peer);
    world.until_over();
    assert_eq!(log.len(), 2);
    assert!(log.has("closed"));
}

/// A client asks with these lines and is answered with these; what it is told, in order.
fn switched(asks: &[(&str, &str)], answer: &str) -> Vec<String> {
    let (listener, url) = raw_server();
    let log = Log::new();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", &url).unwrap();
    for (name, value) in asks {
        request.append_header(name, *value).unwrap();
    }
    let notes = log.clone();
    request.on_upgrade(move |_, socket, _| {
        notes.note("switched");
        socket.destroy();
    });
    request.on_response(|_| panic!("no response"));
    let notes = log.clone();
    request.on_error(move |error| notes.note(error.code()));
    request.end("");
    let mut peer = world.accept(&listener);
    peer.send(format!("{answer}\r\n\r\n"));
    world.until_end(&mut peer);
    world.until_over();
    log.all()
}

#[test]
fn a_client_takes_a_switch_to_what_it_asked_for_and_nothing_else() {
    const ASKS: [(&str, &str); 2] = [("Connection", "upgrade"), ("Upgrade", "chat/2, echo")];
    const BOTH: [(&str, &str); 3] = [ASKS[0], ("Upgrade", "chat/2"), ("Upgrade", "echo")];
    const SAID: &str = "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n";
    for (asks, answer) in [
        (&ASKS[..], format!("{SAID}Upgrade: echo")),
        (&ASKS, format!("{SAID}Upgrade: ECHO")),
        (&ASKS, format!("{SAID}Upgrade: chat/2")),
        (&ASKS, format!("{SAID}Upgrade: chat/2, echo")),
        (&ASKS, format!("{SAID}Upgrade: , echo,")),
        (&BOTH, format!("{SAID}Upgrade: echo")),
        (&ASKS, "HTTP/1.1 101 x\r\nUpgrade: echo\r\nConnection: x\r\nConnection: upgrade".into()),
    ] {
        assert_eq!(switched(asks, &answer), ["switched"], "{asks:?}: {answer}");
    }
    for (asks, answer) in [
        // RFC 9110 §7.8: the option goes along with the field.
        (&ASKS[..], "HTTP/1.1 101 x\r\nUpgrade: echo".to_owned()),
        (&ASKS, "HTTP/1.1 101 x\r\nUpgrade: echo\r\nConnection: close".into()),
        (&ASKS, "HTTP/1.1 101 x\r\nUpgrade: echo\r\nConnection: upgraded".into()),
        (&ASKS, "HTTP/1.1 101 x\r\nConnection: upgrade".into()),
        (&ASKS, "HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: echo".into()),
        // And a server switches to nothing that its client has not named.
        (&ASKS, format!("{SAID}Upgrade: websocket")),
        (&ASKS, format!("{SAID}Upgrade: chat")),
        (&ASKS, format!("{SAID}Upgrade: echo, websocket")),
        (&ASKS, format!("{SAID}Upgrade: ")),
        (&ASKS, format!("{SAID}Upgrade: ,")),
        (&ASKS[..1], format!("{SAID}Upgrade: echo")),
        (&[], format!("{SAID}Upgrade: echo")),
    ] {
        assert_eq!(switched(asks, &answer), ["HPE_INVALID_STATUS"], "{asks:?}: {answer}");
    }
}

#[test]
fn a_server_may_answer_an_upgrade_with_a_response() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("no"));
    let log = Log::new();
    let notes = log.clone();
    let request = http::request(world.lp, "GET", url_of(&server)).unwrap();
    request.set_header("Connection", "upgrade").unwrap();
    request.set_header("Upgrade", "raw-echo").unwrap();
    let switched = log.clone();
    request.on_upgrade(move |_, _, _| switched.note("switched"));
    request.on_response(move |response| notes.note(response.status().to_string()));
    request.end("");
    let lines = log.clone();
    world.until("the response", || lines.len() > 0);
    assert_eq!(log.all(), ["200"]);
}

#[test]
fn an_upgrade_with_content_is_an_ordinary_request() {
    let mut world = World::new();
    let server = echoing(&world);
    let request =
        post("/", "body").replace("Host: h", "Host: h\r\nConnection: upgrade\r\nUpgrade: raw-echo");
    assert_eq!(world.ask(&server, request).text(), "raw-echo");
}

#[test]
fn tunnels_and_upgrades_come_before_expectations() {
    // A final answer to CONNECT makes a tunnel of the connection, whatever the answer says of its content.
    let log = Log::new();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("ordinary"));
    let notes = log.clone();
    server.on_check_continue(move |req, res| {
        notes.note(format!("continue {}", req.method()));
        res.end("");
    });
    let notes = log.clone();
    server.on_check_expectation(move |req, res| {
        notes.note(format!("expectation {}", req.method()));
        res.end("");
    });
    let connect =
        |expect: &str| format!("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nExpect: {expect}\r\n\r\n");
    let upgrade =
        |expect: &str| asks().replace("\r\n\r\n", &format!("\r\nExpect: {expect}\r\n\r\n"));
    for expect in ["100-continue", "other"] {
        let mut peer = world.send(&server, connect(expect) + "raw");
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.field("Connection")), (405, Some("close")));
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    }
    assert_eq!(log.all(), [""; 0], "405 it is, and nobody is asked");
    server.on_connect(|_req, socket, head| {
        socket.write("HTTP/1.1 200 x\r\n\r\n");
        socket.end(head);
    });
    server.on_upgrade(|_req, socket, head| {
        socket.write(SWITCHED);
        socket.end(head);
    });
    for expect in ["100-continue", "other"] {
        for (request, switched) in
            [(connect(expect), "HTTP/1.1 200 x\r\n\r\n"), (upgrade(expect), SWITCHED)]
        {
            let mut peer = world.send(&server, request + "raw");
            assert_eq!(world.until_end(&mut peer), Ending::End);
            assert_eq!(peer.text(), format!("{switched}raw"));
        }
    }
    assert_eq!(log.all(), [""; 0]);
    // What is not upgraded is a request with an expectation.
    server.should_upgrade(|_req| false);
    for expect in ["100-continue", "other"] {
        assert_eq!(world.ask(&server, upgrade(expect)).text(), "");
    }
    assert_eq!(log.all(), ["continue GET", "expectation GET"]);
    server.off_check_continue();
    server.off_check_expectation();
    assert_eq!(world.ask(&server, upgrade("100-continue")).text(), "ordinary");
    assert_eq!(world.ask(&server, upgrade("other")).status, 417);
}
