//! `examples/proxy.rs` holds back whoever is faster: much content passes through it and it does not grow.

mod program;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use program::rig::{Rig, head_of};
use program::{PATIENCE, Program, Wire};
use sha2::{Digest, Sha256};

const SIZE: u64 = 50 * 1024 * 1024;
const BLOCK_BYTES: usize = 64 * 1024;

/// Block number `index` of content that repeats nowhere.
fn block(index: u64) -> Vec<u8> {
    let mut bytes = vec![0; BLOCK_BYTES];
    fastrand::Rng::with_seed(index).fill(&mut bytes);
    bytes
}

/// Sends all blocks, as fast as they are taken, and counts them; returns their hash.
fn send_all(mut wire: Wire, sent: Arc<AtomicU64>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut hash = Sha256::new();
        for index in 0..SIZE / BLOCK_BYTES as u64 {
            let block = block(index);
            hash.update(&block);
            wire.send(&block);
            sent.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
        hash.finalize().to_vec()
    })
}

/// Waits until the sender is stuck, because nobody reads what it sends.
fn wait_until_stuck(sent: &AtomicU64) {
    let (mut seen, mut same) = (0, 0);
    let deadline = Instant::now() + PATIENCE;
    while same < 20 {
        assert!(Instant::now() < deadline, "the sender never stops");
        thread::sleep(Duration::from_millis(10));
        let now = sent.load(Ordering::Relaxed);
        same = if now == seen && now > 0 { same + 1 } else { 0 };
        seen = now;
    }
    assert!(seen < SIZE, "nothing holds the sender back");
}

/// The process's own memory, in KiB. Only Linux tells.
fn memory_of(program: &Program) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).ok();
    let Some(status) = status else {
        // Past the test harness, which shows only what failing tests print.
        let _ = std::io::stderr().write_all(b"skipped: the proxy's memory: /proc not installed\n");
        return None;
    };
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// Passes 50 MB from one end to the other, whose reader does not begin before everything is stuck and then
/// stops again and again; returns by how many KiB the proxy grew at most.
fn pass_slowly(rig: &Rig, before: Option<u64>, from: Wire, to: &mut Wire, chunked: bool) -> u64 {
    let sent = Arc::new(AtomicU64::new(0));
    let sender = send_all(from, sent.clone());
    wait_until_stuck(&sent);
    let mut largest = memory_of(&rig.proxy);
    let mut hash = Sha256::new();
    let mut received = 0;
    while received < SIZE {
        let bytes = if chunked { to.chunk() } else { to.bytes(BLOCK_BYTES) };
        assert!(!bytes.is_empty(), "it ended after {received} bytes");
        hash.update(&bytes);
        let pauses = received / (SIZE / 8);
        received += bytes.len() as u64;
        if received / (SIZE / 8) != pauses {
            thread::sleep(Duration::from_millis(20));
            largest = largest.max(memory_of(&rig.proxy));
        }
    }
    let sent = sender.join().expect("all is sent");
    assert_eq!(hash.finalize().to_vec(), sent, "the content came out changed");
    largest.unwrap_or(0).saturating_sub(before.unwrap_or(0))
}

#[test]
fn fifty_megabytes_each_way_without_growing() {
    const GROWTH_MAX_KIB: u64 = 4096;
    let rig = Rig::new();
    // The first exchange takes what every exchange takes.
    let mut client = rig.proxy.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_eq!(client.answer(false).text(), "ok");
    let before = memory_of(&rig.proxy);

    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n"));
    head_of(&mut upstream);
    let grown = pass_slowly(&rig, before, client.second(), &mut upstream, false);
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB for the upload");

    upstream.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
    assert_eq!(client.head().status, 200);
    let grown = pass_slowly(&rig, before, upstream.second(), &mut client, false);
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB for the download");

    // Without a length the proxy has the work of making chunks.
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    head_of(&mut upstream);
    upstream.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    assert_eq!(client.head().field("transfer-encoding"), Some("chunked"));
    let grown = pass_slowly(&rig, before, upstream.second(), &mut client, true);
    assert!(grown < GROWTH_MAX_KIB, "grew by {grown} KiB for the chunked download");
    drop(upstream);
    assert_eq!(client.chunk(), b"");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let rig = Rig::new();
    let mut client = rig.proxy.connect();
    client.send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {SIZE}\r\n\r\n"));
    let mut upstream = rig.accept();
    head_of(&mut upstream);
    let sent = Arc::new(AtomicU64::new(0));
    let mut sender = client.second();
    let counted = sent.clone();
    let sending = thread::spawn(move || {
        let block = block(0);
        let length = block.len() as u64;
        // The proxy may close before it has everything.
        while sender.try_send(&block) && counted.fetch_add(length, Ordering::Relaxed) < SIZE {}
    });
    wait_until_stuck(&sent);
    upstream.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    let answer = client.answer(false);
    assert_eq!((answer.status, answer.text()), (413, "no"));
    // The upstream connection has lost its place in the stream and is not used again.
    upstream.rest_or_reset();
    drop(client);
    sending.join().expect("it ends");
}
