//! Mistakes planted on purpose, to prove that the campaign would find them (safety.md, "Power check").
//!
//! Only a build with the feature `planted` has this; the campaign chooses one word at a time. Each stands at its place as
//! `planted!("word")`, in one line. No release and no default build contains any of them.

use std::sync::{PoisonError, RwLock};

/// Every planted mistake, by its word.
pub const WORDS: &[&str] = &[
    "a-disarmed-account-is-armed",
    "a-withdrawn-yes-counts",
    "accept-a-failed-snapshot",
    "accept-a-pending-snapshot",
    "accept-a-recoverable-snapshot",
    "accept-another-size",
    "act-after-an-undo",
    "act-before-due",
    "act-on-a-half-read",
    "again-within-a-week",
    "anybody-approves",
    "ask-the-gate-once",
    "call-before-intent",
    "drop-the-fence",
    "fight-people",
    "foreign-credentials",
    "forget-open-acts",
    "gone-at-first-sight",
    "ignore-a-foreign-claim",
    "ignore-a-freeze",
    "ignore-a-pending-request",
    "ignore-local-disks",
    "ignore-managers",
    "ignore-protection-flags",
    "ignore-the-fingerprint",
    "ignore-the-key-state",
    "ignore-the-policys-hash",
    "ignore-the-protect-list",
    "ignore-the-protect-tag",
    "ignore-the-window",
    "judge-what-was-half-read",
    "keep-every-night",
    "leave-it-stopped",
    "lose-mail",
    "lose-the-public-address",
    "miss-one-volume",
    "missing-metrics-are-zero",
    "no-backup",
    "no-breaker",
    "observe-acts",
    "old-approvals-count",
    "old-grace-after-an-exception",
    "one-of-two-is-enough",
    "one-over-the-pace",
    "refusal-is-success",
    "repeat-after-a-crash",
    "retry-the-call",
    "reuse-the-plans-exceptions",
    "run-a-slot-twice",
    "send-mail-twice",
    "skip-recheck",
    "stop-spot-instances",
    "stuck-in-silence",
    "tell-of-no-gap",
    "terminate-without-an-image",
    "trust-a-lost-snapshot",
    "zero-is-no-limit",
];

static CHOSEN: RwLock<Option<&'static str>> = RwLock::new(None);

/// Lets one mistake grow, or none.
pub fn choose(word: Option<&'static str>) {
    *CHOSEN.write().unwrap_or_else(PoisonError::into_inner) = word;
}

/// Whether it is this one.
pub fn grows(word: &str) -> bool {
    *CHOSEN.read().unwrap_or_else(PoisonError::into_inner) == Some(word)
}
