//! With the least that the limits allow everything takes longer, and nothing is lost.

mod common;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use common::clocked::{seconds, settle};
use common::{get, post};
use onloop::http::{self, Server, ServerOptions};
use onloop::sim::{SimNet, SimOptions, SimPeer, check};
use onloop::{Address, EventLoop, Limits, LoopOptions};

/// Bytes of one read, and of the requests and answers that come in exactly one.
const READ: usize = 1024;

/// One read in a go, of little.
fn one_read() -> LoopOptions {
    LoopOptions::new().limits(Limits::new().reads_per_turn(1).read_buffer(READ))
}

/// So long that nothing behind it comes in the same read.
fn get_of_one_read() -> String {
    let rest = READ - get("/", "X-Long: \r\n").len();
    get("/", &format!("X-Long: {}\r\n", "x".repeat(rest)))
}

fn address() -> Address {
    SocketAddr::from(([127, 0, 0, 1], 80)).into()
}

/// What a client has when everything has gone its way, which has sent this at once.
fn answers_to(net: &SimNet, event_loop: &mut EventLoop, bytes: &str) -> (String, SimPeer) {
    let peer = net.connect(&address());
    assert_eq!(peer.write(bytes.as_bytes()), bytes.len());
    let mut received = Vec::new();
    let until = net.now() + seconds(5);
    while net.now() < until && !peer.is_eof() && !peer.is_reset() {
        settle(net, event_loop);
        check(event_loop).expect("the loop is in order");
        received.extend(peer.read());
    }
    (String::from_utf8_lossy(&received).into_owned(), peer)
}

/// Two requests of which the second is here, and not read, when something is done at the end of the first.
fn at_the_end_of_the_first(act: fn(Server)) -> (String, SimPeer) {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(one_read());
    let server = Server::new(event_loop.handle(), ServerOptions::new()).expect("a server");
    server.on_request(move |_req, res| {
        res.on_close(move || act(server));
        res.end("x");
    });
    server.listen("127.0.0.1:80").expect("a free port");
    answers_to(&net, &mut event_loop, &(get_of_one_read() + &get("/", "")))
}

#[test]
fn a_request_that_is_here_when_a_server_closes_is_answered() {
    let (answers, peer) = at_the_end_of_the_first(|server| server.close());
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(answers.contains("Connection: close"), "{answers}");
    assert!(peer.is_eof());
}

#[test]
fn an_answer_before_bytes_that_are_not_read_yet_outlives_the_close_of_idle_connections() {
    let (answers, peer) = at_the_end_of_the_first(|server| server.close_idle_connections());
    assert!(answers.ends_with("\r\n\r\nx"), "{answers}");
    assert!(peer.is_eof() && !peer.is_reset(), "a reset may take the answer along");
}

/// An answer of many reads to a request, which is all here when its connection breaks.
fn answer_before_a_reset(url: &str, options: http::RequestOptions, answers: &[String]) -> String {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(one_read());
    let listener = net.listen(&address()).expect("it is free");
    let heard = Rc::new(RefCell::new(String::new()));
    let request = http::request_with(event_loop.handle(), options).expect(url);
    let (hears, fails) = (Rc::clone(&heard), Rc::clone(&heard));
    request.on_response(move |response| {
        let hears = Rc::clone(&hears);
        response.on_data(move |bytes| hears.borrow_mut().push_str(&String::from_utf8_lossy(bytes)));
    });
    request.on_error(move |error| fails.borrow_mut().push_str(error.code()));
    request.end("");
    settle(&net, &mut event_loop);
    let peer = listener.accept().expect("it is connected");
    for answer in answers {
        settle(&net, &mut event_loop);
        peer.read();
        assert_eq!(peer.write(answer.as_bytes()), answer.len());
    }
    peer.reset();
    // All of it arrives before the loop looks.
    net.advance(seconds(1));
    for _ in 0..100 {
        settle(&net, &mut event_loop);
        check(&event_loop).expect("the loop is in order");
    }
    heard.take()
}

fn long_answer() -> String {
    let long = "x".repeat(2 * READ);
    format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 5\r\n\r\nwhole")
}

#[test]
fn an_answer_that_came_before_its_connection_broke_is_read_to_its_end() {
    let options = http::RequestOptions::new("POST", "http://127.0.0.1/");
    assert_eq!(answer_before_a_reset("a URL", options, &[long_answer()]), "whole");
}

#[test]
fn a_proxy_that_refuses_and_breaks_is_heard() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(one_read());
    let listener = net.listen(&address()).expect("it is free");
    let proxy = http::ProxyOptions::new("http://127.0.0.1:80").expect("a URL");
    let options = http::AgentOptions::new().proxy(proxy.tunnel(true));
    let agent = http::Agent::new(event_loop.handle(), options).expect("an agent");
    let options = http::RequestOptions::new("GET", "http://far.test/").agent(agent);
    let status = Rc::new(Cell::new(None));
    let told = Rc::clone(&status);
    let request = http::request_with(event_loop.handle(), options).expect("a request");
    request.on_error(move |error| told.set(error.status_hint()));
    request.end("");
    settle(&net, &mut event_loop);
    let peer = listener.accept().expect("it is connected");
    let refusal = long_answer().replace("200 OK", "407 No");
    assert_eq!(peer.write(refusal.as_bytes()), refusal.len());
    peer.reset();
    net.advance(seconds(1));
    for _ in 0..100 {
        settle(&net, &mut event_loop);
    }
    assert_eq!(status.get(), Some(407));
}

#[test]
fn a_pipe_into_a_response_that_may_let_little_wait_waits_itself() {
    for most in [0, 1, 3000] {
        let net = SimNet::new(1);
        let mut event_loop = net.event_loop(one_read());
        let options = ServerOptions::new().max_buffered(most);
        let server = Server::new(event_loop.handle(), options).expect("a server");
        server.on_request(|req, res| req.pipe(res));
        server.listen("127.0.0.1:80").expect("a free port");
        let peer = net.connect(&address());
        let content = "0123456789".repeat(50_000);
        let request = post("/", &content);
        let (mut sent, mut received) = (0, Vec::new());
        let until = net.now() + seconds(1000);
        while net.now() < until && !received.ends_with(b"\r\n0\r\n\r\n") {
            // A client that reads a little less than it sends.
            sent += peer.write(&request.as_bytes()[sent..]);
            received.extend(peer.read_up_to(20_000));
            settle(&net, &mut event_loop);
            assert!(!peer.is_reset(), "{most}: broken off behind {} bytes", received.len());
        }
        assert!(received.len() > content.len(), "{most}: {} bytes came", received.len());
    }
}

#[test]
fn an_answer_waits_for_the_ones_before_it_where_little_may_wait() {
    let net = SimNet::with_options(1, SimOptions::default().capacity(1000));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let options = ServerOptions::new().max_buffered(1000);
    let server = Server::new(event_loop.handle(), options).expect("a server");
    server.on_request(|_req, res| {
        res.write("x");
        res.end(&[b'x'; 3000]);
    });
    server.listen("127.0.0.1:80").expect("a free port");
    let (answers, _) = answers_to(&net, &mut event_loop, &get("/", "").repeat(4));
    assert_eq!(answers.matches("\r\n0\r\n\r\n").count(), 4, "{answers}");
}
