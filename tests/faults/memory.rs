//! Memory on the way out, counted by the allocator: a client that does not read costs what the limits say,
//! whatever the handler does, and nothing once it is gone.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use onloop::http::{self, Chunk, Response, ServerOptions};
use onloop::{ErrorKind, Limit, Limits, LoopOptions};

use crate::common::{Log, Peer, World, get, raw_server};
use crate::counting::{LIVE, PEAK};

const MB: usize = 1 << 20;

/// What comes on top of a limit: the room of a buffer that is not full, a piece, what a loop needs besides.
const SMALL: usize = 400 * 1024;

/// What may be kept of a connection that is gone, in pools.
const KEPT: usize = 4096;

/// What a handler would write if it was let.
const GIGABYTE: usize = 1 << 30;

/// The most that is allocated from now on, beyond what is allocated now.
struct Gauge {
    before: isize,
}

impl Gauge {
    fn start() -> Gauge {
        let before = LIVE.get();
        PEAK.set(before);
        Gauge { before }
    }

    fn most(&self) -> usize {
        usize::try_from(PEAK.get() - self.before).unwrap_or(0)
    }

    fn left(&self) -> usize {
        usize::try_from(LIVE.get() - self.before).unwrap_or(0)
    }
}

/// Writes a gigabyte by `piece`, whatever is said to it; how much was taken.
fn flood(
    res: Response,
    log: &Log,
    mut piece: impl FnMut(Response) -> onloop::Result<usize>,
) -> usize {
    res.on_error(log.noting_error("error"));
    res.on_close(log.noting("close"));
    let mut taken = 0;
    for _ in 0..10_000_000 {
        match piece(res) {
            Ok(_) if taken >= GIGABYTE => break,
            Ok(count) => taken += count,
            Err(error) => {
                assert_eq!(error.code(), "ERR_BUFFER_OUT_OF_BOUNDS");
                assert_eq!(error.kind(), ErrorKind::Limit(Limit::Buffered));
                break;
            }
        }
    }
    // Nothing more is taken, whoever tries.
    for _ in 0..100_000 {
        assert!(!res.write("more"));
    }
    taken
}

/// How the pieces come.
#[derive(Debug, Clone, Copy)]
enum Pieces {
    /// Borrowed, of so many bytes.
    Small(usize),
    Owned(usize),
    Shared(usize),
}

