//! H44: what a report tells of acts, against the account's own log, in both directions.

use costwarden::domain::finding::Act;
use costwarden::domain::report::Report;

use crate::director::Director;

/// Everything that had its effect in the period is told, and not as if nothing had been done; nothing else is told as
/// done.
pub fn against_the_truth(director: &Director, report: &Report) {
    let (sent, changes) = (director.with(|inner| inner.book.sent.clone()), director.cloud.changes());
    for row in report.acts.iter().filter(|row| row.status == "completed") {
        // A stop of what people had stopped in that very moment is seen and right, though it changed nothing.
        let theirs = changes.iter().any(|change| change.target == row.resource);
        let ours = sent.iter().any(|own| own.effective && own.resource == row.resource && own.act == row.act);
        let lie = (!theirs && !ours).then(|| format!("{} of {} is told as done", row.act, row.resource));
        director.judge("I18", lie);
    }
    let within = |at| report.period_start <= at && at < report.period_end;
    for own in sent.iter().filter(|own| own.effective) {
        // It is told with the day of its end, which may be another one's; a row that lacks is told nowhere.
        let row = director.store.remediation(own.row).ok().flatten();
        if row.as_ref().is_some_and(|row| !within(row.updated_at)) || (row.is_none() && !within(own.at)) {
            continue;
        }
        let told = report.acts.iter().find(|told| told.id == format!("r-{}", own.row));
        let about = |what: &str| format!("{} of {} at {} had its effect and {what}", own.act, own.resource, own.at);
        let broken = match told {
            None => Some(about("is not told")),
            Some(told) if told.resource != own.resource || told.act != own.act => Some(about("is told of another")),
            // A resize that was taken back came to nothing, and says so.
            Some(told) if told.status == "skipped" && own.act != Act::ResizeInstance => {
                Some(about(&format!("is told as {}", told.status)))
            }
            Some(_) => None,
        };
        director.judge("I18", broken);
    }
    director.with(|inner| inner.tally.did(REPORTS, 1));
}

/// What reports are counted under.
pub const REPORTS: &str = "reports judged";
