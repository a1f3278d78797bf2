//! Requests that are made again after a failure, because their user wants it: which failures, how often, after what
//! pauses, and what is never made again.

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::asked::Asked;
use common::clocked::{Clocked, LATE, assert_about, seconds};
use common::{Log, World, dead_port, raw_server};
use onloop::http::{self, Agent, AgentOptions, BlockList, RequestOptions, Retries};
use onloop::sim::{self, Route, SimNet, SimOptions};
use onloop::{LoopHandle, LoopOptions};

const FINE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy";

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Attempts without a pause between them.
fn at_once(attempts: u32) -> Retries {
    Retries::new(attempts).delay(Duration::ZERO)
}

fn begin(lp: LoopHandle, options: RequestOptions) -> Asked {
    let request = http::request_with(lp, options).expect("a request");
    let log = Log::new();
    let notes = log.clone();
    request.on_response(move |response| {
        notes.note(response.status().to_string());
        response.resume();
    });
    let notes = log.clone();
    request.on_error(move |error| match error.sent() {
        Some(sent) => notes.note(format!("{} {sent:?}", error.code())),
        None => notes.note(error.code()),
    });
    request.on_close(log.noting("closed"));
    Asked { request, log }
}

fn ask(lp: LoopHandle, options: RequestOptions) -> Asked {
    let asked = begin(lp, options);
    asked.request.end("");
    asked
}

#[test]
fn a_connection_that_cannot_be_made_is_tried_again_whatever_the_method() {
    let (_held, port) = dead_port();
    for (method, attempts) in [("POST", 3), ("PATCH", 1), ("GET", 2), ("GET", 0)] {
        let lookups = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&lookups);
        let options = LoopOptions::default().lookup_cache(Duration::ZERO).lookup(move |_| {
            counts.fetch_add(1, Ordering::Relaxed);
            Ok(vec![HERE])
        });
        let mut world = World::with(options);
        let options = RequestOptions::new(method, format!("http://a.test:{port}/"));
        let asked = begin(world.lp, options.retries(at_once(attempts)));
        asked.request.end("content");
        assert_eq!(asked.done(&mut world), ["ECONNREFUSED NothingSent", "closed"]);
        assert_eq!(lookups.load(Ordering::Relaxed), 1 + attempts as usize, "{method}");
        world.until_over();
    }
}

#[test]
fn a_name_that_is_not_found_is_looked_up_again() {
    let mut clocked = Clocked::new();
    let listener = clocked.net.listen(&SocketAddr::new(HERE, 80).into()).unwrap();
    let options = RequestOptions::new("POST", "http://late.test/").retries(Retries::new(9));
    let asked = ask(clocked.event_loop.handle(), options);
    clocked.pass(Duration::from_millis(20));
    clocked.net.add_host("late.test", vec![HERE]);
    clocked.pass(seconds(60));
    let peer = listener.accept().expect("a connection");
    peer.write(FINE.as_bytes());
    assert_eq!(asked.done_in(&mut clocked).1, ["200", "closed"]);
}

#[test]
fn what_the_program_itself_forbids_is_not_tried_again() {
    let (_listener, url) = raw_server();
    let mut world = World::new();
    let mut list = BlockList::new();
    list.add_address(HERE);
    let agent = Agent::new(world.lp, AgentOptions::new().block_list(list)).unwrap();
    let slowly = Retries::new(1).delay(seconds(3600)).max_delay(seconds(3600));
    let options = RequestOptions::new("GET", &url).agent(agent).retries(slowly);
    let asked = ask(world.lp, options);
    assert_eq!(asked.done(&mut world), ["ERR_IP_BLOCKED NothingSent", "closed"]);
}

/// How long a request to nobody takes that is made `attempts` times more.
fn time_of_failure(seed: u64, retries: Retries) -> Duration {
    let mut clocked = Clocked::new();
    clocked.net = SimNet::new(seed);
    clocked.event_loop = clocked.net.event_loop(LoopOptions::default());
    clocked.net.set_route(HERE, Route::Refused);
    let options = RequestOptions::new("GET", "http://127.0.0.1/").retries(retries);
    let asked = ask(clocked.event_loop.handle(), options);
    let (took, log) = asked.done_in(&mut clocked);
    assert_eq!(log, ["ECONNREFUSED NothingSent", "closed"]);
    took
}

