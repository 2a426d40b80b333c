//! Any edit of an audit trail of any words: found.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::store::fuzz::trail(bytes);
});
