//! What may be done to any handle, from any callback, or between two turns. Most of it is refused: that is what is
//! to be seen, too.

use std::cell::RefCell;
use std::fs::File;
use std::sync::OnceLock;
use std::time::Duration;

use onloop::Error;
use onloop::http::{Body, ClientRequest, Connection, Response, Server, Socket};

use super::ask;
use super::world::{PIECE_MAX, World};
use crate::plan;

pub(crate) fn act(w: &World) {
    match w.below(12) {
        0..=3 => on_response(w),
        4..=5 => on_body(w),
        6..=7 => on_request(w),
        8 => on_socket(w),
        9 => on_connection(w),
        10 => on_server_or_agent(w),
        _ => on_loop(w),
    }
}

/// Content of any size: little, most of the time.
pub(crate) fn content(w: &World) -> &'static [u8] {
    let most = [1, 20, 3000, 20_000, PIECE_MAX][w.below(5)];
    plan::content(0, w.below(most.min(w.piece_max)))
}

fn on_response(w: &World) {
    let Some(res) = w.pick(&w.responses) else {
        return;
    };
    match w.below(24) {
        0..=3 => res.end(content(w)),
        4..=5 => _ = res.write(content(w)),
        6 => _ = res.try_end(content(w)),
        7 => res.destroy(),
        8 => res.destroy_with(Error::other("the storm")),
        9 => res.cork(),
        10 => res.uncork(),
        11 => res.flush_headers(),
        12 => _ = res.write_head(200, [("X-Head", "1")]),
        13 => _ = res.write_continue(),
        14 => _ = res.write_processing(),
        15 => _ = res.add_trailers([("X-Trailer", "1")]),
        16 => send_file(w, res),
        17 => res.set_timeout(w.timeout()),
        18 => later_response(w, res),
        19 => _ = res.set_header("Content-Length", w.below(50)),
        20 => _ = res.set_header("Connection", ["close", "keep-alive"][w.below(2)]),
        21 => res.set_strict_content_length(w.one_in(2)),
        22 => _ = res.set_status([204, 304, 200, 500][w.below(4)]),
        _ => read_response(res),
    }
}

/// What happens to it when something else does.
fn later_response(w: &World, res: Response) {
    let world = w.clone();
    match w.below(4) {
        0 => res.on_drain(move || res.end("drained")),
        1 => _ = res.on_written(move |_| world.act()),
        2 => res.on_half_close(move || res.end("half closed")),
        _ => res.on_timeout(move || world.act()),
    }
}

fn read_response(res: Response) {
    let ended = res.writable_ended();
    assert!(!res.is_open() || !ended, "open and ended");
    let _ = (res.headers(), res.status(), res.writable_need_drain(), res.remote_address());
    let _ = (res.is_destroyed(), res.writable_finished(), res.connection().is_open());
}

fn on_body(w: &World) {
    let Some(body) = w.pick(&w.bodies) else {
        return;
    };
    match w.below(12) {
        0..=1 => body.pause(),
        2..=3 => body.resume(),
        4 => body.destroy(),
        5 => pipe(w, body),
        6 => {
            let world = w.clone();
            body.collect(w.below(3000), move |_| world.act());
        }
        7 => {
            let world = w.clone();
            body.on_data(move |_| {
                if world.one_in(4) {
                    body.pause()
                }
            });
        }
        8 => body.off_data(),
        9 => body.set_timeout(w.timeout()),
        10 => body.destroy_with(Error::other("the storm")),
        _ => _ = (body.trailers(), body.is_complete(), body.is_paused()),
    }
}

fn pipe(w: &World, body: Body) {
    match w.below(3) {
        0 => w.pick(&w.responses).into_iter().for_each(|res| body.pipe(res)),
        1 => w.pick(&w.requests).into_iter().for_each(|request| body.pipe(request)),
        _ => w.pick(&w.sockets).into_iter().for_each(|socket| body.pipe(socket)),
    }
}

fn on_request(w: &World) {
    let Some(request) = w.pick(&w.requests) else {
        return;
    };
    match w.below(14) {
        0..=2 => request.end(content(w)),
        3..=4 => _ = request.write(content(w)),
        5 => request.destroy(),
        6 => request.destroy_with(Error::other("the storm")),
        7 => request.cork(),
        8 => request.uncork(),
        9 => request.flush_headers(),
        10 => request.set_timeout(w.timeout()),
        11 => _ = request.set_header("Content-Length", w.below(50)),
        12 => _ = request.add_trailers([("X-Trailer", "1")]),
        _ => with_connection(w, request),
    }
}

fn with_connection(w: &World, request: ClientRequest) {
    if let Some(connection) = request.connection() {
        w.connections.borrow_mut().push(connection);
        if w.one_in(2) {
            connection.remove_from_agent();
        }
    }
}

