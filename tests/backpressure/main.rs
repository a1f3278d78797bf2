//! A slow reader slows the writer down, all the way: nothing piles up in between.

#[path = "../counting/mod.rs"]
mod counting;
mod memory;
mod pipes;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Response, Server, ServerOptions};
use onloop::sim::{SimNet, SimOptions, SimPeer, stats};
use onloop::{Address, EventLoop, LoopOptions};

/// What one direction of a connection holds by itself.
const CAPACITY: usize = 8 * 1024;

/// What a loop reads at once.
const READ_BUFFER: usize = 4 * 1024;

const MARK: usize = 10_000;

struct Bench {
    net: SimNet,
    event_loop: EventLoop,
}

impl Bench {
    fn new() -> Bench {
        let net = SimNet::with_options(1, SimOptions::default().capacity(CAPACITY));
        let event_loop = net.event_loop(LoopOptions::new().read_buffer(READ_BUFFER));
        Bench { net, event_loop }
    }

    fn serve<R: http::Outcome>(
        &self,
        options: ServerOptions,
        on_request: impl FnMut(http::Request, Response) -> R + 'static,
    ) -> Server {
        let server = Server::new(self.event_loop.handle(), options).unwrap();
        server.on_request(on_request);
        server.listen("127.0.0.1:80").unwrap();
        server
    }

    fn connect(&self) -> SimPeer {
        self.net.connect(&port(80))
    }

    fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }

    /// Until everything that can happen without the peers has happened.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.turn();
        }
    }
}

fn port(port: u16) -> Address {
    Address::from(SocketAddr::from(([127, 0, 0, 1], port)))
}

/// The handle of the response that the server is giving.
type Shared<T> = Rc<Cell<Option<T>>>;

