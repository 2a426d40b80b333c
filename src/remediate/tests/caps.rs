//! Ten thousand mutated policies against every cap (H03). Everything that a slipped policy can match is due at once; what
//! the planner chooses and what the gate lets through of a planner that counts nothing is counted here by rules of its
//! own.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::gate::breaker::Load;
use super::super::gate::{Passed, Purpose, judge};
use super::many::{Look, Rng, inventory};
use super::*;
use crate::domain::finding::{Act, FindingId};
use crate::domain::mode::{Breaker, Pace};
use crate::domain::money::Usd;
use crate::domain::place::{InstanceId, VolumeId};
use crate::engine::plan::{PartitionLook, PlanInput, select};
use crate::engine::ruleset::Ruleset;
use crate::store::DueRow;

const POLICIES: &str = "apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata: {name: waste}
spec:
  type: Waste
  severity: high
  rules:
    - name: idle
      check: idle-instance
      action: stop
      parameters: {days: 14, cpu_percent: 5}
    - name: unattached
      check: unattached-volume
      action: terminate
      parameters: {days: 30}
    - name: gp2
      check: gp2-volume
      action: modify
---
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata: {name: size}
spec:
  type: ResourceLimit
  severity: high
  rules:
    - name: large
      resource: compute/instance
      action: resize
      constraint: {maxVCPUs: 4}
---
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata: {name: tags}
spec:
  type: TagRequirement
  severity: medium
  rules:
    - name: owner
      action: tag
      requiredTags:
        - key: owner
          default: nobody
      scope: [compute/instance, storage/volume]
";

/// A slip of a hand: a number, an action, a severity, a kind or a check becomes another one.
fn mutated(text: &str, rng: &mut Rng) -> String {
    const WORDS: [&[&str]; 4] = [
        &["stop", "terminate", "modify", "resize", "tag", "notify", "report"],
        &["high", "medium", "critical", "low"],
        &["compute/instance", "storage/volume", "network/address", "storage/snapshot"],
        &["idle-instance", "unattached-volume", "gp2-volume", "stopped-instance", "old-snapshot"],
    ];
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=rng.below(3) {
        let index = rng.below(lines.len());
        let line = lines[index].clone();
        if let Some(number) =
            line.find(|letter: char| letter.is_ascii_digit()).filter(|_| !line.contains("costwarden.dev"))
        {
            let (before, after) = line.split_at(number);
            let rest = after.trim_start_matches(|letter: char| letter.is_ascii_digit());
            lines[index] = format!("{before}{}{rest}", rng.pick(&["0", "1", "7", "90", "100000"]));
            continue;
        }
        let sort = *rng.pick(&WORDS);
        if let Some(word) = sort.iter().find(|word| line.ends_with(&format!(": {word}"))) {
            lines[index] = line.replace(&format!(": {word}"), &format!(": {}", rng.pick(sort)));
        }
    }
    lines.join("\n") + "\n"
}

/// What a policy makes due, each with its step and its call as the worker would make them.
struct Due {
    findings: Vec<Finding>,
    steps: Vec<Option<(Step, Call, Resource)>>,
}

impl Due {
    fn of(rules: &Ruleset, resources: &[Resource], rng: &mut Rng) -> Due {
        let findings = everything_due(rules, resources, rng);
        let step = |own: &Finding| {
            let fresh = resources.iter().find(|one| one.key == own.key)?.clone();
            let step = plan::step(own, &fresh, &[], true).ok()?;
            let call = call_of(&step);
            Some((step, call, fresh))
        };
        let steps = findings.iter().map(step).collect();
        Due { findings, steps }
    }
}

