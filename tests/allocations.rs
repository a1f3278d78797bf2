//! An exchange on a persistent connection allocates nothing once the pools are filled, and an idle connection
//! keeps nothing. Counted by an allocator of our own, on the thread that turns the loop.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use onloop::http::{self, Request, Response, Server};
use onloop::{Address, EventLoop, LoopOptions};

/// The system's allocator, with a count per thread of what it was asked for.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(allocations: usize, bytes: isize) {
    // A thread that ends has no counters any more.
    let _ = ALLOCATIONS.try_with(|counter| counter.set(counter.get() + allocations));
    let _ = BYTES.try_with(|counter| counter.set(counter.get() + bytes));
}

// SAFETY: every call is handed to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The loop, a client that allocates nothing itself, and how many bytes it is to wait for.
struct Exchange {
    event_loop: EventLoop,
    server: Server,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Exchange {
    fn new(on_request: impl FnMut(Request, Response) + 'static) -> Exchange {
        Exchange::with(LoopOptions::default(), on_request)
    }

    fn with(options: LoopOptions, on_request: impl FnMut(Request, Response) + 'static) -> Exchange {
        let event_loop = EventLoop::with_options(options).expect("a loop");
        let server = http::create_server(event_loop.handle(), on_request);
        server.listen("127.0.0.1:0").expect("a free port");
        let stream = connect(&server);
        Exchange { event_loop, server, stream, buffer: vec![0; 1 << 20] }
    }

    /// Sends `request` and turns the loop until so many bytes have come back.
    fn run(&mut self, request: &[u8], expected: usize) {
        self.stream.write_all(request).expect("small enough for the socket");
        let mut received = 0;
        let patience = Instant::now() + Duration::from_secs(20);
        while received < expected {
            self.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
            match self.stream.read(&mut self.buffer) {
                Ok(0) => panic!("the connection ended"),
                Ok(count) => received += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < patience, "{received} of {expected} bytes");
        }
        assert_eq!(received, expected);
    }

    /// Turns the loop until its server has so many connections.
    fn until_connections(&mut self, count: usize) {
        let patience = Instant::now() + Duration::from_secs(20);
        while self.server.connections() != count {
            self.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
            let found = self.server.connections();
            assert!(Instant::now() < patience, "{found} connections instead of {count}");
        }
    }

    /// The length of the answer to `request`.
    fn learn(&mut self, request: &[u8]) -> usize {
        self.stream.write_all(request).expect("small enough for the socket");
        let mut received = 0;
        // The answer is short and written at once; a turn that handles nothing is past it.
        let patience = Instant::now() + Duration::from_secs(20);
        while received == 0 {
            self.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
            if let Ok(count) = self.stream.read(&mut self.buffer) {
                received = count;
            }
            assert!(Instant::now() < patience, "no answer");
        }
        received
    }

    /// How many allocations 1,000 more of these exchanges make.
    fn allocations(&mut self, request: &[u8], times: usize) -> usize {
        let single = self.learn(request);
        let pipelined = request.repeat(times);
        for _ in 0..100 {
            self.run(&pipelined, single * times);
        }
        let before = ALLOCATIONS.get();
        for _ in 0..1000 {
            self.run(&pipelined, single * times);
        }
        ALLOCATIONS.get() - before
    }
}

fn connect(server: &Server) -> TcpStream {
    let Some(Address::Ip(address)) = server.address() else { panic!("no address") };
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_nonblocking(true).expect("non-blocking");
    stream.set_nodelay(true).expect("no delay");
    stream
}

const PLAIN: &[u8] = b"GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n";

const BROWSER: &[u8] =
    b"GET /page?id=42 HTTP/1.1\r\nHost: localhost:8080\r\nConnection: keep-alive\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n\
    Cookie: session=0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n\
    Priority: u=0, i\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\r\n";

fn hello(_req: Request, res: Response) {
    res.set_header("Content-Type", "text/plain").expect("a valid field");
    res.end("Hello, World!");
}

#[test]
fn a_request_on_a_persistent_connection_allocates_nothing() {
    assert_eq!(Exchange::new(hello).allocations(PLAIN, 1), 0);
    assert_eq!(Exchange::new(hello).allocations(BROWSER, 1), 0);
}

#[test]
fn nor_do_pipelined_ones() {
    assert_eq!(Exchange::new(hello).allocations(PLAIN, 16), 0);
    assert_eq!(Exchange::new(hello).allocations(BROWSER, 16), 0);
}

#[test]
fn looking_at_the_head_allocates_nothing() {
    let mut exchange = Exchange::new(|req, res| {
        assert_eq!(req.method(), "GET");
        assert!(req.header("cookie").is_some_and(|cookie| cookie.starts_with("session=")));
        assert_eq!(req.headers().len(), 14);
        res.set_header("Content-Length", 2).expect("a valid field");
        res.write("o");
        res.end("k");
    });
    assert_eq!(exchange.allocations(BROWSER, 1), 0);
}

#[test]
fn writing_a_whole_head_allocates_nothing() {
    let mut exchange = Exchange::new(|_req, res| {
        res.set_header("X-Set", "1").expect("a valid field");
        let fields = [("Content-Type", "text/plain"), ("Vary", "Accept"), ("Vary", "Cookie")];
        res.write_head(404, fields).expect("a head of valid fields");
        res.end("Hello, World!");
    });
    assert_eq!(exchange.allocations(PLAIN, 1), 0);
}

#[test]
fn a_new_second_allocates_nothing() {
    fn date(answer: &[u8]) -> &[u8] {
        let at = answer.windows(6).position(|part| part == b"Date: ").expect("a date");
        &answer[at..at + 37]
    }
    let mut exchange = Exchange::new(hello);
    let length = exchange.learn(PLAIN);
    exchange.run(PLAIN, length);
    let mut first = [0; 37];
    first.copy_from_slice(date(&exchange.buffer));
    let before = ALLOCATIONS.get();
    while date(&exchange.buffer) == first {
        exchange.run(PLAIN, length);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// How many bytes each connection keeps of many that `make` makes, one at a time.
fn kept_by_each(make: impl Fn(&mut Exchange, usize) -> TcpStream) -> usize {
    const CONNECTIONS: usize = 200;
    // What grows by doubling has grown before the count begins. No round goes before it, which would leave its states in
    // pools, where nobody could tell them from none.
    let mut exchange = Exchange::with(LoopOptions::new().reserve(4 * CONNECTIONS), hello);
    let length = exchange.learn(PLAIN);
    let mut streams: Vec<TcpStream> = Vec::with_capacity(CONNECTIONS);
    let before = BYTES.get();
    for _ in 0..CONNECTIONS {
        streams.push(make(&mut exchange, length));
    }
    exchange.until_connections(CONNECTIONS + 1);
    // What this one needs meanwhile goes back with its answer.
    exchange.run(PLAIN, length);
    (BYTES.get() - before).max(0) as usize / CONNECTIONS
}

#[test]
fn an_idle_connection_keeps_nothing_but_its_slot() {
    let each = kept_by_each(|exchange, length| {
        let fresh = connect(&exchange.server);
        let served = std::mem::replace(&mut exchange.stream, fresh);
        exchange.run(PLAIN, length);
        served
    });
    assert!(each <= 64, "an idle connection keeps {each} bytes");
}

#[test]
fn a_connection_that_has_never_said_anything_keeps_no_more() {
    let each = kept_by_each(|exchange, _| connect(&exchange.server));
    assert!(each <= 64, "a silent connection keeps {each} bytes");
}

#[test]
fn the_counter_counts() {
    let (before, bytes) = (ALLOCATIONS.get(), BYTES.get());
    let boxed = std::hint::black_box(Box::new([0u8; 100]));
    assert_eq!((ALLOCATIONS.get() - before, BYTES.get() - bytes), (1, 100));
    drop(boxed);
    assert_eq!(BYTES.get(), bytes);
}
