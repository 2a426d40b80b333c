//! Killed at every named point of the journal, and started again with the same plan file.

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, Counts, PATIENCE, side_by_side};
use super::world::{Needs, World};

/// Where it is killed, in the order in which a remediation passes.
const POINTS: [&str; 22] = [
    "J3.before",
    "J3.after",
    "J4.call",
    "J4.before",
    "J4.after",
    "J5.before",
    "J5.after",
    "J6.call",
    "J6.before",
    "J6.after",
    "J7.call",
    "J7.before",
    "J7.after",
    "J8.before",
    "J8.after",
    "J8.call",
    "J9.before",
    "J9.after",
    "J10.call",
    "J10.before",
    "J10.after",
    "J11.before",
];
/// What this file's cases need: a pair for each point, and four for the cases beside them.
pub const NEEDS: Needs = Needs { own: 2, lone: 0, neighbours: POINTS.len() + 2, loose: 0, crowds: (0, 0) };

const BOTH: [Act; 2] = [Act::StopInstance, Act::DeleteVolume];

/// Whether the act was already sent when the program died there.
fn sent_before(point: &str) -> bool {
    let index = |name: &str| POINTS.iter().position(|own| *own == name).expect("a point");
    index(point) >= index("J8.call")
}

#[test]
fn killed_at_every_step_nothing_is_done_twice_and_nothing_without_its_backup() {
    let world = World::shared();
    let jobs: Vec<_> = POINTS
        .into_iter()
        .flat_map(|point| {
            let pair = world.neighbour();
            BOTH.map(|act| (point, pair.clone(), act))
        })
        .collect();
    let all = jobs.len();
    let ends = side_by_side(jobs, |(point, pair, act)| {
        let mut case = Case::new(world, &pair, act);
        let what = format!("{act} at {point}");
        case.killed_at(point);
        let at_death = case.counted();
        assert_eq!(at_death.acts, usize::from(sent_before(point)), "{what}: {:?}", case.changes());
        case.assert_busy();
        case.past_the_lease();
        let code = case.seen_out();
        let (state, counts) = (case.state(), case.counted());
        if point == "J8.after" {
            // The intent is on file and the call never left. That cannot be known afterwards, so it is never made: the
            // old state in three looks over ten minutes stops everything, and a person decides.
            assert_eq!((state, counts.acts, case.frozen()), (Some(JournalState::Stuck), 0, true), "{what}");
        } else {
            assert_eq!((state, code), (Some(JournalState::Done), 0), "{what}: {:?}", case.rows());
            assert_eq!(counts, Counts { snapshots: 1, acts: 1 }, "{what}: {:?}", case.changes());
            assert!(!case.frozen(), "{what}");
        }
        // The same plan file once more, a day's work later: nothing is done again.
        case.apply(None).end();
        assert_eq!(case.counted(), counts, "{what}, applied again");
        case.kills
    });
    assert_eq!(ends.len(), all);
    eprintln!("{all} cases at {} points, {} kills, 0 violations", POINTS.len(), ends.iter().sum::<u32>());
}

#[test]
fn killed_after_the_end_the_same_plan_does_nothing_more() {
    let world = World::shared();
    let pair = world.neighbour();
    side_by_side(BOTH.to_vec(), |act| {
        let mut case = Case::new(world, &pair, act);
        case.killed_at("J11.after");
        let counts = case.counted();
        assert_eq!(counts, Counts { snapshots: 1, acts: 1 });
        case.past_the_lease();
        let mut again = case.apply(None);
        assert_eq!(again.end().code(), Some(5), "the world has moved on: {}", again.errors());
        assert_eq!(case.counted(), counts);
        assert_eq!(case.rows()[0].state, JournalState::Done);
    });
}

#[test]
fn h05_killed_again_while_it_observes_it_still_only_observes() {
    let world = World::shared();
    let pair = world.neighbour();
    side_by_side(BOTH.to_vec(), |act| {
        let mut case = Case::new(world, &pair, act);
        case.killed_at("J8.call");
        for point in ["uncertain.before", "uncertain.after", "J10.call"] {
            case.past_the_lease();
            // After `uncertain.after` the row is past that point; only the look is left.
            case.killed_at(point);
        }
        case.past_the_lease();
        assert_eq!(case.seen_out(), 0);
        assert_eq!((case.state(), case.counted()), (Some(JournalState::Done), Counts { snapshots: 1, acts: 1 }));
    });
}

#[test]
fn h02_killed_while_the_snapshot_is_pending_it_goes_on_waiting() {
    let world = World::shared();
    let pair = world.pair();
    let account = &pair.account;
    world.moto.snapshots(account, u32::MAX, std::time::Duration::ZERO, "completed");
    let mut cases = side_by_side(BOTH.to_vec(), |act| {
        let mut case = Case::new(world, &pair, act);
        for _ in 0..2 {
            let mut running = case.apply(None);
            let began = std::time::Instant::now();
            while !case.rows().iter().any(|row| row.message.contains("is pending") && row.next_look_at.is_some()) {
                assert!(running.ended().is_none(), "{}", running.errors());
                assert!(began.elapsed() < PATIENCE, "it does not wait: {:?}", case.rows());
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
            case.kill(running);
            assert_eq!(case.counted(), Counts { snapshots: 1, acts: 0 });
            case.past_the_lease();
        }
        case
    });
    world.moto.settle(account);
    for case in &mut cases {
        assert_eq!(case.seen_out(), 0);
        assert_eq!((case.state(), case.counted()), (Some(JournalState::Done), Counts { snapshots: 1, acts: 1 }));
    }
}

#[test]
fn killed_in_apply_the_workers_own_run_goes_on() {
    let world = World::shared();
    let pair = world.pair();
    let account = &pair.account;
    let mut stop = Case::new(world, &pair, Act::StopInstance);
    stop.killed_at("J8.call");
    stop.past_the_lease();
    // The account is armed now, and the worker runs by itself: it finishes the stop by looking, and does the delete.
    stop.arm("2026-12-01");
    let mut run = stop.start(&["run"], None);
    assert_eq!(run.end().code(), Some(0), "{}", run.errors());
    assert_eq!((stop.state(), stop.counted()), (Some(JournalState::Done), Counts { snapshots: 1, acts: 1 }));
    let deletes = world.moto.seen(account, "DeleteVolume");
    let deletes: Vec<_> = deletes.iter().filter(|seen| !seen.dry_run).collect();
    let volume = world.step(&pair, Act::DeleteVolume).key.id.to_string();
    assert_eq!(deletes.len(), 1);
    assert!(deletes[0].targets == [volume.clone()] && deletes[0].backups.contains(&volume), "{deletes:?}");
}
