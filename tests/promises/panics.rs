//! Promise 3: a callback is taken out of its slot, called, and put back only if the slot is
//! still empty. Promise 9: a panic in a callback leaves the loop consistent.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::*;
use onloop::sim::stats;

/// Passes the panic hook by, so that the output is not full of them.
fn panics() {
    resume_unwind(Box::new("intended"));
}

impl Bench {
    /// Turns on through panics; how many there were.
    fn settle_through_panics(&mut self) -> usize {
        let turns = (0..20).map(|_| catch_unwind(AssertUnwindSafe(|| self.turn())));
        turns.filter(Result::is_err).count()
    }

    fn send_through_panics(&mut self, bytes: &str) -> (SimPeer, usize) {
        let peer = self.connect();
        peer.write(bytes.as_bytes());
        let panics = self.settle_through_panics();
        (peer, panics)
    }
}

/// Promise 3: It may replace itself.
#[test]
fn a_callback_may_replace_itself() {
    let mut bench = Bench::new();
    let log = Log::default();
    let events = log.clone();
    let server = Rc::new(Cell::new(None::<Server>));
    let own = server.clone();
    server.set(Some(bench.serve(move |_, res| {
        events.add("first");
        let second = events.clone();
        own.get().unwrap().on_request(move |_, res| {
            second.add("second");
            res.end("");
        });
        res.end("");
    })));
    bench.send(&GET.repeat(3));
    assert_eq!(log.all(), ["first", "second", "second"]);
}

/// Promise 3: It may remove itself.
#[test]
fn a_callback_may_remove_itself() {
    let mut bench = Bench::new();
    let server = Rc::new(Cell::new(None::<Server>));
    let own = server.clone();
    server.set(Some(bench.serve(move |_, res| {
        own.get().unwrap().off_request();
        res.end("once");
    })));
    let peer = bench.send(&GET.repeat(2));
    let answers = text(&peer);
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 404"), "{answers}");
}

/// Promise 3: The put-back is in a drop guard: a panic loses no handler.
#[test]
fn a_panic_loses_no_handler() {
    let mut bench = Bench::new();
    let log = Log::default();
    let events = log.clone();
    let mut calls = 0;
    let server = bench.serve(move |req, res| {
        calls += 1;
        if req.url() == "/panic" {
            panics();
        }
        res.end(format!("call {calls}"));
    });
    server.on_client_error(move |_, socket| {
        events.add("client error");
        socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
        panics();
    });
    let (peer, count) = bench.send_through_panics(&GET.replace(" / ", " /panic "));
    assert_eq!(count, 1);
    assert!(text(&peer).starts_with("HTTP/1.1 500"), "no byte was sent");
    let (peer, count) = bench.send_through_panics(GET);
    assert_eq!(count, 0);
    assert!(text(&peer).ends_with("call 2"), "the same handler, with its state");
    for calls in 1..3 {
        assert_eq!(bench.send_through_panics("NONSENSE\r\n\r\n").1, 1);
        assert_eq!(log.all().len(), calls);
    }
    // An interval goes on, and so do the callbacks of an exchange.
    let ticks = log.clone();
    let timer = bench.lp.set_interval(Duration::from_millis(10), move || {
        ticks.add("tick");
        panics();
    });
    assert!(bench.settle_through_panics() > 3);
    timer.clear();
    assert_eq!(bench.settle_through_panics(), 0);
}

/// Promise 9: A panic propagates out of `turn`; what was left of the turn is done by the next one.
#[test]
fn a_panic_in_a_callback_leaves_the_loop_consistent_and_propagates_out_of_turn() {
    let mut bench = Bench::new();
    let log = Log::default();
    let (closes, events) = (log.clone(), log.clone());
    bench.serve(move |req, res| {
        res.on_close(closes.hook("close"));
        match req.url() {
            "/after" => {
                res.write("sent");
                panics();
            }
            "/data" => req.on_data(|_| panics()),
            "/close" => {
                res.on_finish(panics);
                res.end("answer");
            }
            _ => res.end("fine"),
        }
    });
    // Many are ready in the same turn as the one that panics: none is forgotten.
    let peers: Vec<SimPeer> = ["/after", "/", "/data", "/", "/close", "/"]
        .iter()
        .map(|target| {
            let peer = bench.connect();
            peer.write(POST.replace(" / ", &format!(" {target} ")).as_bytes());
            peer
        })
        .collect();
    bench.lp.set_timeout(Duration::from_millis(1), panics);
    bench.lp.set_timeout(Duration::from_millis(1), events.hook("timer"));
    bench.lp.set_immediate(panics);
    bench.lp.set_immediate(events.hook("immediate"));
    assert_eq!(bench.settle_through_panics(), 5);
    let answers: Vec<String> = peers.iter().map(text).collect();
    for (number, answer) in answers.iter().enumerate() {
        assert!(number % 2 == 0 || answer.ends_with("fine"), "{number}: {answer}");
    }
    assert!(!answers[0].ends_with("0\r\n\r\n"), "cut off must not look complete: {}", answers[0]);
    assert!(answers[2].starts_with("HTTP/1.1 500"), "{}", answers[2]);
    assert!(answers[4].ends_with("answer"), "{}", answers[4]);
    let mut events = log.all();
    events.sort();
    assert_eq!(
        events,
        ["close", "close", "close", "close", "close", "close", "immediate", "timer"]
    );
    drop(peers);
    bench.settle();
    assert_eq!(stats(&bench.event_loop).server_connections, 0);
}

