//! The examples do what they say, run as the programs that they are.

mod program;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use program::{Program, Wire, run, text_of};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

/// One line of JSON from a program that ends with 0.
fn json(name: &str, arguments: &[&str]) -> Value {
    let text = text_of(&run(name, arguments), 0);
    let line = text.strip_suffix('\n').expect("it prints a line");
    assert!(!line.contains('\n'), "it prints one line: {line}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A server of raw bytes: each connection is read up to the end of a head, then answered with `bytes` and
/// closed.
fn canned(bytes: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut wire = Wire::over(stream);
            while !wire.line().is_empty() {}
            wire.send(bytes);
        }
    });
    port
}

/// A port that nobody listens on, and that nobody else is given meanwhile: bound, and no more.
struct DeadPort(Socket);

impl DeadPort {
    fn new() -> DeadPort {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is left");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any_port.into()).expect("a port is free");
        DeadPort(socket)
    }

    fn url(&self) -> String {
        let address = self.0.local_addr().expect("it is bound").as_socket();
        format!("http://{}/", address.expect("it is an IP address"))
    }
}

#[test]
fn hello_prints_the_scene_and_ends() {
    let output = text_of(&run("hello", &[]), 0);
    let lines: Vec<&str> = output.lines().collect();
    let place = |wanted: &str| {
        let found: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == wanted).collect();
        assert_eq!(found.len(), 1, "{wanted:?} once in {output}");
        found[0]
    };
    assert_eq!(lines.len(), 6, "{output}");
    assert!(
        lines[0].starts_with("Server is listening on port "),
        "{output}"
    );
    let head = [place("got the request"), place("POST"), place("/")];
    assert_eq!(head, [1, 2, 3], "{output}");
    // The answer is given before the content is there: which of the two is printed first is open.
    assert!(place("Hi i am client") > 3 && place("Hello from HTTP Server") > 3);
}

#[test]
fn server_and_client_talk() {
    let mut server = Program::start("server", &["127.0.0.1:0"]);
    for path in ["", "/", "/with?query"] {
        let output = text_of(&run("client", &[&server.url(path)]), 0);
        assert_eq!(output, "Hello from HTTP Server\n");
        let url = if path.is_empty() { "/" } else { path };
        for expected in ["got the request", "POST", url, "Hi i am client"] {
            assert_eq!(server.line(), expected);
        }
    }
}

#[test]
fn client_says_why_it_failed() {
    let output = run("client", &[&DeadPort::new().url()]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("ECONNREFUSED") && told.lines().count() == 1,
        "{told}"
    );
}

