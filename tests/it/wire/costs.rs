//! Cost Explorer: days, services, tags, pages, and what a page costs.

use chrono::NaiveDate;
use costwarden::cloud::{CloudRead, CostGroupBy, CostQuery, ErrorKind};
use costwarden::domain::budget::{CostGroup, CostRow};
use costwarden::domain::money::Usd;
use serde_json::{Value, json};

use crate::support::moto::{Fault, Moto};

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, number).expect("a day")
}

fn result(number: u32, groups: &[(&str, &str)], estimated: bool) -> Value {
    let group = |(key, amount): &(&str, &str)| json!({"Keys": [key], "Metrics": {"UnblendedCost": {"Amount": amount, "Unit": "USD"}}});
    json!({
        "TimePeriod": {"Start": day(number).to_string(), "End": day(number + 1).to_string()},
        "Total": {},
        "Groups": groups.iter().map(group).collect::<Vec<_>>(),
        "Estimated": estimated,
    })
}

fn query(group_by: CostGroupBy) -> CostQuery {
    CostQuery { from: day(1), to: day(3), group_by }
}

#[tokio::test]
async fn spend_by_service_is_exact_and_pages_are_followed_and_paid() {
    let moto = Moto::shared();
    let account = moto.account();
    moto.queue_costs(
        &account,
        json!([
            {"ResultsByTime": [result(1, &[("Amazon Elastic Compute Cloud - Compute", "12.3456789")], false)], "NextPageToken": "p2"},
            {"ResultsByTime": [result(2, &[("Amazon Elastic Compute Cloud - Compute", "0.0000004"), ("Tax", "-3.1")], true)]},
        ]),
    );
    let reader = moto.reader(&[&account]).await;
    let rows = reader.costs(&account, &query(CostGroupBy::Service)).await.expect("an answer");
    let row = |number, service: &str, amount, estimated| CostRow {
        account: account.clone(),
        day: day(number),
        group: CostGroup::Service(service.into()),
        amount: Usd(amount),
        estimated,
    };
    assert_eq!(
        rows,
        [
            row(1, "Amazon Elastic Compute Cloud - Compute", 12_345_679, false),
            row(2, "Amazon Elastic Compute Cloud - Compute", 0, true),
            row(2, "Tax", -3_100_000, true),
        ]
    );
    let counted = reader.requests();
    assert_eq!((counted[0].count, counted[0].usd), (2, Some(Usd(20_000))), "two pages, two cents");
    let seen = moto.seen(&account, "GetCostAndUsage");
    assert_eq!(seen[0].region.as_deref(), Some("us-east-1"));
    assert_eq!(seen[0].parameters["Granularity"], "DAILY");
    assert_eq!(seen[0].parameters["Filter"]["Dimensions"]["Values"], json!([account]), "one account's spend alone");
}

#[tokio::test]
async fn spend_by_tag_names_the_value_and_keeps_spend_without_the_tag() {
    let moto = Moto::shared();
    let account = moto.account();
    let groups = [("cost-center$shop", "5"), ("cost-center$a$b", "2.5"), ("cost-center$", "1")];
    moto.queue_costs(&account, json!([{"ResultsByTime": [result(1, &groups, false)]}]));
    let reader = moto.reader(&[&account]).await;
    let rows = reader.costs(&account, &query(CostGroupBy::Tag("cost-center".into()))).await.expect("an answer");
    let values: Vec<(&str, Usd)> = rows
        .iter()
        .map(|row| match &row.group {
            CostGroup::Tag { key, value } if key == "cost-center" => (value.as_str(), row.amount),
            other => panic!("not a value of the tag: {other:?}"),
        })
        .collect();
    assert_eq!(values, [("shop", Usd(5_000_000)), ("a$b", Usd(2_500_000)), ("", Usd(1_000_000))]);
}

#[tokio::test]
async fn an_amount_that_is_none_spoils_the_answer_and_a_refusal_is_a_refusal() {
    let moto = Moto::shared();
    let account = moto.account();
    moto.queue_costs(&account, json!([{"ResultsByTime": [result(1, &[("Tax", "n/a")], false)]}]));
    let reader = moto.reader(&[&account]).await;
    let error = reader.costs(&account, &query(CostGroupBy::Service)).await.expect_err("no amount");
    assert_eq!(error.kind, ErrorKind::Uncertain, "{error}");
    moto.fault(Fault::error("GetCostAndUsage", 400, "AccessDeniedException").of_account(&account));
    let error = reader.costs(&account, &query(CostGroupBy::Service)).await.expect_err("denied");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
}
