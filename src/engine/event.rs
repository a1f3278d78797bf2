//! What the engine tells the dispatcher to do next, and the window of bytes it works on meanwhile.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::agent::AgentId;
use crate::engine::callbacks::{
    CollectFn, DataFn, Finale, Hook, HookMut, InformationFn, ResponseFn, SocketFn, UpgradeFn,
    WrittenFn,
};
use crate::engine::connector::{ConnectFn, LookupFn};
use crate::engine::endpoint::Endpoint;
use crate::engine::server::{
    ClientErrorFn, ConnectionFn, DropFn, DropRequestFn, RequestFn, RequestListener,
    ServerUpgradeFn, ShouldUpgradeFn,
};
use crate::engine::slot::ExchangeId;
use crate::error::{Error, Result};
use crate::h1::Head;
use crate::http::{ConnectTarget, DropInfo};

/// The bytes at hand while one connection is driven: a part of the loop's shared read buffer, or what the
/// connection had kept from earlier.
pub(crate) struct Input<'b> {
    pub(crate) buffer: &'b mut [u8],
    pub(crate) kept: Option<Vec<u8>>,
    /// Where the window begins: what is before it was consumed in earlier drives.
    start: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl<'b> Input<'b> {
    pub(crate) fn new(buffer: &'b mut [u8]) -> Self {
        Input { buffer, kept: None, start: 0, from: 0, to: 0 }
    }

    /// The bytes not yet consumed.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.kept {
            None => &self.buffer[self.from..self.to],
            Some(kept) => &kept[self.from..self.to],
        }
    }

    /// Bytes by their place in the window, as events name them.
    #[inline]
    pub(crate) fn slice(&self, range: Range<usize>) -> &[u8] {
        match &self.kept {
            None => &self.buffer[range],
            Some(kept) => &kept[range],
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Nothing is left, and nothing was kept.
    #[inline]
    pub(crate) fn is_unused(&self) -> bool {
        self.from == self.to && self.kept.is_none()
    }

    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.from += count;
        debug_assert!(self.from <= self.to);
    }

    /// All bytes of the window, those that were consumed in this drive included.
    pub(crate) fn window(&self) -> &[u8] {
        self.slice(self.start..self.to)
    }

    /// How many of them were consumed.
    pub(crate) fn consumed(&self) -> usize {
        self.from - self.start
    }

    /// Works on what is behind `from` in `kept` from now on.
    pub(crate) fn load(&mut self, kept: Vec<u8>, from: usize) {
        debug_assert!(self.is_empty() && self.kept.is_none());
        self.start = from;
        self.from = from;
        self.to = kept.len();
        self.kept = Some(kept);
    }

    /// Gives what was kept back, and how much of it is consumed. That goes from its front where it has to, and once it is
    /// more than half: to move the rest every time would cost the square of a window that is consumed in small pieces,
    /// such as requests that are answered one by one.
    pub(crate) fn take_kept(&mut self, has_to: bool) -> Option<(Vec<u8>, usize)> {
        let mut kept = self.kept.take()?;
        if has_to || self.from > kept.len() / 2 {
            kept.drain(..self.from);
            self.from = 0;
        }
        Some((kept, self.from))
    }

    /// The window is of a connection that is gone.
    pub(crate) fn forget(&mut self) {
        self.kept = None;
        self.filled(0);
    }

    /// The window is the first `count` bytes of the shared buffer.
    #[inline]
    pub(crate) fn filled(&mut self, count: usize) {
        debug_assert!(self.kept.is_none());
        self.start = 0;
        self.from = 0;
        self.to = count;
    }
}

