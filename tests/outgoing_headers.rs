//! Setting the fields of responses and requests: what replaces what, what may be asked, what is refused when.

mod common;

use common::{Answer, Log, World, get, raw_server};
use onloop::http::{self, Response, ServerOptions};

/// The answer to one request that is served by `handler`.
fn answer_of(
    options: ServerOptions,
    handler: impl FnMut(http::Request, Response) -> onloop::Result<()> + 'static,
) -> Answer {
    let mut world = World::new();
    let server = world.serve_with(options, handler);
    world.ask(&server, get("/", ""))
}

#[track_caller]
fn code<T: std::fmt::Debug>(result: onloop::Result<T>) -> &'static str {
    result.expect_err("it is refused").code()
}

/// The lines that the handler has set, in order.
fn lines(answer: &Answer) -> Vec<String> {
    let automatic = ["Date", "Connection", "Keep-Alive", "Content-Length", "Transfer-Encoding"];
    let lines = answer.fields.iter().filter(|(name, _)| !automatic.contains(&name.as_str()));
    lines.map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn write_head_overrides_what_was_set_and_repeats_what_it_repeats() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_headers([("X-Keep", "1"), ("X-A", "old"), ("x-a", "older"), ("X-B", "old")])?;
        res.write_head(
            201,
            [("x-A", "1"), ("Set-Cookie", "a"), ("X-B", "2"), ("X-a", "3"), ("set-cookie", "b")],
        )?;
        res.end("hi");
        Ok(())
    });
    assert_eq!(answer.status_line, "HTTP/1.1 201 Created");
    let expected = ["X-Keep: 1", "x-A: 1", "X-B: 2", "Set-Cookie: a", "X-a: 3", "set-cookie: b"];
    assert_eq!(lines(&answer), expected);
    assert_eq!(answer.text(), "hi");
}

#[test]
fn a_head_that_was_written_is_final_before_it_is_sent() {
    let log = Log::new();
    let notes = log.clone();
    let answer = answer_of(ServerOptions::new(), move |_req, res| {
        res.set_header("X-A", "1")?;
        assert!(!res.headers_sent());
        res.write_head_with_reason(404, "Nobody Home", [("X-B", "2")])?;
        assert!(res.headers_sent());
        assert_eq!(res.writable_length(), 0, "nothing is rendered yet");
        for refused in [
            res.set_header("X-A", "2"),
            res.append_header("X-A", "2"),
            res.remove_header("X-A"),
            res.set_headers([("X-A", "2")]),
            res.set_header_all("X-A", ["2"]),
            res.set_header_all("X-A", [""; 0]),
            res.set_status_message("Somebody"),
            res.write_head(200, [("X-A", "2")]),
            res.write_head_with_reason(200, "OK", [("X-A", "2")]),
            res.write_continue(),
            res.write_processing(),
            res.write_information(102, [("X-A", "2")]),
            res.write_early_hints([("Link", "</a>")]),
        ] {
            notes.note(code(refused));
        }
        assert!(!res.set_status(200));
        res.set_send_date(false);
        assert_eq!((res.status(), res.status_message().as_str()), (404, "Nobody Home"));
        assert_eq!(res.header("x-b").as_deref(), Some(&b"2"[..]));
        // Trailers are not of the head.
        res.add_trailer("X-T", "t")?;
        res.end("hi");
        assert_eq!((res.status(), res.header("X-A").is_some()), (404, true));
        Ok(())
    });
    assert_eq!(log.count("ERR_HTTP_HEADERS_SENT"), 13, "{:?}", log.all());
    assert_eq!(answer.status_line, "HTTP/1.1 404 Nobody Home");
    assert_eq!(lines(&answer), ["X-A: 1", "X-B: 2"]);
    assert!(answer.field("Date").is_some());
}

