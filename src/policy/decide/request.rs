//! Request documents: what somebody wants to have, as JSON or YAML.
//!
//! The keys are those of seed document S1 (`type`, `tags`, `specs` with `vcpus`, `memory_gb`, `instance_family`) and
//! what prices, Regions and approvals need beside them. Held against its shape like every document, so a mistyped key
//! is a mistake with a line and never a limit that nobody checked. A file may hold several documents.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::estimate;
use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::place::{AccountId, Region};
use crate::domain::price::PriceBook;
use crate::domain::request::{Purchase, Request};
use crate::domain::rule::Family;
use crate::domain::text::clean;
use crate::policy::document::{At, Checker, Errors, parse_yaml};

/// A request for one resource.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestDocument {
    /// `compute/instance`, `storage/volume`, `database/instance`, `network/address`, `network/connection` or another type in that form.
    #[serde(rename = "type")]
    #[schemars(length(min = 1))]
    pub resource_type: String,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// What people call it.
    pub name: Option<String>,
    /// Account id, twelve digits in quotes.
    pub account: Option<String>,
    /// A Region such as `eu-central-1`.
    pub region: Option<String>,
    /// Its tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// Its size and sort.
    pub specs: Option<SpecsDocument>,
    /// How it is bought.
    pub purchase: Option<Purchase>,
    /// Dollars a month, where the price book has no price; below its price the book is believed.
    #[schemars(range(min = 0, max = 1e12))]
    pub monthly_usd: Option<f64>,
    /// Who asks.
    pub requester: Option<String>,
}

/// Size and sort of a wanted resource; what is left out is unknown, never zero.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpecsDocument {
    /// EC2's or RDS's type name; its vCPUs, memory and family are looked up and go over those below.
    #[schemars(length(min = 1))]
    pub instance_type: Option<String>,
    /// Virtual CPUs.
    #[schemars(range(min = 0, max = 1e6))]
    pub vcpus: Option<f64>,
    /// Memory, GiB.
    #[schemars(range(min = 0, max = 1e6))]
    pub memory_gb: Option<f64>,
    /// Family in the words of policies.
    pub instance_family: Option<Family>,
    /// Volume size, GiB.
    #[schemars(range(min = 0, max = 1e9))]
    pub size_gb: Option<f64>,
    /// Database storage, GiB.
    #[schemars(range(min = 0, max = 1e9))]
    pub storage_gb: Option<f64>,
    /// EBS type such as `gp3`.
    #[schemars(length(min = 1))]
    pub volume_type: Option<String>,
    /// Provisioned operations a second.
    #[schemars(range(min = 0, max = 1e9))]
    pub iops: Option<f64>,
    /// Throughput, MiB a second.
    #[schemars(range(min = 0, max = 1e9))]
    pub throughput: Option<f64>,
    /// Network bandwidth, Mbit/s.
    #[schemars(range(min = 0, max = 1e9))]
    pub bandwidth_mbps: Option<f64>,
}

/// The requests of one file, completed and priced from the price book.
///
/// # Errors
/// Every mistake of the file with its position.
pub fn requests(file: &Path, text: &str, prices: &PriceBook) -> Result<Vec<Request>, Errors> {
    let documents = parse_yaml(file, text)?;
    let mut checker = Checker::new(file, text);
    let mut found = Vec::new();
    for node in &documents {
        let at = At::root(node);
        if let Some(document) = checker.read::<RequestDocument>(&at) {
            found.push(request(&mut checker, &at, document, prices));
        }
    }
    checker.finish(found)
}

fn request(checker: &mut Checker<'_>, at: &At<'_>, document: RequestDocument, prices: &PriceBook) -> Request {
    let kind = document.resource_type;
    // A capital letter or a space would make a type of it that no rule covers.
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if kind.split('/').count() != 2 || kind.split('/').any(|part| part.is_empty() || !part.chars().all(plain)) {
        let problem = format!("{:?} is not a resource type", clean(&kind));
        checker.fail(&at.key("type"), problem, "a group and a kind in small letters, such as compute/instance");
    }
    let mut request = Request::of_type(&kind);
    request.id = document.id;
    request.name = document.name;
    request.requester = document.requester;
    if let Some(text) = document.account {
        match AccountId::new(&text) {
            Ok(account) => request.account = Fact::Known(account),
            Err(_) => {
                let problem = format!("{:?} is not an AWS account id", clean(&text));
                checker.fail(&at.key("account"), problem, "twelve digits, quoted");
            }
        }
    }
    if let Some(text) = document.region {
        match Region::new(&text) {
            Ok(region) => request.region = Fact::Known(region),
            Err(_) => {
                let problem = format!("{:?} is not a Region", clean(&text));
                checker.fail(&at.key("region"), problem, "a name such as eu-central-1");
            }
        }
    }
    if let Some(tags) = document.tags {
        request.tags = Fact::Known(tags.into_iter().map(|(key, value)| (key, Fact::Known(value))).collect());
    }
    said(&mut request.purchase, document.purchase);
    let specs = document.specs.unwrap_or_default();
    said(&mut request.specs.instance_type, specs.instance_type);
    said(&mut request.specs.vcpus, specs.vcpus);
    said(&mut request.specs.memory_gib, specs.memory_gb);
    said(&mut request.specs.family, specs.instance_family);
    said(&mut request.specs.size_gib, specs.size_gb.or(specs.storage_gb));
    said(&mut request.specs.volume_type, specs.volume_type);
    said(&mut request.specs.iops, specs.iops);
    said(&mut request.specs.throughput, specs.throughput);
    said(&mut request.specs.bandwidth_mbps, specs.bandwidth_mbps);
    for (key, name) in [("instance_type", &request.specs.instance_type), ("volume_type", &request.specs.volume_type)] {
        // A space or a capital letter would make a type of it that no table knows, and figures of one's own would count.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if let Fact::Known(name) = name
            && !name.chars().all(plain)
        {
            let problem = format!("{:?} is not a type", clean(name));
            checker.fail(&at.key("specs").key(key), problem, "a type as AWS writes it, such as m5.large or gp3");
        }
    }
    if specs.size_gb.is_some() && specs.storage_gb.is_some() {
        checker.fail(&at.key("specs").key("storage_gb"), "two sizes are given", "size_gb or storage_gb");
    }
    estimate::complete(&mut request, prices);
    if let Some(usd) = document.monthly_usd.and_then(Usd::from_f64) {
        // A requester can say more than the list price, and what the book lacks; less is not believed.
        request.monthly = Fact::Known(request.monthly.known().map_or(usd, |listed| usd.max(*listed)));
    }
    request
}