#[test]
fn pauses_are_random_and_double_up_to_a_bound() {
    let seeds = 1..=40;
    let mean = |retries: Retries| {
        let all: Vec<Duration> = seeds.clone().map(|seed| time_of_failure(seed, retries)).collect();
        assert!(all.iter().any(|took| *took != all[0]), "the same for all: {:?}", all[0]);
        (all.iter().sum::<Duration>() / 40, all.into_iter().max().unwrap())
    };
    // 100, 200 and 400 ms at most, half of that in the mean.
    let (average, longest) = mean(Retries::new(3));
    assert!(longest <= Duration::from_millis(700) + LATE, "{longest:?}");
    assert!(average > Duration::from_millis(250), "{average:?}");
    let slow = Retries::new(4).delay(seconds(8));
    let (average, longest) = mean(slow);
    assert!(longest <= seconds(8 + 10 + 10 + 10) + LATE, "{longest:?}");
    assert!(average > seconds(14), "{average:?}");
    let (_, longest) = mean(slow.max_delay(seconds(1)));
    assert!(longest <= seconds(4) + LATE, "{longest:?}");
    // The same seed, the same pauses.
    assert_eq!(time_of_failure(7, slow), time_of_failure(7, slow));
    assert!(time_of_failure(7, Retries::new(9).delay(Duration::ZERO)) < LATE);
    let endless = Retries::new(40).delay(seconds(1)).max_delay(seconds(2));
    assert!(time_of_failure(7, endless) <= seconds(80) + LATE, "the doubling has no end");
}

#[test]
fn a_connection_that_dies_before_an_answer_is_made_again_for_idempotent_methods() {
    for (method, again) in [
        ("GET", true),
        ("HEAD", true),
        ("PUT", true),
        ("DELETE", true),
        ("OPTIONS", true),
        ("POST", false),
        ("PATCH", false),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(world.lp, RequestOptions::new(method, &url).retries(at_once(2)));
        let content = if method == "PUT" { "content" } else { "" };
        asked.request.end(content);
        for _ in 0..2 {
            let mut peer = world.accept(&listener);
            world.expect(&mut peer, "\r\n\r\n");
            world.expect(&mut peer, content);
            peer.end();
            if !again {
                break;
            }
        }
        if again {
            let mut peer = world.accept(&listener);
            let head = world.expect(&mut peer, "\r\n\r\n");
            assert!(head.starts_with(&format!("{method} / HTTP/1.1\r\n")), "{head}");
            world.expect(&mut peer, content);
            peer.send("HTTP/1.1 204 None\r\n\r\n");
            assert_eq!(asked.done(&mut world), ["204", "closed"], "{method}");
        } else {
            let expected = ["ECONNRESET SentNoReply", "closed"];
            assert_eq!(asked.done(&mut world), expected, "{method}");
            assert!(listener.accept().is_err(), "{method} was made again");
        }
    }
}

#[test]
fn any_method_is_made_again_where_nothing_of_it_was_sent() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let asked = begin(world.lp, RequestOptions::new("POST", &url).retries(at_once(1)));
    // The user has not written anything yet.
    world.accept(&listener).end();
    let mut peer = world.accept(&listener);
    asked.request.end("content");
    world.expect(&mut peer, "content");
    peer.send(FINE);
    assert_eq!(asked.done(&mut world), ["200", "closed"]);
}

