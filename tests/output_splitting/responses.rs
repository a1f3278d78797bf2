//! What a server's program can say.

use std::cell::RefCell;
use std::rc::Rc;

use onloop::http::{Response, Server, ServerOptions};
use onloop::sim::SimNet;
use onloop::{EventLoop, LoopOptions, Result};

use crate::judged::model::grammar::trimmed;
use crate::judged::model::message::Field;
use crate::judged::model::{self, Limits, ReplyEnding, read_response};
use crate::judged::{REST, pass, shown};
use crate::{INJECTED, Takes, is_harmless, latin, text, texts};

type Call = Takes<fn(&Response, &[u8]) -> Result<()>, fn(&Response, &str) -> Result<()>>;

/// What a call that was taken adds to a response, as far as the text goes.
#[derive(Clone, Copy)]
enum Adds {
    /// These fields: what is made of the text.
    Fields(fn(&[u8]) -> Vec<Field>),
    Trailer(fn(&[u8]) -> Vec<Field>),
    Reason,
    /// An informational response with these fields.
    Informational(u16, fn(&[u8]) -> Vec<Field>),
    /// Nothing but, at most, fields of this name, which the library has its own mind about.
    Steers(&'static str),
}

use Adds::{Fields, Informational, Reason, Steers, Trailer};
use Takes::{Bytes, Str};

fn x(value: &[u8]) -> Vec<Field> {
    vec![(b"X-A".to_vec(), trimmed(value).to_vec())]
}

/// Bytes as they are, and text as UTF-8.
fn named(name: &[u8]) -> Vec<Field> {
    vec![(name.to_vec(), b"v".to_vec())]
}

#[rustfmt::skip]
const CALLS: [(&str, Call, Adds); 47] = [
    ("set_header, text", Str(|res, t| res.set_header("X-A", t)), Fields(x)),
    ("set_header, bytes", Bytes(|res, t| res.set_header("X-A", t)), Fields(x)),
    ("set_header, name", Str(|res, t| res.set_header(t, "v")), Fields(named)),
    ("append_header, text", Str(|res, t| res.append_header("X-A", t)), Fields(x)),
    ("append_header, bytes", Bytes(|res, t| res.append_header("X-A", t)), Fields(x)),
    ("append_header, name", Str(|res, t| res.append_header(t, "v")), Fields(named)),
    ("append_header, behind another", Bytes(|res, t| { res.set_header("X-A", "b")?; res.append_header("X-A", t) }),
        Fields(|t| [x(b"b"), x(t)].concat())),
    ("set_header_all", Bytes(|res, t| res.set_header_all("X-A", [t, b"b"])), Fields(|t| [x(t), x(b"b")].concat())),
    ("set_header_all, name", Str(|res, t| res.set_header_all(t, ["v"])), Fields(named)),
    ("set_header_all, Cookie", Bytes(|res, t| res.set_header_all("Cookie", [t, b"b"])),
        Fields(|t| vec![(b"Cookie".to_vec(), trimmed(&joined(t)).to_vec())])),
    ("set_header_all, unique", Bytes(|res, t| res.set_header_all("X-Unique", [t, b"b"])),
        Fields(|t| vec![(b"X-Unique".to_vec(), trimmed(&joined(t)).to_vec())])),
    ("append_header, unique", Bytes(|res, t| { res.set_header("X-Unique", "a")?; res.append_header("X-Unique", t) }),
        Fields(|t| vec![(b"X-Unique".to_vec(), trimmed(&[b"a; ", t].concat()).to_vec())])),
    ("set_headers", Bytes(|res, t| res.set_headers([("X-A", t)])), Fields(x)),
    ("set_headers, name", Str(|res, t| res.set_headers([(t, "v")])), Fields(named)),
    ("write_head", Bytes(|res, t| res.write_head(200, [("X-A", t)])), Fields(x)),
    ("write_head, text", Str(|res, t| res.write_head(200, [("X-A", t)])), Fields(x)),
    ("write_head, name", Str(|res, t| res.write_head(200, [(t, "v")])), Fields(named)),
    ("write_head_with_reason", Str(|res, t| res.write_head_with_reason(200, t, [("X-A", "v"); 0])), Reason),
    ("write_head_with_reason, field", Bytes(|res, t| res.write_head_with_reason(200, "OK", [("X-A", t)])), Fields(x)),
    ("set_status_message", Str(|res, t| res.set_status_message(t)), Reason),
    ("write_information", Bytes(|res, t| res.write_information(102, [("X-A", t)])), Informational(102, x)),
    ("write_information, name", Str(|res, t| res.write_information(102, [(t, "v")])), Informational(102, named)),
    ("write_early_hints, link", Str(|res, t| res.write_early_hints([("Link", t)])), Informational(103, link)),
    ("write_early_hints, uri", Str(|res, t| res.write_early_hints([("Link", format!("<{t}>"))])),
        Informational(103, |t| link(&[b"<", t, b">"].concat()))),
    ("write_early_hints, parameter", Str(|res, t| res.write_early_hints([("Link", format!("</a>; rel={t}"))])),
        Informational(103, |t| link(&[b"</a>; rel=", t].concat()))),
    ("write_early_hints, second", Str(|res, t| res.write_early_hints([("Link", "</a>"), ("link", &format!("<{t}>"))])),
        Informational(103, |t| link(&[b"</a>, <", t, b">"].concat()))),
    ("write_early_hints, field", Bytes(|res, t| res.write_early_hints([("Link", &b"</a>"[..]), ("X-A", t)])),
        Informational(103, |t| [link(b"</a>"), x(t)].concat())),
    ("write_early_hints, name", Str(|res, t| res.write_early_hints([("Link", "</a>"), (t, "v")])),
        Informational(103, |t| [link(b"</a>"), named(t)].concat())),
    ("add_trailer", Bytes(|res, t| { res.write("con"); res.add_trailer("X-A", t) }), Trailer(x)),
    ("add_trailer, name", Str(|res, t| { res.write("con"); res.add_trailer(t, "v") }), Trailer(named)),
    ("add_trailers", Bytes(|res, t| { res.write("con"); res.add_trailers([("X-A", t)]) }), Trailer(x)),
    ("add_trailers, name", Str(|res, t| { res.write("con"); res.add_trailers([(t, "v")]) }), Trailer(named)),
    ("Trailer", Bytes(|res, t| res.set_header("Trailer", t)), Steers("Trailer")),
    ("Connection", Bytes(|res, t| res.set_header("Connection", t)), Steers("Connection")),
    ("Connection, appended", Bytes(|res, t| res.append_header("Connection", t)), Steers("Connection")),
    ("Keep-Alive", Bytes(|res, t| res.set_header("Keep-Alive", t)), Steers("Keep-Alive")),
    ("Content-Length", Bytes(|res, t| res.set_header("Content-Length", t)), Steers("Content-Length")),
    ("Content-Length, write_head", Bytes(|res, t| res.write_head(200, [("Content-Length", t)])), Steers("Content-Length")),
    ("Transfer-Encoding", Bytes(|res, t| res.set_header("Transfer-Encoding", t)), Steers("Transfer-Encoding")),
    ("Transfer-Encoding, list", Str(|res, t| res.set_header("Transfer-Encoding", format!("{t}, chunked"))),
        Steers("Transfer-Encoding")),
    ("Date", Bytes(|res, t| res.set_header("Date", t)), Steers("Date")),
    ("Upgrade", Bytes(|res, t| res.set_header("Upgrade", t)), Steers("Upgrade")),
    ("Set-Cookie", Bytes(|res, t| res.set_header_all("Set-Cookie", [t, t])), Steers("Set-Cookie")),
    ("Location", Bytes(|res, t| res.set_header("Location", t)), Steers("Location")),
    ("remove_header", Str(|res, t| res.remove_header(t)), Fields(|_| Vec::new())),
    ("HeaderMap", Bytes(|res, t| match ::http::HeaderValue::from_bytes(t) {
        Ok(value) => res.set_headers(&::http::HeaderMap::from_iter([(::http::header::FROM, value)])),
        Err(_) => res.set_header("X-A", "\r"),
    }), Fields(|t| vec![(b"from".to_vec(), trimmed(t).to_vec())])),
    ("content", Bytes(|res, t| { res.write("con"); res.write(t); Ok(()) }), Fields(|_| Vec::new())),
];

fn link(value: &[u8]) -> Vec<Field> {
    vec![(b"Link".to_vec(), trimmed(value).to_vec())]
}

fn joined(value: &[u8]) -> Vec<u8> {
    [value, b"; b"].concat()
}

/// What the library writes by itself.
const OWN: [&str; 5] = ["date", "connection", "keep-alive", "content-length", "transfer-encoding"];

/// Calls that put the text nowhere, or where all bytes may be.
const RAW: [&str; 2] = ["content", "remove_header"];

fn is_own(name: &[u8]) -> bool {
    OWN.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
}

struct Stage {
    net: SimNet,
    event_loop: EventLoop,
    server: Server,
    /// Whether the last call was taken.
    taken: Rc<RefCell<Option<bool>>>,
}

impl Stage {
    /// Requests for `/NUMBER/TEXT` make the call of that number with the text of that number.
    fn new() -> Stage {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::new());
        let options = ServerOptions::new().unique_headers(["X-Unique"]);
        let server = Server::new(event_loop.handle(), options).expect("a server");
        let taken = Rc::new(RefCell::new(None));
        let note = Rc::clone(&taken);
        let (for_text, for_bytes) = (texts(true), texts(false));
        server.on_request(move |req, res| {
            let mut numbers = req.url()[1..].split('/').map(|part| part.parse().expect("a number"));
            let (_, call, _) = CALLS[numbers.next().expect("two numbers")];
            let place: usize = numbers.next().expect("two numbers");
            let result = match call {
                Bytes(call) => call(&res, &for_bytes[place]),
                Str(call) => call(&res, text(&for_text[place])),
            };
            *note.borrow_mut() = Some(result.is_ok());
            // Some have written the first part; then they have no length.
            match res.headers_sent() && res.writable_length() > 0 {
                true => res.end("tent"),
                false => res.end("content"),
            }
        });
        server.listen("127.0.0.1:80").expect("a free address");
        Stage { net, event_loop, server, taken }
    }

