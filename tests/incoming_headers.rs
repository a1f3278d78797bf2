//! The fields of incoming messages as users see them: as they came, brought together by name, one list per name;
//! of requests, responses, informational responses and trailers. And the checks of names and values.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Log, Peer, World, get, raw_server};
use onloop::http::{self, HeaderValue, RequestOptions, ServerOptions};

type Merged = Vec<(String, Vec<u8>)>;
type Distinct = Vec<(String, Vec<Vec<u8>>)>;

/// Node's names of which the first field wins.
const FIRST_WINS: [&str; 18] = [
    "Age",
    "Authorization",
    "Content-Length",
    "Content-Type",
    "ETag",
    "Expires",
    "From",
    "Host",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Last-Modified",
    "Location",
    "Max-Forwards",
    "Proxy-Authorization",
    "Referer",
    "Retry-After",
    "Server",
    "User-Agent",
];

fn merged(rows: &[(&str, &str)]) -> Merged {
    rows.iter().map(|(name, value)| ((*name).into(), value.as_bytes().into())).collect()
}

/// What a server with these options makes of the field lines of one request.
fn received(options: ServerOptions, fields: &str) -> (Merged, Distinct, Merged) {
    let mut world = World::new();
    let seen: Rc<RefCell<(Merged, Distinct, Merged)>> = Rc::default();
    let sees = Rc::clone(&seen);
    let server = world.serve_with(options, move |req, res| {
        let joined = req.headers_joined();
        for (name, value) in joined.iter().filter(|(name, _)| name != "set-cookie") {
            let upper = name.to_ascii_uppercase();
            assert_eq!(req.header_joined(&upper).as_deref(), Some(&value[..]), "{name}");
        }
        assert_eq!(req.header_joined("not-there"), None);
        let raw = req.headers().map(|(name, value)| (name.into(), value.into())).collect();
        *sees.borrow_mut() = (joined, req.headers_distinct(), raw);
        res.end("");
    });
    assert_eq!(world.ask(&server, get("/", fields)).status, 200);
    seen.take()
}

#[test]
fn headers_are_joined_by_the_rules_of_node() {
    let fields = "X-A: 1\r\nCookie: a=1\r\nAccept:\r\nx-a: 2\r\nVary: b\r\nCOOKIE: b=2; c=3\r\nX-A:\r\n\
                  Accept: text/*\r\nconstructor: 1\r\n__proto__: 2\r\nConstructor: 3\r\n";
    let (joined, distinct, raw) = received(ServerOptions::new(), fields);
    let expected = [
        ("host", "h"),
        ("x-a", "1, 2, "),
        ("cookie", "a=1; b=2; c=3"),
        ("accept", ", text/*"),
        ("vary", "b"),
        ("constructor", "1, 3"),
        ("__proto__", "2"),
    ];
    assert_eq!(joined, merged(&expected));
    let names: Vec<&str> = distinct.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected.map(|(name, _)| name));
    assert_eq!(distinct[1].1, [b"1".to_vec(), b"2".to_vec(), Vec::new()]);
    assert_eq!(distinct[2].1, [b"a=1".to_vec(), b"b=2; c=3".to_vec()]);
    let spelled: Vec<&str> = raw.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(spelled[..5], ["Host", "X-A", "Cookie", "Accept", "x-a"]);
    assert_eq!(raw.len(), 12);
}

#[test]
fn set_cookie_is_never_joined() {
    for join in [false, true] {
        let fields = "Set-Cookie: a=1, 2\r\nX: y\r\nset-cookie: b\r\n";
        let options = ServerOptions::new().join_duplicate_headers(join);
        let (joined, distinct, _) = received(options, fields);
        let rows = [("host", "h"), ("set-cookie", "a=1, 2"), ("x", "y"), ("set-cookie", "b")];
        assert_eq!(joined, merged(&rows));
        assert_eq!(distinct[1].1, [b"a=1, 2".to_vec(), b"b".to_vec()]);
    }
    let (_, distinct, _) = received(ServerOptions::new(), "Set-Cookie: one\r\n");
    assert_eq!(distinct[1], ("set-cookie".to_owned(), vec![b"one".to_vec()]));
}

