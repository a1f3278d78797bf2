//! Requests, and users who lose interest at any moment.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{self, Agent, AgentOptions, ClientRequest, RequestOptions, Scheduling, Socket};
use onloop::{LoopHandle, Timer};

use crate::random::Chance;
use crate::wires::Wires;

/// Ends what the network has made hang.
const PATIENCE: Duration = Duration::from_millis(400);

/// Where a user loses interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whim {
    None,
    AtOnce,
    Soon,
    OnSocket,
    OnResponse,
    OnData,
    OnEnd,
    OnError,
    /// The connection is ended, not the request.
    Connection,
    DropResponse,
    PauseAndDestroy,
    PauseAndResume,
    Collect,
    LeaveAgent,
}

const WHIMS: [Whim; 13] = [
    Whim::AtOnce,
    Whim::Soon,
    Whim::OnSocket,
    Whim::OnResponse,
    Whim::OnData,
    Whim::OnEnd,
    Whim::OnError,
    Whim::Connection,
    Whim::DropResponse,
    Whim::PauseAndDestroy,
    Whim::PauseAndResume,
    Whim::Collect,
    Whim::LeaveAgent,
];

/// Counts of all requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) begun: Cell<usize>,
    /// Refused at the call, by a limit of an agent.
    pub(crate) refused: Cell<usize>,
    pub(crate) answered: Cell<usize>,
    pub(crate) failed: Cell<usize>,
    pub(crate) closed: Cell<usize>,
}

impl Counts {
    pub(crate) fn open(&self) -> usize {
        self.begun.get() - self.closed.get()
    }
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

pub(crate) struct Client {
    lp: LoopHandle,
    wires: Wires,
    chance: Chance,
    agents: RefCell<Vec<Agent>>,
    ports: Vec<u16>,
    pub(crate) counts: Rc<Counts>,
    content: Vec<u8>,
}

impl Client {
    pub(crate) fn new(lp: LoopHandle, wires: &Wires, chance: &Chance, ports: &[u16]) -> Client {
        let client = Client {
            lp,
            wires: wires.clone(),
            chance: chance.clone(),
            agents: RefCell::default(),
            ports: ports.to_vec(),
            counts: Rc::default(),
            content: vec![b'c'; 120_000],
        };
        client.renew_agents();
        client
    }

    /// The agents of the next requests; those before are closed, with what they have.
    pub(crate) fn renew_agents(&self) {
        let options = AgentOptions::new().free_timeout(Duration::from_millis(300));
        let options = [
            options.max_sockets(1).max_queued_requests(1),
            AgentOptions::new()
                .max_total_sockets(4)
                .scheduling(Scheduling::Fifo)
                .connection_attempt_delay(Duration::from_millis(20)),
            AgentOptions::new().max_sockets(1).max_free_sockets(0),
            AgentOptions::new().keep_alive(false),
            self.with_lookup(AgentOptions::new().max_sockets(3)),
            self.with_connections(AgentOptions::new().max_total_sockets(5)),
        ];
        let agents = options.map(|options| Agent::new(self.lp, options).expect("a fine agent"));
        for agent in self.agents.replace(agents.into()) {
            agent.close();
        }
    }

    /// Looks names up by itself: at once, later, in vain or not at all.
    fn with_lookup(&self, options: AgentOptions) -> AgentOptions {
        let (lp, chance) = (self.lp, self.chance.clone());
        options.lookup(move |_name, answer| {
            let here = || [IpAddr::from([127, 0, 0, 1])];
            match chance.below(10) {
                0 => answer.failed(onloop::Error::other("not in the book")),
                1 => Ok(()),
                2 => {
                    // Its request may be over by then.
                    let later = move || drop(answer.found(here()));
                    lp.set_timeout(chance.millis(60), later);
                    Ok(())
                }
                3 => Err(onloop::Error::other("the book is lost")),
                _ => answer.found(here()),
            }
        })
    }

    /// The same with connections; on a simulated network there are none to be had.
    fn with_connections(&self, options: AgentOptions) -> AgentOptions {
        let (lp, chance) = (self.lp, self.chance.clone());
        let is_real = matches!(self.wires, Wires::Loopback(_));
        options.create_connection(move |target, connector| {
            let port = target.port();
            let connect = move || {
                let stream = is_real.then(|| TcpStream::connect(("127.0.0.1", port)));
                match stream {
                    Some(Ok(stream)) => connector.connected(stream),
                    _ => connector.failed(onloop::Error::other("no way")),
                }
            };
            match chance.below(12) {
                0 => Ok(()),
                1 => Err(onloop::Error::other("no wish")),
                2 | 3 => {
                    let later = move || drop(connect());
                    lp.set_timeout(chance.millis(60), later);
                    Ok(())
                }
                _ => connect(),
            }
        })
    }

    pub(crate) fn close_agents(&self) {
        self.agents.take().iter().for_each(Agent::close);
    }

