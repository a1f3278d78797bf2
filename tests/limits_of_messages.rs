//! What messages may cost a server, where the loop's table says it: each limit at its value and one beyond, what
//! the client gets, who is told, and that others are served on.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Ending, Log, Peer, World, get, post};
use onloop::http::{self, Request, Response, Server, ServerOptions, Socket};
use onloop::{Error, ErrorKind, Limit, Limits, LoopOptions};

fn world(limits: Limits) -> World {
    World::with(LoopOptions::new().limits(limits))
}

/// A server that reads what it is sent and answers `x`.
fn reader(world: &World) -> Server {
    world.serve(|req, res| {
        req.resume();
        req.on_end(move || res.end("x"));
    })
}

#[track_caller]
fn served(world: &mut World, server: &Server) {
    assert_eq!(world.ask(server, get("/", "")).text(), "x");
}

/// The bytes are taken by a loop with these limits.
#[track_caller]
fn taken(limits: Limits, bytes: &str) {
    let mut world = world(limits);
    let server = reader(&world);
    assert_eq!(world.ask(&server, bytes).text(), "x");
}

/// The bytes are refused with this status, their connection is closed behind that, `on_client_error` is told of the
/// limit, and others are served.
#[track_caller]
fn refused(limits: Limits, bytes: &str, status: u16, code: &str, limit: Limit) {
    let mut world = world(limits);
    let server = reader(&world);
    let mut peer = world.send(&server, bytes);
    let answer = world.answer(&mut peer);
    assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")));
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    served(&mut world, &server);
    let told: Rc<Cell<Option<Error>>> = Rc::default();
    let tells = Rc::clone(&told);
    server.on_client_error(move |error, socket| {
        tells.set(Some(error));
        socket.destroy();
    });
    let mut peer = world.send(&server, bytes);
    world.until_end(&mut peer);
    let error = told.take().expect("it is told");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Limit(limit), code));
    assert_eq!(error.status_hint(), Some(status));
    served(&mut world, &server);
}

