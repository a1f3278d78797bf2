//! Requests of an agent with proxies, in the absolute form: what the proxy is sent, and what goes without it.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::asked::Asked;
use common::{Log, Peer, World, raw_server, url_of};
use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, ProxyOptions, RequestOptions, set_global_agent,
};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// `user:secret`.
const CREDENTIALS: &str = "Basic dXNlcjpzZWNyZXQ=";

fn proxied(world: &World, proxy: ProxyOptions) -> Agent {
    Agent::new(world.lp, AgentOptions::new().proxy(proxy)).expect("an agent")
}

/// Where a proxy is, with credentials.
fn with_credentials(url: &str) -> ProxyOptions {
    let url = url.replace("http://", "http://user:secret@");
    ProxyOptions::new(url).expect("a proxy")
}

fn ask(world: &World, options: RequestOptions) -> (ClientRequest, Log) {
    let Asked { request, log } = Asked::send(world.lp, options);
    (request, log)
}

/// Answers the next request on this connection; its head.
fn serve(world: &mut World, peer: &mut Peer, log: &Log) -> Vec<String> {
    let head = world.expect(peer, "\r\n\r\n");
    peer.send(FINE);
    let closed = log.clone();
    world.until("the answer", || closed.has("closed"));
    assert_eq!(log.all(), ["200", "closed"]);
    head.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_proxy_is_told_the_whole_url_and_its_own_credentials() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, with_credentials(&url));
    let mut connection: Option<Peer> = None;
    for (method, origin, expected, host) in [
        ("GET", "http://a.test/b?c=d#e", "GET http://a.test/b?c=d HTTP/1.1", "a.test"),
        ("GET", "http://A.test:80", "GET http://a.test/ HTTP/1.1", "a.test"),
        ("GET", "http://b.test:81//x", "GET http://b.test:81//x HTTP/1.1", "b.test:81"),
        ("OPTIONS", "http://[::1]:81/", "OPTIONS http://[::1]:81/ HTTP/1.1", "[::1]:81"),
        ("DELETE", "http://127.0.0.1/", "DELETE http://127.0.0.1/ HTTP/1.1", "127.0.0.1"),
    ] {
        let (request, log) = ask(&world, RequestOptions::new(method, origin).agent(agent));
        assert_eq!(request.host(), host.trim_end_matches(":81").trim_matches(['[', ']']));
        let target = expected.split(' ').nth(1).expect("a target");
        assert!(target.ends_with(&request.path()) && request.path().starts_with('/'));
        // One connection is enough for all of them.
        let peer = connection.get_or_insert_with(|| world.accept(&listener));
        let head = serve(&mut world, peer, &log);
        assert_eq!(head[0], expected);
        assert!(head.contains(&format!("Host: {host}")), "{head:?}");
        assert!(head.contains(&format!("Proxy-Authorization: {CREDENTIALS}")), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("Proxy-Connection")), "{head:?}");
    }
    let port = url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    assert_eq!(agent.free_sockets(), [(format!("127.0.0.1:{port}:"), 1)]);
    let options = RequestOptions::new("GET", "http://c.test/");
    assert_eq!(agent.name(&options).expect("a name"), format!("127.0.0.1:{port}:"));
}

#[test]
fn targets_of_other_forms_are_told_as_rfc_9112_has_them() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, ProxyOptions::new(&url).expect("a proxy"));
    let mut connection: Option<Peer> = None;
    for (method, path, expected) in [
        ("OPTIONS", "*", "OPTIONS http://a.test:8080 HTTP/1.1"),
        ("OPTIONS", "/", "OPTIONS http://a.test:8080/ HTTP/1.1"),
        ("GET", "http://b.test/c", "GET http://b.test/c HTTP/1.1"),
    ] {
        let options = RequestOptions::new(method, "http://a.test:8080/").path(path).agent(agent);
        let (request, log) = ask(&world, options);
        assert_eq!(request.path(), path);
        let peer = connection.get_or_insert_with(|| world.accept(&listener));
        let head = serve(&mut world, peer, &log);
        assert_eq!(head[0], expected);
        assert!(head.contains(&"Host: a.test:8080".to_owned()), "{head:?}");
        assert!(!head.iter().any(|line| line.starts_with("Proxy-")), "{head:?}");
    }
}

