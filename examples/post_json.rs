//! Sends JSON and reads JSON: `post_json [URL]`. Without a URL it posts to a small server of its own, on the same
//! loop. It prints the status and the answer, and exits with 1 when there is none.

use std::cell::RefCell;
use std::process::ExitCode;
use std::rc::Rc;

use onloop::http::{self, IncomingResponse, Request, Response, Server};
use onloop::{Error, EventLoop, LoopHandle, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// More than this is not collected, of an order or of an answer.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
struct Order {
    customer: String,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    count: u64,
    cents: u64,
}

/// What the small server says of an order.
#[derive(Serialize)]
struct Receipt {
    customer: String,
    cents: u64,
}

fn main() -> ExitCode {
    env_logger::init();
    match run(std::env::args().nth(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("post_json: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(url: Option<String>) -> Result<()> {
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();
    let (url, server) = match url {
        Some(url) => (url, None),
        None => {
            let server = till(lp)?;
            (format!("http://127.0.0.1:{}/orders", server.port()), Some(server))
        }
    };
    let failure = Rc::new(RefCell::new(None));
    let failed = failure.clone();
    post(lp, &url, &order(), move |outcome| {
        *failed.borrow_mut() = outcome.err();
        if let Some(server) = server {
            server.close();
        }
    })?;
    event_loop.run()?; // returns when nothing is left to wait for, as Node exits
    failure.take().map_or(Ok(()), Err)
}

fn order() -> Order {
    let item = |name: &str, count, cents| Item { name: name.to_string(), count, cents };
    Order { customer: "Ada".to_string(), items: vec![item("tea", 2, 350), item("cake", 1, 420)] }
}

/// Posts `content` and prints the answer; `done` is called once.
fn post(
    lp: LoopHandle,
    url: &str,
    content: &impl Serialize,
    done: impl FnOnce(Result<()>) + 'static,
) -> Result<()> {
    let request = http::request(lp, "POST", url)?;
    request.set_header("Content-Type", "application/json")?;
    request.set_header("Accept", "application/json")?;

    let outcome = Rc::new(RefCell::new(Ok(())));
    let reading = outcome.clone();
    request.on_response(move |response| {
        let head = (response.status(), response.status_message().into_owned(), is_json(&response));
        response.collect(CONTENT_BYTES_MAX, move |content| {
            *reading.borrow_mut() = content.and_then(|content| print(head, &content));
        });
    });
    let failed = outcome.clone();
    request.on_error(move |error| *failed.borrow_mut() = Err(error));
    request.on_close(move || done(outcome.replace(Ok(()))));

    // A request is a writer. Serialised piece by piece, the content would be a chunk for each piece: the cork
    // makes one of them.
    request.cork();
    serde_json::to_writer(request, content).map_err(std::io::Error::from)?;
    request.end("");
    Ok(())
}

fn is_json(response: &IncomingResponse) -> bool {
    let content_type = response.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
}

fn print((status, message, is_json): (u16, String, bool), content: &[u8]) -> Result<()> {
    println!("{}", format!("{status} {message}").trim_end());
    if !is_json {
        return Err(Error::other("the answer is not application/json"));
    }
    let answer: Value = serde_json::from_slice(content)
        .map_err(|error| Error::other(format!("the answer is no JSON: {error}")))?;
    println!("{}", serde_json::to_string_pretty(&answer).map_err(std::io::Error::from)?);
    Ok(())
}

/// The small server: it answers an order with its sum.
fn till(lp: LoopHandle) -> Result<Server> {
    let server = http::create_server(lp, |req, res| charge(&req, res));
    server.listen("127.0.0.1:0")?;
    Ok(server)
}

fn charge(req: &Request, res: Response) {
    req.collect(CONTENT_BYTES_MAX, move |content| {
        let order: Order = match serde_json::from_slice(&content?) {
            Ok(order) => order,
            Err(error) => {
                res.set_status(400);
                res.end(format!("this is no order: {error}"));
                return Ok(());
            }
        };
        let cents = order.items.iter().map(|item| item.count * item.cents).sum();
        res.set_status(201);
        res.set_header("Content-Type", "application/json")?;
        let receipt = Receipt { customer: order.customer, cents };
        res.end(serde_json::to_vec(&receipt).map_err(std::io::Error::from)?);
        Ok(())
    });
}
