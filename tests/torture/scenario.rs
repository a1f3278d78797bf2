//! How each kind of callback comes about: what the server and the client do until it is called, and how
//! the exchange goes on afterwards.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use onloop::Timer;
use onloop::http::{self, Body, ClientRequest, IncomingResponse, Request, Response, Socket};

use crate::agents;
use crate::context::Ctx;
use crate::server_events;

macro_rules! kinds {
    ($($name:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($name,)*
        }

        impl Kind {
            pub(crate) const ALL: &[Kind] = &[$(Kind::$name),*];
        }
    };
}

kinds! {
    Request, RequestData, RequestEnd, RequestClose, RequestError, RequestAborted,
    ResponseDrain, ResponseWritten, ResponseFinish, ResponseClose, ResponseError, ResponseTimeout,
    ClientResponse, ClientData, ClientEnd, ClientBodyClose, ClientBodyError, ClientAborted,
    ClientDrain, ClientWritten, ClientFinish, ClientClose, ClientFailed, ClientRefused, ClientTimeout,
    Information, Continue,
    ClientSocket, ClientConnect, CreateConnection, Lookup,
    ShouldUpgrade, ServerUpgrade, ClientUpgrade,
    SocketData, SocketEnd, SocketDrain, SocketFinish, SocketTimeout, SocketError, SocketClose,
    ClientErrorEvent, ServerClosed,
    ServerConnection, CheckContinue, CheckExpectation, DropRequest, ServerTimeout, RequestTimeout,
    ServerDrop,
    Timer, Interval, Immediate, Post,
}

const SOON: Duration = Duration::from_millis(1);

/// More than a connection and the high-water mark hold.
const A_LOT: usize = 200_000;

impl Kind {
    pub(crate) fn upgrades(self) -> bool {
        use Kind::*;
        matches!(
            self,
            ShouldUpgrade
                | ServerUpgrade
                | ClientUpgrade
                | SocketData
                | SocketEnd
                | SocketDrain
                | SocketFinish
                | SocketTimeout
                | SocketError
                | SocketClose
        )
    }
}

/// Sets the server's callbacks.
pub(crate) fn serve(ctx: Ctx) {
    let server = ctx.server.get();
    server.on_request(move |req, res| on_request(ctx, req, res));
    if ctx.kind.upgrades() {
        server.on_upgrade(move |req, socket, head| on_upgrade(ctx, req, socket, head));
    }
    match ctx.kind {
        Kind::ShouldUpgrade => should_upgrade(ctx),
        Kind::ClientErrorEvent => on_client_error(ctx),
        Kind::ServerConnection => server_events::connection(ctx),
        Kind::CheckContinue | Kind::CheckExpectation => server_events::expectation(ctx),
        Kind::DropRequest => server_events::drop_request(ctx),
        Kind::ServerDrop => server_events::drop(ctx),
        Kind::ServerTimeout => {
            server.set_timeout(Duration::from_millis(50));
            server_events::timeout(ctx);
        }
        Kind::ServerClosed => server.on_close(move || ctx.fire_once()),
        Kind::ClientConnect => server.on_connect(move |_, socket, _| {
            ctx.track_socket(socket);
            socket.write("HTTP/1.1 200 OK\r\n\r\n");
            socket.pipe(socket);
        }),
        _ => {}
    }
}

pub(crate) fn on_request(ctx: Ctx, req: Request, res: Response) -> onloop::Result<()> {
    match req.url() {
        "/fresh" => {
            res.end("fresh");
            return Ok(());
        }
        "/other" => {
            ctx.track_response(res);
            res.end("other");
            return Ok(());
        }
        "/moved" => {
            ctx.track_response(res);
            res.set_status(303);
            res.set_header("Location", "/other")?;
            res.end("moved");
            return Ok(());
        }
        _ => ctx.track_response(res),
    }
    let body = req.body();
    ctx.connections.borrow_mut().push(req.connection());
    ctx.bodies.borrow_mut().push(body);
    match ctx.kind {
        Kind::Request => {
            let server = ctx.server.get();
            let replace = || server.on_request(move |req, res| on_request(ctx, req, res));
            let remove = || {
                server.off_request();
                ctx.removed.set(true);
            };
            ctx.fire(replace, remove)?;
            res.end("ok");
        }
        Kind::ServerClosed => {
            res.end("ok");
            ctx.server.get().close();
        }
        Kind::Timer | Kind::Interval | Kind::Immediate | Kind::Post | Kind::ClientErrorEvent => {
            from_elsewhere(ctx, res);
        }
        Kind::DropRequest | Kind::ServerDrop => from_elsewhere(ctx, res),
        _ => request_callbacks(ctx, body, res),
    }
    Ok(())
}

