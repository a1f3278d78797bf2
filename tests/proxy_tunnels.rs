//! Tunnels that an agent's proxy is asked for before a request: what it is asked, whatever it answers, and which
//! requests a tunnel serves.

mod common;

use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, raw_server};
use onloop::http::{self, Agent, AgentOptions, ClientRequest, ProxyOptions, RequestOptions};
use onloop::{Error, ErrorKind, Limit, Sent};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const OPEN: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy in the test's hand, and an agent that asks it for tunnels.
struct Rig {
    world: World,
    proxy: TcpListener,
    agent: Agent,
}

/// A request under way, and what came of it.
struct Asked {
    request: ClientRequest,
    log: Log,
    error: Rc<Cell<Option<Error>>>,
}

impl Rig {
    fn new() -> Rig {
        Rig::with(AgentOptions::new(), "")
    }

    fn with(options: AgentOptions, credentials: &str) -> Rig {
        let world = World::new();
        let (proxy, url) = raw_server();
        let url = url.replace("http://", &format!("http://{credentials}"));
        let proxies = ProxyOptions::new(url).expect("a proxy").tunnel(true);
        let agent = Agent::new(world.lp, options.proxy(proxies)).expect("an agent");
        Rig { world, proxy, agent }
    }

    fn ask(&self, url: &str) -> Asked {
        self.ask_with(RequestOptions::new("GET", url))
    }

    fn ask_with(&self, options: RequestOptions) -> Asked {
        let log = Log::new();
        let request =
            http::request_with(self.world.lp, options.agent(self.agent)).expect("a request");
        let notes = log.clone();
        request.on_response(move |response| {
            notes.note(response.status().to_string());
            response.resume();
        });
        let error: Rc<Cell<Option<Error>>> = Rc::default();
        let (notes, keeps) = (log.clone(), error.clone());
        request.on_error(move |error| {
            notes.note(format!("error {}", error.code()));
            keeps.set(Some(error));
        });
        request.on_close(log.noting("closed"));
        request.end("");
        Asked { request, log, error }
    }

    /// The next connection to the proxy, and what it is asked on it.
    #[track_caller]
    fn accept(&mut self) -> (Peer, String) {
        let mut peer = self.world.accept(&self.proxy);
        let head = self.world.expect(&mut peer, "\r\n\r\n");
        (peer, head)
    }

    /// Answers a request that came through a tunnel; its head.
    #[track_caller]
    fn serve(&mut self, peer: &mut Peer, asked: &Asked) -> String {
        let head = self.world.expect(peer, "\r\n\r\n");
        peer.send(FINE);
        assert_eq!(self.end_of(asked), ["200", "closed"]);
        head
    }

    #[track_caller]
    fn end_of(&mut self, asked: &Asked) -> Vec<String> {
        let log = asked.log.clone();
        self.world.until("the exchange", || log.has("closed"));
        asked.log.all()
    }

    /// The request fails for want of a tunnel, and the connection is closed.
    #[track_caller]
    fn fails(&mut self, peer: &mut Peer, asked: &Asked) -> Error {
        assert_eq!(self.end_of(asked), ["error ERR_PROXY_TUNNEL", "closed"]);
        self.world.until_end(peer);
        assert_eq!(self.agent.total_socket_count(), 0);
        let error = asked.error.take().expect("it was told");
        assert_eq!(error.sent(), Some(Sent::NothingSent), "{error}");
        error
    }
}

#[test]
fn a_tunnel_is_asked_for_and_then_the_server() {
    let mut rig = Rig::with(AgentOptions::new(), "user:secret@");
    let url = "http://me:there@a.test/b?c";
    let asked = rig.ask(url);
    assert!(asked.request.connection().is_none());
    let (mut peer, connect) = rig.accept();
    assert_eq!(
        connect,
        "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\
         Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
    );
    // Nothing is said to the server before the proxy has answered.
    assert!(asked.request.connection().is_none());
    assert_eq!((asked.request.host().as_str(), asked.request.path().as_str()), ("a.test", "/b?c"));
    peer.send(OPEN);
    let head = rig.serve(&mut peer, &asked);
    assert!(head.starts_with("GET /b?c HTTP/1.1\r\nHost: a.test\r\n"), "{head}");
    assert!(head.contains("Authorization: Basic bWU6dGhlcmU=\r\n"), "{head}");
    assert!(!head.contains("Proxy-"), "the server must not see the proxy's credentials: {head}");
}

#[test]
fn on_socket_tells_of_the_connection_once_the_tunnel_is_there() {
    let mut rig = Rig::new();
    let asked = rig.ask("http://a.test:81/");
    let notes = asked.log.clone();
    asked.request.on_socket(move |_| notes.note("socket"));
    let (mut peer, connect) = rig.accept();
    assert!(connect.starts_with("CONNECT a.test:81 HTTP/1.1\r\nHost: a.test:81\r\n"), "{connect}");
    assert!(!connect.contains("Proxy-"), "{connect}");
    assert_eq!(asked.log.len(), 0);
    peer.send(OPEN);
    rig.world.expect(&mut peer, "\r\n\r\n");
    assert_eq!(asked.log.all(), ["socket"]);
}

