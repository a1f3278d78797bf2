//! The example `server_sent_events`: events come as they happen, to each reader as fast as it can.

mod common;
// The parts of the example are used by the example; here only some are.
#[allow(dead_code)]
#[path = "../examples/server_sent_events/feed.rs"]
mod feed;
mod program;

use common::{Peer, World};
use feed::{EVENTS_KEPT, Feed};
use onloop::http::{Server, ServerOptions};
use program::{Program, Wire};
use serde_json::Value;

const JOIN: &str = "GET /events HTTP/1.1\r\nHost: test\r\n\r\n";

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    id: u64,
    data: String,
}

/// The events in a part of a stream, by the rules of the HTML standard as far as they are used here.
fn events(stream: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for block in stream.split("\n\n") {
        let values = |name: &str| -> Vec<&str> {
            block.lines().filter_map(|line| line.strip_prefix(name)).collect()
        };
        if let [id] = values("id: ")[..] {
            let id = id.parse().expect("ids are numbers");
            events.push(Event { id, data: values("data: ").join("\n") });
        }
    }
    events
}

fn ids(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id).collect()
}

// ---- the feed, in a loop of the test's own

/// A server of which all requests join a feed.
fn serve(world: &World) -> (Server, Feed) {
    let feed = Feed::default();
    let joining = feed.clone();
    let options = ServerOptions::new().high_water_mark(16 * 1024);
    let server = world.serve_with(options, move |req, res| {
        let last = req.header("last-event-id").and_then(|id| id.parse().ok());
        joining.join(res, last)
    });
    (server, feed)
}

/// A reader that has been told that it is one.
fn join(world: &mut World, server: &Server, fields: &str) -> Peer {
    let mut peer = world.send(server, format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n"));
    world.expect(&mut peer, "retry: 2000\n\n");
    peer
}

/// What a reader receives up to an event and with it.
fn receive(world: &mut World, peer: &mut Peer, data: &str) -> Vec<Event> {
    events(&dechunked(&world.expect(peer, &format!("data: {data}\n\n"))))
}

/// Without the lines of sizes: every write of the feed is a chunk of its own.
fn dechunked(text: &str) -> String {
    let is_size = |line: &str| {
        let digits = line.strip_suffix('\r').unwrap_or("-");
        digits.chars().all(|c| c.is_ascii_hexdigit())
    };
    text.split('\n').filter(|line| line.is_empty() || !is_size(line)).collect::<Vec<_>>().join("\n")
}

#[test]
fn all_readers_see_what_happens_after_they_have_come() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    feed.publish("nobody is there");
    let mut first = join(&mut world, &server, "");
    feed.publish("one");
    let mut second = join(&mut world, &server, "");
    feed.publish("two\nlines");
    feed.publish("three");
    let seen = receive(&mut world, &mut first, "three");
    assert_eq!(ids(&seen), [1, 2, 3]);
    assert_eq!(seen[1].data, "two\nlines");
    assert_eq!(receive(&mut world, &mut second, "three"), seen[1..]);
}

#[test]
fn a_reader_that_comes_back_is_sent_what_it_missed() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    for event in 0..5 {
        feed.publish(&event.to_string());
    }
    for (last, missed) in [("1", &[2, 3, 4, 5][..]), ("4", &[5]), ("0", &[1, 2, 3, 4, 5])] {
        let mut peer = join(&mut world, &server, &format!("Last-Event-ID: {last}\r\n"));
        if last == "1" {
            feed.publish("now");
        }
        let seen = receive(&mut world, &mut peer, "now");
        assert_eq!(ids(&seen), missed, "after {last}");
    }
}

#[test]
fn a_reader_of_another_run_is_sent_all_that_is_kept() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    feed.publish("zero");
    feed.publish("one");
    for (last, seen) in [("700", &[0, 1, 2][..]), ("18446744073709551615", &[0, 1, 2, 3])] {
        let mut peer = join(&mut world, &server, &format!("Last-Event-ID: {last}\r\n"));
        feed.publish(last);
        assert_eq!(ids(&receive(&mut world, &mut peer, last)), seen);
    }
    // What is no number of an event is as good as none.
    let mut peer = join(&mut world, &server, "Last-Event-ID: -1\r\n");
    feed.publish("news");
    assert_eq!(ids(&receive(&mut world, &mut peer, "news")), [4]);
}

