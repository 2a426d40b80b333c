//! `simulate`: what policies would have found, done and saved on nights that were read before, and where they would
//! have been wrong.
//!
//! Over the stored nights of the state, an invented resource, or a whole world. Nothing is written: the state is opened
//! for reading alone, and worlds live in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{NaiveDate, TimeDelta};
use clap::Args as ClapArgs;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::exit::{Exit, ExitError};
use super::json::FindingJson;
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open, world};
use crate::app::{self, WorldApp};
use crate::checks;
use crate::clock::Clock;
use crate::cloud::none::NoCloud;
use crate::cloud::sim::World;
use crate::domain::Instant;
use crate::domain::mode::Mode;
use crate::domain::money::Usd;
use crate::domain::report::Amounts;
use crate::domain::text::clean;
use crate::engine::simulate::{Found, Simulation};
use crate::policy::Policy;
use crate::policy::document::parse_yaml;
use crate::settings::{self, read_text};
use crate::store::Store;
use crate::worker::context::Context;
use crate::worker::simulate::{Nights, backtest, nights_of_world};

/// Nights that an invented resource lives through.
const INVENTED_NIGHTS: i64 = 30;

/// Flags of `simulate`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Policy files and folders; the policies in force when absent. May be given several times
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Judge this stored night alone, by its scan's id or its day; all nights when absent
    #[arg(long, value_name = "NIGHT", conflicts_with_all = ["resource", "world"])]
    night: Option<String>,
    /// An invented resource in place of the state: a file with lists as in a Region of a world (docs/worlds.md)
    #[arg(long, value_name = "FILE", conflicts_with = "world")]
    resource: Option<PathBuf>,
    #[command(flatten)]
    world: world::WorldArgs,
}

/// Simulates and prints.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let given = if args.policy.is_empty() {
        None
    } else {
        Some(settings::load_policies(&args.policy, &checks::infos()).map_err(ExitError::bad_use)?)
    };
    let world = match &args.resource {
        Some(file) => Some((invented(file)?, INVENTED_NIGHTS)),
        None => args.world.open_at_start()?,
    };
    let (cx, nights) = match world {
        Some((mut app, days)) => {
            let until = args.world.until().unwrap_or(app.world.start + TimeDelta::days(days));
            if let Some(policies) = given {
                app.policies = policies;
            } else if args.resource.is_some() && (global.config.is_some() || PathBuf::from("costwarden.toml").exists())
            {
                app.policies = open::policies(&open::settings(global)?)?;
            }
            let cx = app.context(Store::in_memory()?)?;
            nights_of_world(&cx, until).await?;
            (cx, Nights::All)
        }
        None => {
            let cx = stored(global, given)?;
            let nights = nights_of(&cx, args.night.as_deref())?;
            (cx, nights)
        }
    };
    let simulation = backtest(&cx, &cx.rules, &nights)?;
    if simulation.nights.is_empty() {
        return Err(ExitError::with(
            Exit::Incomplete,
            "no night was stored that could be judged: run `costwarden scan`",
        ));
    }
    print(global, &cx, &simulation)?;
    Ok(Exit::Done)
}

/// The state of the settings, for reading alone, with the given policies or those in force.
pub fn stored(global: &Global, given: Option<Vec<Policy>>) -> anyhow::Result<Context> {
    let settings = open::settings(global)?;
    let policies = match given {
        Some(policies) => policies,
        None => open::policies(&settings)?,
    };
    let store = open::read_store(&settings)?;
    app::context(settings, &policies, store, Arc::new(NoCloud), Clock::System)
}

fn nights_of(cx: &Context, given: Option<&str>) -> anyhow::Result<Nights> {
    let Some(given) = given else { return Ok(Nights::All) };
    let stored = cx.store.trusted_nights()?;
    let nights = match given.parse::<NaiveDate>() {
        Ok(day) => Nights::Day(day),
        Err(_) => Nights::Scan(given.to_owned()),
    };
    let known = stored.iter().any(|(scan, at, _)| match &nights {
        Nights::Day(day) => at.date_naive() == *day,
        Nights::Scan(id) => scan == id,
        Nights::All | Nights::Last => true,
    });
    if known {
        return Ok(nights);
    }
    let mut days: Vec<String> = stored.iter().map(|(_, at, _)| at.date_naive().to_string()).collect();
    days.dedup();
    let accepted = if days.is_empty() { "none is stored yet".to_owned() } else { days.join(", ") };
    Err(ExitError::bad_use(format!("--night {:?} is not stored; accepted: {accepted}", clean(given))))
}

/// A world around what a file invents.
fn invented(file: &Path) -> anyhow::Result<WorldApp> {
    let text = read_text(file).map_err(ExitError::bad_use)?;
    let nodes = parse_yaml(file, &text).map_err(ExitError::bad_use)?;
    let lists = ["instances", "volumes", "snapshots", "addresses", "images"];
    let mut region = match nodes.first().map(|node| node.to_json()) {
        Some(Value::Object(map)) if nodes.len() == 1 => map,
        _ => {
            return Err(ExitError::bad_use(format!(
                "{}: one document is accepted, with one or more of the lists {}",
                file.display(),
                lists.join(", ")
            )));
        }
    };
    let mut taken = |key: &str, default: &str| match region.remove(key) {
        Some(Value::String(text)) => text,
        _ => default.to_owned(),
    };
    let (account, name) = (taken("account", "111122223333"), taken("region", "us-east-1"));
    let world = json!({
        "name": "invented",
        "start": "2026-01-05T00:00:00Z",
        "days": INVENTED_NIGHTS,
        "accounts": { account: { "regions": { name: region } } },
    });
    let world = World::parse(&format!("{world:#}\n"), &file.display().to_string()).map_err(ExitError::bad_use)?;
    WorldApp::open(world, Mode::Observe)
}

