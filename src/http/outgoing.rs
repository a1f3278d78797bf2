//! What a response and a client request have in common: fields, content, the end, and being told of it.

/// The methods of an outgoing message. The macro is used for exactly the two handles that are one:
/// `Response` and `ClientRequest`.
macro_rules! outgoing_methods {
    () => {
        /// Sets a field; fields of the same name are replaced, in the place of the first. Sent in this
        /// spelling. (Node: `setHeader`)
        ///
        /// # Errors
        /// `ERR_HTTP_HEADERS_SENT` after the head was sent, `ERR_INVALID_HTTP_TOKEN` for a name that is no
        /// token, `ERR_INVALID_CHAR` for a value with control characters,
        /// `ERR_HTTP_INVALID_HEADER_VALUE` for a `Content-Length` that is no number or a
        /// `Transfer-Encoding` that does not end in `chunked`, `ERR_STREAM_DESTROYED` when the message is
        /// over. Nothing is changed then, and nothing is on the wire.
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
                    crate::engine::set_field(outgoing, name, value, false)
                })
            })
        }

        /// Adds a field behind those of the same name. (Node: `appendHeader`)
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
            value.with_bytes(|value| {
                self.head_mut(name, |outgoing| {
                    crate::engine::set_field(outgoing, name, value, true)
                })
            })
        }

        /// Removes a field. One that would be added by itself (`Date`, `Connection`, `Content-Length`,
        /// `Transfer-Encoding`, `Host`) is left out. (Node: `removeHeader`)
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

        /// A field of this name is set. (Node: `hasHeader`)
        pub fn has_header(&self, name: impl AsRef<str>) -> bool {
            let name = name.as_ref().as_bytes();
            self.ask(|active| active.outgoing.fields.has(name))
        }

        /// Adds a trailer field, sent behind chunked content; without chunks it is dropped. Announce it
        /// with a `Trailer` field, which also makes the content chunked. (Node: `addTrailers`)
        ///
        /// # Errors
        /// As [`Self::set_header`], and `ERR_HTTP_HEADERS_SENT` once the message was ended.
        pub fn add_trailer(
            &self,
            name: impl AsRef<str>,
            value: impl crate::http::HeaderValue,
        ) -> crate::Result<()> {
            let name = name.as_ref();
            let add = |core: &mut crate::engine::Core, value: &[u8]| {
                let Some(active) = core.exchange(self.id) else {
                    return Err(crate::engine::gone());
                };
                if active.outgoing.is_ended() {
                    return Err(crate::engine::headers_sent("trailers"));
                }
                crate::engine::check_trailer(name)?;
                let added = active.outgoing.trailers.append(name.as_bytes(), value);
                added.map_err(|error| crate::engine::field_error(error, name))
            };
            let result = value.with_bytes(|value| self.shell.with(|core| add(core, value)));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
        }

        /// Sends the head now, ahead of any content. (Node: `flushHeaders`)
        pub fn flush_headers(&self) {
            self.shell.with(|core| core.flush_headers(self.id));
        }

        /// Sends content. Without `Content-Length` it is chunked, or ends with the connection for a peer of
        /// HTTP/1.0. False: enough waits to be sent (`high_water_mark`), or the message is over and nothing
        /// was taken; stop and go on in `on_drain`. (Node: `write`)
        ///
        /// The bytes go to the system when the present callback returns: several writes are one call.
        #[inline]
        pub fn write<'a>(&self, content: impl Into<crate::http::Chunk<'a>>) -> bool {
            let content = content.into();
            self.shell.with(|core| core.write(self.id, content)).unwrap_or(false)
        }

        /// Ends the message, with its last or only content; `""` for none. Content given only here gets a
        /// `Content-Length`. A second `end` does nothing. (Node: `end`)
        #[inline]
        pub fn end<'a>(&self, content: impl Into<crate::http::Chunk<'a>>) {
            let content = content.into();
            self.shell.with(|core| core.end(self.id, content));
        }

        /// Sets what is called each time that there is room again after `write` has returned false.
        /// Replaces the callback that was set before. (Node: `'drain'`)
        pub fn on_drain<R: crate::http::Outcome>(&self, mut callback: impl FnMut() -> R + 'static) {
            let mut callback: Option<crate::engine::HookMut> =
                Some(Box::new(move || callback().into_result()));
            let displaced =
                self.shell.with(|core| core.callbacks(self.id)?.drain.replace(callback.take()));
            drop(displaced);
        }

        /// Removes the callback of `on_drain`. (Node: `off('drain')`)
        pub fn off_drain(&self) {
            let displaced = self.shell.with(|core| core.callbacks(self.id)?.drain.replace(None));
            drop(displaced);
        }

        /// Sets what is called once when the system has taken the last byte. (Node: `'finish'`)
        pub fn on_finish<R: crate::http::Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
            super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.finish, callback);
        }

        /// Sets what is called once and last, when the exchange is over, well or not. (Node: `'close'`)
        pub fn on_close<R: crate::http::Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
            super::set_hook(self.shell, self.id, |callbacks| &mut callbacks.close, callback);
        }

        /// Sets what is called when the exchange fails, before `on_close`; never inside a call. An error of
        /// the incoming message goes to that message's `on_error` where it is set. (Node: `'error'`)
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

        /// Sets what is called when nothing has moved for as long as `set_timeout` says: once, until
        /// something moves again or it is set anew. It only tells; `destroy` ends. (Node: `'timeout'`)
        pub fn on_timeout<R: crate::http::Outcome>(
            &self,
            mut callback: impl FnMut() -> R + 'static,
        ) {
            let mut callback: Option<crate::engine::HookMut> =
                Some(Box::new(move || callback().into_result()));
            let displaced =
                self.shell.with(|core| core.callbacks(self.id)?.timeout.replace(callback.take()));
            drop(displaced);
        }

        /// Removes the callback of `on_timeout`. (Node: `off('timeout')`)
        pub fn off_timeout(&self) {
            let displaced = self.shell.with(|core| core.callbacks(self.id)?.timeout.replace(None));
            drop(displaced);
        }

        /// After so long without a byte in either direction `on_timeout` is called; zero turns it off.
        /// (Node: `setTimeout`)
        pub fn set_timeout(&self, timeout: std::time::Duration) {
            self.shell.with(|core| core.set_exchange_timeout(self.id, timeout));
        }

        /// Ends the exchange by closing its connection, whatever was sent. (Node: `destroy`)
        pub fn destroy(&self) {
            self.shell.with(|core| core.destroy(self.id, None));
        }

        /// The same; `on_error` is called with `error`.
        pub fn destroy_with(&self, error: crate::Error) {
            self.shell.with(|core| core.destroy(self.id, Some(error)));
        }

        /// The message can still be written to: it was not ended, and its exchange goes on.
        pub fn is_open(&self) -> bool {
            self.shell.with(|core| core.is_writable(self.id)).unwrap_or(false)
        }

        /// The head was rendered, though it may still wait to be sent. (Node: `headersSent`)
        pub fn headers_sent(&self) -> bool {
            self.ask(|active| active.outgoing.head_is_sent())
        }

        /// Bytes that wait to be sent on the connection, framing included. (Node: `writableLength`)
        pub fn writable_length(&self) -> usize {
            let length =
                self.shell.with(|core| core.exchange(self.id).map(|active| active.output.len()));
            length.flatten().unwrap_or(0)
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

        fn ask(&self, question: impl FnOnce(&mut crate::engine::slot::Active) -> bool) -> bool {
            self.shell.with(|core| core.exchange(self.id).is_some_and(question)).unwrap_or(false)
        }
    };
}

/// `std::io::Write` for a handle: writes never block and take everything; backpressure is told by the
/// handle's own `write`.
macro_rules! io_write {
    ($type:ty) => {
        impl std::io::Write for $type {
            fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
                std::io::Write::write(&mut &*self, buffer)
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for &$type {
            fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
                if !<$type>::is_open(self) {
                    return Err(crate::engine::gone().into());
                }
                <$type>::write(self, buffer);
                Ok(buffer.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {io_write, outgoing_methods};
