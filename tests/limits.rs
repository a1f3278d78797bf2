//! Every limit of a server, with what happens at it and beyond it; what it takes to live through a lack of
//! descriptors.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, World, get, raw_server};
use onloop::http::{self, RequestOptions, Response, ServerOptions};
use onloop::sim::{self, SimNet, SimOptions};
use onloop::{ErrorKind, Limit, LoopOptions};

/// The status of the answer to `request`, the code of the error, and that the connection ends behind a
/// refusal.
#[track_caller]
fn status(options: ServerOptions, request: &str) -> (u16, Option<String>) {
    let mut world = World::new();
    let server = world.serve_with(options, |req, res| {
        req.resume();
        req.on_end(move || res.end("fine"));
    });
    let mut peer = world.send(&server, request);
    let answer = world.answer(&mut peer);
    if answer.status == 200 {
        return (200, None);
    }
    assert_eq!(answer.field("Connection"), Some("close"));
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    // The same request once more, to learn the code.
    let log = Log::new();
    let notes = log.clone();
    server.on_client_error(move |error, _socket| notes.note(error.code()));
    let mut peer = world.send(&server, request);
    world.until_end(&mut peer);
    (answer.status, log.all().pop())
}

#[track_caller]
fn refused(options: ServerOptions, request: &str, expected: u16, code: &str) {
    assert_eq!(status(options, request), (expected, Some(code.to_owned())));
}

#[test]
fn the_head_has_a_size() {
    let head = |length: usize| {
        let empty = get("/", "X: \r\n").len();
        get("/", &format!("X: {}\r\n", "x".repeat(length - empty)))
    };
    assert_eq!(status(ServerOptions::new(), &head(16 * 1024)).0, 200);
    refused(ServerOptions::new(), &head(16 * 1024 + 1), 431, "HPE_HEADER_OVERFLOW");
    let larger = || ServerOptions::new().max_header_size(60_000);
    assert_eq!(status(larger(), &head(60_000)).0, 200);
    refused(larger(), &head(60_001), 431, "HPE_HEADER_OVERFLOW");
    let smaller = || ServerOptions::new().max_header_size(100);
    assert_eq!(status(smaller(), &head(100)).0, 200);
    refused(smaller(), &head(101), 431, "HPE_HEADER_OVERFLOW");
}

#[test]
fn a_head_that_is_too_large_is_refused_before_its_end() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end(""));
    let mut peer = world.send(&server, format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(17_000)));
    assert_eq!(world.answer(&mut peer).status, 431);
    let mut peer = world.send(&server, format!("GET /{}", "x".repeat(9_000)));
    assert_eq!(world.answer(&mut peer).status, 414);
    let mut peer = world.send(&server, "X".repeat(40));
    assert_eq!(world.answer(&mut peer).status, 400);
    let mut peer = world.send(&server, "\r\n".repeat(200));
    assert_eq!(world.answer(&mut peer).status, 400);
}

#[test]
fn the_head_has_a_number_of_fields() {
    let fields = |count: usize| get("/", &"X: 1\r\n".repeat(count - 1));
    assert_eq!(status(ServerOptions::new(), &fields(1000)).0, 200);
    refused(ServerOptions::new(), &fields(1001), 431, "HPE_HEADER_OVERFLOW");
    let few = || ServerOptions::new().max_headers_count(3);
    assert_eq!(status(few(), &fields(3)).0, 200);
    refused(few(), &fields(4), 431, "HPE_HEADER_OVERFLOW");
}

