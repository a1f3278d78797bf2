//! What Node promises of a server and is tested nowhere else: tables, listening, CONNECT, what a malformed
//! request is answered and called.

mod common;

use std::cell::Cell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use common::{Ending, Log, Peer, World, echo, get};
use onloop::http::{self, Response, Server, ServerOptions};
use onloop::{Address, LoopOptions};

#[test]
fn the_table_of_methods_is_nodes() {
    let expected = "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY \
        MKCALENDAR MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT \
        SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE";
    assert_eq!(http::METHODS.join(" "), expected);
}

#[test]
fn the_table_of_statuses_is_nodes() {
    let ranges =
        [(100, 103), (200, 208), (226, 226), (300, 305), (307, 308), (400, 418), (421, 426)];
    let more = [(428, 429), (431, 431), (451, 451), (500, 511)];
    let expected: Vec<u16> =
        ranges.into_iter().chain(more).flat_map(|(first, last)| first..=last).collect();
    assert_eq!(http::STATUS_CODES.map(|(status, _)| status)[..], expected);
    for named in [
        (200, "OK"),
        (413, "Payload Too Large"),
        (418, "I'm a Teapot"),
        (431, "Request Header Fields Too Large"),
        (509, "Bandwidth Limit Exceeded"),
    ] {
        assert!(http::STATUS_CODES.contains(&named), "{named:?}");
    }
}

#[test]
fn connect_hands_over_the_connection_and_what_came_behind_the_head() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("ordinary"));
    server.on_connect(move |req, socket, head| {
        notes.note(format!("{} {}", req.method(), req.url()));
        socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
        socket.write(head);
        socket.on_close(notes.noting("closed"));
        socket.pipe(socket);
    });
    let tunnel = "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n";
    for behind in ["", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01"] {
        let mut peer = world.send(&server, format!("{}{tunnel}{behind}", get("/", "")));
        assert_eq!(world.answer(&mut peer).text(), "ordinary");
        let established = "HTTP/1.1 200 Connection Established\r\n\r\n";
        world.expect(&mut peer, &format!("{established}{behind}"));
        peer.send("\0 any bytes \r\n\r\n");
        world.expect(&mut peer, "\0 any bytes \r\n\r\n");
        peer.end();
        assert_eq!((world.until_end(&mut peer), peer.text().as_str()), (Ending::End, ""));
    }
    let lines = log.clone();
    world.until("the end of all", || lines.count("closed") == 3);
    assert_eq!(log.count("CONNECT example.org:443"), 3);
}

#[test]
fn an_upgrade_waits_for_the_answers_before_it() {
    let log = Log::new();
    let (notes, upgrades) = (log.clone(), log.clone());
    let waiting: Rc<Cell<Option<Response>>> = Rc::default();
    let keeps = Rc::clone(&waiting);
    let mut world = World::new();
    let server = world.serve(move |req, res| match req.url() {
        "/late" => {
            notes.note("request");
            keeps.set(Some(res));
        }
        _ => res.end("other"),
    });
    server.on_upgrade(move |_req, socket, head| {
        upgrades.note("upgrade");
        socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
        socket.end(head);
    });
    let upgrade = get("/", "Connection: upgrade\r\nUpgrade: x\r\n");
    let mut peer = world.send(&server, get("/late", "") + &upgrade + "raw");
    let waits = Rc::clone(&waiting);
    let late = world.wait("the request", || waits.take());
    // A whole exchange elsewhere: the upgrade has had its chance to be seen.
    world.ask(&server, get("/", ""));
    assert_eq!(log.all(), ["request"]);
    late.end("late");
    assert_eq!(world.answer(&mut peer).text(), "late");
    world.expect(&mut peer, "HTTP/1.1 101 Switching Protocols\r\n\r\nraw");
    assert_eq!(log.all(), ["request", "upgrade"]);
}

