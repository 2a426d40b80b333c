//! What of an act is written down beside its journal row: the hash of its call, and its line in the audit trail.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cloud::Call;
use crate::domain::remediation::Remediation;
use crate::store::AuditEntry;

/// SHA-256 over the call's name and arguments, in hexadecimal.
pub(super) fn call_hash(call: &Call) -> String {
    let text = serde_json::to_string(call).unwrap_or_else(|_| call.to_string());
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the audit trail keeps of a row.
pub(super) fn audit(remediation: &Remediation) -> AuditEntry {
    let step = &remediation.step;
    let detail = json!({
        "remediation": remediation.id,
        "finding": step.finding,
        "act": step.act,
        "policy": step.policy,
        "policy_hash": step.policy_hash,
        "rule": step.rule,
        "plan": remediation.plan,
        "state": remediation.state.word(),
        "fence": remediation.fence,
        "snapshots": remediation.snapshots,
        "image": remediation.image,
        "call_hash": remediation.call_hash,
        "request_id": remediation.request_id,
        "parts": remediation.parts,
        "message": remediation.message,
    });
    AuditEntry {
        actor: "remediate".into(),
        what: remediation.state.word().into(),
        subject: step.key.to_string(),
        detail,
    }
}
