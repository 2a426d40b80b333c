//! A state file that is exchanged for an older copy of itself, by the real program's own files.
//!
//! The copy is taken right before the stop of an instance is called; the stop is done, and the copy put back. By the copy
//! a stop and a delete are due. Nothing at all is done by it until a person accepts it, and then every owner is warned
//! anew first.

use std::collections::BTreeMap;

use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;
use costwarden::store::{ANCHOR_NAME, FILE_NAME};

use super::case::{Case, side_by_side};
use super::world::{Needs, World};
use crate::faults::reached;

/// What is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Back {
    /// The file with its write-ahead log.
    WithLog,
    /// The file alone.
    WithoutLog,
    /// The whole folder, its anchor too: only the cloud knows better.
    Everything,
}

const WAYS: [Back; 3] = [Back::WithLog, Back::WithoutLog, Back::Everything];

/// What this file's cases need: a pair each.
pub const NEEDS: Needs = Needs { own: 0, lone: 0, neighbours: WAYS.len(), loose: 0, crowds: (0, 0) };

#[test]
fn h16_a_state_that_was_put_back_acts_on_nothing_until_a_person_accepts_it_and_warns_anew() {
    let world = World::shared();
    let jobs = WAYS.into_iter().zip(std::iter::repeat_with(|| world.neighbour())).collect();
    let said: Vec<String> = side_by_side(jobs, |(back, pair)| {
        let mut case = Case::new(world, &pair, Act::StopInstance);
        // `Everything` is the state before the act was even claimed, which a later snapshot contradicts.
        let before = case.files();
        case.killed_at("J8.before");
        let at_death = case.files();
        case.past_the_lease();
        assert_eq!((case.seen_out(), case.state()), (0, Some(JournalState::Done)), "{back:?}");
        let stopped = case.counted();
        assert_eq!(stopped.acts, 1);

        let older: BTreeMap<String, Vec<u8>> = match back {
            Back::Everything => before,
            _ => {
                let mut older = at_death;
                let log = older.remove(&format!("{FILE_NAME}-wal")).expect("it was killed with its log open");
                older.retain(|name, _| name == FILE_NAME);
                if back == Back::WithLog {
                    older.insert(format!("{FILE_NAME}-wal"), log);
                }
                older.insert(ANCHOR_NAME.to_owned(), case.files()[ANCHOR_NAME].clone());
                older
            }
        };
        case.put_back(&older);
        // By the copy, the delete of the pair's volume is due, and the stop too or still under way.
        let stop = std::mem::replace(&mut case.step, world.step(&pair, Act::DeleteVolume).clone());
        case.past_the_lease();
        let mut words = String::new();
        for lifted in [false, true] {
            if lifted {
                // Lifting the freeze is not enough.
                assert_eq!(case.start(&["unfreeze", "--by", "ann"], None).end().code(), Some(0));
            }
            let mut running = case.apply(None);
            assert_eq!(running.end().code(), Some(6), "{back:?}: {}", running.errors());
            let frozen = case.store().frozen().expect("the freeze is read").expect("everything stands");
            words = frozen.reason;
            assert!(
                words.contains("this state is an older copy") && words.contains("`costwarden db accept`"),
                "{words}"
            );
            assert_eq!((case.counted().acts, case.rows().len()), (0, 0), "{back:?}: the delete was not even begun");
        }
        let mut doctor = case.start(&["doctor"], None);
        assert_eq!(doctor.end().code(), Some(1));
        let mut accept = case.start(&["db", "accept", "--by", "ann"], None);
        assert_eq!(accept.end().code(), Some(0), "{}", accept.errors());
        assert_eq!(case.start(&["unfreeze", "--by", "ann"], None).end().code(), Some(0));
        // It goes on, and nothing is due: every owner is to hear of it again first.
        let mut running = case.apply(None);
        assert_eq!(running.end().code(), Some(5), "{back:?}: {}", running.errors());
        assert!(!case.frozen());
        assert!(case.rows().iter().all(|row| row.state == JournalState::Refused), "{:?}", case.told());
        assert_eq!(case.counted().acts, 0);
        let mut plan = case.start(&["plan", "--detailed-exitcode"], None);
        assert_eq!(plan.end().code(), Some(0), "{back:?}: nothing is due: {}", plan.errors());
        case.step = stop;
        assert_eq!(case.counted(), stopped, "{back:?}");
        format!("{back:?}: {words}")
    });
    eprintln!("{} states put back, 0 acts by them: {said:#?}", said.len());
    reached("an older copy is put back", said.len());
}
