//! Stories about the simulated account: lag, time, refusals, faults reached, and the same twice.

use std::time::Duration;

use chrono::TimeDelta;

use super::*;
use crate::cloud::{Call, CloudAct, CloudRead, CostGroupBy, CostQuery, ErrorKind, read_partition};
use crate::domain::budget::CostGroup;
use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, InstanceId, Kind, Place, ResourceKey, VolumeId};
use crate::domain::resource::InstanceState;
use crate::domain::usage::{Metric, MetricQuery, Statistic};

const IDLE: &str = "i-0t1n1d1e";
const ORPHAN: &str = "vol-0t1n0rph";

fn tiny() -> World {
    World::parse(include_str!("../../../fixtures/worlds/tiny.yaml"), "tiny.yaml").unwrap()
}

fn begin(world: World) -> (SimCloud, Clock, Place) {
    let place = world.places().remove(0);
    let clock = Clock::virtual_at(world.start);
    (SimCloud::new(world, clock.clone()).unwrap(), clock, place)
}

fn pass(clock: &Clock, seconds: i64) {
    clock.advance_to(clock.now() + TimeDelta::seconds(seconds));
}

fn key(place: &Place, id: &str) -> ResourceKey {
    place.partition(world::kind_of(id).unwrap()).key(id)
}

fn stop(id: &str) -> Call {
    Call::StopInstance { instance: InstanceId::new(id).unwrap() }
}

fn delete(id: &str) -> Call {
    Call::DeleteVolume { volume: VolumeId::new(id).unwrap() }
}

fn snapshot(id: &str) -> Call {
    let tags = vec![("costwarden:action".to_owned(), "a1".to_owned())];
    Call::CreateSnapshot { volume: VolumeId::new(id).unwrap(), description: "safety".into(), tags }
}

#[tokio::test]
async fn a_stop_takes_its_time_and_readers_see_it_later_still() {
    let mut world = tiny();
    world.timing.visibility_lag = (20, 20);
    let (cloud, clock, place) = begin(world);
    let (reader, actor) = (cloud.reader(), cloud.actor());
    actor.execute(&place, &stop(IDLE)).await.unwrap();

    let key = key(&place, IDLE);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(reader.describe(&key).await.unwrap().state().to_owned());
        pass(&clock, 10);
    }
    // 45 s to stop, and each change visible 20 s late.
    assert_eq!(seen, ["running", "running", "stopping", "stopping", "stopping", "stopping", "stopping", "stopped"]);
    assert_eq!(cloud.truth(|truth| truth.resource(IDLE).unwrap().state().to_owned()), "stopped");
}