#[test]
fn credentials_of_the_server_and_of_the_proxy_are_two_things() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, with_credentials(&url));
    let (_, log) = ask(&world, RequestOptions::new("GET", "http://me:there@a.test/").agent(agent));
    let mut peer = world.accept(&listener);
    let head = serve(&mut world, &mut peer, &log);
    assert_eq!(head[0], "GET http://a.test/ HTTP/1.1");
    assert!(head.contains(&"Authorization: Basic bWU6dGhlcmU=".to_owned()), "{head:?}");
    assert!(head.contains(&format!("Proxy-Authorization: {CREDENTIALS}")), "{head:?}");

    // What the user says wins.
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent);
    let (_, log) = ask(&world, options.clone().header("proxy-authorization", "Bearer x"));
    let head = serve(&mut world, &mut peer, &log);
    let said: Vec<_> = head.iter().filter(|line| line.starts_with("Proxy-Auth")).collect();
    assert_eq!(said.len(), 0, "{head:?}");
    assert!(head.contains(&"proxy-authorization: Bearer x".to_owned()), "{head:?}");

    let request = http::request_with(world.lp, options).expect("a request");
    assert_eq!(request.header("Proxy-Authorization").as_deref(), Some(CREDENTIALS.as_bytes()));
    request.set_header("Proxy-Authorization", "Bearer y").expect("it is allowed");
    request.end("");
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(head.matches("Proxy-Authorization").count(), 1, "{head}");
    assert!(head.contains("Proxy-Authorization: Bearer y\r\n"), "{head}");
}

#[test]
fn what_a_proxy_answers_is_an_ordinary_response() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, ProxyOptions::new(&url).expect("a proxy"));
    let (_, log) = ask(&world, RequestOptions::new("GET", "http://a.test/").agent(agent));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n");
    let closed = log.clone();
    world.until("the answer", || closed.has("closed"));
    assert_eq!(log.all(), ["407", "closed"]);
}

#[test]
fn content_goes_through_both_ways() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, ProxyOptions::new(&url).expect("a proxy"));
    let options = RequestOptions::new("POST", "http://a.test/").agent(agent);
    let request = http::request_with(world.lp, options).expect("a request");
    let got = Rc::new(RefCell::new(None));
    let keeps = got.clone();
    request.on_response(move |response| {
        common::collect(response, move |_, content| *keeps.borrow_mut() = Some(content));
    });
    request.end("question");
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "question");
    assert!(head.contains("Content-Length: 8\r\n"), "{head}");
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nanswer\r\n0\r\n\r\n");
    let content = world.wait("the answer", || got.take());
    assert_eq!(content, b"answer");
}

#[test]
fn hosts_on_the_list_are_reached_without_a_proxy() {
    let mut world = World::new();
    let (origin, direct) = raw_server();
    let (proxy, url) = raw_server();
    let options = with_credentials(&url).no_proxy("127.0.0.1, b.test");
    let agent = proxied(&world, options);
    // The same options again and again: what was found out is remembered.
    let there = RequestOptions::new("GET", &direct).agent(agent);
    let (mut connection, mut by_proxy) = (None, None);
    for _ in 0..3 {
        let (_, log) = ask(&world, there.clone());
        let peer = connection.get_or_insert_with(|| world.accept(&origin));
        let head = serve(&mut world, peer, &log);
        assert_eq!(head[0], "GET / HTTP/1.1");
        assert!(!head.iter().any(|line| line.starts_with("Proxy-")), "{head:?}");
        let (_, log) = ask(&world, RequestOptions::new("GET", "http://a.test/").agent(agent));
        let peer = by_proxy.get_or_insert_with(|| world.accept(&proxy));
        assert_eq!(serve(&mut world, peer, &log)[0], "GET http://a.test/ HTTP/1.1");
    }
}

#[test]
fn options_made_once_serve_agents_with_other_proxies_and_without() {
    let mut world = World::new();
    let (origin, direct) = raw_server();
    let (one, one_url) = raw_server();
    let (two, two_url) = raw_server();
    let plain = Agent::new(world.lp, AgentOptions::new()).expect("an agent");
    let first = proxied(&world, ProxyOptions::new(&one_url).expect("a proxy"));
    let second = proxied(&world, ProxyOptions::new(&two_url).expect("a proxy"));
    let options = RequestOptions::new("GET", &direct);
    let absolute = format!("GET {direct} HTTP/1.1");
    let mut peers: Vec<Peer> = Vec::new();
    for round in 0..2 {
        let places = [(plain, &origin), (first, &one), (second, &two)];
        for (place, (agent, listener)) in places.into_iter().enumerate() {
            let (_, log) = ask(&world, options.clone().agent(agent));
            if round == 0 {
                let peer = world.accept(listener);
                peers.push(peer);
            }
            let head = serve(&mut world, &mut peers[place], &log);
            let expected = if place == 0 { "GET / HTTP/1.1" } else { &absolute };
            assert_eq!(head[0], expected, "round {round}, agent {place}");
        }
    }
}

