//! Terminating an instance (R9): never done by this version.
//!
//! `allow_auto_terminate` is false by default and `domain::guard::switched_off` says so in S1's words; switched on,
//! the step is refused all the same until there is a handler with a verified backup.

/// Why there is no handler.
pub const NOT_AVAILABLE: &str =
    "this version has no handler for terminating instances, not even where it is allowed; manual action needed";
