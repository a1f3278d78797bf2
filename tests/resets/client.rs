//! A server resets while a request is somewhere on its way to it.

use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

use onloop::Sent;
use onloop::http::{self, Agent, AgentOptions, Body, ClientRequest, ProxyOptions, RequestOptions};

use crate::common::{Log, Peer, World, dead_port, raw_server};
use crate::{alone, descriptors, held};

/// More than sockets take by themselves.
const LARGE: usize = 30_000_000;

/// A world with one agent, a server in the test's hand, and what the requests to it are told.
struct Rig {
    world: World,
    agent: Agent,
    listener: TcpListener,
    url: String,
    log: Log,
    /// How much the last failure says was sent.
    sent: Rc<RefCell<Option<Sent>>>,
    /// The content that was paused.
    paused: Rc<Cell<Option<Body>>>,
    before: usize,
}

impl Rig {
    fn new(options: AgentOptions) -> Rig {
        let world = World::new();
        let agent = Agent::new(world.lp, options).expect("an agent");
        let (listener, url) = raw_server();
        let before = descriptors();
        let (log, sent, paused) = (Log::new(), Rc::default(), Rc::default());
        Rig { world, agent, listener, url, log, sent, paused, before }
    }

    /// A request that notes everything, not ended yet.
    fn ask(&self, method: &str) -> ClientRequest {
        let options = RequestOptions::new(method, &self.url).agent(self.agent);
        self.ask_with(options.header("Connection", "keep-alive"))
    }

    fn ask_with(&self, options: RequestOptions) -> ClientRequest {
        let request = http::request_with(self.world.lp, options).expect("a request");
        let (log, sent) = (self.log.clone(), Rc::clone(&self.sent));
        let paused = Rc::clone(&self.paused);
        request.on_response(move |response| {
            log.note(response.status().to_string());
            let noted = log.clone();
            if response.header("Paused").is_some() {
                response.body().pause();
                paused.set(Some(response.body()));
            } else {
                response.on_data(move |chunk| noted.note(String::from_utf8_lossy(chunk)));
            }
            response.on_end(log.noting("end"));
            response.on_aborted(log.noting("aborted"));
            response.on_error(log.noting_error("response"));
            response.on_close(log.noting("response closed"));
        });
        let log = self.log.clone();
        request.on_error(move |error| {
            *sent.borrow_mut() = error.sent();
            log.note(format!("request {}", error.code()));
        });
        request.on_close(self.log.noting("closed"));
        request
    }

    /// The next connection, on which so much was received.
    fn accept(&mut self, text: &str) -> Peer {
        let mut peer = self.world.accept(&self.listener);
        self.world.expect(&mut peer, text);
        peer
    }

    /// Sends `bytes`, waits for what they lead to, and resets.
    #[track_caller]
    fn break_after(&mut self, mut peer: Peer, bytes: &str, noted: &[&str]) {
        peer.send(bytes);
        let log = self.log.clone();
        self.world.until("the state", || log.all() == noted);
        for _ in 0..10 {
            self.world.turn();
        }
        assert_eq!(self.log.all(), noted);
        self.log.clear();
        peer.reset();
    }

    /// Waits until the requests are closed, and compares what they were told; nothing is left then.
    #[track_caller]
    fn told(mut self, told: &[&str], sent: Option<Sent>) {
        let log = self.log.clone();
        let count = told.iter().filter(|line| line.ends_with("closed")).count();
        let closed =
            || log.count("closed") + log.count("socket closed") + log.count("response closed");
        self.world.until("the end", || closed() == count);
        self.world.until_over();
        assert_eq!(log.all(), told);
        assert_eq!(*self.sent.borrow(), sent);
        assert_eq!(self.agent.sockets(), []);
        assert_eq!(held(&self.world), (0, 0, 0));
        assert_eq!(self.world.event_loop.turn(Some(Duration::ZERO)).expect("a turn"), 0);
        self.agent.destroy();
        let before = self.before;
        self.world.until("the descriptors", || descriptors() == before);
    }
}

#[test]
fn while_it_connects() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new());
    let (held, port) = dead_port();
    rig.before += 1;
    rig.url = format!("http://127.0.0.1:{port}/");
    rig.ask("POST").end("content");
    rig.told(&["request ECONNREFUSED", "closed"], Some(Sent::NothingSent));
    drop(held);
}

#[test]
fn before_anything_is_sent() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new());
    // It is connected, and has nothing to send yet.
    let request = rig.ask("POST");
    let mut peer = rig.world.accept(&rig.listener);
    for _ in 0..10 {
        rig.world.turn();
    }
    peer.reset();
    drop(peer);
    rig.told(&["request ECONNRESET", "closed"], Some(Sent::NothingSent));
    assert!(!request.is_open() && !request.write("late"));
}

#[test]
fn while_a_part_of_the_request_is_out() {
    let _alone = alone();
    for ended in [false, true] {
        let mut rig = Rig::new(AgentOptions::new());
        let request = rig.ask("POST");
        match ended {
            true => request.end(vec![b'x'; LARGE]),
            false => drop(request.write(vec![b'x'; LARGE])),
        }
        let mut peer = rig.world.accept(&rig.listener);
        peer.stop_reading();
        rig.break_after(peer, "", &[]);
        rig.told(&["request ECONNRESET", "closed"], Some(Sent::PartlySent));
    }
}