#[test]
fn a_refused_write_head_changes_nothing() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_header("X-A", "1")?;
        for (status, reason, field, expected) in [
            (99, "r", ("X-B", "1"), "ERR_HTTP_INVALID_STATUS_CODE"),
            (101, "r", ("X-B", "1"), "ERR_HTTP_INVALID_STATUS_CODE"),
            (1000, "r", ("X-B", "1"), "ERR_HTTP_INVALID_STATUS_CODE"),
            (404, "a\r\nb", ("X-B", "1"), "ERR_INVALID_CHAR"),
            (404, "\u{100}", ("X-B", "1"), "ERR_INVALID_CHAR"),
            (404, "r", ("X B", "1"), "ERR_INVALID_HTTP_TOKEN"),
            (404, "r", ("", "1"), "ERR_INVALID_HTTP_TOKEN"),
            (404, "r", ("X-B", "1\r\nX-C: 2"), "ERR_INVALID_CHAR"),
            (404, "r", ("Content-Length", "+5"), "ERR_HTTP_INVALID_HEADER_VALUE"),
            (404, "r", ("Transfer-Encoding", "gzip"), "ERR_HTTP_INVALID_HEADER_VALUE"),
        ] {
            let refused = res.write_head_with_reason(status, reason, [("X-A", "2"), field]);
            assert_eq!(code(refused), expected, "{status} {reason:?} {field:?}");
        }
        let twice = [("Content-Length", "2"), ("content-length", "2")];
        assert_eq!(code(res.write_head(200, twice)), "ERR_HTTP_INVALID_HEADER_VALUE");
        assert!(!res.headers_sent() && res.status() == 200);
        assert_eq!(res.headers(), [("X-A".to_owned(), b"1".to_vec())]);
        res.end("hi");
        Ok(())
    });
    assert_eq!(answer.status_line, "HTTP/1.1 200 OK");
    assert_eq!(lines(&answer), ["X-A: 1"]);
}

#[test]
fn a_written_head_may_take_what_was_set_and_be_flushed() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.remove_header("Date")?;
        res.write_head(200, [("Content-Length", "2")])?;
        res.flush_headers();
        res.flush_headers();
        let body = res.req();
        body.on_data(|_| {});
        body.on_end(move || res.end("hi"));
        Ok(())
    });
    let mut peer = world.send(&server, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n");
    let head = world.expect(&mut peer, "\r\n\r\n");
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\
                    Keep-Alive: timeout=65\r\n\r\n";
    assert_eq!(head, expected);
    peer.send("x");
    world.expect(&mut peer, "hi");
}

#[test]
fn many_fields_are_set_at_once_or_none() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_header("X-A", "0")?;
        let refused = res.set_headers([("X-A", "1"), ("X-B", "2"), ("X-C", "\0")]);
        assert_eq!(code(refused), "ERR_INVALID_CHAR");
        assert_eq!(res.headers(), [("X-A".to_owned(), b"0".to_vec())]);
        res.set_headers(vec![("X-B".to_owned(), 7), ("x-b".to_owned(), 8)])?;
        let mut map = ::http::HeaderMap::new();
        map.insert("x-a", ::http::HeaderValue::from_static("1"));
        map.append("set-cookie", ::http::HeaderValue::from_static("a=1"));
        map.append("set-cookie", ::http::HeaderValue::from_static("b=2"));
        res.set_headers(&map)?;
        res.end("");
        Ok(())
    });
    let expected = ["x-a: 1", "X-B: 7", "x-b: 8", "set-cookie: a=1", "set-cookie: b=2"];
    assert_eq!(lines(&answer), expected);
}

#[test]
fn a_field_may_have_many_lines_and_all_of_them_can_be_asked() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_header("Set-Cookie", "old")?;
        res.append_header("Set-Cookie", "older")?;
        res.set_header_all("set-COOKIE", ["a=1", "b=2"])?;
        res.append_header("Set-Cookie", "c=3")?;
        res.set_header("X-Number", 5)?;
        assert_eq!(res.header_all("SET-COOKIE"), [b"a=1", b"b=2", b"c=3"]);
        assert_eq!(res.header("set-cookie").as_deref(), Some(&b"a=1"[..]));
        assert_eq!(res.header_names(), ["set-cookie", "x-number"]);
        assert_eq!(res.raw_header_names(), ["set-COOKIE", "X-Number"]);
        let pairs = res.headers();
        assert_eq!(pairs.len(), 4);
        assert_eq!(pairs[3], ("X-Number".to_owned(), b"5".to_vec()));
        assert!(res.header_all("X-None").is_empty() && res.header("X-None").is_none());
        assert_eq!(code(res.set_header_all("X-Bad", ["1", "\r"])), "ERR_INVALID_CHAR");
        assert!(!res.has_header("X-Bad"));
        res.set_header("X-Gone", "1")?;
        res.set_header_all("x-gone", [""; 0])?;
        res.remove_header("X-NUMBER")?;
        res.set_header("x-number", 6)?;
        res.end("");
        assert_eq!(res.header_names(), ["set-cookie", "x-number"], "also after the head was sent");
        Ok(())
    });
    let expected = ["set-COOKIE: a=1", "set-COOKIE: b=2", "Set-Cookie: c=3", "x-number: 6"];
    assert_eq!(lines(&answer), expected);
}

