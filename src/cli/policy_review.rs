//! `policy review`: the quarterly look at every policy, as text, JSON or PDF, and by mail (T7).

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args as ClapArgs, ValueEnum};

use super::exit::{Exit, ExitError};
use super::output::{self, Format};
use super::policy_life::told;
use super::{Global, open};
use crate::clock::Clock;
use crate::deliver::address;
use crate::deliver::outbox::outgoing;
use crate::deliver::policy as letters;
use crate::domain::Instant;
use crate::domain::policy_review::PolicyReview;
use crate::engine::review::{ReviewInput, review};
use crate::policy::lifecycle::By;
use crate::report::review as layout;
use crate::store::{FindingFilter, Store};
use crate::worker::exceptions::in_force;
use crate::worker::policies::Desk;

/// Flags of `policy review`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// How often
    #[arg(long = "type", alias = "review-type", value_enum, default_value_t = Kind::Quarterly, value_name = "TYPE")]
    kind: Kind,
    /// Write into this file; .pdf, .txt or .json decides how. `--output FILE` is the same
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Mail it, with the PDF; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    notify: Vec<String>,
    /// Note that you looked at this policy and leave it as it is; may be given several times
    #[arg(long, value_name = "ID")]
    confirm: Vec<String>,
    /// Who confirms; else $SUDO_USER, else $USER
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// How often.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// The last ninety days
    Quarterly,
}

/// The words of a call, where `policy review --output FILE` is understood as `--out FILE`: the flag is the format's
/// everywhere else, and no format's name has a dot.
pub fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = given.into_iter().collect();
    let place = words.windows(2).position(|pair| pair[0] == "policy" && pair[1] == "review");
    let Some(place) = place else { return words };
    for at in place + 2..words.len() {
        let named = |text: &OsString| text.to_str().is_some_and(|text| text.contains('.'));
        if words[at] == "--output" && words.get(at + 1).is_some_and(named) {
            words[at] = "--out".into();
        }
        let file = words[at].to_str().and_then(|word| word.strip_prefix("--output="));
        if let Some(file) = file.filter(|file| file.contains('.')) {
            words[at] = format!("--out={file}").into();
        }
    }
    words
}

/// Reviews.
///
/// # Errors
/// A wrong address or ending: bad use. The state cannot be read or written.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    let Kind::Quarterly = args.kind;
    for to in &args.notify {
        address::parse(to).map_err(|problem| ExitError::bad_use(format!("--notify: {problem}")))?;
    }
    let settings = open::settings(global)?;
    let policies = open::policies(&settings)?;
    open::existing(&settings.state_dir)?;
    let writes = !args.notify.is_empty() || !args.confirm.is_empty();
    let store = if writes { open::typed_store(&settings)? } else { open::read_store(&settings)? };
    let now = Clock::System.now();
    if !args.confirm.is_empty() {
        let who = open::by(args.by.as_deref())?;
        let desk = Desk { store: &store, everyone: &settings.reports.to, zone: settings.zone };
        for id in &args.confirm {
            desk.note_review(id, By { who: &who, at: now }).map_err(told)?;
        }
    }
    let records = store.policies()?;
    let made = review(ReviewInput {
        now,
        policies: &policies,
        records: &records,
        confirmed: &confirmed(&store, records.iter().map(|record| record.id.as_str()))?,
        findings: &store.findings(&FindingFilter::default()).context("reading the findings")?,
        exceptions: &in_force(&store, &settings)?,
    });
    if let Some(file) = &args.out {
        write(&made, file)?;
    }
    if !args.notify.is_empty() {
        let pdf = pdf(&made)?;
        let pdf = pdf.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        let (title, text) = (layout::title(&made), layout::text(&made));
        let mails = args
            .notify
            .iter()
            .map(|to| outgoing(&letters::review(to, &title, &made.period(), &text, pdf)?, Vec::new()))
            .collect::<Result<Vec<_>>>()?;
        store.enqueue(&mails, now).context("queueing the review")?;
        output::tell(&format!("{} in the outbox", mails.len()));
    }
    if global.output == Format::Json {
        output::json(&layout::json(&made))?;
    } else if args.out.is_none() {
        output::print(&layout::text(&made))?;
    }
    Ok(Exit::Done)
}

/// When somebody last confirmed each policy.
fn confirmed<'a>(store: &Store, ids: impl Iterator<Item = &'a str>) -> Result<HashMap<String, Instant>> {
    let mut found = HashMap::new();
    for id in ids {
        let last =
            store.policy_events(id)?.into_iter().filter(|event| event.what == "reviewed").map(|event| event.at).max();
        found.extend(last.map(|at| (id.to_owned(), at)));
    }
    Ok(found)
}

fn write(made: &PolicyReview, file: &Path) -> Result<()> {
    let bytes = match file.extension().and_then(|ending| ending.to_str()).unwrap_or("") {
        "txt" => layout::text(made).into_bytes(),
        "json" => {
            let mut bytes = Vec::new();
            output::write_json(&mut bytes, &layout::json(made)).context("making JSON")?;
            bytes
        }
        "pdf" => match pdf(made)? {
            Some((_, bytes)) => bytes,
            None => return Err(ExitError::bad_use("this build makes no PDF (feature `pdf`)")),
        },
        other => {
            let file = crate::domain::text::clean(&file.display().to_string());
            return Err(ExitError::bad_use(format!(
                "{file}: {other:?} is no known ending; accepted: .pdf, .txt, .json"
            )));
        }
    };
    output::file(file, &bytes)
}

#[cfg(feature = "pdf")]
fn pdf(made: &PolicyReview) -> Result<Option<(String, Vec<u8>)>> {
    use crate::report::pdf::review;
    Ok(Some((review::file_name(made), review::render(made).context("laying the review out as PDF")?)))
}

#[cfg(not(feature = "pdf"))]
fn pdf(_made: &PolicyReview) -> Result<Option<(String, Vec<u8>)>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn t7_a_file_behind_output_is_a_file_and_a_format_stays_one() {
        let line = |text: &str| {
            let words = arguments(text.split(' ').map(Into::into));
            words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("c policy review --output r.pdf --notify a@b.c"), "c policy review --out r.pdf --notify a@b.c");
        assert_eq!(line("c policy review --output=r.pdf"), "c policy review --out=r.pdf");
        assert_eq!(line("c policy review --output json"), "c policy review --output json");
        assert_eq!(line("c policy list --output r.pdf"), "c policy list --output r.pdf");
    }
}
