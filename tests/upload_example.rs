//! The example `upload`: what comes is on the disk, whole or not at all, and little of it in memory.

mod program;

use std::fs;

use program::others::{Scratch, curl, has};
use program::{Answer, Program, Wire};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn start(directory: &Scratch, bytes_max: &str) -> Program {
    let path = directory.0.to_str().expect("the path is text");
    Program::start("upload", &["127.0.0.1:0", path, bytes_max])
}

fn hash(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn summary(content: &[u8]) -> Value {
    json!({ "size": content.len(), "sha256": hash(content) })
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The files there, sorted.
fn files(directory: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(&directory.0).expect("it is there");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("names are text");
    let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

/// Uploads on a connection of its own and is answered.
fn upload(server: &Program, content: &[u8]) {
    let mut wire = server.connect();
    wire.send(format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", content.len()));
    wire.send(content);
    let answer = wire.answer(false);
    assert_eq!((answer.status, json_of(&answer)), (201, summary(content)));
}

const MARKER: &[u8] = b"five!";

/// What the server was sent before has come to the disk as well: the second upload reaches the server in a
/// later turn than all of that, and the disk works in one order.
fn settle(server: &Program) {
    upload(server, MARKER);
    upload(server, MARKER);
}

fn ends_well(mut server: Program) {
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn an_upload_is_a_file_named_by_its_hash() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "1000000");
    let contents = [b"abc".to_vec(), vec![7; 1_000_000], Vec::new()];
    for content in &contents {
        upload(&server, content);
        assert_eq!(&fs::read(directory.0.join(hash(content))).expect("it is there"), content);
    }
    // The same once more is the same file.
    upload(&server, b"abc");
    assert_eq!(files(&directory), sorted(contents.iter().map(|content| hash(content)).collect()));
    ends_well(server);
}

#[test]
fn chunked_uploads_in_tiny_pieces_are_whole() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "10000");
    let mut wire = server.connect();
    let content: Vec<u8> = (0..10_000).map(|place| (place % 251) as u8).collect();
    let mut request =
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for byte in &content {
        request.extend_from_slice(&[b'1', b'\r', b'\n', *byte, b'\r', b'\n']);
    }
    request.extend_from_slice(b"0\r\n\r\n");
    // Twice, and the second one waits behind the first.
    for _ in 0..2 {
        wire.send(&request);
    }
    for _ in 0..2 {
        let answer = wire.answer(false);
        assert_eq!((answer.status, json_of(&answer)), (201, summary(&content)));
    }
    drop(wire);
    ends_well(server);
}

#[test]
fn uploads_at_a_time_do_not_mix() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "1000000");
    let mut wires: Vec<(Wire, u8)> = (b'a'..=b'f').map(|fill| (server.connect(), fill)).collect();
    for (wire, _) in &mut wires {
        wire.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n");
    }
    for _ in 0..3 {
        for (wire, fill) in &mut wires {
            wire.send(vec![*fill; 100_000]);
        }
    }
    for (wire, fill) in &mut wires {
        assert_eq!(json_of(&wire.answer(false)), summary(&vec![*fill; 300_000]));
    }
    drop(wires);
    ends_well(server);
}

#[test]
fn an_upload_that_breaks_off_leaves_no_file() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "1000000");
    let begin = || {
        let mut wire = server.connect();
        wire.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf of it");
        wire
    };
    let (reset, ended) = (begin(), begin());
    settle(&server);
    assert_eq!(files(&directory).len(), 3, "two partial ones: {:?}", files(&directory));
    reset.reset();
    drop(ended);
    settle(&server);
    assert_eq!(files(&directory), [hash(MARKER)]);
    ends_well(server);
}

