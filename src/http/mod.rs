//! Node's `http`: servers and clients by callbacks on one [`EventLoop`](crate::EventLoop).
//!
//! Everything here is a thin face: small `Copy` handles that name a thing on the loop, and the heads that
//! callbacks are given. What happens behind them is in the engine.
//!
//! # Which callback, when
//! A callback runs only from the loop's turn, never inside a call that you make. Within one message:
//! `on_request` or `on_response` first, then `on_data` as often as there is content, `on_end` once, `on_close`
//! once and last. `on_error` comes before `on_close`.
//!
//! # HTTP/2
//! Is not in this crate. Connections speak HTTP/1.1 and HTTP/1.0.

mod agent;
mod agent_options;
mod block_list;
mod client;
mod connection;
mod connector;
#[cfg(feature = "http")]
mod convert;
mod credentials;
mod listen;
mod message;
mod options;
mod outgoing;
mod proxy;
mod recent;
mod request_options;
mod response;
mod retries;
mod server;
mod server_events;
mod server_settings;
mod socket;
mod validate;
mod value;
mod writable;

use std::fmt;

use crate::LoopHandle;
pub use crate::content::Chunk;
use crate::engine::callbacks::{Callbacks, ErrorFn};
use crate::engine::{ExchangeId, Hook};
use crate::error::Error;
use crate::h1::resembles_framing;
use crate::net::Address;
use crate::shell::LoopShell;

#[cfg(feature = "http")]
pub use convert::request_from_http;

pub use agent::{Agent, global_agent, set_global_agent};
pub(crate) use agent_options::AgentLimits;
pub use agent_options::{AgentOptions, Scheduling};
pub use block_list::BlockList;
pub use client::{ClientRequest, get, request, request_with};
pub use connection::{Connection, DropInfo};
pub use connector::{ConnectTarget, Connector, LookupAnswer};
pub use listen::ListenAddress;
pub use message::{Body, IncomingResponse, Information, PipeTarget, Request};
pub use options::ServerOptions;
pub use proxy::ProxyOptions;
pub use request_options::RequestOptions;
pub use response::Response;
pub use retries::Retries;
pub use server::Server;
pub use socket::{ReadyState, Socket};
pub use validate::{
    is_valid_header_name, is_valid_header_value, validate_header_name, validate_header_value,
};
pub use value::{HeaderValue, Outcome};

pub use crate::net::Family;

/// 16,384 (Node: `http.maxHeaderSize`).
pub use crate::h1::MAX_HEADER_SIZE;
/// The methods that Node's parser knows, sorted (Node: `http.METHODS`). Others are served as well.
pub use crate::h1::METHODS;
/// Status codes and their reason phrases (Node: `http.STATUS_CODES`).
pub use crate::h1::STATUS_CODES;

/// A server with default options that calls `on_request` for each request. (Node: `http.createServer`)
///
/// On a loop that is gone the server is dead: `listen` says so.
///
/// ```
/// # let mut event_loop = onloop::EventLoop::new()?;
/// # let lp = event_loop.handle();
/// use onloop::http;
/// let server = http::create_server(lp, |req, res| {
///     req.on_data(|chunk| println!("{} bytes", chunk.len()));
///     res.end("Hello from HTTP Server");
/// });
/// server.listen("127.0.0.1:0")?;
/// # Ok::<(), onloop::Error>(())
/// ```
pub fn create_server<R: Outcome>(
    lp: LoopHandle,
    on_request: impl FnMut(Request, Response) -> R + 'static,
) -> Server {
    match Server::new(lp, ServerOptions::default()) {
        Ok(server) => {
            server.on_request(on_request);
            server
        }
        Err(error) => {
            log::error!(target: "onloop::server", "no server was made: {error}");
            Server::dead(lp)
        }
    }
}

/// The field concerns one connection only, and a proxy does not pass it on (RFC 9110 §7.6.1): `Connection`,
/// `Keep-Alive`, `Transfer-Encoding` and their like. What `Connection` names besides is hop-by-hop, too. So are
/// names that are `Content-Length` or `Transfer-Encoding` but for the character in the hyphen's place: whoever sent
/// them, the next reader may take them for these, and our own messages refuse them.
///
/// ```
/// assert!(onloop::http::is_hop_by_hop("keep-alive"));
/// assert!(onloop::http::is_hop_by_hop("transfer_encoding"));
/// assert!(!onloop::http::is_hop_by_hop("Content-Type"));
/// ```
pub fn is_hop_by_hop(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "keep-alive",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
    ];
    NAMES.iter().any(|hop| hop.eq_ignore_ascii_case(name))
        || (resembles_framing(name.as_bytes()) && !name.eq_ignore_ascii_case("content-length"))
}

/// Registers a callback that runs once.
///
/// Here and wherever a callback is registered it is taken out of an `Option` that stays outside of the borrow:
/// where nothing takes it, since the exchange is over, it is dropped there.
fn set_hook<R: Outcome>(
    shell: &'static LoopShell,
    id: ExchangeId,
    place: impl FnOnce(&mut Callbacks) -> &mut Option<Hook>,
    callback: impl FnOnce() -> R + 'static,
) {
    let mut callback: Option<Hook> = Some(Box::new(move || callback().into_result()));
    let displaced = shell.with(|core| {
        let displaced = std::mem::replace(place(core.callbacks(id)?), callback.take());
        // Content may be complete already, with nobody told.
        core.mark_dirty(id.key);
        displaced
    });
    drop(displaced);
}

fn set_error_hook<R: Outcome>(
    shell: &'static LoopShell,
    id: ExchangeId,
    place: impl FnOnce(&mut Callbacks) -> &mut Option<ErrorFn>,
    callback: impl FnOnce(Error) -> R + 'static,
) {
    let mut callback: Option<ErrorFn> = Some(Box::new(move |error| callback(error).into_result()));
    let displaced =
        shell.with(|core| std::mem::replace(place(core.callbacks(id)?), callback.take()));
    drop(displaced);
}

fn remote_address(shell: &'static LoopShell, id: ExchangeId) -> Option<Address> {
    shell.with(|core| core.peer_address(id)).flatten()
}

fn local_address(shell: &'static LoopShell, id: ExchangeId) -> Option<Address> {
    shell.with(|core| core.local_address(id)).flatten()
}

fn debug_handle(name: &str, id: ExchangeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.debug_struct(name)
        .field("connection", &id.key)
        .field("exchange", &id.sequence)
        .finish_non_exhaustive()
}
