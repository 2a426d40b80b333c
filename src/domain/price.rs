//! The price book: what a thing costs on the list, where that figure comes from, and how old it is.
//!
//! `cloud::prices` loads it; checks and reports ask it. A type or unit that the book lacks has no price: callers
//! get `None` and say "unknown". A Region without its own prices is priced from the book's Region and marked as an
//! estimate.

use std::collections::HashMap;
use std::sync::OnceLock;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::money::{Rate, Usd};
use super::place::Region;
use super::text::Str;

/// Unit prices and instance types of one Region.
#[derive(Clone, Debug)]
pub struct PriceBook {
    /// The Region that the prices are of.
    pub region: Region,
    /// When they were read.
    pub date: NaiveDate,
    /// Where they come from, in words.
    pub source: Str,
    /// Instance types by name.
    pub types: HashMap<Str, TypeSpec>,
    /// Price of a GB-month by volume type.
    pub volume_gb_month: HashMap<Str, Rate>,
    /// Price of a provisioned operation a second and month by volume type.
    pub volume_iops_month: HashMap<Str, Rate>,
    /// Price of a provisioned MiB a second and month by volume type.
    pub volume_throughput_month: HashMap<Str, Rate>,
    /// Snapshot storage, standard tier, a GB-month.
    pub snapshot_gb_month: Rate,
    /// Snapshot storage, archive tier, a GB-month.
    pub snapshot_archive_gb_month: Rate,
    /// A public IPv4 address, an hour.
    pub public_ipv4_hour: Rate,
    /// Made from `types` when first asked for; start it with the default.
    pub by_series: SeriesIndex,
}

/// Names of instance types by their series (`m5`), so that looking for a smaller sibling does not go through the list.
#[derive(Clone, Debug, Default)]
pub struct SeriesIndex(OnceLock<HashMap<Str, Vec<Str>>>);

/// What the list says about one instance type; an empty field is unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeSpec {
    /// Virtual CPUs.
    pub vcpus: Option<u32>,
    /// Memory in MiB.
    pub memory_mib: Option<u64>,
    /// `x86_64`, `arm64`, …
    pub arch: Option<Str>,
    /// GPUs and other accelerators.
    pub gpus: Option<u32>,
    /// Has local disks.
    pub instance_storage: Option<bool>,
    /// Linux on demand, an hour.
    pub hourly: Option<Rate>,
}

/// A price with where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Priced {
    /// Dollars a month.
    pub monthly: Usd,
    /// Priced from another Region's list.
    pub estimate: bool,
}

impl PriceBook {
    /// The list price of a running Linux instance for a month.
    pub fn instance_month(&self, instance_type: &str, region: &Region) -> Option<Priced> {
        let rate = self.types.get(instance_type)?.hourly?;
        Some(self.priced(rate.per_month(), region))
    }

    /// The list price of a volume for a month, provisioned operations included.
    ///
    /// gp3 operations above 3,000 and throughput above 125 MiB/s have their own rates; a volume that has them and no rate
    /// in the book is unknown.
    pub fn volume_month(
        &self,
        volume_type: &str,
        size_gib: u32,
        iops: Option<u32>,
        throughput: Option<u32>,
        region: &Region,
    ) -> Option<Priced> {
        let mut total = self.volume_gb_month.get(volume_type)?.times(i64::from(size_gib));
        match volume_type {
            "io1" | "io2" => {
                let per_operation = self.volume_iops_month.get(volume_type)?;
                // io2 is tiered above 32,000; the list here holds the first tier only.
                let operations = iops.filter(|count| volume_type == "io1" || *count <= 32_000)?;
                total = total + per_operation.times(i64::from(operations));
            }
            "gp3" => {
                let extra = i64::from(iops?.saturating_sub(3_000));
                if extra > 0 {
                    total = total + self.volume_iops_month.get("gp3")?.times(extra);
                }
                let faster = i64::from(throughput?.saturating_sub(125));
                if faster > 0 {
                    total = total + self.volume_throughput_month.get("gp3")?.times(faster);
                }
            }
            _ => {}
        }
        Some(self.priced(total, region))
    }

    /// The list price of storing `gib` of snapshot data for a month, standard tier.
    pub fn snapshot_month(&self, gib: u32, region: &Region) -> Priced {
        self.priced(self.snapshot_gb_month.times(i64::from(gib)), region)
    }

    /// The list price of an elastic address for a month.
    pub fn address_month(&self, region: &Region) -> Priced {
        self.priced(self.public_ipv4_hour.per_month(), region)
    }

    /// The instance types of a series, such as `m5`, in no order.
    pub fn series(&self, series: &str) -> impl Iterator<Item = (&Str, &TypeSpec)> {
        let index = self.by_series.0.get_or_init(|| {
            let mut index: HashMap<Str, Vec<Str>> = HashMap::new();
            for name in self.types.keys() {
                if let Some((series, _)) = name.split_once('.') {
                    index.entry(Str::from(series)).or_default().push(name.clone());
                }
            }
            index
        });
        index.get(series).into_iter().flatten().filter_map(|name| self.types.get_key_value(name))
    }

    /// What reports print about these prices.
    pub fn provenance(&self) -> String {
        format!("{} list prices of {}, {}", self.region, self.date, self.source)
    }

    fn priced(&self, monthly: Usd, region: &Region) -> Priced {
        Priced { monthly, estimate: region != &self.region }
    }
}
