//! The report as JSON: seed contract C1's keys, O5's executive summary, and the rows that people see, under one
//! `schema_version`.
//!
//! For tools: dollars are numbers with two decimals, instants RFC 3339 in UTC, an unknown price or score is `null`.
//! Foreign text is passed on as it is (JSON's own encoding makes it safe here); whoever shows it must escape it.

use serde_json::{Value, json};

use super::words;
use crate::domain::money::Usd;
use crate::domain::report::Report;

/// Version of this document; raised when a key changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole report.
pub fn render(report: &Report) -> Value {
    let open: u64 = report.by_severity.iter().map(|row| row.open.count).sum();
    json!({
        "schema_version": SCHEMA_VERSION,
        "report_metadata": {
            "kind": report.kind.word(),
            "generated_at": report.generated_at,
            "period_start": report.period_start,
            "period_end": report.period_end,
            "zone": report.zone,
            "scope": report.scope,
        },
        "headline": report.headline,
        "overall_compliance": overall(report),
        "by_policy": report.by_policy.iter().map(|row| json!({
            "policy": row.policy,
            "total_resources": row.applicable,
            "non_compliant_count": row.violating,
            "excepted_count": row.excepted,
            "compliance_rate": row.rate.map(two_decimals),
            "new": row.new,
            "monthly_savings_usd": usd(row.open.monthly),
            "not_priced": row.open.unpriced,
        })).collect::<Vec<_>>(),
        "by_team": report.by_team.iter().map(|row| json!({
            "team": row.team,
            "total_resources": row.total_resources,
            "violations": row.violations,
            "compliance_score": two_decimals(row.compliance_score),
        })).collect::<Vec<_>>(),
        "by_severity": report.by_severity.iter().map(|row| json!({
            "severity": row.severity,
            "open": row.open.count,
            "monthly_savings_usd": usd(row.open.monthly),
            "not_priced": row.open.unpriced,
            "new": row.new,
            "closed": row.closed,
        })).collect::<Vec<_>>(),
        "cost_impact": financial(report, open),
        "trends": trends(report),
        "top_violators": report.top_violators.iter().map(|row| json!({
            "id": row.id,
            "name": row.name,
            "violation_count": row.violation_count,
            "policies": row.policies,
            "total_cost_impact": row.total_cost_impact.map(usd),
        })).collect::<Vec<_>>(),
        "recommendations": report.recommendations,
        "executive_summary": executive(report),
        "due": rows(&report.due),
        "waits_for_a_person": rows(&report.decisions),
        "held": report.held,
        "acts": rows(&report.acts),
        "undoable": report.undoable.iter().map(|row| json!({
            "id": row.id,
            "resource": row.resource,
            "name": row.name,
            "way": row.way,
            "until": row.until,
            "daily_usd": usd(row.daily),
            "estimate": row.estimate,
        })).collect::<Vec<_>>(),
        "top_findings": rows(&report.top_findings),
        "exceptions": rows(&report.exceptions),
        "budgets": report.budgets.iter().map(|alert| json!({
            "policy": alert.policy,
            "rule": alert.rule,
            "period": alert.period,
            "percent": alert.percent,
            "limit_usd": usd(alert.limit),
            "spent_usd": usd(alert.spent),
            "estimated": alert.estimated,
            "action": alert.action,
        })).collect::<Vec<_>>(),
        "spend": report.spend.as_ref().map(|spend| json!({
            "from": spend.from,
            "to": spend.to,
            "total_usd": usd(spend.total),
            "previous_usd": spend.previous.map(usd),
            "estimated_days": spend.estimated_days,
            "by_service": spend.by_service.iter()
                .map(|(service, amount)| json!({ "service": service, "usd": usd(*amount) }))
                .collect::<Vec<_>>(),
        })),
        "coverage_gaps": report.gaps,
        "unknown_verdicts": report.unknown.iter()
            .map(|(check, count)| json!({ "check": check, "count": count }))
            .collect::<Vec<_>>(),
        "notes": report.notes,
        "audit": report.audit,
        "self_cost": { "requests": report.self_cost.requests, "usd": usd(report.self_cost.usd) },
    })
}

/// O5: what a person who has one minute needs.
pub fn executive(report: &Report) -> Value {
    let open: u64 = report.by_severity.iter().map(|row| row.open.count).sum();
    json!({
        "generated_at": report.generated_at,
        "period_days": (report.period_end - report.period_start).num_hours().div_euclid(24),
        "summary": {
            "compliance_score": report.score.map(|score| two_decimals(score.percent)),
            "compliance_trend": report.trend.direction,
            "total_resources": report.score.map(|score| score.applicable),
            "non_compliant_resources": report.score.map(|score| score.violating),
            "active_exceptions": report.exceptions.len(),
        },
        "financial_impact": financial(report, open),
        "top_issues": report.by_policy.iter().take(5).map(|row| json!({
            "policy": row.policy,
            "compliance_rate": row.rate.map(two_decimals),
            "non_compliant_count": row.violating,
        })).collect::<Vec<_>>(),
        "team_performance": report.by_team.iter().take(10).map(|row| json!({
            "team": row.team,
            "total_resources": row.total_resources,
            "violations": row.violations,
            "compliance_score": two_decimals(row.compliance_score),
        })).collect::<Vec<_>>(),
        "recommendations": report.recommendations,
        "trends": trends(report),
    })
}

