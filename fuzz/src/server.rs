//! Whole connections to a server with handlers of many kinds.
//!
//! Generated: bytes, cuts, options of the server, whether the client ends its side. Asserted: whole and in pieces
//! the handlers see the same and the client gets the same; every byte sent is a response that the oracle can read;
//! where the options are the default ones, the requests that the oracle finds are those that are dispatched, with
//! their content, each that is complete is answered, and nothing follows the last answer; every exchange is closed
//! once; nothing is left.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{Request, Response, Server, ServerOptions, Socket};
use onloop::internals::{ContentEnd, Question};
use onloop::sim::{SimNet, SimPeer, stats};
use onloop::{Address, Error, EventLoop, LoopHandle, LoopOptions};

use crate::answers::{self, Answers};
use crate::input::{Random, cuts};
use crate::model::{self, Limits};
use crate::oracle::{self, Fields, Stop, Text};

/// Longer than all pieces of an input take to arrive.
const LATE: Duration = Duration::from_secs(10);
/// Longer than every clock of the server, and than as many requests for `/late` as an input has room for.
const PATIENCE: Duration = Duration::from_secs(5000);

/// What a handler saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchange {
    method: String,
    url: String,
    fields: Fields,
    content: Text,
    trailers: Fields,
    /// `end`, or the code of the error.
    outcomes: Vec<&'static str>,
    closes: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    exchanges: Vec<Exchange>,
    answers: Answers,
    is_reset: bool,
}

impl Seen {
    /// What cannot depend on when the bytes came. Where a client awaits 100 and gets a final answer, content that
    /// has come already is content; else nobody knows what the client sends next, and the connection ends. A
    /// connection that ends with the client's side is closed over what was not read, or not. And of an answer that
    /// breaks off with its request a part has left by then, or nothing; what comes behind that meets a reset.
    fn timeless(&self, allows_half_open: bool) -> Seen {
        let mut seen = self.clone();
        seen.is_reset &= allows_half_open;
        let fails = |exchange: &Exchange| exchange.outcomes.iter().any(|&outcome| outcome != "end");
        if seen.exchanges.last().is_some_and(fails) {
            seen.answers.list.retain(|answer| !answer.is_cut);
            let finals = seen.answers.list.iter().filter(|answer| answer.is_final()).count();
            seen.is_reset &= finals >= seen.exchanges.len();
        }
        let awaits = |exchange: &Exchange| {
            let mut values = oracle::values(&exchange.fields, "expect");
            !reads(&exchange.url) && values.next().is_some()
        };
        if let Some(at) = seen.exchanges.iter().position(awaits) {
            seen.exchanges.truncate(at);
            let mut finals = 0;
            seen.answers.list.retain(|answer| {
                finals += usize::from(answer.is_final());
                finals <= at
            });
        }
        seen
    }
}

type Log = Rc<RefCell<Vec<Exchange>>>;

/// One connection.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub bytes: &'a [u8],
    pub options: usize,
    /// The client ends its side behind the bytes.
    pub ends: bool,
}

/// The body of the target.
pub fn check(case: Case<'_>, pieces: usize, seed: usize) {
    let whole = play(case, &[case.bytes.len()]);
    let cuts = cuts(pieces, case.bytes.len(), &mut Random::new(seed, case.bytes));
    let split = play(case, &cuts);
    let halves = case.options != HALF_CLOSED;
    assert_eq!(whole.timeless(halves), split.timeless(halves), "in pieces that end at {cuts:?}");
    if case.options == 0 {
        judge(case, &whole);
        hold_against_model(case, &whole);
    }
}

/// The options by which a client that ends its side ends the connection.
const HALF_CLOSED: usize = 3;

fn options(choice: usize) -> ServerOptions {
    let options = ServerOptions::new();
    match choice {
        0 => options,
        1 => options.max_header_size(128).max_target_size(20).max_headers_count(4),
        2 => options.max_body_size(10).max_requests_per_socket(3),
        _ => options.allow_half_open(false).require_host_header(false).join_duplicate_headers(true),
    }
}

