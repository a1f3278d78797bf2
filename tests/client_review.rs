//! What a client request must never do, however it is made and wherever it is sent: take what was meant for
//! another one, tell secrets, keep others from their turn, leave something behind.

mod common;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use common::clocked::{Clocked, seconds};
use common::{Log, Peer, World, raw_server, url_of};
use onloop::http::{
    self, Agent, AgentOptions, Connector, Family, LookupAnswer, ProxyOptions, RequestOptions,
    Retries, ServerOptions,
};
use onloop::sim::stats;
use onloop::{EventLoop, LoopHandle, LoopOptions};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const ELSEWHERE: &str =
    "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.test/\r\nContent-Length: 0\r\n\r\n";

fn ask(lp: LoopHandle, options: RequestOptions) -> (http::ClientRequest, Log) {
    let log = Log::new();
    let request = http::request_with(lp, options).expect("a request");
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(response.status().to_string());
        response.resume();
    });
    request.on_timeout(log.noting("timeout"));
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    (request, log)
}

#[test]
fn a_late_connection_is_not_taken_for_the_one_that_a_redirect_leads_to() {
    let mut world = World::new();
    let asked: Rc<RefCell<Vec<(String, Connector)>>> = Rc::default();
    let notes = asked.clone();
    let agent = Agent::new(
        world.lp,
        AgentOptions::new().create_connection(move |target, connector| {
            notes.borrow_mut().push((target.host().into(), connector));
        }),
    )
    .expect("an agent");
    let options = RequestOptions::new("GET", "http://first.test/").agent(agent).redirects(3);
    let (_request, log) = ask(world.lp, options);
    world.until("the first question", || asked.borrow().len() == 1);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let first = asked.borrow()[0].1;
    first.connected(ours).expect("it is waited for");
    let mut peer = Peer::of_unix(theirs);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(ELSEWHERE);
    world.until("the second question", || asked.borrow().len() == 2);
    assert_eq!(asked.borrow()[1].0, "elsewhere.test");

    // Another connection to the first host, as one who races several has it.
    let (late, _theirs) = UnixStream::pair().expect("a pair");
    assert_eq!(first.connected(late).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    assert_eq!(first.failed(onloop::Error::other("x")).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let second = asked.borrow()[1].1;
    second.connected(ours).expect("it is waited for");
    let mut peer = Peer::of_unix(theirs);
    world.expect(&mut peer, "Host: elsewhere.test\r\n");
    peer.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["200", "closed"]);
}

#[test]
fn late_addresses_are_not_taken_for_those_of_the_host_that_a_redirect_leads_to() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let port = url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let asked: Rc<RefCell<Vec<(String, LookupAnswer)>>> = Rc::default();
    let notes = asked.clone();
    let agent = Agent::new(
        world.lp,
        AgentOptions::new().lookup(move |name, answer| {
            notes.borrow_mut().push((name.into(), answer));
        }),
    )
    .expect("an agent");
    let options = RequestOptions::new("GET", format!("http://first.test:{port}/")).agent(agent);
    let (request, log) = ask(world.lp, options.redirects(3));
    world.until("the first question", || asked.borrow().len() == 1);
    let first = asked.borrow()[0].1;
    let here: IpAddr = "127.0.0.1".parse().expect("an address");
    first.found([here]).expect("it is waited for");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(ELSEWHERE);
    world.until("the second question", || asked.borrow().len() == 2);
    assert_eq!(asked.borrow()[1].0, "elsewhere.test");
    assert_eq!(first.found([here]).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    request.destroy();
    world.until("the end", || log.has("closed"));
}

#[test]
fn an_address_and_what_else_is_said_of_a_connection_are_not_mixed_up() {
    let mut world = World::new();
    let peers: Rc<RefCell<Vec<Peer>>> = Rc::default();
    let made = peers.clone();
    let agent = Agent::new(
        world.lp,
        AgentOptions::new().create_connection(move |_, connector| {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            made.borrow_mut().push(Peer::of_unix(theirs));
            connector.connected(ours)
        }),
    )
    .expect("an agent");
    let options = || RequestOptions::new("GET", "http://a.test/").agent(agent);
    let near = options().local_address(Ipv6Addr::LOCALHOST.into()).family(Family::V6);
    let far = options().local_address("::1:6".parse().expect("an address"));
    for (count, options) in [near, far].into_iter().enumerate() {
        let (_request, log) = ask(world.lp, options);
        world.until("a connection", || peers.borrow().len() == count + 1);
        world.expect(&mut peers.borrow_mut()[count], "\r\n\r\n");
        peers.borrow_mut()[count].send(FINE);
        world.until("the end", || log.has("closed"));
    }
    assert_eq!(agent.total_socket_count(), 2);
}

#[test]
fn requests_that_are_given_up_do_not_pile_up_behind_a_slow_name() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let mut world = World::with(LoopOptions::new().lookup(move |_| {
        // The sender is gone when the test is over.
        let _ = released.lock().expect("no panic").recv();
        Ok(Vec::new())
    }));
    for _ in 0..1_000 {
        let (request, _) = ask(world.lp, RequestOptions::new("GET", "http://slow.test/"));
        world.turn();
        request.destroy();
    }
    let (_request, log) = ask(world.lp, RequestOptions::new("GET", "http://slow.test/"));
    world.turn();
    let waiting = stats(&world.event_loop).lookups;
    assert!((1..=128).contains(&waiting), "{waiting}");
    drop(release);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["error ENOTFOUND", "closed"]);
    assert_eq!(stats(&world.event_loop).lookups, 0);
}

