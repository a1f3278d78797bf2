//! How much of a turn each may have, and what waits outside of the loop, where the loop's table says it.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Log, Peer, World, get};
use onloop::http::{self, Server};
use onloop::sim::{SimNet, SimPeer};
use onloop::{ErrorKind, Limit, Limits, LoopHandle, LoopOptions};

fn world(limits: Limits) -> World {
    World::with(LoopOptions::new().limits(limits))
}

/// Turns the loop until there are `all` of something: never more of it in one turn than `most`, and once as many at
/// least as `each`.
#[track_caller]
fn so_many_a_turn(
    world: &mut World,
    (each, most): (usize, usize),
    all: usize,
    mut count: impl FnMut() -> usize,
) {
    let (mut before, mut highest) = (count(), 0);
    for _ in 0..10_000 {
        world.turn();
        let now = count();
        highest = highest.max(now - before);
        assert!(now - before <= most, "{} in one turn", now - before);
        before = now;
        if now == all {
            assert!(highest >= each, "{highest} at the most");
            return;
        }
    }
    panic!("{before} of {all} in all turns");
}

#[test]
fn a_turn_takes_so_many_events() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = world(Limits::new().events_per_turn(2));
    let server = world.serve(move |_req, res| {
        notes.note("request");
        res.end("x");
    });
    let mut peers: Vec<Peer> = (0..7).map(|_| world.send(&server, get("/", ""))).collect();
    for peer in &mut peers {
        assert_eq!(world.answer(peer).text(), "x");
    }
    log.clear();
    for peer in &mut peers {
        peer.send(get("/", ""));
    }
    so_many_a_turn(&mut world, (2, 2), 7, || log.len());
    for peer in &mut peers {
        assert_eq!(world.answer(peer).text(), "x");
    }
}

#[test]
fn a_listener_accepts_so_many_connections_in_a_turn() {
    let mut world = world(Limits::new().accepts_per_turn(2));
    let server = world.serve(|_req, res| res.end("x"));
    let mut peers: Vec<Peer> = (0..7).map(|_| world.send(&server, get("/", ""))).collect();
    // For the event, and once more for what is left over.
    so_many_a_turn(&mut world, (2, 4), 7, || server.connections());
    for peer in &mut peers {
        assert_eq!(world.answer(peer).text(), "x");
    }
}

#[test]
fn so_many_requests_of_a_connection_are_served_in_a_turn() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = world(Limits::new().requests_per_turn(3));
    let server = world.serve(move |_req, res| {
        notes.note("request");
        res.end("x");
    });
    let mut peer = world.send(&server, get("/", "").repeat(10));
    so_many_a_turn(&mut world, (3, 6), 10, || log.len());
    for _ in 0..10 {
        assert_eq!(world.answer(&mut peer).text(), "x");
    }
}

#[test]
fn so_many_reads_of_so_many_bytes_are_made_of_a_connection_in_a_turn() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = world(Limits::new().reads_per_turn(2).read_buffer(1024));
    let server = world.serve(move |req, res| {
        let data = notes.clone();
        req.on_data(move |chunk| {
            assert!(chunk.len() <= 1024);
            chunk.iter().for_each(|_| data.note("byte"));
        });
        req.on_end(move || res.end("x"));
    });
    let mut peer =
        world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20480\r\n\r\n");
    world.until("a connection", || server.connections() == 1);
    peer.send(vec![b'x'; 20_480]);
    so_many_a_turn(&mut world, (2048, 4096), 20_480, || log.len());
    assert_eq!(world.answer(&mut peer).text(), "x");
}

#[test]
fn so_many_posts_run_in_a_turn_and_so_many_wait() {
    let mut world = world(Limits::new().posts_per_turn(2).posts_max(7));
    let remote = world.event_loop.remote();
    let ran = Arc::new(AtomicUsize::new(0));
    for _ in 0..7 {
        let runs = ran.clone();
        let run = move |_: LoopHandle| {
            runs.fetch_add(1, Ordering::Relaxed);
        };
        remote.post(run).unwrap();
    }
    let refused = remote.post(|_| ()).unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::Limit(Limit::Posts), "ERR_POST_FAILED")
    );
    so_many_a_turn(&mut world, (2, 2), 7, || ran.load(Ordering::Relaxed));
    remote.post(|_| ()).expect("there is room again");
}

#[test]
fn a_backlog_is_what_the_system_holds() {
    for (of_loop, of_server, held) in [(3, None, 3), (3, Some(5), 5)] {
        let net = SimNet::new(1);
        let limits = Limits::new().backlog(of_loop);
        let mut event_loop = net.event_loop(LoopOptions::new().limits(limits));
        let mut options = http::ServerOptions::new();
        if let Some(count) = of_server {
            options = options.backlog(count);
        }
        let server = Server::new(event_loop.handle(), options).unwrap();
        server.on_request(|_req, res| res.end("x"));
        server.listen("127.0.0.1:80").unwrap();
        let address = server.address().unwrap();
        let peers: Vec<SimPeer> = (0..10).map(|_| net.connect(&address)).collect();
        net.advance(Duration::from_millis(500));
        assert_eq!(peers.iter().filter(|peer| peer.is_connected()).count(), held);
        // The others try again, and have their turn.
        let mut answers = vec![Vec::new(); peers.len()];
        let mut asked = vec![false; peers.len()];
        while !answers.iter().all(|answer: &Vec<u8>| answer.ends_with(b"\r\n\r\nx")) {
            assert!(net.now() < Duration::from_secs(100), "they wait for ever");
            event_loop.turn(Some(Duration::from_millis(100))).expect("a turn");
            for (at, peer) in peers.iter().enumerate() {
                if peer.is_connected() && !std::mem::replace(&mut asked[at], true) {
                    peer.write(b"GET / HTTP/1.0\r\n\r\n");
                }
                answers[at].extend(peer.read());
            }
        }
    }
}

