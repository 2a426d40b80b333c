//! A night's scan on the simulator, as the worker runs it: what fails is isolated and leads to no conclusion.

use chrono::TimeDelta;
use costwarden::app::WorldApp;
use costwarden::cloud::sim::{Effect, Fault, Span, World};
use costwarden::domain::finding::{Finding, State};
use costwarden::domain::inventory::Status;
use costwarden::domain::mode::Mode;
use costwarden::domain::place::Kind;
use costwarden::store::{FindingFilter, Store};
use costwarden::worker::context::Context;
use costwarden::worker::jobs::scan::{Choice, ScanOutcome, scan};
use costwarden::worker::supervise::Work;

fn demo() -> (WorldApp, Context) {
    let app = WorldApp::open(World::demo().unwrap(), Mode::Observe).unwrap();
    let context = app.context(Store::in_memory().unwrap()).unwrap();
    (app, context)
}

async fn night(cx: &Context) -> ScanOutcome {
    scan(cx, &Choice::default(), &Work::default()).await.unwrap()
}

fn stored(cx: &Context) -> Vec<Finding> {
    cx.store.findings(&FindingFilter::default()).unwrap()
}

/// Kinds that were not read to their end, once each.
fn failing(outcome: &ScanOutcome) -> Vec<(Kind, Status)> {
    let mut rows: Vec<(Kind, Status)> = outcome
        .scan
        .coverage
        .iter()
        .filter(|row| row.status != Status::Complete)
        .map(|row| (row.partition.kind, row.status))
        .collect();
    rows.dedup();
    rows
}

#[tokio::test]
async fn x3_one_listing_that_fails_fails_alone_and_every_finding_of_it_stays_as_it_was() {
    let listings = [
        ("DescribeInstances", Kind::Instance),
        ("DescribeVolumes", Kind::Volume),
        ("DescribeSnapshots", Kind::Snapshot),
        ("DescribeAddresses", Kind::Address),
    ];
    for (operation, kind) in listings {
        for error in [Effect::Deny, Effect::Throttle, Effect::Timeout, Effect::Unavailable, Effect::CutPage(1)] {
            let (app, cx) = demo();
            night(&cx).await;
            let before: Vec<Finding> = stored(&cx).into_iter().filter(|finding| finding.key.kind() == kind).collect();
            app.clock.advance_to(app.clock.now() + TimeDelta::days(1));
            app.cloud.add_fault(Fault::on(operation, error.clone()));
            let outcome = night(&cx).await;
            assert_eq!(failing(&outcome), [(kind, Status::Failed)], "{operation} {error:?}");
            let after: Vec<Finding> = stored(&cx).into_iter().filter(|finding| finding.key.kind() == kind).collect();
            assert_eq!(after, before, "{operation} {error:?}: no new conclusion");
        }
    }
}

#[tokio::test]
async fn a_listing_that_shrank_beyond_the_floor_is_suspect_and_closes_nothing() {
    let (app, cx) = demo();
    night(&cx).await;
    let before = stored(&cx);
    app.clock.advance_to(app.clock.now() + TimeDelta::days(1));
    app.cloud.add_fault(Fault::on("DescribeVolumes", Effect::Shorter(100)));
    let outcome = night(&cx).await;
    let suspects: Vec<_> = outcome.scan.coverage.iter().filter(|row| row.suspect.is_some()).collect();
    assert!(!suspects.is_empty());
    assert!(suspects.iter().all(|row| row.partition.kind == Kind::Volume && row.status == Status::Complete));
    for row in &suspects {
        for finding in before.iter().filter(|finding| finding.key.partition == row.partition) {
            let now = cx.store.finding(&finding.id).unwrap().unwrap();
            assert_eq!(&now, finding, "not even noted as missing");
        }
    }
    assert!(!outcome.scan.complete());
}

#[tokio::test]
async fn h03_a_page_that_comes_twice_counts_once_and_the_next_night_is_believed() {
    let (app, cx) = demo();
    let span = Span { from: None, until: Some(app.clock.now() + TimeDelta::minutes(5)) };
    app.cloud.add_fault(Fault { span, ..Fault::on("DescribeVolumes", Effect::RepeatPage(1)) });
    let counted = |outcome: &ScanOutcome| {
        let volumes = outcome.scan.coverage.iter().filter(|row| row.partition.kind == Kind::Volume);
        volumes.map(|row| (row.partition.to_string(), row.resources, row.suspect.clone())).collect::<Vec<_>>()
    };
    let first = night(&cx).await;
    let (pages, one): (u32, _) = (first.scan.coverage.iter().map(|row| row.pages).sum(), counted(&first));
    let findings: Vec<_> = stored(&cx).into_iter().map(|finding| finding.id).collect();
    app.clock.advance_to(app.clock.now() + TimeDelta::minutes(10));
    let second = night(&cx).await;
    assert!(second.scan.coverage.iter().map(|row| row.pages).sum::<u32>() < pages, "the fault was met");
    assert_eq!(counted(&second), one, "the same totals, and none of them is doubted");
    assert_eq!(stored(&cx).into_iter().map(|finding| finding.id).collect::<Vec<_>>(), findings);
}

#[tokio::test]
async fn h04_an_account_whose_credentials_belong_to_another_is_not_read() {
    let (app, cx) = demo();
    let other = app.settings.accounts[1].id.clone();
    let first = app.settings.accounts[0].id.clone();
    app.cloud.add_fault(Fault {
        account: Some(first.clone()),
        ..Fault::on("GetCallerIdentity", Effect::WrongIdentity(other))
    });
    let outcome = night(&cx).await;
    for row in &outcome.scan.coverage {
        let foreign = row.partition.place.account == first;
        assert_eq!(row.status == Status::Failed, foreign, "{}", row.partition);
    }
    assert!(stored(&cx).iter().all(|finding| *finding.key.account() != first));
    let listed =
        app.cloud.calls().into_iter().filter(|call| call.account == first && call.operation != "GetCallerIdentity");
    assert_eq!(listed.count(), 0, "nothing but the question who it is");
}

#[tokio::test]
async fn h19_a_scan_leaves_the_account_as_it_found_it() {
    let (app, cx) = demo();
    night(&cx).await;
    let mutating: Vec<_> = app.cloud.calls().into_iter().filter(|call| call.mutating()).collect();
    assert_eq!(mutating.len(), 0, "{mutating:?}");
    assert!(stored(&cx).iter().any(|finding| finding.state == State::Open));
}
