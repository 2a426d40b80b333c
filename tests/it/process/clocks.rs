//! A machine whose clock is wrong: ahead or behind by minutes or by a month, while the cloud knows the time.

use chrono::TimeDelta;
use costwarden::domain::finding::Act;
use costwarden::domain::remediation::JournalState;

use super::case::{Case, side_by_side};
use super::world::{World, due};

/// How far the clock is wrong.
const WRONG: [TimeDelta; 6] = [
    TimeDelta::minutes(10),
    TimeDelta::minutes(-10),
    TimeDelta::hours(20),
    TimeDelta::hours(-20),
    TimeDelta::days(30),
    TimeDelta::days(-30),
];

/// Pairs that this file's cases need: one each.
pub const PAIRS: usize = WRONG.len();

#[test]
fn h08_by_a_wrong_clock_nothing_is_done_and_by_the_right_one_it_is() {
    let world = World::shared();
    let jobs = WRONG.into_iter().zip(std::iter::repeat_with(|| world.pair())).collect();
    let said: Vec<String> = side_by_side(jobs, |(wrong, pair)| {
        let mut case = Case::new(world, &pair, Act::DeleteVolume);
        // This account's cloud tells the time at which these cases live.
        world.moto.tell_time(&case.account, Some(0));
        case.set_clock(due() + wrong);
        let mut running = case.apply(None);
        let code = running.end().code();
        let said = running.errors();
        assert!(!matches!(code, Some(0) | None), "{wrong}: {said}");
        assert_eq!(case.counted().acts, 0, "{wrong}: {said}");
        case.set_clock(due() + TimeDelta::minutes(2));
        let mut running = case.apply(None);
        let code = running.end().code();
        if case.frozen() {
            // A clock that had been ahead of its own past: a person looks, and lifts it.
            assert_ne!(code, Some(0));
            let mut lifted = case.start(&["unfreeze", "--by", "ann"], None);
            assert_eq!(lifted.end().code(), Some(0), "{}", lifted.errors());
            case.apply(None).end();
        }
        assert_eq!((case.ended(), case.counted().acts), (Some(JournalState::Done), 1), "{wrong}: {:?}", case.told());
        format!("{wrong}: {}", said.lines().last().unwrap_or_default())
    });
    eprintln!("{} wrong clocks, 0 acts by them: {said:#?}", said.len());
}
