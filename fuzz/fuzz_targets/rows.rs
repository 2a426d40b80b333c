//! Any document in a row of the state: read, and the same when written again, or an error; never one row less.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::store::fuzz::rows(bytes);
});
