//! What people type: one file per command, and here the tree, the global flags and the dispatch.
//!
//! A command parses, asks `app` for the parts it needs, calls them and prints. It decides nothing. A new command is its
//! file and two lines here: its variant and its arm.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub mod actions;
pub mod apply;
pub mod approval;
pub mod arm;
pub mod audit;
mod backups;
pub mod checks;
pub mod completion;
pub mod config;
pub mod control;
pub mod daemon;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod exception;
pub mod exit;
pub mod explain;
pub mod findings;
pub mod fuzz;
pub mod iam;
pub mod init;
pub mod interrupt;
pub mod json;
pub mod log;
pub mod login;
pub mod open;
pub mod output;
pub mod plan;
pub mod policy;
pub mod policy_diff;
pub mod policy_json;
pub mod policy_life;
pub mod policy_review;
pub mod policy_template;
pub mod policy_test;
pub mod report;
pub mod rights;
pub mod run;
pub mod sarif;
pub mod scan;
pub mod scan_json;
pub mod schema;
pub mod sending;
pub mod simulate;
pub mod story;
pub mod undo;
pub mod world;

use exit::{Exit, ExitError};
use log::LogFormat;
use output::Format;

/// Finds wasted cloud resources, warns their owners, waits, backs up, then acts.
#[derive(Debug, Parser)]
#[command(name = "costwarden", version, max_term_width = 100)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Global {
    /// Settings file; else ./costwarden.toml, else /etc/costwarden/costwarden.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the state; else `state_dir` of the settings, else $STATE_DIRECTORY, else ./costwarden-state
    #[arg(long, global = true, value_name = "FOLDER")]
    pub db: Option<PathBuf>,
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Never ask; a question becomes an error that names the flag to give
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Say less: only errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How the log on stderr looks; text on a terminal and json elsewhere when absent
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play 45 days of nightly work on a simulated account: no AWS, no network
    Demo(demo::Args),

    /// Read the cloud and record findings; never acts
    Scan(scan::Args),

    /// Show what is due now, what is held and why
    Plan(plan::Args),

    /// Do exactly what a plan file says, under every guard
    Apply(apply::Args),

    /// One cycle by hand: scan, notices, plan, and due acts as far as the mode allows
    Run(run::Args),

    /// Work by itself at the slots of the settings
    Daemon(daemon::Args),

    /// Allow acting on one account until a date
    Arm(arm::Args),

    /// Make the daily or weekly report now
    #[command(subcommand)]
    Report(report::Command),

    /// Check identity, permissions, mail, disk, clock and prices
    Doctor(doctor::Args),

    /// Write commented settings and one policy file per check into a folder
    Init(init::Args),

    /// Show the settings, or check them together with the policies
    #[command(subcommand)]
    Config(config::Command),

    /// Hold a request, a caller's context or a Terraform plan against the policies, before anything exists
    Evaluate(evaluate::Args),

    /// Check, test, explain and make policy files
    #[command(subcommand)]
    Policy(policy::Command),

    /// What policies would have found, done and saved on earlier nights, and where they would have been wrong
    Simulate(simulate::Args),

    /// What the program can find
    #[command(subcommand)]
    Checks(checks::Command),

    /// What was found
    #[command(subcommand)]
    Findings(findings::Command),

    /// Ask that a rule does not lead to an act on a resource; grant, refuse, revoke and renew that
    #[command(subcommand)]
    Exception(exception::Command),

    /// Questions that wait for a person, and the answers
    #[command(subcommand)]
    Approval(approval::Command),

    /// What was done and how to take it back, and a person's word on what is stuck
    #[command(subcommand)]
    Actions(actions::Command),

    /// Stop all acting at once, until somebody unfreezes
    Freeze(control::FreezeArgs),

    /// Lift every freeze
    Unfreeze(control::UnfreezeArgs),

    /// Stop acting on one account, until it is armed again
    Disarm(control::DisarmArgs),

    /// Look whether the trail of who did what still holds, and print it
    #[command(subcommand)]
    Audit(audit::Command),

    /// A person's word on a state file that was put back
    #[command(subcommand)]
    Db(db::Command),

    /// The IAM policies that the roles need, and nothing more
    #[command(subcommand)]
    Iam(iam::Command),

    /// JSON Schemas of files and of JSON output
    Schema(schema::Args),

    /// Completions for a shell
    Completion(completion::Args),
}

impl Command {
    /// Whether it has something to say in a format.
    fn prints(&self, format: Format) -> bool {
        match format {
            _ if matches!(self, Command::Evaluate(_)) => true,
            Format::Table | Format::Json => true,
            Format::Md => false,
            Format::Sarif => matches!(self, Command::Policy(policy::Command::Validate { .. })),
            Format::Junit => matches!(self, Command::Policy(policy::Command::Test(_))),
        }
    }
}

/// What was typed, parsed; a mistake ends the process with its words.
pub fn parse() -> Cli {
    Cli::parse_from(policy_review::arguments(std::env::args_os()))
}

/// Runs a command.
///
/// # Errors
/// Whatever the command could not do; `exit::of_error` tells its code.
pub async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let global = &cli.global;
    if !cli.command.prints(global.output) {
        let accepted = "-o table or -o json; sarif is for policy validate and evaluate, junit for policy test and evaluate, md for evaluate";
        return Err(ExitError::bad_use(format!("this command does not print this format\n  accepted: {accepted}")));
    }
    match &cli.command {
        Command::Demo(args) => demo::run(global, args).await,
        Command::Scan(args) => scan::run(global, args).await,
        Command::Plan(args) => plan::run(global, args).await,
        Command::Apply(args) => apply::run(global, args).await,
        Command::Run(args) => run::run(global, args).await,
        Command::Daemon(args) => daemon::run(global, args).await,
        Command::Arm(args) => arm::run(global, args),
        Command::Report(command) => report::run(global, command).await,
        Command::Doctor(args) => doctor::run(global, args).await,
        Command::Init(args) => init::run(global, args),
        Command::Config(command) => config::run(global, command),
        Command::Evaluate(args) => evaluate::run(global, args),
        Command::Policy(command) => policy::run(global, command).await,
        Command::Simulate(args) => simulate::run(global, args).await,
        Command::Checks(command) => checks::run(global, command),
        Command::Findings(command) => findings::run(global, command),
        Command::Exception(command) => exception::run(global, command),
        Command::Approval(command) => approval::run(global, command),
        Command::Actions(command) => actions::run(global, command).await,
        Command::Freeze(args) => control::freeze(global, args),
        Command::Unfreeze(args) => control::unfreeze(global, args),
        Command::Disarm(args) => control::disarm(global, args),
        Command::Audit(command) => audit::run(global, command),
        Command::Db(command) => db::run(global, command),
        Command::Iam(command) => iam::run(global, command),
        Command::Schema(args) => schema::run(global, args),
        Command::Completion(args) => completion::run(args),
    }
}
