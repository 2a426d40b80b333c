//! `policy test`: the examples that policies carry, run.
//!
//! A policy without an example is named as untested; with `--strict` that is a failure. Nothing is read but the files:
//! examples over resources are judged on a simulated account.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use schemars::JsonSchema;
use serde::Serialize;

use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use super::{Global, open};
use crate::domain::text::clean;
use crate::engine::examples::{self, TestRun};
use crate::policy::{Given, Outcome, Policy};
use crate::worker::sample;
use crate::{checks, settings};

/// Flags of `policy test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, and folders of policy files; the policies of the settings when absent
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Fail when a policy has no example
    #[arg(long)]
    strict: bool,
}

/// What `policy test -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct TestDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    #[serde(flatten)]
    run: &'a TestRun,
}

/// Runs all examples. An example that does not hold ends with 1, a wrong policy with 2.
///
/// # Errors
/// Wrong settings, wrong policies.
pub async fn run(global: &Global, args: &Args) -> Result<Exit> {
    let paths = if args.paths.is_empty() { open::settings(global)?.policies } else { args.paths.clone() };
    let policies = settings::load_policies(&paths, &checks::infos()).map_err(ExitError::bad_use)?;
    let run = ask(&policies).await?;
    match global.output {
        Format::Json => output::json(&TestDocument { schema_version: SCHEMA_VERSION, run: &run })?,
        Format::Junit => output::print(&junit(&run, args.strict)?)?,
        _ => table(global, &run)?,
    }
    let failed = run.failed > 0 || (args.strict && !run.untested.is_empty());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// Judges the resources first, which takes a simulated account each, then runs every example.
async fn ask(policies: &[Policy]) -> Result<TestRun> {
    let mut judged: BTreeMap<(String, String), Result<BTreeMap<String, Outcome>, String>> = BTreeMap::new();
    let prices = crate::cloud::prices::embedded().context("reading the price book")?;
    for policy in policies {
        for example in &policy.examples {
            if let Given::Resource(resource) = &example.given {
                let answer = sample::judge(policy, resource, &prices).await;
                judged.insert((policy.name.clone(), resource.to_string()), answer);
            }
        }
    }
    Ok(examples::run(policies, &prices, &|policy, resource| {
        let key = (policy.name.clone(), resource.to_string());
        judged.get(&key).cloned().unwrap_or_else(|| Err("the resource was not judged".into()))
    }))
}

fn table(global: &Global, run: &TestRun) -> Result<()> {
    for failure in &run.failures {
        let (name, example) = (clean(&failure.policy_name), clean(&failure.example));
        output::line(&format!("FAILED   {name}: {example} ({})", clean(&failure.source)))?;
        output::line(&format!("         {}", clean(&failure.reason)))?;
    }
    if !global.quiet {
        for name in &run.untested {
            output::line(&format!("UNTESTED {}: it has no example", clean(name)))?;
        }
    }
    output::line(&format!(
        "{} {}: {} passed, {} failed; {} {} without an example",
        run.total_tests,
        if run.total_tests == 1 { "example" } else { "examples" },
        run.passed,
        run.failed,
        run.untested.len(),
        if run.untested.len() == 1 { "policy" } else { "policies" }
    ))
}

/// One suite per policy; a policy without an example is a skipped case, or a failed one when that is asked for.
fn junit(run: &TestRun, strict: bool) -> Result<String> {
    let mut report = Report::new("costwarden policy test");
    let mut suites: Vec<TestSuite> = Vec::new();
    let mut add = |policy: &str, case: TestCase| {
        let name = clean(policy);
        match suites.iter_mut().find(|suite| suite.name.as_str() == name) {
            Some(suite) => {
                suite.add_test_case(case);
            }
            None => {
                let mut suite = TestSuite::new(name);
                suite.add_test_case(case);
                suites.push(suite);
            }
        }
    };
    for case in &run.cases {
        let status = match &case.reason {
            None => TestCaseStatus::success(),
            Some(reason) => failure(reason),
        };
        add(&case.policy_name, TestCase::new(clean(&case.example), status));
    }
    for name in &run.untested {
        let mut status = if strict { failure("the policy has no example") } else { TestCaseStatus::skipped() };
        status.set_message("the policy has no example");
        add(name, TestCase::new("examples", status));
    }
    report.add_test_suites(suites);
    report.to_string().map(|text| format!("{}\n", text.trim_end())).context("writing JUnit")
}

fn failure(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(clean(reason));
    status
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::domain::budget::BudgetAction;
    use crate::policy::{Example, Logic, Rule};

    /// The policy files that `init` writes, with the name that each has there, and the framework.
    fn shipped() -> Vec<(String, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let mut files = Vec::new();
        for folder in ["policies", "policies/examples", "policy_frameworks"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.extension().is_some_and(|ending| ending == "yaml") {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    files.push((format!("{folder}/{name}"), path.to_string_lossy().into_owned()));
                }
            }
        }
        files.sort();
        files
    }

    /// A budget that only tells breaks nothing, so nobody can show it broken.
    fn can_be_broken(rule: &Rule) -> bool {
        match &rule.logic {
            Logic::Budget(budget) => {
                budget.thresholds.iter().any(|step| step.action == BudgetAction::BlockNewResources)
            }
            _ => true,
        }
    }

    async fn outcomes(policy: &Policy, example: &Example) -> BTreeMap<String, Outcome> {
        let prices = crate::cloud::prices::embedded().unwrap();
        match &example.given {
            Given::Resource(resource) => sample::judge(policy, resource, &prices).await.unwrap(),
            Given::Request(request) => examples::of_request(policy, request, &prices).unwrap().0,
            Given::Context(context) => examples::of_context(policy, context).unwrap(),
        }
    }

    #[tokio::test]
    async fn t9_every_shipped_policy_shows_each_of_its_rules_broken_and_kept() {
        let files = shipped();
        assert_eq!(files.len(), 13, "{files:?}");
        for (name, file) in &files {
            let policies = settings::load_policies(&[PathBuf::from(file)], &checks::infos()).unwrap();
            let run = ask(&policies).await.unwrap();
            assert_eq!((run.failures, run.untested), (Vec::new(), Vec::new()), "{name}");
            assert!(run.total_tests > 0, "{name}");
            // A framework's parts are shown by its own tests; a check of it by the policy that ships for that check.
            if name.starts_with("policy_frameworks/") {
                continue;
            }
            for policy in &policies {
                let (mut broken, mut kept) = (BTreeSet::new(), BTreeSet::new());
                for example in &policy.examples {
                    for (rule, outcome) in outcomes(policy, example).await {
                        match outcome {
                            Outcome::Violated => broken.insert(rule),
                            Outcome::Compliant => kept.insert(rule),
                            Outcome::Unknown | Outcome::NotApplicable => false,
                        };
                    }
                }
                let every: BTreeSet<String> = policy.rules.iter().map(|rule| rule.name.clone()).collect();
                let breakable: BTreeSet<String> =
                    policy.rules.iter().filter(|rule| can_be_broken(rule)).map(|rule| rule.name.clone()).collect();
                assert_eq!((broken, kept), (breakable, every), "{name}: {}", policy.name);
            }
        }
    }
}