#[test]
fn no_values_leave_out_a_field_but_not_what_is_added_by_itself() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_header("Date", "mine")?;
        res.set_header_all("date", [""; 0])?;
        res.end("");
        Ok(())
    });
    assert!(answer.field("Date").is_some_and(|date| date != "mine"));
}

#[test]
fn unique_fields_are_one_line_wherever_they_are_set() {
    let options = ServerOptions::new().unique_headers(["X-Res-A", "x-TRAILER"]);
    let answer = answer_of(options, |req, res| {
        res.set_header("Trailer", "X-Trailer")?;
        res.append_header("x-res-a", "1")?;
        res.append_header("X-Res-A", "2")?;
        res.append_header("X-Res-B", "1")?;
        res.append_header("X-Res-B", "2")?;
        if req.url() == "/" {
            assert_eq!(res.header_all("X-Res-A"), [b"1; 2"]);
            res.set_header_all("X-RES-A", ["3", "4", "5"])?;
        }
        res.write("hi");
        res.add_trailer("X-Trailer", "1")?;
        res.add_trailers([("X-Trailer", "2"), ("X-Other", "1"), ("X-Other", "2")])?;
        res.end("");
        Ok(())
    });
    let expected = ["Trailer: X-Trailer", "X-RES-A: 3; 4; 5", "X-Res-B: 1", "X-Res-B: 2"];
    assert_eq!(lines(&answer), expected);
    let trailers: Vec<String> =
        answer.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(trailers, ["X-Trailer: 1; 2", "X-Other: 1", "X-Other: 2"]);
}

#[test]
fn cookies_that_a_client_sends_back_are_one_line() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let request = http::request(world.lp, "GET", &url).unwrap();
    request.set_header_all("Cookie", ["a=1", "b=2"]).unwrap();
    request.append_header("cookie", "c=3").unwrap();
    request.set_header_all("X-List", ["1", "2"]).unwrap();
    request.set_headers([("Accept", "*/*")]).unwrap();
    assert_eq!(request.header_names(), ["cookie", "x-list", "accept"]);
    request.end("");
    let mut peer = world.accept(&listener);
    let head = world.expect(&mut peer, "\r\n\r\n");
    assert!(head.contains("\r\nCookie: a=1; b=2; c=3\r\n"), "{head}");
    assert!(head.contains("\r\nX-List: 1\r\nX-List: 2\r\nAccept: */*\r\n"), "{head}");
    assert_eq!(head.to_ascii_lowercase().matches("cookie:").count(), 1);
}

#[test]
fn trailers_and_a_length_exclude_each_other() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.set_header("Trailer", "X-T")?;
        assert_eq!(code(res.set_header("Content-Length", 2)), "ERR_HTTP_TRAILER_INVALID");
        let both = [("Trailer", "X-T"), ("Content-Length", "2")];
        assert_eq!(code(res.set_headers(both)), "ERR_HTTP_TRAILER_INVALID");
        assert_eq!(code(res.write_head(200, [("Content-Length", 2)])), "ERR_HTTP_TRAILER_INVALID");
        res.remove_header("Trailer")?;
        res.set_header("Content-Length", 2)?;
        assert_eq!(code(res.set_header("trailer", "X-T")), "ERR_HTTP_TRAILER_INVALID");
        assert_eq!(code(res.append_header("Trailer", "X-T")), "ERR_HTTP_TRAILER_INVALID");
        // With chunks it is the length that is left out.
        res.set_header("Transfer-Encoding", "chunked")?;
        res.set_header("Trailer", "X-T")?;
        res.add_trailer("X-T", "t")?;
        res.end("hi");
        Ok(())
    });
    assert_eq!(lines(&answer), ["Trailer: X-T"]);
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("hi", 1));
}

