//! The gate's own breaker: a planner that chose too much, or a policy that fell due on more after its plan, reaches no
//! call.

use super::*;
use crate::domain::check::Standing;
use crate::domain::exception::Exception;
use crate::domain::finding::{FindingId, OpenRemediation, State};
use crate::domain::money::Usd;

/// Ten volumes and no share of the kind pass; nothing else counts.
fn ten_pass(stage: &mut Stage) {
    stage.rules.breaker = Breaker { count: 10, percent_of_kind: 0, usd: None, owners: None };
}

/// Findings on other volumes that are due beside the step's.
fn beside(stage: &Stage, count: usize, change: impl Fn(&mut Finding)) {
    let told = stage.clock.now() - TimeDelta::days(2);
    for number in 0..count {
        let mut own = reconcile::testing::finding(&format!("vol-0{number:04x}"), Severity::High, Action::Terminate);
        own.savings.monthly = Some(Usd::dollars(10));
        grace::delivered(&mut own, NoticeKind::First, told);
        change(&mut own);
        stage.store.update_findings(&[own], &[]).unwrap();
    }
}

const ARMED: &str = "of another armed account";
const UNARMED: &str = "of an account that nobody armed";

async fn told(stage: &Stage) -> Outcome {
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    stage.act(&step).await
}

#[tokio::test]
async fn h03_a_policy_that_fell_due_on_one_more_than_the_breaker_reaches_no_call_at_the_gate() {
    for (more, passes) in [(9, true), (10, false), (200, false)] {
        let mut stage = Stage::new();
        ten_pass(&mut stage);
        beside(&stage, more, |_| {});
        let outcome = told(&stage).await;
        if passes {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{more}: {}", outcome.message);
            continue;
        }
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{more}: {}", outcome.message);
        let words = format!("became due on {} of 400 volumes, 10 pass; arm every account", more + 1);
        assert!(outcome.message.contains(&words), "{}", outcome.message);
        assert_eq!((stage.mutations(), stage.frozen()), (Vec::new(), None), "not even a snapshot");
    }
}

#[tokio::test]
async fn h03_a_policy_that_trips_while_a_snapshot_is_awaited_is_stopped_before_its_act() {
    let mut stage = Stage::new();
    ten_pass(&mut stage);
    stage.fault("CreateSnapshot", Effect::SnapshotHours(2));
    let step = stage.due_step(ORPHAN, Action::Terminate).await;
    let (remediator, run) = (stage.remediator(Halt::none()), stage.run("run-1"));
    let first = remediator.start(&step, &stage.plan(&step), &run).await.unwrap();
    assert!(matches!(first.progress, Progress::WaitUntil(_)), "{}", first.message);
    beside(&stage, 10, |_| {});
    let outcome = stage.play(&remediator, first, &run).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("breaker: the gate counted"), "{}", outcome.message);
    assert_eq!((stage.acts().len(), stage.truth(ORPHAN).as_str()), (0, "available"));
}

#[tokio::test]
async fn h03_what_nobody_wants_an_act_on_and_what_a_person_saw_while_arming_does_not_count_at_the_gate() {
    type Change = fn(&mut Finding);
    let before_arming: Change = |own| own.clock.due_at = Some(monday() - TimeDelta::days(21));
    let elsewhere: Change = |own| {
        own.key = "210987654321/us-east-1/storage/volume/vol-0other".parse().unwrap();
        own.key = own.key.partition.key(&format!("vol-1{}", own.name));
    };
    let counted: [(&str, Change); 4] = [
        ("as it is", |_| {}),
        ("could not be judged", |own| own.unjudged = Some("metrics: throttled".into())),
        ("an act on it is under way", |own| own.remediation = Some(OpenRemediation::Acting)),
        (ARMED, elsewhere),
    ];
    let left_out: [(&str, Change); 15] = [
        (UNARMED, elsewhere),
        ("of an account that the settings do not list", elsewhere),
        ("shown while arming", before_arming),
        ("not due yet", |own| own.clock.due_at = Some(monday() + TimeDelta::days(3))),
        ("never told", |own| own.clock = Default::default()),
        ("waits for a second notice", |own| own.clock.needs_second = true),
        ("closed", |own| own.state = State::Remediated),
        ("excepted", |own| own.state = State::Excepted),
        ("kept", |own| own.keep_until = Some(monday().date_naive())),
        ("undone by a person", |own| own.suppressed = true),
        ("low", |own| own.severity = Severity::Low),
        ("reported only", |own| own.standing = Standing::ReportedOnly("managed".into())),
        ("watched", |own| own.standing = Standing::Watching("3 of 14 days".into())),
        ("of another policy", |own| own.policy = "other".into()),
        ("only told", |own| own.action = Action::Notify),
    ];
    let all = counted.into_iter().map(|one| (one, true)).chain(left_out.into_iter().map(|one| (one, false)));
    for ((name, change), counts) in all {
        let mut stage = Stage::new();
        ten_pass(&mut stage);
        beside(&stage, 30, |own| {
            change(own);
            own.id = FindingId::derive(&own.key, &own.policy, &own.rule);
        });
        if name == ARMED || name == UNARMED {
            let place = Place { account: AccountId::new("210987654321").unwrap(), ..stage.place.clone() };
            let arming = stage.store.arming(&stage.place.account).unwrap().unwrap();
            if name == ARMED {
                stage.store.arm(&Arming { account: place.account.clone(), ..arming }).unwrap();
            }
            stage.rules.places.insert(place);
        }
        let end = if counts { JournalState::Refused } else { JournalState::Done };
        let outcome = told(&stage).await;
        assert_eq!(outcome.progress, Progress::Ended(end), "{name}: {}", outcome.message);
    }
}