#[test]
fn the_method_has_a_size() {
    let request = |length: usize| format!("{} / HTTP/1.1\r\nHost: h\r\n\r\n", "X".repeat(length));
    let code = "HPE_INVALID_METHOD";
    taken(Limits::new(), &request(32));
    refused(Limits::new(), &request(33), 400, code, Limit::Method);
    for size in [7, 100, 255] {
        let limits = || Limits::new().max_method_size(size);
        taken(limits(), &request(size));
        refused(limits(), &request(size + 1), 400, code, Limit::Method);
        // Before the end of a line, and whatever the method goes on with.
        refused(limits(), &"X".repeat(size + 1), 400, code, Limit::Method);
        taken(limits(), "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    // No limit goes below or above what can be held.
    taken(Limits::new().max_method_size(0), &request(7));
    refused(Limits::new().max_method_size(1000), &request(256), 400, code, Limit::Method);
}

#[test]
fn empty_lines_before_a_request_have_a_number() {
    let request = |lines: usize| "\r\n".repeat(lines) + &get("/", "");
    let code = "HPE_INVALID_METHOD";
    taken(Limits::new(), &request(4));
    refused(Limits::new(), &request(5), 400, code, Limit::EmptyLines);
    for most in [0, 1, 20, 254] {
        let limits = || Limits::new().max_empty_lines(most);
        taken(limits(), &request(most));
        refused(limits(), &request(most + 1), 400, code, Limit::EmptyLines);
    }
    refused(Limits::new().max_empty_lines(1000), &request(255), 400, code, Limit::EmptyLines);
}

#[test]
fn a_head_has_the_size_and_the_fields_that_the_loop_says() {
    let code = "HPE_HEADER_OVERFLOW";
    let sized = |length: usize| {
        let empty = get("/", "X: \r\n").len();
        get("/", &format!("X: {}\r\n", "x".repeat(length - empty)))
    };
    let fields = |count: usize| get("/", &"X: 1\r\n".repeat(count - 1));
    let target = |length: usize| get(&format!("/{}", "x".repeat(length - 1)), "");
    let limits =
        || Limits::new().max_header_size(20_000).max_headers_count(50).max_target_size(300);
    taken(limits(), &sized(20_000));
    refused(limits(), &sized(20_001), 431, code, Limit::HeaderSize);
    taken(limits(), &fields(50));
    refused(limits(), &fields(51), 431, code, Limit::HeadersCount);
    taken(limits(), &target(300));
    refused(limits(), &target(301), 414, code, Limit::Target);
    let trailers = |trailers: &str| {
        get("/", "Transfer-Encoding: chunked\r\n") + "1\r\nx\r\n0\r\n" + trailers + "\r\n"
    };
    taken(limits(), &trailers(&"X: 1\r\n".repeat(50)));
    refused(limits(), &trailers(&"X: 1\r\n".repeat(51)), 431, code, Limit::Chunked);
    // The empty line at the end is not counted.
    let long = |length: usize| format!("X: {}\r\n", "x".repeat(length - "X: \r\n".len()));
    taken(limits(), &trailers(&long(20_000)));
    refused(limits(), &trailers(&long(20_001)), 431, code, Limit::Chunked);
}

/// A request whose chunks have extensions of these lengths, the semicolon included.
fn extended(lengths: &[usize]) -> String {
    let chunk = |length: &usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
    let chunks: String = lengths.iter().map(chunk).collect();
    get("/", "Transfer-Encoding: chunked\r\n") + &chunks + "0\r\n\r\n"
}

#[test]
fn the_extensions_of_a_chunk_have_a_size() {
    let code = "HPE_CHUNK_EXTENSIONS_OVERFLOW";
    taken(Limits::new(), &extended(&[4096]));
    refused(Limits::new(), &extended(&[4097]), 413, code, Limit::Chunked);
    let limits = |size| Limits::new().max_extensions_per_chunk(size);
    taken(limits(10), &extended(&[10, 10, 10]));
    refused(limits(10), &extended(&[10, 11]), 413, code, Limit::Chunked);
    refused(limits(0), &extended(&[2]), 413, code, Limit::Chunked);
    taken(limits(10_000), &extended(&[10_000]));
}

#[test]
fn the_extensions_of_a_message_have_a_size() {
    let code = "HPE_CHUNK_EXTENSIONS_OVERFLOW";
    taken(Limits::new(), &extended(&[4096; 4]));
    refused(Limits::new(), &extended(&[4096, 4096, 4096, 4096, 2]), 413, code, Limit::Chunked);
    let limits = |size| Limits::new().max_extensions_per_message(size);
    taken(limits(20), &extended(&[10, 10]));
    refused(limits(20), &extended(&[10, 9, 2]), 413, code, Limit::Chunked);
    let many = || Limits::new().max_extensions_per_message(usize::MAX);
    taken(many(), &extended(&[4000; 16]));
    refused(many(), &extended(&[4000; 17]), 413, code, Limit::Chunked);
}

#[test]
fn content_has_the_size_that_the_loop_says() {
    let limits = || Limits::new().max_body_size(10);
    let chunked = |body: &str| get("/", "Transfer-Encoding: chunked\r\n") + body;
    let code = "ERR_HTTP_CONTENT_TOO_LARGE";
    taken(limits(), &post("/", "0123456789"));
    refused(limits(), &post("/", "0123456789a"), 413, code, Limit::Body);
    taken(limits(), &chunked("5\r\nabcde\r\n5\r\nabcde\r\n0\r\n\r\n"));
    refused(limits(), &chunked("5\r\nabcde\r\n6\r\nabcdef\r\n0\r\n\r\n"), 413, code, Limit::Body);
}

#[test]
fn content_that_nobody_wants_is_dropped_up_to_a_size() {
    let large = "x".repeat(256 * 1024);
    for (limits, fits, beyond) in [
        (Limits::new(), large.clone(), large + "x"),
        (Limits::new().max_discarded(10), "0123456789".to_owned(), "0123456789a".to_owned()),
        (Limits::new().max_discarded(0), String::new(), "a".to_owned()),
    ] {
        let mut world = world(limits);
        let server = world.serve(|_req, res| res.end("x"));
        let mut peer = world.send(&server, post("/", &fits) + &post("/", &beyond));
        assert_eq!(world.answer(&mut peer).text(), "x");
        assert_eq!(world.answer(&mut peer).text(), "x");
        peer.send(get("/", ""));
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "");
        served(&mut world, &server);
    }
}

#[test]
fn a_message_that_nobody_reads_stops_at_the_marks_of_the_loop() {
    let log = Log::new();
    let notes = log.clone();
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = world(Limits::new().high_water_mark(1000).max_buffered(100_000));
    let server = world.serve(move |req, res| {
        if req.url() == "/other" {
            return res.end("x");
        }
        assert_eq!(res.writable_high_water_mark(), 1000);
        let error = notes.clone();
        res.on_error(move |why| {
            assert_eq!(why.kind(), ErrorKind::Limit(Limit::Buffered));
            error.note(why.code());
        });
        res.on_drain(notes.noting("drain"));
        res.on_close(notes.noting("closed"));
        assert!(res.write("a") && !res.write("x".repeat(1000)));
        keeps.set(Some(res));
    });
    let mut peer = world.connect(&server);
    peer.send(get("/", ""));
    world.expect(&mut peer, "a\r\n");
    let lines = log.clone();
    world.until("drain", || lines.has("drain"));
    peer.stop_reading();
    let res = kept.take().expect("a request");
    assert!(!res.write("x".repeat(50_000_000)) && !res.write("one too many"));
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    assert_eq!(log.all(), ["drain", "ERR_BUFFER_OUT_OF_BOUNDS", "closed"]);
    assert_eq!(world.ask(&server, get("/other", "")).text(), "x");
}

#[test]
fn a_byte_stream_stops_at_the_marks_of_its_server() {
    let log = Log::new();
    let kept: Rc<Cell<Option<Socket>>> = Rc::default();
    let mut world = world(Limits::new().high_water_mark(2000).max_buffered(1_000_000_000));
    let options = ServerOptions::new().high_water_mark(1000).max_buffered(100_000);
    let server = world.serve_with(options, |_, res| res.end("x"));
    let take = |notes: Log, keeps: Rc<Cell<Option<Socket>>>| {
        move |_: Request, socket: Socket, _: &[u8]| {
            assert_eq!(socket.writable_high_water_mark(), 1000);
            let error = notes.clone();
            socket.on_error(move |why| {
                assert_eq!(why.kind(), ErrorKind::Limit(Limit::Buffered));
                error.note(why.code());
            });
            socket.on_drain(notes.noting("drain"));
            socket.on_close(notes.noting("closed"));
            assert!(socket.write("a") && !socket.write("x".repeat(1000)));
            keeps.set(Some(socket));
        }
    };
    server.on_upgrade(take(log.clone(), Rc::clone(&kept)));
    server.on_connect(take(log.clone(), Rc::clone(&kept)));
    for asks in [
        get("/", "Connection: upgrade\r\nUpgrade: x\r\n"),
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".into(),
    ] {
        log.clear();
        let mut peer = world.connect(&server);
        peer.send(&asks);
        world.expect(&mut peer, "a");
        let lines = log.clone();
        world.until("drain", || lines.has("drain"));
        peer.stop_reading();
        let socket = kept.take().expect("a stream");
        assert!(!socket.write("x".repeat(50_000_000)) && !socket.write("one too many"));
        let lines = log.clone();
        world.until("the end", || lines.has("closed"));
        assert_eq!(log.all(), ["drain", "ERR_BUFFER_OUT_OF_BOUNDS", "closed"]);
        served(&mut world, &server);
    }
}

#[test]
fn answers_that_wait_beyond_the_mark_keep_the_next_request_from_being_looked_at() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = world(Limits::new().high_water_mark(1000));
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        res.end(vec![b'x'; if req.url() == "/large" { 20_000_000 } else { 1 }]);
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/large", "") + &get("/next", ""));
    assert_eq!(world.ask(&server, get("/other", "")).text(), "x");
    for _ in 0..50 {
        world.turn();
    }
    assert_eq!(log.all(), ["/large", "/other"]);
    peer.read_on();
    assert_eq!(world.answer(&mut peer).content.len(), 20_000_000);
    assert_eq!(world.answer(&mut peer).text(), "x");
}

