//! What the requester of a resource is told (O1), whatever channel carries it.

use serde::Serialize;

use super::preventive::{Answer, Judged, Violation};
use crate::domain::request::Request;
use crate::domain::text::clean;

/// The answer to a request in S1's keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RequestAnswer {
    /// Whether it may go on now.
    pub allowed: bool,
    /// What speaks against it, when it is denied or waits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// What a person should look at, when it is let through with warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Violation>,
    /// Who may say yes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// One sentence.
    pub message: String,
}

/// A notification for the requester of a denied or waiting request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Who asked.
    pub to: String,
    /// Subject line, free of foreign control characters.
    pub subject: String,
    /// Plain text, one line a violation.
    pub text: String,
}

/// The answer to what was judged.
pub fn answer(judged: &Judged) -> RequestAnswer {
    let (allowed, message) = match judged.action {
        Answer::Allow => (true, "Nothing in the policies stands against this request.".to_owned()),
        Answer::Warn => (true, "The request may go on, with warnings.".to_owned()),
        Answer::RequireApproval => {
            (false, format!("The request waits for approval by {}.", clean(&judged.approvers.join(", "))))
        }
        Answer::Deny => (false, "The request is denied: it breaks policies.".to_owned()),
    };
    let (violations, warnings) = match judged.action {
        Answer::Warn => (Vec::new(), judged.violations.clone()),
        _ => (judged.violations.clone(), Vec::new()),
    };
    RequestAnswer { allowed, violations, warnings, approvers: judged.approvers.clone(), message }
}

/// What the requester is told when a request is denied or waits; nothing for others, or when nobody is named.
pub fn notification(request: &Request, judged: &Judged) -> Option<Notification> {
    if judged.action < Answer::RequireApproval {
        return None;
    }
    let shown = clean(request.shown());
    let verb = if judged.action == Answer::Deny { "is denied" } else { "waits for approval" };
    let mut text = format!("{}\n", answer(judged).message);
    for violation in judged.violations.iter().filter(|violation| violation.effect > Answer::Warn) {
        text += &format!("- {} / {}: {}\n", violation.policy_name, violation.rule_name, clean(&violation.message));
    }
    Some(Notification {
        to: request.requester.clone()?,
        subject: format!("[cost] Your request for {shown} {verb}"),
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::Spending;
    use crate::policy::decide::preventive::judge;
    use crate::policy::decide::preventive::tests::{policies, tags};

    const OWNER: &str =
        "metadata: {name: t}\ntype: TagRequirement\nrules:\n  - {name: owner, requiredTags: [{key: owner}]}\n";

    fn asked(text: &str, pairs: &[(&str, &str)]) -> (Request, Judged) {
        let mut request = Request::of_type("compute/instance");
        request.requester = Some("ann@example.com".into());
        request.name = Some("web\r\nBcc: x".into());
        request.tags = tags(pairs);
        let judged = judge(&policies(text), std::slice::from_ref(&request), &Spending::NoSource("a test".into()));
        (request, judged)
    }

    #[test]
    fn o1_deny_warn_and_allow_say_so_and_a_denied_requester_is_told_what_stands_against_it() {
        let (request, denied) = asked(OWNER, &[]);
        let said = answer(&denied);
        assert_eq!((said.allowed, said.violations.len(), said.warnings.len()), (false, 1, 0));
        let told = notification(&request, &denied).unwrap();
        assert_eq!(told.to, "ann@example.com");
        assert!(!told.subject.contains('\n') && told.subject.ends_with("is denied"), "{}", told.subject);
        assert_eq!(told.text, "The request is denied: it breaks policies.\n- t / owner: the tag owner is missing\n");

        let (request, warned) = asked(&OWNER.replace("owner}]", "owner}], enforcement: warn"), &[]);
        let said = answer(&warned);
        assert_eq!((said.allowed, said.violations.len(), said.warnings.len()), (true, 0, 1));
        assert_eq!(notification(&request, &warned), None);

        let (request, allowed) = asked(OWNER, &[("owner", "x")]);
        let said = answer(&allowed);
        assert_eq!((said.allowed, said.violations.len() + said.warnings.len()), (true, 0));
        assert_eq!(notification(&request, &allowed), None);
    }
}
