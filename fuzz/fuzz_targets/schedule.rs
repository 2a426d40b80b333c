//! Any pattern in any zone: settings and schedule agree on it, and its slots go forward, each once.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::worker::fuzz::schedule(bytes);
});
