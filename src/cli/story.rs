//! The demo's timeline: what a person who was away for weeks wants to read, in 120 columns.
//!
//! `demo` calls it after each job. It reads the state between two jobs and tells only what is new: who was told what,
//! what was done behind which backup, what is held and why (each reason once), budgets, gaps. Nights that brought
//! nothing are counted and not told. It decides nothing.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::output;
use crate::app::WorldApp;
use crate::domain::Instant;
use crate::domain::finding::{Act, Finding, FindingId};
use crate::domain::guard::{Switches, switched_off};
use crate::domain::plan::HoldCode;
use crate::domain::remediation::{JournalState, Remediation};
use crate::domain::report::Report;
use crate::domain::text::clean;
use crate::engine::plan::select;
use crate::store::{FILE_NAME, Store};
use crate::worker::jobs::plan::{input, posture};
use crate::worker::nightly::Nightly;
use crate::worker::play::Played;
use crate::worker::schedule::Job;

/// Columns of a line.
const WIDTH: usize = 120;
/// Columns before the words of a line: day, time, what it is about.
const INDENT: usize = 29;

/// Tells what happened, once each.
pub struct Story {
    silent: bool,
    told_until: Instant,
    held: HashSet<(FindingId, HoldCode)>,
    last_scan: String,
    quiet_nights: u32,
    day: String,
}

/// One thing that happened.
struct Row {
    at: Instant,
    word: &'static str,
    text: String,
}

impl Story {
    /// A story from `start` on; a silent one tells nothing.
    pub fn new(silent: bool, start: Instant) -> Story {
        Story {
            silent,
            told_until: start,
            held: HashSet::new(),
            last_scan: String::new(),
            quiet_nights: 0,
            day: String::new(),
        }
    }

    /// What this is.
    ///
    /// # Errors
    /// When stdout refuses.
    pub fn opening(&self, app: &WorldApp, days: u32) -> anyhow::Result<()> {
        self.line(&format!(
            "World {:?}, simulated: {} accounts, {days} days from {}, mode {}. Nothing here is real.",
            app.world.name,
            app.world.accounts.len(),
            app.world.start.format("%a %d %b %Y"),
            app.settings.enforcement.mode.word()
        ))?;
        self.line("Times are UTC. Nights and slots that brought nothing new are left out.\n")
    }

    /// Everything between the last call and now.
    ///
    /// # Errors
    /// When the state or stdout refuses.
    pub fn tell(&mut self, nightly: &Nightly, played: &Played) -> anyhow::Result<()> {
        let cx = nightly.context();
        let until = cx.clock.now() + chrono::TimeDelta::microseconds(1);
        let from = std::mem::replace(&mut self.told_until, until);
        let mut rows = events(&cx.store, &cx.switches(), from, until)?;
        for (at, alert) in cx.store.budget_alerts_between(from, until)? {
            let text = format!("{}: {} % of {} spent ({})", alert.rule, alert.percent, alert.limit, alert.spent);
            rows.push(Row { at, word: "budget", text });
        }
        rows.extend(cx.store.remediations_between(from, until)?.iter().map(acted));
        rows.sort_by_key(|row| row.at);
        if played.job == Job::Act && !played.missed {
            rows.extend(self.holds(nightly)?);
        }
        if let Some(row) = self.job(played, rows.is_empty()) {
            rows.insert(0, row);
        }
        rows.iter().try_for_each(|row| self.row(row))
    }

