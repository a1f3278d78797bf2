//! What the fuzz targets generate and assert. Each file of `fuzz_targets/` gives its input to one function here.

pub mod chunked;
pub mod heads;
pub mod input;
pub mod oracle;
