//! Requests out of a Terraform plan: what `terraform show -json PLANFILE` prints.
//!
//! Resources that the plan creates or changes become requests; what it deletes, reads or leaves alone is only counted.
//! A value that is known after apply is unknown here, never the provider's default. Tags are those that the provider
//! will set (`tags_all`), else the resource's own over the provider's `default_tags`. The format is HashiCorp's "JSON
//! Output Format", major version 1.

mod purchase;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::estimate;
use crate::domain::fact::Fact;
use crate::domain::money::Usd;
use crate::domain::place::Region;
use crate::domain::price::PriceBook;
use crate::domain::request::Request;
use crate::domain::text::clean;

/// Why a value of a plan is unknown.
const AFTER_APPLY: &str = "known after apply, or marked as sensitive";

/// What a plan asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRequests {
    /// One for each resource that is created or changed and that tags or limits can speak about.
    pub requests: Vec<Request>,
    /// Resources that the plan only deletes.
    pub deleted: usize,
    /// Addresses that are created or changed and judged by nothing here.
    pub not_judged: Vec<String>,
    /// What a person should know about the reading.
    pub notes: Vec<String>,
}

/// Reads a plan.
///
/// # Errors
/// Not the JSON of a plan, or of a plan that failed; in words, with what is accepted.
pub fn plan(text: &str, prices: &PriceBook) -> Result<PlannedRequests, String> {
    let accepted = "what `terraform show -json PLANFILE` prints";
    let plan: Value =
        serde_json::from_str(text).map_err(|error| format!("is not JSON ({error}); accepted is {accepted}"))?;
    let version = plan.get("format_version").and_then(Value::as_str).unwrap_or("");
    if version.split('.').next() != Some("1") {
        let given =
            if version.is_empty() { "no format_version".to_owned() } else { format!("version {}", clean(version)) };
        return Err(format!("has {given}; accepted is version 1 of {accepted}"));
    }
    if plan.get("errored") == Some(&Value::Bool(true)) {
        return Err("is a plan that ended with an error, so it is not whole; plan anew".into());
    }
    // A plan without changes has the list all the same; a state (`show -json` without a plan) has none.
    let Some(changes) = plan.get("resource_changes").and_then(Value::as_array) else {
        let planned = plan.pointer("/planned_values/root_module").and_then(Value::as_object);
        let holds = planned.is_some_and(|root| root.contains_key("resources") || root.contains_key("child_modules"));
        if plan.get("planned_values").is_some() && !holds {
            return Ok(PlannedRequests { requests: vec![], deleted: 0, not_judged: vec![], notes: vec![] });
        }
        return Err(format!("has no resource_changes, so it is no plan; accepted is {accepted}"));
    };
    let mut planned = PlannedRequests { requests: vec![], deleted: 0, not_judged: vec![], notes: vec![] };
    let provider = Provider::of(&plan);
    for change in changes.iter().filter(|change| change.get("mode").and_then(Value::as_str) != Some("data")) {
        one(&mut planned, change, &provider, prices)?;
    }
    let deferred = plan.get("deferred_changes").and_then(Value::as_array).map_or(0, Vec::len);
    if deferred > 0 || plan.get("complete") == Some(&Value::Bool(false)) {
        planned.notes.push(format!("the plan is not complete: {deferred} changes are deferred and not judged"));
    }
    if planned.requests.iter().any(|request| request.resource_type == "compute/instance") {
        planned.notes.push("disks that an image brings along stand in no plan and are not counted".to_owned());
    }
    Ok(planned)
}

fn one(
    planned: &mut PlannedRequests,
    change: &Value,
    provider: &Provider<'_>,
    prices: &PriceBook,
) -> Result<(), String> {
    let word = |key: &str| change.get(key).and_then(Value::as_str);
    let (Some(address), Some(kind), Some(inner)) = (word("address"), word("type"), change.get("change")) else {
        return Err("has a resource change without address, type or change".into());
    };
    let actions: Vec<&str> =
        inner.get("actions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if actions == ["delete"] || actions == ["forget"] {
        planned.deleted += 1;
        return Ok(());
    }
    if !actions.iter().any(|action| matches!(*action, "create" | "update")) {
        return match actions.as_slice() {
            ["no-op"] | ["read"] => Ok(()),
            other => Err(format!("changes {} by {other:?}, which is not known here", clean(address))),
        };
    }
    let (empty, nothing) = (Map::new(), Value::Object(Map::new()));
    let look = |key: &str| inner.get(key).and_then(Value::as_object).unwrap_or(&empty);
    let side = |values: &str, unknown: &str, secret: &str| Side {
        values: look(values),
        unknown: inner.get(unknown).unwrap_or(&nothing),
        secret: inner.get(secret).unwrap_or(&nothing),
    };
    let after = side("after", "after_unknown", "after_sensitive");
    let before = side("before", "", "before_sensitive");
    let Some(mut request) = request(kind, address, &after, provider, change, prices) else {
        planned.not_judged.push(address.to_owned());
        return Ok(());
    };
    // What Terraform only forgets runs on and is paid for beside its replacement.
    if inner.get("before").is_some_and(Value::is_object)
        && !actions.contains(&"forget")
        && let Some(old) = self::request(kind, address, &before, provider, change, prices)
    {
        request.monthly_before = old.monthly;
        request.id = before.values.get("id").and_then(Value::as_str).map(str::to_owned);
    }
    if kind == "aws_launch_template" {
        let note = format!("{}: instances that it starts later are not counted", clean(address));
        planned.notes.push(note);
    }
    let disks = disks(&request, &after, prices);
    planned.requests.push(request);
    planned.requests.extend(disks);
    Ok(())
}

