//! `send_file`: which bytes go out, framed how, and what happens when the file, the client or the program does
//! not play along. `memory` holds what a large file costs, `stored` the files.

#[path = "../common/mod.rs"]
mod common;
#[path = "../counting/mod.rs"]
mod counting;
mod failing;
mod memory;
mod misuse;
mod stored;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use common::{Answer, Log, World, get, post};
use onloop::http::{Request, Response};
use onloop::sim::{SimNet, SimOptions};
use onloop::{Address, Limits, LoopOptions};
use stored::{Stored, pattern};

/// Larger than everything that is sent in one go.
const LARGE: usize = 9_000_001;

/// Larger than what sockets take by themselves, in both directions, and what a client has read before it
/// stops.
const STALLING: usize = 40_000_000;

/// Answers with the part of `file` that the query names as `FROM-TO`, the end excluded.
fn parts_of(file: &Rc<Stored>) -> impl FnMut(Request, Response) -> onloop::Result<()> + 'static {
    let file = Rc::clone(file);
    move |req, res| {
        let query = req.url().split_once('?').map_or("-", |(_, query)| query);
        let (from, to) = query.split_once('-').expect("a range");
        let from = from.parse().unwrap_or(0);
        match to.parse::<u64>() {
            Ok(to) => res.send_file(file.open(), from..to),
            Err(_) => res.send_file(file.open(), from..),
        }
    }
}

#[test]
fn the_bytes_of_the_range_are_sent_with_their_length() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let server = world.serve(parts_of(&file));
    let parts = [
        (0, LARGE),
        (0, 0),
        (0, 1),
        (LARGE - 1, LARGE),
        (LARGE, LARGE),
        (1, 32 * 1024 + 1),
        (1, 32 * 1024 + 2),
        (4095, 4097),
        (256 * 1024 - 1, 512 * 1024 + 1),
        (5_000_000, LARGE),
    ];
    let mut peer = world.connect(&server);
    for (from, to) in parts {
        peer.send(get(&format!("/?{from}-{to}"), ""));
        let answer = world.answer(&mut peer);
        assert_eq!(answer.field("Content-Length"), Some(&*(to - from).to_string()));
        assert_eq!(answer.field("Transfer-Encoding"), None);
        assert!(answer.content == file.bytes()[from..to], "{from}..{to}");
    }
}

#[test]
fn every_kind_of_range_is_understood() {
    let mut world = World::new();
    let file = Stored::new(b"0123456789");
    let server = world.serve(move |req, res| match req.url() {
        "/all" => res.send_file(file.open(), ..),
        "/from" => res.send_file(file.open(), 7..),
        "/to" => res.send_file(file.open(), ..3),
        "/inclusive" => res.send_file(file.open(), 2..=4),
        _ => res.send_file(file.open(), ..=0),
    });
    let parts = [
        ("/all", "0123456789"),
        ("/from", "789"),
        ("/to", "012"),
        ("/inclusive", "234"),
        ("/", "0"),
    ];
    for (path, expected) in parts {
        assert_eq!(world.ask(&server, get(path, "")).text(), expected, "{path}");
    }
}

#[test]
fn head_tells_the_length_and_sends_nothing() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let server = world.serve(parts_of(&file));
    let mut peer = world.connect(&server);
    for (query, length) in [("-", "9000001"), ("5-15", "10"), ("0-0", "0"), ("0-100000", "100000")]
    {
        peer.send(format!("HEAD /?{query} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(world.answer_to_head(&mut peer).field("Content-Length"), Some(length));
    }
    // No content has come in between.
    peer.send(get("/?3-4", ""));
    assert_eq!(world.answer(&mut peer).content, file.bytes()[3..4]);
}

#[test]
fn a_304_has_no_content_and_the_connection_goes_on() {
    let mut world = World::new();
    let file = Stored::new(&pattern(LARGE));
    let server = world.serve(move |req, res| {
        res.set_status(req.url()[1..].parse().expect("a status"));
        res.send_file(file.open(), ..)
    });
    let mut peer = world.connect(&server);
    for status in [304, 204, 304] {
        peer.send(get(&format!("/{status}"), ""));
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.field("Content-Length")), (status, None));
    }
    peer.send(get("/206", ""));
    assert_eq!(world.answer(&mut peer).content.len(), LARGE);
}

