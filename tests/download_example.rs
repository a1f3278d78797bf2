//! `download` as a program, against servers that break off, that know no ranges, and whose files change.

mod program;

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Output;
use std::thread::{JoinHandle, spawn};

use program::others::Scratch;
use program::rig::head_of;
use program::{Program, Wire, run, text_of};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A file that shows where a piece is missing or doubled: it repeats itself after a prime number of bytes.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn sha256_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a client asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    range: Option<String>,
    if_range: Option<String>,
}

impl Asked {
    fn whole() -> Asked {
        Asked { range: None, if_range: None }
    }

    fn rest(from: usize, validator: &str) -> Asked {
        Asked { range: Some(format!("bytes={from}-")), if_range: Some(validator.to_string()) }
    }

    /// The place from where on the file is asked for.
    fn from(&self) -> usize {
        let range = self.range.as_deref().expect("a range is asked for");
        let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
        from.and_then(|from| from.parse().ok()).unwrap_or_else(|| panic!("{range:?}"))
    }
}

/// The next connection, and what is asked for on it.
fn accept(listener: &TcpListener) -> (Wire, Asked) {
    let mut wire = Wire::over(listener.accept().expect("the client connects").0);
    let head = head_of(&mut wire);
    assert_eq!(head[0], "GET /file HTTP/1.1");
    assert!(head.contains(&"Accept-Encoding: identity".to_string()), "{head:?}");
    let field = |name| head.iter().find_map(|line| line.strip_prefix(name)).map(str::to_string);
    (wire, Asked { range: field("Range: "), if_range: field("If-Range: ") })
}

/// A server on a thread that plays its part and says what it was asked.
struct Server<T> {
    url: String,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Server<T> {
    fn new(play: impl FnOnce(&TcpListener) -> T + Send + 'static) -> Server<T> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/file", listener.local_addr().expect("it is bound"));
        Server { url, thread: spawn(move || play(&listener)) }
    }

    fn end(self) -> T {
        self.thread.join().expect("the server saw what it had to")
    }
}

/// Answers the next request with a head and content, and then ends the connection.
fn answer(listener: &TcpListener, head: &str, content: &[u8]) -> Asked {
    let (mut wire, asked) = accept(listener);
    wire.send(format!("HTTP/1.1 {head}\r\n\r\n"));
    wire.try_send(content); // a client that does not want it is gone
    asked
}

fn whole(file: &[u8], fields: &str) -> String {
    format!("200 OK\r\n{fields}\r\nContent-Length: {}", file.len())
}

/// The head of a part from one place up to another, that one not included.
fn part(file: &[u8], from: usize, to: usize, fields: &str) -> String {
    let (size, length) = (file.len(), to - from);
    format!(
        "206 Partial Content\r\n{fields}\r\nContent-Range: bytes {from}-{}/{size}\r\nContent-Length: {length}",
        to - 1
    )
}

const A: &str = "ETag: \"a\"";

/// Where a file is downloaded to.
struct Place {
    scratch: Scratch,
}

impl Place {
    fn new() -> Place {
        Place { scratch: Scratch::new("download") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.0.join(name)
    }

    fn download(&self, url: &str, retries: u32) -> Output {
        let file = self.path("file").display().to_string();
        run("download", &[url, &file, &retries.to_string()])
    }

    /// What another run has left.
    fn leave(&self, url: &str, part: &[u8], validator: Value) {
        self.scratch.write("file.part", part);
        let meta = json!({ "url": url, "validator": validator }).to_string();
        self.scratch.write("file.part.meta", meta.as_bytes());
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.scratch.0).expect("it is there");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
        names.sort();
        names
    }

    /// The file is there, its hash is printed, and nothing else is left.
    #[track_caller]
    fn has(&self, output: &Output, file: &[u8]) {
        let path = self.path("file");
        assert_eq!(text_of(output, 0), format!("{}  {}\n", sha256_of(file), path.display()));
        assert!(fs::read(path).expect("it is there") == file, "other bytes");
        assert_eq!(self.names(), ["file"]);
    }

    /// It failed, and said why.
    #[track_caller]
    fn has_not(&self, output: &Output, reason: &str) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        let last = told.lines().last().unwrap_or_default();
        assert!(last.starts_with("download: ") && last.contains(reason), "{told}");
        assert!(!self.path("file").exists());
    }
}

