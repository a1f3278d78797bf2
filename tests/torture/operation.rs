//! What callbacks do to the handles.

use std::time::Duration;

use onloop::Error;
use onloop::http::{self, Body, ClientRequest, Connection, RequestOptions, Response};
use onloop::http::{Retries, Socket};

use crate::agents;
use crate::context::Ctx;
use crate::outgoing;
use crate::scenario::Kind;
use crate::witness::destructors;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            pub(crate) const ALL: &[Operation] = &[$(Operation::$name),*];
        }
    };
}

operations! {
    /// For comparison.
    Nothing,
    EndTwice,
    WriteAfterEnd,
    WriteALot,
    SendFiles,
    SendFilesAndDestroy,
    HeadersAfterTheHead,
    WriteHeads,
    SetFields,
    Inform,
    AwaitWrites,
    CorkAndEnd,
    CorkUntilATimer,
    CorkAndDestroy,
    DestroySocketsSoon,
    ResetSockets,
    DestroyResponses,
    DestroyRequests,
    DestroyBodies,
    DestroySockets,
    DestroyAllTwice,
    DestroyWithError,
    DestroyConnections,
    ConnectionTimeouts,
    CloseServer,
    CloseIdleConnections,
    CloseAllConnections,
    CloseAndDestroyEverything,
    Replace,
    Remove,
    RegisterOthers,
    RequestToTheSameServer,
    RequestAndDestroy,
    FollowRedirects,
    FollowAndDestroy,
    RetryAndDestroy,
    MissDeadlines,
    EndFromATimer,
    DestroyFromAnImmediate,
    Timeouts,
    Stop,
    DropTheLoop,
    Panic,
    PanicContained,
    ReturnError,
    Destructors,
    DestroyAgents,
    CloseAgents,
    LimitAgents,
    RequestsThroughAnAgent,
    RemoveFromAgents,
    AnswerConnectors,
    Pause,
    PauseAndResume,
    PipeToItself,
    PipeInACircle,
}

impl Operation {
    /// After it, the exchanges of a scenario come to their end with nobody's help.
    pub(crate) fn lets_it_end(self, kind: Kind) -> bool {
        use Operation::*;
        match self {
            // Nobody resumes; nobody writes the end that was the callback's to write; circles go round.
            Pause | PipeInACircle | Remove | DropTheLoop => false,
            // Then each end sends back what the other one sends.
            PipeToItself => !matches!(kind, Kind::ClientUpgrade | Kind::ClientConnect),
            // Callbacks that belong to no exchange, or to one that is over: their failure ends none.
            Panic | PanicContained | ReturnError => !matches!(
                kind,
                Kind::Timer
                    | Kind::Interval
                    | Kind::Immediate
                    | Kind::Post
                    | Kind::ServerClosed
                    | Kind::ServerDrop
            ),
            _ => true,
        }
    }

    /// A request that meets the close of its kept-alive connection may fail: nobody is to blame.
    pub(crate) fn closes_free_connections(self) -> bool {
        use Operation::*;
        matches!(self, CloseIdleConnections | CloseAllConnections | DestroyConnections)
    }
}

/// What an intended panic carries. It does not pass the panic hook, so what does is ours.
pub(crate) struct Intended;

