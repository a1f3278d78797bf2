//! Requests through forward proxies that work: one made of this crate's own server and client, which is asked for
//! whole URLs, and one made of threads, which opens tunnels.

mod common;

use std::cell::{Cell, RefCell};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::spawn;

use common::{World, collect, url_of};
use onloop::http::{
    self, Agent, AgentOptions, ProxyOptions, Request, RequestOptions, Response, is_hop_by_hop,
};
use onloop::{LoopHandle, Result};

const REQUESTS: usize = 60;

/// What the content of request number `number` is.
fn content(number: usize) -> Vec<u8> {
    let length = number * 997;
    (0..length).map(|place| (place * 7 + number) as u8).collect()
}

/// Makes many requests at once, whose content is to come back; returns once all have it.
fn echo_all(world: &mut World, agent: Agent, url: &str) {
    let done = Rc::new(Cell::new(0));
    let failures: Rc<RefCell<Vec<String>>> = Rc::default();
    for number in 0..REQUESTS {
        let options = RequestOptions::new("POST", format!("{url}{number}")).agent(agent);
        let request = http::request_with(world.lp, options).expect("a request");
        let (counts, differs) = (done.clone(), failures.clone());
        request.on_response(move |response| {
            collect(response, move |status, received| {
                counts.set(counts.get() + 1);
                if status != 200 || received != content(number) {
                    differs.borrow_mut().push(format!("{number}: {status}"));
                }
            });
        });
        let fails = failures.clone();
        request.on_error(move |error| fails.borrow_mut().push(format!("{number}: {error}")));
        request.end(content(number));
    }
    let failed = failures.clone();
    world.until("all answers", || done.get() == REQUESTS || !failed.borrow().is_empty());
    assert_eq!(*failures.borrow(), [""; 0]);
}

/// Asks for what a client wants that speaks to us as to a proxy.
fn forward(lp: LoopHandle, req: Request, res: Response) -> Result<()> {
    let up = http::request(lp, req.method(), req.url())?;
    for (name, value) in req.headers() {
        if !is_hop_by_hop(name) && !name.eq_ignore_ascii_case("proxy-authorization") {
            up.append_header(name, value)?;
        }
    }
    up.on_response(move |response| {
        res.set_status(response.status());
        for (name, value) in response.headers() {
            if !is_hop_by_hop(name) {
                res.append_header(name, value)?;
            }
        }
        response.pipe(res);
        Ok(())
    });
    up.on_error(move |_| {
        res.set_status(502);
        res.end("");
    });
    req.pipe(up);
    Ok(())
}

#[test]
fn many_requests_share_few_connections_to_a_proxy() {
    let mut world = World::new();
    let lp = world.lp;
    let origin = world.serve(|req, res| {
        assert_eq!(req.header("proxy-authorization"), None);
        req.pipe(res);
    });
    let asked = Rc::new(Cell::new(0));
    let counts = asked.clone();
    let proxy = world.serve(move |req, res| {
        counts.set(counts.get() + 1);
        if req.header("proxy-authorization") != Some("Basic dTpw") {
            res.set_status(407);
            res.end("");
            return Ok(());
        }
        forward(lp, req, res)
    });
    let proxies = url_of(&proxy).replace("http://", "http://u:p@");
    let proxies = ProxyOptions::new(proxies).expect("a proxy");
    let options = AgentOptions::new().max_sockets(4).proxy(proxies);
    let agent = Agent::new(world.lp, options).expect("an agent");
    echo_all(&mut world, agent, &url_of(&origin));
    assert_eq!(asked.get(), REQUESTS);
    let name = url_of(&proxy).replace("http://", "").replace('/', ":");
    assert_eq!(agent.free_sockets(), [(name, 4)]);
}

/// Opens the tunnel that a client asks for, and passes bytes on.
fn tunnel(client: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut line, mut first) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line)?;
        if first.is_empty() {
            first.clone_from(&line);
        }
    }
    let authority = first.split(' ').nth(1).unwrap_or_default();
    let server = TcpStream::connect(authority)?;
    (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back, mut to_client) = (server.try_clone()?, client);
    spawn(move || {
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    });
    let mut server = server;
    let _ = std::io::copy(&mut reader, &mut server);
    server.shutdown(Shutdown::Write)
}

#[test]
fn many_requests_share_few_tunnels() {
    let mut world = World::new();
    let origin = world.serve(|req, res| req.pipe(res));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let tunnels = Arc::new(AtomicUsize::new(0));
    let counts = tunnels.clone();
    // It ends with the test's process.
    spawn(move || {
        for client in listener.incoming().map_while(|client| client.ok()) {
            counts.fetch_add(1, Ordering::Relaxed);
            spawn(move || tunnel(client));
        }
    });
    let proxies = ProxyOptions::new(url).expect("a proxy").tunnel(true);
    let options = AgentOptions::new().max_sockets(4).proxy(proxies);
    let agent = Agent::new(world.lp, options).expect("an agent");
    echo_all(&mut world, agent, &url_of(&origin));
    assert_eq!(tunnels.load(Ordering::Relaxed), 4);
}
