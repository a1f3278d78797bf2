//! Chains of requests whose pauses are about as long as the server's patience.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use onloop::http::{self, RequestOptions};
use onloop::{EventLoop, LoopHandle, Sent, sim};

/// A request that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked, of whom, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    /// Without the path.
    pub(crate) url: String,
    pub(crate) requests: u32,
    /// Chains of requests, each on a free connection where there is one.
    pub(crate) chains: u32,
    /// Between a response and the next request of its chain, in microseconds.
    pub(crate) pause: (u64, u64),
}

/// How each request ended, by its path.
pub(crate) type Ends = HashMap<String, Result<String, (String, Option<Sent>)>>;

struct Load {
    lp: LoopHandle,
    plan: Plan,
    begun: Cell<u32>,
    random: RefCell<fastrand::Rng>,
    ends: RefCell<Ends>,
    reused: Cell<u32>,
}

/// Runs the plan on a loop of its own until every request has ended; says how many were made again, too.
pub(crate) fn run(plan: &Plan) -> (Ends, u64) {
    let began = Instant::now();
    let mut event_loop = EventLoop::new().expect("a loop");
    let load = Rc::new(Load {
        lp: event_loop.handle(),
        plan: plan.clone(),
        begun: Cell::new(0),
        random: RefCell::new(fastrand::Rng::with_seed(1)),
        ends: RefCell::default(),
        reused: Cell::new(0),
    });
    for _ in 0..plan.chains {
        ask(&load);
    }
    event_loop.run().expect("the poller works");
    let left = sim::stats(&event_loop);
    assert!(left.is_empty(), "left: {left:?}");
    let ends = load.ends.take();
    assert_eq!(ends.len(), plan.requests as usize, "each request ends");
    let failed = ends.values().filter(|end| end.is_err()).count();
    let (Plan { name, method, requests, .. }, reused) = (plan, load.reused.get());
    let (repeated, seconds) = (left.repeated_requests, began.elapsed().as_secs_f64());
    println!(
        "{name}: {requests} {method}, {reused} begun on a kept connection, {repeated} repeated, \
         {failed} failed, {seconds:.1} s"
    );
    (ends, repeated)
}

fn ask(load: &Rc<Load>) {
    let number = load.begun.get();
    if number == load.plan.requests {
        return;
    }
    load.begun.set(number + 1);
    let method = load.plan.method;
    let path = format!("/{}/{number}", method.to_lowercase());
    let options = RequestOptions::new(method, format!("{}{path}", load.plan.url)).timeout(PATIENCE);
    let request = http::request_with(load.lp, options).expect("a request");
    load.reused.set(load.reused.get() + u32::from(request.is_reused()));
    request.on_timeout(move || request.destroy());
    let content = Rc::new(RefCell::new(Vec::new()));
    let (ended, name) = (Rc::clone(load), path.clone());
    request.on_response(move |response| {
        let status = response.status();
        let chunks = Rc::clone(&content);
        response.on_data(move |chunk| chunks.borrow_mut().extend_from_slice(chunk));
        response.on_end(move || {
            let text = String::from_utf8_lossy(&content.borrow()).into_owned();
            end(&ended, &name, Ok(format!("{status} {text}")));
        });
    });
    let (failed, name) = (Rc::clone(load), path);
    request.on_error(move |error| {
        end(&failed, &name, Err((error.to_string(), error.sent())));
    });
    let load = Rc::clone(load);
    request.on_close(move || pause(&load));
    request.end(if method == "POST" { "a few bytes of content" } else { "" });
}

fn end(load: &Load, path: &str, end: Result<String, (String, Option<Sent>)>) {
    let before = load.ends.borrow_mut().insert(path.to_owned(), end);
    assert_eq!(before, None, "{path} ends twice");
}

/// The next request of the chain, in a while.
fn pause(load: &Rc<Load>) {
    let (low, high) = load.plan.pause;
    let micros = load.random.borrow_mut().u64(low..high);
    let next = Rc::clone(load);
    load.lp.set_timeout(Duration::from_micros(micros), move || ask(&next));
}
