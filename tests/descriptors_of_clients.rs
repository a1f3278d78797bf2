//! Requests that cannot have a socket are told so, and the others do not notice.
//!
//! The limit is that of the whole process, so nothing else may run in it.
#![cfg(unix)]

mod program;

use std::cell::RefCell;
use std::rc::Rc;

use onloop::http::{self, Agent, AgentOptions, RequestOptions};
use onloop::{EventLoop, LoopHandle};
use program::Program;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const DESCRIPTORS: u64 = 64;
const REQUESTS: usize = 200;

/// What became of each request: its status, or the code of its error.
type Fates = Rc<RefCell<Vec<String>>>;

fn ask(lp: LoopHandle, options: RequestOptions, fates: &Fates) {
    let request = http::request_with(lp, options).expect("a good request");
    let told = Rc::clone(fates);
    request.on_response(move |response| {
        told.borrow_mut().push(response.status().to_string());
        response.body().resume();
    });
    let told = Rc::clone(fates);
    request.on_error(move |error| {
        assert!(!error.to_string().is_empty());
        told.borrow_mut().push(error.code().to_owned());
    });
    request.end("");
}

/// Asks so many times at once; how many got an answer. All others had no descriptor.
fn answered(
    event_loop: &mut EventLoop,
    requests: usize,
    options: impl Fn() -> RequestOptions,
) -> usize {
    let fates = Fates::default();
    for _ in 0..requests {
        ask(event_loop.handle(), options(), &fates);
    }
    event_loop.run().expect("a poller");
    let fates = fates.take();
    assert_eq!(fates.len(), requests);
    assert!(fates.iter().all(|fate| fate == "200" || fate == "EMFILE"), "{fates:?}");
    fates.iter().filter(|fate| *fate == "200").count()
}

#[test]
fn requests_without_a_socket_fail_with_emfile_and_later_ones_work() {
    let testbed = Program::start("testbed", &["0"]);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..limit })
        .expect("it is less");
    let mut event_loop = EventLoop::new().expect("a poller");
    let url = testbed.url("/slow/50");

    let lp = event_loop.handle();
    let new_agent = |options| Agent::new(lp, options).expect("good options");
    let boundless = new_agent(AgentOptions::new());
    let by = |agent: Agent| RequestOptions::new("GET", &url).agent(agent);

    let some = answered(&mut event_loop, REQUESTS, || by(boundless));
    let few = DESCRIPTORS as usize / 2..DESCRIPTORS as usize;
    assert!(few.contains(&some), "{some} had one");
    assert_eq!(answered(&mut event_loop, some, || by(boundless)), some);

    // An agent that knows how many there are has the others wait.
    boundless.destroy();
    let bounded = new_agent(AgentOptions::new().max_sockets(20));
    assert_eq!(answered(&mut event_loop, REQUESTS, || by(bounded)), REQUESTS);
}
