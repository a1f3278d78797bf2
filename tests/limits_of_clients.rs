//! What responses may cost a client, and how many connections, names and addresses its requests may take, where the
//! loop's table says it.

mod common;

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::asked::Asked;
use common::{Log, World, raw_server};
use onloop::http::{self, Agent, AgentOptions, RequestOptions, Retries};
use onloop::sim::{Route, SimNet, stats};
use onloop::{ErrorKind, Limit, Limits, LoopOptions};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn world(limits: Limits) -> World {
    World::with(LoopOptions::new().limits(limits))
}

/// What a loop with these limits makes of a response: its status, or the code of the error and the limit. Another
/// request of the loop is answered afterwards.
#[track_caller]
fn outcome(limits: Limits, set: fn(RequestOptions) -> RequestOptions, response: &str) -> String {
    let (listener, url) = raw_server();
    let mut world = world(limits);
    let log = Log::new();
    let request = http::request_with(world.lp, set(RequestOptions::new("GET", &url))).unwrap();
    let notes = log.clone();
    request.on_response(move |response| {
        let failed = notes.clone();
        response.on_error(move |error| {
            failed.note(format!("{} {:?}", error.code(), error.kind()));
        });
        response.resume();
        let (status, notes) = (response.status(), notes.clone());
        response.on_end(move || notes.note(status.to_string()));
    });
    let notes = log.clone();
    request.on_error(move |error| notes.note(format!("{} {:?}", error.code(), error.kind())));
    request.end("");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(response);
    peer.end();
    world.until("an outcome", || log.len() > 0);
    let other = Asked::send(world.lp, RequestOptions::new("GET", &url));
    let mut peer = world.accept(&listener);
    peer.send(FINE);
    other.succeeds(&mut world);
    assert_eq!(log.len(), 1, "{:?}", log.all());
    log.all().remove(0)
}

fn hit(code: &str, limit: Limit) -> String {
    format!("{code} {:?}", ErrorKind::Limit(limit))
}

#[test]
fn informational_responses_have_a_number() {
    let informed = |count: usize| "HTTP/1.1 102 Processing\r\n\r\n".repeat(count) + FINE;
    let beyond = hit("ERR_HTTP_TOO_MANY_INFORMATIONAL", Limit::Informational);
    assert_eq!(outcome(Limits::new(), |o| o, &informed(64)), "200");
    assert_eq!(outcome(Limits::new(), |o| o, &informed(65)), beyond);
    for most in [0, 1, 100] {
        let limits = || Limits::new().max_informational(most);
        assert_eq!(outcome(limits(), |o| o, &informed(most.into())), "200");
        assert_eq!(outcome(limits(), |o| o, &informed(usize::from(most) + 1)), beyond);
    }
}

#[test]
fn a_response_has_the_size_and_the_fields_that_the_loop_says_unless_the_request_does() {
    let sized = |length: usize| {
        let empty = "HTTP/1.1 204 No\r\nX: \r\n\r\n".len();
        format!("HTTP/1.1 204 No\r\nX: {}\r\n\r\n", "x".repeat(length - empty))
    };
    let fields = |count: usize| format!("HTTP/1.1 204 No\r\n{}\r\n", "X: 1\r\n".repeat(count));
    let limits = || Limits::new().max_header_size(200).max_headers_count(5);
    let (size, count) = ("HPE_HEADER_OVERFLOW", "HPE_HEADER_OVERFLOW");
    assert_eq!(outcome(limits(), |o| o, &sized(200)), "204");
    assert_eq!(outcome(limits(), |o| o, &sized(201)), hit(size, Limit::HeaderSize));
    assert_eq!(outcome(limits(), |o| o, &fields(5)), "204");
    assert_eq!(outcome(limits(), |o| o, &fields(6)), hit(count, Limit::HeadersCount));
    // What is not set for the request is still the loop's.
    let larger: fn(RequestOptions) -> RequestOptions = |o| o.max_header_size(1000);
    assert_eq!(outcome(limits(), larger, &sized(1000)), "204");
    assert_eq!(outcome(limits(), larger, &fields(6)), hit(count, Limit::HeadersCount));
    let more: fn(RequestOptions) -> RequestOptions = |o| o.max_headers_count(7);
    assert_eq!(outcome(limits(), more, &fields(7)), "204");
    assert_eq!(outcome(limits(), more, &sized(201)), hit(size, Limit::HeaderSize));
}

