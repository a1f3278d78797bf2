//! Node.js's `http` module, server and client, on one hand-written single-threaded reactor: callbacks instead
//! of an async runtime, 40 bytes for an idle connection, strict on the wire.
//!
//! An [`EventLoop`] is made, things are put on it by its [`LoopHandle`], and it is run:
//!
//! ```
//! use onloop::{EventLoop, http};
//!
//! let mut event_loop = EventLoop::new()?;
//! let lp = event_loop.handle();
//!
//! let server = http::create_server(lp, |req, res| {
//!     req.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
//!     res.end("Hello from HTTP Server");
//! });
//! server.listen("127.0.0.1:0")?;
//!
//! let request = http::request(lp, "POST", format!("http://127.0.0.1:{}/", server.port()))?;
//! request.on_response(move |response| {
//!     response.on_data(|chunk| println!("{}", String::from_utf8_lossy(chunk)));
//!     response.on_end(move || server.close());
//! });
//! request.end("Hi i am client");
//!
//! event_loop.run()?; // returns when nothing is left to wait for
//! # Ok::<(), onloop::Error>(())
//! ```
//!
//! # What holds for every callback
//! It runs only from the loop's turn, never inside a call that you make. It may do anything: end a response
//! twice, replace or remove itself, destroy its connection, close the server, start requests, return an
//! error, panic. Handles are `Copy` and name a thing on the loop; when the thing is over they do nothing.
//! Handlers return nothing or [`Result<()>`](Result), so `?` works in them.
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `bytes` | yes | `bytes::Bytes` as content that is never copied when large |
//! | `http` | yes | heads from and to the types of the `http` crate |
//! | `sim` | no | `sim`: a simulated network and clock under the unchanged engine, for tests of handlers; outside of the semver promise |
//!
//! # Logging
//! Through the `log` crate, under these targets: `onloop::server` and `onloop::client` (what happens to
//! connections and requests, at debug; listening and closing at info), `onloop::connection` (system calls that
//! failed), `onloop::http` (what the program did wrong, at error), `onloop::loop` (callbacks that failed or
//! panicked).
//!
//! HTTP/2 and TLS are not in this crate.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod content;
mod dispatch;
mod engine;
mod error;
mod event_loop;
mod h1;
pub mod http;
#[cfg(feature = "sim")]
#[doc(hidden)]
pub mod internals;
mod limits;
mod net;
mod posts;
mod shell;
#[cfg(feature = "sim")]
pub mod sim;

pub use engine::options::{LoopOptions, PanicPolicy};
pub use error::{Clock, Error, ErrorKind, Limit, Result, Sent};
pub use event_loop::{EventLoop, LoopHandle, Timer};
pub use limits::Limits;
pub use net::Address;
pub use posts::Remote;
