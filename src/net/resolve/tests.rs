//! The resolver with a pluggable lookup, with the system's, and in simulation.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::*;

fn wait(net: &mut Net, resolver: &mut Resolver, now: Time) -> (LookupKey, Answer) {
    let began = Instant::now();
    loop {
        if let Some(result) = resolver.take_results(now) {
            return result;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no answer");
        net.poll(Some(Duration::from_secs(10)), &mut Vec::new()).unwrap();
    }
}

fn resolver(
    net: &Net,
    lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
) -> Resolver {
    let lookup = Some(LookupFn::new(lookup));
    let options = ResolverOptions { lookup, pending_max: 3, ..Default::default() };
    Resolver::new(net, options)
}

fn threads(resolver: &Resolver) -> usize {
    match &resolver.backend {
        Backend::Threads { threads, .. } => threads.started(),
        #[cfg(feature = "sim")]
        Backend::Sim { .. } => 0,
    }
}

fn pending(resolver: &mut Resolver, name: &str) -> LookupKey {
    match resolver.lookup(name, 80, Time(0)) {
        Ok(Lookup::Pending(key)) => key,
        other => panic!("{name}: {other:?}"),
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn literals_never_reach_the_thread() {
    let net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, |_| panic!("asked"));
    for (host, expected) in
        [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("[::1]", "[::1]:80")]
    {
        let found = resolver.lookup(host, 80, Time(0));
        assert_eq!(found, Ok(Lookup::Ready(vec![socket(expected)])));
    }
    assert_eq!(threads(&resolver), 0);
    // Brackets are for IPv6 alone (RFC 3986 §3.2.2).
    assert_eq!(literal("[127.0.0.1]"), None);
    assert_eq!(literal("localhost"), None);
}

#[test]
fn equal_lookups_share_a_job_and_the_cache_answers_the_next() {
    let mut net = Net::system(8).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let (counter, gate) = (Arc::clone(&asked), std::sync::Mutex::new(gate));
    let mut resolver = resolver(&net, move |name| {
        assert_eq!(name, "example.test");
        counter.fetch_add(1, Ordering::SeqCst);
        let _ = gate.lock().unwrap().recv();
        Ok(vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])
    });
    let first = resolver.lookup("example.test", 80, Time(0)).unwrap();
    assert_eq!(resolver.lookup("Example.TEST", 80, Time(0)).unwrap(), first);
    let other_port = resolver.lookup("example.test", 443, Time(0)).unwrap();
    assert_ne!(other_port, first);
    assert_eq!(resolver.pending_count(), 2);
    release.send(()).unwrap();

    let (key, answer) = wait(&mut net, &mut resolver, Time(0));
    assert_eq!(Lookup::Pending(key), first);
    assert_eq!(answer.unwrap(), [socket("192.0.2.1:80"), socket("[2001:db8::1]:80")]);
    let (key, answer) = wait(&mut net, &mut resolver, Time(0));
    assert_eq!(Lookup::Pending(key), other_port);
    assert_eq!(answer.unwrap()[0], socket("192.0.2.1:443"));
    assert_eq!((asked.load(Ordering::SeqCst), resolver.pending_count()), (1, 0));

    let cached = resolver.lookup("example.test", 8080, Time(9_999_999)).unwrap();
    let expected = vec![socket("192.0.2.1:8080"), socket("[2001:db8::1]:8080")];
    assert_eq!(cached, Lookup::Ready(expected));
    let expired = resolver.lookup("example.test", 8080, Time(10_000_000)).unwrap();
    assert!(matches!(expired, Lookup::Pending(_)));
    release.send(()).unwrap();
    wait(&mut net, &mut resolver, Time(10_000_000)).1.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn failures_have_nodes_codes_and_are_not_cached() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, |name| match name {
        "panic" => panic!("this panic is part of the test"),
        "throw" => std::panic::panic_any(Grenade),
        "again" => Err(io::Error::other("Temporary failure in name resolution")),
        "late" => Err(io::ErrorKind::TimedOut.into()),
        // EMFILE: it says nothing of the name.
        "system" => Err(io::Error::from_raw_os_error(24)),
        "absent" => Err(io::ErrorKind::NotFound.into()),
        "empty" => Ok(Vec::new()),
        _ => Err(io::Error::other("Name or service not known")),
    });
    for (name, code, reason) in [
        ("missing", "ENOTFOUND", "Name or service not known"),
        ("panic", "EAI_AGAIN", "the lookup function panicked"),
        ("throw", "EAI_AGAIN", "the lookup function panicked"),
        ("again", "EAI_AGAIN", "Temporary failure in name resolution"),
        ("late", "EAI_AGAIN", "timed out"),
        ("system", "EAI_AGAIN", "(os error 24)"),
        ("absent", "ENOTFOUND", "entity not found"),
        ("empty", "ENOTFOUND", "it has no address"),
        ("missing", "ENOTFOUND", "Name or service not known"),
    ] {
        let started = pending(&mut resolver, name);
        let (key, answer) = wait(&mut net, &mut resolver, Time(0));
        assert_eq!(started, key);
        let error = answer.unwrap_err();
        assert_eq!(error.code, code, "{name}");
        assert!(error.message.ends_with(reason), "{name}: {}", error.message);
    }
    // They came one after the other, and one thread has outlived them all.
    assert_eq!(threads(&resolver), 1);
}