#[test]
fn what_is_refused_behind_content_when_it_comes_is_not_sent_there() {
    let names = [
        "Content-Length",
        "Content_Length",
        "Transfer-Encoding",
        "transfer.encoding",
        "Host",
        "Trailer",
        "Connection",
        "Authorization",
        "Proxy-Authorization",
    ];
    let answer = answer_of(ServerOptions::new(), move |_req, res| {
        res.set_header("Trailer", "X-T")?;
        for name in names {
            assert_eq!(code(res.add_trailer(name, "1")), "ERR_HTTP_TRAILER_INVALID", "{name}");
            assert!(res.add_trailers([(name, "1")]).is_err(), "{name}");
        }
        res.add_trailer("Content-Lengths", "1")?;
        res.end("hi");
        Ok(())
    });
    assert_eq!(answer.trailers, [("Content-Lengths".to_owned(), "1".to_owned())]);
}

#[test]
fn a_transfer_encoding_is_a_list_of_codings_with_chunked_once_and_last() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        for list in [
            "gzip",
            "chunked, gzip",
            "chunked, chunked",
            ",chunked",
            "gzip,,chunked",
            "gzip;q=1, chunked",
            "a b, chunked",
            "xchunked",
            "",
        ] {
            let refused = code(res.set_header("Transfer-Encoding", list));
            assert_eq!(refused, "ERR_HTTP_INVALID_HEADER_VALUE", "{list}");
        }
        res.set_header("Transfer-Encoding", "gzip ,\tChunked")?;
        res.end("hi");
        Ok(())
    });
    assert_eq!(
        (answer.field("Transfer-Encoding"), answer.text().as_str()),
        (Some("gzip ,\tChunked"), "hi")
    );
}

#[test]
fn trailers_are_added_all_or_none_until_the_end() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        res.write("hi");
        let refused = res.add_trailers([("X-A", "1"), ("Content-Length", "2")]);
        assert_eq!(code(refused), "ERR_HTTP_TRAILER_INVALID");
        assert_eq!(code(res.add_trailers([("X-A", "1"), ("X B", "2")])), "ERR_INVALID_HTTP_TOKEN");
        assert_eq!(code(res.add_trailers([("X-A", "1"), ("X-B", "\n")])), "ERR_INVALID_CHAR");
        res.add_trailers([("X-C", 1), ("X-D", 2)])?;
        res.end("");
        assert_eq!(code(res.add_trailers([("X-E", "1")])), "ERR_HTTP_HEADERS_SENT");
        Ok(())
    });
    let names: Vec<&str> = answer.trailers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-C", "X-D"]);
}

#[test]
fn sets_of_fields_are_bounded() {
    let answer = answer_of(ServerOptions::new(), |_req, res| {
        let many = (0..10_000).map(|at| (format!("X-{at}"), "value"));
        assert_eq!(code(res.set_headers(many)), "ERR_HTTP_HEADERS_TOO_LARGE");
        res.set_header("X-Large", "x".repeat(40_000))?;
        let more = res.set_headers([("X-More", "x".repeat(40_000))]);
        assert_eq!(code(more), "ERR_HTTP_HEADERS_TOO_LARGE");
        let joined = (0..2).map(|_| "x".repeat(40_000));
        assert_eq!(code(res.set_header_all("Cookie", joined)), "ERR_HTTP_HEADERS_TOO_LARGE");
        res.remove_header("X-Large")?;
        res.end("");
        Ok(())
    });
    assert_eq!(lines(&answer), [""; 0]);
}

#[test]
fn after_the_exchange_nothing_can_be_set_and_nothing_is_there() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let lp = world.lp;
    let server = world.serve(move |_req, res| {
        res.set_header("X-A", "1")?;
        res.end("");
        let notes = notes.clone();
        lp.set_timeout(std::time::Duration::ZERO, move || {
            for refused in [
                res.set_headers([("X-A", "2")]),
                res.set_header_all("X-A", ["2"]),
                res.add_trailers([("X-A", "2")]),
                res.write_head(200, [("X-A", "2")]),
                res.write_information(102, [("X-A", "2")]),
                res.write_early_hints([("Link", "</a>")]),
                res.on_written(|_| ()),
            ] {
                notes.note(code(refused));
            }
            assert!(res.headers().is_empty() && res.header_names().is_empty());
            assert!(res.header_all("X-A").is_empty() && res.status_message().is_empty());
            assert!(!res.headers_sent() && !res.send_date());
            notes.note("asked");
        });
        Ok(())
    });
    world.ask(&server, get("/", ""));
    let lines = log.clone();
    world.until("the timer", || lines.has("asked"));
    assert_eq!(log.count("ERR_STREAM_DESTROYED"), 7);
}

