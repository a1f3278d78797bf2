//! Files that are not what they were, and disks that are full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use onloop::http::Server;

use crate::common::{Ending, Log, Peer, World, get};

/// More than sockets take by themselves.
const LARGE: usize = 30_000_000;

/// A place for a file of a test's own, removed in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onloop-faults-{}-{count}", std::process::id());
        Place(std::env::temp_dir().join(name))
    }

    fn with(content: &[u8]) -> Place {
        let place = Place::new();
        fs::write(&place.0, content).expect("a place for a file");
        place
    }

    /// A file of this length that takes no room.
    fn sparse(length: usize) -> Place {
        let place = Place::with(b"");
        let file = File::options().write(true).open(&place.0).expect("it is there");
        file.set_len(length as u64).expect("files can have holes");
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays behind does no harm.
        let _ = fs::remove_file(&self.0);
    }
}

/// Sends the file at `path` to each request, noting what becomes of it.
fn sending(world: &World, path: &Path) -> (Server, Log) {
    let (log, path) = (Log::new(), path.to_owned());
    let noted = log.clone();
    let server = world.serve(move |_, res| {
        noted.note_end_of(res);
        res.send_file(File::open(&path)?, ..)
    });
    (server, log)
}

/// Everything that is left of an answer of this length.
#[track_caller]
fn rest(world: &mut World, mut peer: Peer, length: usize) -> Vec<u8> {
    peer.read_on();
    world.until("the rest", || {
        peer.pump();
        peer.received.len() >= length
    });
    assert_eq!((peer.received.len(), peer.ending), (length, None));
    peer.received
}

#[test]
fn a_file_that_grows_is_sent_as_long_as_it_was() {
    let mut world = World::new();
    let place = Place::sparse(LARGE);
    let (server, log) = sending(&world, &place.0);
    let peer = world.stalled(&server);
    let mut file = File::options().append(true).open(&place.0).expect("it is there");
    file.write_all(&[b'x'; 100_000]).expect("there is room");
    assert!(rest(&mut world, peer, LARGE).iter().all(|byte| *byte == 0));
    world.until("the end", || log.has("close"));
    assert_eq!(log.all(), ["finish", "close"]);
}

#[test]
fn a_file_that_is_deleted_or_replaced_is_sent_as_it_was() {
    for replaced in [false, true] {
        let mut world = World::new();
        let place = Place::sparse(LARGE);
        let (server, log) = sending(&world, &place.0);
        let peer = world.stalled(&server);
        match replaced {
            true => {
                let other = Place::with(&vec![b'x'; LARGE]);
                fs::rename(&other.0, &place.0).expect("on one disk");
            }
            false => fs::remove_file(&place.0).expect("it is there"),
        }
        assert!(rest(&mut world, peer, LARGE).iter().all(|byte| *byte == 0));
        world.until("the end", || log.has("close"));
        assert_eq!(log.all(), ["finish", "close"]);
        // The next one gets what is there now.
        let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
        assert_eq!(world.until_end(&mut peer), Ending::End);
        let text = peer.text();
        assert!(
            text.starts_with(if replaced { "HTTP/1.1 200" } else { "HTTP/1.1 500" }),
            "{text:.40}"
        );
    }
}

#[test]
fn a_file_that_is_written_while_it_is_sent_keeps_its_frame() {
    let mut world = World::new();
    let place = Place::with(&vec![b'a'; LARGE]);
    let (server, log) = sending(&world, &place.0);
    let peer = world.stalled(&server);
    fs::File::options()
        .write(true)
        .open(&place.0)
        .and_then(|mut file| file.write_all(&vec![b'b'; LARGE]))
        .expect("it can be written");
    let received = rest(&mut world, peer, LARGE);
    assert!(received.iter().all(|byte| matches!(byte, b'a' | b'b')));
    world.until("the end", || log.has("close"));
    assert_eq!(log.all(), ["finish", "close"]);
}

