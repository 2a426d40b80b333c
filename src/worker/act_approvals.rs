//! People's word on acts: the plan asks for it, people give or refuse it, planner and gate count it.
//!
//! A policy's `approval` says how many. Who may: the policy's own list, else FinOps and security of the settings; never
//! who wrote the policy. A yes is bound to the act and the resource as it was, and holds for 24 hours. Also here: lifting
//! the hold on a finding whose act somebody undid (safety.md, H25).

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::TimeDelta;
use serde_json::json;

use super::context::Context;
use super::exceptions::{By, ExceptionError};
use crate::deliver::exception::act_letter;
use crate::deliver::{address, outbox::outgoing};
use crate::domain::Instant;
use crate::domain::act_approval::ActRequest;
use crate::domain::exception::ApproverRules;
use crate::domain::finding::{Finding, FindingEvent, FindingId};
use crate::domain::lifecycle::{Approval, ApprovalKind, ApprovalState};
use crate::domain::person::{same_name, same_person};
use crate::domain::plan::{Held, HoldCode, Plan, Step};
use crate::domain::text::clean;
use crate::engine::exceptions::Refusal;
use crate::engine::{grace, plan};
use crate::store::{AskAct, AuditEntry, Outgoing, Store};

/// Questions that one plan asks at most: each costs a read of the cloud and a mail.
const MOST: usize = 50;
/// How far back requests are looked through: longer than any can be answered and hold.
const LOOK_BACK: TimeDelta = TimeDelta::days(30);

/// How many people approved an act, by finding, as of an instant.
///
/// # Errors
/// The state cannot be read.
pub fn approved(store: &Store, now: Instant) -> anyhow::Result<BTreeMap<FindingId, u8>> {
    let mut found: BTreeMap<FindingId, u8> = BTreeMap::new();
    for (request, answers) in store.act_requests_since(now - LOOK_BACK).context("reading who approved acts")? {
        let yes = found.entry(request.finding.clone()).or_default();
        *yes = request.yes_at(&answers, now).max(*yes);
    }
    Ok(found)
}

/// Why a step is not what people approved; `None` when it is, or when nobody needs to.
///
/// # Errors
/// The state cannot be read.
pub fn missing(store: &Store, finding: &Finding, step: &Step, now: Instant) -> anyhow::Result<Option<String>> {
    let wanted = finding.people_wanted();
    if wanted == 0 {
        return Ok(None);
    }
    let bound = step.approval_hash();
    let requests = store.act_requests_of(&finding.id).context("reading who approved the act")?;
    let enough = requests.iter().any(|(request, answers)| {
        let said = request.yes_at(answers, now);
        request.step == bound && (said >= wanted || (said > 0 && planted!("one-of-two-is-enough")))
    });
    Ok((!enough).then(|| "waits for approval: it changed since it was approved".to_owned()))
}

/// Asks about everything that a plan holds for this reason alone.
///
/// # Errors
/// The state cannot be read or written.
pub async fn ask(cx: &Context, plan: &Plan, held: &[Held], findings: &[Finding]) -> anyhow::Result<()> {
    let waiting = held.iter().filter(|row| row.code == HoldCode::WaitsForApproval).take(MOST);
    for row in waiting {
        let Some(finding) = findings.iter().find(|finding| finding.id == row.finding) else { continue };
        // What cannot be read just now is asked about by the next plan.
        let Ok(fresh) = cx.cloud.describe(&finding.key).await else { continue };
        let snapshot_before_stop = cx.settings.enforcement.create_snapshot_before_stop;
        let Ok(step) = plan::step(finding, &fresh, &cx.settings.tags.ignore, snapshot_before_stop) else { continue };
        let approvers = approvers(cx, finding)?;
        let wanted = finding.people_wanted();
        if approvers.len() < usize::from(wanted) {
            tracing::error!(
                policy = finding.policy,
                "{} people must approve acts of this policy and {} may: name more under [approvals] of the settings",
                wanted,
                approvers.len()
            );
            continue;
        }
        let request = ActRequest {
            id: 0,
            finding: finding.id.clone(),
            key: finding.key.clone(),
            name: finding.name.clone(),
            act: step.act,
            policy: finding.policy.clone(),
            rule: finding.rule.clone(),
            // Who says yes must read to which type.
            message: match &step.to_type {
                Some(_) => format!("{}; asked for is to {}", finding.message, step.words()),
                None => finding.message.clone(),
            },
            plan: plan.id.clone(),
            step: step.approval_hash(),
            people: wanted,
            asked_at: plan.created_at,
            expires_at: plan.created_at + cx.settings.approvals.sla,
        };
        let mails = |request: &ActRequest| mails(request, &approvers, cx.settings.zone);
        cx.store
            .ask_act(&AskAct { request: &request, approvers: &approvers, mails: &mails })
            .context("asking about an act")?;
    }
    Ok(())
}

