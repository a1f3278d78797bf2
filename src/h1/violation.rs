//! Every reason to refuse a message that a peer sends, one variant per family of rules.
//!
//! A violation is one byte, so that results stay small on the hot path; what to tell the peer and
//! the user is looked up here. How a refusal is answered (close, drain, log) is the engine's matter.

/// Why a message was refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Violation {
    /// Bytes of a TLS handshake where a plain-text request was expected.
    TlsHandshake,
    /// More empty lines before the request line than are skipped: RFC 9112 §2.2.
    EmptyLines,
    /// A method that is no token or is not followed by one space: RFC 9112 §3.1.
    Method,
    /// A byte in the target that RFC 3986 does not allow, or `%` without two hex digits, or an
    /// encoded NUL, CR or LF: RFC 9112 §3.2.
    Target,
    /// A target whose form does not fit the method: RFC 9112 §3.2.1 to §3.2.4.
    TargetForm,
    /// Something else than `HTTP/d.d` and the line end: RFC 9112 §2.3.
    Version,
    /// A major version that is not 1: RFC 9110 §15.6.6.
    VersionUnsupported,
    /// A status line that is none: RFC 9112 §4.
    StatusLine,
    /// A status that is not three digits from 100 on: RFC 9110 §15.
    Status,
    /// A byte that a reason phrase may not have: RFC 9112 §4.
    Reason,
    /// A line ended by LF alone: RFC 9112 §2.2.
    BareLf,
    /// A CR that is not followed by LF: RFC 9112 §2.2.
    BareCr,
    /// White space before the first field: RFC 9112 §2.2.
    SpaceBeforeFields,
    /// A folded field line: RFC 9112 §5.2.
    Fold,
    /// A field name that is no token: RFC 9110 §5.1.
    FieldName,
    /// White space between field name and colon: RFC 9112 §5.1.
    SpaceBeforeColon,
    /// A field line without colon: RFC 9112 §5.
    ColonMissing,
    /// A control byte in a field value: RFC 9110 §5.5.
    FieldValue,
    /// No `Host` field in an HTTP/1.1 request: RFC 9112 §3.2.
    HostMissing,
    /// More than one `Host` field: RFC 9112 §3.2.
    HostRepeated,
    /// A `Host` that is no `host[:port]`: RFC 9112 §3.2, RFC 9110 §7.2.
    Host,
    /// A `Content-Length` that is not one decimal number below 2^64: RFC 9112 §6.3.
    ContentLength,
    /// More than one `Content-Length`: RFC 9112 §6.3.
    ContentLengthRepeated,
    /// Both `Content-Length` and `Transfer-Encoding`: RFC 9112 §6.1 and §6.3.
    LengthAndEncoding,
    /// A `Transfer-Encoding` that is no list of tokens with `chunked` once and last: RFC 9112 §6.1.
    TransferEncoding,
    /// A transfer coding that we do not know before the final `chunked`: RFC 9112 §6.1.
    TransferCodingUnknown,
    /// `Transfer-Encoding` in an HTTP/1.0 message: RFC 9112 §6.1.
    EncodingInOldVersion,
    /// A field name that others may fold into a framing field, such as `content_length`.
    LookAlike,
    /// A framing field on `CONNECT`: RFC 9110 §9.3.6.
    ConnectContent,
    /// A chunk size that is no plain hexadecimal number, or too many digits: RFC 9112 §7.1.
    ChunkSize,
    /// A chunk extension against the grammar: RFC 9112 §7.1.1.
    ChunkExtension,
    /// Chunk data that is not followed by exactly CRLF: RFC 9112 §7.1.
    ChunkEnd,
    /// A field in a trailer section that steers framing, routing or authentication: RFC 9110 §6.5.1.
    TrailerField,
    /// The stream ended inside a message: RFC 9112 §8.
    Incomplete,
    /// The method is longer than the limit: RFC 9112 §3.
    MethodTooLong,
    /// The request target is longer than the limit: RFC 9110 §15.5.15.
    TargetTooLong,
    /// The head is longer than the limit: RFC 6585 §5.
    HeadTooLarge,
    /// The head has more fields than the limit: RFC 6585 §5.
    TooManyFields,
    /// The chunk extensions are longer than the limit: RFC 9112 §7.1.1.
    ExtensionTooLarge,
    /// The trailer section is longer or has more fields than its limit: RFC 6585 §5.
    TrailersTooLarge,
    /// The content is longer than the server takes: RFC 9110 §15.5.14.
    ContentTooLarge,
}

