//! `policy`: the commands on policy files, and `policy validate`: whether they load, and what they say rule by rule.
//!
//! Without a path the policies of the settings are read; with paths the settings are not needed. Every mistake of every
//! file is told, not the first alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::exit::Exit;
use super::output::{self, Format, SCHEMA_VERSION};
use super::sarif::{self, Log};
use super::{Global, explain, open, policy_template, policy_test};
use crate::checks;
use crate::policy::document::{DocumentError, Errors};
use crate::policy::{PolicyLine, summary};
use crate::settings;

/// The commands below `policy`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check policy files: exit code 2 and every mistake with its line, or what they say
    Validate {
        /// Files, and folders of .yaml, .toml and .json files; the policies of the settings when absent
        #[arg(value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Run the examples that policies carry
    Test(policy_test::Args),
    /// Make policies from templates
    #[command(subcommand)]
    Template(policy_template::Command),
    /// Make the policies of a framework: GDPR, SOC 2, FinOps
    Generate(policy_template::GenerateArgs),
    /// Why each rule says what it says of one resource, with the value of every part of a condition
    Explain(explain::Args),
    #[command(flatten)]
    Life(super::policy_life::Command),
}

/// Works on policies.
///
/// # Errors
/// Wrong settings: bad use. Wrong policies are told on stderr and end with the same code.
pub async fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::Validate { paths } => validate(global, paths),
        Command::Test(args) => policy_test::run(global, args).await,
        Command::Template(command) => policy_template::run(global, command),
        Command::Generate(args) => policy_template::generate_files(global, args),
        Command::Explain(args) => explain::run(global, args).await,
        Command::Life(command) => super::policy_life::run(global, command),
    }
}

#[derive(Serialize)]
struct Verdict {
    schema_version: u32,
    valid: bool,
    policies: usize,
    files: usize,
    rules: Vec<PolicyLine>,
    errors: Vec<ErrorJson>,
}

#[derive(Serialize)]
struct ErrorJson {
    file: String,
    /// 0 when the mistake is about the file as a whole.
    line: usize,
    column: usize,
    path: String,
    problem: String,
    accepted: String,
}

fn validate(global: &Global, given: &[PathBuf]) -> Result<Exit> {
    let paths = if given.is_empty() { open::settings(global)?.policies } else { given.to_vec() };
    let json = global.output == Format::Json;
    let policies = match settings::load_policies(&paths, &checks::infos()) {
        Ok(policies) => policies,
        Err(errors) => {
            output::tell(&errors.to_string());
            match global.output {
                Format::Json => output::json(&Verdict::wrong(&errors))?,
                Format::Sarif => output::json(&Log::of(SARIF_RULES, errors.list().iter().map(mistake)))?,
                _ => {}
            }
            return Ok(Exit::BadUse);
        }
    };
    let rules = summary(&policies);
    let files = policies.iter().map(|policy| &policy.source.path).collect::<BTreeSet<_>>().len();
    if global.output == Format::Sarif {
        output::json(&Log::of(SARIF_RULES, []))?;
        return Ok(Exit::Done);
    }
    if json {
        let (schema_version, policies) = (SCHEMA_VERSION, policies.len());
        output::json(&Verdict { schema_version, valid: true, policies, files, rules, errors: Vec::new() })?;
        return Ok(Exit::Done);
    }
    if !global.quiet && !rules.is_empty() {
        let rows = rules.iter().map(|line| {
            let evaluated = if line.evaluated { line.mode.word().to_owned() } else { "not evaluated".to_owned() };
            vec![
                format!("{}/{}", line.policy, line.rule),
                line.judged_by.clone(),
                line.severity.to_string(),
                line.action.to_string(),
                evaluated,
                line.source.clone(),
            ]
        });
        output::print(&output::table(&["RULE", "JUDGED BY", "SEVERITY", "ACTION", "MODE", "WHERE"], rows))?;
        output::line("")?;
    }
    output::line(&count(policies.len(), files))?;
    Ok(Exit::Done)
}

/// The only rule of `policy validate -o sarif`.
const SARIF_RULES: &[sarif::RuleInfo<'static>] = &[("policy-invalid", "A policy file does not load")];

fn mistake(error: &DocumentError) -> sarif::Mistake {
    let mut message = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
    message += &error.problem;
    if !error.accepted.is_empty() {
        message += &format!(" (accepted: {})", error.accepted);
    }
    let place = Some((error.file.display().to_string(), error.line, error.column));
    let (rule, level) = (SARIF_RULES[0].0.to_owned(), sarif::Level::Error);
    sarif::Mistake { rule, level, message, place, resource: None, properties: None }
}

fn count(policies: usize, files: usize) -> String {
    let policies = if policies == 1 { "1 policy".to_owned() } else { format!("{policies} policies") };
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    let verb = if policies == "1 policy" { "is" } else { "are" };
    format!("{policies} in {files} {verb} valid")
}

impl Verdict {
    fn wrong(errors: &Errors) -> Verdict {
        let errors = errors.list().iter().map(ErrorJson::of).collect();
        Verdict { schema_version: SCHEMA_VERSION, valid: false, policies: 0, files: 0, rules: Vec::new(), errors }
    }
}

impl ErrorJson {
    fn of(error: &DocumentError) -> ErrorJson {
        ErrorJson {
            file: error.file.display().to_string(),
            line: error.line,
            column: error.column,
            path: error.path.clone(),
            problem: error.problem.clone(),
            accepted: error.accepted.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn one_is_one() {
        assert_eq!(count(7, 6), "7 policies in 6 files are valid");
        assert_eq!(count(1, 1), "1 policy in 1 file is valid");
        assert_eq!(count(2, 1), "2 policies in 1 file are valid");
    }
}
