//! A server that tells of everything it is told, and the comparison with what the model expects.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use onloop::http::{self, Request, Response, Server};
use onloop::sim::{self, SimNet, SimPeer};
use onloop::{Address, EventLoop, LoopHandle};

use super::model::framing::Framing;
use super::model::message::{Field, values};
use super::model::shown::fields;
use super::model::{
    self, Conversation, Ending, Handling, Limits, Reply, ReplyEnding, connection_says,
    read_connection, read_response,
};
use super::{LATE, REST, TRAVEL, Verdict, ensure, narrow, options, pass, rest, send, shown};

/// How a request is answered. Both sides know it from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// With a length, when the content is here.
    Whole,
    /// In chunks or until the end, when the content is here.
    Parts,
    /// By a timer, when the content is here.
    Late,
    /// At once; the content is not read.
    Early,
    /// The content comes back piece by piece.
    Echo,
    /// The same by `pipe`.
    Pipe,
}

impl Manner {
    /// `keeps`: the request wants its connection kept; `expects`: it has an `Expect` field.
    fn of(target: &[u8], minor: u8, keeps: bool, expects: bool) -> Manner {
        let sum: usize = target.iter().map(|byte| usize::from(*byte)).sum();
        match [
            Manner::Whole,
            Manner::Parts,
            Manner::Late,
            Manner::Early,
            Manner::Echo,
            Manner::Pipe,
        ][sum % 6]
        {
            // An answer of unknown length would end a connection of HTTP/1.0.
            Manner::Parts | Manner::Echo | Manner::Pipe if minor == 0 && keeps => Manner::Whole,
            // Whether the client was asked for its content depends on the cuts.
            Manner::Early if expects => Manner::Late,
            manner => manner,
        }
    }

    fn of_request(request: &model::Request) -> Manner {
        let expects = !values(&request.fields, "expect").is_empty();
        Manner::of(&request.target, request.minor, request.keeps_alive, expects)
    }

    fn sends_content_back(self) -> bool {
        matches!(self, Manner::Echo | Manner::Pipe)
    }
}

/// One request as the program saw it.
#[derive(Default)]
pub(crate) struct Seen {
    method: String,
    target: String,
    minor: u8,
    fields: Vec<Field>,
    content: Vec<u8>,
    trailers: Vec<Field>,
    ended: u32,
    failed: u32,
    closed: u32,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { method, target, minor, .. } = self;
        write!(f, "[{method} {target} 1.{minor} ({}) ", fields(&self.fields))?;
        write!(f, "\"{}\" ({}) ", shown(&self.content), fields(&self.trailers))?;
        let Seen { ended, failed, closed, .. } = self;
        write!(f, "ended: {ended}, failed: {failed}, closed: {closed}]")
    }
}

pub(crate) type SeenAll = Rc<RefCell<Vec<Rc<RefCell<Seen>>>>>;

/// A server on a simulated network, and one connection after the other to it.
pub(crate) struct Judge {
    net: SimNet,
    event_loop: EventLoop,
    server: Server,
    address: Address,
    seen: SeenAll,
    limits: Limits,
    /// How many conversations ended in which way.
    pub(crate) tally: BTreeMap<&'static str, u32>,
}

impl Judge {
    pub(crate) fn new(limits: Limits) -> Judge {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(options(&limits));
        let seen = SeenAll::default();
        let server = server_telling(event_loop.handle(), &seen);
        server.listen("127.0.0.1:80").expect("a free address");
        let address = server.address().expect("it listens");
        Judge { net, event_loop, server, address, seen, limits, tally: BTreeMap::new() }
    }

    /// The same on a network that holds little.
    pub(crate) fn on_narrow_network(self) -> Judge {
        self.net.set_options(narrow());
        self
    }