#[test]
fn the_first_wins_where_values_are_no_list_unless_joining_is_asked_for() {
    // Where the framing or the routing hangs on it, a repetition is refused, whatever is set.
    for name in FIRST_WINS.into_iter().filter(|name| !matches!(*name, "Content-Length" | "Host")) {
        let lower = name.to_ascii_lowercase();
        for (join, value) in [(false, "one"), (true, "one, two, ")] {
            let fields =
                format!("{name}: one\r\n{lower}: two\r\n{name}:\r\nCookie: a\r\nCookie: b\r\n");
            let options = ServerOptions::new().join_duplicate_headers(join);
            let (joined, distinct, _) = received(options, &fields);
            assert_eq!(joined[1..], merged(&[(&lower, value), ("cookie", "a; b")]), "{name}");
            assert_eq!(distinct[1].1.len(), 3);
        }
    }
}

#[test]
fn two_hundred_and_fifty_six_identical_headers_are_all_there() {
    let mut world = World::new();
    let server = world.serve(|req, res| {
        assert_eq!(req.url(), "/a?b=c&d=%2F");
        assert_eq!(req.header_all("x-filler").count(), 256);
        let joined = req.header_joined("X-Filler").unwrap();
        assert_eq!(joined, vec!["y"; 256].join(", ").as_bytes());
        assert_eq!(req.headers_distinct()[1].1.len(), 256);
        res.end("");
    });
    let answer = world.ask(&server, get("/a?b=c&d=%2F", &"X-Filler: y\r\n".repeat(256)));
    assert_eq!(answer.status, 200);
}

#[test]
fn white_space_around_a_value_that_comes_in_pieces_is_no_part_of_it() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        for (name, value) in req.headers().skip(1) {
            notes.note(format!("{name}={:?}", String::from_utf8_lossy(value)));
        }
        res.end("");
    });
    let mut peer = world.connect(&server);
    let pieces = [
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: ",
        "\t ",
        "foo\t",
        " bar",
        " \t",
        "\r\nX-B:",
        " \t \r\n\r\n",
    ];
    for piece in pieces {
        peer.send(piece);
        world.until_sent(&mut peer);
        for _ in 0..3 {
            world.turn();
        }
    }
    world.answer(&mut peer);
    assert_eq!(log.all(), ["X-A=\"foo\\t bar\"", "X-B=\"\""]);
}

#[test]
fn the_version_is_told_in_parts() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(move |req, res| {
        let (major, minor) = (req.http_version_major(), req.http_version_minor());
        assert_eq!(req.http_version(), format!("{major}.{minor}"));
        assert!(!req.is_upgrade());
        notes.note(format!("{major} {minor}"));
        res.end("");
    });
    for version in ["1.0", "1.1", "1.9"] {
        world.ask(&server, format!("GET / HTTP/{version}\r\nHost: h\r\n\r\n"));
    }
    assert_eq!(log.all(), ["1 0", "1 1", "1 1"]);
}

#[test]
fn messages_that_are_handed_over_say_so() {
    let log = Log::new();
    let mut world = World::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        notes.note(format!("request {}", req.is_upgrade()));
        res.end("");
    });
    let notes = log.clone();
    server.should_upgrade(move |req| req.url() != "/no");
    server.on_upgrade(move |req, socket, head| {
        notes.note(format!("upgrade {} {head:?}", req.is_upgrade()));
        socket.end("HTTP/1.1 101 x\r\n\r\n");
    });
    let notes = log.clone();
    server.on_connect(move |req, socket, _head| {
        notes.note(format!("connect {}", req.is_upgrade()));
        socket.end("HTTP/1.1 403 x\r\nContent-Length: 0\r\n\r\n");
    });
    let asks = "Connection: upgrade\r\nUpgrade: x\r\n";
    // The first byte of another protocol may be any.
    let mut bytes = get("/", asks).into_bytes();
    bytes.extend_from_slice(&[0x80, 0xff, 0]);
    let mut peers = vec![world.send(&server, bytes)];
    world.until_end(&mut peers[0]);
    peers.push(world.send(&server, "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"));
    world.until_end(&mut peers[1]);
    assert_eq!(world.ask(&server, get("/no", asks)).status, 200);
    assert_eq!(world.ask(&server, get("/", "")).status, 200);
    let expected = ["upgrade true [128, 255, 0]", "connect true", "request false", "request false"];
    assert_eq!(log.all(), expected);
}

