//! Rights on the wire: each act under a session policy of its own, which the cloud keeps, and questions that change
//! nothing.

use std::collections::BTreeSet;

use costwarden::cloud::aws::AwsActor;
use costwarden::cloud::rights::probes::{NOWHERE, Probe, judge};
use costwarden::cloud::rights::{Change, When, session};
use costwarden::cloud::{Call, CloudAct, ErrorKind};
use costwarden::domain::place::{AccountId, Kind, Place, VolumeId};
use serde_json::{Value, json};

use crate::support::fixtures;
use crate::support::moto::{Moto, Seen, place, quick};

const REGION: &str = "eu-central-1";
const ZONE: &str = "eu-central-1a";

/// A fresh account with two volumes.
async fn two_volumes() -> (&'static Moto, AccountId, Place, [String; 2]) {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let first = fixtures::volume(&ec2, ZONE, 8, &[]).await;
    let second = fixtures::volume(&ec2, ZONE, 8, &[]).await;
    (moto, account, here, [first, second])
}

fn delete(volume: &str) -> Call {
    Call::DeleteVolume { volume: VolumeId::new(volume).expect("a volume's id") }
}

/// The policy and the seconds that a role was asked for with.
fn narrowed(seen: &Seen) -> (Value, &str) {
    let policy = seen.parameters["Policy"].as_str().expect("a session policy");
    (serde_json::from_str(policy).expect("JSON"), seen.parameters["DurationSeconds"].as_str().expect("a duration"))
}

#[tokio::test]
async fn h42_each_act_runs_under_a_session_of_fifteen_minutes_for_one_api_and_one_resource() {
    let (moto, account, here, [first, second]) = two_volumes().await;
    let actor = moto.actor(&[&account]).await;
    let of = |volume: &str| {
        let resource = format!("arn:aws:ec2:{REGION}:{account}:volume/{volume}");
        let statement = json!({ "Effect": "Allow", "Action": "ec2:DeleteVolume", "Resource": resource });
        json!({ "Version": "2012-10-17", "Statement": [statement] })
    };
    let before = moto.assumed(&account).len();
    actor.permitted(&here, &delete(&first)).await.expect("permitted");
    actor.execute(&here, &delete(&first)).await.expect("deleted");
    actor.execute(&here, &delete(&second)).await.expect("deleted");
    let assumed = moto.assumed(&account);
    let sessions: Vec<(Value, &str)> = assumed[before..].iter().map(narrowed).collect();
    assert_eq!(sessions, [(of(&first), "900"), (of(&second), "900")], "asking and acting share one, two acts never do");

    let resource = here.partition(Kind::Instance).key("i-0123456789abcdef0");
    let tag = Call::CreateTags { resource, tags: vec![("owner".into(), "ana".into())] };
    let before = moto.assumed(&account).len();
    let _ = actor.permitted(&here, &tag).await;
    let (policy, _) = narrowed(&moto.assumed(&account)[before]);
    assert_eq!(
        policy["Statement"],
        json!([{
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": format!("arn:aws:ec2:{REGION}:{account}:instance/i-0123456789abcdef0"),
            "Condition": { "ForAllValues:StringEquals": { "aws:TagKeys": ["owner"] } },
        }])
    );
}

#[tokio::test]
async fn h42_with_the_credentials_of_an_act_no_other_resource_and_no_other_api_is_reached() {
    let (moto, account, here, [meant, other]) = two_volumes().await;
    let policy = session::policy(&here, &delete(&meant)).expect("a policy");
    let narrow = moto.ec2_under(&here, &policy).await;
    let code = |error: aws_sdk_ec2::Error| {
        use aws_sdk_ec2::error::ProvideErrorMetadata;
        error.code().unwrap_or_default().to_owned()
    };
    for wrong in [other.as_str(), "vol-0123456789abcdef0"] {
        let error = narrow.delete_volume().volume_id(wrong).send().await.expect_err("another volume");
        assert_eq!(code(error.into()), "UnauthorizedOperation", "{wrong}");
    }
    let error = narrow.create_snapshot().volume_id(&meant).send().await.expect_err("another API");
    assert_eq!(code(error.into()), "UnauthorizedOperation");
    let error = narrow.describe_volumes().send().await.expect_err("not even a look");
    assert_eq!(code(error.into()), "UnauthorizedOperation");
    let elsewhere = moto.ec2_under(&place(&account, "eu-west-1"), &policy).await;
    let error = elsewhere.delete_volume().volume_id(&meant).send().await.expect_err("another Region");
    assert_eq!(code(error.into()), "UnauthorizedOperation");
    let ec2 = moto.ec2(&here).await;
    let left = ec2.describe_volumes().send().await.expect("a list");
    assert_eq!(left.volumes().len(), 2, "nothing was done");
    narrow.delete_volume().volume_id(&meant).send().await.expect("what the session is for");
}

