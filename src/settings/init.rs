//! What `costwarden init` writes: commented settings in observe mode and one policy file per check.
//!
//! The files are those of `config/` in the source tree, so what a person gets is what the tests load. S1's documents go
//! to `policies/examples/`, which is not loaded.

/// The files, by path relative to the folder that `init` is run in.
pub fn init_files() -> Vec<(&'static str, String)> {
    let mut files: Vec<(&'static str, String)> =
        vec![("costwarden.toml", include_str!("../../config/costwarden.toml").into())];
    files.extend(POLICIES.iter().map(|(path, text)| (*path, (*text).to_owned())));
    // The schemas make editors complete and check both kinds of file.
    files.push(("policies/policy.schema.json", pretty(&crate::policy::schema())));
    files.push(("costwarden.schema.json", pretty(&super::schema())));
    files
}

macro_rules! shipped {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../../config/", $path)))),+] };
}

const POLICIES: &[(&str, &str)] = shipped![
    "policies/idle-instances.yaml",
    "policies/mandatory-tags.yaml",
    "policies/old-snapshots.yaml",
    "policies/oversized-instances.yaml",
    "policies/unassociated-addresses.yaml",
    "policies/unattached-volumes.yaml",
    "policies/examples/approval-policy.yaml",
    "policies/examples/budget-policy.yaml",
    "policies/examples/gp2-volumes.yaml",
    "policies/examples/holidays.ics",
    "policies/examples/resource-limits-policy.yaml",
    "policies/examples/schedule-policy.yaml",
    "policies/examples/tagging-policy.yaml",
];

fn pretty(schema: &serde_json::Value) -> String {
    format!("{schema:#}\n")
}
