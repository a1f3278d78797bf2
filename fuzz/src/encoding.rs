//! What we send.
//!
//! Generated: status, reason, method, URL, target, names and values of fields and trailers, informational responses,
//! pieces of content, the order of the calls, the version that the peer speaks. Asserted: what is on the wire reads,
//! for the oracle, as exactly the one message that was meant, with what the calls that succeeded have set, and the next
//! message of the connection stands right behind it; a call that fails leaves nothing on the wire.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use onloop::http::{self, ClientRequest, RequestOptions, Response};
use onloop::internals::{ContentEnd, Question};
use onloop::sim::{SimNet, stats};
use onloop::{Address, EventLoop, LoopHandle, LoopOptions};

use crate::answers;
use crate::oracle::{self, Fields, Text};

/// What the crate adds by itself or decides from what was set.
const OWN: [&str; 7] =
    ["connection", "keep-alive", "date", "content-length", "transfer-encoding", "host", "trailer"];

const NAMES: [&str; 20] = [
    "X-A",
    "x-a",
    "Set-Cookie",
    "Cookie",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Keep-Alive",
    "Date",
    "Host",
    "Trailer",
    "Upgrade",
    "Expect",
    "TE",
    "Content-Type",
    "Link",
    "Authorization",
    "Proxy-Authorization",
    "",
    "X A",
];

const VALUES: [&str; 20] = [
    "v",
    "",
    " v\t",
    "chunked",
    "gzip, chunked",
    ",chunked",
    "close",
    "keep-alive",
    "upgrade",
    "0",
    "5",
    "18446744073709551615",
    "100-continue",
    "a\r\nX-B: c",
    "a\nb",
    "a\r",
    "a\0",
    "h",
    "u@h",
    "</a>; rel=preload",
];

/// A name, mostly one that has a meaning.
#[derive(Debug, Clone)]
struct Name(String);

impl<'a> Arbitrary<'a> for Name {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choice = usize::from(u8::arbitrary(u)?) % (NAMES.len() + 4);
        match NAMES.get(choice) {
            Some(name) => Ok(Name((*name).into())),
            None => Ok(Name(short(u)?)),
        }
    }
}

#[derive(Debug, Clone)]
struct Value(Vec<u8>);

impl<'a> Arbitrary<'a> for Value {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let choice = usize::from(u8::arbitrary(u)?) % (VALUES.len() + 8);
        match VALUES.get(choice) {
            Some(value) => Ok(Value(value.as_bytes().to_vec())),
            None => Ok(Value(short_bytes(u)?)),
        }
    }
}

fn short_bytes(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let length = usize::from(u8::arbitrary(u)? % 24);
    Ok(u.bytes(length.min(u.len()))?.to_vec())
}

/// Text of the characters of Latin-1, with others here and there.
fn short(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let bytes = short_bytes(u)?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => error.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    })
}

#[derive(Debug, Clone)]
struct Short(String);

impl<'a> Arbitrary<'a> for Short {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        short(u).map(Short)
    }
}

/// A call on a message that is being sent.
#[derive(Debug, Clone, Arbitrary)]
enum Call {
    Set(Name, Value),
    Append(Name, Value),
    SetAll(Name, Vec<Value>),
    SetMany(Vec<(Name, Value)>),
    Remove(Name),
    Trailer(Name, Value),
    Trailers(Vec<(Name, Value)>),
    Write(u8, u8),
    Flush,
    Status(u16),
    Reason(Short),
    WriteHead(u16, Option<Short>, Vec<(Name, Value)>),
    Inform(u8, Vec<(Name, Value)>),
    Hints(Vec<(Name, Value)>),
    SendDate(bool),
}

#[derive(Debug, Arbitrary)]
struct ForServer {
    question: u8,
    is_old: bool,
    asks_for_close: bool,
    calls: Vec<Call>,
    last: u8,
}

#[derive(Debug, Arbitrary)]
struct ForClient {
    method: u8,
    other_method: Short,
    url: Short,
    path: Option<Short>,
    auth: Option<Short>,
    options: Vec<(Name, Value)>,
    calls: Vec<Call>,
    last: u8,
}

