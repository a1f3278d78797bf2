//! What a client's program can say, and what a server can have it say by a redirect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use onloop::http::{self, Agent, AgentOptions, ClientRequest, ProxyOptions, RequestOptions};
use onloop::sim::{self, SimListener, SimNet, SimPeer};
use onloop::{EventLoop, LoopHandle, LoopOptions, Result};

use crate::judged::model::grammar::trimmed;
use crate::judged::model::message::{Field, values};
use crate::judged::model::{self, Ending, Limits, read_connection};
use crate::judged::{REST, pass, shown};
use crate::{INJECTED, Takes, is_harmless, text, texts};

/// What there is to make requests with.
#[derive(Clone, Copy)]
struct Means {
    lp: LoopHandle,
    /// Its proxy is the server.
    proxied: Agent,
    /// The same by tunnels.
    tunneled: Agent,
}

/// Makes a request; or is given one that can still be changed.
#[derive(Clone, Copy)]
enum Call {
    Makes(fn(Means, &str) -> Result<ClientRequest>),
    Changes(Change),
}

type Change =
    Takes<fn(&ClientRequest, &[u8]) -> Result<()>, fn(&ClientRequest, &str) -> Result<()>>;

/// What is on the wire after a call that was taken, as far as the text goes.
#[derive(Clone, Copy)]
enum Says {
    /// These fields.
    Fields(fn(&[u8]) -> Vec<Field>),
    Trailer(fn(&[u8]) -> Vec<Field>),
    Method,
    /// This target.
    Target(fn(&str) -> String),
    /// `Authorization` or its like for a proxy, in Base64.
    Credentials(&'static str),
    /// Nothing but another host, or fields of this name.
    Steers(&'static str),
    /// `Host` as it was set, which is the program's own business.
    Host,
}

use Call::{Changes, Makes};
use Says::{Credentials, Fields, Host, Method, Steers, Target, Trailer};
use Takes::{Bytes, Str};

const URL: &str = "http://10.0.0.1/";

fn x(value: &[u8]) -> Vec<Field> {
    vec![(b"X-A".to_vec(), trimmed(value).to_vec())]
}

fn named(name: &[u8]) -> Vec<Field> {
    vec![(name.to_vec(), b"v".to_vec())]
}

fn cookie(value: &[u8]) -> Vec<Field> {
    vec![(b"Cookie".to_vec(), trimmed(&[b"a=b; ", value].concat()).to_vec())]
}

fn with(means: Means, options: RequestOptions) -> Result<ClientRequest> {
    http::request_with(means.lp, options)
}

fn get(url: impl AsRef<str>) -> RequestOptions {
    RequestOptions::new("GET", url)
}

/// Path and query of a URL, `/` for an empty path, without a fragment.
fn target_of(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

#[rustfmt::skip]
const CALLS: [(&str, Call, Says); 55] = [
    ("method", Makes(|on, t| http::request(on.lp, t, URL)), Method),
    ("URL, path", Makes(|on, t| http::request(on.lp, "GET", format!("{URL}{t}"))), Target(|t| target_of(&format!("/{t}")))),
    ("URL, query", Makes(|on, t| http::request(on.lp, "GET", format!("{URL}?{t}"))), Target(|t| target_of(&format!("/?{t}")))),
    ("URL, fragment", Makes(|on, t| http::request(on.lp, "GET", format!("{URL}#{t}"))), Target(|_| "/".into())),
    ("URL, behind the host", Makes(|on, t| http::request(on.lp, "GET", format!("http://10.0.0.1{t}"))), Steers("Host")),
    ("URL, before the scheme", Makes(|on, t| http::request(on.lp, "GET", format!("{t}{URL}"))), Steers("Host")),
    ("URL, port", Makes(|on, t| http::request(on.lp, "GET", format!("http://10.0.0.1:80{t}/"))), Steers("Host")),
    ("URL, user", Makes(|on, t| http::request(on.lp, "GET", format!("http://{t}@10.0.0.1/"))), Credentials("Authorization")),
    ("URL, password", Makes(|on, t| http::request(on.lp, "GET", format!("http://u:{t}@10.0.0.1/"))), Credentials("Authorization")),
    ("URL, whole", Makes(|on, t| with(on, get(t).agent(on.proxied))), Steers("Host")),
    ("get", Makes(|on, t| http::get(on.lp, format!("{URL}{t}"), |_| ())), Target(|t| target_of(&format!("/{t}")))),
    ("host", Makes(|on, t| with(on, get(URL).host(t).agent(on.proxied))), Steers("Host")),
    ("host, longer", Makes(|on, t| with(on, get(URL).host(format!("10.0.0.1{t}")))), Steers("Host")),
    ("path", Makes(|on, t| with(on, get(URL).path(format!("/{t}")))), Target(|t| format!("/{t}"))),
    ("path, whole", Makes(|on, t| with(on, get(URL).path(t))), Target(str::to_owned)),
    ("path, absolute", Makes(|on, t| with(on, get(URL).path(format!("http://h/{t}")))), Target(|t| format!("http://h/{t}"))),
    ("path, of OPTIONS", Makes(|on, t| with(on, RequestOptions::new("OPTIONS", URL).path(format!("*{t}")))), Target(|t| format!("*{t}"))),
    ("path, of CONNECT", Makes(|on, t| with(on, RequestOptions::new("CONNECT", URL).path(format!("h{t}:443")))), Target(|t| format!("h{t}:443"))),
    ("path, port of CONNECT", Makes(|on, t| with(on, RequestOptions::new("CONNECT", URL).path(format!("h:443{t}")))), Target(|t| format!("h:443{t}"))),
    ("auth", Makes(|on, t| with(on, get(URL).auth(t))), Credentials("Authorization")),
    ("auth, password", Makes(|on, t| with(on, get(URL).auth(format!("u:{t}")))), Credentials("Authorization")),
    ("header", Makes(|on, t| with(on, get(URL).header("X-A", t))), Fields(x)),
    ("header, name", Makes(|on, t| with(on, get(URL).header(t, "v"))), Fields(named)),
    ("header, again", Makes(|on, t| with(on, get(URL).header("X-A", "b").header("X-A", t))), Fields(|t| [x(b"b"), x(t)].concat())),
    ("header, Cookie", Makes(|on, t| with(on, get(URL).header("Cookie", "a=b").header("Cookie", t))), Fields(cookie)),
    ("header, Host", Makes(|on, t| with(on, get(URL).header("Host", t))), Host),
    ("proxied, host", Makes(|on, t| with(on, get(format!("http://h{t}/")).agent(on.proxied))), Steers("Host")),
    ("proxied, path", Makes(|on, t| with(on, get(format!("http://h/{t}")).agent(on.proxied))),
        Target(|t| format!("http://h{}", target_of(&format!("/{t}"))))),
    ("proxied, user", Makes(|on, t| with(on, get(format!("http://{t}@h/")).agent(on.proxied))), Credentials("Authorization")),
    ("tunneled, host", Makes(|on, t| with(on, get(format!("http://h{t}/")).agent(on.tunneled))), Steers("Host")),
    ("tunneled, port", Makes(|on, t| with(on, get(format!("http://h:8{t}/")).agent(on.tunneled))), Steers("Host")),
    ("proxy, user", Makes(|on, t| with_proxy(on, &format!("http://{t}@10.0.0.1"))), Credentials("Proxy-Authorization")),
    ("proxy, password", Makes(|on, t| with_proxy(on, &format!("http://u:{t}@10.0.0.1"))), Credentials("Proxy-Authorization")),
    ("proxy, host", Makes(|on, t| with_proxy(on, &format!("http://10.0.0.1{t}"))), Credentials("Proxy-Authorization")),
    ("proxy, of the environment", Makes(|on, t| {
        let url = format!("http://u{t}:p@10.0.0.1");
        let proxy = ProxyOptions::from_vars(|name| (name == "http_proxy").then(|| url.clone()))?;
        with(on, get("http://h/").agent(Agent::new(on.lp, AgentOptions::new().proxy(proxy).keep_alive(false))?))
    }), Credentials("Proxy-Authorization")),
    ("request_from_http, method", Makes(|on, t| from_http(on, t, "/")), Method),
    ("request_from_http, path", Makes(|on, t| from_http(on, "GET", &format!("/{t}"))), Target(|t| target_of(&format!("/{t}")))),
    ("set_header", Changes(Bytes(|req, t| req.set_header("X-A", t))), Fields(x)),
    ("set_header, text", Changes(Str(|req, t| req.set_header("X-A", t))), Fields(x)),
    ("set_header, name", Changes(Str(|req, t| req.set_header(t, "v"))), Fields(named)),
    ("append_header", Changes(Bytes(|req, t| req.append_header("X-A", t))), Fields(x)),
    ("set_header_all", Changes(Bytes(|req, t| req.set_header_all("X-A", [t, b"b"]))), Fields(|t| [x(t), x(b"b")].concat())),
    ("set_header_all, Cookie", Changes(Bytes(|req, t| req.set_header_all("Cookie", [b"a=b", t]))), Fields(cookie)),
    ("set_headers", Changes(Bytes(|req, t| req.set_headers([("X-A", t)]))), Fields(x)),
    ("Host", Changes(Bytes(|req, t| req.set_header("Host", t))), Host),
    ("Connection", Changes(Bytes(|req, t| req.set_header("Connection", t))), Steers("Connection")),
    ("Trailer", Changes(Bytes(|req, t| req.set_header("Trailer", t))), Steers("Trailer")),
    ("Keep-Alive", Changes(Bytes(|req, t| req.append_header("Keep-Alive", t))), Steers("Keep-Alive")),
    ("Content-Length", Changes(Bytes(|req, t| req.set_header("Content-Length", t))), Steers("Content-Length")),
    ("Transfer-Encoding", Changes(Bytes(|req, t| req.set_header("Transfer-Encoding", t))), Steers("Transfer-Encoding")),
    ("Upgrade", Changes(Bytes(|req, t| req.set_header("Upgrade", t))), Steers("Upgrade")),
    ("Authorization", Changes(Bytes(|req, t| req.set_header("Authorization", t))), Steers("Authorization")),
    ("add_trailer", Changes(Bytes(|req, t| { req.write("con"); req.add_trailer("X-A", t) })), Trailer(x)),
    ("add_trailer, name", Changes(Str(|req, t| { req.write("con"); req.add_trailer(t, "v") })), Trailer(named)),
    ("add_trailers", Changes(Bytes(|req, t| { req.write("con"); req.add_trailers([("X-A", t)]) })), Trailer(x)),
];

/// A request of the `http` crate's, or an error where that takes none.
fn from_http(means: Means, method: &str, path: &str) -> Result<ClientRequest> {
    let uri = format!("http://10.0.0.1{path}");
    match ::http::Request::builder().method(method).uri(uri).body(()) {
        Ok(head) => http::request_from_http(means.lp, &head),
        Err(_) => http::request(means.lp, "\r", URL),
    }
}

/// A request through a proxy of its own.
fn with_proxy(means: Means, url: &str) -> Result<ClientRequest> {
    let options = AgentOptions::new().proxy(ProxyOptions::new(url)?).keep_alive(false);
    with(means, get("http://h/").agent(Agent::new(means.lp, options)?))
}

/// What the library writes by itself.
const OWN: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

struct Stage {
    net: SimNet,
    event_loop: EventLoop,
    listener: SimListener,
    means: Means,
}

impl Stage {
    /// Names are addresses of nobody, except of who listens at 10.0.0.1.
    fn new() -> Stage {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::new());
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
        let listener = net.listen(&address.into()).expect("a free address");
        let lp = event_loop.handle();
        let agent = |proxy: ProxyOptions| {
            Agent::new(lp, AgentOptions::new().proxy(proxy).keep_alive(false)).expect("an agent")
        };
        let proxy = || ProxyOptions::new(URL).expect("a proxy");
        let means = Means { lp, proxied: agent(proxy()), tunneled: agent(proxy().tunnel(true)) };
        Stage { net, event_loop, listener, means }
    }

    /// What is sent after a call, and whether it was taken.
    fn sent(&mut self, call: Call, given: &[u8]) -> (Vec<u8>, bool) {
        let (request, taken) = match call {
            Makes(call) => match call(self.means, text(given)) {
                Ok(request) => (Some(request), true),
                Err(_) => (None, false),
            },
            Changes(call) => {
                let request = http::request(self.means.lp, "POST", URL).expect("a request");
                let result = match call {
                    Bytes(call) => call(&request, given),
                    Str(call) => call(&request, text(given)),
                };
                (Some(request), result.is_ok())
            }
        };
        if let Some(request) = request {
            request.on_error(|_| ());
            // Some have written the first part; `get` has ended it.
            match request.method().as_str() {
                "POST" if request.writable_length() > 0 => request.end("tent"),
                "POST" => request.end("content"),
                _ => request.end(""),
            }
        }
        pass(&self.net, &mut self.event_loop, REST);
        let mut wire = Vec::new();
        let mut count = 0;
        while let Some(peer) = self.listener.accept() {
            wire.extend(peer.read());
            peer.reset();
            count += 1;
        }
        assert!(count <= 1, "{count} connections");
        pass(&self.net, &mut self.event_loop, REST);
        if let Some(request) = request {
            request.destroy();
            pass(&self.net, &mut self.event_loop, REST);
        }
        let stats = sim::stats(&self.event_loop);
        assert!(stats.client_requests == 0 && stats.free_connections == 0, "{stats:?}");
        (wire, taken)
    }
}

/// One request with nothing behind it. The target is taken as it was meant, since the library sends what is
/// asked for, and only what it says about the message counts here.
fn the_request(wire: &[u8], meant: Option<String>, context: &str) -> model::Request {
    let mut wire = wire.to_vec();
    if let Some(target) = &meant {
        let start = format!("GET {target} HTTP/1.1\r\n");
        if target.bytes().all(|byte| byte.is_ascii_graphic()) && wire.starts_with(start.as_bytes())
        {
            wire.splice(4..4 + target.len(), *b"/");
        }
    }
    let found = read_connection(&wire, false, &Limits::default());
    let [request] = &found.requests[..] else { panic!("{context}\n{found:?}") };
    if request.method == b"CONNECT" {
        // Nothing is read behind it.
        assert!(
            wire.windows(4).position(|four| four == b"\r\n\r\n") == Some(wire.len() - 4),
            "{context}"
        );
    } else {
        let is_over = matches!(found.ending, Ending::Waits | Ending::ClosesAfterLast);
        assert!(
            is_over && found.unfinished.is_none() && found.used == wire.len(),
            "{context}\n{found:?}"
        );
    }
    request.clone()
}

/// Whether the text was taken and sent; panics where what is sent is not what was meant.
fn check(stage: &mut Stage, (name, call, says): (&str, Call, Says), given: &[u8]) -> bool {
    let (wire, taken) = stage.sent(call, given);
    let context = format!("{name} with {}, taken: {taken}: {}", shown(given), shown(&wire));
    if let Makes(_) = call {
        assert!(taken || wire.is_empty(), "{context}");
    }
    assert!(!taken || is_harmless(given), "{context}");
    if wire.is_empty() {
        // Not taken, or there is nobody of that name.
        assert!(!taken || matches!(says, Steers("Host") | Credentials(_)), "{context}");
        return false;
    }
    let meant = match says {
        Target(made) => Some(made(text(given))),
        _ => None,
    };
    let mut wire = wire;
    if matches!(says, Host) && taken {
        let line = [b"\r\nHost: ", given, b"\r\n"].concat();
        let start = wire.windows(line.len()).position(|part| part == line);
        let start = start.unwrap_or_else(|| panic!("{context}"));
        wire.splice(start..start + line.len(), *b"\r\nHost: h\r\n");
    }
    let request = the_request(&wire, meant.clone(), &context);
    let own = |name: &[u8]| {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        OWN.into_iter().any(is) || matches!(says, Credentials(known) | Steers(known) if is(known))
            // What stands before an `@` is a user.
            || (matches!(says, Steers("Host")) && is("authorization"))
    };
    let others: Vec<Field> =
        request.fields.iter().filter(|(name, _)| !own(name)).cloned().collect();
    let (mut fields, mut trailers) = (Vec::new(), Vec::new());
    match says {
        Fields(made) if taken => fields = made(given),
        Trailer(made) if taken => trailers = made(given),
        Method => assert_eq!(request.method, given, "{context}"),
        Target(_) if request.target != b"/" => {
            assert_eq!(Some(text(&request.target)), meant.as_deref(), "{context}");
        }
        Credentials(known) => {
            let values = values(&request.fields, known);
            let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b" +/=".contains(byte);
            assert!(values.len() <= 1 && values.concat().iter().all(is_plain), "{context}");
        }
        _ => {}
    }
    assert_eq!(others, fields, "{context}");
    assert_eq!(request.trailers, trailers, "{context}");
    assert_eq!(values(&request.fields, "host").len(), 1, "{context}");
    if let Changes(_) = call {
        assert_eq!(request.content, b"content", "{context}");
    }
    assert!(values(&request.fields, INJECTED).is_empty(), "{context}");
    taken
}

#[test]
fn no_text_given_to_a_request_can_split_it() {
    let mut stage = Stage::new();
    for call in CALLS {
        let given = texts(!matches!(call.1, Changes(Bytes(_))));
        let taken = given.iter().filter(|given| check(&mut stage, call, given)).count();
        let takes_none = ["Content-Length", "Transfer-Encoding", "path, of OPTIONS", "URL, whole"];
        let name = call.0;
        // A table whose calls take nothing, or everything, proves nothing.
        assert!(
            taken < given.len() && (taken > 0 || takes_none.contains(&name)),
            "{name}: {taken}"
        );
    }
}

/// Where a `Location` with a text leads to.
const LOCATIONS: [fn(&str) -> String; 7] = [
    |text| text.to_owned(),
    |text| format!("/{text}"),
    |text| format!("?{text}"),
    |text| format!("#{text}"),
    |text| format!("http://10.0.0.1/{text}"),
    |text| format!("http://10.0.0.1{text}/"),
    |text| format!("//10.0.0.1:80/{text}"),
];

#[test]
fn no_location_can_split_the_request_that_follows_it() {
    let mut stage = Stage::new();
    let lp = stage.means.lp;
    let mut followed = 0;
    for (place, location) in LOCATIONS.iter().enumerate() {
        for byte in texts(false) {
            // One character for each byte, to be sent as that byte.
            let given: String = byte.iter().copied().map(char::from).collect();
            let location: Vec<u8> =
                location(&given).chars().map(|character| character as u32 as u8).collect();
            let options = get(URL).redirects(1).header("X-A", "v");
            let request = http::request_with(lp, options).expect("a request");
            request.on_error(|_| ());
            request.end("");
            pass(&stage.net, &mut stage.event_loop, REST);
            let peer = stage.listener.accept().expect("a connection");
            peer.read();
            let head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
            peer.write(&[&head[..], &location, b"\r\n\r\n"].concat());
            pass(&stage.net, &mut stage.event_loop, REST);
            let wire = next_request(&stage, &peer);
            let context = format!("{place}: {}: {}", shown(&location), shown(&wire));
            if !wire.is_empty() {
                followed += 1;
                let request = the_request(&wire, None, &context);
                let kept = [(b"X-A".to_vec(), b"v".to_vec())];
                let is_own = |name: &[u8]| {
                    name.eq_ignore_ascii_case(b"host") || name.eq_ignore_ascii_case(b"connection")
                };
                let others = request.fields.iter().filter(|(name, _)| !is_own(name));
                assert!(others.eq(kept.iter()), "{context}");
            }
            drop(peer);
            request.destroy();
            pass(&stage.net, &mut stage.event_loop, REST);
        }
    }
    assert!(followed > 1000, "{followed}");
}

/// What comes on the same connection or on another one.
fn next_request(stage: &Stage, peer: &SimPeer) -> Vec<u8> {
    match stage.listener.accept() {
        Some(other) => other.read(),
        None => peer.read(),
    }
}
