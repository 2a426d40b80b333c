//! The gate's decision asked as it is, without a state file: ten thousand random pairs of act and call (H15); and every
//! instance type with local disks before the guards (H12). `caps` asks it about mutated policies.

use super::super::gate::breaker::Load;
use super::super::gate::{Facts, Passed, Purpose, judge};
use super::*;
use crate::checks::testing;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::guard::{Reading, refusal};
use crate::domain::place::{AddressId, ImageId, InstanceId, SnapshotId, VolumeId};
use crate::domain::plan::HoldCode;
use crate::domain::resource::Detail;

/// SplitMix64.
pub(super) struct Rng(pub u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub(super) fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// What is there to be matched: half of it instances, half of it volumes.
pub(super) fn inventory() -> Vec<Resource> {
    let instances = (0..6).map(|number| {
        let mut own = testing::instance(&format!("i-0m{number}"), "m5.2xlarge", 60);
        if let Detail::Instance(instance) = &mut own.detail {
            instance.termination_protected = Fact::Known(false);
            instance.stop_protected = Fact::Known(false);
        }
        own
    });
    let volumes = (0..6).map(|number| testing::volume(&format!("vol-0m{number}"), 50, "gp2"));
    instances.chain(volumes).collect()
}

/// What the gate looks at for a step, with nothing in its way.
pub(super) struct Look {
    pub rules: GateRules,
    pub run: Run,
    pub arming: Arming,
}

impl Look {
    pub(super) fn facts<'a>(
        &'a self,
        step: &'a Step,
        call: &'a Call,
        fresh: &'a Resource,
        finding: &Finding,
        purpose: Purpose,
        passed: Passed,
    ) -> Facts<'a> {
        Facts {
            now: monday(),
            purpose,
            step,
            call,
            fresh,
            read_at: monday(),
            rules: &self.rules,
            run: &self.run,
            clock_mark: None,
            cloud_ahead: None,
            fence: Some(self.run.fence),
            frozen: None,
            arming: Some(self.arming.clone()),
            finding: Some(finding.clone()),
            stored: Vec::new(),
            answers: Vec::new(),
            notices: vec![(NoticeKind::First, monday() - TimeDelta::days(20))],
            last_act: None,
            passed,
            load: Load::default(),
            look: Some(super::on_file::read_whole(step.key.partition.clone())),
            origin: None,
        }
    }
}

/// Random pairs that are asked about.
const PAIRS: usize = 10_000;

#[test]
fn h15_of_ten_thousand_random_pairs_of_act_and_call_the_gate_lets_none_through_that_does_not_belong_together() {
    let stage = Stage::new();
    let mut resources = inventory();
    resources.extend(planted(&stage.place));
    let mut gate = stage.rules.clone();
    gate.switches = Switches {
        allow_auto_terminate: true,
        allow_auto_delete_volumes: true,
        recycle_bin_days: Some(30),
        ..Switches::default()
    };
    let arming = stage.store.arming(&stage.place.account).unwrap().unwrap();
    let look = Look { rules: gate, run: Run { id: "run-1".into(), fence: 7, started_at: monday() }, arming };
    let mut rng = Rng(15);
    let (mut passes, mut frozen, mut mismatched) = (0, 0, 0);
    for _ in 0..PAIRS {
        let fresh = rng.pick(&resources).clone();
        let other = rng.pick(&resources).clone();
        let act = *rng.pick(&Act::ALL);
        let action = *rng.pick(&[Action::Stop, Action::Terminate, Action::Resize, Action::Modify, Action::Tag]);
        let mut finding = reconcile::testing::finding(&fresh.key.id, Severity::High, action);
        finding.add_tags = vec![("owner".into(), "nobody".into())];
        finding.to_type = (act == Act::ResizeInstance).then(|| "m5.xlarge".into());
        grace::delivered(&mut finding, NoticeKind::First, monday() - TimeDelta::days(20));
        let Some(act_of_finding) = finding.act() else { continue };
        finding.to_type = (act_of_finding == Act::ResizeInstance).then(|| "m5.xlarge".into());
        let Ok(mut step) = plan::step(&finding, &fresh, &[], true) else { continue };
        // A planner that mixes things up: the act of another finding, the call for another resource.
        if rng.below(3) > 0 {
            step.act = act;
        }
        let target = if rng.below(3) > 0 { &fresh } else { &other };
        let call = any_call(&mut rng, target);
        let purpose = *rng.pick(&[Purpose::Act, Purpose::Act, Purpose::Backup]);
        let ruling = judge(&look.facts(&step, &call, &fresh, &finding, purpose, Passed::default()));
        let fits = target.key == fresh.key && belongs(&step, purpose, &call, fresh.state());
        if !fits {
            mismatched += 1;
            assert!(matches!(ruling, Ruling::Freeze(_)), "{} {purpose:?} with {call}: {ruling:?}", step.act);
        }
        match ruling {
            Ruling::Pass => passes += 1,
            Ruling::Freeze(_) => frozen += 1,
            Ruling::Hold(_) | Ruling::Refuse(..) => {}
        }
    }
    eprintln!("H15 pairs={PAIRS} mismatched={mismatched} frozen={frozen} passed={passes} violations=0");
    assert!(mismatched > PAIRS / 2 && passes > 50, "{mismatched} {passes}");
}

