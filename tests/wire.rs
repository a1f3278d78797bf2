//! Plays the scripts of `tests/wire/` against a server: the rules of the wire, good and bad, with the bytes
//! that must come back. Each script is played whole, byte by byte and at every cut into two parts, and must
//! give the same bytes each time.
//!
//! A script is a text file. Lines that begin with `#` name what follows; a case is
//!
//! ```text
//! == rule 2: a line ends with CRLF
//! > GET / HTTP/1.1\r\n        bytes of the client, as a string with the escapes \r \n \t \0 \\ \xNN
//! ~ 5s                        the clock goes on by so much
//! !                           the client ends its side; `! reset` resets
//! < 400 close                 what comes back, in short (below), or
//! <" HTTP/1.1 200 OK\r\n      the same as bytes, `{date}` standing for any date
//! < end                       the server ends the connection; without it the connection must be open;
//!                             `< 400 close end` is both lines in one
//! ```
//!
//! An answer in short is its status, `close` where it says so, `chunked` where it is, and its content as a
//! string in quotation marks. `{xN}` in a `>` line repeats the character before it N times.
//!
//! The server answers `/` and every unknown path with `METHOD target content`, once the content is read;
//! `/late` after a second; `/early` without reading; `/chunked` in pieces; `/trailers` with the trailers.

mod common;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use common::Answer;
use common::script::{self, Case, Step, play};
use onloop::http::{Request, Response, Server, ServerOptions};
use onloop::sim::{self, SimNet, SimPeer};
use onloop::{EventLoop, LoopHandle, LoopOptions};

#[test]
fn lines() {
    play("lines.txt", play_case);
}

#[test]
fn request_line() {
    play("request_line.txt", play_case);
}

#[test]
fn host() {
    play("host.txt", play_case);
}

#[test]
fn fields() {
    play("fields.txt", play_case);
}

#[test]
fn framing() {
    play("framing.txt", play_case);
}

#[test]
fn chunked() {
    play("chunked.txt", play_case);
}

#[test]
fn expect() {
    play("expect.txt", play_case);
}

#[test]
fn persistence() {
    play("persistence.txt", play_case);
}

#[test]
fn time() {
    play("time.txt", play_case);
}

#[test]
fn no_script_is_left_out() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let entries = std::fs::read_dir(directory).expect("the scripts are there");
    let names = entries.map(|entry| entry.expect("a directory entry").file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let players = concat!(include_str!("wire.rs"), include_str!("wire_client.rs"));
    for name in names {
        assert!(players.contains(&format!("play(\"{name}\"")), "nobody plays {name}");
        assert!(!script::cases(&name).is_empty(), "{name} has no cases");
    }
}

/// Plays a case in all ways of cutting it.
fn play_case(case: &Case) -> Result<(), String> {
    let total: usize = case
        .steps
        .iter()
        .map(|step| match step {
            Step::Send(bytes) => bytes.len(),
            _ => 0,
        })
        .sum();
    let mut stage = Stage::new();
    let whole = stage.play(case, |_| false).map_err(|failure| format!("whole: {failure}"))?;
    let bytewise =
        stage.play(case, |_| true).map_err(|failure| format!("byte by byte: {failure}"))?;
    if bytewise != whole {
        return Err(format!("byte by byte: {bytewise:?}\ninstead of {whole:?}"));
    }
    // The few long ones are cut at some places only.
    let stride = 1 + total / 2000 * 20;
    for cut in (1..total).step_by(stride) {
        let parted = stage.play(case, |at| at == cut);
        let parted = parted.map_err(|failure| format!("cut at {cut}: {failure}"))?;
        if parted != whole {
            return Err(format!("cut at {cut}: {parted:?}\ninstead of {whole:?}"));
        }
    }
    stage.check_for_leaks()
}

/// A server on a simulated network.
struct Stage {
    net: SimNet,
    event_loop: EventLoop,
    server: Server,
}

impl Stage {
    fn new() -> Stage {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::new().read_buffer(4096));
        let lp = event_loop.handle();
        let server = Server::new(lp, ServerOptions::default()).expect("a server");
        server.on_request(move |req, res| answer(lp, req, res));
        server.listen("127.0.0.1:80").expect("a free port");
        Stage { net, event_loop, server }
    }

    /// Plays a case with the client's bytes cut where `cut` says; what came back, without dates.
    fn play(&mut self, case: &Case, cut: impl Fn(usize) -> bool) -> Result<String, String> {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let mut play =
            Play { peer: Some(self.net.connect(&address.into())), received: Vec::new(), seen: 0 };
        self.settle(&mut play);
        let mut position = 0;
        for step in &case.steps {
            match step {
                Step::Send(bytes) => {
                    let mut from = 0;
                    for to in 1..=bytes.len() {
                        if to == bytes.len() || cut(position + to) {
                            play.write(&bytes[from..to]);
                            self.settle(&mut play);
                            from = to;
                        }
                    }
                    position += bytes.len();
                }
                Step::Wait(time) => self.pass(*time, &mut play),
                Step::End => {
                    if let Some(peer) = &play.peer {
                        peer.shutdown_write();
                    }
                    self.settle(&mut play);
                }
                Step::Reset => {
                    if let Some(peer) = play.peer.take() {
                        peer.reset();
                    }
                    self.settle(&mut play);
                }
                Step::Expect(expected) => play.expect(expected)?,
                Step::ExpectBytes(expected) => play.expect_bytes(expected)?,
                Step::ExpectEnd => play.expect_end()?,
            }
        }
        play.expect_no_more(case)?;
        let heard = without_dates(&play.received);
        drop(play);
        self.pass(Duration::from_millis(10), &mut Play::over());
        Ok(heard)
    }

    /// Turns the loop until everything that is on its way has arrived and was dealt with.
    fn settle(&mut self, play: &mut Play) {
        self.pass(Duration::from_millis(1), play);
    }

    fn pass(&mut self, time: Duration, play: &mut Play) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            self.event_loop.turn(Some(end - self.net.now())).expect("a turn");
            play.read();
            if self.net.now() < end && self.net.stalled() {
                self.net.advance(end - self.net.now());
            }
        }
    }

    /// Everything that was begun has ended.
    fn check_for_leaks(mut self) -> Result<(), String> {
        self.server.close();
        self.pass(Duration::from_secs(400), &mut Play::over());
        let stats = sim::stats(&self.event_loop);
        match stats.is_empty() && stats.server_connections == 0 {
            true => Ok(()),
            false => Err(format!("something is left: {stats:?}")),
        }
    }
}

