//! Responses from a server of raw bytes.
//!
//! Generated: bytes, cuts, the kind of request, whether the server ends its side. Asserted: whole and in pieces the
//! callbacks are told the same; what the oracle reads is what they are told, and a response that is cut off, wrong or
//! never finished is an error, never an end; the end is told exactly once, by `on_end` or by `on_error`, and `on_close`
//! once and last; nothing is left.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, ClientRequest, IncomingResponse, RequestOptions, Socket};
use onloop::internals::{ContentEnd, Question};
use onloop::sim::{SimNet, stats};
use onloop::{Address, EventLoop, LoopHandle, LoopOptions};

use crate::input::{Random, cuts};
use crate::model::{self, Limits, ReplyEnding};
use crate::oracle::{self, Fields, Stop, Text};

/// When a request is given up; longer than all pieces take to arrive.
const DEADLINE: Duration = Duration::from_secs(20);
/// Longer than every clock of the client.
const PATIENCE: Duration = Duration::from_secs(200);
/// Most informational responses that a client takes.
const INFORMATION_MAX: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Head,
    Post,
    Connect,
    Upgrade,
    /// Content only after 100.
    Expect,
    /// Nobody asks for the content.
    Unread,
}

const KINDS: [Kind; 7] =
    [Kind::Get, Kind::Head, Kind::Post, Kind::Connect, Kind::Upgrade, Kind::Expect, Kind::Unread];

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Kind::Get | Kind::Upgrade | Kind::Unread => "GET",
            Kind::Head => "HEAD",
            Kind::Post | Kind::Expect => "POST",
            Kind::Connect => "CONNECT",
        }
    }

    fn question(self) -> Question {
        match self {
            Kind::Head => Question::Head,
            Kind::Connect => Question::Connect,
            _ => Question::Other,
        }
    }
}

/// What the callbacks were told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Told {
    information: Vec<u16>,
    status: Option<u16>,
    reason: String,
    fields: Fields,
    content: Text,
    trailers: Fields,
    is_raw: bool,
    ends: u8,
    errors: Vec<&'static str>,
    /// Of the incoming response.
    incoming_errors: Vec<&'static str>,
    closes: u8,
    /// Of the raw connection.
    socket_closes: u8,
}

impl Told {
    fn is_over(&self) -> bool {
        self.closes > 0 && (!self.is_raw || self.socket_closes > 0)
    }
}

type Account = Rc<RefCell<Told>>;

/// The body of the target.
pub fn check(kind: usize, options: usize, bytes: &[u8], pieces: usize, seed: usize) {
    let kind = KINDS[kind % KINDS.len()];
    let ends = options & 1 == 0;
    let whole = play(kind, bytes, &[bytes.len()], ends);
    let cuts = cuts(pieces, bytes.len(), &mut Random::new(seed, bytes));
    let split = play(kind, bytes, &cuts, ends);
    assert_eq!(whole, split, "in pieces that end at {cuts:?}");
    judge(kind, bytes, ends, &whole);
    if kind != Kind::Upgrade {
        hold_against_model(kind, bytes, ends, &whole);
    }
}

fn play(kind: Kind, bytes: &[u8], cuts: &[usize], ends: bool) -> Told {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let address = "127.0.0.1:80".parse().unwrap_or_else(|error| panic!("{error}"));
    let Some(listener) = net.listen(&Address::Ip(address)) else { panic!("the port is free") };
    let account = Account::default();
    let request = ask(event_loop.handle(), kind, &account);
    let peer = loop {
        turn(&mut event_loop, Duration::from_millis(1));
        if let Some(peer) = listener.accept() {
            break peer;
        }
        assert!(net.now() < PATIENCE, "no connection");
    };
    turn(&mut event_loop, Duration::from_millis(1));
    let mut start = 0;
    for &cut in cuts {
        peer.write(&bytes[start..cut]);
        turn(&mut event_loop, Duration::from_micros(200));
        peer.read();
        start = cut;
    }
    if ends {
        peer.shutdown_write();
    }
    while !account.borrow().is_over() {
        turn(&mut event_loop, Duration::from_secs(60));
        peer.read();
        assert!(net.now() < PATIENCE, "{:?} does not end: {:?}", request, stats(&event_loop));
    }
    drop(peer);
    // What the request has left: a free connection that ends, a socket that closes.
    turn(&mut event_loop, Duration::from_secs(10));
    turn(&mut event_loop, Duration::from_secs(10));
    let left = stats(&event_loop);
    assert!(left.is_empty() && left.lingering == 0, "{left:?}");
    assert!(left.free_connections == 0 && net.open_sockets() == 0, "{left:?}");
    drop(event_loop);
    account.take()
}