/// The limits that reading a message can run into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LimitName {
    /// Bytes of a method.
    Method,
    /// Empty lines before a request line.
    EmptyLines,
    /// Bytes of a head.
    HeaderSize,
    /// Fields of a head.
    HeadersCount,
    /// Bytes of a request target.
    Target,
    /// Bytes of chunk extensions, bytes and fields of a trailer section.
    Chunked,
    /// Bytes of content.
    Body,
}

impl Violation {
    /// The stable code, Node's where Node has one.
    pub(crate) fn code(self) -> &'static str {
        self.row().1
    }

    /// The status a server answers with.
    pub(crate) fn status(self) -> u16 {
        self.row().2
    }

    /// One lower-case line that tells the user what is wrong with the peer's message.
    pub(crate) fn message(self) -> &'static str {
        self.row().3
    }

    /// The limit that was reached, if the message was not wrong but only too big.
    pub(crate) fn is_limit(self) -> Option<LimitName> {
        match self {
            Violation::EmptyLines => Some(LimitName::EmptyLines),
            Violation::MethodTooLong => Some(LimitName::Method),
            Violation::TargetTooLong => Some(LimitName::Target),
            Violation::HeadTooLarge => Some(LimitName::HeaderSize),
            Violation::TooManyFields => Some(LimitName::HeadersCount),
            Violation::ExtensionTooLarge | Violation::TrailersTooLarge => Some(LimitName::Chunked),
            Violation::ContentTooLarge => Some(LimitName::Body),
            _ => None,
        }
    }

    fn row(self) -> &'static Row {
        // A test walks through all of them in order.
        ROWS.get(self as usize).unwrap_or(&ROWS[0])
    }
}

/// A violation, its code, its status and its message.
type Row = (Violation, &'static str, u16, &'static str);

const HEADER: &str = "HPE_INVALID_HEADER_TOKEN";
const ENCODING: &str = "HPE_INVALID_TRANSFER_ENCODING";
/// The one code here that is not of Node's parser, which knows no such limit.
pub(crate) const CONTENT_TOO_LARGE: &str = "ERR_HTTP_CONTENT_TOO_LARGE";

