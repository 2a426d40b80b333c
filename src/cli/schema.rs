//! `schema`: JSON Schemas of what people write and of what commands print, made from the very types.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::approval::ApprovalsDocument;
use super::evaluate::EvaluateDocument;
use super::exception::{ExceptionDocument, ExceptionsDocument};
use super::exit::{Exit, ExitError};
use super::findings::FindingDocument;
use super::json::{FindingsDocument, schema_of_output};
use super::output::{Format, SCHEMA_VERSION};
use super::scan_json::ScanDocument;
use super::{Global, audit, iam, output, policy_diff, policy_json, policy_template, policy_test, simulate};
use crate::cloud::sim::World;
use crate::domain::place::Kind;
use crate::domain::plan::Plan;
use crate::policy::decide::RequestDocument;
use crate::policy::document::{nearest, schema_of};
use crate::policy::expression::FIELDS;
use crate::report::review::ReviewDocument;
use crate::worker::exceptions::report::ExceptionReport;
use crate::{policy, settings};

/// Flags of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which schemas; all of them with --out alone
    #[arg(value_enum, required_unless_present_any = ["out", "fields"])]
    what: Vec<What>,
    /// Write NAME.schema.json files into this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// In place of schemas: the names that a condition may read of a kind, such as instance; of all without a kind
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "all", value_parser = kinds,
        conflicts_with_all = ["what", "out"])]
    fields: Option<Kinds>,
}

/// The kinds that `--fields` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kinds(Vec<Kind>);

/// What has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Policy files
    Policy,
    /// Template files
    Template,
    /// The settings file
    Config,
    /// `findings show -o json`
    Finding,
    /// `findings list -o json`
    Findings,
    /// `exception list -o json`
    Exceptions,
    /// `exception show -o json`
    Exception,
    /// `exception report -o json`
    ExceptionReport,
    /// `approval list -o json` and `approval show -o json`
    Approvals,
    /// `audit verify -o json`
    AuditVerify,
    /// `audit list -o json`
    AuditList,
    /// `iam print`
    Iam,
    /// Plan files
    Plan,
    /// Request documents, which `evaluate` reads
    Request,
    /// `evaluate -o json`
    Evaluate,
    /// `scan -o json`
    Scan,
    /// World files: simulated accounts
    World,
    /// `policy test -o json`
    PolicyTest,
    /// `policy template list -o json`
    PolicyTemplateList,
    /// `policy template show -o json`
    PolicyTemplateShow,
    /// `policy template instantiate -o json`
    PolicyTemplateInstantiate,
    /// `policy generate -o json`
    PolicyGenerate,
    /// `policy diff -o json`
    PolicyDiff,
    /// `policy review -o json`
    PolicyReview,
    /// `policy list -o json`
    PolicyList,
    /// `policy show -o json`
    PolicyShow,
    /// `policy history -o json`
    PolicyHistory,
    /// `policy create -o json`, and every other step of the life cycle
    PolicyStep,
    /// `policy apply -o json`
    PolicyApply,
    /// `simulate -o json`
    Simulate,
}

/// Prints one schema or writes several.
///
/// # Errors
/// Several without `--out`: bad use. A file that cannot be written.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    if let Some(Kinds(kinds)) = &args.fields {
        return fields(global, kinds).map(|()| Exit::Done);
    }
    match (&args.out, args.what.as_slice()) {
        (Some(folder), []) => write(global, folder, What::value_variants())?,
        (Some(folder), chosen) => write(global, folder, chosen)?,
        (None, [one]) => output::json(&one.schema())?,
        (None, _) => return Err(ExitError::bad_use("stdout takes one schema: name one, or give --out FOLDER")),
    }
    Ok(Exit::Done)
}