/// Each kind of malformed request, its code and its answer.
const MALFORMED: [(&str, &str, &str); 22] = [
    ("G@T / HTTP/1.1\r\n", "HPE_INVALID_METHOD", "400 Bad Request"),
    ("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", "HPE_INVALID_METHOD", "400 Bad Request"),
    ("GET x HTTP/1.1\r\nHost: h\r\n\r\n", "HPE_INVALID_URL", "400 Bad Request"),
    ("GET /\x7f HTTP/1.1\r\nHost: h\r\n\r\n", "HPE_INVALID_URL", "400 Bad Request"),
    ("GET / HTTQ/1.1\r\nHost: h\r\n\r\n", "HPE_INVALID_VERSION", "400 Bad Request"),
    ("GET / HTTP/1.x\r\nHost: h\r\n\r\n", "HPE_INVALID_VERSION", "400 Bad Request"),
    ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HPE_INVALID_VERSION", "505 HTTP Version Not Supported"),
    ("GET / HTTP/1.1\r\nHost: h\r\nA b: 1\r\n\r\n", "HPE_INVALID_HEADER_TOKEN", "400 Bad Request"),
    ("GET / HTTP/1.1\r\nHost: h\r\nA : 1\r\n\r\n", "HPE_INVALID_HEADER_TOKEN", "400 Bad Request"),
    ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", "HPE_INVALID_HEADER_TOKEN", "400 Bad Request"),
    ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "HPE_INVALID_HEADER_TOKEN", "400 Bad Request"),
    ("GET / HTTP/1.1\r\n Host: h\r\n\r\n", "HPE_UNEXPECTED_SPACE", "400 Bad Request"),
    ("GET / HTTP/1.1\r\nHost: h\n\r\n", "HPE_CR_EXPECTED", "400 Bad Request"),
    ("GET / HTTP/1.1\r\nHost: h\rx\r\n\r\n", "HPE_LF_EXPECTED", "400 Bad Request"),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "HPE_INVALID_CONTENT_LENGTH",
        "400 Bad Request",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HPE_UNEXPECTED_CONTENT_LENGTH",
        "400 Bad Request",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HPE_INVALID_TRANSFER_ENCODING",
        "400 Bad Request",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, x\r\n\r\n",
        "HPE_INVALID_TRANSFER_ENCODING",
        "400 Bad Request",
    ),
    (
        "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HPE_INVALID_TRANSFER_ENCODING",
        "501 Not Implemented",
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\n",
        "HPE_INVALID_CHUNK_SIZE",
        "400 Bad Request",
    ),
    (
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz",
        "HPE_STRICT",
        "400 Bad Request",
    ),
    ("GET / HTTP/1.1\r\nHost", "HPE_INVALID_EOF_STATE", "400 Bad Request"),
];

#[test]
fn malformed_requests_are_answered_shortly_and_called_by_nodes_codes() {
    let log = Log::new();
    let mut world = World::new();
    let plain = world.serve(echo);
    let telling = world.serve(echo);
    let notes = log.clone();
    telling.on_client_error(move |error, _socket| {
        assert!(error.to_string().starts_with("Parse Error: "), "{error}");
        notes.note(error.code());
    });
    for (bytes, code, status) in MALFORMED {
        let mut peer = world.send(&plain, bytes);
        peer.end();
        assert_eq!(world.until_end(&mut peer), Ending::End, "{bytes:?}");
        let text = peer.text();
        // The date apart, nothing but this: no content, no second answer.
        let date = text.find("Date: ").map(|at| text[at..at + 37].to_owned()).unwrap_or_default();
        assert_eq!(
            text.replace(&date, ""),
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
            "{bytes:?}"
        );
        let mut peer = world.send(&telling, bytes);
        peer.end();
        world.until_end(&mut peer);
        assert_eq!(log.all().last().map(String::as_str), Some(code), "{bytes:?}");
    }
    assert_eq!(log.len(), MALFORMED.len(), "each was told once");
}

#[test]
fn an_end_in_the_middle_of_content_is_a_client_error_and_may_be_answered() {
    for bytes in [
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
    ] {
        for (listens, begun) in [(false, false), (true, false), (false, true), (true, true)] {
            let log = Log::new();
            let notes = log.clone();
            let mut world = World::new();
            let server = world.serve(move |req, res| {
                req.resume();
                req.on_aborted(notes.noting("aborted"));
                req.on_error(notes.noting_error("error"));
                res.on_close(notes.noting("closed"));
                if begun {
                    res.write("begun");
                }
            });
            if listens {
                let notes = log.clone();
                server.on_client_error(move |error, socket| {
                    notes.note(error.code());
                    socket.end("HTTP/1.1 400 Mine\r\n\r\n");
                });
            }
            let mut peer = world.send(&server, bytes);
            if begun {
                world.expect(&mut peer, "begun\r\n");
            }
            peer.end();
            assert_eq!(world.until_end(&mut peer), Ending::End);
            let line = peer.text().lines().next().unwrap_or_default().to_owned();
            let expected = match (begun, listens) {
                (true, _) => "",
                (false, true) => "HTTP/1.1 400 Mine",
                (false, false) => "HTTP/1.1 400 Bad Request",
            };
            assert_eq!(line, expected);
            let lines = log.clone();
            world.until("the last call", || lines.has("closed"));
            assert_eq!(log.has("HPE_INVALID_EOF_STATE"), listens);
            let own: Vec<String> =
                log.all().into_iter().filter(|line| !line.starts_with("HPE")).collect();
            assert_eq!(own, ["aborted", "error ECONNRESET", "closed"]);
        }
    }
}

