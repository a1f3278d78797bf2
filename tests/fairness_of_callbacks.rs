//! A callback that asks for itself again, and is due at once, does not keep the loop from everything else.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{World, get, post};
use onloop::http::{self, Body, Response};
use onloop::sim::{SimNet, SimOptions, SimPeer, SimTap};
use onloop::{LoopOptions, Remote};

/// So often, and then it gives in: a test that fails shall end.
const FAR_TOO_OFTEN: usize = 1_000_000;

/// How often a callback ran before a timer did that was due all along.
fn count_before_a_timer(
    start: fn(Body, Response, Rc<Cell<usize>>),
    request: String,
    ends: bool,
) -> usize {
    let mut world = World::new();
    let (count, counted) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(None)));
    let lp = world.lp;
    let (counts, told) = (Rc::clone(&count), Rc::clone(&counted));
    let server = world.serve(move |req, res| {
        let (counts, told) = (Rc::clone(&counts), Rc::clone(&told));
        start(req.body(), res, Rc::clone(&counts));
        // Behind the client's end, which may come later.
        let delay = Duration::from_millis(10);
        lp.set_timeout(delay, move || told.set(Some(counts.replace(FAR_TOO_OFTEN))));
    });
    let mut peer = world.send(&server, request);
    if ends {
        peer.end();
    }
    world.wait("the other callback", || counted.get())
}

fn again_finished(res: Response, count: Rc<Cell<usize>>) {
    count.set(count.get() + 1);
    if count.get() < FAR_TOO_OFTEN {
        res.on_finish(move || again_finished(res, count));
    }
}

fn again_collected(body: Body, count: Rc<Cell<usize>>) {
    count.set(count.get() + 1);
    if count.get() < FAR_TOO_OFTEN {
        body.collect(100, move |_content| again_collected(body, count));
    }
}

fn again_written(res: Response, count: Rc<Cell<usize>>) {
    count.set(count.get() + 1);
    if count.get() < FAR_TOO_OFTEN {
        let _ = res.on_written(move |_result| again_written(res, count));
    }
}

fn again_half_closed(res: Response, count: Rc<Cell<usize>>) {
    count.set(count.get() + 1);
    if count.get() < FAR_TOO_OFTEN {
        res.on_half_close(move || again_half_closed(res, count));
    }
}

#[test]
fn on_half_close_that_asks_for_on_half_close() {
    let count =
        count_before_a_timer(|_body, res, count| again_half_closed(res, count), get("/", ""), true);
    assert!(count < FAR_TOO_OFTEN, "{count}");
}

#[test]
fn on_finish_that_asks_for_on_finish() {
    // The request is not complete, so the exchange goes on behind the end of its response.
    let count = count_before_a_timer(
        |body, res, count| {
            body.resume();
            res.end("x");
            again_finished(res, count);
        },
        get("/", "Content-Length: 10\r\n"),
        false,
    );
    assert!(count < FAR_TOO_OFTEN, "{count}");
}

#[test]
fn collect_that_collects() {
    let count = count_before_a_timer(
        |body, _res, count| again_collected(body, count),
        post("/", "all"),
        false,
    );
    assert!(count < FAR_TOO_OFTEN, "{count}");
}

#[test]
fn on_written_that_asks_for_on_written() {
    let count = count_before_a_timer(
        |_body, res, count| {
            res.write("x");
            again_written(res, count);
        },
        get("/", ""),
        false,
    );
    assert!(count < FAR_TOO_OFTEN, "{count}");
}

fn again_posted(remote: &Remote, count: &Arc<AtomicUsize>) {
    if count.fetch_add(1, Ordering::Relaxed) < FAR_TOO_OFTEN {
        let (again, counts) = (remote.clone(), Arc::clone(count));
        remote.post(move |_| again_posted(&again, &counts)).expect("there is room");
    }
}

#[test]
fn a_post_that_posts_itself() {
    // Also from what the sockets have, which a timer is not.
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, get("/", ""));
    let count = Arc::new(AtomicUsize::new(0));
    again_posted(&world.event_loop.remote(), &count);
    assert_eq!(world.answer(&mut peer).text(), "x");
    assert!(count.swap(FAR_TOO_OFTEN, Ordering::Relaxed) < FAR_TOO_OFTEN);
}

