//! The examples that are clients do what they say, run as the programs that they are against plain sockets.

mod program;

use std::net::TcpListener;
use std::process::Output;
use std::thread::{JoinHandle, spawn};

use program::others::Scratch;
use program::rig::head_of;
use program::{Program, Wire, run, text_of};
use serde_json::{Value, json};

/// A server on a thread: it plays its part once, and what it gives back is judged afterwards.
struct Played<T> {
    port: u16,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Played<T> {
    fn new(play: impl FnOnce(&TcpListener) -> T + Send + 'static) -> Played<T> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        Played { port, thread: spawn(move || play(&listener)) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn end(self) -> T {
        self.thread.join().expect("the server saw what it had to")
    }
}

fn accept(listener: &TcpListener) -> Wire {
    Wire::over(listener.accept().expect("the client connects").0)
}

/// Takes one request without content, answers it with these bytes and gives back its head.
fn answers(bytes: &'static str) -> Played<Vec<String>> {
    Played::new(move |listener| {
        let mut wire = accept(listener);
        let head = head_of(&mut wire);
        wire.send(bytes);
        head
    })
}

fn errors_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// It exits with 1, and says why on one line.
#[track_caller]
fn fails(name: &str, arguments: &[&str], reason: &str) {
    let output = run(name, arguments);
    let told = errors_of(&output);
    assert_eq!(output.status.code(), Some(1), "{name} {arguments:?}: {told}");
    let last = told.lines().last().unwrap_or_default();
    assert!(last.starts_with(&format!("{name}: ")) && last.contains(reason), "{name}: {told}");
}

/// A port that refuses, for as long as the listener's address is not given away again.
fn refusing_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let address: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&address.into()).expect("a port is free");
    let port = socket.local_addr().expect("bound").as_socket().expect("an address").port();
    (socket, port)
}

#[test]
fn every_client_says_how_it_is_used_and_why_it_fails() {
    let (_held, port) = refusing_port();
    let refusing = format!("http://127.0.0.1:{port}/");
    let scratch = Scratch::new("clients");
    let file = scratch.0.join("file").display().to_string();
    let clients = [("get", &[][..]), ("post_json", &[]), ("download", &[file.as_str()])];
    for (name, rest) in clients {
        for (url, reason) in [
            (refusing.as_str(), "ECONNREFUSED"),
            ("https://localhost/", "https is not supported"),
            ("localhost", "http://"),
        ] {
            let arguments: Vec<&str> = [url].iter().chain(rest).copied().collect();
            fails(name, &arguments, reason);
        }
    }
    assert_eq!(scratch.0.read_dir().expect("it is there").count(), 0, "nothing is left behind");
    for (name, arguments) in [
        ("get", &[][..]),
        ("get", &["-i"]),
        ("get", &["a", "b"]),
        ("get", &["http://a/", "--proxy"]),
        ("download", &[]),
        ("download", &["http://a/"]),
        ("download", &["http://a/", "file", "often"]),
        ("download", &["http://a/", "file", "5", "more"]),
    ] {
        let output = run(name, arguments);
        assert_eq!(output.status.code(), Some(2), "{name} {arguments:?}");
        assert!(errors_of(&output).starts_with(&format!("usage: {name} ")));
    }
}

// ---- get

const ANSWER: &str =
    "HTTP/1.1 203 Not Mine\r\nX-A: 1\r\nx-b:  two \r\nX-A: 3\r\nContent-Length: 6\r\n\r\n\0bytes";

#[test]
fn get_prints_the_content_and_nothing_else() {
    let server = answers(ANSWER);
    let output = run("get", &[&server.url("/a?b=c")]);
    assert_eq!(text_of(&output, 0), "\0bytes");
    assert_eq!(errors_of(&output), "HTTP/1.1 203 Not Mine\n");
    let port = server.port;
    let head = server.end();
    assert_eq!(head[0], "GET /a?b=c HTTP/1.1");
    assert!(head.contains(&format!("Host: 127.0.0.1:{port}")), "{head:?}");
}

