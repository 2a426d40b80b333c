//! `evaluate`: requests, callers' contexts and Terraform plans held against the policies before anything exists.
//!
//! Fits a pull-request gate: exit code 0 when it may go on, 6 when it waits for approval, 3 when it is denied or a
//! violation is at or above `--fail-on`, 2 for a file that cannot be read. Every violation is written to the audit
//! trail of the state before the answer is printed; without a state it goes to the log on stderr. Spend comes from the
//! state too; what that means for budgets without one is `policy::decide::budget`'s to say.

mod document;
mod junit;
mod markdown;
mod sarif;
mod spend;

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::exit::{Exit, ExitError};
use super::output::{self, Format};
use super::{Global, open};
use crate::checks;
use crate::clock::Clock;
use crate::cloud::prices;
use crate::domain::Instant;
use crate::domain::fact::Fact;
use crate::domain::finding::Severity;
use crate::domain::money::Usd;
use crate::domain::request::Request;
use crate::domain::text::clean;
use crate::domain::violation::StepEnd;
use crate::engine::violations::Handlers;
use crate::policy::Policy;
use crate::policy::decide::{self, Answer, Context, Judged, PolicyViolation, Ruling};
use crate::policy::document::parse_yaml;
use crate::settings::{self, Settings};
use crate::store::{AuditEntry, Store};
use crate::worker::consent;
use crate::worker::violations::{self, Desk, Tickets};
pub use document::EvaluateDocument;

/// Flags of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Request documents (type, tags, specs) or contexts (action, resource, …), JSON or YAML; - is stdin
    #[arg(value_name = "FILE", required_unless_present = "terraform_plan")]
    files: Vec<PathBuf>,
    /// What `terraform show -json PLANFILE` prints; - is stdin
    #[arg(long, value_name = "FILE")]
    terraform_plan: Option<PathBuf>,
    /// Policy files and folders in place of the settings' own; the settings are then not needed
    #[arg(long, value_name = "PATH")]
    policies: Vec<PathBuf>,
    /// Exit with 3 when a violation of at least this severity is found, even if it is let through
    #[arg(long, value_name = "SEVERITY")]
    fail_on: Option<Severity>,
    /// What a resource costs a month, where the price book does not know: ADDRESS=DOLLARS
    #[arg(long, value_name = "NAME=USD", value_parser = named_price)]
    monthly_usd: Vec<(String, Usd)>,
    /// Also do what the actions of violated policies say, for contexts: alerts, webhooks, orders, tickets; needs a state
    #[arg(long)]
    handle: bool,
    /// With --handle: file with the https address that orders about users (suspend, reset, lock) are posted to
    #[arg(long, value_name = "FILE", requires = "handle")]
    orders_webhook: Option<PathBuf>,
    /// With --handle: file with the https address of a ticket tracker; a folder in the state when absent
    #[arg(long, value_name = "FILE", requires = "handle")]
    tickets_webhook: Option<PathBuf>,
}

/// Everything that was asked and answered.
pub struct Answers {
    /// Where the requests came from, for code scanning.
    pub file: String,
    /// How many requests there were.
    pub requests: usize,
    /// What the requests meet; `None` when there were none.
    pub judged: Option<Judged>,
    /// Contexts with what they meet, in the order of the files.
    pub decisions: Vec<(String, decide::Evaluation)>,
    /// Resources of a plan that are judged by nothing here.
    pub not_judged: Vec<String>,
    /// What a person should know about the reading.
    pub notes: Vec<String>,
    /// Where prices come from.
    pub prices: String,
}

/// Evaluates and prints.
///
/// # Errors
/// Wrong files, settings or policies: bad use. A state that cannot be read or written: then there is no answer.
pub fn run(global: &Global, args: &Args) -> Result<Exit> {
    let (settings, policies) = rules(global, args)?;
    if args.handle && settings.is_none() {
        return Err(ExitError::bad_use("--handle needs a state: leave --policies out, or give --config"));
    }
    let now = Clock::System.now();
    let store = state(settings.as_ref())?;
    let answers = ask(args, settings.as_ref(), store.as_ref(), &policies, now)?;
    log(store.as_ref(), &answers, now)?;
    match global.output {
        Format::Table => output::print(&document::text(&answers))?,
        Format::Json => output::json(&EvaluateDocument::of(&answers))?,
        Format::Junit => output::print(&junit::render(&answers)?)?,
        Format::Sarif => output::json(&sarif::render(&answers))?,
        Format::Md => output::print(&markdown::render(&answers))?,
    }
    Ok(exit(args, &answers))
}

