//! The gate asked alone about the resource itself, with the guards out of the way: it must refuse by its own lists what
//! the guards should have refused, and let through what they let through.

use super::people::say_yes;
use super::storage::{ADDRESS, SNAPSHOT, furnished};
use super::*;
use crate::domain::fact::Fact;
use crate::domain::finding::Act;
use crate::domain::guard;
use crate::domain::inventory::{Coverage, Status};
use crate::domain::plan::Plan;
use crate::domain::resource::{Detail, Instance, InstanceState, Tags};
use crate::remediate::actions::{Asked, action};
use crate::remediate::gate::{Purpose, managers};
use crate::remediate::recheck::read_one;

/// One act of each sort, on what it is for.
const ACTS: [(&str, Action, Act); 9] = [
    (INSTANCE, Action::Stop, Act::StopInstance),
    (INSTANCE, Action::Resize, Act::ResizeInstance),
    (INSTANCE, Action::Terminate, Act::TerminateInstance),
    (ORPHAN, Action::Terminate, Act::DeleteVolume),
    (ORPHAN, Action::Modify, Act::ModifyVolume),
    (ADDRESS, Action::Release, Act::ReleaseAddress),
    (SNAPSHOT, Action::Terminate, Act::DeleteSnapshot),
    (INSTANCE, Action::Tag, Act::AddTags),
    (ORPHAN, Action::Tag, Act::AddTags),
];

/// Tags as managers write them, at least one of each.
const MANAGED: [(&str, &str); 49] = [
    ("aws:autoscaling:groupName", "web"),
    ("aws:autoscaling:warm-pool", "web"),
    ("eks:cluster-name", "prod"),
    ("eks:nodegroup-name", "workers"),
    ("aws:eks:cluster-name", "prod"),
    ("alpha.eksctl.io/cluster-name", "prod"),
    ("kubernetes.io/cluster/prod", "owned"),
    ("kubernetes.io/created-for/pvc/name", "data"),
    ("k8s.io/cluster-autoscaler/enabled", "true"),
    ("node.k8s.io/instance", "a"),
    ("elbv2.k8s.aws/cluster", "prod"),
    ("KubernetesCluster", "prod"),
    ("karpenter.sh/nodepool", "default"),
    ("ebs.csi.aws.com/cluster", "true"),
    ("CSIVolumeName", "pvc-1"),
    ("CSIVolumeSnapshotName", "snapshot-1"),
    ("aws:cloudformation:stack-name", "net"),
    ("aws:cloudformation:logical-id", "Box"),
    ("aws:elasticmapreduce:job-flow-id", "j-1"),
    ("AWSBatchServiceTag", "batch"),
    ("aws:batch:compute-environment", "ce"),
    ("aws:ecs:clusterName", "prod"),
    ("AmazonECSManaged", "true"),
    ("aws:servicecatalog:productArn", "arn"),
    ("aws:backup:source-resource", "x"),
    ("aws:dlm:lifecycle-policy-id", "policy-1"),
    ("dlm:managed", "true"),
    ("elasticbeanstalk:environment-name", "shop"),
    ("opsworks:stack", "shop"),
    ("aws:ec2:fleet-id", "fleet-1"),
    ("aws:ec2spot:fleet-request-id", "sfr-1"),
    ("AWSElasticDisasterRecoveryManaged", "drs"),
    ("AWSApplicationMigrationServiceManaged", "mgn"),
    ("aws:something-new:id", "x"),
    ("my-terraform-workspace", "x"),
    ("Terraform", "true"),
    ("opentofu:module", "net"),
    ("tf-managed", "true"),
    ("TF_Managed", "no"),
    ("pulumi:project", "web"),
    ("crossplane-name", "box"),
    ("managed-by", "Terraform"),
    ("Managed_By", "ansible"),
    ("ManagedBy", "pulumi"),
    ("managed by", "chef"),
    ("app.kubernetes.io/managed-by", "Helm"),
    ("provisioner", "cdk"),
    ("Provisioned-By", "salt"),
    ("provisioned-by", " somebody "),
];

/// Tags that look like it and are none.
const HARMLESS: [(&str, &str); 14] = [
    ("managed-by", "manual"),
    ("ManagedBy", " Human "),
    ("provisioner", ""),
    ("managed-by", "costwarden"),
    ("app.kubernetes.io/managed-by", "none"),
    ("aws:createdBy", "ann"),
    ("aws:ec2launchtemplate:id", "lt-1"),
    ("aws:ec2launchtemplate:version", "3"),
    ("team", "eks"),
    ("kubernetes", "yes"),
    ("awsome", "yes"),
    ("tf", "managed"),
    ("backup", "aws:backup"),
    ("stack-name", "cloudformation"),
];

