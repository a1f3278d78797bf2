//! A streaming reverse proxy: `proxy PORT HOST:PORT`, on 127.0.0.1. Connections to the upstream are kept,
//! content flows both ways as fast as its receiver takes it, and SIGTERM ends it.
//!
//! What it passes on: every method but CONNECT; all fields that are not of one connection only, `Host` among
//! them; content with its framing and its trailers; informational responses, `100 Continue` when the upstream says
//! it; upgrades, and then bytes, but no HTTP/2 (`h2c`), which would hide requests from it. The reason phrase is
//! written anew.
//!
//! What it says by itself: `Via`, and the client's address as `X-Forwarded-For`. What a client writes there, or
//! in `Forwarded` and its likes, is dropped: anybody could. Behind another proxy it had to be kept.
//!
//! 502, 503 and 504 with a reason are its own. An upstream that is silent for a minute is given up, also in the
//! middle of a response; `UPSTREAM_TIMEOUT` in the environment says otherwise, in seconds. A client that ends its
//! side of the connection has left: its request is given up, too.

mod shutdown;

use std::collections::HashSet;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{
    self, ClientRequest, IncomingResponse, Information, Request, RequestOptions, Response,
    ServerOptions, Socket,
};
use onloop::{Error, EventLoop, LoopHandle, LoopOptions, Result};

/// An upstream on whose connection nothing moves for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// So long after the head the content of a client that waits for `100 Continue` is asked for, in case the
/// upstream does not know of it (RFC 9110 §10.1.1).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);

const TIMED_OUT: (u16, &str) = (504, "the upstream does not answer");

#[derive(Clone)]
struct Proxy {
    lp: LoopHandle,
    /// Its URL, without a path.
    upstream: Rc<str>,
    silence_max: Duration,
}

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse::<u16>().ok());
    let (Some(port), Some(upstream)) = (port, arguments.next()) else {
        eprintln!("usage: proxy PORT HOST:PORT");
        std::process::exit(2);
    };
    let options = LoopOptions::new().free_connections_per_origin(4096);
    let mut event_loop = EventLoop::with_options(options)?;
    let lp = event_loop.handle();
    let upstream = format!("http://{upstream}").into();
    let proxy = Proxy { lp, upstream, silence_max: silence_max().unwrap_or(SILENCE_MAX) };
    let options = ServerOptions::new().backlog(4096).allow_half_open(false);
    let server = http::Server::new(lp, options)?;
    let plain = proxy.clone();
    server.on_request(move |req, res| plain.serve(&req, res, false));
    let waiting = proxy.clone();
    server.on_check_continue(move |req, res| waiting.serve(&req, res, true));
    server.should_upgrade(|req| !asks_for_http2(req));
    server.on_upgrade(move |req, socket, early| proxy.upgrade(&req, socket, early));
    server.listen(("127.0.0.1", port))?;
    shutdown::on_signals(&event_loop, server)?;
    println!("listening on http://127.0.0.1:{}", server.port());
    event_loop.run()
}

