//! Promises 2 and 9: a destructor of the user's that panics is a panic like any other. It comes out of `turn`, or is
//! contained, and neither the connection nor the loop is the worse for it.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use onloop::sim::{self, stats};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        // Past the panic hook, so that the output is not full of it; and one at a time, as Rust asks.
        if !std::thread::panicking() {
            resume_unwind(Box::new("intended"));
        }
    }
}

impl AsRef<[u8]> for Bomb {
    fn as_ref(&self) -> &[u8] {
        &[b'x'; 50_000]
    }
}

/// Runs what `serve` makes under both policies, sends it two requests at once and one on another connection. Says how
/// many answers with `fine` came on the first one.
#[track_caller]
fn answers(serve: impl Fn(&Bench)) -> [usize; 2] {
    [PanicPolicy::Propagate, PanicPolicy::Contain].map(|policy| {
        let mut bench = Bench::with_policy(policy);
        serve(&bench);
        let peer = bench.connect();
        peer.write(GET.repeat(2).as_bytes());
        let (mut panics, mut answers) = (0, String::new());
        for _ in 0..20 {
            panics += usize::from(catch_unwind(AssertUnwindSafe(|| bench.turn())).is_err());
            sim::check(&bench.event_loop).expect("the loop is in order");
            answers += &text(&peer);
        }
        assert_eq!(panics > 0, policy == PanicPolicy::Propagate, "{panics} with {policy:?}");
        drop(peer);
        let other = bench.send(&GET.replace(" / ", " /other "));
        assert!(text(&other).ends_with("fine"), "{policy:?}: {}", text(&other));
        drop(other);
        bench.settle();
        assert_eq!(stats(&bench.event_loop).server_connections, 0, "{policy:?}");
        answers.matches("fine").count()
    })
}

#[test]
fn what_was_never_called_and_panics_when_it_is_dropped_takes_nothing_along() {
    let found = answers(|bench| {
        let mut bombs = vec![Bomb];
        bench.serve(move |_, res| {
            let bomb = bombs.pop();
            res.on_error(move |_| drop(bomb));
            res.end("fine");
        });
    });
    assert_eq!(found, [2, 2]);
}

#[test]
fn a_callback_that_replaces_itself_and_panics_when_it_is_dropped_loses_no_request() {
    let found = answers(|bench| {
        let server = Rc::new(RefCell::new(None::<Server>));
        let own = Rc::clone(&server);
        let bomb = Bomb;
        *server.borrow_mut() = Some(bench.serve(move |_, res| {
            let _is_mine = &bomb;
            own.borrow().unwrap().on_request(|_, res| res.end("fine"));
            res.end("fine");
        }));
    });
    assert_eq!(found, [2, 2]);
}

/// Panics when it is dropped, also where a panic is under way.
struct SecondBomb;

impl Drop for SecondBomb {
    fn drop(&mut self) {
        resume_unwind(Box::new("intended, too"));
    }
}

#[test]
fn a_callback_that_panics_and_once_more_when_it_is_dropped_does_not_end_the_process() {
    let found = answers(|bench| {
        let server = Rc::new(RefCell::new(None::<Server>));
        let own = Rc::clone(&server);
        let bomb = SecondBomb;
        *server.borrow_mut() = Some(bench.serve(move |_, _| {
            let _is_mine = &bomb;
            own.borrow().unwrap().on_request(|_, res| res.end("fine"));
            resume_unwind(Box::new("intended"));
        }));
    });
    assert_eq!(found, [0, 0], "the first answer is 500 and the last");
}

#[test]
fn an_interval_that_clears_itself_and_panics_when_it_is_dropped_stops_nothing() {
    let found = answers(|bench| {
        bench.serve(|_, res| res.end("fine"));
        let lp = bench.lp;
        let timer = Rc::new(RefCell::new(None::<onloop::Timer>));
        let (own, bomb) = (Rc::clone(&timer), Bomb);
        *timer.borrow_mut() = Some(lp.set_interval(Duration::from_millis(1), move || {
            let _is_mine = &bomb;
            own.borrow().unwrap().clear();
        }));
    });
    assert_eq!(found, [2, 2]);
}

#[test]
fn an_owner_of_shared_content_that_panics_when_it_is_dropped_loses_no_request() {
    let found = answers(|bench| {
        let mut bombs = vec![Bomb];
        bench.serve(move |_, res| {
            if let Some(bomb) = bombs.pop() {
                res.write(bytes::Bytes::from_owner(bomb));
            }
            res.end("fine");
        });
    });
    assert_eq!(found, [2, 2]);
}

#[test]
fn two_owners_that_panic_when_they_are_dropped_together_do_not_end_the_process() {
    let found = answers(|bench| {
        let mut bombs = vec![Bomb, Bomb];
        bench.serve(move |_, res| {
            for bomb in bombs.drain(..) {
                res.write(bytes::Bytes::from_owner(bomb));
            }
            res.end("fine");
        });
    });
    assert_eq!(found, [2, 2]);
}

#[test]
fn a_closed_server_whose_callbacks_panic_when_they_are_dropped_is_over() {
    for policy in [PanicPolicy::Propagate, PanicPolicy::Contain] {
        let mut bench = Bench::with_policy(policy);
        let bomb = Bomb;
        let server = bench.serve(move |_, res| {
            let _is_mine = &bomb;
            res.end("fine");
        });
        let log = Log::default();
        server.on_close(log.hook("closed"));
        server.close();
        let turned = catch_unwind(AssertUnwindSafe(|| bench.turn()));
        assert_eq!(turned.is_err(), policy == PanicPolicy::Propagate, "{policy:?}");
        sim::check(&bench.event_loop).expect("the loop is in order");
        assert_eq!(log.all(), ["closed"]);
        bench.settle();
    }
}
