//! JSON Schema of policy files, for editors and `costwarden schema policy`.
//!
//! Made from the raw shapes that the loader itself is held to. A document is of one type, in its envelope
//! or flattened, or one of S0's policies, or a list of those.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::PolicyType;
use super::document::schema_of;
use super::raw::expressions::{ContextPolicy, ExpressionRule};
use super::raw::{ApprovalRuleShape, Envelope, LimitRule, ScheduleRule, SpendRule, TagsRule, WasteRule};

/// The schema of one document of a policy file.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut branches = Vec::new();
    for policy_type in PolicyType::ALL {
        let (spec, flat) = match policy_type {
            PolicyType::ResourceLimit => forms::<LimitRule>(policy_type, &mut definitions),
            PolicyType::TagRequirement => forms::<TagsRule>(policy_type, &mut definitions),
            PolicyType::BudgetLimit => forms::<SpendRule>(policy_type, &mut definitions),
            PolicyType::Waste => forms::<WasteRule>(policy_type, &mut definitions),
            PolicyType::Expression => forms::<ExpressionRule>(policy_type, &mut definitions),
            PolicyType::Approval => forms::<ApprovalRuleShape>(policy_type, &mut definitions),
            PolicyType::Schedule => forms::<ScheduleRule>(policy_type, &mut definitions),
        };
        branches.push(json!({
            "if": {"type": "object", "properties": {"spec": {"properties": {"type": {"const": policy_type.word()}}, "required": ["type"]}}, "required": ["spec"]},
            "then": spec,
        }));
        branches.push(json!({
            "if": {"type": "object", "properties": {"type": {"const": policy_type.word()}}, "required": ["type"]},
            "then": flat,
        }));
    }
    let over_contexts = context_policy(&mut definitions);
    let list = json!({
        "type": "array",
        "minItems": 1,
        "items": over_contexts,
        "description": "Policies over a caller's context.",
    });
    branches.push(json!({"if": {"type": "object", "required": ["policy_type"]}, "then": over_contexts}));
    branches.push(json!({
        "if": {"type": "object", "required": ["policies"]},
        "then": {
            "properties": {"policies": list, "$schema": {"type": "string", "description": "For editors."}},
            "additionalProperties": false,
        },
    }));
    branches.push(json!({"if": {"type": "array"}, "then": list}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "costwarden policy",
        "type": ["object", "array"],
        "anyOf": [
            {"type": "object", "required": ["spec"]},
            {"type": "object", "required": ["type", "rules"]},
            {"type": "object", "required": ["policy_type"]},
            {"type": "object", "required": ["policies"]},
            {"type": "array"},
        ],
        "allOf": branches,
        "$defs": definitions,
    })
}

/// A reference to S0's policy; its definitions are put beside the others.
fn context_policy(definitions: &mut Map<String, Value>) -> Value {
    const PREFIX: &str = "#/$defs/Context.";
    let mut policy = schema_of::<ContextPolicy>();
    let own = policy.as_object_mut().and_then(|map| map.remove("$defs")).unwrap_or_default();
    redirect(&mut policy, PREFIX);
    if let Some(map) = policy.as_object_mut() {
        map.remove("$schema");
        map.remove("title");
    }
    for (name, mut definition) in own.as_object().cloned().unwrap_or_default() {
        redirect(&mut definition, PREFIX);
        definitions.insert(format!("Context.{name}"), definition);
    }
    definitions.insert("Context.ContextPolicy".into(), policy);
    json!({"$ref": "#/$defs/Context.ContextPolicy"})
}

/// The enveloped and the flattened form of one type; definitions are put beside them, apart for each type.
fn forms<R: JsonSchema>(policy_type: PolicyType, definitions: &mut Map<String, Value>) -> (Value, Value) {
    let mut envelope = schema_of::<Envelope<R>>();
    let own = envelope.as_object_mut().and_then(|map| map.remove("$defs")).unwrap_or_default();
    let prefix = format!("#/$defs/{}.", policy_type.word());
    redirect(&mut envelope, &prefix);
    if let Some(map) = envelope.as_object_mut() {
        map.remove("$schema");
        map.remove("title");
    }
    let mut spec_form = None;
    for (name, mut definition) in own.as_object().cloned().unwrap_or_default() {
        redirect(&mut definition, &prefix);
        if definition.pointer("/properties/rules").is_some() {
            definition["properties"]["type"] =
                json!({"const": policy_type.word(), "description": "Decides what the rules look like."});
            spec_form = Some(definition.clone());
        }
        definitions.insert(format!("{}.{name}", policy_type.word()), definition);
    }
    let mut flat = spec_form.unwrap_or_default();
    for key in ["apiVersion", "kind", "metadata"] {
        flat["properties"][key] = envelope["properties"][key].clone();
    }
    if let Some(required) = flat["required"].as_array_mut() {
        required.push("metadata".into());
    }
    (envelope, flat)
}

fn redirect(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| redirect(item, prefix)),
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref") {
                *target = target.replace("#/$defs/", prefix);
            }
            map.values_mut().for_each(|item| redirect(item, prefix));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(value: &Value, found: &mut impl FnMut(&str, &Value)) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            Value::Object(map) => {
                for (key, item) in map {
                    found(key, item);
                    visit(item, found);
                }
            }
            _ => {}
        }
    }

    #[test]
    fn d1_the_schema_has_both_forms_of_all_types_and_every_reference_leads_somewhere() {
        let schema = schema();
        assert_eq!(schema["allOf"].as_array().unwrap().len(), 2 * PolicyType::ALL.len() + 3);
        let mut references = 0;
        visit(&schema, &mut |key, value| {
            if key == "$ref" {
                references += 1;
                let target = value.as_str().unwrap();
                assert!(schema.pointer(&target[1..]).is_some_and(Value::is_object), "{target}");
            }
        });
        assert!(references > 20, "{references}");
        let waste = &schema["$defs"]["Waste.WasteRule"];
        assert_eq!(waste["additionalProperties"], false);
        let flat = &schema["allOf"][7];
        assert_eq!(flat["if"]["properties"]["type"]["const"], "Waste");
        let keys: Vec<&str> = flat["then"]["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let all = [
            "type",
            "rules",
            "severity",
            "action",
            "grace",
            "mode",
            "scope",
            "approval",
            "examples",
            "apiVersion",
            "kind",
            "metadata",
        ];
        assert_eq!(keys, all);
        assert_eq!(flat["then"]["required"], json!(["type", "rules", "metadata"]));
    }

    #[test]
    fn every_key_has_a_description_for_editors() {
        visit(&schema()["$defs"], &mut |key, value| {
            if key == "properties" {
                for (name, inner) in value.as_object().unwrap() {
                    assert!(inner.get("description").is_some(), "{name}: {inner}");
                }
            }
        });
    }
}
