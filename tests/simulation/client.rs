//! The requests, what became of each, and whether it is what was asked for.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use onloop::http::{self, ClientRequest, IncomingResponse, RequestOptions, Socket};
use onloop::{LoopHandle, Timer};

use crate::plan::{Ask, content};
use crate::random::Random;

pub(crate) type Client = &'static ClientSite;

/// What the client did and saw.
pub(crate) struct ClientSite {
    lp: LoopHandle,
    exchanges: RefCell<Vec<Exchange>>,
    pub(crate) open: Cell<usize>,
    /// The network loses nothing: whatever fails is our fault.
    is_reliable: bool,
}

struct Exchange {
    ask: Ask,
    timer: Option<Timer>,
    received: usize,
    successes: u8,
    errors: u8,
    closes: u8,
    /// The server answered for itself: what came was no request, or came too slowly.
    refused: bool,
    /// It is a stream now.
    upgraded: bool,
    /// We gave up. A socket is not told that by an error.
    given_up: bool,
    /// The response came to its end before the request did: that can still fail.
    answered_early: bool,
}

/// Ends what the network has made hang.
const PATIENCE: Duration = Duration::from_secs(30);

impl ClientSite {
    pub(crate) fn new(lp: LoopHandle, is_reliable: bool) -> Client {
        Box::leak(Box::new(ClientSite {
            lp,
            exchanges: RefCell::default(),
            open: Cell::new(0),
            is_reliable,
        }))
    }

    /// Successes, failures, and how many of these had to fail.
    pub(crate) fn check(&self) -> (usize, usize, usize) {
        let (mut succeeded, mut failed, mut expected) = (0, 0, 0);
        for (number, exchange) in self.exchanges.borrow().iter().enumerate() {
            let Exchange { ask, successes, errors, closes, .. } = exchange;
            assert_eq!(*closes, 1, "request {number} {ask:?}: on_close");
            let is_socket = matches!(ask, Ask::Upgrade { .. });
            let expected_ends = match (*successes, *errors) {
                (1, 0) | (0, 1) => true,
                // A socket's other half can break after the peer's end.
                (1, 1) => exchange.answered_early || is_socket,
                (0, 0) => is_socket && exchange.given_up,
                _ => false,
            };
            assert!(expected_ends, "request {number} {ask:?}: {successes} ends, {errors} errors");
            if *successes == 1 {
                let had_to_fail = ask.answer().is_none() && !exchange.refused;
                assert!(!had_to_fail, "request {number} {ask:?} succeeded");
                succeeded += 1;
            } else if ask.answer().is_none() {
                expected += 1;
            } else {
                failed += 1;
            }
        }
        (succeeded, failed, expected)
    }
}

pub(crate) fn start(client: Client, ask: Ask, random: &mut Random) -> onloop::Result<()> {
    let method = match ask {
        Ask::Head => "HEAD",
        Ask::Piped { .. } | Ask::Echoed { .. } | Ask::Proxied { .. } | Ask::Unread { .. } => "POST",
        Ask::Expecting { .. } => "POST",
        Ask::Mixed(mix) if mix.request_content().is_some() => "POST",
        _ => "GET",
    };
    let options = RequestOptions::new(method, format!("http://sim.test{}", ask.target()))
        .keep_alive(ask != Ask::Closing)
        .timeout(Duration::from_secs(3));
    let request = http::request_with(client.lp, options)?;
    let number = client.exchanges.borrow().len();
    let give_up = move || {
        client.exchanges.borrow_mut()[number].given_up = true;
        request.destroy();
    };
    let timer = client.lp.set_timeout(PATIENCE, give_up);
    client.exchanges.borrow_mut().push(Exchange {
        ask,
        timer: Some(timer),
        received: 0,
        successes: 0,
        errors: 0,
        closes: 0,
        refused: false,
        upgraded: false,
        given_up: false,
        answered_early: false,
    });
    client.open.set(client.open.get() + 1);
    request.on_timeout(give_up);
    request.on_response(move |response| on_response(client, number, ask, request, response));
    request.on_error(move |error| failed(client, number, &error));
    request.on_close(move || {
        // A stream goes on, with an end of its own.
        if !client.exchanges.borrow()[number].upgraded {
            closed(client, number);
        }
    });
    send(client, number, ask, request, random)
}

fn failed(client: Client, number: usize, error: &onloop::Error) {
    let exchange = &mut client.exchanges.borrow_mut()[number];
    exchange.errors += 1;
    assert_eq!(exchange.closes, 0, "on_error after on_close");
    let ask = exchange.ask;
    let may_fail = !client.is_reliable || ask.answer().is_none();
    assert!(may_fail, "request {number} {ask:?} on a network that loses nothing: {error}");
}