#[test]
fn a_number_of_fields_of_zero_is_no_limit() {
    let fields = |count: usize| get("/", &"X: 1\r\n".repeat(count - 1));
    for (limit, status_of_100) in [(50, 431), (1500, 200), (0, 200)] {
        let options = ServerOptions::new().max_headers_count(limit);
        assert_eq!(status(options, &fields(100)).0, status_of_100, "{limit}");
    }
    let none = || ServerOptions::new().max_headers_count(0).max_header_size(60_000);
    assert_eq!(status(none(), &fields(5000)).0, 200);
    // The size still is one.
    refused(none(), &fields(10_001), 431, "HPE_HEADER_OVERFLOW");
    let trailers = |count: usize| {
        let trailers = "X: 1\r\n".repeat(count);
        get("/", "Transfer-Encoding: chunked\r\n") + &format!("0\r\n{trailers}\r\n")
    };
    assert_eq!(status(none(), &trailers(5000)).0, 200);
    refused(none(), &trailers(10_001), 431, "HPE_HEADER_OVERFLOW");
}

#[test]
fn a_head_that_trickles_in_reaches_the_same_limit() {
    for (length, status) in [(16 * 1024, 200), (16 * 1024 + 1, 431)] {
        let mut world = World::new();
        let server = world.serve(|_req, res| res.end(""));
        let empty = get("/", "X: \r\n").len();
        let head = get("/", &format!("X: {}\r\n", "x".repeat(length - empty)));
        let mut peer = world.connect(&server);
        for piece in head.as_bytes().chunks(100) {
            peer.send(piece);
            world.turn();
        }
        assert_eq!(world.answer(&mut peer).status, status, "{length}");
    }
}

#[test]
fn a_host_may_be_optional_but_never_wrong() {
    let optional = || ServerOptions::new().require_host_header(false);
    let head = |host: &str| format!("GET / HTTP/1.1\r\n{host}X: y\r\n\r\n");
    refused(ServerOptions::new(), &head(""), 400, "HPE_INVALID_HEADER_TOKEN");
    assert_eq!(status(optional(), &head("")).0, 200);
    assert_eq!(status(optional(), &head("Host: h\r\n")).0, 200);
    for wrong in ["Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host:\r\n", "Host: u@h\r\n"] {
        refused(optional(), &head(wrong), 400, "HPE_INVALID_HEADER_TOKEN");
    }
    assert_eq!(status(ServerOptions::new(), "GET / HTTP/1.0\r\n\r\n").0, 200);
}

#[test]
fn the_target_has_a_size() {
    let target = |length: usize| get(&format!("/{}", "x".repeat(length - 1)), "");
    assert_eq!(status(ServerOptions::new(), &target(8192)).0, 200);
    refused(ServerOptions::new(), &target(8193), 414, "HPE_HEADER_OVERFLOW");
    let short = || ServerOptions::new().max_target_size(10);
    assert_eq!(status(short(), &target(10)).0, 200);
    refused(short(), &target(11), 414, "HPE_HEADER_OVERFLOW");
}

#[test]
fn chunk_framing_has_limits() {
    let chunked = |body: &str| get("/", "Transfer-Encoding: chunked\r\n") + body;
    let extension = |length: usize| chunked(&format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(length)));
    assert_eq!(status(ServerOptions::new(), &extension(4000)).0, 200);
    refused(ServerOptions::new(), &extension(5000), 413, "HPE_CHUNK_EXTENSIONS_OVERFLOW");
    refused(ServerOptions::new(), &extension(17_000), 413, "HPE_CHUNK_EXTENSIONS_OVERFLOW");
    let many = format!("1;{}\r\nx\r\n", "e".repeat(2000)).repeat(10);
    refused(
        ServerOptions::new(),
        &chunked(&(many + "0\r\n\r\n")),
        413,
        "HPE_CHUNK_EXTENSIONS_OVERFLOW",
    );
    let trailers = |length: usize| chunked(&format!("0\r\nX: {}\r\n\r\n", "x".repeat(length)));
    assert_eq!(status(ServerOptions::new(), &trailers(16_000)).0, 200);
    refused(ServerOptions::new(), &trailers(17_000), 431, "HPE_HEADER_OVERFLOW");
    let few = || ServerOptions::new().max_headers_count(4);
    assert_eq!(status(few(), &chunked(&format!("0\r\n{}\r\n", "X: 1\r\n".repeat(4)))).0, 200);
    let many = chunked(&format!("0\r\n{}\r\n", "X: 1\r\n".repeat(5)));
    refused(few(), &many, 431, "HPE_HEADER_OVERFLOW");
    refused(
        ServerOptions::new(),
        &chunked("000000000000000001\r\nx\r\n"),
        400,
        "HPE_INVALID_CHUNK_SIZE",
    );
}