fn get(peer: &SimPeer) {
    peer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn write_is_false_at_the_mark_and_on_drain_comes_once_below_it() {
    let mut bench = Bench::new();
    let response: Shared<Response> = Rc::default();
    let drains: Rc<RefCell<Vec<usize>>> = Rc::default();
    let (handle, drained) = (response.clone(), drains.clone());
    bench.serve(ServerOptions::new().high_water_mark(MARK), move |_, res| {
        handle.set(Some(res));
        while res.write(&[b'x'; 1000]) {
            assert!(res.writable_length() < MARK, "more wanted at {}", res.writable_length());
        }
        assert!((MARK..MARK + 1100).contains(&res.writable_length()));
        let drained = drained.clone();
        res.on_drain(move || drained.borrow_mut().push(res.writable_length()));
    });
    let peer = bench.connect();
    get(&peer);
    bench.settle();
    let res = response.get().expect("the handler was called");
    // The connection has taken what it holds: that alone brought it below the mark.
    let left = res.writable_length();
    assert!(left < MARK && left > 0, "{left}");
    assert_eq!(*drains.borrow(), [left]);
    assert!(!res.write(&[b'x'; MARK]), "at the mark again");
    let over = res.writable_length();
    bench.settle();
    assert_eq!((drains.borrow().len(), res.writable_length()), (1, over), "nobody reads");
    // A reader that takes a little at a time: told once, when it is below, and not at each step.
    while !peer.read_up_to(500).is_empty() || res.writable_length() > 0 {
        bench.settle();
        let told = drains.borrow().len() == 2;
        assert_eq!(told, res.writable_length() < MARK, "{}", res.writable_length());
    }
    assert!(drains.borrow()[1] < MARK);
    assert!(res.write("more"), "below the mark");
    bench.settle();
    assert_eq!(drains.borrow().len(), 2, "no write was refused since");
}

#[test]
fn what_is_written_past_the_hard_cap_ends_the_exchange_with_an_error() {
    const CAP: usize = 50_000;
    let mut bench = Bench::new();
    let events: Rc<RefCell<Vec<String>>> = Rc::default();
    let log = events.clone();
    bench.serve(ServerOptions::new().max_buffered(CAP).high_water_mark(MARK), move |_, res| {
        let (errors, closes) = (log.clone(), log.clone());
        res.on_error(move |error| errors.borrow_mut().push(error.code().into()));
        res.on_close(move || closes.borrow_mut().push("close".into()));
        for _ in 0..1000 {
            res.write(&[b'x'; 1000]);
            assert!(res.writable_length() <= CAP + 1100, "{}", res.writable_length());
        }
        assert!(!res.is_open());
        assert!(log.borrow().is_empty(), "errors are never delivered inside a call");
    });
    let peer = bench.connect();
    get(&peer);
    bench.settle();
    assert_eq!(*events.borrow(), ["ERR_BUFFER_OUT_OF_BOUNDS", "close"]);
    assert!(stats(&bench.event_loop).is_empty() || stats(&bench.event_loop).exchanges == 0);
    let received = peer.read();
    assert!(!received.ends_with(b"0\r\n\r\n"), "what was cut off must not look complete");
    bench.settle();
    assert!(peer.is_eof() || peer.is_reset());
}

#[test]
fn one_chunk_of_any_size_is_taken_whole() {
    const SIZE: usize = 300_000;
    let mut bench = Bench::new();
    let options = ServerOptions::new().max_buffered(50_000).high_water_mark(MARK);
    bench.serve(options, move |_, res| {
        assert!(!res.write(vec![b'x'; SIZE]));
        assert_eq!(res.writable_length() / SIZE, 1);
        res.end("");
    });
    let peer = bench.connect();
    get(&peer);
    let mut received = 0;
    for _ in 0..1000 {
        bench.turn();
        received += peer.read().iter().filter(|byte| **byte == b'x').count();
    }
    assert_eq!(received, SIZE);
}

/// Writes until the connection takes no more; how much it took.
fn fill(bench: &mut Bench, peer: &SimPeer) -> usize {
    let mut taken = 0;
    loop {
        let now = peer.write(&[b'x'; 1000]);
        taken += now;
        bench.settle();
        if now == 0 && peer.write(b"x") == 0 {
            return taken;
        }
    }
}

#[test]
fn a_paused_request_body_is_not_read() {
    const LENGTH: usize = 200_000;
    let mut bench = Bench::new();
    let body: Shared<http::Body> = Rc::default();
    let received = Rc::new(Cell::new(0));
    let (handle, count) = (body.clone(), received.clone());
    bench.serve(ServerOptions::new(), move |req, res| {
        let body = req.body();
        handle.set(Some(body));
        let count = count.clone();
        req.on_data(move |chunk| {
            count.set(count.get() + chunk.len());
            body.pause();
        });
        req.on_end(move || res.end("done"));
    });
    let peer = bench.connect();
    peer.write(
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n").as_bytes(),
    );
    let taken = fill(&mut bench, &peer);
    assert!(received.get() > 0, "the first chunk was delivered");
    assert!(
        taken <= received.get() + CAPACITY + 2 * READ_BUFFER,
        "{taken} of a paused body were taken"
    );
    let held = stats(&bench.event_loop).bytes_received;
    assert!(held <= READ_BUFFER, "{held} bytes are held");
    // One resume, one chunk; at last all of it.
    let body = body.get().expect("the handler was called");
    let mut sent = taken;
    for _ in 0..1000 {
        let before = received.get();
        body.resume();
        bench.settle();
        assert!(received.get() - before <= READ_BUFFER, "one chunk, then it is paused again");
        sent += peer.write(&[b'x'; 1000][..1000.min(LENGTH - sent)]);
    }
    assert_eq!((sent, received.get()), (LENGTH, LENGTH));
    assert!(peer.read().ends_with(b"done"));
}

#[test]
fn a_request_body_that_nobody_asks_for_is_not_read() {
    let mut bench = Bench::new();
    bench.serve(ServerOptions::new(), |_, _| {});
    let peer = bench.connect();
    peer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n");
    let taken = fill(&mut bench, &peer);
    assert!(taken <= CAPACITY + 2 * READ_BUFFER, "{taken} bytes were taken");
}

#[test]
fn a_paused_response_is_not_read() {
    let mut bench = Bench::new();
    let listener = bench.net.listen(&port(8000)).unwrap();
    let request =
        http::request(bench.event_loop.handle(), "GET", "http://127.0.0.1:8000/").unwrap();
    let response: Rc<RefCell<Option<http::Body>>> = Rc::default();
    let received = Rc::new(Cell::new(0));
    let (handle, count) = (response.clone(), received.clone());
    request.on_response(move |incoming| {
        *handle.borrow_mut() = Some(incoming.body());
        incoming.on_data(move |chunk| count.set(count.get() + chunk.len()));
        incoming.pause();
    });
    request.end("");
    bench.settle();
    let peer = listener.accept().expect("it has connected");
    bench.settle();
    peer.read();
    peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    let taken = fill(&mut bench, &peer);
    assert_eq!(received.get(), 0, "paused before the first chunk");
    assert!(taken <= CAPACITY + 2 * READ_BUFFER, "{taken} bytes of a paused response were taken");
    let body = response.borrow_mut().take().expect("the head was received");
    body.resume();
    bench.settle();
    assert_eq!(received.get(), taken);
}

#[test]
fn a_client_request_has_a_mark_and_a_drain_too() {
    let mut bench = Bench::new();
    let listener = bench.net.listen(&port(8000)).unwrap();
    let request =
        http::request(bench.event_loop.handle(), "POST", "http://127.0.0.1:8000/").unwrap();
    let drained = Rc::new(Cell::new(0));
    let count = drained.clone();
    request.on_drain(move || {
        count.set(count.get() + 1);
        assert!(request.writable_length() < 64 * 1024);
    });
    while request.write(&[b'x'; 1000]) {}
    assert!(request.writable_length() >= 64 * 1024);
    bench.settle();
    let peer = listener.accept().expect("it has connected");
    bench.settle();
    assert_eq!(drained.get(), 1, "the connection itself took it below the mark");
    while request.write(&[b'x'; 1000]) {}
    bench.settle();
    assert_eq!(drained.get(), 1, "nobody reads");
    while !peer.read_up_to(1000).is_empty() {
        bench.settle();
    }
    assert_eq!((drained.get(), request.writable_length()), (2, 0));
}
