//! What is due, what is held and why, at every limit of the planner.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::*;
use crate::domain::money::Usd;
use crate::domain::notice::NoticeKind;
use crate::engine::grace;
use crate::engine::reconcile::testing::finding;

/// Monday, inside the default window.
fn now() -> Instant {
    "2026-11-23T10:00:00Z".parse().unwrap()
}

fn due(id: &str, severity: Severity, action: Action, dollars: i64) -> Finding {
    let mut finding = finding(id, severity, action);
    finding.savings.monthly = Some(Usd::dollars(dollars));
    finding.check = if id.starts_with("vol-") { "unattached-volume" } else { "idle-instance" }.into();
    let told = now() - TimeDelta::days(20);
    grace::delivered(&mut finding, NoticeKind::First, told);
    grace::delivered(&mut finding, NoticeKind::Escalation, told + TimeDelta::days(7));
    finding
}

/// Owns a `PlanInput` that lets everything through: mode enforce, armed, scanned two hours ago, plenty of resources.
struct World {
    findings: Vec<Finding>,
    mode: Mode,
    by_hand: bool,
    frozen: Option<Freeze>,
    accounts: BTreeSet<AccountId>,
    armings: Vec<Arming>,
    policies: BTreeMap<String, String>,
    exceptions: Vec<Exception>,
    asked: Vec<Exception>,
    approved: BTreeMap<FindingId, u8>,
    partitions: HashMap<Partition, PartitionLook>,
    totals: HashMap<(AccountId, Kind), u64>,
    today: Vec<PastAct>,
    last_acts: HashMap<ResourceKey, Instant>,
    in_vain: HashMap<FindingId, u32>,
    pace: Pace,
    breaker: Breaker,
    window: Window,
}

impl World {
    fn with(findings: Vec<Finding>) -> World {
        let place = crate::checks::testing::place();
        World {
            mode: Mode::Enforce,
            by_hand: false,
            frozen: None,
            accounts: BTreeSet::from([place.account.clone()]),
            armings: vec![Arming {
                account: place.account.clone(),
                by: "ann".into(),
                at: now() - TimeDelta::days(30),
                until: now() + TimeDelta::days(30),
                policies: vec![("policy".into(), "hash".into())],
            }],
            policies: BTreeMap::from([("policy".to_owned(), "hash".to_owned())]),
            exceptions: Vec::new(),
            asked: Vec::new(),
            approved: BTreeMap::new(),
            partitions: Kind::ALL
                .into_iter()
                .map(|kind| (place.partition(kind), PartitionLook { at: now() - TimeDelta::hours(8), doubt: None }))
                .collect(),
            totals: Kind::ALL.into_iter().map(|kind| ((place.account.clone(), kind), 1_000)).collect(),
            today: Vec::new(),
            last_acts: HashMap::new(),
            in_vain: HashMap::new(),
            pace: Pace::default(),
            breaker: Breaker::default(),
            window: Window::default(),
            findings,
        }
    }

    fn select(&self) -> Selection<'_> {
        select(&PlanInput {
            now: now(),
            findings: &self.findings,
            mode: self.mode,
            by_hand: self.by_hand,
            frozen: self.frozen.as_ref(),
            accounts: &self.accounts,
            armings: &self.armings,
            policies: &self.policies,
            exceptions: &self.exceptions,
            asked: &self.asked,
            approved: &self.approved,
            partitions: &self.partitions,
            max_age: TimeDelta::hours(26),
            totals: &self.totals,
            today: &self.today,
            last_acts: &self.last_acts,
            in_vain: &self.in_vain,
            pace: &self.pace,
            breaker: &self.breaker,
            window: &self.window,
        })
    }

    fn chosen(&self) -> Vec<String> {
        self.select().chosen.iter().map(|finding| finding.key.id.to_string()).collect()
    }

    /// The one hold of a world with one finding.
    fn held(&self) -> (HoldCode, String) {
        let selection = self.select();
        assert_eq!((selection.chosen.len(), selection.held.len()), (0, 1), "{selection:?}");
        (selection.held[0].code, selection.held[0].reason.clone())
    }
}

fn one(change: impl Fn(&mut World)) -> (HoldCode, String) {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    assert_eq!(world.chosen(), ["i-1"], "without the change it goes");
    change(&mut world);
    world.held()
}

