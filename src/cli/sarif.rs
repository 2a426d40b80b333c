//! SARIF 2.1.0, as far as code-review tools read it: results with a level, a message and a place in a file.
//!
//! `policy validate` and `evaluate` write with it. Small shapes of our own instead of the whole standard. Paths become relative references with forward slashes, so
//! that a tool finds the line in its checkout.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::domain::text::clean;

/// One finding of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which rule of the tool, for example `policy-invalid`.
    pub rule: String,
    /// How bad.
    pub level: Level,
    /// One or two sentences.
    pub message: String,
    /// The file, and its line and column from 1; 0 where they are not known.
    pub place: Option<(String, usize, usize)>,
    /// The resource that it is about, where the file's line says little.
    pub resource: Option<String>,
    /// More for those who read the log by program.
    pub properties: Option<Value>,
}

/// How bad a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It must be fixed.
    Error,
    /// It should be looked at.
    Warning,
    /// It should be known.
    Note,
}

/// A rule that results name, with its short description; empty when it has none.
pub type RuleInfo<'a> = (&'a str, &'a str);

/// A log file with one run.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Clone, Debug, Serialize)]
struct Run {
    tool: Tool,
    results: Vec<SarifResult>,
}

#[derive(Clone, Debug, Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_description: Option<Message>,
}

#[derive(Clone, Debug, Serialize)]
struct Message {
    text: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    rule_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_index: Option<usize>,
    level: Level,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: String,
    kind: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Clone, Debug, Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_column: Option<usize>,
}

impl Log {
    /// A log of these results; `rules` are all that they may name.
    pub fn of(rules: &[RuleInfo<'_>], mistakes: impl IntoIterator<Item = Mistake>) -> Log {
        let rule = |(id, text): &RuleInfo<'_>| Rule {
            id: clean(id),
            short_description: (!text.is_empty()).then(|| Message { text: (*text).to_owned() }),
        };
        let driver =
            Driver { name: "costwarden", version: env!("CARGO_PKG_VERSION"), rules: rules.iter().map(rule).collect() };
        let index = |id: &str| rules.iter().position(|(known, _)| *known == id);
        let results = mistakes.into_iter().map(|one| SarifResult::of(index(&one.rule), one)).collect();
        Log {
            schema: "https://json.schemastore.org/sarif-2.1.0.json",
            version: "2.1.0",
            runs: [Run { tool: Tool { driver }, results }],
        }
    }
}

impl SarifResult {
    fn of(rule_index: Option<usize>, mistake: Mistake) -> SarifResult {
        let physical = |(file, line, column): (String, usize, usize)| PhysicalLocation {
            artifact_location: ArtifactLocation { uri: uri(&file) },
            region: (line > 0).then_some(Region { start_line: line, start_column: (column > 0).then_some(column) }),
        };
        let logical = |name: String| LogicalLocation { fully_qualified_name: clean(&name), kind: "resource" };
        let location = Location {
            physical_location: mistake.place.map(physical),
            logical_locations: mistake.resource.map(logical).into_iter().collect(),
        };
        let somewhere = location.physical_location.is_some() || !location.logical_locations.is_empty();
        SarifResult {
            rule_id: clean(&mistake.rule),
            rule_index,
            level: mistake.level,
            message: Message { text: clean(&mistake.message) },
            locations: somewhere.then_some(location).into_iter().collect(),
            properties: mistake.properties,
        }
    }
}

/// A path as a reference: what has a meaning in one is written as percent and two digits.
fn uri(file: &str) -> String {
    let shown = Path::new(file).strip_prefix("./").map_or(file.to_owned(), |path| path.display().to_string());
    let mut out = String::new();
    for byte in shown.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b'\\' => out.push('/'),
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_has_its_place_and_a_path_is_a_reference() {
        let mistake = |place| Mistake {
            rule: "r".into(),
            level: Level::Error,
            message: "x\u{1b}[2J".into(),
            place,
            resource: None,
            properties: None,
        };
        let log = Log::of(
            &[("r", "A rule")],
            [mistake(Some(("./a b/ü.yaml".into(), 3, 7))), mistake(Some(("c".into(), 0, 0))), mistake(None)],
        );
        let json = serde_json::to_value(&log).unwrap();
        let results = &json["runs"][0]["results"];
        let first = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(first["artifactLocation"]["uri"], "a%20b/%C3%BC.yaml");
        assert_eq!(first["region"], serde_json::json!({"startLine": 3, "startColumn": 7}));
        assert!(results[1]["locations"][0]["physicalLocation"].get("region").is_none());
        assert!(results[2].get("locations").is_none());
        assert!(!results[0]["message"]["text"].as_str().unwrap().contains('\u{1b}'));
        assert_eq!(json["runs"][0]["tool"]["driver"]["rules"][0]["id"], "r");
        assert_eq!((&results[0]["ruleIndex"], results[0].get("properties")), (&Value::from(0), None));
    }
}
