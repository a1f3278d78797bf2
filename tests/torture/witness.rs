//! Values of the user's with destructors that call handles, wherever such a value can be given away.

use std::cell::Cell;
use std::time::Duration;

use onloop::http::{Agent, AgentOptions};

use crate::context::Ctx;
use crate::operation::use_everything;

thread_local! {
    /// The run of this thread: the owner of shared bytes must be `Send`, which handles are not.
    static PRESENT: Cell<Option<Ctx>> = const { Cell::new(None) };
}

/// A value of the user's whose destructor calls handles. It must never run while the loop is in use by
/// itself: then the calls would do nothing.
struct Witness(Vec<u8>);

impl Witness {
    fn new(ctx: Ctx) -> Witness {
        PRESENT.set(Some(ctx));
        ctx.constructed.set(ctx.constructed.get() + 1);
        Witness(b"content that is shared".to_vec())
    }

    /// As content: small ones are copied, large ones sent from where they are.
    fn bytes(ctx: Ctx, size: usize) -> bytes::Bytes {
        let mut witness = Witness::new(ctx);
        witness.0 = vec![b'x'; size];
        bytes::Bytes::from_owner(witness)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let ctx = PRESENT.get().expect("set when it was made");
        ctx.destructed.set(ctx.destructed.get() + 1);
        if !ctx.lp.is_open() && !ctx.is_over.get() {
            ctx.shut_out.set(ctx.shut_out.get() + 1);
        }
        use_everything(ctx);
    }
}

impl AsRef<[u8]> for Witness {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Everything that takes a closure or shared content gets one with a destructor, twice: the first ones are
/// dropped by being replaced, the others whenever their time comes.
pub(crate) fn destructors(ctx: Ctx) {
    for _ in 0..2 {
        for body in ctx.bodies.borrow().clone() {
            let witness = Witness::new(ctx);
            body.on_data(move |_| _ = &witness);
            let witness = Witness::new(ctx);
            body.on_aborted(move || drop(witness));
            let witness = Witness::new(ctx);
            body.collect(10, move |_| drop(witness));
            let witness = Witness::new(ctx);
            body.on_close(move || drop(witness));
        }
        for res in ctx.responses.borrow().clone() {
            let witness = Witness::new(ctx);
            res.on_timeout(move || _ = &witness);
            res.write(Witness::bytes(ctx, 10));
            res.write(Witness::bytes(ctx, 40_000));
        }
        for request in ctx.requests.borrow().clone() {
            let witness = Witness::new(ctx);
            request.on_information(move |_| _ = &witness);
            let witness = Witness::new(ctx);
            request.on_socket(move |_| _ = &witness);
            let witness = Witness::new(ctx);
            request.on_connect(move |_, _, _| drop(witness));
            request.write(Witness::bytes(ctx, 10));
        }
        for socket in ctx.sockets.borrow().clone() {
            let witness = Witness::new(ctx);
            socket.on_timeout(move || _ = &witness);
            socket.write(Witness::bytes(ctx, 10));
        }
        let witness = Witness::new(ctx);
        let options = AgentOptions::new().lookup(move |_, _| _ = &witness);
        let witness = Witness::new(ctx);
        let options = options.create_connection(move |_, _| _ = &witness);
        if let Ok(agent) = Agent::new(ctx.lp, options) {
            agent.close();
        }
        let witness = Witness::new(ctx);
        ctx.lp.set_timeout(Duration::from_secs(60), move || drop(witness)).clear();
        let witness = Witness::new(ctx);
        ctx.lp.set_immediate(move || drop(witness)).clear();
    }
    for res in ctx.responses.borrow().clone() {
        res.end(Witness::bytes(ctx, 10));
        res.end(Witness::bytes(ctx, 10));
    }
    ctx.requests.borrow().clone().iter().for_each(|request| request.end(""));
}
