//! A page that takes its time, and hints that do not: `early_hints [ADDRESS]`, by default on `127.0.0.1:8080`.
//!
//! While the page is still being made, `103 Early Hints` (RFC 8297) tells the client what the page will need,
//! so that it fetches the style sheet and the script meanwhile. Browsers act on hints only where they come by
//! HTTP/2 or later, which a proxy in front of this server speaks; by HTTP/1.1 they skip them. curl shows them:
//!
//! ```text
//! curl -i http://127.0.0.1:8080/
//! ```

mod shutdown;

use std::time::Duration;

use onloop::http::{self, Request, Response};
use onloop::{EventLoop, LoopHandle, Result};

/// How long the page takes: a database that thinks, say.
const THINKING: Duration = Duration::from_millis(500);

const HINTS: [(&str, &str); 2] = [
    ("Link", "</style.css>; rel=preload; as=style"),
    ("Link", "</script.js>; rel=preload; as=script"),
];

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Early hints</title>
<link rel="stylesheet" href="/style.css">
<h1>The page was slow</h1>
<p id="script">The script has not run.</p>
<script src="/script.js"></script>
"#;

const STYLE: &str =
    "body { max-width: 40em; margin: 4em auto; font-family: sans-serif; color: #234; }\n";

const SCRIPT: &str =
    "document.getElementById('script').textContent = 'The script was here early.';\n";

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();

    let server = http::create_server(lp, move |req, res| route(lp, &req, res));
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }

    event_loop.run()
}

fn route(lp: LoopHandle, req: &Request, res: Response) -> Result<()> {
    match req.url().split('?').next() {
        Some("/") => {
            // The hints are on their way when this function returns, the answer follows on the same
            // connection. A client of HTTP/1.0 gets none: it would take them for the answer.
            res.write_early_hints(HINTS)?;
            // Sent again with the answer, for those who skip hints.
            for (name, value) in HINTS {
                res.append_header(name, value)?;
            }
            lp.set_timeout(THINKING, move || answer(res, "text/html; charset=utf-8", PAGE));
            Ok(())
        }
        Some("/style.css") => cacheable(res, "text/css; charset=utf-8", STYLE),
        Some("/script.js") => cacheable(res, "text/javascript; charset=utf-8", SCRIPT),
        _ => {
            res.set_status(404);
            answer(res, "text/plain; charset=utf-8", "there is no such page\n")
        }
    }
}

/// What was fetched early must still be there when the page asks for it.
fn cacheable(res: Response, content_type: &str, content: &'static str) -> Result<()> {
    res.set_header("Cache-Control", "max-age=60")?;
    answer(res, content_type, content)
}

fn answer(res: Response, content_type: &str, content: &'static str) -> Result<()> {
    // The client may have left while the page was being made.
    if res.is_open() {
        res.set_header("Content-Type", content_type)?;
        res.end(content);
    }
    Ok(())
}