/// One side of a change: its values, and which of them are unknown.
struct Side<'a> {
    values: &'a Map<String, Value>,
    unknown: &'a Value,
    /// Which values are sensitive. A plan has them in plain text, and nothing here may repeat them.
    secret: &'a Value,
}

impl Side<'_> {
    fn hidden(&self, key: &str) -> bool {
        let whole = |marks: &Value| marks == &Value::Bool(true) || marks.get(key) == Some(&Value::Bool(true));
        whole(self.unknown) || whole(self.secret)
    }

    /// A text; `null` and a missing key are a certain "not set".
    fn text(&self, key: &str) -> Fact<String> {
        match self.values.get(key) {
            _ if self.hidden(key) => Fact::unknown(AFTER_APPLY),
            Some(Value::String(text)) => Fact::Known(text.clone()),
            Some(Value::Null) | None => Fact::Absent,
            Some(_) => Fact::unknown("not a text in the plan"),
        }
    }

    fn number(&self, key: &str) -> Fact<f64> {
        match self.values.get(key) {
            _ if self.hidden(key) => Fact::unknown(AFTER_APPLY),
            Some(Value::Number(number)) => number.as_f64().map_or(Fact::unknown("not a number"), Fact::Known),
            Some(Value::Null) | None => Fact::Absent,
            Some(_) => Fact::unknown("not a number in the plan"),
        }
    }

    /// What is marked of one block: its own marks, or those of the whole list.
    fn marks<'v>(&self, marks: &'v Value, key: &str, index: usize) -> &'v Value {
        match marks.get(key) {
            Some(Value::Array(items)) => items.get(index).unwrap_or(&Value::Null),
            whole => whole.unwrap_or(&Value::Null),
        }
    }

    /// The blocks under a key, each as a side of its own.
    fn blocks(&self, key: &str) -> Vec<Side<'_>> {
        let list = self.values.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let sides = list.iter().enumerate().filter_map(|(index, block)| {
            let (unknown, secret) = (self.marks(self.unknown, key, index), self.marks(self.secret, key, index));
            block.as_object().map(|values| Side { values, unknown, secret })
        });
        sides.collect()
    }
}

/// What the provider's configuration says for all its resources.
struct Provider<'a> {
    configs: Vec<(&'a str, &'a Value)>,
    variables: Option<&'a Value>,
    root: Option<&'a Value>,
}

impl<'a> Provider<'a> {
    fn of(plan: &'a Value) -> Provider<'a> {
        let configs = plan.pointer("/configuration/provider_config").and_then(Value::as_object);
        let aws = |config: &Value| config.get("name").and_then(Value::as_str) == Some("aws");
        Provider {
            configs: configs.into_iter().flatten().filter(|(_, c)| aws(c)).map(|(key, c)| (key.as_str(), c)).collect(),
            variables: plan.get("variables"),
            root: plan.pointer("/configuration/root_module"),
        }
    }

    /// The configuration of a resource: the one it names, else the only one there is.
    fn config(&self, change: &Value) -> Option<&'a Value> {
        let key = self.written(change).and_then(|resource| resource.get("provider_config_key")).and_then(Value::as_str);
        match (key, self.configs.as_slice()) {
            (Some(key), configs) => configs.iter().find(|(own, _)| *own == key).map(|(_, config)| *config),
            (None, [(_, only)]) => Some(only),
            (None, _) => None,
        }
    }