#[test]
fn nothing_in_a_value_can_begin_another_line() {
    // The low bytes of these are CR and LF: cut to Latin-1 they would split the response.
    let look_alikes = "a\u{10d}\u{10a}X-Injected: 1\u{560d}\u{560a}";
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        assert_eq!(code(res.set_status_message(look_alikes)), "ERR_INVALID_CHAR");
        assert_eq!(
            code(res.write_head_with_reason(200, look_alikes, [("X-A", "1")])),
            "ERR_INVALID_CHAR"
        );
        match req.url() {
            "/set" => res.set_header("X-Text", look_alikes)?,
            "/append" => res.append_header("X-Text", look_alikes)?,
            _ => res.write_head(200, [("X-Text", look_alikes)])?,
        }
        res.end("ok");
        Ok(())
    });
    let paths = ["/set", "/append", "/head"];
    let requests: String = paths.iter().map(|path| get(path, "")).collect();
    let mut peer = world.send(&server, requests);
    for path in paths {
        let answer = world.answer(&mut peer);
        assert_eq!(answer.field("X-Text"), Some(look_alikes), "{path}");
        assert_eq!((answer.field("X-Injected"), answer.text().as_str()), (None, "ok"), "{path}");
    }
}

#[test]
fn bytes_of_fields_and_content_are_sent_as_they_are() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        res.set_header("X-Latin", &b"caf\xe9"[..])?;
        res.set_status_message("Caf\u{e9}")?;
        res.write(&b"u\0t\0f\0\xff\xfe"[..]);
        res.end("");
        Ok(())
    });
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    world.until_end(&mut peer);
    let has = |bytes: &[u8]| peer.received.windows(bytes.len()).any(|part| part == bytes);
    assert!(has(b"HTTP/1.1 200 Caf\xe9\r\n") && has(b"X-Latin: caf\xe9\r\n"));
    assert!(has(b"\r\n\r\n8\r\nu\0t\0f\0\xff\xfe\r\n0\r\n\r\n"), "{}", peer.text());
}

#[test]
fn a_refused_set_of_fields_changes_nothing_wherever_in_it_the_refusal_is() {
    let long = "x".repeat(40_000);
    let answer = answer_of(ServerOptions::new(), move |_req, res| {
        res.set_header("Trailer", "X-Sum").unwrap();
        // A length alone is refused beside it, and comes second.
        let refused = res.set_headers([("X-New", "1"), ("Content-Length", "5")]);
        assert_eq!(code(refused), "ERR_HTTP_TRAILER_INVALID");
        res.set_header("X-Long", &long).unwrap();
        let refused = res.set_headers([("X-New", "1"), ("X-Longer", &long)]);
        assert_eq!(code(refused), "ERR_HTTP_HEADERS_TOO_LARGE");
        let refused =
            res.write_head(404, [("X-Long", "short"), ("x-long", &long), ("X-Longer", &long)]);
        assert_eq!(code(refused), "ERR_HTTP_HEADERS_TOO_LARGE");
        assert_eq!(res.header_names(), ["trailer", "x-long"]);
        assert_eq!(res.header("X-Long").map(|value| value.len()), Some(long.len()));
        let refused = res.add_trailers([("X-Sum", "1"), ("X-Long", &long), ("X-Longer", &long)]);
        assert_eq!(code(refused), "ERR_HTTP_HEADERS_TOO_LARGE");
        // What is too long at first and fits in the end is set.
        res.set_headers([("X-New", "1"), ("X-Long", "short")]).unwrap();
        // A length is refused before its coding is looked at.
        let both = [("X-New", "2"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        assert_eq!(code(res.set_headers(both)), "ERR_HTTP_TRAILER_INVALID");
        assert_eq!(res.header("X-New").as_deref(), Some(&b"1"[..]));
        res.end("hello");
        Ok(())
    });
    assert_eq!((answer.status, answer.text().as_ref()), (200, "hello"));
    assert_eq!(answer.field("X-Sum"), None);
}
