//! A loop and raw peers on one thread: what the other side sends and receives is bytes, so nothing of ours
//! judges ours. Waiting is turning the loop until something has happened, with an end to the patience.

// Each test program uses a part of it.
#![allow(dead_code)]

pub(crate) mod answer;
pub(crate) mod asked;
pub(crate) mod clocked;
pub(crate) mod script;

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use onloop::http::{self, Outcome, Request, Response, Server, ServerOptions};
use onloop::{Address, EventLoop, LoopHandle, LoopOptions};

pub(crate) use answer::Answer;

/// How long a test waits for something that must happen. Nothing is asserted about how long it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A loop that is turned by the test.
pub(crate) struct World {
    pub(crate) event_loop: EventLoop,
    pub(crate) lp: LoopHandle,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(LoopOptions::default())
    }

    pub(crate) fn with(options: LoopOptions) -> World {
        let event_loop = EventLoop::with_options(options).expect("a loop");
        let lp = event_loop.handle();
        World { event_loop, lp }
    }

    /// One turn, which waits for a moment at most.
    pub(crate) fn turn(&mut self) {
        self.event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
    }

    /// Turns the loop until `done` gives something.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let patience = Instant::now() + PATIENCE;
        loop {
            if let Some(result) = done() {
                return result;
            }
            assert!(Instant::now() < patience, "waited in vain for {what}");
            self.turn();
        }
    }

    /// Turns the loop until `done` is true.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) {
        self.wait(what, || done().then_some(()));
    }

    /// Turns the loop until it would end by itself.
    #[track_caller]
    pub(crate) fn until_over(&mut self) {
        let patience = Instant::now() + PATIENCE;
        while self.event_loop.is_alive() {
            assert!(Instant::now() < patience, "the loop does not end");
            self.turn();
        }
    }

    /// A server on a free port of 127.0.0.1.
    pub(crate) fn serve<R: Outcome>(
        &self,
        on_request: impl FnMut(Request, Response) -> R + 'static,
    ) -> Server {
        self.serve_with(ServerOptions::default(), on_request)
    }

    pub(crate) fn serve_with<R: Outcome>(
        &self,
        options: ServerOptions,
        on_request: impl FnMut(Request, Response) -> R + 'static,
    ) -> Server {
        let server = Server::new(self.lp, options).expect("a server");
        server.on_request(on_request);
        server.listen("127.0.0.1:0").expect("a free port");
        server
    }

    pub(crate) fn connect(&self, server: &Server) -> Peer {
        let Some(Address::Ip(address)) = server.address() else { panic!("no address") };
        Peer::tcp(address)
    }

    /// A connection that has sent `bytes`.
    pub(crate) fn send(&self, server: &Server, bytes: impl AsRef<[u8]>) -> Peer {
        let mut peer = self.connect(server);
        peer.send(bytes);
        peer
    }

    /// The answer to `bytes` on a connection of its own.
    #[track_caller]
    pub(crate) fn ask(&mut self, server: &Server, bytes: impl AsRef<[u8]>) -> Answer {
        let mut peer = self.send(server, bytes);
        self.answer(&mut peer)
    }

    /// The next response that the peer receives.
    #[track_caller]
    pub(crate) fn answer(&mut self, peer: &mut Peer) -> Answer {
        self.next_answer(peer, false)
    }

    /// The same where the request was HEAD.
    #[track_caller]
    pub(crate) fn answer_to_head(&mut self, peer: &mut Peer) -> Answer {
        self.next_answer(peer, true)
    }

    #[track_caller]
    fn next_answer(&mut self, peer: &mut Peer, to_head: bool) -> Answer {
        let (answer, length) = self.wait("an answer", || {
            peer.pump();
            let found = Answer::parse(&peer.received, to_head, peer.ending.is_some());
            assert!(
                found.is_some() || peer.ending.is_none(),
                "{:?} after {:?}",
                peer.ending,
                String::from_utf8_lossy(&peer.received)
            );
            found
        });
        peer.received.drain(..length);
        answer
    }

    /// Everything that the peer receives until the connection ends, and how it ends.
    #[track_caller]
    pub(crate) fn until_end(&mut self, peer: &mut Peer) -> Ending {
        self.wait("the end of the connection", || {
            peer.pump();
            peer.ending
        })
    }

    /// Waits until the peer has received this, and takes everything up to its end.
    #[track_caller]
    pub(crate) fn expect(&mut self, peer: &mut Peer, text: &str) -> String {
        let end = self.wait(text, || {
            peer.pump();
            let place = match text {
                "" => Some(0),
                text => peer.received.windows(text.len()).position(|part| part == text.as_bytes()),
            };
            assert!(
                place.is_some() || peer.ending.is_none(),
                "{:?} before {text:?}: {:?}",
                peer.ending,
                String::from_utf8_lossy(&peer.received)
            );
            place.map(|place| place + text.len())
        });
        let taken: Vec<u8> = peer.received.drain(..end).collect();
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// A client that has the head of its answer, and reads no more; the server has sent what sockets take.
    #[track_caller]
    pub(crate) fn stalled(&mut self, server: &Server) -> Peer {
        let mut peer = self.send(server, get("/", ""));
        self.expect(&mut peer, "\r\n\r\n");
        peer.stop_reading();
        for _ in 0..20 {
            self.turn();
        }
        peer
    }

    /// Turns the loop until everything given to the peer has been taken by the system.
    #[track_caller]
    pub(crate) fn until_sent(&mut self, peer: &mut Peer) {
        self.wait("the peer's bytes to be sent", || {
            peer.pump();
            (peer.unsent.is_empty() || peer.ending.is_some()).then_some(())
        });
    }

    /// The next connection to a raw server.
    #[track_caller]
    pub(crate) fn accept(&mut self, listener: &TcpListener) -> Peer {
        self.wait("a connection", || match listener.accept() {
            Ok((stream, _)) => Some(Peer::of(Box::new(stream))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        })
    }

    #[track_caller]
    pub(crate) fn accept_unix(&mut self, listener: &UnixListener) -> Peer {
        self.wait("a connection", || match listener.accept() {
            Ok((stream, _)) => Some(Peer::of(Box::new(stream))),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("accept: {error}"),
        })
    }
}

/// A raw server on a free port, and the URL of its root.
pub(crate) fn raw_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("non-blocking");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    (listener, url)
}

