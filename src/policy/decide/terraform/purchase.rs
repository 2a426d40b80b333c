//! How a planned resource is bought: on demand, as spot, reserved, or on hardware of its own.
//!
//! Called for each side of a change. Providers mark what nobody wrote as known after apply too; the configuration tells
//! the two apart, and where it cannot, the answer is unknown, never on demand.

use serde_json::Value;

use super::{AFTER_APPLY, Provider, Side};
use crate::domain::fact::Fact;
use crate::domain::request::Purchase;

/// The way of buying.
pub(super) fn of(kind: &str, side: &Side<'_>, provider: &Provider<'_>, change: &Value) -> Fact<Purchase> {
    match kind {
        "aws_spot_instance_request" => Fact::Known(Purchase::Spot),
        "aws_ec2_capacity_reservation" => Fact::Known(Purchase::CapacityReservation),
        "aws_rds_reserved_instance" => Fact::Known(Purchase::Reserved),
        "aws_instance" | "aws_launch_template" => {
            if side.hidden("instance_market_options") {
                return match provider.writes(change, "instance_market_options") {
                    Some(false) => hardware(kind, side, provider, change),
                    Some(true) | None => Fact::unknown(AFTER_APPLY),
                };
            }
            let markets = side.blocks("instance_market_options");
            if markets.iter().any(|block| block.text("market_type") == Fact::Known("spot".into())) {
                return Fact::Known(Purchase::Spot);
            }
            if markets.iter().any(|block| block.text("market_type").is_unknown()) {
                return Fact::unknown(AFTER_APPLY);
            }
            hardware(kind, side, provider, change)
        }
        "aws_ec2_host" => Fact::Known(Purchase::Dedicated),
        other if other.contains("_reserved_") => Fact::Known(Purchase::Reserved),
        other if other.starts_with("aws_savingsplans_") => Fact::Known(Purchase::SavingsPlan),
        _ => Fact::Known(Purchase::OnDemand),
    }
}

/// Whether an instance gets hardware of its own. A launch template says so in its `placement`.
fn hardware(kind: &str, side: &Side<'_>, provider: &Provider<'_>, change: &Value) -> Fact<Purchase> {
    let written = |key: &str| provider.writes(change, key) != Some(false);
    if kind != "aws_launch_template" {
        return placed(side, &written);
    }
    if side.hidden("placement") && written("placement") {
        return Fact::unknown(AFTER_APPLY);
    }
    let blocks = side.blocks("placement");
    let unlike =
        blocks.iter().map(|block| placed(block, &|_| true)).find(|way| *way != Fact::Known(Purchase::OnDemand));
    unlike.unwrap_or(Fact::Known(Purchase::OnDemand))
}

fn placed(side: &Side<'_>, written: &dyn Fn(&str) -> bool) -> Fact<Purchase> {
    let said = ["tenancy", "host_id", "host_resource_group_arn"].map(|key| (key, side.text(key)));
    let own = |(key, value): &(&str, Fact<String>)| match value {
        Fact::Known(word) if *key == "tenancy" => word == "dedicated" || word == "host",
        Fact::Known(word) => !word.is_empty(),
        Fact::Absent | Fact::Unknown(_) => false,
    };
    if said.iter().any(own) {
        return Fact::Known(Purchase::Dedicated);
    }
    match said.iter().any(|(key, value)| value.is_unknown() && written(key)) {
        true => Fact::unknown(AFTER_APPLY),
        false => Fact::Known(Purchase::OnDemand),
    }
}