/// Everything is due at once: each rule of the policies is violated by each resource of its kinds.
fn everything_due(rules: &Ruleset, resources: &[Resource], rng: &mut Rng) -> Vec<Finding> {
    let told = monday() - TimeDelta::days(20);
    let mut findings = Vec::new();
    for rule in rules.rules() {
        // Now and then a condition is slipped as well, and only some match.
        let share = *rng.pick(&[100, 100, 50, 10]);
        for resource in resources.iter().filter(|own| rule.kinds.contains(&own.kind())) {
            if rng.below(100) >= share {
                continue;
            }
            let mut own = reconcile::testing::finding(&resource.key.id, rule.severity, rule.action);
            own.id = FindingId::derive(&resource.key, &rule.policy, &rule.rule);
            (own.policy, own.rule) = (rule.policy.to_string(), rule.rule.to_string());
            own.policy_hash = rule.policy_hash.to_string();
            own.check = rule.check.id.into();
            own.add_tags = vec![("owner".into(), "nobody".into())];
            own.to_type = (rule.action == Action::Resize).then(|| "m5.xlarge".into());
            own.savings.monthly = (rng.below(8) > 0).then(|| Usd::dollars(rng.below(90) as i64));
            grace::delivered(&mut own, NoticeKind::First, told);
            grace::delivered(&mut own, NoticeKind::Escalation, told + TimeDelta::days(8));
            findings.push(own);
        }
    }
    findings
}

/// The caps by which this test counts, from the settings' numbers alone: in a run or a day, by class; of a kind a day.
struct Caps {
    pace: Pace,
    totals: [(Kind, u64); 2],
}

impl Caps {
    fn share(&self, kind: Kind) -> u64 {
        let total = self.totals.iter().find(|(own, _)| *own == kind).map_or(0, |(_, total)| *total);
        match self.pace.percent_of_kind_per_day {
            0 => 0,
            percent => 1.max(total * u64::from(percent) / 100),
        }
    }

    /// Every cap with how much of it is used: name, used, cap.
    fn used(&self, acts: &[(Act, Kind)]) -> Vec<(&'static str, u64, u64)> {
        let count = |of: &dyn Fn(&(Act, Kind)) -> bool| acts.iter().filter(|own| of(own)).count() as u64;
        let destructive = count(&|own| matches!(own.0, Act::DeleteVolume | Act::TerminateInstance));
        let disruptive = count(&|own| matches!(own.0, Act::StopInstance | Act::ResizeInstance | Act::ModifyVolume));
        let tags = count(&|own| own.0 == Act::AddTags);
        let of = |kind: Kind| count(&|own| own.1 == kind && own.0 != Act::AddTags);
        vec![
            ("destructive a run", destructive, u64::from(self.pace.destructive_per_run)),
            ("destructive a day", destructive, u64::from(self.pace.destructive_per_day)),
            ("disruptive a run", disruptive, u64::from(self.pace.disruptive_per_run)),
            ("tags a run", tags, u64::from(self.pace.tags_per_run)),
            ("share of instances", of(Kind::Instance), self.share(Kind::Instance)),
            ("share of volumes", of(Kind::Volume), self.share(Kind::Volume)),
        ]
    }
}

fn call_of(step: &Step) -> Call {
    let id = step.key.id.to_string();
    let instance = || InstanceId::new(&id).unwrap();
    match step.act {
        Act::StopInstance | Act::ResizeInstance => Call::StopInstance { instance: instance() },
        Act::TerminateInstance => Call::TerminateInstance { instance: instance() },
        Act::DeleteVolume => Call::DeleteVolume { volume: VolumeId::new(&id).unwrap() },
        Act::ModifyVolume => Call::ModifyVolume {
            volume: VolumeId::new(&id).unwrap(),
            volume_type: "gp3".into(),
            iops: None,
            throughput: Some(128),
        },
        _ => Call::CreateTags { resource: step.key.clone(), tags: step.add_tags.clone() },
    }
}

/// Mutated policies that are played.
const MUTATED: usize = 10_000;
/// Texts that are really parsed and compiled; each meets so many settings.
const SETTINGS_PER_TEXT: usize = 25;