#[test]
fn get_prints_the_head_where_it_is_told_to() {
    let server = answers(ANSWER);
    let output = run("get", &["-i", &server.url("/")]);
    let head = "HTTP/1.1 203 Not Mine\nX-A: 1\nx-b: two\nX-A: 3\nContent-Length: 6\n\n\0bytes";
    assert_eq!(text_of(&output, 0), head);
    assert_eq!(errors_of(&output), "");
    server.end();
}

#[test]
fn get_succeeds_with_any_status_and_any_framing() {
    for (answer, content) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "no"),
        (
            "HTTP/1.1 500 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "abcde",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nup to the end", "up to the end"),
        ("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", ""),
    ] {
        let server = answers(answer);
        assert_eq!(text_of(&run("get", &[&server.url("/")]), 0), content, "{answer}");
        server.end();
    }
}

#[test]
fn get_fails_where_not_all_of_the_answer_came() {
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "aborted"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "aborted"),
        ("HTTP/1.1 200 OK\r\nContent-Le", "hang up"),
        ("SSH-2.0-OpenSSH\r\n", ""),
    ] {
        let server = answers(answer);
        fails("get", &[&server.url("/")], reason);
        server.end();
    }
}

#[test]
fn get_ends_when_nobody_reads_its_output_any_more() {
    use std::process::Stdio;
    let server = Played::new(|listener| {
        let mut wire = accept(listener);
        head_of(&mut wire);
        wire.send("HTTP/1.1 200 OK\r\n\r\n");
        while wire.try_send([b'x'; 64 * 1024]) {}
    });
    let mut command = program::command("get");
    let child = command.arg(server.url("/")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it runs");
    drop(child.stdout.take());
    server.end();
    let output = child.wait_with_output().expect("it is our child");
    assert_eq!(output.status.code(), Some(1));
    assert!(errors_of(&output).contains("EPIPE"), "{output:?}");
}

/// `get`, with these variables and no other that tells of proxies.
fn get_by(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    program::finish(program::command("get").args(arguments).envs(variables.iter().copied()))
}

#[test]
fn get_goes_through_the_proxy_of_the_environment() {
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        let proxy = answers(ANSWER);
        let url = proxy.url("/").replace("http://", "http://user:secret@");
        let variables = [(name, url.as_str()), ("no_proxy", "b.test,127.0.0.1")];
        let output = get_by(&variables, &["http://a.test:8080/b?c"]);
        assert_eq!(text_of(&output, 0), "\0bytes", "{name}");
        let head = proxy.end();
        assert_eq!(head[0], "GET http://a.test:8080/b?c HTTP/1.1");
        for field in ["Host: a.test:8080", "Proxy-Authorization: Basic dXNlcjpzZWNyZXQ="] {
            assert!(head.contains(&field.to_string()), "{head:?}");
        }
        // What stands on the list does not.
        let server = answers(ANSWER);
        assert_eq!(text_of(&get_by(&variables, &[&server.url("/")]), 0), "\0bytes");
        let head = server.end();
        assert_eq!(head[0], "GET / HTTP/1.1");
        assert!(!head.iter().any(|line| line.starts_with("Proxy-")), "{head:?}");
    }
}

#[test]
fn get_goes_through_the_proxy_that_it_is_told_of() {
    let proxy = answers(ANSWER);
    let variables = [("http_proxy", "http://127.0.0.1:1/"), ("no_proxy", "*")];
    let output = get_by(&variables, &["--proxy", &proxy.url("/"), "http://a.test/"]);
    assert_eq!(text_of(&output, 0), "\0bytes");
    assert_eq!(proxy.end()[0], "GET http://a.test/ HTTP/1.1");

    let server = answers(ANSWER);
    let output =
        get_by(&[("http_proxy", "http://127.0.0.1:1/")], &["--proxy", "", &server.url("/")]);
    assert_eq!(text_of(&output, 0), "\0bytes");
    assert_eq!(server.end()[0], "GET / HTTP/1.1");
}

