//! `plan`: what is due now, what is held and why. Reads the cloud once per due resource; changes nothing there.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono::TimeDelta;
use clap::Args as ClapArgs;
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::app;
use crate::clock::Clock;
use crate::domain::money::Usd;
use crate::domain::plan::{Held, HoldCode, Plan, Step};
use crate::worker::context::Context;
use crate::worker::jobs::plan::{PlanOutcome, plan};

/// Flags of `plan`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Write the plan into a file, for `apply`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// List what is held, not only count it
    #[arg(long)]
    held: bool,
    /// List what falls due within this time as well, for example 7d or 36h
    #[arg(long, value_name = "TIME", value_parser = span)]
    until: Option<TimeDelta>,
    /// Exit with 7 when something is due
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What `plan -o json` prints.
#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    plan: &'a Plan,
    held: &'a [Held],
}

/// Plans and prints.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let cx = context(global).await?;
    let outcome = plan(&cx, true).await?;
    if let Some(file) = &args.out {
        write(file, &outcome.plan)?;
    }
    if global.output == Format::Json {
        output::json(&Document { schema_version: SCHEMA_VERSION, plan: &outcome.plan, held: &outcome.held })?;
    } else {
        output::print(&text(&cx, args, &outcome))?;
        if let Some(file) = &args.out {
            output::tell(&format!("written to {}; apply it with: costwarden apply {0}", file.display()));
        }
    }
    exit(&cx, args, &outcome)
}

/// A context that reads the settings' accounts and writes our own state.
pub async fn context(global: &Global) -> anyhow::Result<Context> {
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    open::existing(&settings.state_dir)?;
    let store = open::store(&settings)?;
    let reader = app::reader(&settings).await?;
    app::context(settings, &policies, store, reader, Clock::System)
}

/// Writes a plan file whole or not at all.
pub fn write(file: &std::path::Path, plan: &Plan) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(plan).context("making the plan file")?;
    output::file(file, (text + "\n").as_bytes())
}

/// The plan for people.
pub fn text(cx: &Context, args: &Args, outcome: &PlanOutcome) -> String {
    let mut text = header(cx, &outcome.plan);
    text.push_str(&steps(&outcome.plan.steps));
    if let Some(within) = args.until {
        let soon: Vec<&Held> = outcome
            .held
            .iter()
            .filter(|held| {
                held.code == HoldCode::InGrace && held.due_at.is_some_and(|due| due <= outcome.plan.created_at + within)
            })
            .collect();
        text.push_str(&format!(
            "\nFalls due by {}:\n",
            (outcome.plan.created_at + within).format("%Y-%m-%d %H:%M UTC")
        ));
        text.push_str(&rows(&soon));
    }
    text.push_str("\nHeld:\n");
    if args.held {
        text.push_str(&rows(&outcome.held.iter().collect::<Vec<_>>()));
    } else {
        text.push_str(&counts(&outcome.held));
    }
    text
}

fn header(cx: &Context, plan: &Plan) -> String {
    let accounts: Vec<String> = cx
        .settings
        .accounts
        .iter()
        .map(|account| {
            let regions: Vec<&str> = account.regions.iter().map(|region| region.as_str()).collect();
            format!("{} ({})", account.id, regions.join(", "))
        })
        .collect();
    format!(
        "Plan {} of {}, mode {}\nAccounts: {}\n",
        plan.id,
        plan.created_at.format("%Y-%m-%d %H:%M UTC"),
        cx.settings.enforcement.mode.word(),
        accounts.join("; ")
    )
}

fn steps(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "\nNothing is due now.\n".to_owned();
    }
    let rows = steps.iter().map(|step| {
        vec![
            step.finding.to_string(),
            step.words(),
            step.key.id.to_string(),
            step.name.clone(),
            format!("{}/{}", step.policy, step.rule),
            step.monthly.map_or("unknown".into(), Usd::plain),
            if step.backup.is_empty() { "none".to_owned() } else { format!("snapshot {}", step.backup.join(", ")) },
            step.message.clone(),
        ]
    });
    let columns = ["FINDING", "ACT", "RESOURCE", "NAME", "POLICY/RULE", "USD/MONTH", "BACKUP FIRST", "WHY"];
    format!("\nDue now:\n{}", output::table(&columns, rows))
}

fn rows(held: &[&Held]) -> String {
    if held.is_empty() {
        return "  nothing\n".to_owned();
    }
    output::table(
        &["FINDING", "RESOURCE", "NAME", "WOULD", "HELD", "WHY"],
        held.iter().map(|row| {
            vec![
                row.finding.to_string(),
                row.key.id.to_string(),
                row.name.clone(),
                row.act.map_or_else(String::new, |act| act.words().to_owned()),
                row.code.word().to_owned(),
                row.reason.clone(),
            ]
        }),
    )
}

fn counts(held: &[Held]) -> String {
    if held.is_empty() {
        return "  nothing\n".to_owned();
    }
    let mut by_code: std::collections::BTreeMap<HoldCode, (u64, &str)> = std::collections::BTreeMap::new();
    for row in held {
        by_code.entry(row.code).or_insert((0, &row.reason)).0 += 1;
    }
    output::table(
        &["HELD", "COUNT", "FOR EXAMPLE"],
        by_code
            .into_iter()
            .map(|(code, (count, reason))| vec![code.word().to_owned(), count.to_string(), reason.to_owned()]),
    )
}

fn exit(cx: &Context, args: &Args, outcome: &PlanOutcome) -> anyhow::Result<Exit> {
    let incomplete = match cx.last_scan()? {
        Some((scan, _)) if scan.complete() => Exit::Done,
        _ => Exit::Incomplete,
    };
    let held = outcome.held.iter().any(|row| matches!(row.code, HoldCode::Frozen | HoldCode::Breaker));
    let due = args.detailed_exitcode && !outcome.plan.steps.is_empty();
    Ok(incomplete.and(if held { Exit::Held } else { Exit::Done }).and(if due { Exit::ActionsDue } else { Exit::Done }))
}

fn span(text: &str) -> Result<TimeDelta, String> {
    let bad = || format!("{text:?} is no length of time; accepted: a whole number with d or h, for example 7d or 36h");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: i64 = number.parse().ok().filter(|number| (0..=3650 * 24).contains(number)).ok_or_else(bad)?;
    match unit {
        "d" => Ok(TimeDelta::days(number)),
        "h" => Ok(TimeDelta::hours(number)),
        _ => Err(bad()),
    }
}
