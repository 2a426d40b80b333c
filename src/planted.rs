//! Mistakes planted on purpose, to prove that the campaign would find them (safety.md, "Power check").
//!
//! Only a build with the feature `planted` has this; the campaign chooses one word at a time. Each stands at its place as
//! `planted!("word")`, in one line, and at every place that would make up for it: where controls stand behind one
//! another, one word breaks them all. No release and no default build contains any of them.

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
    "breaker-counts-the-disarmed",
    "breaker-counts-what-was-shown",
    "call-before-intent",
    "drill-asks-again",
    "drill-forgets-its-volume",
    "drill-takes-any-volume-for-its-own",
    "drop-the-fence",
    "expire-what-people-keep",
    "fight-people",
    "foreign-credentials",
    "forget-open-acts",
    "forget-the-last-attachment",
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
    "keep-backups-for-ever",
    "keep-every-night",
    "leave-it-stopped",
    "lose-mail",
    "lose-the-public-address",
    "miss-one-volume",
    "miss-what-was-attached",
    "missing-metrics-are-zero",
    "no-backup",
    "no-breaker",
    "observe-acts",
    "old-approvals-count",
    "old-grace-after-an-exception",
    "one-of-two-is-enough",
    "one-over-the-pace",
    "overwrite-their-tags",
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

/// What a series of the campaign must find by itself: the word, and the hazard that the series is about.
pub const IN_SERIES: &[(&str, &str)] = &[
    ("miss-what-was-attached", "H13"),
    ("forget-the-last-attachment", "H17"),
    ("leave-it-stopped", "H21"),
    ("act-after-an-undo", "H25"),
    ("again-within-a-week", "H25"),
    ("expire-what-people-keep", "H26"),
    ("keep-backups-for-ever", "H26"),
    ("overwrite-their-tags", "H27"),
    ("gone-at-first-sight", "H28"),
];

/// Of those, what only a series can find: worlds do not live for so long, or nobody there writes the same key.
pub const IN_SERIES_ALONE: &[&str] = &["expire-what-people-keep", "keep-backups-for-ever", "overwrite-their-tags"];

/// Mistakes that take away one of two separate controls whole: what `domain::guard` refuses, and what the gate refuses
/// for the resource's own sake. The campaign must find nothing but delays with either of them, because the
/// other holds.
pub const DOUBLED: &[&str] = &["blind-the-gate", "blind-the-guards"];

static CHOSEN: RwLock<Option<&'static str>> = RwLock::new(None);

/// Lets one mistake grow, or none.
pub fn choose(word: Option<&'static str>) {
    *CHOSEN.write().unwrap_or_else(PoisonError::into_inner) = word;
}

/// Whether it is this one.
pub fn grows(word: &str) -> bool {
    *CHOSEN.read().unwrap_or_else(PoisonError::into_inner) == Some(word)
}