/// One person's answer to one question, of the kinds request and remediation.
///
/// # Errors
/// Another person was asked, it was asked by this very person, it is too late, or it was answered.
pub fn answer(
    store: &Store,
    row: &Approval,
    yes: bool,
    comment: Option<&str>,
    by: By<'_>,
) -> Result<(), ExceptionError> {
    let refuse = |why: String| Err(Refusal::Person { who: clean(by.who), why }.into());
    if !same_name(&row.approver, by.who) && !planted!("anybody-approves") {
        return refuse(format!("{} was asked", clean(&row.approver)));
    }
    if same_person(&row.asked_by, by.who) {
        return refuse("nobody decides on what he asked for himself".into());
    }
    let mut detail = json!({ "of": row.id, "kind": row.kind, "comment": comment });
    if row.kind == ApprovalKind::Remediation {
        let Some(request) = store.act_request(&row.subject)? else {
            return Err(ExceptionError::Unknown(format!("there is no request {}", clean(&row.subject))));
        };
        if yes && by.at > request.expires_at {
            let words =
                format!("{} could be answered until {}; the next plan asks anew", row.subject, request.expires_at);
            return Err(Refusal::Wrong(words).into());
        }
        if let Some(why) = store.doubtful_yes(row)?.filter(|_| yes) {
            return refuse(why);
        }
        detail["plan"] = request.plan.into();
        detail["step"] = request.step.into();
    }
    let state = if yes { ApprovalState::Approved } else { ApprovalState::Rejected };
    let audit = AuditEntry {
        actor: by.who.to_owned(),
        what: format!("approval_{}", state.word()),
        subject: row.subject.clone(),
        detail,
    };
    Ok(store.answer_approval(row, state, comment, &[], &audit, by.at)?)
}

/// Lets a finding be acted on again although somebody undid an act on it (H25): a full new grace period comes first.
///
/// # Errors
/// Nobody undid an act on it; this person may not; no reason.
pub fn lift(
    store: &Store,
    approvers: &ApproverRules,
    finding: &FindingId,
    reason: &str,
    by: By<'_>,
) -> Result<Finding, ExceptionError> {
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Refusal::Wrong("the reason is empty: say why another act is right".into()).into());
    }
    let may: Vec<&String> = approvers.finops.iter().chain(&approvers.security).collect();
    if !may.iter().any(|own| same_name(own, by.who)) {
        let why = match may.is_empty() {
            true => "nobody may yet; name FinOps or security under [approvals] of the settings".to_owned(),
            false => "FinOps and security of the settings may".to_owned(),
        };
        return Err(Refusal::Person { who: clean(by.who), why }.into());
    }
    match store.finding(finding)? {
        None => return Err(ExceptionError::Unknown(format!("there is no finding {}", clean(&finding.0)))),
        Some(known) if !known.suppressed => {
            return Err(Refusal::Wrong(format!("nobody undid an act on {finding}, so nothing is to be lifted")).into());
        }
        Some(_) => {}
    }
    let audit = AuditEntry {
        actor: by.who.to_owned(),
        what: "finding_lifted".into(),
        subject: finding.0.clone(),
        detail: json!({ "reason": reason }),
    };
    store.audit_append(by.at, &audit)?;
    Ok(store.modify_finding(finding, |own| {
        own.suppressed = false;
        grace::restart(own);
        own.phase = own.phase_at(by.at);
        own.reason = format!("{} allows another act after one was undone; a full new grace period begins", by.who);
        vec![FindingEvent { finding: own.id.clone(), at: by.at, what: "lifted".into(), detail: reason.to_owned() }]
    })?)
}

