//! `iam print` and `doctor` of the real program: a role that has what was printed is found right, one that has less or
//! more is told so by name, and nothing but questions is sent.

use serde_json::{Value, json};

use super::{BUILT, Estate};

/// The EC2 operations that a printed document allows by themselves. Tags on what is being made come along with it, and
/// what is allowed on our own backups alone is refused for anything else.
fn operations(document: &Value) -> Vec<String> {
    let statements = document["Statement"].as_array().expect("statements").iter();
    let allowed = statements
        .filter(|own| own["Effect"] == "Allow" && own["Condition"]["StringEquals"]["ec2:CreateAction"].is_null())
        .filter(|own| !own["Condition"].to_string().contains("costwarden:safety-snapshot"));
    let mut operations = Vec::new();
    for statement in allowed {
        let actions = match &statement["Action"] {
            Value::Array(many) => many.clone(),
            one => vec![one.clone()],
        };
        let names = actions.iter().filter_map(|action| action.as_str()?.strip_prefix("ec2:").map(str::to_owned));
        operations.extend(names);
    }
    operations
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h42_the_doctor_finds_a_printed_role_right_and_names_what_another_lacks_or_has_too_much() {
    let estate = Estate::at(BUILT).await;
    let account = estate.moto.account();
    estate.settings(&[&account], &["eu-central-1"], "mode = \"enforce\"\nallow_auto_delete_volumes = true");
    let printed = |which: &str| operations(&estate.json(&["iam", "print", which], 0));
    let right: Vec<String> = printed("reader").into_iter().chain(printed("actor")).collect();
    assert!(right.contains(&"StopInstances".to_owned()) && right.contains(&"DeleteVolume".to_owned()), "{right:?}");
    let give = |rights: &[String]| {
        estate.moto.rights(&account, &rights.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let rights = |code: i32| {
        let document = estate.json(&["doctor"], code);
        let [one] = document["rights"].as_array().expect("rights").as_slice() else { panic!("{document}") };
        assert_eq!(one["unknown"], json!([]), "{one}");
        (one["missing"].clone(), one["surplus"].clone(), document)
    };

    give(&right);
    let (missing, surplus, document) = rights(0);
    assert_eq!((missing, surplus), (json!([]), json!([])), "{document:#}");

    let more = ["DeleteSnapshot", "TerminateInstances"].map(str::to_owned);
    give(&right.iter().chain(&more).cloned().collect::<Vec<_>>());
    let (missing, surplus, document) = rights(0);
    assert_eq!((missing, surplus), (json!([]), json!(["ec2:DeleteSnapshot", "ec2:TerminateInstances"])));
    let told = document["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .find(|line| line["message"].to_string().contains("better taken away"));
    assert_eq!(told.expect("it is told")["status"], "warning");

    give(&right.iter().filter(|name| *name != "StopInstances").cloned().collect::<Vec<_>>());
    let (missing, surplus, _) = rights(1);
    assert_eq!((missing, surplus), (json!(["ec2:StopInstances"]), json!([])));

    assert_eq!(estate.changes(&account), [], "only questions were sent");
}
