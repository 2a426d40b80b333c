//! The ambient configuration: `AWS_ENDPOINT_URL`, keys from the environment, and the shared clock, in a process of
//! its own. The test starts itself again with that environment and plays the program there.

use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use costwarden::cloud::CloudRead;
use costwarden::cloud::aws::{AwsAccount, AwsOptions, AwsReader};
use costwarden::domain::place::{AccountId, Kind};

use super::{ids, read};
use crate::support::fixtures;
use crate::support::moto::{Moto, place};

const THIS: &str = "wire::ambient::the_program_in_the_environment_of_moto_reads_its_accounts_and_shares_its_clock";
const ROLE: &str = "TEST_CHILD_ROLE";

#[tokio::test]
async fn the_program_in_the_environment_of_moto_reads_its_accounts_and_shares_its_clock() {
    if let Ok(role) = std::env::var(ROLE) {
        return child(&role).await;
    }
    let start = DateTime::parse_from_rfc3339("2027-05-01T02:00:00Z").expect("a time").with_timezone(&Utc);
    let moto = Moto::start_at(start);
    let account = moto.account();
    let here = place(&account, "eu-central-1");
    let volume = fixtures::volume(&moto.ec2(&here).await, "eu-central-1a", 8, &[]).await;
    let test = std::env::current_exe().expect("this program's path");
    let mut command = Command::new(test);
    command.args([THIS, "--exact", "--nocapture"]).envs(moto.environment()).env(ROLE, moto.role(&account));
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(said.contains(&format!("as {account}, listed [\"{volume}\"]")), "{said}");
    let now = said.lines().find_map(|line| line.split_once("now ")?.1.parse::<DateTime<Utc>>().ok());
    let now = now.unwrap_or_else(|| panic!("it says what time it is: {said}"));
    assert!((now - start).abs() < TimeDelta::minutes(5), "{now}");
}

async fn child(role: &str) {
    let id = AccountId::new(role.split(':').nth(4).expect("an account in the role")).expect("twelve digits");
    let account = AwsAccount { id: id.clone(), role_arn: Some(role.into()), external_id: None, session_name: None };
    let reader = AwsReader::connect(&[account], AwsOptions::default()).await.expect("one account");
    let identity = reader.identity(&id).await.expect("an identity");
    let (listed, _, error) = read(&reader, &place(&id, "eu-central-1").partition(Kind::Volume)).await;
    assert_eq!(error, None);
    eprintln!("as {}, listed {:?}", identity.account, ids(&listed));
    eprintln!("now {}", Utc::now().to_rfc3339());
}
