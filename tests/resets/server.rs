//! A client resets while a server is somewhere in an exchange with it.

use onloop::http::{Request, Response, Server};

use crate::common::{Log, Peer, World, get, post};
use crate::{alone, descriptors, held};

/// More than sockets take by themselves.
const LARGE: usize = 30_000_000;

/// A state of a connection: how to get there, and what is told when it breaks there.
struct State {
    name: &'static str,
    /// What the client sends.
    sends: String,
    /// What it receives before it is there.
    receives: &'static str,
    /// What is noted before it is there.
    noted: &'static [&'static str],
    /// What is noted after the reset, in order.
    told: &'static [&'static str],
}

fn state(
    name: &'static str,
    sends: impl Into<String>,
    receives: &'static str,
    noted: &'static [&'static str],
    told: &'static [&'static str],
) -> State {
    State { name, sends: sends.into(), receives, noted, told }
}

/// Where an exchange is cut off in its request: the request's listeners hear of it, and the response is closed.
const IN_REQUEST: &[&str] = &["aborted", "request ECONNRESET", "request closed", "closed"];

/// Where the request is complete.
const IN_RESPONSE: &[&str] = &["response ECONNRESET", "request closed", "closed"];

/// Of an exchange that went well.
const OVER: &[&str] = &["request", "closed", "request closed"];

fn states() -> Vec<State> {
    let upgrade = get("/upgrade", "Connection: upgrade\r\nUpgrade: raw\r\n");
    let half = "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf!";
    let chunks =
        "POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf!\r\n5";
    vec![
        state("accepted", "", "", &[], &[]),
        state("a part of a head", "GET /late HTTP/1.1\r\nHo", "", &[], &[]),
        state("the handler waits", get("/late", ""), "", &["request"], IN_RESPONSE),
        state("a part of the content", half, "", &["request", "half!"], IN_REQUEST),
        state("within a chunk", chunks, "", &["request", "half!"], IN_REQUEST),
        state(
            "the content is paused",
            half.replace("upload", "paused"),
            "",
            &["request"],
            IN_REQUEST,
        ),
        state(
            "more than is read waits",
            post("/paused", &"x".repeat(LARGE)),
            "",
            &["request"],
            IN_REQUEST,
        ),
        state(
            "a part of the answer is out",
            get("/large", ""),
            "\r\n\r\n",
            &["request"],
            IN_RESPONSE,
        ),
        state("the ended answer waits", get("/whole", ""), "\r\n\r\n", &["request"], IN_RESPONSE),
        state(
            "an answer in chunks is open",
            get("/open", ""),
            "first\r\n",
            &["request"],
            IN_RESPONSE,
        ),
        state("a file is sent", get("/file", ""), "\r\n\r\n", &["request"], IN_RESPONSE),
        state(
            "a 1xx was sent",
            get("/info", ""),
            "102 Processing\r\n\r\n",
            &["request"],
            IN_RESPONSE,
        ),
        state("the answer is corked", get("/corked", ""), "", &["request"], IN_RESPONSE),
        state(
            "it is a byte stream",
            upgrade,
            "101 x\r\n",
            &["upgrade"],
            &["socket ECONNRESET", "socket closed"],
        ),
        state("the server lingers", get("/fine", "Connection: close\r\n"), "fine", OVER, &[]),
        state("it is idle", get("/fine", ""), "fine", OVER, &[]),
        state(
            "a request waits behind another",
            get("/late", "") + &get("/fine", ""),
            "",
            &["request"],
            IN_RESPONSE,
        ),
        state(
            "a request waits behind an answer",
            get("/whole", "") + &get("/fine", ""),
            "\r\n\r\n",
            &["request"],
            IN_RESPONSE,
        ),
    ]
}