impl What {
    /// Its schema, with a title.
    pub fn schema(self) -> Value {
        let (mut schema, title) = match self {
            What::Policy => return policy::schema(),
            What::Config => return settings::schema(),
            What::Template => (policy::template::schema(), "costwarden policy template"),
            What::Finding => (schema_of_output::<FindingDocument<'_>>(), "costwarden findings show"),
            What::Findings => (schema_of_output::<FindingsDocument<'_>>(), "costwarden findings list"),
            What::Exceptions => (schema_of_output::<ExceptionsDocument>(), "costwarden exception list"),
            What::Exception => (schema_of_output::<ExceptionDocument>(), "costwarden exception show"),
            What::ExceptionReport => (schema_of_output::<ExceptionReport>(), "costwarden exception report"),
            What::Approvals => (schema_of_output::<ApprovalsDocument>(), "costwarden approval list"),
            What::AuditVerify => (schema_of_output::<audit::VerifyDocument>(), "costwarden audit verify"),
            What::AuditList => (schema_of_output::<audit::ListDocument>(), "costwarden audit list"),
            What::Iam => (schema_of_output::<iam::IamDocument>(), "costwarden iam print"),
            What::Plan => (schema_of_output::<Plan>(), "costwarden plan"),
            What::Request => (schema_of::<RequestDocument>(), "costwarden request"),
            What::Evaluate => (schema_of_output::<EvaluateDocument<'_>>(), "costwarden evaluate"),
            What::Scan => (schema_of_output::<ScanDocument<'_>>(), "costwarden scan"),
            What::World => (World::schema(), "costwarden world"),
            What::PolicyTest => (schema_of_output::<policy_test::TestDocument<'_>>(), "costwarden policy test"),
            What::PolicyTemplateList => {
                (schema_of_output::<policy_template::TemplatesDocument<'_>>(), "costwarden policy template list")
            }
            What::PolicyTemplateShow => {
                (schema_of_output::<policy_template::TemplateDocument<'_>>(), "costwarden policy template show")
            }
            What::PolicyTemplateInstantiate => {
                (schema_of_output::<policy_template::InstancesDocument<'_>>(), "costwarden policy template instantiate")
            }
            What::PolicyGenerate => {
                (schema_of_output::<policy_template::GeneratedDocument<'_>>(), "costwarden policy generate")
            }
            What::PolicyDiff => (schema_of_output::<policy_diff::DiffDocument<'_>>(), "costwarden policy diff"),
            What::PolicyReview => (schema_of_output::<ReviewDocument<'_>>(), "costwarden policy review"),
            What::PolicyList => (schema_of_output::<policy_json::PolicyListDocument<'_>>(), "costwarden policy list"),
            What::PolicyShow => (schema_of_output::<policy_json::PolicyShowDocument<'_>>(), "costwarden policy show"),
            What::PolicyHistory => {
                (schema_of_output::<policy_json::PolicyHistoryDocument<'_>>(), "costwarden policy history")
            }
            What::PolicyStep => (schema_of_output::<policy_json::PolicyStepDocument<'_>>(), "costwarden policy steps"),
            What::PolicyApply => {
                (schema_of_output::<policy_json::PolicyApplyDocument<'_>>(), "costwarden policy apply")
            }
            What::Simulate => (schema_of_output::<simulate::SimulateDocument<'_>>(), "costwarden simulate"),
        };
        schema["title"] = title.into();
        schema
    }

    fn word(self) -> &'static str {
        match self {
            What::Policy => "policy",
            What::Template => "template",
            What::Config => "config",
            What::Finding => "finding",
            What::Findings => "findings",
            What::Exceptions => "exceptions",
            What::Exception => "exception",
            What::ExceptionReport => "exception-report",
            What::Approvals => "approvals",
            What::AuditVerify => "audit-verify",
            What::AuditList => "audit-list",
            What::Iam => "iam",
            What::Plan => "plan",
            What::Request => "request",
            What::Evaluate => "evaluate",
            What::Scan => "scan",
            What::World => "world",
            What::PolicyTest => "policy-test",
            What::PolicyTemplateList => "policy-template-list",
            What::PolicyTemplateShow => "policy-template-show",
            What::PolicyTemplateInstantiate => "policy-template-instantiate",
            What::PolicyGenerate => "policy-generate",
            What::PolicyDiff => "policy-diff",
            What::PolicyReview => "policy-review",
            What::PolicyList => "policy-list",
            What::PolicyShow => "policy-show",
            What::PolicyHistory => "policy-history",
            What::PolicyStep => "policy-step",
            What::PolicyApply => "policy-apply",
            What::Simulate => "simulate",
        }
    }
}

/// `instance` or `compute/instance`; `all` for every kind.
fn kinds(word: &str) -> Result<Kinds, String> {
    let short = |kind: Kind| kind.name().rsplit('/').next().unwrap_or_default();
    let chosen: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| word == "all" || word == kind.name() || word == short(*kind)).collect();
    if chosen.is_empty() {
        let words = Kind::ALL.map(short);
        let near = nearest(word, words).map_or(String::new(), |near| format!("; did you mean {near:?}?"));
        return Err(format!("{word:?} is no kind of resource{near}; accepted: {}, all", words.join(", ")));
    }
    Ok(Kinds(chosen))
}

/// One name that a condition may read.
#[derive(Serialize)]
struct FieldJson {
    path: &'static str,
    #[serde(rename = "type")]
    of: &'static str,
    unit: &'static str,
    doc: &'static str,
    source: &'static str,
    kinds: Vec<&'static str>,
}

fn fields(global: &Global, kinds: &[Kind]) -> Result<()> {
    let chosen = FIELDS.iter().filter(|field| field.kinds.iter().any(|kind| kinds.contains(kind)));
    if global.output == Format::Json {
        let fields: Vec<FieldJson> = chosen
            .map(|field| FieldJson {
                path: field.path,
                of: field.of.word(),
                unit: field.unit,
                doc: field.doc,
                source: field.source,
                kinds: field.kinds.iter().map(|kind| kind.name()).collect(),
            })
            .collect();
        return output::json(&serde_json::json!({ "schema_version": SCHEMA_VERSION, "fields": fields }));
    }
    let rows = chosen
        .map(|field| [field.path, field.of.word(), field.unit, field.doc, field.source].map(str::to_owned).to_vec());
    output::print(&output::table(&["NAME", "TYPE", "UNIT", "WHAT IT IS", "FROM"], rows))
}

fn write(global: &Global, folder: &Path, chosen: &[What]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    for what in chosen {
        let file = folder.join(format!("{}.schema.json", what.word()));
        std::fs::write(&file, format!("{:#}\n", what.schema()))
            .with_context(|| format!("writing {}", file.display()))?;
        if !global.quiet {
            output::tell(&format!("wrote {}", file.display()));
        }
    }
    Ok(())
}
