//! Words of conditions in any order, over a few sets of facts: an answer, the same one twice, and explained alike.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| costwarden::policy::expression::fuzz::evaluate(bytes));
