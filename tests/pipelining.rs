//! Several requests on the way at once: answers in order, one exchange at a time, in bounded memory.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use common::{Ending, Log, World, echo, get, post};
use onloop::LoopOptions;
use onloop::http::{Response, ServerOptions};

#[test]
fn answers_come_in_order_however_late_the_handlers() {
    let waiting: Rc<RefCell<VecDeque<Response>>> = Rc::default();
    let log = Log::new();
    let (keeps, notes) = (Rc::clone(&waiting), log.clone());
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        match req.url().starts_with("/late") {
            true => keeps.borrow_mut().push_back(res),
            false => res.end(req.url().to_owned()),
        }
    });
    let requests: String = ["/late1", "/2", "/late3", "/4"].map(|path| get(path, "")).concat();
    let mut peer = world.send(&server, requests);
    let mut texts = Vec::new();
    for late in ["late one", "late three"] {
        let waits = Rc::clone(&waiting);
        let res = world.wait("a late request", || waits.borrow_mut().pop_front());
        // Another connection is served meanwhile, and nothing of the later requests has begun.
        assert_eq!(world.ask(&server, get("/other", "")).text(), "/other");
        assert!(waiting.borrow().is_empty());
        res.end(late);
        texts.push(world.answer(&mut peer).text());
        texts.push(world.answer(&mut peer).text());
    }
    assert_eq!(texts, ["late one", "/2", "late three", "/4"]);
    assert_eq!(log.all(), ["/late1", "/other", "/2", "/late3", "/other", "/4"]);
}

#[test]
fn content_and_requests_alternate() {
    let mut world = World::new();
    let server = world.serve(echo);
    let mut requests = String::new();
    for at in 0..50 {
        requests += &post("/", &format!("content {at}"));
        requests += "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        requests += &format!("3\r\n{at:03}\r\n0\r\nX-T: 1\r\n\r\n");
        requests += &get("/", "");
    }
    let mut peer = world.send(&server, requests);
    for at in 0..50 {
        assert_eq!(world.answer(&mut peer).text(), format!("content {at}"));
        assert_eq!(world.answer(&mut peer).text(), format!("{at:03}"));
        assert_eq!(world.answer(&mut peer).text(), "");
    }
}

#[test]
fn a_malformed_request_does_not_destroy_the_answers_before_it() {
    for late in [false, true] {
        let waiting: Rc<Cell<Option<Response>>> = Rc::default();
        let keeps = Rc::clone(&waiting);
        let mut world = World::new();
        let server = world.serve(move |req, res| match req.url() {
            "/last" if late => keeps.set(Some(res)),
            _ => res.end("fine"),
        });
        let requests = get("/", "").repeat(2)
            + &get("/last", "")
            + "GET / HTTP/1.1\r\nHost : h\r\n\r\n"
            + &get("/behind", "");
        let mut peer = world.send(&server, requests);
        assert_eq!(world.answer(&mut peer).text(), "fine");
        assert_eq!(world.answer(&mut peer).text(), "fine");
        if late {
            let waits = Rc::clone(&waiting);
            let res = world.wait("the third request", || waits.take());
            res.end("fine");
        }
        assert_eq!(world.answer(&mut peer).text(), "fine");
        let refusal = world.answer(&mut peer);
        assert_eq!((refusal.status, refusal.field("Connection")), (400, Some("close")));
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    }
}

#[test]
fn what_stands_behind_a_closing_answer_is_ignored() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        if req.url() == "/last" {
            res.set_header("Connection", "close")?;
        }
        res.end("x");
        Ok(())
    });
    let mut peer = world.send(&server, get("/first", "") + &get("/last", "") + &get("/behind", ""));
    world.answer(&mut peer);
    assert_eq!(world.answer(&mut peer).field("Connection"), Some("close"));
    assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    assert_eq!(log.all(), ["/first", "/last"]);
}

#[test]
fn empty_lines_between_requests_are_skipped() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut peer = world.send(&server, format!("{}\r\n{}\r\n\r\n", get("/", ""), get("/", "")));
    world.answer(&mut peer);
    world.answer(&mut peer);
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).text(), "x");
}

#[test]
fn a_thousand_requests_in_one_write() {
    let mut world = World::new();
    let count = Rc::new(Cell::new(0));
    let counts = Rc::clone(&count);
    let server = world.serve(move |_req, res| {
        counts.set(counts.get() + 1);
        res.end(counts.get().to_string());
    });
    let mut peer = world.send(&server, get("/", "").repeat(1000));
    for at in 1..=1000 {
        assert_eq!(world.answer(&mut peer).text(), at.to_string());
    }
}

#[test]
fn one_connection_does_not_starve_the_others() {
    let mut world = World::with(LoopOptions::new().requests_per_turn(4));
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        notes.note(req.url());
        res.end("x");
    });
    let mut flood = world.connect(&server);
    let mut other = world.connect(&server);
    flood.send(get("/flood", "").repeat(400));
    other.send(get("/other", ""));
    world.answer(&mut other);
    let before = log.all().iter().position(|line| line == "/other").unwrap();
    assert!(before < 100, "{before} requests of the other connection came before");
    for _ in 0..400 {
        world.answer(&mut flood);
    }
}

#[test]
fn answers_that_nobody_reads_stop_the_reading() {
    const REQUESTS: usize = 20_000;
    let served = Rc::new(Cell::new(0usize));
    let counts = Rc::clone(&served);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/other" => res.end(""),
        _ => {
            counts.set(counts.get() + 1);
            res.end(vec![b'x'; 10_000]);
        }
    });
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/", "").repeat(REQUESTS));
    // 200 MB of answers, of which the system holds some. They stop when whole exchanges on another
    // connection bring no more of them.
    let mut last = usize::MAX;
    while last != served.get() {
        last = served.get();
        for _ in 0..10 {
            peer.pump();
            world.ask(&server, get("/other", ""));
        }
    }
    assert!(last < REQUESTS / 2, "{last} requests were answered into memory");
    peer.read_on();
    for _ in 0..REQUESTS {
        assert_eq!(world.answer(&mut peer).content.len(), 10_000);
    }
}

#[test]
fn an_exchange_that_breaks_off_does_not_take_along_the_answers_before_it() {
    // All of them in one read, so that nothing of the answers is out when the last one breaks off.
    let breaking = [
        ("/error", get("/error", "")),
        ("/destroy", get("/destroy", "")),
        ("/destroy, begun", get("/destroy-begun", "")),
        ("/connection", get("/connection", "")),
        ("/malformed", get("/malformed", "Transfer-Encoding: chunked\r\n") + "z"),
        ("/too much", get("/too-much", "")),
    ];
    for (what, last) in breaking {
        let mut world = World::new();
        let options = ServerOptions::new().max_buffered(1_000);
        let server = world.serve_with(options, |req, res| {
            match req.url() {
                "/destroy" => res.destroy(),
                "/connection" => res.connection().destroy(),
                "/too-much" => {
                    res.write(vec![b'x'; 2_000]);
                    res.write("and still more");
                }
                "/destroy-begun" | "/malformed" | "/error" => {
                    req.resume();
                    res.write("begun");
                }
                _ => res.end("answer"),
            }
            match req.url() {
                "/destroy-begun" => res.destroy(),
                "/error" => return Err(onloop::Error::other("as it should")),
                _ => {}
            }
            Ok(())
        });
        let mut peer = world.send(&server, get("/1", "") + &get("/2", "") + &last);
        for _ in 0..2 {
            assert_eq!(world.answer(&mut peer).text(), "answer", "{what}");
        }
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "", "{what}: what is not out is not sent any more");
    }
}
