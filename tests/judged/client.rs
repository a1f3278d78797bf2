//! A client whose server sends anything, and the comparison with what the model expects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use onloop::EventLoop;
use onloop::http;
use onloop::sim::{self, SimListener, SimNet, SimPeer};

use super::model::message::Field;
use super::model::shown::fields;
use super::model::{Limits, Reply, ReplyEnding, read_response};
use super::{REST, TRAVEL, Verdict, ensure, narrow, options, pass, send, shown};

/// What the program was told.
#[derive(Default)]
struct Told {
    informational: Vec<(u16, Vec<Field>)>,
    heads: Vec<(u16, u8, Vec<Field>)>,
    reason: String,
    content: Vec<u8>,
    trailers: Vec<Field>,
    ended: u32,
    /// The response broke off.
    broken: u32,
    /// There was none.
    failed: u32,
    closed: u32,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<u16> = self.informational.iter().map(|(status, _)| *status).collect();
        write!(f, "[{statuses:?} ")?;
        for (status, minor, lines) in &self.heads {
            write!(f, "1.{minor} {status} ({}) ", fields(lines))?;
        }
        write!(f, "\"{}\" ({}) ", shown(&self.content), fields(&self.trailers))?;
        let Told { ended, broken, failed, closed, .. } = self;
        write!(f, "ended: {ended}, broken: {broken}, failed: {failed}, closed: {closed}]")
    }
}

/// A client on a simulated network, and one request after the other.
pub(crate) struct Judge {
    net: SimNet,
    event_loop: EventLoop,
    listener: SimListener,
    limits: Limits,
    /// The connection that the last response has left free.
    kept: Option<SimPeer>,
    /// How many responses ended in which way.
    pub(crate) tally: BTreeMap<&'static str, u32>,
}

impl Judge {
    pub(crate) fn new(limits: Limits) -> Judge {
        // That one is for requests.
        let limits = Limits { content_bytes: None, ..limits };
        let net = SimNet::new(1);
        let event_loop = net.event_loop(options(&limits));
        let address = SocketAddr::from(([10, 0, 0, 1], 80));
        let listener = net.listen(&address.into()).expect("a free address");
        Judge { net, event_loop, listener, limits, kept: None, tally: BTreeMap::new() }
    }

    /// The same on a network that holds little.
    pub(crate) fn on_narrow_network(self) -> Judge {
        self.net.set_options(narrow());
        self
    }

    /// Answers a request with the pieces. `at_once` ends the server's side with the last one; else the outcome
    /// is judged first as long as the server could still go on, then again when it has ended.
    pub(crate) fn play(&mut self, method: &str, pieces: &[&[u8]], at_once: bool) -> Verdict {
        let told = Rc::new(RefCell::new(Told::default()));
        self.ask(method, &told);
        let peer = self.peer()?;
        for piece in pieces {
            send(&self.net, &mut self.event_loop, &peer, piece, &mut Vec::new());
        }
        let stream = pieces.concat();
        if !at_once {
            pass(&self.net, &mut self.event_loop, REST);
            let expected = read_response(&stream, method.as_bytes(), false, &self.limits);
            compare(&expected, &told.borrow(), &stream, false)
                .map_err(|error| format!("with the server's side open: {error}"))?;
            peer.read();
            let is_over = peer.is_eof() || peer.is_reset();
            if is_free(&expected, stream.len()) {
                ensure(!is_over, || format!("not kept: {expected:?}"))?;
                self.kept = Some(peer);
                *self.tally.entry("kept").or_default() += 1;
                return Ok(());
            }
            ensure(is_over != (expected.ending == ReplyEnding::Waits), || {
                format!("over: {is_over}, {expected:?}")
            })?;
        }
        peer.shutdown_write();
        pass(&self.net, &mut self.event_loop, REST);
        let expected = read_response(&stream, method.as_bytes(), true, &self.limits);
        compare(&expected, &told.borrow(), &stream, true)
            .map_err(|error| format!("at the end: {error}"))?;
        *self.tally.entry(expected.ending.name()).or_default() += 1;
        drop(peer);
        pass(&self.net, &mut self.event_loop, TRAVEL);
        let stats = sim::stats(&self.event_loop);
        ensure(stats.client_requests == 0 && stats.free_connections == 0, || {
            format!("something is left: {stats:?}")
        })
    }

