//! The life of a policy, step by step; each test begins with the row of the contract that it holds.

use std::path::Path;

use super::*;
use crate::domain::check::{CheckInfo, ParamInfo, UsedBy};
use crate::domain::finding::{Action, Severity};
use crate::domain::lifecycle::{Brake, ChangeType, Review, SemVer};
use crate::domain::place::Kind;
use crate::policy::EnforcementMode;

/// As much of the catalogue as these documents name.
static UNATTACHED: CheckInfo = CheckInfo {
    id: "unattached-volume",
    title: "Volume attached to nothing",
    why: "It costs the same as a used one.",
    kinds: &[Kind::Volume],
    used_by: UsedBy::Waste,
    severity: Severity::Medium,
    action: Action::Notify,
    params: &[ParamInfo { name: "days", unit: "days", default: 7.0, min: 1.0, max: 365.0, whole: true, doc: "days" }],
    reads: "listing",
    needs_usage: false,
};
static CHECKS: [&CheckInfo; 1] = [&UNATTACHED];

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// 2 November 2026, noon, and so many hours.
fn hour(hours: i64) -> Instant {
    at("2026-11-02T12:00:00Z") + chrono::TimeDelta::hours(hours)
}

fn by(who: &str, hours: i64) -> By<'_> {
    By { who, at: hour(hours) }
}

fn text(days: u32, mode: &str, words: &str) -> String {
    format!(
        "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: old-disks\n  description: {words}\nspec:\n  \
         type: Waste\n  mode: {mode}\n  rules:\n    - name: unattached\n      check: unattached-volume\n      \
         parameters:\n        days: {days}\n"
    )
}

fn content(days: u32, mode: &str, words: &str) -> Content {
    let file = Path::new("old-disks.yaml");
    contents(file, &text(days, mode, words), &CHECKS).unwrap().remove(0)
}

/// A policy with its versions, as the store would keep them.
struct Life {
    record: PolicyRecord,
    versions: Vec<PolicyVersion>,
    news: Vec<News>,
}

impl Life {
    fn new() -> Life {
        let moved = create(&content(7, "enforce", "Disks"), by(ANN, 0), |_| false);
        Life { record: moved.record, versions: vec![moved.version.unwrap()], news: moved.news }
    }

    fn take(&mut self, moved: Result<Moved, Refusal>) -> &mut Life {
        let moved = moved.unwrap_or_else(|refusal| panic!("{refusal}"));
        self.record = moved.record;
        self.versions.extend(moved.version);
        self.news = moved.news;
        self
    }

    fn edit(&mut self, content: &Content, by: By<'_>) -> &mut Life {
        let moved = update(&self.record, self.versions.last().unwrap(), content, by, Edit::default());
        self.take(moved)
    }

    fn submit(&mut self, reviewers: &[&str]) -> &mut Life {
        let names: Vec<String> = reviewers.iter().map(|name| (*name).to_owned()).collect();
        let moved = submit(&self.record, by(ANN, 1), &names);
        self.take(moved)
    }

    fn approve(&mut self, who: &str) -> &mut Life {
        let moved = approve(&self.record, by(who, 2), None);
        self.take(moved)
    }

    fn activate(&mut self) -> &mut Life {
        let moved = activate(&self.record, by(ANN, 3), None);
        self.take(moved)
    }

    fn active() -> Life {
        let mut life = Life::new();
        life.submit(&[BOB]).approve(BOB).activate();
        life
    }

    fn stage(&self) -> (Stage, String) {
        (self.record.stage, self.record.version.to_string())
    }

    fn in_force(&self, hours: i64) -> Option<String> {
        self.record.in_force(hour(hours)).map(|force| force.version.to_string())
    }

    fn told(&self) -> Vec<(Audience, &'static str)> {
        self.news.iter().map(|news| (news.to.clone(), news.what)).collect()
    }
}