    /// The bytes of the answer on a connection of its own, and whether the call was taken.
    fn answer(&mut self, call: usize, place: usize) -> (Vec<u8>, bool) {
        let peer = self.net.connect(&self.server.address().expect("it listens"));
        peer.write(format!("GET /{call}/{place} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        peer.shutdown_write();
        pass(&self.net, &mut self.event_loop, REST);
        assert!(peer.is_connected() || peer.available() > 0);
        (peer.read(), self.taken.take().expect("the handler ran"))
    }
}

/// Whether the text was taken; panics where the answer is not what was meant.
fn check(stage: &mut Stage, number: usize, place: usize, given: &[u8]) -> bool {
    let (name, _, adds) = CALLS[number];
    let (wire, taken) = stage.answer(number, place);
    let context = || format!("{name} with {}, taken: {taken}: {}", shown(given), shown(&wire));
    let limits = Limits { head_bytes: 60_000, ..Limits::default() };
    let reply = read_response(&wire, b"GET", true, &limits);
    let is_one = reply.ending == ReplyEnding::Complete { used: wire.len() };
    assert!(is_one, "{}\n{reply:?}", context());
    let response = reply.response.expect("a response");
    if name == "content" {
        let content = [b"con", given, b"tent"].concat();
        assert_eq!(response.content, content, "{}", context());
    } else {
        assert_eq!(response.content, b"content", "{}", context());
    }
    let mut informational: Vec<(u16, Vec<Field>)> = Vec::new();
    let (mut fields, mut trailers, mut reason) = (Vec::new(), Vec::new(), b"OK".to_vec());
    match adds {
        _ if !taken => fields = set_before(name),
        Fields(made) => fields = made(given),
        Trailer(made) => trailers = made(given),
        Reason => reason = latin(text(given)),
        Informational(status, made) => informational.push((status, made(given))),
        Steers(_) => {}
    }
    let own = |field: &Field| match adds {
        Steers(name) => is_own(&field.0) || field.0.eq_ignore_ascii_case(name.as_bytes()),
        _ => is_own(&field.0),
    };
    let others: Vec<Field> = response.fields.iter().filter(|field| !own(field)).cloned().collect();
    assert_eq!(others, fields, "{}", context());
    assert_eq!(response.trailers, trailers, "{}", context());
    // An empty reason is the usual one.
    assert!(response.reason == reason || reason.is_empty(), "{}", context());
    let told: Vec<(u16, Vec<Field>)> =
        reply.informational.into_iter().map(|found| (found.status, found.fields)).collect();
    // Hints without a link are not sent.
    assert!(
        told == informational || (told.is_empty() && given.is_empty()),
        "{} {told:?}",
        context()
    );
    assert!(!says_injected(&response), "{}", context());
    assert!(!taken || RAW.contains(&name) || is_harmless(given), "{}", context());
    taken
}

/// What a call has set before the text was refused.
fn set_before(name: &str) -> Vec<Field> {
    match name {
        "append_header, behind another" => x(b"b"),
        "append_header, unique" => vec![(b"X-Unique".to_vec(), b"a".to_vec())],
        _ => Vec::new(),
    }
}

fn says_injected(response: &model::Response) -> bool {
    let all = response.fields.iter().chain(&response.trailers);
    all.into_iter().any(|(name, _)| name.eq_ignore_ascii_case(INJECTED.as_bytes()))
}

#[test]
fn no_text_given_to_a_response_can_split_it() {
    let mut stage = Stage::new();
    for (number, (name, call, _)) in CALLS.iter().enumerate() {
        let given = texts(matches!(call, Str(_)));
        let taken =
            (0..given.len()).filter(|place| check(&mut stage, number, *place, &given[*place]));
        let taken = taken.count();
        // A table whose calls take nothing, or everything, proves nothing.
        assert!(RAW.contains(name) || taken < given.len(), "{name} takes everything");
        let takes_none = ["Content-Length", "Transfer-Encoding", "write_early_hints, link"];
        assert!(taken > 0 || takes_none.iter().any(|none| name.starts_with(none)), "{name}");
    }
    stage.server.close();
    pass(&stage.net, &mut stage.event_loop, REST);
    let stats = onloop::sim::stats(&stage.event_loop);
    assert!(stats.is_empty(), "{stats:?}");
}