/// The URL of a server's root.
pub(crate) fn url_of(server: &Server) -> String {
    match server.address() {
        Some(Address::Ip(address)) => format!("http://{address}/"),
        other => panic!("no address: {other:?}"),
    }
}

/// A port of 127.0.0.1 that nobody listens on: it is held bound, so nobody else gets it.
pub(crate) fn dead_port() -> (socket2::Socket, u16) {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&address.into()).expect("a free port");
    let port = socket.local_addr().expect("bound").as_socket().expect("an address").port();
    (socket, port)
}

/// How a connection ended, as the peer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An end of stream.
    End,
    Reset,
}

trait Wire: Read + Write {
    fn start(&self);
    fn shut(&self);
    /// The close will be a reset.
    fn reset(&self);
}

impl Wire for TcpStream {
    fn start(&self) {
        self.set_nonblocking(true).expect("non-blocking");
        self.set_nodelay(true).expect("no delay");
    }

    fn shut(&self) {
        // It may be gone already.
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        socket2::SockRef::from(self).set_linger(Some(Duration::ZERO)).expect("a live socket");
    }
}

impl Wire for UnixStream {
    fn start(&self) {
        self.set_nonblocking(true).expect("non-blocking");
    }

    fn shut(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset(&self) {
        panic!("a Unix socket knows no reset");
    }
}

/// The other end of a connection, in the test's hand.
pub(crate) struct Peer {
    wire: Box<dyn Wire>,
    unsent: Vec<u8>,
    pub(crate) received: Vec<u8>,
    pub(crate) ending: Option<Ending>,
    reading: bool,
    ends: bool,
}

impl Peer {
    pub(crate) fn tcp(address: SocketAddr) -> Peer {
        Peer::of(Box::new(TcpStream::connect(address).expect("a connection")))
    }

    pub(crate) fn unix(path: &Path) -> Peer {
        Peer::of(Box::new(UnixStream::connect(path).expect("a connection")))
    }

    /// A connection that was accepted.
    pub(crate) fn of_tcp(stream: TcpStream) -> Peer {
        Peer::of(Box::new(stream))
    }