fn people(names: &[&str]) -> Audience {
    Audience::People(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn l1_a_policy_goes_the_whole_way_and_back_to_draft_when_changes_are_asked_for() {
    let mut life = Life::new();
    let mut seen = vec![life.stage()];
    let mut step = |life: &Life| seen.push(life.stage());
    step(life.submit(&[BOB]));
    let sent_back = request_changes(&life.record, by(BOB, 2), "too short");
    step(life.take(sent_back));
    assert_eq!(life.told(), [(people(&[ANN]), "changes_requested")]);
    assert!(life.news[0].detail.contains("too short"));
    step(life.edit(&content(14, "enforce", "Disks"), by(ANN, 3)));
    step(life.submit(&[BOB]));
    step(life.approve(BOB));
    step(life.activate());
    step(life.edit(&content(14, "enforce", "Disks that nobody uses"), by(ANN, 5)));
    let ended = deprecate(&life.record, by(ANN, 6), hour(48), "old", None);
    step(life.take(ended));
    let gone = archive(&life.record, by(ANN, 48));
    step(life.take(gone));
    use Stage::*;
    let expected = [
        (Draft, "0.1.0"),
        (Review, "0.1.0"),
        (Draft, "0.1.0"),
        (Draft, "1.0.0"),
        (Review, "1.0.0"),
        (Approved, "1.0.0"),
        (Active, "1.0.0"),
        (Active, "1.1.0"),
        (Deprecated, "1.1.0"),
        (Archived, "1.1.0"),
    ];
    assert_eq!(seen, expected.map(|(stage, version)| (stage, version.to_owned())));
}

#[test]
fn l2_a_new_policy_is_a_draft_of_version_0_1_0_with_an_id_of_our_own_that_never_collides() {
    let life = Life::new();
    assert_eq!(life.record.id, "policy-old-disks-20261102");
    assert_eq!(life.stage(), (Stage::Draft, "0.1.0".into()));
    let version = &life.versions[0];
    assert_eq!((version.change, version.summary.as_str(), version.seq), (ChangeType::Major, "Initial draft", 1));
    assert_eq!((version.hash.len(), &version.hash), (16, &content(7, "enforce", "Disks").hash));
    let mut taken: Vec<String> = Vec::new();
    for _ in 0..3 {
        taken.push(id_for("Old  Disks (EU)", hour(0), |id| taken.iter().any(|known| known == id)));
    }
    let base = "policy-old--disks--eu--20261102";
    assert_eq!(taken, [base.to_owned(), format!("{base}-2"), format!("{base}-3")]);
}

#[test]
fn l3_the_hash_is_over_sorted_ascii_json_so_comments_and_layout_do_not_count() {
    let commented = format!("# why\n{}", text(7, "enforce", "Disks").replace("days: 7", "days:   7  # a week"));
    let again = contents(Path::new("other.yaml"), &commented, &CHECKS).unwrap();
    assert_eq!(again[0].hash, content(7, "enforce", "Disks").hash);
    assert!(again[0].text.contains("# why"), "the text stays as written");
    let canonical = r#"{"apiVersion": "costwarden.dev/v1", "kind": "CostPolicy", "metadata": {"description": "Disks", "name": "old-disks"}, "spec": {"mode": "enforce", "rules": [{"check": "unattached-volume", "name": "unattached", "parameters": {"days": 7}}], "type": "Waste"}}"#;
    use sha2::Digest;
    let digest: String = sha2::Sha256::digest(canonical).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(again[0].hash, digest);
}

#[test]
fn l4_an_update_counts_up_by_what_changed_and_refuses_what_changes_nothing() {
    let mut life = Life::new();
    life.edit(&content(7, "enforce", "Words"), by(ANN, 1));
    life.edit(&content(8, "enforce", "Words"), by(EVE, 2));
    assert_eq!(life.told(), [(people(&[ANN]), "updated")], "the creator is told, the editor knows");
    life.edit(&content(8, "enforce", "More words"), by(ANN, 3));
    let versions: Vec<String> = life.versions.iter().map(|version| version.version.to_string()).collect();
    assert_eq!(versions, ["0.1.0", "0.2.0", "1.0.0", "1.1.0"]);
    assert_eq!(life.versions[2].summary, "spec.rules[0].parameters.days: 7 → 8");

    let same =
        update(&life.record, &life.versions[3], &content(8, "enforce", "More words"), by(ANN, 4), Edit::default());
    assert!(same.unwrap_err().problem.contains("says the same as version 1.1.0"));
    // Older content may come back.
    life.edit(&content(7, "enforce", "Disks"), by(ANN, 5));
    assert_eq!((life.stage().1.as_str(), &life.record.hash), ("2.0.0", &life.versions[0].hash));

    let mut other = content(9, "enforce", "x");
    other.name = "new-name".into();
    let renamed = update(&life.record, life.versions.last().unwrap(), &other, by(ANN, 6), Edit::default());
    assert!(renamed.unwrap_err().problem.contains("another name is another policy"));
}

#[test]
fn l4_an_archived_policy_does_not_change() {
    let mut life = Life::active();
    let ended = deprecate(&life.record, by(ANN, 4), hour(4), "old", None);
    life.take(ended);
    let gone = archive(&life.record, by(ANN, 5));
    life.take(gone);
    let refused = update(&life.record, &life.versions[0], &content(9, "enforce", "x"), by(ANN, 6), Edit::default());
    insta::assert_snapshot!(refused.unwrap_err(), @"
    policy-old-disks-20261102 0.1.0 is in stage archived: an archived policy does not change any more
      possible now: nothing; a new policy is made with `policy create`
    ");
}

#[test]
fn l5_a_major_change_is_reviewed_while_the_old_version_stays_in_force() {
    let mut life = Life::active();
    life.edit(&content(30, "enforce", "Disks"), by(ANN, 10));
    assert_eq!(life.stage(), (Stage::Review, "1.0.0".into()));
    assert_eq!(life.told()[0], (people(&[BOB]), "submitted"), "the reviewers are asked again");
    assert_eq!(life.record.review.as_ref().unwrap().waiting(), [BOB], "and their old word does not count");
    assert_eq!(life.in_force(11).as_deref(), Some("0.1.0"));
    life.approve(BOB);
    assert_eq!((life.stage().0, life.in_force(11).as_deref()), (Stage::Approved, Some("0.1.0")));
    let swapped = activate(&life.record, by(ANN, 12), None);
    life.take(swapped);
    assert_eq!(life.in_force(12).as_deref(), Some("1.0.0"));

    // A minor one is in force at once.
    life.edit(&content(30, "enforce", "Other words"), by(ANN, 20));
    assert_eq!((life.stage(), life.in_force(20).as_deref()), ((Stage::Active, "1.1.0".into()), Some("1.1.0")));
}

#[test]
fn l8_what_was_in_force_stays_so_when_the_clock_goes_back_and_what_is_to_come_waits_all_the_same() {
    let mut life = Life::active();
    assert_eq!(life.in_force(2).as_deref(), Some("0.1.0"), "activated at three, and the clock says two again");
    assert_eq!(Life::new().in_force(1000), None);
    life.edit(&content(30, "enforce", "Disks"), by(ANN, 10)).approve(BOB);
    let planned = activate(&life.record, by(ANN, 12), Some(hour(100)));
    life.take(planned);
    assert_eq!((life.in_force(2).as_deref(), life.in_force(99).as_deref()), (Some("0.1.0"), Some("0.1.0")));
    assert_eq!(life.in_force(100).as_deref(), Some("1.0.0"));
}

#[test]
fn l5_every_edit_in_review_or_approved_clears_the_approvals_and_asks_again() {
    let mut life = Life::new();
    life.submit(&[BOB, EVE]).approve(BOB);
    life.edit(&content(7, "enforce", "Only words"), by(ANN, 3));
    assert_eq!(life.record.review.as_ref().unwrap().waiting(), [BOB, EVE]);
    life.approve(BOB).approve(EVE);
    let planned = activate(&life.record, by(ANN, 4), Some(hour(100)));
    life.take(planned);
    life.edit(&content(7, "enforce", "Yet other words"), by(ANN, 5));
    assert_eq!((life.stage().0, life.record.review.as_ref().unwrap().waiting().len()), (Stage::Review, 2));
    assert_eq!(life.in_force(101), None, "the date was for the version before");
}

#[test]
fn l5_a_draft_that_was_sent_back_leaves_the_old_version_in_force() {
    let mut life = Life::active();
    life.edit(&content(30, "enforce", "Disks"), by(ANN, 10));
    let sent_back = request_changes(&life.record, by(BOB, 11), "why 30?");
    life.take(sent_back);
    assert_eq!((life.stage().0, life.in_force(12).as_deref()), (Stage::Draft, Some("0.1.0")));
}

#[test]
fn l6_only_a_draft_is_submitted_and_only_to_people_who_can_answer() {
    let life = Life::new();
    let send = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        submit(&life.record, by("carl", 1), &names)
            .map(|moved| moved.record.reviewers)
            .map_err(|refusal| refusal.problem)
    };
    assert!(send(&[]).unwrap_err().contains("no reviewer is named"));
    assert!(send(&["bob"]).unwrap_err().contains("not a mail address"));
    assert!(send(&[BOB, ANN]).unwrap_err().contains("ann@example.com wrote it"));
    assert!(send(&["ANN@example.com"]).unwrap_err().contains("wrote it"));
    assert_eq!(send(&[BOB, " BOB@Example.com", EVE]).unwrap(), [BOB, EVE]);

    let mut life = Life::new();
    life.submit(&[BOB, EVE]);
    assert_eq!(life.told(), [(people(&[BOB, EVE]), "submitted")]);
    let review = life.record.review.clone().unwrap();
    assert_eq!((review.asked_by.as_str(), review.asked_at, review.seq), (ANN, hour(1), 1));
    let again = submit(&life.record, by(ANN, 2), &[BOB.to_owned()]);
    insta::assert_snapshot!(again.unwrap_err(), @"
    policy-old-disks-20261102 0.1.0 is in stage review: only a draft can be submitted
      possible now: approve or request-changes by bob@example.com, eve@example.com; update by anyone, which clears the approvals
    ");
}

#[test]
fn l7_all_reviewers_are_needed_and_each_counts_once() {
    let mut life = Life::new();
    life.submit(&[BOB, EVE]).approve(BOB).approve(BOB).approve(BOB);
    assert_eq!(life.stage().0, Stage::Review, "one person is one voice");
    assert!(life.news.is_empty(), "and is told of once");
    let last = approve(&life.record, by(EVE, 9), Some("good"));
    life.take(last);
    assert_eq!(life.stage().0, Stage::Approved);
    assert_eq!(life.told(), [(people(&[ANN]), "approved")]);
    let Some(Review { reviewers, .. }) = &life.record.review else { panic!("the review is kept") };
    let kept: Vec<_> =
        reviewers.iter().map(|one| (one.who.as_str(), one.approved_at, one.comment.as_deref())).collect();
    assert_eq!(kept, [(BOB, Some(hour(2)), None), (EVE, Some(hour(9)), Some("good"))]);
}

#[test]
fn l7_nobody_approves_their_own_work_and_nobody_else_either() {
    let mut life = Life::new();
    let early = approve(&life.record, by(BOB, 1), None).unwrap_err();
    assert!(early.problem.contains("only what is in review"), "{early}");
    life.submit(&[BOB]);
    let problem = |who: &str| approve(&life.record, by(who, 2), None).unwrap_err().problem;
    assert!(problem(ANN).contains("wrote it and may not review it"));
    assert!(problem("ann").contains("wrote it"), "not without the domain either");
    assert!(problem(EVE).contains("not one of its reviewers"));
    assert!(request_changes(&life.record, by(EVE, 2), "no").is_err());
    assert!(request_changes(&life.record, by(BOB, 2), "  ").unwrap_err().problem.contains("reason is empty"));

    // A reviewer who edits becomes an author: others must be named.
    let edit = |reviewers: Option<&[String]>| {
        let edit = Edit { summary: None, reviewers };
        update(&life.record, &life.versions[0], &content(9, "enforce", "Disks"), by(BOB, 3), edit)
    };
    assert!(edit(None).unwrap_err().problem.contains("no reviewer would be left"));
    let named = [EVE.to_owned()];
    let moved = edit(Some(&named)).unwrap();
    assert!(approve(&moved.record, by(BOB, 4), None).unwrap_err().problem.contains("wrote it"));
    assert_eq!(approve(&moved.record, by(EVE, 4), None).unwrap().record.stage, Stage::Approved);
}

#[test]
fn l8_only_an_approved_version_is_activated_and_a_later_date_counts_when_it_comes() {
    let mut life = Life::new();
    assert!(activate(&life.record, by(ANN, 1), None).unwrap_err().problem.contains("only an approved"));
    life.submit(&[BOB]).approve(BOB);
    assert!(activate(&life.record, by(ANN, 30), Some(hour(1))).unwrap_err().problem.contains("has passed"));
    let planned = activate(&life.record, by(ANN, 3), Some(hour(24)));
    life.take(planned);
    assert_eq!(life.told(), [(Audience::Everyone, "activated")]);
    assert_eq!(
        (life.stage().0, life.in_force(23), life.in_force(24).as_deref()),
        (Stage::Approved, None, Some("0.1.0"))
    );
    assert_eq!([23, 24].map(|hours| life.record.stage_at(hour(hours))), [Stage::Approved, Stage::Active]);
    // The next step writes down what became true in between, with its own instant.
    let ended = deprecate(&life.record, by(ANN, 30), hour(40), "old", None).unwrap();
    let events: Vec<_> = ended.events.iter().map(|event| (event.what.as_str(), event.at)).collect();
    assert_eq!(events, [("in_force", hour(24)), ("deprecated", hour(30))]);
}

#[test]
fn l8_the_old_version_is_in_force_until_the_date_of_the_new_one() {
    let mut life = Life::active();
    life.edit(&content(30, "enforce", "Disks"), by(ANN, 10));
    life.approve(BOB);
    let planned = activate(&life.record, by(ANN, 12), Some(hour(48)));
    life.take(planned);
    assert_eq!([12, 47, 48].map(|hours| life.in_force(hours).unwrap()), ["0.1.0", "0.1.0", "1.0.0"]);
}

#[test]
fn l9_a_deprecated_policy_is_in_force_until_its_date() {
    let mut life = Life::new();
    let early = deprecate(&life.record, by(ANN, 1), hour(9), "old", None);
    assert!(early.unwrap_err().problem.contains("only an active"));
    life.submit(&[BOB]).approve(BOB).activate();
    let end = |on, why: &str, instead| deprecate(&life.record, by(ANN, 4), on, why, instead);
    assert!(end(hour(100), " ", None).unwrap_err().problem.contains("reason is empty"));
    assert!(end(hour(-40), "old", None).unwrap_err().problem.contains("has passed"));
    assert!(end(hour(100), "old", Some("policy-old-disks-20261102")).is_err());
    let ended = end(hour(100), "merged", Some("policy-disks-20261102"));
    life.take(ended);
    assert_eq!(life.told(), [(Audience::Everyone, "deprecated")]);
    let kept = life.record.deprecation.clone().unwrap();
    assert_eq!((kept.reason.as_str(), kept.replaced_by.as_deref()), ("merged", Some("policy-disks-20261102")));
    assert_eq!((life.in_force(99).as_deref(), life.in_force(100)), (Some("0.1.0"), None));
}

#[test]
fn l9_a_deprecated_policy_takes_words_and_no_behaviour_that_nobody_reviewed() {
    let mut life = Life::active();
    let ended = deprecate(&life.record, by(ANN, 4), hour(100), "old", None);
    life.take(ended).edit(&content(7, "enforce", "Old disks"), by(ANN, 5));
    assert_eq!((life.stage().1.as_str(), life.in_force(6).as_deref()), ("0.2.0", Some("0.2.0")), "words hold at once");
    life.edit(&content(1, "enforce", "Old disks"), by(EVE, 7));
    assert_eq!((life.stage().1.as_str(), life.in_force(8).as_deref()), ("1.0.0", Some("0.2.0")));
    // Words on top of it would bring it along.
    life.edit(&content(1, "enforce", "Very old disks"), by(EVE, 9));
    assert_eq!((life.stage().1.as_str(), life.in_force(10).as_deref()), ("1.1.0", Some("0.2.0")));
}

#[test]
fn l10_only_a_deprecated_policy_whose_date_has_come_is_archived() {
    let mut life = Life::active();
    assert!(archive(&life.record, by(ANN, 5)).unwrap_err().problem.contains("only a deprecated"));
    let ended = deprecate(&life.record, by(ANN, 4), hour(100), "old", None);
    life.take(ended);
    insta::assert_snapshot!(archive(&life.record, by(ANN, 99)).unwrap_err(), @"
    policy-old-disks-20261102 0.1.0 is in stage deprecated: it is in force until 2026-11-06 16:00 UTC
      possible now: archive by anyone, from 2026-11-06 16:00 UTC on
    ");
    assert_eq!(archive(&life.record, by(ANN, 100)).unwrap().record.stage, Stage::Archived);
}

#[test]
fn p15_a_switch_of_the_mode_is_a_version_and_a_stricter_one_waits_for_review() {
    let mut life = Life::active();
    let checks = CHECKS;
    let monitor = with_mode(&life.versions[0], EnforcementMode::Monitor, &checks).unwrap();
    assert_eq!(monitor.text, text(7, "monitor", "Disks"), "the text stays as it was written");
    let switched = switch_mode(&life.record, &life.versions[0], &monitor, EnforcementMode::Monitor, by(ANN, 5));
    life.take(switched);
    assert_eq!(life.stage(), (Stage::Review, "1.0.0".into()));
    assert_eq!((life.versions[1].change, life.versions[1].summary.as_str()), (ChangeType::Major, "Mode monitor"));
    // Doing less waits for nobody: the version in force is limited at once.
    assert_eq!(life.record.brake_at(hour(5)), Some(Brake::Monitor));
    let policies = in_force(&life.versions[0], life.record.brake_at(hour(5)), &checks).unwrap();
    let modes: Vec<_> = policies.iter().flat_map(|policy| policy.rules.iter().map(|rule| rule.mode)).collect();
    assert_eq!((policies[0].mode, modes), (EnforcementMode::Monitor, vec![EnforcementMode::Monitor]));
    assert_eq!(policies[0].version.as_deref(), Some("0.1.0"));

    // Back to enforce is doing more: nothing changes before the review.
    life.approve(BOB).activate();
    assert_eq!(life.record.brake, None, "the version in force says it itself now");
    let enforce = with_mode(&life.versions[1], EnforcementMode::Enforce, &checks).unwrap();
    let switched = switch_mode(&life.record, &life.versions[1], &enforce, EnforcementMode::Enforce, by(ANN, 20));
    life.take(switched);
    assert_eq!((life.stage().0, life.record.brake, life.in_force(21).as_deref()), (Stage::Review, None, Some("1.0.0")));
}

#[test]
fn p15_a_mode_is_written_into_documents_that_have_none() {
    let life = Life::new();
    let mut bare = life.versions[0].clone();
    bare.text = bare.text.replace("  mode: enforce\n", "");
    bare.json["spec"].as_object_mut().unwrap().remove("mode");
    let found = with_mode(&bare, EnforcementMode::Disabled, &CHECKS).unwrap();
    assert_eq!(found.text, bare.text.replace("spec:\n", "spec:\n  mode: disabled\n"));
}

#[test]
fn t6_a_version_has_a_number_and_a_semantic_version() {
    let mut life = Life::new();
    life.edit(&content(8, "enforce", "Disks"), by(ANN, 1));
    let rows: Vec<_> = life.versions.iter().map(|row| (row.seq, row.version)).collect();
    assert_eq!(rows, [(1, SemVer::FIRST), (2, SemVer { major: 1, minor: 0, patch: 0 })]);
    assert_eq!(life.versions[1].json["spec"]["rules"][0]["parameters"]["days"], 8);
    assert_eq!((life.versions[1].by.as_str(), life.versions[1].at), (ANN, hour(1)));
}

#[test]
fn a_file_of_several_documents_is_cut_into_policies_that_load_alone() {
    let second = text(9, "monitor", "Two").replace("old-disks", "other-disks");
    let both = format!("# head\n---\n{}---\n{second}", text(7, "enforce", "One"));
    let found = contents(Path::new("both.yaml"), &both, &CHECKS).unwrap();
    let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.text.as_str())).collect();
    assert_eq!(names, [("old-disks", text(7, "enforce", "One").as_str()), ("other-disks", second.as_str())]);
}

#[test]
fn seed_flaw_14_an_active_policy_never_changes_what_it_does_as_minor_and_without_review() {
    for (days, mode) in [(1, "enforce"), (6, "enforce"), (8, "enforce"), (365, "enforce"), (30, "monitor")] {
        let mut life = Life::active();
        let before = life.stage().1;
        life.edit(&content(days, mode, "Disks"), by(ANN, 10));
        assert_eq!(life.stage().0, Stage::Review, "{days} days, {mode}");
        assert_eq!(life.in_force(11).as_deref(), Some(before.as_str()), "the old one goes on");
        assert!(activate(&life.record, by(ANN, 12), None).is_err(), "nobody puts it in force before the reviewer");
    }
    let mut life = Life::active();
    life.edit(&content(7, "enforce", "Other words"), by(ANN, 10));
    assert_eq!(life.stage().0, Stage::Active, "words alone change nothing");
}