#[test]
fn a_reset_is_told_wherever_it_comes_and_an_end_only_within_a_request() {
    for (bytes, is_told_by_end) in [
        ("", false),
        ("\r\n", false),
        ("GET / HT", true),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET", true),
    ] {
        let log = Log::new();
        let notes = log.clone();
        let mut world = World::new();
        let server = world.serve(|_req, res| res.end("x"));
        server.on_client_error(move |error, _socket| notes.note(error.code()));
        for resets in [true, false] {
            let mut peer = world.send(&server, bytes);
            if bytes.ends_with("\r\n\r\n") || bytes.ends_with("GET") {
                world.answer(&mut peer);
            }
            world.until("the connection", || server.connections() == 1);
            // A whole exchange elsewhere: what was sent was read.
            let mut other = world.send(&server, get("/", "Connection: close\r\n"));
            world.answer(&mut other);
            world.until_end(&mut other);
            drop(other);
            match resets {
                true => peer.reset(),
                false => peer.end(),
            }
            let ends = &mut peer;
            world.until("the end of it", || {
                ends.pump();
                server.connections() == 0
            });
            let expected = match (resets, is_told_by_end) {
                (true, _) => &["ECONNRESET"][..],
                (false, true) => &["HPE_INVALID_EOF_STATE"],
                (false, false) => &[],
            };
            assert_eq!(log.all(), expected, "{bytes:?} {resets}");
            log.clear();
        }
    }
}

#[test]
fn connections_are_counted() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    assert_eq!(server.connections(), 0);
    let mut peers: Vec<Peer> = (0..3).map(|_| world.send(&server, get("/", ""))).collect();
    for peer in &mut peers {
        world.answer(peer);
    }
    assert_eq!(server.connections(), 3);
    drop(peers.pop());
    world.until("one fewer", || server.connections() == 2);
    server.close_all_connections();
    world.until("none", || server.connections() == 0);
    assert!(server.is_listening());
}

#[test]
fn a_closed_server_listens_no_more_and_says_so_in_on_close() {
    let log = Log::new();
    let notes = log.clone();
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let Some(Address::Ip(address)) = server.address() else { panic!("no address") };
    assert!(server.is_listening() && server.port() == address.port());
    server.on_close(move || {
        notes.note(format!("{} {:?} {}", server.is_listening(), server.address(), server.port()));
    });
    server.close();
    assert!(!server.is_listening());
    assert_eq!(log.len(), 0, "nothing is called inside a call");
    world.until_over();
    server.close();
    world.until_over();
    assert_eq!(log.all(), ["false None 0"]);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_server_that_never_listened_can_be_closed() {
    let log = Log::new();
    let mut world = World::new();
    let server = Server::new(world.lp, ServerOptions::new()).unwrap();
    assert!(!server.is_listening());
    server.on_close(log.noting("closed"));
    server.close();
    world.until_over();
    assert_eq!(log.all(), ["closed"]);
}

#[test]
fn an_address_can_be_listened_on_again_at_once() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("first"));
    let address = server.address().unwrap();
    // The server is the one that closes: its address is left in TIME_WAIT.
    let mut peer = world.send(&server, get("/", "Connection: close\r\n"));
    world.answer(&mut peer);
    world.until_end(&mut peer);
    peer.end();
    server.close();
    world.until_over();
    drop(peer);
    let again = http::create_server(world.lp, |_req, res| res.end("second"));
    again.listen(address).unwrap();
    assert_eq!(world.ask(&again, get("/", "")).text(), "second");
}

#[test]
fn all_interfaces_are_both_families_unless_told_otherwise() {
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    let mut world = World::new();
    let own = |req: http::Request, res: Response| {
        let (from, to) = (req.remote_address(), req.local_address());
        res.end(format!("{:?} {:?}", from.and_then(|at| at.ip()), to.and_then(|at| at.ip())));
    };
    let server = http::create_server(world.lp, own);
    server.listen(0).unwrap();
    // An address of IPv4 is told as IPv6 writes it, on both sides.
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped();
    for (ip, told) in
        [(Ipv4Addr::LOCALHOST.into(), mapped), (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST)]
    {
        let mut peer = Peer::tcp(SocketAddr::new(ip, server.port()));
        peer.send(get("/", ""));
        assert_eq!(world.answer(&mut peer).text(), format!("Some({told}) Some({told})"));
    }
    let only = Server::new(world.lp, ServerOptions::new().ipv6_only(true)).unwrap();
    only.on_request(own);
    only.listen("[::]:0").unwrap();
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, only.port()));
    let mut peer = Peer::tcp(v6);
    peer.send(get("/", ""));
    assert_eq!(world.answer(&mut peer).status, 200);
    assert!(std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, only.port())).is_err());
}

