//! Findings and what happened to them.
//!
//! The document is the finding; the columns beside it are copies that the queries need. Events are append only.
//! A whole partition is written by `scans.rs`; the journal and the outbox move single findings in their own commits,
//! with the helpers below.

use std::collections::{HashMap, HashSet};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, Transaction, params, params_from_iter};

use super::error::{Fault, Inner};
use super::{Result, Store, row};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent, FindingId, OpenRemediation, Phase, Severity, State};
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Kind, Partition, ResourceKey};

/// Which findings to list; an empty list or `None` restricts nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindingFilter {
    /// States.
    pub states: Vec<State>,
    /// Phases, as of the last write; [`Store::findings_at`] asks for those of an instant.
    pub phases: Vec<Phase>,
    /// Severities.
    pub severities: Vec<Severity>,
    /// The policy's name.
    pub policy: Option<String>,
    /// The account.
    pub account: Option<AccountId>,
    /// The owner's address.
    pub owner: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// What the columns say of a finding that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// Which.
    pub finding: FindingId,
    /// The account that it lies in.
    pub account: AccountId,
    /// Since when it is due.
    pub due_at: Instant,
    /// What the bill would drop by a month; `None` where nobody knows.
    pub monthly: Option<Usd>,
    /// Who is told; `None` when nobody can be.
    pub owner: Option<String>,
}

/// Longest list of findings that an abbreviated id may stand for.
const MOST_BY_PREFIX: i64 = 20;

impl Store {
    /// The resources of a partition that have findings, and whether one of them is open or excepted: what a reconcile
    /// joins with, which then reads [`Store::findings_on`] one resource at a time.
    pub fn resources_with_findings(&self, partition: &Partition) -> Result<HashMap<ResourceKey, bool>> {
        self.read(format_args!("reading which resources of {partition} have findings"), |connection| {
            let place = &partition.place;
            let mut statement = connection.prepare_cached(
                "SELECT resource, MAX(state IN ('open', 'excepted')) FROM finding
                 WHERE account = ?1 AND region = ?2 AND kind = ?3 GROUP BY resource",
            )?;
            let mut rows =
                statement.query(params![place.account.as_str(), place.region.as_str(), partition.kind.name()])?;
            let mut found = HashMap::new();
            while let Some(row) = rows.next()? {
                let text = row.get_ref(0)?.as_str().map_err(|error| Fault::document("finding", error))?;
                let key: ResourceKey = text.parse().map_err(|error| Fault::document("finding's resource", error))?;
                // One copy of account and Region for all of them.
                found.insert(partition.key(&key.id), row.get(1)?);
            }
            Ok(found)
        })
    }

    /// Every finding on one resource, whatever its state, ordered by id.
    pub fn findings_on(&self, resource: &ResourceKey) -> Result<Vec<Finding>> {
        self.read(format_args!("reading the findings on {resource}"), |connection| {
            select(connection, "WHERE resource = ?1 ORDER BY id", params![resource.to_string()])
        })
    }

    /// Findings that a scan made or confirmed at an instant or later, whatever became of them since, ordered by id.
    pub fn findings_seen_since(&self, since: Instant) -> Result<Vec<Finding>> {
        self.read(format_args!("reading the findings seen since {since}"), |connection| {
            select(connection, "WHERE seen_at >= ?1 ORDER BY id", params![row::micros(since)])
        })
    }

    /// Every open or excepted finding, ordered by id.
    pub fn findings_open(&self) -> Result<Vec<Finding>> {
        self.read(format_args!("reading the open findings"), not_closed)
    }

    /// Findings that a filter lets through: worst severity first, then most dollars a month, then id.
    pub fn findings(&self, filter: &FindingFilter) -> Result<Vec<Finding>> {
        self.read(format_args!("listing findings"), |connection| {
            let (clause, values) = where_clause(filter);
            select_where(connection, &clause, values)
        })
    }

