//! What handlers may return, and what header values may be given as.

use crate::error::{Error, Result};

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl Sealed for super::Result<()> {}
    impl Sealed for super::Never {}

    /// Names what a function returns, by which `!` can be named as well.
    pub trait Returning {
        type Output;
    }

    impl<T> Returning for fn() -> T {
        type Output = T;
    }
}

/// The type `!` of what never returns. From edition 2024 on it is the type of closures such as
/// `|| std::process::exit(1)` or `|_| panic!()`, and stable Rust names it in no other way.
type Never = <fn() -> ! as sealed::Returning>::Output;

/// What a handler returns: nothing, or a `Result`, so that `?` works in it.
///
/// An `Err` is logged and ends the handler's exchange: with 500 where no byte of the response was sent,
/// else by closing the connection.
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result<()>;
}

impl Outcome for () {
    #[inline]
    fn into_result(self) -> Result<()> {
        Ok(())
    }
}

impl Outcome for Never {
    fn into_result(self) -> Result<()> {
        self
    }
}

impl Outcome for Result<(), Error> {
    #[inline]
    fn into_result(self) -> Result<()> {
        self
    }
}

/// What a header value may be given as: text, bytes, or an integer.
///
/// ```
/// # let mut event_loop = onloop::EventLoop::new()?;
/// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
/// res.set_header("X-Text", "text")?;
/// res.set_header("X-Bytes", &b"\xe9"[..])?;
/// res.set_header("Content-Length", 5)?;
/// res.end("hello");
/// # Ok(())
/// # });
/// # Ok::<(), onloop::Error>(())
/// ```
pub trait HeaderValue {
    /// Runs `work` with the value's bytes.
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R;
}

macro_rules! bytes_values {
    ($($type:ty),*) => {$(
        impl HeaderValue for $type {
            #[inline]
            fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
                work(self.as_ref())
            }
        }
    )*};
}

bytes_values!([u8], Vec<u8>);

impl HeaderValue for str {
    #[inline(always)]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        work(self.as_bytes())
    }
}

impl HeaderValue for String {
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        work(self.as_bytes())
    }
}

impl<const N: usize> HeaderValue for [u8; N] {
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        work(self)
    }
}

#[cfg(feature = "bytes")]
bytes_values!(bytes::Bytes);

#[cfg(feature = "http")]
impl HeaderValue for http::HeaderValue {
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        work(self.as_bytes())
    }
}

impl<T: HeaderValue + ?Sized> HeaderValue for &T {
    #[inline(always)]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        (**self).with_bytes(work)
    }
}

macro_rules! integer_values {
    ($($type:ty),*) => {$(
        impl HeaderValue for $type {
            fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
                work(itoa::Buffer::new().format(*self).as_bytes())
            }
        }
    )*};
}

integer_values!(u8, u16, u32, u64, usize, i32, i64);