#[tokio::test]
async fn a_snapshot_is_pending_until_its_time_and_hidden_while_it_lags() {
    let mut world = tiny();
    world.timing.visibility_lag = (30, 30);
    let (cloud, clock, place) = begin(world);
    let reader = cloud.reader();
    let answer = cloud.actor().execute(&place, &snapshot(ORPHAN)).await.unwrap();
    let (source, made) = &answer.snapshots[0];
    assert_eq!(source.as_str(), ORPHAN);
    let key = key(&place, made.as_str());

    assert_eq!(reader.describe(&key).await.unwrap_err().kind, ErrorKind::NotFound, "not visible yet");
    pass(&clock, 31);
    let pending = reader.describe(&key).await.unwrap();
    assert_eq!(pending.state(), "pending");
    assert_eq!(pending.snapshot().unwrap().progress, Fact::Known(11), "31 of 260 seconds");
    pass(&clock, 260);
    let done = reader.describe(&key).await.unwrap();
    assert_eq!((done.state(), done.tag("costwarden:action")), ("completed", Some("a1")));
    assert_eq!(done.snapshot().unwrap().progress, Fact::Known(100));
    assert_eq!(reader.snapshots_tagged(&place, "costwarden:action", "a1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_deleted_volume_is_deleting_and_then_gone_and_its_id_is_refused_for_ever() {
    let (cloud, clock, place) = begin(tiny());
    let (reader, actor) = (cloud.reader(), cloud.actor());
    let attached = actor.execute(&place, &delete("vol-0t1n1d1e")).await.unwrap_err();
    assert_eq!((attached.kind, attached.code.as_deref()), (ErrorKind::Rejected, Some("VolumeInUse")));

    actor.execute(&place, &delete(ORPHAN)).await.unwrap();
    assert_eq!(reader.describe(&key(&place, ORPHAN)).await.unwrap().state(), "deleting");
    pass(&clock, 15);
    assert_eq!(reader.describe(&key(&place, ORPHAN)).await.unwrap_err().kind, ErrorKind::NotFound);
    let again = actor.execute(&place, &delete(ORPHAN)).await.unwrap_err();
    assert_eq!(again.code.as_deref(), Some("InvalidVolume.NotFound"));

    let effective: Vec<String> =
        cloud.calls().into_iter().filter(|call| call.effective).map(|call| call.operation).collect();
    assert_eq!(effective, ["DeleteVolume"], "one of three");
}

#[tokio::test]
async fn a_timeout_can_hide_a_change_and_the_log_knows() {
    let mut world = tiny();
    world.faults.push(Fault::on("StopInstances", Effect::TimeoutAfterEffect).nth(1));
    world.faults.push(Fault::on("DeleteVolume", Effect::Timeout).nth(1));
    let (cloud, clock, place) = begin(world);
    let actor = cloud.actor();
    assert_eq!(actor.execute(&place, &stop(IDLE)).await.unwrap_err().kind, ErrorKind::Uncertain);
    assert_eq!(actor.execute(&place, &delete(ORPHAN)).await.unwrap_err().kind, ErrorKind::Uncertain);
    pass(&clock, 60);
    cloud.truth(|truth| {
        assert_eq!(truth.resource(IDLE).unwrap().state(), "stopped");
        assert_eq!(truth.resource(ORPHAN).unwrap().state(), "available");
    });
    let told: Vec<(String, bool)> = cloud.calls().into_iter().map(|call| (call.operation, call.effective)).collect();
    assert_eq!(told, [("StopInstances".to_owned(), true), ("DeleteVolume".to_owned(), false)]);
    assert_eq!(cloud.fault_hits(), [1, 1]);
}

#[tokio::test]
async fn each_kind_of_fault_is_reached_and_says_what_ec2_says() {
    let (cloud, clock, place) = begin(tiny());
    let reader = cloud.reader();
    let volumes = place.partition(Kind::Volume);
    for (effect, kind, code) in [
        (Effect::Throttle, ErrorKind::Throttled, Some("RequestLimitExceeded")),
        (Effect::Deny, ErrorKind::Denied, Some("UnauthorizedOperation")),
        (Effect::Expired, ErrorKind::Denied, Some("RequestExpired")),
        (Effect::Reject("IncorrectState".into()), ErrorKind::Rejected, Some("IncorrectState")),
        (Effect::Timeout, ErrorKind::Uncertain, None),
        (Effect::Unavailable, ErrorKind::Uncertain, Some("InternalError")),
        (Effect::CutPage(1), ErrorKind::Uncertain, None),
    ] {
        let span = Span { from: Some(clock.now()), until: Some(clock.now() + TimeDelta::minutes(1)) };
        cloud.add_fault(Fault { span, ..Fault::on("DescribeVolumes", effect.clone()) });
        let error = reader.list(&volumes, None).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_deref()), (kind, code), "{effect:?}");
        assert_eq!(cloud.fault_hits().last(), Some(&1), "{effect:?}");
        pass(&clock, 60);
        assert_eq!(reader.list(&volumes, None).await.unwrap().resources.len(), 3, "after {effect:?}");
    }
}