#[tokio::test]
async fn h03_exceptions_bring_a_policy_under_its_breaker_and_arming_again_approves_it() {
    let mut stage = Stage::new();
    ten_pass(&mut stage);
    beside(&stage, 10, |_| {});
    stage.rules.exceptions = vec![Exception {
        id: "EXC-1".into(),
        resource: "vol-00003".into(),
        account: None,
        policy: "policy".into(),
        rule: None,
        reason: "kept for a year".into(),
        approved_by: "eve".into(),
        until: monday() + TimeDelta::days(90),
    }];
    assert_eq!(told(&stage).await.progress, Progress::Ended(JournalState::Done));

    let mut stage = Stage::new();
    ten_pass(&mut stage);
    beside(&stage, 10, |_| {});
    let arming = stage.store.arming(&stage.place.account).unwrap().unwrap();
    stage.store.arm(&Arming { at: stage.clock.now() - TimeDelta::minutes(1), ..arming }).unwrap();
    assert_eq!(told(&stage).await.progress, Progress::Ended(JournalState::Done));
}

#[tokio::test]
async fn h03_the_gate_counts_dollars_prices_and_owners_and_zero_allows_nothing() {
    type Change = fn(&mut Breaker);
    // The step's own finding saves nothing and is ann's; one of the others has no owner.
    let cases: [(&str, Change, Option<&str>); 7] = [
        ("dollars", |own| own.usd = Some(Usd::dollars(49)), Some("$50.00 a month and 0 without a price, $49.00 pass")),
        ("dollars at the limit", |own| own.usd = Some(Usd::dollars(50)), None),
        ("owners", |own| own.owners = Some(5), Some("volumes of 6 owners, 5 pass")),
        ("owners at the limit", |own| own.owners = Some(6), None),
        ("no owner at all", |own| own.owners = Some(0), Some("6 owners, 0 pass")),
        ("none", |own| own.count = 0, Some("6 of 400 volumes, 0 pass")),
        ("a share of the kind", |own| (own.count, own.percent_of_kind) = (0, 2), None),
    ];
    for (name, change, refused) in cases {
        let mut stage = Stage::new();
        ten_pass(&mut stage);
        change(&mut stage.rules.breaker);
        beside(&stage, 5, |own| {
            own.owner = if own.name.ends_with('0') { None } else { Some(format!("{}@example.com", own.name)) };
        });
        let outcome = told(&stage).await;
        let Some(words) = refused else {
            assert_eq!(outcome.progress, Progress::Ended(JournalState::Done), "{name}: {}", outcome.message);
            continue;
        };
        assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{name}: {}", outcome.message);
        assert!(outcome.message.contains(words), "{name}: {}", outcome.message);
        assert_eq!(stage.mutations(), Vec::<String>::new(), "{name}");
    }
    let mut stage = Stage::new();
    ten_pass(&mut stage);
    stage.rules.breaker.usd = Some(Usd::dollars(5_000));
    beside(&stage, 1, |own| own.savings.monthly = None);
    let outcome = told(&stage).await;
    assert_eq!(outcome.progress, Progress::Ended(JournalState::Refused), "{}", outcome.message);
    assert!(outcome.message.contains("$0.00 a month and 1 without a price"), "{}", outcome.message);
}

#[tokio::test]
async fn h03_where_nobody_must_arm_everything_due_counts_until_somebody_does() {
    for armed in [false, true] {
        let mut stage = Stage::new();
        ten_pass(&mut stage);
        (stage.rules.mode, stage.rules.by_hand) = (Mode::Notify, true);
        beside(&stage, 10, |own| own.clock.due_at = Some(monday() - TimeDelta::days(21)));
        if !armed {
            assert!(stage.store.disarm(&stage.place.account, stage.clock.now() - TimeDelta::days(1)).unwrap());
        }
        let outcome = told(&stage).await;
        let end = if armed { JournalState::Done } else { JournalState::Refused };
        assert_eq!(outcome.progress, Progress::Ended(end), "{armed}: {}", outcome.message);
        assert!(armed || outcome.message.contains("arm every account"), "{}", outcome.message);
    }
}
