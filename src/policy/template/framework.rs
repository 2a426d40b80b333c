//! Policies for a whole framework (T8): what a law, an auditor or a FinOps team asks for, as files.
//!
//! The same framework with the same options always gives the same files, byte by byte, so a second run finds nothing
//! to do. GDPR and SOC 2 are made of the built-in templates; the FinOps baseline of ours runs over the inventory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Template, TemplateError};
use crate::domain::check::CheckInfo;
use crate::policy::document::{DocumentError, to_toml, to_yaml};
use crate::policy::{EnforcementMode, Policy, Reach, front};

const FINOPS: &str = include_str!("../../../config/policy_frameworks/finops_baseline.yaml");

/// Days for which generated GDPR policies keep personal data, unless told otherwise: the three years that S0 gives to
/// usage data. The law itself names no number.
const RETENTION_DAYS: u32 = 1095;

/// What policies are generated for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// The EU's data protection regulation: access requests and retention.
    Gdpr,
    /// Trust services criteria: authentication and access reviews.
    Soc2,
    /// Our own baseline: waste, tags and limits.
    Finops,
}

/// How policies are generated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The mode of every policy.
    pub mode: EnforcementMode,
    /// Whom every policy is for; the FinOps baseline is for the whole inventory.
    pub reach: Reach,
    /// Values for the templates' variables.
    pub values: BTreeMap<String, Json>,
}

/// One generated policy.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Name of its file.
    pub file: String,
    /// Content of its file.
    pub text: String,
    /// What loading the file gives.
    pub policy: Policy,
}

impl Framework {
    /// All of them.
    pub const ALL: [Framework; 3] = [Framework::Gdpr, Framework::Soc2, Framework::Finops];

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Framework::Gdpr => "gdpr",
            Framework::Soc2 => "soc2",
            Framework::Finops => "finops",
        }
    }

    /// A value from text that a person typed; every variable of a framework's template is a whole number, and whether
    /// it fits is said when it is used.
    pub fn read(self, text: &str) -> Json {
        serde_json::from_str(text).unwrap_or_else(|_| text.into())
    }

    fn template(self) -> Option<&'static str> {
        match self {
            Framework::Gdpr => Some("gdpr_compliance"),
            Framework::Soc2 => Some("soc2_security"),
            Framework::Finops => None,
        }
    }
}

/// The policies of a framework, in a fixed order.
///
/// # Errors
/// Values that the framework's template does not take; a reach or a value for the FinOps baseline.
pub fn generate(
    framework: Framework,
    options: &Options,
    checks: &[&'static CheckInfo],
) -> Result<Vec<Generated>, TemplateError> {
    match framework.template() {
        Some(name) => from_template(framework, name, options),
        None => finops(options, checks),
    }
}

fn from_template(framework: Framework, name: &str, options: &Options) -> Result<Vec<Generated>, TemplateError> {
    let templates = Template::built_in()?;
    let Some(template) = templates.into_iter().find(|template| template.name == name) else {
        return Err(TemplateError::Values(vec![format!("there is no template {name}")]));
    };
    let mut values = options.values.clone();
    if framework == Framework::Gdpr {
        values.entry("retention_days".into()).or_insert_with(|| RETENTION_DAYS.into());
    }
    let mut generated = Vec::new();
    for instance in template.instantiate(&values)? {
        let mut document = instance.document;
        document["enforcement_mode"] = options.mode.word().into();
        document["scope"] = options.reach.word().into();
        if let Some(id) = options.reach.id() {
            document["scope_id"] = id.into();
        }
        settle_examples(&mut document, options);
        document["metadata"] = json!({"framework": framework.word(), "template": name});
        let file = format!("{}.toml", instance.policy.name);
        let about = format!("Generated for {}; run the generator again rather than edit.", framework.word());
        let text = format!(
            "#:schema policy.schema.json\n#\n# {about}\n\n{}",
            to_toml(&json!({"policies": [document]})).map_err(|error| failed(&file, &error))?
        );
        generated.extend(loaded(file, text, &[])?);
    }
    Ok(generated)
}

fn finops(options: &Options, checks: &[&'static CheckInfo]) -> Result<Vec<Generated>, TemplateError> {
    let mut mistakes = Vec::new();
    if options.reach != Reach::Global {
        mistakes.push("the FinOps baseline judges the whole inventory\n  accepted: --scope global".to_owned());
    }
    mistakes.extend(options.values.keys().map(|name| {
        let name = crate::domain::text::clean(name);
        format!("the FinOps baseline has no variable {name:?}\n  accepted: none")
    }));
    if !mistakes.is_empty() {
        return Err(TemplateError::Values(mistakes));
    }
    let mut generated = Vec::new();
    for node in front::trees(Path::new("finops_baseline.yaml"), FINOPS)? {
        let mut document = node.to_json();
        document["spec"]["mode"] = options.mode.word().into();
        let name = document["metadata"]["name"].as_str().unwrap_or("finops").to_owned();
        let file = format!("{name}.yaml");
        let text = format!(
            "# yaml-language-server: $schema=policy.schema.json\n#\n# Generated for finops; run the generator again rather than edit.\n\n{}",
            to_yaml(&document).map_err(|error| failed(&file, &error))?
        );
        generated.extend(loaded(file, text, checks)?);
    }
    Ok(generated)
}

fn loaded(
    file: String,
    text: String,
    checks: &[&'static CheckInfo],
) -> Result<impl Iterator<Item = Generated>, TemplateError> {
    let policies = front::parse(&PathBuf::from(&file), &text, checks)?;
    Ok(policies.into_iter().map(move |policy| Generated { file: file.clone(), text: text.clone(), policy }))
}

/// A decision depends on mode and reach: monitor lets everything pass, and of another choice only the verdict is kept.
fn settle_examples(document: &mut Json, options: &Options) {
    for example in document.get_mut("examples").and_then(Json::as_array_mut).into_iter().flatten() {
        let Some(map) = example.as_object_mut() else { continue };
        if !map.contains_key("decision") {
            continue;
        }
        if options.mode == EnforcementMode::Monitor {
            map.insert("decision".into(), "allow".into());
        } else if map.contains_key("expect") || map.contains_key("violated") {
            map.shift_remove("decision");
        }
    }
}

fn failed(file: &str, error: &str) -> TemplateError {
    let error = DocumentError::of_file(Path::new(file), format!("cannot be written: {error}"), "");
    TemplateError::Document(error.into())
}
