//! What all that can be written to has in common: content, backpressure, the end, and being told of it.

/// The methods of what can be written to: `Response`, `ClientRequest` and `Socket`.
macro_rules! writable_methods {
    () => {
        /// Sends content. Of a message without `Content-Length` it is chunked, or ends with the connection for
        /// a peer of HTTP/1.0. False: enough waits to be sent (`high_water_mark`), or nothing was taken since
        /// the message is over, which is logged; stop and go on in `on_drain`. Content of a response that has
        /// none (to HEAD, or of status 204, 205 or 304) is dropped. (Node: `write`)
        ///
        /// The bytes go to the system when the present callback returns: several writes are one call.
        #[inline]
        pub fn write<'a>(&self, content: impl Into<crate::http::Chunk<'a>>) -> bool {
            let content = content.into();
            self.shell.with(|core| core.write(self.id, content)).unwrap_or(false)
        }

        /// The same, and says why nothing was taken. (Node: the error that `write` gives to its callback)
        ///
        /// # Errors
        /// `ERR_STREAM_WRITE_AFTER_END` after `end`, `ERR_STREAM_DESTROYED` when the exchange is over or about
        /// to be, `ERR_HTTP_CONTENT_LENGTH_MISMATCH` for more than the `Content-Length` where
        /// `set_strict_content_length` is on, `ERR_HTTP_BODY_NOT_ALLOWED` where the server's
        /// `reject_non_standard_body_writes` is on and the response has no content,
        /// `ERR_BUFFER_OUT_OF_BOUNDS` where more than `max_buffered` waits, which ends the exchange.
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// assert!(res.try_write("content")?);
        /// res.end("");
        /// assert_eq!(res.try_write("more").unwrap_err().code(), "ERR_STREAM_WRITE_AFTER_END");
        /// # Ok(())
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn try_write<'a>(
            &self,
            content: impl Into<crate::http::Chunk<'a>>,
        ) -> crate::Result<bool> {
            let content = content.into();
            let result = self.shell.with(|core| core.write_content(self.id, content, false));
            result.map_or_else(|| Err(crate::engine::gone()), |result| Ok(result?))
        }

        /// Ends the message, with its last or only content; `""` for none. Content given only here gets a
        /// `Content-Length`. A second `end` does nothing. Of a socket, the end of our side of the stream
        /// follows; the peer may go on sending, for as long as it likes where no `set_timeout` says otherwise.
        /// (Node: `end`)
        #[inline]
        pub fn end<'a>(&self, content: impl Into<crate::http::Chunk<'a>>) {
            let content = content.into();
            self.shell.with(|core| core.end(self.id, content));
        }

        /// The same, and says why nothing was done.
        ///
        /// # Errors
        /// `ERR_STREAM_ALREADY_FINISHED` for a second end, and `ERR_STREAM_WRITE_AFTER_END` where it has
        /// content. Else as [`Self::try_write`], and `ERR_HTTP_CONTENT_LENGTH_MISMATCH` also for less than the
        /// `Content-Length`; the message can still be ended then.
        pub fn try_end<'a>(&self, content: impl Into<crate::http::Chunk<'a>>) -> crate::Result<()> {
            let content = content.into();
            let result = self.shell.with(|core| core.try_end(self.id, content));
            result.map_or_else(|| Err(crate::engine::gone()), |result| Ok(result?))
        }

        /// Holds back what is written until [`Self::uncork`] was called as often, or until the end. Chunked
        /// content that was held leaves as one chunk. It counts as buffered: `write` returns false at the
        /// high-water mark, and `on_drain` waits for the end of the cork. Informational responses are not
        /// held. (Node: `cork`)
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let lp = event_loop.handle();
        /// # let server = onloop::http::create_server(lp, move |_req, res| {
        /// res.cork();
        /// res.write("one piece, ");
        /// lp.set_timeout(std::time::Duration::from_millis(10), move || {
        ///     res.write("although it comes in two");
        ///     res.uncork();
        /// });
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn cork(&self) {
            self.shell.with(|core| core.cork(self.id));
        }

        /// Undoes one [`Self::cork`]; with the last one, what was held is sent. (Node: `uncork`)
        pub fn uncork(&self) {
            self.shell.with(|core| core.uncork(self.id));
        }

        /// How many calls of [`Self::uncork`] it takes. (Node: `writableCorked`)
        pub fn writable_corked(&self) -> u32 {
            self.shell.with(|core| core.corked_count(self.id)).unwrap_or(0)
        }

        /// Sets what is called once when the system has taken everything that was written so far, head and
        /// informational responses included; with an error when the connection ends before. Those of one
        /// message are called in order, after `on_drain` and before `on_finish`. (Node: the callback of
        /// `write`, `end` and `writeContinue`)
        ///
        /// # Errors
        /// `ERR_STREAM_DESTROYED` when the message is over; `ERR_OUT_OF_RANGE` where 1,024 such callbacks wait
        /// on it. The callback is dropped then.
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.write("first part");
        /// res.on_written(move |result| match result {
        ///     Ok(()) => res.end("second part"),
        ///     Err(error) => eprintln!("the client is gone: {error}"),
        /// })
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn on_written<R: crate::http::Outcome>(
            &self,
            callback: impl FnOnce(crate::Result<()>) -> R + 'static,
        ) -> crate::Result<()> {
            let mut callback: Option<crate::engine::callbacks::WrittenFn> =
                Some(Box::new(move |result| callback(result).into_result()));
            let result = self.shell.with(|core| core.on_written(self.id, &mut callback));
            result.unwrap_or_else(|| Err(crate::engine::gone()))
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

        /// Sets what is called once when the message was ended and the system has taken the last byte.
        /// (Node: `'finish'`)
        pub fn on_finish<R: crate::http::Outcome>(&self, callback: impl FnOnce() -> R + 'static) {
            super::set_hook(
                self.shell,
                self.id,
                |callbacks| &mut callbacks.more_mut().finish,
                callback,
            );
        }

        /// Sets what is called when nothing has moved for as long as `set_timeout` says. It only tells;
        /// `destroy` ends. (Node: `'timeout'`)
        pub fn on_timeout<R: crate::http::Outcome>(
            &self,
            mut callback: impl FnMut() -> R + 'static,
        ) {
            let mut callback: Option<crate::engine::HookMut> =
                Some(Box::new(move || callback().into_result()));
            let displaced = self
                .shell
                .with(|core| core.callbacks(self.id)?.more_mut().timeout.replace(callback.take()));
            drop(displaced);
        }

        /// Removes the callback of `on_timeout`. (Node: `off('timeout')`)
        pub fn off_timeout(&self) {
            let displaced =
                self.shell.with(|core| core.callbacks(self.id)?.more_mut().timeout.replace(None));
            drop(displaced);
        }

        /// Ends the exchange by closing its connection, whatever was sent. A response that was ended before,
        /// and what was written to a socket, still goes out as far as the system takes it at once.
        /// (Node: `destroy`)
        pub fn destroy(&self) {
            self.shell.with(|core| core.destroy(self.id, None));
        }

        /// The same; `on_error` is called with `error`.
        pub fn destroy_with(&self, error: crate::Error) {
            self.shell.with(|core| core.destroy(self.id, Some(error)));
        }

        /// It can still be written to: it was not ended, and its exchange goes on.
        pub fn is_open(&self) -> bool {
            self.shell.with(|core| core.is_writable(self.id)).unwrap_or(false)
        }

        /// It was ended, or its exchange is over. Inside of `on_finish` and `on_close` it tells how the exchange
        /// ended. (Node: `writableEnded`)
        pub fn writable_ended(&self) -> bool {
            let over = self.shell.with(|core| core.progress_of(self.id)).flatten();
            over.is_none_or(|over| over.ended)
        }

        /// It was ended and the system has taken the last byte. It can be asked up to and inside of `on_close`;
        /// afterwards it is false. (Node: `writableFinished`)
        ///
        /// ```
        /// # let mut event_loop = onloop::EventLoop::new()?;
        /// # let server = onloop::http::create_server(event_loop.handle(), |_req, res| {
        /// res.on_close(move || {
        ///     if !res.writable_finished() {
        ///         eprintln!("the client went away before it had all of the answer");
        ///     }
        /// });
        /// res.end("hello");
        /// # });
        /// # Ok::<(), onloop::Error>(())
        /// ```
        pub fn writable_finished(&self) -> bool {
            let over = self.shell.with(|core| core.progress_of(self.id)).flatten();
            over.is_some_and(|over| over.finished)
        }

        /// The exchange is over, or was destroyed and is about to be. (Node: `destroyed`)
        pub fn is_destroyed(&self) -> bool {
            self.shell.with(|core| core.is_destroyed(self.id)).unwrap_or(true)
        }

        /// Bytes that wait to be sent on the connection, framing included. (Node: `writableLength`)
        pub fn writable_length(&self) -> usize {
            let length =
                self.shell.with(|core| core.exchange(self.id).map(|active| active.unsent_bytes()));
            length.flatten().unwrap_or(0)
        }

        /// From so many waiting bytes on `write` returns false; 0 when the exchange is over.
        /// (Node: `writableHighWaterMark`)
        pub fn writable_high_water_mark(&self) -> usize {
            self.shell.with(|core| core.high_water_mark(self.id)).unwrap_or(0)
        }

        /// `write` has returned false, and `on_drain` was not called since. (Node: `writableNeedDrain`)
        pub fn writable_need_drain(&self) -> bool {
            let owed =
                self.shell.with(|core| core.exchange(self.id).map(|active| active.need_drain));
            owed.flatten().unwrap_or(false)
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
                <$type>::try_write(self, buffer)?;
                Ok(buffer.len())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

pub(super) use {io_write, writable_methods};
