//! Logging of the whole program: to stderr, as text for people and as JSON lines for machines.
//!
//! `main` starts it once. Where nobody chose a format, a terminal gets text and anything else JSON lines. `-q` and `-v`
//! choose how much; other people's crates always say one step less than we do. Data never comes this way. The login in
//! an address that a library repeats is left out of every line (safety.md, H37).

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Cli, Command};
use crate::domain::text::without_logins;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging. A second call changes nothing.
pub fn start(cli: &Cli) {
    let global = &cli.global;
    // The demo tells its own story on stdout; its log has a word only when something is wrong, or when asked.
    let story = matches!(cli.command, Command::Demo(_));
    let terminal = std::io::stderr().is_terminal();
    let (own, others) = levels(global.quiet, global.verbose, story);
    let filter = Targets::new().with_default(others).with_target("costwarden", own);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines(std::io::stderr()));
    let layer = match format(global.log_format, terminal) {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none()).boxed(),
    };
    // Only a test that runs commands in its own process comes here twice.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}

/// Writes what it gets, without logins. tracing gives it each line whole.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(without_logins(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn format(chosen: Option<LogFormat>, terminal: bool) -> LogFormat {
    chosen.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json })
}

/// How much we say, and how much other people's crates say.
fn levels(quiet: bool, verbose: u8, story: bool) -> (LevelFilter, LevelFilter) {
    match (quiet, verbose) {
        (true, _) => (LevelFilter::ERROR, LevelFilter::ERROR),
        (false, 0) if story => (LevelFilter::WARN, LevelFilter::WARN),
        (false, 0) => (LevelFilter::INFO, LevelFilter::WARN),
        (false, 1) => (LevelFilter::DEBUG, LevelFilter::INFO),
        (false, _) => (LevelFilter::TRACE, LevelFilter::DEBUG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_text_anything_else_json_unless_a_person_chose() {
        assert_eq!(format(None, true), LogFormat::Text);
        assert_eq!(format(None, false), LogFormat::Json);
        assert_eq!(format(Some(LogFormat::Text), false), LogFormat::Text);
        assert_eq!(format(Some(LogFormat::Json), true), LogFormat::Json);
    }

    #[test]
    fn h37_a_line_of_the_log_goes_out_whole_and_without_the_login_in_an_address() {
        let mut lines = Lines(Vec::new());
        assert_eq!(lines.write(b"proxy http://u:hunter2@p:1 is used\n").unwrap(), 35);
        assert_eq!(String::from_utf8(lines.0).unwrap(), "proxy http://[left out]@p:1 is used\n");
    }

    #[test]
    fn each_flag_says_more_and_others_never_more_than_we() {
        let steps = [(true, 0), (false, 0), (false, 1), (false, 2)].map(|(quiet, more)| levels(quiet, more, false));
        assert!(steps.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(steps.iter().all(|(own, others)| others <= own));
        assert_eq!(levels(false, 0, true), (LevelFilter::WARN, LevelFilter::WARN));
        assert_eq!(levels(false, 1, true), levels(false, 1, false));
    }
}
