//! See `onloop_fuzz::heads`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| onloop_fuzz::heads::check(data));