/// A file that says it is longer than it is: what a disk that lost its end looks like. Those of `/sys` say 4096.
#[cfg(target_os = "linux")]
#[test]
fn a_file_with_less_in_it_than_it_says_ends_the_connection() {
    let path = Path::new("/sys/kernel/mm/transparent_hugepage/enabled");
    if !fs::metadata(path).is_ok_and(|found| found.len() == 4096) {
        println!("skipped: no file of /sys says more than it has");
        return;
    }
    let mut world = World::new();
    let (server, log) = sending(&world, path);
    let mut peer = world.send(&server, get("/", ""));
    world.until_end(&mut peer);
    assert!(peer.received.len() < 4096, "{}", peer.text());
    world.until("the end", || log.has("close"));
    assert_eq!(log.all(), ["error ERR_STREAM_PREMATURE_CLOSE", "close"]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_file_never_has_the_loop_wait() {
    let fifo = Place::new();
    let made = std::process::Command::new("mkfifo").arg(&fifo.0).status().expect("a program");
    assert!(made.success());
    let mut world = World::new();
    let log = Log::new();
    let (noted, fifo_path) = (log.clone(), fifo.0.clone());
    let server = world.serve(move |req, res| {
        let path = match req.url() {
            "/fifo" => fifo_path.to_str().expect("text").to_owned(),
            url => url.to_owned(),
        };
        // For both, so that `open` of a pipe does not wait for the other end.
        let writes = ["/fifo", "/dev/full"].contains(&req.url());
        let file = File::options().read(true).write(writes).open(path)?;
        let error = res.send_file(file, 0..10).expect_err("it is no file with content");
        noted.note(error.code());
        res.end(error.code());
        Ok(())
    });
    for (path, code) in [
        ("/fifo", "ERR_INVALID_ARG_VALUE"),
        ("/dev/full", "ERR_INVALID_ARG_VALUE"),
        ("/dev/zero", "ERR_INVALID_ARG_VALUE"),
        ("/dev/null", "ERR_INVALID_ARG_VALUE"),
        ("/proc", "ERR_INVALID_ARG_VALUE"),
        ("/proc/self/ns/net", "ERR_OUT_OF_RANGE"),
        // Regular by their words, and without a length.
        ("/proc/self/mem", "ERR_OUT_OF_RANGE"),
        ("/proc/self/status", "ERR_OUT_OF_RANGE"),
    ] {
        assert_eq!(world.ask(&server, get(path, "")).text(), code, "{path}");
    }
    drop(fifo);
}

#[test]
fn many_files_that_fail_at_a_time_leave_the_others_alone() {
    let mut world = World::new();
    let good = Place::sparse(LARGE / 10);
    let bad = Rc::new(Place::sparse(LARGE));
    let log = Log::new();
    let (noted, good_path, bad_file) = (log.clone(), good.0.clone(), Rc::clone(&bad));
    let server = world.serve(move |req, res| {
        noted.note_end_of(res);
        match req.url() {
            "/bad" => res.send_file(File::open(&bad_file.0)?, ..),
            _ => res.send_file(File::open(&good_path)?, ..),
        }
    });
    let mut peers = Vec::new();
    for _ in 0..10 {
        let mut peer = world.send(&server, get("/bad", ""));
        world.expect(&mut peer, "\r\n\r\n");
        peer.stop_reading();
        peers.push(peer);
    }
    for _ in 0..20 {
        world.turn();
    }
    File::options()
        .write(true)
        .open(&bad.0)
        .and_then(|file| file.set_len(0))
        .expect("it can be cut");
    assert_eq!(world.ask(&server, get("/good", "")).content.len(), LARGE / 10);
    for peer in &mut peers {
        peer.read_on();
        world.until_end(peer);
        assert!(peer.received.len() < LARGE);
    }
    world.until("the ends", || log.count("close") == 11);
    assert_eq!((log.count("error ERR_STREAM_PREMATURE_CLOSE"), log.count("finish")), (10, 1));
}
