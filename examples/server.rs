//! The server of the scene: `server [ADDRESS]`, by default on `0.0.0.0:8080`. It prints each request's method,
//! URL and content, and greets.

use onloop::{EventLoop, Result, http};

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:8080".to_string());
    let mut event_loop = EventLoop::new()?;

    let server = http::create_server(event_loop.handle(), |req, res| {
        println!("got the request");
        println!("{}", req.method());
        println!("{}", req.url());
        req.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
        res.end("Hello from HTTP Server");
    });
    server.listen(&address)?;
    println!("Server is listening on port {}", server.port());

    event_loop.run()
}
