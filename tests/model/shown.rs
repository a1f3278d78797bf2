//! How messages look in what a failing test says: bytes as text, the long ones cut.

use std::fmt;

use super::message::Field;
use super::{Request, Response};

/// At most so many bytes of content or of a value are shown.
const MOST: usize = 200;

fn text(bytes: &[u8]) -> String {
    match bytes.get(..MOST) {
        Some(beginning) => format!("{}... ({})", beginning.escape_ascii(), bytes.len()),
        None => bytes.escape_ascii().to_string(),
    }
}

pub(crate) fn fields(fields: &[Field]) -> String {
    let lines = fields.iter().map(|(name, value)| format!("{}: {}", text(name), text(value)));
    lines.collect::<Vec<String>>().join(" | ")
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, target) = (text(&self.method), text(&self.target));
        write!(f, "[{method} {target} 1.{} ({}) ", self.minor, fields(&self.fields))?;
        write!(f, "{:?} \"{}\" ({}) ", self.framing, text(&self.content), fields(&self.trailers))?;
        write!(f, "{:?}, continue: {}, ", self.handling, self.expects_continue)?;
        write!(f, "keeps: {}]", self.keeps_alive)
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, reason) = (self.status, text(&self.reason));
        write!(f, "[1.{} {status} {reason} ({}) ", self.minor, fields(&self.fields))?;
        write!(f, "{:?} \"{}\" ({}) ", self.framing, text(&self.content), fields(&self.trailers))?;
        write!(f, "keeps: {}]", self.keeps_alive)
    }
}