#[test]
fn while_the_request_goes_on_and_nothing_waits() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new());
    let _request = {
        let request = rig.ask("POST");
        request.write("first");
        request
    };
    let peer = rig.accept("first");
    rig.break_after(peer, "", &[]);
    rig.told(&["request ECONNRESET", "closed"], Some(Sent::PartlySent));
}

#[test]
fn while_the_answer_is_awaited() {
    let _alone = alone();
    for beginning in ["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Le"] {
        let mut rig = Rig::new(AgentOptions::new());
        rig.ask("POST").end("content");
        let peer = rig.accept("content");
        rig.break_after(peer, beginning, &[]);
        rig.told(&["request ECONNRESET", "closed"], Some(Sent::SentNoReply));
    }
}

#[test]
fn while_the_content_comes() {
    let _alone = alone();
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked", "X: until the end"] {
        let mut rig = Rig::new(AgentOptions::new());
        rig.ask("GET").end("");
        let peer = rig.accept("\r\n\r\n");
        let (content, noted) = match framing {
            "Transfer-Encoding: chunked" => ("5\r\nhalf!\r\n5", "half!"),
            _ => ("half!", "half!"),
        };
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{content}");
        rig.break_after(peer, &head, &["200", noted]);
        rig.told(&["aborted", "response ECONNRESET", "response closed", "closed"], None);
    }
}

/// What had come before the reset is the response's, so a response that is paused is told when it is resumed, behind
/// its content.
#[test]
fn while_the_content_is_paused() {
    let _alone = alone();
    for waiting in [0, 10, LARGE] {
        let mut rig = Rig::new(AgentOptions::new());
        rig.ask("GET").end("");
        let peer = rig.accept("\r\n\r\n");
        let length = waiting + 1;
        let head = format!("HTTP/1.1 200 OK\r\nPaused: 1\r\nContent-Length: {length}\r\n\r\n");
        rig.break_after(peer, &(head + &"x".repeat(waiting)), &["200"]);
        for _ in 0..10 {
            rig.world.turn();
        }
        assert_eq!(rig.log.len(), 0);
        // It waits for nothing but the user, and costs nothing.
        assert_eq!(rig.world.event_loop.turn(Some(Duration::ZERO)).expect("a turn"), 0);
        let body = rig.paused.take().expect("a response");
        let received = Rc::new(Cell::new(0));
        let count = Rc::clone(&received);
        body.on_data(move |chunk| count.set(count.get() + chunk.len()));
        body.resume();
        rig.told(&["aborted", "response ECONNRESET", "response closed", "closed"], None);
        assert!(received.get() <= waiting && (waiting > 10 || received.get() == waiting));
    }
}

#[test]
fn while_it_is_free_in_the_pool() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new());
    for _ in 0..3 {
        rig.ask("POST").end("content");
        let mut peer = rig.accept("content");
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        let (log, agent) = (rig.log.clone(), rig.agent);
        rig.world.until("the answer", || log.has("closed") && !agent.free_sockets().is_empty());
        assert_eq!(log.all(), ["200", "ok", "end", "response closed", "closed"]);
        log.clear();
        peer.reset();
        rig.world.until("the pool to notice", || agent.free_sockets().is_empty());
    }
    rig.told(&[], None);
}

#[test]
fn while_it_is_a_byte_stream() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new());
    let options = RequestOptions::new("GET", &rig.url).agent(rig.agent);
    let request = rig.ask_with(options.header("Connection", "upgrade").header("Upgrade", "raw"));
    let log = rig.log.clone();
    request.on_upgrade(move |response, socket, _| {
        log.note(response.status().to_string());
        let noted = log.clone();
        socket.on_data(move |bytes| noted.note(String::from_utf8_lossy(bytes)));
        socket.on_error(log.noting_error("socket"));
        socket.on_close(log.noting("socket closed"));
    });
    request.end("");
    let peer = rig.accept("\r\n\r\n");
    let switched = "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n";
    let told = ["101", "closed"];
    rig.break_after(peer, switched, &told);
    rig.told(&["socket ECONNRESET", "socket closed"], None);
}

#[test]
fn while_a_tunnel_is_asked_for() {
    let _alone = alone();
    for beginning in ["", "HTTP/1.1 200 Conn"] {
        let (listener, url) = raw_server();
        let proxy = ProxyOptions::new(&url).expect("a proxy").tunnel(true);
        let mut rig = Rig::new(AgentOptions::new().proxy(proxy));
        rig.listener = listener;
        rig.before = descriptors();
        rig.url = "http://192.0.2.1/".to_owned();
        rig.ask("POST").end("content");
        let peer = rig.accept("CONNECT 192.0.2.1:80 HTTP/1.1\r\n");
        rig.break_after(peer, beginning, &[]);
        rig.told(&["request ERR_PROXY_TUNNEL", "closed"], Some(Sent::NothingSent));
    }
}

#[test]
fn while_others_wait_for_its_connection() {
    let _alone = alone();
    let mut rig = Rig::new(AgentOptions::new().max_sockets(1));
    rig.ask("POST").end("first");
    rig.ask("POST").end("second");
    let peer = rig.accept("first");
    assert_eq!(rig.agent.requests().len(), 1);
    rig.break_after(peer, "", &[]);
    let mut next = rig.accept("second");
    next.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    rig.world.until_end(&mut next);
    drop(next);
    let told = ["request ECONNRESET", "closed", "200", "end", "response closed", "closed"];
    rig.told(&told, Some(Sent::SentNoReply));
}