/// A stage on which one act may be done, with everything that the gate is asked with.
struct Asking {
    stage: Stage,
    step: Step,
    call: Call,
    fresh: Resource,
    run: Run,
}

impl Asking {
    async fn about(id: &str, on: Action, act: Act) -> Asking {
        let mut stage = furnished();
        stage.rules.switches.allow_auto_terminate = true;
        let step = stage.due_step(id, on).await;
        assert_eq!(step.act, act);
        say_yes(&stage, &step);
        let fresh = read_one(&stage.cloud.reader(), act, &step.key).await.unwrap();
        let now = stage.clock.now();
        let asked = Asked { step: &step, fresh: &fresh, tag_prefix: &stage.rules.guards.tag_prefix, now };
        let call = (action(act).unwrap().call)(&asked).unwrap();
        let run = stage.run("run-1");
        let asking = Asking { stage, step, call, fresh, run };
        assert_eq!(asking.gate(&asking.fresh), Ruling::Pass, "{act}: nothing objects to it as it is");
        asking
    }

    fn gate(&self, fresh: &Resource) -> Ruling {
        let remediator = self.stage.remediator(Halt::none());
        remediator.gate(Purpose::Act, &self.step, &self.call, fresh, self.stage.clock.now(), &self.run).unwrap()
    }

    /// With a change of the resource as read.
    fn changed(&self, change: impl FnOnce(&mut Resource)) -> Ruling {
        let mut fresh = self.fresh.clone();
        change(&mut fresh);
        self.gate(&fresh)
    }

    fn tagged(&self, tags: &[(&str, &str)]) -> Ruling {
        self.changed(|own| own.tags = Fact::Known(Tags::of(tags)))
    }

    fn assert_refused(&self, ruling: &Ruling, code: HoldCode, case: &str) {
        assert!(matches!(ruling, Ruling::Refuse(own, _) if *own == code), "{} {case}: {ruling:?}", self.step.act);
    }
}

fn plain(tags: &[(&str, &str)]) -> Resource {
    let place = crate::checks::testing::place();
    let mut own = plant::volume(place.partition(Kind::Volume).key(ORPHAN), "gp2", 8, monday()).resource;
    own.tags = Fact::Known(Tags::of(tags));
    own
}

fn instance(resource: &mut Resource) -> &mut Instance {
    match &mut resource.detail {
        Detail::Instance(instance) => instance,
        _ => panic!("not an instance"),
    }
}

#[tokio::test]
async fn h18_the_gate_alone_refuses_every_marker_for_every_act_and_no_harmless_tag_for_any() {
    let mut refused = 0;
    for (id, on, act) in ACTS {
        let asking = Asking::about(id, on, act).await;
        for marker in MANAGED {
            asking.assert_refused(&asking.tagged(&[("Name", "x"), marker]), HoldCode::Managed, marker.0);
            refused += 1;
        }
        assert_eq!(asking.tagged(&HARMLESS[..1]), Ruling::Pass, "{act}");
        for tag in HARMLESS {
            assert_eq!(asking.tagged(&[tag]), Ruling::Pass, "{act} {tag:?}");
        }
    }
    assert_eq!(refused, 49 * 9);
}

#[tokio::test]
async fn h18_the_gate_alone_refuses_what_ec2_or_a_backup_service_calls_its_own() {
    for (id, on, act) in ACTS {
        let asking = Asking::about(id, on, act).await;
        let ruling = asking.changed(|own| match &mut own.detail {
            Detail::Instance(own) => own.operator = Some("eks".into()),
            Detail::Volume(own) => own.operator = Some("workspaces".into()),
            Detail::Address(own) => own.operator = Some("nat".into()),
            Detail::Snapshot(own) => own.description = "Created for policy: policy-0a schedule: x".into(),
            Detail::Image(_) => panic!("no act is on an image"),
        });
        asking.assert_refused(&ruling, HoldCode::Managed, "operated");
    }
}