#[tokio::test]
async fn answers_can_be_cut_short_empty_or_incomplete() {
    let mut world = tiny();
    world.timing.page_size = 1;
    let (cloud, clock, place) = begin(world);
    let reader = cloud.reader();
    let volumes = place.partition(Kind::Volume);
    let minute = |effect| {
        pass(&clock, 60);
        let span = Span { from: Some(clock.now()), until: Some(clock.now() + TimeDelta::seconds(60)) };
        cloud.add_fault(Fault { span, ..Fault::on("DescribeVolumes", effect) });
    };
    let read = async || {
        let mut ids = Vec::new();
        let (pages, error) =
            read_partition(&reader, &volumes, |page| ids.extend(page.into_iter().map(|one| one.key.id.to_string())))
                .await;
        (pages, ids.len(), error.map(|error| error.kind))
    };
    assert_eq!(read().await, (3, 3, None));
    minute(Effect::CutPage(2));
    assert_eq!(read().await, (1, 1, Some(ErrorKind::Uncertain)));
    minute(Effect::RefuseToken(3));
    assert_eq!(read().await, (2, 2, Some(ErrorKind::Rejected)));
    minute(Effect::EmptyPage(2));
    assert_eq!(read().await, (4, 3, None), "an empty page is not the end");
    minute(Effect::Shorter(100));
    assert_eq!(read().await, (1, 0, None), "a list that lies");
    minute(Effect::Hide(vec![ORPHAN.into()]));
    assert_eq!(read().await, (2, 2, None));
    minute(Effect::MissingTags);
    assert!(reader.describe(&key(&place, ORPHAN)).await.unwrap().tags.is_unknown());
    assert!(cloud.fault_hits().iter().all(|hits| *hits > 0), "{:?}", cloud.fault_hits());
}

#[tokio::test]
async fn credentials_can_turn_out_to_be_another_accounts_on_either_side() {
    let (cloud, _, place) = begin(tiny());
    let other: AccountId = AccountId::new("999988887777").unwrap();
    assert_eq!(cloud.actor().acting_as(&place.account).await.unwrap().account, place.account);
    cloud.add_fault(Fault::on("GetCallerIdentity", Effect::WrongIdentity(other.clone())));
    assert_eq!(cloud.actor().acting_as(&place.account).await.unwrap().account, other);
    assert_eq!(cloud.reader().identity(&place.account).await.unwrap().account, other);
    assert_eq!(cloud.actor().acting_as(&other).await.unwrap_err().kind, ErrorKind::Denied, "no such account here");
    assert!(cloud.calls().iter().all(|call| !call.mutating() && !call.effective));
}

#[tokio::test]
async fn snapshots_can_fail_or_take_days() {
    let mut world = tiny();
    world.faults.push(Fault::on("CreateSnapshot", Effect::SnapshotFails).nth(1));
    world.faults.push(Fault::on("CreateSnapshots", Effect::SnapshotHours(72)));
    let (cloud, clock, place) = begin(world);
    let actor = cloud.actor();
    let failed = actor.execute(&place, &snapshot(ORPHAN)).await.unwrap().snapshots.remove(0).1;
    let all = Call::CreateSnapshots {
        instance: InstanceId::new(IDLE).unwrap(),
        description: "safety".into(),
        tags: Vec::new(),
    };
    let slow = actor.execute(&place, &all).await.unwrap().snapshots.remove(0).1;
    pass(&clock, 3_600);
    let state = |id: &str| cloud.truth(|truth| truth.resource(id).unwrap().state().to_owned());
    assert_eq!((state(failed.as_str()), state(slow.as_str())), ("error".to_owned(), "pending".to_owned()));
    pass(&clock, 72 * 3_600);
    assert_eq!(state(slow.as_str()), "completed");
}

#[tokio::test]
async fn snapshots_can_complete_with_a_wrong_size_or_end_recoverable() {
    let mut world = tiny();
    world.faults.push(Fault::on("CreateSnapshot", Effect::SnapshotOfAnotherSize).nth(1));
    world.faults.push(Fault::on("CreateSnapshot", Effect::SnapshotRecoverable).nth(2));
    let (cloud, clock, place) = begin(world);
    let actor = cloud.actor();
    let wrong = actor.execute(&place, &snapshot(ORPHAN)).await.unwrap().snapshots.remove(0).1;
    let lost = actor.execute(&place, &snapshot(ORPHAN)).await.unwrap().snapshots.remove(0).1;
    pass(&clock, 3_600);
    let seen = |id: &str| {
        cloud.truth(|truth| {
            let snapshot = truth.resource(id).unwrap().snapshot().unwrap();
            let size = truth.resource(ORPHAN).unwrap().volume().unwrap().size_gib;
            (snapshot.state.to_string(), snapshot.volume_size_gib == size)
        })
    };
    assert_eq!(seen(wrong.as_str()), ("completed".to_owned(), false));
    assert_eq!(seen(lost.as_str()), ("recoverable".to_owned(), true));
}

