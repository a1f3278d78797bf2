//! Content goes back as it comes: `echo [ADDRESS]`, by default on `127.0.0.1:8080`. Whatever its size, only a
//! little of it is here at a time.
//!
//! ```text
//! curl --data-binary @large.iso http://127.0.0.1:8080/ | cmp - large.iso
//! ```

mod shutdown;

use onloop::{EventLoop, Result, http};

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let mut event_loop = EventLoop::new()?;

    let server = http::create_server(event_loop.handle(), |req, res| {
        if let Some(content_type) = req.header_bytes("content-type") {
            res.set_header("Content-Type", content_type)?;
        }
        // A client that sends faster than it reads would have us keep the difference. So when `write` says
        // that enough waits, nothing more is read from the client until that has drained.
        //
        // All of this is one line, which also sends trailers on and breaks the answer off where the request
        // breaks off: `req.pipe(res);`
        let body = req.body();
        req.on_data(move |chunk| {
            if !res.write(chunk) {
                body.pause();
            }
        });
        res.on_drain(move || body.resume());
        req.on_end(move || res.end(""));
        Ok(())
    });
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }

    event_loop.run()
}