    /// The job itself, unless it brought nothing that anybody would miss.
    fn job(&mut self, played: &Played, alone: bool) -> Option<Row> {
        let (word, text) = match (&played.result, played.job) {
            (Err(why), job) => ("missed", format!("{job} of {}: {why}", played.slot.format("%a %d %b %H:%M"))),
            (Ok(report), Job::Scan) => {
                // What a scan always says comes first; who was told, gaps and budgets follow when there are any.
                let usual = report.message.split(", ").take(2).collect::<Vec<_>>().join(", ");
                let extra = usual != report.message;
                let same = std::mem::replace(&mut self.last_scan, usual.clone()) == usual;
                if same && alone && !extra && !played.made_up {
                    self.quiet_nights += 1;
                    return None;
                }
                let late = if played.made_up { "made up for the night without the worker: " } else { "" };
                ("scan", format!("{late}{}", report.message))
            }
            (Ok(_), Job::Act) if alone => return None,
            (Ok(report), Job::Act) => ("act", report.message.clone()),
            (Ok(_), Job::Daily) => return None,
            (Ok(report), Job::Weekly) => ("report", format!("weekly report {}", report.message)),
        };
        let word = if played.missed || played.result.is_ok() { word } else { "FAILED" };
        Some(Row { at: played.at, word, text })
    }

    /// Held findings that are worth a word, each reason once.
    fn holds(&mut self, nightly: &Nightly) -> anyhow::Result<Vec<Row>> {
        use HoldCode::{Breaker, Incomplete, Managed, NotAvailable, Pace, Protected, ReportedOnly};
        let cx = nightly.context();
        let posture = posture(&cx)?;
        let open = cx.store.findings_open()?;
        let mut rows = Vec::new();
        for held in select(&input(&cx, &posture, &open, false)).held {
            let telling =
                matches!(held.code, Incomplete | Pace | ReportedOnly | NotAvailable | Breaker | Protected | Managed);
            if telling && self.held.insert((held.finding.clone(), held.code)) {
                let text = format!("{}: {}", called(held.key.id.as_ref(), &held.name), held.reason);
                rows.push(Row { at: cx.clock.now(), word: "held", text });
            }
        }
        Ok(rows)
    }

    /// How it stands in the end, and where everything lies.
    ///
    /// # Errors
    /// When stdout refuses.
    pub fn closing(&mut self, folder: &Path, mails: usize, first: &Path, report: &Report) -> anyhow::Result<()> {
        self.tell_quiet_nights()?;
        let realised = &report.realised;
        output::line("")?;
        output::line(&format!("In the end: {}", report.headline))?;
        output::line(&format!(
            "Done by itself: {} acts that save {} a month, {} of it so far.\n",
            realised.acts, realised.monthly, realised.to_date
        ))?;
        let pdf = if cfg!(feature = "pdf") { ", the reports with their PDF" } else { "" };
        output::line(&format!("Left in {}:", folder.display()))?;
        output::line(&format!("  mail/           {mails} mails as .eml{pdf}"))?;
        output::line("  last-plan.json  what is due and what is held on the last day")?;
        output::line(&format!(
            "  {FILE_NAME:<14}  the state; try: costwarden findings list --db {}",
            folder.display()
        ))?;
        output::line(&format!("Open first: {}", first.display()))
    }

    fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.tell_quiet_nights()?;
        let day = row.at.format("%a %d %b").to_string();
        let shown = if day == self.day { "" } else { &day };
        let start = format!("{shown:<10} {}  {:<9}  ", row.at.format("%H:%M"), row.word);
        let text = wrapped(&clean(&row.text), WIDTH - INDENT).join(&format!("\n{:INDENT$}", ""));
        self.line(&format!("{start}{text}"))?;
        self.day = day;
        Ok(())
    }

    fn tell_quiet_nights(&mut self) -> anyhow::Result<()> {
        match std::mem::take(&mut self.quiet_nights) {
            0 => Ok(()),
            1 => self.line(&format!("{:INDENT$}(a quiet night)", "")),
            nights => self.line(&format!("{:INDENT$}({nights} quiet nights)", "")),
        }
    }

    fn line(&self, text: &str) -> anyhow::Result<()> {
        if self.silent { Ok(()) } else { output::line(text) }
    }
}

