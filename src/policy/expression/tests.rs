//! The seeds' conditions as they are written, three-valued logic, limits, and a story of `explain`.

use super::*;
use serde_json::json;

pub(super) fn compiled(text: &str) -> Condition {
    Condition::compile(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

pub(super) fn truth(text: &str, facts: serde_json::Value) -> Truth {
    compiled(text).evaluate(&Facts::from_json(&facts).unwrap())
}

fn unknown(text: &str, facts: serde_json::Value) -> String {
    match truth(text, facts) {
        Truth::Unknown(reason) => reason,
        other => panic!("{text}: {other:?}"),
    }
}

/// Every condition of S0 with a context in which it holds and one, next to its limit, in which it does not.
#[test]
fn p8_each_condition_of_the_seeds_evaluates_as_written() {
    let organization =
        |cost: serde_json::Value| json!({"organization": {"monthly_cost": cost, "budget": 50_000, "id": "org_12345"}});
    let password = |has_special: bool| {
        json!({"password": {"length": 12, "has_uppercase": true, "has_lowercase": true, "has_number": true,
            "has_special": has_special, "history_position": if has_special { json!(null) } else { json!(5) }}})
    };
    let data = |kind: &str, age: u32, deleted: bool| json!({"data": {"type": kind, "age_days": age}, "account": {"deleted": deleted}, "retention_days": 30});
    let login = |role: &str, mfa: bool| {
        json!({"user": {"role": role, "last_access_review_days": if mfa { 90 } else { 91 }},
            "auth": {"mfa_verified": mfa, "mfa_enabled": mfa}})
    };
    let request = |age: u32| json!({"request": {"type": "data_access", "age_days": age}});
    let api = |minute: u32, day: u32| json!({"api": {"requests_per_minute": minute, "requests_per_day": day}});
    let rows = [
        ("password.length >= 12", password(true), json!({"password": {"length": 11}})),
        (
            "password.has_uppercase && password.has_lowercase && password.has_number && password.has_special",
            password(true),
            password(false),
        ),
        ("!password.in_history(5)", password(true), password(false)),
        (
            "organization.monthly_cost >= organization.budget * 0.8",
            organization(json!(40_000)),
            organization(json!(39_999)),
        ),
        (
            "organization.monthly_cost >= organization.budget * 0.95",
            organization(json!(47_500.0)),
            organization(json!(47_499.99)),
        ),
        (
            "organization.monthly_cost >= organization.budget",
            organization(json!(50_000)),
            organization(json!(49_999.99)),
        ),
        ("data.type == 'usage' && data.age_days > 1095", data("usage", 1096, false), data("usage", 1095, false)),
        (
            "data.type == 'audit_log' && data.age_days > 2555",
            data("audit_log", 2556, false),
            data("audit_log", 2555, false),
        ),
        (
            "data.type == 'personal' && account.deleted && data.age_days > 90",
            data("personal", 91, true),
            data("personal", 91, false),
        ),
        ("user.role == 'admin' && !auth.mfa_verified", login("admin", false), login("user", false)),
        ("request.type == 'data_access' && request.age_days > 30", request(31), request(30)),
        (
            "data.type == 'personal' && data.age_days > retention_days",
            data("personal", 31, false),
            data("personal", 30, false),
        ),
        // With the template's variable put in.
        ("data.type == 'personal' && data.age_days > 30", data("personal", 31, false), data("usage", 31, false)),
        ("password.length < 12", json!({"password": {"length": 11}}), password(true)),
        ("user.role == 'admin' && !auth.mfa_enabled", login("admin", false), login("admin", true)),
        ("user.last_access_review_days > 90", login("user", false), login("user", true)),
        ("api.requests_per_minute > 100", api(101, 0), api(100, 0)),
        ("api.requests_per_day > 10000", api(0, 10_001), api(0, 10_000)),
        ("failed_logins >= 5", json!({"failed_logins": 5}), json!({"failed_logins": 4})),
    ];
    for (text, yes, no) in rows {
        assert_eq!(truth(text, yes.clone()), Truth::True, "{text} on {yes}");
        assert_eq!(truth(text, no.clone()), Truth::False, "{text} on {no}");
    }
}

/// What the seeds never use and people expect.
#[test]
fn p8_the_operators_beside_those_of_the_seeds_work() {
    let facts = json!({"a": 7, "b": 2.5, "name": "web-1", "tags": {"cost-center": "cc-1"}, "list": [1, 2, 3],
        "at": "2026-11-22T10:00:00Z"});
    for text in [
        "a != 8 && (a <= 7 || false)",
        "a + b == 9.5 && a - b > 4 && a / 2 == 3.5 && a % 4 == 3 && -a < 0",
        "a - 1 == 6",
        "name.startsWith('web') && name.endsWith('1') && name.contains('b-') && name.matches('^web-[0-9]+$')",
        "matches(name, 'eb')",
        "tags['cost-center'] == 'cc-1' && 'cost-center' in tags && !('owner' in tags) && a in [7, 8]",
        "has(tags.owner) == false && size(list) == 3 && name.size() == 5 && list[0] == 1",
        "list.exists(x, x + 1 == 4) && list.all(x, x > 0) && list.exists_one(x, x == 2)",
        "list.filter(x, x > 1) == [2, 3] && list.map(x, x * 2) == [2, 4, 6] && list.map(x, x > 1, x * 10) == [20, 30]",
        "list.exists(x, list.exists(y, x + y == 5))",
        "timestamp(at) > timestamp('2026-11-20T00:00:00Z') && timestamp(at).getHours() == 10",
        "timestamp(at) - timestamp('2026-11-18T10:00:00Z') == duration('4d')",
        "duration('4d') == duration('96h') && timestamp(at) - duration('1d') < timestamp(at)",
        "timestamp(at).getDayOfWeek('Europe/Berlin') == 0",
        "int('7') == a && string(a) == '7' && double('2.5') == b",
        "a > 5 ? name == 'web-1' : false",
        "name.lowerAscii() == \"web-1\" && {'x': a}.x == 7 && null == null",
    ] {
        assert_eq!(truth(text, facts.clone()), Truth::True, "{text}");
    }
}

#[test]
fn p8_a_missing_name_is_never_false() {
    assert_eq!(
        truth("data.age_days > retention_days", json!({"data": {"age_days": 1}})),
        Truth::NoRoot("retention_days".into())
    );
    assert_eq!(unknown("user.mfa", json!({"user": {}})), "user.mfa is missing");
    assert_eq!(unknown("!user.mfa", json!({"user": {}})), "user.mfa is missing");
    assert_eq!(unknown("a.b.c == 1", json!({"a": {"b": 5}})), "a.b is a whole number and has no field c");
    assert_eq!(
        unknown("password.length > 1", json!({"password": "secret"})),
        "password is text and has no field length"
    );
    assert_eq!(unknown("!password.in_history(5)", json!({"password": {"length": 9}})), "history_position is missing");
    assert_eq!(
        unknown("!password.in_history(5)", json!({"password": {"history_position": 0}})),
        "history_position is 0; accepted: a whole number from 1, or null for a new password"
    );
    let facts = Facts::new().with("cpu", Value::Unknown("CloudWatch did not answer".into()));
    assert_eq!(
        compiled("cpu < 5.0").evaluate(&facts),
        Truth::Unknown("cpu is not known: CloudWatch did not answer".into())
    );
    assert_eq!(
        compiled("has(cpu.peak)").evaluate(&facts),
        Truth::Unknown("cpu.peak is not known: CloudWatch did not answer".into()),
    );
}

/// Settled row 10, in logic: an unknown decides nothing, and hinders nothing that is decided without it.
#[test]
fn settled_10_an_unknown_is_neither_false_nor_true_on_either_side() {
    use Truth::{False, True};
    let facts = json!({"yes": true, "no": false, "m": {}});
    for (text, wanted) in [
        ("no && m.x", False),
        ("m.x && no", False),
        ("yes || m.x", True),
        ("m.x || yes", True),
        ("m.x > 5 || m.y || yes", True),
        ("yes && (no || (m.x && no))", False),
        ("yes ? no : m.x", False),
        ("gone.x && no", False),
        ("gone.x || yes", True),
        ("[1, 2].exists(n, n == 2 || m.x)", True),
        ("[1, 2].all(n, n == 2 && m.x)", False),
    ] {
        assert_eq!(truth(text, facts.clone()), wanted, "{text}");
    }
    for text in ["yes && m.x", "m.x && yes", "no || m.x", "!m.x", "m.x ? yes : yes", "[1].exists(n, m.x)", "m.x == m.x"]
    {
        assert_eq!(unknown(text, facts.clone()), "m.x is missing", "{text}");
    }
    assert_eq!(truth("m.x && gone", facts), Truth::NoRoot("gone".into()));
}

#[test]
fn values_of_different_types_are_unknown_and_nothing_panics() {
    let facts = json!({"text": "5", "number": 5, "list": [], "map": {}, "big": i64::MAX, "zero": 0});
    for (text, reason) in [
        ("text > number", "text cannot be compared with a whole number"),
        ("text == number", "text cannot be compared with a whole number"),
        ("text + number == 1", "text cannot be added with a whole number"),
        ("big + 1 > 0", "the result is too large"),
        ("-(-big - 1) > 0", "the result is too large"),
        ("number / zero > 1", "divided by zero"),
        ("number % zero > 1", "divided by zero"),
        ("list[0] > 1", "there is no item 0 in a list of 0"),
        ("number && true", "`number` is a whole number, not true or false"),
        ("timestamp(text) > timestamp('2026-01-01T00:00:00Z')", "Error executing function 'timestamp'"),
        ("size(number) > 1", "size takes text, a list or a map, not a whole number"),
        ("text in number", "a whole number has nothing in it"),
        ("map < map", "a map cannot be compared with a map"),
    ] {
        let given = unknown(text, facts.clone());
        assert!(given.starts_with(reason), "{text}: {given}");
    }
}

#[test]
fn work_is_bounded() {
    let list: Vec<u32> = (0..1000).collect();
    let facts = json!({"list": list, "long": "x".repeat(60_000)});
    let too_much = "the condition takes more than 20000 steps on these values";
    assert_eq!(unknown("list.all(x, list.all(y, x + y >= 0))", facts.clone()), too_much);
    assert_eq!(unknown("(long + long) == long", facts.clone()), "the joined text is longer than 65536 bytes");
    assert_eq!(unknown("long.matches('^(x+)+$')", facts), "matches looks at 8192 bytes at most, the text has 60000");
}

#[test]
fn mistakes_are_found_at_their_place() {
    let shown = |text: &str| {
        let error = Condition::compile(text).unwrap_err();
        assert!(error.width >= 1 && text.is_char_boundary(error.offset), "{text}: {error:?}");
        format!("{text}\n{}{} {error}\n", " ".repeat(text[..error.offset].chars().count()), "^".repeat(error.width))
    };
    let texts = [
        "password.length => 12",
        "data.type = 'usage'",
        "a and b",
        "a.b >",
        "(a > 1",
        "name == 'open",
        "a.lenght() > 1 && has(a)",
        "size(password)",
        "5 > 'x' || true",
        "!(a + 1)",
        "a + 1",
        "name.startswith('x')",
        "name.matches('(')",
        "name.matches(pattern)",
        "duration('4 days') < duration('1d')",
        "größe > 'ü' && x == y z",
        "a.`b-c` == 1",
        "name in 'abc'",
        "l.exists(x, l.exists(y, l.exists(z, true)))",
        "l.exists(1, true)",
        "Foo{a: 1}",
        "9223372036854775808 > a",
        "b'x' == a",
        "in_history(5)",
    ];
    let all = texts.map(shown).concat();
    insta::assert_snapshot!(all, @r###"
password.length => 12
                ^ "=" was not expected here; accepted: `==` to compare
data.type = 'usage'
          ^ "=" was not expected here; accepted: `==` to compare
a and b
  ^^^ "and" was not expected here; accepted: `&&` for and
a.b >
     ^ the condition ends too early; accepted: a CEL expression such as `data.type == 'usage' && data.age_days > 1095`
(a > 1
      ^ the condition ends too early; accepted: a CEL expression such as `data.type == 'usage' && data.age_days > 1095`
name == 'open
        ^ "'" was not expected here; accepted: text with its closing quote on the same line
a.lenght() > 1 && has(a)
  ^^^^^^ there is no function "lenght"; accepted: size, contains, startsWith, endsWith, matches, lowerAscii, in_history, duration, timestamp, string, int, double, exists, all, exists_one, existsOne, filter, map, and the parts of times such as getHours
size(password)
^^^^ `size(password)` is a number; accepted: a comparison, such as `resource.age_days > 30`
5 > 'x' || true
  ^ `>` between a number and text; accepted: two values of one type
!(a + 1)
    ^ `a + 1` is a number; accepted: true or false
a + 1
  ^ `a + 1` is a number; accepted: a comparison, such as `resource.age_days > 30`
name.startswith('x')
     ^^^^^^^^^^ there is no function "startswith"; did you mean startsWith()?; accepted: size, contains, startsWith, endsWith, matches, lowerAscii, in_history, duration, timestamp, string, int, double, exists, all, exists_one, existsOne, filter, map, and the parts of times such as getHours
name.matches('(')
             ^^^ the pattern is wrong: unclosed group; accepted: a regular expression that the Rust crate `regex` takes
name.matches(pattern)
     ^^^^^^^ the pattern of matches() is not written out; accepted: a pattern in quotes
duration('4 days') < duration('1d')
         ^^^^^^^^ "4 days" is not a duration; accepted: such as 4d, 1h30m or 90s
größe > 'ü' && x == y z
  ^^^^^ "öße" was not expected here; accepted: names of the letters a to z, digits and `_`; other letters only in quotes
a.`b-c` == 1
 ^ "." was not expected here; accepted: a CEL expression such as `data.type == 'usage' && data.age_days > 1095`
name in 'abc'
     ^^ `in` between anything and text; accepted: a list or a map on the right of `in`
l.exists(x, l.exists(y, l.exists(z, true)))
                                ^ more than 2 of exists, all, filter and map inside one another; accepted: at most 2
l.exists(1, true)
        ^ the first argument of exists is not a name; accepted: `list.exists(name, test)`
Foo{a: 1}
   ^ a structure; accepted: a map with keys in quotes
9223372036854775808 > a
^^^^^^^^^^^^^^^^^^^ "9223372036854775808" was not expected here; accepted: whole numbers of 64 bits with a sign
b'x' == a
^^^^ bytes; accepted: text in quotes
in_history(5)
^^^^^^^^^^ in_history as a function with 1 argument; accepted: value.in_history() with 1 argument
"###);
}

#[test]
fn nesting_length_and_chains_end_in_a_clear_error() {
    let problem = |text: String| Condition::compile(&text).unwrap_err().problem;
    assert_eq!(
        problem(format!("{}true{}", "(".repeat(100), ")".repeat(100))),
        "more than 32 brackets inside one another"
    );
    assert_eq!(
        problem(format!("{}1{} == [1]", "[".repeat(100), "]".repeat(100))),
        "more than 32 brackets inside one another"
    );
    assert_eq!(problem("true && ".repeat(1 << 17)), "the condition has 1048576 bytes");
    assert_eq!(problem(format!("{}a", "!".repeat(100))), "more than 8 signs before one operand");
    assert_eq!(problem(format!("1 < {}1", "-".repeat(100))), "more than 8 signs before one operand");
    assert_eq!(problem(format!("{}d", "a ? b : ".repeat(100))), "more than 32 choices with `?`");
    assert_eq!(problem(format!("a{} == 1", ".b".repeat(100))), "a name with 101 parts");
    assert_eq!(problem(format!("a{} == 1", "[0]".repeat(200))), "the condition is nested too deeply");
    assert_eq!(problem(format!("1{} == 1", "+1".repeat(900))), "the condition is nested too deeply");
    assert_eq!(problem(format!("a{} == 1", "==a".repeat(300))), "the condition is nested too deeply");
    // Long and flat is fine.
    let chain = format!("no{}", " || no || no".repeat(150));
    assert_eq!(truth(&chain, json!({"no": false})), Truth::False);
    let deep = format!("{}true{}", "(!".repeat(32), ")".repeat(32));
    assert_eq!(truth(&deep, json!({})), Truth::True);
}

#[test]
fn a_condition_lists_what_it_reads() {
    let condition = compiled("b.c > a.x['k-1'] && has(b.d) && l.exists(e, e.y == b.c) && root");
    assert_eq!(condition.reads(), ["a.x.k-1", "b.c", "b.d", "l", "root"]);
    assert_eq!(compiled("true").reads(), [""; 0]);
}

#[test]
fn explain_shows_each_part_with_its_value_and_source() {
    let facts = Facts::new()
        .with_source(
            "user",
            Facts::from_json(&json!({"u": {"role": "admin"}})).unwrap().root("u").unwrap().clone(),
            "the request",
        )
        .with_source(
            "auth",
            Value::Map([("mfa_verified".into(), Value::Unknown("login service down".into()))].into()),
            "cache",
        )
        .with("limits", Value::List(vec![Value::Int(3), Value::Int(9)]));
    let condition = compiled("user.role == 'admin' && !auth.mfa_verified && limits.exists(n, n > 5)");
    insta::assert_snapshot!(condition.explain(&facts).tree(), @r###"
user.role == 'admin' && !auth.mfa_verified && limits.exists(n, n > 5) → unknown (auth.mfa_verified is not known: login service down)
  user.role == 'admin' → true
    user.role → 'admin'   from the request
  !auth.mfa_verified → unknown (auth.mfa_verified is not known: login service down)
    auth.mfa_verified → unknown (auth.mfa_verified is not known: login service down)   from cache
  limits.exists(n, n > 5) → true
    limits → [3, 9]
    n → 3
      n > 5 → false
        n → 3
    n → 9
      n > 5 → true
        n → 9
"###);
}