#[tokio::test]
async fn a_page_can_come_twice_and_metrics_can_be_late_or_no_numbers() {
    let mut world = tiny();
    world.timing.page_size = 1;
    world.faults.push(Fault::on("DescribeVolumes", Effect::RepeatPage(1)));
    world.faults.push(Fault::on("GetMetricData", Effect::NanMetrics).nth(1));
    world.faults.push(Fault::on("GetMetricData", Effect::LateMetrics(48)).nth(2));
    let (cloud, clock, place) = begin(world);
    pass(&clock, 5 * 86_400 + 3_600);
    let reader = cloud.reader();
    let (mut cursor, mut ids) = (None, Vec::new());
    loop {
        let page = reader.list(&place.partition(Kind::Volume), cursor.as_deref()).await.unwrap();
        ids.extend(page.resources.into_iter().map(|own| own.key.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids[0], ids[1], "the first page came twice: {ids:?}");
    let known = cloud.truth(|truth| truth.resources().filter(|own| own.volume().is_some()).count());
    assert_eq!(ids.len(), known + 1, "and nothing else did");
    let to = crate::domain::usage::last_midnight(clock.now());
    let query = MetricQuery {
        resource: IDLE.into(),
        metric: Metric::Cpu,
        statistic: Statistic::Average,
        period_seconds: 86_400,
        from: to - TimeDelta::days(3),
        to,
    };
    let mut read = Vec::new();
    for _ in 0..3 {
        let answer = reader.metrics(&place, std::slice::from_ref(&query)).await.unwrap().remove(0);
        read.push(answer.known().cloned().unwrap_or_default());
    }
    assert!(read[0].len() == 3 && read[0].iter().all(|(_, value)| value.is_nan()), "{read:?}");
    assert_eq!((read[1].len(), read[2].len()), (2, 3), "the last two days had not arrived: {read:?}");
}

#[tokio::test]
async fn people_change_things_at_their_hour_and_are_refused_like_everybody() {
    let mut world = tiny();
    let start = world.start;
    let by = |hours, change| Event { at: start + TimeDelta::hours(hours), by: "anna".into(), change };
    let attach = || Change::Attach { volume: ORPHAN.into(), instance: IDLE.into(), device: "/dev/sdf".into() };
    let tags = vec![("owner".to_owned(), "new@company.com".to_owned())];
    world.events.push(by(30, attach()));
    world.events.push(by(20, Change::Tag { resource: IDLE.into(), tags }));
    world.events.push(by(40, attach()));
    let (cloud, clock, place) = begin(world);
    pass(&clock, 25 * 3_600);
    cloud.truth(|truth| {
        assert_eq!(truth.resource(IDLE).unwrap().tag("owner"), Some("new@company.com"));
        assert!(truth.resource(ORPHAN).unwrap().volume().unwrap().attachments.is_empty());
    });
    pass(&clock, 24 * 3_600);
    let instance = cloud.reader().describe(&key(&place, IDLE)).await.unwrap();
    let attached: Vec<String> =
        instance.instance().unwrap().volumes.iter().map(|volume| volume.volume.to_string()).collect();
    assert_eq!(attached, [ORPHAN, "vol-0t1n1d1e"]);
    let refused: Vec<bool> = cloud.changes().iter().map(|change| change.refused.is_some()).collect();
    assert_eq!(refused, [false, false, true]);
    assert!(cloud.changes()[2].refused.as_ref().unwrap().starts_with("VolumeInUse"));
}

#[tokio::test]
async fn a_stopped_and_restarted_instance_has_a_gap_in_its_metrics_and_a_new_launch_time() {
    let (cloud, clock, place) = begin(tiny());
    cloud.apply("anna", Change::Stop(IDLE.into())).unwrap();
    pass(&clock, 86_400);
    cloud.apply("anna", Change::Start(IDLE.into())).unwrap();
    pass(&clock, 86_400);
    let query = MetricQuery {
        resource: IDLE.into(),
        metric: Metric::Cpu,
        statistic: Statistic::SampleCount,
        period_seconds: 86_400,
        from: clock.now() - TimeDelta::days(4),
        to: clock.now(),
    };
    let series = cloud.reader().metrics(&place, std::slice::from_ref(&query)).await.unwrap().remove(0);
    let samples: Vec<f64> = series.known().unwrap().iter().map(|(_, count)| *count).collect();
    assert_eq!(samples, [288.0, 288.0, 288.0], "the day without it is not listed");
    let starts: Vec<Instant> = series.known().unwrap().iter().map(|(start, _)| *start).collect();
    assert!(!starts.contains(&(clock.now() - TimeDelta::days(2))));
    let restarted = cloud.reader().describe(&key(&place, IDLE)).await.unwrap();
    assert_eq!(restarted.created_at, Fact::Known(clock.now() - TimeDelta::days(1)));
    assert_eq!(restarted.instance().unwrap().state, InstanceState::Running);
}

#[tokio::test]
async fn terminating_an_instance_takes_the_volumes_that_go_with_it_and_frees_the_others() {
    let (cloud, clock, _) = begin(tiny());
    let attach = Change::Attach { volume: ORPHAN.into(), instance: IDLE.into(), device: "/dev/sdf".into() };
    cloud.apply("anna", attach).unwrap();
    let address = Change::Associate { address: "eipalloc-0t1n".into(), instance: IDLE.into() };
    cloud.apply("anna", address).unwrap();
    cloud.apply("anna", Change::Terminate(IDLE.into())).unwrap();
    pass(&clock, 60);
    cloud.truth(|truth| {
        assert_eq!(truth.resource(IDLE).unwrap().state(), "terminated");
        assert!(truth.resource("vol-0t1n1d1e").is_none(), "its root volume dies with it");
        assert_eq!(truth.resource(ORPHAN).unwrap().state(), "available");
        assert_eq!(truth.resource("eipalloc-0t1n").unwrap().address().unwrap().instance, None);
    });
    pass(&clock, 3_600);
    assert!(cloud.truth(|truth| truth.resource(IDLE).is_none()), "listed for about an hour, then gone");
}

#[tokio::test]
async fn tags_are_overwritten_as_ec2_does_and_the_log_names_the_keys() {
    let (cloud, _, place) = begin(tiny());
    let tags = |pairs: &[(&str, &str)]| Call::CreateTags {
        resource: key(&place, ORPHAN),
        tags: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let actor = cloud.actor();
    actor.execute(&place, &tags(&[("owner", "x@company.com"), ("project", "p")])).await.unwrap();
    actor.execute(&place, &tags(&[("project", "p")])).await.unwrap();
    let calls = cloud.calls();
    assert_eq!(calls[0].overwrote, ["owner"]);
    assert!(calls[0].effective && !calls[1].effective, "the second changed nothing");
    let reserved = actor.execute(&place, &tags(&[("aws:owner", "x")])).await.unwrap_err();
    assert_eq!(reserved.kind, ErrorKind::Rejected);
}

#[tokio::test]
async fn costs_are_by_day_and_by_service_or_tag_and_know_nothing_of_tomorrow() {
    let mut world = tiny();
    let account = world.accounts[0].id.clone();
    let spend = |service: &str, tag: Option<&str>, dollars| Spend {
        account: account.clone(),
        service: service.into(),
        tags: tag.map(|value| ("cost-center".to_owned(), value.to_owned())).into_iter().collect(),
        per_day: Usd::dollars(dollars),
        span: Span::default(),
    };
    world.spend = vec![spend("EC2", Some("CC-1"), 10), spend("EC2", None, 4), spend("S3", Some("CC-1"), 1)];
    let (cloud, clock, _) = begin(world);
    pass(&clock, 2 * 86_400 + 21_600);
    let query =
        |group_by| CostQuery { from: "2026-09-07".parse().unwrap(), to: "2026-09-12".parse().unwrap(), group_by };
    let reader = cloud.reader();
    let by_service = reader.costs(&account, &query(CostGroupBy::Service)).await.unwrap();
    let days = |group: CostGroup| -> Vec<(Usd, bool)> {
        by_service.iter().filter(|row| row.group == group).map(|row| (row.amount, row.estimated)).collect()
    };
    assert_eq!(
        days(CostGroup::Service("EC2".into())),
        [(Usd::dollars(14), false), (Usd::dollars(14), true), (Usd::dollars(14).scaled(1, 4), true)]
    );
    let by_tag = reader.costs(&account, &query(CostGroupBy::Tag("cost-center".into()))).await.unwrap();
    let total = |value: &str| -> Usd {
        let group = CostGroup::Tag { key: "cost-center".into(), value: value.into() };
        by_tag.iter().filter(|row| row.group == group && !row.estimated).map(|row| row.amount).sum()
    };
    assert_eq!((total("CC-1"), total("")), (Usd::dollars(11), Usd::dollars(4)));
    let requests = reader.requests();
    assert_eq!((requests[0].count, requests[0].usd), (2, Some(Usd(20_000))));
}

/// Plays the same three days of calls and changes twice.
async fn play() -> (Vec<CallRecord>, Vec<ChangeRecord>, Vec<String>) {
    let mut world = tiny();
    world.timing.visibility_lag = (0, 300);
    world.timing.page_size = 2;
    world.faults.push(Fault::on("DescribeVolumes", Effect::Throttle).nth(3));
    let start = world.start;
    let event = |hours, change| Event { at: start + TimeDelta::hours(hours), by: "anna".into(), change };
    world.events.push(event(30, Change::Detach("vol-0t1nb0sy".into())));
    world.events.push(event(30, Change::Snapshot(ORPHAN.into())));
    let (cloud, clock, place) = begin(world);
    let (reader, actor) = (cloud.reader(), cloud.actor());
    let mut seen = Vec::new();
    for hour in 0..72 {
        for kind in Kind::ALL {
            read_partition(&reader, &place.partition(kind), |page| seen.push(format!("{page:?}"))).await;
        }
        if hour == 10 {
            seen.push(format!("{:?}", actor.execute(&place, &snapshot(ORPHAN)).await));
        }
        clock.sleep(Duration::from_secs(3_600)).await;
    }
    (cloud.calls(), cloud.changes(), seen)
}

#[tokio::test]
async fn the_same_world_played_twice_gives_the_same_log_and_the_same_answers() {
    let (first, second) = (play().await, play().await);
    assert_eq!(first.1.len(), 2);
    assert!(first.0.len() > 300);
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_change_that_came_due_while_nobody_looked_happened_at_its_own_time() {
    let mut world = tiny();
    let at = world.start + TimeDelta::hours(5);
    world.events.push(Event { at, by: "anna".into(), change: Change::Stop(IDLE.into()) });
    let (cloud, clock, place) = begin(world);
    pass(&clock, 10 * 86_400);
    let instance = cloud.reader().describe(&key(&place, IDLE)).await.unwrap();
    assert_eq!(instance.instance().unwrap().state_since, Fact::Known(at));
    assert_eq!(instance.state(), "stopped");
}

#[test]
fn a_world_made_in_code_is_checked_before_it_is_simulated() {
    let start: Instant = "2026-09-07T00:00:00Z".parse().unwrap();
    let world = || World::empty(start).with_account("111122223333", &["us-east-1"]).unwrap();
    let place = world().places().remove(0);
    let mut one_sided = world();
    let mut volume = plant::volume(key(&place, "vol-1"), "gp3", 10, start);
    let mut instance = plant::instance(key(&place, "i-1"), "m5.large", start);
    plant::attach(&mut instance, &mut volume, "/dev/xvda", true);
    one_sided.resources.push(volume.clone());
    let error = SimCloud::new(one_sided, Clock::virtual_at(start)).unwrap_err().to_string();
    assert!(error.contains("vol-1 is attached to i-1 on one side only"), "{error}");

    let mut twice = world();
    twice.resources = vec![instance, volume.clone(), volume];
    let error = SimCloud::new(twice, Clock::virtual_at(start)).unwrap_err().to_string();
    assert!(error.contains("vol-1 stands twice"), "{error}");
}
