//! `Expect`: `100 Continue` is sent when the content is asked for, a final answer instead of it ends the
//! connection, and what nobody can meet is 417.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::{Ending, Log, World, echo, get};
use onloop::http::{Request, Response};

const HEAD: &str =
    "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";

#[test]
fn asking_for_the_content_sends_100_once() {
    let mut world = World::new();
    let server = world.serve(echo);
    let mut peer = world.send(&server, HEAD);
    assert_eq!(
        world.expect(&mut peer, "\r\n\r\n"),
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    peer.send("hello");
    let answer = world.answer(&mut peer);
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.field("Connection"), Some("keep-alive"));
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 200);
}

#[test]
fn asking_later_sends_100_later() {
    let waiting: Rc<Cell<Option<(Request, Response)>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.method() {
        "GET" => res.end(""),
        _ => keeps.set(Some((req, res))),
    });
    let mut peer = world.send(&server, HEAD);
    let waits = Rc::clone(&waiting);
    let (req, res) = world.wait("the request", || waits.take());
    world.ask(&server, get("/", ""));
    peer.pump();
    assert_eq!(peer.text(), "", "not before anybody wants it");
    echo(req, res);
    world.expect(&mut peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    assert_eq!(world.answer(&mut peer).text(), "hello");
}

#[test]
fn write_continue_sends_100_and_only_where_it_is_owed() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write_continue()?;
        res.write_continue()?;
        echo(req, res);
        Ok(())
    });
    let mut peer = world.send(&server, HEAD);
    world.expect(&mut peer, "HTTP/1.1 100 Continue\r\n\r\n");
    peer.send("hello");
    assert_eq!(world.answer(&mut peer).text(), "hello");
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 200);
}

#[test]
fn a_final_answer_instead_of_100_ends_the_connection() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        res.set_status(403);
        res.end("no");
    });
    let mut peer = world.send(&server, HEAD);
    let answer = world.answer(&mut peer);
    assert_eq!(
        (answer.status, answer.field("Connection")),
        (403, Some("close"))
    );
    // The client may have decided to send it all the same: no byte of it is a request.
    peer.send(get("/smuggled", ""));
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(
        (peer.text().as_str(), log.all()),
        ("", vec!["/p".to_owned()])
    );
}

#[test]
fn nobody_is_told_to_continue_who_has_begun_or_does_not_wait() {
    let mut world = World::new();
    let server = world.serve(echo);
    for request in [
        // The content has begun to arrive.
        format!("{HEAD}hello"),
        format!("{HEAD}hell"),
        // No content to wait for.
        get("/", "Expect: 100-continue\r\n"),
        get("/", "Expect: 100-continue\r\nContent-Length: 0\r\n"),
        // HTTP/1.0 knows neither the field nor the answer.
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        "POST / HTTP/1.0\r\nExpect: something\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
    ] {
        let mut peer = world.send(&server, &request);
        peer.send(if request.ends_with("hell") { "o" } else { "" });
        assert_eq!(world.answer(&mut peer).status, 200, "{request}");
    }
}

#[test]
fn another_expectation_is_417() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        res.end("");
    });
    for fields in [
        "Expect: 200-ok\r\n",
        "Expect: 100-continue, x\r\n",
        "Expect: x\r\nContent-Length: 5\r\n",
    ] {
        let mut peer = world.send(&server, get("/", fields));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.status, 417, "{fields}");
        // Content that was announced may come or not: what follows cannot be told from it.
        let announced = fields.contains("Content-Length");
        let closes = answer.field("Connection") == Some("close");
        assert_eq!(closes, announced, "{fields}");
    }
    assert_eq!(log.len(), 0);
}

#[test]
fn a_handler_that_streams_its_answer_first_ends_the_connection() {
    // The head of the answer is the word that the client waited for; content may or may not follow.
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write("early ");
        req.resume();
        req.on_end(move || res.end("end"));
    });
    let mut peer = world.send(&server, HEAD);
    world.expect(&mut peer, "early ");
    peer.send("hello");
    peer.send(get("/behind", ""));
    world.expect(&mut peer, "end\r\n0\r\n\r\n");
    assert_eq!(
        (world.until_end(&mut peer), peer.text().as_str()),
        (Ending::End, "")
    );
}
