//! Which budget thresholds the spend has crossed (D5, D6).
//!
//! Pure: takes the stored days and tells every threshold reached in the current month and quarter. That each fires
//! once a period is the store's unique row. Unknown spend (a selector that was never read) crosses nothing and is
//! told as such.

use chrono::{Datelike, NaiveDate};

use crate::domain::budget::{BudgetAlert, BudgetRule, CostGroup, CostRow, Forecast, Period, Standing};
use crate::domain::fact::Fact;
use crate::domain::money::Usd;

/// The thresholds that are reached on `today`, smallest percent first.
pub fn reached(policy: &str, rule: &str, budget: &BudgetRule, rows: &[CostRow], today: NaiveDate) -> Vec<BudgetAlert> {
    let periods = [
        (Period::Month(first_of_month(today)), budget.monthly),
        (Period::Quarter(first_of_quarter(today)), budget.quarterly),
    ];
    let mut alerts = Vec::new();
    for (period, limit) in periods {
        let Some(limit) = limit else { continue };
        let mine: Vec<&CostRow> =
            rows.iter().filter(|row| row.day >= start(period) && row.day <= today && selects(budget, row)).collect();
        if mine.is_empty() {
            continue;
        }
        let spent: Usd = mine.iter().map(|row| row.amount).sum();
        let mut thresholds: Vec<_> = budget
            .thresholds
            .iter()
            .filter(|threshold| spent >= limit.scaled(i64::from(threshold.percent), 100))
            .collect();
        thresholds.sort_by_key(|threshold| threshold.percent);
        alerts.extend(thresholds.into_iter().map(|threshold| BudgetAlert {
            policy: policy.to_owned(),
            rule: rule.to_owned(),
            period,
            percent: threshold.percent,
            limit,
            spent,
            estimated: mine.iter().any(|row| row.estimated),
            action: threshold.action,
            channels: threshold.channels.clone(),
        }));
    }
    alerts
}

/// How far the spend of a grouping was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Never, for at least one account; in words.
    Never(String),
    /// For all accounts, up to this day.
    Through(NaiveDate),
}

/// Spend older than this many days is not taken for today's.
const STALE_DAYS: i64 = 3;

/// Where a budget stands on `today` (V6). `rows` hold everything of the current quarter under the budget's grouping.
///
/// Unknown: spend that was not read for every account, that is stale, or a tag of which Cost Explorer knows no value
/// at all, because then it is not activated as a cost-allocation tag. A grouping that was read and has no row for this
/// budget's value is a known zero.
pub fn standing(budget: &BudgetRule, rows: &[CostRow], read: &Read, today: NaiveDate) -> Standing {
    let unknown = |reason: String| Standing {
        month: Fact::Unknown(reason.as_str().into()),
        quarter: Fact::Unknown(reason.into()),
        month_forecast: None,
        quarter_forecast: None,
        through: None,
        estimated: false,
    };
    let through = match read {
        Read::Never(reason) => return unknown(reason.clone()),
        Read::Through(day) if (today - *day).num_days() > STALE_DAYS => {
            return unknown(format!("the spend was last read for {day}"));
        }
        Read::Through(day) => *day,
    };
    if let Some((key, _)) = &budget.tag {
        let named =
            |row: &CostRow| matches!(&row.group, CostGroup::Tag { key: own, value } if own == key && !value.is_empty());
        if !rows.iter().any(named) {
            return unknown(format!("no spend carries the tag {key}; is it activated as a cost-allocation tag?"));
        }
    }
    let spent = |from: NaiveDate, to: NaiveDate| -> Usd {
        rows.iter().filter(|row| row.day >= from && row.day <= to && selects(budget, row)).map(|row| row.amount).sum()
    };
    let yesterday = today.pred_opt().unwrap_or(today);
    // Today's figure is part of a day, so the pace is that of the days before it.
    let forecast = |from: NaiveDate, next: NaiveDate| {
        let last = through.min(yesterday);
        let days = (last - from).num_days() + 1;
        (days > 0).then(|| spent(from, last).scaled((next - from).num_days(), days))
    };
    let (month, quarter) = (first_of_month(today), first_of_quarter(today));
    let next = |first: NaiveDate, months| first.checked_add_months(chrono::Months::new(months)).unwrap_or(today);
    Standing {
        month: Fact::Known(spent(month, today)),
        quarter: Fact::Known(spent(quarter, today)),
        month_forecast: forecast(month, next(month, 1)),
        quarter_forecast: forecast(quarter, next(quarter, 3)),
        through: Some(through),
        estimated: rows.iter().any(|row| row.estimated && selects(budget, row)),
    }
}