#[test]
fn options_that_were_used_and_then_changed_go_to_the_new_place() {
    let mut world = World::new();
    let (origin, direct) = raw_server();
    let (other, other_url) = raw_server();
    let port: u16 = other_url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
    let options = RequestOptions::new("GET", &direct).path("/a");
    let (_, log) = ask(&world, options.clone());
    let mut peer = world.accept(&origin);
    serve(&mut world, &mut peer, &log);
    let options = options.port(port);
    let (_, log) = ask(&world, options.clone());
    let mut peer = world.accept(&other);
    serve(&mut world, &mut peer, &log);

    let (proxy, url) = raw_server();
    let agent = proxied(&world, ProxyOptions::new(&url).expect("a proxy"));
    let options = options.agent(agent);
    let (_, log) = ask(&world, options.clone());
    let mut peer = world.accept(&proxy);
    assert_eq!(serve(&mut world, &mut peer, &log)[0], format!("GET {other_url}a HTTP/1.1"));
    let (_, log) = ask(&world, options.host("b.test").path("/b"));
    let head = serve(&mut world, &mut peer, &log);
    assert_eq!(head[0], format!("GET http://b.test:{port}/b HTTP/1.1"));
}

#[test]
fn sockets_in_the_file_system_take_no_proxy() {
    let mut world = World::new();
    let (proxy, url) = raw_server();
    let agent = proxied(&world, with_credentials(&url));
    let directory = std::env::temp_dir().join(format!("onloop-proxies-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("it listens");
    listener.set_nonblocking(true).expect("non-blocking");
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent).unix_socket(&path);
    let (_, log) = ask(&world, options);
    let mut peer = world.accept_unix(&listener);
    let head = serve(&mut world, &mut peer, &log);
    std::fs::remove_dir_all(&directory).expect("it is ours");
    assert_eq!(head[0], "GET / HTTP/1.1");
    assert!(!head.iter().any(|line| line.starts_with("Proxy-")), "{head:?}");
    assert!(proxy.accept().is_err(), "nobody came to the proxy");
}

#[test]
fn the_agent_of_all_requests_may_have_one() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = proxied(&world, ProxyOptions::new(&url).expect("a proxy"));
    set_global_agent(world.lp, agent).expect("it is of this loop");
    let log = Log::new();
    let answered = log.clone();
    http::get(world.lp, "http://a.test/", move |response| {
        answered.note(response.status().to_string());
        response.on_end(answered.noting("closed"));
        response.resume();
    })
    .expect("a request");
    let mut peer = world.accept(&listener);
    assert_eq!(serve(&mut world, &mut peer, &log)[0], "GET http://a.test/ HTTP/1.1");

    // One that wants a connection of its own does not go around it.
    let options = RequestOptions::new("GET", "http://a.test/").keep_alive(false);
    let (_, log) = ask(&world, options);
    let mut peer = world.accept(&listener);
    let head = serve(&mut world, &mut peer, &log);
    assert_eq!(head[0], "GET http://a.test/ HTTP/1.1");
    assert!(head.contains(&"Connection: close".to_owned()), "{head:?}");
}

#[test]
fn options_that_name_no_proxy_change_nothing() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let none = ProxyOptions::from_vars(|_| None).expect("nothing is wrong").tunnel(true);
    let (_, log) = ask(&world, RequestOptions::new("GET", &url).agent(proxied(&world, none)));
    let mut peer = world.accept(&listener);
    assert_eq!(serve(&mut world, &mut peer, &log)[0], "GET / HTTP/1.1");
}

#[test]
fn a_proxy_that_is_not_there_is_an_error_and_nothing_goes_around_it() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("the server itself"));
    let (_held, port) = common::dead_port();
    let proxy = ProxyOptions::new(format!("http://127.0.0.1:{port}")).expect("a proxy");
    for proxy in [proxy.clone(), proxy.tunnel(true)] {
        let options = RequestOptions::new("GET", url_of(&server)).agent(proxied(&world, proxy));
        let (_, log) = ask(&world, options);
        let closed = log.clone();
        world.until("the error", || closed.has("closed"));
        assert_eq!(log.all(), ["error ECONNREFUSED", "closed"]);
    }
}

#[test]
fn who_makes_connections_has_no_proxy_beside() {
    let world = World::new();
    let options = AgentOptions::new()
        .proxy(ProxyOptions::new("http://p.test").expect("a proxy"))
        .create_connection(|_, connector| connector.failed(onloop::Error::other("never")));
    let error = Agent::new(world.lp, options).expect_err("they exclude each other");
    assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    // No proxy is named, so nothing is decided twice.
    let options = AgentOptions::new()
        .proxy(ProxyOptions::from_vars(|_| None).expect("nothing is wrong"))
        .create_connection(|_, connector| connector.failed(onloop::Error::other("never")));
    assert!(Agent::new(world.lp, options).is_ok());
}

#[test]
fn debug_output_of_requests_has_no_credentials() {
    let world = World::new();
    let agent = proxied(&world, with_credentials("http://p.test/"));
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent);
    let request = http::request_with(world.lp, options.clone()).expect("a request");
    let text = format!("{options:?} {request:?} {agent:?}");
    assert!(!text.contains("Basic") && !text.contains("secret"), "{text}");
    request.destroy();
}
