//! What can follow a valid request on its connection, and what is right behind its answer then.

use std::time::Duration;

use onloop::LoopHandle;
use onloop::http::{Server, ServerOptions};

use crate::answers::Kind;
use crate::common::{Answer, World, get};
use crate::peer::SlowPeer;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follows {
    Malformed,
    TooLarge,
    BehindClose,
    Garbage,
    MalformedContent,
    HalfClose,
    HalfCloseFirst,
    HalfRequest,
    ServerCloses,
    ServerClosesMeanwhile,
    Grace,
    BehindTheLast,
    ExpiredHead,
    Failing,
    FailingLate,
    /// The same, and much more behind it, which nobody has read by then.
    FailingInFront,
    ErrorAnswered,
}

impl Follows {
    /// The request says that it is the last one.
    pub(crate) fn closes(self) -> bool {
        self == Follows::BehindClose
    }

    pub(crate) fn options(self) -> ServerOptions {
        let options = ServerOptions::new();
        match self {
            Follows::BehindTheLast => options.max_requests_per_socket(1),
            Follows::ExpiredHead => options.headers_timeout(Duration::from_millis(500)),
            _ => options,
        }
    }

    /// What happens at the server before it answers.
    pub(crate) fn before(self, lp: LoopHandle, server: Server) {
        match self {
            Follows::ServerCloses => server.close(),
            Follows::ServerClosesMeanwhile => {
                lp.set_timeout(Duration::from_millis(1), move || server.close());
            }
            Follows::Grace => {
                server.close();
                let grace = Duration::from_secs(15);
                lp.set_timeout(grace, move || server.close_all_connections()).unref();
            }
            _ => {}
        }
    }

    /// What the client does behind its request.
    pub(crate) fn act(self, world: &mut World, server: &Server, peer: &mut SlowPeer) {
        let chunks = |path| get(path, "Transfer-Encoding: chunked\r\n") + "1\r\nx\r\nzz\r\n";
        match self {
            Follows::Malformed => peer.send(b"G@T / HTTP/1.1\r\n\r\n"),
            Follows::TooLarge => peer.send(get("/", &"X: y\r\n".repeat(5000)).as_bytes()),
            Follows::BehindClose | Follows::BehindTheLast => {
                peer.send(get("/next", "").repeat(100).as_bytes());
            }
            Follows::MalformedContent => peer.send(chunks("/next").as_bytes()),
            Follows::HalfClose | Follows::HalfCloseFirst => peer.end(),
            Follows::HalfRequest => {
                peer.send(b"GET /next HTTP/1.1\r\nHo");
                peer.end();
            }
            Follows::ServerCloses | Follows::ServerClosesMeanwhile | Follows::Grace => {}
            Follows::ExpiredHead => peer.send(b"GET /next HTTP/1.1\r\nHo"),
            Follows::Failing => peer.send(get("/fails", "").as_bytes()),
            Follows::FailingLate => peer.send(chunks("/begins-and-fails").as_bytes()),
            Follows::FailingInFront => {
                peer.send(chunks("/begins-and-fails").as_bytes());
                peer.send(&[1; 1024 * 1024]);
            }
            Follows::Garbage | Follows::ErrorAnswered => peer.send(&[1; 1024 * 1024]),
        }
        world.until("the connection", || server.connections() > 0);
    }

    /// The status of the refusal that comes behind the answer.
    fn refusal(self) -> Option<u16> {
        match self {
            Follows::Malformed
            | Follows::Garbage
            | Follows::MalformedContent
            | Follows::HalfRequest
            | Follows::ErrorAnswered => Some(400),
            Follows::TooLarge => Some(431),
            Follows::ExpiredHead => Some(408),
            Follows::Failing => Some(500),
            _ => None,
        }
    }

    pub(crate) fn check_rest(self, kind: Kind, rest: &[u8], context: &str) {
        let text = String::from_utf8_lossy(rest);
        if matches!(self, Follows::FailingLate | Follows::FailingInFront) {
            // A part of that answer, or a refusal where nothing of it was out; never a whole one.
            assert!(!text.contains("0\r\n\r\n") || text.starts_with("HTTP/1.1 400"), "{context}");
            return;
        }
        let expected = self.refusal().filter(|_| !kind.ends_connection());
        let Some(status) = expected else {
            return assert_eq!(text, "", "{context}");
        };
        let Some((answer, length)) = Answer::parse(rest, false, true) else {
            panic!("{context}: behind the answer came {text:?}");
        };
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")));
        assert_eq!(length, rest.len(), "{context}: {text:?}");
    }
}
