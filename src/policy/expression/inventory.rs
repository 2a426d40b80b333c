//! What a condition over the inventory may read, and how it reads it.
//!
//! [`FIELDS`] is the whole list: `costwarden schema --fields` prints it, the loader refuses any other name with the
//! nearest one ([`OverInventory::bind`]), and evaluation answers straight from the resource, without building a tree of
//! values for each. What a listing did not tell stays unknown. A tag that is certainly not there is null: the tag set
//! is read whole or not at all.

use std::borrow::Cow;

use super::facts::{Path, Reading, Source, walk};
use super::fields::{FIELDS, Field, Read};
use super::parse::error;
use super::types::{self, Type};
use super::value::Value;
use super::{Condition, ConditionError, Explained, Truth};
use crate::domain::check::Subject;
use crate::domain::place::Kind;
use crate::policy::document::nearest;

/// A condition whose names are all found in the table.
#[derive(Clone, Debug)]
pub struct OverInventory {
    condition: Condition,
    /// For each path: the fields that answer it, one for all kinds or one a kind.
    fields: Vec<Vec<&'static Field>>,
}

/// One value that a condition read.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The path as written.
    pub path: String,
    /// What it gave.
    pub value: Value,
    /// Unit; empty when the value says it.
    pub unit: &'static str,
    /// Where it was read.
    pub source: &'static str,
}

impl OverInventory {
    /// Holds a condition against the table. A name must be readable for at least one of the kinds; for the others the
    /// rule does not apply.
    ///
    /// # Errors
    /// The first name that is not in the table, or a comparison that its type does not allow, with its place.
    pub fn bind(condition: &Condition, kinds: &[Kind]) -> Result<OverInventory, ConditionError> {
        let mut fields = Vec::new();
        for (index, path) in condition.paths().iter().enumerate() {
            let found: Vec<&'static Field> =
                FIELDS.iter().filter(|field| answers(field, path) && has_any(field, kinds)).collect();
            if found.is_empty() {
                return Err(no_such(path, kinds, condition.place_of(index)));
            }
            fields.push(found);
        }
        types::check(condition.node(), &|index| type_of(&condition.paths()[index], &fields[index]))?;
        Ok(OverInventory { condition: condition.clone(), fields })
    }

    /// The condition.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Whether it holds for a resource.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Truth {
        self.condition.evaluate_on(&Bound { fields: &self.fields, subject })
    }

    /// The value of each part for a resource.
    pub fn explain(&self, subject: &Subject<'_>) -> Explained {
        self.condition.explain_on(&Bound { fields: &self.fields, subject })
    }

    /// Every value that it reads of a resource, in the order of the names.
    pub fn looks(&self, subject: &Subject<'_>) -> Vec<Look> {
        let bound = Bound { fields: &self.fields, subject };
        let looks = self.condition.paths().iter().enumerate().filter_map(|(index, path)| {
            let field = bound.field(index)?;
            let value = match bound.read(index, path) {
                Reading::Found(value) => value.into_owned(),
                Reading::NoRoot => return None,
                Reading::Missing(_) | Reading::NotAMap(..) => Value::Unknown(format!("{} is missing", path.text)),
            };
            Some(Look { path: path.text.clone(), value, unit: field.unit, source: field.source })
        });
        looks.collect()
    }

    /// Full days of metrics that it reads; `None` when it reads none.
    pub fn usage_days(&self) -> Option<u32> {
        self.fields.iter().flatten().filter_map(|field| field.usage_days).max()
    }
}

/// A condition's names over one resource.
struct Bound<'a> {
    fields: &'a [Vec<&'static Field>],
    subject: &'a Subject<'a>,
}

impl Bound<'_> {
    fn field(&self, index: usize) -> Option<&'static Field> {
        let kind = self.subject.resource.kind();
        self.fields[index].iter().copied().find(|field| field.kinds.contains(&kind))
    }
}

impl Source for Bound<'_> {
    fn read(&self, index: usize, path: &Path) -> Reading<'_> {
        let Some(field) = self.field(index) else {
            return Reading::NoRoot;
        };
        match field.read {
            Read::Value(read) => {
                let value = read(self.subject);
                if path.segments.len() == field.depth() {
                    return Reading::Found(Cow::Owned(value));
                }
                walk(Cow::Owned(value), path, field.depth())
            }
            Read::Tags => match path.segments.get(field.depth()..) {
                Some([key]) => Reading::Found(Cow::Owned(super::fields::tag(self.subject, key))),
                _ => walk(Cow::Owned(super::fields::all_tags(self.subject)), path, field.depth()),
            },
        }
    }

    fn origin(&self, index: usize, _: &Path) -> Option<String> {
        self.field(index).map(|field| field.source.to_owned())
    }
}