#[test]
fn callbacks_that_wait_for_what_was_written_have_a_number() {
    let mut world = world(Limits::new().max_written_callbacks(3));
    let server = world.serve(|_req, res| {
        for _ in 0..3 {
            res.on_written(|_| ())?;
        }
        let refused = res.on_written(|_| ()).unwrap_err();
        let kind = ErrorKind::Limit(Limit::WriteCallbacks);
        assert_eq!((refused.code(), refused.kind()), ("ERR_OUT_OF_RANGE", kind));
        res.end("x");
        Ok(())
    });
    served(&mut world, &server);
    served(&mut world, &server);
}

#[test]
fn connections_and_their_requests_have_the_numbers_that_the_loop_says() {
    for (limits, counted) in [
        (Limits::new().max_connections(1), true),
        (Limits::new().max_connections_per_address(1), true),
        (Limits::new().max_requests_per_socket(2), false),
        // As not given.
        (Limits::new().max_requests_per_socket(0), false),
    ] {
        let mut world = world(limits);
        let server = reader(&world);
        let mut peer = world.send(&server, get("/", ""));
        assert_eq!(world.answer(&mut peer).text(), "x");
        if counted {
            let log = Log::new();
            let dropped = log.clone();
            server.on_drop(move |_| dropped.note("dropped"));
            let mut second = world.connect(&server);
            world.until_end(&mut second);
            assert_eq!((second.text().as_str(), log.all()), ("", vec!["dropped".to_owned()]));
        }
        peer.send(get("/", ""));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.text(), "x");
        if server.max_requests_per_socket() == Some(2) {
            assert_eq!(answer.field("Connection"), Some("close"));
            world.until_end(&mut peer);
            served(&mut world, &server);
        }
        // What the loop says can be taken back.
        server.set_max_connections(None);
        server.set_max_connections_per_address(None);
        let mut third: Vec<Peer> = (0..3).map(|_| world.send(&server, get("/", ""))).collect();
        for peer in &mut third {
            assert_eq!(world.answer(peer).text(), "x");
        }
    }
}

