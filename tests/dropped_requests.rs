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
fn an_error_out_of_on_drop_request_does_not_take_the_answer_along() {
    let mut world = World::new();
    let (server, log) = server_of_one(&world, ServerOptions::new(), true);
    let mut peer = world.send(&server, get("/1", "") + &post("/2", "content") + &get("/3", ""));
    assert_eq!(world.answer(&mut peer).text(), "answer");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert_eq!(log.all(), ["/2"]);
}
