//! The rest of a request is given up while its response still goes out: whoever asks for its content then is told
//! that it is not whole.

mod common;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::rc::Rc;

use common::{Log, World, get, raw_server};
use onloop::http::{self, Request, Response};

/// More than the system's buffers take of a client that does not read.
const LARGE: usize = 16 * 1024 * 1024;

fn large_file() -> File {
    let name =
        format!("onloop-broken-off-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, vec![b'x'; LARGE]).expect("a place for a file");
    let file = File::open(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was written");
    file
}

type Kept = Rc<Cell<Option<Request>>>;

/// A response that is under way for as long as its client does not read, to a request that is broken off.
fn respond(case: &str, req: Request, res: Response, kept: &Kept) -> onloop::Result<()> {
    res.on_finish(|| {});
    match case {
        "a malformed chunk" => {
            req.on_data(|_| {});
            res.send_file(large_file(), ..)?;
        }
        _ => res.end(vec![b'x'; LARGE]),
    }
    kept.set(Some(req));
    Ok(())
}

fn request(case: &str) -> String {
    match case {
        "a malformed chunk" => get("/", "Transfer-Encoding: chunked\r\n") + "2\r\nab\r\nz",
        _ => get("/", "Expect: 100-continue\r\nContent-Length: 5\r\n"),
    }
}

const CASES: [&str; 2] = ["a malformed chunk", "content that was not asked for"];

/// A request that was broken off, of which the handle is left.
fn broken_off(world: &mut World, case: &'static str) -> (Request, common::Peer) {
    let kept = Kept::default();
    let own = Rc::clone(&kept);
    let server = world.serve(move |req, res| respond(case, req, res, &own));
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(request(case));
    let req = world.wait("the request", || kept.take());
    for _ in 0..20 {
        world.turn();
    }
    assert!(req.is_open() && !req.is_complete(), "{case}");
    (req, peer)
}

#[test]
fn what_is_left_of_it_cannot_be_collected() {
    for case in CASES {
        let mut world = World::new();
        let (req, mut peer) = broken_off(&mut world, case);
        let log = Log::new();
        let notes = log.clone();
        req.collect(1_000, move |content| match content {
            Ok(content) => notes.note(format!("{content:?}")),
            Err(error) => notes.note(error.code()),
        });
        world.until(case, || log.len() == 1);
        assert_eq!(log.all(), ["ERR_STREAM_PREMATURE_CLOSE"], "{case}");
        peer.read_on();
        world.until_end(&mut peer);
        assert_eq!(peer.received.iter().filter(|&&byte| byte == b'x').count(), LARGE, "{case}");
    }
}

#[test]
fn what_it_is_piped_into_then_does_not_look_whole() {
    for case in CASES {
        let mut world = World::new();
        let (req, mut peer) = broken_off(&mut world, case);
        let (listener, url) = raw_server();
        let upstream = http::request(world.lp, "POST", &url).expect("a request");
        let failed = Rc::new(RefCell::new(None));
        let noted = Rc::clone(&failed);
        upstream.on_error(move |error| *noted.borrow_mut() = Some(error.code()));
        upstream.flush_headers();
        let mut other = world.accept(&listener);
        world.expect(&mut other, "\r\n\r\n");
        req.pipe(upstream);
        world.until("the end of the other", || failed.borrow().is_some());
        world.until_end(&mut other);
        assert_eq!(other.text(), "", "{case}: no last chunk");
        peer.read_on();
        world.until_end(&mut peer);
        assert_eq!(peer.received.iter().filter(|&&byte| byte == b'x').count(), LARGE, "{case}");
    }
}
