//! What a request can be made from: where it goes, what it says, and what is refused.

use std::path::PathBuf;

use onloop::http::{self, AgentOptions, Family, RequestOptions};

use crate::common::asked::note_outcome;
use crate::common::{Log, World, raw_server};
use crate::{FINE, agent, answer, counts, nobody_else, of, send};

fn get(url: &str) -> RequestOptions {
    RequestOptions::new("GET", url)
}

#[test]
fn what_cannot_be_is_told_once_when_the_request_is_made() {
    let mut world = World::new();
    let url = "http://localhost/";
    let socket_port = "ERR_SOCKET_BAD_PORT";
    let invalid = "ERR_INVALID_ARG_VALUE";
    let invalid_value = "ERR_HTTP_INVALID_HEADER_VALUE";
    let unescaped = "ERR_UNESCAPED_CHARACTERS";
    let cases: Vec<(RequestOptions, &str)> = vec![
        (get("localhost"), "ERR_INVALID_URL"),
        (get("ftp://localhost/"), "ERR_INVALID_PROTOCOL"),
        (get("http://localhost/a b"), unescaped),
        (RequestOptions::new("GE T", url), "ERR_INVALID_HTTP_TOKEN"),
        (RequestOptions::new("", url), "ERR_INVALID_HTTP_TOKEN"),
        (RequestOptions::new("GET\r\n", url), "ERR_INVALID_HTTP_TOKEN"),
        (get(url).host(""), invalid),
        (get(url).host("a b"), invalid),
        (get(url).host("a:80"), invalid),
        (get(url).host("user@a"), invalid),
        (get(url).host("a/b"), invalid),
        (get(url).host("a\\b"), invalid),
        (get(url).host("a\r\nX: y"), invalid),
        (get(url).host("a\0"), invalid),
        (get(url).host("[::1"), invalid),
        (get(url).host("[zz]"), invalid),
        (get(url).host("::1]"), invalid),
        (get(url).host("a%0d"), invalid),
        (get(url).host("a?b"), invalid),
        (get(url).host("a#b"), invalid),
        (get(url).port(0), socket_port),
        (get(url).path(""), invalid),
        (get(url).path("a"), invalid),
        (get(url).path("?a"), invalid),
        (get(url).path("*"), invalid),
        (get(url).path("/a b"), unescaped),
        (get(url).path("/a\r\n"), unescaped),
        (get(url).path("/a#b"), unescaped),
        (get(url).path("/\u{e9}"), unescaped),
        (get(url).path("/\0"), unescaped),
        (get(url).path("/\x7f"), unescaped),
        (RequestOptions::new("OPTIONS", url).path("**"), invalid),
        (RequestOptions::new("CONNECT", url), invalid),
        (RequestOptions::new("CONNECT", url).path("/a"), invalid),
        (RequestOptions::new("CONNECT", url).path("a"), invalid),
        (RequestOptions::new("CONNECT", url).path("a:"), invalid),
        (RequestOptions::new("CONNECT", url).path("a:x"), invalid),
        (RequestOptions::new("CONNECT", url).path("a:99999"), invalid),
        (RequestOptions::new("CONNECT", url).path("u@a:1"), invalid),
        (RequestOptions::new("CONNECT", url).path("http://a:1"), invalid),
        (RequestOptions::new("CONNECT", url).path(":1"), invalid),
        (RequestOptions::new("CONNECT", url).path("a:0"), invalid),
        (get(url).header("A B", "c"), "ERR_INVALID_HTTP_TOKEN"),
        (get(url).header("", "c"), "ERR_INVALID_HTTP_TOKEN"),
        (get(url).header("A", "b\r\nC: d"), "ERR_INVALID_CHAR"),
        (get(url).header("A", "b\0"), "ERR_INVALID_CHAR"),
        (get(url).header("Content-Length", "1, 2"), invalid_value),
        (get(url).header("Transfer-Encoding", "gzip"), invalid_value),
        // RFC 7617 §2: neither user nor password has any, however they are written.
        (get(url).auth("user\n:password"), "ERR_INVALID_CHAR"),
        (get(url).auth("user:pass\0word"), "ERR_INVALID_CHAR"),
        (get(url).auth("user:password\x7f"), "ERR_INVALID_CHAR"),
        (get("http://user%0A:password@localhost/"), "ERR_INVALID_URL"),
        (get("http://user:pass%00word@localhost/"), "ERR_INVALID_URL"),
        (get("http://user:password%7f@localhost/"), "ERR_INVALID_URL"),
        // Two of them would be two places for one request (RFC 9112 §3.2).
        (get(url).header("Host", "a.test").header("host", "b.test"), invalid_value),
        // The first fault counts.
        (get(url).port(0).path("a").header("", ""), socket_port),
        (get("localhost").port(0), "ERR_INVALID_URL"),
    ];
    for (options, code) in cases {
        let description = format!("{options:?}");
        // A clone is wrong in the same way, and what was refused is refused again.
        let clone = options.clone();
        let error = http::request_with(world.lp, options).expect_err(&description);
        assert_eq!(error.code(), code, "{description}: {error}");
        assert_eq!(http::request_with(world.lp, clone).unwrap_err().code(), code);
    }
    let global = http::global_agent(world.lp);
    assert_eq!(counts(global), [0, 0, 0]);
    assert!(!world.event_loop.is_alive());
}