#[test]
fn h18_the_guards_and_the_gate_name_the_same_markers_by_lists_of_their_own() {
    let agree = |key: &str, value: &str| {
        let own = plain(&[(key, value)]);
        let (guards, gate) = (guard::managed_by(&own).is_some(), managers::manager(&own).is_some());
        assert_eq!(guards, gate, "{key}={value}: the guards say {guards}, the gate {gate}");
        gate
    };
    assert!(MANAGED.iter().all(|(key, value)| agree(key, value)));
    assert!(!HARMLESS.iter().any(|(key, value)| agree(key, value)));
    // Each row of either list, and what is nearly the same: whoever adds a row to one must add it to the other.
    let (theirs, ours) = (guard::marker_keys(), managers::keys());
    assert!(theirs.len() >= 40 && ours.len() >= 30, "{} {}", theirs.len(), ours.len());
    let mut compared = 0;
    for key in theirs.iter().chain(&ours) {
        let nearly = [
            key.clone(),
            key.to_uppercase(),
            format!("x{key}"),
            format!("{key}x"),
            format!("my/{key}/own"),
            key.chars().skip(1).collect(),
            key.chars().take(key.chars().count() - 1).collect(),
            key.replace([':', '/'], "-"),
        ];
        for key in nearly {
            for value in ["true", "manual", ""] {
                agree(&key, value);
                compared += 1;
            }
        }
    }
    assert_eq!(compared, (theirs.len() + ours.len()) * 24);
}

#[tokio::test]
async fn h22_the_gate_alone_refuses_what_the_protect_list_or_a_mark_of_ours_names() {
    for (id, on, act) in ACTS {
        let mut asking = Asking::about(id, on, act).await;
        let whole = asking.step.key.to_string();
        for (entry, refuses) in [
            (id, true),
            (whole.as_str(), true),
            ("tag:env=prod", true),
            ("tag:env", true),
            ("tag:env=dev", false),
            ("tag:en", false),
            ("tag:environment", false),
            (&id[..id.len() - 1], false),
        ] {
            asking.stage.rules.guards.protect = vec!["i-0else".into(), entry.into()];
            let ruling = asking.tagged(&[("env", "prod")]);
            match refuses {
                true => asking.assert_refused(&ruling, HoldCode::Protected, entry),
                false => assert_eq!(ruling, Ruling::Pass, "{act} {entry}"),
            }
        }
        asking.stage.rules.guards.protect.clear();
        asking.stage.rules.guards.tag_prefix = "warden/".into();
        for (tag, code) in [
            (("costwarden:protect", "true"), HoldCode::Protected),
            (("warden/protect", "yes"), HoldCode::Protected),
            (("warden/safety-snapshot", "true"), HoldCode::Protected),
            (("warden/keep-until", "2026-11-23"), HoldCode::KeepUntil),
            (("costwarden:keep-until", " 2026-11-23 "), HoldCode::KeepUntil),
            (("costwarden:keep-until", "23.11.2026"), HoldCode::KeepUntil),
            (("costwarden:keep-until", ""), HoldCode::KeepUntil),
        ] {
            asking.assert_refused(&asking.tagged(&[tag]), code, tag.0);
        }
        for tag in [("costwarden:protect", "False"), ("other/protect", "true"), ("costwarden:keep-until", "2026-11-22")]
        {
            assert_eq!(asking.tagged(&[tag]), Ruling::Pass, "{act} {tag:?}");
        }
    }
}