    /// One end of a pair.
    pub(crate) fn of_unix(stream: UnixStream) -> Peer {
        Peer::of(Box::new(stream))
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(&mut self) {
        self.wire.reset();
        self.ending = Some(Ending::Reset);
        // Closing sends it.
        let (nothing, _) = UnixStream::pair().expect("a pair");
        self.wire = Box::new(nothing);
    }

    fn of(wire: Box<dyn Wire>) -> Peer {
        wire.start();
        Peer {
            wire,
            unsent: Vec::new(),
            received: Vec::new(),
            ending: None,
            reading: true,
            ends: false,
        }
    }

    /// Sends bytes, as far as the system takes them now; the rest while the test waits.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.unsent.extend_from_slice(bytes.as_ref());
        self.pump();
    }

    /// Sends the end of the stream behind the bytes, and goes on reading.
    pub(crate) fn end(&mut self) {
        self.ends = true;
        self.pump();
    }

    /// Reads nothing any more, until [`Peer::read_on`].
    pub(crate) fn stop_reading(&mut self) {
        self.reading = false;
    }

    pub(crate) fn read_on(&mut self) {
        self.reading = true;
    }

    /// Everything received as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// Moves bytes both ways, without waiting.
    pub(crate) fn pump(&mut self) {
        while !self.unsent.is_empty() {
            match self.wire.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    self.unsent.clear();
                    // What came before the reset may still be there to be read.
                    break;
                }
            }
        }
        if self.ends && self.unsent.is_empty() {
            self.ends = false;
            self.wire.shut();
        }
        let mut buffer = [0; 64 * 1024];
        while self.reading && self.ending.is_none() {
            match self.wire.read(&mut buffer) {
                Ok(0) => self.ending = Some(Ending::End),
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ending = Some(Ending::Reset),
            }
        }
    }
}

/// What happened, in order, noted from callbacks.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Rc<RefCell<Vec<String>>>,
}

impl Log {
    pub(crate) fn new() -> Log {
        Log::default()
    }

    pub(crate) fn note(&self, line: impl Into<String>) {
        self.lines.borrow_mut().push(line.into());
    }

    /// A callback that notes this.
    pub(crate) fn noting(&self, line: &'static str) -> impl Fn() + 'static {
        let log = self.clone();
        move || log.note(line)
    }

    /// A callback that notes the code of an error.
    pub(crate) fn noting_error(&self, line: &'static str) -> impl Fn(onloop::Error) + 'static {
        let log = self.clone();
        move |error| log.note(format!("{line} {}", error.code()))
    }

    /// Notes how a response ends: `finish`, `error` with its code, `close`.
    pub(crate) fn note_end_of(&self, response: Response) {
        response.on_finish(self.noting("finish"));
        response.on_error(self.noting_error("error"));
        response.on_close(self.noting("close"));
    }

    /// A callback that notes the status of a response.
    pub(crate) fn noting_response(&self) -> impl Fn(http::IncomingResponse) + 'static {
        let log = self.clone();
        move |response| log.note(response.status().to_string())
    }

    /// A callback that notes the status of an informational response.
    pub(crate) fn noting_information(&self) -> impl Fn(http::Information) + 'static {
        let log = self.clone();
        move |information| log.note(information.status().to_string())
    }

    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.borrow().iter().any(|noted| noted == line)
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        self.lines.borrow().iter().filter(|noted| *noted == line).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.borrow().len()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Forgets what was noted.
    pub(crate) fn clear(&self) {
        self.lines.borrow_mut().clear();
    }
}

/// `GET path`, with further field lines, each ended by CRLF.
pub(crate) fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n")
}

/// `POST path` with content of a given length.
pub(crate) fn post(path: &str, content: &str) -> String {
    let length = content.len();
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{content}")
}

/// Reads the whole content of a request and answers with it.
pub(crate) fn echo(req: Request, res: Response) {
    let collected = Rc::new(RefCell::new(Vec::new()));
    let content = Rc::clone(&collected);
    req.on_data(move |chunk| content.borrow_mut().extend_from_slice(chunk));
    req.on_end(move || res.end(std::mem::take(&mut *collected.borrow_mut())));
}

/// Collects the content of a response, then calls `done`.
pub(crate) fn collect(response: http::IncomingResponse, done: impl FnOnce(u16, Vec<u8>) + 'static) {
    let status = response.status();
    let collected = Rc::new(RefCell::new(Vec::new()));
    let content = Rc::clone(&collected);
    response.on_data(move |chunk| content.borrow_mut().extend_from_slice(chunk));
    response.on_end(move || done(status, std::mem::take(&mut *collected.borrow_mut())));
}
