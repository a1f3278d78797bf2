//! Connections that cannot be accepted: whatever `accept` says, those that can be are, nobody waits for good, and
//! a lack that lasts costs no processor.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use onloop::http::Server;
use onloop::sim::{SimNet, SimOptions, SimPeer, stats};
use onloop::{Address, EventLoop, LoopOptions};

use crate::common::{World, get};

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EPROTO: i32 = 71;
const ECONNABORTED: i32 = 103;
const ENOBUFS: i32 = 105;
/// One that nobody has thought of.
const EUNKNOWN: i32 = 77;

/// Those with which the connection goes on to wait.
const LACKS: [i32; 5] = [EMFILE, ENFILE, ENOBUFS, ENOMEM, EUNKNOWN];

/// Those with which it is gone.
const LOSSES: [i32; 3] = [ECONNABORTED, EPERM, EPROTO];

fn failing(per_mille: u16, codes: &[i32]) -> SimOptions {
    SimOptions::default().accept_errors(per_mille).accept_error_codes(codes.iter().copied())
}

fn serving(net: &SimNet) -> (EventLoop, Server) {
    let event_loop = net.event_loop(LoopOptions::new());
    let server = onloop::http::create_server(event_loop.handle(), |_req, res| res.end("fine"));
    server.listen("127.0.0.1:80").expect("a free port");
    (event_loop, server)
}

fn asking(net: &SimNet) -> SimPeer {
    let peer = net.connect(&Address::from(SocketAddr::from(([127, 0, 0, 1], 80))));
    peer.write(get("/", "Connection: close\r\n").as_bytes());
    peer
}

/// Turns until all are answered or reset; how many were answered, and how many turns that took.
#[track_caller]
fn outcome(net: &SimNet, event_loop: &mut EventLoop, peers: &[SimPeer]) -> (usize, usize) {
    let (begin, mut turns) = (net.now(), 0);
    let mut received = vec![Vec::new(); peers.len()];
    while !peers.iter().all(|peer| peer.is_eof() || peer.is_reset()) {
        event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
        turns += 1;
        for (peer, received) in peers.iter().zip(&mut received) {
            received.extend(peer.read());
        }
        assert!(net.now() - begin < Duration::from_secs(600), "somebody waits for good");
        assert!(turns < 100_000, "it turns without end");
    }
    let answered = received.iter().filter(|bytes| bytes.ends_with(b"fine")).count();
    assert!(received.iter().all(|bytes| bytes.is_empty() || bytes.ends_with(b"fine")));
    (answered, turns)
}

#[test]
fn whoever_can_be_accepted_is_served_whatever_the_errors_between() {
    for seed in 0..20 {
        for codes in
            [&LACKS[..], &LOSSES[..], &[LACKS, [EMFILE; 5]].concat(), &[ECONNABORTED, ENOBUFS]]
        {
            let net = SimNet::with_options(seed, failing(300, codes));
            let (mut event_loop, server) = serving(&net);
            let peers: Vec<_> = (0..100).map(|_| asking(&net)).collect();
            let (answered, _) = outcome(&net, &mut event_loop, &peers);
            match codes.iter().any(|code| LOSSES.contains(code)) {
                true => assert!((30..100).contains(&answered), "{answered} with {codes:?}"),
                false => assert_eq!(answered, 100, "seed {seed}, {codes:?}"),
            }
            drop(peers);
            server.close();
            event_loop.run().expect("it ends");
            assert!(stats(&event_loop).is_empty());
        }
    }
}

#[test]
fn an_error_that_lasts_costs_a_few_turns_a_second_and_is_over_when_it_is_over() {
    for code in [LACKS[0], LACKS[1], LACKS[2], LACKS[3], LACKS[4], EPERM] {
        let net = SimNet::with_options(1, failing(1000, &[code]));
        let (mut event_loop, _server) = serving(&net);
        // Those that are lost with their error last for so many turns' budgets.
        let count = if LOSSES.contains(&code) { 256 * 20 } else { 100 };
        let peers: Vec<_> = (0..count).map(|_| asking(&net)).collect();
        let mut turns = 0;
        while net.now() < Duration::from_secs(20) {
            event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
            turns += 1;
            assert!(turns < 20 * 5, "it turns without end for errno {code}");
        }
        net.set_options(SimOptions::default());
        drop(peers);
        let peers = [asking(&net)];
        let begin = net.now();
        assert_eq!(outcome(&net, &mut event_loop, &peers).0, 1);
        assert!(net.now() - begin < Duration::from_secs(60), "errno {code}");
    }
}

#[test]
fn connections_that_were_given_up_do_not_hold_up_those_behind_them() {
    let net = SimNet::with_options(1, failing(1000, &[ECONNABORTED]));
    let (mut event_loop, _server) = serving(&net);
    // A storm of them is no reason for a pause.
    let _storm: Vec<_> = (0..400).map(|_| asking(&net)).collect();
    while net.now() < Duration::from_millis(10) {
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
    }
    net.set_options(SimOptions::default());
    let (begin, peer) = (net.now(), asking(&net));
    let mut received = Vec::new();
    while !peer.is_eof() {
        received.extend(peer.read());
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        assert!(net.now() - begin < Duration::from_millis(10), "it waits");
    }
    assert!(received.ends_with(b"fine"));
}

/// Connects, sends a part of something, and resets before the server has had a turn.
fn storm(server: &Server, count: usize) {
    let bytes = get("/", "");
    for at in 0..count {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
        let part = &bytes.as_bytes()[..at % bytes.len()];
        stream.write_all(part).expect("it is small");
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("a live socket");
    }
}

#[test]
fn storms_of_connections_that_are_reset_before_they_are_accepted_leave_nothing() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("fine"));
    for _ in 0..20 {
        storm(&server, 100);
        assert_eq!(world.ask(&server, get("/", "")).text(), "fine");
    }
    world.until("all ends", || server.connections() == 0);
    world.turn();
    let held = stats(&world.event_loop);
    assert_eq!((held.server_connections, held.exchanges, held.bytes_received), (0, 0, 0));
}
