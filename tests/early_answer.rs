//! A server may answer before it has the whole request, and close (RFC 9112 §9.3): the client has its answer
//! and does not wait for a request that nobody wants any more.

mod common;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, World, get};
use onloop::sim::{SimNet, stats};
use onloop::{Address, LoopOptions, http};

#[test]
fn a_request_that_is_answered_early_and_hung_up_on_is_over() {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::new());
    let listener = net.listen(&Address::from(SocketAddr::from(([127, 0, 0, 1], 80)))).unwrap();
    let events: Rc<RefCell<Vec<String>>> = Rc::default();
    let log = |events: &Rc<RefCell<Vec<String>>>, what: &'static str| {
        let events = events.clone();
        move || events.borrow_mut().push(what.into())
    };

    let request = http::request(event_loop.handle(), "POST", "http://127.0.0.1/upload").unwrap();
    request.write("the first part");
    let (end, errors) = (log(&events, "end"), events.clone());
    request.on_response(move |response| {
        assert_eq!(response.status(), 413);
        response.on_data(|_| {});
        response.on_end(end);
    });
    request.on_finish(log(&events, "finish"));
    request.on_error(move |error| errors.borrow_mut().push(error.to_string()));
    request.on_close(log(&events, "close"));

    let mut server = None;
    let deadline = Duration::from_secs(5);
    while net.now() < deadline && !events.borrow().iter().any(|event| event == "close") {
        event_loop.turn(Some(Duration::from_millis(10))).unwrap();
        server = server.take().or_else(|| listener.accept());
        if let Some(peer) =
            server.as_ref().filter(|peer: &&onloop::sim::SimPeer| peer.available() > 0)
        {
            peer.read();
            peer.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
            peer.shutdown_write();
        }
    }
    // The request was never finished, and that is no error: it has its answer.
    assert_eq!(*events.borrow(), ["end", "close"]);
    assert!(!request.is_open());
    assert!(stats(&event_loop).is_empty(), "{:?}", stats(&event_loop));
}

#[test]
fn an_answer_stands_although_its_request_breaks_off_behind_it() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        req.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("close"));
        res.end("early");
    });
    // All in one read: the handler has answered by the time that the rest is looked at.
    let malformed = get("/", "Transfer-Encoding: chunked\r\n") + "x\r\n";
    let cut_off = get("/", "Content-Length: 100\r\n") + "part";
    for (request, ends, code) in
        [(malformed, false, "HPE_INVALID_CHUNK_SIZE"), (cut_off, true, "ECONNRESET")]
    {
        let mut peer = world.connect(&server);
        peer.send(request);
        if ends {
            peer.end();
        }
        assert_eq!(world.answer(&mut peer).text(), "early");
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
        assert_eq!(log.all(), [format!("error {code}"), "close".to_owned()]);
        log.clear();
    }
}

#[test]
fn an_answer_that_goes_out_whole_was_finished_however_its_request_came() {
    let malformed = get("/", "Transfer-Encoding: chunked\r\n") + "x\r\n";
    let cut_off = get("/", "Content-Length: 100\r\n") + "part";
    for (request, ends) in [(malformed, false), (cut_off, true)] {
        let head = request.find("\r\n\r\n").expect("a head") + 4;
        // The request at once, or its content when the answer is out.
        for first in [request.len(), head] {
            for listens in [false, true] {
                let log = Log::new();
                let notes = log.clone();
                let mut world = World::new();
                let server = world.serve(move |req, res| {
                    let told = notes.clone();
                    req.on_error(move |_error| told.note("request broke off"));
                    let told = notes.clone();
                    res.on_error(move |_error| told.note("response broke off"));
                    res.on_finish(notes.noting("finish"));
                    let notes = notes.clone();
                    res.on_close(move || notes.note(format!("close {}", res.writable_finished())));
                    req.resume();
                    res.end("early");
                });
                if listens {
                    server.on_client_error(|_error, socket| assert!(!socket.is_open()));
                }
                let mut peer = world.send(&server, &request[..first]);
                if first == head {
                    assert_eq!(world.answer(&mut peer).text(), "early");
                    peer.send(&request[first..]);
                }
                if ends {
                    peer.end();
                }
                if first != head {
                    assert_eq!(world.answer(&mut peer).text(), "early");
                }
                assert_eq!(world.until_end(&mut peer), Ending::End);
                let expected = ["finish", "request broke off", "close true"];
                assert_eq!(log.all(), expected, "first: {first}, listens: {listens}");
            }
        }
    }
}
