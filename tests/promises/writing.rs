//! What goes out when.

use super::*;

/// Deliveries of bytes to a peer that has been idle: one for each write call.
fn writes(bench: &mut Bench, peer: &SimPeer) -> u64 {
    let before = bench.net.deliveries();
    bench.net.advance(Duration::from_millis(1));
    assert!(peer.available() > 0, "nothing was written");
    bench.net.deliveries() - before
}

/// Promise 6: Bytes are written once per dispatch of a connection, not once per call.
#[test]
fn bytes_are_written_once_per_dispatch_of_a_connection_not_once_per_call() {
    let mut bench = Bench::new();
    bench.serve(|_, res| {
        res.write("one");
        res.write("two");
        res.write("three");
        res.end("four");
    });
    let peer = bench.connect();
    bench.settle();
    peer.write(GET.as_bytes());
    bench.turn();
    assert_eq!(writes(&mut bench, &peer), 1);
    assert!(text(&peer).contains("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n"));
    // Also for pipelined requests: they are one dispatch.
    peer.write(GET.repeat(10).as_bytes());
    bench.turn();
    assert_eq!(writes(&mut bench, &peer), 1);
    assert_eq!(text(&peer).matches("200 OK").count(), 10);
}

/// Promise 6: Ended from elsewhere (timer, other connection, post), the connection is on the dirty list flushed in
/// the same turn.
#[test]
fn ended_from_elsewhere_the_connection_is_flushed_in_the_same_turn() {
    let mut bench = Bench::new();
    let waiting: Rc<RefCell<Vec<Response>>> = Rc::default();
    let all = waiting.clone();
    bench.serve(move |req, res| match req.url() {
        "/wait" => all.borrow_mut().push(res),
        _ => {
            all.borrow().iter().for_each(|other| other.end("by another connection"));
            res.end("");
        }
    });
    let wait = |bench: &mut Bench| {
        let peer = bench.send(&GET.replace(" / ", " /wait "));
        assert_eq!(peer.available(), 0);
        (peer, *waiting.borrow().last().unwrap())
    };
    /// One turn must do, whatever else it does.
    fn sent_by_one_turn(bench: &mut Bench, peer: &SimPeer) -> String {
        bench.turn();
        bench.net.advance(Duration::from_micros(60));
        text(peer)
    }

    let (peer, res) = wait(&mut bench);
    bench.lp.set_timeout(Duration::from_millis(5), move || res.end("by a timer"));
    assert!(sent_by_one_turn(&mut bench, &peer).ends_with("by a timer"));

    let (peer, res) = wait(&mut bench);
    bench.lp.set_immediate(move || res.end("by an immediate"));
    assert!(sent_by_one_turn(&mut bench, &peer).ends_with("by an immediate"));

    let (peer, res) = wait(&mut bench);
    thread_local!(static POSTED: std::cell::Cell<Option<Response>> = const { std::cell::Cell::new(None) });
    POSTED.set(Some(res));
    let remote = bench.event_loop.remote();
    remote.post(|_| POSTED.take().unwrap().end("by a post")).unwrap();
    assert!(sent_by_one_turn(&mut bench, &peer).ends_with("by a post"));

    let (peer, _) = wait(&mut bench);
    let other = bench.connect();
    other.write(GET.as_bytes());
    bench.turn(); // accepts it
    assert!(sent_by_one_turn(&mut bench, &peer).ends_with("by another connection"));

    // From outside of any turn: the next one.
    let (peer, res) = wait(&mut bench);
    res.end("by nobody");
    assert_eq!(bench.event_loop.next_timeout(), Some(Duration::ZERO));
    assert!(sent_by_one_turn(&mut bench, &peer).ends_with("by nobody"));
}

/// Promise 7: `write` returning false means the high-water mark is reached; `on_drain` fires once it is below again.
/// What a user keeps writing past a hard cap ends the exchange with a limit error.
#[test]
fn write_is_false_at_the_mark_drain_comes_below_it_and_past_the_cap_the_exchange_ends() {
    let mut bench = Bench::new();
    let log = Log::default();
    let events = log.clone();
    let options = http::ServerOptions::new().high_water_mark(1000).max_buffered(200_000);
    let server = Server::new(bench.lp, options).unwrap();
    server.on_request(move |req, res| {
        res.on_drain(events.hook("drain"));
        let error = events.clone();
        res.on_error(move |err| error.add(format!("{:?}", err.kind())));
        res.on_close(events.hook("close"));
        assert!(res.write(&[b'x'; 500]));
        assert!(!res.write(&[b'x'; 500]));
        if req.url() == "/past" {
            while res.write(&[b'x'; 5000]) || res.is_open() {}
        }
    });
    server.listen("127.0.0.1:80").unwrap();
    let _peer = bench.send(GET);
    assert_eq!(log.all(), ["drain"]);
    let _peer = bench.send(&GET.replace(" / ", " /past "));
    assert_eq!(log.all(), ["drain", "Limit(Buffered)", "close"]);
}