#[test]
fn get_fails_where_its_proxy_is_none() {
    let (_held, port) = refusing_port();
    let refusing = format!("http://127.0.0.1:{port}");
    for (proxy, reason) in [
        (refusing.as_str(), "ECONNREFUSED"),
        ("https://user:secret@p.test", "http_proxy: a proxy that is reached by https"),
        ("socks5://p.test", "http_proxy: only proxies that are reached by http"),
    ] {
        let output = get_by(&[("http_proxy", proxy)], &["http://a.test/"]);
        let told = errors_of(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.starts_with("get: ") && told.contains(reason), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

// ---- post_json

#[test]
fn post_json_posts_to_its_own_server_where_it_is_given_no_other() {
    let text = text_of(&run("post_json", &[]), 0);
    let (status, answer) = text.split_once('\n').expect("two parts");
    assert_eq!(status, "201 Created");
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    assert_eq!(answer, json!({ "customer": "Ada", "cents": 1120 }));
}

#[test]
fn post_json_sends_its_order_in_one_chunk() {
    let server = Played::new(|listener| {
        let mut wire = accept(listener);
        let head = head_of(&mut wire);
        let order = wire.chunk();
        assert_eq!(wire.chunk(), b"");
        assert_eq!(wire.line(), "");
        wire.send("HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 9\r\n\r\n{\"a\":[1]}");
        (head, order)
    });
    let printed = text_of(&run("post_json", &[&server.url("/orders")]), 0);
    assert_eq!(printed, "200 OK\n{\n  \"a\": [\n    1\n  ]\n}\n");
    let (head, order) = server.end();
    assert_eq!(head[0], "POST /orders HTTP/1.1");
    for field in ["Content-Type: application/json", "Transfer-Encoding: chunked"] {
        assert!(head.contains(&field.to_string()), "{head:?}");
    }
    let order: Value = serde_json::from_slice(&order).expect("JSON");
    assert_eq!(order["items"][1], json!({ "name": "cake", "count": 1, "cents": 420 }));
}

#[test]
fn post_json_understands_its_likes() {
    let server = Program::start("json_api", &["127.0.0.1:0"]);
    // A book has no customer, and an order no author: it is refused in JSON.
    let text = text_of(&run("post_json", &[&server.url("/books")]), 0);
    let (status, answer) = text.split_once('\n').expect("two parts");
    assert_eq!(status, "400 Bad Request");
    let answer: Value = serde_json::from_str(answer).expect("JSON");
    assert!(answer["error"].is_string());
}

#[test]
fn post_json_fails_where_no_json_comes_back() {
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "not application/json"),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
            "no JSON",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{}",
            "aborted",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 70000\r\n\r\n",
            "longer",
        ),
    ] {
        let server = Played::new(move |listener| {
            let mut wire = accept(listener);
            head_of(&mut wire);
            while !wire.chunk().is_empty() {}
            wire.line();
            wire.send(answer);
            if reason == "longer" {
                wire.try_send(vec![b' '; 70_000]);
            }
        });
        fails("post_json", &[&server.url("/")], reason);
        server.end();
    }
}

// ---- parallel_crawl

/// The lines that it printed, the last one without the time.
fn crawled(output: &Output) -> Vec<String> {
    let text = text_of(output, 0);
    let (text, seconds) = text.trim_end().rsplit_once(", ").expect("it ends with the time");
    assert!(seconds.ends_with(" s"), "{seconds}");
    text.lines().map(str::to_string).collect()
}

#[test]
fn parallel_crawl_crawls_a_site_of_its_own() {
    let lines = crawled(&run("parallel_crawl", &[]));
    assert_eq!(&lines[..3], ["200 100", "302 1", "404 1"]);
    assert!(lines[3].starts_with("ECONNRESET SentNoReply http://127.0.0.1:"), "{}", lines[3]);
    assert!(lines[3].contains("/broken: "), "{}", lines[3]);
    // The one that broke off was replaced.
    let (answers, rest) = lines[4].split_once(", ").expect("some numbers");
    assert_eq!(answers, "102 answers");
    let connections = rest.rsplit(", ").next().and_then(|text| text.strip_suffix(" connections"));
    let connections: u32 = connections.and_then(|count| count.parse().ok()).expect("a number");
    assert!((2..=9).contains(&connections), "{connections}");
}

