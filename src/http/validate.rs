//! Node's checks of header names and values, for those who want to know before they set them.
//!
//! They are the very checks that setting makes; nothing has to be validated before it is given to `set_header`.

use crate::engine::field_error;
use crate::error::Result;
use crate::h1::{FieldError, is_field_value, is_token};
use crate::http::HeaderValue;

/// Whether a header can have this name: one or more of the characters of a token (RFC 9110 §5.1).
/// (Node: `http.validateHeaderName`)
///
/// # Errors
/// `ERR_INVALID_HTTP_TOKEN`.
///
/// ```
/// use onloop::http;
/// assert!(http::validate_header_name("X-Any").is_ok());
/// let refused = http::validate_header_name("X Any").unwrap_err();
/// assert_eq!(refused.code(), "ERR_INVALID_HTTP_TOKEN");
/// ```
pub fn validate_header_name(name: impl AsRef<[u8]>) -> Result<()> {
    let name = name.as_ref();
    match is_token(name) {
        true => Ok(()),
        false => Err(field_error(FieldError::Name, &String::from_utf8_lossy(name))),
    }
}

/// Whether a header can have this value: no control characters but tabs (RFC 9110 §5.5). The name is only for
/// the message. (Node: `http.validateHeaderValue`)
///
/// # Errors
/// `ERR_INVALID_CHAR`.
///
/// ```
/// use onloop::http;
/// assert!(http::validate_header_value("X-Any", "a\tb").is_ok());
/// let refused = http::validate_header_value("X-Any", "a\r\nb").unwrap_err();
/// assert_eq!(refused.code(), "ERR_INVALID_CHAR");
/// assert!(refused.to_string().contains("X-Any"));
/// ```
pub fn validate_header_value(name: impl AsRef<str>, value: impl HeaderValue) -> Result<()> {
    match is_valid_header_value(value) {
        true => Ok(()),
        false => Err(field_error(FieldError::Value, name.as_ref())),
    }
}

/// The answer of [`validate_header_name`] as a boolean. (Node: `http.isValidHeaderName`)
pub fn is_valid_header_name(name: impl AsRef<[u8]>) -> bool {
    is_token(name.as_ref())
}

/// The answer of [`validate_header_value`] as a boolean. (Node: `http.isValidHeaderValue`)
pub fn is_valid_header_value(value: impl HeaderValue) -> bool {
    value.with_bytes(is_field_value)
}