#[test]
fn each_reason_to_hold_has_its_word_and_its_sentence() {
    let holds = |change: &dyn Fn(&mut World)| one(change).0;
    assert_eq!(holds(&|world| world.mode = Mode::Observe), HoldCode::Mode);
    assert_eq!(holds(&|world| world.mode = Mode::Notify), HoldCode::Mode);
    assert_eq!(holds(&|world| world.armings.clear()), HoldCode::NotArmed);
    assert_eq!(holds(&|world| world.armings[0].until = now() - TimeDelta::seconds(1)), HoldCode::NotArmed);
    assert_eq!(holds(&|world| world.armings[0].policies[0].1 = "older".into()), HoldCode::PolicyChanged);
    assert_eq!(holds(&|world| world.armings[0].policies.clear()), HoldCode::PolicyChanged);
    assert_eq!(holds(&|world| drop(world.policies.insert("policy".into(), "newer".into()))), HoldCode::PolicyChanged);
    assert_eq!(holds(&|world| world.findings[0].clock = Default::default()), HoldCode::Unnoticed);
    assert_eq!(holds(&|world| world.findings[0].clock.second_notice = None), HoldCode::InGrace);
    assert_eq!(holds(&|world| world.findings[0].clock.due_at = Some(now() + TimeDelta::seconds(1))), HoldCode::InGrace);
    assert_eq!(holds(&|world| world.findings[0].unjudged = Some("no datapoint".into())), HoldCode::Incomplete);
    assert_eq!(holds(&|world| world.partitions.clear()), HoldCode::Incomplete);
    assert_eq!(holds(&|world| world.findings[0].suppressed = true), HoldCode::ActedRecently);
    assert_eq!(holds(&|world| world.findings[0].remediation = Some(OpenRemediation::Acting)), HoldCode::Acting);
    assert_eq!(holds(&|world| world.findings[0].standing = Standing::Watching("young".into())), HoldCode::Watching);
    assert_eq!(holds(&|world| world.findings[0].severity = Severity::Low), HoldCode::ReportOnly);
    assert_eq!(holds(&|world| world.findings[0].action = Action::Notify), HoldCode::OwnerActs);
    assert_eq!(holds(&|world| world.window.holidays.push(now().date_naive())), HoldCode::Window);
    assert_eq!(
        holds(&|world| {
            world.findings[0].keep_until = Some(now().date_naive());
        }),
        HoldCode::KeepUntil
    );
    let frozen = Freeze { at: now(), by: "ann".into(), reason: "release day".into() };
    assert_eq!(
        one(|world| world.frozen = Some(frozen.clone())),
        (HoldCode::Frozen, "frozen by ann: release day".to_owned())
    );
    assert_eq!(
        one(|world| {
            for look in world.partitions.values_mut() {
                look.at = now() - TimeDelta::hours(27);
            }
        })
        .0,
        HoldCode::StaleScan
    );
    assert_eq!(
        one(|world| {
            for look in world.partitions.values_mut() {
                look.doubt = Some("shrank by 40 %".into());
            }
        })
        .0,
        HoldCode::Incomplete
    );
}

#[test]
fn mode_notify_acts_by_hand_without_arming_and_never_alone() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    world.mode = Mode::Notify;
    world.armings.clear();
    assert_eq!(world.chosen(), [] as [&str; 0]);
    world.by_hand = true;
    assert_eq!(world.chosen(), ["i-1"]);
}

#[test]
fn r10_a_resize_needs_a_target_and_every_act_on_an_instance_backs_up_all_its_volumes() {
    let mut resize = due("i-1", Severity::High, Action::Resize, 50);
    assert_eq!(
        World::with(vec![resize.clone()]).held(),
        (HoldCode::NotAvailable, "no type of its series fits the limit".to_owned())
    );
    resize.to_type = Some("m5.4xlarge".into());
    assert_eq!(World::with(vec![resize.clone()]).chosen(), ["i-1"]);
    let terminate = due("i-1", Severity::Medium, Action::Terminate, 50);
    assert_eq!(World::with(vec![terminate.clone()]).chosen(), ["i-1"]);
    let mut fresh = crate::checks::testing::instance("i-1", "m5.8xlarge", 30);
    if let crate::domain::resource::Detail::Instance(instance) = &mut fresh.detail {
        let attached = |volume: &str, device: &str| crate::domain::resource::AttachedVolume {
            volume: volume.into(),
            device: device.into(),
            delete_on_termination: true,
        };
        instance.volumes = [attached("vol-1", "/dev/xvda"), attached("vol-2", "/dev/sdf")].into();
    }
    for finding in [&resize, &terminate] {
        // Without snapshots before stops as well: a resize and a termination lose more than a stop.
        let step = step(finding, &fresh, &[], false).unwrap();
        assert_eq!(step.backup, ["vol-1", "vol-2"]);
        assert_eq!(step.to_type, finding.to_type);
    }
    let step = step(&resize, &fresh, &[], true).unwrap();
    assert_eq!(step.words(), "resize the instance to m5.4xlarge");
    let other = crate::domain::plan::Step { to_type: Some("m5.2xlarge".into()), ..step.clone() };
    assert_ne!(step.approval_hash(), other.approval_hash(), "people approve one type");
}