/// What a period of a budget will come to, with the days that say so; `None` where nothing can be said.
pub fn forecast(standing: &Standing, period: Period, today: NaiveDate) -> Option<Forecast> {
    let amount = match period {
        Period::Month(_) => standing.month_forecast?,
        Period::Quarter(_) => standing.quarter_forecast?,
    };
    let to = standing.through?.min(today.pred_opt()?);
    Some(Forecast { amount, from: start(period), to })
}

/// Whether a budget has no spend to look at in its month, so that nothing can be said about it.
pub fn unread(budget: &BudgetRule, rows: &[CostRow], today: NaiveDate) -> bool {
    !rows.iter().any(|row| row.day >= first_of_quarter(today) && selects(budget, row))
}

/// The first day of the month.
pub fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The first day of the calendar quarter.
pub fn first_of_quarter(day: NaiveDate) -> NaiveDate {
    let month = (day.month0() / 3) * 3 + 1;
    NaiveDate::from_ymd_opt(day.year(), month, 1).unwrap_or(day)
}

fn start(period: Period) -> NaiveDate {
    match period {
        Period::Month(first) | Period::Quarter(first) => first,
    }
}

fn selects(budget: &BudgetRule, row: &CostRow) -> bool {
    match (&budget.tag, &budget.service, &row.group) {
        (Some((key, value)), _, CostGroup::Tag { key: own, value: spent }) => key == own && value == spent,
        (None, Some(service), CostGroup::Service(own)) => service == own,
        // Without a selector the budget covers everything: the sum over all services.
        (None, None, CostGroup::Service(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::budget::{BudgetAction, Threshold};
    use crate::domain::place::AccountId;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn row(on: &str, value: &str, dollars: i64) -> CostRow {
        CostRow {
            account: AccountId::new("123456789012").unwrap(),
            day: day(on),
            group: CostGroup::Tag { key: "cost-center".into(), value: value.into() },
            amount: Usd::dollars(dollars),
            estimated: false,
        }
    }

    fn budget(monthly: Option<i64>, quarterly: Option<i64>, percents: &[u32]) -> BudgetRule {
        BudgetRule {
            tag: Some(("cost-center".into(), "CC-001234".into())),
            service: None,
            monthly: monthly.map(Usd::dollars),
            quarterly: quarterly.map(Usd::dollars),
            thresholds: percents
                .iter()
                .map(|percent| Threshold { percent: *percent, action: BudgetAction::Notify, channels: Vec::new() })
                .collect(),
        }
    }

    fn percents(rule: &BudgetRule, rows: &[CostRow], today: &str) -> Vec<(Period, u32)> {
        reached("team-budgets", "engineering", rule, rows, day(today))
            .into_iter()
            .map(|alert| (alert.period, alert.percent))
            .collect()
    }

    #[test]
    fn d5_each_threshold_is_reached_at_its_percent_and_not_below() {
        let rule = budget(Some(50_000), None, &[100, 50, 80]);
        let month = Period::Month(day("2026-11-01"));
        let spend = |dollars| vec![row("2026-11-03", "CC-001234", dollars), row("2026-11-04", "CC-999999", 90_000)];
        assert_eq!(percents(&rule, &spend(24_999), "2026-11-20"), []);
        assert_eq!(percents(&rule, &spend(25_000), "2026-11-20"), [(month, 50)]);
        assert_eq!(percents(&rule, &spend(50_000), "2026-11-20"), [(month, 50), (month, 80), (month, 100)]);
    }

    #[test]
    fn d6_month_and_quarter_each_have_their_own_thresholds() {
        let rule = budget(Some(10_000), Some(28_000), &[90]);
        let rows = vec![
            row("2026-10-15", "CC-001234", 9_500),
            row("2026-11-15", "CC-001234", 9_500),
            row("2026-12-05", "CC-001234", 6_500),
        ];
        assert_eq!(percents(&rule, &rows, "2026-12-10"), [(Period::Quarter(day("2026-10-01")), 90)]);
        assert_eq!(percents(&rule, &rows[..2], "2026-11-20"), [(Period::Month(day("2026-11-01")), 90)]);
    }

    #[test]
    fn spend_that_was_never_read_crosses_nothing_and_is_told() {
        let rule = budget(Some(1), None, &[50]);
        assert_eq!(percents(&rule, &[], "2026-11-20"), []);
        assert!(unread(&rule, &[], day("2026-11-20")));
        assert!(!unread(&rule, &[row("2026-11-03", "CC-001234", 1)], day("2026-11-20")));
    }

    #[test]
    fn v6_a_standing_is_the_spend_so_far_with_a_forecast_at_the_pace_of_whole_days() {
        let rule = budget(Some(50_000), Some(140_000), &[]);
        let rows = [
            row("2026-10-15", "CC-001234", 31_000),
            row("2026-11-01", "CC-001234", 1_000),
            row("2026-11-10", "CC-001234", 1_000),
            row("2026-11-10", "CC-000001", 9_000),
            // Today is not over: it counts as spent, and not for the pace.
            row("2026-11-11", "CC-001234", 500),
        ];
        let now = standing(&rule, &rows, &Read::Through(day("2026-11-11")), day("2026-11-11"));
        assert_eq!(
            (now.month.clone(), now.quarter.clone()),
            (Fact::Known(Usd::dollars(2_500)), Fact::Known(Usd::dollars(33_500)))
        );
        assert_eq!(now.month_forecast, Some(Usd::dollars(6_000)), "2,000 in 10 days, 30 days");
        assert_eq!(now.quarter_forecast, Some(Usd::dollars(33_000).scaled(92, 41)));
        let month = Period::Month(day("2026-11-01"));
        let expected = Forecast { amount: Usd::dollars(6_000), from: day("2026-11-01"), to: day("2026-11-10") };
        assert_eq!(forecast(&now, month, day("2026-11-11")), Some(expected));
        let first = standing(&rule, &rows, &Read::Through(day("2026-11-30")), day("2026-12-01"));
        assert_eq!(forecast(&first, Period::Month(day("2026-12-01")), day("2026-12-01")), None);
        assert_eq!((first.month, first.month_forecast), (Fact::Known(Usd::ZERO), None));
    }

    #[test]
    fn v6_spend_that_was_not_read_is_stale_or_under_a_dead_tag_is_unknown_and_a_read_nothing_is_zero() {
        let rule = budget(Some(50_000), None, &[]);
        let month = |rows: &[CostRow], read: Read| standing(&rule, rows, &read, day("2026-11-11")).month;
        let other = [row("2026-11-02", "CC-000001", 5)];
        assert_eq!(month(&other, Read::Through(day("2026-11-10"))), Fact::Known(Usd::ZERO));
        assert!(month(&other, Read::Never("account 1 was never read".into())).is_unknown());
        assert!(!month(&other, Read::Through(day("2026-11-08"))).is_unknown());
        assert!(month(&other, Read::Through(day("2026-11-07"))).is_unknown());
        let untagged = [row("2026-11-02", "", 5)];
        assert!(month(&untagged, Read::Through(day("2026-11-10"))).is_unknown());
    }
}
