//! `policy apply DIR`: a folder of files as the source, the store as what follows it.
//!
//! A new file is a draft, a changed one an update with everything that the life cycle asks for, and a policy whose file
//! is gone is told and left alone: nothing goes out of force because a file was not there.

use std::path::PathBuf;

use super::{Desk, PolicyError};
use crate::domain::lifecycle::{ChangeType, Stage};
use crate::policy::lifecycle::{By, Content, Edit, change_type, differences, summary};

/// What an import does with one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The policy's name.
    pub name: String,
    /// Its id; `None` for one that a dry run would create.
    pub id: Option<String>,
    /// What became of it.
    pub what: Import,
    /// Its file; `None` when that is gone.
    pub file: Option<PathBuf>,
    /// In words.
    pub detail: String,
}

/// What becomes of a policy in an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// A new draft.
    New,
    /// A new version.
    Changed(ChangeType),
    /// The store has it already.
    Unchanged,
    /// In the store, and in no file.
    Gone,
    /// The life cycle does not allow the change.
    Refused,
}

impl Import {
    /// The word in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            Import::New => "new",
            Import::Changed(ChangeType::Minor) => "changed (minor)",
            Import::Changed(ChangeType::Major) => "changed (major)",
            Import::Unchanged => "unchanged",
            Import::Gone => "gone",
            Import::Refused => "refused",
        }
    }
}

/// Imports documents, or tells what importing them would do. Files in order, then what is gone, by name.
///
/// # Errors
/// The state cannot be read or written. What the life cycle refuses is a row, not an error.
pub fn import(
    desk: &Desk<'_>,
    documents: &[(PathBuf, Content)],
    by: By<'_>,
    dry_run: bool,
) -> Result<Vec<Imported>, PolicyError> {
    let known = desk.store.policies()?;
    let alive = || known.iter().filter(|record| !matches!(record.stage, Stage::Archived));
    let mut rows = Vec::new();
    for (file, content) in documents {
        let mut row = Imported {
            name: content.name.clone(),
            id: None,
            what: Import::New,
            file: Some(file.clone()),
            detail: "a draft of version 0.1.0".to_owned(),
        };
        // Of several with the name, the one that is or comes in force last.
        let found = alive()
            .filter(|record| record.name == content.name)
            .max_by_key(|record| (record.stage != Stage::Deprecated, record.created_at));
        match found {
            None if dry_run => {}
            None => row.id = Some(desk.create(content, by)?.record.id),
            Some(record) => {
                row.id = Some(record.id.clone());
                let (_, last) = desk.latest(&record.id)?;
                if last.hash == content.hash {
                    row.what = Import::Unchanged;
                    row.detail = format!("version {}, {}", record.version, record.stage_at(by.at));
                } else {
                    let found = differences(&last.json, &content.json);
                    let change = change_type(&found);
                    row.what = Import::Changed(change);
                    row.detail = format!("{} → {}: {}", record.version, record.version.after(change), summary(&found));
                    if !dry_run {
                        match desk.update(&record.id, content, by, Edit::default()) {
                            Ok(done) => row.detail = format!("{}; now {}", row.detail, done.record.stage),
                            Err(PolicyError::Refused(refusal)) => {
                                (row.what, row.detail) = (Import::Refused, refusal.to_string());
                            }
                            Err(other) => return Err(other),
                        }
                    }
                }
            }
        }
        rows.push(row);
    }
    for record in alive().filter(|record| documents.iter().all(|(_, content)| content.name != record.name)) {
        rows.push(Imported {
            name: record.name.clone(),
            id: Some(record.id.clone()),
            what: Import::Gone,
            file: None,
            detail: format!("stays {} at version {}: deprecate it to end it", record.stage_at(by.at), record.version),
        });
    }
    Ok(rows)
}