#[test]
fn h03_ten_thousand_mutated_policies_get_no_call_beyond_any_cap_through_planner_or_gate() {
    let stage = Stage::new();
    let resources = inventory();
    let mut rng = Rng(3);
    let mut reached: BTreeMap<String, u64> = BTreeMap::new();
    let mut note = |word: String| *reached.entry(word).or_default() += 1;
    let (mut played, mut refused) = (0, 0);
    while played < MUTATED {
        let text = mutated(POLICIES, &mut rng);
        let parsed = crate::policy::parse(Path::new("p.yaml"), &text, &crate::checks::infos());
        let Some(rules) = parsed.ok().and_then(|policies| Ruleset::compile(&policies).ok()) else {
            refused += 1;
            continue;
        };
        let due = Due::of(&rules, &resources, &mut rng);
        for _ in 0..SETTINGS_PER_TEXT {
            played += 1;
            one_setting(&stage, &rules, &due, &mut rng, &mut note);
        }
    }
    eprintln!("H03 policies={played} texts={} refused={refused} violations=0 {reached:?}", played / SETTINGS_PER_TEXT);
    for cap in [
        "destructive a run",
        "destructive a day",
        "disruptive a run",
        "tags a run",
        "share of instances",
        "share of volumes",
    ] {
        for (side, least) in [("planner full", 200), ("planner zero", 200), ("gate full", 200), ("gate zero", 100)] {
            let count = reached.get(&format!("{side}: {cap}")).copied().unwrap_or(0);
            assert!(count >= least, "{side}: {cap} was reached {count} times of {least}: {reached:?}");
        }
    }
    for limit in ["count", "percent", "dollars", "unpriced", "count zero", "dollars zero", "owners", "owners zero"] {
        for side in ["planner", "gate"] {
            let count = reached.get(&format!("{side} breaker: {limit}")).copied().unwrap_or(0);
            assert!(count >= 200, "{side} breaker: {limit} was reached {count} times: {reached:?}");
        }
    }
}

/// One set of limits over what is due: what the planner chooses, and what the gate lets through of everything.
fn one_setting(stage: &Stage, rules: &Ruleset, due: &Due, rng: &mut Rng, note: &mut impl FnMut(String)) {
    let findings = &due.findings;
    let pace = Pace {
        destructive_per_run: *rng.pick(&[0, 1, 2, 3, 12]),
        disruptive_per_run: *rng.pick(&[0, 1, 4, 10, 30]),
        destructive_per_day: *rng.pick(&[0, 1, 2, 10]),
        tags_per_run: *rng.pick(&[0, 1, 7, 500]),
        percent_of_kind_per_day: *rng.pick(&[0, 1, 5, 20, 100]),
    };
    let narrow = Breaker {
        count: *rng.pick(&[0, 1, 5, 100_000, 100_000]),
        percent_of_kind: *rng.pick(&[0, 10, 50]),
        usd: *rng.pick(&[None, None, None, Some(Usd::ZERO), Some(Usd::dollars(100))]),
        owners: *rng.pick(&[None, None, None, Some(0), Some(1), Some(2)]),
    };
    // Half of the settings let everything fall due, so that the pace is what holds.
    let wide = Breaker { count: 100_000, percent_of_kind: 100, usd: None, owners: None };
    let breaker = *rng.pick(&[narrow, wide]);
    let totals = [Kind::Instance, Kind::Volume].map(|kind| (kind, *rng.pick(&[12, 40, 300])));
    let caps = Caps { pace, totals };
    let places = planned(stage, rules, findings, &caps, breaker);
    let chosen: Vec<&Finding> = places.iter().map(|index| &findings[*index]).collect();
    let acts: Vec<(Act, Kind)> = chosen.iter().map(|own| (own.act().unwrap(), own.key.kind())).collect();
    let wanted: Vec<(Act, Kind)> = findings.iter().filter_map(|own| Some((own.act()?, own.key.kind()))).collect();
    for ((cap, used, most), (_, asked, _)) in caps.used(&acts).into_iter().zip(caps.used(&wanted)) {
        assert!(used <= most, "the planner chose {used} of {most} {cap}: {pace:?}");
        if asked > most {
            note(format!("planner {}: {cap}", if most == 0 { "zero" } else { "full" }));
        }
    }
    broken_circuits(findings, &chosen, breaker, &caps, "planner", note);
    let honest = passed_by_the_gate(stage, rules, &places, due, (&caps, breaker), &mut |_| {});
    assert_eq!(honest.len(), chosen.len(), "an honest plan freezes nothing");
    // A planner that counts nothing: every step that somebody could ask for, in any order.
    let mut all: Vec<usize> = (0..findings.len()).collect();
    for index in (1..all.len()).rev() {
        all.swap(index, rng.below(index + 1));
    }
    let through = passed_by_the_gate(stage, rules, &all, due, (&caps, breaker), note);
    let through: Vec<&Finding> = through.iter().map(|index| &findings[*index]).collect();
    broken_circuits(findings, &through, breaker, &caps, "gate", note);
    let through: Vec<(Act, Kind)> = through.iter().map(|own| (own.act().unwrap(), own.key.kind())).collect();
    for (cap, used, most) in caps.used(&through) {
        assert!(used <= most, "the gate let {used} of {most} {cap} through: {pace:?}");
    }
}

