//! Promise 2: no user code, closure destructors included, runs while our state is borrowed. One test per place:
//! a handle that is used there must find the loop, not do nothing.

use std::cell::Cell;

use super::*;
use onloop::Error;
use onloop::http::HeaderValue;

/// Says whether the loop could be used when it was dropped.
struct Witness {
    lp: LoopHandle,
    log: Log,
    name: &'static str,
}

impl Drop for Witness {
    fn drop(&mut self) {
        let free = if self.lp.is_open() { "" } else { " SHUT OUT" };
        self.log.add(format!("{}{free}", self.name));
    }
}

/// A closure with a destructor.
fn witness(bench: &Bench, log: &Log, name: &'static str) -> impl FnMut() + 'static {
    let witness = Witness { lp: bench.lp, log: log.clone(), name };
    move || _ = &witness
}

fn takes(mut hook: impl FnMut() + 'static) -> impl FnMut(&[u8]) + 'static {
    move |_| hook()
}

#[test]
fn a_replaced_callback_of_a_server_is_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let server = bench.serve(|_, _| {});
    let mut on_request = witness(&bench, &log, "on_request");
    server.on_request(move |_, _| on_request());
    let mut removed = witness(&bench, &log, "off_request");
    server.on_request(move |_, _| removed());
    server.off_request();
    let mut upgrade = witness(&bench, &log, "on_upgrade");
    server.on_upgrade(move |_, _, _| upgrade());
    server.on_upgrade(|_, _, _| {});
    let mut should = witness(&bench, &log, "should_upgrade");
    server.should_upgrade(move |_| {
        should();
        true
    });
    server.should_upgrade(|_| true);
    let mut error = witness(&bench, &log, "on_client_error");
    server.on_client_error(move |_, _| error());
    server.on_client_error(|_, _| {});
    server.on_close(witness(&bench, &log, "on_close"));
    server.on_close(|| {});
    let expected = [
        "on_request",
        "off_request",
        "on_upgrade",
        "should_upgrade",
        "on_client_error",
        "on_close",
    ];
    assert_eq!(log.all(), expected);
    bench.settle();
}

#[test]
fn a_replaced_callback_of_a_request_and_a_cleared_timer_are_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let request = http::request(bench.lp, "GET", "http://127.0.0.1/").unwrap();
    macro_rules! replaced {
        ($($name:ident($($argument:tt),*);)*) => {$(
            let mut hook = witness(&bench, &log, stringify!($name));
            request.$name(move |$($argument),*| hook());
            request.$name(|$($argument),*| {});
        )*};
    }
    replaced! {
        on_response(_); on_information(_); on_continue(); on_upgrade(_, _, _);
        on_drain(); on_finish(); on_close(); on_error(_); on_timeout();
    }
    request.on_drain(witness(&bench, &log, "off_drain"));
    request.off_drain();
    request.on_timeout(witness(&bench, &log, "off_timeout"));
    request.off_timeout();
    for _ in 0..1024 {
        request.on_written(|_| ()).unwrap();
    }
    let mut hook = witness(&bench, &log, "on_written");
    assert!(request.on_written(move |_| hook()).is_err());
    let later = Duration::from_secs(9);
    bench.lp.set_timeout(later, witness(&bench, &log, "timer")).clear();
    bench.lp.set_interval(later, witness(&bench, &log, "interval")).clear();
    bench.lp.set_immediate(witness(&bench, &log, "immediate")).clear();
    assert_eq!(log.all().len(), 9 + 6);
    assert!(log.all().iter().all(|line| !line.contains("SHUT OUT")), "{:?}", log.all());
    bench.settle();
}