    /// Plays the pieces on a connection of their own. `at_once` ends the client's side with the last piece;
    /// else the answer is judged first as long as the client could still go on, then again when it has ended.
    pub(crate) fn play(&mut self, pieces: &[&[u8]], at_once: bool) -> Verdict {
        self.seen.borrow_mut().clear();
        let peer = self.net.connect(&self.address);
        let mut received = Vec::new();
        for piece in pieces {
            send(&self.net, &mut self.event_loop, &peer, piece, &mut received);
        }
        let stream = pieces.concat();
        if !at_once {
            rest(&self.net, &mut self.event_loop, &peer, &mut received);
            let expected = read_connection(&stream, false, &self.limits);
            self.compare(&expected, &received, Over::of(&peer))
                .map_err(|error| format!("with the client's side open: {error}"))?;
        }
        peer.shutdown_write();
        rest(&self.net, &mut self.event_loop, &peer, &mut received);
        let expected = read_connection(&stream, true, &self.limits);
        let over = Over::of(&peer);
        drop(peer);
        pass(&self.net, &mut self.event_loop, TRAVEL);
        self.compare(&expected, &received, over)
            .map_err(|error| format!("at the end, {over:?}: {error}"))?;
        *self.tally.entry(expected.ending.name()).or_default() += 1;
        let stats = sim::stats(&self.event_loop);
        ensure(stats.server_connections == 0 && stats.exchanges == 0, || {
            format!("something is left: {stats:?}")
        })
    }

    /// Ends the server: nothing is left behind.
    pub(crate) fn finish(mut self) -> Verdict {
        self.server.close();
        pass(&self.net, &mut self.event_loop, REST);
        let stats = sim::stats(&self.event_loop);
        ensure(stats.is_empty() && self.net.open_sockets() == 0, || {
            format!("something is left: {stats:?}")
        })?;
        sim::check(&self.event_loop)
    }

    fn compare(&self, expected: &Conversation, received: &[u8], over: Over) -> Verdict {
        compare(expected, &self.seen, received, over)
    }
}

pub(crate) fn compare(
    expected: &Conversation,
    seen: &SeenAll,
    received: &[u8],
    over: Over,
) -> Verdict {
    let told = check_told(expected, &seen.borrow(), over);
    told.and_then(|()| check_answers(expected, received, over))
        .map_err(|error| format!("{error}\nanswered: {}\nexpected: {expected:?}", shown(received)))
}

/// How the server has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Not,
    /// By an end of stream.
    End,
    /// By a reset, which ends no message.
    Reset,
}

impl Over {
    fn of(peer: &SimPeer) -> Over {
        match (peer.is_reset(), peer.is_eof()) {
            (true, _) => Over::Reset,
            (false, true) => Over::End,
            (false, false) => Over::Not,
        }
    }

    fn is_so(self) -> bool {
        self != Over::Not
    }
}

/// A server that notes what it is told and answers in all manners.
pub(crate) fn server_telling(lp: LoopHandle, seen: &SeenAll) -> Server {
    let seen = Rc::clone(seen);
    http::create_server(lp, move |req, res| {
        let lines = req.headers().map(|(name, value)| (name.into(), value.to_vec()));
        let noted = Rc::new(RefCell::new(Seen {
            method: req.method().to_owned(),
            target: req.url().to_owned(),
            minor: req.http_version_minor(),
            fields: lines.collect(),
            ..Seen::default()
        }));
        let place = seen.borrow().len();
        seen.borrow_mut().push(Rc::clone(&noted));
        answer(lp, req, res, &noted, place);
    })
}

fn answer(lp: LoopHandle, req: Request, res: Response, noted: &Rc<RefCell<Seen>>, place: usize) {
    let note = Rc::clone(noted);
    res.on_close(move || note.borrow_mut().closed += 1);
    let note = Rc::clone(noted);
    req.on_error(move |_| note.borrow_mut().failed += 1);
    let manner = {
        let seen = noted.borrow();
        let keeps = model::message::persists(seen.minor, &seen.fields);
        let expects = req.header_bytes("expect").is_some();
        Manner::of(seen.target.as_bytes(), seen.minor, keeps, expects)
    };
    let body = req.body();
    let note = Rc::clone(noted);
    let ended = move || {
        let mut seen = note.borrow_mut();
        seen.ended += 1;
        seen.trailers =
            body.trailers().into_iter().map(|(name, value)| (name.into(), value)).collect();
    };
    match manner {
        Manner::Early => return res.end(receipt(place, &noted.borrow().target, &[])),
        Manner::Pipe => {
            // The answer has the content; that all of it came is known there.
            req.on_end(ended);
            return req.pipe(res);
        }
        _ => {}
    }
    let note = Rc::clone(noted);
    req.on_data(move |chunk| {
        note.borrow_mut().content.extend_from_slice(chunk);
        if manner == Manner::Echo {
            res.write(chunk);
        }
    });
    let note = Rc::clone(noted);
    req.on_end(move || {
        ended();
        let seen = note.borrow();
        let text = receipt(place, &seen.target, &seen.content);
        match manner {
            Manner::Parts => {
                res.write(&text[..text.len() / 2]);
                res.end(&text[text.len() / 2..]);
            }
            Manner::Late => drop(lp.set_timeout(LATE, move || res.end(text))),
            Manner::Echo => res.end(""),
            _ => res.end(text),
        }
    });
}

