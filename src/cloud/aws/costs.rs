//! Unblended cost by day from Cost Explorer: GetCostAndUsage.
//!
//! Every page costs 0.01 dollars, so the caller decides when to ask. The spend is filtered to the one account, because
//! a management account would otherwise answer for its whole organization. Amounts are decimal texts and are turned
//! into micro-dollars without a float in between.

use aws_sdk_costexplorer::Client;
use aws_sdk_costexplorer::types::{
    DateInterval, Dimension, DimensionValues, Expression, Granularity, Group, GroupDefinition, GroupDefinitionType,
    ResultByTime,
};
use chrono::NaiveDate;

use super::errors;
use crate::cloud::{CloudError, CostGroupBy, CostQuery};
use crate::domain::budget::{CostGroup, CostRow};
use crate::domain::money::Usd;
use crate::domain::place::AccountId;

const OPERATION: &str = "GetCostAndUsage";
const METRIC: &str = "UnblendedCost";

/// All rows of the query. Any amount that cannot be read is an error of the whole answer.
pub(super) async fn read(client: &Client, account: &AccountId, query: &CostQuery) -> Result<Vec<CostRow>, CloudError> {
    let mut rows = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let output = client
            .get_cost_and_usage()
            .time_period(interval(query)?)
            .granularity(Granularity::Daily)
            .metrics(METRIC)
            .group_by(group_definition(&query.group_by))
            .filter(only(account))
            .set_next_page_token(token.clone())
            .send()
            .await
            .map_err(|error| errors::from_sdk("ce", OPERATION, &error))?;
        let Some(days) = output.results_by_time else { return Err(unreadable("the answer came without its days")) };
        for day in &days {
            rows_of_day(account, query, day, &mut rows)?;
        }
        match output.next_page_token.filter(|next| !next.is_empty()) {
            None => return Ok(rows),
            next if next == token => return Err(unreadable("the page token repeated itself")),
            next => token = next,
        }
    }
}

fn interval(query: &CostQuery) -> Result<DateInterval, CloudError> {
    let interval = DateInterval::builder().start(query.from.to_string()).end(query.to.to_string());
    interval.build().map_err(|error| unreadable(&error.to_string()))
}

fn group_definition(group_by: &CostGroupBy) -> GroupDefinition {
    let builder = GroupDefinition::builder();
    match group_by {
        CostGroupBy::Service => builder.r#type(GroupDefinitionType::Dimension).key("SERVICE"),
        CostGroupBy::Tag(key) => builder.r#type(GroupDefinitionType::Tag).key(key),
    }
    .build()
}

fn only(account: &AccountId) -> Expression {
    let values = DimensionValues::builder().key(Dimension::LinkedAccount).values(account.as_str()).build();
    Expression::builder().dimensions(values).build()
}

fn rows_of_day(
    account: &AccountId,
    query: &CostQuery,
    result: &ResultByTime,
    rows: &mut Vec<CostRow>,
) -> Result<(), CloudError> {
    let start = result.time_period().map(DateInterval::start).unwrap_or_default();
    let day: NaiveDate = start.parse().map_err(|_| unreadable(&format!("{start:?} is no day")))?;
    for group in result.groups() {
        let row = CostRow {
            account: account.clone(),
            day,
            group: cost_group(&query.group_by, group)?,
            amount: amount(group)?,
            estimated: result.estimated(),
        };
        rows.push(row);
    }
    Ok(())
}

/// Cost Explorer writes a tag group as `key$value`, with an empty value for spend without the tag.
fn cost_group(group_by: &CostGroupBy, group: &Group) -> Result<CostGroup, CloudError> {
    let [name] = group.keys() else {
        return Err(unreadable(&format!("a cost with {} group keys in place of one", group.keys().len())));
    };
    match group_by {
        CostGroupBy::Service => Ok(CostGroup::Service(name.clone())),
        CostGroupBy::Tag(key) => match name.strip_prefix(key).and_then(|rest| rest.strip_prefix('$')) {
            Some(value) => Ok(CostGroup::Tag { key: key.clone(), value: value.into() }),
            None => Err(unreadable(&format!("{name:?} is no value of the tag {key:?}"))),
        },
    }
}

fn amount(group: &Group) -> Result<Usd, CloudError> {
    let metric = group.metrics().and_then(|metrics| metrics.get(METRIC));
    let metric = metric.ok_or_else(|| unreadable("a cost came without its amount"))?;
    if metric.unit() != Some("USD") {
        return Err(unreadable(&format!("a cost in {:?}; only USD is understood", metric.unit())));
    }
    let text = metric.amount().unwrap_or_default();
    micro_dollars(text).ok_or_else(|| unreadable(&format!("{text:?} is no amount")))
}

fn unreadable(what: &str) -> CloudError {
    errors::unreadable("ce", OPERATION, what)
}

/// A decimal text such as `0.0123456789` or `4.8E-7` as micro-dollars, rounded half away from zero.
fn micro_dollars(text: &str) -> Option<Usd> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    if whole.is_empty() || all.len() > 60 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The value is `all` × 10^shift micro-dollars.
    let shift = exponent.checked_add(6)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let magnitude = match usize::try_from(shift) {
        Ok(zeros) if zeros <= 30 => format!("{all}{}", "0".repeat(zeros)).parse::<i64>().ok()?,
        Ok(_) => return None,
        Err(_) => {
            let dropped = usize::try_from(shift.unsigned_abs()).ok()?;
            let padded = format!("{all:0>width$}", width = dropped.min(120) + 1);
            let (kept, rest) = padded.split_at(padded.len().checked_sub(dropped.min(120))?);
            let kept: i64 = kept.parse().ok()?;
            kept.checked_add(i64::from(rest.as_bytes()[0] >= b'5'))?
        }
    };
    Some(Usd(if negative { -magnitude } else { magnitude }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_to_the_micro_dollar() {
        let cases = [
            ("12.5", 12_500_000),
            ("0", 0),
            ("0.0000004999", 0),
            ("0.0000005", 1),
            ("-0.0000005", -1),
            ("1234567.1234565", 1_234_567_123_457),
            ("4.8E-7", 0),
            ("5E-7", 1),
            ("1.2e3", 1_200_000_000),
            ("9.9999999", 10_000_000),
            ("3E-300", 0),
        ];
        for (text, micros) in cases {
            assert_eq!(micro_dollars(text), Some(Usd(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_not_zero() {
        for text in ["", "-", ".", "NaN", "1,5", "1e", "1e999999999999", "9e30", "--1", "0x10"] {
            assert_eq!(micro_dollars(text), None, "{text}");
        }
    }
}
