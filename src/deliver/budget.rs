//! The message about a crossed budget threshold (D5, D6), one for each channel that the policy names.

use anyhow::Result;

use super::page::{Group, Item, Letter};
use super::{Message, MessageKind};
use crate::domain::budget::{BudgetAction, BudgetAlert, Period};
use crate::domain::text::clean;

/// One message for each of the alert's channels: `email:a@b` by mail, `slack:#room` to the room. A channel of
/// another sort becomes a message that can never be delivered, so that it is seen among the dead letters.
pub fn messages(alert: &BudgetAlert) -> Result<Vec<Message>> {
    alert.channels.iter().map(|channel| message(alert, channel)).collect()
}

fn message(alert: &BudgetAlert, channel: &str) -> Result<Message> {
    let letter = letter(alert);
    let period = match alert.period {
        Period::Month(first) => format!("month:{first}"),
        Period::Quarter(first) => format!("quarter:{first}"),
    };
    let to = channel.strip_prefix("email:").unwrap_or(channel);
    Ok(Message {
        dedup: format!("budget:{}:{}:{period}:{}:{to}", alert.policy, alert.rule, alert.percent),
        kind: MessageKind::Budget,
        to: to.to_owned(),
        text: letter.text(),
        html: Some(letter.html()?),
        subject: letter.subject,
        attachments: Vec::new(),
    })
}

fn letter(alert: &BudgetAlert) -> Letter {
    let period = match alert.period {
        Period::Month(first) => first.format("%B %Y").to_string(),
        Period::Quarter(first) => first.format("the quarter from %B %Y").to_string(),
    };
    let title = format!(
        "Budget {} passed {} %: {} of {} in {period}",
        clean(&alert.policy),
        alert.percent,
        alert.spent,
        alert.limit
    );
    let mut details = vec![format!("Rule {}, unblended cost over all accounts of the settings.", clean(&alert.rule))];
    if alert.estimated {
        details.push("Part of it is an estimate that Cost Explorer still revises.".to_owned());
    }
    let sentence = match alert.action {
        BudgetAction::Notify => "Nothing is done by itself; this threshold is told once in its period.",
        BudgetAction::BlockNewResources => "New resources under this budget are denied until its period ends.",
    };
    let over = alert.spent >= alert.limit;
    Letter {
        subject: format!("[cost] {title}"),
        title,
        groups: vec![Group {
            heading: "What it says".to_owned(),
            accent: if over { "#d55e00" } else { "#e69f00" },
            items: vec![Item {
                resource: format!("{} of {}", alert.spent, alert.limit),
                place: period,
                sentence: sentence.to_owned(),
                details,
            }],
        }],
        closing: "You get this message because the budget's policy names this channel.".to_owned(),
        accent: if over { "#d55e00" } else { "#e69f00" },
        ..Letter::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn d6_a_threshold_is_told_by_slack_and_by_mail() {
        let alert = &sample().budgets[1];
        let messages = messages(alert).unwrap();
        let to: Vec<&str> = messages.iter().map(|message| message.to.as_str()).collect();
        assert_eq!(to, ["slack:#finops", "finops@example.com"]);
        assert_eq!(
            messages[0].subject,
            "[cost] Budget project-alpha-budget passed 90 %: $9,120 of $10,000 in November 2026"
        );
        assert_ne!(messages[0].dedup, messages[1].dedup);
        assert!(messages[0].text.contains("an estimate that Cost Explorer still revises"));
    }

    #[test]
    fn d5_blocking_is_said_and_each_threshold_and_period_is_its_own_message() {
        let alert = &sample().budgets[0];
        let blocked = BudgetAlert { percent: 100, action: BudgetAction::BlockNewResources, ..alert.clone() };
        let [told, denied] = [alert, &blocked].map(|alert| messages(alert).unwrap().remove(0));
        assert!(denied.text.contains("New resources under this budget are denied"));
        assert!(!told.text.contains("denied"));
        assert_ne!(told.dedup, denied.dedup);
        let later = BudgetAlert { period: Period::Month("2026-12-01".parse().unwrap()), ..alert.clone() };
        assert_ne!(messages(&later).unwrap()[0].dedup, told.dedup);
    }
}