#[test]
fn r6_an_exception_of_policy_and_rule_holds_and_one_of_another_rule_does_not() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    let mut exception = Exception {
        id: "EXC-1".into(),
        resource: "i-1".into(),
        account: None,
        policy: "policy".into(),
        rule: Some("other".into()),
        reason: "migration".into(),
        approved_by: "bob".into(),
        until: now(),
    };
    world.exceptions.push(exception.clone());
    assert_eq!(world.chosen(), ["i-1"]);
    exception.rule = None;
    world.exceptions.push(exception);
    assert_eq!(world.held(), (HoldCode::Excepted, "exception EXC-1: migration".to_owned()), "equality still holds");
}

#[test]
fn pace_takes_the_largest_savings_first_and_holds_the_rest() {
    let volumes = |count: i64| (1..=count).map(|n| due(&format!("vol-{n}"), Severity::Medium, Action::Terminate, n));
    let world = World::with(volumes(5).collect());
    assert_eq!(world.chosen(), ["vol-5", "vol-4", "vol-3"], "three destructive acts a run");
    let reasons: Vec<String> = world.select().held.into_iter().map(|held| held.reason).collect();
    assert_eq!(reasons, ["over today's pace: 3 destructive acts a run"; 2]);

    let mut tired = World::with(volumes(5).collect());
    tired.today =
        vec![
            PastAct { account: crate::checks::testing::place().account, kind: Kind::Volume, act: Act::DeleteVolume };
            9
        ];
    assert_eq!(tired.chosen(), ["vol-5"], "ten destructive acts a day");
}

#[test]
fn pace_counts_a_share_of_the_kind_and_zero_means_none() {
    let stops = |count: i64| (1..=count).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n));
    let mut world = World::with(stops(4).collect());
    for total in world.totals.values_mut() {
        *total = 40;
    }
    assert_eq!(world.chosen(), ["i-4", "i-3"], "5 % of 40");
    for total in world.totals.values_mut() {
        *total = 3;
    }
    assert_eq!(world.chosen(), ["i-4"], "at least one");
    world.pace.percent_of_kind_per_day = 0;
    assert_eq!(world.chosen(), [] as [&str; 0]);
    world.pace = Pace { disruptive_per_run: 0, ..Pace::default() };
    assert_eq!(world.chosen(), [] as [&str; 0]);
}

#[test]
fn breaker_holds_a_policy_whole_one_over_its_limit_and_not_at_it() {
    let stops = |count: i64| (1..=count).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n));
    let small = |count| {
        let mut world = World::with(stops(count).collect());
        for total in world.totals.values_mut() {
            *total = 40;
        }
        world.pace = Pace { percent_of_kind_per_day: 100, disruptive_per_run: 100, ..Pace::default() };
        world
    };
    assert_eq!(small(10).chosen().len(), 10);
    let tripped = small(11);
    assert_eq!(tripped.chosen(), [] as [&str; 0]);
    assert!(tripped.select().held.iter().all(|held| held.code == HoldCode::Breaker));

    let mut approved = small(11);
    approved.armings[0].at = now();
    assert_eq!(approved.chosen().len(), 11, "arming again shows the plan to a person");
}

