//! Redirects that a client request follows where it is told to: to where, as what, with which fields, and what its
//! user notices of it.

mod common;

use std::net::TcpListener;

use common::asked::Asked;
use common::{Ending, Log, Peer, World, dead_port, raw_server};
use onloop::http::{self, Agent, AgentOptions, RequestOptions};
use onloop::{ErrorKind, Limit, Sent, sim};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 5\r\n\r\nmoved")
}

/// Nothing is sent before the test ends it.
fn begin(world: &World, options: RequestOptions) -> Asked {
    let request = http::request_with(world.lp, options).expect("a request");
    let log = Log::new();
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(format!("{} after {}", response.status(), response.redirects()));
        assert_eq!(response.url(), request.url());
        let notes = notes.clone();
        response.on_data(move |chunk| notes.note(String::from_utf8_lossy(chunk)));
    });
    let notes = log.clone();
    request.on_error(move |error| notes.note(format!("{} {:?}", error.code(), error.sent())));
    request.on_close(log.noting("closed"));
    Asked { request, log }
}

fn ask(world: &World, options: RequestOptions) -> Asked {
    let asked = begin(world, options);
    asked.request.end("");
    asked
}

/// The next request on this connection, of which the head is given: answered with this.
#[track_caller]
fn serve(world: &mut World, peer: &mut Peer, answer: impl AsRef<[u8]>) -> String {
    let head = world.expect(peer, "\r\n\r\n");
    peer.send(answer);
    head
}

#[track_caller]
fn serve_new(world: &mut World, listener: &TcpListener, answer: &str) -> (Peer, String) {
    let mut peer = world.accept(listener);
    let head = serve(world, &mut peer, answer);
    (peer, head)
}

#[track_caller]
fn assert_nothing_left(world: &mut World) {
    world.until_over();
    let stats = sim::stats(&world.event_loop);
    assert!(stats.is_empty(), "{stats:?}");
}

#[test]
fn a_get_goes_where_it_is_sent_and_on_the_same_connection() {
    for status in [301, 302, 303, 307, 308] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = ask(&world, RequestOptions::new("GET", format!("{url}old?x")).redirects(1));
        assert_eq!(asked.request.url(), format!("{url}old?x"));
        let (mut peer, first) = serve_new(&mut world, &listener, &redirect(status, "/new?y#z"));
        let second = serve(&mut world, &mut peer, FINE);
        assert!(first.starts_with("GET /old?x HTTP/1.1\r\n"), "{first}");
        assert_eq!(second, first.replace("/old?x", "/new?y"), "{status}");
        assert_eq!(asked.request.url(), format!("{url}new?y"));
        assert_eq!((asked.request.redirects(), asked.request.path()), (1, "/new?y".into()));
        assert!(asked.request.is_reused());
        assert_eq!(asked.done(&mut world), ["200 after 1", "ok", "closed"]);
        assert_eq!((asked.request.redirects(), asked.request.url()), (0, String::new()));
        assert_eq!(sim::stats(&world.event_loop).free_connections, 1);
        assert_nothing_left(&mut world);
    }
}