/// Whether a field is what a path names, or holds it.
fn answers(field: &Field, path: &Path) -> bool {
    let mut segments = path.segments.iter();
    field.path.split('.').all(|part| segments.next().is_some_and(|segment| **segment == *part))
        && (field.holds_fields() || segments.next().is_none())
}

fn has_any(field: &Field, kinds: &[Kind]) -> bool {
    kinds.is_empty() || field.kinds.iter().any(|kind| kinds.contains(kind))
}

fn type_of(path: &Path, fields: &[&'static Field]) -> Type {
    let mut types = fields.iter().map(|field| match path.segments.len() == field.depth() {
        true => field.of.as_type(),
        // Below a map of tags is a tag.
        false => Type::Text,
    });
    let first = types.next().unwrap_or(Type::Any);
    if types.all(|other| other == first) { first } else { Type::Any }
}

fn no_such(path: &Path, kinds: &[Kind], at: (usize, usize)) -> ConditionError {
    let known = || FIELDS.iter().filter(|field| has_any(field, kinds));
    let nouns: Vec<&str> = kinds.iter().map(|kind| kind.noun()).collect();
    let of = if nouns.is_empty() { String::new() } else { format!(" of {}", nouns.join(" or ")) };
    let leaf = path.segments.last().map_or("", |leaf| &**leaf);
    let near = known()
        .map(|field| field.path)
        .find(|known| known.rsplit('.').next() == Some(leaf))
        .or_else(|| nearest(&path.text, known().map(|field| field.path)));
    let elsewhere = FIELDS.iter().find(|field| answers(field, path)).map(|field| field.kinds);
    let problem = match (elsewhere, near) {
        (Some(kinds), _) => {
            let nouns: Vec<&str> = kinds.iter().map(|kind| kind.noun()).collect();
            format!("{:?} is read of {} only", path.text, nouns.join(" and "))
        }
        (None, Some(near)) => format!("there is no {:?}{of}; did you mean {near:?}?", path.text),
        (None, None) => format!("there is no {:?}{of}", path.text),
    };
    let root = path.segments.first().map_or("", |root| &**root);
    let same_root: Vec<&str> =
        known().map(|field| field.path).filter(|known| known.split('.').next() == Some(root)).collect();
    let accepted = if same_root.is_empty() {
        let mut roots: Vec<&str> = known().filter_map(|field| field.path.split('.').next()).collect();
        roots.dedup();
        format!("names below {}; `costwarden schema --fields` lists them", roots.join(", "))
    } else {
        same_root.join(", ")
    };
    error(at, &problem, &accepted)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            any.evaluate(&bench.subject(&vm, None, None)),
            Truth::NoRoot("volume".into()),
            "not about instances"
        );
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
        assert_eq!(
            (at.as_str(), text.as_str()),
            (">", "`>` between a number and text; accepted: two values of one type")
        );
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
            pool: None,
            border_group: None,
        };
        let snapshot = crate::domain::resource::Snapshot {
            state: "completed".into(),
            progress: Fact::Known(100),
            volume: "vol-1".into(),
            volume_size_gib: 8,
            kms_key: None,
            storage_tier: "standard".into(),
            description: "".into(),
            image: Fact::Absent,
            locked: Fact::Known(false),
        };
        let image = crate::domain::resource::Image {
            state: "available".into(),
            snapshots: Box::new(["snap-1".into()]),
            name: "web".into(),
            launched: Fact::Absent,
            protected: Fact::Known(false),
            user: Fact::Absent,
            shared: Fact::Known(false),
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
                let fits = matches!(
                    (&looks[0].value, field.of.as_type()),
                    (Value::Null | Value::Unknown(_), _)
                        | (Value::Bool(_), Type::Test)
                        | (Value::Int(_) | Value::Double(_), Type::Number)
                        | (Value::Text(_), Type::Text)
                        | (Value::Time(_), Type::Time)
                        | (Value::List(_), Type::List)
                        | (Value::Map(_), Type::Map)
                );
                assert!(fits, "{}: {:?}", field.path, looks[0].value);
                if let Value::Unknown(reason) = &looks[0].value {
                    assert_ne!(reason, "the resource is of another kind", "{}", field.path);
                }
            }
        }
    }
}