#[test]
fn nothing_is_made_again_once_a_byte_of_an_answer_came_or_bytes_are_gone() {
    let informed = "HTTP/1.1 103 Early Hints\r\n\r\n";
    for (beginning, length, expected) in [
        ("H", 0, "ECONNRESET SentNoReply"),
        (informed, 0, "ECONNRESET SentNoReply"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", 0, "200"),
        ("HTTP/9 200 OK\r\n\r\n", 0, "HPE_INVALID_CONSTANT"),
        ("", 200_000, "ECONNRESET SentNoReply"),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let options = RequestOptions::new("PUT", &url).retries(at_once(5));
        let asked = begin(world.lp, options);
        asked.request.end("x".repeat(length));
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        world.expect(&mut peer, &"x".repeat(length));
        peer.send(beginning);
        peer.end();
        let log = asked.done(&mut world);
        assert_eq!(log[0], expected, "{beginning:?} {log:?}");
        assert!(listener.accept().is_err(), "made again after {beginning:?}");
    }
}

#[test]
fn statuses_are_failures_where_that_is_asked_for() {
    let on_status = at_once(2).on_status(true);
    for (method, retries, status, attempts) in [
        ("GET", on_status, 429, 3),
        ("GET", on_status, 502, 3),
        ("PUT", on_status, 503, 3),
        ("GET", on_status, 504, 3),
        ("GET", on_status, 500, 1),
        ("GET", on_status, 501, 1),
        ("GET", on_status, 404, 1),
        ("POST", on_status, 503, 1),
        ("GET", at_once(2), 503, 1),
        ("GET", at_once(0).on_status(true), 503, 1),
    ] {
        let (listener, url) = raw_server();
        let mut world = World::new();
        let asked = begin(world.lp, RequestOptions::new(method, &url).retries(retries));
        asked.request.end("content");
        let mut peer = world.accept(&listener);
        for _ in 0..attempts {
            // On the same connection, which is none the worse for it.
            world.expect(&mut peer, "\r\n\r\ncontent");
            peer.send(format!("HTTP/1.1 {status} No\r\nContent-Length: 4\r\n\r\nbusy"));
        }
        // The last attempt's response is the user's.
        let expected = [status.to_string(), "closed".to_owned()];
        assert_eq!(asked.done(&mut world), expected, "{method}");
        assert_eq!((peer.text(), listener.accept().is_err()), (String::new(), true), "{method}");
    }
}

#[test]
fn an_answer_after_all_is_the_only_one_that_is_told() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let retries = at_once(5).on_status(true);
    let asked = ask(world.lp, RequestOptions::new("GET", &url).retries(retries));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(BUSY);
    world.expect(&mut peer, "\r\n\r\n");
    peer.end();
    // The kept connection died: made again at once, by itself; and then three more times.
    for _ in 0..3 {
        let mut peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.end();
    }
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(asked.done(&mut world), ["200", "closed"]);
    assert_eq!(sim::stats(&world.event_loop).repeated_requests, 1);
}

#[test]
fn a_repetition_on_a_dead_kept_connection_is_no_retry() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let first = ask(world.lp, RequestOptions::new("GET", &url));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    peer.send(FINE);
    assert_eq!(first.done(&mut world), ["200", "closed"]);
    let second = ask(world.lp, RequestOptions::new("GET", &url).retries(at_once(1)));
    assert!(second.request.is_reused());
    world.expect(&mut peer, "\r\n\r\n");
    peer.end();
    for answer in ["", FINE] {
        peer = world.accept(&listener);
        world.expect(&mut peer, "\r\n\r\n");
        peer.send(answer);
        peer.end();
    }
    assert_eq!(second.done(&mut world), ["200", "closed"]);
}

/// How long a GET takes that is answered 503 with this field, then 200.
fn time_of_retry(field: &str, retries: Retries) -> (Duration, Vec<String>) {
    let mut clocked = Clocked::new();
    let mut calls = 0;
    let field = field.to_owned();
    clocked.serve(http::ServerOptions::new(), move |_req, res| {
        calls += 1;
        if calls == 1 {
            res.set_status(503);
            if let Some((name, value)) = field.split_once(": ") {
                res.set_header(name, value)?;
            }
        }
        res.end("");
        Ok(())
    });
    let options = RequestOptions::new("GET", "http://127.0.0.1/").retries(retries.on_status(true));
    ask(clocked.event_loop.handle(), options).done_in(&mut clocked)
}