    /// The resource as the configuration writes it, in whatever module.
    fn written(&self, change: &Value) -> Option<&'a Value> {
        let mut module = self.root?;
        let path = change.get("module_address").and_then(Value::as_str).unwrap_or("");
        // `module.network["a.b"].module.hosts[0]`: what stands in brackets is an instance and no name.
        let mut plain = String::new();
        let mut depth = 0_u32;
        for character in path.chars() {
            match character {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ if depth == 0 => plain.push(character),
                _ => {}
            }
        }
        for name in plain.split('.').skip(1).step_by(2) {
            module = module.get("module_calls")?.get(name)?.get("module")?;
        }
        let same = |key: &str, resource: &Value| resource.get(key) == change.get(key);
        let resources = module.get("resources").and_then(Value::as_array)?;
        // A data source may have the type and the name of a resource.
        resources.iter().find(|resource| ["mode", "type", "name"].iter().all(|key| same(key, resource)))
    }

    /// Whether the configuration of a resource writes a key; `None` where the configuration is not there. The provider
    /// marks what nobody wrote as known after apply too, and this tells the two apart.
    fn writes(&self, change: &Value, key: &str) -> Option<bool> {
        Some(self.written(change)?.get("expressions").is_some_and(|written| written.get(key).is_some()))
    }

    /// A value that is written out, or that one variable gives.
    fn constant<'v>(&'v self, expression: Option<&'v Value>) -> Option<&'v Value> {
        let expression = expression?;
        if let Some(constant) = expression.get("constant_value") {
            return Some(constant);
        }
        let [only] = expression.get("references")?.as_array()?.as_slice() else { return None };
        let name = only.as_str()?.strip_prefix("var.")?;
        self.variables?.get(name)?.get("value")
    }
}

/// The request for one side of a change; `None` for types that nothing here speaks about.
fn request(
    kind: &str,
    address: &str,
    side: &Side<'_>,
    provider: &Provider<'_>,
    change: &Value,
    prices: &PriceBook,
) -> Option<Request> {
    let resource_type = match kind {
        "aws_instance" | "aws_spot_instance_request" | "aws_launch_template" | "aws_ec2_capacity_reservation" => {
            "compute/instance".to_owned()
        }
        "aws_ebs_volume" => "storage/volume".to_owned(),
        "aws_ebs_snapshot" | "aws_ebs_snapshot_copy" => "storage/snapshot".to_owned(),
        "aws_db_instance" | "aws_rds_cluster_instance" | "aws_rds_reserved_instance" => "database/instance".to_owned(),
        "aws_eip" => "network/address".to_owned(),
        "aws_dx_connection" | "aws_dx_hosted_connection" => "network/connection".to_owned(),
        // Whatever else the provider can tag is held to tag rules.
        other
            if other.starts_with("aws_")
                && ["tags", "tags_all"]
                    .iter()
                    .any(|key| side.values.contains_key(*key) || side.unknown.get(*key).is_some()) =>
        {
            format!("aws/{other}")
        }
        _ => return None,
    };
    let mut request = Request::of_type(&resource_type);
    request.name = Some(address.to_owned());
    request.region = region(side, provider, change);
    request.tags = tags(kind, side, provider, change);
    request.purchase = purchase::of(kind, side, provider, change);
    let specs = &mut request.specs;
    let class = if resource_type == "database/instance" { "instance_class" } else { "instance_type" };
    specs.instance_type = side.text(class);
    if kind == "aws_launch_template" && specs.instance_type == Fact::Known(String::new()) {
        specs.instance_type = Fact::Absent;
    }
    specs.size_gib = match kind {
        "aws_db_instance" => side.number("allocated_storage"),
        "aws_rds_cluster_instance" => Fact::unknown("the storage of a cluster grows by itself"),
        _ => side.number("size"),
    };
    specs.volume_type = side.text("type");
    specs.iops = side.number("iops");
    specs.throughput = side.number("throughput");
    specs.bandwidth_mbps = match resource_type.as_str() {
        "network/connection" => bandwidth(side.text("bandwidth")),
        _ => Fact::unknown("a plan does not say it"),
    };
    match kind {
        "aws_launch_template" => request.monthly = Fact::Known(Usd::ZERO),
        "aws_ec2_capacity_reservation" => {
            request.monthly = Fact::unknown("what a reservation costs depends on how much of it is used");
        }
        _ if resource_type == "network/connection" || resource_type.starts_with("aws/") => {
            request.monthly = Fact::Absent
        }
        _ => {}
    }
    estimate::complete(&mut request, prices);
    Some(request)
}

/// `50Mbps` to `400Gbps`, as Direct Connect writes it, in Mbit/s.
fn bandwidth(text: Fact<String>) -> Fact<f64> {
    let read = |text: &str| {
        let (digits, factor) = match text.strip_suffix("Gbps") {
            Some(digits) => (digits, 1_000.0),
            None => (text.strip_suffix("Mbps")?, 1.0),
        };
        digits.parse::<u32>().ok().map(|figure| f64::from(figure) * factor)
    };
    match text {
        Fact::Known(text) => read(&text).map_or(Fact::unknown("not a bandwidth such as 10Gbps"), Fact::Known),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(reason) => Fact::Unknown(reason),
    }
}

