//! Policy documents: what loads, what is refused, and in which words.

use std::path::Path;

use chrono::TimeDelta;

use super::*;
use crate::domain::budget::BudgetAction;
use crate::domain::check::{CheckInfo, ParamInfo, UsedBy};
use crate::domain::finding::{Action, Severity};
use crate::domain::money::Usd;
use crate::domain::place::Kind;
use crate::domain::rule::{Family, VolumeClass};
use crate::policy::{EnforcementMode, Logic, Preventive};

const fn whole(name: &'static str, default: f64, max: f64) -> ParamInfo {
    ParamInfo { name, unit: "days", default, min: 1.0, max, whole: true, doc: "for the test" }
}

static IDLE: CheckInfo = CheckInfo {
    id: "idle-instance",
    title: "Idle",
    why: "It costs money",
    kinds: &[Kind::Instance],
    used_by: UsedBy::Waste,
    severity: Severity::Medium,
    action: Action::Stop,
    params: &[
        whole("days", 7.0, 60.0),
        ParamInfo {
            name: "cpu_percent",
            unit: "percent",
            default: 5.0,
            min: 0.0,
            max: 100.0,
            whole: false,
            doc: "for the test",
        },
    ],
    reads: "metrics",
    needs_usage: true,
};

static UNATTACHED: CheckInfo = CheckInfo {
    id: "unattached-volume",
    kinds: &[Kind::Volume],
    action: Action::Terminate,
    params: &[whole("days", 7.0, 365.0), whole("delete_after_days", 14.0, 365.0)],
    needs_usage: false,
    ..IDLE
};

static TAGS: CheckInfo = CheckInfo { id: "required-tags", used_by: UsedBy::TagRequirement, params: &[], ..IDLE };

static CHECKS: [&CheckInfo; 3] = [&IDLE, &UNATTACHED, &TAGS];

const WASTE: &str = "\
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: idle-resource-detection
spec:
  type: Waste
  severity: high
  grace: 48h
  rules:
    - name: low-utilization
      check: idle-instance
      parameters:
        days: 10
        cpu_percent: 2.5
      mode: monitor
    - name: other
      check: unattached-volume
      severity: low
      action: report
      grace: 7d
";

const LIMITS: &str = include_str!("../../../config/policies/examples/resource-limits-policy.yaml");
const TAGGING: &str = include_str!("../../../config/policies/examples/tagging-policy.yaml");
const BUDGETS: &str = include_str!("../../../config/policies/examples/budget-policy.yaml");

fn load(text: &str) -> Result<Vec<Policy>, Errors> {
    parse(Path::new("p.yaml"), text, &CHECKS)
}

fn one(text: &str) -> Policy {
    let mut list = load(text).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(list.len(), 1);
    list.remove(0)
}

/// Line, path and problem of every mistake.
fn mistakes(text: &str) -> Vec<(usize, String, String)> {
    let errors = load(text).expect_err("must be refused");
    errors.into_iter().map(|error| (error.line, error.path, error.problem)).collect()
}

