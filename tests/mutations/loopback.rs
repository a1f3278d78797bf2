//! The same over real sockets, for a few.

use onloop::http::Server;

use crate::common::{Ending, Peer, World};
use crate::judged::model::{Limits, read_connection};
use crate::judged::server::{Over, SeenAll, compare, server_telling};
use crate::judged::{Verdict, shown};

/// Turns that nothing needs more of.
const TURNS_MAX: u32 = 5_000;

/// A server on a port of 127.0.0.1, and one connection after the other to it.
pub(crate) struct Judge {
    world: World,
    server: Server,
    seen: SeenAll,
}

impl Judge {
    pub(crate) fn new() -> Judge {
        let world = World::new();
        let seen = SeenAll::default();
        let server = server_telling(world.lp, &seen);
        server.listen("127.0.0.1:0").expect("a free port");
        Judge { world, server, seen }
    }

    /// As on the simulated network; what is too much shows at the end.
    pub(crate) fn play(&mut self, pieces: &[&[u8]], at_once: bool) -> Verdict {
        self.seen.borrow_mut().clear();
        let mut peer = self.world.connect(&self.server);
        for piece in pieces {
            peer.send(piece);
            self.world.turn();
        }
        let stream = pieces.concat();
        if !at_once {
            self.settle(&stream, &mut peer, false)
                .map_err(|error| format!("with the client's side open: {error}"))?;
        }
        peer.end();
        self.settle(&stream, &mut peer, true).map_err(|error| format!("at the end: {error}"))
    }

    /// Turns until all is as the model says; else what is not, in the end.
    fn settle(&mut self, stream: &[u8], peer: &mut Peer, ended: bool) -> Verdict {
        let expected = read_connection(stream, ended, &Limits::default());
        let mut turns = 0;
        loop {
            peer.pump();
            let over = match peer.ending {
                None => Over::Not,
                Some(Ending::End) => Over::End,
                Some(Ending::Reset) => Over::Reset,
            };
            let verdict = compare(&expected, &self.seen, &peer.received, over);
            turns += 1;
            if verdict.is_ok() || turns == TURNS_MAX {
                return verdict.map_err(|error| format!("{error}\nof {}", shown(stream)));
            }
            self.world.turn();
        }
    }

    pub(crate) fn finish(mut self) {
        self.server.close();
        self.world.until_over();
    }
}
