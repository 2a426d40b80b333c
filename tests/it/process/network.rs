//! A network that fails in the middle of an act: at each call that matters, in each way in which it can.
//!
//! The fault lasts while one `apply` runs and is then gone. Whatever the program was told or not told, the cloud's log
//! has at most one stop or delete that it did not refuse outright, never without a backup; and once the network works
//! again the step ends as done, or stuck where nobody can know.

use std::time::Duration;

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, PATIENCE, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;
use crate::support::moto::{Fault, Seen};

/// How a call fails.
type Breaks = fn(&str) -> Fault;

/// The act, the call, how it fails, and how the step ends after the network works again. A stop that was
/// throttled took the day's one place of its kind in so small an account: it waits for another day.
const CASES: [(Act, &str, &str, Breaks, JournalState); 20] = [
    (Act::StopInstance, "StopInstances", "reset after it was done", Fault::reset, JournalState::Done),
    (Act::StopInstance, "StopInstances", "reset before it was done", Fault::reset_before, JournalState::Stuck),
    (Act::StopInstance, "StopInstances", "half an answer", Fault::cut, JournalState::Done),
    (
        Act::StopInstance,
        "StopInstances",
        "half an answer that calls itself whole",
        Fault::cut_whole,
        JournalState::Done,
    ),
    (Act::StopInstance, "StopInstances", "a proxy's page", Fault::html503, JournalState::Stuck),
    (Act::StopInstance, "StopInstances", "throttled", Fault::throttle, JournalState::SnapVerified),
    (Act::StopInstance, "StopInstances", "a byte a second", Fault::trickle, JournalState::Done),
    (Act::StopInstance, "CreateSnapshots", "reset after it was done", Fault::reset, JournalState::Done),
    (Act::StopInstance, "CreateSnapshots", "reset before it was done", Fault::reset_before, JournalState::Done),
    (Act::StopInstance, "CreateSnapshots", "a proxy's page", Fault::html503, JournalState::Done),
    (Act::StopInstance, "DescribeSnapshots", "half an answer", Fault::cut, JournalState::Done),
    (Act::StopInstance, "DescribeInstances", "reset", Fault::reset, JournalState::Done),
    (
        Act::StopInstance,
        "DescribeInstances",
        "half an answer that calls itself whole",
        Fault::cut_whole,
        JournalState::Done,
    ),
    (Act::StopInstance, "GetMetricData", "a proxy's page", Fault::html503, JournalState::Done),
    (Act::StopInstance, "GetCallerIdentity", "reset before it was done", Fault::reset_before, JournalState::Done),
    (Act::DeleteVolume, "DeleteVolume", "reset after it was done", Fault::reset, JournalState::Done),
    (Act::DeleteVolume, "DeleteVolume", "reset before it was done", Fault::reset_before, JournalState::Stuck),
    (Act::DeleteVolume, "DeleteVolume", "a proxy's page", Fault::html503, JournalState::Stuck),
    (Act::DeleteVolume, "DeleteVolume", "throttled", Fault::throttle, JournalState::Done),
    (Act::DeleteVolume, "DescribeVolumes", "throttled", Fault::throttle, JournalState::Done),
];

/// What this file's cases need: an account each, and one for the port where nobody listens.
pub fn needs() -> Needs {
    let pairs = CASES.iter().filter(|case| needs_a_pair(case.0, case.2)).count();
    Needs { own: pairs, lone: CASES.len() - pairs + 1, ..Needs::default() }
}

/// A delete that is asked for a second time needs a second volume, the instance's, for the day's share of the kind.
fn needs_a_pair(act: Act, how: &str) -> bool {
    act == Act::StopInstance || how == "throttled"
}

/// Longest that the fault lasts after it was first met; a worker that waits is killed then.
const LASTS: Duration = Duration::from_secs(25);

