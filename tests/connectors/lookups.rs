//! `lookup` of an agent: addresses that come from the user.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use onloop::http::{
    self, Agent, AgentOptions, BlockList, Family, LookupAnswer, Outcome, RequestOptions,
};
use onloop::{Error, LoopOptions, PanicPolicy, Sent};

use crate::common::{Log, World, raw_server};
use crate::{FINE, ends};

const HERE: [u8; 4] = [127, 0, 0, 1];

fn here() -> [IpAddr; 1] {
    [HERE.into()]
}

fn looking<R: Outcome>(
    world: &World,
    options: AgentOptions,
    hook: impl FnMut(&str, LookupAnswer) -> R + 'static,
) -> Agent {
    Agent::new(world.lp, options.lookup(hook)).expect("an agent")
}

/// A GET of `name.test` at this port. The error's verdict is checked.
fn ask(world: &World, agent: Agent, port: u16) -> (http::ClientRequest, Log) {
    ask_with(world, RequestOptions::new("GET", format!("http://name.test:{port}/")).agent(agent))
}

fn ask_with(world: &World, options: RequestOptions) -> (http::ClientRequest, Log) {
    let log = Log::new();
    let request = http::request_with(world.lp, options).expect("a request");
    let notes = log.clone();
    request.on_response(log.noting_response());
    request.on_error(move |error| {
        assert_eq!(error.sent(), Some(Sent::NothingSent), "{error}");
        notes.note(error.code());
    });
    request.on_close(log.noting("closed"));
    request.end("");
    (request, log)
}

#[test]
fn addresses_come_at_once_or_later_and_are_asked_for_each_time() {
    let mut world = World::new();
    let lp = world.lp;
    let (listener, _) = raw_server();
    let port = listener.local_addr().unwrap().port();
    let names = Log::new();
    let notes = names.clone();
    let mut calls = 0;
    let agent = looking(&world, AgentOptions::new(), move |name, answer| {
        notes.note(name);
        calls += 1;
        if calls % 2 == 0 {
            return answer.found(here());
        }
        lp.set_timeout(Duration::from_millis(2), move || answer.found(here()));
        Ok(())
    });
    for _ in 0..4 {
        let (_, log) = ask(&world, agent, port);
        let mut peer = world.accept(&listener);
        let head = world.expect(&mut peer, "\r\n\r\n");
        assert!(head.contains(&format!("\r\nHost: name.test:{port}\r\n")), "{head}");
        peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    }
    assert_eq!(names.all(), ["name.test"; 4]);
    // A kept connection needs none.
    for index in 0..2 {
        let (request, log) = ask(&world, agent, port);
        assert_eq!(request.is_reused(), index == 1);
        if index == 1 {
            assert_eq!(names.len(), 5);
            request.destroy();
            break;
        }
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        assert_eq!(ends(&mut world, &log), ["200", "closed"]);
        std::mem::forget(peer);
    }
}

#[test]
fn literal_addresses_and_unix_sockets_are_nobodys_question() {
    let mut world = World::new();
    let (listener, url) = raw_server();
    let agent = looking(&world, AgentOptions::new(), |_, _| panic!("nothing to look up"));
    let (_, log) = ask_with(&world, RequestOptions::new("GET", &url).agent(agent));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    let nowhere = RequestOptions::new("GET", "http://name.test/").unix_socket("/nowhere/at/all");
    let (_, log) = ask_with(&world, nowhere.agent(agent));
    assert_eq!(ends(&mut world, &log), ["ENOENT", "closed"]);
}

#[test]
fn what_fails_fails_one_request() {
    for policy in [PanicPolicy::Propagate, PanicPolicy::Contain] {
        let mut world = World::with(LoopOptions::new().panic_policy(policy));
        let (listener, _) = raw_server();
        let port = listener.local_addr().unwrap().port();
        let mut calls = 0;
        let agent = looking(&world, AgentOptions::new().max_sockets(1), move |_, answer| {
            calls += 1;
            match calls {
                1 => answer.failed(Error::other("said")),
                2 => Err(Error::other("returned")),
                3 => answer.found([]),
                4 => resume_unwind(Box::new("on purpose")),
                5 => {
                    // The first one counts, and a failure after it all the same.
                    answer.found(here())?;
                    Err(Error::other("both"))
                }
                _ => {
                    answer.found(here())?;
                    let again = answer.found(here()).unwrap_err();
                    assert_eq!(again.code(), "ERR_SOCKET_CLOSED");
                    let late = answer.failed(Error::other("late")).unwrap_err();
                    assert_eq!(late.code(), "ERR_SOCKET_CLOSED");
                    Ok(())
                }
            }
        });
        let logs: Vec<Log> = (0..6).map(|_| ask(&world, agent, port).1).collect();
        let mut panics = 0;
        while !logs[4].has("closed") {
            panics += usize::from(catch_unwind(AssertUnwindSafe(|| world.turn())).is_err());
        }
        assert_eq!(panics, usize::from(policy == PanicPolicy::Propagate));
        let codes: Vec<String> = logs[..5].iter().map(|log| log.all()[0].clone()).collect();
        assert_eq!(
            codes,
            ["ERR_USER", "ERR_USER", "ENOTFOUND", "ERR_CALLBACK_PANICKED", "ERR_USER"]
        );
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(FINE);
        assert_eq!(ends(&mut world, &logs[5]), ["200", "closed"]);
        assert!(listener.accept().is_err());
    }
}