/// What happened to findings: one row per message to an owner, and one per finding that was kept, closed or undone.
fn events(store: &Store, switches: &Switches, from: Instant, until: Instant) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut told: BTreeMap<(Instant, String), Vec<Finding>> = BTreeMap::new();
    for event in store.events_between(from, until)? {
        let Some(finding) = store.finding(&event.finding)? else { continue };
        let name = called(finding.key.id.as_ref(), &finding.name);
        let (word, text) = match event.what.as_str() {
            "notified" => {
                told.entry((event.at, event.detail)).or_default().push(finding);
                continue;
            }
            "excepted" => ("kept", format!("{name}: {}", event.detail)),
            "exception_ended" => ("kept", format!("{name}, no longer; a full new grace starts: {}", event.detail)),
            "resolved" => ("closed", format!("{name}: {}", event.detail)),
            "reversed" => ("undone", format!("{name}: its owner changed it back, so it is left alone from now on")),
            // What is found is counted in the scan's line; acts are told from the journal.
            _ => continue,
        };
        rows.push(Row { at: event.at, word, text });
    }
    for ((at, detail), findings) in told {
        let Some((kind, to)) = detail.split_once(" notice delivered to ") else { continue };
        let kind = match kind {
            "done" => continue,
            "escalation" => "second",
            other => other,
        };
        let names: Vec<String> =
            findings.iter().map(|finding| called(finding.key.id.as_ref(), &finding.name)).collect();
        // What no handler will do is told, and has no date.
        let done = |finding: &&Finding| finding.act().is_some_and(|act| switched_off(act, switches).is_none());
        let due = findings.iter().filter(done).filter_map(|finding| finding.clock.due_at).min();
        let due = due.map(|due| format!("; acts from {}", due.format("%a %d %b %H:%M"))).unwrap_or_default();
        rows.push(Row { at, word: "told", text: format!("{to}, {kind} notice: {}{due}", names.join(", ")) });
    }
    Ok(rows)
}

/// What the journal says about one act.
fn acted(act: &Remediation) -> Row {
    let name = called(act.step.key.id.as_ref(), &act.step.name);
    let (word, text) = match act.state {
        JournalState::Done => {
            let word = match act.step.act {
                Act::StopInstance => "stopped",
                Act::DeleteVolume | Act::DeleteSnapshot | Act::ExpireSnapshot => "deleted",
                Act::ExpireImage => "deregistered",
                Act::ModifyVolume => "modified",
                Act::ReleaseAddress => "released",
                Act::AddTags => "tagged",
                _ => "done",
            };
            let backups: Vec<&str> = act.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref()).collect();
            let backup = match backups.len() {
                0 => String::new(),
                1 => format!(", after the verified snapshot {}", backups[0]),
                _ => format!(", after the verified snapshots {}", backups.join(", ")),
            };
            (word, format!("{name}{backup}"))
        }
        JournalState::Stuck => ("STUCK", format!("{} {name}: {}", act.step.act.words(), act.message)),
        state if state.ended() => ("refused", format!("{} {name}: {}", act.step.act.words(), act.message)),
        _ => ("waiting", format!("{} {name}: {}", act.step.act.words(), act.message)),
    };
    Row { at: act.updated_at, word, text }
}

/// A resource for people: its id, and its name where it has one of its own.
fn called(id: &str, name: &str) -> String {
    if name.is_empty() || name == id { id.to_owned() } else { format!("{id} ({name})") }
}

/// Breaks at spaces; a word that is too long stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_at_spaces_and_lose_nothing() {
        let text = "could not be judged in the last scan: CPU: CloudWatch answered InternalError";
        let lines = wrapped(text, 30);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= 30), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped("a-word-that-is-longer-than-that", 10), ["a-word-that-is-longer-than-that"]);
    }

    #[test]
    fn a_resource_without_a_name_of_its_own_is_its_id() {
        assert_eq!(called("vol-0a", ""), "vol-0a");
        assert_eq!(called("vol-0a", "vol-0a"), "vol-0a");
        assert_eq!(called("vol-0a", "archive"), "vol-0a (archive)");
    }
}