fn said<T>(fact: &mut Fact<T>, value: Option<T>) {
    if let Some(value) = value {
        *fact = Fact::Known(value);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    pub(in crate::policy::decide) use crate::checks::testing::prices;

    fn read(text: &str) -> Result<Vec<Request>, Errors> {
        requests(Path::new("r.yaml"), text, &prices())
    }

    #[test]
    fn v3_what_a_request_leaves_out_is_unknown_and_a_known_type_is_looked_up() {
        let silent = &read("type: compute/instance\n").unwrap()[0];
        assert!(silent.tags.is_unknown() && silent.specs.vcpus.is_unknown() && silent.monthly.is_unknown());
        let json = "{\"type\": \"compute/instance\", \"specs\": {\"instance_type\": \"m5.large\", \"vcpus\": 1}}\n";
        let known = &read(json).unwrap()[0];
        assert_eq!(known.specs.vcpus, Fact::Known(2.0), "the type's own figure, not the requester's");
        assert_eq!(known.specs.family, Fact::Known(Family::GeneralPurpose));
        assert!(known.monthly.known().is_some());
    }

    #[test]
    fn v3_a_type_that_no_rule_could_cover_and_a_price_below_the_list_are_no_way_out() {
        for kind in ["Compute/instance", "compute/instance ", " compute/instance", "compute/іnstance", "compute/inst.*"]
        {
            let errors = read(&format!("type: {kind:?}\n")).unwrap_err();
            assert!(errors.to_string().contains("is not a resource type"), "{kind}: {errors}");
        }
        assert!(read("type: aws/aws_s3_bucket\n").is_ok());
        let month = |more: &str| {
            let text = format!("type: compute/instance\nspecs: {{instance_type: m5.large}}\n{more}");
            *read(&text).unwrap()[0].monthly.known().unwrap()
        };
        let listed = month("");
        assert_eq!(month("monthly_usd: 0\n"), listed);
        assert_eq!(month("monthly_usd: 5000\n"), Usd::dollars(5000));
        let unlisted = &read("type: database/instance\nmonthly_usd: 7\n").unwrap()[0];
        assert_eq!(unlisted.monthly, Fact::Known(Usd::dollars(7)));
    }

    #[test]
    fn v3_a_type_that_is_spelled_oddly_or_not_known_is_no_way_around_its_own_figures() {
        for (key, name) in [("instance_type", "m5.24xlarge "), ("instance_type", "M5.LARGE"), ("volume_type", "IO2")] {
            let errors = read(&format!("type: compute/instance\nspecs: {{{key}: {name:?}, vcpus: 1}}\n")).unwrap_err();
            assert_eq!(errors.list()[0].path, format!("specs.{key}"), "{errors}");
        }
        let class = |name: &str| {
            let text = format!("type: storage/volume\nspecs: {{volume_type: {name}, size_gb: 8}}\n");
            read(&text).unwrap()[0].specs.volume_class.clone()
        };
        assert_eq!(class("sc1"), Fact::Known(crate::domain::rule::VolumeClass::Standard));
        assert!(class("io3").is_unknown(), "a type of tomorrow is no standard one");
    }

    #[test]
    fn every_mistake_of_a_request_has_its_line() {
        let text = "type: compute/*\naccount: \"12\"\nregion: here\ntags: {a: b}\nspecs: {vcpu: 3}\n";
        let errors = read(text).unwrap_err();
        assert!(errors.to_string().contains("did you mean \"vcpus\"?"), "{errors}");
        let errors = read(&text.replace("vcpu:", "vcpus:")).unwrap_err();
        let lines: Vec<_> = errors.list().iter().map(|error| (error.line, error.path.as_str())).collect();
        assert_eq!(lines, [(1, "type"), (2, "account"), (3, "region")]);
    }
}
