//! Node.js's `http` module, server and client, on one hand-written single-threaded reactor.
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![allow(dead_code)] // while the layers grow towards each other

mod error;
mod h1;
mod net;

pub use error::{Clock, Error, ErrorKind, Limit, Result, Sent};
pub use net::Address;

/// A simulated network and clock under the unchanged engine. Outside the semver promise.
#[cfg(feature = "sim")]
pub mod sim {
    pub use crate::net::sim::{SimListener, SimNet, SimOptions, SimPeer};
}
