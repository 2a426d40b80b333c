//! Answers that are AWS's own and odd all the same: words and fields that are newer than this program, resources that are
//! another account's or another one by now, no capacity, numbers that are estimates or all zero.

use chrono::{NaiveDate, TimeDelta, Utc};
use costwarden::cloud::{Call, CloudAct, CloudRead, CostGroupBy, CostQuery, ErrorKind};
use costwarden::domain::fact::Fact;
use costwarden::domain::guard::managed_by;
use costwarden::domain::place::{InstanceId, Kind, VolumeId};
use costwarden::domain::resource::{InstanceState, Resource};
use costwarden::domain::usage::{Metric, MetricQuery, Statistic, last_midnight};
use regex::Regex;
use serde_json::json;

use super::answers::{answer, reader_of_each};
use super::{ids, read};
use crate::faults::reached;
use crate::support::fixtures;
use crate::support::moto::{Fault, Moto, place};

const REGION: &str = "eu-west-3";
const ZONE: &str = "eu-west-3a";

/// A word that no version of the SDK knows.
const NEW: &str = "quantum-entangled";

/// Elements whose words come from a list that AWS makes longer now and then.
const WORDS: [&str; 12] = [
    "name",
    "status",
    "state",
    "instanceLifecycle",
    "instanceType",
    "volumeType",
    "imageState",
    "domain",
    "storageTier",
    "tenancy",
    "architecture",
    "virtualizationType",
];

async fn listed(kind: Kind, body: String) -> Vec<Resource> {
    let (reader, partition) = reader_of_each(vec![("", body)]).await;
    let (resources, pages, error) = read(&reader, &partition(kind)).await;
    assert_eq!((pages, error), (1, None), "{kind}");
    resources
}

#[tokio::test]
async fn words_and_fields_that_are_newer_than_the_program_spoil_nothing_and_mean_nothing_known() {
    let mut met = 0;
    for kind in Kind::ALL {
        let whole = answer(kind);
        let before = listed(kind, whole.clone()).await;
        let field = format!("<item><brandNew><item><deep>1</deep></item></brandNew><other>{NEW}</other>");
        let with_fields = listed(kind, whole.replace("<item>", &field)).await;
        assert_eq!(ids(&with_fields), ids(&before), "{kind}: fields that nobody knows are passed over");
        assert_eq!(format!("{with_fields:?}"), format!("{before:?}"), "{kind}");
        met += 1;
        for word in WORDS {
            let element = Regex::new(&format!("<{word}>[a-z0-9.-]+</{word}>")).expect("a pattern");
            let places = element.find_iter(&whole).count();
            // Each place by itself, and all of them.
            for place in 0..=places {
                let mut number = 0;
                let changed = element.replace_all(&whole, |found: &regex::Captures<'_>| {
                    number += 1;
                    let meant = place == places || number == place + 1;
                    if meant { format!("<{word}>{NEW}</{word}>") } else { found[0].to_owned() }
                });
                if changed == whole {
                    continue;
                }
                met += 1;
                let found = listed(kind, changed.into_owned()).await;
                assert_eq!(ids(&found), ids(&before), "{kind}: {word} at {place}");
                if word == "name" && kind == Kind::Instance && place == places {
                    for one in &found {
                        let state = &one.instance().expect("an instance").state;
                        assert_eq!(*state, InstanceState::Other(NEW.into()), "no state that anybody acts on");
                    }
                }
                for (one, old) in found.iter().zip(&before) {
                    let known = format!("{one:?}");
                    assert!(known == format!("{old:?}") || known.contains(NEW) || known.contains("Unknown"), "{known}");
                }
            }
        }
    }
    reached("unknown words and new fields", met);
}

/// The answer about one instance, in this state and with these tags.
fn one_instance(id: &str, state: &str, tag: &str) -> String {
    let whole = answer(Kind::Instance);
    let second = whole.match_indices("<instanceId>").nth(1).expect("several instances").0;
    let end = whole[..second].rfind("<item>").expect("each is an item");
    let one = format!("{}</instancesSet></item></reservationSet></DescribeInstancesResponse>", &whole[..end]);
    one.replace("i-0a1b2c3d4e5f60001", id)
        .replace("<name>running</name>", &format!("<name>{state}</name>"))
        .replace("<tagSet>", &format!("<tagSet>{tag}"))
}

#[tokio::test]
async fn h18_an_instance_that_auto_scaling_replaced_is_over_and_its_successor_is_managed() {
    let mut met = 0;
    for number in 0..10 {
        let (old, new) = (format!("i-0a1b2c3d4e5f7{number:04}"), format!("i-0a1b2c3d4e5f8{number:04}"));
        for state in ["shutting-down", "terminated"] {
            let (reader, partition) = reader_of_each(vec![("", one_instance(&old, state, ""))]).await;
            let found = reader.describe(&partition(Kind::Instance).key(&old)).await.expect("EC2 shows it for an hour");
            assert_ne!(found.instance().expect("an instance").state, InstanceState::Running, "{old}");
            let error = reader.describe(&partition(Kind::Instance).key(&new)).await.expect_err("another's answer");
            assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
            let group = "<item><key>aws:autoscaling:groupName</key><value>web</value></item>";
            let after = listed(Kind::Instance, one_instance(&new, "running", group)).await;
            assert_eq!(ids(&after), [new.as_str()], "the old one's id is not the new one's");
            assert!(managed_by(&after[0]).is_some_and(|by| by.contains("Auto Scaling")), "{:?}", managed_by(&after[0]));
            met += 1;
        }
    }
    reached("an instance was replaced by Auto Scaling", met);
}

