//! The examples that show one thing each do what they say, run as the programs that they are.

mod program;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::Duration;

use program::others::{curl, has};
use program::{Answer, PATIENCE, Program, Wire, run};
use serde_json::{Value, json};

/// Any free port.
const ADDRESS: &str = "127.0.0.1:0";

/// SIGTERM ends it, and it says that all went well.
fn ends_well<const N: usize>(mut program: Program, wires: [Wire; N]) {
    // A connection that the server has closed it keeps for a while, until its client closes as well.
    drop(wires);
    program.signal("TERM");
    assert_eq!(program.wait().code(), Some(0));
}

fn json_of(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), Some("application/json"));
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// They take the address as their first argument.
const SERVERS: [&str; 6] =
    ["echo", "json_api", "upload", "server_sent_events", "early_hints", "graceful_shutdown"];

#[test]
fn every_server_says_where_it_listens_and_ends_at_either_signal() {
    for name in SERVERS {
        for signal in ["TERM", "INT"] {
            let mut program = Program::start(name, &[ADDRESS]);
            assert_eq!(program.greeting, format!("listening on http://127.0.0.1:{}", program.port));
            let mut idle = program.connect();
            idle.ask("GET /page");
            program.signal(signal);
            assert_eq!(idle.rest(), b"", "{name}");
            drop(idle); // see `ends_well`
            assert_eq!(program.wait().code(), Some(0), "{name}");
        }
    }
}

#[test]
fn every_server_says_why_it_cannot_listen() {
    let first = Program::start("echo", &[ADDRESS]);
    for name in SERVERS {
        let output = run(name, &[&format!("127.0.0.1:{}", first.port)]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("EADDRINUSE"), "{name}: {told}");
    }
}

#[test]
fn servers_with_settings_say_how_they_are_used() {
    for (name, settings) in
        [("upload", &[ADDRESS, "/tmp", "many"][..]), ("graceful_shutdown", &[ADDRESS, "long"][..])]
    {
        let output = run(name, settings);
        assert_eq!(output.status.code(), Some(2), "{name}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with(&format!("usage: {name} ")), "{told}");
    }
}

#[test]
fn simulate_finds_the_mistake_and_holds_without_it() {
    let told = program::text_of(&run("simulate", &["20"]), 0);
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with("the handler that keeps what has come fails at seed "), "{told}");
    let why = lines[1].trim();
    assert!(why.ends_with("bytes as the whole page"), "{told}");
    assert_eq!(lines[2].trim(), format!("and again: {why}"));
    assert_eq!(lines[3], "the handler that keeps what is whole holds for 20 seeds");
}

// ---- echo

#[test]
fn echo_sends_content_back_with_its_type() {
    let echo = Program::start("echo", &[ADDRESS]);
    let mut wire = echo.connect();
    let answer = wire.ask_with("POST /", "Content-Type: text/x-test\r\n", "abc");
    assert_eq!((answer.status, answer.text()), (200, "abc"));
    assert_eq!(answer.field("content-type"), Some("text/x-test"));
    assert_eq!(wire.ask("GET /").text(), "");
    ends_well(echo, [wire]);
}

#[test]
fn echo_reads_no_faster_than_its_client_does() {
    const BYTES: usize = 128 * 1024 * 1024;
    let echo = Program::start("echo", &[ADDRESS]);
    let mut sender = TcpStream::connect(("127.0.0.1", echo.port)).expect("it listens");
    let receiver = Wire::over(sender.try_clone().expect("a descriptor is left"));
    write!(sender, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {BYTES}\r\n\r\n")
        .expect("it reads");
    // As long as nobody reads what comes back, it takes no more than the system's buffers hold. Where
    // it is only slow, this gives up too early, and no harm is done.
    sender.set_write_timeout(Some(Duration::from_millis(500))).expect("it can be set");
    let span = span();
    let part = |sent: usize| &span[sent % PERIOD..][..(BYTES - sent).min(64 * 1024)];
    let mut sent = 0;
    while sent < BYTES {
        match sender.write(part(sent)) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => break,
            Err(error) => panic!("{error} after {sent} bytes"),
        }
    }
    assert!(sent < BYTES, "it took {sent} bytes that nobody had read");
    sender.set_write_timeout(Some(PATIENCE)).expect("it can be set");
    let reading = std::thread::spawn(move || receives_the_same(receiver, BYTES));
    while sent < BYTES {
        sender.write_all(part(sent)).expect("it goes on reading");
        sent += part(sent).len();
    }
    reading.join().expect("all of it comes back");
    if let Some(peak) = echo.peak_bytes() {
        assert!(peak < 16 * 1024 * 1024, "{peak} bytes of memory");
    }
    ends_well(echo, []);
}