    /// Something is done to an agent.
    fn trouble(&self) {
        let agents = self.agents.borrow();
        let agent = self.chance.pick(&agents);
        match self.chance.below(3) {
            0 => agent.destroy(),
            1 => agent.set_max_sockets(1 + self.chance.below(3)),
            _ => http::global_agent(self.lp).destroy(),
        }
    }

    /// Begins a request as chance has it.
    pub(crate) fn begin(&self) {
        let chance = &self.chance;
        if chance.once_in(200) {
            self.trouble();
        }
        let port = chance.pick(&self.ports);
        let methods = ["GET", "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "CONNECT", "GET"];
        let method = chance.pick(&methods);
        let host = self.wires.host(chance);
        let mut options = RequestOptions::new(method, format!("http://{host}:{port}/x"));
        if method == "CONNECT" {
            options = options.path("far.test:443");
        }
        if chance.once_in(2) {
            let agents = self.agents.borrow();
            options = options.agent(chance.pick(&agents));
        }
        options = options.keep_alive(!chance.once_in(10));
        if chance.once_in(4) {
            options = options.timeout(Duration::from_millis(50) + chance.millis(200));
        }
        let request = match http::request_with(self.lp, options) {
            Ok(request) => request,
            Err(error) => {
                assert_eq!(error.code(), "ERR_AGENT_QUEUE_FULL", "{error}");
                add(&self.counts.refused);
                return;
            }
        };
        add(&self.counts.begun);
        let whim = match chance.once_in(2) {
            true => chance.pick(&WHIMS),
            false => Whim::None,
        };
        self.listen(request, whim);
        self.send(request, matches!(method, "PUT" | "POST" | "PATCH"));
        if whim == Whim::AtOnce {
            request.destroy();
        }
    }

    fn listen(&self, request: ClientRequest, whim: Whim) {
        let (lp, chance) = (self.lp, self.chance.clone());
        let patience = lp.set_timeout(PATIENCE, move || request.destroy());
        let soon = move || {
            lp.set_timeout(chance.millis(120), move || {
                request.destroy();
            })
        };
        let mut timers: Vec<Timer> = vec![patience];
        if whim == Whim::Soon {
            timers.push(soon());
        }
        request.on_timeout(move || request.destroy());
        request.on_socket(move |connection| match whim {
            Whim::OnSocket => request.destroy(),
            Whim::Connection => connection.destroy(),
            Whim::LeaveAgent => connection.remove_from_agent(),
            _ => {}
        });
        let counts = Rc::clone(&self.counts);
        request.on_response(move |response| {
            add(&counts.answered);
            match whim {
                Whim::OnResponse => request.destroy_with(onloop::Error::other("enough")),
                Whim::DropResponse => return,
                Whim::PauseAndDestroy => {
                    response.pause();
                    soon();
                }
                Whim::PauseAndResume => {
                    let body = response.body();
                    body.pause();
                    lp.set_timeout(Duration::from_millis(30), move || body.resume());
                }
                Whim::Collect => return response.collect(100_000, |_| ()),
                _ => {}
            }
            response.on_data(move |_| {
                if whim == Whim::OnData {
                    request.destroy();
                }
            });
            response.on_end(move || {
                if whim == Whim::OnEnd {
                    request.destroy();
                }
            });
        });
        self.take_sockets(request);
        let counts = Rc::clone(&self.counts);
        request.on_error(move |_| {
            add(&counts.failed);
            if whim == Whim::OnError {
                request.destroy();
            }
        });
        let counts = Rc::clone(&self.counts);
        request.on_close(move || {
            add(&counts.closed);
            timers.iter().for_each(|timer| timer.clear());
        });
    }

    /// Of two tunnels one is taken, and of two connections that switch protocols.
    fn take_sockets(&self, request: ClientRequest) {
        let (lp, chance, wire) = (self.lp, self.chance.clone(), self.chance.clone());
        let take = move |socket: Socket| {
            socket.on_data(move |bytes| {
                socket.write(bytes);
            });
            socket.on_end(move || socket.end("bye"));
            let patience = wire.millis(200);
            lp.set_timeout(patience, move || socket.destroy());
        };
        if chance.once_in(2) {
            let take = take.clone();
            request.on_upgrade(move |_response, socket, _head| take(socket));
        }
        if chance.once_in(2) {
            request.on_connect(move |_response, socket, _head| take(socket));
        }
    }

    fn send(&self, request: ClientRequest, has_content: bool) {
        if !has_content {
            return request.end("");
        }
        let length = match self.chance.below(6) {
            0 => 0,
            1 => self.content.len(),
            count => 10 * count,
        };
        let content = &self.content[..length];
        if self.chance.once_in(2) {
            return request.end(content);
        }
        let (first, rest) = content.split_at(length / 2);
        request.write(first);
        let rest = rest.to_vec();
        let pause = self.chance.millis(40);
        self.lp.set_timeout(pause, move || request.end(rest));
    }
}