    /// Ends the server: nothing is left behind.
    pub(crate) fn finish(mut self) -> Verdict {
        drop(self.kept.take());
        pass(&self.net, &mut self.event_loop, REST);
        let stats = sim::stats(&self.event_loop);
        ensure(stats.is_empty() && stats.free_connections == 0, || {
            format!("something is left: {stats:?}")
        })?;
        sim::check(&self.event_loop)
    }

    /// The connection that the request comes on: the one that was kept, if one was.
    fn peer(&mut self) -> Result<SimPeer, String> {
        pass(&self.net, &mut self.event_loop, REST);
        let fresh = self.listener.accept();
        let peer = match (self.kept.take(), fresh) {
            (Some(peer), None) | (None, Some(peer)) => peer,
            (Some(_), Some(_)) => return Err("the connection that was kept is not used".into()),
            (None, None) => return Err("no connection".into()),
        };
        let request = peer.read();
        ensure(request.ends_with(b"\r\n\r\n"), || format!("no request: {}", shown(&request)))?;
        Ok(peer)
    }

    fn ask(&self, method: &str, told: &Rc<RefCell<Told>>) {
        let lp = self.event_loop.handle();
        let request = http::request(lp, method, "http://10.0.0.1/").expect("a request");
        let note = Rc::clone(told);
        request.on_information(move |information| {
            let lines = information.headers().map(|(name, value)| (name.into(), value.into()));
            note.borrow_mut().informational.push((information.status(), lines.collect()));
        });
        let notes = Rc::clone(told);
        request.on_response(move |response| {
            let lines = response.headers().map(|(name, value)| (name.into(), value.into()));
            let head = (response.status(), response.http_version_minor(), lines.collect());
            notes.borrow_mut().heads.push(head);
            notes.borrow_mut().reason = response.status_message().into_owned();
            let note = Rc::clone(&notes);
            response.on_data(move |chunk| note.borrow_mut().content.extend_from_slice(chunk));
            let (note, body) = (Rc::clone(&notes), response.body());
            response.on_end(move || {
                let mut told = note.borrow_mut();
                told.ended += 1;
                let trailers = body.trailers().into_iter();
                told.trailers = trailers.map(|(name, value)| (name.into(), value)).collect();
            });
            let note = Rc::clone(&notes);
            response.on_error(move |_| note.borrow_mut().broken += 1);
        });
        let note = Rc::clone(told);
        request.on_error(move |_| note.borrow_mut().failed += 1);
        let note = Rc::clone(told);
        request.on_close(move || note.borrow_mut().closed += 1);
        request.end("");
    }
}

/// The connection is good for another request.
fn is_free(expected: &Reply, bytes: usize) -> bool {
    expected.ending == (ReplyEnding::Complete { used: bytes })
        && expected.response.as_ref().is_some_and(|response| response.keeps_alive)
}

fn compare(expected: &Reply, told: &Told, stream: &[u8], ended: bool) -> Verdict {
    let same_informational = told.informational.len() == expected.informational.len()
        && told
            .informational
            .iter()
            .zip(&expected.informational)
            .all(|(told, expected)| told.0 == expected.status && told.1 == expected.fields);
    let same_response = match (&told.heads[..], &expected.response) {
        ([], None) => true,
        ([(status, minor, lines)], Some(response)) => {
            let reason = String::from_utf8_lossy(&response.reason);
            *status == response.status
                && *minor == response.minor
                && *lines == response.fields
                && told.reason == reason
                && told.content == response.content
        }
        _ => false,
    };
    let has_response = !told.heads.is_empty();
    let Told { ended: ends, broken, failed, closed, .. } = *told;
    let same_ending = match expected.ending {
        ReplyEnding::Complete { .. } => {
            let trailers = expected.response.as_ref().map(|response| &response.trailers);
            (ends, broken, failed, closed) == (1, 0, 0, 1) && Some(&told.trailers) == trailers
        }
        ReplyEnding::Waits => !ended && (ends, broken, failed, closed) == (0, 0, 0, 0),
        ReplyEnding::Refused | ReplyEnding::Cut if has_response => {
            ends == 0 && broken + failed == 1 && closed == 1
        }
        ReplyEnding::Refused | ReplyEnding::Cut => (ends, failed, closed) == (0, 1, 1),
        ReplyEnding::Tunnel { .. } => false,
    };
    ensure(same_informational && same_response && same_ending, || {
        format!("told {told:?}\nexpected {expected:?}\nof {}", shown(stream))
    })
}
