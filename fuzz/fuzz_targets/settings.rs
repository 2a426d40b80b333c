//! Any text as the settings file: all of it, or refused with mistakes that lie in the file; never a stranger's key.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::settings::fuzz::settings(bytes);
});