impl Pieces {
    /// Gives the next one to `write`; its size.
    fn write(self, write: impl FnOnce(Chunk<'_>) -> onloop::Result<()>) -> onloop::Result<usize> {
        match self {
            Pieces::Small(size) => write(Chunk::from(&[b'x'; 4096][..size]))?,
            Pieces::Owned(size) => write(Chunk::from(vec![b'x'; size]))?,
            Pieces::Shared(size) => write(Chunk::from(Bytes::from(vec![b'x'; size])))?,
        }
        Ok(self.size())
    }

    fn size(self) -> usize {
        match self {
            Pieces::Small(size) | Pieces::Owned(size) | Pieces::Shared(size) => size,
        }
    }
}

/// A client that has asked and does not read.
fn deaf(world: &World, server: &onloop::http::Server) -> Peer {
    let mut peer = world.connect(server);
    peer.stop_reading();
    peer.send(get("/", ""));
    peer
}

#[test]
fn a_handler_that_heeds_nothing_is_stopped_at_the_limit() {
    for cap in [MB, 16 * MB] {
        for pieces in [
            Pieces::Small(1),
            Pieces::Small(100),
            Pieces::Small(4096),
            Pieces::Owned(100_000),
            Pieces::Shared(100_000),
        ] {
            let mut world = World::new();
            let (log, taken) = (Log::new(), Rc::new(Cell::new(0)));
            let (noted, count) = (log.clone(), Rc::clone(&taken));
            let server = world.serve_with(ServerOptions::new().max_buffered(cap), move |_, res| {
                count.set(flood(res, &noted, |res| {
                    pieces.write(|bytes| res.try_write(bytes).map(drop))
                }));
            });
            let peer = deaf(&world, &server);
            let gauge = Gauge::start();
            world.until("the end", || log.has("close"));
            assert_eq!(log.all(), ["error ERR_BUFFER_OUT_OF_BOUNDS", "close"]);
            assert!(taken.get() < cap + pieces.size(), "{pieces:?}: {} taken", taken.get());
            assert!(gauge.most() < cap + SMALL, "{pieces:?}: {} bytes", gauge.most());
            drop(peer);
            world.until("its end", || server.connections() == 0);
            assert!(gauge.left() < KEPT, "{pieces:?}: {} bytes are kept", gauge.left());
        }
    }
}

#[test]
fn a_server_that_does_not_read_costs_a_client_no_more_than_the_limit() {
    for pieces in [Pieces::Small(100), Pieces::Owned(100_000)] {
        let mut world = World::with(LoopOptions::new().limits(Limits::new().max_buffered(MB)));
        let log = Log::new();
        let (listener, url) = raw_server();
        let request = http::request(world.lp, "POST", &url).expect("a request");
        request.on_error(log.noting_error("error"));
        request.on_close(log.noting("close"));
        let mut peer = world.accept(&listener);
        peer.stop_reading();
        let gauge = Gauge::start();
        let mut taken = 0;
        while let Ok(count) = pieces.write(|bytes| request.try_write(bytes).map(drop)) {
            taken += count;
            assert!(taken < GIGABYTE);
        }
        world.until("the end", || log.has("close"));
        assert_eq!(log.all(), ["error ERR_BUFFER_OUT_OF_BOUNDS", "close"]);
        assert!(gauge.most() < MB + SMALL, "{pieces:?}: {} bytes", gauge.most());
        drop(peer);
        world.until_over();
        assert!(gauge.left() < KEPT, "{pieces:?}: {} bytes are kept", gauge.left());
    }
}

#[test]
fn a_byte_stream_that_nobody_reads_has_the_same_limit() {
    for pieces in [Pieces::Small(100), Pieces::Owned(100_000)] {
        let mut world = World::with(LoopOptions::new().limits(Limits::new().max_buffered(MB)));
        let log = Log::new();
        let server = world.serve(|_, res| res.end(""));
        let noted = log.clone();
        server.on_upgrade(move |_, socket, _| {
            socket.on_error(noted.noting_error("error"));
            socket.on_close(noted.noting("close"));
            let mut taken = 0;
            while let Ok(count) = pieces.write(|bytes| socket.try_write(bytes).map(drop)) {
                taken += count;
                assert!(taken < GIGABYTE);
            }
        });
        let mut peer = world.connect(&server);
        peer.stop_reading();
        let gauge = Gauge::start();
        peer.send(get("/", "Connection: upgrade\r\nUpgrade: raw\r\n"));
        world.until("the end", || log.has("close"));
        assert_eq!(log.all(), ["error ERR_BUFFER_OUT_OF_BOUNDS", "close"]);
        assert!(gauge.most() < MB + SMALL, "{pieces:?}: {} bytes", gauge.most());
    }
}

#[test]
fn many_clients_that_do_not_read_take_what_the_limit_says_and_give_it_back() {
    const COUNT: usize = 50;
    let mut world = World::new();
    let log = Log::new();
    let noted = log.clone();
    let server = world.serve_with(ServerOptions::new().max_buffered(MB), move |_, res| {
        res.on_close(noted.noting("close"));
        // As much as is taken without a complaint.
        while res.writable_length() < MB {
            assert!(res.try_write(&[b'x'; 100]).is_ok());
        }
        noted.note("full");
    });
    let gauge = Gauge::start();
    let peers: Vec<_> = (0..COUNT).map(|_| deaf(&world, &server)).collect();
    world.until("all answers", || log.count("full") == COUNT);
    assert!(gauge.most() < COUNT * MB + COUNT * SMALL, "{} bytes", gauge.most());
    drop(peers);
    world.until("the end of all", || log.count("close") == COUNT && server.connections() == 0);
    log.clear();
    assert!(gauge.left() < COUNT * KEPT, "{} bytes are kept", gauge.left());
}

#[test]
fn who_heeds_backpressure_stays_at_the_high_water_mark_however_many_read_slowly() {
    const COUNT: usize = 20;
    const LENGTH: usize = 2_000_000;
    let mut world = World::new();
    let log = Log::new();
    let noted = log.clone();
    let server = world.serve(move |_, res| {
        res.on_close(noted.noting("close"));
        let mut left = LENGTH;
        let mut more = move || {
            while left > 0 {
                left -= 1000;
                if !res.write(&[b'x'; 1000]) {
                    return;
                }
            }
            res.end("");
        };
        more();
        res.on_drain(more);
    });
    let mut peers: Vec<_> = (0..COUNT).map(|_| deaf(&world, &server)).collect();
    let gauge = Gauge::start();
    for _ in 0..100 {
        world.turn();
    }
    // 64 KiB each, and the framing of small chunks.
    assert!(gauge.most() < COUNT * (64 * 1024 + 32 * 1024) + SMALL, "{} bytes", gauge.most());
    let mut most = gauge.most();
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while log.count("close") < COUNT && std::time::Instant::now() < patience {
        for peer in &mut peers {
            // What the test holds of it is not the server's.
            peer.received = Vec::new();
        }
        let gauge = Gauge::start();
        world.turn();
        most = most.max(gauge.most());
        for peer in &mut peers {
            peer.read_on();
            peer.pump();
            peer.stop_reading();
        }
    }
    assert_eq!(log.count("close"), COUNT);
    assert!(most < COUNT * (64 * 1024 + 32 * 1024) + SMALL, "{most} bytes in a turn");
}
