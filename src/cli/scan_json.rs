//! What `scan -o json` prints, and `costwarden schema scan` describes.
//!
//! The scan's head, what could be read, the findings, the sums, and what was asked of the cloud. Sums speak of open
//! findings; of several on one resource one alone counts in dollars, as in the reports. A score is `null` without data.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{FindingJson, Findings};
use super::output::SCHEMA_VERSION;
use crate::domain::Instant;
use crate::domain::finding::{Finding, Severity};
use crate::domain::inventory::{Coverage, Status};
use crate::domain::money::Usd;
use crate::domain::report::Level;
use crate::domain::scan::{RequestCount, Scan};
use crate::engine::score::ScanSummary;
use crate::engine::summarize::{watching, winners};

/// The whole document.
#[derive(Serialize, JsonSchema)]
pub struct ScanDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The scan.
    pub scan: ScanHead<'a>,
    /// One row per account, Region and kind: how far it was read.
    pub coverage: Vec<CoverageJson<'a>>,
    /// The findings.
    #[schemars(with = "Vec<FindingJson<'a>>")]
    pub findings: Findings<'a>,
    /// The sums.
    pub summary: SummaryJson,
    /// Requests by service and operation.
    pub requests: Vec<RequestJson<'a>>,
}

/// Which scan.
#[derive(Serialize, JsonSchema)]
pub struct ScanHead<'a> {
    /// `s-` and its start.
    pub id: &'a str,
    /// When it began.
    pub started_at: Instant,
    /// When it ended; `null` when it did not.
    pub finished_at: Option<Instant>,
    /// The account, when there was one alone; see `accounts`.
    pub account: Option<&'a str>,
    /// Every account, sorted.
    pub accounts: BTreeSet<&'a str>,
    /// Every Region, sorted.
    pub regions: BTreeSet<&'a str>,
    /// Every row of `coverage` was read to its end and is believed.
    pub complete: bool,
}

/// How far one kind was read in one place.
#[derive(Serialize, JsonSchema)]
pub struct CoverageJson<'a> {
    /// Twelve digits.
    pub account: &'a str,
    /// For example `eu-central-1`.
    pub region: &'a str,
    /// For example `storage/volume`.
    pub kind: &'static str,
    /// `complete`, `partial` or `failed`.
    pub status: Status,
    /// Pages that arrived.
    pub pages: u32,
    /// Resources on them.
    pub resources: u64,
    /// What went wrong, in words.
    pub error: Option<&'a str>,
    /// Why a complete listing is not believed.
    pub suspect: Option<&'a str>,
}

/// The sums of a scan.
#[derive(Serialize, JsonSchema)]
pub struct SummaryJson {
    /// Resources that were read.
    pub resources: u64,
    /// 0 to 100 over complete partitions, two decimals; `null` without data.
    pub compliance_score: Option<f64>,
    /// The score in a word, by the unrounded score.
    pub level: Level,
    /// Open findings by severity; every severity is there.
    pub by_severity: BTreeMap<&'static str, u64>,
    /// Dollars a month of the open findings whose price is known.
    pub monthly_savings_usd: f64,
    /// Open findings that this sum lacks because their price is not known.
    pub not_priced: u64,
    /// What looks like waste and is not proven yet; in no other sum.
    pub watching: WatchingJson,
    /// Verdicts that could not be given, by check.
    pub unknown: BTreeMap<String, u64>,
}

/// What looks like waste and is not proven yet.
#[derive(Serialize, JsonSchema)]
pub struct WatchingJson {
    /// How many findings.
    pub findings: u64,
    /// Dollars a month of those whose price is known.
    pub monthly_savings_usd: f64,
    /// How many have no known price.
    pub not_priced: u64,
}

/// Requests to one operation.
#[derive(Serialize, JsonSchema)]
pub struct RequestJson<'a> {
    /// For example `ec2`.
    pub service: &'a str,
    /// For example `DescribeInstances`.
    pub operation: &'a str,
    /// Calls.
    pub count: u64,
    /// Attempts beyond the first of each.
    pub retries: u64,
    /// What they cost in dollars; `null` where the price is not known.
    pub usd: Option<f64>,
}

impl<'a> ScanDocument<'a> {
    /// The document of a scan: `summary` is what the engine folded, `findings` are the open and excepted ones.
    pub fn new(scan: &'a Scan, summary: &ScanSummary, findings: &'a [Finding], now: Instant) -> ScanDocument<'a> {
        let accounts: BTreeSet<&str> = scan.coverage.iter().map(|row| row.partition.place.account.as_str()).collect();
        ScanDocument {
            schema_version: SCHEMA_VERSION,
            scan: ScanHead {
                id: &scan.id,
                started_at: scan.started_at,
                finished_at: scan.finished_at,
                account: accounts.first().copied().filter(|_| accounts.len() == 1),
                accounts,
                regions: scan.coverage.iter().map(|row| row.partition.place.region.as_str()).collect(),
                complete: scan.complete(),
            },
            coverage: scan.coverage.iter().map(CoverageJson::of).collect(),
            findings: Findings { list: findings, now },
            summary: SummaryJson::of(scan, summary, findings),
            requests: scan.requests.iter().map(RequestJson::of).collect(),
        }
    }
}

impl<'a> CoverageJson<'a> {
    fn of(row: &'a Coverage) -> CoverageJson<'a> {
        CoverageJson {
            account: row.partition.place.account.as_str(),
            region: row.partition.place.region.as_str(),
            kind: row.partition.kind.name(),
            status: row.status,
            pages: row.pages,
            resources: row.resources,
            error: row.error.as_deref(),
            suspect: row.suspect.as_deref(),
        }
    }
}

impl<'a> RequestJson<'a> {
    fn of(row: &'a RequestCount) -> RequestJson<'a> {
        RequestJson {
            service: &row.service,
            operation: &row.operation,
            count: row.count,
            retries: row.retries,
            usd: row.usd.map(Usd::as_f64),
        }
    }
}

impl SummaryJson {
    fn of(scan: &Scan, summary: &ScanSummary, findings: &[Finding]) -> SummaryJson {
        let open: Vec<&Finding> = findings.iter().filter(|finding| finding.counts()).collect();
        let winners = winners(&open);
        let counted = || open.iter().filter(|finding| winners.contains(&finding.id));
        let count = |severity: Severity| open.iter().filter(|finding| finding.severity == severity).count() as u64;
        let watched = watching(findings);
        let score = summary.score();
        SummaryJson {
            resources: scan.resources.values().sum(),
            compliance_score: score.map(|score| (score.percent * 100.0).round() / 100.0),
            level: score.map_or(Level::Unknown, |score| score.level),
            by_severity: Severity::ALL.map(|severity| (severity.word(), count(severity))).into(),
            monthly_savings_usd: counted().filter_map(|finding| finding.savings.monthly).sum::<Usd>().as_f64(),
            not_priced: counted().filter(|finding| finding.savings.monthly.is_none()).count() as u64,
            watching: WatchingJson {
                findings: watched.count,
                monthly_savings_usd: watched.monthly.as_f64(),
                not_priced: watched.unpriced,
            },
            unknown: scan.unknown.clone(),
        }
    }
}
