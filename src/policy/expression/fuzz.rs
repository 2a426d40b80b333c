//! What fuzzing runs: bytes in, and nothing but an answer out.
//!
//! `fuzz/fuzz_targets` calls these from cargo-fuzz, and the tests beside them with seeded bytes, so that a plain test
//! run exercises them too. The first byte chooses among the facts; the rest is the condition, either raw or woven from
//! words that conditions are made of.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Condition, Explained, Facts, MAX_BYTES, Truth, Value};
use crate::domain::check::CheckInfo;
use crate::domain::text::Str;

/// Pieces of conditions; a byte chooses one.
const WORDS: &[&str] = &[
    "a",
    "b.c",
    "b.gone",
    "gone.x",
    "t",
    "l",
    "m",
    "u",
    "u.x",
    "m['k-1']",
    "l[0]",
    "1",
    "0",
    "-3",
    "2.5",
    "1e300",
    "'x'",
    "\"y\"",
    "''",
    "true",
    "false",
    "null",
    "&&",
    "||",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "in",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".size()",
    ".contains('x')",
    ".startsWith('')",
    ".endsWith(t)",
    ".matches('^(a+)+$')",
    "matches(t, '[a-z]*')",
    "size(l)",
    "has(b.c)",
    "has(m.gone)",
    ".exists(x, x > 1)",
    ".all(x, x != t)",
    ".exists_one(x, x == 1)",
    ".filter(x, x > 0)",
    ".map(x, x * 2)",
    ".in_history(5)",
    "duration('4d')",
    "timestamp('2026-11-22T10:00:00Z')",
    "timestamp(t)",
    "time",
    ".getHours()",
    ".getDayOfWeek('UTC')",
    "int(t)",
    "double(a)",
    "string(a)",
    "x",
    "9223372036854775807",
    "r'\\'",
    "// ",
    "\n",
    "é",
    "`",
    "'''",
    ".lowerAscii()",
];

/// Compiles any bytes. A refusal must point into the text.
pub fn compile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    judge(&text, &facts(bytes.first().copied().unwrap_or(0)));
}

/// Compiles and evaluates a condition woven from words.
pub fn evaluate(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut text = String::new();
    for byte in rest {
        text.push_str(WORDS[usize::from(*byte) % WORDS.len()]);
        if byte % 3 == 0 {
            text.push(' ');
        }
    }
    judge(&text, &facts(*first));
}

/// Loads any bytes as a policy file; the first byte chooses the format. `checks` is the registry of checks.
pub fn load(bytes: &[u8], checks: &[&'static CheckInfo]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let file = Path::new(["policy.yaml", "policy.toml", "policy.json"][usize::from(*first) % 3]);
    match crate::policy::parse(file, &text, checks) {
        Ok(policies) => assert!(policies.iter().all(|policy| !policy.rules.is_empty()), "a policy without rules"),
        Err(errors) => {
            let lines = text.split('\n').count();
            assert!(!errors.list().is_empty(), "refused for no reason");
            assert!(errors.list().iter().all(|error| error.line <= lines), "a mistake below the end: {errors}");
            assert!(!errors.to_string().is_empty());
        }
    }
}

fn judge(text: &str, facts: &Facts) {
    match Condition::compile(text) {
        Err(error) => {
            assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text:?}: {error:?}");
            assert!(error.width >= 1 && !error.problem.is_empty() && !error.accepted.is_empty(), "{text:?}: {error:?}");
        }
        Ok(condition) => {
            assert!(text.len() <= MAX_BYTES);
            let truth = condition.evaluate(facts);
            assert_eq!(truth, condition.evaluate(facts), "{text:?} gives two answers");
            agrees(&truth, &condition.explain(facts));
        }
    }
}

/// An explanation must say what evaluation said.
fn agrees(truth: &Truth, explained: &Explained) {
    let same = match truth {
        Truth::True => explained.value == Value::Bool(true),
        Truth::False => explained.value == Value::Bool(false),
        // A condition that gives a number, too, is unknown as a condition.
        Truth::Unknown(_) | Truth::NoRoot(_) => !matches!(explained.value, Value::Bool(_)),
    };
    assert!(same, "{truth:?} and {explained:?}");
    assert!(!explained.tree().is_empty());
}

/// A few different sets of facts.
fn facts(seed: u8) -> Facts {
    let number = [Value::Int(0), Value::Int(i64::MIN), Value::Double(-0.0), Value::Int(7), Value::Null];
    let text = ["", "x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "2026-11-22T10:00:00Z", "\u{202e}é'\\"];
    let pick = |shift: u8| usize::from(seed >> shift) % 5;
    let list = (0..[0, 3, 900][usize::from(seed) % 3]).map(Value::Int).collect();
    let map =
        BTreeMap::from([(Str::from("c"), number[pick(1)].clone()), (Str::from("k-1"), Value::text(text[pick(2)]))]);
    let facts = Facts::new()
        .with("a", number[pick(0)].clone())
        .with("b", Value::Map(map.clone()))
        .with("t", Value::text(text[pick(3)]))
        .with("l", Value::List(list))
        .with("m", Value::Map(map))
        .with("time", Value::Time(chrono::DateTime::UNIX_EPOCH));
    match seed % 2 {
        0 => facts.with("u", Value::Unknown("not read".into())),
        _ => facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Pieces of policy files, whole lines mostly.
    const LINES: &[&str] = &[
        "apiVersion: costwarden.dev/v1\n",
        "kind: CostPolicy\n",
        "metadata:\n",
        "  name: x\n",
        "spec:\n",
        "  type: Waste\n",
        "  rules:\n",
        "    - name: r\n",
        "      check: idle-instance\n",
        "      parameters: {days: 7}\n",
        "---\n",
        "&a [*a]\n",
        "- *b\n",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        ": ",
        "[[policies]]\n",
        "[[policies.rules]]\n",
        "condition = \"a > 1\"\n",
        "policy_type = \"security\"\n",
        "id = \"x\"\n",
        "\t",
        "\u{feff}",
        "\u{0}",
        "!!binary x\n",
        "? ",
        "| \n",
        "%YAML 1.2\n",
        "  mode: enforce\n",
        "  severity: high\n",
        "é",
        "99999999999999999999",
        "~",
        "- ",
        "#",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_compile_or_are_refused_at_a_place(bytes in vec(any::<u8>(), 0..400)) {
            compile(&bytes);
        }

        #[test]
        fn any_lines_load_or_are_refused_at_a_place(first in any::<u8>(), chosen in vec(0..LINES.len(), 0..30)) {
            let mut bytes = vec![first];
            chosen.iter().for_each(|index| bytes.extend(LINES[*index].bytes()));
            load(&bytes, &crate::checks::infos());
        }

        #[test]
        fn words_of_conditions_in_any_order_end_in_an_answer(bytes in vec(any::<u8>(), 1..24)) {
            evaluate(&bytes);
        }
    }
}