/// The settings, where they are needed or there, and the policies to ask.
fn rules(global: &Global, args: &Args) -> Result<(Option<Settings>, Vec<Policy>)> {
    if args.policies.is_empty() {
        let settings = open::settings(global)?;
        let policies = open::policies(&settings)?;
        return Ok((Some(settings), policies));
    }
    let policies = settings::load_policies(&args.policies, &checks::infos()).map_err(ExitError::bad_use)?;
    // A state or settings that are named are used; those that merely lie about are not.
    let named = global.config.is_some() || global.db.is_some();
    Ok((named.then(|| open::settings(global)).transpose()?, policies))
}

fn ask(
    args: &Args,
    settings: Option<&Settings>,
    store: Option<&Store>,
    policies: &[Policy],
    now: Instant,
) -> Result<Answers> {
    let book = prices::embedded().context("reading the price book")?;
    let mut answers = Answers {
        file: String::new(),
        requests: 0,
        judged: None,
        decisions: Vec::new(),
        not_judged: Vec::new(),
        notes: Vec::new(),
        prices: book.provenance(),
    };
    let mut requests: Vec<Request> = Vec::new();
    for file in &args.files {
        let text = read(file)?;
        if is_context(file, &text)? {
            for context in contexts(file, &text)? {
                let shown = context.shown();
                let evaluation = decide::decide(policies, &context)
                    .logged(|violation| log_context(store, &shown, violation, now))?;
                let evaluation = match store {
                    Some(store) => consent::settle(store, &context, evaluation, now)?,
                    None => evaluation,
                };
                if let Some(settings) = settings.filter(|_| args.handle) {
                    handle(args, settings, &context, &evaluation.violations, now)?;
                }
                answers.decisions.push((shown, evaluation));
            }
        } else {
            requests.extend(decide::requests(file, &text, &book).map_err(ExitError::bad_use)?);
            answers.file = file.display().to_string();
        }
    }
    if let Some(file) = &args.terraform_plan {
        let planned = decide::plan(&read(file)?, &book)
            .map_err(|problem| ExitError::bad_use(format!("{}: {problem}", clean(&file.display().to_string()))))?;
        requests.extend(planned.requests);
        answers.not_judged = planned.not_judged;
        answers.notes = planned.notes;
        if planned.deleted > 0 {
            answers.notes.push(format!("{} resources are deleted, which nothing here judges", planned.deleted));
        }
        answers.file = file.display().to_string();
    }
    for (name, usd) in &args.monthly_usd {
        let mut known = requests.iter_mut().filter(|request| request.shown() == name).peekable();
        if known.peek().is_none() {
            return Err(ExitError::bad_use(format!("--monthly-usd names {:?}, which is not asked for", clean(name))));
        }
        known.for_each(|request| request.monthly = Fact::Known(*usd));
    }
    answers.requests = requests.len();
    if !requests.is_empty() || args.terraform_plan.is_some() {
        let spending = spend::spending(settings, policies, now)?;
        let judged = decide::judge(policies, &requests, &spending);
        answers.judged = Some(match store {
            Some(store) => consent::settle_requests(store, judged, now)?,
            None => judged,
        });
    }
    Ok(answers)
}

