//! See `onloop_fuzz::encoding`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onloop_fuzz::encoding::check(data));
