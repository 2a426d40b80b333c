//! Whether an encryption key can be used: KMS DescribeKey, which the reading role needs on the keys themselves.
//!
//! EC2 tells under which key a volume or snapshot is encrypted and never whether that key still works. Called by the
//! reader alone. An answer about another key than the one asked for, or without a state, is an error and never a yes.

use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyMetadata;

use super::errors;
use crate::cloud::{CloudError, KeyState};

const OPERATION: &str = "DescribeKey";

/// Asks once. `key` is an ARN, as EC2 names keys; a key of another account answers if its policy lets us ask.
pub(super) async fn state(client: &Client, key: &str) -> Result<KeyState, CloudError> {
    let request = client.describe_key().key_id(key);
    let output = request.send().await.map_err(|error| errors::from_sdk("kms", OPERATION, &error))?;
    let metadata = output.key_metadata().ok_or_else(|| unreadable("no key in the answer"))?;
    judge(metadata, key)
}

/// What the answer says of the key that was asked for.
fn judge(metadata: &KeyMetadata, key: &str) -> Result<KeyState, CloudError> {
    // An alias answers with the key behind it.
    let alias = key.starts_with("alias/") || key.contains(":alias/");
    if !alias && metadata.arn() != Some(key) && metadata.key_id() != key {
        let answered = metadata.arn().unwrap_or(metadata.key_id());
        return Err(unreadable(&format!("asked for key {key}, it is about {answered}")));
    }
    let Some(state) = metadata.key_state() else { return Err(unreadable("no state of the key in the answer")) };
    match KeyState::of(state.as_str()) {
        KeyState::Enabled if !metadata.enabled() => Err(unreadable("the key is Enabled, and not enabled")),
        state => Ok(state),
    }
}

fn unreadable(what: &str) -> CloudError {
    errors::unreadable("kms", OPERATION, what)
}

#[cfg(test)]
mod tests {
    use aws_sdk_kms::types::KeyState as Word;

    use super::*;
    use crate::cloud::ErrorKind;

    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/k-1";

    fn answer(arn: &str, state: Option<Word>, enabled: bool) -> KeyMetadata {
        let built = KeyMetadata::builder().key_id("k-1").arn(arn).set_key_state(state).enabled(enabled).build();
        built.unwrap()
    }

    #[test]
    fn h14_only_the_key_that_was_asked_for_in_the_one_state_is_enabled() {
        assert_eq!(judge(&answer(KEY, Some(Word::Enabled), true), KEY), Ok(KeyState::Enabled));
        assert_eq!(judge(&answer(KEY, Some(Word::Enabled), true), "k-1"), Ok(KeyState::Enabled));
        let alias = "arn:aws:kms:eu-central-1:111122223333:alias/aws/ebs";
        assert_eq!(judge(&answer(KEY, Some(Word::Enabled), true), alias), Ok(KeyState::Enabled));
        let words = ["Disabled", "PendingDeletion", "PendingImport", "PendingReplicaDeletion", "Unavailable"];
        for word in words.into_iter().chain(["Creating", "Updating", "enabled", "Frobnicated", ""]) {
            let other = judge(&answer(KEY, Some(Word::from(word)), true), KEY);
            assert_eq!(other, Ok(KeyState::Other(word.to_owned())));
        }
        let odd = [
            (answer("arn:aws:kms:eu-central-1:111122223333:key/k-2", Some(Word::Enabled), true), KEY),
            (answer(KEY, None, true), KEY),
            (answer(KEY, Some(Word::Enabled), false), KEY),
        ];
        for (answer, key) in odd {
            assert_eq!(judge(&answer, key).unwrap_err().kind, ErrorKind::Uncertain, "{answer:?}");
        }
    }
}
