//! Failures: each says what it is, and none is taken for an empty answer.

use costwarden::cloud::{ErrorKind, read_partition};
use costwarden::domain::place::Kind;

use super::acting::{delete, stop};
use super::{Failure, Stage, look};

pub async fn a_throttled_reader_says_throttled(stage: &dyn Stage) {
    let place = stage.place();
    stage.make_volume(&place, "gp2", 10, &[]).await;
    stage.fail("DescribeVolumes", Failure::Throttle).await;
    let error = stage.read().list(&place.partition(Kind::Volume), None).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Throttled, Some("RequestLimitExceeded")), "{error}");
    stage.read().list(&place.partition(Kind::Address), None).await.expect("other operations go on");
}

pub async fn a_throttled_change_says_throttled_and_did_nothing(stage: &dyn Stage) {
    let place = stage.place();
    let volume = stage.make_volume(&place, "gp2", 10, &[]).await;
    stage.fail("DeleteVolume", Failure::Throttle).await;
    let error = stage.act().execute(&place, &delete(&volume)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Throttled, "{error}");
    assert!(error.definite(), "it certainly did not happen");
    stage.settle().await;
    assert_eq!(look(stage, &volume).await.state(), "available");
}

pub async fn a_denied_reader_says_denied(stage: &dyn Stage) {
    let place = stage.place();
    stage.make_instance(&place, "t3.micro", &[]).await;
    stage.fail("DescribeInstances", Failure::Deny).await;
    let error = stage.read().list(&place.partition(Kind::Instance), None).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_deref()), (ErrorKind::Denied, Some("UnauthorizedOperation")), "{error}");
}

pub async fn a_denied_change_says_denied_before_and_at_the_call(stage: &dyn Stage) {
    let place = stage.place();
    let instance = stage.make_instance(&place, "t3.micro", &[]).await;
    stage.fail("StopInstances", Failure::Deny).await;
    let asked = stage.act().permitted(&place, &stop(&instance)).await.unwrap_err();
    let made = stage.act().execute(&place, &stop(&instance)).await.unwrap_err();
    for error in [asked, made] {
        assert_eq!((error.kind, error.definite()), (ErrorKind::Denied, true), "{error}");
    }
    stage.settle().await;
    assert_eq!(look(stage, &instance).await.state(), "running");
}

pub async fn a_page_that_breaks_off_leaves_the_pages_before_it(stage: &dyn Stage) {
    let place = stage.place();
    for _ in 0..7 {
        stage.make_instance(&place, "t3.micro", &[]).await;
    }
    assert!(stage.pages(Kind::Instance, 7) >= 3, "the cut must not be on the last page");
    stage.fail("DescribeInstances", Failure::CutPage(2)).await;
    let mut seen = 0;
    let (pages, error) =
        read_partition(stage.read(), &place.partition(Kind::Instance), |page| seen += page.len()).await;
    assert_eq!(pages, 1);
    assert!(seen > 0 && seen < 7, "{seen}");
    let error = error.expect("a cut listing is an error, never an end");
    assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
}