/// The places of what the planner chooses.
fn planned(stage: &Stage, rules: &Ruleset, findings: &[Finding], caps: &Caps, breaker: Breaker) -> Vec<usize> {
    let account = stage.place.account.clone();
    let armings = [armed(stage, rules)];
    let look = PartitionLook { at: monday() - TimeDelta::hours(8), doubt: None };
    let partitions = Kind::ALL.into_iter().map(|kind| (stage.place.partition(kind), look.clone())).collect();
    let totals = caps.totals.iter().map(|(kind, total)| ((account.clone(), *kind), *total)).collect();
    let input = PlanInput {
        now: monday(),
        findings,
        mode: Mode::Enforce,
        by_hand: false,
        frozen: None,
        accounts: &BTreeSet::from([crate::checks::testing::place().account]),
        armings: &armings,
        policies: &rules.hashes,
        exceptions: &[],
        asked: &[],
        approved: &BTreeMap::new(),
        partitions: &partitions,
        max_age: TimeDelta::hours(26),
        totals: &totals,
        today: &[],
        last_acts: &HashMap::new(),
        in_vain: &HashMap::new(),
        pace: &caps.pace,
        breaker: &breaker,
        window: &Window::default(),
    };
    let at = |own: &Finding| findings.iter().position(|one| one.id == own.id).unwrap();
    select(&input).chosen.into_iter().map(at).collect()
}

fn armed(stage: &Stage, rules: &Ruleset) -> Arming {
    Arming {
        account: stage.place.account.clone(),
        by: "eve".into(),
        // Before anything fell due: nothing was shown to anybody.
        at: monday() - TimeDelta::days(30),
        until: monday() + TimeDelta::days(30),
        policies: rules.hashes.iter().map(|(name, hash)| (name.clone(), hash.clone())).collect(),
    }
}

/// Of a policy over its breaker nothing of that kind is chosen by the planner, and nothing passes the gate.
fn broken_circuits(
    findings: &[Finding],
    chosen: &[&Finding],
    breaker: Breaker,
    caps: &Caps,
    side: &str,
    note: &mut impl FnMut(String),
) {
    for (kind, total) in caps.totals {
        for policy in ["waste", "size", "tags"] {
            let of = |own: &&Finding| own.policy == policy && own.key.kind() == kind;
            let acts = |own: &&Finding| of(own) && worth_acting(own);
            let due: Vec<&Finding> = findings.iter().filter(acts).collect();
            let percent = total * u64::from(breaker.percent_of_kind) / 100;
            let count = due.len() as u64;
            let sum = due.iter().filter_map(|own| own.savings.monthly).fold(Usd::ZERO, |sum, own| sum + own);
            let unpriced = due.iter().any(|own| own.savings.monthly.is_none());
            let named: BTreeSet<&String> = due.iter().filter_map(|own| own.owner.as_ref()).collect();
            let owners = named.len() + due.iter().filter(|own| own.owner.is_none()).count();
            let words = [
                ("count", count > u64::from(breaker.count) && count > percent),
                ("percent", count > percent && percent > u64::from(breaker.count)),
                ("dollars", breaker.usd.is_some_and(|usd| sum > usd)),
                ("unpriced", breaker.usd.is_some() && unpriced),
                ("count zero", breaker.count == 0 && percent == 0 && count > 0),
                ("dollars zero", breaker.usd == Some(Usd::ZERO) && sum > Usd::ZERO),
                ("owners", breaker.owners.is_some_and(|most| owners > most as usize)),
                ("owners zero", breaker.owners == Some(0) && owners > 0),
            ];
            for (word, _) in words.iter().filter(|(_, trips)| *trips) {
                assert_eq!(chosen.iter().filter(|own| of(own)).count(), 0, "{policy} {kind:?} trips by {word}: {side}");
                note(format!("{side} breaker: {word}"));
            }
        }
    }
}

