//! What each operation of a tape does.

use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Body, ClientRequest, Connection, Response, Socket};
use onloop::{Address, Error};

use crate::operations::{
    Operation, Shared, ask, failure, keep, made, on_request, pick, track_data,
};

/// What raw clients send.
const REQUESTS: [&[u8]; 12] = [
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\nonly a part",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
    b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\nraw",
    b"GET / HTTP/1.0\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"GET / HT",
    b"0123456789abcdef",
];

/// What raw servers send.
const RESPONSES: [&[u8]; 12] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly a part",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw",
    b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 2",
    b"nonsense\r\n\r\n",
];

const SIZES: [usize; 8] = [0, 1, 10, 1000, 17_000, 40_000, 70_000, 200_000];

fn content(amount: u8) -> Vec<u8> {
    vec![b'x'; SIZES[usize::from(amount % 8)]]
}

fn soon(amount: u8) -> Duration {
    Duration::from_millis(u64::from(amount % 50))
}

/// One operation.
///
/// # Errors
/// What the callback gives back to the loop.
pub fn perform(world: &Shared, operation: Operation) -> onloop::Result<()> {
    let Operation { kind, target, amount } = operation;
    match kind % 10 {
        0 | 1 => with(pick(&world.responses, target), |res| respond(res, kind / 10, amount)),
        2 => with(pick(&world.bodies, target), |body| receive(world, body, kind / 10, amount)),
        3 | 4 => with(pick(&world.requests, target), |request| send(request, kind / 10, amount)),
        5 => with(pick(&world.sockets, target), |socket| stream(world, socket, kind / 10, amount)),
        6 => with(pick(&world.connections, target), |connection| {
            connect(connection, kind / 10, amount);
        }),
        7 => peer(world, kind / 10, target, amount),
        8 => server(world, kind / 10, amount)?,
        _ => return elsewhere(world, kind / 10, target, amount),
    }
    Ok(())
}

fn with<T>(handle: Option<T>, work: impl FnOnce(T)) {
    if let Some(handle) = handle {
        work(handle);
    }
}

fn respond(res: Response, what: u8, amount: u8) {
    match what {
        0..4 => res.end(content(amount)),
        4..9 => {
            res.write(content(amount));
        }
        9 => drop(res.set_header("Content-Length", usize::from(amount))),
        10 => drop(res.set_header("Connection", if amount % 2 == 0 { "close" } else { "upgrade" })),
        11 => drop(res.write_head(u16::from(amount) + 200, [("X-A", "b")])),
        12 => res.flush_headers(),
        13 => res.cork(),
        14 => res.uncork(),
        15 => drop(res.write_continue()),
        16 => drop(res.write_early_hints([("Link", "</a>")])),
        17 => drop(res.add_trailer("T", "v")),
        18 => res.set_timeout(soon(amount)),
        19 => res.destroy(),
        20 => res.destroy_with(Error::other("destroyed")),
        21 => {
            let _ = res.on_written(move |_| res.end(""));
        }
        22 => drop(res.set_header("Trailer", "T")),
        23 => res.set_strict_content_length(true),
        _ => {
            res.set_status(u16::from(amount) * 4);
        }
    }
}

fn receive(world: &Shared, body: Body, what: u8, amount: u8) {
    match what {
        0..6 => track_data(world, body),
        6 | 7 => body.pause(),
        8 | 9 => body.resume(),
        10 => body.off_data(),
        11 | 12 => {
            let world = Rc::clone(world);
            body.collect(usize::from(amount), move |_| world.act());
        }
        13..17 => with(pick(&world.responses, amount), |res| body.pipe(res)),
        17..19 => with(pick(&world.requests, amount), |request| body.pipe(request)),
        19 => with(pick(&world.sockets, amount), |socket| body.pipe(socket)),
        20 => body.set_timeout(soon(amount)),
        21 => body.destroy(),
        22 => body.destroy_with(Error::other("destroyed")),
        _ => drop((body.trailers(), body.is_complete(), body.trailers_joined())),
    }
}

fn send(request: ClientRequest, what: u8, amount: u8) {
    match what {
        0..6 => request.end(content(amount)),
        6..11 => {
            request.write(content(amount));
        }
        11 => drop(request.set_header("Content-Length", usize::from(amount))),
        12 => drop(request.append_header("Connection", "close")),
        13 => request.flush_headers(),
        14 => request.cork(),
        15 => request.uncork(),
        16 => drop(request.add_trailer("T", "v")),
        17 => request.set_timeout(soon(amount)),
        18 => request.destroy(),
        19 => request.destroy_with(Error::other("destroyed")),
        20 => {
            let _ = request.on_written(move |_| request.end(""));
        }
        21 => request.on_drain(move || request.end("")),
        22 => drop(request.remove_header("Host")),
        _ => request.set_no_delay(amount % 2 == 0),
    }
}

