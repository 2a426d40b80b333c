//! `checks list` and `checks show`: what the program can find, with every threshold.

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;

use super::Global;
use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use crate::checks;
use crate::domain::check::{CheckInfo, ParamInfo, UsedBy};
use crate::domain::finding::{Action, Severity};
use crate::policy::document::nearest;

/// The commands below `checks`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// One line for each check
    List,
    /// All about one check: why, what it reads, its parameters
    Show {
        /// The check's id, such as unattached-volume
        id: String,
    },
}

/// Prints checks.
///
/// # Errors
/// No such check: bad use.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::List => list(global)?,
        Command::Show { id } => show(global, id)?,
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct ListDocument {
    schema_version: u32,
    checks: Vec<CheckJson>,
}

#[derive(Serialize)]
struct ShowDocument {
    schema_version: u32,
    check: CheckJson,
}

#[derive(Serialize)]
struct CheckJson {
    id: &'static str,
    title: &'static str,
    why: &'static str,
    kinds: Vec<&'static str>,
    /// The `type` of the policy documents that use it.
    policy_type: &'static str,
    severity: Severity,
    action: Action,
    reads: &'static str,
    needs_metrics: bool,
    parameters: Vec<ParamJson>,
}

#[derive(Serialize)]
struct ParamJson {
    name: &'static str,
    unit: &'static str,
    default: f64,
    min: f64,
    max: f64,
    whole: bool,
    doc: &'static str,
}

fn list(global: &Global) -> Result<()> {
    if global.output == Format::Json {
        let checks = checks::infos().into_iter().map(CheckJson::of).collect();
        return output::json(&ListDocument { schema_version: SCHEMA_VERSION, checks });
    }
    let rows = checks::infos().into_iter().map(|info| {
        vec![
            info.id.into(),
            kinds(info).join(", "),
            policy_type(info.used_by).into(),
            info.severity.to_string(),
            info.action.to_string(),
            info.title.into(),
        ]
    });
    output::print(&output::table(&["ID", "JUDGES", "POLICY TYPE", "SEVERITY", "ACTION", "FINDS"], rows))
}

fn show(global: &Global, id: &str) -> Result<()> {
    let Some(check) = checks::find(id) else {
        let ids: Vec<&str> = checks::infos().iter().map(|info| info.id).collect();
        let near = nearest(id, ids.iter().copied()).map(|id| format!("; did you mean {id:?}?")).unwrap_or_default();
        return Err(ExitError::bad_use(format!("there is no check {id:?}{near}\n  accepted: {}", ids.join(", "))));
    };
    match global.output {
        Format::Json => {
            output::json(&ShowDocument { schema_version: SCHEMA_VERSION, check: CheckJson::of(check.info) })
        }
        _ => output::print(&page(check.info)),
    }
}

fn page(info: &CheckInfo) -> String {
    let mut text = format!(
        "{}: {}\n\n{}\n\njudges    {}\nreads     {}\nused by   type: {}\nseverity  {}\naction    {}\n",
        info.id,
        info.title,
        info.why,
        kinds(info).join(", "),
        info.reads,
        used_by(info),
        info.severity,
        info.action,
    );
    if info.params.is_empty() {
        return text + "\nIt has no parameters of its own.\n";
    }
    let rows = info.params.iter().map(|param| {
        let range = format!("{} to {}", param.min, param.max);
        vec![param.name.into(), param.unit.into(), param.default.to_string(), range, param.doc.into()]
    });
    text += "\n";
    text + &output::table(&["PARAMETER", "UNIT", "DEFAULT", "ACCEPTED", ""], rows)
}

fn kinds(info: &CheckInfo) -> Vec<&'static str> {
    info.kinds.iter().map(|kind| kind.name()).collect()
}

fn used_by(info: &CheckInfo) -> String {
    match info.used_by {
        UsedBy::Waste => format!("Waste, with check: {}", info.id),
        other => policy_type(other).into(),
    }
}

fn policy_type(used_by: UsedBy) -> &'static str {
    match used_by {
        UsedBy::Waste => "Waste",
        UsedBy::ResourceLimit => "ResourceLimit",
        UsedBy::TagRequirement => "TagRequirement",
        UsedBy::Expression => "Expression",
        UsedBy::Schedule => "Schedule",
    }
}

impl CheckJson {
    fn of(info: &'static CheckInfo) -> CheckJson {
        CheckJson {
            id: info.id,
            title: info.title,
            why: info.why,
            kinds: kinds(info),
            policy_type: policy_type(info.used_by),
            severity: info.severity,
            action: info.action,
            reads: info.reads,
            needs_metrics: info.needs_usage,
            parameters: info.params.iter().map(ParamJson::of).collect(),
        }
    }
}

impl ParamJson {
    fn of(param: &ParamInfo) -> ParamJson {
        let ParamInfo { name, unit, default, min, max, whole, doc } = *param;
        ParamJson { name, unit, default, min, max, whole, doc }
    }
}
