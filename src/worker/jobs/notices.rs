//! Notices: decides who is told what and puts one mail per owner and run into the outbox.
//!
//! Called after a scan in the modes notify and enforce. Nothing is said about what lies in a partition that was not
//! read completely or is not believed. The mail counts when a server accepted it; the outbox then starts the clocks.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::plan::posture;
use crate::deliver::notice::{DigestContext, NoticeItem, digest};
use crate::deliver::outbox::outgoing;
use crate::domain::finding::{Act, Finding};
use crate::domain::mode::Mode;
use crate::domain::notice::Notice;
use crate::engine::notices;
use crate::engine::plan::has_handler;
use crate::worker::context::Context;

/// How many notices went into how many mails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoticeOutcome {
    /// Notices.
    pub notices: usize,
    /// Mails.
    pub mails: usize,
}

/// Decides and queues. `run` names this run, for example the scan's id: the same notices of the same run are queued
/// once.
///
/// # Errors
/// When the state cannot be read or written.
pub fn notices(cx: &Context, run: &str) -> anyhow::Result<NoticeOutcome> {
    if cx.settings.enforcement.mode == Mode::Observe {
        return Ok(NoticeOutcome::default());
    }
    let posture = posture(cx)?;
    let believed: Vec<Finding> = cx
        .store
        .findings_open()
        .context("reading the open findings")?
        .into_iter()
        .filter(|finding| posture.partitions.get(&finding.key.partition).is_some_and(|look| look.doubt.is_none()))
        .collect();
    let pending = cx.store.pending_notices().context("reading what waits in the outbox")?;
    let decided = notices::decide(&believed, &pending, posture.now);
    let by_id: BTreeMap<_, _> = believed.iter().map(|finding| (&finding.id, finding)).collect();
    let mut by_owner: BTreeMap<&str, Vec<(&Notice, &Finding)>> = BTreeMap::new();
    for notice in &decided {
        if let Some(finding) = by_id.get(&notice.finding) {
            by_owner.entry(&notice.to).or_default().push((notice, finding));
        }
    }
    let context = DigestContext { now: posture.now, zone: cx.settings.zone, run };
    let mails: Vec<_> = by_owner
        .into_iter()
        .map(|(to, rows)| {
            let items: Vec<NoticeItem<'_>> = rows.iter().map(|(notice, finding)| item(notice, finding)).collect();
            let names = rows.iter().map(|(notice, _)| (notice.finding.clone(), notice.kind)).collect();
            outgoing(&digest(to, &items, context)?, names)
        })
        .collect::<anyhow::Result<_>>()?;
    cx.store.enqueue(&mails, posture.now).context("queueing notices")?;
    Ok(NoticeOutcome { notices: decided.len(), mails: mails.len() })
}

fn item<'a>(notice: &Notice, finding: &'a Finding) -> NoticeItem<'a> {
    let act = finding.act().filter(|act| has_handler(*act));
    NoticeItem {
        finding,
        kind: notice.kind,
        act,
        act_not_before: notice.act_not_before,
        backup: act.and_then(backup_words),
        ending: None,
    }
}

/// What is saved before an act, for people.
pub fn backup_words(act: Act) -> Option<String> {
    match act {
        Act::StopInstance => Some("a snapshot of every attached volume".to_owned()),
        Act::ResizeInstance => {
            Some("a snapshot of every attached volume; it is stopped, changed and started".to_owned())
        }
        Act::TerminateInstance => Some("a snapshot of every attached volume, and an image made of them".to_owned()),
        Act::DeleteVolume => Some("a snapshot of the volume, checked to be complete".to_owned()),
        Act::ReleaseAddress => Some("none is possible, so two people must approve it".to_owned()),
        Act::DeleteSnapshot => {
            let words = "the Recycle Bin, whose rule cannot be read beforehand, so two people must approve it";
            Some(words.to_owned())
        }
        _ => None,
    }
}
