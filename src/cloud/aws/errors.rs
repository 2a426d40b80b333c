//! What an SDK error means: the one place that turns one into a [`CloudError`].
//!
//! For an act the line that matters runs between "certainly not done" and "may have happened": only an error answer
//! that names a code, with a status below 500 or a throttling code, is on the safe side. Everything else, a refused
//! connection included, is uncertain. Messages carry no credentials and no encoded authorization blobs.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::cloud::{CloudError, ErrorKind};
use crate::domain::text::{clean, without_logins};

/// The meaning of `error`, which `service` gave to `operation`.
pub(super) fn from_sdk<E>(service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> CloudError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(cause) = credentials_error(error) {
        let message = format!("no usable credentials: {}", chain(cause));
        return CloudError::new(ErrorKind::Denied, service, operation, None, &shown(&message));
    }
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = answer.err().code().filter(|code| !code.is_empty());
            let message = match answer.err().message() {
                Some(message) if !message.is_empty() => message.to_owned(),
                _ => format!("HTTP status {status} without a message"),
            };
            CloudError::new(kind(status, code), service, operation, code, &shown(&message))
        }
        SdkError::TimeoutError(_) => {
            CloudError::new(ErrorKind::Uncertain, service, operation, None, "no answer within the time limit")
        }
        SdkError::ResponseError(answer) => {
            let status = answer.raw().status().as_u16();
            let message = format!("unreadable answer with HTTP status {status}: {}", chain(error));
            CloudError::new(ErrorKind::Uncertain, service, operation, None, &shown(&message))
        }
        SdkError::ConstructionFailure(_) => {
            let message = format!("the request could not be built, nothing was sent: {}", chain(error));
            CloudError::new(ErrorKind::Rejected, service, operation, None, &shown(&message))
        }
        _ => {
            let message = format!("no answer: {}", chain(error));
            CloudError::new(ErrorKind::Uncertain, service, operation, None, &shown(&message))
        }
    }
}

/// An answer that arrived and lacks what it must have.
pub(super) fn unreadable(service: &str, operation: &str, what: &str) -> CloudError {
    let message = format!("unreadable answer: {what}");
    CloudError::new(ErrorKind::Uncertain, service, operation, None, &shown(&message))
}

/// What follows from an error answer. `None` for the code means that the body was not AWS's, a proxy's page for
/// example.
fn kind(status: u16, code: Option<&str>) -> ErrorKind {
    let Some(code) = code else { return ErrorKind::Uncertain };
    if THROTTLED.contains(&code) {
        ErrorKind::Throttled
    } else if code.ends_with(".NotFound") || NOT_FOUND.contains(&code) {
        ErrorKind::NotFound
    } else if DENIED.contains(&code) || code.starts_with("AccessDenied") || code.starts_with("ExpiredToken") {
        ErrorKind::Denied
    } else if FULL.contains(&code) || (400..500).contains(&status) && !INTERNAL.contains(&code) {
        ErrorKind::Rejected
    } else {
        ErrorKind::Uncertain
    }
}

/// Codes that say so without EC2's ending; the second is KMS's.
const NOT_FOUND: [&str; 2] = ["ResourceNotFoundException", "NotFoundException"];

/// Definite whatever the status: EC2 says `RequestLimitExceeded` with 503.
const THROTTLED: [&str; 11] = [
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "LimitExceededException",
    "EC2ThrottledException",
    "SlowDown",
    "SnapshotCreationPerVolumeRateExceeded",
];

/// Whether the body of an error answer names one of [`THROTTLED`], in whichever form the service writes its errors.
pub(super) fn names_throttling(body: &[u8]) -> bool {
    THROTTLED.iter().any(|code| body.windows(code.len()).any(|part| part == code.as_bytes()))
}

/// No room for the instance now: definite whatever the status, EC2 counts these among its own failures.
const FULL: [&str; 4] = [
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientReservedInstanceCapacity",
    "InsufficientCapacity",
];

/// Not permitted, or not a valid caller.
const DENIED: [&str; 15] = [
    "UnauthorizedOperation",
    "UnauthorizedAccess",
    "AuthFailure",
    "Client.AuthFailure",
    "Blocked",
    "OptInRequired",
    "PendingVerification",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "MissingAuthenticationToken",
    "RequestExpired",
    "NotAuthorized",
    "InvalidSignatureException",
];

/// Failures on AWS's side, uncertain even when a proxy or an old service sends them with a status below 500.
const INTERNAL: [&str; 7] = [
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceFault",
    "ServiceUnavailable",
    "Unavailable",
    "RequestTimeout",
];