fn closed(client: Client, number: usize) {
    let exchange = &mut client.exchanges.borrow_mut()[number];
    exchange.closes += 1;
    if let Some(timer) = exchange.timer.take() {
        timer.clear();
    }
    client.open.set(client.open.get() - 1);
}

fn send(
    client: Client,
    number: usize,
    ask: Ask,
    request: ClientRequest,
    random: &mut Random,
) -> onloop::Result<()> {
    match ask {
        Ask::Piped { start, length }
        | Ask::Proxied { start, length }
        | Ask::Echoed { start, length, waits: false } => {
            let cut = random.below(length);
            if cut % 2 == 0 {
                request.set_header("Content-Length", length)?;
            }
            request.write(&content(start, length)[..cut]);
            let rest = &content(start, length)[cut..];
            let delay = Duration::from_millis(random.below(20) as u64);
            client.lp.set_timeout(delay, move || request.end(rest));
        }
        Ask::Echoed { start, length, waits: true } => {
            request.set_header("Expect", "100-continue")?;
            request.flush_headers();
            request.on_continue(move || request.end(content(start, length)));
        }
        Ask::Expecting { start, length, .. } => {
            request.set_header("Expect", "100-continue")?;
            request.flush_headers();
            request.on_continue(move || request.end(content(start, length)));
        }
        Ask::Mixed(mix) => request.end(mix.request_content().unwrap_or_default()),
        Ask::Unread { length } => request.end(content(0, length)),
        Ask::Upgrade { length } => {
            request.set_header("Connection", "upgrade")?;
            request.set_header("Upgrade", "echo")?;
            request.on_upgrade(move |response, socket, head| {
                assert_eq!(response.status(), 101);
                on_upgrade(client, number, length, socket, head);
            });
            request.end("");
        }
        _ => request.end(""),
    }
    Ok(())
}

fn on_response(
    client: Client,
    number: usize,
    ask: Ask,
    request: ClientRequest,
    response: IncomingResponse,
) {
    let status = response.status();
    // A request that came in part or too slowly is answered so; and proxies have their own troubles.
    let refused = !client.is_reliable && matches!(status, 400 | 408 | 502);
    if let Some((expected, _)) = ask.answer() {
        assert!(refused || status == expected, "request {number} {ask:?}: {status}");
    }
    if let Ask::Expecting { wanted: false, .. } = ask {
        // The content is not wanted: nothing more is sent.
        request.end("");
    }
    response.on_data(move |chunk| {
        if !refused {
            receive(client, number, chunk);
        }
    });
    client.exchanges.borrow_mut()[number].refused = refused;
    response.on_end(move || {
        let unsent = request.is_open() || request.writable_length() > 0;
        client.exchanges.borrow_mut()[number].answered_early = unsent;
        succeed(client, number, refused);
    });
}

fn on_upgrade(client: Client, number: usize, length: usize, socket: Socket, head: &[u8]) {
    client.exchanges.borrow_mut()[number].upgraded = true;
    socket.on_error(move |error| failed(client, number, &error));
    socket.on_close(move || closed(client, number));
    receive(client, number, head);
    socket.set_timeout(Duration::from_secs(3));
    socket.on_timeout(move || {
        client.exchanges.borrow_mut()[number].given_up = true;
        socket.destroy();
    });
    socket.on_data(move |chunk| receive(client, number, chunk));
    socket.on_end(move || {
        // Of a raw stream nobody can say whether it is whole: what came must only be right.
        succeed(client, number, true);
        socket.end("");
    });
    socket.end(content(0, length));
}

fn receive(client: Client, number: usize, chunk: &[u8]) {
    let exchange = &mut client.exchanges.borrow_mut()[number];
    let Some((_, whole)) = exchange.ask.answer() else {
        return;
    };
    let expected = whole.get(exchange.received..exchange.received + chunk.len());
    assert!(expected == Some(chunk), "request {number} {:?}: wrong content", exchange.ask);
    exchange.received += chunk.len();
}

fn succeed(client: Client, number: usize, may_be_short: bool) {
    let exchange = &mut client.exchanges.borrow_mut()[number];
    exchange.successes += 1;
    assert_eq!(exchange.closes, 0, "on_end after on_close");
    if let Some((_, whole)) = exchange.ask.answer() {
        let is_whole = exchange.received == whole.len();
        assert!(
            is_whole || may_be_short,
            "request {number} {:?}: cut off and not told",
            exchange.ask
        );
    }
}
