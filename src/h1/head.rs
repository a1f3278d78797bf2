//! The head of a message: start line and fields, read strictly and kept in one owned copy.

use super::meaning::{Asked, Meaning};
use super::violation::Violation;

/// What a head may cost us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the whole head, skipped empty lines included; at most 65535.
    pub(crate) head_bytes: usize,
    /// Bytes of the request target.
    pub(crate) target_bytes: usize,
    /// Field lines.
    pub(crate) fields: usize,
}

/// Where the reading of one head stands between two calls.
#[derive(Default, Clone, Copy, Debug)]
pub(crate) struct HeadProgress {
    scanned: u32,
}

/// An owned copy of a start line and its fields; reusable.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    meaning: Meaning,
}

pub(crate) fn parse_request(
    _input: &[u8],
    _limits: &HeadLimits,
    _progress: &mut HeadProgress,
    _head: &mut Head,
) -> Result<Option<usize>, Violation> {
    unimplemented!()
}

pub(crate) fn parse_response(
    _input: &[u8],
    _limits: &HeadLimits,
    _progress: &mut HeadProgress,
    _asked: Asked,
    _head: &mut Head,
) -> Result<Option<usize>, Violation> {
    unimplemented!()
}

impl Head {
    pub(crate) fn method(&self) -> &str {
        unimplemented!()
    }
    pub(crate) fn target(&self) -> &str {
        unimplemented!()
    }
    pub(crate) fn version_minor(&self) -> u8 {
        unimplemented!()
    }
    pub(crate) fn status(&self) -> u16 {
        unimplemented!()
    }
    pub(crate) fn reason(&self) -> &[u8] {
        unimplemented!()
    }
    pub(crate) fn field_count(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn fields(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> + Clone {
        [].into_iter()
    }
    pub(crate) fn find(&self, _name: &str) -> Option<&[u8]> {
        unimplemented!()
    }
    pub(crate) fn find_all<'a>(&'a self, _name: &'a str) -> impl Iterator<Item = &'a [u8]> + Clone {
        [].into_iter()
    }
    pub(crate) fn meaning(&self) -> &Meaning {
        &self.meaning
    }
    pub(crate) fn byte_capacity(&self) -> usize {
        self.bytes.capacity()
    }
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}