pub(crate) fn perform(ctx: Ctx, replace: &dyn Fn(), remove: &dyn Fn()) -> onloop::Result<()> {
    use Operation::*;
    match ctx.operation {
        Nothing => {}
        EndTwice => {
            end_all(ctx);
            end_all(ctx);
        }
        WriteAfterEnd => {
            end_all(ctx);
            assert!(!write_all(ctx, b"late"), "a message took content after its end");
        }
        WriteALot => {
            write_all(ctx, &[b'x'; 300_000]);
        }
        SendFiles => send_files(ctx)?,
        SendFilesAndDestroy => {
            send_files(ctx)?;
            ctx.responses.borrow().iter().for_each(Response::destroy);
        }
        HeadersAfterTheHead => headers_after_the_head(ctx),
        WriteHeads => outgoing::write_heads(ctx),
        SetFields => outgoing::set_fields(ctx),
        Inform => outgoing::inform(ctx),
        AwaitWrites => outgoing::await_writes(ctx),
        CorkAndEnd => {
            outgoing::cork_all(ctx);
            end_all(ctx);
            outgoing::uncork_all(ctx);
        }
        CorkUntilATimer => {
            outgoing::cork_all(ctx);
            ctx.lp.set_timeout(Duration::from_millis(5), move || outgoing::uncork_all(ctx));
        }
        CorkAndDestroy => {
            outgoing::cork_all(ctx);
            ctx.destroy_all();
        }
        DestroySocketsSoon => ctx.sockets.borrow().iter().for_each(Socket::destroy_soon),
        ResetSockets => outgoing::reset_sockets(ctx),
        DestroyResponses => ctx.responses.borrow().iter().for_each(Response::destroy),
        DestroyRequests => ctx.requests.borrow().iter().for_each(ClientRequest::destroy),
        DestroyBodies => ctx.bodies.borrow().iter().for_each(Body::destroy),
        DestroySockets => ctx.sockets.borrow().iter().for_each(Socket::destroy),
        DestroyAllTwice => {
            ctx.destroy_all();
            ctx.destroy_all();
            use_everything(ctx);
        }
        DestroyConnections => {
            ctx.connections.borrow().iter().for_each(Connection::destroy);
            ctx.connections.borrow().iter().for_each(Connection::destroy);
        }
        ConnectionTimeouts => connection_timeouts(ctx),
        DestroyWithError => destroy_with_error(ctx),
        CloseServer | CloseIdleConnections | CloseAllConnections | CloseAndDestroyEverything => {
            close(ctx);
        }
        Replace => replace(),
        Remove => remove(),
        RegisterOthers => register_others(ctx),
        RequestToTheSameServer => request_other(ctx)?.end(""),
        RequestAndDestroy => {
            let request = request_other(ctx)?;
            request.end("");
            request.destroy();
        }
        FollowRedirects => follow(ctx, RETRIED)?.end("content"),
        FollowAndDestroy => {
            let request = follow(ctx, Duration::MAX)?;
            request.end("content");
            ctx.lp.set_timeout(Duration::from_millis(1), move || request.destroy());
        }
        RetryAndDestroy => retry_and_destroy(ctx)?,
        MissDeadlines => {
            follow(ctx, Duration::ZERO)?.end("content");
            follow(ctx, Duration::from_millis(2))?.end("content");
        }
        EndFromATimer => {
            ctx.lp.set_timeout(Duration::from_millis(5), move || end_all(ctx));
        }
        DestroyFromAnImmediate => {
            ctx.lp.set_immediate(move || ctx.destroy_all());
        }
        Timeouts => timeouts(ctx),
        Stop => ctx.lp.stop(),
        DropTheLoop => ctx.drop_loop.set(true),
        Panic | PanicContained => std::panic::resume_unwind(Box::new(Intended)),
        ReturnError => return Err(Error::other("torture")),
        Destructors => destructors(ctx),
        DestroyAgents
        | CloseAgents
        | LimitAgents
        | RequestsThroughAnAgent
        | RemoveFromAgents
        | AnswerConnectors => agents::perform(ctx)?,
        Pause => pause_all(ctx),
        PauseAndResume => {
            pause_all(ctx);
            ctx.lp.set_timeout(Duration::from_millis(5), move || resume_all(ctx));
        }
        PipeToItself => pipe_to_itself(ctx),
        PipeInACircle => pipe_in_a_circle(ctx),
    }
    Ok(())
}

fn close(ctx: Ctx) {
    let server = ctx.server.get();
    match ctx.operation {
        Operation::CloseIdleConnections => server.close_idle_connections(),
        Operation::CloseAllConnections => server.close_all_connections(),
        Operation::CloseServer => server.close(),
        _ => {
            server.close();
            server.close_all_connections();
            ctx.destroy_all();
            server.close_all_connections();
        }
    }
}

fn end_all(ctx: Ctx) {
    ctx.responses.borrow().iter().for_each(|res| res.end("end"));
    ctx.requests.borrow().iter().for_each(|request| request.end("end"));
    ctx.sockets.borrow().iter().for_each(|socket| socket.end("end"));
}

/// True when any of them wants more.
fn write_all(ctx: Ctx, bytes: &[u8]) -> bool {
    let mut wanted = false;
    ctx.responses.borrow().iter().for_each(|res| wanted |= res.write(bytes));
    ctx.requests.borrow().iter().for_each(|request| wanted |= request.write(bytes));
    ctx.sockets.borrow().iter().for_each(|socket| wanted |= socket.write(bytes));
    wanted
}

/// The test's own program is a file of some size that is there for certain.
fn send_files(ctx: Ctx) -> onloop::Result<()> {
    let path = std::env::current_exe()?;
    for res in ctx.responses.borrow().iter() {
        // Refused where the response has ended, or has promised a length.
        if res.send_file(std::fs::File::open(&path)?, 1..1_000_000).is_ok() {
            assert!(!res.is_open() && !res.write("late"), "content was taken behind a file");
        }
        let _ = res.send_file(std::fs::File::open(&path)?, 0..10);
    }
    Ok(())
}

