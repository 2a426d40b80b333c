//! Turns what happens to an act, and to the worker, into messages for the outbox.
//!
//! `remediate` calls [`announce`] while it commits an ending, so that the message and the ending are one commit.

use std::sync::Arc;

use super::notices::backup_words;
use crate::deliver::alert;
use crate::deliver::notice::{DigestContext, Ending, NoticeItem, digest};
use crate::deliver::outbox::outgoing;
use crate::domain::notice::NoticeKind;
use crate::domain::remediation::Remediation;
use crate::remediate::{Announce, Event};
use crate::store::Outgoing;
use crate::worker::context::Context;

/// The announcer of this context: owners hear of acts, the report's recipients of what needs a person.
pub fn announce(cx: &Context) -> Arc<Announce> {
    let cx = cx.clone();
    Arc::new(move |event: &Event<'_>| {
        let made = match event {
            // What it was a backup of is long gone from its owner's mind, and 90 days were promised.
            Event::Done(remediation) if remediation.step.act.expires() => Ok(Vec::new()),
            Event::Done(remediation) => owner_mail(&cx, remediation, NoticeKind::Done),
            // There was an outage and nothing came of it: somebody should look why.
            Event::TakenBack(remediation) => owner_mail(&cx, remediation, NoticeKind::Stuck),
            Event::Stuck(remediation) => owner_mail(&cx, remediation, NoticeKind::Stuck).and_then(|mut mails| {
                for to in &cx.settings.reports.to {
                    mails.push(outgoing(&alert::stuck(to, remediation, cx.settings.zone)?, Vec::new())?);
                }
                Ok(mails)
            }),
            Event::Frozen(freeze) => cx
                .settings
                .reports
                .to
                .iter()
                .map(|to| outgoing(&alert::frozen(to, freeze, cx.settings.zone)?, Vec::new()))
                .collect(),
        };
        made.unwrap_or_else(|error| {
            // The ending itself must be stored whether or not its mail can be written.
            tracing::error!("a message could not be made: {error:#}");
            Vec::new()
        })
    })
}

fn owner_mail(cx: &Context, remediation: &Remediation, kind: NoticeKind) -> anyhow::Result<Vec<Outgoing>> {
    let step = &remediation.step;
    let Some(finding) = cx.store.finding(&step.finding)? else {
        return Ok(Vec::new());
    };
    let Some(to) = finding.owner.clone() else {
        return Ok(Vec::new());
    };
    let item = NoticeItem {
        finding: &finding,
        kind,
        act: Some(step.act),
        act_not_before: None,
        backup: backup_of(remediation).or_else(|| backup_words(step.act)),
        ending: Some(Ending {
            remediation: format!("r-{}", remediation.id),
            status: remediation.state.status(),
            result: remediation.message.clone(),
        }),
    };
    let run = format!("r-{}", remediation.id);
    let context = DigestContext { now: cx.clock.now(), zone: cx.settings.zone, run: &run };
    let message = digest(&to, &[item], context)?;
    Ok(vec![outgoing(&message, vec![(finding.id.clone(), kind)])?])
}

fn backup_of(remediation: &Remediation) -> Option<String> {
    let mut ids: Vec<&str> = remediation.snapshots.iter().filter_map(|backup| backup.snapshot.as_deref()).collect();
    ids.extend(remediation.image.iter().filter_map(|own| own.image.as_deref()));
    match ids.as_slice() {
        [] => None,
        [one] => Some(format!("snapshot {one}")),
        many => Some(format!("snapshots {}", many.join(", "))),
    }
}
