//! Redirects and retries of requests that go through proxies: which way each step takes, and what it says there.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use common::{Log, Peer, World, raw_server};
use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, ProxyOptions, RequestOptions, Retries,
};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\n";

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
}

/// A proxy in the test's hand, and an agent that uses it with credentials.
fn rig(tunnel: bool, no_proxy: &str) -> (World, TcpListener, Agent) {
    let world = World::new();
    let (proxy, url) = raw_server();
    let url = url.replace("http://", "http://user:secret@");
    let proxies = ProxyOptions::new(url).expect("a proxy").no_proxy(no_proxy).tunnel(tunnel);
    let agent = Agent::new(world.lp, AgentOptions::new().proxy(proxies)).expect("an agent");
    (world, proxy, agent)
}

fn ask(world: &World, options: RequestOptions) -> (ClientRequest, Log) {
    let log = Log::new();
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(format!("{} {}", response.status(), response.url()));
        response.resume();
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    (request, log)
}

/// The head of the next request on this connection, with what it says to the proxy in one word.
#[track_caller]
fn head(world: &mut World, peer: &mut Peer) -> (String, &'static str) {
    let head = world.expect(peer, "\r\n\r\n");
    let line = head.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let said = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    let said = match said {
        None => "nothing",
        Some("Basic dXNlcjpzZWNyZXQ=") => "ours",
        Some(_) => "the user's",
    };
    assert!(!head.contains("\r\nAuthorization"), "credentials of another server: {head}");
    (line, said)
}

#[track_caller]
fn done(world: &mut World, log: &Log, expected: &str) {
    let closed = log.clone();
    world.until("the end", || closed.has("closed"));
    assert_eq!(log.all(), [expected, "closed"]);
}

#[test]
fn a_redirect_goes_to_the_same_proxy() {
    let (mut world, proxy, agent) = rig(false, "");
    let options = RequestOptions::new("GET", "http://a.test/x/y?z").agent(agent).redirects(5);
    let (request, log) = ask(&world, options);
    let mut peer = world.accept(&proxy);
    for (line, to, url) in [
        ("GET http://a.test/x/y?z", "../w", "http://a.test/x/y?z"),
        ("GET http://a.test/w", "http://b.test:81/", "http://a.test/w"),
        ("GET http://b.test:81/", "", "http://b.test:81/"),
    ] {
        assert_eq!(head(&mut world, &mut peer), (line.to_owned(), "ours"));
        assert_eq!(request.url(), url);
        peer.send(if to.is_empty() { FINE.to_owned() } else { redirect(to) });
    }
    done(&mut world, &log, "200 http://b.test:81/");
    assert_eq!(agent.free_sockets().len(), 1, "one connection was enough");
}

#[test]
fn what_the_user_says_to_the_proxy_is_said_at_every_step() {
    let (mut world, proxy, agent) = rig(false, "");
    let options = RequestOptions::new("GET", "http://a.test/")
        .header("Proxy-Authorization", "Bearer x")
        .agent(agent)
        .redirects(1);
    let (_, log) = ask(&world, options);
    let mut peer = world.accept(&proxy);
    assert_eq!(head(&mut world, &mut peer), ("GET http://a.test/".to_owned(), "the user's"));
    peer.send(redirect("http://b.test/"));
    assert_eq!(head(&mut world, &mut peer), ("GET http://b.test/".to_owned(), "the user's"));
    peer.send(FINE);
    done(&mut world, &log, "200 http://b.test/");
}

#[test]
fn credentials_of_a_server_are_not_told_to_the_next() {
    let (mut world, proxy, agent) = rig(false, "");
    let options = RequestOptions::new("GET", "http://me:there@a.test/").agent(agent).redirects(1);
    let (_, log) = ask(&world, options);
    let mut peer = world.accept(&proxy);
    let first = world.expect(&mut peer, "\r\n\r\n");
    assert!(first.contains("\r\nAuthorization: Basic "), "{first}");
    peer.send(redirect("http://b.test/"));
    assert_eq!(head(&mut world, &mut peer), ("GET http://b.test/".to_owned(), "ours"));
    peer.send(FINE);
    done(&mut world, &log, "200 http://b.test/");
}

#[test]
fn a_redirect_from_or_to_a_host_without_a_proxy_changes_the_way() {
    let (mut world, proxy, agent) = rig(false, "127.0.0.1");
    let (origin, direct) = raw_server();
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent).redirects(2);
    let (_, log) = ask(&world, options);
    let mut by_proxy = world.accept(&proxy);
    assert_eq!(head(&mut world, &mut by_proxy), ("GET http://a.test/".to_owned(), "ours"));
    by_proxy.send(redirect(&direct));
    // The server must not see the proxy's credentials.
    let mut peer = world.accept(&origin);
    assert_eq!(head(&mut world, &mut peer), ("GET /".to_owned(), "nothing"));
    peer.send(redirect("http://b.test/"));
    assert_eq!(head(&mut world, &mut by_proxy), ("GET http://b.test/".to_owned(), "ours"));
    by_proxy.send(FINE);
    done(&mut world, &log, "200 http://b.test/");
}

#[test]
fn a_redirect_to_another_server_takes_another_tunnel() {
    let (mut world, proxy, agent) = rig(true, "");
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent).redirects(2);
    let (_, log) = ask(&world, options);
    let mut to_a = world.accept(&proxy);
    assert_eq!(head(&mut world, &mut to_a), ("CONNECT a.test:80".to_owned(), "ours"));
    to_a.send(OPEN);
    assert_eq!(head(&mut world, &mut to_a), ("GET /".to_owned(), "nothing"));
    to_a.send(redirect("/again"));
    assert_eq!(head(&mut world, &mut to_a), ("GET /again".to_owned(), "nothing"));
    to_a.send(redirect("//b.test/"));
    let mut to_b = world.accept(&proxy);
    assert_eq!(head(&mut world, &mut to_b), ("CONNECT b.test:80".to_owned(), "ours"));
    to_b.send(OPEN);
    assert_eq!(head(&mut world, &mut to_b), ("GET /".to_owned(), "nothing"));
    to_b.send(FINE);
    done(&mut world, &log, "200 http://b.test/");
}

#[test]
fn a_request_is_made_again_where_the_proxy_closes_before_it_answers() {
    for (method, tunnel) in [("POST", true), ("GET", false)] {
        let (mut world, proxy, agent) = rig(tunnel, "");
        let retries = Retries::new(1).delay(Duration::ZERO);
        let options = RequestOptions::new(method, "http://a.test/").agent(agent).retries(retries);
        let (_, log) = ask(&world, options);
        let mut peer = world.accept(&proxy);
        let first = head(&mut world, &mut peer);
        assert_eq!(first.1, "ours");
        drop(peer);
        let mut peer = world.accept(&proxy);
        assert_eq!(head(&mut world, &mut peer), first);
        if tunnel {
            peer.send(OPEN);
            assert_eq!(head(&mut world, &mut peer), (format!("{method} /"), "nothing"));
        }
        peer.send(FINE);
        done(&mut world, &log, "200 http://a.test/");
    }
}

#[test]
fn a_deadline_holds_while_a_proxy_is_asked_for_a_tunnel() {
    let (mut world, proxy, agent) = rig(true, "");
    let deadline = Duration::from_millis(50);
    let options = RequestOptions::new("GET", "http://a.test/").agent(agent).deadline(deadline);
    let (_, log) = ask(&world, options);
    let mut peer = world.accept(&proxy);
    done(&mut world, &log, "error ETIMEDOUT");
    world.until_end(&mut peer);
}
