//! The message about a crossed budget threshold (D5, D6), one for each channel that the policy names.

use anyhow::Result;

use super::page::{Group, Item, Letter};
use super::{Message, MessageKind};
use crate::domain::budget::{BudgetAction, BudgetAlert, Forecast, Period};
use crate::domain::text::clean;

/// One message for each of the alert's channels: `email:a@b` by mail, `slack:#room` and `teams:name` to the room. A channel of
/// another sort becomes a message that can never be delivered, so that it is seen among the dead letters.
///
/// The forecast stands below what was spent, with the days that it is made from; title and sum are always the spend.
pub fn messages(alert: &BudgetAlert, forecast: Option<Forecast>) -> Result<Vec<Message>> {
    alert.channels.iter().map(|channel| message(alert, forecast, channel)).collect()
}

fn message(alert: &BudgetAlert, forecast: Option<Forecast>, channel: &str) -> Result<Message> {
    let letter = letter(alert, forecast);
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

fn letter(alert: &BudgetAlert, forecast: Option<Forecast>) -> Letter {
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
    details.push(forecast.map_or_else(
        || {
            "No forecast: no whole day of the period is read yet, or the spend is not known for every account."
                .to_owned()
        },
        |forecast| outlook(alert, forecast, &period),
    ));
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

/// The forecast in words, with its basis and how it stands to the limit.
fn outlook(alert: &BudgetAlert, forecast: Forecast, period: &str) -> String {
    let days = (forecast.to - forecast.from).num_days() + 1;
    let basis = match days {
        1 => format!("of the one whole day {}", forecast.from),
        days => format!("of the {days} whole days from {} to {}", forecast.from, forecast.to),
    };
    let to_limit = if forecast.amount >= alert.limit {
        format!("{} over the limit", forecast.amount - alert.limit)
    } else {
        format!("{} below the limit", alert.limit - forecast.amount)
    };
    format!("Forecast, not spend: at the pace {basis}, {period} comes to {}, {to_limit}.", forecast.amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Usd;
    use crate::report::sample;

    #[test]
    fn d6_a_threshold_is_told_by_slack_and_by_mail() {
        let alert = &sample().budgets[1];
        let messages = messages(alert, None).unwrap();
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
        let [told, denied] = [alert, &blocked].map(|alert| messages(alert, None).unwrap().remove(0));
        assert!(denied.text.contains("New resources under this budget are denied"));
        assert!(!told.text.contains("denied"));
        assert_ne!(told.dedup, denied.dedup);
        let later = BudgetAlert { period: Period::Month("2026-12-01".parse().unwrap()), ..alert.clone() };
        assert_ne!(messages(&later, None).unwrap()[0].dedup, told.dedup);
    }

    #[test]
    fn d5_the_forecast_is_said_with_its_days_and_never_in_place_of_the_spend() {
        let alert = &sample().budgets[1];
        let day = |text: &str| text.parse().unwrap();
        let forecast = Forecast { amount: Usd::dollars(13_680), from: day("2026-11-01"), to: day("2026-11-20") };
        let told = messages(alert, Some(forecast)).unwrap().remove(0);
        assert_eq!(told.subject, messages(alert, None).unwrap()[0].subject, "the title is the spend");
        let text = told.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = "Forecast, not spend: at the pace of the 20 whole days from 2026-11-01 to 2026-11-20, November 2026 \
                     comes to $13,680, $3,680 over the limit.";
        assert!(text.contains("$9,120 of $10,000") && text.contains(words), "{text}");
        assert!(told.html.unwrap().contains("Forecast, not spend"));
        let below = messages(alert, Some(Forecast { amount: Usd::dollars(9_500), ..forecast })).unwrap().remove(0);
        assert!(below.html.unwrap().contains("$500.00 below the limit"), "{}", below.text);
        let unknown = messages(alert, None).unwrap().remove(0).html.unwrap();
        assert!(unknown.contains("No forecast") && !unknown.contains("Forecast, not"), "{unknown}");
    }
}