#[test]
fn a_tunnel_is_used_again_but_for_its_own_server_only() {
    let mut rig = Rig::new();
    let first = rig.ask("http://a.test/1");
    let (mut to_a, _) = rig.accept();
    to_a.send(OPEN);
    rig.serve(&mut to_a, &first);
    let name = rig.agent.free_sockets().remove(0).0;
    assert!(name.ends_with("::a.test:80"), "{name}");
    let options = RequestOptions::new("GET", "http://a.test/x");
    assert_eq!(rig.agent.name(&options).expect("a name"), name);
    for (url, connect) in [("http://b.test/", "b.test:80"), ("http://a.test:81/", "a.test:81")] {
        let other = rig.ask(url);
        let (mut peer, head) = rig.accept();
        assert!(head.starts_with(&format!("CONNECT {connect} ")), "{head}");
        peer.send(OPEN);
        rig.serve(&mut peer, &other);
        assert!(to_a.received.is_empty());
    }
    let again = rig.ask("http://a.test/2");
    assert!(again.request.is_reused());
    let head = rig.serve(&mut to_a, &again);
    assert!(head.starts_with("GET /2 HTTP/1.1\r\n"), "no second CONNECT: {head}");
}

#[test]
fn requests_wait_for_a_tunnel_where_there_may_be_one_only() {
    let mut rig = Rig::with(AgentOptions::new().max_sockets(1), "");
    let (first, second) = (rig.ask("http://a.test/1"), rig.ask("http://a.test/2"));
    let (mut peer, _) = rig.accept();
    peer.send(OPEN);
    rig.serve(&mut peer, &first);
    let head = rig.serve(&mut peer, &second);
    assert!(head.starts_with("GET /2 "), "{head}");
}

#[test]
fn a_refusal_is_an_error_with_the_proxys_status() {
    let mut rig = Rig::new();
    for (answer, status) in [
        ("407 Proxy Authentication Required\r\nProxy-Authenticate: Basic", 407),
        ("502 Bad Gateway\r\nContent-Length: 7\r\n\r\nno host", 502),
        ("403 Forbidden\r\nTransfer-Encoding: chunked", 403),
        ("302 Found\r\nLocation: http://login.test/", 302),
        ("101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x", 101),
    ] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        peer.send(format!("HTTP/1.1 {answer}\r\n\r\n"));
        let error = rig.fails(&mut peer, &asked);
        assert_eq!((error.status_hint(), error.kind()), (Some(status), ErrorKind::Peer));
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[test]
fn what_is_no_answer_to_connect_is_an_error() {
    let mut rig = Rig::new();
    for garbage in [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno field\r\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "\0\0\0",
    ] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        peer.send(garbage);
        let error = rig.fails(&mut peer, &asked);
        assert_eq!((error.status_hint(), error.kind()), (None, ErrorKind::Peer), "{garbage:?}");
        assert!(error.to_string().contains("Parse Error"), "{error}");
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let mut rig = Rig::new();
    let long_field = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(20_000));
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}", "a:\r\n".repeat(1_500));
    for (answer, limit) in [(long_field, Limit::HeaderSize), (many_fields, Limit::HeadersCount)] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        peer.send(answer);
        let error = rig.fails(&mut peer, &asked);
        assert_eq!(error.kind(), ErrorKind::Limit(limit), "{error}");
    }
    let asked = rig.ask("http://a.test/");
    let (mut peer, _) = rig.accept();
    peer.send("HTTP/1.1 100 Continue\r\n\r\n".repeat(65));
    let error = rig.fails(&mut peer, &asked);
    assert_eq!(error.kind(), ErrorKind::Limit(Limit::Informational), "{error}");
}

#[test]
fn bytes_before_the_server_was_asked_anything_are_an_error() {
    let mut rig = Rig::new();
    let asked = rig.ask("http://a.test/");
    let (mut peer, _) = rig.accept();
    peer.send(format!("{OPEN}{FINE}"));
    let error = rig.fails(&mut peer, &asked);
    assert!(error.to_string().contains("before the request"), "{error}");
}

#[test]
fn a_proxy_that_leaves_without_an_answer_is_an_error() {
    let mut rig = Rig::new();
    for (part, reset) in [("", false), ("HTTP/1.1 200 O", false), ("", true)] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        peer.send(part);
        match reset {
            true => peer.reset(),
            false => drop(peer),
        }
        assert_eq!(rig.end_of(&asked), ["error ERR_PROXY_TUNNEL", "closed"]);
        let error = asked.error.take().expect("it was told");
        assert_eq!((error.sent(), error.status_hint()), (Some(Sent::NothingSent), None));
    }
}