fn play(case: Case<'_>, cuts: &[usize]) -> Seen {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let log = Log::default();
    let server = serve(event_loop.handle(), options(case.options), &log);
    let peer = net.connect(&server.address().unwrap_or_else(|| panic!("no address")));
    let mut received = Vec::new();
    turn(&mut event_loop, Duration::from_millis(1));
    let mut start = 0;
    for &cut in cuts {
        let piece = &case.bytes[start..cut];
        let taken = peer.write(piece);
        assert!(taken == piece.len() || peer.is_reset(), "the network is full");
        turn(&mut event_loop, Duration::from_micros(200));
        received.extend(peer.read());
        start = cut;
    }
    if case.ends {
        peer.shutdown_write();
    }
    let is_reset = listen_on(&net, &mut event_loop, &peer, &mut received);
    drop(peer);
    finish(&net, event_loop, server);
    let exchanges = log.take();
    let asked = |number: usize| match exchanges.get(number).map(|exchange| &*exchange.method) {
        Some("HEAD") => Question::Head,
        Some("CONNECT") => Question::Connect,
        _ => Question::Other,
    };
    let answers = answers::read(&received, asked);
    for exchange in &exchanges {
        assert_eq!(exchange.closes, 1, "on_close of {exchange:?}");
        assert!(exchange.outcomes.len() <= 1, "{exchange:?}");
    }
    Seen { exchanges, answers, is_reset }
}

/// Until the connection is over, or nothing more can come. Gives whether it was reset.
fn listen_on(
    net: &SimNet,
    event_loop: &mut EventLoop,
    peer: &SimPeer,
    received: &mut Vec<u8>,
) -> bool {
    while net.now() < PATIENCE && !peer.is_eof() && !peer.is_reset() {
        turn(event_loop, Duration::from_secs(60));
        received.extend(peer.read());
    }
    received.extend(peer.read());
    peer.is_reset()
}

fn turn(event_loop: &mut EventLoop, max: Duration) {
    event_loop.turn(Some(max)).unwrap_or_else(|error| panic!("{error}"));
}

fn finish(net: &SimNet, mut event_loop: EventLoop, server: Server) {
    server.close();
    let end = net.now() + PATIENCE;
    while event_loop.is_alive() {
        assert!(net.now() < end, "the loop does not end: {:?}", stats(&event_loop));
        turn(&mut event_loop, Duration::from_secs(60));
    }
    // Those that linger go by themselves.
    turn(&mut event_loop, Duration::from_secs(10));
    turn(&mut event_loop, Duration::from_secs(10));
    let left = stats(&event_loop);
    assert!(left.is_empty() && left.lingering == 0 && net.open_sockets() == 0, "{left:?}");
}

fn serve(lp: LoopHandle, options: ServerOptions, log: &Log) -> Server {
    let server = Server::new(lp, options).unwrap_or_else(|error| panic!("{error}"));
    let requests = log.clone();
    server.on_request(move |req, res| handle(lp, &requests, req, res));
    let expecting = log.clone();
    server.on_check_expectation(move |req, res| handle(lp, &expecting, req, res));
    let upgrades = log.clone();
    server.should_upgrade(|req| req.url() == "/upgrade");
    server.on_upgrade(move |req, socket, head| {
        let status = "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x";
        hand_over(&upgrades, &req, socket, status, head);
    });
    let tunnels = log.clone();
    server.on_connect(move |req, socket, head| hand_over(&tunnels, &req, socket, "200 OK", head));
    let address = "127.0.0.1:80".parse().unwrap_or_else(|error| panic!("{error}"));
    server.listen(Address::Ip(address)).unwrap_or_else(|error| panic!("{error}"));
    server
}

fn note(log: &Log, req: &Request) -> usize {
    let fields = req.headers().map(|(name, value)| (name.into(), value.into()));
    let exchange = Exchange {
        method: req.method().into(),
        url: req.url().into(),
        fields: fields.collect(),
        ..Exchange::default()
    };
    let mut exchanges = log.borrow_mut();
    exchanges.push(exchange);
    exchanges.len() - 1
}

