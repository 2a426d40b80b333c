//! New versions (L4, L5), and the switch of the mode as one (P15).

use super::change::{self, change_type, differences};
use super::review::{ask, checked};
use super::{Audience, By, Content, Moved, Refusal, authors, refuse, settled};
use crate::domain::lifecycle::{Brake, ChangeType, PolicyRecord, PolicyVersion, Stage};
use crate::domain::person::same_person;
use crate::policy::EnforcementMode;

/// What an edit says beside the document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Edit<'a> {
    /// The change in words; derived from the documents when absent.
    pub summary: Option<&'a str>,
    /// Reviewers in place of the last ones.
    pub reviewers: Option<&'a [String]>,
}

/// A new version of the document. Minor or major is derived from what changed. In review and approved every edit
/// begins the review anew; on an active policy a minor one is in force at once, a major one is reviewed while the old
/// version stays in force.
///
/// # Errors
/// Archived; another policy's document; nothing changed since the last version; no reviewer is left to ask.
pub fn update(
    record: &PolicyRecord,
    last: &PolicyVersion,
    content: &Content,
    by: By<'_>,
    edit: Edit<'_>,
) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    let stage = moved.record.stage;
    if stage == Stage::Archived {
        return Err(refuse(&moved.record, "an archived policy does not change any more"));
    }
    if content.name != record.name {
        let problem = format!(
            "the document is named {:?}, this policy {:?}; findings go by the name, so another name is another policy",
            content.name, record.name
        );
        return Err(refuse(&moved.record, problem));
    }
    if content.hash == last.hash {
        let problem =
            format!("the document says the same as version {} (comments and layout do not count)", last.version);
        return Err(refuse(&moved.record, problem));
    }
    let found = differences(&last.json, &content.json);
    let change = change_type(&found);
    let summary = edit.summary.map(str::to_owned).filter(|text| !text.trim().is_empty());
    let summary = summary.unwrap_or_else(|| change::summary(&found));
    let before = authors(&moved.record);
    // On top of a version that nobody reviewed, such as a major one of a deprecated policy, words are not words alone.
    let on_force = moved.record.current.as_ref().is_some_and(|current| current.seq == moved.record.seq);
    write(&mut moved, content, by, change, &summary);

    let asks = match stage {
        Stage::Draft | Stage::Deprecated | Stage::Archived => false,
        Stage::Review | Stage::Approved => true,
        Stage::Active => change == ChangeType::Major,
    };
    let mut told = before;
    if asks {
        moved.record.reviewers = reviewers(&moved.record, by, edit.reviewers)?;
        moved.record.stage = Stage::Review;
        moved.record.next = None;
        ask(&mut moved, by, "submitted");
    } else {
        told.extend(moved.record.reviewers.clone());
        let serves = on_force && change == ChangeType::Minor && matches!(stage, Stage::Active | Stage::Deprecated);
        if let (true, Some(current)) = (serves, &mut moved.record.current) {
            (current.seq, current.version, current.from) = (moved.record.seq, moved.record.version, by.at);
            if stage == Stage::Active {
                moved.record.authors.clear();
            }
        }
    }
    told.retain(|name| !same_person(name, by.who));
    moved.tell(Audience::People(told), "updated", format!("{} changed it ({change}): {summary}", by.who));
    Ok(moved)
}

/// Another mode, as a version of its own. Like every change of behaviour it is major and reviewed; but where it is
/// milder than what is in force, the version in force is limited to it at once: doing less waits for nobody.
///
/// # Errors
/// As [`update`].
pub fn switch_mode(
    record: &PolicyRecord,
    last: &PolicyVersion,
    content: &Content,
    mode: EnforcementMode,
    by: By<'_>,
) -> Result<Moved, Refusal> {
    let summary = format!("Mode {}", mode.word());
    let mut moved = update(record, last, content, by, Edit { summary: Some(&summary), reviewers: None })?;
    let brake = match mode {
        EnforcementMode::Enforce => None,
        EnforcementMode::Monitor => Some(Brake::Monitor),
        EnforcementMode::Disabled => Some(Brake::Disabled),
    };
    if moved.record.in_force(by.at).is_some() && brake > moved.record.brake {
        moved.record.brake = brake;
        moved.event(by, "braked", format!("the version in force is limited to {} at once", mode.word()));
    }
    Ok(moved)
}

fn write(moved: &mut Moved, content: &Content, by: By<'_>, change: ChangeType, summary: &str) {
    let record = &mut moved.record;
    record.seq += 1;
    record.version = record.version.after(change);
    record.hash.clone_from(&content.hash);
    if !record.authors.iter().any(|known| same_person(known, by.who)) {
        record.authors.push(by.who.to_owned());
    }
    moved.version = Some(PolicyVersion {
        policy: record.id.clone(),
        seq: record.seq,
        version: record.version,
        hash: content.hash.clone(),
        change,
        summary: summary.to_owned(),
        by: by.who.to_owned(),
        at: by.at,
        format: content.format.clone(),
        text: content.text.clone(),
        json: content.json.clone(),
    });
    moved.event(by, "updated", format!("{change}: {summary}"));
}

/// Who reviews the edited version: the given ones, else the last ones without those who wrote it by now.
fn reviewers(record: &PolicyRecord, by: By<'_>, given: Option<&[String]>) -> Result<Vec<String>, Refusal> {
    if let Some(given) = given {
        return checked(record, given);
    }
    let authors = authors(record);
    let left: Vec<String> = record
        .reviewers
        .iter()
        .filter(|reviewer| !authors.iter().any(|author| same_person(author, reviewer)))
        .cloned()
        .collect();
    if left.is_empty() {
        let problem = format!("no reviewer would be left, as {} may not review this edit; name others", by.who);
        return Err(refuse(record, problem));
    }
    Ok(left)
}