/// Who may say yes to an act of a finding: never who wrote the policy.
fn approvers(cx: &Context, finding: &Finding) -> anyhow::Result<Vec<String>> {
    let of_policy = cx.rules.rule(&finding.policy, &finding.rule).and_then(|rule| rule.approval.as_ref());
    let listed = of_policy.map(|asked| asked.approvers.clone()).filter(|list| !list.is_empty()).unwrap_or_else(|| {
        let rules = &cx.settings.approvals;
        rules.finops.iter().chain(&rules.security).cloned().collect()
    });
    Ok(others(listed, &authors_of(&cx.store, &finding.policy)?))
}

/// Everybody who wrote a policy of this name. The record's own list begins anew with each version in force, so the
/// versions are asked too.
fn authors_of(store: &Store, policy: &str) -> anyhow::Result<Vec<String>> {
    let mut authors: Vec<String> = Vec::new();
    for record in store.policies()?.into_iter().filter(|record| record.name == policy) {
        authors.extend(store.policy_versions(&record.id)?.into_iter().map(|version| version.by));
        authors.extend(record.authors.into_iter().chain([record.created_by]));
    }
    Ok(authors)
}

/// Those listed who wrote nothing of it, each person once.
fn others(listed: Vec<String>, authors: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for who in listed {
        if !authors.iter().chain(&found).any(|known| same_person(known, &who)) {
            found.push(who);
        }
    }
    found
}

fn mails(request: &ActRequest, approvers: &[String], zone: chrono_tz::Tz) -> Vec<Outgoing> {
    let made = approvers.iter().filter(|to| address::parse(to).is_ok()).map(|to| {
        let message = act_letter(to, request, zone)?;
        outgoing(&message, Vec::new())
    });
    made.collect::<anyhow::Result<_>>().unwrap_or_else(|error| {
        // The question itself must be stored whether or not its mail can be written.
        tracing::error!("a message could not be made: {error:#}");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::policy::lifecycle::{By, Edit};
    use crate::worker::policies::{Desk, one};

    fn document(days: u32) -> crate::policy::lifecycle::Content {
        let text = format!(
            "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {{name: disks}}\nspec:\n  type: Waste\n  rules:\n    \
             - {{name: r, check: unattached-volume, parameters: {{days: {days}}}}}\n"
        );
        one(Path::new("disks.yaml"), &text).unwrap()
    }

    #[test]
    fn i07_who_wrote_any_version_approves_no_act_of_it_under_no_name() {
        let store = Store::in_memory().unwrap();
        let desk = Desk { store: &store, everyone: &[], zone: chrono_tz::UTC };
        let at = |hour: u32| format!("2026-11-02T{hour:02}:00:00Z").parse::<Instant>().unwrap();
        let by = |who, hour| By { who, at: at(hour) };
        let (ann, bob, eve) = ("ann@example.com", "bob@example.com", "eve@example.com");
        let reviewed = |id: &str, hour: u32| {
            desk.approve(id, None, None, by(eve, hour)).unwrap();
            desk.activate(id, None, by(eve, hour)).unwrap();
        };
        let id = desk.create(&document(7), by(ann, 8)).unwrap().record.id;
        desk.submit(&id, &[eve.to_owned()], by(ann, 9)).unwrap();
        reviewed(&id, 10);
        desk.update(&id, &document(14), by(bob, 11), Edit::default()).unwrap();
        reviewed(&id, 12);
        assert_eq!(store.policy(&id).unwrap().unwrap().authors, [""; 0], "a new version in force begins anew");
        let listed =
            ["Ann", "Bob <bob+ops@example.com>", "BOB@example.com.", "eve@example.com", "Eve", "fin@example.com"];
        let may = others(listed.map(str::to_owned).to_vec(), &authors_of(&store, "disks").unwrap());
        assert_eq!(may, ["eve@example.com", "fin@example.com"]);
        assert_eq!(authors_of(&store, "other").unwrap(), [""; 0]);
    }
}