/// Which request of the connection this is the answer to.
fn receipt(place: usize, target: &str, content: &[u8]) -> Vec<u8> {
    [format!("{place} {target} ").as_bytes(), content].concat()
}

/// What the program was told: the requests of the model and no others.
fn check_told(expected: &Conversation, seen: &[Rc<RefCell<Seen>>], over: Over) -> Verdict {
    let is_for_program = |request: &&model::Request| request.handling == Handling::Dispatched;
    let whole = expected.requests.iter().filter(is_for_program).map(|request| (request, true));
    let unfinished =
        expected.unfinished.iter().filter(is_for_program).map(|request| (request, false));
    let all: Vec<(&model::Request, bool)> = whole.chain(unfinished).collect();
    ensure(all.len() == seen.len(), || {
        format!("the program was told of {} requests, not {}: {seen:?}", seen.len(), all.len())
    })?;
    for ((request, is_whole), seen) in all.into_iter().zip(seen) {
        let seen = seen.borrow();
        let same_head = seen.method.as_bytes() == request.method
            && seen.target.as_bytes() == request.target
            && seen.minor == request.minor
            && seen.fields == request.fields;
        let manner = Manner::of_request(request);
        // What is piped is seen in the answer.
        let same_content = match manner {
            Manner::Early | Manner::Pipe => seen.content.is_empty(),
            _ => seen.content == request.content,
        };
        let was_read = manner != Manner::Early;
        let same_end = if !was_read {
            seen.ended == 0
        } else if is_whole {
            seen.ended == 1 && seen.trailers == request.trailers
        } else {
            seen.ended == 0 && (!over.is_so() || seen.failed == 1)
        };
        let is_closed = if is_whole || over.is_so() { seen.closed == 1 } else { seen.closed <= 1 };
        ensure(same_head && same_content && same_end && is_closed, || {
            format!("told {seen:?}\nexpected {request:?}")
        })?;
    }
    Ok(())
}

/// What the client is answered: every request in order and whole, then what the ending asks for.
fn check_answers(expected: &Conversation, received: &[u8], over: Over) -> Verdict {
    let mut rest = received;
    // Of those that the program answers.
    let mut place = 0;
    for (count, request) in expected.requests.iter().enumerate() {
        let reply = reply(rest, &request.method, over);
        let at = || format!("the answer to request {count}, {reply:?}");
        let (ReplyEnding::Complete { used }, Some(response)) = (&reply.ending, &reply.response)
        else {
            return Err(format!("not whole: {}", at()));
        };
        check_informational(&reply, request)?;
        let status = match request.handling {
            Handling::Dispatched => 200,
            Handling::Answered(status) => status,
        };
        ensure(response.status == status, || format!("another status than {status}: {}", at()))?;
        if request.method != b"HEAD" {
            ensure(response.content == content_of_answer(place, request), || {
                format!("other content: {}", at())
            })?;
        }
        let says_close = connection_says(&response.fields, "close");
        let is_last = count + 1 == expected.requests.len();
        let is_told = request.minor == 1 || connection_says(&response.fields, "keep-alive");
        ensure(!request.keeps_alive || is_told, || format!("keep-alive not confirmed: {}", at()))?;
        ensure(request.keeps_alive || says_close, || format!("no close: {}", at()))?;
        ensure(!says_close || !request.keeps_alive || is_last, || format!("closes: {}", at()))?;
        rest = &rest[*used..];
        place += usize::from(request.handling == Handling::Dispatched);
    }
    match (&expected.unfinished, &expected.ending) {
        (None, Ending::Waits) => ensure(!over.is_so() && rest.is_empty(), || "not waiting".into()),
        (None, Ending::Ends | Ending::ClosesAfterLast) => {
            ensure(over.is_so() && rest.is_empty(), || {
                "not ended, or something behind the end".into()
            })
        }
        (None, Ending::Refused(statuses)) => check_refusal(rest, statuses, over, false),
        (None, Ending::Cut) => check_refusal(rest, &[400], over, true),
        (Some(request), _) => check_unfinished(place, request, expected, rest, over),
    }
}

