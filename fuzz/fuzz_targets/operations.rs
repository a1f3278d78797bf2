//! See `onloop_fuzz::operations`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onloop_fuzz::operations::check(data));