#[tokio::test]
async fn h12_h23_the_gate_alone_refuses_a_stop_that_would_lose_local_disks_or_an_address() {
    type Case = (&'static str, fn(&mut Instance), HoldCode);
    let losses: [Case; 8] = [
        ("an address", |own| own.auto_public_ip = Fact::Known("203.0.113.7".into()), HoldCode::WouldLose),
        ("perhaps an address", |own| own.auto_public_ip = Fact::unknown("cut"), HoldCode::WouldLose),
        ("a disk", |own| own.instance_store = Fact::Known(true), HoldCode::WouldLose),
        ("perhaps a disk", |own| own.instance_store = Fact::unknown("cut"), HoldCode::WouldLose),
        ("a type with disks", |own| own.instance_type = "m5d.large".into(), HoldCode::WouldLose),
        ("a type of no table", |own| own.instance_type = "new9.large".into(), HoldCode::WouldLose),
        ("a Spot request", |own| own.lifecycle = crate::domain::resource::Lifecycle::Spot, HoldCode::NotAvailable),
        (
            "a Capacity Block",
            |own| own.lifecycle = crate::domain::resource::Lifecycle::Other("capacity-block".into()),
            HoldCode::NotAvailable,
        ),
    ];
    let book = book();
    assert_eq!(book.types["m5d.large"].instance_storage, Some(true), "the table knows, whatever the block map says");
    assert!(!book.types.contains_key("new9.large"));
    for (id, on, act) in ACTS.into_iter().filter(|(id, _, _)| *id == INSTANCE) {
        let mut asking = Asking::about(id, on, act).await;
        for (what, change, code) in losses {
            let mut fresh = asking.fresh.clone();
            change(instance(&mut fresh));
            let resized = act == Act::ResizeInstance && what.starts_with("a type");
            let ruling = asking.gate(&fresh);
            match act {
                Act::AddTags => assert_eq!(ruling, Ruling::Pass, "{what}: a tag loses nothing"),
                // Another series is refused first.
                _ if resized => assert!(matches!(ruling, Ruling::Refuse(..)), "{what}: {ruling:?}"),
                _ => asking.assert_refused(&ruling, code, what),
            }
        }
        asking.stage.rules.guards.allow_public_ip_loss = true;
        let allowed = asking.changed(|own| instance(own).auto_public_ip = Fact::Known("203.0.113.7".into()));
        assert_eq!(allowed, Ruling::Pass, "{act}: the settings allow that loss");
    }
}

#[tokio::test]
async fn a_tag_is_written_at_the_gate_on_what_lives_and_on_nothing_that_is_on_its_way_out() {
    let asking = Asking::about(INSTANCE, Action::Tag, Act::AddTags).await;
    for (word, passes) in [
        ("pending", true),
        ("stopping", true),
        ("stopped", true),
        ("shutting-down", false),
        ("terminated", false),
        ("paused", false),
    ] {
        let ruling = asking.changed(|own| instance(own).state = InstanceState::from_word(word));
        assert_eq!(ruling == Ruling::Pass, passes, "{word}: {ruling:?}");
    }
    let asking = Asking::about(ORPHAN, Action::Tag, Act::AddTags).await;
    for (word, passes) in [("in-use", true), ("deleting", false), ("error", false)] {
        let ruling = asking.changed(|own| match &mut own.detail {
            Detail::Volume(own) => own.state = word.into(),
            _ => panic!("not a volume"),
        });
        assert_eq!(ruling == Ruling::Pass, passes, "{word}: {ruling:?}");
    }
}

#[tokio::test]
async fn i04_the_gate_alone_holds_what_stands_on_a_listing_that_is_not_believed_or_is_none() {
    type Case = (&'static str, fn(&mut Coverage), &'static str);
    let doubts: [Case; 3] = [
        ("shrunk", |row| row.suspect = Some("suspect: shrank from 100 to 4 resources".into()), "is not believed"),
        ("cut", |row| row.status = Status::Partial, "was not read to its end"),
        (
            "denied",
            |row| (row.status, row.error) = (Status::Failed, Some("UnauthorizedOperation".into())),
            "UnauthorizedOperation",
        ),
    ];
    for (id, on, act) in ACTS {
        let asking = Asking::about(id, on, act).await;
        let (kind, mut held) = (asking.step.key.kind(), 0);
        for (what, doubt, words) in doubts {
            asking.stage.clock.advance_to(asking.stage.clock.now() + TimeDelta::seconds(1));
            asking.stage.scan_with(|row| {
                if row.partition.kind == kind {
                    doubt(row);
                }
            });
            match asking.gate(&asking.fresh) {
                Ruling::Hold(why) => {
                    assert!(why.contains(words), "{act} {what}: {why}");
                    held += 1;
                }
                other => panic!("{act} {what}: {other:?}"),
            }
        }
        assert_eq!(held, doubts.len());
        // What another kind's listing is worth does not matter, and a look that is believed sets it right.
        asking.stage.clock.advance_to(asking.stage.clock.now() + TimeDelta::seconds(1));
        asking.stage.scan_with(|row| {
            if row.partition.kind != kind {
                row.status = Status::Failed;
            }
        });
        assert_eq!(asking.gate(&asking.fresh), Ruling::Pass, "{act}");
    }
}

#[tokio::test]
async fn i04_a_scan_that_doubts_its_listing_while_a_snapshot_is_awaited_stops_the_act_until_one_believes_it() {
    let stage = Stage::with(|world| world.timing.snapshot_base = TimeDelta::minutes(40));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "it waits for its snapshot");
    stage.clock.advance_to(stage.clock.now() + TimeDelta::seconds(1));
    stage.scan_with(|row| row.suspect = Some("suspect: shrank from 400 to 3 resources".into()));
    let held = stage.play(&remediator, first, &run).await;
    assert_eq!(held.progress, Progress::Held, "{}", held.message);
    assert!(held.message.contains("shrank from 400 to 3"), "{}", held.message);
    assert_eq!((stage.acts().len(), stage.truth(ORPHAN).as_str(), stage.frozen()), (0, "available", None));
    stage.clock.advance_to(stage.clock.now() + TimeDelta::seconds(1));
    stage.scanned();
    let ends: Vec<Progress> = stage.resume("run-2").await.into_iter().map(|own| own.progress).collect();
    assert_eq!(ends, [Progress::Ended(JournalState::Done)]);
    stage.assert_watched();
}