fn stream(world: &Shared, socket: Socket, what: u8, amount: u8) {
    match what {
        0..4 => {
            socket.write(content(amount));
        }
        4..7 => socket.end(content(amount)),
        7 => {
            socket.write(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
            );
        }
        8 => socket.pause(),
        9 => socket.resume(),
        10 => socket.destroy(),
        11 => socket.destroy_soon(),
        12 => drop(socket.reset_and_destroy()),
        13..16 => socket.pipe(socket),
        16 | 17 => with(pick(&world.sockets, amount), |other| socket.pipe(other)),
        18 => with(pick(&world.responses, amount), |res| socket.pipe(res)),
        19 => with(pick(&world.requests, amount), |request| socket.pipe(request)),
        20 => socket.set_timeout(soon(amount)),
        21 => socket.cork(),
        22 => socket.uncork(),
        _ => drop((socket.bytes_read(), socket.bytes_written(), socket.ready_state())),
    }
}

fn connect(connection: Connection, what: u8, amount: u8) {
    match what {
        0..5 => connection.destroy(),
        5..8 => drop(connection.reset_and_destroy()),
        8..13 => connection.set_timeout(soon(amount)),
        13..16 => connection.remove_from_agent(),
        16 => connection.unref(),
        17 => connection.ref_(),
        _ => drop((connection.is_open(), connection.remote_address(), connection.timeout())),
    }
}

/// Raw peers on both sides.
fn peer(world: &Shared, what: u8, target: u8, amount: u8) {
    let mut peers = world.peers.borrow_mut();
    let address: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
    let count = peers.len();
    let chosen = (count > 0).then(|| usize::from(target) % count);
    match (what, chosen) {
        (0..6, _) => {
            let peer = world.net.connect(&Address::Ip(address));
            peer.write(REQUESTS[usize::from(amount) % REQUESTS.len()]);
            drop(peers);
            keep(&world.peers, peer);
        }
        (6..9, _) => {
            drop(peers);
            if let Some(peer) = world.listener.accept() {
                peer.write(RESPONSES[usize::from(amount) % RESPONSES.len()]);
                keep(&world.peers, peer);
            }
        }
        (9..13, Some(at)) => {
            peers[at].write(REQUESTS[usize::from(amount) % REQUESTS.len()]);
        }
        (13..17, Some(at)) => {
            peers[at].write(RESPONSES[usize::from(amount) % RESPONSES.len()]);
        }
        (17..20, Some(at)) => drop(peers[at].read_up_to(usize::from(amount) * 1000)),
        (20 | 21, Some(at)) => peers[at].shutdown_write(),
        (22, Some(at)) => peers.remove(at).reset(),
        (_, Some(at)) => drop(peers.remove(at)),
        (_, None) => {}
    }
}

fn server(world: &Shared, what: u8, amount: u8) -> onloop::Result<()> {
    let server = world.server.get();
    let agent = world.agent.get();
    match what {
        0 => server.close(),
        1 => server.close_idle_connections(),
        2 => server.close_all_connections(),
        3 => server.set_max_connections(Some(usize::from(amount % 4))),
        4 => server.set_max_requests_per_socket(Some(u32::from(amount % 4))),
        5 => server.set_timeout(soon(amount)),
        6 => server.off_request(),
        7..10 => on_request(world),
        10 => {
            let address: std::net::SocketAddr = ([127, 0, 0, 1], 80).into();
            drop(server.listen(address));
        }
        11 => server.set_keep_alive_timeout(soon(amount)),
        12 => server.unref(),
        13 => server.ref_(),
        14 => server.set_max_connections(None),
        15 => agent.set_max_sockets(usize::from(amount % 4)),
        16 => agent.set_max_total_sockets(usize::from(amount % 4) + 1)?,
        17 => agent.set_max_free_sockets(usize::from(amount % 3)),
        18 => agent.close(),
        19 => agent.destroy(),
        20 => {
            let options = http::AgentOptions::new().max_sockets(1).keep_alive(amount % 2 == 0);
            let old = world.agent.replace(made(http::Agent::new(world.lp, options)));
            old.destroy();
        }
        21 => server.set_headers_timeout(soon(amount) + Duration::from_millis(1))?,
        22 => server.set_allow_half_open(amount % 2 == 0),
        _ => drop((server.port(), server.connections(), agent.sockets(), agent.requests())),
    }
    Ok(())
}

/// Requests, timers, failures.
fn elsewhere(world: &Shared, what: u8, target: u8, amount: u8) -> onloop::Result<()> {
    let (lp, acting) = (world.lp, Rc::clone(world));
    match what {
        0..9 => ask(world, target, amount)?,
        9..12 => keep(&world.timers, lp.set_timeout(soon(amount), move || acting.act())),
        12 | 13 => keep(&world.timers, lp.set_immediate(move || acting.act())),
        14 => {
            let every = soon(amount) + Duration::from_millis(5);
            // An interval is over when it is forgotten.
            let timer = lp.set_interval(every, move || acting.act());
            lp.set_timeout(every * 5, move || timer.clear());
            keep(&world.timers, timer);
        }
        15 => with(pick(&world.timers, target), |timer| timer.clear()),
        16 => with(pick(&world.timers, target), |timer| {
            timer.refresh();
        }),
        17 => with(pick(&world.timers, target), |timer| {
            timer.unref();
        }),
        18 => lp.stop(),
        19 => world.panic(),
        20 | 21 => return Err(failure()),
        22 => world.net.advance(soon(amount)),
        _ => with(pick(&world.timers, target), |timer| lp.clear(timer)),
    }
    Ok(())
}
