//! Heads from and to the types of the `http` crate, for programs that speak it elsewhere. Nothing on the
//! way of a request uses them.

use http::Version;

use crate::LoopHandle;
use crate::error::{Error, Result};
use crate::http::{ClientRequest, IncomingResponse, Request, Response, request};

impl Request {
    /// The head in the types of the `http` crate.
    ///
    /// # Errors
    /// The `http` crate does not take a part of it, such as a target that its `Uri` refuses.
    pub fn to_http(&self) -> Result<http::Request<()>> {
        let mut builder = http::Request::builder().method(self.method()).uri(self.url());
        builder = builder.version(version(self.http_version()));
        for (name, value) in self.headers() {
            builder = builder.header(name, value);
        }
        builder.body(()).map_err(refused)
    }
}

impl IncomingResponse {
    /// The head in the types of the `http` crate. The reason phrase has no place there.
    ///
    /// # Errors
    /// The `http` crate does not take a part of it.
    pub fn to_http(&self) -> Result<http::Response<()>> {
        let mut builder = http::Response::builder().status(self.status());
        builder = builder.version(version(self.http_version()));
        for (name, value) in self.headers() {
            builder = builder.header(name, value);
        }
        builder.body(()).map_err(refused)
    }
}

impl Response {
    /// Takes over status and fields of a head in the types of the `http` crate; fields of these names that
    /// were set before are replaced. The version is this crate's own matter.
    ///
    /// # Errors
    /// As [`Response::set_header`], and `ERR_HTTP_INVALID_STATUS_CODE` for an informational status.
    ///
    /// ```
    /// # let mut event_loop = onloop::EventLoop::new()?;
    /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
    /// let head = http::Response::builder().status(201).header("Location", "/things/7").body(()).unwrap();
    /// res.set_http(&head)?;
    /// res.end("");
    /// # Ok(())
    /// # });
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn set_http<T>(&self, head: &http::Response<T>) -> Result<()> {
        self.check_final_status(head.status().as_u16())?;
        self.set_headers(head.headers())?;
        self.set_status(head.status().as_u16());
        Ok(())
    }
}

/// Starts a request from a head in the types of the `http` crate, whose URI must be absolute.
///
/// # Errors
/// As [`request`] and [`ClientRequest::set_header`].
///
/// ```
/// # let mut event_loop = onloop::EventLoop::new()?;
/// let head = http::Request::get("http://localhost:8080/").header("Accept", "text/plain").body(()).unwrap();
/// let request = onloop::http::request_from_http(event_loop.handle(), &head)?;
/// request.end("");
/// # Ok::<(), onloop::Error>(())
/// ```
pub fn request_from_http<T>(lp: LoopHandle, head: &http::Request<T>) -> Result<ClientRequest> {
    let made = request(lp, head.method(), head.uri().to_string())?;
    match made.set_headers(head.headers()) {
        Ok(()) => Ok(made),
        Err(error) => {
            made.destroy();
            Err(error)
        }
    }
}

fn version(text: &str) -> Version {
    match text {
        "1.0" => Version::HTTP_10,
        _ => Version::HTTP_11,
    }
}

fn refused(error: http::Error) -> Error {
    Error::local(
        "ERR_INVALID_ARG_VALUE",
        format!("the http crate does not take this head: {error}"),
    )
}
