//! A server that can be replaced while it works: `graceful_shutdown [ADDRESS [GRACE_SECONDS]]`, by default on
//! `127.0.0.1:8080` with 10 seconds. It prints what happens.
//!
//! At SIGTERM or SIGINT it stops accepting, closes the connections that are idle, and lets requests in flight
//! finish: their answers say `Connection: close`. When the last one is gone the loop has nothing left to wait
//! for, and `run` returns. A second signal, or the end of the grace time, closes what is left. To see it, press
//! Ctrl-C while this waits in another terminal:
//!
//! ```text
//! curl -i http://127.0.0.1:8080/slow
//! ```

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Request, Response, Server};
use onloop::{EventLoop, LoopHandle, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

thread_local! {
    /// What the first signal takes, and later ones find gone. A post from the thread of signals cannot bring
    /// these along: handles belong to the loop's thread.
    static RUNNING: RefCell<Option<Server>> = const { RefCell::new(None) };
    static CLOSING: RefCell<Option<Server>> = const { RefCell::new(None) };
}

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let grace = arguments.next().map_or(Ok(10.0), |seconds| seconds.parse());
    let Some(grace) = grace.ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    else {
        eprintln!("usage: graceful_shutdown [ADDRESS [GRACE_SECONDS]]");
        std::process::exit(2);
    };
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();

    let server = http::create_server(lp, move |req, res| serve(lp, &req, res));
    server.on_close(|| println!("the last connection is closed"));
    server.listen(&address)?;
    on_signals(&event_loop, server, grace)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }

    event_loop.run()?;
    println!("nothing is left to wait for");
    Ok(())
}

fn serve(lp: LoopHandle, req: &Request, res: Response) {
    let line = format!("{} {}", req.method(), req.url());
    println!("{line}: begins");
    let is_slow = req.url() == "/slow";
    // Who asks for the content is told when all of it is there; until then the request is in flight, too.
    req.on_data(|_| {});
    req.on_end(move || {
        let delay = if is_slow { Duration::from_secs(5) } else { Duration::ZERO };
        lp.set_timeout(delay, move || res.end("done\n"));
    });
    let is_answered = Rc::new(Cell::new(false));
    let answering = is_answered.clone();
    res.on_finish(move || answering.set(true));
    res.on_close(move || {
        println!("{line}: {}", if is_answered.get() { "answered" } else { "broken off" });
    });
}

/// Waits for signals on a thread of its own, which posts to the loop.
fn on_signals(event_loop: &EventLoop, server: Server, grace: Duration) -> Result<()> {
    RUNNING.set(Some(server));
    let remote = event_loop.remote();
    // The thread waits for ever. The loop must not wait for the thread.
    remote.unref();
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let name = if signal == SIGTERM { "SIGTERM" } else { "SIGINT" };
            // Refused only when the loop is gone, and the process ends with it.
            let _ = remote.post(move |lp| on_signal(lp, name, grace));
        }
    });
    Ok(())
}

fn on_signal(lp: LoopHandle, name: &str, grace: Duration) {
    match RUNNING.take() {
        Some(server) => {
            println!("{name}: no new connections; requests in flight have {grace:?} to finish");
            server.close();
            CLOSING.set(Some(server));
            // Where all requests finish before, this timer does not keep the loop running.
            lp.set_timeout(grace, || close_all("the grace time is over")).unref();
        }
        None => close_all(name),
    }
}

fn close_all(reason: &str) {
    if let Some(server) = CLOSING.take() {
        println!("{reason}: closing the connections that are left");
        server.close_all_connections();
    }
}
