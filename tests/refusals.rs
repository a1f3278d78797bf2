//! How a server refuses: an answer that says so and reaches the client whatever it still sends, and no end of an
//! answer that was not given.

mod common;

use common::{Ending, Log, World, get};
use onloop::http::ServerOptions;

/// Requests that are refused, and by which status.
fn refused() -> Vec<(u16, String)> {
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    vec![
        (400, "G@T / HTTP/1.1\r\n".into()),
        (400, get("/", "X : 1\r\n")),
        (400, "GET / HTTP/1.1\r\n\r\n".into()),
        (400, post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        (400, post("Transfer-Encoding: chunked\r\n") + "zz\r\n"),
        (405, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n".into()),
        (413, post("Content-Length: 200000\r\n")),
        (414, get(&format!("/{}", "x".repeat(9000)), "")),
        (417, post("Expect: wonders\r\nContent-Length: 50000\r\n")),
        (431, get("/", &"X: y\r\n".repeat(4000))),
        (501, post("Transfer-Encoding: gzip, chunked\r\n")),
        (505, "GET / HTTP/2.0\r\n".into()),
    ]
}

#[test]
fn a_refusal_is_a_short_answer_that_ends_the_connection_and_reaches_a_client_that_sends_on() {
    for (status, request) in refused() {
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let options = ServerOptions::new().max_body_size(100_000);
        let server = world.serve_with(options, move |req, res| {
            notes.note("request");
            req.body().on_end(move || res.end("taken"));
            req.resume();
        });
        let mut peer = world.connect(&server);
        // It reads nothing before it has sent everything.
        peer.stop_reading();
        peer.send(&request);
        peer.send(vec![b'x'; 1024 * 1024]);
        world.until_sent(&mut peer);
        peer.read_on();
        let context = format!("{status}: {:?}", request.get(..60).unwrap_or(&request));
        assert_eq!(world.until_end(&mut peer), Ending::End, "{context}");
        let answer = world.answer(&mut peer);
        assert_eq!(answer.status, status, "{context}");
        assert_eq!(answer.field("Connection"), Some("close"), "{context}");
        assert_eq!(answer.field("Content-Length"), Some("0"), "{context}");
        assert_eq!(answer.field("Transfer-Encoding"), None, "{context}");
        assert!(answer.field("Date").is_some_and(|date| date.ends_with(" GMT")), "{context}");
        assert_eq!(peer.text(), "", "{context}: one answer and no more");
        // Only chunks are found to be malformed after the request was told.
        assert!(log.len() == 0 || request.ends_with("zz\r\n"), "{context}");
    }
}

#[test]
fn an_answer_that_has_begun_is_cut_off_where_its_request_is_malformed() {
    for content in
        ["zz\r\n", "1\r\nxy\r\n", "1;\r\nx\r\n", "0\r\nX : 1\r\n\r\n", "0\r\nHost: h\r\n\r\n"]
    {
        for pipes in [false, true] {
            let mut world = World::new();
            let server = world.serve(move |req, res| {
                if pipes {
                    return req.pipe(res);
                }
                res.write("ok");
                let body = req.body();
                body.on_data(|_| {});
                body.on_end(move || res.end("never"));
            });
            let mut peer =
                world.send(&server, get("/", "Transfer-Encoding: chunked\r\n") + "2\r\nok\r\n");
            // The answer has begun by then.
            world.expect(&mut peer, "2\r\nok\r\n");
            peer.send(content);
            world.until_end(&mut peer);
            assert_eq!(
                peer.text().trim_end_matches("1\r\nx\r\n"),
                "",
                "{content:?}: no last chunk"
            );
        }
    }
}
