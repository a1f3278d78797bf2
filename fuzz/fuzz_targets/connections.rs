//! See `onloop_fuzz::connections`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onloop_fuzz::connections::check(data));