/// Goes through the steps of each violation; what leaves waits in the outbox for the daemon or the next run.
fn handle(
    args: &Args,
    settings: &Settings,
    context: &Context,
    violations: &[PolicyViolation],
    now: Instant,
) -> Result<()> {
    let address = |file: &PathBuf| settings::read_secret(file).map(|secret| secret.expose_secret().trim().to_owned());
    let subjects = args.orders_webhook.as_ref().map(address).transpose().map_err(ExitError::bad_use)?;
    let tickets = match &args.tickets_webhook {
        Some(file) => Tickets::Webhook(address(file).map_err(ExitError::bad_use)?),
        None => Tickets::Folder(settings.state_dir.join("tickets")),
    };
    if settings.webhooks.secret_file.is_none() && (subjects.is_some() || args.tickets_webhook.is_some()) {
        output::tell("webhooks.secret_file is not set: webhooks leave unsigned");
    }
    let store = Store::open(&open::existing(&settings.state_dir)?)?;
    let handlers = Handlers::standard();
    let operators = &settings.reports.to;
    let desk = Desk { store: &store, operators, handlers: &handlers, tickets: &tickets, subjects: subjects.as_deref() };
    for violation in violations {
        let processed = violations::process(&desk, violation, context, now)?;
        for step in processed.steps.iter().filter(|step| step.end == StepEnd::Failed) {
            output::tell(&format!("violation {}: {} failed: {}", processed.id, step.what, clean(&step.detail)));
        }
    }
    Ok(())
}

/// A context names an action; a request names a type.
fn is_context(file: &Path, text: &str) -> Result<bool> {
    let documents = parse_yaml(file, text).map_err(ExitError::bad_use)?;
    Ok(documents.first().is_some_and(|node| node.get("action").is_some() && node.get("type").is_none()))
}

fn contexts(file: &Path, text: &str) -> Result<Vec<Context>> {
    let documents = parse_yaml(file, text).map_err(ExitError::bad_use)?;
    let read = |node: &crate::policy::document::Node| {
        Context::from_json(&node.to_json()).map_err(|problem| {
            ExitError::bad_use(format!("{}:{}: {problem}", clean(&file.display().to_string()), node.spot.line))
        })
    };
    documents.iter().map(read).collect()
}

fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|error| ExitError::bad_use(format!("stdin cannot be read: {error}")))?;
        return within(file, text);
    }
    let read = std::fs::File::open(file).and_then(|open| {
        let mut text = String::new();
        open.take(MAX_BYTES + 1).read_to_string(&mut text).map(|_| text)
    });
    let text = read.map_err(|error| {
        ExitError::bad_use(format!("{} cannot be read as text: {error}", clean(&file.display().to_string())))
    })?;
    within(file, text)
}

/// Largest file that is read, in bytes: plans of tens of thousands of resources.
const MAX_BYTES: u64 = 256 << 20;

fn within(file: &Path, text: String) -> Result<String> {
    if text.len() as u64 > MAX_BYTES {
        return Err(ExitError::bad_use(format!("{} is larger than 256 MiB", clean(&file.display().to_string()))));
    }
    Ok(text)
}

fn named_price(text: &str) -> Result<(String, Usd), String> {
    let parsed = text.rsplit_once('=').and_then(|(name, usd)| Some((name.to_owned(), Usd::parse(usd)?)));
    parsed
        .filter(|(name, usd)| !name.is_empty() && *usd >= Usd::ZERO)
        .ok_or_else(|| "a name and dollars, such as aws_db_instance.main=412.50".into())
}

/// Writes every violation of the requests down before anything is printed.
fn log(store: Option<&Store>, answers: &Answers, now: Instant) -> Result<()> {
    for violation in answers.judged.iter().flat_map(|judged| &judged.violations) {
        let subject = format!("{} / {}", violation.policy_name, violation.rule_name);
        let detail = json!({
            "resource": clean(&violation.resource), "type": violation.resource_type, "effect": violation.effect,
            "severity": violation.severity, "message": clean(&violation.message),
        });
        record(store, &subject, detail, now)?;
    }
    Ok(())
}

fn log_context(store: Option<&Store>, shown: &str, violation: &PolicyViolation, now: Instant) -> Result<()> {
    let detail = json!({
        "context": shown, "rules": violation.violated_rules, "severity": violation.severity,
        "mode": violation.mode, "reasons": violation.reasons,
    });
    record(store, &violation.policy_id, detail, now)
}

fn record(store: Option<&Store>, subject: &str, detail: Value, now: Instant) -> Result<()> {
    match store {
        Some(store) => {
            let entry =
                AuditEntry { actor: "evaluate".into(), what: "violation".into(), subject: subject.to_owned(), detail };
            store
                .audit_append(now, &entry)
                .context("writing a violation to the audit trail; without that there is no answer")?;
        }
        None => tracing::info!(subject, %detail, "violation"),
    }
    Ok(())
}

