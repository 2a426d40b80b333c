//! Plans as Terraform prints them: what becomes a request, and what stays unknown.

use super::*;
use crate::domain::request::Purchase;
use crate::domain::rule::VolumeClass;
use crate::policy::decide::request::tests::prices;

const MIXED: &str = include_str!("../../../fixtures/terraform/mixed.json");
const UNKNOWN: &str = include_str!("../../../fixtures/terraform/unknown.json");

fn read(text: &str) -> PlannedRequests {
    plan(text, &prices()).unwrap()
}

fn named<'a>(planned: &'a PlannedRequests, name: &str) -> &'a Request {
    planned.requests.iter().find(|request| request.name.as_deref() == Some(name)).unwrap()
}

fn tags(request: &Request) -> Vec<(&str, Option<&str>)> {
    let tags = request.tags.known().unwrap();
    tags.iter().map(|(key, value)| (key.as_str(), value.known().map(String::as_str))).collect()
}

#[test]
fn created_changed_and_replaced_resources_become_requests_and_no_others() {
    let planned = read(MIXED);
    let names: Vec<_> =
        planned.requests.iter().map(|request| (request.shown(), request.resource_type.as_str())).collect();
    assert_eq!(
        names,
        [
            ("aws_instance.web", "compute/instance"),
            ("aws_instance.web.root_block_device[0]", "storage/volume"),
            ("aws_instance.gpu", "compute/instance"),
            ("module.data[\"a.b\"].aws_ebs_volume.store", "storage/volume"),
            ("aws_db_instance.main", "database/instance"),
            ("aws_eip.front", "network/address"),
            ("aws_s3_bucket.logs", "aws/aws_s3_bucket"),
        ]
    );
    assert_eq!((planned.deleted, planned.not_judged), (1, vec!["aws_iam_role_policy_attachment.x".to_owned()]));
}

#[test]
fn tags_are_those_that_the_provider_will_set_and_else_its_defaults_under_the_resources_own() {
    let planned = read(MIXED);
    assert_eq!(
        tags(named(&planned, "aws_instance.web")),
        [("cost-center", Some("CC-001234")), ("environment", Some("production")), ("managed-by", Some("terraform"))]
    );
    // `tags_all` is not known before apply, the two parts of it are.
    assert_eq!(
        tags(named(&planned, "aws_instance.gpu")),
        [("environment", Some("test")), ("managed-by", Some("terraform"))]
    );
    assert_eq!(tags(named(&planned, "module.data[\"a.b\"].aws_ebs_volume.store")), [("managed-by", Some("terraform"))]);
}

#[test]
fn a_change_costs_the_difference_and_what_has_no_price_stays_unknown() {
    let planned = read(MIXED);
    let (web, grown) = (named(&planned, "aws_instance.web"), named(&planned, "aws_instance.gpu"));
    let month = |request: &Request| *request.monthly.known().unwrap();
    assert_eq!(web.adds(), Fact::Known(month(web)));
    assert_eq!(grown.adds(), Fact::Known(month(grown) - month(web)), "m5.large before, m5.4xlarge after");
    assert_eq!(grown.id.as_deref(), Some("i-0123456789abcdef0"));
    assert!(named(&planned, "aws_db_instance.main").adds().is_unknown());
    assert_eq!(named(&planned, "aws_s3_bucket.logs").adds(), Fact::Absent);
    assert!(named(&planned, "aws_eip.front").adds().known().is_some());
}

#[test]
fn regions_sizes_and_ways_of_buying_are_read_where_the_plan_has_them() {
    let planned = read(MIXED);
    let web = named(&planned, "aws_instance.web");
    assert_eq!(web.region.known().map(Region::as_str), Some("us-east-1"), "from the variable behind the provider");
    assert_eq!(web.purchase, Fact::Known(Purchase::OnDemand));
    assert_eq!(named(&planned, "aws_instance.gpu").purchase, Fact::Known(Purchase::OnDemand), "nobody wrote otherwise");
    let store = &named(&planned, "module.data[\"a.b\"].aws_ebs_volume.store").specs;
    assert_eq!(
        (&store.size_gib, &store.volume_class),
        (&Fact::Known(2000.0), &Fact::Known(VolumeClass::ProvisionedIops))
    );
    assert_eq!(named(&planned, "aws_db_instance.main").specs.size_gib, Fact::Known(400.0));
}