/// One connection of a client.
struct Play {
    peer: Option<SimPeer>,
    received: Vec<u8>,
    /// How much of `received` was expected and came.
    seen: usize,
}

impl Play {
    fn over() -> Play {
        Play { peer: None, received: Vec::new(), seen: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        // A server that has refused may have closed; a client's bytes go nowhere then.
        if let Some(peer) = &self.peer {
            peer.write(bytes);
        }
    }

    fn read(&mut self) {
        if let Some(peer) = &self.peer {
            self.received.extend(peer.read());
        }
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.received[self.seen..]).into_owned()
    }

    fn ended(&self) -> bool {
        self.peer.as_ref().is_none_or(|peer| peer.is_eof() || peer.is_reset())
    }

    fn expect(&mut self, expected: &str) -> Result<(), String> {
        let to_head = expected.starts_with("head ");
        let found = Answer::parse(&self.received[self.seen..], to_head, self.ended());
        let Some((answer, length)) = found else {
            return Err(format!("expected {expected}, got {:?}", self.rest()));
        };
        self.seen += length;
        let mut said = if to_head { String::from("head ") } else { String::new() };
        said += &answer.status.to_string();
        for (name, value) in [("Connection", "close"), ("Transfer-Encoding", "chunked")] {
            if answer.field(name) == Some(value) {
                said = said + " " + value;
            }
        }
        if answer.status == 200 && !to_head {
            let _ = write!(said, " {:?}", answer.text());
        }
        match said == expected {
            true => Ok(()),
            false => Err(format!("expected {expected}, got {said}")),
        }
    }

    fn expect_bytes(&mut self, expected: &[u8]) -> Result<(), String> {
        let expected = String::from_utf8_lossy(expected).into_owned();
        let heard = without_dates(&self.received[self.seen..]);
        if !heard.starts_with(&expected) {
            return Err(format!("expected {expected:?}, got {heard:?}"));
        }
        // The placeholder is shorter than the date.
        let dates = expected.matches("{date}").count();
        self.seen +=
            expected.len() + dates * ("Fri, 31 Dec 1999 23:59:59 GMT".len() - "{date}".len());
        Ok(())
    }

    fn expect_end(&self) -> Result<(), String> {
        match self.ended() {
            true => Ok(()),
            false => Err(format!("expected the end, got {:?}", self.rest())),
        }
    }

    fn expect_no_more(&self, case: &Case) -> Result<(), String> {
        if self.seen < self.received.len() {
            return Err(format!("not expected: {:?}", self.rest()));
        }
        let ends = matches!(case.steps.last(), Some(Step::ExpectEnd | Step::Reset));
        match self.ended() == ends {
            true => Ok(()),
            false => Err(String::from("the connection ended, which was not expected")),
        }
    }
}

fn without_dates(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split_inclusive("\r\n");
    lines.map(|line| if line.starts_with("Date: ") { "Date: {date}\r\n" } else { line }).collect()
}

/// The standard handler.
fn answer(lp: LoopHandle, req: Request, res: Response) {
    let path = req.url().split('?').next().unwrap_or_default();
    match path {
        "/early" => return res.end("early"),
        "/late" => {
            lp.set_timeout(Duration::from_secs(1), move || res.end("late"));
            return;
        }
        "/chunked" => {
            res.write("in ");
            return res.end("pieces");
        }
        _ => {}
    }
    let shows_trailers = path == "/trailers";
    let line = format!("{} {} ", req.method(), req.url());
    let content = Rc::new(RefCell::new(Vec::from(line)));
    let collected = Rc::clone(&content);
    let body = req.body();
    body.on_data(move |chunk| collected.borrow_mut().extend_from_slice(chunk));
    body.on_end(move || {
        if shows_trailers {
            for (name, value) in body.trailers() {
                res.write(format!("{name}={} ", String::from_utf8_lossy(&value)));
            }
        }
        res.end(content.take());
    });
}