#[test]
fn an_upload_under_way_when_the_server_is_stopped_leaves_no_file() {
    let directory = Scratch::new("upload");
    let mut server = start(&directory, "1000000");
    let mut wire = server.connect();
    wire.send("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf of it");
    settle(&server);
    assert_eq!(files(&directory).len(), 2);
    let mut idle = server.connect();
    idle.ask("GET /");
    server.signal("TERM");
    // The first signal closes what is idle and waits for the upload.
    assert_eq!(idle.rest(), b"");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert_eq!(files(&directory), [hash(MARKER)]);
}

#[test]
fn too_large_an_upload_is_refused_and_leaves_no_file() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "5");
    // Before anything of it is sent, where it says how large it is.
    let mut wire = server.connect();
    let head = "PUT / HTTP/1.1\r\nHost: test\r\n";
    wire.send(format!("{head}Expect: 100-continue\r\nContent-Length: 6\r\n\r\n"));
    let answer = wire.answer(false);
    assert_eq!(answer.status, 413);
    assert!(json_of(&answer)["error"].is_string());
    // When there is too much, where it does not.
    let mut wire = server.connect();
    wire.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
    settle(&server);
    assert_eq!(files(&directory).len(), 2);
    wire.send("3\r\ndef\r\n");
    assert_eq!(wire.answer(false).status, 413);
    settle(&server);
    assert_eq!(files(&directory), [hash(MARKER)]);
    // The rest is of no interest, and the connection goes on.
    wire.send("3\r\nghi\r\n0\r\n\r\n");
    assert_eq!(wire.ask("GET /").status, 405);
    drop(wire);
    ends_well(server);
}

#[test]
fn files_come_by_post_or_put() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "5");
    let mut wire = server.connect();
    let answer = wire.ask("DELETE /file");
    assert_eq!((answer.status, answer.field("allow")), (405, Some("POST, PUT")));
    assert_eq!(wire.ask_with("POST /", "", "abc").status, 201);
    drop(wire);
    ends_well(server);
}

#[test]
fn a_disk_that_refuses_is_told_to_the_client() {
    let directory = Scratch::new("upload");
    let server = start(&directory, "1000000");
    fs::remove_dir_all(&directory.0).expect("it is ours");
    let mut wire = server.connect();
    for content in [&vec![1; 100_000][..], b""] {
        wire.send(format!(
            "PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            content.len()
        ));
        wire.send(content);
        let answer = wire.answer(false);
        assert_eq!(answer.status, 500);
        assert!(json_of(&answer)["error"].is_string());
    }
    fs::create_dir(&directory.0).expect("it is ours");
    upload(&server, b"again");
    assert_eq!(files(&directory), [hash(b"again")]);
    drop(wire);
    ends_well(server);
}

/// The hash of a debug build is far slower than a loopback connection.
#[test]
fn content_waits_at_the_client_while_the_disk_is_slow() {
    const BYTES: usize = 192 * 1024 * 1024;
    let directory = Scratch::new("upload");
    let server = start(&directory, "1000000000");
    let mut wire = server.connect();
    wire.send(format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {BYTES}\r\n\r\n"));
    let block = vec![b'x'; 1024 * 1024];
    for _ in 0..BYTES / block.len() {
        wire.send(&block);
    }
    let answer = wire.answer(false);
    assert_eq!((answer.status, json_of(&answer)["size"].as_u64()), (201, Some(BYTES as u64)));
    if let Some(peak) = server.peak_bytes() {
        assert!(peak < 16 * 1024 * 1024, "{peak} bytes of memory");
    }
    drop(wire);
    ends_well(server);
}

#[test]
fn curl_uploads_a_file() {
    if !has("curl") {
        return;
    }
    let directory = Scratch::new("upload");
    let (source, server) = (Scratch::new("source"), start(&directory, "10000000"));
    let content: Vec<u8> = (0..5_000_000).map(|place| (place % 251) as u8).collect();
    let path = source.write("large", &content);
    let answer = curl(&["-T", path.to_str().expect("the path is text"), &server.url("/large")]);
    let told: Value = serde_json::from_str(&answer).expect("it is JSON");
    assert_eq!(told, summary(&content));
    ends_well(server);
}
