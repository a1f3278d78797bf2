//! A streaming reverse proxy: `proxy PORT HOST:PORT`, on 127.0.0.1. Connections to the upstream are kept,
//! content flows both ways as fast as its receiver takes it, and SIGTERM ends it.

mod shutdown;

use onloop::http::{self, Request, Response, ServerOptions};
use onloop::{EventLoop, LoopHandle, LoopOptions, Result};

fn main() -> Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse::<u16>().ok());
    let (Some(port), Some(upstream)) = (port, arguments.next()) else {
        eprintln!("usage: proxy PORT HOST:PORT");
        std::process::exit(2);
    };
    let upstream = format!("http://{upstream}");
    let options = LoopOptions::new().free_connections_per_origin(4096);
    let mut event_loop = EventLoop::with_options(options)?;
    let lp = event_loop.handle();
    let server = http::Server::new(lp, ServerOptions::new().backlog(4096))?;
    server.on_request(move |req, res| {
        if let Err(error) = forward(lp, &upstream, req, res) {
            log::warn!("not forwarded: {error}");
            refuse(res, 400, "bad request");
        }
    });
    server.listen(("127.0.0.1", port))?;
    shutdown::on_signals(&event_loop, server)?;
    println!("listening on http://127.0.0.1:{}", server.port());
    event_loop.run()
}

fn forward(lp: LoopHandle, upstream: &str, req: Request, res: Response) -> Result<()> {
    let up = http::request(lp, req.method(), format!("{upstream}{}", origin_form(req.url())))?;
    let named = named_by_connection(req.header_all("connection"));
    for (name, value) in req.headers() {
        if !is_dropped(name, &named) {
            up.append_header(name, value)?;
        }
    }
    // RFC 9110 §7.6.3: who forwards a request says so.
    up.append_header("Via", if req.http_version() == "1.0" { "1.0 onloop" } else { "1.1 onloop" })?;
    up.on_information(move |information| match information.status() {
        103 => res.write_early_hints(information.headers()),
        _ => Ok(()),
    });
    up.on_response(move |response| {
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
    });
    up.on_error(move |error| {
        log::warn!("upstream: {error}");
        refuse(res, 502, "bad gateway");
    });
    res.on_close(move || up.destroy());
    if !req.is_complete() {
        up.flush_headers();
    }
    req.pipe(up);
    Ok(())
}

/// Answers by itself, unless the upstream's answer is on its way already.
fn refuse(res: Response, status: u16, text: &str) {
    if res.set_status(status) {
        res.end(text);
    }
}

/// The target as the upstream is asked for it: without scheme and host, which `Host` says again
/// (RFC 9112 §3.2.2).
fn origin_form(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://").filter(|_| !target.starts_with('/')) else {
        return target;
    };
    rest.find(['/', '?']).map_or("/", |start| &rest[start..])
}

/// The fields that `Connection` names are for this connection only (RFC 9110 §7.6.1).
fn named_by_connection<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let text = values.map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
    text.split(',').map(|name| name.trim().to_string()).collect()
}

fn is_dropped(name: &str, named: &[String]) -> bool {
    http::is_hop_by_hop(name) || named.iter().any(|other| other.eq_ignore_ascii_case(name))
}
