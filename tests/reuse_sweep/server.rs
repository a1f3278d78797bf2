//! A raw server that answers, and goes where its script says. What the network took for it is known whether it
//! has read it or not, and whether it is still there or not.

use std::time::Duration;

use onloop::sim::{SimListener, SimNet, SimOptions, SimPeer, SimTap};

use crate::shape::{Arrival, Shape, arrival, find};

/// The most that the network holds for one side, where a run says nothing else.
pub(crate) const CAPACITY: usize = 64 * 1024;

/// How a server goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It ends its side and goes on reading.
    HalfClose,
    /// As a process that ends: with a reset where something was not read.
    Close,
    Reset,
}

pub(crate) const WAYS: [How; 3] = [How::HalfClose, How::Close, How::Reset];

/// When it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// It has accepted the connection.
    Accepted,
    /// So many bytes of the request were read.
    Read(usize),
    /// So many bytes of the request have come, and none of them was read.
    Come(usize),
    /// So many bytes of the answer were sent.
    Sent(usize),
}

/// One end of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Which connection, and which request on it.
    pub(crate) connection: usize,
    pub(crate) request: usize,
    pub(crate) when: When,
    pub(crate) how: How,
    /// What the network holds meanwhile.
    pub(crate) capacity: usize,
}

/// A request on one connection.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) arrival: Arrival,
    /// How much of the answer was sent.
    pub(crate) replied: usize,
}

#[derive(Debug)]
pub(crate) struct Conn {
    peer: Option<SimPeer>,
    tap: SimTap,
    /// What was read of the present request.
    got: Vec<u8>,
    /// Requests that were answered, and how many bytes were sent to each, interim responses included.
    replies: Vec<usize>,
    /// How many of the interim response to the present one.
    interim: usize,
    is_going: bool,
    /// The bytes that were taken when it was last looked at, and which request was under way when the last of
    /// them came.
    seen: usize,
    last_id: u32,
}

pub(crate) struct Server {
    net: SimNet,
    /// `None`: nobody listens any more.
    pub(crate) listener: Option<SimListener>,
    options: SimOptions,
    faults: Vec<Fault>,
    /// Connections of the present conversation, in order.
    pub(crate) conns: Vec<Conn>,
}

impl Server {
    pub(crate) fn new(net: &SimNet) -> Server {
        let listener = Server::listen(net);
        let (options, faults, conns) = (SimOptions::default(), Vec::new(), Vec::new());
        Server { net: net.clone(), listener, options, faults, conns }
    }

