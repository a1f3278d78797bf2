//! Requests that a client makes: what is on the wire, the order of calls, what is received.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Log, Peer, World, collect, echo, raw_server, url_of};
use onloop::http::{self, ClientRequest, RequestOptions};

/// The head of the next request that a raw server receives.
fn head(world: &mut World, peer: &mut Peer) -> String {
    world.expect(peer, "\r\n\r\n")
}

fn end(request: ClientRequest, content: &str) -> onloop::Result<()> {
    request.end(content);
    Ok(())
}

#[test]
fn a_request_says_what_it_must() {
    let (listener, url) = raw_server();
    let authority = &url["http://".len()..url.len() - 1];
    let mut world = World::new();
    type Make = fn(ClientRequest) -> onloop::Result<()>;
    let table: [(&str, &str, Make, &str); 9] = [
        ("GET", "", |r| end(r, ""), "GET / HTTP/1.1|Connection: keep-alive|"),
        (
            "GET",
            "a/b?c=d#fragment",
            |r| end(r, ""),
            "GET /a/b?c=d HTTP/1.1|Connection: keep-alive|",
        ),
        ("DELETE", "x", |r| end(r, ""), "DELETE /x HTTP/1.1|Connection: keep-alive|"),
        ("POST", "", |r| end(r, ""), "POST / HTTP/1.1|Connection: keep-alive|Content-Length: 0|"),
        (
            "POST",
            "",
            |r| end(r, "hello"),
            "POST / HTTP/1.1|Connection: keep-alive|Content-Length: 5|hello",
        ),
        (
            "PUT",
            "",
            |r| {
                r.write("he");
                r.end("llo");
                Ok(())
            },
            "PUT / HTTP/1.1|Connection: keep-alive|Transfer-Encoding: chunked|2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ),
        (
            "POST",
            "",
            |r| {
                r.set_header("Content-Length", 2)?;
                r.write("o");
                r.end("k");
                Ok(())
            },
            "POST / HTTP/1.1|Connection: keep-alive|Content-Length: 2|ok",
        ),
        ("GET", "", |r| end(r, "x"), "GET / HTTP/1.1|Connection: keep-alive|Content-Length: 1|x"),
        (
            "X-METHOD",
            "",
            |r| {
                r.set_header("Trailer", "X-T")?;
                r.add_trailer("X-T", 1)?;
                r.end("x");
                Ok(())
            },
            "X-METHOD / HTTP/1.1|Connection: keep-alive|Trailer: X-T|Transfer-Encoding: chunked|1\r\nx\r\n0\r\nX-T: 1\r\n\r\n",
        ),
    ];
    for (method, path, make, expected) in table {
        let request = http::request(world.lp, method, format!("{url}{path}")).unwrap();
        make(request).unwrap();
        let mut peer = world.accept(&listener);
        let text = head(&mut world, &mut peer);
        let mut lines: Vec<&str> = text.trim_end().split("\r\n").collect();
        assert_eq!(lines[1], format!("Host: {authority}"), "Host is the first field");
        lines.remove(1);
        lines[1..].sort_unstable();
        let content = expected.rsplit('|').next().unwrap_or_default();
        let content = world.expect(&mut peer, content);
        assert_eq!(format!("{}|{content}", lines.join("|")), expected);
        peer.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        world.until_end(&mut peer);
    }
}

#[test]
fn own_fields_win() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", url.replace("//", "//user:p%40ss@")).unwrap();
    assert_eq!(request.header("authorization").as_deref(), Some(&b"Basic dXNlcjpwQHNz"[..]));
    request.set_header("Host", "other.example").unwrap();
    request.remove_header("Connection").unwrap();
    request.append_header("X-A", "1").unwrap();
    request.append_header("X-A", "2").unwrap();
    request.end("");
    let mut peer = world.accept(&listener);
    let text = head(&mut world, &mut peer);
    assert_eq!(text.matches("ost: ").count(), 1, "{text}");
    assert!(text.contains("\r\nHost: other.example\r\n") && !text.contains("user"), "{text}");
    assert!(!text.contains("Connection") && text.contains("X-A: 1\r\nX-A: 2\r\n"), "{text}");
}

#[test]
fn calls_come_in_their_order() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        res.write_early_hints([("Link", "</a>")])?;
        echo(req, res);
        Ok(())
    });
    let log = Log::new();
    let request = http::request(world.lp, "POST", url_of(&server)).unwrap();
    let notes = log.clone();
    request.on_information(move |hints| {
        notes.note(format!("{} {:?}", hints.status(), hints.header("link")));
    });
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(format!("{} {}", response.status(), response.status_message()));
        let data = notes.clone();
        response.on_data(move |chunk| data.note(String::from_utf8_lossy(chunk)));
        response.on_end(notes.noting("end"));
        response.on_error(notes.noting_error("response error"));
        response.on_close(notes.noting("response closed"));
    });
    request.on_finish(log.noting("finish"));
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("content");
    assert!(!request.write("late") && !request.is_open());
    request.end("again");
    assert_eq!(log.len(), 0, "nothing is called inside a call");
    let lines = log.clone();
    world.until("the end", || lines.has("closed"));
    let expected =
        ["finish", "103 Some(\"</a>\")", "200 OK", "content", "end", "response closed", "closed"];
    assert_eq!(log.all(), expected);
}