fn overall(report: &Report) -> Value {
    json!({
        "compliance_score": report.score.map(|score| two_decimals(score.percent)),
        "level": words::level_of(report),
        "total_resources": report.score.map(|score| score.applicable),
        "non_compliant": report.score.map(|score| score.violating),
        "trend": report.trend.direction,
        "exceptions": report.by_policy.iter().map(|row| row.excepted).sum::<u64>(),
        "watching": report.watching.count,
        "unknown_verdicts": report.unknown.iter().map(|(_, count)| count).sum::<u64>(),
    })
}

fn financial(report: &Report, open: u64) -> Value {
    json!({
        "potential_monthly_savings": usd(report.open_savings.monthly),
        "potential_annual_savings": usd(report.open_savings.monthly.scaled(12, 1)),
        "not_priced": report.open_savings.unpriced,
        "violation_count": open,
        "watching_monthly": usd(report.watching.monthly),
        "realised_monthly_savings": usd(report.realised.monthly),
        "realised_to_date": usd(report.realised.to_date),
    })
}

fn trends(report: &Report) -> Value {
    json!({
        "current": report.trend.current,
        "previous": report.trend.previous,
        "change_percent": two_decimals(report.trend.change_percent),
        "direction": report.trend.direction,
        "score_history": report.score_history.iter().map(|score| score.map(two_decimals)).collect::<Vec<_>>(),
    })
}

/// Rows as they are, with `monthly` in dollars instead of micro-dollars.
fn rows<T: serde::Serialize>(rows: &[T]) -> Value {
    let mut value = json!(rows);
    for row in value.as_array_mut().into_iter().flatten() {
        if let Some(row) = row.as_object_mut()
            && let Some(micros) = row.shift_remove("monthly")
        {
            row.insert("monthly_usd".to_owned(), json!(micros.as_i64().map(|micros| usd(Usd(micros)))));
        }
    }
    value
}

fn usd(amount: Usd) -> f64 {
    two_decimals(amount.as_f64())
}

fn two_decimals(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn c1_the_seeds_keys_are_there() {
        let json = render(&sample());
        for key in [
            "report_metadata",
            "overall_compliance",
            "by_policy",
            "by_team",
            "cost_impact",
            "trends",
            "top_violators",
            "recommendations",
        ] {
            assert!(json.get(key).is_some(), "{key}");
        }
        for key in ["generated_at", "period_start", "period_end", "scope"] {
            assert!(json["report_metadata"].get(key).is_some(), "{key}");
        }
        assert_eq!(json["report_metadata"]["scope"], "all");
    }

    #[test]
    fn h40_the_end_of_the_audit_trail_is_told_with_row_and_hash() {
        let json = render(&sample());
        assert_eq!(json["audit"], json!({ "row": 4127, "hash": sample().audit.unwrap().hash }));
        assert_eq!(render(&Report { audit: None, ..sample() })["audit"], Value::Null);
    }

    #[test]
    fn c2_no_data_is_null_and_unknown_and_a_score_has_two_decimals() {
        let json = render(&sample());
        assert_eq!(json["overall_compliance"]["compliance_score"], 87.8);
        assert_eq!(json["overall_compliance"]["level"], "partial");
        let empty = render(&Report { score: None, ..sample() });
        assert_eq!(empty["overall_compliance"]["compliance_score"], Value::Null);
        assert_eq!(empty["overall_compliance"]["level"], "unknown");
    }

    #[test]
    fn c4_c8_there_is_one_trend_vocabulary() {
        let json = render(&sample());
        assert_eq!(json["overall_compliance"]["trend"], "improving");
        assert_eq!(json["trends"]["direction"], "improving");
        assert_eq!(json["trends"]["change_percent"], -17.07);
    }

    #[test]
    fn c9_annual_savings_are_twelve_months_and_an_unknown_price_is_null_not_zero() {
        let json = render(&sample());
        assert_eq!(json["cost_impact"]["potential_monthly_savings"], 5213.84);
        assert_eq!(json["cost_impact"]["potential_annual_savings"], 62566.08);
        assert_eq!(json["cost_impact"]["violation_count"], 187);
        assert_eq!(json["due"][7]["monthly_usd"], Value::Null);
        assert_eq!(json["due"][0]["monthly_usd"], 248.2);
    }

    #[test]
    fn c10_a_top_violator_has_the_seeds_keys() {
        let json = render(&sample());
        let keys: Vec<&String> = json["top_violators"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "name", "violation_count", "policies", "total_cost_impact"]);
    }

    #[test]
    fn o5_the_executive_summary_cuts_issues_at_five_and_teams_at_ten() {
        let mut report = sample();
        report.by_team = (0..20).flat_map(|_| sample().by_team).collect();
        let json = executive(&report);
        assert_eq!(json["period_days"], 7);
        assert_eq!(json["top_issues"].as_array().unwrap().len(), 5);
        assert_eq!(json["team_performance"].as_array().unwrap().len(), 10);
        assert_eq!(json["summary"]["active_exceptions"], 3);
        assert_eq!(
            json.as_object().unwrap().keys().collect::<Vec<_>>(),
            [
                "generated_at",
                "period_days",
                "summary",
                "financial_impact",
                "top_issues",
                "team_performance",
                "recommendations",
                "trends"
            ]
        );
    }
}
