//! V1 to V8 and D2 to D4 at the decision point: requests against documents as people write them.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::domain::place::Region;
use crate::domain::request::Purchase;
use crate::domain::rule::{Family, VolumeClass};

const SEED: &str = "
metadata: {name: resource-limits}
type: ResourceLimit
rules:
  - name: max-instance-size
    resource: compute/instance
    constraint: {maxVCPUs: 16, maxMemoryGB: 64, deniedInstanceFamilies: [gpu, high-memory]}
---
metadata: {name: mandatory-tags}
type: TagRequirement
rules:
  - name: cost-center-required
    requiredTags:
      - {key: cost-center, pattern: '^CC-[0-9]{6}$'}
      - {key: environment, allowedValues: [production, staging, development]}
    scope: [compute/*, storage/*]
";

pub(in crate::policy::decide) fn policies(text: &str) -> Vec<Policy> {
    crate::policy::parse(Path::new("p.yaml"), text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(in crate::policy::decide) fn tags(pairs: &[(&str, &str)]) -> Fact<BTreeMap<String, Fact<String>>> {
    Fact::Known(pairs.iter().map(|(key, value)| ((*key).into(), Fact::Known((*value).into()))).collect())
}

fn instance(vcpus: f64, memory: f64, family: Family, pairs: &[(&str, &str)]) -> Request {
    let mut request = Request::of_type("compute/instance");
    request.specs.vcpus = Fact::Known(vcpus);
    request.specs.memory_gib = Fact::Known(memory);
    request.specs.family = Fact::Known(family);
    request.tags = tags(pairs);
    request
}

fn good() -> Request {
    instance(8.0, 32.0, Family::GeneralPurpose, &[("cost-center", "CC-001234"), ("environment", "production")])
}

fn no_spend() -> Spending {
    Spending::NoSource("nobody reads it in this test".into())
}

fn ask(text: &str, request: &Request) -> Judged {
    judge(&policies(text), std::slice::from_ref(request), &no_spend())
}

fn messages(judged: &Judged) -> Vec<&str> {
    judged.violations.iter().map(|violation| violation.message.as_str()).collect()
}

#[test]
fn v7_the_golden_sample_allows_one_request_and_denies_the_other_with_five_violations_in_order() {
    let allowed = ask(SEED, &good());
    assert_eq!((allowed.action, allowed.violations, allowed.warnings), (Answer::Allow, vec![], vec![]));

    let bad = instance(32.0, 128.0, Family::Gpu, &[("cost-center", "INVALID"), ("environment", "test")]);
    let denied = ask(SEED, &bad);
    assert_eq!(denied.action, Answer::Deny);
    assert_eq!(
        messages(&denied),
        [
            "32 vCPUs are wanted, at most 16 are allowed",
            "128 GiB of memory are wanted, at most 64 are allowed",
            "the instance family gpu is denied",
            "the tag cost-center is \"INVALID\", which does not match ^CC-[0-9]{6}$",
            "the tag environment is \"test\", which is not one of production, staging, development",
        ]
    );
    let rules: Vec<_> = denied.violations.iter().map(|v| (v.policy_name.as_str(), v.rule_name.as_str())).collect();
    let (limits, tags) = (("resource-limits", "max-instance-size"), ("mandatory-tags", "cost-center-required"));
    assert_eq!(rules, [limits, limits, limits, tags, tags]);
    assert!(denied.violations.iter().all(|v| v.severity == Severity::Critical && v.resource_id.is_none()));
}

#[test]
fn v1_a_violation_names_policy_rule_severity_type_and_id_and_warnings_are_filled() {
    let mild = SEED.replace("type: TagRequirement", "type: TagRequirement\nseverity: medium");
    let mut request = instance(8.0, 32.0, Family::GeneralPurpose, &[("cost-center", "CC-001234")]);
    request.id = Some("i-0abc".into());
    let warned = ask(&mild, &request);
    assert_eq!(warned.action, Answer::Warn);
    assert_eq!(
        warned.violations,
        [Violation {
            policy_name: "mandatory-tags".into(),
            rule_name: "cost-center-required".into(),
            message: "the tag environment is missing".into(),
            severity: Severity::Medium,
            effect: Answer::Warn,
            resource_type: "compute/instance".into(),
            resource_id: Some("i-0abc".into()),
            resource: "i-0abc".into(),
            unknown: false,
            question: None,
        }]
    );
    assert_eq!(warned.warnings, ["i-0abc: the tag environment is missing"]);
}

#[test]
fn v2_severity_enforcement_and_mode_decide_between_deny_and_warn() {
    let bad = instance(32.0, 32.0, Family::GeneralPurpose, &[]);
    let with = |key: &str| {
        let text = format!(
            "metadata: {{name: l}}\ntype: ResourceLimit\n{key}\nrules:\n  - {{name: r, resource: compute/instance, constraint: {{maxVCPUs: 16}}}}\n"
        );
        ask(&text, &bad).action
    };
    assert_eq!(with(""), Answer::Deny, "a document that names no severity denies, as S1's own checks do");
    assert_eq!(with("severity: critical"), Answer::Deny);
    assert_eq!(with("severity: high"), Answer::Warn);
    assert_eq!(with("severity: critical\nmode: monitor"), Answer::Warn);
    assert_eq!(with("mode: disabled"), Answer::Allow);
}

#[test]
fn d4_enforcement_deny_denies_and_warn_warns_whatever_the_severity() {
    let text = |key: &str| {
        format!(
            "metadata: {{name: t}}\ntype: TagRequirement\nseverity: {key}\nrules:\n  - {{name: r, requiredTags: [{{key: owner}}]}}\n"
        )
    };
    let untagged = instance(1.0, 1.0, Family::GeneralPurpose, &[]);
    assert_eq!(ask(&text("critical").replace("owner}]", "owner}], enforcement: warn"), &untagged).action, Answer::Warn);
    assert_eq!(ask(&text("low").replace("owner}]", "owner}], enforcement: deny"), &untagged).action, Answer::Deny);
}

#[test]
fn d4_two_rules_about_one_key_are_two_rules() {
    let text = "metadata: {name: t}\ntype: TagRequirement\nrules:\n  - {name: form, requiredTags: [{key: owner, pattern: \
                '^[a-z]+@company.com$'}]}\n  - {name: length, requiredTags: [{key: owner, minLength: 30}]}\n";
    let owned = instance(1.0, 1.0, Family::GeneralPurpose, &[("owner", "ann.b@company.com")]);
    let judged = ask(text, &owned);
    let rules: Vec<&str> = judged.violations.iter().map(|violation| violation.rule_name.as_str()).collect();
    assert_eq!(rules, ["form", "length"], "neither hides the other");
}

#[test]
fn v3_equal_passes_more_does_not_and_what_is_not_said_denies() {
    let mut request = good();
    request.specs.vcpus = Fact::Known(16.0);
    request.specs.memory_gib = Fact::Known(64.0);
    assert_eq!(ask(SEED, &request).action, Answer::Allow);
    request.specs.memory_gib = Fact::Known(64.5);
    assert_eq!(messages(&ask(SEED, &request)), ["64.5 GiB of memory are wanted, at most 64 are allowed"]);

    let mut silent = Request::of_type("compute/instance");
    silent.tags = good().tags;
    let denied = ask(SEED, &silent);
    assert_eq!(denied.action, Answer::Deny);
    let unknown: Vec<_> = denied.violations.iter().map(|violation| violation.unknown).collect();
    assert_eq!(unknown, [true, true, true], "vCPUs, memory and family: none is taken for zero");
    let monitored = SEED.replace("type: ResourceLimit", "type: ResourceLimit\nmode: monitor");
    assert_eq!(ask(&monitored, &silent).action, Answer::Warn);
}

#[test]
fn v4_a_missing_tag_is_one_violation_and_a_bad_value_fails_each_demand_by_itself() {
    let text = "
metadata: {name: t}
type: TagRequirement
rules:
  - name: r
    requiredTags:
      - {key: first, pattern: '^[a-z]+$', allowedValues: [one, two], minLength: 3, maxLength: 4}
      - {key: second}
";
    let none = ask(text, &instance(1.0, 1.0, Family::GeneralPurpose, &[]));
    assert_eq!(messages(&none), ["the tag first is missing", "the tag second is missing"]);
    let bad = ask(text, &instance(1.0, 1.0, Family::GeneralPurpose, &[("first", "A"), ("second", "")]));
    assert_eq!(
        messages(&bad),
        [
            "the tag first is \"A\", which does not match ^[a-z]+$",
            "the tag first is \"A\", which is not one of one, two",
            "the tag first has 1 characters, accepted are 3 to 4",
        ]
    );
    let mut hidden = instance(1.0, 1.0, Family::GeneralPurpose, &[("second", "x")]);
    if let Fact::Known(tags) = &mut hidden.tags {
        tags.insert("first".into(), Fact::unknown("known after apply"));
    }
    let hidden = ask(text, &hidden);
    assert_eq!(messages(&hidden), ["the tag first is required, and it is not known: known after apply"]);
}

#[test]
fn v5_a_scope_stops_at_the_slash_and_tags_are_for_everything_without_one() {
    let mut other = Request::of_type("computex/instance");
    other.tags = tags(&[]);
    assert_eq!(ask(SEED, &other).action, Answer::Allow);
    let everywhere = SEED.replace("    scope: [compute/*, storage/*]\n", "");
    assert_eq!(messages(&ask(&everywhere, &other)).len(), 2);
}

#[test]
fn v8_a_trailing_line_break_does_not_slip_through_a_pattern() {
    let request =
        instance(8.0, 32.0, Family::GeneralPurpose, &[("cost-center", "CC-001234\n"), ("environment", "production")]);
    let denied = ask(SEED, &request);
    assert_eq!(messages(&denied).len(), 1);
    assert!(!denied.violations[0].message.contains('\n'), "hostile text is made harmless");
}

#[test]
fn d3_volumes_and_databases_are_held_to_their_limits() {
    let text = "
metadata: {name: resource-limits}
type: ResourceLimit
rules:
  - {name: v, resource: storage/volume, constraint: {maxSizeGB: 1000, allowedTypes: [standard, ssd], deniedTypes: [provisioned-iops]}}
  - {name: d, resource: database/instance, constraint: {maxVCPUs: 8, maxStorageGB: 500}}
  - {name: i, resource: compute/instance, constraint: {allowedInstanceFamilies: [general-purpose, compute-optimized]}}
";
    let mut volume = Request::of_type("storage/volume");
    volume.specs.size_gib = Fact::Known(1_000.0);
    volume.specs.volume_class = Fact::Known(VolumeClass::Ssd);
    assert_eq!(ask(text, &volume).action, Answer::Allow);
    volume.specs.size_gib = Fact::Known(1_001.0);
    volume.specs.volume_class = Fact::Known(VolumeClass::ProvisionedIops);
    let said = ask(text, &volume);
    assert_eq!(
        messages(&said),
        ["1001 GiB are wanted, at most 1000 are allowed", "the volume type provisioned-iops is denied"]
    );

    let mut database = Request::of_type("database/instance");
    database.specs.vcpus = Fact::Known(16.0);
    database.specs.size_gib = Fact::Known(500.0);
    assert_eq!(messages(&ask(text, &database)), ["16 vCPUs are wanted, at most 8 are allowed"]);

    let memory = instance(2.0, 16.0, Family::MemoryOptimized, &[]);
    assert_eq!(
        messages(&ask(text, &memory)),
        ["the instance family memory-optimized is not among those allowed: general-purpose, compute-optimized"]
    );
}

#[test]
fn d2_network_bandwidth_is_a_limit_of_requests_equal_passes_and_what_is_not_said_denies() {
    let text = "
metadata: {name: resource-limits}
type: ResourceLimit
rules:
  - {name: line, resource: network/connection, constraint: {maxBandwidthMbps: 1000}}
  - {name: wide, resource: compute/instance, constraint: {maxBandwidthMbps: 12500}}
";
    let asked = |kind: &str, mbps: Option<f64>| {
        let mut request = Request::of_type(kind);
        mbps.into_iter().for_each(|mbps| request.specs.bandwidth_mbps = Fact::Known(mbps));
        let judged = ask(text, &request);
        (judged.action, messages(&judged).into_iter().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(asked("network/connection", Some(1_000.0)), (Answer::Allow, vec![]));
    let wide = (Answer::Deny, vec!["1000.5 Mbit/s are wanted, at most 1000 are allowed".to_owned()]);
    assert_eq!(asked("network/connection", Some(1_000.5)), wide);
    assert_eq!(asked("compute/instance", Some(12_500.0)), (Answer::Allow, vec![]));
    assert_eq!(asked("compute/instance", Some(12_501.0)).0, Answer::Deny);
    let (action, said) = asked("network/connection", None);
    assert!(action == Answer::Deny && said.len() == 1 && said[0].contains("is not known"), "{said:?}");
    assert_eq!(asked("network/address", None), (Answer::Allow, vec![]), "another type");
}

const APPROVAL: &str = "
metadata: {name: approvals}
type: Approval
rules:
  - {name: high-cost, approvers: [finance-manager], monthlyAboveUsd: 1000}
  - {name: commitments, approvers: [finance-manager, finops@example.com], purchases: [reserved, savings-plan]}
  - {name: cross-region, approvers: [cloud-team], allowedRegions: [eu-central-1, eu-west-1], scope: [compute/*]}
";

fn wanted(monthly: i64, purchase: Purchase, region: &str) -> Request {
    let mut request = good();
    request.monthly = Fact::Known(Usd::dollars(monthly));
    request.purchase = Fact::Known(purchase);
    request.region = Fact::Known(Region::new(region).unwrap());
    request
}

#[test]
fn d2_high_cost_commitments_and_other_regions_wait_for_their_approvers() {
    let ask = |request: Request| ask(APPROVAL, &request);
    let fine = ask(wanted(1_000, Purchase::OnDemand, "eu-west-1"));
    assert_eq!((fine.action, fine.violations, fine.approvers), (Answer::Allow, vec![], vec![]));

    let dear = ask(wanted(1_001, Purchase::OnDemand, "eu-west-1"));
    assert_eq!(
        (dear.action, dear.approvers.as_slice()),
        (Answer::RequireApproval, &["finance-manager".to_owned()][..])
    );
    let all = ask(wanted(2_000, Purchase::Reserved, "us-east-1"));
    assert_eq!(
        messages(&all),
        [
            "it costs $2,000 a month, and more than $1,000 needs approval",
            "it is bought as reserved, which needs approval",
            "it is for us-east-1; outside eu-central-1, eu-west-1 it needs approval",
        ]
    );
    assert_eq!(
        all.approvers,
        ["finance-manager", "finops@example.com", "cloud-team"],
        "each once, in the rules' order"
    );
}

#[test]
fn d2_what_an_approval_rule_cannot_tell_waits_for_a_person_and_a_denial_outweighs_it() {
    let silent = ask(APPROVAL, &good());
    assert_eq!((silent.action, silent.violations.len()), (Answer::RequireApproval, 3));
    let both = ask(&format!("{SEED}---{APPROVAL}"), &Request::of_type("compute/instance"));
    assert_eq!((both.action, both.approvers), (Answer::Deny, vec![]));
    let monitored = APPROVAL.replace("type: Approval", "type: Approval\nmode: monitor");
    assert_eq!(ask(&monitored, &good()).action, Answer::Warn);
}

#[test]
fn a_policy_for_one_account_is_no_way_out_for_a_request_that_names_none() {
    let scoped = SEED.replace("type: ResourceLimit", "type: ResourceLimit\nscope: {regions: [eu-west-1]}");
    let bad = instance(32.0, 32.0, Family::GeneralPurpose, &[("cost-center", "CC-001234"), ("environment", "staging")]);
    assert_eq!(ask(&scoped, &bad).action, Answer::Deny);
    let elsewhere = Request { region: Fact::Known(Region::new("us-east-1").unwrap()), ..bad };
    assert_eq!(ask(&scoped, &elsewhere).action, Answer::Allow);
}

#[test]
fn a_condition_over_the_inventory_is_not_passed_over_in_silence() {
    let text = "metadata: {name: e}\ntype: Expression\nrules:\n  - {name: big, kinds: [compute/instance], condition: \"instance.type.startsWith('t2.')\"}\n";
    let judged = judge(&policies(text), &[good(), good()], &no_spend());
    assert_eq!(judged.warnings, ["e / big: its condition is judged over the inventory, not over requests"]);
}

#[test]
fn v5_a_type_that_is_nearly_one_with_limits_is_told_because_no_rule_was_asked_about_it() {
    let limit = "metadata: {name: l}\ntype: ResourceLimit\nrules:\n  - {name: r, resource: compute/instance, constraint: {maxVCPUs: 4}}\n";
    let noted = |kind: &str| {
        let request = Request::of_type(kind);
        let judged = judge(&policies(limit), &[request.clone(), request], &Spending::NoSource("a test".into()));
        (judged.action, judged.warnings)
    };
    let slip = "no limit is for the type \"compute/instances\", so none was held against it; did you mean \"compute/instance\"?";
    assert_eq!(noted("compute/instances"), (Answer::Allow, vec![slip.to_owned()]), "once, however many there are");
    assert_eq!(noted("aws/aws_s3_bucket"), (Answer::Allow, vec![]));
    assert_eq!(noted("compute/instance").0, Answer::Deny);
}
