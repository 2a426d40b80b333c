//! KMS on the wire: the states of keys by the real client, and every way in which there is no answer.

use std::time::Duration;

use costwarden::cloud::aws::AwsOptions;
use costwarden::cloud::{CloudRead, ErrorKind, KeyState};
use serde_json::json;

use crate::support::fixtures;
use crate::support::moto::{Fault, Moto, place, quick};

const REGION: &str = "eu-central-1";

#[tokio::test]
async fn h14_kms_is_asked_about_the_key_that_ec2_names_and_only_enabled_is_enabled() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let kms = moto.kms(&here).await;
    let reader = moto.reader(&[&account]).await;
    let key = fixtures::key(&kms).await;
    let expected = [
        ("Enabled", KeyState::Enabled),
        ("Disabled", KeyState::Other("Disabled".into())),
        ("Enabled", KeyState::Enabled),
        ("PendingDeletion", KeyState::Other("PendingDeletion".into())),
    ];
    for (state, expected) in expected {
        fixtures::set_key(&kms, &key, state).await;
        assert_eq!(reader.key_state(&here, &key).await.expect("an answer"), expected);
    }
    let seen = moto.seen(&account, "DescribeKey");
    assert_eq!(seen.len(), 4, "each question is one request");
    for one in seen {
        assert_eq!((one.service.as_deref(), one.region.as_deref()), (Some("kms"), Some(REGION)));
        assert_eq!(one.parameters, json!({ "KeyId": key }), "the key alone");
    }
}

#[tokio::test]
async fn h14_the_key_that_aws_itself_encrypts_disks_with_answers_as_well() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let made = ec2.create_volume().availability_zone("eu-central-1a").size(8).encrypted(true).send().await;
    let key = made.expect("a volume").kms_key_id.expect("EC2 says under which key");
    let reader = moto.reader(&[&account]).await;
    assert_eq!(reader.key_state(&here, &key).await.expect("an answer"), KeyState::Enabled);
    assert_eq!(reader.key_state(&here, "alias/aws/ebs").await.expect("an answer"), KeyState::Enabled);
}

#[tokio::test]
async fn h14_a_key_that_is_not_there_or_elsewhere_is_never_enabled() {
    let moto = Moto::shared();
    let (account, other) = (moto.account(), moto.account());
    let here = place(&account, REGION);
    let reader = moto.reader(&[&account]).await;
    let nowhere = format!("arn:aws:kms:{REGION}:{account}:key/00000000-0000-0000-0000-000000000000");
    let error = reader.key_state(&here, &nowhere).await.expect_err("there is none");
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::NotFound, Some("NotFoundException")));
    let foreign = fixtures::key(&moto.kms(&place(&other, REGION)).await).await;
    let error = reader.key_state(&here, &foreign).await.expect_err("another account's");
    assert_ne!(error.kind, ErrorKind::Uncertain, "{error}");
}

#[tokio::test]
async fn h14_no_failure_is_a_state_of_a_key() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let key = fixtures::key(&moto.kms(&here).await).await;
    let impatient = AwsOptions { read_timeout: Duration::from_secs(1), ..quick() };
    let reader = moto.reader_with(&[&account], impatient).await;
    let ways: [(Fault, ErrorKind); 10] = [
        (Fault::error("DescribeKey", 400, "ThrottlingException"), ErrorKind::Throttled),
        (Fault::error("DescribeKey", 400, "AccessDeniedException"), ErrorKind::Denied),
        (Fault::error("DescribeKey", 400, "InvalidArnException"), ErrorKind::Rejected),
        (Fault::error("DescribeKey", 500, "KMSInternalException"), ErrorKind::Uncertain),
        (Fault::error("DescribeKey", 503, "DependencyTimeoutException"), ErrorKind::Uncertain),
        (Fault::html503("DescribeKey"), ErrorKind::Uncertain),
        (Fault::cut("DescribeKey"), ErrorKind::Uncertain),
        (Fault::cut_whole("DescribeKey"), ErrorKind::Uncertain),
        (Fault::reset("DescribeKey"), ErrorKind::Uncertain),
        (Fault::delay("DescribeKey", Duration::from_secs(3)), ErrorKind::Uncertain),
    ];
    for (fault, expected) in ways {
        let words = format!("{fault:?}");
        let before = moto.seen(&account, "DescribeKey").len();
        moto.fault(fault.times(3).of_account(&account));
        let error = reader.key_state(&here, &key).await.expect_err(&words);
        assert_eq!(error.kind, expected, "{words}: {error}");
        let seen = moto.seen(&account, "DescribeKey");
        assert!(seen.len() > before && seen[before..].iter().all(|one| one.fault.is_some()), "{words} was met");
        moto.forget_faults(&account);
    }
    assert_eq!(reader.key_state(&here, &key).await.expect("an answer"), KeyState::Enabled);
}