#[test]
fn an_answer_may_come_byte_by_byte_and_after_informational_ones() {
    let mut rig = Rig::new();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    // A length or chunks in a 2xx to CONNECT mean nothing (RFC 9110 §9.3.6).
    let open = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 p\r\n\r\n";
    let whole = format!("HTTP/1.1 100 Continue\r\n\r\n{hints}{open}");
    for step in [1, 7, whole.len()] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        for part in whole.as_bytes().chunks(step) {
            peer.send(part);
            rig.world.turn();
        }
        rig.serve(&mut peer, &asked);
        rig.agent.destroy();
        assert_eq!(rig.world.until_end(&mut peer), Ending::End);
    }
}

#[test]
fn a_timeout_is_told_while_the_proxy_does_not_answer() {
    let mut rig = Rig::new();
    let options = RequestOptions::new("GET", "http://a.test/").timeout(Duration::from_millis(50));
    let asked = rig.ask_with(options);
    asked.request.on_timeout(asked.log.noting("timeout"));
    let (mut peer, _) = rig.accept();
    let told = asked.log.clone();
    rig.world.until("the timeout", || told.has("timeout"));
    // It ends nothing by itself.
    peer.send(OPEN);
    let head = rig.world.expect(&mut peer, "\r\n\r\n");
    assert!(head.starts_with("GET / "), "{head}");
    assert_eq!(asked.log.all(), ["timeout"]);
    asked.request.destroy();
    rig.world.until_end(&mut peer);
}

#[test]
fn a_request_that_is_destroyed_meanwhile_ends_the_connection() {
    let mut rig = Rig::new();
    for with_error in [false, true] {
        let asked = rig.ask("http://a.test/");
        let (mut peer, _) = rig.accept();
        match with_error {
            true => asked.request.destroy_with(Error::other("too slow")),
            false => asked.request.destroy(),
        }
        let code = if with_error { "error ERR_USER" } else { "error ECONNRESET" };
        assert_eq!(rig.end_of(&asked), [code, "closed"]);
        rig.world.until_end(&mut peer);
        assert_eq!(rig.agent.total_socket_count(), 0);
    }
}

#[test]
fn a_tunnel_that_died_while_it_was_free_is_made_again() {
    let mut rig = Rig::new();
    let first = rig.ask("http://a.test/1");
    let (mut old, _) = rig.accept();
    old.send(OPEN);
    rig.serve(&mut old, &first);
    // It dies when the next request is on its way.
    let second = rig.ask("http://a.test/2");
    assert!(second.request.is_reused());
    rig.world.expect(&mut old, "GET /2 ");
    drop(old);
    let (mut peer, connect) = rig.accept();
    assert!(connect.starts_with("CONNECT a.test:80 "), "{connect}");
    peer.send(OPEN);
    let head = rig.serve(&mut peer, &second);
    assert!(head.starts_with("GET /2 "), "{head}");
    // What must not be made twice is not.
    let third = rig.ask_with(RequestOptions::new("POST", "http://a.test/3"));
    rig.world.expect(&mut peer, "POST /3 ");
    drop(peer);
    assert_eq!(rig.end_of(&third), ["error ECONNRESET", "closed"]);
}

#[test]
fn upgrades_and_connects_of_the_user_get_streams() {
    let mut world = World::new();
    let (proxy, url) = raw_server();
    // Without `tunnel(true)`: who asks for an upgrade needs a tunnel, anyway.
    let proxies = ProxyOptions::new(&url).expect("a proxy");
    let agent = Agent::new(world.lp, AgentOptions::new().proxy(proxies)).expect("an agent");
    let options = RequestOptions::new("GET", "http://a.test/chat")
        .header("Connection", "Upgrade")
        .header("Upgrade", "raw")
        .agent(agent);
    let log = Log::new();
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_upgrade(move |_response, socket, _head| {
        socket.on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
        socket.write("ping");
    });
    request.end("");
    let mut peer = world.accept(&proxy);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.starts_with("CONNECT a.test:80 "), "{head}");
    peer.send(OPEN);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.starts_with("GET /chat ") && head.contains("Upgrade: raw\r\n"), "{head}");
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n");
    world.expect(&mut peer, "ping");
    peer.send("pong");
    let got = log.clone();
    world.until("the answer", || got.has("pong"));

    // What the user says to a proxy is said to that one, and not to another by a tunnel.
    let (other, other_url) = raw_server();
    let options = RequestOptions::new("CONNECT", &other_url).path("c.test:25").agent(agent);
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_connect(move |response, _socket, _head| notes.note(response.status().to_string()));
    request.end("");
    let mut peer = world.accept(&other);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.starts_with("CONNECT c.test:25 "), "{head}");
    peer.send(OPEN);
    let got = log.clone();
    world.until("the tunnel", || got.has("200"));
}

#[test]
fn credentials_for_the_proxy_are_not_sent_through_it() {
    let rig = Rig::new();
    let options = RequestOptions::new("GET", "http://a.test/")
        .header("Proxy-Authorization", "Basic x")
        .agent(rig.agent);
    let error = http::request_with(rig.world.lp, options).expect_err("it is refused");
    assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
    assert!(rig.proxy.accept().is_err(), "nobody came to the proxy");
    assert_eq!(rig.agent.total_socket_count(), 0);
}
