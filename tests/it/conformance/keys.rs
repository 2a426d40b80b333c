//! Encryption keys: what a backup is encrypted under, and whether that can be used.

use costwarden::cloud::{ErrorKind, KeyState};
use costwarden::domain::place::Kind;

use super::acting::snapshot;
use super::{Failure, Stage, look};

pub async fn a_volume_and_its_snapshot_name_the_key_that_they_are_encrypted_under(stage: &dyn Stage) {
    let place = stage.place();
    let key = stage.make_key(&place).await;
    let volume = stage.make_encrypted_volume(&place, &key).await;
    let read = look(stage, &volume).await;
    let own = read.volume().unwrap();
    assert_eq!((own.encrypted, own.kms_key.as_deref()), (true, Some(&*key)));
    let answer = stage.act().execute(&place, &snapshot(&volume, &[])).await.unwrap();
    stage.settle().await;
    let made = look(stage, &place.partition(Kind::Snapshot).key(answer.snapshots[0].1.as_str())).await;
    assert_eq!(made.snapshot().unwrap().kms_key.as_deref(), Some(&*key));
    let plain = stage.make_volume(&place, "gp2", 8, &[]).await;
    let plain = look(stage, &plain).await;
    assert_eq!((plain.volume().unwrap().encrypted, plain.volume().unwrap().kms_key.as_deref()), (false, None));
}

pub async fn a_key_says_in_which_state_it_is(stage: &dyn Stage) {
    let place = stage.place();
    let (key, other) = (stage.make_key(&place).await, stage.make_key(&place).await);
    assert_ne!(key, other);
    let state = async |key: &str| stage.read().key_state(&place, key).await.unwrap();
    assert_eq!(state(&key).await, KeyState::Enabled);
    stage.set_key(&place, &key, "Disabled").await;
    assert_eq!(state(&key).await, KeyState::Other("Disabled".into()));
    stage.set_key(&place, &key, "Enabled").await;
    assert_eq!(state(&key).await, KeyState::Enabled);
    stage.set_key(&place, &key, "PendingDeletion").await;
    assert_eq!(state(&key).await, KeyState::Other("PendingDeletion".into()));
    assert_eq!(state(&other).await, KeyState::Enabled, "another one's affair");
    let asked = stage.read().requests().into_iter().find(|row| row.operation == "DescribeKey").unwrap();
    assert_eq!((asked.service.as_str(), asked.count), ("kms", 5));
    assert_eq!(asked.usd.map(|usd| usd.0), Some(15), "0.03 dollars for 10,000");
}

pub async fn a_question_about_a_key_that_fails_is_an_error_and_no_state(stage: &dyn Stage) {
    let place = stage.place();
    let key = stage.make_key(&place).await;
    stage.fail("DescribeKey", Failure::Deny).await;
    let error = stage.read().key_state(&place, &key).await.unwrap_err();
    assert_eq!(
        (error.kind, error.service.as_str(), error.operation.as_str()),
        (ErrorKind::Denied, "kms", "DescribeKey")
    );
}