fn handle(log: &Log, req: &Request, res: Response) -> onloop::Result<()> {
    log.note("request");
    req.on_aborted(log.noting("aborted"));
    req.on_error(log.noting_error("request"));
    req.on_close(log.noting("request closed"));
    res.on_error(log.noting_error("response"));
    res.on_close(log.noting("closed"));
    let noted = log.clone();
    match req.url() {
        "/fine" => res.end("fine"),
        "/upload" => req.on_data(move |chunk| noted.note(String::from_utf8_lossy(chunk))),
        "/paused" => req.body().pause(),
        "/large" => drop(res.write(vec![b'x'; LARGE])),
        "/whole" => res.end(vec![b'x'; LARGE]),
        "/open" => drop(res.write("first")),
        "/file" => res.send_file(zeros()?, ..)?,
        "/info" => res.write_processing()?,
        "/corked" => {
            res.cork();
            res.write("held");
        }
        _ => {}
    }
    Ok(())
}

/// A large file that takes no room.
fn zeros() -> std::io::Result<std::fs::File> {
    let path = std::env::temp_dir().join(format!("onloop-resets-{}", std::process::id()));
    let file =
        std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    file.set_len(LARGE as u64)?;
    Ok(file)
}

/// A server that notes what it is told; `/late` is never answered.
fn noting(world: &World) -> (Server, Log) {
    let log = Log::new();
    let noted = log.clone();
    let server = world.serve(move |req, res| handle(&noted, &req, res));
    let noted = log.clone();
    server.on_upgrade(move |_, socket, _| {
        noted.note("upgrade");
        socket.write("HTTP/1.1 101 x\r\n");
        socket.on_error(noted.noting_error("socket"));
        socket.on_close(noted.noting("socket closed"));
    });
    (server, log)
}

/// A connection that is in this state, and does not read on.
fn reach(world: &mut World, server: &Server, log: &Log, state: &State) -> Peer {
    let mut peer = world.send(server, &state.sends);
    if !state.receives.is_empty() {
        world.expect(&mut peer, state.receives);
    }
    peer.stop_reading();
    world.until(state.name, || server.connections() == 1 && log.all() == state.noted);
    // The sockets fill.
    for _ in 0..10 {
        peer.pump();
        world.turn();
    }
    assert_eq!(log.all(), state.noted, "{}", state.name);
    peer
}

/// A client that goes with a reset in this state: the calls that are due come, and no more.
fn reset_in(world: &mut World, server: &Server, log: &Log, state: &State) {
    let mut peer = reach(world, server, log, state);
    log.clear();
    peer.reset();
    drop(peer);
    world.until(state.name, || server.connections() == 0);
    for _ in 0..5 {
        world.turn();
    }
    assert_eq!(log.all(), state.told, "{}", state.name);
}

#[test]
fn a_reset_in_any_state_is_told_once_and_leaves_nothing() {
    let _alone = alone();
    for state in states() {
        let mut world = World::new();
        let (server, log) = noting(&world);
        // What a loop keeps for itself, and a server for files, is there before it is counted.
        for path in ["/fine", "/file"] {
            let mut peer = world.send(&server, get(path, "Connection: close\r\n"));
            world.until_end(&mut peer);
        }
        world.until("the beginning", || server.connections() == 0);
        log.clear();
        let before = descriptors();
        reset_in(&mut world, &server, &log, &state);
        assert_eq!(held(&world), (0, 0, 0), "{}", state.name);
        assert_eq!(descriptors(), before, "{}", state.name);
        assert_eq!(world.ask(&server, get("/fine", "")).text(), "fine", "{}", state.name);
    }
}

#[test]
fn on_client_error_is_told_of_a_reset_once_and_has_a_socket_that_is_over() {
    let _alone = alone();
    for state in states() {
        let mut world = World::new();
        let (server, log) = noting(&world);
        let errors = Log::new();
        let noted = errors.clone();
        server.on_client_error(move |error, socket| {
            noted.note(format!("{} {}", error.code(), socket.is_open()));
            assert!(!socket.write("HTTP/1.1 400 x\r\n\r\n"));
            socket.destroy();
        });
        reset_in(&mut world, &server, &log, &state);
        // A byte stream has listeners of its own.
        let told = if state.sends.contains("upgrade") { 0 } else { 1 };
        assert_eq!(errors.all(), vec!["ECONNRESET false"; told], "{}", state.name);
    }
}