#[tokio::test]
async fn i09_an_id_of_another_account_is_not_found_and_nothing_happens_to_it() {
    let moto = Moto::shared();
    let (own, other) = (moto.account(), moto.account());
    let (here, there) = (place(&own, REGION), place(&other, REGION));
    let ec2 = moto.ec2(&there).await;
    let mut volumes = Vec::new();
    for _ in 0..10 {
        volumes.push(fixtures::volume(&ec2, ZONE, 8, &[]).await);
    }
    let (reader, actor) = (moto.reader(&[&own]).await, moto.actor(&[&own]).await);
    let mut met = 0;
    for volume in &volumes {
        let error = reader.describe(&here.partition(Kind::Volume).key(volume)).await.expect_err("another's");
        assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
        let call = Call::DeleteVolume { volume: VolumeId::new(volume).expect("a volume's id") };
        let error = actor.execute(&here, &call).await.expect_err("another's");
        assert!(error.definite(), "{error}");
        met += 2;
    }
    let left = moto.reader(&[&other]).await.list(&there.partition(Kind::Volume), None).await.expect("a list");
    assert_eq!(ids(&left.resources), super::sorted(&volumes));
    reached("an id of another account", met);
}

#[tokio::test]
async fn h04_an_account_is_known_by_its_number_whatever_it_is_called() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let volume = fixtures::volume(&moto.ec2(&here).await, ZONE, 8, &[]).await;
    let reader = moto.reader(&[&account]).await;
    let mut met = 0;
    for number in 0..20 {
        moto.call_account(&account, &format!("shop-{number}"));
        met += 1;
        assert_eq!(reader.identity(&account).await.expect("it says who it is").account, account);
        let found = reader.list(&here.partition(Kind::Volume), None).await.expect("a list");
        assert_eq!(ids(&found.resources), [volume.as_str()]);
    }
    let asked = moto.log(&account);
    let own = asked.iter().filter(|seen| seen.service.as_deref() == Some("iam") && !seen.agent.is_empty()).count();
    assert_eq!(own, 0, "nothing of ours asks for the account's alias");
    reached("the account's alias changed", met);
}

#[tokio::test]
async fn h21_no_capacity_for_a_start_is_a_definite_no() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let actor = moto.actor(&[&account]).await;
    moto.fault(Fault::error("StartInstances", 500, "InsufficientInstanceCapacity").times(20).of_account(&account));
    for _ in 0..20 {
        let call = Call::StartInstance { instance: InstanceId::new("i-0a1b2c3d4e5f60001").expect("an instance's id") };
        let error = actor.execute(&here, &call).await.expect_err("no room");
        assert_eq!(error.kind, ErrorKind::Rejected, "so the way back to the old type begins at once: {error}");
        assert_eq!(error.code.as_deref(), Some("InsufficientInstanceCapacity"));
    }
    let met = moto.seen(&account, "StartInstances").iter().filter(|seen| seen.fault.is_some()).count();
    assert_eq!(met, 20, "each was asked for once");
    reached("InsufficientInstanceCapacity at a start after a resize", met);
}

#[tokio::test]
async fn costs_that_are_estimates_say_so_day_by_day() {
    let moto = Moto::shared();
    let account = moto.account();
    let first = NaiveDate::from_ymd_opt(2026, 11, 1).expect("a day");
    let day = |number: i64| first + TimeDelta::days(number);
    let rows: Vec<_> = (0..25)
        .map(|number| {
            json!({
                "TimePeriod": {"Start": day(number).to_string(), "End": day(number + 1).to_string()},
                "Total": {},
                "Groups": [{"Keys": ["Tax"], "Metrics": {"UnblendedCost": {"Amount": "1.5", "Unit": "USD"}}}],
                "Estimated": number >= 3,
            })
        })
        .collect();
    moto.queue_costs(&account, json!([{"ResultsByTime": rows}]));
    let reader = moto.reader(&[&account]).await;
    let query = CostQuery { from: day(0), to: day(25), group_by: CostGroupBy::Service };
    let found = reader.costs(&account, &query).await.expect("an answer");
    let estimated: Vec<NaiveDate> = found.iter().filter(|row| row.estimated).map(|row| row.day).collect();
    assert_eq!(estimated, (3..25).map(day).collect::<Vec<_>>(), "these and no others");
    reached("Cost Explorer's numbers are estimates", estimated.len());
}

#[tokio::test]
async fn h01_metrics_that_are_all_zero_are_zeros_and_missing_ones_are_not() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let to = last_midnight(Utc::now());
    let from = to - TimeDelta::days(7);
    let zeros: Vec<_> = (0..7).map(|day| (from + TimeDelta::days(day) + TimeDelta::hours(1), 0.0)).collect();
    let names: Vec<String> = (0..24).map(|number| format!("i-0{number:03}")).collect();
    for name in &names[..20] {
        moto.put_metrics(&here, name, "CPUUtilization", &zeros).await;
    }
    let query = |name: &String| MetricQuery {
        resource: name.as_str().into(),
        metric: Metric::Cpu,
        statistic: Statistic::Average,
        period_seconds: 86_400,
        from,
        to,
    };
    let queries: Vec<MetricQuery> = names.iter().map(query).collect();
    let series = moto.reader(&[&account]).await.metrics(&here, &queries).await.expect("an answer");
    let seven = Fact::Known((0..7).map(|day| (from + TimeDelta::days(day), 0.0)).collect::<Vec<_>>());
    let zero = series.iter().filter(|own| **own == seven).count();
    assert_eq!(zero, 20, "{series:?}");
    assert!(series[20..].iter().all(|own| *own == Fact::Absent), "what has no datapoints is no zero");
    reached("metrics all zero", zero);
}
