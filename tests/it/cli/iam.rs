//! `iam print` on the command line: documents that AWS takes, as narrow as the settings.

use serde_json::{Value, json};

use super::Desk;

const ACCOUNTS: &str = r#"
[[accounts]]
id = "111111111111"
role_arn = "arn:aws:iam::111111111111:role/reader"
actor_role_arn = "arn:aws:iam::111111111111:role/actor"
external_id = "blue"
regions = ["eu-central-1", "eu-west-1"]
"#;

fn desk(more: &str) -> Desk {
    let desk = Desk::set_up();
    let text = desk.read("costwarden.toml");
    desk.write("costwarden.toml", format!("{text}\n{ACCOUNTS}{more}"));
    desk
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(many) => many.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    }
}

/// All actions that a document allows.
fn allowed(document: &Value) -> Vec<String> {
    let statements = document["Statement"].as_array().unwrap();
    let mut actions: Vec<String> =
        statements.iter().filter(|own| own["Effect"] == "Allow").flat_map(|own| texts(&own["Action"])).collect();
    actions.sort();
    actions.dedup();
    actions
}

#[test]
fn the_shipped_policies_come_to_a_reader_that_reads_and_an_actor_that_stops_and_tags() {
    let desk = desk("");
    let reader = desk.call(&["iam", "print", "reader"]).json();
    assert_eq!(
        allowed(&reader),
        [
            "cloudwatch:GetMetricData",
            "ec2:DescribeAddresses",
            "ec2:DescribeImageAttribute",
            "ec2:DescribeImageReferences",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceAttribute",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeLockedSnapshots",
            "ec2:DescribeSnapshots",
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:ListSnapshotsInRecycleBin",
            "kms:DescribeKey",
        ]
    );
    let actor = desk.call(&["iam", "print", "actor"]).json();
    assert!(allowed(&actor).contains(&"ec2:StopInstances".to_owned()), "{actor}");
    assert!(!allowed(&actor).contains(&"ec2:DeleteVolume".to_owned()), "deleting volumes is off by default: {actor}");
    let trust = desk.call(&["iam", "print", "trust", "--principal", "arn:aws:iam::999999999999:role/worker"]).json();
    assert_eq!(
        trust["Statement"],
        json!([{
            "Effect": "Allow",
            "Principal": { "AWS": "arn:aws:iam::999999999999:role/worker" },
            "Action": "sts:AssumeRole",
            "Condition": { "StringEquals": { "sts:ExternalId": "blue" } },
        }])
    );
}

#[test]
fn what_the_settings_switch_on_is_granted_and_nothing_more() {
    let desk = desk("");
    let before = allowed(&desk.call(&["iam", "print", "actor"]).json());
    let text = desk.read("costwarden.toml");
    let line = text.lines().find(|line| line.contains("allow_auto_delete_volumes")).unwrap();
    desk.write("costwarden.toml", text.replace(line, "allow_auto_delete_volumes = true"));
    let after = allowed(&desk.call(&["iam", "print", "actor"]).json());
    let more: Vec<&String> = after.iter().filter(|action| !before.contains(action)).collect();
    assert_eq!(
        more,
        [
            "ec2:CreateSnapshot",
            "ec2:CreateVolume",
            "ec2:DeleteVolume",
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ]
    );
}

#[test]
fn everything_comes_in_one_object_and_hints_stay_beside_the_data() {
    let desk = desk("");
    let all = desk.call(&["iam", "print"]);
    let json = all.json();
    let account = &json["accounts"][0];
    assert_eq!((&json["schema_version"], &account["account"]), (&json!(1), &json!("111111111111")));
    assert!(account["acts"].as_array().unwrap().contains(&json!("stop_instance compute/instance")), "{account}");
    assert!(all.err.contains("--principal"), "{}", all.err);
    assert!(account["trust"].to_string().contains("REPLACE-WITH"), "AWS refuses it until somebody names the role");
}

#[test]
fn several_accounts_ask_which_one_and_none_is_said() {
    let more = ACCOUNTS.replace("111111111111", "222222222222");
    let desk = desk(&more);
    let several = desk.call(&["iam", "print", "reader"]);
    assert!(several.one_error(2).contains("--account"), "{several:?}");
    let one = desk.call(&["iam", "print", "actor", "--account", "222222222222"]).json();
    assert!(one.to_string().contains(":222222222222:instance/*") && !one.to_string().contains("111111111111"), "{one}");
    let unknown = desk.call(&["iam", "print", "--account", "333333333333"]);
    assert!(unknown.one_error(2).contains("listed: 111111111111, 222222222222"), "{unknown:?}");
    let none = Desk::set_up().call(&["iam", "print"]);
    assert!(none.one_error(2).contains("[[accounts]]"), "{none:?}");
}
