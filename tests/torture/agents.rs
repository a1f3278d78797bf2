//! The callbacks of agents and of what makes connections, and what callbacks do to agents.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use onloop::Error;
use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, ConnectTarget, Connection, Connector, LookupAnswer,
    RequestOptions,
};

use crate::context::Ctx;
use crate::operation::Operation;
use crate::scenario::Kind;

/// The run's own agent: one connection at a time, names found here.
pub(crate) fn make(ctx: Ctx) -> Agent {
    let options = AgentOptions::new().max_sockets(1).lookup(move |_, answer| lookup(ctx, answer));
    let options = match ctx.kind {
        Kind::CreateConnection => {
            options.create_connection(move |target, connector| connect(ctx, target, connector))
        }
        _ => options,
    };
    Agent::new(ctx.lp, options).expect("the loop is there")
}

fn connect(ctx: Ctx, target: &ConnectTarget, connector: Connector) -> onloop::Result<()> {
    ctx.connectors.borrow_mut().push(connector);
    ctx.fire_once()?;
    // The operation may have ended the request, or answered. A simulated network takes no sockets.
    let _ = match TcpStream::connect(("127.0.0.1", target.port())) {
        Ok(stream) => connector.connected(stream),
        Err(error) => connector.failed(error),
    };
    Ok(())
}

fn lookup(ctx: Ctx, answer: LookupAnswer) -> onloop::Result<()> {
    ctx.answers.borrow_mut().push(answer);
    if ctx.kind == Kind::Lookup {
        ctx.fire_once()?;
    }
    let _ = answer.found(["127.0.0.1".parse().expect("an address")]);
    Ok(())
}

/// What the scenario's request is made from.
pub(crate) fn options(ctx: Ctx, method: &str, port: u16) -> RequestOptions {
    let host = if ctx.kind == Kind::Lookup { "torture.test" } else { "127.0.0.1" };
    let options = RequestOptions::new(method, format!("http://{host}:{port}/scenario"));
    match ctx.kind {
        Kind::CreateConnection | Kind::Lookup => options.agent(agent(ctx)),
        Kind::ClientConnect => options.path("torture.test:1"),
        _ => options,
    }
}

fn agent(ctx: Ctx) -> Agent {
    ctx.agent.get().expect("made when the run began")
}

pub(crate) fn on_socket(ctx: Ctx, request: ClientRequest) {
    request.on_socket(move |connection| {
        ctx.connections.borrow_mut().push(connection);
        ctx.fire(|| on_socket(ctx, request), || {})
    });
}

pub(crate) fn perform(ctx: Ctx) -> onloop::Result<()> {
    let agents = [agent(ctx), http::global_agent(ctx.lp)];
    match ctx.operation {
        Operation::DestroyAgents => agents.iter().for_each(Agent::destroy),
        Operation::CloseAgents => agents.iter().for_each(Agent::close),
        Operation::LimitAgents => {
            for agent in agents {
                agent.set_max_sockets(1);
                agent.set_max_total_sockets(1)?;
                agent.set_max_free_sockets(0);
            }
        }
        Operation::RequestsThroughAnAgent => {
            for number in 0..3 {
                let port = ctx.server.get().port().max(1);
                let host = if number == 1 { "torture.test" } else { "127.0.0.1" };
                let url = format!("http://{host}:{port}/other");
                let options = RequestOptions::new("GET", url).agent(agent(ctx));
                let request = http::request_with(ctx.lp, options)?;
                ctx.track_request(request);
                request.end("");
            }
        }
        Operation::RemoveFromAgents => {
            ctx.connections.borrow().iter().for_each(Connection::remove_from_agent);
            let requests = ctx.requests.borrow();
            let connections = requests.iter().filter_map(ClientRequest::connection);
            connections.for_each(|connection| connection.remove_from_agent());
        }
        _ => answer_all(ctx),
    }
    Ok(())
}

/// Answers what was asked for, each in two ways, once now and once later.
fn answer_all(ctx: Ctx) {
    let connectors = ctx.connectors.borrow().clone();
    for (index, connector) in connectors.into_iter().enumerate() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        if index % 2 == 0 {
            let _ = connector.connected(ours);
        }
        let _ = connector.failed(Error::other("torture"));
    }
    for answer in ctx.answers.borrow().iter() {
        let _ = answer.found(["127.0.0.1".parse().expect("an address")]);
        let _ = answer.failed(Error::other("torture"));
    }
    ctx.lp.set_timeout(Duration::from_millis(1), move || answer_dead(ctx));
}

/// All of them are answered, or nobody waits any more.
pub(crate) fn answer_dead(ctx: Ctx) {
    for connector in ctx.connectors.borrow().iter() {
        assert!(connector.failed(Error::other("dead")).is_err());
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        assert!(connector.connected(ours).is_err());
    }
    for answer in ctx.answers.borrow().iter() {
        assert!(answer.found([]).is_err() && answer.failed(Error::other("dead")).is_err());
    }
}

/// Asks what leaves everything as it is.
pub(crate) fn ask(ctx: Ctx) {
    for request in ctx.requests.borrow().clone() {
        let _ = (request.method(), request.path(), request.host(), request.agent());
        let _ = (request.connection(), request.should_keep_alive());
    }
    if let Some(agent) = ctx.agent.get() {
        let counts = [agent.sockets(), agent.free_sockets(), agent.requests()];
        assert!(counts.iter().flatten().all(|(_, count)| *count > 0));
        assert_eq!(
            agent.total_socket_count(),
            counts[..2].iter().flatten().map(|(_, count)| count).sum::<usize>()
        );
        let _ = (agent.max_sockets(), agent.max_total_sockets(), agent.scheduling());
    }
}

pub(crate) fn abuse_dead(ctx: Ctx) {
    let agent = agent(ctx);
    agent.destroy();
    agent.close();
    agent.set_max_sockets(0);
    assert!(!agent.is_open() && agent.total_socket_count() == 0);
    assert!(Agent::new(ctx.lp, AgentOptions::new()).is_err());
    assert!(http::set_global_agent(ctx.lp, agent).is_err());
    answer_dead(ctx);
    for request in ctx.requests.borrow().iter() {
        request.on_socket(|_| {});
        request.on_connect(|_, _, _| {});
        request.set_no_delay(true);
        request.set_socket_keep_alive(None);
        assert!(request.connection().is_none() && request.agent().is_none());
    }
    ctx.connections.borrow().iter().for_each(Connection::remove_from_agent);
}
