//! Templates: what they make, and what they refuse.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::policy::{Category, EnforcementMode, Logic, Reach, ViolationAction};

fn built_in(name: &str) -> Template {
    let templates = Template::built_in().unwrap_or_else(|errors| panic!("{errors}"));
    templates.into_iter().find(|template| template.name == name).unwrap()
}

fn values(list: &[(&str, Json)]) -> BTreeMap<String, Json> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn conditions(instances: &[Instance]) -> Vec<String> {
    let text = |logic: &Logic| match logic {
        Logic::Condition { condition, .. } => condition.text().to_owned(),
        other => panic!("{other:?}"),
    };
    instances.iter().flat_map(|one| &one.policy.rules).map(|rule| text(&rule.logic)).collect()
}

fn refused(template: &Template, given: &[(&str, Json)]) -> Vec<String> {
    match template.instantiate(&values(given)) {
        Err(TemplateError::Values(list)) => list,
        other => panic!("{other:?}"),
    }
}

fn parse(text: &str) -> Result<Template, Errors> {
    Template::parse(Path::new("t.toml"), text)
}

#[test]
fn t1_the_built_in_templates_load_and_fill_what_their_policies_leave_out() {
    let all = Template::built_in().unwrap_or_else(|errors| panic!("{errors}"));
    let names: Vec<_> = all.iter().map(|template| template.name.as_str()).collect();
    assert_eq!(names, ["account_lockout", "gdpr_compliance", "rate_limiting", "soc2_security"]);
    for instance in built_in("gdpr_compliance").instantiate(&values(&[("retention_days", json!(365))])).unwrap() {
        let policy = instance.policy;
        assert!(policy.name.starts_with("policy-gdpr-data-"), "{}", policy.name);
        assert_eq!((policy.actions.as_slice(), &policy.reach), (&[ViolationAction::Log][..], &Reach::Global));
        assert!(policy.rules.iter().all(|rule| rule.mode == policy.mode));
    }
}

#[test]
fn t2_gdpr_needs_the_days_and_gives_two_policies() {
    let template = built_in("gdpr_compliance");
    let mistakes = refused(&template, &[]);
    assert!(mistakes.len() == 1 && mistakes[0].contains("\"retention_days\" has no default"), "{mistakes:?}");
    let made = template.instantiate(&values(&[("retention_days", json!(365))])).unwrap();
    let kinds: Vec<_> = made
        .iter()
        .map(|one| (one.policy.category.unwrap(), one.policy.mode, one.policy.severity_word.clone().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            (Category::Compliance, EnforcementMode::Monitor, "warning".to_owned()),
            (Category::DataProtection, EnforcementMode::Enforce, "info".to_owned()),
        ]
    );
    assert_eq!(
        conditions(&made),
        ["request.type == 'data_access' && request.age_days > 30", "data.type == 'personal' && data.age_days > 365"]
    );
}

#[test]
fn t3_soc2_gives_two_policies_with_the_seeds_numbers() {
    let made = built_in("soc2_security").instantiate(&BTreeMap::new()).unwrap();
    assert_eq!(
        conditions(&made),
        ["password.length < 12", "user.role == 'admin' && !auth.mfa_enabled", "user.last_access_review_days > 90"]
    );
    let kinds: Vec<_> = made.iter().map(|one| (one.policy.category.unwrap(), one.policy.mode)).collect();
    assert_eq!(
        kinds,
        [(Category::Security, EnforcementMode::Enforce), (Category::Compliance, EnforcementMode::Monitor)]
    );
    assert_eq!(made[0].policy.rules[0].severity, crate::domain::finding::Severity::Critical);
}

#[test]
fn t4_rate_limits_are_a_hundred_a_minute_and_ten_thousand_a_day() {
    let made = built_in("rate_limiting").instantiate(&BTreeMap::new()).unwrap();
    assert_eq!(conditions(&made), ["api.requests_per_minute > 100", "api.requests_per_day > 10000"]);
    assert_eq!((made[0].policy.category, made[0].policy.mode), (Some(Category::Usage), EnforcementMode::Enforce));
}

#[test]
fn t5_the_quoted_variable_becomes_a_number_and_a_list_comes_back() {
    let template = built_in("account_lockout");
    let given = values(&[("max_failed_attempts", json!(3)), ("lockout_duration_minutes", json!(60))]);
    let made = template.instantiate(&given).unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(conditions(&made), ["failed_logins >= 3"]);
    assert_eq!(made[0].policy.actions, [ViolationAction::Block, ViolationAction::Suspend { duration_minutes: 60 }]);
    assert_eq!(made[0].document["violation_actions"][1], json!({"type": "suspend", "duration_minutes": 60}));
    let defaults = template.instantiate(&BTreeMap::new()).unwrap();
    assert_eq!(conditions(&defaults), ["failed_logins >= 5"]);
    assert_eq!(defaults[0].policy.actions[1], ViolationAction::Suspend { duration_minutes: 30 });

    let mistakes = refused(&template, &[("max_failed_attempt", json!(3)), ("lockout_duration_minutes", json!("60"))]);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].contains("did you mean \"max_failed_attempts\"?"), "{mistakes:?}");
    assert!(mistakes[1].contains("does not fit the variable \"lockout_duration_minutes\""), "{mistakes:?}");
    for wrong in [json!(2.5), json!(true), json!(null), json!([1])] {
        assert_eq!(refused(&template, &[("max_failed_attempts", wrong.clone())]).len(), 1, "{wrong}");
    }
}