#[test]
fn a_reader_that_was_away_for_long_goes_on_with_what_is_kept() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    for _ in 0..3 * EVENTS_KEPT {
        feed.publish("x");
    }
    let mut peer = join(&mut world, &server, "Last-Event-ID: 5\r\n");
    feed.publish("now");
    let seen = ids(&receive(&mut world, &mut peer, "now"));
    let first = 2 * EVENTS_KEPT as u64;
    assert_eq!(seen, (first..=first + EVENTS_KEPT as u64).collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_skips_and_holds_up_nobody() {
    const PUBLISHED: u64 = 1000;
    let large = "x".repeat(64 * 1024);
    let mut world = World::new();
    let (server, feed) = serve(&world);
    let mut slow = join(&mut world, &server, "");
    let mut quick = join(&mut world, &server, "");
    slow.stop_reading();
    for event in 0..PUBLISHED {
        feed.publish(&format!("{large}{event}"));
        let seen = receive(&mut world, &mut quick, &format!("{large}{event}"));
        assert_eq!(ids(&seen), [event], "a reader that reads misses nothing");
    }
    slow.read_on();
    feed.publish("the last one");
    let seen = ids(&receive(&mut world, &mut slow, "the last one"));
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order: {seen:?}");
    assert_eq!((seen[0], seen[seen.len() - 1]), (0, PUBLISHED));
    let gaps = seen.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(gaps >= 1, "what was not kept is skipped: {seen:?}");
    assert!(seen.len() > EVENTS_KEPT, "what was kept is not: {seen:?}");
}

#[test]
fn a_reader_that_leaves_is_forgotten() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    let stays = join(&mut world, &server, "");
    for _ in 0..3 {
        let leaves = join(&mut world, &server, "");
        assert_eq!(feed.readers(), 2);
        drop(leaves);
        world.until("it to be forgotten", || {
            feed.publish("is anybody there?");
            feed.readers() == 1
        });
    }
    drop(stays);
}

#[test]
fn the_end_of_the_feed_ends_all_answers() {
    let mut world = World::new();
    let (server, feed) = serve(&world);
    let mut peer = world.send(&server, JOIN);
    world.until("the reader", || feed.readers() == 1);
    feed.publish("one");
    feed.end();
    let answer = world.answer(&mut peer);
    assert_eq!(ids(&events(&answer.text())), [0]);
    assert_eq!(feed.readers(), 0);
}

// ---- the program, with its clock

fn start() -> Program {
    Program::start("server_sent_events", &["127.0.0.1:0"])
}

/// Joins, and checks the head.
fn reader(program: &Program) -> Wire {
    let mut wire = program.connect();
    wire.send(JOIN);
    let head = wire.head();
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    assert_eq!(head.field("cache-control"), Some("no-store"));
    assert_eq!(wire.chunk(), b"retry: 2000\n\n");
    wire
}

/// The next event, and how many readers it says there are.
fn next_event(wire: &mut Wire) -> (u64, u64) {
    let chunk = String::from_utf8(wire.chunk()).expect("events are text");
    let [event] = &events(&chunk)[..] else { panic!("one event in a chunk: {chunk:?}") };
    let news: Value = serde_json::from_str(&event.data).expect("the data is JSON");
    (event.id, news["readers"].as_u64().expect("a number"))
}

#[test]
fn events_come_by_the_clock_to_all_readers() {
    let program = start();
    let (mut first, mut second) = (reader(&program), reader(&program));
    let mut last = next_event(&mut first);
    // The second one may have come after some.
    while last.1 != 2 {
        let next = next_event(&mut first);
        assert_eq!((last.1, next.0), (1, last.0 + 1));
        last = next;
    }
    let mut same = next_event(&mut second);
    while same.0 < last.0 {
        same = next_event(&mut second);
    }
    assert_eq!(same, last);
    drop(second);
    while next_event(&mut first).1 != 1 {}
}

#[test]
fn the_page_is_there_and_nothing_else() {
    let program = start();
    let mut wire = program.connect();
    let page = wire.ask("GET /?x");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("new EventSource('/events')"));
    assert_eq!(wire.ask("HEAD /").status, 200);
    for line in ["GET /other", "POST /", "HEAD /events", "DELETE /events"] {
        assert_eq!(wire.ask(line).status, 404, "{line}");
    }
}

#[test]
fn readers_do_not_hold_up_the_end_of_the_program() {
    let mut program = start();
    let (mut first, second) = (reader(&program), reader(&program));
    program.signal("TERM");
    // The answer ends as it should: with its last chunk, and not with the connection.
    while !first.chunk().is_empty() {}
    assert_eq!(first.line(), "");
    assert_eq!(first.rest(), b"");
    drop((first, second));
    assert_eq!(program.wait().code(), Some(0));
}
