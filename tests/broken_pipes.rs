//! SIGPIPE ends a program that does not ignore it, and a host whose `main` is not Rust's does not. Here it is
//! caught instead of ignored, so it shows whether a write to a connection that is gone raises it.
//!
//! In a test program of its own: signals belong to the whole process.

#![cfg(target_os = "linux")]

mod common;

use std::cell::RefCell;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Log, World, get};
use onloop::Address;
use onloop::http::{self, Response};

/// One test at a time: the signal does not tell which one it was for.
static ALONE: Mutex<()> = Mutex::new(());

/// Notes SIGPIPE from now on.
fn noticed() -> Arc<AtomicBool> {
    let raised = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGPIPE, Arc::clone(&raised))
        .expect("it can be caught");
    raised
}

/// What a client does to make the next write fail with EPIPE: it ends its side, which is a half-close, and is
/// gone then. (After a reset alone the first write says ECONNRESET, and raises nothing.)
trait Client {
    fn leave(self);
}

impl Client for TcpStream {
    fn leave(self) {
        self.shutdown(Shutdown::Write).expect("it is connected");
        socket2::SockRef::from(&self).set_linger(Some(Duration::ZERO)).expect("a live socket");
    }
}

impl Client for UnixStream {
    fn leave(self) {}
}

/// Has a client ask and leave while its handler runs, which then answers by `answer`. Whether SIGPIPE was raised,
/// and what the exchange was told.
fn leave_before<C: Client + 'static>(
    connect: impl FnOnce(&World, &http::Server) -> C,
    answer: impl Fn(Response) -> onloop::Result<()> + 'static,
) -> (bool, Vec<String>) {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let raised = noticed();
    let mut world = World::new();
    let log = Log::new();
    let client: Rc<RefCell<Option<C>>> = Rc::default();
    let (noted, leaving) = (log.clone(), Rc::clone(&client));
    let server = world.serve(move |_, res| {
        res.on_error(noted.noting_error("error"));
        res.on_close(noted.noting("close"));
        leaving.take().expect("one request").leave();
        answer(res)
    });
    *client.borrow_mut() = Some(connect(&world, &server));
    world.until("the end of the exchange", || log.has("close"));
    server.close();
    world.until_over();
    assert_eq!(log.count("close"), 1);
    (raised.load(Ordering::SeqCst), log.all())
}

fn by_tcp(_: &World, server: &http::Server) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
    stream.write_all(get("/", "").as_bytes()).expect("it is small");
    stream
}

fn by_unix(_: &World, server: &http::Server) -> UnixStream {
    let path = std::env::temp_dir().join(format!("onloop-pipes-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    server.listen(Address::Unix(path.clone())).expect("a path that nobody has");
    let mut stream = UnixStream::connect(&path).expect("it listens");
    stream.write_all(get("/", "").as_bytes()).expect("it is small");
    stream
}

/// Longer than what is copied behind the head: two slices, and one vectored write.
fn shared_content() -> Bytes {
    Bytes::from(vec![b'x'; 100_000])
}

#[test]
fn a_short_answer_raises_no_signal() {
    let (raised, told) = leave_before(by_tcp, |res| {
        res.end("hello");
        Ok(())
    });
    assert!(!raised, "{told:?}");
    let (raised, told) = leave_before(by_unix, |res| {
        res.end("hello");
        Ok(())
    });
    assert!(!raised, "{told:?}");
}

#[test]
fn an_answer_in_several_slices_raises_no_signal() {
    let (raised, told) = leave_before(by_tcp, |res| {
        res.end(shared_content());
        Ok(())
    });
    assert!(!raised, "{told:?}");
    let (raised, told) = leave_before(by_unix, |res| {
        res.end(shared_content());
        Ok(())
    });
    assert!(!raised, "{told:?}");
}

#[test]
fn content_of_a_pipe_raises_no_signal() {
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let raised = noticed();
    let mut world = World::new();
    let lp = world.lp;
    let upstream = world.serve(|_, res| res.end(vec![b'x'; 40_000]));
    let url = common::url_of(&upstream);
    let log = Log::new();
    let client: Rc<RefCell<Option<TcpStream>>> = Rc::default();
    let (noted, shared) = (log.clone(), Rc::clone(&client));
    let proxy = world.serve(move |_, res| {
        res.on_close(noted.noting("close"));
        let up = http::get(lp, &url, {
            let leaving = Rc::clone(&shared);
            move |response| {
                leaving.take().expect("one request").leave();
                response.pipe(res);
            }
        })?;
        up.on_error(|_| {});
        onloop::Result::Ok(())
    });
    *client.borrow_mut() = Some(by_tcp(&world, &proxy));
    world.until("the end of the exchange", || log.has("close"));
    assert!(!raised.load(Ordering::SeqCst));
}

#[test]
fn a_file_to_a_client_that_is_gone_ends_the_exchange() {
    // Whether `sendfile` raises the signal is the system's affair, as `send_file` says: nothing tells it not to.
    let _alone = ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let _raised = noticed();
    let path = std::env::temp_dir().join(format!("onloop-pipes-file-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; 1_000_000]).expect("a place for a file");
    let file = std::fs::File::open(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was written");
    let mut world = World::new();
    let log = Log::new();
    let client: Rc<RefCell<Option<TcpStream>>> = Rc::default();
    let (lp, noted, shared) = (world.lp, log.clone(), Rc::clone(&client));
    let server = world.serve(move |_, res| {
        res.on_error(noted.noting_error("error"));
        res.on_close(noted.noting("close"));
        // Its head is out before the client leaves.
        res.set_header("Content-Length", 1_000_000)?;
        res.flush_headers();
        let (file, leaving) = (file.try_clone()?, Rc::clone(&shared));
        lp.set_timeout(Duration::from_millis(1), move || {
            leaving.take().expect("one request").leave();
            res.send_file(file, ..)
        });
        onloop::Result::Ok(())
    });
    *client.borrow_mut() = Some(by_tcp(&world, &server));
    world.until("the end of the exchange", || log.has("close"));
    assert_eq!(log.all(), ["error ECONNRESET", "close"]);
}