fn turn(event_loop: &mut EventLoop, max: Duration) {
    event_loop.turn(Some(max)).unwrap_or_else(|error| panic!("{error}"));
}

fn ask(lp: LoopHandle, kind: Kind, account: &Account) -> ClientRequest {
    let mut options = RequestOptions::new(kind.method(), "http://127.0.0.1/").deadline(DEADLINE);
    match kind {
        Kind::Connect => options = options.path("h:1"),
        Kind::Upgrade => options = options.header("Connection", "upgrade").header("Upgrade", "x"),
        Kind::Expect => options = options.header("Expect", "100-continue"),
        _ => {}
    }
    let request = http::request_with(lp, options).unwrap_or_else(|error| panic!("{error}"));
    let (told, failed, closed) = (account.clone(), account.clone(), account.clone());
    request.on_information(move |information| {
        told.borrow_mut().information.push(information.status());
    });
    request.on_error(move |error| {
        assert_eq!(failed.borrow().closes, 0, "on_error after on_close");
        failed.borrow_mut().errors.push(error.code());
    });
    request.on_close(move || closed.borrow_mut().closes += 1);
    let responses = account.clone();
    request.on_response(move |response| {
        receive(&responses, kind, &response);
        // A final answer in place of 100: the content is not wanted, and the request has no more.
        request.end("");
    });
    for is_connect in [false, true] {
        let account = account.clone();
        let take = move |response: IncomingResponse, socket: Socket, head: &[u8]| {
            take_over(&account, &response, socket, head);
        };
        match is_connect {
            true if kind == Kind::Connect => request.on_connect(take),
            false if kind == Kind::Upgrade => request.on_upgrade(take),
            _ => {}
        }
    }
    match kind {
        Kind::Post => request.end("content"),
        Kind::Expect => {
            request.on_continue(move || request.end("content"));
            request.flush_headers();
        }
        _ => request.end(""),
    }
    request
}

fn note(account: &Account, response: &IncomingResponse) {
    let mut told = account.borrow_mut();
    assert_eq!(told.status, None, "a second response");
    told.status = Some(response.status());
    told.reason = response.status_message().into_owned();
    let fields = response.headers();
    told.fields = fields.map(|(name, value)| (name.into(), value.into())).collect();
}

fn receive(account: &Account, kind: Kind, response: &IncomingResponse) {
    note(account, response);
    let body = response.body();
    if kind != Kind::Unread {
        let data = account.clone();
        response.on_data(move |chunk| {
            assert_eq!(data.borrow().ends, 0, "content after the end");
            data.borrow_mut().content.0.extend_from_slice(chunk);
        });
    }
    let (ended, failed) = (account.clone(), account.clone());
    response.on_end(move || {
        let mut told = ended.borrow_mut();
        told.ends += 1;
        let fields = body.trailers().into_iter();
        told.trailers = fields.map(|(name, value)| (name.as_str().into(), value.into())).collect();
    });
    response.on_error(move |error| failed.borrow_mut().incoming_errors.push(error.code()));
}

/// The connection is the user's.
fn take_over(account: &Account, response: &IncomingResponse, socket: Socket, head: &[u8]) {
    note(account, response);
    account.borrow_mut().is_raw = true;
    account.borrow_mut().content.0.extend_from_slice(head);
    let (data, ended, failed, closed) =
        (account.clone(), account.clone(), account.clone(), account.clone());
    socket.on_data(move |chunk| data.borrow_mut().content.0.extend_from_slice(chunk));
    socket.on_end(move || {
        ended.borrow_mut().ends += 1;
        socket.end("");
    });
    socket.on_error(move |error| failed.borrow_mut().errors.push(error.code()));
    socket.on_close(move || closed.borrow_mut().socket_closes += 1);
    socket.set_timeout(DEADLINE);
    socket.on_timeout(move || socket.destroy());
}

