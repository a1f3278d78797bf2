//! Where a request may connect to and from: families, block lists, addresses and ports of this machine.

mod common;

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use common::{World, dead_port, raw_server};
use onloop::http::{self, Agent, AgentOptions, BlockList, Family, RequestOptions};
use onloop::sim::SimNet;
use onloop::{Error, ErrorKind, EventLoop, LoopOptions, Sent};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// What comes of a request: the address that answered, or the one error.
type Outcome = Rc<RefCell<Vec<Result<IpAddr, Error>>>>;

fn start(event_loop: &EventLoop, options: RequestOptions) -> Outcome {
    let outcome = Outcome::default();
    let request = http::request_with(event_loop.handle(), options).expect("a request");
    request.end("");
    // Even where the failure is certain when the request is made, what is attached now hears of it.
    let notes = Rc::clone(&outcome);
    request.on_response(move |response| {
        let address = response.remote_address().and_then(|address| address.ip());
        notes.borrow_mut().push(Ok(address.expect("connected")));
    });
    let notes = Rc::clone(&outcome);
    request.on_error(move |error| notes.borrow_mut().push(Err(error)));
    assert!(outcome.borrow().is_empty(), "nothing comes inside a call");
    outcome
}

#[track_caller]
fn only(outcome: &Outcome) -> Result<IpAddr, Error> {
    let mut outcome = outcome.borrow_mut();
    assert_eq!(outcome.len(), 1, "{outcome:?}");
    outcome.remove(0)
}

/// The outcome on real sockets.
#[track_caller]
fn ask(world: &mut World, options: RequestOptions) -> Result<IpAddr, Error> {
    let outcome = start(&world.event_loop, options);
    world.until("an outcome", || !outcome.borrow().is_empty());
    only(&outcome)
}

/// A simulated loop that listens on every address, port 80; `many.test` has two of IPv6, then two of IPv4.
fn simulated() -> (SimNet, EventLoop) {
    let net = SimNet::new(1);
    let all = ["2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"];
    net.add_host("many.test", all.map(ip).to_vec());
    net.add_host("four.test", all[2..].iter().map(|text| ip(text)).collect());
    let event_loop = net.event_loop(LoopOptions::default());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    server.listen("[::]:80").expect("it is free");
    (net, event_loop)
}

/// The outcome on the simulated network.
#[track_caller]
fn ask_simulated(event_loop: &mut EventLoop, options: RequestOptions) -> Result<IpAddr, Error> {
    let outcome = start(event_loop, options);
    for _ in 0..10_000 {
        if !outcome.borrow().is_empty() {
            break;
        }
        event_loop.turn(None).expect("a turn");
    }
    only(&outcome)
}

fn get(url: &str) -> RequestOptions {
    RequestOptions::new("GET", url).keep_alive(false)
}

#[test]
fn a_family_is_the_only_one_that_is_connected_to() {
    let (_net, mut event_loop) = simulated();
    for (family, reached) in
        [(None, "2001:db8::1"), (Some(Family::V6), "2001:db8::1"), (Some(Family::V4), "192.0.2.1")]
    {
        let options = get("http://many.test/");
        let options = match family {
            Some(family) => options.family(family),
            None => options,
        };
        assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip(reached), "{family:?}");
    }
    // The agent's word is the last.
    let agents = AgentOptions::new().family(Family::V4);
    let agent = Agent::new(event_loop.handle(), agents).unwrap();
    let options = RequestOptions::new("GET", "http://many.test/").family(Family::V6).agent(agent);
    assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip("192.0.2.1"));
}

#[test]
fn a_name_without_an_address_of_the_family_is_not_found() {
    let (_net, mut event_loop) = simulated();
    let options = get("http://four.test/").family(Family::V6);
    let error = ask_simulated(&mut event_loop, options).unwrap_err();
    assert_eq!((error.code(), error.sent()), ("ENOTFOUND", Some(Sent::NothingSent)));
}

/// An agent that does not connect to these.
fn blocking(event_loop: &EventLoop, rules: impl FnOnce(&mut BlockList)) -> Agent {
    let mut list = BlockList::new();
    rules(&mut list);
    Agent::new(event_loop.handle(), AgentOptions::new().block_list(list)).expect("an agent")
}

#[test]
fn a_blocked_address_gives_way_to_one_that_is_not() {
    let (_net, mut event_loop) = simulated();
    let agent = blocking(&event_loop, |list| {
        list.add_subnet(ip("2001:db8::"), 32).expect("a network");
        list.add_address(ip("192.0.2.1"));
    });
    let options = RequestOptions::new("GET", "http://many.test/").agent(agent);
    assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip("192.0.2.2"));
}