#[test]
fn what_is_not_followed_is_an_ordinary_response() {
    let moved = redirect(302, "/new");
    let without = "HTTP/1.1 302 Found\r\nContent-Length: 5\r\n\r\nmoved".to_owned();
    let plain = |url: &str| RequestOptions::new("GET", url);
    let cases = [
        (0, plain as fn(&str) -> RequestOptions, moved.clone(), "302 after 0"),
        (5, plain, without, "302 after 0"),
        (5, plain, redirect(302, ""), "302 after 0"),
        (5, plain, redirect(300, "/new"), "300 after 0"),
        (5, plain, redirect(201, "/new"), "201 after 0"),
        (5, |url| RequestOptions::new("OPTIONS", url).path("*"), moved.clone(), "302 after 0"),
        (5, |url| RequestOptions::new("CONNECT", url).path("h:1"), moved.clone(), "302 after 0"),
        (
            5,
            |url| {
                let options = RequestOptions::new("GET", url);
                options.header("Connection", "upgrade").header("Upgrade", "x")
            },
            moved.clone(),
            "302 after 0",
        ),
        (5, |url| RequestOptions::new("GET", url).path("http://other/"), moved, "302 after 0"),
    ];
    for (max, options, answer, expected) in cases {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = ask(&world, options(&url).redirects(max));
        let (_peer, _) = serve_new(&mut world, &listener, &answer);
        assert_eq!(asked.done(&mut world), [expected, "moved", "closed"], "{answer}");
    }
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = ask(&world, plain(&url).redirects(5));
    let answer = "HTTP/1.1 304 Not Modified\r\nLocation: /new\r\n\r\n";
    let (_peer, _) = serve_new(&mut world, &listener, answer);
    assert_eq!(asked.done(&mut world), ["304 after 0", "closed"]);
}

#[test]
fn methods_and_content_go_along_as_browsers_have_it() {
    for (status, method, becomes) in [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "DELETE", "GET"),
        (303, "HEAD", "HEAD"),
        (301, "HEAD", "HEAD"),
        (301, "PUT", "PUT"),
        (302, "PATCH", "PATCH"),
        (302, "DELETE", "DELETE"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (307, "HEAD", "HEAD"),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let options = RequestOptions::new(method, &url)
            .redirects(3)
            .header("Content-Type", "text/plain")
            .header("Content-Language", "en")
            .header("X-Mine", "1");
        let asked = begin(&world, options);
        let content = if method == "HEAD" { "" } else { "content" };
        asked.request.end(content);
        let mut peer = world.accept(&listener);
        let first = world.expect(&mut peer, "\r\n\r\n");
        world.expect(&mut peer, content);
        match method {
            "HEAD" => peer.send(format!("HTTP/1.1 {status} M\r\nLocation: /b\r\n\r\n")),
            _ => peer.send(redirect(status, "/b")),
        }
        let second = serve(&mut world, &mut peer, "HTTP/1.1 204 None\r\n\r\n");
        if becomes == method {
            assert_eq!(second, first.replace("/ HTTP", "/b HTTP"), "{status} {method}");
            world.expect(&mut peer, content);
        } else {
            let host = url.trim_start_matches("http://").trim_end_matches('/');
            let expected = format!(
                "GET /b HTTP/1.1\r\nHost: {host}\r\nX-Mine: 1\r\nConnection: keep-alive\r\n\r\n"
            );
            assert_eq!(second, expected, "{status} {method}");
        }
        assert_eq!(asked.done(&mut world), ["204 after 1", "closed"], "{status} {method}");
        assert_eq!(peer.text(), "", "{status} {method}");
    }
}

#[test]
fn content_in_chunks_and_its_trailers_go_along() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = begin(&world, RequestOptions::new("POST", &url).redirects(1));
    asked.request.write("one");
    asked.request.write("three");
    asked.request.add_trailer("X-Sum", "8").unwrap();
    asked.request.end("");
    const CONTENT: &str = "3\r\none\r\n5\r\nthree\r\n0\r\nX-Sum: 8\r\n\r\n";
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, CONTENT);
    peer.send(redirect(308, "/a/much/longer/path/than/before"));
    let second = world.expect(&mut peer, CONTENT);
    assert!(second.starts_with("POST /a/much/longer/path/than/before HTTP/1.1\r\n"), "{second}");
    assert!(second.contains("Transfer-Encoding: chunked\r\n"), "{second}");
    peer.send(FINE);
    assert_eq!(asked.done(&mut world), ["200 after 1", "ok", "closed"]);
}

