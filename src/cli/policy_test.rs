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
    Ok(examples::run(policies, &|policy, resource| {
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
        "{} examples: {} passed, {} failed; {} policies without an example",
        run.total_tests,
        run.passed,
        run.failed,
        run.untested.len()
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
