//! The server of both clients: it says what its script says, keeps what it receives, and understands no more of
//! HTTP than where a request ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::case::Step;

/// How long a client may say nothing. No case waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked whether the client is done.
const GLANCE: Duration = Duration::from_millis(3);

/// Answers whatever no script is there for, without the content where it was HEAD.
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const PROBED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A server on a port of its own, for one case and one client.
pub(crate) struct Server {
    pub(crate) port: u16,
    over: Arc<AtomicBool>,
    accepting: JoinHandle<Vec<String>>,
}

impl Server {
    /// Each connection follows its script, in the order in which they come.
    pub(crate) fn start(scripts: &[Vec<Step>]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let over = Arc::new(AtomicBool::new(false));
        let (flag, scripts) = (Arc::clone(&over), scripts.to_vec());
        let accepting = std::thread::spawn(move || {
            let mut scripts = scripts.into_iter();
            let told = Arc::new(Mutex::new(Vec::new()));
            let mut served = Vec::new();
            loop {
                let (stream, _) = listener.accept().expect("a connection");
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                let script = scripts.next().unwrap_or_default();
                let (at, told) = (served.len(), Arc::clone(&told));
                let over = Arc::clone(&flag);
                served.push(std::thread::spawn(move || {
                    let text = Connection::new(stream, over).serve(script, port);
                    told.lock().expect("nobody panics with it").push((at, text));
                }));
            }
            for thread in served {
                thread.join().expect("a script that can be carried out");
            }
            let mut told = std::mem::take(&mut *told.lock().expect("nobody panics with it"));
            told.sort();
            told.into_iter().filter_map(|(_, text)| text).collect()
        });
        Server { port, over, accepting }
    }

    /// The client is done: what came on each connection, and what became of it.
    pub(crate) fn finish(self) -> String {
        self.over.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        self.accepting.join().expect("the thread that accepts").join(" + ")
    }
}

struct Connection {
    stream: TcpStream,
    over: Arc<AtomicBool>,
    received: Vec<u8>,
    /// Up to where requests were waited for.
    consumed: usize,
    ended: bool,
    silent: bool,
}

/// Why the wait was over.
#[derive(PartialEq)]
enum Got {
    What,
    Nothing,
}

impl Connection {
    fn new(stream: TcpStream, over: Arc<AtomicBool>) -> Connection {
        stream.set_read_timeout(Some(GLANCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a live socket");
        let (ended, silent) = (false, false);
        Connection { stream, over, received: Vec::new(), consumed: 0, ended, silent }
    }

    /// What came, and `[kept]`, `[closed]` (by the client), `[ended]` (by the script) or `[open]`: neither used
    /// any more nor closed. Nothing where it was only used to find out about another one.
    fn serve(mut self, script: Vec<Step>, port: u16) -> Option<String> {
        for step in script {
            match step {
                Step::Request => drop(self.request()),
                Step::Text(text) => {
                    self.read_until(|unread| find(unread, &text).map(|at| at + text.len()));
                }
                Step::Send(bytes) => self.send(&bytes),
                Step::Pieces(bytes) => bytes.chunks(1).for_each(|byte| self.send(byte)),
                Step::Shut => drop(self.stream.shutdown(Shutdown::Write)),
                Step::Left => drop(self.read_until(|_| None)),
                Step::Close => {
                    let _ = self.stream.shutdown(Shutdown::Both);
                    return Some(self.text(port, "[ended]"));
                }
                Step::Reset => {
                    let socket = socket2::SockRef::from(&self.stream);
                    socket.set_linger(Some(Duration::ZERO)).expect("a live socket");
                    return Some(self.text(port, "[ended]"));
                }
            }
        }
        let probed = loop {
            let from = self.consumed;
            let Some(target) = self.request() else { break false };
            if target == "/probe" {
                let unread = &self.received[from..];
                let length = find(unread, "GET /probe").unwrap_or(0);
                self.received.truncate(from + length);
                self.send(PROBED.as_bytes());
                break true;
            }
            let to_head = self.received[from..].starts_with(b"HEAD ");
            let answer = if to_head { OK.trim_end_matches("ok") } else { OK };
            self.send(answer.as_bytes());
        };
        let ending = match (probed, self.ended) {
            // Made for the probe, or for a request that was destroyed before it was sent.
            (true, _) | (_, true) if self.received.is_empty() => return None,
            (true, _) => "[kept]",
            _ if self.silent => "[silent]",
            (false, true) => "[closed]",
            (false, false) => "[open]",
        };
        Some(self.text(port, ending))
    }

    /// Whoever has gone is read to the end.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Waits for one more request to be complete; its target.
    fn request(&mut self) -> Option<String> {
        let from = self.consumed;
        let got = self.read_until(request_length);
        let head = &self.received[from..];
        let line = String::from_utf8_lossy(&head[..find(head, "\r\n")?]).into_owned();
        // Unframed content may stand before the line.
        let target = line.rsplit(' ').nth(1).unwrap_or_default();
        (got == Got::What).then(|| target.to_owned())
    }

    /// Reads until `enough` tells how long what was waited for is.
    fn read_until(&mut self, enough: impl Fn(&[u8]) -> Option<usize>) -> Got {
        let mut patience = Instant::now() + PATIENCE;
        let mut buffer = [0; 64 * 1024];
        loop {
            if let Some(length) = enough(&self.received[self.consumed..]) {
                self.consumed += length;
                return Got::What;
            }
            let over = self.over.load(Ordering::SeqCst);
            if self.ended || self.silent {
                return Got::Nothing;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    patience = Instant::now() + PATIENCE;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if over {
                        return Got::Nothing;
                    }
                    if Instant::now() > patience {
                        self.silent = true;
                        let _ = self.stream.shutdown(Shutdown::Both);
                    }
                }
                // A reset instead of an end: who is faster decides between the two.
                Err(_) => self.ended = true,
            }
        }
    }

    fn text(&self, port: u16, ending: &str) -> String {
        let text: String = self.received.iter().map(|byte| char::from(*byte)).collect();
        let runs = collapsed(&text.replace(&format!(":{port}"), ":P"));
        format!("{runs}{ending}")
    }
}

/// Long runs of `x` in short.
fn collapsed(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("xxxxxxxxxx") {
        let length = rest[at..].bytes().take_while(|byte| *byte == b'x').count();
        short.push_str(&rest[..at]);
        short.push_str(&format!("<{length} x>"));
        rest = &rest[at + length..];
    }
    short + rest
}

/// The length of a request, once it is complete.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let length = find(bytes, "\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..length]).to_ascii_lowercase();
    let content = &bytes[length + 4..];
    let mut codings = head.split("\r\n").filter(|line| line.starts_with("transfer-encoding:"));
    let chunked = codings.any(|line| line.trim_end().ends_with("chunked"));
    let announced = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
    let content = match announced.and_then(|text| text.trim().parse().ok()) {
        _ if chunked => chunks(content)?,
        Some(announced) if announced <= content.len() => announced,
        Some(_) => return None,
        None => 0,
    };
    Some(length + 4 + content)
}

/// The length of chunked content, once it is complete.
fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(bytes.get(at..)?, "\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2;
        if size == 0 {
            break;
        }
        at += size + 2;
    }
    // Trailers, or nothing but the empty line.
    if bytes.get(at..)?.starts_with(b"\r\n") {
        return Some(at + 2);
    }
    Some(at + find(&bytes[at..], "\r\n\r\n")? + 4)
}

fn find(bytes: &[u8], part: &str) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part.as_bytes())
}