/// In the order of the enumeration.
#[rustfmt::skip]
static ROWS: [Row; 41] = [
    (Violation::TlsHandshake, "HPE_INVALID_METHOD", 400,
        "the peer speaks tls, but this is a plain-text http port"),
    (Violation::EmptyLines, "HPE_INVALID_METHOD", 400,
        "there are more empty lines before the request line than max_empty_lines"),
    (Violation::Method, "HPE_INVALID_METHOD", 400,
        "the request line does not begin with a method"),
    (Violation::Target, "HPE_INVALID_URL", 400,
        "the request target has a byte that a url may not have"),
    (Violation::TargetForm, "HPE_INVALID_URL", 400,
        "the form of the request target does not fit the method"),
    (Violation::Version, "HPE_INVALID_VERSION", 400,
        "the http version is missing or malformed"),
    (Violation::VersionUnsupported, "HPE_INVALID_VERSION", 505,
        "the peer speaks another major version of http than 1"),
    (Violation::StatusLine, "HPE_INVALID_CONSTANT", 400,
        "the response does not begin with an http/1 status line"),
    (Violation::Status, "HPE_INVALID_STATUS", 400,
        "the status is not a number of three digits from 100 on"),
    (Violation::Reason, HEADER, 400,
        "the reason phrase has a control character"),
    (Violation::BareLf, "HPE_CR_EXPECTED", 400,
        "a line ends with a line feed alone instead of crlf"),
    (Violation::BareCr, "HPE_LF_EXPECTED", 400,
        "a carriage return is not followed by a line feed"),
    (Violation::SpaceBeforeFields, "HPE_UNEXPECTED_SPACE", 400,
        "there is white space before the first header"),
    (Violation::Fold, HEADER, 400,
        "a header is folded over several lines"),
    (Violation::FieldName, HEADER, 400,
        "a header name is empty or has a character that a token may not have"),
    (Violation::SpaceBeforeColon, HEADER, 400,
        "there is white space between a header name and its colon"),
    (Violation::ColonMissing, HEADER, 400,
        "a header line has no colon"),
    (Violation::FieldValue, HEADER, 400,
        "a header value has a control character"),
    (Violation::HostMissing, HEADER, 400,
        "an http/1.1 request needs a host header"),
    (Violation::HostRepeated, HEADER, 400,
        "a request has more than one host header"),
    (Violation::Host, HEADER, 400,
        "the host header is not a host with an optional port"),
    (Violation::ContentLength, "HPE_INVALID_CONTENT_LENGTH", 400,
        "content-length is not a decimal number below 2^64"),
    (Violation::ContentLengthRepeated, "HPE_UNEXPECTED_CONTENT_LENGTH", 400,
        "content-length is given more than once"),
    (Violation::LengthAndEncoding, ENCODING, 400,
        "content-length and transfer-encoding are given together"),
    (Violation::TransferEncoding, ENCODING, 400,
        "transfer-encoding is not a list of codings with chunked once and last"),
    (Violation::TransferCodingUnknown, ENCODING, 501,
        "only the transfer coding chunked is implemented"),
    (Violation::EncodingInOldVersion, ENCODING, 400,
        "transfer-encoding is not allowed in an http/1.0 message"),
    (Violation::LookAlike, HEADER, 400,
        "a header name resembles content-length or transfer-encoding"),
    (Violation::ConnectContent, HEADER, 400,
        "a connect request may not announce content"),
    (Violation::ChunkSize, "HPE_INVALID_CHUNK_SIZE", 400,
        "a chunk size is not a plain hexadecimal number"),
    (Violation::ChunkExtension, "HPE_INVALID_CHUNK_SIZE", 400,
        "a chunk extension is malformed"),
    (Violation::ChunkEnd, "HPE_STRICT", 400,
        "chunk data is not followed by crlf"),
    (Violation::TrailerField, HEADER, 400,
        "a trailer has a name that only a header may have"),
    (Violation::Incomplete, "HPE_INVALID_EOF_STATE", 400,
        "the connection ended inside a message"),
    (Violation::MethodTooLong, "HPE_INVALID_METHOD", 400,
        "the method is longer than max_method_size"),
    (Violation::TargetTooLong, "HPE_HEADER_OVERFLOW", 414,
        "the request target is longer than max_target_size"),
    (Violation::HeadTooLarge, "HPE_HEADER_OVERFLOW", 431,
        "the headers are longer than max_header_size"),
    (Violation::TooManyFields, "HPE_HEADER_OVERFLOW", 431,
        "there are more headers than max_headers_count"),
    (Violation::ExtensionTooLarge, "HPE_CHUNK_EXTENSIONS_OVERFLOW", 413,
        "the chunk extensions are longer than max_extensions_per_chunk or max_extensions_per_message"),
    (Violation::TrailersTooLarge, "HPE_HEADER_OVERFLOW", 431,
        "the trailers are longer than max_header_size or more than max_headers_count"),
    (Violation::ContentTooLarge, CONTENT_TOO_LARGE, 413,
        "the content is longer than max_body_size"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_violation_has_its_row() {
        for (at, (violation, code, status, message)) in ROWS.iter().enumerate() {
            assert_eq!(*violation as usize, at);
            assert_eq!((violation.code(), violation.status()), (*code, *status));
            assert_eq!(violation.message(), *message);
            assert!(code.starts_with("HPE_") || *code == CONTENT_TOO_LARGE);
            assert!(matches!(status, 400 | 413 | 414 | 431 | 501 | 505));
            assert!(!message.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_control()));
        }
        assert_eq!(ROWS.len(), Violation::ContentTooLarge as usize + 1);
        assert_eq!(size_of::<Violation>(), 1);
    }

    #[test]
    fn limits_have_names() {
        assert_eq!(Violation::HeadTooLarge.is_limit(), Some(LimitName::HeaderSize));
        assert_eq!(Violation::TooManyFields.is_limit(), Some(LimitName::HeadersCount));
        assert_eq!(Violation::TargetTooLong.is_limit(), Some(LimitName::Target));
        assert_eq!(Violation::TrailersTooLarge.is_limit(), Some(LimitName::Chunked));
        assert_eq!(Violation::ExtensionTooLarge.is_limit(), Some(LimitName::Chunked));
        assert_eq!(Violation::ContentTooLarge.is_limit(), Some(LimitName::Body));
        assert_eq!(Violation::MethodTooLong.is_limit(), Some(LimitName::Method));
        assert_eq!(Violation::EmptyLines.is_limit(), Some(LimitName::EmptyLines));
        assert_eq!(Violation::BareLf.is_limit(), None);
    }
}
