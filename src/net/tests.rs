//! The seam over real loopback sockets. Everything here has to hold with mio's `poll(2)` back end
//! too (`RUSTFLAGS="--cfg mio_unsupported_force_poll_poll"`), so reads go on to `WouldBlock`.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;

const LISTENER: usize = 7;
const STREAM: usize = 8;
const PATIENCE: Duration = Duration::from_secs(10);

fn loopback() -> Address {
    Address::from(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn net() -> Net {
    Net::system(64).unwrap()
}

/// Polls until `token` reports `wanted`, and returns all that it reported up to then.
fn wait(net: &mut Net, token: usize, wanted: Readiness) -> Readiness {
    let began = Instant::now();
    let (mut batch, mut seen) = (Vec::new(), Readiness::EMPTY);
    while !seen.contains(wanted) {
        assert!(began.elapsed() < PATIENCE, "saw only {seen:?}");
        net.poll(Some(PATIENCE), &mut batch).unwrap();
        for ready in batch.drain(..).filter(|ready| ready.token == token) {
            seen.insert(ready.readiness);
        }
    }
    seen
}

/// What one more poll reports of `token`, given a moment.
fn reported(net: &mut Net, token: usize) -> Readiness {
    let mut batch = Vec::new();
    net.poll(Some(Duration::from_millis(30)), &mut batch).unwrap();
    let mine = batch.iter().filter(|ready| ready.token == token);
    mine.fold(Readiness::EMPTY, |all, ready| all.union(ready.readiness))
}

fn read_until_would_block(net: &mut Net, source: &mut Source) -> (Vec<u8>, bool) {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match net.read(source, &mut buffer) {
            Ok(0) => return (all, true),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (all, false),
            Err(error) => panic!("{error}"),
        }
    }
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn accept_one(net: &mut Net, listener: &mut Source) -> Source {
    wait(net, LISTENER, Readiness::READABLE);
    let accepted = net.accept(listener).unwrap();
    would_block(net.accept(listener));
    accepted
}

fn accepted_pair(net: &mut Net) -> (Source, TcpStream) {
    let mut listener = net.listen(&loopback(), &ListenOptions::default()).unwrap();
    net.register(&mut listener, LISTENER).unwrap();
    let Some(Address::Ip(address)) = net.local_address(&listener) else { panic!("no address") };
    let peer = TcpStream::connect(address).unwrap();
    let mut stream = accept_one(net, &mut listener);
    net.register(&mut stream, STREAM).unwrap();
    net.close(listener);
    (stream, peer)
}

#[test]
#[cfg(all(not(debug_assertions), not(mio_unsupported_force_poll_poll)))]
fn a_source_is_eight_bytes() {
    assert_eq!(std::mem::size_of::<Source>(), 8);
}

#[test]
fn an_accepted_stream_reads_writes_and_ends() {
    let mut net = net();
    let (mut stream, mut peer) = accepted_pair(&mut net);
    net.set_nodelay(&mut stream, true).unwrap();
    net.set_keepalive(&mut stream, Some(Duration::from_secs(60))).unwrap();
    net.set_keepalive(&mut stream, None).unwrap();
    let peer_address = Address::from(peer.local_addr().unwrap());
    assert_eq!(net.peer_address(&stream), Some(peer_address));
    assert_eq!(net.local_address(&stream), peer.peer_addr().ok().map(Address::Ip));

    wait(&mut net, STREAM, Readiness::WRITABLE);
    would_block(net.read(&mut stream, &mut [0; 16]));
    peer.write_all(b"ping").unwrap();
    wait(&mut net, STREAM, Readiness::READABLE);
    assert_eq!(read_until_would_block(&mut net, &mut stream), (b"ping".to_vec(), false));

    let slices = [IoSlice::new(b"po"), IoSlice::new(b"ng")];
    assert_eq!(net.write_vectored(&mut stream, &slices).unwrap(), 4);
    assert_eq!(net.write(&mut stream, b"!").unwrap(), 1);
    net.shutdown_write(&mut stream).unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "pong!");

    drop(peer);
    wait(&mut net, STREAM, Readiness::READ_CLOSED);
    assert_eq!(read_until_would_block(&mut net, &mut stream), (Vec::new(), true));
    net.close(stream);
}

#[test]
fn data_and_fin_in_one_event_say_read_closed() {
    let mut net = net();
    let (mut stream, mut peer) = accepted_pair(&mut net);
    wait(&mut net, STREAM, Readiness::WRITABLE);
    would_block(net.read(&mut stream, &mut [0; 16]));
    peer.write_all(b"last words").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    // Both are in before the poll, as after a stopped process: no second edge will come.
    std::thread::sleep(Duration::from_millis(20));
    let seen = wait(&mut net, STREAM, Readiness::READABLE);
    assert!(seen.contains(Readiness::READ_CLOSED) && seen.is_closing());
    let (bytes, at_end) = read_until_would_block(&mut net, &mut stream);
    assert_eq!((bytes.as_slice(), at_end), (&b"last words"[..], true));
}

#[test]
fn an_edge_comes_for_new_bytes_and_not_as_a_reminder() {
    let mut net = net();
    let (mut stream, mut peer) = accepted_pair(&mut net);
    wait(&mut net, STREAM, Readiness::WRITABLE);
    would_block(net.read(&mut stream, &mut [0; 16]));
    peer.write_all(b"one").unwrap();
    wait(&mut net, STREAM, Readiness::READABLE);
    // Unread bytes are not reported again.
    assert!(!reported(&mut net, STREAM).contains(Readiness::READABLE));
    read_until_would_block(&mut net, &mut stream);
    peer.write_all(b"two").unwrap();
    wait(&mut net, STREAM, Readiness::READABLE);
    if net.short_read_drains() {
        // A short read is a drained socket: the next bytes make an edge without a `WouldBlock`.
        assert_eq!(net.read(&mut stream, &mut [0; 64]).unwrap(), 3);
        peer.write_all(b"three").unwrap();
        wait(&mut net, STREAM, Readiness::READABLE);
    }
}

#[test]
fn a_full_socket_becomes_writable_again() {
    let mut net = net();
    let (mut stream, mut peer) = accepted_pair(&mut net);
    wait(&mut net, STREAM, Readiness::WRITABLE);
    let block = vec![b'x'; 256 * 1024];
    let mut sent = 0;
    loop {
        match net.write(&mut stream, &block) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(!reported(&mut net, STREAM).contains(Readiness::WRITABLE));
    let mut received = vec![0; sent];
    peer.read_exact(&mut received).unwrap();
    wait(&mut net, STREAM, Readiness::WRITABLE);
    assert!(net.write(&mut stream, &block).is_ok());
}

#[test]
fn connect_and_its_result() {
    let mut net = net();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(server.local_addr().unwrap());
    let mut stream = net.connect(&address, None).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    wait(&mut net, STREAM, Readiness::WRITABLE);
    assert!(net.connect_result(&mut stream).unwrap());
    let (mut accepted, _) = server.accept().unwrap();
    accepted.write_all(b"hello").unwrap();
    drop(accepted);
    wait(&mut net, STREAM, Readiness::READ_CLOSED);
    assert_eq!(read_until_would_block(&mut net, &mut stream), (b"hello".to_vec(), true));
    assert_eq!(net.peer_address(&stream), Some(address));
}

/// An address of the loopback net that is not the one the system would choose.
fn other_loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, if cfg!(target_os = "linux") { 9 } else { 1 }], port))
}