#[derive(Debug, Arbitrary)]
enum Input {
    Server(ForServer),
    Client(ForClient),
}

/// The body of the target.
pub fn check(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    match input {
        Input::Server(input) => respond(Rc::new(input)),
        Input::Client(input) => request(&input),
    }
}

/// What the calls that succeeded have set.
#[derive(Debug, Default, Clone)]
struct Meant {
    fields: Fields,
    trailers: Fields,
    content: Text,
    status: u16,
    reason: Option<String>,
    information: Vec<(u16, Fields)>,
}

impl Meant {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.remove(name);
        self.append(name, value);
    }

    fn append(&mut self, name: &str, value: &[u8]) {
        append(&mut self.fields, name, value);
    }

    fn remove(&mut self, name: &str) {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// The first of a name replaces, the others are added.
    fn set_many(&mut self, fields: &[(Name, Value)]) {
        for (at, (name, value)) in fields.iter().enumerate() {
            let earlier = &fields[..at];
            match earlier.iter().any(|(other, _)| other.0.eq_ignore_ascii_case(&name.0)) {
                true => self.append(&name.0, &value.0),
                false => self.set(&name.0, &value.0),
            }
        }
    }
}

/// Cookies are one line.
fn append(fields: &mut Fields, name: &str, value: &[u8]) {
    let is_cookie = name.eq_ignore_ascii_case("cookie");
    let mut lines = fields.iter_mut();
    match lines.find(|(other, _)| is_cookie && other.eq_ignore_ascii_case(b"cookie")) {
        Some((_, line)) => line.0 = [&line.0, &b"; "[..], value].concat(),
        None => fields.push((name.into(), value.into())),
    }
}

fn pairs(fields: &[(Name, Value)]) -> impl Iterator<Item = (&str, &Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.0.as_str(), &value.0))
}

/// Names and values, without order and as a reader sees them, without what the crate decides.
fn plain(fields: &Fields) -> Fields {
    let is_own = |name: &Text| OWN.iter().any(|own| *own.as_bytes() == **name);
    let lines = fields.iter();
    let lines = lines
        .map(|(name, value)| (Text(name.to_ascii_lowercase()), Text::from(oracle::trim(value))));
    let mut plain: Fields = lines.filter(|(name, _)| !is_own(name)).collect();
    plain.sort();
    plain
}