#[test]
fn a_file_of_any_size_is_sent_to_a_reader_that_takes_its_time() {
    let mut world = World::new();
    let log = Log::new();
    let file = Stored::new(&pattern(STALLING));
    let (expected, noted) = (file.bytes().to_vec(), log.clone());
    let server = world.serve(move |_, res| {
        res.on_finish(noted.noting("finish"));
        res.on_close(noted.noting("close"));
        res.on_error(noted.noting_error("error"));
        res.send_file(file.open(), ..)
    });
    let mut peer = world.send(&server, get("/", ""));
    world.expect(&mut peer, "\r\n\r\n");
    peer.stop_reading();
    // The sockets are full, and the last byte is far from being out.
    for _ in 0..50 {
        world.turn();
    }
    assert_eq!(log.all(), [""; 0]);
    peer.read_on();
    world.until("all bytes", || {
        peer.pump();
        peer.received.len() >= STALLING
    });
    world.until("the last call", || log.len() == 2);
    assert_eq!(log.all(), ["finish", "close"]);
    assert!(peer.received == expected);
}

#[test]
fn who_waits_for_what_was_written_waits_for_the_file() {
    let mut world = World::new();
    let log = Log::new();
    let file = Stored::zeros(STALLING);
    let noted = log.clone();
    let kept = Rc::new(std::cell::Cell::new(None));
    let late = Rc::clone(&kept);
    let server = world.serve(move |_, res| {
        res.on_finish(noted.noting("finish"));
        res.send_file(file.open(), ..)?;
        let told = noted.clone();
        res.on_written(move |result| told.note(format!("written {}", result.is_ok())))?;
        late.set(Some(res));
        Ok(())
    });
    let mut peer = world.send(&server, get("/", ""));
    world.expect(&mut peer, "\r\n\r\n");
    peer.stop_reading();
    for _ in 0..50 {
        world.turn();
    }
    let res = kept.take().expect("it was called");
    assert!(res.writable_ended() && !res.writable_finished());
    assert_eq!((log.all(), res.writable_length()), (Vec::new(), 0));
    peer.read_on();
    world.until("the last call", || {
        peer.pump();
        log.len() == 2
    });
    assert_eq!(log.all(), ["written true", "finish"]);
}

#[test]
fn a_file_lets_go_of_what_was_corked() {
    for length in [0, 10, LARGE] {
        let mut world = World::new();
        let file = Stored::new(&pattern(length));
        let expected = [b"corked", file.bytes()].concat();
        let server = world.serve(move |_, res| {
            res.cork();
            res.cork();
            res.write("corked");
            res.send_file(file.open(), ..)
        });
        let mut peer = world.connect(&server);
        for _ in 0..2 {
            peer.send(get("/", ""));
            assert!(world.answer(&mut peer).content == expected, "{length}");
        }
    }
}

#[test]
fn many_files_are_sent_at_a_time() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let server = world.serve(parts_of(&file));
    let part = |at: usize| (at * 100_003, at * 100_003 + 500_000 + at);
    let mut peers: Vec<_> = (0..60)
        .map(|at| world.send(&server, get(&format!("/?{}-{}", part(at).0, part(at).1), "")))
        .collect();
    for (at, peer) in peers.iter_mut().enumerate() {
        let (from, to) = part(at);
        assert!(world.answer(peer).content == file.bytes()[from..to], "{from}..{to}");
    }
}