/// The state, where there is one. One that is there and cannot be opened is an error: no answer without its log.
fn state(settings: Option<&Settings>) -> Result<Option<Store>> {
    let Some(file) = settings.and_then(|settings| open::existing(&settings.state_dir).ok()) else { return Ok(None) };
    Ok(Some(Store::open(&file)?))
}

fn exit(args: &Args, answers: &Answers) -> Exit {
    let failing = |severity: Severity| args.fail_on.is_some_and(|least| severity >= least);
    let mut exit = match answers.worst() {
        Answer::Deny => Exit::Findings,
        Answer::RequireApproval => Exit::Held,
        Answer::Warn | Answer::Allow => Exit::Done,
    };
    let requests = answers.judged.iter().flat_map(|judged| &judged.violations).map(|violation| violation.severity);
    let contexts = answers.decisions.iter().flat_map(|(_, evaluation)| &evaluation.violations);
    if requests.chain(contexts.map(|violation| violation.severity)).any(failing) {
        exit = Exit::Findings;
    }
    exit
}

impl Answers {
    /// The weightiest answer of all.
    pub fn worst(&self) -> Answer {
        let contexts = self.decisions.iter().map(|(_, evaluation)| match &evaluation.result {
            Ruling::Deny { .. } => Answer::Deny,
            Ruling::RequireApproval { .. } => Answer::RequireApproval,
            Ruling::Allow if evaluation.violations.is_empty() => Answer::Allow,
            Ruling::Allow => Answer::Warn,
        });
        contexts.chain(self.judged.iter().map(|judged| judged.action)).max().unwrap_or(Answer::Allow)
    }

    /// The weightiest answer in a sentence.
    pub fn message(&self) -> String {
        let approvers: Vec<&str> = self
            .decisions
            .iter()
            .filter_map(|(_, evaluation)| match &evaluation.result {
                Ruling::RequireApproval { approvers } => Some(approvers),
                _ => None,
            })
            .chain(self.judged.iter().map(|judged| &judged.approvers))
            .flatten()
            .map(String::as_str)
            .collect();
        match self.worst() {
            Answer::Allow => "Allowed: nothing in the policies stands against it.".into(),
            Answer::Warn => "Allowed, with warnings.".into(),
            Answer::RequireApproval => format!("Waits for approval by {}.", clean(&approvers.join(", "))),
            Answer::Deny => "Denied.".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_at_fail_on_outweighs_the_wait_for_an_approval() {
        #[derive(clap::Parser)]
        struct Flags {
            #[command(flatten)]
            args: Args,
        }
        let text = "id: p\nname: P\npolicy_type: usage\nenforcement_mode: enforce\nseverity: high\n\
                    violation_actions: [{type: require_approval, approvers: [eve]}]\nrules: [{condition: amount > 1}]\n";
        let policies = crate::policy::parse(Path::new("p.yaml"), text, &[]).unwrap();
        let mut context = Context::new("buy", "licences");
        context.roots.insert("amount".into(), 2.into());
        let evaluation = decide::decide(&policies, &context).logged(|_| Ok::<_, ()>(())).unwrap();
        let answers = Answers {
            file: String::new(),
            requests: 0,
            judged: None,
            decisions: vec![("ann".into(), evaluation)],
            not_judged: Vec::new(),
            notes: Vec::new(),
            prices: String::new(),
        };
        let code = |flags: &[&str]| {
            let flags = <Flags as clap::Parser>::parse_from([&["evaluate", "c.json"], flags].concat());
            exit(&flags.args, &answers)
        };
        assert_eq!(code(&[]), Exit::Held);
        assert_eq!(code(&["--fail-on", "critical"]), Exit::Held);
        assert_eq!(code(&["--fail-on", "high"]), Exit::Findings);
    }

    #[test]
    fn a_price_is_a_name_and_dollars() {
        assert_eq!(named_price("a[\"x=y\"]=12.5"), Ok(("a[\"x=y\"]".into(), Usd(12_500_000))));
        for wrong in ["a", "=1", "a=-1", "a=much"] {
            assert!(named_price(wrong).is_err(), "{wrong}");
        }
    }
}
