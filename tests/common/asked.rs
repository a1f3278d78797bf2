//! A client's request under way, and what came of it.

use std::time::Duration;

use onloop::LoopHandle;
use onloop::http::{self, ClientRequest, RequestOptions};

use super::clocked::{Clocked, seconds};
use super::{Log, World};

/// A request under way, and what came of it.
pub(crate) struct Asked {
    pub(crate) request: ClientRequest,
    pub(crate) log: Log,
}

/// Has a log take down the status of the response, whose content is dropped, the error's code, and the end.
pub(crate) fn note_outcome(request: ClientRequest, log: &Log) {
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(response.status().to_string());
        response.resume();
    });
    request.on_error(log.noting_error("error"));
    request.on_close(log.noting("closed"));
}

impl Asked {
    /// Begins a request whose outcome is noted.
    #[track_caller]
    pub(crate) fn begin(lp: LoopHandle, options: RequestOptions) -> Asked {
        let request = http::request_with(lp, options).expect("a request");
        let log = Log::new();
        note_outcome(request, &log);
        Asked { request, log }
    }

    /// The same of one without content.
    #[track_caller]
    pub(crate) fn send(lp: LoopHandle, options: RequestOptions) -> Asked {
        let asked = Asked::begin(lp, options);
        asked.request.end("");
        asked
    }

    /// What came of it, once it is over.
    #[track_caller]
    pub(crate) fn done(&self, world: &mut World) -> Vec<String> {
        world.until("the exchange", || self.log.has("closed"));
        self.log.all()
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, world: &mut World) {
        assert_eq!(self.done(world), ["200", "closed"]);
    }

    /// What came of it on a simulated clock, and how long it took.
    #[track_caller]
    pub(crate) fn done_in(&self, clocked: &mut Clocked) -> (Duration, Vec<String>) {
        let begin = clocked.net.now();
        while !self.log.has("closed") {
            clocked.pass(Duration::from_millis(10));
            assert!(clocked.net.now() - begin < seconds(1000), "it never ends");
        }
        (clocked.net.now() - begin, self.log.all())
    }
}