/// What the server does where the callback under test is one of the exchange.
fn request_callbacks(ctx: Ctx, body: Body, res: Response) {
    match ctx.kind {
        Kind::RequestData => {
            request_data(ctx, body);
            body.on_end(move || res.end("ok"));
        }
        Kind::RequestEnd => {
            body.resume();
            body.on_end(move || {
                ctx.fire(|| body.on_end(move || res.end("replaced")), || {})?;
                res.end("ok");
                Ok(())
            });
        }
        Kind::RequestClose => {
            body.on_close(move || ctx.fire_once());
            res.end("ok");
        }
        Kind::RequestError | Kind::RequestAborted => {
            body.on_data(|_| {});
            match ctx.kind {
                Kind::RequestError => body.on_error(move |_| ctx.fire_once()),
                _ => body.on_aborted(move || ctx.fire_once()),
            }
            ctx.lp.set_timeout(SOON, move || ctx.requests.borrow()[0].destroy());
        }
        Kind::ResponseDrain => {
            response_drain(ctx, res);
            assert!(!res.write(&[b'x'; A_LOT]), "the high-water mark is far below");
        }
        Kind::ResponseWritten => {
            res.write("some");
            let registered = res.on_written(move |_| {
                ctx.fire_once()?;
                res.end("more");
                Ok(())
            });
            assert!(registered.is_ok());
        }
        Kind::ResponseFinish => {
            res.on_finish(move || ctx.fire_once());
            res.end("ok");
        }
        Kind::ResponseError => keep_writing(ctx, res),
        Kind::ResponseTimeout => {
            res.set_timeout(Duration::from_millis(50));
            response_timeout(ctx, res);
        }
        Kind::RequestTimeout => {
            body.resume();
            body.set_timeout(Duration::from_millis(50));
            request_timeout(ctx, body, res);
        }
        Kind::ServerTimeout => {
            // Longer than the timeout.
            ctx.lp.set_timeout(Duration::from_millis(150), move || res.end("late"));
        }
        Kind::CheckContinue | Kind::CheckExpectation => {
            body.resume();
            body.on_end(move || res.end("ok"));
        }
        Kind::ClientBodyError | Kind::ClientAborted => {
            res.write("part one");
            ctx.lp.set_timeout(SOON, move || res.destroy());
        }
        Kind::ClientDrain | Kind::ClientWritten | Kind::Continue => {
            body.on_data(|_| {});
            body.on_end(move || res.end("ok"));
        }
        Kind::ClientFailed => res.destroy(),
        Kind::ClientTimeout => {
            // A client that closes may only have ended its side: it is noticed by the answer.
            ctx.lp.set_timeout(Duration::from_millis(110), move || res.end("late"));
        }
        Kind::Information => {
            res.write_early_hints([("Link", "</style.css>")]).expect("the head is not sent");
            res.end("ok");
        }
        _ => {
            res.write("part one");
            ctx.lp.set_timeout(SOON, move || res.end("part two"));
        }
    }
}

fn request_data(ctx: Ctx, body: Body) {
    body.on_data(move |_| ctx.fire(|| request_data(ctx, body), || body.off_data()));
}

fn response_drain(ctx: Ctx, res: Response) {
    res.on_drain(move || {
        ctx.fire(|| response_drain(ctx, res), || res.off_drain())?;
        res.end("");
        Ok(())
    });
}

fn request_timeout(ctx: Ctx, body: Body, res: Response) {
    body.on_timeout(move || {
        ctx.fire(|| request_timeout(ctx, body, res), || body.off_timeout())?;
        res.end("late");
        Ok(())
    });
}

fn response_timeout(ctx: Ctx, res: Response) {
    res.on_timeout(move || {
        ctx.fire(|| response_timeout(ctx, res), || {})?;
        res.end("late");
        Ok(())
    });
}

/// A client that went away is noticed by writing.
fn keep_writing(ctx: Ctx, res: Response) {
    if res.is_open() {
        res.write("x");
        ctx.lp.set_timeout(SOON, move || keep_writing(ctx, res));
    }
}

/// The callback is no exchange's; one is under way meanwhile.
fn from_elsewhere(ctx: Ctx, res: Response) {
    let act = move || {
        ctx.fire_once()?;
        res.end("ok");
        Ok(())
    };
    match ctx.kind {
        Kind::Timer => {
            ctx.lp.set_timeout(SOON, act);
        }
        Kind::Immediate => {
            ctx.lp.set_immediate(act);
        }
        Kind::Interval => interval(ctx, res),
        Kind::Post => {
            POSTED.set(Some((ctx, res)));
            let remote = ctx.remote.borrow();
            let posted = remote.as_ref().expect("made before").post(|_| {
                if let Some((ctx, res)) = POSTED.take() {
                    match ctx.fire_once() {
                        Ok(()) => res.end("ok"),
                        Err(_) => res.destroy(),
                    }
                }
            });
            posted.expect("the loop is there");
        }
        // The other connection's bad bytes end it.
        _ => {
            ctx.lp.set_timeout(Duration::from_millis(20), move || res.end("ok"));
        }
    }
}

