//! `cork`: what a message writes is held together until `uncork` or the end.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, get, raw_server};
use onloop::http::{self, Response, Server, ServerOptions};

/// A server that hands out the response to each request.
fn waiting(world: &World, options: ServerOptions) -> (Server, Rc<Cell<Option<Response>>>) {
    let response: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&response);
    let server = world.serve_with(options, move |_req, res| keeps.set(Some(res)));
    (server, response)
}

fn asked(world: &mut World) -> (Peer, Response) {
    let (server, response) = waiting(world, ServerOptions::new());
    let peer = world.send(&server, get("/", ""));
    let res = world.wait("the request", || response.take());
    (peer, res)
}

/// Gives everything that could leave the time to do so.
fn settle(world: &mut World) {
    for _ in 0..10 {
        world.turn();
    }
}

#[test]
fn nothing_leaves_while_a_message_is_corked() {
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    res.cork();
    res.cork();
    assert_eq!(res.writable_corked(), 2);
    res.set_header("Content-Length", 6).unwrap();
    res.flush_headers();
    assert!(res.headers_sent() && res.write("abc"));
    settle(&mut world);
    res.uncork();
    settle(&mut world);
    peer.pump();
    assert_eq!(peer.text(), "");
    assert!(res.writable_length() > 3, "head and content wait: {}", res.writable_length());
    res.uncork();
    assert_eq!(res.writable_corked(), 0);
    world.expect(&mut peer, "\r\n\r\nabc");
    assert_eq!(res.writable_length(), 0);
    // One too many is none.
    res.uncork();
    assert!(res.write("def"));
    world.expect(&mut peer, "def");
    res.end("");
}

#[test]
fn chunked_content_that_was_corked_is_one_chunk() {
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    res.write("first");
    world.expect(&mut peer, "\r\n\r\n5\r\nfirst\r\n");
    res.cork();
    for text in ["hel", "", "lo ", "world"] {
        res.write(text);
        settle(&mut world);
    }
    res.uncork();
    world.expect(&mut peer, "b\r\nhello world\r\n");
    res.cork();
    res.uncork();
    res.write("!");
    world.expect(&mut peer, "1\r\n!\r\n");
    res.cork();
    res.cork();
    res.write("the ");
    res.end("end");
    assert_eq!(world.expect(&mut peer, "0\r\n\r\n"), "7\r\nthe end\r\n0\r\n\r\n");
}

#[test]
fn an_end_alone_uncorks_and_is_framed_by_its_length() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.cork();
        res.end("hello");
        assert_eq!(res.writable_corked(), 0);
    });
    let mut peer = world.send(&server, get("/", "") + &get("/", ""));
    for _ in 0..2 {
        let answer = world.answer(&mut peer);
        let length = answer.field("Content-Length");
        assert_eq!((length, answer.text().as_str()), (Some("5"), "hello"));
    }
}

#[test]
fn large_and_shared_content_keeps_its_order_in_a_cork() {
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    let large = "0123456789abcdef".repeat(4096);
    res.cork();
    res.write("a");
    res.write(large.clone());
    res.write("b");
    res.write(bytes::Bytes::from(large.clone()));
    res.write(large.as_str());
    res.write("c");
    res.uncork();
    res.write("d");
    res.end(large.clone());
    let answer = world.answer(&mut peer);
    let expected = format!("a{large}b{large}{large}cd{large}");
    assert!(answer.text() == expected, "{} bytes", answer.content.len());
}

#[test]
fn a_corked_message_waits_for_drain_until_it_is_uncorked() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    res.on_drain(log.noting("drain"));
    res.cork();
    assert!(res.write("x"));
    assert!(!res.write("x".repeat(res.writable_high_water_mark())));
    assert!(res.writable_need_drain());
    settle(&mut world);
    assert_eq!(log.len(), 0, "what is corked still waits");
    res.uncork();
    let lines = log.clone();
    world.until("on_drain", || lines.has("drain"));
    assert!(!res.writable_need_drain());
    res.end("");
    assert_eq!(world.answer(&mut peer).content.len(), 64 * 1024 + 1);
}

#[test]
fn a_cork_is_bounded_by_max_buffered() {
    let log = Log::new();
    let mut world = World::new();
    let options = ServerOptions::new().max_buffered(1000);
    let (server, response) = waiting(&world, options);
    let mut peer = world.send(&server, get("/", ""));
    let res = world.wait("the request", || response.take());
    res.on_error(log.noting_error("error"));
    res.cork();
    let refused = (0..100).find_map(|_| res.try_write(vec![b'x'; 100]).err()).expect("a bound");
    assert_eq!(refused.code(), "ERR_BUFFER_OUT_OF_BOUNDS");
    // The head did not leave the cork: there is still something to be said.
    let answer = world.answer(&mut peer);
    assert_eq!((answer.status, answer.text().as_str()), (500, ""));
    assert_eq!(log.all(), ["error ERR_BUFFER_OUT_OF_BOUNDS"]);
}

#[test]
fn a_corked_message_is_not_one_that_the_client_does_not_read() {
    let mut world = World::new();
    let options = ServerOptions::new().write_timeout(Duration::from_millis(50));
    let (server, response) = waiting(&world, options);
    let mut peer = world.send(&server, get("/", ""));
    let res = world.wait("the request", || response.take());
    res.cork();
    res.write("patience");
    let waited = Rc::new(Cell::new(false));
    let over = Rc::clone(&waited);
    world.lp.set_timeout(Duration::from_millis(250), move || over.set(true));
    world.until("several times the timeout", || waited.get());
    assert!(res.is_open());
    res.end("!");
    assert_eq!(world.answer(&mut peer).text(), "patience!");
}

