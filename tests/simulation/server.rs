//! The handlers, as a user would write them, and the account of the exchanges they had.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use onloop::http::{self, Connection, Request, Response, Server, ServerOptions, Socket};
use onloop::{Error, LoopHandle};

use crate::mixed;
use crate::plan::content;

pub(crate) type Site = &'static ServerSite;

/// What the server saw.
pub(crate) struct ServerSite {
    pub(crate) lp: LoopHandle,
    exchanges: RefCell<Vec<Exchange>>,
    open: Cell<usize>,
    /// Those that `on_connection` has told of.
    connections: RefCell<Vec<Connection>>,
    /// Responses that wait for `on_timeout` of the server.
    inactive: RefCell<Vec<(Connection, Response)>>,
}

#[derive(Default)]
struct Exchange {
    /// Callbacks of `on_written` that wait.
    awaited: u32,
    finishes: u8,
    errors: u8,
    closes: u8,
    collects: u8,
    collected: u8,
}

pub(crate) fn serve(lp: LoopHandle) -> onloop::Result<(Server, Site)> {
    let site: Site = Box::leak(Box::new(ServerSite {
        lp,
        exchanges: RefCell::default(),
        open: Cell::new(0),
        connections: RefCell::default(),
        inactive: RefCell::default(),
    }));
    let options = ServerOptions::new()
        .headers_timeout(Duration::from_secs(5))
        .request_timeout(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(8))
        .write_timeout(Duration::from_secs(5));
    let server = Server::new(lp, options)?;
    server.on_request(move |req, res| handle(site, req, res));
    server.on_check_continue(move |req, res| check_continue(site, req, res));
    server.on_connection(move |connection| {
        let mut connections = site.connections.borrow_mut();
        connections.retain(Connection::is_open);
        assert!(!connections.contains(&connection), "a connection is told twice");
        connections.push(connection);
        // Some are told of silence before their first response, and some change their minds.
        match connections.len() % 3 {
            0 => {}
            1 => connection.set_timeout(Duration::from_millis(300)),
            _ => {
                connection.set_timeout(Duration::from_millis(300));
                connection.set_timeout(Duration::ZERO);
            }
        }
    });
    server.on_timeout(move |connection| {
        let mut inactive = site.inactive.borrow_mut();
        let waits = inactive.iter().position(|(waiting, _)| *waiting == connection);
        // Else the response was told before, and has ended.
        if let Some(waits) = waits {
            inactive.swap_remove(waits).1.end("inactive");
        }
    });
    server.on_upgrade(move |_, socket, head| upgrade(site, socket, head));
    server.listen("127.0.0.1:80")?;
    Ok((server, site))
}

/// The client waits for a word on whether to send its content.
fn check_continue(site: Site, req: Request, res: Response) -> onloop::Result<()> {
    match req.url() {
        "/expecting/0" => {
            track(site, res);
            res.set_status(413);
            res.end("unwanted");
            Ok(())
        }
        "/expecting/1" => {
            res.write_continue()?;
            handle(site, req, res)
        }
        _ => handle(site, req, res),
    }
}

fn inactive(site: Site, req: &Request, res: Response, by_server: bool) {
    res.set_timeout(Duration::from_millis(500));
    if !by_server {
        return res.on_timeout(move || res.end("inactive"));
    }
    let connection = req.connection();
    let mut inactive = site.inactive.borrow_mut();
    // Those that have ended some other way.
    inactive.retain(|(waiting, _)| waiting.is_open() && *waiting != connection);
    inactive.push((connection, res));
}

fn handle(site: Site, req: Request, res: Response) -> onloop::Result<()> {
    let connection = req.connection();
    assert!(site.connections.borrow().contains(&connection), "a request before on_connection");
    let tracked = track(site, res);
    let (path, number) = match req.url()[1..].split_once('/') {
        Some((path, number)) => (path, number.parse().unwrap_or(0)),
        None => (&req.url()[1..], 0),
    };
    match path {
        "hello" => res.end("hello"),
        "late" => {
            let delay = Duration::from_millis(number as u64);
            site.lp.set_timeout(delay, move || res.end("late"));
        }
        "inactive" => inactive(site, &req, res, number == 1),
        "pipe" | "expecting" => req.pipe(res),
        // Every other echo waits for all of the content.
        "echo" if tracked % 2 == 0 => {
            site.collects(tracked);
            req.collect(3000, move |content| {
                site.collected(tracked);
                res.end(content?);
                Ok(())
            });
        }
        "echo" => {
            let body = req.body();
            req.on_data(move |chunk| {
                if !res.write(chunk) {
                    body.pause();
                }
            });
            res.on_drain(move || body.resume());
            req.on_end(move || res.end(""));
        }
        "mixed" => return mixed::handle(site, &req, res, tracked, &req.url()["/mixed/".len()..]),
        "proxy" => return proxy(site, &req, res, tracked),
        "unread" => res.end("unread"),
        "breaks" => {
            res.write("only a part");
            site.lp.set_timeout(Duration::from_millis(20), move || res.destroy());
        }
        "never" => {
            site.lp.set_timeout(Duration::from_millis(20), move || res.destroy());
        }
        "fails" => return Err(Error::other("as it should")),
        "stream" => {
            let sent = Cell::new(0);
            let more = move || stream(site, tracked, res, number, &sent);
            more();
            res.on_drain(more);
        }
        other => panic!("nobody asks for {other}"),
    }
    Ok(())
}

