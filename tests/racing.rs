//! Several addresses of one name are tried beside each other (RFC 8305), on a clock that costs no time: when each
//! is begun, who wins, and what becomes of those that do not.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use common::Log;
use common::clocked::Clocked;
use onloop::http::{self, Agent, AgentOptions, ClientRequest, RequestOptions};
use onloop::sim::{Route, SimListener, SimPeer, stats};
use onloop::{Error, Sent};

/// From one address to the next.
const DELAY: Duration = Duration::from_millis(250);

/// A tick of the clock that deadlines go by, twice.
const TICKS: Duration = Duration::from_millis(100);

const ADDRESSES: [&str; 4] = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2"];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// `many.test` with addresses of these routes, one after the other, raw listeners on all of them, and a client.
struct Race {
    clocked: Clocked,
    listeners: Vec<SimListener>,
    agent: Agent,
    /// Sockets of the listeners.
    idle: usize,
}

impl Race {
    fn new(routes: &[Route]) -> Race {
        Race::with(routes, AgentOptions::new())
    }

    fn with(routes: &[Route], options: AgentOptions) -> Race {
        let clocked = Clocked::new();
        let net = &clocked.net;
        let addresses: Vec<IpAddr> = ADDRESSES[..routes.len()].iter().map(|it| ip(it)).collect();
        net.add_host("many.test", addresses.clone());
        let mut listeners = Vec::new();
        for (address, route) in addresses.iter().zip(routes) {
            net.set_route(*address, *route);
            let address = SocketAddr::new(*address, 80).into();
            listeners.push(net.listen(&address).expect("it is free"));
        }
        let agent = Agent::new(clocked.event_loop.handle(), options).expect("an agent");
        let idle = net.open_sockets();
        Race { clocked, listeners, agent, idle }
    }

    fn options(&self) -> RequestOptions {
        RequestOptions::new("GET", "http://many.test/").agent(self.agent)
    }

    fn ask(&self) -> (ClientRequest, Log) {
        self.ask_with(self.options())
    }

    fn ask_with(&self, options: RequestOptions) -> (ClientRequest, Log) {
        let log = Log::new();
        let request = http::request_with(self.clocked.event_loop.handle(), options).expect("a URL");
        let notes = log.clone();
        request.on_socket(move |connection| {
            let address = connection.remote_address().and_then(|address| address.ip());
            notes.note(format!("socket {}", address.expect("connected")));
        });
        request.on_response(log.noting_response());
        request.on_timeout(log.noting("timeout"));
        request.on_error(log.noting_error("error"));
        request.on_close(log.noting("closed"));
        request.end("");
        (request, log)
    }

    /// Ends of connections of the client that are being made.
    fn connecting(&self) -> usize {
        let stats = stats(&self.clocked.event_loop);
        assert!(stats.client_requests <= 1, "{stats:?}");
        stats.connecting_beside
    }

    fn pass(&mut self, time: Duration) {
        self.clocked.pass(time);
    }

