//! How requests of a client fail, and how that is told: at the call, or in on_error before on_close.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Ending, Log, World, dead_port, raw_server};
use onloop::http::{self, ClientRequest, RequestOptions};
use onloop::{Error, ErrorKind, Sent};

#[test]
fn what_cannot_be_asked_for_is_an_error_at_the_call() {
    let world = World::new();
    let code = |method: &str, url: &str| http::request(world.lp, method, url).unwrap_err().code();
    for url in [
        "",
        "nonsense",
        "/path",
        "http://",
        "http:///p",
        "http://h:port/",
        "http://h:65536/",
        "http://[::1/",
    ] {
        assert_eq!(code("GET", url), "ERR_INVALID_URL", "{url:?}");
    }
    for url in ["https://h/", "ftp://h/", "file:///x"] {
        assert_eq!(code("GET", url), "ERR_INVALID_PROTOCOL", "{url:?}");
    }
    for url in ["http://h/a b", "http://h/a\r\nX: 1", "http://h/\0", "http://h/a\u{7f}"] {
        assert_eq!(code("GET", url), "ERR_UNESCAPED_CHARACTERS", "{url:?}");
    }
    for method in ["", "G ET", "GET\r\n", "GÉT", "G(T"] {
        assert_eq!(code(method, "http://h/"), "ERR_INVALID_HTTP_TOKEN", "{method:?}");
    }
    let request = http::request(world.lp, "GET", "http://h/").unwrap();
    let refused = |result: onloop::Result<()>| result.unwrap_err().code();
    assert_eq!(refused(request.set_header("a b", "1")), "ERR_INVALID_HTTP_TOKEN");
    assert_eq!(refused(request.set_header("X", "a\r\nb")), "ERR_INVALID_CHAR");
    assert_eq!(refused(request.set_header("Content-Length", "x")), "ERR_HTTP_INVALID_HEADER_VALUE");
    request.flush_headers();
    assert_eq!(refused(request.set_header("X", "1")), "ERR_HTTP_HEADERS_SENT");
    request.destroy();
}

/// The error of a request to `url`, and that `on_close` follows it.
fn failure(world: &mut World, request: ClientRequest) -> Error {
    let log = Log::new();
    let found = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&found);
    request.on_response(log.noting_response());
    request.on_error(move |error| *keeps.borrow_mut() = Some(error));
    let (notes, has_error) = (log.clone(), Rc::clone(&found));
    request.on_close(move || {
        assert!(has_error.borrow().is_some(), "on_error comes before on_close");
        notes.note("closed");
    });
    request.end("");
    assert!(found.borrow().is_none(), "errors never come inside a call");
    let lines = log.clone();
    world.until("on_close", || lines.has("closed"));
    world.until_over();
    assert_eq!(log.all(), ["closed"]);
    found.take().expect("an error")
}

#[test]
fn a_refused_connection_is_an_error() {
    let (_held, port) = dead_port();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", format!("http://127.0.0.1:{port}/")).unwrap();
    let error = failure(&mut world, request);
    assert_eq!((error.code(), error.kind()), ("ECONNREFUSED", ErrorKind::Io));
    assert_eq!(error.sent(), Some(Sent::NothingSent));
    assert!(error.to_string().contains(&port.to_string()), "{error}");
}

#[test]
fn a_name_that_nobody_knows_is_an_error() {
    let mut world = World::new();
    // RFC 6761: this name never exists.
    let request = http::request(world.lp, "GET", "http://nobody.invalid/").unwrap();
    let error = failure(&mut world, request);
    assert!(["ENOTFOUND", "EAI_AGAIN"].contains(&error.code()), "{error:?}");
    assert_eq!(error.sent(), Some(Sent::NothingSent));
    assert!(error.to_string().contains("nobody.invalid"), "{error}");
}

#[test]
fn a_path_where_no_socket_is_is_an_error() {
    let mut world = World::new();
    let options = RequestOptions::new("GET", "http://h/").unix_socket("/nonexistent/socket");
    let request = http::request_with(world.lp, options).unwrap();
    assert_eq!(failure(&mut world, request).code(), "ENOENT");
}

#[test]
fn a_server_that_hangs_up_before_it_answers_is_an_error() {
    for (receives, sent) in [(true, Sent::SentNoReply), (false, Sent::SentNoReply)] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let request = http::request(world.lp, "GET", &url).unwrap();
        request.end("");
        let mut peer = world.accept(&listener);
        if receives {
            world.expect(&mut peer, "\r\n\r\n");
        }
        drop(peer);
        let error = failure(&mut world, request);
        assert_eq!(error.code(), "ECONNRESET");
        assert!(error.sent().is_some_and(|said| said == sent || !receives), "{error:?}");
        assert!(error.to_string().contains("hang up") || !receives, "{error}");
    }
}

#[test]
fn an_answer_is_found_although_the_request_could_not_be_written() {
    // The server answers without reading and resets: the answer comes first.
    let (listener, url) = raw_server();
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.on_response(move |response| notes.note(response.status().to_string()));
    request.on_close(log.noting("closed"));
    let mut peer = world.accept(&listener);
    peer.stop_reading();
    request.end(vec![b'x'; 20_000_000]);
    peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    let lines = log.clone();
    world.until("the response", || lines.has("413"));
    drop(peer);
    world.until("the end", || lines.has("closed"));
    world.until_over();
}

#[test]
fn destroy_before_anything_is_a_hang_up() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", &url).unwrap();
    request.destroy();
    request.destroy();
    assert!(!request.is_open() && !request.write("x"));
    assert!(listener.accept().is_err(), "no connection was made");
    let log = Log::new();
    request.on_error(log.noting_error("error"));
    world.until_over();

    // With the callbacks in place, they hear of it.
    let request = http::request(world.lp, "GET", &url).unwrap();
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.destroy();
    world.until_over();
    assert_eq!(log.all(), ["error ECONNRESET", "closed"]);
}

#[test]
fn destroy_while_waiting_and_while_receiving() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        let (listener, url) = raw_server();
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let request = http::request(world.lp, "GET", &url).unwrap();
        request.on_response(move |response| {
            let data = notes.clone();
            response.on_data(move |_| data.note("data"));
            response.on_end(notes.noting("end"));
            response.on_aborted(notes.noting("aborted"));
            response.on_error(notes.noting_error("response error"));
        });
        request.on_error(log.noting_error("error"));
        request.on_close(log.noting("closed"));
        request.end("");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(answer);
        if !answer.is_empty() {
            let lines = log.clone();
            world.until("content", || lines.has("data"));
        }
        request.destroy_with(Error::other("enough"));
        world.until_end(&mut peer);
        world.until_over();
        let expected: &[&str] = match answer.is_empty() {
            true => &["error ERR_USER", "closed"],
            false => &["data", "aborted", "response error ERR_USER", "closed"],
        };
        assert_eq!(log.all(), expected);
    }
}

#[test]
fn a_request_that_ends_with_less_than_announced_breaks_off() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let request = http::request(world.lp, "POST", &url).unwrap();
    request.set_header("Content-Length", 10).unwrap();
    request.end("short");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "short");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(world.until_end(&mut peer), Ending::End);
    world.until_over();
}
