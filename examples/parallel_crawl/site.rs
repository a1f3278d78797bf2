//! A small server to be crawled: pages that link to one another, and some that are not what they should be.

use std::time::Duration;

use onloop::http::{self, Request, Response, Server};
use onloop::{LoopHandle, Result};

const PAGES: usize = 100;

pub(crate) fn serve(lp: LoopHandle) -> Result<Server> {
    let server = http::create_server(lp, move |req, res| answer(lp, &req, res));
    server.listen("127.0.0.1:0")?;
    Ok(server)
}

fn answer(lp: LoopHandle, req: &Request, res: Response) -> Result<()> {
    match req.url() {
        "/" => page(res, 0),
        "/moved" => {
            res.set_status(302);
            res.set_header("Location", "/page/1")?;
            res.end("");
        }
        "/broken" => res.destroy(),
        path => match path.strip_prefix("/page/").and_then(|number| number.parse().ok()) {
            Some(number @ 1..PAGES) => {
                // Each takes its time, so that it is worth to have several connections.
                lp.set_timeout(Duration::from_millis(number as u64 % 7), move || page(res, number));
            }
            _ => {
                res.set_status(404);
                res.end("not found");
            }
        },
    }
    Ok(())
}

/// A page with links to three further ones.
fn page(res: Response, number: usize) {
    let _ = res.set_header("Content-Type", "text/html; charset=utf-8");
    let mut text = format!("<!doctype html><title>Page {number}</title>");
    for next in 3 * number + 1..=3 * number + 3 {
        if next < PAGES {
            text += &format!("<p><a href=\"/page/{next}\">page {next}</a>");
        }
    }
    if number == 0 {
        text += "<p><a href='missing'>missing</a> <a href=\"/moved\">moved</a> \
                 <a href=\"/broken\">broken</a> <a href=\"http://elsewhere.test/\">elsewhere</a>";
    }
    res.end(text);
}