/// Promise 9: `PanicPolicy::Contain` answers 500 where no byte was sent, else closes that connection, and goes on.
#[test]
fn contain_answers_500_where_no_byte_was_sent_else_closes_that_connection_and_goes_on() {
    let mut bench = Bench::with_policy(PanicPolicy::Contain);
    bench.serve(|req, res| {
        match req.url() {
            "/before" => panics(),
            "/after" => {
                res.write("begun");
                panics();
            }
            _ => {}
        }
        res.end("fine");
    });
    bench.lp.set_timeout(Duration::from_millis(1), panics);
    bench.lp.set_immediate(panics);
    let remote = bench.event_loop.remote();
    remote.post(|_| panics()).unwrap();
    let peer = bench.send(&GET.replace(" / ", " /before "));
    assert!(text(&peer).starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    let peer = bench.send(&GET.replace(" / ", " /after "));
    assert!(!text(&peer).ends_with("0\r\n\r\n") && (peer.is_eof() || peer.is_reset()));
    let peer = bench.send(GET);
    assert!(text(&peer).ends_with("fine"));
}

/// Promise 9: The bytes that a broken connection has left do not reach the next owner of its slot.
#[test]
fn a_panic_in_a_last_callback_leaves_a_request_that_it_made_alone() {
    let mut bench = Bench::new();
    let lp = bench.lp;
    let log = Log::default();
    let events = log.clone();
    bench.serve(move |req, res| {
        if req.method() == "GET" {
            return res.end("fine");
        }
        res.write("begun");
        req.on_data(|_| {});
        let events = events.clone();
        req.on_error(move |_| {
            let (response, error) = (events.clone(), events.clone());
            let request = http::get(lp, "http://127.0.0.1/", move |incoming| {
                response.add(format!("{}", incoming.status()));
            });
            request.unwrap().on_error(move |err| error.add(err.to_string()));
            panics();
        });
    });
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (_peer, count) =
        bench.send_through_panics(&format!("{head}5\r\nhello\r\nNO CHUNK SIZE\r\n\r\n"));
    assert_eq!(count, 1);
    assert_eq!(log.all(), ["200"]);
}

/// A value of the user's that panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panics();
    }
}

/// Promise 9: so does a panic out of the destructor of a callback that has replaced itself.
#[test]
fn a_panic_out_of_the_destructor_of_a_callback_leaves_the_loop_consistent() {
    let mut bench = Bench::new();
    let log = Log::default();
    let events = log.clone();
    let server = Rc::new(Cell::new(None::<Server>));
    let own = server.clone();
    let witness = PanicsWhenDropped;
    server.set(Some(bench.serve(move |req, res| {
        let _ = &witness;
        events.add("first");
        let second = events.clone();
        own.get().unwrap().on_request(move |_, res| {
            second.add("second");
            res.end("fine");
        });
        // Another one that has replaced itself.
        let (body, witness, events) = (req.body(), PanicsWhenDropped, events.clone());
        req.on_data(move |_| {
            let _ = &witness;
            events.add("data");
            let events = events.clone();
            body.on_data(move |_| events.add("more data"));
        });
        req.on_end(move || res.end("fine"));
    })));
    let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";
    let (peer, panics) = bench.send_through_panics(&(post.to_owned() + GET + GET));
    // Of the two that are dropped in one turn the first is heard of.
    assert_eq!(panics, 1);
    assert_eq!(log.all(), ["first", "data", "more data", "second", "second"]);
    let answers = text(&peer);
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
    let (peer, panics) = bench.send_through_panics(GET);
    assert_eq!((panics, text(&peer).ends_with("fine")), (0, true));
}
