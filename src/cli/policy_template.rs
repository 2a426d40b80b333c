//! `policy template` and `policy generate`: policies made from templates and frameworks.
//!
//! Prints what it makes, or writes it. A second run with the same words changes nothing; a file that somebody edited
//! is never overwritten without `--force`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::Global;
use super::exit::{Exit, ExitError};
use super::output::{self, Format, SCHEMA_VERSION};
use crate::domain::text::clean;
use crate::policy::document::to_toml;
use crate::policy::template::{Framework, Options, Template, Variable, generate};
use crate::policy::{EnforcementMode, Reach, schema};
use crate::{checks, settings};

/// The commands below `policy template`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The templates that come with the program
    List,
    /// What a template makes, and its variables
    Show {
        /// A template's name, or a file
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Make policies of a template
    Instantiate {
        /// A template's name, or a file
        #[arg(value_name = "NAME")]
        name: String,
        /// A value for a variable; may be given many times
        #[arg(long = "set", value_name = "VARIABLE=VALUE")]
        set: Vec<String>,
        /// Write them to this file instead of stdout; never over another one
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Flags of `policy generate`.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What the policies are for
    #[arg(long, value_enum)]
    framework: FrameworkWord,
    /// Their mode; monitor tells and never blocks
    #[arg(long, value_enum, default_value = "monitor")]
    mode: ModeWord,
    /// Whom they are for
    #[arg(long, value_enum, default_value = "global")]
    scope: ScopeWord,
    /// The one organization, user or resource
    #[arg(long, value_name = "ID")]
    scope_id: Option<String>,
    /// A value for a variable of the framework's template; may be given many times
    #[arg(long = "set", value_name = "VARIABLE=VALUE")]
    set: Vec<String>,
    /// Write one file per policy into this folder
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Overwrite files that say something else
    #[arg(long)]
    force: bool,
}

/// `--framework`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FrameworkWord {
    /// Data protection: access requests, retention
    Gdpr,
    /// Security: authentication, access reviews
    Soc2,
    /// Cost: waste, tags, limits over the inventory
    Finops,
}

/// `--mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeWord {
    /// Violations block or are acted on
    Enforce,
    /// Violations are told
    Monitor,
}

/// `--scope`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeWord {
    /// Everybody
    Global,
    /// One organization, or any
    Organization,
    /// One user, or any
    User,
    /// One resource, or any
    Resource,
}

/// What `policy template list -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct TemplatesDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The built-in ones.
    pub templates: Vec<TemplateJson<'a>>,
}

/// What `policy template show -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct TemplateDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The template.
    pub template: TemplateJson<'a>,
}

/// What `policy template instantiate -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct InstancesDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// The policies, as their files would have them.
    pub policies: &'a [Json],
}

/// What `policy generate -o json` prints.
#[derive(Serialize, JsonSchema)]
pub struct GeneratedDocument<'a> {
    /// Version of this shape.
    pub schema_version: u32,
    /// In the order of writing.
    pub files: Vec<FileJson<'a>>,
    /// What the files hold.
    pub policies: Vec<GeneratedJson<'a>>,
}

/// A template.
#[derive(Serialize, JsonSchema)]
pub struct TemplateJson<'a> {
    /// Its name.
    name: &'a str,
    /// What it makes.
    description: &'a str,
    /// `policy_type` of its policies.
    category: &'static str,
    /// What can be set.
    variables: &'a [Variable],
}

/// A file.
#[derive(Serialize, JsonSchema)]
pub struct FileJson<'a> {
    /// Its path.
    file: &'a str,
    /// `written`, `unchanged` or `replaced`.
    state: &'static str,
}

/// A generated policy.
#[derive(Serialize, JsonSchema)]
pub struct GeneratedJson<'a> {
    /// Its id or name.
    id: &'a str,
    /// The same for the same words.
    hash: &'a str,
}

