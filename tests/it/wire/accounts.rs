//! Several accounts by role, several Regions, side by side.

use costwarden::cloud::{CloudAct, CloudRead, ErrorKind};
use costwarden::domain::place::{AccountId, Kind};

use super::{ids, read};
use crate::support::fixtures;
use crate::support::moto::{AMBIENT_ACCOUNT, Fault, Moto, place};

#[tokio::test]
async fn two_accounts_and_two_regions_are_read_side_by_side_and_never_mixed() {
    let moto = Moto::shared();
    let (first, second) = (moto.account(), moto.account());
    let mut planted = Vec::new();
    for account in [&first, &second] {
        for region in ["eu-central-1", "us-west-2"] {
            let here = place(account, region);
            let volume = fixtures::volume(&moto.ec2(&here).await, &format!("{region}a"), 12, &[]).await;
            planted.push((here, volume));
        }
    }
    let reader = moto.reader(&[&first, &second]).await;
    for account in [&first, &second] {
        let identity = reader.identity(account).await.expect("an identity");
        assert_eq!(identity.account, *account);
        assert!(identity.arn.contains("assumed-role/costwarden"), "{}", identity.arn);
    }
    let actor = moto.actor(&[&second]).await;
    assert_eq!(actor.acting_as(&second).await.expect("an identity").account, second);
    assert_eq!(actor.acting_as(&first).await.expect_err("not its account").kind, ErrorKind::Denied);
    let partitions: Vec<_> = planted.iter().map(|(here, _)| here.partition(Kind::Volume)).collect();
    let all = futures::future::join_all(partitions.iter().map(|partition| read(&reader, partition))).await;
    for ((here, volume), (listed, _, error)) in planted.iter().zip(all) {
        assert_eq!(error, None, "{here}");
        assert_eq!(ids(&listed), [volume.as_str()], "{here} shows its own volume and no other");
        assert_eq!(listed[0].key.partition.place, *here);
    }
    for account in [&first, &second] {
        let seen = moto.seen(account, "DescribeVolumes");
        let mut regions: Vec<_> = seen.iter().filter_map(|seen| seen.region.as_deref()).collect();
        regions.sort_unstable();
        assert_eq!(regions, ["eu-central-1", "us-west-2"], "{account}");
        assert!(seen.iter().all(|seen| seen.service.as_deref() == Some("ec2")));
        assert!(seen.iter().all(|seen| seen.agent.contains("app/costwarden-")), "{:?}", seen[0].agent);
    }
}

#[tokio::test]
async fn without_a_role_the_ambient_credentials_answer_and_say_who_they_are() {
    let moto = Moto::shared();
    let ambient = AccountId::new(AMBIENT_ACCOUNT).expect("twelve digits");
    let reader = moto.reader(&[&ambient]).await;
    assert_eq!(reader.identity(&ambient).await.expect("an identity").account, ambient);
}

#[tokio::test]
async fn an_account_outside_the_list_is_refused_before_anything_is_sent() {
    let moto = Moto::shared();
    let (listed, foreign) = (moto.account(), moto.account());
    let reader = moto.reader(&[&listed]).await;
    let error = reader.list(&place(&foreign, "eu-central-1").partition(Kind::Volume), None).await;
    assert_eq!(error.expect_err("not in the list").kind, ErrorKind::Denied);
    assert_eq!(reader.identity(&foreign).await.expect_err("not in the list").kind, ErrorKind::Denied);
    assert_eq!(moto.log(&foreign).len(), 0);
}

#[tokio::test]
async fn an_account_listed_twice_is_refused() {
    let moto = Moto::shared();
    let account = moto.account();
    let twice = [moto.aws_account(&account), moto.aws_account(&account)];
    let made = costwarden::cloud::aws::AwsReader::with_config(moto.ambient().await, &twice, Default::default());
    assert!(made.err().expect("an error").to_string().contains("listed twice"));
}

#[tokio::test]
async fn a_region_that_refuses_leaves_the_others_readable() {
    let moto = Moto::shared();
    let account = moto.account();
    let (open, closed) = (place(&account, "eu-central-1"), place(&account, "af-south-1"));
    let volume = fixtures::volume(&moto.ec2(&open).await, "eu-central-1a", 12, &[]).await;
    moto.fault(Fault::deny("DescribeVolumes").of_account(&account).in_region(&closed.region));
    let reader = moto.reader(&[&account]).await;
    let (listed, _, error) = read(&reader, &open.partition(Kind::Volume)).await;
    assert_eq!((ids(&listed), error), (vec![volume.as_str()], None));
    let (_, pages, error) = read(&reader, &closed.partition(Kind::Volume)).await;
    assert_eq!((pages, error.map(|error| error.kind)), (0, Some(ErrorKind::Denied)));
}
