//! A disk that is full, under the examples that write to it and read from it: a file system of one MiB, mounted for
//! one program alone.

#![cfg(target_os = "linux")]

mod program;

use std::fs;
use std::process::Command;

use program::others::{Scratch, skip, tell_skipped};
use program::{Program, example};

/// Starts an example that sees a small file system at `directory`; `None` where nobody may mount one here.
fn start_on_small_disk(
    name: &str,
    directory: &Scratch,
    prepare: &str,
    rest: &str,
) -> Option<Program> {
    let path = directory.0.to_str().expect("the path is text");
    let mount = format!("mount -t tmpfs -o size=1m onloop {path}");
    let mut is_forbidden = true;
    for namespace in [&["-m"][..], &["-r", "-m"]] {
        let alone = Command::new("unshare").args(namespace).arg("true").output();
        is_forbidden &= alone.is_ok_and(|output| !output.status.success());
        let may = Command::new("unshare").args(namespace).args(["sh", "-c", &mount]).output();
        if !may.is_ok_and(|output| output.status.success()) {
            continue;
        }
        let script =
            format!("{mount} && cd {path} && {prepare} exec {} {rest}", example(name).display());
        return Some(Program::spawn(
            Command::new("unshare").args(namespace).args(["sh", "-c", &script]),
        ));
    }
    // A container without privileges is what it is; everywhere else the test has to be made.
    match is_forbidden {
        true => tell_skipped("nobody may mount a file system here"),
        false => skip("no file system can be mounted here"),
    }
    None
}

#[test]
fn an_upload_to_a_full_disk_is_answered_and_the_next_one_that_fits_is_kept() {
    let directory = Scratch::new("full-disk");
    let path = directory.0.to_str().expect("the path is text").to_owned();
    let Some(server) =
        start_on_small_disk("upload", &directory, "", &format!("127.0.0.1:0 {path} 100000000"))
    else {
        return;
    };
    for framing in ["Content-Length: 8000000", "Transfer-Encoding: chunked"] {
        let mut wire = server.connect();
        wire.send(format!("PUT / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n"));
        let block = vec![b'x'; 100_000];
        for _ in 0..80 {
            match framing.starts_with('C') {
                true => wire.send(&block),
                false => wire.send([b"186a0\r\n", &block[..], b"\r\n"].concat()),
            }
        }
        if !framing.starts_with('C') {
            wire.send("0\r\n\r\n");
        }
        let answer = wire.answer(false);
        assert_eq!(answer.status, 507, "{framing}: {answer:?}");
        assert!(String::from_utf8_lossy(&answer.body).contains("there is no room"));
        drop(wire);
        // What there was of it is gone, so there is room.
        let mut wire = server.connect();
        let answer = wire.ask_with("PUT /", "", &"y".repeat(500_000));
        assert_eq!(answer.status, 201, "{framing}: {answer:?}");
    }
    // Of this there is one file now, and a second does not fit.
    let mut wire = server.connect();
    let answer = wire.ask_with("PUT /", "", &"z".repeat(700_000));
    assert_eq!(answer.status, 507, "{answer:?}");
    let started = fs::read_dir(&directory.0).expect("it is there").count();
    assert_eq!(started, 0, "it was mounted for the program alone");
}

/// The same where nobody may mount anything: no file may be longer than a MiB.
#[test]
fn an_upload_beyond_what_may_be_written_is_answered_and_the_next_one_that_fits_is_kept() {
    let directory = Scratch::new("small-files");
    let path = directory.0.display();
    // Who does not ignore the signal that comes with it is ended by the system. In halves of a KiB.
    let script = format!(
        "trap '' XFSZ; ulimit -f 2048; exec {} 127.0.0.1:0 {path} 100000000",
        example("upload").display()
    );
    let server = Program::spawn(Command::new("sh").args(["-c", &script]));
    for (length, status) in [(2_000_000, 507), (1_048_577, 507), (1_048_576, 201), (5, 201)] {
        let mut wire = server.connect();
        let answer = wire.ask_with("PUT /", "", &"x".repeat(length));
        assert_eq!(answer.status, status, "{length}: {answer:?}");
    }
    drop(server);
    let mut lengths: Vec<u64> = fs::read_dir(&directory.0)
        .expect("it is there")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is a file").len())
        .collect();
    lengths.sort_unstable();
    assert_eq!(lengths, [5, 1_048_576], "what did not fit was left behind");
}

#[test]
fn files_of_a_full_disk_are_sent() {
    let directory = Scratch::new("full-disk");
    let path = directory.0.to_str().expect("the path is text").to_owned();
    // Half of it is one file, the other is zeros up to the last byte; and a file of holes takes no room.
    let prepare = "head -c 500000 /dev/zero | tr '\\0' 'x' >whole; truncate -s 8000000 holes; \
                   cat /dev/zero >filler 2>/dev/null; ";
    let rest = format!("{path} 127.0.0.1:0");
    let Some(server) = start_on_small_disk("static_files", &directory, prepare, &rest) else {
        return;
    };
    for (file, byte, length) in [("whole", b'x', 500_000), ("holes", 0, 8_000_000)] {
        let mut wire = server.connect();
        let answer = wire.ask(&format!("GET /{file}"));
        assert_eq!((answer.status, answer.body.len()), (200, length), "{file}");
        assert!(answer.body.iter().all(|found| *found == byte), "{file}");
    }
}