#[test]
fn trailers_come_in_the_same_three_views_and_apart_from_headers() {
    for (join, age) in [(false, "1"), (true, "1, 2")] {
        let mut world = World::new();
        let options = ServerOptions::new().join_duplicate_headers(join);
        let server = world.serve_with(options, move |req, res| {
            let body = req.body();
            assert!(body.trailers_joined().is_empty() && body.trailers_distinct().is_empty());
            req.resume();
            let joined = req.headers_joined();
            req.on_end(move || {
                let raw = body.trailers();
                let spelled: Vec<&str> = raw.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(spelled, ["X-T", "Age", "x-t", "age", "Set-Cookie", "Set-Cookie"]);
                let rows =
                    [("x-t", "a, b"), ("age", age), ("set-cookie", "c"), ("set-cookie", "d")];
                assert_eq!(body.trailers_joined(), merged(&rows));
                let distinct = body.trailers_distinct();
                let counts: Vec<usize> = distinct.iter().map(|(_, values)| values.len()).collect();
                assert_eq!((distinct[0].0.as_str(), counts), ("x-t", vec![2, 2, 2]));
                assert!(joined.iter().all(|(name, value)| name != "x-t" || value == b"head"));
                res.end("fine");
            });
        });
        let trailers = "X-T: a\r\nAge: 1\r\nx-t: b\r\nage: 2\r\nSet-Cookie: c\r\nSet-Cookie: d\r\n";
        let request = get("/", "X-T: head\r\nTransfer-Encoding: chunked\r\n");
        let answer = world.ask(&server, format!("{request}1\r\nx\r\n0\r\n{trailers}\r\n"));
        assert_eq!(answer.text(), "fine");
    }
}

#[test]
fn responses_and_what_comes_before_them_have_the_same_views() {
    let head: String = FIRST_WINS
        .into_iter()
        .filter(|name| *name != "Content-Length")
        .map(|name| format!("{name}: 1\r\n{name}: 2\r\n"))
        .collect();
    let head = format!("{head}Vary: a\r\nSet-Cookie: x\r\nvary: b\r\nset-cookie: y\r\n");
    for join in [false, true] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let seen: Rc<RefCell<Vec<Merged>>> = Rc::default();
        let options = RequestOptions::new("GET", url).join_duplicate_headers(join);
        let request = http::request_with(world.lp, options).unwrap();
        let sees = Rc::clone(&seen);
        request.on_information(move |information| {
            assert_eq!(information.http_version_minor(), 1);
            sees.borrow_mut().push(information.headers_joined());
        });
        let sees = Rc::clone(&seen);
        request.on_response(move |response| {
            assert!(!response.is_upgrade());
            sees.borrow_mut().push(response.headers_joined());
            let body = response.body();
            response.on_end(move || sees.borrow_mut().push(body.trailers_joined()));
        });
        request.end("");
        let mut peer: Peer = world.accept(&listener);
        peer.send(format!("HTTP/1.1 102 x\r\n{head}\r\n"));
        let trailers = "Age: 1\r\nVary: a\r\nage: 2\r\nvary: b\r\n";
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{head}\r\n0\r\n{trailers}\r\n"
        ));
        world.until_over();
        let value = if join { "1, 2" } else { "1" };
        let views = seen.take();
        assert_eq!(views.len(), 3);
        for view in &views[..2] {
            let of = |name: &str| -> Vec<String> {
                let named = view.iter().filter(|(other, _)| other == name);
                named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
            };
            for name in FIRST_WINS.into_iter().filter(|name| *name != "Content-Length") {
                assert_eq!(of(&name.to_ascii_lowercase()), [value], "{name}");
            }
            assert_eq!(
                (of("vary"), of("set-cookie")),
                (vec!["a, b".into()], vec!["x".into(), "y".into()])
            );
        }
        assert_eq!(views[2], merged(&[("age", value), ("vary", "a, b")]));
    }
}