/// Bytes that a handler wrote in one turn, at most, which writes pieces for as long as there is room.
fn most_in_a_turn(write: fn(Response, &Rc<Cell<usize>>)) -> usize {
    // The system takes all of it at once.
    let net = SimNet::with_options(1, SimOptions::default().capacity(TOTAL * 2));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let left = Rc::new(Cell::new(TOTAL));
    let written = Rc::clone(&left);
    let server = http::create_server(event_loop.handle(), move |_req, res| write(res, &left));
    server.listen("127.0.0.1:80").expect("a free port");
    let peer = net.connect(&server.address().expect("it listens"));
    peer.write(get("/", "").as_bytes());
    let (mut most, mut received) = (0, 0);
    while received < TOTAL {
        let before = written.get();
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        most = most.max(before - written.get());
        received += peer.read().len();
        assert!(net.now() < Duration::from_secs(60), "{received} of {TOTAL} bytes came");
    }
    most
}

const TOTAL: usize = 32 << 20;
const PIECE: usize = 256 << 10;

/// What one turn may write, with the head and the piece that goes beyond.
const TURN_BYTES_MAX: usize = 1 << 20;

fn next_piece(left: &Cell<usize>) -> Option<&'static [u8]> {
    static BLOCK: [u8; PIECE] = [b'x'; PIECE];
    let before = left.get();
    left.set(before.saturating_sub(PIECE));
    (before > 0).then_some(&BLOCK)
}

#[test]
fn on_drain_for_a_client_that_takes_everything() {
    let most = most_in_a_turn(|res, left| {
        let left = Rc::clone(left);
        let pump = move || {
            while let Some(piece) = next_piece(&left) {
                if !res.write(piece) {
                    return;
                }
            }
            res.end("");
        };
        pump();
        res.on_drain(pump);
    });
    assert!(most <= TURN_BYTES_MAX, "{most} bytes in one turn");
}

fn write_when_written(res: Response, left: Rc<Cell<usize>>) {
    match next_piece(&left) {
        Some(piece) => {
            res.write(piece);
            let _ = res.on_written(move |_result| write_when_written(res, left));
        }
        None => res.end(""),
    }
}

#[test]
fn on_written_for_a_client_that_takes_everything() {
    let most = most_in_a_turn(|res, left| write_when_written(res, Rc::clone(left)));
    assert!(most <= TURN_BYTES_MAX, "{most} bytes in one turn");
}

/// Most bytes that leave in one turn, where so many clients take `TOTAL` together, each in one piece.
fn most_of_large_pieces(clients: usize) -> usize {
    let net = SimNet::with_options(1, SimOptions::default().capacity(TOTAL * 2));
    let mut event_loop = net.event_loop(LoopOptions::new());
    let server = http::create_server(event_loop.handle(), move |_req, res| {
        res.end(vec![b'x'; TOTAL / clients]);
    });
    server.listen("127.0.0.1:80").expect("a free port");
    let address = server.address().expect("it listens");
    let peers: Vec<SimPeer> = (0..clients).map(|_| net.connect(&address)).collect();
    let taps: Vec<SimTap> = peers.iter().map(SimPeer::tap).collect();
    for peer in &peers {
        peer.write(get("/", "").as_bytes());
    }
    let left = || taps.iter().map(SimTap::len).sum::<usize>();
    let mut most = 0;
    while left() < TOTAL {
        let before = left();
        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
        most = most.max(left() - before);
        assert!(net.now() < Duration::from_secs(60), "{before} of {TOTAL} bytes came");
    }
    most
}

#[test]
fn one_large_piece_for_a_client_that_takes_everything() {
    let most = most_of_large_pieces(1);
    assert!(most <= TURN_BYTES_MAX, "{most} bytes in one turn");
}

#[test]
fn large_pieces_for_clients_that_take_everything() {
    let most = most_of_large_pieces(32);
    assert!(most <= 20 * TURN_BYTES_MAX, "{most} bytes in one turn");
}