fn reply(bytes: &[u8], asked: &[u8], over: Over) -> Reply {
    let ended = over == Over::End;
    read_response(bytes, asked, ended, &Limits { head_bytes: 60_000, ..Limits::default() })
}

/// `100 (Continue)` at most, once at most, and only to who expects it.
fn check_informational(reply: &Reply, request: &model::Request) -> Verdict {
    let most = usize::from(request.expects_continue);
    let is_right = reply.informational.len() <= most
        && reply.informational.iter().all(|response| response.status == 100);
    ensure(is_right, || format!("unasked: {:?}", reply.informational))
}

fn content_of_answer(place: usize, request: &model::Request) -> Vec<u8> {
    let target = String::from_utf8_lossy(&request.target);
    match (request.handling, Manner::of_request(request)) {
        (Handling::Answered(_), _) => Vec::new(),
        (_, Manner::Early) => receipt(place, &target, &[]),
        (_, manner) if manner.sends_content_back() => request.content.clone(),
        _ => receipt(place, &target, &request.content),
    }
}

/// A refusal, and nothing behind it.
fn check_refusal(rest: &[u8], statuses: &[u16], over: Over, may_be_silent: bool) -> Verdict {
    ensure(over.is_so(), || "a connection goes on behind what was to be refused".into())?;
    if rest.is_empty() && may_be_silent {
        return Ok(());
    }
    let reply = reply(rest, b"GET", over);
    let response = reply.response.as_ref();
    let is_right = reply.ending == ReplyEnding::Complete { used: rest.len() }
        && reply.informational.is_empty()
        && response.is_some_and(|response| {
            statuses.contains(&response.status)
                && connection_says(&response.fields, "close")
                && response.framing == Framing::Length(0)
        });
    ensure(is_right, || format!("no refusal with one of {statuses:?}: {reply:?}"))
}

/// What may come of a request whose head is whole and whose content is not.
fn check_unfinished(
    place: usize,
    request: &model::Request,
    expected: &Conversation,
    rest: &[u8],
    over: Over,
) -> Verdict {
    let reply = reply(rest, &request.method, over);
    check_informational(&reply, request)?;
    let ending = &expected.ending;
    let informed = reply.informational.len() == 1;
    let behind = match informed {
        true => &rest[rest.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4..],
        false => rest,
    };
    let manner = Manner::of_request(request);
    let response = reply.response.as_ref();
    let is_answered = matches!(reply.ending, ReplyEnding::Complete { used } if used == rest.len())
        && response.is_some_and(|response| response.status == 200);
    // What was sent back before the flaw, and never its end.
    let is_part = response.is_some_and(|response| {
        let content = &response.content;
        response.status == 200
            && (request.content.starts_with(content) || request.method == b"HEAD")
    }) && (request.method == b"HEAD"
        || !matches!(reply.ending, ReplyEnding::Complete { .. }));
    ensure(over.is_so() != (*ending == Ending::Waits), || format!("over: {over:?}"))?;
    if manner == Manner::Early {
        let content = content_of_answer(place, request);
        let is_whole = is_answered
            && response.is_some_and(|found| found.content == content || request.method == b"HEAD");
        return ensure(is_whole, || format!("the early answer is missing: {reply:?}"));
    }
    let is_asked = informed || !(expected.awaits_continue && *ending == Ending::Waits);
    ensure(is_asked, || "the client is not asked for its content".into())?;
    let sends_back = manner.sends_content_back();
    match ending {
        Ending::Waits if sends_back && is_part => Ok(()),
        Ending::Waits => ensure(behind.is_empty(), || format!("too early: {reply:?}")),
        // The answer had begun: it is cut off.
        _ if sends_back && is_part => Ok(()),
        _ if sends_back && behind.is_empty() => Ok(()),
        // Even inside of its head.
        _ if sends_back && reply.ending == ReplyEnding::Cut => Ok(()),
        _ if sends_back && over == Over::Reset && reply.ending == ReplyEnding::Waits => Ok(()),
        Ending::Refused(statuses) => check_refusal(behind, statuses, over, false),
        Ending::Cut => check_refusal(behind, &[400], over, true),
        _ => Err(format!("impossible: {ending:?}")),
    }
}
