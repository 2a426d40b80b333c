//! Any bytes as a policy file: loaded whole or refused with mistakes that lie in the file, never a crash.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| costwarden::policy::expression::fuzz::load(bytes, &costwarden::checks::infos()));