#[test]
fn an_answer_to_what_is_over_is_refused() {
    let mut world = World::new();
    let asked: Rc<Cell<Option<LookupAnswer>>> = Rc::default();
    let keeps = Rc::clone(&asked);
    let agent = looking(&world, AgentOptions::new(), move |_, answer| keeps.set(Some(answer)));
    let (request, log) = ask(&world, agent, 1);
    world.until("to be asked", || asked.get().is_some());
    request.destroy();
    let answer = asked.get().expect("asked");
    assert_eq!(answer.found(here()).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    assert_eq!(ends(&mut world, &log), ["ECONNRESET", "closed"]);
    assert_eq!(answer.failed(Error::other("x")).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    let (_, log) = ask(&world, agent, 1);
    world.turn();
    agent.close();
    assert_eq!(asked.get().expect("asked").found(here()).unwrap_err().code(), "ERR_SOCKET_CLOSED");
    assert_eq!(ends(&mut world, &log), ["ECONNRESET", "closed"]);
    drop(world);
    assert!(answer.found(here()).is_err());
    assert_eq!(Rc::strong_count(&asked), 1);
}

#[test]
fn what_is_found_goes_by_family_and_block_list_as_other_addresses_do() {
    let mut world = World::new();
    let (listener, _) = raw_server();
    let port = listener.local_addr().unwrap().port();
    let both = || -> Vec<IpAddr> { vec!["::1".parse().unwrap(), HERE.into()] };
    let agent =
        looking(&world, AgentOptions::new().family(Family::V4), move |_, it| it.found(both()));
    let (request, log) = ask(&world, agent, port);
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    assert!(request.connection().is_some());
    peer.send(FINE);
    assert_eq!(ends(&mut world, &log), ["200", "closed"]);
    let mut list = BlockList::new();
    list.add_subnet(HERE.into(), 8).unwrap();
    list.add_address("::1".parse().unwrap());
    let agent =
        looking(&world, AgentOptions::new().block_list(list), move |_, it| it.found(both()));
    let (_, log) = ask(&world, agent, port);
    assert_eq!(ends(&mut world, &log), ["ERR_IP_BLOCKED", "closed"]);
    let agent = looking(&world, AgentOptions::new(), move |_, it| it.found(here()));
    let options = RequestOptions::new("GET", format!("http://name.test:{port}/"));
    let (_, log) = ask_with(&world, options.family(Family::V6).agent(agent));
    assert_eq!(ends(&mut world, &log), ["ENOTFOUND", "closed"]);
}

#[test]
fn a_hook_is_dropped_by_close_inside_itself_only_when_it_returns() {
    let mut world = World::new();
    let place: Rc<Cell<Option<Agent>>> = Rc::default();
    let of_hook = Rc::clone(&place);
    let steps = Rc::new(RefCell::new(Vec::new()));
    struct Last(Rc<RefCell<Vec<&'static str>>>, onloop::LoopHandle);
    impl Drop for Last {
        fn drop(&mut self) {
            assert!(self.1.is_open(), "dropped inside of a call");
            self.0.borrow_mut().push("dropped");
        }
    }
    let last = Last(Rc::clone(&steps), world.lp);
    let agent = looking(&world, AgentOptions::new(), move |_, answer| {
        of_hook.get().expect("made").close();
        assert!(answer.found(here()).is_err());
        last.0.borrow_mut().push("ran");
    });
    place.set(Some(agent));
    let (_, log) = ask(&world, agent, 1);
    assert_eq!(ends(&mut world, &log), ["ECONNRESET", "closed"]);
    assert_eq!(*steps.borrow(), ["ran", "dropped"]);
}
