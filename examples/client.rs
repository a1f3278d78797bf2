//! The client of the scene: `client [URL]`, by default `http://localhost:8080/`. It sends a line, prints the
//! answer, and ends; with 1 when the request failed.

use std::cell::Cell;
use std::process::ExitCode;
use std::rc::Rc;

use onloop::{EventLoop, Result, http};

fn main() -> Result<ExitCode> {
    env_logger::init();
    let url = std::env::args().nth(1).unwrap_or_else(|| "http://localhost:8080/".to_string());
    let mut event_loop = EventLoop::new()?;
    let exit_code = Rc::new(Cell::new(ExitCode::SUCCESS));

    let request = http::request(event_loop.handle(), "POST", url)?;
    request.write("Hi i am client");
    request.on_response(|response| {
        response.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
    });
    let failed = exit_code.clone();
    request.on_error(move |error| {
        eprintln!("{error}");
        failed.set(ExitCode::FAILURE);
    });
    request.end("");

    event_loop.run()?; // returns when nothing is left to wait for, as Node exits
    Ok(exit_code.get())
}
