//! What is asked for, drawn from the seed, and the content that travels.

use std::sync::OnceLock;

use crate::mixed::Mix;
use crate::random::Random;

/// The most content that one message carries.
pub(crate) const LARGE: usize = 300_000;

/// Content has no period that fits a buffer, so that a piece in the wrong place is seen.
pub(crate) fn content(start: usize, length: usize) -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    let all = CONTENT.get_or_init(|| {
        let mut random = Random::new(77);
        (0..LARGE + 1000).map(|_| random.byte()).collect()
    });
    &all[start..start + length]
}

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Hello,
    Head,
    /// Answered by a timer.
    Late {
        millis: usize,
    },
    /// The content comes back through `pipe`.
    Piped {
        start: usize,
        length: usize,
    },
    /// The content comes back through `on_data`, `write` and `on_drain`, in chunks.
    Echoed {
        start: usize,
        length: usize,
        waits: bool,
    },
    /// The handler of expectations says when to go on, or that it does not want the content.
    Expecting {
        start: usize,
        length: usize,
        wanted: bool,
    },
    /// Answered when the timeout of the response, or of the server, has told that nothing moves.
    Inactive {
        by_server: bool,
    },
    /// The handler asks another server and pipes both ways.
    Proxied {
        start: usize,
        length: usize,
    },
    /// Nobody reads the content.
    Unread {
        length: usize,
    },
    /// The handler destroys the exchange, before or behind the head.
    Never {
        begins: bool,
    },
    /// The handler returns an error.
    Failing,
    Stream {
        length: usize,
    },
    /// The response is made in any combination of ways.
    Mixed(Mix),
    /// `Connection: close`.
    Closing,
    Upgrade {
        length: usize,
    },
}

impl Ask {
    pub(crate) fn draw(random: &mut Random) -> Ask {
        let start = random.below(1000);
        match random.below(1000) {
            0..600 => Ask::Hello,
            600..630 => Ask::Head,
            630..700 => Ask::Late { millis: random.below(50) },
            700..740 => Ask::Mixed(Mix::draw(random)),
            740..790 => Ask::Piped { start, length: random.below(2000) },
            790..860 => Ask::Echoed { start, length: random.below(2000), waits: false },
            860..880 => Ask::Echoed { start, length: random.below(500), waits: true },
            880..900 => Ask::Unread { length: random.below(3000) },
            900..920 => Ask::Never { begins: random.below(2) == 0 },
            920..930 => Ask::Failing,
            930..931 => Ask::Stream { length: LARGE },
            931..932 => Ask::Piped { start, length: LARGE / 2 },
            932..940 => Ask::Closing,
            940..946 => Ask::Expecting {
                start,
                length: 1 + random.below(500),
                wanted: random.below(4) != 0,
            },
            946..950 => Ask::Inactive { by_server: random.below(2) == 0 },
            950..979 => Ask::Proxied { start, length: random.below(3000) },
            979..980 => Ask::Proxied { start, length: LARGE / 3 },
            _ => Ask::Upgrade { length: random.below(1000) },
        }
    }

    pub(crate) fn target(self) -> String {
        match self {
            Ask::Hello | Ask::Head | Ask::Closing => "/hello".into(),
            Ask::Late { millis } => format!("/late/{millis}"),
            Ask::Piped { .. } => "/pipe".into(),
            Ask::Echoed { .. } => "/echo".into(),
            Ask::Expecting { wanted, .. } => format!("/expecting/{}", u8::from(wanted)),
            Ask::Inactive { by_server } => format!("/inactive/{}", u8::from(by_server)),
            Ask::Proxied { .. } => "/proxy".into(),
            Ask::Unread { .. } => "/unread".into(),
            Ask::Never { begins: false } => "/never".into(),
            Ask::Never { begins: true } => "/breaks".into(),
            Ask::Failing => "/fails".into(),
            Ask::Stream { length } => format!("/stream/{length}"),
            Ask::Mixed(mix) => mix.target(),
            Ask::Upgrade { .. } => "/upgrade".into(),
        }
    }

    /// The answer's status and content. `None`: there is none, on the best of networks.
    pub(crate) fn answer(self) -> Option<(u16, &'static [u8])> {
        match self {
            Ask::Hello | Ask::Closing => Some((200, b"hello")),
            Ask::Head => Some((200, b"")),
            Ask::Late { .. } => Some((200, b"late")),
            Ask::Expecting { wanted: false, .. } => Some((413, b"unwanted")),
            Ask::Inactive { .. } => Some((200, b"inactive")),
            Ask::Piped { start, length }
            | Ask::Echoed { start, length, .. }
            | Ask::Expecting { start, length, wanted: true }
            | Ask::Proxied { start, length } => Some((200, content(start, length))),
            Ask::Unread { .. } => Some((200, b"unread")),
            Ask::Never { .. } => None,
            Ask::Failing => Some((500, b"")),
            Ask::Stream { length } | Ask::Mixed(Mix { length, .. }) => {
                Some((200, content(0, length)))
            }
            Ask::Upgrade { length } => Some((101, content(0, length))),
        }
    }
}