#[test]
fn another_origin_is_not_told_what_was_meant_for_the_first() {
    const SECRETS: [(&str, &str); 4] = [
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("Proxy-Authorization", "Basic y"),
        ("Host", "mine.test"),
    ];
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let mut world = World::new();
    let mut options = RequestOptions::new("GET", &first_url).redirects(5).header("X-Mine", "1");
    for (name, value) in SECRETS {
        options = options.header(name, value);
    }
    let asked = ask(&world, options);
    let (mut peer, head) = serve_new(&mut world, &first, &redirect(302, "/same"));
    let same = serve(&mut world, &mut peer, redirect(302, &second_url));
    let (_other, elsewhere) = serve_new(&mut world, &second, &redirect(302, &first_url));
    let back = serve(&mut world, &mut peer, FINE);
    for (name, value) in SECRETS {
        let line = format!("\r\n{name}: {value}\r\n");
        assert!(head.contains(&line) && same.contains(&line), "{name}: {same}");
        assert!(!elsewhere.contains(value) && !back.contains(value), "{elsewhere}{back}");
    }
    let host = |url: &str| format!("\r\nHost: {}\r\n", &url[7..url.len() - 1]);
    assert!(elsewhere.contains(&host(&second_url)) && back.contains(&host(&first_url)));
    assert!(elsewhere.contains("\r\nX-Mine: 1\r\n") && back.contains("\r\nX-Mine: 1\r\n"));
    assert_eq!(asked.done(&mut world), ["200 after 3", "ok", "closed"]);
}

#[test]
fn a_location_that_cannot_be_followed_is_an_error_and_the_client_goes_on() {
    for (location, code) in [
        ("https://127.0.0.1/", "ERR_INVALID_PROTOCOL"),
        ("ftp://127.0.0.1/", "ERR_INVALID_PROTOCOL"),
        ("http://user:secret@127.0.0.1/", "ERR_INVALID_URL"),
        ("http://127.1/", "ERR_INVALID_URL"),
        ("http://", "ERR_INVALID_URL"),
        ("/a\\b", "ERR_INVALID_URL"),
        ("/a\r\nLocation: /b", "ERR_INVALID_URL"),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(&world, RequestOptions::new("GET", &url).redirects(5));
        let log = asked.log.clone();
        asked.request.on_error(move |error| {
            assert_eq!((error.kind(), error.sent()), (ErrorKind::Peer, None));
            assert!(error.to_string().contains("redirects to"), "{error}");
            log.note(error.code());
        });
        asked.request.end("");
        let (mut peer, _) = serve_new(&mut world, &listener, &redirect(302, location));
        assert_eq!(asked.done(&mut world), [code, "closed"], "{location}");
        world.until_end(&mut peer);
        let next = ask(&world, RequestOptions::new("GET", &url));
        let (_peer, _) = serve_new(&mut world, &listener, FINE);
        assert_eq!(next.done(&mut world), ["200 after 0", "ok", "closed"]);
    }
}

#[test]
fn a_circle_ends() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = begin(&world, RequestOptions::new("GET", &url).redirects(3));
    let log = asked.log.clone();
    asked.request.on_error(move |error| {
        assert_eq!(error.kind(), ErrorKind::Limit(Limit::Redirects));
        log.note(error.code());
    });
    asked.request.end("");
    let mut peer = world.accept(&listener);
    for _ in 0..4 {
        serve(&mut world, &mut peer, redirect(302, "/"));
    }
    assert_eq!(asked.done(&mut world), ["ERR_TOO_MANY_REDIRECTS", "closed"]);
    assert_nothing_left(&mut world);
}

#[test]
fn content_beyond_what_is_kept_cannot_go_along_but_can_be_left() {
    for (status, content, expected) in [
        (307, 60_000, "200 after 1"),
        (307, 100_000, "ERR_REDIRECT_CONTENT None"),
        (303, 100_000, "200 after 1"),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(&world, RequestOptions::new("POST", &url).redirects(1));
        asked.request.end("x".repeat(content));
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        world.expect(&mut peer, &"x".repeat(content));
        peer.send(redirect(status, "/new"));
        if expected == "200 after 1" {
            let head = world.expect(&mut peer, "\r\n\r\n");
            if status == 307 {
                world.expect(&mut peer, &"x".repeat(content));
            } else {
                assert!(head.starts_with("GET /new "), "{head}");
            }
            peer.send(FINE);
        }
        assert_eq!(asked.done(&mut world)[0], expected, "{status} {content}");
    }
}

