//! Byte streams after an upgrade: state, counts, and every way to end them.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, get};
use onloop::http::{ReadyState, Server, Socket};

const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n";

/// A server that hands out the socket of each upgrade, after it has switched.
fn upgrading(world: &World) -> (Server, Rc<Cell<Option<Socket>>>) {
    let server = world.serve(|_req, res| res.end("plain"));
    let socket: Rc<Cell<Option<Socket>>> = Rc::default();
    let keeps = Rc::clone(&socket);
    server.on_upgrade(move |_req, socket, _head| {
        socket.write(SWITCHED);
        keeps.set(Some(socket));
    });
    (server, socket)
}

fn asks() -> String {
    get("/", "Connection: upgrade\r\nUpgrade: raw\r\n")
}

/// Both ends of a stream.
fn stream(world: &mut World) -> (Peer, Socket) {
    let (server, socket) = upgrading(world);
    let mut peer = world.send(&server, asks());
    let socket = world.wait("the upgrade", || socket.take());
    world.expect(&mut peer, SWITCHED);
    (peer, socket)
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: onloop::Result<T>) -> &'static str {
    result.expect_err("it is refused").code()
}

#[test]
fn the_state_of_a_socket_follows_its_two_directions() {
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    assert_eq!(socket.ready_state(), ReadyState::Open);
    socket.on_end(|| ());
    socket.resume();
    socket.end("bye");
    assert_eq!(socket.ready_state(), ReadyState::ReadOnly);
    assert!(!socket.is_open() && socket.writable_ended() && !socket.is_destroyed());
    assert_eq!(code(socket.try_write("x")), "ERR_STREAM_WRITE_AFTER_END");
    assert_eq!(code(socket.try_end("")), "ERR_STREAM_ALREADY_FINISHED");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "bye");
    assert!(socket.writable_finished());
    let log = Log::new();
    let notes = log.clone();
    socket.on_close(move || {
        notes.note(format!("{:?} {}", socket.ready_state(), socket.writable_finished()));
    });
    peer.end();
    world.until("on_close", || log.len() > 0);
    assert_eq!(log.all(), ["Closed true"]);
    assert_eq!((socket.ready_state(), socket.writable_finished()), (ReadyState::Closed, false));

    let (mut peer, socket) = stream(&mut world);
    let ended = Rc::new(Cell::new(false));
    let end = Rc::clone(&ended);
    socket.on_end(move || end.set(true));
    socket.resume();
    peer.end();
    world.until("on_end", || ended.get());
    assert_eq!(socket.ready_state(), ReadyState::WriteOnly);
    socket.end("last words");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "last words");
}

#[test]
fn bytes_are_counted_in_both_directions() {
    let mut world = World::new();
    let counts = Rc::new(RefCell::new(Vec::new()));
    let server = world.serve(|_req, res| res.end("plain"));
    let sockets: Rc<Cell<Option<Socket>>> = Rc::default();
    let (keeps, seen) = (Rc::clone(&sockets), Rc::clone(&counts));
    server.on_upgrade(move |_req, socket, head| {
        assert_eq!(head, b"12345");
        assert_eq!((socket.bytes_read(), socket.bytes_written()), (5, 0), "the head is included");
        socket.write(SWITCHED);
        // What waits is included.
        assert_eq!(socket.bytes_written(), SWITCHED.len() as u64);
        socket.on_data(|_| {});
        let seen = Rc::clone(&seen);
        socket.on_close(move || {
            seen.borrow_mut().push((socket.bytes_read(), socket.bytes_written()));
        });
        keeps.set(Some(socket));
    });
    // The exchanges before are none of the stream's.
    let mut peer = world.send(&server, get("/", "") + &asks() + "12345");
    assert_eq!(world.answer(&mut peer).text(), "plain");
    world.expect(&mut peer, SWITCHED);
    let socket = sockets.take().expect("an upgrade");
    peer.send("67");
    world.until("two bytes", || socket.bytes_read() == 7);
    socket.cork();
    socket.write("abc");
    assert_eq!(socket.bytes_written(), SWITCHED.len() as u64 + 3);
    socket.uncork();
    world.expect(&mut peer, "abc");
    peer.end();
    world.until("on_close", || !counts.borrow().is_empty());
    assert_eq!(*counts.borrow(), [(7, SWITCHED.len() as u64 + 3)]);
    assert_eq!((socket.bytes_read(), socket.bytes_written()), (0, 0), "only up to on_close");
}