fn only_mistake(text: &str) -> (usize, String, String) {
    let mut list = mistakes(text);
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

#[test]
fn a_waste_policy_says_what_to_check_and_what_its_rules_override() {
    let policy = one(WASTE);
    assert_eq!((policy.name.as_str(), policy.policy_type), ("idle-resource-detection", PolicyType::Waste));
    assert_eq!((policy.source.line, policy.mode), (1, EnforcementMode::Enforce));
    let [first, second] = policy.rules.as_slice() else { panic!("{policy:?}") };
    assert_eq!((first.severity, first.action, first.mode), (Severity::High, Action::Stop, EnforcementMode::Monitor));
    assert_eq!((first.grace, first.line), (Some(TimeDelta::hours(48)), 10));
    let Logic::Check { check, params } = &first.logic else { panic!("{first:?}") };
    assert_eq!((*check, params.number("days"), params.number("cpu_percent")), ("idle-instance", 10.0, 2.5));
    assert_eq!(
        (second.severity, second.action, second.grace),
        (Severity::Low, Action::Report, Some(TimeDelta::days(7)))
    );
    let Logic::Check { params, .. } = &second.logic else { panic!("{second:?}") };
    assert_eq!((params.number("days"), params.number("delete_after_days")), (7.0, 14.0));
}

#[test]
fn d1_the_envelope_and_the_flattened_form_say_the_same() {
    let flat = "\
metadata: {name: a}
type: Waste
mode: monitor
rules:
  - {name: r, check: idle-instance}
";
    let nested = "\
apiVersion: policy.oneuptime.com/v1
kind: CostPolicy
metadata: {name: a, namespace: production}
spec:
  type: Waste
  mode: monitor
  rules:
    - {name: r, check: idle-instance}
";
    for text in [flat, nested] {
        let policy = one(text);
        assert_eq!((policy.name.as_str(), policy.mode), ("a", EnforcementMode::Monitor));
        assert_eq!((policy.rules.len(), policy.rules[0].mode), (1, EnforcementMode::Monitor));
    }
    assert_eq!(one(nested).namespace.as_deref(), Some("production"));
    let wrong = only_mistake(&flat.replace("check:", "chek:"));
    assert_eq!((wrong.0, wrong.1.as_str()), (5, "rules[0].chek"));
    let version = only_mistake(&nested.replace("policy.oneuptime.com/v1", "policy.oneuptime.com/v2"));
    assert_eq!((version.0, version.1.as_str()), (1, "apiVersion"));
}

#[test]
fn d3_the_limits_of_the_seed_load_with_their_numbers() {
    let policy = one(LIMITS);
    assert_eq!((policy.name.as_str(), policy.namespace.as_deref()), ("resource-limits", Some("production")));
    let [instances, volumes, databases, lines] = policy.rules.as_slice() else { panic!("{policy:?}") };
    let Logic::Instances(limit) = &instances.logic else { panic!("{instances:?}") };
    assert_eq!((limit.max_vcpus, limit.max_memory_gib), (Some(16), Some(64)));
    assert_eq!(limit.allowed_families, [Family::GeneralPurpose, Family::ComputeOptimized]);
    assert_eq!(limit.denied_families, [Family::Gpu, Family::HighMemory]);
    assert_eq!(
        (instances.name.as_str(), instances.severity, instances.action),
        ("max-instance-size", Severity::High, Action::Resize)
    );
    let Logic::Volumes(limit) = &volumes.logic else { panic!("{volumes:?}") };
    assert_eq!(limit.max_size_gib, Some(1000));
    assert_eq!(limit.allowed_types, [VolumeClass::Standard, VolumeClass::Ssd]);
    assert_eq!(limit.denied_types, [VolumeClass::ProvisionedIops]);
    assert_eq!((volumes.name.as_str(), volumes.action), ("max-storage-size", Action::Notify));
    assert!(matches!(databases.logic, Logic::Databases(_)), "{databases:?}");
    assert_eq!(databases.types[0].0, "database/instance");
    // Beyond the seed's document: the third limit of its map.
    let Logic::Network(limit) = &lines.logic else { panic!("{lines:?}") };
    assert_eq!((limit.max_bandwidth_mbps, lines.types[0].0.as_str()), (Some(1000), "network/connection"));
}

#[test]
fn d3_limits_that_nothing_would_enforce_are_refused() {
    let rule = |constraint: &str, resource: &str| {
        format!(
            "metadata: {{name: a}}\ntype: ResourceLimit\nrules:\n  - name: r\n    resource: {resource}\n    constraint: {constraint}\n"
        )
    };
    for (constraint, resource, line, path) in [
        ("{maxSizeGB: 5}", "compute/instance", 6, "rules[0].constraint.maxSizeGB"),
        ("{}", "storage/volume", 6, "rules[0].constraint"),
        ("{maxVCPUs: 0}", "compute/instance", 6, "rules[0].constraint.maxVCPUs"),
        ("{maxVCPUs: 1.5}", "compute/instance", 6, "rules[0].constraint.maxVCPUs"),
        ("{maxVCPUs: 4}", "compute/*", 5, "rules[0].resource"),
        ("{maxBandwidthMbps: 4}", "storage/volume", 6, "rules[0].constraint.maxBandwidthMbps"),
        ("{maxBandwidthMbps: 4, maxVCPUs: 4}", "compute/instance", 6, "rules[0].constraint.maxVCPUs"),
        ("{maxVCPUs: 4}", "network/connection", 6, "rules[0].constraint.maxVCPUs"),
        ("{maxBandwidthMbps: 0}", "network/connection", 6, "rules[0].constraint.maxBandwidthMbps"),
        ("{allowedTypes: [ssd], deniedTypes: [ssd]}", "storage/volume", 6, "rules[0].constraint.deniedTypes"),
        ("{allowedTypes: [sdd]}", "storage/volume", 6, "rules[0].constraint.allowedTypes[0]"),
    ] {
        let wrong = only_mistake(&rule(constraint, resource));
        assert_eq!((wrong.0, wrong.1.as_str()), (line, path), "{constraint} {resource}: {}", wrong.2);
    }
}

#[test]
fn d4_the_tags_of_the_seed_load_with_their_patterns() {
    let policy = one(TAGGING);
    assert_eq!(policy.name, "mandatory-tags");
    let rule = &policy.rules[0];
    assert_eq!((rule.name.as_str(), rule.enforcement), ("cost-center-required", Some(Preventive::Deny)));
    assert_eq!((rule.severity, rule.action), (Severity::Medium, Action::Tag));
    let scope: Vec<&str> = rule.types.iter().map(|pattern| pattern.0.as_str()).collect();
    assert_eq!(scope, ["compute/*", "storage/*", "database/*", "network/*"]);
    let Logic::Tags(tags) = &rule.logic else { panic!("{rule:?}") };
    let [center, environment, owner, project] = tags.as_slice() else { panic!("{tags:?}") };
    let matches = |tag: &crate::domain::rule::TagRule, value: &str| tag.pattern.as_ref().unwrap().is_match(value);
    assert!(matches(center, "CC-001234") && !matches(center, "CC-12345") && !matches(center, "xCC-001234"));
    assert_eq!(environment.allowed_values, ["production", "staging", "development", "sandbox"]);
    assert!(
        matches(owner, "ann@company.com") && !matches(owner, "ann.b@company.com") && !matches(owner, "ann@companyxcom")
    );
    assert_eq!((project.key.as_str(), project.min_length, project.max_length), ("project", Some(3), Some(50)));
}

fn tag(rest: &str) -> String {
    format!(
        "metadata: {{name: a}}\ntype: TagRequirement\nrules:\n  - name: r\n    requiredTags:\n      - key: k\n        {rest}\n"
    )
}

#[test]
fn d4_a_rule_that_contradicts_itself_is_refused() {
    for (rest, path) in [
        ("minLength: 5\n        maxLength: 4", "rules[0].requiredTags[0].minLength"),
        ("default: x\n        minLength: 2", "rules[0].requiredTags[0].default"),
        ("default: c\n        allowedValues: [a, b]", "rules[0].requiredTags[0].default"),
        ("pattern: '[0-9]+'\n        allowedValues: ['1', b]", "rules[0].requiredTags[0].allowedValues[1]"),
        ("allowedValues: [true]", "rules[0].requiredTags[0].allowedValues[0]"),
    ] {
        assert_eq!(only_mistake(&tag(rest)).1, path, "{rest}");
    }
    let twice = "metadata: {name: a}\ntype: TagRequirement\nrules: [{name: r, requiredTags: [{key: k}, {key: k}]}]\n";
    assert_eq!(only_mistake(twice).1, "rules[0].requiredTags[1].key");
}

#[test]
fn v8_a_pattern_matches_the_whole_value_and_never_a_trailing_line_break() {
    for pattern in ["^[a-z]+$", "[a-z]+", "abc|xyz", "^abc|xyz$", "(?m)^[a-z]+$"] {
        let policy = one(&tag(&format!("pattern: '{pattern}'")));
        let Logic::Tags(tags) = &policy.rules[0].logic else { panic!() };
        let regex = tags[0].pattern.as_ref().unwrap();
        assert!(regex.is_match("abc") && regex.is_match("xyz"), "{pattern}");
        for value in ["abc\n", "abc\nxyz", "1abc", "abc1", "", "abcxyz1", "xyz\n", "abcd1"] {
            assert!(!regex.is_match(value), "{pattern} must not accept {value:?}");
        }
    }
}

#[test]
fn v8_a_bad_pattern_fails_the_load_at_its_position() {
    let wrong = only_mistake(&tag("pattern: '^[a-'"));
    assert_eq!((wrong.0, wrong.1.as_str()), (7, "rules[0].requiredTags[0].pattern"));
    assert!(wrong.2.contains("unclosed character class"), "{}", wrong.2);
    let huge = only_mistake(&tag("pattern: '((a{1000}){1000}){1000}'"));
    assert_eq!(huge.1, "rules[0].requiredTags[0].pattern");
    assert_eq!(only_mistake(&tag("pattern: '(?x)a # b'")).1, "rules[0].requiredTags[0].pattern");
}

#[test]
fn v5_a_scope_that_can_match_nothing_is_refused() {
    let scope = |word: &str| format!("{}    scope: [{word}]\n", tag("minLength: 1"));
    for word in ["'*'", "compute/*", "storage/volume", "database/instance", "network/*"] {
        assert!(load(&scope(word)).is_ok(), "{word}");
    }
    for word in ["computex/*", "compute*", "compute/", "storage/volumes", "compute/**"] {
        let wrong = only_mistake(&scope(word));
        assert_eq!((wrong.0, wrong.1.as_str()), (8, "rules[0].scope[0]"), "{word}");
    }
}

#[test]
fn d5_and_d6_the_budgets_of_the_seed_load_with_their_steps() {
    let policy = one(BUDGETS);
    assert_eq!(policy.name, "team-budgets");
    let [team, alpha] = policy.rules.as_slice() else { panic!("{policy:?}") };
    let Logic::Budget(budget) = &team.logic else { panic!("{team:?}") };
    assert_eq!(team.name, "engineering-team-budget");
    assert_eq!(budget.tag, Some(("cost-center".into(), "CC-001234".into())));
    assert_eq!((budget.monthly, budget.quarterly), (Some(Usd::dollars(50_000)), None));
    let steps: Vec<_> = budget.thresholds.iter().map(|step| (step.percent, step.action)).collect();
    assert_eq!(steps, [(50, BudgetAction::Notify), (80, BudgetAction::Notify), (100, BudgetAction::BlockNewResources)]);
    let Logic::Budget(budget) = &alpha.logic else { panic!("{alpha:?}") };
    assert_eq!(alpha.name, "project-alpha-budget");
    assert_eq!(budget.tag, Some(("project".into(), "alpha".into())));
    assert_eq!((budget.monthly, budget.quarterly), (Some(Usd::dollars(10_000)), Some(Usd::dollars(28_000))));
    assert_eq!(budget.thresholds[0].percent, 90);
    assert_eq!(budget.thresholds[0].channels, ["slack:#project-alpha", "email:alpha-leads@company.com"]);
}

#[test]
fn d5_budgets_without_limit_or_with_odd_selectors_steps_and_channels_are_refused() {
    let rule = |selector: &str, budget: &str| {
        format!(
            "metadata: {{name: a}}\ntype: BudgetLimit\nrules:\n  - name: r\n    selector: {selector}\n    budget: {budget}\n"
        )
    };
    let steps = "alertThresholds: [{percent: 50, action: notify}]";
    let fine = format!("{{monthly: 1, {steps}}}");
    assert!(load(&rule("{service: AmazonEC2}", &fine)).is_ok());
    for (selector, budget, path) in [
        ("{tags: {a: b, c: d}}", fine.as_str(), "rules[0].selector"),
        ("{tags: {a: b}, service: S}", &fine, "rules[0].selector"),
        ("{}", &fine, "rules[0].selector"),
        ("{service: S}", "{alertThresholds: [{percent: 5, action: notify}]}", "rules[0].budget"),
        ("{service: S}", "{monthly: 0, alertThresholds: [{percent: 5, action: notify}]}", "rules[0].budget.monthly"),
        ("{service: S}", "{monthly: 1, alertThresholds: []}", "rules[0].budget.alertThresholds"),
        (
            "{service: S}",
            "{monthly: 1, alertThresholds: [{percent: 5, action: notify}, {percent: 5, action: notify}]}",
            "rules[0].budget.alertThresholds[1].percent",
        ),
        (
            "{service: S}",
            "{monthly: 1, alertThresholds: [{percent: 5, action: notify, channels: ['email:nobody']}]}",
            "rules[0].budget.alertThresholds[0].channels[0]",
        ),
    ] {
        assert_eq!(only_mistake(&rule(selector, budget)).1, path, "{selector} {budget}");
    }
}

#[test]
fn actions_that_make_no_sense_for_the_kind_are_refused_at_load() {
    let waste = |check: &str, action: &str| {
        format!("metadata: {{name: a}}\ntype: Waste\nrules:\n  - name: r\n    check: {check}\n    action: {action}\n")
    };
    for (check, action, fits) in [
        ("idle-instance", "stop", true),
        ("idle-instance", "terminate", true),
        ("idle-instance", "tag", false),
        ("idle-instance", "resize", false),
        ("unattached-volume", "delete", true),
        ("unattached-volume", "stop", false),
        ("unattached-volume", "report", true),
    ] {
        let text = waste(check, action);
        match load(&text) {
            Ok(_) => assert!(fits, "{check} {action}"),
            Err(errors) => {
                assert!(!fits, "{check} {action}: {errors}");
                assert_eq!((errors.list()[0].line, errors.list()[0].path.as_str()), (6, "rules[0].action"));
            }
        }
    }
    let spec =
        WASTE.replace("  severity: high\n", "  severity: high\n  action: stop\n").replace("      action: report\n", "");
    assert_eq!(only_mistake(&spec).1, "spec.action");
    let limits = LIMITS.replace("  type: ResourceLimit\n", "  type: ResourceLimit\n  action: terminate\n");
    assert!(mistakes(&limits).iter().all(|(_, path, _)| path == "spec.action"));
}

#[test]
fn either_off_switch_turns_a_rule_off() {
    for (policy, rule, holds) in [
        ("enforce", "monitor", EnforcementMode::Monitor),
        ("monitor", "enforce", EnforcementMode::Monitor),
        ("disabled", "enforce", EnforcementMode::Disabled),
        ("enforce", "disabled", EnforcementMode::Disabled),
    ] {
        let text = format!(
            "metadata: {{name: a}}\ntype: Waste\nmode: {policy}\nrules: [{{name: r, check: idle-instance, mode: {rule}}}]\n"
        );
        assert_eq!(one(&text).rules[0].mode, holds, "{policy} {rule}");
    }
}

#[test]
fn every_mistake_of_a_file_comes_at_once_with_the_nearest_word() {
    let text = "\
apiVersion: costwarden.dev/v1
kind: CostPolicy
metadata:
  name: a
spec:
  type: Waste
  severty: high
  rules:
    - name: r
      check: idle-instance
      severity: hihg
      parameters: {days: many}
    - name: s
      check: [idle-instance]
";
    insta::assert_snapshot!(load(text).unwrap_err(), @r#"
    p.yaml:7:3: spec.severty: unknown key; did you mean "severity"?
      7 |   severty: high
        |   ^^^^^^^
      accepted: type, rules, severity, action, grace, mode, scope, approval, examples
    p.yaml:11:17: spec.rules[0].severity: "hihg" is not accepted here; did you mean "high"?
      11 |       severity: hihg
         |                 ^^^^
      accepted: low, medium, high, critical
    p.yaml:12:26: spec.rules[0].parameters.days: the text "many" has the wrong type
      12 |       parameters: {days: many}
         |                          ^^^^
      accepted: a number
    p.yaml:14:14: spec.rules[1].check: a list has the wrong type
      14 |       check: [idle-instance]
         |              ^
      accepted: text
    "#);
    let text = "\
metadata: {name: a b}
type: Waste
grace: soon
scope: {accounts: ['123'], regions: [Frankfurt]}
rules:
  - {name: r, check: idle-instnace}
  - {name: r, check: idle-instance, parameters: {day: 3, cpu_percent: 101}}
  - {name: s, check: required-tags}
";
    insta::assert_snapshot!(load(text).unwrap_err(), @r#"
    p.yaml:1:18: metadata.name: "a b" is not a name
      1 | metadata: {name: a b}
        |                  ^^^
      accepted: up to 80 letters, digits, '-', '_' or '.', a letter or digit first
    p.yaml:3:8: grace: "soon" is not a grace period
      3 | grace: soon
        |        ^^^^
      accepted: whole minutes, hours or days such as 90m, 24h, 7d, at most 365d
    p.yaml:4:20: scope.accounts[0]: "123" is not an AWS account id
      4 | scope: {accounts: ['123'], regions: [Frankfurt]}
        |                    ^^^^^
      accepted: twelve digits, quoted
    p.yaml:4:38: scope.regions[0]: "Frankfurt" is not a Region
      4 | scope: {accounts: ['123'], regions: [Frankfurt]}
        |                                      ^^^^^^^^^
      accepted: a name such as eu-central-1
    p.yaml:6:22: rules[0].check: "idle-instnace" is not a check for Waste policies; did you mean "idle-instance"?
      6 |   - {name: r, check: idle-instnace}
        |                      ^^^^^^^^^^^^^
      accepted: idle-instance, unattached-volume
    p.yaml:7:12: rules[1].name: the rule name "r" is already used on line 6
      7 |   - {name: r, check: idle-instance, parameters: {day: 3, cpu_percent: 101}}
        |            ^
      accepted: a name that no other rule of the policy has
    p.yaml:7:50: rules[1].parameters.day: "day" is not a parameter of idle-instance; did you mean "days"?
      7 |   - {name: r, check: idle-instance, parameters: {day: 3, cpu_percent: 101}}
        |                                                  ^^^
      accepted: days, cpu_percent
    p.yaml:7:71: rules[1].parameters.cpu_percent: 101 is not accepted for cpu_percent
      7 |   - {name: r, check: idle-instance, parameters: {day: 3, cpu_percent: 101}}
        |                                                                       ^^^
      accepted: a number from 0 to 100 percent
    p.yaml:8:22: rules[2].check: "required-tags" is not a check for Waste policies
      8 |   - {name: s, check: required-tags}
        |                      ^^^^^^^^^^^^^
      accepted: idle-instance, unattached-volume
    "#);
}

#[test]
fn a_name_that_stands_twice_is_refused_with_both_positions() {
    let twice = format!("{WASTE}---\n{WASTE}");
    let (line, path, problem) = only_mistake(&twice);
    assert_eq!((line, path.as_str()), (22, "metadata.name"));
    assert!(problem.contains("p.yaml:1"), "{problem}");
    let a = parse(Path::new("a.yaml"), WASTE, &CHECKS);
    let b = parse(Path::new("b.yaml"), &format!("# later\n{WASTE}"), &CHECKS);
    let error = unite([a, b]).unwrap_err();
    assert!(error.to_string().starts_with("b.yaml:2:1: "), "{error}");
    assert!(error.to_string().contains("a.yaml:1"), "{error}");
}

#[test]
fn l3_the_hash_changes_with_what_a_policy_says_and_not_with_how_it_is_laid_out() {
    let hash = |text: &str| one(text).hash;
    let base = hash(WASTE);
    assert_eq!(base.len(), 16);
    let commented = format!("# a comment\n\n{}", WASTE.replace("days: 10", "days:   10 # why"));
    assert_eq!(hash(&commented), base);
    let reordered = WASTE.replace("  severity: high\n  grace: 48h\n", "  grace: \"48h\"\n  severity: high\n");
    assert_eq!(hash(&reordered), base);
    let flow = WASTE.replace(
        "      parameters:\n        days: 10\n        cpu_percent: 2.5\n",
        "      parameters: {cpu_percent: 2.5, days: 10}\n",
    );
    assert_eq!(hash(&flow), base);
    let mut seen = vec![base];
    for (from, to) in [
        ("days: 10", "days: 11"),
        ("cpu_percent: 2.5", "cpu_percent: 2.6"),
        ("severity: high", "severity: critical"),
        ("grace: 48h", "grace: 47h"),
        ("grace: 7d", "grace: 8d"),
        ("mode: monitor", "mode: enforce"),
        ("action: report", "action: notify"),
        ("  severity: high\n", "  severity: high\n  mode: monitor\n"),
        ("  severity: high\n", "  severity: high\n  scope: {regions: [eu-central-1]}\n"),
        ("  severity: high\n", "  severity: high\n  scope: {regions: [eu-central-2]}\n"),
        ("  severity: high\n", "  severity: high\n  scope: {tags: {a: b}}\n"),
        ("name: other", "name: another"),
        ("      check: unattached-volume\n", "      check: idle-instance\n"),
        ("name: idle-resource-detection", "name: idle-detection"),
    ] {
        assert!(WASTE.contains(from), "{from}");
        let changed = hash(&WASTE.replacen(from, to, 1));
        assert!(!seen.contains(&changed), "{from} -> {to}");
        seen.push(changed);
    }
}

#[test]
fn a_file_cut_anywhere_gives_errors_with_positions_or_whole_policies_and_never_a_panic() {
    for (text, step) in [(WASTE, 1), (LIMITS, 5), (TAGGING, 5), (BUDGETS, 5)] {
        let whole = one(text).rules.len();
        for cut in (0..text.len()).step_by(step) {
            match load(&text[..cut]) {
                Ok(policies) => {
                    assert_eq!(policies.len(), 1);
                    assert!(policies[0].rules.len() <= whole && !policies[0].rules.is_empty());
                }
                Err(errors) => {
                    let shown = errors.to_string();
                    assert!(shown.starts_with("p.yaml:"), "cut at {cut}: {shown}");
                    assert!(
                        errors.list().iter().all(|error| error.line > 0 || error.problem == "the file is empty"),
                        "{shown}"
                    );
                }
            }
        }
    }
}

#[test]
fn each_class_of_single_edit_gives_one_clear_error() {
    for (class, from, to, line) in [
        ("unknown key", "      mode: monitor", "      moed: monitor", 15),
        ("unknown key at the top", "kind: CostPolicy", "kind: CostPolicy\nowner: me", 3),
        ("wrong type", "days: 10", "days: [10]", 13),
        ("text for a number", "days: 10", "days: '10'", 13),
        ("no value", "  grace: 48h", "  grace:", 8),
        ("duplicate key", "  grace: 48h", "  grace: 48h\n  grace: 48h", 9),
        ("bad word", "severity: low", "severity: lowest", 18),
        ("missing key", "      check: idle-instance\n", "", 10),
        ("bad type", "type: Waste", "type: Wast", 6),
        ("out of range", "days: 10", "days: 61", 13),
        ("not whole", "days: 10", "days: 10.5", 13),
        ("bad grace", "grace: 7d", "grace: 7w", 20),
        ("negative grace", "grace: 7d", "grace: -7d", 20),
        ("no rules", "  rules:\n", "  rules: []\n  x:\n", 9),
        ("bad indentation", "      check: idle-instance\n", "     check: idle-instance\n", 11),
        ("a tab", "  grace: 48h", "\tgrace: 48h", 7),
    ] {
        assert!(WASTE.contains(from), "{class}");
        let errors = load(&WASTE.replacen(from, to, 1)).expect_err(class);
        let list = errors.list();
        let expected = if class == "no rules" { 2 } else { 1 };
        assert_eq!(list.len(), expected, "{class}: {errors}");
        assert_eq!(list[0].line, line, "{class}: {errors}");
    }
}

#[test]
fn d2_approval_and_schedule_policies_load_and_their_mistakes_have_positions() {
    let policies = crate::policy::parse(
        Path::new("p.yaml"),
        "metadata: {name: hours}\ntype: Schedule\nrules:\n  - {name: office, timeZone: Europe/Berlin, from: \"07:00\", until: \"24:00\", days: [fri, mon], holidays: [\"2026-12-24\"], action: stop}\n---\nmetadata: {name: ask}\ntype: Approval\nrules:\n  - {name: dear, approvers: [a], monthlyAboveUsd: 10.5, scope: [compute/*]}\n",
        &[],
    )
    .unwrap();
    let Logic::Schedule(schedule) = &policies[0].rules[0].logic else { panic!("{policies:?}") };
    assert_eq!(schedule.window(), "Mon, Fri 07:00 to 00:00 of the next day Europe/Berlin");
    assert_eq!(policies[0].rules[0].action, Action::Stop);
    let Logic::Approval(approval) = &policies[1].rules[0].logic else { panic!("{policies:?}") };
    assert_eq!((approval.approvers.as_slice(), approval.monthly_above), (&["a".to_owned()][..], Usd::parse("10.5")));

    let text = "metadata: {name: hours}\ntype: Schedule\nrules:\n  - name: a\n    timeZone: Europe/Berln\n    from: \"7:00\"\n    until: \"25:00\"\n    days: [mon, mon]\n    holidays: [\"24.12.2026\"]\n    holidayCalendar: x.txt\n    action: terminate\n";
    let errors = crate::policy::parse(Path::new("p.yaml"), text, &[]).unwrap_err();
    let places: Vec<_> = errors.list().iter().map(|error| (error.line, error.path.as_str())).collect();
    assert_eq!(
        places,
        [
            (5, "rules[0].timeZone"),
            (6, "rules[0].from"),
            (7, "rules[0].until"),
            (8, "rules[0].days[1]"),
            (9, "rules[0].holidays[0]"),
            (10, "rules[0].holidayCalendar"),
            (11, "rules[0].action"),
        ]
    );
    assert!(errors.to_string().contains("did you mean \"Europe/Berlin\"?"), "{errors}");
    let nothing = "metadata: {name: x}\ntype: Approval\nrules:\n  - {name: a, approvers: [b, b]}\n";
    assert_eq!(crate::policy::parse(Path::new("p.yaml"), nothing, &[]).unwrap_err().list().len(), 2);
}

#[test]
fn i07_a_policy_says_how_many_people_approve_its_acts_and_who_may() {
    let with = |approval: &str| {
        format!(
            "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata:\n  name: disks\nspec:\n  type: Waste\n  \
             approval: {approval}\n  rules:\n    - name: unattached\n      check: unattached-volume\n"
        )
    };
    let asked = one(&with("{people: 2, approvers: [ann@example.com, ben@example.com]}")).approval.unwrap();
    assert_eq!(
        (asked.people, asked.approvers.as_slice()),
        (2, &["ann@example.com", "ben@example.com"].map(String::from)[..])
    );
    assert_eq!(one(&with("{people: 1}")).approval.unwrap().approvers, [] as [String; 0]);
    let cases = [
        ("{people: 3}", "out of range"),
        ("{people: 0}", "out of range"),
        ("{people: 2, approvers: [ann@example.com]}", "2 people must say yes and 1 may"),
        ("{people: 2, approvers: [ann@example.com, ANN@example.com]}", "stands here already"),
        ("{people: 2, approvers: [ann@example.com, ann+1@example.com]}", "stands here already"),
        ("{people: 1, approvers: [ann]}", "is not a mail address"),
    ];
    for (approval, words) in cases {
        let error = load(&with(approval)).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("approval"), "{approval}: {error}");
    }
}

#[test]
fn a_condition_over_the_inventory_that_reads_what_is_not_there_is_refused_where_it_stands() {
    let document = |kinds: &str, key: &str, text: &str| {
        format!(
            "apiVersion: costwarden.dev/v1\nkind: CostPolicy\nmetadata: {{name: old}}\nspec:\n  type: Expression\n  \
             rules:\n    - name: r\n      kinds: [{kinds}]\n      {key}: {text}\n"
        )
    };
    let mistakes = |text: &str| -> Vec<_> {
        let errors = parse(Path::new("p.yaml"), text, &[]).unwrap_err();
        let place = |error: &DocumentError| (error.line, error.column, error.path.clone(), error.problem.clone());
        errors.list().iter().map(place).collect()
    };
    let typo = mistakes(&document("compute/instance", "require", "instance.vcpus < 9 && instance.tpye == 'm5.large'"));
    let [(9, 38, path, problem)] = &typo[..] else { panic!("{typo:?}") };
    assert_eq!(path, "spec.rules[0].require");
    assert!(problem.contains("did you mean \"instance.type\"?"), "{problem}");
    let other = mistakes(&document("storage/volume", "condition", "instance.vcpus > 9"));
    assert!(other[0].3.contains("is read of instance only"), "{other:?}");
    let number = mistakes(&document("compute/instance", "condition", "instance.vcpus > '9'"));
    assert!(number[0].3.contains("between a number and text"), "{number:?}");
    for sound in ["instance.type == 'm5.large'", "volume.size_gib > 1"] {
        let text = document("compute/instance, storage/volume", "condition", sound);
        assert_eq!(
            parse(Path::new("p.yaml"), &text, &[]).unwrap().len(),
            1,
            "{sound}: for the other kind it does not apply"
        );
    }
}
