//! A client whose server has several addresses, of which some are slow, dead or silent: on a simulated network,
//! where waiting takes no time and a clock can be asked how long it was.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, RequestOptions};
use onloop::sim::{Route, SimNet, stats};
use onloop::{EventLoop, LoopOptions};

/// What nobody waits for who has another address to try.
const SOON: Duration = Duration::from_secs(2);

const V6: &str = "2001:db8::1";
const V6_TOO: &str = "2001:db8::2";
const V4: &str = "192.0.2.1";
const V4_TOO: &str = "192.0.2.2";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A network on which `many.test` has these addresses, by these routes.
fn network(addresses: &[(&str, Route)]) -> SimNet {
    let net = SimNet::new(1);
    net.add_host("many.test", addresses.iter().map(|(address, _)| ip(address)).collect());
    for (address, route) in addresses {
        net.set_route(ip(address), *route);
    }
    net
}

/// A loop with a server that listens on these, port 80.
fn listening(net: &SimNet, addresses: &[&str]) -> EventLoop {
    let event_loop = net.event_loop(LoopOptions::default());
    for address in addresses {
        let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
        server.listen(std::net::SocketAddr::new(ip(address), 80)).expect("it is free");
    }
    event_loop
}

/// Where a request to `many.test` ends up, or the code of its one error, and how long that took.
fn ask(net: &SimNet, event_loop: &mut EventLoop) -> (String, Duration) {
    let (began, outcome) = (net.now(), Rc::new(RefCell::new(Vec::new())));
    let options = RequestOptions::new("GET", "http://many.test/").keep_alive(false);
    let request = http::request_with(event_loop.handle(), options).expect("a request");
    let notes = Rc::clone(&outcome);
    request.on_response(move |response| {
        let address = response.remote_address().and_then(|address| address.ip());
        notes.borrow_mut().push(address.expect("connected").to_string());
    });
    let notes = Rc::clone(&outcome);
    request.on_error(move |error| notes.borrow_mut().push(error.code().to_owned()));
    request.end("");
    while outcome.borrow().is_empty() {
        assert!(net.now() - began < Duration::from_secs(1000), "nothing comes of it");
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
    }
    let took = net.now() - began;
    // What was tried and lost is closed by and by.
    while net.open_sockets() > stats(event_loop).listeners {
        assert!(net.now() - began < Duration::from_secs(2000), "something stays behind");
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
    }
    let outcome = outcome.borrow();
    assert_eq!(outcome.len(), 1, "{outcome:?}");
    (outcome[0].clone(), took)
}

#[test]
fn a_dead_address_gives_way_to_the_next_soon() {
    for dead in [Route::Refused, Route::Unreachable, Route::Silent, Route::Delayed(SOON * 30)] {
        for addresses in [
            [(V6, dead), (V4, Route::Open)],
            [(V4, dead), (V6, Route::Open)],
            [(V4, dead), (V4_TOO, Route::Open)],
            [(V6, dead), (V6_TOO, Route::Open)],
        ] {
            let net = network(&addresses);
            let alive = addresses[1].0;
            let mut event_loop = listening(&net, &["::"]);
            let (reached, took) = ask(&net, &mut event_loop);
            assert_eq!(reached, alive, "{addresses:?}");
            assert!(took < SOON, "{addresses:?}: {took:?}");
        }
    }
}

#[test]
fn an_address_that_says_at_once_that_it_is_dead_costs_no_time() {
    for dead in [Route::Refused, Route::Unreachable] {
        let net = network(&[(V6, dead), (V4, dead), (V6_TOO, dead), (V4_TOO, Route::Open)]);
        let mut event_loop = listening(&net, &["::"]);
        let (reached, took) = ask(&net, &mut event_loop);
        assert_eq!(reached, V4_TOO);
        assert!(took < Duration::from_millis(5), "{dead:?}: {took:?}");
    }
}

