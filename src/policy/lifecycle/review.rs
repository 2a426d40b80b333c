//! Asking people, and their answers (L6, L7).

use super::{Audience, By, Moved, Refusal, authors, refuse, settled};
use crate::domain::lifecycle::{PolicyRecord, Review, Reviewer, Stage};
use crate::domain::person::{same_name, same_person};
use crate::domain::text::clean;
use crate::policy::is_mail_address;

/// Sends a draft to its reviewers.
///
/// # Errors
/// Not a draft; no reviewer; a reviewer without a mail address, or who wrote it.
pub fn submit(record: &PolicyRecord, by: By<'_>, reviewers: &[String]) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    if moved.record.stage != Stage::Draft {
        return Err(refuse(&moved.record, "only a draft can be submitted"));
    }
    moved.record.reviewers = checked(&moved.record, reviewers)?;
    moved.record.stage = Stage::Review;
    ask(&mut moved, by, "submitted");
    Ok(moved)
}

/// One reviewer's yes; with the last one the version is approved. A second yes of the same person changes nothing.
///
/// # Errors
/// Not in review, not a reviewer, or the reviewer's own work.
pub fn approve(record: &PolicyRecord, by: By<'_>, comment: Option<&str>) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    let who = reviewer(&moved.record, by, "approved")?;
    let Some(review) = &mut moved.record.review else {
        return Err(refuse(&moved.record, "it has no review"));
    };
    let answer = &mut review.reviewers[who];
    if answer.approved_at.is_some() {
        return Ok(Moved::new(record.clone()));
    }
    answer.approved_at = Some(by.at);
    answer.comment = comment.map(str::to_owned).filter(|text| !text.trim().is_empty());
    let said = answer.comment.clone().map_or_else(String::new, |text| format!(": {text}"));
    let (waiting, complete) = (review.waiting().join(", "), review.complete());
    let rest = if complete { "by all reviewers".to_owned() } else { format!("waiting for {waiting}") };
    moved.event(by, "approved", format!("{rest}{said}"));
    let to = Audience::People(authors(&moved.record));
    if complete {
        moved.record.stage = Stage::Approved;
        moved.record.approved_at = Some(by.at);
        moved.tell(
            to,
            "approved",
            format!("All reviewers approved it, {} last{said}. It can be activated now.", by.who),
        );
    } else {
        moved.tell(to, "approved", format!("{} approved it{said}. It still waits for {waiting}.", by.who));
    }
    Ok(moved)
}

/// One reviewer's no, with the reason: back to draft.
///
/// # Errors
/// Not in review, not a reviewer, or no reason.
pub fn request_changes(record: &PolicyRecord, by: By<'_>, reason: &str) -> Result<Moved, Refusal> {
    let mut moved = settled(record, by);
    reviewer(&moved.record, by, "sent back")?;
    if reason.trim().is_empty() {
        return Err(refuse(&moved.record, "the reason is empty, and the author needs one"));
    }
    moved.record.stage = Stage::Draft;
    moved.record.review = None;
    moved.event(by, "changes_requested", reason.trim());
    let to = Audience::People(authors(&moved.record));
    moved.tell(to, "changes_requested", format!("{} asks for changes: {}", by.who, reason.trim()));
    Ok(moved)
}

/// Begins a round: nobody has answered, everybody is asked.
pub(super) fn ask(moved: &mut Moved, by: By<'_>, what: &'static str) {
    let record = &mut moved.record;
    let reviewers = record.reviewers.iter();
    record.review = Some(Review {
        seq: record.seq,
        asked_by: by.who.to_owned(),
        asked_at: by.at,
        reviewers: reviewers.map(|who| Reviewer { who: who.clone(), approved_at: None, comment: None }).collect(),
    });
    let names = record.reviewers.join(", ");
    moved.event(by, what, format!("to {names}"));
    let to = Audience::People(moved.record.reviewers.clone());
    moved.tell(to, "submitted", format!("{} asks for your review, and of all of: {names}.", by.who));
}

/// Reviewers that may be asked, each once.
pub(super) fn checked(record: &PolicyRecord, given: &[String]) -> Result<Vec<String>, Refusal> {
    let mut found: Vec<String> = Vec::new();
    for name in given.iter().map(|name| name.trim()) {
        if !is_mail_address(name) {
            return Err(refuse(record, format!("the reviewer {:?} is not a mail address", clean(name))));
        }
        if let Some(author) = authors(record).iter().find(|author| same_person(author, name)) {
            return Err(refuse(record, format!("{} wrote it and may not review it", clean(author))));
        }
        if !found.iter().any(|known| same_person(known, name)) {
            found.push(name.to_owned());
        }
    }
    if found.is_empty() {
        return Err(refuse(record, "no reviewer is named, so nobody could ever approve it"));
    }
    Ok(found)
}

/// Which reviewer speaks.
fn reviewer(record: &PolicyRecord, by: By<'_>, doing: &str) -> Result<usize, Refusal> {
    let who = clean(by.who);
    if record.stage != Stage::Review {
        return Err(refuse(record, format!("only what is in review can be {doing}")));
    }
    if authors(record).iter().any(|author| same_person(author, by.who)) {
        return Err(refuse(record, format!("{who} wrote it and may not review it")));
    }
    let of = |review: &Review| review.reviewers.iter().position(|one| same_name(&one.who, by.who));
    record.review.as_ref().and_then(of).ok_or_else(|| refuse(record, format!("{who} is not one of its reviewers")))
}