/// A server of these files.
fn site(files: &[(&str, &str)]) -> (Scratch, Program) {
    let scratch = Scratch::new("site");
    for (name, content) in files {
        let path = scratch.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        std::fs::write(path, content).expect("it can be written");
    }
    let directory = scratch.0.display().to_string();
    let server = Program::start("static_files", &[&directory, "127.0.0.1:0"]);
    (scratch, server)
}

#[test]
fn parallel_crawl_follows_links_of_every_form_once() {
    const INDEX: &str = r#"<a href="a/one.html">1</a> <A HREF = 'a/one.html#there'>again</A>
        <a href="./a/../a/two.html">2</a> <a href="/three.html?x=1&amp;y=2">3</a> <a href="?">self</a>
        <a href="mailto:me@a.test">me</a> <a href="javascript:f()">f</a> <a href="https://a.test/">s</a>
        <a href="//other.test/">other</a> <a href="http://other.test:1/">other</a> <a href=bare.html>no</a>
        <a href="style.css">not a page</a> <a href="gone.html">gone</a> <a href="endless.html"#;
    let (_scratch, server) = site(&[
        ("index.html", INDEX),
        ("a/one.html", "<a href='two.html'>2</a><a href='../../../four.html'>4</a>"),
        ("a/two.html", "<a href=\"#here\">here</a><a href=\"\">this</a><a href='..'>up</a>"),
        ("three.html", ""),
        ("four.html", ""),
        ("style.css", "/* href='never.html' */"),
        ("never.html", ""),
        ("bare.html", ""),
    ]);
    let output = run("parallel_crawl", &[&server.url("")]);
    let lines = crawled(&output);
    // The index, also as `/?`; one, two, three, four, the style sheet; and what is not there.
    assert_eq!(&lines[..2], ["200 7", "404 1"], "{lines:?}");
    assert!(lines[2].starts_with("8 answers, 0 errors, "), "{lines:?}");
    assert_eq!(errors_of(&output), "");
}

#[test]
fn parallel_crawl_stops_at_so_many_pages() {
    let links: String = (0..50).map(|page| format!("<a href='{page}.html'>{page}</a>")).collect();
    let (_scratch, server) = site(&[("index.html", &links)]);
    let lines = crawled(&run("parallel_crawl", &[&server.url("/"), "20"]));
    assert_eq!(&lines[..2], ["200 1", "404 19"], "{lines:?}");
}

#[test]
fn parallel_crawl_takes_a_list_and_tells_what_failed() {
    let (scratch, server) = site(&[("index.html", "<a href='more.html'>more</a>")]);
    let (_held, port) = refusing_port();
    let list = scratch.0.join("list");
    let refusing = format!("http://127.0.0.1:{port}/");
    let urls = [server.url("/"), server.url("/x"), refusing.clone(), "https://a.test/".to_string()];
    std::fs::write(&list, urls.join("\n \n")).expect("it can be written");
    let lines = crawled(&run("parallel_crawl", &["--list", &list.display().to_string()]));
    assert_eq!(&lines[..2], ["200 1", "404 1"], "{lines:?}");
    let failed = &lines[2..4];
    assert!(failed[0].starts_with("ERR_INVALID_PROTOCOL - https://a.test/: "), "{failed:?}");
    let refused = format!("ECONNREFUSED NothingSent {refusing}: ");
    assert!(failed[1].starts_with(&refused), "{failed:?}");
    assert!(lines[4].starts_with("2 answers, 2 errors, "), "{lines:?}");

    // Without any answer it has failed.
    let output = run("parallel_crawl", &[&refusing]);
    assert_eq!(output.status.code(), Some(1));
    fails("parallel_crawl", &["--list", "/nowhere/at/all"], "No such file");
    for arguments in [&["--lists", "x"][..], &["http://a/", "0"], &["http://a/", "1", "2"]] {
        assert_eq!(run("parallel_crawl", arguments).status.code(), Some(2), "{arguments:?}");
    }
}