#[test]
fn a_redirect_in_the_middle_of_an_upload_takes_it_along() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = begin(&world, RequestOptions::new("PUT", &url).redirects(1));
    asked.request.on_finish(asked.log.noting("finished"));
    asked.request.write("first");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "5\r\nfirst\r\n");
    peer.send(redirect(307, "/new"));
    // The connection is in the middle of a request: it is of no use any more.
    let mut next = world.accept(&listener);
    let second = world.expect(&mut next, "5\r\nfirst\r\n");
    assert!(second.starts_with("PUT /new HTTP/1.1\r\n"), "{second}");
    world.until_end(&mut peer);
    asked.request.end("last");
    world.expect(&mut next, "4\r\nlast\r\n0\r\n\r\n");
    next.send(FINE);
    assert_eq!(asked.done(&mut world), ["finished", "200 after 1", "ok", "closed"]);
    assert_nothing_left(&mut world);
}

#[test]
fn a_redirect_in_the_middle_of_an_upload_leaves_it_behind() {
    for ends in [true, false] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(&world, RequestOptions::new("POST", &url).redirects(1));
        asked.request.write("first");
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "5\r\nfirst\r\n");
        peer.send(redirect(303, "/new"));
        let mut next = world.accept(&listener);
        let second = world.expect(&mut next, "\r\n\r\n");
        assert!(second.starts_with("GET /new HTTP/1.1\r\n"), "{second}");
        assert!(!second.contains("Transfer-Encoding"), "{second}");
        // What is still written goes nowhere, and nobody has to say that it ends.
        assert!(asked.request.write("more"));
        if ends {
            asked.request.try_end("last").unwrap();
        }
        next.send(FINE);
        assert_eq!(asked.done(&mut world), ["200 after 1", "ok", "closed"]);
        assert_eq!(next.text(), "");
        assert_eq!(sim::stats(&world.event_loop).free_connections, 1);
        assert_nothing_left(&mut world);
    }
}

#[test]
fn the_content_of_a_redirect_is_dropped_within_bounds() {
    let long = 300 * 1024;
    let chunks = format!("{long:x}\r\n{}\r\n", "x".repeat(long));
    let location = "HTTP/1.1 302 Found\r\nLocation: /new\r\n";
    for (answer, is_kept) in [
        (format!("{location}Content-Length: 5\r\n\r\nmoved"), true),
        (format!("{location}Transfer-Encoding: chunked\r\n\r\n5\r\nmoved\r\n0\r\n\r\n"), true),
        (format!("{location}Content-Length: {long}\r\n\r\n"), false),
        (format!("{location}Transfer-Encoding: chunked\r\n\r\n{chunks}"), false),
        (format!("{location}Transfer-Encoding: chunked\r\n\r\nnonsense"), false),
        (format!("{location}Connection: close\r\nContent-Length: 5\r\n\r\n"), false),
        (format!("{location}\r\nuntil the end"), false),
        (format!("{location}Content-Length: 0\r\n\r\nand what nobody asked for"), false),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = ask(&world, RequestOptions::new("GET", &url).redirects(1));
        let (mut peer, _) = serve_new(&mut world, &listener, &answer);
        if is_kept {
            serve(&mut world, &mut peer, FINE);
        } else {
            let (_next, head) = serve_new(&mut world, &listener, FINE);
            assert!(head.starts_with("GET /new "), "{head}");
            world.until_end(&mut peer);
        }
        assert_eq!(asked.done(&mut world), ["200 after 1", "ok", "closed"]);
        assert_nothing_left(&mut world);
    }
}