/// The next thing to do for one connection. Callbacks are taken out of the engine, to be put back by the
/// dispatcher after their run.
pub(crate) enum Event {
    /// Nothing more for now.
    Done,
    /// Ask again.
    Continue,
    /// `on_request`.
    Request {
        handler: RequestFn,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
    },
    /// `on_check_continue` or `on_check_expectation`.
    Expectation {
        handler: RequestFn,
        which: RequestListener,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
    },
    /// `on_connection`.
    Connection {
        handler: ConnectionFn,
        server: u32,
        id: ExchangeId,
    },
    /// `on_timeout` of a server.
    ServerTimeout {
        handler: ConnectionFn,
        server: u32,
        id: ExchangeId,
    },
    DropRequest {
        handler: DropRequestFn,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
    },
    /// `on_drop`.
    Drop {
        handler: DropFn,
        server: u32,
        info: Box<DropInfo>,
    },
    ShouldUpgrade {
        handler: ShouldUpgradeFn,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
    },
    /// `on_upgrade` or `on_connect` of a server.
    ServerUpgrade {
        handler: ServerUpgradeFn,
        is_connect: bool,
        server: u32,
        id: ExchangeId,
        head: Box<Head>,
        rest: Range<usize>,
    },
    ClientError {
        handler: ClientErrorFn,
        server: u32,
        id: ExchangeId,
        error: Error,
    },
    /// `on_data` with these bytes of the window.
    Data {
        callback: DataFn,
        id: ExchangeId,
        range: Range<usize>,
    },
    /// The content that was collected, or why there is none.
    Collected {
        callback: CollectFn,
        id: ExchangeId,
        result: Result<Vec<u8>>,
    },
    /// `on_end` of the incoming message.
    End {
        callback: Hook,
        id: ExchangeId,
    },
    /// `on_finish` of a message whose exchange goes on.
    Finish {
        callback: Hook,
        id: ExchangeId,
    },
    /// A callback of `on_written`.
    Written {
        callback: WrittenFn,
        id: ExchangeId,
    },
    /// `on_half_close` of a response.
    HalfClose {
        callback: Hook,
        id: ExchangeId,
    },
    Drain {
        callback: HookMut,
        id: ExchangeId,
    },
    /// `on_timeout` of an incoming message.
    IncomingTimeout {
        callback: HookMut,
        id: ExchangeId,
    },
    /// `on_timeout` of an outgoing message or a byte stream.
    Timeout {
        callback: HookMut,
        id: ExchangeId,
    },
    Response {
        callback: ResponseFn,
        id: ExchangeId,
        head: Box<Head>,
    },
    Information {
        callback: InformationFn,
        id: ExchangeId,
        head: Box<Head>,
    },
    /// `create_connection` of an agent.
    CreateConnection {
        handler: ConnectFn,
        agent: AgentId,
        id: ExchangeId,
        question: u32,
        target: ConnectTarget,
    },
    /// `lookup` of an agent.
    Lookup {
        handler: LookupFn,
        agent: AgentId,
        id: ExchangeId,
        question: u32,
        endpoint: Arc<Endpoint>,
    },
    /// `on_socket`.
    Socket {
        callback: SocketFn,
        id: ExchangeId,
    },
    /// `on_continue`.
    Proceed {
        callback: Hook,
        id: ExchangeId,
    },
    /// The request is over, and the stream has a name of its own.
    ClientUpgrade {
        callback: UpgradeFn,
        request: ExchangeId,
        id: ExchangeId,
        head: Box<Head>,
        rest: Range<usize>,
    },
    /// An exchange is over.
    Final(Finale),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_in_small_pieces_is_moved_about_once() {
        const BYTES: usize = 1 << 16;
        let mut kept: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
        let (mut from, mut moved) = (0, 0);
        for at in 0..BYTES {
            let mut input = Input::new(&mut []);
            input.load(kept, from);
            assert_eq!(input.bytes().first(), Some(&((at % 251) as u8)));
            assert_eq!((input.window().len(), input.consumed()), (BYTES - at, 0));
            input.consume(1);
            assert_eq!((input.window().len(), input.consumed()), (BYTES - at, 1));
            (kept, from) = input.take_kept(false).expect("it was loaded");
            assert!(from <= kept.len() / 2, "{from} of {}", kept.len());
            if from == 0 {
                moved += kept.len();
            }
        }
        assert!(kept.is_empty());
        assert!(moved <= BYTES, "{moved} bytes were moved");
    }

    #[test]
    fn a_part_of_a_head_comes_to_the_front() {
        let mut input = Input::new(&mut []);
        input.load(b"one two".to_vec(), 0);
        input.consume(2);
        assert_eq!(input.take_kept(true), Some((b"e two".to_vec(), 0)));
    }
}