#[test]
fn where_all_addresses_are_blocked_the_request_fails_and_nobody_is_connected_to() {
    let (net, mut event_loop) = simulated();
    let agent = blocking(&event_loop, |list| {
        list.add_range(ip("192.0.2.1"), ip("192.0.2.9")).expect("a range");
        list.add_address(ip("::1"));
    });
    let before = net.open_sockets();
    // By a name, twice, so that its addresses are known already; as they are; as IPv6 has it.
    for host in
        ["four.test", "four.test", "192.0.2.2", "[::1]", "[::ffff:192.0.2.2]", "[::ffff:c000:209]"]
    {
        let options = RequestOptions::new("GET", format!("http://{host}/")).agent(agent);
        let error = ask_simulated(&mut event_loop, options).unwrap_err();
        let facts = (error.code(), error.kind(), error.sent());
        let expected = ("ERR_IP_BLOCKED", ErrorKind::Local, Some(Sent::NothingSent));
        assert_eq!(facts, expected, "{host}: {error}");
        assert_eq!(net.open_sockets(), before, "{host}");
    }
    // Other agents know nothing of it.
    let options = get("http://four.test/");
    assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip("192.0.2.1"));
}

#[test]
fn a_lookup_function_that_answers_with_a_blocked_address_fails_the_request() {
    let options = LoopOptions::new().lookup(|_| io::Result::Ok(vec![ip("127.0.0.1")]));
    let mut world = World::with(options);
    let (listener, url) = raw_server();
    let agent = blocking(&world.event_loop, |list| list.add_address(ip("127.0.0.1")));
    for _ in 0..2 {
        let url = url.replace("127.0.0.1", "inside.test");
        let options = RequestOptions::new("GET", url).agent(agent);
        assert_eq!(ask(&mut world, options).unwrap_err().code(), "ERR_IP_BLOCKED");
    }
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_request_comes_from_the_address_and_port_that_were_asked_for() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    // Linux has the whole of 127/8, others its first address.
    let local = ip(if cfg!(target_os = "linux") { "127.0.0.9" } else { "127.0.0.1" });
    // Whoever is given this port meanwhile has it at another address.
    let free = dead_port().1;
    for (options, port) in [
        (get(&url).local_address(local), None),
        (get(&url).local_address(local).local_port(free), Some(free)),
    ] {
        let outcome = start(&world.event_loop, options);
        let (stream, from) = world.wait("a connection", || listener.accept().ok());
        assert_eq!(from.ip(), local);
        assert!(port.is_none_or(|port| port == from.port()), "{from}");
        drop(stream);
        world.until("its end", || !outcome.borrow().is_empty());
        assert_eq!(only(&outcome).unwrap_err().code(), "ECONNRESET");
    }
}

#[test]
fn an_address_that_cannot_be_used_is_an_error_of_the_request() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let (_held, taken) = dead_port();
    for (options, code) in [
        // TEST-NET-1 is nobody's (RFC 5737).
        (get(&url).local_address(ip("192.0.2.1")), "EADDRNOTAVAIL"),
        (get(&url).local_address(ip("::1")), "EADDRNOTAVAIL"),
        (get(&url).local_address(ip("127.0.0.1")).local_port(taken), "EADDRINUSE"),
    ] {
        let error = ask(&mut world, options).unwrap_err();
        assert_eq!((error.code(), error.sent()), (code, Some(Sent::NothingSent)), "{error}");
        assert_eq!(error.kind(), ErrorKind::Io);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    world.until_over();
}

#[test]
fn an_address_of_this_machine_chooses_the_family() {
    let (_net, mut event_loop) = simulated();
    for (local, reached) in [("127.0.0.1", "192.0.2.1"), ("::1", "2001:db8::1")] {
        let options = get("http://many.test/").local_address(ip(local));
        assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip(reached));
    }
}

#[test]
fn a_port_without_an_address_is_one_of_ipv4() {
    let (_net, mut event_loop) = simulated();
    let from = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&from);
    let server = http::create_server(event_loop.handle(), move |req, res| {
        notes.borrow_mut().extend(req.remote_address());
        res.end("");
    });
    server.listen("[::]:81").expect("it is free");
    let options = get("http://many.test:81/").local_port(4000);
    assert_eq!(ask_simulated(&mut event_loop, options).unwrap(), ip("192.0.2.1"));
    assert_eq!(from.borrow()[0].port(), Some(4000));
}

#[test]
fn a_connection_of_no_agent_is_made_as_the_global_one_says() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut list = http::BlockList::new();
    list.add_address("127.0.0.1".parse().unwrap());
    let agent = Agent::new(world.lp, AgentOptions::new().block_list(list)).unwrap();
    http::set_global_agent(world.lp, agent).unwrap();
    let log = common::Log::new();
    let options = RequestOptions::new("GET", common::url_of(&server)).keep_alive(false);
    let request = http::request_with(world.lp, options).unwrap();
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["error ERR_IP_BLOCKED", "closed"]);
}