#[test]
fn server_says_why_it_cannot_listen() {
    let server = Program::start("server", &["127.0.0.1:0"]);
    let output = run("server", &[&format!("127.0.0.1:{}", server.port)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("EADDRINUSE"));
}

#[test]
fn fetch_tells_a_whole_response() {
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let port = canned(concat!(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 201 Created\r\nX-B: 1\r\nx-b: 2\r\nUtf: \u{e9}\r\nTransfer-Encoding: chunked\r\n\r\n",
        "2\r\nab\r\n1\r\nc\r\n0\r\nX-Sum: 6\r\n\r\n",
    ));
    let report = json("fetch", &[&format!("http://127.0.0.1:{port}/")]);
    assert_eq!(
        report,
        serde_json::json!({
            "status": 201,
            "headers": [["X-B", "1"], ["x-b", "2"], ["Utf", "\u{e9}"], ["Transfer-Encoding", "chunked"]],
            "body_len": 3,
            "body_sha256": ABC,
            "trailers": [["X-Sum", "6"]],
            "error": null,
        })
    );
}

#[test]
fn fetch_uses_the_method_it_is_told() {
    let testbed = Program::start("testbed", &["0"]);
    let report = json("fetch", &[&testbed.url("/bytes/5"), "HEAD"]);
    assert_eq!(
        (report["status"].as_u64(), report["body_len"].as_u64()),
        (Some(200), Some(0))
    );
    let report = json("fetch", &[&testbed.url("/"), "DELETE"]);
    assert_eq!(
        (report["status"].as_u64(), &report["error"]),
        (Some(405), &Value::Null)
    );
    let report = json("fetch", &[&testbed.url("/"), "POST"]);
    assert_eq!(
        (report["status"].as_u64(), &report["error"]),
        (Some(200), &Value::Null)
    );
}

#[test]
fn fetch_tells_what_failed_and_what_came_before() {
    let cut_off = canned("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let malformed = canned("HTTP/1.1 200 OK\nContent-Length: 3\n\nabc");
    let silent = canned("");
    let nobody = DeadPort::new();
    for (url, status, length) in [
        (format!("http://127.0.0.1:{cut_off}/"), Some(200), 3),
        (format!("http://127.0.0.1:{malformed}/"), None, 0),
        (format!("http://127.0.0.1:{silent}/"), None, 0),
        (nobody.url(), None, 0),
        (format!("http://{}.test/", "a".repeat(64)), None, 0),
        ("ftp://127.0.0.1/".to_string(), None, 0),
    ] {
        let report = json("fetch", &[&url]);
        assert!(report["error"].is_string(), "{url}: {report}");
        assert_eq!(report["status"].as_u64(), status, "{url}: {report}");
        assert_eq!(report["body_len"].as_u64(), Some(length), "{url}: {report}");
    }
}

#[test]
fn fetch_does_not_wait_for_ever() {
    let testbed = Program::start("testbed", &["0"]);
    let report = json("fetch", &[&testbed.url("/slow/600000")]);
    assert!(
        report["error"]
            .as_str()
            .is_some_and(|error| error.contains("5 s")),
        "{report}"
    );
}

#[test]
fn load_counts_what_it_did() {
    let testbed = Program::start("testbed", &["0"]);
    for (url, options, body) in [
        (testbed.url("/plaintext"), &[][..], 13),
        (testbed.url("/body"), &["--post", "1000"][..], 1000),
        (testbed.url("/plaintext"), &["--fresh"][..], 13),
        (testbed.url("/body"), &["--fresh", "--post", "0"][..], 0),
    ] {
        let arguments = [&[url.as_str(), "4", "0.3"][..], options].concat();
        let report = json("load", &arguments);
        let requests = report["requests"].as_u64().expect("a count");
        assert!(requests > 0, "{arguments:?}: {report}");
        assert_eq!(
            report["errors"].as_u64(),
            Some(0),
            "{arguments:?}: {report}"
        );
        // Of each connection's last request only a part of the body may have come.
        let bytes = report["bytes"].as_u64().expect("a count");
        assert!(
            (requests * body..=(requests + 4) * body).contains(&bytes),
            "{arguments:?}: {report}"
        );
        let seconds = report["seconds"].as_f64().expect("a time");
        let rate = report["rps"].as_f64().expect("a rate");
        assert!((rate * seconds - requests as f64).abs() < 1.0, "{report}");
        assert!(
            report["p50_us"].as_u64() <= report["p99_us"].as_u64(),
            "{report}"
        );
    }
}

#[test]
fn load_keeps_exactly_its_connections_busy() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let load = std::thread::spawn(move || json("load", &[&url, "3", "2"]));
    let mut wires: Vec<Wire> = Vec::new();
    for _ in 0..3 {
        wires.push(Wire::over(listener.accept().expect("it connects").0));
    }
    // One request at a time on each, the next one as soon as the answer is in.
    for _ in 0..5 {
        for wire in &mut wires {
            while !wire.line().is_empty() {}
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    }
    let report = load.join().expect("it ends");
    assert_eq!(
        (report["requests"].as_u64(), report["errors"].as_u64()),
        (Some(15), Some(0))
    );
    listener.set_nonblocking(true).expect("it can be");
    assert!(
        listener.accept().is_err(),
        "it has opened a fourth connection"
    );
}

#[test]
fn load_opens_a_connection_for_each_request_where_it_is_told_to() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let load = std::thread::spawn(move || json("load", &[&url, "1", "1", "--fresh"]));
    for _ in 0..3 {
        let mut wire = Wire::over(listener.accept().expect("it connects").0);
        let mut head = Vec::new();
        while head.last().is_none_or(|line: &String| !line.is_empty()) {
            head.push(wire.line());
        }
        assert!(head.contains(&"Connection: close".to_string()), "{head:?}");
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        // Whatever the server would allow, no second request comes here.
        assert_eq!(wire.rest(), b"");
    }
    // The fourth is in flight, or lost with the listener.
    drop(listener);
    assert_eq!(load.join().expect("it ends")["requests"].as_u64(), Some(3));
}

#[test]
fn load_counts_errors() {
    let testbed = Program::start("testbed", &["0"]);
    let report = json("load", &[&testbed.url("/inject?v=%01"), "2", "0.2"]);
    assert!(report["requests"].as_u64() > Some(0), "{report}");
    assert_eq!(report["requests"], report["errors"], "{report}");
    let report = json("load", &[&DeadPort::new().url(), "2", "0.2"]);
    assert_eq!(report["requests"].as_u64(), Some(0), "{report}");
    assert!(report["errors"].as_u64() > Some(0), "{report}");
}

#[test]
fn programs_say_how_they_are_used() {
    for (name, arguments) in [
        ("testbed", &[][..]),
        ("testbed", &["0", "--idle"][..]),
        ("fetch", &[][..]),
        ("load", &["http://127.0.0.1/", "0", "1"][..]),
        ("load", &["http://127.0.0.1/", "1", "1", "--put"][..]),
        ("proxy", &["0"][..]),
    ] {
        let output = run(name, arguments);
        assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with(&format!("usage: {name} ")), "{told}");
    }
}
