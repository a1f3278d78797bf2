//! Anything goes inside a callback: every kind of callback does every kind of thing to every handle there
//! is, over simulated and over real sockets, and with budgets as small as can be. After each: the loop answers a
//! new request, nothing has leaked, every exchange has had its `on_close` once, nothing of ours has panicked.
//!
//! `scenario` brings each kind of callback about, `operation` is what they do, `context` is what both know.

mod agents;
#[path = "../common/sim.rs"]
mod bench;
mod context;
mod operation;
mod outgoing;
mod run;
mod scenario;
mod server_events;
mod witness;

use bench::{WIRES, Wire};
use onloop::Limits;
use operation::Operation;
use scenario::Kind;

/// How much a turn may do.
#[derive(Debug, Clone, Copy)]
enum Budgets {
    Usual,
    Least,
}

impl Budgets {
    fn limits(self) -> Limits {
        match self {
            Budgets::Usual => Limits::new(),
            // Some of what is written here is large.
            Budgets::Least => Limits::new()
                .events_per_turn(1)
                .accepts_per_turn(1)
                .reads_per_turn(1)
                .requests_per_turn(1)
                .write_bytes_per_turn(10_000)
                .read_buffer(1024)
                .high_water_mark(1)
                .posts_per_turn(1)
                .file_reads_max(1)
                .lookup_threads(1),
        }
    }
}

/// All operations in one kind of callback. `TORTURE="Request Panic"` runs those whose names contain it.
fn torture(kind: Kind) {
    let only = std::env::var("TORTURE").unwrap_or_default();
    let mut failed = Vec::new();
    let usual = WIRES.map(|wire| (wire, Budgets::Usual));
    for (wire, budgets) in usual.into_iter().chain([(Wire::Simulated, Budgets::Least)]) {
        for operation in Operation::ALL.iter().copied() {
            let name = format!("{kind:?} {operation:?} {wire:?} {budgets:?}");
            if name.contains(&only) && !run::run(wire, budgets, kind, operation, &name) {
                failed.push(name);
            }
        }
    }
    assert!(
        failed.is_empty(),
        "one alone: TORTURE=\"{}\" cargo test --test torture; all: {failed:#?}",
        failed[0]
    );
}

macro_rules! torture_tests {
    ($($name:ident: $kind:ident,)*) => {
        $(#[test] fn $name() { torture(Kind::$kind); })*

        #[test]
        fn every_kind_of_callback_has_its_test() {
            let tested = [$(Kind::$kind),*];
            assert!(Kind::ALL.iter().all(|kind| tested.contains(kind)));
        }
    };
}

torture_tests! {
    anything_goes_in_on_request: Request,
    anything_goes_in_on_data_of_a_request: RequestData,
    anything_goes_in_on_end_of_a_request: RequestEnd,
    anything_goes_in_on_close_of_a_request: RequestClose,
    anything_goes_in_on_error_of_a_request: RequestError,
    anything_goes_in_on_aborted_of_a_request: RequestAborted,
    anything_goes_in_on_drain_of_a_response: ResponseDrain,
    anything_goes_in_on_written_of_a_response: ResponseWritten,
    anything_goes_in_on_finish_of_a_response: ResponseFinish,
    anything_goes_in_on_close_of_a_response: ResponseClose,
    anything_goes_in_on_error_of_a_response: ResponseError,
    anything_goes_in_on_timeout_of_a_response: ResponseTimeout,
    anything_goes_in_on_response: ClientResponse,
    anything_goes_in_on_data_of_a_response: ClientData,
    anything_goes_in_on_end_of_a_response: ClientEnd,
    anything_goes_in_on_close_of_an_incoming_response: ClientBodyClose,
    anything_goes_in_on_error_of_an_incoming_response: ClientBodyError,
    anything_goes_in_on_aborted_of_an_incoming_response: ClientAborted,
    anything_goes_in_on_drain_of_a_client_request: ClientDrain,
    anything_goes_in_on_written_of_a_client_request: ClientWritten,
    anything_goes_in_on_finish_of_a_client_request: ClientFinish,
    anything_goes_in_on_close_of_a_client_request: ClientClose,
    anything_goes_in_on_error_of_a_client_request: ClientFailed,
    anything_goes_in_on_error_of_a_refused_client_request: ClientRefused,
    anything_goes_in_on_timeout_of_a_client_request: ClientTimeout,
    anything_goes_in_on_socket_of_a_client_request: ClientSocket,
    anything_goes_in_on_connect_of_a_client_request: ClientConnect,
    anything_goes_in_create_connection_of_an_agent: CreateConnection,
    anything_goes_in_lookup_of_an_agent: Lookup,
    anything_goes_in_on_information: Information,
    anything_goes_in_on_continue: Continue,
    anything_goes_in_should_upgrade: ShouldUpgrade,
    anything_goes_in_on_upgrade_of_a_server: ServerUpgrade,
    anything_goes_in_on_upgrade_of_a_client: ClientUpgrade,
    anything_goes_in_on_data_of_a_socket: SocketData,
    anything_goes_in_on_end_of_a_socket: SocketEnd,
    anything_goes_in_on_drain_of_a_socket: SocketDrain,
    anything_goes_in_on_finish_of_a_socket: SocketFinish,
    anything_goes_in_on_timeout_of_a_socket: SocketTimeout,
    anything_goes_in_on_error_of_a_socket: SocketError,
    anything_goes_in_on_close_of_a_socket: SocketClose,
    anything_goes_in_on_client_error: ClientErrorEvent,
    anything_goes_in_on_close_of_a_server: ServerClosed,
    anything_goes_in_on_connection: ServerConnection,
    anything_goes_in_on_check_continue: CheckContinue,
    anything_goes_in_on_check_expectation: CheckExpectation,
    anything_goes_in_on_drop_request: DropRequest,
    anything_goes_in_on_drop: ServerDrop,
    anything_goes_in_on_timeout_of_a_server: ServerTimeout,
    anything_goes_in_on_timeout_of_a_request: RequestTimeout,
    anything_goes_in_a_timer: Timer,
    anything_goes_in_an_interval: Interval,
    anything_goes_in_an_immediate: Immediate,
    anything_goes_in_a_post: Post,
}