#[test]
fn where_all_addresses_work_the_first_is_taken() {
    for [first, second] in [[V6, V4], [V4, V6]] {
        let net = network(&[(first, Route::Open), (second, Route::Open)]);
        let mut event_loop = listening(&net, &["::"]);
        assert_eq!(ask(&net, &mut event_loop).0, first);
    }
}

#[test]
fn a_server_that_listens_on_one_family_is_reached_by_it() {
    for (bound, reached) in [("0.0.0.0", V4), (V4, V4), (V6, V6), ("::", V6)] {
        let net = network(&[(V6, Route::Open), (V4, Route::Open)]);
        let mut event_loop = listening(&net, &[bound]);
        assert_eq!(ask(&net, &mut event_loop).0, reached, "{bound}");
    }
}

#[test]
fn an_address_that_is_a_little_slow_is_waited_for() {
    let slow = Route::Delayed(Duration::from_millis(100));
    let net = network(&[(V6, slow), (V4, Route::Open)]);
    let mut event_loop = listening(&net, &["::"]);
    let (reached, took) = ask(&net, &mut event_loop);
    assert_eq!(reached, V6);
    assert!(took >= Duration::from_millis(100));
}

#[test]
fn where_no_address_works_there_is_one_error_and_its_code_is_one_of_theirs() {
    for (routes, codes) in [
        ([Route::Refused, Route::Refused], &["ECONNREFUSED"][..]),
        ([Route::Unreachable, Route::Unreachable], &["ENETUNREACH"]),
        ([Route::Refused, Route::Unreachable], &["ECONNREFUSED", "ENETUNREACH"]),
        ([Route::Unreachable, Route::Refused], &["ECONNREFUSED", "ENETUNREACH"]),
        ([Route::Silent, Route::Refused], &["ETIMEDOUT", "ECONNREFUSED"]),
        ([Route::Silent, Route::Silent], &["ETIMEDOUT"]),
        // Nobody listens there.
        ([Route::Open, Route::Open], &["ECONNREFUSED"]),
    ] {
        let net = network(&[(V6, routes[0]), (V4, routes[1])]);
        let mut event_loop = listening(&net, &[]);
        let (code, took) = ask(&net, &mut event_loop);
        assert!(codes.contains(&code.as_str()), "{routes:?}: {code}");
        assert!(took < Duration::from_secs(300), "{routes:?}: {took:?}");
        assert!(stats(&event_loop).is_empty(), "{routes:?}");
    }
}

#[test]
fn of_a_hundred_addresses_the_first_distinct_64_are_tried() {
    for (alive, reached) in [(64, "192.0.2.64"), (65, "ECONNREFUSED")] {
        let net = SimNet::new(1);
        // Each twice, which counts once.
        let numbers = (1..=100).flat_map(|last| [last, last]);
        let addresses: Vec<IpAddr> = numbers.map(|last| ip(&format!("192.0.2.{last}"))).collect();
        for address in &addresses {
            net.set_route(*address, Route::Refused);
        }
        net.set_route(ip(&format!("192.0.2.{alive}")), Route::Open);
        net.add_host("many.test", addresses);
        let mut event_loop = listening(&net, &["0.0.0.0"]);
        assert_eq!(ask(&net, &mut event_loop).0, reached);
    }
}

#[test]
fn a_name_is_asked_for_again_when_its_time_in_the_cache_is_over() {
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let options = LoopOptions::new().lookup(move |name| {
        assert_eq!(name, "many.test");
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(vec![ip(V4)])
    });
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(options);
    let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
    server.listen("0.0.0.0:80").expect("it is free");
    // The default: 10 s from the answer, however often it is used.
    for (after, questions) in [(0, 1), (4, 1), (5, 1), (2, 2), (9, 2), (2, 3)] {
        let until = net.now() + Duration::from_secs(after);
        while net.now() < until {
            event_loop.turn(Some(until - net.now())).expect("a turn");
            if net.stalled() {
                net.advance(until - net.now());
            }
        }
        assert_eq!(ask(&net, &mut event_loop).0, V4);
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), questions);
    }
}
