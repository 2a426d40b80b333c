//! A person accepts a state that is older than what was done with it (safety.md, H16): what is forgotten with it.
//!
//! Grace periods begin anew and armings end, because the owners' answers and the people's decisions since the copy are
//! not known. Journal rows go on at a number that no lost row can have had: the cloud's snapshots are found by it.

use rusqlite::params;
use serde_json::json;

use super::audit::{self, AuditEntry};
use super::findings::{append_events, not_closed, save};
use super::{Result, Store, anchor, row, set_meta};
use crate::domain::Instant;
use crate::domain::finding::{Finding, FindingEvent};

/// Free numbers between the last journal row that is known and the next: more than any day's acts.
const ROOM: i64 = 10_000;

/// What accepting changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Why the state was in doubt.
    pub why: String,
    /// How often a copy was accepted, plus one.
    pub epoch: i64,
    /// Findings whose grace period begins anew.
    pub restarted: usize,
    /// Accounts that were armed.
    pub disarmed: usize,
    /// The journal goes on after this row.
    pub after_row: i64,
}

impl Store {
    /// Takes this state as it is for the latest one; `None` when nothing speaks against that. One commit. `restart` makes
    /// a finding's grace period begin anew. The freeze stays for a person to lift.
    pub fn accept_put_back(&self, by: &str, now: Instant, restart: impl Fn(&mut Finding)) -> Result<Option<Accepted>> {
        let Some(why) = self.put_back()? else { return Ok(None) };
        let accepted = self.write(format_args!("accepting the state as it is"), |transaction| {
            let (epoch, rows) = anchor::settle(transaction, self.path())?;
            let (epoch, after_row) = (epoch + 1, rows + ROOM);
            set_meta(transaction, "epoch", &epoch.to_string())?;
            if transaction.execute("UPDATE sqlite_sequence SET seq = ?1 WHERE name = 'remediation'", [after_row])? == 0
            {
                transaction
                    .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('remediation', ?1)", [after_row])?;
            }
            let micros = row::micros(now);
            let disarmed =
                transaction.execute("UPDATE arming SET until = ?1 - 1 WHERE until >= ?1", params![micros])?;
            let mut restarted = 0;
            for mut finding in not_closed(transaction)? {
                restart(&mut finding);
                save(transaction, &finding)?;
                let detail = "the state was put back from an older copy; a new full grace period begins".to_owned();
                let event = FindingEvent { finding: finding.id, at: now, what: "restarted".into(), detail };
                append_events(transaction, [&event])?;
                restarted += 1;
            }
            let accepted = Accepted { why: why.clone(), epoch, restarted, disarmed, after_row };
            let entry = AuditEntry {
                actor: by.to_owned(),
                what: "accept_state".into(),
                subject: "state".into(),
                detail: json!({ "why": why, "epoch": epoch, "restarted": restarted, "disarmed": disarmed }),
            };
            audit::append(transaction, now, &entry)?;
            match self.path() {
                // Its anchor goes first: should the commit fail, the state is in doubt as before.
                Some(path) => anchor::write(path, &anchor::Anchor::of(transaction)?).map(|()| accepted),
                None => Ok(accepted),
            }
        });
        accepted.map(Some)
    }
}