#[test]
fn trailers_of_a_response_are_held_to_what_holds_for_its_head() {
    let chunked = |trailers: &str| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        format!("{head}1\r\nx\r\n0\r\n{trailers}\r\n")
    };
    let fields = |count: usize| chunked(&"X: 1\r\n".repeat(count));
    let sized = |length: usize| chunked(&format!("X: {}\r\n", "x".repeat(length - 5)));
    let beyond = hit("HPE_HEADER_OVERFLOW", Limit::Chunked);
    let same: fn(RequestOptions) -> RequestOptions = |o| o;
    let set: fn(RequestOptions) -> RequestOptions =
        |o| o.max_headers_count(20).max_header_size(300);
    for (limits, set, count, size) in [
        (Limits::new(), same, 1000, 16 * 1024),
        (Limits::new().max_headers_count(10).max_header_size(200), same, 10, 200),
        (Limits::new().max_headers_count(10).max_header_size(200), set, 20, 300),
    ] {
        assert_eq!(outcome(limits.clone(), set, &fields(count)), "200", "{count}");
        assert_eq!(outcome(limits.clone(), set, &fields(count + 1)), beyond, "{count}");
        assert_eq!(outcome(limits.clone(), set, &sized(size)), "200", "{size}");
        assert_eq!(outcome(limits, set, &sized(size + 1)), beyond, "{size}");
    }
}

#[test]
fn extensions_in_a_response_have_the_size_that_the_loop_says() {
    let extended = |lengths: &[usize]| {
        let chunk = |length: &usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
        let chunks: String = lengths.iter().map(chunk).collect();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n")
    };
    let beyond = hit("HPE_CHUNK_EXTENSIONS_OVERFLOW", Limit::Chunked);
    let limits = || Limits::new().max_extensions_per_chunk(10).max_extensions_per_message(15);
    assert_eq!(outcome(limits(), |o| o, &extended(&[10, 5])), "200");
    assert_eq!(outcome(limits(), |o| o, &extended(&[11])), beyond);
    assert_eq!(outcome(limits(), |o| o, &extended(&[10, 6])), beyond);
    assert_eq!(outcome(limits(), |o| o.max_header_size(100), &extended(&[11])), beyond);
}

#[test]
fn a_response_that_nobody_reads_is_dropped_up_to_a_size() {
    for (size, is_kept) in [(10, true), (11, false)] {
        let (listener, url) = raw_server();
        let mut world = world(Limits::new().max_discarded(10));
        let request = http::request(world.lp, "GET", &url).unwrap();
        let log = Log::new();
        request.on_close(log.noting("closed"));
        request.end("");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        let content = "x".repeat(size);
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{content}"));
        world.until("the end", || log.has("closed"));
        let next = Asked::send(world.lp, RequestOptions::new("GET", &url));
        assert_eq!(next.request.is_reused(), is_kept, "{size}");
        if !is_kept {
            peer = world.accept(&listener);
        }
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        next.succeeds(&mut world);
    }
}