/// The raw connection echoes.
fn hand_over(log: &Log, req: &Request, socket: Socket, status: &str, head: &[u8]) {
    let number = note(log, req);
    let closed = log.clone();
    socket.on_close(move || closed.borrow_mut()[number].closes += 1);
    socket.write(format!("HTTP/1.1 {status}\r\n\r\n"));
    socket.write(head);
    socket.pipe(socket);
}

fn handle(lp: LoopHandle, log: &Log, req: Request, res: Response) -> onloop::Result<()> {
    let number = note(log, &req);
    let body = req.body();
    let ended = log.clone();
    let failed = log.clone();
    let closed = log.clone();
    body.on_end(move || {
        let exchange = &mut ended.borrow_mut()[number];
        exchange.outcomes.push("end");
        let fields = body.trailers().into_iter();
        exchange.trailers =
            fields.map(|(name, value)| (name.as_str().into(), value.into())).collect();
    });
    // Else the request would be told of what breaks the response off, behind its end.
    res.on_error(|_| {});
    body.on_error(move |error| failed.borrow_mut()[number].outcomes.push(error.code()));
    body.on_close(move || closed.borrow_mut()[number].closes += 1);
    let path = req.url().split('?').next().unwrap_or_default().to_owned();
    match &*path {
        "/early" => res.end("early"),
        "/late" => {
            lp.set_timeout(LATE, move || res.end("late"));
        }
        "/status" => {
            res.set_status([200, 204, 205, 304, 404, 999][req.url().len() % 6]);
            res.end("content");
        }
        "/close" => {
            res.set_header("Connection", "close")?;
            res.end("close");
        }
        "/fail" => return Err(Error::other("as it should")),
        "/info" => {
            res.write_processing()?;
            res.write_early_hints([("Link", "</style.css>; rel=preload")])?;
            res.end("info");
        }
        "/pipe" => req.pipe(res),
        "/stream" => {
            let read = log.clone();
            req.on_data(move |chunk| {
                read.borrow_mut()[number].content.0.extend_from_slice(chunk);
                res.write(chunk);
            });
            let end = log.clone();
            req.on_end(move || {
                end.borrow_mut()[number].outcomes.push("end");
                res.set_header("Late", "x").err();
                res.add_trailer("T", "v").err();
                res.end("");
            });
        }
        _ => {
            let collected = log.clone();
            req.collect(100_000, move |content| {
                let content = content?;
                collected.borrow_mut()[number].content = content.clone().into();
                res.end(content);
                Ok(())
            });
        }
    }
    Ok(())
}

/// What the oracle finds in the bytes.
#[derive(Debug, Default)]
struct Expected {
    /// Heads in order, the content of each where it is complete.
    requests: Vec<(oracle::Head, Option<Text>)>,
    /// Behind them comes something that is none.
    is_refused: bool,
}

fn judge(case: Case<'_>, seen: &Seen) {
    let expected = read_requests(case.bytes);
    // An answer that closes lets nothing follow.
    let heads = seen.exchanges.iter().zip(&expected.requests);
    for (exchange, (head, content)) in heads {
        assert_eq!(
            (exchange.method.as_bytes(), exchange.url.as_bytes()),
            (&*head.method, &*head.target)
        );
        assert_eq!(exchange.fields, head.fields);
        match content {
            Some(content) if reads(&exchange.url) => assert_eq!(&exchange.content, content),
            Some(_) => {}
            None => assert!(!exchange.outcomes.contains(&"end"), "an end of {exchange:?}"),
        }
    }
    let count = seen.exchanges.len();
    let finals: Vec<_> = seen.answers.list.iter().filter(|answer| answer.is_final()).collect();
    let closed = finals.iter().any(|answer| answer.closes());
    assert!(count <= expected.requests.len(), "{:?} is no request", seen.exchanges.last());
    if count < expected.requests.len() {
        assert!(closed || seen.is_reset, "request {count} was not dispatched: {expected:?}");
    }
    let complete = expected.requests[..count].iter().filter(|(_, content)| content.is_some());
    let handed_over = usize::from(finals.last().is_none_or(|last| last.status != 200))
        .min(seen.answers.list.iter().filter(|answer| answer.status == 101).count());
    assert!(
        finals.len() + handed_over >= complete.count() && finals.len() <= count + 1,
        "{} answers to {count} requests: {seen:?}",
        finals.len()
    );
    let last = finals.iter().position(|answer| answer.closes());
    assert!(last.is_none_or(|last| last + 1 == finals.len()), "an answer behind the last one");
}