#[test]
fn requests_behind_a_file_are_answered_behind_it() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let mut send = parts_of(&file);
    let server = world.serve(move |req, res| match req.url() {
        "/text" => {
            res.end("text");
            Ok(())
        }
        _ => send(req, res),
    });
    let batch =
        [get("/text", ""), get("/?-", ""), get("/text", ""), get("/?3-9", ""), get("/?-", "")];
    let mut peer = world.send(&server, batch.concat());
    assert_eq!(world.answer(&mut peer).text(), "text");
    assert!(world.answer(&mut peer).content == file.bytes());
    assert_eq!(world.answer(&mut peer).text(), "text");
    assert_eq!(world.answer(&mut peer).content, file.bytes()[3..9]);
    assert!(world.answer(&mut peer).content == file.bytes());
}

#[test]
fn http_1_0_gets_the_length_and_the_end_of_the_connection() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let server = world.serve(parts_of(&file));
    let mut peer = world.send(&server, "GET /?1- HTTP/1.0\r\n\r\n");
    let answer = world.answer(&mut peer);
    assert_eq!(answer.field("Content-Length"), Some("9000000"));
    assert!(answer.content == file.bytes()[1..]);
    assert_eq!(world.until_end(&mut peer), common::Ending::End);
}

/// Answers with `Part: `, then a file, then a trailer.
fn behind_a_write(world: &World, file: Stored) -> onloop::http::Server {
    world.serve(move |_, res| {
        res.set_header("Trailer", "X-Sum")?;
        res.write("Part: ");
        res.add_trailer("X-Sum", "7")?;
        res.send_file(file.open(), 2..)
    })
}

#[test]
fn a_file_behind_what_was_written_is_content_like_any_other() {
    for length in [3, 20_000, LARGE] {
        let mut world = World::new();
        let bytes = pattern(length);
        let server = behind_a_write(&world, Stored::new(&bytes));
        let expected = [b"Part: ", &bytes[2..]].concat();

        let answer = world.ask(&server, get("/", ""));
        assert_eq!(answer.field("Transfer-Encoding"), Some("chunked"));
        assert!(answer.content == expected, "{length}");
        assert_eq!(answer.trailers, [("X-Sum".to_owned(), "7".to_owned())]);

        // To HTTP/1.0 the connection's end is the content's.
        let answer = world.ask(&server, "GET / HTTP/1.0\r\n\r\n");
        assert_eq!(answer.field("Transfer-Encoding"), None);
        assert!(answer.content == expected, "{length}");
    }
}

#[test]
fn a_length_that_was_announced_is_kept_across_writes() {
    let mut world = World::new();
    let file = Stored::new(&pattern(100_000));
    let expected = [b"abc", file.bytes()].concat();
    let server = world.serve(move |_, res| {
        res.set_header("Content-Length", 100_003)?;
        res.write("abc");
        res.send_file(file.open(), ..)
    });
    let mut peer = world.connect(&server);
    for _ in 0..2 {
        peer.send(get("/", ""));
        assert!(world.answer(&mut peer).content == expected);
    }
}

#[test]
fn a_file_can_be_sent_from_anywhere() {
    let mut world = World::new();
    let lp = world.lp;
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let shared = Rc::clone(&file);
    let server = world.serve(move |_, res| {
        let file = Rc::clone(&shared);
        lp.set_timeout(Duration::from_millis(1), move || res.send_file(file.open(), ..));
    });
    let mut peer = world.connect(&server);
    for _ in 0..2 {
        peer.send(get("/", ""));
        assert!(world.answer(&mut peer).content == file.bytes());
    }
}

#[test]
fn a_request_with_content_that_nobody_reads_is_answered_with_a_file() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let server = world.serve(parts_of(&file));
    let mut peer = world.send(&server, post("/?-", &"x".repeat(100_000)));
    assert!(world.answer(&mut peer).content == file.bytes());
    peer.send(get("/?0-1", ""));
    assert_eq!(world.answer(&mut peer).content, file.bytes()[..1]);
}

