//! `policy diff A B`: what changed in the text, and what it changes on the last stored night.
//!
//! A and B are policies of the store (their latest version), versions (`ID@1.2.0`), or files. The effect is told by the
//! same back-test as `simulate`, over the newest night of each partition alone; nothing is written.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::TextDiff;

use super::exit::{Exit, ExitError};
use super::json::FindingJson;
use super::output::{self, Format, SCHEMA_VERSION};
use super::policy_life::told;
use super::{Global, open, simulate};
use crate::checks;
use crate::domain::Instant;
use crate::domain::finding::Finding;
use crate::domain::lifecycle::{ChangeType, SemVer};
use crate::domain::money::Usd;
use crate::domain::text::clean;
use crate::engine::ruleset::Ruleset;
use crate::engine::simulate::Simulation;
use crate::policy::Policy;
use crate::policy::lifecycle::{change_type, differences, in_force};
use crate::settings::{load_policies, read_text};
use crate::worker::policies::{find, one};
use crate::worker::simulate::{Nights, backtest};

/// Flags of `policy diff`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// A policy, a version of one (ID@1.2.0), or a file
    #[arg(value_name = "A")]
    before: String,
    /// What it is compared with
    #[arg(value_name = "B")]
    after: String,
    /// Exit with 3 when findings appear
    #[arg(long)]
    fail_on_new: bool,
}

/// One side.
struct Side {
    label: String,
    text: String,
    json: Value,
    policies: Vec<Policy>,
}

/// What the change does on the last stored night.
struct Effect {
    night: Instant,
    appear: Vec<Finding>,
    vanish: Vec<Finding>,
    same: usize,
    /// Verdicts that could not be given, before and after.
    unknown: (u64, u64),
}

/// What `policy diff -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct DiffDocument<'a> {
    /// Version of this shape.
    schema_version: u32,
    /// A file, or a policy with its version.
    before: &'a str,
    /// Likewise.
    after: &'a str,
    /// `null` when both say the same.
    change: Option<ChangeType>,
    /// Each place that differs, in words.
    differences: Vec<String>,
    /// A unified diff; empty when both are the same text.
    text: &'a str,
    /// `null` when no night is stored.
    effect: Option<EffectJson<'a>>,
}

/// What changes on the last stored night.
#[derive(Serialize, JsonSchema)]
pub struct EffectJson<'a> {
    /// The night.
    night: Instant,
    /// Findings of the second alone.
    appear: Vec<FindingJson<'a>>,
    /// Findings of the first alone.
    vanish: Vec<FindingJson<'a>>,
    /// How many both have.
    unchanged: usize,
    /// Verdicts that the first could not give.
    unknown_before: u64,
    /// Verdicts that the second could not give.
    unknown_after: u64,
}

/// Compares.
///
/// # Errors
/// A side that is neither a policy nor a file, or a document that does not load: bad use.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    let (before, after) = (side(global, &args.before)?, side(global, &args.after)?);
    let found = differences(&before.json, &after.json);
    let change = (!found.is_empty()).then(|| change_type(&found));
    let text = TextDiff::from_lines(&before.text, &after.text)
        .unified_diff()
        .context_radius(3)
        .header(&before.label, &after.label)
        .to_string();
    let effect = effect(global, &before.policies, &after.policies)?;
    let appeared = effect.as_ref().is_some_and(|effect| !effect.appear.is_empty());
    let exit = if args.fail_on_new && appeared { Exit::Findings } else { Exit::Done };
    if global.output == Format::Json {
        output::json(&DiffDocument {
            schema_version: SCHEMA_VERSION,
            before: &before.label,
            after: &after.label,
            change,
            differences: found.iter().map(ToString::to_string).collect(),
            text: &text,
            effect: effect.as_ref().map(EffectJson::of),
        })?;
        return Ok(exit);
    }
    match change {
        None if text.is_empty() => output::line("both say the same")?,
        None => output::line("only comments or layout differ")?,
        Some(change) => output::line(&format!("a {change} change"))?,
    }
    if !text.is_empty() {
        let lines: Vec<String> = text.lines().map(clean).collect();
        output::print(&format!("\n{}\n", lines.join("\n")))?;
    }
    match &effect {
        Some(effect) => output::print(&effect_text(effect))?,
        None => output::tell("no night is stored, so the effect is not known: run `costwarden scan`"),
    }
    Ok(exit)
}