#[test]
fn h05_a_network_that_breaks_at_any_call_leads_to_one_act_at_most() {
    let world = World::shared();
    let own = |act, how| if needs_a_pair(act, how) { world.pair() } else { world.lone() };
    let jobs = CASES.into_iter().map(|case| (case, own(case.0, case.2))).collect();
    let met: Vec<(&str, usize)> = side_by_side(jobs, |((act, operation, how, breaks, wanted), pair)| {
        let mut case = Case::new(world, &pair, act);
        let what = format!("{act}, {operation}: {how}");
        world.moto.fault(breaks(operation).acting().times(1_000).of_account(&case.account));
        let mut running = case.apply(None);
        let met = || world.moto.log(&case.account).iter().filter(|seen| seen.fault.is_some()).count();
        let mut since = None;
        let began = std::time::Instant::now();
        while running.ended().is_none() && since.is_none_or(|since: std::time::Instant| since.elapsed() < LASTS) {
            if since.is_none() && met() > 0 {
                since = Some(std::time::Instant::now());
            }
            assert!(
                began.elapsed() < PATIENCE + LASTS,
                "{what}: it neither ends nor meets its fault: {}",
                running.errors()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let met = met();
        case.kill(running);
        world.moto.forget_faults(&case.account);
        assert!(met > 0, "{what}: the fault was not reached");
        at_most_one(&case, &what);
        // A refused or aborted step is asked for once more; what is open is gone on with.
        for _ in 0..3 {
            case.past_the_lease();
            case.seen_out();
            at_most_one(&case, &what);
            if matches!(case.ended(), Some(JournalState::Done | JournalState::Stuck)) {
                break;
            }
        }
        assert_eq!(case.ended(), Some(wanted), "{what}: {:?}", case.told());
        assert_eq!(case.frozen(), wanted == JournalState::Stuck, "{what}");
        (how, met)
    });
    let all: usize = met.iter().map(|(_, times)| times).sum();
    eprintln!("{} cases, {all} faults met, 0 violations", met.len());
    let times = |of: &str| met.iter().filter(|(how, _)| *how == of).map(|(_, times)| times).sum();
    reached("reset after the request's body, before the answer", times("reset after it was done"));
}

/// A refusal outright did nothing, so the step may be made anew; anything else is a call that may have been heard.
fn at_most_one(case: &Case, what: &str) {
    let changes = case.changes();
    let heard = |seen: &&Seen| {
        matches!(seen.operation.as_deref(), Some("StopInstances" | "DeleteVolume"))
            && seen.fault.as_deref() != Some("throttle")
    };
    let heard: Vec<&Seen> = changes.iter().filter(heard).collect();
    assert!(heard.len() <= 1, "{what}: VIOLATION: asked twice: {heard:?}");
    for seen in heard.iter().filter(|seen| seen.fault.as_deref() != Some("html503") && seen.status.is_some()) {
        for volume in &case.step.backup {
            assert!(seen.backups.contains(volume), "{what}: VIOLATION: {volume} had no completed snapshot: {seen:?}");
        }
    }
}

#[test]
fn where_nobody_listens_nothing_is_begun_and_the_end_says_so() {
    let world = World::shared();
    let mut case = Case::new(world, &world.lone(), Act::DeleteVolume);
    let mut environment = case.environment();
    for (name, value) in &mut environment {
        if name == "AWS_ENDPOINT_URL" {
            // A port that was free a moment ago.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
            *value = format!("http://{}", listener.local_addr().expect("its number"));
        }
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_costwarden"));
    command.args(case.apply_args());
    let mut running = case.spawn(command, environment);
    let code = running.end().code();
    assert!(!matches!(code, Some(0) | None), "{}", running.errors());
    assert_eq!(case.changes().len(), 0);
    assert!(case.rows().iter().all(|row| !row.state.word().starts_with("J8")), "{:?}", case.told());
    case.past_the_lease();
    assert_eq!((case.seen_out(), case.ended()), (0, Some(JournalState::Done)));
    case.counted();
}
