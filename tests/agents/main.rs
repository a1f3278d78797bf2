//! Agents, as Node's `http.Agent` and its tests have them: how many connections there are, who waits for one
//! and who is next, which are used again, and what is counted meanwhile.
//!
//! `limits` is how many, `queue` is who is next, `reuse` is which one, `lives` is the agent's own life and what
//! it tells, `sockets` is what a request does with its connection, `options` is what a request can be made from.

#[path = "../common/mod.rs"]
mod common;

mod limits;
mod lives;
mod options;
mod queue;
mod reuse;
mod sockets;

use std::net::TcpListener;

pub(crate) use common::asked::Asked;
use common::{Peer, World};
use onloop::http::{Agent, AgentOptions, RequestOptions};

pub(crate) const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
pub(crate) const LAST: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

pub(crate) fn agent(world: &World, options: AgentOptions) -> Agent {
    Agent::new(world.lp, options).expect("an agent")
}

/// What a GET of this agent is made from.
pub(crate) fn of(agent: Agent, url: &str) -> RequestOptions {
    RequestOptions::new("GET", url).agent(agent)
}

/// Makes a request without content.
#[track_caller]
pub(crate) fn send(world: &World, options: RequestOptions) -> Asked {
    Asked::send(world.lp, options)
}

/// Answers the next request of this connection; its path.
#[track_caller]
pub(crate) fn answer(world: &mut World, peer: &mut Peer, answer: &str) -> String {
    let head = world.expect(peer, "\r\n\r\n");
    peer.send(answer);
    head.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// In use, free, and waiting, once the agent's own counts have been compared.
#[track_caller]
pub(crate) fn counts(agent: Agent) -> [usize; 3] {
    let lists = [agent.sockets(), agent.free_sockets(), agent.requests()];
    let sums = lists.map(|list| {
        assert!(list.iter().all(|(_, count)| *count > 0), "an empty key: {list:?}");
        list.iter().map(|(_, count)| count).sum()
    });
    assert_eq!(agent.total_socket_count(), sums[0] + sums[1], "{sums:?}");
    sums
}

/// Turns until the counts are these.
#[track_caller]
pub(crate) fn until_counts(world: &mut World, agent: Agent, expected: [usize; 3]) {
    world.until(&format!("{expected:?}"), || counts(agent) == expected);
}

/// No further connection is made.
#[track_caller]
pub(crate) fn nobody_else(world: &mut World, listener: &TcpListener) {
    for _ in 0..10 {
        world.turn();
        assert!(listener.accept().is_err(), "one more connection");
    }
}