fn headers_after_the_head(ctx: Ctx) {
    for res in ctx.responses.borrow().iter() {
        res.flush_headers();
        assert!(res.set_header("X-Late", "1").is_err());
        assert!(res.remove_header("Date").is_err());
        assert!(res.write_continue().is_err());
        assert!(!res.set_status(201));
    }
    for request in ctx.requests.borrow().iter() {
        request.flush_headers();
        assert!(request.append_header("X-Late", "1").is_err());
    }
}

fn destroy_with_error(ctx: Ctx) {
    ctx.responses.borrow().iter().for_each(|res| res.destroy_with(Error::other("torture")));
    ctx.bodies.borrow().iter().for_each(|body| body.destroy_with(Error::other("torture")));
    ctx.requests.borrow().iter().for_each(|request| request.destroy_with(Error::other("torture")));
}

fn register_others(ctx: Ctx) {
    for &body in ctx.bodies.borrow().iter() {
        body.on_data(move |_| body.pause());
        body.on_data(|_| {});
        body.on_end(move || end_all(ctx));
        body.collect(3, move |_| use_everything(ctx));
        body.on_error(|_| {});
        body.on_aborted(|| {});
        body.on_timeout(move || body.destroy());
        body.on_close(move || use_everything(ctx));
    }
    for &res in ctx.responses.borrow().iter() {
        res.on_drain(move || res.end(""));
        res.on_finish(move || use_everything(ctx));
        res.on_timeout(move || res.destroy());
        res.on_half_close(move || use_everything(ctx));
    }
    for &request in ctx.requests.borrow().iter() {
        request.on_drain(move || request.end(""));
        request.on_finish(|| {});
        request.on_timeout(move || request.destroy());
        request.on_response(|_| {});
        request.on_information(|_| {});
        request.on_continue(move || request.end(""));
        request.on_upgrade(|_, socket, _| socket.end(""));
        request.on_connect(|_, socket, _| socket.end(""));
        request.on_socket(move |_| use_everything(ctx));
    }
    for &socket in ctx.sockets.borrow().iter() {
        socket.on_data(move |_| socket.end(""));
        socket.on_end(move || socket.end(""));
        socket.on_drain(move || socket.end(""));
        socket.on_timeout(move || socket.destroy());
    }
}

/// A further request, to the server that is being tortured.
pub(crate) fn request_other(ctx: Ctx) -> onloop::Result<ClientRequest> {
    // A closed server has no port; then it is a request that fails.
    let port = ctx.server.get().port().max(1);
    let request = http::request(ctx.lp, "GET", format!("http://127.0.0.1:{port}/other"))?;
    ctx.track_request(request);
    Ok(request)
}

/// Long enough for what is made again, short enough for what never ends.
const RETRIED: Duration = Duration::from_millis(500);

/// A request that the server sends elsewhere, and that is made again where it fails.
fn follow(ctx: Ctx, deadline: Duration) -> onloop::Result<ClientRequest> {
    let port = ctx.server.get().port().max(1);
    let options = RequestOptions::new("PUT", format!("http://127.0.0.1:{port}/moved"))
        .redirects(3)
        .retries(Retries::new(2).delay(Duration::from_millis(2)).on_status(true))
        .deadline(deadline);
    let request = http::request_with(ctx.lp, options)?;
    ctx.track_request(request);
    Ok(request)
}

/// Nobody listens there, so it is in a pause when it is destroyed.
fn retry_and_destroy(ctx: Ctx) -> onloop::Result<()> {
    let retries = Retries::new(100).delay(Duration::from_secs(60));
    let options = RequestOptions::new("POST", "http://127.0.0.1:1/").retries(retries);
    let request = http::request_with(ctx.lp, options)?;
    ctx.track_request(request);
    request.end("content");
    ctx.lp.set_timeout(Duration::from_millis(5), move || request.destroy());
    Ok(())
}

fn timeouts(ctx: Ctx) {
    let timeout = Duration::from_millis(50);
    ctx.responses.borrow().iter().for_each(|res| res.set_timeout(timeout));
    ctx.requests.borrow().iter().for_each(|request| request.set_timeout(timeout));
    ctx.bodies.borrow().iter().for_each(|body| body.set_timeout(timeout));
    ctx.sockets.borrow().iter().for_each(|socket| socket.set_timeout(timeout));
}

fn connection_timeouts(ctx: Ctx) {
    for connection in ctx.connections.borrow().iter() {
        connection.set_timeout(Duration::from_millis(50));
        connection.set_no_delay(false);
        connection.set_keep_alive(None);
        connection.unref();
        connection.ref_();
    }
}

fn pause_all(ctx: Ctx) {
    ctx.bodies.borrow().iter().for_each(Body::pause);
    ctx.sockets.borrow().iter().for_each(Socket::pause);
}

