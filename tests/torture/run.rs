//! One run: brings the callback about, lets things go their way, and then takes stock.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;

use onloop::http::{self, RequestOptions, Server, ServerOptions};
use onloop::sim::{self, LoopStats};
use onloop::{EventLoop, LoopHandle, LoopOptions, PanicPolicy};

use crate::Budgets;
use crate::agents;
use crate::bench::{Bench, Peer, Wire};
use crate::context::{Context, Ctx};
use crate::operation::{Intended, Operation, abuse_dead_handles};
use crate::scenario::{self, Kind};
use crate::server_events::peer_bytes;

thread_local! {
    static HOOKED_PANICS: Cell<u32> = const { Cell::new(0) };
}

/// Intended panics pass no hook. One that does is ours, even where the loop contains it.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            HOOKED_PANICS.set(HOOKED_PANICS.get() + 1);
            before(info);
        }));
    });
    HOOKED_PANICS.set(0);
}

struct Run<'a> {
    name: &'a str,
    bench: Bench,
    event_loop: EventLoop,
    ctx: Ctx,
    panics: u32,
    peer: Option<Peer>,
}

/// False, after saying why, when something was not as promised.
pub(crate) fn run(
    wire: Wire,
    budgets: Budgets,
    kind: Kind,
    operation: Operation,
    name: &str,
) -> bool {
    count_panics();
    let tortured = || torture(wire, budgets, kind, operation, name);
    let result = catch_unwind(AssertUnwindSafe(tortured));
    let panics = HOOKED_PANICS.get();
    if result.is_ok() && panics > 0 {
        eprintln!("{name}: a panic was contained that is not the callback's");
    }
    result.is_ok() && panics == 0
}

fn torture(wire: Wire, budgets: Budgets, kind: Kind, operation: Operation, name: &str) {
    let policy = match operation {
        Operation::PanicContained => PanicPolicy::Contain,
        _ => PanicPolicy::Propagate,
    };
    let options = LoopOptions::new().limits(budgets.limits()).panic_policy(policy);
    let bench = Bench::new(wire, options);
    let event_loop = bench.event_loop();
    let lp = event_loop.handle();
    let server = Server::new(lp, ServerOptions::new()).expect("the loop is there");
    server.listen("127.0.0.1:0").expect("there is a free port");
    let ctx = Context::new(kind, operation, lp, server);
    ctx.agent.set(Some(agents::make(ctx)));
    let remote = event_loop.remote();
    remote.unref();
    *ctx.remote.borrow_mut() = Some(remote);
    let mut run = Run { name, bench, event_loop, ctx, panics: 0, peer: None };

    scenario::serve(ctx);
    if let Some(bytes) = peer_bytes(kind) {
        let mut peer = run.bench.connect(&server.address().expect("it listens"));
        peer.write(bytes);
        run.peer = Some(peer);
    }
    if kind == Kind::ServerDrop {
        assert!(run.turn_until(|ctx| ctx.fired.get()), "{name}: no connection was dropped");
    }
    let port = server.port().max(1);
    scenario::start(ctx, port).expect("the request is well-formed");
    assert!(run.turn_until(|ctx| ctx.fired.get()), "{name}: the callback was never called");
    if ctx.drop_loop.get() {
        run.without_the_loop();
    } else {
        run.settle_and_take_stock();
    }
    ctx.check_exchanges(name);
    assert_eq!(ctx.destructed.get(), ctx.constructed.get(), "{name}: captured values were leaked");
    assert_eq!(ctx.shut_out.get(), 0, "{name}: destructors that ran while the loop was borrowed");
}

