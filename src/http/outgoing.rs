//! What a response and a client request have in common: fields, the head, how the exchange ends.

use crate::engine::set_field;
use crate::engine::{Core, Place};
use crate::error::Result;
use crate::h1::FieldList;
use crate::http::HeaderValue;
use crate::shell::LoopShell;

/// Gathers fields that are set together, and checks them. User code runs for each, so nothing is borrowed.
pub(super) fn gather<N: AsRef<str>, V: HeaderValue>(
    shell: &'static LoopShell,
    fields: impl IntoIterator<Item = (N, V)>,
) -> Result<FieldList> {
    let mut list = shell.with(|core: &mut Core| core.pool.fields()).unwrap_or_default();
    for (name, value) in fields {
        let name = name.as_ref();
        value.with_bytes(|value| set_field(&mut list, name, value, Place::Behind))?;
    }
    Ok(list)
}

/// The methods of an outgoing message. The macro is used for exactly the two handles that are one:
/// `Response` and `ClientRequest`.
macro_rules! outgoing_methods {
    () => {
        /// Sets a field; fields of the same name are replaced, in the place of the first. Sent in this
        /// spelling. (Node: `setHeader`)
        ///
        /// # Errors
        /// `ERR_HTTP_HEADERS_SENT` after the head was sent, `ERR_INVALID_HTTP_TOKEN` for a name that is no
        /// token, or is `Content-Length` or `Transfer-Encoding` but for the character in the hyphen's place
        /// (others may take it for one), `ERR_INVALID_CHAR` for a value with control characters,
        /// `ERR_HTTP_INVALID_HEADER_VALUE` for a `Content-Length` that is no number or a
        /// `Transfer-Encoding` that does not end in `chunked` or a `Host` that names none, `ERR_STREAM_DESTROYED` when
        /// the message is over. Nothing is changed then, and nothing is on the wire.
        #[inline(always)]
        pub fn set_header(
            &self,
            name: impl AsRef<str>,
            value: impl crate::http::HeaderValue,
        ) -> crate::Result<()> {
            let name = name.as_ref();
            // In this order: the value may be of the user's making, and the head is borrowed only within.
            value.with_bytes(|value| {
                self.head_mut(name, |outgoing| {
                    crate::engine::set_field(
                        &mut outgoing.fields,
                        name,
                        value,
                        crate::engine::Place::Only,
                    )
                })
            })
        }

        /// Adds a field behind those of the same name. `Cookie`, and what the server's `unique_headers` name,
        /// stays one line: the value is joined behind `; `. (Node: `appendHeader`)
        ///
        /// # Errors
        /// As [`Self::set_header`].
        pub fn append_header(
            &self,
            name: impl AsRef<str>,
            value: impl crate::http::HeaderValue,
        ) -> crate::Result<()> {
            let name = name.as_ref();
            // In this order: the value may be of the user's making, and the head is borrowed only within.
            let result = value.with_bytes(|value| {
                self.shell.with(|core| core.append_field(self.id, name, value))
            });
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Sets a field to several values, a line for each; what was set before is replaced. Without any value
        /// the field is not sent. `Cookie`, and what the server's `unique_headers` name, is one line, joined by
        /// `; `. (Node: `setHeader` with an array)
        ///
        /// # Errors
        /// As [`Self::set_header`].
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.set_header_all("Set-Cookie", ["a=1", "b=2"])?;
        /// assert_eq!(res.header_all("set-cookie"), [b"a=1", b"b=2"]);
        /// res.end("");
        /// # Ok(())
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn set_header_all<V: crate::http::HeaderValue>(
            &self,
            name: impl AsRef<str>,
            values: impl IntoIterator<Item = V>,
        ) -> crate::Result<()> {
            let name = name.as_ref();
            let lines = values.into_iter().map(|value| (name, value));
            let list = crate::http::outgoing::gather(self.shell, lines)?;
            if list.is_empty() {
                return self.head_mut(name, |outgoing| {
                    outgoing.fields.remove_quietly(name.as_bytes());
                    Ok(())
                });
            }
            let result = self.shell.with(|core| core.set_fields(self.id, list, None));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Sets many fields. The first of a name replaces what was set before, further ones of the same name
        /// are added. Pairs are taken, and references to the `http` crate's `HeaderMap`. (Node: `setHeaders`)
        ///
        /// # Errors
        /// As [`Self::set_header`]; where one is refused, none is set.
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.set_headers([("Content-Type", "text/plain"), ("Vary", "Accept"), ("Vary", "Cookie")])?;
        /// assert_eq!(res.header_names(), ["content-type", "vary"]);
        /// res.end("");
        /// # Ok(())
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn set_headers<N: AsRef<str>, V: crate::http::HeaderValue>(
            &self,
            fields: impl IntoIterator<Item = (N, V)>,
        ) -> crate::Result<()> {
            let list = crate::http::outgoing::gather(self.shell, fields)?;
            let result = self.shell.with(|core| core.set_fields(self.id, list, None));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Removes a field. One that would be added by itself (`Date`, `Connection`, `Content-Length`,
        /// `Transfer-Encoding`, `Host`) is left out. Only a request with content has one of `Content-Length` and
        /// `Transfer-Encoding` all the same: the server would read the content as the next request.
        /// (Node: `removeHeader`)
        ///
        /// # Errors
        /// `ERR_HTTP_HEADERS_SENT` after the head was sent, `ERR_STREAM_DESTROYED` when the message is over.
        pub fn remove_header(&self, name: impl AsRef<str>) -> crate::Result<()> {
            let name = name.as_ref();
            self.head_mut(name, |outgoing| {
                outgoing.fields.remove(name.as_bytes());
                Ok(())
            })
        }

        /// The value of the first field of this name, as set. (Node: `getHeader`)
        pub fn header(&self, name: impl AsRef<str>) -> Option<Vec<u8>> {
            let name = name.as_ref().as_bytes();
            self.shell
                .with(|core| {
                    let fields = &core.exchange(self.id)?.outgoing.fields;
                    fields.first(name).map(<[u8]>::to_vec)
                })
                .flatten()
        }

        /// The values of all fields of this name, in order. (Node: `getHeader` of an array)
        pub fn header_all(&self, name: impl AsRef<str>) -> Vec<Vec<u8>> {
            let name = name.as_ref().as_bytes();
            self.list(|fields| fields.all(name).map(<[u8]>::to_vec).collect())
        }

        /// The names of the fields that were set, once each, in lower case, in the order of their lines.
        /// What is added by itself is not among them. (Node: `getHeaderNames`)
        pub fn header_names(&self) -> Vec<String> {
            let mut names = self.raw_header_names();
            names.iter_mut().for_each(|name| name.make_ascii_lowercase());
            names
        }

        /// The same as they were spelled. (Node: `getRawHeaderNames`)
        pub fn raw_header_names(&self) -> Vec<String> {
            self.list(|fields| {
                let mut seen = std::collections::HashSet::new();
                let names = fields.iter().map(|(name, _)| name);
                names
                    .filter(|name| seen.insert(crate::h1::AnyCase(name)))
                    .map(|name| String::from_utf8_lossy(name).into_owned())
                    .collect()
            })
        }

        /// The fields that were set, one pair for each line, as they are sent. (Node: `getHeaders`)
        pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
            self.list(|fields| {
                let lines = fields.iter();
                lines
                    .map(|(name, value)| {
                        (String::from_utf8_lossy(name).into_owned(), value.to_vec())
                    })
                    .collect()
            })
        }

        /// A field of this name is set. (Node: `hasHeader`)
        pub fn has_header(&self, name: impl AsRef<str>) -> bool {
            let name = name.as_ref().as_bytes();
            self.ask(|active| active.outgoing.fields.has(name))
        }

        /// Adds a trailer field, sent behind chunked content; without chunks it is dropped. Announce it
        /// with a `Trailer` field, which also makes the content chunked.
        ///
        /// # Errors
        /// As [`Self::set_header`], `ERR_HTTP_TRAILER_INVALID` for a field that has no place behind the content,
        /// and `ERR_HTTP_HEADERS_SENT` once the message was ended.
        pub fn add_trailer(
            &self,
            name: impl AsRef<str>,
            value: impl crate::http::HeaderValue,
        ) -> crate::Result<()> {
            let name = name.as_ref();
            let result = value
                .with_bytes(|value| self.shell.with(|core| core.add_trailer(self.id, name, value)));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Adds several trailer fields. (Node: `addTrailers`)
        ///
        /// # Errors
        /// As [`Self::add_trailer`]; where one is refused, none is added.
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.set_header("Trailer", "Digest, X-Time")?;
        /// res.write("content");
        /// res.add_trailers([("Digest", "sha-256=..."), ("X-Time", "3")])?;
        /// res.end("");
        /// # Ok(())
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn add_trailers<N: AsRef<str>, V: crate::http::HeaderValue>(
            &self,
            fields: impl IntoIterator<Item = (N, V)>,
        ) -> crate::Result<()> {
            let list = crate::http::outgoing::gather(self.shell, fields)?;
            let result = self.shell.with(|core| core.add_trailers(self.id, list));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Sends the head now, ahead of any content. (Node: `flushHeaders`)
        pub fn flush_headers(&self) {
            self.shell.with(|core| core.flush_headers(self.id));
        }

        /// Content that does not fit the `Content-Length` is refused instead of dropped: a `write` of too much,
        /// and an `end` with too little, take nothing, say `ERR_HTTP_CONTENT_LENGTH_MISMATCH` (where they are
        /// [`Self::try_write`] and [`Self::try_end`]; the others log it), and the message goes on. Default:
        /// false; a piece that is too much is dropped, with all that follows it, and with too little the
        /// connection is closed, so that the peer sees the truncation. (Node: `strictContentLength`)
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.set_strict_content_length(true);
        /// res.set_header("Content-Length", 5)?;
        /// res.write("hell");
        /// let refused = res.try_end("oh").unwrap_err();
        /// assert_eq!(refused.code(), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
        /// res.try_end("o")
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn set_strict_content_length(&self, strict: bool) {
            self.ask(|active| {
                active.outgoing.set_strict(strict);
                true
            });
        }

        /// Sets what is called once and last, when the exchange is over, well or not. (Node: `'close'`)
        pub fn on_close<R: crate::http::Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
            super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.close, callback);
        }

        /// Sets what is called when the exchange fails, before `on_close`; never inside a call. An error of
        /// the incoming message goes to that message's `on_error` where it is set, and nowhere else once a
        /// response was sent as a whole. Where this is not set, that message's `on_error` is told of what
        /// breaks this one off. (Node: `'error'`)
        pub fn on_error<R: crate::http::Outcome>(
            &self,
            callback: impl FnOnce(crate::Error) -> R + 'static,
        ) {
            super::set_error_hook(
                self.shell,
                self.id,
                |callbacks| &mut callbacks.outgoing_error,
                callback,
            );
        }

        /// After so long without a byte in either direction `on_timeout` is called; zero turns it off.
        /// (Node: `setTimeout`)
        pub fn set_timeout(&self, timeout: std::time::Duration) {
            self.shell.with(|core| core.set_exchange_timeout(self.id, timeout));
        }

        /// The head is final, though it may still wait to be sent. (Node: `headersSent`)
        pub fn headers_sent(&self) -> bool {
            self.ask(|active| active.outgoing.head_is_sealed())
        }

        #[inline(always)]
        fn head_mut(
            &self,
            doing: &str,
            work: impl FnOnce(&mut crate::h1::Outgoing) -> crate::Result<()>,
        ) -> crate::Result<()> {
            let result = self.shell.with(|core| core.head_mut(self.id, doing).and_then(work));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        fn list<T: Default>(&self, work: impl FnOnce(&crate::h1::FieldList) -> T) -> T {
            let result =
                self.shell.with(|core| core.exchange(self.id).map(|a| work(&a.outgoing.fields)));
            result.flatten().unwrap_or_default()
        }

        fn ask(&self, question: impl FnOnce(&mut crate::engine::slot::Active) -> bool) -> bool {
            self.shell.with(|core| core.exchange(self.id).is_some_and(question)).unwrap_or(false)
        }
    };
}

pub(super) use outgoing_methods;