/// The credentials error at the root of a request that was never sent.
fn credentials_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<CredentialsError>() {
            return Some(found);
        }
        next = current.source();
    }
    None
}

/// An error's links as one line; a link that only repeats the one before is left out.
fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(current) = next {
        let text = current.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        next = current.source();
    }
    line
}

/// A message fit to be shown, on one line: without the encoded authorization blob, without the canonical request that a
/// refused signature repeats (the session token stands in it), and without anything as long as a token.
fn shown(message: &str) -> String {
    let ends = ["Encoded authorization failure message", "The Canonical String for this request"];
    let end = ends.iter().filter_map(|words| message.find(words)).min().unwrap_or(message.len());
    clean(without_tokens(&without_logins(&message[..end])).trim())
}

/// STS's session tokens have several hundred characters, a container's or a proxy's about as many; nothing that a
/// message should tell has so many without a blank or a colon.
const TOKEN: usize = 100;

fn without_tokens(message: &str) -> String {
    let of_token = |character: char| character.is_ascii_alphanumeric() || "+/=_-.%".contains(character);
    let mut told = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(start) = rest.find(of_token) {
        told.push_str(&rest[..start]);
        let length = rest[start..].find(|character| !of_token(character)).unwrap_or(rest.len() - start);
        let (run, after) = rest[start..].split_at(length);
        told.push_str(if run.len() >= TOKEN { "[left out]" } else { run });
        rest = after;
    }
    told.push_str(rest);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_definite_no_is_definite() {
        let cases = [
            (503, Some("RequestLimitExceeded"), ErrorKind::Throttled),
            (400, Some("SnapshotCreationPerVolumeRateExceeded"), ErrorKind::Throttled),
            (400, Some("InvalidVolume.NotFound"), ErrorKind::NotFound),
            (400, Some("InvalidInstanceID.NotFound"), ErrorKind::NotFound),
            (400, Some("NotFoundException"), ErrorKind::NotFound),
            (400, Some("InvalidArnException"), ErrorKind::Rejected),
            (500, Some("KMSInternalException"), ErrorKind::Uncertain),
            (503, Some("DependencyTimeoutException"), ErrorKind::Uncertain),
            (403, Some("UnauthorizedOperation"), ErrorKind::Denied),
            (400, Some("AccessDeniedException"), ErrorKind::Denied),
            (400, Some("ExpiredTokenException"), ErrorKind::Denied),
            (400, Some("VolumeInUse"), ErrorKind::Rejected),
            (400, Some("OperationNotPermitted"), ErrorKind::Rejected),
            (400, Some("IncorrectInstanceState"), ErrorKind::Rejected),
            (500, Some("InternalError"), ErrorKind::Uncertain),
            (400, Some("InternalFailure"), ErrorKind::Uncertain),
            (503, Some("Unavailable"), ErrorKind::Uncertain),
            (503, None, ErrorKind::Uncertain),
            (407, None, ErrorKind::Uncertain),
        ];
        for (status, code, expected) in cases {
            assert_eq!(kind(status, code), expected, "{status} {code:?}");
        }
    }

    #[test]
    fn h33_a_throttled_answer_is_known_by_its_code_in_xml_json_and_cbor() {
        assert!(names_throttling(b"<Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors>"));
        assert!(names_throttling(br#"{"__type":"LimitExceededException"}"#));
        assert!(names_throttling(b"\xbff__typex3com.amazonaws.cloudwatch#ThrottlingException\xff"));
        assert!(!names_throttling(b"<Code>UnauthorizedOperation</Code>") && !names_throttling(b""));
    }

    #[test]
    fn h37_a_refused_signature_shows_neither_the_request_nor_a_token() {
        let token = "IQoJb3JpZ2luX2VjEJr//+=".repeat(20);
        let told = format!(
            "The request signature we calculated does not match. x-amz-security-token:{token} The Canonical String for \
             this request should have been 'POST\n/\nx-amz-security-token:{token}'"
        );
        let expected = "The request signature we calculated does not match. x-amz-security-token:[left out]";
        assert_eq!(shown(&told), expected);
        let arn = "User: arn:aws:sts::111122223333:assumed-role/a-role-with-quite-a-long-name-for-a-worker/costwarden is \
                   not authorized to perform: ec2:DescribeInstances";
        assert_eq!(shown(arn), arn);
        assert_eq!(shown(&format!("é{token}é")), "é[left out]é");
    }

    #[test]
    fn the_encoded_authorization_blob_is_not_shown() {
        let message =
            "You are not authorized to perform this operation.\nEncoded authorization failure message: aGVsbG8";
        assert_eq!(shown(message), "You are not authorized to perform this operation.");
    }
}