#[test]
fn of_what_was_sent_so_much_is_kept_to_be_sent_again() {
    let redirect = "HTTP/1.1 307 On\r\nLocation: /on\r\nContent-Length: 0\r\n\r\n";
    for (most, length, outcome) in [
        (1000, 500, "200"),
        (1000, 1000, "error ERR_REDIRECT_CONTENT"),
        (200_000, 100_000, "200"),
        (0, 1, "error ERR_REDIRECT_CONTENT"),
    ] {
        let (listener, url) = raw_server();
        let mut world = world(Limits::new().max_kept_for_repetition(most));
        let asked = Asked::begin(world.lp, RequestOptions::new("PUT", &url).redirects(1));
        let content = "x".repeat(length);
        asked.request.end(content.as_str());
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        world.expect(&mut peer, &content);
        peer.send(redirect);
        if outcome == "200" {
            world.expect(&mut peer, "\r\n\r\n");
            world.expect(&mut peer, &content);
            peer.send(FINE);
        }
        assert_eq!(asked.done(&mut world), [outcome, "closed"], "{most} {length}");
        // A retry is not made where that is gone.
        let retries = Retries::new(1).delay(Duration::ZERO);
        let asked = Asked::begin(world.lp, RequestOptions::new("PUT", &url).retries(retries));
        asked.request.end(content.as_str());
        let mut peer = match asked.request.is_reused() {
            true => peer,
            false => world.accept(&listener),
        };
        world.expect(&mut peer, &content);
        drop(peer);
        if outcome == "200" {
            let mut peer = world.accept(&listener);
            world.expect(&mut peer, &content);
            peer.send(FINE);
            asked.succeeds(&mut world);
        } else {
            assert_eq!(asked.done(&mut world), ["error ECONNRESET", "closed"]);
        }
    }
}

#[test]
fn agents_have_the_limits_of_their_loop_unless_they_say_otherwise() {
    let limits = Limits::new()
        .max_sockets(1)
        .max_total_sockets(2)
        .max_queued_requests(1)
        .free_connections_per_origin(0);
    let mut world = world(limits);
    let (listener, url) = raw_server();
    let same = Agent::new(world.lp, AgentOptions::new()).unwrap();
    for agent in [http::global_agent(world.lp), same] {
        let told = (agent.max_sockets(), agent.max_total_sockets(), agent.max_free_sockets());
        assert_eq!(told, (1, 2, 0));
        let options = || RequestOptions::new("GET", &url).agent(agent);
        let first = Asked::send(world.lp, options());
        let second = Asked::send(world.lp, options());
        let refused = http::request_with(world.lp, options()).unwrap_err();
        assert_eq!(refused.code(), "ERR_AGENT_QUEUE_FULL");
        assert_eq!(refused.kind(), ErrorKind::Limit(Limit::Requests));
        let mut peer = world.accept(&listener);
        for asked in [&first, &second] {
            world.expect(&mut peer, "\r\n\r\n");
            peer.send(FINE);
            asked.succeeds(&mut world);
        }
        // Nobody waits, and none is kept.
        world.until_end(&mut peer);
        world.until("none", || agent.total_socket_count() == 0);
    }
    let options = AgentOptions::new()
        .max_sockets(0)
        .max_total_sockets(3)
        .max_queued_requests(2)
        .max_free_sockets(1);
    let other = Agent::new(world.lp, options).unwrap();
    let told = (other.max_sockets(), other.max_total_sockets(), other.max_free_sockets());
    assert_eq!(told, (usize::MAX, 3, 1));
    let options = || RequestOptions::new("GET", &url).agent(other);
    let asked: Vec<Asked> = (0..5).map(|_| Asked::send(world.lp, options())).collect();
    assert!(http::request_with(world.lp, options()).is_err());
    let mut peers: Vec<_> = (0..3).map(|_| world.accept(&listener)).collect();
    for peer in &mut peers {
        world.expect(peer, "\r\n\r\n");
        peer.send(FINE);
    }
    for peer in &mut peers[..2] {
        world.expect(peer, "\r\n\r\n");
        peer.send(FINE);
    }
    for asked in &asked {
        asked.succeeds(&mut world);
    }
    world.until("one that is free", || other.total_socket_count() == 1);
}

