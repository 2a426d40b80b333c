//! Every public thread that the safety design names, and where it is replayed, or why it cannot be.
//!
//! The names are those of the tests: `accident_<repo>_<number>_…`. A thread that is named anew goes into `NAMED`.

use std::collections::BTreeSet;
use std::path::Path;

/// Repositories as tests name them, with the numbers of the issues and pull requests that the design rests on.
const NAMED: &[(&str, &[u32])] = &[
    ("aws_nuke", &[115, 212]),
    (
        "cloud_custodian",
        &[
            95, 1390, 1673, 2204, 2532, 2656, 2824, 2854, 2905, 3143, 3477, 3531, 3700, 4818, 4997, 5728, 7555, 7607,
            8306, 10000,
        ],
    ),
    ("cloud_nuke", &[245, 527, 829]),
    ("commonware_monorepo", &[4670]),
    ("instance_scheduler", &[281, 286, 592]),
    ("modernisation_platform", &[12887]),
    ("omicron", &[3085, 3265, 3894]),
    ("rebuy_aws_nuke", &[1259]),
    ("terraform_provider_aws", &[22684]),
    ("tokio_cron_scheduler", &[105, 107]),
    ("vulnerability_lookup", &[525]),
];

/// What cannot be replayed, and why.
const NOT_REPLAYED: &[(&str, u32, &str)] = &[(
    "vulnerability_lookup",
    525,
    "the thread's text could not be had, so its inputs are unknown; what it stands for in the design, a notice that is lost, is \
     replayed from the same project's #331",
)];

/// Replays at least.
const FEWEST: usize = 30;

#[test]
fn every_thread_that_the_design_names_is_replayed_under_its_name_or_listed_with_its_reason() {
    let number = regex::Regex::new(r"fn accident_([a-z_]+?)_(\d+)_[a-z]").unwrap();
    let mut replayed = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/accidents")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for test in number.captures_iter(&text) {
            replayed.insert((test[1].to_owned(), test[2].parse::<u32>().unwrap()));
        }
    }
    let named: BTreeSet<(String, u32)> =
        NAMED.iter().flat_map(|(repo, numbers)| numbers.iter().map(|number| ((*repo).to_owned(), *number))).collect();
    assert_eq!(named.len(), 38, "each stands once");
    let listed: BTreeSet<(String, u32)> = NOT_REPLAYED
        .iter()
        .map(|(repo, number, why)| {
            assert!(why.len() > 40, "{repo}#{number} has no reason");
            ((*repo).to_owned(), *number)
        })
        .collect();
    let missing: BTreeSet<(String, u32)> = named.difference(&replayed).cloned().collect();
    assert_eq!(missing, listed, "without a test, and listed as such");
    let own: Vec<&(String, u32)> = named.intersection(&replayed).collect();
    assert!(own.len() >= FEWEST, "{} replays of what the design names: {own:?}", own.len());
}
