//! SIGTERM and SIGINT end a server politely: what the servers among the examples share.
//!
//! Signals are waited for by a thread of their own, which posts to the loop. Handles belong to the loop's
//! thread and cannot be sent to the other one, so the callback stays here in a thread-local.

use std::cell::RefCell;
use std::time::Duration;

use onloop::http::Server;
use onloop::{EventLoop, LoopHandle, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How long exchanges in flight may take after the signal.
const GRACE: Duration = Duration::from_secs(10);

thread_local! {
    static SERVER: RefCell<Option<Server>> = const { RefCell::new(None) };
}

/// At the first signal the server accepts no more, exchanges in flight end, and the loop with them; at the
/// second, or when the grace time is over, the loop stops at once.
pub(crate) fn on_signals(event_loop: &EventLoop, server: Server) -> Result<()> {
    SERVER.set(Some(server));
    let remote = event_loop.remote();
    remote.unref();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // Refused only when the loop is gone, and the process ends with it.
            let _ = remote.post(shut_down);
        }
    });
    Ok(())
}

fn shut_down(lp: LoopHandle) {
    match SERVER.take() {
        Some(server) => {
            server.close();
            lp.set_timeout(GRACE, move || lp.stop()).unref();
        }
        None => lp.stop(),
    }
}
