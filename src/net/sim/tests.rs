//! The simulation's own promises: edges as epoll has them, faults, time, replay.

mod replay;

use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::*;
use crate::net::{ListenOptions, Net, Readiness, Ready, Source, Time, remote};

const LISTENER: usize = 1;
const STREAM: usize = 2;

fn address(port: u16) -> Address {
    Address::from(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn poll(net: &mut Net, timeout: Option<Duration>) -> Vec<Ready> {
    let mut batch = Vec::new();
    net.poll(timeout, &mut batch).unwrap();
    batch
}

fn listening(sim: &SimNet) -> (Net, Source) {
    let mut net = Net::simulated(sim);
    let mut listener = net.listen(&address(80), &ListenOptions::default()).unwrap();
    net.register(&mut listener, LISTENER).unwrap();
    (net, listener)
}

/// A loop with one accepted, registered stream whose first (writable) event was taken.
fn accepted(sim: &SimNet) -> (Net, Source, Source, SimPeer) {
    let (mut net, mut listener) = listening(sim);
    let peer = sim.connect(&address(80));
    assert_eq!(poll(&mut net, None)[0].token, LISTENER);
    let mut stream = net.accept(&mut listener).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    assert_eq!(poll(&mut net, None), [event(Readiness::WRITABLE)]);
    (net, listener, stream, peer)
}

fn event(readiness: Readiness) -> Ready {
    Ready { token: STREAM, readiness }
}

fn kind<T: fmt::Debug>(result: std::io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

const BOTH: Readiness = Readiness::READABLE.union(Readiness::WRITABLE);
const IDLE: Option<Duration> = Some(Duration::from_secs(1));

#[test]
fn a_connection_is_accepted_and_carries_bytes_both_ways() {
    let sim = SimNet::new(1);
    let (mut net, listener, mut stream, peer) = accepted(&sim);
    assert!(peer.is_connected());
    assert_eq!(net.peer_address(&stream).unwrap().port(), peer.local_port());
    assert_eq!(net.local_address(&stream), Some(address(80)));
    assert_eq!(peer.write(b"ping"), 4);
    assert_eq!(kind(net.read(&mut stream, &mut [0; 8])), ErrorKind::WouldBlock);
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    let mut buffer = [0; 8];
    assert_eq!(net.read(&mut stream, &mut buffer).unwrap(), 4);
    assert_eq!(&buffer[..4], b"ping");
    let slices = [IoSlice::new(b"po"), IoSlice::new(b"ng")];
    assert_eq!(net.write_vectored(&mut stream, &slices).unwrap(), 4);
    assert_eq!(peer.read(), b"");
    sim.advance(Duration::from_millis(1));
    assert_eq!(peer.read(), b"pong");
    assert_eq!(sim.open_sockets(), 2);
    net.close(stream);
    net.close(listener);
    sim.advance(Duration::from_millis(1));
    assert!(peer.is_eof());
    assert_eq!(sim.open_sockets(), 0);
}

#[test]
fn an_edge_is_no_reminder() {
    let sim = SimNet::new(2);
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    peer.write(b"abcd");
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    // Half of it is read: nothing new, no event.
    assert_eq!(net.read(&mut stream, &mut [0; 2]).unwrap(), 2);
    assert!(poll(&mut net, IDLE).is_empty());
    // New bytes: an event, whether or not the old ones were read.
    peer.write(b"ef");
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    assert_eq!(net.read(&mut stream, &mut [0; 8]).unwrap(), 4);
    // A short read was a drained socket: bytes that come later make an edge of their own.
    peer.write(b"g");
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    // Read before the poll that would report it: epoll drops what is not true any more, but a
    // writable socket is still writable.
    peer.write(b"h");
    sim.advance(Duration::from_millis(1));
    assert_eq!(net.read(&mut stream, &mut [0; 8]).unwrap(), 2);
    assert_eq!(poll(&mut net, IDLE), [event(Readiness::WRITABLE)]);
    assert!(poll(&mut net, IDLE).is_empty());
}

#[test]
fn registering_again_reports_what_is_true_under_the_new_token() {
    let sim = SimNet::new(3);
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    peer.write(b"x");
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    net.reregister(&mut stream, 99).unwrap();
    assert_eq!(poll(&mut net, None), [Ready { token: 99, readiness: BOTH }]);
    assert!(poll(&mut net, IDLE).is_empty());
}

#[test]
fn data_and_fin_come_in_one_event() {
    let sim = SimNet::new(4);
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    peer.write(b"last words");
    peer.shutdown_write();
    assert_eq!(poll(&mut net, None), [event(BOTH.union(Readiness::READ_CLOSED))]);
    // The short read does not mean that the end will be announced again.
    assert_eq!(net.read(&mut stream, &mut [0; 64]).unwrap(), 10);
    assert!(poll(&mut net, IDLE).is_empty());
    assert_eq!(net.read(&mut stream, &mut [0; 64]).unwrap(), 0);
    // A half-closed peer still reads.
    net.write(&mut stream, b"goodbye").unwrap();
    net.close(stream);
    sim.advance(Duration::from_millis(1));
    assert_eq!(peer.read(), b"goodbye");
    assert!(peer.is_eof() && !peer.is_reset());
}

#[test]
fn separate_filters_report_what_changed_as_kqueue_does() {
    let options = SimOptions::default().separate_filters(true);
    let sim = SimNet::with_options(5, options);
    let (mut net, _listener, _stream, peer) = accepted(&sim);
    peer.write(b"x");
    assert_eq!(poll(&mut net, None), [event(Readiness::READABLE)]);
    peer.reset();
    let batch = poll(&mut net, None);
    assert_eq!(batch.len(), 2);
    assert!(batch.iter().all(|ready| ready.readiness.contains(Readiness::ERROR)));
}

#[test]
fn a_full_direction_blocks_and_space_makes_an_edge() {
    let sim = SimNet::with_options(6, SimOptions::default().capacity(9));
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    assert_eq!(net.write(&mut stream, b"0123456789abc").unwrap(), 9);
    assert_eq!(kind(net.write(&mut stream, b"9")), ErrorKind::WouldBlock);
    assert!(poll(&mut net, IDLE).is_empty());
    // Less than a third is free: a kernel does not bother.
    assert_eq!(peer.read_up_to(2), b"01");
    assert!(poll(&mut net, IDLE).is_empty());
    assert_eq!(peer.read_up_to(1), b"2");
    assert_eq!(poll(&mut net, None), [event(Readiness::WRITABLE)]);
    assert_eq!(net.write(&mut stream, b"9abc").unwrap(), 3);
    sim.advance(Duration::from_millis(1));
    assert_eq!(peer.read(), b"3456789ab");
}

#[test]
fn short_and_refused_writes_are_followed_by_an_edge() {
    for options in [
        SimOptions::default().short_writes(1000),
        SimOptions::default().would_block(500),
        SimOptions::default().short_writes(500).would_block(500).fragments(500, 3),
    ] {
        let cuts: usize = (0..8).map(|seed| write_through(seed, &options)).sum();
        assert!(cuts > 0);
    }
}

/// Sends a text as far as each write goes, then waits for the edge; counts the waits.
fn write_through(seed: u64, options: &SimOptions) -> usize {
    let sim = SimNet::with_options(seed, options.clone());
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    let text: Vec<u8> = (0..=255).collect();
    let (mut sent, mut cuts) = (0, 0);
    loop {
        match net.write(&mut stream, &text[sent..]) {
            Ok(count) => {
                sent += count;
                if sent == text.len() {
                    break;
                }
                assert_eq!(kind(net.write(&mut stream, b"?")), ErrorKind::WouldBlock);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        cuts += 1;
        assert_eq!(poll(&mut net, IDLE), [event(Readiness::WRITABLE)]);
    }
    sim.advance(Duration::from_secs(1));
    assert_eq!(peer.read(), text);
    cuts
}

#[test]
fn fragments_arrive_one_after_the_other() {
    let sim = SimNet::with_options(8, SimOptions::default().fragments(1000, 2));
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    peer.write(b"fragments");
    let (mut all, mut events) = (Vec::new(), 0);
    while all.len() < 9 {
        assert!(poll(&mut net, IDLE)[0].readiness.contains(Readiness::READABLE));
        let mut buffer = [0; 64];
        let count = net.read(&mut stream, &mut buffer).unwrap();
        assert!(count <= 2);
        all.extend_from_slice(&buffer[..count]);
        events += 1;
    }
    assert!(all == b"fragments" && events >= 5);
}

#[test]
fn a_reset_is_read_after_the_data_unless_it_discards() {
    for discards in [false, true] {
        let sim = SimNet::with_options(9, SimOptions::default().reset_discards(discards));
        let (mut net, _listener, mut stream, peer) = accepted(&sim);
        peer.write(b"data");
        peer.reset();
        let ready = poll(&mut net, None)[0].readiness;
        assert!(ready.contains(Readiness::ERROR) && ready.is_closing());
        if !discards {
            assert_eq!(net.read(&mut stream, &mut [0; 8]).unwrap(), 4);
        }
        assert_eq!(kind(net.read(&mut stream, &mut [0; 8])), ErrorKind::ConnectionReset);
        assert_eq!(net.read(&mut stream, &mut [0; 8]).unwrap(), 0);
        assert_eq!(kind(net.write(&mut stream, b"x")), ErrorKind::BrokenPipe);
    }
}

#[test]
fn closing_with_unread_bytes_resets_and_so_do_bytes_that_come_too_late() {
    let sim = SimNet::new(10);
    let (mut net, _listener, stream, peer) = accepted(&sim);
    peer.write(b"unread");
    poll(&mut net, None);
    net.close(stream);
    sim.advance(Duration::from_millis(1));
    assert!(peer.is_reset());

    let (mut net, _listener, stream, peer) = accepted(&{ SimNet::new(11) });
    peer.write(b"on the way");
    net.close(stream);
    poll(&mut net, IDLE);
    assert!(peer.is_reset());
    assert_eq!(peer.error(), Some(ErrorKind::ConnectionReset));
    assert_eq!(peer.write(b"more"), 0);
}

#[test]
fn connections_are_made_refused_retried_or_left_hanging() {
    let sim = SimNet::new(12);
    let mut net = Net::simulated(&sim);
    let mut refused = net.connect(&address(80), None).unwrap();
    net.register(&mut refused, STREAM).unwrap();
    assert!(!net.connect_result(&mut refused).unwrap());
    assert_eq!(kind(net.write(&mut refused, b"x")), ErrorKind::WouldBlock);
    assert!(poll(&mut net, None)[0].readiness.contains(Readiness::WRITABLE));
    assert_eq!(kind(net.connect_result(&mut refused)), ErrorKind::ConnectionRefused);
    net.close(refused);

    let server = sim.listen(&address(80)).unwrap();
    assert!(sim.listen(&address(80)).is_none());
    assert_eq!(server.address(), address(80));
    let mut made = net.connect(&address(80), None).unwrap();
    net.register(&mut made, STREAM).unwrap();
    assert_eq!(poll(&mut net, None), [event(Readiness::WRITABLE)]);
    assert!(net.connect_result(&mut made).unwrap());
    let peer = server.accept().unwrap();
    peer.write(b"hi");
    assert_eq!(poll(&mut net, None), [event(BOTH)]);
    net.close(made);

    sim.set_options(SimOptions::default().connect_silence(1000));
    let mut silent = net.connect(&address(80), None).unwrap();
    net.register(&mut silent, STREAM).unwrap();
    assert!(poll(&mut net, Some(Duration::from_secs(3600))).is_empty());
    net.close(silent);
    assert_eq!(sim.open_sockets(), 0);
}

#[test]
fn a_connection_comes_from_the_address_that_was_asked_for() {
    let sim = SimNet::new(12);
    let server = sim.listen(&address(80)).unwrap();
    let mut net = Net::simulated(&sim);
    let asked: SocketAddr = "127.0.0.9:4000".parse().unwrap();
    let mut stream = net.connect(&address(80), Some(asked)).unwrap();
    net.register(&mut stream, STREAM).unwrap();
    assert_eq!(net.local_address(&stream), Some(Address::Ip(asked)));
    assert_eq!(kind(net.connect(&address(80), Some(asked))), ErrorKind::AddrInUse);
    let other_family: SocketAddr = "[::1]:0".parse().unwrap();
    assert_eq!(kind(net.connect(&address(80), Some(other_family))), ErrorKind::AddrNotAvailable);
    poll(&mut net, None);
    assert_eq!(server.accept().unwrap().remote_address(), Some(Address::Ip(asked)));
    net.close(stream);
    // Its port is free again, and an unspecified address is the system's choice.
    let again = net.connect(&address(80), Some(asked)).unwrap();
    net.close(again);
    let chosen = net.connect(&address(80), Some("0.0.0.0:4000".parse().unwrap())).unwrap();
    assert_eq!(net.local_address(&chosen), Some(address(4000)));
    net.close(chosen);
}

/// A connection to port 80 of an address: when it was decided, and how.
fn outcome(sim: &SimNet, ip: &str) -> (Duration, Result<(), ErrorKind>) {
    let (mut net, began) = (Net::simulated(sim), sim.now());
    let to = Address::Ip(SocketAddr::new(ip.parse().unwrap(), 80));
    let mut stream = match net.connect(&to, None) {
        Ok(stream) => stream,
        Err(error) => return (sim.now() - began, Err(error.kind())),
    };
    net.register(&mut stream, STREAM).unwrap();
    while poll(&mut net, None).is_empty() {
        assert!(!sim.stalled(), "{ip} is never decided");
    }
    let result = net.connect_result(&mut stream);
    net.close(stream);
    (sim.now() - began, result.map(|made| assert!(made)).map_err(|error| error.kind()))
}

#[test]
fn each_address_has_a_route_of_its_own() {
    let sim = SimNet::new(21);
    let any: Address = "[::]:80".parse::<SocketAddr>().unwrap().into();
    let _server = sim.listen(&any).unwrap();
    let usual = Duration::from_micros(50);
    let slow = Duration::from_millis(300);
    for (ip, route, expected) in [
        ("192.0.2.1", Route::Open, (usual, Ok(()))),
        ("192.0.2.2", Route::Delayed(slow), (slow, Ok(()))),
        ("192.0.2.3", Route::Refused, (usual, Err(ErrorKind::ConnectionRefused))),
        ("192.0.2.4", Route::Silent, (Duration::from_secs(127), Err(ErrorKind::TimedOut))),
        ("2001:db8::1", Route::Unreachable, (Duration::ZERO, Err(ErrorKind::NetworkUnreachable))),
    ] {
        assert_eq!(outcome(&sim, ip), (usual, Ok(())), "{ip} before");
        sim.set_route(ip.parse().unwrap(), route);
        assert_eq!(outcome(&sim, ip), expected, "{ip} {route:?}");
    }
    assert_eq!(outcome(&sim, "192.0.2.5"), (usual, Ok(())), "an address without a route");
    let lost = sim.connect(&"[2001:db8::1]:80".parse::<SocketAddr>().unwrap().into());
    assert!(!lost.is_connected() && lost.write(b"x") == 0);
    assert_eq!(sim.open_sockets(), 0);
}

#[test]
fn a_listener_takes_the_families_that_a_kernel_would_give_it() {
    for (bound, v4, v6) in [
        ("127.0.0.1:80", true, false),
        ("[::1]:80", false, true),
        ("0.0.0.0:80", true, false),
        ("[::]:80", true, true),
    ] {
        let sim = SimNet::new(22);
        let bound: Address = bound.parse::<SocketAddr>().unwrap().into();
        let _server = sim.listen(&bound).unwrap();
        assert_eq!(outcome(&sim, "127.0.0.1").1.is_ok(), v4, "{bound}");
        assert_eq!(outcome(&sim, "::1").1.is_ok(), v6, "{bound}");
        assert_eq!(outcome(&sim, "0.0.0.0").1.is_ok(), v4, "{bound}");
    }
}

#[test]
fn a_full_backlog_makes_the_client_try_again() {
    let sim = SimNet::new(13);
    let mut net = Net::simulated(&sim);
    let small = ListenOptions { backlog: 1, ..ListenOptions::default() };
    let mut listener = net.listen(&Address::Unix("/sim".into()), &small).unwrap();
    net.register(&mut listener, LISTENER).unwrap();
    let peers: Vec<_> = (0..3).map(|_| sim.connect(&Address::Unix("/sim".into()))).collect();
    let mut streams = Vec::new();
    while streams.len() < 3 {
        assert_eq!(poll(&mut net, None)[0].token, LISTENER);
        streams.push(net.accept(&mut listener).unwrap());
        assert_eq!(kind(net.accept(&mut listener)), ErrorKind::WouldBlock);
    }
    assert!(peers.iter().all(SimPeer::is_connected));
    assert_eq!(sim.now().as_secs(), 2);
}

#[test]
fn accept_fails_without_another_edge() {
    let sim = SimNet::with_options(14, SimOptions::default().accept_errors(1000));
    let (mut net, mut listener) = listening(&sim);
    let _peer = sim.connect(&address(80));
    assert_eq!(poll(&mut net, None)[0].token, LISTENER);
    assert_eq!(net.accept(&mut listener).unwrap_err().raw_os_error(), Some(24));
    assert!(poll(&mut net, IDLE).is_empty());
    sim.set_options(SimOptions::default());
    assert!(net.accept(&mut listener).is_ok());
}

#[test]
fn truncation_ends_one_direction_and_silence_both_ways_of_knowing() {
    let sim = SimNet::new(15);
    let (mut net, _listener, mut stream, peer) = accepted(&sim);
    sim.set_options(SimOptions::default().truncation(1000));
    assert_eq!(peer.write(b"truncated"), 9);
    sim.set_options(SimOptions::default());
    assert_eq!(peer.write(b"lost"), 4);
    assert!(poll(&mut net, None)[0].readiness.contains(Readiness::READ_CLOSED));
    let count = net.read(&mut stream, &mut [0; 64]).unwrap();
    assert!(count < 9);
    net.write(&mut stream, b"still here").unwrap();
    poll(&mut net, IDLE);
    assert_eq!(peer.read(), b"still here");

    sim.set_options(SimOptions::default().silence(1000));
    net.write(&mut stream, b"never").unwrap();
    net.close(stream);
    sim.advance(Duration::from_secs(60));
    assert!(peer.read().is_empty() && !peer.is_eof() && !peer.is_reset());
}

#[test]
fn time_jumps_to_the_next_event_or_timeout_and_stalls_without_either() {
    let sim = SimNet::new(16);
    let (mut net, _listener, _stream, _peer) = accepted(&sim);
    let before = net.now();
    assert!(poll(&mut net, Some(Duration::from_secs(3600))).is_empty());
    assert_eq!(net.now().since(before), Duration::from_secs(3600));
    assert!(!sim.stalled());
    assert!(poll(&mut net, None).is_empty());
    assert!(sim.stalled() && net.is_stalled());
    let _late = sim.connect(&address(80));
    assert!(!sim.stalled());
    assert_eq!(poll(&mut net, None)[0].token, LISTENER);
    let wall = net.wall_clock();
    sim.set_wall_clock_offset(-1_000_000);
    assert_eq!(wall.duration_since(net.wall_clock()).unwrap(), Duration::from_secs(1));
    assert!(wall > SystemTime::UNIX_EPOCH);
}

#[test]
fn the_clock_may_jump_and_everything_due_is_delivered() {
    let options = SimOptions::default().clock_jumps(1000, Duration::from_secs(9));
    let sim = SimNet::with_options(17, options);
    let (mut net, _listener, _stream, peer) = accepted(&sim);
    let before = sim.now();
    peer.write(b"x");
    assert_eq!(poll(&mut net, Some(Duration::ZERO)), [event(BOTH)]);
    assert!(sim.now() - before > Duration::from_millis(1));
}

#[test]
fn a_post_ends_the_wait_of_a_simulated_loop() {
    let sim = SimNet::new(18);
    let mut net = Net::simulated(&sim);
    let (poster, mut inbox) = remote::channel(net.remote(), 1);
    poster.post(5).unwrap();
    assert!(poll(&mut net, None).is_empty());
    assert!(net.take_posted() && !sim.stalled());
    assert_eq!((inbox.try_take(), net.now().0), (Some(5), 0));
}

#[test]
fn loops_that_share_a_clock_do_not_let_the_others_sleep_over() {
    let sim = SimNet::new(19);
    let (mut one, mut two) = (Net::simulated(&sim), Net::simulated(&sim));
    // Both wait, one of them for longer; whoever is polled, no deadline is passed by.
    let mut order = Vec::new();
    let (mut one_due, mut two_due) = (Time(7_000_000), Time(2_000_000));
    while order.len() < 7 {
        poll(&mut one, Some(one_due.since(sim_time(&sim))));
        if sim_time(&sim) >= one_due {
            order.push((1, sim.now().as_secs()));
            one_due = one_due.after(Duration::from_secs(7));
        }
        poll(&mut two, Some(two_due.since(sim_time(&sim))));
        if sim_time(&sim) >= two_due {
            order.push((2, sim.now().as_secs()));
            two_due = two_due.after(Duration::from_secs(2));
        }
    }
    assert_eq!(order, [(2, 2), (2, 4), (2, 6), (1, 7), (2, 8), (2, 10), (2, 12)]);
    // One that is never polled again does not hold the clock for ever.
    for _ in 0..3 {
        poll(&mut one, Some(Duration::from_secs(100)));
    }
    assert!(sim.now().as_secs() >= 100);
}

fn sim_time(sim: &SimNet) -> Time {
    Time(sim.now().as_micros() as u64)
}

#[test]
fn a_dropped_loop_closes_its_sockets() {
    let sim = SimNet::new(20);
    let (net, _listener, _stream, peer) = accepted(&sim);
    let waiting = sim.connect(&address(80));
    sim.advance(Duration::from_millis(1));
    drop(net);
    assert_eq!(sim.open_sockets(), 0);
    sim.advance(Duration::from_millis(1));
    assert!(peer.is_eof() && waiting.is_reset());
}