impl Run<'_> {
    /// Turns until `done`, through the panic of the operation.
    fn turn_until(&mut self, mut done: impl FnMut(Ctx) -> bool) -> bool {
        self.turn_until_stats(|ctx, _| done(ctx))
    }

    fn turn_until_stats(&mut self, mut done: impl FnMut(Ctx, LoopStats) -> bool) -> bool {
        let (ctx, bench) = (self.ctx, &self.bench);
        let (panics, peer) = (&mut self.panics, &mut self.peer);
        loop {
            // A panic leaves the turn; what comes after it is the next turn's.
            let turned = catch_unwind(AssertUnwindSafe(|| {
                bench.turn_until(&mut self.event_loop, |event_loop| {
                    if peer.as_mut().is_some_and(|peer| peer.read().1) {
                        *peer = None;
                    }
                    done(ctx, sim::stats(event_loop))
                })
            }));
            match turned {
                Ok(done) => return done,
                Err(payload) if payload.is::<Intended>() => *panics += 1,
                Err(payload) => resume_unwind(payload),
            }
        }
    }

    fn settle_and_take_stock(&mut self) {
        let (ctx, name) = (self.ctx, self.name);
        if ctx.operation.lets_it_end(ctx.kind) {
            let ended = self.turn_until(|ctx| ctx.open_exchanges().is_empty());
            assert!(ended, "{name}: still open: {:?}: {:?}", ctx.open_exchanges(), self.stats());
        } else {
            let mut turns = 0;
            self.turn_until(|_| {
                turns += 1;
                turns > 5
            });
        }
        let panicked = u32::from(ctx.operation == Operation::Panic);
        assert_eq!(self.panics, panicked, "{name}: panics that left the loop");
        self.answers_a_fresh_request();
        ctx.destroy_all();
        ctx.server.get().close();
        self.peer = None;
        let is_empty = self.turn_until_stats(|ctx, stats| {
            stats.is_empty() && stats.lingering == 0 && ctx.open_exchanges().is_empty()
        });
        assert!(is_empty, "{name}: leaked: {:?} {:?}", self.stats(), ctx.open_exchanges());
        self.event_loop.run().expect("the poller works");
        if self.bench.wire == Wire::Simulated {
            let free = self.stats().free_connections;
            assert_eq!(self.bench.net.open_sockets(), free, "{name}: sockets were leaked");
        }
        ctx.is_over.set(true);
        // What never ran is dropped with the loop, and its destructors find it gone.
        let empty = self.bench.event_loop();
        drop(std::mem::replace(&mut self.event_loop, empty));
        ctx.is_over.set(false);
    }

    fn stats(&self) -> LoopStats {
        sim::stats(&self.event_loop)
    }

    /// The same server, if it is not closed, with the same callback, if that was not removed.
    fn answers_a_fresh_request(&mut self) {
        let (ctx, name) = (self.ctx, self.name);
        let mut server = ctx.server.get();
        if !server.is_listening() {
            server = Server::new(ctx.lp, ServerOptions::new()).expect("the loop is there");
            server.listen("127.0.0.1:0").expect("there is a free port");
            ctx.removed.set(true);
        }
        if ctx.removed.get() {
            server.on_request(move |req, res| scenario::on_request(ctx, req, res));
        }
        let keep_alive = !ctx.operation.closes_free_connections();
        let answer = ask(self.event_loop.handle(), server.port(), keep_alive);
        assert!(
            self.turn_until(|_| answer.borrow().is_some()),
            "{name}: no answer: {:?}",
            self.stats()
        );
        assert_eq!(answer.borrow().as_deref(), Some("200 fresh"), "{name}");
        server.close_idle_connections();
        if server.port() != ctx.server.get().port() {
            server.close();
        }
    }

    /// The loop goes while its handles live. They do nothing, also not to the next loop on the same shell.
    fn without_the_loop(&mut self) {
        let (ctx, name) = (self.ctx, self.name);
        ctx.is_over.set(true);
        let dropped = std::mem::replace(&mut self.event_loop, EventLoop::new().expect("a poller"));
        drop(dropped);
        abuse_dead_handles(ctx);
        self.event_loop = self.bench.event_loop();
        let lp = self.event_loop.handle();
        let server = http::create_server(lp, move |_, res| {
            abuse_dead_handles(ctx);
            res.end("fresh");
        });
        server.listen("127.0.0.1:0").expect("there is a free port");
        let answer = ask(lp, server.port(), true);
        abuse_dead_handles(ctx);
        assert!(self.turn_until(|_| answer.borrow().is_some()), "{name}: no answer after the drop");
        assert_eq!(answer.borrow().as_deref(), Some("200 fresh"), "{name}");
        server.close();
        abuse_dead_handles(ctx);
        self.peer = None;
        let is_empty = self.turn_until_stats(|_, stats| stats.is_empty() && stats.lingering == 0);
        assert!(is_empty, "{name}: leaked after the drop: {:?}", self.stats());
    }
}

/// One request on whatever connection there is; `None` until it is over.
fn ask(lp: LoopHandle, port: u16, keep_alive: bool) -> Rc<RefCell<Option<String>>> {
    let answer: Rc<RefCell<Option<String>>> = Rc::default();
    let text = Rc::new(RefCell::new(String::new()));
    let options = RequestOptions::new("GET", format!("http://127.0.0.1:{port}/fresh"));
    let request = http::request_with(lp, options.keep_alive(keep_alive)).expect("a URL");
    let (head, done, failed) = (text.clone(), answer.clone(), answer.clone());
    request.on_response(move |response| {
        head.borrow_mut().push_str(&format!("{} ", response.status()));
        let (part, whole) = (head.clone(), head);
        response.on_data(move |chunk| part.borrow_mut().push_str(&String::from_utf8_lossy(chunk)));
        response.on_end(move || *done.borrow_mut() = Some(whole.borrow().clone()));
    });
    request.on_error(move |error| *failed.borrow_mut() = Some(error.to_string()));
    request.end("");
    answer
}
