//! A small JSON API: `json_api [ADDRESS]`, by default on `127.0.0.1:8080`. It keeps books in memory.
//!
//! | request | answer |
//! |---|---|
//! | `GET /books` | 200 and a list |
//! | `POST /books` | 201, the new book, and where it is in `Location` |
//! | `GET /books/ID` | 200 and one book |
//! | `PUT /books/ID` | 200 and the book as it is now |
//! | `DELETE /books/ID` | 204 |
//!
//! What cannot be done is answered in JSON, too: 400, 404, 405 with `Allow`, 413, 415.
//!
//! ```text
//! curl -i -H 'Content-Type: application/json' -d '{"title": "Emma", "author": "Jane Austen"}' http://127.0.0.1:8080/books
//! ```

mod shutdown;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use onloop::http::{self, Request, Response};
use onloop::{ErrorKind, EventLoop, Limit, Result};
use serde::{Deserialize, Serialize};

/// More than this of a request's content is not collected.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Book {
    title: String,
    author: String,
}

/// A book as clients see it.
#[derive(Serialize)]
struct Entry<'a> {
    id: u64,
    #[serde(flatten)]
    book: &'a Book,
}

#[derive(Default)]
struct Shelf {
    books: BTreeMap<u64, Book>,
    last_id: u64,
}

/// Why a request is not carried out.
struct Refusal {
    status: u16,
    reason: String,
    /// For 405: what would be allowed.
    allow: Option<&'static str>,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Refusal {
        Refusal { status, reason: reason.into(), allow: None }
    }

    fn method(allow: &'static str) -> Refusal {
        let reason = format!("this is there for {allow} only");
        Refusal { allow: Some(allow), ..Refusal::new(405, reason) }
    }

    fn no_such_thing() -> Refusal {
        Refusal::new(404, "there is no such thing here")
    }
}

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_string());
    let mut event_loop = EventLoop::new()?;

    // One thread, so no lock. Callbacks never run inside of each other, so a borrow that ends with its
    // callback is alone.
    let shelf = Rc::new(RefCell::new(Shelf::default()));
    let server =
        http::create_server(event_loop.handle(), move |req, res| match route(&shelf, &req, res) {
            Ok(()) => Ok(()),
            Err(refusal) => refuse(res, &refusal),
        });
    server.listen(&address)?;
    shutdown::on_signals(&event_loop, server)?;
    if let Some(address) = server.address() {
        println!("listening on http://{address}");
    }

    event_loop.run()
}

fn route(shelf: &Rc<RefCell<Shelf>>, req: &Request, res: Response) -> Result<(), Refusal> {
    let path = req.url().split('?').next().unwrap_or_default();
    let rest = path.strip_prefix("/books").ok_or_else(Refusal::no_such_thing)?;
    if rest.is_empty() {
        return match req.method() {
            "GET" | "HEAD" => list(&shelf.borrow(), res),
            "POST" => with_book(req, res, shelf, move |shelf, book| create(shelf, book, res)),
            _ => Err(Refusal::method("GET, HEAD, POST")),
        };
    }
    let id = rest.strip_prefix('/').and_then(|id| id.parse().ok());
    let id = id.filter(|id| shelf.borrow().books.contains_key(id));
    let id: u64 = id.ok_or_else(Refusal::no_such_thing)?;
    match req.method() {
        "GET" | "HEAD" => show(&shelf.borrow(), id, res),
        "PUT" => with_book(req, res, shelf, move |shelf, book| replace(shelf, id, book, res)),
        "DELETE" => {
            shelf.borrow_mut().books.remove(&id);
            res.set_status(204);
            res.end("");
            Ok(())
        }
        _ => Err(Refusal::method("GET, HEAD, PUT, DELETE")),
    }
}

fn list(shelf: &Shelf, res: Response) -> Result<(), Refusal> {
    let entries: Vec<Entry> =
        shelf.books.iter().map(|(id, book)| Entry { id: *id, book }).collect();
    answer(res, &entries).map_err(failed)
}

fn show(shelf: &Shelf, id: u64, res: Response) -> Result<(), Refusal> {
    let book = shelf.books.get(&id).ok_or_else(Refusal::no_such_thing)?;
    answer(res, &Entry { id, book }).map_err(failed)
}

fn create(shelf: &mut Shelf, book: Book, res: Response) -> Result<(), Refusal> {
    shelf.last_id += 1;
    let id = shelf.last_id;
    shelf.books.insert(id, book);
    res.set_status(201);
    res.set_header("Location", format!("/books/{id}")).map_err(failed)?;
    show(shelf, id, res)
}

fn replace(shelf: &mut Shelf, id: u64, book: Book, res: Response) -> Result<(), Refusal> {
    // It was there when the request came. While its content was on the way, another one may have deleted it.
    let place = shelf.books.get_mut(&id).ok_or_else(Refusal::no_such_thing)?;
    *place = book;
    show(shelf, id, res)
}

/// What is left to fail is ours.
fn failed(error: onloop::Error) -> Refusal {
    Refusal::new(500, error.to_string())
}

fn answer(res: Response, content: &impl Serialize) -> Result<()> {
    res.set_header("Content-Type", "application/json")?;
    res.end(serde_json::to_vec(content).map_err(std::io::Error::from)?);
    Ok(())
}

fn refuse(res: Response, refusal: &Refusal) -> Result<()> {
    res.set_status(refusal.status);
    if let Some(allow) = refusal.allow {
        res.set_header("Allow", allow)?;
    }
    answer(res, &serde_json::json!({ "error": refusal.reason }))
}

/// Has `then` run with the book that the request brings, once all of it is there.
fn with_book(
    req: &Request,
    res: Response,
    shelf: &Rc<RefCell<Shelf>>,
    then: impl FnOnce(&mut Shelf, Book) -> Result<(), Refusal> + 'static,
) -> Result<(), Refusal> {
    let content_type = req.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::new(415, "a book comes as application/json"));
    }
    // A client that asks first (`Expect: 100-continue`) hears it before it has sent anything.
    let declared = req.header("content-length").and_then(|length| length.parse().ok());
    if declared.is_some_and(|length: usize| length > CONTENT_BYTES_MAX) {
        return Err(too_large());
    }
    let shelf = shelf.clone();
    req.collect(CONTENT_BYTES_MAX, move |content| {
        let book = match content {
            Ok(content) => parse(&content),
            Err(error) if error.kind() == ErrorKind::Limit(Limit::Body) => Err(too_large()),
            // The client has left, and nobody waits for an answer.
            Err(_) => return Ok(()),
        };
        let outcome = book.and_then(|book| then(&mut shelf.borrow_mut(), book));
        outcome.or_else(|refusal| refuse(res, &refusal))
    });
    Ok(())
}

fn parse(content: &[u8]) -> Result<Book, Refusal> {
    serde_json::from_slice(content)
        .map_err(|error| Refusal::new(400, format!("this is no book: {error}")))
}

fn too_large() -> Refusal {
    Refusal::new(413, format!("a book has {CONTENT_BYTES_MAX} bytes at most"))
}
