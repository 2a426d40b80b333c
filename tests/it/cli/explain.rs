//! `policy explain` and `schema --fields`: why a rule says what it says, and what a condition may read.

use costwarden::domain::place::Kind;
use costwarden::policy::expression::FIELDS;

use super::Desk;

const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/worlds/tiny.yaml");

#[test]
fn each_rule_of_a_policy_is_explained_from_a_world() {
    let desk = Desk::empty();
    let call = |policy: &str, id: &str| {
        desk.call(&["policy", "explain", policy, id, "--world", WORLD, "--as-of", "2026-09-20"])
    };
    let orphan = call("orphaned-resource-detection", "vol-0t1n0rph");
    assert_eq!(orphan.code, 0, "{orphan:?}");
    for line in [
        "orphaned-resource-detection (",
        "on 111122223333/us-east-1/storage/volume/vol-0t1n0rph old-database, read 2026-09-20 00:00 UTC\n",
        "\nunattached-volume (unattached-volume, medium)\n  violated: 100 GiB gp2 volume attached to nothing for 0 days\n",
        "  no act: seen unattached for 0 whole days, more than 7 are needed\n",
        "    complete scans: 1   from own sighting\n",
    ] {
        assert!(orphan.out.contains(line), "{line:?} is missing in {}", orphan.out);
    }
    let fine = call("mandatory-tags", "vol-0t1n0rph");
    assert!(fine.out.ends_with("(required-tags, medium)\n  compliant\n"), "{}", fine.out);
    let other = call("idle-resource-detection", "vol-0t1n0rph");
    assert!(other.out.contains("not applicable: "), "{}", other.out);
    assert!(desk.files().is_empty(), "looking leaves nothing behind");
}

#[test]
fn a_stored_night_answers_without_the_cloud() {
    let desk = Desk::set_up();
    desk.write(
        "costwarden.toml",
        "policies = [\"policies\"]\n\n[[accounts]]\nid = \"111122223333\"\nregions = [\"us-east-1\"]\n",
    );
    let none = desk.call(&["policy", "explain", "mandatory-tags", "vol-0t1n0rph", "--db", "state"]);
    assert!(none.one_error(1).contains("there is no state in"), "{none:?}");
    assert_eq!(desk.call(&["scan", "--world", WORLD, "--as-of", "2026-09-20", "--db", "state"]).code, 0);

    let call =
        |id: &str| desk.call(&["policy", "explain", "idle-resource-detection", id, "--db", "state", "-o", "json"]);
    let idle = call("i-0t1n1d1e").json();
    assert_eq!(idle["schema_version"], 1);
    assert_eq!(idle["resource"], "111122223333/us-east-1/compute/instance/i-0t1n1d1e");
    assert_eq!(idle["read_at"], "2026-09-20T00:00:00Z");
    let rules = idle["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!((&rules[0]["rule"], &rules[0]["outcome"]), (&"low-utilization".into(), &"violated".into()));
    assert!(rules[0]["evidence"].as_array().unwrap().iter().any(|figure| figure["name"] == "cpu average"), "{idle:#}");
    assert_eq!(call("111122223333/us-east-1/compute/instance/i-0t1n1d1e").json(), idle, "the full key names the same");
    assert_eq!(call("i-0t1nb0sy").json()["rules"][0]["outcome"], "compliant");

    assert!(call("i-gone").one_error(1).contains("no stored night has \"i-gone\""));
    let typo = desk.call(&["policy", "explain", "mandatory-tag", "i-0t1n1d1e", "--db", "state"]);
    assert!(typo.one_error(2).contains("there is no policy \"mandatory-tag\"; did you mean \"mandatory-tags\"?"));
}

#[test]
fn the_names_that_a_condition_may_read_are_listed_by_kind() {
    let desk = Desk::empty();
    let listed = desk.call(&["schema", "--fields", "volume", "-o", "json"]).json();
    let paths: Vec<&str> =
        listed["fields"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect();
    let expected: Vec<&str> =
        FIELDS.iter().filter(|field| field.kinds.contains(&Kind::Volume)).map(|field| field.path).collect();
    assert_eq!(paths, expected);
    assert!(paths.contains(&"volume.unattached_days") && !paths.contains(&"instance.vcpus"));

    let all = desk.call(&["schema", "--fields"]);
    assert_eq!(all.out.lines().count(), FIELDS.len() + 1, "a head and a line each");
    let instance = desk.call(&["schema", "--fields", "compute/instance"]);
    assert!(instance.out.lines().any(|line| line.starts_with("usage.cpu_average_7d ") && line.contains(" percent ")));
    let wrong = desk.call(&["schema", "--fields", "instanc"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("\"instanc\" is no kind of resource; did you mean \"instance\"?"), "{}", wrong.err);
    assert_eq!(desk.call(&["schema", "policy", "--fields", "instance"]).code, 2, "one or the other");
}
