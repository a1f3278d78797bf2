//! The kinds of answers, and a server that gives them.

use std::cell::Cell;
use std::fs::File;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use onloop::LoopHandle;
use onloop::http::{Request, Response, Server};

use crate::common::World;
use crate::follows::Follows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    /// More than the system's buffers take of a client that does not read.
    Large,
    /// From a timer, when the handler has long returned.
    Late,
    /// In pieces from a timer, in chunks.
    Streamed,
    /// The same to a client of HTTP/1.0: it ends with the connection.
    UntilClose,
    /// The request's own content.
    Piped,
    File,
}

const LARGE: usize = 8 * 1024 * 1024;
const MEDIUM: usize = 1024 * 1024;
const PIECES: usize = 16;

impl Kind {
    pub(crate) const ALL: [Kind; 7] = [
        Kind::Small,
        Kind::Large,
        Kind::Late,
        Kind::Streamed,
        Kind::UntilClose,
        Kind::Piped,
        Kind::File,
    ];

    /// The connection ends with this answer, whatever follows.
    pub(crate) fn ends_connection(self) -> bool {
        self == Kind::UntilClose
    }

    pub(crate) fn content(self) -> Vec<u8> {
        let length = match self {
            Kind::Small => 5,
            Kind::Large => LARGE,
            _ => MEDIUM,
        };
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    pub(crate) fn request(self, closes: bool) -> Vec<u8> {
        let version = if self == Kind::UntilClose { "1.0" } else { "1.1" };
        let close = if closes { "Connection: close\r\n" } else { "" };
        let head = format!("/{self:?} HTTP/{version}\r\nHost: h\r\n{close}");
        match self {
            Kind::Piped => {
                let content = self.content();
                let head = format!("POST {head}Content-Length: {}\r\n\r\n", content.len());
                [head.into_bytes(), content].concat()
            }
            _ => format!("GET {head}\r\n").into_bytes(),
        }
    }

    fn give(self, lp: LoopHandle, req: &Request, res: Response) -> onloop::Result<()> {
        match self {
            Kind::Small | Kind::Large => res.end(self.content()),
            Kind::Late => {
                lp.set_timeout(Duration::from_millis(5), move || res.end(self.content()));
            }
            Kind::Streamed | Kind::UntilClose => self.stream(lp, res),
            Kind::Piped => req.pipe(res),
            Kind::File => res.send_file(file(&self.content()), ..)?,
        }
        Ok(())
    }

    fn stream(self, lp: LoopHandle, res: Response) {
        let content = self.content();
        let sent = Cell::new(0);
        let timer = Rc::new(Cell::new(None));
        let own = Rc::clone(&timer);
        let interval = lp.set_interval(Duration::from_millis(1), move || {
            let from = sent.get();
            let to = from + MEDIUM / PIECES;
            sent.set(to);
            res.write(&content[from..to]);
            if to == MEDIUM {
                res.end("");
                if let Some(interval) = own.take() {
                    onloop::Timer::clear(interval);
                }
            }
        });
        timer.set(Some(interval));
    }
}

/// A file that nobody else sees.
fn file(content: &[u8]) -> File {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("onloop-answers-{}-{count}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).expect("a place for a file");
    let file = File::open(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was written");
    file
}

/// A server of all kinds, which does its part of what follows.
pub(crate) fn serve(world: &World, follows: Follows) -> Server {
    let lp = world.lp;
    let own: Rc<Cell<Option<Server>>> = Rc::default();
    let handle = Rc::clone(&own);
    let server = world.serve_with(follows.options(), move |req, res| {
        let kind = Kind::ALL.into_iter().find(|kind| req.url() == format!("/{kind:?}"));
        let Some(kind) = kind else { return next(&req, res) };
        follows.before(lp, handle.get().expect("it listens"));
        // Of content that is not read the end does not come.
        if follows == Follows::HalfCloseFirst && kind != Kind::Piped {
            res.on_half_close(move || kind.give(lp, &req, res));
            return Ok(());
        }
        kind.give(lp, &req, res)
    });
    own.set(Some(server));
    if follows == Follows::ErrorAnswered {
        server.on_client_error(|_error, socket| {
            socket.end("HTTP/1.1 400 Mine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        });
    }
    server
}

/// What is asked for behind the answer in question.
fn next(req: &Request, res: Response) -> onloop::Result<()> {
    match req.url() {
        "/fails" => Err(onloop::Error::other("as it should")),
        "/begins-and-fails" => {
            res.write("begun");
            req.on_data(|_| {});
            Ok(())
        }
        _ => {
            req.body().on_end(move || res.end("next"));
            req.resume();
            Ok(())
        }
    }
}