/// What the oracle reads.
#[derive(Debug)]
struct Expected {
    information: usize,
    head: Option<oracle::Head>,
    content: Text,
    trailers: Fields,
    is_complete: bool,
    is_raw: bool,
}

fn judge(kind: Kind, bytes: &[u8], ends: bool, told: &Told) {
    let expected = read_response(kind, bytes, ends);
    assert_eq!((told.closes, told.socket_closes), (1, u8::from(told.is_raw)), "{told:?}");
    assert!(told.ends <= 1 && told.errors.len() + told.incoming_errors.len() <= 2, "{told:?}");
    if expected.information > INFORMATION_MAX {
        assert!(!told.errors.is_empty(), "too much information was taken: {told:?}");
        return;
    }
    assert_eq!(told.information.len(), expected.information, "{told:?} {expected:?}");
    assert_eq!(told.is_raw, expected.is_raw, "{told:?} {expected:?}");
    assert_eq!(told.status, expected.head.as_ref().map(|head| head.status), "{told:?}");
    if let Some(head) = &expected.head {
        assert_eq!(told.fields, head.fields);
    }
    if expected.is_raw {
        assert_eq!((told.ends == 1, &told.content), (ends, &expected.content));
        return;
    }
    assert_eq!(told.ends == 1, expected.is_complete, "{told:?} {expected:?}");
    assert_eq!(told.ends == 0, !told.errors.is_empty() || !told.incoming_errors.is_empty());
    if expected.is_complete && kind != Kind::Unread {
        assert_eq!((&told.content, &told.trailers), (&expected.content, &expected.trailers));
    }
}

fn hold_against_model(kind: Kind, bytes: &[u8], ends: bool, told: &Told) {
    let method = kind.method().as_bytes();
    let reply = model::read_response(bytes, method, ends, &Limits::default());
    match reply.ending {
        ReplyEnding::Complete { .. } => {
            assert_eq!((told.ends, told.errors.len()), (1, 0), "{told:?} {reply:?}");
            let Some(response) = &reply.response else { panic!("no response: {reply:?}") };
            assert_eq!(told.status, Some(response.status));
            assert_eq!(told.reason, String::from_utf8_lossy(&response.reason));
            assert!(kind == Kind::Unread || *told.content == *response.content, "{told:?}");
        }
        ReplyEnding::Tunnel { used } => assert_eq!(*told.content, bytes[used..], "{reply:?}"),
        ReplyEnding::Refused | ReplyEnding::Cut | ReplyEnding::Waits => {
            assert_eq!(told.ends, 0, "{told:?} {reply:?}");
        }
    }
}

fn read_response(kind: Kind, bytes: &[u8], ends: bool) -> Expected {
    let mut expected = Expected {
        information: 0,
        head: None,
        content: Text::default(),
        trailers: Fields::new(),
        is_complete: false,
        is_raw: false,
    };
    let mut rest = bytes;
    let head = loop {
        let Ok((head, length)) = oracle::response(rest) else { return expected };
        rest = &rest[length..];
        // RFC 9110 §15.2.2, §7.8: it has to say to what, which has to be what was asked for.
        let is_switch = kind == Kind::Upgrade && oracle::is_switch_to(&head, "x");
        if head.status == 101 && !is_switch {
            return expected;
        }
        if head.status == 101 || head.status >= 200 {
            break head;
        }
        expected.information += 1;
    };
    let Ok(end) = oracle::response_end(&head, kind.question()) else { return expected };
    let tunnel = kind == Kind::Connect && (200..300).contains(&head.status);
    expected.is_raw = head.status == 101 || tunnel;
    expected.head = Some(head);
    if expected.is_raw {
        expected.content = rest.into();
        return expected;
    }
    match end {
        ContentEnd::None => expected.is_complete = true,
        ContentEnd::UntilClose => {
            expected.is_complete = ends;
            expected.content = rest.into();
        }
        ContentEnd::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            expected.is_complete = length <= rest.len();
            expected.content = rest[..length.min(rest.len())].into();
        }
        ContentEnd::Chunked => match oracle::chunked(rest) {
            Ok((chunked, _)) => {
                expected.is_complete = true;
                (expected.content, expected.trailers) = (chunked.content, chunked.trailers);
            }
            Err(Stop::Incomplete | Stop::Wrong) => {}
        },
    }
    expected
}
