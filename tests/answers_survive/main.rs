//! A valid request's answer is never lost because of what follows it on the connection: over real sockets, to
//! clients that read at once, slowly, or late. Each kind of answer is tried with each kind of what follows.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod follows;
mod peer;
mod simulated;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use answers::Kind;
use common::World;
use follows::Follows;
use onloop::LoopOptions;
use onloop::http::{Server, ServerOptions};
use onloop::sim::{SimNet, SimOptions};
use peer::{Pace, SlowPeer};

const PACES: [Pace; 3] = [Pace::AtOnce, Pace::InSips, Pace::Late];

/// One answer of a kind to a client of a pace, and what comes behind it.
fn play(kind: Kind, follows: Follows, pace: Pace) {
    let context = format!("{kind:?}, {follows:?}, {pace:?}");
    let mut world = World::new();
    let server = answers::serve(&world, follows);
    let mut peer = SlowPeer::connect(server.port(), pace);
    peer.send(&kind.request(follows.closes()));
    follows.act(&mut world, &server, &mut peer);
    let (answer, rest) = peer.first_answer(&mut world, &context);
    assert_eq!(answer.status, 200, "{context}");
    assert!(answer.content == kind.content(), "{context}: {} bytes came", answer.content.len());
    follows.check_rest(kind, &rest, &context);
    server.close();
    drop(peer);
    world.until("the end of all connections", || server.connections() == 0);
}

fn play_all(follows: Follows) {
    // Most of the time is waiting.
    std::thread::scope(|scope| {
        for kind in Kind::ALL {
            scope.spawn(move || PACES.into_iter().for_each(|pace| play(kind, follows, pace)));
        }
    });
}

#[test]
fn malformed_bytes_behind_it() {
    play_all(Follows::Malformed);
}

#[test]
fn a_head_that_is_too_large_behind_it() {
    play_all(Follows::TooLarge);
}

#[test]
fn bytes_behind_connection_close() {
    play_all(Follows::BehindClose);
}

#[test]
fn a_megabyte_of_garbage_behind_it() {
    play_all(Follows::Garbage);
}

#[test]
fn a_malformed_request_with_content_behind_it() {
    play_all(Follows::MalformedContent);
}

#[test]
fn a_half_close_behind_it() {
    play_all(Follows::HalfClose);
}

#[test]
fn a_half_close_before_it_begins() {
    play_all(Follows::HalfCloseFirst);
}

#[test]
fn a_half_close_in_the_middle_of_the_next_request() {
    play_all(Follows::HalfRequest);
}

#[test]
fn a_server_that_closes_before_it_begins() {
    play_all(Follows::ServerCloses);
}

#[test]
fn a_server_that_closes_while_it_is_sent() {
    play_all(Follows::ServerClosesMeanwhile);
}

#[test]
fn a_server_that_closes_with_a_time_of_grace() {
    play_all(Follows::Grace);
}

#[test]
fn requests_behind_the_last_one_of_a_connection() {
    play_all(Follows::BehindTheLast);
}

#[test]
fn a_next_head_that_does_not_come_in_time() {
    play_all(Follows::ExpiredHead);
}

#[test]
fn a_next_request_whose_handler_fails() {
    play_all(Follows::Failing);
}

#[test]
fn a_next_request_that_is_broken_off_when_its_answer_has_begun() {
    play_all(Follows::FailingLate);
}

#[test]
fn a_next_request_that_is_broken_off_with_more_behind_it() {
    play_all(Follows::FailingInFront);
}

#[test]
fn a_client_error_that_is_answered_by_its_listener_with_more_behind_it() {
    play_all(Follows::ErrorAnswered);
}

#[test]
fn a_loop_that_is_gone_before_it_is_read() {
    for kind in Kind::ALL {
        let context = format!("{kind:?}");
        let mut world = World::new();
        let server = answers::serve(&world, Follows::HalfClose);
        let mut peer = SlowPeer::connect_with_room(server.port());
        peer.send(&kind.request(true));
        peer.send_all(&mut world);
        peer.end();
        world.until("the connection", || server.connections() == 1);
        server.close();
        world.until_over();
        drop(world);
        let received = peer.read_to_end();
        let (answer, length) = common::Answer::parse(&received, false, true)
            .unwrap_or_else(|| panic!("{context}: {} bytes came", received.len()));
        assert!(answer.content == kind.content(), "{context}");
        assert_eq!(length, received.len(), "{context}");
    }
}

/// The client reads when the server has given the connection up, after the time for which it is read and dropped.
#[test]
fn a_client_that_reads_when_the_server_has_given_up_waiting_for_its_end() {
    let mut world = World::new();
    let server = answers::serve(&world, Follows::Garbage);
    let mut peers: Vec<(Kind, SlowPeer)> = Vec::new();
    for kind in Kind::ALL {
        let mut peer = SlowPeer::connect_with_room(server.port());
        peer.send(&kind.request(false));
        Follows::Garbage.act(&mut world, &server, &mut peer);
        peers.push((kind, peer));
    }
    for (_, peer) in &mut peers {
        peer.send_all(&mut world);
    }
    world.until("the connections to be given up", || server.connections() == 0);
    for (kind, mut peer) in peers {
        let received = peer.read_to_end();
        let answer = common::Answer::parse(&received, false, true);
        let (answer, _) = answer.unwrap_or_else(|| panic!("{kind:?}: {} bytes", received.len()));
        assert!(answer.content == kind.content(), "{kind:?}");
    }
}

/// The next request is on its way when the server closes the connection as an idle one.
#[test]
fn a_connection_that_is_closed_as_idle_with_bytes_on_their_way() {
    for how in [Server::close, Server::close_idle_connections] {
        let mut world = World::new();
        let finished = Rc::new(Cell::new(false));
        let notes = Rc::clone(&finished);
        let server = world.serve(move |_req, res| {
            let notes = Rc::clone(&notes);
            res.on_finish(move || notes.set(true));
            res.end(Kind::File.content());
        });
        let mut peer = SlowPeer::connect_with_room(server.port());
        peer.send(common::get("/", "").as_bytes());
        world.until("the answer to be out", || finished.get());
        // No turn of the loop finds them before it closes.
        peer.send(&[1; 100]);
        how(&server);
        world.until("the connection to be given up", || server.connections() == 0);
        let received = peer.read_to_end();
        let answer = common::Answer::parse(&received, false, true);
        assert!(answer.is_some_and(|(answer, _)| answer.content == Kind::File.content()));
    }
}

/// What the client has sent must be read by then, or the close of the connection would be a reset. No event tells
/// of it any more.
#[test]
fn a_client_that_has_sent_more_than_was_read_before_the_answer() {
    let net = SimNet::with_options(1, SimOptions::default().reset_discards(true));
    let mut event_loop = net.event_loop(LoopOptions::new().read_buffer(4096));
    let server = Server::new(event_loop.handle(), ServerOptions::new()).expect("a server");
    server.on_request(|_req, res| res.end("whole"));
    server.listen("127.0.0.1:80").expect("a free port");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(common::get("/", "Connection: close\r\n").as_bytes());
    peer.write(&[1; 20_000]);
    let end = net.now() + Duration::from_secs(3);
    while net.now() < end {
        event_loop.turn(Some(end - net.now())).expect("a turn");
        if net.stalled() {
            net.advance(end - net.now());
        }
    }
    assert_eq!(server.connections(), 0, "the server has waited for long enough");
    let received = String::from_utf8_lossy(&peer.read()).into_owned();
    assert!(received.ends_with("whole") && !peer.is_reset(), "{received:?}");
}
