//! Promise 8: `run` returns when nothing referenced is left.

use super::*;
use onloop::sim::stats;

/// `run` goes on as long as this; on a simulated network it would also end where a real one sleeps.
fn is_alive(bench: &mut Bench) -> bool {
    bench.event_loop.is_alive()
}

#[test]
fn run_returns_at_once_when_there_is_nothing() {
    let mut bench = Bench::new();
    assert!(!is_alive(&mut bench));
    bench.event_loop.run().unwrap();
    assert_eq!(bench.net.now(), Duration::ZERO);
}

#[test]
fn listeners_count_unless_unreferenced() {
    let mut bench = Bench::new();
    let server = bench.serve(|_, _| {});
    assert!(is_alive(&mut bench));
    server.unref();
    assert!(!is_alive(&mut bench));
    server.listen("127.0.0.1:81").unwrap();
    assert!(!is_alive(&mut bench), "a further listener is as unreferenced");
    server.ref_();
    assert!(is_alive(&mut bench));
    server.close();
    bench.settle();
    assert!(!is_alive(&mut bench));
}

#[test]
fn timers_intervals_and_immediates_count_unless_unreferenced() {
    let mut bench = Bench::new();
    for make in [
        |lp: LoopHandle| lp.set_timeout(Duration::from_secs(1), || {}),
        |lp: LoopHandle| lp.set_interval(Duration::from_secs(1), || {}),
        |lp: LoopHandle| lp.set_immediate(|| {}),
    ] {
        let timer = make(bench.lp);
        assert!(timer.has_ref() && is_alive(&mut bench));
        timer.unref();
        assert!(!timer.has_ref() && !is_alive(&mut bench));
        timer.ref_().ref_();
        assert!(is_alive(&mut bench));
        timer.clear();
        assert!(!is_alive(&mut bench));
        timer.ref_();
        assert!(!is_alive(&mut bench), "it is over");
    }
    let log = Log::default();
    bench.lp.set_timeout(Duration::from_secs(1), log.hook("unreferenced")).unref();
    bench.lp.set_timeout(Duration::from_secs(2), log.hook("referenced"));
    bench.lp.set_timeout(Duration::from_secs(3), log.hook("too late")).unref();
    bench.event_loop.run().unwrap();
    assert_eq!(log.all(), ["unreferenced", "referenced"]);
    assert_eq!(bench.net.now(), Duration::from_secs(2));
}

#[test]
fn connections_with_work_count_and_idle_pooled_ones_do_not() {
    let mut bench = Bench::new();
    let server = bench.serve(|_, res| res.end("answer"));
    let remote_server = bench.net.event_loop(LoopOptions::new());
    drop(remote_server);
    server.unref();
    http::get(bench.lp, "http://127.0.0.1/", |_| {}).unwrap();
    assert!(is_alive(&mut bench));
    bench.settle();
    let left = stats(&bench.event_loop);
    assert_eq!((left.free_connections, left.server_connections), (1, 1));
    // The server's side of it is a connection that still may bring work.
    assert!(is_alive(&mut bench));
    server.close_idle_connections();
    bench.settle();
    assert!(!is_alive(&mut bench));
}

#[test]
fn an_idle_pooled_connection_alone_does_not_count() {
    let mut bench = Bench::new();
    let mut other = bench.net.event_loop(LoopOptions::new());
    let server = http::create_server(other.handle(), |_, res| res.end("answer"));
    server.listen("127.0.0.1:80").unwrap();
    let log = Log::default();
    http::get(bench.lp, "http://127.0.0.1/", |_| {}).unwrap().on_close(log.hook("close"));
    for _ in 0..20 {
        other.turn(Some(Duration::from_millis(1))).unwrap();
        bench.event_loop.turn(Some(Duration::from_millis(1))).unwrap();
    }
    assert_eq!(log.all(), ["close"]);
    assert_eq!(stats(&bench.event_loop).free_connections, 1);
    assert!(!is_alive(&mut bench));
}

#[test]
fn lookups_count() {
    let mut bench = Bench::new();
    let request = http::request(bench.lp, "GET", "http://unknown.test/").unwrap();
    let log = Log::default();
    let error = log.clone();
    request.on_error(move |err| error.add(err.code()));
    request.end("");
    bench.turn();
    assert!(is_alive(&mut bench) || !log.all().is_empty());
    bench.event_loop.run().unwrap();
    assert_eq!(log.all(), ["ENOTFOUND"]);
    assert!(!is_alive(&mut bench));
}

#[test]
fn pending_posts_and_a_live_remote_count_unless_unreferenced() {
    let mut bench = Bench::new();
    let remote = bench.event_loop.remote();
    assert!(is_alive(&mut bench));
    remote.unref();
    assert!(!is_alive(&mut bench));
    remote.ref_();
    let second = remote.clone();
    drop(remote);
    assert!(is_alive(&mut bench));
    thread_local!(static RAN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) });
    second.post(|_| RAN.set(true)).unwrap();
    drop(second);
    bench.event_loop.run().unwrap();
    assert!(RAN.get(), "a post that was pending when the last remote went");
    assert!(!is_alive(&mut bench));
}

#[test]
fn stop_returns_after_the_present_turn_and_the_loop_can_be_run_again() {
    let mut bench = Bench::new();
    let lp = bench.lp;
    let log = Log::default();
    lp.set_timeout(Duration::from_secs(1), move || lp.stop());
    lp.set_timeout(Duration::from_secs(1), log.hook("same turn"));
    lp.set_timeout(Duration::from_secs(2), log.hook("later"));
    bench.event_loop.run().unwrap();
    assert_eq!(log.all(), ["same turn"]);
    bench.event_loop.run().unwrap();
    assert_eq!(log.all(), ["same turn", "later"]);
}
