//! Client requests of all kinds at once, on agents with little room, against servers that do what they like: each
//! ends once, whatever happens, and leaves nothing behind. In simulation, so that a seed tells the whole story.

#[path = "random/mod.rs"]
mod random;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, LookupAnswer, Request, RequestOptions, Response,
    Retries, Scheduling, Server, ServerOptions,
};
use onloop::sim::{Route, SimNet, SimOptions, stats};
use onloop::{Error, EventLoop, LoopHandle, LoopOptions};
use random::Chance;

const PORTS: [u16; 3] = [80, 81, 82];
/// So many runs on each kind of network.
const SEEDS: u64 = 15;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What became of the requests: how often each was closed, answered and failed.
type Ends = Rc<RefCell<Vec<(usize, usize, usize)>>>;

fn serve(lp: LoopHandle, chance: &Chance, request: Request, response: Response) {
    match chance.below(3) {
        0 => {}
        _ => request.resume(),
    }
    let port = chance.pick(&PORTS);
    match chance.below(16) {
        0 => response.destroy(),
        1..=4 => {
            response.set_status(chance.pick(&[301, 302, 303, 307, 308]));
            let target = match chance.below(4) {
                0 => "/next".to_string(),
                1 => "http://127.0.0.1:99/".to_string(),
                2 => format!("http://name.test:{port}/"),
                _ => format!("http://127.0.0.1:{port}/"),
            };
            response.set_header("Location", target).expect("a header");
        }
        5 | 6 => {
            response.set_status(chance.pick(&[429, 503]));
            if chance.once_in(2) {
                let pause = chance.pick(&["0", "1", "99999", "soon"]);
                response.set_header("Retry-After", pause).expect("a header");
            }
        }
        7 => response.set_header("Connection", "close").expect("a header"),
        _ => {}
    }
    match chance.below(8) {
        0 => {
            response.write("part");
            if chance.once_in(2) {
                response.destroy();
            }
            response.end("rest");
        }
        1 => response.end(vec![b'x'; chance.below(200_000)]),
        2 => {
            let later = chance.clone();
            lp.set_timeout(chance.millis(500), move || match later.below(4) {
                0 => response.destroy(),
                _ => response.end("late"),
            });
        }
        3 if chance.once_in(4) => {} // Never.
        _ => response.end("ok"),
    }
}

/// An agent with little room.
fn agent(lp: LoopHandle, chance: &Chance) -> Agent {
    let mut options = AgentOptions::new()
        .keep_alive(!chance.once_in(4))
        .max_sockets(chance.pick(&[0, 1, 2]))
        .max_total_sockets(chance.pick(&[1, 2, 3, usize::MAX]))
        .max_free_sockets(chance.pick(&[0, 1, 256]))
        .max_queued_requests(chance.pick(&[0, 2, 1_000, 1_000]))
        .scheduling(chance.pick(&[Scheduling::Lifo, Scheduling::Fifo]))
        .free_timeout(chance.millis(3_000))
        .connection_attempt_delay(chance.millis(300));
    if chance.once_in(2) {
        let chance = chance.clone();
        options = options.lookup(move |_, answer| look_up(lp, &chance, answer));
    }
    Agent::new(lp, options).expect("an agent")
}

fn look_up(lp: LoopHandle, chance: &Chance, answer: LookupAnswer) -> onloop::Result<()> {
    // An answer may come too late, or twice.
    let found: Vec<IpAddr> = vec![IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9)), HERE, HERE, HERE];
    match chance.below(6) {
        0 => answer.failed(Error::other("no")),
        1 => Err(Error::other("no")),
        2 => answer.found([]),
        3 => {
            lp.set_timeout(chance.millis(400), move || {
                let _ = answer.found(found.clone());
                let _ = answer.found(found.clone());
            });
            Ok(())
        }
        _ => answer.found(found),
    }
}

struct Client {
    lp: LoopHandle,
    chance: Chance,
    agents: RefCell<Vec<Agent>>,
    ends: Ends,
}

impl Client {
    fn options(&self) -> RequestOptions {
        let chance = &self.chance;
        let host = chance.pick(&["127.0.0.1", "name.test"]);
        let port = if chance.once_in(20) { 99 } else { chance.pick(&PORTS) };
        let method = chance.pick(&["GET", "GET", "POST", "PUT", "HEAD", "DELETE"]);
        let mut options = RequestOptions::new(method, format!("http://{host}:{port}/start"))
            .keep_alive(!chance.once_in(6));
        if !chance.once_in(5) {
            options = options.agent(chance.pick(&self.agents.borrow()));
        }
        if chance.once_in(2) {
            options = options.redirects(chance.pick(&[1, 3, 30]));
        }
        if chance.once_in(2) {
            let retries = Retries::new(chance.below(4) as u32).on_status(chance.once_in(2));
            options = options.retries(retries.delay(chance.millis(300)));
        }
        if chance.once_in(4) {
            options = options.deadline(chance.millis(3_000));
        }
        if chance.once_in(6) {
            options = options.header("Expect", "100-continue");
        }
        options.timeout(Duration::from_millis(1 + chance.below(4_000) as u64))
    }