#[test]
fn a_server_is_given_the_time_it_asks_for() {
    for (field, pause) in [
        ("Retry-After: 7", 7),
        ("Retry-After: 10", 10),
        ("Retry-After: 0", 0),
        ("retry-after: 3", 3),
        // The simulated day begins the year.
        ("Retry-After: Thu, 01 Jan 2026 00:00:05 GMT", 5),
    ] {
        let (took, log) = time_of_retry(field, Retries::new(1));
        assert_about(took, seconds(pause));
        assert_eq!(log, ["200", "closed"]);
    }
    // A date that is past is now; what cannot be read is as if it were not there.
    let past = "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT";
    for field in [past, "Retry-After: soon", ""] {
        let (took, log) = time_of_retry(field, Retries::new(1));
        assert!(took <= Duration::from_millis(100) + LATE, "{field} {took:?}");
        assert_eq!(log, ["200", "closed"], "{field}");
    }
    // More patience than there is: the response is the user's.
    for field in [
        "Retry-After: 11",
        "Retry-After: 99999999999",
        "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT",
    ] {
        let (took, log) = time_of_retry(field, Retries::new(1));
        assert!(took < LATE && log == ["503", "closed"], "{field} {took:?} {log:?}");
    }
    let patient = Retries::new(1).max_delay(seconds(600));
    assert_about(time_of_retry("Retry-After: 599", patient).0, seconds(599));
}

#[test]
fn a_pause_keeps_the_loop_running_and_holds_no_place() {
    let mut clocked = Clocked::new();
    let lp = clocked.event_loop.handle();
    let mut calls = 0;
    let server = clocked.serve(http::ServerOptions::new(), move |req, res| {
        calls += 1;
        if req.url() == "/first" && calls == 1 {
            res.set_status(503);
            res.set_header("Retry-After", "9")?;
            res.set_header("Connection", "close")?;
        }
        res.end("");
        Ok(())
    });
    let agent = Agent::new(lp, AgentOptions::new().max_sockets(1)).unwrap();
    let options =
        |path: &str| RequestOptions::new("GET", format!("http://127.0.0.1/{path}")).agent(agent);
    let retries = Retries::new(1).on_status(true);
    let asked = begin(lp, options("first").retries(retries).timeout(seconds(2)));
    asked.request.on_timeout(asked.log.noting("timeout"));
    asked.request.end("");
    clocked.pass(seconds(1));
    assert_eq!((agent.total_socket_count(), asked.request.connection().is_none()), (0, true));
    assert_eq!((asked.request.agent(), asked.request.path()), (Some(agent), "/first".into()));
    // Another request is served meanwhile.
    let other = ask(lp, options("other"));
    assert_eq!(other.done_in(&mut clocked).1, ["200", "closed"]);
    assert_eq!(asked.log.len(), 0);
    server.close();
    clocked.event_loop.run().unwrap();
    assert_eq!(asked.log.all(), ["ECONNREFUSED SentNoReply", "closed"]);
    assert!(clocked.net.now() >= seconds(9), "the loop did not wait");
    assert!(sim::stats(&clocked.event_loop).is_empty());
}

#[test]
fn destroy_and_the_deadline_end_a_pause() {
    for by_deadline in [true, false] {
        let mut clocked = Clocked::new();
        clocked.net.set_route(HERE, Route::Refused);
        let mut options = RequestOptions::new("GET", "http://127.0.0.1/")
            .retries(Retries::new(u32::MAX).delay(seconds(3600)).max_delay(seconds(36_000)));
        if by_deadline {
            options = options.deadline(seconds(5));
        }
        let asked = ask(clocked.event_loop.handle(), options);
        clocked.pass(seconds(4));
        assert_eq!(asked.log.len(), 0, "it is in a pause for all that is likely");
        let expected = match by_deadline {
            true => "ETIMEDOUT NothingSent",
            false => "ECONNRESET NothingSent",
        };
        if !by_deadline {
            asked.request.destroy();
        }
        clocked.pass(seconds(2));
        assert_eq!(asked.log.all(), [expected, "closed"]);
        assert!(sim::stats(&clocked.event_loop).is_empty());
        assert_eq!(clocked.event_loop.next_timeout(), None, "a timer is left");
        clocked.event_loop.run().unwrap();
    }
}

