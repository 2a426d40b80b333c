//! `policy explain`: why each rule of a policy says what it says of one resource.
//!
//! From the last stored night of the resource's partition, or from a world. Names and tags come from other people and
//! are cleaned for the terminal.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::world::WorldArgs;
use super::{Global, open};
use crate::app;
use crate::clock::Clock;
use crate::cloud::none::NoCloud;
use crate::domain::Instant;
use crate::domain::finding::{Act, Severity};
use crate::domain::resource::Resource;
use crate::domain::text::clean;
use crate::engine::evaluate::EvaluateRules;
use crate::engine::explain::{RuleExplained, explain};
use crate::policy::document::nearest;
use crate::policy::{Outcome, Policy};
use crate::worker::context::Context;
use crate::worker::explain::{Remembered, remembered};
use crate::worker::jobs::scan::{Choice, scan};
use crate::worker::supervise::Work;

/// Flags of `policy explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy's name
    #[arg(value_name = "POLICY")]
    policy: String,
    /// The resource's id, for example vol-0abc, or its full key
    #[arg(value_name = "RESOURCE")]
    resource: String,
    #[command(flatten)]
    world: WorldArgs,
}

/// What `policy explain -o json` prints.
#[derive(Serialize, JsonSchema)]
struct ExplainDocument<'a> {
    /// Version of this shape.
    schema_version: u32,
    /// The policy's name.
    policy: &'a str,
    /// The first 16 digits of its hash.
    hash: &'a str,
    /// The resource's full key.
    resource: String,
    /// Its name.
    name: &'a str,
    /// When it was read.
    read_at: Instant,
    /// The rules, in the document's order.
    rules: Vec<RuleJson<'a>>,
}

/// One rule.
#[derive(Serialize, JsonSchema)]
struct RuleJson<'a> {
    /// Its name.
    rule: &'a str,
    /// condition, require, or the check behind it.
    judged_by: &'a str,
    /// How bad a violation is.
    severity: Severity,
    /// violated, unknown, compliant or not_applicable.
    outcome: Outcome,
    /// Why, in a sentence.
    message: &'a str,
    /// Why a violation leads to no act.
    held: Option<&'a str>,
    /// The figures behind a violation.
    evidence: Vec<serde_json::Value>,
    /// The condition's parts: expression, value, source, parts.
    condition: Option<serde_json::Value>,
}

/// Explains.
///
/// # Errors
/// No such policy, or no stored night with the resource.
pub async fn run(global: &Global, args: &Args) -> Result<Exit> {
    let (cx, policies) = match args.world.open()? {
        Some(world) => {
            let cx = world.context(args.world.store(global)?)?;
            scan(&cx, &Choice { places: None, accept_shrink: false }, &Work::default()).await?;
            (cx, world.policies)
        }
        None => {
            let settings = open::settings(global)?;
            let policies = open::policies(&settings)?;
            let store = open::read_store(&settings)?;
            (app::context(settings, &policies, store, Arc::new(NoCloud), Clock::System)?, policies)
        }
    };
    let policy = find(&policies, &args.policy)?;
    let found = remembered(&cx, &args.resource)?.ok_or_else(|| nowhere(&args.resource))?;
    let refused = |act: Act, resource: &Resource| cx.refused(act, resource);
    let options = EvaluateRules { tag_prefix: &cx.settings.tags.prefix, refused: &refused };
    let rules = explain(policy, &found.subject(&cx), options)?;
    print(global, policy, &found, &cx, &rules)?;
    Ok(Exit::Done)
}

fn find<'p>(policies: &'p [Policy], name: &str) -> Result<&'p Policy> {
    let names = || policies.iter().map(|policy| policy.name.as_str());
    policies.iter().find(|policy| policy.name == name).ok_or_else(|| {
        let near = nearest(name, names()).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        let known = names().map(clean).collect::<Vec<_>>().join(", ");
        ExitError::bad_use(format!("there is no policy {:?}{near}; loaded: {known}", clean(name)))
    })
}

fn nowhere(resource: &str) -> anyhow::Error {
    ExitError::with(
        Exit::Failed,
        format!(
            "no stored night has {:?}: give an id such as vol-0abc, or account/region/kind/id; \
             `costwarden scan` stores a night",
            clean(resource)
        ),
    )
}

fn print(global: &Global, policy: &Policy, found: &Remembered, cx: &Context, rules: &[RuleExplained]) -> Result<()> {
    let subject = found.subject(cx);
    if global.output == Format::Json {
        return output::json(&ExplainDocument {
            schema_version: SCHEMA_VERSION,
            policy: &policy.name,
            hash: &policy.hash,
            resource: found.key().to_string(),
            name: subject.resource.name(),
            read_at: found.at,
            rules: rules.iter().map(rule_json).collect(),
        });
    }
    let mut text = format!(
        "{} ({}) on {} {}, read {}\n",
        clean(&policy.name),
        policy.hash,
        clean(&found.key().to_string()),
        clean(subject.resource.name()),
        found.at.format("%Y-%m-%d %H:%M UTC")
    );
    for rule in rules {
        text += &page(rule);
    }
    output::print(&text)
}

fn page(rule: &RuleExplained) -> String {
    let because = if rule.message.is_empty() { String::new() } else { format!(": {}", clean(&rule.message)) };
    let mut text = format!(
        "\n{} ({}, {})\n  {}{because}\n",
        clean(&rule.rule),
        rule.judged_by,
        rule.severity,
        rule.outcome.word().replace('_', " ")
    );
    if let Some(held) = &rule.held {
        text += &format!("  no act: {}\n", clean(held));
    }
    if let Some(condition) = &rule.condition {
        for line in condition.tree().lines() {
            text += &format!("    {line}\n");
        }
        return text;
    }
    for figure in &rule.evidence {
        let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
        text +=
            &format!("    {}: {}{unit}   from {}\n", clean(&figure.name), clean(&figure.value), clean(&figure.source));
    }
    text
}

fn rule_json(rule: &RuleExplained) -> RuleJson<'_> {
    RuleJson {
        rule: &rule.rule,
        judged_by: &rule.judged_by,
        severity: rule.severity,
        outcome: rule.outcome,
        message: &rule.message,
        held: rule.held.as_deref(),
        evidence: rule.evidence.iter().filter_map(|figure| serde_json::to_value(figure).ok()).collect(),
        condition: rule.condition.as_ref().map(crate::policy::expression::Explained::to_json),
    }
}
