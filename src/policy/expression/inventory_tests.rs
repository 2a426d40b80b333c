//! Every field over resources of every kind, and what binding refuses.

use std::collections::BTreeSet;

use super::*;
use crate::checks::testing::*;
use crate::domain::fact::Fact;
use crate::domain::resource::{Detail, Tags};
use crate::policy::expression::tests::compiled;

fn bind(text: &str, kinds: &[Kind]) -> OverInventory {
    OverInventory::bind(&compiled(text), kinds).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str, kinds: &[Kind]) -> (String, String) {
    let error = OverInventory::bind(&compiled(text), kinds).unwrap_err();
    (text[error.offset..error.offset + error.width].to_owned(), error.to_string())
}

#[test]
fn conditions_read_resources_their_prices_and_metrics() {
    let bench = Bench::new();
    let mut vm = instance("i-1", "m5.4xlarge", 30);
    vm.tags = Fact::Known(Tags::of(&[("Name", "build-7"), ("cost-center", "cc-1")]));
    let metrics = usage(&[Some(2.0); 7], &[Some(100.0); 7], None);
    let holds = |text: &str| bind(text, &[Kind::Instance]).evaluate(&bench.subject(&vm, Some(&metrics), None));
    for text in [
        "resource.age_days == 30 && resource.state == 'running' && resource.kind == 'compute/instance'",
        "resource.tags['cost-center'] == 'cc-1' && resource.name.startsWith('build-')",
        "resource.tags.owner == null && !has(resource.tags.owner) && !('owner' in resource.tags)",
        "instance.vcpus >= 16 && instance.memory_gib == 64 && instance.family == 'general-purpose'",
        "price.monthly_usd > 364.0 && price.monthly_usd < 366",
        "usage.cpu_average_7d < 5 && usage.network_bytes_per_day_7d == 100",
        "resource.created_at < timestamp('2026-11-01T00:00:00Z')",
        "instance.public_ip == null && size(instance.volumes) == 0",
        "resource.account == '123456789012' && resource.region == 'us-east-1' && resource.id == 'i-1'",
    ] {
        assert_eq!(holds(text), Truth::True, "{text}");
    }
    assert_eq!(
        holds("usage.cpu_average_14d < 5"),
        Truth::Unknown("usage.cpu_average_14d is not known: metrics cover 7 days, 14 are needed".into())
    );
    assert_eq!(
        holds("instance.state_days > 3"),
        Truth::Unknown("instance.state_days is not known: EC2 does not say since when".into())
    );
    vm.tags = Fact::unknown("the tags could not be read");
    let unread = bind("resource.tags.owner == null", &[]).evaluate(&bench.subject(&vm, None, None));
    assert_eq!(unread, Truth::Unknown("resource.tags.owner is not known: the tags could not be read".into()));
}

#[test]
fn a_volume_is_dated_by_our_own_sightings() {
    let bench = Bench::new();
    let disk = volume("vol-1", 200, "gp3");
    let rule = bind("volume.unattached_days > 14 && volume.size_gib >= 100 && !volume.encrypted", &[Kind::Volume]);
    let truth = |sighting| rule.evaluate(&bench.subject(&disk, None, sighting));
    assert_eq!(truth(seen(15, 0, 5)), Truth::True);
    assert_eq!(truth(seen(14, 23, 5)), Truth::False);
    assert_eq!(
        truth(None),
        Truth::Unknown("volume.unattached_days is not known: no scan of ours has dated it yet".into())
    );
    let vm = instance("i-1", "m5.large", 1);
    let any = bind("volume.size_gib > 1", &[]);
    assert_eq!(any.evaluate(&bench.subject(&vm, None, None)), Truth::NoRoot("volume".into()), "not about instances");
}