#[test]
fn what_is_given_counts_more_than_the_url() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let port = listener.local_addr().unwrap().port();
    for (options, expected) in [
        (
            get(&url).path("/other?x=%20"),
            format!("GET /other?x=%20 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"),
        ),
        (
            get("http://nowhere.test:1/path").host("127.0.0.1").port(port),
            format!("GET /path HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"),
        ),
        (
            get("http://nowhere.test:1").port(port).host("127.0.0.1").path("/p"),
            format!("GET /p HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"),
        ),
        (
            get(&url).path("http://elsewhere.test/x"),
            "GET http://elsewhere.test/x HTTP/1.1\r\n".into(),
        ),
        (
            RequestOptions::new("OPTIONS", &url).path("*"),
            format!("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"),
        ),
        (get(&url).path("//double"), "GET //double HTTP/1.1\r\n".into()),
    ] {
        let asked = send(&world, options.keep_alive(false));
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.starts_with(&expected), "{head:?} {expected:?}");
        assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
        assert_eq!(head.matches("\r\nHost: ").count(), 1, "{head}");
        peer.send(FINE);
        asked.succeeds(&mut world);
    }
}

#[test]
fn an_address_of_ipv6_is_a_host_with_brackets_and_without() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        return; // This machine has no IPv6.
    };
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut world = World::new();
    for host in ["::1", "[::1]"] {
        let options = get("http://nowhere.test/").host(host).port(port).keep_alive(false);
        let asked = send(&world, options);
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.contains(&format!("\r\nHost: [::1]:{port}\r\n")), "{head}");
        peer.send(FINE);
        asked.succeeds(&mut world);
    }
}

#[test]
fn fields_and_credentials_are_sent_as_given() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let at = url.trim_start_matches("http://");
    let asked = [
        // Twice is two lines, and one for cookies.
        get(&url)
            .header("X-A", "1")
            .header("x-a", "2")
            .header("Cookie", "a=1")
            .header("cookie", "b=2"),
        get(&format!("http://Al%20addin:open%20sesame@{at}")),
        get(&format!("http://a:b@{at}")).auth("Aladdin:open sesame"),
        get(&url).auth("name"),
        get(&url).header("Authorization", "Bearer x"),
        get(&url).header("Host", "other.test"),
        get(&url).header("Accept", "text/plain").header("Connection", "close"),
    ]
    .map(|options| send(&world, options.keep_alive(true)));
    let expected = [
        "\r\nX-A: 1\r\nx-a: 2\r\nCookie: a=1; b=2\r\n",
        "\r\nAuthorization: Basic QWwgYWRkaW46b3BlbiBzZXNhbWU=\r\n",
        "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
        "\r\nAuthorization: Basic bmFtZTo=\r\n",
        "\r\nAuthorization: Bearer x\r\n",
        "\r\nHost: other.test\r\n",
        "\r\nConnection: close\r\n",
    ];
    let mut heads = Vec::new();
    for _ in &asked {
        let mut peer = world.accept(&listener);
        heads.push(world.expect(&mut peer, "\r\n\r\n"));
        peer.send(FINE);
        peer.end();
    }
    for expected in expected {
        let found = heads.iter().filter(|head| head.contains(expected)).count();
        assert_eq!(found, 1, "{expected:?} in {heads:#?}");
    }
    for head in &heads {
        assert_eq!(head.to_ascii_lowercase().matches("\r\nhost: ").count(), 1, "{head}");
        assert!(head.matches("Authorization: ").count() <= 1, "{head}");
    }
    asked.iter().for_each(|asked| asked.succeeds(&mut world));
}