#[tokio::test]
async fn h11_the_gate_acts_on_a_whole_unexpired_plan_of_this_state_and_on_nothing_else() {
    type Case = (&'static str, fn(&Step, &mut Plan), &'static str);
    let cases: [Case; 6] = [
        ("edited in its file", |_, plan| plan.expires_at += TimeDelta::days(9), "its contents do not give its id"),
        ("under another id", |_, plan| plan.id = "p-0123456789abcdef".into(), "its contents do not give its id"),
        ("of another state", |_, plan| derived(plan, |own| own.state_id = "st-other".into()), "another state file"),
        ("expired", |_, plan| derived(plan, |own| own.expires_at = monday() - TimeDelta::seconds(1)), "had expired"),
        (
            "of tomorrow",
            |_, plan| derived(plan, |own| own.created_at = monday() + TimeDelta::minutes(6)),
            "was made after this act",
        ),
        ("on no file", |_, _| {}, "is not on file"),
    ];
    for (what, change, words) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let id = match what {
            "on no file" => "p-fedcba9876543210".to_owned(),
            _ => stage.plan_with(&step, |plan| change(&step, plan)),
        };
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let outcome = remediator.start(&step, &id, &run).await.unwrap();
        assert_refused(&stage, &outcome, words);
        assert_eq!(stage.mutations(), Vec::<String>::new(), "{what}: not even a snapshot");
    }
    // Its last instant is still good.
    let stage = Stage::new();
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let id = stage.plan_with(&step, |plan| derived(plan, |own| own.expires_at = monday()));
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &id, &run).await.unwrap();
    assert_eq!(stage.play(&remediator, first, &run).await.progress, Progress::Ended(JournalState::Done));
}

fn derived(plan: &mut Plan, change: impl FnOnce(&mut Plan)) {
    change(plan);
    plan.id = plan.derive_id();
}

#[tokio::test]
async fn h11_a_step_that_its_plan_does_not_have_is_a_mistake_of_the_program_and_freezes() {
    type Case = (&'static str, fn(&mut Step));
    let cases: [Case; 3] = [
        ("another finding's", |own| own.finding = crate::domain::finding::FindingId("f-none".into())),
        ("without its backup", |own| own.backup.clear()),
        ("for another amount", |own| own.monthly = None),
    ];
    for (what, change) in cases {
        let stage = Stage::new();
        let step = stage.due_step(ORPHAN, Action::Terminate).await;
        let mut other = step.clone();
        change(&mut other);
        assert_ne!(step, other, "{what}");
        let id = stage.plan(&other);
        let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
        let outcome = remediator.start(&step, &id, &run).await.unwrap();
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{what}: {}", outcome.message);
        assert!(stage.frozen().unwrap_or_default().contains(&id), "{what}: {:?}", stage.frozen());
        assert_eq!(stage.mutations(), Vec::<String>::new(), "{what}");
    }
}

#[tokio::test]
async fn a_plan_that_expires_while_a_snapshot_is_awaited_was_good_when_the_act_began() {
    let stage = Stage::with(|world| world.timing.snapshot_base = TimeDelta::hours(3));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let id = stage.plan_with(&step, |plan| derived(plan, |own| own.expires_at = monday() + TimeDelta::minutes(1)));
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &id, &run).await.unwrap();
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{}", outcome.message);
    assert!(stage.clock.now() > monday() + TimeDelta::hours(2), "it waited longer than its plan was good for");
}