#[tokio::test]
async fn who_acts_is_asked_under_a_policy_that_allows_nothing() {
    let moto = Moto::shared();
    let account = moto.account();
    let actor = moto.actor(&[&account]).await;
    assert_eq!(actor.acting_as(&account).await.expect("an identity").account, account);
    let assumed = moto.assumed(&account);
    let (policy, seconds) = narrowed(&assumed[0]);
    assert_eq!((assumed.len(), seconds), (1, "900"));
    assert_eq!(policy, serde_json::from_str::<Value>(&session::nothing()).expect("JSON"));
}

#[tokio::test]
async fn an_account_without_a_role_acts_with_the_ambient_credentials_and_an_odd_id_is_not_sent_at_all() {
    let (moto, account, here, [first, _]) = two_volumes().await;
    let entry = costwarden::cloud::aws::AwsAccount { role_arn: None, ..moto.aws_account(&account) };
    let actor = AwsActor::with_config(moto.ambient().await, &[entry], quick()).expect("one account");
    let error = actor.execute(&here, &delete(&first)).await.expect_err("the ambient credentials are another account's");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    assert_eq!(moto.assumed(&account).iter().filter(|seen| seen.parameters["Policy"].is_string()).count(), 0);

    let actor = moto.actor(&[&account]).await;
    let resource = here.partition(Kind::Volume).key("vol-*");
    let before = moto.log(&account).len();
    let tags = vec![("a".to_owned(), "b".to_owned())];
    let error = actor.execute(&here, &Call::CreateTags { resource, tags }).await.expect_err("a pattern");
    assert_eq!(error.kind, ErrorKind::Rejected);
    assert!(error.to_string().contains("nothing was sent"), "{error}");
    assert_eq!(moto.log(&account).len(), before);
}

#[tokio::test]
async fn h42_the_prober_finds_twenty_planted_surplus_rights_and_what_is_missing_and_changes_nothing() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let all: Vec<&'static str> = Probe::all(&here, "owner").iter().map(Probe::action).collect();
    let needed = BTreeSet::from(["ec2:StopInstances", "ec2:StartInstances", "ec2:CreateSnapshots", "ec2:CreateTags"]);
    let planted: Vec<&str> = all.iter().copied().filter(|action| !needed.contains(action)).rev().take(20).collect();
    assert_eq!(planted.len(), 20);
    // The role has what it needs but for one, and twenty too many.
    let missing = "ec2:StartInstances";
    let has = needed.iter().filter(|action| **action != missing).chain(&planted);
    let operations: Vec<&str> = has.map(|action| action.trim_start_matches("ec2:")).collect();
    moto.rights(&account, &operations);

    let prober = moto.prober(&[&account]).await;
    let before = moto.log(&account).len();
    let answers = prober.rights(&here, "owner").await.expect("answers");
    let judged = judge(&needed, &BTreeSet::new(), &answers);
    assert_eq!(judged.surplus.iter().map(String::as_str).collect::<BTreeSet<_>>(), planted.into_iter().collect());
    assert_eq!((judged.missing.as_slice(), judged.unknown.as_slice()), (&[missing.to_owned()][..], &[][..]));
    assert_eq!(judged.there.len(), 3);

    let log = moto.log(&account);
    let mut asked = 0;
    for seen in &log[before..] {
        match seen.service.as_deref() {
            Some("sts") => assert_eq!(seen.operation.as_deref(), Some("GetCallerIdentity")),
            _ => {
                assert!(seen.dry_run, "{:?} was sent without DryRun", seen.operation);
                let real = seen.targets.iter().find(|target| !target.ends_with(NOWHERE));
                assert_eq!(real, None, "{:?} names something that may exist", seen.operation);
                asked += 1;
            }
        }
    }
    assert_eq!(asked, all.len());
}

#[tokio::test]
async fn a_role_of_another_account_is_not_asked() {
    let moto = Moto::shared();
    let (account, other) = (moto.account(), moto.account());
    let mut entry = moto.aws_account(&account);
    entry.role_arn = Some(moto.role(&other));
    let config = moto.ambient().await;
    let prober = costwarden::cloud::aws::AwsProber::with_config(config, &[entry], quick()).expect("one account");
    let error = prober.rights(&place(&account, REGION), "owner").await.expect_err("another account's role");
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(moto.log(&other).iter().all(|seen| seen.service.as_deref() == Some("sts")), "no EC2 request was made");
}

#[tokio::test]
async fn every_change_that_the_actor_can_make_is_let_through_by_its_own_session() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, "us-west-2");
    let actor = moto.actor(&[&account]).await;
    for change in Change::ALL {
        let call = costwarden::cloud::rights::probes::made_up(change, &here, "owner");
        let before = moto.seen(&account, call.operation()).len();
        let answer = actor.permitted(&here, &call).await;
        let denied = answer.as_ref().is_err_and(|error| error.kind == ErrorKind::Denied);
        // What does not exist carries no mark of ours.
        let when = change.rights()[0].when;
        let ours = when.contains(&When::OurMark) || when.contains(&When::OfDrill);
        assert_eq!(denied, ours, "{call}: {answer:?}");
        let seen = moto.seen(&account, call.operation()).split_off(before);
        assert_eq!(seen.len(), 1, "{call}: the table and the adapter name the same operation");
        assert!(seen[0].dry_run);
    }
}