#[test]
fn names_and_values_are_valid_exactly_where_they_can_be_set() {
    let mut world = World::new();
    let server = world.serve(|_req, res| {
        let code = |result: onloop::Result<()>| result.err().map(|error| error.code());
        for byte in 0..=255u8 {
            let value = [b'a', byte, b'b'];
            let set = code(res.set_header("X-Any", value));
            assert_eq!(code(http::validate_header_value("X-Any", value)), set, "{byte:#x}");
            assert_eq!(http::is_valid_header_value(value), set.is_none());
            let fine = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            assert_eq!(set, if fine { None } else { Some("ERR_INVALID_CHAR") }, "{byte:#x}");

            let name = format!("X{}Y", char::from(byte));
            let set = code(res.set_header(&name, ""));
            assert_eq!(code(http::validate_header_name(&name)), set, "{name:?}");
            assert_eq!(http::is_valid_header_name(&name), set.is_none());
            assert_eq!(http::is_valid_header_name([byte]), set.is_none(), "{byte:#x}");
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(set, if token { None } else { Some("ERR_INVALID_HTTP_TOKEN") }, "{name:?}");
        }
        assert_eq!(code(http::validate_header_name("")), Some("ERR_INVALID_HTTP_TOKEN"));
        assert!(!http::is_valid_header_name("") && http::is_valid_header_value(""));
        assert!(http::validate_header_value("X-Number", 7).is_ok());
        let refused = http::validate_header_value("X-Named", "\0").unwrap_err();
        assert!(refused.to_string().contains("X-Named"), "{refused}");
        res.end("");
    });
    assert_eq!(world.ask(&server, get("/", "")).status, 200);
    // Whoever implements the trait gets its answer for the bytes it gives.
    struct Spaces;
    impl HeaderValue for Spaces {
        fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
            work(b" \n ")
        }
    }
    assert!(!http::is_valid_header_value(Spaces));
}

#[test]
fn every_method_of_the_list_is_served_and_so_is_any_other_token() {
    let mut world = World::new();
    let server = world.serve(|req, res| res.end(req.method().to_owned()));
    assert_eq!(http::METHODS.len(), 35);
    assert!(http::METHODS.is_sorted());
    for method in http::METHODS.into_iter().chain(["BREW", "get"]) {
        let target = if method == "CONNECT" { "h:80" } else { "/" };
        let mut peer =
            world.send(&server, format!("{method} {target} HTTP/1.1\r\nHost: h:80\r\n\r\n"));
        match method {
            "HEAD" => assert_eq!(world.answer_to_head(&mut peer).status, 200),
            "CONNECT" => assert_eq!(world.answer(&mut peer).status, 405),
            _ => assert_eq!(world.answer(&mut peer).text(), method),
        }
    }
}

#[test]
fn the_default_head_size_is_a_constant() {
    assert_eq!(http::MAX_HEADER_SIZE, 16_384);
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end(""));
    let head = |bytes: usize| {
        let rest = bytes - get("/", "X: \r\n").len();
        get("/", &format!("X: {}\r\n", "x".repeat(rest)))
    };
    assert_eq!(world.ask(&server, head(http::MAX_HEADER_SIZE)).status, 200);
    assert_eq!(world.ask(&server, head(http::MAX_HEADER_SIZE + 1)).status, 431);
}
