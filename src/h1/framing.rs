//! How the content of a message ends: RFC 9112 §6.3, rules in the RFC's order.

/// How the content of a message ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Framing {
    /// There is no content: the message ends with its head.
    #[default]
    None,
    /// Exactly so many bytes.
    Length(u64),
    /// Chunks, then a trailer section.
    Chunked,
    /// Everything until the peer closes; responses only.
    UntilClose,
}