#[test]
fn a_file_is_downloaded_whatever_its_framing_and_size() {
    for length in [0, 1, 3_000_000] {
        for head in ["Content-Length: ", "X-Length: "] {
            let server = Server::new(move |listener| {
                let head = format!("200 OK\r\n{head}{length}");
                answer(listener, &head, &content(length))
            });
            let place = Place::new();
            place.has(&place.download(&server.url, 0), &content(length));
            assert_eq!(server.end(), Asked::whole());
        }
    }
}

#[test]
fn a_file_that_was_there_is_replaced_when_all_of_the_new_one_is() {
    let place = Place::new();
    place.scratch.write("file", b"old");
    let server = Server::new(|listener| {
        answer(listener, &whole(b"newer", A), b"new");
        answer(listener, &part(b"newer", 3, 5, A), b"er")
    });
    let output = place.download(&server.url, 0);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(place.path("file")).expect("it is there"), b"old");
    place.has(&place.download(&server.url, 0), b"newer");
    assert_eq!(server.end(), Asked::rest(3, "\"a\""));
}

#[test]
fn it_goes_on_where_a_connection_died() {
    let file = content(500_000);
    let sent = file.clone();
    let server = Server::new(move |listener| {
        let first = answer(listener, &whole(&sent, A), &sent[..100_000]);
        // The next connection is reset, so how much of it arrives is not known.
        let (mut wire, second) = accept(listener);
        let from = second.from();
        let head = part(&sent, from, sent.len(), A);
        wire.send(format!("HTTP/1.1 {head}\r\n\r\n"));
        wire.send(&sent[from..][..100_000]);
        wire.reset();
        let (mut wire, third) = accept(listener);
        let from = third.from();
        assert!((100_000..=200_000).contains(&from), "{from}");
        let head = part(&sent, from, sent.len(), A);
        wire.send(format!("HTTP/1.1 {head}\r\n\r\n"));
        wire.send(&sent[from..]);
        (first, second, third.if_range)
    });
    let place = Place::new();
    let output = place.download(&server.url, 2);
    place.has(&output, &file);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("going on at byte ").count(), 2, "{told}");
    assert!(told.contains("going on at byte 100000 in 100ms"), "{told}");
    let (first, second, third) = server.end();
    assert_eq!((first, second), (Asked::whole(), Asked::rest(100_000, "\"a\"")));
    assert_eq!(third.as_deref(), Some("\"a\""));
}

