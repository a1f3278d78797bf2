//! Our client against servers that close their idle connections after a few milliseconds, which is when the next
//! request comes: nginx, Node, Python's and our own. A GET never fails for that. A POST fails where it was sent and
//! not answered, is never sent twice, and its error tells the truth; every tenth is carried out and not answered.
//!
//! Where a server is not installed that is said; with `ONLOOP_REQUIRE_INTEROP=1` it is a failure.

mod load;
#[path = "../program/mod.rs"]
mod program;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use load::{Ends, Plan, run};
use onloop::http::{Server, ServerOptions};
use onloop::{EventLoop, LoopHandle, Remote, Sent};
use program::nginx::Nginx;
use program::others::{curl, has};
use program::{PATIENCE, Program};

const GETS: u32 = 20_000;
const POSTS: u32 = 2_000;

fn plan(name: &'static str, port: u16, idle_millis: u64) -> Plan {
    let pause = (idle_millis * 500, idle_millis * 1_500);
    let url = format!("http://127.0.0.1:{port}");
    Plan { name, method: "GET", url, requests: GETS, chains: 32, pause }
}

/// No GET fails, and each has its own answer.
fn check_gets(ends: &Ends) {
    for (path, end) in ends {
        assert_eq!(end, &Ok(format!("200 {path}")), "{path}");
    }
}

/// `arrived` are the paths of the POSTs that the server has seen, each as often as it came.
fn check_posts(ends: &Ends, arrived: &str) {
    let mut times: HashMap<&str, u32> = HashMap::new();
    for path in arrived.lines() {
        *times.entry(path).or_default() += 1;
    }
    for (path, end) in ends {
        assert!(end.is_err() || !path.ends_with('3'), "{path} was not answered");
        let count = times.remove(path.as_str()).unwrap_or(0);
        match end {
            Ok(answer) => assert_eq!((answer, count), (&format!("200 {path}"), 1), "{path}"),
            Err((error, sent)) => {
                let most = match sent {
                    Some(Sent::SentNoReply) => 1,
                    Some(Sent::NothingSent | Sent::PartlySent) => 0,
                    None => panic!("{path}: no verdict: {error}"),
                };
                assert!(count <= most, "{path}: {error}, {sent:?}, and it came {count} times");
            }
        }
    }
    assert!(times.is_empty(), "nobody sent {times:?}");
}

/// GETs, then POSTs; `arrived` gives the POSTs that have come.
fn race(plan: Plan, arrived: impl FnOnce() -> String) {
    let (ends, repeated) = run(&plan);
    check_gets(&ends);
    assert!(repeated > 0, "the server never closed in that moment: nothing is proven");
    let (ends, _) = run(&Plan { method: "POST", requests: POSTS, ..plan });
    check_posts(&ends, &arrived());
}

#[test]
fn nginx_closes_idle_connections() {
    if !has("nginx") {
        return;
    }
    let mut nginx = Nginx::start(
        |_| {},
        "log_format path $request_uri;",
        "keepalive_timeout 5ms; keepalive_requests 7;
         location / { return 200 $request_uri; }
         location /post/ {
           access_log ROOT/posts path;
           # It was carried out, and nobody is told.
           if ($request_uri ~ 3$) { return 444; }
           return 200 $request_uri;
         }",
    );
    race(plan("nginx", nginx.port, 5), || {
        nginx.quit();
        std::fs::read_to_string(nginx.folder.0.join("posts")).expect("it has a log")
    });
}

#[test]
fn node_closes_idle_connections() {
    script("node", "node", "server.js");
}

#[test]
fn python_closes_idle_connections() {
    script("python", "python3", "server.py");
}

/// A server that is a script for an interpreter.
fn script(name: &'static str, interpreter: &str, file: &str) {
    if !has(interpreter) || !has("curl") {
        return;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real_servers").join(file);
    let idle_millis = 5;
    let server = Program::spawn(Command::new(interpreter).arg(file).arg(idle_millis.to_string()));
    race(plan(name, server.port, idle_millis), || curl(&[&server.url("/posts")]));
}

/// Our own server on a thread of its own, until it is told to stop; it gives the POSTs that have come.
struct Own {
    port: u16,
    remote: Remote,
    thread: JoinHandle<String>,
}

impl Own {
    /// `idle` ends each connection so long after an answer; else the server's clock does.
    fn start(idle: Option<Duration>) -> Own {
        let (told, telling) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut event_loop = EventLoop::new().expect("a loop");
            let posts = Rc::new(RefCell::new(Vec::new()));
            let server = own_server(event_loop.handle(), idle, Rc::clone(&posts));
            let port = server.address().and_then(|address| address.port()).expect("it listens");
            told.send((port, event_loop.remote())).expect("the test waits for it");
            event_loop.run().expect("the poller works");
            posts.take().join("\n")
        });
        let (port, remote) = telling.recv_timeout(PATIENCE).expect("it listens");
        Own { port, remote, thread }
    }

    fn stop(self) -> String {
        self.remote.post(|lp| lp.stop()).expect("it runs");
        self.thread.join().expect("the server does not panic")
    }
}

fn own_server(lp: LoopHandle, idle: Option<Duration>, posts: Rc<RefCell<Vec<String>>>) -> Server {
    // As short as its clock can be.
    let options = ServerOptions::new()
        .keep_alive_timeout(Duration::from_millis(50))
        .keep_alive_timeout_buffer(Duration::ZERO);
    let server = Server::new(lp, options).expect("a server");
    server.on_request(move |req, res| {
        // Of its own it says that nothing is kept for even a second.
        res.set_header("Keep-Alive", "timeout=5")?;
        let (path, connection) = (req.url().to_owned(), req.connection());
        let posts = (req.method() == "POST").then(|| Rc::clone(&posts));
        if let Some(idle) = idle {
            lp.set_timeout(idle, move || connection.destroy());
        }
        // While a handler is at work the next request of another connection comes.
        std::thread::sleep(Duration::from_micros(50));
        req.resume();
        req.on_end(move || {
            if let Some(posts) = posts {
                posts.borrow_mut().push(path.clone());
                if path.ends_with('3') {
                    // It was carried out, and nobody is told.
                    return connection.destroy();
                }
            }
            res.end(path);
        });
        Ok(())
    });
    server.listen("127.0.0.1:0").expect("a free port");
    server
}

#[test]
fn our_own_server_closes_idle_connections() {
    let own = Own::start(None);
    // Its clock goes in steps of that length: more chains instead of shorter pauses.
    let plan = Plan { chains: 256, pause: (40_000, 110_000), ..plan("our own", own.port, 50) };
    // It reads once more before it closes, so that next to none is to be repeated.
    check_gets(&run(&plan).0);
    let (ends, _) = run(&Plan { method: "POST", requests: POSTS, ..plan });
    check_posts(&ends, &own.stop());
}

#[test]
fn connections_of_our_own_server_end_while_they_are_idle() {
    let own = Own::start(Some(Duration::from_millis(5)));
    race(plan("our own, ended", own.port, 5), || own.stop());
}