#[test]
fn content_waits_for_100_where_it_is_asked_to() {
    let mut world = World::new();
    let server = world.serve(echo);
    let log = Log::new();
    let request = http::request(world.lp, "POST", url_of(&server)).unwrap();
    request.set_header("Expect", "100-continue").unwrap();
    request.set_header("Content-Length", 5).unwrap();
    request.flush_headers();
    let notes = log.clone();
    request.on_continue(move || {
        notes.note("continue");
        request.end("hello");
    });
    let notes = log.clone();
    request.on_information(move |information| notes.note(information.status().to_string()));
    let notes = log.clone();
    request.on_response(move |response| {
        collect(response, move |status, content| {
            notes.note(format!("{status} {}", String::from_utf8_lossy(&content)));
        });
    });
    let lines = log.clone();
    world.until("the response", || lines.len() == 3);
    assert_eq!(log.all(), ["continue", "100", "200 hello"]);
}

#[test]
fn names_of_this_machine_are_found() {
    let mut world = World::new();
    let server = world.serve(|req, res| res.end(req.header("host").unwrap_or("none").to_owned()));
    let url = url_of(&server).replace("127.0.0.1", "LocalHost");
    let host = url["http://".len()..url.len() - 1].to_ascii_lowercase();
    let found = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&found);
    let request = http::get(world.lp, &url, move |response| {
        collect(response, move |_, content| *keeps.borrow_mut() = Some(content));
    });
    let errors = Log::new();
    request.unwrap().on_error(errors.noting_error("error"));
    let results = Rc::clone(&found);
    let content = world.wait("the answer", || results.take());
    assert_eq!(errors.len(), 0);
    assert_eq!(String::from_utf8_lossy(&content).to_ascii_lowercase(), host);
}

#[test]
fn a_response_that_nobody_reads_is_dropped() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end(vec![b'x'; 100_000]));
    let log = Log::new();
    // No on_response at all, and one that looks at the head only.
    let first = http::request(world.lp, "GET", url_of(&server)).unwrap();
    first.on_close(log.noting("first closed"));
    first.end("");
    let lines = log.clone();
    world.until("the first", || lines.has("first closed"));
    let second =
        http::get(world.lp, url_of(&server), |response| assert_eq!(response.status(), 200));
    let second = second.unwrap();
    assert!(second.is_reused(), "what was dropped left the connection in order");
    second.on_error(log.noting_error("error"));
    second.on_close(log.noting("second closed"));
    world.until("the second", || lines.has("second closed"));
    assert_eq!(log.len(), 2);
}

#[test]
fn a_paused_response_waits() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("content"));
    let log = Log::new();
    let notes = log.clone();
    let kept = Rc::new(Cell::new(None));
    let keeps = Rc::clone(&kept);
    http::get(world.lp, url_of(&server), move |response| {
        response.pause();
        let data = notes.clone();
        response.on_data(move |_| data.note("data"));
        response.on_end(notes.noting("end"));
        keeps.set(Some(response.body()));
    })
    .unwrap();
    let bodies = Rc::clone(&kept);
    let body = world.wait("the response", || bodies.take());
    for _ in 0..3 {
        world.ask(&server, common::get("/", ""));
    }
    assert_eq!(log.len(), 0);
    body.resume();
    let lines = log.clone();
    world.until("the end", || lines.has("end"));
    assert_eq!(log.all(), ["data", "end"]);
}

#[test]
fn trailers_and_the_head_are_given() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("Trailer", "X-Sum")?;
        res.append_header("X-A", "1")?;
        res.append_header("x-a", "2")?;
        res.write("x");
        res.add_trailer("X-Sum", 7)?;
        res.end("");
        Ok(())
    });
    let found = Rc::new(RefCell::new(None));
    let keeps = Rc::clone(&found);
    http::get(world.lp, url_of(&server), move |response| {
        assert_eq!(response.http_version(), "1.1");
        assert_eq!(response.header("X-a"), Some("1"));
        assert_eq!(response.header_all("X-A").count(), 2);
        let body = response.body();
        response.resume();
        response.on_end(move || *keeps.borrow_mut() = Some(body.trailers()));
    })
    .unwrap();
    let results = Rc::clone(&found);
    let trailers = world.wait("the end", || results.take());
    assert_eq!(trailers, [("X-Sum".to_owned(), b"7".to_vec())]);
}

#[test]
fn unix_sockets_are_connected_to() {
    let path = std::env::temp_dir().join(format!("onloop-client-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let options = RequestOptions::new("GET", "http://inside.example/p").unix_socket(&path);
    let request = http::request_with(world.lp, options).unwrap();
    request.on_response(move |response| notes.note(response.status().to_string()));
    request.end("");
    let mut peer = world.accept_unix(&listener);
    let text = head(&mut world, &mut peer);
    assert!(text.starts_with("GET /p HTTP/1.1\r\nHost: inside.example\r\n"), "{text}");
    peer.send("HTTP/1.1 204 No Content\r\n\r\n");
    let lines = log.clone();
    world.until("the response", || lines.has("204"));
    let _ = std::fs::remove_file(&path);
}
