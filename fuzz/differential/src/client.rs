//! Streams of responses: a client's request, and what it is told of its answer.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use onloop::http::{self, ClientRequest, IncomingResponse, RequestOptions};
use onloop::sim::{self, SimListener, SimNet};
use onloop::{EventLoop, LoopOptions};

use crate::view::{Message, View, owned};
use crate::{send, settle};

pub(crate) struct Client {
    net: SimNet,
    event_loop: EventLoop,
    listener: SimListener,
}

impl Client {
    pub(crate) fn new() -> Client {
        let net = SimNet::new(1);
        let event_loop = net.event_loop(LoopOptions::default());
        let address = SocketAddr::from(([10, 0, 0, 1], 80)).into();
        let listener = net.listen(&address).expect("nobody else is on this network");
        Client { net, event_loop, listener }
    }

    /// Asks, and answers with a stream and its end.
    pub(crate) fn play(&mut self, method: &str, bytes: &[u8], cut: usize) -> View {
        let Client { net, event_loop, listener } = self;
        let view = Rc::new(RefCell::new(View::default()));
        let mut options = RequestOptions::new(method, "http://10.0.0.1/");
        if method == "CONNECT" {
            options = options.path("h:80");
        }
        let request = http::request_with(event_loop.handle(), options).expect("a valid request");
        note(&view, request);
        request.end("");
        settle(net, event_loop);
        let peer = listener.accept().expect("a connection");
        send(net, event_loop, &peer, bytes, cut);
        let kept = sim::stats(event_loop).free_connections > 0;
        peer.shutdown_write();
        settle(net, event_loop);
        drop(peer);
        settle(net, event_loop);
        let left = sim::stats(event_loop);
        let mut view = view.take();
        if view.end.is_empty() {
            view.end = if kept { "kept" } else { "closed" };
        }
        if left.free_connections > 0 {
            view.broken = Some(format!("left behind: {left:?}"));
        }
        if view.end != "refused" && view.messages.is_empty() && view.end != "cut" {
            view.broken = Some("no answer and no error".into());
        }
        view
    }
}

fn head_of(response: &IncomingResponse) -> Message {
    Message {
        start: response.status().to_string(),
        minor: response.http_version_minor(),
        fields: owned(response.headers()),
        ..Message::default()
    }
}

fn note(view: &Rc<RefCell<View>>, request: ClientRequest) {
    let notes = Rc::clone(view);
    request.on_information(move |information| {
        notes.borrow_mut().information.push(information.status());
    });
    let notes = Rc::clone(view);
    request.on_connect(move |response, socket, rest| {
        let mut view = notes.borrow_mut();
        view.messages.push(Message { done: true, content: rest.to_vec(), ..head_of(&response) });
        view.end = "tunnel";
        let data = Rc::clone(&notes);
        socket.on_data(move |bytes| data.borrow_mut().last().content.extend_from_slice(bytes));
        socket.on_end(move || socket.end(""));
    });
    let notes = Rc::clone(view);
    request.on_error(move |error| notes.borrow_mut().refuse(&error));
    let notes = Rc::clone(view);
    request.on_response(move |response| {
        notes.borrow_mut().messages.push(head_of(&response));
        let data = Rc::clone(&notes);
        response.on_data(move |chunk| data.borrow_mut().last().content.extend_from_slice(chunk));
        let (end, body) = (Rc::clone(&notes), response.body());
        response.on_end(move || {
            let mut view = end.borrow_mut();
            view.last().trailers = body.trailers();
            view.last().done = true;
        });
    });
}
