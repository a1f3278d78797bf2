//! Requests of a loop's client, with anything that a request can be asked for with.

use std::time::Duration;

use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, IncomingResponse, Request, RequestOptions, Response,
    Retries, Scheduling,
};

use super::world::{Call, Role, World};
use super::{acts, serve};

const HOSTS: [&str; 9] = [
    "sim.test:80",
    "sim.test:81",
    "sim.test:82",
    "127.0.0.1:80",
    "raw.test:80",
    "raw.test:81",
    "both.test:80",
    "dead.test:80",
    "unknown.test:80",
];

/// One more request.
pub(crate) fn begin(w: &World) {
    if !w.is_calm() {
        let _ = try_begin(w, w.one_in(8));
    }
}

fn url(w: &World) -> String {
    let host = match w.below(3) {
        0 => HOSTS[w.below(HOSTS.len())],
        _ => HOSTS[w.below(6)],
    };
    format!("http://{host}/{}", w.below(100))
}

fn try_begin(w: &World, is_stream: bool) -> onloop::Result<()> {
    let method = match is_stream && w.one_in(3) {
        true => "CONNECT",
        false => ["GET", "GET", "POST", "PUT", "HEAD"][w.below(5)],
    };
    let options = RequestOptions::new(method, url(w))
        .timeout(Duration::from_millis([500, 3000, 10_000][w.below(3)]))
        .keep_alive(w.below(5) > 0);
    let options = match method {
        "CONNECT" => options.path("tunnel.test:443"),
        _ => options,
    };
    let options = match w.below(6) {
        0 => options.redirects(3),
        1 => {
            let retries = Retries::new(2).delay(w.millis(500)).on_status(w.one_in(2));
            options.retries(retries)
        }
        2 => options.deadline(w.millis(5000)),
        _ => options,
    };
    let (lp, options) = match agent(w) {
        Some((agent, number)) => (w.lps[number], options.agent(agent)),
        None => (w.lp(), options),
    };
    let request = http::request_with(lp, options)?;
    let number = follow(w, request);
    if is_stream && method != "CONNECT" {
        request.set_header("Connection", "upgrade")?;
        request.set_header("Upgrade", "any")?;
    }
    send(w, request, number)
}

/// An agent of some loop, now and then a new one. The global one where there is none.
fn agent(w: &World) -> Option<(Agent, usize)> {
    if w.one_in(3) {
        return None;
    }
    let number = w.below(w.lps.len());
    if w.one_in(10) || w.agents.borrow().is_empty() {
        let total = [1, 2, 5, usize::MAX][w.below(4)];
        let options = AgentOptions::new()
            .max_sockets([1, 2, usize::MAX][w.below(3)])
            .max_total_sockets(total)
            .max_free_sockets([0, 1, 256][w.below(3)])
            .max_queued_requests([0, 2, 10_000, 10_000][w.below(4)])
            .scheduling([Scheduling::Lifo, Scheduling::Fifo][w.below(2)])
            .free_timeout(Duration::from_millis([1, 50, 2000][w.below(3)]))
            .keep_alive(w.below(4) > 0);
        let agent = Agent::new(w.lps[number], options).ok()?;
        w.agents.borrow_mut().push((agent, total, number));
        return Some((agent, number));
    }
    let (agent, _, number) = w.pick(&w.agents).filter(|(agent, ..)| agent.is_open())?;
    Some((agent, number))
}

fn follow(w: &World, request: ClientRequest) -> usize {
    w.requests.borrow_mut().push(request);
    let number = w.follow(Role::Request);
    request.on_timeout(move || request.destroy());
    let world = w.clone();
    request.on_error(move |_| world.called(number, Call::Error));
    let world = w.clone();
    request.on_close(move || world.called(number, Call::Close));
    let world = w.clone();
    request.on_response(move |response| {
        let result = world.called(number, Call::Answer);
        on_response(&world, response);
        result
    });
    if w.one_in(2) {
        let world = w.clone();
        request.on_finish(move || world.called(number, Call::Finish));
        let world = w.clone();
        request.on_drain(move || world.called(number, Call::Drain));
        let world = w.clone();
        request.on_information(move |_| world.called(number, Call::Information));
    }
    if w.one_in(2) {
        let world = w.clone();
        request.on_socket(move |connection| {
            world.connections.borrow_mut().push(connection);
            world.called(number, Call::Connected)
        });
    }
    if w.one_in(2) {
        let world = w.clone();
        request.on_upgrade(move |_, socket, _| serve::on_stream(&world, socket, false));
        let world = w.clone();
        request.on_connect(move |_, socket, _| serve::on_stream(&world, socket, false));
    }
    number
}

fn send(w: &World, request: ClientRequest, number: usize) -> onloop::Result<()> {
    match w.below(10) {
        0 => {
            request.set_header("Expect", "100-continue")?;
            request.flush_headers();
            let world = w.clone();
            request.on_continue(move || {
                request.end("continued");
                world.called(number, Call::Continue)
            });
        }
        1 => {
            request.write(acts::content(w));
            let delay = w.millis(2000);
            w.lp().set_timeout(delay, move || request.end(""));
        }
        2 => {
            let content = acts::content(w);
            request.set_header("Content-Length", content.len())?;
            request.end(content);
        }
        3 => {
            request.cork();
            request.write(acts::content(w));
            request.end("");
        }
        // Somebody else may.
        4 => request.flush_headers(),
        _ => request.end(if w.one_in(4) { acts::content(w) } else { b"" }),
    }
    Ok(())
}

fn on_response(w: &World, response: IncomingResponse) {
    let body = response.body();
    w.bodies.borrow_mut().push(body);
    w.connections.borrow_mut().push(body.connection());
    if w.is_calm() {
        return body.resume();
    }
    if w.below(4) > 0 {
        serve::follow_body(w, body);
    }
    match w.below(6) {
        0..=2 => body.resume(),
        3 => {
            body.pause();
            let delay = w.millis(3000);
            w.lp().set_timeout(delay, move || body.resume());
        }
        4 => w.act(),
        _ => {}
    }
}

/// A handler that asks somebody else.
pub(crate) fn proxy(w: &World, req: &Request, res: Response) {
    let options = RequestOptions::new(req.method(), url(w)).timeout(Duration::from_secs(2));
    // A pipe does not lead from one loop to another.
    let up = match http::request_with(w.lps[0], options) {
        Ok(up) => up,
        Err(_) => return res.end("no way"),
    };
    w.requests.borrow_mut().push(up);
    let number = w.follow(Role::Request);
    up.on_timeout(move || up.destroy());
    let world = w.clone();
    up.on_response(move |response| {
        res.set_status(response.status());
        response.pipe(res);
        world.bodies.borrow_mut().push(response.body());
        world.called(number, Call::Answer)
    });
    let world = w.clone();
    up.on_error(move |_| {
        res.set_status(502);
        res.end("bad gateway");
        world.called(number, Call::Error)
    });
    let world = w.clone();
    up.on_close(move || world.called(number, Call::Close));
    req.pipe(up);
}
