//! 50 MB of a file to a slow reader, with a count of what the loop's thread holds meanwhile.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use super::*;
use crate::counting::{LIVE, PEAK};

/// Sends the file behind `first` and returns the most that was held, beyond what was before.
fn peak_of(file: &Rc<Stored>, first: &'static str) -> isize {
    let mut world = World::new();
    let shared = Rc::clone(file);
    let server = world.serve(move |_, res| {
        if !first.is_empty() {
            res.write(first);
        }
        res.send_file(shared.open(), ..)
    });
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    stream.write_all(get("/", "Connection: close\r\n").as_bytes()).expect("it is small");
    stream.set_nonblocking(true).expect("it can be");
    let mut buffer = vec![0; 100_000];
    PEAK.set(LIVE.get());
    let before = LIVE.get();
    let mut received = 0;
    loop {
        world.turn();
        // A slow reader: it lets a part lie.
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => received += count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
    }
    assert!(received > file.bytes().len());
    PEAK.get() - before
}

#[test]
fn fifty_megabytes_of_a_file_take_a_slice_of_memory() {
    let file = Rc::new(Stored::new(&pattern(50_000_000)));
    let most = if cfg!(target_os = "linux") { 64 * 1024 } else { 256 * 1024 };
    let sent = peak_of(&file, "");
    assert!(sent < most, "{sent} bytes where the system sends");
    let copied = peak_of(&file, "first");
    assert!(copied < 256 * 1024, "{copied} bytes where chunks are made");
    let sent = {
        file.forget();
        peak_of(&file, "")
    };
    assert!(sent < most, "{sent} bytes where the file comes from the disk");
}
