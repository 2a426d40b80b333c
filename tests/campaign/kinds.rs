//! Every kind of fault that the worlds know, and how often it must be reached.
//!
//! "Reached" is counted where the fault bites: at the call that it changed, the write that it broke, the point at which
//! somebody really did something. A fault that was planned and met nothing counts for nothing.

macro_rules! kinds {
    ($($name:ident = $word:literal,)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($name,)* }

        impl Kind {
            /// So many of the last are planned apart.
            pub const APART: usize = 2;

            /// All of them.
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];

            /// Its word in the output.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$name => $word,)* }
            }
        }
    };
}

kinds! {
    // AWS: reads.
    Throttle = "throttled",
    ThrottleBurst = "throttled-burst",
    ThrottleHour = "throttled-for-an-hour",
    Unavailable = "internal-error",
    Denied = "denied-on-one-call",
    Expired = "credentials-expired",
    BadToken = "page-token-refused",
    EmptyPage = "empty-page",
    RepeatedPage = "page-repeated",
    CutPage = "page-cut",
    ShorterSome = "list-shorter",
    ShorterAll = "list-empty",
    Hidden = "invisible-for-a-while",
    TagsMissing = "tags-missing-from-an-answer",
    MetricsNone = "metrics-missing",
    MetricsPartial = "metrics-partial",
    MetricsNan = "metrics-no-numbers",
    MetricsLate = "metrics-late",
    CostsNone = "cost-explorer-empty",
    CostsThrottled = "cost-explorer-throttled",
    Timeout = "read-timeout",
    WrongReader = "reading-credentials-of-another-account",
    RegionOff = "region-disabled",
    Lag = "answers-lag-behind",
    // AWS: acts.
    ActThrottled = "act-throttled",
    ActDenied = "act-denied",
    ActTimeoutBefore = "act-unanswered-not-done",
    ActTimeoutAfter = "act-unanswered-but-done",
    ActUnavailable = "act-internal-error",
    ActWrongState = "incorrect-instance-state",
    ActNotPermitted = "operation-not-permitted",
    ActVolumeInUse = "volume-in-use",
    WrongActor = "acting-credentials-of-another-account",
    SnapshotFails = "snapshot-error",
    SnapshotSize = "snapshot-of-another-size",
    SnapshotRecoverable = "snapshot-recoverable",
    SnapshotSlow = "snapshot-pending-for-days",
    SnapshotRate = "snapshot-rate-exceeded",
    SnapshotUnanswered = "snapshot-unanswered",
    SnapshotVanishes = "snapshot-disappears",
    // The process and its disk.
    Crash = "crash-at-a-point",
    CrashPair = "crash-again-in-recovery",
    CrashWrite = "crash-before-a-commit",
    Full = "disk-full-at-a-write",
    IoError = "io-error-at-a-write",
    Ambiguous = "io-error-after-a-commit",
    Busy = "state-locked",
    Down = "worker-down-for-a-while",
    Sigterm = "stopped-in-an-act",
    // Clocks.
    ClockForward = "clock-forward",
    ClockBack = "clock-back",
    ClockDrift = "clock-drifts",
    ClockStopped = "clock-stopped",
    // Workers.
    SecondBusy = "second-worker-beside",
    SecondStale = "second-worker-takes-over",
    Paused = "paused-past-its-lease",
    ByHand = "apply-beside-the-daemon",
    // Mail.
    MailDown = "mail-server-down",
    MailLater = "mail-greylisted",
    MailLost = "mail-taken-answer-lost",
    MailRefused = "recipient-refused",
    // People.
    FreezeGap = "frozen-in-a-gap",
    GrantGap = "exception-granted-in-a-gap",
    AskGap = "exception-asked-for-in-a-gap",
    Revoked = "exception-revoked",
    Withdrawn = "approval-withdrawn-in-a-gap",
    TagGap = "tag-changed-in-a-gap",
    ProtectGap = "protect-tag-in-a-gap",
    FlagGap = "protection-flag-in-a-gap",
    AttachGap = "attached-in-a-gap",
    StopGap = "stopped-by-hand-in-a-gap",
    UseGap = "woken-up-in-a-gap",
    DisarmGap = "disarmed-in-a-gap",
    Undone = "act-undone-by-hand",
    TakenBack = "act-taken-back",
    DryRun = "dry-run-beside",
    // Settings.
    PolicyEdited = "policy-edited",
    RolledBack = "policy-rolled-back",
    ModeChanged = "mode-changed",
    // The last, because they are planned apart.
    KeyGap = "key-unusable-in-a-gap",
    ClaimGap = "claimed-elsewhere-in-a-gap",
}
