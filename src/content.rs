//! What users may give as content: borrowed, owned or shared bytes.

use std::borrow::Cow;

/// A piece of content to send. Everything that takes content takes `impl Into<Chunk>`, so strings,
/// slices, vectors and `bytes::Bytes` are given as they are.
///
/// Borrowed content is copied; from 16 KiB on, content that is given away ([`Chunk::Owned`],
/// [`Chunk::Shared`]) is sent from where it is.
///
/// ```
/// use onloop::http::Chunk;
/// assert_eq!(Chunk::from("text").as_slice(), b"text");
/// assert_eq!(Chunk::from(vec![1, 2, 3]).len(), 3);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Chunk<'a> {
    /// Bytes that the caller keeps.
    Borrowed(&'a [u8]),
    /// Bytes that are given away.
    Owned(Vec<u8>),
    /// Bytes that are shared: never copied when large.
    #[cfg(feature = "bytes")]
    Shared(bytes::Bytes),
}

impl Chunk<'_> {
    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Chunk::Borrowed(bytes) => bytes,
            Chunk::Owned(bytes) => bytes,
            #[cfg(feature = "bytes")]
            Chunk::Shared(bytes) => bytes,
        }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True where there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a str> for Chunk<'a> {
    fn from(text: &'a str) -> Self {
        Chunk::Borrowed(text.as_bytes())
    }
}

impl<'a> From<&'a String> for Chunk<'a> {
    fn from(text: &'a String) -> Self {
        Chunk::Borrowed(text.as_bytes())
    }
}

impl From<String> for Chunk<'_> {
    fn from(text: String) -> Self {
        Chunk::Owned(text.into_bytes())
    }
}

impl<'a> From<&'a [u8]> for Chunk<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Chunk::Borrowed(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Chunk<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Chunk::Borrowed(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Chunk<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Chunk::Borrowed(bytes)
    }
}

impl From<Vec<u8>> for Chunk<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Chunk::Owned(bytes)
    }
}

impl<'a> From<Cow<'a, str>> for Chunk<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl<'a> From<Cow<'a, [u8]>> for Chunk<'a> {
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => bytes.into(),
            Cow::Owned(bytes) => bytes.into(),
        }
    }
}

#[cfg(feature = "bytes")]
impl From<bytes::Bytes> for Chunk<'_> {
    fn from(bytes: bytes::Bytes) -> Self {
        Chunk::Shared(bytes)
    }
}

#[cfg(feature = "bytes")]
impl<'a> From<&'a bytes::Bytes> for Chunk<'a> {
    fn from(bytes: &'a bytes::Bytes) -> Self {
        Chunk::Shared(bytes.clone())
    }
}
