//! A whole run, twice: the same seed gives the same deliveries.

use super::*;

/// An echo server driven by edges alone, and clients that send and check.
fn echo_run(seed: u64, options: SimOptions) -> (u64, usize, u64) {
    let sim = SimNet::with_options(seed, options);
    let (mut net, mut listener) = listening(&sim);
    let text: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
    let mut clients: Vec<_> =
        (0..20).map(|_| (sim.connect(&address(80)), 0, Vec::<u8>::new())).collect();
    let mut streams: Vec<(Source, Vec<u8>)> = Vec::new();
    for _ in 0..100_000 {
        for ready in poll(&mut net, Some(Duration::from_millis(50))) {
            if ready.token != LISTENER {
                let (stream, backlog) = &mut streams[ready.token - 100];
                echo(&mut net, stream, backlog, ready.readiness);
            }
        }
        // EMFILE is not signalled again: try every turn.
        while let Ok(mut stream) = net.accept(&mut listener) {
            net.register(&mut stream, 100 + streams.len()).unwrap();
            streams.push((stream, Vec::new()));
        }
        for (peer, sent, received) in &mut clients {
            *sent += peer.write(&text[*sent..]);
            received.extend(peer.read());
        }
        if clients.iter().all(|(peer, _, got)| got.len() == text.len() || peer.is_reset()) {
            break;
        }
    }
    let whole = clients.iter().filter(|(_, _, received)| *received == text).count();
    assert!(clients.iter().all(|(_, _, received)| text.starts_with(received)));
    (sim.trace_hash(), whole, sim.deliveries())
}

fn echo(net: &mut Net, stream: &mut Source, backlog: &mut Vec<u8>, readiness: Readiness) {
    let mut buffer = [0; 1024];
    while readiness.contains(Readiness::READABLE) {
        match net.read(stream, &mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                backlog.extend_from_slice(&buffer[..count]);
                // The trick under test: a short read is the end, unless something is closing.
                if count < buffer.len() && !readiness.is_closing() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    while !backlog.is_empty() {
        let Ok(count) = net.write(stream, backlog) else {
            return;
        };
        backlog.drain(..count);
    }
}

#[test]
fn rough_networks_lose_nothing_and_replay_exactly() {
    let mut hashes = Vec::new();
    for seed in 0..20 {
        let options = SimOptions::rough().capacity(700).separate_filters(seed % 2 == 1);
        let first = echo_run(seed, options.clone());
        assert_eq!(first.1, 20, "SEED={seed}");
        assert_eq!(first, echo_run(seed, options), "SEED={seed}");
        hashes.push(first.0);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20);
}

#[test]
fn hostile_networks_break_connections_and_nothing_else() {
    let (hash, whole, _) = echo_run(3, SimOptions::hostile().resets(30));
    assert!(whole < 20);
    assert_eq!(hash, echo_run(3, SimOptions::hostile().resets(30)).0);
}
