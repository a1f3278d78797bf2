//! What follows the last request of a connection: told to `on_drop_request`, and nothing else is harmed by it.

mod common;

use common::{Ending, Log, World, get, post};
use onloop::http::ServerOptions;

/// A server for one request a connection, which does not read contents, and what it is told to drop.
fn server_of_one(
    world: &World,
    options: ServerOptions,
    fails: bool,
) -> (onloop::http::Server, Log) {
    let log = Log::new();
    let server = world.serve_with(options.max_requests_per_socket(1), |req, res| {
        match req.url() {
            "/fails" => return Err(onloop::Error::other("as it should")),
            "/chunks" => req.resume(),
            _ => {}
        }
        res.end("answer");
        Ok(())
    });
    let notes = log.clone();
    server.on_drop_request(move |req, _connection| {
        notes.note(req.url());
        if fails { Err(onloop::Error::other("told too much")) } else { Ok(()) }
    });
    (server, log)
}

#[test]
fn content_of_the_last_request_is_never_taken_for_another_request() {
    let mut world = World::new();
    let (server, log) = server_of_one(&world, ServerOptions::new().max_discarded(1), false);
    let inside = get("/inside", "");
    let length = format!("Content-Length: {}\r\n", 100_000 + inside.len());
    let expecting =
        get("/", &format!("Expect: 100-continue\r\nContent-Length: {}\r\n", inside.len()));
    let requests = [
        // More than is dropped to keep a connection.
        get("/", &length) + &"x".repeat(100_000) + &inside,
        // Framing that breaks off.
        get("/chunks", "Transfer-Encoding: chunked\r\n") + "x\r\n" + &inside,
        // The handler has failed before it was read.
        get("/fails", &length) + &inside,
    ];
    for request in requests {
        let mut peer = world.send(&server, request);
        world.answer(&mut peer);
        world.until_end(&mut peer);
        assert_eq!(log.all(), [""; 0]);
    }
    // It was not asked for its content, and sends it all the same.
    let mut peer = world.send(&server, expecting);
    world.answer(&mut peer);
    peer.send(inside);
    world.until_end(&mut peer);
    assert_eq!(log.all(), [""; 0]);
}

#[test]
fn an_error_out_of_on_drop_request_does_not_take_the_answer_along() {
    let mut world = World::new();
    let (server, log) = server_of_one(&world, ServerOptions::new(), true);
    let mut peer = world.send(&server, get("/1", "") + &post("/2", "content") + &get("/3", ""));
    assert_eq!(world.answer(&mut peer).text(), "answer");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(log.all(), ["/2"]);
}