/// The calls that each act makes, written down here a second time.
fn belongs(step: &Step, purpose: Purpose, call: &Call, state: &str) -> bool {
    let kind = step.key.kind();
    match (call, purpose) {
        (Call::StopInstance { .. }, Purpose::Act) => match step.act {
            Act::StopInstance => kind == Kind::Instance,
            Act::ResizeInstance => kind == Kind::Instance && state == "running",
            _ => false,
        },
        (Call::ModifyInstanceType { to, .. }, Purpose::Act) => {
            step.act == Act::ResizeInstance && state == "stopped" && step.to_type.as_deref() == Some(to)
        }
        (Call::TerminateInstance { .. }, Purpose::Act) => step.act == Act::TerminateInstance && kind == Kind::Instance,
        (Call::DeleteVolume { .. }, Purpose::Act) => step.act == Act::DeleteVolume && kind == Kind::Volume,
        (Call::ModifyVolume { .. }, Purpose::Act) => step.act == Act::ModifyVolume && kind == Kind::Volume,
        (Call::ReleaseAddress { .. }, Purpose::Act) => step.act == Act::ReleaseAddress && kind == Kind::Address,
        (Call::DeleteSnapshot { .. }, Purpose::Act) => step.act == Act::DeleteSnapshot && kind == Kind::Snapshot,
        (Call::ExpireSnapshot { .. }, Purpose::Act) => step.act == Act::ExpireSnapshot && kind == Kind::Snapshot,
        (Call::DeregisterImage { .. }, Purpose::Act) => step.act == Act::ExpireImage && kind == Kind::Image,
        (Call::CreateTags { .. }, Purpose::Act) => step.act == Act::AddTags,
        (Call::CreateSnapshots { .. }, Purpose::Backup) => {
            let acts = [Act::StopInstance, Act::ResizeInstance, Act::TerminateInstance];
            acts.contains(&step.act) && kind == Kind::Instance
        }
        (Call::CreateSnapshot { .. }, Purpose::Backup) => step.act == Act::DeleteVolume && kind == Kind::Volume,
        _ => false,
    }
}

fn planted(place: &Place) -> Vec<Resource> {
    let old = monday() - TimeDelta::days(200);
    vec![
        plant::address(place.partition(Kind::Address).key("eipalloc-0m"), "203.0.113.4").resource,
        plant::snapshot(place.partition(Kind::Snapshot).key("snap-0m"), "vol-gone", 8, old).resource,
        plant::image(place.partition(Kind::Image).key("ami-0m"), "web", &["snap-0n"], old).resource,
    ]
}

/// Any call whose argument may be this resource's id.
fn any_call(rng: &mut Rng, target: &Resource) -> Call {
    let id = target.key.id.to_string();
    let text = String::new;
    let tags = Vec::new;
    let calls = match target.kind() {
        Kind::Instance => {
            let instance = || InstanceId::new(&id).unwrap();
            vec![
                Call::StopInstance { instance: instance() },
                Call::StartInstance { instance: instance() },
                Call::TerminateInstance { instance: instance() },
                Call::ModifyInstanceType { instance: instance(), to: "m5.xlarge".into() },
                Call::CreateSnapshots { instance: instance(), description: text(), tags: tags() },
                Call::CreateTags { resource: target.key.clone(), tags: tags() },
            ]
        }
        Kind::Volume => {
            let volume = || VolumeId::new(&id).unwrap();
            let (iops, throughput) = (Some(16_000), Some(1_000));
            vec![
                Call::DeleteVolume { volume: volume() },
                Call::ModifyVolume { volume: volume(), volume_type: "gp3".into(), iops, throughput },
                Call::CreateSnapshot { volume: volume(), description: text(), tags: tags() },
                Call::CreateTags { resource: target.key.clone(), tags: tags() },
            ]
        }
        Kind::Address => vec![Call::ReleaseAddress { address: AddressId::new(&id).unwrap() }],
        Kind::Image => vec![Call::DeregisterImage { image: ImageId::new(&id).unwrap() }],
        _ => {
            let snapshot = || SnapshotId::new(&id).unwrap();
            vec![Call::DeleteSnapshot { snapshot: snapshot() }, Call::ExpireSnapshot { snapshot: snapshot() }]
        }
    };
    rng.pick(&calls).clone()
}

#[test]
fn h12_every_instance_type_with_local_disks_is_refused_and_no_other_for_that() {
    let text = include_str!("../../cloud/prices/ec2-us-east-1.csv");
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|own| *own == name).unwrap();
    let (named, disks) = (column("instance_type"), column("instance_storage"));
    let (prices, rules) = (book(), GuardRules { tag_prefix: "costwarden:".into(), ..GuardRules::default() });
    let mut counts = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for line in lines {
        let row: Vec<&str> = line.split(',').collect();
        if !seen.insert(row[named]) {
            continue;
        }
        let mut resource = inventory().remove(0);
        let Detail::Instance(instance) = &mut resource.detail else { panic!("an instance") };
        instance.instance_type = row[named].into();
        for act in [Act::StopInstance, Act::TerminateInstance, Act::ResizeInstance] {
            let code = refusal(act, &resource, &rules, &prices, Reading::Fresh).map(|(code, _)| code);
            // What the table does not know for sure may have some.
            let may = row[disks] != "false";
            assert_eq!(code == Some(HoldCode::WouldLose), may, "{act} of a {}: {code:?}", row[named]);
        }
        *counts.entry(row[disks]).or_insert(0) += 1;
    }
    eprintln!("H12 types={} {counts:?} refused=100 %", seen.len());
    assert!(counts["true"] >= 200 && counts["false"] >= 300, "{counts:?}");
    assert!(seen.len() == prices.types.len(), "{} of {}", seen.len(), prices.types.len());
}