    fn begin(self: &Rc<Self>) {
        let Ok(request) = http::request_with(self.lp, self.options()) else { return };
        let number = self.ends.borrow().len();
        self.ends.borrow_mut().push((0, 0, 0));
        let client = self.clone();
        request.on_response(move |response| {
            client.ends.borrow_mut()[number].1 += 1;
            assert_eq!(client.ends.borrow()[number].0, 0, "answered after its end");
            match client.chance.below(5) {
                0 => {}
                1 => request.destroy(),
                2 => response.on_data(|_| ()),
                _ => response.resume(),
            }
            match client.chance.once_in(20) {
                true => Err(Error::other("enough")),
                false => Ok(()),
            }
        });
        request.on_timeout(move || request.destroy());
        let ends = self.ends.clone();
        request.on_error(move |_| {
            ends.borrow_mut()[number].2 += 1;
            assert_eq!(ends.borrow()[number].0, 0, "failed after its end");
        });
        let client = self.clone();
        request.on_close(move || {
            client.ends.borrow_mut()[number].0 += 1;
            if client.chance.once_in(8) {
                client.begin();
            }
        });
        self.write(request);
    }

    fn write(self: &Rc<Self>, request: ClientRequest) {
        let chance = &self.chance;
        match chance.below(8) {
            0 => {
                request.write("some");
                let rest = vec![b'x'; chance.below(100_000)];
                self.lp.set_timeout(chance.millis(800), move || {
                    request.write(rest);
                    request.end("end");
                });
            }
            1 => {
                request.cork();
                request.write("some");
                request.write(vec![b'x'; 20_000]);
                self.lp.set_timeout(chance.millis(400), move || {
                    request.uncork();
                    request.end("");
                });
            }
            2 => {
                request.flush_headers();
                self.lp.set_timeout(chance.millis(800), move || request.end(""));
            }
            3 => request.end(vec![b'x'; chance.below(150_000)]),
            4 => {
                self.lp.set_timeout(chance.millis(800), move || request.destroy());
                request.end("x");
            }
            _ => request.end(""),
        }
    }

    /// Somebody turns the knobs.
    fn meddle(&self) {
        let chance = &self.chance;
        let place = chance.below(self.agents.borrow().len());
        let agent = self.agents.borrow()[place];
        match chance.below(8) {
            0 => agent.set_max_sockets(chance.pick(&[0, 1, 3])),
            1 => agent.set_max_total_sockets(chance.pick(&[1, 3, 10])).expect("more than zero"),
            2 => agent.set_max_free_sockets(chance.pick(&[0, 1, 10])),
            3 => agent.destroy(),
            4 => {
                agent.close();
                self.agents.borrow_mut()[place] = self::agent(self.lp, chance);
            }
            _ => {}
        }
    }
}

fn run(seed: u64, options: SimOptions) {
    let net = SimNet::with_options(seed, options);
    let far = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    net.set_route(far, Route::Silent);
    net.add_host("name.test", vec![far, HERE]);
    let mut event_loop: EventLoop = net.event_loop(LoopOptions::default());
    let lp = event_loop.handle();
    let chance = Chance::new(seed);
    let servers: Vec<Server> = PORTS
        .iter()
        .map(|port| {
            let chance = chance.clone();
            let server = Server::new(lp, ServerOptions::default()).expect("a server");
            server.on_request(move |request, response| serve(lp, &chance, request, response));
            server.listen(format!("127.0.0.1:{port}")).expect("a free port");
            server
        })
        .collect();
    let agents = (0..3).map(|_| agent(lp, &chance)).collect();
    let client =
        Rc::new(Client { lp, chance, agents: RefCell::new(agents), ends: Ends::default() });
    for _ in 0..60 {
        for _ in 0..client.chance.below(6) {
            client.begin();
        }
        client.meddle();
        let end = net.now() + client.chance.millis(200);
        while net.now() < end {
            event_loop.turn(Some(end - net.now())).expect("a turn");
            if net.now() < end && net.stalled() {
                net.advance(end - net.now());
            }
        }
        check_counts(&client, seed);
    }
    let end = net.now() + Duration::from_secs(300);
    while stats(&event_loop).client_requests > 0 {
        assert!(net.now() < end, "seed {seed}: some never end: {:?}", stats(&event_loop));
        event_loop.turn(Some(Duration::from_secs(1))).expect("a turn");
        if net.stalled() {
            net.advance(Duration::from_millis(100));
        }
    }
    event_loop.turn(Some(Duration::ZERO)).expect("a turn");
    for (number, (closed, answered, failed)) in client.ends.borrow().iter().enumerate() {
        assert_eq!(*closed, 1, "seed {seed}: request {number}");
        assert!(*answered <= 1 && *failed <= 1, "seed {seed}: request {number}");
    }
    check_counts(&client, seed);
    for agent in client.agents.borrow().iter() {
        assert!(agent.requests().is_empty() && agent.sockets().is_empty(), "seed {seed}");
    }
    let left = stats(&event_loop);
    assert_eq!((left.lookups, left.connecting_beside), (0, 0), "seed {seed}: {left:?}");
    drop(servers);
}

/// What the agents say is what there is.
fn check_counts(client: &Client, seed: u64) {
    for agent in client.agents.borrow().iter() {
        let all =
            |counts: Vec<(String, usize)>| counts.iter().map(|(_, count)| count).sum::<usize>();
        let found = all(agent.sockets()) + all(agent.free_sockets());
        assert_eq!(agent.total_socket_count(), found, "seed {seed}: {agent:?}");
    }
}

#[test]
fn requests_end_once_on_a_good_network() {
    (1..=SEEDS).for_each(|seed| run(seed, SimOptions::default()));
}

#[test]
fn requests_end_once_on_a_rough_network() {
    (1..=SEEDS).for_each(|seed| run(seed, SimOptions::rough()));
}

#[test]
fn requests_end_once_on_a_hostile_network() {
    (1..=SEEDS).for_each(|seed| run(seed, SimOptions::hostile()));
}
