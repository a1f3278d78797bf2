//! A callback that asks for itself again, and is due at once, does not keep the loop from everything else.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{World, get, post};
use onloop::http::{Body, Response};

/// So often, and then it gives in: a test that fails shall end.
const FAR_TOO_OFTEN: usize = 100_000;

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
        let delay = std::time::Duration::from_millis(10);
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