/// A reverse proxy as the documentation has it.
fn proxy(site: Site, req: &Request, res: Response, number: usize) -> onloop::Result<()> {
    let up = http::request(site.lp, req.method(), "http://sim.test/pipe")?;
    for (name, value) in req.headers() {
        if !http::is_hop_by_hop(name) && !name.eq_ignore_ascii_case("host") {
            up.append_header(name, value)?;
        }
    }
    // The inactivity timeout begins with the connection, and this network makes some of them for ever.
    let timer = site.lp.set_timeout(Duration::from_secs(5), move || up.destroy());
    up.on_response(move |response| {
        res.set_status(response.status());
        for (name, value) in response.headers() {
            if !http::is_hop_by_hop(name) {
                res.append_header(name, value)?;
            }
        }
        response.pipe(res);
        Ok(())
    });
    let upstream = begin(site);
    up.on_error(move |_| {
        site.exchanges.borrow_mut()[upstream].errors += 1;
        res.set_status(502);
        res.end("bad gateway");
    });
    up.on_close(move || {
        timer.clear();
        close(site, upstream);
    });
    res.on_close(move || {
        up.destroy();
        close(site, number);
    });
    req.pipe(up);
    Ok(())
}

/// Every write is awaited, and two at a time leave together.
fn stream(site: Site, number: usize, res: Response, length: usize, sent: &Cell<usize>) {
    while sent.get() < length {
        res.cork();
        let mut wants_more = true;
        for _ in 0..2 {
            let size = (length - sent.get()).min(10_000);
            wants_more = res.write(content(sent.get(), size));
            sent.set(sent.get() + size);
            site.await_written(res, number);
        }
        res.uncork();
        if !wants_more && sent.get() < length {
            return;
        }
    }
    res.end("");
}

fn upgrade(site: Site, socket: Socket, head: &[u8]) {
    let number = begin(site);
    socket.on_error(move |_| site.exchanges.borrow_mut()[number].errors += 1);
    socket.on_close(move || close(site, number));
    socket.set_timeout(Duration::from_secs(5));
    socket.on_timeout(move || socket.destroy());
    socket
        .write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.write(head);
    socket.pipe(socket);
}

fn track(site: Site, res: Response) -> usize {
    let number = begin(site);
    res.on_finish(move || site.exchanges.borrow_mut()[number].finishes += 1);
    res.on_error(move |_| site.exchanges.borrow_mut()[number].errors += 1);
    res.on_close(move || {
        let finishes = site.exchanges.borrow()[number].finishes;
        assert_eq!(res.writable_finished(), finishes == 1, "what on_close is told of the end");
        close(site, number);
    });
    number
}

fn begin(site: Site) -> usize {
    site.open.set(site.open.get() + 1);
    site.exchanges.borrow_mut().push(Exchange::default());
    site.exchanges.borrow().len() - 1
}

fn close(site: Site, number: usize) {
    let exchange = &mut site.exchanges.borrow_mut()[number];
    exchange.closes += 1;
    assert_eq!(exchange.closes, 1, "on_close of a response came twice");
    site.open.set(site.open.get() - 1);
}

impl ServerSite {
    /// Exchanges that have not had their `on_close`.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Sets a callback for what was written so far.
    pub(crate) fn await_written(&'static self, res: Response, number: usize) {
        self.exchanges.borrow_mut()[number].awaited += 1;
        let awaited = res.on_written(move |_| {
            let exchange = &mut self.exchanges.borrow_mut()[number];
            exchange.awaited -= 1;
            assert!(exchange.finishes == 0 && exchange.closes == 0, "told too late");
        });
        if awaited.is_err() {
            self.exchanges.borrow_mut()[number].awaited -= 1;
        }
    }

    pub(crate) fn collects(&self, number: usize) {
        self.exchanges.borrow_mut()[number].collects += 1;
    }

    pub(crate) fn collected(&self, number: usize) {
        let exchange = &mut self.exchanges.borrow_mut()[number];
        exchange.collected += 1;
        assert_eq!(exchange.closes, 0, "collected after on_close");
    }

    pub(crate) fn check(&self) {
        for (number, exchange) in self.exchanges.borrow().iter().enumerate() {
            assert_eq!(exchange.closes, 1, "response {number}: on_close");
            assert_eq!(exchange.collected, exchange.collects, "response {number}: collect");
            assert_eq!(exchange.awaited, 0, "response {number}: writes that nobody told of");
            let outcomes = exchange.finishes + exchange.errors;
            assert!(outcomes <= 1, "response {number}: {outcomes} of on_finish and on_error");
        }
    }
}
