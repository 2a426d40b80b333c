//! Reading a template file: its shape, its variables, and whether its policies are sound with values put in.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::Bound;
use super::{Template, Variable, VariableType, fill};
use crate::domain::text::clean;
use crate::policy::Category;
use crate::policy::document::{At, Checker, DocumentError, Errors, Node, Value, schema_of};
use crate::policy::front;

/// A template as people write it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawTemplate {
    /// Unique among the templates; letters, digits, `-`, `_`, `.`.
    #[schemars(length(min = 1))]
    name: String,
    /// For people.
    #[schemars(length(min = 1))]
    description: String,
    /// The type of its policies that say none.
    category: Category,
    /// What may be set.
    variables: Option<Vec<RawVariable>>,
    /// Policies, in which `{{name}}` stands for a variable's value. In the short form a rule is its condition alone
    /// and `actions` stands for `violation_actions`; `policy_type`, `enforcement_mode` (`enforce`) and `severity`
    /// (`warning`) may be left out.
    #[schemars(length(min = 1))]
    #[serde(rename = "policies")]
    _policies: Vec<serde_json::Map<String, serde_json::Value>>,
    /// For editors; has no effect.
    #[serde(rename = "$schema")]
    _schema: Option<String>,
}

/// One variable as people write it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawVariable {
    /// What stands between the braces: lower-case letters, digits and `_`.
    #[schemars(length(min = 1))]
    name: String,
    /// For people.
    #[schemars(length(min = 1))]
    description: String,
    /// What values it takes.
    var_type: VariableType,
    /// Used when no value is given; without it a value must be given.
    default_value: Option<serde_json::Value>,
}

/// The schema of a template file.
pub fn schema() -> serde_json::Value {
    schema_of::<RawTemplate>()
}

impl Template {
    /// A template from the text of a TOML, YAML or JSON file.
    ///
    /// # Errors
    /// Every mistake with its position, those in its policies as they are with defaults put in.
    pub fn parse(file: &Path, text: &str) -> Result<Template, Errors> {
        let mut trees = front::trees(file, text)?;
        if trees.len() > 1 {
            let spot = trees[1].spot;
            return Err(DocumentError::new(file, text, spot, "", "a second document", "one template a file").into());
        }
        // `trees` never returns an empty list; a file without a document is a mistake of its own.
        let Some(node) = trees.pop() else {
            return Err(DocumentError::of_file(file, "the file is empty", "a template").into());
        };
        let root = At::root(&node);
        let mut checker = Checker::new(file, text);
        let Some(raw) = checker.read::<RawTemplate>(&root) else {
            return Err(checker.finish(()).err().unwrap_or_else(|| {
                DocumentError::of_file(file, "holds no template", "name, description, category and policies").into()
            }));
        };
        front::check_name(&mut checker, &root.key("name"), &raw.name);
        let raw_variables = raw.variables.unwrap_or_default();
        let variables = variables(&mut checker, &root.key("variables"), &raw_variables);
        let policies = match node.get("policies").map(|policies| &policies.value) {
            Some(Value::List(items)) => items.clone(),
            _ => Vec::new(),
        };
        let mut used = Vec::new();
        for (index, policy) in policies.iter().enumerate() {
            let at = root.key("policies").item(index);
            check_places(&mut checker, &at, policy, (&raw_variables, false), &mut used);
        }
        for (index, variable) in raw_variables.iter().enumerate().filter(|(_, one)| !used.contains(&one.name)) {
            let at = root.key("variables").item(index).key("name");
            let problem = format!("the variable {:?} is used nowhere", clean(&variable.name));
            checker.fail(&at, problem, format!("{{{{{}}}}} in a policy", clean(&variable.name)));
        }
        checker.finish(())?;
        let template = Template {
            name: raw.name,
            description: raw.description,
            category: raw.category,
            variables,
            path: file.to_owned(),
            text: text.to_owned(),
            policies,
        };
        template.make(&trial(&template.variables))?;
        Ok(template)
    }
}

/// Defaults, and samples where there is none.
fn trial(variables: &[Variable]) -> BTreeMap<String, Bound> {
    let value = |variable: &Variable| {
        let default = variable.default_value.as_ref().and_then(|value| variable.var_type.fit(value));
        (variable.name.clone(), default.unwrap_or_else(|| variable.var_type.sample()))
    };
    variables.iter().map(value).collect()
}

fn variables(checker: &mut Checker<'_>, at: &At<'_>, raw: &[RawVariable]) -> Vec<Variable> {
    let mut names: Vec<&str> = Vec::new();
    for (index, variable) in raw.iter().enumerate() {
        let (at, name) = (at.item(index), variable.name.as_str());
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !plain || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            let problem = format!("{:?} is not a variable's name", clean(name));
            checker.fail(&at.key("name"), problem, "lower-case letters, digits and '_', a letter first");
        }
        if names.contains(&name) {
            let problem = format!("the variable {:?} stands twice", clean(name));
            checker.fail(&at.key("name"), problem, "each variable once");
        }
        names.push(name);
        if let Some(value) = &variable.default_value
            && variable.var_type.fit(value).is_none()
        {
            let problem = format!("{} does not fit {}", clean(&value.to_string()), variable.var_type.word());
            checker.fail(&at.key("default_value"), problem, variable.var_type.accepted());
        }
    }
    let checked = |raw: &RawVariable| Variable {
        name: raw.name.clone(),
        description: raw.description.clone(),
        var_type: raw.var_type,
        default_value: raw.default_value.clone(),
    };
    raw.iter().map(checked).collect()
}

/// Notes what is wrong with the places below a node; `known` has the variables, and whether texts are conditions here.
fn check_places(
    checker: &mut Checker<'_>,
    at: &At<'_>,
    node: &Node,
    (known, condition): (&[RawVariable], bool),
    used: &mut Vec<String>,
) {
    match &node.value {
        Value::Text(text) => match fill::places(text) {
            Ok(places) => {
                for place in places {
                    if known.iter().any(|variable| variable.name == place.name) {
                        used.push(place.name.to_owned());
                        if let Some(problem) = fill::misplaced(text, &place.range).filter(|_| condition) {
                            let range = (place.range.start, place.range.len());
                            let accepted = "{{name}} with spaces around it, and + to join texts: 'a ' + {{name}}";
                            checker.fail_inside(at, text, range, problem, accepted);
                        }
                        continue;
                    }
                    let names: Vec<&str> = known.iter().map(|variable| variable.name.as_str()).collect();
                    let near = crate::policy::document::nearest(place.name, names.iter().copied());
                    let hint = near.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
                    let problem = format!("the template has no variable {:?}{hint}", clean(place.name));
                    let range = (place.range.start, place.range.len());
                    checker.fail_inside(at, text, range, problem, names.join(", "));
                }
            }
            Err(offset) => checker.fail_inside(at, text, (offset, 2), "these braces never close", "{{name}}"),
        },
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check_places(checker, &at.item(index), item, (known, condition), used);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                // In the short form a rule is its condition alone.
                let condition = matches!(entry.key.as_str(), "condition" | "require" | "rules");
                check_places(checker, &at.key(&entry.key), &entry.node, (known, condition), used);
            }
        }
        _ => {}
    }
}