#[test]
fn v3_what_is_known_after_apply_is_unknown_and_no_default() {
    let planned = read(UNKNOWN);
    let [later] = planned.requests.as_slice() else { panic!("{planned:?}") };
    assert_eq!(later.specs.instance_type, Fact::unknown(AFTER_APPLY));
    assert!(later.specs.vcpus.is_unknown() && later.monthly.is_unknown() && later.tags.is_unknown());
    assert!(later.region.is_unknown());
}

#[test]
fn what_is_no_whole_plan_is_refused_in_words() {
    let refused = |text: &str| plan(text, &prices()).unwrap_err();
    assert!(refused("PK\u{3}\u{4}").contains("is not JSON"));
    assert!(refused("{}").contains("no format_version"));
    assert!(refused("{\"format_version\": \"2.0\"}").contains("version 2.0"));
    assert!(refused("{\"format_version\": \"1.0\", \"values\": {}}").contains("no plan"));
    assert!(refused("{\"format_version\": \"1.2\", \"errored\": true}").contains("ended with an error"));
    let odd = MIXED.replacen("\"create\"", "\"explode\"", 1);
    assert!(refused(&odd).contains("aws_instance.web by [\"explode\"]"));
    let partial = read(&MIXED.replace("\"complete\": true", "\"complete\": false"));
    assert!(partial.notes[0].contains("not complete"), "{:?}", partial.notes);
}

#[test]
fn what_a_plan_marks_as_sensitive_is_not_known_so_no_message_can_repeat_it() {
    let text = r#"{"format_version": "1.2", "resource_changes": [{
        "address": "aws_instance.a", "mode": "managed", "type": "aws_instance", "name": "a",
        "change": {"actions": ["create"], "before": null,
            "after": {"instance_type": "hunter2.large", "tags": {"owner": "hunter2", "team": "x"},
                      "tags_all": {"owner": "hunter2", "team": "x"}},
            "after_unknown": {},
            "after_sensitive": {"instance_type": true, "tags": {"owner": true}, "tags_all": {"owner": true}}}}]}"#;
    let planned = read(text);
    let request = named(&planned, "aws_instance.a");
    assert_eq!(tags(request), [("owner", None), ("team", Some("x"))]);
    assert!(request.specs.instance_type.is_unknown());
    assert!(!format!("{planned:?}").contains("hunter2"), "{planned:?}");
}

#[test]
fn a_data_source_of_the_same_name_says_nothing_about_a_resource() {
    let text = r#"{"format_version": "1.2", "resource_changes": [{
        "address": "aws_instance.a", "mode": "managed", "type": "aws_instance", "name": "a",
        "change": {"actions": ["create"], "before": null, "after": {"instance_type": "m5.large", "tags_all": {}},
            "after_unknown": {"instance_market_options": true}}}],
        "configuration": {"root_module": {"resources": [
            {"address": "data.aws_instance.a", "mode": "data", "type": "aws_instance", "name": "a", "expressions": {}},
            {"address": "aws_instance.a", "mode": "managed", "type": "aws_instance", "name": "a",
             "expressions": {"instance_market_options": [{}]}}]}}}"#;
    assert!(named(&read(text), "aws_instance.a").purchase.is_unknown(), "spot is written, and which is not known");
}

#[test]
fn a_plan_whose_changes_were_cut_out_is_refused_and_not_let_through() {
    let text = |root: &str| format!("{{\"format_version\": \"1.2\", \"planned_values\": {{\"root_module\": {root}}}}}");
    assert_eq!(plan(&text("{}"), &prices()).unwrap().requests, []);
    for root in ["{\"resources\": [{}]}", "{\"child_modules\": [{}]}"] {
        assert!(plan(&text(root), &prices()).unwrap_err().contains("no resource_changes"), "{root}");
    }
}

