//! The ledger of the hazards (safety.md): which faults of the worlds reach each, which invariants judge it, how often it
//! was reached. One line each closes the worlds; a hazard that was not reached often enough fails the run.
//!
//! A hazard stands here when worlds can reach it. What needs a crowd of its own is in `series`, dry runs in `dry`, and
//! the rest in tests of their own (docs/safety.md has the list).

use crate::judge::reports::REPORTS;
use crate::kinds::Kind::{self, *};
use crate::scene::{Bait, Scene};
use crate::tally::Tally;

/// One hazard of the worlds.
struct Row {
    hazard: &'static str,
    /// Faults whose bite reaches it.
    kinds: &'static [Kind],
    /// Things counted in the tally that reach it where no fault says it.
    counted: &'static [&'static str],
    /// What judges it.
    invariants: &'static [&'static str],
    /// How often at least, in the whole campaign.
    least: u64,
}

/// At least so often each, at 20,000 worlds, where the hazard's own number says no more.
const LEAST: u64 = 200;
const WHOLE_WORLDS: u64 = 20_000;

const fn row(
    hazard: &'static str,
    kinds: &'static [Kind],
    counted: &'static [&'static str],
    invariants: &'static [&'static str],
) -> Row {
    Row { hazard, kinds, counted, invariants, least: LEAST }
}

const fn at_least(least: u64, row: Row) -> Row {
    Row { least, ..row }
}

const FLOOD: &str = "world: flood";
const LOCAL_DISKS: &str = "world: local disks";
const PUBLIC_ADDRESS: &str = "world: public address";
const SPOT: &str = "world: spot";
const FLAPPING: &str = "world: flapping volume";
const MANAGED: &str = "world: managed";
const PROTECTED: &str = "world: protected";
const ELSEWHERE: &str = "world: elsewhere";

/// Why something must be left alone, as worlds are counted.
const BAITS: [(&str, &[Bait]); 7] = [
    (LOCAL_DISKS, &[Bait::LocalDisks]),
    (PUBLIC_ADDRESS, &[Bait::PublicAddress]),
    (SPOT, &[Bait::Spot]),
    (FLAPPING, &[Bait::Flapping]),
    (MANAGED, &[Bait::Managed]),
    (PROTECTED, &[Bait::ProtectTag, Bait::ProtectList, Bait::Flag, Bait::KeepUntil]),
    (ELSEWHERE, &[Bait::Elsewhere]),
];

const READS: &[Kind] = &[
    Throttle,
    ThrottleBurst,
    ThrottleHour,
    Unavailable,
    Denied,
    Expired,
    BadToken,
    CutPage,
    EmptyPage,
    ShorterSome,
    ShorterAll,
    TagsMissing,
    MetricsNone,
    MetricsPartial,
    MetricsNan,
    MetricsLate,
    Timeout,
    RegionOff,
];
const SNAPSHOTS: &[Kind] = &[
    SnapshotFails,
    SnapshotSize,
    SnapshotRecoverable,
    SnapshotSlow,
    SnapshotRate,
    SnapshotUnanswered,
    SnapshotVanishes,
];
const CRASHES: &[Kind] =
    &[Crash, CrashPair, CrashWrite, ActTimeoutBefore, ActTimeoutAfter, ActUnavailable, SnapshotUnanswered];
const CLOCKS: &[Kind] = &[ClockForward, ClockBack, ClockDrift, ClockStopped];
const DISKS: &[Kind] = &[Full, IoError, Ambiguous, Busy];
const MAILS: &[Kind] = &[MailDown, MailLater, MailLost, MailRefused];