fn resume_all(ctx: Ctx) {
    ctx.bodies.borrow().iter().for_each(Body::resume);
    ctx.sockets.borrow().iter().for_each(Socket::resume);
}

/// Each message into the other half of its own exchange. The first body is the server's.
fn pipe_to_itself(ctx: Ctx) {
    let (bodies, responses) = (ctx.bodies.borrow(), ctx.responses.borrow());
    if let (Some(body), Some(res)) = (bodies.first(), responses.first()) {
        body.pipe(*res);
        body.pipe(*res);
    }
    if let (Some(body), Some(request)) = (bodies.get(1), ctx.requests.borrow().first()) {
        body.pipe(*request);
    }
    ctx.sockets.borrow().iter().for_each(|socket| socket.pipe(*socket));
}

/// All into all.
fn pipe_in_a_circle(ctx: Ctx) {
    for body in ctx.bodies.borrow().iter() {
        ctx.requests.borrow().iter().for_each(|request| body.pipe(*request));
        ctx.responses.borrow().iter().for_each(|res| body.pipe(*res));
        ctx.sockets.borrow().iter().for_each(|socket| body.pipe(*socket));
    }
    for socket in ctx.sockets.borrow().iter() {
        ctx.requests.borrow().iter().for_each(|request| socket.pipe(*request));
        ctx.sockets.borrow().iter().for_each(|other| socket.pipe(*other));
    }
}

/// Asks every handle everything that leaves a living exchange as it is.
pub(crate) fn use_everything(ctx: Ctx) {
    for res in ctx.responses.borrow().clone() {
        let _ = (res.is_open(), res.headers_sent(), res.writable_length(), res.status());
        let _ = (res.header("Date"), res.has_header("Date"), res.remote_address());
        outgoing::ask_response(res);
    }
    for request in ctx.requests.borrow().clone() {
        let _ = (request.is_open(), request.writable_length(), request.is_reused());
        let _ = (request.header("Host"), request.headers_sent());
    }
    for body in ctx.bodies.borrow().clone() {
        let _ = (body.is_open(), body.is_paused(), body.is_complete(), body.trailers());
        let _ = (body.remote_address(), body.local_address());
        let _ = (body.trailers_joined(), body.trailers_distinct());
    }
    for socket in ctx.sockets.borrow().clone() {
        let _ = (socket.is_open(), socket.remote_address(), socket.local_address());
        outgoing::ask_socket(socket);
    }
    for connection in ctx.connections.borrow().clone() {
        let _ = (connection.is_open(), connection.remote_address(), connection.timeout());
    }
    agents::ask(ctx);
    let server = ctx.server.get();
    let _ = (server.port(), server.is_listening(), server.connections());
}

/// Does everything that ends something to every handle: they are dead, so nothing may happen.
pub(crate) fn abuse_dead_handles(ctx: Ctx) {
    use_everything(ctx);
    assert!(!write_all(ctx, b"dead"));
    end_all(ctx);
    pause_all(ctx);
    resume_all(ctx);
    timeouts(ctx);
    destroy_with_error(ctx);
    pipe_to_itself(ctx);
    pipe_in_a_circle(ctx);
    register_others(ctx);
    connection_timeouts(ctx);
    ctx.connections.borrow().iter().for_each(Connection::destroy);
    assert!(ctx.connections.borrow().iter().all(|connection| !connection.is_open()));
    agents::abuse_dead(ctx);
    outgoing::write_heads(ctx);
    outgoing::set_fields(ctx);
    outgoing::inform(ctx);
    outgoing::await_writes(ctx);
    outgoing::cork_all(ctx);
    outgoing::uncork_all(ctx);
    outgoing::reset_sockets(ctx);
    ctx.sockets.borrow().iter().for_each(Socket::destroy_soon);
    ctx.destroy_all();
    for res in ctx.responses.borrow().iter() {
        assert!(!res.is_open() && res.set_header("X", "1").is_err() && !res.set_status(204));
    }
    let server = ctx.server.get();
    server.on_request(|_, res| res.end("dead"));
    assert!(server.listen("127.0.0.1:0").is_err() && server.port() == 0);
    server.close();
    server.close_all_connections();
    assert!(!ctx.lp.is_open());
    assert!(http::request(ctx.lp, "GET", "http://127.0.0.1:1/").is_err());
    ctx.lp.set_timeout(Duration::ZERO, || unreachable("a timer")).clear();
    ctx.lp.set_immediate(|| unreachable("an immediate"));
    ctx.lp.stop();
}

fn unreachable(what: &str) {
    panic!("{what} of a loop that is gone");
}
