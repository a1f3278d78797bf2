//! What `listen_on` and `serve_connection` are given may be anything that has a descriptor.

mod common;

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Peer, World, get};
use onloop::http::{Server, create_server};
use socket2::{Domain, Socket, Type};

fn server(world: &World) -> Server {
    create_server(world.lp, |_req, res| res.end("x"))
}

/// Descriptors of what is no stream socket, whatever else it can.
fn no_streams() -> Vec<(&'static str, OwnedFd)> {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let connected = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    connected
        .connect(udp.local_addr().expect("bound"))
        .expect("a datagram socket has no peer to ask");
    let (datagram, _other) = UnixDatagram::pair().expect("a pair");
    let (packets, _) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).expect("a pair");
    let unbound = Socket::new(Domain::UNIX, Type::SEQPACKET, None).expect("a socket");
    let mut child = Command::new("true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("every system has it");
    let (reader, writer) = (child.stdout.take(), child.stdin.take());
    child.wait().expect("it ends at once");
    let (reader, writer) = (reader.expect("piped"), writer.expect("piped"));
    vec![
        ("a UDP socket", udp.into()),
        ("a connected UDP socket", connected.into()),
        ("a Unix datagram socket", datagram.into()),
        ("a socket of packets", packets.into()),
        ("an unbound socket of packets", unbound.into()),
        ("the end of a pipe", reader.into()),
        ("the other end of a pipe", writer.into()),
        ("a file", File::open("Cargo.toml").expect("it is there").into()),
        ("a directory", File::open(".").expect("it is there").into()),
        ("a device", File::open("/dev/null").expect("it is there").into()),
    ]
}

#[test]
fn what_is_no_stream_socket_is_refused_at_the_call() {
    let mut world = World::new();
    let server = server(&world);
    for (what, descriptor) in no_streams() {
        assert!(server.serve_connection(descriptor).is_err(), "{what} was taken for a connection");
    }
    for (what, descriptor) in no_streams() {
        assert!(server.listen_on(descriptor).is_err(), "{what} was taken for a listener");
    }
    assert_eq!((server.connections(), server.is_listening()), (0, false));
    assert!(!world.event_loop.is_alive());
}

#[test]
fn streams_and_listeners_are_not_taken_for_each_other() {
    let world = World::new();
    let server = server(&world);
    let path = std::env::temp_dir().join(format!("onloop-elsewhere-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listeners: [OwnedFd; 2] = [
        TcpListener::bind("127.0.0.1:0").expect("a free port").into(),
        UnixListener::bind(&path).expect("a free path").into(),
    ];
    for listener in listeners {
        assert!(server.serve_connection(listener).is_err(), "a listener is no connection");
    }
    std::fs::remove_file(&path).expect("it was bound");
    // Nor what is connected to nobody.
    for domain in [Domain::IPV4, Domain::UNIX] {
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        assert!(server.serve_connection(socket).is_err(), "{domain:?}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let stream = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    assert!(server.listen_on(stream).is_err(), "a connection is no listener");
    let (stream, _other) = UnixStream::pair().expect("a pair");
    assert!(server.listen_on(stream).is_err(), "a connection is no listener");
    // One that is bound to nothing would listen on a port of the system's choice.
    let unbound = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    assert!(server.listen_on(unbound).is_err(), "it is not bound");
    assert_eq!((server.connections(), server.is_listening()), (0, false));
}

#[test]
fn a_listener_that_another_descriptor_shuts_down_does_not_keep_the_loop_busy() {
    let mut world = World::new();
    let server = server(&world);
    let listener = Socket::from(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let other = listener.try_clone().expect("a descriptor");
    server.listen_on(listener).expect("it listens");
    assert_eq!(world.ask(&server, get("/", "")).text(), "x");
    other.shutdown(std::net::Shutdown::Both).expect("it is a socket");
    // Every turn that has something to do returns at once.
    let mut busy = 0;
    for _ in 0..50 {
        busy += world.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
    }
    assert!(busy < 40, "{busy} events in 50 turns");
}

#[test]
fn the_path_of_a_listener_made_elsewhere_is_left_to_whoever_made_it() {
    let mut world = World::new();
    let path = std::env::temp_dir().join(format!("onloop-inherited-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let theirs = UnixListener::bind(&path).expect("a free path");
    for _ in 0..2 {
        let server = server(&world);
        server.listen_on(theirs.try_clone().expect("a descriptor")).expect("it listens");
        let mut peer = Peer::unix(&path);
        peer.send(get("/", "Connection: close\r\n"));
        assert_eq!(world.answer(&mut peer).text(), "x");
        server.close();
    }
    drop(world);
    assert!(path.exists(), "its maker listens on it still");
    std::fs::remove_file(&path).expect("it is there");
}

#[test]
fn a_connection_may_come_back_by_another_descriptor() {
    let mut world = World::new();
    let server = server(&world);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut peer = Peer::of_unix(theirs);
    for _ in 0..3 {
        server.on_connection(|connection| connection.destroy());
        server.serve_connection(ours.try_clone().expect("a descriptor")).expect("a stream");
        world.until("the end of it here", || server.connections() == 0);
        server.off_connection();
        // Nothing of ours is on it any more, and it is as good as before.
        server.serve_connection(ours.try_clone().expect("a descriptor")).expect("a stream");
        peer.send(get("/", ""));
        assert_eq!(world.answer(&mut peer).text(), "x");
        server.close_idle_connections();
        world.until("the end of it here", || server.connections() == 0);
    }
}

#[test]
fn a_connection_that_is_over_does_not_wake_the_loop_by_another_descriptor() {
    let mut world = World::new();
    let server = server(&world);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let other = ours.try_clone().expect("a descriptor");
    server.serve_connection(ours).expect("a stream");
    let mut peer = Peer::of_unix(theirs);
    peer.send(get("/", ""));
    world.answer(&mut peer);
    server.close_all_connections();
    world.until("the end of the connection", || server.connections() == 0);
    world.turn();
    for _ in 0..3 {
        peer.send("nobody listens");
        let handled = world.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        assert_eq!(handled, 0);
    }
    drop(other);
}
