//! The header fields of a message that we send, in wire form with an index.

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldError {
    /// The name is no token.
    Name,
    /// The value has a control character or white space at an end.
    Value,
    /// The section would be longer than 65535 bytes.
    TooLarge,
}

/// A set of field names that the sending side has rules for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(u16);

impl Known {
    pub(crate) const CONTENT_LENGTH: Known = Known(1);
    pub(crate) const TRANSFER_ENCODING: Known = Known(1 << 1);
    pub(crate) const CONNECTION: Known = Known(1 << 2);
    pub(crate) const KEEP_ALIVE: Known = Known(1 << 3);
    pub(crate) const DATE: Known = Known(1 << 4);
    pub(crate) const TRAILER: Known = Known(1 << 5);
    pub(crate) const HOST: Known = Known(1 << 6);
    pub(crate) const EXPECT: Known = Known(1 << 7);
    pub(crate) const UPGRADE: Known = Known(1 << 8);
    pub(crate) const AUTHORIZATION: Known = Known(1 << 9);
    pub(crate) const CONTENT_TYPE: Known = Known(1 << 10);

    /// Whether all of `other` are in this set.
    pub(crate) const fn contains(self, other: Known) -> bool {
        self.0 & other.0 == other.0
    }
    pub(crate) const fn insert(&mut self, other: Known) {
        self.0 |= other.0;
    }
    pub(crate) const fn remove(&mut self, other: Known) {
        self.0 &= !other.0;
    }
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[derive(Debug, Default)]
pub(crate) struct FieldList {
    wire: Vec<u8>,
    known: Known,
    removed: Known,
}

impl FieldList {
    pub(crate) fn set(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), FieldError> {
        unimplemented!()
    }
    pub(crate) fn append(&mut self, _name: &[u8], _value: &[u8]) -> Result<(), FieldError> {
        unimplemented!()
    }
    pub(crate) fn remove(&mut self, _name: &[u8]) -> bool {
        unimplemented!()
    }
    pub(crate) fn has(&self, _name: &[u8]) -> bool {
        unimplemented!()
    }
    pub(crate) fn first(&self, _name: &[u8]) -> Option<&[u8]> {
        unimplemented!()
    }
    pub(crate) fn all<'a>(&'a self, _name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + Clone {
        [].into_iter()
    }
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> + Clone {
        [].into_iter()
    }
    pub(crate) fn wire(&self) -> &[u8] {
        &self.wire
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.wire.is_empty()
    }
    pub(crate) fn clear(&mut self) {
        unimplemented!()
    }
    pub(crate) fn byte_capacity(&self) -> usize {
        unimplemented!()
    }
    pub(crate) fn known(&self) -> Known {
        self.known
    }
    pub(crate) fn removed(&self) -> Known {
        self.removed
    }
}