#[test]
fn d2_a_line_of_ones_own_has_the_bandwidth_that_the_plan_says() {
    let of = |after: &str, unknown: &str| {
        let text = format!(
            "{{\"format_version\": \"1.2\", \"resource_changes\": [{{\"address\": \"aws_dx_connection.line\", \
             \"type\": \"aws_dx_connection\", \"name\": \"line\", \"change\": {{\"actions\": [\"create\"], \
             \"before\": null, \"after\": {after}, \"after_unknown\": {unknown}}}}}]}}"
        );
        let planned = plan(&text, &prices()).unwrap();
        let [line] = planned.requests.as_slice() else { panic!("{planned:?}") };
        assert_eq!((line.resource_type.as_str(), line.adds()), ("network/connection", Fact::Absent));
        line.specs.bandwidth_mbps.clone()
    };
    assert_eq!(of("{\"bandwidth\": \"10Gbps\"}", "{}"), Fact::Known(10_000.0));
    assert_eq!(of("{\"bandwidth\": \"500Mbps\"}", "{}"), Fact::Known(500.0));
    assert!(of("{\"bandwidth\": \"much\"}", "{}").is_unknown());
    assert!(of("{}", "{\"bandwidth\": true}").is_unknown());
    assert_eq!(of("{}", "{}"), Fact::Absent);
}

/// A plan with one created resource: its values after apply, what is unknown of them, and what the configuration writes.
fn created(kind: &str, after: &str, unknown: &str, written: &str) -> Request {
    let text = format!(
        r#"{{"format_version": "1.2", "resource_changes": [{{
        "address": "{kind}.a", "mode": "managed", "type": "{kind}", "name": "a",
        "change": {{"actions": ["create"], "before": null, "after": {after}, "after_unknown": {unknown}}}}}],
        "configuration": {{"provider_config": {{"aws": {{"name": "aws", "expressions": {{"region": {{"constant_value": "eu-central-1"}}}}}}}},
            "root_module": {{"resources": [{{"mode": "managed", "type": "{kind}", "name": "a", "expressions": {written}}}]}}}}}}"#
    );
    read(&text).requests.remove(0)
}

#[test]
fn d2_hardware_of_ones_own_is_told_wherever_a_plan_says_it_and_never_taken_for_on_demand_when_unknown() {
    let bought =
        |kind: &str, after: &str, unknown: &str, written: &str| created(kind, after, unknown, written).purchase;
    let (instance, template) = ("aws_instance", "aws_launch_template");
    let dedicated = Fact::Known(Purchase::Dedicated);
    for after in [r#"{"tenancy": "dedicated"}"#, r#"{"tenancy": "host"}"#, r#"{"host_resource_group_arn": "arn:x"}"#] {
        assert_eq!(bought(instance, after, "{}", "{}"), dedicated, "{after}");
        assert_eq!(bought(template, &format!(r#"{{"placement": [{after}]}}"#), "{}", "{}"), dedicated, "{after}");
    }
    assert_eq!(bought("aws_ec2_host", r#"{"tags": {}}"#, "{}", "{}"), dedicated);
    assert_eq!(
        bought("aws_elasticache_reserved_cache_node", r#"{"tags": {}}"#, "{}", "{}"),
        Fact::Known(Purchase::Reserved)
    );
    // Unset, the provider calls it known after apply; written, it may be anything.
    let hidden = r#"{"tenancy": true, "instance_market_options": true}"#;
    assert_eq!(bought(instance, "{}", hidden, "{}"), Fact::Known(Purchase::OnDemand));
    assert!(bought(instance, "{}", hidden, r#"{"tenancy": {"references": ["var.t"]}}"#).is_unknown());
    assert!(bought(template, r#"{"placement": [{}]}"#, r#"{"placement": [{"tenancy": true}]}"#, "{}").is_unknown());
}

#[test]
fn v3_a_region_that_is_written_and_not_known_is_not_the_providers() {
    let region = |written: &str| created("aws_ebs_volume", "{}", r#"{"region": true}"#, written).region;
    assert_eq!(region("{}").known().map(Region::as_str), Some("eu-central-1"));
    assert!(region(r#"{"region": {"references": ["data.x"]}}"#).is_unknown());
}

#[test]
fn v6_what_is_forgotten_and_not_destroyed_is_still_paid_for_beside_its_replacement() {
    let replaced = |actions: &str| {
        let text = format!(
            r#"{{"format_version": "1.2", "resource_changes": [{{
            "address": "aws_instance.a", "mode": "managed", "type": "aws_instance", "name": "a",
            "change": {{"actions": {actions}, "before": {{"instance_type": "m5.large"}},
                "after": {{"instance_type": "m5.large"}}, "after_unknown": {{}}}}}}]}}"#
        );
        *read(&text).requests[0].adds().known().unwrap()
    };
    assert_eq!(replaced(r#"["delete", "create"]"#), Usd::ZERO);
    assert!(replaced(r#"["create", "forget"]"#) > Usd::ZERO);
}
