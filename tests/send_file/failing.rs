//! The file fails, the client fails, the program changes its mind.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{Response, Server, ServerOptions};

use super::*;
use crate::common::Ending;

/// A server that sends one file, with notes of what becomes of it.
fn noting(world: &World, file: &Rc<Stored>, options: ServerOptions) -> (Server, Log) {
    let (log, file) = (Log::new(), Rc::clone(file));
    let noted = log.clone();
    let server = world.serve_with(options, move |_, res| {
        noted.note_end_of(res);
        res.send_file(file.open(), ..)
    });
    (server, log)
}

#[test]
fn a_file_that_becomes_shorter_ends_the_connection() {
    let mut world = World::new();
    let file = Rc::new(Stored::zeros(STALLING));
    let (server, log) = noting(&world, &file, ServerOptions::new());
    let mut peer = world.stalled(&server);
    let writer = std::fs::File::options().write(true).open(file.path()).expect("it is there");
    writer.set_len(10).expect("it can be cut");
    peer.read_on();
    world.until_end(&mut peer);
    assert!(peer.received.len() < STALLING, "the client sees that something is missing");
    world.until("the last call", || log.has("close"));
    assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE", "close"]);
}

#[test]
fn content_in_chunks_that_becomes_shorter_has_no_last_chunk() {
    let mut world = World::new();
    let (log, file) = (Log::new(), Rc::new(Stored::zeros(STALLING)));
    let (noted, shared) = (log.clone(), Rc::clone(&file));
    let server = world.serve(move |_, res| {
        noted.note_end_of(res);
        res.write("first");
        res.send_file(shared.open(), ..)
    });
    let mut peer = world.stalled(&server);
    let writer = std::fs::File::options().write(true).open(file.path()).expect("it is there");
    writer.set_len(0).expect("it can be cut");
    peer.read_on();
    world.until_end(&mut peer);
    assert!(peer.received.len() < STALLING && !peer.received.ends_with(b"0\r\n\r\n"));
    world.until("the last call", || log.has("close"));
    assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE", "close"]);
}

#[test]
fn a_file_that_cannot_be_read_fails_the_exchange_and_not_the_one_before() {
    for length in [1_000, LARGE] {
        let mut world = World::new();
        let (log, file) = (Log::new(), Stored::new(&pattern(length)));
        let noted = log.clone();
        let server = world.serve(move |req, res| {
            if req.url() == "/text" {
                res.end("text");
                return Ok(());
            }
            noted.note_end_of(res);
            let unreadable = std::fs::File::options().write(true).open(file.path())?;
            res.send_file(unreadable, ..)
        });
        let mut peer = world.send(&server, get("/text", "") + &get("/", ""));
        assert_eq!(world.answer(&mut peer).text(), "text");
        world.until_end(&mut peer);
        let text = peer.text();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text:?}");
        assert!(text.ends_with("\r\n\r\n"), "{text:?}");
        world.until("the last call", || log.has("close"));
        assert_eq!(log.all(), ["error EIO", "close"]);
    }
}

#[test]
fn destroy_in_the_middle_closes_the_connection_and_the_file() {
    let mut world = World::new();
    let file = Rc::new(Stored::zeros(STALLING));
    let response: Rc<Cell<Option<Response>>> = Rc::default();
    let (log, kept, shared) = (Log::new(), Rc::clone(&response), Rc::clone(&file));
    let noted = log.clone();
    let server = world.serve(move |_, res| {
        noted.note_end_of(res);
        kept.set(Some(res));
        res.send_file(shared.open(), ..)
    });
    let mut peer = world.stalled(&server);
    #[cfg(target_os = "linux")]
    assert_eq!(file.descriptors(), 1);
    response.take().expect("it was called").destroy();
    peer.read_on();
    world.until_end(&mut peer);
    assert!(peer.received.len() < STALLING);
    world.until("the last call", || log.has("close"));
    assert_eq!(log.all(), ["close"]);
    // A thread may just be reading from it.
    #[cfg(target_os = "linux")]
    world.until("the file's end", || file.descriptors() == 0);
}