#[test]
fn bytes_that_a_pipe_hands_on_are_counted() {
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    let before = socket.bytes_written();
    socket.pipe(socket);
    let bytes = vec![b'x'; 300_000];
    peer.send(&bytes);
    world.until("all of it back", || {
        peer.pump();
        peer.received.len() == bytes.len()
    });
    assert_eq!((socket.bytes_read(), socket.bytes_written() - before), (300_000, 300_000));
}

#[test]
fn a_reset_is_seen_by_the_peer_and_drops_what_waits() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.on_close(log.noting("close"));
    socket.on_error(log.noting_error("error"));
    socket.write("never sent");
    socket.reset_and_destroy().expect("a TCP socket");
    assert!(socket.is_destroyed() && !socket.write("x"));
    assert_eq!(code(socket.reset_and_destroy()), "ERR_SOCKET_CLOSED");
    assert_eq!(world.until_end(&mut peer), Ending::Reset);
    assert_eq!(peer.text(), "");
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["close"]);
}

#[test]
fn a_socket_can_be_reset_out_of_its_own_callback() {
    let log = Log::new();
    let mut world = World::new();
    let (server, _) = upgrading(&world);
    let notes = log.clone();
    server.on_upgrade(move |_req, socket, _head| {
        socket.on_close(notes.noting("close"));
        socket.on_data(move |_| socket.reset_and_destroy());
        socket.write(SWITCHED);
    });
    let mut peer = world.send(&server, asks());
    world.expect(&mut peer, SWITCHED);
    peer.send("x");
    assert_eq!(world.until_end(&mut peer), Ending::Reset);
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(server.connections(), 0);
    assert_eq!(world.ask(&server, get("/", "")).text(), "plain");
}

#[test]
fn a_unix_socket_has_no_resets() {
    let path = std::env::temp_dir().join(format!("onloop-socket-{}", std::process::id()));
    let mut world = World::new();
    let (server, socket) = upgrading(&world);
    server.listen(path.as_path()).expect("a path of our own");
    let mut peer = Peer::unix(&path);
    peer.send(asks());
    let socket = world.wait("the upgrade", || socket.take());
    assert_eq!(code(socket.reset_and_destroy()), "ERR_INVALID_HANDLE_TYPE");
    socket.set_no_delay(true);
    socket.set_keep_alive(Some(Duration::from_secs(5)));
    world.expect(&mut peer, SWITCHED);
    socket.destroy();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    server.close();
}

#[test]
fn destroy_soon_sends_what_was_written_and_then_closes_both_sides() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.on_data(|_| {});
    socket.on_finish(log.noting("finish"));
    socket.on_close(log.noting("close"));
    let large = "x".repeat(4 << 20);
    socket.write(large.clone());
    socket.destroy_soon();
    socket.destroy_soon();
    assert!(!socket.write("too late"));
    // The peer neither ends nor stops talking.
    peer.send("still talking");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.received.len(), large.len());
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["finish", "close"]);
    assert!(socket.is_destroyed());
}

#[test]
fn destroy_does_not_recall_what_was_written() {
    const REFUSED: &str = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n";
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("plain"));
    server.on_upgrade(|_req, socket, _head| {
        socket.write(REFUSED);
        socket.destroy();
    });
    server.on_client_error(|_error, socket| {
        socket.write(REFUSED);
        socket.destroy();
    });
    for request in [asks(), "nonsense\r\n\r\n".to_owned()] {
        let mut peer = world.send(&server, request);
        assert_eq!(world.until_end(&mut peer), Ending::End);
        assert_eq!(peer.text(), REFUSED);
    }
}

#[test]
fn destroy_soon_of_an_idle_socket_closes_it_at_once() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.on_close(log.noting("close"));
    socket.destroy_soon();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
}

#[test]
fn destroy_with_an_error_tells_it() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.on_error(log.noting_error("error"));
    socket.on_close(log.noting("close"));
    socket.destroy_with(onloop::Error::other("enough"));
    socket.destroy_with(onloop::Error::other("the first one counts"));
    assert_eq!(log.len(), 0, "never inside of the call");
    world.until_end(&mut peer);
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["error ERR_USER", "close"]);
}