#[test]
fn errors_and_debug_output_have_no_credentials() {
    let world = World::new();
    let hidden = ["alice", "secret", "YWxpY2U6c2VjcmV0"];
    for url in [
        "http://alice:secret@host:99999/",
        "http://alice:sec/ret@ho st/",
        "http://alice:secret@@host/",
        "https://alice:secret@host/",
        "ftp://alice:secret@host/",
        "alice:secret@host",
    ] {
        let error = http::request(world.lp, "GET", url).expect_err(url);
        let text = format!("{error} {error:?}");
        assert!(hidden.iter().all(|part| !text.contains(part)), "{text}");
    }
    let options = RequestOptions::new("GET", "http://host/").host("alice:secret@host");
    let error = http::request_with(world.lp, options).expect_err("it is no host");
    assert!(!error.to_string().contains("secret"), "{error}");

    let options = RequestOptions::new("GET", "http://alice:secret@host/")
        .header("Authorization", "secret")
        .header("Cookie", "secret");
    let text = format!("{options:?}");
    // As text, and as a list of bytes.
    for hidden in ["secret", "YWxpY2U6c2VjcmV0", "115, 101, 99, 114, 101, 116"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert!(text.contains("Cookie"), "{text}");
}

#[test]
fn an_origin_where_requests_always_wait_does_not_have_all_places_for_ever() {
    for keep_alive in [true, false] {
        let mut world = World::new();
        let busy = world.serve(|_, response| response.end("busy"));
        let other = world.serve(|_, response| response.end("other"));
        let options = AgentOptions::new().keep_alive(keep_alive).max_total_sockets(1);
        let agent = Agent::new(world.lp, options).expect("an agent");
        let over = Rc::new(Cell::new(false));
        let rounds = Rc::new(Cell::new(0));
        // Two at a time: while one is answered, one waits.
        for _ in 0..2 {
            go_on(world.lp, agent, url_of(&busy), over.clone(), rounds.clone());
        }
        let (_request, log) =
            ask(world.lp, RequestOptions::new("GET", url_of(&other)).agent(agent));
        let asked = log.clone();
        world.until("its turn", || asked.has("closed") || rounds.get() > 2_000);
        over.set(true);
        assert_eq!(log.all(), ["200", "closed"], "{keep_alive}");
        assert!(rounds.get() < 200, "{keep_alive}: {}", rounds.get());
    }
}

/// One request after the other, until it is over.
fn go_on(lp: LoopHandle, agent: Agent, url: String, over: Rc<Cell<bool>>, rounds: Rc<Cell<usize>>) {
    let request = http::request_with(lp, RequestOptions::new("GET", &url).agent(agent));
    let request = request.expect("a request");
    request.on_response(move |response| {
        response.on_end(move || {
            rounds.set(rounds.get() + 1);
            if !over.get() {
                go_on(lp, agent, url, over, rounds);
            }
        });
        response.resume();
    });
    request.end("");
}

#[test]
fn a_connection_is_not_closed_for_others_where_none_wait() {
    let mut world = World::new();
    let connections = Rc::new(Cell::new(0));
    let server = world.serve(|_, response| response.end("ok"));
    let counted = connections.clone();
    server.on_connection(move |_| counted.set(counted.get() + 1));
    let agent = Agent::new(world.lp, AgentOptions::new().max_total_sockets(1)).expect("an agent");
    let logs: Vec<Log> = (0..500)
        .map(|_| ask(world.lp, RequestOptions::new("GET", url_of(&server)).agent(agent)).1)
        .collect();
    world.until("all of them", || logs.iter().all(|log| log.has("closed")));
    assert_eq!((connections.get(), agent.total_socket_count()), (1, 1));
}

#[test]
fn a_timeout_that_is_set_in_a_pause_does_not_run_in_it() {
    let mut clocked = Clocked::new();
    let count = Cell::new(0);
    let _server = clocked.serve(ServerOptions::default(), move |_, response| {
        count.set(count.get() + 1);
        if count.get() == 1 {
            response.set_status(503);
            response.set_header("Retry-After", "100").expect("a header");
        }
        response.end("");
    });
    let retries = Retries::new(1).max_delay(seconds(1_000)).on_status(true);
    let options = RequestOptions::new("GET", "http://127.0.0.1/").retries(retries);
    let lp = clocked.event_loop.handle();
    let (request, log) = ask(lp, options);
    lp.set_timeout(seconds(10), move || request.set_timeout(seconds(5)));
    clocked.pass(seconds(90));
    assert_eq!(log.all(), [""; 0]);
    clocked.pass(seconds(20));
    assert_eq!(log.all(), ["200", "closed"]);
}

#[test]
fn a_pause_beyond_all_numbers_is_not_taken_for_none() {
    let mut world = World::new();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    let server = world.serve(move |_, response| {
        counted.set(counted.get() + 1);
        response.set_status(503);
        response.set_header("Retry-After", "9".repeat(30)).expect("a header");
        response.end("");
    });
    let retries = Retries::new(3).delay(Duration::ZERO).max_delay(Duration::MAX).on_status(true);
    let options = RequestOptions::new("GET", url_of(&server)).deadline(Duration::from_secs(20));
    let (request, log) = ask(world.lp, options.retries(retries));
    world.until("the pause", || count.get() > 0 && request.connection().is_none());
    assert_eq!((log.all(), count.get()), (Vec::new(), 1));
    request.destroy();
    let retries = retries.max_delay(Duration::from_secs(3_600));
    let options = RequestOptions::new("GET", url_of(&server)).retries(retries);
    let (_request, log) = ask(world.lp, options);
    let sent = log.clone();
    world.until("the end", || sent.has("closed"));
    assert_eq!(log.all(), ["503", "closed"]);
}

#[test]
fn a_request_that_was_refused_is_not_begun() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let options =
        RequestOptions::new("GET", url).header("X-Long", "x".repeat(65_500)).auth("user:password");
    let error = http::request_with(world.lp, options).expect_err("there is no room for it");
    assert!(error.code().starts_with("ERR_"), "{error}");
    world.until_over();
    assert_eq!(stats(&world.event_loop).client_requests, 0);
    assert_eq!(http::global_agent(world.lp).total_socket_count(), 0);
    drop(listener);
}

