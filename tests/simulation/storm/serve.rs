//! The servers of a run, and handlers that answer now, later, from elsewhere, in part, or never.

use std::time::Duration;

use onloop::http::{Body, Connection, Request, Response, Server, ServerOptions, Socket};

use super::world::{Call, Role, World};
use super::{acts, ask};
use crate::budgets;

/// A server on each of three ports, on any of the loops.
pub(crate) fn begin(w: &World) {
    for port in 80..83 {
        let (options, is_endless) = options(w);
        let limit = [Some(3), Some(1), None, None, None, None][w.below(6)];
        let options = match limit {
            Some(limit) => options.max_connections(limit),
            None => options,
        };
        let server = Server::new(w.lp(), options).expect("the loop is there");
        register(w, server);
        server.listen(format!("127.0.0.1:{port}").as_str()).expect("it is free");
        w.servers.borrow_mut().push((server, limit));
        if is_endless {
            w.endless.borrow_mut().push(server);
        }
    }
}

fn options(w: &World) -> (ServerOptions, bool) {
    let (options, is_endless) = w.draw(|random| budgets::clocks(random, w.how));
    let options = options.allow_half_open(w.below(3) > 0);
    // Else they are the loop's.
    let options = match w.below(8) {
        0 => options.max_requests_per_socket(2),
        1 => options.max_connections_per_address(4),
        2 => options.max_body_size(5000),
        3 => options.high_water_mark(2000).max_discarded(1000),
        4 => options.max_header_size(300),
        5 => options.max_buffered(50_000),
        _ => options,
    };
    (options, is_endless)
}

/// What is on every server, and what is only on some.
fn register(w: &World, server: Server) {
    let world = w.clone();
    server.on_request(move |req, res| on_request(&world, &req, res));
    let own = w.clone();
    server.on_close(move || own.act());
    if w.one_in(2) {
        let world = w.clone();
        server.on_connection(move |connection| {
            on_connection(&world, connection);
            Ok(())
        });
    }
    if w.one_in(2) {
        let world = w.clone();
        server.on_upgrade(move |_, socket, _| on_stream(&world, socket, true));
        let world = w.clone();
        server.on_connect(move |_, socket, _| on_stream(&world, socket, true));
    }
    if w.one_in(4) {
        let world = w.clone();
        server.should_upgrade(move |_| {
            world.act();
            world.one_in(2)
        });
    }
    if w.one_in(3) {
        let world = w.clone();
        server.on_client_error(move |_, socket| {
            if world.one_in(2) {
                socket.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
            }
            socket.destroy_soon();
            on_stream(&world, socket, false)
        });
    }
    if w.one_in(3) {
        let world = w.clone();
        server.on_check_continue(move |req, res| {
            if world.one_in(2) {
                let _ = res.write_continue();
            }
            on_request(&world, &req, res)
        });
        let world = w.clone();
        server.on_check_expectation(move |req, res| on_request(&world, &req, res));
    }
    if w.one_in(3) {
        let world = w.clone();
        server.on_drop_request(move |_, connection| on_connection(&world, connection));
        let world = w.clone();
        server.on_drop(move |_| world.act());
    }
    if w.one_in(3) {
        let world = w.clone();
        server.on_timeout(move |connection| on_connection(&world, connection));
    }
}

fn on_connection(w: &World, connection: Connection) {
    w.connections.borrow_mut().push(connection);
    if w.one_in(4) {
        w.act();
    }
}

