//! Everything that a peer or a program can make grow, what bounds it, and what it is bounded to.
//!
//! Only numbers are here: each is enforced beside the code that it bounds. Clocks, which bound how long something
//! may take, are in [`ServerOptions`](crate::http::ServerOptions).

/// Declares the fields, their defaults, and a method that sets each of them: `fn name(argument: type) -> type of the
/// field = default, what the argument becomes;`.
macro_rules! limits {
    (
        $(#[$docs:meta])*
        struct $table:ident;
        $(
            $(#[$doc:meta])*
            fn $name:ident($argument:ident: $given:ty) -> $kept:ty = $default:expr, $value:expr;
        )*
    ) => {
        $(#[$docs])*
        #[derive(Debug, Clone)]
        pub struct $table {
            $(pub(crate) $name: $kept,)*
        }

        impl Default for $table {
            fn default() -> Self {
                $table { $($name: $default,)* }
            }
        }

        impl $table {
            /// The defaults.
            pub fn new() -> Self {
                $table::default()
            }

            $(
                $(#[$doc])*
                pub fn $name(mut self, $argument: $given) -> Self {
                    self.$name = $value;
                    self
                }
            )*
        }
    };
}

limits! {
    /// Every limit of a loop and of all that lives on it, in one table: given to
    /// [`LoopOptions::limits`](crate::LoopOptions::limits).
    ///
    /// What [`ServerOptions`](crate::http::ServerOptions), [`AgentOptions`](crate::http::AgentOptions) and
    /// [`RequestOptions`](crate::http::RequestOptions) set by the same name holds for that server, agent or request;
    /// what they do not set is the loop's. Whoever is refused, the others are served on. An error is of kind
    /// [`ErrorKind::Limit`](crate::ErrorKind::Limit) with the variant in the table; a server tells what its clients
    /// do to [`on_client_error`](crate::http::Server::on_client_error), and closes the connection behind its answer.
    ///
    /// ```
    /// use onloop::{EventLoop, Limits, LoopOptions};
    /// // A loop for small messages on a small machine.
    /// let limits = Limits::new()
    ///     .max_header_size(4 * 1024)
    ///     .max_body_size(64 * 1024)
    ///     .max_connections(1_000)
    ///     .max_partial_heads(1024 * 1024);
    /// let event_loop = EventLoop::with_options(LoopOptions::new().limits(limits))?;
    /// # Ok::<(), onloop::Error>(())
    /// ```
    ///
    /// # What comes in
    /// | limit | default | what it bounds | who hits it gets | `Limit` | test |
    /// |---|---|---|---|---|---|
    /// | `max_header_size` | 16 KiB | bytes of a head, and of a trailer section, received | 431 `HPE_HEADER_OVERFLOW` and close; a client's request fails with the code | `HeaderSize`, of trailers `Chunked` | `tests/limits_of_messages.rs::a_head_has_the_size_and_the_fields_that_the_loop_says` |
    /// | `max_headers_count` | 1,000 | fields of a head, and of a trailer section, received | the same | `HeadersCount`, of trailers `Chunked` | `tests/limits_of_messages.rs::a_head_has_the_size_and_the_fields_that_the_loop_says` |
    /// | `max_target_size` | 8 KiB | bytes of a request target | 414 `HPE_HEADER_OVERFLOW` and close | `Target` | `tests/limits_of_messages.rs::a_head_has_the_size_and_the_fields_that_the_loop_says` |
    /// | `max_method_size` | 32 | bytes of a method | 400 `HPE_INVALID_METHOD` and close | `Method` | `tests/limits_of_messages.rs::the_method_has_a_size` |
    /// | `max_empty_lines` | 4 | empty lines before a request line | 400 `HPE_INVALID_METHOD` and close | `EmptyLines` | `tests/limits_of_messages.rs::empty_lines_before_a_request_have_a_number` |
    /// | `max_partial_heads` | 64 MiB | bytes of request heads of which a part is here, on all connections of the loop | 503 `ERR_TOO_MANY_PARTIAL_HEADS` and close for the head that does not fit | `PartialHeads` | `tests/limits_of_heads.rs::a_partial_head_that_does_not_fit_is_answered_503` |
    /// | `max_extensions_per_chunk` | 4 KiB | bytes of extensions of one chunk | 413 `HPE_CHUNK_EXTENSIONS_OVERFLOW` and close; a client's request fails with the code | `Chunked` | `tests/limits_of_messages.rs::the_extensions_of_a_chunk_have_a_size` |
    /// | `max_extensions_per_message` | 16 KiB | bytes of extensions of all chunks of a message | the same | `Chunked` | `tests/limits_of_messages.rs::the_extensions_of_a_message_have_a_size` |
    /// | `max_body_size` | none | bytes of content of a request | 413 `ERR_HTTP_CONTENT_TOO_LARGE` and close | `Body` | `tests/limits_of_messages.rs::content_has_the_size_that_the_loop_says` |
    /// | `max_discarded` | 256 KiB | bytes of content that nobody wants, read and dropped to keep a connection | close, behind an answer that was given | | `tests/limits_of_messages.rs::content_that_nobody_wants_is_dropped_up_to_a_size` |
    /// | `max_informational` | 64 | informational responses to one request | the request fails with `ERR_HTTP_TOO_MANY_INFORMATIONAL`, in a tunnel's making with `ERR_PROXY_TUNNEL` | `Informational` | `tests/limits_of_clients.rs::informational_responses_have_a_number` |
    /// | `max_requests_per_socket` | none | requests on one connection | the last response says `Connection: close`, and what follows is told to `on_drop_request` | | `tests/limits_of_messages.rs::connections_and_their_requests_have_the_numbers_that_the_loop_says` |
    /// | `max_connections` | none | connections of one server | close at once, told to `on_drop`; `serve_connection` fails with `ERR_TOO_MANY_CONNECTIONS` | `Connections` | `tests/limits_of_messages.rs::connections_and_their_requests_have_the_numbers_that_the_loop_says` |
    /// | `max_connections_per_address` | none | connections of one server from one address | the same | `Connections` | `tests/limits_of_messages.rs::connections_and_their_requests_have_the_numbers_that_the_loop_says` |
    /// | `backlog` | 1,024 | connections that the system holds and nobody has accepted | what the system does: the client waits, and tries again | | `tests/limits_of_loops.rs::a_backlog_is_what_the_system_holds` |
    ///
    /// # What goes out
    /// | limit | default | what it bounds | who hits it gets | `Limit` | test |
    /// |---|---|---|---|---|---|
    /// | `high_water_mark` | 64 KiB | bytes of one message that wait to be sent, for who heeds it | `write` returns false, `on_drain` follows; no next request of the connection is looked at, no piped content is read | | `tests/limits_of_messages.rs::answers_that_wait_beyond_the_mark_keep_the_next_request_from_being_looked_at` |
    /// | `max_buffered` | 16 MiB | the same, for who does not | the exchange fails with `ERR_BUFFER_OUT_OF_BOUNDS` | `Buffered` | `tests/limits_of_messages.rs::a_message_that_nobody_reads_stops_at_the_marks_of_the_loop`, `tests/limits_of_messages.rs::a_byte_stream_stops_at_the_marks_of_its_server` |
    /// | `max_written_callbacks` | 1,024 | callbacks of `on_written` that wait on one message | the call fails with `ERR_OUT_OF_RANGE` | `WriteCallbacks` | `tests/limits_of_messages.rs::callbacks_that_wait_for_what_was_written_have_a_number` |
    /// | `max_kept_for_repetition` | 64 KiB | bytes of a request that were sent and are kept to be sent again | it is not made again: a redirect that needs them fails with `ERR_REDIRECT_CONTENT`, a retry does not happen | | `tests/limits_of_clients.rs::of_what_was_sent_so_much_is_kept_to_be_sent_again` |
    ///
    /// # Clients
    /// | limit | default | what it bounds | who hits it gets | `Limit` | test |
    /// |---|---|---|---|---|---|
    /// | `max_sockets` | none | connections of an agent to one origin | the request waits | | `tests/limits_of_clients.rs::agents_have_the_limits_of_their_loop_unless_they_say_otherwise` |
    /// | `max_total_sockets` | none | connections of an agent | the request waits | | `tests/limits_of_clients.rs::agents_have_the_limits_of_their_loop_unless_they_say_otherwise` |
    /// | `max_queued_requests` | 65,536 | requests of an agent that wait for a connection | the call fails with `ERR_AGENT_QUEUE_FULL` | `Requests` | `tests/limits_of_clients.rs::agents_have_the_limits_of_their_loop_unless_they_say_otherwise` |
    /// | `free_connections_per_origin` | 256 | free connections of an agent to one origin (`max_free_sockets` of an agent) | the connection is closed instead of kept | | `tests/limits_of_clients.rs::agents_have_the_limits_of_their_loop_unless_they_say_otherwise` |
    /// | `connection_attempts_max` | 8 | addresses that one request tries at the same time | the next address waits until one has failed | | `tests/limits_of_clients.rs::so_many_addresses_are_tried_at_the_same_time` |
    /// | `addresses_per_name` | 64 | addresses of a name | those behind are not used | | `tests/limits_of_clients.rs::so_many_addresses_of_a_name_are_used` |
    /// | `lookups_max` | 1,024 | names that are looked up at the same time | the request fails with `EAI_AGAIN` | `Lookups` | `tests/limits_of_clients.rs::so_many_names_are_looked_up_at_the_same_time` |
    /// | `lookup_threads` | 4 | threads that look names up | the name waits | | `tests/names.rs::with_one_thread_names_are_asked_for_in_order` |
    /// | `cached_names_max` | 256 | names whose addresses are remembered | the one that is good for the shortest time is forgotten | | `tests/limits_of_clients.rs::so_many_names_are_remembered_and_the_oldest_is_forgotten` |
    ///
    /// # The loop
    /// | limit | default | what it bounds | who hits it gets | `Limit` | test |
    /// |---|---|---|---|---|---|
    /// | `events_per_turn` | 1,024 | events that are taken from the system in one turn | the rest is for the next turn | | `tests/limits_of_loops.rs::a_turn_takes_so_many_events` |
    /// | `accepts_per_turn` | 64 | connections that one listener accepts in one go, of which a turn has two | the rest is for the next go | | `tests/limits_of_loops.rs::a_listener_accepts_so_many_connections_in_a_turn` |
    /// | `reads_per_turn` | 8 | reads from one connection in one go | the same | | `tests/limits_of_loops.rs::so_many_reads_of_so_many_bytes_are_made_of_a_connection_in_a_turn` |
    /// | `requests_per_turn` | 64 | pipelined requests of one connection that are served in one go, and calls that it is owed again and again | the same | | `tests/limits_of_loops.rs::so_many_requests_of_a_connection_are_served_in_a_turn` |
    /// | `write_bytes_per_turn` | 512 KiB | bytes of one connection that are written in one go | the same | | `tests/fairness_of_callbacks.rs::on_drain_for_a_client_that_takes_everything` |
    /// | `read_buffer` | 64 KiB | bytes of one read, and of one chunk in `on_data` | the rest stays with the system, and then with the peer | | `tests/limits_of_loops.rs::so_many_reads_of_so_many_bytes_are_made_of_a_connection_in_a_turn` |
    /// | `posts_max` | 16,384 | posts that wait for the loop | `post` fails with `ERR_POST_FAILED` | `Posts` | `tests/limits_of_loops.rs::so_many_posts_run_in_a_turn_and_so_many_wait` |
    /// | `posts_per_turn` | 1,024 | posts that run in one turn | the rest is for the next turn | | `tests/limits_of_loops.rs::so_many_posts_run_in_a_turn_and_so_many_wait` |
    /// | `file_reads_max` | 16 | slices of files that the thread for files has been given | the next slice waits | | `tests/send_file/main.rs::one_slice_at_a_time_is_enough_for_all` |
    ///
    /// # Fixed
    /// | what | most | where it is more |
    /// |---|---|---|
    /// | digits of a `Content-Length` | 20, leading zeros included | 400 `HPE_INVALID_CONTENT_LENGTH` and close |
    /// | digits of a chunk size | 16, behind 16 leading zeros | 400 `HPE_INVALID_CHUNK_SIZE` and close |
    /// | bytes of the fields of a head or trailer section that we send | 65,535 | the call fails with `ERR_HTTP_HEADERS_TOO_LARGE`, `Limit::HeaderSize` |
    /// | bytes that wait behind the request of a connection | a head and two reads | the rest stays with the system, and then with the peer |
    /// | servers of a loop | 65,535 | `ERR_OUT_OF_RANGE` from `Server::new` |
    /// | agents of a loop | 65,535 | `ERR_OUT_OF_RANGE` from `Agent::new` |
    /// | origins of a loop with connections or requests | 65,535 | `ERR_AGENT_QUEUE_FULL` from `request`, `Limit::Requests` |
    /// | times that an origin takes its agent's next place while others wait | 64 | the others have their turn |
    /// | bytes of one request or response that `writev` is given | 448 KiB in 32 pieces | the next call takes the rest |
    /// | bytes of one output buffer | 256 KiB and the piece that goes beyond | another one is begun behind it |
    /// | bytes of a file in one slice | 256 KiB, copied 64 KiB | the next slice takes the rest |
    /// | connections that write `write_bytes_per_turn` in one turn | 16 | 256 KiB is what each may write from then on |
    /// | bytes that Linux holds of a server's connection, beyond what is on its way to the client | 1 MiB until the server closes | the rest waits here |
    /// | connections of servers that are ended in one turn where more want to end | twice `accepts_per_turn` | the next turns take the rest, behind everything else |
    /// | slices of a file for one connection in one turn | 8 | the next turn takes the rest |
    /// | URLs whose parts are remembered | 16 of 256 bytes | the URL is read again |
    /// | states of past exchanges that are kept for later ones | 256 of each kind, their buffers up to 16 KiB | the memory is given back |
    /// | seconds that a closed connection is read and dropped | 2 | it is closed without the peer's end |
    ///
    /// What a program says for one call is bounded by what it says: `redirects` and `retries` of a request
    /// (`Limit::Redirects`), the bytes that [`collect`](crate::http::Body::collect) takes (`Limit::Body`). Not
    /// bounded is what a program makes one by one and no peer can make it make: timers, immediates, requests that
    /// have a connection, callbacks.
    struct Limits;

    /// Bytes of a head, and of a trailer section, that is received; at most 65,535. (Node: `maxHeaderSize`)
    fn max_header_size(bytes: usize) -> usize = 16 * 1024, bytes.min(65_535);

    /// Fields of a head, and of a trailer section, that is received. Zero: no limit but that of the size.
    /// (Node: `maxHeadersCount`)
    fn max_headers_count(count: usize) -> usize = 1000, count;

    /// Bytes of a request target; at most 65,535.
    fn max_target_size(bytes: usize) -> usize = 8 * 1024, bytes.min(65_535);

    /// Bytes of a request's method; at least 7, which `OPTIONS` and `CONNECT` have, at most 255. The longest one
    /// that is registered has 17.
    fn max_method_size(bytes: usize) -> usize = 32, bytes.clamp(7, 255);

    /// Empty lines that are skipped before a request line (RFC 9112 §2.2); at most 254.
    fn max_empty_lines(count: usize) -> usize = 4, count.min(254);

    /// Bytes of request heads of which a part is here, on all connections of all servers of the loop together. Heads
    /// that come whole are not counted. Zero: all have to.
    fn max_partial_heads(bytes: usize) -> usize = 64 * 1024 * 1024, bytes;

    /// Bytes of the extensions of one chunk (RFC 9112 §7.1.1); at most 65,534.
    fn max_extensions_per_chunk(bytes: usize) -> usize = 4 * 1024, bytes.min(65_534);

    /// Bytes of the extensions of all chunks of one message; at most 65,534.
    fn max_extensions_per_message(bytes: usize) -> usize = 16 * 1024, bytes.min(65_534);

    /// Bytes of content of a request: see [`ServerOptions::max_body_size`](crate::http::ServerOptions::max_body_size).
    fn max_body_size(bytes: u64) -> Option<u64> = None, Some(bytes);

    /// Bytes of content that are read and dropped to keep a connection: of a request whose response has ended, and
    /// of a response that nobody listens to.
    fn max_discarded(bytes: usize) -> usize = 256 * 1024, bytes;

    /// Informational responses (1xx) to one request.
    fn max_informational(count: u16) -> u16 = 64, count;

    /// Requests on one connection of a server; zero is as not given. (Node: `maxRequestsPerSocket`)
    fn max_requests_per_socket(count: u32) -> Option<u32> = None, (count > 0).then_some(count);

    /// Connections of one server at a time. (Node: `maxConnections`)
    fn max_connections(count: usize) -> Option<usize> = None, Some(count);

    /// Connections of one server at a time from one address: see
    /// [`ServerOptions::max_connections_per_address`](crate::http::ServerOptions::max_connections_per_address).
    fn max_connections_per_address(count: usize) -> Option<usize> = None, Some(count);

    /// Connections that the system holds and that were not accepted yet; it may allow fewer.
    fn backlog(count: u32) -> u32 = 1024, count;

    /// From so many unsent bytes on `write` returns false; at least 1, and never more than
    /// [`Limits::max_buffered`], so that whoever heeds it is not ended. (Node: `highWaterMark`)
    fn high_water_mark(bytes: usize) -> usize = 64 * 1024, bytes.max(1);

    /// Bytes that one message may leave unsent; one piece of any size is always taken.
    fn max_buffered(bytes: usize) -> usize = 16 * 1024 * 1024, bytes;

    /// Callbacks of `on_written` that wait on one message.
    fn max_written_callbacks(count: usize) -> usize = 1024, count;

    /// Bytes of a request that are kept while it may have to be sent again: by a redirect, a retry, or since its
    /// connection was closed in the moment in which it was used.
    fn max_kept_for_repetition(bytes: usize) -> usize = 64 * 1024, bytes;

    /// Connections of an agent to one origin; zero is as not given. (Node: `maxSockets`)
    fn max_sockets(count: usize) -> Option<usize> = None, (count > 0).then_some(count);

    /// Connections of an agent in all; zero is as not given. (Node: `maxTotalSockets`)
    fn max_total_sockets(count: usize) -> Option<usize> = None, (count > 0).then_some(count);

    /// Requests of an agent that wait for a connection.
    fn max_queued_requests(count: usize) -> usize = 65_536, count;

    /// Free connections of an agent to one origin; 0 keeps none. (Node: `maxFreeSockets`)
    fn free_connections_per_origin(count: usize) -> usize = 256, count;

    /// Addresses that one request tries at the same time (RFC 8305); at least 1.
    fn connection_attempts_max(count: usize) -> usize = 8, count.max(1);

    /// Addresses of one name, the first ones; at least 1.
    fn addresses_per_name(count: usize) -> usize = 64, count.max(1);

    /// Names that are looked up at a time; at least 1.
    fn lookups_max(count: usize) -> usize = 1024, count.max(1);

    /// Threads that look names up; at least 1. They are started one by one, each when all others are busy, so that
    /// a slow name holds up others only when so many are slow; then they stay for as long as the loop.
    fn lookup_threads(count: usize) -> usize = 4, count.max(1);

    /// Names whose addresses are remembered for [`LoopOptions::lookup_cache`](crate::LoopOptions::lookup_cache).
    fn cached_names_max(count: usize) -> usize = 256, count;

    /// Readiness events that are taken from the system in one turn; at least 1, at most 65,536.
    fn events_per_turn(count: usize) -> usize = 1024, count.clamp(1, 65_536);

    /// Connections that one listener accepts in one go, so that a flood of new ones does not starve the others; at
    /// least 1. A turn has two goes: one for what the system tells, and one for what was left over. As many connections
    /// as both accept end in a turn where more want to end.
    fn accepts_per_turn(count: usize) -> usize = 64, count.max(1);

    /// Reads from one connection in one go, as for [`Limits::accepts_per_turn`]; at least 1.
    fn reads_per_turn(count: usize) -> usize = 8, count.max(1);

    /// Pipelined requests of one connection that are dispatched in one go, as for [`Limits::accepts_per_turn`]; at
    /// least 1.
    fn requests_per_turn(count: usize) -> usize = 64, count.max(1);

    /// Bytes of one connection that are written in one go, as for [`Limits::accepts_per_turn`], before what waits, and
    /// callbacks that may write more (`on_drain`, `on_written`), have to wait for the next turn; at least 1. Where sixteen
    /// connections have written as much in a turn, all have to do with 256 KiB.
    fn write_bytes_per_turn(bytes: usize) -> usize = 512 * 1024, bytes.max(1);

    /// Bytes of the one buffer that all connections are read into, which is also the largest chunk that `on_data` is
    /// given; at least 1,024, at most 64 MiB.
    fn read_buffer(bytes: usize) -> usize = 64 * 1024, bytes.clamp(1024, 64 * 1024 * 1024);

    /// Posts that wait for the loop; at least 1.
    fn posts_max(count: usize) -> usize = 16_384, count.max(1);

    /// Posts that run in one turn; at least 1.
    fn posts_per_turn(count: usize) -> usize = 1024, count.max(1);

    /// Slices of files that the thread which reads files has been given; at least 1.
    fn file_reads_max(count: usize) -> usize = 16, count.max(1);
}

impl Limits {
    /// The high-water mark that counts: whoever heeds it must not be ended by the cap. Those of a server are merged with
    /// the loop's before, so what a loop's are is not changed.
    #[inline]
    pub(crate) fn mark(&self) -> usize {
        self.high_water_mark.min(self.max_buffered.max(1))
    }
}