#[test]
fn a_redirect_that_breaks_off_was_one_all_the_same() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = ask(&world, RequestOptions::new("GET", &url).redirects(1));
    let answer = "HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 100\r\n\r\nsome";
    let (mut peer, _) = serve_new(&mut world, &listener, answer);
    world.until_sent(&mut peer);
    assert_eq!(peer.ending, None::<Ending>);
    peer.end();
    let (_next, head) = serve_new(&mut world, &listener, FINE);
    assert!(head.starts_with("GET /new "), "{head}");
    assert_eq!(asked.done(&mut world), ["200 after 1", "ok", "closed"]);
}

#[test]
fn each_step_is_under_the_limits_of_the_agent() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let agent = Agent::new(world.lp, AgentOptions::new().max_sockets(1)).unwrap();
    let options = |path: &str| RequestOptions::new("GET", format!("{url}{path}")).agent(agent);
    let first = ask(&world, options("first").redirects(1));
    let second = ask(&world, options("second"));
    assert_eq!(agent.requests().len(), 1);
    let (mut peer, _) = serve_new(&mut world, &listener, &redirect(302, "/again"));
    // Whoever waited is next; the redirected one waits behind.
    let next = serve(&mut world, &mut peer, FINE);
    assert!(next.starts_with("GET /second "), "{next}");
    assert_eq!((agent.total_socket_count(), first.request.agent()), (1, Some(agent)));
    let again = serve(&mut world, &mut peer, FINE);
    assert!(again.starts_with("GET /again "), "{again}");
    assert_eq!(second.done(&mut world), ["200 after 0", "ok", "closed"]);
    assert_eq!(first.done(&mut world), ["200 after 1", "ok", "closed"]);
    assert!(listener.accept().is_err(), "one connection is all there may be");
    assert_eq!((agent.total_socket_count(), agent.free_sockets().len()), (1, 1));
    agent.close();
    assert_nothing_left(&mut world);
}

#[test]
fn a_step_that_has_no_place_in_the_queue_fails() {
    let (first, first_url) = raw_server();
    let (_second, second_url) = raw_server();
    let mut world = World::new();
    let options = AgentOptions::new().max_sockets(1).max_queued_requests(0);
    let agent = Agent::new(world.lp, options).unwrap();
    let busy = ask(&world, RequestOptions::new("GET", &second_url).agent(agent));
    let asked = ask(&world, RequestOptions::new("GET", &first_url).agent(agent).redirects(1));
    let (_peer, _) = serve_new(&mut world, &first, &redirect(302, &second_url));
    let expected = ["ERR_AGENT_QUEUE_FULL Some(NothingSent)", "closed"];
    assert_eq!(asked.done(&mut world), expected);
    busy.request.destroy();
    world.until_over();
    assert_eq!((agent.sockets().len(), agent.requests().len()), (0, 0));
}

#[test]
fn destroy_works_at_every_step() {
    let (first, first_url) = raw_server();
    let (second, second_url) = raw_server();
    let lingering = "HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 100\r\n\r\nsome";
    for step in 0..4 {
        let mut world = World::new();
        let agent = Agent::new(world.lp, AgentOptions::new().max_sockets(1)).unwrap();
        let options = |url: &str| RequestOptions::new("GET", url).agent(agent).redirects(1);
        let busy = (step == 1).then(|| ask(&world, options(&second_url)));
        let asked = ask(&world, options(&first_url));
        let answer = if step == 0 { lingering.into() } else { redirect(302, &second_url) };
        let (mut peer, _) = serve_new(&mut world, &first, &answer);
        match step {
            // Its content is being dropped; the step is queued, connecting, sent.
            0 => world.until_sent(&mut peer),
            1 => world.until("the queue", || !agent.requests().is_empty()),
            2 => world.until("the redirect", || asked.request.redirects() == 1),
            _ => drop(world.accept(&second)),
        }
        asked.request.destroy();
        busy.iter().for_each(|busy| busy.request.destroy());
        let log = asked.done(&mut world);
        assert!(log.len() == 2 && log[0].starts_with("ECONNRESET"), "{step}: {log:?}");
        assert_nothing_left(&mut world);
        while second.accept().is_ok() {}
    }
}

