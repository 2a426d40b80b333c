//! Any tags and names: one plain address of an allowed domain or nobody, and nobody grants an own wish.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::worker::fuzz::owners(bytes);
});
