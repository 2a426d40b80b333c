//! The periodic review of policies as text and JSON; the PDF is in `pdf::review`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::money::Usd;
use crate::domain::policy_review::{PolicyReview, ReviewedPolicy};
use crate::domain::report::Amounts;
use crate::domain::text::clean;

/// Title of the document, and subject of its mail.
pub fn title(review: &PolicyReview) -> String {
    format!("Quarterly policy review, {}", review.period())
}

/// What it comes to, in a sentence.
pub fn headline(review: &PolicyReview) -> String {
    let plural = |count: usize| if count == 1 { "policy" } else { "policies" };
    let (all, stale) = (review.policies.len(), review.stale());
    let needs = match stale {
        0 => "none of them stale".to_owned(),
        1 => "1 of them stale".to_owned(),
        many => format!("{many} of them stale"),
    };
    format!("{all} {}, {needs}. Open findings come to {}.", plural(all), amount(&review.open))
}

/// As plain text.
pub fn text(review: &PolicyReview) -> String {
    let mut out = vec![title(review), String::new(), headline(review), String::new()];
    for policy in &review.policies {
        let version = policy.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
        out.push(clean(&format!("* {}{version}, {}", policy.name, policy.standing)));
        out.push(format!("  {}; last review {}", age(policy), last_review(policy)));
        out.push(format!(
            "  {} found in the period, {} open ({}), {} exceptions, acts save {}",
            policy.hits,
            policy.open.count,
            amount(&policy.open),
            policy.exceptions,
            amount(&policy.saved)
        ));
        out.extend(policy.stale.iter().map(|why| format!("  look: {why}")));
        out.push(String::new());
    }
    out.join("\n")
}

/// As JSON.
pub fn json(review: &PolicyReview) -> ReviewDocument<'_> {
    ReviewDocument {
        schema_version: 1,
        kind: "quarterly",
        from: review.from,
        at: review.at,
        open: MoneyJson::of(&review.open),
        stale: review.stale(),
        policies: review.policies.iter().map(ReviewedJson::of).collect(),
    }
}

/// A review as JSON.
#[derive(Serialize, JsonSchema)]
pub struct ReviewDocument<'a> {
    /// Version of this shape.
    schema_version: u32,
    /// Always `quarterly`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// First instant of the period.
    from: Instant,
    /// When it was made; the period's end.
    at: Instant,
    /// What open findings would save; each resource once.
    open: MoneyJson,
    /// How many policies somebody should look at.
    stale: usize,
    /// Every policy, those that need somebody first.
    policies: Vec<ReviewedJson<'a>>,
}

/// One policy of a review.
#[derive(Serialize, JsonSchema)]
pub struct ReviewedJson<'a> {
    /// Its name.
    policy: &'a str,
    /// Its id in the store; `null` for one that comes from a file alone.
    id: Option<&'a str>,
    /// The version in force, or the latest where none is.
    version: Option<&'a str>,
    /// Stage, or `file`, and the mode that holds.
    standing: &'a str,
    /// Since it was created; `null` for files.
    age_days: Option<i64>,
    /// `null` is never, or unknown for files.
    last_review: Option<Instant>,
    /// Findings that it raised in the period.
    hits: u64,
    /// Findings that are open.
    open: MoneyJson,
    /// Exceptions that hold now.
    exceptions: u64,
    /// What our acts on its findings save.
    saved: MoneyJson,
    /// Why somebody should look at it.
    stale: &'a [String],
}

/// Findings and what they are worth.
#[derive(Serialize, JsonSchema)]
pub struct MoneyJson {
    /// How many.
    count: u64,
    /// Those with a price, in dollars a month.
    monthly_usd: f64,
    /// Those without a price.
    unpriced: u64,
}

impl MoneyJson {
    fn of(amounts: &Amounts) -> MoneyJson {
        MoneyJson { count: amounts.count, monthly_usd: amounts.monthly.as_f64(), unpriced: amounts.unpriced }
    }
}

