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

fn resolver(net: &Net, lookup: LookupFn) -> Resolver {
    let options = ResolverOptions { lookup: Some(lookup), pending_max: 3, ..Default::default() };
    Resolver::new(net, options)
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn literals_never_reach_the_thread() {
    let net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, Arc::new(|_| panic!("asked")));
    for (host, expected) in
        [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("[::1]", "[::1]:80")]
    {
        let found = resolver.lookup(host, 80, Time(0));
        assert_eq!(found, Ok(Lookup::Ready(vec![socket(expected)])));
    }
    assert!(matches!(resolver.backend, Backend::Thread { running: None, .. }));
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
    let mut resolver = resolver(
        &net,
        Arc::new(move |name| {
            assert_eq!(name, "example.test");
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = gate.lock().unwrap().recv();
            Ok(vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()])
        }),
    );
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
    let mut resolver = resolver(
        &net,
        Arc::new(|name| match name {
            "panic" => panic!("this panic is part of the test"),
            "again" => Err(io::Error::other("Temporary failure in name resolution")),
            "empty" => Ok(Vec::new()),
            _ => Err(io::Error::other("Name or service not known")),
        }),
    );
    for (name, code) in [
        ("missing", "ENOTFOUND"),
        ("panic", "EAI_AGAIN"),
        ("again", "EAI_AGAIN"),
        ("empty", "ENOTFOUND"),
        ("missing", "ENOTFOUND"),
    ] {
        let started = resolver.lookup(name, 80, Time(0)).unwrap();
        let (key, answer) = wait(&mut net, &mut resolver, Time(0));
        assert_eq!(started, Lookup::Pending(key));
        let error = answer.unwrap_err();
        assert_eq!(error.code, code);
        assert!(error.message.starts_with(&format!("getaddrinfo {code} {name}")));
    }
}

#[test]
fn lookups_under_way_and_cached_names_are_bounded() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = resolver(&net, Arc::new(|_| Ok(vec!["192.0.2.7".parse().unwrap()])));
    resolver.options.cache_entries_max = 2;
    for name in ["a", "b", "c"] {
        assert!(resolver.lookup(name, 80, Time(0)).is_ok());
    }
    assert_eq!(resolver.lookup("d", 80, Time(0)), Err(Full));
    for now in 0..3 {
        wait(&mut net, &mut resolver, Time(now)).1.unwrap();
    }
    assert_eq!(resolver.cache.len(), 2);
    assert!(matches!(resolver.lookup("c", 80, Time(3)), Ok(Lookup::Ready(_))));
    assert!(matches!(resolver.lookup("a", 80, Time(3)), Ok(Lookup::Pending(_))));
}

#[test]
fn the_system_knows_localhost() {
    let mut net = Net::system(8).unwrap();
    let mut resolver = Resolver::new(&net, ResolverOptions::default());
    resolver.lookup("localhost", 80, Time(0)).unwrap();
    let (_, answer) = wait(&mut net, &mut resolver, Time(0));
    assert!(answer.unwrap().iter().all(|address| address.ip().is_loopback()));
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