/// What asks for an act at all: not low, not a report, not a notice.
fn worth_acting(own: &Finding) -> bool {
    own.severity != Severity::Low
        && own.action != Action::Report
        && own.act().is_some_and(|act| act != Act::SendNotification)
        && !(own.act() == Some(Act::ResizeInstance) && own.to_type.is_none())
}

/// Asks the gate for one step after another, counting as the store would, until it freezes.
fn passed_by_the_gate(
    stage: &Stage,
    rules: &Ruleset,
    asked: &[usize],
    due: &Due,
    (caps, breaker): (&Caps, Breaker),
    note: &mut impl FnMut(String),
) -> Vec<usize> {
    let account = stage.place.account.clone();
    let mut gate = stage.rules.clone();
    (gate.pace, gate.breaker) = (caps.pace, breaker);
    gate.totals = caps.totals.iter().map(|(kind, total)| ((account.clone(), *kind), *total)).collect();
    gate.policies = rules.hashes.clone();
    gate.switches = Switches { allow_auto_terminate: true, allow_auto_delete_volumes: true, ..Switches::default() };
    let run = Run { id: "run-1".into(), fence: 7, started_at: monday() };
    let look = Look { rules: gate, run, arming: armed(stage, rules) };
    let mut through: Vec<(Act, Kind)> = Vec::new();
    let mut passes = Vec::new();
    for index in asked {
        let Some((step, call, fresh)) = &due.steps[*index] else { continue };
        let beside = due.findings.iter().filter(|own| own.policy == step.policy && own.key.kind() == step.key.kind());
        let used = caps.used(&through);
        let count = |name: &str| used.iter().find(|own| own.0 == name).unwrap().1;
        let kind = step.key.kind();
        let passed = Passed {
            in_run: match step.act {
                Act::DeleteVolume | Act::TerminateInstance => count("destructive a run"),
                Act::AddTags => count("tags a run"),
                _ => count("disruptive a run"),
            },
            destructive_today: count("destructive a day"),
            of_kind_today: count(if kind == Kind::Instance { "share of instances" } else { "share of volumes" }),
        };
        let mut facts = look.facts(step, call, fresh, &due.findings[*index], Purpose::Act, passed);
        let of_kind = facts.rules.totals.iter().filter(|((_, own), _)| *own == kind).map(|(_, count)| *count).sum();
        facts.load = Load { of_kind, ..Load::of(beside.filter(|own| worth_acting(own)).map(row)) };
        match judge(&facts) {
            Ruling::Pass => {
                through.push((step.act, kind));
                passes.push(*index);
            }
            Ruling::Freeze(_) => {
                // Which cap that was, by this test's own count.
                through.push((step.act, kind));
                let over = caps.used(&through).into_iter().find(|(_, used, most)| used > most);
                through.pop();
                let (cap, _, most) = over.unwrap_or_else(|| panic!("it froze on {step:?} under every cap"));
                note(format!("gate {}: {cap}", if most == 0 { "zero" } else { "full" }));
                break;
            }
            Ruling::Hold(_) | Ruling::Refuse(..) => {}
        }
    }
    passes
}

/// What the state's columns say of a finding.
fn row(own: &Finding) -> DueRow {
    DueRow {
        finding: own.id.clone(),
        account: own.key.account().clone(),
        due_at: own.clock.due_at.unwrap(),
        monthly: own.savings.monthly,
        owner: own.owner.clone(),
    }
}
