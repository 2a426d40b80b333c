//! `scan`: reads the cloud, records findings, prints them. Never acts, never tells anybody.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args as ClapArgs;

use super::exit::{Exit, ExitError};
use super::output::{self, Format};
use super::scan_json::ScanDocument;
use super::world::WorldArgs;
use super::{Global, interrupt, open};
use crate::app;
use crate::clock::Clock;
use crate::domain::Instant;
use crate::domain::finding::{Finding, Severity};
use crate::domain::place::{AccountId, Kind, Place, Region};
use crate::worker::context::Context;
use crate::worker::jobs::scan::{Choice, ScanOutcome, scan};
use crate::worker::supervise::Work;

const NO_ACCOUNT: &str =
    "no account to scan: list accounts under [[accounts]] in the settings, or give --account and --region";

/// Flags of `scan`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    world: WorldArgs,
    /// Read this account in place of the settings' list
    #[arg(long, value_name = "ID", value_parser = AccountId::new)]
    account: Option<AccountId>,
    /// Read these Regions in place of the settings' list
    #[arg(long, value_name = "REGION", value_parser = Region::new)]
    region: Vec<Region>,
    /// Print findings of this policy only
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Print findings of at least this severity
    #[arg(long, value_name = "SEVERITY")]
    severity: Option<Severity>,
    /// Print findings on this kind only, for example storage/volume
    #[arg(long = "type", value_name = "KIND")]
    kind: Option<Kind>,
    /// Exit with 3 when a finding of at least this severity is open
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// Believe listings that shrank beyond the inventory floor: you have looked
    #[arg(long)]
    accept_shrink: bool,
    /// Write the JSON document into a file as well
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Scans and prints.
pub async fn run(global: &Global, args: &Args) -> anyhow::Result<Exit> {
    let cx = match args.world.open()? {
        Some(world) => world.context(args.world.store(global)?)?,
        None => {
            let settings = open::settings(global)?;
            let policies = open::policies(&settings)?;
            if settings.accounts.is_empty() && args.account.is_none() {
                return Err(ExitError::bad_use(NO_ACCOUNT));
            }
            let reader = app::reader(&settings).await?;
            let store = open::store(&settings)?;
            app::context(settings, &policies, store, reader, Clock::System)?
        }
    };
    let choice = Choice { places: places(&cx, args)?, accept_shrink: args.accept_shrink };
    let work = Work::default();
    let (outcome, stopped) = interrupt::watch(&work, scan(&cx, &choice, &work)).await;
    let outcome = outcome?;
    let now = cx.clock.now();
    let findings = findings(&cx, args, &outcome)?;
    print(global, args, &outcome, &findings, now)?;
    Ok(exit(args, &outcome, &findings).and(stopped))
}

fn places(cx: &Context, args: &Args) -> anyhow::Result<Option<Vec<Place>>> {
    if args.account.is_none() && args.region.is_empty() {
        if cx.places().is_empty() {
            return Err(ExitError::bad_use(NO_ACCOUNT));
        }
        return Ok(None);
    }
    let known = cx.places();
    let accounts: Vec<AccountId> = match &args.account {
        Some(account) => vec![account.clone()],
        None => {
            let mut all: Vec<AccountId> = known.iter().map(|place| place.account.clone()).collect();
            all.dedup();
            all
        }
    };
    let chosen: Vec<Place> = accounts
        .iter()
        .flat_map(|account| {
            let regions: Vec<Region> = if args.region.is_empty() {
                known.iter().filter(|place| &place.account == account).map(|place| place.region.clone()).collect()
            } else {
                args.region.clone()
            };
            regions.into_iter().map(|region| Place { account: account.clone(), region })
        })
        .collect();
    if chosen.is_empty() {
        return Err(ExitError::bad_use("this account is not in the settings: give --region as well"));
    }
    Ok(Some(chosen))
}

/// Open and excepted findings of what was scanned, worst first, as the flags ask.
fn findings(cx: &Context, args: &Args, outcome: &ScanOutcome) -> anyhow::Result<Vec<Finding>> {
    let scanned: std::collections::HashSet<_> = outcome.scan.coverage.iter().map(|row| row.partition.clone()).collect();
    let mut found: Vec<Finding> = cx
        .store
        .findings_open()
        .context("reading the findings")?
        .into_iter()
        .filter(|finding| {
            scanned.contains(&finding.key.partition)
                && args.policy.as_ref().is_none_or(|policy| &finding.policy == policy)
                && args.severity.is_none_or(|least| finding.severity >= least)
                && args.kind.is_none_or(|kind| finding.key.kind() == kind)
        })
        .collect();
    found.sort_by(|left, right| {
        right
            .severity
            .cmp(&left.severity)
            .then_with(|| right.savings.monthly.cmp(&left.savings.monthly))
            .then_with(|| left.id.cmp(&right.id))
    });
    Ok(found)
}

fn print(
    global: &Global,
    args: &Args,
    outcome: &ScanOutcome,
    findings: &[Finding],
    now: Instant,
) -> anyhow::Result<()> {
    let document = ScanDocument::new(&outcome.scan, &outcome.summary, findings, now);
    if let Some(file) = &args.out {
        let text = serde_json::to_vec_pretty(&document).context("making JSON")?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    if global.output == Format::Json {
        return output::json(&document);
    }
    output::print(&super::findings::table_of(findings, now))?;
    output::line(&summary_line(outcome, findings))?;
    for gap in outcome.scan.gaps() {
        let why = gap.error.as_deref().or(gap.suspect.as_deref()).unwrap_or("not read to its end");
        output::tell(&format!("incomplete: {}: {}", gap.partition, crate::domain::text::clean(why)));
    }
    if args.world.as_of_given() {
        output::tell(&format!("as of {}", now.format("%Y-%m-%d %H:%M UTC")));
    }
    Ok(())
}

fn summary_line(outcome: &ScanOutcome, findings: &[Finding]) -> String {
    let resources: u64 = outcome.scan.resources.values().sum();
    let open: Vec<&Finding> = findings.iter().filter(|finding| finding.counts()).collect();
    let winners = crate::engine::summarize::winners(&open);
    let mut amounts = crate::domain::report::Amounts::default();
    open.iter()
        .filter(|finding| winners.contains(&finding.id))
        .for_each(|finding| amounts.add(finding.savings.monthly));
    let watching = crate::engine::summarize::watching(findings);
    let score = match outcome.summary.score() {
        Some(score) => format!("score {:.1} % ({})", score.percent, score.level.word().replace('_', "-")),
        None => "no score: nothing was read completely".to_owned(),
    };
    let requests: u64 = outcome.scan.requests.iter().map(|row| row.count).sum();
    format!(
        "{resources} resources; {} open findings, {} a month{}; {} watched; {score}; {requests} requests",
        open.len(),
        amounts.monthly,
        if amounts.unpriced > 0 { format!(" and {} without a price", amounts.unpriced) } else { String::new() },
        watching.count,
    )
}

fn exit(args: &Args, outcome: &ScanOutcome, findings: &[Finding]) -> Exit {
    let incomplete = if outcome.scan.complete() { Exit::Done } else { Exit::Incomplete };
    let failing =
        args.fail_on.is_some_and(|least| findings.iter().any(|finding| finding.counts() && finding.severity >= least));
    incomplete.and(if failing { Exit::Findings } else { Exit::Done })
}
