//! The server that the benches talk to, written as a user would.
#![allow(dead_code)] // each bench uses its own part

use onloop::http::{self, ListenAddress, Server};
use onloop::{EventLoop, Result};

use crate::messages::GREETING;

/// `/plaintext` greets, `/echo` streams the content back, `/pieces` answers in four chunks.
pub(crate) fn start(event_loop: &EventLoop, address: impl ListenAddress) -> Result<Server> {
    let server = http::create_server(event_loop.handle(), |req, res| {
        match req.url() {
            "/plaintext" => {
                res.set_header("Content-Type", "text/plain")?;
                res.end(GREETING);
            }
            "/echo" => req.pipe(res),
            "/pieces" => {
                for _ in 0..4 {
                    res.write("0123456789abcdef");
                }
                res.end("");
            }
            _ => {
                res.set_status(404);
                res.end("");
            }
        }
        Ok(())
    });
    server.listen(address)?;
    Ok(server)
}

/// The answer is of so many responses, all 200: a bench must not measure an error.
pub(crate) fn check(answer: &[u8], count: usize) {
    let text = String::from_utf8_lossy(answer);
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), count, "{text}");
    let ends = text.ends_with(GREETING)
        || text.ends_with("0123456789abcdef")
        || text.ends_with("\r\n0\r\n\r\n");
    assert!(ends, "{text}");
}
