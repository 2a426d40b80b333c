//! Our walk and `cel`'s own evaluator give the same answers, wherever both have one.
//!
//! Conditions are grown from a grammar, so most of them are whole and typed. Where `cel` fails (it mixes no whole and
//! decimal numbers, and its errors are our unknowns) there is nothing to compare, so the shares are asserted too: a test
//! that compares nothing would hold for any evaluator.

use std::cell::Cell;

use cel::{Context, Program};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::tests::compiled;
use super::{Facts, Truth};

fn facts() -> serde_json::Value {
    json!({
        "a": {"n": 7, "m": -2, "d": 2.5, "e": 0.0, "t": "web-1", "u": "", "yes": true, "no": false},
        "l": [3, 1, 2],
        "w": ["x", "web-1"],
    })
}

/// The same facts in `cel`'s own values, whole numbers as `int`.
fn context() -> Context<'static, 'static> {
    fn value(json: &serde_json::Value) -> cel::Value {
        match json {
            serde_json::Value::Bool(value) => cel::Value::Bool(*value),
            serde_json::Value::Number(number) => {
                number.as_i64().map_or_else(|| cel::Value::Float(number.as_f64().unwrap()), cel::Value::Int)
            }
            serde_json::Value::String(text) => cel::Value::from(text.as_str()),
            serde_json::Value::Array(items) => cel::Value::from(items.iter().map(value).collect::<Vec<_>>()),
            serde_json::Value::Object(object) => {
                let map: std::collections::HashMap<String, cel::Value> =
                    object.iter().map(|(key, item)| (key.clone(), value(item))).collect();
                cel::Value::from(map)
            }
            serde_json::Value::Null => cel::Value::Null,
        }
    }
    let mut context = Context::default();
    for (name, json) in facts().as_object().unwrap() {
        context.add_variable_from_value(name.as_str(), value(json));
    }
    context
}

fn whole() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("a.n".to_owned()),
        Just("a.m".to_owned()),
        Just("l[1]".to_owned()),
        Just("size(l)".to_owned()),
        Just("a.t.size()".to_owned()),
        (-9i64..20).prop_map(|number| number.to_string()),
        Just("a.gone".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*", "%"]), inner)
            .prop_map(|(left, sign, right)| format!("({left} {sign} {right})"))
    })
    .boxed()
}

fn condition() -> BoxedStrategy<String> {
    let compare = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let decimal = prop::sample::select(vec!["a.d", "a.e", "2.5", "(a.d * 2.0)", "(a.e - 0.5)"]);
    let text = prop::sample::select(vec!["a.t", "a.u", "'web-1'", "'x'", "(a.t + a.u)", "w[0]"]);
    let leaf = prop_oneof![
        4 => (whole(), compare.clone(), whole()).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        2 => (decimal.clone(), compare.clone(), decimal).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        2 => (text.clone(), compare, text).prop_map(|(left, sign, right)| format!("{left} {sign} {right}")),
        2 => prop::sample::select(vec![
            "a.yes", "a.no", "true", "false", "a.gone", "has(a.n)", "has(a.gone)", "a.t.startsWith('web')",
            "a.t.contains('-')", "a.t.endsWith('2')", "'x' in w", "a.t in w", "'n' in a",
            "l.exists(x, x > 2)", "l.all(x, x > 0 && x < a.n)", "l.exists_one(x, x == 2)", "l.filter(x, x > 1) == [3, 2]",
            "l.map(x, x * 2) == [6, 2, 4]", "w.exists(x, x.startsWith(a.t))", "[1, a.n].exists(x, x == 7)",
        ]).prop_map(str::to_owned),
        1 => (whole(), whole()).prop_map(|(left, right)| format!("{left} in [{right}, 7, 3]")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} && {right})")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left} || {right})")),
            inner.clone().prop_map(|part| format!("!({part})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(test, yes, no)| format!("({test} ? {yes} : {no})")),
        ]
    })
    .boxed()
}

#[test]
fn our_walk_gives_cels_answers() {
    let (facts, context) = (Facts::from_json(&facts()).unwrap(), context());
    let (decided, undecided) = (Cell::new(0u32), Cell::new(0u32));
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let result = runner.run(&condition(), |text| {
        let ours = compiled(&text).evaluate(&facts);
        let theirs = Program::compile(&text).unwrap().execute(&context);
        match (&ours, &theirs) {
            (Truth::True, Ok(cel::Value::Bool(true))) | (Truth::False, Ok(cel::Value::Bool(false))) => {
                decided.set(decided.get() + 1);
            }
            (Truth::Unknown(_), Err(_)) => undecided.set(undecided.get() + 1),
            _ => return Err(TestCaseError::fail(format!("{text}: ours {ours:?}, cel's {theirs:?}"))),
        }
        Ok(())
    });
    if let Err(failed) = result {
        panic!("{failed}");
    }
    assert!(decided.get() > 200 && undecided.get() > 20, "{decided:?} decided, {undecided:?} not");
}