/// A long content that shows where a piece is missing or doubled: it repeats itself after a
/// prime number of bytes.
const PERIOD: usize = 251;

fn span() -> Vec<u8> {
    (0..PERIOD + 1024 * 1024).map(|place| (place % PERIOD) as u8).collect()
}

fn receives_the_same(mut wire: Wire, bytes: usize) {
    assert_eq!(wire.head().status, 200);
    let (mut place, span) = (0, span());
    loop {
        let chunk = wire.chunk();
        if chunk.is_empty() {
            break;
        }
        let expected = &span[place % PERIOD..][..chunk.len()];
        assert!(chunk == expected, "other bytes come back from {place} on");
        place += chunk.len();
    }
    assert_eq!(place, bytes);
}

// ---- json_api

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn json_api_keeps_books() {
    let api = Program::start("json_api", &[ADDRESS]);
    let mut wire = api.connect();
    assert_eq!(json_of(&wire.ask("GET /books")), json!([]));

    let emma = json!({ "id": 1, "title": "Emma", "author": "Jane Austen" });
    let created = wire.ask_with("POST /books", JSON, r#"{"title":"Emma","author":"Jane Austen"}"#);
    assert_eq!((created.status, created.field("location")), (201, Some("/books/1")));
    assert_eq!(json_of(&created), emma);
    // The media type's case and its parameters are of no interest.
    let charset = "Content-Type: Application/JSON; charset=utf-8\r\n";
    let second = wire.ask_with("POST /books", charset, r#"{"title":"B","author":"C"}"#);
    assert_eq!(second.field("location"), Some("/books/2"));

    assert_eq!(json_of(&wire.ask("GET /books/1")), emma);
    assert_eq!(wire.ask("HEAD /books/1").field("content-length"), Some("46"));
    let replaced = wire.ask_with("PUT /books/2", JSON, r#"{"title":"D","author":"E"}"#);
    let second = json!({ "id": 2, "title": "D", "author": "E" });
    assert_eq!((replaced.status, json_of(&replaced)), (200, second.clone()));
    assert_eq!(json_of(&wire.ask("GET /books?all")), json!([emma, second]));

    let deleted = wire.ask("DELETE /books/1");
    assert_eq!((deleted.status, deleted.field("content-length")), (204, None));
    assert_eq!(wire.ask("DELETE /books/1").status, 404);
    assert_eq!(json_of(&wire.ask("GET /books")), json!([second]));
    // A number is not given twice.
    let third = wire.ask_with("POST /books", JSON, r#"{"title":"F","author":"G"}"#);
    assert_eq!(third.field("location"), Some("/books/3"));
    ends_well(api, [wire]);
}

#[test]
fn json_api_refuses_in_json() {
    let api = Program::start("json_api", &[ADDRESS]);
    let mut wire = api.connect();
    let book = r#"{"title":"A","author":"B"}"#;
    assert_eq!(wire.ask_with("POST /books", JSON, book).status, 201);
    for (line, fields, content, status) in [
        ("GET /", "", "", 404),
        ("GET /bookshelf", "", "", 404),
        ("GET /books/", "", "", 404),
        ("GET /books/2", "", "", 404),
        ("GET /books/one", "", "", 404),
        ("GET /books/1/title", "", "", 404),
        ("PUT /books/2", JSON, book, 404),
        ("POST /books", JSON, "", 400),
        ("POST /books", JSON, "{", 400),
        ("POST /books", JSON, r#"{"title":"A"}"#, 400),
        ("POST /books", JSON, r#"{"title":"A","author":1}"#, 400),
        ("PUT /books/1", JSON, r#"{"title":"A","author":"B","id":5}"#, 400),
        ("POST /books", JSON, r#"{"title":"A","author":"B"} and more"#, 400),
        ("POST /books", "", book, 415),
        ("PUT /books/1", "Content-Type: application/json-seq\r\n", book, 415),
    ] {
        let answer = wire.ask_with(line, fields, content);
        assert_eq!(answer.status, status, "{line} {content}");
        assert!(json_of(&answer)["error"].is_string(), "{line}");
    }
    for (line, allow) in
        [("DELETE /books", "GET, HEAD, POST"), ("POST /books/1", "GET, HEAD, PUT, DELETE")]
    {
        let answer = wire.ask(line);
        assert_eq!((answer.status, answer.field("allow")), (405, Some(allow)));
        assert!(json_of(&answer)["error"].is_string());
    }
    // All on one connection, and nothing of it was carried out.
    let one = json!([{ "id": 1, "title": "A", "author": "B" }]);
    assert_eq!(json_of(&wire.ask("GET /books")), one);
    ends_well(api, [wire]);
}

#[test]
fn json_api_takes_so_much_and_no_more() {
    const MAX: usize = 64 * 1024;
    let api = Program::start("json_api", &[ADDRESS]);
    let mut wire = api.connect();
    let book = |bytes: usize| {
        let frame = r#"{"title":"","author":""}"#.len();
        format!(r#"{{"title":"{}","author":""}}"#, "x".repeat(bytes - frame))
    };
    let chunked = format!("{JSON}Transfer-Encoding: chunked\r\n");
    let mut post_chunked = |bytes: usize| {
        let content = book(bytes);
        wire.send(format!("POST /books HTTP/1.1\r\nHost: test\r\n{chunked}\r\n"));
        for piece in content.as_bytes().chunks(5000) {
            wire.send(format!("{:x}\r\n", piece.len()));
            wire.send(piece);
            wire.send("\r\n");
        }
        wire.send("0\r\n\r\n");
        wire.answer(false)
    };
    assert_eq!(post_chunked(MAX).status, 201);
    let answer = post_chunked(MAX + 1);
    assert_eq!(answer.status, 413);
    assert!(json_of(&answer)["error"].is_string());
    drop(wire);
    let mut wire = api.connect();
    assert_eq!(wire.ask_with("POST /books", JSON, &book(MAX)).status, 201);
    assert_eq!(wire.ask_with("POST /books", JSON, &book(MAX + 1)).status, 413);
    // Who asks first is told before any of it was sent.
    drop(wire);
    let mut wire = api.connect();
    let head = format!("{JSON}Expect: 100-continue\r\nContent-Length: 10000000\r\n");
    assert_eq!(wire.ask_with("POST /books", &head, "").status, 413);
    ends_well(api, [wire]);
}

// ---- early_hints

#[test]
fn early_hints_come_before_the_page() {
    let server = Program::start("early_hints", &[ADDRESS]);
    let mut wire = server.connect();
    wire.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let links = [
        ("link".to_string(), "</style.css>; rel=preload; as=style".to_string()),
        ("link".to_string(), "</script.js>; rel=preload; as=script".to_string()),
    ];
    let hints = wire.head();
    let both = format!("{}, {}", links[0].1, links[1].1);
    assert_eq!((hints.status, &hints.fields[..]), (103, &[("link".to_string(), both)][..]));
    // What they name can be had while the page is not there yet.
    let mut other = server.connect();
    let style = other.ask("GET /style.css");
    assert_eq!((style.status, style.field("content-type")), (200, Some("text/css; charset=utf-8")));
    let script = other.ask("GET /script.js");
    assert_eq!(script.field("content-type"), Some("text/javascript; charset=utf-8"));
    let page = wire.answer(false);
    assert_eq!(page.status, 200);
    assert_eq!(page.fields[..2], links);
    assert!(page.text().contains("/style.css") && page.text().contains("/script.js"));
    assert_eq!(wire.ask("GET /other").status, 404);
    ends_well(server, [wire, other]);
}

#[test]
fn early_hints_are_not_sent_to_who_would_take_them_for_the_answer() {
    let server = Program::start("early_hints", &[ADDRESS]);
    let mut wire = server.connect();
    wire.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(wire.answer(false).status, 200);
    ends_well(server, [wire]);
}

#[test]
fn curl_shows_early_hints() {
    if !has("curl") {
        return;
    }
    let server = Program::start("early_hints", &[ADDRESS]);
    let shown = curl(&["-i", &server.url("/")]);
    let (hints, page) = shown.split_once("\r\n\r\n").expect("a head");
    assert!(hints.starts_with("HTTP/1.1 103 "), "{shown}");
    assert!(page.starts_with("HTTP/1.1 200 "), "{shown}");
    ends_well(server, []);
}

// ---- graceful_shutdown

/// A request in flight: it has come, but not all of its content.
fn request_in_flight(server: &mut Program) -> Wire {
    let mut busy = server.connect();
    busy.send("POST /work HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe");
    assert_eq!(server.line(), "POST /work: begins");
    busy
}

fn idle_connection(server: &mut Program) -> Wire {
    let mut idle = server.connect();
    let answer = idle.ask("GET /");
    assert_eq!((answer.text(), answer.field("connection")), ("done\n", Some("keep-alive")));
    assert_eq!(
        (server.line().as_str(), server.line().as_str()),
        ("GET /: begins", "GET /: answered")
    );
    idle
}

#[test]
fn graceful_shutdown_lets_requests_in_flight_finish() {
    let mut server = Program::start("graceful_shutdown", &[ADDRESS, "600"]);
    let mut idle = idle_connection(&mut server);
    let mut busy = request_in_flight(&mut server);

    server.signal("TERM");
    assert_eq!(
        server.line(),
        "SIGTERM: no new connections; requests in flight have 600s to finish"
    );
    assert_eq!(idle.rest(), b"", "the idle connection is closed");
    drop(idle);
    let refused = TcpStream::connect(("127.0.0.1", server.port));
    assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));

    busy.send("llo");
    let answer = busy.answer(false);
    assert_eq!((answer.text(), answer.field("connection")), ("done\n", Some("close")));
    assert_eq!(busy.rest(), b"");
    drop(busy);
    assert_eq!(server.wait().code(), Some(0));
    for line in
        ["POST /work: answered", "the last connection is closed", "nothing is left to wait for"]
    {
        assert_eq!(server.line(), line);
    }
}

/// The connection in flight is closed without an answer, and then nothing is left.
fn is_broken_off(mut server: Program, mut busy: Wire) {
    assert_eq!(busy.rest_or_reset(), b"");
    assert_eq!(server.wait().code(), Some(0));
    for line in
        ["POST /work: broken off", "the last connection is closed", "nothing is left to wait for"]
    {
        assert_eq!(server.line(), line);
    }
}

#[test]
fn graceful_shutdown_waits_for_as_long_as_it_is_told() {
    let mut server = Program::start("graceful_shutdown", &[ADDRESS, "0.2"]);
    let busy = request_in_flight(&mut server);
    server.signal("INT");
    assert_eq!(
        server.line(),
        "SIGINT: no new connections; requests in flight have 200ms to finish"
    );
    assert_eq!(server.line(), "the grace time is over: closing the connections that are left");
    is_broken_off(server, busy);
}

#[test]
fn graceful_shutdown_does_not_wait_after_a_second_signal() {
    let mut server = Program::start("graceful_shutdown", &[ADDRESS, "600"]);
    let busy = request_in_flight(&mut server);
    server.signal("TERM");
    assert!(server.line().starts_with("SIGTERM: no new connections"));
    server.signal("TERM");
    assert_eq!(server.line(), "SIGTERM: closing the connections that are left");
    is_broken_off(server, busy);
}