/// The model knows neither upgrades nor tunnels, and answers strange expectations by itself; what comes before the
/// first of these must be the same, and a refusal has one of its statuses.
fn hold_against_model(case: Case<'_>, seen: &Seen) {
    let conversation = model::read_connection(case.bytes, case.ends, &Limits::default());
    let is_special = |request: &model::Request| {
        request.handling != model::Handling::Dispatched || request.target == b"/upgrade"
    };
    let known = conversation.requests.iter().chain(&conversation.unfinished);
    let plain: Vec<_> = known.clone().take_while(|request| !is_special(request)).collect();
    for (exchange, request) in seen.exchanges.iter().zip(&plain) {
        let told = (exchange.method.as_bytes(), exchange.url.as_bytes());
        assert_eq!(told, (&*request.method, &*request.target));
        let fields = exchange.fields.iter().map(|(name, value)| (&**name, &**value));
        assert!(fields.eq(request.fields.iter().map(|(name, value)| (&**name, &**value))));
    }
    for (exchange, request) in seen
        .exchanges
        .iter()
        .zip(&conversation.requests[..plain.len().min(conversation.requests.len())])
    {
        assert!(!reads(&exchange.url) || *exchange.content == *request.content);
    }
    let finals: Vec<_> = seen.answers.list.iter().filter(|answer| answer.is_final()).collect();
    let model::Ending::Refused(statuses) = &conversation.ending else { return };
    let closes_before = finals.iter().rev().skip(1).any(|answer| answer.closes());
    let all_plain = known.count() == plain.len() && conversation.unfinished.is_none();
    if all_plain && !closes_before && finals.len() == conversation.requests.len() + 1 {
        let refusal = finals.last().map(|answer| answer.status);
        assert!(
            refusal.is_some_and(|status| statuses.contains(&status)),
            "{refusal:?}: {statuses:?}"
        );
    }
}

/// Handlers that take all of the content.
fn reads(url: &str) -> bool {
    let path = url.split('?').next().unwrap_or_default();
    !["/early", "/late", "/status", "/close", "/fail", "/info", "/pipe"].contains(&path)
}

fn read_requests(bytes: &[u8]) -> Expected {
    let mut expected = Expected::default();
    let mut rest = bytes;
    loop {
        let (head, length) = match oracle::request(rest) {
            Ok(found) => found,
            Err(stop) => {
                expected.is_refused = stop == Stop::Wrong;
                return expected;
            }
        };
        let Ok(end) = oracle::request_end(&head) else {
            expected.is_refused = true;
            return expected;
        };
        rest = &rest[length..];
        let content = match end {
            ContentEnd::None | ContentEnd::UntilClose => Some((Text::default(), 0)),
            ContentEnd::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                rest.get(..length).map(|content| (content.into(), length))
            }
            ContentEnd::Chunked => match oracle::chunked(rest) {
                Ok((chunked, length)) => Some((chunked.content, length)),
                Err(_) => None,
            },
        };
        let option = |name| oracle::has_element(&head.fields, "connection", name);
        let persists = !option("close") && (head.minor == 1 || option("keep-alive"));
        let is_last = !persists || *head.method == *b"CONNECT" || content.is_none();
        let is_upgrade = *head.target == *b"/upgrade" && oracle::offers_upgrade(&head);
        let (content, length) =
            content.map_or((None, 0), |(content, length)| (Some(content), length));
        expected.requests.push((head, content));
        if is_last || is_upgrade {
            return expected;
        }
        rest = &rest[length..];
    }
}