#[test]
fn so_many_addresses_are_tried_at_the_same_time() {
    for most in [1, 3] {
        let net = SimNet::new(1);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        for last in 1..=8 {
            net.set_route(address(last), Route::Silent);
        }
        net.set_route(address(8), Route::Open);
        net.add_host("many.test", (1..=8).map(address).collect());
        let limits = Limits::new().connection_attempts_max(most);
        let mut event_loop = net.event_loop(LoopOptions::new().limits(limits));
        let server = http::create_server(event_loop.handle(), |_req, res| res.end(""));
        server.listen(SocketAddr::new(address(8), 80)).unwrap();
        let log = Log::new();
        let request = http::get(event_loop.handle(), "http://many.test/", |_| {}).unwrap();
        request.on_response(log.noting_response());
        let mut most_seen = 0;
        while !log.has("200") {
            assert!(net.now() < Duration::from_secs(2000), "it is never reached");
            if net.stalled() {
                net.advance(Duration::from_secs(1));
            }
            event_loop.turn(Some(Duration::from_millis(100))).expect("a turn");
            // The first is tried in the place of the request.
            most_seen = most_seen.max(1 + stats(&event_loop).connecting_beside);
        }
        assert_eq!(most_seen, most);
    }
}

/// Every name has four addresses of this machine, of which only the last one is listened on.
fn addresses() -> Vec<IpAddr> {
    [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 4], [127, 0, 0, 1]].map(IpAddr::from).into()
}

#[test]
fn so_many_addresses_of_a_name_are_used() {
    for (most, outcome) in [(4, "200"), (3, "error ECONNREFUSED")] {
        for by_agent in [false, true] {
            let limits = Limits::new().addresses_per_name(most);
            let options = LoopOptions::new().limits(limits).lookup(|_| Ok(addresses()));
            let mut world = World::with(options);
            let server = world.serve(|_req, res| res.end(""));
            let options = RequestOptions::new("GET", format!("http://a.test:{}/", server.port()));
            let options = match by_agent {
                true => {
                    let agent = AgentOptions::new().lookup(|_, answer| answer.found(addresses()));
                    options.agent(Agent::new(world.lp, agent).unwrap())
                }
                false => options,
            };
            let asked = Asked::send(world.lp, options);
            assert_eq!(asked.done(&mut world), [outcome, "closed"], "{most} {by_agent}");
            let url = common::url_of(&server);
            Asked::send(world.lp, RequestOptions::new("GET", url)).succeeds(&mut world);
        }
    }
}

#[test]
fn so_many_names_are_remembered_and_the_oldest_is_forgotten() {
    for (most, expected) in [(0, "a b c b c a"), (1, "a b c b c a"), (2, "a b c a"), (3, "a b c")] {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let notes = Arc::clone(&asked);
        let limits = Limits::new().cached_names_max(most);
        let options = LoopOptions::new().limits(limits).lookup(move |name| {
            notes.lock().expect("not poisoned").push(name.to_owned());
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        let mut world = World::with(options.lookup_cache(Duration::from_secs(3600)));
        let server = world.serve(|_req, res| res.end(""));
        for name in ["a", "b", "c", "b", "c", "a"] {
            let url = format!("http://{name}:{}/", server.port());
            let options = RequestOptions::new("GET", url).keep_alive(false);
            Asked::send(world.lp, options).succeeds(&mut world);
        }
        assert_eq!(asked.lock().expect("not poisoned").join(" "), expected, "{most}");
    }
}

#[test]
fn so_many_names_are_looked_up_at_the_same_time() {
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let limits = Limits::new().lookups_max(2).lookup_threads(2);
    let options = LoopOptions::new().limits(limits).lookup(move |_| {
        let _ = gate.lock().expect("not poisoned").recv();
        Ok(vec![IpAddr::from([127, 0, 0, 1])])
    });
    let mut world = World::with(options);
    let server = world.serve(|_req, res| res.end(""));
    let url = |name: &str| format!("http://{name}:{}/", server.port());
    let waiting = ["a", "b"].map(|name| {
        let asked = Asked::send(world.lp, RequestOptions::new("GET", url(name)));
        world.turn();
        asked
    });
    let request = http::request(world.lp, "GET", url("c")).unwrap();
    let told = Rc::new(std::cell::Cell::new(None));
    let tells = Rc::clone(&told);
    request.on_error(move |error| tells.set(Some((error.code(), error.kind()))));
    request.end("");
    let error = world.wait("the error", || told.take());
    assert_eq!(error, ("EAI_AGAIN", ErrorKind::Limit(Limit::Lookups)));
    drop(release);
    for asked in &waiting {
        asked.succeeds(&mut world);
    }
}