/// The ledger. The larger numbers are those of safety.md.
const LEDGER: [Row; 31] = [
    at_least(5_000, row("H01", READS, &[], &["I04", "I10"])),
    at_least(5_000, row("H02", SNAPSHOTS, &[], &["I01"])),
    row("H03", &[PolicyEdited, RolledBack], &[FLOOD], &["I08"]),
    at_least(5_000, row("H04", &[WrongReader, WrongActor, RegionOff], &[ELSEWHERE], &["I09"])),
    at_least(5_000, row("H05", CRASHES, &[], &["I02", "I03", "I15"])),
    at_least(5_000, row("H06", &[SecondBusy, SecondStale, Paused, ByHand, ClaimGap], &[], &["I02", "I12"])),
    at_least(10_000, row("H07", &[TagGap, ProtectGap, FlagGap, AttachGap, StopGap, UseGap], &[], &["I05", "I10"])),
    at_least(10_000, row("H08", CLOCKS, &[], &["I06"])),
    row("H09", &[MailDown, MailLater, MailRefused], &[], &["I06", "I17"]),
    at_least(5_000, row("H10", &[GrantGap, AskGap, Revoked], &[], &["I07"])),
    row("H11", &[PolicyEdited, RolledBack], &[], &["I09"]),
    row("H12", &[], &[LOCAL_DISKS], &["I13"]),
    row("H13", &[AttachGap], &[], &["I01"]),
    at_least(1_000, row("H14", &[KeyGap], &[], &["I01", "H14"])),
    row("H16", &[CrashWrite, Ambiguous, IoError], &[], &["I16"]),
    row("H17", &[], &[FLAPPING], &["I10"]),
    row("H18", &[], &[MANAGED], &["I13"]),
    row("H19", &[DryRun], &[], &["I11"]),
    row("H21", &[], &["ModifyInstanceAttribute"], &["I15"]),
    row("H22", &[FlagGap, ProtectGap], &[PROTECTED], &["I13"]),
    at_least(1_000, row("H23", &[], &[PUBLIC_ADDRESS], &["I13"])),
    row("H24", &[], &[SPOT], &["I13"]),
    row("H25", &[Undone, TakenBack], &[], &["I02"]),
    row("H27", &[TagGap], &["CreateTags"], &["I10"]),
    row("H28", &[Hidden, Lag, EmptyPage, ShorterSome], &[], &["I04"]),
    row("H29", &[StopGap, Undone, UseGap], &[], &["I18"]),
    row("H30", DISKS, &[], &["I03", "I16"]),
    row("H31", &[Down, ClockForward, ClockBack], &[], &["I19"]),
    at_least(5_000, row("H44", &[], &[REPORTS], &["I18"])),
    row("H45", MAILS, &[], &["I17"]),
    row("H46", &[SnapshotUnanswered, Crash, CrashPair], &[], &["I02"]),
];

/// Takes down what a world has that no fault tells.
pub fn note(scene: &Scene, tally: &mut Tally) {
    for (word, baits) in BAITS {
        if scene.cards.values().any(|card| baits.contains(&card.bait)) {
            tally.did(word, 1);
        }
    }
    if scene.flood {
        tally.did(FLOOD, 1);
    }
}

/// One line each; what was not reached often enough, in words.
pub fn close(tally: &Tally, worlds: u64) -> Vec<String> {
    let mut missed = Vec::new();
    for row in &LEDGER {
        let bites: u64 = row.kinds.iter().filter_map(|kind| tally.reached.get(kind)).sum();
        let counted: u64 = row.counted.iter().filter_map(|word| tally.done.get(*word)).sum();
        let (reached, least) = (bites + counted, floor(row.least, worlds));
        let violations = tally.violations.iter().filter(|own| row.invariants.contains(&own.invariant)).count();
        let few = if reached < least { "  TOO FEW" } else { "" };
        println!("{} worlds={} reached={reached}(>={least}) violations={violations}{few}", row.hazard, tally.worlds);
        if reached < least {
            missed.push(format!("{} reached {reached} of {least}", row.hazard));
        }
    }
    missed
}

/// The share of a shorter run; chance has half of it to play with.
fn floor(whole: u64, worlds: u64) -> u64 {
    if worlds >= WHOLE_WORLDS { whole } else { whole * worlds / WHOLE_WORLDS / 2 }
}