#[test]
fn an_agent_ends_with_its_loop_and_is_not_the_next_ones() {
    let first = EventLoop::new().expect("a loop");
    let agent = http::global_agent(first.handle());
    assert!(agent.is_open());
    drop(first);
    assert!(!agent.is_open());
    let second = EventLoop::new().expect("a loop");
    let others = http::global_agent(second.handle());
    assert!(others.is_open() && !agent.is_open() && agent != others);
}

#[test]
fn what_one_proxy_was_told_is_not_told_to_another_one() {
    let mut world = World::new();
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let global = |url: &str, credentials: &str| {
        let url = url.replace("http://", &format!("http://{credentials}@"));
        let proxy = ProxyOptions::new(url).expect("a proxy");
        let agent = Agent::new(world.lp, AgentOptions::new().proxy(proxy)).expect("an agent");
        http::set_global_agent(world.lp, agent).expect("it is open");
    };
    global(&first_url, "user:first");
    // A connection of its own, by the way that the loop's agent knows.
    let options = RequestOptions::new("GET", "http://a.test/").keep_alive(false).redirects(1);
    let (_request, log) = ask(world.lp, options);
    global(&second_url, "user:second");
    let mut peer = world.accept(&first);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpmaXJzdA=="), "{head}");
    peer.send("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
    let mut peer = world.accept(&second);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(!head.contains("dXNlcjpmaXJzdA=="), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic dXNlcjpzZWNvbmQ="), "{head}");
    peer.send(FINE);
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["200", "closed"]);
}

#[test]
fn durations_without_end_are_taken_as_they_are() {
    let mut world = World::new();
    let server = world.serve(|_, response| response.end("ok"));
    let agent = Agent::new(
        world.lp,
        AgentOptions::new()
            .free_timeout(Duration::MAX)
            .timeout(Duration::MAX)
            .keep_alive_timeout_buffer(Duration::MAX)
            .connection_attempt_delay(Duration::MAX)
            .tcp_keep_alive(Some(Duration::MAX))
            .max_free_sockets(usize::MAX)
            .max_queued_requests(usize::MAX),
    )
    .expect("an agent");
    let retries = Retries::new(u32::MAX).delay(Duration::MAX).max_delay(Duration::MAX);
    for _ in 0..2 {
        let options = RequestOptions::new("GET", url_of(&server)).agent(agent).redirects(u32::MAX);
        let (request, log) = ask(
            world.lp,
            options.deadline(Duration::MAX).retries(retries.on_status(true)).max_headers_count(0),
        );
        request.set_socket_keep_alive(Some(Duration::MAX));
        world.until("the end", || log.has("closed"));
        assert_eq!(log.all(), ["200", "closed"]);
    }
    let options = RequestOptions::new("GET", url_of(&server)).agent(agent);
    let (_request, log) = ask(world.lp, options.deadline(Duration::ZERO));
    world.until("the end", || log.has("closed"));
    assert_eq!(log.all(), ["error ETIMEDOUT", "closed"]);
}
