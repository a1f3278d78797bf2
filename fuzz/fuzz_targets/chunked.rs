//! See `onloop_fuzz::chunked`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onloop_fuzz::chunked::check(data));