#[cfg(target_os = "linux")]
#[test]
fn nothing_stays_open_whoever_ends_it() {
    let mut world = World::new();
    let file = Rc::new(Stored::zeros(STALLING));
    let (server, log) = noting(&world, &file, ServerOptions::new());
    // The client leaves.
    drop(world.stalled(&server));
    world.until("the first end", || log.count("close") == 1 && file.descriptors() == 0);
    assert!(!log.has("finish"));
    // The server ends all.
    let _peer = world.stalled(&server);
    assert_eq!(file.descriptors(), 1);
    server.close_all_connections();
    world.until("the second end", || log.count("close") == 2 && file.descriptors() == 0);
    // All of it is sent, on a connection that stays.
    let mut peer = world.send(&server, get("/", ""));
    assert!(world.answer(&mut peer).content == file.bytes());
    world.until("the third end", || log.has("finish"));
    assert_eq!(file.descriptors(), 0);
    // HEAD, and content that is copied at once, keep nothing.
    peer.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    world.answer_to_head(&mut peer);
    assert_eq!(file.descriptors(), 0);
    // The loop is gone.
    let _peer = world.stalled(&server);
    assert_eq!(file.descriptors(), 1);
    drop(world);
    World::new().until("the file's end", || file.descriptors() == 0);
}

#[test]
fn a_client_that_does_not_read_runs_into_write_timeout() {
    let mut world = World::new();
    let file = Rc::new(Stored::zeros(STALLING));
    let options = ServerOptions::new().write_timeout(Duration::from_millis(200));
    let (server, log) = noting(&world, &file, options);
    let _peer = world.stalled(&server);
    world.until("the timeout", || log.has("close"));
    assert_eq!(log.all(), ["error ETIMEDOUT", "close"]);
}

#[test]
fn a_server_that_closes_sends_the_file_to_its_end() {
    let mut world = World::new();
    let file = Rc::new(Stored::zeros(STALLING));
    let (server, log) = noting(&world, &file, ServerOptions::new());
    let mut peer = world.stalled(&server);
    server.close();
    peer.read_on();
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert!(peer.received == file.bytes());
    assert_eq!(log.all(), ["finish", "close"]);
    drop(peer);
    world.until_over();
}

#[test]
fn one_client_that_reads_fast_does_not_keep_others_waiting() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(1_000_000)));
    let mut send = parts_of(&file);
    let sent = Rc::new(Cell::new(0));
    let count = Rc::clone(&sent);
    let server = world.serve(move |req, res| {
        if req.url() == "/text" {
            res.end("text");
            return Ok(());
        }
        count.set(count.get() + 1);
        send(req, res)
    });
    // A reader of its own, always ahead of the server.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("listens");
    let mut requests = stream.try_clone().expect("a descriptor is left");
    std::thread::spawn(move || while requests.write_all(get("/?-", "").as_bytes()).is_ok() {});
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
    });
    world.until("the flood", || sent.get() > 3);
    for _ in 0..5 {
        assert_eq!(world.ask(&server, get("/text", "")).text(), "text");
    }
    server.close_all_connections();
    server.close();
    world.until_over();
}

#[test]
fn a_file_goes_out_whole_whatever_becomes_of_the_rest_of_its_request() {
    for (rest, code) in [
        (Some("no size of a chunk\r\n"), "HPE_INVALID_CHUNK_SIZE"),
        (Some(""), "ECONNRESET"),
        (None, "ERR_HTTP_REQUEST_TIMEOUT"),
    ] {
        for listens in [false, true] {
            let mut world = World::new();
            let file = Rc::new(Stored::zeros(STALLING));
            let (log, shared) = (Log::new(), Rc::clone(&file));
            let noted = log.clone();
            let timeout = rest.map_or(Duration::from_millis(300), |_| Duration::ZERO);
            let options = ServerOptions::new().request_timeout(timeout).headers_timeout(timeout);
            let server = world.serve_with(options, move |req, res| {
                req.on_error(noted.noting_error("request"));
                noted.note_end_of(res);
                res.send_file(shared.open(), ..)
            });
            if listens {
                let noted = log.clone();
                server.on_client_error(move |error, socket| {
                    noted.note(format!("server {} {}", error.code(), socket.is_open()));
                    socket.destroy();
                });
            }
            let mut peer = world.send(&server, get("/", "Transfer-Encoding: chunked\r\n"));
            world.expect(&mut peer, "\r\n\r\n");
            peer.stop_reading();
            for _ in 0..20 {
                world.turn();
            }
            match rest {
                Some("") => peer.end(),
                rest => peer.send(rest.unwrap_or_default()),
            }
            world.until("the request is refused", || log.len() > usize::from(listens));
            peer.read_on();
            world.until_end(&mut peer);
            assert_eq!(peer.received.len(), STALLING, "{code}");
            world.until("the last call", || log.has("close"));
            let mut expected = vec![format!("request {code}"), "finish".into(), "close".into()];
            if listens {
                let code = if rest == Some("") { "HPE_INVALID_EOF_STATE" } else { code };
                expected.insert(0, format!("server {code} false"));
            }
            assert_eq!(log.all(), expected);
        }
    }
}
