//! `pipe`: content goes on as another message's content, with its end, its trailers and its failures.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::{Log, World, collect, get, raw_server, url_of};
use onloop::LoopHandle;
use onloop::http::{self, ClientRequest, Request, Response};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 253) as u8).collect()
}

#[test]
fn a_request_pipes_into_its_own_response() {
    let mut world = World::new();
    let server = world.serve(|req, res| req.pipe(res));
    let content = pattern(3_000_000);
    let mut request =
        format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", content.len())
            .into_bytes();
    request.extend_from_slice(&content);
    request.extend_from_slice(get("/", "").as_bytes());
    let mut peer = world.send(&server, request);
    let answer = world.answer(&mut peer);
    assert!(answer.content == content, "{} bytes", answer.content.len());
    assert_eq!(world.answer(&mut peer).text(), "");
}

#[test]
fn trailers_go_along() {
    let mut world = World::new();
    let server = world.serve(|req, res| req.pipe(res));
    let request = get("/", "Transfer-Encoding: chunked\r\n") + "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let answer = world.ask(&server, request);
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "7".to_owned())]);
    assert_eq!(answer.text(), "ok");
}

/// The streaming proxy of the design page.
fn proxy(lp: LoopHandle, upstream: &str, req: Request, res: Response) -> onloop::Result<()> {
    let up = http::request(lp, req.method(), format!("{upstream}{}", &req.url()[1..]))?;
    for (name, value) in req.headers() {
        if !http::is_hop_by_hop(name) {
            up.append_header(name, value)?;
        }
    }
    up.on_response(move |response| {
        res.set_status(response.status());
        for (name, value) in response.headers() {
            if !http::is_hop_by_hop(name) {
                res.append_header(name, value)?;
            }
        }
        response.pipe(res);
        Ok(())
    });
    up.on_error(move |_| {
        res.set_status(502);
        res.end("bad gateway");
    });
    res.on_close(move || up.destroy());
    req.pipe(up);
    Ok(())
}

#[test]
fn a_proxy_passes_both_ways() {
    let mut world = World::new();
    let lp = world.lp;
    let origin = world.serve(|req, res| {
        res.set_status(207);
        res.append_header("X-Up", req.header("X-Down").unwrap_or("none"))?;
        req.pipe(res);
        Ok(())
    });
    let upstream = url_of(&origin);
    let front = world.serve(move |req, res| proxy(lp, &upstream, req, res));
    let content = pattern(2_000_000);
    let head = format!(
        "POST /path HTTP/1.1\r\nHost: h\r\nX-Down: d\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    let mut peer = world.connect(&front);
    for _ in 0..3 {
        peer.send(&head);
        peer.send(&content);
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.field("X-Up")), (207, Some("d")));
        assert!(answer.content == content, "{} bytes", answer.content.len());
    }
    origin.close();
    front.close();
}

#[test]
fn a_proxy_without_upstream_says_so() {
    let mut world = World::new();
    let lp = world.lp;
    let (_held, port) = common::dead_port();
    let upstream = format!("http://127.0.0.1:{port}/");
    let front = world.serve(move |req, res| proxy(lp, &upstream, req, res));
    let mut peer = world.send(&front, common::post("/", "content") + &get("/", ""));
    for _ in 0..2 {
        let answer = world.answer(&mut peer);
        assert_eq!((answer.status, answer.text().as_str()), (502, "bad gateway"));
    }
}

#[test]
fn an_upstream_that_breaks_off_breaks_the_answer() {
    let (listener, upstream) = raw_server();
    let mut world = World::new();
    let lp = world.lp;
    let front = world.serve(move |req, res| proxy(lp, &upstream, req, res));
    let mut peer = world.send(&front, get("/", ""));
    let mut origin = world.accept(&listener);
    world.expect(&mut origin, "\r\n\r\n");
    origin.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    world.expect(&mut peer, "part");
    drop(origin);
    world.until_end(&mut peer);
    assert!(!peer.text().contains("0\r\n"), "it must not look complete: {}", peer.text());
}

#[test]
fn a_client_that_goes_away_ends_the_request_upstream() {
    let (listener, upstream) = raw_server();
    let mut world = World::new();
    let lp = world.lp;
    let front = world.serve(move |req, res| proxy(lp, &upstream, req, res));
    let mut peer = world.send(&front, get("/", "Content-Length: 100\r\n") + "some");
    let mut origin = world.accept(&listener);
    world.expect(&mut origin, "some");
    peer.end();
    world.until_end(&mut origin);
    world.until_end(&mut peer);
}

#[test]
fn a_response_that_is_over_swallows_the_rest_of_a_pipe() {
    let kept: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&kept);
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        if req.method() == "POST" {
            req.pipe(res);
            keeps.set(Some(res));
        } else {
            res.end("next");
        }
    });
    let mut peer =
        world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    world.expect(&mut peer, "12345");
    kept.take().expect("a request").end("!");
    peer.send("67890".to_owned() + &get("/", ""));
    world.expect(&mut peer, "!\r\n0\r\n\r\n");
    assert_eq!(world.answer(&mut peer).text(), "next");
}

#[test]
fn a_response_pipes_into_another_request() {
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(|req, res| match req.method() {
        "GET" => res.end(pattern(500_000)),
        _ => req.pipe(res),
    });
    let url = url_of(&server);
    let result: Rc<RefCell<Option<Vec<u8>>>> = Rc::default();
    let keeps = Rc::clone(&result);
    let log = Log::new();
    let upload = http::request(lp, "PUT", &url).unwrap();
    upload.on_response(move |response| {
        collect(response, move |_, content| *keeps.borrow_mut() = Some(content));
    });
    upload.on_error(log.noting_error("error"));
    let target: ClientRequest = upload;
    http::get(lp, &url, move |response| response.pipe(target)).unwrap();
    let results = Rc::clone(&result);
    let content = world.wait("the echo", || results.borrow_mut().take());
    assert!(content == pattern(500_000), "{} bytes", content.len());
    assert_eq!(log.len(), 0);
}
