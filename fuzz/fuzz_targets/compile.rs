//! Any bytes as a condition: compiled or refused at a place, never a crash.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| costwarden::policy::expression::fuzz::compile(bytes));