#[test]
fn sockets_and_informational_responses_are_of_each_step() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let options = RequestOptions::new("POST", &url).redirects(1).header("Expect", "100-continue");
    let asked = begin(&world, options);
    let notes = asked.log.clone();
    asked.request.on_socket(move |connection| {
        notes.note(if connection.is_open() { "socket" } else { "no socket" });
    });
    let notes = asked.log.clone();
    asked.request.on_information(move |information| notes.note(information.status().to_string()));
    let (request, notes) = (asked.request, asked.log.clone());
    request.on_continue(move || {
        notes.note("continue");
        request.end("content");
    });
    request.set_header("Content-Length", 7).unwrap();
    request.flush_headers();
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let (_peer, _) = serve_new(&mut world, &listener, &format!("{hints}{}", redirect(307, "/b")));
    let (mut next, head) = serve_new(&mut world, &listener, "HTTP/1.1 100 Continue\r\n\r\n");
    assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
    world.expect(&mut next, "content");
    next.send(FINE);
    assert_eq!(
        asked.done(&mut world),
        ["socket", "103", "socket", "continue", "100", "200 after 1", "ok", "closed"]
    );
}

#[test]
fn the_verdict_is_of_the_last_step_unless_the_first_has_acted() {
    let (_held, port) = dead_port();
    for (method, status, sent) in [
        ("GET", 302, Sent::NothingSent),
        ("POST", 307, Sent::NothingSent),
        ("POST", 303, Sent::SentNoReply),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = ask(&world, RequestOptions::new(method, &url).redirects(1));
        let dead = format!("http://127.0.0.1:{port}/");
        let (_peer, _) = serve_new(&mut world, &listener, &redirect(status, &dead));
        let expected = format!("ECONNREFUSED Some({sent:?})");
        assert_eq!(asked.done(&mut world), [expected.as_str(), "closed"], "{method}");
    }
}

#[test]
fn what_was_written_is_told_once() {
    for status in [303, 307] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(&world, RequestOptions::new("POST", &url).redirects(1));
        asked.request.set_no_delay(false);
        asked.request.on_finish(asked.log.noting("finished"));
        asked.request.write("content");
        let notes = asked.log.clone();
        asked.request.on_written(move |result| notes.note(format!("{result:?}"))).unwrap();
        asked.request.end("");
        let (mut peer, _) = serve_new(&mut world, &listener, "");
        world.expect(&mut peer, "0\r\n\r\n");
        peer.send(redirect(status, "/a/longer/path"));
        serve(&mut world, &mut peer, "");
        if status == 307 {
            world.expect(&mut peer, "0\r\n\r\n");
        }
        peer.send(FINE);
        let expected = ["Ok(())", "finished", "200 after 1", "ok", "closed"];
        assert_eq!(asked.done(&mut world), expected, "{status}");
    }
}

#[test]
fn a_piped_upload_that_is_not_wanted_is_dropped() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let lp = world.lp;
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        let up = http::request_with(lp, RequestOptions::new("POST", &url).redirects(1))?;
        req.pipe(up);
        let notes = notes.clone();
        up.on_response(move |response| {
            notes.note(response.status().to_string());
            response.pipe(res);
        });
        Ok(())
    });
    let mut client = world.send(&server, common::get("/", "Content-Length: 8\r\n"));
    client.send("half");
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "half");
    peer.send(redirect(303, "/new"));
    let (_next, head) = serve_new(&mut world, &listener, FINE);
    assert!(head.starts_with("GET /new "), "{head}");
    client.send("done");
    assert_eq!(world.answer(&mut client).text(), "ok");
    assert_eq!(log.all(), ["200"]);
}
