//! Any names in reports, tables, JSON, Slack, Teams and mails: shown, and nothing else becomes of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    costwarden::cli::fuzz::sinks(bytes);
});
