//! Node.js's `http` module, server and client, on one hand-written single-threaded reactor.
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
mod net;
mod posts;
mod shell;
#[cfg(feature = "sim")]
pub mod sim;

pub use engine::options::{LoopOptions, PanicPolicy};
pub use error::{Clock, Error, ErrorKind, Limit, Result, Sent};
pub use event_loop::{EventLoop, LoopHandle, Timer};
pub use net::Address;
pub use posts::Remote;