#[test]
fn the_files_own_position_does_not_matter() {
    let mut world = World::new();
    let file = Stored::new(&pattern(300_000));
    let expected = file.bytes()[1..].to_vec();
    let server = world.serve(move |_, res| {
        let mut open = file.open();
        open.read_exact(&mut [0; 100])?;
        res.send_file(open, 1..)
    });
    assert!(world.ask(&server, get("/", "")).content == expected);
}

#[test]
fn what_is_not_in_memory_is_sent_while_the_loop_sleeps() {
    let mut world = World::new();
    let file = Stored::new(&pattern(LARGE));
    let expected = file.bytes().to_vec();
    let forgotten = Rc::new(std::cell::Cell::new(false));
    let noted = Rc::clone(&forgotten);
    let server = world.serve(move |_, res| {
        file.forget();
        #[cfg(target_os = "linux")]
        noted.set(noted.get() || file.is_forgotten());
        res.send_file(file.open(), ..)
    });
    let port = server.port();
    let client = std::thread::spawn(move || {
        let mut received = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("all bytes come");
            received.push(bytes);
        }
        received
    });
    // Nothing but the sockets and the thread that reads wakes it.
    let done = world.event_loop.remote();
    let waiting = std::thread::spawn(move || {
        let received = client.join().expect("the client does not panic");
        done.post(|lp| lp.stop()).expect("the loop lives");
        received
    });
    world.event_loop.run().expect("it runs");
    for bytes in waiting.join().expect("no panic") {
        let (answer, _) = Answer::parse(&bytes, false, true).expect("a whole answer");
        assert!(answer.content == expected);
    }
    // It was this thread that waited for the disk.
    #[cfg(target_os = "linux")]
    assert!(!forgotten.get() || threads().contains(&"onloop-files".to_owned()));
}

#[test]
fn one_slice_at_a_time_is_enough_for_all() {
    let limits = Limits::new().file_reads_max(1);
    let mut world = World::with(LoopOptions::new().limits(limits));
    let files: Vec<_> = (0..5).map(|at| Stored::new(&pattern(1_500_000 + at))).collect();
    let expected: Vec<Vec<u8>> = files.iter().map(|file| file.bytes().to_vec()).collect();
    let server = world.serve(move |req, res| {
        let at: usize = req.url()[1..].parse().expect("a number");
        files[at].forget();
        res.send_file(files[at].open(), ..)
    });
    let mut peers: Vec<_> =
        (0..5).map(|at| world.send(&server, get(&format!("/{at}"), ""))).collect();
    for (peer, expected) in peers.iter_mut().zip(&expected) {
        assert!(world.answer(peer).content == *expected);
    }
}

/// The names of this process's threads.
#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("linux tells").flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.map(|name| name.trim_end().to_owned()).collect()
}

#[test]
fn files_go_out_over_the_simulated_network() {
    for capacity in [1_000, 100_000] {
        let net = SimNet::with_options(3, SimOptions::default().capacity(capacity));
        let mut event_loop = net.event_loop(LoopOptions::new());
        let lp = event_loop.handle();
        let file = Rc::new(Stored::new(&pattern(400_000)));
        let server = onloop::http::create_server(lp, parts_of(&file));
        server.listen("127.0.0.1:80").expect("a free port");
        let client = net.connect(&Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], 80))));
        client.write((get("/?-", "") + &get("/?7-70", "")).as_bytes());
        let mut received = Vec::new();
        let mut answers = Vec::new();
        while answers.len() < 2 {
            event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
            received.extend(client.read_up_to(70_000));
            assert!(!client.is_eof() && !client.is_reset());
            while let Some((answer, length)) = Answer::parse(&received, false, false) {
                received.drain(..length);
                answers.push(answer.content);
            }
        }
        assert!(answers == [file.bytes(), &file.bytes()[7..70]]);
    }
}