#[test]
fn what_a_server_says_counts_more_than_what_the_loop_says() {
    let loops = Limits::new()
        .max_header_size(100)
        .max_headers_count(2)
        .max_target_size(10)
        .max_body_size(5)
        .max_discarded(0)
        .high_water_mark(10)
        .max_connections(1)
        .max_connections_per_address(1)
        .max_requests_per_socket(1);
    let mut world = world(loops);
    let options = ServerOptions::new()
        .max_header_size(1000)
        .max_headers_count(4)
        .max_target_size(100)
        .max_body_size(50)
        .max_discarded(50)
        .high_water_mark(5000)
        .max_buffered(6000)
        .max_connections(5)
        .max_connections_per_address(4)
        .max_requests_per_socket(0);
    let server = world.serve_with(options, |_req, res| {
        assert_eq!(res.writable_high_water_mark(), 5000);
        res.end("x");
    });
    assert_eq!((server.max_headers_count(), server.max_requests_per_socket()), (4, None));
    assert_eq!(
        (server.max_connections(), server.max_connections_per_address()),
        (Some(5), Some(4))
    );
    let target = format!("/{}", "x".repeat(99));
    let fields = format!("X: {}\r\nContent-Length: 50\r\n", "x".repeat(200));
    let request = get(&target, &fields) + &"x".repeat(50);
    let mut peers: Vec<Peer> = (0..4).map(|_| world.send(&server, request.repeat(2))).collect();
    for peer in &mut peers {
        assert_eq!(world.answer(peer).text(), "x");
        assert_eq!(world.answer(peer).text(), "x");
    }
    let mut fifth = world.connect(&server);
    world.until_end(&mut fifth);
    peers.clear();
    world.until("room", || server.connections() == 0);
    for (request, status) in [
        (get(&target, "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n"), 431),
        (get("/", &format!("X: {}\r\n", "x".repeat(1000))), 431),
        (get(&(target.clone() + "x"), ""), 414),
        (post("/", &"x".repeat(51)), 413),
    ] {
        assert_eq!(world.ask(&server, request).status, status);
    }
    // A setting that is changed while the server runs leaves the others.
    server.set_max_headers_count(3);
    let mut peer = world.send(&server, get(&target, "A: 1\r\nB: 1\r\n"));
    assert_eq!(world.answer(&mut peer).text(), "x");
    assert_eq!(world.ask(&server, get("/", "A: 1\r\nB: 1\r\nC: 1\r\n")).status, 431);
    // The other servers of the loop have what the loop says.
    let plain = http::create_server(world.lp, |_req, res| res.end("x"));
    assert_eq!((plain.max_headers_count(), plain.max_requests_per_socket()), (2, Some(1)));
    assert_eq!((plain.max_connections(), plain.max_connections_per_address()), (Some(1), Some(1)));
}