fn silence_max() -> Option<Duration> {
    let seconds = std::env::var("UPSTREAM_TIMEOUT").ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

impl Proxy {
    fn serve(&self, req: &Request, res: Response, waits_for_continue: bool) {
        match self.ask(req) {
            Ok(up) => self.forward(req, res, up, waits_for_continue),
            Err(error) => {
                log::warn!("not forwarded: {error}");
                refuse(res, (400, "bad request"));
            }
        }
    }

    /// A request to the upstream with the fields of this one.
    fn ask(&self, req: &Request) -> Result<ClientRequest> {
        let url = format!("{}{}", self.upstream, origin_form(req.url()));
        let options = RequestOptions::new(req.method(), url).timeout(self.silence_max);
        let up = http::request_with(self.lp, options)?;
        copy_fields(req, up).inspect_err(|_| up.destroy())?;
        Ok(up)
    }

    fn forward(&self, req: &Request, res: Response, up: ClientRequest, waits: bool) {
        up.on_information(move |information| inform(res, &information));
        up.on_response(move |response| answer(res, &response));
        up.on_timeout(move || {
            refuse(res, TIMED_OUT);
            up.destroy();
        });
        up.on_error(move |error| {
            log::warn!("upstream: {error}");
            refuse(res, reason_of(&error));
        });
        res.on_close(move || up.destroy());
        if !req.is_complete() {
            up.flush_headers(); // the content may take its time
        }
        if !waits {
            return req.pipe(up);
        }
        // Asking for the content is what tells the client to go on.
        let content = req.body();
        let patience = self.lp.set_timeout(CONTINUE_WAIT, move || content.pipe(up));
        patience.unref();
        up.on_continue(move || {
            patience.clear();
            content.pipe(up);
        });
    }

    /// A client wants to switch protocols: what the upstream answers goes on as bytes.
    fn upgrade(&self, req: &Request, socket: Socket, early: &[u8]) -> Result<()> {
        let up = match self.ask(req) {
            Ok(up) => up,
            Err(error) => {
                log::warn!("not forwarded: {error}");
                refuse_raw(socket, (400, "bad request"));
                return Ok(());
            }
        };
        up.set_header("Connection", "Upgrade")?;
        up.set_header("Upgrade", req.header_bytes("upgrade").unwrap_or_default())?;
        let early = early.to_vec();
        up.on_upgrade(move |response, upstream, upstreams_early| {
            let protocol = response.header_bytes("upgrade").unwrap_or_default();
            let mut head = head_of(&response);
            head.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
            head.extend_from_slice(protocol);
            head.extend_from_slice(b"\r\n\r\n");
            socket.write(head);
            socket.write(upstreams_early);
            upstream.write(early);
            socket.pipe(upstream);
            upstream.pipe(socket);
            // Each side may end by itself: who listens to it keeps the other direction open. When one is closed
            // the other has nobody to talk to.
            socket.on_end(|| ());
            upstream.on_end(|| ());
            socket.on_close(move || upstream.destroy_soon());
            upstream.on_close(move || socket.destroy_soon());
        });
        up.on_response(move |response| {
            let mut head = head_of(&response);
            head.extend_from_slice(b"Connection: close\r\n\r\n");
            socket.write(head);
            response.on_end(move || socket.destroy_soon());
            response.pipe(socket);
        });
        up.on_timeout(move || {
            refuse_raw(socket, TIMED_OUT);
            up.destroy();
        });
        up.on_error(move |error| {
            log::warn!("upstream: {error}");
            refuse_raw(socket, reason_of(&error));
        });
        socket.on_close(move || up.destroy());
        up.end("");
        Ok(())
    }
}

fn copy_fields(req: &Request, up: ClientRequest) -> Result<()> {
    let named = named_by_connection(req.header_all("connection"));
    for (name, value) in req.headers() {
        if !is_dropped(name, &named) && !is_about_the_client(name) {
            up.append_header(name, value)?;
        }
    }
    if let Some((authority, _)) = split_absolute(req.url()) {
        // RFC 9112 §3.2.2: what `Host` says beside it does not count, and must lead nobody elsewhere.
        up.set_header("Host", authority)?;
    }
    // RFC 9110 §7.6.3: who forwards a request says so.
    up.append_header("Via", if req.http_version() == "1.0" { "1.0 onloop" } else { "1.1 onloop" })?;
    if let Some(onloop::Address::Ip(client)) = req.remote_address() {
        const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".len();
        let mut text = [0; LONGEST];
        let mut rest = &mut text[..];
        write!(rest, "{}", client.ip())?;
        let length = LONGEST - rest.len();
        up.append_header("X-Forwarded-For", &text[..length])?;
    }
    Ok(())
}

/// An informational response goes on; 100 is told by asking for the content.
fn inform(res: Response, information: &Information) {
    let named = named_by_connection(information.header_all("connection"));
    let fields = information.headers().filter(|(name, _)| !is_dropped(name, &named));
    if information.status() != 100 {
        if let Err(error) = res.write_information(information.status(), fields) {
            log::debug!("not passed on: {error}");
        }
    }
}

fn answer(res: Response, response: &IncomingResponse) -> Result<()> {
    res.set_status(response.status());
    let named = named_by_connection(response.header_all("connection"));
    for (name, value) in response.headers() {
        if !is_dropped(name, &named) {
            res.append_header(name, value)?;
        }
    }
    if !response.is_complete() {
        res.flush_headers(); // the content may take its time
    }
    response.pipe(res); // data, drain, end, errors and trailers in one verb
    Ok(())
}

/// The status that tells the client what became of the upstream, and why.
fn reason_of(error: &Error) -> (u16, &'static str) {
    match error.code() {
        "ETIMEDOUT" => TIMED_OUT,
        "ECONNREFUSED" => (502, "the upstream refuses connections"),
        "ECONNRESET" | "EPIPE" => (502, "the upstream closed the connection"),
        "ENOTFOUND" | "EAI_AGAIN" => (502, "the upstream's name is not known"),
        "EHOSTUNREACH" | "ENETUNREACH" => (502, "the upstream is out of reach"),
        "EMFILE" | "ENFILE" | "EADDRNOTAVAIL" => (503, "too many connections"),
        code if code.starts_with("HPE_") => (502, "the upstream's answer makes no sense"),
        _ => (502, "bad gateway"),
    }
}

/// Answers by itself, unless the upstream's answer is on its way already.
fn refuse(res: Response, (status, text): (u16, &str)) {
    if res.headers_sent() || !res.set_status(status) {
        return;
    }
    for name in res.header_names() {
        // They were for another answer, which came to nothing.
        let _ = res.remove_header(name);
    }
    res.end(text);
}

/// The same on a connection that was to be upgraded.
fn refuse_raw(socket: Socket, (status, text): (u16, &str)) {
    let length = text.len();
    socket.end(format!(
        "HTTP/1.1 {status} \r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    ));
}

/// Status line and fields, without the end of the head.
fn head_of(response: &IncomingResponse) -> Vec<u8> {
    let (status, reason) = (response.status(), response.status_message());
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n").into_bytes();
    let named = named_by_connection(response.header_all("connection"));
    for (name, value) in response.headers().filter(|(name, _)| !is_dropped(name, &named)) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    head
}

/// The target as the upstream is asked for it: without scheme and host, which `Host` says.
fn origin_form(target: &str) -> &str {
    split_absolute(target).map_or(target, |(_, path)| if path.is_empty() { "/" } else { path })
}

/// Authority, and path and query, of a target in the absolute form.
fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let (_, rest) = target.split_once("://").filter(|_| !target.starts_with('/'))?;
    Some(rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len())))
}

/// Through a connection that speaks HTTP/2 requests would pass that nobody here sees.
fn asks_for_http2(req: &Request) -> bool {
    let mut protocols = req.header_all("upgrade").flat_map(|value| value.split(|&b| b == b','));
    protocols.any(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}

/// The fields that `Connection` names are for this connection only (RFC 9110 §7.6.1). Nearly always it names
/// none but those that are so anyway.
/// A set, since a client may name thousands.
fn named_by_connection<'a>(values: impl Iterator<Item = &'a [u8]>) -> HashSet<String> {
    const USUAL: [&[u8]; 4] = [b"", b"close", b"keep-alive", b"upgrade"];
    let names = values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    let special = names.filter(|name| !USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(name)));
    special.map(|name| String::from_utf8_lossy(name).to_ascii_lowercase()).collect()
}

fn is_dropped(name: &str, named: &HashSet<String>) -> bool {
    http::is_hop_by_hop(name) || (!named.is_empty() && named.contains(&name.to_ascii_lowercase()))
}

/// What proxies say of the client, and clients may say of themselves.
fn is_about_the_client(name: &str) -> bool {
    const NAMES: [&str; 5] =
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
    NAMES.iter().any(|other| other.eq_ignore_ascii_case(name))
}
