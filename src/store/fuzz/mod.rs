//! What fuzzing runs on the state file: rows whose documents were garbled or come from another version, and edits of
//! the audit trail.
//!
//! `fuzz/fuzz_targets/{rows,trail}.rs` call these, and so do the tests beside them. Each works on a state in memory of its
//! own, made once a thread, and edits it as somebody with the file would.

mod rows;
mod trail;

pub use rows::rows;
pub use trail::trail;
