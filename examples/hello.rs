//! The scene that everything grows from: a server and a client on one loop. It picks a free port, prints
//! what happens, and ends by itself. `RUST_LOG=debug` tells the story behind it.

use onloop::{EventLoop, http};

fn main() -> onloop::Result<()> {
    env_logger::init();
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();

    let server = http::create_server(lp, |req, res| {
        println!("got the request");
        println!("{}", req.method());
        println!("{}", req.url());
        req.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
        res.end("Hello from HTTP Server");
    });
    server.listen("127.0.0.1:0")?;
    let port = server.port();
    println!("Server is listening on port {port}");

    let request = http::request(lp, "POST", format!("http://localhost:{port}/"))?;
    request.write("Hi i am client");
    request.on_response(move |response| {
        response.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
        response.on_end(move || server.close());
    });
    request.on_error(|err| eprintln!("{err}"));
    request.end("");

    event_loop.run() // returns when nothing is left to wait for, as Node exits
}