#[test]
fn a_corked_response_does_not_hold_back_the_one_before() {
    let mut world = World::new();
    let large = 1 << 20;
    let server = world.serve(move |req, res| match req.url() {
        "/large" => res.end(vec![b'x'; large]),
        _ => {
            res.cork();
            res.write("corked");
        }
    });
    let mut peer = world.send(&server, get("/large", "") + &get("/corked", ""));
    assert_eq!(world.answer(&mut peer).content.len(), large);
    settle(&mut world);
    peer.pump();
    assert_eq!(peer.text(), "");
}

#[test]
fn write_callbacks_wait_for_the_cork() {
    let log = Log::new();
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    let noting = |line: &'static str| {
        let notes = log.clone();
        move |result: onloop::Result<()>| notes.note(format!("{line} {}", result.is_ok()))
    };
    res.write("a");
    res.on_written(noting("before")).unwrap();
    res.cork();
    res.write("b");
    res.on_written(noting("within")).unwrap();
    let lines = log.clone();
    world.until("the first callback", || lines.len() > 0);
    settle(&mut world);
    assert_eq!(log.all(), ["before true"]);
    res.uncork();
    world.until("the second", || lines.len() > 1);
    res.cork();
    res.write("c");
    res.on_written(noting("destroyed")).unwrap();
    res.destroy();
    world.until("the third", || lines.len() > 2);
    assert_eq!(log.all(), ["before true", "within true", "destroyed false"]);
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert!(peer.text().ends_with("\r\n\r\n1\r\na\r\n1\r\nb\r\n"), "{}", peer.text());
}

#[test]
fn informational_responses_are_not_held() {
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    res.cork();
    res.write_processing().unwrap();
    assert_eq!(world.expect(&mut peer, "\r\n\r\n"), "HTTP/1.1 102 Processing\r\n\r\n");
    res.end("x");
    assert_eq!(world.answer(&mut peer).text(), "x");
}

#[test]
fn shared_content_in_a_cork_is_let_go_when_the_message_is_destroyed() {
    // Owners of shared bytes may be sent to other threads, so what they look at is the thread's.
    thread_local! {
        static SERVER: Cell<Option<Server>> = const { Cell::new(None) };
        static DROPPED: Cell<Option<bool>> = const { Cell::new(None) };
    }
    struct Owner(Vec<u8>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            // While the loop is borrowed every question is answered by no.
            DROPPED.set(SERVER.get().map(|server| server.is_listening()));
        }
    }
    let mut world = World::new();
    let (server, response) = waiting(&world, ServerOptions::new());
    SERVER.set(Some(server));
    let mut peer = world.send(&server, get("/", ""));
    let res = world.wait("the request", || response.take());
    res.cork();
    res.write(bytes::Bytes::from_owner(Owner(vec![b'x'; 20_000])));
    assert_eq!(DROPPED.get(), None);
    res.destroy();
    world.until_end(&mut peer);
    assert_eq!(DROPPED.get(), Some(true));
}

#[test]
fn an_error_in_a_corked_handler_is_still_500() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.cork();
        res.write("half an answer");
        Err::<(), _>(onloop::Error::other("as it should"))
    });
    let answer = world.ask(&server, get("/", ""));
    assert_eq!((answer.status, answer.text().as_str()), (500, ""));
}

#[test]
fn a_pipe_into_a_corked_message_waits() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let (mut peer, res) = asked(&mut world);
    res.cork();
    let request = http::get(world.lp, &url, move |response| response.pipe(res)).unwrap();
    let mut upstream = world.accept(&listener);
    let large = "x".repeat(1 << 20);
    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()));
    world.until("the high-water mark", || res.writable_need_drain());
    settle(&mut world);
    peer.pump();
    assert_eq!(peer.text(), "");
    assert!(request.is_destroyed() || res.writable_length() < large.len());
    res.uncork();
    assert_eq!(world.answer(&mut peer).content.len(), large.len());
}

#[test]
fn a_request_can_be_corked_before_it_has_a_connection() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.cork();
    request.write("hello ");
    let mut peer = world.accept(&listener);
    settle(&mut world);
    peer.pump();
    assert_eq!((peer.text().as_str(), request.writable_corked()), ("", 1));
    request.write("world");
    request.uncork();
    world.expect(&mut peer, "\r\n\r\nb\r\nhello world\r\n");
    request.cork();
    request.write("!");
    request.end("");
    assert_eq!(world.expect(&mut peer, "0\r\n\r\n"), "1\r\n!\r\n0\r\n\r\n");
}

#[test]
fn a_corked_request_that_is_answered_early_leaves_nothing_behind() {
    let (listener, url) = raw_server();
    let log = Log::new();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.flush_headers();
    request.cork();
    request.write("never sent");
    let notes = log.clone();
    request.on_written(move |result| notes.note(format!("written {}", result.is_ok()))).unwrap();
    request.on_response(log.noting_response());
    request.on_close(log.noting("close"));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    peer.end();
    let lines = log.clone();
    world.until("on_close", || lines.has("close"));
    assert_eq!(log.all(), ["413", "written false", "close"]);
    drop(peer);
    // The state serves the next request as if nothing had been.
    let request = http::request(world.lp, "POST", &url).unwrap();
    assert_eq!(request.writable_corked(), 0);
    request.end("plain");
    let mut peer = world.accept(&listener);
    let text = world.expect(&mut peer, "plain");
    assert!(text.ends_with("Content-Length: 5\r\n\r\nplain"), "{text}");
}
