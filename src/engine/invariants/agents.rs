//! Agents, their origins, the free connections there and the requests that wait: what they count is what the slab
//! holds, and nobody waits where there is room.

use std::collections::{HashMap, HashSet};

use super::{Tally, Verdict, hold};
use crate::engine::Core;
use crate::engine::agent::{AgentEntry, NO_ORIGIN, Origin};
use crate::engine::slot::{Flags, Kind};

/// What the origins of one agent come to.
#[derive(Default)]
struct Sums {
    connections: usize,
    free: usize,
    waiting: usize,
}

impl Core {
    pub(super) fn check_agents(&self, tally: &Tally) -> Verdict {
        self.agents.check_names()?;
        let free = tally.free.get(&NO_ORIGIN).copied().unwrap_or(0);
        hold!(free == 0, "{free} free connections belong to no agent");
        let queued = tally.queued.get(&NO_ORIGIN).copied().unwrap_or(0);
        hold!(queued == 0, "{queued} requests wait at no agent");
        let mut sums: HashMap<u16, Sums> = HashMap::new();
        let mut named = HashSet::new();
        for (key, origin) in &self.agents.origins {
            let key = key as u16;
            let Some(entry) = self.agents.agent_of(key) else {
                return Err(format!("origin {key}: its agent is gone"));
            };
            self.check_origin(key, origin, entry, tally)
                .and_then(|()| self.check_lists(key, origin, &mut named))
                .and_then(|()| self.check_queue_of(key, origin, tally))
                .map_err(|why| format!("origin {key} of agent {}: {why}", origin.agent))?;
            let sum = sums.entry(origin.agent).or_default();
            sum.connections += origin.connections as usize;
            sum.free += origin.free.len();
            sum.waiting += origin.waiting as usize;
        }
        for (key, entry) in self.agents.entries() {
            let sum = sums.remove(&key).unwrap_or_default();
            check_agent(entry, &sum).map_err(|why| format!("agent {key}: {why}"))?;
        }
        Ok(())
    }

    fn check_origin(
        &self,
        key: u16,
        origin: &Origin,
        entry: &AgentEntry,
        tally: &Tally,
    ) -> Verdict {
        let places = tally.places.get(&key).copied().unwrap_or(0);
        hold!(
            origin.connections == places,
            "it counts {} connections, and there are {places}",
            origin.connections
        );
        let free = tally.free.get(&key).copied().unwrap_or(0);
        let listed = origin.free.len();
        hold!(listed == free, "{listed} connections are listed as free, and {free} are");
        let queued = tally.queued.get(&key).copied().unwrap_or(0);
        hold!(
            origin.waiting == queued,
            "it counts {} requests that wait, and there are {queued}",
            origin.waiting
        );
        hold!(places > 0 || queued > 0, "it has no connection and no request, and is still here");
        let listed = entry.starved.contains(&(key, origin.count));
        hold!(!origin.is_starved || listed, "it waits for room in its agent, which does not know");
        if tally.patient.get(&key).copied().unwrap_or(0) == 0 {
            return Ok(());
        }
        hold!(origin.free.is_empty(), "requests wait, and connections are free");
        let has_room = (origin.connections as usize) < entry.limits.max_sockets;
        hold!(!has_room || entry.is_full(), "requests wait, and there is room for connections");
        hold!(
            !has_room || entry.free == 0,
            "requests wait, and others' free connections do not give way"
        );
        hold!(!has_room || origin.is_starved, "requests wait for room in all, and it is not noted");
        Ok(())
    }

    /// Each free connection and each request that waits stands on its list once.
    fn check_lists(&self, key: u16, origin: &Origin, named: &mut HashSet<u32>) -> Verdict {
        for free in &origin.free {
            let slot = self.slots.get(free.key as usize);
            let is_its = slot.is_some_and(|slot| {
                slot.kind == Kind::Client && slot.active.is_none() && slot.owner == key
            });
            hold!(is_its, "slot {} is listed as free, and is not", free.key);
            hold!(named.insert(free.key), "slot {} is listed as free twice", free.key);
        }
        Ok(())
    }

    /// Each request that can still be served stands in the queue, once. One that was destroyed may have been passed
    /// over, and is counted until it is gone.
    fn check_queue_of(&self, key: u16, origin: &Origin, tally: &Tally) -> Verdict {
        let patient = tally.patient.get(&key).copied().unwrap_or(0);
        let (mut waiting, mut named) = (0, HashSet::new());
        for (request, generation) in &origin.queue {
            let slot = self.slots.get(*request as usize).filter(|slot| {
                slot.kind == Kind::Client && slot.generation == *generation && slot.owner == key
            });
            let client = slot.and_then(|slot| slot.active.as_deref()?.client.as_deref());
            let is_queued = client.is_some_and(|client| client.queued);
            let is_patient = slot.is_some_and(|slot| !slot.flags.has(Flags::DESTROYED));
            if is_queued && is_patient {
                hold!(named.insert(*request), "request {request} is in the queue twice");
                waiting += 1;
            }
        }
        hold!(waiting == patient, "{patient} requests wait, and {waiting} are in the queue");
        Ok(())
    }
}

fn check_agent(entry: &AgentEntry, sums: &Sums) -> Verdict {
    let of_origins = (sums.connections, sums.free, sums.waiting);
    let own = (entry.connections, entry.free, entry.waiting);
    hold!(
        own == of_origins,
        "it counts {own:?} connections, free ones and requests that wait, and its origins {of_origins:?}"
    );
    hold!(!entry.is_serving, "it is still giving places away");
    let is_over = entry.is_closed && entry.connections == 0 && entry.waiting == 0;
    hold!(!is_over, "it is closed, has nothing, and is still here");
    Ok(())
}