#[test]
fn a_name_outside_the_table_is_refused_with_the_nearest_one() {
    let (at, text) = refused("resource.age_dys > 3", &[Kind::Instance]);
    assert_eq!(at, "resource.age_dys");
    assert!(text.starts_with(
        "there is no \"resource.age_dys\" of instance; did you mean \"resource.age_days\"?; accepted: resource.id, "
    ));
    let (at, text) = refused("true || has(volume.size_gib)", &[Kind::Instance]);
    assert_eq!(
        (at.as_str(), text.split("; ").next().unwrap()),
        ("volume.size_gib", "\"volume.size_gib\" is read of volume only")
    );
    let (_, text) = refused("resource.vcpus > 3", &[Kind::Instance]);
    assert!(text.contains("did you mean \"instance.vcpus\"?"), "{text}");
    let (at, text) = refused("user.role == 'admin'", &[Kind::Address]);
    assert_eq!(at, "user.role");
    assert_eq!(
        text,
        "there is no \"user.role\" of elastic address; accepted: names below resource, address, price; \
         `costwarden schema --fields` lists them"
    );
    assert!(refused("resource.id.length > 3", &[]).1.starts_with("there is no \"resource.id.length\""));
    assert!(refused("resource > 3", &[]).1.starts_with("there is no \"resource\""));
}

#[test]
fn types_of_the_table_are_held_at_load() {
    let (at, text) = refused("resource.age_days > '30'", &[]);
    assert_eq!((at.as_str(), text.as_str()), (">", "`>` between a number and text; accepted: two values of one type"));
    assert_eq!(refused("resource.state && true", &[]).0, "resource.state");
    assert!(refused("volume.size_gib", &[]).1.starts_with("`volume.size_gib` is a number"));
    assert!(refused("resource.tags.owner > 5", &[]).1.starts_with("`>` between text and a number"));
    bind("volume.encrypted", &[]);
}

#[test]
fn every_field_answers_for_each_of_its_kinds_in_its_own_type() {
    let bench = Bench::new();
    let address = crate::domain::resource::Address {
        public_ip: "203.0.113.7".into(),
        association: None,
        instance: None,
        network_interface: None,
        operator: None,
    };
    let snapshot = crate::domain::resource::Snapshot {
        state: "completed".into(),
        progress: Fact::Known(100),
        volume: "vol-1".into(),
        volume_size_gib: 8,
        kms_key: None,
        storage_tier: "standard".into(),
        description: "".into(),
    };
    let image = crate::domain::resource::Image {
        state: "available".into(),
        snapshots: Box::new(["snap-1".into()]),
        name: "web".into(),
    };
    let resources = [
        instance("i-1", "m5.large", 3),
        volume("vol-1", 8, "gp3"),
        resource(Kind::Snapshot, "snap-1", 3, &[], Detail::Snapshot(Box::new(snapshot))),
        resource(Kind::Address, "eipalloc-1", 3, &[], Detail::Address(Box::new(address))),
        resource(Kind::Image, "ami-1", 3, &[], Detail::Image(Box::new(image))),
    ];
    let mut paths = BTreeSet::new();
    for field in FIELDS {
        assert!(paths.insert(field.path), "{} is there twice", field.path);
        for resource in resources.iter().filter(|resource| field.kinds.contains(&resource.kind())) {
            let bound = bind(&format!("{} == null", field.path), &[resource.kind()]);
            let looks = bound.looks(&bench.subject(resource, None, seen(3, 0, 3)));
            let fits = match (&looks[0].value, field.of.as_type()) {
                (Value::Null | Value::Unknown(_), _) => true,
                (Value::Bool(_), Type::Test) | (Value::Int(_) | Value::Double(_), Type::Number) => true,
                (Value::Text(_), Type::Text) | (Value::Time(_), Type::Time) => true,
                (Value::List(_), Type::List) | (Value::Map(_), Type::Map) => true,
                _ => false,
            };
            assert!(fits, "{}: {:?}", field.path, looks[0].value);
            if let Value::Unknown(reason) = &looks[0].value {
                assert_ne!(reason, "the resource is of another kind", "{}", field.path);
            }
        }
    }
}
