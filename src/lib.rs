//! Node.js's `http` module, server and client, on one hand-written single-threaded reactor.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(dead_code)] // while the layers grow towards each other

mod error;
mod h1;
mod net;
#[cfg(test)] // until the public face stands on it
#[path = "http/url.rs"]
mod url;

pub use error::{Clock, Error, ErrorKind, Limit, Result, Sent};