const TYPED: &str = r#"
name = "typed"
description = "every type of variable"
category = "security"
variables = [
  { name = "role", description = "whose", var_type = "Text" },
  { name = "share", description = "how much", var_type = "Decimal", default_value = 0.8 },
  { name = "strict", description = "whether", var_type = "Boolean", default_value = true },
  { name = "pause", description = "how long", var_type = "Duration", default_value = "2h" },
]

[[policies]]
name = "Typed"
description = "for {{role}}, {{share}}, {{strict}}, {{pause}}"
enabled = "{{strict}}"
rules = ["user.role == '{{role}}' && used > limit * {{ share }} && strict == {{strict}} && idle > {{pause}} && user.name != {{role}}"]
actions = [{ type = "suspend", duration_minutes = "{{pause}}" }]
"#;

#[test]
fn t5_every_type_is_written_as_the_condition_needs_it_and_no_value_can_change_its_meaning() {
    let template = parse(TYPED).unwrap();
    let made = template.instantiate(&values(&[("role", json!("it's \\ || true"))])).unwrap();
    assert_eq!(
        conditions(&made),
        [
            r"user.role == 'it\'s \\ || true' && used > limit * 0.8 && strict == true && idle > duration('120m') && user.name != 'it\'s \\ || true'"
        ]
    );
    assert_eq!(made[0].policy.description.as_deref(), Some("for it's \\ || true, 0.8, true, 2h"));
    assert_eq!(made[0].policy.actions, [ViolationAction::Suspend { duration_minutes: 120 }]);
    for (name, wrong) in [
        ("role", json!(1)),
        ("role", json!("two\nlines")),
        ("share", json!("0.8")),
        ("strict", json!("yes")),
        ("pause", json!("2 hours")),
        ("pause", json!(2)),
    ] {
        assert!(template.instantiate(&values(&[("role", json!("x")), (name, wrong.clone())])).is_err(), "{wrong}");
    }
    for (kind, text, value) in [
        (VariableType::Integer, "12", json!(12)),
        (VariableType::Decimal, "0.5", json!(0.5)),
        (VariableType::Boolean, "false", json!(false)),
        (VariableType::Text, "12", json!("12")),
        (VariableType::Duration, "7d", json!("7d")),
        (VariableType::Integer, "many", json!("many")),
    ] {
        assert_eq!(kind.read(text), value);
    }
}

#[test]
fn t5_a_place_in_a_condition_where_a_value_could_end_a_text_or_grow_into_a_word_is_refused() {
    let with = |condition: &str| {
        let condition = serde_json::to_string(condition).unwrap();
        let typed =
            TYPED.replacen("user.name != {{role}}\"]", &format!("user.name != {{{{role}}}}\", {condition}]"), 1);
        assert_ne!(typed, TYPED);
        parse(&typed)
    };
    for refused in [
        "user.role == \"x {{role}} y\"",
        "user.role == r'{{role}}'",
        "user.role == '''{{role}}'''",
        "user.role == r{{role}}",
        "user.role == {{role}}{{role}}",
        "user.limit{{share}} > 1",
        "user.limit > 1{{share}}",
        "user.limit > {{share}}.5",
        "user.{{role}} == 1",
    ] {
        let errors = with(refused).expect_err(refused);
        assert!(errors.list().iter().any(|error| error.problem.starts_with("a value ")), "{refused}: {errors}");
    }
    for sound in [
        "user.role == \"{{role}}\" // {{role}}",
        "user.role == 'x ' + {{role}} + ' y'",
        "user.role in ['a', {{role}},{{role}}]",
        "{{role}}.size() > 3 && -{{share}} < user.limit",
    ] {
        with(sound).unwrap_or_else(|errors| panic!("{sound}: {errors}"));
    }
}

#[test]
fn a_broken_template_is_refused_with_every_position() {
    let text = TYPED
        .replace("{{pause}}\" }]", "{{paus}}\" }]")
        .replace("default_value = 0.8", "default_value = \"much\"")
        .replace("name = \"strict\"", "name = \"Strict\"");
    let errors = parse(&text).unwrap_err();
    let found: Vec<_> = errors.list().iter().map(|error| (error.line, error.path.as_str())).collect();
    assert_eq!(
        found,
        [
            (7, "variables[1].default_value"),
            (8, "variables[2].name"),
            (8, "variables[2].name"),
            (14, "policies[0].description"),
            (15, "policies[0].enabled"),
            (16, "policies[0].rules[0]"),
            (17, "policies[0].actions[0].duration_minutes"),
        ],
        "{errors}"
    );
    assert!(errors.to_string().contains("did you mean \"pause\"?"), "{errors}");
    let open = parse(&TYPED.replace("limit * {{ share }}", "limit * {{ share")).unwrap_err();
    assert_eq!(open.list()[0].line, 16, "{open}");
}

fn options(mode: EnforcementMode, reach: Reach) -> Options {
    Options { mode, reach, values: BTreeMap::new() }
}

#[test]
fn t8_mode_scope_and_values_are_those_that_were_asked_for() {
    let mut wanted = options(EnforcementMode::Enforce, Reach::Organization(Some("org_1".into())));
    wanted.values.insert("retention_days".into(), json!(30));
    let made = generate(Framework::Gdpr, &wanted, &[]).unwrap();
    assert!(made.iter().all(|one| one.policy.mode == EnforcementMode::Enforce && one.policy.reach == wanted.reach));
    assert!(made[1].text.contains("data.age_days > 30"), "{}", made[1].text);
    let refused = |framework, options: &Options| match generate(framework, options, &[]) {
        Err(TemplateError::Values(list)) => list.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Framework::Finops, &wanted), 2);
    assert_eq!(refused(Framework::Soc2, &wanted), 1);
}