/// Runs a command below `policy template`.
///
/// # Errors
/// A template or a value that is wrong: bad use. A file that cannot be written.
pub fn run(global: &Global, command: &Command) -> Result<Exit> {
    match command {
        Command::List => list(global),
        Command::Show { name } => show(global, name),
        Command::Instantiate { name, set, out } => instantiate(global, name, set, out.as_deref()),
    }
}

fn list(global: &Global) -> Result<Exit> {
    let templates = Template::built_in().map_err(ExitError::bad_use)?;
    if global.output == Format::Json {
        let templates = templates.iter().map(TemplateJson::of).collect();
        output::json(&TemplatesDocument { schema_version: SCHEMA_VERSION, templates })?;
    } else {
        let rows = templates.iter().map(|template| {
            let variables: Vec<&str> = template.variables.iter().map(|variable| variable.name.as_str()).collect();
            vec![template.name.clone(), variables.join(", "), template.description.clone()]
        });
        output::print(&output::table(&["TEMPLATE", "VARIABLES", "WHAT IT MAKES"], rows))?;
    }
    Ok(Exit::Done)
}

fn show(global: &Global, name: &str) -> Result<Exit> {
    let template = find(name)?;
    if global.output == Format::Json {
        output::json(&TemplateDocument { schema_version: SCHEMA_VERSION, template: TemplateJson::of(&template) })?;
        return Ok(Exit::Done);
    }
    output::line(&format!("{}: {}", clean(&template.name), clean(&template.description)))?;
    output::line("")?;
    let rows = template.variables.iter().map(|variable| {
        let default = variable.default_value.as_ref().map_or("must be given".to_owned(), Json::to_string);
        vec![variable.name.clone(), variable.var_type.word().to_owned(), default, variable.description.clone()]
    });
    output::print(&output::table(&["VARIABLE", "TYPE", "DEFAULT", "MEANING"], rows))?;
    Ok(Exit::Done)
}

fn instantiate(global: &Global, name: &str, set: &[String], out: Option<&Path>) -> Result<Exit> {
    let template = find(name)?;
    let values = values(&template, set)?;
    let documents: Vec<Json> = template
        .instantiate(&values)
        .map_err(ExitError::bad_use)?
        .into_iter()
        .map(|instance| instance.document)
        .collect();
    let text = to_toml(&json!({"policies": documents})).map_err(anyhow::Error::msg).context("writing TOML")?;
    let text = format!("#:schema policy.schema.json\n#\n# Made from the template {}.\n\n{text}", clean(&template.name));
    match out {
        Some(file) => {
            let written = write(file, &text, false)?;
            if !global.quiet {
                output::tell(&format!("{}: {}", clean(&file.display().to_string()), written.word()));
            }
        }
        None if global.output == Format::Json => {
            output::json(&InstancesDocument { schema_version: SCHEMA_VERSION, policies: &documents })?;
        }
        None => output::print(&text)?,
    }
    Ok(Exit::Done)
}

