//! What the price book adds to a request: size and family of a type, and the list price of a month.
//!
//! Linux on demand, 730 hours a month. A price that the book lacks stays unknown. Database classes have the vCPUs and
//! the memory of the EC2 type behind their `db.` (Amazon RDS User Guide, "DB instance classes"), and no price here.

use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::place::Region;
use crate::domain::price::PriceBook;
use crate::domain::request::{Purchase, Request};
use crate::domain::rule::{Family, VolumeClass};
use crate::domain::text::clean;

/// Fills in what the book knows. Figures of a known type go over those that were given: a request cannot make a large
/// machine small by saying so.
pub(super) fn complete(request: &mut Request, prices: &PriceBook) {
    let specs = &mut request.specs;
    if let Fact::Known(name) = &specs.instance_type {
        let spec = prices.types.get(name.strip_prefix("db.").unwrap_or(name));
        if let Some(vcpus) = spec.and_then(|spec| spec.vcpus) {
            specs.vcpus = Fact::Known(f64::from(vcpus));
        }
        if let Some(mib) = spec.and_then(|spec| spec.memory_mib) {
            specs.memory_gib = Fact::Known(mib as f64 / 1024.0);
        }
        let plain = name.strip_prefix("db.").unwrap_or(name);
        if let Some(family) = Family::of_type(plain, spec.and_then(|spec| spec.gpus)) {
            specs.family = Fact::Known(family);
        }
    }
    if let Fact::Known(name) = &specs.volume_type {
        specs.volume_class = match VolumeClass::of_type(name) {
            Some(class) => Fact::Known(class),
            None => Fact::Unknown(format!("{} is a volume type that is not known here", clean(name)).into()),
        };
    }
    if request.monthly.is_unknown() {
        request.monthly = monthly(request, prices);
    }
}

/// The list price of a month.
fn monthly(request: &Request, prices: &PriceBook) -> Fact<Usd> {
    let region = request.region.known().unwrap_or(&prices.region);
    match request.resource_type.as_str() {
        "compute/instance" => instance(request, prices, region),
        "storage/volume" => volume(request, prices, region),
        "network/address" => Fact::Known(prices.address_month(region).monthly),
        other => Fact::Unknown(format!("the price book has no price of {}", clean(other)).into()),
    }
}

fn instance(request: &Request, prices: &PriceBook, region: &Region) -> Fact<Usd> {
    if let Fact::Known(way @ (Purchase::Spot | Purchase::Dedicated | Purchase::SavingsPlan)) = request.purchase {
        return Fact::Unknown(format!("the price book has no {} price", way.word()).into());
    }
    match &request.specs.instance_type {
        Fact::Known(name) => match prices.instance_month(name, region) {
            Some(price) => Fact::Known(price.monthly),
            None => Fact::Unknown(format!("{} is not in the price book", clean(name)).into()),
        },
        Fact::Absent => Fact::unknown("it has no instance type"),
        Fact::Unknown(reason) => Fact::Unknown(format!("its instance type is not known: {reason}").into()),
    }
}

fn volume(request: &Request, prices: &PriceBook, region: &Region) -> Fact<Usd> {
    let specs = &request.specs;
    let whole = |figure: &Fact<f64>| figure.known().map(|value| value.ceil() as u32);
    let (Fact::Known(name), Some(size)) = (&specs.volume_type, whole(&specs.size_gib)) else {
        return Fact::unknown("its volume type or its size is not known");
    };
    match prices.volume_month(name, size, whole(&specs.iops), whole(&specs.throughput), region) {
        Some(price) => Fact::Known(price.monthly),
        None => Fact::Unknown(format!("{} with its operations or throughput has no price here", clean(name)).into()),
    }
}