#[test]
fn a_connection_comes_from_the_address_that_was_asked_for() {
    let mut net = net();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(server.local_addr().unwrap());
    let mut stream = net.connect(&address, Some(other_loopback(0))).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    wait(&mut net, STREAM, Readiness::WRITABLE);
    assert!(net.connect_result(&mut stream).unwrap());
    let (mut accepted, from) = server.accept().unwrap();
    assert_eq!(from.ip(), other_loopback(0).ip());
    assert_eq!(net.local_address(&stream), Some(Address::Ip(from)));
    accepted.write_all(b"x").unwrap();
    wait(&mut net, STREAM, Readiness::READABLE);

    // A port that is in use is said at once, and so is an address that is not this machine's.
    let error = net.connect(&address, Some(from)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 0));
    let error = net.connect(&address, Some(elsewhere)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
    let other_family: SocketAddr = "[::1]:0".parse().unwrap();
    let error = net.connect(&address, Some(other_family)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

#[test]
fn a_refused_connection_says_so() {
    let mut net = net();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(server.local_addr().unwrap());
    drop(server);
    let mut stream = net.connect(&address, None).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    let began = Instant::now();
    let error = loop {
        assert!(began.elapsed() < PATIENCE);
        let mut batch = Vec::new();
        net.poll(Some(PATIENCE), &mut batch).unwrap();
        match net.connect_result(&mut stream) {
            Ok(made) => assert!(!made),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_reset_reaches_the_peer_as_one() {
    let mut net = net();
    let (stream, mut peer) = accepted_pair(&mut net);
    net.reset(stream);
    assert_eq!(peer.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_closed_source_leaves_nothing_behind() {
    let mut net = net();
    let (stream, mut peer) = accepted_pair(&mut net);
    net.close(stream);
    assert_eq!(peer.read(&mut [0; 4]).unwrap(), 0);
    // The descriptor's number is used again, under another token.
    let (mut second, mut other) = accepted_pair(&mut net);
    net.reregister(&mut second, STREAM + 1).unwrap();
    other.write_all(b"x").unwrap();
    wait(&mut net, STREAM + 1, Readiness::READABLE);
    assert_eq!(read_until_would_block(&mut net, &mut second).0, b"x");
    assert!(reported(&mut net, STREAM).is_empty());
}

#[test]
fn a_port_that_is_taken_is_refused_and_a_shared_one_is_not() {
    let mut net = net();
    let first = net.listen(&loopback(), &ListenOptions::default()).unwrap();
    let address = net.local_address(&first).unwrap();
    assert_ne!(address.port(), Some(0));
    let error = net.listen(&address, &ListenOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let shared = ListenOptions { reuse_port: true, ..ListenOptions::default() };
    let one = net.listen(&loopback(), &shared).unwrap();
    let address = net.local_address(&one).unwrap();
    net.listen(&address, &shared).unwrap();
}

#[test]
fn unix_sockets_work_and_leave_no_path() {
    let mut net = net();
    let name = format!("onloop-net-test-{}.sock", std::process::id());
    let path: PathBuf = std::env::temp_dir().join(name);
    let address = Address::Unix(path.clone());
    let mut listener = net.listen(&address, &ListenOptions::default()).unwrap();
    assert_eq!(net.local_address(&listener), Some(address.clone()));
    net.register(&mut listener, LISTENER).unwrap();
    let mut client = net.connect(&address, None).unwrap();
    net.register(&mut client, STREAM).unwrap();
    // A Unix connection is made at once, so both events are in, and the first wait takes both.
    wait(&mut net, LISTENER, Readiness::READABLE);
    assert!(net.connect_result(&mut client).unwrap());
    let mut accepted = net.accept(&mut listener).unwrap();
    net.set_nodelay(&mut accepted, true).unwrap();
    assert_eq!((net.peer_address(&accepted), net.peer_address(&client)), (None, Some(address)));
    would_block(net.read(&mut client, &mut [0; 8]));
    net.write(&mut accepted, b"over a path").unwrap();
    net.close(accepted);
    wait(&mut net, STREAM, Readiness::READ_CLOSED);
    assert_eq!(read_until_would_block(&mut net, &mut client), (b"over a path".to_vec(), true));
    net.close(listener);
    assert!(!path.exists());
    let error = net.connect(&Address::Unix(path), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[test]
fn a_missing_source_is_an_error_and_not_a_panic() {
    let mut net = net();
    let mut none = Source::default();
    assert!(none.is_none() && none.take().is_none());
    assert!(net.read(&mut none, &mut [0; 1]).is_err());
    assert!(net.write(&mut none, b"x").is_err());
    assert!(net.register(&mut none, 1).is_err());
    assert!(net.connect_result(&mut none).is_err());
    assert_eq!(net.local_address(&none), None);
    net.close(none);
}

#[test]
fn an_idle_poll_returns_at_its_timeout() {
    let mut net = net();
    let before = net.now();
    net.poll(Some(Duration::from_millis(5)), &mut Vec::new()).unwrap();
    assert!(net.now().since(before) >= Duration::from_millis(5));
    assert!(!net.take_posted() && !net.is_stalled());
    assert_eq!(net.as_raw_fd().is_some(), net.short_read_drains());
    assert!(net.wall_clock() > SystemTime::UNIX_EPOCH);
}

#[test]
fn a_wake_up_is_not_lost_to_a_registration() {
    let mut net = net();
    net.remote().wake();
    let mut listener = net.listen(&loopback(), &ListenOptions::default()).unwrap();
    net.register(&mut listener, LISTENER).unwrap();
    let mut batch = Vec::new();
    net.poll(Some(PATIENCE), &mut batch).unwrap();
    assert!(net.take_posted());
    // And a later one still comes through.
    net.remote().wake();
    net.poll(Some(PATIENCE), &mut batch).unwrap();
    assert!(net.take_posted());
}