/// Generates a framework's policies into a folder.
///
/// # Errors
/// Values that do not fit, files that say something else: bad use, and nothing is written.
pub fn generate_files(global: &Global, args: &GenerateArgs) -> Result<Exit> {
    let framework = match args.framework {
        FrameworkWord::Gdpr => Framework::Gdpr,
        FrameworkWord::Soc2 => Framework::Soc2,
        FrameworkWord::Finops => Framework::Finops,
    };
    let id = args.scope_id.clone();
    let reach = match args.scope {
        ScopeWord::Global if id.is_some() => {
            return Err(ExitError::bad_use("--scope-id needs --scope organization, user or resource"));
        }
        ScopeWord::Global => Reach::Global,
        ScopeWord::Organization => Reach::Organization(id),
        ScopeWord::User => Reach::User(id),
        ScopeWord::Resource => Reach::Resource(id),
    };
    let mode = match args.mode {
        ModeWord::Enforce => EnforcementMode::Enforce,
        ModeWord::Monitor => EnforcementMode::Monitor,
    };
    let values = pairs(&args.set)?.into_iter().map(|(name, text)| (name, framework.read(&text))).collect();
    let generated =
        generate(framework, &Options { mode, reach, values }, &checks::infos()).map_err(ExitError::bad_use)?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for one in &generated {
        files.push((args.out.join(&one.file), one.text.clone()));
    }
    files.push((args.out.join("policy.schema.json"), format!("{:#}\n", schema())));
    // Nothing is written while one of them would be refused.
    for (file, text) in &files {
        differs(file, text, args.force)?;
    }
    std::fs::create_dir_all(&args.out).with_context(|| format!("making the folder {}", args.out.display()))?;
    let mut rows = Vec::new();
    for (file, text) in &files {
        rows.push((file.display().to_string(), write(file, text, args.force)?.word()));
    }
    if global.output == Format::Json {
        let files = rows.iter().map(|(file, state)| FileJson { file, state }).collect();
        let policies =
            generated.iter().map(|one| GeneratedJson { id: &one.policy.name, hash: &one.policy.hash }).collect();
        output::json(&GeneratedDocument { schema_version: SCHEMA_VERSION, files, policies })?;
    } else {
        for (file, state) in &rows {
            output::line(&format!("{state:9}  {}", clean(file)))?;
        }
    }
    Ok(Exit::Done)
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    New,
    Unchanged,
    Replaced,
}

impl Written {
    fn word(self) -> &'static str {
        match self {
            Written::New => "written",
            Written::Unchanged => "unchanged",
            Written::Replaced => "replaced",
        }
    }
}

/// Refuses a file that is there and says something else.
fn differs(file: &Path, text: &str, force: bool) -> Result<Written> {
    match std::fs::read_to_string(file) {
        Ok(there) if there == text => Ok(Written::Unchanged),
        Ok(_) if force => Ok(Written::Replaced),
        Ok(_) => Err(ExitError::bad_use(format!(
            "{} is there already and says something else; nothing was written\n  give another name, or remove it first (generate: --force)",
            clean(&file.display().to_string())
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Written::New),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

fn write(file: &Path, text: &str, force: bool) -> Result<Written> {
    let state = differs(file, text, force)?;
    if state != Written::Unchanged {
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(state)
}

/// A built-in template by its name, or one from a file.
fn find(name: &str) -> Result<Template> {
    let built_in = Template::built_in().map_err(ExitError::bad_use)?;
    let names: Vec<String> = built_in.iter().map(|template| template.name.clone()).collect();
    if let Some(found) = built_in.into_iter().find(|template| template.name == name) {
        return Ok(found);
    }
    let path = Path::new(name);
    if !path.exists() {
        let near = crate::policy::document::nearest(name, names.iter().map(String::as_str));
        let hint = near.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
        return Err(ExitError::bad_use(format!(
            "{:?} is no template{hint}\n  accepted: {}, or a file",
            clean(name),
            names.join(", ")
        )));
    }
    let text = settings::read_text(path).map_err(ExitError::bad_use)?;
    Template::parse(path, &text).map_err(ExitError::bad_use)
}

fn values(template: &Template, set: &[String]) -> Result<BTreeMap<String, Json>> {
    let read = |(name, text): (String, String)| {
        let value = template.variable(&name).map_or(text.clone().into(), |variable| variable.var_type.read(&text));
        (name, value)
    };
    Ok(pairs(set)?.into_iter().map(read).collect())
}

fn pairs(set: &[String]) -> Result<Vec<(String, String)>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err(ExitError::bad_use(format!("--set {:?} is no value\n  accepted: --set VARIABLE=VALUE", clean(text)))),
    };
    set.iter().map(pair).collect()
}

impl<'a> TemplateJson<'a> {
    fn of(template: &'a Template) -> TemplateJson<'a> {
        TemplateJson {
            name: &template.name,
            description: &template.description,
            category: template.category.word(),
            variables: &template.variables,
        }
    }
}