fn content(size: u8, fill: u8) -> Vec<u8> {
    // Some of it looks like framing.
    let pattern = [&[fill][..], b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"].concat();
    pattern.iter().copied().cycle().take(usize::from(size) * 3).collect()
}

/// The calls that both kinds of messages have; a macro, for the methods are those of two types.
macro_rules! common_call {
    ($message:expr, $meant:expr, $call:expr) => {
        match $call {
            Call::Set(name, value) => {
                let done = $message.set_header(&name.0, &value.0);
                if done.is_ok() {
                    $meant.set(&name.0, &value.0);
                }
            }
            Call::Append(name, value) => {
                let done = $message.append_header(&name.0, &value.0);
                if done.is_ok() {
                    $meant.append(&name.0, &value.0);
                }
            }
            Call::SetAll(name, values) => {
                let done = $message.set_header_all(&name.0, values.iter().map(|value| &value.0));
                if done.is_ok() {
                    $meant.remove(&name.0);
                    values.iter().for_each(|value| $meant.append(&name.0, &value.0));
                }
            }
            Call::SetMany(fields) => {
                let done = $message.set_headers(pairs(fields));
                if done.is_ok() {
                    $meant.set_many(fields);
                }
            }
            Call::Remove(name) => {
                let done = $message.remove_header(&name.0);
                if done.is_ok() {
                    $meant.remove(&name.0);
                }
            }
            Call::Trailer(name, value) => {
                let done = $message.add_trailer(&name.0, &value.0);
                if done.is_ok() {
                    append(&mut $meant.trailers, &name.0, &value.0);
                }
            }
            Call::Trailers(fields) => {
                let done = $message.add_trailers(pairs(fields));
                if done.is_ok() {
                    pairs(fields)
                        .for_each(|(name, value)| append(&mut $meant.trailers, name, value));
                }
            }
            Call::Write(size, fill) => {
                let content = content(*size, *fill);
                let done = $message.try_write(&content);
                if done.is_ok() {
                    $meant.content.0.extend(content);
                }
            }
            Call::Flush => $message.flush_headers(),
            _ => {}
        }
    };
}

fn respond(input: Rc<ForServer>) {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let meant: Rc<RefCell<Option<Meant>>> = Rc::default();
    let (calls, noted) = (Rc::clone(&input), Rc::clone(&meant));
    let server = http::create_server(event_loop.handle(), move |req, res| {
        if req.url() == "/next" {
            return res.end("next");
        }
        *noted.borrow_mut() = Some(perform(&calls, res));
    });
    let address: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
    server.listen(address).unwrap_or_else(|error| panic!("{error}"));
    let peer = net.connect(&Address::Ip(address));
    let (method, question) = match input.question % 4 {
        0 => ("HEAD", Question::Head),
        _ => ("GET", Question::Other),
    };
    let minor = u8::from(!input.is_old);
    let option = match (input.asks_for_close, input.is_old) {
        (true, _) => "Connection: close\r\n",
        (false, true) => "Connection: keep-alive\r\n",
        (false, false) => "",
    };
    let bytes = format!(
        "{method} / HTTP/1.{minor}\r\nHost: h\r\n{option}\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n"
    );
    peer.write(bytes.as_bytes());
    peer.shutdown_write();
    let mut received = Vec::new();
    while !peer.is_eof() && !peer.is_reset() {
        turn(&mut event_loop);
        received.extend(peer.read());
        assert!(net.now() < Duration::from_secs(500), "the answer does not end");
    }
    drop(peer);
    server.close();
    (0..3).for_each(|_| turn(&mut event_loop));
    assert!(stats(&event_loop).is_empty(), "{:?}", stats(&event_loop));
    drop(event_loop);
    let Some(meant) = meant.take() else { panic!("the handler was not called") };
    let asked = |number| if number == 0 { question } else { Question::Other };
    judge_response(&input, &meant, &answers::read(&received, asked), &received);
}

fn turn(event_loop: &mut EventLoop) {
    let turned = event_loop.turn(Some(Duration::from_secs(10)));
    turned.unwrap_or_else(|error| panic!("{error}"));
}

fn perform(input: &ForServer, res: Response) -> Meant {
    let mut meant = Meant { status: 200, ..Meant::default() };
    for call in &input.calls {
        match call {
            Call::Status(status) => {
                if !res.headers_sent() && res.set_status(*status % 1100) {
                    meant.status = status % 1100;
                } else if !(200..1000).contains(&(status % 1100)) {
                    meant.status = res.status();
                }
            }
            Call::Reason(reason) => {
                if res.set_status_message(&reason.0).is_ok() {
                    meant.reason = Some(reason.0.clone());
                }
            }
            Call::WriteHead(status, reason, fields) => {
                let status = status % 1100;
                let written = match reason {
                    Some(reason) => res.write_head_with_reason(status, &reason.0, pairs(fields)),
                    None => res.write_head(status, pairs(fields)),
                };
                if written.is_ok() {
                    meant.status = status;
                    meant.set_many(fields);
                    if let Some(reason) = reason {
                        meant.reason = Some(reason.0.clone());
                    }
                }
            }
            Call::Inform(status, fields) => {
                let status = u16::from(*status);
                if res.write_information(status, pairs(fields)).is_ok() {
                    let fields = pairs(fields);
                    let fields = fields.map(|(name, value)| (name.into(), value.as_slice().into()));
                    meant.information.push((status, fields.collect()));
                }
            }
            Call::Hints(fields) => {
                let is_link = |(name, value): &(Name, Value)| {
                    name.0.eq_ignore_ascii_case("link") && !oracle::trim(&value.0).is_empty()
                };
                let has_link = fields.iter().any(is_link);
                if res.write_early_hints(pairs(fields)).is_ok() && has_link {
                    meant.information.push((103, Fields::new()));
                }
            }
            Call::SendDate(send) => res.set_send_date(*send),
            call => common_call!(res, meant, call),
        }
    }
    let last = content(input.last, b'L');
    if res.try_end(&last).is_ok() {
        meant.content.0.extend(last);
    }
    meant
}

fn judge_response(input: &ForServer, meant: &Meant, answers: &answers::Answers, received: &[u8]) {
    let shown = || format!("{meant:?}\non the wire: \"{}\"", received.escape_ascii());
    let (information, rest): (Vec<_>, Vec<_>) =
        answers.list.iter().partition(|answer| !answer.is_final());
    assert!(answers.raw.is_empty(), "{}", shown());
    let wanted: Vec<_> = meant.information.iter().filter(|(status, _)| *status != 100).collect();
    let count = if input.is_old { 0 } else { wanted.len() };
    assert_eq!(information.len(), count, "{}", shown());
    for (answer, (status, fields)) in information.iter().zip(&wanted) {
        assert_eq!(answer.status, *status, "{}", shown());
        if *status != 103 {
            assert_eq!(plain(&answer.fields), plain(fields), "{}", shown());
        }
    }
    let Some((answer, next)) = rest.split_first() else { panic!("no answer: {}", shown()) };
    assert_eq!(answer.status, meant.status, "{}", shown());
    if let Some(reason) = &meant.reason {
        let latin: Vec<u8> = reason.chars().map(|c| c as u8).collect();
        assert_eq!(*answer.reason, *latin, "{}", shown());
    }
    assert_eq!(plain(&answer.fields), plain(&meant.fields), "{}", shown());
    let has_content =
        input.question % 4 != 0 && !matches!(answer.status, 204 | 205 | 304) && !answer.is_cut;
    if has_content {
        let announced = oracle::values(&meant.fields, "content-length").next().is_some();
        match announced && answer.content.len() != meant.content.len() {
            true => assert!(meant.content.starts_with(&answer.content), "{}", shown()),
            false => assert_eq!(*answer.content, *meant.content, "{}", shown()),
        }
    } else if !answer.is_cut {
        assert!(answer.content.is_empty(), "{}", shown());
    }
    if !answer.trailers.is_empty() {
        assert_eq!(plain(&answer.trailers), plain(&meant.trailers), "{}", shown());
    }
    match next {
        [] => {}
        [next] => {
            assert!(!answer.closes() && !answer.is_cut, "{}", shown());
            assert_eq!((next.status, &*next.content), (200, &b"next"[..]), "{}", shown());
        }
        _ => panic!("a message that nobody meant: {}", shown()),
    }
}

const METHODS: [&str; 8] = ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE", "m"];

fn request(input: &ForClient) {
    let net = SimNet::new(1);
    let mut event_loop = net.event_loop(LoopOptions::default());
    let address: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
    let Some(listener) = net.listen(&Address::Ip(address)) else { panic!("the port is free") };
    let method =
        METHODS.get(usize::from(input.method % 12)).copied().unwrap_or(&input.other_method.0);
    let mut meant = Meant::default();
    let Some(request) = ask(event_loop.handle(), input, method, &mut meant) else {
        (0..3).for_each(|_| turn(&mut event_loop));
        assert!(listener.accept().is_none(), "a request that was refused is sent");
        assert!(stats(&event_loop).is_empty(), "{:?}", stats(&event_loop));
        return;
    };
    request.on_error(|_| {});
    for call in &input.calls {
        common_call!(request, meant, call);
    }
    let last = content(input.last, b'L');
    if request.try_end(&last).is_ok() {
        meant.content.0.extend(last);
    }
    // One that waits for 100 is told to go on in time.
    let mut received = Vec::new();
    let mut peer = None;
    for _ in 0..6 {
        turn(&mut event_loop);
        peer = peer.or_else(|| listener.accept());
        received.extend(peer.iter().flat_map(|peer| peer.read()));
    }
    let sent_to_us = peer.is_some();
    if let Some(peer) = peer {
        peer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        turn(&mut event_loop);
        received.extend(peer.read());
    }
    request.destroy();
    (0..3).for_each(|_| turn(&mut event_loop));
    assert!(stats(&event_loop).is_empty(), "{:?}", stats(&event_loop));
    if sent_to_us {
        judge_request(input, method, &meant, &received);
    }
}

fn ask(
    lp: LoopHandle,
    input: &ForClient,
    method: &str,
    meant: &mut Meant,
) -> Option<ClientRequest> {
    let url = format!("http://127.0.0.1/{}", input.url.0);
    let mut options = RequestOptions::new(method, &url);
    if let Some(path) = &input.path {
        options = options.path(&path.0);
    }
    if let Some(auth) = &input.auth {
        options = options.auth(&auth.0);
    }
    for (name, value) in &input.options {
        options = options.header(&name.0, &value.0);
    }
    let request = http::request_with(lp, options).ok()?;
    // What the options have set is taken from the handle: only what comes on top of it is counted here.
    let fields = request.headers();
    meant.fields =
        fields.into_iter().map(|(name, value)| (name.as_str().into(), value.into())).collect();
    Some(request)
}

/// The same with a `Host` and a target that every reader takes. The user may set any value, or leave `Host` out, but
/// not a second one; a path that is given as such is sent as it stands, and what is encoded in a URL stays encoded.
fn plainly(input: &ForClient, method: &str, request: &[u8]) -> Vec<u8> {
    let head_end = request.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let (head, rest) = request.split_at(head_end.unwrap_or(request.len()));
    let is_host =
        |line: &&[u8]| line.get(..6).is_some_and(|name| name.eq_ignore_ascii_case(b"\nhost:"));
    let mut lines: Vec<&[u8]> = head.split(|byte| *byte == b'\r').collect();
    assert!(lines.iter().filter(|line| is_host(line)).count() <= 1, "two hosts");
    lines.retain(|line| !is_host(line));
    lines.insert(1.min(lines.len()), b"\nHost: h");
    let plain_line = match method {
        "CONNECT" => format!("{method} h:1 HTTP/1.1"),
        _ => format!("{method} / HTTP/1.1"),
    };
    let parts: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let [sent_method, target, b"HTTP/1.1"] = parts[..] else { panic!("{parts:?} is no line") };
    assert_eq!(sent_method, method.as_bytes());
    match &input.path {
        Some(path) => assert_eq!(target, path.0.as_bytes()),
        None => assert!(target.iter().all(|byte| oracle::is_target(*byte)), "{target:?}"),
    }
    assert!(!target.is_empty() && target.iter().all(u8::is_ascii_graphic), "{target:?}");
    lines[0] = plain_line.as_bytes();
    [&lines.join(&b'\r'), rest].concat()
}

fn judge_request(input: &ForClient, method: &str, meant: &Meant, received: &[u8]) {
    let shown = || format!("{meant:?}\non the wire: \"{}\"", received.escape_ascii());
    if received.is_empty() {
        return;
    }
    let received = &plainly(input, method, received)[..];
    let (head, length) = match oracle::request(received) {
        Ok(found) => found,
        Err(stop) => panic!("{stop:?}: {}", shown()),
    };
    assert_eq!(*head.method, *method.as_bytes(), "{}", shown());
    assert_eq!(plain(&head.fields), plain(&meant.fields), "{}", shown());
    let Ok(end) = oracle::coded_end(&head) else { panic!("no framing: {}", shown()) };
    let rest = &received[length..];
    let (content, used): (Text, usize) = match end {
        ContentEnd::None | ContentEnd::UntilClose => (Text::default(), 0),
        ContentEnd::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(rest.len());
            (rest[..length].into(), length)
        }
        ContentEnd::Chunked => match oracle::chunked(rest) {
            Ok((chunked, length)) => {
                assert_eq!(plain(&chunked.trailers), plain(&meant.trailers), "{}", shown());
                (chunked.content, length)
            }
            Err(stop) => panic!("{stop:?} in chunks: {}", shown()),
        },
    };
    assert_eq!(used, rest.len(), "bytes behind the request: {}", shown());
    assert!(meant.content.starts_with(&content), "{}", shown());
    let announced = oracle::values(&meant.fields, "content-length").next().is_some();
    assert!(announced || content.len() == meant.content.len(), "{}", shown());
}