#[test]
fn several_servers_share_an_address_where_both_ask_for_it() {
    let world = World::new();
    let shared = || Server::new(world.lp, ServerOptions::new().reuse_port(true)).unwrap();
    let (first, second) = (shared(), shared());
    first.listen("127.0.0.1:0").unwrap();
    second.listen(first.address().unwrap()).unwrap();
    let alone = Server::new(world.lp, ServerOptions::new()).unwrap();
    assert_eq!(alone.listen(first.address().unwrap()).unwrap_err().code(), "EADDRINUSE");
}

#[test]
fn a_path_that_is_taken_is_left_alone() {
    let path = std::env::temp_dir().join(format!("onloop-taken-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
    drop(stale);
    let world = World::new();
    let server = http::create_server(world.lp, |_req, res| res.end(""));
    assert_eq!(server.listen(&path).unwrap_err().code(), "EADDRINUSE");
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
    server.listen(&path).unwrap();
}

#[test]
fn no_connection_at_all_is_a_limit_too() {
    let mut world = World::new();
    let server =
        world.serve_with(ServerOptions::new().max_connections(0), |_req, res| res.end("x"));
    for _ in 0..3 {
        let mut peer = world.connect(&server);
        world.until_end(&mut peer);
        assert_eq!(peer.text(), "");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn many_connections_that_wait_are_accepted_in_one_turn() {
    let mut world = World::with(LoopOptions::new().accepts_per_turn(64));
    let server = world.serve(|_req, res| res.end("x"));
    let peers: Vec<Peer> = (0..50).map(|_| world.connect(&server)).collect();
    world.until("connections", || server.connections() > 0);
    assert_eq!(server.connections(), peers.len());
}

#[test]
fn idle_connections_are_also_those_that_never_spoke() {
    let mut world = World::new();
    let server = world.serve(|_req, res| res.end("x"));
    let mut silent = world.connect(&server);
    let mut begun = world.send(&server, "GET / HT");
    let mut used = world.send(&server, get("/", ""));
    world.answer(&mut used);
    world.until("three connections", || server.connections() == 3);
    // A whole exchange later the beginning of the other request was read.
    used.send(get("/", ""));
    world.answer(&mut used);
    server.close_idle_connections();
    for peer in [&mut silent, &mut used] {
        world.until_end(peer);
        assert_eq!(peer.text(), "");
    }
    begun.send("TP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(world.answer(&mut begun).text(), "x");
}

#[test]
fn small_packets_are_sent_at_once_unless_told_otherwise() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    for (options, at_once) in
        [(ServerOptions::new(), true), (ServerOptions::new().no_delay(false), false)]
    {
        let mut world = World::new();
        let server = world.serve_with(options, move |req, res| {
            match req.url() {
                "/delay" => req.connection().set_no_delay(false),
                "/at-once" => req.connection().set_no_delay(true),
                _ => {}
            }
            res.end("x");
        });
        let mut peer = Peer::tcp(address);
        let (ours, _) = listener.accept().expect("a connection");
        let window = ours.try_clone().expect("a second descriptor of the same connection");
        server.serve_connection(ours).expect("it is a stream");
        for (path, expected) in [("/", at_once), ("/delay", false), ("/at-once", true)] {
            peer.send(get(path, ""));
            world.answer(&mut peer);
            assert_eq!(window.nodelay().expect("an option"), expected, "{path}");
        }
    }
}

/// The seconds until the system probes the server's end of a peer's connection; `None` where it never does.
#[cfg(all(target_os = "linux", target_endian = "little"))]
fn probed_in(server: &Server, peer_port: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the system's connections");
    let ends = format!("0100007F:{:04X} 0100007F:{peer_port:04X}", server.port());
    let line = table.lines().find(|line| line.contains(&ends)).expect("the connection");
    // Two is the timer of probes; its time is in hundredths of a second.
    let timer = line.split_whitespace().nth(5).expect("a timer");
    let (kind, when) = timer.split_once(':').expect("a timer's kind and time");
    (kind == "02").then(|| u64::from_str_radix(when, 16).expect("a time") / 100)
}

#[cfg(all(target_os = "linux", target_endian = "little"))]
#[test]
fn the_system_probes_silent_connections_where_it_is_asked_to() {
    let ask = |options: ServerOptions| {
        let port = Rc::new(Cell::new(0));
        let keeps = Rc::clone(&port);
        let mut world = World::new();
        let server = world.serve_with(options, move |req, res| {
            keeps.set(req.remote_address().and_then(|from| from.port()).expect("a port"));
            res.end("x");
        });
        let mut peer = world.send(&server, get("/", ""));
        world.answer(&mut peer);
        probed_in(&server, port.get())
    };
    assert_eq!(ask(ServerOptions::new()), None);
    // The system counts in whole seconds from the last byte.
    let probed = ask(ServerOptions::new().tcp_keep_alive(Duration::from_millis(7_999_900)));
    assert!(probed.is_some_and(|seconds| seconds > 7_000 && seconds <= 7_999), "{probed:?}");
}
