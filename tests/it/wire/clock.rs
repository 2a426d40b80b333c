//! One clock for the cloud and for the program: libfaketime over moto and over a child process.

use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use costwarden::cloud::CloudRead;
use costwarden::domain::Instant;
use costwarden::domain::place::Kind;

use super::read;
use crate::support::fixtures;
use crate::support::moto::{Moto, place};

fn instant(text: &str) -> Instant {
    DateTime::parse_from_rfc3339(text).expect("a time").with_timezone(&Utc)
}

/// What a child process with moto's environment takes for now.
fn child_time(moto: &Moto) -> Instant {
    let output = Command::new("date").args(["-u", "+%s"]).envs(moto.environment()).output().expect("date runs");
    let seconds: i64 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds");
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

fn near(left: Instant, right: Instant) -> bool {
    (left - right).abs() < TimeDelta::minutes(2)
}

#[tokio::test]
async fn moto_and_a_child_process_age_together() {
    let start = instant("2027-03-01T02:00:00Z");
    let moto = Moto::start_at(start);
    let account = moto.account();
    let here = place(&account, "eu-central-1");
    let ec2 = moto.ec2(&here).await;
    let reader = moto.reader(&[&account]).await;
    let born = |resources: Vec<costwarden::domain::resource::Resource>, id: &str| {
        let found = resources.into_iter().find(|resource| &*resource.key.id == id).expect("it is listed");
        *found.created_at.known().expect("volumes are dated")
    };

    let first = fixtures::volume(&ec2, "eu-central-1a", 8, &[]).await;
    assert!(near(child_time(&moto), start));
    let (listed, _, _) = read(&reader, &here.partition(Kind::Volume)).await;
    assert!(near(born(listed, &first), start), "what is made now is dated in March 2027");

    let later = instant("2027-04-15T09:30:00Z");
    moto.set_time(later);
    assert!(near(child_time(&moto), later));
    let second = fixtures::volume(&ec2, "eu-central-1a", 8, &[]).await;
    let (listed, _, _) = read(&reader, &here.partition(Kind::Volume)).await;
    assert!(near(born(listed.clone(), &second), later));
    assert!(near(born(listed, &first), start), "what was made before keeps its date");
    assert!(reader.identity(&account).await.is_ok());
}

#[tokio::test]
async fn h08_the_reader_hears_the_clouds_time_in_every_answer() {
    let moto = Moto::shared();
    let account = moto.account();
    let reader = moto.reader(&[&account]).await;
    let heard = |reader: &dyn CloudRead| reader.clock().map(|clock| (clock.ahead.num_minutes(), clock.readings));
    assert_eq!(heard(&reader), None, "nothing was asked yet");
    reader.identity(&account).await.expect("it answers");
    assert_eq!(heard(&reader), Some((0, 1)));
    moto.tell_time(&account, Some(-3_600));
    reader.identity(&account).await.expect("it answers");
    assert_eq!(heard(&reader), Some((-60, 2)));
    moto.tell_time(&account, None);
    reader.identity(&account).await.expect("it answers");
    assert_eq!(heard(&reader), Some((-60, 2)), "an answer without a date is no witness");
}
