//! Answers as SARIF 2.1.0, for code scanning: one rule a policy rule, one result a violation.
//!
//! A plan and a request have no source line, so a result points at the file, and names the resource as its logical place.

use serde_json::{Value, json};

use super::Answers;
use super::document::lines;
use crate::domain::text::clean;
use crate::policy::decide::Answer;

/// The log.
pub fn render(answers: &Answers) -> Value {
    let lines = lines(answers);
    let mut rules: Vec<String> =
        lines.iter().map(|line| format!("{}/{}", clean(line.policy), clean(line.rule))).collect();
    rules.sort();
    rules.dedup();
    let results: Vec<Value> = lines
        .iter()
        .map(|line| {
            let id = format!("{}/{}", clean(line.policy), clean(line.rule));
            json!({
                "ruleId": id,
                "ruleIndex": rules.binary_search(&id).unwrap_or_default(),
                "level": match line.effect {
                    Answer::Deny => "error",
                    Answer::RequireApproval | Answer::Warn => "warning",
                    Answer::Allow => "note",
                },
                "message": { "text": clean(line.message) },
                "locations": [{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri(&answers.file) },
                        "region": { "startLine": 1 },
                    },
                    "logicalLocations": [{ "fullyQualifiedName": clean(line.resource), "kind": "resource" }],
                }],
                "properties": { "effect": line.effect.word(), "severity": line.severity },
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "costwarden",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>(),
            }},
            "results": results,
        }],
    })
}

/// A path as a relative reference: what is not plain is percent-encoded.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut out = String::new();
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}
