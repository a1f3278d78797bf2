//! Connections that are made by the user, addresses that are found by the user, tunnels.

#[path = "../common/mod.rs"]
mod common;

mod connections;
mod lookups;

use std::os::unix::net::UnixStream;

use common::asked::note_outcome;
use common::{Log, Peer, World, raw_server, url_of};
use onloop::http::{self, Agent, AgentOptions, RequestOptions};

pub(crate) const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A GET of this agent, and what comes of it.
pub(crate) fn ask(world: &World, agent: Agent) -> (http::ClientRequest, Log) {
    let log = Log::new();
    let options = RequestOptions::new("GET", "http://nowhere.test/").agent(agent);
    let request = http::request_with(world.lp, options).expect("a request");
    noted(&log, request);
    (request, log)
}

#[track_caller]
pub(crate) fn ends(world: &mut World, log: &Log) -> Vec<String> {
    world.until("the end", || log.has("closed"));
    log.all()
}

fn noted(log: &Log, request: http::ClientRequest) {
    note_outcome(request, log);
    request.end("");
}

#[test]
fn a_connection_may_come_from_the_user() {
    let mut world = World::new();
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let mut ours = Some(ours);
    let log = Log::new();
    let notes = log.clone();
    let agent = Agent::new(
        world.lp,
        AgentOptions::new().create_connection(move |target, connector| {
            notes.note(format!("{}:{}", target.host(), target.port()));
            match ours.take() {
                Some(stream) => connector.connected(stream),
                None => connector.failed(onloop::Error::other("only one")),
            }
        }),
    )
    .expect("an agent");
    let mut peer = Peer::of_unix(theirs);
    for _ in 0..2 {
        let options = RequestOptions::new("GET", "http://nowhere.test/").agent(agent);
        let log = Log::new();
        noted(&log, http::request_with(world.lp, options).expect("a request"));
        world.expect(&mut peer, "\r\n\r\n");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let closed = log.clone();
        world.until("the answer", || closed.has("closed"));
        assert_eq!(log.all(), ["200", "closed"]);
    }
    assert_eq!(log.all(), ["nowhere.test:80"]);
}

#[test]
fn addresses_may_come_from_the_user() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("found"));
    let port = url_of(&server).rsplit_once(':').expect("a port").1.trim_end_matches('/').to_owned();
    let agent = Agent::new(
        world.lp,
        AgentOptions::new().lookup(|name, answer| match name {
            "here.test" => answer.found(["127.0.0.1".parse().expect("an address")]),
            _ => Err(onloop::Error::other("never heard of it")),
        }),
    )
    .expect("an agent");
    for (name, expected) in [("here.test", "200"), ("there.test", "error ERR_USER")] {
        let url = format!("http://{name}:{port}/");
        let log = Log::new();
        let options = RequestOptions::new("GET", url).agent(agent);
        noted(&log, http::request_with(world.lp, options).expect("a request"));
        let closed = log.clone();
        world.until("the end", || closed.has("closed"));
        assert_eq!(log.all(), [expected, "closed"]);
    }
}

#[test]
fn connect_makes_a_tunnel() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let log = Log::new();
    let options = RequestOptions::new("CONNECT", &url).path("example.com:25");
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_connect(move |response, socket, head| {
        notes.note(format!("{} {:?}", response.status(), String::from_utf8_lossy(head)));
        let notes = notes.clone();
        socket.on_data(move |bytes| notes.note(String::from_utf8_lossy(bytes)));
        socket.write("QUIT\r\n");
    });
    request.on_error(log.noting_error("error"));
    request.end("");
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(
        head.starts_with("CONNECT example.com:25 HTTP/1.1\r\nHost: example.com:25\r\n"),
        "{head}"
    );
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n220 hi");
    world.expect(&mut peer, "QUIT\r\n");
    peer.send("221 bye");
    let seen = log.clone();
    world.until("the answer", || seen.has("221 bye"));
    assert_eq!(log.all(), ["200 \"220 hi\"", "221 bye"]);
}
