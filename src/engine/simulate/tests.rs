//! A back-test told night by night.

use std::path::Path;

use chrono::TimeDelta;

use super::*;
use crate::checks::testing::{Bench, place, volume};
use crate::domain::resource::{Attachment, Detail};

const POLICY: &str = "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  \
                      rules:\n    - name: unattached\n      check: unattached-volume\n      severity: high\n      \
                      action: terminate\n      parameters:\n        days: 3\n";

fn night(days: i64) -> Instant {
    "2026-11-01T02:00:00Z".parse::<Instant>().unwrap() + TimeDelta::days(days)
}

fn attached(id: &str) -> Resource {
    let mut resource = volume(id, 100, "gp3");
    if let Detail::Volume(volume) = &mut resource.detail {
        volume.state = "in-use".into();
        volume.attachments = Box::new([Attachment {
            instance: "i-1".into(),
            device: "/dev/sdf".into(),
            state: "attached".into(),
            delete_on_termination: false,
        }]);
    }
    resource
}

/// Twenty nights: one volume lies idle for all of them, one is attached again on the night `again`.
fn play(again: i64, owner: Option<&str>, judged: impl Fn(i64) -> bool) -> Simulation {
    let policies = crate::policy::parse(Path::new("disks.yaml"), POLICY, &crate::checks::infos()).unwrap();
    let rules = Ruleset::compile(&policies).unwrap();
    let bench = Bench::new();
    let owner_of = |_: &Resource| owner.map(str::to_owned);
    let refused = |_: Act, _: &Resource| None;
    let mut test = Backtest::new(Setting {
        rules: &rules,
        prices: &bench.prices,
        exceptions: &[],
        owner_of: &owner_of,
        refused: &refused,
        tag_prefix: "costwarden:",
    });
    let partition = place().partition(Kind::Volume);
    let refs = RefIndex::default();
    for day in 0..20 {
        let second = if day < again { volume("vol-back", 100, "gp3") } else { attached("vol-back") };
        let resources = [(volume("vol-idle", 100, "gp3"), None), (second, None)];
        let remembered = HashMap::new();
        test.night(&Night {
            at: night(day),
            partition: &partition,
            resources: &resources,
            refs: &refs,
            remembered: &remembered,
            judged: judged(day),
        });
    }
    test.finish()
}

fn one<'a>(simulation: &'a Simulation, id: &str) -> &'a Found {
    simulation.found.iter().find(|found| &*found.finding.key.id == id).unwrap()
}

#[test]
fn a_back_test_tells_what_was_found_acted_on_saved_and_used_again() {
    let simulation = play(18, Some("ann@example.com"), |_| true);
    assert_eq!((simulation.nights.len(), simulation.found.len()), (20, 2));
    let idle = one(&simulation, "vol-idle");
    // Told after more than three whole days, deleted fourteen days after the first sight at the earliest.
    assert_eq!((idle.nights, idle.acted, &idle.used_again), (20, Some((Act::DeleteVolume, night(14))), &None));
    // Five days of 8 dollars a month.
    assert_eq!(idle.saved, Some(Usd::dollars(8).scaled(5 * 24, 730)));
    let back = one(&simulation, "vol-back");
    assert_eq!(back.used_again, Some((night(18), "attached to i-1".to_owned())));
    let wrong: Vec<&str> = simulation.wrong_acts().map(|found| &*found.finding.key.id).collect();
    assert_eq!(wrong, ["vol-back"], "it would have been deleted four days before it was needed");
}

#[test]
fn what_is_used_again_before_the_grace_period_ends_is_no_wrong_act() {
    let simulation = play(8, Some("ann@example.com"), |_| true);
    assert_eq!(simulation.wrong_acts().count(), 0);
    let ids: Vec<&str> = simulation.false_positives().map(|found| &*found.finding.key.id).collect();
    assert_eq!(ids, ["vol-back"]);
    assert_eq!(one(&simulation, "vol-back").acted, None);
}

#[test]
fn nobody_to_tell_means_no_act() {
    let simulation = play(99, None, |_| true);
    assert!(simulation.found.iter().all(|found| found.acted.is_none() && found.saved.is_none()));
}

#[test]
fn one_night_alone_is_judged_and_the_later_ones_tell_what_was_used_again() {
    let simulation = play(8, Some("ann@example.com"), |day| day == 6);
    assert_eq!(simulation.nights, [night(6)]);
    let back = one(&simulation, "vol-back");
    assert_eq!((back.nights, back.acted), (1, None), "its notice would only have gone out that night");
    assert_eq!(back.used_again, Some((night(8), "attached to i-1".to_owned())));
}