/// A request, whatever becomes of it.
fn on_request(w: &World, req: &Request, res: Response) -> onloop::Result<()> {
    if w.is_calm() {
        res.end("calm");
        return Ok(());
    }
    let body = req.body();
    w.bodies.borrow_mut().push(body);
    w.responses.borrow_mut().push(res);
    w.connections.borrow_mut().push(req.connection());
    // What nobody listens to takes another way through the engine.
    if w.below(4) > 0 {
        follow_body(w, body);
        follow_response(w, res);
    }
    plan(w, req, res);
    match w.below(30) {
        0 => Err(onloop::Error::other("a handler that fails")),
        1 => std::panic::resume_unwind(Box::new(super::Intended)),
        2..=5 => {
            w.act();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What the handler is there for.
fn plan(w: &World, req: &Request, res: Response) {
    let body = req.body();
    match w.below(14) {
        0..=3 => res.end("now"),
        4 => {
            let (world, delay) = (w.clone(), w.millis(3000));
            w.lp().set_timeout(delay, move || {
                world.act();
                res.end("late");
            });
        }
        // Whoever comes by answers, or nobody does.
        5 => {}
        6 => body.pipe(res),
        7 => {
            body.on_data(move |chunk| {
                if !res.write(chunk) {
                    body.pause();
                }
            });
            res.on_drain(move || body.resume());
            body.on_end(move || res.end(""));
        }
        8 => body.collect(2000, move |content| {
            res.end(content?);
            Ok(())
        }),
        9 => {
            res.write(acts::content(w));
            if w.one_in(2) {
                res.destroy();
            }
        }
        10 => acts::send_file(w, res),
        11 => ask::proxy(w, req, res),
        12 => {
            let _ = res.write_early_hints([("Link", "</style.css>")]);
            let _ = res.add_trailers([("X-Trailer", "1")]);
            res.write(acts::content(w));
            res.end("");
        }
        _ => {
            res.set_status([204, 304, 404, 503][w.below(4)]);
            res.end(acts::content(w));
        }
    }
}

/// Follows the calls of an incoming message.
pub(crate) fn follow_body(w: &World, body: Body) {
    // What is over has no last call any more.
    if !body.is_open() {
        return;
    }
    let number = w.follow(Role::Incoming);
    if w.one_in(2) {
        let world = w.clone();
        body.on_data(move |_| world.called(number, Call::Data));
    }
    if w.one_in(2) {
        let world = w.clone();
        body.on_end(move || world.called(number, Call::End));
    }
    let world = w.clone();
    body.on_aborted(move || world.called(number, Call::Aborted));
    let world = w.clone();
    body.on_error(move |_| world.called(number, Call::Error));
    let world = w.clone();
    body.on_close(move || world.called(number, Call::Close));
    if w.one_in(3) {
        let world = w.clone();
        body.on_timeout(move || world.called(number, Call::Timeout));
    }
    if w.one_in(8) {
        let world = w.clone();
        body.collect(1000, move |_| world.called(number, Call::Collected));
    }
}

fn follow_response(w: &World, res: Response) {
    if res.is_destroyed() {
        return;
    }
    let number = w.follow(Role::Response);
    let world = w.clone();
    res.on_finish(move || world.called(number, Call::Finish));
    let world = w.clone();
    res.on_error(move |_| world.called(number, Call::Error));
    let world = w.clone();
    res.on_close(move || {
        assert!(!res.is_open(), "a response is open in its on_close");
        world.called(number, Call::Close)
    });
    if w.one_in(2) {
        let world = w.clone();
        res.on_drain(move || world.called(number, Call::Drain));
    }
    if w.one_in(3) {
        let world = w.clone();
        let _ = res.on_written(move |_| world.called(number, Call::Written));
        let world = w.clone();
        res.on_timeout(move || world.called(number, Call::Timeout));
        let world = w.clone();
        res.on_half_close(move || world.called(number, Call::HalfClose));
    }
}

/// A byte stream, of either side.
pub(crate) fn on_stream(w: &World, socket: Socket, is_server: bool) -> onloop::Result<()> {
    w.sockets.borrow_mut().push(socket);
    // `on_client_error` may be given one that is over.
    if socket.is_open() && w.below(4) > 0 {
        follow_socket(w, socket);
    }
    socket.set_timeout(Duration::from_secs(20));
    socket.on_timeout(move || socket.destroy());
    if w.is_calm() {
        socket.end("");
        return Ok(());
    }
    if is_server {
        socket.write(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n",
        );
    }
    match w.below(5) {
        0 => socket.pipe(socket),
        1 => socket.on_data(move |chunk| _ = socket.write(chunk)),
        2 => socket.end(acts::content(w)),
        3 => w.act(),
        _ => {}
    }
    match w.one_in(30) {
        true => Err(onloop::Error::other("a stream that fails")),
        false => Ok(()),
    }
}

fn follow_socket(w: &World, socket: Socket) {
    let number = w.follow(Role::Socket);
    let world = w.clone();
    socket.on_finish(move || world.called(number, Call::Finish));
    let world = w.clone();
    socket.on_error(move |_| world.called(number, Call::Error));
    let world = w.clone();
    socket.on_close(move || world.called(number, Call::Close));
    let world = w.clone();
    socket.on_drain(move || world.called(number, Call::Drain));
    if w.one_in(2) {
        let world = w.clone();
        socket.on_end(move || {
            let result = world.called(number, Call::End);
            socket.end("");
            result
        });
    }
}