    /// Open findings of a policy on a kind that fell due later than `after` and are due by `now`, in no order: the
    /// columns alone, without the documents.
    pub fn due_of_policy(&self, policy: &str, kind: Kind, after: Option<Instant>, now: Instant) -> Result<Vec<DueRow>> {
        self.read(format_args!("reading what policy {policy:?} fell due on"), |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, account, due_at, monthly, owner FROM finding
                 WHERE state = 'open' AND due_at > ?3 AND due_at <= ?4 AND policy = ?1 AND kind = ?2",
            )?;
            let after = after.map_or(i64::MIN, row::micros);
            let mut rows = statement.query(params![policy, kind.name(), after, row::micros(now)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let account: String = row.get(1)?;
                found.push(DueRow {
                    finding: FindingId(row.get(0)?),
                    account: AccountId::new(&account).map_err(|error| Fault::document("finding's account", error))?,
                    due_at: row::instant(row.get(2)?)?,
                    monthly: row.get::<_, Option<i64>>(3)?.map(Usd),
                    owner: row.get(4)?,
                });
            }
            Ok(found)
        })
    }

    /// As [`Store::findings`], with the phase that each has at `now` in place of the one at its last write.
    pub fn findings_at(&self, filter: &FindingFilter, now: Instant) -> Result<Vec<Finding>> {
        let everything = FindingFilter { phases: Vec::new(), limit: None, ..filter.clone() };
        let mut found = self.findings(&everything)?;
        for finding in &mut found {
            finding.phase = finding.phase_at(now);
        }
        found.retain(|finding| filter.phases.is_empty() || filter.phases.contains(&finding.phase));
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    /// One finding.
    pub fn finding(&self, id: &FindingId) -> Result<Option<Finding>> {
        self.read(format_args!("reading finding {id}"), |connection| load(connection, id))
    }

    /// Findings whose id begins with `text`, with or without its `f-`; at most 20, ordered by id. More than one means
    /// that the person must type more.
    pub fn finding_by_prefix(&self, text: &str) -> Result<Vec<Finding>> {
        let digits = text.strip_prefix("f-").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let first = format!("f-{}", digits.to_ascii_lowercase());
        self.read(format_args!("looking for finding {first}…"), |connection| {
            // Every id that continues the prefix sorts before the prefix followed by a byte above the digits.
            let (last, most) = (format!("{first}~"), MOST_BY_PREFIX);
            select(connection, "WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3", params![first, last, most])
        })
    }

    /// Writes findings, with what happened to them, in one transaction. What the journal says of an open act wins
    /// over `remediation` in the documents.
    pub fn update_findings(&self, findings: &[Finding], events: &[FindingEvent]) -> Result<()> {
        self.write(format_args!("writing {} findings", findings.len()), |transaction| {
            let acting = acting(transaction)?;
            for finding in findings {
                match as_journal_says(finding, &acting) {
                    Some(corrected) => save(transaction, &corrected)?,
                    None => save(transaction, finding)?,
                }
            }
            append_events(transaction, events)
        })
    }

    /// Changes one finding as it is at that moment, in one transaction; `change` returns the events to append.
    /// For single decisions of people, which must not undo what a scan, a delivery or an act wrote in between.
    pub fn modify_finding(
        &self,
        id: &FindingId,
        change: impl FnOnce(&mut Finding) -> Vec<FindingEvent>,
    ) -> Result<Finding> {
        self.write(format_args!("changing finding {id}"), |transaction| {
            let mut finding = load(transaction, id)?.ok_or_else(|| Fault::Missing(format!("finding {id}")))?;
            let events = change(&mut finding);
            save(transaction, &finding)?;
            append_events(transaction, &events)?;
            Ok(finding)
        })
    }

    /// What happened to a finding, in order.
    pub fn finding_events(&self, id: &FindingId) -> Result<Vec<FindingEvent>> {
        self.read(format_args!("reading the history of finding {id}"), |connection| {
            events(connection, "WHERE finding = ?1 ORDER BY seq", params![id.0])
        })
    }

    /// What happened with `from <= at < to`, in the order in which it was written.
    pub fn events_between(&self, from: Instant, to: Instant) -> Result<Vec<FindingEvent>> {
        self.read(format_args!("reading what happened from {from} to {to}"), |connection| {
            let span = params![row::micros(from), row::micros(to)];
            events(connection, "WHERE at >= ?1 AND at < ?2 ORDER BY seq", span)
        })
    }
}

/// Findings that are not closed, inside whatever transaction runs.
pub(super) fn not_closed(connection: &Connection) -> Inner<Vec<Finding>> {
    select(connection, "WHERE state IN ('open', 'excepted') ORDER BY id", params![])
}

/// One finding, inside whatever transaction runs.
pub(super) fn load(connection: &Connection, id: &FindingId) -> Inner<Option<Finding>> {
    Ok(select(connection, "WHERE id = ?1", params![id.0])?.into_iter().next())
}