fn side(global: &Global, given: &str) -> Result<Side> {
    let path = Path::new(given);
    if path.is_file() {
        let text = read_text(path).map_err(ExitError::bad_use)?;
        let content = one(path, &text).map_err(told)?;
        let policies = load_policies(&[path.to_owned()], &checks::infos()).map_err(ExitError::bad_use)?;
        return Ok(Side { label: given.to_owned(), text, json: content.json, policies });
    }
    let store = open::read_store_in(&open::state_dir(global)?)?;
    let (id, wanted) = match given.rsplit_once('@') {
        Some((id, version)) => (id, Some(version.parse::<SemVer>().map_err(ExitError::bad_use)?)),
        None => (given, None),
    };
    let record = find(&store, id).map_err(told)?;
    let wanted = wanted.unwrap_or(record.version);
    let versions = store.policy_versions(&record.id)?;
    let known: Vec<String> = versions.iter().map(|version| version.version.to_string()).collect();
    let version = versions.into_iter().find(|version| version.version == wanted).ok_or_else(|| {
        ExitError::bad_use(format!("{} has no version {wanted}; accepted: {}", record.id, known.join(", ")))
    })?;
    let policies = in_force(&version, None, &checks::infos()).map_err(ExitError::bad_use)?;
    Ok(Side { label: format!("{}@{wanted}", record.id), text: version.text, json: version.json, policies })
}

fn effect(global: &Global, before: &[Policy], after: &[Policy]) -> Result<Option<Effect>> {
    // Without a state there is no night; the text is compared all the same.
    let settings = open::settings(global)?;
    if open::existing(&settings.state_dir).is_err() {
        return Ok(None);
    }
    let cx = simulate::stored(global, Some(after.to_vec()))?;
    let old = backtest(&cx, &Ruleset::compile(before)?, &Nights::Last)?;
    let new = backtest(&cx, &cx.rules, &Nights::Last)?;
    let Some(night) = new.nights.iter().chain(&old.nights).max().copied() else { return Ok(None) };
    let unknown = |simulation: &Simulation| simulation.unknown.values().sum();
    let unknown = (unknown(&old), unknown(&new));
    let (old, new) = (by_rule(old), by_rule(new));
    let lacks = |from: &BTreeMap<Place, Finding>, other: &BTreeMap<Place, Finding>| -> Vec<Finding> {
        from.iter().filter(|(place, _)| !other.contains_key(*place)).map(|(_, finding)| finding.clone()).collect()
    };
    let same = old.keys().filter(|place| new.contains_key(*place)).count();
    Ok(Some(Effect { night, appear: lacks(&new, &old), vanish: lacks(&old, &new), same, unknown }))
}

/// Resource and rule: the policy's own name may differ between two files.
type Place = (String, String);

/// What counts as a violation; what is merely watched is not one yet.
fn by_rule(simulation: Simulation) -> BTreeMap<Place, Finding> {
    let found = simulation.found.into_iter().map(|found| found.finding).filter(Finding::counts);
    found.map(|finding| ((finding.key.to_string(), finding.rule.clone()), finding)).collect()
}

fn effect_text(effect: &Effect) -> String {
    let night = effect.night.format("%Y-%m-%d %H:%M UTC");
    let mut text = format!("\nOn the night of {night}:\n");
    for (sign, list) in [("+", &effect.appear), ("-", &effect.vanish)] {
        for finding in list {
            let monthly =
                finding.savings.monthly.map_or_else(|| "price unknown".to_owned(), |usd| format!("{usd} a month"));
            let line = format!("{sign} {} ({}): {}, {monthly}", finding.key.id, finding.name, finding.message);
            text.push_str(&format!("{}\n", clean(&line)));
        }
    }
    let sum = |list: &[Finding]| {
        list.iter().filter_map(|finding| finding.savings.monthly).fold(Usd::ZERO, |sum, usd| sum + usd)
    };
    text.push_str(&format!(
        "{} findings appear ({} a month), {} vanish ({} a month), {} stay\n",
        effect.appear.len(),
        sum(&effect.appear),
        effect.vanish.len(),
        sum(&effect.vanish),
        effect.same
    ));
    if effect.unknown != (0, 0) {
        text.push_str(&format!(
            "{} verdicts before and {} after depend on something that was not read that night\n",
            effect.unknown.0, effect.unknown.1
        ));
    }
    text
}

impl<'a> EffectJson<'a> {
    fn of(effect: &'a Effect) -> EffectJson<'a> {
        let list = |findings: &'a [Finding]| findings.iter().map(|one| FindingJson::of(one, effect.night)).collect();
        EffectJson {
            night: effect.night,
            appear: list(&effect.appear),
            vanish: list(&effect.vanish),
            unchanged: effect.same,
            unknown_before: effect.unknown.0,
            unknown_after: effect.unknown.1,
        }
    }
}
