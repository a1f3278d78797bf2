//! Streams of requests: a server, and what its handlers are told.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use onloop::http::{self, Request, Response};
use onloop::sim::SimNet;
use onloop::{Address, EventLoop, LoopOptions};

use crate::view::{Message, View, owned};
use crate::{send, settle};

const ANSWER: &[u8] = b"HTTP/1.1 200 ";

pub(crate) struct Server {
    net: SimNet,
    event_loop: EventLoop,
    address: Address,
    view: Rc<RefCell<View>>,
}

impl Server {
    pub(crate) fn new() -> onloop::Result<Server> {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::default());
        let view = Rc::new(RefCell::new(View::default()));
        let notes = Rc::clone(&view);
        let server = http::create_server(event_loop.handle(), move |req, res| {
            note_request(&notes, req, res);
        });
        // An expectation that nobody knows is answered 417 by itself; here it is a request like any other.
        let notes = Rc::clone(&view);
        server.on_check_expectation(move |req, res| note_request(&notes, req, res));
        let notes = Rc::clone(&view);
        server.on_connect(move |req, socket, head| {
            let mut view = notes.borrow_mut();
            view.messages.push(Message { done: true, content: head.to_vec(), ..head_of(&req) });
            view.end = "tunnel";
            socket.write("HTTP/1.1 200 OK\r\n\r\n");
            let data = Rc::clone(&notes);
            socket.on_data(move |bytes| data.borrow_mut().last().content.extend_from_slice(bytes));
            socket.on_end(move || socket.end(""));
        });
        let notes = Rc::clone(&view);
        server.on_client_error(move |error, _socket| notes.borrow_mut().refuse(&error));
        let address = SocketAddr::from(([10, 0, 0, 1], 80)).into();
        server.listen("10.0.0.1:80")?;
        Ok(Server { net, event_loop, address, view })
    }

    /// Sends a stream, then its end.
    pub(crate) fn play(&mut self, bytes: &[u8], cut: usize) -> View {
        let Server { net, event_loop, address, view } = self;
        *view.borrow_mut() = View::default();
        let peer = net.connect(address);
        send(net, event_loop, &peer, bytes, cut);
        let mut answers = peer.read();
        let closed = peer.is_eof() || peer.is_reset();
        peer.shutdown_write();
        settle(net, event_loop);
        answers.extend(peer.read());
        drop(peer);
        settle(net, event_loop);
        let mut view = std::mem::take(&mut *view.borrow_mut());
        if view.end.is_empty() {
            view.end = if closed { "closed" } else { "kept" };
        }
        let asked = view.messages.iter().filter(|message| message.done).count();
        let answered = answers.windows(ANSWER.len()).filter(|window| *window == ANSWER).count();
        if asked != answered {
            view.broken = Some(format!("{asked} requests, {answered} answers"));
        }
        view
    }
}

fn head_of(req: &Request) -> Message {
    Message {
        start: format!("{} {}", req.method(), req.url()),
        minor: req.http_version_minor(),
        fields: owned(req.headers()),
        ..Message::default()
    }
}

fn note_request(view: &Rc<RefCell<View>>, req: Request, res: Response) {
    view.borrow_mut().messages.push(head_of(&req));
    let notes = Rc::clone(view);
    req.on_data(move |chunk| notes.borrow_mut().last().content.extend_from_slice(chunk));
    let (notes, body) = (Rc::clone(view), req.body());
    req.on_end(move || {
        let mut view = notes.borrow_mut();
        view.last().trailers = body.trailers();
        view.last().done = true;
        res.end("");
    });
}
