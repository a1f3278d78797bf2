//! Whole connections: see `server` and `client` for what is generated and asserted.

use crate::client;
use crate::input::choices;
use crate::server::{self, Case};

/// The body of the target. The first choice is below 8 for a server (1: other options; 4: the client does not end
/// its side), from 8 on the request that a client makes.
pub fn check(data: &[u8]) {
    let Some(([role, options, pieces, seed], bytes)) = choices(data) else { return };
    match role {
        0..8 => {
            let case = Case { bytes, options: options % 4, ends: role & 4 == 0 };
            server::check(case, pieces, seed);
        }
        _ => client::check(role - 8, options, bytes, pieces, seed),
    }
}