#[test]
fn a_socket_has_write_callbacks_corks_and_a_finish() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    let noting = |line: &'static str| {
        let notes = log.clone();
        move |result: onloop::Result<()>| notes.note(format!("{line} {}", result.is_ok()))
    };
    socket.on_finish(log.noting("finish"));
    socket.cork();
    socket.write("a");
    socket.on_written(noting("a")).unwrap();
    assert_eq!((socket.writable_corked(), socket.writable_length()), (1, 1));
    for _ in 0..5 {
        world.turn();
    }
    peer.pump();
    assert_eq!((peer.text().as_str(), log.len()), ("", 0));
    socket.uncork();
    assert_eq!(world.expect(&mut peer, "a"), "a", "as it is: no chunks");
    socket.cork();
    socket.write("b");
    socket.end("c");
    socket.on_written(noting("end")).unwrap();
    world.until_end(&mut peer);
    assert_eq!(peer.text(), "bc");
    let lines = log.clone();
    world.until("on_finish", || lines.has("finish"));
    assert_eq!(log.all(), ["a true", "end true", "finish"]);
}

#[test]
fn what_a_corked_socket_holds_leaves_when_its_peer_ends() {
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.resume();
    socket.cork();
    socket.write("held");
    peer.end();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(peer.text(), "held");
}

#[test]
fn callbacks_of_a_socket_can_be_taken_off() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.on_drain(log.noting("drain"));
    socket.on_timeout(log.noting("timeout"));
    socket.set_timeout(Duration::from_millis(50));
    assert_eq!(socket.timeout(), Duration::from_millis(50));
    socket.off_drain();
    socket.off_timeout();
    let high_water_mark = socket.writable_high_water_mark();
    assert!(!socket.write("x".repeat(high_water_mark)) && socket.writable_need_drain());
    world.until("everything", || {
        peer.pump();
        peer.received.len() == high_water_mark
    });
    let over = Rc::new(Cell::new(false));
    let set = Rc::clone(&over);
    world.lp.set_timeout(Duration::from_millis(200), move || set.set(true));
    world.until("several times the timeout", || over.get());
    assert_eq!(log.len(), 0);
    assert!(socket.is_open() && !socket.writable_need_drain());
    socket.set_timeout(Duration::ZERO);
    assert_eq!(socket.timeout(), Duration::ZERO);
}

#[test]
fn an_unreferenced_socket_does_not_keep_the_loop() {
    let mut world = World::new();
    let (server, sockets) = upgrading(&world);
    server.unref();
    let mut peer = world.send(&server, asks());
    let socket = world.wait("the upgrade", || sockets.take());
    world.expect(&mut peer, SWITCHED);
    assert!(world.event_loop.is_alive());
    socket.unref();
    socket.unref();
    assert!(!world.event_loop.is_alive());
    socket.ref_();
    assert!(world.event_loop.is_alive());
    socket.unref();
    socket.destroy();
    world.until_end(&mut peer);
    socket.ref_();
    socket.unref();
    assert!(!world.event_loop.is_alive());
}

#[test]
fn the_options_of_a_dead_socket_are_nobodys() {
    let mut world = World::new();
    let (mut peer, socket) = stream(&mut world);
    socket.set_no_delay(false);
    socket.set_keep_alive(Some(Duration::from_millis(10)));
    socket.set_keep_alive(Some(Duration::from_secs(30)));
    socket.set_keep_alive(None);
    socket.write("still whole");
    world.expect(&mut peer, "still whole");
    socket.destroy();
    world.until_end(&mut peer);
    socket.set_no_delay(true);
    socket.set_keep_alive(Some(Duration::from_secs(1)));
    socket.destroy_soon();
    socket.cork();
    socket.uncork();
    assert_eq!((socket.timeout(), socket.writable_corked()), (Duration::ZERO, 0));
    assert_eq!(socket.ready_state(), ReadyState::Closed);
    assert_eq!(code(socket.on_written(|_| ())), "ERR_STREAM_DESTROYED");
}

#[test]
fn a_connection_that_waits_for_its_peers_end_can_be_destroyed() {
    let mut world = World::new();
    let connection = Rc::new(Cell::new(None));
    let made = Rc::clone(&connection);
    let server = world.serve(|_req, res| res.end(""));
    server.on_upgrade(move |req, socket, _head| {
        made.set(Some(req.connection()));
        socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        socket.destroy_soon();
    });
    for reset in [false, true] {
        let mut peer = world.send(&server, asks());
        assert_eq!(world.until_end(&mut peer), Ending::End);
        let connection = connection.take().expect("it was upgraded");
        assert!(connection.is_open() && server.connections() == 1);
        match reset {
            true => connection.reset_and_destroy().expect("it is open"),
            false => connection.destroy(),
        }
        world.event_loop.turn(Some(std::time::Duration::ZERO)).expect("a turn");
        assert_eq!(server.connections(), 0, "reset: {reset}");
    }
}