#[test]
fn breaker_counts_where_something_can_happen_and_arming_approves_in_every_mode() {
    let mut world = World::with((1..=6).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n)).collect());
    world.pace = Pace { percent_of_kind_per_day: 100, disruptive_per_run: 100, ..Pace::default() };
    let other = AccountId::new("210987654321").unwrap();
    for number in 1..=6 {
        let mut finding = due(&format!("i-9{number}"), Severity::Medium, Action::Stop, number);
        finding.key.partition.place.account = other.clone();
        world.findings.push(finding);
    }
    world.breaker = Breaker { count: 10, percent_of_kind: 0, usd: None, owners: None };
    let six: Vec<String> = (1..=6).rev().map(|number| format!("i-{number}")).collect();
    assert_eq!(world.chosen(), six, "what the settings do not list any more holds nobody for ever");
    world.accounts.insert(other.clone());
    assert_eq!(world.chosen(), six, "nor does an account that nobody wants armed");
    world.armings.push(Arming { account: other.clone(), ..world.armings[0].clone() });
    assert_eq!(world.chosen(), [] as [&str; 0], "two armed accounts with six each are twelve");
    world.armings[1].until = now() - TimeDelta::seconds(1);
    assert_eq!(world.chosen(), six, "its arming is over");

    world.armings.clear();
    (world.mode, world.by_hand) = (Mode::Notify, true);
    assert_eq!(world.chosen(), [] as [&str; 0], "by hand both accounts are open to a plan");
    let arming = World::with(Vec::new()).armings.remove(0);
    world.armings = vec![Arming { account: other, at: now(), ..arming }];
    assert_eq!(world.chosen().len(), 6, "arming one shows what is due in it, and the other's six pass");
}

#[test]
fn i10_what_could_not_be_read_still_counts_for_the_breaker() {
    let mut world = World::with((1..=11).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n)).collect());
    world.totals.values_mut().for_each(|total| *total = 40);
    world.pace = Pace { percent_of_kind_per_day: 100, disruptive_per_run: 100, ..Pace::default() };
    for finding in world.findings.iter_mut().take(5) {
        finding.unjudged = Some("metrics: throttled".into());
    }
    assert_eq!(world.chosen(), [] as [&str; 0], "six of eleven would pass a breaker that forgets the other five");
    world.findings.iter_mut().take(5).for_each(|finding| finding.standing = Standing::ReportedOnly("protected".into()));
    assert_eq!(world.chosen().len(), 6, "what is never acted on does not count");
}

#[test]
fn what_is_under_way_still_counts_for_the_breaker() {
    let mut world = World::with((1..=11).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n)).collect());
    world.totals.values_mut().for_each(|total| *total = 40);
    world.pace = Pace { percent_of_kind_per_day: 100, disruptive_per_run: 100, ..Pace::default() };
    world.findings[0].remediation = Some(OpenRemediation::Acting);
    assert_eq!(world.chosen(), [] as [&str; 0], "ten that wait and one whose snapshot is awaited are eleven");
    let mut codes = BTreeMap::new();
    world.select().held.iter().for_each(|row| *codes.entry(row.code.word()).or_insert(0) += 1);
    assert_eq!(codes, BTreeMap::from([(HoldCode::Acting.word(), 1), (HoldCode::Breaker.word(), 10)]));
}

#[test]
fn breaker_counts_dollars_and_takes_an_unknown_price_for_too_much() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 500)]);
    world.breaker.usd = Some(Usd::dollars(500));
    assert_eq!(world.chosen(), ["i-1"]);
    world.breaker.usd = Some(Usd::dollars(499));
    assert_eq!(world.held().0, HoldCode::Breaker);
    world.breaker.usd = Some(Usd::dollars(10_000));
    world.findings[0].savings.monthly = None;
    assert_eq!(world.held().0, HoldCode::Breaker);
}

#[test]
fn breaker_counts_different_owners_and_takes_what_has_none_for_one_more() {
    let mut world = World::with((1..=5).map(|n| due(&format!("i-{n}"), Severity::Medium, Action::Stop, n)).collect());
    for (finding, owner) in world.findings.iter_mut().zip(["ann", "ann", "bob", "bob", "cat"]) {
        finding.owner = Some(format!("{owner}@example.com"));
    }
    world.breaker.owners = Some(3);
    assert_eq!(world.chosen().len(), 5, "three owners, and three pass");
    world.findings[1].owner = None;
    let held = world.select().held;
    assert!(held.iter().all(|row| row.code == HoldCode::Breaker), "{held:?}");
    assert!(held[0].reason.contains("instances of 4 owners at once, 3 pass; arm every account"), "{held:?}");
    assert_eq!(world.chosen(), [] as [&str; 0], "the policy is held whole");
    world.breaker.owners = Some(0);
    world.findings.truncate(1);
    assert_eq!(world.held().0, HoldCode::Breaker, "none means none");
    world.armings[0].at = now();
    assert_eq!(world.chosen().len(), 1, "arming again shows the plan to a person");
}