    /// The one connection that carried bytes is answered; what came there.
    fn answer(&mut self) -> Vec<SimPeer> {
        let mut peers: Vec<SimPeer> = self
            .listeners
            .iter()
            .flat_map(|listener| std::iter::from_fn(|| listener.accept()))
            .collect();
        peers.retain(|peer| !peer.is_eof() && !peer.is_reset());
        let asked = peers.iter().filter(|peer| peer.available() > 0).count();
        assert_eq!(asked, 1, "{peers:?}");
        for peer in peers.iter().filter(|peer| peer.available() > 0) {
            assert_eq!(peer.read().windows(4).filter(|end| end == b"\r\n\r\n").count(), 1);
            peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
        self.clocked.pass(millis(5));
        peers
    }

    /// Nothing of it is left on either side.
    fn is_over(&mut self) {
        self.clocked.pass(millis(1000));
        let stats = stats(&self.clocked.event_loop);
        assert!(stats.is_empty() && stats.free_connections == 0, "{stats:?}");
        assert_eq!(self.agent.total_socket_count(), 0);
        for listener in &self.listeners {
            while let Some(peer) = listener.accept() {
                peer.read();
                assert!(peer.is_eof() || peer.is_reset(), "{peer:?}");
            }
        }
        assert_eq!(self.clocked.net.open_sockets(), self.idle);
        assert!(!self.clocked.event_loop.is_alive());
    }
}

#[test]
fn the_second_is_begun_after_the_delay_and_the_third_after_another() {
    let mut race = Race::new(&[Route::Silent; 4]);
    let (request, log) = race.ask();
    for others in 0..4 {
        race.pass(TICKS);
        assert_eq!(race.connecting(), others, "after {others} delays");
        // However many are tried: it is one connection, and has one place.
        assert_eq!(race.agent.total_socket_count(), 1);
        assert_eq!(race.agent.sockets()[0].1, 1);
        race.pass(DELAY + millis(50) - TICKS + millis(1));
    }
    request.destroy();
    race.pass(millis(5));
    assert_eq!(log.all(), ["error ECONNRESET", "closed"]);
    race.is_over();
}

#[test]
fn the_delay_can_be_chosen_and_is_never_nothing() {
    for (delay, expected) in [(millis(1000), 1000), (millis(0), 10), (millis(2000), 2000)] {
        let options = AgentOptions::new().connection_attempt_delay(delay);
        let mut race = Race::with(&[Route::Silent, Route::Open], options);
        let began = race.clocked.net.now();
        let (_, log) = race.ask();
        while log.len() == 0 {
            race.pass(millis(5));
        }
        let took = race.clocked.net.now() - began;
        assert!(took >= millis(expected) && took < millis(expected) + TICKS, "{delay:?}: {took:?}");
        assert_eq!(log.all(), ["socket 192.0.2.1"]);
        race.answer();
        race.is_over();
    }
}

#[test]
fn one_that_fails_makes_room_at_once_for_the_next() {
    let mut race = Race::new(&[Route::Refused, Route::Unreachable, Route::Open]);
    let (_, log) = race.ask();
    race.pass(millis(10));
    assert_eq!(log.all(), ["socket 2001:db8::2"]);
    race.answer();
    assert_eq!(log.all()[1..], ["200", "closed"]);
    race.is_over();
    // Also one that was tried beside another.
    let mut race = Race::new(&[Route::Silent, Route::Refused, Route::Open]);
    let (_, log) = race.ask();
    race.pass(DELAY + TICKS);
    assert_eq!(log.all(), ["socket 2001:db8::2"]);
    race.answer();
    race.is_over();
}

#[test]
fn the_first_that_answers_wins_and_the_other_is_closed() {
    for (slow, slower, winner) in [(300, 900, 0), (900, 100, 1), (400, 300, 0)] {
        let routes = [Route::Delayed(millis(slow)), Route::Delayed(millis(slower))];
        let mut race = Race::new(&routes);
        let (request, log) = race.ask();
        race.pass(DELAY + millis(10));
        assert_eq!(log.len(), 0);
        race.pass(millis(300));
        assert_eq!(log.all(), [format!("socket {}", ADDRESSES[winner])]);
        assert_eq!(race.connecting(), 0);
        assert!(request.connection().is_some());
        race.answer();
        assert_eq!(log.all()[1..], ["200", "closed"]);
        // The loser was on its way: it arrives, and finds an end.
        race.is_over();
    }
}

#[test]
fn a_winner_is_kept_and_used_again_as_any_other() {
    let mut race = Race::new(&[Route::Silent, Route::Open]);
    let (_, log) = race.ask();
    race.pass(DELAY + TICKS);
    let peer = race.listeners[1].accept().expect("a connection");
    for _ in 0..3 {
        peer.read();
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        race.pass(millis(5));
        assert_eq!(race.agent.free_sockets()[0].1, 1);
        let (request, _) = race.ask();
        assert!(request.is_reused());
        race.pass(millis(5));
        assert!(peer.available() > 0);
    }
    assert_eq!(log.all(), ["socket 192.0.2.1", "200", "closed"]);
    race.agent.destroy();
    race.pass(millis(5));
    drop(peer);
    race.is_over();
}

#[test]
fn whatever_ends_a_race_ends_all_of_it() {
    for how in ["destroy", "agent", "close", "error"] {
        let mut race = Race::new(&[Route::Silent, Route::Delayed(millis(5000)), Route::Silent]);
        let (request, log) = race.ask();
        race.pass(DELAY * 3);
        assert_eq!(race.connecting(), 2, "{how}");
        match how {
            "destroy" => request.destroy(),
            "agent" => race.agent.destroy(),
            "close" => race.agent.close(),
            _ => request.destroy_with(Error::other("enough")),
        }
        race.pass(millis(1));
        assert_eq!(race.connecting(), 0, "{how}");
        let code = if how == "error" { "error ERR_USER" } else { "error ECONNRESET" };
        assert_eq!(log.all(), [code, "closed"], "{how}");
        race.pass(millis(6000));
        race.is_over();
        assert_eq!(log.len(), 2);
    }
}

#[test]
fn a_loop_that_goes_in_the_middle_of_a_race_leaves_nothing() {
    let mut race = Race::new(&[Route::Silent, Route::Silent, Route::Open]);
    let (request, _) = race.ask();
    race.pass(DELAY + TICKS);
    assert_eq!(race.connecting(), 1);
    let Race { clocked, listeners, idle, .. } = race;
    let Clocked { net, event_loop, .. } = clocked;
    drop(event_loop);
    request.destroy();
    net.advance(millis(5));
    assert_eq!(net.open_sockets(), idle);
    drop(listeners);
}

#[test]
fn where_all_fail_one_error_names_them_all() {
    for routes in [
        vec![Route::Refused, Route::Refused],
        vec![Route::Refused, Route::Unreachable, Route::Refused],
        vec![Route::Silent, Route::Refused, Route::Unreachable, Route::Silent],
        vec![Route::Silent, Route::Silent],
    ] {
        let mut race = Race::new(&routes);
        let log = Log::new();
        let handle = race.clocked.event_loop.handle();
        let request = http::request_with(handle, race.options()).expect("a URL");
        let (notes, count) = (log.clone(), routes.len());
        request.on_error(move |error| {
            assert_eq!(error.sent(), Some(Sent::NothingSent));
            let text = error.to_string();
            for address in &ADDRESSES[..count] {
                assert_eq!(
                    text.matches(&format!("{address}:80")).count()
                        + text.matches(&format!("[{address}]:80")).count(),
                    1,
                    "{text}"
                );
            }
            notes.note("error");
        });
        request.on_socket(|_| panic!("there is none"));
        request.on_close(log.noting("closed"));
        request.end("");
        race.pass(Duration::from_secs(300));
        assert_eq!(log.all(), ["error", "closed"], "{routes:?}");
        race.is_over();
    }
}

#[test]
fn the_timeout_is_told_once_however_many_are_tried() {
    let mut race = Race::new(&[Route::Silent; 3]);
    let (request, log) = race.ask_with(race.options().timeout(millis(400)));
    race.pass(millis(390));
    assert_eq!(log.len(), 0);
    race.pass(millis(5000));
    assert_eq!(log.all(), ["timeout"]);
    assert_eq!(race.connecting(), 2);
    request.destroy();
    race.pass(millis(5));
    race.is_over();
    // Connected, it runs anew.
    let mut race = Race::new(&[Route::Silent, Route::Delayed(millis(500))]);
    let (_, log) = race.ask_with(race.options().timeout(millis(400)));
    race.pass(millis(900));
    assert_eq!(log.all(), ["timeout", "socket 192.0.2.1"]);
    race.pass(millis(1000));
    assert_eq!(log.all(), ["timeout", "socket 192.0.2.1", "timeout"]);
    race.answer();
    race.is_over();
}

#[test]
fn no_more_than_eight_are_tried_at_the_same_time() {
    let mut race = Race::new(&[]);
    let addresses: Vec<IpAddr> = (1..=20).map(|last| ip(&format!("192.0.2.{last}"))).collect();
    for address in &addresses {
        race.clocked.net.set_route(*address, Route::Silent);
    }
    race.clocked.net.set_route(addresses[10], Route::Open);
    race.clocked.net.add_host("many.test", addresses.clone());
    let listener =
        race.clocked.net.listen(&SocketAddr::new(addresses[10], 80).into()).expect("it is free");
    race.listeners.push(listener);
    race.idle = race.clocked.net.open_sockets();
    let (_, log) = race.ask();
    race.pass(DELAY * 20);
    assert_eq!((race.connecting(), log.len()), (7, 0));
    // The system gives each up in time, and those behind have their turn.
    race.pass(Duration::from_secs(140));
    assert_eq!(log.all(), ["socket 192.0.2.11"]);
    race.answer();
    race.is_over();
}

#[test]
fn settings_made_before_hold_for_the_winner_and_bytes_go_out_once() {
    let mut race = Race::new(&[Route::Silent, Route::Open]);
    let options = RequestOptions::new("POST", "http://many.test/").agent(race.agent);
    let handle = race.clocked.event_loop.handle();
    let request = http::request_with(handle, options).expect("a URL");
    request.set_no_delay(false);
    request.set_socket_keep_alive(Some(Duration::from_secs(7)));
    request.write("written before");
    race.pass(DELAY + TICKS);
    request.end(" and after");
    race.pass(millis(5));
    let peer = race.listeners[1].accept().expect("a connection");
    let text = String::from_utf8(peer.read()).expect("text");
    assert_eq!(text.matches("POST / HTTP/1.1\r\n").count(), 1, "{text}");
    assert!(
        text.ends_with("\r\n\r\ne\r\nwritten before\r\na\r\n and after\r\n0\r\n\r\n"),
        "{text}"
    );
    peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    race.pass(millis(5));
    drop(peer);
    race.is_over();
}