#[test]
fn one_connection_more_than_allowed_is_closed_at_once() {
    let mut world = World::new();
    let options = ServerOptions::new().max_connections(2);
    let server = world.serve_with(options, |_req, res| res.end("x"));
    let mut first = world.send(&server, get("/", ""));
    let mut second = world.send(&server, get("/", ""));
    world.answer(&mut first);
    world.answer(&mut second);
    let mut third = world.connect(&server);
    world.until_end(&mut third);
    assert_eq!(third.text(), "");
    first.end();
    world.until_end(&mut first);
    let mut fourth = world.send(&server, get("/", ""));
    assert_eq!(world.answer(&mut fourth).text(), "x");
    second.send(get("/", ""));
    assert_eq!(world.answer(&mut second).text(), "x");
}

#[test]
fn a_handler_that_ignores_backpressure_meets_a_cap() {
    let log = Log::new();
    let notes = log.clone();
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let options = ServerOptions::new().max_buffered(100_000).high_water_mark(1000);
    let server = world.serve_with(options, move |_req, res| {
        let notes_error = notes.clone();
        res.on_error(move |error| {
            assert_eq!(error.kind(), ErrorKind::Limit(Limit::Buffered));
            notes_error.note(error.code());
        });
        res.on_close(notes.noting("closed"));
        // One piece of any size is taken.
        assert!(!res.write(vec![b'x'; 50_000_000]));
        assert!(res.is_open());
        keeps.set(Some(res));
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/", ""));
    let found = Rc::clone(&kept);
    let res = world.wait("the request", || found.take());
    assert!(!res.write("one too many") && !res.is_open());
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    assert_eq!(log.all(), ["ERR_BUFFER_OUT_OF_BOUNDS", "closed"]);
}

#[test]
fn headers_that_we_send_have_a_size() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let value = "x".repeat(60_000);
        res.set_header("X-Large", &value)?;
        let refused = res.append_header("X-Large", &value).unwrap_err();
        assert_eq!(refused.code(), "ERR_HTTP_HEADERS_TOO_LARGE");
        res.end("");
        Ok(())
    });
    assert_eq!(world.ask(&server, get("/", "")).all("X-Large").len(), 1);
}

#[test]
fn responses_have_the_same_limits() {
    let too_long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(17_000));
    let too_many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(1001));
    let informed = "HTTP/1.1 102 Processing\r\n\r\n".repeat(65) + "HTTP/1.1 200 OK\r\n\r\n";
    for (response, code) in [
        (too_long, "HPE_HEADER_OVERFLOW"),
        (too_many, "HPE_HEADER_OVERFLOW"),
        (informed, "ERR_HTTP_TOO_MANY_INFORMATIONAL"),
    ] {
        let (listener, url) = raw_server();
        let log = Log::new();
        let mut world = World::new();
        let request = http::get(world.lp, &url, |_| panic!("no response")).unwrap();
        request.on_error(log.noting_error("error"));
        let mut peer = world.accept(&listener);
        peer.send(response);
        world.until_over();
        assert_eq!(log.all(), [format!("error {code}")]);
    }
}