    fn listen(net: &SimNet) -> Option<SimListener> {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 80));
        Some(net.listen(&address.into()).expect("nobody else listens"))
    }

    /// A new conversation.
    pub(crate) fn begin(&mut self, faults: &[Fault], options: SimOptions) {
        self.conns.clear();
        self.faults = faults.to_vec();
        self.options = options;
        if self.listener.is_none() {
            self.listener = Server::listen(&self.net);
        }
        self.set_capacity();
    }

    /// The conversation is over: every connection is.
    pub(crate) fn hang_up(&mut self) {
        self.faults.clear();
        self.conns.clear();
        self.net.set_options(SimOptions::default());
    }

    /// The network is as wide as the script has it for what comes next.
    fn set_capacity(&self) {
        let (connection, request) = match self.conns.iter().rposition(|conn| !conn.is_going) {
            Some(last) => (last, self.conns[last].replies.len()),
            None => (self.conns.len(), 0),
        };
        let capacity =
            self.fault(connection, request).map_or(CAPACITY, |fault| fault.capacity.max(1));
        self.net.set_options(self.options.clone().capacity(capacity));
    }

    fn fault(&self, connection: usize, request: usize) -> Option<Fault> {
        let is_it = |fault: &&Fault| (fault.connection, fault.request) == (connection, request);
        self.faults.iter().find(is_it).copied()
    }

    /// Does all that can be done at this moment, with this request under way.
    pub(crate) fn step(&mut self, shape: Shape, id: u32) {
        while let Some(peer) = self.listener.as_ref().and_then(SimListener::accept) {
            let tap = peer.tap();
            let (peer, got, replies) = (Some(peer), Vec::new(), Vec::new());
            let (interim, is_going, seen, last_id) = (0, false, 0, 0);
            self.conns.push(Conn { peer, tap, got, replies, interim, is_going, seen, last_id });
            let number = self.conns.len() - 1;
            let fault = self.fault(number, 0).filter(|fault| fault.when == When::Accepted);
            if let Some(fault) = fault {
                self.go(number, fault.how);
            }
        }
        for conn in &mut self.conns {
            if conn.tap.len() > conn.seen {
                (conn.seen, conn.last_id) = (conn.tap.len(), id);
            }
        }
        for number in 0..self.conns.len() {
            while self.serve(number, shape) {}
        }
    }

    /// A request was answered; there may be another.
    fn serve(&mut self, number: usize, shape: Shape) -> bool {
        let conn = &mut self.conns[number];
        let Some(peer) = &conn.peer else { return false };
        if peer.is_reset() || peer.is_eof() {
            // The client has gone.
            conn.peer = None;
            conn.is_going = true;
            return false;
        }
        if conn.is_going {
            peer.read();
            return false;
        }
        let request = conn.replies.len();
        let fault = self.fault(number, request);
        let conn = &mut self.conns[number];
        let Some(peer) = &conn.peer else { return false };
        let when = fault.map(|fault| fault.when);
        let goes = match when {
            Some(When::Read(count)) => {
                conn.got.extend(peer.read_up_to(count - conn.got.len()));
                conn.got.len() == count
            }
            Some(When::Come(count)) => peer.available() >= count,
            _ => {
                conn.got.extend(peer.read());
                false
            }
        };
        if goes || self.welcomes(number, shape, when) {
            self.go(number, fault.expect("there is one").how);
            return false;
        }
        self.answer(number, shape, fault)
    }

    /// Says that the content is wanted, once the head is there; true where the server goes meanwhile.
    fn welcomes(&mut self, number: usize, shape: Shape, when: Option<When>) -> bool {
        let conn = &mut self.conns[number];
        let interim = shape.interim();
        if conn.interim > 0 || interim.is_empty() || find(&conn.got, b"\r\n\r\n").is_none() {
            return false;
        }
        let cut = match when {
            Some(When::Sent(count)) => count.min(interim.len()),
            _ => interim.len(),
        };
        conn.interim = cut;
        assert_eq!(conn.peer.as_ref().map(|peer| peer.write(&interim[..cut])), Some(cut));
        when.is_some_and(|when| matches!(when, When::Sent(count) if count <= interim.len()))
    }

    /// Answers a request that is there.
    fn answer(&mut self, number: usize, shape: Shape, fault: Option<Fault>) -> bool {
        let conn = &mut self.conns[number];
        let Some(whole) = arrival(&conn.got).filter(|arrival| arrival.is_whole) else {
            return false;
        };
        let Some(peer) = &conn.peer else { return false };
        assert_eq!(whole.length, conn.got.len(), "a client does not pipeline");
        conn.got.clear();
        let answer = shape.answer(whole.id.expect("it is whole"));
        let interim = std::mem::take(&mut conn.interim);
        let cut = match fault.map(|fault| fault.when) {
            Some(When::Sent(count)) => (count - interim).min(answer.len()),
            _ => answer.len(),
        };
        assert_eq!(peer.write(&answer[..cut]), cut, "there is room for an answer");
        conn.replies.push(interim + cut);
        if let Some(fault) = fault {
            self.go(number, fault.how);
        } else {
            self.set_capacity();
        }
        true
    }

    /// This connection ends now.
    pub(crate) fn go(&mut self, number: usize, how: How) {
        let conn = &mut self.conns[number];
        conn.is_going = true;
        let peer = conn.peer.take();
        match (how, peer) {
            (How::Reset, Some(peer)) => peer.reset(),
            (How::HalfClose, Some(peer)) => {
                peer.shutdown_write();
                conn.peer = Some(peer);
            }
            _ => {}
        }
        self.set_capacity();
    }

    /// Every connection ends now.
    pub(crate) fn go_all(&mut self, how: How) {
        for number in 0..self.conns.len() {
            self.go(number, how);
        }
    }

    /// What the network took on this connection.
    pub(crate) fn attempts(&self, number: usize) -> Vec<Attempt> {
        let conn = &self.conns[number];
        let bytes = conn.tap.bytes();
        let (mut rest, mut found) = (&bytes[..], Vec::new());
        while let Some(mut arrival) = arrival(rest) {
            arrival.id = arrival.id.or(Some(conn.last_id));
            rest = &rest[arrival.length..];
            let replied = conn.replies.get(found.len()).copied().unwrap_or(conn.interim);
            found.push(Attempt { arrival, replied });
        }
        found
    }
}

/// How long the network takes one way.
pub(crate) const HOP: Duration = Duration::from_micros(50);