/// A panic's payload that panics once more.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("this second panic is part of the test");
    }
}

/// Blocks on names that begin with `slow` until it is released, one name at a time.
fn blocking(threads_max: usize) -> (Net, Resolver, mpsc::Sender<()>, mpsc::Receiver<String>) {
    let net = Net::system(8).unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let (asked_out, asked) = mpsc::channel();
    let gate = std::sync::Mutex::new(gate);
    let lookup = LookupFn::new(move |name| {
        asked_out.send(name.to_owned()).unwrap();
        if name.starts_with("slow") {
            let _ = gate.lock().unwrap().recv();
        }
        Ok(vec!["192.0.2.1".parse().unwrap()])
    });
    let options = ResolverOptions {
        lookup: Some(lookup),
        threads_max,
        cache_ttl: Duration::ZERO,
        ..Default::default()
    };
    let resolver = Resolver::new(&net, options);
    (net, resolver, release, asked)
}

#[test]
fn a_slow_name_does_not_hold_up_the_names_behind_it() {
    let (mut net, mut resolver, release, asked) = blocking(2);
    let slow = pending(&mut resolver, "slow");
    asked.recv().unwrap();
    for turn in 0..3 {
        let fast = pending(&mut resolver, "fast");
        let (key, answer) = wait(&mut net, &mut resolver, Time(0));
        assert_eq!((key, answer.is_ok()), (fast, true), "{turn}");
    }
    assert_eq!((threads(&resolver), resolver.pending_count()), (2, 1));
    release.send(()).unwrap();
    assert_eq!(wait(&mut net, &mut resolver, Time(0)).0, slow);
}

#[test]
fn when_all_threads_are_busy_names_wait_in_order_and_equal_ones_share_a_job() {
    let (mut net, mut resolver, release, asked) = blocking(2);
    pending(&mut resolver, "slow-a");
    pending(&mut resolver, "slow-b");
    let mut under_way = [asked.recv().unwrap(), asked.recv().unwrap()];
    under_way.sort();
    assert_eq!(under_way, ["slow-a", "slow-b"]);
    let third = pending(&mut resolver, "slow-c");
    let fourth = pending(&mut resolver, "d");
    assert_eq!(pending(&mut resolver, "slow-c"), third);
    assert_eq!((threads(&resolver), resolver.pending_count()), (2, 4));
    assert!(asked.try_recv().is_err());
    // One of the two is over, and its thread takes the name that has waited longest.
    release.send(()).unwrap();
    wait(&mut net, &mut resolver, Time(0)).1.unwrap();
    assert_eq!(asked.recv().unwrap(), "slow-c");
    release.send(()).unwrap();
    release.send(()).unwrap();
    let mut rest: Vec<_> = (0..3).map(|_| wait(&mut net, &mut resolver, Time(0)).0).collect();
    rest.sort();
    assert_eq!(rest[1..], [third, fourth]);
    assert_eq!(asked.recv().unwrap(), "d");
    assert!(asked.try_recv().is_err());
    assert_eq!((threads(&resolver), resolver.pending_count()), (2, 0));
}

#[test]
fn threads_end_with_the_resolver_and_not_before_their_lookup() {
    let (_net, mut resolver, release, asked) = blocking(1);
    pending(&mut resolver, "slow");
    pending(&mut resolver, "never");
    assert_eq!(asked.recv().unwrap(), "slow");
    drop(resolver);
    release.send(()).unwrap();
    // The function goes with the last thread, and nobody was asked for the second name.
    assert!(asked.recv().is_err());
}