#[test]
fn one_act_per_resource_the_best_ranked_check_first_and_tags_beside_it() {
    let idle = due("i-1", Severity::Medium, Action::Stop, 10);
    let mut tagging = due("i-1", Severity::Medium, Action::Tag, 0);
    tagging.id.0 = "f-tag".into();
    tagging.check = "required-tags".into();
    tagging.add_tags = vec![("owner".into(), "nobody".into())];
    grace::refresh_due(&mut tagging);
    let mut second = due("i-1", Severity::Medium, Action::Stop, 99);
    second.id.0 = "f-second".into();
    second.check = "old-snapshot".into();
    let world = World::with(vec![second, tagging, idle.clone()]);
    let selection = world.select();
    let mut ids: Vec<&str> = selection.chosen.iter().map(|finding| finding.id.0.as_str()).collect();
    ids.sort_unstable();
    let mut expected = ["f-tag", idle.id.0.as_str()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(selection.held.len(), 1);
    assert_eq!(selection.held[0].code, HoldCode::Outranked);
}

#[test]
fn h25_a_resource_is_acted_on_once_in_seven_days() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    let key = world.findings[0].key.clone();
    world.last_acts.insert(key.clone(), now() - TimeDelta::days(7) + TimeDelta::seconds(1));
    assert_eq!(world.held().0, HoldCode::ActedRecently);
    world.last_acts.insert(key, now() - TimeDelta::days(7));
    assert_eq!(world.chosen(), ["i-1"]);
}

#[test]
fn i20_what_was_refused_lately_leaves_its_place_to_others() {
    let dear = due("i-dear", Severity::Medium, Action::Stop, 500);
    let mut world = World::with(vec![dear.clone(), due("i-cheap", Severity::Medium, Action::Stop, 5)]);
    world.pace.disruptive_per_run = 1;
    assert_eq!(world.chosen(), ["i-dear"]);
    world.in_vain.insert(dear.id.clone(), 1);
    assert_eq!(world.chosen(), ["i-cheap"]);
    world.pace.disruptive_per_run = 2;
    assert_eq!(world.chosen(), ["i-cheap", "i-dear"], "behind the others, and not left out");
}

#[test]
fn a_step_is_bound_to_what_the_resource_looks_like_and_a_plan_to_its_contents() {
    let idle = due("i-1", Severity::Medium, Action::Stop, 50);
    let world = World::with(vec![idle.clone()]);
    let fresh = crate::checks::testing::instance("i-1", "m5.large", 30);
    let planned = step(&idle, &fresh, &[], true).unwrap();
    let changed = crate::checks::testing::instance("i-1", "m5.xlarge", 30);
    assert_eq!(
        planned.fingerprint.changes(&Fingerprint::of(&changed, &[])),
        ["type was \"m5.large\", is \"m5.xlarge\""]
    );
    let input = PlanInput {
        now: now(),
        findings: &world.findings,
        mode: world.mode,
        by_hand: false,
        frozen: None,
        accounts: &world.accounts,
        armings: &world.armings,
        policies: &world.policies,
        exceptions: &[],
        asked: &[],
        approved: &BTreeMap::new(),
        partitions: &world.partitions,
        max_age: TimeDelta::hours(26),
        totals: &world.totals,
        today: &[],
        last_acts: &world.last_acts,
        in_vain: &world.in_vain,
        pace: &world.pace,
        breaker: &world.breaker,
        window: &world.window,
    };
    let mut plan = assemble(&input, "state", vec![planned], &[]);
    assert_eq!(plan.id, plan.derive_id());
    plan.steps[0].key = crate::checks::testing::place().partition(Kind::Instance).key("i-2");
    assert_ne!(plan.id, plan.derive_id(), "an edited plan is told by its id");
}

#[test]
fn r7_what_is_due_this_very_instant_is_done_and_a_second_later_is_not() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    world.findings[0].clock.due_at = Some(now());
    assert_eq!(world.chosen(), ["i-1"], "equality executes");
    world.findings[0].clock.due_at = Some(now() + TimeDelta::microseconds(1));
    assert_eq!(world.held().0, HoldCode::InGrace);
}