#[test]
fn the_limits_of_a_response_can_be_set() {
    let response = format!("HTTP/1.1 204 No Content\r\nX: {}\r\nY: 1\r\n\r\n", "x".repeat(100));
    type Set = fn(RequestOptions) -> RequestOptions;
    let table: [(Set, bool); 5] = [
        (|options| options.max_header_size(60_000), true),
        (|options| options.max_header_size(100), false),
        (|options| options.max_headers_count(2), true),
        (|options| options.max_headers_count(1), false),
        (|options| options.max_headers_count(0), true),
    ];
    for (set, fine) in table {
        let (listener, url) = raw_server();
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let request = http::request_with(world.lp, set(RequestOptions::new("GET", &url))).unwrap();
        request.on_response(move |response| notes.note(response.status().to_string()));
        request.on_error(log.noting_error("error"));
        request.end("");
        let mut peer = world.accept(&listener);
        peer.send(&response);
        world.until_over();
        let expected = if fine { "204" } else { "error HPE_HEADER_OVERFLOW" };
        assert_eq!(log.all(), [expected]);
    }
}

#[test]
fn accepting_goes_on_after_a_lack_of_descriptors() {
    // Edge-triggered polling does not say again that connections wait.
    let net = SimNet::with_options(7, SimOptions::default().accept_errors(1000));
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end("x"));
    server.listen("127.0.0.1:80").unwrap();
    let address = server.address().unwrap();
    let peers: Vec<_> = (0..5).map(|_| net.connect(&address)).collect();
    for peer in &peers {
        peer.write(b"GET / HTTP/1.0\r\n\r\n");
    }
    let mut turns = 0;
    while net.now() < Duration::from_secs(10) {
        event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
        turns += 1;
    }
    assert!(turns < 1000, "{turns} turns in ten seconds: it spins");
    assert_eq!(sim::stats(&event_loop).server_connections, 0);
    net.set_options(SimOptions::default());
    while !peers.iter().all(|peer| peer.is_eof() || peer.available() > 0) {
        event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
        assert!(net.now() < Duration::from_secs(60), "they wait for ever");
    }
    for peer in &peers {
        assert!(peer.read().ends_with(b"\r\n\r\nx"));
    }
}

#[test]
fn a_connection_that_closes_makes_room_at_once() {
    let net = SimNet::new(7);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let server = http::create_server(event_loop.handle(), |_req, res| res.end("x"));
    server.listen("127.0.0.1:80").unwrap();
    let address = server.address().unwrap();
    let inside = net.connect(&address);
    while sim::stats(&event_loop).server_connections == 0 {
        event_loop.turn(None).expect("a turn");
    }
    net.set_options(SimOptions::default().accept_errors(1000));
    let waiting = net.connect(&address);
    waiting.write(b"GET / HTTP/1.0\r\n\r\n");
    // Just after the listener has looked by itself.
    let mut turns = 0;
    while net.now() < Duration::from_secs(5) {
        event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
        turns += 1;
    }
    assert!(turns < 100, "{turns} turns in five seconds: it spins");
    assert_eq!(waiting.available(), 0);
    net.set_options(SimOptions::default());
    let closed_at = net.now();
    inside.close();
    while waiting.available() == 0 {
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        assert!(net.now() - closed_at < Duration::from_millis(50), "it waits for its clock");
    }
    assert!(waiting.read().ends_with(b"\r\n\r\nx"));
}

#[test]
fn posts_have_a_limit() {
    let mut world = World::with(LoopOptions::new().posts_max(3));
    let remote = world.event_loop.remote();
    let posted = std::thread::spawn(move || {
        let results: Vec<_> = (0..4).map(|_| remote.post(|_| ())).collect();
        results
            .into_iter()
            .map(|result| result.map_err(|error| (error.kind(), error.code())))
            .collect::<Vec<_>>()
    });
    let results = posted.join().expect("posts");
    assert!(results[..3].iter().all(Result::is_ok));
    assert_eq!(results[3], Err((ErrorKind::Limit(Limit::Posts), "ERR_POST_FAILED")));
    world.until_over();
}