#[test]
fn an_answer_is_cut_short_and_has_no_address_twice() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, |name| {
        let many = (0..1000u32).map(|number| IpAddr::from(number.to_be_bytes()));
        let twice = ["::1", "127.0.0.1", "::1", "127.0.0.1"];
        match name {
            "many" => Ok(many.collect()),
            _ => Ok(twice.iter().map(|text| text.parse().unwrap()).collect()),
        }
    });
    pending(&mut resolver, "many");
    assert_eq!(
        wait(&mut net, &mut resolver, Time(0)).1.unwrap().len(),
        ResolverOptions::default().addresses_max
    );
    pending(&mut resolver, "twice");
    let found = wait(&mut net, &mut resolver, Time(0)).1.unwrap();
    assert_eq!(found, [socket("[::1]:80"), socket("127.0.0.1:80")]);
}

#[test]
fn lookups_under_way_and_cached_names_are_bounded() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, |_| Ok(vec!["192.0.2.7".parse().unwrap()]));
    resolver.options.cache_entries_max = 2;
    for name in ["a", "b", "c"] {
        assert!(resolver.lookup(name, 80, Time(0)).is_ok());
    }
    assert_eq!(resolver.lookup("d", 80, Time(0)), Err(Full));
    for now in 0..3 {
        wait(&mut net, &mut resolver, Time(now)).1.unwrap();
    }
    assert_eq!(resolver.cache.len(), 2);
    // Which one was forgotten is a matter of which answer came first.
    let mut is_known =
        |name: &&str| matches!(resolver.lookup(name, 80, Time(3)), Ok(Lookup::Ready(_)));
    assert_eq!(["a", "b", "c"].iter().filter(|name| is_known(name)).count(), 2);
}

#[test]
fn the_system_knows_localhost() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = Resolver::new(&net, ResolverOptions::default());
    resolver.lookup("localhost", 80, Time(0)).unwrap();
    let (_, answer) = wait(&mut net, &mut resolver, Time(0));
    assert!(answer.unwrap().iter().all(|address| address.ip().is_loopback()));
}

#[test]
fn the_system_finds_no_name_that_cannot_be() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = Resolver::new(&net, ResolverOptions::default());
    // A label has 63 octets at most (RFC 1035 §2.3.4), so no server is asked.
    pending(&mut resolver, &"a".repeat(64));
    let error = wait(&mut net, &mut resolver, Time(0)).1.unwrap_err();
    assert!(["ENOTFOUND", "EAI_AGAIN"].contains(&error.code), "{error:?}");
    assert!(!error.message.contains("aaa"), "{error:?}");
}

#[cfg(feature = "sim")]
#[test]
fn the_simulation_answers_from_its_host_table() {
    let sim = crate::net::sim::SimNet::new(1);
    sim.add_host("Known.test", vec!["192.0.2.1".parse().unwrap()]);
    let mut net = Net::simulated(&sim);
    let mut resolver = Resolver::new(&net, ResolverOptions::default());
    let known = resolver.lookup("known.test", 80, net.now()).unwrap();
    let unknown = resolver.lookup("unknown.test", 80, net.now()).unwrap();
    assert_eq!(resolver.take_results(net.now()), None);
    let mut results = Vec::new();
    while results.len() < 2 {
        net.poll(None, &mut Vec::new()).unwrap();
        assert!(net.take_posted() && !sim.stalled());
        let now = net.now();
        results.extend(std::iter::from_fn(|| resolver.take_results(now)));
    }
    assert_eq!(known, Lookup::Pending(results[0].0));
    assert_eq!(results[0].1.as_ref().unwrap(), &[socket("192.0.2.1:80")]);
    assert_eq!(unknown, Lookup::Pending(results[1].0));
    assert_eq!(results[1].1.as_ref().unwrap_err().code, "ENOTFOUND");
}

#[cfg(feature = "sim")]
#[test]
fn a_lookup_function_answers_in_the_simulation_too_off_the_loops_thread() {
    let sim = crate::net::sim::SimNet::new(1);
    sim.add_host("known.test", vec!["192.0.2.1".parse().unwrap()]);
    let mut net = Net::simulated(&sim);
    let here = std::thread::current().id();
    let mut resolver = resolver(&net, move |name| {
        assert_ne!(std::thread::current().id(), here);
        match name {
            "known.test" => Ok(vec!["192.0.2.2".parse().unwrap()]),
            _ => panic!("this panic is part of the test"),
        }
    });
    pending(&mut resolver, "known.test");
    pending(&mut resolver, "panic.test");
    assert_eq!(resolver.take_results(net.now()), None);
    let mut results = Vec::new();
    while results.len() < 2 {
        net.poll(None, &mut Vec::new()).unwrap();
        let now = net.now();
        results.extend(std::iter::from_fn(|| resolver.take_results(now)));
    }
    assert_eq!(results[0].1.as_ref().unwrap(), &[socket("192.0.2.2:80")]);
    assert_eq!(results[1].1.as_ref().unwrap_err().code, "EAI_AGAIN");
}