fn on_socket(w: &World) {
    let Some(socket) = w.pick(&w.sockets) else {
        return;
    };
    match w.below(12) {
        0..=1 => _ = socket.write(content(w)),
        2 => socket.end(content(w)),
        3 => socket.destroy(),
        4 => socket.destroy_soon(),
        5 => _ = socket.reset_and_destroy(),
        6 => socket.pause(),
        7 => socket.resume(),
        8 => socket.pipe(socket),
        9 => w.pick(&w.sockets).into_iter().for_each(|other| socket.pipe(other)),
        10 => stream_corked(socket),
        _ => {
            let _ = socket.try_write("awaited");
            let world = w.clone();
            let _ = socket.on_written(move |_| world.act());
        }
    }
}

fn stream_corked(socket: Socket) {
    socket.cork();
    socket.write("corked");
    socket.uncork();
}

fn on_connection(w: &World) {
    let Some(connection) = w.pick(&w.connections) else {
        return;
    };
    let all: [fn(&World, Connection); 7] = [
        |_, connection| connection.destroy(),
        |_, connection| _ = connection.reset_and_destroy(),
        |w, connection| connection.set_timeout(w.timeout()),
        |_, connection| connection.unref(),
        |_, connection| connection.ref_(),
        |_, connection| connection.remove_from_agent(),
        |_, connection| _ = (connection.is_open(), connection.remote_address()),
    ];
    all[w.below(all.len())](w, connection);
}

fn on_server_or_agent(w: &World) {
    if w.one_in(2) {
        if let Some((server, _)) = w.pick(&w.servers) {
            on_server(w, server);
        }
        return;
    }
    let Some((agent, ..)) = w.pick(&w.agents) else {
        return;
    };
    match w.below(12) {
        0..=3 => agent.set_max_sockets([0, 1, 2, 5][w.below(4)]),
        4..=7 => agent.set_max_free_sockets(w.below(3)),
        8 => agent.destroy(),
        9 => agent.close(),
        _ => _ = (agent.sockets(), agent.free_sockets(), agent.requests()),
    }
}

fn on_server(w: &World, server: Server) {
    match w.below(24) {
        0 => server.close(),
        1..=2 => server.close_all_connections(),
        3..=5 => server.close_idle_connections(),
        6 => server.set_timeout(w.timeout()),
        7 => server.set_keep_alive_timeout(w.millis(3000) + Duration::from_millis(1)),
        8 => _ = server.set_headers_timeout(w.millis(3000) + Duration::from_millis(1)),
        9 => _ = server.set_request_timeout(w.millis(9000) + Duration::from_millis(1)),
        10 => server.set_allow_half_open(w.one_in(2)),
        11 => server.set_max_requests_per_socket([None, Some(1), Some(3)][w.below(3)]),
        12 => server.set_max_headers_count([0, 2, 2000][w.below(3)]),
        13 => server.set_max_connections_per_address([None, Some(3)][w.below(2)]),
        14 => server.off_client_error(),
        15 => server.off_upgrade(),
        16 => server.off_check_continue(),
        17 => server.off_timeout(),
        18 => server.unref(),
        _ => server.ref_(),
    }
}

thread_local! {
    /// A post is `Send`; what it works with stays on the loop's thread.
    static POSTED: RefCell<Option<World>> = const { RefCell::new(None) };
}

fn on_loop(w: &World) {
    let (lp, world) = (w.lp(), w.clone());
    match w.below(7) {
        0..=1 => _ = lp.set_timeout(w.millis(2000), move || world.act()),
        2 => _ = lp.set_immediate(move || world.act()),
        3 => lp.set_timeout(w.millis(2000), move || world.act()).clear(),
        4 => {
            let timer = lp.set_interval(w.millis(500), move || world.act());
            lp.set_timeout(w.millis(3000), move || timer.clear());
        }
        5 => {
            POSTED.set(Some(world));
            if let Ok(remote) = lp.remote() {
                remote.unref();
                for _ in 0..1 + w.below(3) {
                    let _ = remote.post(|_| {
                        if let Some(world) = POSTED.take() {
                            world.act();
                        }
                    });
                }
            }
        }
        _ => ask::begin(w),
    }
}

/// All content in one file, which has no name any more.
fn file() -> File {
    static ALL: OnceLock<File> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("onloop-storm-{}", std::process::id()));
        std::fs::write(&path, plan::content(0, plan::LARGE)).expect("a place for a file");
        let file = File::open(&path).expect("it was written");
        std::fs::remove_file(&path).expect("it was written");
        file
    });
    all.try_clone().expect("a descriptor")
}

pub(crate) fn send_file(w: &World, res: Response) {
    let from = w.below(1000) as u64;
    let most = [10, 40_000, plan::LARGE - 1000][w.below(3)];
    let length = w.below(most.min(3 * w.piece_max)) as u64;
    let _ = res.send_file(file(), from..from + length);
}
