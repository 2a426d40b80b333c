//! Where text goes: data to stdout, everything else to stderr; tables for people, JSON for machines.
//!
//! A closed pipe (`| head`) ends quietly. Colour follows the terminal and NO_COLOR (anstream). Every cell that holds
//! foreign text passes `domain::text::clean`, so that a tag cannot move the cursor.

use std::io::Write;

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::domain::text::clean;

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; may change between versions.
    #[default]
    Table,
    /// For machines; has `schema_version`.
    Json,
}

/// Writes data to stdout. A reader that closed the pipe is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to stdout"),
    }
}

/// One line of data.
pub fn line(text: &str) -> anyhow::Result<()> {
    print(&format!("{text}\n"))
}

/// A value as JSON with two spaces of indent.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("making JSON")?;
    line(&text)
}

/// Tells people something beside the data.
pub fn tell(text: &str) {
    // Nothing is left to do when even stderr is gone.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A table with these columns; rows are cleaned of control characters.
pub fn table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(columns.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| clean(cell)));
    }
    let text = table.to_string();
    // The preset pads each line to the table's width.
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    format!("{}\n", lines.join("\n"))
}
