//! What callbacks do to messages that go out: heads, corks, informational responses, callbacks of writes.

use onloop::http::{Response, Socket};

use crate::context::Ctx;
use crate::operation::use_everything;

pub(crate) fn write_heads(ctx: Ctx) {
    for res in ctx.responses.borrow().iter() {
        let was_sent = res.headers_sent();
        let written = res.write_head(201, [("X-Head", "1"), ("x-head", "2")]);
        assert!(!(was_sent && written.is_ok()), "a head was written twice");
        assert!(res.write_head_with_reason(404, "Late", [("X-Head", "3")]).is_err());
        assert!(!res.set_status(500));
    }
}

pub(crate) fn set_fields(ctx: Ctx) {
    for res in ctx.responses.borrow().iter() {
        let _ = res.set_headers([("X-Set", "1"), ("X-Set", "2")]);
        let _ = res.set_header_all("X-All", ["1", "2"]);
        let _ = res.set_header_all("X-None", [""; 0]);
        assert!(res.set_headers([("X-Bad", "\r\n")]).is_err());
        let _ = res.add_trailers([("X-Trailer", "1")]);
        let _ = res.set_status_message("Torture");
        res.set_strict_content_length(false);
    }
    for request in ctx.requests.borrow().iter() {
        let _ = request.set_headers([("X-Set", "1")]);
        let _ = request.set_header_all("Cookie", ["a=1", "b=2"]);
        let _ = request.add_trailers([("X-Trailer", "1")]);
    }
}

pub(crate) fn inform(ctx: Ctx) {
    for res in ctx.responses.borrow().iter() {
        let _ = (res.write_continue(), res.write_processing());
        let _ = res.write_information(199, [("X-Odd", "1")]);
        let _ = res.write_early_hints([("Link", "</torture>")]);
        assert!(res.write_information(101, [("X-Odd", "1")]).is_err());
    }
}

/// Callbacks for what was written and what will be; each asks everything.
pub(crate) fn await_writes(ctx: Ctx) {
    for &res in ctx.responses.borrow().iter() {
        let _ = res.on_written(move |_| use_everything(ctx));
        let _ = res.try_write("awaited");
        let _ = res.on_written(move |result| {
            if result.is_ok() {
                res.end("")
            }
        });
    }
    for &request in ctx.requests.borrow().iter() {
        let _ = request.try_write("awaited");
        let _ = request.on_written(move |_| use_everything(ctx));
        let _ = request.on_written(move |result| {
            if result.is_ok() {
                request.end("")
            }
        });
    }
    for &socket in ctx.sockets.borrow().iter() {
        let _ = socket.try_write("awaited");
        let _ = socket.on_written(move |_| use_everything(ctx));
    }
}

pub(crate) fn cork_all(ctx: Ctx) {
    for res in ctx.responses.borrow().iter() {
        res.cork();
        res.cork();
        res.write("corked");
        res.uncork();
    }
    for request in ctx.requests.borrow().iter() {
        request.cork();
        request.write("corked");
    }
    for socket in ctx.sockets.borrow().iter() {
        socket.cork();
        socket.write("corked");
        let _ = socket.on_written(|_| ());
    }
}

pub(crate) fn uncork_all(ctx: Ctx) {
    ctx.responses.borrow().iter().for_each(Response::uncork);
    ctx.requests.borrow().iter().for_each(|request| request.uncork());
    ctx.sockets.borrow().iter().for_each(Socket::uncork);
}

pub(crate) fn reset_sockets(ctx: Ctx) {
    for socket in ctx.sockets.borrow().iter() {
        let _ = socket.reset_and_destroy();
        assert!(socket.reset_and_destroy().is_err(), "a socket was reset twice");
        assert!(!socket.write("reset"));
    }
}

pub(crate) fn ask_response(res: Response) {
    let _ = (res.headers(), res.header_names(), res.raw_header_names(), res.header_all("Date"));
    let _ = (res.status_message(), res.send_date(), res.req().is_complete());
    let _ = (res.writable_ended(), res.writable_finished(), res.is_destroyed());
    let _ = (res.writable_corked(), res.writable_need_drain(), res.writable_high_water_mark());
}

pub(crate) fn ask_socket(socket: Socket) {
    let _ = (socket.ready_state(), socket.bytes_read(), socket.bytes_written(), socket.timeout());
    let _ = (socket.writable_ended(), socket.writable_finished(), socket.is_destroyed());
    socket.set_no_delay(true);
    socket.set_keep_alive(None);
}