thread_local! {
    /// A post is `Send`; what it works with stays on the loop's thread.
    static POSTED: Cell<Option<(Ctx, Response)>> = const { Cell::new(None) };
}

fn interval(ctx: Ctx, res: Response) {
    let timer: Rc<Cell<Option<Timer>>> = Rc::default();
    let own = timer.clone();
    let mut runs = 0;
    let clear = move || {
        if let Some(timer) = own.get() {
            timer.clear();
        }
    };
    timer.set(Some(ctx.lp.set_interval(SOON, move || {
        runs += 1;
        if runs == 2 {
            // Also when the operation fails: the next run cannot be hoped for once it is removed.
            res.end("ok");
            clear();
            return Ok(());
        }
        ctx.fire(|| interval(ctx, res), &clear)
    })));
}

fn should_upgrade(ctx: Ctx) {
    ctx.server.get().should_upgrade(move |_| {
        // What is not a panic has no way out of here.
        let _ = ctx.fire(|| should_upgrade(ctx), || {});
        true
    });
}

fn on_upgrade(ctx: Ctx, _req: Request, socket: Socket, head: &[u8]) -> onloop::Result<()> {
    ctx.track_socket(socket);
    socket.write(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: torture\r\n\r\n",
    );
    socket.write(head);
    match ctx.kind {
        Kind::ServerUpgrade => {
            let server = ctx.server.get();
            let replace =
                || server.on_upgrade(move |req, socket, head| on_upgrade(ctx, req, socket, head));
            ctx.fire(replace, || {})?;
            socket.pipe(socket);
        }
        Kind::SocketEnd => {
            socket.on_data(move |bytes| _ = socket.write(bytes));
            socket.on_end(move || {
                ctx.fire_once()?;
                socket.end("");
                Ok(())
            });
        }
        Kind::SocketDrain => {
            socket_drain(ctx, socket);
            assert!(!socket.write(&[b'x'; A_LOT]), "the high-water mark is far below");
        }
        Kind::SocketFinish => {
            socket.on_finish(move || ctx.fire_once());
            socket.end("last words");
        }
        Kind::SocketTimeout => {
            socket.set_timeout(Duration::from_millis(50));
            socket_timeout(ctx, socket);
        }
        Kind::SocketError => {
            // Else our side would end with the client's, in order.
            socket.on_end(|| {});
            keep_writing_raw(ctx, socket);
            ctx.lp
                .set_timeout(Duration::from_millis(5), move || ctx.requests.borrow()[0].destroy());
        }
        _ => socket.pipe(socket),
    }
    Ok(())
}

fn socket_drain(ctx: Ctx, socket: Socket) {
    socket.on_drain(move || {
        ctx.fire(|| socket_drain(ctx, socket), || {})?;
        socket.end("");
        Ok(())
    });
}

fn socket_timeout(ctx: Ctx, socket: Socket) {
    socket.on_timeout(move || {
        ctx.fire(|| socket_timeout(ctx, socket), || {})?;
        socket.destroy();
        Ok(())
    });
}

fn keep_writing_raw(ctx: Ctx, socket: Socket) {
    if socket.is_open() {
        socket.write("x");
        ctx.lp.set_timeout(SOON, move || keep_writing_raw(ctx, socket));
    }
}

fn on_client_error(ctx: Ctx) {
    ctx.server.get().on_client_error(move |_, socket| {
        // Of a connection that broke it is over already, and no end of it follows.
        if socket.is_open() {
            ctx.track_socket(socket);
        }
        socket.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        ctx.fire(|| on_client_error(ctx), || {})
    });
}