#[test]
fn a_host_field_is_given_once() {
    let world = World::new();
    let request = http::request_with(world.lp, get("http://localhost/")).unwrap();
    request.append_header("Host", "a.test").unwrap();
    let error = request.append_header("HOST", "b.test").unwrap_err();
    assert_eq!(error.code(), "ERR_HTTP_INVALID_HEADER_VALUE");
    assert_eq!(request.header_all("Host"), [b"a.test"]);
    request.set_header("Host", "c.test").unwrap();
    assert_eq!(request.header_all("Host"), [b"c.test"]);
    request.destroy();
}

#[test]
fn a_host_field_that_names_no_host_is_refused_wherever_it_is_set() {
    const WRONG: [&str; 12] =
        ["", " ", "a b", "a,b", "a/b", "a?b", "u@a", "a:b", "a:65536", "a:1:2", "[::1", "http://a"];
    let code = "ERR_HTTP_INVALID_HEADER_VALUE";
    let world = World::new();
    let request = http::request_with(world.lp, get("http://localhost/")).unwrap();
    for wrong in WRONG {
        let set = [
            request.set_header("Host", wrong),
            request.append_header("host", wrong),
            request.set_header_all("HOST", [wrong]),
            request.set_headers([("X", "1"), ("Host", wrong)]),
        ];
        for result in set {
            assert_eq!(result.unwrap_err().code(), code, "{wrong:?}");
        }
        let options = get("http://localhost/").header("Host", wrong);
        assert_eq!(http::request_with(world.lp, options).unwrap_err().code(), code, "{wrong:?}");
    }
    assert!(!request.has_header("Host") && !request.has_header("X"));
    for right in
        ["a", "a.test:", "A_b.test:65535", "10.0.0.1:80", "[::1]:8080", "a%2eb", "a!$&'()*+;="]
    {
        request.set_header("Host", right).unwrap();
        assert_eq!(request.header_all("Host"), [right.as_bytes()]);
    }
    request.destroy();
}

#[test]
fn options_that_are_changed_after_a_request_go_to_the_new_place() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (first, first_url) = raw_server();
    let (second, _) = raw_server();
    let options = of(agent, &first_url);
    let asked = send(&world, options.clone());
    let mut to_first = world.accept(&first);
    answer(&mut world, &mut to_first, FINE);
    asked.succeeds(&mut world);
    assert_eq!(counts(agent), [0, 1, 0]);
    // The same options, changed: the free connection leads elsewhere.
    let asked = send(&world, options.port(second.local_addr().unwrap().port()));
    assert!(!asked.request.is_reused());
    let mut to_second = world.accept(&second);
    answer(&mut world, &mut to_second, FINE);
    asked.succeeds(&mut world);
    assert!(to_first.received.is_empty());
    assert_eq!(counts(agent), [0, 2, 0]);
}