#[test]
fn shorthands_of_the_loops_options_set_the_same_table() {
    let table = |options: LoopOptions| format!("{options:?}");
    let options = LoopOptions::new()
        .events_per_turn(11)
        .accepts_per_turn(12)
        .reads_per_turn(13)
        .requests_per_turn(14)
        .posts_per_turn(15)
        .posts_max(16)
        .lookups_max(17)
        .lookup_threads(18)
        .read_buffer(1919)
        .free_connections_per_origin(20);
    let limits = Limits::new()
        .events_per_turn(11)
        .accepts_per_turn(12)
        .reads_per_turn(13)
        .requests_per_turn(14)
        .posts_per_turn(15)
        .posts_max(16)
        .lookups_max(17)
        .lookup_threads(18)
        .read_buffer(1919)
        .free_connections_per_origin(20);
    assert_eq!(table(options.clone()), table(LoopOptions::new().limits(limits)));
    // The whole table takes the place of what was set before.
    assert_eq!(table(options.limits(Limits::new())), table(LoopOptions::new()));
}

#[test]
fn the_largest_limits_there_are_can_be_asked_for() {
    let limits = Limits::new()
        .events_per_turn(usize::MAX)
        .accepts_per_turn(usize::MAX)
        .reads_per_turn(usize::MAX)
        .requests_per_turn(usize::MAX)
        .write_bytes_per_turn(usize::MAX)
        .read_buffer(usize::MAX)
        .posts_max(usize::MAX)
        .posts_per_turn(usize::MAX)
        .file_reads_max(usize::MAX)
        .high_water_mark(usize::MAX)
        .max_buffered(usize::MAX)
        .max_header_size(usize::MAX)
        .max_headers_count(usize::MAX)
        .max_target_size(usize::MAX)
        .max_method_size(usize::MAX)
        .max_empty_lines(usize::MAX)
        .max_partial_heads(usize::MAX)
        .max_extensions_per_chunk(usize::MAX)
        .max_extensions_per_message(usize::MAX)
        .max_body_size(u64::MAX)
        .max_discarded(usize::MAX)
        .max_informational(u16::MAX)
        .max_requests_per_socket(u32::MAX)
        .max_connections(usize::MAX)
        .max_connections_per_address(usize::MAX)
        .backlog(u32::MAX)
        .max_written_callbacks(usize::MAX)
        .max_kept_for_repetition(usize::MAX)
        .max_sockets(usize::MAX)
        .max_total_sockets(usize::MAX)
        .max_queued_requests(usize::MAX)
        .free_connections_per_origin(usize::MAX)
        .connection_attempts_max(usize::MAX)
        .addresses_per_name(usize::MAX)
        .lookups_max(usize::MAX)
        .lookup_threads(usize::MAX)
        .cached_names_max(usize::MAX);
    let mut world = world(limits);
    let server = world.serve(|req, res| {
        req.resume();
        req.on_end(move || res.end("all"));
    });
    let mut peer =
        world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    peer.send("3;a=b\r\nabc\r\n0\r\nt: v\r\n\r\n");
    assert_eq!(world.answer(&mut peer).text(), "all");
    let (log, port) = (Log::new(), server.address().and_then(|address| address.port()));
    let noted = log.clone();
    http::get(world.lp, format!("http://localhost:{}/", port.expect("a port")), move |response| {
        response.resume();
        response.on_end(noted.noting("answered"));
    })
    .expect("a request");
    world.until("the answer", || log.has("answered"));
}

/// What a client does not read stays with the handler, not with the system, which would take megabytes for each.
#[test]
#[cfg(target_os = "linux")]
fn the_system_holds_little_for_a_client_that_does_not_read() {
    const PIECE: &[u8] = &[b'x'; 16 * 1024];
    const MOST: usize = 2 << 20;
    let mut world = World::new();
    let written = Rc::new(Cell::new(0));
    let count = Rc::clone(&written);
    let server = world.serve(move |_req, res| {
        let count = Rc::clone(&count);
        let more = move || {
            while count.get() < 4 * MOST {
                count.set(count.get() + PIECE.len());
                if !res.write(PIECE) {
                    return;
                }
            }
            res.end("");
        };
        more();
        res.on_drain(more);
    });
    let _peer = world.send(&server, get("/", ""));
    world.until("an answer that waits", || written.get() > 0);
    for _ in 0..100 {
        world.turn();
    }
    assert!(written.get() < MOST, "{} bytes are written", written.get());
}