fn region(side: &Side<'_>, provider: &Provider<'_>, change: &Value) -> Fact<Region> {
    let read = |text: &str| {
        Region::new(text).map_or_else(|_| Fact::unknown("the plan names none that can be read"), Fact::Known)
    };
    match side.text("region") {
        Fact::Known(text) => return read(&text),
        Fact::Unknown(reason) if provider.writes(change, "region") == Some(true) => return Fact::Unknown(reason),
        Fact::Unknown(_) | Fact::Absent => {}
    }
    if let Fact::Known(zone) = side.text("availability_zone")
        && zone.ends_with(|c: char| c.is_ascii_lowercase())
    {
        return read(&zone[..zone.len() - 1]);
    }
    let config = provider.config(change);
    let stated = config.and_then(|config| provider.constant(config.pointer("/expressions/region")));
    match stated.and_then(Value::as_str) {
        Some(text) => read(text),
        None => Fact::unknown("neither the resource nor its provider says the Region in the plan"),
    }
}

fn tags(kind: &str, side: &Side<'_>, provider: &Provider<'_>, change: &Value) -> Fact<BTreeMap<String, Fact<String>>> {
    if kind == "aws_launch_template" {
        let specs = side.blocks("tag_specifications");
        let own = specs.iter().find(|block| block.text("resource_type") == Fact::Known("instance".into()));
        return match own {
            Some(block) => map(block, "tags").map_or(Fact::unknown(AFTER_APPLY), Fact::Known),
            None => Fact::Known(BTreeMap::new()),
        };
    }
    if let Some(all) = map(side, "tags_all")
        && side.values.contains_key("tags_all")
    {
        return Fact::Known(all);
    }
    let config = provider.config(change);
    let default = config.and_then(|config| config.pointer("/expressions/default_tags/0/tags"));
    let stated = provider.constant(default).and_then(Value::as_object);
    if default.is_some() && stated.is_none() {
        return Fact::unknown("the provider's default_tags are not written out in the plan");
    }
    let Some(own) = map(side, "tags") else { return Fact::unknown(AFTER_APPLY) };
    let mut tags: BTreeMap<String, Fact<String>> = stated
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), Fact::Known(value.as_str()?.to_owned()))))
        .collect();
    tags.extend(own);
    Fact::Known(tags)
}

/// A map of texts whose single values may be unknown; `None` when it is unknown as a whole.
fn map(side: &Side<'_>, key: &str) -> Option<BTreeMap<String, Fact<String>>> {
    if side.hidden(key) {
        return None;
    }
    let mut found = BTreeMap::new();
    for (name, value) in side.values.get(key).and_then(Value::as_object).into_iter().flatten() {
        let value = match value {
            Value::String(text) => Fact::Known(text.clone()),
            Value::Null => continue,
            _ => Fact::unknown("not a text in the plan"),
        };
        found.insert(name.clone(), value);
    }
    let marks = [side.unknown, side.secret].into_iter().filter_map(|marks| marks.get(key).and_then(Value::as_object));
    for (name, hidden) in marks.flatten() {
        if hidden == &Value::Bool(true) {
            found.insert(name.clone(), Fact::unknown(AFTER_APPLY));
        }
    }
    Some(found)
}

/// The disks that an instance states, as volumes of their own.
fn disks(instance: &Request, side: &Side<'_>, prices: &PriceBook) -> Vec<Request> {
    let mut found = Vec::new();
    for key in ["root_block_device", "ebs_block_device"] {
        for (index, block) in side.blocks(key).iter().enumerate() {
            // A disk of which the plan states no size is the image's own.
            let size = block.number("volume_size");
            if size == Fact::Absent || (key == "root_block_device" && size.is_unknown()) {
                continue;
            }
            let mut disk = Request::of_type("storage/volume");
            disk.name = Some(format!("{}.{key}[{index}]", instance.shown()));
            disk.account = instance.account.clone();
            disk.region = instance.region.clone();
            disk.purchase = instance.purchase.clone();
            disk.tags = match block.values.get("tags_all").or(block.values.get("tags")) {
                Some(Value::Object(own)) if !own.is_empty() => {
                    map(block, if block.values.contains_key("tags_all") { "tags_all" } else { "tags" })
                        .map_or(Fact::unknown(AFTER_APPLY), Fact::Known)
                }
                // `volume_tags` of the instance go onto each of its disks.
                _ => match map(side, "volume_tags") {
                    Some(tags) => Fact::Known(tags),
                    None => Fact::unknown(AFTER_APPLY),
                },
            };
            disk.specs.size_gib = size;
            disk.specs.volume_type = block.text("volume_type");
            disk.specs.iops = block.number("iops");
            disk.specs.throughput = block.number("throughput");
            estimate::complete(&mut disk, prices);
            found.push(disk);
        }
    }
    found
}

#[cfg(test)]
#[path = "terraform_tests.rs"]
mod tests;
