//! Events as they happen, in a browser: `server_sent_events [ADDRESS]`, by default on `127.0.0.1:8080`.
//!
//! Open `http://127.0.0.1:8080/`, in several windows if you like. Stop the server and start it again, and the
//! pages go on by themselves. `curl -N http://127.0.0.1:8080/events` shows what is sent.

mod feed;
#[path = "../shutdown/mod.rs"]
mod shutdown;

use std::time::{Duration, SystemTime};

use feed::Feed;
use onloop::http::{self, Request, Response};
use onloop::{EventLoop, Result};

const PAGE: &str = include_str!("page.html");

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();

    let feed = Feed::default();
    let joining = feed.clone();
    let server = http::create_server(lp, move |req, res| route(&joining, &req, res));
    // Readers keep the loop running, and listening does. The clock alone need not.
    let clock = lp.set_interval(Duration::from_secs(1), move || match server.is_listening() {
        true => feed.publish(&news(&feed)),
        // `close` waits for answers that have begun, and these have no end of their own.
        false => feed.end(),
    });
    clock.unref();
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }

    event_loop.run()
}

fn route(feed: &Feed, req: &Request, res: Response) -> Result<()> {
    match (req.method(), req.url().split('?').next()) {
        ("GET" | "HEAD", Some("/")) => {
            res.set_header("Content-Type", "text/html; charset=utf-8")?;
            res.end(PAGE);
            Ok(())
        }
        ("GET", Some("/events")) => {
            let last = req.header("last-event-id").and_then(|id| id.parse().ok());
            feed.join(res, last)
        }
        _ => {
            res.set_status(404);
            res.end("");
            Ok(())
        }
    }
}

fn news(feed: &Feed) -> String {
    let time = httpdate::fmt_http_date(SystemTime::now());
    serde_json::json!({ "time": time, "readers": feed.readers() }).to_string()
}