/// What `simulate -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct SimulateDocument<'a> {
    /// Version of this shape.
    schema_version: u32,
    /// The nights that were judged.
    nights: &'a [Instant],
    /// The policies' names.
    policies: Vec<&'a str>,
    /// Everything that was found.
    found: Vec<FoundJson<'a>>,
    /// The sums.
    totals: Totals,
    /// Verdicts that depended on something unknown, by rule.
    unknown: &'a std::collections::BTreeMap<String, u64>,
}

/// One finding of a simulation.
#[derive(Serialize, JsonSchema)]
pub struct FoundJson<'a> {
    /// As it was on the last night on which it was seen.
    finding: FindingJson<'a>,
    /// On how many nights it was violated.
    nights: u32,
    /// When it would have been acted on; `null` is never.
    acted_at: Option<Instant>,
    /// By which act.
    act: Option<&'static str>,
    /// Saved from the act to the last night; `null` without an act or a price.
    saved_usd: Option<f64>,
    /// When the resource was used again; `null` is never.
    used_again_at: Option<Instant>,
    /// By what.
    used_again: Option<&'a str>,
}

/// The sums of a simulation.
#[derive(Serialize, JsonSchema)]
pub struct Totals {
    /// Findings.
    found: usize,
    /// What those with a price cost a month.
    monthly_usd: f64,
    /// Findings without a price.
    unpriced: u64,
    /// Acted on.
    acted: usize,
    /// Saved by the last night.
    saved_usd: f64,
    /// Used again later.
    false_positives: usize,
    /// Used again after the act.
    wrong_acts: usize,
}

fn totals(simulation: &Simulation) -> (Totals, Amounts, Usd) {
    let mut amounts = Amounts::default();
    simulation.found.iter().for_each(|found| amounts.add(found.finding.savings.monthly));
    let saved = simulation.found.iter().filter_map(|found| found.saved).fold(Usd::ZERO, |sum, usd| sum + usd);
    let totals = Totals {
        found: simulation.found.len(),
        monthly_usd: amounts.monthly.as_f64(),
        unpriced: amounts.unpriced,
        acted: simulation.found.iter().filter(|found| found.acted.is_some()).count(),
        saved_usd: saved.as_f64(),
        false_positives: simulation.false_positives().count(),
        wrong_acts: simulation.wrong_acts().count(),
    };
    (totals, amounts, saved)
}

fn print(global: &Global, cx: &Context, simulation: &Simulation) -> anyhow::Result<()> {
    let now = simulation.nights.last().copied().context("a judged night")?;
    let (totals, amounts, saved) = totals(simulation);
    if global.output == Format::Json {
        return output::json(&SimulateDocument {
            schema_version: SCHEMA_VERSION,
            nights: &simulation.nights,
            policies: cx.rules.policy_names(),
            found: simulation.found.iter().map(|found| FoundJson::of(found, now)).collect(),
            totals,
            unknown: &simulation.unknown,
        });
    }
    if !simulation.found.is_empty() {
        let rows = simulation.found.iter().map(row);
        output::print(&output::table(
            &["RESOURCE", "RULE", "NIGHTS", "A MONTH", "WOULD HAVE ACTED", "USED AGAIN"],
            rows,
        ))?;
        output::line("")?;
    }
    let unpriced =
        if amounts.unpriced > 0 { format!(" and {} without a price", amounts.unpriced) } else { String::new() };
    output::line(&format!(
        "{} nights, {} found, {} a month{unpriced}; {} acted on, {saved} saved by the last night; \
         {} used again later, {} of them after the act",
        simulation.nights.len(),
        totals.found,
        amounts.monthly,
        totals.acted,
        totals.false_positives,
        totals.wrong_acts,
    ))?;
    for (rule, count) in &simulation.unknown {
        output::tell(&format!("unknown: {} verdicts of {}: nothing is concluded from them", count, clean(rule)));
    }
    output::tell("every notice counts as delivered at once, and modes, arming and pace hold nothing back");
    Ok(())
}

fn row(found: &Found) -> Vec<String> {
    let finding = &found.finding;
    let day = |at: &Instant| at.format("%Y-%m-%d").to_string();
    vec![
        format!("{} ({})", finding.key.id, finding.name),
        format!("{}/{}", finding.policy, finding.rule),
        found.nights.to_string(),
        finding.savings.monthly.map_or_else(|| "unknown".to_owned(), |usd| usd.to_string()),
        found.acted.as_ref().map_or_else(
            || super::json::not_acted_on(finding).map_or_else(|| "not yet due".to_owned(), |why| format!("no: {why}")),
            |(act, at)| format!("{} {}", act.words(), day(at)),
        ),
        found.used_again.as_ref().map_or_else(String::new, |(at, how)| format!("{} {how}", day(at))),
    ]
}

impl<'a> FoundJson<'a> {
    fn of(found: &'a Found, now: Instant) -> FoundJson<'a> {
        FoundJson {
            finding: FindingJson::of(&found.finding, now),
            nights: found.nights,
            acted_at: found.acted.map(|(_, at)| at),
            act: found.acted.map(|(act, _)| act.word()),
            saved_usd: found.saved.map(Usd::as_f64),
            used_again_at: found.used_again.as_ref().map(|(at, _)| *at),
            used_again: found.used_again.as_ref().map(|(_, how)| how.as_str()),
        }
    }
}