#[test]
fn callbacks_of_a_body_are_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let make = {
        let (lp, log) = (bench.lp, log.clone());
        move |name| {
            let witness = Witness { lp, log: log.clone(), name };
            move || _ = &witness
        }
    };
    bench.serve(move |req, res| {
        req.on_data(takes(make("replaced data")));
        req.on_data(takes(make("data")));
        let (first, second) = (make("replaced collect"), make("collect"));
        req.collect(0, move |_| first());
        req.collect(0, move |_| second());
        req.on_end(make("replaced end"));
        req.on_end(make("end"));
        req.on_aborted(make("aborted"));
        res.on_timeout(make("timeout"));
        res.end("");
    });
    drop(bench.send(POST));
    let mut dropped = log.all();
    assert_eq!(dropped[..3], ["replaced data", "replaced collect", "replaced end"]);
    dropped.sort();
    // Whether they were called or never had to be: all are dropped with the exchange, while it can be used.
    let all = ["aborted", "collect", "data", "end"];
    let replaced = ["replaced collect", "replaced data", "replaced end", "timeout"];
    assert_eq!(dropped, [all, replaced].concat());
}

#[test]
fn a_callback_that_replaces_or_removes_itself_is_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let (lp, dropped) = (bench.lp, log.clone());
    bench.serve(move |req, res| {
        let body = req.body();
        let first = Witness { lp, log: dropped.clone(), name: "replaced itself" };
        let second = Witness { lp, log: dropped.clone(), name: "removed itself" };
        let mut second = Some(second);
        req.on_data(move |_| {
            let _ = &first;
            let second = second.take();
            body.on_data(move |_| {
                let _ = &second;
                body.off_data();
            });
        });
        req.on_end(move || res.end(""));
    });
    let peer = bench.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab");
    peer.write(b"cd");
    bench.settle();
    assert_eq!(log.all(), ["replaced itself", "removed itself"]);
    peer.write(b"ef");
    bench.settle();
    assert!(text(&peer).contains("200 OK"));
}

#[test]
fn a_callback_for_what_is_over_is_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let request = http::request(bench.lp, "GET", "http://127.0.0.1/").unwrap();
    request.destroy();
    macro_rules! dead {
        ($($name:ident($($argument:tt),*);)*) => {$(
            let mut hook = witness(&bench, &log, stringify!($name));
            request.$name(move |$($argument),*| hook());
        )*};
    }
    dead! {
        on_response(_); on_information(_); on_continue(); on_upgrade(_, _, _);
        on_drain(); on_finish(); on_close(); on_error(_); on_timeout();
    }
    let mut hook = witness(&bench, &log, "on_written");
    assert!(request.on_written(move |_| hook()).is_err());
    let server = bench.serve(|_, _| {});
    server.close();
    bench.settle();
    let mut hook = witness(&bench, &log, "on_request");
    server.on_request(move |_, _| hook());
    server.on_close(witness(&bench, &log, "server on_close"));
    assert_eq!(log.all().len(), 12);
    assert!(log.all().iter().all(|line| !line.contains("SHUT OUT")), "{:?}", log.all());
}

#[test]
fn a_closed_servers_callbacks_are_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let server = bench.serve(|_, _| {});
    let mut hook = witness(&bench, &log, "on_request");
    server.on_request(move |_, _| hook());
    server.on_close(witness(&bench, &log, "on_close"));
    server.close();
    bench.settle();
    assert_eq!(log.all(), ["on_close", "on_request"]);
}

#[test]
fn the_loops_own_end_drops_callbacks_while_it_is_gone_and_nothing_is_borrowed() {
    let bench = Bench::new();
    let log = Log::default();
    let server = bench.serve(|_, _| {});
    let mut hook = witness(&bench, &log, "on_request");
    server.on_request(move |_, _| {
        server.close();
        hook();
    });
    bench.lp.set_timeout(Duration::from_secs(1), witness(&bench, &log, "timer"));
    let other = EventLoop::new().unwrap();
    let other_lp = other.handle();
    // A destructor may use another loop, or make one.
    struct Makes(LoopHandle, Log);
    impl Drop for Makes {
        fn drop(&mut self) {
            let event_loop = EventLoop::new().unwrap();
            let usable = self.0.is_open() && event_loop.handle().is_open();
            self.1.add(if usable { "makes a loop" } else { "MAKES NONE" });
        }
    }
    let makes = Makes(other_lp, log.clone());
    bench.lp.set_immediate(move || drop(makes));
    drop(bench);
    let mut dropped = log.all();
    dropped.sort();
    assert_eq!(dropped, ["makes a loop", "on_request SHUT OUT", "timer SHUT OUT"]);
}

/// Shared content whose owner is the user's; it must be `Send`, so it looks its loop up.
struct Owner(Vec<u8>);