/// Findings whose act is under way.
pub(super) fn acting(connection: &Connection) -> Inner<HashSet<FindingId>> {
    let mut statement = connection.prepare_cached("SELECT finding FROM remediation WHERE ended = 0")?;
    let rows = statement.query_map([], |row| Ok(FindingId(row.get(0)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The finding marked as acting, where an act is open and the document misses it.
pub(super) fn as_journal_says(finding: &Finding, acting: &HashSet<FindingId>) -> Option<Finding> {
    let missed = acting.contains(&finding.id) && finding.remediation != Some(OpenRemediation::Acting);
    missed.then(|| Finding { remediation: Some(OpenRemediation::Acting), phase: Phase::Acting, ..finding.clone() })
}

/// Inserts or replaces one finding. `detected_at` of an existing one stays, whatever the document says.
pub(super) fn save(transaction: &Transaction<'_>, finding: &Finding) -> Inner<()> {
    let key = &finding.key;
    let doc = row::to_json("finding", finding)?;
    transaction
        .prepare_cached(
            "INSERT INTO finding (id, account, region, kind, resource, policy, rule, severity, state, phase, owner,
                                  detected_at, seen_at, due_at, closed_at, monthly, doc)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
             ON CONFLICT (id) DO UPDATE SET severity = ?8, state = ?9, phase = ?10, owner = ?11, seen_at = ?13,
                                            due_at = ?14, closed_at = ?15, monthly = ?16, doc = ?17",
        )?
        .execute(params![
            finding.id.0,
            key.account().as_str(),
            key.region().as_str(),
            key.kind().name(),
            key.to_string(),
            finding.policy,
            finding.rule,
            finding.severity.word(),
            finding.state.word(),
            finding.phase.word(),
            finding.owner,
            row::micros(finding.detected_at),
            row::micros(finding.seen_at),
            finding.clock.due_at.map(row::micros),
            finding.closed_at.map(row::micros),
            finding.savings.monthly.map(|usd| usd.0),
            doc
        ])?;
    Ok(())
}

/// Appends to the history of findings.
pub(super) fn append_events<'a>(
    transaction: &Transaction<'_>,
    events: impl IntoIterator<Item = &'a FindingEvent>,
) -> Inner<()> {
    let mut statement =
        transaction.prepare_cached("INSERT INTO finding_event (finding, at, what, detail) VALUES (?1, ?2, ?3, ?4)")?;
    for event in events {
        statement.execute(params![event.finding.0, row::micros(event.at), event.what, event.detail])?;
    }
    Ok(())
}

/// What [`collect`] takes.
const SELECT: &str = "SELECT doc, id, resource, state FROM finding";

fn select(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<Finding>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} {clause}"))?;
    collect(statement.query(params)?)
}

fn select_where(connection: &Connection, clause: &str, values: Vec<Value>) -> Inner<Vec<Finding>> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} {clause}"))?;
    collect(statement.query(params_from_iter(values))?)
}

fn collect(mut rows: rusqlite::Rows<'_>) -> Inner<Vec<Finding>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(|error| Fault::document("finding", error));
        let finding: Finding = row::from_json("finding", text(0)?)?;
        let key = finding.key.to_string();
        row::agree("finding", &[(text(1)?, &*finding.id.0), (text(2)?, &*key), (text(3)?, finding.state.word())])?;
        found.push(finding);
    }
    Ok(found)
}

fn where_clause(filter: &FindingFilter) -> (String, Vec<Value>) {
    let mut terms: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut one_of = |column: &str, words: Vec<&str>| {
        if !words.is_empty() {
            let marks = vec!["?"; words.len()].join(", ");
            terms.push(format!("{column} IN ({marks})"));
            values.extend(words.into_iter().map(|word| Value::Text(word.to_owned())));
        }
    };
    one_of("state", filter.states.iter().map(|state| state.word()).collect());
    one_of("phase", filter.phases.iter().map(|phase| phase.word()).collect());
    one_of("severity", filter.severities.iter().map(|severity| severity.word()).collect());
    one_of("policy", filter.policy.as_deref().into_iter().collect());
    one_of("account", filter.account.as_ref().map(AccountId::as_str).into_iter().collect());
    one_of("owner", filter.owner.as_deref().into_iter().collect());
    let mut clause = if terms.is_empty() { String::new() } else { format!("WHERE {}", terms.join(" AND ")) };
    clause.push_str(
        " ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END,
          monthly DESC NULLS LAST, id",
    );
    if let Some(limit) = filter.limit {
        clause.push_str(" LIMIT ?");
        values.push(Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX)));
    }
    (clause, values)
}

fn events(connection: &Connection, clause: &str, params: &[&dyn rusqlite::ToSql]) -> Inner<Vec<FindingEvent>> {
    let sql = format!("SELECT finding, at, what, detail FROM finding_event {clause}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(event(row)?);
    }
    Ok(found)
}

fn event(row: &Row<'_>) -> Inner<FindingEvent> {
    Ok(FindingEvent {
        finding: FindingId(row.get(0)?),
        at: row::instant(row.get(1)?)?,
        what: row.get(2)?,
        detail: row.get(3)?,
    })
}
