//! Who the credentials are: STS GetCallerIdentity, which needs no permission and cannot be denied.

use super::errors;
use crate::cloud::{CloudError, Identity};
use crate::domain::place::AccountId;

const OPERATION: &str = "GetCallerIdentity";

/// Asks once. An answer without a well-formed account is an error, never an empty identity.
pub(super) async fn caller(client: &aws_sdk_sts::Client) -> Result<Identity, CloudError> {
    let output =
        client.get_caller_identity().send().await.map_err(|error| errors::from_sdk("sts", OPERATION, &error))?;
    let unreadable = |what: &str| errors::unreadable("sts", OPERATION, what);
    let account = output.account().ok_or_else(|| unreadable("no account in the answer"))?;
    let account = AccountId::new(account).map_err(|error| unreadable(&error.to_string()))?;
    let arn = output.arn().ok_or_else(|| unreadable("no ARN in the answer"))?;
    Ok(Identity { account, arn: arn.to_owned() })
}
