//! What the caller does wrong is an error of the call, and the exchange goes on.

use std::cell::Cell;
use std::fs::File;
use std::ops::Bound;
use std::rc::Rc;

use onloop::ErrorKind;
use onloop::http::Response;

use super::*;

/// Has `try_it` try what must be refused, then answers `go on`; the code of the refusal.
#[track_caller]
fn refused(try_it: impl Fn(Response) -> onloop::Result<()> + 'static) -> String {
    let mut world = World::new();
    let (log, noted) = (Log::new(), Log::new());
    let told = log.clone();
    let server = world.serve(move |_, res| {
        res.on_error(noted.noting_error("error"));
        let error = try_it(res).expect_err("it is refused");
        assert!(!error.to_string().is_empty());
        told.note(error.code());
        if res.headers_sent() {
            res.write(", go on");
        } else {
            res.remove_header("Content-Length").expect("nothing was sent");
        }
        res.end(", and on");
    });
    let mut peer = world.connect(&server);
    peer.send(get("/", ""));
    let answer = world.answer(&mut peer);
    assert!(answer.text().ends_with(", and on"), "{answer:?}");
    log.all().join(" ")
}

#[test]
fn a_range_that_is_not_within_the_file_is_refused() {
    let ranges = [
        (Bound::Included(11), Bound::Unbounded),
        (Bound::Included(0), Bound::Excluded(11)),
        (Bound::Included(0), Bound::Included(10)),
        (Bound::Included(5), Bound::Excluded(4)),
        (Bound::Included(0), Bound::Included(u64::MAX)),
        (Bound::Excluded(u64::MAX), Bound::Unbounded),
        (Bound::Excluded(10), Bound::Unbounded),
        (Bound::Unbounded, Bound::Excluded(u64::MAX)),
    ];
    for range in ranges {
        let file = Stored::new(b"0123456789");
        let code = refused(move |res| res.send_file(file.open(), range));
        assert_eq!(code, "ERR_OUT_OF_RANGE", "{range:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let directory = refused(|res| res.send_file(File::open(std::env::temp_dir())?, ..));
    assert_eq!(directory, "ERR_INVALID_ARG_VALUE");
    let device = refused(|res| res.send_file(File::open("/dev/zero")?, 0..10));
    assert_eq!(device, "ERR_INVALID_ARG_VALUE");
    let fifo = std::env::temp_dir().join(format!("onloop-send-file-{}.fifo", std::process::id()));
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("a program");
    assert!(made.success());
    let path = fifo.clone();
    let pipe = refused(move |res| {
        // For both, so that it does not wait for the other end.
        let pipe = File::options().read(true).write(true).open(&path)?;
        res.send_file(pipe, 0..0)
    });
    std::fs::remove_file(fifo).expect("it is there");
    assert_eq!(pipe, "ERR_INVALID_ARG_VALUE");
}

#[test]
fn a_length_that_was_promised_otherwise_is_refused() {
    for (promised, written) in [(9, 0), (11, 0), (10, 1), (20_000, 0), (11, 2)] {
        let file = Stored::new(b"0123456789");
        let mut world = World::new();
        let log = Log::new();
        let noted = log.clone();
        let server = world.serve(move |_, res| {
            res.set_header("Content-Length", promised)?;
            if written > 0 {
                res.write(vec![b'x'; written]);
            }
            let refused = res.send_file(file.open(), ..).expect_err("the lengths differ");
            noted.note(refused.code());
            res.end(vec![b'y'; promised - written]);
            Ok(())
        });
        let mut peer = world.send(&server, get("/", ""));
        assert_eq!(world.answer(&mut peer).content.len(), promised);
        assert_eq!(log.all(), ["ERR_HTTP_CONTENT_LENGTH_MISMATCH"]);
    }
}

#[test]
fn nothing_follows_a_file() {
    for length in [10, LARGE] {
        let mut world = World::new();
        let file = Stored::new(&pattern(length));
        let expected = file.bytes().to_vec();
        let log = Log::new();
        let noted = log.clone();
        let server = world.serve(move |_, res| {
            res.send_file(file.open(), ..)?;
            let again = res.send_file(file.open(), ..).expect_err("it was ended");
            let header = res.set_header("X", "y").expect_err("the head was sent");
            noted.note(format!("{} {}", again.code(), header.code()));
            noted.note(format!("{} {}", res.is_open(), res.write("more")));
            res.end("more");
            res.flush_headers();
            Ok(())
        });
        let mut peer = world.connect(&server);
        for _ in 0..2 {
            peer.send(get("/", ""));
            assert!(world.answer(&mut peer).content == expected);
        }
        let told = ["ERR_STREAM_WRITE_AFTER_END ERR_HTTP_HEADERS_SENT", "false false"];
        assert_eq!(log.all(), [told, told].concat());
    }
}

#[test]
fn a_response_that_is_over_takes_no_file() {
    let mut world = World::new();
    let file = Rc::new(Stored::new(&pattern(LARGE)));
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let (late, shared) = (Rc::clone(&kept), Rc::clone(&file));
    let server = world.serve(move |req, res| {
        if req.url() == "/first" {
            late.set(Some(res));
            res.end("first");
            let error = res.send_file(shared.open(), ..).expect_err("it was ended");
            assert_eq!(error.code(), "ERR_STREAM_WRITE_AFTER_END");
        } else {
            let first = late.take().expect("the first came before");
            let error = first.send_file(shared.open(), ..).expect_err("it is over");
            assert_eq!((error.code(), error.kind()), ("ERR_STREAM_DESTROYED", ErrorKind::Aborted));
            res.end("second");
        }
    });
    let mut peer = world.send(&server, get("/first", "") + &get("/second", ""));
    assert_eq!(world.answer(&mut peer).text(), "first");
    assert_eq!(world.answer(&mut peer).text(), "second");
    drop(world);
}