#[test]
fn it_gives_up_after_so_many_tries_and_the_next_run_goes_on() {
    let file = content(1000);
    let sent = file.clone();
    let server = Server::new(move |listener| {
        answer(listener, &whole(&sent, A), &sent[..300]);
        answer(listener, &part(&sent, 300, 1000, A), &sent[300..301]);
        answer(listener, &part(&sent, 301, 1000, A), &sent[301..])
    });
    let place = Place::new();
    place.has_not(&place.download(&server.url, 1), "aborted");
    assert_eq!(place.names(), ["file.part", "file.part.meta"]);
    place.has(&place.download(&server.url, 0), &file);
    assert_eq!(server.end(), Asked::rest(301, "\"a\""));
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_of_it_again() {
    let file = content(1000);
    let sent = file.clone();
    let server = Server::new(move |listener| {
        answer(listener, &whole(&sent, A), &sent[..300]);
        answer(listener, &whole(&sent, A), &sent)
    });
    let place = Place::new();
    place.has(&place.download(&server.url, 1), &file);
    assert_eq!(server.end(), Asked::rest(300, "\"a\""));
}

#[test]
fn a_file_that_has_changed_is_downloaded_from_its_beginning() {
    let (old, new) = (content(1000), vec![b'n'; 700]);
    let sent = new.clone();
    let server = Server::new(move |listener| {
        answer(listener, &whole(&old, A), &old[..300]);
        answer(listener, &whole(&sent, "ETag: \"b\""), &sent[..600]);
        answer(listener, &part(&sent, 600, 700, "ETag: \"b\""), &sent[600..])
    });
    let place = Place::new();
    place.has(&place.download(&server.url, 2), &new);
    assert_eq!(server.end(), Asked::rest(600, "\"b\""));
}

#[test]
fn a_part_of_a_changed_file_is_not_taken_for_the_rest() {
    let new = vec![b'n'; 700];
    let sent = new.clone();
    let server = Server::new(move |listener| {
        // `If-Range` means nothing to it.
        let asked = answer(listener, &part(&sent, 300, 700, "ETag: \"b\""), &sent[300..]);
        (asked, answer(listener, &whole(&sent, "ETag: \"b\""), &sent))
    });
    let place = Place::new();
    place.leave(&server.url, &content(300), json!("\"a\""));
    place.has(&place.download(&server.url, 1), &new);
    assert_eq!(server.end(), (Asked::rest(300, "\"a\""), Asked::whole()));
}

#[test]
fn what_is_complete_already_is_not_downloaded_again() {
    let file = content(1000);
    let server = Server::new(|listener| {
        let head = "416 Range Not Satisfiable\r\nContent-Range: bytes */1000\r\nContent-Length: 4";
        answer(listener, head, b"none")
    });
    let place = Place::new();
    place.leave(&server.url, &file, json!("\"a\""));
    place.has(&place.download(&server.url, 0), &file);
    assert_eq!(server.end(), Asked::rest(1000, "\"a\""));
}

#[test]
fn a_part_that_is_longer_than_the_file_is_thrown_away() {
    let file = content(800);
    let sent = file.clone();
    let server = Server::new(move |listener| {
        let head = "416 Range Not Satisfiable\r\nContent-Range: bytes */800\r\nContent-Length: 0";
        answer(listener, head, b"");
        answer(listener, &whole(&sent, A), &sent)
    });
    let place = Place::new();
    place.leave(&server.url, &content(1000), json!("\"a\""));
    place.has(&place.download(&server.url, 1), &file);
    assert_eq!(server.end(), Asked::whole());
}

#[test]
fn a_server_may_send_less_than_the_rest() {
    let file = content(1000);
    let sent = file.clone();
    let server = Server::new(move |listener| {
        [(100, 400), (400, 401), (401, 1000)].map(|(from, to)| {
            answer(listener, &part(&sent, from, to, A), &sent[from..to])
                == Asked::rest(from, "\"a\"")
        })
    });
    let place = Place::new();
    place.leave(&server.url, &file[..100], json!("\"a\""));
    place.has(&place.download(&server.url, 0), &file);
    assert_eq!(server.end(), [true; 3]);
}

#[test]
fn a_date_tells_states_apart_only_where_it_is_old_enough() {
    const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:38 GMT";
    const OLD: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (modified, asked) in [
        (OLD, Asked::rest(300, OLD)),
        ("Sun, 06 Nov 1994 08:49:38 GMT", Asked::whole()),
        ("Sun, 06 Nov 1994 08:49:39 GMT", Asked::whole()),
        ("yesterday", Asked::whole()),
    ] {
        let file = content(1000);
        let sent = file.clone();
        let server = Server::new(move |listener| {
            // A weak tag does not tell two states apart that are nearly the same.
            let fields = format!("{DATE}\r\nLast-Modified: {modified}\r\nETag: W/\"a\"");
            answer(listener, &whole(&sent, &fields), &sent[..300]);
            let (mut wire, asked) = accept(listener);
            let head = match asked.range {
                Some(_) => part(&sent, 300, 1000, &fields),
                None => whole(&sent, &fields),
            };
            wire.send(format!("HTTP/1.1 {head}\r\n\r\n"));
            wire.send(&sent[if asked.range.is_some() { 300 } else { 0 }..]);
            asked
        });
        let place = Place::new();
        place.has(&place.download(&server.url, 1), &file);
        assert_eq!(server.end(), asked, "{modified}");
    }
}

#[test]
fn parts_that_nobody_can_go_on_with_are_not_gone_on_with() {
    let file = content(1000);
    for (url, meta) in [("http://elsewhere/file", json!("\"a\"")), ("", json!(null))] {
        let sent = file.clone();
        let server = Server::new(move |listener| answer(listener, &whole(&sent, A), &sent));
        let place = Place::new();
        place.leave(if url.is_empty() { &server.url } else { url }, b"something else", meta);
        place.has(&place.download(&server.url, 0), &file);
        assert_eq!(server.end(), Asked::whole());
    }
    for meta in ["", "{", "[]", "{\"url\":1}"] {
        let sent = file.clone();
        let server = Server::new(move |listener| answer(listener, &whole(&sent, A), &sent));
        let place = Place::new();
        place.leave(&server.url, b"something else", json!(null));
        place.scratch.write("file.part.meta", meta.as_bytes());
        place.has(&place.download(&server.url, 0), &file);
        assert_eq!(server.end(), Asked::whole());
    }
}

#[test]
fn a_part_of_something_else_is_not_completed_by_what_nobody_asked_for() {
    let server = Server::new(|listener| answer(listener, &part(b"abcdef", 3, 6, A), b"def"));
    let place = Place::new();
    place.leave("http://elsewhere/file", b"xyz", json!("\"a\""));
    place.has_not(&place.download(&server.url, 0), "not asked for");
    assert_eq!(server.end(), Asked::whole());
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn answers_that_are_not_the_rest_are_refused_and_the_part_is_kept() {
    const LENGTH: &str = "Content-Length: 700";
    for (head, reason) in [
        ("206 Partial Content\r\nContent-Range: bytes 299-998/1000", "not asked for"),
        ("206 Partial Content\r\nContent-Range: bytes 301-1000/2000", "not asked for"),
        ("206 Partial Content\r\nContent-Range: bytes 0-699/1000", "not asked for"),
        ("206 Partial Content\r\nContent-Range: bytes 300-999/999", "did not say which"),
        ("206 Partial Content\r\nContent-Range: bytes 300-299/1000", "did not say which"),
        ("206 Partial Content\r\nContent-Range: bytes */1000", "did not say which"),
        ("206 Partial Content\r\nContent-Range: lines 300-999/1000", "did not say which"),
        ("206 Partial Content\r\nContent-Range: bytes +300-999/1000", "did not say which"),
        (
            "206 Partial Content\r\nContent-Range: bytes 300-18446744073709551615/*",
            "did not say which",
        ),
        (
            "206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=x",
            "did not say which",
        ),
        ("206 Partial Content\r\nContent-Range: bytes 300-899/1000", "more than it said"),
        ("206 Partial Content\r\nContent-Range: bytes 300-1099/1100", "less than it said"),
        ("404 Not Found", "404 Not Found"),
        ("302 Found\r\nLocation: /other", "302 Found"),
        ("503 Service Unavailable", "503 Service Unavailable"),
    ] {
        let server = Server::new(move |listener| {
            answer(listener, &format!("{head}\r\n{LENGTH}"), &content(700));
        });
        let place = Place::new();
        place.leave(&server.url, &content(300), json!("\"a\""));
        place.has_not(&place.download(&server.url, 5), reason);
        assert_eq!(place.names(), ["file.part", "file.part.meta"], "{head}");
        let kept = fs::read(place.path("file.part")).expect("it is there");
        assert!(kept.starts_with(&content(300)), "{head}");
        server.end();
    }
}

#[test]
fn what_fails_at_once_leaves_nothing_behind() {
    for (head, reason) in [
        ("404 Not Found\r\nContent-Length: 3", "404 Not Found"),
        ("416 Range Not Satisfiable\r\nContent-Range: bytes */3\r\nContent-Length: 3", "416"),
        ("206 Partial Content\r\nContent-Range: bytes 0-2/3\r\nContent-Length: 3", "not asked for"),
    ] {
        let server = Server::new(move |listener| answer(listener, head, b"abc"));
        let place = Place::new();
        place.has_not(&place.download(&server.url, 5), reason);
        assert_eq!(place.names(), [""; 0], "{head}");
        server.end();
    }
    let place = Place::new();
    let server = Server::new(|listener| answer(listener, &whole(b"abc", A), b"abc"));
    fs::create_dir(place.path("file")).expect("it can be made");
    let output = place.download(&server.url, 0);
    assert_eq!(output.status.code(), Some(1));
    server.end();
}

#[test]
fn it_goes_on_with_a_file_of_static_files() {
    let site = Scratch::new("download-site");
    let file = content(2_000_000);
    site.write("file", &file);
    let directory = site.0.display().to_string();
    let server = Program::start("static_files", &[&directory, "127.0.0.1:0"]);
    let url = server.url("/file");
    let head = server.connect().ask("HEAD /file");
    let place = Place::new();
    place.leave(&url, &file[..1_234_567], json!(head.field("etag").expect("it has one")));
    place.has(&place.download(&url, 0), &file);
}
