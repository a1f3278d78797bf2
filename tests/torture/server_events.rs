//! How the callbacks of a server come about that belong to no ordinary exchange.

use onloop::http::{Request, Response};

use crate::context::Ctx;
use crate::scenario::{Kind, on_request};

/// Bytes of a peer of their own that some kinds need.
pub(crate) fn peer_bytes(kind: Kind) -> Option<&'static [u8]> {
    match kind {
        Kind::ClientErrorEvent => Some(b"NOT HTTP\r\n\r\n"),
        Kind::DropRequest => {
            Some(b"GET /other HTTP/1.1\r\nHost: h\r\n\r\nGET /dropped HTTP/1.1\r\nHost: h\r\n\r\n")
        }
        Kind::ServerDrop => Some(b"GET /dropped HTTP/1.1\r\nHost: h\r\n\r\n"),
        _ => None,
    }
}

pub(crate) fn connection(ctx: Ctx) {
    let server = ctx.server.get();
    server.on_connection(move |connection| {
        ctx.connections.borrow_mut().push(connection);
        ctx.fire(|| self::connection(ctx), || server.off_connection())
    });
}

pub(crate) fn expectation(ctx: Ctx) {
    let server = ctx.server.get();
    let callback = move |req: Request, res: Response| {
        let remove = || match ctx.kind {
            Kind::CheckContinue => server.off_check_continue(),
            _ => server.off_check_expectation(),
        };
        // First the exchange is known, so that the operation reaches it.
        on_request(ctx, req, res)?;
        ctx.fire(|| expectation(ctx), remove)
    };
    match ctx.kind {
        Kind::CheckContinue => server.on_check_continue(callback),
        _ => server.on_check_expectation(callback),
    }
}

pub(crate) fn drop_request(ctx: Ctx) {
    let server = ctx.server.get();
    server.set_max_requests_per_socket(Some(1));
    server.on_drop_request(move |req, connection| {
        ctx.connections.borrow_mut().push(connection);
        ctx.bodies.borrow_mut().push(req.body());
        ctx.fire(|| drop_request(ctx), || server.off_drop_request())
    });
}

pub(crate) fn drop(ctx: Ctx) {
    let server = ctx.server.get();
    server.set_max_connections(Some(0));
    server.on_drop(move |_info| {
        // The others are welcome.
        server.set_max_connections(None);
        ctx.fire(|| drop(ctx), || server.off_drop())
    });
}

pub(crate) fn timeout(ctx: Ctx) {
    let server = ctx.server.get();
    server.on_timeout(move |connection| {
        ctx.connections.borrow_mut().push(connection);
        ctx.fire(|| timeout(ctx), || server.off_timeout())
    });
}