#[test]
fn an_agent_that_is_closed_in_a_pause_fails_the_request() {
    let mut clocked = Clocked::new();
    clocked.net.set_route(HERE, Route::Refused);
    let lp = clocked.event_loop.handle();
    let agent = Agent::new(lp, AgentOptions::new()).unwrap();
    let options = RequestOptions::new("GET", "http://127.0.0.1/").agent(agent);
    let asked = ask(lp, options.retries(Retries::new(9)));
    clocked.pass(Duration::from_millis(1));
    assert_eq!(asked.log.len(), 0);
    agent.close();
    assert_eq!(asked.done_in(&mut clocked).1, ["ERR_AGENT_CLOSED NothingSent", "closed"]);
}

#[test]
fn the_verdict_is_the_most_of_all_attempts() {
    let (listener, url) = raw_server();
    let mut world = World::new();
    let options = RequestOptions::new("GET", &url);
    let pause = Retries::new(1).delay(Duration::from_millis(20));
    let asked = ask(world.lp, options.retries(pause));
    let mut peer = world.accept(&listener);
    world.expect(&mut peer, "\r\n\r\n");
    drop(listener);
    peer.end();
    assert_eq!(asked.done(&mut world), ["ECONNREFUSED SentNoReply", "closed"]);
}

#[test]
fn what_is_written_in_a_pause_is_sent_after_it() {
    let mut clocked = Clocked::new();
    clocked.net.set_route(HERE, Route::Refused);
    let retries = Retries::new(60).delay(seconds(1)).max_delay(seconds(1));
    let options = RequestOptions::new("POST", "http://127.0.0.1/").retries(retries);
    let asked = begin(clocked.event_loop.handle(), options);
    for piece in ["one", "two", "three"] {
        asked.request.write(piece);
        clocked.pass(seconds(2));
    }
    clocked.serve(http::ServerOptions::new(), common::echo);
    let log = asked.log.clone();
    asked.request.on_response(move |response| {
        common::collect(response, move |_, content| log.note(String::from_utf8_lossy(&content)));
    });
    clocked.net.set_route(HERE, Route::Open);
    asked.request.end("!");
    assert_eq!(asked.done_in(&mut clocked).1, ["onetwothree!", "closed"]);
}

/// Rough networks: whatever happens, every request ends once, and nothing is left.
#[test]
fn nothing_is_left_of_requests_that_are_made_again_and_redirected() {
    let mut answered = 0;
    for seed in 1..=60 {
        let options = SimOptions::rough().refusals(200).resets(30).truncation(30);
        let net = SimNet::with_options(seed, options);
        let mut clocked = Clocked::new();
        clocked.event_loop = net.event_loop(LoopOptions::default());
        clocked.net = net;
        let lp = clocked.event_loop.handle();
        let mut calls = 0;
        let server = clocked.serve(http::ServerOptions::new(), move |req, res| {
            req.resume();
            calls += 1;
            match calls % 5 {
                1 => res.set_status(503),
                2 => res.set_status(302),
                3 => res.set_status(307),
                _ => true,
            };
            res.set_header("Location", format!("/{calls}"))?;
            res.end("content");
            Ok(())
        });
        let agent = Agent::new(lp, AgentOptions::new().max_sockets(3)).unwrap();
        let asked: Vec<Asked> = (0..20)
            .map(|number| {
                let method = ["GET", "PUT", "POST", "DELETE"][number % 4];
                let options = RequestOptions::new(method, "http://127.0.0.1/")
                    .agent(agent)
                    .redirects(3)
                    .retries(Retries::new(4).on_status(true))
                    .deadline(seconds(20));
                let asked = begin(lp, options);
                asked.request.end("content");
                asked
            })
            .collect();
        clocked.pass(seconds(25));
        for asked in &asked {
            let log = asked.log.all();
            assert!(log.len() <= 3 && log.last().unwrap() == "closed", "{seed}: {log:?}");
            assert_eq!(asked.log.count("closed"), 1, "{seed}");
            answered += asked.log.count("200");
        }
        server.close();
        server.close_all_connections();
        agent.close();
        clocked.pass(seconds(5));
        let stats = sim::stats(&clocked.event_loop);
        assert!(stats.is_empty() && stats.free_connections == 0, "{seed}: {stats:?}");
    }
    assert!(answered > 600, "only {answered} of 1,200 were answered");
}