#[test]
fn options_that_are_changed_to_a_unix_socket_go_there() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (first, first_url) = raw_server();
    let directory = std::env::temp_dir().join(format!("onloop-agents-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path: PathBuf = directory.join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let options = of(agent, &first_url);
    let asked = send(&world, options.clone());
    let mut to_first = world.accept(&first);
    answer(&mut world, &mut to_first, FINE);
    asked.succeeds(&mut world);
    let asked = send(&world, options.unix_socket(&path));
    assert!(!asked.request.is_reused());
    let mut peer = world.accept_unix(&listener);
    answer(&mut world, &mut peer, FINE);
    asked.succeeds(&mut world);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn sockets_with_odd_paths_are_not_taken_for_one_another() {
    use std::os::unix::ffi::OsStrExt;
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let directory = std::env::temp_dir().join(format!("onloop-odd-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    // Both are shown with the same replacement character.
    for name in [&b"\xff"[..], b"\xfe", "\u{fffd}".as_bytes()] {
        let path = directory.join(std::ffi::OsStr::from_bytes(name));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let asked = send(&world, of(agent, "http://localhost/").unix_socket(&path));
        assert!(!asked.request.is_reused(), "{path:?}");
        let mut peer = world.accept_unix(&listener);
        answer(&mut world, &mut peer, FINE);
        asked.succeeds(&mut world);
        std::mem::forget(peer);
    }
    assert_eq!(counts(agent), [0, 3, 0]);
    // A family is no path, whatever its name.
    let unix = send(&world, of(agent, "http://localhost/").unix_socket("4"));
    let family = send(&world, of(agent, "http://localhost/").family(Family::V4));
    let names: Vec<_> = agent.sockets();
    assert_eq!(names.iter().filter(|(name, _)| name == "localhost:80::4").count(), 2, "{names:?}");
    unix.request.destroy();
    family.request.destroy();
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_answer_to_connect_that_makes_no_tunnel_is_a_response() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let connect = || RequestOptions::new("CONNECT", &url).path("a.test:443").agent(agent);
    let mut peer = None;
    for (answer, kept) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwho?", true),
        ("HTTP/1.1 301 Moved\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", true),
        ("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false),
    ] {
        let log = Log::new();
        let request = http::request_with(world.lp, connect()).unwrap();
        request.on_connect(|_, _, _| panic!("there is no tunnel"));
        note_outcome(request, &log);
        request.end("");
        let mut at = peer.take().unwrap_or_else(|| world.accept(&listener));
        let head = world.expect(&mut at, "\r\n\r\n");
        assert!(head.starts_with("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n"), "{head}");
        at.send(answer);
        world.until("the end", || log.has("closed"));
        assert_eq!((log.len(), counts(agent)), (2, [0, usize::from(kept), 0]), "{:?}", log.all());
        peer = kept.then_some(at);
    }
    nobody_else(&mut world, &listener);
}

#[test]
fn a_tunnel_that_nobody_waits_for_is_closed() {
    let mut world = World::new();
    let agent = agent(&world, AgentOptions::new());
    let (listener, url) = raw_server();
    let asked = send(&world, RequestOptions::new("CONNECT", &url).path("a.test:443").agent(agent));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(asked.done(&mut world), ["error ECONNRESET", "closed"]);
    world.until_end(&mut peer);
    assert_eq!(counts(agent), [0, 0, 0]);
}

#[test]
fn a_tunnel_carries_bytes_as_they_are_both_ways_and_is_told_of_the_ones_behind_the_head() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let log = Log::new();
    let options = RequestOptions::new("CONNECT", &url).path("[::1]:443").auth("a:b");
    let request = http::request_with(world.lp, options).unwrap();
    let notes = log.clone();
    request.on_information(log.noting_information());
    request.on_connect(move |response, socket, head| {
        notes.note(format!("{} {:?}", response.status(), String::from_utf8_lossy(head)));
        let data = notes.clone();
        socket.on_data(move |bytes| data.note(String::from_utf8_lossy(bytes)));
        let end = notes.clone();
        socket.on_end(move || {
            end.note("end");
            socket.end("bye");
        });
        socket.write("to the other side");
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
    request.end("");
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.starts_with("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n"), "{head}");
    assert!(!head.contains("Content-Length") && !head.contains("Transfer-Encoding"), "{head}");
    // Content-Length means nothing here (RFC 9110 §9.3.6).
    peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Fine\r\nContent-Length: 3\r\n\r\nearly");
    world.expect(&mut peer, "to the other side");
    peer.send("late");
    world.until("the bytes", || log.has("late"));
    peer.end();
    world.expect(&mut peer, "bye");
    world.until("the end", || log.has("end"));
    assert_eq!(log.all(), ["100", "204 \"early\"", "closed", "late", "end"]);
}

#[test]
fn connect_has_no_content_and_no_framing() {
    for how in ["end", "flush", "fields"] {
        let mut world = World::new();
        let (listener, url) = raw_server();
        let log = Log::new();
        let options = RequestOptions::new("CONNECT", &url).path("a.test:443");
        let request = http::request_with(world.lp, options).unwrap();
        // A proxy that makes no tunnel would take it for the next request.
        assert!(!request.write("GET /evil HTTP/1.1\r\n"));
        for refused in [request.try_write("x").map(drop), request.try_end("x")] {
            assert_eq!(refused.unwrap_err().code(), "ERR_HTTP_BODY_NOT_ALLOWED");
        }
        request.on_connect(move |_, socket, _| {
            socket.write("after");
        });
        request.on_error(log.noting_error("error"));
        match how {
            "flush" => request.flush_headers(),
            "fields" => {
                request.set_header("Content-Length", "5").unwrap();
                request.set_header("Transfer-Encoding", "chunked").unwrap();
                request.end("");
            }
            _ => request.end(""),
        }
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert_eq!(
            head,
            "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nConnection: keep-alive\r\n\r\n",
            "{how}"
        );
        assert!(!request.write("late"));
        request.end("");
        peer.send("HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!(world.expect(&mut peer, "after"), "after", "{how}");
        assert_eq!(log.len(), 0);
    }
}
