//! Any tags on a resource: what forbids an act goes on forbidding it, whatever stands beside it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::remediate::fuzz::tags(bytes);
});
