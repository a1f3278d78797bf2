//! What the fuzz targets generate and assert. Each file of `fuzz_targets/` gives its input to one function here.

pub mod answers;
pub mod chunked;
pub mod client;
pub mod connections;
pub mod encoding;
pub mod heads;
pub mod input;
// The third opinion, and the one that knows the status of each refusal.
#[path = "../../tests/model/mod.rs"]
mod model;
pub mod operations;
pub mod oracle;
mod perform;
pub mod server;
