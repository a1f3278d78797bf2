//! What the callbacks of one run know: every handle there is, and the account of every exchange.

use std::cell::{Cell, RefCell};

use onloop::http::{
    Agent, Body, ClientRequest, Connection, Connector, LookupAnswer, Response, Server, Socket,
};
use onloop::{LoopHandle, Remote};

use crate::operation::{Operation, perform};
use crate::scenario::Kind;

/// Shared by all callbacks of a run. Leaked, so that closures capture it as they capture handles.
pub(crate) type Ctx = &'static Context;

pub(crate) struct Context {
    pub(crate) kind: Kind,
    pub(crate) operation: Operation,
    pub(crate) lp: LoopHandle,
    pub(crate) server: Cell<Server>,
    pub(crate) remote: RefCell<Option<Remote>>,
    pub(crate) responses: RefCell<Vec<Response>>,
    pub(crate) requests: RefCell<Vec<ClientRequest>>,
    pub(crate) bodies: RefCell<Vec<Body>>,
    pub(crate) sockets: RefCell<Vec<Socket>>,
    pub(crate) connections: RefCell<Vec<Connection>>,
    pub(crate) agent: Cell<Option<Agent>>,
    pub(crate) connectors: RefCell<Vec<Connector>>,
    pub(crate) answers: RefCell<Vec<LookupAnswer>>,
    exchanges: RefCell<Vec<Exchange>>,
    /// The callback under test has run its operation.
    pub(crate) fired: Cell<bool>,
    /// It was called again after that.
    pub(crate) calls: Cell<u32>,
    /// The loop is to be dropped after this turn.
    pub(crate) drop_loop: Cell<bool>,
    /// The server's `on_request` was removed.
    pub(crate) removed: Cell<bool>,
    /// The loop is gone or going.
    pub(crate) is_over: Cell<bool>,
    /// Destructors of captured values that ran, of those that were made.
    pub(crate) destructed: Cell<usize>,
    pub(crate) constructed: Cell<usize>,
    /// Of these: ran while the loop was in use by itself.
    pub(crate) shut_out: Cell<usize>,
}

/// One request and its response, as one side sees it.
struct Exchange {
    what: &'static str,
    errors: u32,
    closes: u32,
}

impl Context {
    pub(crate) fn new(kind: Kind, operation: Operation, lp: LoopHandle, server: Server) -> Ctx {
        Box::leak(Box::new(Context {
            kind,
            operation,
            lp,
            server: Cell::new(server),
            remote: RefCell::default(),
            responses: RefCell::default(),
            requests: RefCell::default(),
            bodies: RefCell::default(),
            sockets: RefCell::default(),
            connections: RefCell::default(),
            agent: Cell::default(),
            connectors: RefCell::default(),
            answers: RefCell::default(),
            exchanges: RefCell::default(),
            fired: Cell::new(false),
            calls: Cell::new(0),
            drop_loop: Cell::new(false),
            removed: Cell::new(false),
            is_over: Cell::new(false),
            destructed: Cell::new(0),
            constructed: Cell::new(0),
            shut_out: Cell::new(0),
        }))
    }

    /// The callback under test was called: the first time it does what is to be done. `replace` registers
    /// it anew, `remove` takes it away, as far as its kind can be.
    pub(crate) fn fire(&'static self, replace: impl Fn(), remove: impl Fn()) -> onloop::Result<()> {
        self.calls.set(self.calls.get() + 1);
        if self.fired.replace(true) {
            return Ok(());
        }
        perform(self, &replace, &remove)
    }

    /// For callbacks that are called once: they can be neither replaced nor removed.
    pub(crate) fn fire_once(&'static self) -> onloop::Result<()> {
        self.fire(|| {}, || {})
    }

    pub(crate) fn track_response(&'static self, response: Response) {
        self.responses.borrow_mut().push(response);
        let number = self.begin("response");
        let errs = self.kind == Kind::ResponseError;
        response.on_error(move |_| self.failed(number, errs));
        let fires = self.kind == Kind::ResponseClose;
        response.on_close(move || self.closed(number, fires));
    }

    pub(crate) fn track_request(&'static self, request: ClientRequest) {
        self.requests.borrow_mut().push(request);
        let number = self.begin("request");
        let errs = matches!(self.kind, Kind::ClientFailed | Kind::ClientRefused);
        request.on_error(move |_| self.failed(number, errs));
        let fires = self.kind == Kind::ClientClose;
        request.on_close(move || self.closed(number, fires));
    }

    /// An upgraded connection, of the server or the client.
    pub(crate) fn track_socket(&'static self, socket: Socket) {
        self.sockets.borrow_mut().push(socket);
        let number = self.begin("socket");
        let errs = self.kind == Kind::SocketError;
        socket.on_error(move |_| self.failed(number, errs));
        let fires = self.kind == Kind::SocketClose;
        socket.on_close(move || self.closed(number, fires));
    }

    fn begin(&self, what: &'static str) -> usize {
        let mut exchanges = self.exchanges.borrow_mut();
        exchanges.push(Exchange { what, errors: 0, closes: 0 });
        exchanges.len() - 1
    }

    fn failed(&'static self, number: usize, fires: bool) -> onloop::Result<()> {
        {
            let exchange = &mut self.exchanges.borrow_mut()[number];
            exchange.errors += 1;
            assert_eq!(exchange.closes, 0, "on_error of a {} after its on_close", exchange.what);
        }
        if fires { self.fire_once() } else { Ok(()) }
    }

    fn closed(&'static self, number: usize, fires: bool) -> onloop::Result<()> {
        self.exchanges.borrow_mut()[number].closes += 1;
        if fires { self.fire_once() } else { Ok(()) }
    }

    /// Exchanges whose `on_close` has not been called.
    pub(crate) fn open_exchanges(&self) -> Vec<&'static str> {
        let exchanges = self.exchanges.borrow();
        exchanges.iter().filter(|exchange| exchange.closes == 0).map(|open| open.what).collect()
    }

    /// Every exchange had its `on_close` once, and at most one `on_error`; none, where the loop is gone.
    pub(crate) fn check_exchanges(&self, name: &str) {
        for exchange in self.exchanges.borrow().iter() {
            let what = exchange.what;
            let expected = if self.is_over.get() { 0..=1 } else { 1..=1 };
            assert!(
                expected.contains(&exchange.closes),
                "{name}: {} on_close of a {what}",
                exchange.closes
            );
            assert!(exchange.errors <= 1, "{name}: {} on_error of a {what}", exchange.errors);
        }
    }

    /// Ends all that a callback may have left open.
    pub(crate) fn destroy_all(&self) {
        self.responses.borrow().iter().for_each(Response::destroy);
        self.requests.borrow().iter().for_each(ClientRequest::destroy);
        self.bodies.borrow().iter().for_each(Body::destroy);
        self.sockets.borrow().iter().for_each(Socket::destroy);
    }
}