/// Makes the request that brings the callback about.
pub(crate) fn start(ctx: Ctx, port: u16) -> onloop::Result<()> {
    let method = match ctx.kind {
        Kind::RequestData | Kind::RequestEnd | Kind::RequestError | Kind::RequestAborted => "POST",
        Kind::ClientDrain | Kind::ClientWritten | Kind::ClientFinish | Kind::Continue => "POST",
        Kind::CheckContinue | Kind::RequestTimeout => "POST",
        Kind::ClientConnect => "CONNECT",
        _ => "GET",
    };
    let port = if ctx.kind == Kind::ClientRefused { 1 } else { port };
    let request = http::request_with(ctx.lp, agents::options(ctx, method, port))?;
    ctx.track_request(request);
    request.on_response(move |response| on_response(ctx, request, response));
    if ctx.kind.upgrades() {
        request.set_header("Connection", "upgrade")?;
        request.set_header("Upgrade", "torture")?;
        request.on_upgrade(move |_, socket, _| on_client_upgrade(ctx, socket));
    }
    match ctx.kind {
        Kind::RequestData | Kind::RequestEnd => {
            request.write("one");
            ctx.lp.set_timeout(SOON, move || request.end("two"));
        }
        Kind::RequestError | Kind::RequestAborted => {
            request.write("one");
        }
        Kind::RequestTimeout => {
            request.write("one");
            ctx.lp.set_timeout(Duration::from_millis(150), move || request.end("two"));
        }
        Kind::CheckExpectation => {
            request.set_header("Expect", "the unexpected")?;
            request.end("");
        }
        Kind::CheckContinue => {
            request.set_header("Expect", "100-continue")?;
            request.flush_headers();
            request.on_continue(move || request.end("content"));
        }
        Kind::ClientDrain => {
            client_drain(ctx, request);
            assert!(!request.write(&[b'x'; A_LOT]), "the high-water mark is far below");
        }
        Kind::ClientWritten => {
            request.write("some");
            request.on_written(move |_| {
                ctx.fire_once()?;
                request.end("more");
                Ok(())
            })?;
        }
        Kind::ClientFinish => {
            request.on_finish(move || ctx.fire_once());
            request.end("content");
        }
        Kind::ClientTimeout => {
            request.set_timeout(Duration::from_millis(50));
            client_timeout(ctx, request);
            request.end("");
        }
        Kind::Information => {
            information(ctx, request);
            request.end("");
        }
        Kind::Continue => {
            request.set_header("Expect", "100-continue")?;
            request.flush_headers();
            request.on_continue(move || {
                ctx.fire(|| request.on_continue(|| {}), || {})?;
                request.end("content");
                Ok(())
            });
        }
        Kind::ClientSocket => {
            agents::on_socket(ctx, request);
            request.end("");
        }
        Kind::ClientConnect => {
            request.on_connect(move |_, socket, _| on_client_upgrade(ctx, socket));
            request.end("");
        }
        _ => request.end(""),
    }
    Ok(())
}

fn client_drain(ctx: Ctx, request: ClientRequest) {
    request.on_drain(move || {
        ctx.fire(|| client_drain(ctx, request), || request.off_drain())?;
        request.end("");
        Ok(())
    });
}

fn client_timeout(ctx: Ctx, request: ClientRequest) {
    request.on_timeout(move || {
        ctx.fire(|| client_timeout(ctx, request), || {})?;
        request.destroy();
        Ok(())
    });
}

fn information(ctx: Ctx, request: ClientRequest) {
    request.on_information(move |_| ctx.fire(|| information(ctx, request), || {}));
}

fn on_response(ctx: Ctx, request: ClientRequest, response: IncomingResponse) -> onloop::Result<()> {
    let body = response.body();
    ctx.bodies.borrow_mut().push(body);
    match ctx.kind {
        Kind::ClientResponse => ctx.fire(|| request.on_response(|_| {}), || {})?,
        Kind::ClientData => client_data(ctx, body),
        Kind::ClientEnd => body.on_end(move || ctx.fire_once()),
        Kind::ClientBodyClose => body.on_close(move || ctx.fire_once()),
        Kind::ClientBodyError => body.on_error(move |_| ctx.fire_once()),
        Kind::ClientAborted => body.on_aborted(move || ctx.fire_once()),
        Kind::ResponseError => {
            ctx.lp.set_timeout(SOON, move || request.destroy());
        }
        // The operation may have begun the response: then nobody says to go on.
        Kind::CheckContinue => request.end("content"),
        _ => {}
    }
    if ctx.kind != Kind::ClientData {
        body.on_data(|_| {});
    }
    Ok(())
}

fn client_data(ctx: Ctx, body: Body) {
    body.on_data(move |_| ctx.fire(|| client_data(ctx, body), || body.off_data()));
}

fn on_client_upgrade(ctx: Ctx, socket: Socket) -> onloop::Result<()> {
    ctx.track_socket(socket);
    if matches!(ctx.kind, Kind::ClientUpgrade | Kind::ClientConnect) {
        ctx.fire_once()?;
    }
    client_socket_data(ctx, socket);
    match ctx.kind {
        Kind::SocketTimeout | Kind::SocketError => {}
        Kind::SocketDrain => {}
        _ => _ = socket.write("ping"),
    }
    Ok(())
}

fn client_socket_data(ctx: Ctx, socket: Socket) {
    socket.on_data(move |_| {
        if ctx.kind == Kind::SocketData {
            ctx.fire(|| client_socket_data(ctx, socket), || socket.off_data())?;
        }
        if !matches!(ctx.kind, Kind::SocketDrain | Kind::SocketError) {
            socket.end("");
        }
        Ok(())
    });
}
