//! Reads that fail: each list call, each way, gives an error and no conclusion.

use std::time::Duration;

use costwarden::cloud::aws::AwsOptions;
use costwarden::cloud::{CloudRead, ErrorKind};
use costwarden::domain::place::Kind;

use super::{ids, read, sorted};
use crate::support::fixtures;
use crate::support::moto::{Fault, Moto, place, quick};

const REGION: &str = "eu-west-1";

/// The list call of a kind.
fn operation(kind: Kind) -> &'static str {
    match kind {
        Kind::Instance => "DescribeInstances",
        Kind::Volume => "DescribeVolumes",
        Kind::Snapshot => "DescribeSnapshots",
        Kind::Address => "DescribeAddresses",
        Kind::Image => "DescribeImages",
    }
}

#[tokio::test]
async fn every_list_call_reports_every_failure() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let impatient = AwsOptions { read_timeout: Duration::from_secs(1), ..quick() };
    let reader = moto.reader_with(&[&account], impatient).await;
    type Plant = fn(&str) -> Fault;
    let ways: [(&str, Plant, ErrorKind); 8] = [
        ("throttled", Fault::throttle, ErrorKind::Throttled),
        ("denied", Fault::deny, ErrorKind::Denied),
        ("internal error", |operation| Fault::error(operation, 500, "InternalError"), ErrorKind::Uncertain),
        ("a proxy's page", Fault::html503, ErrorKind::Uncertain),
        ("cut connection", Fault::cut, ErrorKind::Uncertain),
        ("cut page that claims to be whole", Fault::cut_whole, ErrorKind::Uncertain),
        ("reset", Fault::reset, ErrorKind::Uncertain),
        ("timeout", |operation| Fault::delay(operation, Duration::from_secs(3)), ErrorKind::Uncertain),
    ];
    for kind in Kind::ALL {
        for (name, plant, expected) in ways {
            let before = moto.seen(&account, operation(kind)).len();
            moto.fault(plant(operation(kind)).times(3).of_account(&account));
            let (listed, pages, error) = read(&reader, &here.partition(kind)).await;
            let error = error.unwrap_or_else(|| panic!("{kind}, {name}: an error, not {listed:?}"));
            assert_eq!(error.kind, expected, "{kind}, {name}: {error}");
            assert_eq!((pages, listed.len()), (0, 0), "{kind}, {name}");
            assert_eq!(error.operation, operation(kind));
            assert!(!error.message.contains("c2VjcmV0"), "the encoded blob is not shown: {error}");
            let seen = moto.seen(&account, operation(kind));
            assert!(seen[before..].iter().all(|seen| seen.fault.is_some()), "{kind}, {name}: the fault was met");
            let attempts = seen.len() - before;
            let bounded = if expected == ErrorKind::Denied { 1 } else { 3 };
            assert!((1..=bounded).contains(&attempts), "{kind}, {name}: {attempts} attempts");
            moto.forget_faults(&account);
        }
        let (_, pages, error) = read(&reader, &here.partition(kind)).await;
        assert_eq!((pages, error), (1, None), "{kind}: without a fault it answers again");
    }
}

#[tokio::test]
async fn a_throttled_list_is_tried_again_and_counted() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let reader = moto.reader(&[&account]).await;
    moto.fault(Fault::throttle("DescribeVolumes").times(2).of_account(&account));
    let (_, pages, error) = read(&reader, &here.partition(Kind::Volume)).await;
    assert_eq!((pages, error), (1, None));
    let statuses: Vec<_> = moto.seen(&account, "DescribeVolumes").iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [Some(503), Some(503), Some(200)]);
    let counted: Vec<_> =
        reader.requests().into_iter().map(|row| (row.service, row.operation, row.count, row.retries)).collect();
    assert_eq!(counted, [("ec2".into(), "DescribeVolumes".into(), 1, 2)]);
}

#[tokio::test]
async fn a_cut_second_page_leaves_the_first_and_an_error() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let mut volumes = Vec::new();
    for _ in 0..5 {
        volumes.push(fixtures::volume(&ec2, "eu-west-1a", 9, &[]).await);
    }
    moto.page_size(&account, 2);
    let reader = moto.reader(&[&account]).await;
    let partition = here.partition(Kind::Volume);
    for cut in [Fault::cut("DescribeVolumes"), Fault::cut_whole("DescribeVolumes")] {
        moto.fault(cut.after(1).times(10).of_account(&account));
        let (listed, pages, error) = read(&reader, &partition).await;
        assert_eq!(ids(&listed), sorted(&volumes[..2]), "the first page is kept");
        assert_eq!(pages, 1);
        assert_eq!(error.map(|error| error.kind), Some(ErrorKind::Uncertain));
        moto.forget_faults(&account);
    }
}

#[tokio::test]
async fn an_invalid_page_token_is_an_error_and_not_an_end() {
    let moto = Moto::shared();
    let account = moto.account();
    let reader = moto.reader(&[&account]).await;
    let partition = place(&account, REGION).partition(Kind::Volume);
    let error = reader.list(&partition, Some("made-up")).await.expect_err("no such page");
    assert_eq!(error.kind, ErrorKind::Rejected, "{error}");
}

#[tokio::test]
async fn protection_flags_that_cannot_be_read_are_unknown_and_the_rest_is_told() {
    let moto = Moto::shared();
    let account = moto.account();
    let here = place(&account, REGION);
    let ec2 = moto.ec2(&here).await;
    let subnet = fixtures::private_subnet(&ec2, "eu-west-1a", 1).await;
    let id = fixtures::instance(&ec2, &subnet, "t3.micro", &[]).await;
    let reader = moto.reader(&[&account]).await;
    moto.fault(Fault::deny("DescribeInstanceAttribute").times(2).of_account(&account));
    let fresh = reader.describe(&here.partition(Kind::Instance).key(&id)).await.expect("it is there");
    let instance = fresh.instance().expect("an instance");
    assert!(instance.termination_protected.is_unknown() && instance.stop_protected.is_unknown());
    assert_eq!(instance.state.as_str(), "running");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_a_denial_of_every_read() {
    let moto = Moto::start();
    let account = moto.account();
    moto.fault(Fault::error("AssumeRole", 403, "AccessDenied").times(50));
    let reader = moto.reader(&[&account]).await;
    let error = reader.identity(&account).await.expect_err("no credentials");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    let (_, pages, error) = read(&reader, &place(&account, REGION).partition(Kind::Volume)).await;
    assert_eq!((pages, error.map(|error| error.kind)), (0, Some(ErrorKind::Denied)));
}