impl<'a> ReviewedJson<'a> {
    fn of(policy: &'a ReviewedPolicy) -> ReviewedJson<'a> {
        ReviewedJson {
            policy: &policy.name,
            id: policy.id.as_deref(),
            version: policy.version.as_deref(),
            standing: &policy.standing,
            age_days: policy.age_days,
            last_review: policy.last_review,
            hits: policy.hits,
            open: MoneyJson::of(&policy.open),
            exceptions: policy.exceptions,
            saved: MoneyJson::of(&policy.saved),
            stale: &policy.stale,
        }
    }
}

/// How old a policy is, in words.
pub fn age(policy: &ReviewedPolicy) -> String {
    policy.age_days.map_or_else(|| "age unknown: it comes from a file".to_owned(), |days| format!("{days} days old"))
}

/// The day of the last review; of a file nothing is known.
pub fn last_review(policy: &ReviewedPolicy) -> String {
    match (policy.last_review, &policy.id) {
        (Some(at), _) => at.format("%Y-%m-%d").to_string(),
        (None, Some(_)) => "never".to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

/// Dollars a month, and how many findings have no price.
pub fn amount(amounts: &Amounts) -> String {
    match amounts.unpriced {
        0 => format!("{} a month", amounts.monthly),
        unpriced => format!("{} a month, {unpriced} more without a price", amounts.monthly),
    }
}

/// A review for tests of layout, hostile names included.
pub fn sample() -> PolicyReview {
    let at: Instant = chrono::DateTime::from_timestamp(1_795_348_800, 0).unwrap_or_default();
    let money = |dollars: i64, count, unpriced| Amounts { count, monthly: Usd::dollars(dollars), unpriced };
    let policy = |name: &str, standing: &str, stale: &[&str]| ReviewedPolicy {
        name: name.to_owned(),
        id: Some(format!("policy-{name}-20260412")),
        version: Some("2.1.0".to_owned()),
        standing: standing.to_owned(),
        age_days: Some(224),
        last_review: Some(at - chrono::TimeDelta::days(31)),
        hits: 41,
        open: money(1_284, 17, 2),
        exceptions: 3,
        saved: money(612, 9, 0),
        stale: stale.iter().map(|why| (*why).to_owned()).collect(),
    };
    let file = ReviewedPolicy {
        id: None,
        version: None,
        age_days: None,
        last_review: None,
        ..policy("mandatory-tags", "file, monitor", &[])
    };
    let draft = ReviewedPolicy {
        last_review: None,
        hits: 0,
        open: money(0, 0, 0),
        saved: money(0, 0, 0),
        ..policy(
            "snapshots\u{1b}[2J-of-the-archive-with-a-name-that-goes-on",
            "draft",
            &["never reviewed", "draft without a change for 61 days"],
        )
    };
    PolicyReview {
        from: at - chrono::TimeDelta::days(90),
        at,
        policies: vec![
            draft,
            ReviewedPolicy {
                last_review: Some(at - chrono::TimeDelta::days(128)),
                ..policy("orphaned-resource-detection", "active, enforce", &["not reviewed for 128 days"])
            },
            policy("idle-resource-detection", "active, enforce", &[]),
            file,
        ],
        open: money(4_010, 52, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t7_text_and_json_hold_every_figure_and_no_foreign_escape() {
        let (text, json) = (text(&sample()), serde_json::to_value(json(&sample())).unwrap());
        for words in [
            "4 policies, 2 of them stale. Open findings come to $4,010 a month, 6 more without a price.",
            "orphaned-resource-detection 2.1.0, active, enforce",
            "224 days old; last review 2026-07-17",
            "41 found in the period, 17 open ($1,284 a month, 2 more without a price), 3 exceptions, acts save $612.00 a month",
            "look: not reviewed for 128 days",
            "age unknown: it comes from a file; last review unknown",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert_eq!((&json["stale"], &json["policies"][1]["open"]["monthly_usd"]), (&2.into(), &1284.0.into()));
        assert_eq!(json["policies"][3]["age_days"], serde_json::Value::Null);
    }
}
