//! What happens to an exception or to an act that needs people's word, told to who asked and who decides.

use anyhow::Result;
use chrono_tz::Tz;

use super::page::{Group, Item, Letter};
use super::{Message, MessageKind};
use crate::domain::act_approval::ActRequest;
use crate::domain::exception::{ExceptionEvent, ExceptionRecord};
use crate::domain::text::{clean, shown_at};

/// Blue: something to know or to decide.
const ACCENT: &str = "#0072b2";

/// The message about one step of an exception, for one recipient. `length` is how long it holds, in words.
///
/// # Errors
/// When the letter cannot be laid out.
pub fn letter(to: &str, record: &ExceptionRecord, event: &ExceptionEvent, length: &str, zone: Tz) -> Result<Message> {
    let resource = clean(&record.resource_id);
    let id = &record.id;
    let (title, next) = match event.what.as_str() {
        "requested" => (
            format!("An exception for {resource} asks for your decision"),
            format!(
                "costwarden exception approve {id} --by YOUR-ADDRESS, or costwarden exception reject {id} --reason TEXT --by YOUR-ADDRESS"
            ),
        ),
        "approved" => (format!("The exception for {resource} was approved"), format!("costwarden exception show {id}")),
        "rejected" => (format!("The exception for {resource} was rejected"), format!("costwarden exception show {id}")),
        "revoked" => (format!("The exception for {resource} was revoked"), format!("costwarden exception show {id}")),
        "renewed" => (format!("The exception for {resource} was renewed"), format!("costwarden exception show {id}")),
        "review_asked" => (
            format!("The exception for {resource} is due for review"),
            format!(
                "costwarden exception renew {id} --by YOUR-ADDRESS, or costwarden exception revoke {id} --reason TEXT --by YOUR-ADDRESS"
            ),
        ),
        _ => (format!("The exception for {resource} has ended"), format!("costwarden exception show {id}")),
    };
    let mut details = vec![
        format!("Policy {}, rule {}", clean(&record.policy_name), clean(&record.rule_name)),
        format!("Asked for by {}: {}", clean(&record.requested_by), clean(&record.justification)),
        format!("How long: {}", clean(length)),
    ];
    if let Some(until) = record.holds_until.filter(|_| event.what == "requested") {
        details.push(format!("Nothing is done to it until {}, unless you decide earlier", shown_at(until, zone)));
    }
    if let Some(end) = record.holds_through().filter(|_| matches!(event.what.as_str(), "approved" | "renewed")) {
        details.push(format!("It holds through {}, then a full new grace period begins", shown_at(end, zone)));
    }
    if matches!(event.what.as_str(), "revoked" | "expired" | "voided") {
        details.push("Nothing is done at once: a full new grace period begins, with its own notice".to_owned());
    }
    details.push(format!("Look, or go on: {next}"));
    let sentence =
        format!("{} by {}, {}: {}", event.what, clean(&event.by), shown_at(event.at, zone), clean(&event.detail));
    let dedup = format!("exception:{id}:{}:{}:{to}", event.what, event.at.timestamp_micros());
    made(to, dedup, title, Item { resource, place: format!("account {}", clean(&record.account)), sentence, details })
}

/// The message that asks one person about an act.
///
/// # Errors
/// When the letter cannot be laid out.
pub fn act_letter(to: &str, request: &ActRequest, zone: Tz) -> Result<Message> {
    let subject = request.subject();
    let resource = clean(&request.key.id);
    let people = if request.people == 1 { "one person".to_owned() } else { format!("{} people", request.people) };
    let details = vec![
        format!("Policy {}, rule {}: it asks for the word of {people}", clean(&request.policy), clean(&request.rule)),
        format!("Plan {}; your yes is for this very act and holds for 24 hours", clean(&request.plan)),
        format!("Answer until {}", shown_at(request.expires_at, zone)),
        format!(
            "costwarden approval approve {subject} --by YOUR-ADDRESS, or costwarden approval reject {subject} --reason TEXT --by YOUR-ADDRESS"
        ),
    ];
    let title = format!("Approve: {} {resource}?", request.act.words());
    let item = Item {
        resource,
        place: format!("account {}, {}", request.key.account(), request.key.region()),
        sentence: clean(&request.message),
        details,
    };
    made(to, format!("act:{subject}:{to}"), title, item)
}

fn made(to: &str, dedup: String, title: String, item: Item) -> Result<Message> {
    let letter = Letter {
        subject: format!("[cost] {title}"),
        title,
        groups: vec![Group { heading: "What it is about".to_owned(), accent: ACCENT, items: vec![item] }],
        closing: "You get this message because you asked, own the resource or may decide.".to_owned(),
        accent: ACCENT,
        ..Letter::default()
    };
    Ok(Message {
        dedup,
        kind: MessageKind::Approval,
        to: to.to_owned(),
        text: letter.text(),
        html: Some(letter.html()?),
        subject: letter.subject,
        attachments: Vec::new(),
    })
}