#[test]
fn r8_a_stop_promises_a_snapshot_of_every_attached_volume_unless_it_is_switched_off() {
    let idle = due("i-1", Severity::Medium, Action::Stop, 50);
    let mut fresh = crate::checks::testing::instance("i-1", "m5.large", 30);
    if let crate::domain::resource::Detail::Instance(instance) = &mut fresh.detail {
        let attached = |volume: &str| crate::domain::resource::AttachedVolume {
            volume: volume.into(),
            device: "/dev/xvda".into(),
            delete_on_termination: true,
        };
        instance.volumes = Box::new([attached("vol-1"), attached("vol-2")]);
    }
    assert_eq!(step(&idle, &fresh, &[], true).unwrap().backup, ["vol-1", "vol-2"]);
    assert_eq!(step(&idle, &fresh, &[], false).unwrap().backup, [] as [&str; 0]);
    let orphan = due("vol-1", Severity::Medium, Action::Terminate, 5);
    let volume = crate::checks::testing::volume("vol-1", 8, "gp3");
    assert_eq!(step(&orphan, &volume, &[], false).unwrap().backup, ["vol-1"], "R11: a delete always has its backup");
}

#[test]
fn tags_go_last_whatever_they_save() {
    let mut tagging = due("i-1", Severity::Medium, Action::Tag, 99);
    tagging.add_tags = vec![("owner".into(), "nobody".into())];
    grace::refresh_due(&mut tagging);
    let world = World::with(vec![tagging, due("i-2", Severity::Medium, Action::Stop, 1)]);
    assert_eq!(world.chosen(), ["i-2", "i-1"]);
}

fn exception(until: Instant) -> Exception {
    Exception {
        id: "EXC-1".into(),
        resource: "i-1".into(),
        account: None,
        policy: "policy".into(),
        rule: Some("rule".into()),
        reason: "migration".into(),
        approved_by: "bob".into(),
        until,
    }
}

#[test]
fn h10_an_exception_that_came_and_went_since_the_last_scan_begins_a_new_grace_and_no_act() {
    let second = TimeDelta::seconds(1);
    let (code, reason) = one(|world| world.exceptions.push(exception(now() - second)));
    assert_eq!(code, HoldCode::Excepted);
    assert!(reason.contains("the next scan begins a new full grace period"), "{reason}");
    // One that was over before the owner was told is history.
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    let told = world.findings[0].clock.first_notice.unwrap();
    world.exceptions.push(exception(told - second));
    assert_eq!(world.chosen(), ["i-1"]);
}

#[test]
fn n8_a_pending_exception_holds_while_it_may_and_until_a_scan_has_looked_after_it() {
    for until in [now(), now() + TimeDelta::hours(1)] {
        let (code, reason) = one(|world| world.asked.push(exception(until)));
        assert_eq!(code, HoldCode::Excepted);
        assert!(reason.starts_with("bob asked for exception EXC-1; held until"), "{reason}");
    }
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    world.asked.push(exception(now() - TimeDelta::hours(1)));
    world.findings[0].seen_at = now() - TimeDelta::hours(8);
    assert_eq!(world.held().0, HoldCode::Excepted, "it ended after the last scan");
    world.findings[0].seen_at = now() - TimeDelta::minutes(30);
    assert_eq!(world.chosen(), ["i-1"], "its time is over and a scan has looked since");
}

#[test]
fn i07_an_act_waits_for_as_many_people_as_its_policy_asks_for() {
    let mut world = World::with(vec![due("i-1", Severity::Medium, Action::Stop, 50)]);
    world.findings[0].approvals = 2;
    let (code, reason) = world.held();
    assert_eq!(code, HoldCode::WaitsForApproval);
    assert_eq!(reason, "waits for approval: 0 of 2 people said yes; `costwarden approval list`");
    assert!(code.waits_for_a_person());
    let id = world.findings[0].id.clone();
    world.approved.insert(id.clone(), 1);
    assert_eq!(world.held().0, HoldCode::WaitsForApproval, "one is not two");
    world.approved.insert(id, 2);
    assert_eq!(world.chosen(), ["i-1"]);
    world.findings[0].clock.due_at = Some(now() + TimeDelta::days(1));
    assert_eq!(world.held().0, HoldCode::InGrace, "people's word shortens nothing");
}