thread_local! {
    static OWNERS_LOOP: Cell<Option<LoopHandle>> = const { Cell::new(None) };
    static OWNERS_DROPPED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let free = OWNERS_LOOP.get().is_some_and(LoopHandle::is_open);
        let (all, shut_out) = OWNERS_DROPPED.get();
        OWNERS_DROPPED.set((all + 1, shut_out + usize::from(!free)));
    }
}

#[test]
fn the_owner_of_shared_content_is_dropped_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    OWNERS_LOOP.set(Some(bench.lp));
    let shared = |size| bytes::Bytes::from_owner(Owner(vec![b'x'; size]));
    let large = 100_000;
    bench.serve(move |req, res| {
        match req.url() {
            "/sent" => {
                res.write(shared(10));
                res.write(shared(large));
            }
            "/too-much" => {
                res.set_header("Content-Length", 5).unwrap();
                res.write(shared(large));
            }
            "/cut-off" => {
                res.write(shared(large));
                res.destroy();
            }
            // Nothing of it is sent.
            _ => {
                res.set_status(204);
                res.write(shared(10));
                res.write(shared(large));
            }
        }
        res.end(shared(10));
        res.end(shared(large));
        res.write(shared(10));
    });
    for target in ["/sent", "/too-much", "/cut-off", "/none"] {
        let peer = bench.send(&GET.replace(" / ", &format!(" {target} ")));
        for _ in 0..20 {
            peer.read();
            bench.settle();
        }
    }
    let made = 2 + 1 + 1 + 2 + 4 * 3;
    assert_eq!(OWNERS_DROPPED.get(), (made, 0), "(dropped, of these while the loop was borrowed)");
}

/// A header value of the user's making, which looks at the response it is for.
struct Curious(Response, Log);

impl HeaderValue for Curious {
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        self.1.add(format!("open: {}", self.0.is_open()));
        work(b"value")
    }
}

#[test]
fn a_header_value_of_the_users_is_asked_while_nothing_is_borrowed() {
    let mut bench = Bench::new();
    let log = Log::default();
    let asked = log.clone();
    bench.serve(move |_, res| {
        let value = || Curious(res, asked.clone());
        res.set_header("X-Set", value())?;
        res.append_header("X-Append", value())?;
        res.set_headers([("X-Many", value())])?;
        res.set_header_all("X-All", [value()])?;
        res.write_early_hints([("X-Hint", value())])?;
        res.write_information(102, [("X-Hint", value())])?;
        res.write_head(200, [("X-Head", value())])?;
        res.add_trailer("X-Trailer", value())?;
        res.add_trailers([("X-Trailer", value())])?;
        res.end("");
        Ok::<(), Error>(())
    });
    let peer = bench.send(GET);
    assert_eq!(log.all(), ["open: true"; 9]);
    assert!(text(&peer).contains("X-Append: value\r\n"));
}

#[test]
fn what_a_switch_of_protocols_leaves_over_is_dropped_while_nothing_is_borrowed() {
    for answer in [
        // It does not say to what.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        let mut bench = Bench::new();
        let address = Address::from(SocketAddr::from(([127, 0, 0, 1], 80)));
        let listener = bench.net.listen(&address).unwrap();
        let log = Log::default();
        let request = http::request(bench.lp, "GET", "http://127.0.0.1/").unwrap();
        request.set_header("Connection", "upgrade").unwrap();
        request.set_header("Upgrade", "raw").unwrap();
        let mut upgrade = witness(&bench, &log, "upgrade");
        request.on_upgrade(move |_, socket, _| {
            upgrade();
            socket.destroy();
        });
        request.on_timeout(witness(&bench, &log, "timeout"));
        let mut error = witness(&bench, &log, "error");
        request.on_error(move |_| error());
        request.on_close(witness(&bench, &log, "close"));
        request.end("");
        bench.settle();
        let peer = listener.accept().unwrap();
        assert_eq!(peer.write(answer.as_bytes()), answer.len());
        bench.settle();
        let mut dropped = log.all();
        dropped.sort();
        assert_eq!(dropped, ["close", "error", "timeout", "upgrade"], "{answer}");
    }
}
